//! `ledger`: what was imported, what was not, and why.

use std::collections::BTreeMap;

use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;

use super::Context;
use super::answer::OutputArgs;
use super::input::Text;
use super::results::write;
use crate::error::{Error, Result};
use crate::live::account::{Account, Hole, Place, UnitRow, accounts};
use crate::live::freshness::last_finished;
use crate::output::listing::{Listing, count, text};
use kqlake_import::{NO_SECTION, Section};
use kqlake_value::{Type, Value, datetime_of_us, us_of_datetime};

/// Show for each section what was listed and where it is, when it finished last, what is missing and what will be
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kqlake ledger                        listed = committed + pending + expired + failed + filtered, for each section
  kqlake ledger --failed               the units that are not in the lake, and why
  kqlake ledger --holes                stretches of time that no unit in the lake covers
  kqlake ledger --units --section files -f json
A unit is a blob, a window, a page chain, a report day, a call, a file. Pending ones are at their source and not fetched
yet; expired ones are nowhere: their source had them for a while, and has them no longer. `atRisk` are those that will
expire before they are fetched, at the rate of the last day.")]
pub(super) struct Args {
    /// The newest try at each unit
    #[arg(long)]
    units: bool,
    /// Only units that are not in the lake, or of which records were set aside
    #[arg(long)]
    failed: bool,
    /// Stretches of time between windows that no unit in the lake covers
    #[arg(long, conflicts_with_all = ["units", "failed"])]
    holes: bool,
    /// Only one section, by its name or setting; `files` are those whose records belong to none
    #[arg(long)]
    section: Option<String>,
    /// Only one tenant, by its name in the configuration
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
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
    let section = args.section.as_deref().map(section_name).transpose()?;
    if args.units || args.failed {
        return units(args, section, context).await;
    }
    let now = context.clock.now_micros();
    let wanted = |tenant: &str, name: &str| {
        section.is_none_or(|section| section == name) && args.tenant.as_deref().is_none_or(|wanted| wanted == tenant)
    };
    let mut accounts = accounts(&newest(context).await?, now);
    let finished = last_finished(&context.engine()).await?;
    for (tenant, section) in finished.keys() {
        accounts.entry((tenant.clone(), section.clone())).or_default();
    }
    accounts.retain(|(tenant, section), _| wanted(tenant, section));
    let listing = if args.holes {
        holes(accounts.values().flat_map(|account| &account.holes))
    } else {
        overview(&accounts, &finished, now)
    };
    args.output.listing(&listing, context)
}

fn time(at: Option<i64>) -> Value {
    at.map_or(Value::Null, |at| Value::DateTime(datetime_of_us(at)))
}

fn span(micros: i64) -> Value {
    Value::TimeSpan(micros.saturating_mul(10))
}

fn overview(accounts: &BTreeMap<(String, String), Account>, finished: &BTreeMap<(String, String), i64>, now: i64) -> Listing {
    let mut listing = Listing::new([
        ("tenant", Type::String),
        ("section", Type::String),
        ("listed", Type::Long),
        ("committed", Type::Long),
        ("pending", Type::Long),
        ("expired", Type::Long),
        ("failed", Type::Long),
        ("filtered", Type::Long),
        ("rows", Type::Long),
        ("quarantined", Type::Long),
        ("bytes", Type::Long),
        ("holes", Type::Long),
        ("holesTime", Type::TimeSpan),
        ("nextExpiry", Type::DateTime),
        ("unitsAnHour", Type::Real),
        ("atRisk", Type::Long),
        ("lastFinished", Type::DateTime),
        ("ago", Type::TimeSpan),
        ("note", Type::String),
    ]);
    for ((tenant, section), account) in accounts {
        let last = finished.get(&(tenant.clone(), section.clone())).copied();
        let holes: i64 = account.holes.iter().map(|hole| hole.to - hole.from).sum();
        listing.push([
            text(tenant),
            text(section),
            count(account.listed()),
            count(account.count(Place::Committed)),
            count(account.count(Place::Pending)),
            count(account.count(Place::Expired)),
            count(account.count(Place::Failed)),
            count(account.count(Place::Filtered)),
            count(account.rows),
            count(account.quarantined),
            count(account.bytes),
            count(account.holes.len() as u64),
            if account.holes.is_empty() { Value::Null } else { span(holes) },
            time(account.next_expiry),
            account.rate.map_or(Value::Null, |rate| Value::Real((rate * 10.0).round() / 10.0)),
            count(account.at_risk),
            time(last),
            last.map_or(Value::Null, |last| span(now - last)),
            text(account.unlisted.join("; ")),
        ]);
    }
    listing
}

