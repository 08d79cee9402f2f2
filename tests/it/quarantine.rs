//! Refused records: quarantined once, listed by reason, shown whole, tried again, dropped; known failures are no new ones.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::import::{Place, classic};
use super::support::{Run, csv_rows, kqlake, run_in};

/// Runs at a minute of a day after that of any file that a test writes.
fn run(dir: &Path, minute: u32, args: &[&str]) -> Run {
    let now = format!("2100-01-01T00:{minute:02}:00Z");
    run_in(dir, &[&["--now", &now, "--lake", "lake"], args].concat())
}

/// The folder of what the one run of a lake quarantined. Beside it is the file by which runs take turns.
pub fn run_folder(lake: &Path) -> PathBuf {
    let entries = fs::read_dir(lake.join("_quarantine")).expect("a folder").map(|entry| entry.expect("an entry").path());
    let folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    assert_eq!(folders.len(), 1, "{folders:?}");
    folders[0].clone()
}

fn listed(dir: &Path, args: &[&str]) -> Vec<Vec<String>> {
    let out = run(dir, 50, &[&["quarantine"], args, &["-f", "csv"]].concat()).exits(0).out;
    csv_rows(&out).into_iter().skip(1).collect()
}

fn good(message: &str) -> String {
    format!("{{\"timestamp\":\"2026-01-05T07:23:00Z\",\"message\":\"{message}\",\"itemType\":\"trace\"}}\n")
}

fn bad(message: &str) -> String {
    format!("{{\"timestamp\":\"later\",\"message\":\"{message}\",\"itemType\":\"trace\"}}\n")
}

#[test]
fn a_known_failure_is_quarantined_once_and_is_no_new_one() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(dir.path().join("in")).expect("a folder");
    fs::write(dir.path().join("in/a.ndjson"), good("a") + &bad("b")).expect("a file");
    fs::write(dir.path().join("in/b.ndjson"), good("c")).expect("a file");
    fs::write(dir.path().join("in/c.bin"), b"\x01\x02\x03 nothing that is known").expect("a file");
    run(dir.path(), 0, &["import", "--from", "in"]).exits(5).says("a.ndjson");
    assert_eq!(listed(dir.path(), &["show"]).len(), 2);
    let ledger = |minute| csv_rows(&run(dir.path(), minute, &["ledger", "--failed", "-f", "csv"]).exits(0).out).len() - 1;
    assert_eq!(ledger(1), 2);

    let second = run(dir.path(), 2, &["import", "--from", "in"]).exits(0);
    assert!(second.err.contains("2 files with refused records as an earlier import left them"), "{}", second.err);
    assert!(!second.err.contains("warning"), "{}", second.err);
    assert_eq!(listed(dir.path(), &["show"]).len(), 2, "nothing is quarantined twice");
    assert_eq!(ledger(3), 2, "the ledger still shows them");

    // A new failure beside them is one.
    fs::write(dir.path().join("in/d.ndjson"), bad("d")).expect("a file");
    let third = run(dir.path(), 4, &["import", "--from", "in"]).exits(5).says("d.ndjson").says("1 of 4 files");
    assert!(!third.err.contains("a.ndjson"), "{}", third.err);
    // So is a file that changed.
    fs::write(dir.path().join("in/a.ndjson"), good("a") + &bad("b") + &bad("e")).expect("a file");
    run(dir.path(), 5, &["import", "--from", "in"]).exits(5).says("a.ndjson");
    // Whoever asks for it gets everything again.
    run(dir.path(), 6, &["import", "--from", "in", "--again"]).exits(5).says("a.ndjson").says("d.ndjson");
    let traces = run(dir.path(), 7, &["query", "traces | where message in ('a', 'c') | count", "-f", "csv"]).exits(0).out;
    assert_eq!(csv_rows(&traces)[1], ["2"]);
}

