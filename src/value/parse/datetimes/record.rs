//! Datetimes in records, as services and portals write them.

use super::iso::Iso;
use super::local::{DateOrder, loose_datetime};
use super::parts::{Clock, RECORD_CLOCK};
use crate::us_of_datetime;

/// Microseconds since 1970-01-01 UTC of a datetime text.
///
/// Read are ISO 8601 with any number of fraction digits with or without a zone (without one it is UTC, as the services mean it),
/// dates alone, the OData form `/Date(ms)/`, and the local forms of portals (`1/5/2026, 7:23:07.123 AM`).
/// Fractions finer than a microsecond are cut.
pub fn record(text: &str, order: DateOrder) -> Option<i64> {
    record_in(text, order, 0)
}

/// The same of a text whose zone, where it states none itself, is so many minutes east of UTC.
pub fn record_in(text: &str, order: DateOrder, east: i64) -> Option<i64> {
    let iso = Iso { month_alone: false, spaced: false, clock: Clock { unsaid: east, ..RECORD_CLOCK } };
    let text = text.trim();
    let loose = || loose_datetime(text, order, &iso.clock);
    let ticks = iso.ticks(text.as_bytes()).or_else(|| odata_date(text)).or_else(loose);
    ticks.and_then(crate::datetime).map(us_of_datetime)
}

/// Minutes east of UTC of a zone with a fixed offset: `UTC`, `GMT`, `Z`, `UTC+1`, `+01:00`; 0 of an empty text.
pub fn zone(text: &str) -> Option<i64> {
    RECORD_CLOCK.zone_minutes(text.trim().as_bytes())
}

/// `/Date(1767571813135)/`, with an optional offset that does not change the instant (OData version 2, verbose JSON).
fn odata_date(text: &str) -> Option<i64> {
    let inner = text.strip_prefix("/Date(")?.strip_suffix(")/")?;
    let end = inner.char_indices().skip(1).find(|(_, c)| matches!(c, '+' | '-')).map_or(inner.len(), |(i, _)| i);
    if end < inner.len() && RECORD_CLOCK.zone_ticks(&inner.as_bytes()[end..]).is_none() {
        return None;
    }
    inner[..end].parse::<i64>().ok()?.checked_mul(10_000)?.checked_add(crate::UNIX_EPOCH_TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Option<i64> {
        record(text, DateOrder::Unknown)
    }

    #[test]
    fn a_zone_is_for_texts_that_state_none() {
        let at = |text: &str| record_in(text, DateOrder::MonthFirst, 90);
        let nine = Some(1_767_603_600_000_000);
        for text in [
            "2026-01-05T10:30:00",
            "2026-01-05T10:30",
            "1/5/2026, 10:30:00 AM",
            "5 Jan 2026 10:30",
            "2026-01-05T09:00:00Z",
            "2026-01-05T10:00+01:00",
            "2026/01/05 09:00 UTC",
            "1/5/2026 9:00 AM GMT",
            "1/5/2026 8:00 AM -01:00",
            "2026/01/05 10:00 UTC+1",
            "2026-01-05 09:00:00 +0000 UTC",
            "/Date(1767603600000)/",
        ] {
            assert_eq!(at(text), nine, "{text}");
        }
        assert_eq!(at("2026-01-05"), Some(1_767_565_800_000_000));
        assert_eq!(at("0001-01-01T00:00:00"), None);
    }

    #[test]
    fn iso_forms_read_alike() {
        let expected = Some(1_767_597_787_123_456);
        assert_eq!(time("2026-01-05T07:23:07.1234567Z"), expected);
        assert_eq!(time("2026-01-05 07:23:07.123456"), expected);
        assert_eq!(time("2026-01-05T08:23:07.123456789+01:00"), expected);
        assert_eq!(time("2026-01-05T07:23:07"), Some(1_767_597_787_000_000));
        assert_eq!(time("2026-01-05T07:23Z"), Some(1_767_597_780_000_000));
        assert_eq!(time("2026-01-05"), Some(1_767_571_200_000_000));
        assert_eq!(time("0001-01-01T00:00:00Z"), Some(-62_135_596_800_000_000));
        assert_eq!(time("/Date(1767571813135)/"), Some(1_767_571_813_135_000));
        assert_eq!(time("9999-12-31T23:59:59.9999999Z"), Some(253_402_300_799_999_999));
        assert_eq!(time("2026-01-05T07:23:60,5Z"), Some(1_767_597_839_500_000));
        assert_eq!(time("2026-01-05T07:23.5 UTC+1"), Some(1_767_594_180_500_000));
        for outside in ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-01:00", "/Date(999999999999999)/"] {
            assert_eq!(time(outside), None, "{outside}");
        }
        assert_eq!(time("/Date(1767571813135-0800)/"), Some(1_767_571_813_135_000));
        for bad in ["-2026-01-05T08:00:00Z", "-0001-01-01T00:00:00Z", "+2026-01-05", "/Date(1767571813135+x)/"] {
            assert_eq!(time(bad), None, "{bad}");
        }
        for bad in ["2026-02-30", "2026-13-01T00:00:00Z", "2026-01-05T25:00:00Z", "yesterday", "", "20260105"] {
            assert_eq!(time(bad), None, "{bad}");
        }
    }
}
