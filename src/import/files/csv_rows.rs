//! From a CSV file to its rows.

use super::bytes::Bytes;
use super::csv::{CsvRead, CsvReader, CsvRecord, delimiter_of};
use super::documents::{Heading, Item, Place, Sink, Stop, Walked};
use super::input::Limits;
use super::sniff::WINDOW;

/// Walks a CSV file: its heading first, then its rows.
pub fn walk(source: &mut Bytes<'_>, sink: &mut dyn Sink, limits: Limits) -> Result<Walked, Stop> {
    let (heading, delimiter, skipped_lines) = match heading_of(source) {
        Some(found) => found,
        None => return Ok(Walked::Unknown(vec!["CSV: there is no heading".into()])),
    };
    let sample = sample_of(source.peek(WINDOW), delimiter);
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
                } else {
                    sink.item(Item::CsvRow { heading: &heading, record: &record }, place)?;
                }
            }
        }
    }
}

/// The heading, its delimiter and the number of lines it took; lines that tools put before it are passed over.
fn heading_of(source: &mut Bytes<'_>) -> Option<(Heading, u8, u64)> {
    let mut lines = 0;
    loop {
        let window = source.peek(WINDOW);
        if window.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', window).unwrap_or(window.len());
        let line = window[..end].trim_ascii();
        // Excel's separator hint, PowerShell's type line, blank lines.
        if line.is_empty() || line.starts_with(b"sep=") || line.starts_with(b"#TYPE") {
            let mut passed = Vec::new();
            source.line(&mut passed, 0);
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
        let columns: Vec<String> =
            (0..record.len()).map(|i| String::from_utf8_lossy(record.field(i).unwrap_or_default()).trim().to_owned()).collect();
        let used = columns.iter().rposition(|c| !c.is_empty())? + 1;
        lines += 1;
        return Some((Heading { columns: columns[..used].to_vec() }, delimiter, lines));
    }
}

/// Some rows of what follows, read for evidence only.
fn sample_of(window: &[u8], delimiter: u8) -> Vec<Vec<String>> {
    let mut source = Bytes::new(window);
    let mut reader = CsvReader::new(delimiter, WINDOW);
    let mut record = CsvRecord::default();
    let mut rows = Vec::new();
    while rows.len() < 500 && reader.read(&mut source, &mut record) == CsvRead::Record {
        rows.push((0..record.len()).map(|i| String::from_utf8_lossy(record.field(i).unwrap_or_default()).into_owned()).collect());
    }
    rows
}
