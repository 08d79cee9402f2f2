//! Checks of everything that an import needs: configuration, secrets, network, tokens, permissions, subscriptions, lake, disk.
//!
//! Each check stands by itself: one that fails keeps no other from being made. Nothing is changed.

mod expiry;
mod finding;
pub(crate) mod freshness;
mod local;
mod permissions;
mod resources;
mod sections;
mod services;
mod subscriptions;

use std::sync::Arc;

use url::Url;

pub(crate) use finding::{Area, Finding, Status};

use crate::config::{Config, Problem, TenantConfig, variable_as_it_is};
use kqlake_lake::Lake;
use kqlake_lake::folders::STATE;
use kqlake_remote::{Pace, World};
use kqlake_value::clock::Clock;

/// What is looked at.
#[derive(Debug)]
pub(crate) struct Subject<'a> {
    /// What is configured, as far as it can be read.
    pub config: &'a Config,
    /// What is wrong in the configuration.
    pub problems: &'a [Problem],
    /// The lake.
    pub lake: &'a Lake,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// A receiver of notifications to post the validation request to.
    pub webhook: Option<Url>,
}

/// Makes all checks; the findings are in the order in which one would look at them.
pub(crate) async fn examine(subject: &Subject<'_>) -> Vec<Finding> {
    let config = subject.config;
    let mut findings = local::configuration(config, subject.problems);
    match World::new(Pace::real(Arc::clone(&subject.clock)), None) {
        Ok(world) => {
            let now = subject.clock.now_micros();
            let tenants = config.tenants.iter().map(|tenant| examine_tenant(tenant, &world, now));
            findings.extend(futures::future::join_all(tenants).await.into_iter().flatten());
            if let Some(url) = &subject.webhook {
                findings.push(subscriptions::webhook(url, &world).await);
            }
        }
        Err(err) => {
            let advice = "install the certificates of the system's certificate authorities (package ca-certificates)";
            findings.push(Finding::failed(Area::Service, "network", err.to_string(), advice));
        }
    }
    findings.extend(local::quotas(config, &subject.lake.root().join(STATE)));
    findings.extend(sections::freshness(config, subject.lake, &subject.clock).await);
    findings.extend(local::lake(subject.lake).await);
    findings.extend(local::disks(config));
    findings
}

async fn examine_tenant(config: &TenantConfig, world: &World, now: i64) -> Vec<Finding> {
    let mut findings = services::network(config, world).await;
    match config.with_secrets(&variable_as_it_is) {
        Ok(tenant) => {
            findings.push(expiry::credential(config, &tenant, world, now).await);
            findings.extend(services::tokens(config, &tenant, world).await);
            findings.extend(resources::check(config, &tenant, world).await);
            findings.extend(resources::queue(config, &tenant, world).await);
            findings.extend(resources::message_trace(config, &tenant, world).await);
            findings.extend(subscriptions::audit(config, &tenant, world).await);
            findings.extend(subscriptions::calls(config, &tenant, world, now).await);
        }
        Err(err) => {
            let advice = err.advice().unwrap_or("check where the configuration says that the secret is").to_owned();
            let component = format!("{}/credential", config.name);
            findings.push(Finding::failed(Area::Configuration, component, err.to_string(), advice));
            let detail = "without its secret the tenant cannot be asked";
            findings.push(Finding::skipped(Area::Service, format!("{}/token", config.name), detail));
        }
    }
    findings
}
