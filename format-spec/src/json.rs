//! Canonical JSON (M23), as far as metadata needs it: typed reading and writing, without a general parser.
//!
//! Every package carries this in its launcher, where a general library and its derived code for each type took 90 KB. Canonical
//! text needs less: keys come in one order, and nothing stands between the tokens. The reader need not refuse every
//! other text by itself: whoever reads also writes the value anew and compares (M23).

use crate::metadata::Map;

/// Why a text is not the expected document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Offset in the text.
    pub(crate) at: usize,
    /// What should be there.
    pub(crate) expected: &'static str,
}

/// A value of the document.
pub(crate) trait Value {
    /// Reads the value at the reader's place; any value when there is none, of which the reader then has a fault.
    fn read(reader: &mut Reader<'_>) -> Self
    where
        Self: Sized;

    /// Appends the canonical text.
    fn write(&self, out: &mut Vec<u8>);

    /// Whether an optional key with this value is left out.
    fn is_absent(&self) -> bool {
        false
    }
}

/// Reads a whole text.
pub(crate) fn read<T: Value>(text: &[u8]) -> Result<T, Fault> {
    let mut reader = Reader {
        rest: text,
        size: text.len(),
        fault: None,
    };
    let value = T::read(&mut reader);
    if !reader.rest.is_empty() {
        reader.fail("the end of the text");
    }
    reader.fault.map_or(Ok(value), Err)
}

/// The canonical text of a value.
pub(crate) fn text(value: &dyn Value) -> Vec<u8> {
    let mut out = Vec::new();
    value.write(&mut out);
    out
}

/// Declares the keys of objects, in their canonical order: `required` or `optional`, and the field of the same name.
macro_rules! objects {
    ($($name:ident { $($kind:ident $field:ident,)* })*) => { $(
        impl $crate::json::Value for $name {
            fn read(reader: &mut $crate::json::Reader<'_>) -> $name {
                let mut object = $crate::json::Object::open(reader);
                let value = $name {
                    $($field: object.$kind(concat!("\"", stringify!($field), "\":")),)*
                };
                object.close();
                value
            }

            fn write(&self, out: &mut Vec<u8>) {
                let mut object = $crate::json::Members::open(out);
                $(object.$kind(concat!("\"", stringify!($field), "\":"), &self.$field);)*
                object.close();
            }
        }

        impl $name {
            /// The keys of the object in metadata, in the order of its text.
            pub const KEYS: &'static [&'static str] = &[$(stringify!($field),)*];
        }
    )* };
}
pub(crate) use objects;

/// A text that is being read. Instead of a result for each token, the reader keeps its first fault: callers go on, and
/// find no further token. That halves the code of the readers, which would have to give back what they have at each.
pub(crate) struct Reader<'t> {
    /// What has not been read; nothing after a fault.
    rest: &'t [u8],
    size: usize,
    fault: Option<Fault>,
}

impl<'t> Reader<'t> {
    fn at(&self) -> usize {
        self.size.saturating_sub(self.rest.len())
    }

    fn fail(&mut self, expected: &'static str) {
        self.fail_at(self.at(), expected);
    }

    fn fail_at(&mut self, at: usize, expected: &'static str) {
        self.fault.get_or_insert(Fault { at, expected });
        self.rest = b"";
    }

    /// Reads `token` if it is next.
    fn take(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token.as_bytes()) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Reads `token`, which has to be next.
    #[inline(never)]
    fn need(&mut self, token: &'static str) {
        if !self.take(token) {
            self.fail(token);
        }
    }

    /// Calls `member` for each member of a list or map, and reads what stands between them.
    #[inline(never)]
    fn members(
        &mut self,
        open: &'static str,
        close: &'static str,
        member: &mut dyn FnMut(&mut Self),
    ) {
        self.need(open);
        if self.take(close) {
            return;
        }
        while self.fault.is_none() {
            member(self);
            if self.take(close) {
                return;
            }
            self.need(",");
        }
    }

    /// Reads a string that `meaning` knows; `otherwise` when it does not.
    pub(crate) fn named<T>(
        &mut self,
        expected: &'static str,
        otherwise: T,
        meaning: impl FnOnce(&str) -> Option<T>,
    ) -> T {
        let at = self.at();
        let value = meaning(&self.string());
        if value.is_none() {
            self.fail_at(at, expected);
        }
        value.unwrap_or(otherwise)
    }

