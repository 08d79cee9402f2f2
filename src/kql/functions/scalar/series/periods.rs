//! Periods of series: `series_periods_detect`, `series_periods_validate` and `series_seasonal`.
//!
//! A period is a lag at which the autocorrelation of the series (its linear trend removed) has a peak, while the spectrum has
//! power around the frequency that belongs to it (M. Vlachos, P. Yu and V. Castelli, "On Periodicity Detection and Structural
//! Periodic Similarity"). The score is the height of the peak above the deepest valley before it, as a share of what a perfect
//! period would have. The engine's own way is not published; this one finds the periods, seasons and the score that the
//! documentation's examples and recorded answers show.

use super::fit::Line;
use super::fourier::{autocorrelation, power_spectrum};
use super::{numbers, write_reals};
use crate::functions::{ArgType, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::{Type, ValueRef};

/// The shortest period that is recognised.
const SHORTEST: usize = 4;
/// How many times the mean power the spectrum must have around a period's frequency.
const POWER: f64 = 2.0;
/// The score from which `series_seasonal` takes a detected period for one.
const SEASONAL_THRESHOLD: f64 = 0.7;

const COLUMNS: Returns = Returns::Columns(&[("periods", Type::Dynamic), ("scores", Type::Dynamic)]);

/// The period functions.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "series_periods_detect",
        &[
            Param::req("series", ArgType::Dynamic),
            Param::req("min_period", ArgType::Number),
            Param::req("max_period", ArgType::Number),
            Param::req("num_periods", ArgType::Integer),
        ],
        COLUMNS,
        ScalarImpl::Text(detect),
        "The most significant periods of a series, with scores from 0 to 1.",
    ),
    ScalarFn::new(
        "series_periods_validate",
        &[Param::req("series", ArgType::Dynamic), Param::req("period", ArgType::Number)],
        COLUMNS,
        ScalarImpl::Text(validate),
        "The scores of given periods of a series, from 0 to 1.",
    )
    .variadic(),
    ScalarFn::new(
        "series_seasonal",
        &[
            Param::req("series", ArgType::Dynamic),
            Param::opt("period", ArgType::Integer),
            Param::opt("test_points", ArgType::Integer),
        ],
        Returns::Type(Type::Dynamic),
        ScalarImpl::Text(seasonal),
        "The repeating part of a series: the median of the numbers in the same phase; zeros when there is no period.",
    ),
];

/// What candidates for a period of a series are scored with.
struct PeriodScores {
    /// Autocorrelation by lag, 1 at lag 0.
    correlation: Vec<f64>,
    /// Power by frequency, in multiples of the mean.
    power: Vec<f64>,
}

impl PeriodScores {
    /// `None` for a series that is too short or does not vary.
    fn of(values: &[f64]) -> Option<PeriodScores> {
        if values.len() < 2 * SHORTEST {
            return None;
        }
        let line = Line::fit(values);
        let rest: Vec<f64> = values.iter().enumerate().map(|(i, v)| v - line.at(i)).collect();
        let mut correlation = autocorrelation(&rest);
        let all = correlation[0];
        let size: f64 = values.iter().map(|v| v * v).sum();
        // What is left of a straight line is rounding.
        if !(all > size * 1e-24) {
            return None;
        }
        correlation.iter_mut().for_each(|c| *c /= all);
        let mut power = power_spectrum(&rest);
        let mean = power[1..].iter().sum::<f64>() / (power.len() - 1) as f64;
        power.iter_mut().for_each(|p| *p /= mean);
        Some(PeriodScores { correlation, power })
    }

    fn longest(&self) -> usize {
        self.correlation.len() / 2
    }

    /// The score of a period, 0 when it is none.
    fn score(&self, period: usize) -> f64 {
        if !(SHORTEST..=self.longest()).contains(&period) || self.correlation[period] <= 0.0 {
            return 0.0;
        }
        let (n, lag) = (self.correlation.len() as f64, period as f64);
        let frequency = n / lag;
        // The lags that the neighbouring frequencies stand for: the period must be the highest among them.
        let from = ((n / (frequency + 1.0) + lag) / 2.0 - 1.0).ceil().max(2.0) as usize;
        let to = if frequency > 1.0 { ((lag + n / (frequency - 1.0)) / 2.0 + 1.0).floor() } else { n };
        let to = to.min(self.longest() as f64) as usize;
        let height = self.correlation[period];
        if self.correlation[from..=to].iter().any(|c| *c > height)
            || self.correlation.get(period + 1).is_some_and(|c| *c > height)
        {
            return 0.0;
        }
        let (low, high) = ((frequency - 0.5).floor().max(1.0) as usize, (frequency + 0.5).ceil() as usize);
        if !self.power[low..=high.min(self.power.len() - 1)].iter().any(|p| *p > POWER) {
            return 0.0;
        }
        let valley = self.correlation[1..=period].iter().copied().fold(f64::INFINITY, f64::min);
        ((height - valley) / (1.0 - valley)).clamp(0.0, 1.0)
    }

    /// Periods within bounds with their scores, best first. Multiples of a better period, and what shares its frequency, are
    /// left out.
    fn detect(&self, shortest: f64, longest: f64, count: usize) -> Vec<(usize, f64)> {
        let mut found: Vec<(usize, f64)> = (SHORTEST..=self.longest())
            .filter(|p| (shortest..=longest).contains(&(*p as f64)))
            .map(|period| (period, self.score(period)))
            .filter(|(_, score)| *score > 0.0)
            .collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let n = self.correlation.len() as f64;
        let mut kept: Vec<(usize, f64)> = Vec::new();
        for (period, score) in found {
            let repeats = |better: usize| {
                let times = (period as f64 / better as f64).round();
                (times >= 2.0 && (period as f64 - times * better as f64).abs() <= times)
                    || (n / period as f64 - n / better as f64).abs() <= 1.0
            };
            if kept.len() < count && !kept.iter().any(|(better, _)| repeats(*better)) {
                kept.push((period, score));
            }
        }
        kept
    }
}

