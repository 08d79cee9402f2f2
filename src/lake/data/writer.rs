//! Writes a table's Parquet files: one partition and one sort order a file, statistics for the log from what was written.

mod encoding;

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Schema, SchemaRef, TimestampMicrosecondType};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;
use parquet::file::writer::SerializedFileWriter;
use serde_json::{Map, Value, json};

use super::checksum::{Summed, TAG_CHECKSUM};
use super::columns::{FileColumns, encode};
use super::file::CHUNK_ROWS;
use super::layout::{Layout, Source, TAG_CLUSTERED_BY, TAG_LAYOUT, TAG_PROMOTED, TAG_SORTED_BY, TAG_TIME, promoted_tag};
use super::order::OrderCheck;
use super::promote::Promoter;
use crate::day::{day_of, has_text};
use crate::error::LakeError;
use crate::log::entry::{NewFile, is_flushed_by_commit};
use crate::partition::Partition;
use crate::tables::TableDef;
use kqlake_durable as durable;
use kqlake_value::format::InstantText;

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
    Rewrite,
    /// Row groups of other files as they are: nothing is encoded.
    Copy,
    /// Rows that are read once more, and then written again.
    Run,
}

/// What is known of the rows of a file before they are encoded.
#[derive(Debug)]
pub(crate) struct KnownRows {
    /// The least and greatest time, in microseconds since 1970.
    pub times: (i64, i64),
    /// True when they lie by time.
    pub is_by_time: bool,
    /// True when they lie in the order of files.
    pub is_in_order: bool,
    /// Whether each promoted column alone can answer for them.
    pub complete: Vec<bool>,
}

/// Where a file's bytes go.
pub(crate) type Output = BufWriter<Summed>;

