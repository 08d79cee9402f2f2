//! The allocator's settings.

use std::ffi::{c_int, c_long};

// The program's allocator, whose library has the function below.
use mimalloc as _;

/// `mi_option_purge_delay` of mimalloc.h: milliseconds until freed memory goes back to the system, tenfold for that of whole
/// arenas; 1,000 where nothing is said.
const PURGE_DELAY: c_int = 15;

#[expect(unsafe_code, reason = "mimalloc's crate has no function for its options")]
unsafe extern "C" {
    // Any option may be set to any value at any time: options are read as single numbers.
    safe fn mi_option_set(option: c_int, value: c_long);
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
