//! The sequence of a start, shared by the stub and `flavor run`.

use crate::at;
use core::convert::Infallible;
use core::ffi::CStr;
use core::fmt;
use rustix::fs::{AtFlags, CWD};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use psp_format::VerifiedPackage;
use rustix::io::Errno;

use crate::ask::{self, AskError};
use crate::env_vars::FLAVOR_DEV;
use crate::exec::{self, ExecError};
use crate::memory;
use crate::plan::cache::{fallbacks, named};
use crate::plan::{self, Choice, Places, PlanError, Snapshot};
use crate::policy::judge::{self, HostFacts, HostRefusal};
use crate::policy::{self, Facts, Refusal};
use crate::report::{self, Progress};
use crate::source::{PackageFile, SourceError, read_package};
use crate::store::{
    self, BootId, Candidate, HookError, Hooks, Private, Store, StoreError, Workenv, find_ready,
};
use crate::sys::{self, Process};

/// Filled when an image is built or a package is installed for everybody; looked at and never written by a start.
pub const SYSTEM_STORE: &str = "/var/lib/flavor";
/// Largest passwd file that is looked at, in bytes.
const MAX_PASSWD: usize = 1 << 20;

/// Why a package was not started.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The program runs with more privileges than its caller, who controls the cache and the environment.
    Privileged,
    /// The package cannot be read, or is none.
    Source(SourceError),
    /// Its policy refuses this host.
    Policy(Refusal),
    /// This host does not let it start.
    Host(HostRefusal),
    /// There is no plan.
    Plan(PlanError),
    /// There is no place for its files, or they cannot be put there.
    Store(StoreError),
    /// A program cannot be executed, or a setup command failed.
    Exec(ExecError),
    /// The package was asked about itself, and cannot answer.
    Ask(AskError),
}

/// What the stub does: starts the package that the running executable is, or has it answer (see [`ask`]).
///
/// # Errors
///
/// When the start fails. Otherwise it does not return, but for an answer, with its exit code.
pub fn running(process: &Process) -> Result<u8, StartError> {
    // With privileges that the caller does not have, the caller's cache and environment must not be trusted, and a
    // launcher without them cannot start much. A program that needs privileges is installed, not packed.
    if sys::is_privileged() {
        return Err(StartError::Privileged);
    }
    let file = PackageFile::running(process)?;
    let package = read_package(&file)?;
    let snapshot = snapshot(process);
    if ask::is_asked(&snapshot) {
        return ask::answer(&package, &file, snapshot);
    }
    match run(&package, &file, &snapshot, Choice::Caller)? {}
}

/// The snapshot for the running executable.
fn snapshot(process: &Process) -> Snapshot<'static> {
    let named = sys::exec_path().or(process.args.first().copied());
    Snapshot {
        command: named.unwrap_or_default(),
        args: process.args.iter().skip(1).copied().collect(),
        vars: process.vars.clone(),
        uid: sys::effective_uid(),
    }
}

/// Starts a verified package in place of this process: policy, cache, extraction where needed, execution.
///
/// # Errors
///
/// Returns only when the start fails. A cache directory may then exist; nothing half-extracted does.
pub fn run(
    package: &VerifiedPackage,
    file: &PackageFile,
    snapshot: &Snapshot<'_>,
    choice: Choice<'_>,
) -> Result<Infallible, StartError> {
    check_policy(package, snapshot)?;
    check_host(package, snapshot)?;
    // A wrong name is told before anything is unpacked for it.
    plan::check_choice(package, snapshot, choice).map_err(StartError::Plan)?;
    let start = Start {
        package,
        file,
        snapshot,
        choice,
    };
    let mut candidates = named(snapshot).map_err(StartError::Plan)?;
    if candidates.is_empty() {
        add_fallbacks(&mut candidates, snapshot);
    }
    let dev = snapshot.var(FLAVOR_DEV) == Some(b"1");
    let mut heal = None;
    if let Some((store, workenv)) = start.ready(&candidates, dev) {
        let error = start.execute(&store, &workenv)?;
        if !error.may_be_damage() {
            return Err(StartError::Exec(error));
        }
        // A program that is gone from the cache or was changed is put back, not reported for ever: where it was, or, when that place can no
        // longer be used, in the next one. A system store is healed by whoever fills it; until then, the user's own
        // takes its place.
        heal = Some(workenv.made);
    }
    let store = match open_store(package, snapshot, candidates) {
        Ok(store) => store.with_dev(dev),
        Err(error) => {
            memory::start(package, file, snapshot, choice, dev)?;
            return Err(error);
        }
    };
    let workenv = start.ensure(&store, heal)?;
    let error = start.execute(&store, &workenv)?;
    // It was ready in a store that is not the first candidate. What has just been made is not made again.
    if error.may_be_damage() && workenv.made != u64::MAX {
        let workenv = start.ensure(&store, Some(workenv.made))?;
        return Err(StartError::Exec(start.execute(&store, &workenv)?));
    }
    Err(StartError::Exec(error))
}

