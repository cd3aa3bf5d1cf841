//! ELF: what the dynamic loader will read, from where it will read it.
//!
//! Section headers are not looked at: the loader does not, and they may be missing or lie.

use std::cell::Cell;
use std::collections::HashMap;

use object::Endianness;
use object::elf::{self, FileHeader32, FileHeader64, Vernaux, Verneed};
use object::read::elf::{Dyn, FileHeader, GnuHashTable, HashTable, ProgramHeader, Sym};
use object::read::{ReadRef, StringTable};
use psp_format::range::widen;
use serde::Serialize;

use super::{Damaged, MAX_NAMES, MAX_RECORDS, name};

/// What an ELF file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ElfKind {
    /// A program: it names an interpreter, or stands at a fixed address.
    Program,
    /// A shared library, or something that is loaded like one. A static program that can stand anywhere looks the same.
    Library,
    /// An object file, a core dump or debugging information: nothing that is started or loaded.
    Other,
}

/// One version of one library that a file needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Need {
    /// The library that has to provide it, such as `libc.so.6`.
    pub library: String,
    /// The version, such as `GLIBC_2.34`.
    pub version: String,
    /// The first symbol in the file's table that asks for it; none where no symbol does.
    pub symbol: Option<String>,
}

/// What an ELF file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Elf {
    /// The processor: `x86_64`, `aarch64`, and so on.
    pub machine: String,
    /// 32 or 64.
    pub bits: u8,
    /// What it is.
    pub kind: ElfKind,
    /// The dynamic loader that it asks for.
    pub interpreter: Option<String>,
    /// The name that others need it by.
    pub soname: Option<String>,
    /// Needed libraries, in order.
    pub needed: Vec<String>,
    /// `DT_RPATH`, split at colons: also searched for what its libraries need.
    pub rpath: Vec<String>,
    /// `DT_RUNPATH`, split at colons; where it is there, the loader ignores `DT_RPATH`.
    pub runpath: Option<Vec<String>>,
    /// Versions of symbols that it cannot start without, in the order of the file.
    pub versions: Vec<Need>,
    /// Whether the loader has to write into its code.
    pub text_relocations: bool,
    /// Whether it asks for a stack that can be executed.
    pub executable_stack: bool,
}

const DAMAGED: fn(&'static str) -> Damaged = |reason| Damaged {
    what: "damaged ELF file",
    reason,
};

pub(super) fn read<'d, R: ReadRef<'d>>(data: R) -> Result<Elf, Damaged> {
    match data
        .read_bytes_at(4, 1)
        .map_err(|()| DAMAGED("no header"))?
    {
        [1] => read_class::<FileHeader32<Endianness>, R>(data, 32),
        [2] => read_class::<FileHeader64<Endianness>, R>(data, 64),
        _ => Err(DAMAGED("neither 32 nor 64 bits")),
    }
}

fn read_class<'d, E, R>(data: R, bits: u8) -> Result<Elf, Damaged>
where
    E: FileHeader<Endian = Endianness>,
    R: ReadRef<'d>,
{
    let header = E::parse(data).map_err(|_| DAMAGED("no header"))?;
    let endian = header.endian().map_err(|_| DAMAGED("no byte order"))?;
    let segments = header
        .program_headers(endian, data)
        .map_err(|_| DAMAGED("its program headers lie outside"))?;
    let mut out = Elf {
        machine: machine(header.e_machine(endian)),
        bits,
        kind: ElfKind::Other,
        interpreter: None,
        soname: None,
        needed: Vec::new(),
        rpath: Vec::new(),
        runpath: None,
        versions: Vec::new(),
        text_relocations: false,
        executable_stack: false,
    };
    let mut dynamic = None;
    for segment in segments {
        match segment.p_type(endian) {
            elf::PT_INTERP => {
                let found = segment.interpreter(endian, data).ok().flatten();
                let found = found.ok_or(DAMAGED("its interpreter lies outside"))?;
                out.interpreter = Some(name(found));
            }
            elf::PT_DYNAMIC if dynamic.is_none() => {
                let found = segment.dynamic(endian, data).ok().flatten();
                dynamic = Some(found.ok_or(DAMAGED("its dynamic section lies outside"))?);
            }
            elf::PT_GNU_STACK => out.executable_stack = segment.p_flags(endian) & elf::PF_X != 0,
            _ => {}
        }
    }
    out.kind = match header.e_type(endian) {
        elf::ET_EXEC => ElfKind::Program,
        elf::ET_DYN if out.interpreter.is_some() => ElfKind::Program,
        // In a file of debugging information the segment is there and has no content.
        elf::ET_DYN if dynamic.is_some_and(|entries| !entries.is_empty()) => ElfKind::Library,
        _ => ElfKind::Other,
    };
    if let Some(entries) = dynamic.filter(|entries| !entries.is_empty()) {
        let length = data.len().map_err(|()| DAMAGED("no length"))?;
        let image = Image {
            endian,
            data,
            segments,
            room: Cell::new(length.saturating_mul(4)),
        };
        read_dynamic::<E, R>(&image, entries, &mut out)?;
    }
    Ok(out)
}

