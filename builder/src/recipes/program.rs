//! Programs of the machine that recipes run: interpreters, pip, npm, tar.

use std::process::{Command, Stdio};

use super::RecipeError;

/// Runs a program that says nothing to the person unless it fails. Returns its standard output.
///
/// # Errors
///
/// When it is not there, or fails, with what it said on standard error.
pub(super) fn run(name: &'static str, command: &mut Command) -> Result<String, RecipeError> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| RecipeError::NoProgram {
        program: name.into(),
        error,
    })?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(RecipeError::Program {
            program: name,
            said: last_lines(&String::from_utf8_lossy(&output.stderr)),
        }),
    }
}

/// What is worth reading of what a failed program said: the errors of pip and npm, or else the end.
fn last_lines(text: &str) -> String {
    let is_error = |line: &&str| line.starts_with("ERROR: ") || is_of_npm(line);
    let errors: Vec<&str> = text.lines().filter(is_error).collect();
    let (chosen, keep) = match errors.first() {
        // npm begins with what is wrong, and ends with where its log is.
        Some(first) if is_of_npm(first) => (errors, Keep::First),
        Some(_) => (errors, Keep::Last),
        None => {
            let said = |line: &&str| !line.trim().is_empty();
            (text.lines().filter(said).collect(), Keep::Last)
        }
    };
    let from = match keep {
        Keep::First => 0,
        Keep::Last => chosen.len().saturating_sub(LINES),
    };
    let lines: Vec<&str> = chosen.into_iter().skip(from).take(LINES).collect();
    lines.join("\n")
}

fn is_of_npm(line: &str) -> bool {
    line.starts_with("npm error ") || line.starts_with("npm ERR! ")
}

/// So many lines are shown.
const LINES: usize = 3;

enum Keep {
    First,
    Last,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_programs_say_the_errors_are_kept() {
        for (said, kept) in [
            (
                "WARNING: a\nERROR: Could not find x\nERROR: No matching distribution\n\n[notice] b\n",
                "ERROR: Could not find x\nERROR: No matching distribution",
            ),
            (
                "npm warn a\nnpm error code E\nnpm error in b\nnpm error c\nnpm error A complete log\n",
                "npm error code E\nnpm error in b\nnpm error c",
            ),
            ("1\n2\n\n3\n4\n", "2\n3\n4"),
            ("", ""),
        ] {
            assert_eq!(last_lines(said), kept);
        }
    }
}
