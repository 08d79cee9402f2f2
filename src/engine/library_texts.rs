//! What the libraries say in words alone.
//!
//! Some failures of Arrow and DataFusion differ from others by their text and by nothing else. These texts are named here, with
//! the versions whose texts they are; the tests make the libraries say them, so that an update that words them otherwise is seen.

use std::collections::BTreeSet;

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;

/// Arrow 59.3, `arrow_data::transform`: more bytes or elements than the offsets of a column reach.
const OFFSET_OVERFLOW: &str = "offset overflow";
/// DataFusion 55.2, `SchemaError`: what its message begins with.
const SCHEMA_ERROR: &str = "Schema error: ";
/// DataFusion 55.2, `SchemaError::FieldNotFound`: what stands between its message and the list of all columns.
const VALID_FIELDS: &str = "\nValid fields are";
/// DataFusion 55.2, `SchemaError::FieldNotFound`: advice to change a setting that nobody can change here.
const SETTING: &str = " or disable the datafusion.sql_parser.enable_ident_normalization configuration";
/// DataFusion 55.2, `SessionState::statement_to_plan`: what stands before and behind the name of a table that is not there.
const NO_TABLE: [&str; 2] = ["table '", "' not found"];

/// DataFusion 55.2, `DatafusionArrowPredicate`: what stands before the `Debug` text of why a filter failed that files were read with.
const FILTER: &str = "Error evaluating filter predicate: ";

/// DataFusion 55.2, built without arrays: what it says of an array that is written out.
const NO_ARRAYS: &str = "`nested_expressions`";
/// DataFusion 55.2, physical planner: a column of the query around a subquery that could not be made a join.
const OUTER_COLUMN: &str = "OuterReferenceColumn";

/// DataFusion 55.2, physical planner: a subquery that could not be made a join, such as one inside of an aggregate.
const SUBQUERY: &str = "Physical plan does not support logical expression ScalarSubquery";

/// DataFusion 55.2, `SqlToRel`: what stands before the `Debug` text of a part of a query that it has no plan for.
const NODE: &str = "Unsupported ast node ";
/// DataFusion 55.2, `DFParser` and `SessionState`: more than one statement.
const STATEMENTS: &str = "only supports a single SQL statement";
/// DataFusion 55.2, `BinaryTypeCoercer`: texts that are added.
const ADDED_TEXTS: [&str; 2] = ["Cannot coerce arithmetic expression Utf8", " + Utf8"];

/// The name of a part of a query that is not supported, without what its `Debug` text holds.
pub(super) fn unsupported_node(message: &str) -> Option<String> {
    let debug = message.split_once(NODE)?.1;
    let debug = debug.split_once(": ").filter(|(place, _)| place.starts_with("in ")).map_or(debug, |(_, debug)| debug);
    let name: String = debug.chars().take_while(|c| c.is_alphanumeric()).collect();
    (!name.is_empty() && name != "in").then_some(name)
}

/// What is not supported, and what does instead, where DataFusion says it in terms of its own code.
pub(super) fn unsupported(message: &str) -> Option<(&'static str, &'static str)> {
    if message.contains(NO_ARRAYS) {
        let what = "arrays that are written out ([…], ARRAY[…]), and unnest of them, are not supported in SQL";
        return Some((
            what,
            "kql.parse_json('[1,2,3]') is one, `VALUES (1), (2)` are rows, and KQL has dynamic([…]) and mv-expand",
        ));
    }
    if message.contains(SUBQUERY) {
        return Some((
            "a subquery as a value is not supported in this place, such as in an aggregate",
            "join the tables, or name the value in a subquery of FROM",
        ));
    }
    if message.contains(STATEMENTS) {
        return Some(("there is more than one statement", "one is run at a time; WITH gives parts of a query names"));
    }
    if ADDED_TEXTS.iter().all(|text| message.contains(text)) {
        return Some(("texts are not added with +", "a || b joins texts, and so does concat(a, b)"));
    }
    message.contains(OUTER_COLUMN).then_some((
        "a subquery that refers to columns of the query around it is not supported in this place, such as LATERAL",
        "join the tables, or write the expression out",
    ))
}

