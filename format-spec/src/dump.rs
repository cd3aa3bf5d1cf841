//! An annotated listing of a package: a line for every byte range, in file order, without a gap.
//!
//! The listing shows what lies in the file. It proves nothing: it can be made of a package whose signature is bad. The
//! bytes of launcher and slots are not looked at, so a listing needs no more of the file than [`crate::locate`] asks for.

use core::fmt;

use crate::digest::Digest;
use crate::layout::{
    DESCRIPTOR_SIZE, FieldInfo, MAGIC_END, MAGIC_START, RawDescriptor, RawIndex, SIGNED_BY_SIZE,
    TRAILER_LEN,
};
use crate::locate::Found;
use crate::member;
use crate::range::{Range, widen};
use crate::signed_by;

/// Deepest nesting of the metadata that is taken apart; deeper values are shown whole.
const MAX_DEPTH: usize = 16;
/// Longest value that is shown; longer ones are cut.
const MAX_VALUE: usize = 160;

/// One range of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where the bytes lie.
    pub range: Range,
    /// Name of the field in SPEC.md.
    pub field: String,
    /// What the bytes say, in printable characters only.
    pub value: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, len) = (self.range.start(), self.range.len());
        f.write_str(&columns(start, len, &self.field, &self.value))
    }
}

/// One line of the listing as text.
pub fn columns(offset: u64, size: u64, field: &str, value: &str) -> String {
    let line = format!("{offset:>12} {size:>12}  {field:<40}  {value}");
    line.trim_end().to_owned()
}

/// The heading over the columns of [`Line`].
pub fn heading() -> String {
    format!("{:>12} {:>12}  {:<40}  value", "offset", "size", "field")
}

/// The listing as text, with its heading; each line ends with a newline.
pub fn text(found: &Found<'_>) -> String {
    let mut out = heading();
    out.push('\n');
    for line in dump(found) {
        out.push_str(&line.to_string());
        out.push('\n');
    }
    out
}

/// The lines of the listing. Their ranges touch and fill the file.
pub fn dump(found: &Found<'_>) -> Vec<Line> {
    let index = RawIndex::from_bytes(found.index);
    let mut listing = Listing::default();
    listing.launcher(index);
    listing.member(found.member);
    listing.padding(found.padding);
    for (nth, descriptor) in found.table.chunks(DESCRIPTOR_SIZE).enumerate() {
        let name = format!("slot_table[{nth}]");
        listing.record(&name, RawDescriptor::FIELDS, descriptor);
    }
    let trailer = found.file_size.saturating_sub(TRAILER_LEN);
    for (nth, descriptor) in found
        .table
        .as_chunks::<DESCRIPTOR_SIZE>()
        .0
        .iter()
        .enumerate()
    {
        listing.slot(nth, RawDescriptor::from_bytes(descriptor), trailer);
    }
    listing.gap(trailer, "padding");
    listing.push(4, "trailer.magic_start", hex(&MAGIC_START));
    listing.record("index", RawIndex::FIELDS, found.index);
    listing.push(4, "trailer.magic_end", hex(&MAGIC_END));
    listing.lines
}

/// The lines so far, and the offset at which the next one begins.
#[derive(Default)]
struct Listing {
    lines: Vec<Line>,
    at: u64,
}

impl Listing {
    fn push(&mut self, size: u64, field: impl Into<String>, value: impl Into<String>) {
        if let Some(range) = Range::new(self.at, size).filter(|range| !range.is_empty()) {
            self.at = range.end();
            self.lines.push(Line {
                range,
                field: field.into(),
                value: value.into(),
            });
        }
    }

    /// Whatever lies before `end`.
    fn gap(&mut self, end: u64, field: &str) {
        self.push(end.saturating_sub(self.at), field, "");
    }

    fn launcher(&mut self, index: &RawIndex) {
        let (start, size) = (index.metadata_offset.get(), index.launcher_size.get());
        self.push(size.min(start), "launcher", "");
        self.gap(start, "gap");
    }

    fn padding(&mut self, bytes: &[u8]) {
        self.push(widen(bytes.len()), "padding", plain(bytes));
    }

    fn slot(&mut self, nth: usize, descriptor: &RawDescriptor, trailer: u64) {
        let range = Range::new(descriptor.offset.get(), descriptor.size.get());
        // A record that points elsewhere adds no line: its bytes show up as what they lie in.
        if let Some(range) = range.filter(|r| r.start() >= self.at && r.end() <= trailer) {
            self.gap(range.start(), "padding");
            self.push(range.len(), format!("slot[{nth}]"), "");
        }
    }

    fn record(&mut self, name: &str, fields: &[FieldInfo], bytes: &[u8]) {
        for field in fields {
            let end = field.offset.saturating_add(field.size);
            let value = bytes.get(field.offset..end).unwrap_or_default();
            if field.name == "signed_by" {
                self.signed_by(name, bytes, value);
                continue;
            }
            self.push(
                widen(field.size),
                format!("{name}.{}", field.name),
                field_value(field.name, value),
            );
        }
    }

