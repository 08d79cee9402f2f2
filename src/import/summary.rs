//! What came of a run, summed up: its sections, and what it reports of itself as events and log lines.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::events::{EventLevel, EventLog};
use super::landings::add;
use super::shortfall::Shortfall;
use super::{ImportOptions, Importer, ReadExtent, Section, SectionReport, UnitReport, UnitState};
use kqlake_lake::Landed;

/// Something in a named folder that was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedPath {
    /// Where it is.
    pub path: PathBuf,
    /// Why it was not read, as a sentence's rest.
    pub reason: &'static str,
    /// False for what is not expected to be read, such as hidden files and notes.
    pub reported: bool,
}

/// What came of an import.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImportSummary {
    /// The run's name.
    pub import_id: String,
    /// Every unit, in the order in which they were read.
    pub units: Vec<UnitReport>,
    /// Every section that had a unit.
    pub sections: Vec<SectionReport>,
    /// What was committed, by table. Our own events and the ledger are not counted.
    pub tables: BTreeMap<&'static str, Landed>,
    /// Tables that did not take all rows because something is wrong with their files.
    pub shortfalls: Vec<Shortfall>,
    /// What is in the named folders and was not read.
    pub skipped: Vec<SkippedPath>,
    /// Files of the quarantine that were removed, since they were older or more than it keeps.
    pub outdated: u64,
    /// Bytes on disk that were read.
    pub bytes: u64,
    /// True when it ended early because it was asked to.
    pub stopped: bool,
    /// Time taken, in microseconds.
    pub micros: i64,
}

impl ImportSummary {
    /// True when nothing came that was not there, and nothing went wrong that no earlier import reported.
    pub fn is_quiet(&self) -> bool {
        let came: u64 = self.tables.values().map(|table| table.new + table.replaced).sum();
        came == 0 && !self.stopped && self.has_no_new_failure()
    }

    /// True when every record of every unit is in the lake.
    pub fn is_complete(&self) -> bool {
        self.shortfalls.is_empty() && self.units.iter().all(|u| u.state.is_complete())
    }

    /// True when nothing went wrong that no earlier import reported.
    pub fn has_no_new_failure(&self) -> bool {
        self.shortfalls.is_empty() && !self.units.iter().any(UnitReport::is_new_failure)
    }

    /// Rows that were there already.
    pub fn duplicates(&self) -> u64 {
        self.tables.values().map(|t| t.duplicates).sum()
    }

    /// Records that could not be read.
    pub fn refused(&self) -> u64 {
        self.units.iter().map(|u| u.counts.refused).sum()
    }
}

/// Units that did not end well whose log lines are written.
const LOGGED_UNITS: usize = 1_000;

/// What came of each section that had a unit, or of the one that all units are of.
pub(crate) fn sections(summary: &ImportSummary, whole: Option<Section>) -> Vec<SectionReport> {
    Section::ALL
        .into_iter()
        .filter_map(|section| {
            let is_mine = |unit: &&UnitReport| whole.map_or_else(|| belongs(unit, section), |whole| whole == section);
            let mine: Vec<&UnitReport> = summary.units.iter().filter(is_mine).collect();
            if whole.map_or(mine.is_empty(), |whole| whole != section) {
                return None;
            }
            let is_main = |unit: &&&UnitReport| whole.is_some() || unit.section == Some(section);
            let mut landed = Landed::default();
            let tables = summary.tables.iter().filter(|(table, _)| whole.is_some() || Section::of_table(table) == section);
            tables.for_each(|(_, table)| add(&mut landed, table.clone()));
            Some(SectionReport {
                section,
                units: mine.len() as u64,
                unchanged: mine.iter().filter(|u| u.state == UnitState::Unchanged).count() as u64,
                known: mine.iter().filter(|u| u.is_known_failure() && !u.was_gone).count() as u64,
                gone: mine.iter().filter(|u| u.was_gone).count() as u64,
                // A unit with records of several sections counts its records for the main one.
                records: mine.iter().filter(is_main).map(|u| u.counts.records).sum(),
                new: landed.new,
                duplicates: landed.duplicates,
                replaced: landed.replaced,
                refused: mine.iter().filter(is_main).map(|u| u.counts.refused).sum(),
                out_of_scope: mine.iter().map(|u| u.counts.out_of_scope).sum(),
                failed: mine.iter().filter(|u| !is_over(u)).count() as u64,
                expired: mine.iter().filter(|u| u.state == UnitState::Expired).count() as u64,
                finished: !summary.stopped && mine.iter().all(|u| is_over(u)),
                // Units of a source wait for each other, and some take no time at all.
                micros: if whole.is_some() { summary.micros } else { mine.iter().map(|u| u.finished - u.started).sum() },
            })
        })
        .collect()
}

