//! The passphrase of a key: from [`FLAVOR_KEY_PASSPHRASE`], or typed on the terminal, where it is not shown.
//!
//! The terminal itself is asked, not standard input, which may be a pipe. It is put back as it was before anything
//! else happens, also when the person gives up with Ctrl-C, which ends this process as it does elsewhere: libraries for
//! this leave the person with a terminal that shows nothing.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStringExt as _;

use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use zeroize::Zeroizing;

use crate::env_vars::FLAVOR_KEY_PASSPHRASE;
use crate::keyring::{KeyError, keep_secrets};

/// Most bytes of a passphrase; what is typed beyond them is not taken.
const MAX: usize = 1024;
/// What the keys of a terminal send.
const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
const BACKSPACE: u8 = 8;
const CTRL_U: u8 = 21;
const CTRL_BACKSLASH: u8 = 28;
const DELETE: u8 = 127;

/// A text that is wiped when dropped.
pub(crate) type Passphrase = Zeroizing<Vec<u8>>;

/// The passphrase of the key that messages call `origin`.
pub(super) fn for_key(origin: &str) -> Result<Passphrase, KeyError> {
    if let Some(given) = from_environment() {
        return Ok(given);
    }
    let nobody = |_| KeyError::NoPassphrase {
        origin: origin.to_owned(),
    };
    let terminal = Terminal::open().map_err(nobody)?;
    terminal
        .ask(&format!("Passphrase of {origin}: "))
        .map_err(nobody)
}

/// A passphrase for a new key, asked for twice.
pub(crate) fn for_new() -> Result<Passphrase, KeyError> {
    if let Some(given) = from_environment() {
        return Ok(given);
    }
    let nobody = |_| KeyError::NoNewPassphrase;
    let terminal = Terminal::open().map_err(nobody)?;
    let first = terminal
        .ask("Passphrase of the new key: ")
        .map_err(nobody)?;
    let second = terminal.ask("The same again: ").map_err(nobody)?;
    match (first.is_empty(), first == second) {
        (true, _) => Err(KeyError::NoNewPassphrase),
        (false, false) => Err(KeyError::PassphrasesDiffer),
        (false, true) => Ok(first),
    }
}

/// An empty value is none.
fn from_environment() -> Option<Passphrase> {
    keep_secrets();
    let value = std::env::var_os(FLAVOR_KEY_PASSPHRASE)?;
    let value = Zeroizing::new(value.into_vec());
    (!value.is_empty()).then_some(value)
}

/// The terminal of this process.
struct Terminal(File);

impl Terminal {
    fn open() -> io::Result<Terminal> {
        let tty = File::options().read(true).write(true).open("/dev/tty")?;
        Ok(Terminal(tty))
    }

    fn ask(&self, prompt: &str) -> io::Result<Passphrase> {
        let mut tty = &self.0;
        let quiet = Quiet::set(tty)?;
        tty.write_all(prompt.as_bytes())?;
        let line = read_line(&mut tty);
        drop(quiet);
        tty.write_all(b"\n")?;
        match line? {
            Line::Text(text) => Ok(text),
            Line::Ended(signal) => {
                kill_process(getpid(), signal)?;
                // Whoever started this process had it ignore the signal.
                Err(io::ErrorKind::Interrupted.into())
            }
        }
    }
}

/// A terminal that shows nothing and sends keys one by one, until this is dropped.
struct Quiet<'a> {
    tty: &'a File,
    before: Termios,
}

impl Quiet<'_> {
    fn set(tty: &File) -> io::Result<Quiet<'_>> {
        let before = tcgetattr(tty)?;
        let mut quiet = before.clone();
        quiet.local_modes &= !(LocalModes::ECHO
            | LocalModes::ECHONL
            | LocalModes::ICANON
            | LocalModes::ISIG
            | LocalModes::IEXTEN);
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        // What was typed before it was asked for is not the answer.
        tcsetattr(tty, OptionalActions::Flush, &quiet)?;
        Ok(Quiet { tty, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.tty, OptionalActions::Flush, &self.before);
    }
}

/// What a person typed.
enum Line {
    Text(Passphrase),
    /// They gave up, with the key for this signal.
    Ended(Signal),
}

fn read_line(input: &mut impl io::Read) -> io::Result<Line> {
    // Never grows, so that no copy of it is left behind.
    let mut line = Zeroizing::new(Vec::with_capacity(MAX));
    let mut key = [0];
    while input.read(&mut key)? == 1 {
        match key[0] {
            CTRL_C => return Ok(Line::Ended(Signal::INT)),
            CTRL_BACKSLASH => return Ok(Line::Ended(Signal::QUIT)),
            b'\n' | b'\r' | CTRL_D => break,
            CTRL_U => line.clear(),
            BACKSPACE | DELETE => erase(&mut line),
            other if line.len() < MAX => line.push(other),
            _ => {}
        }
    }
    Ok(Line::Text(line))
}

/// Removes the last character, with all its bytes in UTF-8.
fn erase(line: &mut Vec<u8>) {
    while let Some(byte) = line.pop() {
        if byte & 0b1100_0000 != 0b1000_0000 {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(mut keys: &[u8]) -> Option<Vec<u8>> {
        match read_line(&mut keys) {
            Ok(Line::Text(text)) => Some(text.to_vec()),
            Ok(Line::Ended(_)) | Err(_) => None,
        }
    }

    #[test]
    fn keys() {
        for (keys, expected) in [
            (&b"secret\n"[..], &b"secret"[..]),
            (b"secret\rrest", b"secret"),
            (b"wrong\x15right\n", b"right"),
            (b"ab\x7fc\n", b"ac"),
            ("a\u{e9}\u{7f}b\n".as_bytes(), b"ab"),
            (b"\x08\x08a\n", b"a"),
            (b"a\x04", b"a"),
            (b"", b""),
        ] {
            assert_eq!(typed(keys).as_deref(), Some(expected), "{keys:?}");
        }
        assert_eq!(typed(b"a\x03b\n"), None);
        assert_eq!(typed(b"\x1c"), None);
        assert_eq!(typed(&[b'x'; 3000]).map(|text| text.len()), Some(MAX));
    }
}
