//! The highest version that was seen of each package and signer, for hosts whose policy refuses to go back.
//!
//! A package with several signers is compared with what was seen of each: whoever holds the file can change their order
//! and leave some out. A small file for each in `seen`, in the user's configuration directory. It is written before the package starts, under
//! a lock, and replaced as a whole. What cannot be read is not "never seen": the package does not start, and the message
//! names the file. Removing the file makes the host forget, which is also the way back from a version that was too high.

use core::cmp::Ordering;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use psp_format::VerifiedPackage;
use psp_format::metadata::{Package, is_version};
use psp_format::signature::PublicKey;

use super::judge::{HostFacts, Reason};
use super::version;
use crate::store::make_with_parents;
use crate::trust::Config;
use crate::trust::file::{Fault, Owner, Problem};

const DIRECTORY: &str = "seen";
const FIRST: &[u8] = b"flavor seen 1\n";
const MAX_SIZE: usize = 4096;

/// Compares a package with what was seen of it, and remembers it where that is asked for.
pub(super) fn compare(
    config: Option<&Path>,
    package: &VerifiedPackage,
    facts: &HostFacts,
) -> Result<(), Reason> {
    let path = config.ok_or(Reason::NoMemory)?.join(DIRECTORY);
    let id = package.package_id().hex();
    let about = &package.metadata().package;
    // All are compared before anything is remembered of one.
    for remember in [false, true] {
        let facts = HostFacts {
            remember: remember && facts.remember,
            ..*facts
        };
        for signer in package.signers() {
            compare_signer(&path, about, &id, signer, &facts)?;
        }
    }
    Ok(())
}

fn compare_signer(
    path: &Path,
    about: &Package,
    id: &[u8; 64],
    signer: &PublicKey,
    facts: &HostFacts,
) -> Result<(), Reason> {
    let signer = signer.fingerprint().hex();
    let name = [about.name.as_bytes(), b".", &signer].concat();
    let text = [FIRST, about.version.as_bytes(), b"\n", id, b"\n"].concat();
    let system = |errno| {
        let (path, problem) = (path.to_owned(), Problem::System(errno));
        Reason::Memory(Fault { path, problem })
    };
    let is_newer = |directory: &Config| -> Result<bool, Reason> {
        let Some(seen) = directory.read(&name, MAX_SIZE).map_err(Reason::Memory)? else {
            return Ok(true);
        };
        if seen == text {
            return Ok(false);
        }
        let memory = path.join(OsStr::from_bytes(&name));
        let version = about.version.clone();
        let Some(seen) = version_in(&seen) else {
            let problem = Problem::at(b"", 0, "expected a version that was seen");
            let path = memory;
            return Err(Reason::Memory(Fault { path, problem }));
        };
        match version::compare(&version, seen) {
            Ordering::Greater => Ok(true),
            Ordering::Equal if version != seen => Ok(false),
            Ordering::Equal => Err(Reason::SameVersion { version, memory }),
            Ordering::Less => {
                let seen = seen.to_owned();
                Err(Reason::Downgrade {
                    version,
                    seen,
                    memory,
                })
            }
        }
    };
    let owner = Owner(Some(facts.uid));
    if let Some(directory) = Config::find(path, owner).map_err(system)?
        && (!is_newer(&directory)? || !facts.remember)
    {
        return Ok(());
    }
    if !facts.remember {
        return Ok(());
    }
    make_with_parents(path, facts.uid).map_err(system)?;
    let Some(directory) = Config::find(path, owner).map_err(system)? else {
        return Ok(());
    };
    directory.lock().map_err(system)?;
    // Another start may have been faster.
    if is_newer(&directory)? {
        directory.replace(&name, &text).map_err(Reason::Memory)?;
    }
    Ok(())
}

/// The version in a file of this module, if it is one.
fn version_in(text: &[u8]) -> Option<&str> {
    let rest = core::str::from_utf8(text.strip_prefix(FIRST)?).ok()?;
    let (version, rest) = rest.split_once('\n')?;
    let is_whole = rest.len() == 65 && rest.ends_with('\n');
    (is_whole && is_version(version)).then_some(version)
}
