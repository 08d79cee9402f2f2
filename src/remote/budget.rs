//! Quotas: how many requests of a tenant an API takes in a time, and how many at once. All who ask the same API for the same
//! tenant share one.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::cloud::Service;
use crate::pace::Pace;
use crate::state;

/// What an API takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RequestLimits {
    /// Requests that may be made in a time; `None` where no number is known.
    pub requests: Option<(u32, Duration)>,
    /// Requests that may be under way at once.
    pub concurrency: usize,
    /// Whether requests of earlier runs count: for quotas whose time outlasts a run.
    pub kept: bool,
}

impl RequestLimits {
    /// So many requests at once, and no other bound.
    pub fn at_once(concurrency: usize) -> Self {
        RequestLimits { requests: None, concurrency: concurrency.max(1), kept: false }
    }

    /// So many requests in a time, and so many at once.
    pub fn of(requests: u32, time: Duration, concurrency: usize) -> Self {
        RequestLimits { requests: Some((requests.max(1), time)), ..RequestLimits::at_once(concurrency) }
    }

    /// The same, counting also those of earlier runs.
    #[must_use]
    pub fn kept(self) -> Self {
        RequestLimits { kept: true, ..self }
    }
}

/// The part of a quota that is used: requests take different times on their way, so that the service may count a few more in its
/// time than we did in ours.
const USED: f64 = 0.98;
/// Requests under way at the beginning, until answers show that more are concurrency_limit.
const FIRST: f64 = 4.0;
/// The part of what we may ask from which on our own requests fill a quota's time.
const FULL: f64 = 0.5;
/// A wait that is reported.
const LONG: Duration = Duration::from_secs(20);

/// Times of requests that the file of a kept quota may hold.
const MAX_KEPT: usize = 100_000;

/// Quotas of tenants and APIs by their names.
#[derive(Debug, Clone)]
pub(crate) struct Quotas {
    quotas: Arc<Mutex<HashMap<String, Arc<Quota>>>>,
    folder: Option<PathBuf>,
    pace: Pace,
}

impl Quotas {
    /// Quotas whose kept ones lie in a folder.
    pub(crate) fn new(pace: Pace, folder: Option<&Path>) -> Self {
        Quotas { quotas: Arc::default(), folder: folder.map(Path::to_owned), pace }
    }

    /// The quota of a name, which has limits when it is asked for the first time.
    pub(crate) fn of(&self, name: &str, limits: RequestLimits) -> Arc<Quota> {
        let mut quotas = self.quotas.lock().unwrap_or_else(PoisonError::into_inner);
        let file = self.folder.as_ref().filter(|_| limits.kept).map(|folder| state::file(folder, "quota", name));
        Arc::clone(quotas.entry(name.to_owned()).or_insert_with(|| Arc::new(Quota::new(name, self.pace.clone(), limits, file))))
    }
}

/// Requests that were made after an instant, in microseconds since 1970 by this machine's clock, as runs of before kept them for a
/// quota of its own of a tenant's service; `None` where nothing was kept.
pub fn kept_requests(folder: &Path, tenant: &str, service: Service, name: &str, after: i64) -> Option<usize> {
    let kept = state::read(&state::file(folder, "quota", &format!("{tenant}/{}/{name}", service.key())))?;
    let made = kept.get("made")?.as_array()?.iter().filter_map(serde_json::Value::as_i64);
    Some(made.filter(|made| *made > after).count())
}

/// One quota.
pub(crate) struct Quota {
    /// What it is of, for the log.
    name: String,
    pace: Pace,
    limits: RequestLimits,
    file: Option<PathBuf>,
    /// Who waits comes in turn.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    changed: Notify,
}

impl fmt::Debug for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quota").field("limits", &self.limits).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct State {
    /// When requests were made that still count.
    made: VecDeque<i64>,
    /// Requests under way.
    running: usize,
    /// How many may be.
    concurrency_limit: f64,
    /// Requests in the quota's time that the service seems to take from us: fewer than the limit when others use it, too.
    ceiling: f64,
    /// Nobody asks before.
    paused: i64,
    /// When the last answer said that requests come too fast.
    throttled: Option<i64>,
}

