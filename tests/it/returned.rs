//! What was written out of a lake comes back: into the same lake nothing changes, into another one its rows are what they were.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Run, csv_rows, project, run_in};

/// A folder of a test with lakes in it.
struct Place(tempfile::TempDir);

impl Place {
    fn path(&self) -> &Path {
        self.0.path()
    }

    #[track_caller]
    fn run(&self, args: &[&str]) -> Run {
        run_in(self.path(), args).exits(0)
    }

    /// All columns of a table, hidden ones as well, without the import that landed a row and what the import says of itself.
    fn all_of(&self, lake: &str, table: &str) -> Vec<Vec<String>> {
        let text = format!(r#"select * from "{table}""#);
        let mut rows = csv_rows(&self.run(&["--lake", lake, "sql", "-f", "csv", &text]).out);
        let place = |name: &str| rows[0].iter().position(|column| column == name);
        let (run, app) = (place("_importId").expect("a column"), place("appName"));
        rows.retain(|row| app.is_none_or(|app| row[app] != "kqlake"));
        rows.iter_mut().for_each(|row| drop(row.remove(run)));
        rows[1..].sort();
        rows
    }

    /// A table of a lake without what the import says of itself, in an order of its own.
    fn rows(&self, lake: &str, table: &str) -> Vec<Vec<String>> {
        let kql = format!("{table} | where column_ifexists('appName', '') != 'kqlake' | project-away _importId");
        let mut rows = csv_rows(&self.run(&["--lake", lake, "query", "-f", "csv", &kql]).out);
        rows[1..].sort();
        rows
    }
}

/// The tables that come back: all that records of files are in.
const TABLES: [&str; 14] = [
    "traces",
    "requests",
    "AuditRecords",
    "CallRecords",
    "CallSessions",
    "CallSegments",
    "MessageTrace",
    "Users",
    "Teams",
    "TeamChannels",
    "TeamMembers",
    "TeamApps",
    "UserTeamsApps",
    "TeamsUserActivityUserDetail",
];

/// A lake of the sample data, and records with texts that a spreadsheet would take for formulas.
fn lake() -> Place {
    let place = Place(tempfile::tempdir().expect("a temporary folder"));
    let texts = ["-1", "=1+1", " =x", "'-1", "''@", "'", "\\tx", "'quoted'", "ü=", "+49 30"];
    let mut lines = String::new();
    for (number, text) in texts.iter().enumerate() {
        lines += &format!(
            "{{\"timestamp\":\"2026-03-01T10:00:00Z\",\"message\":\"{text}\",\"itemType\":\"trace\",\"itemId\":\"nasty-{number}\",\"customDimensions\":{{\"k\":\"{text}\"}}}}\n"
        );
        lines += &format!(
            "{{\"CreationTime\":\"2026-03-01T10:00:00\",\"Id\":\"nasty-{number}\",\"RecordType\":50,\"Operation\":\"{text}\",\"UserId\":\"{text}\",\"Workload\":\"w\",\"More\":{number}}}\n"
        );
    }
    fs::write(place.path().join("nasty.ndjson"), lines).expect("a file");
    let fixtures = project().join("fixtures");
    place.run(&["--lake", "lake", "import", "--from", fixtures.to_str().expect("a path"), "nasty.ndjson"]);
    place
}

#[track_caller]
fn comes_back(place: &Place, folder: &str) {
    let before: Vec<_> = TABLES.iter().map(|table| place.rows("lake", table)).collect();
    let again = place.run(&["--lake", "lake", "import", "--from", folder]);
    assert!(!again.err.contains("replaced") && !again.out.contains("replaced"), "{folder}: {}{}", again.out, again.err);
    place.run(&["--lake", "other", "import", "--from", folder]);
    for (table, before) in TABLES.iter().zip(before) {
        assert_eq!(place.rows("lake", table), before, "{folder}: {table} in the same lake");
        assert_eq!(place.rows("other", table), before, "{folder}: {table} in another lake");
    }
}

#[test]
fn an_export_comes_back_as_it_was() {
    let place = lake();
    place.run(&[&["--lake", "lake", "export"][..], &TABLES, &["--to", "out"]].concat());
    assert!(place.path().join("out/datapackage.json").exists());
    comes_back(&place, "out");
    // With what is hidden, too: in another lake all that is imported later does the same.
    for table in TABLES {
        assert_eq!(place.all_of("other", table), place.all_of("lake", table), "{table}");
    }
}

/// A version of a call with some sessions, of a segment each.
fn call(version: i64, sessions: &[&str]) -> String {
    let (start, end) = ("2026-01-01T01:51:53Z", "2026-01-01T01:58:35Z");
    let session = |id: &&str| {
        let segment = json!({ "id": format!("g{id}"), "startDateTime": start, "endDateTime": end, "media": [] });
        json!({ "id": id, "modalities": ["audio"], "startDateTime": start, "endDateTime": end, "segments": [segment] })
    };
    let sessions: Vec<Value> = sessions.iter().map(session).collect();
    let record = json!({
        "id": "2d896aca-818b-4adc-8854-5c441fdef894", "version": version, "type": "groupCall", "modalities": ["audio"],
        "startDateTime": start, "endDateTime": end, "organizer": { "user": { "id": "u1" } }, "participants": [], "sessions": sessions,
    });
    let context = "https://graph.microsoft.com/v1.0/$metadata#communications/callRecords(sessions(segments()))";
    json!({ "@odata.context": context, "value": [record] }).to_string()
}

#[test]
fn a_restored_lake_knows_which_version_of_a_call_came_whole() {
    let place = Place(tempfile::tempdir().expect("a temporary folder"));
    fs::write(place.path().join("v1.json"), call(1, &["A", "C"])).expect("a file");
    fs::write(place.path().join("v2.json"), call(2, &["A", "B"])).expect("a file");
    place.run(&["--lake", "lake", "import", "--from", "v2.json"]);
    let tables = ["CallRecords", "CallSessions", "CallSegments"];
    place.run(&[&["--lake", "lake", "export"][..], &tables, &["--to", "export"]].concat());
    fs::create_dir(place.path().join("sql")).expect("a folder");
    for table in tables {
        let text = format!(r#"select * from "{table}""#);
        place.run(&["--lake", "lake", "sql", "-o", &format!("sql/{table}.csv"), &text]);
    }
    place.run(&["--lake", "lake", "import", "--from", "v1.json"]);
    for folder in ["export", "sql"] {
        let restored = format!("lake of {folder}");
        place.run(&["--lake", &restored, "import", "--from", folder]);
        place.run(&["--lake", &restored, "import", "--from", "v1.json"]);
        for table in tables {
            assert_eq!(place.all_of(&restored, table), place.all_of("lake", table), "{folder}: {table}");
        }
    }
    assert_eq!(place.rows("lake", "CallSessions").len(), 1 + 2);
    // Of a part of the rows nobody knows whether all are there.
    place.run(&["--lake", "part", "import", "--from", "export", "--since", "2025-12-31"]);
    place.run(&["--lake", "part", "import", "--from", "v1.json"]);
    assert_eq!(place.rows("part", "CallSessions").len(), 1 + 3);
}

#[test]
fn results_of_queries_come_back_as_they_were() {
    let place = lake();
    for form in ["json", "ndjson", "csv", "kusto"] {
        fs::create_dir(place.path().join(form)).expect("a folder");
        for table in TABLES {
            // Rows are written out with and without the column that says which import they are of.
            let columns = if form == "kusto" || table == "traces" { "" } else { " | project-away _importId" };
            let kql = format!("{table}{columns}");
            let file = format!("{form}/{table}.{}", if form == "kusto" { "json" } else { form });
            place.run(&["--lake", "lake", "query", "-f", form, "-o", &file, &kql]);
        }
        comes_back(&place, form);
    }
}
