//! A heap: what a first start needs beyond the [`super::Arena`], and all that the C code in the stub takes. The C library's
//! own has 7 KB of code.
//!
//! Small blocks have one of 44 sizes, four for each power of two, and are cut from pieces of 256 KiB; what is freed goes on
//! the list of its size, and never back to the kernel. Larger blocks are mappings of their own, which do go back. In front
//! of each block lies a word that says what it is, because C frees blocks without telling their size.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

use rustix::mm::{MapFlags, MremapFlags, ProtFlags, mmap_anonymous, mremap, munmap};

/// Bytes in front of a block, of which the word takes the last.
const HEADER: usize = 8;
/// Every block is aligned to this: blocks and their headers are cut in multiples of it.
const ALIGN: usize = 16;
const PAGE: usize = 4096;
/// What small blocks are cut from.
const PIECE: usize = 256 << 10;
/// The largest small block, with its header.
const SMALL: usize = 64 << 10;
/// How many sizes small blocks have.
const SIZES: usize = 44;

// What the word in front of a block says, in its two lowest bits.
/// The block is a mapping. The other bits are the length of the mapping.
const MAPPED: usize = 0;
/// The block is a small one. The other bits are the number of its size.
const CUT: usize = 1;
/// The block begins inside another one, for its alignment. The other bits are the distance.
const INSIDE: usize = 2;
const KIND: usize = 3;

/// The heap of the process.
#[derive(Debug)]
pub struct Heap;

struct State {
    /// The last freed block of each size, which begins with the address of the one before.
    free: [*mut u8; SIZES],
    /// What is left of the last piece. Blocks begin eight bytes before a multiple of 16 there, as their headers do.
    rest: *mut u8,
    len: usize,
}

struct Locked {
    is_taken: AtomicBool,
    state: UnsafeCell<State>,
}

// SAFETY: the state is used by who has set `is_taken`, and what it points to belongs to the heap.
unsafe impl Sync for Locked {}

static HEAP: Locked = Locked {
    is_taken: AtomicBool::new(false),
    state: UnsafeCell::new(State {
        free: [ptr::null_mut(); SIZES],
        rest: ptr::null_mut(),
        len: 0,
    }),
};

/// Calls `work` with the state, for one thread at a time. It is over soon, so nobody sleeps.
fn locked<T>(work: impl FnOnce(&mut State) -> T) -> T {
    while HEAP.is_taken.swap(true, Ordering::Acquire) {
        rustix::thread::sched_yield();
    }
    // SAFETY: there is no other reference, by `is_taken`; `work` does not come here.
    let result = work(unsafe { &mut *HEAP.state.get() });
    HEAP.is_taken.store(false, Ordering::Release);
    result
}

/// The number of the smallest size that has room for so many bytes, 1 to [`SMALL`].
fn number_of(bytes: usize) -> usize {
    let last = bytes.wrapping_sub(1);
    if last < 64 {
        return last >> 4;
    }
    // At least 6: the sizes with the same highest bit in `last` are a quarter of it apart.
    let power = last.ilog2();
    let quarter = last.wrapping_shr(power.wrapping_sub(2)) & 3;
    let before = usize::try_from(power.wrapping_sub(5)).unwrap_or(0);
    before.wrapping_mul(4).wrapping_add(quarter)
}

/// A size by its number.
fn size_of(number: usize) -> usize {
    let quarter = number & 3;
    match u32::try_from(number >> 2).unwrap_or(0) {
        0 => quarter.wrapping_add(1) << 4,
        power => quarter.wrapping_add(5).wrapping_shl(power.wrapping_add(3)),
    }
}

/// Memory from the kernel: zeros.
fn map(len: usize) -> Option<*mut u8> {
    let rights = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping, at a place where there is none.
    let place = unsafe { mmap_anonymous(ptr::null_mut(), len, rights, MapFlags::PRIVATE) };
    place.ok().map(<*mut c_void>::cast)
}