#[test]
fn what_is_read_whole_later_is_quarantined_no_more() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let heading = "Received,SenderAddress,RecipientAddress,Subject,Status,MessageId,MessageTraceId\n";
    let trace =
        |id: u32| format!("05/01/2026 00:10:13,a@c.com,b@d.com,s,Delivered,<m{id}@c>,1d2e3f40-5a6b-4c7d-8e9f-00000000000{id}\n");
    for (name, id) in [("same.csv", 1), ("other.csv", 2)] {
        fs::write(dir.path().join(name), heading.to_owned() + &trace(id)).expect("a file");
    }
    run(dir.path(), 0, &["import", "--from", "same.csv", "--from", "other.csv"]).exits(5).says("--date-order");
    assert_eq!(listed(dir.path(), &["show"]).len(), 2);
    // One of them has something else now, and what it had before is nowhere else.
    fs::write(dir.path().join("other.csv"), heading.to_owned() + &trace(3)).expect("a file");
    run(dir.path(), 1, &["import", "--from", "same.csv", "--from", "other.csv", "--date-order", "day-first"]).exits(0);
    let shown = listed(dir.path(), &["show"]);
    assert!(shown.len() == 1 && shown[0][0].ends_with("other.csv"), "{shown:?}");
    // The rows stay those of a file that was read whole.
    let ledger = run(
        dir.path(),
        2,
        &["query", "ImportLedger | where unit has 'same' | summarize arg_max(startedAt, state, rows)", "-f", "csv"],
    );
    assert_eq!(csv_rows(&ledger.exits(0).out)[1][1..], ["done", "1"]);
}

#[test]
fn a_record_of_a_file_that_grows_is_refused_once() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("log.ndjson");
    let foreign = |from: usize, to: usize| (from..to).map(|n| format!("{{\"foreign\":{n}}}\n")).collect::<String>();
    let mut text = good("a") + &bad("b") + &bad("b") + &foreign(0, 205);
    let mut import = |minute, more: &str, args: &[&str]| {
        text += more;
        fs::write(&path, &text).expect("the file grows");
        run(dir.path(), minute, &[&["import", "--from", "log.ndjson"], args].concat())
    };
    let kept = || {
        let counts = listed(dir.path(), &[]);
        counts.iter().map(|row| row[1].parse::<u64>().expect("a number")).sum::<u64>()
    };
    import(0, "", &[]).exits(5);
    assert_eq!((kept(), listed(dir.path(), &["show"]).len()), (207, 203));
    // More good records: nothing is new that is wrong.
    let grown = import(1, &good("c"), &[]).exits(0);
    assert!(grown.err.contains("1 file with refused records as an earlier import left them"), "{}", grown.err);
    assert!(!grown.err.contains("warning"), "{}", grown.err);
    assert_eq!((kept(), listed(dir.path(), &["show"]).len()), (207, 203));
    let failed = csv_rows(&run(dir.path(), 2, &["ledger", "--failed", "-f", "csv"]).exits(0).out);
    assert_eq!(failed.len(), 2, "the ledger still shows it");
    import(3, "", &[]).exits(0);
    // The third of the same text, and what is beyond the sample, are new, and only they are reported.
    let grown =
        import(4, &(bad("b") + &good("d") + &foreign(205, 207)), &[]).exits(5).says("line 210").says("207 more were refused");
    assert!(!grown.err.contains("(line 2,"), "{}", grown.err);
    assert_eq!((kept(), listed(dir.path(), &["show"]).len()), (210, 205));
    import(5, &good("e"), &[]).exits(0);
    // Who asks for all of it sees all of it, and it is kept once.
    import(6, "", &["--again"]).exits(5).says("line 2");
    assert_eq!(kept(), 210);
    run(dir.path(), 7, &["quarantine", "retry"]).exits(5);
    assert_eq!(kept(), 210);
    let traces = run(dir.path(), 8, &["query", "traces | where message in ('a','c','d','e') | count", "-f", "csv"]).exits(0).out;
    assert_eq!(csv_rows(&traces)[1], ["4"]);
}