/// A file as it will lie in memory.
struct Image<'d, E: FileHeader, R> {
    endian: Endianness,
    data: R,
    segments: &'d [E::ProgramHeader],
    /// How many bytes its names may still take in memory. They lie in the file, once each, with a record that names each.
    room: Cell<u64>,
}

/// Entries of the dynamic section that hold the address of a table.
const TABLES: [u32; 10] = [
    elf::DT_STRTAB,
    elf::DT_SYMTAB,
    elf::DT_HASH,
    elf::DT_GNU_HASH,
    elf::DT_VERSYM,
    elf::DT_VERNEED,
    elf::DT_VERDEF,
    elf::DT_RELA,
    elf::DT_REL,
    elf::DT_JMPREL,
];

/// What a name takes besides its bytes.
const NAME_COST: u64 = 64;

impl<'d, E, R> Image<'d, E, R>
where
    E: FileHeader<Endian = Endianness>,
    R: ReadRef<'d>,
{
    /// The range of the file, from `address` to the end of its segment.
    fn range(&self, address: u64) -> Option<(u64, u64)> {
        self.segments.iter().find_map(|segment| {
            if segment.p_type(self.endian) != elf::PT_LOAD {
                return None;
            }
            let (offset, size) = segment.file_range(self.endian);
            let skipped = address.checked_sub(segment.p_vaddr(self.endian).into())?;
            let start = offset.checked_add(skipped)?;
            let length = self.data.len().ok()?;
            let end = offset.checked_add(size)?.min(length);
            (skipped < size && start < end).then_some((start, end))
        })
    }

    /// A name as text, while there is room: a hostile file may name the same long text thousands of times.
    fn name(&self, bytes: &[u8]) -> Result<String, Damaged> {
        let text = name(bytes);
        let cost = widen(text.len()).saturating_add(NAME_COST);
        let left = self.room.get().checked_sub(cost);
        self.room
            .set(left.ok_or(DAMAGED("it names more than it has room for"))?);
        Ok(text)
    }

    /// The same for each part of a list with colons.
    fn names(&self, list: &[u8]) -> Result<Vec<String>, Damaged> {
        let parts = list.split(|byte| *byte == b':').take(MAX_NAMES);
        parts.map(|part| self.name(part)).collect()
    }

    /// The bytes of a table that does not say how long it is: from its address to where the next one begins, or else to
    /// the end of its segment, which may be most of the file.
    fn bytes(&self, table: &HashMap<u32, u64>, tag: u32) -> Option<&'d [u8]> {
        let address = *table.get(&tag)?;
        let (start, end) = self.range(address)?;
        let others = TABLES.iter().filter_map(|tag| table.get(tag)).copied();
        let next = others.filter(|other| *other > address).min();
        let most = next.map_or(u64::MAX, |next| next.saturating_sub(address));
        let length = end.checked_sub(start)?.min(most);
        self.data.read_bytes_at(start, length).ok()
    }
}

