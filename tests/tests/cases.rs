//! Every hostile case has a test, and the documentation says what becomes of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::Path;
use std::{env, fs};

use psp_testkit::cases;

#[test]
fn every_case_has_a_test() {
    let tested: BTreeSet<usize> = cases::all()
        .unwrap()
        .iter()
        .map(|case| case.number)
        .collect();
    let missing: Vec<usize> = (1..=cases::LAST)
        .filter(|number| !tested.contains(number))
        .collect();
    assert!(missing.is_empty(), "cases without a test: {missing:?}");
    let beyond = tested.range(cases::LAST + 1..).next();
    assert_eq!(beyond, None, "a case that is not on the list");
}

#[test]
fn messages_are_those_of_the_programs() {
    let unknown = cases::unknown_messages(&cases::all().unwrap());
    assert!(
        unknown.is_empty(),
        "said nowhere in the sources:\n{}",
        unknown.join("\n")
    );
}

/// The page is what the comments say. `FLAVOR_BLESS=1` writes it anew.
#[test]
fn the_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../builder/docs/hostile-input.md");
    let page = cases::page(&cases::all().unwrap());
    if env::var_os("FLAVOR_BLESS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page,
        "out of date: FLAVOR_BLESS=1 cargo test -p psp-testkit --test cases"
    );
}
