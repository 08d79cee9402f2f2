//! What people write who come from other dialects of SQL (T-SQL, PostgreSQL, MySQL): turned where it means one thing here, else refused
//! with what to write in its place.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Fetch, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    LimitClause, ObjectName, Query, Select, SetExpr, Statement, TableFactor, TimezoneInfo, Top, TopQuantity, UnaryOperator,
    Value, ValueWithSpan, VisitMut as _, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::made::{self, binary, case, cast, interval, number, text};
use crate::error::{Error, Result};

/// Functions of other dialects that have another name here, with how many arguments they then have.
const RENAMED: [(&str, usize, &str); 25] = [
    ("getdate", 0, "now"),
    ("getutcdate", 0, "now"),
    ("sysdatetime", 0, "now"),
    ("sysutcdatetime", 0, "now"),
    ("utc_timestamp", 0, "now"),
    ("curdate", 0, "current_date"),
    ("newid", 0, "uuid"),
    ("gen_random_uuid", 0, "uuid"),
    ("isnull", 2, "coalesce"),
    ("lcase", 1, "lower"),
    ("ucase", 1, "upper"),
    ("count_big", 1, "count"),
    ("stdev", 1, "stddev_samp"),
    ("stdevp", 1, "stddev_pop"),
    ("varp", 1, "var_pop"),
    ("json_value", 2, "json_extract_string"),
    ("json_query", 2, "json_extract"),
    ("year", 1, "date_part"),
    ("quarter", 1, "date_part"),
    ("month", 1, "date_part"),
    ("day", 1, "date_part"),
    ("dayofmonth", 1, "date_part"),
    ("hour", 1, "date_part"),
    ("minute", 1, "date_part"),
    ("second", 1, "date_part"),
];

/// What to write in the place of `CONVERT`.
const INSTEAD_OF_CONVERT: &str = "CAST(x AS varchar), TRY_CAST(x AS int), and to_char(x, '%Y-%m-%d') for a time's text in a form";
/// Functions of other dialects, with what to write.
const INSTEAD: [(&str, &str); 37] = [
    ("convert", INSTEAD_OF_CONVERT),
    ("try_convert", INSTEAD_OF_CONVERT),
    ("charindex", "strpos(text, part)"),
    ("checksum", "md5(text)"),
    ("date", "CAST(x AS date)"),
    ("date_add", "x + INTERVAL '1 day'"),
    ("date_sub", "x - INTERVAL '1 day'"),
    ("dateadd", "x + INTERVAL '1 day'"),
    ("datediff", "kql.datetime_diff('day', later, earlier)"),
    ("datename", "to_char(x, '%B') for a month's name, to_char(x, '%A') for a day's"),
    ("dateserial", "make_date(year, month, day)"),
    ("datefromparts", "make_date(year, month, day)"),
    ("dayname", "to_char(x, '%A')"),
    ("dayofweek", "date_part('dow', x)"),
    ("eomonth", "kql.endofmonth(x)"),
    ("format", "to_char(x, '%Y-%m-%d') for a time, and round(x, 2) for a number"),
    ("from_unixtime", "to_timestamp_seconds(x)"),
    ("group_concat", "string_agg(text, ',')"),
    ("if", "CASE WHEN condition THEN a ELSE b END"),
    ("iif", "CASE WHEN condition THEN a ELSE b END"),
    ("isnull", "coalesce(a, b), or x IS NULL"),
    ("json_extract_path_text", "json_extract_string(bag, '$.a.b')"),
    ("last_day", "kql.endofmonth(x)"),
    ("len", "character_length(text)"),
    ("listagg", "string_agg(text, ',')"),
    ("locate", "strpos(text, part)"),
    ("monthname", "to_char(x, '%B')"),
    ("patindex", "strpos(text, part), or regexp_instr(text, pattern)"),
    ("replicate", "repeat(text, n)"),
    ("space", "repeat(' ', n)"),
    ("str_to_date", "to_timestamp(text, '%Y-%m-%d')"),
    ("strftime", "to_char(x, '%Y-%m-%d')"),
    ("string_split", "KQL: split(text, ',') and mv-expand"),
    ("timestampdiff", "DATEDIFF(day, earlier, later), which counts the bounds of units that lie between, not whole units"),
    ("unix_timestamp", "date_part('epoch', x)"),
    ("week", "date_part('week', x)"),
    ("weekday", "date_part('dow', x)"),
];