    /// The signed-by records that the index counts, and what lies behind them.
    fn signed_by(&mut self, name: &str, index: &[u8], mut rest: &[u8]) {
        let records = index.try_into().map(RawIndex::from_bytes);
        let records = records
            .ok()
            .and_then(|index| signed_by::records(index).ok());
        for (nth, record) in records.unwrap_or_default().iter().enumerate() {
            let parts = [
                ("public_key", &record.public_key[..]),
                ("signature", &record.signature),
            ];
            for (part, value) in parts {
                let name = format!("{name}.signed_by[{nth}].{part}");
                self.push(widen(value.len()), name, plain(value));
            }
            rest = rest.get(SIGNED_BY_SIZE..).unwrap_or_default();
        }
        self.push(widen(rest.len()), format!("{name}.signed_by"), plain(rest));
    }

    /// The gzip member: its header, the text value by value, and its end.
    fn member(&mut self, bytes: &[u8]) {
        let text = match member::unwrap(bytes) {
            Ok(text) => text,
            Err(error) => {
                let value = format!("not read: {error}");
                return self.push(widen(bytes.len()), "metadata", value);
            }
        };
        let start = self.at;
        self.push(10, "metadata.gzip_header", "");
        let tail = bytes.last_chunk::<8>().copied().unwrap_or_default();
        let text_end = start.saturating_add(widen(bytes.len())).saturating_sub(8);
        for leaf in leaves(&text) {
            let end = start.saturating_add(member::offset_of(leaf.end));
            let size = end.min(text_end).saturating_sub(self.at);
            let value = text.get(leaf.value_start..leaf.value_end);
            self.push(size, leaf.name, cut(&printable(value.unwrap_or_default())));
        }
        self.gap(text_end, "metadata.end");
        let (crc, len) = tail.split_at(4);
        self.push(4, "metadata.crc32", number(crc, true));
        self.push(4, "metadata.length", number(len, false));
    }
}

/// A value of the metadata that has no values in it.
struct Leaf {
    name: String,
    value_start: usize,
    value_end: usize,
    /// Where the line of this value ends; the next line begins there.
    end: usize,
}

/// One step on the way to a value.
enum Step {
    Key(String),
    Item(usize),
}

/// The scalar values of a canonical JSON text in order. Text that is not JSON gives fewer leaves, never a fault.
fn leaves(text: &[u8]) -> Vec<Leaf> {
    let mut out = Vec::new();
    let mut path: Vec<Step> = Vec::new();
    let mut at = 0_usize;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'{' | b'[' if path.len() < MAX_DEPTH && !is_empty_pair(text, at) => {
                path.push(match byte {
                    b'[' => Step::Item(0),
                    _ => Step::Key(String::new()),
                });
                at = at.saturating_add(1);
            }
            b'}' | b']' => {
                path.pop();
                at = at.saturating_add(1);
            }
            b',' => {
                if let Some(Step::Item(nth)) = path.last_mut() {
                    *nth = nth.saturating_add(1);
                }
                at = at.saturating_add(1);
            }
            b'"' if is_key(text, at, &path) => {
                let end = end_of_string(text, at);
                let key = text.get(at.saturating_add(1)..end.saturating_sub(1));
                if let Some(Step::Key(name)) = path.last_mut() {
                    *name = printable(key.unwrap_or_default());
                }
                at = end.saturating_add(1); // the colon
            }
            _ => {
                let end = end_of_value(text, at);
                out.push(Leaf {
                    name: name_of(&path),
                    value_start: at,
                    value_end: end,
                    end,
                });
                at = end;
            }
        }
    }
    out
}

fn name_of(path: &[Step]) -> String {
    let mut name = String::from("metadata");
    for step in path {
        match step {
            Step::Key(key) => {
                name.push('.');
                name.push_str(key);
            }
            Step::Item(nth) => name.push_str(&format!("[{nth}]")),
        }
    }
    name
}

fn is_empty_pair(text: &[u8], at: usize) -> bool {
    matches!(text.get(at.saturating_add(1)), Some(b'}' | b']'))
}

/// Whether the string at `at` is a key: inside an object, behind `{` or `,`.
fn is_key(text: &[u8], at: usize, path: &[Step]) -> bool {
    let before = at.checked_sub(1).and_then(|at| text.get(at));
    matches!(path.last(), Some(Step::Key(_))) && matches!(before, Some(b'{' | b','))
}

/// The end of the string that begins at `at`, behind its closing quote.
fn end_of_string(text: &[u8], at: usize) -> usize {
    let mut end = at.saturating_add(1);
    while let Some(&byte) = text.get(end) {
        end = end.saturating_add(1);
        match byte {
            b'\\' => end = end.saturating_add(1),
            b'"' => break,
            _ => {}
        }
    }
    end.min(text.len())
}

/// The end of the value that begins at `at`. Always behind `at`.
fn end_of_value(text: &[u8], at: usize) -> usize {
    match text.get(at) {
        Some(b'"') => end_of_string(text, at),
        Some(b'{' | b'[') => end_of_container(text, at),
        _ => {
            let rest = text.get(at.saturating_add(1)..).unwrap_or_default();
            let more = rest
                .iter()
                .take_while(|byte| !b",]}\"{[".contains(byte))
                .count();
            at.saturating_add(1).saturating_add(more)
        }
    }
}

