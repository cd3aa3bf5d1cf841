//! Compressed frames of earlier builds, so that only what changed is compressed.
//!
//! A directory of files, each named after what it was made from: level, version of the compressor and content. Frames
//! are cut at places that a changed file does not move ([`super::stream`]), so after a change of one file every frame but
//! its own is found here.
//!
//! Nothing is believed that is found: a frame is taken only when it decodes to the very content that is to be packed. What
//! an interrupted build, a full disk or somebody else has left is therefore a miss and no danger, and a package is the
//! same with and without. Files are renamed into place, so builds need no lock against each other; the one that there is
//! tells the one that tidies that nobody is building.

use std::fs::{DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use psp_format::digest::Hasher;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, Timespec, Timestamps, UTIME_NOW,
};
use rustix::io::Errno;

/// What the directory is called in the cache of a user.
const NAME: &str = "build";
/// The file that builds hold a share of.
const LOCK: &str = "lock";
/// How names of files begin that are being written.
const UNFINISHED: &str = ".new-";
/// Frames with less content are compressed faster than it is worth remembering them.
const MIN_CONTENT: usize = 64 << 10;
/// Bytes that may be kept; beyond them the frames that were not used for the longest time go.
pub const LIMIT: u64 = 2 << 30;
/// In front of what a name is computed from. Another number when the frames of one content change.
const DOMAIN: &[u8] = b"flavor frame 1\0";

/// Frames of earlier builds. Nothing is opened or made before the first frame that is worth it.
#[derive(Debug, Default)]
pub struct BuildCache {
    /// Caches in which it may lie, best first.
    places: Vec<PathBuf>,
    opened: OnceLock<Option<Opened>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Debug)]
struct Opened {
    directory: OwnedFd,
    lock: OwnedFd,
    unfinished: AtomicU32,
}

/// What a removal did, or would do.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tidied {
    /// Frames.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl BuildCache {
    /// A cache below the first of these directories that is the user's own, or can be made.
    pub fn new(places: Vec<PathBuf>) -> BuildCache {
        BuildCache {
            places,
            ..BuildCache::default()
        }
    }

    /// Frames that were found, and frames that were not.
    pub fn counts(&self) -> (u64, u64) {
        let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
        (count(&self.hits), count(&self.misses))
    }

    /// The frame of this content at this level: one that an earlier build has left, or what `make` gives.
    ///
    /// # Errors
    ///
    /// Those of `make`. A cache that cannot be read or written ends no build.
    pub(super) fn frame<E>(
        &self,
        level: i32,
        content: &[u8],
        make: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, E> {
        let is_worth_it = content.len() >= MIN_CONTENT;
        let Some(opened) = is_worth_it.then(|| self.opened()).flatten() else {
            return make();
        };
        let name = name(level, content);
        if let Some(frame) = opened.find(&name, content) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(frame);
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let frame = make()?;
        let _ = opened.put(&name, &frame);
        Ok(frame)
    }

    /// Removes what was not used for the longest time until [`LIMIT`] is kept, unless somebody else is building.
    pub(super) fn finish(&self) {
        if let Some(Some(opened)) = self.opened.get() {
            let _ = opened.tidy(LIMIT, 0, false);
        }
    }

    /// Removes frames that were not used since then, in Unix seconds, or says how many there are. Waits for builds.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn prune(&self, unused_since: u64, dry_run: bool) -> io::Result<Tidied> {
        let there = self
            .places
            .iter()
            .find(|place| place.join(NAME).is_dir())
            .and_then(|place| Opened::open(place).ok());
        let Some(opened) = there else {
            return Ok(Tidied::default());
        };
        rustix::fs::flock(&opened.lock, FlockOperation::LockExclusive)?;
        Ok(opened.tidy(u64::MAX, unused_since, dry_run)?)
    }

    /// Frames that are there.
    ///
    /// # Errors
    ///
    /// As [`BuildCache::prune`].
    pub fn size(&self) -> io::Result<Tidied> {
        let there = self.places.iter().map(|place| place.join(NAME));
        match there.into_iter().find(|directory| directory.is_dir()) {
            None => Ok(Tidied::default()),
            Some(directory) => {
                let listed = list(&open_directory(&directory)?)?;
                Ok(listed.iter().fold(Tidied::default(), Tidied::with))
            }
        }
    }

    fn opened(&self) -> Option<&Opened> {
        let open = || {
            self.places
                .iter()
                .find_map(|place| Opened::open(place).ok())
        };
        self.opened.get_or_init(open).as_ref()
    }
}

impl Tidied {
    fn with(self, kept: &Kept) -> Tidied {
        Tidied {
            frames: self.frames + 1,
            bytes: self.bytes + kept.size,
        }
    }
}

