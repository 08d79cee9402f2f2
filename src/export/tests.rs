use std::sync::Arc;

use arrow::array::{Int64Array, StringArray};
use arrow::datatypes::{Field, Schema};

use super::*;
use kqlake_value::columns::arrow_type;
use kqlake_value::{US_PER_DAY as DAY, datetime_of_us};

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
    let mut export = Export::begin(root, &root.join("no-lake")).unwrap();
    let mut table = export.table("T", &columns(), Period::Day(0), &["text"]).unwrap();
    if !rows.is_empty() {
        table.write(&batch(rows)).unwrap();
    }
    table.finish().unwrap()
}

fn done(rows: u64, files: usize, written: usize, removed: usize) -> Exported {
    Exported { rows, files, written, removed, strange: Vec::new() }
}

#[test]
fn only_files_that_the_manifest_lists_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("T")).unwrap();
    for mine in ["T/T_1999-01-01.csv", "T/T.csv", "T/notes.csv", "kept.csv"] {
        fs::write(at(mine), "mine").unwrap();
    }
    let two = [(20_000 * DAY, "x", 0), (20_001 * DAY, "y", 0)];
    let strange = || vec![at("T/T.csv"), at("T/T_1999-01-01.csv")];
    assert_eq!(export(dir.path(), &two), Exported { strange: strange(), ..done(2, 2, 2, 0) });
    // A manifest that names files which no export gives makes none of them the export's.
    let text = fs::read_to_string(at("datapackage.json")).unwrap();
    let last = "\"T/T_2024-10-05.csv\"";
    let more = text.replacen(last, &format!("{last}, \"T/../kept.csv\", \"T/notes.csv\""), 1);
    fs::write(at("datapackage.json"), more).unwrap();
    assert_eq!(export(dir.path(), &two[..1]), Exported { strange: strange(), ..done(1, 1, 0, 1) });
    assert!(!at("T/T_2024-10-05.csv").exists());
    // Without the manifest nobody knows whose the files are.
    export(dir.path(), &two);
    fs::remove_file(at("datapackage.json")).unwrap();
    let left = export(dir.path(), &two[1..]);
    assert_eq!((left.removed, left.strange.len()), (0, 3));
    for mine in ["T/T_1999-01-01.csv", "T/T.csv", "T/notes.csv", "kept.csv"] {
        assert_eq!(fs::read_to_string(at(mine)).unwrap(), "mine");
    }
}

#[test]
fn only_what_an_export_wrote_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (one, other) = ([(20_000 * DAY, "x", 0)], [(20_000 * DAY, "y", 0)]);
    let begin = || Export::begin(dir.path(), &dir.path().join("no-lake")).unwrap();
    let try_export = |rows: &[(i64, &str, i64)]| {
        let mut export = begin();
        let mut table = export.table("T", &columns(), Period::Day(0), &["text"]).unwrap();
        table.write(&batch(rows)).unwrap();
        table.finish()
    };
    fs::create_dir(at("T")).unwrap();
    fs::write(at("T/T_2024-10-04.csv"), "mine").unwrap();
    let refused = try_export(&one).unwrap_err();
    assert!(refused.status() == 2 && refused.to_string().contains("T_2024-10-04.csv is in the way"), "{refused}");
    assert_eq!(fs::read_to_string(at("T/T_2024-10-04.csv")).unwrap(), "mine");
    assert!(!at("datapackage.json").exists());
    fs::remove_file(at("T/T_2024-10-04.csv")).unwrap();
    export(dir.path(), &one);
    // Of an export whose manifest is gone, or that was cut off before it.
    fs::remove_file(at("datapackage.json")).unwrap();
    assert_eq!(export(dir.path(), &other), done(1, 1, 1, 0));
    // With other columns than the last export's.
    let mut export = begin();
    export.table("T", &columns()[..2], Period::Whole, &[]).unwrap().finish().unwrap();
    let text = fs::read_to_string(at("T/T.csv")).unwrap();
    assert_eq!(text, "\u{feff}timestamp,text\r\n");
    assert!(!at("T/T_2024-10-04.csv").exists());
    // Listed, and not what was written.
    fs::write(at("T/T.csv"), "mine").unwrap();
    assert!(export.table("T", &columns()[..2], Period::Whole, &[]).unwrap().finish().is_err());
    let moved = try_export(&one).unwrap();
    assert_eq!((moved.removed, moved.strange), (0, vec![at("T/T.csv")]));
    assert_eq!(fs::read_to_string(at("T/T.csv")).unwrap(), "mine");
    // An empty file holds nothing that would be lost.
    fs::write(at("T/T_2024-10-05.csv"), "").unwrap();
    assert_eq!(try_export(&[(20_001 * DAY, "x", 0)]).unwrap().written, 1);
}