/// What tables are called in which other systems list theirs, without their schemas.
const CATALOGS: [&str; 7] = ["tables", "pg_tables", "pg_class", "sqlite_master", "sysobjects", "objects", "databases"];

fn refused(what: impl Into<String>, advice: impl Into<String>) -> Error {
    Error::query(what).hint(advice)
}

/// Refuses statements that are no queries.
///
/// # Errors
/// For such a statement, with what there is in its place.
pub(super) fn check_kind(statement: &Statement) -> Result<()> {
    use Statement as S;
    Err(match statement {
        S::Query(_) | S::ShowTables { .. } | S::ShowColumns { .. } | S::ExplainTable { .. } => return Ok(()),
        S::ShowFunctions { .. } => refused(
            "SHOW FUNCTIONS is not supported",
            "`kqlake functions` lists those of KQL, which are called as kql.NAME(…); those of SQL are DataFusion's: \
             https://datafusion.apache.org/user-guide/sql/scalar_functions.html",
        ),
        S::Use { .. } => refused("USE is not needed: there is one lake", "`--lake DIR` names another one"),
        S::Set { .. } => refused("SET is not supported", "settings are options, such as --timeout 1h and --memory-limit 4GB"),
        S::Declare { .. } => no_variables(),
        S::StartTransaction { .. } | S::Commit { .. } | S::Rollback { .. } => {
            refused("transactions are not supported", "a query sees one version of each of its tables")
        }
        S::Pragma { .. }
        | S::ShowVariable { .. }
        | S::ShowVariables { .. }
        | S::ShowCreate { .. }
        | S::ShowDatabases { .. }
        | S::ShowSchemas { .. }
        | S::ShowViews { .. }
        | S::ShowCatalogs { .. }
        | S::ShowStatus { .. } => refused(format!("`{statement}` is not supported"), TO_LOOK),
        _ => super::no_query(),
    })
}

/// How to see what there is.
const TO_LOOK: &str =
    "SHOW TABLES lists the tables, DESCRIBE NAME the columns of one, and information_schema.columns those of all";

fn no_variables() -> Error {
    refused("variables and placeholders are not supported in SQL", "write the value in its place")
}

/// What to write where a text cannot be read as SQL.
pub(super) fn advice(text: &str) -> Option<&'static str> {
    let first = text.split_whitespace().next()?;
    let has = |word: &str| text.split_whitespace().any(|other| other.eq_ignore_ascii_case(word));
    match first.to_ascii_lowercase().as_str() {
        "declare" | "set" => Some("write values in their place, in one query that begins with SELECT or WITH"),
        "go" | "begin" => Some("one query is run, which begins with SELECT or WITH"),
        "table" => Some("SELECT * FROM NAME gives all of a table"),
        "pragma" => Some(TO_LOOK),
        word if word.starts_with(['\\', '.']) => Some(TO_LOOK),
        _ if has("glob") => Some("text LIKE 'a%' has % and _, and text ~ 'pattern' takes a regular expression"),
        _ if has("go") => Some("leave GO out: one query is run at a time"),
        _ => None,
    }
}

/// What to write in the place of a table that is not there.
pub(super) fn table_advice(name: &str) -> Option<&'static str> {
    if name.eq_ignore_ascii_case("dual") {
        return Some("a query of values alone has no FROM: SELECT 1 + 1");
    }
    CATALOGS.iter().any(|other| name.eq_ignore_ascii_case(other)).then_some(TO_LOOK)
}

/// What to write where a column is not there that stands in double quotes.
pub(super) fn column_advice(text: &str, message: &str) -> Option<&'static str> {
    let name = message.strip_prefix("No field named ")?.split(['.', ' ']).next()?.trim_matches('"');
    let is_quoted = !name.is_empty() && text.contains(&format!("\"{name}\""));
    is_quoted.then_some("a text stands in single quotes: 'x'; double quotes are for names")
}

