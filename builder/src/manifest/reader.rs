//! TOML values that know where they stood, so that each complaint about one names its line.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ManifestError, Problem};

/// How much of a value a message shows, in characters.
const SHOWN: usize = 40;

/// A manifest that is TOML.
pub(super) struct Document<'t> {
    file: &'t Path,
    text: &'t str,
    /// Where the lines after the first begin.
    lines: Vec<usize>,
    table: Spanned<DeTable<'t>>,
}

impl<'t> Document<'t> {
    pub(super) fn parse(file: &'t Path, text: &'t str) -> Result<Self, ManifestError> {
        let lines: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
        let table = DeTable::parse(text).map_err(|error| {
            let line = line(&lines, &error.span().unwrap_or_default());
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            ManifestError::new(file, Some(line), Problem::Syntax { message })
        })?;
        Ok(Self {
            file,
            text,
            lines,
            table,
        })
    }

    /// The top level.
    pub(super) fn root(&self) -> Section<'_> {
        let at = self.table.span();
        Section {
            document: self,
            path: String::new(),
            list: false,
            table: self.table.get_ref(),
            at,
        }
    }

    fn error(&self, at: &Range<usize>, problem: Problem) -> ManifestError {
        ManifestError::new(self.file, Some(line(&self.lines, at)), problem)
    }
}

/// The line in which `at` begins, counted from 1.
fn line(lines: &[usize], at: &Range<usize>) -> usize {
    lines.partition_point(|start| *start <= at.start) + 1
}

/// A table.
pub(super) struct Section<'d> {
    document: &'d Document<'d>,
    /// Dotted; empty for the top level.
    path: String,
    /// Whether it is one of a list of tables.
    list: bool,
    table: &'d DeTable<'d>,
    at: Range<usize>,
}

impl<'d> Section<'d> {
    /// As a person would look for it: `[package]`, `[[slot]]`.
    pub(super) fn name(&self) -> String {
        match (self.path.as_str(), self.list) {
            ("", _) => "the manifest".into(),
            (path, false) => format!("[{path}]"),
            (path, true) => format!("[[{path}]]"),
        }
    }

    /// The line where it begins.
    pub(super) fn line(&self) -> usize {
        line(&self.document.lines, &self.at)
    }

    /// Refuses every key but `known`.
    pub(super) fn only(&self, known: &'static [&'static str]) -> Result<(), ManifestError> {
        let unknown = self
            .values()
            .into_iter()
            .find(|value| !known.contains(&value.key));
        match unknown {
            None => Ok(()),
            Some(value) => Err(self.document.error(
                &value.key_at,
                Problem::UnknownKey {
                    key: value.key.into(),
                    section: self.name(),
                    nearest: nearest(value.key, known),
                    known,
                },
            )),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<Value<'d>> {
        let (key, value) = self.table.get_key_value(key)?;
        Some(self.value(key, value))
    }

    /// `example` shows how the key could be written.
    pub(super) fn require(
        &self,
        key: &'static str,
        example: &str,
    ) -> Result<Value<'d>, ManifestError> {
        self.get(key).ok_or_else(|| {
            let example = example.into();
            self.error(Problem::MissingKey {
                section: self.name(),
                key,
                example,
            })
        })
    }

    /// All keys with their values, in the order of the text.
    pub(super) fn values(&self) -> Vec<Value<'d>> {
        let mut values: Vec<_> = self
            .table
            .iter()
            .map(|(key, value)| self.value(key, value))
            .collect();
        values.sort_by_key(|value| value.key_at.start);
        values
    }

    pub(super) fn error(&self, problem: Problem) -> ManifestError {
        match self.path.is_empty() {
            // What the whole manifest lacks is on no line.
            true => ManifestError::new(self.document.file, None, problem),
            false => self.document.error(&self.at, problem),
        }
    }

    fn value(
        &self,
        key: &'d Spanned<std::borrow::Cow<'d, str>>,
        value: &'d Spanned<DeValue<'d>>,
    ) -> Value<'d> {
        Value {
            document: self.document,
            path: self.path.clone(),
            section: self.name(),
            key: key.get_ref(),
            key_at: key.span(),
            item: false,
            value,
        }
    }
}

/// The known key that `key` was most likely meant to be.
pub(super) fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let distance = |other: &str| strsim::damerau_levenshtein(key, other);
    let (distance, nearest) = known.iter().map(|other| (distance(other), *other)).min()?;
    // Beyond a third of the letters two words are just two words.
    (distance <= (key.chars().count() / 3).max(1)).then_some(nearest)
}

/// What stands behind a key, or as an item in a list there.
#[derive(Clone)]
pub(super) struct Value<'d> {
    document: &'d Document<'d>,
    /// Of the section.
    path: String,
    section: String,
    key: &'d str,
    key_at: Range<usize>,
    /// Whether it is an item of the list behind the key.
    item: bool,
    value: &'d Spanned<DeValue<'d>>,
}

