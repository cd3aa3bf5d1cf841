//! The signed metadata: its types, its one text form, and the rules for its values (SPEC.md 3.1 and 4.1).
//!
//! The keys of each object are declared in alphabetical order, as canonical JSON is sorted (M23). A test compares the order.

use std::collections::BTreeMap;

use crate::digest::Checksum;
use crate::error::Error;
use crate::instant;
use crate::json::{self, Fault, Reader, Value};
use crate::limits::{MAX_METADATA, MAX_NAME, MAX_SLOTS};
use crate::ops::Operations;
use crate::path;
use crate::range::widen;

/// Value of `format`.
pub const FORMAT: &str = "PSPF/2025";
/// Value of `profile`.
pub const PROFILE: &str = "strict/1";
/// The placeholder for the work environment.
pub const WORKENV: &str = "{workenv}";
/// First bytes of the names that the launcher keeps for itself in a work environment (M41).
pub const RESERVED_PREFIX: &str = ".flavor";

/// The whole document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// What made the package, and when.
    pub build: Build,
    /// More commands, by name.
    pub commands: BTreeMap<String, Command>,
    /// For desktop environments.
    pub desktop: Option<Desktop>,
    /// The default command.
    pub execution: Execution,
    /// [`FORMAT`].
    pub format: String,
    /// The launcher in front of this document.
    pub launcher: Launcher,
    /// Name, version and description.
    pub package: Package,
    /// What the package asks of its host.
    pub policy: Option<Policy>,
    /// [`PROFILE`].
    pub profile: String,
    /// Rules for the environment of every command.
    pub runtime: Option<Runtime>,
    /// Commands that run once, before the first start.
    pub setup: Vec<Command>,
    /// The slots, in the order of the slot table.
    pub slots: Vec<Slot>,
}

/// What made the package, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// Where the package runs; the halves of `launcher.target`.
    pub platform: Platform,
    /// Build time ([`crate::instant`]); 1970 when none is signed.
    pub timestamp: String,
    /// Name of the writer.
    pub tool: String,
    /// Version of the writer.
    pub tool_version: String,
}

/// Operating system and architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// `amd64` or `arm64`.
    pub arch: String,
    /// `linux`, `darwin` or `windows`.
    pub os: String,
}

/// A named command or a setup command.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Working directory; the caller's without it.
    pub cwd: Option<String>,
    /// Variables set for this command.
    pub env: BTreeMap<String, String>,
}

/// The default command, with the text that base readers need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The same, quoted as base readers split it.
    pub command: String,
    /// Working directory; the caller's without it.
    pub cwd: Option<String>,
    /// Variables set for this command.
    pub env: BTreeMap<String, String>,
}

/// For desktop environments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desktop {
    /// Id of the slot that holds the icon.
    pub icon: Option<String>,
    /// Whether a double-click opens a terminal.
    pub terminal: bool,
}

/// The launcher in front of the metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launcher {
    /// Required by base readers; empty.
    pub capabilities: Vec<String>,
    /// SHA-256 of the launcher.
    pub checksum: Checksum,
    /// Size in bytes.
    pub size: u64,
    /// `os_arch`.
    pub target: String,
    /// What made the launcher.
    pub tool: String,
    /// Its version.
    pub tool_version: String,
}

/// Name, version and description.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Package {
    /// Authors.
    pub authors: Vec<String>,
    /// One line.
    pub description: Option<String>,
    /// URL.
    pub homepage: Option<String>,
    /// SPDX expression.
    pub license: Option<String>,
    /// `[a-z0-9][a-z0-9_-]*`.
    pub name: String,
    /// `[0-9A-Za-z][0-9A-Za-z.+_~-]*`.
    pub version: String,
}

/// What the package asks of its host. All keys are always written: flavorpack's launchers enforce all or none.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Policy {
    /// Days after the build time in which it starts; 0 for ever.
    pub max_age_days: u64,
    /// Targets on which it starts; empty for all.
    pub platforms: Vec<String>,
    /// Whether it refuses to start as root.
    pub refuse_root: bool,
    /// Variables without which it does not start.
    pub require_env: Vec<String>,
}

