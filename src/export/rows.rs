//! Rows of an export file.

use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use super::Period;
use crate::kql::format;
use crate::kql::types::{Column, Type};
use crate::kql::value::{TICKS_PER_DAY, TICKS_PER_SECOND, UNIX_EPOCH_DAYS, ValueRef};
use crate::output::cell::{Cells, write_text};

/// What a spreadsheet takes for the beginning of a formula (OWASP ASVS 5.0, 1.2.10).
const FORMULA_STARTS: &[char] = &['=', '+', '-', '@', '\t', '\r', '\0'];
/// What is put before it.
pub(super) const FORMULA_GUARD: char = '\'';

/// The column that holds a timespan in seconds.
pub(super) fn seconds_name(column: &str) -> String {
    format!("{column}Seconds")
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

    pub(super) fn cells(&self, batch: &RecordBatch) -> Result<Vec<Cells>, ArrowError> {
        Cells::of_batch(&self.columns, batch)
    }

    /// The byte-order mark and the header line.
    pub(super) fn header(&self) -> Vec<u8> {
        let mut line = "\u{feff}".as_bytes().to_vec();
        let mut first = true;
        for column in &self.columns {
            field(&mut line, &column.name, &mut first);
            if column.ty == Type::TimeSpan {
                field(&mut line, &seconds_name(&column.name), &mut first);
            }
        }
        line.extend_from_slice(b"\r\n");
        line
    }

    /// Appends a row.
    pub(super) fn row(&self, cells: &[Cells], row: usize, line: &mut Vec<u8>) {
        let mut first = true;
        let mut text = String::new();
        for (column, cell) in self.columns.iter().zip(cells) {
            let value = cell.get(row);
            text.clear();
            write_text(&mut text, value);
            if matches!(column.ty, Type::String | Type::Dynamic | Type::Guid) && text.starts_with(FORMULA_STARTS) {
                text.insert(0, FORMULA_GUARD);
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
pub(super) fn period(period: Period, cells: &[Cells], row: usize) -> String {
    let (Period::Day(at) | Period::Month(at)) = period else { return String::new() };
    let Some(ValueRef::DateTime(ticks)) = cells.get(at).map(|c| c.get(row)) else { return String::new() };
    let (year, month, day) = format::civil_from_days(ticks.div_euclid(TICKS_PER_DAY) - UNIX_EPOCH_DAYS);
    match period {
        Period::Day(_) => format!("{year:04}-{month:02}-{day:02}"),
        _ => format!("{year:04}-{month:02}"),
    }
}