/// The text with names in brackets, as T-SQL has them, in double quotes, or without where they need none. No place changes.
pub(super) fn without_brackets(text: &str) -> Option<String> {
    if !text.contains('[') {
        return None;
    }
    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location().ok()?;
    let mut places = Vec::new();
    for (at, open) in tokens.iter().enumerate().filter(|(_, token)| token.token == Token::LBracket) {
        let before = tokens[..at].iter().rev().find(|token| !matches!(token.token, Token::Whitespace(_)));
        let is_name = match before.map(|token| &token.token) {
            // What stands behind a value is a place in it.
            Some(Token::Word(word)) => {
                word.quote_style.is_none() && is_keyword(word) && !word.value.eq_ignore_ascii_case("array")
            }
            Some(Token::RParen | Token::RBracket | Token::SingleQuotedString(_) | Token::Number(..)) => false,
            _ => true,
        };
        let Some(length) = tokens[at + 1..].iter().position(|token| token.token == Token::RBracket) else { continue };
        let inside = &tokens[at + 1..at + 1 + length];
        let is_word = |token: &Token| matches!(token, Token::Word(word) if word.quote_style.is_none());
        let begins = inside.first().is_some_and(|token| is_word(&token.token));
        let are_words =
            inside.iter().all(|token| is_word(&token.token) || matches!(token.token, Token::Whitespace(_) | Token::Number(..)));
        if !(is_name && begins && are_words) {
            continue;
        }
        let is_plain = matches!(inside, [token] if matches!(&token.token, Token::Word(word) if !is_keyword(word)));
        let mark = if is_plain { ' ' } else { '"' };
        places.extend([open, &tokens[at + 1 + length]].map(|token| (token.span.start.line, token.span.start.column, mark)));
    }
    let (mut line, mut column, mut places) = (1, 1, places.into_iter().peekable());
    let turned = text.chars().map(|character| {
        let mark = places.next_if(|place| (place.0, place.1) == (line, column)).map(|place| place.2);
        (line, column) = if character == '\n' { (line + 1, 1) } else { (line, column + 1) };
        mark.unwrap_or(character)
    });
    Some(turned.collect())
}

fn is_keyword(word: &datafusion::sql::sqlparser::tokenizer::Word) -> bool {
    word.keyword != datafusion::sql::sqlparser::keywords::Keyword::NoKeyword
}

/// Turns what has one meaning here. `known` says whether there is a function of a name.
///
/// # Errors
/// For what has none, with what to write.
pub(super) fn turn(statement: &mut Statement, known: &dyn Fn(&str) -> bool) -> Result<()> {
    struct Habits<'k>(&'k dyn Fn(&str) -> bool);
    impl VisitorMut for Habits<'_> {
        type Break = Error;
        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
            flow(of_query(query))
        }
        fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Error> {
            flow(of_select(select))
        }
        fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
            flow(of_table(factor))
        }
        fn post_visit_expr(&mut self, e: &mut Expr) -> ControlFlow<Error> {
            flow(of_expression(e, self.0))
        }
    }
    match statement.visit(&mut Habits(known)) {
        ControlFlow::Break(err) => Err(err),
        ControlFlow::Continue(()) => Ok(()),
    }
}

fn flow(done: Result<()>) -> ControlFlow<Error> {
    done.map_or_else(ControlFlow::Break, ControlFlow::Continue)
}

/// `TOP` and `FETCH` are limits.
fn of_query(query: &mut Query) -> Result<()> {
    if query.for_clause.is_some() {
        return Err(refused("FOR JSON and FOR XML are not supported", "-f json and -f ndjson write the answer as JSON"));
    }
    let top = if let SetExpr::Select(select) = query.body.as_mut() { select.top.take() } else { None };
    if let Some(Top { with_ties, percent, quantity }) = top {
        let rows = match quantity {
            Some(TopQuantity::Constant(rows)) => number(rows),
            Some(TopQuantity::Expr(e)) => e,
            None => return Err(refused("TOP needs a number of rows", "SELECT … LIMIT 10")),
        };
        limit(query, "TOP", rows, with_ties, percent)?;
    }
    if let Some(Fetch { with_ties, percent, quantity }) = query.fetch.take() {
        let rows = quantity.unwrap_or_else(|| number(1));
        limit(query, "FETCH", rows, with_ties, percent)?;
    }
    Ok(())
}

