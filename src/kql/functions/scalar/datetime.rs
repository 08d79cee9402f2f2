//! Datetimes: parts, starts and ends of days, weeks, months and years, sums and differences in calendar units.
//!
//! Weeks start on Sundays, except for `week_of_year`, which is that of ISO 8601. An end is the last instant before the next
//! start. What leaves the calendar (years 1 to 9999) is null.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Float64Array, Int32Array, Int64Array};

use super::conversion::{datetime_of, real_of, timespan_of};
use crate::functions::kernels::{ValueArg, text_of};
use crate::functions::{ArgInfo, ArgType, ColumnFn, Naming, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::calendar::{civil_from_days, date, day_of, days_from_civil, days_in_month, start_of_day, weekday};
use kqlake_value::{
    self as value, TICKS_PER_DAY as DAY, TICKS_PER_SECOND as SECOND, TICKS_PER_US, Type, UNIX_EPOCH_TICKS, Value, ValueRef,
};

const INT: Returns = Returns::Type(Type::Int);
const DATETIME: Returns = Returns::Type(Type::DateTime);
const DATE: &[Param] = &[Param::req("date", ArgType::DateTime)];
const DATE_OFFSET: &[Param] = &[Param::req("date", ArgType::DateTime), Param::opt("offset", ArgType::Integer)];
const PART: Param = Param::req("part", ArgType::String).constant();
const NUMBER: &[Param] = &[Param::req("number", ArgType::Number)];

/// A part of a datetime as an int.
macro_rules! part {
    ($name:literal, $unit:expr, $doc:literal) => {
        ScalarFn::new($name, DATE, INT, ScalarImpl::Kernel(|args, _| by_date(&args[0], 0, $unit)), $doc)
    };
}

/// A start or an end of a unit.
macro_rules! edge {
    ($name:literal, $edge:expr, $doc:literal) => {
        ScalarFn::new($name, DATE_OFFSET, DATETIME, ScalarImpl::Kernel(|args, _| edge_kernel(args, $edge)), $doc)
    };
}

/// A datetime from a number of units since 1970.
macro_rules! unix {
    ($name:literal, $per_unit:expr, $doc:literal) => {
        ScalarFn::new($name, NUMBER, DATETIME, ScalarImpl::Row(|args| from_unix(args, $per_unit)), $doc)
    };
}

/// The functions of this family.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    part!("getyear", Unit::Year, "The year."),
    part!("monthofyear", Unit::Month, "The month, from 1.").aliases(&["getmonth"]),
    part!("dayofmonth", Unit::Day, "The day of the month, from 1."),
    part!("dayofyear", Unit::DayOfYear, "The day of the year, from 1."),
    part!("hourofday", Unit::Hour, "The hour, from 0."),
    part!("week_of_year", Unit::Week, "The week of the year by ISO 8601."),
    part!("weekofyear", Unit::SundayWeek, "The week of the year, from Sunday; the first one has the first Wednesday."),
    ScalarFn::new(
        "dayofweek",
        DATE,
        Returns::Type(Type::TimeSpan),
        ScalarImpl::Kernel(day_of_week),
        "The days since the last Sunday, as a timespan; null for the calendar's last day.",
    ),
    ScalarFn::new(
        "datetime_part",
        &[PART, Param::req("datetime", ArgType::DateTime)],
        INT,
        ScalarImpl::Kernel(datetime_part),
        "A part of a datetime by name.",
    )
    .aliases(&["datepart"]),
    edge!("startofday", PeriodEdge::Start(Unit::Day), "The start of the day, some days later.").naming(Naming::FirstArg),
    edge!("startofweek", PeriodEdge::Start(Unit::Week), "The start of the week, some weeks later."),
    edge!("startofmonth", PeriodEdge::Start(Unit::Month), "The start of the month, some months later."),
    edge!("startofyear", PeriodEdge::Start(Unit::Year), "The start of the year, some years later."),
    edge!("endofday", PeriodEdge::End(Unit::Day), "The end of the day, some days later."),
    edge!("endofweek", PeriodEdge::End(Unit::Week), "The end of the week, some weeks later."),
    edge!("endofmonth", PeriodEdge::End(Unit::Month), "The end of the month, some months later."),
    edge!("endofyear", PeriodEdge::End(Unit::Year), "The end of the year, some years later."),
    ScalarFn::new(
        "datetime_add",
        &[PART, Param::req("value", ArgType::Integer), Param::req("datetime", ArgType::DateTime)],
        DATETIME,
        ScalarImpl::Kernel(datetime_add),
        "A datetime some units later; a day that the month does not have becomes its last one.",
    ),
    ScalarFn::new(
        "datetime_diff",
        &[PART, Param::req("datetime1", ArgType::DateTime), Param::req("datetime2", ArgType::DateTime)],
        // Microsoft's engine gives weeks as a real.
        Returns::With(|args| {
            Ok(if constant_unit(&args[0], UnitUse::Distance).ok() == Some(Unit::Week) { Type::Real } else { Type::Long })
        }),
        ScalarImpl::Kernel(datetime_diff),
        "The number of boundaries of a unit between two datetimes, the first minus the second.",
    )
    .shown(|_| Some(Type::Long)),
    ScalarFn::new(
        "make_datetime",
        &[
            Param::req("year", ArgType::Any),
            Param::opt("month", ArgType::Number),
            Param::opt("day", ArgType::Number),
            Param::opt("hour", ArgType::Number),
            Param::opt("minute", ArgType::Number),
            Param::opt("second", ArgType::Number),
        ],
        Returns::With(|args| match args {
            [_] => Ok(Type::DateTime),
            [_, _] => Err("it takes one argument, or three to six".into()),
            [year, ..] if year.ty.is_numeric() => Ok(Type::DateTime),
            [year, ..] => Err(format!("a year is a number and no {}", year.ty)),
            [] => Err("it takes one argument, or three to six".into()),
        }),
        ScalarImpl::Row(make_datetime),
        "A datetime from its parts; null if the calendar does not have it.",
    )
    // It lends a name only as a conversion.
    .naming_of_several(Naming::Generated)
    .naming(Naming::FirstArg),
    ScalarFn::new(
        "make_timespan",
        &[
            Param::req("days", ArgType::Any),
            Param::opt("hours", ArgType::Number),
            Param::opt("minutes", ArgType::Number),
            Param::opt("seconds", ArgType::Number),
        ],
        Returns::With(|args| match args {
            [_] => Ok(Type::TimeSpan),
            [first, ..] if first.ty.is_numeric() => Ok(Type::TimeSpan),
            _ => Err("days and hours are numbers".into()),
        }),
        ScalarImpl::Row(make_timespan),
        "A timespan from its parts: hours and minutes, with seconds behind or days before them.",
    )
    // It lends a name only as a conversion.
    .naming_of_several(Naming::Generated)
    .naming(Naming::FirstArg),
    unix!("unixtime_seconds_todatetime", 1e7, "The datetime so many seconds after 1970."),
    unix!("unixtime_milliseconds_todatetime", 1e4, "The datetime so many milliseconds after 1970."),
    unix!("unixtime_microseconds_todatetime", 10.0, "The datetime so many microseconds after 1970."),
    unix!("unixtime_nanoseconds_todatetime", 1e-2, "The datetime so many nanoseconds after 1970."),
];

