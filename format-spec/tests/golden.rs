//! The bytes of a small package, as an annotated listing that a person can read: a change of the format is a readable
//! difference. `PSP_BLESS=1 cargo test -p psp-format --test golden` writes the listing anew.

use std::path::Path;

use psp_format::{dump, verify};

mod small;

#[test]
fn listing_of_a_small_package() -> Result<(), Box<dyn std::error::Error>> {
    let package = small::package()?;
    verify::verify_bytes(&package)?;
    let listing = dump::text(&verify::locate_bytes(&package)?);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/small.txt");
    if std::env::var_os("PSP_BLESS").is_some() {
        std::fs::write(&golden, &listing)?;
    }
    assert_eq!(std::fs::read_to_string(&golden)?, listing);
    Ok(())
}
