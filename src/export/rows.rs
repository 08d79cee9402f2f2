//! Rows of an export file.

use std::collections::HashSet;

use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use super::Period;
use crate::output::cell::{readers, write_text};
use kqlake_value::columns::ColumnReader;
use kqlake_value::format::write_datetime;
use kqlake_value::formula::guard;
use kqlake_value::{Column, TICKS_PER_SECOND, Type, ValueRef};

/// A column's name as the header and the manifest have it.
pub(super) fn header_name(name: &str) -> String {
    let mut name = name.to_owned();
    guard(&mut name);
    name
}

/// The names of columns as the header and the manifest have them, a timespan's with that of the column of its seconds. Where a query has
/// a column of that name itself, the one of the seconds is numbered, as others of one name are.
pub(super) fn names(columns: &[Column]) -> Vec<(String, Option<String>)> {
    let mut taken: HashSet<String> = columns.iter().map(|column| header_name(&column.name)).collect();
    let mut seconds = |column: &Column| {
        let name = header_name(&format!("{}Seconds", column.name));
        let numbered = (1..).map(|number| format!("{name}:{number}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains(name))?;
        taken.insert(free.clone());
        Some(free)
    };
    let with_seconds = |column: &Column| if column.ty == Type::TimeSpan { seconds(column) } else { None };
    columns.iter().map(|column| header_name(&column.name)).zip(columns.iter().map(with_seconds)).collect()
}

/// Writes header and rows.
#[derive(Debug)]
pub(super) struct RowWriter {
    columns: Vec<Column>,
}

impl RowWriter {
    pub(super) fn new(columns: &[Column]) -> RowWriter {
        RowWriter { columns: columns.to_vec() }
    }

    pub(super) fn cells(&self, batch: &RecordBatch) -> Result<Vec<ColumnReader>, ArrowError> {
        readers(&self.columns, batch)
    }

    /// The byte-order mark and the header line.
    pub(super) fn header(&self) -> Vec<u8> {
        let mut line = "\u{feff}".as_bytes().to_vec();
        let mut first = true;
        for (name, seconds) in names(&self.columns) {
            field(&mut line, &name, &mut first);
            if let Some(seconds) = seconds {
                field(&mut line, &seconds, &mut first);
            }
        }
        line.extend_from_slice(b"\r\n");
        line
    }

    /// Appends a row.
    pub(super) fn row(&self, cells: &[ColumnReader], row: usize, line: &mut Vec<u8>) {
        let mut first = true;
        let mut text = String::new();
        for (column, cell) in self.columns.iter().zip(cells) {
            let value = cell.get(row);
            text.clear();
            write_text(&mut text, value);
            if matches!(column.ty, Type::String | Type::Dynamic | Type::Guid) {
                guard(&mut text);
            }
            field(line, &text, &mut first);
            if column.ty == Type::TimeSpan {
                text.clear();
                if let ValueRef::TimeSpan(ticks) = value {
                    write_seconds(&mut text, ticks);
                }
                field(line, &text, &mut first);
            }
        }
        line.extend_from_slice(b"\r\n");
    }
}

/// Appends a field, quoted when it holds a comma, a quote, a line break or outer blanks.
///
/// The `csv` crate quotes what must be, all fields or none: outer blanks, which some readers trim outside of quotes, would go bare.
fn field(line: &mut Vec<u8>, text: &str, first: &mut bool) {
    if !std::mem::take(first) {
        line.push(b',');
    }
    let quoted = text.contains([',', '"', '\r', '\n']) || text.starts_with(' ') || text.ends_with(' ');
    if !quoted {
        return line.extend_from_slice(text.as_bytes());
    }
    line.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' {
            line.push(b'"');
        }
        line.push(byte);
    }
    line.push(b'"');
}

/// Seconds as a decimal number, exact to 100 ns.
fn write_seconds(out: &mut String, ticks: i64) {
    use std::fmt::Write as _;
    let magnitude = ticks.unsigned_abs();
    let second = TICKS_PER_SECOND.unsigned_abs();
    let _ = write!(out, "{}{}", if ticks < 0 { "-" } else { "" }, magnitude / second);
    let fraction = magnitude % second;
    if fraction != 0 {
        let digits = format!("{fraction:07}");
        out.push('.');
        out.push_str(digits.trim_end_matches('0'));
    }
}

/// The period of a row as file names write it: `2026-01-05`, `2026-01`, or nothing.
pub(super) fn period(period: Period, cells: &[ColumnReader], row: usize) -> String {
    let (Period::Day(at) | Period::Month(at)) = period else { return String::new() };
    let Some(ValueRef::DateTime(ticks)) = cells.get(at).map(|c| c.get(row)) else { return String::new() };
    let mut text = String::new();
    write_datetime(&mut text, ticks);
    let day = text.split_once('T').map_or(text.as_str(), |(day, _)| day);
    let month = day.rsplit_once('-').map_or(day, |(month, _)| month);
    if matches!(period, Period::Month(_)) { month } else { day }.to_owned()
}

/// True for the name of a file that an export of a table makes: `TABLE.csv`, `TABLE_2026-01.csv`, `TABLE_2026-01-05.csv`.
pub(super) fn is_export_file(name: &str, table: &str) -> bool {
    let Some(rest) = name.strip_suffix(".csv").and_then(|stem| stem.strip_prefix(table)) else { return false };
    let Some(period) = rest.strip_prefix('_') else { return rest.is_empty() };
    let form: String = period.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    matches!(form.as_str(), "0000-00" | "0000-00-00")
}
