//! Writes a table's Parquet files: one partition and one sort order a file, statistics for the log from what was written.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Schema, SchemaRef, TimestampMicrosecondType};
use chrono::DateTime;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::{ParquetMetaData, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::statistics::Statistics;
use serde_json::{Map, Value, json};

use super::file::CHUNK_ROWS;
use super::layout::{Layout, Source, TAG_CLUSTERED_BY, TAG_LAYOUT, TAG_PROMOTED, TAG_SORTED_BY, TAG_TIME, promoted_tag};
use super::order::OrderCheck;
use super::promote::Promoter;
use crate::error::LakeError;
use crate::log::entry::NewFile;
use crate::partition::Partition;
use crate::tables::{KeySpan, TableDef};
use kqlake_durable as durable;
use kqlake_value::Type;

/// Rows of a row group: what is read together, and skipped by its bounds alone (benches/README.md has the figures).
const ROW_GROUP_ROWS: usize = 128 * 1024;
/// Rows of a page: what is skipped inside a row group, so that a day of one event is found in a month of it.
const PAGE_ROWS: usize = 8 * 1024;
/// Bytes of a page.
const PAGE_BYTES: usize = 1 << 20;
/// The same of runs, of which many are read side by side, a page of each column.
const RUN_PAGE_ROWS: usize = 1024;
const RUN_PAGE_BYTES: usize = 32 << 10;
/// Bytes of a row group of a run.
const RUN_GROUP_BYTES: usize = 8 << 20;
/// Bytes of a row group: it is in memory until it is written.
const ROW_GROUP_BYTES: usize = 64 << 20;
/// Longest text that the log keeps as a column's least or greatest value.
const STATISTIC_BYTES: usize = 128;

/// What a file is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// New rows, in the order of files: to be there soon.
    Landing,
    /// Rows of other files, in the order of files: to be read often.
    Compaction,
    /// Rows of another file in its order, whatever that is.
    Copy,
    /// Rows that are read once more, and then written again.
    Run,
}

impl Effort {
    /// The level of compression.
    fn level(self) -> i32 {
        match self {
            Effort::Landing | Effort::Copy | Effort::Run => 1,
            Effort::Compaction => 6,
        }
    }
}

/// One file in the making. Rows should come in the order of files; the file is tagged as sorted only as far as they did.
pub(crate) struct FileWriter {
    layout: Arc<Layout>,
    dir: PathBuf,
    /// Where it is until it is complete.
    path: PathBuf,
    /// Its name below the table's folder.
    relative: String,
    partition: Partition,
    effort: Effort,
    /// Which of the layout's columns the file has, and their schema.
    columns: Vec<bool>,
    schema: SchemaRef,
    writer: ArrowWriter<BufWriter<File>>,
    promoter: Promoter,
    complete: Vec<bool>,
    rows: u64,
    first: i64,
    last: i64,
    previous: i64,
    sorted: bool,
    order: OrderCheck,
}

/// What the names of files that are written here begin and end with; a random number is between.
const PREFIX: &str = "part-";
const SUFFIX: &str = ".parquet";
/// What a file's name has before and behind it until the file is complete: nothing that searches for Parquet files finds it.
const HIDDEN: &str = ".";
const PARTIAL: &str = ".partial";

/// True for the name of a file that [`FileWriter`] may have written.
pub(crate) fn is_own_name(name: &str) -> bool {
    let name = name.strip_prefix(HIDDEN).and_then(|rest| rest.strip_suffix(PARTIAL)).unwrap_or(name);
    let number = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    // Other writers put more behind a number of the same form.
    number.is_some_and(|number| {
        number.len() == 36 && uuid::Uuid::try_parse(number).is_ok_and(|id| id.get_version_num() == 4 && id.to_string() == number)
    })
}

