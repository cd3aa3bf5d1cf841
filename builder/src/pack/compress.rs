//! From a slot's content to its stored bytes: frames compressed on several cores, written in order.
//!
//! One thread reads, several compress, one writes. Frames are independent, so the result does not depend on how many
//! threads there were. Memory is bounded by the number of frames under way.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use flate2::Compression;
use flate2::write::GzEncoder;
use psp_format::digest::{Digest, Hasher};
use psp_format::frames::write_seek_table;
use psp_format::limits::{FULL_FRAME, MAX_WINDOW_LOG};
use zstd::zstd_safe::{CCtx, CParameter};

use super::build_cache::BuildCache;
use super::stream::Sink;
use super::{PackError, Progress};

/// Content of a full frame as a buffer size.
const FULL: usize = FULL_FRAME as usize;

/// Memory for compression, in MiB, from the 512 that `pack` may use.
const MEMORY: usize = 440;

/// The stored bytes of a slot, in a file without a name.
pub(super) struct Stored {
    /// The bytes, from the start.
    pub file: File,
    /// Their number.
    pub size: u64,
    /// SHA-256 of them.
    pub digest: Digest,
    /// Bytes of content.
    pub original_size: u64,
    /// What they are.
    pub form: Form,
}

/// What stored bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The content itself.
    Plain,
    /// Zstandard frames with a seek table.
    Frames,
    /// One gzip member.
    Gzip,
}

/// How a slot is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// As it is.
    None,
    /// Zstandard at this level.
    Zstd(i32),
    /// gzip, for the launchers of flavorpack.
    Gzip,
}

/// What storing needs besides the content.
#[derive(Clone, Copy)]
pub(super) struct Means<'a> {
    /// Where nameless files are made.
    pub directory: &'a Path,
    /// How many threads compress.
    pub jobs: usize,
    /// Frames of earlier builds.
    pub cache: &'a BuildCache,
    /// Follows the work.
    pub progress: &'a dyn Progress,
}

/// Runs `produce`, which writes content to a sink, and stores that content in a nameless file.
///
/// Content that does not shrink is stored as it is.
pub(super) fn store(
    means: Means<'_>,
    method: Method,
    produce: &mut dyn FnMut(&mut dyn Sink) -> Result<(), PackError>,
) -> Result<Stored, PackError> {
    let directory = means.directory;
    let file = tempfile::tempfile_in(directory).map_err(PackError::write(directory))?;
    let output = Output {
        file,
        hasher: Hasher::default(),
        size: 0,
        directory,
    };
    match method {
        Method::None => plain(output, means.progress, produce),
        Method::Gzip => gzip(output, means.progress, produce),
        Method::Zstd(level) => {
            let stored = framed(output, level, means, produce)?;
            if stored.size < stored.original_size {
                Ok(stored)
            } else {
                unpack(stored, directory)
            }
        }
    }
}

/// How many frames may be compressed at once at this level without using too much memory.
pub(super) fn jobs_for(level: i32, wanted: usize) -> usize {
    // Tables of the binary-tree strategies, from level 13 on, take about 90 MiB at this window; a frame's content and
    // its compressed form are held besides, as are those of the frames that wait.
    let each = if level >= 13 {
        90 + 3 * 16
    } else {
        24 + 3 * 16
    };
    wanted.clamp(1, (MEMORY / each).max(1))
}

/// The file that a slot's stored bytes go to.
struct Output<'a> {
    file: File,
    hasher: Hasher,
    size: u64,
    directory: &'a Path,
}

impl Output<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), PackError> {
        self.write_all(bytes)
            .map_err(PackError::write(self.directory))
    }

    fn finish(mut self, original_size: u64, form: Form) -> Result<Stored, PackError> {
        self.file
            .seek(SeekFrom::Start(0))
            .map_err(PackError::write(self.directory))?;
        let (size, digest) = (self.size, self.hasher.finish());
        Ok(Stored {
            file: self.file,
            size,
            digest,
            original_size,
            form,
        })
    }
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Content as it is.
fn plain(
    output: Output<'_>,
    progress: &dyn Progress,
    produce: &mut dyn FnMut(&mut dyn Sink) -> Result<(), PackError>,
) -> Result<Stored, PackError> {
    struct Plain<'a>(Output<'a>, &'a dyn Progress);
    impl Sink for Plain<'_> {
        fn write(&mut self, bytes: &[u8]) -> Result<(), PackError> {
            self.1.advance(bytes.len() as u64);
            self.0.put(bytes)
        }
        fn cut(&mut self) -> Result<(), PackError> {
            Ok(())
        }
    }
    let mut sink = Plain(output, progress);
    produce(&mut sink)?;
    let size = sink.0.size;
    sink.0.finish(size, Form::Plain)
}

