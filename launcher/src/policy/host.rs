//! The policy of a host: what its administrator or its user lets start. Pure.
//!
//! The schema is flavorpack's, with keys of our own: `trust.required_signers`, `execution.minimum_version` and
//! `execution.refuse_downgrade`. It is read strictly: what cannot be read is never "no policy".

use psp_format::digest::Digest;
use psp_format::metadata::is_version;

use super::reader::{self, Reader};
use crate::trust::file::Problem;
use crate::trust::key_file::is_pattern;

/// What a policy asks for. Made of one file; [`super::judge`] puts the system's and the user's together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostPolicy {
    /// The signer has to be trusted here.
    pub require_trusted_key: bool,
    /// One of these has to be the signer; empty for anybody.
    pub required_signers: Vec<Digest>,
    /// Nothing starts as root.
    pub refuse_root: bool,
    /// Days after its build time in which a package starts; 0 for ever.
    pub max_age_days: u64,
    /// Targets of which this host has to be one; empty for all.
    pub allow_platforms: Vec<String>,
    /// Patterns of package names, with the lowest version that starts.
    pub minimum_versions: Vec<(String, String)>,
    /// A version below the highest that was seen does not start.
    pub refuse_downgrade: bool,
    /// A package has to say what is in it.
    pub require_sbom: bool,
    /// What happens where a check fails; without a check, for those that are not named.
    pub enforcement: Vec<(Option<Check>, Level)>,
}

/// What happens where a check fails, from weak to strong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    Allow,
    /// A line on standard error.
    Warn,
    /// The package does not start.
    Deny,
}

impl Level {
    /// Every level with its name in policies.
    pub const ALL: [(&'static str, Level); 3] = [
        ("allow", Level::Allow),
        ("warn", Level::Warn),
        ("deny", Level::Deny),
    ];
}

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// `allow_platforms`.
    Platform,
    /// `refuse_root`.
    Root,
    /// `max_age_days`.
    Age,
    /// `require_trusted_key`.
    TrustedKey,
    /// `required_signers`.
    Signer,
    /// `require_sbom`.
    Sbom,
    /// `minimum_version`.
    MinimumVersion,
    /// `refuse_downgrade`.
    Downgrade,
    /// `refuse_downgrade`: another package under a version that was seen.
    SameVersion,
    /// Flavorpack's, for variables that a package asks for: that is always enforced here.
    Variable,
    /// Flavorpack's, for a key chain that there is none of here.
    Keychain,
}

