//! Writes the checkpoint of a version from the one before and the commits since.
//!
//! What the library writes is made from all that it reads of the log; with the files that a month of drops has removed that takes
//! longer than the import that it comes with. Here the rows of the checkpoint before are copied as they are, less those that a
//! newer action takes the place of, and the lines of the commits are added. What it says is read back and compared with what is
//! known of the version before it gets its name; where anything is odd, the library writes it.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _, BooleanArray, RecordBatch, StructArray};
use arrow::compute::{concat_batches, filter_record_batch, sort_to_indices, take_record_batch};
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow::json::ReaderBuilder;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::{Compression, ZstdLevel};
use parquet::column::writer::ColumnCloseResult;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnPath;
use serde_json::Value;

use super::actions::{Actions, decoded};
use super::commit;
use super::files::{LAST_CHECKPOINT, LOG, checkpoint_name, commit_name, named_checkpoint};
use super::replay::{Replayed, names_removed_alone, replay_checkpoint};
use kqlake_durable::Draft;
use kqlake_value::texts::Texts;

/// How long a removed file is named, as tables have it that do not say it (`delta.deletedFileRetentionDuration`).
const REMOVED_MILLIS: i64 = 7 * 24 * 60 * 60 * 1_000;
/// How long a removed file is named whether it is on the disk or not: for as long it stays there for readers.
const GRACE_MILLIS: i64 = 24 * 60 * 60 * 1_000;
/// The table property by which files that were removed are named for another time.
const REMOVED_RETENTION: &str = "delta.deletedFileRetentionDuration";
/// The columns of a checkpoint that is copied.
const COLUMNS: [&str; 7] = ["add", "remove", "metaData", "protocol", "txn", "domainMetadata", "sidecar"];
/// The fields of a checkpoint whose texts are compressed.
const LARGE: [&str; 4] = ["path", "stats", "schemaString", "value"];
/// Rows of removed files that lie together, the oldest first; few in tests, so that they have full groups. Those that fill no group are
/// encoded anew with each checkpoint, and each group is described to all readers.
const REMOVED_ROWS: usize = if cfg!(test) { 64 } else { 512 };
/// Commits that are read for a checkpoint; after more the library writes it.
const MOST_COMMITS: u64 = 200;

/// Why a checkpoint was not written here.
#[derive(Debug)]
pub(crate) struct NotWritten(pub String);

impl<E: std::fmt::Display> From<E> for NotWritten {
    fn from(error: E) -> Self {
        NotWritten(error.to_string())
    }
}

fn odd<T>(why: &str) -> Result<T, NotWritten> {
    Err(NotWritten(why.to_owned()))
}

/// What newer commits say, the newest first: rows of the checkpoint before that say the same things are outdated.
#[derive(Default)]
struct Newer {
    /// Paths of files that were added or removed.
    files: HashSet<String>,
    /// Applications whose transactions are known.
    apps: HashSet<String>,
    has_protocol: bool,
    has_metadata: bool,
    /// How many files were removed.
    removed: usize,
    /// True when one of the commits is of another writer, which may bring back files that were removed.
    has_foreign: bool,
    /// Lines that count, of each commit in its order.
    lines: BTreeMap<u64, Vec<String>>,
}