#[test]
fn the_quarantine_is_listed_by_reason_and_shown_whole() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let long = "x".repeat(200_000);
    fs::write(dir.path().join("a.ndjson"), bad("1") + &bad(&long) + "{\"timestamp\":7,\n" + &good("m")).expect("a file");
    fs::write(dir.path().join("b.ndjson"), bad("3")).expect("a file");
    run(dir.path(), 0, &["import", "--from", "a.ndjson", "b.ndjson"]).exits(5);
    let reasons = listed(dir.path(), &[]);
    assert_eq!((reasons[0][1].as_str(), reasons[0][2].as_str()), ("3", "2"), "{reasons:?}");
    assert!(reasons[0][5].ends_with("a.ndjson (line 1)"), "{reasons:?}");
    let shown = listed(dir.path(), &["show", "a.ndjson"]);
    let record = shown.iter().find(|row| row[1] == "line 2").expect("the long record");
    assert_eq!((record[3].as_str(), record[4].as_str()), (bad(&long).trim_end(), "true"));
    assert!(listed(dir.path(), &["show", "--reason", "no such reason"]).is_empty());
    let some =
        run(dir.path(), 2, &["quarantine", "show", "--limit", "1", "-f", "csv"]).exits(0).says("3 more records are not shown");
    assert_eq!(csv_rows(&some.out).len(), 2);
    let size = |dir: &Path| {
        fs::read_dir(dir).expect("a folder").map(|f| f.and_then(|f| f.metadata()).expect("a file").len()).sum::<u64>()
    };
    assert!(size(&run_folder(&dir.path().join("lake"))) < 20_000, "it is compressed");
    run(dir.path(), 1, &["quarantine", "show", "c.ndjson"]).exits(2).says("nothing of `c.ndjson`");
}

#[test]
fn files_are_tried_again_and_their_old_records_go() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("a.ndjson");
    fs::write(&path, good("a") + &bad("b")).expect("a file");
    fs::write(dir.path().join("gone.ndjson"), bad("c")).expect("a file");
    run(dir.path(), 0, &["import", "--from", "a.ndjson", "gone.ndjson"]).exits(5);
    fs::remove_file(dir.path().join("gone.ndjson")).expect("removed");
    // The same program refuses the same record, and keeps it once.
    run(dir.path(), 1, &["quarantine", "retry"]).exits(5).says("gone.ndjson is not there any more");
    let shown = listed(dir.path(), &["show"]);
    assert_eq!(shown.len(), 2, "{shown:?}");
    // A record that comes by again in a file that has grown is kept once, too.
    fs::write(&path, good("a") + &bad("b") + &bad("d")).expect("grown");
    run(dir.path(), 2, &["quarantine", "retry", "a.ndjson"]).exits(5);
    let shown = listed(dir.path(), &["show", "a.ndjson"]);
    assert_eq!(shown.iter().map(|row| row[1].as_str()).collect::<Vec<_>>(), ["line 2", "line 3"], "{shown:?}");
    // Nobody knows of a record that is not there any more whether it is in the lake.
    fs::write(&path, good("a") + &good("b") + &bad("d")).expect("mended");
    run(dir.path(), 3, &["quarantine", "retry", "a.ndjson"]).exits(5).says("a.ndjson is not what it was");
    assert_eq!(listed(dir.path(), &["show", "a.ndjson"]).len(), 3);
    run(dir.path(), 4, &["quarantine", "drop", "a.ndjson"]).exits(0);
    let shown = listed(dir.path(), &["show"]);
    assert!(shown.len() == 1 && shown[0][0].ends_with("gone.ndjson"), "{shown:?}");
    run(dir.path(), 5, &["quarantine", "drop"]).exits(2);
    assert_eq!(listed(dir.path(), &["show"]).len(), 1, "nothing is dropped that was not named");
    run(dir.path(), 6, &["quarantine", "drop", "gone.ndjson"]).exits(0);
    assert!(listed(dir.path(), &[]).is_empty());
    run(dir.path(), 7, &["quarantine", "drop", "--all"]).exits(0);
}

