//! Rows that an operator made many of.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ExecutionPlan, Partitioning};

use kqlake_kql::makes_wide_rows;

/// Leaves the rows of `mv-expand` in their partition.
///
/// A list may stand beside each of its elements. `mv-expand` hands such rows out a few at a time; dealing them out to several
/// partitions would gather as many as a batch has, however wide they are.
#[derive(Debug)]
pub(crate) struct WideRows;

impl PhysicalOptimizerRule for WideRows {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| match plan.downcast_ref::<RepartitionExec>() {
            Some(deal) if matches!(deal.partitioning(), Partitioning::RoundRobinBatch(_)) && has_wide_rows(deal.input()) => {
                Ok(Transformed::yes(Arc::clone(deal.input())))
            }
            _ => Ok(Transformed::no(plan)),
        })
        .data()
    }

    fn name(&self) -> &str {
        "WideRows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn has_wide_rows(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if plan.is::<ProjectionExec>() || plan.is::<FilterExec>() {
        return plan.children().into_iter().any(has_wide_rows);
    }
    makes_wide_rows(plan.as_ref())
}
