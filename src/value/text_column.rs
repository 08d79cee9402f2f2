//! Columns of text in the making: how long their text may be.

use std::cell::Cell;
use std::sync::Arc;

use arrow::array::{ArrayBuilder, ArrayRef, StringBuilder};

/// Bytes of text that one column of a batch can hold: Arrow's offsets reach no further.
pub const MAX_TEXT: usize = i32::MAX as usize;
/// Bytes of text that the constants of a query may have that are computed when it is planned.
pub const MAX_CONSTANTS: usize = 64 << 20;
/// What is said of longer text.
pub const TOO_LONG: &str = "the text of one batch of rows is longer than 2 GiB: take fewer rows, or shorter texts";

thread_local! {
    static ROOM: Cell<usize> = const { Cell::new(MAX_TEXT) };
    /// What this thread is computing asked for more.
    static OVER: Cell<bool> = const { Cell::new(false) };
}

/// Bytes of text that a column, or a text of it, may have in the work that this thread is at.
pub fn room() -> usize {
    ROOM.get()
}

/// Does work in which a column of text may have so many bytes. What is to run later keeps the number: [`room`].
pub fn with_room<T>(room: usize, work: impl FnOnce() -> T) -> T {
    struct Before(usize);
    impl Drop for Before {
        fn drop(&mut self) {
            ROOM.set(self.0);
        }
    }
    let _before = Before(ROOM.replace(room.min(MAX_TEXT)));
    work()
}

/// Leaves less room for what is done on this thread next.
pub fn spend(bytes: usize) {
    ROOM.set(room().saturating_sub(bytes));
}

/// Why a column was not computed.
#[derive(Debug)]
pub enum Failure {
    /// Its text is longer than [`MAX_TEXT`].
    TooLong,
    /// Its text has no room: more than so many bytes.
    NoRoom(usize),
    /// What the work itself refuses.
    Refused(String),
}

/// Computes a column as [`with_room`] does. The work may compute others: each has its own room, and fails for itself.
///
/// # Errors
/// [`Failure`].
pub fn computed<T>(room: usize, work: impl FnOnce() -> Result<T, String>) -> Result<T, Failure> {
    struct Outer(bool);
    impl Drop for Outer {
        fn drop(&mut self) {
            OVER.set(self.0);
        }
    }
    let _outer = Outer(OVER.replace(false));
    let result = with_room(room, work);
    match (OVER.get(), result) {
        (true, _) if room >= MAX_TEXT => Err(Failure::TooLong),
        (true, _) => Err(Failure::NoRoom(room)),
        (false, result) => result.map_err(Failure::Refused),
    }
}

/// True when there is room for so many bytes of text. If not, what is being computed fails: only [`computed`] tells that the
/// text is not whole, so outside of it the caller must.
pub fn fits(bytes: usize) -> bool {
    let fits = bytes <= room();
    if !fits {
        OVER.set(true);
    }
    fits
}

/// Appends to a text in the making. Where there is no room, nothing is appended, and what is being computed fails. To be called
/// within [`computed`] only: outside of it nobody would learn that the text is cut.
pub fn append(out: &mut String, text: &str) {
    if fits(out.len().saturating_add(text.len())) {
        out.push_str(text);
    }
}

/// A string column in the making.
///
/// The text of one column is limited to the [`room`] that there is when it is begun; more is an error and no panic.
#[derive(Debug)]
pub struct TextOut {
    builder: StringBuilder,
    room: usize,
    left: usize,
    full: bool,
}

impl TextOut {
    /// For about so many rows.
    pub fn new(rows: usize) -> TextOut {
        let room = room();
        TextOut { builder: StringBuilder::with_capacity(rows, rows * 8), room, left: room, full: false }
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
                OVER.set(true);
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
        self.left = self.room;
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

    #[test]
    fn text_without_room_is_an_error_of_memory() {
        let made = |room, text: &str| {
            computed(room, || {
                let mut out = TextOut::new(1);
                let mut buffer = String::new();
                append(&mut buffer, text);
                append(&mut buffer, text);
                out.push(&buffer);
                out.push("x");
                out.finish()
            })
        };
        assert_eq!(made(5, "ab").unwrap().len(), 2);
        for (room, text) in [(4, "ab"), (3, "ab")] {
            assert!(matches!(made(room, text), Err(Failure::NoRoom(had)) if had == room));
        }
        assert_eq!(room(), MAX_TEXT);
        let refused = computed(1, || Err::<(), _>("no".to_owned()));
        assert!(matches!(refused, Err(Failure::Refused(why)) if why == "no"));
    }
    #[test]
    fn a_column_computed_within_another_one_has_its_own_room() {
        let fill = |bytes| {
            let mut text = String::new();
            append(&mut text, &"x".repeat(bytes));
            Ok(text)
        };
        // The outer one has no room, before or after the inner one, which has.
        let outer = computed(1, || {
            fits(2);
            computed(8, || fill(8)).map_err(|why| format!("{why:?}"))
        });
        assert!(matches!(outer, Err(Failure::NoRoom(1))), "{outer:?}");
        let outer = computed(1, || {
            assert_eq!(computed(8, || fill(8)).unwrap().len(), 8);
            fill(2)
        });
        assert!(matches!(outer, Err(Failure::NoRoom(1))), "{outer:?}");
        // The inner one has none, and the outer one can do without.
        let outer = computed(8, || {
            assert!(matches!(computed(1, || fill(2)), Err(Failure::NoRoom(1))));
            fill(8)
        });
        assert_eq!(outer.unwrap().len(), 8);
        // What was over is over when a computation ends in a panic, too.
        let panics = std::panic::catch_unwind(|| computed(1, || if fits(2) { Ok(()) } else { panic!("on purpose") }));
        assert!(panics.is_err());
        assert_eq!(computed(8, || fill(8)).unwrap().len(), 8);
        assert!(!OVER.get());
    }
}
