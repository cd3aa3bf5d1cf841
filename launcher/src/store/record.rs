//! The ready record: the file whose presence says that a work environment is complete.
//!
//! Lines of a key, a space and a value; the first three are what a warm start looks at. No value holds a line break: the
//! format restricts names and versions, and the rest is digits.

use psp_format::VerifiedPackage;
use psp_format::digest::Digest;

const FIRST: &[u8] = b"flavor 1\nboot ";
/// In front of the time when it was written.
const MADE: &[u8] = b"\nmade ";
/// The boot of a record that was written after everything had reached the disk: it outlives reboots.
const ANY_BOOT: &[u8] = b"any";
/// Bytes that hold the first three lines of any record.
pub(crate) const HEAD_SIZE: usize = 128;

/// Which boot of the machine this is. Extracted files are not flushed to disk one by one, which would take longer than to
/// extract them; so after a reboot they are looked at again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootId {
    bytes: [u8; 36],
    len: usize,
}

impl BootId {
    /// The current boot. Where the kernel does not tell, all boots count as one.
    pub fn read() -> BootId {
        let mut boot = BootId {
            bytes: [0; 36],
            len: 0,
        };
        let path = b"/proc/sys/kernel/random/boot_id";
        let Ok(file) = crate::at::open_file(rustix::fs::CWD, path) else {
            return boot;
        };
        boot.len = rustix::io::read(&file, &mut boot.bytes).unwrap_or(0);
        let plain = |c: &u8| c.is_ascii_hexdigit() || *c == b'-';
        if !boot.as_bytes().iter().all(plain) {
            boot.len = 0;
        }
        boot
    }

