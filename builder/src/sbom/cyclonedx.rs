//! The SBOM as a document: CycloneDX 1.5 in JSON (<https://cyclonedx.org/docs/1.5/json/>).
//!
//! The same inventory gives the same bytes: components are in the order of their references, keys in that of their names, the
//! serial number is made of the digest of everything else, and the time is the package's build time, if it has one.

use std::collections::BTreeMap;

use psp_format::digest::Digest;
use psp_format::instant;
use serde_json::{Map, Value, json};

use super::purl::purl;
use super::{Component, Hidden, Inventory, Kind, Licence};
use crate::manifest::Package;
use crate::printer::printable_json;

/// Reference of the package itself.
const PACKAGE: &str = "package";

/// The document, in one line.
pub fn document(package: &Package, inventory: &Inventory, build_time: Option<u64>) -> Vec<u8> {
    let mut metadata = Map::new();
    if let Some(time) = build_time {
        metadata.insert("timestamp".into(), instant::to_text(time).into());
    }
    let flavor = json!({
        "type": "application",
        "name": "flavor",
        "version": env!("CARGO_PKG_VERSION"),
    });
    metadata.insert("tools".into(), json!({ "components": [flavor] }));
    metadata.insert("component".into(), described(package));
    let components: Vec<Value> = inventory
        .components()
        .map(|(reference, component)| written(reference, component))
        .collect();
    let mut document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": metadata,
        "components": components,
        "dependencies": dependencies(inventory),
    });
    let serial = serial(&Digest::of(document.to_string().as_bytes()));
    if let Some(fields) = document.as_object_mut() {
        fields.insert("serialNumber".into(), serial.into());
    }
    text(&document)
}

/// A document as it is stored: one line, with an escape for everything that a terminal may obey.
pub(super) fn text(document: &Value) -> Vec<u8> {
    let mut out = printable_json(&document.to_string());
    out.push('\n');
    out.into_bytes()
}

/// A UUID of the kind that means what its maker wants (RFC 9562, 5.8).
fn serial(digest: &Digest) -> String {
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(digest.0) {
        *to = from;
    }
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = super::hex_of(&bytes);
    let mut out = String::from("urn:uuid:");
    for (at, digit) in hex.chars().enumerate() {
        if [8, 12, 16, 20].contains(&at) {
            out.push('-');
        }
        out.push(digit);
    }
    out
}

/// The package.
fn described(package: &Package) -> Value {
    let mut out = json!({
        "type": "application",
        "bom-ref": PACKAGE,
        "name": package.name,
        "version": package.version,
        "purl": purl("generic", "", &package.name, Some(&package.version), &[]),
    });
    if let Some(fields) = out.as_object_mut() {
        if let Some(description) = &package.description {
            fields.insert("description".into(), description.as_str().into());
        }
        if !package.authors.is_empty() {
            fields.insert("author".into(), package.authors.join(", ").into());
        }
        let licence = package.license.as_deref().and_then(Licence::stated);
        if let Some(licence) = licence {
            fields.insert("licenses".into(), licences(&[licence]));
        }
    }
    out
}

fn written(reference: &str, component: &Component) -> Value {
    let kind = match component.kind {
        Kind::Application => "application",
        Kind::Library => "library",
    };
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| {
        out.insert(key.to_owned(), value);
    };
    put("type", kind.into());
    put("bom-ref", reference.into());
    match component.name.split_once('/') {
        Some((scope, name)) if component.ecosystem == "npm" && scope.starts_with('@') => {
            put("group", scope.into());
            put("name", name.into());
        }
        _ => put("name", component.name.as_str().into()),
    }
    if let Some(version) = &component.version {
        put("version", version.as_str().into());
    }
    if let Some(purl) = &component.purl {
        put("purl", purl.as_str().into());
    }
    if let Some(cpe) = &component.cpe {
        put("cpe", cpe.as_str().into());
    }
    if component.is_for_build {
        put("scope", "excluded".into());
    }
    if !component.licences.is_empty() {
        put("licenses", licences(&component.licences));
    }
    if let Some((algorithm, digest)) = &component.hash {
        put("hashes", json!([{ "alg": algorithm, "content": digest }]));
    }
    let file = |(path, digest): (&String, &String)| {
        json!({
            "type": "file",
            "name": path,
            "hashes": [{ "alg": "SHA-256", "content": digest }],
        })
    };
    let files: Vec<Value> = component.files.iter().map(file).collect();
    if !files.is_empty() {
        put("components", files.into());
    }
    if let Some(hidden) = component.hidden {
        let name = match hidden {
            Hidden::Vendored => "flavor:vendored",
            Hidden::Wheel => "flavor:wheel",
        };
        let property = json!({ "name": name, "value": "true" });
        put("properties", json!([property]));
    }
    Value::Object(out)
}

