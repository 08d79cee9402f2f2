//! What is done when an import is done: small files of the tables that got rows are merged, so that drops every few minutes do
//! not leave a file each.

use std::collections::BTreeMap;

use tokio::task::JoinSet;

use kqlake_lake::tables::find;
use kqlake_lake::{CompactOptions, Lake};

/// Merges small files of tables, by the rows that they have just got, all at once. The rows are in the lake: a failure is said,
/// and the next import or compaction does it.
pub(crate) async fn merge_small(lake: &Lake, landed: &BTreeMap<&'static str, u64>, memory: usize) {
    let mut tasks = JoinSet::new();
    for (table, rows) in landed {
        let Some(def) = find(table) else { continue };
        let (lake, rows) = (lake.clone(), *rows);
        let options = CompactOptions { memory_bytes: memory / landed.len(), ..CompactOptions::default() };
        tasks.spawn(async move { (def.name, lake.merge_small(def, rows, &options).await) });
    }
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok((table, Ok(report))) if report.merged > 0 => {
                let (merged, written, deleted) = (report.merged, report.written, report.deleted);
                tracing::info!(table, merged, written, deleted, "small files merged");
            }
            Ok((_, Ok(_))) => {}
            Ok((table, Err(error))) => tracing::warn!(table, %error, "small files not merged"),
            Err(error) => tracing::warn!(%error, "small files not merged"),
        }
    }
}
