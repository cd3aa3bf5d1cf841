//! Package URLs: <https://github.com/package-url/purl-spec>.

use std::fmt::Write as _;

/// The package URL of a type, a namespace (which may have several segments, or be empty), a name, a version and qualifiers,
/// which are in the order of their names.
pub(super) fn purl(
    kind: &str,
    namespace: &str,
    name: &str,
    version: Option<&str>,
    qualifiers: &[(&str, &str)],
) -> String {
    let mut out = format!("pkg:{kind}/");
    for segment in namespace.split('/').filter(|segment| !segment.is_empty()) {
        encode(segment, &mut out);
        out.push('/');
    }
    encode(name, &mut out);
    if let Some(version) = version.filter(|version| !version.is_empty()) {
        out.push('@');
        encode(version, &mut out);
    }
    let given = qualifiers.iter().filter(|(_, value)| !value.is_empty());
    for ((key, value), sign) in given.zip(std::iter::once('?').chain(std::iter::repeat('&'))) {
        out.push(sign);
        out.push_str(key);
        out.push('=');
        encode(value, &mut out);
    }
    out
}

/// Percent-encodes everything but letters, digits, `.`, `-`, `_`, `~` and the colon, which the specification leaves as it is.
fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => {
                out.push(char::from(byte));
            }
            // Writing to a String cannot fail.
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_specification_has_them() {
        let given = [("arch", "amd64"), ("distro", "debian-12"), ("upstream", "")];
        assert_eq!(
            purl("deb", "debian", "libstdc++6", Some("1:12+deb"), &given),
            "pkg:deb/debian/libstdc%2B%2B6@1:12%2Bdeb?arch=amd64&distro=debian-12"
        );
        assert_eq!(
            purl("npm", "@angular", "cli", Some("1.0.0"), &[]),
            "pkg:npm/%40angular/cli@1.0.0"
        );
        assert_eq!(
            purl("golang", "github.com/a/b", "v2", None, &[]),
            "pkg:golang/github.com/a/b/v2"
        );
        assert_eq!(purl("pypi", "", "a\u{1b}?", None, &[]), "pkg:pypi/a%1B%3F");
    }
}
