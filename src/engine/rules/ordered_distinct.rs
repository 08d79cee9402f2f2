//! Hints for distinct rows that became ordered.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;

/// Takes the hint "so many groups are enough" from aggregates that turned out to be ordered.
///
/// DataFusion gives the hint to a distinct without an order that is under a limit. A later rule may give the input of that
/// distinct an order, and then the hint is taken for the first groups by a key, whose direction was not noted: the query fails.
/// Without the hint the aggregate gives all groups, and the limit above it cuts them.
#[derive(Debug)]
pub(crate) struct OrderedDistinct;

impl PhysicalOptimizerRule for OrderedDistinct {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            let Some(aggregate) = plan.downcast_ref::<AggregateExec>() else { return Ok(Transformed::no(plan)) };
            let unordered_hint = aggregate.limit_options().is_some_and(|hint| hint.descending().is_none());
            if !unordered_hint || aggregate.is_unordered_unfiltered_group_by_distinct() {
                return Ok(Transformed::no(plan));
            }
            Ok(Transformed::yes(Arc::new(aggregate.with_new_limit_options(None))))
        })
        .data()
    }

    fn name(&self) -> &str {
        "OrderedDistinct"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
