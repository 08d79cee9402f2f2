//! One version of a table: its live files with what the log knows of them.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::foreign::kql_field;
use crate::data::file::{check_file, read_through};
use crate::data::layout::{Layout, PromotedTag, TAG_CLUSTERED_BY, TAG_LAYOUT, TAG_PROMOTED, TAG_SORTED_BY, days_of, times_of};
use crate::day::day_text;
use crate::error::{LakeError, is_of_decoder, lake_cause};
use crate::log::delta::Log;
use crate::log::entry::FileEntry;
use crate::partition::Partition;
use crate::tables::{EVENT_MONTH, TableDef};
use kqlake_value::parse::datetimes::{DateOrder, record};

/// What is known of a column's values in a file. Bounds may be wider than the values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bounds {
    /// No value is less.
    pub least: Option<ScalarValue>,
    /// No value is greater.
    pub greatest: Option<ScalarValue>,
    /// Rows without a value.
    pub nulls: Option<u64>,
    /// True when the bounds are values that occur.
    pub exact: bool,
}

/// A live file.
#[derive(Debug, Clone)]
pub struct LiveFile {
    /// Its entry in the log.
    pub(crate) entry: FileEntry,
    /// The part of the table that it belongs to.
    pub(crate) partition: Partition,
    /// The days that its rows can be of, in days since 1970.
    pub days: RangeInclusive<i32>,
    /// Its rows, when the log says.
    pub(crate) rows: Option<u64>,
    /// Its least and greatest time in microseconds, when the file was written here.
    pub(crate) time: Option<(i64, i64)>,
    /// True when its rows are known to be sorted by time.
    pub(crate) sorted: bool,
    /// True when its rows are known to have the order of files: by the clustering columns, then by time.
    pub(crate) clustered: bool,
    /// Which promoted columns answer for their bags.
    pub(crate) promoted: PromotedTag,
    /// The schema of the file, when its tag says it.
    pub(crate) file_schema: Option<SchemaRef>,
    /// Bounds by column position in [`TableSnapshot::schema`].
    pub(crate) bounds: HashMap<usize, Bounds>,
}

impl LiveFile {
    /// Path below the table's folder.
    pub fn path(&self) -> &str {
        &self.entry.path
    }

    /// Size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.entry.size
    }
}

/// Numbers of a table, from its log alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableStats {
    /// The table's version.
    pub version: i64,
    /// Rows of the files that say how many they have; all that were written here do.
    pub rows: u64,
    /// Live files.
    pub files: usize,
    /// Their size.
    pub bytes: u64,
    /// The first day that has rows, such as `2026-01-05`.
    pub first_date: Option<String>,
    /// The last day that has rows.
    pub last_date: Option<String>,
    /// The first instant in microseconds since 1970, where every file says it.
    pub first_time: Option<i64>,
    /// The last instant in microseconds since 1970, where every file says it.
    pub last_time: Option<i64>,
}

/// One version of a table. Cloning is cheap, and a snapshot stays as it is while the table continues.
#[derive(Debug, Clone)]
pub struct TableSnapshot(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    def: &'static TableDef,
    version: i64,
    dir: PathBuf,
    layout: Arc<Layout>,
    schema: SchemaRef,
    /// The same columns as KQL takes them.
    kql: SchemaRef,
    files: Vec<LiveFile>,
}

/// The log's statistics of a file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FileStats {
    num_records: Option<u64>,
    min_values: Map<String, Value>,
    max_values: Map<String, Value>,
    null_count: Map<String, Value>,
}

impl TableSnapshot {
    pub(crate) fn new(def: &'static TableDef, dir: &Path, log: &Log) -> Result<Self, LakeError> {
        let layout = Arc::new(Layout::of(def, log)?);
        let mut fields: Vec<Arc<Field>> = layout.file.fields().iter().cloned().collect();
        if let Some(month) = def.columns.iter().find(|c| c.name == EVENT_MONTH) {
            fields.push(Arc::new(def.field(month)));
        }
        let known = |field: &FieldRef| def.index_of(field.name()).is_some();
        let kql = fields.iter().map(|field| if known(field) { field.clone() } else { kql_field(field) }).collect::<Vec<_>>();
        let (schema, kql) = (Arc::new(Schema::new(fields)), Arc::new(Schema::new(kql)));
        let positions: HashMap<&str, usize> =
            layout.file.fields().iter().enumerate().map(|(at, f)| (f.name().as_str(), at)).collect();
        // Most files have the same few sets of columns.
        let mut schemas: HashMap<&str, Option<SchemaRef>> = HashMap::new();
        let mut files = Vec::with_capacity(log.files().len());
        for entry in log.files() {
            let file_schema = match entry.tags.get(TAG_LAYOUT).and_then(|t| t.as_deref()) {
                Some(tag) => schemas
                    .entry(tag)
                    .or_insert_with(|| layout.columns_by_tag(Some(tag)).map(|columns| layout.file_schema(&columns)))
                    .clone(),
                None => None,
            };
            files.push(live_file(def, &layout, &positions, entry.clone(), file_schema)?);
        }
        Ok(TableSnapshot(Arc::new(Inner { def, version: log.version(), dir: dir.to_owned(), layout, schema, kql, files })))
    }

