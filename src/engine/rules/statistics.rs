//! Aggregates that are answered from statistics.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNode as _;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;

/// DataFusion's `aggregate_statistics`, left out where an aggregate with a filter stands above another aggregate.
///
/// DataFusion looks below an aggregate for one that statistics answer, and does not stop at one that has a filter: the answer of the
/// aggregate below then takes the place of the one above.
#[derive(Debug)]
pub(super) struct AggregateStatistics {
    inner: Arc<dyn PhysicalOptimizerRule + Send + Sync>,
}

impl AggregateStatistics {
    /// The guard around DataFusion's rule.
    pub(super) fn new(inner: Arc<dyn PhysicalOptimizerRule + Send + Sync>) -> AggregateStatistics {
        AggregateStatistics { inner }
    }
}

impl PhysicalOptimizerRule for AggregateStatistics {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        if plan.exists(|node| Ok(is_filtered(node) && has_aggregate_below(node)?))? {
            return Ok(plan);
        }
        self.inner.optimize(plan, config)
    }

    fn name(&self) -> &str {
        self.inner.name()
    }

    fn schema_check(&self) -> bool {
        self.inner.schema_check()
    }
}

fn is_filtered(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.downcast_ref::<AggregateExec>().is_some_and(|aggregate| aggregate.filter_expr().iter().any(Option::is_some))
}

fn has_aggregate_below(node: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    for child in node.children() {
        if child.exists(|node| Ok(node.is::<AggregateExec>()))? {
            return Ok(true);
        }
    }
    Ok(false)
}
