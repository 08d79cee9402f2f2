//! Decomposition of series into season, trend and rest, and what is built on it: anomalies and forecasts.
//!
//! The season is the median of the numbers in the same phase of the period, the trend a mean or a line through the series
//! without its season. Points at the end may be left out of the learning.

use super::fit::Line;
use super::periods::{best_period, seasonal_part};
use super::statistics::OutlierMethod;
use super::{numbers, write_reals};
use crate::functions::{ArgType, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::{Type, ValueRef};

const SERIES: Param = Param::req("series", ArgType::Dynamic);
const SEASONALITY: Param = Param::opt("seasonality", ArgType::Integer);
const TREND: Param = Param::opt("trend", ArgType::String);
const THRESHOLD: Param = Param::opt("seasonality_threshold", ArgType::Number);

/// The score from which a detected period counts, unless stated otherwise.
const SEASONALITY_THRESHOLD: f64 = 0.6;
/// The outlier score from which a point is an anomaly, unless stated otherwise.
const ANOMALY_THRESHOLD: f64 = 1.5;

const PARTS: Returns = Returns::Columns(&[
    ("baseline", Type::Dynamic),
    ("seasonal", Type::Dynamic),
    ("trend", Type::Dynamic),
    ("residual", Type::Dynamic),
]);

/// The decomposition functions.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "series_decompose",
        &[SERIES, SEASONALITY, TREND, Param::opt("test_points", ArgType::Integer), THRESHOLD],
        PARTS,
        ScalarImpl::Text(|args, out| decompose(args, out, [1, 2, 3, 4], "avg")),
        "Baseline, season, trend and rest of a series.",
    ),
    ScalarFn::new(
        "series_decompose_anomalies",
        &[
            SERIES,
            Param::opt("threshold", ArgType::Number),
            SEASONALITY,
            TREND,
            Param::opt("test_points", ArgType::Integer),
            Param::opt("ad_method", ArgType::String),
            THRESHOLD,
        ],
        Returns::Columns(&[("ad_flag", Type::Dynamic), ("ad_score", Type::Dynamic), ("baseline", Type::Dynamic)]),
        ScalarImpl::Text(anomalies),
        "Marks (1 up, -1 down) and scores the points of a series that lie far from its baseline.",
    ),
    ScalarFn::new(
        "series_decompose_forecast",
        &[SERIES, Param::req("test_points", ArgType::Integer), SEASONALITY, TREND, THRESHOLD],
        PARTS,
        ScalarImpl::Text(|args, out| decompose(args, out, [2, 3, 1, 4], "linefit")),
        "The baseline of a series whose last points are to be foretold.",
    ),
];

struct Decomposition {
    seasonal: Vec<f64>,
    trend: Vec<f64>,
    /// How many points at the start were learned from.
    learned: usize,
}

impl Decomposition {
    fn baseline(&self) -> impl Iterator<Item = f64> + '_ {
        self.seasonal.iter().zip(&self.trend).map(|(s, t)| s + t)
    }

    /// Reads the arguments at the given places (seasonality, trend, test points, threshold) and decomposes.
    fn of(values: &[f64], args: &[ValueRef<'_>], places: [usize; 4], default_trend: &str) -> Option<Decomposition> {
        let [seasonality, trend, test_points, threshold] = places.map(|place| args.get(place));
        let test_points = test_points.map_or(Some(0), |v| v.as_i64())?;
        let learned = values.len().checked_sub(usize::try_from(test_points).ok()?)?;
        let known = &values[..learned];
        if known.is_empty() {
            return None;
        }
        let period = match seasonality.map_or(Some(-1), |v| v.as_i64())? {
            0 => None,
            period if period < 0 => best_period(known, threshold.map_or(Some(SEASONALITY_THRESHOLD), |v| v.as_f64())?),
            period => Some(usize::try_from(period).ok()?.min(values.len())),
        };
        let seasonal = match period {
            Some(period) => seasonal_part(known, period, values.len()),
            None => vec![0.0; values.len()],
        };
        let rest: Vec<f64> = known.iter().zip(&seasonal).map(|(v, s)| v - s).collect();
        let trend = match trend.map_or(Some(default_trend), |v| v.as_str())? {
            "avg" => vec![rest.iter().sum::<f64>() / rest.len() as f64; values.len()],
            "linefit" => {
                let line = Line::fit(&rest);
                (0..values.len()).map(|i| line.at(i)).collect()
            }
            "none" => vec![0.0; values.len()],
            _ => return None,
        };
        Some(Decomposition { seasonal, trend, learned })
    }
}

