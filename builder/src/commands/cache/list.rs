//! `flavor cache list`: a line for each environment.

use serde::Serialize;

use super::{Entry, ago, inventory, now, open, path_text, short};
use crate::cli::cache::ListArgs;
use crate::error::Error;
use crate::printer::{HEAD, Report, count, escape, size};

#[derive(Debug, Serialize)]
pub(super) struct List {
    cache: String,
    environments: Vec<Entry>,
    /// Bytes of the whole cache.
    total: u64,
    /// Bytes that are not needed because environments share slots.
    saved: u64,
    /// Whether `pids` can be believed: the system tells what processes use.
    use_known: bool,
    #[serde(skip)]
    now: u64,
}

pub(super) fn list(args: &ListArgs) -> Result<List, Error> {
    let store = open(&args.place)?;
    let inventory = inventory(&store)?;
    Ok(List {
        cache: path_text(&store),
        environments: inventory.environments.iter().map(Entry::of).collect(),
        total: inventory.total,
        saved: inventory.saved,
        use_known: inventory.is_use_known,
        now: now(),
    })
}

impl List {
    fn cells(&self, entry: &Entry) -> [String; 8] {
        let text = |text: &Option<String>| text.as_deref().map_or("?".to_owned(), escape);
        let used = match entry.pids.len() {
            _ if !self.use_known => "?".to_owned(),
            0 => "no".to_owned(),
            n => count(n as u64, "process", "processes"),
        };
        [
            text(&entry.name),
            text(&entry.version),
            size(entry.size()),
            ago(entry.used, self.now),
            used,
            entry.uid.to_string(),
            entry.signer.as_deref().map_or("?", short).to_owned(),
            short(&entry.id).to_owned(),
        ]
    }
}

impl Report for List {
    fn text(&self) -> String {
        let head = [
            "NAME", "VERSION", "SIZE", "LAST USE", "IN USE", "OWNER", "SIGNER", "ID",
        ];
        let rows: Vec<[String; 8]> = self
            .environments
            .iter()
            .map(|one| self.cells(one))
            .collect();
        let mut out = String::new();
        if !rows.is_empty() {
            let widths: Vec<usize> = (0..head.len())
                .map(|nth| {
                    let cells = rows.iter().filter_map(|row| row.get(nth));
                    let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
                    widest.max(head.get(nth).map_or(0, |head| head.len()))
                })
                .collect();
            let line = |cells: Vec<&str>| {
                let padded = cells.iter().zip(&widths);
                let padded: Vec<String> = padded
                    .map(|(cell, width)| format!("{cell:<width$}"))
                    .collect();
                padded.join("  ").trim_end().to_owned()
            };
            out.push_str(&format!("{HEAD}{}{HEAD:#}\n", line(head.to_vec())));
            for row in &rows {
                out.push_str(&line(row.iter().map(String::as_str).collect()));
                out.push('\n');
            }
        }
        let number = count(rows.len() as u64, "environment", "environments");
        let (total, saved) = (size(self.total), size(self.saved));
        out.push_str(&format!(
            "{}: {number}, {total}; {saved} saved by sharing\n",
            self.cache
        ));
        out
    }

    fn quiet(&self) -> String {
        let lines = self.environments.iter().map(|one| format!("{}\n", one.id));
        lines.collect()
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}
