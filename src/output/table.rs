//! Drawn tables for people: as wide as the terminal, the first rows only unless all are asked for.

use std::borrow::Cow;
use std::io::Write;

use arrow::record_batch::RecordBatch;
use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};
use unicode_width::UnicodeWidthStr as _;

use super::cell::{is_right_aligned, readers, write_text};
use super::{OutputError, Sink, TableStyle, Truncation};
use kqlake_value::escape::escaped;
use kqlake_value::{Column, Type, ValueRef};

/// Rows that are drawn at once when all are asked for: the columns' widths come from the first piece, memory stays small.
const PIECE: usize = 1000;

/// Draws tables.
pub(super) struct TableSink<W> {
    out: W,
    style: TableStyle,
    titles: bool,
    columns: Vec<Column>,
    pending: Vec<Vec<String>>,
    widths: Option<Vec<u16>>,
    /// How many columns are drawn: as many as fit.
    fitting: usize,
    shown: usize,
    total: usize,
    truncation: Option<Truncation>,
    tables: usize,
    bottom: Option<String>,
}

impl<W: Write> TableSink<W> {
    pub(super) fn new(out: W, style: TableStyle, titles: bool) -> Self {
        TableSink {
            out,
            style,
            titles,
            columns: Vec::new(),
            pending: Vec::new(),
            widths: None,
            fitting: 0,
            shown: 0,
            total: 0,
            truncation: None,
            tables: 0,
            bottom: None,
        }
    }

    fn draw(&mut self) -> Result<(), OutputError> {
        let first = self.widths.is_none();
        if first {
            self.fitting = self.style.width.map_or(self.columns.len(), |width| self.fitting_columns(usize::from(width)));
        }
        let mut table = Table::new();
        table.load_preset(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
        if let Some(width) = self.style.width {
            table.set_width(width);
        }
        // The header takes part in every piece, so that widths agree; only the first piece's is written.
        table.set_header(self.columns.iter().take(self.fitting).map(|c| Cell::new(escaped(&c.name))));
        for row in self.pending.drain(..) {
            table.add_row(row.into_iter().zip(&self.columns).take(self.fitting).map(|(text, column)| {
                let cell = Cell::new(text);
                if is_right_aligned(column.ty) { cell.set_alignment(CellAlignment::Right) } else { cell }
            }));
        }
        match &self.widths {
            Some(widths) => table.set_constraints(widths.iter().map(|w| ColumnConstraint::Absolute(Width::Fixed(*w)))),
            None => table.set_constraints(self.columns.iter().take(self.fitting).map(|column| {
                if wraps(column.ty) { ColumnConstraint::LowerBoundary(Width::Fixed(3)) } else { ColumnConstraint::ContentWidth }
            })),
        };
        let drawn: Vec<String> = table.lines().collect();
        if first {
            self.widths = drawn.first().map(|border| widths_of(border));
        }
        // The header stands once, above the line that begins with `╞`; the last border is written by `end`.
        let body = drawn.len().saturating_sub(1);
        let head = drawn.iter().position(|line| line.starts_with('╞')).map_or(0, |at| at + 1);
        for line in drawn.iter().take(body).skip(if first { 0 } else { head }) {
            writeln!(self.out, "{line}")?;
        }
        self.bottom = drawn.into_iter().next_back();
        Ok(())
    }
}

/// Below this width a wrapped column cannot be read any more.
const READABLE: usize = 24;

/// Characters of a cell that are drawn, at most: the width of a column has 16 bits.
const WIDEST: usize = 20_000;

/// Texts may wrap; a number, an instant or an id is read as a whole.
fn wraps(ty: Type) -> bool {
    matches!(ty, Type::String | Type::Dynamic)
}

impl<W: Write> TableSink<W> {
    /// How many columns, from the left, can be drawn readably in a width.
    fn fitting_columns(&self, width: usize) -> usize {
        let mut used = 1;
        let fits = self.columns.iter().enumerate().take_while(|(at, column)| {
            let cells = self.pending.iter().filter_map(|row| row.get(*at)).map(|cell| cell.width());
            let natural = cells.chain([escaped(&column.name).width()]).max().unwrap_or(0);
            let least = if wraps(column.ty) { natural.min(READABLE) } else { natural };
            used += least + 3;
            used <= width
        });
        fits.count().max(1)
    }
}

/// Widths of the columns between the corners of a drawn border.
fn widths_of(border: &str) -> Vec<u16> {
    border.trim_matches(['┌', '┐']).split('┬').map(|run| u16::try_from(run.chars().count()).unwrap_or(u16::MAX)).collect()
}

/// A cell's text for the screen, on one line: a datetime without digits that say nothing, escape characters made visible.
fn text_of(value: ValueRef<'_>) -> String {
    let mut text = String::new();
    write_text(&mut text, value);
    if matches!(value, ValueRef::DateTime(_)) {
        let short = text.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
        return format!("{short}Z");
    }
    let text = match escaped(&text) {
        Cow::Owned(shown) => shown,
        Cow::Borrowed(_) => text,
    };
    match text.char_indices().nth(WIDEST) {
        Some((at, _)) => format!("{}… ({} characters)", &text[..at], text.chars().count()),
        None => text,
    }
}

impl<W: Write + Send> Sink for TableSink<W> {
    fn start(&mut self, name: &str, columns: &[Column]) -> Result<(), OutputError> {
        if self.titles {
            let gap = if self.tables > 0 { "\n" } else { "" };
            writeln!(self.out, "{gap}{}", escaped(name))?;
        }
        self.tables += 1;
        self.columns = columns.to_vec();
        (self.widths, self.shown, self.total) = (None, 0, 0);
        Ok(())
    }

    fn rows(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        self.total += batch.num_rows();
        let room = self.style.max_rows.map_or(usize::MAX, |max| max.saturating_sub(self.shown));
        if room == 0 {
            return Ok(());
        }
        let cells = readers(&self.columns, batch)?;
        for row in 0..batch.num_rows().min(room) {
            self.pending.push(cells.iter().map(|c| text_of(c.get(row))).collect());
            self.shown += 1;
            if self.pending.len() == PIECE {
                self.draw()?;
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), OutputError> {
        if !self.pending.is_empty() || self.widths.is_none() {
            self.draw()?;
        }
        if let Some(bottom) = self.bottom.take() {
            writeln!(self.out, "{bottom}")?;
        }
        if self.shown < self.total || self.fitting < self.columns.len() {
            let so_far = self.truncation.unwrap_or_default();
            self.truncation = Some(Truncation {
                shown: so_far.shown + self.shown,
                total: so_far.total + self.total,
                columns_hidden: so_far.columns_hidden + self.columns.len() - self.fitting,
            });
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        Ok(self.out.flush()?)
    }

    fn truncation(&self) -> Option<Truncation> {
        self.truncation
    }
}
