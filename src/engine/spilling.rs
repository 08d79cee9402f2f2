//! Plans for queries that ran out of memory: of operators that spill, at the price of time.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult as _, TreeNode as _};
use datafusion::execution::SessionStateBuilder;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::prelude::SessionContext;

/// A session whose plans join by sorting and merging, since hash joins do not spill, and sort whole inputs for their first
/// rows, since a heap of first rows does not spill either.
pub(super) fn session(session: &SessionContext) -> SessionContext {
    let builder = SessionStateBuilder::new_from_existing(session.state()).with_physical_optimizer_rule(Arc::new(WholeSorts));
    let mut state = builder.build();
    state.config_mut().options_mut().optimizer.prefer_hash_join = false;
    SessionContext::new_with_state(state)
}

/// True for a plan that [`session`] would make another one of: it has a hash join, or a sort for first rows.
pub(super) fn makes_another(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let other = |plan: &Arc<dyn ExecutionPlan>| {
        Ok(plan.is::<HashJoinExec>() || plan.downcast_ref::<SortExec>().is_some_and(|sort| sort.fetch().is_some()))
    };
    plan.exists(other).unwrap_or(true)
}

/// Makes sorts for the first rows sorts with a limit above.
#[derive(Debug)]
struct WholeSorts;

impl PhysicalOptimizerRule for WholeSorts {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            let Some(sort) = plan.downcast_ref::<SortExec>() else { return Ok(Transformed::no(plan)) };
            let Some(rows) = sort.fetch() else { return Ok(Transformed::no(plan)) };
            let whole: Arc<dyn ExecutionPlan> = Arc::new(sort.with_fetch(None));
            Ok(Transformed::yes(if sort.preserve_partitioning() {
                Arc::new(LocalLimitExec::new(whole, rows))
            } else {
                Arc::new(GlobalLimitExec::new(whole, 0, Some(rows)))
            }))
        })
        .data()
    }

    fn name(&self) -> &str {
        "WholeSorts"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_plans_that_become_others_are_made_again() {
        let rows = "(VALUES (1), (2)) AS a(x)";
        for (sql, another) in [
            (format!("SELECT * FROM {rows} ORDER BY x"), false),
            (format!("SELECT x, array_agg(x) FROM {rows} GROUP BY x"), false),
            (format!("SELECT * FROM {rows} ORDER BY x LIMIT 1"), true),
            (format!("SELECT * FROM {rows} JOIN (VALUES (1), (2)) AS b(y) ON x = y"), true),
        ] {
            let context = SessionContext::new();
            let plan = |context: SessionContext| {
                let sql = sql.clone();
                async move { context.sql(&sql).await.unwrap().create_physical_plan().await.unwrap() }
            };
            assert_eq!(makes_another(&plan(context.clone()).await), another, "{sql}");
            assert!(!makes_another(&plan(session(&context)).await), "{sql}");
        }
    }
}