impl FileWriter {
    /// Opens a new file for a partition's rows below a table's folder, with some of the layout's columns: those that may have
    /// values.
    ///
    /// # Errors
    /// The file cannot be made.
    pub(crate) fn create(
        layout: &Arc<Layout>,
        dir: &Path,
        partition: Partition,
        columns: &[bool],
        effort: Effort,
    ) -> Result<Self, LakeError> {
        let folder = format!("{}={}", partition.by.column(), partition.text());
        let name = format!("{PREFIX}{}{SUFFIX}", uuid::Uuid::new_v4());
        let path = dir.join(&folder).join(format!("{HIDDEN}{name}{PARTIAL}"));
        let io = |source| LakeError::Io { table: layout.def.name, path: path.clone(), source };
        if let Some(parent) = path.parent() {
            durable::create_folders(parent).map_err(io)?;
        }
        Self::open(layout, dir, path, format!("{folder}/{name}"), partition, columns, effort)
    }

    /// Opens a temporary file for rows of several partitions, of which one is the first, in a folder for temporary files below a
    /// table's.
    ///
    /// # Errors
    /// The file cannot be made.
    pub(crate) fn run(
        layout: &Arc<Layout>,
        dir: &Path,
        staging: &Path,
        first: Partition,
        columns: &[bool],
    ) -> Result<Self, LakeError> {
        let path = staging.join(uuid::Uuid::new_v4().to_string());
        let relative = path.strip_prefix(dir).unwrap_or(&path).to_string_lossy().into_owned();
        Self::open(layout, dir, path, relative, first, columns, Effort::Run)
    }

    fn open(
        layout: &Arc<Layout>,
        dir: &Path,
        path: PathBuf,
        relative: String,
        partition: Partition,
        columns: &[bool],
        effort: Effort,
    ) -> Result<Self, LakeError> {
        let table = layout.def.name;
        let io = |source| LakeError::Io { table, path: path.clone(), source };
        let file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(io)?;
        let schema = layout.file_schema(columns);
        let options = ArrowWriterOptions::new()
            .with_properties(properties(layout, &schema, effort)?)
            // The Parquet types say it all; hundreds of field descriptions in every footer would not be read by anyone.
            .with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(BufWriter::with_capacity(1 << 16, file), schema.clone(), options)
            .map_err(|e| LakeError::from_parquet(table, path.clone(), e))?;
        let promoter = Promoter::new(layout.def);
        Ok(FileWriter {
            order: OrderCheck::new(layout)?,
            complete: vec![true; promoter.names().len()],
            promoter,
            layout: layout.clone(),
            dir: dir.to_owned(),
            path,
            relative,
            partition,
            effort,
            columns: columns.to_vec(),
            schema,
            writer,
            rows: 0,
            first: i64::MAX,
            last: i64::MIN,
            previous: i64::MIN,
            sorted: true,
        })
    }

    /// Adds core rows.
    ///
    /// # Errors
    /// The disk refuses.
    pub(crate) fn write(&mut self, core: &RecordBatch) -> Result<(), LakeError> {
        let mut at = 0;
        while at < core.num_rows() {
            let rows = CHUNK_ROWS.min(core.num_rows() - at);
            self.write_chunk(&core.slice(at, rows))?;
            at += rows;
        }
        Ok(())
    }

    fn write_chunk(&mut self, core: &RecordBatch) -> Result<(), LakeError> {
        let (rows, complete) = self.layout.with_promoted(&mut self.promoter, core)?;
        self.write_promoted(&rows, &complete)
    }