fn read_dynamic<'d, E, R>(
    image: &Image<'d, E, R>,
    entries: &[E::Dyn],
    out: &mut Elf,
) -> Result<(), Damaged>
where
    E: FileHeader<Endian = Endianness>,
    R: ReadRef<'d>,
{
    let mut table: HashMap<u32, u64> = HashMap::new();
    let mut texts: Vec<(u32, u32)> = Vec::new();
    for entry in entries {
        let Some(tag) = entry.tag32(image.endian) else {
            continue;
        };
        match tag {
            elf::DT_NULL => break,
            elf::DT_NEEDED | elf::DT_SONAME | elf::DT_RPATH | elf::DT_RUNPATH
                if texts.len() < MAX_NAMES =>
            {
                let offset = entry.val32(image.endian);
                texts.push((tag, offset.ok_or(DAMAGED("a name lies outside"))?));
            }
            _ => {
                table.insert(tag, entry.d_val(image.endian).into());
            }
        }
    }
    out.text_relocations = table.contains_key(&elf::DT_TEXTREL)
        || table
            .get(&elf::DT_FLAGS)
            .is_some_and(|flags| flags & u64::from(elf::DF_TEXTREL) != 0);
    let strings = match table.get(&elf::DT_STRTAB) {
        None if texts.is_empty() => return Ok(()),
        found => found
            .and_then(|address| image.range(*address))
            .ok_or(DAMAGED("its table of names lies outside"))?,
    };
    let strings = StringTable::new(image.data, strings.0, strings.1);
    for (tag, offset) in texts {
        let bytes = strings
            .get(offset)
            .map_err(|()| DAMAGED("a name lies outside"))?;
        match tag {
            elf::DT_NEEDED => out.needed.push(image.name(bytes)?),
            elf::DT_SONAME => out.soname = Some(image.name(bytes)?),
            elf::DT_RPATH => out.rpath = image.names(bytes)?,
            _ => out.runpath = Some(image.names(bytes)?),
        }
    }
    if table.contains_key(&elf::DT_VERNEED) {
        let records = image
            .bytes(&table, elf::DT_VERNEED)
            .ok_or(DAMAGED("its table of versions lies outside"))?;
        let wanted = versions::<E, R>(image, records, &strings)?;
        let symbols = symbols::<E, R>(image, &table, &strings, &wanted);
        out.versions = wanted
            .into_iter()
            .map(|(index, need)| Need {
                symbol: symbols.get(&index).cloned(),
                ..need
            })
            .collect();
    }
    Ok(())
}

/// The versions that the loader insists on, each with the number by which symbols name it. Weak ones it does without.
fn versions<'d, E, R>(
    image: &Image<'d, E, R>,
    records: &[u8],
    strings: &StringTable<'d, R>,
) -> Result<Vec<(u16, Need)>, Damaged>
where
    E: FileHeader<Endian = Endianness>,
    R: ReadRef<'d>,
{
    let endian = image.endian;
    let outside = || DAMAGED("its table of versions lies outside");
    let text = |offset| {
        let bytes = strings.get(offset).map_err(|()| outside())?;
        image.name(bytes)
    };
    let mut out = Vec::new();
    let mut records = Some(records);
    let mut budget = MAX_RECORDS;
    while let Some(record) = records {
        let need: &Verneed<Endianness> = record.read_at(0).map_err(|()| outside())?;
        let library = text(need.vn_file.get(endian))?;
        let mut at = u64::from(need.vn_aux.get(endian));
        for _ in 0..need.vn_cnt.get(endian) {
            budget = budget.checked_sub(1).ok_or_else(outside)?;
            let aux: &Vernaux<Endianness> = record.read_at(at).map_err(|()| outside())?;
            if aux.vna_flags.get(endian) & elf::VER_FLG_WEAK == 0 && out.len() < MAX_NAMES {
                let need = Need {
                    library: image.name(library.as_bytes())?,
                    version: text(aux.vna_name.get(endian))?,
                    symbol: None,
                };
                out.push((aux.vna_other.get(endian) & elf::VERSYM_VERSION, need));
            }
            at = at
                .checked_add(u64::from(aux.vna_next.get(endian)))
                .ok_or_else(outside)?;
        }
        budget = budget.checked_sub(1).ok_or_else(outside)?;
        records = match usize::try_from(need.vn_next.get(endian)) {
            Ok(0) => None,
            Ok(next) => Some(record.get(next..).ok_or_else(outside)?),
            Err(_) => return Err(outside()),
        };
    }
    Ok(out)
}

