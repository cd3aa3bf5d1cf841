//! `flavor run` for packages that no launcher of ours starts: those of the base format, and strict ones whose slots are
//! `tar.gz` for flavorpack's launchers.
//!
//! Each has an environment of its own below `base` in the store, named by the digest of its metadata. It is made under a
//! lock, beside its place, and counts when the mark beside it says that everything was written and set up.

pub mod command;
pub mod environment;
pub mod setup;
pub mod store;

use std::borrow::Cow;
use std::convert::Infallible;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use psp_format::VerifiedPackage;
use psp_format::ops::Operations;
use psp_launcher::exec;
use psp_launcher::plan::{self, Choice, ExecPlan, Places, PlanError, Snapshot};
use psp_launcher::policy::judge::{self, HostFacts, HostRefusal};
use psp_launcher::policy::{self, Facts};
use psp_launcher::start::{self, StartError};
use psp_launcher::store::{Store, now as store_now};

use super::{Package, content};
use crate::contents;
use crate::error::Error;
use crate::package_file::PackageFile;
use crate::printer::Printer;
use command::Words;

/// Why a base package is not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunFault {
    /// A command line has a quote without its other half.
    #[error("the command line {} ends inside quotes", crate::printer::escape(.line))]
    Quotes {
        /// The command line.
        line: String,
    },
    /// A command line without a word.
    #[error("the package has an empty command line")]
    NoWord,
    /// A program by a relative path, which would be whatever lies in the caller's directory.
    #[error("the program {} is named by a relative path", crate::printer::escape(.program))]
    Relative {
        /// The program.
        program: String,
    },
    /// A program that `PATH` does not have.
    #[error("the program {} is nowhere in PATH", crate::printer::escape(.program))]
    Missing {
        /// The program.
        program: String,
    },
    /// A directory or file of `workenv` or a setup command that does not lie in the work environment.
    #[error("{} does not lie in the work environment", crate::printer::escape(.path))]
    Outside {
        /// The path, as the package has it.
        path: String,
    },
    /// What the package, or this host, asks for is not so.
    #[error("{reason}")]
    Policy {
        /// What.
        reason: String,
    },
}

impl RunFault {
    /// One line that says what a person can do.
    pub fn help(&self) -> &'static str {
        match self {
            RunFault::Missing { .. } => "install it on this system, or set PATH",
            RunFault::Policy { .. } => "`flavor policy show` says what this host lets start",
            _ => "report this to the maker of the package",
        }
    }
}

/// Starts a base package whose slots have been compared, in place of this process.
pub fn start(
    package: &Package,
    file: &PackageFile,
    snapshot: &Snapshot<'_>,
    printer: &Printer,
) -> Result<Infallible, Error> {
    let store = open_store(snapshot, needed(file))?;
    let metadata = package.metadata();
    // Told before anything is unpacked for it.
    let words = Words::of(&metadata.command, metadata, package.slots())?;
    let fill = |into: &Path| {
        let meter = printer.meter("extracting", file.size());
        for slot in package.slots().iter().filter(|slot| !slot.is_attestation()) {
            content::extract(file, slot, into, &meter)?;
        }
        setup::directories(metadata, into)
    };
    let set_up = |workenv: &Path| setup::run(package, snapshot, workenv);
    let id = package.package_id().to_string();
    let workenv = store::ensure(&store, &id, &fill, &set_up)?;
    let plan = environment::plan(metadata, snapshot, &words, &workenv, &store)?;
    match exec::replace(&plan).map_err(StartError::Exec)? {}
}

/// Whether a strict package has slots that only base launchers and [`start_strict`] unpack.
pub fn is_for_others(package: &VerifiedPackage) -> bool {
    let mut slots = package.slots();
    slots.any(|(slot, _)| slot.operations == Operations::TarGz)
}

/// Starts a strict package with `tar.gz` slots, whose slots have been compared, in place of this process.
pub fn start_strict(
    package: &VerifiedPackage,
    file: &PackageFile,
    snapshot: &Snapshot<'_>,
    choice: Choice<'_>,
    printer: &Printer,
) -> Result<Infallible, Error> {
    check_policies(package, snapshot, printer)?;
    plan::check_choice(package, snapshot, choice).map_err(StartError::Plan)?;
    let store = open_store(snapshot, needed(file))?;
    let fill = |into: &Path| {
        let meter = printer.meter("extracting", file.size());
        for (slot, range) in package.slots() {
            contents::extract(file, package, slot, range, into, &meter)?;
        }
        Ok(())
    };
    // A package for base launchers has no setup commands: `flavor pack` refuses them.
    let id = package.package_id().to_string();
    let workenv = store::ensure(&store, &id, &fill, &|_| Ok(()))?;
    let places = Places {
        workenv: workenv.as_os_str().as_bytes(),
        cache: store.root().as_os_str().as_bytes(),
        package_dir: &|| file.as_source().directory(),
    };
    let plan = plan::application(package, snapshot, choice, &places).map_err(StartError::Plan)?;
    match exec::replace(&plan).map_err(StartError::Exec)? {}
}

/// What the package asks of this host, and this host of it; as for every start of a strict package.
fn check_policies(
    package: &VerifiedPackage,
    snapshot: &Snapshot<'_>,
    printer: &Printer,
) -> Result<(), StartError> {
    let facts = Facts {
        uid: snapshot.uid,
        now: store_now,
        has_var: &|name| plan::variable(&snapshot.vars, name).is_some(),
    };
    policy::check(package.metadata(), &facts).map_err(StartError::Policy)?;
    let facts = HostFacts {
        uid: snapshot.uid,
        now: store_now,
        remember: true,
    };
    let warn = |warning: &HostRefusal| printer.warn(&warning.to_string(), None);
    judge::check(package, &|name| snapshot.var(name), &facts, &warn).map_err(StartError::Host)
}

/// Room that an environment takes: what it unpacks to is not known before.
fn needed(file: &PackageFile) -> u64 {
    file.size().saturating_mul(3)
}

fn open_store(snapshot: &Snapshot<'_>, needed: u64) -> Result<Store, Error> {
    let candidates = start::candidates(snapshot).map_err(StartError::Plan)?;
    Ok(Store::open(&candidates, needed).map_err(StartError::Store)?)
}

/// A plan of complete strings.
fn exec_plan<'a>(
    program: Vec<u8>,
    argv: Vec<Vec<u8>>,
    envp: Vec<Vec<u8>>,
) -> Result<ExecPlan<'a>, Error> {
    let text = |bytes: Vec<u8>| CString::new(bytes).map_err(|_| StartError::Plan(PlanError::Nul));
    let texts = |all: Vec<Vec<u8>>| {
        let all = all.into_iter().map(|one| text(one).map(Cow::Owned));
        all.collect::<Result<Vec<_>, _>>()
    };
    Ok(ExecPlan {
        program: text(program)?,
        argv: texts(argv)?,
        envp: texts(envp)?,
        cwd: None,
    })
}
