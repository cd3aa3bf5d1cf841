//! `flavor man`: a page for the command and one for each verb.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use crate::cli::{Cli, ManArgs};
use crate::error::Error;
use crate::package_file::shown;
use crate::printer::Report;

pub(super) struct Written {
    files: Vec<PathBuf>,
}

pub(super) fn man(args: &ManArgs) -> Result<Written, Error> {
    let failed = |path: &Path, source| Error::Write {
        path: path.to_owned(),
        source,
    };
    fs::create_dir_all(&args.dir).map_err(|source| failed(&args.dir, source))?;
    let mut files = Vec::new();
    for (name, page) in pages().map_err(|source| failed(&args.dir, source))? {
        let path = args.dir.join(name);
        fs::write(&path, page).map_err(|source| failed(&path, source))?;
        files.push(path);
    }
    Ok(Written { files })
}

/// Every page with its file name.
pub fn pages() -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut root = Cli::command();
    root.build();
    let mut pages = Vec::new();
    add(&mut pages, "flavor".to_owned(), root)?;
    Ok(pages)
}

/// A page for a command, and one for each below it.
fn add(pages: &mut Vec<(String, Vec<u8>)>, name: String, command: Command) -> std::io::Result<()> {
    pages.push((format!("{name}.1"), page(&name, command.clone())?));
    for below in command.get_subcommands() {
        let name = format!("{name}-{}", below.get_name());
        add(pages, name, below.clone())?;
    }
    Ok(())
}

/// A page in the order of man-pages(7), the example where it is seen first.
fn page(name: &str, command: Command) -> std::io::Result<Vec<u8>> {
    let example = command
        .get_before_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let has_verbs = command.has_subcommands();
    // The page's name is that of the file: `man flavor-verify`.
    let man = Man::new(command.name(name.to_owned()).display_name(name.to_owned()));
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    out.extend(b".SH EXAMPLE\n.nf\n");
    for line in example.lines().skip(1) {
        // roff's own characters: the backslash, and the hyphen that is no minus.
        let line = line.trim().replace('\\', "\\e").replace('-', "\\-");
        out.extend(line.as_bytes());
        out.push(b'\n');
    }
    out.extend(b".fi\n");
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    if has_verbs {
        man.render_subcommands_section(&mut out)?;
    }
    Ok(out)
}

impl Report for Written {
    fn text(&self) -> String {
        let lines = self.files.iter().map(|path| format!("{}\n", shown(path)));
        lines.collect()
    }
}