    /// A boot of this name; for tests.
    pub fn from_text(text: &str) -> BootId {
        let mut boot = BootId {
            bytes: [0; 36],
            len: text.len().min(36),
        };
        let places = boot.bytes.iter_mut().zip(text.bytes());
        places.for_each(|(place, byte)| *place = byte);
        boot
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// When a record that begins with `head` was written, in seconds since 1970, if it holds in this boot.
pub(crate) fn made(head: &[u8], boot: &BootId) -> Option<u64> {
    let line = head.strip_prefix(FIRST)?;
    let end = line.iter().position(|&c| c == b'\n')?;
    let (recorded, rest) = line.split_at_checked(end)?;
    if recorded != ANY_BOOT && boot.len > 0 && recorded != boot.as_bytes() {
        return None;
    }
    let digits = rest.strip_prefix(MADE).unwrap_or_default();
    let digits = digits.iter().take_while(|c| c.is_ascii_digit());
    Some(digits.fold(0, |made: u64, digit| {
        made.wrapping_mul(10).wrapping_add(u64::from(digit & 15))
    }))
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// The boot in which it was written, or `any`.
    pub boot: String,
    /// When, in seconds since 1970.
    pub time: u64,
    /// Name of the package.
    pub name: String,
    /// Version of the package.
    pub version: String,
    /// Fingerprints of its signers, in order, with a space between two.
    pub signer: String,
    /// Keys of the shared slots that the work environment links to.
    pub slots: Vec<String>,
}

impl Record {
    /// Whether it holds for every boot: everything had reached the disk.
    pub fn is_of_any_boot(&self) -> bool {
        self.boot.as_bytes() == ANY_BOOT
    }

    /// Reads a record; `None` when it is of another version or incomplete.
    pub fn parse(content: &[u8]) -> Option<Record> {
        let text = core::str::from_utf8(content).ok()?;
        let text = text.strip_prefix("flavor 1\n")?.strip_suffix("end\n")?;
        let mut record = Record::default();
        for line in text.lines() {
            let (key, value) = line.split_once(' ')?;
            match key {
                "boot" => record.boot = value.to_owned(),
                "time" => record.time = value.parse().ok()?,
                "name" => record.name = value.to_owned(),
                "version" => record.version = value.to_owned(),
                "signer" => record.signer = value.to_owned(),
                "slot" => record.slots.push(value.to_owned()),
                _ => {}
            }
        }
        Some(record)
    }
}

/// The fingerprints of everybody who signed a package, in order, with a space between two.
///
/// Two packages are versions of one when these texts are the same: then each signer has signed both. The first signer
/// alone says nothing, as whoever holds the file can change their order, add one of their own and take some away.
pub(crate) fn signers(package: &VerifiedPackage) -> String {
    let signers = package.signers();
    let mut signers: Vec<_> = signers
        .map(|signer| signer.fingerprint().hex().to_vec())
        .collect();
    signers.sort_unstable();
    String::from_utf8(signers.join(&b' ')).unwrap_or_default()
}

/// The record of a package, written now. Without a boot it is for all of them. `time` is when it first became ready.
pub(crate) fn write(
    package: &VerifiedPackage,
    boot: Option<&BootId>,
    now: u64,
    time: u64,
    slots: &[Digest],
) -> Vec<u8> {
    let mut out = FIRST.to_vec();
    out.extend_from_slice(boot.map_or(ANY_BOOT, BootId::as_bytes));
    out.extend_from_slice(MADE);
    // The files of an image are as new as the copy of it.
    let made = if boot.is_some() { now } else { u64::MAX };
    out.extend_from_slice(made.to_string().as_bytes());
    let mut line = |key: &[u8], value: &[u8]| {
        out.push(b'\n');
        out.extend_from_slice(key);
        out.push(b' ');
        out.extend_from_slice(value);
    };
    let about = &package.metadata().package;
    line(b"time", time.to_string().as_bytes());
    line(b"name", about.name.as_bytes());
    line(b"version", about.version.as_bytes());
    line(b"signer", signers(package).as_bytes());
    slots.iter().for_each(|key| line(b"slot", &key.hex()));
    out.extend_from_slice(b"\nend\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boots_are_compared_whole() {
        let boot = BootId::from_text("0a-1");
        let none = BootId::from_text("");
        for (head, boot, expected) in [
            (&b"flavor 1\nboot 0a-1\ntime"[..], &boot, true),
            (b"flavor 1\nboot 0a-1", &boot, false),
            (b"flavor 1\nboot 0a-12\n", &boot, false),
            (b"flavor 1\nboot 0a-\n", &boot, false),
            (b"flavor 1\nboot \n", &boot, false),
            (b"flavor 1\nboot any\n", &boot, true),
            (b"flavor 2\nboot 0a-1\n", &boot, false),
            (b"", &boot, false),
            (b"flavor 1\nboot 0a-1\n", &none, true),
            (b"", &none, false),
        ] {
            let found = made(head, boot).is_some();
            assert_eq!(found, expected, "{}", head.escape_ascii());
        }
    }

    #[test]
    fn the_time_of_writing_stands_behind_the_boot() {
        let boot = BootId::from_text("0a-1");
        for (head, expected) in [
            (
                &b"flavor 1\nboot 0a-1\nmade 1700000000\ntime 5\n"[..],
                Some(1_700_000_000),
            ),
            (b"flavor 1\nboot 0a-1\ntime 5\n", Some(0)),
            (
                b"flavor 1\nboot any\nmade 18446744073709551615\n",
                Some(u64::MAX),
            ),
            (b"flavor 1\nboot 0b-1\nmade 1700000000\n", None),
        ] {
            assert_eq!(made(head, &boot), expected, "{}", head.escape_ascii());
        }
    }

    #[test]
    fn this_boot_has_a_name_where_the_kernel_tells() {
        let told = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        assert_eq!(BootId::read().as_bytes(), told.trim_ascii_end());
    }

    #[test]
    fn records_are_whole_or_nothing() {
        let text = b"flavor 1\nboot x\ntime 7\nname a\nversion 1\nsigner f\nslot k\nslot l\nend\n";
        let record = Record::parse(text).unwrap_or_default();
        assert_eq!((record.time, record.slots.len()), (7, 2));
        for end in 0..text.len() {
            assert_eq!(Record::parse(&text[..end]), None);
        }
    }
}
