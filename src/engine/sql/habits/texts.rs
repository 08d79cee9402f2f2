//! Texts as other dialects cut, search and choose them, and patterns of `LIKE`.

use datafusion::sql::sqlparser::ast::{BinaryOperator, CastKind, CharacterLength, DataType, Expr, Ident, Value, ValueWithSpan};

use super::super::made::{self, binary, case, cast, number, text};
use super::super::refusal::{Refusal, refused};
use super::{call, is_null, whole};

type Result<T> = std::result::Result<T, Refusal>;

/// A text some times over; NULL where the count is below zero, as in T-SQL.
pub(super) fn repeated(whole: Expr, count: &Expr) -> Expr {
    case(binary(count.clone(), BinaryOperator::GtEq, number(0)), call(&["repeat"], [whole, count.clone()]), None)
}

fn compared(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    binary(left, op, right)
}

/// `CHARINDEX`: where nothing is looked for, the dialects differ: T-SQL's place is 0, MySQL's is the one where the search begins.
pub(super) fn char_index(part: &Expr, whole_text: &Expr, start: Option<&Expr>) -> Expr {
    let nothing = compared(
        compared(part.clone(), BinaryOperator::Eq, text("")),
        BinaryOperator::And,
        Expr::IsNotNull(Box::new(whole_text.clone())),
    );
    let found = match start {
        Some(start) => located(part, whole_text, start),
        None => call(&["strpos"], [whole_text.clone(), part.clone()]),
    };
    case(nothing, number(0), Some(found))
}

/// Where a part stands in a text, looked for from a place on.
pub(super) fn located(part: &Expr, whole_text: &Expr, start: &Expr) -> Expr {
    let start = match whole(start) {
        Some(start) => number(start.max(1)),
        None => case(compared(start.clone(), BinaryOperator::Lt, number(1)), number(1), Some(start.clone())),
    };
    let rest = call(&["substr"], [whole_text.clone(), start.clone()]);
    let found = call(&["strpos"], [rest, part.clone()]);
    let place = binary(binary(found.clone(), BinaryOperator::Plus, start), BinaryOperator::Minus, number(1));
    case(compared(found, BinaryOperator::Eq, number(0)), number(0), Some(place))
}

/// `STUFF`: a part in the place of some characters; NULL where there is no such place.
pub(super) fn stuffed(whole_text: &Expr, start: &Expr, length: &Expr, part: &Expr) -> Expr {
    let (whole_text, start, length) = (whole_text.clone(), start.clone(), length.clone());
    let is_there = binary(
        binary(
            compared(start.clone(), BinaryOperator::GtEq, number(1)),
            BinaryOperator::And,
            compared(start.clone(), BinaryOperator::LtEq, call(&["character_length"], [whole_text.clone()])),
        ),
        BinaryOperator::And,
        compared(length.clone(), BinaryOperator::GtEq, number(0)),
    );
    let before = call(&["substr"], [whole_text.clone(), number(1), binary(start.clone(), BinaryOperator::Minus, number(1))]);
    let behind = call(&["substr"], [whole_text, binary(start, BinaryOperator::Plus, length)]);
    case(is_there, call(&["concat"], [before, part.clone(), behind]), None)
}

/// Oracle's `DECODE(value, search, result, …, otherwise)`, to which NULL is like NULL.
pub(super) fn decoded(value: &Expr, rest: &[Expr]) -> Expr {
    let (pairs, otherwise) = rest.split_at(rest.len() - rest.len() % 2);
    let mut made = otherwise.first().cloned();
    for pair in pairs.chunks(2).rev() {
        let [search, result] = pair else { continue };
        let is = match search {
            search if is_null(search) => Expr::IsNull(Box::new(value.clone())),
            Expr::Value(_) => compared(value.clone(), BinaryOperator::Eq, search.clone()),
            search => Expr::Nested(Box::new(Expr::IsNotDistinctFrom(
                Box::new(value.clone()),
                Box::new(Expr::Nested(Box::new(search.clone()))),
            ))),
        };
        made = Some(case(is, result.clone(), made));
    }
    made.unwrap_or_else(|| Expr::Identifier(Ident::new("")))
}

/// Refuses places and lengths below zero that are written out.
pub(super) fn check_cut(function: &str, args: &[Expr]) -> Result<()> {
    let below = |at: usize| args.get(at).and_then(whole).is_some_and(|number| number < 0);
    match function {
        "left" | "right" if below(1) => Err(refused(
            format!("{} takes no length below zero", function.to_uppercase()),
            "substr(x, 1, character_length(x) - 1) leaves the last character out, substr(x, 2) the first",
        )),
        "substr" | "substring" if below(1) => Err(refused(
            format!("{} counts from the end in some dialects and from before the beginning in others", function.to_uppercase()),
            "right(x, 2) gives the last two characters",
        )),
        _ => Ok(()),
    }
}

/// The value of a cast to a text of so many characters, without the others. The library takes no notice of the length.
///
/// # Errors
/// It is one that is filled with blanks.
pub(super) fn cast_to(kind: CastKind, e: &Expr, data_type: DataType) -> Result<Expr> {
    use DataType as D;
    let length = |length: &CharacterLength| match length {
        CharacterLength::IntegerLength { length, .. } => Some(*length),
        CharacterLength::Max => None,
    };
    match &data_type {
        D::Varchar(Some(given)) | D::Nvarchar(Some(given)) | D::CharVarying(Some(given)) | D::CharacterVarying(Some(given)) => {
            let made = cast(kind, e, D::Varchar(None));
            Ok(match length(given) {
                Some(length) => made::call([Ident::with_quote('"', CUT)], [made, number(length)]),
                None => made,
            })
        }
        D::Char(Some(given)) | D::Character(Some(given)) => Err(refused(
            format!("{data_type} is filled with blanks in some dialects"),
            format!(
                "CAST(x AS varchar({0})), or rpad(CAST(x AS varchar), {0}) with the blanks",
                length(given).unwrap_or_default()
            ),
        )),
        _ => Ok(cast(kind, e, data_type)),
    }
}

