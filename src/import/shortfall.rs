//! What a run could not land although it was read: rows of tables that are damaged, and of days whose files are.
//!
//! The rest of the run is not held up by it. Units with rows in such a table count as failed, so that the next import reads
//! them again, and lands what is missing once the table is repaired.

use std::collections::BTreeMap;
use std::error::Error;

use super::{UnitReport, UnitState};
use kqlake_lake::{LakeError, Landed};

/// A table that did not take all of a run's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortfall {
    /// The table.
    pub table: &'static str,
    /// Which file is broken, and why.
    pub reason: String,
    /// What to do about it.
    pub advice: Option<String>,
    /// The days whose rows are missing, with their number; empty when the table took no row.
    pub days: BTreeMap<String, u64>,
}

impl Shortfall {
    /// The shortfall of a table that took no row.
    pub fn of_table(table: &'static str, error: &LakeError) -> Self {
        Shortfall { table, reason: with_causes(error), advice: error.advice(), days: BTreeMap::new() }
    }

    /// What did not land, in a sentence.
    pub fn message(&self) -> String {
        let days: Vec<&str> = self.days.keys().map(String::as_str).collect();
        match days.as_slice() {
            [] => format!("rows of {} did not land: {}", self.table, self.reason),
            [day] => format!("rows of {} of {day} did not land: {}", self.table, self.reason),
            [first, .., last] => {
                format!("rows of {} of {} days from {first} to {last} did not land: {}", self.table, days.len(), self.reason)
            }
        }
    }
}

/// An error's message with those of its causes; causes that only repeat what is said already are left out.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let message = cause.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        next = cause.source();
    }
    text
}

/// What did not land of what was committed, and of tables that took nothing.
pub(crate) fn of(tables: &BTreeMap<&'static str, Landed>, failed: &BTreeMap<&'static str, LakeError>) -> Vec<Shortfall> {
    let held = |(table, landed): (&&'static str, &Landed)| {
        let first = landed.held.first()?;
        let mut days = BTreeMap::new();
        for held in &landed.held {
            *days.entry(held.day.clone()).or_default() += held.rows;
        }
        Some(Shortfall { table, reason: first.reason.clone(), advice: first.advice.clone(), days })
    };
    let whole = failed.iter().map(|(table, error)| Shortfall::of_table(table, error));
    whole.chain(tables.iter().filter(|(table, _)| !failed.contains_key(*table)).filter_map(held)).collect()
}

/// Notes that units with rows in tables that are short of some are not done.
pub(crate) fn mark(reports: &mut [UnitReport], shortfalls: &[Shortfall], is_short: impl Fn(&'static str) -> bool) {
    for unit in reports {
        let mine = shortfalls.iter().filter(|short| is_short(short.table) && unit.counts.rows.contains_key(short.table));
        let messages: Vec<String> = mine.map(Shortfall::message).collect();
        if !messages.is_empty() {
            unit.state = UnitState::Failed;
            unit.held = true;
            unit.reason = Some(messages.into_iter().chain(unit.reason.take()).collect::<Vec<_>>().join("; "));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::report;
    use crate::{Counts, ImportError};
    use kqlake_lake::HeldRows;

    #[test]
    fn what_did_not_land_is_told_by_table_and_day() {
        let held = |day: &str, rows| HeldRows {
            day: day.into(),
            rows,
            reason: "a file is broken".into(),
            advice: Some("repair it".into()),
        };
        let landed = |held| Landed { held, ..Landed::default() };
        let days = || vec![held("2026-01-05", 2), held("2026-01-07", 1), held("2026-01-05", 3)];
        let tables = BTreeMap::from([
            ("traces", landed(days())),
            ("requests", landed(Vec::new())),
            ("exceptions", landed(days())),
            ("pageViews", landed(vec![held("2026-01-06", 4)])),
        ]);
        let failed = BTreeMap::from([("exceptions", LakeError::Busy { table: "exceptions", attempts: 3 })]);
        let found = of(&tables, &failed);
        let of_day = |table: &'static str, days: &[(&str, u64)]| Shortfall {
            table,
            reason: "a file is broken".into(),
            advice: Some("repair it".into()),
            days: days.iter().map(|(day, rows)| ((*day).to_owned(), *rows)).collect(),
        };
        let whole = Shortfall::of_table("exceptions", &failed["exceptions"]);
        assert!(whole.days.is_empty());
        let expected =
            [whole, of_day("pageViews", &[("2026-01-06", 4)]), of_day("traces", &[("2026-01-05", 5), ("2026-01-07", 1)])];
        assert_eq!(found, expected);
        let messages: Vec<String> = found.iter().map(Shortfall::message).collect();
        assert!(messages[0].starts_with("rows of exceptions did not land: "), "{messages:?}");
        assert_eq!(messages[1], "rows of pageViews of 2026-01-06 did not land: a file is broken");
        assert_eq!(messages[2], "rows of traces of 2 days from 2026-01-05 to 2026-01-07 did not land: a file is broken");

        let unit = |table: &'static str, reason: Option<&str>| UnitReport {
            counts: Counts { rows: BTreeMap::from([(table, 1)]), ..Counts::default() },
            reason: reason.map(str::to_owned),
            ..report("u", UnitState::Done, 0)
        };
        let mut reports = [unit("traces", Some("2 refused")), unit("requests", None), unit("pageViews", None)];
        mark(&mut reports, &found, |table| table != "pageViews");
        let told: Vec<_> = reports.iter().map(|unit| (unit.state, unit.held, unit.reason.as_deref())).collect();
        let both = format!("{}; 2 refused", messages[2]);
        let untold = (UnitState::Done, false, None);
        assert_eq!(told, [(UnitState::Failed, true, Some(both.as_str())), untold, untold]);
    }

    #[test]
    fn a_failure_is_told_with_its_causes() {
        let full = std::io::Error::from_raw_os_error(28);
        let error = LakeError::Io { table: "traces", path: "/lake/traces/x".into(), source: full };
        let text = with_causes(&ImportError::Lake(error));
        assert_eq!(text.matches("(os error 28)").count(), 1, "{text}");
        assert!(text.starts_with("table traces: cannot read or write /lake/traces/x: "), "{text}");
    }
}
