//! `queries`: the saved queries.

use std::path::Path;

use super::answer::OutputArgs;
use super::upkeep::warn_of_names;
use super::{Context, report};
use crate::error::{Error, Result};
use crate::output::listing::{Listing, text};
use crate::saved::{self, Parameter, SavedQuery};
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
        let query = saved::find(name, Path::new(saved::FOLDER))?;
        return match args.output.names_format() {
            true => args.output.listing(&described(&query), context),
            false => args.output.text(&shown(&query), context),
        };
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
        listing.push([
            text(&query.name),
            text(&query.question),
            text(parameters(&query)),
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

/// Parameters with their defaults.
fn parameters(query: &SavedQuery) -> String {
    let default = |p: &Parameter| format!("{}={}", p.name, p.default.as_deref().unwrap_or_default());
    query.params.iter().map(default).collect::<Vec<_>>().join(" ")
}

/// All that is known of a query, as a row.
fn described(query: &SavedQuery) -> Listing {
    let columns = ["name", "title", "question", "parameters", "chart", "export", "note", "file", "text"];
    let mut listing = Listing::new(columns.map(|name| (name, if name == "export" { Type::Bool } else { Type::String })));
    listing.push([
        text(&query.name),
        text(&query.title),
        text(&query.question),
        text(parameters(query)),
        text(query.chart.as_deref().unwrap_or_default()),
        Value::Bool(query.export),
        text(query.note.as_deref().unwrap_or_default()),
        text(&query.file),
        text(&query.text),
    ]);
    listing
}

fn shown(query: &SavedQuery) -> String {
    let mut out = format!("{}: {}\n{}\n", query.name, query.title, query.question);
    for param in &query.params {
        out.push_str(&format!("  --param {}=…  {}", param.name, param.ty));
        if !param.about.is_empty() {
            out.push_str(&format!(", {}", param.about));
        }
        out.push_str(&match &param.default {
            Some(default) => format!(" (default {default})\n"),
            None => " (must be given)\n".to_owned(),
        });
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
