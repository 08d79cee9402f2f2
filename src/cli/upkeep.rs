//! What `compact` and `nightly` share: compacting a table, and exporting saved queries and tables.

use std::sync::Arc;

use chrono::{NaiveTime, TimeZone as _, Utc};

use super::{Context, report, run};
use crate::engine::{Answer, Engine};
use crate::error::{Error, Result, status};
use crate::export::{Export, Exported, Period};
use crate::saved::{Saved, names};
use kqlake_lake::tables::TableDef;
use kqlake_lake::{CompactOptions, Lake};
use kqlake_value::Type;
use kqlake_value::clock::{Clock, FixedClock};

/// Compacts a table; a line that says what was done, `None` when there was nothing to do.
///
/// # Errors
/// When the lake cannot be read or written.
pub(super) async fn compact(lake: &Lake, def: &'static TableDef, context: &Context) -> Result<Option<String>> {
    let config = &context.config;
    let options = CompactOptions {
        memory_bytes: config.memory_limit / 2,
        spill_dir: config.spill_dir.clone(),
        ..CompactOptions::default()
    };
    let report = lake.compact(def, &options).await?;
    let mut parts = Vec::new();
    if report.merged > 0 {
        parts.push(format!("{} files merged into {}", report.merged, report.written));
    }
    if report.deleted > 0 {
        parts.push(format!("{} old files deleted", report.deleted));
    }
    Ok((!parts.is_empty()).then(|| format!("{:<32} {}", def.name, parts.join(", "))))
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
    let midnight = context.clock.now().date_naive().and_time(NaiveTime::MIN);
    Arc::new(FixedClock(Utc.from_utc_datetime(&midnight)))
}

/// Exports the answer of a saved query.
///
/// # Errors
/// When the query fails or a file cannot be written.
pub(super) async fn export_query(query: &Saved, engine: &Engine, export: &mut Export, context: &Context) -> Result<Exported> {
    let answer = run::answer(query, &std::collections::BTreeMap::new(), engine, context).await?;
    let period = answer.tables.first().map_or(Period::Whole, |table| Period::of_result(&table.columns));
    write(&query.name, &answer, period, &[], export).await
}

/// Exports a table, one file a day, its rows in the order of time and key.
///
/// # Errors
/// When the table cannot be read or a file not be written.
pub(super) async fn export_table(def: &'static TableDef, engine: &Engine, export: &mut Export) -> Result<Exported> {
    let mut order = vec![def.time];
    order.extend(def.key.iter().filter(|key| **key != def.time));
    let order: Vec<String> = order.iter().map(|column| format!("['{column}'] asc")).collect();
    let text = format!("['{}']\n| sort by {}", def.name, order.join(", "));
    let answer = engine.kql(def.name, &text, &std::collections::BTreeMap::new()).await?;
    let period = answer
        .tables
        .first()
        .and_then(|table| table.columns.iter().position(|c| c.name == def.time && c.ty == Type::DateTime))
        .map_or(Period::Whole, Period::Day);
    write(def.name, &answer, period, &def.key, export).await
}

async fn write(name: &str, answer: &Answer, period: Period, key: &[&str], export: &mut Export) -> Result<Exported> {
    let table = match answer.tables.as_slice() {
        [table] => table,
        tables => return Err(Error::query(format!("{name} gives {} tables, an export holds one", tables.len()))),
    };
    let mut rows = table.run().await?;
    let mut out = export.table(name, &table.columns, period, key)?;
    while let Some(batch) = rows.next().await? {
        out.write(&batch)?;
        // Rows that are always there already would leave no moment to see a signal.
        tokio::task::yield_now().await;
    }
    out.finish()
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
    let files = if done.files == 1 { "1 file".to_owned() } else { format!("{} files", done.files) };
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