impl Check {
    /// Every check with its name in policies. The first seven are flavorpack's.
    pub const ALL: [(&'static str, Check); 11] = [
        ("platform_mismatch", Check::Platform),
        ("root_execution", Check::Root),
        ("expired_package", Check::Age),
        ("missing_env", Check::Variable),
        ("missing_sbom", Check::Sbom),
        ("untrusted_key", Check::TrustedKey),
        ("os_keychain", Check::Keychain),
        ("required_signer", Check::Signer),
        ("minimum_version", Check::MinimumVersion),
        ("downgrade", Check::Downgrade),
        ("same_version", Check::SameVersion),
    ];
}

impl HostPolicy {
    /// What this policy itself says about a check that fails.
    pub fn level(&self, check: Check) -> Option<Level> {
        let of = |wanted: Option<Check>| {
            let found = self.enforcement.iter().find(|(check, _)| *check == wanted);
            found.map(|(_, level)| *level)
        };
        of(Some(check)).or(of(None))
    }
}

/// Reads a policy.
pub fn read(text: &[u8]) -> Result<HostPolicy, Problem> {
    let mut policy = HostPolicy::default();
    let mut has_version = false;
    let result = reader::read(text, &mut |r| {
        r.object(&mut |r, key| match key {
            "version" => {
                has_version = true;
                if r.number() != 1 {
                    r.reject("this flavor reads version 1");
                }
            }
            "trust" => r.object(&mut |r, key| match key {
                "require_trusted_key" => policy.require_trusted_key = r.boolean(),
                "use_os_keychain" => {
                    if r.boolean() {
                        r.reject("flavor trusts no key chain of the system; set it to false");
                    }
                }
                "required_signers" => signers(r, &mut policy.required_signers),
                _ => unknown(r),
            }),
            "execution" => r.object(&mut |r, key| match key {
                "refuse_root" => policy.refuse_root = r.boolean(),
                "max_age_days" => policy.max_age_days = r.number(),
                "allow_platforms" => {
                    r.list(&mut |r| policy.allow_platforms.push(r.string().to_owned()));
                }
                "minimum_version" => minimum_versions(r, &mut policy.minimum_versions),
                "refuse_downgrade" => policy.refuse_downgrade = r.boolean(),
                _ => unknown(r),
            }),
            "attestation" => r.object(&mut |r, key| match key {
                "require_sbom" => policy.require_sbom = r.boolean(),
                _ => unknown(r),
            }),
            "enforcement" => r.object(&mut |r, key| {
                let check = Check::ALL.iter().find(|(name, _)| *name == key);
                if check.is_none() && key != "default" {
                    r.reject("there is no such check");
                }
                let check = check.map(|(_, check)| *check);
                policy.enforcement.push((check, level(r)));
            }),
            _ => unknown(r),
        });
        if !has_version {
            r.reject("\"version\" is missing");
        }
    });
    match result {
        Ok(()) => Ok(policy),
        Err(fault) => Err(Problem::at(text, fault.at, fault.what)),
    }
}

fn unknown(r: &mut Reader<'_>) {
    r.reject("there is no such key");
}

fn signers(r: &mut Reader<'_>, signers: &mut Vec<Digest>) {
    r.list(&mut |r| match Digest::from_hex(r.string()) {
        Some(signer) => signers.push(signer),
        None => r.reject("expected a fingerprint of 64 lower-case hexadecimal digits"),
    });
    // Whatever was meant, it was not anybody.
    if signers.is_empty() {
        r.reject("expected at least one fingerprint");
    }
}

fn minimum_versions(r: &mut Reader<'_>, minima: &mut Vec<(String, String)>) {
    r.object(&mut |r, glob| {
        if !is_pattern(glob) {
            r.reject("expected the name of a package, or a pattern");
        }
        let version = r.string();
        if !is_version(version) {
            r.reject("expected a version");
        }
        minima.push((glob.to_owned(), version.to_owned()));
    });
}

fn level(r: &mut Reader<'_>) -> Level {
    let name = r.string();
    match Level::ALL.iter().find(|(other, _)| *other == name) {
        Some((_, level)) => *level,
        None => {
            r.reject("expected deny, warn or allow");
            Level::Deny
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where it fails, and how.
    fn fault(text: &[u8]) -> (usize, usize, &'static str) {
        match read(text) {
            Err(Problem::Text {
                line,
                column,
                expected,
            }) => (line, column, expected),
            other => panic!("{}: {other:?}", text.escape_ascii()),
        }
    }

    #[test]
    fn everything_there_is() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let text = format!(
            r#" {{
            "enforcement": {{"default": "warn", "untrusted_key": "deny", "os_keychain": "allow"}},
            "attestation" : {{ "require_sbom":true }},
            "execution": {{
                "refuse_root": true, "max_age_days": 90, "refuse_downgrade": true,
                "allow_platforms": ["linux_amd64" , "linux_arm64"],
                "minimum_version": {{"tool": "1.2", "acme-*": "2.0"}}
            }},
            "trust": {{"require_trusted_key": true, "use_os_keychain": false, "required_signers": ["{a}","{b}"]}},
            "version": 1
        }}
        "#
        );
        let expected = HostPolicy {
            require_trusted_key: true,
            required_signers: vec![a, b],
            refuse_root: true,
            max_age_days: 90,
            allow_platforms: vec!["linux_amd64".into(), "linux_arm64".into()],
            minimum_versions: vec![
                ("tool".into(), "1.2".into()),
                ("acme-*".into(), "2.0".into()),
            ],
            refuse_downgrade: true,
            require_sbom: true,
            enforcement: vec![
                (None, Level::Warn),
                (Some(Check::TrustedKey), Level::Deny),
                (Some(Check::Keychain), Level::Allow),
            ],
        };
        assert_eq!(read(text.as_bytes()), Ok(expected.clone()));
        assert_eq!(expected.level(Check::TrustedKey), Some(Level::Deny));
        assert_eq!(expected.level(Check::Root), Some(Level::Warn));
        assert_eq!(HostPolicy::default().level(Check::Root), None);
    }

