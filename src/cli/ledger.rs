//! `ledger`: what was imported, what was not, and why.

use std::collections::{BTreeMap, BTreeSet};

use super::Context;
use super::answer::OutputArgs;
use super::input::Text;
use super::results::write;
use crate::doctor::freshness::last_finished;
use crate::error::{Error, Result};
use crate::live::account::{Account, accounts};
use crate::live::holes::Hole;
use crate::live::unit_row::{Place, UnitRow};
use crate::output::listing::{Listing, count, text};
use kqlake_import::{LedgerState, NO_SECTION, Section};
use kqlake_syntax::suggest::nearest;
use kqlake_value::named::NamedColumns;
use kqlake_value::{Type, Value, datetime_of_us};

/// Show for each section what was listed and where it is, when it finished last, what is missing and what will be
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kqlake ledger                        listed = committed + pending + expired + failed + filtered, for each section
  kqlake ledger --failed               the units that are not in the lake, and why
  kqlake ledger --holes                stretches of time that no unit in the lake covers, and whether they can still be had
  kqlake ledger --units --section files -f json
A unit is a blob, a window, a page chain, a report day, a call, a file. Pending ones are at their source and not fetched
yet; expired ones are nowhere: their source had them for a while, and has them no longer. `atRisk` are those that will
expire before they are fetched, at the rate of the last day.")]
pub(super) struct Args {
    /// The newest try at each unit
    #[arg(long)]
    units: bool,
    /// Only units that are not in the lake, or of which records were quarantined
    #[arg(long)]
    failed: bool,
    /// Stretches of time that no unit in the lake covers, and whether they can still be had
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
/// For an unknown section or tenant, and where there is no lake. When the ledger cannot be read or the listing not be written.
pub(super) async fn run(args: &Args, context: &Context) -> Result<()> {
    let section = args.section.as_deref().map(section_name).transpose()?;
    context.existing_lake().await?;
    if let Some(tenant) = &args.tenant {
        check_tenant(tenant, context).await?;
    }
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

/// A condition of KQL: units of a tenant.
fn is_of_tenant(tenant: &str) -> String {
    let tenant = tenant.replace('\\', "\\\\").replace('\'', "\\'");
    format!("tostring(details.source) startswith_cs '{tenant}/'")
}

/// Refuses a tenant that is neither configured nor in the ledger.
async fn check_tenant(tenant: &str, context: &Context) -> Result<()> {
    let mut known: BTreeSet<String> = context.config.tenants.iter().map(|tenant| tenant.name.clone()).collect();
    if known.contains(tenant) {
        return Ok(());
    }
    let text = "ImportLedger | distinct tenant = tostring(split(tostring(details.source), '/')[0]) | where isnotempty(tenant)";
    let answer = context.engine().kql("ledger", text, &BTreeMap::new()).await?;
    for table in &answer.tables {
        let mut rows = table.run().await?;
        while let Some(batch) = rows.next().await? {
            let columns = table.named(&batch)?;
            known.extend((0..batch.num_rows()).filter_map(|row| columns.text("tenant", row).map(str::to_owned)));
        }
    }
    if known.contains(tenant) {
        return Ok(());
    }
    let error = Error::usage(format!("there is no tenant `{tenant}`, neither in the configuration nor in the ledger"));
    Err(match nearest(tenant, known.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None if known.is_empty() => error.hint("files are of no tenant: --section files"),
        None => error.hint(format!("known are {}", known.into_iter().collect::<Vec<_>>().join(", "))),
    })
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
        ("state", Type::String),
        ("unit", Type::String),
        ("detail", Type::String),
    ]);
    for hole in holes {
        listing.push([
            text(&hole.section),
            text(&hole.source),
            time(Some(hole.from)),
            time(Some(hole.to)),
            span(hole.to - hole.from),
            text(hole.state()),
            text(&hole.unit),
            text(hole.detail()),
        ]);
    }
    listing
}

