//! Quotas: so many requests in a span of time, for whatever has one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::world::World;

/// The requests of late, by what they count for.
#[derive(Debug)]
pub(crate) struct Quotas {
    started: Instant,
    recent: Mutex<HashMap<String, VecDeque<i64>>>,
}

impl Default for Quotas {
    fn default() -> Self {
        Self { started: Instant::now(), recent: Mutex::default() }
    }
}

/// Counts a request against a quota of `limit` in `seconds` of simulated time, or of the machine's where simulated time stands
/// still.
///
/// # Errors
/// Whole seconds until there is room; then the request does not count.
pub(crate) fn take(world: &World, what: &str, limit: usize, seconds: i64) -> Result<(), i64> {
    if !world.settings.quotas {
        return Ok(());
    }
    let quotas = world.state::<Quotas>();
    let now = match world.clock.rate() > 0.0 {
        true => world.now(),
        false => i64::try_from(quotas.started.elapsed().as_micros()).unwrap_or(i64::MAX),
    };
    let mut recent = quotas.recent.lock().unwrap_or_else(PoisonError::into_inner);
    let times = recent.entry(what.to_owned()).or_default();
    // A clock that was set back forgets what is yet to come.
    times.retain(|at| *at > now - seconds * 1_000_000 && *at <= now);
    match times.front() {
        Some(oldest) if times.len() >= limit => Err((oldest + seconds * 1_000_000 - now).div_euclid(1_000_000) + 1),
        _ => {
            times.push_back(now);
            Ok(())
        }
    }
}