/// A unit of the calendar or the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Year,
    Quarter,
    Month,
    Week,
    /// Weeks from Sunday to Saturday, numbered in the year of their Wednesday. Only a part, no distance.
    SundayWeek,
    Day,
    DayOfYear,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    Nanosecond,
}

impl Unit {
    /// The unit of a name; parts of a datetime have other names for two of them than distances have for weeks.
    fn parse(name: &str, use_of: UnitUse) -> Option<Unit> {
        Some(match name.to_ascii_lowercase().as_str() {
            "year" => Unit::Year,
            "quarter" => Unit::Quarter,
            "month" => Unit::Month,
            "week" if use_of == UnitUse::Distance => Unit::Week,
            "week_of_year" if use_of == UnitUse::Part => Unit::Week,
            "day" => Unit::Day,
            "dayofyear" if use_of == UnitUse::Part => Unit::DayOfYear,
            "hour" => Unit::Hour,
            "minute" => Unit::Minute,
            "second" => Unit::Second,
            "millisecond" => Unit::Millisecond,
            "microsecond" => Unit::Microsecond,
            "nanosecond" => Unit::Nanosecond,
            _ => return None,
        })
    }

    /// Ticks, for units of one or more that always have the same.
    fn ticks(self) -> Option<i64> {
        Some(match self {
            Unit::Week => 7 * DAY,
            Unit::Day => DAY,
            Unit::Hour => 3600 * SECOND,
            Unit::Minute => 60 * SECOND,
            Unit::Second => SECOND,
            Unit::Millisecond => 10_000,
            Unit::Microsecond => TICKS_PER_US,
            Unit::Year | Unit::Quarter | Unit::Month | Unit::SundayWeek | Unit::DayOfYear | Unit::Nanosecond => return None,
        })
    }

