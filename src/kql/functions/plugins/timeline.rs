//! What the activity plugins share: a time axis of whole numbers, its bins, and the events on it.

use std::collections::{BTreeMap, HashSet};

use super::table::PluginInput;
use super::{PluginArg, column, columns_from};
use crate::functions::interner::Interner;
use crate::room::{CountedVec, Held, table_bytes};
use kqlake_value::calendar::{civil_from_days, day_of, days_from_civil, start_of_day, weekday};
use kqlake_value::{Column, TICKS_PER_DAY, Type, Value, ValueRef};

/// A time axis: ticks for datetimes and timespans, the numbers themselves for integers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    ty: Type,
}

impl Axis {
    /// The axis of a column.
    pub(super) fn of(column: &Column) -> Result<Axis, String> {
        match column.ty {
            Type::DateTime | Type::TimeSpan | Type::Int | Type::Long => Ok(Axis { ty: column.ty }),
            other => {
                Err(format!("the timeline column {} must be a datetime, a timespan or an integer, not {other}", column.name))
            }
        }
    }

    /// The place of a value on the axis.
    pub(super) fn point(self, value: ValueRef<'_>) -> Option<i64> {
        match (self.ty, value) {
            (Type::DateTime, ValueRef::DateTime(v)) | (Type::TimeSpan, ValueRef::TimeSpan(v)) => Some(v),
            (Type::Int | Type::Long, value) => value.as_i64(),
            _ => None,
        }
    }

    /// The place of a constant on the axis.
    pub(super) fn constant(self, args: &[PluginArg], place: usize, what: &str) -> Result<i64, String> {
        let mut text = String::new();
        match args.get(place) {
            Some(PluginArg::Constant(value, _)) => {
                self.point(value.as_ref(&mut text)).ok_or_else(|| format!("{what} must be a {} like the timeline", self.ty))
            }
            _ => Err(format!("{what} must be a constant")),
        }
    }

    /// A constant distance on the axis: a timespan for datetimes, else of the axis's own type.
    pub(super) fn distance(self, args: &[PluginArg], place: usize, what: &str) -> Result<i64, String> {
        match args.get(place) {
            Some(PluginArg::Constant(value, _)) => self.distance_of(value, what),
            _ => Err(format!("{what} must be a constant")),
        }
    }

    /// A distance on the axis.
    pub(super) fn distance_of(self, value: &Value, what: &str) -> Result<i64, String> {
        match (self.ty, value) {
            (Type::DateTime | Type::TimeSpan, Value::TimeSpan(ticks)) => Ok(*ticks),
            (Type::Int | Type::Long, Value::Int(v)) => Ok((*v).into()),
            (Type::Int | Type::Long, Value::Long(v)) => Ok(*v),
            (Type::DateTime | Type::TimeSpan, _) => Err(format!("{what} must be a timespan")),
            _ => Err(format!("{what} must be an integer like the timeline")),
        }
    }

    /// The bins of a constant step, counted from a place: a distance, or the texts `week`, `month` and `year`.
    pub(super) fn bins(self, args: &[PluginArg], place: usize, what: &str, origin: i64) -> Result<Bins, String> {
        if let (Type::DateTime, Some(PluginArg::Constant(Value::String(text), _))) = (self.ty, args.get(place)) {
            return match text.as_str() {
                "week" => Ok(Bins::Week),
                "month" => Ok(Bins::Month),
                "year" => Ok(Bins::Year),
                other => Err(format!("{what} must be a timespan, week, month or year, not {other}")),
            };
        }
        let size = self.distance(args, place, what)?;
        if size <= 0 { Err(format!("{what} must be greater than zero")) } else { Ok(Bins::Size { size, origin }) }
    }

    /// The value at a place of the axis.
    pub(super) fn value(self, point: i64) -> ValueRef<'static> {
        match self.ty {
            Type::DateTime => ValueRef::DateTime(point),
            Type::TimeSpan => ValueRef::TimeSpan(point),
            Type::Int => ValueRef::Int(point as i32),
            _ => ValueRef::Long(point),
        }
    }
}

/// How the axis is divided.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bins {
    /// Pieces of one size, one of which starts at the origin.
    Size { size: i64, origin: i64 },
    /// Weeks from Sunday.
    Week,
    /// Calendar months.
    Month,
    /// Calendar years.
    Year,
}

impl Bins {
    /// The start of the bin that a place is in.
    pub(super) fn start(self, point: i64) -> i64 {
        let day = match self {
            Bins::Size { size, origin } => {
                let offset = (i128::from(point) - i128::from(origin)).rem_euclid(i128::from(size)) as i64;
                return point.saturating_sub(offset);
            }
            Bins::Week => day_of(point) - weekday(day_of(point)),
            Bins::Month => {
                let (year, month, _) = civil_from_days(day_of(point));
                days_from_civil(year, month, 1)
            }
            Bins::Year => {
                let (year, ..) = civil_from_days(day_of(point));
                days_from_civil(year, 1, 1)
            }
        };
        // A day that a datetime lies in has a start.
        start_of_day(day).unwrap_or(point)
    }