/// Rules for the environment of every command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// The rules.
    pub env: EnvRules,
}

/// Environment rules, applied in the order unset, pass, map, set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnvRules {
    /// Renamed variables: old name to new name.
    pub map: BTreeMap<String, String>,
    /// Patterns of variables that stay although a less specific pattern of `unset` matches.
    pub pass: Vec<String>,
    /// Variables that are set.
    pub set: BTreeMap<String, String>,
    /// Patterns of variables that are removed.
    pub unset: Vec<String>,
}

/// A slot's signed record (SPEC.md 4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// SHA-256 of the stored bytes.
    pub checksum: Checksum,
    /// Name of the slot.
    pub id: String,
    /// When it is there.
    pub lifecycle: Lifecycle,
    /// Permission bits.
    pub mode: u32,
    /// Whether the application may change the files.
    pub mutable: bool,
    /// Offset of the stored bytes.
    pub offset: u64,
    /// How content became stored bytes.
    pub operations: Operations,
    /// The same as a number.
    pub operations_code: u64,
    /// Size of the content.
    pub original_size: u64,
    /// What it is for.
    pub purpose: Purpose,
    /// Size of the stored bytes.
    pub size: u64,
    /// Id of the descriptor.
    pub slot: u64,
    /// Required by base readers; empty.
    pub source: String,
    /// Where it goes.
    pub target: String,
}

json::objects! {
    Metadata {
        required build,
        optional commands,
        optional desktop,
        required execution,
        required format,
        required launcher,
        required package,
        optional policy,
        required profile,
        optional runtime,
        optional setup,
        required slots,
    }
    Build {
        required platform,
        required timestamp,
        required tool,
        required tool_version,
    }
    Platform {
        required arch,
        required os,
    }
    Command {
        required argv,
        optional cwd,
        optional env,
    }
    Execution {
        required argv,
        required command,
        optional cwd,
        optional env,
    }
    Desktop {
        optional icon,
        required terminal,
    }
    Launcher {
        required capabilities,
        required checksum,
        required size,
        required target,
        required tool,
        required tool_version,
    }
    Package {
        optional authors,
        optional description,
        optional homepage,
        optional license,
        required name,
        required version,
    }
    Policy {
        required max_age_days,
        required platforms,
        required refuse_root,
        required require_env,
    }
    Runtime {
        required env,
    }
    EnvRules {
        optional map,
        optional pass,
        optional set,
        optional unset,
    }
    Slot {
        required checksum,
        required id,
        required lifecycle,
        required mode,
        optional mutable,
        required offset,
        required operations,
        required operations_code,
        required original_size,
        required purpose,
        required size,
        required slot,
        required source,
        required target,
    }
}

// After `or` stands what a reader that has failed goes on with.
macro_rules! names {
    ($(#[$doc:meta])* $name:ident or $otherwise:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal : $code:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
            #[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// Every value.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The value with this name.
            pub fn from_name(name: &str) -> Option<$name> {
                match name { $($text => Some($name::$variant),)* _ => None }
            }

            /// Its name in metadata and manifests.
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }

            /// Its byte in the descriptor.
            pub fn code(self) -> u8 {
                match self { $($name::$variant => $code,)* }
            }
        }

        impl Value for $name {
            fn read(reader: &mut Reader<'_>) -> $name {
                let expected = concat!("a value of ", stringify!($name));
                reader.named(expected, $name::$otherwise, $name::from_name)
            }

            fn write(&self, out: &mut Vec<u8>) {
                json::write_string(self.name(), out);
            }
        }
    };
}

names! {
    /// When the content of a slot is there.
    Lifecycle or Cached {
        /// Extracted once.
        Cached = "cached": 4,
        /// Extracted once.
        Runtime = "runtime": 2,
        /// Fresh for each start.
        Startup = "startup": 1,
        /// Fresh for each start.
        Volatile = "volatile": 1,
        /// Fresh for each start and removed after it.
        Temporary = "temporary": 5,
        /// There while the setup commands run.
        Init = "init": 0,
        /// Extracted when asked for.
        Lazy = "lazy": 6,
        /// Extracted once, kept when changed.
        Config = "config": 9,
        /// Extracted once, on its platform.
        Platform = "platform": 10,
        /// Extracted with `FLAVOR_DEV=1`.
        Dev = "dev": 8,
        /// Never extracted: a statement about the package.
        Attestation = "attestation": 11,
    }
}

