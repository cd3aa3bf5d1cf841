//! `flavor doctor`: what this host has of what packing and starting need. Nothing is changed on the disk: a directory that
//! is missing is asked about, and not made.

mod place;

use std::fs;

use psp_format::digest::Digest;
use psp_format::range::widen;
use psp_launcher::policy::judge::Rules;
use psp_launcher::store;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use serde::Serialize;

use self::place::Place;
use super::{Answer, Done, host_rules};
use crate::cli::DoctorArgs;
use crate::package_file::shown;
use crate::printer::{BAD, GOOD, HELP, Report, WARN, count, escape};
use crate::recipes::tools::{Tool, tools};
use crate::stubs;

/// What `flavor doctor` says; the fields are those of `--json`.
#[derive(Debug, Serialize)]
struct Diagnosis {
    /// Whether nothing failed.
    ok: bool,
    checks: Vec<Check>,
    /// The launchers that packages can be built with, without `--launcher-bin`.
    stubs: Vec<Carried>,
    /// Where a start would unpack; `null` where it could not.
    cache: Option<Place>,
}

/// One line.
#[derive(Debug, Serialize)]
struct Check {
    name: String,
    status: Status,
    detail: String,
    /// What a person can do, unless all is well.
    help: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    /// Something is not as it could be, and starting goes well all the same.
    Note,
    /// Starting fails.
    Failed,
}

#[derive(Debug, Serialize)]
struct Carried {
    target: &'static str,
    libc: &'static str,
    size: u64,
    sha256: String,
}

impl Check {
    fn ok(name: impl Into<String>, detail: impl Into<String>) -> Check {
        Check {
            name: name.into(),
            status: Status::Ok,
            detail: detail.into(),
            help: None,
        }
    }

    fn note(name: impl Into<String>, detail: impl Into<String>, help: impl Into<String>) -> Check {
        Check {
            status: Status::Note,
            help: Some(help.into()),
            ..Check::ok(name, detail)
        }
    }

    fn failed(
        name: impl Into<String>,
        detail: impl Into<String>,
        help: impl Into<String>,
    ) -> Check {
        Check {
            status: Status::Failed,
            ..Check::note(name, detail, help)
        }
    }
}

pub(super) fn doctor(_: &DoctorArgs) -> Done {
    let carried: Vec<Carried> = stubs::all().iter().map(Carried::of).collect();
    let mut checks: Vec<Check> = carried.iter().map(Carried::check).collect();
    let cache = place::check(&mut checks);
    checks.extend(system());
    checks.extend(settings());
    checks.extend(tools().into_iter().map(tool));
    let ok = checks.iter().all(|check| check.status != Status::Failed);
    Done {
        answer: if ok { Answer::Yes } else { Answer::No },
        report: Box::new(Diagnosis {
            ok,
            checks,
            stubs: carried,
            cache,
        }),
    }
}

impl Carried {
    fn of(stub: &stubs::Stub) -> Carried {
        Carried {
            target: stub.target,
            libc: stub.libc,
            size: widen(stub.bytes.len()),
            sha256: Digest::of(stub.bytes).to_string(),
        }
    }

    fn check(&self) -> Check {
        let Carried {
            target,
            libc,
            size,
            sha256,
        } = self;
        let name = format!("launcher {target}");
        Check::ok(name, format!("{size} bytes, {libc}, sha256 {sha256}"))
    }
}

/// What starts ask of the kernel beyond files.
fn system() -> Vec<Check> {
    let memory = match memory() {
        Ok(()) => Check::ok("memory", "programs can be started from memory"),
        Err(errno) => Check::note(
            "memory",
            format!(
                "programs cannot be started from memory: {}",
                std::io::Error::from(errno)
            ),
            "only static programs without a place to be unpacked to need that; see `sysctl vm.memfd_noexec`",
        ),
    };
    let proc = match fs::read_link("/proc/self/exe") {
        Ok(_) => Check::ok("/proc", "mounted"),
        Err(error) => Check::note(
            "/proc",
            format!("/proc/self/exe cannot be read: {error}"),
            "mount /proc: without it a package is found by the path that it was started with, and reboots go unnoticed",
        ),
    };
    vec![memory, proc]
}

