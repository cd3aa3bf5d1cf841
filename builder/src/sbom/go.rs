//! Modules in a program that was built by Go.
//!
//! | off | size | content |
//! |---|---|---|
//! | 0 | 14 | `\xff Go buildinf:` |
//! | 14 | 1 | size of a pointer, for old versions |
//! | 15 | 1 | flags; bit 1: what follows is here, from Go 1.18 on |
//! | 16 | 16 | pointers, for old versions |
//! | 32 | | two texts, each behind its length as a varint: Go's version, and the modules |
//!
//! The modules are lines of fields, with tabs between them: `mod` for the program's own, `dep` for each other one, `=>` for
//! what the last one was replaced by; path, version, digest. They stand between two marks of 16 bytes.

use psp_format::base64;

use super::embedded::GO_MAGIC;
use super::purl::purl;
use super::{Component, Inventory, Kind, hex_of};

/// Where the texts begin.
const TEXTS: usize = 32;
/// Bytes of the marks around the modules.
const MARK: usize = 16;
/// The version of a module that was built from a directory.
const NO_VERSION: &str = "(devel)";

/// Adds the modules that the build information `data` names; `file` is the program's path and its SHA-256.
pub(super) fn list(data: &[u8], file: (&str, &str), inventory: &mut Inventory) {
    let Some((version, modules)) = texts(data) else {
        return;
    };
    let (program, needed) = parse(&modules);
    let go = version.split_whitespace().next().unwrap_or_default();
    let mut library = Component::new(
        Kind::Library,
        "golang",
        "stdlib",
        Some(go.trim_start_matches("go")),
    );
    library.purl = Some(purl(
        "golang",
        "",
        "stdlib",
        library.version.as_deref(),
        &[],
    ));
    let file = (file.0.to_owned(), file.1.to_owned());
    let owner = program.map(|mut program| {
        program.kind = Kind::Application;
        program.files.extend([file.clone()]);
        program
    });
    for mut component in needed.into_iter().chain([library]) {
        match &owner {
            Some(owner) => component.needed_by.extend([owner.reference()]),
            None => component.files.extend([file.clone()]),
        }
        inventory.add(component);
    }
    if let Some(owner) = owner {
        inventory.add(owner);
    }
}

/// Go's version and the lines of the modules.
fn texts(data: &[u8]) -> Option<(String, String)> {
    let is_inline = data.get(15)? & 2 != 0;
    if !data.starts_with(GO_MAGIC) || !is_inline {
        return None;
    }
    let (version, rest) = text(data.get(TEXTS..)?)?;
    let (modules, _) = text(rest).unwrap_or_default();
    let end = modules.len().saturating_sub(MARK);
    let modules = modules.get(MARK..end).unwrap_or_default();
    let lossy = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Some((lossy(version), lossy(modules)))
}

/// A text behind its length, and what follows.
fn text(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut length, mut shift) = (0_u64, 0_u32);
    let mut rest = data;
    loop {
        let (byte, behind) = rest.split_first()?;
        rest = behind;
        length |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            break;
        }
        shift = shift.checked_add(7).filter(|shift| *shift < 63)?;
    }
    rest.split_at_checked(usize::try_from(length).ok()?)
}

/// The program's module and the others.
fn parse(lines: &str) -> (Option<Component>, Vec<Component>) {
    let (mut program, mut needed) = (None, Vec::new());
    // Whether the last line was about the program.
    let mut is_program = false;
    for line in lines.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let Some((kind, [path, rest @ ..])) = fields.split_first() else {
            continue;
        };
        let version = rest.first().copied().unwrap_or_default();
        let component = || component(path, version, rest.get(1).copied().unwrap_or_default());
        match *kind {
            "mod" => (program, is_program) = (Some(component()), true),
            "dep" => {
                needed.push(component());
                is_program = false;
            }
            "=>" if is_program => program = Some(component()),
            "=>" => {
                // What is inside is the replacement.
                needed.pop();
                needed.push(component());
            }
            _ => {}
        }
    }
    (program, needed)
}

/// A replacement may be a directory, which has no version and is in no registry.
fn component(path: &str, version: &str, sum: &str) -> Component {
    let version = Some(version).filter(|version| *version != NO_VERSION);
    let mut out = Component::new(Kind::Library, "golang", path, version);
    if !path.starts_with(['.', '/']) {
        let lower = out.name.to_lowercase();
        let (namespace, name) = lower.rsplit_once('/').unwrap_or(("", &lower));
        out.purl = Some(purl("golang", namespace, name, out.version.as_deref(), &[]));
    } else {
        // It is a place on the machine that built the program.
        out.name = "(replaced by a directory)".into();
    }
    // SHA-256 of a list of files and their digests: golang.org/x/mod/sumdb/dirhash.
    let digest = sum.strip_prefix("h1:").map(str::as_bytes);
    let digest = digest.and_then(base64::decode).filter(|it| it.len() == 32);
    out.hash = digest.map(|digest| ("SHA-256", hex_of(&digest)));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUM: &str = "h1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

    fn information(version: &str, modules: &str) -> Vec<u8> {
        let mut out = GO_MAGIC.to_vec();
        out.extend([8, 2]);
        out.resize(TEXTS, 0);
        let mark = "0".repeat(MARK);
        for text in [version.to_owned(), format!("{mark}{modules}{mark}")] {
            let mut length = text.len();
            while length >= 0x80 {
                out.push(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
                length >>= 7;
            }
            out.push(u8::try_from(length).unwrap_or(0));
            out.extend(text.bytes());
        }
        out
    }

    fn references(data: &[u8]) -> Vec<String> {
        let mut out = Inventory::default();
        list(data, ("bin/x", "00"), &mut out);
        out.components()
            .map(|(reference, _)| reference.to_owned())
            .collect()
    }

    #[test]
    fn modules_and_what_replaces_them() {
        let data = information(
            "go1.22.1 X:loopvar",
            &format!(
                "path\texample.com/x\nmod\texample.com/x\t(devel)\t\ndep\tgithub.com/A/b\tv1.2.3\t{SUM}\n\
                 dep\tgithub.com/c\tv1.0.0\n=>\tgithub.com/d\tv1.0.1\t{SUM}\n\
                 dep\tgithub.com/e\tv1.0.0\n=>\t../e\t\t\nbuild\t-compiler=gc\n"
            ),
        );
        let expected = [
            "golang:(replaced by a directory)@",
            "pkg:golang/example.com/x",
            "pkg:golang/github.com/a/b@v1.2.3",
            "pkg:golang/github.com/d@v1.0.1",
            "pkg:golang/stdlib@1.22.1",
        ];
        assert_eq!(references(&data), expected);
        let mut inventory = Inventory::default();
        list(&data, ("bin/x", "00"), &mut inventory);
        let hash = inventory.components().find_map(|(_, it)| it.hash.clone());
        assert_eq!(hash, Some(("SHA-256", "01".repeat(32))));
    }

    #[test]
    fn what_is_cut_lists_what_there_is_or_nothing() {
        let data = information("go1.22", "mod\tm\tv1\n");
        for length in 0..data.len() {
            let found = references(&data[..length]);
            assert!(found.len() <= 1, "{found:?}");
        }
        let mut old = data;
        old[15] = 0;
        assert!(references(&old).is_empty());
    }
}
