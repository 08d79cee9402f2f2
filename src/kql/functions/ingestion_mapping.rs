//! Ingestion mappings: which field or path of a record a column's values come from.
//!
//! Forms: the pages on mappings for CSV and JSON in the documentation of Azure Data Explorer, with the older form that has the
//! properties beside the column's name.

use std::collections::HashMap;

use serde_json::Value as Json;

use kqlake_value::{Type, Value, datetime_of_us};

/// Where the values of a column come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The field at this place, from 0.
    Ordinal(usize),
    /// A path into the record.
    Path(Vec<Step>),
    /// This text in all rows.
    Constant(String),
    /// Nowhere: the mapping leaves the column out.
    Nowhere,
}

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// A property.
    Key(String),
    /// An element, from 0.
    Index(usize),
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
        Origin::Path(path_of(&path).ok_or_else(|| format!("has the path '{path}', which cannot be read"))?)
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

/// The steps of `$`, `$.a.b`, `$['a']["b c"]`, `$.a[0]`.
fn path_of(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.trim().strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let quote = inside.chars().next().filter(|c| matches!(c, '\'' | '"'));
            let (step, behind) = match quote {
                Some(quote) => {
                    let (key, behind) = inside[1..].split_once(quote)?;
                    (Step::Key(key.to_owned()), behind.strip_prefix(']')?)
                }
                None => {
                    let (index, behind) = inside.split_once(']')?;
                    (Step::Index(index.trim().parse().ok()?), behind)
                }
            };
            steps.push(step);
            rest = behind;
        } else {
            let key = rest.strip_prefix('.')?;
            let end = key.find(['.', '[']).unwrap_or(key.len());
            if end == 0 {
                return None;
            }
            steps.push(Step::Key(key[..end].to_owned()));
            rest = &key[end..];
        }
    }
    Some(steps)
}

/// What a path leads to.
pub(crate) fn walk<'j>(record: &'j Json, steps: &[Step]) -> Option<&'j Json> {
    steps.iter().try_fold(record, |at, step| match step {
        Step::Key(key) => at.get(key),
        Step::Index(index) => at.get(index),
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
        let path = vec![Step::Key("x".into()), Step::Key("y z".into()), Step::Index(1)];
        assert_eq!(origins, [Origin::Ordinal(2), Origin::Path(path), Origin::Constant("k".into()), Origin::Nowhere]);
        assert_eq!(others, ["other"]);
        for wrong in ["{}", "[{}]", r#"[{"Column":"a"}]"#, r#"[{"Column":"a","Path":"x"}]"#, r#"[{"Column":"a","Path":"$..x"}]"#]
        {
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
