//! Rewrites a data file without some of its rows.

use std::path::Path;
use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;

use super::keys::{KeySet, Keyer};
use crate::data::file::open_file;
use crate::data::layout::Layout;
use crate::data::writer::{Effort, FileWriter};
use crate::error::LakeError;
use crate::log::entry::NewFile;
use crate::partition::Partition;

/// Rewrites a file without some rows and with some columns; `None` when no row is left. Gives the new file and its rows.
///
/// # Errors
/// The file cannot be read, or the disk refuses; no half file stays.
pub(crate) fn rewrite(
    layout: &Arc<Layout>,
    dir: &Path,
    file: &str,
    partition: Option<Partition>,
    columns: &[bool],
    without: &KeySet,
) -> Result<Option<(NewFile, u64)>, LakeError> {
    let def = layout.def;
    let arrow = |source| LakeError::Arrow { table: def.name, source };
    let Some(partition) = partition else {
        return Err(LakeError::Shape { table: def.name, reason: format!("file {file} has no partition") });
    };
    let keyer = Keyer::new(def);
    let mut out: Option<FileWriter> = None;
    let mut copy = || -> Result<(), LakeError> {
        let path = dir.join(file);
        for batch in open_file(def.name, &path, None)? {
            let core = keyer.with_contents(layout.core_of_file(&batch.map_err(|e| LakeError::of_file(def.name, &path, &e))?)?)?;
            let keep: BooleanArray = keyer.keys(&core, false)?.iter().map(|row| Some(!without.contains(&row.key))).collect();
            let core = filter_record_batch(&core, &keep).map_err(arrow)?;
            if core.num_rows() > 0 {
                if out.is_none() {
                    out = Some(FileWriter::create(layout, dir, partition, columns, Effort::Copy)?);
                }
                if let Some(out) = &mut out {
                    out.write(&core)?;
                }
            }
        }
        Ok(())
    };
    let copied = copy();
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
