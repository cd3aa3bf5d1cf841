//! What several tests share: the verdict on a package, contents included.

use psp_format::ops::Operations;
use psp_format::verify::verify_bytes;
use psp_launcher::contents;
use psp_launcher::extract::ExtractError;

/// Nothing, or the layer that refuses and its message.
pub(crate) fn verdict(bytes: &[u8]) -> Option<(String, String)> {
    let package = match verify_bytes(bytes) {
        Err(error) => return Some((error.layer().to_string(), error.to_string())),
        Ok(package) => package,
    };
    // As `contents::check`, which stops at a tar.gz slot: that is for base launchers, and its digest has been
    // compared.
    let mut slots = package
        .slots()
        .filter(|(slot, _)| slot.operations != Operations::TarGz);
    slots.find_map(|(slot, range)| {
        let stored = range.of(bytes).unwrap_or_default();
        contents::check_slot(slot, stored).err().map(refusal)
    })
}

/// The layer that refuses, and why.
fn refusal(error: ExtractError) -> (String, String) {
    let layer = match &error {
        ExtractError::Format(error) => error.layer().to_string(),
        // Memory and files: no verdict on the package.
        _ => "system".to_string(),
    };
    (layer, error.to_string())
}
