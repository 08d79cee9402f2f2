//! `ledger`: what was imported, what was not, and why.

use std::collections::BTreeMap;

use super::Context;
use super::answer::OutputArgs;
use super::input::Text;
use super::results::write;
use crate::error::{Error, Result};
use kqlake_import::{NO_SECTION, Section};

/// Show what was imported, what is missing and why: the newest try at each unit of work
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kqlake ledger
  kqlake ledger --failed
  kqlake ledger --section files -f json")]
pub(super) struct Args {
    /// Only units that did not finish, or of which records were set aside
    #[arg(long)]
    failed: bool,
    /// Only one section, by its name or setting; `files` are those whose records belong to none
    #[arg(long)]
    section: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// What the ledger calls a section.
fn section_name(said: &str) -> Result<&'static str> {
    if said.eq_ignore_ascii_case(NO_SECTION) {
        return Ok(NO_SECTION);
    }
    said.parse().map(Section::name).map_err(Error::usage)
}

/// # Errors
/// For an unknown section. When the ledger cannot be read or the listing not be written.
pub(super) async fn run(args: &Args, context: &Context) -> Result<()> {
    // A unit that failed belongs to no section, and to one after the next try.
    let mut text = "ImportLedger\n| summarize arg_max(startedAt, *) by unit\n".to_owned();
    if let Some(section) = &args.section {
        text.push_str(&format!("| where section == '{}'\n", section_name(section)?));
    }
    if args.failed {
        text.push_str("| where state != 'done' or quarantined > 0\n");
    }
    text.push_str("| project startedAt, section, unit, state, rows, duplicates, replaced, quarantined, bytes, ");
    text.push_str("took = finishedAt - startedAt, reason\n");
    text.push_str("| sort by startedAt desc, section asc, unit asc");
    let query = Text { name: "ledger".to_owned(), text };
    let answer = context.engine().kql(&query.name, &query.text, &BTreeMap::new()).await?;
    write(&answer, None, &args.output, &query, context).await
}