/// The best period of a series whose score reaches a threshold.
pub(super) fn best_period(values: &[f64], threshold: f64) -> Option<usize> {
    let (period, score) = *PeriodScores::of(values)?.detect(0.0, f64::INFINITY, 1).first()?;
    (score >= threshold).then_some(period)
}

/// The median of the values in each phase of a period, repeated to a length. Phases without values are zero.
pub(super) fn seasonal_part(values: &[f64], period: usize, length: usize) -> Vec<f64> {
    let medians: Vec<f64> = (0..period)
        .map(|phase| {
            let mut same: Vec<f64> = values.iter().skip(phase).step_by(period).copied().collect();
            same.sort_by(f64::total_cmp);
            let middle = same.len() / 2;
            match same.len() {
                0 => 0.0,
                n if n % 2 == 1 => same[middle],
                _ => f64::midpoint(same[middle - 1], same[middle]),
            }
        })
        .collect();
    (0..length).map(|i| medians[i % period]).collect()
}

fn write_scores(out: &mut String, scores: &[(f64, f64)]) -> bool {
    out.push('[');
    write_reals(out, scores.iter().map(|s| s.0));
    out.push(',');
    write_reals(out, scores.iter().map(|s| s.1));
    out.push(']');
    true
}

fn detect(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let (Some(values), Some(shortest), Some(longest), Some(count)) =
        (numbers(args[0]), args[1].as_f64(), args[2].as_f64(), args[3].as_i64())
    else {
        return false;
    };
    let count = usize::try_from(count).unwrap_or(0).min(values.len());
    let found = PeriodScores::of(&values).map(|scorer| scorer.detect(shortest, longest, count)).unwrap_or_default();
    let mut scores: Vec<(f64, f64)> = found.into_iter().map(|(period, score)| (period as f64, score)).collect();
    // Periods that are not there are zeros.
    scores.resize(count, (0.0, 0.0));
    write_scores(out, &scores)
}

fn validate(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let Some(values) = numbers(args[0]) else { return false };
    let scorer = PeriodScores::of(&values);
    let mut scores = Vec::with_capacity(args.len() - 1);
    for period in &args[1..] {
        let Some(period) = period.as_f64() else { return false };
        let rounded = period.round();
        let inside = rounded >= SHORTEST as f64 && rounded <= values.len() as f64;
        scores.push((period, scorer.as_ref().filter(|_| inside).map_or(0.0, |scorer| scorer.score(rounded as usize))));
    }
    write_scores(out, &scores)
}

fn seasonal(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let Some(values) = numbers(args[0]) else { return false };
    let test_points = args.get(2).and_then(|v| v.as_i64()).and_then(|v| usize::try_from(v).ok()).unwrap_or(0);
    let learned = &values[..values.len().saturating_sub(test_points)];
    let period = match args.get(1).map_or(Some(-1), |v| v.as_i64()) {
        Some(-1) => best_period(learned, SEASONAL_THRESHOLD),
        Some(period) => usize::try_from(period).ok().filter(|p| *p > 0),
        None => return false,
    };
    write_reals(
        out,
        match period {
            Some(period) => seasonal_part(learned, period.min(values.len()), values.len()),
            None => vec![0.0; values.len()],
        },
    );
    true
}

#[cfg(test)]
mod tests {
    use super::super::{alike, call};
    use super::*;
    use ValueRef::{Dynamic as D, Long, Real};

    /// A month of traffic, twice a day (the documentation's example).
    const TRAFFIC: &str = "[80,139,87,110,68,54,50,51,53,133,86,141,97,156,94,149,95,140,77,61,50,54,47,133,72,152,94,148,105,162,101,160,87,63,53,55,54,151,103,189,108,183,113,175,113,178,90,71,62,62,65,165,109,181,115,182,121,178,114,170]";

    #[test]
    fn the_week_is_found_in_a_month() {
        let found = call("series_periods_detect", &[D(TRAFFIC), Real(0.0), Real(50.0), Long(2)]);
        assert!(found.starts_with("[[14.0,0.0],[0.84") && found.ends_with(",0.0]]"), "{found}");
        let found = call("series_periods_validate", &[D(TRAFFIC), Real(14.0), Real(10.0)]);
        assert!(found.starts_with("[[14.0,10.0],[0.84") && found.ends_with(",0.0]]"), "{found}");
        assert_eq!(call("series_periods_detect", &[D("[1,1,1,1,1,1,1,1,1]"), Long(0), Long(9), Long(1)]), "[[0.0],[0.0]]");
    }

    #[test]
    fn seasons_are_medians_of_phases() {
        let series = D("[2,5,3,4,3,2,1,2,3,4,3,2,1,2,3,4,3,2,1,2,3,4,3,2,1]");
        assert!(alike(&call("series_seasonal", &[series]), "[1,2,3,4,3,2,1,2,3,4,3,2,1,2,3,4,3,2,1,2,3,4,3,2,1]"));
        assert!(alike(&call("series_seasonal", &[D("[1,3,5,2,4,6,1,3,5,2,4,6]")]), "[0,0,0,0,0,0,0,0,0,0,0,0]"));
        assert!(alike(&call("series_seasonal", &[D("[1,3,5,2,4,6]"), Long(3)]), "[1.5,3.5,5.5,1.5,3.5,5.5]"));
        assert!(alike(&call("series_seasonal", &[D("[1,3]"), Long(0)]), "[0,0]"));
    }
}