    /// The start of the bin behind the one that starts here.
    pub(super) fn next(self, start: i64) -> i64 {
        match self {
            Bins::Size { size, .. } => start.saturating_add(size),
            Bins::Week => start + 7 * TICKS_PER_DAY,
            // No month is longer than 31 days, no year than 366.
            Bins::Month => self.start(start + 31 * TICKS_PER_DAY),
            Bins::Year => self.start(start + 366 * TICKS_PER_DAY),
        }
    }

    /// The start of the bin before the one that starts here.
    pub(super) fn previous(self, start: i64) -> i64 {
        match self {
            Bins::Size { size, .. } => start.saturating_sub(size),
            _ => self.start(start - 1),
        }
    }

    /// The starts of all bins from one place to another; an error where they are too many to be meant.
    pub(super) fn all(self, from: i64, to: i64) -> Result<Vec<i64>, String> {
        /// More bins than any analysis has; a step of a second over years is a mistake.
        const MOST: usize = 1_000_000;
        let (mut at, mut out) = (self.start(from), Vec::new());
        while at <= to {
            if out.len() == MOST {
                return Err(format!("there would be more than {MOST} periods between start and end"));
            }
            out.push(at);
            at = self.next(at);
        }
        Ok(out)
    }
}

/// The events of one combination of dimensions.
#[derive(Debug)]
pub(super) struct Group {
    /// The number of the combination.
    pub dimensions: u32,
    /// Time and id of each event, by time.
    pub events: CountedVec<(i64, u32)>,
}

impl Group {
    /// The distinct ids of each bin.
    pub(super) fn ids_by_bin(&self, bins: Bins, from: i64, to: i64) -> BTreeMap<i64, HashSet<u32>> {
        let mut out: BTreeMap<i64, HashSet<u32>> = BTreeMap::new();
        for (t, id) in self.events.iter().filter(|(t, _)| (from..=to).contains(t)) {
            out.entry(bins.start(*t)).or_default().insert(*id);
        }
        out
    }
}

/// All events, divided by the combinations of dimensions.
#[derive(Debug)]
pub(super) struct Events {
    /// The axis.
    pub axis: Axis,
    /// The combinations of dimensions.
    pub dimensions: Interner,
    /// The ids.
    pub ids: Interner,
    /// One group a combination, in the order of first appearance.
    pub groups: Vec<Group>,
    /// Room for what plugins note of the ids of one group.
    _notes: Held,
}

impl Events {
    /// Reads the id column (argument 0), the timeline column (argument 1) and the dimensions (arguments from `dimensions`
    /// on). Events without a time are left out.
    pub(super) fn read(input: &PluginInput, args: &[PluginArg], dimensions: usize) -> Result<Events, String> {
        let (id, time) = (column(args, 0)?, column(args, 1)?);
        let axis = Axis::of(&input.columns[time])?;
        let places = columns_from(args, dimensions);
        let mut events = Events {
            axis,
            dimensions: Interner::default(),
            ids: Interner::default(),
            groups: Vec::new(),
            _notes: Held::default(),
        };
        for row in 0..input.rows {
            let Some(point) = axis.point(input.get(time, row)) else { continue };
            let number = events.dimensions.number(places.iter().map(|c| input.get(*c, row)))?;
            let id = events.ids.number([input.get(id, row)])?;
            if number as usize == events.groups.len() {
                events.groups.push(Group { dimensions: number, events: CountedVec::default() });
            }
            events.groups[number as usize].events.push((point, id))?;
        }
        let most = events.groups.iter().map(|group| group.events.len()).max().unwrap_or_default();
        // Sorting takes half of the events once more; two tables by id are there at a time.
        events
            ._notes
            .grow((most * size_of::<(i64, u32)>() / 2).max(2 * table_bytes::<(u32, i64)>(most.min(events.ids.len()))))?;
        for group in &mut events.groups {
            group.events.sort_by_key(|e| e.0);
        }
        Ok(events)
    }

    /// The values of a group's dimensions.
    pub(super) fn dimension_values(&self, group: &Group) -> impl Iterator<Item = ValueRef<'_>> {
        self.dimensions.tuple(group.dimensions)
    }
}

/// The columns of an activity plugin's result: the timeline, the dimensions, and what is computed.
pub(super) fn schema(
    columns: &[Column],
    args: &[PluginArg],
    dimensions: usize,
    computed: &[(&str, Type)],
) -> Result<Vec<Column>, String> {
    let time = column(args, 1)?;
    let mut out = vec![columns[time].clone()];
    out.extend(columns_from(args, dimensions).into_iter().map(|c| columns[c].clone()));
    out.extend(computed.iter().map(|(name, ty)| Column::new(*name, *ty)));
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendar_bins_follow_the_calendar() {
        let day = |y, m, d| kqlake_value::calendar::date(y, m, d).unwrap();
        assert_eq!(Bins::Week.start(day(2018, 7, 3) + 5), day(2018, 7, 1));
        assert_eq!(Bins::Month.next(day(2018, 1, 1)), day(2018, 2, 1));
        assert_eq!(Bins::Month.previous(day(2018, 3, 1)), day(2018, 2, 1));
        assert_eq!(Bins::Year.next(day(2015, 1, 1)), day(2016, 1, 1));
        let bins = Bins::Size { size: 7, origin: 1 };
        assert_eq!((bins.start(0), bins.start(1), bins.start(7), bins.start(8)), (-6, 1, 1, 8));
    }
}
