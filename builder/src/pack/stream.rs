//! A slot's content as one stream of bytes, with the places where a frame may begin.
//!
//! A tree becomes a tar stream (SPEC.md 4.5). Frames are cut between entries (4.6): when the next entry would not fit
//! any more, and, once a frame is long enough ([`Cut`]), before an entry whose path hashes to a cutting value. Since
//! that depends on names alone, a changed file changes its own frame and moves no other.

use std::io::Read;

use psp_format::digest::Digest;
use psp_format::limits::FULL_FRAME;
use psp_format::metadata::Purpose;
use psp_format::tar;

use super::PackError;
use crate::inputs::{Content, Entry, FileInput, Kind, Tree};

/// Where frames of a tree end.
///
/// Long frames compress better, as the compressor sees more; short ones cost less when one of their files has changed: in
/// time, in the size of a patch, and in what several cores have to share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Content after which a frame ends at the next cutting path.
    min: u64,
    /// One path in so many is a cutting one.
    every: u64,
}

impl Cut {
    /// For what hardly ever changes, as interpreters: as long as it helps the compressor, whose window has 8 MiB.
    const LONG: Cut = Cut {
        min: 12 << 20,
        every: 64,
    };
    /// For everything else.
    const SHORT: Cut = Cut {
        min: 3 << 20,
        every: 16,
    };

    /// For a slot of this purpose.
    pub(crate) fn of(purpose: Purpose) -> Cut {
        match purpose {
            Purpose::Runtime => Cut::LONG,
            _ => Cut::SHORT,
        }
    }

    fn is_before(self, in_frame: u64, path: &[u8]) -> bool {
        in_frame >= self.min && Digest::of(path).short().is_multiple_of(self.every)
    }
}

/// Bytes handed on at once.
const PIECE: usize = 256 << 10;

/// Where the stream goes.
pub(crate) trait Sink {
    /// Takes the next bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<(), PackError>;
    /// A frame may end here.
    fn cut(&mut self) -> Result<(), PackError>;
}

/// Size of the stream of a tree, in bytes.
pub(crate) fn tree_size(tree: &Tree, target: &str) -> u64 {
    let entries = tree
        .entries
        .iter()
        .map(|entry| entry_size(&tar_entry(entry, target)));
    let top = top_entry(target, 0).map_or(0, |entry| entry_size(&entry));
    top + entries.sum::<u64>() + tar::END_SIZE as u64
}

fn entry_size(entry: &tar::Entry) -> u64 {
    tar::encode(entry).len() as u64 + entry.size() + tar::padding(entry.size()) as u64
}

/// Writes a tree as the tar stream of a slot with this target. `mtime` is that of the target directory.
pub(crate) fn write_tree(
    tree: &Tree,
    target: &str,
    mtime: u64,
    cut: Cut,
    sink: &mut dyn Sink,
) -> Result<(), PackError> {
    let mut in_frame = 0;
    if let Some(top) = top_entry(target, mtime) {
        let header = tar::encode(&top);
        in_frame += header.len() as u64;
        sink.write(&header)?;
    }
    for entry in &tree.entries {
        let tar_entry = tar_entry(entry, target);
        let size = entry_size(&tar_entry);
        if in_frame > 0
            && (in_frame + size >= FULL_FRAME || cut.is_before(in_frame, &tar_entry.path))
        {
            sink.cut()?;
            in_frame = 0;
        }
        sink.write(&tar::encode(&tar_entry))?;
        if let Kind::File { content, .. } = &entry.kind {
            write_content(content, sink)?;
            sink.write(&[0; tar::BLOCK][..tar::padding(tar_entry.size())])?;
        }
        // A frame that is full is ended by the sink; what counts is how far into a frame the stream is.
        in_frame = (in_frame + size) % FULL_FRAME;
    }
    sink.write(&[0; tar::END_SIZE])
}

/// Writes the content of a file slot.
pub(super) fn write_file(file: &FileInput, sink: &mut dyn Sink) -> Result<(), PackError> {
    write_content(&file.content, sink)
}

fn write_content(content: &Content, sink: &mut dyn Sink) -> Result<(), PackError> {
    let mut reader = content.open()?;
    let mut buffer = vec![0; PIECE];
    loop {
        match reader.read(&mut buffer).map_err(PackError::read)? {
            0 => return Ok(()),
            n => sink.write(&buffer[..n])?,
        }
    }
}

/// The slot's target directory, which stands first unless the target is the top.
fn top_entry(target: &str, mtime: u64) -> Option<tar::Entry> {
    (target != ".").then(|| tar::Entry {
        path: target.into(),
        kind: tar::Kind::Directory,
        mode: 0o755,
        mtime,
    })
}

/// An entry of a tree as one of the archive of a slot with this target.
pub(crate) fn tar_entry(entry: &Entry, target: &str) -> tar::Entry {
    let below = |path: &[u8]| match target {
        "." => path.to_vec(),
        target => [target.as_bytes(), b"/", path].concat(),
    };
    tar::Entry {
        path: below(&entry.path),
        kind: match &entry.kind {
            Kind::Directory => tar::Kind::Directory,
            Kind::File { size, .. } => tar::Kind::File(*size),
            Kind::Symlink { target } => tar::Kind::Symlink(target.clone()),
            Kind::HardLink { to } => tar::Kind::HardLink(below(to)),
        },
        mode: entry.mode,
        mtime: entry.mtime,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Frames(Vec<u64>, u64);

    impl Sink for Frames {
        fn write(&mut self, bytes: &[u8]) -> Result<(), PackError> {
            self.1 += bytes.len() as u64;
            Ok(())
        }
        fn cut(&mut self) -> Result<(), PackError> {
            self.0.push(std::mem::take(&mut self.1));
            Ok(())
        }
    }

    fn tree(sizes: &[usize]) -> Tree {
        let file = |(nth, size): (usize, &usize)| Entry {
            path: format!("f{nth:05}").into_bytes(),
            kind: Kind::File {
                size: *size as u64,
                content: Content::bytes(vec![7; *size]),
            },
            mode: 0o644,
            mtime: 0,
        };
        Tree {
            entries: sizes.iter().enumerate().map(file).collect(),
        }
    }

    fn frames(tree: &Tree, cut: Cut) -> Vec<u64> {
        let mut sink = Frames::default();
        assert!(write_tree(tree, "t", 0, cut, &mut sink).is_ok());
        assert_eq!(sink.0.iter().sum::<u64>() + sink.1, tree_size(tree, "t"));
        sink.0.push(sink.1);
        sink.0
    }

    #[test]
    fn frames_stay_below_the_limit_and_one_change_stays_local() {
        for (cut, fewest) in [(Cut::LONG, 5), (Cut::SHORT, 25)] {
            let mut sizes = vec![30_000; 3000];
            let before = frames(&tree(&sizes), cut);
            assert!(before.len() > fewest && before.iter().all(|&size| size < FULL_FRAME));
            sizes[1500] += 100_000;
            let after = frames(&tree(&sizes), cut);
            let changed = before.iter().zip(&after).filter(|(a, b)| a != b).count();
            assert_eq!((before.len(), changed), (after.len(), 1));
        }
    }

    #[test]
    fn a_large_file_begins_a_frame_of_its_own() {
        let sizes = [100, 40 << 20, 100];
        let frames = frames(&tree(&sizes), Cut::LONG);
        assert_eq!(frames[0], 512 + 512 + 512);
        assert_eq!(
            frames.len(),
            2,
            "the large file, the small one behind it and the end"
        );
    }
}
