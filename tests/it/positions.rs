//! Positions of streams: committed with their rows or without any, known from the log alone, repeated beside it.

use std::fs;
use std::path::{Path, PathBuf};

use kqlake_lake::{Lake, LakeError, Position};
use serde_json::{Value, json};

use crate::lake::{DAY, def, land, position, traces};

fn positions(root: &Path) -> PathBuf {
    root.join("_intents/traces/positions.json")
}

fn of(stream: &str, cursor: i64) -> Position {
    Position { stream: stream.to_owned(), ..position(cursor) }
}

async fn known(root: &Path, stream: &str) -> Option<Position> {
    Lake::new(root).position(def("traces"), stream).await.expect("a position")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_is_committed_without_rows() {
    let dir = tempfile::tempdir().expect("dir");
    let lake = Lake::new(dir.path());
    // Also as the first thing that a table hears of.
    let first = lake.advance(def("traces"), &of("pages", 1)).await.expect("a commit");
    assert_eq!(known(dir.path(), "pages").await, Some(of("pages", 1)));
    land(&lake, def("traces"), traces(&[("a", DAY)]), 7).await.expect("landed");
    let then = lake.advance(def("traces"), &of("pages", 2)).await.expect("a commit");
    assert_eq!(then, first + 2);
    assert_eq!(known(dir.path(), "pages").await, Some(of("pages", 2)));
    assert_eq!(known(dir.path(), "test/stream").await, Some(position(7)));
    let stats = lake.snapshot(def("traces")).await.expect("a snapshot").expect("a table").stats();
    assert_eq!((stats.rows, stats.files, stats.version), (1, 1, then));
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_are_in_the_log_whatever_became_of_the_file_beside() {
    let dir = tempfile::tempdir().expect("dir");
    let lake = Lake::new(dir.path());
    // The first commit of all, and the only one of its stream.
    lake.advance(def("traces"), &of("first", 8)).await.expect("a commit");
    land(&lake, def("traces"), traces(&[("a", DAY)]), 1).await.expect("landed");
    lake.advance(def("traces"), &of("pages", 5)).await.expect("a commit");
    let early = fs::read(positions(dir.path())).expect("positions");
    land(&lake, def("traces"), traces(&[("b", DAY)]), 2).await.expect("landed");
    lake.advance(def("traces"), &of("other", 9)).await.expect("a commit");
    assert_eq!(fs::read_dir(dir.path().join("_intents/traces")).expect("a folder").count(), 1);
    let all =
        async || [known(dir.path(), "test/stream").await, known(dir.path(), "pages").await, known(dir.path(), "other").await];
    let expected = [Some(position(2)), Some(of("pages", 5)), Some(of("other", 9))];
    assert_eq!(all().await, expected);
    // As a power cut leaves it, which does not wait for it: an earlier one, an empty one, none.
    for left in [Some(&early[..]), Some(&early[..9]), Some(b""), None] {
        match left {
            Some(left) => fs::write(positions(dir.path()), left).expect("written"),
            None => fs::remove_file(positions(dir.path())).expect("removed"),
        }
        assert_eq!(all().await, expected);
    }
    // The next commit writes all of them down again.
    land(&lake, def("traces"), traces(&[("c", DAY)]), 3).await.expect("landed");
    let written: Value = serde_json::from_slice(&fs::read(positions(dir.path())).expect("positions")).expect("JSON");
    assert_eq!(written["streams"]["pages"]["cursor"], json!({ "offset": 5 }));
    assert_eq!(written["streams"]["first"]["cursor"], json!({ "offset": 8 }));
    assert_eq!((written["rows"].as_u64(), written["version"].as_i64()), (Some(3), Some(6)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_of_a_stream_of_version_0_1_0_is_read() {
    let dir = tempfile::tempdir().expect("dir");
    land(&Lake::new(dir.path()), def("traces"), traces(&[("a", DAY)]), 1).await.expect("landed");
    fs::remove_file(positions(dir.path())).expect("removed");
    let commit = dir.path().join("traces/_delta_log/00000000000000000001.json");
    let text = fs::read_to_string(&commit).expect("a commit");
    let (record, actions) = text.split_once('\n').expect("actions");
    let mut record: Value = serde_json::from_str(record).expect("JSON");
    for fact in ["kqlakeCursor", "kqlakeAttempt"] {
        record["commitInfo"].as_object_mut().expect("a record").remove(fact).expect("a fact");
    }
    fs::write(&commit, format!("{record}\n{actions}")).expect("written");
    assert_eq!(known(dir.path(), "test/stream").await, None);
    let first = fs::read_to_string(dir.path().join("traces/_delta_log/00000000000000000000.json")).expect("a commit");
    let id = first.lines().find_map(|line| {
        let action: Value = serde_json::from_str(line).expect("JSON");
        action["metaData"]["id"].as_str().map(str::to_owned)
    });
    let earlier = |number: i64, version: i64| {
        json!({ "format": 1, "table": "traces", "stream": "test/stream", "number": number, "cursor": { "offset": 4 },
            "importId": "run-4", "version": version, "tableId": id, "rows": 1 })
    };
    // The stream's name, and a hash of it.
    let path = dir.path().join("_intents/traces").join("test_stream-3260229b43184eac.json");
    fs::write(&path, earlier(1, 1).to_string()).expect("written");
    assert_eq!(known(dir.path(), "test/stream").await, Some(position(4)));
    // It knows of its commit.
    fs::write(&path, earlier(1, 2).to_string()).expect("written");
    let error = Lake::new(dir.path()).snapshot(def("traces")).await.expect_err("a commit is missing");
    assert!(matches!(error, LakeError::Damaged { .. }), "{error}");
    fs::write(&path, earlier(1, 1).to_string()).expect("written");
    // What lands now takes its place.
    land(&Lake::new(dir.path()), def("traces"), traces(&[("b", DAY)]), 5).await.expect("landed");
    assert_eq!(known(dir.path(), "test/stream").await, Some(position(5)));
}
