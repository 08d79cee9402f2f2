//! From a CSV file to its rows.

use super::bytes::Bytes;
use super::csv::{CsvRead, CsvReader, CsvRecord, delimiter_of, first_line_end, pass_line};
use super::input::Limits;
use super::record::{Heading, Item, Place, Sink, Stop, Walked};
use super::sniff::WINDOW;

/// Walks a CSV file: its heading first, then its rows.
pub(super) fn walk(source: &mut Bytes<'_>, sink: &mut dyn Sink, limits: Limits) -> Result<Walked, Stop> {
    let (mut heading, delimiter, skipped_lines) = match heading_of(source) {
        Some(found) => found,
        None => return Ok(Walked::Unknown(vec!["CSV: there is no heading".into()])),
    };
    let line_end = source.line_end();
    let sample = sample_of(source.peek(WINDOW), delimiter, line_end);
    if let Err(reason) = sink.heading(&heading, &sample) {
        return Ok(Walked::Unknown(vec!["JSON: no bracket at the beginning".into(), format!("CSV: {reason}")]));
    }
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
                sink.item(Item::Bad { reason, text: &record.raw[..kept] }, place)?;
            }
            CsvRead::Record => {
                place.record += 1;
                let (found, expected) = (record.len(), heading.columns.len());
                let surplus_is_blank = (expected..found).all(|i| record.field(i).is_none_or(<[u8]>::is_empty));
                if found < expected || !surplus_is_blank {
                    reader.read_again_behind_first_line(source, &mut record);
                    let kept = record.raw.len().min(limits.quarantine_text);
                    let reason = format!("the row has {found} fields where the heading has {expected}");
                    sink.item(Item::Bad { reason, text: &record.raw[..kept] }, place)?;
                } else if let Err(error) = std::str::from_utf8(&record.raw) {
                    let reason = format!("not valid UTF-8 at byte {} of the row", error.valid_up_to());
                    sink.item(Item::Bad { reason, text: &record.raw[..kept] }, place)?;
                } else if let Some(again) = heading_again(&heading, &record) {
                    // Files put one behind the other bring their headings; the columns may stand in another order.
                    place.record -= 1;
                    if again != heading && sink.heading(&again, &sample_of(source.peek(WINDOW), delimiter, line_end)).is_ok() {
                        heading = again;
                    }
                } else {
                    sink.item(Item::CsvRow { heading: &heading, record: &record }, place)?;
                }
            }
        }
    }
}

/// The heading, its delimiter and the number of lines it took; lines that tools put before it are passed over.
fn heading_of(source: &mut Bytes<'_>) -> Option<(Heading, u8, u64)> {
    let (mut lines, line_end) = (0, source.line_end());
    loop {
        let window = source.peek(WINDOW);
        if window.is_empty() {
            return None;
        }
        let end = first_line_end(window, line_end).map_or(window.len(), |(at, _)| at);
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
        return Some((Heading { columns: columns[..used].to_vec() }, delimiter, lines));
    }
}

/// The fields of a record as column names.
fn names_of(record: &CsvRecord) -> Vec<String> {
    let name = |i| String::from_utf8_lossy(record.field(i).unwrap_or_default()).trim().trim_start_matches('\u{feff}').to_owned();
    (0..record.len()).map(name).collect()
}

/// The heading that a record is, when it has the same names as the file's, in whichever order.
fn heading_again(heading: &Heading, record: &CsvRecord) -> Option<Heading> {
    // Rows of data are told by their first field.
    let first = record.field(0)?;
    let first = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first).trim_ascii();
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
    (sorted(&columns) == sorted(&heading.columns)).then_some(Heading { columns })
}

/// Some rows of what follows, read for evidence only.
fn sample_of(window: &[u8], delimiter: u8, line_end: u8) -> Vec<Vec<String>> {
    let mut source = Bytes::new(window);
    source.set_line_end(line_end);
    let mut reader = CsvReader::new(delimiter, WINDOW);
    let mut record = CsvRecord::default();
    let mut rows = Vec::new();
    while rows.len() < 500 {
        match reader.read(&mut source, &mut record) {
            CsvRead::Record => {
                let field = |i| String::from_utf8_lossy(record.field(i).unwrap_or_default()).into_owned();
                rows.push((0..record.len()).map(field).collect());
            }
            // One malformed row says nothing of the others.
            CsvRead::Bad(_) => {}
            CsvRead::End => break,
        }
    }
    rows
}
