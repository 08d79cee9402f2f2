//! Digital filters: `series_fir` and `series_iir`.

use super::{Number, Series, numbers, write_numbers, write_reals};
use crate::functions::{ArgType, Naming, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::{Type, ValueRef};

/// The filter functions.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "series_fir",
        &[
            Param::req("series", ArgType::Dynamic),
            Param::req("filter", ArgType::Dynamic),
            Param::opt("normalize", ArgType::Bool),
            Param::opt("center", ArgType::Bool),
        ],
        Returns::Type(Type::Dynamic),
        ScalarImpl::Text(fir),
        "A finite impulse response filter: weighted sums of each number and those before it.",
    )
    .naming(Naming::FirstArg),
    ScalarFn::new(
        "series_iir",
        &[
            Param::req("series", ArgType::Dynamic),
            Param::req("numerators", ArgType::Dynamic),
            Param::req("denominators", ArgType::Dynamic),
        ],
        Returns::Type(Type::Dynamic),
        ScalarImpl::Text(iir),
        "An infinite impulse response filter: weighted sums of the input and of the output so far.",
    )
    .naming(Naming::FirstArg),
];

fn fir(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let (Some(series), Some(filter)) = (Series::read(args[0]), Series::read(args[1])) else { return false };
    let (Some(values), Some(weights)) = (series.reals(), filter.reals()) else { return false };
    let negative = weights.iter().any(|w| *w < 0.0);
    let flag = |i: usize, default: bool| match args.get(i) {
        Some(ValueRef::Bool(flag)) => *flag,
        _ => default,
    };
    // Weights with negative ones among them cannot be scaled to a sum of 1.
    let normalize = flag(2, !negative);
    if weights.is_empty() || (normalize && negative) {
        return false;
    }
    let total: f64 = weights.iter().sum();
    let ahead = if flag(3, false) { weights.len() / 2 } else { 0 };
    let whole = !normalize && series.is_whole() && filter.is_whole();
    write_numbers(
        out,
        (0..values.len()).map(|i| {
            // Outside the series there are zeros.
            let sum: f64 =
                weights.iter().enumerate().filter_map(|(j, w)| values.get((i + ahead).checked_sub(j)?).map(|v| v * w)).sum();
            Some(match (whole, normalize) {
                (true, _) => Number::Whole(sum as i64),
                (false, true) => Number::Real(sum / total),
                (false, false) => Number::Real(sum),
            })
        }),
    );
    true
}

fn iir(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let (Some(values), Some(b), Some(a)) = (numbers(args[0]), numbers(args[1]), numbers(args[2])) else { return false };
    if a[0] == 0.0 {
        return false;
    }
    let mut result: Vec<f64> = Vec::with_capacity(values.len());
    for i in 0..values.len() {
        let input: f64 = b.iter().zip(values[..=i].iter().rev()).map(|(b, x)| b * x).sum();
        let fed_back: f64 = a[1..].iter().zip(result.iter().rev()).map(|(a, y)| a * y).sum();
        result.push((input - fed_back) / a[0]);
    }
    write_reals(out, result);
    true
}

#[cfg(test)]
mod tests {
    use super::super::call;
    use ValueRef::{Bool, Dynamic as D};

    use super::*;

    #[test]
    fn filters_weigh_what_was_before() {
        let (five, step) = (D("[1,1,1,1,1]"), D("[0,0,10,20,40,100,40]"));
        for (name, args, expected) in [
            ("series_fir", vec![step, five], "[0.0,0.0,2.0,6.0,14.0,34.0,42.0]"),
            ("series_fir", vec![step, five, Bool(true), Bool(true)], "[2.0,6.0,14.0,34.0,42.0,40.0,36.0]"),
            ("series_fir", vec![D("[0,2,2,3]"), D("[1,-1]"), Bool(false), Bool(false)], "[0,2,0,1]"),
            ("series_fir", vec![D("[0,2,2,3]"), D("[1,-1]")], "[0,2,0,1]"),
            ("series_fir", vec![D("[0,2]"), D("[1,-1]"), Bool(true)], "null"),
            ("series_iir", vec![D("[10,30,0]"), D("[1]"), D("[1,-1]")], "[10.0,40.0,40.0]"),
            ("series_iir", vec![D("[1]"), D("[1]"), D("[0]")], "null"),
        ] {
            assert_eq!(call(name, &args), expected, "{name} {args:?}");
        }
    }
}
