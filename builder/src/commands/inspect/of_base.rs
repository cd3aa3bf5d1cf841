//! What `flavor inspect` shows of a base package.

use psp_format::metadata::{Map, Package, Policy};
use psp_format::tar::Entry;

use super::{FileEntry, FileFacts, Format, Inspection, Launcher, Signature, SlotFacts};
use crate::base::content;
use crate::base::examine::{BOUND, operations};
use crate::base::slot::{Bound, Slot};
use crate::base::{self, metadata};
use crate::commands::signers;
use crate::error::Error;
use crate::inputs::Keep;
use crate::keyring::TrustStore;
use crate::pack::stream::tar_entry;
use crate::package_file::PackageFile;
use crate::printer::Printer;

pub(super) fn inspection(
    file: &PackageFile,
    package: &base::Package,
    trust: &TrustStore,
) -> Inspection {
    let metadata = package.metadata();
    let signers = signers::of_base(package, trust);
    Inspection {
        file: FileFacts::of(file),
        signature: Signature {
            good: true,
            detail: "good; slots are not checked here, `flavor verify` does, and says what no signature binds"
                .into(),
        },
        package: Some(Package {
            authors: Vec::new(),
            description: metadata.description.clone(),
            homepage: None,
            license: None,
            name: metadata.name.clone(),
            version: metadata.version.clone(),
        }),
        format: Some(Format {
            format: metadata.format.clone(),
            profile: BOUND.to_owned(),
            package_id: package.package_id().to_string(),
            build_time: metadata.build.timestamp.clone(),
            tool: metadata.build.tool.clone(),
            tool_version: metadata.build.tool_version.clone(),
        }),
        launcher: Some(Launcher {
            size: package.launcher().len(),
            target: None,
            sha256: metadata
                .launcher
                .as_ref()
                .and_then(|launcher| launcher.checksum)
                .map(|digest| digest.to_string()),
        }),
        slots: package.slots().iter().enumerate().map(slot).collect(),
        commands: Map::new(),
        command: Some(metadata.command.clone()),
        setup: Vec::new(),
        policy: metadata.policy.as_ref().map(policy),
        signer: signers.first().cloned(),
        signers,
        container: None,
        dump: None,
        help: None,
    }
}

fn policy(policy: &metadata::Policy) -> Policy {
    Policy {
        max_age_days: policy.max_age_days,
        platforms: policy.platforms.clone(),
        refuse_root: policy.refuse_root,
        require_env: policy.require_env.clone(),
    }
}

fn slot((index, slot): (usize, &Slot)) -> SlotFacts {
    SlotFacts {
        index,
        id: slot.id.clone(),
        target: slot.target.clone(),
        operations: operations(slot),
        stored_size: slot.range.len(),
        original_size: slot.original_size,
        sha256: match slot.bound {
            Bound::Full(digest) => Some(digest.to_string()),
            Bound::Short(_) | Bound::No => None,
        },
        purpose: slot.purpose.clone(),
        lifecycle: slot.lifecycle.clone(),
        offset: slot.range.start(),
        mode: format!("{:04o}", slot.mode),
        mutable: false,
        files: None,
    }
}

/// Lists what the slots hold. Their digests are compared first: nothing else is decoded.
pub(super) fn list_files(
    file: &PackageFile,
    package: &base::Package,
    inspection: &mut Inspection,
    printer: &Printer,
) -> Result<(), Error> {
    let refused = |refusal| Error::Refused {
        path: file.path().to_owned(),
        refusal,
    };
    let meter = printer.meter("reading", file.size());
    for (slot, facts) in package.slots().iter().zip(&mut inspection.slots) {
        package.check_slot(file, slot, &meter)?.map_err(refused)?;
        let tree = content::tree(file, slot, Keep::Nothing)?.map_err(refused)?;
        let entries = tree.entries.iter();
        let entries = entries.map(|entry| -> Entry { tar_entry(entry, ".") });
        facts.files = Some(entries.map(|entry| FileEntry::of(&entry)).collect());
    }
    Ok(())
}
