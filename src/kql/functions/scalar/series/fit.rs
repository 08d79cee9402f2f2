//! Regression: lines, pairs of lines and polynomials through series.
//!
//! The places of a series are 1, 2, 3, … (for polynomials unless places are given). Variances are of the sample: sums of
//! squares divided by the number of points less one.

use super::{numbers, write_reals};
use crate::functions::{ArgType, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::{Type, ValueRef, json};

const SERIES: &[Param] = &[Param::req("series", ArgType::Dynamic)];
/// The highest degree of a polynomial; beyond it doubles cannot distinguish the powers.
const MAX_DEGREE: i64 = 30;

/// The regression functions.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "series_fit_2lines",
        SERIES,
        Returns::Columns(&[
            ("rsquare", Type::Real),
            ("split_idx", Type::Long),
            ("variance", Type::Real),
            ("rvariance", Type::Real),
            ("line_fit", Type::Dynamic),
            ("right_rsquare", Type::Real),
            ("right_slope", Type::Real),
            ("right_interception", Type::Real),
            ("right_variance", Type::Real),
            ("right_rvariance", Type::Real),
            ("left_rsquare", Type::Real),
            ("left_slope", Type::Real),
            ("left_interception", Type::Real),
            ("left_variance", Type::Real),
            ("left_rvariance", Type::Real),
        ]),
        ScalarImpl::Text(two_lines),
        "The two lines that fit the parts of a series best, and where it breaks.",
    ),
    ScalarFn::new(
        "series_fit_2lines_dynamic",
        SERIES,
        Returns::Type(Type::Dynamic),
        ScalarImpl::Text(two_lines_bag),
        "The result of series_fit_2lines as a bag.",
    ),
    ScalarFn::new(
        "series_fit_line",
        SERIES,
        Returns::Columns(&[
            ("rsquare", Type::Real),
            ("slope", Type::Real),
            ("variance", Type::Real),
            ("rvariance", Type::Real),
            ("interception", Type::Real),
            ("line_fit", Type::Dynamic),
        ]),
        ScalarImpl::Text(line),
        "The line that fits a series best.",
    ),
    ScalarFn::new(
        "series_fit_line_dynamic",
        SERIES,
        Returns::Type(Type::Dynamic),
        ScalarImpl::Text(line_bag),
        "The result of series_fit_line as a bag.",
    ),
    ScalarFn::new(
        "series_fit_poly",
        &[
            Param::req("y_series", ArgType::Dynamic),
            Param::opt("x_series", ArgType::Dynamic),
            Param::opt("degree", ArgType::Integer),
        ],
        Returns::Columns(&[
            ("rsquare", Type::Real),
            ("coefficients", Type::Dynamic),
            ("variance", Type::Real),
            ("rvariance", Type::Real),
            ("poly_fit", Type::Dynamic),
        ]),
        ScalarImpl::Text(poly),
        "The polynomial that fits a series best.",
    ),
];

/// A line through points at 1, 2, 3, … and how well it fits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    slope: f64,
    interception: f64,
    rsquare: f64,
    variance: f64,
    rvariance: f64,
}

impl Line {
    /// The least squares line. A single point gives a level line.
    pub(super) fn fit(y: &[f64]) -> Line {
        let n = y.len() as f64;
        let (mean_x, mean_y) = ((n + 1.0) / 2.0, y.iter().sum::<f64>() / n);
        let (mut xx, mut xy) = (0.0, 0.0);
        for (i, v) in y.iter().enumerate() {
            let x = (i + 1) as f64 - mean_x;
            xx += x * x;
            xy += x * (v - mean_y);
        }
        let slope = if xx > 0.0 { xy / xx } else { 0.0 };
        let interception = mean_y - slope * mean_x;
        let fitted: Vec<f64> = (1..=y.len()).map(|i| slope * i as f64 + interception).collect();
        let (rsquare, variance, rvariance) = goodness_of_fit(y, &fitted);
        Line { slope, interception, rsquare, variance, rvariance }
    }

