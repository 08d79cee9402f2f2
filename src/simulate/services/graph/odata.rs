//! Filters, choices of properties, pages and their tokens, as OData has them.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::answer::Call;

/// One condition of a filter. All of them are joined by `and`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) property: String,
    /// `eq`, `ge`, …, or the name of a function: `contains`.
    pub(crate) operator: String,
    /// Without the quotes of a text.
    pub(crate) value: String,
}

/// The conditions of a filter: comparisons and text functions joined by `and`.
///
/// # Errors
/// What is not understood.
pub(crate) fn conditions(filter: &str) -> Result<Vec<Condition>, String> {
    let mut rest = filter.trim();
    let mut conditions = Vec::new();
    while !rest.is_empty() {
        let (condition, after) = condition(rest).ok_or_else(|| format!("Invalid filter clause: '{rest}'."))?;
        conditions.push(condition);
        rest = after.trim_start();
        if rest.is_empty() {
            break;
        }
        rest = rest
            .split_once(' ')
            .filter(|(word, _)| word.eq_ignore_ascii_case("and"))
            .map(|(_, after)| after.trim_start())
            .ok_or_else(|| format!("Invalid filter clause: '{rest}'."))?;
    }
    Ok(conditions)
}

fn condition(text: &str) -> Option<(Condition, &str)> {
    let word = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '/'))?;
    let (name, rest) = text.split_at(word);
    if let Some(arguments) = rest.strip_prefix('(') {
        let (property, rest) = arguments.split_once(',')?;
        let (value, rest) = literal(rest.trim_start())?;
        let rest = rest.trim_start().strip_prefix(')')?;
        return Some((Condition { property: property.trim().to_owned(), operator: name.to_lowercase(), value }, rest));
    }
    let (operator, rest) = rest.trim_start().split_once(' ')?;
    if !["eq", "ne", "ge", "gt", "le", "lt"].contains(&operator) {
        return None;
    }
    let (value, rest) = literal(rest.trim_start())?;
    Some((Condition { property: name.to_owned(), operator: operator.to_owned(), value }, rest))
}

/// A literal's text and what is behind it. `datetime'…'` and `guid'…'` are texts as well.
fn literal(text: &str) -> Option<(String, &str)> {
    let text =
        text.strip_prefix("datetime").or_else(|| text.strip_prefix("guid")).filter(|rest| rest.starts_with('\'')).unwrap_or(text);
    if let Some(quoted) = text.strip_prefix('\'') {
        let mut value = String::new();
        let mut chars = quoted.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if c != '\'' {
                value.push(c);
            } else if chars.next_if(|(_, next)| *next == '\'').is_some() {
                value.push('\'');
            } else {
                return Some((value, &quoted[at + 1..]));
            }
        }
        return None;
    }
    let end = text.find([' ', ')']).unwrap_or(text.len());
    (end > 0).then(|| (text[..end].to_owned(), &text[end..]))
}

/// Only the properties of `$select`, and `id`.
pub(crate) fn selected(object: Value, select: Option<&str>) -> Value {
    let (Some(select), Value::Object(mut object)) = (select, object.clone()) else { return object };
    let names: Vec<&str> = select.split(',').map(str::trim).collect();
    object
        .retain(|name, _| name == "id" || name.starts_with('@') || names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name)));
    Value::Object(object)
}

/// A token for the rest of a list: clients must take it as it is.
pub(crate) fn token(parts: &[i64]) -> String {
    let mut text = String::new();
    for part in parts {
        let _ = write!(text, "{part},");
    }
    URL_SAFE_NO_PAD.encode(text)
}

/// The numbers of a token; `None` for one that nobody gave out.
pub(crate) fn read_token(token: &str, count: usize) -> Option<Vec<i64>> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let parts: Option<Vec<i64>> = text.trim_end_matches(',').split(',').map(|part| part.parse().ok()).collect();
    parts.filter(|parts| parts.len() == count)
}

/// The address of a request again, with other parameters added.
pub(crate) fn link(call: &Call, left_out: &[&str], added: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in &call.query {
        if !left_out.iter().chain(added.iter().map(|(name, _)| name)).any(|other| other.eq_ignore_ascii_case(name)) {
            query.append_pair(name, value);
        }
    }
    for (name, value) in added {
        query.append_pair(name, value);
    }
    let query = query.finish().replace("%24", "$").replace('+', "%20");
    format!("{}{}?{query}", call.base, path(&call.path))
}

/// What a path of OData may have as it is; everything else is encoded.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'$')
    .remove(b'(')
    .remove(b')')
    .remove(b'=')
    .remove(b',')
    .remove(b'@')
    .remove(b'\'')
    .remove(b':');

/// A path as it stands in an address.
pub(crate) fn path(decoded: &str) -> String {
    utf8_percent_encode(decoded, PLAIN).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_conditions_joined_by_and() {
        let parsed =
            conditions("startDateTime ge 2026-01-05T00:00:00Z and status eq 'it''s' and contains(subject, 'a and b')").unwrap();
        let of = |property: &str, operator: &str, value: &str| Condition {
            property: property.to_owned(),
            operator: operator.to_owned(),
            value: value.to_owned(),
        };
        assert_eq!(
            parsed,
            [of("startDateTime", "ge", "2026-01-05T00:00:00Z"), of("status", "eq", "it's"), of("subject", "contains", "a and b")]
        );
        assert_eq!(conditions("StartDate eq datetime'2026-01-05'").unwrap(), [of("StartDate", "eq", "2026-01-05")]);
        assert_eq!(conditions(" ").unwrap(), []);
        for wrong in ["a", "a eq", "a like 'b'", "a eq 'b", "a eq 1 or b eq 2", "f(a)"] {
            assert!(conditions(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn tokens_are_read_back_and_others_are_refused() {
        assert_eq!(read_token(&token(&[1, -2]), 2), Some(vec![1, -2]));
        assert_eq!(read_token(&token(&[1]), 2), None);
        assert_eq!(read_token("invented", 2), None);
    }
}
