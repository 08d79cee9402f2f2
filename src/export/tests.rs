use std::sync::Arc;

use arrow::array::{Int64Array, StringArray};
use arrow::datatypes::{Field, Schema};

use super::*;
use crate::kql::value::datetime_of_us;
use crate::output::cell::arrow_type;

const DAY: i64 = 86_400_000_000;

fn columns() -> Vec<Column> {
    vec![Column::new("timestamp", Type::DateTime), Column::new("text", Type::String), Column::new("took", Type::TimeSpan)]
}

fn batch(rows: &[(i64, &str, i64)]) -> RecordBatch {
    let fields: Vec<Field> = columns().iter().map(|c| Field::new(&c.name, arrow_type(c.ty), true)).collect();
    RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        vec![
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| datetime_of_us(r.0)))),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.1))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.2))),
        ],
    )
    .unwrap()
}

fn export(root: &Path, rows: &[(i64, &str, i64)]) -> Exported {
    let mut export = Export::begin(root).unwrap();
    let mut table = export.table("T", &columns(), Period::Day(0), &["text"]).unwrap();
    if !rows.is_empty() {
        table.write(&batch(rows)).unwrap();
    }
    table.finish().unwrap()
}

#[test]
fn one_file_a_day_reads_back_and_a_second_export_rewrites_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let rows = [(20_000 * DAY, "=1+1", 15_000_000), (20_001 * DAY, "a,\"b\"\r\n", -5), (20_000 * DAY + 1, "ö", 0)];
    assert_eq!(export(dir.path(), &rows), Exported { rows: 3, files: 2, written: 2, removed: 0 });
    let file = dir.path().join("T/T_2024-10-04.csv");
    let bytes = fs::read(&file).unwrap();
    assert!(bytes.starts_with(b"\xef\xbb\xbftimestamp,text,took,tookSeconds\r\n"));
    let mut reader = csv::Reader::from_reader(&bytes[3..]);
    let read: Vec<Vec<String>> = reader.records().map(|r| r.unwrap().iter().map(str::to_owned).collect()).collect();
    assert_eq!(read[0], ["2024-10-04T00:00:00.0000000Z", "'=1+1", "00:00:01.5000000", "1.5"]);
    assert_eq!(read[1][1], "ö");

    let before = fs::metadata(&file).unwrap().modified().unwrap();
    assert_eq!(export(dir.path(), &rows), Exported { rows: 3, files: 2, written: 0, removed: 0 });
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), before);

    assert_eq!(export(dir.path(), &rows[..1]), Exported { rows: 1, files: 1, written: 1, removed: 1 });
    let names: Vec<String> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn a_table_without_rows_has_a_file_with_its_header() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(export(dir.path(), &[]), Exported { rows: 0, files: 1, written: 1, removed: 0 });
    assert_eq!(fs::read_to_string(dir.path().join("T/T.csv")).unwrap(), "\u{feff}timestamp,text,took,tookSeconds\r\n");
}

#[test]
fn the_manifest_names_every_file_with_its_rows_and_hash() {
    let dir = tempfile::tempdir().unwrap();
    export(dir.path(), &[(20_000 * DAY, "x", 0)]);
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(dir.path().join("datapackage.json")).unwrap()).unwrap();
    let resource = &manifest["resources"][0];
    assert_eq!(resource["path"][0], "T/T_2024-10-04.csv");
    assert_eq!(resource["rows"], 1);
    let hash = hex(&Sha256::digest(fs::read(dir.path().join("T/T_2024-10-04.csv")).unwrap()));
    assert_eq!(resource["files"][0]["sha256"], hash);
    let fields: Vec<_> =
        resource["schema"]["fields"].as_array().unwrap().iter().map(|f| f["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(fields, ["datetime", "string", "string", "number"]);
}
