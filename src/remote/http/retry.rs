//! When a request is tried again.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// The wait before the second try is at most this long, and twice as long before each further one.
const BASE: Duration = Duration::from_secs(1);
/// No wait that the service did not ask for is longer.
const LONGEST: Duration = Duration::from_secs(60);
/// Waits that the service asked for are no longer than this.
const LONGEST_ASKED: i64 = 86_400;
/// A service that throttles and does not say for how long is left alone for this long at least.
const THROTTLED: Duration = Duration::from_secs(30);

/// Waits between tries.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Backoff {
    tries: u32,
}

impl Backoff {
    /// Tries that failed so far.
    pub(crate) fn tries(self) -> u32 {
        self.tries
    }

    /// The wait before the next try: any time up to a bound that doubles, so that many who failed together do not come together.
    pub(crate) fn next(&mut self) -> Duration {
        let bound = BASE.saturating_mul(2_u32.saturating_pow(self.tries.min(16))).min(LONGEST);
        self.tries += 1;
        bound.mul_f64(rand::random_range(0.0..=1.0))
    }

    /// The wait before the next try when the service throttles and does not say for how long.
    pub(crate) fn throttled(&mut self) -> Duration {
        THROTTLED + self.next().max(THROTTLED.mul_f64(rand::random_range(0.0..=1.0)))
    }
}

/// How long a service wants to be left alone: so many seconds, or until an instant. The instant is by the service's clock, which
/// its answer tells; `now` (seconds since 1970) stands in for it.
pub(crate) fn retry_after(headers: &HeaderMap, now: i64) -> Option<Duration> {
    wait_of(headers.get(RETRY_AFTER)?.to_str().ok()?, date_of(headers).unwrap_or(now))
}

/// As [`retry_after`], of the header's text; an instant is seen from `now` (seconds since 1970).
pub(crate) fn wait_of(text: &str, now: i64) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        let bounded = seconds.is_finite().then(|| seconds.clamp(0.0, LONGEST_ASKED as f64));
        return bounded.map(Duration::from_secs_f64);
    }
    let wait = http_date(text)?.saturating_sub(now).clamp(0, LONGEST_ASKED);
    u64::try_from(wait).ok().map(Duration::from_secs)
}

/// The instant that an answer was made, in seconds since 1970 by the service's clock.
pub(crate) fn date_of(headers: &HeaderMap) -> Option<i64> {
    http_date(headers.get(DATE)?.to_str().ok()?)
}

/// A date of HTTP in any of its three forms, in seconds since 1970.
fn http_date(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(date) = DateTime::parse_from_rfc2822(text) {
        return Some(date.timestamp());
    }
    let forms = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok()).map(|date| date.and_utc().timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn headers(after: &'static str, date: Option<&'static str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(after));
        date.map(|date| headers.insert(DATE, HeaderValue::from_static(date)));
        headers
    }

    #[test]
    fn a_service_says_when_in_seconds_or_by_its_own_clock() {
        let seconds = |after, date, now| retry_after(&headers(after, date), now).map(|wait| wait.as_secs_f64());
        assert_eq!(seconds("120", None, 0), Some(120.0));
        assert_eq!(seconds("1.5", None, 0), Some(1.5));
        assert_eq!(seconds("-3", None, 0), Some(0.0));
        assert_eq!(seconds("soon", None, 0), None);
        assert_eq!(seconds("NaN", None, 0), None);
        assert_eq!(seconds("999999999999", None, 0), Some(86_400.0));
        let (until, made) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:07 GMT");
        assert_eq!(seconds(until, None, 784_111_777 - 10), Some(10.0));
        // Our clock is wrong by years; the service's own says what is meant.
        assert_eq!(seconds(until, Some(made), 0), Some(30.0));
        assert_eq!(seconds(made, Some(until), 0), Some(0.0));
        assert_eq!(seconds("Sunday, 06-Nov-94 08:49:37 GMT", Some(made), 0), Some(30.0));
        assert_eq!(seconds("Sun Nov  6 08:49:37 1994", Some(made), 0), Some(30.0));
    }

    #[test]
    fn waits_grow_to_a_bound() {
        let mut backoff = Backoff::default();
        for bound in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert!(backoff.next() <= Duration::from_secs(bound));
        }
        assert_eq!(backoff.tries(), 8);
        assert!((30..=90).contains(&Backoff::default().throttled().as_secs()));
        let spread: std::collections::BTreeSet<_> = (0..20).map(|_| Backoff { tries: 5 }.next()).collect();
        assert!(spread.len() > 10);
    }
}
