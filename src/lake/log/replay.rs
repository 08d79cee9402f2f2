//! What a log says of its table at a version, replayed from a checkpoint and the commits after it.
//!
//! Queries need no more of a log than this, and the commits have been read already when their row was checked (`files`). What the
//! library reads again for that took a third of the time of a small query. Logs that need more than is read here (checkpoints of
//! several files, deletion vectors, transactions that expire) are left to the library, as are those in which anything is odd: the
//! rules of the protocol that make a log invalid are its own. The rules that count are those of "Action Reconciliation" in
//! Delta's `PROTOCOL.md`.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray as _, MapArray, RecordBatch, StructArray};
use arrow::datatypes::{Int32Type, Int64Type};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::reader::ChunkReader;
use parquet::file::statistics::Statistics;
use serde::Deserialize;

use super::actions::{Actions, Added, decoded, is_inside};
use super::entry::FileEntry;
use crate::partition::{Partition, Partitioning};
use kqlake_value::texts::Texts;

/// The table property by which transactions expire.
const TRANSACTION_RETENTION: &str = "delta.setTransactionRetentionDuration";

/// What a reader must know to read the table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Protocol {
    /// The least version of the protocol.
    pub min_reader_version: i32,
    /// The least version of it that a writer must know; unknown where it is not said.
    #[serde(default)]
    pub min_writer_version: Option<i32>,
    /// What is needed beside it; `None` where versions alone say it.
    #[serde(default)]
    pub reader_features: Option<Vec<String>>,
}

/// What a log says of the table as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    /// The id that the table got when it was created.
    pub id: String,
    /// The name that its creator gave it.
    #[serde(default)]
    pub name: Option<String>,
    /// Its columns, as JSON.
    pub schema_string: String,
    /// The columns that it is divided by.
    pub partition_columns: Vec<String>,
    /// Its properties.
    #[serde(default)]
    pub configuration: HashMap<String, String>,
}

/// A table at one version.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Replayed {
    pub protocol: Protocol,
    pub metadata: Metadata,
    /// The live files: those of newer commits first.
    pub files: Vec<FileEntry>,
    /// Versions of applications' transactions.
    pub transactions: HashMap<String, i64>,
}

type PartitionValues = HashMap<String, Option<String>>;

/// What stops a replay: the library is asked instead.
#[derive(Debug)]
pub(crate) struct NotReplayed;

/// What commits and a checkpoint say, from the newest one on backwards.
#[derive(Default)]
struct Replay {
    protocol: Option<Protocol>,
    metadata: Option<Metadata>,
    /// Files that are live, with the values that say their partition where that is not known yet.
    files: Vec<(FileEntry, Option<PartitionValues>)>,
    /// Paths of which a newer action is known.
    seen: HashSet<String>,
    transactions: HashMap<String, i64>,
}

