//! What people write who come from other dialects of SQL (T-SQL, PostgreSQL, MySQL, Snowflake, BigQuery): turned where it means one
//! thing here, else refused with what to write in its place.

mod dates;
mod ignored;
mod renamed;
mod texts;

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Fetch, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    LimitClause, ObjectName, Query, Select, SetExpr, Spanned as _, Statement, TableFactor, Top, TopQuantity, UnaryOperator,
    Value, ValueWithSpan, VisitMut as _, VisitorMut,
};

use super::made::{self, binary, case, cast, number, text};
use super::refusal::{Refusal, refused};
use crate::error::Error;
use kqlake_syntax::suggest::nearest;
use renamed::{DATE_PART, INSTEAD, INSTEAD_OF_CONVERT, RENAMED, part_of};
pub(super) use texts::cut_cast;

type Result<T> = std::result::Result<T, Refusal>;

/// What a call of T-SQL's `CONVERT` with a style becomes, which nobody writes.
pub(super) const CONVERT_BY_STYLE: &str = "convert by style";

/// What tables are called in which other systems list theirs, without their schemas.
const CATALOGS: [&str; 8] = ["tables", "columns", "pg_tables", "pg_class", "sqlite_master", "sysobjects", "objects", "databases"];

/// The functions that there are.
pub(super) struct Known<'k> {
    /// Those that give a value.
    pub values: &'k dyn Fn(&str) -> bool,
    /// Those that give rows.
    pub rows: &'k dyn Fn(&str) -> bool,
    /// The names of all that give a value.
    pub names: &'k dyn Fn() -> Vec<String>,
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
        _ => super::no_query().into(),
    })
}

/// How to see what there is.
const TO_LOOK: &str =
    "SHOW TABLES lists the tables, DESCRIBE NAME the columns of one, and information_schema.columns those of all";

/// The text of an expression, with `CONVERT` as T-SQL has it.
pub(super) fn as_written(e: &Expr) -> String {
    struct Styles;
    impl VisitorMut for Styles {
        type Break = ();
        fn post_visit_expr(&mut self, e: &mut Expr) -> ControlFlow<()> {
            if let Expr::Function(function) = &*e
                && let Some(name) = plain_name(function)
                && let Some(is_try) = name.strip_suffix(CONVERT_BY_STYLE)
                && let Some([value, style, ty]) = args(function).as_deref()
            {
                *e = Expr::Convert {
                    is_try: !is_try.is_empty(),
                    expr: Box::new((*value).clone()),
                    data_type: literal(ty).map(|ty| DataType::Custom(ObjectName::from(vec![Ident::new(ty)]), Vec::new())),
                    charset: None,
                    target_before_value: true,
                    styles: vec![(*style).clone()],
                };
            }
            ControlFlow::Continue(())
        }
    }
    let text = e.to_string();
    if !text.contains(CONVERT_BY_STYLE) {
        return text;
    }
    let mut e = e.clone();
    // It never breaks off.
    let _ = e.visit(&mut Styles);
    e.to_string()
}

fn no_variables() -> Refusal {
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
        _ if text.to_ascii_lowercase().contains("ago(") => Some("now() - INTERVAL '7 days'"),
        _ if has("option") => Some("leave OPTION (…) out: there is nothing that it could set"),
        _ if has("percent") => Some("percent_rank() OVER (ORDER BY …) in a subquery, and a condition on it around"),
        "exec" | "execute" | "if" => Some("one query is run, which begins with SELECT or WITH"),
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

/// What to write where a column is not there: a text in double quotes, a name that only the result has, or the present time.
pub(super) fn column_advice(text: &str, message: &str) -> Option<&'static str> {
    let name = message.strip_prefix("No field named ")?.split([' ']).next()?.trim_end_matches('.');
    let name = name.rsplit('.').next()?.trim_matches('"');
    if name.is_empty() || message.contains("case sensitive") {
        return None;
    }
    if text.contains(&format!("\"{name}\"")) {
        return Some("a text stands in single quotes: 'x'; double quotes are for names");
    }
    if ["sysdate", "systimestamp", "localtimestamp", "getdate"].iter().any(|other| name.eq_ignore_ascii_case(other)) {
        return Some("now() is the present time, current_date the day");
    }
    let is_alias = words(text).windows(2).any(|pair| pair[0].eq_ignore_ascii_case("as") && pair[1].eq_ignore_ascii_case(name));
    is_alias.then_some("a name of the result is known to GROUP BY, HAVING and ORDER BY, and not to WHERE or beside it: repeat its expression, or name it in a subquery")
}

