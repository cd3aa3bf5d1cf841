//! Placeholders in arguments, values and directories (SPEC.md 3.1): each replaced once, and what was put in is not
//! looked at again. The list of arguments is fixed before, so a space in a path never splits one.

use psp_format::metadata::Package;

use super::Places;

/// What each placeholder stands for.
pub(super) struct Values<'a> {
    package: &'a Package,
    places: &'a Places<'a>,
}

impl<'a> Values<'a> {
    pub(super) fn new(package: &'a Package, places: &'a Places<'a>) -> Values<'a> {
        Values { package, places }
    }

    pub(super) fn workenv(&self) -> &'a [u8] {
        self.places.workenv
    }

    pub(super) fn cache(&self) -> &'a [u8] {
        self.places.cache
    }

    /// `text` with every known placeholder replaced. Other text in braces stays as it is.
    pub(super) fn expand(&self, text: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            out.extend(before.as_bytes());
            let found = after
                .split_once('}')
                .and_then(|(name, tail)| self.put(name, &mut out).then_some(tail));
            rest = found.unwrap_or_else(|| {
                out.push(b'{');
                after
            });
        }
        out.extend(rest.as_bytes());
        out
    }

    /// Appends the value of a placeholder, where there is one of this name.
    fn put(&self, name: &str, out: &mut Vec<u8>) -> bool {
        match name {
            "workenv" => out.extend(self.places.workenv),
            "package_name" => out.extend(self.package.name.as_bytes()),
            "version" => out.extend(self.package.version.as_bytes()),
            "cache" => out.extend(self.places.cache),
            "package_dir" => out.extend((self.places.package_dir)()),
            _ => return false,
        }
        true
    }
}
