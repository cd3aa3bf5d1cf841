//! Executables and libraries without what is for debuggers alone, as `strip` leaves them.
//!
//! Compilers put debugging information and the table of all symbols behind everything that is loaded, and describe both in
//! section headers, which no loader reads. So what is loaded stays where it is, byte for byte; the sections behind it that
//! are for debuggers go, those that are not move up, and the headers are written anew. A file that is laid out in another
//! way stays as it is.

use object::elf::{self, FileHeader64, SectionHeader64};
use object::read::elf::{FileHeader as _, ProgramHeader as _, SectionHeader as _};
use object::{Endianness, U16, U32, U64, bytes_of};
use psp_format::range::widen;

use super::{Binary, read};

type Header = FileHeader64<Endianness>;
type Section = SectionHeader64<Endianness>;

/// Bytes of an ELF64 file header before `e_shoff`, and those of the fields behind (ELF-64 Object File Format 1.5, 3).
const SHOFF: usize = 40;
const SHNUM: usize = 60;
const SHSTRNDX: usize = 62;

/// The file without debugging information and without the table of symbols that only debuggers and profilers read; `None` where
/// nothing of these is in it, or where they do not lie behind what is loaded.
pub fn stripped(file: &[u8]) -> Option<Vec<u8>> {
    let out = without(file)?;
    let smaller = out.len() < file.len();
    // What a loader reads must be the same.
    let same = matches!((read(file), read(&out[..])),
        (Ok(Some(Binary::Elf(before))), Ok(Some(Binary::Elf(after)))) if before == after);
    (smaller && same).then_some(out)
}

fn without(file: &[u8]) -> Option<Vec<u8>> {
    let header = Header::parse(file).ok()?;
    let endian = header.endian().ok()?;
    let table = header.sections(endian, file).ok()?;
    let sections: Vec<Section> = table.iter().copied().collect();
    let names: Vec<&[u8]> = sections
        .iter()
        .map(|section| table.section_name(endian, section).unwrap_or_default())
        .collect();
    let own = usize::from(header.e_shstrndx(endian));
    let dropped = dropped(&sections, &names, own, endian);
    let end = loaded_end(header, endian, file, &sections)?;
    if !is_behind(&sections, &dropped, end, endian) {
        return None;
    }
    let numbers: Vec<u32> = dropped
        .iter()
        .scan(0, |kept, dropped| {
            let number = *kept;
            *kept += u32::from(!dropped);
            Some(number)
        })
        .collect();
    let number = |old: u32| numbers.get(size(old)).copied().unwrap_or(0);

    let mut out = file.get(..usize::try_from(end).ok()?)?.to_vec();
    let mut text = vec![0];
    let mut headers = Vec::new();
    let all = sections.iter().zip(&names).enumerate().zip(&dropped);
    for ((nth, (section, name)), _) in all.filter(|(_, dropped)| !**dropped) {
        let mut section = *section;
        if !name.is_empty() {
            section.sh_name = U32::new(endian, u32::try_from(text.len()).ok()?);
            text.extend_from_slice(name);
            text.push(0);
        }
        // The table of the names comes last, when all are known.
        if nth != 0 && nth != own && !is_loaded(&section, endian) {
            let bytes = section.data(endian, file).ok()?;
            align(&mut out, section.sh_addralign(endian))?;
            section.sh_offset = U64::new(endian, widen(out.len()));
            out.extend_from_slice(bytes);
        }
        let names_a_section = section.sh_flags(endian) & u64::from(elf::SHF_INFO_LINK) != 0
            || [elf::SHT_REL, elf::SHT_RELA].contains(&section.sh_type(endian));
        if names_a_section {
            section.sh_info = U32::new(endian, number(section.sh_info(endian)));
        }
        section.sh_link = U32::new(endian, number(section.sh_link(endian)));
        headers.push(section);
    }
    let own = number(u32::try_from(own).ok()?);
    let table = headers.get_mut(size(own))?;
    table.sh_offset = U64::new(endian, widen(out.len()));
    table.sh_size = U64::new(endian, widen(text.len()));
    out.extend_from_slice(&text);
    align(&mut out, 8)?;
    let at = widen(out.len());
    for section in &headers {
        out.extend_from_slice(bytes_of(section));
    }
    let count = u16::try_from(headers.len()).ok()?;
    let own = u16::try_from(own).ok()?;
    put(&mut out, SHOFF, bytes_of(&U64::new(endian, at)))?;
    put(&mut out, SHNUM, bytes_of(&U16::new(endian, count)))?;
    put(&mut out, SHSTRNDX, bytes_of(&U16::new(endian, own)))?;
    Some(out)
}