#[test]
fn a_file_that_was_overwritten_takes_no_record_out_of_quarantine() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("today.ndjson");
    fs::write(&path, good("a") + &bad("first day")).expect("a file");
    run(dir.path(), 0, &["import", "--from", "today.ndjson"]).exits(5);
    let kept = listed(dir.path(), &["show"]);
    fs::write(&path, good("b") + &good("c")).expect("the next day's content");
    run(dir.path(), 1, &["import", "--from", "today.ndjson"]).exits(0);
    run(dir.path(), 2, &["quarantine", "retry"]).exits(0).says("today.ndjson is not what it was");
    assert_eq!(listed(dir.path(), &["show"]), kept);
    // With the content of then it is tried anew: of both tries one copy is left.
    fs::write(&path, good("a") + &bad("first day")).expect("the first day's content");
    run(dir.path(), 3, &["quarantine", "retry"]).exits(5);
    assert_eq!(listed(dir.path(), &["show"]).len(), 1);
}

#[test]
fn an_archive_that_cannot_be_opened_is_quarantined_once() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    fs::write(dir.path().join("a.zip"), b"PK\x03\x04 and then nothing of an archive").expect("a file");
    // So soon after it was written its times say nothing.
    let import = |args: &[&str]| run_in(dir.path(), &[&["--lake", "lake", "import", "--from", "a.zip"], args].concat());
    import(&[]).exits(5);
    import(&[]).exits(0).says("1 file with refused records as an earlier import left them");
    assert_eq!(listed(dir.path(), &["show"]).len(), 1);
    import(&["--again"]).exits(5);
}

#[test]
fn a_section_is_finished_beside_a_file_that_is_known_to_break_off() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    gz.write_all((0..3_000).map(|n| good(&n.to_string())).collect::<String>().as_bytes()).expect("compressed");
    let whole = gz.finish().expect("compressed");
    fs::write(dir.path().join("t.gz"), &whole[..whole.len() - 2_000]).expect("a file");
    let finished = |minute| {
        let count = "customEvents | where name == 'FinishedSectionImport' | count";
        run(dir.path(), minute, &["query", count, "-f", "csv"]).exits(0).out
    };
    assert!(run(dir.path(), 0, &["import", "--from", "t.gz"]).exits(5).out.contains("NOT FINISHED"));
    assert_eq!(finished(1), "Count\n0\n");
    assert!(!run(dir.path(), 2, &["import", "--from", "t.gz"]).exits(0).out.contains("NOT FINISHED"));
    assert_eq!(finished(3), "Count\n1\n");
}

#[test]
fn what_is_kept_of_many_refused_records_is_told() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let foreign: String = (0..205).map(|n| format!("{{\"foreign\":{n}}}\n")).collect();
    fs::write(dir.path().join("a.ndjson"), good("a") + &foreign).expect("a file");
    let import = run(dir.path(), 0, &["import", "--from", "a.ndjson"]).exits(5);
    assert!(import.out.contains("205 refused"), "{}", import.out);
    assert!(import.err.contains("200 are quarantined in") && import.err.contains("5 are only counted"), "{}", import.err);
    let reasons = listed(dir.path(), &[]);
    let counts: Vec<&str> = reasons.iter().map(|row| row[1].as_str()).collect();
    assert_eq!(counts, ["200", "5"], "{reasons:?}");
    // A reason is a record's own, not the pattern of all with the same.
    let shown = listed(dir.path(), &["show"]);
    assert_eq!(reasons[0][0], shown[0][2]);
    assert_eq!(reasons[1][0], "more records were refused; their texts are not kept");
}

#[test]
fn records_are_kept_as_long_and_as_many_as_the_settings_say() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for name in ["a", "b"] {
        fs::write(dir.path().join(format!("{name}.ndjson")), bad(name)).expect("a file");
    }
    let import = |now: &str, file: &str| run_in(dir.path(), &["--now", now, "--lake", "lake", "import", "--from", file]).exits(5);
    import("2100-01-01T00:00:00Z", "a.ndjson");
    import("2100-03-01T00:00:00Z", "b.ndjson");
    let kept = || listed(dir.path(), &["show"]).len();
    assert_eq!(kept(), 2);
    fs::write(dir.path().join("c.ndjson"), good("c")).expect("a file");
    let next = |now: &str| run_in(dir.path(), &["--now", now, "--lake", "lake", "import", "--from", "c.ndjson"]).exits(0);
    let run = next("2100-04-02T00:00:00Z");
    assert!(run.err.contains("1 file of refused records removed"), "{}", run.err);
    assert_eq!(kept(), 1);
    fs::write(dir.path().join("kqlake.toml"), "quarantine_size = \"1\"\n").expect("settings");
    next("2100-04-02T00:00:01Z");
    assert_eq!(kept(), 0);
}

