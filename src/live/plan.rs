//! Which sections of which tenants are run: the configuration's tenants, the sections that are switched on, and their sources.

use std::path::{Path, PathBuf};

use super::owner::report_owner;
use super::{Task, Work};
use crate::config::Config;
use crate::error::{Error, Result};
use kqlake_durable::ScratchFolder;
use kqlake_import::{OrgUrls, Section};
use kqlake_lake::folders::{SPOOL, STATE};
use kqlake_remote::settings::Tenant;
use kqlake_remote::{Pace, World, sources};

/// What somebody asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct SectionFilter {
    /// Sections that run whether they are switched on or not; those that are switched on when empty.
    pub sections: Vec<Section>,
    /// Names of tenants; all when empty.
    pub tenants: Vec<String>,
}

/// The folder of a lake in which notifications of calls wait.
pub(crate) fn spool(lake: &Path) -> PathBuf {
    lake.join(SPOOL).join("calls")
}

/// The sections' shared world: connections, tokens, quotas whose use is kept in the lake's folder, and the notifications that wait
/// there.
///
/// # Errors
/// Connections cannot be made from this machine.
pub(crate) fn world(config: &Config, pace: Pace) -> Result<World> {
    let world = World::new(pace, Some(&config.lake.join(STATE))).map_err(|error| Error::Source(error.to_string()))?;
    let scratch = ScratchFolder::new(config.spill_dir.as_deref());
    Ok(world.with_spool(spool(&config.lake)).with_scratch(scratch))
}

/// The tasks of all tenants that are wanted; reads the secrets. What a tenant lacks is the error of its own tasks alone.
///
/// # Errors
/// A tenant that is asked for is not configured.
pub(crate) fn tasks(config: &Config, wanted: &SectionFilter, world: &World) -> Result<Vec<Task>> {
    if let Some(strange) = wanted.tenants.iter().find(|name| config.tenants.iter().all(|tenant| tenant.name != **name)) {
        let known: Vec<&str> = config.tenants.iter().map(|tenant| tenant.name.as_str()).collect();
        let hint = kqlake_syntax::suggest::nearest(strange, known.iter().copied());
        let error = Error::usage(format!("no tenant is configured as `{strange}`"));
        return Err(error.hint(match hint {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("configured are {}", known.join(", ")),
        }));
    }
    let mut tasks = Vec::new();
    for ((name, live), settings) in config.live().into_iter().zip(&config.tenants) {
        if !wanted.tenants.is_empty() && !wanted.tenants.contains(&name) {
            continue;
        }
        let sections = Section::ALL.into_iter().filter(|section| match wanted.sections.as_slice() {
            [] => settings.jobs.contains(section),
            some => some.contains(section),
        });
        match live {
            Ok(tenant) => tasks.extend(sections.filter_map(|section| task(config, &tenant, section, wanted, world))),
            Err(error) => {
                tasks.extend(sections.map(|section| Task { tenant: name.clone(), section, work: Err(of_tenant(&name, &error)) }));
            }
        }
    }
    Ok(tasks)
}

/// The task of one section of a tenant, with secrets as they are now; `None` where there is nothing that it could read.
pub(crate) fn one(config: &Config, tenant: &str, section: Section, world: &World) -> Option<Task> {
    let wanted = SectionFilter { sections: Vec::new(), tenants: vec![tenant.to_owned()] };
    match config.live().into_iter().find(|(name, _)| name == tenant)? {
        (_, Ok(tenant)) => task(config, &tenant, section, &wanted, world),
        (name, Err(error)) => Some(Task { work: Err(of_tenant(&name, &error)), tenant: name, section }),
    }
}

/// What a tenant lacks, as the error of one of its sections: a mistake of the configuration, with what to do about it.
fn of_tenant(name: &str, error: &Error) -> Error {
    let message = format!("tenant {name}: {}", error.chain());
    match error.advice() {
        Some(advice) => Error::usage(message).hint(advice),
        None => Error::usage(message),
    }
}

/// The task of a section; `None` where nothing is configured that it could read, unless it was asked for by its name.
fn task(config: &Config, tenant: &Tenant, section: Section, wanted: &SectionFilter, world: &World) -> Option<Task> {
    let work = work(config, tenant, section, world);
    if work.as_ref().is_ok_and(|work| work.sources.is_empty()) {
        wanted.sections.contains(&section).then(|| Task {
            tenant: tenant.name.clone(),
            section,
            work: Err(Error::usage(format!("tenant {}: nothing is configured that {section} could read", tenant.name))),
        })
    } else {
        Some(Task { tenant: tenant.name.clone(), section, work })
    }
}

fn work(config: &Config, tenant: &Tenant, section: Section, world: &World) -> Result<Work> {
    if section == Section::Audit && tenant.audit.org_urls.is_empty() {
        let message = format!("tenant {}: FATAL ERROR: No org URLs found in the configuration!", tenant.name);
        return Err(Error::usage(message).hint(format!(
            "write the addresses whose activity is wanted into [tenants.{}.audit], as org_urls = \
             [\"https://contoso.sharepoint.com\"]; [\"*\"] takes all",
            tenant.name
        )));
    }
    let sources = sources(tenant, section, world).map_err(|error| Error::usage(format!("tenant {}: {error}", tenant.name)))?;
    let org_urls = if section == Section::Audit { OrgUrls::new(&tenant.audit.org_urls) } else { OrgUrls::default() };
    let report_owner = match section {
        Section::UsageReports => report_owner(&config.lake, &config.tenants)?,
        _ => None,
    };
    let other_tenant =
        report_owner.as_ref().filter(|owner| !owner.eq_ignore_ascii_case(&tenant.id)).map(|_| tenant.id.as_str().into());
    Ok(Work { sources, org_urls, report_owner, other_tenant })
}
