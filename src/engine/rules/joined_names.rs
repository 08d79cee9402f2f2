//! Filters above joins of columns that have one name.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult as _, TreeNode as _};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::limit::LocalLimitExec;

/// DataFusion's `filter_pushdown`, kept from moving filters below joins of columns that have one name.
///
/// A hash join looks for a filter's columns in its inputs by their names alone: `a.id IS NULL` above `a RIGHT JOIN c` becomes `c.id IS
/// NULL`. What may pass such a join has passed it before, when columns had qualifiers still. Columns of KQL have names of their own.
#[derive(Debug)]
pub(super) struct FilterPushdown {
    inner: Arc<dyn PhysicalOptimizerRule + Send + Sync>,
}

/// The limit that stands above such a join while the rule is at work: no filter passes a limit, and none has so many rows.
const ALL: usize = usize::MAX;

impl FilterPushdown {
    /// The guard around DataFusion's rule.
    pub(super) fn new(inner: Arc<dyn PhysicalOptimizerRule + Send + Sync>) -> FilterPushdown {
        FilterPushdown { inner }
    }
}

impl PhysicalOptimizerRule for FilterPushdown {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        if !plan.exists(|node| Ok(has_one_name_twice(node)))? {
            return self.inner.optimize(plan, config);
        }
        let guarded = plan.transform_up(|node| match has_one_name_twice(&node) {
            true => Ok(Transformed::yes(Arc::new(LocalLimitExec::new(node, ALL)) as Arc<dyn ExecutionPlan>)),
            false => Ok(Transformed::no(node)),
        });
        let optimized = self.inner.optimize(guarded.data()?, config)?;
        optimized
            .transform_up(|node| match node.downcast_ref::<LocalLimitExec>() {
                Some(limit) if limit.fetch() == ALL => Ok(Transformed::yes(Arc::clone(limit.input()))),
                _ => Ok(Transformed::no(node)),
            })
            .data()
    }

    fn name(&self) -> &str {
        self.inner.name()
    }

    fn schema_check(&self) -> bool {
        self.inner.schema_check()
    }
}

/// True for a hash join whose inputs have two columns of one name, in one of them or in both.
fn has_one_name_twice(node: &Arc<dyn ExecutionPlan>) -> bool {
    let Some(join) = node.downcast_ref::<HashJoinExec>() else { return false };
    let (left, right) = (join.left().schema(), join.right().schema());
    let mut seen = HashSet::new();
    left.fields().iter().chain(right.fields()).any(|field| !seen.insert(field.name().clone()))
}
