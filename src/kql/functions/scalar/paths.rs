//! Access to parts of JSON text over whole columns.

use std::borrow::Cow;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use kqlake_value::json::{JsonType, Path, PathStep, compact, get_index, get_key, json_type, unquote};
use kqlake_value::text_column::TextBuilder;
use kqlake_value::texts::Texts;

/// `d.a.b[0]` over a column of dynamics: the parts as dynamics, null where a path leads nowhere or to JSON `null`.
///
/// Arrays and bags come out without white space between tokens. The error is of an input that holds no text, or of parts too long
/// for a column.
pub(crate) fn get_path_column(values: &ArrayRef, steps: &[PathStep]) -> Result<ArrayRef, String> {
    parts_of(values, steps, |part| match part.starts_with(['{', '[']) {
        true => compact(part),
        false => part.into(),
    })
}

/// `tostring(d.a.b[0])` over a column of dynamics, in one pass: null where a path leads nowhere or to JSON `null`, which
/// `tostring` reads as the empty text and comparisons as null.
pub(crate) fn get_path_text_column(values: &ArrayRef, steps: &[PathStep]) -> Result<ArrayRef, String> {
    parts_of(values, steps, |part| match part.as_bytes().first() {
        Some(b'"') => unquote(part),
        Some(b'{' | b'[') => compact(part),
        _ => part.into(),
    })
}

/// What a path leads to in each row, as `write` gives it.
fn parts_of(values: &ArrayRef, steps: &[PathStep], write: impl Fn(&str) -> Cow<'_, str>) -> Result<ArrayRef, String> {
    let (path, texts) = (Path::new(steps), Texts::new(values)?);
    let mut out = TextBuilder::new(values.len());
    for row in 0..values.len() {
        out.push_option(texts.get(row).and_then(|text| path.get(text)).map(&write).as_deref());
    }
    out.finish()
}

/// `d[k]` with the key in a column: a text names a bag's key, a whole number an array's place. `key_is_dynamic` says that the
/// keys are JSON text, whose strings and numbers count in the same way.
pub(crate) fn get_element_column(values: &ArrayRef, keys: &ArrayRef, key_is_dynamic: bool) -> Result<ArrayRef, String> {
    enum Keys {
        Whole(Int64Array),
        Text(Texts),
    }
    let keys = match keys.data_type() {
        DataType::Int64 | DataType::Int32 => {
            let whole = cast(keys, &DataType::Int64).map_err(|e| e.to_string())?;
            Keys::Whole(whole.as_primitive().clone())
        }
        _ => Keys::Text(Texts::new(keys)?),
    };
    let texts = Texts::new(values)?;
    let part_of = |row: usize| {
        let text = texts.get(row)?;
        let index = match &keys {
            Keys::Whole(keys) => keys.is_valid(row).then(|| keys.value(row))?,
            Keys::Text(keys) => {
                let key = keys.get(row)?;
                match json_type(key) {
                    JsonType::String if key_is_dynamic => return get_key(text, &unquote(key)),
                    JsonType::Integer if key_is_dynamic => key.parse().ok()?,
                    _ if key_is_dynamic => return None,
                    _ => return get_key(text, key),
                }
            }
        };
        get_index(text, index)
    };
    let mut out = TextBuilder::new(values.len());
    for row in 0..values.len() {
        let part = part_of(row).filter(|part| json_type(part) != JsonType::Null);
        out.push_option(part.map(compact).as_deref());
    }
    out.finish()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::StringArray;

    use super::*;

    fn steps(path: &str) -> Vec<PathStep> {
        path.split('.').map(|s| s.parse().map_or_else(|_| PathStep::Key(s.to_owned()), PathStep::Index)).collect()
    }

    #[test]
    fn columns_give_parts_and_texts() {
        let rows = vec![
            Some(r#"{"id":"RT0005","n":5,"o":{"x": 1}}"#),
            Some(r#"{"id":"a\"b"}"#),
            Some("{}"),
            None,
            Some(r#"{"id":null}"#),
        ];
        let values: ArrayRef = Arc::new(StringArray::from(rows));
        let texts = |a: ArrayRef| {
            a.as_any().downcast_ref::<StringArray>().unwrap().iter().map(|v| v.map(str::to_owned)).collect::<Vec<_>>()
        };
        let some = |v: &str| Some(v.to_owned());
        assert_eq!(
            texts(get_path_column(&values, &steps("id")).unwrap()),
            [some("\"RT0005\""), some(r#""a\"b""#), None, None, None]
        );
        assert_eq!(texts(get_path_column(&values, &steps("o")).unwrap())[0], some(r#"{"x":1}"#));
        assert_eq!(texts(get_path_text_column(&values, &steps("id")).unwrap()), [some("RT0005"), some("a\"b"), None, None, None]);
        let keys: ArrayRef = Arc::new(StringArray::from(vec![Some("n"), Some("id"), Some("x"), Some("x"), None]));
        assert_eq!(texts(get_element_column(&values, &keys, false).unwrap()), [some("5"), some(r#""a\"b""#), None, None, None]);
    }
}
