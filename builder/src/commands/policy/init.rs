//! `flavor policy init`: a policy that asks for nothing, to be edited.

use std::path::PathBuf;

use psp_launcher::trust::config::POLICY;
use serde::Serialize;

use super::{Scope, host_rules};
use crate::cli::PolicyInitArgs;
use crate::error::Error;
use crate::package_file::{json_path, shown};
use crate::printer::{HEAD, Report};

/// What flavorpack's own tools take too: keys that only flavor knows are left out.
const DEFAULT: &str = r#"{
  "version": 1,
  "trust": {
    "require_trusted_key": false
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

/// Every key with its meaning, in the order of the documentation.
const KEYS: [(&str, &str); 11] = [
    (
        "trust.require_trusted_key",
        "true: only packages start whose signer is trusted here",
    ),
    (
        "trust.required_signers",
        "a list of fingerprints: one of them has to be the signer",
    ),
    (
        "trust.use_os_keychain",
        "flavorpack's; only false is allowed, as there is no key chain that flavor trusts",
    ),
    ("execution.refuse_root", "true: nothing starts as root"),
    (
        "execution.max_age_days",
        "a number: days after its build time in which a package starts; one without a build time does not",
    ),
    (
        "execution.allow_platforms",
        "a list such as [\"linux_amd64\"]: this host has to be one of them; empty: any",
    ),
    (
        "execution.minimum_version",
        "an object of package names, or patterns, and the lowest version that starts: {\"acme-*\": \"1.2\"}",
    ),
    (
        "execution.refuse_downgrade",
        "true: a version below the highest that was seen of the same name and signer does not start",
    ),
    (
        "attestation.require_sbom",
        "true: a package has to carry an SBOM",
    ),
    (
        "enforcement.default",
        "deny, warn or allow: what happens where a check fails",
    ),
    (
        "enforcement.CHECK",
        "the same for one check: platform_mismatch, root_execution, expired_package, missing_sbom, untrusted_key, \
         required_signer, minimum_version, downgrade, same_version",
    ),
];

#[derive(Debug, Serialize)]
pub(super) struct Made {
    #[serde(serialize_with = "json_path")]
    file: PathBuf,
}

pub(super) fn init(args: &PolicyInitArgs) -> Result<Made, Error> {
    let scope = Scope::of(&host_rules()?, args.global)?;
    let file = scope.dir.join(POLICY);
    scope.write_new(&file, DEFAULT, "edit it; it is never overwritten")?;
    Ok(Made { file })
}

impl Report for Made {
    fn text(&self) -> String {
        let mut out = format!("{} asks for nothing yet. Its keys:\n\n", shown(&self.file));
        for (key, meaning) in KEYS {
            out.push_str(&format!("{HEAD}{key}{HEAD:#}\n    {meaning}\n"));
        }
        out.push_str("\nA policy that cannot be read lets nothing start: see it with `flavor policy show`.\n");
        out
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}

#[cfg(test)]
mod tests {
    use psp_launcher::policy::host::{self, Check};

    use super::*;

    #[test]
    fn the_default_asks_for_nothing() {
        let policy = host::read(DEFAULT.as_bytes());
        let asked = policy.map(|policy| host::HostPolicy {
            enforcement: vec![],
            ..policy
        });
        assert_eq!(asked, Ok(host::HostPolicy::default()));
    }

    #[test]
    fn everything_is_documented() {
        let page = include_str!("../../../docs/trust.md");
        for (key, _) in KEYS {
            let name = key.rsplit('.').next().unwrap_or(key);
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
        for (check, _) in Check::ALL {
            assert!(page.contains(&format!("`{check}`")), "{check}");
        }
    }
}