names! {
    /// What a slot is for. Informative.
    Purpose or Payload {
        /// Anything.
        Payload = "payload": 0,
        /// Data.
        Data = "data": 0,
        /// An interpreter or runtime.
        Runtime = "runtime": 1,
        /// The application.
        Code = "code": 1,
        /// A helper program.
        Tool = "tool": 2,
        /// Configuration.
        Config = "config": 2,
        /// Pictures and the like.
        Media = "media": 3,
    }
}

/// The targets that a launcher can be for.
pub const TARGETS: [&str; 6] = [
    "linux_amd64",
    "linux_arm64",
    "darwin_amd64",
    "darwin_arm64",
    "windows_amd64",
    "windows_arm64",
];

impl Metadata {
    /// Reads the canonical text (M21, M23-M26, M33-M36, M40, M41).
    pub fn read(text: &[u8]) -> Result<Metadata, Error> {
        if text.len() > MAX_METADATA {
            return Err(Error::value("", format!("more than {MAX_METADATA} bytes")));
        }
        let metadata: Metadata = json::read(text).map_err(|fault| refused(text, fault))?;
        let canonical = metadata.to_text();
        if canonical != text {
            let at = canonical
                .iter()
                .zip(text)
                .take_while(|(a, b)| a == b)
                .count();
            return Err(Error::NotCanonical { at: widen(at) });
        }
        metadata.check()?;
        Ok(metadata)
    }

    /// The canonical text (M23).
    pub fn to_text(&self) -> Vec<u8> {
        json::text(self)
    }

    /// Checks every value against its rule. A writer calls this too: it cannot write what a reader would refuse.
    pub fn check(&self) -> Result<(), Error> {
        check_equal("format", &self.format, FORMAT)?;
        check_equal("profile", &self.profile, PROFILE)?;
        check_package(&self.package)?;
        check_target("launcher.target", &self.launcher.target)?;
        if self.launcher.size == 0 {
            return Err(Error::value("launcher.size", "0"));
        }
        if !self.launcher.capabilities.is_empty() {
            return Err(Error::value("launcher.capabilities", "not empty"));
        }
        let platform = format!("{}_{}", self.build.platform.os, self.build.platform.arch);
        check_equal("build.platform", &platform, &self.launcher.target)?;
        self.build_time()?;
        check_command(
            "execution",
            &self.execution.argv,
            self.execution.cwd.as_deref(),
            &self.execution.env,
        )?;
        if self.execution.command.is_empty() {
            return Err(Error::value("execution.command", "empty"));
        }
        for (name, command) in &self.commands {
            let at = format!("commands.{name}");
            check_name(&at, name)?;
            check_command(&at, &command.argv, command.cwd.as_deref(), &command.env)?;
        }
        for (nth, command) in self.setup.iter().enumerate() {
            let at = format!("setup[{nth}]");
            check_command(&at, &command.argv, command.cwd.as_deref(), &command.env)?;
        }
        if let Some(policy) = &self.policy {
            check_policy(policy)?;
        }
        if let Some(runtime) = &self.runtime {
            check_env_rules(&runtime.env)?;
        }
        check_slots(&self.slots)?;
        match self
            .desktop
            .as_ref()
            .and_then(|desktop| desktop.icon.as_ref())
        {
            Some(icon) if !self.slots.iter().any(|slot| slot.id == *icon) => {
                Err(Error::value("desktop.icon", "no slot has this id"))
            }
            _ => Ok(()),
        }
    }

    /// The signed build time in Unix seconds; 0 when none is signed.
    pub fn build_time(&self) -> Result<u64, Error> {
        instant::from_text(&self.build.timestamp)
    }

