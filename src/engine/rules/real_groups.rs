//! Hints for groups by a real.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;

/// Takes the hint "only the first groups of an order are asked for" from aggregates whose group is a real.
///
/// DataFusion keeps such groups in a table of their own, which compares keys as numbers: NaN is equal to nothing there, and each
/// NaN becomes a group. Without the hint the aggregate gives all groups, and the limit above it cuts them.
#[derive(Debug)]
pub(super) struct RealGroups;

impl PhysicalOptimizerRule for RealGroups {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            let Some(aggregate) = plan.downcast_ref::<AggregateExec>() else { return Ok(Transformed::no(plan)) };
            if aggregate.limit_options().is_none_or(|hint| hint.descending().is_none()) || !has_real(aggregate)? {
                return Ok(Transformed::no(plan));
            }
            Ok(Transformed::yes(Arc::new(aggregate.with_new_limit_options(None))))
        })
        .data()
    }

    fn name(&self) -> &str {
        "RealGroups"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether one of the groups is a real.
fn has_real(aggregate: &AggregateExec) -> Result<bool> {
    let schema = aggregate.input().schema();
    for (group, _) in aggregate.group_expr().expr() {
        if group.data_type(&schema)?.is_floating() {
            return Ok(true);
        }
    }
    Ok(false)
}