    /// Months, for units of the calendar.
    fn months(self) -> Option<i64> {
        match self {
            Unit::Year => Some(12),
            Unit::Quarter => Some(3),
            Unit::Month => Some(1),
            _ => None,
        }
    }
}

/// What a unit is named for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UnitUse {
    /// `datetime_part`
    Part,
    /// `datetime_add`, `datetime_diff`
    Distance,
}

/// The first argument's unit.
fn constant_unit(arg: &ArgInfo, use_of: UnitUse) -> Result<Unit, String> {
    let name = arg.constant.as_ref().map(text_of).ok_or("the part must be a constant")?;
    Unit::parse(&name, use_of).ok_or_else(|| {
        let days = if use_of == UnitUse::Part { "week_of_year, day, dayofyear" } else { "week, day" };
        format!(
            "there is no part '{name}': use year, quarter, month, {days}, hour, minute, second, millisecond, microsecond or nanosecond"
        )
    })
}

/// Year, month and day, and the ticks of the day.
fn civil(ticks: i64) -> (i64, u32, u32, i64) {
    let (year, month, day) = civil_from_days(day_of(ticks));
    (year, month, day, ticks.rem_euclid(DAY))
}

/// ISO 8601: a week belongs to the year of its Thursday, weeks start on Mondays.
fn iso_week(day: i64) -> i64 {
    let thursday = day - weekday(day - 1) + 3;
    let (year, _, _) = civil_from_days(thursday);
    (thursday - days_from_civil(year, 1, 1)) / 7 + 1
}

/// The week of the year by the rule of the obsolete weekofyear().
fn sunday_week(day: i64) -> i64 {
    let wednesday = day - weekday(day) + 3;
    let (year, _, _) = civil_from_days(wednesday);
    (wednesday - days_from_civil(year, 1, 1)) / 7 + 1
}

/// A part as a number.
fn part_of(ticks: i64, unit: Unit) -> i64 {
    let (day, rest) = (day_of(ticks), ticks.rem_euclid(DAY));
    match unit {
        Unit::Hour => rest / (3600 * SECOND),
        Unit::Minute => rest / (60 * SECOND) % 60,
        Unit::Second => rest / SECOND % 60,
        Unit::Millisecond => rest % SECOND / 10_000,
        Unit::Microsecond => rest % SECOND / TICKS_PER_US,
        Unit::Nanosecond => rest % SECOND * 100,
        Unit::Week => iso_week(day),
        Unit::SundayWeek => sunday_week(day),
        _ => {
            let (year, month, day_of_month) = civil_from_days(day);
            match unit {
                Unit::Year => year,
                Unit::Quarter => (i64::from(month) + 2) / 3,
                Unit::Month => month.into(),
                Unit::Day => day_of_month.into(),
                _ => day - days_from_civil(year, 1, 1) + 1,
            }
        }
    }
}

fn datetime_part(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    by_date(&args[1], 1, constant_unit(&args[0], UnitUse::Part)?)
}

/// A part of the argument at a place.
fn by_date(date: &ArgInfo, place: usize, unit: Unit) -> Result<ColumnFn, String> {
    let date = ValueArg::new(date);
    Ok(Box::new(move |arrays, rows| {
        let dates = date.open(&arrays[place])?;
        let part = |row: usize| match dates.get(row) {
            ValueRef::DateTime(ticks) => Some(part_of(ticks, unit) as i32),
            _ => None,
        };
        Ok(Arc::new((0..rows).map(part).collect::<Int32Array>()))
    }))
}