/// Writes the checkpoint of a version of the table in a folder, of which this is known, at an instant in milliseconds since 1970. Gives
/// how many files the commits since the one before have removed.
///
/// # Errors
/// The checkpoint before is not such as is written here or by the library, or a file cannot be read or written. The log is whole
/// without it.
pub(crate) fn write(dir: &Path, version: u64, known: &Replayed, now: i64) -> Result<usize, NotWritten> {
    if known.metadata.configuration.contains_key(REMOVED_RETENTION) {
        return odd("the table says how long removed files are named");
    }
    let log = dir.join(LOG);
    let before = named_checkpoint(dir).filter(|before| *before < version && version - *before <= MOST_COMMITS);
    let Some(before) = before else { return odd("no checkpoint is near") };
    let mut newer = Newer::default();
    for version in (before + 1..=version).rev() {
        newer.take(version, &fs::read(log.join(commit_name(version)))?)?;
    }
    let text = Bytes::from(fs::read(log.join(checkpoint_name(before)))?);
    let builder = ParquetRecordBatchReaderBuilder::try_new(text.clone())?;
    let schema = builder.schema().clone();
    let groups = builder.metadata().row_groups().to_vec();
    let is_copied = |group: &RowGroupMetaData| !newer.has_foreign && stays_as_it_is(group, now);
    let (copied, read): (Vec<usize>, Vec<usize>) = (0..groups.len()).partition(|at| is_copied(&groups[*at]));
    if schema.fields().iter().any(|field| !COLUMNS.contains(&field.name().as_str())) {
        return odd("the checkpoint before has other columns");
    }
    let (mut kept, mut removed) = (Vec::new(), Vec::new());
    for batch in builder.with_row_groups(read).build()? {
        let batch = batch?;
        let (is_kept, is_removed) = newer.left_of(&batch, dir, now)?;
        kept.push(filter_record_batch(&batch, &is_kept)?);
        removed.push(filter_record_batch(&batch, &is_removed)?);
    }
    for batch in newer.batches(&schema)? {
        let (is_kept, is_removed) = Newer::default().left_of(&batch, dir, now)?;
        kept.push(filter_record_batch(&batch, &is_kept)?);
        removed.push(filter_record_batch(&batch, &is_removed)?);
    }
    let removed = by_time(&schema, &removed)?;
    let copied: Vec<&RowGroupMetaData> = copied.into_iter().map(|at| &groups[at]).collect();
    let text = encoded(&schema, &kept, &[removed], &text, &copied)?;
    let rows = ParquetRecordBatchReaderBuilder::try_new(text.clone())?.metadata().file_metadata().num_rows();
    if !says(&text, known) {
        return odd("it would not say what the log says");
    }
    publish(&log.join(checkpoint_name(version)), &text)?;
    let named = serde_json::json!({
        "version": version, "size": rows, "sizeInBytes": text.len(), "numOfAddFiles": known.files.len()
    });
    // Another process may have written a later one meanwhile, which stays the one that is named.
    if !is_there_after(dir, version) {
        publish(&log.join(LAST_CHECKPOINT), named.to_string().as_bytes())?;
    }
    Ok(newer.removed)
}

/// True when a later version than this one, which is there, has the checkpoint that is named.
pub(crate) fn is_there_after(dir: &Path, version: u64) -> bool {
    let log = dir.join(LOG);
    let is_there = |name: String| fs::symlink_metadata(log.join(name)).is_ok();
    named_checkpoint(dir).is_some_and(|named| named > version && is_there(checkpoint_name(named)) && is_there(commit_name(named)))
}

fn publish(path: &Path, text: &[u8]) -> Result<(), NotWritten> {
    let draft = Draft::create_unswept(path)?;
    draft.file().write_all(text)?;
    Ok(draft.publish()?)
}

/// True when a checkpoint says what is known of its version.
fn says(text: &Bytes, known: &Replayed) -> bool {
    let Ok(mut found) = replay_checkpoint(text.clone()) else { return false };
    let by_path = |replayed: &Replayed| replayed.files.iter().map(|file| (file.path.clone(), file.clone())).collect();
    let (there, wanted): (BTreeMap<_, _>, BTreeMap<_, _>) = (by_path(&found), by_path(known));
    found.files.clone_from(&known.files);
    there == wanted && found == *known
}

impl Newer {
    /// Takes the actions of a commit: those before are of commits after it.
    fn take(&mut self, version: u64, text: &[u8]) -> Result<(), NotWritten> {
        commit::check(text, version).map_err(NotWritten)?;
        self.has_foreign |=
            !commit::facts(text.split(|byte| *byte == b'\n').next().unwrap_or_default()).contains_key(commit::VERSION);
        let mut lines = Vec::new();
        for line in std::str::from_utf8(text)?.lines().filter(|line| !line.trim().is_empty()) {
            let Value::Object(object) = serde_json::from_str(line)? else { return odd("a line is no object") };
            let names: Vec<&str> = object.keys().map(String::as_str).collect();
            let ([name], actions) = (&names[..], serde_json::from_str::<Actions>(line)?) else {
                return odd("a line has several actions");
            };
            let is_news = match *name {
                "commitInfo" => false,
                "add" => actions.add.is_some_and(|add| self.files.insert(decoded(&add.path))),
                "remove" => {
                    self.removed += 1;
                    actions.remove.is_some_and(|remove| self.files.insert(decoded(&remove.path)))
                }
                "txn" => actions.txn.is_some_and(|txn| self.apps.insert(txn.app_id)),
                "protocol" => !std::mem::replace(&mut self.has_protocol, true),
                "metaData" => !std::mem::replace(&mut self.has_metadata, true),
                _ => return odd("a commit has an action of another kind"),
            };
            if is_news {
                lines.push(line.to_owned());
            }
        }
        self.lines.insert(version, lines);
        Ok(())
    }

