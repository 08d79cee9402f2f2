//! Tables that another Delta writer has changed: columns it added are seen by KQL as by SQL, and survive what kqlake does with
//! the table; columns that it retyped or dropped are an answer or a clear error, never other rows.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Date32Array, Decimal128Array, Float32Array, Int16Array, Int32Array, Int64Array, ListBuilder,
    MapBuilder, RecordBatch, StringArray, StringBuilder, StructArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Run, csv_rows, project, run_in};

fn kqlake(dir: &Path, args: &[&str]) -> Run {
    run_in(dir, &[&["--now", "2026-01-12T03:00:00Z", "--lake", "lake"], args].concat())
}

fn lake() -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let from = project().join("fixtures/app-insights/query-api/traces-2026-01-05.json");
    kqlake(dir.path(), &["import", "--from", &from.to_string_lossy()]).exits(0);
    dir
}

/// The newest commit's version, and the table's metadata action.
fn state(table: &Path) -> (u64, Value) {
    let mut commits: Vec<String> = fs::read_dir(table.join("_delta_log"))
        .expect("a log")
        .map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.len() == 25)
        .collect();
    commits.sort();
    let mut metadata = Value::Null;
    for name in &commits {
        for line in fs::read_to_string(table.join("_delta_log").join(name)).expect("a commit").lines() {
            let action: Value = serde_json::from_str(line).expect("JSON");
            if !action["metaData"].is_null() {
                metadata = action;
            }
        }
    }
    (commits.last().and_then(|name| name[..20].parse().ok()).expect("a version"), metadata)
}

/// Commits what another writer would: a changed schema, and perhaps a file.
pub fn commit(table: &Path, change: impl FnOnce(&mut Vec<Value>), more: &[Value]) {
    let (version, mut metadata) = state(table);
    let text = metadata["metaData"]["schemaString"].as_str().expect("a schema").to_owned();
    let mut schema: Value = serde_json::from_str(&text).expect("JSON");
    change(schema["fields"].as_array_mut().expect("fields"));
    metadata["metaData"]["schemaString"] = schema.to_string().into();
    let lines: Vec<String> = [metadata].iter().chain(more).map(Value::to_string).collect();
    fs::write(table.join(format!("_delta_log/{:020}.json", version + 1)), lines.join("\n")).expect("written");
}

pub fn write(path: &Path, columns: Vec<(&str, ArrayRef)>) -> u64 {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).expect("rows");
    let file = fs::File::create(path).expect("a file");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
    fs::metadata(path).expect("a file").len()
}

/// 2026-01-05T12:00:00Z in microseconds.
const NOON: i64 = 1_767_614_400_000_000;

