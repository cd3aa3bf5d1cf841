//! What all packages of a run have in common, where it is not the usual: so that a whole catalog can be made again with
//! the real launcher in front, a command that leaves a mark, and archives in another chain.
//!
//! A setting is of one thread and ends with the call that it is given for. Vectors are made without one.

use std::cell::RefCell;
use std::rc::Rc;

use super::frames::Frames;

/// The chain of a slot for which a vector asks for a plain `tar`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Archives {
    /// As it is.
    Tar,
    /// In Zstandard frames.
    TarZst,
    /// In a gzip stream.
    TarGz,
}

/// What differs from the usual.
pub struct Setting {
    /// The launcher of every package.
    pub launcher: Vec<u8>,
    /// The default command of every package.
    pub argv: Vec<String>,
    /// The chain of archives.
    pub archives: Archives,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Setting>>> = const { RefCell::new(None) };
    static UNCHANGED: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Runs something with this setting.
pub fn with<T>(setting: Setting, run: impl FnOnce() -> T) -> T {
    CURRENT.set(Some(Rc::new(setting)));
    let result = run();
    CURRENT.set(None);
    UNCHANGED.set(None);
    result
}

/// The setting of this thread.
pub(super) fn current() -> Option<Rc<Setting>> {
    CURRENT.with_borrow(Clone::clone)
}

/// Keeps the package that a plan gives before anything in its parts is changed.
pub(super) fn keep(bytes: impl FnOnce() -> Vec<u8>) {
    if current().is_some() {
        UNCHANGED.set(Some(bytes()));
    }
}

/// The last package of a plan, as it was before its parts were changed: the good twin of many a vector.
pub(crate) fn take_unchanged() -> Option<Vec<u8>> {
    UNCHANGED.take()
}

/// Chain, its number, and stored bytes of an archive.
pub(super) fn archive(stream: &[u8]) -> (&'static str, u64, Vec<u8>) {
    match current().map_or(Archives::Tar, |setting| setting.archives) {
        Archives::Tar => ("tar", 0x01, stream.to_vec()),
        Archives::TarZst => ("tar.zst", 0x1B01, Frames::of(stream).stored()),
        Archives::TarGz => ("tar.gz", 0x1001, super::member::stored(stream)),
    }
}
