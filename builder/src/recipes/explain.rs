//! A project as the text of a plain manifest: what the recipes of another one stand for.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::Expanded;
use crate::manifest::{
    Command, Compression, KeySource, Project, Reading, Slot, SlotModes, SlotTimes,
};

/// What this kind of manifest cannot say.
const UNSPEAKABLE: &str = "only the JSON manifest can say that";

/// The manifest. Above a slot whose source a recipe makes stands what is in it; the source itself is named after the slot,
/// since the real one is gone when the text is read.
pub fn manifest(expanded: &Expanded) -> String {
    let project = &expanded.project;
    let mut out = String::new();
    package(project, &mut out);
    for slot in &project.slots {
        let staged = expanded.staged.iter().find(|staged| staged.slot == slot.id);
        out.push('\n');
        for line in staged.into_iter().flat_map(|staged| &staged.content) {
            let _ = writeln!(out, "# {}", line.escape_debug());
        }
        let source = match staged {
            Some(staged) => staged.slot.clone(),
            None => relative(&slot.source, &project.directory),
        };
        self::slot(slot, &source, &mut out);
    }
    for made in &project.made {
        let _ = writeln!(
            out,
            "\n# {}, mode {:04o}: {UNSPEAKABLE}",
            made.path.escape_debug(),
            made.mode
        );
    }
    command("[command]", &project.command, &mut out);
    for (name, of_name) in &project.commands {
        command(&format!("[commands.{}]", text(name)), of_name, &mut out);
    }
    environment(project, &mut out);
    for setup in &project.setup {
        command("[[setup]]", setup, &mut out);
    }
    rest(project, &mut out);
    out
}

fn package(project: &Project, out: &mut String) {
    let package = &project.package;
    out.push_str("[package]\n");
    line("name", &text(&package.name), out);
    line("version", &text(&package.version), out);
    for (key, value) in [
        ("description", &package.description),
        ("license", &package.license),
        ("homepage", &package.homepage),
    ] {
        if let Some(value) = value {
            line(key, &text(value), out);
        }
    }
    texts("authors", &package.authors, out);
}

fn slot(slot: &Slot, source: &str, out: &mut String) {
    out.push_str("[[slot]]\n");
    line("id", &text(&slot.id), out);
    line("source", &text(source), out);
    line("target", &text(&slot.target), out);
    if slot.include != ["**"] {
        texts("include", &slot.include, out);
    }
    texts("exclude", &slot.exclude, out);
    line("lifecycle", &text(slot.lifecycle.name()), out);
    line("purpose", &text(slot.purpose.name()), out);
    texts("platforms", &slot.platforms, out);
    let compression = match slot.compression {
        Compression::None => "{ method = \"none\" }".to_owned(),
        Compression::Zstd { level } => format!("{{ method = \"zstd\", level = {level} }}"),
    };
    line("compression", &compression, out);
    if slot.mutable {
        line("mutable", "true", out);
    }
    if let Some(mode) = slot.permissions {
        line("permissions", &text(&format!("{mode:04o}")), out);
    }
    if slot.times == SlotTimes::Keep {
        line("times", &text("keep"), out);
    }
    if slot.modes == SlotModes::Keep {
        line("modes", &text("keep"), out);
    }
    let only_there = match &slot.reading {
        Reading::ByName => return,
        Reading::File => "a file, whatever its name",
        Reading::Decompressed => "the content of a compressed file",
        Reading::AtRoot { .. } => "an archive, unpacked at the top of the work environment",
    };
    let _ = writeln!(out, "# {only_there}: {UNSPEAKABLE}");
}

fn command(head: &str, command: &Command, out: &mut String) {
    let _ = write!(out, "\n{head}\n");
    line("exec", &text(&command.exec), out);
    texts("args", &command.args, out);
    map("env", &command.env, out);
    if let Some(cwd) = &command.cwd {
        line("cwd", &text(cwd), out);
    }
}

fn environment(project: &Project, out: &mut String) {
    let rules = &project.env;
    if *rules == Default::default() {
        return;
    }
    out.push_str("\n[env]\n");
    texts("unset", &rules.unset, out);
    texts("pass", &rules.pass, out);
    map("map", &rules.map, out);
    map("set", &rules.set, out);
}

fn rest(project: &Project, out: &mut String) {
    if let Some(policy) = &project.policy {
        out.push_str("\n[policy]\n");
        texts("platforms", &policy.platforms, out);
        line("refuse_root", &policy.refuse_root.to_string(), out);
        texts("require_env", &policy.require_env, out);
        line("max_age_days", &policy.max_age_days.to_string(), out);
    }
    if let Some(desktop) = &project.desktop {
        out.push_str("\n[desktop]\n");
        if let Some(icon) = &desktop.icon {
            line("icon", &text(&relative(icon, &project.directory)), out);
        }
        line("terminal", &desktop.terminal.to_string(), out);
    }
    if let Some(sign) = &project.sign {
        let key = match &sign.key {
            KeySource::File(path) => relative(path, &project.directory),
            KeySource::Env(name) => format!("env:{name}"),
            KeySource::Command(program) => format!("cmd:{program}"),
        };
        let _ = write!(out, "\n[sign]\nkey = {}\n", text(&key));
        if let Some(public_key) = &sign.public_key {
            let path = relative(public_key, &project.directory);
            line("public-key", &text(&path), out);
        }
    }
    // What is checked of all of the package is no recipe.
    if let Some(floor) = &project.glibc_floor {
        let _ = write!(out, "\n[native]\nglibc-floor = \"{floor}\"\n");
    }
}

fn relative(path: &Path, directory: &Path) -> String {
    let inside = path.strip_prefix(directory).unwrap_or(path);
    match inside.as_os_str().is_empty() {
        true => ".".to_owned(),
        false => inside.display().to_string(),
    }
}

fn line(key: &str, value: &str, out: &mut String) {
    let _ = writeln!(out, "{key} = {value}");
}

fn texts(key: &str, values: &[String], out: &mut String) {
    if !values.is_empty() {
        let values: Vec<String> = values.iter().map(|value| text(value)).collect();
        line(key, &format!("[{}]", values.join(", ")), out);
    }
}

fn map(key: &str, pairs: &BTreeMap<String, String>, out: &mut String) {
    if !pairs.is_empty() {
        let pair = |(name, value): (&String, &String)| format!("{} = {}", text(name), text(value));
        let pairs: Vec<String> = pairs.iter().map(pair).collect();
        line(key, &format!("{{ {} }}", pairs.join(", ")), out);
    }
}

/// A basic string of TOML.
fn text(value: &str) -> String {
    let mut out = String::from('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
