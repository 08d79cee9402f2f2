//! Ingestion mappings: which field or path of a record a column's values come from.
//!
//! Forms: the pages on mappings for CSV and JSON in the documentation of Azure Data Explorer, with the older form that has the
//! properties beside the column's name.

use std::collections::HashMap;

use serde_json::Value as Json;

use kqlake_value::json::PathStep;
use kqlake_value::json::path_text::{self, Root, StepText};
use kqlake_value::{Type, Value, datetime_of_us};

/// Where the values of a column come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The field at this place, from 0.
    Ordinal(usize),
    /// A path into the record.
    Path(Vec<PathStep>),
    /// This text in all rows.
    Constant(String),
    /// Nowhere: the mapping leaves the column out.
    Nowhere,
}

/// The origin of a column's values, and how they are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// Where they come from.
    pub origin: Origin,
    /// Numbers are counts of so many nanoseconds since 1970.
    pub unix_nanos: Option<i64>,
}

/// Reads a mapping's text for the declared columns, in their order. Names of columns that are mapped and not declared come second.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn parse(text: &str, columns: &[(String, Type)]) -> Result<(Vec<Source>, Vec<String>), String> {
    let entries: Json = serde_json::from_str(text).map_err(|err| format!("the mapping is no JSON: {err}"))?;
    let Json::Array(entries) = entries else { return Err("the mapping is no JSON array".to_owned()) };
    let mut mapped: HashMap<String, Source> = HashMap::new();
    for entry in &entries {
        let name = text_of(property(entry, &["column", "name"])).ok_or("an entry of the mapping names no column")?;
        let source = source(entry).map_err(|why| format!("the mapping of the column '{name}' {why}"))?;
        if mapped.insert(name.clone(), source).is_some() {
            return Err(format!("the mapping has the column '{name}' twice"));
        }
    }
    let nowhere = || Source { origin: Origin::Nowhere, unix_nanos: None };
    let sources = columns.iter().map(|(name, _)| mapped.remove(name).unwrap_or_else(nowhere)).collect();
    let mut others: Vec<String> = mapped.into_keys().collect();
    others.sort();
    Ok((sources, others))
}

fn source(entry: &Json) -> Result<Source, String> {
    let inner = property(entry, &["properties"]).filter(|p| p.is_object()).unwrap_or(entry);
    let unix_nanos = match text_of(property(inner, &["transform"])) {
        None => None,
        Some(name) => match name.to_ascii_lowercase().as_str() {
            "datetimefromunixseconds" => Some(1_000_000_000),
            "datetimefromunixmilliseconds" => Some(1_000_000),
            "datetimefromunixmicroseconds" => Some(1_000),
            "datetimefromunixnanoseconds" => Some(1),
            _ => return Err(format!("has the transform '{name}', which is not supported")),
        },
    };
    let origin = if let Some(text) = text_of(property(inner, &["constvalue", "constantvalue"])) {
        Origin::Constant(text)
    } else if let Some(path) = text_of(property(inner, &["path"])) {
        Origin::Path(steps_of(&path).ok_or_else(|| format!("has the path '{path}', which cannot be read"))?)
    } else if let Some(place) = text_of(property(inner, &["ordinal"])) {
        Origin::Ordinal(place.trim().parse().map_err(|_| format!("has the ordinal '{place}', which is no number"))?)
    } else {
        return Err("says neither a path nor an ordinal nor a constant".to_owned());
    };
    Ok(Source { origin, unix_nanos })
}

/// A property by one of its names, which have no case.
fn property<'j>(of: &'j Json, names: &[&str]) -> Option<&'j Json> {
    let known = |name: &str| names.iter().any(|n| n.eq_ignore_ascii_case(name));
    of.as_object()?.iter().find(|(name, value)| known(name) && !value.is_null()).map(|(_, value)| value)
}

fn text_of(value: Option<&Json>) -> Option<String> {
    match value? {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// The steps of a path, whose places count from the begin.
fn steps_of(path: &str) -> Option<Vec<PathStep>> {
    let steps = path_text::parse(path.trim(), Root::Needed)?;
    let from_begin = steps.iter().all(|step| !matches!(step, StepText::Index(..0)));
    from_begin.then(|| steps.into_iter().map(PathStep::from).collect())
}

/// What a path leads to.
pub(crate) fn walk<'j>(record: &'j Json, steps: &[PathStep]) -> Option<&'j Json> {
    steps.iter().try_fold(record, |at, step| match step {
        PathStep::Key(key) => at.get(key),
        PathStep::Index(index) => at.get(usize::try_from(*index).ok()?),
    })
}

/// An instant from the text of a count of `nanos` nanoseconds since 1970; null where it is none.
pub(crate) fn instant(text: &str, nanos: i64) -> Value {
    let trimmed = text.trim();
    let whole = trimmed.parse::<i64>().ok().map(|count| i128::from(count) * i128::from(nanos));
    let broken = || {
        let count = trimmed.parse::<f64>().ok().filter(|count| count.is_finite())?;
        Some((count * nanos as f64).round() as i128)
    };
    // Ticks have 100 ns.
    let ticks = whole.or_else(broken).and_then(|nanos| i64::try_from(nanos.div_euclid(100)).ok());
    ticks.and_then(|ticks| datetime_of_us(0).checked_add(ticks)).map_or(Value::Null, Value::DateTime)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(names: &[&str]) -> Vec<(String, Type)> {
        names.iter().map(|name| ((*name).to_owned(), Type::String)).collect()
    }

    #[test]
    fn columns_have_paths_places_or_constants() {
        let text = r#"[{"Column":"a","Properties":{"Path":"$.x['y z'][1]"}},{"column":"b","ordinal":2},
            {"Name":"c","Properties":{"ConstValue":"k"}},{"Column":"other","Properties":{"Ordinal":"0"}}]"#;
        let (sources, others) = parse(text, &columns(&["b", "a", "c", "d"])).unwrap();
        let origins: Vec<Origin> = sources.into_iter().map(|s| s.origin).collect();
        let path = vec![PathStep::Key("x".into()), PathStep::Key("y z".into()), PathStep::Index(1)];
        assert_eq!(origins, [Origin::Ordinal(2), Origin::Path(path), Origin::Constant("k".into()), Origin::Nowhere]);
        assert_eq!(others, ["other"]);
        for wrong in [
            "{}",
            "[{}]",
            r#"[{"Column":"a"}]"#,
            r#"[{"Column":"a","Path":"x"}]"#,
            r#"[{"Column":"a","Path":"$..x"}]"#,
            r#"[{"Column":"a","Path":"$[-1]"}]"#,
        ] {
            parse(wrong, &columns(&["a"])).unwrap_err();
        }
    }

    #[test]
    fn counts_since_1970_are_instants() {
        let second = instant("1", 1_000_000_000);
        assert_eq!(second, Value::DateTime(datetime_of_us(1_000_000)));
        assert_eq!(instant("1000", 1_000_000), second);
        assert_eq!(instant("1.0", 1_000_000_000), second);
        assert_eq!(instant("x", 1), Value::Null);
    }
}