fn day_of_week(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    let date = ValueArg::new(&args[0]);
    Ok(Box::new(move |arrays, rows| {
        let dates = date.open(&arrays[0])?;
        let days = |row: usize| match dates.get(row) {
            // Microsoft's engine counts from the day after, since its first day is a Monday: the last day has none.
            ValueRef::DateTime(ticks) => value::datetime(ticks.checked_add(DAY)?).map(|_| weekday(day_of(ticks)) * DAY),
            _ => None,
        };
        Ok(Arc::new((0..rows).map(days).collect::<Int64Array>()))
    }))
}

/// A start, or the last tick before the next start.
#[derive(Debug, Clone, Copy)]
enum PeriodEdge {
    Start(Unit),
    End(Unit),
}

/// The start of the unit that holds a datetime, some units later.
fn start(ticks: i64, unit: Unit, offset: i64) -> Option<i64> {
    match unit {
        Unit::Month | Unit::Year => {
            let (year, month, ..) = civil(ticks);
            let months = year * 12 + i64::from(month) - 1;
            let first =
                if unit == Unit::Year { year.checked_add(offset)?.checked_mul(12)? } else { months.checked_add(offset)? };
            // Some way outside of the calendar the algorithm still holds; far outside it would overflow.
            let year = Some(first.div_euclid(12)).filter(|y| (-1..=10_001).contains(y))?;
            start_of_day(days_from_civil(year, first.rem_euclid(12) as u32 + 1, 1))
        }
        _ => {
            let day = day_of(ticks);
            let (first, length) = if unit == Unit::Week { (day - weekday(day), 7) } else { (day, 1) };
            start_of_day(first.checked_add(offset.checked_mul(length)?)?)
        }
    }
}

fn edge_of(ticks: i64, edge: PeriodEdge, offset: i64) -> Option<i64> {
    value::datetime(match edge {
        PeriodEdge::Start(unit) => start(ticks, unit, offset)?,
        PeriodEdge::End(unit) => start(ticks, unit, offset.checked_add(1)?)? - 1,
    })
}

fn edge_kernel(args: &[ArgInfo], edge: PeriodEdge) -> Result<ColumnFn, String> {
    let date = ValueArg::new(&args[0]);
    let offset = args.get(1).map(ValueArg::new);
    Ok(Box::new(move |arrays, rows| {
        let dates = date.open(&arrays[0])?;
        let offsets = offset.as_ref().map(|o| o.open(&arrays[1])).transpose()?;
        let (PeriodEdge::Start(unit) | PeriodEdge::End(unit)) = edge;
        // Rows that follow one another are mostly of one period, and an edge is that of all of its instants.
        let mut last: Option<(Range<i64>, i64, Option<i64>)> = None;
        let edges = (0..rows).map(|row| {
            let ValueRef::DateTime(ticks) = dates.get(row) else { return None };
            let offset = offsets.as_ref().map_or(Some(0), |o| o.get(row).as_i64())?;
            match &last {
                Some((period, of, known)) if *of == offset && period.contains(&ticks) => *known,
                _ => {
                    let found = edge_of(ticks, edge, offset);
                    let period = start(ticks, unit, 0).zip(start(ticks, unit, 1));
                    last = period.map(|(begin, end)| (begin..end, offset, found));
                    found
                }
            }
        });
        Ok(Arc::new(edges.collect::<Int64Array>()))
    }))
}

/// A datetime some units later.
fn add(ticks: i64, unit: Unit, amount: i64) -> Option<i64> {
    if let Some(months) = unit.months() {
        let (year, month, day, rest) = civil(ticks);
        let total = (year * 12 + i64::from(month) - 1).checked_add(amount.checked_mul(months)?)?;
        let (year, month) = (total.div_euclid(12), total.rem_euclid(12) + 1);
        return value::datetime(date(year, month, i64::from(day).min(days_in_month(year, month)))? + rest);
    }
    let away = match unit.ticks() {
        Some(unit) => amount.checked_mul(unit)?,
        // A nanosecond is less than a tick.
        None => amount.div_euclid(100),
    };
    value::datetime(ticks.checked_add(away)?)
}