fn holes<'h>(holes: impl Iterator<Item = &'h Hole>) -> Listing {
    let mut listing = Listing::new([
        ("section", Type::String),
        ("source", Type::String),
        ("from", Type::DateTime),
        ("to", Type::DateTime),
        ("length", Type::TimeSpan),
    ]);
    for hole in holes {
        let length = span(hole.to - hole.from);
        listing.push([text(&hole.section), text(&hole.source), time(Some(hole.from)), time(Some(hole.to)), length]);
    }
    listing
}

/// The newest row of every unit.
async fn newest(context: &Context) -> Result<Vec<UnitRow>> {
    let text = "ImportLedger
| summarize arg_max(startedAt, *) by unit
| project section, source = tostring(details.source), unit, state, reason, \
settled = isnotempty(contentHash) and not(tobool(coalesce(tostring(details.held), 'false'))), finishedAt, expiresAt, \
windowStart = iff(tostring(details.tiles) == 'true', windowStart, datetime(null)), windowEnd, rows, quarantined, bytes";
    let answer = context.engine().kql("ledger", text, &BTreeMap::new()).await?;
    let mut units = Vec::new();
    for table in &answer.tables {
        let mut rows = table.run().await?;
        while let Some(batch) = rows.next().await? {
            units.extend((0..batch.num_rows()).map(|row| unit_row(&batch, row)));
        }
    }
    Ok(units)
}

fn unit_row(batch: &RecordBatch, row: usize) -> UnitRow {
    let word = |name: &str| word(batch, name, row);
    let number = |name: &str| number(batch, name, row);
    let instant = |name: &str| number(name).map(us_of_datetime);
    let size = |name: &str| number(name).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    let is_settled =
        batch.column_by_name("settled").and_then(|a| a.as_boolean_opt()).is_some_and(|a| a.is_valid(row) && a.value(row));
    UnitRow {
        section: word("section"),
        source: word("source"),
        unit: word("unit"),
        state: word("state"),
        reason: word("reason"),
        is_settled,
        finished: instant("finishedAt"),
        expires: instant("expiresAt"),
        window: instant("windowStart").zip(instant("windowEnd")),
        rows: size("rows"),
        quarantined: size("quarantined"),
        bytes: size("bytes"),
    }
}

fn word(batch: &RecordBatch, name: &str, row: usize) -> String {
    let Some(array) = batch.column_by_name(name).filter(|array| array.is_valid(row)) else { return String::new() };
    match array.as_string_view_opt() {
        Some(view) => view.value(row).to_owned(),
        None => array.as_string_opt::<i32>().map(|array| array.value(row).to_owned()).unwrap_or_default(),
    }
}

fn number(batch: &RecordBatch, name: &str, row: usize) -> Option<i64> {
    let array = batch.column_by_name(name).filter(|array| array.is_valid(row))?;
    array.as_primitive_opt::<Int64Type>().map(|array| array.value(row))
}

/// The newest try at each unit.
async fn units(args: &Args, section: Option<&str>, context: &Context) -> Result<()> {
    // A unit that failed belongs to no section, and to one after the next try.
    let mut text = "ImportLedger\n| summarize arg_max(startedAt, *) by unit\n".to_owned();
    if let Some(section) = section {
        text.push_str(&format!("| where section == '{section}'\n"));
    }
    if let Some(tenant) = &args.tenant {
        let tenant = tenant.replace('\\', "\\\\").replace('\'', "\\'");
        text.push_str(&format!("| where tostring(details.source) startswith_cs '{tenant}/'\n"));
    }
    if args.failed {
        text.push_str("| where state != 'done' or quarantined > 0\n");
    }
    text.push_str("| project startedAt, section, unit, state, rows, duplicates, replaced, quarantined, bytes, ");
    text.push_str("took = finishedAt - startedAt, listedAt, expiresAt, attempt, reason\n");
    text.push_str("| sort by startedAt desc, section asc, unit asc");
    let query = Text { name: "ledger".to_owned(), text };
    let answer = context.engine().kql(&query.name, &query.text, &BTreeMap::new()).await?;
    write(&answer, None, &args.output, &query, context).await
}
