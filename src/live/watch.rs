//! Staying: each section at its own period, until somebody asks to stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::cycle::Runner;
use super::{SectionOutcome, Task};
use kqlake_import::{ImportOptions, Section};
use kqlake_remote::Pace;

/// The shortest wait after a section failed; it doubles with each failure, up to the section's period or [`LONGEST_RETRY`].
const FIRST_RETRY: Duration = Duration::from_secs(60);
/// The longest wait after failures, for sections whose period is longer.
const LONGEST_RETRY: Duration = Duration::from_secs(3_600);
/// Sections that run more often than this tell only now and then that nothing came.
const OFTEN: Duration = Duration::from_secs(300);

/// A section that is run again and again.
#[derive(Debug, Clone)]
pub(crate) struct Round {
    /// The tenant's name.
    pub tenant: String,
    /// The section.
    pub section: Section,
    /// Time from the beginning of a run to that of the next.
    pub period: Duration,
    /// When it finished last (microseconds since 1970), as far as that is known.
    pub last: Option<i64>,
    /// Makes it run before its time.
    pub wake: Arc<Notify>,
}

/// The period of a section where nothing else is said: audit records and calls soon after they are there, snapshots once a day.
pub(crate) fn period(section: Section) -> Duration {
    let minutes = match section {
        Section::MessageTrace => 1,
        Section::Audit | Section::Calls | Section::Hits => 15,
        Section::UsageReports => 6 * 60,
        Section::UserMetadata | Section::UserApps | Section::Teams => 24 * 60,
    };
    Duration::from_secs(minutes * 60)
}

/// Runs rounds until somebody asks to stop. `task` makes what a section runs, anew each time: secrets may have changed.
pub(crate) async fn rounds(
    runner: &Runner,
    rounds: Vec<Round>,
    pace: &Pace,
    task: impl Fn(&Round) -> Option<Task> + Send + Sync + Clone + 'static,
) {
    let side_by_side = rounds.len();
    let mut running = tokio::task::JoinSet::new();
    for round in rounds {
        let (runner, pace, task) = (runner.clone(), pace.clone(), task.clone());
        running.spawn(async move {
            let stop = runner.options.stop.clone();
            let mut wait = until_due(&round, pace.now());
            let mut failures = 0;
            let mut reported: Option<i64> = None;
            loop {
                tokio::select! {
                    biased;
                    () = stop.asked() => return,
                    () = round.wake.notified() => {}
                    () = pace.sleep(wait) => {}
                }
                let began = pace.now();
                let only_news = is_reported(reported, began);
                reported = reported.filter(|_| only_news).or(Some(began));
                let runner = quieter(&runner, only_news);
                let well = match task(&round) {
                    Some(task) => is_well(&runner.one(task, side_by_side).await),
                    None => true,
                };
                if stop.is_asked() {
                    return;
                }
                failures = if well { 0 } else { failures + 1 };
                wait = next_wait(round.period, failures, pace.now() - began);
            }
        });
    }
    while let Some(ended) = running.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a section has ended by a defect and is not run any more");
        }
    }
}

/// True when the end of a section was reported not long ago: it is reported again then only where something came.
fn is_reported(reported: Option<i64>, now: i64) -> bool {
    let often = i64::try_from(OFTEN.as_micros()).unwrap_or(i64::MAX);
    reported.is_some_and(|reported| (0..often).contains(&(now - reported)))
}

fn quieter(runner: &Runner, only_news: bool) -> Runner {
    Runner { options: ImportOptions { only_news, ..runner.options.clone() }, ..runner.clone() }
}

fn is_well(outcome: &SectionOutcome) -> bool {
    outcome.is_finished()
}

/// How long a section waits that may have finished before the program began.
fn until_due(round: &Round, now: i64) -> Duration {
    let Some(last) = round.last else { return Duration::ZERO };
    let period = i64::try_from(round.period.as_micros()).unwrap_or(i64::MAX);
    let due = last.saturating_add(period);
    // A time to come is that of another clock.
    let wait = if last > now { 0 } else { due.saturating_sub(now).max(0) };
    Duration::from_micros(wait.unsigned_abs())
}

/// The wait after a run that took so many microseconds, and so many failures before it.
fn next_wait(period: Duration, failures: u32, took: i64) -> Duration {
    if failures > 0 {
        let doubled = FIRST_RETRY.saturating_mul(1 << failures.min(10) >> 1);
        return doubled.min(period.max(FIRST_RETRY)).min(LONGEST_RETRY);
    }
    period.saturating_sub(Duration::from_micros(took.max(0).unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn a_section_waits_for_its_period_and_less_after_failures() {
        assert_eq!(next_wait(MINUTE, 0, 20_000_000), Duration::from_secs(40));
        assert_eq!(next_wait(MINUTE, 0, 120_000_000), Duration::ZERO);
        let waits: Vec<u64> = (1..10).map(|failures| next_wait(DAY, failures, 0).as_secs()).collect();
        assert_eq!(waits, [60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600]);
        assert_eq!(next_wait(MINUTE, 5, 0), MINUTE, "not longer than the period");
        assert_eq!(next_wait(DAY, u32::MAX, 0), LONGEST_RETRY);
    }

    #[test]
    fn what_runs_often_is_reported_now_and_then() {
        let often = OFTEN.as_micros() as i64;
        assert!(
            !is_reported(None, 5) && is_reported(Some(5), 5) && is_reported(Some(5), often) && !is_reported(Some(5), often + 5)
        );
        assert!(!is_reported(Some(5), 4), "a clock that went back");
    }

    #[test]
    fn a_section_that_finished_before_the_program_began_is_not_due_at_once() {
        let round = |last| Round { tenant: "t".into(), section: Section::Teams, period: DAY, last, wake: Arc::default() };
        assert_eq!(until_due(&round(None), 5), Duration::ZERO);
        assert_eq!(until_due(&round(Some(0)), 3_600_000_000), DAY - 60 * MINUTE);
        assert_eq!(until_due(&round(Some(0)), i64::MAX), Duration::ZERO);
        assert_eq!(until_due(&round(Some(10)), 5), Duration::ZERO, "a clock that went back");
    }
}
