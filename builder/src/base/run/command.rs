//! Command lines of base packages, as their launchers split them: placeholders first, then words, with quotes.
//!
//! The path of the work environment is put in after the split, though: that gives the same for every path without a
//! space or a quote, and keeps whole those that have one.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use psp_launcher::plan::Snapshot;

use super::RunFault;
use crate::base::metadata::{Builder, Metadata};
use crate::base::slot::Slot;

/// The placeholder for the work environment.
const WORKENV: &str = "{workenv}";

/// The words of a command line, in which only `{workenv}` is still to be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(Vec<String>);

impl Words {
    /// Splits a command line of this package.
    pub fn of(line: &str, metadata: &Metadata, slots: &[Slot]) -> Result<Words, RunFault> {
        let expanded = constants(line, metadata, slots);
        // Only the Go launcher knows backslashes, and its builder puts that launcher in front.
        let escapes = metadata.builder() == Builder::Go;
        let words = split(&expanded, escapes).ok_or_else(|| RunFault::Quotes {
            line: line.to_owned(),
        })?;
        match words.is_empty() {
            true => Err(RunFault::NoWord),
            false => Ok(Words(words)),
        }
    }

    /// The words, complete.
    pub fn with(&self, workenv: &Path) -> Vec<Vec<u8>> {
        self.0
            .iter()
            .map(|word| with_workenv(word, workenv))
            .collect()
    }
}

/// `text` with everything replaced that a package's own metadata decides.
pub fn constants(text: &str, metadata: &Metadata, slots: &[Slot]) -> String {
    let mut out = text.to_owned();
    for (nth, slot) in slots.iter().enumerate() {
        let path = format!("{WORKENV}/{}", slot.target);
        out = out.replace(&format!("{{slot:{nth}}}"), &path);
    }
    out.replace("{package_name}", &metadata.name)
        .replace("{version}", &metadata.version)
}

/// `text` with the path of the work environment put in.
pub fn with_workenv(text: &str, workenv: &Path) -> Vec<u8> {
    let parts: Vec<&[u8]> = text.split(WORKENV).map(str::as_bytes).collect();
    parts.join(workenv.as_os_str().as_bytes())
}

/// Words between spaces; quotes of both kinds keep them together. `None` where one does not end.
fn split(line: &str, escapes: bool) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match (c, quote) {
            ('\\', None | Some('"')) if escapes => {
                word.get_or_insert_default().push(rest.next()?);
            }
            (c, Some(open)) if c == open => quote = None,
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// The program that a first word names: an absolute path, or a name that `PATH` has.
///
/// A relative path, also one in `PATH`, is refused: it would start what lies in the caller's directory.
pub fn find(program: &[u8], snapshot: &Snapshot<'_>) -> Result<Vec<u8>, RunFault> {
    let shown = || String::from_utf8_lossy(program).into_owned();
    if program.starts_with(b"/") {
        return Ok(program.to_vec());
    }
    if program.is_empty() || program.contains(&b'/') {
        return Err(RunFault::Relative { program: shown() });
    }
    let path = snapshot.var("PATH").unwrap_or_default();
    let mut places = path.split(|&c| c == b':').filter(|it| it.starts_with(b"/"));
    let found = places.find_map(|place| {
        let path = [place, b"/", program].concat();
        let access = rustix::fs::Access::EXEC_OK;
        let is_file = std::path::Path::new(std::ffi::OsStr::from_bytes(&path)).is_file();
        (is_file && rustix::fs::access(&*path, access).is_ok()).then_some(path)
    });
    found.ok_or_else(|| RunFault::Missing { program: shown() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str, escapes: bool) -> Option<Vec<String>> {
        split(line, escapes)
    }

    #[test]
    fn quotes_keep_words_together() {
        for (line, expected) in [
            ("a b  c", &["a", "b", "c"][..]),
            ("a 'b c' \"d e\"", &["a", "b c", "d e"]),
            ("a'b c'd", &["ab cd"]),
            ("'' a", &["", "a"]),
            ("'it\"s'", &["it\"s"]),
            ("a\\b", &["a\\b"]),
            ("", &[]),
        ] {
            assert_eq!(words(line, false).unwrap_or_default(), expected, "{line}");
        }
        assert_eq!(words("a 'b", false), None);
        assert_eq!(words("a\\ b", true), Some(vec!["a b".to_owned()]));
        assert_eq!(words("'a\\b'", true), Some(vec!["a\\b".to_owned()]));
        assert_eq!(words("a\\", true), None);
    }

    #[test]
    fn a_space_in_the_cache_path_splits_nothing() {
        let words = Words(vec!["{workenv}/a".into(), "-x={workenv}:{workenv}".into()]);
        let found = words.with(Path::new("/a b"));
        assert_eq!(found, [b"/a b/a".to_vec(), b"-x=/a b:/a b".to_vec()]);
    }
}
