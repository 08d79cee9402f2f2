//! The time that a query may take, and threads whose work cannot hold up who waits for it.
//!
//! Planning computes without a pause, and so does a kernel over a batch; a timer of the runtime would be looked at only after
//! them, or never, when every worker is busy. So that work runs on threads of its own, and the deadline is a thread that
//! sleeps. Work that is given up ends at its next pause, or with the process.

use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use super::threads::start;
use crate::error::{Error, Result};

/// When a query must be done.
#[derive(Debug, Clone)]
pub(super) struct Deadline(Option<Arc<Alarm>>);

#[derive(Debug)]
struct Alarm {
    limit: Duration,
    rung: watch::Receiver<bool>,
    /// Dropped with the last waiter, which ends the sleeping thread.
    _wanted: Sender<()>,
}

impl Deadline {
    /// A time from now; `None` never.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn after(limit: Option<Duration>) -> Result<Deadline> {
        let Some(limit) = limit else { return Ok(Deadline(None)) };
        let (wanted, unwanted) = channel::<()>();
        let (ring, rung) = watch::channel(false);
        let sleep = move || {
            if unwanted.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                ring.send_replace(true);
            }
        };
        start(sleep).map_err(no_thread)?;
        Ok(Deadline(Some(Arc::new(Alarm { limit, rung, _wanted: wanted }))))
    }

    /// Awaits something that never computes for long, but not longer than until the deadline.
    ///
    /// # Errors
    /// When the deadline comes first.
    pub(super) async fn bound<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        let Some(alarm) = &self.0 else { return Ok(work.await) };
        let mut rung = alarm.rung.clone();
        tokio::select! {
            biased;
            // The alarm's thread ends without having rung only when the alarm was dropped.
            true = async { rung.wait_for(|rung| *rung).await.is_ok() } => {}
            done = work => return Ok(done),
        }
        Err(Error::query(format!("the query ran longer than the {} s it may take", alarm.limit.as_secs_f64()))
            .hint("raise --timeout, or narrow the query: a shorter time range reads fewer files"))
    }

    /// Does work on a thread of its own, with a stack for deep trees, and waits for it until the deadline.
    ///
    /// # Errors
    /// When the deadline comes first, the system gives no thread, or the work panics.
    pub(super) async fn on_own_thread<T, W>(&self, work: impl FnOnce() -> W + Send + 'static) -> Result<T>
    where
        T: Send + 'static,
        W: Future<Output = T>,
    {
        let (done, result) = oneshot::channel();
        spawn(move || async move {
            // Without a receiver the result is not needed.
            let _ = done.send(work().await);
        })?;
        self.bound(result).await?.map_err(|_| Error::Defect("a thread of the query ended early".to_owned()))
    }
}

/// Starts work on a thread of its own, with a stack for deep trees, inside the current runtime.
///
/// # Errors
/// When the system gives no thread.
pub(super) fn spawn<W: Future<Output = ()>>(work: impl FnOnce() -> W + Send + 'static) -> Result<()> {
    let runtime = Handle::current();
    start(move || runtime.block_on(work())).map_err(no_thread)
}

fn no_thread(err: std::io::Error) -> Error {
    Error::storage("cannot start a thread for the query", err)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn work_that_never_pauses_is_given_up_at_the_deadline() {
        let deadline = Deadline::after(Some(Duration::from_millis(50))).unwrap();
        let (end, ended) = channel::<()>();
        let begin = Instant::now();
        // Blocks its thread until this test is over.
        let result = deadline.on_own_thread(move || async move { ended.recv().is_ok() }).await;
        assert_eq!(result.unwrap_err().to_string(), "the query ran longer than the 0.05 s it may take");
        assert!(begin.elapsed() < Duration::from_secs(20));
        drop(end);
    }

    #[tokio::test]
    async fn work_in_time_gives_its_result_and_a_panic_is_an_error() {
        for limit in [None, Some(Duration::from_secs(600)), Some(Duration::MAX)] {
            let deadline = Deadline::after(limit).unwrap();
            assert_eq!(deadline.on_own_thread(|| async { 7 }).await.unwrap(), 7);
            assert_eq!(deadline.bound(async { 8 }).await.unwrap(), 8);
        }
        let deadline = Deadline::after(None).unwrap();
        assert!(matches!(deadline.on_own_thread(|| async { panic!("on purpose") }).await, Err::<(), _>(Error::Defect(_))));
    }
}
