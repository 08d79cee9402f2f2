//! From a text to its records: distinguishes JSON from CSV, and has each record handed to a sink together with its place and its
//! page's context.

use super::bytes::ByteStream;
pub(crate) use super::dates::Dates;
use super::input::FileLimits;
use super::json::{self, JsonStart};
pub(crate) use super::json_records::column_names;
pub(crate) use super::record::{AnswerHeading, Heading, Item, Page, Place, Reason, Sink, Stop, Walked};
use super::sniff::{self, TextForm, WINDOW};
use super::{csv_rows, json_records};

/// Walks a text of whatever form it has.
pub(crate) fn walk(source: &mut ByteStream<'_>, sink: &mut dyn Sink, limits: FileLimits) -> Result<Walked, Stop> {
    let window = source.peek(WINDOW);
    let (form, line_end) = (sniff::form(window), sniff::line_end(window));
    // A remark, or half a record where a log was cut, before lines of records.
    let first_line = sniff::is_record_behind_first_line(window).then(|| {
        let line = window.trim_ascii_start();
        line[..memchr::memchr(line_end, line).unwrap_or(line.len())].to_vec()
    });
    source.set_line_end(line_end);
    let walked = match form {
        TextForm::Empty if drain_blank(source) => return Ok(Walked::Empty),
        TextForm::Empty | TextForm::Json => return json_records::walk(source, sink, limits, 0).map(|()| Walked::Done),
        TextForm::Csv => csv_rows::walk(source, sink, limits)?,
        TextForm::Unknown(tried) => Walked::Unknown(tried),
    };
    match (&walked, first_line) {
        (Walked::Unknown(_), Some(line)) => {
            let mut passed = Vec::new();
            if source.offset() == 0 {
                drain_blank(source);
                source.line(&mut passed, 0);
            }
            let kept = line.len().min(limits.quarantine_text);
            let place = Place { line: Some(1), byte: 0, record: 1 };
            sink.item(Item::Bad { reason: "the line is no JSON object".into(), text: &line[..kept] }, place)?;
            json_records::walk(source, sink, limits, 1).map(|()| Walked::Done)
        }
        _ => Ok(walked),
    }
}