/// Content as one gzip member, on one core: there is one stream. Its header has no time and no name, so the same content gives
/// the same bytes.
fn gzip(
    output: Output<'_>,
    progress: &dyn Progress,
    produce: &mut dyn FnMut(&mut dyn Sink) -> Result<(), PackError>,
) -> Result<Stored, PackError> {
    struct Gzip<'a>(GzEncoder<Output<'a>>, &'a dyn Progress, u64);
    impl Sink for Gzip<'_> {
        fn write(&mut self, bytes: &[u8]) -> Result<(), PackError> {
            self.1.advance(bytes.len() as u64);
            self.2 += bytes.len() as u64;
            self.0.write_all(bytes).map_err(PackError::read)
        }
        fn cut(&mut self) -> Result<(), PackError> {
            Ok(())
        }
    }
    let encoder = GzEncoder::new(output, Compression::best());
    let mut sink = Gzip(encoder, progress, 0);
    produce(&mut sink)?;
    let output = sink.0.finish().map_err(PackError::read)?;
    output.finish(sink.2, Form::Gzip)
}

/// The content of one frame on its way to a compressor, with the way back for the result.
struct Job {
    content: Vec<u8>,
    done: SyncSender<Result<Frame, PackError>>,
}

/// A compressed frame.
struct Frame {
    bytes: Vec<u8>,
    original: u32,
}

fn framed(
    output: Output<'_>,
    level: i32,
    means: Means<'_>,
    produce: &mut dyn FnMut(&mut dyn Sink) -> Result<(), PackError>,
) -> Result<Stored, PackError> {
    let jobs = jobs_for(level, means.jobs);
    // The channel of results holds one receiver a frame, in order: the writer waits for the oldest. Its capacity is
    // what bounds memory, since the reader cannot run ahead of it.
    let (order, results) = sync_channel::<Receiver<Result<Frame, PackError>>>(jobs);
    let (work, queue) = sync_channel::<Job>(0);
    let queue = Arc::new(Mutex::new(queue));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            let queue = Arc::clone(&queue);
            scope.spawn(move || compress_all(&queue, level, means.cache));
        }
        drop(queue);
        let writer = scope.spawn(move || write_all(output, &results, means.progress));
        let mut sink = Framed {
            content: Vec::new(),
            work,
            order,
        };
        let produced = produce(&mut sink).and_then(|()| sink.end_frame());
        drop(sink);
        // When the writer failed, the reader has only seen that nobody listens any more: the writer knows why.
        let written = writer
            .join()
            .unwrap_or(Err(PackError::Internal("the writing thread ended")))?;
        produced.map(|()| written)
    })
}

/// Cuts the stream into frames and hands them out.
struct Framed {
    content: Vec<u8>,
    work: SyncSender<Job>,
    order: SyncSender<Receiver<Result<Frame, PackError>>>,
}

impl Framed {
    fn end_frame(&mut self) -> Result<(), PackError> {
        if self.content.is_empty() {
            return Ok(());
        }
        let gone = PackError::Internal("a packing thread ended");
        let (done, result) = sync_channel(1);
        let content = std::mem::take(&mut self.content);
        match self
            .order
            .send(result)
            .map(|()| self.work.send(Job { content, done }))
        {
            Ok(Ok(())) => Ok(()),
            _ => Err(gone),
        }
    }
}

impl Sink for Framed {
    fn write(&mut self, mut bytes: &[u8]) -> Result<(), PackError> {
        while !bytes.is_empty() {
            let room = FULL - self.content.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.content.extend_from_slice(now);
            bytes = later;
            if self.content.len() == FULL {
                self.end_frame()?;
            }
        }
        Ok(())
    }

    fn cut(&mut self) -> Result<(), PackError> {
        self.end_frame()
    }
}

/// A compressor: takes frames until there are no more.
fn compress_all(queue: &Mutex<Receiver<Job>>, level: i32, cache: &BuildCache) {
    let mut context = CCtx::create();
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { content, done }) = job else {
            return;
        };
        let bytes = cache.frame(level, &content, || compress(&mut context, level, &content));
        let original = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let result = bytes.map(|bytes| Frame { bytes, original });
        // A writer that has failed no longer listens; the error is its own.
        let _ = done.send(result);
    }
}

fn compress(context: &mut CCtx<'_>, level: i32, content: &[u8]) -> Result<Vec<u8>, PackError> {
    let failed = |code| PackError::Compress(zstd::zstd_safe::get_error_name(code));
    let mut bytes = Vec::with_capacity(zstd::zstd_safe::compress_bound(content.len()));
    set_up(context, level, window_log(content.len(), MAX_WINDOW_LOG))
        .and_then(|()| context.compress2(&mut bytes, content))
        .map_err(failed)?;
    bytes.shrink_to_fit();
    Ok(bytes)
}

/// Everything that decides what a frame looks like. The error is Zstandard's code.
pub(crate) fn set_up(context: &mut CCtx<'_>, level: i32, window_log: u32) -> Result<(), usize> {
    context.set_parameter(CParameter::CompressionLevel(level))?;
    context.set_parameter(CParameter::WindowLog(window_log))?;
    context.set_parameter(CParameter::ContentSizeFlag(true))?;
    context.set_parameter(CParameter::ChecksumFlag(false))?;
    Ok(())
}

/// The window for so much content: as much as it needs, at most `most`, which for packages is what M63 allows.
pub(crate) fn window_log(len: usize, most: u32) -> u32 {
    len.next_power_of_two().trailing_zeros().clamp(10, most)
}

