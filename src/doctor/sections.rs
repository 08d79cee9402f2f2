//! When sections finished last.

use std::sync::Arc;

use super::finding::{Area, Finding};
use super::freshness::last_finished;
use crate::config::Config;
use crate::engine::{Engine, EngineOptions};
use kqlake_lake::Lake;
use kqlake_value::US_PER_HOUR as HOUR;
use kqlake_value::clock::Clock;

/// A section that is run each night has finished in so many hours, a slow night included.
const HOURS: i64 = 26;

/// For each switched-on section of each tenant, how long ago it finished.
pub(super) async fn freshness(config: &Config, lake: &Lake, clock: &Arc<dyn Clock>) -> Vec<Finding> {
    if config.tenants.is_empty() || !lake.root().is_dir() {
        return Vec::new();
    }
    let engine = Engine::new(lake.clone(), EngineOptions::of(config), Arc::clone(clock));
    // A table that cannot be read is a finding of the lake.
    let Ok(finished) = last_finished(&engine).await else { return Vec::new() };
    let now = clock.now_micros();
    let mut findings = Vec::new();
    for tenant in &config.tenants {
        for section in &tenant.jobs {
            let last = finished.get(&(tenant.name.clone(), section.name().to_owned())).copied();
            findings.push(finding(&tenant.name, section.setting(), last.map(|last| (now - last) / HOUR)));
        }
    }
    findings
}

fn finding(tenant: &str, setting: &str, hours: Option<i64>) -> Finding {
    let component = format!("{tenant}/section/{setting}");
    let advice = || {
        format!(
            "`kqlake import {setting} --tenant {tenant}`; `kqlake ledger --failed --section {setting}` says \
        what fails"
        )
    };
    match hours {
        Some(hours) if hours <= HOURS => Finding::ok(Area::Service, component, format!("finished {hours} hours ago")),
        Some(hours) => Finding::warning(Area::Service, component, format!("finished last {hours} hours ago"), advice()),
        None => Finding::warning(Area::Service, component, "has not finished yet", advice()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;

    #[test]
    fn what_did_not_finish_in_a_day_is_said() {
        assert_eq!(finding("contoso", "Calls", Some(26)).status, Status::Ok);
        let late = finding("contoso", "Calls", Some(27));
        assert!(late.status == Status::Warning && late.advice.contains("kqlake import Calls --tenant contoso"), "{late:?}");
        assert_eq!(finding("contoso", "Calls", None).detail, "has not finished yet");
    }
}
