//! Plans for queries that ran out of memory: of operators that spill, at the price of time.

use std::sync::Arc;

use arrow::compute::SortOptions;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult as _, TreeNode as _};
use datafusion::execution::SessionStateBuilder;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties as _, InputOrderMode, Partitioning};
use datafusion::prelude::SessionContext;
use kqlake_kql::has_large_states;

/// A session whose plans join by sorting and merging, since hash joins do not spill, and sort whole inputs for their first
/// rows, since a heap of first rows does not spill either, and for groups whose values are gathered, which then leave one by one.
pub(super) fn session(session: &SessionContext) -> SessionContext {
    let builder = SessionStateBuilder::new_from_existing(session.state())
        .with_physical_optimizer_rule(Arc::new(WholeSorts))
        .with_physical_optimizer_rule(Arc::new(OrderedGroups));
    let mut state = builder.build();
    state.config_mut().options_mut().optimizer.prefer_hash_join = false;
    SessionContext::new_with_state(state)
}

/// True for a plan that [`session`] would make another one of: it has a hash join, a sort for first rows, or groups in a table whose
/// values are gathered.
pub(super) fn makes_another(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let other = |plan: &Arc<dyn ExecutionPlan>| {
        Ok(plan.is::<HashJoinExec>()
            || plan.downcast_ref::<SortExec>().is_some_and(|sort| sort.fetch().is_some())
            || first_phase(plan).is_some())
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

/// Makes groups whose values are gathered groups over rows in the order of their keys.
#[derive(Debug)]
struct OrderedGroups;

impl PhysicalOptimizerRule for OrderedGroups {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            let Some(first) = first_phase(&plan) else { return Ok(Transformed::no(plan)) };
            let key = |(key, _): &(Arc<_>, String)| PhysicalSortExpr::new(Arc::clone(key), SortOptions::default());
            let Some(order) = LexOrdering::new(first.group_expr().expr().iter().map(key)) else {
                return Ok(Transformed::no(plan));
            };
            let partitions = plan.output_partitioning().partition_count();
            let sorted = |input| SortExec::new(order.clone(), input).with_preserve_partitioning(true);
            let (mode, input): (_, Arc<dyn ExecutionPlan>) = match (first.mode(), partitions) {
                (AggregateMode::SinglePartitioned, _) => {
                    (AggregateMode::SinglePartitioned, Arc::new(sorted(Arc::clone(first.input()))))
                }
                (_, 2..) => {
                    let keys = Partitioning::Hash(first.group_expr().input_exprs(), partitions);
                    let parted = RepartitionExec::try_new(Arc::clone(first.input()), keys)?;
                    (AggregateMode::SinglePartitioned, Arc::new(sorted(Arc::new(parted))))
                }
                _ => {
                    let rows = sorted(Arc::clone(first.input()));
                    (AggregateMode::Single, Arc::new(SortPreservingMergeExec::new(order.clone(), Arc::new(rows))))
                }
            };
            let ordered = AggregateExec::try_new(
                mode,
                first.group_expr().clone(),
                first.aggr_expr().to_vec(),
                first.filter_expr().to_vec(),
                input,
                first.input_schema(),
            )?;
            Ok(Transformed::yes(Arc::new(ordered)))
        })
        .data()
    }

    fn name(&self) -> &str {
        "OrderedGroups"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The phase that takes rows, of groups in a table whose values are gathered.
fn first_phase(plan: &Arc<dyn ExecutionPlan>) -> Option<&AggregateExec> {
    let last = plan.downcast_ref::<AggregateExec>()?;
    let gathers = last.aggr_expr().iter().any(|aggregate| has_large_states(aggregate.fun()));
    let keys = last.group_expr();
    if !gathers || keys.is_empty() || !keys.is_single() {
        return None;
    }
    match last.mode() {
        AggregateMode::Single | AggregateMode::SinglePartitioned => {
            // Rows in the order of their keys need no table.
            (*last.input_order_mode() == InputOrderMode::Linear).then_some(last)
        }
        AggregateMode::Final | AggregateMode::FinalPartitioned => {
            let mut below = last.input();
            while below.is::<RepartitionExec>() || below.is::<CoalescePartitionsExec>() || below.is::<SortPreservingMergeExec>() {
                below = below.children().into_iter().next()?;
            }
            let first = below.downcast_ref::<AggregateExec>()?;
            (*first.mode() == AggregateMode::Partial && *first.input_order_mode() == InputOrderMode::Linear).then_some(first)
        }
        _ => None,
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