/// True for a name that stands before `AS`, as those of WITH do.
pub(super) fn is_defined(text: &str, name: &str) -> bool {
    words(text).windows(2).any(|pair| pair[0].eq_ignore_ascii_case(name) && pair[1].eq_ignore_ascii_case("as"))
        && words(text).iter().any(|word| word.eq_ignore_ascii_case("with"))
}

fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty()).collect()
}

/// Turns what has one meaning here.
///
/// # Errors
/// For what has none, with what to write.
pub(super) fn turn(statement: &mut Statement, known: &Known<'_>) -> Result<()> {
    struct Habits<'k>(&'k Known<'k>);
    impl VisitorMut for Habits<'_> {
        type Break = Refusal;
        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Refusal> {
            flow(of_query(query).map_err(|refusal| refusal.at(query.span())))
        }
        fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Refusal> {
            let place = select.select_token.0.span;
            flow(of_select(select).map_err(|refusal| refusal.at(place)))
        }
        fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Refusal> {
            flow(ignored::of_table(factor, self.0.rows).map_err(|refusal| refusal.at(factor.span())))
        }
        fn pre_visit_expr(&mut self, e: &mut Expr) -> ControlFlow<Refusal> {
            // Before the arguments are turned, which would be no words any more.
            flow(of_written(e).map_err(|refusal| refusal.at(e.span())))
        }
        fn post_visit_expr(&mut self, e: &mut Expr) -> ControlFlow<Refusal> {
            flow(of_expression(e, self.0).map_err(|refusal| refusal.at(e.span())))
        }
        fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<Refusal> {
            // T-SQL's texts of two bytes a character.
            if let Value::NationalStringLiteral(text) = &mut value.value {
                value.value = Value::SingleQuotedString(std::mem::take(text));
            }
            ControlFlow::Continue(())
        }
    }
    match statement.visit(&mut Habits(known)) {
        ControlFlow::Break(err) => Err(err),
        ControlFlow::Continue(()) => Ok(()),
    }
}

fn flow(done: Result<()>) -> ControlFlow<Refusal> {
    done.map_or_else(ControlFlow::Break, ControlFlow::Continue)
}

/// `TOP` and `FETCH` are limits.
fn of_query(query: &mut Query) -> Result<()> {
    ignored::of_query(query)?;
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
        return Err(super::no_query().into());
    }
    ignored::of_select(select)
}

/// What is refused, or turned, as it was written.
fn of_written(e: &mut Expr) -> Result<()> {
    match e {
        Expr::Like { any: true, .. } | Expr::ILike { any: true, .. } => {
            Err(refused("LIKE ANY is not supported", "x LIKE 'a%' OR x LIKE 'b%', or x ~ '^(a|b)'"))
        }
        Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => texts::like(pattern, escape_char),
        Expr::AtTimeZone { timestamp, time_zone } => {
            // T-SQL says the zone of a time before it asks for another one.
            if let Expr::AtTimeZone { timestamp: inner, time_zone: of } = timestamp.as_ref()
                && literal(of).is_some_and(|zone| zone.eq_ignore_ascii_case("utc"))
            {
                *timestamp = inner.clone();
            }
            *e = dates::at_zone(timestamp, time_zone)?;
            Ok(())
        }
        Expr::Function(function) => {
            let place = function.name.span();
            of_written_call(e).map_err(|refusal| refusal.at(place))
        }
        _ => Ok(()),
    }
}

/// A call whose arguments may be words that are no columns.
fn of_written_call(e: &mut Expr) -> Result<()> {
    let Expr::Function(function) = e else { return Ok(()) };
    let Some(name) = plain_name(function) else { return Ok(()) };
    let Some(given) = args(function).map(|given| given.into_iter().cloned().collect::<Vec<Expr>>()) else { return Ok(()) };
    let made = match (name.as_str(), given.as_slice()) {
        ("datediff" | "datediff_big", [unit, from, to]) => Some(dates::between(unit, from, to)?),
        ("datediff", [to, from]) => Some(dates::days_between(to, from)?),
        ("dateadd", [unit, number, time]) => Some(dates::add(unit, number, time)?),
        ("date_trunc" | "timestamp_trunc", arguments) => dates::trunc(&name, arguments)?,
        ("datename", [part, time]) => Some(dates::name(part, time)?),
        ("datepart" | "datetrunc", [_, time]) => {
            let time = dates::time(time)?;
            if let FunctionArguments::List(list) = &mut function.args
                && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(first)), FunctionArg::Unnamed(FunctionArgExpr::Expr(second))] =
                    list.args.as_mut_slice()
            {
                dates::settle_part(&name, first)?;
                *second = time;
            }
            None
        }
        _ => None,
    };
    if let Some(made) = made {
        *e = made;
    }
    Ok(())
}

