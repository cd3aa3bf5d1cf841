//! The bytes of a small package, as an annotated listing that a person can read: a change of the format is a readable
//! difference. `PSP_BLESS=1 cargo test -p psp-format --test golden` writes the listing anew.

use std::path::Path;

use psp_format::signature::PrivateKey;
use psp_format::{dump, succession, verify};

mod small;

#[test]
fn listing_of_a_small_package() -> Result<(), Box<dyn std::error::Error>> {
    check("small.txt", &small::package()?)
}

#[test]
fn listing_of_a_package_with_three_signatures() -> Result<(), Box<dyn std::error::Error>> {
    let package = small::signed_by(&small::package()?, &["second", "third"]);
    check("signed-by.txt", &package)
}

/// A statement that one key continues another.
#[test]
fn text_of_a_succession() -> Result<(), Box<dyn std::error::Error>> {
    let key = PrivateKey::from_text_seed;
    let text = succession::write(&key("old"), &key("new").public_key());
    succession::read(text.as_bytes())?;
    compare("succession.txt", &text)
}

fn check(name: &str, package: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    verify::verify_bytes(package)?;
    compare(name, &dump::text(&verify::locate_bytes(package)?))
}

fn compare(name: &str, listing: &str) -> Result<(), Box<dyn std::error::Error>> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("PSP_BLESS").is_some() {
        std::fs::write(&golden, listing)?;
    }
    assert_eq!(std::fs::read_to_string(&golden)?, listing);
    Ok(())
}
