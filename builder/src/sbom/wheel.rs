//! Wheels of Python (<https://packaging.python.org/en/latest/specifications/binary-distribution-format/>) that lie in a package as
//! they are: those of `ensurepip`, and what packages of flavorpack install when they are first started.

use std::borrow::Cow;
use std::io::{BufReader, Read as _};

use zip::ZipArchive;

use super::python::component;
use super::{File, Hidden, Inventory, MAX_METADATA, digest, last};
use crate::inputs::{Content, InputError};
use crate::printer::escape_bytes;

/// Adds every wheel, with its digest: that of the file, as an index has it of one that came from there.
pub(super) fn list(files: &[File<'_>], inventory: &mut Inventory) -> Result<(), InputError> {
    for file in files.iter().filter(|file| file.path.ends_with(b".whl")) {
        let text = metadata(file.content)?.unwrap_or_default();
        let mut component = component(&String::from_utf8_lossy(&text), last(file.path));
        let digest = digest(file.content)?;
        component.hash = Some(("SHA-256", digest.clone()));
        component.files.insert(escape_bytes(file.path), digest);
        component.hidden = Some(Hidden::Wheel);
        inventory.add(component);
    }
    Ok(())
}

/// The beginning of `NAME-VERSION.dist-info/METADATA` in it; none of what is no wheel.
fn metadata(content: &Content) -> Result<Option<Vec<u8>>, InputError> {
    let Some(image) = content.image()? else {
        return Ok(None);
    };
    let Ok(mut archive) = ZipArchive::new(BufReader::new(image)) else {
        return Ok(None);
    };
    let is_metadata = |name: &String| {
        let directory = name.strip_suffix("/METADATA");
        directory.is_some_and(|it| it.ends_with(".dist-info") && !it.contains('/'))
    };
    let names = archive.file_names().filter_map(Result::ok);
    let name = { names.map(Cow::into_owned) }.find(is_metadata);
    let Some(Ok(file)) = name.map(|name| archive.by_name(&name)) else {
        return Ok(None);
    };
    let mut text = Vec::new();
    let read = file.take(MAX_METADATA).read_to_end(&mut text);
    Ok(read.ok().map(|_| text))
}