/// The name of a function that has one part, in lower case.
fn plain_name(function: &Function) -> Option<String> {
    let [part] = function.name.0.as_slice() else { return None };
    part.as_ident().map(|ident| ident.value.to_lowercase())
}

fn of_expression(e: &mut Expr, known: &Known<'_>) -> Result<()> {
    match e {
        Expr::RLike { .. } => {
            Err(refused("RLIKE and REGEXP are not supported", "text ~ 'pattern', and text ~* 'pattern' without case"))
        }
        Expr::Identifier(name) if name.quote_style.is_none() && name.value.starts_with('@') => Err(no_variables()),
        Expr::Value(ValueWithSpan { value: Value::Placeholder(_), .. }) => Err(no_variables()),
        Expr::Function(function) => {
            let place = function.name.span();
            of_call(e, known).map_err(|refusal| refusal.at(place))
        }
        Expr::Cast { expr, data_type, .. } if is_instant(data_type) && literal(expr).is_some() => {
            normalise(expr);
            Ok(())
        }
        Expr::TypedString(typed) if is_instant(&typed.data_type) => {
            if let Value::SingleQuotedString(text) = &mut typed.value.value
                && let Some(iso) = super::times::iso(text)
            {
                *text = iso;
            }
            Ok(())
        }
        Expr::Substring { substring_from: Some(from), .. } if whole(from).is_some_and(|from| from < 0) => {
            texts::check_cut("substring", &[number(1), from.as_ref().clone()])
        }
        Expr::Cast { kind, expr, data_type, array: false, format: None } => {
            let turned = texts::cast_to(kind.clone(), expr, data_type.clone())?;
            *e = turned;
            Ok(())
        }
        // T-SQL writes the type first, which is read as a value before a type of the value's name.
        Expr::Convert { is_try, expr, data_type: Some(data_type), charset: None, styles, .. } if styles.is_empty() => {
            let kind = if *is_try { CastKind::TryCast } else { CastKind::Cast };
            let turned = texts::cast_to(kind, expr, data_type.clone())?;
            *e = turned;
            Ok(())
        }
        Expr::Convert { .. } => Err(refused("CONVERT of this form is not supported", INSTEAD_OF_CONVERT)),
        Expr::Collate { .. } => Err(refused(
            "COLLATE is not supported: texts are compared as they are written, capitals before small letters",
            "lower(a) = lower(b), and ORDER BY lower(a)",
        )),
        Expr::JsonAccess { .. } => {
            Err(refused("a value of a bag is not read with a colon here", "bag->>'key', and bag->'key' for JSON"))
        }
        Expr::UnaryOp { op: UnaryOperator::BitwiseNot, expr } => {
            *e = binary(number(-1), BinaryOperator::Minus, Expr::Nested(expr.clone()));
            Ok(())
        }
        Expr::BinaryOp { op, right, .. } => of_operator(op).map_err(|refusal| refusal.at(right.span())),
        _ => Ok(()),
    }
}

/// True for the type of a time of a day.
fn is_instant(ty: &DataType) -> bool {
    matches!(ty, DataType::Timestamp(..) | DataType::Datetime(_)) || ty.to_string().to_lowercase().starts_with("datetime")
}

/// A text of a time that is written out, with the seconds that other dialects let people leave out.
fn normalise(e: &mut Expr) {
    match e {
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) => {
            if let Some(iso) = super::times::iso(text) {
                *text = iso;
            }
        }
        Expr::Nested(e) => normalise(e),
        _ => {}
    }
}

/// Refuses operators that dialects read in two ways, or that there are none of.
fn of_operator(op: &BinaryOperator) -> Result<()> {
    use BinaryOperator as O;
    match op {
        O::BitwiseXor => {
            Err(refused("^ is the exclusive or of bits in T-SQL, and a power elsewhere", "power(a, b), or kql.binary_xor(a, b)"))
        }
        O::DuckIntegerDivide | O::MyIntegerDivide => {
            Err(refused(format!("{op} is not supported"), "a / b, which is whole where both are whole numbers"))
        }
        O::AtArrow | O::ArrowAt | O::Question | O::QuestionAnd | O::QuestionPipe | O::HashMinus | O::AtQuestion | O::AtAt => {
            Err(refused(format!("the operator {op} is not supported"), "bag->>'key' = 'x', and bag->'key' IS NOT NULL"))
        }
        O::Regexp | O::Match => {
            Err(refused(format!("{op} is not supported"), "text ~ 'pattern', and text ~* 'pattern' without case"))
        }
        _ => Ok(()),
    }
}

