//! Filling gaps: `series_fill_const`, `_forward`, `_backward` and `_linear`.
//!
//! A gap is a null, or the number that is named as the stand-in of missing values. Present elements keep their spelling.

use super::super::arrays::{array, element, write_array};
use super::{Number, Series};
use crate::functions::{ArgType, Naming, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::{Type, ValueRef, json};

const GAPS: Param = Param::opt("missing_value_placeholder", ArgType::Number);
const DYNAMIC: Returns = Returns::Type(Type::Dynamic);

/// The functions that fill gaps.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "series_fill_backward",
        &[Param::req("series", ArgType::Dynamic), GAPS],
        DYNAMIC,
        ScalarImpl::Text(backward),
        "Fills gaps with the next value.",
    )
    .naming(Naming::FirstArg),
    ScalarFn::new(
        "series_fill_const",
        &[Param::req("series", ArgType::Dynamic), Param::opt("constant_value", ArgType::Number), GAPS],
        DYNAMIC,
        ScalarImpl::Text(constant),
        "Fills gaps with a constant.",
    )
    .naming(Naming::FirstArg),
    ScalarFn::new(
        "series_fill_forward",
        &[Param::req("series", ArgType::Dynamic), GAPS],
        DYNAMIC,
        ScalarImpl::Text(forward),
        "Fills gaps with the value before.",
    )
    .naming(Naming::FirstArg),
    ScalarFn::new(
        "series_fill_linear",
        &[
            Param::req("series", ArgType::Dynamic),
            GAPS,
            Param::opt("fill_edges", ArgType::Bool),
            Param::opt("constant_value", ArgType::Number),
        ],
        DYNAMIC,
        ScalarImpl::Text(linear),
        "Fills gaps on the line between their neighbours; gaps at the ends with the nearest value.",
    )
    .naming(Naming::FirstArg),
];

/// True for a gap.
fn is_gap(element: &str, placeholder: Option<&ValueRef<'_>>) -> bool {
    match placeholder.and_then(|p| p.as_f64()) {
        None => element == "null",
        Some(placeholder) => json::number(element).is_some_and(|v| v == placeholder || (v.is_nan() && placeholder.is_nan())),
    }
}

fn constant(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let Some(elements) = array(args[0]) else { return false };
    let fill = args.get(1).map_or_else(|| "0".to_owned(), |v| element(*v));
    write_array(out, elements.into_iter().map(|e| if is_gap(e, args.get(2)) { &fill } else { e }));
    true
}

fn forward(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let Some(mut elements) = array(args[0]) else { return false };
    carry(elements.iter_mut(), args.get(1));
    write_array(out, elements);
    true
}

fn backward(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let Some(mut elements) = array(args[0]) else { return false };
    carry(elements.iter_mut().rev(), args.get(1));
    write_array(out, elements);
    true
}

fn carry<'a: 'e, 'e>(elements: impl Iterator<Item = &'e mut &'a str>, placeholder: Option<&ValueRef<'_>>) {
    let mut last = None;
    for element in elements {
        if !is_gap(element, placeholder) {
            last = Some(*element);
        } else if let Some(last) = last {
            *element = last;
        }
    }
}

fn linear(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let (Some(elements), Some(series)) = (array(args[0]), Series::read(args[0])) else { return false };
    let gap: Vec<bool> = elements.iter().map(|e| is_gap(e, args.get(1))).collect();
    let fill_edges = !matches!(args.get(2), Some(ValueRef::Bool(false)));
    // A series of whole numbers stays one: what is interpolated is cut.
    let whole = (0..elements.len()).filter(|i| !gap[*i]).all(|i| !matches!(series.items[i], Some(Number::Real(_))));
    let known: Vec<usize> = (0..elements.len()).filter(|i| !gap[*i] && series.items[*i].is_some()).collect();
    let fill = args.get(3).map_or_else(|| "0.0".to_owned(), |v| element(*v));
    let value = |i: usize| series.items[i].map_or(f64::NAN, Number::real);
    let mut next = 0;
    out.push('[');
    for (i, element) in elements.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        while next < known.len() && known[next] < i {
            next += 1;
        }
        if !gap[i] {
            out.push_str(element);
            continue;
        }
        match (next.checked_sub(1).map(|before| known[before]), known.get(next)) {
            (Some(before), Some(after)) => {
                let share = (i - before) as f64 / (after - before) as f64;
                let between = value(before) + (value(*after) - value(before)) * share;
                if whole {
                    out.push_str(&(between as i64).to_string());
                } else {
                    json::write_real(out, between);
                }
            }
            (Some(nearest), None) if fill_edges => out.push_str(elements[nearest]),
            (None, Some(nearest)) if fill_edges => out.push_str(elements[*nearest]),
            (None, None) => out.push_str(&fill),
            _ => out.push_str(element),
        }
    }
    out.push(']');
    true
}

#[cfg(test)]
mod tests {
    use super::super::call;
    use super::*;

    #[test]
    fn gaps_are_filled() {
        use ValueRef::{Bool, Dynamic as D, Long, Null, Real};
        let reals = D("[null,111.0,null,36.0,null,null,16.0,null]");
        let whole = D("[null,111,null,36,41,null,null,16,61]");
        for (name, args, expected) in [
            ("series_fill_const", vec![D("[1,null,\"x\"]"), Real(0.0)], "[1,0.0,\"x\"]"),
            ("series_fill_const", vec![D("[1,null,7]"), Long(-1), Long(7)], "[1,null,-1]"),
            ("series_fill_forward", vec![D("[null,36,null,null,16,null]")], "[null,36,36,36,16,16]"),
            ("series_fill_backward", vec![D("[null,36,null,16,null]")], "[36,36,16,16,null]"),
            ("series_fill_forward", vec![D("[0,36,0]"), Long(0)], "[0,36,36]"),
            ("series_fill_linear", vec![whole], "[111,111,73,36,41,32,24,16,61]"),
            (
                "series_fill_linear",
                vec![reals, Null, Bool(false)],
                "[null,111.0,73.5,36.0,29.333333333333332,22.666666666666668,16.0,null]",
            ),
            ("series_fill_linear", vec![D("[null,null]"), Null, Bool(true), Real(2.71)], "[2.71,2.71]"),
            ("series_fill_linear", vec![D("[null]")], "[0.0]"),
        ] {
            let found = call(name, &args);
            assert!(found == expected || super::super::alike(&found, expected), "{name} {args:?}: {found}");
        }
    }
}
