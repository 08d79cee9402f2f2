//! `export`: CSV files for Power BI and Excel.

use std::path::{Path, PathBuf};

use super::progress::Progress;
use super::upkeep::{export_clock, export_line, export_query, export_table};
use super::{Context, report};
use crate::error::{Error, Result};
use crate::export::Export;
use crate::kql::suggest::nearest;
use crate::lake::tables::{self, TableDef};
use crate::saved::{self, Saved};

/// Write CSV files for Power BI and Excel: the saved queries marked for export, or what is named
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kqlake export
  kqlake export authorization-outcomes traces --to /srv/reports
Each saved query or table gets a folder of CSV files (UTF-8 with BOM, CRLF); datapackage.json describes them.
now() is the last midnight (UTC) here, so that exports hold complete days.")]
pub struct Args {
    /// Saved queries or tables [default: the saved queries with `export: true`]
    names: Vec<String>,
    /// Folder to write to [default: data/export]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

enum Item {
    Query(Box<Saved>),
    Table(&'static TableDef),
}

/// # Errors
/// For an unknown name, or when nothing could be exported; when only some could not, [`Error::Incomplete`].
pub async fn run(args: &Args, context: &Context) -> Result<()> {
    let items = items(&args.names)?;
    let engine = context.engine().with_clock(export_clock(context));
    engine.lake().check().await?;
    let root = args.to.clone().unwrap_or_else(|| context.config.export.clone());
    let mut export = Export::begin(&root)?;
    let progress = Progress::new(context, "exporting");
    let mut failures = Vec::new();
    let count = items.len();
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
            Ok(done) => progress.tell(context, &export_line(&name, &done)),
            Err(Error::Interrupted) => return Err(Error::Interrupted),
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
    if count == 1
        && let Some((_, err)) = failures.pop()
    {
        return Err(err);
    }
    for (_, err) in &failures {
        report::error(err);
    }
    let names: Vec<&str> = failures.iter().map(|(name, _)| name.as_str()).collect();
    Err(Error::Incomplete(format!("{} of {count} exports failed: {}", names.len(), names.join(", "))))
}

fn items(names: &[String]) -> Result<Vec<Item>> {
    let queries = saved::all(Path::new(saved::FOLDER))?;
    if names.is_empty() {
        return Ok(queries.into_iter().filter(|q| q.export).map(|q| Item::Query(Box::new(q))).collect());
    }
    names
        .iter()
        .map(|name| {
            if let Some(query) = queries.iter().find(|q| q.name == *name) {
                return Ok(Item::Query(Box::new(query.clone())));
            }
            if let Some(def) = tables::find(name) {
                return Ok(Item::Table(def));
            }
            let known = queries.iter().map(|q| q.name.as_str()).chain(tables::all().iter().map(|def| def.name));
            let error = Error::usage(format!("there is no saved query or table `{name}`"));
            Err(match nearest(name, known) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint("`kqlake queries` lists the saved queries, `kqlake tables --all` the tables"),
            })
        })
        .collect()
}
