//! What `compact` and `nightly` share: compacting a table, and exporting saved queries and tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Context, report, run};
use crate::engine::{Engine, QueryAnswer, ResultTable};
use crate::error::{Error, Result, status};
use crate::export::{Export, Exported, Period, TableExport};
use crate::output::cell::readers;
use crate::saved::{SavedQuery, names};
use kqlake_lake::tables::TableDef;
use kqlake_lake::{CompactOptions, Lake};
use kqlake_value::clock::{Clock, FixedClock};
use kqlake_value::{Type, US_PER_DAY, ValueRef, format};

/// Compacts a table; a line that says what was done, `None` when there was nothing to do, and what could not be done.
pub(super) async fn compact(lake: &Lake, def: &'static TableDef, context: &Context) -> (Option<String>, Vec<Error>) {
    let config = &context.config;
    let options = CompactOptions {
        memory_bytes: config.memory_limit / 2,
        spill_dir: config.spill_dir.clone(),
        ..CompactOptions::default()
    };
    let report = match lake.compact(def, &options).await {
        Ok(report) => report,
        Err(error) => return (None, vec![error.into()]),
    };
    let mut parts = Vec::new();
    if report.merged > 0 {
        parts.push(format!("{} files merged into {}", report.merged, report.written));
    }
    if report.deleted > 0 {
        parts.push(format!("{} old files deleted", report.deleted));
    }
    let line = (!parts.is_empty()).then(|| format!("{:<32} {}", def.name, parts.join(", ")));
    (line, report.left.into_iter().map(Error::from).collect())
}

/// Says which names of exported queries and tables clash on other systems.
pub(super) fn warn_of_names<'n>(names: impl IntoIterator<Item = &'n str>, context: &Context) {
    for warning in names::warnings(names) {
        context.say(format_args!("warning: {warning}"));
    }
}

/// Every failure on standard error but the last word, which is the result: `summary` where there were several, with the exit
/// status of the gravest.
///
/// # Errors
/// When there was a failure.
pub(super) fn outcome(mut failures: Vec<Error>, summary: impl FnOnce(usize) -> String) -> Result<()> {
    if failures.len() < 2 {
        return failures.pop().map_or(Ok(()), Err);
    }
    let message = summary(failures.len());
    Err(summarized(&failures, message))
}

/// Writes every failure to standard error; an error of that message with the exit status of the gravest.
pub(super) fn summarized(failures: &[Error], message: String) -> Error {
    for err in failures {
        report::error(err);
    }
    match failures.iter().map(Error::status).max_by_key(|status| gravity(*status)) {
        Some(status::DEFECT) => Error::Defect(message),
        Some(status::STORAGE) => Error::Storage { message, hint: None, source: None },
        Some(status @ (status::INTERRUPTED | status::HUNG_UP | status::TERMINATED)) => Error::Interrupted(status),
        _ => Error::Incomplete(message),
    }
}

/// How grave an exit status is beside others of the same run; the statuses' numbers are in no order.
///
/// A defect comes first, since whatever else was done is in doubt; then storage, which must be looked after before the next
/// run. Next is an interruption: who ended the run has to know it, but knows it, and status 5 would claim that all the rest
/// was done. The others are failures of parts.
fn gravity(status: u8) -> u8 {
    match status {
        status::DEFECT => 4,
        status::STORAGE => 3,
        status::INTERRUPTED | status::HUNG_UP | status::TERMINATED => 2,
        status::DONE => 0,
        _ => 1,
    }
}

/// The clock of exports: the midnight (UTC) before now. Exports hold complete days, so that running twice a day writes the
/// same files, and a report does not change under its reader during the day.
pub(super) fn export_clock(context: &Context) -> Arc<dyn Clock> {
    let now = context.clock.now_micros();
    Arc::new(FixedClock::at_micros(now - now.rem_euclid(US_PER_DAY)))
}

/// Exports the answer of a saved query.
///
/// # Errors
/// When the query fails or a file cannot be written.
pub(super) async fn export_query(
    query: &SavedQuery,
    engine: &Engine,
    export: &mut Export,
    context: &Context,
) -> Result<Exported> {
    let mut answer = run::answer(query, &BTreeMap::new(), engine, context).await?;
    // What comes in another order tomorrow would be another file.
    answer.tables = answer.tables.into_iter().map(ResultTable::in_some_order).collect::<Result<_>>()?;
    let period = answer.tables.first().map_or(Period::Whole, |table| Period::of_result(&table.columns));
    write(&query.name, &answer, period, &[], export).await
}

