//! Rows of one record under two ids.
//!
//! Application Insights records carry an item id in some shapes (query answers, portal CSV) and none in others (export
//! blobs, where the row's id is a hash of its content). A record that arrives in both kinds of shape would land twice: the
//! ids differ. So rows keep a hash of their content beside their id, and a row is left out when a row of the same content
//! is there and one of the two has no id of its own. Two rows with ids of their own are never taken for one.

use std::collections::{BTreeSet, HashMap, HashSet};

use arrow::array::{Array, AsArray as _, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use datafusion::prelude::{SessionContext, col};

use super::ImportError;
use super::record_hash::RecordHash;
use kqlake_lake::tables::TableDef;
use kqlake_lake::{Lake, LakeError};
use kqlake_value::columns::value_at;
use kqlake_value::{Type, US_PER_DAY};

/// The hidden column with the hash of what all shapes of a record share.
pub(crate) const CONTENT_ID: &str = "_contentId";
/// The column with the source's id, or a hash where it gave none.
const ITEM_ID: &str = "itemId";

/// A content's hash as its column keeps it.
pub(crate) fn content_id(content: RecordHash) -> i64 {
    content.0.cast_signed()
}

/// True when an item id is a hash that we gave, of the content with this content id.
fn is_derived(item_id: &str, content: i64) -> bool {
    item_id.len() == 32
        && u64::from_str_radix(item_id.get(..16).unwrap_or_default(), 16).is_ok_and(|hash| hash.cast_signed() == content)
}

/// Kinds of ids that a content was seen with.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    own: bool,
    derived: bool,
}

/// The contents of a table's rows on the days that rows came for.
#[derive(Debug)]
pub(crate) struct Twins {
    table: &'static TableDef,
    days: HashSet<i64>,
    seen: HashMap<i64, Seen>,
}

impl Twins {
    /// What is known of a table at first; `None` for tables whose rows keep no content id.
    pub(crate) fn new(table: &'static TableDef) -> Option<Self> {
        let fits = table.index_of(CONTENT_ID).is_some() && table.index_of(ITEM_ID).is_some();
        fits.then(|| Self { table, days: HashSet::new(), seen: HashMap::new() })
    }

    /// The batch without rows whose record is in the lake, or came before, under another id.
    ///
    /// # Errors
    /// The rows at rest cannot be read.
    pub(crate) async fn leave_out(&mut self, lake: &Lake, batch: RecordBatch) -> Result<RecordBatch, ImportError> {
        let arrow = |source| ImportError::Lake(LakeError::Arrow { table: self.table.name, source });
        let Some(times) =
            batch.column_by_name(self.table.time).and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>()).cloned()
        else {
            return Ok(batch);
        };
        let days: HashSet<i64> =
            times.values().iter().map(|time| time.div_euclid(US_PER_DAY)).filter(|day| !self.days.contains(day)).collect();
        self.load(lake, days).await?;
        let mut keep = vec![true; batch.num_rows()];
        each(&batch, |row, content, item_id| {
            let derived = is_derived(item_id, content);
            let seen = self.seen.entry(content).or_default();
            if seen.derived || (derived && seen.own) {
                keep[row] = false;
            } else if derived {
                seen.derived = true;
            } else {
                seen.own = true;
            }
        });
        if keep.iter().all(|k| *k) {
            return Ok(batch);
        }
        filter_record_batch(&batch, &BooleanArray::from(keep)).map_err(arrow)
    }

    /// Reads the contents of days that were not looked at yet.
    async fn load(&mut self, lake: &Lake, days: HashSet<i64>) -> Result<(), ImportError> {
        if days.is_empty() {
            return Ok(());
        }
        let Some(snapshot) = lake.snapshot(self.table).await? else { return Ok(()) };
        // Files without rows of these days are not opened: whatever is wrong with them is no matter of these rows.
        let dates: BTreeSet<i32> = days.iter().filter_map(|day| i32::try_from(*day).ok()).collect();
        let (rows, files) = snapshot.of_days(&dates);
        let frame = SessionContext::new()
            .read_table(rows)
            .and_then(|table| table.select([CONTENT_ID, ITEM_ID].map(|name| col(format!("\"{name}\""))).to_vec()));
        let batches = match frame {
            Ok(frame) => frame.collect().await,
            Err(error) => Err(error),
        };
        let failed = |error: datafusion::error::DataFusionError| {
            ImportError::Lake(snapshot.failure(error, files.iter().copied()))
        };
        for batch in batches.map_err(failed)? {
            each(&batch, |_, content, item_id| {
                let seen = self.seen.entry(content).or_default();
                if is_derived(item_id, content) { seen.derived = true } else { seen.own = true }
            });
        }
        self.days.extend(days);
        Ok(())
    }
}

/// Gives each row that has a content id, with its item id.
fn each(batch: &RecordBatch, mut visit: impl FnMut(usize, i64, &str)) {
    let contents = batch.column_by_name(CONTENT_ID).and_then(|c| c.as_primitive_opt::<Int64Type>());
    let (Some(contents), Some(ids)) = (contents, batch.column_by_name(ITEM_ID)) else { return };
    for row in 0..batch.num_rows() {
        if contents.is_valid(row) {
            visit(row, contents.value(row), value_at(ids, Type::String, row).as_str().unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_ids_are_told_from_own_ones() {
        let content = RecordHash::of(b"record");
        assert!(is_derived(&content.hex(), content_id(content)));
        assert!(!is_derived(&RecordHash::of(b"other").hex(), content_id(content)));
        assert!(!is_derived("19aedcf0-ef3a-5254-8c49-12e3d177ade7", content_id(content)));
        assert!(!is_derived("", content_id(content)));
    }
}