/// The function that cuts the value of a cast, in quotes.
const CUT: &str = "left";

/// What is cast, where a call cuts the value of a cast.
pub(in super::super) fn cut_cast<'e>(function: &str, args: &[&'e Expr]) -> Option<&'e Expr> {
    match args {
        [cast @ Expr::Cast { .. }, _] if function == format!("\"{CUT}\"") => Some(cast),
        _ => None,
    }
}

/// A pattern of `LIKE` in the form that the library takes, where `\` is before what stands for itself.
///
/// # Errors
/// It has a set in brackets, as T-SQL has them.
pub(super) fn like(pattern: &mut Expr, escape: &mut Option<ValueWithSpan>) -> Result<()> {
    let given = match escape.as_ref().map(|escape| &escape.value) {
        None => Some('\\'),
        Some(Value::SingleQuotedString(text)) => {
            let mut chars = text.chars();
            let (first, second) = (chars.next(), chars.next());
            if second.is_some() {
                return Err(refused("ESCAPE takes one character", "LIKE '50!%%' ESCAPE '!'"));
            }
            first
        }
        Some(_) => return Err(refused("ESCAPE takes a text of one character", "LIKE '50!%%' ESCAPE '!'")),
    };
    let Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(written), .. }) = pattern else {
        return match given {
            Some('\\') => Ok(()),
            _ => Err(refused("LIKE takes an ESCAPE for a pattern that is written out", "a pattern with \\ before % and _")),
        };
    };
    let mut out = String::with_capacity(written.len());
    let (mut open, mut chars) = (None, written.chars());
    while let Some(char) = chars.next() {
        if Some(char) == given {
            match chars.next() {
                Some(next @ ('%' | '_' | '\\')) => out.extend(['\\', next]),
                Some(next) => {
                    // A bracket, and what needs no sign before it.
                    if given == Some('\\') && !matches!(next, '[' | ']') {
                        out.push('\\');
                    }
                    out.push(next);
                }
                None => out.extend(["\\\\"]),
            }
            continue;
        }
        match char {
            '\\' => out.push_str("\\\\"),
            '[' if open.is_none() => {
                open = Some(out.len());
                out.push(char);
            }
            ']' if open.is_some_and(|open| out.len() > open + 1) => {
                return Err(refused(
                    "brackets in a pattern of LIKE are a set of characters in T-SQL, and stand for themselves elsewhere",
                    "SIMILAR TO '[AB]%' has sets; `\\[` is a bracket itself",
                ));
            }
            char => out.push(char),
        }
    }
    *written = out;
    *escape = None;
    Ok(())
}

/// A pattern of `PATINDEX` as a regular expression that finds its place.
pub(super) fn pattern_of_place(pattern: &str) -> String {
    let (anchored, inner) = pattern.strip_prefix('%').map_or((true, pattern), |rest| (false, rest));
    let inner = inner.trim_end_matches('%');
    let mut out = if anchored { "(?s)^".to_owned() } else { "(?s)".to_owned() };
    let mut in_set = false;
    for char in inner.chars() {
        match char {
            '%' if !in_set => out.push_str(".*?"),
            '_' if !in_set => out.push('.'),
            '[' if !in_set => {
                in_set = true;
                out.push('[');
            }
            ']' if in_set => {
                in_set = false;
                out.push(']');
            }
            '^' | '-' if in_set => out.push(char),
            char if char.is_ascii() && !char.is_alphanumeric() => out.extend(['\\', char]),
            char => out.push(char),
        }
    }
    if !pattern.ends_with('%') {
        out.push('$');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::literal;
    use super::*;

    fn turned(pattern: &str, escape: Option<&str>) -> Option<String> {
        let mut e = text(pattern);
        let mut escape = escape.map(|escape| Value::SingleQuotedString(escape.to_owned()).into());
        like(&mut e, &mut escape).ok()?;
        literal(&e).map(str::to_owned)
    }

    #[test]
    fn patterns_keep_what_stands_for_itself() {
        for (pattern, escape, expected) in [
            ("a%_b", None, Some("a%_b")),
            (r"50\%", None, Some(r"50\%")),
            ("50!%!_!!x", Some("!"), Some(r"50\%\_!x")),
            (r"a\b", Some("!"), Some(r"a\\b")),
            (r"a\%", Some(""), Some(r"a\\%")),
            ("[AB]%", None, None),
            (r"\[AB]%", None, Some("[AB]%")),
            ("![AB]%", Some("!"), Some("[AB]%")),
            ("a[", None, Some("a[")),
            ("[]", None, Some("[]")),
            ("a", Some("xy"), None),
        ] {
            assert_eq!(turned(pattern, escape).as_deref(), expected, "{pattern} {escape:?}");
        }
    }

    #[test]
    fn patterns_of_places_are_searched_for() {
        for (pattern, expected) in [
            ("%[0-9]%", "(?s)[0-9]"),
            ("%a_c.%", r"(?s)a.c\."),
            ("ab%", "(?s)^ab"),
            ("%[^a-z]", "(?s)[^a-z]$"),
            ("%a%b%", "(?s)a.*?b"),
        ] {
            assert_eq!(pattern_of_place(pattern), expected, "{pattern}");
        }
    }
}
