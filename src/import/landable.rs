//! What a row must be to land: with it, no single record can end an import.

use std::collections::HashMap;

use super::convert::TIMES;
use super::row::{Cell, Row};
use kqlake_value::json::MAX_DEPTH;
use kqlake_value::json::too_deep;

/// How many times its own text a record may take in the rows that it gives, where they are larger than [`ROOMY`].
const MAX_COPIES: usize = 64;
/// Bytes that the rows of a record may always take.
const ROOMY: usize = 64 << 20;

/// Checks rows before they are handed to their tables; remembers what tables ask for.
#[derive(Default)]
pub(crate) struct Landable {
    /// By table: the columns of its time and key, which no row may lack.
    required: HashMap<&'static str, Vec<(usize, &'static str)>>,
}

impl Landable {
    /// The rows of a record of so many bytes, when every one of them can land.
    ///
    /// # Errors
    /// Why the record is refused.
    pub(crate) fn check<'r>(&mut self, rows: Vec<Row<'r>>, bytes: usize) -> Result<Vec<Row<'r>>, String> {
        let mut sum = 0;
        for row in &rows {
            if let Some(column) = self.missing(row) {
                return Err(format!("the record gives a row of {} without a value in {column}", row.table.name));
            }
            for (place, cell) in row.cells.iter().enumerate() {
                match cell {
                    // A text may have had JSON inside that its record's own depth does not show.
                    Cell::Json(json) if row.bag(place).is_none() && too_deep(json) => return Err(deep()),
                    Cell::Time(time) if !TIMES.contains(time) => {
                        return Err("the record has a time outside of the years 1 to 9999".into());
                    }
                    Cell::Json(text) | Cell::Text(text) => sum += text.len(),
                    _ => {}
                }
            }
        }
        // Each of the rows may carry the whole record.
        if sum > ROOMY && sum / MAX_COPIES > bytes {
            return Err(format!("the record of {bytes} bytes would become {} rows of {sum} bytes", rows.len()));
        }
        if rows.is_empty() { Err("the record gave no row".into()) } else { Ok(rows) }
    }

    /// A column of the table's time and key that a row has no value in.
    fn missing(&mut self, row: &Row<'_>) -> Option<&'static str> {
        let required = self.required.entry(row.table.name).or_insert_with(|| {
            let names = row.table.key.iter().chain([&row.table.time]);
            names.filter_map(|name| Some((row.table.index_of(name)?, *name))).collect()
        });
        required.iter().find(|(place, _)| row.cells.get(*place).is_none_or(Cell::is_null)).map(|(_, name)| *name)
    }
}

/// Why a record is refused that is nested too deep.
pub(crate) fn deep() -> String {
    format!("the record is nested deeper than {MAX_DEPTH} levels")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use kqlake_lake::tables;

    #[test]
    fn a_row_of_any_table_needs_its_key_and_a_time_of_the_calendar() {
        let mut landable = Landable::default();
        for table in tables::all().filter(|table| table.name != "ImportLedger") {
            let mut row = Row::new(table);
            let names: BTreeSet<_> = table.key.iter().chain([&table.time]).collect();
            for name in names {
                let error = landable.check(vec![row.clone()], 10).unwrap_err();
                assert!(error.contains(table.name) && error.contains("without a value in"), "{error}");
                let is_time = table.columns[table.index_of(name).unwrap()].ty == kqlake_value::Type::DateTime;
                row.set(name, if is_time { Cell::Time(0) } else { Cell::text("x") });
            }
            assert_eq!(landable.check(vec![row.clone()], 10).map(|rows| rows.len()), Ok(1), "{}", table.name);
            for time in [TIMES.start() - 1, TIMES.end() + 1] {
                row.set(table.time, Cell::Time(time));
                assert!(landable.check(vec![row.clone()], 10).unwrap_err().contains("years 1 to 9999"));
            }
        }
        assert!(landable.check(Vec::new(), 10).unwrap_err().contains("no row"));
    }

    #[test]
    fn a_record_does_not_become_many_times_its_size() {
        let table = tables::find("MessageTraceDetail").unwrap();
        let mut row = Row::new(table);
        row.set("dateTime", Cell::Time(0));
        row.set("rowKey", Cell::text("k"));
        let raw = "x".repeat(1 << 20);
        let rows = |count| {
            vec![row.clone(); count].into_iter().map(|mut row| {
                row.set("description", Cell::Text(raw.as_str().into()));
                row
            })
        };
        let mut landable = Landable::default();
        assert!(landable.check(rows(63).collect(), raw.len()).is_ok());
        let error = landable.check(rows(200).collect(), raw.len()).unwrap_err();
        assert!(error.contains("would become 200 rows"), "{error}");
    }
}