fn limit(query: &mut Query, what: &str, rows: Expr, with_ties: bool, percent: bool) -> Result<()> {
    if with_ties || percent {
        let advice =
            "rank() OVER (ORDER BY …) and percent_rank() OVER (ORDER BY …) in a subquery, and a condition on them around it";
        return Err(refused(format!("{what} with PERCENT or WITH TIES is not supported"), advice));
    }
    match &mut query.limit_clause {
        clause @ None => *clause = Some(LimitClause::LimitOffset { limit: Some(rows), offset: None, limit_by: Vec::new() }),
        Some(LimitClause::LimitOffset { limit: limit @ None, .. }) => *limit = Some(rows),
        Some(_) => return Err(refused(format!("{what} stands beside LIMIT"), "leave one of them out")),
    }
    Ok(())
}

fn of_select(select: &mut Select) -> Result<()> {
    if select.top.is_some() {
        return Err(refused(
            "TOP is not supported in a part of UNION, EXCEPT or INTERSECT",
            "write the part in parentheses, or LIMIT behind all of them",
        ));
    }
    if select.into.is_some() {
        return Err(super::no_query());
    }
    Ok(())
}

fn of_table(factor: &TableFactor) -> Result<()> {
    match factor {
        TableFactor::Pivot { .. } => Err(refused(
            "PIVOT is not supported in SQL",
            "a column each: sum(CASE WHEN key = 'a' THEN value END) AS a; KQL has `evaluate pivot(key, sum(value))`",
        )),
        TableFactor::Unpivot { .. } => Err(refused(
            "UNPIVOT is not supported in SQL",
            "SELECT 'a' AS key, a AS value FROM t UNION ALL SELECT 'b', b FROM t; KQL has `evaluate narrow()`",
        )),
        TableFactor::JsonTable { .. } | TableFactor::OpenJsonTable { .. } | TableFactor::XmlTable { .. } => Err(refused(
            "tables of JSON and XML are not supported in SQL",
            "bag->'key' and json_extract(bag, '$.a[0]') read a value; KQL has mv-expand for the elements of an array",
        )),
        TableFactor::Table { sample: Some(_), .. } | TableFactor::Derived { sample: Some(_), .. } => {
            Err(refused("TABLESAMPLE is not supported", "WHERE random() < 0.1 gives a tenth of the rows"))
        }
        _ => Ok(()),
    }
}

fn of_expression(e: &mut Expr, known: &dyn Fn(&str) -> bool) -> Result<()> {
    match e {
        Expr::RLike { .. } => {
            Err(refused("RLIKE and REGEXP are not supported", "text ~ 'pattern', and text ~* 'pattern' without case"))
        }
        Expr::Identifier(name) if name.quote_style.is_none() && name.value.starts_with('@') => Err(no_variables()),
        Expr::Value(ValueWithSpan { value: Value::Placeholder(_), .. }) => Err(no_variables()),
        Expr::Function(function) => {
            let [part] = function.name.0.as_slice() else { return Ok(()) };
            let Some(name) = part.as_ident().map(|ident| ident.value.to_lowercase()) else { return Ok(()) };
            if known(&name) { of_known(&name, function) } else { of_function(&name, e) }
        }
        // T-SQL writes the type first, which is read as a value before a type of the value's name.
        Expr::Convert { is_try, expr, data_type: Some(data_type), charset: None, styles, .. }
            if styles.is_empty() && !matches!(data_type, DataType::Custom(..)) =>
        {
            let kind = if *is_try { CastKind::TryCast } else { CastKind::Cast };
            *e = cast(kind, expr, data_type.clone());
            Ok(())
        }
        Expr::Convert { .. } => Err(refused("CONVERT of this form is not supported", INSTEAD_OF_CONVERT)),
        _ => Ok(()),
    }
}

/// The arguments of a call; none where one of them has a name, or is `*`.
fn args(function: &Function) -> Option<Vec<&Expr>> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let expression = |arg| if let &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref e)) = arg { Some(e) } else { None };
    list.args.iter().map(expression).collect()
}

