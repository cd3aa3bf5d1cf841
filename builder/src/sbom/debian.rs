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
    /// The paragraphs of `status`, by the same names.
    status: BTreeMap<String, Status>,
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
            status: paragraphs(&String::from_utf8_lossy(&status)),
        }
    }

    /// The package that a file belongs to.
    pub fn owner(&self, file: &Path) -> Option<Component> {
        let names = names(&self.root, file);
        let has = |list: &Vec<u8>| {
            let mut lines = names.iter();
            lines.any(|name| memmem::find(list, format!("\n{name}\n").as_bytes()).is_some())
        };
        let (installed, _) = self.lists.iter().find(|(_, list)| has(list))?;
        let name = installed.split(':').next().unwrap_or(installed);
        let status = self.status.get(installed).or(self.status.get(name));
        let version = status.map(|status| status.version.as_str());
        let mut out = Component::new(Kind::Library, "deb", name, version);
        let of = |value: fn(&Status) -> &String| status.map_or("", |status| value(status));
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

/// The names that a package may have installed a file by: its own, and that without `/usr` where `/lib` is a link there.
fn names(root: &Path, file: &Path) -> Vec<String> {
    let real = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let mut out = Vec::new();
    for path in [real.as_path(), file] {
        let inside = path.strip_prefix(root).unwrap_or(path);
        let name = Path::new("/").join(inside).to_string_lossy().into_owned();
        let short = name
            .strip_prefix("/usr")
            .filter(|short| short.starts_with("/lib"));
        out.extend(short.map(str::to_owned));
        if !name.starts_with("/usr/") {
            out.push(format!("/usr{name}"));
        }
        out.push(name);
    }
    out
}

/// The fields that matter of what is installed, by name and by `name:architecture`.
fn paragraphs(text: &str) -> BTreeMap<String, Status> {
    let mut out = BTreeMap::new();
    for paragraph in text.split("\n\n") {
        let field = |name: &str| {
            let mut lines = paragraph.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        let Some((name, version)) = field("Package").zip(field("Version")) else {
            continue;
        };
        let architecture = field("Architecture").unwrap_or_default();
        let status = || Status {
            version: version.into(),
            architecture: architecture.into(),
            // `name (version)` where the source has another version than what was built of it.
            source: field("Source")
                .unwrap_or_default()
                .replace(" (", "@")
                .replace(')', ""),
        };
        out.insert(format!("{name}:{architecture}"), status());
        out.insert(name.to_owned(), status());
    }
    out
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
