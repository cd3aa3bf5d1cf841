//! Distributions of Python: `NAME-VERSION.dist-info` with its `METADATA`
//! (<https://packaging.python.org/en/latest/specifications/core-metadata/>), and `.egg-info` of old tools.

use std::collections::{BTreeMap, BTreeSet};

use psp_format::path::parent;

use super::licence::Licence;
use super::purl::purl;
use super::{Component, File, Hidden, Inventory, Kind, MAX_METADATA, last, read};
use crate::inputs::InputError;
use crate::printer::escape_bytes;

const DIST_INFO: &str = ".dist-info";
const EGG_INFO: &str = ".egg-info";
const WHEEL: &str = ".whl";

/// A licence that is longer is its whole text, which some put where its name belongs.
const MAX_LICENCE: usize = 100;

/// The files of one distribution that are looked at.
#[derive(Default)]
struct Found<'a> {
    metadata: Option<&'a File<'a>>,
    record: Option<&'a File<'a>>,
}

/// Adds every distribution. One that lies somewhere below a directory with others, as in `setuptools/_vendor`, is a copy
/// that one of them carries for itself: no interpreter lists it.
pub(super) fn list(files: &[File<'_>], inventory: &mut Inventory) -> Result<(), InputError> {
    let mut found: BTreeMap<&[u8], Found<'_>> = BTreeMap::new();
    for file in files {
        let directory = parent(file.path);
        let (in_dist, in_egg) = (
            directory.ends_with(DIST_INFO.as_bytes()),
            directory.ends_with(EGG_INFO.as_bytes()),
        );
        match last(file.path) {
            b"METADATA" if in_dist => found.entry(directory).or_default().metadata = Some(file),
            b"RECORD" if in_dist => found.entry(directory).or_default().record = Some(file),
            b"PKG-INFO" if in_egg => found.entry(directory).or_default().metadata = Some(file),
            name if name.ends_with(EGG_INFO.as_bytes()) => {
                found.entry(file.path).or_default().metadata = Some(file);
            }
            _ => {}
        }
    }
    let sites: BTreeSet<&[u8]> = found.keys().map(|directory| parent(directory)).collect();
    for (directory, of_one) in found {
        let Some(metadata) = of_one.metadata else {
            continue;
        };
        let (text, digest) = read(metadata.content, MAX_METADATA)?;
        let mut component = component(&String::from_utf8_lossy(&text), last(directory));
        component.files.insert(escape_bytes(metadata.path), digest);
        if let Some(record) = of_one.record {
            let (_, digest) = read(record.content, 0)?;
            component.files.insert(escape_bytes(record.path), digest);
        }
        let is_copy = above(parent(directory)).any(|above| sites.contains(above));
        component.hidden = is_copy.then_some(Hidden::Vendored);
        inventory.add(component);
    }
    Ok(())
}

/// The directories above one, the nearest first.
fn above(directory: &[u8]) -> impl Iterator<Item = &[u8]> {
    fn up<'p>(directory: &&'p [u8]) -> Option<&'p [u8]> {
        (!directory.is_empty()).then(|| parent(directory))
    }
    std::iter::successors(up(&directory), up)
}

/// The component that the text of a distribution's metadata describes. What it does not say, the name of its directory may.
pub(super) fn component(text: &str, directory: &[u8]) -> Component {
    let headers = headers(text);
    let first = |name: &str| {
        let mut values = headers.iter().filter(|(key, _)| key == name);
        values
            .next()
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    };
    let directory = String::from_utf8_lossy(directory);
    let stem = directory
        .strip_suffix(DIST_INFO)
        .or(directory.strip_suffix(EGG_INFO))
        .or(directory.strip_suffix(WHEEL))
        .unwrap_or(&directory);
    let (of_name, of_version) = stem.split_once('-').map_or((stem, None), |(name, rest)| {
        // An egg has the interpreter's version behind its own, a wheel what it is for.
        (name, rest.split('-').next())
    });
    let (name, version) = (
        first("name").unwrap_or(of_name),
        first("version").or(of_version),
    );
    let mut out = Component::new(Kind::Library, "pypi", name, version);
    let normal = out.name.to_lowercase().replace('_', "-");
    out.purl = Some(purl("pypi", "", &normal, out.version.as_deref(), &[]));
    out.licences = licences(&headers, first("license-expression"), first("license"));
    out
}