/// True for a unit that was read to its end, or will never be: one that breaks off is known until it changes.
fn is_over(unit: &UnitReport) -> bool {
    match unit.state {
        UnitState::Incomplete => unit.extent == ReadExtent::Whole && !unit.held,
        UnitState::Known => !unit.held,
        UnitState::Expired => true,
        state => state.is_complete(),
    }
}

fn belongs(unit: &UnitReport, section: Section) -> bool {
    unit.section == Some(section) || unit.counts.rows.keys().any(|table| Section::of_table(table) == section)
}

/// The events and log lines of a run.
pub(crate) fn tell(summary: &ImportSummary, options: &ImportOptions, now: i64) -> EventLog {
    let mut log = EventLog::new(&summary.import_id).of_tenant(options.tenant.as_deref());
    if options.only_news && summary.is_quiet() {
        return log;
    }
    let importer_of = |section: Option<Section>| section.map_or(Importer::Office365Activity, Section::importer);
    for unit in summary.units.iter().filter(|u| u.is_new_failure()).take(LOGGED_UNITS) {
        let severity = if unit.state == UnitState::Incomplete { EventLevel::Warning } else { EventLevel::Error };
        let message = format!("{}: {} ({})", unit.name, unit.reason.as_deref().unwrap_or("not read"), unit.state.name());
        log.line(importer_of(unit.section.or(options.section)).name(), severity, now, &message);
    }
    for importer in [Importer::AppInsights, Importer::Office365Activity] {
        let mine: Vec<&SectionReport> = summary.sections.iter().filter(|s| s.section.importer() == importer).collect();
        for report in &mine {
            let name = report.section.name();
            let counts = format!(
                "{} records in {} units ({} unchanged): {} rows new, {} there already, {} replaced, {} records refused",
                report.records, report.units, report.unchanged, report.new, report.duplicates, report.replaced, report.refused
            );
            if report.finished {
                log.line(importer.name(), EventLevel::Information, now, &format!("{name}: {counts}"));
                log.section_finished(report, now);
            } else {
                let why = if summary.stopped { "was asked to end before its end" } else { "did not finish" };
                log.line(importer.name(), EventLevel::Warning, now, &format!("{name} {why}: {counts}"));
            }
        }
        if options.section.is_none() && !mine.is_empty() && mine.iter().all(|s| s.finished) {
            log.cycle_finished(importer, summary.micros, mine.len(), now);
        }
    }
    log
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::report;

    fn summary(tables: &[(&'static str, u64, u64)]) -> ImportSummary {
        let landed = |new, replaced| Landed { new, replaced, ..Landed::default() };
        let tables = tables.iter().map(|(table, new, replaced)| (*table, landed(*new, *replaced))).collect();
        ImportSummary { tables, ..ImportSummary::default() }
    }

    #[test]
    fn a_run_with_new_or_with_replaced_rows_is_not_quiet() {
        assert!(summary(&[]).is_quiet() && summary(&[("traces", 0, 0)]).is_quiet());
        for tables in [[("traces", 1, 0)], [("traces", 0, 1)]] {
            assert!(!summary(&tables).is_quiet());
        }
        assert!(!ImportSummary { stopped: true, ..summary(&[]) }.is_quiet());
    }

    #[test]
    fn rows_are_counted_for_the_section_of_their_table_or_for_the_one_that_all_units_are_of() {
        let summary = ImportSummary {
            units: vec![UnitReport { section: Some(Section::Audit), ..report("u", UnitState::Done, 0) }],
            ..summary(&[("AuditRecords", 2, 1), ("traces", 5, 0)])
        };
        let of = |whole| {
            let found = sections(&summary, whole);
            found.iter().map(|report| (report.section, report.new, report.replaced)).collect::<Vec<_>>()
        };
        assert_eq!(of(None), [(Section::Audit, 2, 1)]);
        assert_eq!(of(Some(Section::Audit)), [(Section::Audit, 7, 1)]);
    }
}
