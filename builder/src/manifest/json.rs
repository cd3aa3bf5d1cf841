//! JSON values that know where they stood, so that each complaint about one names its line and the path of its key.
//!
//! The counterpart of `reader`, which does the same for TOML.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::error::{ManifestError, Problem};
use super::reader::nearest;

type Result<T> = std::result::Result<T, ManifestError>;

/// How much of a value a message shows, in characters.
const SHOWN: usize = 40;
/// What the top level is called.
const TOP: &str = "the manifest";

/// A manifest that is JSON.
pub(super) struct Document<'t> {
    file: &'t Path,
    text: &'t str,
    root: &'t RawValue,
}

impl<'t> Document<'t> {
    pub(super) fn parse(file: &'t Path, text: &'t str) -> Result<Self> {
        let root = serde_json::from_str(text).map_err(|error| {
            // Without the position at its end, which stands in front already.
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default().into();
            let line = Some(error.line()).filter(|line| *line > 0);
            ManifestError::new(file, line, Problem::JsonSyntax { message })
        })?;
        Ok(Self { file, text, root })
    }

    /// The top level.
    pub(super) fn root(&self) -> Item<'_> {
        Item {
            document: self,
            path: String::new(),
            raw: self.root,
        }
    }

    /// The line in which a value of this document begins, counted from 1.
    fn line(&self, raw: &RawValue) -> usize {
        // A raw value is a part of the text.
        let at = raw.get().as_ptr().addr();
        let at = at.saturating_sub(self.text.as_ptr().addr());
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }
}

/// A value, and the path of keys that leads to it.
#[derive(Clone)]
pub(super) struct Item<'d> {
    document: &'d Document<'d>,
    path: String,
    raw: &'d RawValue,
}

/// An object, in the order of the text.
pub(super) struct Object<'d> {
    at: Item<'d>,
    entries: Vec<(String, &'d RawValue)>,
}

