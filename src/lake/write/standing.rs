//! Groups of rows that a source rewrites together, and which of a group's versions came whole.
//!
//! A record of such a source says all rows of its group, as a call record says its sessions, and it is written anew with a greater
//! version. Of two rows of one key the greater one stays (`super::keys`); that takes no row away which the newer version does not
//! have any more. So rows say whether their record said all of them ([`IS_WHOLE`]), and a row whose version is below the newest
//! one of its group that came whole is no part of the table. Rows whose version is not known take no part in this.

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::Int64Type;

use super::keys::{KeyMap, key_of};
use super::origin::Origin;
use crate::error::LakeError;
use crate::tables::{IS_WHOLE, TableDef};

/// Where a row stands among those of its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The hash of the group's name.
    pub group: u128,
    /// The version of its record; 0 where it is not known.
    pub version: i64,
    /// True when its record said all rows of the group, and its version.
    pub is_whole: bool,
}

impl Standing {
    /// True for a row that is not there where a version came whole.
    pub(crate) fn is_below(&self, whole: i64) -> bool {
        self.version > 0 && self.version < whole
    }
}

/// The standing of each of a batch's rows; columns are found by name. `None` in tables without groups.
///
/// # Errors
/// The group's column cannot be read as its type.
pub(crate) fn standings(def: &'static TableDef, batch: &RecordBatch) -> Result<Option<Vec<Standing>>, LakeError> {
    let Some(name) = def.group else { return Ok(None) };
    let groups = key_of(def, batch, name)?;
    let versions =
        def.versions.first().and_then(|name| batch.column_by_name(name)).and_then(|c| c.as_primitive_opt::<Int64Type>());
    let whole = batch.column_by_name(IS_WHOLE).and_then(|column| column.as_boolean_opt());
    let standing = |(row, group)| {
        let version = versions.filter(|versions| versions.is_valid(row)).map_or(0, |versions| versions.value(row).max(0));
        let is_whole = version > 0 && whole.is_some_and(|whole| whole.is_valid(row) && whole.value(row));
        Standing { group, version, is_whole }
    };
    Ok(Some(groups.into_iter().enumerate().map(standing).collect()))
}

/// The newest version of each group that came whole, of some rows.
#[derive(Debug, Default)]
pub(crate) struct Whole(KeyMap<i64>);

impl Whole {
    /// Notes a row.
    pub(crate) fn note(&mut self, row: &Standing) {
        if row.is_whole {
            let newest = self.0.entry(row.group).or_default();
            *newest = row.version.max(*newest);
        }
    }

    /// The version of a group; 0 where none came whole.
    pub(crate) fn of(&self, group: u128) -> i64 {
        self.0.get(&group).copied().unwrap_or(0)
    }

    /// True for a row that a newer version without it takes the place of.
    pub(crate) fn outdates(&self, row: &Standing) -> bool {
        row.is_below(self.of(row.group))
    }

    /// True when no version came whole.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What is known of a group of rows that a landing wrote.
#[derive(Debug, Clone, Copy)]
struct OwnGroup {
    /// The newest version that came whole; 0 for none.
    whole: i64,
    /// Whose that is.
    origin: Origin,
    /// The least version that is known of a row.
    least: i64,
}

/// The groups of the rows that a landing wrote.
#[derive(Debug, Default)]
pub(crate) struct OwnGroups(KeyMap<OwnGroup>);

impl OwnGroups {
    /// Takes note of a row that is written.
    pub(crate) fn take(&mut self, row: &Standing, origin: Origin) {
        let known = self.0.entry(row.group).or_insert(OwnGroup { whole: 0, origin: 0, least: i64::MAX });
        if row.is_whole && row.version > known.whole {
            (known.whole, known.origin) = (row.version, origin);
        }
        if row.version > 0 {
            known.least = known.least.min(row.version);
        }
    }

    /// True for a group that a row of the landing is of.
    pub(crate) fn has(&self, group: u128) -> bool {
        self.0.contains_key(&group)
    }

    /// The newest version of a group that came whole with this landing, and whose it is.
    pub(crate) fn whole(&self, group: u128) -> (i64, Origin) {
        self.0.get(&group).map_or((0, 0), |known| (known.whole, known.origin))
    }

    /// True for a row that a newer version without it takes the place of, which came with this landing.
    pub(crate) fn outdates(&self, row: &Standing) -> bool {
        row.is_below(self.whole(row.group).0)
    }

    /// The groups of which this landing wrote rows below a version that came whole, here or with landed rows; they count as without
    /// such rows from now on.
    pub(crate) fn take_outdated(&mut self, landed: &Whole) -> Whole {
        let mut outdated = Whole::default();
        for (group, known) in &mut self.0 {
            let whole = known.whole.max(landed.of(*group));
            if known.least < whole {
                known.least = whole;
                outdated.0.insert(*group, whole);
            }
        }
        outdated
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables;
    use crate::write::rows::RowBuilder;

    #[test]
    fn versions_below_the_newest_one_that_came_whole_are_outdated() {
        let def = tables::find("CallSessions").expect("table");
        let at = |name: &str| def.index_of(name).expect("a column");
        let mut out = RowBuilder::new(def);
        let rows: [(&str, Option<i64>, Option<bool>); 7] = [
            ("a", Some(1), Some(true)),
            ("a", Some(3), Some(true)),
            ("a", Some(2), None),
            ("a", Some(4), Some(false)),
            ("a", None, Some(true)),
            ("b", Some(0), Some(true)),
            ("b", Some(-1), None),
        ];
        for (call, version, whole) in rows {
            out.set_datetime_us(at("startDateTime"), 0);
            out.set_str(at("callId"), call);
            version.into_iter().for_each(|version| out.set_i64(at("version"), version));
            whole.into_iter().for_each(|whole| out.set_bool(at(IS_WHOLE), whole));
            out.end_row();
        }
        let found = standings(def, &out.finish().expect("rows")).expect("standings").expect("a table with groups");
        assert!(found[0].group == found[4].group && found[0].group != found[5].group);
        let (mut whole, mut own) = (Whole::default(), OwnGroups::default());
        found.iter().for_each(|row| whole.note(row));
        let outdated: Vec<bool> = found.iter().map(|row| whole.outdates(row)).collect();
        assert_eq!(outdated, [true, false, true, false, false, false, false]);
        assert_eq!((whole.of(found[0].group), whole.of(found[5].group)), (3, 0));
        // The same of what a landing wrote, one row after the other.
        found[..2].iter().rev().for_each(|row| own.take(row, 7));
        assert_eq!(own.whole(found[0].group), (3, 7));
        assert!(own.has(found[0].group) && !own.has(found[5].group));
        assert_eq!(own.take_outdated(&Whole::default()).of(found[0].group), 3);
        assert!(own.take_outdated(&Whole::default()).is_empty(), "they are taken out once");
        own.take(&found[2], 8);
        assert_eq!(own.take_outdated(&Whole::default()).of(found[0].group), 3, "a row that comes later");
        let mut landed = Whole::default();
        landed.note(&Standing { version: 9, ..found[1] });
        assert_eq!(own.take_outdated(&landed).of(found[0].group), 9);
        assert!(
            standings(tables::find("CallRecords").expect("table"), &RecordBatch::new_empty(def.arrow_schema()))
                .unwrap()
                .is_none()
        );
    }
}