impl<'d> Value<'d> {
    pub(super) fn key(&self) -> &'d str {
        self.key
    }

    pub(super) fn section(&self) -> String {
        self.section.clone()
    }

    /// The line where the value begins.
    pub(super) fn line(&self) -> usize {
        line(&self.document.lines, &self.value.span())
    }

    /// Text without NUL, which no operating system passes on.
    pub(super) fn text(&self) -> Result<&'d str, ManifestError> {
        match self.value.get_ref() {
            DeValue::String(text) if text.contains('\0') => {
                Err(self.invalid("text without NUL", self.example("\"...\"")))
            }
            DeValue::String(text) => Ok(text),
            _ => Err(self.invalid("text in quotes", self.example("\"...\""))),
        }
    }

    /// Text that satisfies `check`; `expected` and `example` describe what does.
    pub(super) fn text_that(
        &self,
        check: impl Fn(&str) -> bool,
        expected: &str,
        example: &str,
    ) -> Result<&'d str, ManifestError> {
        match self.text()? {
            text if check(text) => Ok(text),
            _ => Err(self.invalid(expected, self.example(example))),
        }
    }

    pub(super) fn flag(&self) -> Result<bool, ManifestError> {
        let flag = self.value.get_ref().as_bool();
        flag.ok_or_else(|| self.invalid("true or false", format!("{} = true", self.key)))
    }

    pub(super) fn integer(&self, range: RangeInclusive<u32>) -> Result<u32, ManifestError> {
        let integer = self.value.get_ref().as_integer();
        let number =
            integer.and_then(|digits| u32::from_str_radix(digits.as_str(), digits.radix()).ok());
        number
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                let expected = format!("an integer from {} to {}", range.start(), range.end());
                self.invalid(expected, format!("{} = {}", self.key, range.end()))
            })
    }

    /// The one of `choices` that the text names.
    pub(super) fn choice<T: Copy>(
        &self,
        choices: &[T],
        name: impl Fn(T) -> &'static str,
    ) -> Result<T, ManifestError> {
        let names: Vec<_> = choices.iter().map(|choice| name(*choice)).collect();
        let text = match self.value.get_ref() {
            DeValue::String(text) => text,
            _ => "",
        };
        choices
            .iter()
            .copied()
            .find(|choice| name(*choice) == text)
            .ok_or_else(|| {
                let likely = nearest(text, &names)
                    .or(names.first().copied())
                    .unwrap_or_default();
                let expected = format!("one of {}", names.join(", "));
                self.invalid(expected, self.example(&format!("\"{likely}\"")))
            })
    }

    /// The items of a list, each of which complains under this key.
    pub(super) fn items(&self) -> Result<Vec<Value<'d>>, ManifestError> {
        let DeValue::Array(items) = self.value.get_ref() else {
            return Err(self.invalid("a list", format!("{} = [\"...\"]", self.key)));
        };
        Ok(items
            .iter()
            .map(|value| Self {
                value,
                item: true,
                ..self.clone()
            })
            .collect())
    }

    pub(super) fn texts(&self) -> Result<Vec<String>, ManifestError> {
        let item = |item: Value<'d>| match item.value.get_ref() {
            DeValue::String(_) => Ok(item.text()?.to_owned()),
            _ => Err(item.invalid("a list of texts", format!("{} = [\"...\"]", self.key))),
        };
        self.items()?.into_iter().map(item).collect()
    }

    /// A table of texts by name.
    pub(super) fn text_map(&self) -> Result<BTreeMap<String, String>, ManifestError> {
        let pair = |value: Value<'d>| Ok((value.key.to_owned(), value.text()?.to_owned()));
        self.table()?.values().into_iter().map(pair).collect()
    }

    pub(super) fn table(&self) -> Result<Section<'d>, ManifestError> {
        self.as_table(false)
    }

    /// The tables of a list, as `[[KEY]]` writes them.
    pub(super) fn tables(&self) -> Result<Vec<Section<'d>>, ManifestError> {
        match self.value.get_ref() {
            DeValue::Array(items) => items
                .iter()
                .map(|value| {
                    Self {
                        value,
                        ..self.clone()
                    }
                    .as_table(true)
                })
                .collect(),
            _ => {
                let path = self.dotted();
                Err(self.invalid("a list of tables", format!("[[{path}]]")))
            }
        }
    }

    fn as_table(&self, list: bool) -> Result<Section<'d>, ManifestError> {
        let path = self.dotted();
        match self.value.get_ref() {
            DeValue::Table(table) => Ok(Section {
                document: self.document,
                path,
                list,
                table,
                at: self.value.span(),
            }),
            _ => Err(self.invalid("a table", format!("[{path}]"))),
        }
    }

    fn dotted(&self) -> String {
        match self.path.as_str() {
            "" => self.key.into(),
            path => format!("{path}.{}", self.key),
        }
    }

    /// How the key could be written with `value` behind it.
    fn example(&self, value: &str) -> String {
        match self.item {
            false => format!("{} = {value}", self.key),
            true => format!("{} = [{value}]", self.key),
        }
    }

    /// `example` shows how it could be written.
    pub(super) fn invalid(
        &self,
        expected: impl Into<String>,
        example: impl Into<String>,
    ) -> ManifestError {
        self.error(Problem::Invalid {
            section: self.section(),
            key: self.key.into(),
            expected: expected.into(),
            found: self.shown(),
            example: example.into(),
        })
    }

    /// For a key that is a name, and not one that is possible. `expected` says what it names.
    pub(super) fn bad_name(&self, expected: &'static str, example: &'static str) -> ManifestError {
        let (section, key) = (self.section(), self.key.into());
        let problem = Problem::Name {
            section,
            key,
            expected,
            example,
        };
        self.document.error(&self.key_at, problem)
    }

    pub(super) fn error(&self, problem: Problem) -> ManifestError {
        self.document.error(&self.value.span(), problem)
    }

    /// The value as a message shows it.
    pub(super) fn shown(&self) -> String {
        match self.value.get_ref() {
            DeValue::Array(items) if items.is_empty() => "an empty list".into(),
            DeValue::Array(_) => "a list".into(),
            DeValue::Table(_) => "a table".into(),
            _ => {
                let written = self
                    .document
                    .text
                    .get(self.value.span())
                    .unwrap_or_default();
                let first = written.lines().next().unwrap_or_default();
                match first.char_indices().nth(SHOWN) {
                    Some((end, _)) => format!("{}...", first.get(..end).unwrap_or_default()),
                    None => first.into(),
                }
            }
        }
    }
}