/// Exports a table, one file a day, its rows in the order of time and key, with all that says what they are: another lake that imports
/// them has the same records.
///
/// All rows are of one version of the table. They are asked for and sorted in stretches of time that hold a bounded number of
/// rows, so that memory does not grow with the table.
///
/// # Errors
/// When the table cannot be read or a file not be written.
pub(super) async fn export_table(def: &'static TableDef, engine: &Engine, export: &mut Export) -> Result<Exported> {
    let engine = engine.clone().with_lake(engine.lake().holding(def).await?).with_record_columns();
    let mut order = vec![def.time];
    order.extend(def.key.iter().filter(|key| **key != def.time));
    let order: Vec<String> = order.iter().map(|column| format!("['{column}'] asc")).collect();
    let ask = async |stretch: &Stretch| {
        let text = format!("['{}']{}\n| sort by {}", def.name, stretch.filter(def.time), order.join(", "));
        engine.kql(def.name, &text, &BTreeMap::new()).await
    };
    let mut stretches = stretches(def, &engine).await?.into_iter();
    let first = ask(&stretches.next().unwrap_or_default()).await?;
    let table = the_table(def.name, &first)?;
    let time = table.columns.iter().position(|c| c.name == def.time && c.ty == Type::DateTime);
    let mut out = export.table(def.name, &table.columns, time.map_or(Period::Whole, Period::Day), &def.key)?;
    add(table, &mut out).await?;
    drop(first);
    for stretch in stretches {
        add(the_table(def.name, &ask(&stretch).await?)?, &mut out).await?;
    }
    out.finish()
}

/// Rows of a stretch of time, about: an hour with more is a stretch of its own.
const STRETCH_ROWS: i64 = 50_000;

/// A stretch of time between two instants in ticks, the first one included; no bound is no limit on that side.
#[derive(Debug, Default, Clone, PartialEq)]
struct Stretch {
    from: Option<i64>,
    until: Option<i64>,
    /// Rows without a time as well.
    timeless: bool,
}

impl Stretch {
    /// The condition, as a further operator of a query.
    fn filter(&self, time: &str) -> String {
        let mut instants = Vec::new();
        for (bound, sign) in [(self.from, ">="), (self.until, "<")] {
            if let Some(ticks) = bound {
                let mut text = String::new();
                format::write_datetime(&mut text, ticks);
                instants.push(format!("['{time}'] {sign} datetime({text})"));
            }
        }
        let inside = instants.join(" and ");
        match (inside.is_empty(), self.timeless) {
            (true, _) => String::new(),
            (false, false) => format!("\n| where {inside}"),
            (false, true) => format!("\n| where isnull(['{time}']) or ({inside})"),
        }
    }
}

/// The stretches of time that a table is asked in, in order; they leave out no row and give none twice.
async fn stretches(def: &'static TableDef, engine: &Engine) -> Result<Vec<Stretch>> {
    let text = format!("['{}']\n| summarize count() by bin(['{}'], 1h)\n| sort by ['{}'] asc", def.name, def.time, def.time);
    let answer = engine.kql(def.name, &text, &BTreeMap::new()).await?;
    let table = the_table(def.name, &answer)?;
    let mut rows = table.run().await?;
    let (mut starts, mut count) = (Vec::new(), 0);
    while let Some(batch) = rows.next().await? {
        let cells = readers(&table.columns, &batch).map_err(crate::output::OutputError::from)?;
        for row in 0..batch.num_rows() {
            let [hour, rows] = [0, 1].map(|at| cells.get(at).map_or(ValueRef::Null, |cell| cell.get(row)));
            // Rows without a time come with the first stretch, whose beginning is open.
            let (ValueRef::DateTime(hour), ValueRef::Long(rows)) = (hour, rows) else { continue };
            if starts.is_empty() || count + rows > STRETCH_ROWS {
                starts.push(hour);
                count = 0;
            }
            count += rows;
        }
    }
    Ok(between(&starts))
}

/// The stretches that begin at some instants; the first one begins before all of them, and the last one never ends.
fn between(starts: &[i64]) -> Vec<Stretch> {
    let count = starts.len().max(1);
    let at = |n: usize| Stretch { from: (n > 0).then(|| starts[n]), until: starts.get(n + 1).copied(), timeless: n == 0 };
    (0..count).map(at).collect()
}