    #[inline(never)]
    fn string(&mut self) -> String {
        let mut out = Vec::new();
        self.need("\"");
        let start = self.at();
        while !self.take("\"") {
            if self.fault.is_some() {
                return String::new();
            }
            let plain = |c: &&u8| **c >= b' ' && **c != b'"' && **c != b'\\';
            let run = self.rest.iter().take_while(plain).count();
            let (run, rest) = self.rest.split_at_checked(run).unwrap_or_default();
            self.rest = rest;
            out.extend_from_slice(run);
            if run.is_empty() {
                out.push(self.escape());
            }
        }
        String::from_utf8(out).unwrap_or_else(|_| {
            self.fail_at(start, "UTF-8");
            String::new()
        })
    }

    fn escape(&mut self) -> u8 {
        if let Some((c, _)) = ESCAPES.iter().find(|(_, text)| self.take(text)) {
            return *c;
        }
        let at = self.at();
        self.need("\\u00");
        if let Some((digits, rest)) = self.rest.split_first_chunk::<2>()
            && let Some(c) = (0..b' ').find(|c| control_digits(*c) == *digits)
        {
            self.rest = rest;
            return c;
        }
        self.fault = None;
        self.fail_at(at, "a character of a string, or an escape that it needs");
        0
    }

    #[inline(never)]
    fn number(&mut self) -> u64 {
        let at = self.at();
        let mut value: Option<u64> = None;
        while let Some((c @ b'0'..=b'9', rest)) = self.rest.split_first() {
            let digit = u64::from(c & 15);
            let shifted = value.unwrap_or(0).checked_mul(10);
            value = shifted.and_then(|v| v.checked_add(digit));
            if value.is_none() {
                break;
            }
            self.rest = rest;
        }
        if value.is_none() {
            self.fail_at(at, INTEGER);
        }
        value.unwrap_or(0)
    }
}

const INTEGER: &str = "an integer in its range";

/// An object that is being read.
pub(crate) struct Object<'r, 't> {
    reader: &'r mut Reader<'t>,
    first: bool,
}

impl<'r, 't> Object<'r, 't> {
    pub(crate) fn open(reader: &'r mut Reader<'t>) -> Object<'r, 't> {
        reader.need("{");
        let first = true;
        Object { reader, first }
    }

    /// Reads `key` if it is next.
    #[inline(never)]
    fn key(&mut self, key: &str) -> bool {
        let start = self.reader.rest;
        let found = (self.first || self.reader.take(",")) && self.reader.take(key);
        if found {
            self.first = false;
        } else {
            self.reader.rest = start;
        }
        found
    }

    pub(crate) fn required<T: Value>(&mut self, key: &'static str) -> T {
        if !self.key(key) {
            self.reader.fail(key);
        }
        T::read(self.reader)
    }

    pub(crate) fn optional<T: Value + Default>(&mut self, key: &'static str) -> T {
        if self.key(key) {
            T::read(self.reader)
        } else {
            T::default()
        }
    }

    pub(crate) fn close(self) {
        self.reader.need("}");
    }
}

/// An object or list that is being written.
pub(crate) struct Members<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl<'o> Members<'o> {
    pub(crate) fn open(out: &'o mut Vec<u8>) -> Members<'o> {
        out.push(b'{');
        Members { out, first: true }
    }

    pub(crate) fn required(&mut self, key: &str, value: &dyn Value) {
        separate(self.out, &mut self.first);
        self.out.extend_from_slice(key.as_bytes());
        value.write(self.out);
    }

    pub(crate) fn optional(&mut self, key: &str, value: &dyn Value) {
        if !value.is_absent() {
            self.required(key, value);
        }
    }

    pub(crate) fn close(self) {
        self.out.push(b'}');
    }
}

fn separate(out: &mut Vec<u8>, first: &mut bool) {
    if !core::mem::take(first) {
        out.push(b',');
    }
}

/// What is escaped with a letter or as itself.
const ESCAPES: [(u8, &str); 7] = [
    (b'"', "\\\""),
    (b'\\', "\\\\"),
    (0x08, "\\b"),
    (0x0c, "\\f"),
    (b'\n', "\\n"),
    (b'\r', "\\r"),
    (b'\t', "\\t"),
];

/// The last two digits of the escape of a control character.
fn control_digits(c: u8) -> [u8; 2] {
    let low = match c & 15 {
        digit @ 0..=9 => b'0' | digit,
        letter => b'a'.saturating_add(letter.saturating_sub(10)),
    };
    [b'0' | c >> 4, low]
}

/// Appends a string.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for c in text.bytes() {
        match ESCAPES.iter().find(|(escaped, _)| *escaped == c) {
            Some((_, escape)) => out.extend_from_slice(escape.as_bytes()),
            None if c < b' ' => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&control_digits(c));
            }
            None => out.push(c),
        }
    }
    out.push(b'"');
}

impl Value for String {
    fn read(reader: &mut Reader<'_>) -> String {
        reader.string()
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_string(self, out);
    }
}

