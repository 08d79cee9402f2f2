//! The event `HealthCheck`: how the things are that imports need, as `doctor` finds them.

use std::sync::Arc;

use crate::config::Config;
use crate::doctor::{Finding, Status, Subject, examine};
use kqlake_import::{EventLog, Health, HealthStatus};
use kqlake_lake::Lake;
use kqlake_value::clock::Clock;

/// Looks at everything, and writes what was found as events, in one commit. Gives what does not work.
pub(crate) async fn check(config: &Config, lake: &Lake, clock: &Arc<dyn Clock>) -> Vec<Finding> {
    let subject = Subject { config, problems: &[], lake, clock: Arc::clone(clock), webhook: None };
    let mut findings = examine(&subject).await;
    let mut log = EventLog::of_its_own();
    let now = clock.now_micros();
    for health in findings.iter().filter_map(|finding| health(config, finding)) {
        log.health(now, &health);
    }
    if let Err(error) = log.land(lake).await {
        tracing::warn!(%error, "the health checks are not in the lake");
    }
    findings.retain(|finding| finding.status == Status::Failed);
    findings
}

/// The event of a finding; none for what was not looked at.
fn health(config: &Config, finding: &Finding) -> Option<Health> {
    let status = match finding.status {
        Status::Ok => HealthStatus::Healthy,
        Status::Warning => HealthStatus::Degraded,
        Status::Failed => HealthStatus::Unhealthy,
        Status::Skipped => return None,
    };
    let named = finding.component.split_once('/').filter(|(name, _)| config.tenants.iter().any(|tenant| tenant.name == *name));
    let (tenant, component) = named.map_or((None, finding.component.as_str()), |(tenant, rest)| (Some(tenant), rest));
    let detail = match finding.advice.as_str() {
        "" => finding.detail.clone(),
        advice => format!("{}: {advice}", finding.detail),
    };
    #[expect(clippy::cast_precision_loss, reason = "days of a life")]
    let days_to_expiry = finding.days.map(|days| days as f64);
    Some(Health { component: component.to_owned(), tenant: tenant.map(str::to_owned), status, detail, days_to_expiry })
}
