//! What a perfect client has of the audit log.

use std::collections::{BTreeMap, HashSet};

use super::{State, blob_path, log};
use crate::manifest::Table;
use crate::tenant::audit::{Blob, Kind, LIFE};
use crate::world::World;
use kqlake_value::US_PER_MINUTE;

/// A client need not have asked for what ends, or began, so shortly before now, in microseconds.
const MARGIN: i64 = 15 * US_PER_MINUTE;

/// Records of all blobs that were sent, and of those that could be fetched now: but of what was said to have expired.
pub(crate) fn truth(world: &World) -> Vec<Table> {
    let state = world.state::<State>();
    let (log, now, writer) = (log(world), world.now(), state.writer(world));
    let (served, listed) = (state.served().clone(), state.listed().clone());
    let mut wanted: Vec<Blob> = served.iter().copied().collect();
    let mut others = Vec::new();
    for kind in Kind::ALL {
        for blob in log.blobs(kind, now - LIFE..now) {
            if served.contains(&blob)
                || !state.is_there(world, blob, now)
                || world.faults.has_gone(&blob_path(world, &log.id(blob)))
            {
                continue;
            }
            let is_marginal = log.expires(blob) <= now + MARGIN && !listed.contains(&blob);
            if is_marginal { others.push(blob) } else { wanted.push(blob) }
        }
    }
    wanted.sort_unstable();
    let mut table = Table::new("AuditRecords", &["Id"]);
    let total: u64 = wanted.iter().map(|blob| u64::from(log.size(*blob))).sum();
    let keep = total <= world.settings.manifest_rows;
    let mut seen = HashSet::new();
    let mut rows = BTreeMap::new();
    for blob in &wanted {
        for place in 0..log.size(*blob) {
            match log.record(*blob, place) {
                Some(record) => {
                    if seen.insert(record) && keep {
                        rows.insert(writer.id(record), None);
                    }
                }
                None => table.refused.push(writer.malformed(*blob, place)),
            }
        }
    }
    table.count = seen.len();
    table.rows = rows;
    for blob in others {
        let records = (0..log.size(blob)).filter_map(|place| log.record(blob, place));
        table.optional.extend(records.filter(|record| !seen.contains(record)).map(|record| writer.id(record)));
    }
    vec![table]
}