/// The newest row of every unit, with how much of its time any of its tries has in the lake: a unit has the name of its begin, and a
/// later try may be of a part of its window. What is gone from the lake since then counts for nothing.
async fn newest(context: &Context) -> Result<Vec<UnitRow>> {
    let text = "ImportLedger
| join kind=leftouter (ImportLedger | where state == 'gone' | summarize goneAt = max(startedAt) by unit) on unit
| extend settled = isnotempty(contentHash) and tostring(details.held) != 'true' \
and (tostring(details.cut) != 'true' or isempty(tostring(details.source)))
| extend isThere = (isnull(goneAt) or startedAt > goneAt) and (state in ('done', 'empty', 'unchanged', 'known', 'filtered') \
or (settled and state in ('incomplete', 'unknown', 'failed')))
| summarize arg_max(startedAt, *), lastEnd = max(windowEnd), covered = maxif(windowEnd, isThere) by unit
| extend tiles = tostring(details.tiles) == 'true', attempts = coalesce(toint(attempt), 0)
| extend neverWas = state == 'expired' and isnotnull(httpStatus) and attempts <= 1
| project tiles, neverWas, section, source = tostring(details.source), unit, isListing = tostring(details.listing) == 'true', state, reason, \
settled, finishedAt, expiresAt, \
windowStart = iff(tiles or tostring(details.stretch) == 'true', windowStart, datetime(null)), lastEnd, covered, rows, quarantined, bytes";
    let answer = context.engine().kql("ledger", text, &BTreeMap::new()).await?;
    let mut units = Vec::new();
    for table in &answer.tables {
        let mut rows = table.run().await?;
        while let Some(batch) = rows.next().await? {
            let columns = table.named(&batch)?;
            for row in 0..batch.num_rows() {
                units.push(unit_row(&columns, row)?);
            }
        }
    }
    Ok(units)
}

/// # Errors
/// Its state is one that only a newer version knows: nobody can say where the unit is.
fn unit_row(columns: &NamedColumns, row: usize) -> Result<UnitRow> {
    let word = |name: &str| columns.text(name, row).unwrap_or_default().to_owned();
    let instant = |name: &str| columns.micros(name, row);
    let size = |name: &str| columns.long(name, row).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    let state = columns.text("state", row).unwrap_or_default().parse::<LedgerState>().map_err(|unknown| Error::Storage {
        message: format!("ImportLedger, unit {}: {unknown}", word("unit")),
        hint: Some("a newer version wrote it: use that one; `kqlake ledger --units` lists the units as they are".to_owned()),
        source: None,
    })?;
    Ok(UnitRow {
        section: word("section"),
        source: word("source"),
        unit: word("unit"),
        is_listing: columns.is_true("isListing", row),
        state,
        reason: word("reason"),
        is_settled: columns.is_true("settled", row),
        finished: instant("finishedAt"),
        expires: instant("expiresAt"),
        window: instant("windowStart").zip(instant("lastEnd")),
        covered: instant("covered"),
        tiles: columns.is_true("tiles", row),
        never_was: columns.is_true("neverWas", row),
        rows: size("rows"),
        quarantined: size("quarantined"),
        bytes: size("bytes"),
    })
}

/// The newest try at each unit.
async fn units(args: &Args, section: Option<&str>, context: &Context) -> Result<()> {
    // A unit that failed belongs to no section, and to one after the next try.
    let mut text = "ImportLedger\n| summarize arg_max(startedAt, *) by unit\n".to_owned();
    if let Some(section) = section {
        text.push_str(&format!("| where section == '{section}'\n"));
    }
    if let Some(tenant) = &args.tenant {
        text.push_str(&format!("| where {}\n", is_of_tenant(tenant)));
    }
    // A listing that failed is no unit, and one that succeeded since then nothing to look at.
    text.push_str("| where not(state == 'done' and tostring(details.listing) == 'true')\n");
    if args.failed {
        text.push_str("| where state !in ('done', 'empty') or quarantined > 0\n");
    }
    text.push_str("| project startedAt, section, unit, state, rows, duplicates, replaced, quarantined, bytes, ");
    text.push_str("took = finishedAt - startedAt, listedAt, expiresAt, attempt, reason\n");
    text.push_str("| sort by startedAt desc, section asc, unit asc");
    let query = Text { name: "ledger".to_owned(), text };
    let answer = context.engine().kql(&query.name, &query.text, &BTreeMap::new()).await?;
    write(&answer, None, &args.output, &query, context).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, DictionaryArray, LargeStringArray};
    use arrow::datatypes::Int32Type;
    use arrow::record_batch::RecordBatch;
    use kqlake_import::UnitState;

    use super::*;

    #[test]
    fn units_are_read_in_any_form_of_text_and_a_state_of_a_newer_version_is_an_error() {
        let states: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::from_iter(["done", "listed", "delegated"]));
        let units: ArrayRef = Arc::new(LargeStringArray::from(vec!["a", "b", "c"]));
        let batch = RecordBatch::try_from_iter([("unit", units), ("state", states)]).unwrap();
        let columns = NamedColumns::of_schema(&batch).unwrap();
        let read = |row| unit_row(&columns, row).map(|unit| (unit.unit, unit.state)).map_err(|err| err.to_string());
        assert_eq!(read(0), Ok(("a".to_owned(), LedgerState::Tried(UnitState::Done))));
        assert_eq!(read(1), Ok(("b".to_owned(), LedgerState::Listed)));
        let refused = read(2).unwrap_err();
        assert!(refused.contains("unit c") && refused.contains("`delegated`"), "{refused}");
    }
}
