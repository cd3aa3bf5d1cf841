//! Programs of the machine that recipes look for and run: interpreters, uv, pip, npm.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use super::RecipeError;

/// So many of the lines that a failed program has said are shown.
const LINES: usize = 3;

/// The files of this name in the directories of PATH, in its order. An empty entry, or one that is not absolute, depends on
/// where the caller is, and is passed over.
pub(super) fn along_path(name: &str) -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(name))
        .filter(|path| path.is_file())
        .collect()
}

/// `program` in each of the directories in `versions`, which are called by their versions, the newest first.
pub(super) fn installed(versions: &Path, program: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(versions).into_iter().flatten().flatten();
    let mut found: Vec<(Vec<u32>, PathBuf)> = entries
        .map(|entry| {
            let name = entry.file_name();
            (numbers(&name.to_string_lossy()), entry.path().join(program))
        })
        .filter(|(_, path)| path.is_file())
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

/// Versions compare as numbers.
fn numbers(version: &str) -> Vec<u32> {
    let version = version.trim_start_matches('v');
    let parts = version.split('.');
    parts.map(|part| part.parse().unwrap_or(0)).collect()
}

/// Whether `version`, which has three numbers, is the one asked for, as far as that says.
pub(super) fn is_version(version: &str, asked: &str) -> bool {
    let mut own = version.split('.');
    asked.split('.').all(|asked| own.next() == Some(asked))
}

/// Those versions that were looked at in vain, each once, in text.
pub(super) fn listed(mut versions: Vec<String>) -> String {
    versions.sort();
    versions.dedup();
    versions.join(", ")
}

/// Runs a program that says nothing to the person unless it fails. Returns its standard output.
///
/// # Errors
///
/// When it is not there, or fails, with what it said on standard error.
pub(super) fn run(name: &'static str, command: &mut Command) -> Result<String, RecipeError> {
    run_or(name, command, |_| None)
}

/// The same; `explain` may know a better error for what a failed program has said on standard error.
///
/// # Errors
///
/// The same, and what `explain` gives.
pub(super) fn run_or(
    name: &'static str,
    command: &mut Command,
    explain: impl FnOnce(&str) -> Option<RecipeError>,
) -> Result<String, RecipeError> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| RecipeError::NoProgram {
        program: name.into(),
        error,
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(explain(&said).unwrap_or_else(|| RecipeError::Program {
        program: name,
        said: worth_reading(&said),
    }))
}

/// Of what a failed program has said: pip's errors, or the beginning of npm's, which end with where its log is, or else the end.
fn worth_reading(text: &str) -> String {
    let with = |prefix: &str| -> Vec<&str> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(prefix));
        lines
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect()
    };
    let of_npm = [with("npm error"), with("npm ERR!")].concat();
    let mismatch = |line: &&str| line.starts_with("Missing: ") || line.starts_with("Invalid: ");
    let differs: Vec<&str> = of_npm.iter().copied().filter(mismatch).collect();
    let last = |lines: Vec<&str>| -> Vec<String> {
        let from = lines.len().saturating_sub(LINES);
        lines.into_iter().skip(from).map(str::to_owned).collect()
    };
    let first = |lines: Vec<&str>| -> Vec<String> {
        lines.into_iter().take(LINES).map(str::to_owned).collect()
    };
    let lines = match (differs, of_npm, with("ERROR: ")) {
        (differs, _, _) if !differs.is_empty() => first(differs),
        (_, of_npm, _) if !of_npm.is_empty() => first(of_npm),
        (_, _, errors) if !errors.is_empty() => last(errors),
        _ => last(
            text.lines()
                .filter(|line| !line.trim().is_empty())
                .collect(),
        ),
    };
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_programs_say_the_errors_are_kept() {
        for (said, kept) in [
            (
                "WARNING: a\nERROR: Could not find x\nERROR: No matching distribution\n\n[notice] b\n",
                "Could not find x\nNo matching distribution",
            ),
            (
                "npm warn a\nnpm error code E\nnpm error in b\nnpm error\nnpm error c\nnpm error A complete log\n",
                "code E\nin b\nc",
            ),
            (
                "npm ERR! code EUSAGE\nnpm ERR! can only install\nnpm ERR! \nnpm ERR! Missing: a@1 from lock file\nnpm ERR! Clean\n",
                "Missing: a@1 from lock file",
            ),
            ("1\n2\n\n3\n4\n", "2\n3\n4"),
            ("", ""),
        ] {
            assert_eq!(worth_reading(said), kept);
        }
    }

    #[test]
    fn versions_match_as_far_as_they_are_given_and_compare_as_numbers() {
        for (asked, is) in [
            ("20", true),
            ("20.11", true),
            ("20.11.1", true),
            ("2", false),
            ("20.1", false),
            ("20.11.1.1", false),
        ] {
            assert_eq!(is_version("20.11.1", asked), is, "{asked}");
        }
        assert!(numbers("v20.9.0") < numbers("20.11.1"));
    }
}
