//! `SHA256SUMS`: a line for each file of a directory, as `sha256sum` writes and checks them.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use psp_format::digest::Digest;
use psp_format::range::{Range, widen};
use tempfile::NamedTempFile;

use crate::error::Error;
use crate::package_file::{PackageFile, plain};

/// Name of the file.
const NAME: &str = "SHA256SUMS";
/// Most bytes of it that are read: some 10,000 lines.
const MAX: u64 = 1 << 20;

/// The digest of a package that was written, where somebody asks for it; its line is written where it should be.
pub fn of_written(package: &Path, report: bool, line: bool) -> Result<Option<Digest>, Error> {
    if !report && !line {
        return Ok(None);
    }
    let digest = digest(package)?;
    if line {
        write(package, &digest)?;
    }
    Ok(Some(digest))
}

/// The digest of a whole file.
fn digest(path: &Path) -> Result<Digest, Error> {
    let file = PackageFile::open(path)?;
    // No file is so large that this has no end.
    match Range::new(0, file.size()) {
        Some(whole) => Ok(file.digest(whole, &|_| {})?),
        None => Ok(Digest::of(&[])),
    }
}

/// Writes the line of `package` into the file beside it, in place of an earlier one. Other lines stay as they are.
fn write(package: &Path, digest: &Digest) -> Result<(), Error> {
    let parent = package
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let path = package.with_file_name(NAME);
    let name = package.file_name().unwrap_or_default();
    let failed = |source| Error::Write {
        path: PathBuf::from(&path),
        source: plain(source),
    };
    let old = read(&path).map_err(failed)?;
    let new = with_line(&old, name.as_encoded_bytes(), digest);
    let put = || -> io::Result<()> {
        let mut file = NamedTempFile::new_in(parent)?;
        file.write_all(&new)?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        file.as_file().set_permissions(mode)?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(())
    };
    put().map_err(failed)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(bytes),
        Err(error) => return Err(error),
        Ok(data) if !data.is_file() => {
            return Err(io::Error::other("it is not a regular file"));
        }
        Ok(_) => {}
    }
    File::open(path)?
        .take(MAX.saturating_add(1))
        .read_to_end(&mut bytes)?;
    match widen(bytes.len()) > MAX {
        true => Err(io::ErrorKind::FileTooLarge.into()),
        false => Ok(bytes),
    }
}

/// The lines with that of `name` replaced, or added at the end.
fn with_line(old: &[u8], name: &[u8], digest: &Digest) -> Vec<u8> {
    let (mark, name) = escaped(name);
    let line = [
        mark.as_bytes(),
        digest.to_string().as_bytes(),
        b"  ",
        &name,
        b"\n",
    ]
    .concat();
    let is_same = |line: &[u8]| {
        // Digest, blank, and a blank for text or `*` for binary.
        let line = line.strip_prefix(b"\\").unwrap_or(line);
        let (_, rest) = line.split_at_checked(64).unwrap_or_default();
        let rest = rest.strip_prefix(b" ").unwrap_or_default();
        matches!(rest.split_first(), Some((b' ' | b'*', found)) if found == name)
    };
    let (mut out, mut placed) = (Vec::new(), false);
    for old in old
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        if !is_same(old) {
            out.extend_from_slice(old);
            out.push(b'\n');
        } else if !std::mem::replace(&mut placed, true) {
            out.extend_from_slice(&line);
        }
    }
    if !placed {
        out.extend_from_slice(&line);
    }
    out
}

/// A name as `sha256sum` writes it: with a mark before the line where it has a character that would end one.
fn escaped(name: &[u8]) -> (&'static str, Vec<u8>) {
    let mut out = Vec::with_capacity(name.len());
    for &byte in name {
        match byte {
            b'\\' => out.extend(b"\\\\"),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            other => out.push(other),
        }
    }
    let mark = if out == name { "" } else { "\\" };
    (mark, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(old: &str, name: &str, text: &str) -> String {
        let new = with_line(
            old.as_bytes(),
            name.as_bytes(),
            &Digest::of(text.as_bytes()),
        );
        String::from_utf8(new).unwrap_or_default()
    }

    #[test]
    fn one_line_for_each_name() {
        let digest = |text: &str| Digest::of(text.as_bytes()).to_string();
        let first = with("", "a.psp", "1");
        assert_eq!(first, format!("{}  a.psp\n", digest("1")));
        let two = with(&first, "b.psp", "2");
        assert_eq!(two, format!("{first}{}  b.psp\n", digest("2")));
        let again = with(&two, "a.psp", "3");
        assert_eq!(
            again,
            format!("{}  a.psp\n{}  b.psp\n", digest("3"), digest("2"))
        );
        let binary = format!("{} *a.psp", digest("0"));
        assert_eq!(with(&binary, "a.psp", "1"), first);
    }

    #[test]
    fn names_that_would_end_a_line() {
        let digest = Digest::of(b"1").to_string();
        let once = with("", "a\n\\b", "1");
        assert_eq!(once, format!("\\{digest}  a\\n\\\\b\n"));
        assert_eq!(with(&once, "a\n\\b", "1"), once);
    }
}
