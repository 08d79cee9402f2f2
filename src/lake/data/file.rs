//! One data file at rest: whether it is there as the log says, and how it is opened, read through and deleted.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::record_batch::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use super::checksum::{TAG_CHECKSUM, checksum_of};
use crate::damage::{Damage, IRREGULAR};
use crate::error::LakeError;
use crate::log::entry::{FileEntry, NewFile, rows_of};

/// Rows that are read, and sorted, promoted and handed to the encoder, at a time.
pub(crate) const CHUNK_ROWS: usize = 8192;
/// Bytes that a row has in its file at most; wider rows count as several.
const ROW_BYTES: u64 = 1_024;

/// Looks at a data file without reading it: it must be there and have the size that the log says. Files never change after
/// they were written.
///
/// # Errors
/// [`LakeError::Damaged`] when it is not; [`LakeError::Io`] when it cannot be examined.
pub(crate) fn check_file(table: &'static str, dir: &Path, entry: &FileEntry) -> Result<(), LakeError> {
    check_size(table, dir.join(&entry.path), entry.size)
}

/// Looks at a data file that a commit lists, or is about to list, as [`check_file`] does.
///
/// # Errors
/// As [`check_file`].
pub(crate) fn check_size(table: &'static str, file: PathBuf, expected: u64) -> Result<(), LakeError> {
    let damaged = |damage| Err(LakeError::Damaged { table, damage });
    match std::fs::metadata(&file) {
        Ok(meta) if !meta.is_file() => damaged(Damage::File { file, why: IRREGULAR.to_owned() }),
        Ok(meta) if meta.len() == expected => Ok(()),
        Ok(meta) => damaged(Damage::FileSize { file, found: meta.len(), expected }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => damaged(Damage::MissingFile { file }),
        Err(source) => Err(LakeError::Io { table, path: file, source }),
    }
}

/// What a file costs to be written again with others, in rows; more than any other when they are not known.
pub(crate) fn weight(file: &FileEntry) -> u64 {
    file.stats.as_deref().and_then(rows_of).map_or(u64::MAX, |rows| rows.max(file.size / ROW_BYTES).max(1))
}

/// Whether a data file's bytes are those that were written: its rows are to be written again, and of what is damaged nobody could tell
/// afterwards. Files of earlier versions have no checksum, and are read through.
///
/// # Errors
/// [`LakeError::Damaged`] when they are not; [`LakeError::Io`] when it cannot be read.
pub(crate) fn check_bytes(table: &'static str, dir: &Path, entry: &FileEntry) -> Result<(), LakeError> {
    let Some(expected) = entry.tags.get(TAG_CHECKSUM).and_then(|tag| tag.as_deref()) else {
        return read_through(table, dir, entry);
    };
    check_file(table, dir, entry)?;
    let file = dir.join(&entry.path);
    let found = checksum_of(&file).map_err(|e| LakeError::of_file(table, &file, &e))?;
    if found == expected {
        return Ok(());
    }
    let why = "its content is not what was written (the checksum differs)".to_owned();
    Err(LakeError::Damaged { table, damage: Damage::File { file, why } })
}

/// Reads a data file through.
///
/// # Errors
/// [`LakeError::Damaged`] when it cannot be read to its end.
pub(crate) fn read_through(table: &'static str, dir: &Path, entry: &FileEntry) -> Result<(), LakeError> {
    check_file(table, dir, entry)?;
    let file = dir.join(&entry.path);
    open_file(table, &file, None)?.try_for_each(|batch| batch.map(drop)).map_err(|e| LakeError::of_file(table, &file, &e))
}

/// Opens a file of a table; with `columns` only these are read, as far as the file has them.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn open_file(
    table: &'static str,
    path: &Path,
    columns: Option<&[&str]>,
) -> Result<ParquetRecordBatchReader, LakeError> {
    let file = File::open(path).map_err(|e| LakeError::of_file(table, path, &e))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| LakeError::of_file(table, path, &e))?;
    let mask = match columns {
        None => ProjectionMask::all(),
        Some(names) => {
            let roots: Vec<usize> = builder
                .schema()
                .fields()
                .iter()
                .enumerate()
                .filter(|(_, f)| names.contains(&f.name().as_str()))
                .map(|(at, _)| at)
                .collect();
            ProjectionMask::roots(builder.parquet_schema(), roots)
        }
    };
    builder.with_projection(mask).with_batch_size(CHUNK_ROWS).build().map_err(|e| LakeError::of_file(table, path, &e))
}

/// Gives the rows of a file of a table by its row groups, each with its number.
///
/// # Errors
/// The file cannot be read, or those of `visit`.
pub(crate) fn read_groups(
    table: &'static str,
    path: &Path,
    visit: &mut dyn FnMut(usize, RecordBatch) -> Result<(), LakeError>,
) -> Result<(), LakeError> {
    let failed = |e: &(dyn std::error::Error + 'static)| LakeError::of_file(table, path, e);
    let file = File::open(path).map_err(|e| failed(&e))?;
    let footer = ArrowReaderMetadata::load(&file, ArrowReaderOptions::default()).map_err(|e| failed(&e))?;
    for group in 0..footer.metadata().num_row_groups() {
        let file = file.try_clone().map_err(|e| failed(&e))?;
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer.clone()).with_row_groups(vec![group]);
        for batch in reader.with_batch_size(CHUNK_ROWS).build().map_err(|e| failed(&e))? {
            visit(group, batch.map_err(|e| failed(&e))?)?;
        }
    }
    Ok(())
}

/// Deletes files that were not committed.
pub(crate) fn delete<'a>(dir: &Path, files: impl IntoIterator<Item = &'a NewFile>) {
    for file in files {
        // No log names the file; compaction deletes it later should this fail.
        let _ = std::fs::remove_file(dir.join(&file.path));
    }
}