/// Which sections go; `own` is the number of the one with their names.
fn dropped(sections: &[Section], names: &[&[u8]], own: usize, endian: Endianness) -> Vec<bool> {
    // The names of dropped symbols are of no use to anybody else.
    let of_symbols: Vec<usize> = sections
        .iter()
        .filter(|section| section.sh_type(endian) == elf::SHT_SYMTAB)
        .map(|section| size(section.sh_link(endian)))
        .collect();
    let is_dropped = |(nth, (section, name)): (usize, (&Section, &&[u8]))| {
        nth != own && of_symbols.contains(&nth) || is_for_debuggers(section, endian, name)
    };
    let all = sections.iter().zip(names).enumerate();
    all.map(is_dropped).collect()
}

fn is_for_debuggers(section: &Section, endian: Endianness, name: &[u8]) -> bool {
    let starts = |start: &&[u8]| name.starts_with(start);
    let by_name: [&[u8]; 5] = [
        b".debug",
        b".zdebug",
        b".rela.debug",
        b".gdb_index",
        b".gnu.debug",
    ];
    !is_loaded(section, endian)
        && (section.sh_type(endian) == elf::SHT_SYMTAB || by_name.iter().any(starts))
}

/// Whether something is dropped, and everything that is not loaded lies behind `end`, with greater numbers than all that
/// is: symbols of the loader name their sections by number.
fn is_behind(sections: &[Section], dropped: &[bool], end: u64, endian: Endianness) -> bool {
    let Some(first) = dropped.iter().position(|dropped| *dropped) else {
        return false;
    };
    let mut all = sections.iter().enumerate();
    all.all(|(nth, section)| match is_loaded(section, endian) {
        true => nth < first,
        false => {
            nth == 0
                || section.sh_offset(endian) >= end
                || section.sh_type(endian) == elf::SHT_NOBITS
        }
    })
}

/// A number of a section as an index.
fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn is_loaded(section: &Section, endian: Endianness) -> bool {
    section.sh_flags(endian) & u64::from(elf::SHF_ALLOC) != 0
}

/// Where that which is loaded ends, with the headers.
fn loaded_end(
    header: &Header,
    endian: Endianness,
    file: &[u8],
    sections: &[Section],
) -> Option<u64> {
    let segments = header.program_headers(endian, file).ok()?;
    let size = u64::from(header.e_phentsize(endian)).checked_mul(widen(segments.len()))?;
    let mut end = header.e_phoff(endian).checked_add(size)?;
    for segment in segments {
        end = end.max(
            segment
                .p_offset(endian)
                .checked_add(segment.p_filesz(endian))?,
        );
    }
    let in_file = |it: &&Section| is_loaded(it, endian) && it.sh_type(endian) != elf::SHT_NOBITS;
    for section in sections.iter().filter(in_file) {
        end = end.max(
            section
                .sh_offset(endian)
                .checked_add(section.sh_size(endian))?,
        );
    }
    Some(end)
}

/// Fills with zeros. The largest alignment of a section that is not loaded is small.
fn align(out: &mut Vec<u8>, to: u64) -> Option<()> {
    let to = usize::try_from(to.clamp(1, 4096)).ok()?;
    out.resize(out.len().checked_next_multiple_of(to)?, 0);
    Some(())
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) -> Option<()> {
    let place = out.get_mut(at..at.checked_add(bytes.len())?)?;
    place.copy_from_slice(bytes);
    Some(())
}
