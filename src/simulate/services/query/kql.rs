//! The part of KQL that is understood:
//!
//! ```text
//! TABLE
//! | where CONDITION [and CONDITION]…      column op literal, or column between (literal .. literal); op: > >= < <= == !=
//! | extend NAME = ingestion_time()
//! | project NAME, …       | project-away NAME, …
//! | order by NAME [asc|desc], …           also sort by
//! | take N                                also limit
//! | count                                 | summarize [NAME =] count()
//! ```
//!
//! Literals are `datetime(…)`, `todatetime('…')`, `now()`, `now() - 5m`, `ago(1d)`, texts and numbers.

use crate::tenant::instant::{self, DAY, HOUR, MINUTE, SECOND};

/// A query.
#[derive(Debug, PartialEq)]
pub(super) struct Query {
    pub(super) table: String,
    pub(super) operators: Vec<Operator>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Operator {
    Where(Vec<Comparison>),
    /// A column of the given name with each row's time of arrival.
    ExtendIngestion(String),
    Project(Vec<String>),
    ProjectAway(Vec<String>),
    /// Columns, and whether each descends.
    Order(Vec<(String, bool)>),
    Take(usize),
    /// The name of the column.
    Count(String),
}

/// A column (or `ingestion_time()`), one of `> >= < <= == !=`, a literal.
#[derive(Debug, PartialEq)]
pub(super) struct Comparison {
    pub(super) column: String,
    pub(super) operator: String,
    pub(super) literal: Literal,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Time(i64),
    Text(String),
    Number(f64),
}

/// Why a query is refused.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) syntax: bool,
    pub(super) message: String,
    pub(super) token: String,
}

fn refused(token: &str) -> Refused {
    Refused { syntax: true, message: format!("Query could not be parsed at '{token}'"), token: token.to_owned() }
}

/// Reads a query.
///
/// # Errors
/// Where it is none, or none that is understood.
pub(super) fn parse(text: &str, now: i64) -> Result<Query, Refused> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens, at: 0, now };
    let table = parser.name()?;
    let mut operators = Vec::new();
    while parser.at < parser.tokens.len() {
        if parser.take(";") {
            break;
        }
        parser.expect("|")?;
        operators.push(parser.operator()?);
    }
    match parser.tokens.get(parser.at) {
        Some(token) => Err(refused(token)),
        None => Ok(Query { table, operators }),
    }
}

/// Words with their dots and dashes, texts with their quotes, signs. The text inside of `datetime(…)` is one token.
fn tokens(text: &str) -> Result<Vec<String>, Refused> {
    let mut tokens: Vec<String> = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => {
                rest = rest.split_once('\n').map_or("", |(_, after)| after).trim_start();
                continue;
            }
            '\'' | '"' => rest[1..].find(first).map(|end| end + 2).ok_or_else(|| refused(rest))?,
            '[' if rest.starts_with("['") => rest.find("']").map(|end| end + 2).ok_or_else(|| refused(rest))?,
            c if c.is_ascii_alphanumeric() || c == '_' || c == '$' => {
                let inside = tokens.len() >= 2 && tokens[tokens.len() - 1] == "(" && tokens[tokens.len() - 2] == "datetime";
                let part = |c: char| match inside {
                    true => c != ')',
                    false => c.is_ascii_alphanumeric() || c == '_' || c == '$',
                };
                let mut length = rest.find(|c: char| !part(c)).unwrap_or(rest.len());
                for joined in ["-away", "-in", ".5"] {
                    if !inside && &rest[..length] == "project" && rest[length..].starts_with(joined) {
                        length += joined.len();
                    }
                }
                length
            }
            _ => ["==", "!=", ">=", "<=", ".."]
                .iter()
                .find(|sign| rest.starts_with(**sign))
                .map_or(first.len_utf8(), |sign| sign.len()),
        };
        tokens.push(rest[..length].trim_end().to_owned());
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