    /// The lines of the commits as rows of a checkpoint, in their order.
    fn batches(&self, schema: &SchemaRef) -> Result<Vec<RecordBatch>, NotWritten> {
        let text = self.lines.values().flatten().fold(String::new(), |text, line| text + line + "\n");
        let reader = ReaderBuilder::new(schema.clone()).build(text.as_bytes())?;
        Ok(reader.collect::<Result<_, _>>()?)
    }

    /// Which rows of a checkpoint no newer action takes the place of: those of what is there, and those of removed files.
    fn left_of(&self, batch: &RecordBatch, dir: &Path, now: i64) -> Result<(BooleanArray, BooleanArray), NotWritten> {
        let is_there = |name: &str, row: usize| batch.column_by_name(name).is_some_and(|column| column.is_valid(row));
        let group = |name: &str| batch.column_by_name(name).and_then(|column| column.as_struct_opt());
        let text = |name: &str, field: &str| group(name).map(|group| texts(group, field)).transpose();
        let (added, removed, apps) = (text("add", "path")?, text("remove", "path")?, text("txn", "appId")?);
        let times = group("remove").and_then(|group| group.column_by_name("deletionTimestamp")).cloned();
        let times = times.as_ref().and_then(|times| times.as_primitive_opt::<Int64Type>());
        let (mut kept, mut gone) = (Vec::with_capacity(batch.num_rows()), Vec::with_capacity(batch.num_rows()));
        for row in 0..batch.num_rows() {
            let of = |texts: &Option<Texts>| texts.as_ref().and_then(|texts| texts.get(row)).map(str::to_owned);
            if is_there("domainMetadata", row) || is_there("sidecar", row) {
                return odd("the checkpoint before has what is not copied");
            }
            let is_news = |path: Option<String>| path.is_some_and(|path| !self.files.contains(&decoded(&path)));
            kept.push(
                (is_there("add", row) && is_news(of(&added)))
                    || (is_there("txn", row) && of(&apps).is_some_and(|app| !self.apps.contains(&app)))
                    || (is_there("protocol", row) && !self.has_protocol)
                    || (is_there("metaData", row) && !self.has_metadata),
            );
            let age = times.filter(|times| times.is_valid(row)).map_or(i64::MAX, |times| now.saturating_sub(times.value(row)));
            let is_named = |path: &str| {
                age <= GRACE_MILLIS || (age <= REMOVED_MILLIS && fs::symlink_metadata(dir.join(decoded(path))).is_ok())
            };
            let removed = of(&removed).filter(|_| is_there("remove", row));
            gone.push(removed.as_deref().is_some_and(is_named) && is_news(removed));
        }
        Ok((kept.into(), gone.into()))
    }
}

fn texts(group: &StructArray, field: &str) -> Result<Texts, NotWritten> {
    let Some(column) = group.column_by_name(field) else { return odd("the checkpoint before lacks a field") };
    Texts::new(column).map_err(|_| NotWritten("the checkpoint before has a field of another type".to_owned()))
}

/// True for rows of a checkpoint that need not be looked at: there are as many as lie together, all of files that were removed so lately
/// that they are named in any case.
fn stays_as_it_is(group: &RowGroupMetaData, now: i64) -> bool {
    let is_full = usize::try_from(group.num_rows()) == Ok(REMOVED_ROWS);
    is_full && names_removed_alone(group) && removed_since(group).is_some_and(|oldest| now.saturating_sub(oldest) <= GRACE_MILLIS)
}