    /// The fitted value of an element, counted from 0.
    pub(super) fn at(&self, index: usize) -> f64 {
        self.slope * (index + 1) as f64 + self.interception
    }
}

/// R-square, variance and residual variance of fitted values.
fn goodness_of_fit(y: &[f64], fitted: &[f64]) -> (f64, f64, f64) {
    let mean = y.iter().sum::<f64>() / y.len() as f64;
    let total: f64 = y.iter().map(|v| (v - mean) * (v - mean)).sum();
    let residual: f64 = y.iter().zip(fitted).map(|(v, f)| (v - f) * (v - f)).sum();
    let count = (y.len().max(2) - 1) as f64;
    // A level series is fitted without rest.
    let rsquare = if total > 0.0 { 1.0 - residual / total } else { 1.0 };
    (rsquare, total / count, residual / count)
}

/// Appends `name:value` pairs, or the values alone when there is no name.
fn write_pairs(out: &mut String, pairs: &[(&str, f64)], named: bool) {
    for (i, (name, value)) in pairs.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        if named {
            out.push_str(&format!("\"{name}\":"));
        }
        json::write_real(out, *value);
    }
}

fn line(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let Some(y) = numbers(args[0]) else { return false };
    let line = Line::fit(&y);
    out.push('[');
    write_pairs(
        out,
        &[("", line.rsquare), ("", line.slope), ("", line.variance), ("", line.rvariance), ("", line.interception)],
        false,
    );
    out.push(',');
    write_reals(out, (0..y.len()).map(|i| line.at(i)));
    out.push(']');
    true
}

fn line_bag(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let Some(y) = numbers(args[0]) else { return false };
    let line = Line::fit(&y);
    out.push('{');
    write_pairs(out, &line.named(), true);
    out.push_str(",\"line_fit\":");
    write_reals(out, (0..y.len()).map(|i| line.at(i)));
    out.push('}');
    true
}

