//! What a package asks of its host. The numbers are those of the list of hostile cases.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use psp_testkit::project::{Project, flavor, text};
use psp_testkit::vector;

/// The policy in a package has one key only, an unknown one, or does not fit its digest.
///
/// outcome: refused (125); one key alone is enforced
/// layer: layout | policy
/// message: no build time is signed
#[test]
fn case_047_policies_of_packages() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.psp");
    let vectors = vector::load_all();
    let about: Vec<_> = vectors
        .iter()
        .filter(|vector| vector.cases.split(' ').any(|case| case == "47"))
        .collect();
    assert!(about.len() >= 7, "{}", about.len());
    for vector in about {
        fs::write(&path, &vector.bytes).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        assert!(!vector.is_valid(), "{}", vector.name);
        for (verb, code) in [("verify", 1), ("run", 125)] {
            let output = flavor().arg(verb).arg(&path).output().unwrap();
            assert_eq!(output.status.code(), Some(code), "{verb} {}", vector.name);
        }
    }
    for (policy, fact) in [
        ("require_env = [\"NOT_THERE\"]", "variable NOT_THERE"),
        ("platforms = [\"windows_arm64\"]", "windows_arm64 only"),
        ("max_age_days = 1", "no build time is signed"),
    ] {
        let project = Project::new();
        project.file("app/run", 0o755, b"#!/bin/sh\necho started\n");
        project.manifest(&format!(
            "[package]\nname = \"demo\"\nversion = \"1\"\n[[slot]]\nid = \"app\"\nsource = \"app\"\n\
             [command]\nexec = \"{{workenv}}/app/run\"\n[policy]\n{policy}\n"
        ));
        let package = project.pack();
        for _ in 0..2 {
            let output = project.start(&package).output().unwrap();
            assert_eq!(output.status.code(), Some(125), "{policy}");
            assert!(
                text(&output.stderr).contains(fact),
                "{}",
                text(&output.stderr)
            );
            assert!(output.stdout.is_empty());
        }
    }
}