    /// Adds rows of all file columns, of whose promoted columns some alone can answer for their bag.
    ///
    /// # Errors
    /// The disk refuses.
    pub(crate) fn write_promoted(&mut self, rows: &RecordBatch, complete: &[bool]) -> Result<(), LakeError> {
        let table = self.layout.def.name;
        for &time in rows.column(self.layout.time).as_primitive::<TimestampMicrosecondType>().values() {
            self.sorted &= self.previous <= time;
            self.previous = time;
            self.first = self.first.min(time);
            self.last = self.last.max(time);
        }
        self.order.take(rows)?;
        self.complete.iter_mut().zip(complete).for_each(|(all, now)| *all &= now);
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for ((source, there), column) in self.layout.sources.iter().zip(&self.columns).zip(rows.columns()) {
            if *there {
                columns.push(column.clone());
            } else if column.null_count() < column.len() {
                // The caller was wrong that there are no values; for a promoted column the bag still has them.
                match *source {
                    Source::Promoted(at) => self.complete[at] = false,
                    Source::Core(at) => {
                        let name = self.layout.core.field(at).name();
                        let reason = format!("column {name} has values that its file has no room for");
                        return Err(LakeError::Shape { table, reason });
                    }
                }
            }
        }
        let batch = RecordBatch::try_new(self.schema.clone(), columns).map_err(|source| LakeError::Arrow { table, source })?;
        self.rows += batch.num_rows() as u64;
        self.writer.write(&batch).map_err(|e| LakeError::from_parquet(table, self.path.clone(), e))
    }

    /// Bytes of the row groups that are complete.
    pub(crate) fn size(&self) -> usize {
        self.writer.bytes_written()
    }

    /// Rows so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Ends the file, flushes it, gives it its name and returns what the log needs to know of it.
    ///
    /// # Errors
    /// The disk refuses; the file is deleted then, as far as that is possible.
    pub(crate) fn finish(mut self) -> Result<NewFile, LakeError> {
        match self.close() {
            Ok((metadata, found)) => Ok(self.describe(&metadata, &found)),
            Err(e) => {
                self.abandon();
                Err(e)
            }
        }
    }

    fn close(&mut self) -> Result<(ParquetMetaData, std::fs::Metadata), LakeError> {
        let table = self.layout.def.name;
        let metadata = self.writer.finish().map_err(|e| LakeError::from_parquet(table, self.path.clone(), e))?;
        let at = self.path.clone();
        let io = |source| LakeError::Io { table, path: at.clone(), source };
        self.writer.inner_mut().flush().map_err(io)?;
        let file = self.writer.inner().get_ref();
        if self.effort == Effort::Run {
            return Ok((metadata, file.metadata().map_err(io)?));
        }
        // The log must not name a file that a power cut could take back.
        durable::sync_file(file).map_err(io)?;
        let found = file.metadata().map_err(io)?;
        let path = self.dir.join(&self.relative);
        std::fs::rename(&self.path, &path).map_err(io)?;
        // Its name is flushed by the commit, once for all files of a folder.
        self.path = path;
        Ok((metadata, found))
    }

    fn describe(&self, metadata: &ParquetMetaData, found: &std::fs::Metadata) -> NewFile {
        let def = self.layout.def;
        let incomplete: Vec<&str> =
            self.promoter.names().iter().zip(&self.complete).filter(|(_, complete)| !**complete).map(|(name, _)| *name).collect();
        let mut tags = HashMap::from([
            (TAG_LAYOUT.to_owned(), self.layout.tag(&self.columns)),
            (TAG_TIME.to_owned(), format!("{}/{}", self.first, self.last)),
        ]);
        if self.sorted {
            tags.insert(TAG_SORTED_BY.to_owned(), def.time.to_owned());
        }
        if self.order.holds() && !def.clustering.is_empty() {
            tags.insert(TAG_CLUSTERED_BY.to_owned(), self.layout.order_tag.clone());
        }
        if !self.complete.is_empty() {
            tags.insert(TAG_PROMOTED.to_owned(), promoted_tag(def.promoted_set(), &incomplete));
        }
        NewFile {
            path: self.relative.clone(),
            size: found.len(),
            modified: millis(found.modified().ok()),
            partition: self.partition,
            stats: statistics(def, &self.schema, metadata, self.rows).to_string(),
            tags,
        }
    }