impl Line {
    fn named(&self) -> [(&'static str, f64); 5] {
        [
            ("rsquare", self.rsquare),
            ("slope", self.slope),
            ("interception", self.interception),
            ("variance", self.variance),
            ("rvariance", self.rvariance),
        ]
    }
}

/// Two lines: one for the points before the split, one for the rest.
struct TwoLines {
    split: usize,
    left: Line,
    right: Line,
    rsquare: f64,
    variance: f64,
    rvariance: f64,
    fitted: Vec<f64>,
}

impl TwoLines {
    /// The split that leaves the least sum of squares. Each side has two points at least, where there are four.
    fn fit(y: &[f64]) -> Option<TwoLines> {
        let n = y.len();
        if n < 2 {
            return None;
        }
        let least = if n < 4 { 1 } else { 2 };
        // Sums from either end over values around the mean, so that each split costs no more than a few operations.
        let mean = y.iter().sum::<f64>() / n as f64;
        let rests = |values: &mut dyn Iterator<Item = &f64>| {
            let (mut sums, mut count) = ([0.0f64; 5], 0.0);
            values
                .map(|v| {
                    let (x, v) = (count, v - mean);
                    count += 1.0;
                    for (sum, term) in sums.iter_mut().zip([x, v, x * x, x * v, v * v]) {
                        *sum += term;
                    }
                    let [sx, sv, sxx, sxv, svv] = sums;
                    let (xx, xv, vv) = (sxx - sx * sx / count, sxv - sx * sv / count, svv - sv * sv / count);
                    if xx > 0.0 { (vv - xv * xv / xx).max(0.0) } else { 0.0 }
                })
                .collect::<Vec<f64>>()
        };
        let left = rests(&mut y.iter());
        let right = rests(&mut y.iter().rev());
        let split =
            (least..=n - least).min_by(|a, b| (left[a - 1] + right[n - a - 1]).total_cmp(&(left[b - 1] + right[n - b - 1])))?;
        let (left, right) = (Line::fit(&y[..split]), Line::fit(&y[split..]));
        let fitted: Vec<f64> = (0..n).map(|i| if i < split { left.at(i) } else { right.at(i - split) }).collect();
        let (rsquare, variance, rvariance) = goodness_of_fit(y, &fitted);
        Some(TwoLines { split, left, right, rsquare, variance, rvariance, fitted })
    }
}

fn two_lines(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let Some(two) = numbers(args[0]).and_then(|y| TwoLines::fit(&y)) else { return false };
    out.push('[');
    json::write_real(out, two.rsquare);
    out.push_str(&format!(",{},", two.split));
    write_pairs(out, &[("", two.variance), ("", two.rvariance)], false);
    out.push(',');
    write_reals(out, two.fitted.iter().copied());
    for side in [two.right, two.left] {
        out.push(',');
        write_pairs(out, &side.named(), false);
    }
    out.push(']');
    true
}

fn two_lines_bag(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let Some(two) = numbers(args[0]).and_then(|y| TwoLines::fit(&y)) else { return false };
    out.push('{');
    write_pairs(out, &[("rsquare", two.rsquare)], true);
    out.push_str(&format!(",\"split_idx\":{},", two.split));
    write_pairs(out, &[("variance", two.variance), ("rvariance", two.rvariance)], true);
    for (name, side) in [("right", two.right), ("left", two.left)] {
        out.push_str(&format!(",\"{name}\":{{"));
        write_pairs(out, &side.named(), true);
        out.push('}');
    }
    out.push_str(",\"line_fit\":");
    write_reals(out, two.fitted.iter().copied());
    out.push('}');
    true
}

fn poly(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let Some(y) = numbers(args[0]) else { return false };
    let x = match args.get(1) {
        None => (1..=y.len()).map(|i| i as f64).collect(),
        Some(x) => match numbers(*x) {
            Some(x) if x.len() == y.len() => x,
            _ => return false,
        },
    };
    let degree = match args.get(2) {
        None => 1,
        Some(degree) => match degree.as_i64().filter(|d| (0..=MAX_DEGREE).contains(d)) {
            Some(degree) => degree as usize,
            None => return false,
        },
    };
    let Some((coefficients, fitted)) = fit_poly(&x, &y, degree) else { return false };
    let (rsquare, variance, rvariance) = goodness_of_fit(&y, &fitted);
    out.push('[');
    json::write_real(out, rsquare);
    out.push(',');
    write_reals(out, coefficients.into_iter().rev());
    out.push(',');
    write_pairs(out, &[("", variance), ("", rvariance)], false);
    out.push(',');
    write_reals(out, fitted);
    out.push(']');
    true
}

/// Coefficients from the lowest power on, and the fitted values. `None` for fewer points than coefficients.
///
/// The places are scaled to -1..1, the powers made orthogonal (Gram-Schmidt, twice), and the result is expanded again.
fn fit_poly(x: &[f64], y: &[f64], degree: usize) -> Option<(Vec<f64>, Vec<f64>)> {
    let (low, high) = x.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    let (middle, half) = (f64::midpoint(low, high), (high - low) / 2.0);
    if y.len() <= degree || !(half > 0.0 || degree == 0) {
        return None;
    }
    let half = if half > 0.0 { half } else { 1.0 };
    let t: Vec<f64> = x.iter().map(|v| (v - middle) / half).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    // Each column is a polynomial: its values at the places, and its coefficients in powers of t.
    let mut columns: Vec<(Vec<f64>, Vec<f64>)> = Vec::with_capacity(degree + 1);
    let mut sum = vec![0.0; degree + 1];
    let mut fitted = vec![0.0; y.len()];
    for power in 0..=degree {
        let (mut values, mut coefficients) = match columns.last() {
            None => (vec![1.0; t.len()], vec![0.0; degree + 1]),
            Some((values, coefficients)) => {
                let mut next = vec![0.0; degree + 1];
                next[1..].copy_from_slice(&coefficients[..degree]);
                (values.iter().zip(&t).map(|(v, t)| v * t).collect(), next)
            }
        };
        if power == 0 {
            coefficients[0] = 1.0;
        }
        for _ in 0..2 {
            for (other, other_coefficients) in &columns {
                let share = dot(&values, other);
                values.iter_mut().zip(other).for_each(|(v, o)| *v -= share * o);
                coefficients.iter_mut().zip(other_coefficients).for_each(|(c, o)| *c -= share * o);
            }
        }
        let length = dot(&values, &values).sqrt();
        if !(length > 1e-13) {
            // Fewer different places than coefficients.
            return None;
        }
        values.iter_mut().chain(&mut coefficients).for_each(|v| *v /= length);
        let share = dot(&values, y);
        fitted.iter_mut().zip(&values).for_each(|(f, v)| *f += share * v);
        sum.iter_mut().zip(&coefficients).for_each(|(s, c)| *s += share * c);
        columns.push((values, coefficients));
    }
    // From powers of t = (x - middle) / half to powers of x, by Horner's scheme on polynomials.
    let mut expanded = vec![0.0; degree + 1];
    for coefficient in sum.iter().rev() {
        for i in (0..=degree).rev() {
            let lower = if i > 0 { expanded[i - 1] } else { 0.0 };
            expanded[i] = (lower - expanded[i] * middle) / half;
        }
        expanded[0] += coefficient;
    }
    Some((expanded, fitted))
}

#[cfg(test)]
mod tests {
    use super::super::{alike, call};
    use super::*;
    use ValueRef::{Dynamic as D, Long, Null};

