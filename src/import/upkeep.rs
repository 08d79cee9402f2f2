//! What is done when an import is done: upkeep of the tables that got rows, so that drops every few minutes do not leave a file each,
//! nor logs that get longer and longer.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;

use kqlake_lake::tables::{TableDef, find};
use kqlake_lake::{CompactOptions, Lake, Overdue, Upkeep};

/// The part of the tables that a step of upkeep is done for in one run, and one more: what is due at once is spread over the next
/// imports, since each step takes a part of the time of an import of a few rows.
const PART: usize = 8;

/// Does what is most overdue of the upkeep of tables, by the rows that they have just got. The rows are in the lake: a failure is said,
/// the next step is done in its place, and the next import or compaction tries it again.
pub(crate) async fn keep_up(lake: &Lake, landed: &BTreeMap<&'static str, u64>, memory: usize, spill_dir: Option<&Path>) {
    let spill_dir = spill_dir.map(Path::to_owned);
    let options = CompactOptions { memory_bytes: memory, spill_dir, ..CompactOptions::default() };
    let mut due: Vec<(Overdue, &'static TableDef, u64)> = Vec::new();
    for (table, rows) in landed {
        let Some(def) = find(table) else { continue };
        match lake.overdue(def, *rows).await {
            Ok(steps) => due.extend(steps.into_iter().map(|step| (step, def, *rows))),
            Err(error) => tracing::warn!(table, %error, "its upkeep is not known"),
        }
    }
    due.sort_by_key(|(step, def, _)| (Reverse(*step), def.name));
    let mut left = 1 + landed.len() / PART;
    for ((overdue, step), def, rows) in due {
        let table = def.name;
        let report = match lake.keep_up(def, rows, step, &options).await {
            Ok(report) => report,
            Err(error) => {
                match step {
                    Upkeep::Merge => tracing::warn!(table, %error, "small files not merged"),
                    Upkeep::Checkpoint => tracing::warn!(table, %error, "the log got no checkpoint"),
                }
                continue;
            }
        };
        for error in &report.left {
            match step {
                Upkeep::Merge => tracing::warn!(table, %error, "a small file is not merged"),
                Upkeep::Checkpoint => tracing::warn!(table, %error, "removed files are not deleted"),
            }
        }
        // What cannot be done is in nobody's way: the next one is done in its place.
        if !report.is_done {
            continue;
        }
        match step {
            Upkeep::Merge => {
                tracing::info!(table, overdue, merged = report.merged, written = report.written, "small files merged");
            }
            Upkeep::Checkpoint => tracing::info!(table, overdue, deleted = report.deleted, "the log has a checkpoint"),
        }
        left -= 1;
        if left == 0 {
            break;
        }
    }
}