    /// The table's definition.
    pub fn def(&self) -> &'static TableDef {
        self.0.def
    }

    /// The table's version.
    pub(crate) fn version(&self) -> i64 {
        self.0.version
    }

    /// The columns: the definition's, then those that only the lake has, then the partition column.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.0.schema
    }

    /// The columns as KQL takes them; they differ for some of those that only the lake has.
    pub(crate) fn kql_schema(&self) -> &SchemaRef {
        &self.0.kql
    }

    /// The columns that other writers added, as they are at rest.
    pub fn foreign(&self) -> impl Iterator<Item = &FieldRef> {
        self.0.schema.fields().iter().filter(|field| self.0.def.index_of(field.name()).is_none())
    }

    /// The live files.
    pub fn files(&self) -> &[LiveFile] {
        &self.0.files
    }

    /// The table's folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.0.dir
    }

    pub(crate) fn layout(&self) -> &Arc<Layout> {
        &self.0.layout
    }

    /// True when a promoted column alone can answer for its bag in every live file: it is null exactly where the bag has
    /// no such key, and reads in KQL as the bag's value does.
    pub fn promoted_complete(&self, column: &str) -> bool {
        let known = self.0.def.columns.iter().any(|c| c.name == column && c.promoted.is_some());
        known && self.0.files.iter().all(|f| f.promoted.complete(self.0.def, column))
    }

    /// True when a promoted column alone can answer for its bag in some live file.
    pub fn promoted_in_some(&self, column: &str) -> bool {
        let known = self.0.def.columns.iter().any(|c| c.name == column && c.promoted.is_some());
        known && self.0.files.iter().any(|f| f.promoted.complete(self.0.def, column))
    }

    /// Looks at every data file without reading it.
    ///
    /// # Errors
    /// The first that is missing, or has another size than the log says.
    pub fn check_files(&self) -> Result<(), LakeError> {
        self.files().iter().try_for_each(|file| check_file(self.def().name, self.dir(), &file.entry))
    }

    /// What a failure of reading some files of this version means: which file is broken, where one is. The decoder does not
    /// know which file it reads, so they may all have to be read through; for other errors none is.
    pub fn failure<'a>(&self, source: DataFusionError, files: impl IntoIterator<Item = &'a LiveFile>) -> LakeError {
        let broken = || files.into_iter().find_map(|file| read_through(self.def().name, self.dir(), &file.entry).err());
        lake_cause(&source)
            .or_else(|| is_of_decoder(&source).then(broken).flatten())
            .unwrap_or(LakeError::Read { table: self.def().name, source })
    }

    /// Numbers of this version.
    pub fn stats(&self) -> TableStats {
        let files = &self.0.files;
        let times: Option<Vec<(i64, i64)>> = files.iter().map(|f| f.time).collect();
        TableStats {
            version: self.0.version,
            rows: files.iter().filter_map(|f| f.rows).sum(),
            files: files.len(),
            bytes: files.iter().map(LiveFile::size).sum(),
            first_date: files.iter().map(|f| *f.days.start()).min().and_then(day_text),
            last_date: files.iter().map(|f| *f.days.end()).max().and_then(day_text),
            first_time: times.as_ref().and_then(|t| t.iter().map(|t| t.0).min()),
            last_time: times.as_ref().and_then(|t| t.iter().map(|t| t.1).max()),
        }
    }
}

