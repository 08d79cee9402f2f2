//! The nightly job on a fresh clone, twice.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use super::support::{copy, csv_rows, project, run_in};

/// Tables that an import writes about itself.
const OWN: &[&str] = &["customEvents", "traces", "ImportLedger"];

/// Rows and version of each table.
fn tables(dir: &Path) -> BTreeMap<String, (String, String)> {
    let run = run_in(dir, &["tables", "-f", "csv"]).exits(0);
    csv_rows(&run.out).into_iter().skip(1).map(|row| (row[0].clone(), (row[1].clone(), row[6].clone()))).collect()
}

/// Every file below a folder with its date.
fn files(dir: &Path, found: &mut BTreeMap<String, SystemTime>) {
    for entry in std::fs::read_dir(dir).expect("a folder").map(|e| e.expect("an entry")) {
        if entry.file_type().expect("a type").is_dir() {
            files(&entry.path(), found);
        } else {
            found.insert(entry.path().display().to_string(), entry.metadata().and_then(|m| m.modified()).expect("a date"));
        }
    }
}

#[test]
fn a_second_night_adds_only_what_it_says_of_itself_and_rewrites_nothing() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    copy(&project().join("fixtures"), &dir.path().join("fixtures"));
    let first = run_in(dir.path(), &["nightly"]);
    // The sample data holds dirty records on purpose, which the status shows.
    assert!(first.status == 0 || first.status == 5, "{}\n{}", first.out, first.err);
    let night = tables(dir.path());
    assert!(night.len() > 10, "{night:?}");
    let mut before = BTreeMap::new();
    files(&dir.path().join("data"), &mut before);
    assert!(before.keys().any(|f| f.contains("export") && f.ends_with(".csv")));

    // What the first night quarantined is known to the second one.
    let second = run_in(dir.path(), &["nightly"]).exits(0);
    let again = tables(dir.path());
    let mut after = BTreeMap::new();
    files(&dir.path().join("data"), &mut after);
    let own = |path: &str| OWN.iter().any(|t| path.contains(&format!("/{t}/"))) || path.contains("/_");
    for (name, now) in &again {
        assert!(
            OWN.contains(&name.as_str()) || night.get(name) == Some(now),
            "{name}: {:?} became {now:?}\n{}",
            night.get(name),
            second.err
        );
    }
    for (file, date) in &after {
        assert!(own(file) || before.get(file) == Some(date), "{file} was written by the second night");
    }
    for file in before.keys() {
        assert!(own(file) || after.contains_key(file), "{file} is gone after the second night");
    }
}

#[test]
fn a_folder_that_is_missing_does_not_keep_the_night() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let trace = "{\"timestamp\":\"2026-01-05T07:23:07Z\",\"message\":\"m\",\"itemType\":\"trace\",\"itemId\":\"1\"}\n";
    std::fs::create_dir(dir.path().join("there")).expect("a folder");
    std::fs::write(dir.path().join("there/a.ndjson"), trace).expect("a file");
    std::fs::write(dir.path().join("own.toml"), "from = [\"gone\", \"there\", \"lost\"]\n").expect("a file");
    for command in ["import", "nightly"] {
        let run = run_in(dir.path(), &["--config", "own.toml", command]).exits(5);
        let run = run.says("`from` in own.toml").says("gone does not exist").says("lost does not exist");
        assert!(!run.err.contains("there does not exist"), "{}", run.err);
    }
    assert!(dir.path().join("data/export").is_dir(), "the rest of the night is done");
    let rows = run_in(dir.path(), &["query", "traces | where itemId == '1' | count", "-f", "csv"]).exits(0).out;
    assert_eq!(csv_rows(&rows)[1], ["1"]);
}
