//! `queries`: the saved queries.

use std::path::Path;

use super::answer::OutputArgs;
use super::upkeep::warn_of_names;
use super::{Context, report};
use crate::error::{Error, Result};
use crate::output::listing::{Listing, text};
use crate::saved::{self, SavedQuery};
use kqlake_value::{Type, Value};

/// List the saved queries, or show one
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kqlake queries
  kqlake queries company-open-latency-by-extension
  kqlake queries -f json")]
pub(super) struct Args {
    /// A query whose parameters and text to show
    name: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// # Errors
/// For an unknown name, or when the output cannot be written; [`Error::Incomplete`] when a file in the folder is broken.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    if let Some(name) = &args.name {
        return args.output.text(&shown(&saved::find(name, Path::new(saved::FOLDER))?), context);
    }
    let mut listing = Listing::new([
        ("name", Type::String),
        ("question", Type::String),
        ("parameters", Type::String),
        ("chart", Type::String),
        ("export", Type::Bool),
    ]);
    let saved::Collection { queries, broken } = saved::all(Path::new(saved::FOLDER))?;
    let count = queries.len() + broken.len();
    warn_of_names(queries.iter().map(|query| query.name.as_str()), context);
    for query in queries {
        let params: Vec<String> = query.params.iter().map(|p| format!("{}={}", p.name, p.default)).collect();
        listing.push([
            text(&query.name),
            text(&query.question),
            text(params.join(" ")),
            text(query.chart.as_deref().unwrap_or_default()),
            Value::Bool(query.export),
        ]);
    }
    args.output.listing(&listing, context)?;
    if broken.is_empty() {
        return Ok(());
    }
    for broken in &broken {
        report::error(&broken.error);
    }
    Err(Error::Incomplete(format!("{} of {count} saved queries cannot be used", broken.len())))
}

fn shown(query: &SavedQuery) -> String {
    let mut out = format!("{}: {}\n{}\n", query.name, query.title, query.question);
    for param in &query.params {
        out.push_str(&format!("  --param {}=…  {}, {} (default {})\n", param.name, param.ty, param.about, param.default));
    }
    if let Some(note) = &query.note {
        out.push_str(&format!("{note}\n"));
    }
    out.push_str(&format!("({})\n\n{}", query.file, query.text));
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out
}
