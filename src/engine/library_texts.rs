//! What the libraries say in words alone.
//!
//! Some failures of Arrow and DataFusion differ from others by their text and by nothing else. These texts are named here, with
//! the versions whose texts they are; the tests make the libraries say them, so that an update that words them otherwise is seen.

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
