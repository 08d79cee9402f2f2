//! Threads with a stack for deep trees, which do one piece of work after the other.
//!
//! A query takes three of them: one that sleeps until its time is over, one that plans it, one that drives it. To start a thread with
//! all that belongs to it takes a tenth of a millisecond, and its stack and heap are cold; so one that is done waits a moment for more.

use std::io;
use std::sync::mpsc::{SendError, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Builder, ThreadId};
use std::time::Duration;

/// Stack of a thread that plans and drives queries. Memory is taken only as far as the stack is used; deep trees need it.
pub const STACK: usize = 512 << 20;

/// How long a thread waits for more work. What deep trees took of its stack stays with it.
const PATIENCE: Duration = Duration::from_secs(1);

type Work = Box<dyn FnOnce() + Send>;

/// A thread that waits for work.
struct Waiting {
    id: ThreadId,
    work: Sender<Work>,
}

static WAITING: Mutex<Vec<Waiting>> = Mutex::new(Vec::new());

fn waiting() -> MutexGuard<'static, Vec<Waiting>> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does work on a thread that has no other, whatever becomes of it.
///
/// # Errors
/// When the system gives no thread.
pub(super) fn start(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let mut work: Work = Box::new(work);
    let next = || waiting().pop();
    while let Some(thread) = next() {
        match thread.work.send(work) {
            Ok(()) => return Ok(()),
            Err(SendError(back)) => work = back,
        }
    }
    Builder::new().name("kqlake-query".to_owned()).stack_size(STACK).spawn(move || serve(work)).map(drop)
}

/// Does work, and what comes after it. Work that panics ends the thread.
fn serve(first: Work) {
    let (sender, more) = channel();
    let id = thread::current().id();
    let mut work = first;
    loop {
        work();
        waiting().push(Waiting { id, work: sender.clone() });
        let next = more.recv_timeout(PATIENCE).or_else(|_| {
            let mut all = waiting();
            match all.iter().position(|thread| thread.id == id) {
                Some(at) => {
                    all.swap_remove(at);
                    more.try_recv().map_err(drop)
                }
                // Whoever took it off the list has work for it.
                None => {
                    drop(all);
                    more.recv().map_err(drop)
                }
            }
        });
        match next {
            Ok(next) => work = next,
            Err(()) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn work_is_done_side_by_side_and_again_after_one_that_panics() {
        let (done, results) = channel();
        for round in 0..3 {
            // Each of these waits for the other.
            let (to_first, of_second) = channel();
            let (to_second, of_first) = channel();
            let (a, b) = (done.clone(), done.clone());
            start(move || {
                to_second.send(round).expect("the second");
                a.send(of_second.recv().expect("a number")).expect("sent");
            })
            .expect("a thread");
            start(move || {
                to_first.send(round + 10).expect("the first");
                b.send(of_first.recv().expect("a number")).expect("sent");
            })
            .expect("a thread");
            start(|| panic!("on purpose")).expect("a thread");
            let mut both = [results.recv().expect("a result"), results.recv().expect("a result")];
            both.sort_unstable();
            assert_eq!(both, [round, round + 10]);
        }
    }

    #[test]
    fn a_thread_that_is_done_takes_what_comes_next() {
        // Others of this process use the same threads, so that one of many tries is enough.
        let (told, ids) = channel();
        let reused = (0..100).any(|_| {
            let ask = || {
                let told = told.clone();
                start(move || told.send(thread::current().id()).expect("told")).expect("a thread");
                ids.recv().expect("an id")
            };
            let first = ask();
            thread::sleep(Duration::from_millis(5));
            ask() == first
        });
        assert!(reused);
    }
}
