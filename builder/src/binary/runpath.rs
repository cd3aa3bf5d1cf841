//! Where a program and its libraries look for libraries: written into the file, as `patchelf --set-rpath` does.
//!
//! Nothing is moved. The table of names is copied to the end of the file with the new run path behind it, and three entries
//! are changed so that the loader finds it there:
//!
//! 1. a program header that the loader does without (a note: section headers still name it) loads the new table, at an
//!    address above everything else;
//! 2. the dynamic section's `DT_STRTAB` and `DT_STRSZ` name it;
//! 3. an entry that is free, or that held a run path, or a hint (`DT_RELACOUNT`: how many relocations fit a shorter loop)
//!    becomes `DT_RUNPATH`. GNU's linker leaves some free, LLVM's, which Rust uses, does not.
//!
//! A file without such a header gets the run path alone, in the padding that the linker has left between the segment with the
//! names and the next page: `DT_STRSZ` reaches that far then.
//!
//! What comes out is read again and compared with what went in; a file that does not fit is refused. The crate
//! `object-rewrite` was tried: it rewrites the whole file, and cannot do so with what LLVM's linker makes.

use object::elf::{self, Dyn64, FileHeader64, ProgramHeader64, SectionHeader64};
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _, SectionHeader as _};
use object::{Endianness, U32, U64, bytes_of};
use psp_format::range::widen;

use super::{Binary, Elf, read};

/// The least alignment of the new segment: pages of all systems with 64-bit ARM; those of x86-64 are smaller.
const ALIGN: u64 = 0x1_0000;

/// Why a file keeps its run path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunPathError {
    /// It is none that has one.
    #[error("it is no dynamically linked ELF file of 64 bits")]
    NotDynamic,
    /// Its layout leaves no room.
    #[error("its run path cannot be changed: {0}")]
    NoRoom(&'static str),
    /// What came out says something else than what went in.
    #[error("its run path cannot be changed: the changed file would not be the same program")]
    Different,
}

/// The same file with the run path `path`, a `DT_RUNPATH` of directories between colons, instead of those that it had.
///
/// # Errors
///
/// [`RunPathError`].
pub fn set(file: &[u8], path: &str) -> Result<Vec<u8>, RunPathError> {
    let before = dynamic(file)?;
    let out = changed(file, path)?;
    let expected = Elf {
        rpath: Vec::new(),
        runpath: Some(path.split(':').map(str::to_owned).collect()),
        ..before
    };
    match dynamic(&out) {
        Ok(after) if after == expected => Ok(out),
        _ => Err(RunPathError::Different),
    }
}

fn dynamic(file: &[u8]) -> Result<Elf, RunPathError> {
    // Modules of an interpreter may need nothing by name, and yet have a run path.
    let has_path = |elf: &Elf| elf.runpath.is_some() || !elf.rpath.is_empty();
    let is_dynamic = |elf: &Elf| !elf.needed.is_empty() || elf.soname.is_some() || has_path(elf);
    match read(file) {
        Ok(Some(Binary::Elf(elf))) if elf.bits == 64 && is_dynamic(&elf) => Ok(elf),
        _ => Err(RunPathError::NotDynamic),
    }
}

type Header = FileHeader64<Endianness>;

fn changed(file: &[u8], path: &str) -> Result<Vec<u8>, RunPathError> {
    let broken = |_| RunPathError::NotDynamic;
    let header = Header::parse(file).map_err(broken)?;
    let endian = header.endian().map_err(broken)?;
    let mut segments = header
        .program_headers(endian, file)
        .map_err(broken)?
        .to_vec();
    let (at, mut entries) = dynamic_section(&segments, endian, file)?;

    let strings = value(&entries, endian, elf::DT_STRTAB).ok_or(RunPathError::NotDynamic)?;
    if spare(&segments, endian).is_none() {
        let mut out = file.to_vec();
        let place = pad(&mut segments, endian, &mut out, strings, path)?;
        put(&mut out, header.e_phoff(endian), bytes_of_all(&segments));
        let name = place.size.saturating_sub(widen(path.len()) + 1);
        point(&mut entries, endian, &place, name)?;
        put(&mut out, at, bytes_of_all(&entries));
        return Ok(out);
    }
    let mut table = names(&segments, endian, file, strings, &entries)?;
    let name = widen(table.len());
    table.extend_from_slice(path.as_bytes());
    table.push(0);

    let mut out = file.to_vec();
    let address = above(&segments, endian)?;
    let rest = out.len() % ALIGN as usize;
    if rest != 0 {
        out.resize(out.len() - rest + ALIGN as usize, 0);
    }
    let place = Place {
        offset: widen(out.len()),
        address,
        size: widen(table.len()),
    };
    out.extend_from_slice(&table);

    load(&mut segments, endian, &place)?;
    put(&mut out, header.e_phoff(endian), bytes_of_all(&segments));
    point(&mut entries, endian, &place, name)?;
    put(&mut out, at, bytes_of_all(&entries));
    section(header, endian, file, strings, &place, &mut out);
    Ok(out)
}