/// What a file is once it is encoded.
pub(crate) struct Encoded {
    /// What it says of itself.
    pub metadata: ParquetMetaData,
    /// The checksum of its bytes.
    checksum: String,
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
    /// The schema that rows come with: some of their texts may be views.
    form: Option<SchemaRef>,
    file: File,
    /// Made when the first rows come, since they show how values are best encoded.
    writer: Option<ArrowWriter<Output>>,
    promoter: Promoter,
    complete: Vec<bool>,
    /// The rows that will come, where that is known.
    expected: Option<usize>,
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
            schema: layout.file_schema(columns),
            form: None,
            file,
            writer: None,
            expected: None,
            rows: 0,
            first: i64::MAX,
            last: i64::MIN,
            previous: i64::MIN,
            sorted: true,
        })
    }

    /// The same with the number of rows that will come, so that no more is made ready than they need.
    pub(crate) fn expecting(self, rows: usize) -> Self {
        FileWriter { expected: Some(rows), ..self }
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
        let form = self.form.get_or_insert_with(|| form_of(&self.schema, &columns)).clone();
        let batch = RecordBatch::try_new(form, columns).map_err(|source| LakeError::Arrow { table, source })?;
        self.rows += batch.num_rows() as u64;
        let path = self.path.clone();
        self.writer(&batch)?.write(&batch).map_err(|e| LakeError::from_parquet(table, path, e))
    }

    /// The encoder, which is made for rows like these when it is asked for first.
    fn writer(&mut self, first: &RecordBatch) -> Result<&mut ArrowWriter<Output>, LakeError> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.encoder(first)?,
        };
        Ok(self.writer.insert(writer))
    }

    fn encoder(&self, first: &RecordBatch) -> Result<ArrowWriter<Output>, LakeError> {
        let table = self.layout.def.name;
        let options = ArrowWriterOptions::new()
            .with_properties(encoding::properties(self.layout.def, first, self.expected, self.effort)?)
            // The Parquet types say it all; hundreds of field descriptions in every footer would not be read by anyone.
            .with_skip_arrow_metadata(true);
        let io = |source| LakeError::Io { table, path: self.path.clone(), source };
        let out = BufWriter::with_capacity(1 << 16, Summed::new(self.file.try_clone().map_err(io)?));
        ArrowWriter::try_new_with_options(out, first.schema(), options)
            .map_err(|e| LakeError::from_parquet(table, self.path.clone(), e))
    }

    /// Writes and ends a file of rows that are all there, with so many threads at most. Of its rows the first ones are given, which
    /// show how values are best encoded, with what is known of all.
    ///
    /// # Errors
    /// The disk refuses; the file is deleted then, as far as that is possible.
    pub(crate) fn finish_with(
        mut self,
        rows: &dyn FileColumns,
        first: &RecordBatch,
        known: KnownRows,
        threads: usize,
    ) -> Result<NewFile, LakeError> {
        match self.encode(rows, first, threads) {
            Ok(encoded) => self.finish_known(&encoded, rows.rows() as u64, known),
            Err(e) => {
                self.abandon();
                Err(e)
            }
        }
    }

    /// Ends a file that is encoded, of whose rows this is known.
    ///
    /// # Errors
    /// The disk refuses; the file is deleted then, as far as that is possible.
    pub(crate) fn finish_known(mut self, encoded: &Encoded, rows: u64, known: KnownRows) -> Result<NewFile, LakeError> {
        self.rows = rows;
        (self.first, self.last) = known.times;
        self.sorted = known.is_by_time;
        self.order.take_known(known.is_in_order);
        self.complete = known.complete;
        match self.seal() {
            Ok(found) => Ok(self.describe(encoded, &found)),
            Err(e) => {
                self.abandon();
                Err(e)
            }
        }
    }

    /// Fills the file with what is made elsewhere, for rows like these. Gives the file as it is then, and what was given.
    ///
    /// # Errors
    /// Those of `write`; the disk refuses.
    pub(crate) fn encode_by<T>(
        &mut self,
        first: &RecordBatch,
        write: &mut dyn FnMut(&mut SerializedFileWriter<Output>) -> Result<Option<T>, LakeError>,
    ) -> Result<Option<(Encoded, T)>, LakeError> {
        let failed = |e| LakeError::from_parquet(self.layout.def.name, self.path.clone(), e);
        let (mut file, _) = self.encoder(first)?.into_serialized_writer().map_err(failed)?;
        let Some(given) = write(&mut file)? else { return Ok(None) };
        Ok(Some((ended(&mut file).map_err(failed)?, given)))
    }

    fn encode(&mut self, rows: &dyn FileColumns, first: &RecordBatch, threads: usize) -> Result<Encoded, LakeError> {
        let encoded = self.encoder(first)?.into_serialized_writer().and_then(|(mut file, encoders)| {
            encode(&mut file, &encoders, first.schema_ref(), rows, threads)?;
            ended(&mut file)
        });
        encoded.map_err(|e| LakeError::from_parquet(self.layout.def.name, self.path.clone(), e))
    }

    /// Ends the row group that rows were written to, so that those that follow are in another one.
    ///
    /// # Errors
    /// The disk refuses.
    pub(crate) fn end_group(&mut self) -> Result<(), LakeError> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        writer.flush().map_err(|e| LakeError::from_parquet(self.layout.def.name, self.path.clone(), e))
    }

    /// Bytes of the row groups that are complete.
    pub(crate) fn size(&self) -> usize {
        self.writer.as_ref().map_or(0, ArrowWriter::bytes_written)
    }

    /// Rows so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Ends the file, flushes it where its commit does not, gives it its name and returns what the log needs to know of it.
    ///
    /// # Errors
    /// The disk refuses; the file is deleted then, as far as that is possible.
    pub(crate) fn finish(mut self) -> Result<NewFile, LakeError> {
        match self.close() {
            Ok((encoded, found)) => Ok(self.describe(&encoded, &found)),
            Err(e) => {
                self.abandon();
                Err(e)
            }
        }
    }

    fn close(&mut self) -> Result<(Encoded, std::fs::Metadata), LakeError> {
        let table = self.layout.def.name;
        let at = self.path.clone();
        let io = |source| LakeError::Io { table, path: at.clone(), source };
        let writer = self.writer(&RecordBatch::new_empty(self.schema.clone()))?;
        let metadata = writer.finish().map_err(|e| LakeError::from_parquet(table, at.clone(), e))?;
        writer.inner_mut().flush().map_err(io)?;
        let checksum = writer.inner().get_ref().checksum();
        Ok((Encoded { metadata, checksum }, self.seal()?))
    }

    /// Flushes a file that is encoded where its commit does not, and gives it its name.
    fn seal(&mut self) -> Result<std::fs::Metadata, LakeError> {
        let (table, at) = (self.layout.def.name, self.path.clone());
        let io = |source| LakeError::Io { table, path: at.clone(), source };
        let found = self.file.metadata().map_err(io)?;
        if self.effort == Effort::Run {
            return Ok(found);
        }
        // The log must not name a file that a power cut could take back.
        if !is_flushed_by_commit(found.len()) {
            durable::sync_file(&self.file).map_err(io)?;
        }
        let path = self.dir.join(&self.relative);
        std::fs::rename(&self.path, &path).map_err(io)?;
        // Its name is flushed by the commit, once for all files of a folder.
        self.path = path;
        Ok(found)
    }

    fn describe(&self, encoded: &Encoded, found: &std::fs::Metadata) -> NewFile {
        let def = self.layout.def;
        let incomplete: Vec<&str> =
            self.promoter.names().iter().zip(&self.complete).filter(|(_, complete)| !**complete).map(|(name, _)| *name).collect();
        let mut tags = HashMap::from([
            (TAG_LAYOUT.to_owned(), self.layout.tag(&self.columns)),
            (TAG_TIME.to_owned(), format!("{}/{}", self.first, self.last)),
            (TAG_CHECKSUM.to_owned(), encoded.checksum.clone()),
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
            stats: statistics(def, &self.schema, &encoded.metadata, self.rows).to_string(),
            tags,
        }
    }

    /// Deletes the file.
    pub(crate) fn abandon(self) {
        // A file that the log does not name is never read; compaction deletes it later should this fail.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Ends a file and writes what of it is still in memory.
fn ended(file: &mut SerializedFileWriter<Output>) -> Result<Encoded, ParquetError> {
    let metadata = file.finish()?;
    file.inner_mut().flush()?;
    Ok(Encoded { metadata, checksum: file.inner().get_ref().checksum() })
}

/// The schema of columns of which texts may be views.
fn form_of(schema: &SchemaRef, columns: &[ArrayRef]) -> SchemaRef {
    let fields = schema.fields().iter().zip(columns).map(|(field, column)| match (field.data_type(), column.data_type()) {
        (DataType::Utf8, DataType::Utf8View) => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View)),
        _ => field.clone(),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// An instant of the file system in milliseconds since 1970.
fn millis(at: Option<SystemTime>) -> i64 {
    let since = at.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or(0)
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

/// An instant as Delta statistics have it: cut to milliseconds, which readers make up for by widening the greatest. `None` outside
/// of the years that they can write.
fn milliseconds(us: i64) -> Option<String> {
    has_text(day_of(us)).then(|| format!("{}Z", InstantText::of_us(us).with_digits(3)))
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
        assert_eq!([milliseconds(i64::MAX), milliseconds(i64::MIN)], [None, None]);
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