/// The writer: frames in order, then the seek table.
fn write_all(
    mut output: Output<'_>,
    results: &Receiver<Receiver<Result<Frame, PackError>>>,
    progress: &dyn Progress,
) -> Result<Stored, PackError> {
    let (mut sizes, mut original_size) = (Vec::new(), 0);
    for result in results {
        let frame = result
            .recv()
            .unwrap_or(Err(PackError::Internal("a compressing thread ended")))?;
        output.put(&frame.bytes)?;
        let stored = u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX);
        sizes.push((stored, frame.original));
        original_size += u64::from(frame.original);
        progress.advance(u64::from(frame.original));
    }
    // Nothing to compress has no frame, and is stored as it is.
    if !sizes.is_empty() {
        output.put(&write_seek_table(&sizes))?;
    }
    output.finish(original_size, Form::Frames)
}

/// Stored frames back to content, from our own file: the input is not read a second time.
fn unpack(mut stored: Stored, directory: &Path) -> Result<Stored, PackError> {
    if stored.original_size == 0 {
        // No frame was written, which is what nothing looks like either way.
        stored.form = Form::Plain;
        return Ok(stored);
    }
    let file = tempfile::tempfile_in(directory).map_err(PackError::write(directory))?;
    let mut output = Output {
        file,
        hasher: Hasher::default(),
        size: 0,
        directory,
    };
    let mut reader = zstd::Decoder::new(stored.file).map_err(PackError::write(directory))?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        match reader
            .read(&mut buffer)
            .map_err(PackError::write(directory))?
        {
            0 => break,
            n => output.put(&buffer[..n])?,
        }
    }
    output.finish(stored.original_size, Form::Plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Quiet;
    impl Progress for Quiet {
        fn begin(&self, _total: u64) {}
        fn advance(&self, _bytes: u64) {}
    }

    fn bytes_of(mut stored: Stored) -> Vec<u8> {
        let mut bytes = Vec::new();
        assert!(stored.file.read_to_end(&mut bytes).is_ok());
        assert_eq!(
            (bytes.len() as u64, Digest::of(&bytes)),
            (stored.size, stored.digest)
        );
        bytes
    }

    fn stored(method: Method, jobs: usize, parts: &[&[u8]]) -> Stored {
        let (directory, cache) = (std::env::temp_dir(), BuildCache::default());
        let means = Means {
            directory: &directory,
            jobs,
            cache: &cache,
            progress: &Quiet,
        };
        store(means, method, &mut |sink| {
            for part in parts {
                sink.write(part)?;
                sink.cut()?;
            }
            Ok(())
        })
        .unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn frames_do_not_depend_on_the_number_of_jobs() {
        let part = [b'x'; 300_000];
        let parts: Vec<&[u8]> = std::iter::repeat_n(&part[..], 7).collect();
        let one = bytes_of(stored(Method::Zstd(3), 1, &parts));
        assert_eq!(one, bytes_of(stored(Method::Zstd(3), 4, &parts)));
        let decoded = zstd::decode_all(&one[..]).unwrap_or_default();
        assert!(
            decoded == parts.concat(),
            "any Zstandard reader takes it as one stream"
        );
    }

    #[test]
    fn content_that_does_not_shrink_is_stored_as_it_is() {
        let noise: Vec<u8> = (0_u32..5000)
            .flat_map(|n| Digest::of(&n.to_le_bytes()).0)
            .collect();
        let stored = stored(Method::Zstd(19), 2, &[&noise]);
        assert_eq!(stored.form, Form::Plain);
        assert!(bytes_of(stored) == noise);
        let empty = super::tests::stored(Method::Zstd(19), 2, &[]);
        assert!(empty.form == Form::Plain && empty.size == 0);
    }

    #[test]
    fn a_long_stream_is_cut_into_full_frames() {
        let part = vec![0; 40 << 20];
        let stored = stored(Method::Zstd(1), 2, &[&part]);
        let bytes = bytes_of(stored);
        let table = psp_format::frames::SeekTable::read(
            bytes.len() as u64,
            40 << 20,
            &bytes[bytes.len() - 17 - 3 * 8..],
        );
        let full: Vec<bool> = table
            .map(|table| table.frames().iter().map(|frame| frame.is_full()).collect())
            .unwrap_or_default();
        assert_eq!(full, [true, true, false]);
    }

    #[test]
    fn an_error_of_the_producer_arrives() {
        let (directory, cache) = (std::env::temp_dir(), BuildCache::default());
        let means = Means {
            directory: &directory,
            jobs: 2,
            cache: &cache,
            progress: &Quiet,
        };
        let result = store(means, Method::Zstd(3), &mut |sink| {
            sink.write(b"x")?;
            sink.cut()?;
            Err(PackError::Internal("told so"))
        });
        assert!(matches!(result, Err(PackError::Internal("told so"))));
    }

    #[test]
    fn memory_bounds_the_jobs() {
        assert_eq!(jobs_for(19, 64), 3);
        assert_eq!(jobs_for(19, 2), 2);
        assert_eq!(jobs_for(3, 0), 1);
    }
}