/// What commits follow.
pub(crate) enum Base<'b> {
    /// The beginning of the table.
    Nothing,
    /// A checkpoint that is one Parquet file.
    Checkpoint(&'b Path),
    /// An earlier version that was replayed.
    Version(&'b Replayed),
}

/// Replays commits, the oldest first, that follow something.
///
/// # Errors
/// The log needs more than is read here, or is odd.
pub(crate) fn replay(base: &Base<'_>, commits: &[Vec<Actions>]) -> Result<Replayed, NotReplayed> {
    let mut replay = Replay::default();
    for commit in commits.iter().rev() {
        replay.commit(commit)?;
    }
    match base {
        Base::Nothing => {}
        Base::Checkpoint(file) => replay.checkpoint(File::open(file).map_err(|_| NotReplayed)?)?,
        Base::Version(version) => replay.version(version)?,
    }
    replay.end()
}

/// Replays a checkpoint that no commit follows.
///
/// # Errors
/// As for [`replay`].
pub(crate) fn replay_checkpoint(text: Bytes) -> Result<Replayed, NotReplayed> {
    let mut replay = Replay::default();
    replay.checkpoint(text)?;
    replay.end()
}

/// True for rows of a checkpoint that are all of removed files: there are thousands of them, and no reader needs them.
pub(crate) fn names_removed_alone(group: &RowGroupMetaData) -> bool {
    const NEVER_NULL: [[&str; 2]; 5] =
        [["add", "path"], ["txn", "appId"], ["metaData", "id"], ["protocol", "minReaderVersion"], ["sidecar", "path"]];
    let rows = u64::try_from(group.num_rows()).ok();
    let decides = |column: &&ColumnChunkMetaData| {
        let path = column.column_path().parts();
        NEVER_NULL.iter().any(|[action, field]| path.len() == 2 && path[0] == *action && path[1] == *field)
    };
    let is_null = |column: &ColumnChunkMetaData| column.statistics().and_then(Statistics::null_count_opt) == rows;
    let deciding: Vec<&ColumnChunkMetaData> = group.columns().iter().filter(decides).collect();
    !deciding.is_empty() && rows.is_some() && deciding.into_iter().all(is_null)
}

impl Replay {
    fn commit(&mut self, actions: &[Actions]) -> Result<(), NotReplayed> {
        for Actions { add, remove, txn, protocol, metadata, .. } in actions {
            if let Some(add) = add {
                self.add(add)?;
            }
            if let Some(remove) = remove {
                refuse(remove.deletion_vector.is_some())?;
                self.seen.insert(decoded(&remove.path));
            }
            if let Some(txn) = txn {
                self.transactions.entry(txn.app_id.clone()).or_insert(txn.version);
            }
            if let (Some(protocol), None) = (protocol, &self.protocol) {
                self.protocol = Some(Protocol::deserialize(protocol).map_err(|_| NotReplayed)?);
            }
            if let (Some(metadata), None) = (metadata, &self.metadata) {
                self.metadata = Some(Metadata::deserialize(metadata).map_err(|_| NotReplayed)?);
            }
        }
        Ok(())
    }

    fn add(&mut self, add: &Added) -> Result<(), NotReplayed> {
        refuse(add.deletion_vector.is_some() || add.path.is_empty())?;
        let path = decoded(&add.path);
        if !self.seen.insert(path.clone()) {
            return Ok(());
        }
        let entry = FileEntry {
            path,
            size: u64::try_from(add.size).unwrap_or(0),
            modified: add.modification_time.as_ref().and_then(serde_json::Value::as_i64).ok_or(NotReplayed)?,
            partition: None,
            stats: add.stats.clone(),
            tags: add.tags.clone().unwrap_or_default(),
            has_deletion_vector: false,
        };
        self.files.push((entry, Some(add.partition_values.clone().into_iter().collect())));
        Ok(())
    }

    fn version(&mut self, version: &Replayed) -> Result<(), NotReplayed> {
        // Another way to divide the table changes what is known of all files.
        refuse(self.metadata.is_some())?;
        self.metadata = Some(version.metadata.clone());
        self.protocol.get_or_insert_with(|| version.protocol.clone());
        for file in &version.files {
            if self.seen.insert(file.path.clone()) {
                self.files.push((file.clone(), None));
            }
        }
        for (app, version) in &version.transactions {
            self.transactions.entry(app.clone()).or_insert(*version);
        }
        Ok(())
    }

    fn checkpoint(&mut self, file: impl ChunkReader + 'static) -> Result<(), NotReplayed> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|_| NotReplayed)?;
        let groups = builder.metadata().row_groups().iter().enumerate().filter(|(_, group)| !names_removed_alone(group));
        let groups = groups.map(|(at, _)| at).collect();
        let roots = builder.parquet_schema().root_schema().get_fields();
        let wanted = |name: &str| ["protocol", "metaData", "add", "txn", "sidecar"].contains(&name);
        let roots: Vec<usize> = (0..roots.len()).filter(|at| wanted(roots[*at].name())).collect();
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        for batch in builder.with_projection(mask).with_row_groups(groups).build().map_err(|_| NotReplayed)? {
            self.checkpointed(&batch.map_err(|_| NotReplayed)?)?;
        }
        Ok(())
    }

    /// Takes the actions of some rows of a checkpoint. Each row has one.
    fn checkpointed(&mut self, batch: &RecordBatch) -> Result<(), NotReplayed> {
        refuse(batch.column_by_name("sidecar").is_some_and(|sidecars| sidecars.null_count() < sidecars.len()))?;
        if let Some(txns) = group(batch, "txn")? {
            let (apps, versions) = (text_column(txns, "appId")?, column(txns, "version")?);
            for row in valid(txns) {
                let app = apps.get(row).ok_or(NotReplayed)?.to_owned();
                let version = long(&versions, row)?.ok_or(NotReplayed)?;
                self.transactions.entry(app).or_insert(version);
            }
        }
        if let (Some(protocols), None) = (group(batch, "protocol")?, &self.protocol) {
            let version = |name| Ok(column(protocols, name)?.as_primitive_opt::<Int32Type>().ok_or(NotReplayed)?.clone());
            let (readers, writers) = (version("minReaderVersion")?, version("minWriterVersion")?);
            let features = protocols.column_by_name("readerFeatures");
            for row in valid(protocols) {
                let reader_features = features.map(|features| list(features, row)).transpose()?.flatten();
                let min_writer_version = writers.is_valid(row).then(|| writers.value(row));
                self.protocol = Some(Protocol { min_reader_version: readers.value(row), min_writer_version, reader_features });
            }
        }
        if let (Some(tables), None) = (group(batch, "metaData")?, &self.metadata) {
            for row in valid(tables) {
                let configuration = tables.column_by_name("configuration").map(|all| map(all, row)).transpose()?.flatten();
                let configuration = configuration.unwrap_or_default().into_iter();
                self.metadata = Some(Metadata {
                    id: text_column(tables, "id")?.get(row).ok_or(NotReplayed)?.to_owned(),
                    name: text_column(tables, "name")?.get(row).map(str::to_owned),
                    schema_string: text_column(tables, "schemaString")?.get(row).ok_or(NotReplayed)?.to_owned(),
                    partition_columns: list(&column(tables, "partitionColumns")?, row)?.ok_or(NotReplayed)?,
                    configuration: configuration.filter_map(|(name, value)| Some((name, value?))).collect(),
                });
            }
        }
        if let Some(adds) = group(batch, "add")? {
            self.checkpointed_files(adds)?;
        }
        Ok(())
    }

    fn checkpointed_files(&mut self, adds: &StructArray) -> Result<(), NotReplayed> {
        let (paths, sizes, times) = (text_column(adds, "path")?, column(adds, "size")?, column(adds, "modificationTime")?);
        let (partitions, tags) = (column(adds, "partitionValues")?, adds.column_by_name("tags"));
        let stats = adds.column_by_name("stats").map(texts_of).transpose()?;
        let vectors = adds.column_by_name("deletionVector").and_then(|vectors| vectors.as_struct_opt());
        // Statistics in another form than text alone.
        refuse(stats.is_none() && adds.column_by_name("stats_parsed").is_some())?;
        for row in valid(adds) {
            // Of a struct without a value some readers make one whose fields have none.
            let vector = vectors.filter(|vectors| vectors.is_valid(row));
            refuse(vector.is_some_and(|vector| vector.columns().iter().any(|field| field.is_valid(row))))?;
            let path = decoded(paths.get(row).ok_or(NotReplayed)?);
            refuse(!is_inside(&path))?;
            if !self.seen.insert(path.clone()) {
                continue;
            }
            let entry = FileEntry {
                path,
                size: long(&sizes, row)?.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
                modified: long(&times, row)?.ok_or(NotReplayed)?,
                partition: None,
                stats: stats.as_ref().and_then(|stats| stats.get(row)).map(str::to_owned),
                tags: tags.map(|tags| map(tags, row)).transpose()?.flatten().unwrap_or_default(),
                has_deletion_vector: false,
            };
            self.files.push((entry, Some(map(&partitions, row)?.unwrap_or_default())));
        }
        Ok(())
    }

    fn end(self) -> Result<Replayed, NotReplayed> {
        let (protocol, metadata) = (self.protocol.ok_or(NotReplayed)?, self.metadata.ok_or(NotReplayed)?);
        refuse(metadata.configuration.contains_key(TRANSACTION_RETENTION))?;
        let by = Partitioning::of_columns(&metadata.partition_columns);
        let partition = |values: PartitionValues| {
            let by = by?;
            Partition::parse(by, values.get(by.column())?.as_deref()?)
        };
        let files = self.files.into_iter().map(|(entry, values)| match values {
            Some(values) => FileEntry { partition: partition(values), ..entry },
            None => entry,
        });
        Ok(Replayed { files: files.collect(), protocol, metadata, transactions: self.transactions })
    }
}

fn refuse(odd: bool) -> Result<(), NotReplayed> {
    if odd { Err(NotReplayed) } else { Ok(()) }
}

/// The actions of one kind; `None` when there are none.
fn group<'b>(batch: &'b RecordBatch, name: &str) -> Result<Option<&'b StructArray>, NotReplayed> {
    let Some(column) = batch.column_by_name(name).filter(|column| column.null_count() < column.len()) else { return Ok(None) };
    column.as_struct_opt().map(Some).ok_or(NotReplayed)
}