#[cfg(unix)]
#[test]
fn names_that_are_no_text_are_told_apart() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let files = dir.path().join("in");
    fs::create_dir(&files).expect("a folder");
    let name = |bytes: &'static [u8]| files.join(OsStr::from_bytes(bytes));
    fs::write(name(b"x\xfe.ndjson"), good("a")).expect("a file");
    fs::write(name(b"x\xff.ndjson"), good("b") + &bad("c")).expect("a file");
    run(dir.path(), 0, &["import", "--from", "in"]).exits(5).says("x%FF.ndjson");
    let rows = run(
        dir.path(),
        1,
        &["query", "traces | where timestamp < datetime(2030-01-01) | project message | order by message asc", "-f", "csv"],
    );
    assert_eq!(rows.exits(0).out, "message\na\nb\n");

    // The file is found again, and its name is taken as it is and as it is listed.
    run(dir.path(), 2, &["quarantine", "retry"]).exits(5).says("x%FF.ndjson");
    let unit = listed(dir.path(), &["show"])[0][0].clone();
    let drop = |name: &OsStr| {
        let args = ["--lake", "lake", "quarantine", "drop"].map(OsStr::new);
        kqlake(args.into_iter().chain([name])).current_dir(dir.path()).output().expect("the program runs").status.code()
    };
    assert_eq!(drop(OsStr::from_bytes(b"in/x\xfe.ndjson")), Some(2));
    assert_eq!(drop(OsStr::from_bytes(b"in/x\xff.ndjson")), Some(0));
    assert_eq!(listed(dir.path(), &["show"]).len(), 0);
    run(dir.path(), 3, &["import", "--from", "in", "--again"]).exits(5);
    assert_eq!(drop(OsStr::new(&unit)), Some(0));
    assert_eq!(listed(dir.path(), &["show"]).len(), 0);
}

#[test]
fn a_name_with_an_exclamation_mark_is_no_archives() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(dir.path().join("Yes!")).expect("a folder");
    let file = dir.path().join("Yes!/no!.ndjson");
    fs::write(&file, good("a") + &bad("b")).expect("a file");
    run(dir.path(), 0, &["import", "--from", "Yes!"]).exits(5);
    // The file is found, read again, and what was quarantined of it before goes.
    let tried = run(dir.path(), 1, &["quarantine", "retry"]).exits(5);
    assert!(!tried.err.contains("is not there any more"), "{}", tried.err);
    let shown = listed(dir.path(), &["show"]);
    assert_eq!(shown.len(), 1, "{shown:?}");
    run(dir.path(), 2, &["quarantine", "drop", "Yes!/no!.ndjson"]).exits(0);
    assert!(listed(dir.path(), &["show"]).is_empty());
}

#[tokio::test]
async fn the_quarantine_says_where_and_why() {
    let place = Place::new();
    let path =
        place.file("x.ndjson", format!("{}\n{{\"timestamp\":\"later\",\"itemType\":\"trace\",\"message\":\"m\"}}\n", classic(1)));
    place.import(&[path]).await;
    let quarantined = place.quarantined();
    let [entry] = quarantined.as_slice() else { panic!("{quarantined:?}") };
    assert_eq!((entry["place"]["line"].as_u64(), entry["place"]["byte"].as_u64()), (Some(2), Some(classic(1).len() as u64 + 1)));
    assert!(entry["reason"].as_str().is_some_and(|r| r.contains("no time")));
    assert!(entry["record"].as_str().is_some_and(|r| r.contains("\"later\"")));
}

