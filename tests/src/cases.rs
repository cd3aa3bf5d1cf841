//! The list of hostile cases, read from the tests that try them.
//!
//! A test of a case is a function `case_NNN_what_is_tried` below a doc comment of this form:
//!
//! ```text
//! /// What is tried, in a few words.
//! ///
//! /// outcome: refused (125); the good entry stays as it was
//! /// layer: store
//! /// message: belongs to user
//! ```
//!
//! The numbers are those that vectors name in their line `case:`. [`page`] makes the table of the documentation.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Every number up to this one has a test.
pub const LAST: usize = 118;

/// Where tests stand, from the root of the workspace.
const TESTS: [&str; 6] = [
    "format-spec/src",
    "format-spec/tests",
    "launcher/src",
    "launcher/tests",
    "builder/tests",
    "tests/tests",
];

/// Where the texts of messages stand.
const SOURCES: [&str; 3] = ["format-spec/src", "launcher/src", "builder/src"];

/// The first number of each group, with its heading.
const GROUPS: [(usize, &str); 9] = [
    (1, "Bytes that were changed"),
    (19, "Signatures and keys"),
    (38, "Older versions, and time"),
    (43, "Environment and policy"),
    (53, "The cache"),
    (70, "Archives in slots"),
    (90, "The structure of the file"),
    (101, "Metadata"),
    (109, "The start"),
];

/// Layers as messages name them, and what a case is about where no layer of the format refuses.
const LAYERS: [&str; 16] = [
    "container",
    "signature",
    "layout",
    "launcher",
    "slot",
    "contents",
    "trust",
    "environment",
    "policy",
    "store",
    "place",
    "exec",
    "input",
    "build",
    "system",
    "none",
];

/// One test of a case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Case {
    /// The case.
    pub number: usize,
    /// File of the test, from the root of the workspace.
    pub file: String,
    /// Name of the function.
    pub name: String,
    /// What is tried.
    pub tried: String,
    /// What happens.
    pub outcome: String,
    /// Which checks refuse, separated by ` | `.
    pub layer: String,
    /// Pieces of the messages, separated by ` | `; `none` where nothing is said.
    pub message: String,
    /// Whether the test runs only when it is asked for.
    pub ignored: bool,
}

/// The root of the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the workspace")
}

/// Every Rust file below these directories, sorted.
fn rust_files(directories: &[&str]) -> Vec<PathBuf> {
    let mut pending: Vec<PathBuf> = directories.iter().map(|name| root().join(name)).collect();
    let mut files = Vec::new();
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).expect("a directory of the workspace") {
            let path = entry.expect("a directory entry").path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Every case in the tests of the workspace, or what is wrong with the comments on them.
pub fn all() -> Result<Vec<Case>, String> {
    let mut cases = Vec::new();
    for path in rust_files(&TESTS) {
        let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let file = path.strip_prefix(root()).expect("a path below the root");
        cases.extend(read(&file.to_string_lossy(), &text)?);
    }
    cases.sort();
    Ok(cases)
}

/// The cases of one file.
fn read(file: &str, text: &str) -> Result<Vec<Case>, String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut cases = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some((number, name)) = function(line) else {
            continue;
        };
        let head = lines[..at]
            .iter()
            .rposition(|line| !line.starts_with("///") && !line.starts_with("#["))
            .map_or(0, |before| before + 1);
        cases.push(
            case(number, file, name, &lines[head..at])
                .map_err(|error| format!("{file}: {name}: {error}"))?,
        );
    }
    Ok(cases)
}

/// Number and name of a test function that begins on this line.
fn function(line: &str) -> Option<(usize, &str)> {
    let name = line.strip_prefix("fn ")?.split_once('(')?.0;
    let number = name.strip_prefix("case_")?.get(..3)?.parse().ok()?;
    Some((number, name))
}

