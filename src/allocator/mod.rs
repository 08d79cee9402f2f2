//! The allocator's settings.

mod kept;

use std::ffi::{c_int, c_long};

pub(crate) use kept::KeptMemory;

// The program's allocator, whose library has the function below.
use mimalloc as _;

/// `mi_option_purge_delay` of mimalloc.h: milliseconds until freed memory goes back to the system, tenfold for that of whole
/// arenas; 1,000 where nothing is said.
const PURGE_DELAY: c_int = 15;
/// What it is where nothing is said.
const USUAL_DELAY: c_long = 1_000;

#[expect(unsafe_code, reason = "mimalloc's crate has no function for its options")]
unsafe extern "C" {
    // Any option may be set to any value at any time: options are read as single numbers.
    safe fn mi_option_set(option: c_int, value: c_long);
}

/// `M_ARENA_MAX` of glibc's malloc.h: how many heaps its own allocator makes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const ARENA_MAX: c_int = -8;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the C library's own allocator, which only the C library and compressors use")]
unsafe extern "C" {
    // May be called at any time, with any value.
    safe fn mallopt(option: c_int, value: c_int) -> c_int;
}

/// Lets all threads share one heap of the C library's allocator, which the program itself does not use. The library asks it for a few
/// bytes in each new thread, and would set 128 MB of addresses apart for it, which takes as long as the thread's start.
pub(crate) fn one_heap_of_c() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    mallopt(ARENA_MAX, 1);
}

/// Gives freed memory back at once, for what reads blobs of hundreds of megabytes and may stay for hours: three of 150,000 audit
/// records take 213 instead of 390 MB, and a third more of the processor's time. A delay, however short, would count only when the
/// one is over that the allocator began with.
pub(crate) fn give_back_early() {
    mi_option_set(PURGE_DELAY, 0);
}

/// Gives nothing more back: for the end of the process, when the system takes all at once. What the allocator frees then would go
/// back in pieces of 64 KB, which takes milliseconds.
pub(crate) fn give_nothing_back() {
    mi_option_set(PURGE_DELAY, -1);
}

/// Bytes of a memory limit below which a query gives back at once what it frees. It frees a hundred megabytes and more in a second, which
/// would stay with it for as long, and pass a small limit by more than a quarter.
const SMALL_LIMIT: usize = 1 << 30;

/// Sets the allocator up for queries that may have `limit` bytes of memory.
pub(crate) fn for_queries(limit: usize) {
    if limit < SMALL_LIMIT {
        give_back_early();
    } else {
        large_pages_for_much();
    }
}

/// Bytes of the heap from its beginning on that stay in pages of 4 KB: most queries need no more, and clearing 2 MB for each of the
/// pages that they touch would take them longer than it saves.
#[cfg(target_os = "linux")]
const SMALL_PAGES: usize = 16 << 20;
/// Bytes behind those that are asked for in large pages at most. Not all that follow, since what is freed of a large page stays with it.
#[cfg(target_os = "linux")]
const LARGE_PAGES: usize = 128 << 20;
/// Bytes of a large page.
#[cfg(target_os = "linux")]
const LARGE_PAGE: usize = 2 << 20;

/// Asks for large pages, where the system has them, for what a query takes of the heap behind its first megabytes: 4 KB at a time, a
/// quarter of the time of a query that takes 60 MB goes into pages that it touches for the first time.
fn large_pages_for_much() {
    #[cfg(target_os = "linux")]
    {
        use std::ffi::c_void;
        use std::hint::black_box;

        /// `MADV_HUGEPAGE` of Linux.
        const HUGEPAGE: c_int = 14;

        #[expect(unsafe_code, reason = "the standard library has no function for advice about memory")]
        unsafe extern "C" {
            fn madvise(begin: *mut c_void, bytes: usize, advice: c_int) -> c_int;
        }

        // The allocator takes addresses for a gigabyte at once and begins at their beginning.
        let beginning = black_box(Box::new(0_u8));
        let from = (std::ptr::from_ref(&*beginning).addr() + SMALL_PAGES).next_multiple_of(LARGE_PAGE);
        #[expect(unsafe_code, reason = "as above")]
        // SAFETY: this advice changes neither what memory holds nor what is mapped, whatever there is at these addresses. Where the
        // system does not take it, nothing is lost.
        let _ = unsafe { madvise(std::ptr::without_provenance_mut(from), LARGE_PAGES, HUGEPAGE) };
    }
}