struct Parser {
    tokens: Vec<String>,
    at: usize,
    now: i64,
}

impl Parser {
    fn next(&mut self) -> Result<String, Refused> {
        let token = self.tokens.get(self.at).cloned().ok_or_else(|| refused("<end of query>"))?;
        self.at += 1;
        Ok(token)
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.tokens.get(self.at).is_some_and(|next| next == token);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, token: &str) -> Result<(), Refused> {
        let next = self.next()?;
        if next == token { Ok(()) } else { Err(refused(&next)) }
    }

    fn name(&mut self) -> Result<String, Refused> {
        let token = self.next()?;
        let name = token.strip_prefix("['").and_then(|rest| rest.strip_suffix("']")).unwrap_or(&token);
        match name.chars().next() {
            Some(first) if first.is_ascii_alphabetic() || first == '_' || first == '$' => Ok(name.to_owned()),
            _ => Err(refused(&token)),
        }
    }

    fn names(&mut self) -> Result<Vec<String>, Refused> {
        let mut names = vec![self.name()?];
        while self.take(",") {
            names.push(self.name()?);
        }
        Ok(names)
    }

    /// A column or `ingestion_time()`.
    fn column(&mut self) -> Result<String, Refused> {
        let name = self.name()?;
        if self.take("(") {
            self.expect(")")?;
            return if name == "ingestion_time" { Ok("ingestion_time()".to_owned()) } else { Err(refused(&name)) };
        }
        Ok(name)
    }

    fn operator(&mut self) -> Result<Operator, Refused> {
        let word = self.next()?;
        match word.as_str() {
            "where" | "filter" => {
                let mut conditions = Vec::new();
                loop {
                    let bracketed = self.take("(");
                    self.condition(&mut conditions)?;
                    if bracketed {
                        while self.take("and") {
                            self.condition(&mut conditions)?;
                        }
                        self.expect(")")?;
                    }
                    if !self.take("and") {
                        return Ok(Operator::Where(conditions));
                    }
                }
            }
            "extend" => {
                let name = self.name()?;
                self.expect("=")?;
                let column = self.column()?;
                if column == "ingestion_time()" { Ok(Operator::ExtendIngestion(name)) } else { Err(refused(&column)) }
            }
            "project" => Ok(Operator::Project(self.names()?)),
            "project-away" => Ok(Operator::ProjectAway(self.names()?)),
            "order" | "sort" => {
                self.expect("by")?;
                let mut keys = Vec::new();
                loop {
                    let name = self.column()?;
                    let descends = !self.take("asc");
                    if descends {
                        self.take("desc");
                    }
                    keys.push((name, descends));
                    if !self.take(",") {
                        return Ok(Operator::Order(keys));
                    }
                }
            }
            "take" | "limit" => {
                let number = self.next()?;
                number.parse().map(Operator::Take).map_err(|_| refused(&number))
            }
            "count" => Ok(Operator::Count("Count".to_owned())),
            "summarize" => {
                let mut name = self.name()?;
                if self.take("=") {
                    self.expect("count")?;
                } else if name == "count" {
                    name = "count_".to_owned();
                } else {
                    return Err(refused(&name));
                }
                self.expect("(")?;
                self.expect(")")?;
                Ok(Operator::Count(name))
            }
            _ => Err(refused(&word)),
        }
    }

    fn condition(&mut self, into: &mut Vec<Comparison>) -> Result<(), Refused> {
        let column = self.column()?;
        let operator = self.next()?;
        let mut add =
            |operator: &str, literal| into.push(Comparison { column: column.clone(), operator: operator.to_owned(), literal });
        match operator.as_str() {
            "between" => {
                self.expect("(")?;
                let low = self.literal()?;
                self.expect("..")?;
                let high = self.literal()?;
                self.expect(")")?;
                add(">=", low);
                add("<=", high);
            }
            ">" | ">=" | "<" | "<=" | "==" | "!=" => {
                let literal = self.literal()?;
                add(&operator, literal);
            }
            _ => return Err(refused(&operator)),
        }
        Ok(())
    }

