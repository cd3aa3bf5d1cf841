//! What the packages of one run have in common: a source that several take in is read once, and a slot that is the same in
//! several is compressed once.

use std::path::PathBuf;
use std::rc::Rc;

use super::build_cache::BuildCache;
use super::compress::Stored;
use super::plan::{Plan, PlannedSlot};
use super::stream::Cut;
use super::{Note, PackError};
use crate::inputs::Source;
use crate::manifest::Slot;

/// Grows while packages are planned and built.
pub(super) struct Shared {
    /// Frames of earlier builds.
    pub cache: BuildCache,
    /// Whether what was read is kept for the next package: large trees have long lists.
    keeps: bool,
    read: Vec<Read>,
    stored: Vec<(Rc<PlannedSlot>, u64, Rc<Stored>)>,
}

/// A slot of the manifest whose source was read.
#[derive(Clone)]
struct Read {
    slot: Slot,
    mtime: u64,
    source: Source,
    notes: Vec<Note>,
}

impl Shared {
    /// For a run of one package: nothing yet, but what an earlier run has left in the first of these directories that is
    /// usable.
    pub(super) fn new(caches: Vec<PathBuf>) -> Shared {
        Shared {
            cache: BuildCache::new(caches),
            keeps: false,
            read: Vec::new(),
            stored: Vec::new(),
        }
    }

    /// The same for a run of several packages.
    pub(super) fn for_several(caches: Vec<PathBuf>) -> Shared {
        Shared {
            keeps: true,
            ..Shared::new(caches)
        }
    }

    /// The content of a slot: as it was read for another package of this run, or what `read` gives. A file that changes in
    /// between is so in none of the packages.
    pub(super) fn read(
        &mut self,
        slot: &Slot,
        mtime: u64,
        read: impl FnOnce() -> Result<(Source, Vec<Note>), PackError>,
    ) -> Result<(Source, Vec<Note>), PackError> {
        let is_same = |known: &&Read| known.slot == *slot && known.mtime == mtime;
        if let Some(known) = self.read.iter().find(is_same) {
            return Ok((known.source.clone(), known.notes.clone()));
        }
        let (source, notes) = read()?;
        if self.keeps {
            self.read.push(Read {
                slot: slot.clone(),
                mtime,
                source: source.clone(),
                notes: notes.clone(),
            });
        }
        Ok((source, notes))
    }

    /// The stored bytes of a slot: those that another slot of this run has, or what `store` makes. And whether they
    /// were there.
    pub(super) fn stored(
        &mut self,
        slot: &Rc<PlannedSlot>,
        mtime: u64,
        store: impl FnOnce(&BuildCache) -> Result<Stored, PackError>,
    ) -> Result<(Rc<Stored>, bool), PackError> {
        let known = self
            .stored
            .iter()
            .find(|(known, known_mtime, _)| *known_mtime == mtime && have_same_bytes(known, slot));
        if let Some((_, _, stored)) = known {
            return Ok((Rc::clone(stored), true));
        }
        let stored = Rc::new(store(&self.cache)?);
        self.stored
            .push((Rc::clone(slot), mtime, Rc::clone(&stored)));
        Ok((stored, false))
    }
}

/// Whether the stored bytes of two slots are the same for certain: what decides them is equal.
fn have_same_bytes(one: &PlannedSlot, other: &PlannedSlot) -> bool {
    let is_same_stream = match (&one.source, &other.source) {
        // The names of a tree's entries begin with the target, and its frames are cut by the purpose.
        (Source::Tree(_), Source::Tree(_)) => {
            one.target == other.target && Cut::of(one.purpose) == Cut::of(other.purpose)
        }
        _ => true,
    };
    one.method == other.method && is_same_stream && one.source == other.source
}

/// Bytes of content in all of these packages, what is shared once.
pub(super) fn content_size<'p>(plans: impl Iterator<Item = &'p Plan>) -> u64 {
    let mut seen: Vec<(&PlannedSlot, u64)> = Vec::new();
    for plan in plans {
        for slot in &plan.slots {
            let is_known = seen
                .iter()
                .any(|(known, mtime)| *mtime == plan.mtime && have_same_bytes(known, slot));
            if !is_known {
                seen.push((slot, plan.mtime));
            }
        }
    }
    seen.iter().map(|(slot, _)| slot.content_size()).sum()
}
