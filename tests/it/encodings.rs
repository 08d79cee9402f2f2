//! Texts that people and their programs write in other encodings, and with other delimiters, than ours.

use std::path::Path;

use super::support::{csv_rows, run_in};

/// A text in UTF-16, with its mark, as Notepad, Excel and PowerShell write it.
fn utf_16(text: &str) -> Vec<u8> {
    format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// A text of Western Europe with a byte a letter.
fn windows_1252(text: &str) -> Vec<u8> {
    text.chars().map(|letter| u8::try_from(u32::from(letter)).expect("a letter of Latin-1")).collect()
}

fn write(dir: &Path, name: &str, bytes: &[u8]) {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(path, bytes).expect("written");
}

#[test]
fn a_configuration_is_read_in_utf_16_and_refused_in_a_code_page_with_its_line() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let text = "# caf\u{e9}\nlake = \"caf\u{e9}\"\n";
    let marked = format!("\u{feff}{text}");
    for bytes in [utf_16(text), marked.clone().into_bytes(), text.as_bytes().to_vec()] {
        write(dir.path(), "kqlake.toml", &bytes);
        run_in(dir.path(), &["query", "traces | count"]).exits(2).says("caf\u{e9}");
    }
    write(dir.path(), "kqlake.toml", &windows_1252(text));
    run_in(dir.path(), &["tables"])
        .exits(2)
        .says("kqlake.toml: line 1 is not UTF-8")
        .says("Windows-1252")
        .says("save it as UTF-8");
    write(dir.path(), "kqlake.toml", &utf_16(text)[..9]);
    run_in(dir.path(), &["tables"]).exits(2).says("line 1 ends inside of a character of UTF-16");
}

#[test]
fn texts_of_queries_are_read_in_utf_16_and_refused_in_a_code_page_with_their_line() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let text = "// title: \u{e9}\nprint x = '\u{e9}\u{4e2d}'";
    write(dir.path(), "sql/one.kql", &utf_16(text));
    write(dir.path(), "two.sql", &utf_16("SELECT '\u{e9}' AS x"));
    assert_eq!(run_in(dir.path(), &["run", "one"]).exits(0).out, "x\n\u{e9}\u{4e2d}\n");
    assert_eq!(run_in(dir.path(), &["query", "@sql/one.kql"]).exits(0).out, "x\n\u{e9}\u{4e2d}\n");
    assert_eq!(run_in(dir.path(), &["sql", "@two.sql"]).exits(0).out, "x\n\u{e9}\n");
    run_in(dir.path(), &["check", "sql/one.kql"]).exits(0);
    write(dir.path(), "sql/one.kql", &windows_1252("// title: one\nprint '\u{e9}'"));
    let said = "line 2 is not UTF-8: it looks like Windows-1252";
    run_in(dir.path(), &["run", "one"]).exits(2).says(said);
    run_in(dir.path(), &["query", "@sql/one.kql"]).exits(3).says(said).says("save it as UTF-8");
}

#[test]
fn files_that_are_tables_are_read_in_utf_16_and_refused_in_a_code_page_with_their_line() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let csv = "name,n\r\ncaf\u{e9},1\r\n\"a\nb\",2\r\n";
    let json = "[{\"name\":\"caf\u{e9}\",\"n\":1},{\"name\":\"a\\nb\",\"n\":2}]";
    for (name, text) in [("t.csv", csv), ("t.json", json), ("t.tsv", &csv.replace(',', "\t"))] {
        let run = |language: &str, text: &str| run_in(dir.path(), &[language, "--table", &format!("T={name}"), text]);
        let big = utf_16(text).chunks(2).flat_map(|unit| [unit[1], unit[0]]).collect();
        for bytes in [utf_16(text), big, utf_16(text)[2..].to_vec(), text.as_bytes().to_vec()] {
            write(dir.path(), name, &bytes);
            let found = run("query", "T | where name startswith 'caf' or n == 2 | summarize names = make_list(name), sum(n)");
            assert_eq!(csv_rows(&found.exits(0).out)[1], ["[\"caf\u{e9}\",\"a\\nb\"]", "3"], "{name}");
            let found = run("sql", "SELECT sum(n) AS n FROM T WHERE name = 'caf\u{e9}'");
            assert_eq!(found.exits(0).out, "n\n1\n", "{name}");
        }
        write(dir.path(), name, &windows_1252(text));
        let run = run("query", "T").exits(2);
        if name != "t.json" {
            run.says("line 2 is not UTF-8: it looks like Windows-1252").says("save it as UTF-8");
        }
    }
    // Nothing is left of the copies in UTF-8.
    let spill = tempfile::tempdir().expect("a temporary folder");
    write(dir.path(), "t.csv", &utf_16(csv));
    write(dir.path(), "kqlake.toml", format!("spill_dir = {:?}\n", spill.path()).as_bytes());
    assert_eq!(run_in(dir.path(), &["query", "--table", "T=t.csv", "T | count"]).exits(0).out, "Count\n2\n");
    assert_eq!(std::fs::read_dir(spill.path()).expect("the folder").count(), 0);
}