impl Quota {
    fn new(name: &str, pace: Pace, limits: RequestLimits, file: Option<PathBuf>) -> Self {
        let ceiling = limits.requests.map_or(f64::INFINITY, |(requests, _)| usable(requests));
        let state = State {
            made: VecDeque::new(),
            running: 0,
            concurrency_limit: FIRST.min(limits.concurrency as f64),
            ceiling,
            paused: i64::MIN,
            throttled: None,
        };
        let quota = Quota {
            name: name.to_owned(),
            pace,
            limits,
            file,
            turn: tokio::sync::Mutex::default(),
            state: Mutex::new(state),
            changed: Notify::new(),
        };
        quota.recall();
        quota
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The numbers are whole at every instant, whoever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time in which requests count.
    fn time(&self) -> Option<i64> {
        self.limits.requests.map(|(_, time)| i64::try_from(time.as_micros()).unwrap_or(i64::MAX))
    }

    /// True when it counts requests in a time, and not only those that are under way.
    pub(crate) fn is_counted(&self) -> bool {
        self.limits.requests.is_some()
    }

    /// Waits until a request may be made.
    pub(crate) async fn admit(self: &Arc<Self>) -> Permit {
        let _turn = self.turn.lock().await;
        loop {
            let changed = self.changed.notified();
            let wait = match self.try_admit() {
                Ok(kept) => {
                    if let Some(kept) = kept {
                        self.keep(kept).await;
                    }
                    return Permit { quota: Arc::clone(self) };
                }
                Err(wait) => wait,
            };
            match wait {
                Some(wait) => {
                    if wait >= LONG {
                        tracing::warn!(quota = %self.name, seconds = wait.as_secs(), "waits for the quota of a service");
                    }
                    self.pace.sleep(wait).await;
                }
                None => changed.await,
            }
        }
    }

    /// Counts a request; or the time until it is worth trying again, `None` for the end of another one. Gives the times that are
    /// to be kept.
    fn try_admit(&self) -> Result<Option<Vec<i64>>, Option<Duration>> {
        let now = self.pace.passed();
        let mut state = self.state();
        let until = |then: i64| Duration::from_micros(u64::try_from(then.saturating_sub(now)).unwrap_or(0).max(1_000));
        if state.paused > now {
            return Err(Some(until(state.paused)));
        }
        if state.running as f64 >= state.concurrency_limit.floor().max(1.0) {
            return Err(None);
        }
        let Some(time) = self.time() else {
            state.running += 1;
            return Ok(None);
        };
        while state.made.front().is_some_and(|made| made.saturating_add(time) <= now) {
            state.made.pop_front();
        }
        let allowed = state.ceiling.floor().max(1.0) as usize;
        if state.made.len() >= allowed {
            let leaves = state.made.get(state.made.len() - allowed).copied().unwrap_or(now);
            return Err(Some(until(leaves.saturating_add(time))));
        }
        state.made.push_back(now);
        state.running += 1;
        Ok(self.file.is_some().then(|| state.made.iter().copied().collect()))
    }

    /// A service said that requests come too fast, and wants to be left alone for a while.
    pub(crate) fn throttle(&self, wait: Duration) {
        let now = self.pace.passed();
        let mut state = self.state();
        let until = now.saturating_add(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX));
        // Several that were under way together say the same thing.
        let is_new = state.throttled.is_none_or(|then| state.paused <= now || then > now);
        state.paused = state.paused.max(until);
        state.throttled = Some(now);
        if !is_new {
            return;
        }
        state.concurrency_limit = (state.concurrency_limit / 2.0).max(1.0);
        if let Some(time) = self.time() {
            let counted = state.made.iter().filter(|made| made.saturating_add(time) > now).count() as f64;
            // With a window full of our own requests it is the service that counts differently. Else others use the quota, too, or it
            // has another bound: how long to wait then, it says itself.
            if counted >= state.ceiling * FULL {
                state.ceiling = (state.ceiling.min(counted) * 0.9).max(1.0);
            }
        }
    }

    /// A request went wrong that was no fault of its own: fewer at once.
    pub(crate) fn falter(&self) {
        let mut state = self.state();
        state.concurrency_limit = (state.concurrency_limit * 0.7).max(1.0);
    }

