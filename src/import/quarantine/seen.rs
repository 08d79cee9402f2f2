//! What of the quarantine a try at its units has seen again, so that nothing is lost with what was quarantined before.

use std::collections::{HashMap, HashSet};
use std::io;

use super::store::{self, QuarantineFile};
use crate::ledger::{self, TriedContent};
use crate::names::listed_names;
use crate::{ImportError, ImportSummary, UnitReport, UnitState};
use kqlake_lake::Lake;

/// Those files of the quarantine whose records a run has seen again, every one: its unit had the content that it had when they
/// were refused, and all that was read of it is in the lake; or each of them was refused again and quarantined by the run.
///
/// # Errors
/// The ledger or the quarantine cannot be read.
pub async fn seen_again<'f>(
    lake: &Lake,
    files: &'f [QuarantineFile],
    summary: &ImportSummary,
) -> Result<Vec<&'f QuarantineFile>, ImportError> {
    let wanted = files.iter().map(|file| (file.import_id.as_str(), file.unit.as_str())).collect();
    let then = contents_then(lake, &wanted).await?;
    let settled = summary.units.iter().filter(|unit| !unit.held);
    let mut now: HashSet<(&str, &str)> = HashSet::new();
    for unit in settled {
        let hash = unit.content_hash.as_deref();
        now.extend(listed_names(&unit.name).filter_map(|name| Some((name, hash?))));
    }
    let is_same = |file: &QuarantineFile| {
        let then = then.get(&(file.import_id.clone(), file.unit.clone()));
        let then = then.and_then(|then| then.hash.as_deref());
        // An archive's name stands for its entries, which were read where it was refused itself; that of one entry for no other one.
        then.is_some_and(|then| now.contains(&(file.unit.as_str(), then)))
    };
    let (same, changed): (Vec<&QuarantineFile>, Vec<&QuarantineFile>) = files.iter().partition(|file| is_same(file));
    let path = store::folder(lake.root());
    let again = refused_again(lake, &changed, &summary.import_id).map_err(|source| ImportError::Quarantine { path, source })?;
    Ok(same.into_iter().chain(again).collect())
}

/// What tries found of their units.
async fn contents_then(
    lake: &Lake,
    wanted: &HashSet<(&str, &str)>,
) -> Result<HashMap<(String, String), TriedContent>, ImportError> {
    match ledger::contents(lake, wanted).await {
        // Without the ledger it is unknown what the units held.
        Err(ImportError::Lake(error)) if error.is_of_one_table() => Ok(HashMap::new()),
        found => found,
    }
}

/// Removes what earlier runs quarantined of units that this one read whole, with nothing refused, where they had the same content
/// then: with its order of dates given, or by a newer version, a file may be read that was refused before.
///
/// # Errors
/// The ledger or the quarantine cannot be read, or a file cannot be removed.
pub(crate) async fn drop_read(lake: &Lake, summary: &ImportSummary) -> Result<(), ImportError> {
    let is_whole = |unit: &&UnitReport| unit.state == UnitState::Done && !unit.held && unit.counts.refused == 0;
    let whole: HashSet<&str> = summary.units.iter().filter(is_whole).flat_map(|unit| listed_names(&unit.name)).collect();
    let path = store::folder(lake.root());
    let failed = |source| ImportError::Quarantine { path: path.clone(), source };
    let mut files = if whole.is_empty() { Vec::new() } else { store::list(lake.root()).map_err(failed)? };
    files.retain(|file| file.import_id != summary.import_id && whole.contains(file.unit.as_str()));
    if files.is_empty() {
        return Ok(());
    }
    let seen = seen_again(lake, &files, summary).await?;
    store::drop_files(seen).map_err(failed)
}

/// Removes what earlier runs quarantined of units that a service gave damaged then: where this run read the unit undamaged, which
/// refused anew what no table takes, and where it refused every one of them again.
///
/// # Errors
/// The ledger or the quarantine cannot be read, or a file cannot be removed.
pub(crate) async fn drop_torn(lake: &Lake, summary: &ImportSummary) -> Result<(), ImportError> {
    let was_read =
        |unit: &&UnitReport| unit.content_hash.is_some() && matches!(unit.state, UnitState::Done | UnitState::Incomplete);
    let read: HashMap<&str, bool> =
        summary.units.iter().filter(was_read).map(|unit| (unit.name.as_str(), unit.is_damaged)).collect();
    let path = store::folder(lake.root());
    let failed = |source| ImportError::Quarantine { path: path.clone(), source };
    let mut files = if read.is_empty() { Vec::new() } else { store::list(lake.root()).map_err(failed)? };
    files.retain(|file| file.import_id != summary.import_id && read.contains_key(file.unit.as_str()));
    if files.is_empty() {
        return Ok(());
    }
    let wanted = files.iter().map(|file| (file.import_id.as_str(), file.unit.as_str())).collect();
    let then = contents_then(lake, &wanted).await?;
    let is_torn =
        |file: &&QuarantineFile| then.get(&(file.import_id.clone(), file.unit.clone())).is_some_and(|then| then.is_torn);
    let is_damaged = |file: &&QuarantineFile| read.get(file.unit.as_str()).is_some_and(|damaged| *damaged);
    let (again, over): (Vec<&QuarantineFile>, Vec<&QuarantineFile>) = files.iter().filter(is_torn).partition(is_damaged);
    let again = refused_again(lake, &again, &summary.import_id).map_err(failed)?;
    store::drop_files(over.into_iter().chain(again)).map_err(failed)
}

/// Files each of whose records a run has quarantined again.
fn refused_again<'f>(lake: &Lake, files: &[&'f QuarantineFile], import_id: &str) -> io::Result<Vec<&'f QuarantineFile>> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let units: HashSet<&str> = files.iter().map(|file| file.unit.as_str()).collect();
    // Of each unit the texts that the run quarantined, and how many it only counted.
    let mut again: HashMap<String, (HashSet<[u8; 32]>, u64)> = HashMap::new();
    let new = store::list(lake.root())?.into_iter();
    for file in new.filter(|file| file.import_id == import_id && units.contains(file.unit.as_str())) {
        let (texts, counted) = again.entry(file.unit.clone()).or_default();
        for trace in store::if_there(store::traces(&file))?.into_iter().flatten() {
            let trace = trace?;
            texts.extend(trace.digest);
            *counted += trace.omitted;
        }
    }
    let mut seen = Vec::new();
    for file in files {
        let Some((texts, counted)) = again.get(&file.unit) else { continue };
        // What another run has removed meanwhile is gone.
        let Some(traces) = store::if_there(store::traces(file))? else { continue };
        let mut all = true;
        for trace in traces {
            let trace = trace?;
            // What was only counted has no text to lose. What says nothing of its text is known by the unit's content alone.
            all &= match trace.digest {
                Some(digest) => texts.contains(&digest),
                None => (1..=*counted).contains(&trace.omitted),
            };
        }
        if all {
            seen.push(*file);
        }
    }
    Ok(seen)
}
