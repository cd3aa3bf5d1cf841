//! Packages of the base format, as flavorpack's three builders write them, read at the level "base, bound": the signature
//! holds over the exact metadata text, and every slot is what a full digest in that text says.
//!
//! The base format leaves much of a file unsigned, and its own readers look at little of what is signed. So everything
//! that decides something here is taken from the signed text: which bytes a slot has, what they decode to, where they go
//! and with which mode. The unsigned records beside it, index and slot table, say where the bytes lie, and are refused
//! where they contradict the text ([`container`], [`slot`]). What no signature binds is named as that ([`examine`]).
//!
//! Nothing of this is in the launcher: stubs start strict packages only.

pub mod container;
pub mod content;
pub mod examine;
pub mod fault;
pub mod json;
pub mod member;
pub mod metadata;
pub mod policy;
pub mod run;
pub mod slot;

use psp_format::Error as FormatError;
use psp_format::digest::Digest;
use psp_format::layout::RawIndex;
use psp_format::range::Range;
use psp_format::signature::PublicKey;

use crate::error::Error;
use crate::examine::Refusal;
use crate::package_file::PackageFile;
use crate::printer::Meter;

use container::{Gaps, Regions};
use fault::Fault;
use metadata::Metadata;
use slot::{Bound, Slot};

/// A base package whose signature, layout and records are good. Its slots are compared when they are used:
/// [`Package::check_slot`].
#[derive(Debug, Clone)]
pub struct Package {
    metadata: Metadata,
    text: Vec<u8>,
    signer: PublicKey,
    launcher: Range,
    slots: Vec<Slot>,
    gaps: Gaps,
}

impl Package {
    /// What was signed, as far as a reader needs it.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// SHA-256 of the signed text: the name of this package in caches.
    pub fn package_id(&self) -> Digest {
        Digest::of(&self.text)
    }

    /// The key that signed.
    pub fn signer(&self) -> &PublicKey {
        &self.signer
    }

    /// The launcher, which is bound only where the metadata has its digest.
    pub fn launcher(&self) -> Range {
        self.launcher
    }

    /// The slots, in table order.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The zeros between the regions.
    pub fn gaps(&self) -> &Gaps {
        &self.gaps
    }

    /// Compares the launcher with its signed digest, where there is one.
    pub fn check_launcher(
        &self,
        file: &PackageFile,
        meter: &Meter,
    ) -> Result<Result<(), Refusal>, Error> {
        let Some(launcher) = &self.metadata.launcher else {
            return Ok(Ok(()));
        };
        if launcher.size != self.launcher.len() {
            return Ok(Err(FormatError::LauncherDigest.into()));
        }
        let found = file.digest(self.launcher, &|n| meter.advance(n))?;
        match launcher.checksum {
            Some(signed) if signed != found => Ok(Err(FormatError::LauncherDigest.into())),
            _ => Ok(Ok(())),
        }
    }

    /// Compares the stored bytes of a slot with the signed digest, and with what the unsigned records say of them.
    pub fn check_slot(
        &self,
        file: &PackageFile,
        slot: &Slot,
        meter: &Meter,
    ) -> Result<Result<(), Refusal>, Error> {
        if slot.bound == Bound::No {
            return Ok(Err(Fault::Unbound {
                slot: slot.id.clone(),
            }
            .into()));
        }
        let found = file.digest(slot.range, &|n| meter.advance(n))?;
        Ok(slot.check(&found))
    }
}

/// Verifies container, signature, layout and records of a base package. The error is for files that cannot be read.
pub fn open(file: &PackageFile) -> Result<Result<Package, Refusal>, Error> {
    let parts = file.parts()?;
    let opened = parts.found().map_err(Refusal::from).and_then(|found| {
        let index = RawIndex::from_bytes(found.index);
        if Digest::of(found.member).0 != index.metadata_checksum {
            return Err(FormatError::MemberDigest.into());
        }
        let text = member::text(found.member)?;
        // Nothing of the text is looked at before its signature holds.
        let signer = container::signer(index, &text)?;
        let metadata = Metadata::read(&text)?;
        container::check_index(index, &signer, &metadata)?;
        let slots = slot::read(&metadata, found.table, index)?;
        let regions = Regions::of(index, &slots, file.size())?;
        Ok((metadata, text, signer, slots, regions))
    });
    let (metadata, text, signer, slots, regions) = match opened {
        Ok(opened) => opened,
        Err(refusal) => return Ok(Err(refusal)),
    };
    for (after, gap) in &regions.gaps.0 {
        let bytes = file.read(*gap)?;
        if let Some(at) = bytes.iter().position(|&byte| byte != 0) {
            let at = gap.start() + at as u64;
            let after = after.clone();
            return Ok(Err(Fault::Junk { after, at }.into()));
        }
    }
    Ok(Ok(Package {
        metadata,
        text,
        signer,
        launcher: regions.launcher,
        slots,
        gaps: regions.gaps,
    }))
}

/// [`open`], for verbs that cannot go on without a package; the launcher, where its digest is signed, and the slots that
/// are `used` are compared too.
pub fn require(
    file: &PackageFile,
    used: impl Fn(&Slot) -> bool,
    meter: impl FnOnce(u64) -> Meter,
) -> Result<Package, Error> {
    let refused = |refusal| Error::Refused {
        path: file.path().to_owned(),
        refusal,
    };
    let package = open(file)?.map_err(refused)?;
    let meter = meter(file.size());
    package.check_launcher(file, &meter)?.map_err(refused)?;
    for slot in package.slots().iter().filter(|slot| used(slot)) {
        package.check_slot(file, slot, &meter)?.map_err(refused)?;
    }
    Ok(package)
}

/// Whether a member that is not the strict profile's holds metadata of the base format: what decides which reader a file
/// is for. A member that cannot be read is a base one when it is compressed, as the strict profile has none.
pub fn is_base(bytes: &[u8]) -> bool {
    match member::text(bytes) {
        // Without a text it is neither; the strict reader says so.
        Ok(text) => !text.is_empty() && !json::mentions_profile(&text),
        Err(_) => member::is_compressed(bytes),
    }
}
