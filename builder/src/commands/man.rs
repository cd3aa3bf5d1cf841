//! `flavor man`: a page for the command and one for each verb.

use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;

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
    let verbs = root.get_subcommands().cloned();
    let mut out = Vec::new();
    for (name, command) in std::iter::once(("flavor".to_owned(), root.clone()))
        .chain(verbs.map(|verb| (format!("flavor-{}", verb.get_name()), verb)))
    {
        let mut page = Vec::new();
        // The page's name is that of the file: `man flavor-verify`.
        let title = name.clone();
        clap_mangen::Man::new(command.name(title.clone()).display_name(title)).render(&mut page)?;
        out.push((format!("{name}.1"), page));
    }
    Ok(out)
}

impl Report for Written {
    fn text(&self) -> String {
        let lines = self.files.iter().map(|path| format!("{}\n", shown(path)));
        lines.collect()
    }
}