/// Adds a column of every kind, and a row with a value in each.
fn add_columns(table: &Path) {
    let mut tags = ListBuilder::new(StringBuilder::new());
    tags.append_value([Some("a"), Some("b")]);
    let mut counts = MapBuilder::new(None, StringBuilder::new(), arrow::array::Int64Builder::new());
    counts.keys().append_value("k");
    counts.values().append_value(3);
    counts.append(true).expect("a map");
    let place = StructArray::from(vec![
        (Arc::new(Field::new("city", DataType::Utf8, true)), Arc::new(StringArray::from(vec!["Rome"])) as ArrayRef),
        (Arc::new(Field::new("zip", DataType::Int32, true)), Arc::new(Int32Array::from(vec![118])) as ArrayRef),
    ]);
    let price = Decimal128Array::from(vec![1_250]).with_precision_and_scale(10, 2).expect("a decimal");
    let size = write(
        &table.join("event_month=2026-01-01/foreign.parquet"),
        vec![
            ("timestamp", Arc::new(TimestampMicrosecondArray::from(vec![NOON]).with_timezone("UTC"))),
            ("itemId", Arc::new(StringArray::from(vec!["foreign"]))),
            ("small", Arc::new(Int16Array::from(vec![7]))),
            ("ratio", Arc::new(Float32Array::from(vec![0.5]))),
            ("price", Arc::new(price)),
            ("seen", Arc::new(Date32Array::from(vec![20_458]))),
            ("raw", Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..]]))),
            ("tags", Arc::new(tags.finish())),
            ("place", Arc::new(place)),
            ("counts", Arc::new(counts.finish())),
            ("plain", Arc::new(StringArray::from(vec!["outlandish"]))),
            ("big", Arc::new(Int64Array::from(vec![1_i64 << 40]))),
        ],
    );
    let list = json!({ "type": "array", "elementType": "string", "containsNull": true });
    let map = json!({ "type": "map", "keyType": "string", "valueType": "long", "valueContainsNull": true });
    let field = |name: &str, ty: Value| json!({ "name": name, "type": ty, "nullable": true, "metadata": {} });
    let place = json!({ "type": "struct", "fields": [field("city", "string".into()), field("zip", "integer".into())] });
    let add = json!({ "add": {
        "path": "event_month=2026-01-01/foreign.parquet", "partitionValues": { "event_month": "2026-01-01" }, "size": size,
        "modificationTime": 1_767_700_000_000_i64, "dataChange": true, "stats": "{\"numRecords\":1}",
    }});
    let columns = [
        ("small", json!("short")),
        ("ratio", json!("float")),
        ("price", json!("decimal(10,2)")),
        ("seen", json!("date")),
        ("raw", json!("binary")),
        ("tags", list),
        ("place", place),
        ("counts", map),
        ("plain", json!("string")),
        ("big", json!("long")),
    ];
    commit(table, |fields| fields.extend(columns.map(|(name, ty)| field(name, ty))), &[add]);
}

fn answers(dir: &Path) {
    let ask = |query: &str| kqlake(dir, &["query", query, "-f", "ndjson"]).exits(0).out;
    let row = ask("traces | where itemId == 'foreign' | project small, ratio, price, seen, raw, tags, place, counts, plain, big");
    let row: Value = serde_json::from_str(&row).expect("one row");
    let expected = json!({
        "small": 7, "ratio": 0.5, "price": row["price"], "seen": row["seen"], "raw": "00ff", "tags": ["a", "b"],
        "place": { "city": "Rome", "zip": 118 }, "counts": { "k": 3 }, "plain": "outlandish", "big": 1_i64 << 40,
    });
    assert_eq!(row, expected);
    assert!(row["price"].to_string().contains("12.5") && row["seen"].to_string().contains("2026-01-05T00:00:00"), "{row}");
    for (query, count) in [
        ("traces | where small == 7 | count", 1),
        ("traces | where small + 1 == 8 and ratio < 1 and big > 5 | count", 1),
        ("traces | where price == decimal(12.5) | count", 1),
        ("traces | where seen between (datetime(2026-01-05) .. datetime(2026-01-05)) | count", 1),
        ("traces | where tags[1] == 'b' and place.city == 'Rome' and tolong(counts.k) == 3 | count", 1),
        ("traces | where raw == '00ff' | count", 1),
        ("traces | where isnull(small) and isempty(plain) and isempty(raw) | take 1 | count", 1),
        ("traces | summarize n = sum(small) by plain | where plain == 'outlandish' and n == 7 | count", 1),
        ("union traces, customEvents | where plain == 'outlandish' | count", 1),
        ("search in (traces) 'outlandish' | count", 1),
        ("traces | mv-expand tags | where isnotempty(tags) | count", 2),
        (
            "traces | where place has 'Rome' | project-away small, place | getschema | where ColumnName in ('small', 'place') | count",
            0,
        ),
        ("AppTraces | count | where Count > 1 | count", 1),
        ("print n = toscalar(traces | summarize max(big)) | where n == 1099511627776 | count", 1),
    ] {
        let out = kqlake(dir, &["query", query, "-f", "csv"]).exits(0).out;
        assert_eq!(out.lines().nth(1), Some(count.to_string().as_str()), "{query}");
    }
    let schema = ask(
        "traces | getschema | where ColumnName in ('small','ratio','price','seen','raw','tags','place','counts','plain','big') | project ColumnName, ColumnType",
    );
    for (name, ty) in [
        ("small", "int"),
        ("ratio", "real"),
        ("price", "decimal"),
        ("seen", "datetime"),
        ("raw", "string"),
        ("tags", "dynamic"),
        ("place", "dynamic"),
        ("counts", "dynamic"),
        ("plain", "string"),
        ("big", "long"),
    ] {
        assert!(schema.contains(&format!("{{\"ColumnName\":\"{name}\",\"ColumnType\":\"{ty}\"}}")), "{name} {ty}: {schema}");
        let listed = kqlake(dir, &["tables", "traces", "-f", "csv"]).exits(0).out;
        assert!(listed.contains(&format!("\n{name},{ty},added by another writer")), "{name}: {listed}");
    }
    // `check` and views know them, too.
    for query in ["traces | project small, place", "traces", "AppTraces | take 1"] {
        fs::write(dir.join("q.kql"), query).expect("a file");
        let report: Value = serde_json::from_str(&kqlake(dir, &["check", "-f", "json", "q.kql"]).exits(0).out).expect("JSON");
        let checked: Vec<&str> =
            report[0]["columns"].as_array().expect("columns").iter().filter_map(|c| c["name"].as_str()).collect();
        let got = kqlake(dir, &["query", "@q.kql", "-f", "csv"]).exits(0).out;
        assert_eq!(checked.join(","), got.lines().next().expect("a header"), "{query}");
    }
    let sql = kqlake(dir, &["sql", "SELECT small, plain, big FROM traces WHERE small = 7", "-f", "csv"]).exits(0).out;
    assert_eq!(sql, "small,plain,big\n7,outlandish,1099511627776\n");
}

