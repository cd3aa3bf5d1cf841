//! Modules of Node: `package.json` of what lies directly in a `node_modules` (a scope, which begins with `@`, is one more
//! directory), with the digests that lock files of npm have for what the registry gave out.

use std::collections::BTreeMap;

use psp_format::base64;
use psp_format::path::parent;
use serde_json::Value;

use super::licence::Licence;
use super::purl::purl;
use super::{Component, File, Inventory, Kind, MAX_METADATA, hex_of, last, read};
use crate::inputs::InputError;
use crate::printer::escape_bytes;

/// Most bytes of a lock file. One with ten thousand packages has five million.
const MAX_LOCK: u64 = 32 << 20;
/// Names of lock files; the last one is npm's own note in `node_modules`, the most exact one.
const LOCKS: [&[u8]; 3] = [
    b"npm-shrinkwrap.json",
    b"package-lock.json",
    b".package-lock.json",
];

/// Adds every module.
pub(super) fn list(files: &[File<'_>], inventory: &mut Inventory) -> Result<(), InputError> {
    let is_module = |file: &&File<'_>| {
        last(file.path) == b"package.json" && module(parent(file.path)).is_some()
    };
    let modules: Vec<&File<'_>> = files.iter().filter(is_module).collect();
    if modules.is_empty() {
        return Ok(());
    }
    let digests = digests(files)?;
    for file in modules {
        let directory = parent(file.path);
        let (text, digest) = read(file.content, MAX_METADATA)?;
        let described = serde_json::from_slice(&text).unwrap_or(Value::Null);
        let name = module(directory).unwrap_or_default();
        let mut component = component(&described, &String::from_utf8_lossy(name));
        component.files.insert(escape_bytes(file.path), digest);
        // The lock file may be about another version than the one that is there.
        let locked = digests.get(directory);
        component.hash = locked
            .filter(|locked| component.version.as_ref() == Some(&locked.version))
            .map(|locked| ("SHA-512", locked.sha512.clone()));
        inventory.add(component);
    }
    Ok(())
}

/// The name of the module in a directory, if it is the directory of one.
fn module(directory: &[u8]) -> Option<&[u8]> {
    let above = parent(directory);
    let name = last(directory);
    let (modules, name) = match last(above).first() {
        Some(b'@') => (parent(above), directory.get(parent(above).len()..)?),
        _ => (above, name),
    };
    let name = name.strip_prefix(b"/").unwrap_or(name);
    let is_name = match name.first() {
        None | Some(b'.') => false,
        // A scope alone is none.
        Some(b'@') => name.contains(&b'/'),
        Some(_) => true,
    };
    (last(modules) == b"node_modules" && is_name).then_some(name)
}

/// The component that a `package.json` describes. What it does not say, its directory does.
fn component(described: &Value, directory: &str) -> Component {
    let text = |key: &str| {
        let value = described.get(key).and_then(Value::as_str);
        value.filter(|value| !value.trim().is_empty())
    };
    let name = text("name").unwrap_or(directory);
    let mut out = Component::new(Kind::Library, "npm", name, text("version"));
    let (scope, name) = match out.name.split_once('/') {
        Some((scope, name)) if scope.starts_with('@') => (scope, name),
        _ => ("", out.name.as_str()),
    };
    out.purl = Some(purl(
        "npm",
        &scope.to_lowercase(),
        &name.to_lowercase(),
        out.version.as_deref(),
        &[],
    ));
    out.licences = licences(described);
    out
}

/// `license` is an expression, or, in old packages, an object with a `type`; older ones have a list `licenses` of these.
fn licences(described: &Value) -> Vec<Licence> {
    let of = |value: &Value| {
        let object = value.get("type").or(value.get("name"));
        let text = value.as_str().or(object.and_then(Value::as_str))?;
        Licence::stated(text)
    };
    let one = described.get("license").and_then(of);
    let all = described.get("licenses").and_then(Value::as_array);
    let several = all.into_iter().flatten().filter_map(of);
    let mut out: Vec<Licence> = one.into_iter().chain(several).collect();
    out.sort();
    out.dedup();
    out
}

/// What a lock file says of a module.
struct Locked {
    version: String,
    sha512: String,
}

/// What lock files say, by the module's directory below the work environment.
fn digests(files: &[File<'_>]) -> Result<BTreeMap<Vec<u8>, Locked>, InputError> {
    let mut out = BTreeMap::new();
    for name in LOCKS {
        for file in files.iter().filter(|file| last(file.path) == name) {
            // A module's own lock file is not about what is here.
            let directory = parent(file.path);
            let top = match name == b".package-lock.json" {
                true => parent(directory),
                false => directory,
            };
            if top
                .split(|byte| *byte == b'/')
                .any(|part| part == b"node_modules")
            {
                continue;
            }
            let (text, _) = read(file.content, MAX_LOCK)?;
            let lock: Value = serde_json::from_slice(&text).unwrap_or(Value::Null);
            let packages = lock.get("packages").and_then(Value::as_object);
            for (path, package) in packages.into_iter().flatten() {
                let path = match top.is_empty() {
                    true => path.clone().into_bytes(),
                    false => [top, b"/", path.as_bytes()].concat(),
                };
                out.extend(locked(package).map(|locked| (path, locked)));
            }
        }
    }
    Ok(out)
}

/// `integrity` is a list of digests as of <https://www.w3.org/TR/SRI/>.
fn locked(package: &Value) -> Option<Locked> {
    let integrity = package.get("integrity")?.as_str()?;
    let mut digests = integrity.split_whitespace();
    let digest = digests.find_map(|digest| digest.strip_prefix("sha512-"))?;
    let bytes = base64::decode(digest.as_bytes())?;
    Some(Locked {
        version: package.get("version")?.as_str()?.to_owned(),
        sha512: (bytes.len() == 64).then(|| hex_of(&bytes))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn directories_of_modules() {
        for (directory, name) in [
            ("app/node_modules/a", Some("a")),
            ("node_modules/a/node_modules/@s/b", Some("@s/b")),
            ("app/node_modules/.pnpm/a@1/node_modules/a", Some("a")),
            ("app/node_modules/a/lib", None),
            ("app/node_modules/.bin", None),
            ("app/node_modules/@s", None),
            ("app/node_modules", None),
            ("app", None),
        ] {
            let found = module(directory.as_bytes());
            assert_eq!(found, name.map(str::as_bytes), "{directory}");
        }
    }

    #[test]
    fn descriptions_old_and_broken() {
        let found = component(
            &json!({"name": "@S/b", "version": "1.0.0", "licenses": [{"type": "MIT"}, "ISC"]}),
            "x",
        );
        assert_eq!(found.purl.as_deref(), Some("pkg:npm/%40s/b@1.0.0"));
        assert_eq!(found.licences, [Licence::Id("ISC"), Licence::Id("MIT")]);
        let broken = component(
            &json!({"name": 7, "version": {}, "license": []}),
            "by-place",
        );
        assert_eq!((broken.name.as_str(), broken.version), ("by-place", None));
        assert_eq!(component(&Value::Null, "x").licences, []);
    }

    #[test]
    fn digests_of_the_registry() {
        let digest = "sha512-".to_owned() + &base64::encode(&[1; 64]);
        let package = json!({"version": "1", "integrity": format!("sha1-x {digest}")});
        let found = locked(&package).map(|locked| locked.sha512);
        assert_eq!(found, Some("01".repeat(64)));
        assert!(locked(&json!({"version": "1", "integrity": "sha512-AAAA"})).is_none());
        assert!(locked(&json!({"version": "1"})).is_none());
    }
}