#[test]
fn the_delimiter_is_the_one_that_header_and_rows_have() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let rows = |name: &str, text: &str| {
        write(dir.path(), name, text.as_bytes());
        csv_rows(&run_in(dir.path(), &["sql", "--table", &format!("T={name}"), "SELECT * FROM T"]).exits(0).out)
    };
    for text in ["a;b\n1,5;x\n", "a\tb\n1,5\tx\n", "a;b\n\"1,5\";\"x\"\n"] {
        assert_eq!(rows("t.csv", text), [["a", "b"], ["1,5", "x"]], "{text}");
    }
    // The ending of a file with tabs says so.
    assert_eq!(rows("t.tsv", "last, first\nDoe, Jane\n"), [["last, first"], ["Doe, Jane"]]);
    assert_eq!(rows("t.tsv", "a;b\tc,d\n1;2\t3,4\n"), [["a;b", "c,d"], ["1;2", "3,4"]]);
    assert_eq!(rows("t.csv", "a,b;c\n1,x\n"), [["a", "b;c"], ["1", "x"]]);
    assert_eq!(rows("t.csv", "a;b\n"), [["a", "b"]]);
    // A column whose name has a semicolon.
    assert_eq!(rows("t.csv", "a;b\nx\n"), [["a;b"], ["x"]]);
    assert_eq!(rows("t.csv", "\"a;b\"\nx;y\n"), [["a;b"], ["x;y"]]);
    // All records count, not the first alone.
    assert_eq!(rows("t.csv", "note;remark\nx;y\nplain\n"), [["note;remark"], ["x;y"], ["plain"]]);
    assert_eq!(rows("t.csv", "a,b;c\n1;2\n3,5;4\n"), [["a,b", "c"], ["1", "2"], ["3,5", "4"]]);
    assert_eq!(rows("t.csv", "\"price,EUR\";qty\n1,5;2\n"), [["price,EUR", "qty"], ["1,5", "2"]]);
    // A record that the end of what is looked at cuts is none; the one before it is.
    let long = "x".repeat(70_000);
    assert_eq!(rows("t.csv", &format!("a;b\n{long};2\n")), [["a", "b"], [&long, "2"]]);
    assert_eq!(rows("t.csv", &format!("a;b\nx\n{long};2\n"))[..2], [["a;b"], ["x"]]);
    write(dir.path(), "t.csv", b"a,b\n1,2\n3\n");
    run_in(dir.path(), &["query", "--table", "T=t.csv", "T"])
        .exits(2)
        .says("line 3 has 1 fields, and its header 2, with `,` between them");
    // One record among many that is not as the others has no say.
    write(dir.path(), "t.csv", b"a;b\n1;2\n3;4\n5,5\n6;7\n");
    run_in(dir.path(), &["sql", "--table", "T=t.csv", "SELECT * FROM T"])
        .exits(2)
        .says("line 4 has 1 field")
        .says("with `;` between them");
    // Both give two columns, and nobody knows which.
    write(dir.path(), "t.csv", b"price,EUR;qty\n1,5;2\n");
    run_in(dir.path(), &["query", "--table", "T=t.csv", "T"]).exits(2).says("its fields may be separated by `,` or `;`");
}

#[test]
fn watchlists_are_read_as_files_that_are_tables_are() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    write(dir.path(), "kqlake.toml", b"watchlists = \"lists\"\n");
    let text = "SearchKey;name\r\nk;caf\u{e9}\r\n";
    let query = "_GetWatchlist('w') | project SearchKey, name";
    for bytes in [utf_16(text), text.as_bytes().to_vec(), text.replace(';', ",").into_bytes()] {
        write(dir.path(), "lists/w.csv", &bytes);
        assert_eq!(run_in(dir.path(), &["query", query]).exits(0).out, "SearchKey,name\nk,caf\u{e9}\n");
    }
    write(dir.path(), "lists/w.csv", &windows_1252(text));
    let refused = run_in(dir.path(), &["query", query]).exits(2).says("line 2 is not UTF-8").says("save it as UTF-8");
    assert!(!refused.err.contains("again later"), "{}", refused.err);
    for (text, said) in [("price,EUR;qty\n1,5;2\n", "separated by `,` or `;`"), ("\n", "names no columns")] {
        write(dir.path(), "lists/w.csv", text.as_bytes());
        let refused = run_in(dir.path(), &["query", "_GetWatchlist('w') | count"]).exits(2).says(said);
        assert!(!refused.err.contains("again later"), "{}", refused.err);
    }
}