#[test]
fn columns_of_another_writer_are_seen_by_kql_as_by_sql() {
    let dir = lake();
    add_columns(&dir.path().join("lake/traces"));
    answers(dir.path());
    // They outlive a compaction, which merges the file, and an import, whose rows have no value in them.
    kqlake(dir.path(), &["compact"]).exits(0);
    answers(dir.path());
    let more = project().join("fixtures/app-insights/query-api/importer-traces.json");
    kqlake(dir.path(), &["import", "--from", &more.to_string_lossy()]).exits(0);
    answers(dir.path());
    // What is wrong with a query is said as before.
    kqlake(dir.path(), &["query", "traces | project nowhere"]).exits(3).says("nowhere");
}

#[test]
fn columns_that_another_writer_retyped_or_dropped_give_no_wrong_answer() {
    let dir = lake();
    let table = dir.path().join("lake/traces");
    let retype = |name: &'static str, ty: &'static str| {
        move |fields: &mut Vec<Value>| {
            fields.iter_mut().filter(|f| f["name"] == name).for_each(|f| f["type"] = ty.into());
        }
    };
    commit(&table, retype("message", "long"), &[]);
    for args in [&["query", "traces | count"][..], &["sql", "SELECT count(*) FROM traces"], &["compact"]] {
        kqlake(dir.path(), args).exits(6).says("column message is Int64 in the lake, expected Utf8").says("help: ");
    }
    commit(&table, retype("message", "string"), &[]);
    kqlake(dir.path(), &["query", "traces | count"]).exits(0);
    // A dropped column is null; the next import brings it back.
    commit(&table, |fields| fields.retain(|f| f["name"] != "client_City"), &[]);
    assert!(kqlake(dir.path(), &["query", "traces | where isnotempty(client_City) | count"]).exits(0).out.ends_with("\n0\n"));
    // Without its time a row has no place.
    commit(&table, |fields| fields.retain(|f| f["name"] != "timestamp"), &[]);
    kqlake(dir.path(), &["query", "traces | count"]).exits(6).says("holds a table without the column timestamp").says("help: ");
}

