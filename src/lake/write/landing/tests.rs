//! Landings of several parts, and such beside which others land.

use std::fs;
use std::path::Path;

use arrow::array::AsArray as _;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use datafusion::logical_expr::ident;
use datafusion::prelude::SessionContext;
use kqlake_value::US_PER_DAY;
use serde_json::Value;

use super::*;
use crate::RowBuilder;
use crate::identity::{RecordHash, derived_id};
use crate::tables::{IS_WHOLE, find};

fn calls() -> &'static TableDef {
    find("CallRecords").expect("a table")
}

fn position() -> Position {
    Position { stream: "s".into(), cursor: 1.into(), import_id: "i".into() }
}

/// Versions of calls: id, day and version.
fn call_rows(rows: &[(impl AsRef<str>, i64, i64)]) -> RecordBatch {
    let mut out = RowBuilder::new(calls());
    let at = |name: &str| calls().index_of(name).expect("a column");
    for (id, day, version) in rows {
        out.set_str(at("id"), id.as_ref());
        out.set_datetime_us(at("startDateTime"), day * US_PER_DAY);
        out.set_i64(at("version"), *version);
        out.end_row();
    }
    out.finish().expect("rows")
}

/// Traces: id and message. The id `#1` is the one that is derived for the second record of its content.
fn trace_rows(rows: &[(&str, &str)]) -> RecordBatch {
    let def = find("traces").expect("a table");
    let at = |name: &str| def.index_of(name).expect("a column");
    let build = |ids: &[String]| {
        let mut out = RowBuilder::new(def);
        for (id, (_, message)) in ids.iter().zip(rows) {
            out.set_str(at("itemId"), id);
            out.set_datetime_us(at("timestamp"), 0);
            out.set_str(at("message"), message);
            out.end_row();
        }
        out.finish().expect("rows")
    };
    let ids: Vec<String> = rows.iter().map(|(id, _)| (*id).to_owned()).collect();
    let keys = Keyer::new(def).keys(&build(&ids), true).expect("keys");
    let id = |((id, _), key): (&(&str, &str), &super::super::keys::RowKey)| match id.strip_prefix('#') {
        Some(ordinal) => derived_id(RecordHash(key.content.cast_unsigned(), 0), ordinal.parse().expect("a number")),
        None => (*id).to_owned(),
    };
    build(&rows.iter().zip(&keys).map(id).collect::<Vec<_>>())
}

async fn land(root: &Path, def: &'static TableDef, rows: RecordBatch) -> Landed {
    let mut landing = Lake::new(root).land(def).await.expect("a landing");
    landing.write(rows).await.expect("written");
    landing.commit(position()).await.expect("committed")
}

/// A landing whose rows are in its files, and that is not committed.
async fn written(lake: &Lake, def: &'static TableDef, rows: RecordBatch) -> Landing {
    let mut landing = lake.land(def).await.expect("a landing");
    landing.write(rows).await.expect("written");
    landing.flush(true).await.expect("begun");
    landing.settle().await.expect("written");
    landing
}

/// The rows of a table: the texts of two columns.
async fn there(root: &Path, def: &'static TableDef, columns: [&str; 2]) -> Vec<String> {
    let table = Lake::new(root).provider(def).await.expect("a table");
    let frame = SessionContext::new().read_table(table).and_then(|rows| rows.select(columns.map(ident).to_vec()));
    let mut rows = Vec::new();
    for batch in frame.expect("a frame").collect().await.expect("rows") {
        let texts = [0, 1].map(|at| cast(batch.column(at), &DataType::Utf8).expect("texts"));
        rows.extend((0..batch.num_rows()).map(|row| texts.each_ref().map(|texts| texts.as_string::<i32>().value(row)).join(" ")));
    }
    rows.sort();
    rows
}

