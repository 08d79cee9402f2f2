//! Rows in the order of their time, of files that are in that order themselves.

use super::support::{csv_rows, run_in};

#[test]
fn the_first_rows_are_those_of_all_rows_in_order_however_the_files_are_grouped() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    // Two months twice over: each group of files has one of either, and goes on with its own.
    for (seed, month) in [("1", "01"), ("2", "02"), ("3", "01"), ("4", "02")] {
        let (file, start) = (format!("calls{seed}.json"), format!("2026-{month}-01"));
        let generate = ["generate", "calls", "--rows", "20", "--start", &start, "--days", "9", "--seed", seed, "-o", &file];
        run_in(dir.path(), &generate).exits(0);
        run_in(dir.path(), &["--lake", "lake", "-q", "import", "--from", &file]).exits(0);
    }
    let rows = |command: &str, text: &str| {
        ["1", "2", "3"].map(|threads| {
            csv_rows(&run_in(dir.path(), &["--lake", "lake", "--threads", threads, command, "-f", "csv", text]).exits(0).out)
        })
    };
    for (table, time) in [("CallRecords", "startDateTime"), ("CallSegments", "startDateTime")] {
        let [all, ..] = rows("query", &format!("{table} | sort by {time} asc | project {time}"));
        assert!(all.len() > 40, "{all:?}");
        for count in [1, 5, 30] {
            for (command, text) in [
                ("query", format!("{table} | top {count} by {time} asc | project {time}")),
                ("query", format!("{table} | sort by {time} asc | take {count} | project {time}")),
                ("query", format!("{table} | where {time} > datetime(2026-01-01) | top {count} by {time} asc | project {time}")),
                ("sql", format!("SELECT \"{time}\" FROM \"{table}\" ORDER BY \"{time}\" LIMIT {count}")),
                ("sql", format!("SELECT \"{time}\" FROM \"{table}\" ORDER BY \"{time}\" LIMIT {count} OFFSET 0")),
            ] {
                for found in rows(command, &text) {
                    assert_eq!(found[1..], all[1..=count], "{text}");
                }
            }
            let [descending, ..] = rows("query", &format!("{table} | top {count} by {time} desc | project {time}"));
            assert_eq!(descending[1..], all.iter().rev().take(count).cloned().collect::<Vec<_>>(), "{table}");
        }
    }
}
