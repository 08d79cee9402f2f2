//! Which data file a query failed in.

use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;

use super::provider::LakeTable;
use crate::data::file::read_through;
use crate::error::LakeError;

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
            found = snapshot.files().iter().find_map(|file| read_through(table, snapshot.dir(), &file.entry).err());
        }
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    looked.ok().and(found)
}
