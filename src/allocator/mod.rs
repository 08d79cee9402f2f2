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