    /// A request went well: more at once, and up to the limit again.
    pub(crate) fn succeed(&self) {
        let mut state = self.state();
        let most = self.limits.concurrency as f64;
        state.concurrency_limit = (state.concurrency_limit + 1.0 / state.concurrency_limit).min(most);
        if let Some((requests, _)) = self.limits.requests {
            let most = usable(requests);
            // A tenth of the quota more in each of its times.
            state.ceiling = (state.ceiling + 0.1 * most / state.ceiling.max(1.0)).min(most);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Keeps the times of requests for the next run.
    async fn keep(&self, made: Vec<i64>) {
        let Some(file) = self.file.clone() else { return };
        let (passed, machine, scale) = (self.pace.passed(), self.pace.machine_micros(), self.pace.scale());
        let ago = |made: i64| machine.saturating_sub(((passed - made) as f64 / scale) as i64);
        let made: Vec<i64> = made.into_iter().map(ago).collect();
        state::write(file, json!({ "made": made })).await;
    }

    /// Counts the requests of earlier runs.
    fn recall(&self) {
        let (Some(file), Some(time)) = (&self.file, self.time()) else { return };
        let kept = state::read(file);
        let kept = kept.as_ref().and_then(|kept| kept.get("made")?.as_array()).into_iter().flatten().filter_map(Value::as_i64);
        let (passed, machine, scale) = (self.pace.passed(), self.pace.machine_micros(), self.pace.scale());
        let then = |made: i64| passed.saturating_sub((machine.saturating_sub(made).max(0) as f64 * scale) as i64);
        let mut made: Vec<i64> = kept.take(MAX_KEPT).map(then).collect();
        made.retain(|made| made.saturating_add(time) > passed);
        made.sort_unstable();
        self.state().made = made.into();
    }
}

fn usable(requests: u32) -> f64 {
    let all = f64::from(requests);
    // Of a small quota everything may be used: its requests are made one after the other.
    if requests < 500 { all } else { (all * USED).floor() }
}

/// A request that was counted and is under way.
#[derive(Debug)]
pub(crate) struct Permit {
    quota: Arc<Quota>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.quota.state();
        state.running = state.running.saturating_sub(1);
        drop(state);
        self.quota.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use kqlake_value::clock::FixedClock;

    use super::*;

    fn pace() -> Pace {
        Pace::counted(Arc::new(FixedClock::at_micros(1_768_176_000_000_000)))
    }

    fn seconds(pace: &Pace) -> i64 {
        pace.passed() / 1_000_000
    }

    #[tokio::test]
    async fn a_quota_is_used_up_and_not_passed() {
        let pace = pace();
        let quota = Quotas::new(pace.clone(), None).of("t/x", RequestLimits::of(100, Duration::from_secs(300), 4));
        for n in 0..250_i64 {
            drop(quota.admit().await);
            // A hundred at once, and the next when the first of them no longer count.
            assert_eq!(seconds(&pace), n / 100 * 300);
        }
        let quota = Quotas::new(pace.clone(), None).of("t/y", RequestLimits::of(2_000, Duration::from_secs(60), 16));
        let began = seconds(&pace);
        for _ in 0..20_000 {
            drop(quota.admit().await);
        }
        let used = 20_000.0 / (2_000.0 * (seconds(&pace) - began + 60) as f64 / 60.0);
        assert!((0.9..1.0).contains(&used), "{used}");
    }

    #[tokio::test]
    async fn a_kept_quota_counts_what_earlier_runs_asked() {
        let folder = tempfile::tempdir().unwrap();
        let limits = RequestLimits::of(3, Duration::from_secs(300), 1).kept();
        for run in 0..3 {
            let pace = pace();
            let quota = Quotas::new(pace.clone(), Some(folder.path())).of("t/graph/message trace", limits);
            drop(quota.admit().await);
            assert_eq!(seconds(&pace), 0, "run {run}");
        }
        let pace = pace();
        let quota = Quotas::new(pace.clone(), Some(folder.path())).of("t/graph/message trace", limits);
        drop(quota.admit().await);
        assert_eq!(seconds(&pace), 300);
        // What the file says is not needed, and others have files of their own.
        std::fs::write(folder.path().join("quota-t_graph_message_trace.json"), "{").unwrap();
        let quota = Quotas::new(pace.clone(), Some(folder.path())).of("t/graph/message trace", limits);
        drop(quota.admit().await);
        assert_eq!(seconds(&pace), 300);
    }

    #[tokio::test]
    async fn requests_under_way_are_as_many_as_are_welcome() {
        let pace = pace();
        let quota = Quotas::new(pace.clone(), None).of("t", RequestLimits::at_once(6));
        let ready = |quota: &Arc<Quota>| quota.try_admit().is_ok();
        let held: Vec<_> = (0..10).take_while(|_| ready(&quota)).collect();
        assert_eq!(held.len(), 4);
        (0..40).for_each(|_| quota.succeed());
        let more: Vec<_> = (0..10).take_while(|_| ready(&quota)).collect();
        assert_eq!(held.len() + more.len(), 6);
        // Many answers of one moment say the same thing once.
        (0..5).for_each(|_| quota.throttle(Duration::from_secs(10)));
        assert_eq!(quota.state().concurrency_limit as usize, 3);
        assert_eq!(quota.try_admit(), Err(Some(Duration::from_secs(10))));
        pace.sleep(Duration::from_secs(10)).await;
        assert_eq!(quota.try_admit(), Err(None));
        quota.state().running = 0;
        assert!(ready(&quota));
    }

    #[tokio::test]
    async fn throttling_lowers_what_is_asked_until_answers_come_again() {
        let pace = pace();
        let quota = Quotas::new(pace.clone(), None).of("t", RequestLimits::of(1_000, Duration::from_secs(60), 8));
        for _ in 0..500 {
            drop(quota.admit().await);
        }
        quota.throttle(Duration::from_secs(30));
        assert_eq!(quota.state().ceiling as usize, 450);
        let began = pace.passed();
        drop(quota.admit().await);
        assert!(pace.passed() - began >= 30_000_000);
        (0..100_000).for_each(|_| quota.succeed());
        assert_eq!(quota.state().ceiling as usize, 980);
    }

    #[tokio::test]
    async fn a_service_that_is_busy_with_others_is_left_alone_as_long_as_it_says() {
        let pace = pace();
        let quota = Quotas::new(pace.clone(), None).of("t", RequestLimits::of(100, Duration::from_secs(300), 1));
        for _ in 0..10 {
            drop(quota.admit().await);
            quota.throttle(Duration::from_secs(3));
        }
        assert_eq!((quota.state().ceiling as usize, seconds(&pace)), (100, 27));
    }
}