fn decompose(args: &[ValueRef<'_>], out: &mut String, places: [usize; 4], default_trend: &str) -> bool {
    let Some(values) = numbers(args[0]) else { return false };
    let Some(parts) = Decomposition::of(&values, args, places, default_trend) else { return false };
    out.push('[');
    write_reals(out, parts.baseline());
    for part in [&parts.seasonal, &parts.trend] {
        out.push(',');
        write_reals(out, part.iter().copied());
    }
    out.push(',');
    write_reals(out, values.iter().zip(parts.baseline()).map(|(v, b)| v - b));
    out.push(']');
    true
}

fn anomalies(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let Some(values) = numbers(args[0]) else { return false };
    let Some(parts) = Decomposition::of(&values, args, [2, 3, 4, 6], "avg") else { return false };
    let Some(threshold) = args.get(1).map_or(Some(ANOMALY_THRESHOLD), |v| v.as_f64()) else { return false };
    let Some(fences) = args.get(5).map_or(Some(OutlierMethod::Custom), |v| v.as_str().and_then(OutlierMethod::parse)) else {
        return false;
    };
    let rest: Vec<f64> = values.iter().zip(parts.baseline()).map(|(v, b)| v - b).collect();
    let scores = fences.scores(&rest, parts.learned);
    out.push_str("[[");
    for (i, score) in scores.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        out.push_str(if *score > threshold {
            "1"
        } else if *score < -threshold {
            "-1"
        } else {
            "0"
        });
    }
    out.push_str("],");
    write_reals(out, scores);
    out.push(',');
    write_reals(out, parts.baseline());
    out.push(']');
    true
}

#[cfg(test)]
mod tests {
    use super::super::{alike, call, json};
    use super::*;
    use ValueRef::{Dynamic as D, Long, Real, String as S};

    #[test]
    fn parts_add_up() {
        // Period 4 with an outlier, and a slope of 1 between the periods.
        let series = D("[0,4,2,1,4,8,6,5,8,99,10,9]");
        assert!(alike(
            &call("series_decompose", &[series, Long(4), S("none")]),
            "[[4,8,6,5,4,8,6,5,4,8,6,5],[4,8,6,5,4,8,6,5,4,8,6,5],[0,0,0,0,0,0,0,0,0,0,0,0],[-4,-4,-4,-4,0,0,0,0,4,91,4,4]]"
        ));
        let level = call("series_decompose", &[D("[1,2,3,6]"), Long(0), S("avg"), Long(1)]);
        assert!(alike(&level, "[[2,2,2,2],[0,0,0,0],[2,2,2,2],[-1,0,1,4]]"), "{level}");
        let forecast = call("series_decompose_forecast", &[D("[1,2,3,0,0]"), Long(2), Long(0)]);
        assert!(alike(json::get_index(&forecast, 0).unwrap(), "[1,2,3,4,5]"), "{forecast}");
        assert_eq!(call("series_decompose", &[series, Long(4), S("other")]), "null");
        assert_eq!(call("series_decompose", &[D("[1]"), Long(0), S("avg"), Long(5)]), "null");
    }

    #[test]
    fn points_far_from_the_baseline_are_marked() {
        let series = D("[1,2,1,2,1,2,1,2,1,20,1,2,1,2,1,-20]");
        let found = call("series_decompose_anomalies", &[series, Real(1.5), Long(0), S("avg")]);
        assert_eq!(json::get_index(&found, 0), Some("[0,0,0,0,0,0,0,0,0,1,0,0,0,0,0,-1]"));
    }
}
