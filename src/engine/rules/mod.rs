//! DataFusion's optimizer rules, and ours around them: each guards against a wrong answer of a rule of DataFusion 55, and the
//! test beside it fails without it.

mod constants;
mod filters;
mod joined_names;
mod one_real;
mod ordered_distinct;
mod ordered_scans;
mod real_groups;
mod statistics;
mod wide_rows;

use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;

use kqlake_lake::TextsOnce;

/// DataFusion's rules for members of structures.
const LEAF_RULES: [&str; 2] = ["extract_leaf_expressions", "push_down_leaf_projections"];

/// The rules for SQL beside those of [`install`]; KQL's lowering does by itself what they do.
pub(super) fn install_for_sql(builder: SessionStateBuilder) -> SessionStateBuilder {
    builder.with_analyzer_rule(Arc::new(one_real::OneReal))
}

/// A session's rules, logical and physical.
pub(super) fn install(builder: SessionStateBuilder) -> SessionStateBuilder {
    // Nothing of ours reads a member of a structure from a file, and the rules that move such expressions down make one column twice
    // where two names stand for it.
    let rules = Optimizer::new().rules.into_iter().filter(|rule| !LEAF_RULES.contains(&rule.name()));
    let logical = rules.map(|rule| match rule.name() {
        "push_down_filter" => Arc::new(filters::PushDownFilter::new(rule)) as Arc<dyn OptimizerRule + Send + Sync>,
        _ => rule,
    });
    // Constants first: every later rule asks the plan what is constant in it.
    let mut physical: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> = vec![Arc::new(constants::ForgetConstants)];
    physical.extend(PhysicalOptimizer::new().rules.into_iter().map(|rule| match rule.name() {
        "aggregate_statistics" => {
            Arc::new(statistics::AggregateStatistics::new(rule)) as Arc<dyn PhysicalOptimizerRule + Send + Sync>
        }
        "FilterPushdown" | "FilterPushdown(Post)" => {
            Arc::new(joined_names::FilterPushdown::new(rule)) as Arc<dyn PhysicalOptimizerRule + Send + Sync>
        }
        _ => rule,
    }));
    physical.push(Arc::new(ordered_scans::OrderedScans));
    physical.push(Arc::new(ordered_distinct::OrderedDistinct));
    physical.push(Arc::new(real_groups::RealGroups));
    physical.push(Arc::new(wide_rows::WideRows));
    // No guard: it makes searches cheaper, and needs the plan that all others leave.
    physical.push(Arc::new(TextsOnce));
    builder.with_optimizer_rules(logical.collect()).with_physical_optimizer_rules(physical)
}