    /// The slot that holds the attestation, if any.
    pub fn attestation(&self) -> Option<&Slot> {
        self.slots
            .iter()
            .find(|slot| slot.lifecycle == Lifecycle::Attestation)
    }
}

/// The error for a text that is no document.
fn refused(text: &[u8], Fault { at, expected }: Fault) -> Error {
    let (before, rest) = text.split_at_checked(at).unwrap_or((text, b""));
    // Only the layout of the text is wrong where white space stands between the tokens.
    if let Some(b' ' | b'\t' | b'\n' | b'\r') = rest.first() {
        return Error::NotCanonical { at: widen(at) };
    }
    let line = before.split(|&c| c == b'\n');
    let column = line.clone().next_back().map_or(0, <[u8]>::len);
    Error::Json {
        line: widen(line.count()),
        column: widen(column).saturating_add(1),
        detail: format!("expected {expected}"),
    }
}

impl Slot {
    /// The target as a path below the work environment: empty for `.`.
    pub fn root(&self) -> &[u8] {
        if self.target == "." {
            b""
        } else {
            self.target.as_bytes()
        }
    }
}

fn check_equal(at: &str, found: &str, expected: &str) -> Result<(), Error> {
    if found == expected {
        Ok(())
    } else {
        Err(Error::value(
            at,
            format!("expected {expected}, found {found}"),
        ))
    }
}

fn check_package(package: &Package) -> Result<(), Error> {
    if !is_package_name(&package.name) {
        return Err(Error::value(
            "package.name",
            "expected [a-z0-9][a-z0-9_-]*, at most 64 bytes",
        ));
    }
    if !is_version(&package.version) {
        let rule = "expected [0-9A-Za-z][0-9A-Za-z.+_~-]*, at most 64 bytes";
        return Err(Error::value("package.version", rule));
    }
    Ok(())
}

/// Whether `name` can name a package.
pub fn is_package_name(name: &str) -> bool {
    let lower = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    is_token(name, lower, |c| lower(c) || matches!(c, b'_' | b'-'))
}

/// Whether `version` can be a package's version.
pub fn is_version(version: &str) -> bool {
    is_token(
        version,
        |c| c.is_ascii_alphanumeric(),
        |c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'+' | b'_' | b'~' | b'-'),
    )
}

/// Whether `id` can name a slot or a command: `[A-Za-z0-9_][A-Za-z0-9._-]*`, at most 64 bytes.
pub fn is_name(id: &str) -> bool {
    let word = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
    is_token(id, word, |c| word(c) || matches!(c, b'.' | b'-'))
}

fn is_token(text: &str, first: impl Fn(u8) -> bool, rest: impl Fn(u8) -> bool) -> bool {
    text.len() <= MAX_NAME && text.bytes().next().is_some_and(first) && text.bytes().all(rest)
}

fn check_name(at: &str, name: &str) -> Result<(), Error> {
    if is_name(name) {
        Ok(())
    } else {
        Err(Error::value(
            at,
            "expected a name like [A-Za-z0-9_][A-Za-z0-9._-]*, at most 64 bytes",
        ))
    }
}

fn check_target(at: &str, target: &str) -> Result<(), Error> {
    if TARGETS.contains(&target) {
        Ok(())
    } else {
        Err(Error::value(
            at,
            format!("unknown target; known are {}", TARGETS.join(", ")),
        ))
    }
}

fn check_command(
    at: &str,
    argv: &[String],
    cwd: Option<&str>,
    env: &BTreeMap<String, String>,
) -> Result<(), Error> {
    let program = argv.first().map(String::as_str).unwrap_or_default();
    let in_package = program
        .strip_prefix(WORKENV)
        .is_some_and(|rest| rest.starts_with('/'));
    if !in_package && !program.starts_with('/') {
        return Err(Error::value(
            format!("{at}.argv[0]"),
            "expected a path that begins with {workenv}/ or /",
        ));
    }
    if argv
        .iter()
        .map(String::as_str)
        .chain(cwd)
        .any(|text| text.contains('\0'))
    {
        return Err(Error::value(at, "a NUL byte in an argument or directory"));
    }
    check_variables(&format!("{at}.env"), env)
}