/// An expression stands alone; where there are several licences, each is an object of its own.
fn licences(all: &[Licence]) -> Value {
    if let [Licence::Expression(text)] = all {
        return json!([{ "expression": text }]);
    }
    let one = |licence: &Licence| match licence {
        Licence::Id(id) => json!({ "license": { "id": id } }),
        Licence::Expression(text) | Licence::Name(text) => json!({ "license": { "name": text } }),
    };
    all.iter().map(one).collect()
}

/// The package depends on everything that nothing else in it is known to need.
fn dependencies(inventory: &Inventory) -> Vec<Value> {
    let mut of_package = Vec::new();
    let mut needs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (reference, component) in inventory.components() {
        if component.needed_by.is_empty() {
            of_package.push(reference);
        }
        for parent in &component.needed_by {
            needs.entry(parent).or_default().push(reference);
        }
    }
    let all = std::iter::once((PACKAGE, of_package)).chain(needs);
    all.map(|(from, to)| json!({ "ref": from, "dependsOn": to }))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn package() -> Package {
        Package {
            name: "demo".into(),
            version: "1".into(),
            description: None,
            license: Some("MIT OR Zlib".into()),
            homepage: None,
            authors: vec!["A".into(), "B".into()],
        }
    }

    fn inventory() -> Inventory {
        let mut out = Inventory::default();
        for (name, parent) in [
            ("@s/b\u{1b}\u{9b}\u{202e}", None),
            ("c", Some("d")),
            ("d", None),
        ] {
            let mut component = Component::new(Kind::Library, "npm", name, Some("1"));
            component.purl = (name.len() == 1).then(|| name.to_owned());
            component.needed_by = parent.map(str::to_owned).into_iter().collect();
            component.licences = ["MIT", "x y"]
                .iter()
                .filter_map(|text| Licence::stated(text))
                .collect();
            out.add(component);
        }
        out
    }

    #[test]
    fn a_document_depends_on_its_content_and_on_nothing_else() {
        let document = |time| document(&package(), &inventory(), time);
        assert_eq!(document(None), document(None));
        assert_ne!(document(None), document(Some(0)));
        let read: Value = serde_json::from_slice(&document(Some(1))).unwrap();
        assert_eq!(read["metadata"]["timestamp"], "1970-01-01T00:00:01Z");
        assert_eq!(read["metadata"]["component"]["author"], "A, B");
        let serial = read["serialNumber"].as_str().unwrap();
        assert_eq!((serial.len(), &serial[23..24]), (45, "8"));
        let depends = json!([{"ref": "package", "dependsOn": ["d", "npm:@s/b\u{1b}\u{9b}\u{202e}@1"]},
                             {"ref": "d", "dependsOn": ["c"]}]);
        assert_eq!(read["dependencies"], depends);
    }

    #[test]
    fn nothing_in_it_is_obeyed_by_a_terminal() {
        let text = String::from_utf8(document(&package(), &inventory(), None)).unwrap();
        assert!(text.is_ascii() && text.ends_with("}\n"));
        let controls = text.trim_end().chars().filter(|c| c.is_control());
        assert_eq!(controls.count(), 0);
        let read: Value = serde_json::from_str(&text).unwrap();
        let first = &read["components"][2];
        assert_eq!(
            (&first["group"], &first["name"]),
            (&json!("@s"), &json!("b\u{1b}\u{9b}\u{202e}"))
        );
    }
}
