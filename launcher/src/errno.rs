//! Why the system said no, in words.

use core::fmt;

use rustix::io::Errno;

/// An error of the system, as messages tell it: `Permission denied (os error 13)`.
///
/// The standard library tells it so, too, with the C library's table: 2 KB of every package, and other words with each C
/// library. Here stand the errors that a start meets; any other one is told by its number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Why(pub(crate) Errno);

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(words(self.0))?;
        f.write_str(" (os error ")?;
        self.0.raw_os_error().fmt(f)?;
        f.write_str(")")
    }
}

fn words(errno: Errno) -> &'static str {
    const WORDS: &[(Errno, &str)] = &[
        (Errno::PERM, "Operation not permitted"),
        (Errno::NOENT, "No such file or directory"),
        (Errno::IO, "Input/output error"),
        (Errno::TOOBIG, "Argument list too long"),
        (Errno::NOEXEC, "Exec format error"),
        (Errno::BADF, "Bad file descriptor"),
        (Errno::AGAIN, "Resource temporarily unavailable"),
        (Errno::NOMEM, "Cannot allocate memory"),
        (Errno::ACCESS, "Permission denied"),
        (Errno::BUSY, "Device or resource busy"),
        (Errno::EXIST, "File exists"),
        (Errno::NOTDIR, "Not a directory"),
        (Errno::ISDIR, "Is a directory"),
        (Errno::INVAL, "Invalid argument"),
        (Errno::MFILE, "Too many open files"),
        (Errno::TXTBSY, "Text file busy"),
        (Errno::FBIG, "File too large"),
        (Errno::NOSPC, "No space left on device"),
        (Errno::ROFS, "Read-only file system"),
        (Errno::PIPE, "Broken pipe"),
        (Errno::NAMETOOLONG, "File name too long"),
        (Errno::NOTEMPTY, "Directory not empty"),
        (Errno::LOOP, "Too many levels of symbolic links"),
        (Errno::STALE, "Stale file handle"),
        (Errno::DQUOT, "Disk quota exceeded"),
    ];
    let known = WORDS.iter().find(|(known, _)| *known == errno);
    known.map_or("The system refuses it", |(_, words)| words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_words_that_everybody_knows() {
        for (errno, told) in [
            (Errno::ACCESS, "Permission denied (os error 13)"),
            (Errno::NOENT, "No such file or directory (os error 2)"),
            (Errno::XFULL, "The system refuses it (os error 54)"),
        ] {
            assert_eq!(Why(errno).to_string(), told);
        }
    }

    #[cfg(target_env = "gnu")]
    #[test]
    fn as_the_c_library_says_it() {
        for number in 1..133 {
            let errno = Errno::from_raw_os_error(number);
            let told = Why(errno).to_string();
            assert!(
                told == errno.to_string() || told.starts_with("The system"),
                "{told}"
            );
        }
    }
}
