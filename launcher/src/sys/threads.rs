//! Threads that live as long as one call, by the C library: the standard library's own take 8 KB of every package, with
//! names, handlers and results that nobody asks for here.

use core::ffi::{c_int, c_void};
use core::ptr;

/// Bytes of stack of a thread: what a decoder and a walk need, several times.
const STACK: usize = 256 << 10;

/// `pthread_t`: a number or a pointer, of the size of a pointer.
type Thread = usize;
type Start = extern "C" fn(*mut c_void) -> *mut c_void;

/// `pthread_attr_t`: 56 to 64 bytes, with pointers in it.
#[repr(C)]
struct Attributes([u64; 16]);

unsafe extern "C" {
    fn pthread_attr_init(attributes: *mut Attributes) -> c_int;
    fn pthread_attr_setstacksize(attributes: *mut Attributes, size: usize) -> c_int;
    fn pthread_attr_destroy(attributes: *mut Attributes) -> c_int;
    fn pthread_create(
        thread: *mut Thread,
        attributes: *const Attributes,
        start: Start,
        argument: *mut c_void,
    ) -> c_int;
    fn pthread_join(thread: Thread, result: *mut *mut c_void) -> c_int;
}

type Work<'a> = dyn Fn() + Sync + 'a;

/// Calls `work` on this thread and on up to `helpers` others, and comes back when all calls have. Where the host allows
/// no further thread, those that are there do the work.
pub fn share(helpers: usize, work: &Work<'_>) {
    // Dropped last, also when `work` panics: the threads use what this call borrows.
    let mut threads = Threads(Vec::with_capacity(helpers));
    let argument = (&raw const work).cast_mut().cast();
    let mut attributes = Attributes([0; 16]);
    // SAFETY: initialised before it is used, and destroyed once.
    let is_ready = unsafe {
        pthread_attr_init(&raw mut attributes) == 0
            && pthread_attr_setstacksize(&raw mut attributes, STACK) == 0
    };
    while is_ready && threads.0.len() < helpers {
        let mut thread = 0;
        // SAFETY: `argument` points to `work`, which can be called by several threads at once and outlives them.
        let code =
            unsafe { pthread_create(&raw mut thread, &raw const attributes, call, argument) };
        if code != 0 {
            break;
        }
        threads.0.push(thread);
    }
    // SAFETY: as above. The threads keep no reference to it.
    unsafe { pthread_attr_destroy(&raw mut attributes) };
    work();
}

/// What a thread does. A panic in it ends the process: it cannot leave a function of the C calling convention.
extern "C" fn call(argument: *mut c_void) -> *mut c_void {
    // SAFETY: `share` passes a pointer to its reference, and waits for this thread before it returns.
    let work: &&Work<'_> = unsafe { &*argument.cast_const().cast() };
    work();
    ptr::null_mut()
}

/// Threads that have been started; waits for them when dropped.
struct Threads(Vec<Thread>);

impl Drop for Threads {
    fn drop(&mut self) {
        for &thread in &self.0 {
            // SAFETY: a thread that was started and has not been waited for.
            unsafe { pthread_join(thread, ptr::null_mut()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::Barrier;

    use super::share;

    #[test]
    fn all_calls_have_come_back() {
        let (calls, together) = (AtomicUsize::new(0), Barrier::new(4));
        share(3, &|| {
            // Passed only when all four are here at once.
            together.wait();
            calls.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(calls.into_inner(), 4);
        let calls = AtomicUsize::new(0);
        share(0, &|| _ = calls.fetch_add(1, Ordering::Relaxed));
        assert_eq!(calls.into_inner(), 1);
    }
}