fn datetime_add(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    let unit = constant_unit(&args[0], UnitUse::Distance)?;
    let (amount, date) = (ValueArg::new(&args[1]), ValueArg::new(&args[2]));
    Ok(Box::new(move |arrays, rows| {
        let (amounts, dates) = (amount.open(&arrays[1])?, date.open(&arrays[2])?);
        let sums = (0..rows).map(|row| match (amounts.get(row).as_i64(), dates.get(row)) {
            (Some(amount), ValueRef::DateTime(ticks)) => add(ticks, unit, amount),
            _ => None,
        });
        Ok(Arc::new(sums.collect::<Int64Array>()))
    }))
}

/// The number of the unit that holds a datetime, so that differences count boundaries.
fn unit_number(ticks: i64, unit: Unit) -> i64 {
    match unit {
        // Weeks start on Sundays: the first day of 1970 was a Thursday.
        Unit::Week => (day_of(ticks) + 4).div_euclid(7),
        _ => match (unit.months(), unit.ticks()) {
            (Some(months), _) => {
                let (year, month, ..) = civil(ticks);
                (year * 12 + i64::from(month) - 1).div_euclid(months)
            }
            (None, length) => ticks.div_euclid(length.unwrap_or(1)),
        },
    }
}

fn difference(a: i64, b: i64, unit: Unit) -> i64 {
    match unit {
        Unit::Nanosecond => a.saturating_sub(b).saturating_mul(100),
        _ => unit_number(a, unit) - unit_number(b, unit),
    }
}

fn datetime_diff(args: &[ArgInfo], returns: Type) -> Result<ColumnFn, String> {
    let unit = constant_unit(&args[0], UnitUse::Distance)?;
    let (a, b) = (ValueArg::new(&args[1]), ValueArg::new(&args[2]));
    Ok(Box::new(move |arrays, rows| {
        let (a, b) = (a.open(&arrays[1])?, b.open(&arrays[2])?);
        let differences = (0..rows).map(|row| match (a.get(row), b.get(row)) {
            (ValueRef::DateTime(a), ValueRef::DateTime(b)) => Some(difference(a, b, unit)),
            _ => None,
        });
        Ok(match returns {
            Type::Real => Arc::new(differences.map(|d| d.map(|d| d as f64)).collect::<Float64Array>()),
            _ => Arc::new(differences.collect::<Int64Array>()),
        })
    }))
}

/// A whole number; a real is truncated.
fn whole(value: ValueRef<'_>) -> Option<i64> {
    super::conversion::long_of(value)
}

