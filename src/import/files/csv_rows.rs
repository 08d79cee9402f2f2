//! From a CSV file to its rows.

use super::bytes::ByteStream;
use super::csv::{CsvRead, CsvReader, CsvRecord, delimiter_of, first_line_end, pass_line};
use super::dates::Dates;
use super::input::FileLimits;
use super::record::{Heading, Item, Place, Sink, Stop, Walked};
use super::sniff::WINDOW;
use kqlake_lake::tables::IMPORT_ID;
use kqlake_value::parse::without_mark;

/// Walks a CSV file: its heading first, then its rows.
pub(super) fn walk(source: &mut ByteStream<'_>, sink: &mut dyn Sink, limits: FileLimits) -> Result<Walked, Stop> {
    let (mut heading, delimiter, skipped_lines) = match heading_of(source) {
        Some(found) => found,
        None => return Ok(Walked::Unknown(vec!["CSV: there is no heading".into()])),
    };
    let mut date_columns = match sink.heading(&heading) {
        Ok(columns) => columns,
        Err(reason) => return Ok(Walked::Unknown(vec!["JSON: no bracket at the beginning".into(), format!("CSV: {reason}")])),
    };
    // What the dates of the file say of their order, once one is met whose meaning depends on it.
    let mut dates: Option<Dates> = None;
    let mut reader = CsvReader::new(delimiter, limits.record);
    let mut record = CsvRecord::default();
    let mut place = Place::default();
    loop {
        let byte = source.offset();
        let read = reader.read(source, &mut record);
        place = Place { line: Some(record.line + skipped_lines), byte, record: place.record };
        let kept = record.raw.len().min(limits.quarantine_text);
        match read {
            CsvRead::End => return Ok(Walked::Done),
            CsvRead::Record if record.is_blank() => continue,
            CsvRead::Bad(reason) => {
                place.record += 1;
                sink.item(Item::Bad { reason: reason.into(), text: &record.raw[..kept] }, place)?;
            }
            CsvRead::Record => {
                place.record += 1;
                if let Some(reason) = misfit(&heading, &record) {
                    reader.read_again_behind_first_line(source, &mut record);
                    let kept = record.raw.len().min(limits.quarantine_text);
                    sink.item(Item::Bad { reason: reason.into(), text: &record.raw[..kept] }, place)?;
                } else if let Err(error) = std::str::from_utf8(&record.raw) {
                    let reason = format!("not valid UTF-8 at byte {} of the row", error.valid_up_to());
                    sink.item(Item::Bad { reason: reason.into(), text: &record.raw[..kept] }, place)?;
                } else if let Some(again) = heading_again(&heading, &record) {
                    // Files put one behind the other bring their headings; the columns may appear in another order.
                    place.record -= 1;
                    if again != heading
                        && let Ok(columns) = sink.heading(&again)
                    {
                        (heading, date_columns) = (again, columns);
                    }
                } else {
                    let mut seen = Dates::default();
                    if dates.is_none() && see_dates(&mut seen, &date_columns, &record, skipped_lines) {
                        let first_line = reader.line() + skipped_lines - 1;
                        let rest = Rest { heading: heading.clone(), date_columns: date_columns.clone(), delimiter, first_line };
                        if let Err(error) = source.look_ahead(|ahead| rest.see_dates(ahead, limits, &mut seen)) {
                            return Ok(Walked::NoScratch(error.to_string()));
                        }
                        if let Err(reason) = sink.dates(&seen) {
                            return Ok(Walked::Refused(reason));
                        }
                        dates = Some(seen);
                    }
                    sink.item(Item::CsvRow { heading: &heading, record: &record }, place)?;
                }
            }
        }
    }
}

/// Why a record is no row below a heading.
fn misfit(heading: &Heading, record: &CsvRecord) -> Option<String> {
    let (found, expected) = (record.len(), heading.columns.len());
    let surplus_is_blank = (expected..found).all(|i| record.field(i).is_none_or(<[u8]>::is_empty));
    (found < expected || !surplus_is_blank).then(|| format!("the row has {found} fields where the heading has {expected}"))
}

