//! PE and Mach-O: for which processor, and what they import.

use object::macho::{FatHeader, MachHeader32, MachHeader64};
use object::read::ReadRef;
use object::read::macho::{FatArch, MachHeader, MachOFatFile32, MachOFatFile64};
use object::read::pe::{ImageNtHeaders, PeFile32, PeFile64};
use object::{Endianness, FileKind, LittleEndian as LE, macho, pe};

use super::{Damaged, Foreign, MAX_RECORDS, name};

/// Most imports that are listed: the files are data here, and may name one long text again and again.
const MAX_FOREIGN: usize = 256;

/// `None` for a program for DOS.
pub(super) fn pe<'d, R: ReadRef<'d>>(data: R) -> Result<Option<Foreign>, Damaged> {
    let damaged = |_| Damaged {
        what: "damaged PE file",
        reason: "its headers lie outside",
    };
    match FileKind::parse(data) {
        Ok(FileKind::Pe32) => pe_file(&PeFile32::parse(data).map_err(damaged)?),
        Ok(FileKind::Pe64) => pe_file(&PeFile64::parse(data).map_err(damaged)?),
        _ => Ok(None),
    }
}

fn pe_file<'d, Pe: ImageNtHeaders, R: ReadRef<'d>>(
    file: &object::read::pe::PeFile<'d, Pe, R>,
) -> Result<Option<Foreign>, Damaged> {
    let damaged = |_| Damaged {
        what: "damaged PE file",
        reason: "its imports lie outside",
    };
    let machine = file.nt_headers().file_header().machine.get(LE);
    let mut imports = Vec::new();
    if let Some(table) = file.import_table().map_err(damaged)? {
        let mut descriptors = table.descriptors().map_err(damaged)?;
        while let Some(descriptor) = descriptors.next().map_err(damaged)? {
            if imports.len() == MAX_FOREIGN {
                break;
            }
            imports.push(name(table.name(descriptor.name.get(LE)).map_err(damaged)?));
        }
    }
    Ok(Some(foreign(vec![pe_machine(machine)], imports)))
}

fn pe_machine(number: u16) -> String {
    let known = match number {
        pe::IMAGE_FILE_MACHINE_AMD64 => "x86_64",
        pe::IMAGE_FILE_MACHINE_ARM64 => "aarch64",
        pe::IMAGE_FILE_MACHINE_I386 => "i386",
        pe::IMAGE_FILE_MACHINE_ARMNT => "arm",
        other => return format!("machine {other}"),
    };
    known.to_owned()
}

/// `None` for a class of Java, which begins like a universal file.
pub(super) fn mach_o<'d, R: ReadRef<'d>>(data: R) -> Result<Option<Foreign>, Damaged> {
    let damaged = || Damaged {
        what: "damaged Mach-O file",
        reason: "its headers lie outside",
    };
    let (mut architectures, mut imports) = (Vec::new(), Vec::new());
    match FileKind::parse(data) {
        Ok(FileKind::MachO32 | FileKind::MachO64) => {
            one(data, 0, &mut architectures, &mut imports).ok_or_else(damaged)?;
        }
        Ok(FileKind::MachOFat32) => {
            let header: &FatHeader = data.read_at(0).map_err(|()| damaged())?;
            // Where a class of Java has its version, which begins at 45. No file has that many processors.
            if header.nfat_arch.get(object::BigEndian) >= 45 {
                return Ok(None);
            }
            let file = MachOFatFile32::parse(data).map_err(|_| damaged())?;
            for arch in file.arches() {
                let offset = u64::from(arch.offset());
                one(data, offset, &mut architectures, &mut imports).ok_or_else(damaged)?;
            }
        }
        Ok(FileKind::MachOFat64) => {
            let file = MachOFatFile64::parse(data).map_err(|_| damaged())?;
            for arch in file.arches().iter().take(45) {
                let offset = arch.offset();
                one(data, offset, &mut architectures, &mut imports).ok_or_else(damaged)?;
            }
        }
        _ => return Ok(None),
    }
    Ok(Some(foreign(architectures, imports)))
}

/// Adds what the file at `offset` says.
fn one<'d, R: ReadRef<'d>>(
    data: R,
    offset: u64,
    architectures: &mut Vec<String>,
    imports: &mut Vec<String>,
) -> Option<()> {
    let magic = data.read_bytes_at(offset, 4).ok()?;
    match magic {
        b"\xfe\xed\xfa\xcf" | b"\xcf\xfa\xed\xfe" => {
            one_class::<MachHeader64<Endianness>, R>(data, offset, architectures, imports)
        }
        _ => one_class::<MachHeader32<Endianness>, R>(data, offset, architectures, imports),
    }
}

fn one_class<'d, M, R>(
    data: R,
    offset: u64,
    architectures: &mut Vec<String>,
    imports: &mut Vec<String>,
) -> Option<()>
where
    M: MachHeader<Endian = Endianness>,
    R: ReadRef<'d>,
{
    // So that no sum of an offset in the file and one of its own can be too large.
    data.len().ok().filter(|length| offset < *length)?;
    let header = M::parse(data, offset).ok()?;
    let endian = header.endian().ok()?;
    architectures.push(mach_o_cpu(header.cputype(endian)));
    let mut commands = header.load_commands(endian, data, offset).ok()?;
    for _ in 0..MAX_RECORDS {
        let Some(command) = commands.next().ok()? else {
            break;
        };
        if let Some(library) = command.dylib().ok()?
            && imports.len() < MAX_FOREIGN
        {
            imports.push(name(command.string(endian, library.dylib.name).ok()?));
        }
    }
    Some(())
}

fn mach_o_cpu(number: u32) -> String {
    let known = match number {
        macho::CPU_TYPE_X86_64 => "x86_64",
        macho::CPU_TYPE_ARM64 => "aarch64",
        macho::CPU_TYPE_X86 => "i386",
        macho::CPU_TYPE_ARM => "arm",
        other => return format!("machine {other}"),
    };
    known.to_owned()
}

fn foreign(mut architectures: Vec<String>, mut imports: Vec<String>) -> Foreign {
    architectures.dedup();
    imports.sort();
    imports.dedup();
    Foreign {
        architectures,
        imports,
    }
}
