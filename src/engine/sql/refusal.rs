//! What is refused in a text of SQL, with its place in it.

use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, Tokenizer};

use crate::error::{Error, RefusedQuery};
use kqlake_syntax::ast::Span as Bytes;
use kqlake_syntax::diagnostics::Diagnostic;

/// The code of everything that is wrong with a text of SQL.
const CODE: &str = "SQL0001";

/// An error, and where in the text it is.
#[derive(Debug)]
pub(super) struct Refusal {
    error: Error,
    place: Option<Span>,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal { error, place: None }
    }
}

/// What is refused, and what to write instead.
pub(super) fn refused(what: impl Into<String>, advice: impl Into<String>) -> Refusal {
    Error::query(what).hint(advice).into()
}

impl Refusal {
    /// The same at a place, where it has none and this is one.
    pub(super) fn at(self, place: impl Into<Option<Span>>) -> Refusal {
        let place = place.into().filter(|place| place.start.line > 0);
        Refusal { place: self.place.or(place), ..self }
    }

    /// The error about a text, which shows the place.
    pub(super) fn in_text(self, text: &str) -> Error {
        let (Some(place), Error::Query { message, hint }) = (self.place, &self.error) else { return self.error };
        let start = offset(text, place.start);
        let span = Bytes::new(start, offset(text, place.end).max(start));
        let diagnostic = Diagnostic { suggestion: hint.clone(), ..Diagnostic::error(CODE, span, message.clone()) };
        Error::Refused(Box::new(RefusedQuery { name: "query".to_owned(), text: text.to_owned(), diagnostics: vec![diagnostic] }))
    }
}

/// The byte at which a place begins.
fn offset(text: &str, place: Location) -> usize {
    let line = text.split_inclusive('\n').take(usize::try_from(place.line).unwrap_or(usize::MAX).saturating_sub(1));
    let before = line.map(str::len).sum::<usize>().min(text.len());
    let characters = usize::try_from(place.column).unwrap_or(usize::MAX).saturating_sub(1);
    text[before..].char_indices().nth(characters).map_or(text.len(), |(at, _)| before + at)
}

/// Where the library says that an error is: it notes places as it plans.
pub(super) fn noted(err: &DataFusionError) -> Option<Span> {
    let span = err.diagnostic()?.span?;
    let location = |place: datafusion::common::Location| Location { line: place.line, column: place.column };
    Some(Span { start: location(span.start), end: location(span.end) })
}

/// What the parser says, in our own words where it speaks of its own code, and where it gave up.
pub(super) fn of_parser(text: &str, message: &str) -> (String, Option<Span>) {
    /// What the parser says of a token behind a value that is no operator, before its `Debug` text.
    const NO_OPERATOR: &str = "No infix parser for token";
    let parts = message.rsplit_once(" at Line: ").and_then(|(message, place)| {
        let (line, column) = place.split_once(", Column: ")?;
        Some((message, Location { line: line.trim().parse().ok()?, column: column.trim().parse().ok()? }))
    });
    let Some((message, start)) = parts else {
        let last = text.trim_end();
        let line = last.lines().count().max(1) as u64;
        let column = last.lines().last().map_or(0, |line| line.chars().count()) as u64 + 1;
        let end = Location { line, column };
        return (message.to_owned(), message.ends_with("EOF").then_some(Span { start: end, end }));
    };
    let end = Location { column: start.column + 1, ..start };
    let message = match message.starts_with(NO_OPERATOR) {
        true => {
            let word = text[offset(text, start)..].split_whitespace().next().unwrap_or_default();
            format!("`{word}` is no operator here")
        }
        false => message.to_owned(),
    };
    (message, Some(Span { start, end }))
}

/// Where a text has a name: of a call where it is one of a function. Quotes do not count.
pub(super) fn named(text: &str, name: &str, is_call: bool) -> Option<Span> {
    let parts: Vec<&str> = name.split('.').map(|part| part.trim_matches('"')).collect();
    let mut tokens = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location().ok()?;
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
    let found = (0..tokens.len()).find(|at| {
        let word = |at: usize, part: &str| match tokens.get(at).map(|token| &token.token) {
            Some(Token::Word(word)) => word.value.eq_ignore_ascii_case(part),
            _ => false,
        };
        let is = |at: usize, token: Token| tokens.get(at).is_some_and(|other| other.token == token);
        let all = parts.iter().enumerate().all(|(place, part)| {
            word(at + 2 * place, part) && (place + 1 == parts.len() || is(at + 2 * place + 1, Token::Period))
        });
        let behind = at + 2 * parts.len() - 1;
        // The name of a column of the result, or of a table's.
        let is_other = at.checked_sub(1).is_some_and(|before| word(before, "as") || is(before, Token::Period));
        all && !is_other && is(behind, Token::LParen) == is_call && !(is(behind, Token::Period) && !is_call)
    })?;
    let last = found + 2 * parts.len() - 2;
    Some(Span { start: tokens[found].span.start, end: tokens[last].span.end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_where_they_stand() {
        let text = "SELECT é AS a,\n f(a), t.\"b c\" FROM t";
        let place = |name: &str, is_call| named(text, name, is_call).map(|span| (span.start.line, span.start.column));
        assert_eq!(place("a", false), Some((2, 4)));
        assert_eq!(place("f", true), Some((2, 2)));
        assert_eq!(place("t.b c", false), Some((2, 8)));
        assert_eq!(place("g", true), None);
        let start = named(text, "f", true).map(|span| offset(text, span.start));
        assert_eq!(start.and_then(|at| text.get(at..at + 1)), Some("f"));
        assert_eq!(offset(text, Location { line: 9, column: 9 }), text.len());
    }
}