    fn literal(&mut self) -> Result<Literal, Refused> {
        let token = self.next()?;
        if let Some(quoted) = token.strip_prefix(['\'', '"']) {
            return Ok(Literal::Text(quoted[..quoted.len() - 1].to_owned()));
        }
        let time = match token.as_str() {
            "datetime" | "todatetime" => {
                self.expect("(")?;
                let inner = self.next()?;
                self.expect(")")?;
                instant::parse(inner.trim_matches(['\'', '"'])).ok_or_else(|| refused(&inner))?
            }
            "now" | "ago" => {
                self.expect("(")?;
                let span = if token == "ago" { self.span()? } else { 0 };
                self.expect(")")?;
                self.now.saturating_sub(span)
            }
            _ => return token.parse().map(Literal::Number).map_err(|_| refused(&token)),
        };
        Ok(Literal::Time(if self.take("-") {
            time.saturating_sub(self.span()?)
        } else if self.take("+") {
            time.saturating_add(self.span()?)
        } else {
            time
        }))
    }

    /// `5m`.
    fn span(&mut self) -> Result<i64, Refused> {
        let token = self.next()?;
        let digits = token.find(|c: char| !c.is_ascii_digit()).unwrap_or(token.len());
        let unit = match &token[digits..] {
            "d" => DAY,
            "h" => HOUR,
            "m" => MINUTE,
            "s" => SECOND,
            "ms" => 1000,
            _ => return Err(refused(&token)),
        };
        token[..digits].parse::<i64>().map(|number| number.saturating_mul(unit)).map_err(|_| refused(&token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_of_time_are_understood() {
        let query = parse(
            "traces | where timestamp >= datetime(2026-01-05) and timestamp < datetime(2026-01-05T07:30:00.5Z) | order by timestamp asc | take 10",
            0,
        )
        .unwrap();
        assert_eq!(query.table, "traces");
        let at = |text: &str| Literal::Time(instant::parse(text).unwrap());
        let compared =
            |operator: &str, literal| Comparison { column: "timestamp".to_owned(), operator: operator.to_owned(), literal };
        assert_eq!(
            query.operators,
            [
                Operator::Where(vec![compared(">=", at("2026-01-05")), compared("<", at("2026-01-05T07:30:00.5"))]),
                Operator::Order(vec![("timestamp".to_owned(), false)]),
                Operator::Take(10),
            ]
        );
        let between = parse("t | where (timestamp between (ago(2d) .. now() - 5m))\n| count", 3 * DAY).unwrap();
        assert_eq!(
            between.operators,
            [
                Operator::Where(vec![compared(">=", Literal::Time(DAY)), compared("<=", Literal::Time(3 * DAY - 5 * MINUTE))]),
                Operator::Count("Count".to_owned()),
            ]
        );
        let seed = parse("pageViews | where timestamp > todatetime('2026-01-05 00:00:00') | order by timestamp asc", 0).unwrap();
        assert_eq!(seed.operators[0], Operator::Where(vec![compared(">", at("2026-01-05"))]));
        let ingested =
            parse("t | extend _ing = ingestion_time() | where _ing > datetime(2026-01-05) | project-away _ing, b", 0).unwrap();
        assert_eq!(ingested.operators[0], Operator::ExtendIngestion("_ing".to_owned()));
        assert_eq!(ingested.operators[2], Operator::ProjectAway(vec!["_ing".to_owned(), "b".to_owned()]));
        assert_eq!(parse("t | summarize n = count()", 0).unwrap().operators, [Operator::Count("n".to_owned())]);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for wrong in [
            "",
            "|",
            "t |",
            "t | join u",
            "t | where a like 'b'",
            "t | where a == 'b",
            "t | take x",
            "t u",
            "t | where a > datetime(x)",
        ] {
            assert!(parse(wrong, 0).is_err(), "{wrong}");
        }
    }
}