/// The arguments of a call; none where one of them has a name, or is `*`.
fn args(function: &Function) -> Option<Vec<&Expr>> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let expression = |arg| if let &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref e)) = arg { Some(e) } else { None };
    list.args.iter().map(expression).collect()
}

fn of_call(e: &mut Expr, known: &Known<'_>) -> Result<()> {
    let Expr::Function(function) = e else { return Ok(()) };
    let Some(name) = plain_name(function) else {
        let name = function.name.to_string().to_lowercase().replace('"', "");
        return if (known.values)(&name) { Ok(()) } else { Err(unknown(&name, known)) };
    };
    // Words such as USER are calls to the parser, and columns to people.
    if matches!(function.args, FunctionArguments::None)
        && !(known.values)(&name)
        && let Some(column) = function.name.0.first().and_then(|part| part.as_ident())
    {
        *e = Expr::Identifier(column.clone());
        return Ok(());
    }
    ignored::of_call(function, &name)?;
    let given: Vec<Expr> = args(function).unwrap_or_default().into_iter().cloned().collect();
    texts::check_cut(&name, &given)?;
    if name == "decode" && given.len() > 2 {
        *e = short(texts::decoded(&given[0], &given[1..]))?;
        return Ok(());
    }
    // What is wrong with arrays the library says.
    if name == "unnest" {
        return Ok(());
    }
    if (known.values)(&name) { of_known(&name, &given) } else { of_function(&name, &given, e, known) }
}

fn of_known(name: &str, given: &[Expr]) -> Result<()> {
    if name == "log" {
        return Err(refused(
            "log is the natural logarithm in some dialects, and that of base 10 in others",
            "ln(x), log10(x), log2(x), or ln(x) / ln(base)",
        ));
    }
    let (true, Some(form)) =
        (matches!(name, "to_char" | "date_format" | "to_date" | "to_timestamp"), given.get(1).and_then(literal))
    else {
        return Ok(());
    };
    if name == "date_format" && form.contains('%') {
        return dates::check_form_of_my_sql(form);
    }
    if form.contains('%') || !["YY", "yy", "MM", "DD", "dd", "HH", "MI"].iter().any(|part| form.contains(part)) {
        return Ok(());
    }
    let advice = format!("{name}(x, '%Y-%m-%d %H:%M:%S'); kql.format_datetime(x, 'yyyy-MM-dd HH:mm:ss') takes letters");
    Err(refused(format!("{name} takes a form with %, and '{form}' has none"), advice))
}

fn unknown(name: &str, known: &Known<'_>) -> Refusal {
    let error = Error::query(format!("there is no function `{name}`"));
    let names = (known.names)();
    let of_kql = format!("{}.{name}", super::calls::PREFIX);
    let advice = match nearest(name, names.iter().map(String::as_str)) {
        _ if (known.values)(&of_kql) => format!("KQL has it: {of_kql}(…)"),
        Some(near) => format!("did you mean `{near}`?"),
        None => "`kqlake functions` lists those of KQL, which are called as kql.NAME(…)".to_owned(),
    };
    error.hint(advice).into()
}