fn of_known(name: &str, function: &mut Function) -> Result<()> {
    if matches!(name, "datepart" | "datetrunc")
        && let FunctionArguments::List(list) = &mut function.args
        && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(first @ Expr::Identifier(_)))) = list.args.first_mut()
    {
        let part = if let Expr::Identifier(part) = first { unit(part) } else { None };
        let Some(part) = part.filter(|part| *part != "week") else {
            return Err(refused(
                format!("{name} does not know the part {first}"),
                "date_part('dow', x), and 'week' for weeks of ISO 8601",
            ));
        };
        *first = text(part);
    }
    let given = args(function);
    let (true, Some([_, Expr::Value(form)])) = (matches!(name, "to_char" | "date_format"), given.as_deref()) else {
        return Ok(());
    };
    let form = if let Value::SingleQuotedString(form) = &form.value { form.as_str() } else { "" };
    if form.contains('%') || !["YY", "yy", "MM", "DD", "dd", "HH", "MI"].iter().any(|part| form.contains(part)) {
        return Ok(());
    }
    let advice = format!("{name}(x, '%Y-%m-%d %H:%M:%S'); kql.format_datetime(x, 'yyyy-MM-dd HH:mm:ss') takes letters");
    Err(refused(format!("{name} takes a form with %, and '{form}' has none"), advice))
}

fn of_function(name: &str, e: &mut Expr) -> Result<()> {
    let Expr::Function(function) = e else { return Ok(()) };
    let given = args(function).unwrap_or_default();
    let is_of = |count: usize| given.len() == count || (count == 1 && given.is_empty() && name == "count_big");
    if let Some((_, _, here)) = RENAMED.iter().find(|(other, count, _)| *other == name && is_of(*count)) {
        let part = match (*here, name) {
            ("date_part", "dayofmonth") => Some("day"),
            ("date_part", part) => Some(part),
            _ => None,
        };
        let part = part.map(|part| FunctionArg::Unnamed(FunctionArgExpr::Expr(text(part))));
        function.name = ObjectName::from(vec![Ident::new(*here)]);
        if let (Some(part), FunctionArguments::List(list)) = (part, &mut function.args) {
            if let [FunctionArg::Unnamed(FunctionArgExpr::Expr(time))] = list.args.as_mut_slice() {
                *time = timestamp(time);
            }
            list.args.insert(0, part);
        }
        return Ok(());
    }
    let cloned = |e: &Expr| e.clone();
    let made = match (name, given.as_slice()) {
        ("iif" | "if", [condition, yes, no]) => Some(case(cloned(condition), cloned(yes), Some(cloned(no)))),
        // Where nothing is looked for, the dialects differ: T-SQL's place is 0, MySQL's is 1.
        ("charindex", [part, whole]) => Some(case(
            binary(
                binary(cloned(part), BinaryOperator::Eq, text("")),
                BinaryOperator::And,
                Expr::IsNotNull(Box::new(cloned(whole))),
            ),
            number(0),
            Some(call(&["strpos"], [cloned(whole), cloned(part)])),
        )),
        ("locate", [part, whole]) => Some(call(&["strpos"], [cloned(whole), cloned(part)])),
        // Blanks at the end do not count, and a number has the length of its text.
        ("len", [whole]) => {
            let whole = cast(CastKind::Cast, whole, DataType::Varchar(None));
            Some(call(&["character_length"], [call(&["rtrim"], [whole, text(" ")])]))
        }
        ("replicate", [whole, count]) => Some(repeated(cloned(whole), count)),
        ("space", [count]) => Some(repeated(text(" "), count)),
        ("date", [time]) => Some(cast(CastKind::Cast, time, DataType::Date)),
        ("datediff", [Expr::Identifier(part), from, to]) => unit(part).map(|unit| bounds_between(unit, from, to)),
        ("datediff", [to, from]) => Some(bounds_between("day", from, to)),
        ("dateadd", [Expr::Identifier(part), number, time]) => match (unit(part), whole(number)) {
            (Some(_), _) if is_null(number) => Some(call(&["nullif"], [timestamp(time), timestamp(time)])),
            (Some(unit), Some(number)) => {
                let (number, unit) = if unit == "quarter" { (number.saturating_mul(3), "month") } else { (number, unit) };
                Some(binary(timestamp(time), BinaryOperator::Plus, interval(&format!("{number} {unit}"))))
            }
            _ => None,
        },
        ("date_add", [time, by @ Expr::Interval(_)]) => Some(binary(cloned(time), BinaryOperator::Plus, cloned(by))),
        ("date_sub", [time, by @ Expr::Interval(_)]) => Some(binary(cloned(time), BinaryOperator::Minus, cloned(by))),
        _ => None,
    };
    if let Some(made) = made {
        *e = made;
        return Ok(());
    }
    match INSTEAD.iter().find(|(other, _)| *other == name) {
        Some((_, instead)) => {
            Err(refused(format!("the function {name} is not supported with these arguments"), format!("write {instead}")))
        }
        None => Ok(()),
    }
}

