//! Paths and placeholders of flavorpack's manifests.

use psp_format::metadata::{RESERVED_PREFIX, WORKENV};
use psp_format::path;

use super::Fault;
use crate::manifest::error::{ManifestError, Problem};
use crate::manifest::json::Item;

type Result<T> = std::result::Result<T, ManifestError>;

/// Where `{slot:N}` leads, by number.
pub(super) struct Targets(pub(super) Vec<String>);

impl Targets {
    /// `text` with `{slot:N}` replaced; what a package knows by itself stays.
    pub(super) fn expand(&self, at: &Item<'_>, text: &str) -> Result<String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{slot:") {
            let (number, tail) = after.split_once('}').unwrap_or((after, ""));
            let target = number.parse().ok().and_then(|n: usize| self.0.get(n));
            let target = target.ok_or_else(|| {
                let placeholder = format!("{{slot:{number}}}");
                let count = self.0.len();
                foreign(at, Fault::NoSuchSlot { placeholder, count })
            })?;
            out.push_str(before);
            out.push_str(&in_workenv(target));
            rest = tail;
        }
        out.push_str(rest);
        Ok(out)
    }
}

/// The path with its placeholder; `.` is the work environment.
pub(super) fn in_workenv(path: &str) -> String {
    match path {
        "." => WORKENV.into(),
        path => format!("{WORKENV}/{path}"),
    }
}

/// A path below the work environment, `.` for itself, from one with the placeholder or without it.
pub(super) fn inside(item: &Item<'_>) -> Result<String> {
    let written = item.text()?;
    let path = match written.strip_prefix(WORKENV) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest.trim_start_matches('/'),
        _ => &written,
    };
    let path = path.trim_end_matches('/');
    if path.is_empty() && written.starts_with(WORKENV) {
        return Ok(".".into());
    }
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Err(foreign(item, Fault::Outside { path: written }));
    }
    let (section, key) = item.section_and_key();
    path::check(path.as_bytes()).map_err(|fault| {
        item.error(Problem::Path {
            section,
            key: key.into(),
            found: item.shown(),
            fault,
        })
    })?;
    if path.starts_with(RESERVED_PREFIX) {
        let expected =
            "a path that does not begin with `.flavor`, which the launcher keeps for itself";
        return Err(item.invalid(expected, "\"{workenv}/app\""));
    }
    Ok(path.into())
}

/// The same for something that must lie in it. `{workenv}` has to be written where flavorpack would take something
/// relative for what lies where the person is.
pub(super) fn below(item: &Item<'_>) -> Result<String> {
    let written = item.text()?;
    if !written.starts_with(WORKENV) {
        return Err(foreign(item, Fault::Outside { path: written }));
    }
    match inside(item)? {
        path if path == "." => Err(item.invalid("a path in it", "\"{workenv}/etc/app.ini\"")),
        path => Ok(path),
    }
}

/// Octal digits in text, with at most the nine permission bits.
pub(super) fn mode(item: &Item<'_>) -> Result<u32> {
    let text = item.text()?;
    let digits = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    let mode = u32::from_str_radix(&text, 8).ok();
    mode.filter(|mode| digits && *mode <= 0o777)
        .ok_or_else(|| item.invalid("octal digits in quotes, at most \"0777\"", "\"0755\""))
}

/// Whether a package replaces something in `text` when it is started.
pub(super) fn has_place(text: &str) -> bool {
    [WORKENV, "{cache}", "{package_dir}"]
        .iter()
        .any(|name| text.contains(name))
}

/// An error of the kind that only these manifests know.
pub(super) fn foreign(at: &Item<'_>, fault: Fault) -> ManifestError {
    let path = at.path().to_owned();
    at.error(Problem::Foreign { path, fault })
}
