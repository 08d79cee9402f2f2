//! How a query runs: the optimized logical plan and the physical plan, with measured figures when it is run for them.

use std::sync::Arc;

use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::{displayable, execute_stream};
use futures::StreamExt as _;

use super::ResultTable;
use crate::error::Result;

/// What to explain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Explain {
    /// The plans only.
    #[default]
    Plan,
    /// Run the query and show what each operator did.
    Analyze,
}

pub(super) async fn explain(table: &ResultTable, how: Explain) -> Result<String> {
    let state = table.session.state();
    let fail = |err| table.failure(err);
    let logical = state.optimize(&table.plan).map_err(fail)?;
    let physical = table.deadline.bound(state.query_planner().create_physical_plan(&logical, &state)).await?.map_err(fail)?;
    let mut text = format!("Logical plan\n{}\n\nPhysical plan\n", logical.display_indent());
    if how == Explain::Analyze {
        let mut stream = execute_stream(Arc::clone(&physical), table.session.task_ctx()).map_err(fail)?;
        while let Some(batch) = table.deadline.bound(stream.next()).await? {
            batch.map_err(fail)?;
        }
        text.push_str(&DisplayableExecutionPlan::with_metrics(physical.as_ref()).indent(false).to_string());
    } else {
        text.push_str(&displayable(physical.as_ref()).indent(false).to_string());
    }
    Ok(text)
}
