//! Columns of text in the making: how long their text may be.

use std::sync::Arc;

use arrow::array::{ArrayBuilder, ArrayRef, StringBuilder};

/// Bytes of text that one column of a batch can hold: Arrow's offsets reach no further.
pub const MAX_TEXT: usize = i32::MAX as usize;
/// What is said of longer text.
pub const TOO_LONG: &str = "the text of one batch of rows is longer than 2 GiB: take fewer rows, or shorter texts";

/// A string column in the making.
///
/// The text of one column is limited to 2 GiB, as Arrow's offsets are; more is an error and no panic.
#[derive(Debug)]
pub struct TextOut {
    builder: StringBuilder,
    left: usize,
    full: bool,
}

impl TextOut {
    /// For about so many rows.
    pub fn new(rows: usize) -> TextOut {
        TextOut { builder: StringBuilder::with_capacity(rows, rows * 8), left: MAX_TEXT, full: false }
    }

    /// Appends a row.
    #[inline]
    pub fn push(&mut self, text: &str) {
        match self.left.checked_sub(text.len()) {
            Some(left) => {
                self.left = left;
                self.builder.append_value(text);
            }
            None => self.full = true,
        }
    }

    /// Appends a null row.
    #[inline]
    pub fn push_null(&mut self) {
        self.builder.append_null();
    }

    /// Appends a row that may be null.
    pub fn push_option(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.push(text),
            None => self.push_null(),
        }
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        self.builder.len()
    }

    /// True before the first row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The column; the next row begins another one.
    ///
    /// # Errors
    /// The text was too long.
    pub fn finish(&mut self) -> Result<ArrayRef, String> {
        self.left = MAX_TEXT;
        let column: ArrayRef = Arc::new(self.builder.finish());
        if std::mem::take(&mut self.full) { Err(TOO_LONG.into()) } else { Ok(column) }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Array;

    use super::*;

    #[test]
    fn text_that_no_column_holds_is_an_error() {
        let mut out = TextOut::new(2);
        out.push("a");
        out.left = 1;
        out.push("bc");
        assert_eq!(out.finish().map(|column| column.len()), Err(TOO_LONG.to_owned()));
        out.push("bc");
        assert_eq!(out.finish().map(|column| column.len()), Ok(1), "the next column begins anew");
    }
}
