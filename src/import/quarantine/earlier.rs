//! What earlier runs quarantined, by units: a record that is refused again, in a file that has grown, is known.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::store::{self, QuarantineFile};
use crate::names::listed_names;

/// The files of earlier runs by their units. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Earlier {
    files: Arc<HashMap<String, Vec<QuarantineFile>>>,
    /// All files that there were when the run began.
    known: Arc<HashSet<PathBuf>>,
    again: Arc<ReportAgain>,
}

/// Of which units a record that is refused again is reported again, though it is quarantined already.
#[derive(Debug)]
pub(crate) enum ReportAgain {
    /// Of all: somebody asked for them to be read again.
    All,
    /// Of these: no try so far came to its end, so it may never have been reported.
    Of(BTreeSet<String>),
}

impl Default for ReportAgain {
    fn default() -> Self {
        ReportAgain::Of(BTreeSet::new())
    }
}

impl Earlier {
    /// What files say of all units but those that are to be tried again (an archive's name stands for its entries): of these
    /// everything is quarantined anew.
    pub(crate) fn new(files: Vec<QuarantineFile>, retried: &BTreeSet<String>, again: ReportAgain) -> Self {
        let known = files.iter().map(|file| file.path.clone()).collect();
        let mut by_unit: HashMap<String, Vec<QuarantineFile>> = HashMap::new();
        for file in files {
            if !listed_names(&file.unit).any(|name| retried.contains(name)) {
                by_unit.entry(file.unit.clone()).or_default().push(file);
            }
        }
        Earlier { files: Arc::new(by_unit), known: Arc::new(known), again: Arc::new(again) }
    }

    /// Whether what is refused again of a unit is reported again.
    pub(super) fn is_told_again(&self, unit: &str) -> bool {
        match self.again.as_ref() {
            ReportAgain::All => true,
            ReportAgain::Of(units) => units.contains(unit),
        }
    }

    /// True for a file that was there when the run began.
    pub(super) fn is_known(&self, file: &Path) -> bool {
        self.known.contains(file)
    }

    /// What was quarantined of a unit.
    pub(super) fn of(&self, unit: &str) -> SetAside {
        SetAside::of_files(self.files.get(unit).into_iter().flatten())
    }
}

/// Records of one unit that were quarantined before.
#[derive(Debug, Default)]
pub(super) struct SetAside {
    /// How often each text was, by its SHA-256.
    records: HashMap<[u8; 32], u64>,
    /// The SHA-256 of why it was refused as a whole.
    wholes: HashSet<[u8; 32]>,
    /// Those that were only counted.
    omitted: u64,
}

impl SetAside {
    /// What files hold.
    pub(super) fn of_files<'f>(files: impl IntoIterator<Item = &'f QuarantineFile>) -> Self {
        let mut found = SetAside::default();
        for file in files {
            // What can no longer be read is quarantined anew.
            if let Err(error) = store::traces(file).and_then(|mut traces| traces.try_for_each(|trace| found.add(trace?))) {
                tracing::warn!(file = %file.path.display(), %error, "records that were quarantined cannot be read");
            }
        }
        found
    }

    #[expect(clippy::unnecessary_wraps, reason = "it ends a loop that may fail")]
    fn add(&mut self, trace: store::Trace) -> std::io::Result<()> {
        self.omitted += trace.omitted;
        self.wholes.extend(trace.whole);
        if let Some(digest) = trace.digest {
            *self.records.entry(digest).or_default() += 1;
        }
        Ok(())
    }

    /// True for a record that was quarantined, each as often as it was.
    pub(super) fn take(&mut self, text: &[u8]) -> bool {
        if self.records.is_empty() || text.is_empty() {
            return false;
        }
        self.take_digest(&Sha256::digest(text).into())
    }

    /// True where the unit was refused as a whole for this reason.
    pub(super) fn is_whole(&self, reason: &str) -> bool {
        !self.wholes.is_empty() && self.wholes.contains(&<[u8; 32]>::from(Sha256::digest(reason)))
    }

    fn take_digest(&mut self, digest: &[u8; 32]) -> bool {
        let Some(times) = self.records.get_mut(digest) else { return false };
        *times -= 1;
        if *times == 0 {
            self.records.remove(digest);
        }
        true
    }

    /// True where all of these are among them, each as often, and as many are only counted.
    pub(super) fn holds(mut self, digests: &[[u8; 32]], omitted: u64) -> bool {
        omitted <= self.omitted && digests.iter().all(|digest| self.take_digest(digest))
    }

    /// Of records that are only counted, those that were counted before: as many as then, where all that were quarantined came by
    /// again; else nobody knows.
    pub(super) fn counted(&self, now: u64) -> u64 {
        if self.records.is_empty() { self.omitted.min(now) } else { 0 }
    }
}
