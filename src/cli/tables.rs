//! `tables`: what the lake holds.

use std::sync::Arc;

use super::Context;
use super::answer::OutputArgs;
use super::upkeep::outcome;
use crate::engine::views;
use crate::error::{Error, Result};
use crate::output::listing::{Listing, count, text};
use kqlake_kql::scans::ScanCatalog;
use kqlake_lake::tables::{self, TableDef};
use kqlake_syntax::suggest::nearest;
use kqlake_value::columns::field_type;
use kqlake_value::{Type, Value};

/// List the tables with their rows, dates and sizes, or one table's columns
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kqlake tables
  kqlake tables --all -f json
  kqlake tables traces")]
pub(super) struct Args {
    /// A table or view whose columns to show
    name: Option<String>,
    /// List tables without rows and views too
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// # Errors
/// For an unknown name, or when the lake cannot be read.
pub(super) async fn run(args: &Args, context: &Context) -> Result<()> {
    let mut failures = Vec::new();
    let listing = match &args.name {
        Some(name) => columns(name, context, &mut failures).await?,
        None => overview(args.all, context, &mut failures).await?,
    };
    args.output.listing(&listing, context)?;
    outcome(failures, |count| format!("{count} tables cannot be read"))
}

/// What can be read, and why the rest cannot.
async fn overview(all: bool, context: &Context, failures: &mut Vec<Error>) -> Result<Listing> {
    let lake = if all { context.lake() } else { context.existing_lake().await? };
    lake.check().await?;
    let mut listing = Listing::new([
        ("table", Type::String),
        ("rows", Type::Long),
        ("files", Type::Long),
        ("bytes", Type::Long),
        ("first", Type::String),
        ("last", Type::String),
        ("version", Type::Long),
        ("about", Type::String),
    ]);
    for def in tables::all() {
        let snapshot = match lake.snapshot(def).await {
            Ok(snapshot) => snapshot,
            Err(err) => {
                failures.push(err.into());
                continue;
            }
        };
        failures.extend(snapshot.as_ref().and_then(|snapshot| snapshot.check_files().err()).map(Error::from));
        match snapshot.map(|snapshot| snapshot.stats()) {
            Some(stats) => listing.push([
                text(def.name),
                count(stats.rows),
                count(stats.files as u64),
                count(stats.bytes),
                stats.first_date.map_or(Value::Null, text),
                stats.last_date.map_or(Value::Null, text),
                Value::Long(stats.version),
                text(def.about),
            ]),
            None if all => {
                listing.push([
                    text(def.name),
                    Value::Long(0),
                    Value::Long(0),
                    Value::Long(0),
                    Value::Null,
                    Value::Null,
                    Value::Null,
                    text(def.about),
                ]);
            }
            None => {}
        }
    }
    if all {
        for view in views::all() {
            let about = view.text.lines().next().unwrap_or_default().trim_start_matches("// ");
            listing.push([
                text(view.name),
                Value::Null,
                Value::Null,
                Value::Null,
                Value::Null,
                Value::Null,
                Value::Null,
                text(format!("View: {about}")),
            ]);
        }
    }
    if listing.rows.is_empty() && failures.is_empty() {
        context.say(format_args!(
            "the lake {} holds no rows yet: `kqlake import --from PATH` lands files, `kqlake tables --all` lists all tables",
            context.config.lake.display()
        ));
    }
    Ok(listing)
}

async fn columns(name: &str, context: &Context, failures: &mut Vec<Error>) -> Result<Listing> {
    let mut listing = Listing::new([("column", Type::String), ("type", Type::String), ("note", Type::String)]);
    if let Some(def) = tables::find(name) {
        for column in &def.columns {
            listing.push([text(column.name), text(column.ty.name()), text(note(def, column))]);
        }
        match context.lake().snapshot(def).await {
            Ok(snapshot) => {
                for field in snapshot.iter().flat_map(|snapshot| snapshot.foreign()) {
                    listing.push([text(field.name().as_str()), text(field_type(field).name()), text("added by another writer")]);
                }
            }
            Err(err) => failures.push(err.into()),
        }
        return Ok(listing);
    }
    if let Some(view) = views::find(name) {
        let catalog: Arc<dyn ScanCatalog> = Arc::new(context.catalog());
        let bound = context.engine().check(view, &std::collections::BTreeMap::new(), Some(catalog)).await?;
        for column in bound.columns.unwrap_or_default() {
            listing.push([text(column.name), text(column.ty.name()), text("")]);
        }
        return Ok(listing);
    }
    let names = tables::names().chain(views::all().iter().map(|view| view.name));
    let error = Error::usage(format!("there is no table `{name}`"));
    Err(match nearest(name, names) {
        Some(near) => error.hint(format!("did you mean `{near}`? Names are case-sensitive")),
        None => error.hint("`kqlake tables --all` lists them"),
    })
}

fn note(def: &TableDef, column: &kqlake_lake::tables::ColumnDef) -> String {
    let mut notes = Vec::new();
    if def.key.contains(&column.name) {
        notes.push("key".to_owned());
    }
    if def.time == column.name {
        notes.push("time".to_owned());
    }
    if let Some(from) = column.promoted {
        notes.push(format!("{}.{}", from.source, from.key));
    } else if column.hidden {
        notes.push("SQL only".to_owned());
    }
    notes.join(", ")
}
