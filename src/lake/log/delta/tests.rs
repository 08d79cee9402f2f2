use super::*;
use crate::tables::find;
use crate::{CompactOptions, Lake, Position, RowBuilder};
use kqlake_value::US_PER_DAY;

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
