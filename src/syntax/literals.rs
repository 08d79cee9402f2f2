//! The content of typed literals: `datetime(…)`, `timespan(…)`, `guid(…)`, `int(…)`, … as text, to values.
//!
//! Source of the rules: Kusto documentation, "Scalar data types", and the published parser.

use crate::ast::Literal;
use kqlake_value::Type;
use kqlake_value::format::write_datetime;
use kqlake_value::parse::{self, BoolForm, RealForm, boolean_of, datetimes, guids, is_number, timespans};

/// Reads the content of `type(…)`, which is everything between the parentheses. `None` when it is no literal of that type.
///
/// `dynamic(…)` and `string(…)` are no such literals, and the empty `datetime()` is a call; they give `None`.
pub(crate) fn parse_typed(ty: Type, content: &str) -> Option<Literal> {
    let text = content.trim();
    let null = text == "null";
    Some(match ty {
        Type::Bool if null => Literal::Bool(None),
        Type::Bool => Literal::Bool(Some(boolean_of(text, BoolForm::Literal)?)),
        Type::Int if null => Literal::Int(None),
        // Unlike `toint`, a literal takes no hexadecimal digits beyond 32 bits.
        Type::Int => Literal::Int(Some(match parse::hex_digits(text) {
            Some(digits) => u32::from_str_radix(digits, 16).ok()? as i32,
            None => parse::int(text)?,
        })),
        Type::Long if null => Literal::Long(None),
        Type::Long => Literal::Long(Some(parse_long(text)?)),
        Type::Real if null => Literal::Real(None),
        Type::Real => Literal::Real(Some(parse_real(text)?)),
        Type::Decimal if null => Literal::Decimal(None),
        Type::Decimal => Literal::Decimal(Some(decimal(text)?)),
        Type::DateTime if null => Literal::DateTime(None),
        Type::DateTime => {
            let text = unquoted(text);
            Literal::DateTime(Some(datetimes::literal(text).or_else(|| datetimes::literal(&close_hyphens(text)))?))
        }
        Type::TimeSpan if null => Literal::TimeSpan(None),
        Type::TimeSpan => Literal::TimeSpan(Some(timespans::read(unquoted(text), &timespans::LITERAL)?)),
        Type::Guid if null => Literal::Guid(None),
        Type::Guid => Literal::Guid(Some(guids::read(unquoted(text), guids::GuidForm::Plain)?)),
        Type::String | Type::Dynamic => return None,
    })
}

/// The beginning of what is no literal, for messages.
pub fn shown(content: &str) -> String {
    content.lines().next().unwrap_or("").chars().take(60).collect()
}

/// A `long`: digits with a sign, or `0x` and up to 16 hexadecimal digits, which wrap (`0xFFFFFFFFFFFFFFFF` is -1).
pub(crate) fn parse_long(text: &str) -> Option<i64> {
    parse::long(text)
}

/// A `real`: a number with or without point and exponent, `nan`, `inf`, `+inf`, `-inf`. One too great for a double is none.
pub(crate) fn parse_real(text: &str) -> Option<f64> {
    parse::real_of(text, RealForm::Literal)
}

/// `2020-01-02T03:04:05.6000000Z` of ticks since 0001-01-01.
pub fn write_ticks(ticks: i64) -> String {
    let mut text = String::new();
    write_datetime(&mut text, ticks);
    text
}

fn decimal(text: &str) -> Option<String> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    is_number(unsigned).then(|| text.strip_prefix('+').unwrap_or(text).to_owned())
}

/// A date without the blanks beside its hyphens: `2017 - 08 - 01`.
fn close_hyphens(text: &str) -> String {
    text.split('-').map(str::trim).collect::<Vec<_>>().join("-")
}

/// The text inside of one pair of quotes, or the text itself.
fn unquoted(text: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote)) {
            return inner.trim();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_strict_and_hexadecimal_wraps() {
        assert_eq!(parse_typed(Type::Int, "0xFFFFFFFF"), Some(Literal::Int(Some(-1))));
        assert_eq!(parse_typed(Type::Int, "010"), Some(Literal::Int(Some(10))));
        assert_eq!(parse_typed(Type::Int, " -2147483648 "), Some(Literal::Int(Some(i32::MIN))));
        assert_eq!(parse_typed(Type::Int, "null"), Some(Literal::Int(None)));
        for bad in ["1_0", "1.0", "-0x10", "2147483648", "", "x", "0x", "+ 1"] {
            assert_eq!(parse_typed(Type::Int, bad), None, "{bad}");
        }
        assert_eq!(parse_long("9223372036854775807"), Some(i64::MAX));
        assert_eq!(parse_long("9223372036854775808"), None);
        assert_eq!(parse_long("0xFFFFFFFFFFFFFFFF"), Some(-1));
    }

    #[test]
    fn reals_have_their_names() {
        assert!(parse_real("nan").is_some_and(f64::is_nan));
        assert_eq!(parse_real("-inf"), Some(f64::NEG_INFINITY));
        assert_eq!(parse_real("1e3"), Some(1000.0));
        assert_eq!(parse_real("1."), Some(1.0));
        assert_eq!(parse_real(".5"), Some(0.5));
        for bad in ["", ".", "1e", "1e400", "0x1F", "1_0", "--1"] {
            assert_eq!(parse_real(bad), None, "{bad}");
        }
    }

    #[test]
    fn blanks_may_stand_beside_the_hyphens_of_a_date() {
        let date = parse_typed(Type::DateTime, "2017-08-01");
        assert!(date.is_some());
        assert_eq!(parse_typed(Type::DateTime, "2017 - 08 - 01"), date);
        assert_eq!(parse_typed(Type::DateTime, "2017 - 08 - 01 10:00"), parse_typed(Type::DateTime, "2017-08-01 10:00"));
        assert_eq!(parse_typed(Type::DateTime, "2017 - - 01"), None);
    }

    #[test]
    fn bools_and_decimals() {
        assert_eq!(parse_typed(Type::Bool, "TRUE"), Some(Literal::Bool(Some(true))));
        assert_eq!(parse_typed(Type::Bool, "yes"), None);
        assert_eq!(parse_typed(Type::Decimal, "+1.50"), Some(Literal::Decimal(Some("1.50".into()))));
    }
}
