//! Copies of projects: what their tools work in, so that nothing is left in the originals, without what is nobody's but the
//! owner's.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{RECIPE_DIRECTORY, RecipeError};
use crate::signer::{PEM_LINE, begins_private_key};

/// What tools make and find anew, and what is for them alone.
const LEFT_OUT: [&str; 8] = [
    "node_modules",
    "__pycache__",
    ".venv",
    "venv",
    ".tox",
    ".nox",
    ".mypy_cache",
    ".pytest_cache",
];

/// Copies a directory. Links stay links, but for those that leave their directory. Left out are packages, directories that recipes work in (TMPDIR may lie in the
/// project), private keys, `.env` and its kind, and at the top what `left_out` says.
///
/// # Errors
///
/// When something cannot be read or written.
pub(super) fn project(
    from: &Path,
    to: &Path,
    left_out: &dyn Fn(&str) -> bool,
) -> Result<(), RecipeError> {
    let unreadable = |error| RecipeError::read(from, error);
    fs::create_dir_all(to).map_err(|error| RecipeError::write(to, error))?;
    for entry in fs::read_dir(from).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        if is_left_out(&text) || left_out(&text) {
            continue;
        }
        let (source, target) = (entry.path(), to.join(&name));
        let kind = entry.file_type().map_err(unreadable)?;
        let written = |error| RecipeError::write(&target, error);
        if kind.is_dir() {
            project(&source, &target, &|_| false)?;
        } else if kind.is_symlink() && !leaves(&source) {
            let link = fs::read_link(&source).map_err(unreadable)?;
            symlink(link, &target).map_err(written)?;
        } else if source.is_file() && !is_private_key(&source) {
            // What a link that leaves the project leads to is a file of the project, too.
            fs::copy(&source, &target).map_err(|error| RecipeError::read(&source, error))?;
        }
    }
    Ok(())
}

/// Whether a link leads, most likely, out of the project: then it would not do so from the copy.
fn leaves(link: &Path) -> bool {
    let target = fs::read_link(link).unwrap_or_default();
    target.is_absolute() || target.starts_with("..")
}

fn is_left_out(name: &str) -> bool {
    let is_env = name == ".env" || name.starts_with(".env.");
    LEFT_OUT.contains(&name)
        || name.starts_with(RECIPE_DIRECTORY)
        || name.ends_with(".psp")
        || is_env
}

/// Whether a file is a private key. `flavor keygen` puts them where it is started.
fn is_private_key(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(PEM_LINE).read_to_end(&mut start));
    read.is_ok() && begins_private_key(&start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_owners_stays_there() {
        let place = tempfile::tempdir().unwrap_or_else(|error| unreachable!("{error}"));
        let at = |name: &str| place.path().join(name);
        let write = |name: &str, content: &str| {
            let path = at("from").join(name);
            let made = fs::create_dir_all(path.parent().unwrap_or(&path));
            assert!(made.and_then(|()| fs::write(path, content)).is_ok());
        };
        for name in [
            "a.js",
            "lib/b.js",
            "lib/build/c.js",
            "public.pem",
            ".envrc",
            "build/x",
            "app.psp",
            ".env",
            ".env.local",
            "lib/node_modules/x.js",
        ] {
            write(name, "-----BEGIN PUBLIC KEY-----\n");
        }
        write("a.key", "-----BEGIN PRIVATE KEY-----\nx\n");
        write("lib/b.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\r\nx\n");
        let copied = project(&at("from"), &at("to"), &|name| name == "build");
        assert!(copied.is_ok());
        let mut found: Vec<String> = Vec::new();
        let mut stack = vec![at("to")];
        while let Some(directory) = stack.pop() {
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                let path = entry.path();
                match path.is_dir() {
                    true => stack.push(path),
                    false => {
                        let inside = path.strip_prefix(at("to")).unwrap_or(&path);
                        found.push(inside.display().to_string());
                    }
                }
            }
        }
        found.sort();
        assert_eq!(
            found,
            [".envrc", "a.js", "lib/b.js", "lib/build/c.js", "public.pem"]
        );
    }
}
