//! Values as JSON, and back.

use crate::format::{to_string, write_json, write_real};
use crate::{Json, Value, ValueRef};

impl Value {
    /// Borrows the value; a dynamic's JSON text is written into `text`.
    pub fn as_ref<'a>(&'a self, text: &'a mut String) -> ValueRef<'a> {
        match self {
            Value::Dynamic(v) if !v.is_null() => {
                text.clear();
                write_json(text, v);
                ValueRef::Dynamic(text)
            }
            scalar => scalar.as_scalar(),
        }
    }
}

impl ValueRef<'_> {
    /// The JSON value that a dynamic holds, as [`json_of`] reads it.
    /// A scalar becomes its JSON form: numbers and bools as such, reals that JSON has no number for as `NaN`, `Infinity` and
    /// `-Infinity`, everything else as its `tostring` text.
    pub fn to_json(self) -> Json {
        match self {
            ValueRef::Null => Json::Null,
            ValueRef::Bool(v) => Json::Bool(v),
            ValueRef::Int(v) => v.into(),
            ValueRef::Long(v) => v.into(),
            ValueRef::Real(v) => serde_json::Number::from_f64(v).map_or_else(
                || {
                    let mut text = String::new();
                    write_real(&mut text, v);
                    Json::String(text)
                },
                Json::Number,
            ),
            ValueRef::Dynamic(text) => json_of(text),
            ValueRef::String(v) => Json::String(v.to_owned()),
            other => Json::String(to_string(other)),
        }
    }
}

/// The JSON value that a dynamic's text holds. What is no JSON, or deeper than a dynamic value may be, is a string of that text.
pub fn json_of(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|_| if text.trim().is_empty() { Json::Null } else { Json::String(text.to_owned()) })
}
