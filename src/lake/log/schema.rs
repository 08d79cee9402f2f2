//! The columns of a table as its log writes them, in Arrow's terms.
//!
//! The library makes the same of them by way of a schema of its own, which takes longer than all the rest of a small log. What is not
//! plain here (structures, decimals, what columns are mapped to) is left to it. The form is that of "Schema Serialization Format" in
//! Delta's `PROTOCOL.md`.

use std::collections::{HashMap, HashSet};

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use serde::Deserialize;

#[derive(Deserialize)]
struct Columns {
    fields: Vec<Column>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
    /// Of a type that has parts this is no text.
    #[serde(rename = "type")]
    ty: String,
    nullable: bool,
    #[serde(default)]
    metadata: HashMap<String, String>,
}

/// The columns of a schema of plain types; `None` for any other.
pub(crate) fn plain_columns(text: &str) -> Option<Schema> {
    let Columns { fields } = serde_json::from_str(text).ok()?;
    let mut names = HashSet::with_capacity(fields.len());
    let field = |Column { name, ty, nullable, metadata }: Column| {
        // What Delta and Parquet say of a column may change what it is.
        let is_plain = !metadata.keys().any(|key| key.starts_with("delta.") || key.starts_with("parquet."));
        let is_first = names.insert(name.to_lowercase());
        let ty = arrow_type(&ty).filter(|_| is_plain && is_first)?;
        Some(Field::new(name, ty, nullable).with_metadata(metadata))
    };
    Some(Schema::new(fields.into_iter().map(field).collect::<Option<Vec<_>>>()?))
}

fn arrow_type(delta: &str) -> Option<DataType> {
    Some(match delta {
        "string" => DataType::Utf8,
        "long" => DataType::Int64,
        "integer" => DataType::Int32,
        "short" => DataType::Int16,
        "byte" => DataType::Int8,
        "double" => DataType::Float64,
        "float" => DataType::Float32,
        "boolean" => DataType::Boolean,
        "date" => DataType::Date32,
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        _ => return None,
    })
}