/// The length of a mapping for a block with its header. The block begins at [`ALIGN`] in it.
fn mapping_for(bytes: usize) -> Option<usize> {
    bytes.checked_add(HEADER)?.checked_next_multiple_of(PAGE)
}

/// The word in front of a block.
///
/// # Safety
///
/// `block` is a block of this heap.
unsafe fn word(block: *mut u8) -> *mut usize {
    // SAFETY: eight bytes in front of a block are its header's, and a block is aligned to 16.
    unsafe { block.sub(HEADER).cast() }
}

/// A block, and whether it is all zeros.
fn take(size: usize, align: usize) -> Option<(*mut u8, bool)> {
    let more = if align > ALIGN { align } else { 0 };
    let bytes = size.checked_add(more)?.checked_add(HEADER)?;
    let is_mapped = bytes > SMALL;
    let (block, content) = if is_mapped {
        let len = mapping_for(bytes)?;
        (map(len)?.wrapping_add(ALIGN), len | MAPPED)
    } else {
        let number = number_of(bytes);
        (cut(number)?, number << 2 | CUT)
    };
    // SAFETY: the header and, further on, the distance lie in what has just been taken. `more` has made room for it.
    unsafe {
        *word(block) = content;
        let distance = block.align_offset(align);
        if distance == 0 {
            return Some((block, is_mapped));
        }
        let inside = block.add(distance);
        *word(inside) = distance << 2 | INSIDE;
        Some((inside, is_mapped))
    }
}

/// A small block.
fn cut(number: usize) -> Option<*mut u8> {
    locked(|state| {
        let list = state.free.get_mut(number)?;
        let block = *list;
        if !block.is_null() {
            // SAFETY: a freed block begins with the address of the one before.
            *list = unsafe { *block.cast() };
            return Some(block);
        }
        let size = size_of(number);
        if state.len < size {
            // What is left of the last piece is never used, and mostly was never touched.
            state.rest = map(PIECE)?.wrapping_add(HEADER);
            state.len = PIECE.wrapping_sub(HEADER);
        }
        let block = state.rest.wrapping_add(HEADER);
        state.rest = state.rest.wrapping_add(size);
        state.len = state.len.wrapping_sub(size);
        Some(block)
    })
}

/// The block that another begins in, the distance, and what its word says.
///
/// # Safety
///
/// `block` is a block of this heap.
unsafe fn whole(block: *mut u8) -> (*mut u8, usize, usize) {
    // SAFETY: as promised; the distance leads to the block around it.
    unsafe {
        let content = *word(block);
        if content & KIND != INSIDE {
            return (block, 0, content);
        }
        let distance = content >> 2;
        let around = block.sub(distance);
        (around, distance, *word(around))
    }
}

impl Heap {
    /// Frees a block.
    ///
    /// # Safety
    ///
    /// `block` is one that this heap gave out, and nobody uses it any more.
    pub unsafe fn free(block: *mut u8) {
        // SAFETY: as promised. A mapping ends with its only block.
        unsafe {
            let (block, _, content) = whole(block);
            if content & KIND == MAPPED {
                let _ = munmap(block.sub(ALIGN).cast(), content);
                return;
            }
            locked(|state| {
                if let Some(list) = state.free.get_mut(content >> 2) {
                    *block.cast() = *list;
                    *list = block;
                }
            });
        }
    }

    /// Gives a block another size, mostly in another place.
    ///
    /// # Safety
    ///
    /// As for [`Heap::free`]; when the result is null, the block is still there.
    pub unsafe fn resize(block: *mut u8, align: usize, size: usize) -> *mut u8 {
        // SAFETY: as promised; the copy has at most the size of both blocks.
        unsafe {
            let (around, distance, content) = whole(block);
            let is_mapped = content & KIND == MAPPED;
            let room = if is_mapped {
                content.wrapping_sub(ALIGN)
            } else {
                size_of(content >> 2).wrapping_sub(HEADER)
            };
            let room = room.wrapping_sub(distance);
            if size <= room && size >= room >> 1 {
                return block;
            }
            if is_mapped && distance == 0 && size > SMALL {
                return remap(around, content, size).unwrap_or(ptr::null_mut());
            }
            let Some((new, _)) = take(size, align) else {
                return ptr::null_mut();
            };
            ptr::copy_nonoverlapping(block, new, room.min(size));
            Heap::free(block);
            new
        }
    }
}

