//! Importing files: every record once, whatever the shape, the order and the damage; what cannot be read is quarantined.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::prelude::{SessionContext, col, lit};
use kqlake_import::{ImportError, ImportOptions, ImportSummary, UnitReport, UnitState, import_paths, quarantined};
use kqlake_lake::Lake;
use kqlake_lake::tables::find;
use kqlake_value::clock::FixedClock;
use proptest::prelude::*;

/// A folder with a lake and room for files.
pub struct Place {
    folder: tempfile::TempDir,
    lake: Lake,
}

impl Place {
    pub fn new() -> Place {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let lake = Lake::new(&folder.path().join("lake"));
        Place { folder, lake }
    }

    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join("in").join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, content).expect("a file");
        path
    }

    pub async fn import(&self, paths: &[PathBuf]) -> ImportSummary {
        self.try_import(paths, &options()).await.expect("an import")
    }

    async fn try_import(&self, paths: &[PathBuf], options: &ImportOptions) -> Result<ImportSummary, ImportError> {
        import_paths(&self.lake, paths, options, &()).await
    }

    /// The rows of a table that are not the import's own, as sorted text of the named columns.
    async fn rows(&self, table: &str, columns: &[&str]) -> Vec<String> {
        let def = find(table).expect("a table");
        let mut frame = SessionContext::new().read_table(self.lake.provider(def).await.expect("a provider")).expect("a frame");
        if def.index_of("cloud_RoleName").is_some() {
            let role = col("\"cloud_RoleName\"");
            frame = frame.filter(role.clone().is_null().or(role.not_eq(lit("kqlake")))).expect("a filter");
        }
        let columns: Vec<_> = columns.iter().map(|c| col(format!("\"{c}\""))).collect();
        let batches = frame.select(columns).expect("columns").collect().await.expect("rows");
        let mut rows = Vec::new();
        for batch in &batches {
            let options = FormatOptions::default();
            let format: Vec<_> =
                batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).expect("a format")).collect();
            rows.extend(
                (0..batch.num_rows()).map(|row| format.iter().map(|f| f.value(row).to_string()).collect::<Vec<_>>().join("|")),
            );
        }
        rows.sort();
        rows
    }

    async fn count(&self, table: &str) -> usize {
        let time = find(table).expect("a table").time;
        self.rows(table, &[time]).await.len()
    }

    pub fn quarantined(&self) -> Vec<serde_json::Value> {
        let mut out = Vec::new();
        for file in quarantined(self.lake.root()).expect("a quarantine") {
            let packed = fs::read(&file.path).expect("a file");
            let mut text = String::new();
            flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut text).expect("UTF-8");
            // The first line is about the file.
            out.extend(text.lines().skip(1).map(|l| serde_json::from_str::<serde_json::Value>(l).expect("JSON")));
        }
        out
    }
}

fn options() -> ImportOptions {
    // 2026-01-12T03:00:00Z
    ImportOptions { clock: Arc::new(FixedClock::at_micros(1_768_186_800_000_000)), ..ImportOptions::default() }
}

fn only(summary: &ImportSummary) -> &UnitReport {
    let [unit] = summary.units.as_slice() else { panic!("one unit expected: {:?}", summary.units) };
    unit
}

/// Rows that were not in the lake before.
fn new_rows(summary: &ImportSummary) -> u64 {
    summary.tables.values().map(|t| t.new).sum()
}

/// How many units ended in a state.
fn in_state(summary: &ImportSummary, state: UnitState) -> usize {
    summary.units.iter().filter(|u| u.state == state).count()
}

/// A trace in the classic shape.
pub fn classic(n: usize) -> String {
    format!(
        r#"{{"timestamp":"2026-01-0{}T07:23:07.{:06}7Z","message":"message {n}, \"quoted\"","severityLevel":{},"itemType":"trace","operation_Id":"op{n}","session_Id":"s{}","customDimensions":{{"eventId":"RT000{}","executionTime":"00:00:01.2530000","n":"{n}"}},"itemCount":1}}"#,
        5 + n % 4,
        n,
        n % 4,
        n % 3,
        n % 9
    )
}