/// DataFusion 55.2, `SqlToRel`: two expressions of a select list that are one, or have one name.
const NAME_TWICE: &str = "Projections require unique expression names";

/// True where two columns of a select list would have one name.
pub(super) fn name_twice(err: &DataFusionError) -> bool {
    err.find_root().to_string().contains(NAME_TWICE)
}

/// DataFusion 55.2, `type_coercion::functions`: what is said of arguments that a function does not take.
const NO_SIGNATURE: [&str; 3] = ["failed to match any signature", "argument types '", " arguments but received "];
/// DataFusion 55.2, `BinaryTypeCoercer`: operands that an operator does not take.
const NO_OPERANDS: [&str; 2] = ["Cannot coerce arithmetic expression ", " to valid types"];
/// DataFusion 55.2, `SqlToRel`: a column that is neither grouped by nor in an aggregate.
const NOT_GROUPED: [&str; 2] = ["Column in SELECT must be in GROUP BY or an aggregate function", "column \""];
/// DataFusion 55.2, physical planner: a window function where rows are filtered.
const WINDOW_IN_FILTER: &str = "Physical plan does not support logical expression WindowFunction";
/// DataFusion 55.2, `SqlToRel`: a type that there is none of.
const NO_TYPE: &str = "Unsupported SQL type ";
/// DataFusion 55.2: a name that several tables have.
const AMBIGUOUS: &str = "Ambiguous reference to unqualified field ";
/// DataFusion 55.2: a subquery with several rows in the place of a value.
const SEVERAL_ROWS: &str = "Scalar subquery returned more than one row";
/// DataFusion 55.2: a condition of SHOW TABLES.
const FILTERED_TABLES: &str = "SHOW TABLES FILTER";

/// True for a failure about the arguments of a function, some of which the library takes for defects of its own.
pub(super) fn is_of_arguments(message: &str) -> bool {
    message.contains("Function '") && NO_SIGNATURE.iter().any(|text| message.contains(text))
}

/// What is wrong with a query, and what to write, in other words than the library's, which are about its own types.
pub(super) fn in_words(message: &str) -> Option<(String, String)> {
    if is_of_arguments(message) {
        let function = message.split("Function '").nth(1)?.split('\'').next()?;
        let types = message.split(NO_SIGNATURE[1]).nth(1).and_then(|text| text.split_once('(')?.1.split(")'").next());
        let given = message.split(NO_SIGNATURE[2]).nth(1).map(|text| text.split(|c: char| !c.is_ascii_digit()).next());
        return match (given.flatten(), types) {
            (Some(given), _) => {
                let known = message.split(" expects ").skip(1).filter_map(|text| text.split(NO_SIGNATURE[2]).next());
                let known: BTreeSet<&str> = known.map(|known| known.trim_end_matches(" arguments")).collect();
                let known = known.into_iter().collect::<Vec<_>>().join(" or ");
                Some((format!("Function '{function}' does not take {given} arguments"), format!("it takes {known}")))
            }
            (None, Some(types)) => Some((
                format!(
                    "Function '{function}' does not take ({})",
                    types.split(", ").map(named_type).collect::<Vec<_>>().join(", ")
                ),
                "CAST(x AS double) makes a number of a text, CAST(x AS varchar) a text, CAST(x AS timestamp) a time; of JSON \
                 (bag->>'key')::double"
                    .to_owned(),
            )),
            (None, None) => {
                Some((format!("Function '{function}' does not take these arguments"), "cast them: CAST(x AS double)".to_owned()))
            }
        };
    }
    if let Some(operands) = message.split(NO_OPERANDS[0]).nth(1).and_then(|text| text.split(NO_OPERANDS[1]).next()) {
        let (left, operator, right) = [" + ", " - ", " * ", " / ", " % "]
            .iter()
            .find_map(|operator| operands.split_once(operator).map(|(left, right)| (left, operator.trim(), right)))?;
        let (left, right) = (named_type(left), named_type(right));
        let advice = match () {
            () if left.contains("time") || right.contains("time") => {
                "a time takes intervals, as in x + INTERVAL '1 day', and later - earlier is a timespan"
            }
            () if operator == "+" => "a || b joins texts, and CAST(x AS double) makes a number of a text",
            () => "CAST(x AS double) makes a number of a text",
        };
        return Some((format!("`{operator}` does not take {left} and {right}"), advice.to_owned()));
    }
    if message.contains(NOT_GROUPED[0]) {
        let column = message.split(NOT_GROUPED[1]).nth(1)?.split('"').next()?;
        return Some((
            format!("the column {column} is neither in GROUP BY nor in an aggregate"),
            format!("add it to GROUP BY, or take max({column}) or any_value({column})"),
        ));
    }
    if message.contains(WINDOW_IN_FILTER) {
        return Some((
            "a window function is no condition of WHERE".to_owned(),
            "QUALIFY row_number() OVER (…) = 1, or a subquery and a condition around it".to_owned(),
        ));
    }
    if let Some(ty) = message.split(NO_TYPE).nth(1) {
        return Some((format!("there is no type {ty}"), TYPES.to_owned()));
    }
    if let Some(name) = message.split(UNKNOWN_TYPE).nth(1) {
        return Some((message.to_owned(), format!("{TYPES}; CAST(x AS varchar) for a {name}")));
    }
    if let Some(name) = message.split(AMBIGUOUS).nth(1) {
        return Some((message.to_owned(), format!("name its table: t.{}", name.split(' ').next().unwrap_or_default())));
    }
    if message.contains(SEVERAL_ROWS) {
        return Some((message.to_owned(), "max(x) or LIMIT 1 in it, or IN (SELECT …) for any of its rows".to_owned()));
    }
    if message.contains(FILTERED_TABLES) {
        let advice = "SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'x%'";
        return Some(("SHOW TABLES takes no condition".to_owned(), advice.to_owned()));
    }
    None
}

