//! Exports, read with an independent CSV reader.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value as Json;

use super::support::{csv_rows, run_in, sample_lake};

/// Header and rows of an export file, after checks of its bytes.
fn read(path: &Path) -> (Vec<String>, Vec<Vec<String>>) {
    let bytes = std::fs::read(path).expect("an export file");
    assert!(bytes.starts_with(b"\xef\xbb\xbf"), "{}: no byte-order mark", path.display());
    assert!(bytes.ends_with(b"\r\n"), "{}: no CRLF at the end", path.display());
    let mut reader = csv::Reader::from_reader(&bytes[3..]);
    let header = reader.headers().expect("a header").iter().map(str::to_owned).collect();
    // A reader that is not flexible refuses rows of another width.
    let rows = reader.records().map(|r| r.expect("a row of the header's width").iter().map(str::to_owned).collect()).collect();
    (header, rows)
}

fn manifest(dir: &Path) -> BTreeMap<String, Json> {
    let text = std::fs::read(dir.join("datapackage.json")).expect("the manifest");
    let document: Json = serde_json::from_slice(&text).expect("JSON");
    let resources = document["resources"].as_array().expect("resources").clone();
    resources.into_iter().map(|r| (r["title"].as_str().expect("a title").to_owned(), r)).collect()
}

#[test]
fn exports_load_as_the_manifest_says_and_a_second_export_writes_nothing() {
    let dir = sample_lake();
    let args = [
        "--now",
        "2026-01-12T03:00:00Z",
        "--lake",
        "lake",
        "export",
        "traces",
        "AuditRecords",
        "authorization-outcomes",
        "Teams",
        "--to",
        "out",
    ];
    run_in(dir.path(), &args).exits(0);
    let out = dir.path().join("out");
    let resources = manifest(&out);
    assert_eq!(
        resources.keys().map(String::as_str).collect::<Vec<_>>(),
        ["AuditRecords", "Teams", "authorization-outcomes", "traces"]
    );
    for (name, resource) in &resources {
        let fields: Vec<&str> = resource["schema"]["fields"]
            .as_array()
            .expect("fields")
            .iter()
            .map(|f| f["name"].as_str().expect("a name"))
            .collect();
        let mut rows = 0;
        for file in resource["files"].as_array().expect("files") {
            let (header, found) = read(&out.join(file["path"].as_str().expect("a path")));
            assert_eq!(header, fields, "{name}");
            assert_eq!(found.len() as u64, file["rows"].as_u64().expect("rows"), "{name}");
            rows += found.len();
        }
        assert_eq!(rows as u64, resource["rows"].as_u64().expect("rows"));
        let folder: Vec<_> = std::fs::read_dir(out.join(name)).expect("the folder").collect();
        assert_eq!(folder.len(), resource["files"].as_array().expect("files").len(), "{name}: nothing else may be in the folder");
    }
    // The same rows as the lake has.
    let count = run_in(dir.path(), &["--lake", "lake", "query", "traces | count"]).exits(0).out;
    assert_eq!(count.lines().nth(1).expect("a count"), resources["traces"]["rows"].to_string());
    assert!(resources["traces"]["files"].as_array().expect("files").len() > 1, "one file a day");

    let changed = |dir: &Path| -> Vec<_> {
        resources
            .values()
            .flat_map(|r| r["files"].as_array().expect("files"))
            .map(|f| std::fs::metadata(dir.join(f["path"].as_str().expect("a path"))).and_then(|m| m.modified()).expect("a date"))
            .collect()
    };
    let before = changed(&out);
    let run = run_in(dir.path(), &args).exits(0);
    assert_eq!(changed(&out), before);
    assert!(!run.err.contains("written"), "{}", run.err);
}

