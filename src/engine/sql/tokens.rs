//! The tokens of a text of SQL, with what only other parsers read: names in brackets, `CONVERT` with the type first, and words of SQL
//! that are names of KQL's functions. Each token keeps the place that it has in the text.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Whitespace, Word};

use super::calls::PREFIX;
use super::habits::CONVERT_BY_STYLE;

/// The tokens of a text; none where it has no such.
pub(super) fn of(text: &str) -> Option<Vec<TokenWithSpan>> {
    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location().ok()?;
    let mut tokens = without_brackets(tokens);
    quote_names(&mut tokens);
    types_behind_values(&mut tokens);
    Some(tokens)
}

fn is_blank(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::Whitespace(_))
}

fn is_keyword(word: &Word) -> bool {
    word.keyword != Keyword::NoKeyword
}

/// A name; in quotes where it would be a word of SQL.
fn name(value: String, in_quotes: bool) -> Token {
    Token::make_word(&value, in_quotes.then_some('"'))
}

/// Names in brackets, as T-SQL has them, become names.
fn without_brackets(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let length = match token.token {
            Token::LBracket => name_in_brackets(&tokens, at),
            _ => None,
        };
        let Some(length) = length else {
            out.push(token.clone());
            at += 1;
            continue;
        };
        let inside = &tokens[at + 1..at + 1 + length];
        let is_plain = matches!(inside, [token] if matches!(&token.token, Token::Word(word) if !is_keyword(word)));
        let mut span = token.span;
        span.end = tokens[at + 1 + length].span.end;
        let value = inside.iter().map(|token| token.token.to_string()).collect();
        out.push(TokenWithSpan { token: name(value, !is_plain), span });
        at += length + 2;
    }
    out
}

/// How many tokens a name in brackets has, which open at a place; none where they are no name's.
fn name_in_brackets(tokens: &[TokenWithSpan], open: usize) -> Option<usize> {
    let before = tokens[..open].iter().rev().find(|token| !is_blank(token));
    let is_name = match before.map(|token| &token.token) {
        // What stands behind a value is a place in it.
        Some(Token::Word(word)) => word.quote_style.is_none() && is_keyword(word) && !word.value.eq_ignore_ascii_case("array"),
        Some(Token::RParen | Token::RBracket | Token::SingleQuotedString(_) | Token::Number(..)) => false,
        _ => true,
    };
    let length = tokens[open + 1..].iter().position(|token| token.token == Token::RBracket)?;
    let inside = &tokens[open + 1..open + 1 + length];
    let is_word = |token: &TokenWithSpan| matches!(&token.token, Token::Word(word) if word.quote_style.is_none());
    let begins = inside.first().is_some_and(is_word);
    let are_words = inside.iter().all(|token| is_word(token) || is_blank(token) || matches!(token.token, Token::Number(..)));
    (is_name && begins && are_words).then_some(length)
}

/// Names of KQL's functions that are words of SQL, such as `kql.not(…)` and `kql.substring(…)`, get quotes: the parser takes them for
/// these words otherwise.
fn quote_names(tokens: &mut [TokenWithSpan]) {
    for at in 0..tokens.len().saturating_sub(3) {
        let is_prefix = matches!(&tokens[at].token, Token::Word(word) if word.value.eq_ignore_ascii_case(PREFIX));
        let is_call = is_prefix && tokens[at + 1].token == Token::Period && tokens[at + 3].token == Token::LParen;
        if let Token::Word(word) = &tokens[at + 2].token
            && is_call
            && word.quote_style.is_none()
            && is_keyword(word)
        {
            tokens[at + 2].token = name(word.value.clone(), true);
        }
    }
}

/// Types that T-SQL's `CONVERT` may begin with.
const TYPES: [&str; 24] = [
    "varchar",
    "nvarchar",
    "char",
    "nchar",
    "text",
    "ntext",
    "int",
    "integer",
    "bigint",
    "smallint",
    "tinyint",
    "bit",
    "float",
    "real",
    "decimal",
    "numeric",
    "money",
    "smallmoney",
    "date",
    "datetime",
    "datetime2",
    "smalldatetime",
    "datetimeoffset",
    "time",
];

/// How deep the parentheses inside of a call are followed.
const MAX_DEPTH: usize = 60;

/// `CONVERT(type, value)` of T-SQL becomes `CONVERT(value, type)`, and one with a style a call of its own, whose last argument is the
/// text of the type.
fn types_behind_values(tokens: &mut Vec<TokenWithSpan>) {
    let mut at = 0;
    while at < tokens.len() {
        let is_convert = matches!(&tokens[at].token, Token::Word(word) if word.quote_style.is_none()
            && ["convert", "try_convert"].iter().any(|name| word.value.eq_ignore_ascii_case(name)));
        if is_convert && let Some((open, arguments)) = arguments(tokens, at + 1) {
            turn_convert(tokens, at, open, &arguments);
        }
        at += 1;
    }
}