fn column(group: &StructArray, name: &str) -> Result<ArrayRef, NotReplayed> {
    group.column_by_name(name).cloned().ok_or(NotReplayed)
}

/// The rows that have an action of a kind.
fn valid(group: &StructArray) -> impl Iterator<Item = usize> + '_ {
    (0..group.len()).filter(|row| group.is_valid(*row))
}

fn texts_of(column: &ArrayRef) -> Result<Texts, NotReplayed> {
    Texts::new(column).map_err(|_| NotReplayed)
}

fn text_column(group: &StructArray, name: &str) -> Result<Texts, NotReplayed> {
    texts_of(&column(group, name)?)
}

fn long(column: &ArrayRef, row: usize) -> Result<Option<i64>, NotReplayed> {
    let column = column.as_primitive_opt::<Int64Type>().ok_or(NotReplayed)?;
    Ok(column.is_valid(row).then(|| column.value(row)))
}

fn list(column: &ArrayRef, row: usize) -> Result<Option<Vec<String>>, NotReplayed> {
    let column = column.as_list_opt::<i32>().ok_or(NotReplayed)?;
    if column.is_null(row) {
        return Ok(None);
    }
    let values = column.value(row);
    let texts = texts_of(&values)?;
    (0..values.len()).map(|at| texts.get(at).map(str::to_owned).ok_or(NotReplayed)).collect::<Result<_, _>>().map(Some)
}

