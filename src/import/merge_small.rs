//! What is done when an import is done: small files of the tables that got rows are merged, so that drops every few minutes do
//! not leave a file each.

use std::collections::BTreeMap;
use std::path::Path;

use kqlake_lake::tables::find;
use kqlake_lake::{CompactOptions, Lake};

/// The part of the tables that are merged in one run, and one more: what is due at once is spread over the next imports.
const PART: usize = 4;

/// Merges small files of tables, by the rows that they have just got. The rows are in the lake: a failure is said, and the next
/// import or compaction does it.
pub(crate) async fn merge_small(lake: &Lake, landed: &BTreeMap<&'static str, u64>, memory: usize, spill_dir: Option<&Path>) {
    let spill_dir = spill_dir.map(Path::to_owned);
    let options = CompactOptions { memory_bytes: memory, spill_dir, ..CompactOptions::default() };
    let mut left = 1 + landed.len() / PART;
    for (table, rows) in landed {
        let Some(def) = find(table).filter(|_| left > 0) else { continue };
        match lake.merge_small(def, *rows, &options).await {
            Ok(report) if report.merged > 0 => {
                let (merged, written, deleted) = (report.merged, report.written, report.deleted);
                tracing::info!(table, merged, written, deleted, "small files merged");
                left -= 1;
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(table, %error, "small files not merged"),
        }
    }
}
