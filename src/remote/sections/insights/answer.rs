//! The answer to a query, kept in a file until it is known to be whole.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek as _, Write as _};

use kqlake_durable::ScratchFolder;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};

/// Rows that one answer may have ("Azure Monitor limits"): with as many, others may be missing.
const MOST_ROWS: u64 = 500_000;

/// What came of a query.
#[derive(Debug)]
pub(super) enum Spooled {
    /// Everything; `None` where that is nothing. With the number of its rows.
    Whole(Option<File>, u64),
    /// Rows are missing, because there are too many.
    TooLarge(String),
    /// Rows are missing for another reason.
    Partial(String),
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    tables: Vec<Table>,
    #[serde(default)]
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Table {
    #[serde(default, deserialize_with = "count")]
    columns: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    rows: Option<u64>,
}

impl Table {
    /// The number of its rows, where it is a whole table, be it one without rows: it says its columns.
    fn whole(&self) -> Option<u64> {
        self.rows.filter(|_| self.columns.is_some_and(|columns| columns > 0))
    }
}

/// The number of elements of an array, whose values are skipped.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    struct Count;
    impl<'de> Visitor<'de> for Count {
        type Value = Option<u64>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Option<u64>, A::Error> {
            let mut count = 0;
            while rows.next_element::<IgnoredAny>()?.is_some() {
                count += 1;
            }
            Ok(Some(count))
        }
    }
    deserializer.deserialize_seq(Count)
}

/// Reads an answer to its end into a file that has no name, and finds out whether rows are missing.
///
/// # Errors
/// The answer breaks off or is no answer, or the file cannot be written.
pub(super) fn spool(mut answer: impl Read, scratch: &ScratchFolder) -> io::Result<Spooled> {
    let mut file = scratch.file()?;
    let mut writer = BufWriter::with_capacity(1 << 16, &mut file);
    let bytes = io::copy(&mut answer, &mut writer)?;
    writer.flush()?;
    drop(writer);
    if bytes == 0 {
        return Ok(Spooled::Whole(None, 0));
    }
    file.rewind()?;
    let read: Answer = serde_json::from_reader(BufReader::with_capacity(1 << 16, &mut file))
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("the answer is none of a query: {error}")))?;
    file.rewind()?;
    if let Some(error) = read.error.filter(|error| !error.is_null()) {
        let text = error.to_string();
        let is_size = ["E_QUERY_RESULT_SET_TOO_LARGE", "-2133196797", "80DA0003", "size limit", "TooLarge"];
        let why = reason(&error);
        let is_too_large = is_size.iter().any(|part| text.contains(part));
        return Ok(if is_too_large { Spooled::TooLarge(why) } else { Spooled::Partial(why) });
    }
    let rows: Option<Vec<u64>> = read.tables.iter().map(Table::whole).collect();
    let Some(rows) = rows.filter(|rows| !rows.is_empty()) else {
        return Ok(Spooled::Partial("it has no table with columns, as every answer to a query does".to_owned()));
    };
    if rows.iter().any(|rows| *rows >= MOST_ROWS) {
        return Ok(Spooled::TooLarge(format!("it has {MOST_ROWS} rows, the most that one answer may have")));
    }
    Ok(Spooled::Whole(Some(file), rows.iter().sum()))
}

/// The innermost message of an error.
fn reason(error: &serde_json::Value) -> String {
    let inner = error.get("details").and_then(|details| details.get(0)).or_else(|| error.get("innererror"));
    let deeper = inner.map(reason).filter(|text| !text.is_empty());
    deeper.unwrap_or_else(|| {
        let part = |key: &str| error.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
        [part("code"), part("message")].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spooled(text: &str) -> String {
        match spool(text.as_bytes(), &ScratchFolder::default()) {
            Ok(Spooled::Whole(Some(mut file), _)) => {
                let mut read = String::new();
                file.read_to_string(&mut read).unwrap();
                assert_eq!(read, text);
                "whole".to_owned()
            }
            Ok(Spooled::Whole(None, _)) => "nothing".to_owned(),
            Ok(Spooled::TooLarge(why)) => format!("too large: {why}"),
            Ok(Spooled::Partial(why)) => format!("partial: {why}"),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn only_a_whole_answer_is_handed_on() {
        assert_eq!(spooled(""), "nothing");
        assert_eq!(spooled(r#"{"tables":[{"name":"PrimaryResult","columns":[{"name":"a"}],"rows":[[1],[2]]}]}"#), "whole");
        assert_eq!(spooled(r#"{"tables":[{"columns":[{"name":"a"}],"rows":[]}],"error":null}"#), "whole");
        for strange in [
            "{}",
            "[]",
            r#"{"Message":"The service is busy"}"#,
            r#"{"tables":[]}"#,
            r#"{"tables":[{"name":"PrimaryResult","columns":[]}]}"#,
            r#"{"tables":[{"name":"PrimaryResult","columns":[],"rows":[]}]}"#,
            r#"{"tables":[{"columns":[{"name":"a"}]}]}"#,
            r#"{"tables":[{"columns":[{"name":"a"}],"rows":[]},{}]}"#,
        ] {
            assert!(spooled(strange).starts_with("partial: it has no table"), "{strange}: {}", spooled(strange));
        }
        let partial = r#"{"tables":[{"rows":[[1]]}],"error":{"code":"PartialError","message":"There were errors.","details":[{"code":"EngineError","message":"x","innererror":{"code":"-2133196797","message":"Query result set has exceeded the internal data size limit 64000000 (E_QUERY_RESULT_SET_TOO_LARGE)."}}]}}"#;
        let why = "too large: -2133196797: Query result set has exceeded the internal data size limit 64000000 (E_QUERY_RESULT_SET_TOO_LARGE).";
        assert_eq!(spooled(partial), why);
        let engine = r#"{"tables":[],"error":{"code":"PartialError","message":"Shards are missing."}}"#;
        assert_eq!(spooled(engine), "partial: PartialError: Shards are missing.");
        assert!(spooled(r#"{"tables":[{"rows":[[1]"#).starts_with("error: the answer is none of a query"));
        let most = format!(r#"{{"tables":[{{"columns":[{{}}],"rows":[{}[1]]}}]}}"#, "[1],".repeat(499_999));
        assert_eq!(spooled(&most), "too large: it has 500000 rows, the most that one answer may have");
    }
}
