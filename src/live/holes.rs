//! Stretches of time that are not in the lake, and whether they can still be had.
//!
//! Where the windows of a source leave no time out between them, each instant between the first and the last of them that no window in
//! the lake covers is part of a hole. Of other sources the units say which of them are all that their source has of a time, as the
//! report of a day is: such a unit is a hole when it expired or failed.

use std::collections::BTreeMap;

use super::unit_row::{Place, UnitRow, place};

/// A stretch of time of a source that no unit in the lake covers (microseconds since 1970).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hole {
    /// The section.
    pub section: String,
    /// The source's stream.
    pub source: String,
    /// The unit that should have covered it; empty where no run listed one.
    pub unit: String,
    /// Its beginning.
    pub from: i64,
    /// Its end.
    pub to: i64,
    /// Where that unit is; `None` where no run listed one.
    pub place: Option<Place>,
    /// Why it is not in the lake, where the ledger says it.
    pub reason: String,
}

impl Hole {
    /// The word for where it is.
    pub(crate) fn state(&self) -> &'static str {
        match self.place {
            Some(Place::Expired) => "expired",
            Some(Place::Failed) => "failed",
            Some(_) => "pending",
            None => "unlisted",
        }
    }

    /// Whether it can still be had, as a sentence, with the reason that the ledger has.
    pub(crate) fn detail(&self) -> String {
        let can = match self.place {
            Some(Place::Expired) => "it cannot be had any more",
            Some(Place::Failed) => "the next run tries it again",
            Some(_) => "no run has fetched it yet",
            None => "no run listed it",
        };
        if self.reason.is_empty() { can.to_owned() } else { format!("{can}: {}", self.reason) }
    }
}

/// The holes of units of one section at an instant, in the order of their sources and times.
pub(crate) fn holes(units: &[&UnitRow], now: i64) -> Vec<Hole> {
    let mut tiling: BTreeMap<&str, Vec<&UnitRow>> = BTreeMap::new();
    let mut holes = Vec::new();
    for unit in units.iter().filter(|unit| unit.window.is_some_and(|(from, to)| from < to)) {
        if unit.tiles {
            tiling.entry(&unit.source).or_default().push(unit);
        } else {
            holes.extend(alone(unit, now));
        }
    }
    for units in tiling.values() {
        for (from, to) in uncovered(units) {
            pieces(units, from, to, now, &mut holes);
        }
    }
    holes.sort_by(|a, b| (&a.source, a.from, a.to, &a.unit).cmp(&(&b.source, b.from, b.to, &b.unit)));
    holes
}

/// The hole that a unit leaves which is all that its source has of its window.
fn alone(unit: &UnitRow, now: i64) -> Option<Hole> {
    let (from, to) = unit.window?;
    let place = place(unit, now);
    let from = unit.covered.map_or(from, |covered| from.max(covered));
    let is_lost = place == Place::Failed || (place == Place::Expired && !unit.never_was);
    (is_lost && from < to).then(|| hole(unit, from, to, place))
}

fn hole(unit: &UnitRow, from: i64, to: i64, place: Place) -> Hole {
    Hole {
        section: unit.section.clone(),
        source: unit.source.clone(),
        unit: unit.unit.clone(),
        from,
        to,
        place: Some(place),
        reason: unit.reason.clone(),
    }
}

/// The stretches between the first and the last instant of the windows of a source that no window in the lake covers.
fn uncovered(units: &[&UnitRow]) -> Vec<(i64, i64)> {
    let windows = || units.iter().filter_map(|unit| unit.window);
    let Some(first) = windows().map(|(from, _)| from).min() else { return Vec::new() };
    let last = windows().map(|(_, to)| to).max().unwrap_or(first);
    let mut there: Vec<(i64, i64)> = units.iter().filter_map(|unit| Some((unit.window?.0, unit.covered?))).collect();
    there.sort_unstable();
    let mut holes = Vec::new();
    let mut reached = first;
    for (from, to) in there.into_iter().filter(|(from, to)| from < to) {
        if from > reached {
            holes.push((reached, from));
        }
        reached = reached.max(to);
    }
    if reached < last {
        holes.push((reached, last));
    }
    holes
}