/// Makes what the launcher makes for a program without a file.
fn memory() -> Result<(), Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create("flavor", flags | MemfdFlags::EXEC) {
        // Before Linux 6.3 every one can be executed, and the flag is not known.
        Err(Errno::INVAL) => memfd_create("flavor", flags).map(drop),
        other => other.map(drop),
    }
}

/// The policies and keys of this host, which every start reads.
fn settings() -> Vec<Check> {
    match host_rules() {
        Ok(rules) => {
            let mut checks = vec![policy(&rules)];
            checks.extend(trust(&rules));
            checks
        }
        // Nothing starts until this is mended, so it is not known what the rest of it says.
        Err(error) => {
            let help = error.help().unwrap_or_default();
            vec![
                Check::failed("policy", error.to_string(), help),
                Check::note("trust", "not looked at", "mend the policy first"),
            ]
        }
    }
}

fn policy(rules: &Rules) -> Check {
    let files: Vec<String> = rules.policies.iter().map(|(path, _)| shown(path)).collect();
    let detail = match files.is_empty() {
        true => "there is none".to_owned(),
        false => files.join(", "),
    };
    Check::ok("policy", detail)
}

/// The stores of keys, and what lies there and counts for nothing.
fn trust(rules: &Rules) -> Vec<Check> {
    let trust = rules.host.trust(true, rules.revoked.clone());
    let now = store::now();
    let is_revoked = |key: &[u8]| trust.revoked.contains(&Digest::of(key));
    let (mut trusted, mut expired, mut revoked) = (0_u64, 0_u64, 0_u64);
    for key in &trust.keys {
        match key {
            key if is_revoked(&key.file.key) => revoked += 1,
            key if key.file.has_expired(now) => expired += 1,
            _ => trusted += 1,
        }
    }
    let mut detail = count(trusted, "trusted key", "trusted keys");
    for (number, what) in [(expired, "expired"), (revoked, "revoked")] {
        if number > 0 {
            detail.push_str(&format!(", {number} {what}"));
        }
    }
    let faults = trust.faults.iter();
    let faults = faults.map(|fault| {
        let detail = format!("{fault}: it is not used");
        Check::note("trust", detail, fault.help())
    });
    std::iter::once(Check::ok("trust", detail))
        .chain(faults)
        .collect()
}

fn tool(tool: Tool) -> Check {
    let Tool {
        name,
        purpose,
        found,
    } = tool;
    match found {
        Ok(found) => Check::ok(name, escape(&found)),
        Err(absent) => {
            let detail = format!("{} ({purpose})", absent.fact);
            Check::note(name, detail, absent.help)
        }
    }
}

impl Diagnosis {
    fn sentence(&self) -> String {
        let number = |status| {
            let with = self.checks.iter().filter(|check| check.status == status);
            widen(with.count())
        };
        match (number(Status::Failed), number(Status::Note)) {
            (0, 0) => format!("{GOOD}packages start here{GOOD:#}\n"),
            (0, notes) => {
                let notes = count(notes, "note", "notes");
                format!("{GOOD}packages start here{GOOD:#}; {notes}\n")
            }
            (failed, _) => {
                let checks = count(failed, "check", "checks");
                format!("{BAD}packages do not start here: {checks} FAILED{BAD:#}\n")
            }
        }
    }
}

impl Report for Diagnosis {
    fn text(&self) -> String {
        let width = self.checks.iter().map(|check| check.name.len()).max();
        let width = width.unwrap_or(0);
        let mut out = String::new();
        for check in &self.checks {
            let (style, status) = match check.status {
                Status::Ok => (GOOD, "ok"),
                Status::Note => (WARN, "note"),
                Status::Failed => (BAD, "FAILED"),
            };
            let Check { name, detail, .. } = check;
            out.push_str(&format!(
                "{style}{status:<6}{style:#}  {name:<width$}  {detail}\n"
            ));
            if let Some(help) = &check.help {
                out.push_str(&format!("        {HELP}help:{HELP:#} {help}\n"));
            }
        }
        out + &self.sentence()
    }

    fn quiet(&self) -> String {
        self.sentence()
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}