fn make_datetime(args: &[ValueRef<'_>]) -> Value {
    let made = || -> Option<i64> {
        let [year, rest @ ..] = args else { return None };
        if rest.is_empty() {
            return datetime_of(*year);
        }
        let number = |place: usize, default: i64| rest.get(place).map_or(Some(default), |v| whole(*v));
        let (month, day, hour, minute) = (number(0, 1)?, number(1, 1)?, number(2, 0)?, number(3, 0)?);
        let seconds = rest.get(4).map_or(Some(0.0), |v| real_of(*v))?;
        if !(0..24).contains(&hour) || !(0..60).contains(&minute) || !(0.0..60.0).contains(&seconds) {
            return None;
        }
        // What rounds up to a whole minute stays below it.
        let ticks = (seconds * 1e7).round().min(599_999_999.0) as i64;
        value::datetime(date(whole(*year)?, month, day)? + (hour * 3600 + minute * 60) * SECOND + ticks)
    };
    made().map_or(Value::Null, Value::DateTime)
}

fn make_timespan(args: &[ValueRef<'_>]) -> Value {
    let made = || -> Option<i64> {
        let (days, hours, minutes, seconds) = match args {
            [value] => return timespan_of(*value),
            [h, m] => (0, whole(*h)?, whole(*m)?, 0.0),
            [h, m, s] => (0, whole(*h)?, whole(*m)?, real_of(*s)?),
            [d, h, m, s] => (whole(*d)?, whole(*h)?, whole(*m)?, real_of(*s)?),
            _ => return None,
        };
        if !(0..24).contains(&hours) || !(0..60).contains(&minutes) || !(0.0..60.0).contains(&seconds) {
            return None;
        }
        let clock = (hours * 3600 + minutes * 60) * SECOND + (seconds * 1e7).round() as i64;
        days.checked_mul(DAY)?.checked_add(clock)
    };
    made().map_or(Value::Null, Value::TimeSpan)
}

/// `per_unit` is the number of ticks of a unit.
fn from_unix(args: &[ValueRef<'_>], per_unit: f64) -> Value {
    let ticks = match args.first() {
        Some(ValueRef::Real(v)) => {
            let ticks = v * per_unit;
            (ticks.abs() < 9e18).then_some(ticks.floor() as i64)
        }
        Some(other) => whole(*other).and_then(|v| {
            if per_unit < 1.0 { Some(v.div_euclid((1.0 / per_unit).round() as i64)) } else { v.checked_mul(per_unit as i64) }
        }),
        None => None,
    };
    let since_1970 = |ticks: i64| value::datetime(ticks.checked_add(UNIX_EPOCH_TICKS)?);
    ticks.and_then(since_1970).map_or(Value::Null, Value::DateTime)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, AsArray};
    use arrow::datatypes::Int64Type;
    use kqlake_value::format;
    use kqlake_value::parse::datetime;

    fn t(text: &str) -> i64 {
        datetime(text).unwrap()
    }

    fn shown(ticks: Option<i64>) -> String {
        ticks.map_or("null".into(), |ticks| format::to_string(ValueRef::DateTime(ticks)).trim_end_matches('Z').to_owned())
    }

    #[test]
    fn starts_and_ends() {
        for (text, edge, offset, want) in [
            ("2020-06-15T13:45", PeriodEdge::Start(Unit::Week), 0, "2020-06-14T00:00:00.000000"),
            ("2020-06-14", PeriodEdge::Start(Unit::Week), -2, "2020-05-31T00:00:00.000000"),
            ("2020-06-15T13:45", PeriodEdge::End(Unit::Week), 2, "2020-07-04T23:59:59.9999999"),
            ("2020-01-31", PeriodEdge::End(Unit::Month), 13, "2021-02-28T23:59:59.9999999"),
            ("2020-06-15", PeriodEdge::Start(Unit::Month), -13, "2019-05-01T00:00:00.000000"),
            ("2020-06-15", PeriodEdge::Start(Unit::Year), -5, "2015-01-01T00:00:00.000000"),
            ("9999-12-31", PeriodEdge::End(Unit::Year), 0, "9999-12-31T23:59:59.9999999"),
            ("9999-12-31", PeriodEdge::Start(Unit::Year), 1, "null"),
            ("0001-01-02", PeriodEdge::Start(Unit::Day), -1, "0001-01-01T00:00:00.000000"),
            ("0001-01-02", PeriodEdge::Start(Unit::Day), i64::MIN, "null"),
            ("0001-01-02", PeriodEdge::End(Unit::Month), i64::MAX, "null"),
        ] {
            assert_eq!(
                shown(edge_of(t(text), edge, offset)).trim_end_matches('0'),
                want.trim_end_matches('0'),
                "{text} {edge:?} {offset}"
            );
        }
    }

    #[test]
    fn a_column_has_the_edges_of_its_rows() {
        let info = |ty| ArgInfo { ty, constant: None };
        let texts = [
            "2026-01-31T23:59:59.9999999Z",
            "2026-02-01",
            "2026-02-28T12:00:00Z",
            "2026-02-01T00:00:00Z",
            "2026-03-01",
            "2026-02-28",
            "9999-12-31T23:00:00Z",
            "9999-12-01",
            "0001-01-01T05:00:00Z",
            "2025-12-31",
            "2026-01-03T10:00:00Z",
            "2026-01-04T10:00:00Z",
        ];
        let dates: Vec<i64> = texts.into_iter().map(t).collect();
        let offsets: Vec<i64> = (0..dates.len() as i64).map(|row| row % 5 / 2 - 1).collect();
        let arrays: [ArrayRef; 2] = [Arc::new(Int64Array::from(dates.clone())), Arc::new(Int64Array::from(offsets.clone()))];
        for unit in [Unit::Day, Unit::Week, Unit::Month, Unit::Year] {
            for edge in [PeriodEdge::Start(unit), PeriodEdge::End(unit)] {
                for given in 1..=2 {
                    let kernel = edge_kernel(&[info(Type::DateTime), info(Type::Long)][..given], edge).unwrap();
                    let wanted = dates.iter().zip(&offsets);
                    let wanted = wanted.map(|(date, offset)| edge_of(*date, edge, if given == 2 { *offset } else { 0 }));
                    let found = kernel(&arrays[..given], dates.len()).unwrap();
                    assert_eq!(found.as_primitive::<Int64Type>(), &wanted.collect::<Int64Array>(), "{edge:?} {given}");
                }
            }
        }
    }

    #[test]
    fn sums_and_differences() {
        for (unit, amount, text, want) in [
            (Unit::Year, 1, "2020-02-29", Some("2021-02-28")),
            (Unit::Month, 1, "2020-01-31", Some("2020-02-29")),
            (Unit::Quarter, -5, "2020-05-31", Some("2019-02-28")),
            (Unit::Week, -53, "2021-03-15T12:00", Some("2020-03-09T12:00")),
            (Unit::Day, -1, "0001-01-01T12:00", None),
            (Unit::Second, -90061, "2020-01-01", Some("2019-12-30T22:58:59")),
            (Unit::Year, i64::MAX, "2020-01-01", None),
        ] {
            assert_eq!(add(t(text), unit, amount), want.map(t), "{text} {amount}");
        }
        for (unit, a, b, want) in [
            (Unit::Year, "2017-01-01", "2000-12-31", 17),
            (Unit::Quarter, "2017-07-01", "2017-03-30", 2),
            (Unit::Month, "2017-01-01", "2015-12-30", 13),
            (Unit::Week, "2017-10-29", "2017-09-30T23:59", 5),
            (Unit::Day, "2017-10-29", "2017-09-30T23:59", 29),
            (Unit::Second, "2017-10-30T23:00:10.100", "2017-10-30T23:00:00.900", 10),
            (Unit::Minute, "2020-01-01", "2020-01-01T13:45", -825),
        ] {
            assert_eq!(difference(t(a), t(b), unit), want, "{a} {b}");
        }
    }

    #[test]
    fn parts() {
        for (text, week) in
            [("2016-01-01", 53), ("2017-01-01", 52), ("2021-01-03", 53), ("2018-12-31", 1), ("0001-01-01", 1), ("9999-12-31", 52)]
        {
            assert_eq!(part_of(t(text), Unit::Week), week, "{text}");
        }
        for (text, week) in [("2020-12-31", 53), ("2021-01-02", 53), ("2021-01-03", 1), ("2030-12-31", 1), ("2020-06-15", 25)] {
            assert_eq!(part_of(t(text), Unit::SundayWeek), week, "{text}");
        }
        let instant = t("2017-10-30T01:02:03.7654321");
        let parts =
            [Unit::Quarter, Unit::DayOfYear, Unit::Hour, Unit::Second, Unit::Millisecond, Unit::Microsecond, Unit::Nanosecond]
                .map(|u| part_of(instant, u));
        assert_eq!(parts, [4, 303, 1, 3, 765, 765_432, 765_432_100]);
    }

    #[test]
    fn made_from_numbers() {
        let long = ValueRef::Long;
        let made = make_datetime(&[long(2020), long(2), long(29), long(23), long(59), ValueRef::Real(59.999_999_9)]);
        assert_eq!(made, Value::DateTime(t("2020-02-29T23:59:59.9999999")));
        assert_eq!(make_datetime(&[long(2021), long(2), long(29)]), Value::Null);
        assert_eq!(make_timespan(&[long(1), long(12), long(30), ValueRef::Real(55.123)]), Value::TimeSpan(1_314_551_230_000));
        assert_eq!(make_timespan(&[long(24), long(0)]), Value::Null);
        assert_eq!(from_unix(&[long(1_546_300_800)], 1e7), Value::DateTime(t("2019-01-01")));
        assert_eq!(from_unix(&[long(1_546_300_800_000_000_000)], 1e-2), Value::DateTime(t("2019-01-01")));
        assert_eq!(from_unix(&[long(i64::MAX)], 1e7), Value::Null);
    }
}