/// When the first of a group of removed files was removed, where all of them say it.
fn removed_since(group: &RowGroupMetaData) -> Option<i64> {
    let time = |column: &&ColumnChunkMetaData| {
        let path = column.column_path().parts();
        path.len() == 2 && path[0] == "remove" && path[1] == "deletionTimestamp"
    };
    match group.columns().iter().find(time)?.statistics()? {
        Statistics::Int64(times) if times.null_count_opt() == Some(0) => times.min_opt().copied(),
        _ => None,
    }
}

/// Rows of removed files, those that were removed first in front: the library names them in another order.
fn by_time(schema: &SchemaRef, removed: &[RecordBatch]) -> Result<RecordBatch, NotWritten> {
    let all = concat_batches(schema, removed)?;
    let times = all.column_by_name("remove").and_then(|removed| removed.as_struct_opt()?.column_by_name("deletionTimestamp"));
    let Some(times) = times else { return odd("the checkpoint before does not say when files were removed") };
    Ok(take_record_batch(&all, &sort_to_indices(times, None, None)?)?)
}

/// A checkpoint's file: what is there comes first, and removed files in groups of rows of their own, which readers leave out. Full
/// groups of the checkpoint before are copied as they are.
fn encoded(
    schema: &SchemaRef,
    kept: &[RecordBatch],
    removed: &[RecordBatch],
    before: &Bytes,
    copied: &[&RowGroupMetaData],
) -> Result<Bytes, NotWritten> {
    // The columns that have nearly all of the bytes. Each compressed one needs working memory of its own, when it is written and when
    // it is read, which takes longer than all else of a small checkpoint.
    let leaves = ArrowSchemaConverter::new().convert(schema)?;
    let level = Compression::ZSTD(ZstdLevel::try_new(1)?);
    let is_large = |path: &&ColumnPath| path.parts().last().is_some_and(|name| LARGE.contains(&name.as_str()));
    let properties = leaves
        .columns()
        .iter()
        .map(|leaf| leaf.path())
        .filter(is_large)
        .fold(WriterProperties::builder(), |properties, path| properties.set_column_compression(path.clone(), level));
    let properties = properties
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_dictionary_enabled(false)
        // Groups that are copied have none, and files in which some have and some have not cannot be written.
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(Some(REMOVED_ROWS));
    let mut writer = ArrowWriter::try_new(Vec::new(), Arc::clone(schema), Some(properties.build()))?;
    kept.iter().try_for_each(|batch| writer.write(batch))?;
    writer.flush()?;
    removed.iter().try_for_each(|batch| writer.write(batch))?;
    let (mut writer, _) = writer.into_serialized_writer()?;
    for group in copied {
        let mut copy = writer.next_row_group()?;
        for column in group.columns() {
            let close = ColumnCloseResult {
                bytes_written: u64::try_from(column.compressed_size())?,
                rows_written: u64::try_from(group.num_rows())?,
                metadata: column.clone(),
                bloom_filter: None,
                column_index: None,
                offset_index: None,
            };
            copy.append_column(before, close)?;
        }
        copy.close()?;
    }
    Ok(writer.into_inner()?.into())
}