#[test]
fn files_as_tables_hold_numbers_that_no_type_of_kql_holds() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let decimals = |values: Vec<Option<i128>>, scale| -> ArrayRef {
        Arc::new(Decimal128Array::from(values).with_precision_and_scale(38, scale).expect("decimals"))
    };
    // 1000000000000000000000.5 has more than 20 digits before its point.
    let great = decimals(vec![Some(1_000_000_000_000_000_000_005_000), Some(25_000)], 4);
    // 1.123456789012345678901 has more than 18 behind it.
    let fine =
        decimals(vec![Some(1_123_456_789_012_345_678_901_000_000_000), Some(2_500_000_000_000_000_000_000_000_000_000)], 30);
    let unsigned: ArrayRef = Arc::new(arrow::array::UInt64Array::from(vec![1, u64::MAX]));
    let nanos: ArrayRef = Arc::new(arrow::array::TimestampNanosecondArray::from(vec![-1, 1_500]));
    write(&dir.path().join("n.parquet"), vec![("great", great), ("fine", fine), ("unsigned", unsigned), ("Nanos", nanos)]);
    let rows = |text: &str| {
        let run = run_in(dir.path(), &["query", "--table", "F=n.parquet", "-f", "csv", text]).exits(0);
        run.out.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    // Of what has no room in any type there is no answer; null would be one.
    for query in ["F | project great", "F | where great > 2 | count", "F"] {
        let run = run_in(dir.path(), &["query", "--table", "F=n.parquet", "-f", "csv", query]);
        run.exits(3).says("no decimal has room for");
    }
    assert_eq!(rows("F | project unsigned, t = gettype(unsigned)"), ["1,decimal", "18446744073709551615,decimal"]);
    assert_eq!(rows("F | where unsigned > 1 | project unsigned"), ["18446744073709551615"]);
    // A row is kept for which the condition is true, whatever the file has behind the digits that are seen.
    assert_eq!(rows("F | project e = fine == decimal(1.123456789012345679)"), ["true", "false"]);
    assert_eq!(rows("F | where fine == decimal(1.123456789012345679) | project fine"), ["1.123456789012345679"]);
    assert_eq!(rows("F | where fine < decimal(1.123456789012345679) | count"), ["0"]);
    // A digit that is dropped moves no instant into the next second, day and year.
    let of_time = "F | project Nanos, before = Nanos < datetime(1970-01-01)";
    assert_eq!(rows(of_time), ["1969-12-31T23:59:59.9999990Z,true", "1970-01-01T00:00:00.0000010Z,false"]);
    assert_eq!(rows("F | where Nanos < datetime(1970-01-01) | count"), ["1"]);
    let sql = run_in(dir.path(), &["sql", "--table", "F=n.parquet", "-f", "csv", "SELECT max(\"Nanos\") FROM \"F\""]).exits(0);
    assert_eq!(sql.out.lines().nth(1), Some("1970-01-01T00:00:00.0000010Z"));
}

#[test]
fn unsigned_numbers_are_longs_where_all_of_a_file_fit() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let unsigned: ArrayRef = Arc::new(arrow::array::UInt64Array::from(vec![Some(1), None, Some(i64::MAX as u64)]));
    write(&dir.path().join("u.parquet"), vec![("u", unsigned)]);
    let run = run_in(dir.path(), &["query", "--table", "F=u.parquet", "-f", "csv", "F | project u, t = gettype(u + 0)"]).exits(0);
    assert_eq!(run.out, "u,t\n1,long\n,long\n9223372036854775807,long\n");
}

#[test]
fn a_delimited_column_has_a_type_that_keeps_all_of_its_texts() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let text = "code,n,r,great,d,bad,t\n\
                007,0,0.5,18446744073709551616,2020-01-01,2020-01-31,2020-01-01T00:00:00.1234567Z\n\
                10,-7,-1e5,1,2020-02-29,2020-02-30,0001-01-01T00:00:00.0000000Z\n\
                ,,,,,,9999-12-31T23:59:59.9999999Z\n";
    fs::write(dir.path().join("f.csv"), text).expect("a file");
    let rows = |text: &str| {
        let run = run_in(dir.path(), &["query", "--table", "F=f.csv", "-f", "csv", text]).exits(0);
        run.out.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    let types = ["string", "long", "real", "string", "datetime", "string", "datetime"];
    assert_eq!(rows("F | getschema | project ColumnType"), types);
    assert_eq!(rows("F | project code, great, bad"), ["007,18446744073709551616,2020-01-31", "10,1,2020-02-30", ",,"]);
    let times = ["2020-01-01T00:00:00.1234567Z", "0001-01-01T00:00:00.0000000Z", "9999-12-31T23:59:59.9999999Z"];
    assert_eq!(rows("F | project t"), times);
    assert_eq!(rows("F | where t < datetime(0002-01-01) | project n"), ["-7"]);
    let sql = run_in(dir.path(), &["sql", "--table", "F=f.csv", "-f", "csv", "SELECT n FROM \"F\" WHERE t > '9999-01-01'"]);
    assert_eq!(sql.exits(0).out, "n\n\"\"\n");
}

