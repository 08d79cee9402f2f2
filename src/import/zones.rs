//! The zone that the heading of a column of times names, as portals append it: `timestamp [UTC+01:00]`.

use kqlake_value::parse::datetimes::zone;

/// The columns of times whose heading names a fixed offset: the place of each, and its minutes east of UTC. Columns that name no
/// zone are UTC, like those that name UTC.
///
/// # Errors
/// A heading names another zone: what its times mean is unknown. The text says what to do.
pub(crate) fn of(columns: &[String], times: impl Iterator<Item = usize>) -> Result<Vec<(usize, i64)>, String> {
    let mut offsets = Vec::new();
    for place in times {
        let Some(column) = columns.get(place) else { continue };
        match named(column).map(zone) {
            None | Some(Some(0)) => {}
            Some(Some(east)) => offsets.push((place, east)),
            Some(None) => {
                return Err(format!(
                    "the times of its column '{column}' are of a zone without a fixed offset; export the file with times in UTC"
                ));
            }
        }
    }
    Ok(offsets)
}

/// What is in brackets behind a column's name.
fn named(column: &str) -> Option<&str> {
    let (open, shut) = if column.ends_with(']') { ('[', ']') } else { ('(', ')') };
    Some(column.split_once(open)?.1.strip_suffix(shut)?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_of_headings() {
        let of = |heading: &str| of(&["message".to_owned(), heading.to_owned()], [1].into_iter());
        for utc in
            ["timestamp", "timestamp [UTC]", "timestamp [utc]", "timestamp (UTC)", "timestamp [GMT]", "timestamp [UTC+00:00]"]
        {
            assert_eq!(of(utc), Ok(Vec::new()), "{utc}");
        }
        for (fixed, east) in [("[UTC+01:00]", 60), ("[UTC+1]", 60), ("[UTC-3:30]", -210), ("(UTC+5:45)", 345), ("[+02:00]", 120)]
        {
            assert_eq!(of(&format!("timestamp {fixed}")), Ok(vec![(1, east)]), "{fixed}");
        }
        for other in ["[Local Time]", "[CET]", "[UTC+15]", "[UTC+1:75]", "[Europe/Berlin]"] {
            let error = of(&format!("timestamp {other}")).unwrap_err();
            assert!(error.contains(other) && error.contains("export the file with times in UTC"), "{error}");
        }
    }
}
