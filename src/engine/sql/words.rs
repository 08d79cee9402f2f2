//! Names of KQL's functions that are words of SQL, such as `kql.not(…)` and `kql.substring(…)`: the parser takes them for these,
//! unless they are in quotes.

use std::borrow::Cow;

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use super::calls::PREFIX;

/// The text with such names in quotes. Places behind them on their lines are two characters further.
pub(super) fn quoted(text: &str) -> Cow<'_, str> {
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location() else {
        return Cow::Borrowed(text);
    };
    let places: Vec<(Location, usize)> = tokens.windows(4).filter_map(name_in_call).collect();
    if places.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 2 * places.len());
    let mut next = places.into_iter().peekable();
    let (mut line, mut column, mut close_at) = (1, 1, None);
    for (at, character) in text.char_indices() {
        if close_at == Some(at) {
            out.push('"');
        }
        if let Some((_, length)) = next.next_if(|(place, _)| (place.line, place.column) == (line, column)) {
            out.push('"');
            close_at = Some(at + length);
        }
        out.push(character);
        if character == '\n' {
            (line, column) = (line + 1, 1);
        } else {
            column += 1;
        }
    }
    Cow::Owned(out)
}

/// Where the name of a function stands that is called below [`PREFIX`] and is a word of SQL, and its length in bytes.
fn name_in_call(tokens: &[TokenWithSpan]) -> Option<(Location, usize)> {
    let [prefix, point, name, open] = tokens else { return None };
    let (Token::Word(prefix), Token::Word(word)) = (&prefix.token, &name.token) else { return None };
    let is_call = point.token == Token::Period && open.token == Token::LParen && prefix.value.eq_ignore_ascii_case(PREFIX);
    (is_call && word.quote_style.is_none() && word.keyword != Keyword::NoKeyword).then_some((name.span.start, word.value.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_of_sql_that_are_called_as_functions_of_kql_get_quotes() {
        for (text, expected) in [
            ("SELECT kql.not(a)", "SELECT kql.\"not\"(a)"),
            (
                "SELECT 'ü kql.not(a)',\n 'ü', kql.substring(kql.trim(a), 1)",
                "SELECT 'ü kql.not(a)',\n 'ü', kql.\"substring\"(kql.\"trim\"(a), 1)",
            ),
            ("SELECT kql.\"not\"(a), not (b), t.not, kql.bin(c, 1)", "SELECT kql.\"not\"(a), not (b), t.not, kql.bin(c, 1)"),
            ("SELECT 'open", "SELECT 'open"),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }
}