/// The types of a column of a file with these texts, in KQL, and its rows in both languages.
fn of_file(dir: &Path, file: &str, texts: &[&str]) -> (String, Vec<String>, Vec<String>) {
    let content = match file.ends_with("csv") {
        true => format!("c,d\n{}", texts.iter().map(|text| format!("{text},x\n")).collect::<String>()),
        false => texts.iter().map(|text| format!("{{\"c\":{text}}}\n")).collect(),
    };
    fs::write(dir.join(file), content).expect("a file");
    let table = format!("F={file}");
    let rows = |language: &str, text: &str| {
        let run = run_in(dir, &[language, "--table", &table, "-f", "csv", text]).exits(0);
        run.out.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    let ty = rows("query", "F | getschema | where ColumnName == 'c' | project ColumnType");
    (ty.concat(), rows("query", "F | summarize by v = tostring(c)"), rows("sql", "SELECT DISTINCT c FROM \"F\""))
}

#[test]
fn texts_that_differ_in_a_delimited_file_never_become_one_value() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (texts, ty) in [
        (&["1.1", "1.10", "1.2"][..], "string"),
        (&["12.50", "12.5"], "string"),
        (&["0.12345678901234567890123"], "string"),
        (&["100000000000000000000000.5"], "string"),
        (&["1e400"], "string"),
        (&["-0", "0"], "string"),
        (&["-0.0", "0.0"], "string"),
        (&["1e5", "100000.0"], "string"),
        (&["007", "7"], "string"),
        (&["TRUE", "true"], "string"),
        (&["2026-01-05", "2026-01-05T00:00:00"], "string"),
        (&["2026-01-05T10:00:00Z", "2026-01-05T11:00:00+01:00"], "string"),
        (&["2026-01-05T10:00:00.12345678Z", "2026-01-05T10:00:00.12345679Z"], "string"),
        // What is common has types.
        (&["1", "2.5"], "real"),
        (&["12.50", "3.00", "0.25"], "real"),
        (&["1.0", "2.25", "1e-07"], "real"),
        (&["1", "-2", "9223372036854775807"], "long"),
        (&["True", "False"], "bool"),
        (&["2026-01-05", "2026-02-28"], "datetime"),
        (&["2026-01-05 10:00:00", "2026-01-05 10:00:00.5"], "datetime"),
        (&["2026-01-05T10:00:00.1234560Z", "2026-01-05T10:00:00.0000000Z"], "datetime"),
    ] {
        let (found, kql, sql) = of_file(dir.path(), "f.csv", texts);
        assert_eq!((found.as_str(), kql.len(), sql.len()), (ty, texts.len(), texts.len()), "{texts:?}: {kql:?} {sql:?}");
        if ty == "string" {
            let mut wanted = texts.to_vec();
            wanted.sort_unstable();
            for mut rows in [kql, sql] {
                rows.sort_unstable();
                assert_eq!(rows, wanted);
            }
        }
    }
    // Of numbers in JSON it is the value that is kept, and what no real has room for is dynamic.
    for (texts, ty, rows) in [
        (&["1.1", "1.10"][..], "real", &["1.1"][..]),
        (&["0.12345678901234567890123", "1"], "dynamic", &["0.12345678901234567890123", "1"]),
        (&["1e400", "0.5"], "dynamic", &["0.5", "1e400"]),
        (&["1e-400"], "dynamic", &["1e-400"]),
        (&["18446744073709551616"], "dynamic", &["18446744073709551616"]),
    ] {
        let (found, mut kql, _) = of_file(dir.path(), "f.ndjson", texts);
        kql.sort_unstable();
        assert_eq!((found.as_str(), kql), (ty, rows.iter().map(|row| (*row).to_owned()).collect()), "{texts:?}");
    }
}

