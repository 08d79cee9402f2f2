//! Scans whose order is relied on, behind a limit.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;

/// Keeps the files of a scan in their groups where the scan says that the groups are in order.
///
/// Partitions of a scan may take each other's files, unless the scan has an order. DataFusion's `LimitPushdown` allows it to every
/// scan below a limit (55.2), also below a merge that needs the order: a group then goes on with files that belong to another one,
/// and the merge gives rows that are not the first ones.
#[derive(Debug)]
pub(super) struct OrderedScans;

impl PhysicalOptimizerRule for OrderedScans {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            let scan = plan.downcast_ref::<DataSourceExec>().and_then(|scan| scan.data_source().downcast_ref::<FileScanConfig>());
            let forgets = scan.is_some_and(|scan| !scan.preserve_order && !scan.output_ordering.is_empty());
            Ok(match plan.with_preserve_order(true).filter(|_| forgets) {
                Some(ordered) => Transformed::yes(ordered),
                None => Transformed::no(plan),
            })
        })
        .data()
    }

    fn name(&self) -> &str {
        "OrderedScans"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
