//! Units whose records are mapped on several threads: what comes of them is that of one thread.

use std::fs;
use std::sync::Arc;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::prelude::{SessionContext, col, lit};
use kqlake_import::{ImportOptions, import_paths, quarantined};
use kqlake_lake::Lake;
use kqlake_lake::tables::find;
use kqlake_value::clock::FixedClock;
use std::io::Read as _;

/// Records: each content three times, far apart.
const RECORDS: usize = 4_500;
/// One in so many is followed by something that is no record.
const STRANGE: usize = 10;

fn time(n: usize) -> String {
    format!("2026-01-{:02}T07:{:02}:00Z", 1 + n % 3, n % 60)
}

fn message(n: usize) -> String {
    format!("{n} {}", "x".repeat(2_000))
}

fn record(n: usize) -> String {
    let n = n % (RECORDS / 3);
    format!(
        r#"{{"timestamp":"{}","message":"{}","itemType":"trace","customDimensions":{{"eventId":"RT{:04}","quoted":"\"{n}\""}}}}"#,
        time(n),
        message(n),
        n % 7
    )
}

fn strange(n: usize) -> String {
    format!(r#"{{"x":{n}}}"#)
}

fn objects() -> Vec<String> {
    let each = |n| std::iter::once(record(n)).chain((n % STRANGE == 0).then(|| strange(n)));
    (0..RECORDS).flat_map(each).collect()
}

fn csv() -> String {
    let mut out = String::from("timestamp,message,itemType,customDimensions\n");
    for n in 0..RECORDS {
        let k = n % (RECORDS / 3);
        let bag = format!(r#""{{""eventId"":""RT{:04}"",""quoted"":""\""{k}\""""}}""#, k % 7);
        out += &format!("{},{},trace,{bag}\n", time(k), message(k));
        if n % STRANGE == 0 {
            out += &format!("{},{n},strange,\n", time(k));
        }
    }
    out
}

/// What an import of a text on so many threads leaves: its rows, what it counted, and what was quarantined.
async fn imported(name: &str, text: &str, threads: usize) -> (Vec<String>, String, Vec<String>) {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = Lake::new(&folder.path().join("lake"));
    let path = folder.path().join(name);
    fs::write(&path, text).expect("a file");
    let clock = Arc::new(FixedClock::at_micros(1_768_186_800_000_000));
    let options = ImportOptions { threads, clock, ..ImportOptions::default() };
    let summary = import_paths(&lake, &[path], &options, &()).await.expect("an import");
    let unit = &summary.units[0];
    let counted = format!("{:?} {:?} {} {}", unit.state, unit.counts, unit.not_kept, unit.refusals[0].place);

    let provider = lake.provider(find("traces").expect("traces")).await.expect("a provider");
    let frame = SessionContext::new().read_table(provider).expect("a frame");
    let frame = frame.filter(col("\"itemType\"").eq(lit("trace")).and(col("\"cloud_RoleName\"").is_null())).expect("a filter");
    let columns = ["itemId", "timestamp", "message", "customDimensions", "customDimensions_eventId", "_contentHash"];
    let frame = frame.select(columns.map(|name| col(format!("\"{name}\"")))).expect("columns");
    let mut rows = Vec::new();
    for batch in frame.collect().await.expect("rows") {
        let options = FormatOptions::default();
        let format: Vec<_> = batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).expect("a format")).collect();
        let row = |row| format.iter().map(|f| f.value(row).to_string()).collect::<Vec<_>>().join("|");
        rows.extend((0..batch.num_rows()).map(row));
    }
    rows.sort();

    let mut refused = Vec::new();
    for file in quarantined(lake.root()).expect("a quarantine") {
        let packed = fs::read(&file.path).expect("a file");
        let mut text = String::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut text).expect("UTF-8");
        for line in text.lines().skip(1) {
            let mut entry: serde_json::Value = serde_json::from_str(line).expect("JSON");
            entry["file"] = serde_json::Value::Null;
            refused.push(entry.to_string());
        }
    }
    (rows, counted, refused)
}

#[tokio::test]
async fn a_large_file_is_the_same_on_one_thread_and_on_many() {
    let objects = objects();
    let mut lines = objects.join("\n");
    lines += "\nnonsense\n";
    let json = format!("[{},7]", objects.join(","));
    // In JSON a sample of what is of no known kind, how many more there were, and something that is no record.
    for (name, text, entries) in [("a.ndjson", lines, 202), ("b.json", json, 202), ("c.csv", csv(), RECORDS / STRANGE)] {
        let one = imported(name, &text, 1).await;
        let (rows, counted, refused) = imported(name, &text, 3).await;
        // Three rows of each content, with three ids.
        assert_eq!(rows.len(), RECORDS, "{name}: {counted}");
        assert!(rows.windows(2).all(|two| two[0] != two[1]));
        assert_eq!((refused.len(), &counted), (entries, &one.1), "{name}");
        assert!(refused == one.2 && rows == one.0, "{name}");
    }
}
