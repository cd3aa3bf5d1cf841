//! Compiled Python files, kept valid when times are normalised.
//!
//! A `.pyc` usually records the modification time and size of its source, and the interpreter compiles anew when they
//! differ (PEP 552). Every source gets a new time here, so every such file would be stale: a slow first import, and
//! another one at each start where the cache cannot be written. Those that were valid in the source tree are therefore
//! given the other header that PEP 552 knows, "unchecked, by hash of the source", which asks for no comparison. It has
//! the same length, so the list of entries need not wait for it: the header is looked at when the file is read.
//!
//! Files that were stale already, that belong to an interpreter older than 3.7, or whose source is a symbolic link
//! stay as they are. So do those of PyPy and of pytest, which have headers of their own.

use std::hash::Hasher;
use std::io::{self, Cursor, Read};
use std::sync::Arc;

use siphasher::sip::{SipHasher13, SipHasher24};

use super::content::Content;
use super::draft::{Body, Draft};
use super::error::InputError;
use super::names;

/// Bytes of the header: magic number, flags, and either time and size or the hash of the source.
const HEADER: usize = 16;
/// The first magic number with the header of PEP 552 (Python 3.7).
const FIRST_WITH_FLAGS: u16 = 3392;
/// The first magic number that Python 3.11 had; since then the source hash is SipHash-1-3, before it SipHash-2-4.
const FIRST_WITH_SIPHASH13: u16 = 3450;
/// Flags: validated by hash, and not to be compared with the source.
const UNCHECKED_HASH: u32 = 0b01;

/// A `.pyc` together with the source that it was compiled from.
#[derive(Debug)]
pub(super) struct Bytecode {
    compiled: Content,
    source: Content,
    /// As the header would record them: the low 32 bits of Unix seconds and of bytes.
    source_mtime: u32,
    source_size: u32,
}

/// Pairs each compiled file of the tree with its source.
pub(super) fn keep_valid(draft: &mut Draft) {
    let pairs: Vec<(Vec<u8>, Bytecode)> = draft
        .iter()
        .filter_map(|(path, _)| Some((path.to_vec(), pair(draft, path)?)))
        .collect();
    for (path, bytecode) in pairs {
        if let Some(Body::File { content, .. }) = draft.get_mut(&path).map(|node| &mut node.body) {
            *content = Content::bytecode(bytecode);
        }
    }
}

fn pair(draft: &Draft, path: &[u8]) -> Option<Bytecode> {
    let source = draft.get(&source_path(path)?)?;
    let Body::File {
        content: compiled, ..
    } = &draft.get(path)?.body
    else {
        return None;
    };
    let Body::File { content, size, .. } = &source.body else {
        return None;
    };
    Some(Bytecode {
        compiled: compiled.clone(),
        source: content.clone(),
        source_mtime: low_bits(source.mtime as u64),
        source_size: low_bits(*size),
    })
}

/// `p/NAME.py` for `p/__pycache__/NAME.cpython-XY.pyc` and `p/__pycache__/NAME.cpython-XY.opt-N.pyc` (PEP 3147, 488).
fn source_path(compiled: &[u8]) -> Option<Vec<u8>> {
    let directory = names::parent(compiled)?;
    let file = compiled.get(directory.len() + 1..)?.strip_suffix(b".pyc")?;
    let (stem, tag) = split_at_last_dot(file)?;
    let (stem, tag) = match tag.strip_prefix(b"opt-") {
        Some(_) => split_at_last_dot(stem)?,
        None => (stem, tag),
    };
    // 313t is the interpreter without a global lock.
    let version = tag.strip_prefix(b"cpython-")?;
    let digits = version.strip_suffix(b"t").unwrap_or(version);
    if stem.is_empty() || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let package = match names::parent(directory) {
        Some(package) if directory.ends_with(b"/__pycache__") => package,
        None if directory == b"__pycache__" => b"",
        _ => return None,
    };
    Some(names::join(package, &[stem, b".py"].concat()))
}

fn split_at_last_dot(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let dot = name.iter().rposition(|byte| *byte == b'.')?;
    Some((name.get(..dot)?, name.get(dot + 1..)?))
}

