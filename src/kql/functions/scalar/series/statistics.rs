//! Numbers about whole series: `series_stats`, products, magnitudes, similarities and outlier scores.

use super::{Number, Series, numbers, write_reals};
use crate::functions::{ArgInfo, ArgType, Naming, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::{Type, Value, ValueRef, json};

const REAL: Returns = Returns::Type(Type::Real);
const OPERAND: ArgType = ArgType::OneOf(&[Type::Dynamic, Type::Int, Type::Long, Type::Real, Type::Decimal]);
const STATS: &[Param] = &[Param::req("series", ArgType::Dynamic), Param::opt("ignore_nonfinite", ArgType::Bool)];

/// The statistics functions.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "series_cosine_similarity",
        &[
            Param::req("series1", ArgType::Dynamic),
            Param::req("series2", ArgType::Dynamic),
            Param::opt("series1_magnitude", ArgType::Number),
            Param::opt("series2_magnitude", ArgType::Number),
        ],
        REAL,
        ScalarImpl::Row(cosine_similarity),
        "The cosine of the angle between two series, read as vectors.",
    ),
    ScalarFn::new(
        "series_dot_product",
        &[Param::req("series1", OPERAND), Param::req("series2", OPERAND)],
        REAL,
        ScalarImpl::Row(|args| products(args).map_or(Value::Null, |(_, dot)| Value::Real(dot))),
        "The sum of the products of two series' numbers.",
    ),
    ScalarFn::new(
        "series_magnitude",
        &[Param::req("series", ArgType::Dynamic)],
        REAL,
        ScalarImpl::Row(|args| magnitude(args[0]).map_or(Value::Null, Value::Real)),
        "The length of a series, read as a vector.",
    ),
    ScalarFn::new(
        "series_outliers",
        &[
            Param::req("series", ArgType::Dynamic),
            Param::opt("kind", ArgType::String),
            Param::opt("ignore_val", ArgType::Number),
            Param::opt("min_percentile", ArgType::Number),
            Param::opt("max_percentile", ArgType::Number),
            Param::opt("test_points", ArgType::Integer),
        ],
        Returns::With(outliers_type),
        ScalarImpl::Text(outliers),
        "Scores how far each number lies outside the usual range (Tukey's test): beyond 1.5 it is an anomaly.",
    )
    .naming(Naming::FirstArg),
    ScalarFn::new(
        "series_pearson_correlation",
        &[Param::req("series1", ArgType::Dynamic), Param::req("series2", ArgType::Dynamic)],
        REAL,
        ScalarImpl::Row(pearson),
        "The correlation coefficient of two series.",
    ),
    ScalarFn::new(
        "series_product",
        &[Param::req("series", ArgType::Dynamic)],
        REAL,
        ScalarImpl::Row(product),
        "The product of the numbers in a series; null when something else is in it.",
    ),
    ScalarFn::new(
        "series_stats",
        STATS,
        Returns::Columns(&[
            ("min", Type::Real),
            ("min_idx", Type::Long),
            ("max", Type::Real),
            ("max_idx", Type::Long),
            ("avg", Type::Real),
            ("stdev", Type::Real),
            ("variance", Type::Real),
        ]),
        ScalarImpl::Text(stats),
        "Least and greatest number with their places, mean, sample deviation and sample variance.",
    ),
    ScalarFn::new(
        "series_stats_dynamic",
        STATS,
        Returns::Type(Type::Dynamic),
        ScalarImpl::Text(stats_bag),
        "The statistics of series_stats, sum and length as a bag.",
    ),
];

struct Stats {
    min: f64,
    min_idx: usize,
    max: f64,
    max_idx: usize,
    avg: f64,
    variance: f64,
    sum: f64,
    len: usize,
}

