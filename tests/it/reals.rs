//! NaN and the zeros: filters, joins and orders find their rows whatever files say of their values, since bounds of row groups, pages
//! and files leave NaN out, and Bloom filters distinguish zeros. What passes is computed here, by the rules of each language.

use std::cmp::Ordering;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::WriterProperties;

use super::support::{csv_rows, run_in};

/// A NaN as the processor makes it, with a sign.
const SIGNED_NAN: f64 = f64::from_bits(0xfff8_0000_0000_0000);

/// Values in row groups of two: bounds that are one number beside NaN, none at all, and zeros of either sign alone.
const VALUES: [f64; 20] = [
    f64::NAN,
    5.0,
    5.0,
    SIGNED_NAN,
    f64::NAN,
    f64::NAN,
    5.0,
    5.0,
    -0.0,
    -0.0,
    0.0,
    0.0,
    -0.0,
    1.0,
    6.0,
    f64::NAN,
    f64::INFINITY,
    SIGNED_NAN,
    f64::NEG_INFINITY,
    7.0,
];

/// Writes columns in row groups of two rows, with page indexes and Bloom filters.
fn write(path: &Path, columns: Vec<(&str, ArrayRef)>, sorted: Option<Vec<SortingColumn>>) {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(2))
        .set_bloom_filter_enabled(true)
        .set_sorting_columns(sorted)
        .build();
    let batch = RecordBatch::try_from_iter(columns).expect("rows");
    let file = std::fs::File::create(path).expect("a file");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
}

/// A folder with files of reals: `n.parquet` of all values, `c.parquet` of NaN and one number, `k.parquet` of keys.
fn files() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let numbers = |count: usize| Arc::new(Int64Array::from_iter_values(0..count as i64)) as ArrayRef;
    let doubles = |values: &[f64]| Arc::new(Float64Array::from_iter_values(values.iter().copied())) as ArrayRef;
    let singles = Arc::new(Float32Array::from_iter_values(VALUES.iter().map(|v| *v as f32)));
    let texts = Arc::new(StringArray::from_iter_values((0..VALUES.len()).map(|at| format!("t{:02}", at / 2))));
    let all: Vec<(&str, ArrayRef)> = vec![("i", numbers(VALUES.len())), ("x", doubles(&VALUES)), ("f", singles), ("t", texts)];
    write(&dir.path().join("n.parquet"), all, None);
    let constant = [f64::NAN, 5.0, SIGNED_NAN];
    write(&dir.path().join("c.parquet"), vec![("i", numbers(3)), ("x", doubles(&constant))], None);
    let keys = [f64::NAN, 0.0, 9.0];
    write(&dir.path().join("k.parquet"), vec![("i", numbers(3)), ("x", doubles(&keys))], None);
    dir
}

/// The rows of an answer over these files, their cells divided by commas.
fn answers(dir: &Path, language: &str, text: &str) -> Vec<String> {
    let tables = ["N=n.parquet", "C=c.parquet", "K=k.parquet"].map(|table| ["--table", table]);
    let mut args = vec!["--lake", "lake", language, "-f", "csv"];
    args.extend(tables.iter().flatten());
    args.push(text);
    csv_rows(&run_in(dir, &args).exits(0).out).into_iter().skip(1).map(|row| row.join(",")).collect()
}

/// Counts of each condition's rows, as a filter's and beside all rows.
fn counts(dir: &Path, language: &str, table: &str, conditions: &[String]) -> [Vec<String>; 2] {
    let forms = conditions.iter().enumerate().map(|(at, condition)| match language {
        "query" => [
            format!("c{at} = toscalar({table} | where {condition} | count)"),
            format!("c{at} = toscalar({table} | summarize countif({condition}))"),
        ],
        _ => [
            format!("(select count(*) from \"{table}\" where {condition}) c{at}"),
            format!("(select count(*) filter (where {condition}) from \"{table}\") c{at}"),
        ],
    });
    let (filters, beside): (Vec<String>, Vec<String>) = forms.map(|[filter, beside]| (filter, beside)).unzip();
    let begin = if language == "query" { "print" } else { "select" };
    [filters, beside].map(|parts| {
        let row = answers(dir, language, &format!("{begin} {}", parts.join(", "))).concat();
        row.split(',').map(str::to_owned).collect()
    })
}

