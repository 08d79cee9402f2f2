//! `sql`: ad-hoc SQL over the same tables.

use super::answer::OutputArgs;
use super::results::write;
use super::{Context, input};
use crate::engine::Explain;
use crate::error::Result;

/// Answer a SQL query over the same tables (hidden columns such as event_month included)
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kqlake sql 'SELECT event_month, count(*) FROM traces GROUP BY event_month ORDER BY event_month'
  kqlake sql @report.sql -f parquet -o report.parquet
  kqlake sql \"SELECT customDimensions->>'eventId' AS event, kql.bin(timestamp, INTERVAL '1 day') AS day, count(*)
              FROM traces GROUP BY 1, 2\"
  kqlake sql 'DESCRIBE traces'
  kqlake sql --table users=users.parquet 'SELECT * FROM users'
Names in double quotes are case-sensitive. SQL reads only: the lake is written by imports alone.")]
pub(super) struct Args {
    /// The query; `@FILE` reads it from a file, `-` from standard input
    #[arg(value_name = "SQL|@FILE|-")]
    query: String,
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
    let engine = context.engine_for(&query.text).with_files(input::files(&args.tables)?);
    let answer = engine.sql(&query.text).await.map_err(|err| err.in_query(&query.name))?;
    write(&answer, args.explain, &args.output, &query, context).await
}
