//! What the executables and shared libraries in a package say about the host that they need.
//!
//! 1. [`read`] turns the bytes of one file into a [`Binary`], without trusting any of them;
//! 2. [`Inside`] follows paths and links as they will be below the work environment;
//! 3. [`Requirements::of`] looks for each needed library as the dynamic loader will, and sums up what is left to the host;
//! 4. [`runpath`] tells a program where its libraries lie, and [`debug`] takes out what only debuggers read.
//!
//! All of it takes values and gives values; files and slots are read by `inspect`, `pack` and the recipes.
//!
//! Reading is done with the `object` crate. It parses what it is asked for and nothing else, and returns an error where
//! others panic, which matters because the released program aborts on a panic. What is read from a hostile file is
//! bounded here: see [`MAX_NAMES`] and [`MAX_RECORDS`].

pub mod base;
pub mod debug;
mod elf;
mod foreign;
mod inside;
mod requirements;
pub mod runpath;
mod search;
mod version;

use object::read::ReadRef;
use serde::Serialize;

pub use elf::{Elf, ElfKind, Need};
pub use inside::{Inside, Node};
pub use requirements::{
    FileReport, Finding, Found, HostLibrary, Needed, NeededBy, Requirements, Subject, Wanted,
};
pub use version::{Family, Version};

/// Most names of one kind (needed libraries, versions, imports) that are read from a file. The largest real programs have a
/// few hundred.
pub const MAX_NAMES: usize = 4096;
/// Most version records and load commands that are looked at in a file, whatever it says about their number.
pub const MAX_RECORDS: usize = 65_536;
/// Most bytes of a name. Names of symbols in C++ are the longest; what is longer is cut.
pub const MAX_NAME: usize = 4096;

/// An executable or library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "format", rename_all = "lowercase")]
pub enum Binary {
    /// Linux and most other systems.
    Elf(Elf),
    /// Windows.
    Pe(Foreign),
    /// macOS.
    #[serde(rename = "mach-o")]
    MachO(Foreign),
}

/// What is known of a file for Windows or macOS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Foreign {
    /// Architectures, such as `x86_64` and `aarch64`; several in a universal file.
    pub architectures: Vec<String>,
    /// Names of the libraries that it imports from, sorted.
    pub imports: Vec<String>,
}

/// Why a file that begins like an executable cannot be read as one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {reason}")]
pub struct Damaged {
    /// Which format its first bytes promise.
    pub what: &'static str,
    /// What is wrong.
    pub reason: &'static str,
}

impl Binary {
    /// The formats and architectures of a target such as `linux_amd64`, as this module names them: whether this file is for
    /// it.
    pub fn is_for(&self, target: &str) -> bool {
        let (os, arch) = target.split_once('_').unwrap_or((target, ""));
        let arch = match arch {
            "amd64" => "x86_64",
            "arm64" => "aarch64",
            other => other,
        };
        match (self, os) {
            (Binary::Elf(elf), "linux") => elf.machine == arch && elf.bits == 64,
            (Binary::Pe(file), "windows") | (Binary::MachO(file), "darwin") => {
                file.architectures.iter().any(|found| found == arch)
            }
            _ => false,
        }
    }

    /// Format and architecture, as in `ELF x86_64`.
    pub fn summary(&self) -> String {
        match self {
            Binary::Elf(elf) if elf.machine == "x86_64" && elf.bits == 32 => "ELF x32".to_owned(),
            Binary::Elf(elf) => format!("ELF {}", elf.machine),
            Binary::Pe(file) => format!("PE {}", file.architectures.join(" ")),
            Binary::MachO(file) => format!("Mach-O {}", file.architectures.join(" ")),
        }
    }
}

/// Reads a file: `None` when it is neither an executable nor a library of any kind that is known here.
///
/// # Errors
///
/// When it begins like one and breaks the rules of its format.
pub fn read<'d, R: ReadRef<'d>>(data: R) -> Result<Option<Binary>, Damaged> {
    let Ok(start) = data.read_bytes_at(0, 4) else {
        return Ok(None);
    };
    match start {
        b"\x7fELF" => elf::read(data).map(|elf| Some(Binary::Elf(elf))),
        [b'M', b'Z', ..] => foreign::pe(data).map(|file| file.map(Binary::Pe)),
        b"\xfe\xed\xfa\xce" | b"\xce\xfa\xed\xfe" | b"\xfe\xed\xfa\xcf" | b"\xcf\xfa\xed\xfe"
        | b"\xca\xfe\xba\xbe" | b"\xca\xfe\xba\xbf" => {
            foreign::mach_o(data).map(|file| file.map(Binary::MachO))
        }
        _ => Ok(None),
    }
}

/// Whether a file that begins with these bytes may be one that [`read`] knows.
pub fn begins_like_one(start: &[u8]) -> bool {
    let magic = start.first_chunk::<4>();
    start.starts_with(b"MZ")
        || magic.is_some_and(|magic| {
            matches!(
                magic,
                b"\x7fELF"
                    | b"\xfe\xed\xfa\xce"
                    | b"\xce\xfa\xed\xfe"
                    | b"\xfe\xed\xfa\xcf"
                    | b"\xcf\xfa\xed\xfe"
                    | b"\xca\xfe\xba\xbe"
                    | b"\xca\xfe\xba\xbf"
            )
        })
}

/// A name from a file as text: cut where it is too long, and with a replacement for what is not UTF-8. It is escaped where
/// it is shown.
fn name(bytes: &[u8]) -> String {
    let bytes = bytes.get(..MAX_NAME).unwrap_or(bytes);
    String::from_utf8_lossy(bytes).into_owned()
}
