//! Filters that must not move below what they are above.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Filter, LogicalPlan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// DataFusion's `push_down_filter`, kept from moving a predicate that reads no column below an aggregate, or one that is not the
/// same for equal rows below anything that counts rows.
///
/// DataFusion lets every predicate pass that reads only keys. A predicate over a constant column (`extend p = "c" | where p == "a"`)
/// reads no column at all once the constant is in its place, and so passes below an aggregate without keys, which then makes its
/// one row of nothing. The same holds for a random predicate below keys, windows and distinct.
#[derive(Debug)]
pub(super) struct PushDownFilter {
    inner: Arc<dyn OptimizerRule + Send + Sync>,
}

impl PushDownFilter {
    /// The guard around DataFusion's rule.
    pub(super) fn new(inner: Arc<dyn OptimizerRule + Send + Sync>) -> PushDownFilter {
        PushDownFilter { inner }
    }
}

impl OptimizerRule for PushDownFilter {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.inner.apply_order()
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Filter(filter) = &plan else { return self.inner.rewrite(plan, config) };
        // Filters in a row are one to DataFusion's rule, which looks below the last of them.
        let mut predicates: Vec<Expr> = Vec::new();
        let mut above = filter;
        let below = loop {
            predicates.splice(0..0, split_conjunction_owned(above.predicate.clone()));
            match above.input.as_ref() {
                LogicalPlan::Filter(next) => above = next,
                other => break other,
            }
        };
        let stays = |e: &Expr| match below {
            LogicalPlan::Aggregate(aggregate) => {
                e.is_volatile() || (aggregate.group_expr.is_empty() && e.column_refs().is_empty())
            }
            LogicalPlan::Window(_) | LogicalPlan::Distinct(_) => e.is_volatile(),
            _ => false,
        };
        let (stay, move_on): (Vec<Expr>, Vec<Expr>) = predicates.into_iter().partition(stays);
        let Some(stay) = conjunction(stay) else { return self.inner.rewrite(plan, config) };
        let below = Arc::clone(&above.input);
        let Some(move_on) = conjunction(move_on) else { return Ok(Transformed::no(plan)) };
        let moved = self.inner.rewrite(LogicalPlan::Filter(Filter::try_new(move_on, below)?), config)?;
        if !moved.transformed {
            return Ok(Transformed::no(plan));
        }
        Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(stay, Arc::new(moved.data))?)))
    }
}