/// Where the new table lies.
struct Place {
    offset: u64,
    address: u64,
    size: u64,
}

/// The dynamic section with its offset in the file.
fn dynamic_section(
    segments: &[ProgramHeader64<Endianness>],
    endian: Endianness,
    file: &[u8],
) -> Result<(u64, Vec<Dyn64<Endianness>>), RunPathError> {
    let mut dynamic = segments
        .iter()
        .filter(|segment| segment.p_type(endian) == elf::PT_DYNAMIC);
    let segment = dynamic.next().ok_or(RunPathError::NotDynamic)?;
    let entries = segment.dynamic(endian, file).ok().flatten();
    let entries = entries.ok_or(RunPathError::NotDynamic)?;
    Ok((segment.p_offset(endian), entries.to_vec()))
}

fn value(entries: &[Dyn64<Endianness>], endian: Endianness, tag: u32) -> Option<u64> {
    let entry = entries
        .iter()
        .find(|entry| entry.tag32(endian) == Some(tag))?;
    Some(entry.d_val(endian))
}

/// The table of names, as it is.
fn names(
    segments: &[ProgramHeader64<Endianness>],
    endian: Endianness,
    file: &[u8],
    address: u64,
    entries: &[Dyn64<Endianness>],
) -> Result<Vec<u8>, RunPathError> {
    let size = value(entries, endian, elf::DT_STRSZ).ok_or(RunPathError::NotDynamic)?;
    let mut loaded = segments
        .iter()
        .filter(|segment| segment.p_type(endian) == elf::PT_LOAD);
    let found = loaded.find_map(|segment| {
        segment
            .data_range(endian, file, address, size)
            .ok()
            .flatten()
    });
    found.map(<[u8]>::to_vec).ok_or(RunPathError::NotDynamic)
}

/// An address above everything that is loaded.
fn above(
    segments: &[ProgramHeader64<Endianness>],
    endian: Endianness,
) -> Result<u64, RunPathError> {
    let loaded = segments
        .iter()
        .filter(|segment| segment.p_type(endian) == elf::PT_LOAD);
    let end = loaded.map(|segment| segment.p_vaddr(endian).checked_add(segment.p_memsz(endian)));
    let end = end
        .max()
        .flatten()
        .and_then(|end| end.checked_next_multiple_of(ALIGN));
    end.ok_or(RunPathError::NoRoom("its addresses are used up"))
}

/// A header that the loader does without.
fn spare(segments: &[ProgramHeader64<Endianness>], endian: Endianness) -> Option<usize> {
    let last = |kind: u32| segments.iter().rposition(|it| it.p_type(endian) == kind);
    last(elf::PT_NOTE).or_else(|| last(elf::PT_GNU_PROPERTY))
}

/// Writes `path` behind the segment in which the names at the address `strings` lie, where there is padding, and lets the segment
/// reach to its end. Where the table is that both make.
fn pad(
    segments: &mut [ProgramHeader64<Endianness>],
    endian: Endianness,
    out: &mut [u8],
    strings: u64,
    path: &str,
) -> Result<Place, RunPathError> {
    const NO_ROOM: RunPathError =
        RunPathError::NoRoom("it has no program header to spare, and no padding behind its names");
    let loaded = |it: &ProgramHeader64<Endianness>| it.p_type(endian) == elf::PT_LOAD;
    let holds = |it: &ProgramHeader64<Endianness>| {
        let inside = strings.checked_sub(it.p_vaddr(endian));
        loaded(it) && inside.is_some_and(|inside| inside < it.p_filesz(endian))
    };
    let nth = segments.iter().position(holds).ok_or(NO_ROOM)?;
    let segment = *segments.get(nth).ok_or(NO_ROOM)?;
    let size = segment.p_filesz(endian);
    let (start, end) = (
        segment.p_vaddr(endian),
        segment.p_vaddr(endian).saturating_add(size),
    );
    let added = widen(path.len()) + 1;
    // Nothing may be mapped over it: the next segment begins on a page of its own.
    let is_next = |it: &&ProgramHeader64<Endianness>| loaded(it) && it.p_vaddr(endian) > start;
    let next = segments.iter().filter(is_next).map(|it| {
        let page = it.p_align(endian).max(1);
        it.p_vaddr(endian) / page * page
    });
    let is_free = next
        .min()
        .is_none_or(|next| end.saturating_add(added) <= next);
    // Zeros up to the file's end may belong to something; those before the next segment are padding.
    let offset = segment.p_offset(endian).saturating_add(size);
    let follows = segments
        .iter()
        .any(|it| loaded(it) && it.p_offset(endian) >= offset.saturating_add(added));
    let range = usize::try_from(offset)
        .ok()
        .zip(usize::try_from(added).ok());
    let room = range.and_then(|(offset, added)| out.get_mut(offset..offset.checked_add(added)?));
    let room = room
        .filter(|room| room.iter().all(|byte| *byte == 0))
        .ok_or(NO_ROOM)?;
    if !is_free || !follows || size != segment.p_memsz(endian) {
        return Err(NO_ROOM);
    }
    if let Some(room) = room.get_mut(..path.len()) {
        room.copy_from_slice(path.as_bytes());
    }
    let longer = U64::new(endian, size.saturating_add(added));
    if let Some(segment) = segments.get_mut(nth) {
        segment.p_filesz = longer;
        segment.p_memsz = longer;
    }
    Ok(Place {
        offset: 0,
        address: strings,
        size: end.saturating_add(added).saturating_sub(strings),
    })
}

