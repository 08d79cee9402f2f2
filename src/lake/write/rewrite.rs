//! Rewrites data files without some of their rows. Small files become one: the rows that change in drops every few minutes lie in
//! many of them, and each file costs as much as many rows.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;

use super::keys::{KeySet, Keyer};
use crate::data::file::{check_bytes, delete, read_groups, weight};
use crate::data::layout::Layout;
use crate::data::promote::Promoter;
use crate::data::rows::{FileRows, Prepared};
use crate::data::writer::{Effort, FileWriter};
use crate::error::LakeError;
use crate::log::entry::{FileEntry, NewFile, rows_of};
use crate::partition::Partition;

/// Rows of files that become one file in memory, at most, of all together, by their weights.
pub(crate) const MOST_IN_MEMORY: u64 = 4_096;
/// Rows of a row group that stays one by itself, at least.
const GROUP_ROWS: u64 = 1_024;

/// Rewrites live files without some of their rows, small ones of a partition into one. Gives the new files.
///
/// # Errors
/// A file cannot be read, or the disk refuses; no new file stays.
pub(crate) fn rewrite_all(layout: &Arc<Layout>, dir: &Path, files: &[(&FileEntry, KeySet)]) -> Result<Vec<NewFile>, LakeError> {
    // What is damaged is not written again: nobody could see it any more.
    files.iter().try_for_each(|(file, _)| check_bytes(layout.def.name, dir, file))?;
    let mut partitions: BTreeMap<Option<Partition>, Vec<&(&FileEntry, KeySet)>> = BTreeMap::new();
    for file in files {
        partitions.entry(file.0.partition).or_default().push(file);
    }
    let mut done = Vec::new();
    let mut rewrite_one = |mut files: Vec<&(&FileEntry, KeySet)>, partition| -> Result<(), LakeError> {
        files.sort_by_key(|(file, _)| weight(file));
        let mut rows = 0u64;
        let small = files.iter().take_while(|(file, _)| {
            rows = rows.saturating_add(weight(file));
            rows <= MOST_IN_MEMORY
        });
        let small = small.count();
        let merged = if small > 1 { small } else { 0 };
        done.extend(merge_sorted(layout, dir, &files[..merged])?);
        for (file, without) in &files[merged..] {
            let columns = layout.columns_of_files([*file]);
            let rows = file.stats.as_deref().and_then(rows_of);
            done.extend(rewrite(layout, dir, (&file.path, rows), partition, &columns, without)?.map(|(file, _)| file));
        }
        Ok(())
    };
    let rewritten = partitions.into_iter().try_for_each(|(partition, files)| rewrite_one(files, partition));
    if let Err(error) = rewritten {
        delete(dir, &done);
        return Err(error);
    }
    Ok(done)
}

/// Writes the rows of live files of one partition, of [`MOST_IN_MEMORY`] at most, into one file. Gives it, with its rows.
///
/// # Errors
/// As for [`rewrite_all`].
pub(crate) fn merge_in_memory(layout: &Arc<Layout>, dir: &Path, files: &[FileEntry]) -> Result<(Vec<NewFile>, u64), LakeError> {
    let all: Vec<(&FileEntry, KeySet)> = files.iter().map(|file| (file, KeySet::default())).collect();
    let merged = merge_sorted(layout, dir, &all.iter().collect::<Vec<_>>())?;
    let rows = merged.iter().filter_map(|file| rows_of(&file.stats)).sum();
    Ok((merged, rows))
}

/// Writes the rows of small files that stay into one file a partition, in the order of files.
fn merge_sorted(layout: &Arc<Layout>, dir: &Path, files: &[&(&FileEntry, KeySet)]) -> Result<Vec<NewFile>, LakeError> {
    let (mut promoter, mut prepared) = (Promoter::new(layout.def), Vec::new());
    for (file, without) in files {
        kept(layout, dir, &file.path, without, &mut |_, core| {
            prepared.push(Prepared::of_core(layout, &mut promoter, core)?);
            Ok(())
        })?;
    }
    let rows = FileRows::new(layout, &prepared)?;
    let picks: Vec<(usize, usize)> =
        prepared.iter().enumerate().flat_map(|(at, batch)| (0..batch.core.num_rows()).map(move |row| (at, row))).collect();
    let mut done = Vec::new();
    for (partition, picks) in rows.sorted(&picks)? {
        match rows.write(dir, partition, &picks, 1) {
            Ok(file) => done.push(file),
            Err(error) => {
                delete(dir, &done);
                return Err(error);
            }
        }
    }
    Ok(done)
}

/// Gives the core rows of a file that stay, a batch at a time, with the number of its row group.
fn kept(
    layout: &Layout,
    dir: &Path,
    file: &str,
    without: &KeySet,
    visit: &mut dyn FnMut(usize, RecordBatch) -> Result<(), LakeError>,
) -> Result<(), LakeError> {
    let def = layout.def;
    let keyer = Keyer::new(def);
    read_groups(def.name, &dir.join(file), &mut |group, batch| {
        let core = keyer.with_contents(layout.core_of_file(&batch)?)?;
        let keep: BooleanArray = keyer.keys(&core, false)?.iter().map(|row| Some(!without.contains(&row.key))).collect();
        let core = filter_record_batch(&core, &keep).map_err(|source| LakeError::Arrow { table: def.name, source })?;
        if core.num_rows() > 0 { visit(group, core) } else { Ok(()) }
    })
}

/// Rewrites a file of so many rows, where that is known, without some of them and with some columns; `None` when no row is left. Gives
/// the new file and its rows.
///
/// # Errors
/// The file cannot be read, or the disk refuses; no half file stays.
pub(crate) fn rewrite(
    layout: &Arc<Layout>,
    dir: &Path,
    (file, rows): (&str, Option<u64>),
    partition: Option<Partition>,
    columns: &[bool],
    without: &KeySet,
) -> Result<Option<(NewFile, u64)>, LakeError> {
    let def = layout.def;
    let Some(partition) = partition else {
        return Err(LakeError::Shape { table: def.name, reason: format!("file {file} has no partition") });
    };
    let expected = rows.and_then(|rows| usize::try_from(rows).ok()).map(|rows| rows.saturating_sub(without.len()));
    let mut out: Option<FileWriter> = None;
    let (mut last, mut begun) = (0, 0);
    let copied = kept(layout, dir, file, without, &mut |group, core| {
        let writer = match &mut out {
            Some(writer) => writer,
            None => {
                let created = FileWriter::create(layout, dir, partition, columns, Effort::Rewrite)?;
                out.insert(match expected {
                    Some(rows) => created.expecting(rows),
                    None => created,
                })
            }
        };
        // Row groups that were copied as they are have an order and bounds of their own.
        if group != last && writer.rows() - begun >= GROUP_ROWS {
            writer.end_group()?;
            begun = writer.rows();
        }
        last = group;
        writer.write(&core)
    });
    match (copied, out) {
        (Ok(()), Some(out)) => {
            let rows = out.rows();
            Ok(Some((out.finish()?, rows)))
        }
        (Ok(()), None) => Ok(None),
        (Err(e), out) => {
            if let Some(out) = out {
                out.abandon();
            }
            Err(e)
        }
    }
}