/// A text in UTF-32, with its mark.
fn utf_32(text: &str) -> Vec<u8> {
    format!("\u{feff}{text}").chars().flat_map(|letter| u32::from(letter).to_le_bytes()).collect()
}

#[test]
fn utf_32_and_zero_bytes_are_refused_wherever_texts_are_read() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let settings = b"watchlists = \"lists\"\nexternal_data = [\"lists\"]\n";
    write(dir.path(), "kqlake.toml", settings);
    let big = |text: &str| utf_32(text).chunks(4).flat_map(|unit| unit.iter().rev().copied().collect::<Vec<u8>>()).collect();
    let utf_16_of_chinese = utf_16("\u{4e2d},b\n1,2\n")[2..].to_vec();
    for (bytes, said) in [
        (utf_32("a,b\n1,2\n"), "line 1 is in UTF-32"),
        (big("a,b\n1,2\n"), "line 1 is in UTF-32"),
        (utf_32("a,b\n1,2\n")[4..].to_vec(), "line 1 has a zero byte"),
        (utf_16_of_chinese, "line 1 has a zero byte"),
    ] {
        for name in ["lists/w.csv", "t.csv", "t.tsv", "t.json", "q.kql"] {
            write(dir.path(), name, &bytes);
        }
        let files = ["T=t.csv", "T=t.tsv", "T=t.json"].map(|file| (vec!["query", "--table", file, "T"], 2));
        let others = [
            (vec!["query", "@q.kql"], 3),
            (vec!["query", "_GetWatchlist('w')"], 2),
            (vec!["query", "externaldata(a: string)['w.csv']"], 3),
        ];
        for (args, status) in files.into_iter().chain(others) {
            run_in(dir.path(), &args).exits(status).says(said).says("save it as UTF-8");
        }
        write(dir.path(), "kqlake.toml", &bytes);
        run_in(dir.path(), &["tables"]).exits(2).says(said).says("save it as UTF-8");
        write(dir.path(), "kqlake.toml", settings);
    }
}

#[test]
fn externaldata_reads_texts_as_files_that_are_tables_are_read() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    write(dir.path(), "kqlake.toml", b"external_data = [\"lists\"]\n");
    let (separated, json) = ("x,1\ncaf\u{e9},2\n", "{\"a\":\"x\",\"n\":1}\n{\"a\":\"caf\u{e9}\",\"n\":2}\n");
    for (format, text, expected) in [
        ("csv", separated.to_owned(), "caf\u{e9}"),
        ("tsv", separated.replace(',', "\t"), "caf\u{e9}"),
        ("psv", separated.replace(',', "|"), "caf\u{e9}"),
        ("scsv", separated.replace(',', ";"), "caf\u{e9}"),
        ("txt", separated.to_owned(), "caf\u{e9},2"),
        ("raw", separated.to_owned(), "x,1\ncaf\u{e9},2\n"),
        ("json", json.to_owned(), "caf\u{e9}"),
        ("multijson", json.to_owned(), "caf\u{e9}"),
    ] {
        let query =
            format!("externaldata(a: string, n: long)['list'] with (format='{format}') | where a has 'caf\u{e9}' | project a");
        let big = utf_16(&text).chunks(2).flat_map(|unit| [unit[1], unit[0]]).collect();
        let marked = format!("\u{feff}{text}").into_bytes();
        for bytes in [utf_16(&text), big, utf_16(&text)[2..].to_vec(), marked, text.clone().into_bytes()] {
            write(dir.path(), "lists/list", &bytes);
            assert_eq!(csv_rows(&run_in(dir.path(), &["query", &query]).exits(0).out)[1], [expected], "{format}");
        }
        write(dir.path(), "lists/list", &windows_1252(&text));
        run_in(dir.path(), &["query", &query])
            .exits(3)
            .says("line 2 is not UTF-8: it looks like Windows-1252")
            .says("save it as UTF-8");
    }
}