/// Makes a package ready in a store, its setup commands included, without starting it.
///
/// Its policy and the host's are about starts; they are asked here when something of the package runs.
///
/// # Errors
///
/// As [`run`]; the store is then as good as before.
pub fn warm(
    package: &VerifiedPackage,
    file: &PackageFile,
    snapshot: &Snapshot<'_>,
    store: &Store,
) -> Result<Workenv, StartError> {
    if !package.metadata().setup.is_empty() {
        check_policy(package, snapshot)?;
        check_host(package, snapshot)?;
    }
    let start = Start {
        package,
        file,
        snapshot,
        choice: Choice::Caller,
    };
    start.ensure(store, None)
}

/// Every place where a start looks for its store, in order.
///
/// # Errors
///
/// [`PlanError::Relative`] for a variable that names none.
pub fn candidates(snapshot: &Snapshot<'_>) -> Result<Vec<Candidate>, PlanError> {
    let mut candidates = named(snapshot)?;
    add_fallbacks(&mut candidates, snapshot);
    Ok(candidates)
}

/// Compares the package's policy with this host.
pub(crate) fn check_policy(
    package: &VerifiedPackage,
    snapshot: &Snapshot<'_>,
) -> Result<(), StartError> {
    let facts = Facts {
        uid: snapshot.uid,
        now: store::now,
        has_var: &|name| plan::variable(&snapshot.vars, name).is_some(),
    };
    policy::check(package.metadata(), &facts).map_err(StartError::Policy)
}

/// Asks whether this host lets the package start.
fn check_host(package: &VerifiedPackage, snapshot: &Snapshot<'_>) -> Result<(), StartError> {
    let facts = HostFacts {
        uid: snapshot.uid,
        now: store::now,
        remember: true,
    };
    judge::check(package, &|name| snapshot.var(name), &facts, &|warning| {
        report::warning(warning);
    })
    .map_err(StartError::Host)
}

/// The first usable candidate. Those that the environment does not name are looked for when those that it names fail.
fn open_store(
    package: &VerifiedPackage,
    snapshot: &Snapshot<'_>,
    mut candidates: Vec<Candidate>,
) -> Result<Store, StartError> {
    if let Ok(store) = Store::open_for(&candidates, package) {
        return Ok(store);
    }
    // Again with all of them, so that the message has every reason.
    add_fallbacks(&mut candidates, snapshot);
    Store::open_for(&candidates, package).map_err(StartError::Store)
}

fn add_fallbacks(candidates: &mut Vec<Candidate>, snapshot: &Snapshot<'_>) {
    for candidate in fallbacks(snapshot, passwd().as_deref()) {
        if !candidates.contains(&candidate) {
            candidates.push(candidate);
        }
    }
}

pub(crate) fn passwd() -> Option<Vec<u8>> {
    let file = at::open_file(CWD, b"/etc/passwd").ok()?;
    at::read_all(&file, MAX_PASSWD).ok()
}

/// A start whose decisions are made, as far as they can be before the files are there.
struct Start<'s, 'a> {
    package: &'a VerifiedPackage,
    file: &'s PackageFile,
    snapshot: &'s Snapshot<'a>,
    choice: Choice<'a>,
}

/// Whether the program was changed after its environment had become ready: by the time that the kernel keeps of every
/// change, which no program can set. What lies outside of the environment is not the package's.
fn is_changed(workenv: &Workenv, program: &CStr) -> bool {
    let is_inside = program
        .to_bytes()
        .starts_with(workenv.path.as_os_str().as_bytes());
    workenv.made != u64::MAX
        && is_inside
        && at::stat(CWD, program.to_bytes(), AtFlags::empty())
            .is_ok_and(|stat| stat.st_ctime.cast_unsigned() > workenv.made)
}

impl Start<'_, '_> {
    /// The package's files, where they are known to be ready: in the system's store, or in the first candidate. A later
    /// candidate counts only when the earlier ones are unusable, which takes a closer look.
    fn ready(&self, candidates: &[Candidate], dev: bool) -> Option<(Store, Workenv)> {
        // Private environments lie beside the ordinary one, which takes a store that can be written to.
        if store::has_private_slots(self.package) {
            return None;
        }
        let system = Candidate {
            path: PathBuf::from(SYSTEM_STORE),
            origin: "the system's store",
        };
        let look: Vec<_> = core::iter::once(system)
            .chain(candidates.first().cloned())
            .collect();
        find_ready(&look, self.package, &BootId::read(), dev)
    }

