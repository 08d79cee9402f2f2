//! Memory that an import keeps instead of giving it back and asking for it again.
//!
//! An import frees and asks for the same megabytes all the time: buffers of rows, columns on their way, pages that are compressed.
//! Given back to the system, each comes again in pages of 4 KB that the system clears one by one, which took a sixth of an import's
//! time. So an import keeps what it has, in huge pages where the system has them. What is kept grows slowly with the rows, since
//! freed blocks of one size do not always suit another; from a bound on memory is given back, until there is less again.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::{PURGE_DELAY, USUAL_DELAY, mi_option_set};

/// Bytes of the process from which on freed memory is given back: an import may have 512 MB, and what is freed goes back with a delay.
const MOST: usize = 448 << 20;
/// Bytes below which nothing is given back any more: close to the other, since what goes back comes again page by page.
const LEAST: usize = 424 << 20;
/// Milliseconds until freed memory goes back while there is too much.
const SHORT_DELAY: i64 = 10;
/// How often the process's memory is looked at: an import takes a gigabyte in a second at most.
const LOOK: Duration = Duration::from_millis(10);

/// While this lives, freed memory is kept.
pub(crate) struct KeptMemory {
    watcher: Option<(Sender<()>, JoinHandle<()>)>,
}

impl KeptMemory {
    /// Begins to keep memory, where the system says how much a process has.
    pub(crate) fn begin() -> Self {
        let (sender, ended) = mpsc::channel();
        if system::resident().is_none() {
            return Self { watcher: None };
        }
        system::ask_for_huge_pages();
        mi_option_set(PURGE_DELAY, -1);
        let watch = move || {
            let mut is_kept = true;
            while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                let Some(bytes) = system::resident() else { return };
                if bytes > MOST && is_kept || bytes < LEAST && !is_kept {
                    is_kept = !is_kept;
                    mi_option_set(PURGE_DELAY, if is_kept { -1 } else { SHORT_DELAY });
                }
            }
        };
        match Builder::new().name("kqlake-memory".to_owned()).stack_size(64 << 10).spawn(watch) {
            Ok(thread) => Self { watcher: Some((sender, thread)) },
            Err(_) => {
                mi_option_set(PURGE_DELAY, USUAL_DELAY);
                Self { watcher: None }
            }
        }
    }
}

impl Drop for KeptMemory {
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.watcher.take() {
            drop(sender);
            drop(thread.join());
            mi_option_set(PURGE_DELAY, USUAL_DELAY);
        }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::ffi::{c_int, c_ulong, c_void};
    use std::ops::Range;

    /// Of linux/prctl.h: whether a process may have huge pages. The allocator begins without.
    const PR_SET_THP_DISABLE: c_int = 41;
    /// Of the same: only where they are asked for. Linux 6.18 and later; others refuse it.
    const PR_THP_DISABLE_EXCEPT_ADVISED: c_ulong = 2;
    /// Of asm-generic/mman-common.h: huge pages are asked for.
    const MADV_HUGEPAGE: c_int = 14;
    /// An arena of the allocator has a gigabyte of addresses.
    const LEAST_ARENA: usize = 256 << 20;

    #[expect(unsafe_code, reason = "functions of the C library that its crates do not have, or not without the whole crate")]
    unsafe extern "C" {
        // With the option that is used here it changes nothing but the speed of memory.
        safe fn prctl(option: c_int, a: c_ulong, b: c_ulong, c: c_ulong, d: c_ulong) -> c_int;
        fn madvise(address: *mut c_void, length: usize, advice: c_int) -> c_int;
    }

    /// Bytes of memory that the process has.
    pub(super) fn resident() -> Option<usize> {
        let text = std::fs::read_to_string("/proc/self/status").ok()?;
        let kilobytes = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?;
        Some(kilobytes.parse::<usize>().ok()? << 10)
    }

    /// Asks for huge pages in the allocator's arena, whose memory the system gives when it is first touched.
    pub(super) fn ask_for_huge_pages() {
        // Larger than what stands beside small blocks in memory of its own.
        let block: Vec<u8> = Vec::with_capacity(4096);
        let Some(arena) = std::fs::read_to_string("/proc/self/maps").ok().and_then(|maps| arena(&maps, block.as_ptr() as usize))
        else {
            return;
        };
        if prctl(PR_SET_THP_DISABLE, 1, PR_THP_DISABLE_EXCEPT_ADVISED, 0, 0) != 0 {
            prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
        }
        #[expect(
            unsafe_code,
            reason = "the advice changes nothing of what memory holds, and where there are no huge pages it is refused"
        )]
        // SAFETY: this advice may be given for any address.
        unsafe {
            madvise(arena.start as *mut c_void, arena.len(), MADV_HUGEPAGE);
        }
    }

    /// The anonymous memory around an address, of what `/proc/self/maps` lists, where it is an arena by its size.
    fn arena(maps: &str, address: usize) -> Option<Range<usize>> {
        let hex = |text: &str| usize::from_str_radix(text, 16).ok();
        let of_line = |line: &str| {
            let mut fields = line.split_ascii_whitespace();
            let (start, end) = fields.next()?.split_once('-')?;
            let is_anonymous = fields.next()? == "rw-p" && fields.nth(2)? == "0";
            is_anonymous.then_some(hex(start)?..hex(end)?)
        };
        maps.lines().filter_map(of_line).find(|range| range.contains(&address)).filter(|range| range.len() >= LEAST_ARENA)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn an_arena_is_large_anonymous_memory_around_an_address() {
            let maps = "00400000-08400000 r-xp 00000000 fe:00 12 /bin/kqlake\n\
                        10000000-50000000 rw-p 00000000 00:00 0 \n\
                        60000000-60010000 rw-p 00000000 00:00 0 [heap]\n\
                        70000000-b0000000 rw-p 00000000 fe:00 13 /tmp/file\n";
            assert_eq!(arena(maps, 0x1000_0010), Some(0x1000_0000..0x5000_0000));
            for outside in [0x0040_0000, 0x5000_0000, 0x6000_0000, 0x7000_0000] {
                assert_eq!(arena(maps, outside), None);
            }
            assert_eq!(arena("odd\n\n1-z rw-p 0 0 0\n", 1), None);
        }

        #[test]
        fn a_process_has_memory() {
            let memory = vec![1_u8; 64 << 20];
            assert!(resident().is_some_and(|bytes| bytes > memory.len()), "{:?}", memory.last());
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub(super) fn resident() -> Option<usize> {
        None
    }

    pub(super) fn ask_for_huge_pages() {}
}
