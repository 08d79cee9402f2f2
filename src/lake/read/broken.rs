//! Which data file a query failed in.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};

use super::provider::LakeTable;
use super::snapshot::LiveFile;
use crate::data::file::read_through;
use crate::error::LakeError;

/// Looks whether a data file has the columns that its table knows of it: scans ask for those.
fn check_columns(table: &'static str, dir: &Path, file: &LiveFile) -> Result<(), LakeError> {
    let Some(schema) = &file.file_schema else { return Ok(()) };
    let path = dir.join(&file.entry.path);
    let opened = File::open(&path).map_err(|e| LakeError::of_file(table, &path, &e))?;
    let known = ArrowReaderOptions::new().with_schema(Arc::clone(schema));
    ArrowReaderMetadata::load(&opened, known).map(drop).map_err(|e| LakeError::of_file(table, &path, &e))
}

/// The first data file of a plan's tables that is broken: what to say when a query failed inside the decoder, which does
/// not know what it reads. Reads the files through, one after the other.
pub fn broken_file(plan: &LogicalPlan) -> Option<LakeError> {
    let mut found = None;
    let looked = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
            && let Some(snapshot) = LakeTable::snapshot_of(provider.as_ref())
        {
            let table = snapshot.def().name;
            let look = |file: &LiveFile| {
                read_through(table, snapshot.dir(), &file.entry).and_then(|()| check_columns(table, snapshot.dir(), file))
            };
            found = snapshot.files().iter().find_map(|file| look(file).err());
        }
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    looked.ok().and(found)
}
