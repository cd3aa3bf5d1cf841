//! The reference in `docs/`: made of the definition of the command line, the table of exit codes and the tables of
//! environment variables. A test compares the files with what is made here.

pub mod migrating;

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _};
use psp_launcher::env_vars::Use;

use crate::cli::Cli;
use crate::{env_vars, exit};

/// Every generated page: its file name and its text.
pub fn pages() -> [(&'static str, String); 4] {
    [
        ("cli.md", cli()),
        ("exit-codes.md", exit_codes()),
        ("environment.md", environment()),
        ("migrating-from-flavorpack.md", migrating::page()),
    ]
}

fn cli() -> String {
    let mut root = Cli::command();
    root.build();
    let mut out = page("The `flavor` command");
    paragraph(&mut out, &about(&root));
    let shared: Vec<&Arg> = root
        .get_arguments()
        .filter(|arg| arg.is_global_set())
        .collect();
    out.push_str("## Flags of every verb\n\n");
    table(&mut out, &shared);
    for verb in root.get_subcommands() {
        section(&mut out, verb, &format!("flavor {}", verb.get_name()));
    }
    out
}

/// A verb, and those below it.
fn section(out: &mut String, verb: &Command, name: &str) {
    // Writing to a String cannot fail, here and below.
    let _ = write!(out, "## {name}\n\n");
    paragraph(out, &format!("{}.", about(verb)));
    let aliases: Vec<&str> = verb.get_visible_aliases().collect();
    if !aliases.is_empty() {
        paragraph(
            out,
            &format!("Also `flavor {}`.", aliases.join("`, `flavor ")),
        );
    }
    let mut rendered = verb.clone();
    let usage = rendered.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").to_owned();
    let example = verb
        .get_before_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let example = example
        .lines()
        .skip(1)
        .map(str::trim)
        .collect::<Vec<_>>()
        .join("\n");
    let _ = write!(out, "```sh\n{example}\n```\n\n`{usage}`\n\n");
    let own: Vec<&Arg> = verb
        .get_arguments()
        .filter(|arg| !arg.is_global_set())
        .collect();
    if !verb.has_subcommands() {
        table(out, &own);
    }
    for below in verb.get_subcommands() {
        section(out, below, &format!("{name} {}", below.get_name()));
    }
}

fn exit_codes() -> String {
    let mut out = page("Exit codes");
    paragraph(
        &mut out,
        "Packages, and `flavor run`, leave with the application's own code once it has begun; a package that does not \
         get that far leaves with 125, 126 or 127. A package that is asked with `FLAVOR_LAUNCHER_CLI=1` leaves with 0; with \
         1 when `verify` finds a change; with 2 after wrong usage; with 125 when it cannot answer.",
    );
    out.push_str("| code | meaning |\n|---|---|\n");
    for (code, meaning) in exit::TABLE {
        let _ = writeln!(out, "| {} | {meaning} |", code.number());
    }
    out
}

fn environment() -> String {
    let mut out = page("Environment variables");
    paragraph(
        &mut out,
        "No variable weakens the verification of a package.",
    );
    out.push_str("## `flavor`\n\n| variable | meaning |\n|---|---|\n");
    for (name, meaning) in env_vars::TABLE {
        let _ = writeln!(out, "| `{name}` | {meaning} |");
    }
    out.push_str(
        "\n## Packages, and `flavor run`\n\n| variable | use | meaning |\n|---|---|---|\n",
    );
    for variable in psp_launcher::env_vars::TABLE {
        let usage = match variable.usage {
            Use::Read => "read",
            Use::Taken => "read and removed",
            Use::Set => "set for the application",
            Use::ReadAndSet => "read, and set for the application",
        };
        let _ = writeln!(
            out,
            "| `{}` | {usage} | {} |",
            variable.name, variable.meaning
        );
    }
    out
}

fn page(title: &str) -> String {
    format!(
        "# {title}\n\nGenerated: `FLAVOR_BLESS=1 cargo test -p flavor --test docs` writes this file.\n\n"
    )
}

fn paragraph(out: &mut String, text: &str) {
    out.push_str(text);
    out.push_str("\n\n");
}

fn about(command: &Command) -> String {
    command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default()
}

fn table(out: &mut String, args: &[&Arg]) {
    let shown = args
        .iter()
        .filter(|arg| !matches!(arg.get_id().as_str(), "help" | "version"));
    out.push_str("| argument | meaning |\n|---|---|\n");
    for arg in shown {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let defaults = arg
            .get_default_values()
            .iter()
            .filter_map(|value| value.to_str());
        let defaults: Vec<String> = defaults
            .filter(|value| *value != "false")
            .map(|value| format!(" (default: `{value}`)"))
            .collect();
        let _ = writeln!(
            out,
            "| `{}` | {}{} |",
            argument(arg).replace('|', "\\|"),
            help.replace('|', "\\|"),
            defaults.concat()
        );
    }
    out.push('\n');
}

/// An argument as it is written: `-o, --output <FILE>`.
fn argument(arg: &Arg) -> String {
    let values = arg.get_value_names().unwrap_or_default();
    let values: Vec<String> = values.iter().map(|name| format!("<{name}>")).collect();
    let values = if arg.get_action().takes_values() {
        values.join(" ")
    } else {
        String::new()
    };
    let long = arg.get_long().map(|long| format!("--{long}"));
    let short = arg.get_short().map(|short| format!("-{short}"));
    let names: Vec<String> = short.into_iter().chain(long).collect();
    let text = format!("{} {values}", names.join(", "));
    text.trim().to_owned()
}