impl Opened {
    /// Opens the directory in this cache, or makes it.
    fn open(place: &Path) -> Result<Opened, Errno> {
        let directory = place.join(NAME);
        // A home that is not there is none: `/nonexistent` is what some users have.
        if !place.ancestors().take(3).any(Path::is_dir) {
            return Err(Errno::NOENT);
        }
        // Parents that are there stay as they are; those that are made are the user's alone.
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory);
        made.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        let directory = open_directory(&directory)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let lock = rustix::fs::openat(
            &directory,
            LOCK,
            flags | OFlags::CLOEXEC,
            Mode::RUSR | Mode::WUSR,
        )?;
        rustix::fs::flock(&lock, FlockOperation::LockShared)?;
        Ok(Opened {
            directory,
            lock,
            unfinished: AtomicU32::new(0),
        })
    }

    fn find(&self, name: &str, content: &[u8]) -> Option<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.directory, name, flags, Mode::empty()).ok()?;
        let file = File::from(file);
        let most = zstd::zstd_safe::compress_bound(content.len()) as u64;
        let mut frame = Vec::new();
        (&file).take(most).read_to_end(&mut frame).ok()?;
        if zstd::bulk::decompress(&frame, content.len()).ok()? != content {
            return None;
        }
        // Used: it stays longer.
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_NOW,
        };
        let times = Timestamps {
            last_access: now,
            last_modification: now,
        };
        let _ = rustix::fs::futimens(&file, &times);
        Some(frame)
    }

    fn put(&self, name: &str, frame: &[u8]) -> io::Result<()> {
        let nth = self.unfinished.fetch_add(1, Ordering::Relaxed);
        let unfinished = format!("{UNFINISHED}{}-{nth}", std::process::id());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(
            &self.directory,
            &unfinished,
            flags | OFlags::CLOEXEC,
            Mode::RUSR | Mode::WUSR,
        )?;
        let written = File::from(file).write_all(frame).and_then(|()| {
            let renamed = rustix::fs::renameat(&self.directory, &unfinished, &self.directory, name);
            Ok(renamed?)
        });
        if written.is_err() {
            let _ = rustix::fs::unlinkat(&self.directory, &unfinished, AtFlags::empty());
        }
        written
    }

    /// Removes what was used before `unused_since`, the oldest beyond `limit` bytes, and what was never finished.
    fn tidy(&self, limit: u64, unused_since: u64, dry_run: bool) -> Result<Tidied, Errno> {
        match rustix::fs::flock(&self.lock, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Ok(Tidied::default()),
            other => other?,
        }
        let result = self.tidy_locked(limit, unused_since, dry_run);
        // The next build need not wait for the rest of this one.
        let _ = rustix::fs::flock(&self.lock, FlockOperation::Unlock);
        result
    }

    fn tidy_locked(&self, limit: u64, unused_since: u64, dry_run: bool) -> Result<Tidied, Errno> {
        let (unfinished, mut frames): (Vec<Kept>, Vec<Kept>) = list(&self.directory)?
            .into_iter()
            .partition(|kept| kept.name.starts_with(UNFINISHED));
        frames.sort_by_key(|kept| kept.used);
        let mut total: u64 = frames.iter().map(|kept| kept.size).sum();
        frames.retain(|kept| {
            let goes = kept.used < unused_since || total > limit;
            if goes {
                total -= kept.size;
            }
            goes
        });
        let mut removed = Tidied::default();
        for kept in unfinished.iter().chain(&frames) {
            if !dry_run {
                rustix::fs::unlinkat(&self.directory, &kept.name, AtFlags::empty())?;
            }
            removed = removed.with(kept);
        }
        Ok(removed)
    }
}

/// A file of the cache.
struct Kept {
    name: String,
    size: u64,
    /// Unix seconds.
    used: u64,
}

fn list(directory: &OwnedFd) -> Result<Vec<Kept>, Errno> {
    let mut out = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if matches!(name.as_str(), "." | ".." | LOCK) {
            continue;
        }
        let stat = match rustix::fs::statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW) {
            // Another build has removed it.
            Err(Errno::NOENT) => continue,
            other => other?,
        };
        if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
            out.push(Kept {
                name,
                size: u64::try_from(stat.st_size).unwrap_or(0),
                used: u64::try_from(stat.st_mtime).unwrap_or(0),
            });
        }
    }
    Ok(out)
}

/// A directory that is this user's and that nobody else can write to.
fn open_directory(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&directory)?;
    let is_ours = stat.st_uid == rustix::process::geteuid().as_raw();
    if is_ours && stat.st_mode & 0o022 == 0 {
        Ok(directory)
    } else {
        Err(Errno::PERM)
    }
}

/// The name of the frame of this content.
fn name(level: i32, content: &[u8]) -> String {
    let mut hasher = Hasher::default();
    hasher.update(DOMAIN);
    hasher.update(&zstd::zstd_safe::version_number().to_le_bytes());
    hasher.update(&level.to_le_bytes());
    hasher.update(content);
    hasher.finish().to_string()
}