#[test]
fn a_file_that_is_refused_as_a_whole_is_quarantined_once_however_often_it_is_read() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    fs::write(dir.path().join("none.json"), "nonsense\nmore of it\n").expect("written");
    fs::write(dir.path().join("none.bin"), [0, 1, 2, 3, 255]).expect("written");
    let import = |again: &[&str]| {
        let args = [&["--lake", "lake", "import", "--from", "none.json", "none.bin"], again].concat();
        run_in(dir.path(), &args)
    };
    let quarantined = || csv_rows(&run_in(dir.path(), &["--lake", "lake", "quarantine", "-f", "csv"]).exits(0).out);
    import(&[]).exits(5).says("none.json").says("none.bin");
    let first = quarantined();
    assert_eq!(first.len(), 3, "{first:?}");
    for _ in 0..2 {
        // It is told of whenever it is asked for.
        import(&["--again"]).exits(5).says("none.json").says("none.bin");
        assert_eq!(quarantined(), first);
    }
    import(&[]).exits(0);
    // Another content with the same fault is reported, and the record of it stays one.
    fs::write(dir.path().join("none.json"), "nonsense that is longer than before\n").expect("written");
    import(&[]).exits(5).says("none.json");
    assert_eq!(quarantined(), first);
}

/// A text with a gzip of it whose checksum says that it was altered.
fn altered(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).expect("compressed");
    let mut bytes = encoder.finish().expect("compressed");
    let checksum = bytes.len() - 8;
    bytes[checksum] ^= 1;
    bytes
}

#[test]
fn what_landed_of_an_altered_file_before_its_checksum_is_told_and_the_file_is_a_failure() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let lines = |count: u32, long: &str| (0..count).map(|n| good(&format!("{n} {long}"))).collect::<String>();
    fs::write(dir.path().join("long.ndjson.gz"), altered(&lines(6_000, &"x".repeat(1_000)))).expect("written");
    let run = run(dir.path(), 1, &["import", "--from", "long.ndjson.gz"]).exits(5);
    let run = run.says("checksum").says("what was read before that is in the lake (6000 rows)").says("may be altered");
    assert!(run.out.contains("6000 new, 1 refused") && run.out.contains("NOT FINISHED"), "{}", run.out);
    let failed = run_in(dir.path(), &["--lake", "lake", "ledger", "--failed", "-f", "csv"]).exits(0).out;
    assert!(failed.contains("incomplete,6000,") && failed.contains("checksum"), "{failed}");
    // Of a short one nothing lands.
    fs::write(dir.path().join("short.ndjson.gz"), altered(&lines(10, ""))).expect("written");
    let run = self::run(dir.path(), 2, &["import", "--from", "short.ndjson.gz"]).exits(5).says("checksum");
    assert!(!run.err.contains("is in the lake ("), "{}", run.err);
}

#[test]
fn what_an_entry_of_an_archive_refused_stays_when_another_one_is_read_whole() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut zip = zip::ZipWriter::new(fs::File::create(dir.path().join("a.zip")).expect("a file"));
    for (name, text) in [("whole.ndjson", good("a")), ("part.ndjson", good("b") + &bad("c")), ("none.ndjson", bad("d"))] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).expect("an entry");
        zip.write_all(text.as_bytes()).expect("written");
    }
    zip.finish().expect("an archive");
    run(dir.path(), 0, &["import", "--from", "a.zip"]).exits(5);
    let shown = || {
        let mut shown: Vec<String> = listed(dir.path(), &["show"]).into_iter().map(|row| row[..3].join(" ")).collect();
        shown.sort();
        shown
    };
    let first = shown();
    assert_eq!(first.len(), 2, "{first:?}");
    for minute in [2, 4, 6] {
        run(dir.path(), minute, &["import", "--from", "a.zip", "--again"]).exits(5);
        assert_eq!(shown(), first);
        run(dir.path(), minute + 1, &["quarantine", "retry"]).exits(5);
        assert_eq!(shown(), first);
    }
}