/// Gives a block that is a mapping of `len` bytes another size.
///
/// # Safety
///
/// As for [`Heap::free`].
unsafe fn remap(block: *mut u8, len: usize, size: usize) -> Option<*mut u8> {
    let new_len = mapping_for(size.checked_add(HEADER)?)?;
    // SAFETY: the whole of a mapping whose only block is the caller's, and nobody uses its old place any more.
    unsafe {
        let old = block.sub(ALIGN).cast();
        let new = mremap(old, len, new_len, MremapFlags::MAYMOVE).ok()?;
        let block = new.cast::<u8>().add(ALIGN);
        *word(block) = new_len | MAPPED;
        Some(block)
    }
}

// SAFETY: blocks have the size and alignment that was asked for, and belong to one owner at a time.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size(), layout.align()).map_or(ptr::null_mut(), |(block, _)| block)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some((block, is_zero)) = take(layout.size(), layout.align()) else {
            return ptr::null_mut();
        };
        if !is_zero {
            // SAFETY: the block has this size.
            unsafe { ptr::write_bytes(block, 0, layout.size()) };
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller's promise.
        unsafe { Heap::free(block) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { Heap::resize(block, layout.align(), size) }
    }
}

/// Makes the heap the one of the program's C code: `c_heap!()` defines `malloc` and its like, where the C library is
/// musl. With others, which are not in a stub that is distributed, that code keeps the library's.
///
/// A macro, because the symbols must be in the program, and `unsafe` must be here.
#[macro_export]
macro_rules! c_heap {
    () => {
        #[cfg(target_env = "musl")]
        mod c_heap {
            use core::alloc::{GlobalAlloc as _, Layout};
            use core::ffi::c_void;
            use core::ptr;

            use $crate::sys::Heap;

            // SAFETY, of all that follows: C code passes on only what these functions gave it, and each block to `free`
            // or `realloc` once.

            /// Every block's alignment in C.
            const ALIGN: usize = 16;

            #[unsafe(no_mangle)]
            unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
                unsafe { aligned_alloc(ALIGN, size) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
                match Layout::from_size_align(size, align) {
                    Ok(layout) => unsafe { Heap.alloc(layout).cast() },
                    Err(_) => ptr::null_mut(),
                }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
                let layout = count
                    .checked_mul(size)
                    .and_then(|size| Layout::from_size_align(size, ALIGN).ok());
                match layout {
                    Some(layout) => unsafe { Heap.alloc_zeroed(layout).cast() },
                    None => ptr::null_mut(),
                }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
                if block.is_null() {
                    unsafe { malloc(size) }
                } else {
                    unsafe { Heap::resize(block.cast(), ALIGN, size).cast() }
                }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn free(block: *mut c_void) {
                if !block.is_null() {
                    unsafe { Heap::free(block.cast()) }
                }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_the_next_ones_and_a_quarter_apart() {
        assert_eq!((0..8).map(size_of).max(), Some(128));
        assert_eq!(size_of(SIZES - 1), SMALL);
        for bytes in 1..=SMALL {
            let number = number_of(bytes);
            assert!(size_of(number) >= bytes && size_of(number).is_multiple_of(ALIGN));
            assert!(number == 0 || size_of(number - 1) < bytes);
            assert!(size_of(number) < bytes + ALIGN || size_of(number) * 4 <= bytes * 5);
        }
    }

    #[test]
    fn freed_blocks_are_used_again_and_mappings_grow() {
        // A size and an alignment that no other test has: they share the heap.
        let layout = |size| Layout::from_size_align(size, 16).unwrap_or(Layout::new::<u8>());
        // SAFETY: every block is used within its size, and freed once.
        unsafe {
            let first = Heap.alloc(layout(51_234));
            first.write_bytes(7, 51_234);
            Heap.dealloc(first, layout(51_234));
            let second = Heap.alloc_zeroed(layout(50_123));
            assert_eq!(first, second);
            assert!((0..50_123).all(|at| *second.add(at) == 0));
            // Larger than small ones, several times, and small again.
            second.write_bytes(7, 50_123);
            let mut block = second;
            let mut old = 50_123;
            for size in [70_000, 69_000, 9 << 20, 40 << 20, 5 << 20, 100] {
                block = Heap.realloc(block, layout(old), size);
                assert!(!block.is_null() && block.addr() % 16 == 0);
                assert!((0..size.min(50_123)).all(|at| *block.add(at) == 7));
                block.add(size - 1).write(7);
                old = size;
            }
            Heap.dealloc(block, layout(old));
            let Ok(too_much) = Layout::from_size_align(1 << 60, 16) else {
                panic!("a layout");
            };
            assert!(Heap.alloc(too_much).is_null());
        }
    }

    struct Block {
        place: *mut u8,
        layout: Layout,
        value: u8,
    }

    impl Block {
        fn check(&self, size: usize) {
            // SAFETY: within the block.
            let bytes = unsafe { core::slice::from_raw_parts(self.place, size) };
            assert!(bytes.iter().all(|&byte| byte == self.value));
            assert!(self.place.addr().is_multiple_of(self.layout.align()));
        }
    }

    /// Numbers without pattern: xorshift64.
    fn next(state: &mut u64) -> usize {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        usize::try_from(*state >> 8).unwrap_or(0)
    }

    /// A thread's blocks come, change their size, and go.
    fn use_it(seed: u64) {
        let mut state = seed;
        let mut blocks: Vec<Block> = Vec::new();
        for round in 0..5_000 {
            let size = 1 + next(&mut state) % (1 << (next(&mut state) % 19));
            // SAFETY: every block is used within its size, and freed once.
            unsafe {
                if blocks.len() < 50 || round % 3 == 0 && blocks.len() < 500 {
                    let align = 1 << (next(&mut state) % if round % 50 == 0 { 18 } else { 6 });
                    let layout =
                        Layout::from_size_align(size, align).unwrap_or(Layout::new::<u8>());
                    let value = seed as u8 ^ round as u8;
                    let is_zeroed = round % 2 == 0;
                    let place = if is_zeroed {
                        Heap.alloc_zeroed(layout)
                    } else {
                        Heap.alloc(layout)
                    };
                    let mut block = Block {
                        place,
                        layout,
                        value: 0,
                    };
                    if is_zeroed {
                        block.check(layout.size());
                    }
                    place.write_bytes(value, layout.size());
                    block.value = value;
                    blocks.push(block);
                    continue;
                }
                let mut block = blocks.swap_remove(next(&mut state) % blocks.len());
                block.check(block.layout.size());
                if round % 3 == 1 {
                    block.place = Heap.realloc(block.place, block.layout, size);
                    block.check(size.min(block.layout.size()));
                    block.layout = Layout::from_size_align(size, block.layout.align())
                        .unwrap_or(Layout::new::<u8>());
                    block.place.write_bytes(block.value, size);
                    blocks.push(block);
                } else {
                    Heap.dealloc(block.place, block.layout);
                }
            }
        }
        for block in blocks {
            block.check(block.layout.size());
            // SAFETY: as above.
            unsafe { Heap.dealloc(block.place, block.layout) };
        }
    }

    #[test]
    fn threads_do_not_disturb_each_other() {
        std::thread::scope(|scope| {
            for seed in 1..5_u64 {
                scope.spawn(move || use_it(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
            }
        });
    }
}