    #[test]
    fn what_flavorpack_writes() {
        let text = br#"{
  "version": 1,
  "trust": {
    "require_trusted_key": false,
    "use_os_keychain": false
  },
  "execution": {
    "refuse_root": false,
    "allow_platforms": []
  },
  "attestation": {
    "require_sbom": false
  },
  "enforcement": {
    "default": "deny"
  }
}
"#;
        let expected = HostPolicy {
            enforcement: vec![(None, Level::Deny)],
            ..HostPolicy::default()
        };
        assert_eq!(read(text), Ok(expected));
        assert_eq!(read(b"{\"version\":1}"), Ok(HostPolicy::default()));
        assert_eq!(
            read(b"{\"version\":1,\"trust\":{},\"enforcement\":{}}"),
            Ok(HostPolicy::default())
        );
    }

    /// Every mistake that a policy's text can have: of JSON, of its schema, of a value.
    ///
    /// outcome: refused; the line and the column are named
    /// layer: policy
    /// message: there is no such key | expected true or false | this key stands here twice | this flavor reads version 1
    #[test]
    fn case_046_every_mistake_has_a_place() {
        let object = "expected an object";
        let key = "there is no such key";
        let boolean = "expected true or false";
        let number = "expected a whole number";
        let text = "expected plain ASCII text and a quotation mark";
        let string = "expected a string";
        let list = "expected a list";
        let twice = "this key stands here twice";
        let more = "expected a comma, or the end of the list or object";
        for (policy, column, what) in [
            ("", 1, object),
            ("null", 1, object),
            ("[]", 1, object),
            ("\u{feff}{\"version\":1}", 1, object),
            ("{}", 2, "\"version\" is missing"),
            ("{\"trust\":{}}", 12, "\"version\" is missing"),
            ("{\"version\":1", 13, more),
            ("{\"version\":1}}", 14, "expected nothing more"),
            ("{\"version\":1}\u{e9}", 14, "expected nothing more"),
            ("{\"version\":1}\0", 14, "expected nothing more"),
            ("{\"version\":1}{}", 14, "expected nothing more"),
            ("{\"version\":1,}", 14, string),
            ("{\"version\":1 \"trust\":{}}", 14, more),
            ("{version:1}", 2, string),
            ("{'version':1}", 2, string),
            ("{\"version\" 1}", 12, "expected a colon"),
            ("{\"version\":\"1\"}", 12, number),
            ("{\"version\":null}", 12, number),
            ("{\"version\":true}", 12, number),
            ("{\"version\":1.0}", 12, number),
            ("{\"version\":1e0}", 12, number),
            ("{\"version\":01}", 12, number),
            ("{\"version\":-1}", 12, number),
            ("{\"version\":+1}", 12, number),
            ("{\"version\":18446744073709551617}", 12, number),
            ("{\"version\":0}", 12, "this flavor reads version 1"),
            ("{\"version\":2}", 12, "this flavor reads version 1"),
            ("{\"version\":1,\"version\":1}", 14, twice),
            ("{\"Version\":1}", 2, key),
            ("{\"version\":1,\"policy\":{}}", 14, key),
            ("{\"vers\\u0069on\":1}", 7, text),
            ("{\"version\n\":1}", 10, text),
            ("{\"versi\u{f6}n\":1}", 8, text),
            ("{\"version", 10, text),
            ("{\"trust\":[]}", 10, object),
            ("{\"trust\":null}", 10, object),
            ("{\"trust\":true}", 10, object),
            ("{\"trust\":{\"require_trusted_keys\":true}}", 11, key),
            (
                "{\"trust\":{\"require_trusted_key\":\"true\"}}",
                33,
                boolean,
            ),
            ("{\"trust\":{\"require_trusted_key\":1}}", 33, boolean),
            ("{\"trust\":{\"require_trusted_key\":TRUE}}", 33, boolean),
            ("{\"trust\":{\"require_trusted_key\":truer}}", 37, more),
            (
                "{\"trust\":{\"require_trusted_key\":false,\"require_trusted_key\":true}}",
                39,
                twice,
            ),
            (
                "{\"trust\":{\"use_os_keychain\":true}}",
                29,
                "flavor trusts no key chain of the system; set it to false",
            ),
            ("{\"trust\":{\"required_signers\":{}}}", 30, list),
            ("{\"trust\":{\"required_signers\":[1]}}", 31, string),
            (
                "{\"trust\":{\"required_signers\":[]}}",
                31,
                "expected at least one fingerprint",
            ),
            (
                "{\"trust\":{\"required_signers\":[\"00\"]}}",
                31,
                "expected a fingerprint of 64 lower-case hexadecimal digits",
            ),
            ("{\"execution\":{\"refuse_root\":null}}", 29, boolean),
            ("{\"execution\":{\"max_age_days\":\"7\"}}", 30, number),
            ("{\"execution\":{\"max_age_days\":0.5}}", 30, number),
            ("{\"execution\":{\"max_age_days\":null}}", 30, number),
            (
                "{\"execution\":{\"allow_platforms\":\"linux_amd64\"}}",
                33,
                list,
            ),
            ("{\"execution\":{\"allow_platforms\":[\"a\",]}}", 38, string),
            ("{\"execution\":{\"minimum_version\":\"1\"}}", 33, object),
            (
                "{\"execution\":{\"minimum_version\":{\"a\":1}}}",
                38,
                string,
            ),
            (
                "{\"execution\":{\"minimum_version\":{\"a\":\"\"}}}",
                38,
                "expected a version",
            ),
            (
                "{\"execution\":{\"minimum_version\":{\"a b\":\"1\"}}}",
                34,
                "expected the name of a package, or a pattern",
            ),
            (
                "{\"execution\":{\"minimum_version\":{\"a\":\"1\",\"a\":\"0\"}}}",
                42,
                twice,
            ),
            ("{\"attestation\":{\"sbom\":true}}", 17, key),
            (
                "{\"enforcement\":{\"root\":\"warn\"}}",
                17,
                "there is no such check",
            ),
            (
                "{\"enforcement\":{\"default\":\"Warn\"}}",
                27,
                "expected deny, warn or allow",
            ),
            ("{\"enforcement\":{\"default\":[]}}", 27, string),
            ("{/**/\"version\":1}", 2, string),
            ("{\"version\":1}//", 14, "expected nothing more"),
            ("{\u{c}\"version\":1}", 2, string),
        ] {
            assert_eq!(fault(policy.as_bytes()), (1, column, what), "{policy}");
        }
        assert_eq!(fault(b"{\"version\":1}\n\xff").0, 2);
        assert_eq!(fault(b"{\r\n \"version\":1,\r\n  \"x\":1}"), (3, 3, key));
        // Depth is nothing that a policy has.
        let deep = ["{\"trust\":".repeat(10_000), "[".repeat(10_000)].concat();
        assert_eq!(fault(deep.as_bytes()).2, key);
        assert_eq!(fault("[".repeat(60_000).as_bytes()).2, object);
        let many: String = (0..1100).map(|n| format!("\"k{n}\":\"1\",")).collect();
        let many = format!("{{\"execution\":{{\"minimum_version\":{{{many}\"k\":\"1\"}}}}}}");
        assert_eq!(fault(many.as_bytes()).2, "too many keys");
    }
}