fn check_variables(at: &str, env: &BTreeMap<String, String>) -> Result<(), Error> {
    for (name, value) in env {
        check_variable_name(at, name)?;
        if value.contains('\0') {
            return Err(Error::value(at, "a NUL byte in a value"));
        }
    }
    Ok(())
}

fn check_variable_name(at: &str, name: &str) -> Result<(), Error> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(Error::value(
            at,
            "a variable's name is empty or holds '=' or NUL",
        ));
    }
    Ok(())
}

fn check_env_rules(rules: &EnvRules) -> Result<(), Error> {
    if *rules == EnvRules::default() {
        return Err(Error::value(
            "runtime.env",
            "no rule; an empty table is left out",
        ));
    }
    check_variables("runtime.env.set", &rules.set)?;
    for name in rules.map.iter().flat_map(|(old, new)| [old, new]) {
        check_variable_name("runtime.env.map", name)?;
    }
    for pattern in rules.unset.iter().chain(&rules.pass) {
        check_variable_name("runtime.env", pattern)?;
    }
    Ok(())
}

fn check_policy(policy: &Policy) -> Result<(), Error> {
    for platform in &policy.platforms {
        check_target("policy.platforms", platform)?;
    }
    for name in &policy.require_env {
        check_variable_name("policy.require_env", name)?;
        // Base readers hash the policy as JSON that escapes what is not ASCII; we do not.
        if !name.bytes().all(|c| c.is_ascii_graphic()) {
            return Err(Error::value("policy.require_env", "not printable ASCII"));
        }
    }
    Ok(())
}

fn check_slots(slots: &[Slot]) -> Result<(), Error> {
    if slots.len() > MAX_SLOTS {
        return Err(Error::value("slots", format!("more than {MAX_SLOTS}")));
    }
    let mut last = None;
    for (nth, slot) in slots.iter().enumerate() {
        let at = |key: &str| format!("slots[{nth}].{key}");
        check_name(&at("id"), &slot.id)?;
        if last.is_some_and(|last| slot.slot <= last) {
            return Err(Error::value(at("slot"), "not greater than the one before"));
        }
        last = Some(slot.slot);
        if slot.operations_code != slot.operations.code() {
            return Err(Error::value(
                at("operations_code"),
                "not the number of operations",
            ));
        }
        if slot.mode > 0o777 {
            return Err(Error::value(at("mode"), "bits beyond 0777"));
        }
        if slot.operations.is_tar() && slot.mode != 0o755 {
            return Err(Error::value(at("mode"), "a tar slot's is 0755"));
        }
        if !slot.operations.is_framed()
            && slot.operations != Operations::TarGz
            && slot.original_size != slot.size
        {
            return Err(Error::value(
                at("original_size"),
                "not the stored size, and nothing is compressed",
            ));
        }
        if !slot.source.is_empty() {
            return Err(Error::value(at("source"), "not empty"));
        }
        check_slot_target(slot).map_err(|fault| match fault {
            TargetFault::Path(fault) => Error::path(at("target"), fault),
            TargetFault::Reserved => Error::value(
                at("target"),
                format!("names that begin with {RESERVED_PREFIX} are the launcher's"),
            ),
        })?;
    }
    check_unique(slots, "id", |slot| &slot.id)?;
    check_unique(slots, "target", |slot| &slot.target)?;
    if slots
        .iter()
        .filter(|slot| slot.lifecycle == Lifecycle::Attestation)
        .count()
        > 1
    {
        return Err(Error::value("slots", "more than one attestation"));
    }
    Ok(())
}

enum TargetFault {
    Path(path::PathFault),
    Reserved,
}

fn check_slot_target(slot: &Slot) -> Result<(), TargetFault> {
    if slot.target == "." && slot.operations.is_tar() {
        return Ok(());
    }
    path::check(slot.target.as_bytes()).map_err(TargetFault::Path)?;
    if slot.target.starts_with(RESERVED_PREFIX) {
        Err(TargetFault::Reserved)
    } else {
        Ok(())
    }
}