impl Stats {
    /// `None` when the series holds anything but finite numbers and these are not to be ignored.
    fn of(args: &[ValueRef<'_>]) -> Option<Stats> {
        let series = Series::read(args[0])?;
        let ignore = matches!(args.get(1), Some(ValueRef::Bool(true)));
        let finite = |item: &Option<Number>| item.map(Number::real).filter(|v| v.is_finite());
        if !ignore && series.items.iter().any(|item| finite(item).is_none()) {
            return None;
        }
        let mut stats = Stats {
            min: f64::INFINITY,
            min_idx: 0,
            max: f64::NEG_INFINITY,
            max_idx: 0,
            avg: 0.0,
            variance: 0.0,
            sum: 0.0,
            len: series.items.len(),
        };
        let values: Vec<(usize, f64)> =
            series.items.iter().enumerate().filter_map(|(i, item)| Some((i, finite(item)?))).collect();
        if values.is_empty() {
            return None;
        }
        for (i, v) in &values {
            stats.sum += v;
            if *v < stats.min {
                (stats.min, stats.min_idx) = (*v, *i);
            }
            if *v > stats.max {
                (stats.max, stats.max_idx) = (*v, *i);
            }
        }
        let count = values.len() as f64;
        stats.avg = stats.sum / count;
        if values.len() > 1 {
            stats.variance = values.iter().map(|(_, v)| (v - stats.avg) * (v - stats.avg)).sum::<f64>() / (count - 1.0);
        }
        Some(stats)
    }
}

fn stats(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let Some(s) = Stats::of(args) else { return false };
    out.push('[');
    json::write_real(out, s.min);
    out.push_str(&format!(",{},", s.min_idx));
    json::write_real(out, s.max);
    out.push_str(&format!(",{}", s.max_idx));
    for v in [s.avg, s.variance.sqrt(), s.variance] {
        out.push(',');
        json::write_real(out, v);
    }
    out.push(']');
    true
}

fn stats_bag(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let Some(s) = Stats::of(args) else { return false };
    let mut real = |before: &str, v: f64| {
        out.push_str(before);
        json::write_real(out, v);
    };
    real("{\"min\":", s.min);
    real(&format!(",\"min_idx\":{},\"max\":", s.min_idx), s.max);
    real(&format!(",\"max_idx\":{},\"avg\":", s.max_idx), s.avg);
    real(",\"stdev\":", s.variance.sqrt());
    real(",\"variance\":", s.variance);
    real(",\"sum\":", s.sum);
    out.push_str(&format!(",\"len\":{}}}", s.len));
    true
}

/// How many pairs of numbers two series (or a series and a number) have, and the sum of the pairs' products. Places where one
/// is missing or no number do not count.
fn products(args: &[ValueRef<'_>]) -> Option<(usize, f64)> {
    let (count, dot) = match (Series::read(args[0]), Series::read(args[1])) {
        (Some(a), Some(b)) => a
            .items
            .iter()
            .zip(&b.items)
            .filter_map(|(a, b)| Some(a.as_ref()?.real() * b.as_ref()?.real()))
            .fold((0, 0.0), |(count, sum), p| (count + 1, sum + p)),
        (Some(a), None) => scaled(&a, args[1].as_f64()?),
        (None, Some(b)) => scaled(&b, args[0].as_f64()?),
        (None, None) => return None,
    };
    (count > 0).then_some((count, dot))
}

fn scaled(series: &Series, factor: f64) -> (usize, f64) {
    series.items.iter().flatten().fold((0, 0.0), |(count, sum), v| (count + 1, sum + v.real() * factor))
}

fn magnitude(value: ValueRef<'_>) -> Option<f64> {
    let series = Series::read(value)?;
    (!series.items.is_empty()).then(|| series.items.iter().flatten().map(|v| v.real() * v.real()).sum::<f64>().sqrt())
}

fn cosine_similarity(args: &[ValueRef<'_>]) -> Value {
    let Some((_, dot)) = products(args) else { return Value::Null };
    let (Some(a), Some(b)) = (Series::read(args[0]), Series::read(args[1])) else { return Value::Null };
    // The longer series is cut to the length of the shorter one.
    let pairs = || a.items.iter().zip(&b.items).filter_map(|(a, b)| Some((a.as_ref()?.real(), b.as_ref()?.real())));
    let length = |given: Option<&ValueRef<'_>>, square: f64| given.and_then(|v| v.as_f64()).unwrap_or_else(|| square.sqrt());
    let first = length(args.get(2), pairs().map(|(a, _)| a * a).sum());
    let second = length(args.get(3), pairs().map(|(_, b)| b * b).sum());
    Value::Real(dot / (first * second))
}

fn pearson(args: &[ValueRef<'_>]) -> Value {
    let (Some(a), Some(b)) = (numbers(args[0]), numbers(args[1])) else { return Value::Null };
    if a.len() != b.len() {
        return Value::Null;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_a, mean_b) = (mean(&a), mean(&b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(&b) {
        let (x, y) = (x - mean_a, y - mean_b);
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    Value::Real(ab / (aa * bb).sqrt())
}

fn product(args: &[ValueRef<'_>]) -> Value {
    let Some(series) = Series::read(args[0]) else { return Value::Null };
    series.reals().map_or(Value::Null, |values| Value::Real(values.iter().product()))
}

/// The 10th and 90th percentile in units of a normal distribution's deviation whose quartiles are at 0.675, as the engine
/// approximates it. Only this default range is known exactly, so other ranges are refused.
const TENTH: f64 = 1.296_820_82;
const QUARTILE: f64 = 0.675;

/// The algorithms of outlier scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OutlierMethod {
    /// Between the 10th and the 90th percentile.
    Custom,
    /// Between the quartiles.
    Quartiles,
}

impl OutlierMethod {
    /// By name; `None` for an unknown one.
    pub(super) fn parse(name: &str) -> Option<OutlierMethod> {
        match name {
            "ctukey" => Some(OutlierMethod::Custom),
            "tukey" => Some(OutlierMethod::Quartiles),
            _ => None,
        }
    }

    /// The outlier scores of values, by the range of the first `learned` of them. A score is the distance from the range in
    /// units in which Tukey's fences of a normal distribution are at 1.5, whatever the percentiles. NaN stands for a value
    /// that is not to be scored.
    pub(super) fn scores(self, values: &[f64], learned: usize) -> Vec<f64> {
        let mut sorted: Vec<f64> = values[..learned.min(values.len())].iter().copied().filter(|v| !v.is_nan()).collect();
        if sorted.is_empty() {
            return vec![0.0; values.len()];
        }
        sorted.sort_by(f64::total_cmp);
        let (share, place) = match self {
            OutlierMethod::Custom => (0.1, TENTH),
            OutlierMethod::Quartiles => (0.25, QUARTILE),
        };
        let (low, high) = (percentile(&sorted, share), percentile(&sorted, 1.0 - share));
        // Tukey's fence is at the quartile plus 1.5 times the range between the quartiles.
        let unit = (4.0 * QUARTILE - place) / (1.5 * 2.0 * place) * (high - low);
        let score = |v: f64| {
            if v > high {
                (v - high) / unit
            } else if v < low {
                (v - low) / unit
            } else {
                0.0
            }
        };
        values.iter().map(|v| score(*v)).collect()
    }
}

/// A percentile of sorted values, on the line between its neighbours.
pub(super) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, rest) = (place.floor() as usize, place.fract());
    match sorted.get(below + 1) {
        Some(next) if rest > 0.0 => sorted[below] + (next - sorted[below]) * rest,
        _ => sorted[below],
    }
}

fn outliers_type(args: &[ArgInfo]) -> Result<Type, String> {
    let kind = args.get(1).and_then(|arg| arg.constant.as_ref());
    if let Some(Value::String(kind)) = kind
        && OutlierMethod::parse(kind).is_none()
    {
        return Err(format!("series_outliers() knows the kinds 'ctukey' and 'tukey', not '{kind}'"));
    }
    for (place, default) in [(3, 10.0), (4, 90.0)] {
        let given = args.get(place).map(|arg| arg.constant.as_ref().and_then(|v| v.as_ref(&mut String::new()).as_f64()));
        if given.is_some_and(|given| given != Some(default)) {
            return Err("series_outliers() is supported with the percentiles 10 and 90 only".to_owned());
        }
    }
    Ok(Type::Dynamic)
}

fn outliers(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let Some(series) = Series::read(args[0]) else { return false };
    let Some(fences) = args.get(1).map_or(Some(OutlierMethod::Custom), |kind| kind.as_str().and_then(OutlierMethod::parse))
    else {
        return false;
    };
    let ignored = args.get(2).and_then(|v| v.as_f64());
    let test_points = args.get(5).and_then(|v| v.as_i64()).and_then(|v| usize::try_from(v).ok()).unwrap_or(0);
    let values: Vec<f64> =
        series.items.iter().map(|item| item.map(Number::real).filter(|v| Some(*v) != ignored).unwrap_or(f64::NAN)).collect();
    write_reals(out, fences.scores(&values, values.len().saturating_sub(test_points)));
    true
}

#[cfg(test)]
mod tests {
    use super::super::{alike, call};
    use super::*;
    use ValueRef::{Bool, Dynamic as D, Null, String as S};

    #[test]
    fn statistics_are_of_the_sample() {
        let series = D("[23,46,23,87,4,8,3,75,2,56,13,75,32,16,29]");
        let bag = call("series_stats_dynamic", &[series]);
        let keys: Vec<&str> = json::entries(&bag).unwrap().map(|(key, _)| key).collect();
        assert_eq!(keys, ["min", "min_idx", "max", "max_idx", "avg", "stdev", "variance", "sum", "len"]);
        assert!(alike(&bag, "[2.0,8,87.0,3,32.8,28.50363385354827,812.4571428571429,492.0,15]"), "{bag}");
        assert!(alike(&call("series_stats", &[series]), "[2.0,8,87.0,3,32.8,28.50363385354827,812.4571428571429]"));
        assert_eq!(call("series_stats", &[D("[1,null]")]), "null");
        assert!(alike(&call("series_stats", &[D("[null,4]"), Bool(true)]), "[4.0,1,4.0,1,4.0,0.0,0.0]"));
    }

    #[test]
    fn products_and_similarities() {
        assert_eq!(call("series_product", &[D("[1,2,3,4]")]), "24");
        assert_eq!(call("series_dot_product", &[D("[1,2]"), D("[3,4,5]")]), "11");
        assert_eq!(call("series_magnitude", &[D("[3,4]")]), "5");
        assert!(alike(&call("series_cosine_similarity", &[D("[0.1,0.2,0.1,0.2]"), D("[1,2,3,4]")]), "0.9237604307034012"));
        assert_eq!(call("series_pearson_correlation", &[D("[1,2,3,4,5]"), D("[2,4,6,8,10]")]), "1");
        assert_eq!(call("series_pearson_correlation", &[D("[1,2,3]"), Null]), "null");
    }

    #[test]
    fn scores_grow_with_the_distance_from_the_range() {
        // 0 to 10: the 10th percentile is 1, the 90th 9.
        let series = D("[0,1,2,3,4,5,6,7,8,9,10,null]");
        let unit = 2.772605605507916 / 8.0;
        let expected = format!("[{},0,0,0,0,0,0,0,0,0,{unit},0]", -unit);
        assert!(alike(&call("series_outliers", &[series]), &expected));
        assert!(alike(&call("series_outliers", &[D("[0,1,2,3,4]"), S("tukey")]), "[-0.5,0,0,0,0.5]"));
        assert_eq!(call("series_outliers", &[series, S("other")]), "null");
    }
}