impl<'d> Object<'d> {
    /// Refuses every key but `known`.
    pub(super) fn only(&self, known: &'static [&'static str]) -> Result<()> {
        match self.items().find(|(key, _)| !known.contains(key)) {
            None => Ok(()),
            Some((key, item)) => Err(item.error(Problem::UnknownKey {
                key: key.into(),
                section: self.name(),
                nearest: nearest(key, known),
                known,
            })),
        }
    }

    /// As a person would look for it: `slots[1]`.
    fn name(&self) -> String {
        match self.at.path.as_str() {
            "" => TOP.into(),
            path => path.into(),
        }
    }

    pub(super) fn at(&self) -> &Item<'d> {
        &self.at
    }

    pub(super) fn items(&self) -> impl Iterator<Item = (&str, Item<'d>)> {
        let item = |(key, raw): &'_ (String, &'d RawValue)| self.at.below(key, raw);
        self.entries
            .iter()
            .map(move |entry| (entry.0.as_str(), item(entry)))
    }

    /// The value behind a key. `null` is as good as nothing.
    pub(super) fn get(&self, key: &str) -> Option<Item<'d>> {
        let (key, raw) = self.entries.iter().find(|(found, _)| found == key)?;
        (raw.get() != "null").then(|| self.at.below(key, raw))
    }

    /// `example` shows a value that the key could have.
    pub(super) fn require(&self, key: &'static str, example: &str) -> Result<Item<'d>> {
        self.get(key).ok_or_else(|| {
            self.at.error(Problem::MissingKey {
                section: self.name(),
                key,
                example: format!("\"{key}\": {example}"),
            })
        })
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<String>> {
        self.get(key).map(|item| item.text()).transpose()
    }
}

impl<'d> Item<'d> {
    fn below(&self, key: &str, raw: &'d RawValue) -> Item<'d> {
        let path = match self.path.as_str() {
            "" => key.into(),
            path => format!("{path}.{key}"),
        };
        Item {
            path,
            raw,
            ..self.clone()
        }
    }

    /// Dotted, with the places in lists: `slots[1].target`.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The line where the value begins.
    pub(super) fn line(&self) -> usize {
        self.document.line(self.raw)
    }

    pub(super) fn is_text(&self) -> bool {
        self.raw.get().starts_with('"')
    }

    /// Text without NUL, which no operating system passes on.
    pub(super) fn text(&self) -> Result<String> {
        let text: Option<String> = serde_json::from_str(self.raw.get()).ok();
        match text {
            Some(text) if text.contains('\0') => Err(self.invalid("text without NUL", "\"...\"")),
            Some(text) => Ok(text),
            None => Err(self.invalid("text in quotes", "\"...\"")),
        }
    }

    /// Text that satisfies `check`; `expected` and `example` describe what does.
    pub(super) fn text_that(
        &self,
        check: impl Fn(&str) -> bool,
        expected: &str,
        example: &str,
    ) -> Result<String> {
        match self.text()? {
            text if check(&text) => Ok(text),
            _ => Err(self.invalid(expected, example)),
        }
    }

    /// The value with this name.
    pub(super) fn choice<T>(&self, names: &[&str], named: impl Fn(&str) -> Option<T>) -> Result<T> {
        let found = self.text()?;
        named(&found).ok_or_else(|| {
            let expected = format!("one of {}", names.join(", "));
            let example = nearest(&found, names).or(names.first().copied());
            self.invalid(&expected, &format!("\"{}\"", example.unwrap_or_default()))
        })
    }

    pub(super) fn flag(&self) -> Result<bool> {
        match self.raw.get() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.invalid("true or false", "true")),
        }
    }

    pub(super) fn integer(&self, range: RangeInclusive<u32>) -> Result<u32> {
        let number = self.raw.get().parse().ok();
        number
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                let expected = format!("an integer from {} to {}", range.start(), range.end());
                self.invalid(&expected, &range.end().to_string())
            })
    }

    pub(super) fn list(&self) -> Result<Vec<Item<'d>>> {
        let raws: Vec<&'d RawValue> = match self.raw.get().starts_with('[') {
            true => serde_json::from_str(self.raw.get()).ok(),
            false => None,
        }
        .ok_or_else(|| self.invalid("a list", "[...]"))?;
        let item = |(nth, raw)| Item {
            path: format!("{}[{nth}]", self.path),
            raw,
            ..self.clone()
        };
        Ok(raws.into_iter().enumerate().map(item).collect())
    }

    pub(super) fn object(&self) -> Result<Object<'d>> {
        let entries = match self.raw.get().starts_with('{') {
            true => serde_json::Deserializer::from_str(self.raw.get())
                .deserialize_map(Entries)
                .ok(),
            false => None,
        };
        let object = Object {
            at: self.clone(),
            entries: entries.ok_or_else(|| self.invalid("an object", "{...}"))?,
        };
        // Readers differ in which one they take.
        let twice = object.entries.iter().enumerate().find(|(nth, (key, _))| {
            let before = object.entries.iter().take(*nth);
            before.clone().any(|(other, _)| other == key)
        });
        match twice {
            None => Ok(object),
            Some((_, (key, raw))) => Err(self.below(key, raw).error(Problem::DuplicateKey {
                key: key.clone(),
                section: object.name(),
            })),
        }
    }

    /// An object of texts; names must satisfy `check`, which `expected` describes.
    pub(super) fn text_map(
        &self,
        check: impl Fn(&str) -> bool,
        expected: &'static str,
    ) -> Result<BTreeMap<String, String>> {
        let object = self.object()?;
        let mut map = BTreeMap::new();
        for (key, item) in object.items() {
            if !check(key) {
                return Err(item.error(Problem::Name {
                    section: object.name(),
                    key: key.into(),
                    expected,
                    example: "\"NAME\": \"value\"",
                }));
            }
            map.insert(key.to_owned(), item.text()?);
        }
        Ok(map)
    }

    /// `example` shows a value that it could have.
    pub(super) fn invalid(&self, expected: &str, example: &str) -> ManifestError {
        let (section, key) = self.section_and_key();
        self.error(Problem::Invalid {
            section,
            key: key.into(),
            expected: expected.into(),
            found: self.shown(),
            example: format!("\"{}\": {example}", key.split('[').next().unwrap_or(key)),
        })
    }

    pub(super) fn error(&self, problem: Problem) -> ManifestError {
        ManifestError::new(self.document.file, Some(self.line()), problem)
    }

    /// The path in two: where the key stands, and the key.
    pub(super) fn section_and_key(&self) -> (String, &str) {
        match self.path.rsplit_once('.') {
            Some((section, key)) => (section.into(), key),
            None => (TOP.into(), &self.path),
        }
    }

    /// The value as a message shows it.
    pub(super) fn shown(&self) -> String {
        let written = self.raw.get();
        match written.as_bytes().first() {
            Some(b'[') => "a list".into(),
            Some(b'{') => "an object".into(),
            _ => match written.char_indices().nth(SHOWN) {
                Some((end, _)) => format!("{}...", written.get(..end).unwrap_or_default()),
                None => written.into(),
            },
        }
    }
}

/// Reads an object without losing order and duplicates.
struct Entries;

impl<'d> Visitor<'d> for Entries {
    type Value = Vec<(String, &'d RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'d>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(entries)
    }
}
