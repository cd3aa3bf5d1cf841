//! Licences, as metadata states them.

use super::cut;

/// A licence of a component.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Licence {
    /// An identifier of the SPDX list.
    Id(&'static str),
    /// A SPDX expression.
    Expression(String),
    /// What metadata calls it.
    Name(String),
}

/// The identifiers that most packages state (<https://spdx.org/licenses/>). Another single word may be one, or none: it is written
/// as a name.
const IDS: [&str; 44] = [
    "0BSD",
    "AFL-2.1",
    "AFL-3.0",
    "AGPL-3.0-only",
    "AGPL-3.0-or-later",
    "Apache-1.1",
    "Apache-2.0",
    "Artistic-2.0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSD-4-Clause",
    "BSL-1.0",
    "BlueOak-1.0.0",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC0-1.0",
    "EPL-1.0",
    "EPL-2.0",
    "GPL-1.0-or-later",
    "GPL-2.0-only",
    "GPL-2.0-or-later",
    "GPL-3.0-only",
    "GPL-3.0-or-later",
    "HPND",
    "ISC",
    "LGPL-2.0-or-later",
    "LGPL-2.1-only",
    "LGPL-2.1-or-later",
    "LGPL-3.0-only",
    "LGPL-3.0-or-later",
    "MIT",
    "MIT-0",
    "MPL-1.1",
    "MPL-2.0",
    "NCSA",
    "OpenSSL",
    "PSF-2.0",
    "Python-2.0",
    "Unicode-3.0",
    "Unlicense",
    "WTFPL",
    "X11",
    "Zlib",
];

/// Names of `License ::` classifiers of PyPI that mean one licence exactly.
const CLASSIFIERS: [(&str, &str); 8] = [
    ("Apache Software License", "Apache-2.0"),
    ("ISC License (ISCL)", "ISC"),
    ("MIT License", "MIT"),
    ("MIT No Attribution License (MIT-0)", "MIT-0"),
    ("Mozilla Public License 2.0 (MPL 2.0)", "MPL-2.0"),
    ("Python Software Foundation License", "PSF-2.0"),
    ("The Unlicense (Unlicense)", "Unlicense"),
    ("zlib/libpng License", "Zlib"),
];

impl Licence {
    /// A text that should be an expression.
    pub(super) fn stated(text: &str) -> Option<Licence> {
        let text = cut(text);
        match Licence::known(&text) {
            Some(known) => Some(known),
            None if text.is_empty() => None,
            None if is_expression(&text) => Some(Licence::Expression(text)),
            None => Some(Licence::Name(text)),
        }
    }

    /// A text that people write as they like: it is an identifier if it is a known one.
    pub(super) fn named(text: &str) -> Option<Licence> {
        let text = cut(text);
        match Licence::known(&text) {
            Some(known) => Some(known),
            None if text.is_empty() => None,
            None => Some(Licence::Name(text)),
        }
    }

    /// The last part of a `License ::` classifier.
    pub(super) fn classified(name: &str) -> Option<Licence> {
        let known = CLASSIFIERS.iter().find(|(known, _)| *known == name);
        match known {
            Some((_, id)) => Some(Licence::Id(id)),
            None => Licence::named(name),
        }
    }

    fn known(text: &str) -> Option<Licence> {
        let known = IDS.iter().find(|id| id.eq_ignore_ascii_case(text));
        known.map(|id| Licence::Id(id))
    }

    /// The text.
    pub fn text(&self) -> &str {
        match self {
            Licence::Id(id) => id,
            Licence::Expression(text) | Licence::Name(text) => text,
        }
    }
}

/// Whether a text reads like a SPDX expression of several identifiers: between them operators, and parentheses that match.
fn is_expression(text: &str) -> bool {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let mut depth = 0_usize;
    // Whether an identifier or what stands for one may come next.
    let mut is_open = true;
    let mut is_several = false;
    for word in spaced.split_whitespace() {
        match (word, is_open) {
            ("(", true) => depth += 1,
            (")", false) if depth > 0 => depth -= 1,
            ("AND" | "OR" | "WITH", false) => (is_open, is_several) = (true, true),
            ("(" | ")" | "AND" | "OR" | "WITH", _) | (_, false) => return false,
            (word, true) => {
                let is_id = |c: char| c.is_ascii_alphanumeric() || ".-+:".contains(c);
                if !word.chars().all(is_id) || !word.contains(|c: char| c.is_ascii_alphanumeric()) {
                    return false;
                }
                is_open = false;
            }
        }
    }
    depth == 0 && !is_open && is_several
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_expressions_and_names() {
        let name = |text: &str| Some(Licence::Name(text.into()));
        let expression = |text: &str| Some(Licence::Expression(text.into()));
        assert_eq!(Licence::stated("mit"), Some(Licence::Id("MIT")));
        for text in ["MIT OR Apache-2.0", "(MIT AND Zlib) OR ISC"] {
            assert_eq!(Licence::stated(text), expression(text), "{text}");
        }
        for text in [
            "SEE LICENSE IN x",
            "MIT OR",
            "(MIT",
            "MIT)",
            "AND",
            "a b",
            "\u{1b}",
            "()",
        ] {
            assert_eq!(Licence::stated(text), name(text), "{text}");
        }
        assert_eq!(Licence::stated("  "), None);
        assert_eq!(Licence::named("BSD"), name("BSD"));
        assert_eq!(Licence::classified("MIT License"), Some(Licence::Id("MIT")));
        assert_eq!(Licence::classified("BSD License"), name("BSD License"));
    }
}
