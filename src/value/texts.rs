//! Columns of text in any of Arrow's forms, and texts of columns that have no form of KQL.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, LargeStringArray, RecordBatch, StringArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// A column of text opened for reading: what scans and operators return, whichever form they keep it in.
#[derive(Debug, Clone)]
pub enum Texts {
    /// `Utf8`
    Utf8(StringArray),
    /// `Utf8View`
    View(StringViewArray),
    /// `LargeUtf8`
    Large(LargeStringArray),
}

impl Texts {
    /// Opens a string array; other forms, such as dictionaries, are cast to one.
    ///
    /// # Errors
    /// There is no such cast.
    pub fn new(array: &ArrayRef) -> Result<Texts, String> {
        Ok(match array.data_type() {
            DataType::Utf8 => Texts::Utf8(array.as_string::<i32>().clone()),
            DataType::Utf8View => Texts::View(array.as_string_view().clone()),
            DataType::LargeUtf8 => Texts::Large(array.as_string::<i64>().clone()),
            found => {
                let text =
                    cast(array, &DataType::Utf8).map_err(|e| format!("a column of type {found} cannot be read as text: {e}"))?;
                Texts::Utf8(text.as_string::<i32>().clone())
            }
        })
    }

    /// The text of a row, where there is one.
    #[inline]
    pub fn get(&self, row: usize) -> Option<&str> {
        match self {
            Texts::Utf8(a) => a.is_valid(row).then(|| a.value(row)),
            Texts::View(a) => a.is_valid(row).then(|| a.value(row)),
            Texts::Large(a) => a.is_valid(row).then(|| a.value(row)),
        }
    }

    /// The text of a row; empty where there is none, as KQL's strings are.
    #[inline]
    pub fn text(&self, row: usize) -> &str {
        self.get(row).unwrap_or_default()
    }
}

/// True for a type whose arrays hold texts themselves; a dictionary of texts does not.
pub fn is_text(ty: &DataType) -> bool {
    matches!(ty, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// A column of texts in the form `Utf8`; any other column as it is.
///
/// # Errors
/// Its texts are too long for that form.
pub fn as_utf8(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let ty = array.data_type();
    if is_text(ty) && *ty != DataType::Utf8 { cast(array, &DataType::Utf8) } else { Ok(Arc::clone(array)) }
}

/// Values as they are shown; binary ones as hexadecimal digits.
///
/// # Errors
/// When the type has no text.
pub fn displayed(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array.as_ref(), &options)?;
    let texts: StringArray = (0..array.len()).map(|row| array.is_valid(row).then(|| formatter.value(row).to_string())).collect();
    Ok(Arc::new(texts))
}

/// Nested values as JSON text.
///
/// # Errors
/// When the type has no form in JSON.
pub fn json_texts(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    const HEAD: &str = "{\"v\":";
    let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("v", array.data_type().clone(), true)]));
    let batch = RecordBatch::try_new(schema, vec![Arc::clone(array)])?;
    let mut writer =
        arrow::json::WriterBuilder::new().with_explicit_nulls(true).build::<_, arrow::json::writer::LineDelimited>(Vec::new());
    writer.write(&batch)?;
    writer.finish()?;
    let lines = String::from_utf8(writer.into_inner()).map_err(|err| ArrowError::ExternalError(err.into()))?;
    let texts: StringArray = lines
        .lines()
        .zip(0..)
        .map(|(line, row)| array.is_valid(row).then(|| line.strip_prefix(HEAD).and_then(|l| l.strip_suffix('}')).unwrap_or(line)))
        .collect();
    Ok(Arc::new(texts))
}

#[cfg(test)]
mod tests {
    use arrow::array::DictionaryArray;
    use arrow::datatypes::Int32Type;

    use super::*;

    #[test]
    fn only_forms_of_texts_become_plain_texts() {
        let view: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), None]));
        let numbers: ArrayRef = Arc::new(arrow::array::Int64Array::from(vec![1, 2]));
        assert_eq!(as_utf8(&view).unwrap().as_string::<i32>(), &StringArray::from(vec![Some("a"), None]));
        assert_eq!(as_utf8(&numbers).unwrap().data_type(), &DataType::Int64);
    }

    #[test]
    fn every_form_reads_the_same() {
        let texts = [Some("a"), None, Some("é")];
        let forms: [ArrayRef; 4] = [
            Arc::new(StringArray::from(texts.to_vec())),
            Arc::new(StringViewArray::from(texts.to_vec())),
            Arc::new(LargeStringArray::from(texts.to_vec())),
            Arc::new(DictionaryArray::<Int32Type>::from_iter(texts)),
        ];
        for form in &forms {
            let read = Texts::new(form).unwrap();
            assert_eq!([read.get(0), read.get(1), read.get(2)], texts, "{}", form.data_type());
            assert_eq!([read.text(0), read.text(1)], ["a", ""]);
        }
    }
}
