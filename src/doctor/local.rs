//! What is on this machine: the configuration, the lake, the disk.

use std::path::{Path, PathBuf};

use super::finding::{Area, Finding};
use crate::config::{Config, Problem, TenantConfig};
use crate::error::Error;
use kqlake_durable::Draft;
use kqlake_import::Section;
use kqlake_lake::{Lake, tables};
use kqlake_remote::cloud::Service;
use kqlake_remote::kept_requests;
use kqlake_remote::settings::TraceApi;
use kqlake_value::clock::{Clock as _, SystemClock};
use kqlake_value::{US_PER_MINUTE, format};

/// With less free space nothing should be begun.
const LEAST_SPACE: u64 = 512 << 20;
/// With less free space it is time to look for more.
const LITTLE_SPACE: u64 = 5 << 30;

/// The time in which message traces are counted (microseconds).
const TRACE_TIME: i64 = 5 * US_PER_MINUTE;

/// The configuration: where it comes from, and all that is wrong in it.
pub(super) fn configuration(config: &Config, problems: &[Problem]) -> Vec<Finding> {
    if !problems.is_empty() {
        let failed =
            |problem: &Problem| Finding::failed(Area::Configuration, "configuration", problem.line(), problem.solution.clone());
        return problems.iter().map(failed).collect();
    }
    let tenants = config.tenants.iter().map(|tenant| tenant.name.as_str()).collect::<Vec<_>>().join(", ");
    let finding = match (&config.file, config.tenants.is_empty()) {
        (None, _) => Finding::warning(
            Area::Configuration,
            "configuration",
            "there is no configuration file: everything is as it is by default, and no tenant is fetched from",
            "`kqlake init` writes one",
        ),
        (Some(file), true) => Finding::warning(
            Area::Configuration,
            "configuration",
            format!("{} is right, and names no tenant", file.display()),
            "add a table [tenants.NAME], or run `kqlake init` with another --config to see how",
        ),
        (Some(file), false) => {
            Finding::ok(Area::Configuration, "configuration", format!("{} is right; tenants: {tenants}", file.display()))
        }
    };
    vec![finding]
}

/// The lake: its folder, its tables and their files.
pub(super) async fn lake(lake: &Lake) -> Vec<Finding> {
    let root = lake.root().to_path_buf();
    let shown = root.display();
    let failed = |component: String, err: Error| {
        let advice = err.advice().unwrap_or("see `kqlake tables`").to_owned();
        Finding::failed(Area::Lake, component, err.chain(), advice)
    };
    if let Err(err) = lake.check().await {
        return vec![failed("lake".to_owned(), err.into())];
    }
    if !root.is_dir() {
        return vec![Finding::ok(Area::Lake, "lake", format!("{shown} is not there yet: the first import makes it"))];
    }
    let mut findings = Vec::new();
    match Draft::create(&root.join("_doctor")) {
        // Dropped without being published, it leaves nothing.
        Ok(draft) => drop(draft),
        Err(err) => findings.push(failed("lake".to_owned(), Error::io("write into", &root, err))),
    }
    let (mut found, mut rows, mut bytes) = (0_u64, 0_u64, 0_u64);
    for def in tables::all() {
        match lake.snapshot(def).await {
            Ok(None) => {}
            Ok(Some(snapshot)) => {
                let stats = snapshot.stats();
                (found, rows, bytes) = (found + 1, rows + stats.rows, bytes + stats.bytes);
                if let Err(err) = snapshot.check_files() {
                    findings.push(failed(format!("lake/{}", def.name), err.into()));
                }
            }
            Err(err) => findings.push(failed(format!("lake/{}", def.name), err.into())),
        }
    }
    if findings.is_empty() {
        let detail = format!("{shown}: {found} tables, {rows} rows, {} in files that are all there", format::size(bytes));
        findings.push(Finding::ok(Area::Lake, "lake", detail));
    }
    findings
}

/// Quotas that runs share, and what the last ones used of them.
pub(super) fn quotas(config: &Config, folder: &Path) -> Vec<Finding> {
    let of = |tenant: &TenantConfig| {
        let mut findings = Vec::new();
        if tenant.jobs.contains(&Section::Audit) {
            let detail = format!("{} requests a minute are allowed for audit events", tenant.audit.requests_per_minute);
            findings.push(Finding::ok(Area::Service, format!("{}/quota/audit", tenant.name), detail));
        }
        if tenant.jobs.contains(&Section::MessageTrace) && tenant.message_trace.api == TraceApi::Graph {
            let ago = SystemClock.now_micros() - TRACE_TIME;
            let used = kept_requests(folder, &tenant.id, Service::Graph, "message-trace", ago).unwrap_or_default();
            let detail = format!("{used} of 100 requests for message traces were used in the last 5 minutes");
            let component = format!("{}/quota/message_trace", tenant.name);
            findings.push(match used {
                ..90 => Finding::ok(Area::Service, component, detail),
                _ => Finding::warning(
                    Area::Service,
                    component,
                    detail,
                    "the next run waits for what is left; others may use \
                    the same quota",
                ),
            });
        }
        findings
    };
    config.tenants.iter().flat_map(of).collect()
}

/// The space of the disks that the lake, the exports and spilled data are on.
pub(super) fn disks(config: &Config) -> Vec<Finding> {
    let places = [("lake", Some(&config.lake)), ("export", Some(&config.export)), ("spill_dir", config.spill_dir.as_ref())];
    places.into_iter().filter_map(|(name, place)| Some(disk(name, place?))).collect()
}

fn disk(name: &str, place: &Path) -> Finding {
    let component = format!("disk/{name}");
    let existing = existing(place);
    let Some((free, all)) = space(&existing) else {
        let detail = format!("how much space {} has cannot be found out on this system", existing.display());
        return Finding::skipped(Area::Lake, component, detail);
    };
    let detail = format!("{} of {} are free where {} is", format::size(free), format::size(all), place.display());
    let advice = "free some space, or move the folder to another disk; `kqlake compact` removes files that nothing needs any \
        more";
    match free {
        ..LEAST_SPACE => Finding::failed(Area::Lake, component, detail, advice),
        LEAST_SPACE..LITTLE_SPACE => Finding::warning(Area::Lake, component, detail, advice),
        _ => Finding::ok(Area::Lake, component, detail),
    }
}

/// The place itself, or what is there of the way to it.
fn existing(place: &Path) -> PathBuf {
    let absolute = std::path::absolute(place).unwrap_or_else(|_| place.to_path_buf());
    absolute.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_path_buf()
}

/// Bytes that are free for us, and all bytes.
#[cfg(unix)]
fn space(path: &Path) -> Option<(u64, u64)> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some((found.f_bavail.saturating_mul(found.f_frsize), found.f_blocks.saturating_mul(found.f_frsize)))
}

#[cfg(not(unix))]
fn space(_path: &Path) -> Option<(u64, u64)> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_folder_that_is_there_has_room() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(existing(&dir.path().join("a/b")), dir.path());
        #[cfg(unix)]
        assert!(space(dir.path()).is_some_and(|(free, all)| free <= all && all > 0));
    }
}
