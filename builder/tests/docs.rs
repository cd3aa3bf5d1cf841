//! The reference in `docs/` is what the program says of itself. `FLAVOR_BLESS=1` writes it anew.

use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn reference_is_up_to_date() -> std::io::Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    for (name, text) in flavor::docs::pages() {
        let path = docs.join(name);
        if std::env::var_os("FLAVOR_BLESS").is_some() {
            std::fs::write(&path, &text)?;
        }
        let found = std::fs::read_to_string(&path)?;
        assert!(
            found == text,
            "docs/{name} is out of date: FLAVOR_BLESS=1 cargo test -p flavor --test docs"
        );
    }
    Ok(())
}

#[test]
fn there_is_a_man_page_for_each_verb() -> std::io::Result<()> {
    let pages = flavor::commands::man_pages()?;
    let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "flavor.1",
            "flavor-init.1",
            "flavor-pack.1",
            "flavor-verify.1",
            "flavor-inspect.1",
            "flavor-extract.1",
            "flavor-extract-all.1",
            "flavor-run.1",
            "flavor-link.1",
            "flavor-cache.1",
            "flavor-cache-list.1",
            "flavor-cache-info.1",
            "flavor-cache-prune.1",
            "flavor-cache-remove.1",
            "flavor-cache-verify.1",
            "flavor-cache-warm.1",
            "flavor-diff.1",
            "flavor-rebuild.1",
            "flavor-delta.1",
            "flavor-apply.1",
            "flavor-keygen.1",
            "flavor-sign.1",
            "flavor-trust.1",
            "flavor-trust-add.1",
            "flavor-trust-list.1",
            "flavor-trust-remove.1",
            "flavor-trust-verify.1",
            "flavor-trust-revoke.1",
            "flavor-trust-rotate.1",
            "flavor-policy.1",
            "flavor-policy-init.1",
            "flavor-policy-show.1",
            "flavor-policy-check.1",
            "flavor-doctor.1",
            "flavor-completions.1",
            "flavor-man.1",
        ]
    );
    for (name, page) in &pages {
        let page = String::from_utf8_lossy(page);
        assert!(page.contains(".TH flavor"), "{name}");
        assert!(page.contains(".SH EXAMPLE\n.nf\nflavor"), "{name}");
    }
    Ok(())
}

/// Every variable with our prefix that stands in the programs is documented, and no other is.
#[test]
fn variables_that_exist_are_those_that_are_documented() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut used = BTreeSet::new();
    for sources in [root.join("src"), root.join("../launcher/src")] {
        collect(&sources, &mut used)?;
    }
    let page = std::fs::read_to_string(root.join("docs/environment.md"))?;
    let documented: BTreeSet<String> = variables(&page, '`').collect();
    assert_eq!(used, documented);
    Ok(())
}

/// Adds what stands between quotation marks in the sources below a directory.
fn collect(directory: &Path, found: &mut BTreeSet<String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, found)?;
        } else if path.file_name().is_none_or(|name| name != "tests.rs") {
            found.extend(variables(&std::fs::read_to_string(&path)?, '"'));
        }
    }
    Ok(())
}

/// Names of variables between two of these marks.
fn variables(text: &str, mark: char) -> impl Iterator<Item = String> {
    let parts = text.split(mark).filter(|part| {
        part.strip_prefix("FLAVOR_")
            .is_some_and(|rest| rest.bytes().all(|c| c.is_ascii_uppercase() || c == b'_'))
    });
    parts.map(str::to_owned)
}
