//! Transcripts of the command line: `tests/cmd/*.trycmd`, run in a directory of packages, keys and other files that is
//! made anew for each run. `TRYCMD=overwrite cargo test -p flavor --test cli` writes the transcripts anew.
//!
//! The harness writes every backslash as a slash; what escapes look like is tested beside `printer::escape`.

mod fixtures;

use std::path::Path;

#[test]
fn transcripts() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    fixtures::write(dir.path())?;
    // The transcripts name files relative to this directory.
    std::env::set_current_dir(dir.path())?;
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cmd");
    trycmd::TestCases::new()
        .env("FLAVOR_CONFIG_DIR", "/nonexistent")
        .env(
            "FLAVOR_CACHE",
            dir.path().join("cache").display().to_string(),
        )
        .env("NO_COLOR", "1")
        .env("TEST_KEY", std::fs::read_to_string("test.key")?)
        .case(cases.join("*.trycmd"))
        .run();
    // On hosts that trust somebody already or have a policy, and on two whose settings are made in the transcript.
    for (config, cases_in) in [
        ("config", "trusted"),
        ("config-trust", "trust"),
        ("config-policy", "policy"),
        ("config-strict", "policy-strict"),
        ("config-broken", "policy-broken"),
    ] {
        trycmd::TestCases::new()
            .env(
                "FLAVOR_CONFIG_DIR",
                dir.path().join(config).display().to_string(),
            )
            .env("NO_COLOR", "1")
            .case(cases.join(cases_in).join("*.trycmd"))
            .run();
    }
    Ok(())
}
