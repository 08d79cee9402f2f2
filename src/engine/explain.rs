//! How a query runs: the optimized logical plan and the physical plan, with measured figures when it is run for them.

use std::sync::Arc;
use std::time::Instant;

use datafusion::error::DataFusionError;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::{displayable, execute_stream};
use futures::StreamExt as _;

use super::ResultTable;
use super::reading;
use super::results::Query;
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
    let query = Query::of(table);
    table.deadline.on_own_thread(move || async move { run(&query, how).await.map_err(|err| query.failure(err)) }).await?
}

async fn run(query: &Query, how: Explain) -> Result<String, DataFusionError> {
    let state = query.session.state();
    let begun = Instant::now();
    let logical = state.optimize(&query.plan)?;
    let physical = state.query_planner().create_physical_plan(&logical, &state).await?;
    let mut text = format!("Logical plan\n{}\n\nPhysical plan\n", logical.display_indent());
    let planned = begun.elapsed();
    if how == Explain::Analyze {
        let begun = Instant::now();
        let mut stream = execute_stream(Arc::clone(&physical), query.session.task_ctx())?;
        while let Some(batch) = stream.next().await {
            batch?;
        }
        text.insert_str(0, &format!("{}\n", reading::in_words(&physical, planned, begun.elapsed())?));
        text.push_str(&DisplayableExecutionPlan::with_metrics(physical.as_ref()).indent(false).to_string());
    } else {
        text.push_str(&displayable(physical.as_ref()).indent(false).to_string());
    }
    Ok(text)
}