    /// Executes the chosen command. Comes back with the reason why that was not possible.
    fn execute(&self, store: &Store, workenv: &Workenv) -> Result<ExecError, StartError> {
        let private = match store.private(self.package, self.file.file()) {
            // What it is made of is gone from the cache: a reason to look at everything, as it is when the program is.
            Err(StoreError::System {
                errno: Errno::NOENT | Errno::NOTDIR,
                ..
            }) => {
                let program = workenv.path.clone();
                return Ok(ExecError::Missing { program });
            }
            other => other.map_err(StartError::Store)?,
        };
        let path = private.as_ref().map_or(&*workenv.path, Private::path);
        let plan = self.with_places(store, path, |places| {
            plan::application(self.package, self.snapshot, self.choice, places)
        });
        let plan = plan.map_err(StartError::Plan)?;
        if is_changed(workenv, &plan.program) {
            // As if it were gone: what it was is.
            let program = workenv.path.clone();
            return Ok(ExecError::Missing { program });
        }
        private.iter().for_each(Private::hand_over);
        match private {
            Some(private) if private.is_temporary() => Ok(exec::supervise(&plan, private)),
            // Kept until the start has failed.
            _private => match exec::replace(&plan) {
                Ok(never) => match never {},
                Err(error) => Ok(error),
            },
        }
    }

    /// Makes the package ready. A record from `heal` or before is not believed.
    fn ensure(&self, store: &Store, heal: Option<u64>) -> Result<Workenv, StartError> {
        let package = &self.package.metadata().package;
        let hooks = StartHooks {
            start: self,
            store,
            progress: Progress::new(&package.name, &package.version, &self.snapshot.vars),
            failure: Mutex::new(None),
        };
        let file = self.file.file();
        let result = match heal {
            None => store.ensure(self.package, file, &hooks),
            Some(made) => store.ensure_again(self.package, file, &hooks, made),
        };
        hooks.progress.clear();
        // The store knows that setup failed; why, is known here.
        let failure = hooks.failure.into_inner().ok().flatten();
        let mut workenv = result.map_err(|error| failure.unwrap_or(StartError::Store(error)))?;
        // Once is enough, whatever the clock does.
        if heal.is_some() {
            workenv.made = u64::MAX;
        }
        Ok(workenv)
    }

    fn setup(&self, store: &Store, workenv: &Path) -> Result<(), StartError> {
        for command in &self.package.metadata().setup {
            let plan = self.with_places(store, workenv, |places| {
                plan::setup(self.package, self.snapshot, command, places)
            });
            exec::run(&plan.map_err(StartError::Plan)?).map_err(StartError::Exec)?;
        }
        Ok(())
    }

    fn with_places<T>(
        &self,
        store: &Store,
        workenv: &Path,
        with: impl FnOnce(&Places<'_>) -> T,
    ) -> T {
        with(&Places {
            workenv: workenv.as_os_str().as_bytes(),
            cache: store.root().as_os_str().as_bytes(),
            package_dir: &|| self.file.directory(),
        })
    }
}

/// What the store calls while it unpacks.
struct StartHooks<'s, 'a> {
    start: &'s Start<'s, 'a>,
    store: &'s Store,
    progress: Progress<'s>,
    failure: Mutex<Option<StartError>>,
}

impl Hooks for StartHooks<'_, '_> {
    fn waiting(&self) {
        self.progress.waiting();
    }

    fn progress(&self, done: u64, total: u64) {
        self.progress.unpacked(done, total);
    }

    fn setup(&self, workenv: &Path) -> Result<(), HookError> {
        self.progress.clear();
        self.start.setup(self.store, workenv).map_err(|error| {
            if let Ok(mut failure) = self.failure.lock() {
                *failure = Some(error);
            }
            HookError
        })
    }
}

impl StartError {
    /// The exit code for this reason: 125 for every start that was refused or failed, and those of [`ExecError`] and
    /// [`AskError`].
    pub fn exit_code(&self) -> u8 {
        match self {
            StartError::Exec(error) => error.exit_code(),
            StartError::Ask(error) => error.exit_code(),
            _ => 125,
        }
    }

    /// One line that says what a person can do.
    pub fn help(&self) -> &'static str {
        match self {
            StartError::Privileged => {
                "remove the set-user-id and set-group-id bits and the capabilities of the file"
            }
            StartError::Source(error) => error.help(),
            StartError::Policy(refusal) => refusal.help(),
            StartError::Host(refusal) => refusal.help(),
            StartError::Plan(error) => error.help(),
            StartError::Store(error) => error.help(),
            StartError::Exec(error) => error.help(),
            StartError::Ask(error) => error.help(),
        }
    }
}

impl From<SourceError> for StartError {
    fn from(error: SourceError) -> StartError {
        StartError::Source(error)
    }
}

impl std::error::Error for StartError {}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Privileged => f.write_str(
                "the package runs with privileges that its caller does not have, which it refuses",
            ),
            StartError::Source(error) => error.fmt(f),
            StartError::Policy(refusal) => refusal.fmt(f),
            StartError::Host(refusal) => refusal.fmt(f),
            StartError::Plan(error) => error.fmt(f),
            StartError::Store(error) => error.fmt(f),
            StartError::Exec(error) => error.fmt(f),
            StartError::Ask(error) => error.fmt(f),
        }
    }
}