/// What SQL's planner says here of a type that there is none of, before its name.
pub(in crate::engine) const UNKNOWN_TYPE: &str = "there is no type ";

/// The types that a text of SQL may name.
const TYPES: &str = "varchar, int, bigint, double, decimal(18, 2), boolean, date, timestamp and time are types";

/// A type of Arrow as people call it.
pub(super) fn named_type(ty: &str) -> &str {
    match ty.trim() {
        "Utf8" | "Utf8View" | "LargeUtf8" => "a text",
        "Null" => "NULL",
        "Boolean" => "a boolean",
        ty if ty.starts_with("Int") && !ty.starts_with("Interval") || ty.starts_with("UInt") => "a whole number",
        ty if ty.starts_with("Float") => "a number",
        ty if ty.starts_with("Decimal") => "a decimal",
        ty if ty.starts_with("Timestamp") => "a time",
        ty if ty.starts_with("Date") => "a date",
        ty if ty.starts_with("Interval") || ty.starts_with("Duration") => "an interval",
        ty => ty,
    }
}

/// The name that a message is about, and whether it is one of a function.
pub(super) fn name_in(message: &str) -> Option<(&str, bool)> {
    let behind = |text: &str| message.strip_prefix(text).map(|rest| rest.split([' ', '\'', ':', '`']).next().unwrap_or_default());
    if let Some(name) = behind("No field named ").or_else(|| behind(AMBIGUOUS)).or_else(|| behind("the column ")) {
        return Some((name.trim_end_matches('.'), false));
    }
    if let Some(name) = behind("Function '").or_else(|| behind("Invalid function '")) {
        return Some((name, true));
    }
    // Those of KQL say their name before what is wrong.
    message.split_once(": ").map(|(name, _)| (name, true)).filter(|(name, _)| name.starts_with("kql."))
}

/// Arrow 59.3, casts of texts that are no such value: the text, and the type.
pub(super) fn failed_cast(message: &str) -> Option<(String, &'static str)> {
    let (value, ty) = message.split_once("Cannot cast string '")?.1.rsplit_once("' to value of ")?;
    let ty = named_type(ty.trim_end_matches(" type"));
    let advice = match ty {
        "a date" | "a time" => {
            "TRY_CAST(x AS date) makes NULL of it, and to_date(text, '%d.%m.%Y') reads other forms than 2026-01-05"
        }
        _ => "TRY_CAST(x AS double) makes NULL of a text that is none; a text is compared with a text: x = '7'",
    };
    Some((format!("the text '{}' is not {ty}", shortened(value)), advice))
}

