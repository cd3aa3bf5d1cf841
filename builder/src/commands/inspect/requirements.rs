//! `flavor inspect --requirements`: what a package needs of the host that it is started on.
//!
//! Slots are verified and decoded as for `--files`; one file at a time is held in memory, and nothing is written.

use std::io::{self, Read};
use std::path::PathBuf;

use psp_format::VerifiedPackage;
use psp_format::metadata::{Metadata, WORKENV};
use psp_format::range::widen;
use psp_format::tar::Kind;
use serde::Serialize;

use crate::binary::{
    self, Binary, FileReport, Found, HostLibrary, Inside, Node, Requirements, Subject, Wanted,
};
use crate::cli::InspectArgs;
use crate::commands::{Answer, Done};
use crate::contents;
use crate::error::Error;
use crate::examine::{self, Refusal};
use crate::package_file::{PackageFile, json_path, shown};
use crate::printer::{HEAD, Meter, Printer, Report, WARN, count, escape};

/// The largest file that is examined: it has to be in memory as a whole, because what is looked for may stand anywhere in
/// it. Larger libraries exist (those of machine learning); they are listed, and said not to be examined.
const MAX_FILE: u64 = 256 << 20;

/// What the host must have; the fields are those of `--json`.
#[derive(Debug, Serialize)]
struct Needs {
    #[serde(serialize_with = "json_path")]
    file: PathBuf,
    package: String,
    target: String,
    #[serde(flatten)]
    requirements: Requirements,
}

pub(super) fn requirements(args: &InspectArgs, printer: &Printer) -> Result<Done, Error> {
    let file = PackageFile::open(&args.package)?;
    let package = examine::open(&file)?.map_err(|refusal| refused(&file, refusal))?;
    let (inside, subjects) = collect(&file, &package, printer)?;
    let metadata = package.metadata();
    let wanted = wanted(metadata);
    Ok(Done {
        answer: Answer::Yes,
        report: Box::new(Needs {
            file: args.package.clone(),
            package: format!("{} {}", metadata.package.name, metadata.package.version),
            requirements: Requirements::of(&inside, &subjects, &wanted),
            target: wanted.target,
        }),
    })
}

fn refused(file: &PackageFile, refusal: Refusal) -> Error {
    Error::Refused {
        path: file.path().to_owned(),
        refusal,
    }
}

/// Every path of the package, and what its executables and libraries say.
fn collect(
    file: &PackageFile,
    package: &VerifiedPackage,
    printer: &Printer,
) -> Result<(Inside, Vec<Subject>), Error> {
    let (mut inside, mut subjects) = (Inside::default(), Vec::new());
    let meter: Meter = printer.meter("reading", examine::work(package));
    for (slot, range) in package.slots() {
        examine::check_slot(file, package, slot, range, &meter)?
            .map_err(|refusal| refused(file, refusal))?;
        let listing = contents::check(file, slot, range, &meter)?
            .map_err(|refusal| refused(file, refusal))?;
        contents::each_file(file, slot, range, &mut |path, size, content| {
            if let Some(binary) = examined(size, content)? {
                inside.insert(path.to_vec(), Node::File(Some(subjects.len())));
                let path = path.to_vec();
                subjects.push(Subject { path, binary });
            }
            Ok(())
        })?;
        for entry in listing.entries() {
            let node = match &entry.kind {
                // Those that are executables or libraries are there already.
                Kind::File(_) if inside.get(&entry.path).is_some() => continue,
                Kind::File(_) => Node::File(None),
                Kind::Directory => Node::Directory,
                Kind::Symlink(target) => Node::Symlink(target.clone()),
                // It stands behind the file that it is another name of.
                Kind::HardLink(to) => inside.get(to).cloned().unwrap_or(Node::File(None)),
            };
            inside.insert(entry.path, node);
        }
    }
    Ok((inside, subjects))
}

/// What a file says, if it is an executable or library.
fn examined(size: u64, content: &mut dyn Read) -> io::Result<Option<Result<Binary, String>>> {
    let mut bytes = Vec::new();
    content.take(4).read_to_end(&mut bytes)?;
    if !binary::begins_like_one(&bytes) {
        return Ok(None);
    }
    if size > MAX_FILE {
        let limit = crate::printer::size(MAX_FILE);
        return Ok(Some(Err(format!("it is larger than {limit}"))));
    }
    content.take(MAX_FILE).read_to_end(&mut bytes)?;
    match binary::read(bytes.as_slice()) {
        Ok(binary) => Ok(binary.map(Ok)),
        Err(error) => Ok(Some(Err(error.to_string()))),
    }
}