fn rows_of_files(landing: &Landing) -> Vec<u64> {
    landing.intake.files.iter().map(|written| written.rows).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_rows_of_one_key_in_parts_of_a_landing_the_greatest_stays() {
    // In files that a month gets at once, and in runs of many months.
    for months in [1, 8] {
        let dir = tempfile::tempdir().expect("a folder");
        let mut landing = Lake::new(dir.path()).land(calls()).await.expect("a landing").with_buffer(1);
        for versions in [[1, 3, 2], [2, 1, 2], [3, 2, 2]] {
            let of_month =
                |month| ["up", "down", "same"].into_iter().zip(versions).map(move |(id, version)| (id, month, version));
            let rows: Vec<_> = (0..months).flat_map(of_month).collect();
            let rows: Vec<_> =
                rows.iter().map(|(id, month, version)| (format!("{id} {month}"), month * 31 + 15, *version)).collect();
            landing.write(call_rows(&rows)).await.expect("written");
            landing.settle().await.expect("written");
            assert_eq!(landing.intake.has_runs(), months > 1);
        }
        let landed = landing.commit(position()).await.expect("committed");
        let count = months.cast_unsigned();
        assert_eq!((landed.new, landed.duplicates, landed.replaced), (3 * count, 6 * count, 0));
        let mut expected: Vec<String> = (0..months)
            .flat_map(|month| [format!("down {month} 3"), format!("same {month} 2"), format!("up {month} 3")])
            .collect();
        expected.sort();
        assert_eq!(there(dir.path(), calls(), ["id", "version"]).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_of_a_call_within_a_landing_gives_way_to_a_newer_one_whichever_came_first() {
    let def = find("CallSessions").expect("a table");
    let at = |name: &str| def.index_of(name).expect("a column");
    let version = |version: i64, sessions: &[&str]| {
        let mut out = RowBuilder::new(def);
        for session in sessions {
            out.set_str(at("callId"), "c");
            out.set_str(at("id"), session);
            out.set_datetime_us(at("startDateTime"), 0);
            out.set_i64(at("version"), version);
            out.set_bool(at(IS_WHOLE), true);
            out.end_row();
        }
        out.finish().expect("rows")
    };
    for order in [[1, 3], [3, 1]] {
        let dir = tempfile::tempdir().expect("a folder");
        let mut landing = Lake::new(dir.path()).land(def).await.expect("a landing").with_buffer(1);
        for number in order {
            let sessions: &[&str] = if number == 1 { &["s0", "s1"] } else { &["s0", "s2"] };
            landing.write(version(number, sessions)).await.expect("written");
        }
        let landed = landing.commit(position()).await.expect("committed");
        assert_eq!((landed.new, landed.duplicates), (2, 2), "{order:?}");
        assert_eq!(there(dir.path(), def, ["id", "version"]).await, ["s0 3", "s2 3"], "{order:?}");
        // What comes later of an older one is left out.
        let landed = land(dir.path(), def, version(2, &["s0", "s1"])).await;
        assert_eq!((landed.version, landed.new, landed.duplicates), (None, 0, 2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_others_landed_meanwhile_leave_the_files_and_the_rest_stays_where_it_is() {
    let dir = tempfile::tempdir().expect("a folder");
    land(dir.path(), calls(), call_rows(&[("z", 15, 1)])).await;
    let lake = Lake::new(dir.path());
    let rows = call_rows(&[("a", 15, 1), ("b", 46, 1), ("c", 74, 2), ("d", 74, 2)]);
    let mut landing = written(&lake, calls(), rows).await;
    assert_eq!((rows_of_files(&landing), landing.intake.looked.files), (vec![1, 1, 2], 1));
    let untouched = landing.intake.files[1].file.path.clone();
    // One file has no row left: the places of the other rows are others.
    land(dir.path(), calls(), call_rows(&[("a", 15, 1)])).await;
    let log = lake.log(calls()).await.expect("a log").expect("a table");
    let done = landing.reconcile(&log).await.expect("reconciled");
    assert_eq!((rows_of_files(&landing), done.replaced, landing.intake.looked.files), (vec![1, 2], 0, 2));
    assert_eq!(landing.intake.files[0].file.path, untouched);
    // One of two rows is less than the landed one, the other is greater.
    land(dir.path(), calls(), call_rows(&[("c", 74, 3), ("d", 74, 1)])).await;
    let log = lake.log(calls()).await.expect("a log").expect("a table");
    let done = landing.reconcile(&log).await.expect("reconciled");
    // What was looked at is not looked at again.
    assert_eq!((rows_of_files(&landing), done.replaced, landing.intake.looked.files), (vec![1, 1], 1, 3));
    let landed = landing.commit(position()).await.expect("committed");
    assert_eq!((landed.new, landed.duplicates, landed.replaced), (1, 2, 1));
    assert_eq!(there(dir.path(), calls(), ["id", "version"]).await, ["a 1", "b 1", "c 3", "d 2", "z 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_landing_all_of_whose_rows_landed_meanwhile_commits_nothing_and_leaves_no_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let rows = || call_rows(&[("a", 15, 1), ("b", 46, 1)]);
    let lake = Lake::new(dir.path());
    let landing = written(&lake, calls(), rows()).await;
    land(dir.path(), calls(), rows()).await;
    let landed = landing.commit(position()).await.expect("nothing to commit");
    assert_eq!(landed, Landed { duplicates: 2, ..Landed::default() });
    let log = lake.log(calls()).await.expect("a log").expect("a table");
    let files = crate::compact::data_files(&lake.table_dir(calls())).expect("files");
    assert_eq!((files.len(), log.files().len()), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_has_an_origin_and_behind_a_row_that_is_lost_nothing_is_committed() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = Lake::new(dir.path());
    let mut landing = lake.land(calls()).await.expect("a landing");
    for origins in [&[(1, 1)][..], &[(1, 2), (2, 1)]] {
        let error = landing.write_of(call_rows(&[("a", 15, 1), ("b", 15, 1)]), origins).await.expect_err("other rows");
        assert!(matches!(error, LakeError::Shape { .. }), "{error}");
    }
    // Of the two rows of one call that of the first origin is left out, and of the other two that of the third.
    let rows = call_rows(&[("a", 15, 1), ("b", 15, 1), ("c", 15, 1), ("a", 15, 2), ("b", 15, 1)]);
    landing.write_of(rows, &[(1, 1), (2, 2), (0, 1), (3, 1)]).await.expect("written");
    let landed = landing.commit(position()).await.expect("committed");
    let duplicate = OriginCounts { duplicates: 1, replaced: 0 };
    assert_eq!((landed.new, landed.duplicates, landed.origins), (3, 2, BTreeMap::from([(1, duplicate), (3, duplicate)])));
    // A row of one origin takes the place of a landed one, and nobody asks of the other.
    let mut landing = lake.land(calls()).await.expect("a landing");
    landing.write_of(call_rows(&[("a", 15, 3), ("b", 15, 2)]), &[(7, 1), (0, 1)]).await.expect("written");
    let landed = landing.commit(position()).await.expect("committed");
    let replaced = OriginCounts { duplicates: 0, replaced: 1 };
    assert_eq!((landed.new, landed.replaced, landed.origins), (0, 2, BTreeMap::from([(7, replaced)])));

    let mut landing = lake.land(calls()).await.expect("a landing").with_buffer(1);
    let mut without_id = RowBuilder::new(calls());
    without_id.set_datetime_us(calls().index_of("startDateTime").expect("a column"), 0);
    without_id.end_row();
    landing.write(without_id.finish().expect("a row")).await.expect("begun");
    let lost = landing.settle().await.expect_err("a row without a key");
    assert!(matches!(lost, LakeError::Missing { column: "id", .. }), "{lost}");
    assert!(matches!(landing.write(call_rows(&[("d", 15, 1)])).await, Err(LakeError::Shape { .. })));
    assert!(matches!(landing.commit(position()).await, Err(LakeError::Shape { .. })));
    assert_eq!(there(dir.path(), calls(), ["id", "version"]).await, ["a 3", "b 2", "c 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_with_and_without_an_id_meet_whichever_was_committed_first() {
    let def = find("traces").expect("a table");
    let first = [("x", "m"), ("#0", "n")];
    for (ours, theirs, expected, counts) in [
        (&[("#0", "m"), ("y", "o")][..], &first[..], &["n #", "m x", "o y"][..], (1, 1, 0)),
        (&[("#0", "m"), ("#1", "m"), ("y", "o")], &first, &["n #", "m #", "m x", "o y"], (2, 1, 0)),
        (&[("x", "n"), ("y", "o")], &[("#0", "n"), ("#0", "p")], &["n x", "o y", "p #"], (1, 0, 1)),
        (&[("x", "n"), ("y", "o")], &[("#0", "n"), ("#1", "n")], &["n #", "n x", "o y"], (1, 0, 1)),
        (&[("y", "o")], &first, &["m x", "n #", "o y"], (1, 0, 0)),
        // The second row without an id is in both, and has a record with one only in both together.
        (
            &[("x", "m"), ("#0", "m"), ("#1", "m"), ("z", "o")],
            &[("y", "m"), ("#0", "m"), ("#1", "m")],
            &["m x", "m y", "o z"],
            (1, 2, 1),
        ),
    ] {
        let dir = tempfile::tempdir().expect("a folder");
        let landing = written(&Lake::new(dir.path()), def, trace_rows(ours)).await;
        land(dir.path(), def, trace_rows(theirs)).await;
        let landed = landing.commit(position()).await.expect("committed");
        assert_eq!((landed.new, landed.duplicates, landed.replaced), counts, "{ours:?} {theirs:?}");
        // Derived ids are long.
        let short =
            |row: &String| row.split_once(' ').map(|(message, id)| format!("{message} {}", if id.len() > 1 { "#" } else { id }));
        let mut found: Vec<String> = there(dir.path(), def, ["message", "itemId"]).await.iter().filter_map(short).collect();
        found.sort();
        let mut expected: Vec<&str> = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(found, expected, "{ours:?} {theirs:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_landing_takes_up_columns_that_its_table_got_and_adds_those_that_it_lost() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = Lake::new(dir.path());
    let mut landing = lake.land(calls()).await.expect("a landing");
    let (table, theirs) = (lake.table_dir(calls()), Arc::new(Field::new("theirs", DataType::Utf8, true)));
    let log = Lake::new(dir.path()).log(calls()).await.expect("a log").expect("a table");
    log.add_columns(&[theirs], &table).await.expect("added");
    let now = lake.log(calls()).await.expect("a log").expect("a table");
    assert!(landing.layout.core.field_with_name("theirs").is_err());
    // Rows that are replaced keep what they have there.
    assert!(landing.prepare(now).await.expect("a look").is_some());
    assert!(landing.layout.core.field_with_name("theirs").is_ok());

    // A table of an earlier program took the place of the one that the landing began with.
    let commit = table.join("_delta_log/00000000000000000000.json");
    let text = fs::read_to_string(&commit).expect("a commit");
    let earlier = |line: &str| {
        let mut action: Value = serde_json::from_str(line).expect("JSON");
        if let Some(text) = action["metaData"]["schemaString"].as_str() {
            let mut schema: Value = serde_json::from_str(text).expect("JSON");
            schema["fields"].as_array_mut().expect("columns").retain(|field| field["name"] != "modalities");
            action["metaData"]["schemaString"] = schema.to_string().into();
        }
        format!("{action}\n")
    };
    fs::write(&commit, text.lines().map(earlier).collect::<String>()).expect("written");
    fs::remove_file(table.join("_delta_log/00000000000000000001.json")).expect("removed");
    let lacking = Lake::new(dir.path()).log(calls()).await.expect("a log").expect("a table");
    assert!(lacking.schema().field_with_name("modalities").is_err());
    assert!(landing.prepare(lacking).await.expect("a look").is_none(), "it is looked at again");
    let now = lake.log(calls()).await.expect("a log").expect("a table");
    assert!(now.schema().field_with_name("modalities").is_ok());
    assert!(landing.prepare(now).await.expect("a look").is_some());
    assert!(landing.layout.core.field_with_name("theirs").is_err());
    landing.abort().await;
}
