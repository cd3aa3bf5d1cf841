//! The page for people who come from flavorpack. Its tables of keys and lifecycles are those that the reader goes by; a
//! test compares the commands and flags with flavorpack's own help.

use std::fmt::Write as _;

use crate::manifest::flavorpack::{keys, lifecycle};

/// The verbs of flavorpack 0.5.4, and what does the same here.
pub const COMMANDS: &[(&str, &str)] = &[
    ("pack", "`pack`"),
    (
        "verify",
        "`verify`: layer by layer; it also compares what flavorpack leaves unread",
    ),
    ("inspect", "`inspect`, and `inspect --json`"),
    ("extract", "`extract PKG SLOT OUT`"),
    ("extract-all", "`extract-all PKG OUT`"),
    (
        "keygen",
        "`keygen`: the files are called `NAME.key` and `NAME.pub`; an existing one is never replaced",
    ),
    (
        "trust",
        "`trust add`, `list`, `remove`, `verify`, and `revoke` and `rotate`, with the same key files",
    ),
    (
        "policy",
        "`policy show` and `check`, with the same policy files",
    ),
    (
        "init",
        "`policy init`; the directory for keys is made by `trust add`. `flavor init` is something else: it writes a manifest",
    ),
    (
        "workenv",
        "`cache`, also called `workenv`: `list`, `info`, `remove`, `prune`, `verify`, `warm`",
    ),
    ("clean", "`cache prune`"),
    (
        "doctor",
        "`cache info` says where packages unpack, and why there",
    ),
    ("helpers", "none: the launcher is a part of `flavor`"),
];

/// The flags of its `pack` and its builders, and what they are here.
pub const FLAGS: &[(&str, &str)] = &[
    (
        "--manifest",
        "the same; without it `flavor.toml`, then `pyproject.toml`",
    ),
    (
        "--output",
        "the same; without it `dist/NAME.psp` beside the manifest",
    ),
    (
        "--launcher-bin",
        "the same; the file must be a launcher for the target",
    ),
    ("--private-key", "the same; also `env:NAME`"),
    (
        "--public-key",
        "none: it follows from the private key, and cannot be another one",
    ),
    ("--key-seed", "the same key; with a warning"),
    (
        "--workenv-base",
        "the same; without it the current directory. Its variable `FLAVOR_WORKENV_BASE` is not read",
    ),
    (
        "--log-level",
        "`error` is --quiet; `debug` and `trace` are --verbose",
    ),
    ("--quiet", "the same"),
    (
        "--progress",
        "none: what takes longer than half a second shows its progress on a terminal",
    ),
    ("--verify", "none: `flavor verify` does it"),
    ("--no-verify", "none"),
    ("--strip", "none: the launcher has no symbols"),
    ("--builder-bin", "none: `flavor` is the builder"),
];

/// Its lifecycles that have another name or no meaning here, beside those that the format knows.
const LIFECYCLES: &[&str] = &[
    "init",
    "startup",
    "runtime",
    "shutdown",
    "cache",
    "temporary",
    "lazy",
    "eager",
    "dev",
    "config",
    "platform",
    "attestation",
    "cached",
    "volatile",
];

/// The whole page.
pub fn page() -> String {
    let two_columns = |rows: &[(&str, &str)]| {
        let row = |(theirs, ours): &(&str, &str)| format!("| `{theirs}` | {ours} |");
        rows.iter().map(row).collect::<Vec<_>>().join("\n")
    };
    include_str!("migrating.md")
        .replace("{{commands}}", &two_columns(COMMANDS))
        .replace("{{flags}}", &two_columns(FLAGS))
        .replace("{{keys}}", &key_tables())
        .replace("{{lifecycles}}", &lifecycles())
}

fn key_tables() -> String {
    let mut out = String::new();
    for (at, keys) in keys::OBJECTS {
        let title = match *at {
            "" => "The top level".to_owned(),
            at => format!("`{at}`"),
        };
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "### {title}\n\n| key | flavorpack | here |\n|---|---|---|\n"
        );
        for key in *keys {
            let _ = writeln!(out, "| `{}` | {} | {} |", key.name, key.theirs, key.ours);
        }
        out.push('\n');
    }
    out
}

fn lifecycles() -> String {
    let row = |name: &&str| match lifecycle(name) {
        None => format!("| `{name}` | an error: it never had a meaning |"),
        Some(found) if found.name() == *name => format!("| `{name}` | the same |"),
        Some(found) => format!("| `{name}` | `{}` |", found.name()),
    };
    let rows: Vec<String> = LIFECYCLES.iter().map(row).collect();
    format!(
        "{}\n\nWith flavorpack only `init` has an effect. Here [each has one](manifest.md#lifecycles).",
        rows.join("\n")
    )
}