/// Arrow 59.3, `string_to_datetime`: a text that is no time.
pub(super) fn failed_time(message: &str) -> Option<(String, &'static str)> {
    let text = message.split_once("Error parsing timestamp from '")?.1.split_once('\'')?.0;
    let advice =
        "TRY_CAST(x AS timestamp) makes NULL of it, and to_timestamp(text, '%d.%m.%Y') reads other forms than 2026-01-05";
    Some((format!("the text '{}' is not a time", shortened(text)), advice))
}

/// The beginning of a text of the data.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// True for text, or elements of lists, that a batch of rows has no room for.
pub(super) fn is_offset_overflow(err: &ArrowError) -> bool {
    match err {
        ArrowError::OffsetOverflowError(_) => true,
        ArrowError::InvalidArgumentError(message) => message.starts_with(OFFSET_OVERFLOW),
        _ => false,
    }
}

/// Why a filter failed that files were read with: the failure that it would have been behind the scan. The library keeps its
/// `Debug` text alone, in a failure of reading.
pub(super) fn failed_filter(err: &DataFusionError) -> Option<DataFusionError> {
    let text = err.to_string();
    let mut debug = text.split_once(FILTER)?.1;
    loop {
        let (variant, rest) = debug.split_once(['(', ',', ')']).unwrap_or((debug, ""));
        let message = || quoted(rest).map_or_else(|| debug.to_owned(), |(message, _)| message);
        return Some(match variant.trim() {
            "ArrowError" | "External" | "Shared" => {
                debug = rest;
                continue;
            }
            "Context" => {
                debug = quoted(rest)?.1.trim_start_matches([',', ' ']);
                continue;
            }
            "CastError" => ArrowError::CastError(message()).into(),
            "ComputeError" => ArrowError::ComputeError(message()).into(),
            "ParseError" => ArrowError::ParseError(message()).into(),
            "ArithmeticOverflow" => ArrowError::ArithmeticOverflow(message()).into(),
            "DivideByZero" => ArrowError::DivideByZero.into(),
            "OffsetOverflowError" => ArrowError::OffsetOverflowError(0).into(),
            "ResourcesExhausted" => DataFusionError::ResourcesExhausted(message()),
            "Internal" => DataFusionError::Internal(message()),
            _ => DataFusionError::Execution(message()),
        });
    }
}