#[cfg(unix)]
#[test]
fn a_link_is_followed_to_what_an_export_wrote_alone() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let rows = [(20_000 * DAY, "x", 0)];
    export(dir.path(), &rows);
    fs::rename(at("T/T_2024-10-04.csv"), at("far.csv")).unwrap();
    std::os::unix::fs::symlink("../far.csv", at("T/T_2024-10-04.csv")).unwrap();
    export(dir.path(), &[(20_000 * DAY, "y", 0)]);
    assert!(at("T/T_2024-10-04.csv").is_symlink() && fs::read_to_string(at("far.csv")).unwrap().contains(",y,"));
    fs::write(at("far.csv"), "mine").unwrap();
    let mut export = Export::begin(dir.path(), &at("no-lake")).unwrap();
    let mut table = export.table("T", &columns(), Period::Day(0), &["text"]).unwrap();
    table.write(&batch(&rows)).unwrap();
    assert!(table.finish().is_err());
    assert_eq!(fs::read_to_string(at("far.csv")).unwrap(), "mine");
}

#[test]
fn one_file_a_day_reads_back_and_a_second_export_rewrites_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let rows = [(20_000 * DAY, "=1+1", 15_000_000), (20_001 * DAY, "a,\"b\"\r\n", -5), (20_000 * DAY + 1, "ö", 0)];
    assert_eq!(export(dir.path(), &rows), done(3, 2, 2, 0));
    let file = dir.path().join("T/T_2024-10-04.csv");
    let bytes = fs::read(&file).unwrap();
    assert!(bytes.starts_with(b"\xef\xbb\xbftimestamp,text,took,tookSeconds\r\n"));
    let mut reader = csv::Reader::from_reader(&bytes[3..]);
    let read: Vec<Vec<String>> = reader.records().map(|r| r.unwrap().iter().map(str::to_owned).collect()).collect();
    assert_eq!(read[0], ["2024-10-04T00:00:00.0000000Z", "'=1+1", "00:00:01.5000000", "1.5"]);
    assert_eq!(read[1][1], "ö");

    let before = fs::metadata(&file).unwrap().modified().unwrap();
    assert_eq!(export(dir.path(), &rows), done(3, 2, 0, 0));
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), before);

    assert_eq!(export(dir.path(), &rows[..1]), done(1, 1, 1, 1));
    let names: Vec<String> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn what_is_held_in_memory_is_written_in_time_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let texts: Vec<String> = (0..3).map(|n| char::from(b'a' + n).to_string().repeat(200_000)).collect();
    // More than one file holds, and more than all of them do.
    let rows: Vec<(i64, &str, i64)> = (0..3)
        .flat_map(|n| (0..50).map(move |day| (n, day)))
        .map(|(n, day)| ((20_000 + day) * DAY, texts[n].as_str(), 0))
        .collect();
    assert_eq!(export(dir.path(), &rows), done(150, 50, 50, 0));
    for entry in fs::read_dir(dir.path().join("T")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let lines: Vec<&str> = text.lines().skip(1).map(|line| line.split(',').nth(1).unwrap()).collect();
        assert_eq!(lines, texts);
    }
}

#[test]
fn a_file_that_holds_much_is_written_while_others_hold_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let text = "a".repeat(200_000);
    let rows: Vec<(i64, &str, i64)> = (0..5).map(|_| (20_000 * DAY, text.as_str(), 0)).collect();
    assert_eq!(export(dir.path(), &rows), done(5, 1, 1, 0));
    let written = fs::read_to_string(dir.path().join("T/T_2024-10-04.csv")).unwrap();
    assert_eq!(written.lines().skip(1).filter(|line| line.split(',').nth(1) == Some(&text)).count(), 5);
}

#[test]
fn files_of_a_resource_of_others_are_not_the_exports_whatever_its_title() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("T")).unwrap();
    fs::write(at("T/T_1999-01-01.csv"), "mine").unwrap();
    let file = serde_json::json!({ "path": "T/T_1999-01-01.csv", "sha256": hex(&Sha256::digest("mine")) });
    let resource = serde_json::json!({ "name": "x", "title": "T", "path": ["T/T_1999-01-01.csv"], "files": [file] });
    fs::write(at("datapackage.json"), serde_json::json!({ "resources": [resource] }).to_string()).unwrap();
    let exported = export(dir.path(), &[(20_000 * DAY, "x", 0)]);
    assert_eq!(exported, Exported { strange: vec![at("T/T_1999-01-01.csv")], ..done(1, 1, 1, 0) });
    assert_eq!(fs::read_to_string(at("T/T_1999-01-01.csv")).unwrap(), "mine");
}