/// The same trace as a diagnostic setting exports it: other names, another order, numbers as text, members in another order.
fn workspace(n: usize) -> String {
    format!(
        r#"{{"time":"2026-01-0{}T07:23:07.{:06}7Z","resourceId":"/SUBSCRIPTIONS/X","Type":"AppTraces","Properties":{{"n":"{n}","executionTime":"00:00:01.2530000","eventId":"RT000{}"}},"Message":"message {n}, \"quoted\"","SeverityLevel":"{}","OperationId":"op{n}","SessionId":"s{}","ItemCount":1,"_BilledSize":803}}"#,
        5 + n % 4,
        n,
        n % 9,
        n % 4,
        n % 3
    )
}

/// The same trace as a row of a query answer: the dynamic column as JSON text.
fn answer_row(n: usize) -> String {
    let dimensions = format!(r#"{{"eventId":"RT000{}","n":"{n}","executionTime":"00:00:01.2530000"}}"#, n % 9);
    serde_json::json!([
        format!("2026-01-0{}T07:23:07.{:06}7Z", 5 + n % 4, n),
        format!("message {n}, \"quoted\""),
        n % 4,
        dimensions,
        format!("op{n}"),
        format!("s{}", n % 3),
        "trace"
    ])
    .to_string()
}

fn answer(rows: &[String]) -> String {
    let columns: Vec<_> = ["timestamp", "message", "severityLevel", "customDimensions", "operation_Id", "session_Id", "itemType"]
        .iter()
        .map(|name| serde_json::json!({ "name": name, "type": "string" }))
        .collect();
    format!(
        r#"{{"tables":[{{"name":"PrimaryResult","columns":{},"rows":[{}]}}]}}"#,
        serde_json::Value::from(columns),
        rows.join(",")
    )
}

/// The same trace as the portal's CSV has it.
fn csv_row(n: usize) -> String {
    format!(
        "\"1/{}/2026, 7:23:07.{:06}7 AM\",\"message {n}, \"\"quoted\"\"\",{},\"{{\"\"n\"\":\"\"{n}\"\",\"\"eventId\"\":\"\"RT000{}\"\",\"\"executionTime\"\":\"\"00:00:01.2530000\"\"}}\",op{n},s{},trace\r\n",
        5 + n % 4,
        n,
        n % 4,
        n % 9,
        n % 3
    )
}

const CSV_HEADING: &str = "\u{feff}timestamp [UTC],message,severityLevel,customDimensions,operation_Id,session_Id,itemType\r\n";

const TRACE: [&str; 7] =
    ["timestamp", "message", "severityLevel", "operation_Id", "session_Id", "itemId", "customDimensions_eventId"];

fn lines(records: impl IntoIterator<Item = String>) -> String {
    records.into_iter().map(|r| r + "\n").collect()
}

#[tokio::test]
async fn a_file_imported_twice_lands_once_and_the_second_run_writes_nothing() {
    let place = Place::new();
    let path = place.file("a.ndjson", lines((0..20).map(classic)));
    let first = place.import(std::slice::from_ref(&path)).await;
    assert!(first.is_complete());
    assert_eq!((only(&first).state, first.tables["traces"].new), (UnitState::Done, 20));
    assert_eq!(place.count("ImportLedger").await, 1);
    let files = fs::read_dir(place.lake.root().join("traces/_delta_log")).expect("a log").count();

    let second = place.import(std::slice::from_ref(&path)).await;
    assert_eq!((only(&second).state, new_rows(&second)), (UnitState::Unchanged, 0));
    assert_eq!(place.count("ImportLedger").await, 1);
    assert_eq!(place.count("traces").await, 20);
    // The run's own log lines are the one commit more.
    assert_eq!(fs::read_dir(place.lake.root().join("traces/_delta_log")).expect("a log").count(), files + 1);

    // A copy under another name, and a file that grew, are read; rows land once.
    let copy = place.file("copy.ndjson", lines((0..20).map(classic)));
    place.file("a.ndjson", lines((0..25).map(classic)));
    let third = place.import(&[path, copy]).await;
    assert_eq!((third.tables["traces"].new, third.tables["traces"].duplicates), (5, 40));
    assert_eq!(place.count("traces").await, 25);
}

#[tokio::test]
async fn one_record_in_four_shapes_lands_once() {
    let place = Place::new();
    let count = 12;
    let shapes = [
        ("classic.ndjson", lines((0..count).map(classic))),
        ("PT1H.json", lines((0..count).map(workspace))),
        ("answer.json", answer(&(0..count).map(answer_row).collect::<Vec<_>>())),
        ("query_data.csv", CSV_HEADING.to_owned() + &(0..count).map(csv_row).collect::<String>()),
        ("array.json", format!("[{}]", (0..count).map(classic).collect::<Vec<_>>().join(",\n"))),
        ("hub.json", format!(r#"{{"records":[{}]}}"#, (0..count).map(workspace).collect::<Vec<_>>().join(","))),
    ];
    let mut expected = None;
    for (name, text) in &shapes {
        let alone = Place::new();
        let path = alone.file(name, text);
        let summary = alone.import(&[path]).await;
        assert!(summary.is_complete(), "{name}: {:?}", summary.units);
        let rows = alone.rows("traces", &TRACE).await;
        assert_eq!(rows.len(), count, "{name}");
        assert_eq!(expected.get_or_insert_with(|| rows.clone()), &rows, "{name}");
        place.file(name, text);
    }
    let summary = place.import(&[place.folder.path().join("in")]).await;
    assert_eq!((summary.tables["traces"].new, summary.tables["traces"].duplicates), (12, 60));
    assert_eq!(Some(place.rows("traces", &TRACE).await), expected);
}

#[tokio::test]
async fn a_record_with_an_id_and_the_same_without_are_one() {
    let with_id = |n: usize| classic(n).replacen('{', &format!(r#"{{"itemId":"0000000{n}-0000-4000-8000-000000000000","#), 1);
    // Two records that differ in their ids alone are two.
    let twin = with_id(0).replacen("00000000-", "99999999-", 1);
    let ids = lines((0..5).map(with_id).chain([twin]));
    let bare = lines((0..7).map(workspace));
    // The first content has two ids and one row without: that is one of the two.
    for (first, second, left_out, replaced) in [(&ids, &bare, 5, 0), (&bare, &ids, 0, 5)] {
        let place = Place::new();
        place.import(&[place.file("1.json", first)]).await;
        let summary = place.import(&[place.file("2.json", second)]).await;
        let traces = &summary.tables["traces"];
        assert_eq!((place.count("traces").await, traces.duplicates, traces.replaced), (8, left_out, replaced));
        let together = Place::new();
        together.import(&[together.file("1.json", first), together.file("2.json", second)]).await;
        assert_eq!(together.count("traces").await, 8);
    }
}

#[tokio::test]
async fn fields_without_a_column_survive() {
    let place = Place::new();
    let record = r#"{"time":"2026-01-05T07:23:07Z","resourceId":"/X","Type":"AppTraces","Message":"m","SeverityLevel":"very bad","_BilledSize":803,"ItemCount":1}"#;
    place.import(&[place.file("1.json", record)]).await;
    let extra = place.rows("traces", &["_extra"]).await;
    assert_eq!(extra, [r#"{"resourceId":"/X","SeverityLevel":"very bad","_BilledSize":803}"#]);
    let audit = r#"{"CreationTime":"2026-01-08T16:44:07","Id":"a","Operation":"New","RecordType":99999,"Workload":"Tomorrow","NewField":{"a":[1,2]}}"#;
    place.import(&[place.file("2.json", audit)]).await;
    assert_eq!(place.rows("AuditRecords", &["RecordType", "Workload", "Raw"]).await, [format!("99999|Tomorrow|{audit}")]);
}

#[tokio::test]
async fn damage_costs_the_damaged_record_only() {
    let place = Place::new();
    let good: Vec<String> = (0..6).map(classic).collect();
    let whole = format!("[{}]", good.join(","));
    let rows: Vec<String> = (0..6).map(answer_row).collect();
    let answered = answer(&rows);
    let inside_the_fourth = answered.find(&rows[3]).expect("a row") + 10;
    let cases: [(&str, Vec<u8>, usize, u64); 7] = [
        ("cut.json", whole.as_bytes()[..whole.len() - 40].to_vec(), 5, 1),
        ("cut.ndjson", lines(good.clone()).as_bytes()[..lines(good.clone()).len() - 30].to_vec(), 5, 1),
        (
            "utf8.ndjson",
            [
                good[0].as_bytes(),
                b"\n{\"timestamp\":\"2026-01-05\",\"message\":\"\xff\",\"itemType\":\"trace\"}\n",
                good[1].as_bytes(),
            ]
            .concat(),
            2,
            1,
        ),
        (
            "time.ndjson",
            [
                good[0].as_bytes(),
                b"\n{\"timestamp\":\"later\",\"message\":\"m\",\"itemType\":\"trace\"}\n{}\nnull\n",
                good[1].as_bytes(),
            ]
            .concat(),
            2,
            3,
        ),
        ("answer.json", answered.as_bytes()[..inside_the_fourth].to_vec(), 3, 1),
        (
            "open.csv",
            format!("{CSV_HEADING}{}\"1/5/2026, 7:00:00 AM\",\"open,1,,o,s,trace\r\n{}", csv_row(0), csv_row(1)).into_bytes(),
            2,
            1,
        ),
        ("short.csv", format!("{CSV_HEADING}{}1,2,3\r\n{}", csv_row(0), csv_row(1)).into_bytes(), 2, 1),
    ];
    for (name, content, rows, refused) in cases {
        let place = Place::new();
        let path = place.file(name, content);
        let summary = place.import(&[path]).await;
        let unit = only(&summary);
        assert_eq!((unit.state, unit.counts.refused), (UnitState::Incomplete, refused), "{name}: {unit:?}");
        assert!(!summary.is_complete());
        assert_eq!(place.count("traces").await, rows, "{name}");
        let quarantined = place.quarantined();
        assert_eq!(quarantined.len() as u64, refused, "{name}: {quarantined:?}");
        assert!(quarantined.iter().all(
            |q| q["file"].as_str().is_some_and(|f| f.ends_with(name)) && !q["reason"].as_str().unwrap_or_default().is_empty()
        ));
        assert!(unit.quarantine.as_ref().is_some_and(|p| p.is_file()), "{name}");
    }
    // Mended and imported again, the rest arrives.
    let path = place.file("cut.json", &whole.as_bytes()[..whole.len() - 40]);
    place.import(std::slice::from_ref(&path)).await;
    place.file("cut.json", &whole);
    let summary = place.import(std::slice::from_ref(&path)).await;
    assert_eq!((only(&summary).state, summary.tables["traces"].new), (UnitState::Done, 1));
}

#[tokio::test]
async fn what_is_no_data_is_named_with_what_was_tried() {
    let place = Place::new();
    let random: Vec<u8> = (0..4096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for (name, content, words) in [
        ("random.bin", random, "tried"),
        ("unknown.csv", b"a,b,c\n1,2,3\n".to_vec(), "CSV"),
        ("unknown.json", b"{\"a\":1,\"b\":2}".to_vec(), "members (a, b)"),
        ("page.html", b"<!DOCTYPE html><html></html>".to_vec(), "XML"),
        ("error.json", b"{\"error\":{\"code\":\"BadRequest\",\"message\":\"no such table\"}}".to_vec(), "no such table"),
        (
            "twins.csv",
            b"Report Refresh Date,Send,Receive,Read,Report Date,Report Period\n2026-01-05,1,2,3,2026-01-05,7\n".to_vec(),
            "EmailActivityUserCounts",
        ),
    ] {
        let path = place.file(name, content);
        let summary = place.import(&[path]).await;
        let unit = only(&summary);
        assert_eq!(unit.state, UnitState::Unknown, "{name}: {unit:?}");
        assert!(unit.reason.as_deref().is_some_and(|r| r.contains(words)), "{name}: {:?}", unit.reason);
    }
    for (name, content) in [("empty.json", &b""[..]), ("blank.csv", b"\r\n  \r\n")] {
        let path = place.file(name, content);
        let summary = place.import(&[path]).await;
        assert_eq!(only(&summary).state, UnitState::Empty);
        assert!(summary.is_complete());
    }
    assert_eq!(place.count("traces").await, 0);
    assert!(matches!(place.try_import(&[place.folder.path().join("none")], &options()).await, Err(ImportError::NotFound { .. })));
}

#[tokio::test]
async fn archives_are_read_in_place_and_their_names_do_not_lead_outside() {
    let place = Place::new();
    let path = place.folder.path().join("a.zip");
    let mut zip = zip::ZipWriter::new(fs::File::create(&path).expect("a file"));
    let plain = zip::write::SimpleFileOptions::default();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(lines((5..10).map(classic)).as_bytes()).expect("gzip");
    for (name, content) in [
        ("in/a.ndjson", lines((0..5).map(classic)).into_bytes()),
        ("in/b.ndjson.gz", gz.finish().expect("gzip")),
        ("../evil.ndjson", lines((10..15).map(classic)).into_bytes()),
        ("/tmp/kqlake-evil.ndjson", lines((15..20).map(classic)).into_bytes()),
    ] {
        zip.start_file(name, plain).expect("an entry");
        zip.write_all(&content).expect("an entry");
    }
    zip.finish().expect("a zip");
    let summary = place.import(std::slice::from_ref(&path)).await;
    assert!(!summary.is_complete());
    assert_eq!(place.count("traces").await, 10);
    assert_eq!(in_state(&summary, UnitState::Failed), 2);
    assert!(!place.folder.path().join("evil.ndjson").exists() && !Path::new("/tmp/kqlake-evil.ndjson").exists());
    assert_eq!(place.quarantined().len(), 2);
}

#[tokio::test]
async fn a_record_may_be_large_but_not_beyond_the_limit() {
    let place = Place::new();
    let record = |size: usize| {
        format!(
            r#"{{"timestamp":"2026-01-05T00:00:00Z","itemType":"trace","message":"m","operation_Id":"{size}","customDimensions":{{"sqlStatement":"{}"}}}}"#,
            "x".repeat(size)
        )
    };
    let path = place.file("large.ndjson", record(50 << 20));
    let summary = place.import(&[path]).await;
    assert_eq!((only(&summary).state, place.count("traces").await), (UnitState::Done, 1));
    let limits = kqlake_import::FileLimits { record: 1000, ..Default::default() };
    let path = place.file("small.ndjson", lines([record(10), record(2000), record(20)]));
    let summary = place.try_import(&[path], &ImportOptions { limits, ..options() }).await.expect("an import");
    assert_eq!((only(&summary).state, summary.tables["traces"].new), (UnitState::Incomplete, 2));
    assert!(place.quarantined().iter().any(|q| q["reason"].as_str().is_some_and(|r| r.contains("limit of 1000"))));
}

#[tokio::test]
async fn newer_versions_and_more_final_states_win_in_any_order() {
    let call = |version: u32, sessions: &str| {
        format!(
            r#"{{"id":"c1","version":{version},"type":"groupCall","modalities":["audio"],"startDateTime":"2026-01-06T12:30:39Z","endDateTime":"2026-01-06T12:35:45Z","sessions":[{sessions}]}}"#
        )
    };
    let session = r#"{"id":"s1","startDateTime":"2026-01-06T12:30:39Z","caller":{},"callee":{},"segments":[]}"#;
    let trace = |status: &str| {
        format!(
            r#"{{"value":[{{"id":"1d2e3f40-5a6b-4c7d-8e9f-08de4c1b2a3d","recipientAddress":"bob@x","senderAddress":"a@x","receivedDateTime":"2026-01-05T00:10:13Z","status":"{status}"}}]}}"#
        )
    };
    for reverse in [false, true] {
        let place = Place::new();
        let mut paths = vec![
            place.file("1.json", call(1, "")),
            place.file("2.json", call(2, session)),
            place.file("3.json", trace("pending")),
            place.file("4.json", trace("delivered")),
        ];
        if reverse {
            paths.reverse();
        }
        for path in paths {
            assert!(place.import(&[path]).await.is_complete());
        }
        assert_eq!(place.rows("CallRecords", &["id", "version"]).await, ["c1|2"]);
        assert_eq!(place.rows("MessageTrace", &["status"]).await, ["delivered"]);
    }
}

#[tokio::test]
async fn of_records_of_one_version_the_same_one_stays_in_any_order() {
    let call = |version: u32, kind: &str| {
        let session = format!(
            r#"{{"id":"s1","modalities":["{kind}"],"startDateTime":"2026-01-06T12:30:39Z","caller":{{}},"callee":{{}},"segments":[]}}"#
        );
        format!(
            r#"{{"id":"c1","version":{version},"type":"{kind}","modalities":["audio"],"startDateTime":"2026-01-06T12:30:39Z","endDateTime":"2026-01-06T12:35:45Z","sessions":[{session}]}}"#
        )
    };
    let trace = |status: &str, subject: &str| {
        format!(
            r#"{{"value":[{{"id":"1d2e3f40-5a6b-4c7d-8e9f-08de4c1b2a3d","recipientAddress":"bob@x","senderAddress":"a@x","receivedDateTime":"2026-01-05T00:10:13Z","status":"{status}","subject":"{subject}"}}]}}"#
        )
    };
    let files =
        [call(2, "groupCall"), call(2, "peerToPeer"), call(1, "older"), trace("delivered", "one"), trace("pending", "two")];
    let mut found = Vec::new();
    for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 4, 1, 3, 0]] {
        let place = Place::new();
        for at in order {
            place.import(&[place.file(&format!("{at}.json"), &files[at])]).await;
        }
        let together = Place::new();
        let paths = order.map(|at| together.file(&format!("{at}.json"), &files[at]));
        together.import(&paths).await;
        for place in [&place, &together] {
            let calls = place.rows("CallRecords", &["version", "type"]).await;
            let sessions = place.rows("CallSessions", &["version", "modalities"]).await;
            let traces = place.rows("MessageTrace", &["status", "subject"]).await;
            assert!(calls.len() == 1 && calls[0].starts_with("2|"), "{calls:?}");
            assert_eq!(traces, ["delivered|one"]);
            found.push((calls, sessions));
        }
        let landed = &place.import(&[place.file("newer.json", call(3, "peerToPeer"))]).await.tables["CallRecords"];
        assert_eq!((landed.new, landed.duplicates, landed.replaced), (0, 0, 1));
        assert_eq!(place.rows("CallRecords", &["version", "type"]).await, ["3|peerToPeer"]);
        assert_eq!(place.rows("CallSessions", &["version", "modalities"]).await, [r#"3|["peerToPeer"]"#]);
    }
    assert!(found.iter().all(|rows| *rows == found[0]), "{found:?}");
}

#[tokio::test]
async fn the_newest_try_at_a_unit_decides_whether_it_is_read_again() {
    let place = Place::new();
    let whole = lines((0..6).map(classic));
    let damaged = whole.replacen("\"itemCount\":1}", "\"itemCount\":1 ", 1);
    assert_eq!(whole.len(), damaged.len());
    let mut seconds = 0;
    let mut run = async |content: &str| {
        seconds += 1;
        let clock = Arc::new(FixedClock::at_micros(1_768_186_800_000_000 + seconds * 1_000_000));
        let path = place.file("a.ndjson", content);
        let summary = place.try_import(&[path], &ImportOptions { clock, ..options() }).await.expect("an import");
        let unit = only(&summary);
        let landed = summary.tables.get("traces").map_or((0, 0), |t| (t.new, t.duplicates));
        (unit.state, unit.counts.refused, landed)
    };
    assert_eq!(run(&damaged).await, (UnitState::Incomplete, 1, (5, 0)));
    // What was refused is known while nothing changes, and is not quarantined again.
    assert_eq!(run(&damaged).await, (UnitState::Known, 0, (0, 0)));
    assert_eq!(run(&whole).await, (UnitState::Done, 0, (1, 5)));
    assert_eq!(run(&whole).await, (UnitState::Unchanged, 0, (0, 0)));
    // The same size is not the same file.
    assert_eq!(run(&damaged).await, (UnitState::Incomplete, 1, (0, 5)));
    assert_eq!(run(&whole).await, (UnitState::Done, 0, (0, 6)));
    assert_eq!(run(&whole).await, (UnitState::Unchanged, 0, (0, 0)));
    let tries = place.rows("ImportLedger", &["attempt", "state", "rows", "quarantined"]).await;
    assert_eq!(tries, ["1|incomplete|5|1", "2|done|6|0", "3|incomplete|5|1", "4|done|6|0"]);
    // The record that was refused twice is kept once.
    assert_eq!(place.quarantined().len(), 1);
}

#[tokio::test]
async fn the_import_tells_of_itself() {
    let place = Place::new();
    let audit = r#"[{"CreationTime":"2026-01-08T16:44:07","Id":"5f0c1c2a-7b1d-4e55-9a10-08de4d00aa01","Operation":"FileModified","RecordType":6,"UserType":0,"Workload":"OneDrive"}]"#;
    let paths = [place.file("a.ndjson", lines((0..3).map(classic))), place.file("audit.json", audit)];
    let summary = place.import(&paths).await;
    let def = find("customEvents").expect("a table");
    let frame = SessionContext::new().read_table(place.lake.provider(def).await.expect("a provider")).expect("a frame");
    let frame = frame.select(vec![col("name"), col("\"operation_Name\""), col("\"_importId\"")]).expect("columns");
    let batches = frame.collect().await.expect("rows");
    let mut found = BTreeMap::new();
    for batch in &batches {
        let options = FormatOptions::default();
        let format: Vec<_> = batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).expect("a format")).collect();
        for row in 0..batch.num_rows() {
            assert_eq!(format[2].value(row).to_string(), summary.import_id);
            *found.entry((format[0].value(row).to_string(), format[1].value(row).to_string())).or_insert(0) += 1;
        }
    }
    for importer in ["AppInsightsImporter", "Office365ActivityImporter"] {
        assert_eq!(found[&("FinishedSectionImport".into(), importer.into())], 1);
        assert_eq!(found[&("FinishedImportCycle".into(), importer.into())], 1);
    }
    assert_eq!(place.rows("ImportLedger", &["section", "state", "rows"]).await, ["Audit events|done|1", "Hits import|done|3"]);
}

#[tokio::test]
async fn a_dry_run_writes_nothing() {
    let place = Place::new();
    let path = place.file("a.ndjson", lines((0..3).map(classic)) + "broken\n");
    let summary = place.try_import(&[path], &ImportOptions { dry_run: true, ..options() }).await.expect("an import");
    assert_eq!((only(&summary).counts.rows["traces"], summary.refused()), (3, 1));
    assert!(!place.lake.root().exists());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    /// Records in any order, spread over any number of files with overlaps, in any shapes, some files cut at any byte
    /// and delivered whole later: the tables are the same.
    #[test]
    fn any_way_of_delivery_gives_the_same_tables(
        files in prop::collection::vec((prop::collection::vec(0..15_usize, 1..10), 0..4_u8, prop::option::of(0.0..1.0_f64)), 1..5),
        order in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let place = Place::new();
            let mut whole: Vec<PathBuf> = Vec::new();
            // A record that a file has twice is two records.
            let mut most: BTreeMap<usize, usize> = BTreeMap::new();
            for (records, _, _) in &files {
                for n in records {
                    let here = records.iter().filter(|other| *other == n).count();
                    most.entry(*n).and_modify(|most| *most = here.max(*most)).or_insert(here);
                }
            }
            let all: Vec<usize> = most.into_iter().flat_map(|(n, copies)| std::iter::repeat_n(n, copies)).collect();
            for (at, (records, shape, cut)) in files.iter().enumerate() {
                let content = match shape {
                    0 => lines(records.iter().map(|n| classic(*n))),
                    1 => lines(records.iter().map(|n| workspace(*n))),
                    2 => answer(&records.iter().map(|n| answer_row(*n)).collect::<Vec<_>>()),
                    _ => CSV_HEADING.to_owned() + &records.iter().map(|n| csv_row(*n)).collect::<String>(),
                };
                if let Some(part) = cut {
                    let end = (content.len() as f64 * part) as usize;
                    let path = place.file(&format!("cut{at}"), &content.as_bytes()[..end]);
                    place.import(&[path]).await;
                }
                whole.push(place.file(&format!("whole{at}"), &content));
            }
            if order {
                whole.reverse();
            }
            place.import(&whole).await;

            let other = Place::new();
            let path = other.file("all.ndjson", lines(all.iter().map(|n| classic(*n))));
            other.import(&[path]).await;
            assert_eq!(place.rows("traces", &TRACE).await, other.rows("traces", &TRACE).await);
        });
    }
}
