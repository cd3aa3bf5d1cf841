//! What compilers and linkers leave in executables about their dependencies: the section `.dep-v0` of `cargo auditable`
//! (<https://github.com/rust-secure-code/cargo-auditable/blob/master/PARSING.md>) and the build information of Go
//! (`debug/buildinfo` of its standard library, from Go 1.18 on, which has it in one piece).
//!
//! The bytes are taken as they are; [`super::cargo`] and [`super::go`] read them.

use memchr::memmem;
use object::Endianness;
use object::elf::{FileHeader32, FileHeader64, SHT_NOBITS};
use object::read::elf::{FileHeader, SectionHeader};
use object::read::{Object as _, ObjectSection as _, ReadRef};

use crate::binary::MAX_RECORDS;

/// The section of `cargo auditable`.
const CARGO: &str = ".dep-v0";
/// The section of Go in ELF and in Mach-O files. In a PE file it has none of its own.
const GO: [&str; 2] = [".go.buildinfo", "__go_buildinfo"];
/// What the build information of Go begins with.
pub(super) const GO_MAGIC: &[u8] = b"\xff Go buildinf:";

/// Most bytes of a section that are read. The largest programs have some ten thousand.
const MAX_SECTION: u64 = 4 << 20;

/// What was found in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Embedded {
    /// The section of `cargo auditable`: JSON, compressed with zlib.
    pub cargo: Option<Vec<u8>>,
    /// The build information of Go, from its magic on.
    pub go: Option<Vec<u8>>,
}

impl Embedded {
    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.cargo.is_none() && self.go.is_none()
    }
}

/// Looks for both in an executable or library. A file whose sections are damaged has none.
pub fn read<'d, R: ReadRef<'d>>(data: R) -> Embedded {
    match data.read_bytes_at(0, 5) {
        Ok([0x7f, b'E', b'L', b'F', 1]) => elf::<FileHeader32<Endianness>, R>(data),
        Ok([0x7f, b'E', b'L', b'F', 2]) => elf::<FileHeader64<Endianness>, R>(data),
        Ok(_) => other(data),
        Err(()) => Embedded::default(),
    }
}

/// Section headers and what they name; symbols, which may be most of the file, are not read.
fn elf<'d, E, R>(data: R) -> Embedded
where
    E: FileHeader<Endian = Endianness>,
    R: ReadRef<'d>,
{
    let mut out = Embedded::default();
    let Ok(header) = E::parse(data) else {
        return out;
    };
    let Ok(endian) = header.endian() else {
        return out;
    };
    let Ok(sections) = header.sections(endian, data) else {
        return out;
    };
    for section in sections.iter().take(MAX_RECORDS) {
        let Ok(name) = sections.section_name(endian, section) else {
            continue;
        };
        let size: u64 = section.sh_size(endian).into();
        if size > MAX_SECTION || section.sh_type(endian) == SHT_NOBITS {
            continue;
        }
        let bytes = || section.data(endian, data).ok().map(<[u8]>::to_vec);
        if name == CARGO.as_bytes() {
            out.cargo = out.cargo.or_else(bytes);
        } else if name == GO[0].as_bytes() {
            out.go = out.go.or_else(bytes);
        }
    }
    out.go = out.go.and_then(from_magic);
    out
}

/// Files for Windows and macOS.
fn other<'d, R: ReadRef<'d>>(data: R) -> Embedded {
    let mut out = Embedded::default();
    let Ok(file) = object::File::parse(data) else {
        return out;
    };
    for section in file.sections() {
        let Ok(name) = section.name() else {
            continue;
        };
        let is_go = GO.contains(&name) || name == ".data";
        if (name != CARGO && !is_go) || section.file_range().is_none() {
            continue;
        }
        let length = section.size().min(MAX_SECTION);
        let Ok(Some(bytes)) = section.data_range(section.address(), length) else {
            continue;
        };
        match is_go {
            true => out.go = out.go.or_else(|| from_magic(bytes.to_vec())),
            false => out.cargo = out.cargo.or_else(|| Some(bytes.to_vec())),
        }
    }
    out
}

/// The bytes from where the build information of Go begins.
fn from_magic(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let at = memmem::find(&bytes, GO_MAGIC)?;
    Some(bytes.split_off(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_executable_has_nothing() {
        for bytes in [
            &b""[..],
            b"\x7fELF",
            b"\x7fELF\x02",
            b"MZ",
            b"\xcf\xfa\xed\xfe",
        ] {
            let mut long = bytes.to_vec();
            assert!(read(bytes).is_empty());
            long.resize(4096, 0xff);
            assert!(read(long.as_slice()).is_empty());
        }
    }
}
