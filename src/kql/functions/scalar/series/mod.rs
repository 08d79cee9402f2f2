//! Functions over series: dynamic arrays of numbers, as `make-series` and `make_list` give them.
//!
//! A series whose numbers are all whole stays whole where the arithmetic allows; one real number makes it a series of reals.
//! Sources: the Kusto documentation's page of each function, and the answers of Microsoft's engine where the page is silent.

pub(crate) mod arithmetic;
pub(crate) mod decompose;
pub(crate) mod fill;
pub(crate) mod filter;
pub(crate) mod fit;
pub(crate) mod fourier;
pub(crate) mod periods;
pub(crate) mod statistics;

use kqlake_value::parse::datetimes;
use kqlake_value::{ValueRef, json};

/// An element of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Number {
    Whole(i64),
    Real(f64),
}

impl Number {
    fn read(text: &str) -> Option<Number> {
        match text.parse() {
            Ok(whole) => Some(Number::Whole(whole)),
            Err(_) if text.starts_with('"') => json::number(text).map(Number::Real).or_else(|| ticks(text)),
            Err(_) => json::number(text).map(Number::Real),
        }
    }

    fn of(value: ValueRef<'_>) -> Option<Number> {
        match value.as_i64() {
            Some(whole) => Some(Number::Whole(whole)),
            None => value.as_f64().map(Number::Real),
        }
    }

    fn real(self) -> f64 {
        match self {
            Number::Whole(v) => v as f64,
            Number::Real(v) => v,
        }
    }
}

/// The ticks of a datetime in the form that dynamic values hold it in.
///
/// Microsoft's published `series_rate_fl()` takes the differences of timestamps for ticks.
fn ticks(text: &str) -> Option<Number> {
    const FORM: &str = "\"0000-00-00T00:00:00.0000000Z\"";
    let alike = |(c, form): (u8, u8)| c == form || (form == b'0' && c.is_ascii_digit());
    if text.len() != FORM.len() || !text.bytes().zip(FORM.bytes()).all(alike) {
        return None;
    }
    datetimes::literal(text.trim_matches('"')).map(Number::Whole)
}

/// A series as read from a dynamic array; what is no number is `None`.
#[derive(Debug, Clone)]
struct Series {
    items: Vec<Option<Number>>,
}

impl Series {
    /// Reads a dynamic array; `None` for any other value.
    fn read(value: ValueRef<'_>) -> Option<Series> {
        match value {
            ValueRef::Dynamic(text) => {
                json::elements(text).map(|elements| Series { items: elements.map(Number::read).collect() })
            }
            _ => None,
        }
    }

    /// True when no number has a fraction part.
    fn is_whole(&self) -> bool {
        self.items.iter().all(|item| !matches!(item, Some(Number::Real(_))))
    }

    /// All numbers as reals; `None` when an element is none.
    fn reals(&self) -> Option<Vec<f64>> {
        self.items.iter().map(|item| item.map(Number::real)).collect()
    }
}

/// Reads a series that must consist of numbers only and not be empty.
fn numbers(value: ValueRef<'_>) -> Option<Vec<f64>> {
    Series::read(value)?.reals().filter(|values| !values.is_empty())
}

/// Appends a JSON array of reals.
fn write_reals(out: &mut String, values: impl IntoIterator<Item = f64>) {
    out.push('[');
    for (i, value) in values.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        json::write_real(out, value);
    }
    out.push(']');
}

/// Appends a JSON array of numbers, null where there is none.
fn write_numbers(out: &mut String, values: impl IntoIterator<Item = Option<Number>>) {
    out.push('[');
    for (i, value) in values.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        match value {
            Some(Number::Whole(v)) => out.push_str(&v.to_string()),
            Some(Number::Real(v)) => json::write_real(out, v),
            None => out.push_str("null"),
        }
    }
    out.push(']');
}

/// Runs a function of the series tables on JSON arguments.
#[cfg(test)]
fn call(name: &str, args: &[ValueRef<'_>]) -> String {
    use crate::functions::ScalarImpl;
    use kqlake_value::Value;
    let function = super::families().iter().flat_map(|f| f.iter()).find(|f| f.name == name).unwrap();
    match function.imp {
        ScalarImpl::Text(f) => {
            let mut out = String::new();
            if f(args, &mut out) { out } else { "null".to_owned() }
        }
        ScalarImpl::Row(f) => match f(args) {
            Value::Real(v) => v.to_string(),
            Value::Null => "null".to_owned(),
            other => format!("{other:?}"),
        },
        _ => String::new(),
    }
}

/// True when two JSON arrays hold the same numbers, to twelve digits.
#[cfg(test)]
fn alike(found: &str, expected: &str) -> bool {
    fn flat(text: &str) -> Vec<f64> {
        text.split(['[', ']', ',', '{', '}', ':', '"']).filter_map(|t| t.parse().ok()).collect()
    }
    let (found, expected) = (flat(found), flat(expected));
    found.len() == expected.len() && found.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 1e-12 * b.abs().max(1.0))
}