fn of_function(name: &str, given: &[Expr], e: &mut Expr, known: &Known<'_>) -> Result<()> {
    let Expr::Function(function) = e else { return Ok(()) };
    let is_of = |count: usize| given.len() == count || (count == 1 && given.is_empty() && name == "count_big");
    if let Some((_, _, here)) = RENAMED.iter().find(|(other, count, _)| *other == name && is_of(*count)) {
        function.name = ObjectName::from(vec![Ident::new(*here)]);
        if let (DATE_PART, [time], FunctionArguments::List(list)) = (*here, given, &mut function.args) {
            let part = FunctionArg::Unnamed(FunctionArgExpr::Expr(text(part_of(name))));
            let time = if is_null(time) || literal(time).is_some() { dates::time(time)? } else { time.clone() };
            list.args = vec![part, FunctionArg::Unnamed(FunctionArgExpr::Expr(time))];
        }
        return Ok(());
    }
    let cloned = |e: &Expr| e.clone();
    let made = match (name, given) {
        (CONVERT_BY_STYLE, [value, style, ty]) => Some(dates::convert(value, style, literal(ty).unwrap_or_default())?),
        ("iif" | "if", [condition, yes, no]) => Some(case(cloned(condition), cloned(yes), Some(cloned(no)))),
        ("choose", [place, values @ ..]) if !values.is_empty() => Some(dates::choose(place, values)),
        ("charindex", [part, whole]) => Some(texts::char_index(part, whole, None)),
        ("charindex", [part, whole, start]) => Some(texts::char_index(part, whole, Some(start))),
        ("locate", [part, whole]) => Some(call(&["strpos"], [cloned(whole), cloned(part)])),
        ("locate", [part, whole, start]) => Some(texts::located(part, whole, start)),
        ("patindex", [pattern, whole]) => {
            literal(pattern).map(|pattern| call(&["regexp_instr"], [cloned(whole), text(&texts::pattern_of_place(pattern))]))
        }
        ("stuff", [whole, start, length, part]) => Some(texts::stuffed(whole, start, length, part)),
        // Blanks at the end do not count, and a number has the length of its text.
        ("len", [whole]) => {
            let whole = cast(CastKind::Cast, whole, DataType::Varchar(None));
            Some(call(&["character_length"], [call(&["rtrim"], [whole, text(" ")])]))
        }
        ("replicate", [whole, count]) => Some(texts::repeated(cloned(whole), count)),
        ("space", [count]) => Some(texts::repeated(text(" "), count)),
        ("square", [number]) => Some(call(&["power"], [cloned(number), made::number(2)])),
        ("mod", [left, right]) => Some(binary(nested(left), BinaryOperator::Modulo, nested(right))),
        ("safe_divide", [left, right]) => {
            let left = cast(CastKind::Cast, left, DataType::DoublePrecision);
            Some(binary(left, BinaryOperator::Divide, call(&["nullif"], [cloned(right), number(0)])))
        }
        ("countif" | "count_if", [condition]) => {
            Some(call(&["count"], [case(cloned(condition), number(1), None)])).filter(|_| function.over.is_none())
        }
        ("date", [time]) => {
            let time = if literal(time).is_some() { dates::time(time)? } else { cloned(time) };
            Some(cast(CastKind::Cast, &time, DataType::Date))
        }
        ("eomonth" | "last_day", [time]) => Some(dates::end_of_month(time, None)?),
        ("eomonth", [time, months]) => Some(dates::end_of_month(time, Some(months))?),
        ("format", [time, form]) => match literal(form) {
            Some(form) => Some(dates::format(time, form)?),
            None => None,
        },
        ("strftime", arguments) => dates::strftime(arguments)?,
        ("date_add", [time, by @ Expr::Interval(_)]) => Some(binary(cloned(time), BinaryOperator::Plus, cloned(by))),
        ("date_sub", [time, by @ Expr::Interval(_)]) => Some(binary(cloned(time), BinaryOperator::Minus, cloned(by))),
        _ => None,
    };
    if let Some(made) = made {
        *e = short(made)?;
        return Ok(());
    }
    let shown = if name.ends_with(CONVERT_BY_STYLE) { "convert with a style" } else { name };
    match INSTEAD.iter().find(|(other, _)| *other == name || (shown != name && *other == "convert")) {
        Some((_, instead)) if RENAMED.iter().any(|(other, ..)| *other == name) => {
            Err(refused(format!("the function {shown} is not supported with these arguments"), format!("write {instead}")))
        }
        Some((_, instead)) => {
            let what = if given.is_empty() { String::new() } else { " with these arguments".to_owned() };
            Err(refused(format!("the function {shown} is not supported{what}"), format!("write {instead}")))
        }
        None => Err(unknown(name, known)),
    }
}

/// Bytes that the text of an expression may have that stands for a call.
const MAX_MADE: usize = 64 << 10;

/// What a call became: arguments that it has more than once grow with each call inside of another.
fn short(made: Expr) -> Result<Expr> {
    if made.to_string().len() > MAX_MADE {
        return Err(refused("calls stand inside of one another too often here", "name the inner ones in a subquery"));
    }
    Ok(made)
}

fn nested(e: &Expr) -> Expr {
    Expr::Nested(Box::new(e.clone()))
}

/// A call of a function by its plain name.
fn call(name: &[&str], args: impl IntoIterator<Item = Expr>) -> Expr {
    made::call(name.iter().copied().map(Ident::new), args)
}

/// A call of a function whose name is in quotes.
fn call_quoted(name: &str, args: impl IntoIterator<Item = Expr>) -> Expr {
    made::call([Ident::with_quote('"', name)], args)
}

fn is_null(e: &Expr) -> bool {
    match e {
        Expr::Value(ValueWithSpan { value: Value::Null, .. }) => true,
        Expr::Nested(e) => is_null(e),
        _ => false,
    }
}

/// A text that is written out.
fn literal(e: &Expr) -> Option<&str> {
    match e {
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text) | Value::NationalStringLiteral(text), .. }) => {
            Some(text)
        }
        Expr::Nested(e) => literal(e),
        _ => None,
    }
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
