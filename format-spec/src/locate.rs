//! Finding the parts of a package without reading: the caller is told which bytes are needed next.

use crate::error::Error;
use crate::layout::{
    DESCRIPTOR_LEN, FORMAT_VERSION, INDEX_SIZE, MAGIC_END, MAGIC_START, RawIndex, TRAILER_LEN,
};
use crate::limits::{MAX_MEMBER, MAX_SLOTS};
use crate::range::{Range, align8, widen};

/// What [`locate`] answers.
#[derive(Debug)]
pub enum Located<'a> {
    /// Read these bytes and ask again.
    Need(Range),
    /// Everything that verification looks at.
    Found(Found<'a>),
}

/// The located parts, not yet verified: only their bounds are checked.
#[derive(Debug)]
pub struct Found<'a> {
    /// Size of the file.
    pub file_size: u64,
    /// The index as it lies in the file.
    pub index: &'a [u8; INDEX_SIZE],
    /// The metadata member.
    pub member: &'a [u8],
    /// Padding between member and slot table.
    pub padding: &'a [u8],
    /// The slot table.
    pub table: &'a [u8],
}

/// Finds index, metadata and slot table in a file of `file_size` bytes.
///
/// `trailer` are the last 8200 bytes and `head` the bytes of the second range that was needed; `None` until they have been
/// read. Two reads are enough for any package, and the second is at most 1.3 MiB.
pub fn locate<'a>(
    file_size: u64,
    trailer: Option<&'a [u8]>,
    head: Option<&'a [u8]>,
) -> Result<Located<'a>, Error> {
    let trailer_start = file_size
        .checked_sub(TRAILER_LEN)
        .ok_or(Error::TooShort { size: file_size })?;
    let Some(trailer) = trailer else {
        let range = Range::between(trailer_start, file_size);
        return range.map(Located::Need).ok_or(Error::NoTrailer);
    };
    let index = index_of(trailer)?;
    let fields = RawIndex::from_bytes(index);
    check_index(fields, file_size)?;
    let (metadata, table) = regions(fields, trailer_start)?;
    let whole = Range::between(metadata.start(), table.end()).ok_or(Error::NoTrailer)?;
    let Some(head) = head else {
        return Ok(Located::Need(whole));
    };
    let part = |range: Range| {
        let start = range.start().checked_sub(whole.start())?;
        Range::new(start, range.len())?.of(head)
    };
    let gap = Range::between(metadata.end(), table.start());
    match (part(metadata), gap.and_then(part), part(table)) {
        (Some(member), Some(padding), Some(table)) if widen(head.len()) == whole.len() => {
            Ok(Located::Found(Found {
                file_size,
                index,
                member,
                padding,
                table,
            }))
        }
        _ => Ok(Located::Need(whole)),
    }
}

/// The index between the magic values.
fn index_of(trailer: &[u8]) -> Result<&[u8; INDEX_SIZE], Error> {
    trailer
        .strip_prefix(&MAGIC_START)
        .and_then(|rest| rest.strip_suffix(&MAGIC_END))
        .and_then(|index| index.try_into().ok())
        .ok_or(Error::NoTrailer)
}

fn check_index(index: &RawIndex, file_size: u64) -> Result<(), Error> {
    let version = index.format_version.get();
    if version != FORMAT_VERSION {
        return Err(Error::Version { found: version });
    }
    let (recorded, computed) = (index.index_checksum.get(), index.checksum());
    if recorded != computed {
        return Err(Error::IndexChecksum { recorded, computed });
    }
    let recorded = index.package_size.get();
    if recorded != file_size {
        return Err(Error::PackageSize {
            recorded,
            size: file_size,
        });
    }
    Ok(())
}

/// Metadata member and slot table, as far as their sizes are possible and they lie one behind the other.
fn regions(index: &RawIndex, trailer_start: u64) -> Result<(Range, Range), Error> {
    let region = |region, offset, size, allowed: bool| {
        Range::new(offset, size)
            .filter(|range| allowed && range.fits(trailer_start))
            .ok_or(Error::Region {
                region,
                offset,
                size,
            })
    };
    let (offset, size) = (index.metadata_offset.get(), index.metadata_size.get());
    let metadata = region("metadata", offset, size, size <= MAX_MEMBER)?;
    let (offset, size) = (index.slot_table_offset.get(), index.slot_table_size.get());
    let count = u64::from(index.slot_count.get());
    let allowed = count <= widen(MAX_SLOTS)
        && count.checked_mul(DESCRIPTOR_LEN) == Some(size)
        && align8(metadata.end()) == Some(offset);
    let table = region("slot table", offset, size, allowed)?;
    Ok((metadata, table))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::{place, trailer};
    use crate::metadata::tests::example;

    fn need(located: Result<Located<'_>, Error>) -> (u64, u64) {
        match located {
            Ok(Located::Need(range)) => (range.start(), range.end()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn two_reads() {
        let (_, head) = place(example()).unwrap_or_else(|e| panic!("{e}"));
        let size = head.layout.package_size();
        let trailer = head.trailer(None);
        assert_eq!(need(locate(size, None, None)), (size - 8200, size));
        let second = (head.layout.metadata.start(), head.layout.table.end());
        assert_eq!(need(locate(size, Some(&trailer), None)), second);
        assert_eq!(need(locate(size, Some(&trailer), Some(b"short"))), second);
        match locate(size, Some(&trailer), Some(&head.bytes)) {
            Ok(Located::Found(found)) => assert_eq!(found.table.len(), 128),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn impossible_regions() {
        let (_, head) = place(example()).unwrap_or_else(|e| panic!("{e}"));
        let size = head.layout.package_size();
        let good = head.trailer(None);
        for field in [24_usize, 32, 40, 48] {
            for value in [0_u64, 1, size, size + 1, 1 << 40, 1 << 63, u64::MAX] {
                let mut index: [u8; INDEX_SIZE] =
                    good[4..8196].try_into().unwrap_or([0; INDEX_SIZE]);
                index[field..field + 8].copy_from_slice(&value.to_le_bytes());
                let mut index = RawIndex::from_bytes(&index).clone();
                index.index_checksum = index.checksum().into();
                match locate(size, Some(&trailer(&index)), None) {
                    Err(Error::Region { .. }) | Ok(Located::Need(_)) => {}
                    other => panic!("{field} {value}: {other:?}"),
                }
            }
        }
        for short in [0, 1, 8199] {
            assert!(matches!(
                locate(short, None, None),
                Err(Error::TooShort { .. })
            ));
        }
        assert_eq!(need(locate(8200, None, None)), (0, 8200));
        assert!(matches!(
            locate(8200, Some(&[0; 8200]), None),
            Err(Error::NoTrailer)
        ));
    }
}