/// Makes of a note a header that loads the table. Headers that load stand in the order of their addresses.
fn load(
    segments: &mut Vec<ProgramHeader64<Endianness>>,
    endian: Endianness,
    place: &Place,
) -> Result<(), RunPathError> {
    let spare =
        spare(segments, endian).ok_or(RunPathError::NoRoom("it has no program header to spare"))?;
    segments.remove(spare);
    let is_loaded = |segment: &ProgramHeader64<Endianness>| segment.p_type(endian) == elf::PT_LOAD;
    let last = segments
        .iter()
        .rposition(is_loaded)
        .ok_or(RunPathError::NotDynamic)?;
    let header = ProgramHeader64 {
        p_type: U32::new(endian, elf::PT_LOAD),
        p_flags: U32::new(endian, elf::PF_R),
        p_offset: U64::new(endian, place.offset),
        p_vaddr: U64::new(endian, place.address),
        p_paddr: U64::new(endian, place.address),
        p_filesz: U64::new(endian, place.size),
        p_memsz: U64::new(endian, place.size),
        p_align: U64::new(endian, ALIGN),
    };
    segments.insert(last + 1, header);
    Ok(())
}

/// Makes the dynamic section name the new table, and the run path at `name` in it.
fn point(
    entries: &mut [Dyn64<Endianness>],
    endian: Endianness,
    place: &Place,
    name: u64,
) -> Result<(), RunPathError> {
    let tags: Vec<Option<u32>> = entries.iter().map(|entry| entry.tag32(endian)).collect();
    let end = tags.iter().position(|tag| *tag == Some(elf::DT_NULL));
    let end = end.ok_or(RunPathError::NotDynamic)?;
    let at = |wanted: u32| tags.iter().take(end).position(|tag| *tag == Some(wanted));
    // The last entry has to stay the end.
    let free = (end + 1 < entries.len()).then_some(end);
    let run_path = at(elf::DT_RUNPATH)
        .or(at(elf::DT_RPATH))
        .or(free)
        .or(at(elf::DT_RELACOUNT))
        .ok_or(RunPathError::NoRoom(
            "its dynamic section has no entry to spare",
        ))?;
    for (nth, tag, value) in [
        (at(elf::DT_STRTAB), elf::DT_STRTAB, place.address),
        (at(elf::DT_STRSZ), elf::DT_STRSZ, place.size),
        (Some(run_path), elf::DT_RUNPATH, name),
    ] {
        let entry = nth.and_then(|nth| entries.get_mut(nth));
        *entry.ok_or(RunPathError::NotDynamic)? = Dyn64 {
            d_tag: U64::new(endian, tag.into()),
            d_val: U64::new(endian, value),
        };
    }
    if run_path == end
        && let Some(next) = entries.get_mut(end + 1)
    {
        *next = Dyn64 {
            d_tag: U64::new(endian, elf::DT_NULL.into()),
            d_val: U64::new(endian, 0),
        };
    }
    Ok(())
}

/// Tells tools that go by sections, where there are any, where the table is now.
fn section(
    header: &Header,
    endian: Endianness,
    file: &[u8],
    strings: u64,
    place: &Place,
    out: &mut [u8],
) {
    let Ok(sections) = header.section_headers(endian, file) else {
        return;
    };
    let is_table = |section: &SectionHeader64<Endianness>| {
        section.sh_type(endian) == elf::SHT_STRTAB
            && section.sh_addr(endian) == strings
            && strings != 0
    };
    let Some(nth) = sections.iter().position(is_table) else {
        return;
    };
    let mut sections = sections.to_vec();
    if let Some(section) = sections.get_mut(nth) {
        section.sh_addr = U64::new(endian, place.address);
        section.sh_offset = U64::new(endian, place.offset);
        section.sh_size = U64::new(endian, place.size);
    }
    put(out, header.e_shoff(endian), bytes_of_all(&sections));
}

fn bytes_of_all<T: object::Pod>(all: &[T]) -> Vec<u8> {
    all.iter().flat_map(bytes_of).copied().collect()
}

/// Writes over bytes that were read from there.
fn put(out: &mut [u8], at: u64, bytes: Vec<u8>) {
    let at = usize::try_from(at).ok();
    let place = at.and_then(|at| out.get_mut(at..at.checked_add(bytes.len())?));
    if let Some(place) = place {
        place.copy_from_slice(&bytes);
    }
}
