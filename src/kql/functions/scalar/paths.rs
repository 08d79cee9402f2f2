//! Access to parts of JSON text over whole columns.

use arrow::array::{Array, ArrayRef, Int32Array, Int64Array, LargeStringArray, StringArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use kqlake_value::json::{Kind, Path, Step, compact, get_index, get_key, kind, unquote};
use kqlake_value::text_column::TextOut;

/// The texts of a column of any string form.
enum Texts<'a> {
    Utf8(&'a StringArray),
    View(&'a StringViewArray),
    Large(&'a LargeStringArray),
}

impl<'a> Texts<'a> {
    fn get(&self, row: usize) -> Option<&'a str> {
        match self {
            Texts::Utf8(a) => a.is_valid(row).then(|| a.value(row)),
            Texts::View(a) => a.is_valid(row).then(|| a.value(row)),
            Texts::Large(a) => a.is_valid(row).then(|| a.value(row)),
        }
    }
}

/// Calls `work` with the texts of a column; other Arrow forms (dictionaries) are first turned into plain strings.
fn with_texts<R>(values: &ArrayRef, work: impl FnOnce(Texts<'_>) -> Result<R, String>) -> Result<R, String> {
    let any = values.as_any();
    if let Some(a) = any.downcast_ref::<StringArray>() {
        work(Texts::Utf8(a))
    } else if let Some(a) = any.downcast_ref::<StringViewArray>() {
        work(Texts::View(a))
    } else if let Some(a) = any.downcast_ref::<LargeStringArray>() {
        work(Texts::Large(a))
    } else {
        let plain = cast(values, &DataType::Utf8).map_err(|e| e.to_string())?;
        let plain = plain.as_any().downcast_ref::<StringArray>().ok_or("not a column of text")?;
        work(Texts::Utf8(plain))
    }
}

/// `d.a.b[0]` over a column of dynamics: the parts as dynamics, null where a path leads nowhere or to JSON `null`.
///
/// Arrays and bags come out without white space between tokens. The error is of an input that holds no text, or of parts too long
/// for a column.
pub(crate) fn get_path_column(values: &ArrayRef, steps: &[Step]) -> Result<ArrayRef, String> {
    let path = Path::new(steps);
    with_texts(values, |texts| {
        let mut out = TextOut::new(values.len());
        for row in 0..values.len() {
            match texts.get(row).and_then(|text| path.get(text)) {
                Some(part) if part.starts_with(['{', '[']) => out.push(&compact(part)),
                Some(part) => out.push(part),
                None => out.push_null(),
            }
        }
        out.finish()
    })
}

/// `tostring(d.a.b[0])` over a column of dynamics, in one pass: null where a path leads nowhere or to JSON `null`, which
/// `tostring` reads as the empty text and comparisons as null.
pub(crate) fn get_path_text_column(values: &ArrayRef, steps: &[Step]) -> Result<ArrayRef, String> {
    let path = Path::new(steps);
    with_texts(values, |texts| {
        let mut out = TextOut::new(values.len());
        for row in 0..values.len() {
            match texts.get(row).and_then(|text| path.get(text)) {
                Some(part) if part.starts_with('"') => out.push(&unquote(part)),
                Some(part) if part.starts_with(['{', '[']) => out.push(&compact(part)),
                Some(part) => out.push(part),
                None => out.push_null(),
            }
        }
        out.finish()
    })
}

/// `d[k]` with the key in a column: a text names a bag's key, a whole number an array's place. `key_is_dynamic` tells that the
/// keys are JSON text, whose strings and numbers count in the same way.
pub(crate) fn get_element_column(values: &ArrayRef, keys: &ArrayRef, key_is_dynamic: bool) -> Result<ArrayRef, String> {
    enum Keys<'a> {
        Long(&'a Int64Array),
        Int(&'a Int32Array),
        Text(Texts<'a>),
    }
    let build = |keys: Keys<'_>| {
        with_texts(values, |texts| {
            let mut out = TextOut::new(values.len());
            for row in 0..values.len() {
                let part = texts.get(row).and_then(|text| {
                    let index = match &keys {
                        Keys::Long(a) => a.is_valid(row).then(|| a.value(row))?,
                        Keys::Int(a) => a.is_valid(row).then(|| a.value(row).into())?,
                        Keys::Text(keys) => {
                            let key = keys.get(row)?;
                            match kind(key) {
                                Kind::String if key_is_dynamic => return get_key(text, &unquote(key)),
                                Kind::Integer if key_is_dynamic => key.parse().ok()?,
                                _ if key_is_dynamic => return None,
                                _ => return get_key(text, key),
                            }
                        }
                    };
                    get_index(text, index)
                });
                match part.filter(|part| kind(part) != Kind::Null) {
                    Some(part) => out.push(&compact(part)),
                    None => out.push_null(),
                }
            }
            out.finish()
        })
    };
    let any = keys.as_any();
    if let Some(a) = any.downcast_ref::<Int64Array>() {
        build(Keys::Long(a))
    } else if let Some(a) = any.downcast_ref::<Int32Array>() {
        build(Keys::Int(a))
    } else {
        with_texts(keys, |texts| build(Keys::Text(texts)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn steps(path: &str) -> Vec<Step> {
        path.split('.').map(|s| s.parse().map_or_else(|_| Step::Key(s.to_owned()), Step::Index)).collect()
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
