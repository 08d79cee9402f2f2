//! `run`: a saved query.

use std::collections::BTreeMap;
use std::path::Path;

use super::Context;
use super::answer::OutputArgs;
use super::input::{self, Text};
use super::results::write;
use crate::engine::{Engine, Explain, QueryAnswer};
use crate::error::{Error, Result};
use crate::saved::{self, Language, SavedQuery};

/// Answer a saved query
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kqlake run authorization-outcomes
  kqlake run company-open-latency-by-extension --param since=2026-01-01 -f csv
  kqlake queries                                   the saved queries and their parameters")]
pub(super) struct Args {
    /// Name of the saved query
    name: String,
    /// Value of a parameter (may be repeated)
    #[arg(long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
    /// Show how the query would run instead of its answer; with `=analyze` run it and show what each step did
    #[arg(long, value_enum, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "plan")]
    explain: Option<Explain>,
    #[command(flatten)]
    output: OutputArgs,
}

/// # Errors
/// When there is no such query, it fails, or its answer cannot be written.
pub(super) async fn run(args: &Args, context: &Context) -> Result<()> {
    args.output.check(context)?;
    let mut saved = saved::all(Path::new(saved::FOLDER))?;
    input::warn_of_params(&saved, context);
    let query = saved.take(&args.name)?;
    let given = input::params(&args.params)?;
    let answer = answer(&query, &given, &context.engine_for(&query.text), context).await?;
    let text = Text { name: query.file.clone(), text: query.text.clone() };
    write(&answer, args.explain, &args.output, &text, context).await
}

/// Plans a saved query with given and configured parameters.
///
/// # Errors
/// When the parameters or the query are wrong.
pub(super) async fn answer(
    query: &SavedQuery,
    given: &BTreeMap<String, String>,
    engine: &Engine,
    context: &Context,
) -> Result<QueryAnswer> {
    let values = query.values(given, &context.configured_params())?;
    match query.language {
        Language::Kql => {
            input::tell_date_orders(&query.text, &values, context);
            engine.kql(&query.file, &query.text, &values).await
        }
        Language::Sql if values.is_empty() => engine.sql(&query.text).await.map_err(|err| err.in_query(&query.file)),
        Language::Sql => Err(Error::usage(format!("{}: SQL queries take no parameters", query.file))),
    }
}