/// The case whose function stands below these comments and attributes.
fn case(number: usize, file: &str, name: &str, above: &[&str]) -> Result<Case, String> {
    if !above.contains(&"#[test]") {
        return Err("it is no test".to_string());
    }
    let comment: Vec<&str> = above
        .iter()
        .filter_map(|line| line.strip_prefix("///"))
        .map(str::trim)
        .collect();
    let value = |key: &str| {
        comment
            .iter()
            .find_map(|line| line.strip_prefix(key))
            .map(|value| value.trim().to_string())
            .filter(|value| !value.is_empty())
            .ok_or_else(|| format!("its comment has no line `{key}`"))
    };
    let tried = comment
        .iter()
        .take_while(|line| !line.is_empty())
        .copied()
        .collect::<Vec<_>>()
        .join(" ");
    let case = Case {
        number,
        file: file.to_string(),
        name: name.to_string(),
        tried: tried.trim_end_matches('.').to_string(),
        outcome: value("outcome:")?,
        layer: value("layer:")?,
        message: value("message:")?,
        ignored: above.iter().any(|line| line.starts_with("#[ignore")),
    };
    match case
        .layer
        .split(" | ")
        .find(|layer| !LAYERS.contains(layer))
    {
        _ if case.tried.is_empty() => Err("its comment does not say what is tried".to_string()),
        Some(layer) => Err(format!("{layer} is no layer")),
        None => Ok(case),
    }
}

/// Pieces of messages that stand nowhere in the sources of the programs, each with its test.
pub fn unknown_messages(cases: &[Case]) -> Vec<String> {
    let sources: String = rust_files(&SOURCES)
        .iter()
        .map(|path| fs::read_to_string(path).expect("a source is readable"))
        .collect();
    let sources = joined(&sources);
    let said = |case: &Case| -> Vec<String> {
        let pieces = case.message.split(" | ");
        let unknown = pieces
            .filter(|piece| !matches!(*piece, "none" | "the kernel's") && !sources.contains(piece));
        unknown
            .map(|piece| format!("{}: {piece}", case.name))
            .collect()
    };
    cases.iter().flat_map(said).collect()
}

/// A text with the lines of its string literals joined, as the compiler joins them.
fn joined(text: &str) -> String {
    let mut parts = text.split("\\\n");
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        out.push_str(part.trim_start());
    }
    out.replace("\\\"", "\"")
}

/// The page of the documentation: a table for each group.
pub fn page(cases: &[Case]) -> String {
    let mut page = String::from(
        "# Hostile input, and what becomes of it\n\n\
         Generated from the comments on the tests: `FLAVOR_BLESS=1 cargo test -p psp-testkit --test cases` writes this file.\n\n\
         Each row is a test that passes. *Layer* is the check that refuses, by the name that `flavor verify` gives it, or what the \
         case is about where the package is not to blame. *Message* is a piece of what is printed. In brackets stand exit codes \
         ([exit-codes.md](exit-codes.md)).\n\n\
         Refused means, unless a row says otherwise: one line of fact and one of help on standard error, nothing executed, nothing written outside \
         the cache, no half-made entry in it, and a good entry stays as it was. Vectors that carry a number in their line `case:` \
         (`tests/vectors`) are run by the tests of that number.\n",
    );
    for case in cases {
        if let Some((_, heading)) = GROUPS.iter().find(|group| {
            group.0 == case.number && cases.iter().find(|c| c.number == group.0) == Some(case)
        }) {
            // Writing to a String cannot fail, here and below.
            let _ = write!(
                page,
                "\n## {heading}\n\n| case | what is tried | outcome | layer | message | test |\n|---|---|---|---|---|---|\n"
            );
        }
        let when = if case.ignored { ", when asked for" } else { "" };
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | `{}` in `{}`{when} |",
            case.number,
            cell(&case.tried),
            cell(&case.outcome),
            case.layer.replace(" | ", ", "),
            quoted(&case.message),
            case.name,
            case.file,
        );
    }
    page
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// Pieces of messages as code; what stands for no text as it is.
fn quoted(message: &str) -> String {
    let piece = |piece: &str| match piece {
        "none" | "the kernel's" => piece.to_string(),
        _ => format!("`{piece}`"),
    };
    let pieces: Vec<String> = message.split(" | ").map(piece).collect();
    pieces.join(", ")
}
