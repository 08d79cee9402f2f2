//! The files of a landing: those that it gets at once, runs, and what is rewritten before the commit.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{Fresh, Intake, OwnRow, Written};
use crate::Lake;
use crate::data::layout::{Layout, TAG_LAYOUT};
use crate::data::rows::{FileRows, Picks};
use crate::data::runs::merge;
use crate::error::LakeError;
use crate::fault::Step;
use crate::log::entry::NewFile;
use crate::partition::Partition;
use crate::write::keys::{KeySet, Keyer};
use crate::write::rewrite::rewrite;
use kqlake_durable::Staging;

/// A partition gets a file at once where at least one of so many of the rows that are written together are of it.
const DIRECT_SHARE: usize = 4;
/// Files that a partition gets at once in a landing, so that it adds few files a partition.
const DIRECT_FILES: u32 = 16;

impl Intake {
    /// Writes sorted rows. Partitions that many of them are of get a file at once, so that rows that come in the order of time are
    /// written once; what is left goes into a run, where more rows may come.
    pub(super) fn write_rows(
        &mut self,
        layout: &Arc<Layout>,
        dir: &Path,
        lake: &Lake,
        fresh: &Fresh<'_>,
        last: bool,
        threads: usize,
    ) -> Result<(), LakeError> {
        let picks = fresh.picks();
        if picks.is_empty() {
            return Ok(());
        }
        let rows = FileRows::new(layout, fresh.batches)?;
        let at_once = |partition: &Partition, some: &Picks| {
            let files = self.direct.get(partition).copied().unwrap_or(0);
            (last && self.runs.is_none()) || (some.len() * DIRECT_SHARE >= picks.len() && files < DIRECT_FILES)
        };
        let (many, few): (BTreeMap<_, _>, BTreeMap<_, _>) =
            rows.sorted(&picks)?.into_iter().partition(|(partition, some)| at_once(partition, some));
        for (partition, picks) in many {
            let file = rows.write(dir, partition, &picks, threads)?;
            *self.direct.entry(partition).or_default() += 1;
            self.take_file(fresh, file, picks.iter(), false);
            lake.fault().pass(Step::FileWritten)?;
        }
        if few.is_empty() {
            return Ok(());
        }
        let bytes = fresh.batches.iter().map(|batch| batch.bytes).sum::<usize>() / fresh.rows.len().max(1);
        self.row_bytes = self.row_bytes.max(bytes as u64);
        let staging = match self.runs.take() {
            Some(staging) => staging,
            None => {
                Staging::create(dir).map_err(|source| LakeError::Io { table: layout.def.name, path: dir.to_owned(), source })?
            }
        };
        let file = rows.write_run(dir, self.runs.insert(staging).path(), &few)?;
        self.take_file(fresh, file, few.values().flatten(), true);
        lake.fault().pass(Step::FileWritten)?;
        Ok(())
    }

    /// Merges runs into one file a partition.
    pub(super) fn merge_runs(&mut self, layout: &Arc<Layout>, dir: &Path, lake: &Lake) -> Result<(), LakeError> {
        let Some(_staging) = self.runs.take() else { return Ok(()) };
        let (mut runs, mut moved, mut kept) = (Vec::new(), Vec::new(), Vec::new());
        for written in std::mem::take(&mut self.files) {
            moved.push(kept.len() as u32);
            if written.run { runs.push(written) } else { kept.push(written) }
        }
        // Rows of runs get their places again below.
        for own in self.own.values_mut() {
            own.file = moved.get(own.file as usize).copied().unwrap_or(0);
        }
        let first = kept.len() as u32;
        let keyer = Keyer::new(layout.def);
        let files: Vec<&NewFile> = runs.iter().map(|run| &run.file).collect();
        let merged = merge(
            layout,
            dir,
            &files,
            self.row_bytes,
            &mut |run, rows| {
                let dead = &runs[run].dead;
                Ok(keyer.keys(rows, false)?.iter().map(|row| Some(!dead.contains(&row.key))).collect())
            },
            &mut |file, rows| {
                for row in keyer.keys(rows, false)? {
                    self.own.entry(row.key).or_insert(OwnRow { file: 0, origin: 0 }).file = first + file as u32;
                }
                Ok(())
            },
        );
        self.files = kept;
        let merged = merged?.into_iter();
        self.files.extend(merged.map(|(file, rows)| Written { file, rows, dead: KeySet::default(), run: false }));
        lake.fault().pass(Step::FileWritten)?;
        Ok(())
    }

    /// Takes a file with picked rows for one of this landing.
    fn take_file<'p>(&mut self, fresh: &Fresh<'_>, file: NewFile, picks: impl Iterator<Item = &'p (usize, usize)>, run: bool) {
        let (place, mut rows) = (self.files.len() as u32, 0);
        for pick in picks {
            let at = fresh.first[pick.0] + pick.1;
            let (row, origin) = (&fresh.keys[at], fresh.origins.get(at).copied().unwrap_or_default());
            self.days.insert(row.day);
            self.has_derived |= row.ordinal.is_some();
            self.own.insert(row.key, OwnRow { file: place, origin });
            fresh.standings.get(at).into_iter().for_each(|standing| self.own_groups.take(standing, origin));
            rows += 1;
        }
        self.files.push(Written { file, rows, dead: KeySet::default(), run });
    }

    /// Rewrites own files without their dead rows. Places of rows stay: a file keeps its position in the list, an
    /// empty one leaves it only when all are empty.
    pub(super) fn purge(&mut self, layout: &Arc<Layout>, dir: &Path) -> Result<(), LakeError> {
        for written in &mut self.files {
            // Another process may have changed the partitioning of the table meanwhile.
            let partition = Partition::of(layout.partitioning, written.file.partition.first);
            if (written.dead.is_empty() && partition == Some(written.file.partition)) || written.rows == 0 {
                continue;
            }
            let dead = std::mem::take(&mut written.dead);
            let old = dir.join(&written.file.path);
            let columns = layout.columns_by_tag(written.file.tags.get(TAG_LAYOUT).map(String::as_str));
            let columns = columns.unwrap_or_else(|| layout.all_columns());
            match rewrite(layout, dir, (&written.file.path, Some(written.rows)), partition, &columns, &dead)? {
                Some((file, rows)) => {
                    written.file = file;
                    written.rows = rows;
                }
                None => written.rows = 0,
            }
            // Ours alone: nothing refers to it.
            let _ = std::fs::remove_file(old);
        }
        if self.files.iter().any(|w| w.rows == 0) {
            let mut moved: Vec<u32> = Vec::with_capacity(self.files.len());
            let mut next = 0;
            for written in &self.files {
                moved.push(next);
                next += u32::from(written.rows > 0);
            }
            self.files.retain(|w| w.rows > 0);
            for own in self.own.values_mut() {
                own.file = moved.get(own.file as usize).copied().unwrap_or(0);
            }
        }
        Ok(())
    }
}
