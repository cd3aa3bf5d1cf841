//! Whether a command can do without files, and its plan when it has none.

use std::borrow::Cow;
use std::ffi::CString;

use psp_format::VerifiedPackage;
use psp_format::metadata::{Lifecycle, Slot, WORKENV};
use psp_format::range::Range;

use super::command::{base_name, choose};
use super::{Choice, ExecPlan, Places, PlanError, Snapshot, application};

/// The slot that is the chosen command's program, where that is a single file and nothing else of the package has to be
/// on disk: no further slot that a start extracts, no setup command, no argument, variable or directory that names the
/// work environment or the cache, and no file that the program may change.
pub(crate) fn only_program<'a>(
    package: &'a VerifiedPackage,
    snapshot: &Snapshot<'a>,
    choice: Choice<'a>,
    dev: bool,
) -> Option<(&'a Slot, Range)> {
    let metadata = package.metadata();
    let chosen = choose(metadata, snapshot, choice).ok()?;
    let (program, args) = chosen.argv.split_first()?;
    let target = program.strip_prefix(WORKENV)?.strip_prefix('/')?;
    let rules = metadata.runtime.as_ref().map(|runtime| &runtime.env.set);
    let values = rules.into_iter().flatten().chain(chosen.env);
    let mut texts = args.iter().chain(values.map(|(_, value)| value));
    // A relative directory lies in the work environment.
    let is_outside = |cwd: &str| cwd.starts_with('/') && !names_a_place(cwd);
    if !metadata.setup.is_empty()
        || texts.any(|text| names_a_place(text))
        || !chosen.cwd.is_none_or(is_outside)
    {
        return None;
    }
    let is_extracted = |slot: &Slot| match slot.lifecycle {
        // Without setup commands, what is there for them is not extracted either.
        Lifecycle::Lazy | Lifecycle::Attestation | Lifecycle::Init => false,
        Lifecycle::Dev => dev,
        _ => true,
    };
    let mut slots = package.slots().filter(|(slot, _)| is_extracted(slot));
    let (slot, range) = slots.next()?;
    let is_kept = matches!(
        slot.lifecycle,
        Lifecycle::Cached | Lifecycle::Runtime | Lifecycle::Platform | Lifecycle::Dev
    );
    let is_program = slot.target == target && slot.mode & 0o100 != 0 && !slot.operations.is_tar();
    let is_only = slots.next().is_none() && is_program && is_kept && !slot.mutable;
    is_only.then_some((slot, range))
}

fn names_a_place(text: &str) -> bool {
    text.contains(WORKENV) || text.contains("{cache}")
}

/// The plan for a program that has no place: its path is its base name, which is what it has as `argv[0]` in a place, but
/// for the directories.
pub(crate) fn without_files<'a>(
    package: &'a VerifiedPackage,
    snapshot: &Snapshot<'a>,
    choice: Choice<'a>,
    package_dir: &dyn Fn() -> Vec<u8>,
) -> Result<ExecPlan<'a>, PlanError> {
    let places = Places {
        workenv: b"",
        cache: b"",
        package_dir,
    };
    let mut plan = application(package, snapshot, choice, &places)?;
    let name = base_name(plan.program.as_bytes());
    plan.program = CString::new(name).map_err(|_| PlanError::Nul)?;
    if let Some(first) = plan.argv.first_mut() {
        *first = Cow::Owned(plan.program.clone());
    }
    Ok(plan)
}
