//! `flavor link`: a symbolic link for each named command of a package.
//!
//! A package that is started through a link of a command's name starts that command.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::LinkArgs;
use crate::error::Error;
use crate::examine;
use crate::package_file::{PackageFile, json_path, plain, shown};
use crate::printer::{Printer, Report};

/// What to do about a link that leads elsewhere.
const ANOTHER_LINK: &str = "it leads elsewhere: replace it with --force, or name another directory";
/// What to do about anything else.
const NO_LINK: &str = "it is no link, which is never replaced: name another directory";

#[derive(Debug, Serialize)]
pub(super) struct Links {
    #[serde(serialize_with = "json_path")]
    package: PathBuf,
    links: Vec<Link>,
}

#[derive(Debug, Serialize)]
struct Link {
    command: String,
    #[serde(serialize_with = "json_path")]
    path: PathBuf,
    status: Status,
}

/// What there is to do for a link, and what was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Made,
    Replaced,
    Kept,
}

pub(super) fn link(args: &LinkArgs, printer: &Printer) -> Result<Links, Error> {
    let file = PackageFile::open(&args.package)?;
    let verified = examine::require(&file, |_| true, |total| printer.meter("checking", total))?;
    let commands = &verified.metadata().commands;
    if commands.is_empty() {
        return Err(Error::NoCommands {
            path: args.package.clone(),
        });
    }
    let failed = |path: &Path, source| Error::Write {
        path: path.to_owned(),
        source: plain(source),
    };
    // Not resolved: where the package is named by a link, that is what the next version will replace.
    let package =
        std::path::absolute(&args.package).map_err(|source| failed(&args.package, source))?;
    fs::create_dir_all(&args.dir).map_err(|source| failed(&args.dir, source))?;
    // All of them are looked at before any is made.
    let links: Result<Vec<Link>, Error> = commands
        .keys()
        .map(|command| plan(command, &package, args))
        .collect();
    let links = links?;
    for link in &links {
        make(link, &package).map_err(|source| match source.kind() {
            // Somebody else was faster.
            ErrorKind::AlreadyExists => exists(&link.path, NO_LINK),
            _ => failed(&link.path, source),
        })?;
    }
    Ok(Links { package, links })
}

fn plan(command: &str, package: &Path, args: &LinkArgs) -> Result<Link, Error> {
    let path = args.dir.join(command);
    let status = match fs::read_link(&path) {
        Ok(target) if target == package => Status::Kept,
        Ok(_) if args.force => Status::Replaced,
        Ok(_) => return Err(exists(&path, ANOTHER_LINK)),
        Err(error) if error.kind() == ErrorKind::NotFound => Status::Made,
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            return Err(exists(&path, NO_LINK));
        }
        Err(source) => {
            let source = plain(source);
            return Err(Error::Write { path, source });
        }
    };
    Ok(Link {
        command: command.to_owned(),
        path,
        status,
    })
}

fn make(link: &Link, package: &Path) -> io::Result<()> {
    match link.status {
        Status::Kept => Ok(()),
        Status::Made => symlink(package, &link.path),
        Status::Replaced => {
            // By renaming, so that at no moment there is no link of this name.
            let beside = tempfile::Builder::new()
                .prefix(".flavor-link-")
                .make_in(link.path.parent().unwrap_or(Path::new(".")), |path| {
                    symlink(package, path)
                })?;
            if !fs::symlink_metadata(&link.path)?.is_symlink() {
                return Err(ErrorKind::AlreadyExists.into());
            }
            beside.persist(&link.path).map_err(|error| error.error)?;
            Ok(())
        }
    }
}

fn exists(path: &Path, help: &'static str) -> Error {
    Error::Exists {
        path: path.to_owned(),
        help,
    }
}

impl Report for Links {
    fn text(&self) -> String {
        let line = |link: &Link| {
            let note = match link.status {
                Status::Made => "",
                Status::Replaced => " (replaced)",
                Status::Kept => " (there already)",
            };
            let (path, package) = (shown(&link.path), shown(&self.package));
            format!("{path} -> {package}{note}\n")
        };
        self.links.iter().map(line).collect()
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}
