//! In which order the dates of a CSV file have day and month: decided once for the whole file, from all of it.

use crate::convert::{DateOrder, Evidence};

/// What the dates of a file say about their order.
#[derive(Debug, Default)]
pub(crate) struct Dates {
    /// The first value that can only have its month first.
    month_first: Option<Example>,
    /// The first value that can only have its day first.
    day_first: Option<Example>,
    /// True when a value has a form of writers that put the month first.
    month_form: bool,
    /// True when a value has a form of writers that put the day first.
    day_form: bool,
    /// The first value that could mean two days.
    open: Option<Example>,
}

#[derive(Debug)]
struct Example {
    text: String,
    line: u64,
}

impl std::fmt::Display for Example {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "'{}' in line {}", self.text, self.line)
    }
}

impl Dates {
    /// Takes a value of a column of dates into account; true when its meaning depends on the order.
    pub(super) fn see(&mut self, text: &str, line: u64) -> bool {
        let Some(evidence) = DateOrder::evidence(text) else { return false };
        let example = || Example { text: text.trim().chars().take(40).collect(), line };
        match evidence {
            Evidence::Numbers(DateOrder::MonthFirst) => {
                self.month_first.get_or_insert_with(example);
            }
            Evidence::Numbers(_) => {
                self.day_first.get_or_insert_with(example);
            }
            Evidence::Form(order) => {
                self.month_form |= order == DateOrder::MonthFirst;
                self.day_form |= order == DateOrder::DayFirst;
                self.open.get_or_insert_with(example);
            }
            Evidence::Open => {
                self.open.get_or_insert_with(example);
            }
        }
        true
    }

    /// The order of all dates: that of the values which allow one order only; else the `given` one; else that in which all
    /// writers of such forms have it.
    ///
    /// # Errors
    /// The values contradict each other, or nothing decides. The text says what to do.
    pub(crate) fn order(&self, given: DateOrder) -> Result<DateOrder, String> {
        match (&self.month_first, &self.day_first) {
            (Some(month), Some(day)) => Err(format!(
                "its dates are in two orders: {month} has the month first, {day} the day; give the parts of each order a file of their own"
            )),
            (Some(_), None) => Ok(DateOrder::MonthFirst),
            (None, Some(_)) => Ok(DateOrder::DayFirst),
            (None, None) if given != DateOrder::Unknown => Ok(given),
            (None, None) => match (self.month_form, self.day_form, &self.open) {
                (true, false, _) => Ok(DateOrder::MonthFirst),
                (false, true, _) => Ok(DateOrder::DayFirst),
                (_, _, Some(open)) => Err(format!(
                    "{open} could have the month or the day first, and no date of the file tells which; say it with --date-order month-first or --date-order day-first"
                )),
                (_, _, None) => Ok(DateOrder::Unknown),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_dates_of_a_file_decide_together() {
        use DateOrder::{DayFirst, MonthFirst, Unknown};
        let order = |texts: &[&str], given| {
            let mut dates = Dates::default();
            for (line, text) in texts.iter().enumerate() {
                dates.see(text, line as u64 + 2);
            }
            dates.order(given)
        };
        assert_eq!(order(&["02/03/2026 10:00", "02/13/2026 10:00"], Unknown), Ok(MonthFirst));
        assert_eq!(order(&["02/03/2026 10:00", "13/02/2026 10:00"], MonthFirst), Ok(DayFirst));
        assert_eq!(order(&["02/03/2026 10:00", "02/12/2026 10:00"], DayFirst), Ok(DayFirst));
        assert_eq!(order(&["2/3/2026 1:00 AM", "2/4/2026 10:00"], Unknown), Ok(MonthFirst));
        assert_eq!(order(&["2/3/2026 1:00 am"], Unknown), Ok(DayFirst));
        assert_eq!(order(&["2/3/2026 1:00 AM"], DayFirst), Ok(DayFirst));
        let error = order(&["2026-01-01", "02/03/2026 10:00", "02/12/2026"], Unknown).unwrap_err();
        assert!(error.contains("'02/03/2026 10:00' in line 3") && error.contains("--date-order"), "{error}");
        let error = order(&["13/02/2026", "02/13/2026"], MonthFirst).unwrap_err();
        assert!(error.contains("two orders") && error.contains("line 3"), "{error}");
        assert!(order(&["2/3/2026 1:00 AM", "2.3.2026"], Unknown).is_err());
    }
}