#[test]
fn an_export_removes_only_what_an_export_wrote() {
    let dir = sample_lake();
    let old = dir.path().join("e/traces/traces_1999-01-01.csv");
    std::fs::create_dir_all(old.parent().expect("a folder")).expect("a folder");
    std::fs::write(&old, "important").expect("a file");
    let export = |query: &str| {
        std::fs::create_dir_all(dir.path().join("sql")).expect("a folder");
        std::fs::write(dir.path().join("sql/days.kql"), query).expect("a query");
        run_in(dir.path(), &["--now", "2026-01-12T03:00:00Z", "--lake", "lake", "export", "traces", "days", "--to", "e"])
    };
    for _ in 0..2 {
        let run = export("datatable(t:datetime)[datetime(2026-01-01), datetime(2026-02-01)]").exits(0);
        assert!(run.says("traces_1999-01-01.csv stays").out.contains("days"));
        assert_eq!(std::fs::read_to_string(&old).expect("the file"), "important");
    }
    // What the last export wrote goes, without a word.
    let run = export("datatable(t:datetime)[datetime(2026-01-01)]").exits(0);
    assert!(run.out.contains("1 removed") && !run.err.contains("days_"), "{}{}", run.out, run.err);
    assert!(dir.path().join("e/days/days_2026-01.csv").exists() && !dir.path().join("e/days/days_2026-02.csv").exists());
}

#[test]
fn what_is_no_manifest_is_to_be_moved_away_and_stays() {
    let dir = sample_lake();
    std::fs::create_dir(dir.path().join("e")).expect("a folder");
    let manifest = dir.path().join("e/datapackage.json");
    let refused = || {
        let run = run_in(dir.path(), &["--lake", "lake", "export", "Teams", "--to", "e"]).exits(6);
        assert!(!run.says("datapackage.json").says("help: move it away").err.contains("remove"));
    };
    for text in ["", "my notes", "[1]", "{\"resources\":5}"] {
        std::fs::write(&manifest, text).expect("a file");
        refused();
        assert_eq!(std::fs::read_to_string(&manifest).expect("the file"), text);
    }
    #[cfg(unix)]
    {
        std::fs::rename(&manifest, dir.path().join("foreign.json")).expect("moved");
        std::os::unix::fs::symlink("../foreign.json", &manifest).expect("a link");
        refused();
    }
}

#[test]
fn a_view_is_no_name_that_is_unknown() {
    let dir = sample_lake();
    let args = ["--lake", "lake", "export", "OfficeActivity", "--to", "out"];
    run_in(dir.path(), &args).exits(2).says("`OfficeActivity` is a view").says("save a query");
    assert!(!dir.path().join("out").exists());
}

#[test]
fn rows_whose_order_a_query_leaves_open_are_the_same_file_whatever_order_they_come_in() {
    let dir = sample_lake();
    std::fs::create_dir_all(dir.path().join("sql")).expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(dir.path().join("sql").join(name), text).expect("a file");
    write("open.kql", "// export: true\ntraces | summarize count() by operation_Name, severityLevel, day = bin(timestamp, 1d)");
    write("rows.sql", "-- export: true\nSELECT message, severityLevel FROM traces");
    write("falling.kql", "// export: true\nrange x from 1 to 5 step 1 | sort by x desc | extend y = x * 2 | where y > 2");
    let text = |file: &str| std::fs::read_to_string(dir.path().join("out").join(file)).expect("a file");
    let mut found = Vec::new();
    for threads in ["1", "2", "5"] {
        let args = ["--lake", "lake", "--threads", threads, "export", "open", "rows", "falling", "--to", "out"];
        let run = run_in(dir.path(), &args).exits(0);
        if !found.is_empty() {
            assert_eq!(run.out.matches("unchanged").count(), 3, "{threads} threads: {}", run.out);
        }
        found.push([text("open/open.csv"), text("rows/rows.csv"), text("falling/falling.csv")]);
    }
    assert!(found.windows(2).all(|two| two[0] == two[1]));
    let rows: Vec<String> = found[0][1].lines().skip(1).map(str::to_owned).collect();
    assert!(rows.len() > 20, "{rows:?}");
    let falling: Vec<String> = csv_rows(&found[0][2])[1..].iter().map(|row| row[0].clone()).collect();
    assert_eq!(falling, ["5", "4", "3", "2"]);
}
