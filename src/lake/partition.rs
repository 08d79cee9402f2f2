//! How a table's files are divided: by the month of their rows' time, or, in tables of the first form, by the day.

use kqlake_value::calendar::civil_from_days;

use crate::day::{day_from_text, day_text, has_text};
use crate::tables::{EVENT_DATE, EVENT_MONTH};

/// What the partition column of a table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Partitioning {
    /// The first day of the month, in `event_month`.
    Month,
    /// The day, in `event_date`: the first form, which compaction turns into months.
    Day,
}

impl Partitioning {
    /// The partitioning that partition columns stand for; `None` for others than ours.
    pub(crate) fn of_columns<S: AsRef<str>>(columns: &[S]) -> Option<Self> {
        match columns {
            [one] => [Self::Month, Self::Day].into_iter().find(|by| by.column() == one.as_ref()),
            _ => None,
        }
    }

    /// The partition column.
    pub(crate) fn column(self) -> &'static str {
        match self {
            Self::Month => EVENT_MONTH,
            Self::Day => EVENT_DATE,
        }
    }
}

/// The part of a table that a file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Partition {
    /// What the table is divided by.
    pub by: Partitioning,
    /// Its first day, in days since 1970.
    pub first: i32,
}

impl Partition {
    /// The partition of a day; `None` outside the years 1 to 9999.
    pub(crate) fn of(by: Partitioning, day: i32) -> Option<Self> {
        let first = match by {
            Partitioning::Month => month_of(day),
            Partitioning::Day => day,
        };
        has_text(day).then_some(Partition { by, first })
    }

    /// The partition that a partition column's text names.
    pub(crate) fn parse(by: Partitioning, text: &str) -> Option<Self> {
        day_from_text(text).map(|first| Partition { by, first })
    }

    /// Its text as the partition column has it, such as `2026-01-01`.
    pub(crate) fn text(self) -> String {
        // Both ways to make one end in a day with a text.
        day_text(self.first).unwrap_or_default()
    }

    /// The first day of its month.
    pub(crate) fn month(self) -> i32 {
        month_of(self.first)
    }

    /// Its last day.
    pub(crate) fn last(self) -> i32 {
        match self.by {
            Partitioning::Day => self.first,
            // 31 days after the first day of a month the next one has begun.
            Partitioning::Month => month_of(self.month().saturating_add(31)) - 1,
        }
    }
}

/// The first day of a day's month.
fn month_of(day: i32) -> i32 {
    let (.., in_month) = civil_from_days(i64::from(day));
    day.saturating_sub_unsigned(in_month - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_those_of_the_calendar() {
        let day = |text: &str| day_from_text(text).unwrap();
        for (of, first, last) in [
            ("2026-01-31", "2026-01-01", "2026-01-31"),
            ("2024-02-29", "2024-02-01", "2024-02-29"),
            ("2026-02-01", "2026-02-01", "2026-02-28"),
            ("1969-12-31", "1969-12-01", "1969-12-31"),
            ("0001-01-01", "0001-01-01", "0001-01-31"),
            ("9999-12-31", "9999-12-01", "9999-12-31"),
        ] {
            let month = Partition::of(Partitioning::Month, day(of)).unwrap();
            assert_eq!((month.text().as_str(), day_text(month.last()).as_deref()), (first, Some(last)), "{of}");
            assert_eq!(Partition::parse(Partitioning::Month, &month.text()), Some(month));
        }
        let date = Partition::of(Partitioning::Day, day("2026-01-05")).unwrap();
        assert_eq!((date.text().as_str(), date.last(), date.month()), ("2026-01-05", date.first, day("2026-01-01")));
        assert_eq!(Partition::of(Partitioning::Month, day("9999-12-31") + 1), None);
    }

    #[test]
    fn only_our_columns_divide_a_table() {
        assert_eq!(Partitioning::of_columns(&["event_month"]), Some(Partitioning::Month));
        assert_eq!(Partitioning::of_columns(&["event_date"]), Some(Partitioning::Day));
        assert_eq!(Partitioning::of_columns(&["event_month", "event_date"]), None);
        assert_eq!(Partitioning::of_columns::<&str>(&[]), None);
    }
}