/// Unix seconds, so many days ago.
pub fn days_ago(days: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs());
    now.saturating_sub(days.saturating_mul(24 * 60 * 60))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::fs;

    const CONTENT: &[u8] = &[7; MIN_CONTENT];

    fn cache(place: &Path) -> BuildCache {
        BuildCache::new(vec![place.to_owned()])
    }

    fn made(content: &[u8]) -> Vec<u8> {
        zstd::bulk::compress(content, 1).unwrap()
    }

    /// Whether the cache gives the frame without making it.
    fn knows(cache: &BuildCache, level: i32, content: &[u8]) -> bool {
        let mut was_made = false;
        let frame = cache.frame(level, content, || {
            was_made = true;
            Ok::<_, Infallible>(made(content))
        });
        assert_eq!(frame.unwrap(), made(content));
        !was_made
    }

    #[test]
    fn a_frame_is_made_once_for_each_content_and_level() {
        let place = tempfile::tempdir().unwrap();
        let cache_one = cache(place.path());
        assert!(!knows(&cache_one, 1, CONTENT));
        assert!(knows(&cache_one, 1, CONTENT));
        assert!(!knows(&cache_one, 2, CONTENT));
        assert!(!knows(&cache_one, 1, &[8; MIN_CONTENT]));
        assert_eq!(cache_one.counts(), (1, 3));
        assert!(knows(&cache(place.path()), 1, CONTENT), "another build");
    }

    #[test]
    fn small_content_opens_nothing() {
        let place = tempfile::tempdir().unwrap();
        assert!(!knows(&cache(place.path()), 1, &CONTENT[1..]));
        assert!(!place.path().join(NAME).exists());
    }

    /// Whatever lies there under the right name: cut short, of other content, no frame at all, no file.
    #[test]
    fn only_what_decodes_to_the_content_is_taken() {
        let place = tempfile::tempdir().unwrap();
        let build = place.path().join(NAME);
        assert!(!knows(&cache(place.path()), 1, CONTENT));
        let file = build.join(name(1, CONTENT));
        let good = fs::read(&file).unwrap();
        for bad in [
            &good[..good.len() - 1],
            b"",
            b"no frame",
            &made(&[8; MIN_CONTENT]),
        ] {
            fs::write(&file, bad).unwrap();
            assert!(!knows(&cache(place.path()), 1, CONTENT));
            assert_eq!(fs::read(&file).unwrap(), good, "it is mended");
        }
        fs::remove_file(&file).unwrap();
        let elsewhere = place.path().join("elsewhere");
        fs::write(&elsewhere, &good).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
        assert!(!knows(&cache(place.path()), 1, CONTENT));
        assert!(file.symlink_metadata().unwrap().is_file());
        assert_eq!(fs::read(&elsewhere).unwrap(), good);
    }

    #[test]
    fn a_home_that_is_not_there_is_not_made() {
        let place = tempfile::tempdir().unwrap();
        let home = place.path().join("nobody");
        assert!(!knows(&cache(&home.join(".cache/flavor")), 1, CONTENT));
        assert!(!home.exists());
        fs::create_dir(&home).unwrap();
        assert!(!knows(&cache(&home.join(".cache/flavor")), 1, CONTENT));
        assert!(knows(&cache(&home.join(".cache/flavor")), 1, CONTENT));
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_passed_over() {
        use std::os::unix::fs::PermissionsExt as _;
        let (open, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let build = open.path().join(NAME);
        fs::create_dir(&build).unwrap();
        fs::set_permissions(&build, fs::Permissions::from_mode(0o777)).unwrap();
        let both = BuildCache::new(vec![open.path().into(), own.path().into()]);
        assert!(!knows(&both, 1, CONTENT));
        assert!(fs::read_dir(&build).unwrap().next().is_none());
        assert!(own.path().join(NAME).join(LOCK).exists());
    }

    #[test]
    fn the_longest_unused_go_first_and_nothing_while_somebody_builds() {
        let place = tempfile::tempdir().unwrap();
        let build = place.path().join(NAME);
        let first = cache(place.path());
        for (nth, used) in [(1_u8, 300), (2, 100), (3, 200)] {
            let content = vec![nth; MIN_CONTENT];
            assert!(!knows(&first, 1, &content));
            let time = UNIX_EPOCH + std::time::Duration::from_secs(used);
            let file = File::options()
                .write(true)
                .open(build.join(name(1, &content)));
            file.unwrap().set_modified(time).unwrap();
        }
        fs::write(build.join(".new-1-1"), b"cut short").unwrap();
        let frames = |opened: &Opened| list(&opened.directory).unwrap().len();
        let opened = first.opened().unwrap();
        let other = Opened::open(place.path()).unwrap();
        assert_eq!(opened.tidy(0, 0, false), Ok(Tidied::default()));
        drop(other);
        let size = made(&[1; MIN_CONTENT]).len() as u64;
        assert_eq!(opened.tidy(2 * size, 0, true).unwrap().frames, 2);
        assert_eq!(frames(opened), 4);
        assert_eq!(opened.tidy(2 * size, 0, false).unwrap().frames, 2);
        assert!(build.join(name(1, &[1; MIN_CONTENT])).exists());
        assert!(!build.join(name(1, &[2; MIN_CONTENT])).exists());
        drop(first);
        let pruned = cache(place.path()).prune(250, false).unwrap();
        assert_eq!((pruned.frames, pruned.bytes), (1, size));
        assert_eq!(cache(place.path()).size().unwrap().frames, 1);
    }
}
