//! A builder of text columns, and the budget of bytes that the text of a column has while it is computed.

use std::cell::Cell;
use std::sync::Arc;

use arrow::array::{ArrayBuilder, ArrayRef, StringBuilder};

/// Bytes of text that one column of a batch can hold: Arrow's offsets reach no further.
pub const MAX_TEXT: usize = i32::MAX as usize;
/// The message about longer text.
pub const TOO_LONG: &str = "the text of one batch of rows is longer than 2 GiB: take fewer rows, or shorter texts";

thread_local! {
    static BUDGET: Cell<usize> = const { Cell::new(MAX_TEXT) };
    /// True when the computation on this thread asked for more than its budget.
    static EXCEEDED: Cell<bool> = const { Cell::new(false) };
}

/// Bytes of text that a column, or one value of it, may have in the computation on this thread.
pub fn text_budget() -> usize {
    BUDGET.get()
}

/// Runs `work` with this budget. What is planned now and computed later takes a copy of it: [`text_budget`].
pub fn with_text_budget<T>(budget: usize, work: impl FnOnce() -> T) -> T {
    struct Before(usize);
    impl Drop for Before {
        fn drop(&mut self) {
            BUDGET.set(self.0);
        }
    }
    let _before = Before(BUDGET.replace(budget.min(MAX_TEXT)));
    work()
}

/// Reduces the budget of what follows on this thread.
pub fn charge_text(bytes: usize) {
    BUDGET.set(text_budget().saturating_sub(bytes));
}

/// Why a column was not computed.
#[derive(Debug)]
pub enum TextError {
    /// Its text is longer than [`MAX_TEXT`].
    TooLong,
    /// Its text is over its budget: more than so many bytes.
    OverBudget(usize),
    /// The computation itself refused, with its reason.
    Refused(String),
}

/// Computes a column within a budget. Columns that are computed inside of it have budgets of their own, and fail on their own.
///
/// # Errors
/// [`TextError`].
pub fn compute_within<T>(budget: usize, work: impl FnOnce() -> Result<T, String>) -> Result<T, TextError> {
    struct Outer(bool);
    impl Drop for Outer {
        fn drop(&mut self) {
            EXCEEDED.set(self.0);
        }
    }
    let _outer = Outer(EXCEEDED.replace(false));
    let result = with_text_budget(budget, work);
    match (EXCEEDED.get(), result) {
        (true, _) if budget >= MAX_TEXT => Err(TextError::TooLong),
        (true, _) => Err(TextError::OverBudget(budget)),
        (false, result) => result.map_err(TextError::Refused),
    }
}

/// True when so many bytes of text are within the budget. If not, the computation fails: [`compute_within`] reports that the text
/// is incomplete; outside of it the caller must.
pub fn within_budget(bytes: usize) -> bool {
    let fits = bytes <= text_budget();
    if !fits {
        EXCEEDED.set(true);
    }
    fits
}

/// Appends to a text within the budget. Beyond it nothing is appended, and the computation fails. To be called within
/// [`compute_within`] only: outside of it the text would be cut without an error.
pub fn append(out: &mut String, text: &str) {
    if within_budget(out.len().saturating_add(text.len())) {
        out.push_str(text);
    }
}

/// Builds a string column.
///
/// The text of a column is limited to the [`text_budget`] at the time of its builder; more is an error and no panic.
#[derive(Debug)]
pub struct TextBuilder {
    builder: StringBuilder,
    budget: usize,
    left: usize,
    full: bool,
}

impl TextBuilder {
    /// For about so many rows.
    pub fn new(rows: usize) -> TextBuilder {
        let budget = text_budget();
        TextBuilder { builder: StringBuilder::with_capacity(rows, rows * 8), budget, left: budget, full: false }
    }

    /// Appends a row.
    #[inline]
    pub fn push(&mut self, text: &str) {
        match self.left.checked_sub(text.len()) {
            Some(left) => {
                self.left = left;
                self.builder.append_value(text);
            }
            None => {
                self.full = true;
                EXCEEDED.set(true);
            }
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
        self.left = self.budget;
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
        let mut out = TextBuilder::new(2);
        out.push("a");
        out.left = 1;
        out.push("bc");
        assert_eq!(out.finish().map(|column| column.len()), Err(TOO_LONG.to_owned()));
        out.push("bc");
        assert_eq!(out.finish().map(|column| column.len()), Ok(1), "the next column begins anew");
    }

    #[test]
    fn text_over_its_budget_is_an_error_of_memory() {
        let made = |budget, text: &str| {
            compute_within(budget, || {
                let mut out = TextBuilder::new(1);
                let mut buffer = String::new();
                append(&mut buffer, text);
                append(&mut buffer, text);
                out.push(&buffer);
                out.push("x");
                out.finish()
            })
        };
        assert_eq!(made(5, "ab").unwrap().len(), 2);
        for (budget, text) in [(4, "ab"), (3, "ab")] {
            assert!(matches!(made(budget, text), Err(TextError::OverBudget(had)) if had == budget));
        }
        assert_eq!(text_budget(), MAX_TEXT);
        let refused = compute_within(1, || Err::<(), _>("no".to_owned()));
        assert!(matches!(refused, Err(TextError::Refused(why)) if why == "no"));
    }
    #[test]
    fn a_column_computed_within_another_one_has_its_own_budget() {
        let fill = |bytes| {
            let mut text = String::new();
            append(&mut text, &"x".repeat(bytes));
            Ok(text)
        };
        // The outer one is over its budget, before or after the inner one, which has.
        let outer = compute_within(1, || {
            within_budget(2);
            compute_within(8, || fill(8)).map_err(|why| format!("{why:?}"))
        });
        assert!(matches!(outer, Err(TextError::OverBudget(1))), "{outer:?}");
        let outer = compute_within(1, || {
            assert_eq!(compute_within(8, || fill(8)).unwrap().len(), 8);
            fill(2)
        });
        assert!(matches!(outer, Err(TextError::OverBudget(1))), "{outer:?}");
        // The inner one does, and the outer one continues without it.
        let outer = compute_within(8, || {
            assert!(matches!(compute_within(1, || fill(2)), Err(TextError::OverBudget(1))));
            fill(8)
        });
        assert_eq!(outer.unwrap().len(), 8);
        // The mark is reset when a computation ends in a panic, too.
        let panics =
            std::panic::catch_unwind(|| compute_within(1, || if within_budget(2) { Ok(()) } else { panic!("on purpose") }));
        assert!(panics.is_err());
        assert_eq!(compute_within(8, || fill(8)).unwrap().len(), 8);
        assert!(!EXCEEDED.get());
    }
}
