//! What came of a run, summed up: its sections, and what it tells of itself as events and log lines.

use super::events::{EventLog, Severity};
use super::landings::add;
use super::{Extent, ImportSummary, Importer, Section, SectionReport, UnitReport, UnitState};
use kqlake_lake::Landed;

/// Units that did not end well whose log lines are written.
const LOGGED_UNITS: usize = 1_000;

/// What came of each section that had a unit.
pub(crate) fn sections(summary: &ImportSummary) -> Vec<SectionReport> {
    Section::ALL
        .into_iter()
        .filter_map(|section| {
            let mine: Vec<&UnitReport> = summary.units.iter().filter(|unit| belongs(unit, section)).collect();
            if mine.is_empty() {
                return None;
            }
            let mut landed = Landed::default();
            for (_, table) in summary.tables.iter().filter(|(table, _)| Section::of_table(table) == section) {
                add(&mut landed, table.clone());
            }
            Some(SectionReport {
                section,
                units: mine.len() as u64,
                unchanged: mine.iter().filter(|u| u.state == UnitState::Unchanged).count() as u64,
                known: mine.iter().filter(|u| u.state == UnitState::Known).count() as u64,
                // A unit with records of several sections counts its records for the main one.
                records: mine.iter().filter(|u| u.section == Some(section)).map(|u| u.counts.records).sum(),
                new: landed.new,
                duplicates: landed.duplicates,
                replaced: landed.replaced,
                refused: mine.iter().filter(|u| u.section == Some(section)).map(|u| u.counts.refused).sum(),
                finished: mine.iter().all(|u| {
                    let is_read = matches!(u.state, UnitState::Incomplete | UnitState::Known) && u.extent == Extent::Whole;
                    u.state.is_complete() || is_read
                }),
                micros: mine.iter().map(|u| u.finished - u.started).sum(),
            })
        })
        .collect()
}

fn belongs(unit: &UnitReport, section: Section) -> bool {
    unit.section == Some(section) || unit.counts.rows.keys().any(|table| Section::of_table(table) == section)
}

/// The events and log lines of a run.
pub(crate) fn tell(summary: &ImportSummary, now: i64) -> EventLog {
    let mut log = EventLog::new(&summary.import_id);
    let importer_of = |section: Option<Section>| section.map_or(Importer::Office365Activity, Section::importer);
    for unit in summary.units.iter().filter(|u| u.state.is_new_failure()).take(LOGGED_UNITS) {
        let severity = if unit.state == UnitState::Incomplete { Severity::Warning } else { Severity::Error };
        let message = format!("{}: {} ({})", unit.name, unit.reason.as_deref().unwrap_or("not read"), unit.state.name());
        log.line(importer_of(unit.section), severity, now, &message);
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
                log.line(importer, Severity::Information, now, &format!("{name}: {counts}"));
                log.section_finished(report, now);
            } else {
                log.line(importer, Severity::Warning, now, &format!("{name} did not finish: {counts}"));
            }
        }
        if !mine.is_empty() && mine.iter().all(|s| s.finished) {
            log.cycle_finished(importer, summary.micros, mine.len(), now);
        }
    }
    log
}
