//! Waits of this crate, and the time that they and quotas are counted in. Nothing else in it sleeps.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use kqlake_value::clock::{Clock, SystemClock};

/// The shortest time that anything on the network is given, however fast time is made to run.
const LEAST_TIMEOUT: Duration = Duration::from_secs(5);

/// How time passes for requests: the clock that windows and stamps go by, and waits, which may be made shorter for a
/// service whose time runs faster.
#[derive(Clone)]
pub struct Pace {
    clock: Arc<dyn Clock>,
    time: Arc<Time>,
}

enum Time {
    /// The machine's, some times faster.
    Machine { began: Instant, scale: f64 },
    /// Waits take no time, but count: for tests.
    Counted(AtomicI64),
}

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pace").field("clock", &self.clock).field("scale", &self.scale()).finish()
    }
}

impl Pace {
    /// Waits as they pass on a clock: one that runs faster, as that of a simulated tenant may, makes them shorter.
    pub fn real(clock: Arc<dyn Clock>) -> Self {
        let scale = Some(clock.rate()).filter(|rate| rate.is_finite() && *rate > 0.0).unwrap_or(1.0);
        Pace { clock, time: Arc::new(Time::Machine { began: Instant::now(), scale }) }
    }

    /// Waits that take no time and are counted as if they had: for tests.
    pub fn counted(clock: Arc<dyn Clock>) -> Self {
        Pace { clock, time: Arc::new(Time::Counted(AtomicI64::new(0))) }
    }

    /// The instant by the clock, in microseconds since 1970.
    pub fn now(&self) -> i64 {
        self.clock.now_micros()
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// How many times faster than the machine's time waits pass.
    pub fn scale(&self) -> f64 {
        match &*self.time {
            Time::Machine { scale, .. } => *scale,
            Time::Counted(_) => 1.0,
        }
    }

    /// Time that passed since this pace began, in microseconds: it never goes back, whatever the clock does.
    pub fn passed(&self) -> i64 {
        match &*self.time {
            Time::Machine { began, scale } => micros(began.elapsed().mul_f64(*scale)),
            Time::Counted(counted) => counted.load(Ordering::Relaxed),
        }
    }

    /// The machine's time in microseconds since 1970, for what is kept between runs: the program's clock may stand still.
    pub(crate) fn machine_micros(&self) -> i64 {
        match &*self.time {
            Time::Machine { .. } => SystemClock.now_micros(),
            Time::Counted(counted) => self.now().saturating_add(counted.load(Ordering::Relaxed)),
        }
    }

    /// Waits.
    pub async fn sleep(&self, time: Duration) {
        match &*self.time {
            Time::Machine { scale, .. } => tokio::time::sleep(time.div_f64(*scale)).await,
            Time::Counted(counted) => {
                counted.fetch_add(micros(time), Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        }
    }

    /// What a future gives within a time on the network; `None` when it takes longer. The time is the machine's where waits are
    /// only counted.
    pub async fn within<F: Future>(&self, time: Duration, future: F) -> Option<F::Output> {
        let time = time.div_f64(self.scale()).max(LEAST_TIMEOUT.min(time));
        tokio::time::timeout(time, future).await.ok()
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