/// Takes the dates of a row into account; true when the meaning of one depends on the order.
fn see_dates(dates: &mut Dates, columns: &[usize], record: &CsvRecord, skipped_lines: u64) -> bool {
    let values = columns.iter().filter_map(|column| std::str::from_utf8(record.field(*column)?).ok());
    values.fold(false, |depends, value| dates.see(value, record.line + skipped_lines) | depends)
}

/// What follows a row.
struct Rest {
    heading: Heading,
    date_columns: Vec<usize>,
    delimiter: u8,
    /// Lines before it.
    first_line: u64,
}

impl Rest {
    /// Takes the dates of all rows that follow into account.
    fn see_dates(mut self, source: &mut ByteStream<'_>, limits: FileLimits, dates: &mut Dates) {
        let names: Vec<String> =
            self.date_columns.iter().filter_map(|column| self.heading.columns.get(*column).cloned()).collect();
        let mut reader = CsvReader::new(self.delimiter, limits.record);
        let mut record = CsvRecord::default();
        loop {
            match reader.read(source, &mut record) {
                CsvRead::End => return,
                CsvRead::Bad(_) => {}
                CsvRead::Record if record.is_blank() => {}
                CsvRead::Record if misfit(&self.heading, &record).is_some() => {
                    reader.read_again_behind_first_line(source, &mut record);
                }
                CsvRead::Record => match heading_again(&self.heading, &record) {
                    Some(again) => {
                        let places = again.columns.iter().enumerate().filter(|(_, name)| names.contains(name));
                        self.date_columns = places.map(|(place, _)| place).collect();
                        self.heading = again;
                    }
                    None => {
                        see_dates(dates, &self.date_columns, &record, self.first_line);
                    }
                },
            }
        }
    }
}

/// The heading, its delimiter and the number of lines it took; lines that tools put before it are skipped.
fn heading_of(source: &mut ByteStream<'_>) -> Option<(Heading, u8, u64)> {
    let (mut lines, line_end) = (0, source.line_end());
    loop {
        let window = source.peek(WINDOW);
        if window.is_empty() {
            return None;
        }
        let end = first_line_end(window, line_end).map_or(window.len(), |(at, _)| at);
        let ends_as_export = window[..end].ends_with(b"\r") || window[end..].starts_with(b"\r\n");
        let line = window[..end].trim_ascii();
        // Excel's separator hint, PowerShell's type line, blank lines.
        if line.is_empty() || line.starts_with(b"sep=") || line.starts_with(b"#TYPE") {
            pass_line(source);
            lines += 1;
            continue;
        }
        let delimiter = delimiter_of(line);
        let mut reader = CsvReader::new(delimiter, WINDOW);
        let mut record = CsvRecord::default();
        let before = source.offset();
        if reader.read(source, &mut record) != CsvRead::Record || source.offset() - before > WINDOW as u64 {
            return None;
        }
        let columns = names_of(&record);
        let used = columns.iter().rposition(|c| !c.is_empty())? + 1;
        lines += 1;
        // Exports are written for spreadsheets, with their line ends; results of queries are not, and have no guards.
        let is_guarded = ends_as_export && columns.iter().any(|name| name == IMPORT_ID);
        return Some((Heading { columns: columns[..used].to_vec(), is_guarded }, delimiter, lines));
    }
}

/// The fields of a record as column names.
fn names_of(record: &CsvRecord) -> Vec<String> {
    let name = |i| String::from_utf8_lossy(record.field(i).unwrap_or_default()).trim().trim_start_matches('\u{feff}').to_owned();
    (0..record.len()).map(name).collect()
}

/// The heading that a record is, when it has the same names as the file's, in whichever order.
fn heading_again(heading: &Heading, record: &CsvRecord) -> Option<Heading> {
    // Rows of data are recognised by their first field.
    let first = record.field(0)?;
    let first = without_mark(first).trim_ascii();
    if !heading.columns.iter().any(|name| name.as_bytes() == first) {
        return None;
    }
    let mut columns = names_of(record);
    columns.truncate(heading.columns.len());
    let sorted = |names: &[String]| {
        let mut names = names.to_vec();
        names.sort_unstable();
        names
    };
    (sorted(&columns) == sorted(&heading.columns)).then_some(Heading { columns, is_guarded: heading.is_guarded })
}
