//! Signals that ask the process to end: Ctrl-C, SIGTERM, and SIGHUP where nobody asked to ignore it (`nohup`).

use std::time::Duration;

use tokio::sync::oneshot;

use super::report;
use crate::error::status;
use kqlake_durable as durable;
use kqlake_durable::pipe;

/// How long work that was asked to stop may take to clean up. A call that blocks (a pipe that nobody reads, a long
/// computation) must not hold the process for longer.
const GRACE: Duration = Duration::from_secs(5);
/// How long work may take that ends at its next commit: rows may have to be sorted and written before.
const GRACE_TO_COMMIT: Duration = Duration::from_secs(75);

/// Watches for a signal from now on. The receiver gets the exit status that tells which one came; the process ends with it
/// after some seconds, or at the second signal, if its work does not end by itself; work that commits has more of them.
///
/// Is called inside a runtime.
pub(super) fn watch(commits: bool) -> oneshot::Receiver<u8> {
    let (tell, told) = oneshot::channel();
    let mut signals = Signals::new();
    tokio::spawn(async move {
        let status = signals.next().await;
        // Nobody listens when the work has just ended.
        let _ = tell.send(status);
        // Who waits for a pipe's other end does not see the signal, and has nothing to clean up that is not abandoned here.
        let grace = match commits {
            _ if pipe::is_waiting() => Duration::ZERO,
            true => GRACE_TO_COMMIT,
            false => GRACE,
        };
        let _ = tokio::time::timeout(grace, signals.next()).await;
        for kept in durable::abandon_all() {
            report::line(format_args!("a file was being written over; all of its new content is kept in {}", kept.display()));
        }
        std::process::exit(i32::from(status));
    });
    told
}

#[cfg(unix)]
struct Signals {
    interrupt: Option<tokio::signal::unix::Signal>,
    terminate: Option<tokio::signal::unix::Signal>,
    hang_up: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn new() -> Signals {
        use tokio::signal::unix::{SignalKind, signal};
        Signals {
            interrupt: signal(SignalKind::interrupt()).ok(),
            terminate: signal(SignalKind::terminate()).ok(),
            hang_up: if hang_up_is_ignored() { None } else { signal(SignalKind::hangup()).ok() },
        }
    }

    async fn next(&mut self) -> u8 {
        async fn came(signal: &mut Option<tokio::signal::unix::Signal>) {
            match signal {
                Some(signal) => {
                    signal.recv().await;
                }
                None => std::future::pending().await,
            }
        }
        tokio::select! {
            () = came(&mut self.interrupt) => status::INTERRUPTED,
            () = came(&mut self.terminate) => status::TERMINATED,
            () = came(&mut self.hang_up) => status::HUNG_UP,
        }
    }
}

/// True where the process was started with SIGHUP ignored, and where that cannot be known: catching it would undo `nohup`.
#[cfg(unix)]
fn hang_up_is_ignored() -> bool {
    const SIGHUP_BIT: u64 = 1;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).map(|mask| u64::from_str_radix(mask.trim(), 16));
    mask.and_then(Result::ok).is_none_or(|mask| mask & SIGHUP_BIT != 0)
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> Signals {
        Signals
    }

    async fn next(&mut self) -> u8 {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        status::INTERRUPTED
    }
}
