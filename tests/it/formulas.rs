//! Texts that a spreadsheet would take for a formula, as they leave in export files.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use super::support::run_in;

#[test]
fn every_beginning_of_a_formula_is_guarded_in_the_files_of_an_export() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(dir.path().join("sql")).expect("a folder");
    let query = "datatable(c: long)[0, 9, 10, 13, 39, 43, 45, 48, 61, 64, 97, 65291, 65293, 65309, 65312] \
                 | extend s = strcat(make_string(c), '1+1') \
                 | project c, s, blank = strcat(' ', s), d = todynamic(s), inner = strcat('a', s)";
    fs::write(dir.path().join("sql/starts.kql"), query).expect("a query");
    run_in(dir.path(), &["--lake", "lake", "export", "starts", "--to", "out"]).exits(0);
    let bytes = fs::read(dir.path().join("out/starts/starts.csv")).expect("an export file");
    let mut reader = csv::Reader::from_reader(bytes.strip_prefix(b"\xef\xbb\xbf").expect("a byte-order mark"));
    let rows: BTreeMap<u32, Vec<String>> = reader
        .records()
        .map(|row| row.expect("a row"))
        .map(|row| (row[0].parse().expect("a number"), row.iter().skip(1).map(str::to_owned).collect()))
        .collect();
    assert_eq!(rows.len(), 15);
    let cells = |start: char, guard: &str| {
        let s = format!("{start}1+1");
        assert_eq!(rows[&u32::from(start)][0], format!("{guard}{s}"), "a text");
        assert_eq!(rows[&u32::from(start)][2], format!("{guard}{s}"), "a dynamic value");
        assert_eq!(rows[&u32::from(start)][3], format!("a{s}"), "not at the beginning");
        rows[&u32::from(start)][1].clone()
    };
    // One line a character: the failing line names it.
    assert_eq!(cells('=', "'"), "' =1+1");
    assert_eq!(cells('+', "'"), "' +1+1");
    assert_eq!(cells('-', "'"), "' -1+1");
    assert_eq!(cells('@', "'"), "' @1+1");
    assert_eq!(cells('\u{ff1d}', "'"), "' \u{ff1d}1+1");
    assert_eq!(cells('\u{ff0b}', "'"), "' \u{ff0b}1+1");
    assert_eq!(cells('\u{ff0d}', "'"), "' \u{ff0d}1+1");
    assert_eq!(cells('\u{ff20}', "'"), "' \u{ff20}1+1");
    assert_eq!(cells('\t', "'"), " \t1+1");
    assert_eq!(cells('\r', "'"), " \r1+1");
    assert_eq!(cells('\n', "'"), " \n1+1");
    assert_eq!(cells('\0', "'"), " \u{0}1+1");
    assert_eq!(cells('a', ""), " a1+1");
    assert_eq!(cells('\'', ""), " '1+1");
    // The manifest tells readers what to take the guard away before.
    let manifest: Value = serde_json::from_slice(&fs::read(dir.path().join("out/datapackage.json")).expect("it")).expect("JSON");
    let guard = &manifest["resources"][0]["formulaGuard"];
    let starts = ["=", "+", "-", "@", "\u{ff1d}", "\u{ff0b}", "\u{ff0d}", "\u{ff20}"];
    assert_eq!(guard["behindBlanks"], json!(starts));
    assert_eq!(guard["before"], json!([&["\t", "\r", "\n", "\0"][..], &starts].concat()));
    assert_eq!((&guard["prefix"], &guard["types"]), (&json!("'"), &json!(["string", "guid", "dynamic"])));
}