/// The expression that newer metadata has, or else classifiers, which mean the same to everybody, or else the free text.
fn licences(
    headers: &[(String, String)],
    expression: Option<&str>,
    free: Option<&str>,
) -> Vec<Licence> {
    if let Some(stated) = expression.and_then(Licence::stated) {
        return vec![stated];
    }
    let classifiers = headers.iter().filter(|(key, _)| key == "classifier");
    let of_licences: BTreeSet<Licence> = classifiers
        .filter_map(|(_, value)| value.strip_prefix("License :: "))
        .filter_map(|value| value.rsplit(" :: ").next())
        .filter(|value| *value != "OSI Approved")
        .filter_map(Licence::classified)
        .collect();
    let free = free.filter(|text| text.len() <= MAX_LICENCE && !text.contains('\n'));
    let free = free.filter(|text| !text.eq_ignore_ascii_case("unknown"));
    match (of_licences.is_empty(), free) {
        (true, Some(text)) => Licence::named(text).into_iter().collect(),
        _ => of_licences.into_iter().collect(),
    }
}

/// The headers, with names in lower case, up to the empty line that ends them. A line that begins with white space
/// continues the one before.
fn headers(text: &str) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        if line.is_empty() {
            break;
        }
        match (
            line.starts_with([' ', '\t']),
            line.split_once(':'),
            out.last_mut(),
        ) {
            (true, _, Some((_, value))) => {
                value.push('\n');
                value.push_str(line.trim());
            }
            (false, Some((name, value)), _) => {
                out.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_of_several_ages() {
        let text = "Metadata-Version: 2.1\nName: Zope.Interface_x\nVersion: 1.0\nLicense: MIT\n\
                    Classifier: License :: OSI Approved :: BSD License\n\nName: body\n";
        let found = component(text, b"whatever.dist-info");
        assert_eq!(found.name, "Zope.Interface_x");
        assert_eq!(found.purl.as_deref(), Some("pkg:pypi/zope.interface-x@1.0"));
        assert_eq!(found.licences, [Licence::Name("BSD License".into())]);

        let newer = component(
            "name: a\nversion: 2\nlicense-expression: MIT OR Zlib\n",
            b"a",
        );
        assert_eq!(newer.licences, [Licence::Expression("MIT OR Zlib".into())]);
        let whole = component("Name: a\nLicense: Permission is\n  hereby granted\n", b"a");
        assert_eq!((whole.licences.len(), whole.version), (0, None));
        let free = component("Name: a\nLicense: mit\n", b"a");
        assert_eq!(free.licences, [Licence::Id("MIT")]);
    }

    #[test]
    fn copies_lie_below_a_directory_with_others() {
        let content = crate::inputs::Content::bytes(b"Version: 1\n".to_vec());
        let paths = [
            "app/lib/a-1.dist-info/METADATA",
            "app/lib/a/_vendor/b-1.dist-info/METADATA",
            "app/library/c-1.dist-info/METADATA",
            "rt/lib/d-1.dist-info/METADATA",
        ];
        let files = paths.map(|path| File {
            slot: "s",
            inside: path.as_bytes(),
            path: path.as_bytes(),
            content: &content,
        });
        let mut found = Inventory::default();
        assert!(list(&files, &mut found).is_ok());
        let hidden = found
            .components()
            .map(|(_, it)| (it.name.as_str(), it.hidden));
        let b = Some(Hidden::Vendored);
        assert!(hidden.eq([("a", None), ("b", b), ("c", None), ("d", None)]));
    }

    #[test]
    fn what_is_no_metadata_is_known_by_its_directory() {
        for (directory, name, version) in [
            ("some_thing-1.2.dist-info", "some_thing", Some("1.2")),
            ("old-0.9-py3.11.egg-info", "old", Some("0.9")),
            ("bare.egg-info", "bare", None),
            ("a_b-3-py3-none-any.whl", "a_b", Some("3")),
        ] {
            let found = component("\u{fffd}\u{0}", directory.as_bytes());
            assert_eq!(
                (found.name.as_str(), found.version.as_deref()),
                (name, version)
            );
        }
    }
}
