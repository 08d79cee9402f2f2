//! `query`: ad-hoc KQL.

use super::answer::OutputArgs;
use super::results::write;
use super::{Context, input};
use crate::engine::Explain;
use crate::error::Result;

/// Answer a KQL query
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kqlake query 'traces | where customDimensions.eventId == \"RT0019\" | summarize count() by bin(timestamp, 1h)'
  kqlake query @signins.kql --param lookback=7d -f csv -o signins.csv
  echo 'AuditRecords | count' | kqlake query -
  kqlake query --table users=users.csv 'users | summarize count() by department'
  kqlake query --explain=analyze 'traces | where timestamp > ago(1d) | count'")]
pub(super) struct Args {
    /// The query; `@FILE` reads it from a file, `-` from standard input
    #[arg(value_name = "KQL|@FILE|-", allow_hyphen_values = false)]
    query: String,
    /// Value of a parameter that the query declares (may be repeated)
    #[arg(long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
    /// A local Parquet, CSV or JSON file as a table (may be repeated)
    #[arg(long = "table", value_name = "NAME=FILE")]
    tables: Vec<String>,
    /// Show how the query would run instead of its answer; with `=analyze` run it and show what each step did
    #[arg(long, value_enum, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "plan")]
    explain: Option<Explain>,
    #[command(flatten)]
    output: OutputArgs,
}

/// # Errors
/// When the query is wrong, fails, or its answer cannot be written.
pub(super) async fn run(args: &Args, context: &Context) -> Result<()> {
    args.output.check(context)?;
    let query = input::text(&args.query)?;
    let params = input::params(&args.params)?;
    input::check_declared(&query.text, &params)?;
    input::tell_date_orders(&query.text, &params, context);
    let answer =
        context.engine_for(&query.text).with_files(input::files(&args.tables)?).kql(&query.name, &query.text, &params).await?;
    write(&answer, args.explain, &args.output, &query, context).await
}
