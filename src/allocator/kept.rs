//! Memory that an import keeps instead of giving it back and asking for it again.
//!
//! An import frees and asks for the same megabytes all the time: buffers of rows, columns on their way, pages that are compressed.
//! Given back to the system, each comes again in pages of 4 KB that the system clears one by one. So an import keeps what it has.
//! What is kept grows slowly with the rows, since freed blocks of one size do not always suit another; from a bound on memory is
//! given back, until there is less again.

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
        if resident().is_none() {
            return Self { watcher: None };
        }
        mi_option_set(PURGE_DELAY, -1);
        let watch = move || {
            let mut is_kept = true;
            while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                let Some(bytes) = resident() else { return };
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

/// Bytes of memory that the process has, where the system says it in a file.
fn resident() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?;
    Some(kilobytes.parse::<usize>().ok()? << 10)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_the_memory_that_it_touched() {
        let memory = vec![1_u8; 64 << 20];
        let bytes = resident().expect("the system says it");
        assert!(bytes > memory.len() && memory.last() == Some(&1), "{bytes}");
    }
}