/// A condition and what passes it.
type Condition = (&'static str, fn(f64) -> bool);

/// Nothing is less, greater or equal beside NaN.
const KQL: [Condition; 27] = [
    ("# != 5", |v| v != 5.0),
    ("# == 5", |v| v == 5.0),
    ("not(# == 5)", |v| v != 5.0),
    ("not(# != 5)", |v| v == 5.0),
    ("# > 6", |v| v > 6.0),
    ("not(# > 6)", |v| !matches!(v.partial_cmp(&6.0), Some(Ordering::Greater))),
    ("# >= 5", |v| v >= 5.0),
    ("5 <= #", |v| v >= 5.0),
    ("# < 5", |v| v < 5.0),
    ("not(# < 5)", |v| !matches!(v.partial_cmp(&5.0), Some(Ordering::Less))),
    ("# <= 0", |v| v <= 0.0),
    ("# < 0", |v| v < 0.0),
    ("# >= 0.0", |v| v >= 0.0),
    ("# > -0.0", |v| v > 0.0),
    ("# == 0", |v| v == 0.0),
    ("# == -0.0", |v| v == 0.0),
    ("# != 0", |v| v != 0.0),
    ("# in (5.0, 6.0)", |v| [5.0, 6.0].contains(&v)),
    ("# !in (5.0)", |v| v != 5.0),
    ("# in (-0.0, 8.0, 9.0, 10.0, 11.0)", |v| v == 0.0),
    ("# between (4.0 .. 6.0)", |v| (4.0..=6.0).contains(&v)),
    ("# !between (4.0 .. 6.0)", |v| !(4.0..=6.0).contains(&v)),
    ("isnan(#)", f64::is_nan),
    ("not(isnan(#))", |v| !v.is_nan()),
    ("isfinite(#) and # != 5", |v| v.is_finite() && v != 5.0),
    ("# != 5 or # == 8", |v| v != 5.0),
    ("# == #", |v| !v.is_nan()),
];

/// The order of SQL, as in DuckDB and Postgres: NaN is equal to itself and greater than all numbers.
fn order(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

fn is(v: f64, orders: &[Ordering], other: f64) -> bool {
    orders.contains(&order(v, other))
}

const LESS: Ordering = Ordering::Less;
const SAME: Ordering = Ordering::Equal;
const MORE: Ordering = Ordering::Greater;

const SQL: [Condition; 24] = [
    ("# <> 5", |v| !is(v, &[SAME], 5.0)),
    ("# = 5", |v| is(v, &[SAME], 5.0)),
    ("not (# = 5)", |v| !is(v, &[SAME], 5.0)),
    ("# not in (5)", |v| !is(v, &[SAME], 5.0)),
    ("# in (5, 6)", |v| v == 5.0 || v == 6.0),
    ("# is distinct from 5", |v| !is(v, &[SAME], 5.0)),
    ("# > 6", |v| is(v, &[MORE], 6.0)),
    ("6 < #", |v| is(v, &[MORE], 6.0)),
    ("not (# <= 6)", |v| is(v, &[MORE], 6.0)),
    ("# >= 5", |v| is(v, &[SAME, MORE], 5.0)),
    ("# < 5", |v| is(v, &[LESS], 5.0)),
    ("not (# < 5)", |v| is(v, &[SAME, MORE], 5.0)),
    ("# <= 0", |v| is(v, &[LESS, SAME], 0.0)),
    ("# < 0", |v| is(v, &[LESS], 0.0)),
    ("# > -0.0", |v| is(v, &[MORE], 0.0)),
    ("# = 0", |v| v == 0.0),
    ("# = -0.0", |v| v == 0.0),
    ("# in (-0.0, 8, 9, 10, 11)", |v| v == 0.0),
    ("# = -0.0 or # = 8 or # = 9 or # = 10 or # = 11", |v| v == 0.0),
    ("# between 4 and 6", |v| (4.0..=6.0).contains(&v)),
    ("# not between 4 and 6", |v| is(v, &[LESS], 4.0) || is(v, &[MORE], 6.0)),
    ("# = 'NaN'::double", f64::is_nan),
    ("# in (8, 'NaN'::double)", f64::is_nan),
    ("# <> 5 or # = 8", |v| !is(v, &[SAME], 5.0)),
];

fn pass(dir: &Path, language: &str, table: &str, column: &str, conditions: &[Condition], values: &[f64]) {
    let texts: Vec<String> = conditions.iter().map(|(text, _)| text.replace('#', column)).collect();
    let found = counts(dir, language, table, &texts);
    for (at, (text, passes)) in conditions.iter().enumerate() {
        let expected = values.iter().filter(|v| passes(**v)).count().to_string();
        let [filter, beside] = &found;
        assert_eq!((&filter[at], &beside[at]), (&expected, &expected), "{language} over {table}: {column} in {text}");
    }
}

#[test]
fn filters_of_a_parquet_file_find_nan_and_both_zeros() {
    let dir = files();
    for column in ["x", "f"] {
        pass(dir.path(), "query", "N", column, &KQL, &VALUES);
        pass(dir.path(), "sql", "N", column, &SQL, &VALUES);
    }
}

#[test]
fn a_column_of_nan_and_one_number_is_no_constant() {
    let dir = files();
    assert_eq!(answers(dir.path(), "query", "C | sort by i asc | project x"), ["NaN", "5.0", "NaN"]);
    assert_eq!(answers(dir.path(), "query", "C | summarize countif(x == 5), countif(isnan(x))"), ["1,2"]);
    assert_eq!(answers(dir.path(), "sql", r#"select x from "C" order by i"#), ["NaN", "5.0", "NaN"]);
    assert_eq!(answers(dir.path(), "sql", r#"select min(x), max(x), count(distinct x) from "C""#), ["5.0,NaN,2"]);
}

#[test]
fn joins_orders_and_groups_take_nan_for_one_value_and_the_zeros_for_another() {
    let dir = files();
    let nans = VALUES.iter().filter(|v| v.is_nan()).count();
    let zeros = VALUES.iter().filter(|v| **v == 0.0).count();
    let both = (nans + zeros).to_string();
    for (sql, expected) in [
        (r#"select count(*) from "N" a join "K" b on a.x = b.x"#, both.as_str()),
        (r#"select count(*) from "K" a join "N" b on a.x = b.x"#, &both),
        (r#"select count(*) from "N" where exists (select 1 from "K" where "K".x = "N".x)"#, &both),
        (r#"select count(*) from "N" where not exists (select 1 from "K" where "K".x >= "N".x)"#, "0"),
        (r#"select count(*) from "N" where (select count(*) from "K" where "K".x = "N".x) = 1"#, &both),
        (r#"select sum(n) from (select (select count(*) from "K" where "K".x = "N".x) n from "N")"#, &both),
        (r#"select count(*) from (select distinct on (x) x, i from "N" order by x, i)"#, "8"),
        (r#"select count(*) from "N" where x in (select x from "K")"#, &both),
        (r#"select count(*) from "N" where x not in (select x from "K")"#, &(VALUES.len() - nans - zeros).to_string()),
        (r#"select count(*) from (select x from "N" intersect select x from "K")"#, "2"),
        (r#"select count(*) from (select distinct x from "N")"#, "8"),
        (r#"select count(distinct x) from "N""#, "8"),
        (r#"select count(*) from (select f, max(i) m from "N" group by f order by m desc limit 20)"#, "8"),
        (r#"select count(*) from "N" group by x order by 1 desc limit 1"#, &nans.to_string()),
        (r#"select max(rank) from (select rank() over (order by x) rank from "N")"#, "15"),
        (r#"select max(n) from (select count(*) over (partition by x) n from "N")"#, &nans.to_string()),
        ("select (0.0::double / 0.0::double) > 5", "true"),
        ("select 0.0::double / 0.0::double = 'NaN'::double", "true"),
    ] {
        assert_eq!(answers(dir.path(), "sql", sql), [expected], "{sql}");
    }
    let first = r#"select x from "N" order by x desc, i limit 7"#;
    assert_eq!(answers(dir.path(), "sql", first), ["NaN", "NaN", "NaN", "NaN", "NaN", "NaN", "Infinity"]);
    let last = r#"select x from "N" order by x, i limit 2"#;
    assert_eq!(answers(dir.path(), "sql", last), ["-Infinity", "-0.0"]);
    for (kql, expected) in [
        ("N | join kind=inner K on x | count", both.as_str()),
        ("K | join kind=inner N on x | count", &both),
        ("N | join kind=leftanti K on x | count", &(VALUES.len() - nans - zeros).to_string()),
        ("N | lookup kind=inner K on x | count", &both),
        ("N | distinct x | count", "8"),
        ("N | summarize dcount(x)", "8"),
        ("N | summarize n = count() by x | summarize max(n)", &nans.to_string()),
        // Nothing is equal to NaN.
        ("N | where x in ((K | project x)) | count", &zeros.to_string()),
    ] {
        assert_eq!(answers(dir.path(), "query", kql), [expected], "{kql}");
    }
    let first = answers(dir.path(), "query", "N | top 3 by x desc | project x");
    assert_eq!(first, ["Infinity", "7.0", "6.0"]);
}

/// Imports the values of a file each, so that every file has bounds of its own.
fn lake(dir: &Path) -> Vec<f64> {
    let groups: [&[&str]; 4] = [&["\"NaN\"", "5.0"], &["5.0", "5.0"], &["-0.0", "-0.0"], &["0.0", "\"nan\"", "6.0"]];
    for (at, group) in groups.iter().enumerate() {
        let rows = group.iter().enumerate().map(|(row, value)| {
            format!(
                "{{\"timestamp\":\"2026-01-05T10:00:00Z\",\"name\":\"m{at}\",\"value\":{value},\"itemId\":\"{at}-{row}\",\
                 \"itemType\":\"customMetric\"}}\n"
            )
        });
        std::fs::write(dir.join("values.ndjson"), rows.collect::<String>()).expect("a file");
        run_in(dir, &["--lake", "lake", "import", "--from", "values.ndjson"]).exits(0);
    }
    groups.concat().iter().map(|text| text.trim_matches('"').to_lowercase().parse().expect("a number")).collect()
}

#[test]
fn filters_of_the_lake_find_nan_and_both_zeros() {
    let dir = files();
    let values = lake(dir.path());
    pass(dir.path(), "query", "customMetrics", "value", &KQL, &values);
    pass(dir.path(), "sql", "customMetrics", "value", &SQL, &values);
    for (language, text, expected) in [
        ("sql", r#"select count(*) from "customMetrics" a join "K" b on a.value = b.x"#, "5"),
        ("sql", r#"select count(*) from "K" b join "customMetrics" a on a.value = b.x"#, "5"),
        ("sql", r#"select min(value), max(value) from "customMetrics""#, "0.0,NaN"),
        ("query", "customMetrics | join kind=inner (K | project value = x) on value | count", "5"),
        ("query", "K | project value = x | join kind=inner customMetrics on value | count", "5"),
        ("query", "customMetrics | top 1 by value desc | project value", "6.0"),
    ] {
        assert_eq!(answers(dir.path(), language, text), [expected], "{text}");
    }
}

#[test]
fn columns_of_other_types_leave_out_files_and_row_groups_beside_reals() {
    let dir = files();
    lake(dir.path());
    let explained = |language: &str, text: &str| {
        let args = ["--lake", "lake", language, "--table", "N=n.parquet", "--explain=analyze", text];
        run_in(dir.path(), &args).exits(0).out
    };
    for (language, text) in [
        ("query", "N | where x != 5 and i == 7 | count"),
        ("sql", r#"select count(*) from "N" where x <> 5 and i = 7"#),
        ("query", "N | where x != 5 and t == 't03' | count"),
        ("sql", r#"select count(*) from "N" where x <> 5 and t = 't03'"#),
    ] {
        let said = explained(language, text);
        assert!(said.contains(", 1 of 10 row groups read"), "{text}: {said}");
    }
    for (language, text) in [
        ("query", "customMetrics | where value != 5 and name == 'm2' | count"),
        ("sql", r#"select count(*) from "customMetrics" where value <> 5 and name = 'm2'"#),
    ] {
        let said = explained(language, text);
        assert!(said.contains("customMetrics: 1 of 4 files were opened"), "{text}: {said}");
    }
    let said = explained("query", "customMetrics | where value > 5 | count");
    assert!(said.contains("bounds of reals do not tell of NaN"), "{said}");
    assert!(said.contains("customMetrics: 4 of 4 files were opened"), "{said}");
    // Counts are still answered from what files say of themselves.
    let plan = run_in(dir.path(), &["sql", "--table", "N=n.parquet", "--explain", r#"select count(*) from "N""#]).exits(0).out;
    assert!(plan.contains("PlaceholderRowExec") && !plan.contains("DataSourceExec"), "{plan}");
}

#[test]
fn the_order_of_each_row_group_is_not_that_of_a_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let sorted = SortingColumn { column_idx: 0, descending: false, nulls_first: false };
    let numbers = Arc::new(Int64Array::from(vec![3, 4, 1, 2])) as ArrayRef;
    write(&dir.path().join("s.parquet"), vec![("i", numbers)], Some(vec![sorted]));
    for sql in ["select i from s order by i", "select i from s order by i limit 4", "select distinct i from s order by i"] {
        let run = run_in(dir.path(), &["sql", "--table", "s=s.parquet", "-f", "csv", sql]).exits(0);
        assert_eq!(run.out, "i\n1\n2\n3\n4\n", "{sql}");
    }
}