fn low_bits(number: u64) -> u32 {
    let [a, b, c, d, ..] = number.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

impl Bytecode {
    /// The compiled file, with another header where its own was valid.
    pub(super) fn open(self: &Arc<Self>) -> Result<Box<dyn Read + Send>, InputError> {
        let compiled = self.compiled.open()?;
        Ok(Box::new(Reader {
            bytecode: self.clone(),
            compiled,
            header: None,
        }))
    }

    /// The header that the file gets: its own, unless that was valid.
    fn new_header(&self, header: Vec<u8>) -> io::Result<Vec<u8>> {
        match <&[u8; HEADER]>::try_from(header.as_slice()) {
            Ok(found) if self.is_valid(found) => {
                let source = self.source.open().map_err(io::Error::other)?;
                hash_header(word(found, 0), source)
            }
            _ => Ok(header),
        }
    }

    /// Whether an interpreter would have taken the file without compiling its source.
    fn is_valid(&self, header: &[u8; HEADER]) -> bool {
        let [low, high, b'\r', b'\n', ..] = *header else {
            return false;
        };
        u16::from_le_bytes([low, high]) >= FIRST_WITH_FLAGS
            && word(header, 4) == 0
            && word(header, 8) == self.source_mtime
            && word(header, 12) == self.source_size
    }
}

/// The header that names `source` by its hash and asks for no comparison.
fn hash_header(magic: u32, source: impl Read) -> io::Result<Vec<u8>> {
    let hash = source_hash(magic, source)?;
    Ok([
        &magic.to_le_bytes()[..],
        &UNCHECKED_HASH.to_le_bytes(),
        &hash,
    ]
    .concat())
}

/// What `importlib.util.source_hash` gives in the interpreter with this magic number.
fn source_hash(magic: u32, mut source: impl Read) -> io::Result<[u8; 8]> {
    let [low, high, ..] = magic.to_le_bytes();
    let key = u64::from(magic);
    let mut hasher: Box<dyn Hasher> = match u16::from_le_bytes([low, high]) {
        ..FIRST_WITH_SIPHASH13 => Box::new(SipHasher24::new_with_keys(key, 0)),
        _ => Box::new(SipHasher13::new_with_keys(key, 0)),
    };
    let mut buffer = [0; 16 * 1024];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish().to_le_bytes()),
            Ok(count) => hasher.write(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn word(header: &[u8; HEADER], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&header[at..at + 4]);
    u32::from_le_bytes(word)
}

/// Decides about the header at the first read, so that opening costs nothing and failures name the file they are of.
struct Reader {
    bytecode: Arc<Bytecode>,
    compiled: Box<dyn Read + Send>,
    header: Option<Cursor<Vec<u8>>>,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let header = match &mut self.header {
            Some(header) => header,
            None => {
                let mut found = Vec::with_capacity(HEADER);
                self.compiled
                    .by_ref()
                    .take(HEADER as u64)
                    .read_to_end(&mut found)?;
                self.header
                    .insert(Cursor::new(self.bytecode.new_header(found)?))
            }
        };
        match header.read(buffer)? {
            0 => self.compiled.read(buffer),
            count => Ok(count),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn source_hashes_are_those_of_the_interpreters() {
        // importlib.util.source_hash of b"print(1)\n", b"" and bytes(range(256)) * 5.
        let cases = [
            (
                3394_u16,
                0x6d8a_2a3c_3b0a_84c0,
                0x85ee_0caa_bd83_b6a7,
                0x1778_945d_5b11_8c51_u64,
            ), // 3.7.16
            (
                3413,
                0x9bf7_1dec_b71d_db20,
                0x81e4_881b_3643_e8e9,
                0xcf8a_70e3_80c8_d364,
            ), // 3.8.18
            (
                3425,
                0x662d_17ea_d51f_cafc,
                0xac0b_b7c8_3e5b_1c5f,
                0x9a60_fcb8_5b40_fdd3,
            ), // 3.9.18
            (
                3439,
                0x2876_5e52_ed78_2214,
                0x8cc0_cd25_25e7_fd27,
                0xce12_4729_3fbf_4d04,
            ), // 3.10.13
            (
                3495,
                0xda81_2d7f_407a_3059,
                0x738d_9cd5_d5e8_7f73,
                0xc9e5_7318_9daa_009a,
            ), // 3.11.7
            (
                3531,
                0xbf71_f361_a5f8_cd69,
                0xbaf1_8eed_c938_7a25,
                0x8109_d506_1012_c75a,
            ), // 3.12.1
            (
                3571,
                0x5a90_791f_83be_4635,
                0x27ec_6d31_2f93_b814,
                0x6707_3824_8198_7754,
            ), // 3.13.0
        ];
        let long: Vec<u8> = (0..=255).cycle().take(1280).collect();
        for (number, print, empty, bytes) in cases {
            let magic = u32::from(number) | u32::from_le_bytes(*b"\0\0\r\n");
            let hash = |source: &[u8]| u64::from_be_bytes(source_hash(magic, source).unwrap());
            assert_eq!(hash(b"print(1)\n"), print, "{number}");
            assert_eq!(hash(b""), empty, "{number}");
            assert_eq!(hash(&long), bytes, "{number}");
        }
    }

    #[test]
    fn compiled_files_lead_to_their_sources() {
        for (compiled, source) in [
            ("__pycache__/m.cpython-311.pyc", Some("m.py")),
            ("a/b/__pycache__/m.cpython-37.pyc", Some("a/b/m.py")),
            ("a/__pycache__/m.cpython-312.opt-1.pyc", Some("a/m.py")),
            ("a/__pycache__/m.cpython-314t.opt-2.pyc", Some("a/m.py")),
            ("a/__pycache__/m.n.cpython-313.pyc", Some("a/m.n.py")),
            ("a/__pycache__/m.pypy39.pyc", None),
            ("a/__pycache__/test_m.cpython-311-pytest-7.4.0.pyc", None),
            ("a/x__pycache__/m.cpython-311.pyc", None),
            ("a/__pycache__/.cpython-311.pyc", None),
            ("a/__pycache__/m.cpython-.pyc", None),
            ("a/m.cpython-311.pyc", None),
            ("m.pyc", None),
        ] {
            let source = source.map(|source| source.as_bytes().to_vec());
            assert_eq!(source_path(compiled.as_bytes()), source, "{compiled}");
        }
    }

    /// A compiled file of Python 3.11 for a source of 9 bytes, as read after [`Bytecode`] has seen it.
    fn reread(header: [u32; 4], source_mtime: u32) -> Vec<u8> {
        let header = header.map(u32::to_le_bytes).concat();
        let bytecode = Arc::new(Bytecode {
            compiled: Content::bytes([&header[..], b"code"].concat()),
            source: Content::bytes(*b"print(1)\n"),
            source_mtime,
            source_size: 9,
        });
        let mut read = Vec::new();
        bytecode.open().unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(&read[16..], b"code");
        read
    }

    #[test]
    fn only_a_valid_header_is_replaced() {
        const MAGIC: u32 = 0x0a0d_0da7;
        let replaced = reread([MAGIC, 0, 77, 9], 77);
        assert_eq!(replaced[..8], [0xa7, 0x0d, 0x0d, 0x0a, 1, 0, 0, 0]);
        assert_eq!(replaced[8..16], 0xda81_2d7f_407a_3059_u64.to_be_bytes());

        for kept in [
            [MAGIC, 0, 76, 9],       // another time
            [MAGIC, 0, 77, 8],       // another size
            [MAGIC, 1, 77, 9],       // validated by hash already
            [MAGIC, 3, 77, 9],       // the same, and compared
            [0x0a0d_0d3f, 0, 77, 9], // magic number 3391, before PEP 552
            [0x0a0a_0da7, 0, 77, 9], // no magic number at all
        ] {
            assert_eq!(
                reread(kept, 77)[..16],
                kept.map(u32::to_le_bytes).concat()[..]
            );
        }
    }

    #[test]
    fn a_file_shorter_than_a_header_is_left_alone() {
        let bytecode = Arc::new(Bytecode {
            compiled: Content::bytes(*b"short"),
            source: Content::bytes(*b""),
            source_mtime: 0,
            source_size: 0,
        });
        let mut read = Vec::new();
        bytecode.open().unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, b"short");
    }
}
