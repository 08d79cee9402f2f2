//! From a CSV file to its rows.

use super::bytes::ByteStream;
use super::csv::{CsvRead, CsvReader, CsvRecord, delimiter_of, first_line_end, pass_line};
use super::dates::Dates;
use super::input::FileLimits;
use super::record::{Heading, Item, Place, Sink, Stop, Walked};
use super::sniff::WINDOW;
use kqlake_lake::tables::IMPORT_ID;
use kqlake_value::parse::without_mark;

/// How PowerShell's type line begins.
const TYPE_LINE: &[u8] = b"#TYPE";

/// Walks a CSV file: its heading first, then its rows.
pub(super) fn walk(source: &mut ByteStream<'_>, sink: &mut dyn Sink, limits: FileLimits) -> Result<Walked, Stop> {
    let Start { mut heading, delimiter, skipped_lines, ends_as_export } = match start_of(source) {
        Some(start) => start,
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
            CsvRead::Record if record.is_blank() || is_type_line(&record) => continue,
            CsvRead::Bad(reason) => {
                place.record += 1;
                sink.item(Item::Bad { reason: reason.into(), text: &record.raw[..kept] }, place)?;
            }
            CsvRead::Record => {
                place.record += 1;
                if let Some(again) = heading_again(&heading, &record, ends_as_export, sink) {
                    // Files put one behind the other bring their headings.
                    place.record -= 1;
                    if again != heading
                        && let Ok(columns) = sink.heading(&again)
                    {
                        (heading, date_columns) = (again, columns);
                    }
                } else if let Some(reason) = misfit(&heading, &record) {
                    reader.read_again_behind_first_line(source, &mut record);
                    let kept = record.raw.len().min(limits.quarantine_text);
                    sink.item(Item::Bad { reason: reason.into(), text: &record.raw[..kept] }, place)?;
                } else if let Err(error) = std::str::from_utf8(&record.raw) {
                    let reason = format!("not valid UTF-8 at byte {} of the row", error.valid_up_to());
                    sink.item(Item::Bad { reason: reason.into(), text: &record.raw[..kept] }, place)?;
                } else {
                    let mut seen = Dates::default();
                    if dates.is_none() && see_dates(&mut seen, &date_columns, &record, skipped_lines) {
                        let first_line = reader.line() + skipped_lines - 1;
                        let rest = Rest {
                            heading: heading.clone(),
                            date_columns: date_columns.clone(),
                            delimiter,
                            first_line,
                            ends_as_export,
                        };
                        if let Err(error) = source.look_ahead(|ahead| rest.see_dates(ahead, limits, sink, &mut seen)) {
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

/// True for the line that PowerShell puts before a heading, where files were put one behind the other.
fn is_type_line(record: &CsvRecord) -> bool {
    record.len() == 1 && without_mark(&record.raw).starts_with(TYPE_LINE)
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
    ends_as_export: bool,
}

impl Rest {
    /// Takes the dates of all rows that follow into account.
    fn see_dates(mut self, source: &mut ByteStream<'_>, limits: FileLimits, sink: &dyn Sink, dates: &mut Dates) {
        let mut reader = CsvReader::new(self.delimiter, limits.record);
        let mut record = CsvRecord::default();
        loop {
            match reader.read(source, &mut record) {
                CsvRead::End => return,
                CsvRead::Bad(_) => {}
                CsvRead::Record if record.is_blank() || is_type_line(&record) => {}
                CsvRead::Record => match heading_again(&self.heading, &record, self.ends_as_export, sink) {
                    Some(again) => {
                        if let Ok(columns) = sink.date_columns(&again) {
                            (self.heading, self.date_columns) = (again, columns);
                        }
                    }
                    None if misfit(&self.heading, &record).is_some() => {
                        reader.read_again_behind_first_line(source, &mut record);
                    }
                    None => {
                        see_dates(dates, &self.date_columns, &record, self.first_line);
                    }
                },
            }
        }
    }
}

/// How a file begins.
struct Start {
    heading: Heading,
    delimiter: u8,
    /// Lines up to the first row's.
    skipped_lines: u64,
    /// Its lines end as those of exports do.
    ends_as_export: bool,
}

/// How a file begins; lines that tools put before the heading are skipped.
fn start_of(source: &mut ByteStream<'_>) -> Option<Start> {
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
        if line.is_empty() || line.starts_with(b"sep=") || line.starts_with(TYPE_LINE) {
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
        let heading = heading_of(&record, ends_as_export)?;
        return Some(Start { heading, delimiter, skipped_lines: lines + 1, ends_as_export });
    }
}

/// The heading that a record is.
fn heading_of(record: &CsvRecord, ends_as_export: bool) -> Option<Heading> {
    let mut columns = names_of(record);
    columns.truncate(columns.iter().rposition(|c| !c.is_empty())? + 1);
    // Exports are written for spreadsheets, with their line ends; results of queries are not, and have no guards.
    let is_guarded = ends_as_export && columns.iter().any(|name| name == IMPORT_ID);
    Some(Heading { columns, is_guarded })
}

/// The fields of a record as column names.
fn names_of(record: &CsvRecord) -> Vec<String> {
    let name = |i| String::from_utf8_lossy(record.field(i).unwrap_or_default()).trim().trim_start_matches('\u{feff}').to_owned();
    (0..record.len()).map(name).collect()
}

/// The heading that a record is: one with the same names as the file's, in whichever order, or one that is known.
fn heading_again(heading: &Heading, record: &CsvRecord, ends_as_export: bool, sink: &dyn Sink) -> Option<Heading> {
    if !could_be_heading(record) {
        return None;
    }
    let again = heading_of(record, ends_as_export)?;
    let sorted = |heading: &Heading| {
        let mut names = heading.columns.clone();
        names.sort_unstable();
        names
    };
    let is_same = again.columns.len() == heading.columns.len() && sorted(&again) == sorted(heading);
    (is_same || sink.date_columns(&again).is_ok()).then_some(again)
}

/// True for a record of names, which begin with a letter or, as kqlake's own, an underscore, and which are some and short. Nearly
/// every row of data has a field that does not, such as its time.
fn could_be_heading(record: &CsvRecord) -> bool {
    let is_name = |field: &[u8]| {
        let field = without_mark(field).trim_ascii();
        field.len() <= 100
            && field.first().is_some_and(|first| first.is_ascii_alphabetic() || !first.is_ascii() || *first == b'_')
    };
    let fields = || (0..record.len()).filter_map(|i| record.field(i));
    let named = fields().take_while(|field| is_name(field)).count();
    named > 0 && fields().skip(named).all(<[u8]>::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_names_alone_could_be_a_heading() {
        let could_be = |line: &str| {
            let mut record = CsvRecord::default();
            let read = CsvReader::new(b',', 1000).read(&mut ByteStream::new(line.as_bytes()), &mut record);
            assert_eq!(read, CsvRead::Record, "{line}");
            could_be_heading(&record)
        };
        for line in ["timestamp,message", "_time", "Änderung,Größe", "\u{feff}name, other", "name,,", " name"] {
            assert!(could_be(line), "{line}");
        }
        for line in [",", ",name", "name,,other", "2026-01-05,name", "name,1", "-", &"n".repeat(101)] {
            assert!(!could_be(line), "{line}");
        }
    }
}
