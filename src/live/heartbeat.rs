//! The event `ImporterHeartbeat`, on a timer of its own: it comes also while a section hangs, and stops with the program.

use std::time::Duration;

use tokio::task::JoinHandle;

use super::board::Board;
use kqlake_import::{EventLog, StopSignal};
use kqlake_lake::Lake;
use kqlake_remote::Pace;

/// Time between two heartbeats.
pub(crate) const EVERY: Duration = Duration::from_secs(300);

/// Heartbeats, until this is ended or dropped.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    task: JoinHandle<()>,
    stop: StopSignal,
}

impl Heartbeat {
    /// Begins; the first one comes at once. `command` is who lives.
    pub(crate) fn start(lake: Lake, pace: Pace, board: Board, command: &'static str, every: Duration) -> Heartbeat {
        let stop = StopSignal::default();
        let ended = stop.clone();
        let task = tokio::spawn(async move {
            let began = pace.now();
            loop {
                let log = beat(&board, command, pace.now(), began);
                // The next one may go well. What is wrong with the lake is said by those who import.
                if let Err(error) = log.land(&lake).await {
                    tracing::warn!(%error, "the heartbeat is not in the lake");
                }
                tokio::select! {
                    () = ended.asked() => return,
                    () = pace.sleep(every) => {}
                }
            }
        });
        Heartbeat { task, stop }
    }

    /// Ends, after a commit that is under way: the runtime must not go away below it.
    pub(crate) async fn end(mut self) {
        self.stop.ask();
        if let Err(error) = (&mut self.task).await {
            tracing::warn!(%error, "the heartbeat ended by a defect");
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn beat(board: &Board, command: &str, now: i64, began: i64) -> EventLog {
    let running = board.running();
    let names: Vec<String> = running.iter().map(|(tenant, section, _)| format!("{tenant}: {section}")).collect();
    let sum =
        |of: fn(&super::board::SectionProgress) -> u64| running.iter().map(|(.., progress)| of(progress)).sum::<u64>() as f64;
    let mut log = EventLog::of_its_own();
    log.heartbeat(
        now,
        &[
            ("command", command.to_owned()),
            ("process", std::process::id().to_string()),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("running", names.join("; ")),
        ],
        &[
            ("sectionsRunning", running.len() as f64),
            ("unitsListed", sum(|progress| progress.listed)),
            ("unitsDone", sum(|progress| progress.done)),
            ("bytes", sum(|progress| progress.bytes)),
            ("uptimeSeconds", (now - began) as f64 / 1e6),
        ],
    );
    log
}
