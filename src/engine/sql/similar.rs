//! `SIMILAR TO`: a pattern of SQL is matched by the whole text, and has `%` and `_` beside what regular expressions have.
//! DataFusion takes it for a regular expression that is searched for.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Statement, Value, ValueWithSpan, VisitMut as _, VisitorMut};

/// True for a pattern that is known before the query runs, or for what is no such match.
pub(super) fn is_known(e: &Expr) -> bool {
    match e {
        Expr::SimilarTo { pattern, escape_char, .. } => text(pattern).is_some() && escape(escape_char.as_ref()).is_some(),
        _ => true,
    }
}

/// Has the patterns of a statement as regular expressions, when its tree is as it stays.
pub(super) fn turn(statement: &mut Statement) {
    struct Patterns;
    impl VisitorMut for Patterns {
        type Break = ();
        fn post_visit_expr(&mut self, e: &mut Expr) -> ControlFlow<()> {
            if let Expr::SimilarTo { negated, expr, pattern, escape_char } = e
                && let Some(escape) = escape(escape_char.as_ref())
                && let Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) = pattern.as_mut()
            {
                *text = regex(text, escape);
                let op = if *negated { BinaryOperator::PGRegexNotMatch } else { BinaryOperator::PGRegexMatch };
                // In parentheses, as an operator may be around it that binds tighter.
                *e = Expr::Nested(Box::new(Expr::BinaryOp { left: expr.clone(), op, right: pattern.clone() }));
            }
            ControlFlow::Continue(())
        }
    }
    // It never breaks off.
    let _ = statement.visit(&mut Patterns);
}

fn text(e: &Expr) -> Option<&str> {
    match e {
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) => Some(text),
        _ => None,
    }
}

/// The character after which the next one stands for itself; none where it is given as an empty text.
fn escape(given: Option<&ValueWithSpan>) -> Option<Option<char>> {
    let Some(given) = given else { return Some(Some('\\')) };
    let Value::SingleQuotedString(text) = &given.value else { return None };
    let mut chars = text.chars();
    let first = chars.next();
    chars.next().is_none().then_some(first)
}

fn regex(pattern: &str, escape: Option<char>) -> String {
    let mut out = "(?s)^(?:".to_owned();
    let literal = |out: &mut String, char: char| {
        if !char.is_alphanumeric() && char.is_ascii() {
            out.push('\\');
        }
        out.push(char);
    };
    let mut in_list = false;
    let mut chars = pattern.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            // A named class, such as `[:digit:]`.
            '[' if in_list && chars.peek() == Some(&':') => {
                out.push(char);
                for char in chars.by_ref() {
                    out.push(char);
                    if char == ']' {
                        break;
                    }
                }
            }
            _ if Some(char) == escape => literal(&mut out, chars.next().unwrap_or(char)),
            ']' if in_list => {
                in_list = false;
                out.push(char);
            }
            '[' if !in_list => {
                in_list = true;
                out.push(char);
            }
            '^' | '-' | ':' if in_list => out.push(char),
            '%' if !in_list => out.push_str(".*"),
            '_' if !in_list => out.push('.'),
            '|' | '*' | '+' | '?' | '(' | ')' | '{' | '}' | ',' if !in_list => out.push(char),
            _ => literal(&mut out, char),
        }
    }
    out.push_str(")$");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_become_regular_expressions_of_the_whole_text() {
        for (pattern, escape, expected) in [
            ("%(Error|error)%", Some('\\'), r"(?s)^(?:.*(Error|error).*)$"),
            ("a.c^$_", Some('\\'), r"(?s)^(?:a\.c\^\$.)$"),
            ("[a-z_%.]{2,3}", Some('\\'), r"(?s)^(?:[a-z\_\%\.]{2,3})$"),
            (r"50\%", Some('\\'), r"(?s)^(?:50\%)$"),
            ("5!%!!%", Some('!'), r"(?s)^(?:5\%\!.*)$"),
            ("[[:digit:]_]+", Some('\\'), r"(?s)^(?:[[:digit:]\_]+)$"),
            (r"a\_", None, r"(?s)^(?:a\\.)$"),
        ] {
            assert_eq!(regex(pattern, escape), expected, "{pattern}");
        }
    }
}
