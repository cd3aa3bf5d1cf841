//! Crates in a program that was built with `cargo auditable`.

use std::io::Read as _;

use flate2::read::ZlibDecoder;
use serde::Deserialize;

use super::purl::purl;
use super::{Component, Inventory, Kind};

/// Most bytes of the decompressed document; those of the largest programs have some hundred thousand. `auditable-info` has the
/// same limit.
const MAX_DOCUMENT: u64 = 8 << 20;

/// Most needs of one for another that are written down. Real programs have a few thousand.
const MAX_NEEDS: usize = 1 << 17;

/// The document: <https://github.com/rust-secure-code/cargo-auditable/blob/master/cargo-auditable.schema.json>.
#[derive(Deserialize)]
struct Document {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    /// `crates.io`, `git`, `local`, `registry`, or what may come.
    source: String,
    /// `build` for what helped to build and is not inside.
    #[serde(default)]
    kind: Option<String>,
    /// Positions in the list.
    #[serde(default)]
    dependencies: Vec<usize>,
    #[serde(default)]
    root: bool,
}

/// Adds the crates that the section `data` of a program names; `file` is its path and its SHA-256.
pub(super) fn list(data: &[u8], file: (&str, &str), inventory: &mut Inventory) {
    let mut text = Vec::new();
    let decoder = ZlibDecoder::new(data);
    if decoder.take(MAX_DOCUMENT).read_to_end(&mut text).is_err() {
        return;
    }
    let Ok(document) = serde_json::from_slice::<Document>(&text) else {
        return;
    };
    let has_root = document.packages.iter().any(|package| package.root);
    let mut components: Vec<Component> = document
        .packages
        .iter()
        .map(|package| {
            let mut component = component(package);
            if package.root || !has_root {
                component.files.insert(file.0.into(), file.1.into());
            }
            component
        })
        .collect();
    let mut left = MAX_NEEDS;
    for (package, needs) in document.packages.iter().enumerate() {
        let Some(reference) = components.get(package).map(Component::reference) else {
            continue;
        };
        for needed in needs.dependencies.iter().take(left) {
            if let Some(component) = components.get_mut(*needed).filter(|_| *needed != package) {
                component.needed_by.insert(reference.clone());
            }
        }
        left = left.saturating_sub(needs.dependencies.len());
    }
    for component in components {
        inventory.add(component);
    }
}

/// Of crates that no registry has, only the program itself has a package URL: others may have the name of something else.
fn component(package: &Package) -> Component {
    let kind = match package.root {
        true => Kind::Application,
        false => Kind::Library,
    };
    let mut out = Component::new(kind, "cargo", &package.name, Some(&package.version));
    if package.root || package.source == "crates.io" {
        out.purl = Some(purl("cargo", "", &out.name, out.version.as_deref(), &[]));
    }
    out.is_for_build = package.kind.as_deref() == Some("build");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use std::io::Write as _;

    fn listed(text: &str) -> Inventory {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        let _ = encoder.write_all(text.as_bytes());
        let mut out = Inventory::default();
        list(
            &encoder.finish().unwrap_or_default(),
            ("bin/x", "00"),
            &mut out,
        );
        out
    }

    #[test]
    fn crates_and_what_needs_them() {
        let found = listed(
            r#"{"packages":[
                {"name":"a","version":"1.0.0","source":"crates.io","kind":"build"},
                {"name":"b","version":"2.0.0","source":"git","dependencies":[0]},
                {"name":"x","version":"0.1.0","source":"local","dependencies":[1,0,9],"root":true}]}"#,
        );
        let all: Vec<(&str, &Component)> = found.components().collect();
        let references: Vec<&str> = all.iter().map(|(reference, _)| *reference).collect();
        assert_eq!(
            references,
            ["cargo:b@2.0.0", "pkg:cargo/a@1.0.0", "pkg:cargo/x@0.1.0"]
        );
        let needed_by: Vec<usize> = all.iter().map(|(_, it)| it.needed_by.len()).collect();
        assert_eq!(needed_by, [1, 2, 0]);
        assert!(all[1].1.is_for_build && !all[0].1.is_for_build);
        assert_eq!(all[2].1.files.len(), 1);
    }

    #[test]
    fn what_is_no_document_lists_nothing() {
        for text in ["", "{", "[]", "{\"packages\":[{}]}"] {
            assert!(listed(text).is_empty(), "{text}");
        }
        let mut out = Inventory::default();
        list(b"no zlib", ("x", "00"), &mut out);
        assert!(out.is_empty());
    }
}
