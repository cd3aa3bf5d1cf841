//! Versions of the symbols of glibc and libstdc++, which say how new a host must be.

use std::fmt;
use std::str::FromStr;

/// Whose versions they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// `GLIBC_`: the C library.
    Glibc,
    /// `GLIBCXX_`: the C++ library.
    Glibcxx,
    /// `CXXABI_`: its part for exceptions and types.
    Cxxabi,
}

impl Family {
    /// All, in the order in which they are shown.
    pub const ALL: [Family; 3] = [Family::Glibc, Family::Glibcxx, Family::Cxxabi];

    /// What its versions begin with.
    pub fn prefix(self) -> &'static str {
        match self {
            Family::Glibc => "GLIBC_",
            Family::Glibcxx => "GLIBCXX_",
            Family::Cxxabi => "CXXABI_",
        }
    }

    /// Family and number of a version such as `GLIBC_2.34`; `None` for other libraries' and for names without a number.
    pub fn of(version: &str) -> Option<(Family, Version)> {
        // A marker of programs whose relative relocations only this version understands.
        if version == "GLIBC_ABI_DT_RELR" {
            return Some((Family::Glibc, Version(vec![2, 36])));
        }
        Family::ALL.into_iter().find_map(|family| {
            let number = version.strip_prefix(family.prefix())?.parse().ok()?;
            Some((family, number))
        })
    }
}

/// Numbers with dots between them, compared one by one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(Vec<u32>);

impl FromStr for Version {
    type Err = ();

    fn from_str(text: &str) -> Result<Version, ()> {
        let part = |part: &str| match part.bytes().all(|byte| byte.is_ascii_digit()) {
            true => part.parse().map_err(|_| ()),
            false => Err(()),
        };
        match text.split('.').map(part).collect::<Result<Vec<_>, ()>>()? {
            parts if parts.len() <= 4 => Ok(Version(parts)),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(u32::to_string).collect();
        f.write_str(&parts.join("."))
    }
}

impl serde::Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let read = |text: &str| text.parse::<Version>();
        assert!(read("2.4") < read("2.31"));
        assert!(read("2.3.4") > read("2.3"));
        assert!(read("2.3.4") < read("2.4"));
        for bad in [
            "",
            ".",
            "2.",
            "x",
            "2.x",
            "2.+1",
            "1.2.3.4.5",
            "99999999999",
        ] {
            assert_eq!(read(bad), Err(()), "{bad}");
        }
        assert_eq!(
            read("3.4.29").map(|version| version.to_string()),
            Ok("3.4.29".into())
        );
    }

    #[test]
    fn families_are_told_apart() {
        let of = |text| Family::of(text).map(|(family, version)| (family, version.to_string()));
        assert_eq!(of("GLIBC_2.34"), Some((Family::Glibc, "2.34".into())));
        assert_eq!(
            of("GLIBCXX_3.4.29"),
            Some((Family::Glibcxx, "3.4.29".into()))
        );
        assert_eq!(of("CXXABI_1.3"), Some((Family::Cxxabi, "1.3".into())));
        assert_eq!(
            of("GLIBC_ABI_DT_RELR"),
            Some((Family::Glibc, "2.36".into()))
        );
        for other in ["GLIBC_PRIVATE", "OPENSSL_3.0.0", "CXXABI_FLOAT128", ""] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
