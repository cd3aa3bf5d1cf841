//! SPEC.md and the code state the same numbers.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use psp_format::layout::{FieldInfo, RawDescriptor, RawIndex, SIGNED_BY_SIZE};
use psp_format::metadata::{Lifecycle, Purpose};
use psp_format::ops::Operations;
use psp_format::{limits, metadata, succession};

const SPEC: &str = include_str!("../SPEC.md");

/// The cells of the table rows below a heading, up to the next heading.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let section = SPEC
        .split_once(heading)
        .unwrap_or_else(|| panic!("no section {heading}"))
        .1;
    section
        .lines()
        .take_while(|line| !line.starts_with('#'))
        .filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'))
        .map(|row| row.split('|').map(str::trim).collect())
        .collect()
}

fn fields(heading: &str) -> Vec<(String, usize, usize)> {
    rows(heading)
        .iter()
        .filter_map(|row| {
            Some((
                row[2].to_owned(),
                row[0].parse().ok()?,
                row[1].parse().ok()?,
            ))
        })
        .collect()
}

fn of_code(fields: &[FieldInfo]) -> Vec<(String, usize, usize)> {
    fields
        .iter()
        .map(|field| (field.name.to_owned(), field.offset, field.size))
        .collect()
}

#[test]
fn index_table_is_the_code() {
    assert_eq!(fields("\n## 2. Index\n"), of_code(RawIndex::FIELDS));
}

#[test]
fn records_lie_where_the_index_table_says() {
    let record = rows("\n### 2.1 Signed-by records\n");
    let sizes: usize = record
        .iter()
        .filter_map(|row| row[1].parse::<usize>().ok())
        .sum();
    assert_eq!(sizes, SIGNED_BY_SIZE);
    let all = cell("\n## 2. Index\n", "signed_by", 1);
    let room = limits::MAX_SIGNED_BY * SIGNED_BY_SIZE;
    assert_eq!(all, room.to_string());
}

#[test]
fn descriptor_table_is_the_code() {
    assert_eq!(
        fields("\n### 4.2 Descriptor\n"),
        of_code(RawDescriptor::FIELDS)
    );
}

/// The cell in `column` of the row that has a cell `key`.
fn cell(heading: &str, key: &str, column: usize) -> &'static str {
    rows(heading).iter().find(|row| row.contains(&key)).unwrap()[column]
}

#[test]
fn codes_are_the_code() {
    let codes = |text: &str| -> Vec<(String, u8)> {
        let mut out = Vec::new();
        for group in text.split(';') {
            let (names, code) = group.trim().rsplit_once(' ').unwrap();
            out.extend(
                names
                    .split(", ")
                    .map(|name| (name.to_owned(), code.parse().unwrap())),
            );
        }
        out.sort();
        out
    };
    let sorted = |mut names: Vec<(String, u8)>| {
        names.sort();
        names
    };
    let purposes = Purpose::ALL
        .iter()
        .map(|p| (p.name().to_owned(), p.code()))
        .collect();
    assert_eq!(codes(cell("\n### 4.2", "purpose", 3)), sorted(purposes));
    let lifecycles = Lifecycle::ALL
        .iter()
        .map(|l| (l.name().to_owned(), l.code()))
        .collect();
    assert_eq!(codes(cell("\n### 4.2", "lifecycle", 3)), sorted(lifecycles));
}

#[test]
fn names_are_the_code() {
    let lifecycles = Lifecycle::ALL
        .iter()
        .map(|l| ("`lifecycle`", l.name().to_owned()));
    let purposes = Purpose::ALL
        .iter()
        .map(|p| ("`purpose`", p.name().to_owned()));
    let operations = Operations::ALL
        .iter()
        .map(|o| ("`operations`", o.to_string()));
    for (key, name) in lifecycles.chain(purposes).chain(operations) {
        assert!(
            cell("\n### 4.1", key, 2).contains(&format!("`{name}`")),
            "{key} {name}"
        );
    }
}

#[test]
fn slot_keys_are_the_code() {
    let known: BTreeSet<&str> = metadata::Slot::KEYS.iter().copied().collect();
    let specified = rows("\n### 4.1 Signed record\n")
        .iter()
        .filter_map(|row| row[0].strip_prefix('`')?.strip_suffix('`'))
        .collect();
    assert_eq!(known, specified);
}

#[test]
fn limits_are_the_code() {
    for number in [
        limits::MAX_METADATA.to_string(),
        limits::MAX_SLOTS.to_string(),
        limits::MAX_PATH.to_string(),
        limits::MAX_COMPONENT.to_string(),
        limits::MAX_DEPTH.to_string(),
        limits::MAX_ENTRIES.to_string(),
        limits::FULL_FRAME.to_string(),
        limits::MAX_FRAMES.to_string(),
        format!("at most {} MiB", (1_u64 << limits::MAX_WINDOW_LOG) >> 20),
        format!("at most {} bytes", limits::MAX_NAME),
        format!("at most {} records", limits::MAX_SIGNED_BY),
        format!(
            "a text file of its own, {} bytes",
            succession::STATEMENT_SIZE
        ),
    ] {
        assert!(SPEC.contains(&number), "{number} is not in SPEC.md");
    }
}