fn check_unique(slots: &[Slot], key: &str, value: impl Fn(&Slot) -> &str) -> Result<(), Error> {
    let mut seen = std::collections::BTreeMap::new();
    for (nth, slot) in slots.iter().enumerate() {
        if let Some(first) = seen.insert(value(slot), nth) {
            return Err(Error::value(
                format!("slots[{nth}].{key}"),
                format!("the same as slots[{first}].{key}"),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn example() -> Metadata {
        Metadata {
            build: Build {
                platform: Platform {
                    arch: "amd64".into(),
                    os: "linux".into(),
                },
                timestamp: "2025-01-02T03:04:05Z".into(),
                tool: "flavor".into(),
                tool_version: "0.1.0".into(),
            },
            commands: BTreeMap::from([(
                "other".to_owned(),
                Command {
                    argv: vec!["{workenv}/rt/x".into()],
                    cwd: Some("{workenv}".into()),
                    env: BTreeMap::new(),
                },
            )]),
            desktop: Some(Desktop {
                icon: Some("app".into()),
                terminal: true,
            }),
            execution: Execution {
                argv: vec!["{workenv}/rt/x".into(), "a \"b\" \u{1} \u{e9}".into()],
                command: "{workenv}/rt/x".into(),
                cwd: None,
                env: BTreeMap::from([("A".to_owned(), "b".to_owned())]),
            },
            format: FORMAT.into(),
            launcher: Launcher {
                capabilities: vec![],
                checksum: Checksum::default(),
                size: 64,
                target: "linux_amd64".into(),
                tool: "flavor".into(),
                tool_version: "0.1.0".into(),
            },
            package: Package {
                authors: vec!["A".into()],
                description: Some("d".into()),
                homepage: Some("h".into()),
                license: Some("MIT".into()),
                name: "app".into(),
                version: "1.0".into(),
            },
            policy: Some(Policy {
                max_age_days: 0,
                platforms: vec!["linux_amd64".into()],
                refuse_root: false,
                require_env: vec!["HOME".into()],
            }),
            profile: PROFILE.into(),
            runtime: Some(Runtime {
                env: EnvRules {
                    map: BTreeMap::from([("A".to_owned(), "B".to_owned())]),
                    pass: vec!["*".into()],
                    set: BTreeMap::from([("C".to_owned(), String::new())]),
                    unset: vec!["PYTHON*".into()],
                },
            }),
            setup: vec![Command {
                argv: vec!["/bin/true".into()],
                cwd: None,
                env: BTreeMap::new(),
            }],
            slots: vec![slot(0, "app", "rt"), slot(1, "more", "m")],
        }
    }

    pub(crate) fn slot(nth: u64, id: &str, target: &str) -> Slot {
        Slot {
            checksum: Checksum::default(),
            id: id.into(),
            lifecycle: Lifecycle::Cached,
            mode: 0o755,
            mutable: false,
            offset: 0,
            operations: Operations::None,
            operations_code: 0,
            original_size: 1,
            purpose: Purpose::Payload,
            size: 1,
            slot: nth,
            source: String::new(),
            target: target.into(),
        }
    }

    fn is_sorted(value: &serde_json::Value, raw: &str) -> bool {
        // serde_json sorts maps on reading, so writing the generic value again gives sorted keys.
        serde_json::to_string(value).is_ok_and(|text| text == raw)
    }

    #[test]
    fn text_is_canonical_and_comes_back() {
        let metadata = example();
        let text = metadata.to_text();
        assert_eq!(Metadata::read(&text), Ok(metadata));
        let raw = String::from_utf8(text).unwrap_or_default();
        assert!(
            serde_json::from_str(&raw).is_ok_and(|value| is_sorted(&value, &raw)),
            "{raw}"
        );
    }

    #[test]
    fn other_texts_of_the_same_document_are_refused() {
        let text = String::from_utf8(example().to_text()).unwrap_or_default();
        for (from, to) in [
            ("{\"build\"", " {\"build\""),
            ("\"mode\":493", "\"mode\":493.0"),
            ("\"mode\":493", "\"mode\":-1"),
            ("\"mode\":493", "\"mode\":493,\"mode\":493"),
            ("\"d\"", "\"\\u0064\""),
            ("\\u0001", "\\U0001"),
            ("\"format\"", "\"formal\""),
            ("\"cwd\":", "\"extra\":1,\"cwd\":"),
            ("\"mode\":493", "\"mutable\":false,\"mode\":493"),
            (
                "\"argv\":[\"/bin/true\"]",
                "\"argv\":[\"/bin/true\"],\"cwd\":null",
            ),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{from}");
            assert!(Metadata::read(changed.as_bytes()).is_err(), "{to}");
        }
        for tail in [" ", "\n", "x", "\0"] {
            assert!(Metadata::read(format!("{text}{tail}").as_bytes()).is_err());
        }
        assert!(Metadata::read(format!("\u{feff}{text}").as_bytes()).is_err());
        for whole in ["", "null", "[]", "{}", "1"] {
            assert!(Metadata::read(whole.as_bytes()).is_err(), "{whole}");
        }
    }

    #[test]
    fn values_outside_their_rule() {
        type Change = fn(&mut Metadata);
        let changes: &[(&str, Change)] = &[
            ("format", |m| m.format = "PSPF/2026".into()),
            ("profile", |m| m.profile = "strict/2".into()),
            ("package.name", |m| m.package.name = "App".into()),
            ("package.name", |m| m.package.name = "a".repeat(65)),
            ("package.version", |m| m.package.version = "1 0".into()),
            ("launcher.target", |m| {
                m.launcher.target = "linux_386".into()
            }),
            ("launcher.size", |m| m.launcher.size = 0),
            ("build.platform", |m| m.build.platform.arch = "arm64".into()),
            ("build.timestamp", |m| m.build.timestamp = "now".into()),
            ("execution.argv[0]", |m| {
                m.execution.argv = vec!["sh".into()]
            }),
            ("execution.argv[0]", |m| m.execution.argv = vec![]),
            ("execution.argv[0]", |m| {
                m.execution.argv = vec!["{workenv}x".into()]
            }),
            ("execution", |m| m.execution.argv.push("\0".into())),
            ("execution.command", |m| m.execution.command.clear()),
            ("commands./x", |m| {
                m.commands.insert(
                    "/x".into(),
                    Command {
                        argv: vec![],
                        cwd: None,
                        env: BTreeMap::new(),
                    },
                );
            }),
            ("slots[1].id", |m| m.slots[1].id = "app".into()),
            ("slots[1].target", |m| m.slots[1].target = "rt".into()),
            ("slots[0].target", |m| m.slots[0].target = ".".into()),
            ("slots[0].target", |m| m.slots[0].target = "../x".into()),
            ("slots[0].target", |m| {
                m.slots[0].target = ".flavor-x".into()
            }),
            ("slots[1].slot", |m| m.slots[1].slot = 0),
            ("slots[0].mode", |m| m.slots[0].mode = 0o4755),
            ("slots[0].operations_code", |m| {
                m.slots[0].operations_code = 1
            }),
            ("slots[0].original_size", |m| m.slots[0].original_size = 2),
            ("slots[0].source", |m| m.slots[0].source = "/home/x".into()),
            ("desktop.icon", |m| {
                m.desktop = Some(Desktop {
                    icon: Some("none".into()),
                    terminal: false,
                })
            }),
            ("runtime.env", |m| {
                m.runtime = Some(Runtime {
                    env: EnvRules::default(),
                })
            }),
            ("policy.require_env", |m| {
                m.policy
                    .iter_mut()
                    .for_each(|p| p.require_env.push("\u{e9}".into()));
            }),
        ];
        for (at, change) in changes {
            let mut metadata = example();
            change(&mut metadata);
            match Metadata::read(&metadata.to_text()) {
                Err(Error::Value { path, .. }) => assert_eq!(path, *at),
                other => panic!("{at}: {other:?}"),
            }
        }
    }
}