async fn write(name: &str, answer: &QueryAnswer, period: Period, key: &[&str], export: &mut Export) -> Result<Exported> {
    let table = the_table(name, answer)?;
    let mut out = export.table(name, &table.columns, period, key)?;
    add(table, &mut out).await?;
    out.finish()
}

fn the_table<'a>(name: &str, answer: &'a QueryAnswer) -> Result<&'a ResultTable> {
    match answer.tables.as_slice() {
        [table] => Ok(table),
        tables => Err(Error::query(format!("{name} gives {} tables, an export holds one", tables.len()))),
    }
}

/// Adds the rows of an answer to an export.
async fn add(table: &ResultTable, out: &mut TableExport<'_>) -> Result<()> {
    let mut rows = table.run().await?;
    while let Some(batch) = rows.next().await? {
        out.write(&batch)?;
        // Rows that are always there already would leave no moment to see a signal.
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Says which files an export found under names of its own and left alone.
pub(super) fn warn_of_strange(done: &Exported, context: &Context) {
    for path in &done.strange {
        context.say(format_args!(
            "warning: {} stays: it is named as an exported file is, but the last export did not list it; move or delete it",
            path.display()
        ));
    }
}

/// What an export says of itself.
pub(super) fn export_line(name: &str, done: &Exported) -> String {
    let files = report::files(done.files as u64);
    let changed = match done.written {
        0 => "unchanged".to_owned(),
        n => format!("{n} written"),
    };
    let removed = if done.removed > 0 { format!(", {} removed", done.removed) } else { String::new() };
    format!("{name:<44} {:>9} rows  {files}, {changed}{removed}", done.rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_status(status: u8) -> Error {
        match status {
            status::USAGE => Error::usage("x"),
            status::QUERY => Error::query("x"),
            status::SOURCE => Error::Source("x".into()),
            status::INCOMPLETE => Error::Incomplete("x".into()),
            status::STORAGE => Error::Storage { message: "x".into(), hint: None, source: None },
            status::DEFECT => Error::Defect("x".into()),
            status::DONE => Error::ClosedPipe,
            signal => Error::Interrupted(signal),
        }
    }

    #[test]
    fn stretches_of_time_leave_out_nothing_and_give_nothing_twice() {
        let texts = |starts: &[i64]| between(starts).iter().map(|stretch| stretch.filter("t")).collect::<Vec<_>>();
        assert_eq!(texts(&[]), [""]);
        assert_eq!(texts(&[5]), [""]);
        let [one, two] = ["0001-01-01T01:00:00.0000000Z", "0001-01-01T02:00:00.0000000Z"].map(|text| format!("datetime({text})"));
        let hour = 36_000_000_000;
        assert_eq!(
            texts(&[0, hour, 2 * hour]),
            [
                format!("\n| where isnull(['t']) or (['t'] < {one})"),
                format!("\n| where ['t'] >= {one} and ['t'] < {two}"),
                format!("\n| where ['t'] >= {two}"),
            ]
        );
    }

    #[test]
    fn the_gravest_failure_gives_the_status() {
        use status::{DEFECT, DONE, HUNG_UP, INCOMPLETE, INTERRUPTED, QUERY, SOURCE, STORAGE, TERMINATED, USAGE};
        let expected: [(&[u8], u8); 9] = [
            (&[INTERRUPTED, STORAGE, DEFECT], DEFECT),
            (&[DEFECT, TERMINATED], DEFECT),
            (&[STORAGE, INTERRUPTED, QUERY], STORAGE),
            (&[TERMINATED, STORAGE], STORAGE),
            (&[INCOMPLETE, HUNG_UP, USAGE], HUNG_UP),
            (&[QUERY, QUERY], INCOMPLETE),
            (&[USAGE, SOURCE, DONE], INCOMPLETE),
            (&[STORAGE], STORAGE),
            (&[QUERY], QUERY),
        ];
        for (found, gravest) in expected {
            for found in [found.to_vec(), found.iter().rev().copied().collect()] {
                let failures = found.iter().copied().map(of_status).collect();
                let err = outcome(failures, |count| format!("{count} failures")).unwrap_err();
                assert_eq!(err.status(), gravest, "{found:?}");
            }
        }
        assert!(outcome(Vec::new(), |_| String::new()).is_ok());
    }
}
