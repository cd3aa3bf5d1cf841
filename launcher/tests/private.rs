//! What a work environment of one start is made of.

#![allow(clippy::panic, missing_docs)]

mod support;

use std::error::Error;
use std::path::Path;

use psp_format::metadata::Lifecycle;
use psp_launcher::store::{Candidate, HookError, Hooks, Store, slot_key};
use support::*;

struct Quiet;

impl Hooks for Quiet {
    fn waiting(&self) {}

    fn progress(&self, _: u64, _: u64) {}

    fn setup(&self, _: &Path) -> Result<(), HookError> {
        Ok(())
    }
}

/// The tree of a private environment, where links are shown with their targets.
fn private(slots: &[Made]) -> Result<Vec<String>, Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let candidate = Candidate {
        path: directory.path().join("store"),
        origin: "test",
    };
    let runs = candidate.path.join("runs");
    let (built, store) = (package(slots)?, Store::open(&[candidate], 0)?);
    let source = built.bytes.as_slice();
    store.ensure(&built.package, &source, &Quiet)?;
    let private = store.private(&built.package, &source)?;
    let tree = private
        .as_ref()
        .map_or(Ok(vec![]), |private| tree(private.path()));
    drop(private);
    assert_eq!(std::fs::read_dir(runs)?.count(), 0);
    let env = format!("envs/{}", built.package.package_id());
    Ok(tree?.iter().map(|line| line.replace(&env, "ENV")).collect())
}

#[test]
fn private_slots_lie_beside_above_and_below_others() -> TestResult {
    let volatile = |mut made: Made| {
        made.slot.lifecycle = Lifecycle::Volatile;
        made
    };
    let app = || {
        let items = [
            dir("app", 0o755),
            dir("app/lib", 0o755),
            file("app/lib/x", 0o644, b"x"),
            symlink("app/link", "lib/x"),
            file("app/main", 0o755, b"main"),
        ];
        tar_zst("app", "app", &items, 1)
    };
    // Beside: a link to what is a link to a shared slot is that link.
    let shared = slot_key(&package(&[app()?])?.package.metadata().slots[0]);
    let found = private(&[app()?, volatile(plain("p", "p", b"p"))])?;
    let link = format!("app -> ../../slots/{shared}/app");
    assert_eq!(found, [&*link, "p 755 1"]);
    // Below: real directories on the way, links beside it, and links that lead as they did.
    let below = volatile(plain("p", "app/lib/new/p", b"p"));
    let found = private(&[app()?, below])?;
    let expected = [
        "app/ 755",
        "app/lib/ 755",
        "app/lib/new/ 755",
        "app/lib/new/p 755 1",
        "app/lib/x -> ../../../../ENV/app/lib/x",
        "app/link -> lib/x",
        "app/main -> ../../../ENV/app/main",
    ];
    assert_eq!(found, expected);
    // Above, with a directory that both have.
    let items = [
        dir("app", 0o700),
        file("app/a", 0o644, b"a"),
        dir("app/plugins", 0o755),
        file("app/plugins/b", 0o600, b"b"),
    ];
    let above = volatile(tar_zst("app", "app", &items, 1)?);
    let found = private(&[
        above,
        plain("p", "app/plugins/p", b"p"),
        plain("q", "app/q/q", b"q"),
    ])?;
    let expected = [
        "app/ 700",
        "app/a 644 1",
        "app/plugins/ 755",
        "app/plugins/b 600 1",
        "app/plugins/p -> ../../../../ENV/app/plugins/p",
        "app/q -> ../../../ENV/app/q",
    ];
    assert_eq!(found, expected);
    // All of it.
    let items = [
        dir("a", 0o755),
        file("a/f", 0o644, b"f"),
        file("top", 0o644, b"t"),
    ];
    let top = volatile(tar_zst("top", ".", &items, 1)?);
    let found = private(&[top.clone(), plain("p", "a/p", b"p")])?;
    let expected = [
        "a/ 755",
        "a/f 644 1",
        "a/p -> ../../../ENV/a/p",
        "top 644 1",
    ];
    assert_eq!(found, expected);
    // Nothing but private slots, one in the other.
    let inner = volatile(plain("p", "a/p", b"p"));
    let found = private(&[inner, top])?;
    assert_eq!(found, ["a/ 755", "a/f 644 1", "a/p 755 1", "top 644 1"]);
    Ok(())
}

#[test]
fn packages_without_private_slots_have_no_private_environment() -> TestResult {
    assert_eq!(private(&[plain("p", "p", b"p")])?, [""; 0]);
    Ok(())
}
