//! Sections of tenants, read live: each an import of its own with a result of its own, side by side, once or again and again.
//!
//! What to run (`plan`) comes from the configuration and the sections' sources; how it runs (`cycle`, `watch`) knows nothing of
//! either but the trait `Source`. What goes on is written on a `board`, which heartbeats and the terminal read.

pub(crate) mod account;
pub mod board;
pub mod cycle;
pub(crate) mod health;
pub(crate) mod heartbeat;
pub(crate) mod holes;
pub mod lock;
mod owner;
pub(crate) mod plan;
pub(crate) mod unit_row;
pub(crate) mod watch;
pub(crate) mod webhook;

use std::sync::Arc;

use crate::error::Error;
use kqlake_import::{ImportSummary, OrgUrls, Section, SectionReport, Source, UnitState};

/// A section of a tenant that is to be run.
#[derive(Debug)]
pub struct Task {
    /// The tenant's name.
    pub tenant: String,
    /// The section.
    pub section: Section,
    /// What it reads; or why it cannot begin.
    pub work: Result<Work, Error>,
}

/// What a section reads.
#[derive(Debug, Clone, Default)]
pub struct Work {
    /// Its sources.
    pub sources: Vec<Arc<dyn Source>>,
    /// The sites that audit records are taken of.
    pub org_urls: OrgUrls,
    /// Of usage reports, the id of the tenant whose reports have the plain keys of the lake.
    pub report_owner: Option<String>,
    /// The id of the tenant, where its rows need keys of its own beside those of the lake's own tenant.
    pub other_tenant: Option<Arc<str>>,
}

/// What came of a section of a tenant.
#[derive(Debug)]
pub struct SectionOutcome {
    /// The tenant's name.
    pub tenant: String,
    /// The section.
    pub section: Section,
    /// What was imported; or what ended it before its end. What was committed before that stays.
    pub result: Result<ImportSummary, Error>,
}

impl SectionOutcome {
    /// True when the section was read to its end.
    pub fn is_finished(&self) -> bool {
        self.result.as_ref().is_ok_and(|summary| summary.sections.iter().all(|section| section.finished))
    }

    /// True when all that the service had was read to its end, whatever could not be read in it.
    pub fn has_all(&self) -> bool {
        let has_all = |summary: &ImportSummary| {
            let gone = |section: &SectionReport| !section.finished || section.expired > 0;
            !summary.stopped && summary.shortfalls.is_empty() && !summary.sections.iter().any(gone)
        };
        self.result.as_ref().is_ok_and(has_all)
    }

    /// True when nothing went wrong that an earlier run did not tell of.
    pub fn is_well(&self) -> bool {
        self.result.as_ref().is_ok_and(|summary| !summary.stopped && summary.has_no_new_failure())
    }

    /// True when nothing of it could be read.
    pub fn is_unread(&self) -> bool {
        match &self.result {
            Ok(summary) => {
                let units = &summary.units;
                !summary.stopped && !units.is_empty() && units.iter().all(|unit| unit.state == UnitState::Failed)
            }
            Err(error) => error.status() == crate::error::status::SOURCE,
        }
    }
}