/// Where a call's parentheses open behind a name, and the ranges of its arguments.
fn arguments(tokens: &[TokenWithSpan], from: usize) -> Option<(usize, Vec<std::ops::Range<usize>>)> {
    let open = from + tokens.get(from..)?.iter().position(|token| !is_blank(token))?;
    if tokens[open].token != Token::LParen {
        return None;
    }
    let (mut depth, mut begin, mut found) = (0usize, open + 1, Vec::new());
    for (at, token) in tokens.iter().enumerate().skip(open + 1) {
        match token.token {
            // The parser gives up before.
            Token::LParen if depth == MAX_DEPTH => return None,
            Token::LParen => depth += 1,
            Token::RParen if depth == 0 => {
                found.push(begin..at);
                return Some((open, found));
            }
            Token::RParen => depth -= 1,
            Token::Comma if depth == 0 => {
                found.push(begin..at);
                begin = at + 1;
            }
            _ => {}
        }
    }
    None
}

fn turn_convert(tokens: &mut Vec<TokenWithSpan>, convert: usize, open: usize, arguments: &[std::ops::Range<usize>]) {
    let [first, value, rest @ ..] = arguments else { return };
    let mut ty = tokens[first.clone()].iter().filter(|token| !is_blank(token));
    let begins = matches!(ty.next().map(|token| &token.token), Some(Token::Word(word)) if TYPES.iter().any(|ty| word.value.eq_ignore_ascii_case(ty)));
    let is_type = begins
        && match ty.next().map(|token| &token.token) {
            None => true,
            Some(Token::LParen) => ty.all(|token| {
                matches!(&token.token, Token::Number(..) | Token::Comma | Token::RParen)
                    || matches!(&token.token, Token::Word(word) if word.value.eq_ignore_ascii_case("max"))
            }),
            Some(_) => false,
        };
    if !is_type || rest.len() > 1 {
        return;
    }
    let comma = tokens[value.start - 1].clone();
    let mut turned: Vec<TokenWithSpan> = tokens[value.clone()].to_vec();
    turned.push(comma.clone());
    match rest {
        [style] => {
            let text: String = tokens[first.clone()].iter().map(|token| token.token.to_string()).collect();
            turned.extend_from_slice(&tokens[style.clone()]);
            turned.push(comma.clone());
            turned.push(TokenWithSpan { token: Token::SingleQuotedString(text), span: tokens[first.start].span });
            tokens[convert].token = match &tokens[convert].token {
                Token::Word(word) if word.value.len() > "convert".len() => name(format!("try {CONVERT_BY_STYLE}"), true),
                _ => name(CONVERT_BY_STYLE.to_owned(), true),
            };
        }
        _ => turned.extend_from_slice(&tokens[first.clone()]),
    }
    let end = arguments.last().map_or(value.end, |last| last.end);
    // As many tokens as before, so that none behind them moves.
    turned.resize_with(end - open - 1, || TokenWithSpan { token: Token::Whitespace(Whitespace::Space), ..comma.clone() });
    tokens.splice(open + 1..end, turned);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turned(text: &str) -> String {
        of(text).unwrap_or_default().iter().map(|token| token.token.to_string()).collect()
    }

    #[test]
    fn names_in_brackets_lose_them_and_places_in_values_stay() {
        for (written, expected) in [
            ("SELECT [a], [b c] FROM [dbo].[t]", "SELECT a, \"b c\" FROM dbo.t"),
            ("SELECT [name],\n [user] FROM t", "SELECT \"name\",\n \"user\" FROM t"),
            ("SELECT a[1], b['k'], f(x)[y], ARRAY[z], '[s]' FROM t", "SELECT a[1], b['k'], f(x)[y], ARRAY[z], '[s]' FROM t"),
            ("SELECT [1, 2], [a, b] FROM t", "SELECT [1, 2], [a, b] FROM t"),
            ("SELECT a FROM t", "SELECT a FROM t"),
        ] {
            assert_eq!(turned(written), expected, "{written}");
        }
        let tokens = of("SELECT [b c], x").unwrap();
        let last = tokens.last().unwrap();
        assert_eq!((last.span.start.line, last.span.start.column), (1, 15));
    }

    #[test]
    fn only_words_of_sql_that_are_called_as_functions_of_kql_get_quotes() {
        for (text, expected) in [
            ("SELECT kql.not(a)", "SELECT kql.\"not\"(a)"),
            (
                "SELECT 'ü kql.not(a)',\n 'ü', kql.substring(kql.trim(a), 1)",
                "SELECT 'ü kql.not(a)',\n 'ü', kql.\"substring\"(kql.\"trim\"(a), 1)",
            ),
            ("SELECT kql.\"not\"(a), not (b), t.not, kql.bin(c, 1)", "SELECT kql.\"not\"(a), not (b), t.not, kql.bin(c, 1)"),
            ("SELECT 'open", ""),
        ] {
            assert_eq!(turned(text), expected);
        }
    }

    #[test]
    fn types_of_convert_go_behind_the_value() {
        for (text, expected) in [
            ("CONVERT(int, a)", "CONVERT( a,int)"),
            ("TRY_CONVERT(decimal(10, 2), f(a, b))", "TRY_CONVERT( f(a, b),decimal(10, 2))"),
            ("convert(varchar(10), CONVERT(date, a), 120)", "\"convert by style\"( CONVERT( a,date), 120,'varchar(10)'   )"),
            ("CONVERT(nvarchar(max), a)", "CONVERT( a,nvarchar(max))"),
            ("CONVERT(a, varchar(10))", "CONVERT(a, varchar(10))"),
            ("CONVERT(a USING utf8)", "CONVERT(a USING utf8)"),
        ] {
            assert_eq!(turned(text), expected);
        }
    }
}