#[test]
fn a_result_has_a_file_a_month_where_its_first_column_is_a_datetime() {
    assert_eq!(Period::of_result(&columns()), Period::Month(0));
    assert_eq!([Period::of_result(&columns()[1..]), Period::of_result(&[])], [Period::Whole, Period::Whole]);
}

#[test]
fn a_table_without_rows_has_a_file_with_its_header() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(export(dir.path(), &[]), done(0, 1, 1, 0));
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
    // The next export's entry takes its place.
    export(dir.path(), &[(20_000 * DAY, "x", 0), (20_001 * DAY, "y", 0)]);
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(dir.path().join("datapackage.json")).unwrap()).unwrap();
    let rows: Vec<_> = manifest["resources"].as_array().unwrap().iter().map(|r| r["rows"].as_u64()).collect();
    assert_eq!(rows, [Some(2)]);
}

#[test]
fn every_beginning_of_a_formula_is_guarded() {
    let guarded = |text: &str| {
        let mut guarded = text.to_owned();
        kqlake_value::formula::guard(&mut guarded);
        guarded
    };
    for start in ["=", "+", "-", "@", "\u{ff1d}", "\u{ff0b}", "\u{ff0d}", "\u{ff20}"] {
        for before in ["", " ", "   ", "\t", "\r\n", "\n", "\u{a0}", "\u{3000}", "\u{feff}", "\u{200b}", " \n\t "] {
            let text = format!("{before}{start}1+1");
            assert_eq!(guarded(&text), format!("'{text}"), "{text:?}");
        }
    }
    for text in ["\tx", "\rx", "\nx", "\0x", "-5", "+49 30", "@", " =", "'=1"] {
        assert_eq!(guarded(text), format!("'{text}"), "{text:?}");
    }
    for text in ["", " ", "a", "a=1", "1-1", " a", "'1", "ü=", "\u{3000}a", "\"=1"] {
        assert_eq!(guarded(text), text, "{text:?}");
    }
}

#[test]
fn a_columns_name_is_guarded_in_the_header_and_in_the_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let columns = [Column::new("=1+1", Type::String), Column::new("-took", Type::TimeSpan)];
    let mut export = Export::begin(dir.path(), &dir.path().join("no-lake")).unwrap();
    export.table("T", &columns, Period::Whole, &["=1+1"]).unwrap().finish().unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("T/T.csv")).unwrap(), "\u{feff}'=1+1,'-took,'-tookSeconds\r\n");
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(dir.path().join("datapackage.json")).unwrap()).unwrap();
    let schema = &manifest["resources"][0]["schema"];
    let names: Vec<&str> = schema["fields"].as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap()).collect();
    assert_eq!((names, &schema["primaryKey"]), (vec!["'=1+1", "'-took", "'-tookSeconds"], &serde_json::json!(["'=1+1"])));
}

#[test]
fn two_exports_into_one_folder_keep_each_others_entries() {
    let dir = tempfile::tempdir().unwrap();
    let lake = dir.path().join("no-lake");
    let foreign = r#"{"title":"mine","resources":[{"name":"x","title":"T"}]}"#;
    fs::write(dir.path().join("datapackage.json"), foreign).unwrap();
    let (mut first, mut second) = (Export::begin(dir.path(), &lake).unwrap(), Export::begin(dir.path(), &lake).unwrap());
    first.table("A", &columns(), Period::Whole, &[]).unwrap().finish().unwrap();
    second.table("B", &columns(), Period::Whole, &[]).unwrap().finish().unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(dir.path().join("datapackage.json")).unwrap()).unwrap();
    let names: Vec<&str> = manifest["resources"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert_eq!((names, manifest["title"].as_str()), (vec!["a", "b", "x"], Some("mine")));
    drop((first, second));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    let mut export = Export::begin(dir.path(), &lake).unwrap();
    for name in ["..", ".hidden", "a/b", "datapackage.json"] {
        assert_eq!(export.table(name, &columns(), Period::Whole, &[]).err().map(|err| err.status()), Some(2), "{name}");
    }
}
