//! Unions of many tables that have few columns in common: each table gives its own columns, what is asked of the union is asked of
//! its tables, and the answer is that of a union of few.

use std::path::Path;

use super::support::{csv_rows, run_in};

const TABLES: usize = 12;
const COLUMNS: usize = 10;

/// Files with two columns that all have, and ten that no other has.
fn files(dir: &Path) {
    for n in 0..TABLES {
        let own: Vec<String> = (0..COLUMNS).map(|k| format!("t{n}_c{k} = strcat('v', i, '_{k}')")).collect();
        let own = own.join(", ");
        let rows = format!("range i from 1 to 3 step 1 | extend when = datetime(2026-01-01) + {n} * 1d + i * 1h, n = {n}, {own}");
        run_in(dir, &["query", &rows, "-o", &format!("t{n}.parquet")]).exits(0);
    }
}

fn run(dir: &Path, query: &str, more: &[&str]) -> String {
    let tables: Vec<String> = (0..TABLES).map(|n| format!("Wide{n:02}=t{n}.parquet")).collect();
    let mut args = vec!["query", query];
    args.extend(tables.iter().flat_map(|table| ["--table", table]));
    args.extend(more);
    run_in(dir, &args).exits(0).out
}

fn scans(plan: &str) -> Vec<&str> {
    assert!(plan.contains("FilledUnionExec"), "{plan}");
    plan.lines().filter(|line| line.contains("DataSourceExec")).collect()
}

#[test]
fn each_table_has_its_own_columns_and_what_is_asked_of_all() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    files(dir.path());
    let plan = |query: &str| run(dir.path(), query, &["--explain"]);
    // Only its own columns, and no more rows than are asked for.
    let limited = plan("union Wide* | take 2");
    let limited = scans(&limited);
    assert_eq!(limited.len(), TABLES);
    for scan in &limited {
        let names = (0..TABLES).filter(|n| scan.contains(&format!("t{n}_c"))).count();
        assert!(names == 1 && scan.contains("limit=2"), "{scan}");
    }
    // A filter over a column that one table has leaves the others out, and reaches the file.
    let of_one = plan("union withsource=T Wide* | where t3_c1 == 'v2_1'");
    let of_one = scans(&of_one);
    assert!(of_one.len() == 1 && of_one[0].contains("t3.parquet") && of_one[0].contains("pruning_predicate=t3_c1"), "{of_one:?}");
    // One over a column that all have reaches each.
    let of_all = plan("union Wide* | where when > datetime(2026-01-10) and isempty(t4_c1)");
    let of_all = scans(&of_all);
    assert!(of_all.len() == TABLES && of_all.iter().all(|scan| scan.contains("pruning_predicate=when")), "{of_all:?}");
    // So does what the first rows of an order leave to be found.
    let first = plan("union Wide* | top 2 by when desc");
    assert!(scans(&first).iter().all(|scan| scan.contains("DynamicFilter")), "{first}");
}

#[test]
fn the_rows_are_those_of_a_union_of_few() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    files(dir.path());
    let rows = |query: &str| csv_rows(&run(dir.path(), query, &["-f", "csv"]));
    // What no other table has is null or empty in its rows.
    let found = rows("union withsource=T Wide* | where n == 3 | sort by i asc | take 2");
    let names = found[0].clone();
    assert_eq!(names.len(), 4 + TABLES * COLUMNS);
    for (at, row) in found[1..].iter().enumerate() {
        let i = at + 1;
        for (name, value) in names.iter().zip(row) {
            let expected = match name.as_str() {
                "T" => "Wide03".to_owned(),
                "i" => i.to_string(),
                "n" => "3".to_owned(),
                "when" => format!("2026-01-04T0{i}:00:00Z"),
                _ => name.strip_prefix("t3_c").map(|k| format!("v{i}_{k}")).unwrap_or_default(),
            };
            assert!(value.trim_end_matches('Z').starts_with(expected.trim_end_matches('Z')), "{name}: {value}");
            assert_eq!(value.is_empty(), expected.is_empty(), "{name}: {value}");
        }
    }
    let all = |query: &str| rows(query)[1..].to_vec();
    assert_eq!(all("union Wide* | top 2 by when desc | project n, i, t11_c0"), [["11", "3", "v3_0"], ["11", "2", "v2_0"]]);
    // Conditions over columns that are not there, that differ from row to row, or that read no column.
    for (condition, count) in [
        ("isempty(t4_c1)", "33"),
        ("t4_c1 != 'v1_1'", "35"),
        ("t4_c1 == '' and t5_c1 == ''", "30"),
        ("t4_c1 has 'v1_1' or t5_c1 endswith '_1'", "4"),
        ("rand() < 2", "36"),
        ("rand() < 2 and isnotempty(t1_c2)", "3"),
        ("1 == 2", "0"),
        ("* has 'v2_9'", "12"),
    ] {
        // All of the columns are used behind the condition, so that none is left out.
        let counted =
            format!("union withsource=T Wide* | where {condition} | summarize n = dcount(tostring(pack_all()), 4), count()");
        assert_eq!(all(&counted), [[count, count]], "{condition}");
    }
    assert_eq!(
        all("union Wide* | take 5 | extend all = tostring(pack_all()) | summarize countif(all has 'n'), count()"),
        [["5", "5"]]
    );
    assert_eq!(
        all("search in (Wide*) '_7' | summarize count(), dcount($table, 4), dcount(tostring(pack_all()), 4)"),
        [["36", "12", "36"]]
    );
}
