//! Markdown tables, as GitHub reads them.

use std::io::Write;

use arrow::record_batch::RecordBatch;

use super::cell::{is_right_aligned, readers, write_text};
use super::{OutputError, Sink};
use kqlake_value::Column;
use kqlake_value::escape::is_harmful;

/// Writes Markdown tables, an empty line between two.
#[derive(Debug)]
pub(super) struct MarkdownSink<W> {
    out: W,
    columns: Vec<Column>,
    tables: usize,
}

impl<W: Write> MarkdownSink<W> {
    pub(super) fn new(out: W) -> Self {
        MarkdownSink { out, columns: Vec::new(), tables: 0 }
    }
}

/// A cell may hold neither a bar nor a line break; what Markdown or HTML would take for their own is written so that it is shown, and
/// so is what a terminal would obey.
fn escape(line: &mut String, text: &str) {
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let is_inside = before.is_alphanumeric() && rest.peek().is_some_and(|next| next.is_alphanumeric());
        match c {
            // A break of two characters is one.
            '\n' if before == '\r' => {}
            '\n' | '\r' => line.push_str("<br>"),
            '&' => line.push_str("&amp;"),
            '<' => line.push_str("&lt;"),
            // Between letters it is no emphasis.
            '_' if is_inside => line.push(c),
            '|' | '\\' | '`' | '*' | '_' | '~' | '[' | ']' => line.extend(['\\', c]),
            '\t' => line.push(c),
            _ if is_harmful(c) => line.extend(c.escape_default()),
            _ => line.push(c),
        }
        before = c;
    }
}

impl<W: Write + Send> Sink for MarkdownSink<W> {
    fn start(&mut self, _name: &str, columns: &[Column]) -> Result<(), OutputError> {
        let mut head = String::new();
        if self.tables > 0 {
            head.push('\n');
        }
        for column in columns {
            head.push_str("| ");
            escape(&mut head, &column.name);
            head.push(' ');
        }
        head.push_str("|\n");
        for column in columns {
            head.push_str(if is_right_aligned(column.ty) { "| ---: " } else { "| --- " });
        }
        head.push_str("|\n");
        self.columns = columns.to_vec();
        self.tables += 1;
        Ok(self.out.write_all(head.as_bytes())?)
    }

    fn rows(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        let cells = readers(&self.columns, batch)?;
        let (mut line, mut text) = (String::new(), String::new());
        for row in 0..batch.num_rows() {
            line.clear();
            for column in &cells {
                text.clear();
                write_text(&mut text, column.get(row));
                line.push_str("| ");
                escape(&mut line, &text);
                line.push(' ');
            }
            line.push_str("|\n");
            self.out.write_all(line.as_bytes())?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        Ok(self.out.flush()?)
    }
}