    #[test]
    fn lines_fit_as_the_engine_has_them() {
        let found = call("series_fit_line_dynamic", &[D("[2,5,6,8,11,15,17,18,25,26,30,30]")]);
        let expected = r#"{"rsquare":0.982900730884447,"slope":2.730769230769231,"interception":-1.6666666666666716,"variance":98.62878787878789,"rvariance":1.686480186480187,"line_fit":[1.0641025641025592,3.7948717948717903,6.525641025641022,9.256410256410252,11.987179487179482,14.717948717948715,17.448717948717945,20.179487179487175,22.910256410256405,25.641025641025635,28.37179487179487,31.102564102564102]}"#;
        assert!(alike(&found, expected), "{found}");
        assert_eq!(call("series_fit_line", &[D("[1,null]")]), "null");
    }

    #[test]
    fn two_lines_break_where_the_rest_is_least() {
        let found = call("series_fit_2lines_dynamic", &[D("[1,2.2,2.5,4.7,5.0,12,10.3,10.3,9,8.3,6.2]")]);
        let fitted = json::get_key(&found, "line_fit").unwrap();
        assert!(
            alike(
                fitted,
                "[0.98,2.03,3.08,4.13,5.18,11.942857142857143,10.905714285714286,9.868571428571428,8.831428571428573,7.794285714285716,6.75714285714286]"
            ),
            "{fitted}"
        );
        assert_eq!(json::get_key(&found, "split_idx"), Some("5"));
    }

    #[test]
    fn polynomials_are_found_again() {
        let found = call("series_fit_poly", &[D("[6,17,34,57]"), Null, Long(2)]);
        assert_eq!(found, "null");
        let found = call("series_fit_poly", &[D("[6,17,34,57]"), D("[1,2,3,4]"), Long(2)]);
        assert!(alike(&found, "[1.0,[3.0,2.0,1.0],493.6666666666667,0.0,[6.0,17.0,34.0,57.0]]"), "{found}");
        assert_eq!(call("series_fit_poly", &[D("[1,2]"), D("[1,2]"), Long(2)]), "null");
    }
}
