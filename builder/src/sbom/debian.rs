//! Which package of Debian, or of a distribution like it, the files of this machine belong to: what `dpkg-query -S` says, from
//! the files that it reads, since a library is looked for by several names.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use memchr::memmem;

use super::licence::Licence;
use super::purl::purl;
use super::{Component, Kind};

/// Where dpkg keeps what it knows.
const DATABASE: &str = "var/lib/dpkg";

/// The packages of a machine; empty on one that has no dpkg.
#[derive(Debug, Default)]
pub struct Database {
    root: PathBuf,
    /// `ID` and `ID-VERSION_ID` of `os-release`, such as `debian` and `debian-12`.
    vendor: String,
    distro: String,
    /// The paths that each package has installed, in one text, by the package's name in files: `libc6:amd64`.
    lists: BTreeMap<String, Vec<u8>>,
    /// The text of `status`, behind a line end: a paragraph for each package.
    status: String,
}

#[derive(Debug, Default)]
struct Status {
    version: String,
    architecture: String,
    source: String,
}

impl Database {
    /// That of the machine whose file system is at `root`. What cannot be read is not there.
    pub fn read(root: &Path) -> Database {
        let database = root.join(DATABASE);
        let (vendor, distro) = release(root);
        let entries = fs::read_dir(database.join("info")).into_iter().flatten();
        let lists = entries.flatten().filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let name = name.strip_suffix(".list")?.to_owned();
            let mut list = vec![b'\n'];
            list.extend(fs::read(entry.path()).ok()?);
            Some((name, list))
        });
        let status = fs::read(database.join("status")).unwrap_or_default();
        Database {
            root: root.to_owned(),
            vendor,
            distro,
            lists: lists.collect(),
            status: format!("\n{}", String::from_utf8_lossy(&status)),
        }
    }

    /// The package that a file belongs to.
    pub fn owner(&self, file: &Path) -> Option<Component> {
        let installed = names(&self.root, file).iter().find_map(|name| {
            let finder = memmem::Finder::new(name.as_bytes()).into_owned();
            let mut lists = self.lists.iter();
            lists.find(|(_, list)| finder.find(list).is_some())
        });
        let (installed, _) = installed?;
        let (name, architecture) = installed.split_once(':').unwrap_or((installed, ""));
        let status = self.status(name, architecture);
        let version = status.as_ref().map(|status| status.version.as_str());
        let mut out = Component::new(Kind::Library, "deb", name, version);
        let of = |value: fn(&Status) -> &String| status.as_ref().map_or("", |status| value(status));
        let qualifiers = [
            ("arch", of(|status| &status.architecture)),
            ("distro", self.distro.as_str()),
            ("upstream", of(|status| &status.source)),
        ];
        out.purl = Some(purl(
            "deb",
            &self.vendor,
            &out.name,
            out.version.as_deref(),
            &qualifiers,
        ));
        out.licences = self.licences(name);
        Some(out)
    }

    /// The licences of a `copyright` that is written for machines
    /// (<https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/>).
    fn licences(&self, package: &str) -> Vec<Licence> {
        let file = self
            .root
            .join("usr/share/doc")
            .join(package)
            .join("copyright");
        let text = fs::read(file).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        if !text.starts_with("Format:") {
            return Vec::new();
        }
        let lines = text
            .lines()
            .filter_map(|line| line.strip_prefix("License:"));
        let mut out: Vec<Licence> = lines.filter_map(Licence::named).collect();
        out.sort();
        out.dedup();
        out
    }
}

/// The lines, with what ends the one before, that say that a package has installed a file: by its own name, and by that without
/// `/usr`, where `/lib` is a link there.
fn names(root: &Path, file: &Path) -> Vec<String> {
    let real = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let mut out = Vec::new();
    for path in [real.as_path(), file] {
        let inside = path.strip_prefix(root).unwrap_or(path);
        let name = Path::new("/").join(inside).to_string_lossy().into_owned();
        let other = match name.strip_prefix("/usr") {
            Some(short) => short.to_owned(),
            None => format!("/usr{name}"),
        };
        for name in [name, other].map(|name| format!("\n{name}\n")) {
            if !out.contains(&name) {
                out.push(name);
            }
        }
    }
    out
}

impl Database {
    /// What is said of the package of this name, for this architecture unless that is empty.
    fn status(&self, name: &str, architecture: &str) -> Option<Status> {
        let line = format!("\nPackage: {name}\n");
        let paragraphs = memmem::find_iter(self.status.as_bytes(), line.as_bytes());
        let mut all = paragraphs.filter_map(|at| {
            let text = self.status.get(at + 1..)?;
            let paragraph = text.split("\n\n").next()?;
            let field = |name: &str| {
                let mut lines = paragraph.lines();
                let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                value.unwrap_or_default()
            };
            Some(Status {
                version: field("Version").into(),
                architecture: field("Architecture").into(),
                // `name (version)` where the source has another version than what was built of it.
                source: field("Source").replace(" (", "@").replace(')', ""),
            })
        });
        all.find(|status| architecture.is_empty() || status.architecture == architecture)
    }
}

/// The distribution, as `os-release` names it.
fn release(root: &Path) -> (String, String) {
    let text = fs::read_to_string(root.join("etc/os-release")).unwrap_or_default();
    let value = |key: &str| {
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        value.map(|value| value.trim_matches(['"', '\'']).to_owned())
    };
    let vendor = value("ID").unwrap_or_else(|| "debian".into());
    let distro = value("VERSION_ID").map(|version| format!("{vendor}-{version}"));
    (vendor, distro.unwrap_or_default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_package_of_a_library_is_found_by_any_of_its_names() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let put = |name: &str, text: &str| {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n");
        put(
            "var/lib/dpkg/info/libx1:amd64.list",
            "/.\n/lib/libx.so.1.2\n/lib/libx.so.1\n",
        );
        put("var/lib/dpkg/info/y.list", "/.\n/usr/lib/libx.so.1.2.3\n");
        put(
            "var/lib/dpkg/status",
            "Package: libx1\nArchitecture: amd64\nSource: x (1.2)\nVersion: 1.2-3+b1\nDescription: a\n b\n\nPackage: y\n",
        );
        put(
            "usr/share/doc/libx1/copyright",
            "Format: x\n\nFiles: *\nLicense: Expat\n text\n\nFiles: b\nLicense: zlib\n",
        );
        put("usr/lib/libx.so.1.2", "");
        std::os::unix::fs::symlink("libx.so.1.2", root.join("usr/lib/libx.so.1")).unwrap();
        std::os::unix::fs::symlink("usr/lib", root.join("lib")).unwrap();
        let database = Database::read(&root);
        for file in ["lib/libx.so.1", "usr/lib/libx.so.1", "usr/lib/libx.so.1.2"] {
            let found = database.owner(&root.join(file)).unwrap();
            assert_eq!(
                found.purl.as_deref(),
                Some(
                    "pkg:deb/debian/libx1@1.2-3%2Bb1?arch=amd64&distro=debian-12&upstream=x%401.2"
                )
            );
            let licences: Vec<&str> = found.licences.iter().map(Licence::text).collect();
            assert_eq!(licences, ["Zlib", "Expat"]);
        }
        assert!(database.owner(&root.join("usr/lib/libz.so")).is_none());
        assert!(
            Database::read(&root.join("etc"))
                .owner(Path::new("/x"))
                .is_none()
        );
    }
}
