//! Rows that a newer version of their group does not have any more: among those of a landing, and among the landed ones.

use std::collections::HashMap;
use std::path::Path;

use super::{Fresh, Intake};
use crate::data::layout::Layout;
use crate::error::LakeError;
use crate::log::entry::FileEntry;
use crate::write::keys::{KeyMap, KeySet};
use crate::write::origin::ByOrigin;
use crate::write::probe::{Hit, Wanted, probe};
use crate::write::standing::{Standing, Whole};

/// By landed file: rows that leave it for their version, by key.
pub(super) type Displaced = HashMap<String, KeyMap<Standing>>;

impl Fresh<'_> {
    /// The groups in which a landed row can outdate one of these, or be outdated.
    pub(super) fn groups(&self) -> KeySet {
        let standings = self.by_key.values().filter_map(|row| self.standings.get(*row as usize));
        standings.filter(|row| row.version > 0).map(|row| row.group).collect()
    }

    /// Leaves out and counts the rows that are outdated.
    pub(super) fn drop_outdated(&mut self, outdated: impl Fn(&Standing) -> bool, left_out: &mut ByOrigin) {
        let is_outdated = |row: &u32| self.standings.get(*row as usize).is_some_and(&outdated);
        let keys: Vec<u128> = self.by_key.iter().filter(|(_, row)| is_outdated(row)).map(|(key, _)| *key).collect();
        keys.into_iter().for_each(|key| left_out.count(self.drop(key)));
    }
}

impl Intake {
    /// Leaves out rows that are outdated by others that come with them, or that this landing wrote before.
    pub(super) fn leave_out_outdated(&mut self, fresh: &mut Fresh<'_>) {
        let whole = std::mem::take(&mut fresh.whole);
        let outdated = |row: &Standing| whole.outdates(row) || self.own_groups.outdates(row);
        fresh.drop_outdated(outdated, &mut self.duplicates);
        fresh.whole = whole;
    }

    /// Takes rows out of this landing's files that are outdated by its own, or by landed ones.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(super) fn bury_outdated(&mut self, layout: &Layout, dir: &Path, landed: &Whole) -> Result<(), LakeError> {
        let outdated = self.own_groups.take_outdated(landed);
        if outdated.is_empty() {
            return Ok(());
        }
        let mut buried: Vec<u128> = Vec::new();
        for written in &self.files {
            let wanted = Wanted {
                key: &|_| false,
                content: &|_| false,
                group: &|group| outdated.of(group) > 0,
                days: &self.days,
                rows: None,
            };
            probe(layout, &dir.join(&written.file.path), &wanted, &mut |hit: Hit| {
                let is_outdated = hit.standing.is_some_and(|standing| outdated.outdates(&standing));
                buried.extend((is_outdated && !written.dead.contains(&hit.row.key)).then_some(hit.row.key));
            })?;
        }
        for key in buried {
            let left_out = self.bury(key);
            self.duplicates.count(left_out);
        }
        Ok(())
    }

    /// Forgets landed rows that stay after all, since no row of the version that outdates them lands.
    pub(super) fn keep_undisplaced(&mut self) {
        let groups = &self.own_groups;
        self.displaced.values_mut().for_each(|rows| rows.retain(|_, row| groups.outdates(row)));
    }

    /// Landed rows of a file that are outdated by rows of this landing.
    pub(super) fn displaced_of(&self, file: &FileEntry) -> impl Iterator<Item = (&u128, &Standing)> {
        self.displaced.get(&file.path).into_iter().flatten()
    }
}