/// Skips white space; true when nothing else is left.
fn drain_blank(source: &mut ByteStream<'_>) -> bool {
    json::next_kind(source) == JsonStart::End
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::DateOrder;
    use kqlake_durable::ScratchFolder;

    #[derive(Default)]
    struct Log(Vec<String>);

    impl Sink for Log {
        fn item(&mut self, item: Item<'_>, place: Place) -> Result<(), Stop> {
            let at = place.line.map_or(format!("#{}", place.record), |l| format!("line {l}"));
            self.0.push(match item {
                Item::Object { text, page } => {
                    format!("{at} {text}{}", page.context.as_ref().map(|c| format!(" in {c}")).unwrap_or_default())
                }
                Item::AnswerRow { answer, text } => format!("{at} {}({}) {text}", answer.name, answer.columns.join(",")),
                Item::CsvRow { record, .. } => format!("{at} {}", String::from_utf8_lossy(&record.raw)),
                Item::Bad { reason, text } => format!("{at} BAD {reason} [{}]", String::from_utf8_lossy(text)),
            });
            Ok(())
        }
        fn heading(&mut self, heading: &Heading) -> Result<Vec<usize>, String> {
            self.0.push(heading.columns.join("|"));
            self.date_columns(heading)
        }
        fn date_columns(&self, heading: &Heading) -> Result<Vec<usize>, String> {
            if heading.columns.len() < 2 || heading.columns.iter().any(|name| name.contains('}')) {
                return Err("unknown".into());
            }
            Ok(heading.columns.iter().position(|name| name == "date").into_iter().collect())
        }
        fn dates(&mut self, dates: &Dates) -> Result<(), String> {
            self.0.push(format!("{:?}", dates.order(DateOrder::Unknown)?));
            Ok(())
        }
    }

    fn walked(text: &[u8], record: usize) -> Vec<String> {
        let mut log = Log::default();
        walk(&mut ByteStream::new(text), &mut log, FileLimits { record, ..FileLimits::default() }).unwrap();
        log.0
    }

    #[test]
    fn documents_of_every_shape() {
        assert_eq!(
            walked(br#"{"@odata.context":"c","value":[{"a":1}, {"a":2}],"@odata.nextLink":"n"}"#, 1000),
            [r#"#1 {"a":1} in c"#, r#"#2 {"a":2} in c"#]
        );
        assert_eq!(walked(br#"{"d":{"results":[{"a":1}],"__next":"x"}}"#, 1000), [r#"#1 {"a":1}"#]);
        assert_eq!(walked(br#"[{"a":1},{"b":[2]}]"#, 1000), [r#"#1 {"a":1}"#, r#"#2 {"b":[2]}"#]);
        assert_eq!(walked(br#"{"value":[null,{"a":1}]}"#, 1000), [r#"#2 {"a":1}"#]);
        assert_eq!(walked(b"{ \"id\" : \"x\",\n \"value\": 3 }", 1000), [r#"#1 {"id":"x","value":3}"#]);
        assert_eq!(walked(b"{\"a\":1}\n{\"a\":2}\n", 1000), [r#"line 1 {"a":1}"#, r#"line 2 {"a":2}"#]);
        assert_eq!(walked(b"{\n\"a\":1}\n{\n\"a\":2}\n", 1000), [r#"#1 {"a":1}"#, r#"#2 {"a":2}"#]);
        assert_eq!(walked(br#"{"value":[]}"#, 1000), [r#"#1 {"value":[]}"#]);
        assert_eq!(walked(b"{\"a\":1}\r{\"a\":2}\r", 1000), [r#"line 1 {"a":1}"#, r#"line 2 {"a":2}"#]);
    }

    #[test]
    fn lines_and_documents_may_follow_one_another() {
        assert_eq!(
            walked(b"{\"a\":1}\n{\"a\":2}\n{\n  \"a\": 3\n}\n{\"a\":4}\n{\"a\":5}\n[\n  {\"a\":6}\n]\n", 1000),
            [r#"line 1 {"a":1}"#, r#"line 2 {"a":2}"#, r#"#3 {"a":3}"#, r#"#4 {"a":4}"#, r#"#5 {"a":5}"#, r#"#6 {"a":6}"#]
        );
        let found = walked(b"{\"a\":1}\n{\"a\":2,\n{\"a\":3}\n", 1000);
        assert_eq!((found.len(), found[2].as_str()), (3, r#"line 3 {"a":3}"#));
        for (first, headings) in [("# exported from somewhere", 0), ("rest of a record\",\"b\":2}", 0), ("rest,of}", 1)] {
            let found = walked(format!("{first}\n{{\"a\":1}}\n{{\"a\":2}}\n").as_bytes(), 1000);
            assert_eq!(found[headings], format!("line 1 BAD the line is no JSON object [{first}]"));
            assert_eq!(found[headings + 1..], [r#"line 2 {"a":1}"#, r#"line 3 {"a":2}"#], "{first}");
        }
    }

    #[test]
    fn all_dates_of_a_csv_file_are_told_before_the_first_that_needs_them() {
        let rows = "x,2026-01-01\n\ny,02/03/2026 10:00\nbad\nz,02/13/2026 10:00\n";
        assert_eq!(
            walked(format!("sep=,\nid,date\n{rows}").as_bytes(), 1000),
            [
                "id|date",
                "line 3 x,2026-01-01",
                "MonthFirst",
                "line 5 y,02/03/2026 10:00",
                "line 6 BAD the row has 1 fields where the heading has 2 [bad]",
                "line 7 z,02/13/2026 10:00",
            ]
        );
        let mut log = Log::default();
        let text = "id,date\ny,02/03/2026 10:00\nz,13/03/2026\ndate,id\n02/13/2026,z\n";
        let refused = walk(&mut ByteStream::new(text.as_bytes()), &mut log, FileLimits::default()).unwrap();
        assert!(
            matches!(&refused, Walked::Refused(reason) if reason.contains("line 5") && reason.contains("line 3")),
            "{refused:?}"
        );
        assert_eq!(log.0, ["id|date"]);
    }

    #[test]
    fn query_answers() {
        let text = br#"{"tables":[{"name":"P","columns":[{"name":"a","type":"int"},{"name":"b"}],"rows":[[1,"x"],[2,null]]},{"name":"Q","columns":[{"ColumnName":"c"}],"rows":[[3]]}],"error":{"code":"PartialError"}}"#;
        let found = walked(text, 1000);
        assert_eq!(found[..3], [r#"#1 P(a,b) [1,"x"]"#, "#2 P(a,b) [2,null]", "#3 Q(c) [3]"]);
        assert!(found[3].contains("BAD the answer carries an error"));
    }

    #[test]
    fn cut_documents_give_what_is_whole() {
        let text = br#"{"value":[{"a":1},{"a":2},{"a":3}]}"#;
        for cut in 0..text.len() {
            let found = walked(&text[..cut], 1000);
            let whole = found.iter().filter(|l| !l.contains("BAD")).count();
            let expected = [17, 25, 33].iter().filter(|end| cut >= **end).count();
            assert_eq!(whole, expected, "cut at {cut}: {found:?}");
            assert_eq!(found.iter().any(|l| l.contains("BAD")), cut > 0, "cut at {cut}: {found:?}");
        }
    }

    #[test]
    fn one_bad_record_does_not_cost_the_others() {
        let found = walked(b"{\"a\":1}\n{\"a\":\"\xff\"}\nnonsense\n{\"a\":4}\n", 1000);
        assert_eq!((found[0].as_str(), found[3].as_str()), (r#"line 1 {"a":1}"#, r#"line 4 {"a":4}"#));
        assert!(found[1].contains("UTF-8") && found[2].contains("no JSON object"));
        let found = walked(br#"[{"a":1},{"a":"12345678901234567890"},7,{"a":3}]"#, 15);
        assert!(found[1].contains("over the limit") && found[2].contains("no JSON object"), "{found:?}");
        assert_eq!(found[3], r#"#4 {"a":3}"#);
    }

    #[test]
    fn a_line_may_hold_an_array_and_one_that_is_too_long_costs_itself() {
        let lines = [
            r#"{"a":1}"#,
            r#"[{"a":2},{"a":3}]"#,
            r#"{"a":"12345678901234567890"}"#,
            r#"{"a":5},"#,
            "",
            r#"[{"a":6},]"#,
            "7",
            r#"{"a":8}"#,
        ];
        let found = walked(format!("{}\n", lines.join("\n")).as_bytes(), 20);
        assert_eq!(found.len(), 8, "{found:?}");
        assert_eq!(found[..3], [r#"line 1 {"a":1}"#, r#"line 2 {"a":2}"#, r#"line 2 {"a":3}"#]);
        assert!(found[3].starts_with("line 3 BAD the record has 28 bytes, over the limit of 20 ["), "{found:?}");
        assert_eq!(found[4], r#"line 4 {"a":5}"#);
        assert!(found[5].starts_with("line 6 BAD no valid JSON: "), "{found:?}");
        assert_eq!(found[6..], ["line 7 BAD the line is no JSON object [7]", r#"line 8 {"a":8}"#]);
        // A page with bytes that are no UTF-8 is walked as a document, under whichever name it has its records.
        let page = b"{\"a\":1}\n{\"Records\":[{\"a\":2},{\"a\":\"\xff\"}]}\n{\"a\":4}\n";
        let found = walked(page, 1000);
        assert_eq!(
            (found[0].as_str(), found[1].as_str(), found[3].as_str()),
            (r#"line 1 {"a":1}"#, r#"#2 {"a":2}"#, r#"#4 {"a":4}"#)
        );
        let array = b"{\"a\":1}\n[{\"a\":2},{\"a\":\"\xff\"}]\n{\"a\":4}\n";
        assert_eq!(walked(array, 1000)[1], r#"#2 {"a":2}"#);
    }

    #[test]
    fn one_bad_record_of_a_page_does_not_cost_the_others_of_it() {
        for page in ["{\"@odata.context\":\"c\",\"value\":[1]}", "{\"d\":{\"results\":[1]}}", "[1]"] {
            let page = page.replace('1', "{\"a\":1},{\"a\":\"?\"},{\"a\":3}");
            let text = format!("{{\"value\":[{{\"a\":0}}]}}\n{page}\n{{\"value\":[{{\"a\":4}}]}}\n{{\"value\":[{{\"a\":5}}]}}\n");
            let bytes: Vec<u8> = text.bytes().map(|byte| if byte == b'?' { 0xff } else { byte }).collect();
            let found = walked(&bytes, 1000);
            let bad: Vec<&String> = found.iter().filter(|line| line.contains("BAD")).collect();
            assert!(bad.len() == 1 && bad[0].contains("UTF-8 at byte 6 of the record"), "{found:?}");
            for number in [0, 1, 3, 4, 5] {
                assert!(found.iter().any(|line| line.contains(&format!("{{\"a\":{number}}}"))), "{number}: {found:?}");
            }
        }
    }

    #[test]
    fn what_is_passed_over_behind_a_fault_is_kept_with_it() {
        let found = walked(b"[{\"a\":1},{\"a\":[2}]},{\"a\":3},\n  {\"a\":4}]\n{\"a\":5}\n", 1000);
        assert_eq!((found.len(), found[0].as_str(), found[2].as_str()), (3, r#"#1 {"a":1}"#, r#"#3 {"a":5}"#), "{found:?}");
        assert!(found[1].contains("at byte 17; 23 bytes from there on are passed over"), "{found:?}");
        assert!(found[1].ends_with("[{\"a\":[2}]},{\"a\":3},\n  {\"a\":4}]\n]"), "{found:?}");
        // Of a comma too many nothing is lost.
        assert_eq!(walked(b"[{\"a\":1},,{\"a\":2},,]", 1000), [r#"#1 {"a":1}"#, r#"#2 {"a":2}"#]);
    }

    #[test]
    fn byte_order_marks_stand_where_files_were_put_one_behind_the_other() {
        let lines = walked("{\"a\":1}\n\u{feff}{\"a\":2}\n{\"a\":3}\n\u{feff}[{\"a\":4},\n{\"a\":5}]\n".as_bytes(), 1000);
        assert!(lines.len() == 5 && lines.iter().all(|line| !line.contains("BAD")), "{lines:?}");
        let documents = walked("{\"value\":[\n{\"a\":1}]}\n\u{feff}{\"value\":[{\"a\":2}]}\u{feff}[{\"a\":3}]".as_bytes(), 1000);
        assert!(documents.len() == 3 && documents.iter().all(|line| !line.contains("BAD")), "{documents:?}");
    }

    #[test]
    fn csv_rows_and_their_faults() {
        let found = walked(b"sep=,\r\na,b\r\n1,2\r\n\r\n3\r\n4,\"5\r\n6\"\r\n7,\xff\r\n", 1000);
        assert_eq!(found[0], "a|b");
        assert_eq!(found[1], "line 3 1,2");
        assert!(found[2].starts_with("line 5 BAD the row has 1 fields where the heading has 2"));
        assert_eq!(found[3], "line 6 4,\"5\r\n6\"");
        assert!(found[4].starts_with("line 8 BAD not valid UTF-8"));
    }

    #[test]
    fn csv_files_put_one_behind_the_other_bring_what_stands_before_their_headings() {
        let one = "\u{feff}#TYPE Selected.X\r\n\"id\",\"date\"\r\n\"x\",\"2026-01-01\"\r\n";
        let two = "\u{feff}\"date\",\"id\"\r\n\"2026-01-02\",\"y\"\r\n\u{feff}1,\"w\"\r\n";
        let text = format!("{}{one}{two}", &one[3..]);
        let found = walked(text.as_bytes(), 1000);
        let rows = [
            "line 3 \"x\",\"2026-01-01\"",
            "line 6 \"x\",\"2026-01-01\"",
            "line 8 \"2026-01-02\",\"y\"",
            "line 9 \u{feff}1,\"w\"",
        ];
        assert_eq!(found, ["id|date", rows[0], rows[1], "date|id", rows[2], rows[3]]);
    }

    #[test]
    fn returns_within_csv_values_by_the_line_end_of_the_file() {
        let rows = walked(b"a,b\r\nNor\rmal,2\r\n\"x\ry\",3\r\n4\r", 1000);
        assert_eq!(rows[..3], ["a|b", "line 2 Nor\rmal,2", "line 3 \"x\ry\",3"]);
        assert!(rows[3].starts_with("line 4 BAD the row has 1 fields"), "{rows:?}");
        assert_eq!(walked(b"sep=,\ra,b\r1,2\r3,\"x\ny\"\r", 1000), ["a|b", "line 3 1,2", "line 4 3,\"x\ny\""]);
        // UTF-16 is decoded before.
        let utf16 = |text: &str| {
            let units = std::iter::once('\u{feff}').chain(text.chars()).map(|c| (c as u16).to_le_bytes());
            units.flatten().collect::<Vec<u8>>()
        };
        for (text, expected) in
            [("a,b\r\nNor\rmal,2\r\n", ["a|b", "line 2 Nor\rmal,2"]), ("\"a\",b\r1,2\r", ["a|b", "line 2 1,2"])]
        {
            let bytes = utf16(text);
            let mut log = Log::default();
            let mut text =
                super::super::input::open_text(Box::new(bytes.as_slice()), || 0, FileLimits::default(), ScratchFolder::default())
                    .unwrap();
            walk(&mut text, &mut log, FileLimits::default()).unwrap();
            assert_eq!(log.0, expected);
        }
        // The first line is longer than what is examined: refused, not cut somewhere else.
        let long = format!("{},b\nNor\rmal,2\n", "a".repeat(WINDOW));
        let found = walk(&mut ByteStream::new(long.as_bytes()), &mut Log::default(), FileLimits::default());
        assert!(matches!(found, Ok(Walked::Unknown(_))), "{found:?}");
    }

    #[test]
    fn forms_without_records() {
        let mut log = Log::default();
        assert_eq!(walk(&mut ByteStream::new(&b"  \n"[..]), &mut log, FileLimits::default()), Ok(Walked::Empty));
        assert!(matches!(walk(&mut ByteStream::new(&b"\x01\x02"[..]), &mut log, FileLimits::default()), Ok(Walked::Unknown(_))));
    }
}