impl Value for u64 {
    fn read(reader: &mut Reader<'_>) -> u64 {
        reader.number()
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.to_string().as_bytes());
    }
}

impl Value for u32 {
    fn read(reader: &mut Reader<'_>) -> u32 {
        let at = reader.at();
        u32::try_from(reader.number()).unwrap_or_else(|_| {
            reader.fail_at(at, INTEGER);
            0
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        u64::from(*self).write(out);
    }
}

impl Value for bool {
    fn read(reader: &mut Reader<'_>) -> bool {
        let value = reader.take("true");
        if !value {
            reader.need("false");
        }
        value
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }

    fn is_absent(&self) -> bool {
        !self
    }
}

impl<T: Value> Value for Option<T> {
    fn read(reader: &mut Reader<'_>) -> Option<T> {
        Some(T::read(reader))
    }

    fn write(&self, out: &mut Vec<u8>) {
        if let Some(value) = self {
            value.write(out);
        }
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T: Value> Value for Vec<T> {
    fn read(reader: &mut Reader<'_>) -> Vec<T> {
        let mut list = Vec::new();
        reader.members("[", "]", &mut |reader| list.push(T::read(reader)));
        list
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        let mut first = true;
        for value in self {
            separate(out, &mut first);
            value.write(out);
        }
        out.push(b']');
    }

    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}

impl<T: Value> Value for Map<T> {
    fn read(reader: &mut Reader<'_>) -> Map<T> {
        let mut map = Map::new();
        reader.members("{", "}", &mut |reader| {
            let key = reader.string();
            reader.need(":");
            // The order is the map's own, so that writing it anew would not show another one.
            if !map.push(key, T::read(reader)) {
                reader.fail("a name after the one before");
            }
        });
        map
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        let mut first = true;
        for (key, value) in self.iter() {
            separate(out, &mut first);
            write_string(key, out);
            out.push(b':');
            value.write(out);
        }
        out.push(b'}');
    }

    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type General = std::collections::BTreeMap<String, Vec<String>>;
    type Document = Map<Vec<String>>;

    /// What M23 says: the text, parsed by anybody and written anew.
    fn is_canonical(text: &[u8]) -> bool {
        read::<Document>(text).is_ok_and(|value| super::text(&value) == text)
    }

    proptest! {
        #[test]
        fn writes_what_a_general_library_writes(general: General) {
            let document: Document = general.clone().into_iter().collect();
            let text = super::text(&document);
            prop_assert_eq!(&text, &serde_json::to_vec(&general).unwrap_or_default());
            prop_assert_eq!(read::<Document>(&text), Ok(document));
        }

        #[test]
        fn reads_nothing_that_a_general_library_refuses(
            general: General,
            at: prop::sample::Index,
            byte in prop::sample::select(&b"\"\\{}[],: \n0u/ab\x01\xc3\xff"[..]),
            keep: bool,
        ) {
            let document: Document = general.into_iter().collect();
            let mut text = super::text(&document);
            let at = at.index(text.len());
            text.splice(at..at + usize::from(keep), [byte]);
            let general = serde_json::from_slice::<General>(&text).ok();
            let general = general.and_then(|value| serde_json::to_vec(&value).ok());
            prop_assert_eq!(is_canonical(&text), general.is_some_and(|again| again == text));
        }

        #[test]
        fn numbers_are_those_of_their_type(number: u64) {
            for text in [number.to_string(), (u128::from(number) * 11).to_string(), format!("{number}.0")] {
                prop_assert_eq!(read::<u64>(text.as_bytes()).ok(), text.parse().ok());
                prop_assert_eq!(read::<u32>(text.as_bytes()).ok(), text.parse().ok());
            }
        }
    }

    #[test]
    fn every_character_below_128_comes_back() {
        let all: String = (0..128_u8).map(char::from).collect();
        let text = super::text(&all);
        assert_eq!(text, serde_json::to_vec(&all).unwrap_or_default());
        assert_eq!(read::<String>(&text), Ok(all));
    }

    #[test]
    fn other_ways_to_write_a_string() {
        for text in [
            r#""\/""#,
            r#""\u0041""#,
            r#""\u001F""#,
            r#""\u0020""#,
            r#""\ud83d\ude00""#,
            r#""\u00""#,
            r#""\"#,
            r#"""#,
            "\"\n\"",
            "",
        ] {
            assert!(read::<String>(text.as_bytes()).is_err(), "{text}");
        }
        // Readable, and not what would be written: left to the comparison.
        assert_eq!(read::<String>(br#""\u000a""#), Ok("\n".to_owned()));
        assert!(!is_canonical(br#"{"\u000a":[]}"#));
    }
}