fn end_of_container(text: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0_usize);
    while let Some(&byte) = text.get(at) {
        if byte == b'"' {
            at = end_of_string(text, at);
            continue;
        }
        at = at.saturating_add(1);
        match byte {
            b'{' | b'[' => depth = depth.saturating_add(1),
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// A field of a record: a number, hexadecimal text, or bytes.
fn field_value(name: &str, bytes: &[u8]) -> String {
    match name {
        // Bit patterns and check sums read better in hexadecimal.
        "format_version" | "index_checksum" | "name_hash" | "checksum" | "operations"
        | "compatibility" | "capabilities" => number(bytes, true),
        "permissions_low" => number(bytes, false),
        "attestation_key_fp" | "attestation_sbom_digest" | "attestation_policy_hash" => {
            if bytes.iter().all(|&byte| byte == 0) {
                plain(bytes)
            } else {
                cut(&printable(bytes))
            }
        }
        _ if bytes.len() <= 8 => number(bytes, false),
        _ => plain(bytes),
    }
}

fn number(bytes: &[u8], hexadecimal: bool) -> String {
    let mut value = 0_u64;
    for byte in bytes.iter().rev() {
        value = value << 8 | u64::from(*byte);
    }
    if hexadecimal {
        let digits = bytes.len().saturating_mul(2);
        format!("0x{value:0digits$x}")
    } else {
        value.to_string()
    }
}

/// Bytes in hexadecimal; zeros at the end are counted, and long ones named by their digest.
fn plain(bytes: &[u8]) -> String {
    let used = bytes
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |at| at.saturating_add(1));
    let (head, zeros) = bytes.split_at_checked(used).unwrap_or((bytes, &[]));
    match (head, zeros.len()) {
        ([], 1) => "zero".to_owned(),
        ([], n) => format!("{n} zeros"),
        (head, _) if head.len() > 64 => format!("SHA-256 {}", Digest::of(bytes)),
        (head, 0) => hex(head),
        (head, n) => format!("{}, {n} zeros", hex(head)),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes as text in which every character can be printed.
fn printable(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\'' | '\\' => out.push(c),
                _ => out.extend(c.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_VALUE) {
        Some((at, _)) => format!("{}...", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::place;
    use crate::metadata::tests::example;
    use crate::verify::locate_bytes;

    /// A package of zeros behind a true head: a listing looks at nothing else.
    fn package(text_len: usize) -> Vec<u8> {
        let mut metadata = example();
        metadata.package.description = Some("\u{202e}\u{1b}".repeat(text_len));
        let (_, head) = place(metadata).unwrap_or_else(|e| panic!("{e}"));
        let mut out = vec![0; 64];
        out.extend(&head.bytes);
        let trailer = usize::try_from(head.layout.trailer.start()).unwrap_or(0);
        out.resize(trailer, 0);
        out.extend(head.trailer(None));
        out
    }

    #[test]
    fn lines_touch_and_fill_the_file() {
        for text_len in [0, 10, 9000, 20_000] {
            let bytes = package(text_len);
            let found = locate_bytes(&bytes).unwrap_or_else(|e| panic!("{e}"));
            let mut at = 0;
            for line in dump(&found) {
                assert_eq!(line.range.start(), at, "{line}");
                at = line.range.end();
                assert!(!line.to_string().contains(char::is_control), "{line}");
            }
            assert_eq!(at, widen(bytes.len()));
        }
    }

    #[test]
    fn values_are_found_where_they_are() {
        let bytes = package(1);
        let found = locate_bytes(&bytes).unwrap_or_else(|e| panic!("{e}"));
        let lines = dump(&found);
        let value = |field: &str| {
            let line = lines.iter().find(|line| line.field == field);
            line.map(|line| line.value.as_str())
        };
        assert_eq!(value("metadata.slots[1].id"), Some("\"more\""));
        assert_eq!(value("metadata.slots[1].mode"), Some("493"));
        assert_eq!(value("metadata.launcher.capabilities"), Some("[]"));
        assert_eq!(value("slot_table[1].id"), Some("1"));
        assert_eq!(value("index.format_version"), Some("0x20250001"));
        assert_eq!(value("index.signature"), Some("512 zeros"));
        let description = value("metadata.package.description").unwrap_or_default();
        assert_eq!(description, "\"\\u{202e}\\u001b\"");
    }

    #[test]
    fn no_text_is_a_fault() {
        let text = br#"{"a":[1,{"b":"x\"]"},[]],"c":{},"d":-1}"#;
        let names: Vec<String> = leaves(text).into_iter().map(|leaf| leaf.name).collect();
        assert_eq!(
            names,
            [
                "metadata.a[0]",
                "metadata.a[1].b",
                "metadata.a[2]",
                "metadata.c",
                "metadata.d"
            ]
        );
        for end in 0..text.len() {
            let _ = leaves(&text[..end]);
            let _ = leaves(&text[end..]);
        }
        let _ = leaves(&[b'['; 4000]);
    }
}