#[test]
fn datetimes_of_a_delimited_file_have_ticks() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let text = "t,n\n2026-01-05T10:00:00.1234567Z,1\n2026-01-05T10:00:00.1234568Z,2\n,3\n0001-01-01T00:00:00.0000000Z,4\n";
    fs::write(dir.path().join("f.csv"), text).expect("a file");
    fs::write(dir.path().join("g.csv"), "t,m\n2026-01-05T10:00:00.123456Z,5\n").expect("a file");
    let run = |language: &str, text: &str| {
        let run = run_in(dir.path(), &[language, "--table", "F=f.csv", "--table", "G=g.csv", "-f", "csv", text]).exits(0);
        run.out.lines().skip(1).map(str::to_owned).collect::<Vec<_>>().join("|")
    };
    assert_eq!(run("query", "F | getschema | project ColumnType"), "datetime|long");
    assert_eq!(run("query", "F | where t > datetime(2026-01-05T10:00:00.1234567Z) | project n"), "2");
    assert_eq!(
        run("query", "F | where t == datetime(2026-01-05T10:00:00.1234567Z) | project t, d = t - 1tick"),
        "2026-01-05T10:00:00.1234567Z,2026-01-05T10:00:00.1234566Z"
    );
    assert_eq!(run("query", "F | where isnull(t) | project n"), "3");
    assert_eq!(run("query", "F | summarize count() by t | count"), "4");
    assert_eq!(run("query", "F | top 1 by t desc | project n"), "2");
    assert_eq!(run("query", "union F, G | summarize max(t), dcount(t)"), "2026-01-05T10:00:00.1234568Z,4");
    assert_eq!(run("query", "F | join kind=inner (G | extend t = t + 7tick) on t | project n, m"), "1,5");
    // SQL's instants have six digits: these are texts there.
    assert_eq!(
        run("sql", "SELECT t FROM \"F\" WHERE n < 3 ORDER BY n"),
        "2026-01-05T10:00:00.1234567Z|2026-01-05T10:00:00.1234568Z"
    );
    // What kqlake writes itself is read with its types.
    run_in(dir.path(), &["query", "--table", "F=f.csv", "F | sort by n asc", "-o", "again.csv"]).exits(0);
    assert_eq!(fs::read_to_string(dir.path().join("again.csv")).expect("a file"), text);
    run_in(dir.path(), &["query", "print t = datetime(2026-01-05), r = 1.0, l = 7, b = true", "-o", "own.csv"]).exits(0);
    let own = run_in(dir.path(), &["query", "--table", "F=own.csv", "F | getschema | summarize make_list(ColumnType)"]).exits(0);
    assert_eq!(csv_rows(&own.out)[1], ["[\"datetime\",\"real\",\"long\",\"bool\"]"]);
    let typed = run_in(dir.path(), &["sql", "--table", "F=own.csv", "SELECT t + INTERVAL '1 day' AS t FROM \"F\""]).exits(0);
    assert_eq!(typed.out, "t\n2026-01-06T00:00:00.0000000Z\n");
}

#[test]
fn delimited_files_have_line_breaks_in_quotes_whatever_their_size() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut text = String::from("a,b\n");
    for row in 0..5000 {
        text.push_str(&format!("{row},\"line\nbreak\"\n"));
    }
    fs::write(dir.path().join("nl.csv"), text).expect("a file");
    let query = "F | summarize count(), sum(a), countif(b == 'line\\nbreak')";
    let run = run_in(dir.path(), &["query", "--table", "F=nl.csv", "-f", "csv", query]).exits(0);
    assert_eq!(run.out.lines().nth(1), Some("5000,12497500,5000"), "{}", run.out);
}
