//! The beginning of a run: how far the sources were read, what the quarantine holds, and the threads that read.

use std::path::Path;
use std::sync::Arc;

use crate::dispatch::Dispatch;
use crate::ledger::{Known, KnownUnits, Registrar};
use crate::quarantine::earlier::{Earlier, ReportAgain};
use crate::quarantine::store::QuarantineFile;
use crate::quarantine::{Quarantine, store};
use crate::reader::UnitReader;
use crate::source::Source;
use crate::units::{Shared, Units};
use crate::{ImportError, ImportOptions, blocks, positions};
use kqlake_durable::ScratchFolder;
use kqlake_lake::Lake;

/// Bytes of rows that wait between reading and landing, for the unit that is landed and for all others together, where the memory
/// limit allows as many: enough for both to continue, since a landing takes rows while it sorts and writes.
const QUEUED: usize = 8 << 20;
/// The part of the memory limit that either of them may have.
const QUEUED_PART: usize = 64;

/// An import that has begun to read.
pub(super) struct RunStart {
    pub dispatch: Dispatch,
    /// Files of the quarantine that were removed.
    pub outdated: u64,
}

/// Reads how far the sources were read, cleans the quarantine, and begins to read.
pub(super) async fn begin(
    lake: &Lake,
    sources: &[Arc<dyn Source>],
    options: &ImportOptions,
    import_id: &str,
    known: &Arc<KnownUnits>,
    now: i64,
) -> Result<RunStart, ImportError> {
    let mut listed = Vec::new();
    for source in sources {
        let cursor = if options.again { None } else { positions::kept(lake, source.as_ref()).await? };
        listed.push((Arc::clone(source), cursor));
    }
    let (root, is_dry) = (lake.root().to_owned(), options.dry_run);
    let (id, limits, retention) = (import_id.to_owned(), options.limits, options.retention);
    let (mut retry, again, tried) = (options.retry.clone(), options.again, Arc::clone(known));
    retry.extend(known.torn().map(str::to_owned));
    let cleaned = tokio::task::spawn_blocking(move || {
        let (kept, outdated) = clean(&root, retention, now, is_dry).unwrap_or_else(|error| {
            // What can no longer be removed hinders no import.
            tracing::warn!(%error, "the quarantine could not be cleaned");
            (Vec::new(), 0)
        });
        let unfinished = |file: &QuarantineFile| tried.get(&file.unit).is_none_or(Known::is_open).then(|| file.unit.clone());
        let reported = if again { ReportAgain::All } else { ReportAgain::Of(kept.iter().filter_map(unfinished).collect()) };
        let earlier = Earlier::new(kept, &retry, reported);
        (Quarantine::new((!is_dry).then_some(root.as_path()), &id, now, limits, earlier), outdated)
    });
    let (quarantine, outdated) = cleaned.await.map_err(|error| ImportError::Reader(error.to_string()))?;
    let shared = Shared {
        known: Arc::clone(known),
        limits: options.limits,
        import_id: import_id.to_owned(),
        dry_run: options.dry_run,
        clock: Arc::clone(&options.clock),
    };
    let mut helpers = None;
    if options.threads > 1 {
        let (way, threads) = blocks::helpers(options.threads, import_id, options.dry_run);
        helpers = Some(way);
        // They end when the last reader does, and wait for nobody but readers: no thread of the runtime's is theirs. Where the
        // system gives no more threads, readers do without.
        threads.into_iter().for_each(|helper| drop(std::thread::Builder::new().spawn(move || helper.work())));
    }
    let scratch = ScratchFolder::new(options.spill_dir.as_deref());
    let reader = || {
        let clock = Arc::clone(&options.clock);
        let (filter, scratch) = (options.filter.clone(), scratch.clone());
        let tenant = options.other_tenant.clone();
        let reader = UnitReader::new(filter, options.given, tenant, options.limits, scratch, clock, helpers.clone());
        Units::new(shared.clone(), reader, quarantine.clone())
    };
    let readers = (0..options.threads.max(1)).map(|_| reader()).collect();
    let queue = QUEUED.min(options.memory / QUEUED_PART);
    let registrar = Registrar {
        lake: (!options.dry_run).then(|| lake.clone()),
        known: Arc::clone(known),
        section: options.section,
        import_id: import_id.to_owned(),
        again: options.again,
        clock: Arc::clone(&options.clock),
    };
    Ok(RunStart { dispatch: Dispatch::new(&listed, &registrar, readers, queue), outdated })
}

/// Removes what is not kept in quarantine any more. Gives what is, and the number of files that went.
fn clean(lake: &Path, retention: store::Retention, now: i64, is_dry: bool) -> std::io::Result<(Vec<QuarantineFile>, u64)> {
    let (outdated, kept) = store::outdated(store::list(lake)?, retention, now);
    if is_dry {
        return Ok((kept, 0));
    }
    store::drop_files(&outdated)?;
    Ok((kept, outdated.len() as u64))
}