/// Cuts a hole where another unit should have covered it. Of units that overlap the one counts that can still be had.
fn pieces(units: &[&UnitRow], from: i64, to: i64, now: i64, holes: &mut Vec<Hole>) {
    let Some(first) = units.first() else { return };
    let over = |unit: &&&UnitRow| unit.window.is_some_and(|(begin, end)| begin < to && from < end);
    let over: Vec<&UnitRow> = units.iter().filter(over).copied().collect();
    let mut cuts: Vec<i64> = over.iter().filter_map(|unit| unit.window).flat_map(|(begin, end)| [begin, end]).collect();
    cuts.extend([from, to]);
    cuts.retain(|cut| (from..=to).contains(cut));
    cuts.sort_unstable();
    cuts.dedup();
    let begin = holes.len();
    for pair in cuts.windows(2) {
        let &[from, to] = pair else { continue };
        let here = over.iter().filter(|unit| unit.window.is_some_and(|(begin, end)| begin <= from && to <= end));
        let rank = |place: Place| match place {
            Place::Failed => 0,
            Place::Expired => 2,
            Place::Committed | Place::Pending | Place::Filtered => 1,
        };
        let best = here.map(|unit| (rank(place(unit, now)), *unit)).min_by_key(|(rank, unit)| (*rank, &unit.unit));
        let piece = match best {
            Some((_, unit)) => hole(unit, from, to, place(unit, now)),
            None => Hole {
                section: first.section.clone(),
                source: first.source.clone(),
                unit: String::new(),
                from,
                to,
                place: None,
                reason: String::new(),
            },
        };
        match holes[begin..].last_mut() {
            Some(last) if last.unit == piece.unit && last.to == piece.from => last.to = piece.to,
            _ => holes.push(piece),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(state: &str, from: i64, to: i64) -> UnitRow {
        UnitRow {
            section: "Message trace".into(),
            source: "contoso/messagetrace".into(),
            unit: format!("contoso/messagetrace/{from}"),
            state: state.parse().unwrap(),
            window: Some((from, to)),
            covered: (state == "done").then_some(to),
            tiles: true,
            ..UnitRow::default()
        }
    }

    fn found(units: &[UnitRow]) -> Vec<(i64, i64, &'static str)> {
        let units: Vec<&UnitRow> = units.iter().collect();
        holes(&units, 1_000).iter().map(|hole| (hole.from, hole.to, hole.state())).collect()
    }

    #[test]
    fn of_windows_that_leave_no_time_out_all_time_that_none_covers_is_a_hole() {
        let done = |from, to| unit("done", from, to);
        assert_eq!(found(&[done(0, 10), done(10, 20), done(5, 12)]), []);
        assert_eq!(found(&[done(12, 14), done(0, 10)]), [(10, 12, "unlisted")]);
        assert_eq!(found(&[done(0, 30), done(5, 6), done(40, 50)]), [(30, 40, "unlisted")]);
        assert_eq!(found(&[done(5, 5)]), []);
        assert_eq!(found(&[done(0, 10), unit("listed", 10, 20), done(20, 30)]), [(10, 20, "pending")]);
        assert_eq!(
            found(&[unit("failed", 0, 10), done(10, 20), unit("expired", 20, 25)]),
            [(0, 10, "failed"), (20, 25, "expired")]
        );
    }

    #[test]
    fn a_hole_is_cut_where_another_unit_should_have_covered_it() {
        let units = [unit("done", 0, 10), unit("expired", 10, 20), unit("failed", 18, 30), unit("done", 40, 50)];
        let units: Vec<&UnitRow> = units.iter().collect();
        let holes = holes(&units, 1_000);
        let told: Vec<(i64, i64, &str, &str)> =
            holes.iter().map(|hole| (hole.from, hole.to, hole.state(), hole.unit.as_str())).collect();
        assert_eq!(
            told,
            [
                (10, 18, "expired", "contoso/messagetrace/10"),
                (18, 30, "failed", "contoso/messagetrace/18"),
                (30, 40, "unlisted", ""),
            ]
        );
        assert!(holes.iter().all(|hole| hole.source == "contoso/messagetrace" && hole.section == "Message trace"));
        let words: Vec<String> = holes.iter().map(Hole::detail).collect();
        assert_eq!(words, ["it cannot be had any more", "the next run tries it again", "no run listed it"]);
    }

    #[test]
    fn a_part_of_a_window_that_is_read_again_leaves_no_hole() {
        // Six hours were read, and the first of them again.
        assert_eq!(found(&[unit("done", 0, 6), unit("done", 6, 7)]), []);
        // The first hour alone was read, of six that were listed.
        assert_eq!(found(&[UnitRow { covered: Some(1), ..unit("done", 0, 6) }, unit("done", 6, 7)]), [(1, 6, "pending")]);
        assert_eq!(found(&[UnitRow { covered: None, ..unit("done", 0, 6) }, unit("done", 6, 7)]), [(0, 6, "pending")]);
    }

    #[test]
    fn a_unit_that_is_all_of_its_time_is_a_hole_when_it_is_lost_and_its_source_had_it() {
        let alone = |state: &str| UnitRow { tiles: false, reason: "down".into(), ..unit(state, 10, 20) };
        // Others of the same source say nothing of it: they are other reports.
        assert_eq!(found(&[alone("expired"), UnitRow { tiles: false, ..unit("done", 0, 30) }]), [(10, 20, "expired")]);
        assert_eq!(found(&[alone("failed")]), [(10, 20, "failed")]);
        assert_eq!(found(&[alone("listed")]), []);
        // Its time is over, and nobody fetched it.
        assert_eq!(found(&[UnitRow { expires: Some(999), ..alone("listed") }]), [(10, 20, "expired")]);
        // An earlier try had it, or a part of it.
        assert_eq!(found(&[UnitRow { covered: Some(20), ..alone("failed") }]), []);
        assert_eq!(found(&[UnitRow { covered: Some(15), ..alone("failed") }]), [(15, 20, "failed")]);
        // A report of the first day of all that the service does not have any more.
        assert_eq!(found(&[UnitRow { never_was: true, ..alone("expired") }]), []);
        let lost = alone("expired");
        assert_eq!(holes(&[&lost], 1_000)[0].detail(), "it cannot be had any more: down");
    }
}