/// The files that a checkpoint names as removed, with the milliseconds since 1970 when they were: those that it names first, so many at
/// most. Of a checkpoint that was written here these are the oldest.
///
/// # Errors
/// It cannot be read.
pub(crate) fn first_removed(dir: &Path, version: u64, most: usize) -> Result<Vec<(String, i64)>, NotWritten> {
    let file = File::open(dir.join(LOG).join(checkpoint_name(version)))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let roots = builder.parquet_schema().root_schema().get_fields();
    let roots: Vec<usize> = (0..roots.len()).filter(|at| roots[*at].name() == "remove").collect();
    let mask = parquet::arrow::ProjectionMask::roots(builder.parquet_schema(), roots);
    let groups = builder.metadata().row_groups();
    let mut order: Vec<usize> = (0..groups.len()).collect();
    order.sort_by_key(|at| removed_since(&groups[*at]));
    let mut found = Vec::new();
    for batch in builder.with_projection(mask).with_row_groups(order).build()? {
        let batch = batch?;
        let Some(removed) = batch.column_by_name("remove").and_then(|column| column.as_struct_opt()) else { break };
        let (paths, times) = (texts(removed, "path")?, removed.column_by_name("deletionTimestamp"));
        let times = times.and_then(|times| times.as_primitive_opt::<Int64Type>());
        for row in (0..removed.len()).filter(|row| removed.is_valid(*row)) {
            let time = times.filter(|times| times.is_valid(row)).map_or(0, |times| times.value(row));
            found.extend(paths.get(row).map(|path| (decoded(path), time)));
        }
        if found.len() >= most {
            break;
        }
    }
    found.truncate(most);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    /// Rows of a checkpoint, an action each.
    fn rows(actions: &[Value]) -> RecordBatch {
        let field = |name: &str, ty| Field::new(name, ty, true);
        let text = |name: &str| field(name, DataType::Utf8);
        let action = |name: &str, fields: Vec<Field>| field(name, DataType::Struct(fields.into()));
        let schema = Schema::new(vec![
            action("add", vec![text("path")]),
            action("remove", vec![text("path"), field("deletionTimestamp", DataType::Int64)]),
            action("txn", vec![text("appId")]),
            action("protocol", vec![field("minReaderVersion", DataType::Int32)]),
            action("metaData", vec![text("id")]),
            action("domainMetadata", vec![text("domain")]),
            action("sidecar", vec![text("path")]),
        ]);
        let lines = BTreeMap::from([(1, actions.iter().map(Value::to_string).collect())]);
        let batches = Newer { lines, ..Newer::default() }.batches(&Arc::new(schema)).expect("rows");
        batches.into_iter().next().expect("a batch")
    }

    #[test]
    fn of_a_checkpoint_stays_what_no_newer_action_takes_the_place_of() {
        use serde_json::json;
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join("on disk"), "x").expect("a file");
        let now = 1 << 40;
        let removed = |path: &str, age: i64| json!({ "remove": { "path": path, "deletionTimestamp": now - age } });
        let all = [
            json!({ "add": { "path": "a%20b" } }),
            json!({ "add": { "path": "c" } }),
            json!({ "txn": { "appId": "app" } }),
            json!({ "txn": { "appId": "other" } }),
            json!({ "protocol": { "minReaderVersion": 1 } }),
            json!({ "metaData": { "id": "i" } }),
            removed("a%20b", 0),
            removed("gone", GRACE_MILLIS),
            removed("gone", GRACE_MILLIS + 1),
            removed("on%20disk", GRACE_MILLIS + 1),
            removed("on%20disk", REMOVED_MILLIS),
            removed("on%20disk", REMOVED_MILLIS + 1),
            json!({ "remove": { "path": "on%20disk" } }),
        ];
        let batch = rows(&all);
        let left = |newer: &Newer| -> (Vec<usize>, Vec<usize>) {
            let (kept, gone) = newer.left_of(&batch, dir.path(), now).expect("rows");
            let places = |of: &BooleanArray| (0..of.len()).filter(|row| of.value(*row)).collect();
            (places(&kept), places(&gone))
        };
        assert_eq!(left(&Newer::default()), (vec![0, 1, 2, 3, 4, 5], vec![6, 7, 9, 10]));
        let newer =
            Newer { files: HashSet::from(["a b".to_owned()]), apps: HashSet::from(["app".to_owned()]), ..Newer::default() };
        assert_eq!(left(&newer), (vec![1, 3, 4, 5], vec![7, 9, 10]));
        assert_eq!(left(&Newer { has_protocol: true, ..Newer::default() }).0, [0, 1, 2, 3, 5]);
        assert_eq!(left(&Newer { has_metadata: true, ..Newer::default() }).0, [0, 1, 2, 3, 4]);
        for odd in [json!({ "domainMetadata": { "domain": "d" } }), json!({ "sidecar": { "path": "s" } })] {
            let batch = rows(&[json!({ "add": { "path": "c" } }), odd]);
            assert!(Newer::default().left_of(&batch, dir.path(), now).is_err());
        }
    }
}