/// Reads a file's entry.
fn live_file(
    def: &'static TableDef,
    layout: &Layout,
    positions: &HashMap<&str, usize>,
    entry: FileEntry,
    file_schema: Option<SchemaRef>,
) -> Result<LiveFile, LakeError> {
    if entry.has_deletion_vector {
        return Err(LakeError::Unsupported { table: def.name, feature: "deletionVectors".into() });
    }
    let no_partition =
        || LakeError::Shape { table: def.name, reason: format!("file {} has no {}", entry.path, layout.partitioning.column()) };
    let partition = entry.partition.ok_or_else(no_partition)?;
    let days = days_of(&entry).ok_or_else(no_partition)?;
    let tag = |name: &str| entry.tags.get(name).and_then(|v| v.as_deref());
    let ours = tag(TAG_LAYOUT).is_some();
    let time = times_of(&entry);
    // Statistics that cannot be read prune nothing; they are no reason to refuse the file.
    let stats: FileStats = entry.stats.as_deref().and_then(|s| serde_json::from_str(s).ok()).unwrap_or_default();
    let mut bounds = HashMap::new();
    let instant = |us| ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into()));
    for name in stats.null_count.keys().chain(stats.min_values.keys()).chain(stats.max_values.keys()) {
        let Some(&at) = positions.get(name.as_str()) else { continue };
        if bounds.contains_key(&at) {
            continue;
        }
        let ty = layout.file.field(at).data_type();
        let nulls = stats.null_count.get(name).and_then(Value::as_u64);
        let found = if let (true, Some((first, last))) = (name == def.time, time) {
            Bounds { least: Some(instant(first)), greatest: Some(instant(last)), nulls, exact: true }
        } else {
            let value = |of: &Map<String, Value>, greatest| of.get(name).and_then(|v| bound(v, ty, greatest));
            let exact = ours && matches!(ty, DataType::Int32 | DataType::Int64);
            Bounds { least: value(&stats.min_values, false), greatest: value(&stats.max_values, true), nulls, exact }
        };
        bounds.insert(at, found);
    }
    let sorted = tag(TAG_SORTED_BY) == Some(def.time) && time.is_some();
    Ok(LiveFile {
        partition,
        days,
        rows: stats.num_records,
        time,
        sorted,
        clustered: if def.clustering.is_empty() { sorted } else { tag(TAG_CLUSTERED_BY) == Some(layout.order_tag.as_str()) },
        promoted: PromotedTag::parse(tag(TAG_PROMOTED)),
        file_schema,
        bounds,
        entry,
    })
}

/// A bound as the log states it. Instants there are cut to milliseconds, so the greatest is up to 999 µs too small.
fn bound(value: &Value, ty: &DataType, greatest: bool) -> Option<ScalarValue> {
    match ty {
        DataType::Int64 => value.as_i64().map(|v| ScalarValue::Int64(Some(v))),
        DataType::Int32 => value.as_i64().and_then(|v| i32::try_from(v).ok()).map(|v| ScalarValue::Int32(Some(v))),
        DataType::Utf8 => value.as_str().map(|v| ScalarValue::Utf8(Some(v.to_owned()))),
        DataType::Timestamp(..) => {
            let instant = record(value.as_str()?, DateOrder::default())?;
            let us = if greatest { instant.checked_add(999)? } else { instant };
            Some(ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into())))
        }
        // Floating point bounds say nothing of NaN, and other types are not worth it.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn instants_of_the_log_are_widened() {
        let ty = kqlake_value::columns::stored_type(kqlake_value::Type::DateTime);
        let us = |value: &Value, greatest| match bound(value, &ty, greatest) {
            Some(ScalarValue::TimestampMicrosecond(v, _)) => v,
            _ => None,
        };
        let text = json!("1970-01-01T00:00:00.001Z");
        assert_eq!((us(&text, false), us(&text, true)), (Some(1_000), Some(1_999)));
        assert_eq!(us(&json!("nonsense"), true), None);
    }

    #[test]
    fn numbers_and_texts_of_the_log_are_bounds_where_they_are_of_the_columns_type() {
        for greatest in [false, true] {
            let of = |value: &Value, ty: &DataType| bound(value, ty, greatest);
            assert_eq!(of(&json!(5), &DataType::Int64), Some(ScalarValue::Int64(Some(5))));
            assert_eq!(of(&json!(5), &DataType::Int32), Some(ScalarValue::Int32(Some(5))));
            assert_eq!(of(&json!(1_i64 << 31), &DataType::Int32), None);
            assert_eq!(of(&json!("x"), &DataType::Utf8), Some(ScalarValue::Utf8(Some("x".to_owned()))));
            for (value, ty) in [(json!("5"), DataType::Int64), (json!(5), DataType::Utf8), (json!(1.5), DataType::Int64)] {
                assert_eq!(of(&value, &ty), None, "{value}");
            }
        }
    }
}