/// For each of the versions, the first symbol that asks for it. Where the tables of symbols cannot be read, there is none:
/// the versions are what the loader looks at.
fn symbols<'d, E, R>(
    image: &Image<'d, E, R>,
    table: &HashMap<u32, u64>,
    strings: &StringTable<'d, R>,
    wanted: &[(u16, Need)],
) -> HashMap<u16, String>
where
    E: FileHeader<Endian = Endianness>,
    R: ReadRef<'d>,
{
    let mut out = HashMap::new();
    let start = |tag| table.get(&tag).and_then(|address| image.range(*address));
    let (Some(numbers), Some(symbols)) = (start(elf::DT_VERSYM), start(elf::DT_SYMTAB)) else {
        return out;
    };
    let most = numbers.1.saturating_sub(numbers.0) / 2;
    let most = most.min(symbols.1.saturating_sub(symbols.0) / size_of::<E::Sym>() as u64);
    let count = symbol_count::<E, R>(image, table).unwrap_or(most).min(most);
    let Ok(count) = usize::try_from(count) else {
        return out;
    };
    let data = image.data;
    let (Ok(numbers), Ok(symbols)) = (
        data.read_slice_at::<object::U16<Endianness>>(numbers.0, count),
        data.read_slice_at::<E::Sym>(symbols.0, count),
    ) else {
        return out;
    };
    let is_wanted = |number| wanted.iter().any(|(index, _)| *index == number);
    // Most symbols of a file ask for one of a few versions: nothing is looked up twice.
    let mut known: HashMap<u16, bool> = HashMap::new();
    for (number, symbol) in numbers.iter().zip(symbols) {
        let number = number.get(image.endian) & elf::VERSYM_VERSION;
        let open = known.entry(number).or_insert_with(|| is_wanted(number));
        if *open && let Ok(text) = symbol.name(image.endian, *strings) {
            *open = false;
            if let Ok(text) = image.name(text) {
                out.insert(number, text);
            }
        }
    }
    out
}

/// How many symbols there are: nothing but the hash tables says so.
fn symbol_count<'d, E, R>(image: &Image<'d, E, R>, table: &HashMap<u32, u64>) -> Option<u64>
where
    E: FileHeader<Endian = Endianness>,
    R: ReadRef<'d>,
{
    let at = |tag| image.bytes(table, tag);
    if let Some(bytes) = at(elf::DT_GNU_HASH)
        && let Ok(hash) = GnuHashTable::<E>::parse(image.endian, bytes)
    {
        // Without a defined symbol, those that are asked for end where the defined ones would begin.
        let length = hash.symbol_table_length(image.endian);
        return Some(length.unwrap_or(hash.symbol_base()).into());
    }
    let hash = HashTable::<E>::parse(image.endian, at(elf::DT_HASH)?).ok()?;
    Some(hash.symbol_table_length().into())
}

fn machine(number: u16) -> String {
    let known = match number {
        elf::EM_X86_64 => "x86_64",
        elf::EM_AARCH64 => "aarch64",
        elf::EM_386 => "i386",
        elf::EM_ARM => "arm",
        elf::EM_RISCV => "riscv",
        elf::EM_PPC64 => "ppc64",
        elf::EM_PPC => "ppc",
        elf::EM_S390 => "s390",
        elf::EM_MIPS => "mips",
        elf::EM_LOONGARCH => "loongarch",
        elf::EM_BPF => "bpf",
        other => return format!("machine {other}"),
    };
    known.to_owned()
}
