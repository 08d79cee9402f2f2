//! Columns of text in any of Arrow's forms.

use arrow::array::{Array, ArrayRef, AsArray, LargeStringArray, StringArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::DictionaryArray;
    use arrow::datatypes::Int32Type;

    use super::*;

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
