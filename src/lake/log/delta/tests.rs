use super::super::{checkpoint, listings};
use super::*;
use crate::tables::find;
use crate::{CompactOptions, Lake, Position, RowBuilder, Upkeep};
use kqlake_value::US_PER_DAY;
use serde_json::{Value, json};

/// What a version says, in an order that does not depend on who read it.
fn said(view: &View, files: &[FileEntry]) -> (u64, Protocol, Metadata, SchemaRef, Vec<String>) {
    let mut files: Vec<String> = files
        .iter()
        .map(|file| {
            let tags: std::collections::BTreeMap<_, _> = file.tags.iter().collect();
            format!("{:?}", (&file.path, file.size, file.modified, file.partition, &file.stats, tags))
        })
        .collect();
    files.sort();
    (view.version, view.protocol.clone(), view.metadata.clone(), view.schema.clone(), files)
}

/// Rows of three days of two months, one of which is of a later version each time.
async fn land(lake: &Lake, number: i64) {
    let def = find("CallRecords").expect("a table");
    let mut rows = RowBuilder::new(def);
    let at = |name: &str| def.index_of(name).expect("a column");
    for (id, day) in [("changes".to_owned(), 5), (format!("new {number}"), 28 + number % 8)] {
        rows.set_str(at("id"), &id);
        rows.set_datetime_us(at("startDateTime"), day * US_PER_DAY);
        rows.set_i64(at("version"), number);
        rows.end_row();
    }
    let mut landing = lake.land(def).await.expect("a landing");
    landing.write(rows.finish().expect("rows")).await.expect("written");
    let position = Position { stream: format!("s{}", number % 3), cursor: number.into(), import_id: "i".into() };
    landing.commit(position).await.expect("committed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_says_what_the_library_says() {
    let dir = tempfile::tempdir().expect("a folder");
    let (lake, def) = (Lake::new(dir.path()), find("CallRecords").expect("a table"));
    let table = lake.table_dir(def);
    let mut earlier: Option<Log> = None;
    let mut checkpoints = 0;
    for number in 0..45 {
        land(&lake, number).await;
        if number % 13 == 12 {
            lake.compact(def, &CompactOptions::default()).await.expect("compacted");
        }
        let log = Log::open(def.name, &table).await.expect("a log").expect("a table");
        let Source::Replay(replayed) = &log.view.source else { panic!("version {} was not replayed", log.view.version) };
        let state = log.state(&table).await.expect("the library reads it").clone();
        let library = View::of_library(state.clone()).expect("a view");
        let expected = said(&library, &entries(&state, log.partitioning()));
        assert_eq!(said(&log.view, log.files()), expected);
        assert!(!log.files().is_empty());
        for stream in ["s0", "s1", "s2", "none", crate::log::commit::ROWS_TRANSACTION] {
            let of_library = state.transaction_version(&log.store, stream).await.expect("a transaction");
            assert_eq!(replayed.transactions.get(stream).copied(), of_library, "{stream}");
        }
        checkpoints += usize::from(table.join(LOG).join(format!("{:020}.checkpoint.parquet", log.view.version)).exists());
        // The same from an earlier version on.
        if number % 4 == 0 {
            if let Some(earlier) = earlier {
                let now = earlier.refreshed(&table).await.expect("refreshed").expect("a table");
                assert_eq!(said(&now.view, now.files()), expected);
            }
            earlier = Some(log);
        }
    }
    assert!(checkpoints >= 2, "{checkpoints}");
}

/// The rows of commits that other tests make in one process are counted by their folders.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_listed_once_a_process_however_many_commits_it_makes() {
    let dir = tempfile::tempdir().expect("a folder");
    let (root, def) = (dir.path().canonicalize().expect("a path"), find("CallRecords").expect("a table"));
    let log = root.join(def.name).join(LOG);
    let first = Lake::new(&root);
    for number in 0..25 {
        land(&first, number).await;
    }
    listings::taken(&log);
    // Another process; the checkpoint of version 39 is among what it writes.
    let lake = Lake::new(&root);
    for number in 25..45 {
        land(&lake, number).await;
    }
    lake.keep_up(def, 2, Upkeep::Merge, &CompactOptions::default()).await.expect("merged");
    lake.snapshot(def).await.expect("a snapshot");
    assert_eq!(listings::taken(&log), 1);
    assert_eq!(files::named_checkpoint(&root.join(def.name)), Some(39));
    // What others commit is seen all the same, by looking through the folder again.
    land(&first, 45).await;
    listings::taken(&log);
    let seen = lake.table_version(def).await.expect("a version").expect("a table").version;
    assert_eq!(seen, first.table_version(def).await.expect("a version").expect("a table").version);
    assert!((1..=2).contains(&listings::taken(&log)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_which_a_commit_went_or_that_was_cleaned_is_looked_through_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let (lake, def) = (Lake::new(dir.path()), find("CallRecords").expect("a table"));
    let table = lake.table_dir(def);
    land(&lake, 0).await;
    let before = Log::open(def.name, &table).await.expect("a log").expect("a table");
    land(&lake, 1).await;
    land(&lake, 2).await;
    let commit = |ahead: u64| table.join(LOG).join(files::commit_name(before.view.version + ahead));
    let (next, aside) = (commit(1), table.join("aside"));
    std::fs::rename(&next, &aside).expect("moved");
    let missing = before.refreshed(&table).await;
    assert!(
        matches!(&missing, Err(LakeError::Damaged { damage: Damage::MissingCommit { file }, .. }) if *file == next),
        "{missing:?}"
    );
    std::fs::rename(&aside, &next).expect("moved back");
    // A checkpoint stands for the commits until it, which another writer cleans away.
    let now = lake.log(def).await.expect("a log").expect("a table");
    now.checkpoint(&table, 0).await.expect("a checkpoint");
    (1..=2).for_each(|ahead| std::fs::remove_file(commit(ahead)).expect("removed"));
    let seen = before.refreshed(&table).await.expect("refreshed").expect("a table");
    assert_eq!(seen.view.version, now.view.version);
    assert_eq!(seen.files().len(), now.files().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_is_made_of_the_one_before_says_what_the_commits_say() {
    let dir = tempfile::tempdir().expect("a folder");
    let (lake, def) = (Lake::new(dir.path()), find("CallRecords").expect("a table"));
    let table = lake.table_dir(def);
    let name = |version: u64| table.join(LOG).join(files::checkpoint_name(version));
    for number in 0..130 {
        land(&lake, number).await;
        lake.keep_up(def, 2, Upkeep::Merge, &CompactOptions::default()).await.expect("merged");
    }
    let log = lake.log(def).await.expect("a log").expect("a table");
    let newest = files::named_checkpoint(&table).expect("a checkpoint");
    assert!(newest >= 119, "{newest}");
    let told = async || {
        let state = DeltaTableState::try_new(&log.store, Some(newest)).await.expect("the library reads it");
        let state = Arc::new(state);
        let view = View::of_library(state.clone()).expect("a view");
        let removed: Vec<(String, i64)> = state
            .all_tombstones(&log.store)
            .map_ok(|removed| (removed.path().into_owned(), removed.deletion_timestamp().unwrap_or(0)))
            .try_collect()
            .await
            .expect("removed files");
        let mut streams = Vec::new();
        for stream in ["s0", "s1", "s2", crate::log::commit::ROWS_TRANSACTION] {
            streams.push(state.transaction_version(&log.store, stream).await.expect("a transaction"));
        }
        let removed: BTreeSet<(String, i64)> = removed.into_iter().collect();
        (said(&view, &entries(&state, log.partitioning())), removed, streams)
    };
    let from_ours = told().await;
    assert!(from_ours.1.len() > 100, "{} removed files", from_ours.1.len());
    let first = checkpoint::first_removed(&table, newest, 50).expect("removed files");
    assert!(first.is_sorted_by_key(|(_, at)| *at) && first.len() == 50, "{first:?}");
    assert!(first.iter().all(|removed| from_ours.1.contains(removed)));
    // From the commits alone, as if there had been no checkpoint.
    for version in (0..=newest).filter(|version| name(*version).exists()) {
        std::fs::remove_file(name(version)).expect("removed");
    }
    std::fs::remove_file(table.join(LOG).join(files::LAST_CHECKPOINT)).expect("removed");
    assert_eq!(told().await, from_ours);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_of_an_older_version_does_not_become_the_newest_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let (lake, def) = (Lake::new(dir.path()), find("CallRecords").expect("a table"));
    let table = lake.table_dir(def);
    land(&lake, 0).await;
    let older = lake.log(def).await.expect("a log").expect("a table");
    land(&lake, 1).await;
    let newer = lake.log(def).await.expect("a log").expect("a table");
    newer.checkpoint(&table, 0).await.expect("a checkpoint");
    older.checkpoint(&table, 0).await.expect("one is there");
    assert_eq!(files::named_checkpoint(&table), Some(newer.view.version));
}

#[test]
fn plain_columns_are_what_the_library_makes_of_them() {
    for def in crate::tables::all() {
        let schema = write::kernel_fields(def.name, &def.arrow_schema()).expect("the library's columns");
        let text = serde_json::to_string(&schema).expect("a text");
        let plain = plain_columns(&text).expect("plain columns");
        assert_eq!(Some(&plain), library_columns(&text).as_ref(), "{}", def.name);
        assert_eq!(plain.fields().len(), def.columns.len());
    }
    let column = |ty: &str, metadata: &str| format!(r#"{{"name":"a","type":{ty},"nullable":true,"metadata":{metadata}}}"#);
    let table = |columns: &[String]| format!(r#"{{"type":"struct","fields":[{}]}}"#, columns.join(","));
    for ty in ["string", "long", "integer", "short", "byte", "double", "float", "boolean", "date", "timestamp"] {
        let text = table(&[column(&format!("\"{ty}\""), "{}")]);
        assert!(plain_columns(&text).is_some() && plain_columns(&text) == library_columns(&text), "{ty}");
    }
    for ty in ["\"decimal(9,2)\"", "\"timestamp_ntz\"", "\"binary\"", r#"{"type":"struct","fields":[]}"#] {
        assert!(plain_columns(&table(&[column(ty, "{}")])).is_none(), "{ty}");
    }
    for metadata in [r#"{"delta.columnMapping.id":"1"}"#, r#"{"a":1}"#, r#"{"parquet.field.id":"3"}"#] {
        assert!(plain_columns(&table(&[column("\"long\"", metadata)])).is_none(), "{metadata}");
    }
    let twice = [column("\"long\"", "{}"), column("\"long\"", "{}").replace("\"a\"", "\"A\"")];
    assert!(plain_columns(&table(&twice)).is_none());
}

/// The log of a table of calls that another writer made: with this protocol, with metadata that differ from ours in some members, and
/// without a column.
async fn foreign(protocol: &Value, metadata: &Value, without: &str) -> (tempfile::TempDir, Log) {
    let (dir, def) = (tempfile::tempdir().expect("a folder"), find("CallRecords").expect("a table"));
    let table = dir.path().join(def.name);
    std::fs::create_dir_all(table.join(LOG)).expect("a folder");
    let schema = write::kernel_fields(def.name, &def.arrow_schema()).expect("the library's columns");
    let mut schema = serde_json::to_value(&schema).expect("JSON");
    schema["fields"].as_array_mut().expect("columns").retain(|field| field["name"] != without);
    let mut all = json!({ "id": "i", "name": def.name, "format": { "provider": "parquet", "options": {} },
        "schemaString": schema.to_string(), "partitionColumns": ["event_month"], "configuration": {} });
    for (name, value) in metadata.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    let text = format!("{}\n{}\n", json!({ "protocol": protocol }), json!({ "metaData": all }));
    std::fs::write(table.join(LOG).join(files::commit_name(0)), text).expect("a commit");
    let log = Log::open(def.name, &table).await.expect("a log").expect("a table");
    (dir, log)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_table_needs_of_readers_and_writers_is_done_or_refused_by_name() {
    let plain = || json!({ "minReaderVersion": 1, "minWriterVersion": 2 });
    let with = |features: &[&str]| json!({ "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features });
    let set = |name: &str, value: &str| json!({ "configuration": { name: value } });
    let divided = |columns: &[&str]| json!({ "partitionColumns": columns });
    let none = || json!({});
    // What is refused, or else whether commits are written without the library.
    for (protocol, metadata, expected) in [
        (plain(), none(), Ok(true)),
        (plain(), set("delta.columnMapping.mode", "none"), Ok(true)),
        (plain(), set("delta.columnMapping.mode", "name"), Err("columnMapping")),
        (with(&["v2Checkpoint", "vacuumProtocolCheck", "timestampNtz"]), none(), Ok(false)),
        (with(&["timestampNtz", "deletionVectors"]), none(), Err("deletionVectors")),
        (json!({ "minReaderVersion": 2, "minWriterVersion": 2 }), none(), Ok(false)),
        (json!({ "minReaderVersion": 3, "minWriterVersion": 7 }), none(), Err("reader version 3")),
        (json!({ "minReaderVersion": 1, "minWriterVersion": 3 }), none(), Ok(false)),
        (json!({ "minReaderVersion": 1 }), none(), Ok(false)),
        (plain(), set("delta.appendOnly", "true"), Ok(false)),
        (plain(), divided(&["event_date"]), Ok(true)),
        (plain(), divided(&["id"]), Err("partitioning other than by event_month or event_date")),
        (plain(), divided(&[]), Err("partitioning other than by event_month or event_date")),
    ] {
        let (_dir, log) = foreign(&protocol, &metadata, "").await;
        let found = match log.check_readable() {
            Ok(()) => Ok(log.view.takes_plain_commits()),
            Err(LakeError::Unsupported { feature, .. }) => Err(feature),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(
            found.as_ref().map_err(String::as_str),
            expected.as_ref().map_err(|feature| *feature),
            "{protocol} {metadata}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_known_by_its_name_or_else_by_what_makes_a_row() {
    let def = find("CallRecords").expect("a table");
    for (metadata, without, expected) in [
        (json!({}), "", None),
        // Columns that it lacks are added.
        (json!({}), "id", None),
        (json!({}), "startDateTime", Some("a table without the column startDateTime")),
        (json!({ "name": "CallSessions" }), "", Some("the table CallSessions")),
        (json!({ "name": null }), "", None),
        (json!({ "name": null }), "modalities", None),
        (json!({ "name": null }), "id", Some("a table without the column id")),
        (json!({ "name": null }), "startDateTime", Some("a table without the column startDateTime")),
    ] {
        let (dir, log) = foreign(&json!({ "minReaderVersion": 1, "minWriterVersion": 2 }), &metadata, without).await;
        let found = match log.check_identity(def, &dir.path().join(def.name)) {
            Ok(()) => None,
            Err(LakeError::Damaged { damage: Damage::OtherTable { found, .. }, .. }) => Some(found),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(found.as_deref(), expected, "{metadata} {without}");
    }
}
