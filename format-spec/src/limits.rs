//! Every cap of the format, with its reason. SPEC.md states the same numbers.

/// Most bytes of metadata text (M21). The Rust launcher of flavorpack stops at the same size.
pub const MAX_METADATA: usize = 1 << 20;

/// Most bytes of the gzip member around the metadata: 17 blocks of at most 65535 bytes, each with a 5-byte header,
/// and 18 bytes of gzip header and trailer.
pub const MAX_MEMBER: u64 = 1_048_576 + 17 * 5 + 18;

/// Most slots (M33). Far above what a package needs; keeps the slot table at 256 KiB.
pub const MAX_SLOTS: usize = 4096;

/// Most signatures beside the first one (M11). Each is verified at every start, which takes about 0.13 ms.
pub const MAX_SIGNED_BY: usize = 16;

/// Longest name of a slot, command or package, in bytes.
pub const MAX_NAME: usize = 64;

/// Longest path in a package, in bytes (M40): `PATH_MAX` without its NUL.
pub const MAX_PATH: usize = 4095;

/// Longest path component, in bytes (M40): `NAME_MAX` of the common file systems.
pub const MAX_COMPONENT: usize = 255;

/// Deepest path (M40). Bounds the open directory handles of an extraction.
pub const MAX_DEPTH: usize = 128;

/// Most entries of one slot (M59). Bounds what a reader keeps in memory about names.
pub const MAX_ENTRIES: u64 = 1 << 22;

/// Content of a full frame in bytes, and the most that any frame holds (M61).
pub const FULL_FRAME: u64 = 16 << 20;

/// Most frames of one slot (M60): a seek table of 2 MiB.
pub const MAX_FRAMES: u64 = 1 << 18;

/// Binary logarithm of the largest decoder window (M63): 8 MiB for each frame that is decoded at once.
pub const MAX_WINDOW_LOG: u32 = 23;