    /// Deletes the file.
    pub(crate) fn abandon(self) {
        // A file that the log does not name is never read; compaction deletes it later should this fail.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// An instant of the file system in milliseconds since 1970.
fn millis(at: Option<SystemTime>) -> i64 {
    let since = at.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or(0)
}

fn properties(layout: &Layout, schema: &Schema, effort: Effort) -> Result<WriterProperties, LakeError> {
    let def = layout.def;
    let level = ZstdLevel::try_new(effort.level());
    let level = level.map_err(|source| LakeError::Parquet { table: def.name, path: PathBuf::new(), source })?;
    // A column that the file lacks is null in every row, and orders nothing.
    let sorting = |name| {
        let column_idx = i32::try_from(schema.index_of(name).ok()?).ok()?;
        Some(SortingColumn { column_idx, descending: false, nulls_first: true })
    };
    let order: Vec<SortingColumn> = def.order().filter_map(sorting).collect();
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("kqlake ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(if effort == Effort::Run { RUN_GROUP_BYTES } else { ROW_GROUP_BYTES }))
        .set_data_page_row_count_limit(if effort == Effort::Run { RUN_PAGE_ROWS } else { PAGE_ROWS })
        .set_data_page_size_limit(if effort == Effort::Run { RUN_PAGE_BYTES } else { PAGE_BYTES })
        .set_dictionary_page_size_limit(if effort == Effort::Run { RUN_PAGE_BYTES } else { PAGE_BYTES })
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_sorting_columns(matches!(effort, Effort::Landing | Effort::Compaction).then_some(order));
    for column in &def.columns {
        let path = || parquet::schema::types::ColumnPath::new(vec![column.name.to_owned()]);
        if column.ty == Type::Dynamic {
            // Large and seldom equal: neither a dictionary nor a least and greatest value is of use.
            properties = properties
                .set_column_dictionary_enabled(path(), false)
                .set_column_statistics_enabled(path(), EnabledStatistics::None);
        }
        if def.key.as_slice() == [column.name] || def.content == Some(column.name) {
            // Each row has another one.
            properties = properties.set_column_dictionary_enabled(path(), false);
        }
        if def.sought_columns().any(|name| name == column.name)
            && matches!(column.ty, Type::String | Type::Long)
            && effort != Effort::Run
        {
            // At the usual one in twenty, a look for a few rows would read a part of the row groups that have none of them.
            let by_chance = if def.span == KeySpan::Day { 0.01 } else { 0.000_1 };
            properties = properties.set_column_bloom_filter_enabled(path(), true).set_column_bloom_filter_fpp(path(), by_chance);
        }
    }
    Ok(properties.build())
}

/// The statistics of a file for the log. They may be wider than the values and never narrower.
fn statistics(def: &TableDef, schema: &Schema, metadata: &ParquetMetaData, rows: u64) -> Value {
    let (mut least, mut greatest, mut nulls) = (Map::new(), Map::new(), Map::new());
    for name in def.statistics_columns() {
        let Ok(at) = schema.index_of(name) else {
            // A column that the file lacks is null in every row.
            nulls.insert(name.to_owned(), json!(rows));
            continue;
        };
        let column: Option<Vec<&Statistics>> = metadata.row_groups().iter().map(|g| g.column(at).statistics()).collect();
        let Some(groups) = column else { continue };
        if let Some(count) = groups.iter().map(|s| s.null_count_opt()).sum::<Option<u64>>() {
            nulls.insert(name.to_owned(), json!(count));
        }
        // A row group of nulls has no bounds and adds nothing to them.
        let bounded = |s: &&&Statistics| s.min_bytes_opt().is_some() && s.max_bytes_opt().is_some();
        if groups.iter().any(|s| !bounded(&s) && s.null_count_opt().is_none_or(|n| n == 0)) {
            continue;
        }
        let values: Vec<&Statistics> = groups.iter().filter(bounded).copied().collect();
        if let Some((low, high)) = bounds(schema.field(at).data_type(), &values) {
            least.insert(name.to_owned(), low);
            greatest.insert(name.to_owned(), high);
        }
    }
    json!({ "numRecords": rows, "minValues": least, "maxValues": greatest, "nullCount": nulls })
}

/// The least and greatest value of a column over row groups; `None` where they cannot be stated safely.
fn bounds(ty: &DataType, groups: &[&Statistics]) -> Option<(Value, Value)> {
    match ty {
        DataType::Int64 | DataType::Int32 | DataType::Timestamp(..) => {
            let number = |bytes: &[u8]| match bytes.len() {
                4 => Some(i64::from(i32::from_le_bytes(bytes.try_into().ok()?))),
                8 => Some(i64::from_le_bytes(bytes.try_into().ok()?)),
                _ => None,
            };
            let low = groups.iter().map(|s| number(s.min_bytes_opt()?)).collect::<Option<Vec<_>>>()?.into_iter().min()?;
            let high = groups.iter().map(|s| number(s.max_bytes_opt()?)).collect::<Option<Vec<_>>>()?.into_iter().max()?;
            if matches!(ty, DataType::Timestamp(..)) {
                return Some((Value::from(milliseconds(low)?), Value::from(milliseconds(high)?)));
            }
            Some((Value::from(low), Value::from(high)))
        }
        DataType::Utf8 => {
            // Parquet cuts long texts at 64 bytes and rounds the greatest up where it does; what it could not cut is left out.
            let text = |bytes: Option<&[u8]>| {
                let bytes = bytes.filter(|b| b.len() <= STATISTIC_BYTES)?;
                std::str::from_utf8(bytes).ok().map(str::to_owned)
            };
            let low = groups.iter().map(|s| text(s.min_bytes_opt())).collect::<Option<Vec<_>>>()?.into_iter().min()?;
            let high = groups.iter().map(|s| text(s.max_bytes_opt())).collect::<Option<Vec<_>>>()?.into_iter().max()?;
            Some((Value::from(low), Value::from(high)))
        }
        _ => None,
    }
}

/// An instant as Delta statistics have it: cut to milliseconds, which readers make up for by widening the greatest.
fn milliseconds(us: i64) -> Option<String> {
    let instant = DateTime::from_timestamp_millis(us.div_euclid(1000))?;
    Some(instant.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::Partitioning;
    use crate::write::rows::RowBuilder;

    #[test]
    fn instants_are_cut_to_milliseconds_downwards() {
        assert_eq!(milliseconds(1_999).as_deref(), Some("1970-01-01T00:00:00.001Z"));
        assert_eq!(milliseconds(-1).as_deref(), Some("1969-12-31T23:59:59.999Z"));
    }

    #[test]
    fn only_rows_that_came_sorted_make_a_file_that_says_so() {
        let def = crate::tables::find("traces").expect("traces");
        let layout = Arc::new(Layout::new(def, &def.arrow_schema(), Partitioning::Month).expect("layout"));
        let dir = tempfile::tempdir().expect("dir");
        let month = Partition::of(Partitioning::Month, 0).expect("a month");
        let tags = |parts: &[&[i64]]| {
            let mut file = FileWriter::create(&layout, dir.path(), month, &layout.all_columns(), Effort::Landing).expect("file");
            for part in parts {
                let mut rows = RowBuilder::new(def);
                for us in *part {
                    rows.set_datetime_us(def.index_of(def.time).expect("time"), *us);
                    rows.set_str(def.index_of("itemId").expect("itemId"), &us.to_string());
                    rows.end_row();
                }
                file.write(&layout.core_of_landed(&rows.finish().expect("batch")).expect("rows")).expect("write");
            }
            let tags = file.finish().expect("finish").tags;
            (tags.get(TAG_SORTED_BY).cloned(), tags[TAG_TIME].clone())
        };
        let sorted = Some(def.time.to_owned());
        assert_eq!(tags(&[&[1, 5, 5], &[5, 9]]), (sorted, "1/9".to_owned()));
        assert_eq!(tags(&[&[5, 4, 9]]), (None, "4/9".to_owned()));
        assert_eq!(tags(&[&[1, 9], &[8, 10]]), (None, "1/10".to_owned()));
    }
}
