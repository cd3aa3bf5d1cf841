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
    let is_named = |(_, value): (_, &String)| names_a_place(value);
    // A relative directory lies in the work environment.
    let is_outside = |cwd: &str| cwd.starts_with('/') && !names_a_place(cwd);
    if !metadata.setup.is_empty()
        || args.iter().any(|arg| names_a_place(arg))
        || chosen.env.iter().any(is_named)
        || rules.is_some_and(|rules| rules.iter().any(is_named))
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
    // Not by `str::contains`, which is quick for long texts and large for this one.
    let has = |name: &str| {
        text.as_bytes()
            .windows(name.len())
            .any(|part| part == name.as_bytes())
    };
    has(WORKENV) || has("{cache}")
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

#[cfg(test)]
mod tests {
    use psp_format::digest::{Checksum, Digest};
    use psp_format::metadata::{EnvRules, Metadata, Purpose, Runtime};
    use psp_format::ops::Operations;

    use super::super::tests::{command, package, snapshot, texts, variable_of, vars_of};
    use super::*;

    fn slot(id: &str, target: &str) -> Slot {
        Slot {
            checksum: Checksum(Digest::of(&[0; 8])),
            id: id.into(),
            lifecycle: Lifecycle::Cached,
            mode: 0o755,
            mutable: false,
            offset: 0,
            operations: Operations::None,
            operations_code: 0,
            original_size: 8,
            purpose: Purpose::Payload,
            size: 8,
            slot: u64::from(id != "app"),
            source: String::new(),
            target: target.into(),
        }
    }

    /// A package that is one program, and whether that is all its command needs.
    fn is_only_program(change: impl FnOnce(&mut Metadata)) -> bool {
        let package = package(|m| {
            m.slots = vec![slot("app", "bin/app"), slot("late", "data")];
            m.slots[1].lifecycle = Lifecycle::Lazy;
            change(m);
        });
        let snapshot = snapshot(&[]);
        let found = only_program(&package, &snapshot, Choice::Caller, false);
        found.is_some_and(|(slot, range)| slot.id == "app" && range == package.layout().slots[0])
    }

    #[test]
    fn programs_that_need_no_file() {
        type Change = fn(&mut Metadata);
        let changes: [(Change, bool); 20] = [
            (|_| {}, true),
            (
                |m| m.execution.argv.push("{version}{package_dir}".into()),
                true,
            ),
            (|m| m.execution.argv.push("{workenv}/x".into()), false),
            (|m| m.execution.argv.push("--x={cache}".into()), false),
            (|m| m.execution.argv[0] = "/bin/sh".into(), false),
            (|m| m.execution.argv[0] = "{workenv}/bin".into(), false),
            (|m| m.execution.cwd = Some("/".into()), true),
            (|m| m.execution.cwd = Some("bin".into()), false),
            (|m| m.execution.cwd = Some("{workenv}".into()), false),
            (
                |m| drop(m.execution.env.insert("A".into(), "{workenv}".into())),
                false,
            ),
            (
                |m| {
                    let set = [("A".to_owned(), "x:{cache}".to_owned())].into();
                    let env = EnvRules {
                        set,
                        ..EnvRules::default()
                    };
                    m.runtime = Some(Runtime { env });
                },
                false,
            ),
            (|m| m.setup = vec![command(&["/bin/true"])], false),
            (|m| m.slots[1].lifecycle = Lifecycle::Cached, false),
            (|m| m.slots[1].lifecycle = Lifecycle::Temporary, false),
            // Not asked for, and there for setup commands that there are none of.
            (|m| m.slots[1].lifecycle = Lifecycle::Dev, true),
            (|m| m.slots[1].lifecycle = Lifecycle::Init, true),
            (|m| m.slots[0].lifecycle = Lifecycle::Config, false),
            (|m| m.slots[0].lifecycle = Lifecycle::Volatile, false),
            (|m| m.slots[0].mutable = true, false),
            (|m| m.slots[0].mode = 0o644, false),
        ];
        for (nth, (change, expected)) in changes.into_iter().enumerate() {
            assert_eq!(is_only_program(change), expected, "{nth}");
        }
        assert!(!is_only_program(|m| {
            m.slots[0].operations = Operations::TarZst;
            m.slots[0].operations_code = Operations::TarZst.code();
        }));
    }

    #[test]
    fn a_program_without_files_is_not_told_of_any() {
        let package = package(|m| m.execution.argv.push("{version}".into()));
        let mut snapshot = snapshot(&[c"FLAVOR_WORKENV=/old", c"FLAVOR_CACHE=/x", c"A=1"]);
        snapshot.args = vec![c"b"];
        let plan = without_files(&package, &snapshot, Choice::Caller, &|| b"/opt".to_vec());
        let plan = plan.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(texts(&plan.argv), [&b"app"[..], b"1.2", b"b"]);
        assert_eq!(variable_of(&plan, "FLAVOR_WORKENV"), "(none)");
        assert_eq!(variable_of(&plan, "FLAVOR_CACHE"), "(none)");
        assert_eq!(variable_of(&plan, "FLAVOR_PACKAGE"), "demo");
        assert_eq!(vars_of(&plan), ["A=1"]);
    }
}