/// What the package says about itself.
fn wanted(metadata: &Metadata) -> Wanted {
    let default = std::iter::once((
        "(default)",
        &metadata.execution.argv,
        &metadata.execution.env,
    ));
    let named = metadata
        .commands
        .iter()
        .map(|(name, command)| (name, &command.argv, &command.env));
    let setup = metadata
        .setup
        .iter()
        .map(|command| ("(setup)", &command.argv, &command.env));
    let mut wanted = Wanted {
        target: metadata.launcher.target.clone(),
        ..Wanted::default()
    };
    let rules = metadata.runtime.as_ref().map(|runtime| &runtime.env.set);
    let mut environments: Vec<_> = rules.into_iter().collect();
    for (name, argv, env) in default.chain(named).chain(setup) {
        if let Some(path) = argv.first().and_then(|program| below_workenv(program)) {
            wanted.commands.push((name.to_owned(), path.into()));
        }
        environments.push(env);
    }
    for (_, value) in environments
        .into_iter()
        .flat_map(|env| env.iter())
        .filter(|(name, _)| *name == "LD_LIBRARY_PATH")
    {
        let directories = value.split(':').filter_map(below_workenv);
        wanted
            .library_path
            .extend(directories.map(|path| path.as_bytes().to_vec()));
    }
    wanted
}

fn below_workenv(path: &str) -> Option<&str> {
    path.strip_prefix(WORKENV)?.strip_prefix('/')
}

impl Report for Needs {
    fn text(&self) -> String {
        let mut out = format!(
            "{} ({}), {}\n",
            shown(&self.file),
            escape(&self.package),
            self.target
        );
        self.summary(&mut out);
        self.findings(&mut out);
        self.table(&mut out);
        out
    }

    fn quiet(&self) -> String {
        self.text()
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}

impl Needs {
    fn summary(&self, out: &mut String) {
        let needs = &self.requirements;
        let mut line = |name: &str, value: &str| {
            out.push_str(&format!("  {name:<12} {value}\n"));
        };
        let nothing = needs.versions.is_empty()
            && needs.interpreters.is_empty()
            && needs.libraries.is_empty();
        if nothing {
            line("needs", "no library of its host");
        }
        for wants in &needs.versions {
            let symbol = match &wants.symbol {
                Some(symbol) => {
                    format!(
                        "{}@{}{}",
                        escape(symbol),
                        wants.family.prefix(),
                        wants.version
                    )
                }
                None => format!("{}{}", wants.family.prefix(), wants.version),
            };
            let name = match wants.family {
                binary::Family::Glibc => "glibc",
                binary::Family::Glibcxx => "libstdc++",
                binary::Family::Cxxabi => "C++ ABI",
            };
            line(
                "needs",
                &format!("{name} {} ({}: {symbol})", wants.version, wants.path),
            );
        }
        for interpreter in &needs.interpreters {
            line(
                "interpreter",
                &format!("{} ({})", escape(&interpreter.name), interpreter.path),
            );
        }
        for library in &needs.libraries {
            line("library", &host_library(library));
        }
    }

    /// What there is to look at, once for all files of which it is true. `--json` has it for each.
    fn findings(&self, out: &mut String) {
        let mut found: Vec<(String, Vec<&str>)> = Vec::new();
        for file in &self.requirements.files {
            for finding in &file.findings {
                let text = escape(&finding.text());
                match found.iter_mut().find(|(known, _)| *known == text) {
                    Some((_, files)) => files.push(&file.path),
                    None => found.push((text, vec![&file.path])),
                }
            }
        }
        if !found.is_empty() {
            out.push_str(&format!("\n{HEAD}findings{HEAD:#}\n"));
        }
        for (text, files) in found {
            out.push_str(&format!("  {WARN}{text}{WARN:#} ({})\n", first_of(&files)));
        }
    }

    fn table(&self, out: &mut String) {
        let files = &self.requirements.files;
        out.push_str(&format!(
            "\n{HEAD}executables and libraries, with what they need{HEAD:#} (* in the package)\n"
        ));
        if files.is_empty() {
            out.push_str("  none\n");
        }
        let width = files.iter().map(|file| file.path.chars().count()).max();
        let width = width.unwrap_or(0).min(60);
        for file in files {
            let kind = file.binary.as_ref().map_or("?".to_owned(), Binary::summary);
            let line = format!(
                "  {:<width$}  {:<14}  {}",
                file.path,
                escape(&kind),
                libraries(file)
            );
            out.push_str(&format!("{}\n", line.trim_end()));
        }
    }
}

fn host_library(library: &HostLibrary) -> String {
    let base = library
        .base
        .map(|base| format!("base set: {}; ", base.name()));
    let base = base.unwrap_or_default();
    let needed_by: Vec<&str> = library.needed_by.iter().map(String::as_str).collect();
    format!("{} ({base}{})", escape(&library.name), first_of(&needed_by))
}

/// The first file, and how many more there are.
fn first_of(files: &[&str]) -> String {
    match files {
        [] => String::new(),
        [file] => (*file).to_owned(),
        [file, more @ ..] => {
            format!("{file} and {}", count(widen(more.len()), "other", "others"))
        }
    }
}

/// The libraries that a file needs, with a mark at those that the package has.
fn libraries(file: &FileReport) -> String {
    let shown = file.needed.iter().map(|needed| {
        let mark = if needed.found == Found::Host { "" } else { "*" };
        format!("{}{mark}", escape(&needed.name))
    });
    shown.collect::<Vec<_>>().join(" ")
}
