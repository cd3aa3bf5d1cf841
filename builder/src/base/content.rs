//! What the slots of a base package hold: unpacked as archives given as sources are, and written as strict slots are.
//!
//! A slot becomes a tree first, in a temporary file, in which names are checked and unique and links stay inside; the
//! tree becomes the stream that `flavor pack` would have made of it; and that stream is extracted by the launcher's
//! library. So base packages have no extraction of their own that could be weaker.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use psp_format::digest::Checksum;
use psp_format::metadata::{self, Lifecycle, Purpose};
use psp_format::ops::Operations;
use psp_format::path;
use psp_launcher::extract::{self, Options};

use super::fault::Fault;
use super::slot::Slot;
use crate::contents::{self, Piece};
use crate::error::Error;
use crate::examine::Refusal;
use crate::inputs::{Entry, InputError, Keep, Kind, Packed, Tree};
use crate::pack::PackError;
use crate::pack::stream::{self, Cut, Sink};
use crate::package_file::PackageFile;
use crate::printer::Meter;

/// The tree that a slot puts into the work environment, from its top. Its digest has been compared.
pub fn tree(file: &PackageFile, slot: &Slot, keep: Keep) -> Result<Result<Tree, Refusal>, Error> {
    let name = Path::new(&slot.id);
    let packed = Packed {
        name,
        bytes: BufReader::new(Piece::new(file.file(), slot.range)),
        size: slot.range.len(),
    };
    let around = slot.steps.iter().copied().find(|step| step.code() != 1);
    let read = if slot.is_tar() {
        packed.tree(around, keep)
    } else {
        match path::check(slot.target.as_bytes()) {
            Ok(()) => packed
                .file(around, keep)
                .map(|(size, content)| single(slot, size, content)),
            Err(fault) => {
                let detail = format!("its target is not possible: {fault}");
                return Ok(Err(refused(slot, detail)));
            }
        }
    };
    match read {
        Ok(tree) => Ok(Ok(tree)),
        Err(InputError::Spool { directory, error }) => Err(Error::Write {
            path: directory,
            source: error,
        }),
        Err(error) => Ok(Err(refused(slot, error.to_string()))),
    }
}

fn refused(slot: &Slot, detail: String) -> Refusal {
    let slot = slot.id.clone();
    Fault::Content { slot, detail }.into()
}

/// One file, with the directories above it.
fn single(slot: &Slot, size: u64, content: crate::inputs::Content) -> Tree {
    let target = slot.target.as_bytes();
    let mut entries = vec![Entry {
        path: target.to_vec(),
        kind: Kind::File { size, content },
        mode: slot.mode,
        mtime: crate::inputs::DEFAULT_TIME,
    }];
    let mut above = path::parent(target);
    while !above.is_empty() {
        entries.push(Entry {
            path: above.to_vec(),
            kind: Kind::Directory,
            mode: 0o755,
            mtime: crate::inputs::DEFAULT_TIME,
        });
        above = path::parent(above);
    }
    entries.reverse();
    Tree { entries }
}

/// Extracts a slot into the directory `into`. Whatever was written when it fails is left there.
pub fn extract(file: &PackageFile, slot: &Slot, into: &Path, meter: &Meter) -> Result<u64, Error> {
    let refused = |refusal| Error::Refused {
        path: file.path().to_owned(),
        refusal,
    };
    let tree = tree(file, slot, Keep::Content)?.map_err(refused)?;
    let entries = tree.entries.len() as u64;
    let directory = File::open(into).map_err(|source| Error::Write {
        path: into.to_owned(),
        source,
    })?;
    let slot = as_strict(slot, stream::tree_size(&tree, "."));
    let options = Options {
        writable: true,
        progress: None,
    };
    let (pieces, received) = sync_channel(4);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut sink = Pieces(pieces);
            stream::write_tree(&tree, ".", 0, Cut::of(Purpose::Payload), &mut sink)
        });
        let mut content = Received {
            pieces: received,
            now: Vec::new(),
            at: 0,
        };
        let extracted = extract::tar_stream(&slot, &mut content, directory.as_fd(), &options);
        // Who writes finds that nobody reads any more.
        drop(content);
        let written = writer.join();
        let written = written.unwrap_or(Err(PackError::Internal("a reading thread ended")));
        match (extracted, written) {
            (Ok(_), Ok(())) => {
                meter.advance(slot.original_size);
                Ok(entries)
            }
            // What could not be read is why what was written is not whole.
            (_, Err(error)) if !matches!(error, PackError::Internal(_)) => Err(error.into()),
            (Err(error), _) => Err(contents::fault(file, &slot, error)),
            (Ok(_), Err(error)) => Err(error.into()),
        }
    })
}

/// The slot as the launcher's library knows slots: a tree at the top.
fn as_strict(slot: &Slot, original_size: u64) -> metadata::Slot {
    let operations = Operations::Tar;
    metadata::Slot {
        checksum: Checksum::default(),
        id: slot.id.clone(),
        lifecycle: Lifecycle::Runtime,
        mode: 0o755,
        mutable: false,
        offset: slot.range.start(),
        operations,
        operations_code: operations.code(),
        original_size,
        purpose: Purpose::Payload,
        size: original_size,
        slot: 0,
        source: String::new(),
        target: ".".to_owned(),
    }
}

/// Hands the stream on to another thread.
struct Pieces(SyncSender<Vec<u8>>);

impl Sink for Pieces {
    fn write(&mut self, bytes: &[u8]) -> Result<(), PackError> {
        let sent = self.0.send(bytes.to_vec());
        sent.map_err(|_| PackError::Internal("nobody reads what is extracted"))
    }

    fn cut(&mut self) -> Result<(), PackError> {
        Ok(())
    }
}

/// The stream on that thread.
struct Received {
    pieces: Receiver<Vec<u8>>,
    now: Vec<u8>,
    at: usize,
}

impl Read for Received {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.now.len() {
            match self.pieces.recv() {
                Ok(piece) => (self.now, self.at) = (piece, 0),
                Err(_) => return Ok(0),
            }
        }
        let rest = &self.now[self.at..];
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        self.at += read;
        Ok(read)
    }
}
