//! Memory for a start that finds everything ready: a fixed space in the program itself, handed out from front to back.
//!
//! Such a start allocates some tens of kilobytes and is over. From the C library's allocator they would cost a dozen
//! system calls, nearly half of all; here they cost none. What does not fit any more, as in a first start, comes from the
//! heap.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::Heap;

/// Enough for packages with some hundred slots. Pages that are not touched do not exist.
const SIZE: usize = 128 << 10;
/// Alignment of the space; what asks for more comes from the heap.
const ALIGN: usize = 4096;

#[repr(C, align(4096))]
struct Space(UnsafeCell<[u8; SIZE]>);

// SAFETY: no reference to the bytes is ever made, and each byte is handed out to one owner at a time, by an atomic
// exchange of `USED`.
unsafe impl Sync for Space {}

static SPACE: Space = Space(UnsafeCell::new([0; SIZE]));
/// How much of it is taken.
static USED: AtomicUsize = AtomicUsize::new(0);

/// The stub's allocator. Fit for every program, and of use only to one that ends soon: what is freed in the space is
/// used again only when it was the last to be taken.
#[derive(Debug)]
pub struct Arena;

// SAFETY: `take` gives out ranges inside the space that are aligned as asked and overlap no other range that is in use;
// everything else goes to the heap and back to it, told apart by address.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match take(layout) {
            Some(place) => place,
            // SAFETY: the caller's promises are passed on.
            None => unsafe { Heap.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match take(layout) {
            Some(place) => {
                // The space is zero only where it was never used before.
                // SAFETY: `place` has `layout.size()` bytes, owned by the caller from now on.
                unsafe { ptr::write_bytes(place, 0, layout.size()) };
                place
            }
            // SAFETY: as above. Large blocks are zero without being touched.
            None => unsafe { Heap.alloc_zeroed(layout) },
        }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        match offset(place) {
            Some(start) => {
                resize_last(start, layout.size(), 0);
            }
            // SAFETY: not from the space, so from the heap.
            None => unsafe { Heap.dealloc(place, layout) },
        }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(start) = offset(place) else {
            // SAFETY: not from the space, so from the heap.
            return unsafe { Heap.realloc(place, layout, size) };
        };
        if resize_last(start, layout.size(), size) || size <= layout.size() {
            return place;
        }
        // SAFETY: the caller promises a size that makes a layout with this alignment; the new block is another one, and
        // both have at least the old size.
        unsafe {
            let layout_new = Layout::from_size_align_unchecked(size, layout.align());
            let new = self.alloc(layout_new);
            if !new.is_null() {
                ptr::copy_nonoverlapping(place, new, layout.size());
                self.dealloc(place, layout);
            }
            new
        }
    }
}

/// A block of the space, where there is still room.
fn take(layout: Layout) -> Option<*mut u8> {
    if layout.align() > ALIGN {
        return None;
    }
    let range = |used: usize| {
        let start = used.checked_next_multiple_of(layout.align())?;
        let end = start.checked_add(layout.size())?;
        (end <= SIZE).then_some((start, end))
    };
    let next = |used| range(used).map(|(_, end)| end);
    let used = USED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    let (start, _) = range(used.ok()?)?;
    // `start` is at most `SIZE`, and the alignment of the space is a multiple of every alignment that comes here.
    Some(SPACE.0.get().cast::<u8>().wrapping_add(start))
}

/// Gives the block at `start` another size, if it was the last to be taken and there is room; 0 gives it back.
fn resize_last(start: usize, old: usize, new: usize) -> bool {
    let end = |size: usize| start.checked_add(size).filter(|&end| end <= SIZE);
    match (end(old), end(new)) {
        (Some(old), Some(new)) => USED
            .compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok(),
        _ => false,
    }
}

/// Where in the space a block lies.
fn offset(place: *const u8) -> Option<usize> {
    let start = SPACE.0.get().cast_const().addr();
    place.addr().checked_sub(start).filter(|&at| at < SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test: the space is the process's.
    #[test]
    fn blocks_do_not_overlap_and_survive_growth() {
        let layout =
            |size, align| Layout::from_size_align(size, align).unwrap_or(Layout::new::<u8>());
        let mut blocks = Vec::new();
        // SAFETY: every block is used within its size, and given back once.
        unsafe {
            for n in 0..200_usize {
                let layout = layout(n * 13 + 1, 1 << (n % 14));
                let place = Arena.alloc_zeroed(layout);
                assert!(!place.is_null() && place.addr() % layout.align() == 0);
                assert_eq!(*place.add(layout.size() - 1), 0);
                ptr::write_bytes(place, 200 - n as u8, layout.size());
                blocks.push((place, layout, 200 - n as u8));
            }
            // Some inside the space and some, later, outside; the last one inside grows where it is.
            assert!(blocks.iter().any(|(place, ..)| offset(*place).is_some()));
            assert!(blocks.iter().any(|(place, ..)| offset(*place).is_none()));
            for (place, layout_old, value) in &mut blocks {
                let size = layout_old.size() * 2;
                *place = Arena.realloc(*place, *layout_old, size);
                for at in 0..layout_old.size() {
                    assert_eq!(*place.add(at), *value);
                }
                *layout_old = layout(size, layout_old.align());
            }
            for (place, layout, _) in blocks.into_iter().rev() {
                Arena.dealloc(place, layout);
            }
            let block = layout(64, 8);
            if let Some(place) = take(block) {
                assert!(resize_last(offset(place).unwrap_or(0), 64, 0));
            }
        }
    }
}
