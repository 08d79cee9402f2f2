//! Group-wise accumulators over plain vectors, for the aggregates that telemetry queries run most.

use datafusion::logical_expr::GroupsAccumulator;

use crate::kql::functions::{AggregateFn, ArgInfo};
use crate::kql::types::Type;

/// The accumulator for a call's types; `None` where the row-wise one must do.
pub fn groups(_function: &AggregateFn, _args: &[ArgInfo], _returns: Type) -> Option<Box<dyn GroupsAccumulator>> {
    None
}
