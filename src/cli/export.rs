//! `export`: CSV files for Power BI and Excel.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::progress::Progress;
use super::upkeep::{export_clock, export_line, export_query, export_table, warn_of_names, warn_of_strange};
use super::{Context, input, report};
use crate::engine::views;
use crate::error::{Error, Result};
use crate::export::{self, Export};
use crate::saved::{self, BrokenQuery, Collection, SavedQuery};
use kqlake_lake::tables::{self, TableDef};
use kqlake_syntax::suggest::nearest;

/// Write CSV files for Power BI and Excel: the saved queries marked for export, or what is named
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kqlake export
  kqlake export authorization-outcomes traces --to /srv/reports
Each saved query or table gets a folder of CSV files (UTF-8 with BOM, CRLF); datapackage.json describes them.
In saved queries now() is the last midnight (UTC), so that their exports hold complete days; a table's has today's rows, too.")]
pub(super) struct Args {
    /// Saved queries or tables [default: the saved queries with `export: true`]
    names: Vec<String>,
    /// Folder to write to [default: data/export]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

enum Item {
    Query(Box<SavedQuery>),
    Table(&'static TableDef),
}

impl Item {
    fn name(&self) -> &str {
        match self {
            Item::Query(query) => &query.name,
            Item::Table(def) => def.name,
        }
    }
}

/// # Errors
/// For an unknown name, or when nothing could be exported; when only some could not, [`Error::Incomplete`].
pub(super) async fn run(args: &Args, context: &Context) -> Result<()> {
    let (items, broken) = items(&args.names, context)?;
    let root = args.to.clone().unwrap_or_else(|| context.config.export.clone());
    export::check_place(&root, &context.config.lake)?;
    let mut engine = context.engine().with_clock(export_clock(context));
    engine.lake().check().await?;
    let mut export = Export::begin(&root, &context.config.lake)?;
    // A table's export of before is not emptied because nothing is where its lake was.
    let would_empty = |item: &Item| matches!(item, Item::Table(def) if export.has_rows(def.name));
    if context.config.lake_is_named || (!engine.lake().is_there() && items.iter().any(would_empty)) {
        engine = engine.with_lake_that_must_exist();
    }
    warn_of_names(items.iter().map(Item::name), context);
    let progress = Progress::new(context, "exporting");
    let mut failures: Vec<_> = broken.into_iter().map(|broken| (broken.name, broken.error)).collect();
    let count = items.len() + failures.len();
    for item in items {
        let (name, done) = match item {
            Item::Query(query) => {
                progress.say(format!("exporting {}", query.name));
                let done = export_query(&query, &engine, &mut export, context).await;
                (query.name.clone(), done)
            }
            Item::Table(def) => {
                progress.say(format!("exporting {}", def.name));
                (def.name.to_owned(), export_table(def, &engine, &mut export).await)
            }
        };
        match done {
            Ok(done) => {
                progress.tell(context, &export_line(&name, &done));
                warn_of_strange(&done, context);
            }
            Err(err @ Error::Interrupted(_)) => return Err(err),
            Err(err) => failures.push((name, err)),
        }
    }
    drop(progress);
    finish(failures, count, &root, context)
}

fn finish(mut failures: Vec<(String, Error)>, count: usize, root: &Path, context: &Context) -> Result<()> {
    if failures.is_empty() {
        context.tell(format_args!("exported to {}", root.display()));
        return Ok(());
    }
    let names: Vec<String> = failures.iter().map(|(name, _)| name.clone()).collect();
    // What is wrong with all of them, such as a lake that is not there, is said once.
    let mut said = HashSet::new();
    failures.retain(|(_, err)| said.insert(err.to_string()));
    if names.len() == count
        && failures.len() == 1
        && let Some((_, err)) = failures.pop()
    {
        return Err(err);
    }
    for (_, err) in &failures {
        report::error(err);
    }
    Err(Error::Incomplete(format!("{} of {count} exports failed: {}", names.len(), names.join(", "))))
}

/// What is to be exported, and the broken files that matter for it: with names given, none.
fn items(names: &[String], context: &Context) -> Result<(Vec<Item>, Vec<BrokenQuery>)> {
    let saved = saved::all(Path::new(saved::FOLDER))?;
    input::warn_of_params(&saved, context);
    let Collection { queries, mut broken } = saved;
    if names.is_empty() {
        let marked = queries.into_iter().filter(|q| q.export);
        return Ok((marked.map(|q| Item::Query(Box::new(q))).collect(), broken));
    }
    let mut found = Vec::new();
    for name in names {
        if let Some(query) = queries.iter().find(|q| q.name == *name) {
            found.push(Item::Query(Box::new(query.clone())));
        } else if let Some(at) = broken.iter().position(|b| b.name == *name) {
            return Err(broken.swap_remove(at).error);
        } else if let Some(def) = tables::find(name) {
            found.push(Item::Table(def));
        } else {
            if views::find(name).is_some() {
                let message = format!("`{name}` is a view, and only tables and saved queries are exported");
                return Err(Error::usage(message).hint("save a query that begins with it, and export that"));
            }
            let known = queries.iter().map(|q| q.name.as_str()).chain(tables::all().map(|def| def.name));
            let error = Error::usage(format!("there is no saved query or table `{name}`"));
            return Err(match nearest(name, known) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint("`kqlake queries` lists the saved queries, `kqlake tables --all` the tables"),
            });
        }
    }
    Ok((found, Vec::new()))
}
