//! A tar writer for the profile of SPEC.md, 4.5, entry by entry, with every byte of a header open to change.
//!
//! | off | size | field | | off | size | field |
//! |---|---|---|---|---|---|---|
//! | 0 | 100 | name | | 156 | 1 | type |
//! | 100 | 8 | mode | | 157 | 100 | linkname |
//! | 108 | 8 | uid | | 257 | 8 | magic, version |
//! | 116 | 8 | gid | | 265 | 64 | uname, gname |
//! | 124 | 12 | size | | 329 | 16 | devmajor, devminor |
//! | 136 | 12 | mtime | | 345 | 155 | prefix |
//! | 148 | 8 | chksum | | 500 | 12 | zeros |

/// Size of a header and unit of everything.
pub const BLOCK: usize = 512;
/// `size` beyond which a PAX record is needed: what eleven octal digits hold.
pub const SIZE_MAX: u64 = (8 << 30) - 1;

/// One entry before it is encoded.
#[derive(Clone)]
pub struct Entry {
    /// Path, for directories without the final `/`.
    pub path: Vec<u8>,
    /// `0`, `1`, `2` or `5` in the profile.
    pub kind: u8,
    /// Permission bits.
    pub mode: u64,
    /// Seconds since 1970.
    pub mtime: u64,
    /// Target of a link.
    pub link: Vec<u8>,
    /// Bytes of a file.
    pub content: Vec<u8>,
}

impl Entry {
    fn new(path: impl AsRef<[u8]>, kind: u8, mode: u64) -> Entry {
        let path = path.as_ref().to_vec();
        Entry {
            path,
            kind,
            mode,
            mtime: 0,
            link: Vec::new(),
            content: Vec::new(),
        }
    }

    /// A directory with mode 0755.
    pub fn directory(path: impl AsRef<[u8]>) -> Entry {
        Entry::new(path, b'5', 0o755)
    }

    /// A file with mode 0644.
    pub fn file(path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Entry {
        Entry {
            content: content.as_ref().to_vec(),
            ..Entry::new(path, b'0', 0o644)
        }
    }

    /// A symbolic link.
    pub fn symlink(path: impl AsRef<[u8]>, link: impl AsRef<[u8]>) -> Entry {
        Entry {
            link: link.as_ref().to_vec(),
            ..Entry::new(path, b'2', 0o777)
        }
    }

    /// A hard link; `link` is the full path of an earlier file.
    pub fn hard_link(path: impl AsRef<[u8]>, link: impl AsRef<[u8]>) -> Entry {
        Entry {
            link: link.as_ref().to_vec(),
            ..Entry::new(path, b'1', 0)
        }
    }

    /// The path as it stands in a header.
    pub fn written_path(&self) -> Vec<u8> {
        let mut path = self.path.clone();
        if self.kind == b'5' {
            path.push(b'/');
        }
        path
    }

    /// The PAX records that this entry needs (M53).
    pub fn records(&self) -> Vec<u8> {
        let mut records = Vec::new();
        if self.link.len() > 100 {
            records.extend(record(b"linkpath", &self.link));
        }
        let path = self.written_path();
        if path.len() > 100 {
            records.extend(record(b"path", &path));
        }
        records
    }

    /// The header, checksum included.
    pub fn header(&self) -> [u8; BLOCK] {
        header(
            &self.written_path(),
            self.kind,
            self.mode,
            self.content.len(),
            self.mtime,
            &self.link,
        )
    }
}

/// A PAX record: its length, which counts itself, then `key=value` and a newline. Where two lengths fit, the shorter.
pub fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let size = (rest + 1..)
        .find(|size| size.to_string().len() + rest == *size)
        .expect("a length fits");
    record_sized(size, key, value)
}

/// A PAX record that claims the given length.
pub fn record_sized(size: usize, key: &[u8], value: &[u8]) -> Vec<u8> {
    [size.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

/// A ustar header (M52).
pub fn header(
    path: &[u8],
    kind: u8,
    mode: u64,
    size: usize,
    mtime: u64,
    link: &[u8],
) -> [u8; BLOCK] {
    let mut bytes = [0; BLOCK];
    put(&mut bytes, 0, &path[..path.len().min(100)]);
    put(&mut bytes, 100, format!("{mode:07o}").as_bytes());
    put(&mut bytes, 108, b"0000000");
    put(&mut bytes, 116, b"0000000");
    put(&mut bytes, 124, format!("{size:011o}").as_bytes());
    put(&mut bytes, 136, format!("{mtime:011o}").as_bytes());
    bytes[156] = kind;
    put(&mut bytes, 157, &link[..link.len().min(100)]);
    put(&mut bytes, 257, b"ustar\x0000");
    checksum(&mut bytes);
    bytes
}

/// Writes `chksum` anew: the sum of the header's bytes with the field read as spaces.
pub fn checksum(bytes: &mut [u8; BLOCK]) {
    put(bytes, 148, b"        ");
    let sum: u32 = bytes.iter().map(|byte| u32::from(*byte)).sum();
    put(bytes, 148, format!("{sum:06o}\0 ").as_bytes());
}

/// Writes bytes at an offset of a header.
pub fn put(bytes: &mut [u8; BLOCK], offset: usize, value: &[u8]) {
    bytes[offset..offset + value.len()].copy_from_slice(value);
}

/// A stream in the making, with the places where a run of frames may begin.
#[derive(Clone, Default)]
pub struct Tar {
    bytes: Vec<u8>,
    boundaries: Vec<usize>,
}

impl Tar {
    /// An empty stream.
    pub fn new() -> Tar {
        Tar::default()
    }

    /// Adds an entry as the profile says, with a PAX header where it needs one.
    pub fn entry(self, entry: &Entry) -> Tar {
        self.entry_with(entry, |_| ())
    }

    /// Adds an entry whose header is edited; its checksum is computed after that.
    pub fn entry_with(self, entry: &Entry, edit: impl FnOnce(&mut [u8; BLOCK])) -> Tar {
        let mut header = entry.header();
        edit(&mut header);
        checksum(&mut header);
        self.raw(&entry.records(), &header, &entry.content)
    }

    /// Adds an entry from its PAX records (none when empty), its header and its content, padded with zeros.
    pub fn raw(mut self, records: &[u8], header: &[u8; BLOCK], content: &[u8]) -> Tar {
        self.boundaries.push(self.bytes.len());
        if !records.is_empty() {
            self = self
                .block(&self::header(
                    b"././@PaxHeader",
                    b'x',
                    0o644,
                    records.len(),
                    0,
                    b"",
                ))
                .padded(records);
        }
        self.block(header).padded(content)
    }

    /// Adds bytes as they are; no boundary.
    pub fn block(mut self, bytes: &[u8]) -> Tar {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Adds content and zeros up to a multiple of 512.
    pub fn padded(mut self, content: &[u8]) -> Tar {
        self.bytes.extend_from_slice(content);
        self.bytes
            .resize(self.bytes.len().next_multiple_of(BLOCK), 0);
        self
    }

    /// Where the entries begin.
    pub fn boundaries(&self) -> &[usize] {
        &self.boundaries
    }

    /// The stream with its end: 1024 zeros.
    pub fn end(self) -> Vec<u8> {
        self.block(&[0; 1024]).open()
    }

    /// The stream without an end.
    pub fn open(self) -> Vec<u8> {
        self.bytes
    }
}

/// The stream of some entries.
pub fn stream(entries: &[Entry]) -> Vec<u8> {
    entries
        .iter()
        .fold(Tar::new(), |tar, entry| tar.entry(entry))
        .end()
}