fn map(column: &ArrayRef, row: usize) -> Result<Option<HashMap<String, Option<String>>>, NotReplayed> {
    let column: &MapArray = column.as_map_opt().ok_or(NotReplayed)?;
    if column.is_null(row) {
        return Ok(None);
    }
    let entries = column.value(row);
    let (names, values) = (texts_of(entries.column(0))?, texts_of(entries.column(1))?);
    let pairs =
        (0..entries.len()).map(|at| Ok((names.get(at).ok_or(NotReplayed)?.to_owned(), values.get(at).map(str::to_owned))));
    pairs.collect::<Result<_, NotReplayed>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::actions::lines;

    const BEGIN: &str = "{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":2}}\n{\"metaData\":{\"id\":\"i\",\"name\":\"traces\",\
                         \"format\":{\"provider\":\"parquet\",\"options\":{}},\"schemaString\":\"{}\",\"partitionColumns\":\
                         [\"event_month\"],\"configuration\":{}}}";

    fn add(path: &str) -> String {
        format!(
            "{{\"add\":{{\"path\":\"{path}\",\"size\":7,\"modificationTime\":5,\"partitionValues\":{{\"event_month\":\"2026-01-01\"}},\
             \"stats\":\"{{}}\",\"tags\":{{\"t\":null}},\"dataChange\":true}}}}"
        )
    }

    fn remove(path: &str) -> String {
        format!("{{\"remove\":{{\"path\":\"{path}\",\"dataChange\":true}}}}")
    }

    fn txn(version: i64) -> String {
        format!("{{\"txn\":{{\"appId\":\"app\",\"version\":{version}}}}}")
    }

    fn commits(texts: &[&[String]]) -> Vec<Vec<Actions>> {
        let text = |lines: &&[String]| lines.join("\n");
        texts.iter().map(text).map(|text| lines(text.as_bytes()).expect("actions")).collect()
    }

    fn paths(replayed: &Replayed) -> Vec<&str> {
        replayed.files.iter().map(|file| file.path.as_str()).collect()
    }

    #[test]
    fn a_file_is_live_until_it_is_removed() {
        let all = commits(&[
            &[BEGIN.to_owned()],
            &[add("a"), add("b%20c"), txn(1)],
            &[remove("a"), add("d"), txn(2)],
            // Put back, and named again.
            &[add("a"), remove("d")],
            &[add("d"), remove("b c")],
        ]);
        let live: Vec<Vec<&str>> = vec![vec![], vec!["a", "b c"], vec!["d", "b c"], vec!["a", "b c"], vec!["d", "a"]];
        for until in 1..=all.len() {
            let whole = replay(&Base::Nothing, &all[..until]).expect("replayed");
            assert_eq!(paths(&whole), live[until - 1], "{until}");
            for from in 1..until {
                let before = replay(&Base::Nothing, &all[..from]).expect("replayed");
                let after = replay(&Base::Version(&before), &all[from..until]).expect("replayed");
                assert_eq!(after, whole, "{from}..{until}");
            }
        }
        let whole = replay(&Base::Nothing, &all).expect("replayed");
        assert_eq!((whole.transactions["app"], whole.metadata.name.as_deref()), (2, Some("traces")));
        let file = &whole.files[0];
        assert_eq!((file.size, file.modified, file.stats.as_deref()), (7, 5, Some("{}")));
        assert_eq!(file.partition.map(Partition::text).as_deref(), Some("2026-01-01"));
        assert_eq!(file.tags["t"], None);
    }

    #[test]
    fn what_only_the_library_reads_is_left_to_it() {
        let refused = |lines: &[String]| {
            let all = commits(&[&[BEGIN.to_owned()], lines]);
            assert!(replay(&Base::Nothing, &all).is_err(), "{lines:?}");
        };
        refused(&[add("a").replace("\"size\"", "\"deletionVector\":{\"storageType\":\"u\"},\"size\"")]);
        refused(&[remove("a").replace("\"path\"", "\"deletionVector\":{\"storageType\":\"u\"},\"path\"")]);
        refused(&[add("a").replace("\"modificationTime\":5,", "")]);
        refused(&[BEGIN.replace(
            "\"configuration\":{}",
            "\"configuration\":{\"delta.setTransactionRetentionDuration\":\"interval 1 day\"}",
        )]);
        let none = commits(&[&[add("a")]]);
        assert!(replay(&Base::Nothing, &none).is_err(), "a table without metadata");
        // Another way to divide the table concerns files that are known already.
        let all = commits(&[&[BEGIN.to_owned(), add("a")], &[BEGIN.to_owned()]]);
        let before = replay(&Base::Nothing, &all[..1]).expect("replayed");
        assert!(replay(&Base::Version(&before), &all[1..]).is_err());
        assert!(replay(&Base::Nothing, &all).is_ok());
    }

    /// A checkpoint's rows, an action each.
    fn checkpoint_rows(actions: &[serde_json::Value]) -> RecordBatch {
        use arrow::datatypes::{DataType, Field, Schema};
        let field = |name: &str, ty| Field::new(name, ty, true);
        let text = |name: &str| field(name, DataType::Utf8);
        let long = |name: &str| field(name, DataType::Int64);
        let int = |name: &str| field(name, DataType::Int32);
        let of = |name: &str, fields: Vec<Field>| field(name, DataType::Struct(fields.into()));
        let texts = |name: &str| {
            let entry = DataType::Struct(vec![Field::new("key", DataType::Utf8, false), text("value")].into());
            field(name, DataType::Map(Field::new("key_value", entry, false).into(), false))
        };
        let list = |name: &str| field(name, DataType::List(text("element").into()));
        let vector = of("deletionVector", vec![text("storageType")]);
        let add = vec![
            text("path"),
            long("size"),
            long("modificationTime"),
            texts("partitionValues"),
            texts("tags"),
            text("stats"),
            vector,
        ];
        let table = vec![text("id"), text("name"), text("schemaString"), list("partitionColumns"), texts("configuration")];
        let schema = Schema::new(vec![
            of("protocol", vec![int("minReaderVersion"), int("minWriterVersion"), list("readerFeatures")]),
            of("metaData", table),
            of("txn", vec![text("appId"), long("version")]),
            of("add", add),
            of("sidecar", vec![text("path")]),
        ]);
        let lines: String = actions.iter().map(|action| format!("{action}\n")).collect();
        let mut reader = arrow::json::ReaderBuilder::new(schema.into()).build(lines.as_bytes()).expect("a reader");
        reader.next().expect("rows").expect("a batch")
    }

    #[test]
    fn a_checkpoint_says_what_is_live_unless_a_newer_commit_says_otherwise() {
        use serde_json::json;
        let begin: Vec<serde_json::Value> = BEGIN.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let whole = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("JSON");
        let live = [begin, vec![whole(&txn(3)), whole(&add("a")), whole(&add("b%20c")), whole(&add("d"))]].concat();
        let after = |newer: &[Vec<Actions>], rows: &[serde_json::Value]| {
            let mut replay = Replay::default();
            newer.iter().rev().try_for_each(|commit| replay.commit(commit))?;
            replay.checkpointed(&checkpoint_rows(rows))?;
            replay.end()
        };
        let found = after(&[], &live).expect("replayed");
        assert_eq!((paths(&found), found.transactions["app"]), (vec!["a", "b c", "d"], 3));
        let expected = replay(&Base::Nothing, &commits(&[&[BEGIN.to_owned()], &[add("a"), add("b%20c"), add("d"), txn(3)]]));
        assert_eq!(found, expected.expect("replayed"));
        let newer = commits(&[&[remove("a"), add("e"), txn(4)], &[remove("b c"), add("d")]]);
        let found = after(&newer, &live).expect("replayed");
        assert_eq!((paths(&found), found.transactions["app"]), (vec!["d", "e"], 4));

        let with = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut last = whole(&add("x"));
            change(&mut last);
            after(&[], &[&live[..], &[last]].concat())
        };
        // Some readers make a struct of a vector that is not there.
        assert!(with(&|add| add["add"]["deletionVector"] = json!({ "storageType": null })).is_ok());
        assert!(with(&|add| add["add"]["deletionVector"] = json!({ "storageType": "u" })).is_err());
        assert!(with(&|add| add["add"]["path"] = "../x".into()).is_err());
        assert!(with(&|add| add["add"]["modificationTime"] = json!(null)).is_err());
        assert!(with(&|add| *add = json!({ "sidecar": { "path": "s" } })).is_err());
        assert!(with(&|add| *add = json!({ "txn": { "appId": "app" } })).is_err());
    }
}
