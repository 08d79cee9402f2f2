//! Time zones of the IANA database: `datetime_utc_to_local` and `datetime_local_to_utc`.
//!
//! A local time that a change of the clocks skips or repeats is read with the offset that holds after the change.

use std::str::FromStr as _;

use chrono::{DateTime, Duration, NaiveDateTime, Offset as _, TimeZone as _};
use chrono_tz::Tz;

use crate::functions::kernels::{ValueArg, text_of, text_of_ref};
use crate::functions::{ArgInfo, ArgType, ColumnFn, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::{self as value, Json, TICKS_PER_SECOND, Type, Value, ValueRef, us_of_datetime};

const PARAMS: &[Param] = &[Param::req("from", ArgType::DateTime), Param::req("timezone", ArgType::StringOrDynamic)];

/// The functions of this family.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "datetime_utc_to_local",
        PARAMS,
        Returns::Type(Type::DateTime),
        ScalarImpl::Kernel(|args, _| convert(args, to_local)),
        "A UTC time as local time of a time zone.",
    ),
    ScalarFn::new(
        "datetime_local_to_utc",
        PARAMS,
        Returns::Type(Type::DateTime),
        ScalarImpl::Kernel(|args, _| convert(args, to_utc)),
        "A local time of a time zone as UTC.",
    ),
    ScalarFn::new(
        "datetime_list_timezones",
        &[],
        Returns::Type(Type::Dynamic),
        ScalarImpl::Row(|_| zones()),
        "The names of all time zones.",
    ),
];

fn zones() -> Value {
    Value::Dynamic(chrono_tz::TZ_VARIANTS.iter().map(|zone| Json::from(zone.name())).collect())
}

fn naive(ticks: i64) -> Option<NaiveDateTime> {
    Some(DateTime::from_timestamp_micros(us_of_datetime(ticks))?.naive_utc())
}

fn to_local(ticks: i64, zone: Tz) -> Option<i64> {
    let offset = zone.offset_from_utc_datetime(&naive(ticks)?).fix().local_minus_utc();
    ticks.checked_add(i64::from(offset) * TICKS_PER_SECOND)
}

fn to_utc(ticks: i64, zone: Tz) -> Option<i64> {
    let local = naive(ticks)?;
    let found = zone.offset_from_local_datetime(&local);
    let offset = match found.latest() {
        Some(offset) => offset,
        // Skipped: the offset is that of the first hour that exists again.
        None => (1..=26).find_map(|hours| zone.offset_from_local_datetime(&(local + Duration::hours(hours))).latest())?,
    };
    ticks.checked_sub(i64::from(offset.fix().local_minus_utc()) * TICKS_PER_SECOND)
}

fn convert(args: &[ArgInfo], shift: fn(i64, Tz) -> Option<i64>) -> Result<ColumnFn, String> {
    use arrow::array::Int64Array;
    let constant = match &args[1].constant {
        Some(name) => {
            let name = text_of(name);
            Some(
                Tz::from_str(&name)
                    .map_err(|_| format!("there is no time zone '{name}'; print datetime_list_timezones() shows them all"))?,
            )
        }
        None => None,
    };
    let (date, zone) = (ValueArg::new(&args[0]), ValueArg::new(&args[1]));
    Ok(Box::new(move |arrays, rows| {
        let (dates, zones) = (date.open(&arrays[0])?, zone.open(&arrays[1])?);
        let shifted = (0..rows).map(|row| {
            let ValueRef::DateTime(ticks) = dates.get(row) else { return None };
            let zone = constant.or_else(|| Tz::from_str(&text_of_ref(zones.get(row))).ok())?;
            shift(ticks, zone).and_then(value::datetime)
        });
        Ok(std::sync::Arc::new(shifted.collect::<Int64Array>()))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kqlake_value::parse::datetime;

    #[test]
    fn there_and_back_and_around_changes_of_the_clocks() {
        let t = |text| datetime(text).unwrap();
        for (local, zone, utc) in [
            ("2020-02-02T20:02:20", "US/Pacific", "2020-02-03T04:02:20"),
            ("2020-02-02T20:02:20", "Europe/Paris", "2020-02-02T19:02:20"),
            ("2022-03-27T02:00", "Europe/Brussels", "2022-03-27T00:00"),
            ("2022-10-30T02:30", "Europe/Brussels", "2022-10-30T01:30"),
            ("2022-03-27T03:00", "Europe/Brussels", "2022-03-27T01:00"),
        ] {
            assert_eq!(to_utc(t(local), zone.parse().unwrap()), Some(t(utc)), "{local} {zone}");
        }
        assert_eq!(to_local(t("2022-03-27T00:00"), "Europe/Brussels".parse().unwrap()), Some(t("2022-03-27T01:00")));
    }
}