/// The text in quotation marks that a `Debug` text begins with, and what stands behind it.
fn quoted(debug: &str) -> Option<(String, &str)> {
    let mut chars = debug.strip_prefix('"')?.char_indices();
    let mut text = String::new();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((text, &debug[at + 2..])),
            '\\' => match chars.next()?.1 {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'r' => text.push('\r'),
                '0' => text.push('\0'),
                'u' => {
                    let digits: String = chars.by_ref().map(|(_, char)| char).skip(1).take_while(|char| *char != '}').collect();
                    text.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                }
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
    None
}

/// The message without the list of all columns, which is long for wide tables; the nearest name stands before it.
pub(super) fn without_columns(err: &DataFusionError) -> String {
    let text = err.strip_backtrace();
    text.split(VALID_FIELDS).next().unwrap_or_default().trim_start_matches(SCHEMA_ERROR).replace(SETTING, "")
}

/// The name of the table that a query names and that is not there, without its catalog and schema.
pub(super) fn missing_table(err: &DataFusionError) -> Option<String> {
    let text = err.find_root().to_string();
    let [before, behind] = NO_TABLE;
    Some(text.split(before).nth(1)?.split(behind).next()?.rsplit('.').next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array as _, ListArray, MutableArrayData, NullArray};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::{DataType, Field};
    use datafusion::prelude::SessionContext;

    use super::*;

    #[test]
    fn columns_that_outgrow_their_offsets_are_known_by_their_text() {
        // Elements without bytes, as many as 32 bits count.
        let elements = Arc::new(NullArray::new(i32::MAX as usize));
        let field = Arc::new(Field::new("item", DataType::Null, true));
        let list = ListArray::new(field, OffsetBuffer::new(vec![0, i32::MAX].into()), elements, None).to_data();
        let mut lists = MutableArrayData::new(vec![&list], false, 2);
        lists.try_extend(0, 0, 1).unwrap();
        let err = lists.try_extend(0, 0, 1).unwrap_err();
        assert!(is_offset_overflow(&err), "{err}");
        assert!(!is_offset_overflow(&ArrowError::InvalidArgumentError("another".into())));
    }

    #[test]
    fn debug_texts_are_read_as_they_were_written() {
        for text in ["", "a \"b\" \\ c\n\t\r\0\u{7f}\u{200b}é", "\\\"", "(,)"] {
            let debug = format!("{:?}", DataFusionError::Execution(text.to_owned()).context("while"));
            let err = DataFusionError::External(format!("{FILTER}{debug}").into());
            assert!(matches!(failed_filter(&err), Some(DataFusionError::Execution(message)) if message == text), "{debug}");
        }
        let cut = DataFusionError::External(format!("{FILTER}Execution(\"half").into());
        assert!(matches!(failed_filter(&cut), Some(DataFusionError::Execution(message)) if message == "Execution(\"half"));
        assert!(failed_filter(&DataFusionError::Execution("half".into())).is_none());
    }

    #[tokio::test]
    async fn names_that_a_query_gets_wrong_are_known_by_the_text_of_the_failure() {
        let failure = async |sql: &str| SessionContext::new().sql(sql).await.unwrap_err();
        let err = failure("SELECT dration FROM (VALUES (1, 2)) AS t(duration, other)").await;
        assert!(err.to_string().contains(VALID_FIELDS) && err.to_string().contains(SCHEMA_ERROR), "{err}");
        let text = without_columns(&err);
        assert!(text.starts_with("No field named dration") && text.contains("duration") && !text.contains("other"), "{text}");
        assert_eq!(missing_table(&err), None);
        let err = failure("SELECT fOO FROM (VALUES (1, 2)) AS t(\"Foo\", foo2)").await;
        assert!(err.to_string().contains(SETTING), "{err}");
        assert!(!without_columns(&err).contains("configuration"), "{err}");
        let err = failure("SELECT [1]").await;
        assert!(unsupported(&err.to_string()).is_some_and(|(what, _)| what.contains("arrays")), "{err}");
        let outer = "SELECT * FROM (VALUES (1)) AS t(a), LATERAL (SELECT t.a + 1 AS s) AS l WHERE l.s = 3";
        let planned = SessionContext::new().sql(outer).await.unwrap().create_physical_plan().await.unwrap_err();
        assert!(unsupported(&planned.to_string()).is_some_and(|(what, _)| what.contains("LATERAL")), "{planned}");
        let value = "SELECT sum((SELECT max(y) FROM (VALUES (1,2),(1,3)) w(k,y) WHERE w.k = v.x)) FROM (VALUES (1),(2)) v(x)";
        let planned = SessionContext::new().sql(value).await.unwrap().create_physical_plan().await.unwrap_err();
        assert!(unsupported(&planned.to_string()).is_some_and(|(what, _)| what.contains("aggregate")), "{planned}");
        let err = failure("SELECT 1; SELECT 2").await;
        assert!(unsupported(&err.to_string()).is_some_and(|(what, _)| what.contains("more than one")), "{err}");
        let err = failure("SELECT a + b FROM (VALUES ('x', 'y')) AS t(a, b)").await;
        assert!(unsupported(&err.to_string()).is_some_and(|(_, instead)| instead.contains("||")), "{err}");
        let err = failure("SELECT * FROM (VALUES (1)) AS t(a) WHERE a RLIKE 'x'").await;
        assert_eq!(unsupported_node(&err.to_string()).as_deref(), Some("RLike"), "{err}");
        let err = failure("SELECT 1 FROM request").await;
        assert_eq!(missing_table(&err).as_deref(), Some("request"), "{err}");
    }
}
