//! What `flavor inspect` shows a person.

use psp_format::dump;
use psp_format::encode::quote_command;
use psp_format::metadata::Policy;

use super::{Container, DumpLine, FileEntry, Inspection};
use crate::package_file::shown;
use crate::printer::{BAD, GOOD, HEAD, Report, escape, size};

impl Report for Inspection {
    fn text(&self) -> String {
        if let Some(lines) = &self.dump {
            return self.dump_text(lines);
        }
        let mut page = Page::default();
        self.package_text(&mut page);
        page.line(
            "file",
            &format!("{}, {}", shown(&self.file.path), exact_size(self.file.size)),
        );
        self.signature_text(&mut page);
        self.inside_text(&mut page);
        page.0
    }

    fn quiet(&self) -> String {
        self.text()
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}

impl Inspection {
    fn package_text(&self, page: &mut Page) {
        let Some(package) = &self.package else {
            return;
        };
        page.line(
            "package",
            &format!("{} {}", escape(&package.name), escape(&package.version)),
        );
        let authors = package.authors.join(", ");
        for (name, value) in [
            ("about", &package.description),
            ("license", &package.license),
            ("homepage", &package.homepage),
            ("authors", &Some(authors)),
        ] {
            if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
                page.line(name, &escape(value));
            }
        }
    }

    fn signature_text(&self, page: &mut Page) {
        let style = if self.signature.good { GOOD } else { BAD };
        let detail = &self.signature.detail;
        // Whether the signature is bad or the file not even that far is in the words behind.
        let name = if self.signature.good {
            "signature"
        } else {
            "metadata"
        };
        page.line(name, &format!("{style}{detail}{style:#}"));
        for signer in &self.signers {
            page.line("signer", &signer.text());
        }
        if let Some(container) = &self.container {
            page.line("container", &container.text());
        }
        if let Some(help) = self.help {
            page.line("help", help);
        }
    }

    fn inside_text(&self, page: &mut Page) {
        if let Some(format) = &self.format {
            let text = format!("{}, {}", escape(&format.format), format.profile);
            page.line("format", &text);
            page.line("package id", &format.package_id);
            let tool = format!(
                "by {} {}",
                escape(&format.tool),
                escape(&format.tool_version)
            );
            let built = match &format.build_time {
                Some(time) => format!("{time} {tool}"),
                None => format!("{tool}; no build time is signed"),
            };
            page.line("built", &built);
        }
        if let Some(launcher) = &self.launcher {
            let target = launcher.target.iter().map(|target| format!("{target}, "));
            let digest = match &launcher.sha256 {
                Some(digest) => format!("sha256:{digest}"),
                None => "its digest is not signed".to_owned(),
            };
            let text = format!(
                "{}{}, {digest}",
                target.collect::<String>(),
                size(launcher.size)
            );
            page.line("launcher", &text);
        }
        if let Some(policy) = &self.policy {
            page.line("policy", &policy_text(policy));
        }
        if let Some(command) = &self.command {
            page.line("command", &escape(command));
        }
        if !self.commands.is_empty() {
            page.heading("commands");
            for (name, command) in self.commands.iter() {
                let name = if name.is_empty() { "(default)" } else { name };
                page.line(
                    &format!("  {}", escape(name)),
                    &escape(&quote_command(&command.argv)),
                );
            }
            for command in &self.setup {
                page.line("  (setup)", &escape(&quote_command(&command.argv)));
            }
        }
        self.slots_text(page);
    }

    fn slots_text(&self, page: &mut Page) {
        if self.slots.is_empty() {
            return;
        }
        page.heading("slots");
        let head = [
            "#",
            "id",
            "target",
            "operations",
            "stored",
            "content",
            "lifecycle",
            "purpose",
        ];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(self.slots.iter().map(|slot| {
            [
                slot.index.to_string(),
                escape(&slot.id),
                escape(&slot.target),
                slot.operations.clone(),
                size(slot.stored_size),
                size(slot.original_size),
                escape(&slot.lifecycle),
                escape(&slot.purpose),
            ]
        }));
        page.table(&rows);
        for slot in &self.slots {
            if let Some(files) = &slot.files {
                page.heading(&format!("files of slot {}", escape(&slot.id)));
                for file in files {
                    page.0.push_str(&file.text());
                }
            }
        }
    }

    /// The listing, headed by what is known of it.
    fn dump_text(&self, lines: &[DumpLine]) -> String {
        let mut page = Page::default();
        self.signature_text(&mut page);
        page.0.push_str(&dump::heading());
        page.0.push('\n');
        for DumpLine {
            offset,
            size,
            field,
            value,
        } in lines
        {
            page.0
                .push_str(&dump::columns(*offset, *size, field, value));
            page.0.push('\n');
        }
        page.0
    }
}

impl Container {
    fn text(&self) -> String {
        format!(
            "as the file says: launcher of {} bytes, metadata of {} bytes at {}, {} slots in a table at {}",
            self.launcher_size,
            self.metadata_size,
            self.metadata_offset,
            self.slot_count,
            self.slot_table_offset
        )
    }
}

fn policy_text(policy: &Policy) -> String {
    let mut parts = Vec::new();
    if !policy.platforms.is_empty() {
        parts.push(format!("runs on {}", escape(&policy.platforms.join(", "))));
    }
    if policy.refuse_root {
        parts.push("refuses root".to_owned());
    }
    if policy.max_age_days > 0 {
        parts.push(format!(
            "runs for {} days after its build",
            policy.max_age_days
        ));
    }
    if !policy.require_env.is_empty() {
        parts.push(format!("needs {}", escape(&policy.require_env.join(", "))));
    }
    if parts.is_empty() {
        parts.push("asks for nothing".to_owned());
    }
    parts.join("; ")
}

fn exact_size(bytes: u64) -> String {
    if bytes < 1024 {
        size(bytes)
    } else {
        format!("{} ({bytes} bytes)", size(bytes))
    }
}

/// A page of named values and tables.
#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, name: &str, value: &str) {
        self.0.push_str(&format!("{name:<12} {value}\n"));
    }

    fn heading(&mut self, name: &str) {
        self.0.push_str(&format!("\n{HEAD}{name}{HEAD:#}\n"));
    }

    fn table<const N: usize>(&mut self, rows: &[[String; N]]) {
        let mut widths = [0; N];
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        for row in rows {
            let cells = row.iter().zip(widths);
            let line: Vec<String> = cells
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            self.0
                .push_str(&format!("  {}\n", line.join("  ").trim_end()));
        }
    }
}

impl FileEntry {
    fn text(&self) -> String {
        let kind = match self.kind {
            "directory" => 'd',
            "symlink" => 'l',
            "hardlink" => 'h',
            _ => '-',
        };
        let size = if kind == '-' {
            self.size.to_string()
        } else {
            "-".to_owned()
        };
        let link = self.link.as_ref().map(|link| format!(" -> {link}"));
        format!(
            "  {kind} {} {size:>12}  {}{}\n",
            self.mode,
            self.path,
            link.unwrap_or_default()
        )
    }
}
