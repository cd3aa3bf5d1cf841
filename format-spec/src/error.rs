//! The one error type: what is wrong, where, what was expected and what was found.
//!
//! `Display` gives one line of fact. Remedies belong to whoever talks to a person; they match on the variant.

use crate::text::Shown;
use core::fmt;

use crate::frames::FrameFault;
use crate::limits::MAX_SIGNED_BY;
use crate::path::PathFault;
use crate::tar::TarFault;

/// The layers of verification, in the order in which they are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// Trailer, sizes, index checksum, and the member around the metadata.
    Container,
    /// The key and the signature over the metadata.
    Signature,
    /// Metadata, index, slot table and padding against each other.
    Layout,
    /// The launcher against its signed digest.
    Launcher,
    /// The stored bytes of a slot against their signed digest.
    Slot,
    /// What a slot's bytes decode to.
    Contents,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Layer::Container => "container",
            Layer::Signature => "signature",
            Layer::Layout => "layout",
            Layer::Launcher => "launcher",
            Layer::Slot => "slot",
            Layer::Contents => "contents",
        })
    }
}

/// Why bytes are not a strict package. Offsets and sizes are bytes from the start of the file unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The file is too short to hold a trailer.
    TooShort {
        /// Size of the file.
        size: u64,
    },
    /// The last 8200 bytes are not a trailer (M1).
    NoTrailer,
    /// The file ends before the package does: an interrupted download.
    Truncated {
        /// Size of the file.
        size: u64,
        /// Size that its own metadata implies.
        expected: u64,
    },
    /// The file ends so early that it does not say how long it should be: an interrupted download.
    CutShort {
        /// Size of the file.
        size: u64,
        /// What it ends in.
        part: &'static str,
    },
    /// Something follows the package.
    Appended {
        /// Size of the file.
        size: u64,
        /// Size that its own metadata implies.
        expected: u64,
    },
    /// The launcher is there and the package data behind it is gone.
    DataRemoved {
        /// The tool that leaves such a file, where it can be told.
        tool: &'static str,
    },
    /// The index is of another format version.
    Version {
        /// Version found.
        found: u32,
    },
    /// Adler-32 of the index (field `index_checksum`).
    IndexChecksum {
        /// Recorded checksum.
        recorded: u32,
        /// Checksum of the bytes.
        computed: u32,
    },
    /// `package_size` is not the size of the file (M4).
    PackageSize {
        /// Recorded size.
        recorded: u64,
        /// Size of the file.
        size: u64,
    },
    /// A region lies where it cannot be.
    Region {
        /// Name of the region.
        region: &'static str,
        /// Recorded offset.
        offset: u64,
        /// Recorded size.
        size: u64,
    },
    /// The metadata is not in the one allowed gzip member (M20).
    Member {
        /// Offset in the member of the first byte that differs.
        at: u64,
        /// What that byte belongs to.
        part: &'static str,
    },
    /// SHA-256 of the member is not `metadata_checksum`.
    MemberDigest,
    /// Key and signature are all zero: the package was never signed.
    Unsigned,
    /// The public key may not be used (M22).
    Key(KeyFault),
    /// The signature does not match the metadata (M22).
    Signature,
    /// Bytes 64..512 of the signature field are not zero.
    SignatureField {
        /// Offset in the field of the first such byte.
        at: u64,
    },
    /// There are more signed-by records than there can be (M11).
    SignedByCount {
        /// How many the index records.
        found: u32,
    },
    /// A signature beside the first one is refused (M12, M13).
    SignedBy {
        /// Position of the record, from 0.
        record: usize,
        /// Why.
        fault: SignedByFault,
    },
    /// The metadata is not the JSON document of section 3.1.
    Json {
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// The parser's words.
        detail: String,
    },
    /// The metadata is not canonical JSON (M23).
    NotCanonical {
        /// Offset in the text of the first byte that differs.
        at: u64,
    },
    /// A value of the metadata is outside its rule.
    Value {
        /// Where, as a JSON path.
        path: String,
        /// The rule.
        problem: String,
    },
    /// A field of the index is not what the metadata implies (M10).
    IndexField {
        /// Name of the field in SPEC.md.
        field: &'static str,
        /// Its offset in the file.
        at: u64,
    },
    /// A field of a slot descriptor is not what the signed record implies (M30).
    SlotField {
        /// Position in the table, from 0.
        slot: usize,
        /// Name of the field in SPEC.md.
        field: &'static str,
    },
    /// A padding byte is not zero (M3).
    Padding {
        /// Offset of the first such byte.
        at: u64,
    },
    /// The launcher is not the signed one.
    LauncherDigest,
    /// The stored bytes of a slot are not the signed ones (M31).
    SlotDigest {
        /// Id of the slot.
        slot: String,
    },
    /// The content of a slot breaks the tar profile (M50-M59).
    Tar {
        /// Id of the slot.
        slot: String,
        /// Offset in the tar stream.
        at: u64,
        /// What is wrong.
        fault: TarFault,
    },
    /// The frames of a slot break M60-M63.
    Frames {
        /// Id of the slot.
        slot: String,
        /// What is wrong.
        fault: FrameFault,
    },
    /// A slot's content decodes to another size than the signed one.
    OriginalSize {
        /// Id of the slot.
        slot: String,
        /// Signed size.
        signed: u64,
        /// Size found; for content that is too long, the point at which reading stopped.
        found: u64,
    },
}

