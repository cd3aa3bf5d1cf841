//! The signed metadata: its types, its one text form, and the rules for its values (SPEC.md 3.1 and 4.1).
//!
//! The keys of each object are declared in alphabetical order, as canonical JSON is sorted (M23). A test compares the order.

mod map;
mod rules;

use crate::digest::Checksum;
use crate::error::Error;
use crate::instant;
use crate::json::{self, Fault, Reader, Value};
use crate::limits::MAX_METADATA;
use crate::ops::Operations;
use crate::range::widen;

pub use map::Map;
pub use rules::{is_name, is_package_name, is_version};

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
    pub commands: Map<Command>,
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
    pub env: Map<String>,
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
    pub env: Map<String>,
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
    pub map: Map<String>,
    /// Patterns of variables that stay although a less specific pattern of `unset` matches.
    pub pass: Vec<String>,
    /// Variables that are set.
    pub set: Map<String>,
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
        rules::check(self)
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

#[cfg(test)]
pub(crate) mod tests;