/// How many bounds of a unit lie between two times, as T-SQL's `DATEDIFF` counts them. A week begins on a Sunday.
fn bounds_between(unit: &str, from: &Expr, to: &Expr) -> Expr {
    let days = |unit: &str, to, from| call(&["kql", "datetime_diff"], [text(unit), to, from]);
    if unit != "week" {
        return days(unit, timestamp(to), timestamp(from));
    }
    let start = |e| call(&["kql", "startofweek"], [timestamp(e)]);
    binary(days("day", start(to), start(from)), BinaryOperator::Divide, number(7))
}

/// A time; NULL is one of this type.
fn timestamp(e: &Expr) -> Expr {
    if is_null(e) { cast(CastKind::Cast, e, DataType::Timestamp(None, TimezoneInfo::None)) } else { e.clone() }
}

/// A call of a function by its plain name.
fn call(name: &[&str], args: impl IntoIterator<Item = Expr>) -> Expr {
    made::call(name.iter().copied().map(Ident::new), args)
}

fn is_null(e: &Expr) -> bool {
    match e {
        Expr::Value(ValueWithSpan { value: Value::Null, .. }) => true,
        Expr::Nested(e) => is_null(e),
        _ => false,
    }
}

/// A text some times over; NULL where the count is below zero, as in T-SQL.
fn repeated(whole: Expr, count: &Expr) -> Expr {
    case(binary(count.clone(), BinaryOperator::GtEq, number(0)), call(&["repeat"], [whole, count.clone()]), None)
}

/// A number that is written out, without its fraction, as T-SQL takes it.
fn whole(e: &Expr) -> Option<i64> {
    match e {
        Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) => {
            let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
            let is_plain = fraction.bytes().all(|byte| byte.is_ascii_digit());
            if whole.is_empty() && is_plain { Some(0) } else { whole.parse().ok().filter(|_| is_plain) }
        }
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => whole(expr).map(|number| -number),
        Expr::UnaryOp { op: UnaryOperator::Plus, expr } | Expr::Nested(expr) => whole(expr),
        _ => None,
    }
}

/// A part of a time, with the short names of T-SQL.
fn unit(part: &Ident) -> Option<&'static str> {
    Some(match part.value.to_lowercase().as_str() {
        "year" | "yyyy" | "yy" => "year",
        "quarter" | "qq" | "q" => "quarter",
        "month" | "mm" | "m" => "month",
        "week" | "wk" | "ww" => "week",
        "day" | "dd" | "d" => "day",
        "hour" | "hh" => "hour",
        "minute" | "mi" | "n" => "minute",
        "second" | "ss" | "s" => "second",
        "millisecond" | "ms" => "millisecond",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_brackets_lose_them_and_places_in_values_stay() {
        for (written, expected) in [
            ("SELECT [a], [b c] FROM [dbo].[t]", "SELECT  a , \"b c\" FROM  dbo . t "),
            ("SELECT [name],\n [user] FROM t", "SELECT \"name\",\n \"user\" FROM t"),
            ("SELECT a[1], b['k'], f(x)[y], ARRAY[z], '[s]' FROM t", "SELECT a[1], b['k'], f(x)[y], ARRAY[z], '[s]' FROM t"),
            ("SELECT [1, 2], [a, b] FROM t", "SELECT [1, 2], [a, b] FROM t"),
        ] {
            assert_eq!(without_brackets(written).as_deref(), Some(expected), "{written}");
        }
        assert_eq!(without_brackets("SELECT a FROM t"), None);
    }
}