/// Why a public key is refused (M22).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyFault {
    /// The bytes are no point of the curve.
    NotAPoint,
    /// The point is written in a second, non-canonical way.
    NonCanonical,
    /// The point has small order: anyone can sign for it.
    SmallOrder,
    /// The point has a component of small order.
    MixedOrder,
}

/// Why a signed-by record is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignedByFault {
    /// Its key is the first signer's (M12).
    FirstSigner,
    /// Its key does not come behind the one of the record before (M12).
    Order,
    /// Its key may not be used (M13).
    Key(KeyFault),
    /// Its signature does not match the metadata (M13).
    Signature,
}

impl Error {
    /// A value of the metadata that is outside its rule.
    pub fn value(path: impl Into<String>, problem: impl Into<String>) -> Error {
        Error::Value {
            path: path.into(),
            problem: problem.into(),
        }
    }

    /// A path of the metadata that breaks M40.
    pub fn path(path: impl Into<String>, fault: PathFault) -> Error {
        Error::Value {
            path: path.into(),
            problem: format!("not a slot path: {fault}"),
        }
    }

    /// The layer at which verification stopped.
    pub fn layer(&self) -> Layer {
        match self {
            Error::TooShort { .. }
            | Error::NoTrailer
            | Error::Truncated { .. }
            | Error::CutShort { .. }
            | Error::Appended { .. }
            | Error::DataRemoved { .. }
            | Error::Version { .. }
            | Error::IndexChecksum { .. }
            | Error::PackageSize { .. }
            | Error::Region { .. }
            | Error::Member { .. }
            | Error::MemberDigest => Layer::Container,
            Error::Unsigned
            | Error::Key(_)
            | Error::Signature
            | Error::SignatureField { .. }
            | Error::SignedByCount { .. }
            | Error::SignedBy { .. } => Layer::Signature,
            Error::Json { .. }
            | Error::NotCanonical { .. }
            | Error::Value { .. }
            | Error::IndexField { .. }
            | Error::SlotField { .. }
            | Error::Padding { .. } => Layer::Layout,
            Error::LauncherDigest => Layer::Launcher,
            Error::SlotDigest { .. } => Layer::Slot,
            Error::Tar { .. } | Error::Frames { .. } | Error::OriginalSize { .. } => {
                Layer::Contents
            }
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::TooShort { size } => {
                write!(f, "not a package: {size} bytes, a trailer alone has 8200")
            }
            Error::NoTrailer => {
                f.write_str("no package data: the file does not end with a trailer")
            }
            Error::Truncated { size, expected } => {
                write!(f, "truncated: {size} of {expected} bytes")
            }
            Error::CutShort { size, part } => {
                write!(
                    f,
                    "truncated: the file ends after {size} bytes, in its {part}"
                )
            }
            Error::Appended { size, expected } => write!(
                f,
                "{} {} the end of the package (at {expected} of {size})",
                size.saturating_sub(*expected),
                if size.saturating_sub(*expected) == 1 {
                    "byte follows"
                } else {
                    "bytes follow"
                }
            ),
            Error::DataRemoved { tool } => write!(
                f,
                "no package data: the file was changed after it was built ({tool})"
            ),
            Error::Version { found } => {
                write!(
                    f,
                    "format version {found:#010x}, this reader knows 0x20250001"
                )
            }
            Error::IndexChecksum { recorded, computed } => write!(
                f,
                "index checksum {recorded:#010x} recorded, {computed:#010x} computed"
            ),
            Error::PackageSize { recorded, size } => {
                write!(f, "index records {recorded} bytes, the file has {size}")
            }
            Error::Region {
                region,
                offset,
                size,
            } => {
                write!(f, "{region} of {size} bytes cannot lie at offset {offset}")
            }
            Error::Member { at, part } => {
                write!(
                    f,
                    "metadata member differs from the strict form at byte {at} ({part})"
                )
            }
            Error::MemberDigest => {
                f.write_str("metadata does not match metadata_checksum in the index")
            }
            Error::Unsigned => f.write_str("the package is not signed"),
            Error::Key(fault) => write!(f, "public key refused: {fault}"),
            Error::Signature => f.write_str("the signature does not match the metadata"),
            Error::SignatureField { at } => {
                write!(f, "byte {at} of the signature field is not zero")
            }
            Error::SignedByCount { found } => {
                write!(f, "{found} signed-by records, there can be {MAX_SIGNED_BY}")
            }
            Error::SignedBy { record, fault } => {
                write!(f, "signed-by record {record}: {fault}")
            }
            Error::Json {
                line,
                column,
                detail,
            } => {
                write!(
                    f,
                    "metadata, line {line}, column {column}: {}",
                    Shown(detail.as_bytes())
                )
            }
            Error::NotCanonical { at } => write!(f, "metadata is not canonical JSON at byte {at}"),
            Error::Value { path, problem } => {
                write!(
                    f,
                    "metadata, {}: {}",
                    Shown(path.as_bytes()),
                    Shown(problem.as_bytes())
                )
            }
            Error::IndexField { field, at } => {
                write!(
                    f,
                    "index field {field} (offset {at}) is not what the signed metadata implies"
                )
            }
            Error::SlotField { slot, field } => write!(
                f,
                "slot table, entry {slot}: {field} is not what the signed metadata implies"
            ),
            Error::Padding { at } => write!(f, "padding at offset {at} is not zero"),
            Error::LauncherDigest => f.write_str("the launcher does not match its signed checksum"),
            Error::SlotDigest { slot } => {
                write!(
                    f,
                    "slot {}: stored bytes do not match their signed checksum",
                    Shown(slot.as_bytes())
                )
            }
            Error::Tar { slot, at, fault } => {
                write!(
                    f,
                    "slot {}: archive, offset {at}: {fault}",
                    Shown(slot.as_bytes())
                )
            }
            Error::Frames { slot, fault } => write!(f, "slot {}: {fault}", Shown(slot.as_bytes())),
            Error::OriginalSize {
                slot,
                signed,
                found,
            } => write!(
                f,
                "slot {}: {signed} bytes of content signed, {found} found",
                Shown(slot.as_bytes())
            ),
        }
    }
}

impl fmt::Display for SignedByFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignedByFault::FirstSigner => f.write_str("its key is the first signer's"),
            SignedByFault::Order => f.write_str("its key does not come behind the one before"),
            SignedByFault::Key(fault) => write!(f, "public key refused: {fault}"),
            SignedByFault::Signature => f.write_str("the signature does not match the metadata"),
        }
    }
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeyFault::NotAPoint => "not a point of the curve",
            KeyFault::NonCanonical => "not a canonical encoding",
            KeyFault::SmallOrder => "of small order",
            KeyFault::MixedOrder => "of mixed order",
        })
    }
}
