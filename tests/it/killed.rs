//! Programs that are killed at random instants: an import of overlapping files with compaction beside it. Nothing is lost,
//! nothing is there twice, and what an import has finished is not imported again.
//!
//! The suite kills a few times; `KQLAKE_KILLS=200 cargo test --test it killed:: -- --nocapture` does so as often as is said,
//! `KQLAKE_KILLS_SEED` gives other instants, and `KQLAKE_PROGRAM` names a release build.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::generated::random::Random;
use super::support::{kqlake, run_in};

const FILES: usize = 40;
/// Records of a file; half of them are in the next one as well.
const RECORDS: usize = 200;
/// So little that an import commits many times.
const MEMORY: &str = "--memory-limit=8MB";
const IMPORT: [&str; 6] = ["--lake", "lake", MEMORY, "import", "--from", "drops"];

fn records_of(file: usize) -> std::ops::Range<usize> {
    let first = file * RECORDS / 2;
    first..first + RECORDS
}

fn ids_of(file: usize) -> impl Iterator<Item = String> {
    records_of(file).map(|n| format!("k-{n}"))
}

fn write_files(dir: &Path) {
    fs::create_dir(dir.join("drops")).expect("a folder");
    for file in 0..FILES {
        let mut text = String::new();
        for (n, id) in records_of(file).zip(ids_of(file)) {
            // Three months, so that there are several files.
            let time = format!("2026-{:02}-{:02}T03:04:{:02}Z", 1 + n % 3, 1 + n % 28, n % 60);
            let bag = json!({ "eventId": format!("RT000{}", n % 5), "sqlStatement": "SELECT 1 ".repeat(60 + n % 7) });
            let record = json!({ "timestamp": time, "itemId": id, "itemType": "trace", "customDimensions": bag });
            text.push_str(&format!("{record}\n"));
        }
        fs::write(dir.join(format!("drops/{file:02}.ndjson")), text).expect("a file");
    }
}

/// When the import of each finished file began.
fn finished(dir: &Path) -> BTreeMap<PathBuf, String> {
    let told = run_in(dir, &["--lake", "lake", "ledger", "--units", "-f", "json"]).exits(0).out;
    let entries: Vec<Value> = serde_json::from_str(&told).expect("JSON");
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let done = entries.iter().filter(|entry| entry["state"] == "done");
    done.map(|entry| (PathBuf::from(text(entry, "unit")), text(entry, "startedAt"))).collect()
}

/// The ids of the records that are in the lake.
fn landed(dir: &Path) -> BTreeSet<String> {
    let query = "traces | where itemId startswith 'k-' | project itemId";
    let told = run_in(dir, &["--lake", "lake", "query", query, "-f", "tsv"]).exits(0).out;
    let mut ids = BTreeSet::new();
    for id in told.lines().skip(1) {
        assert!(ids.insert(id.to_owned()), "{id} is there twice");
    }
    ids
}

/// Looks at a lake after a kill: the records of finished files are there, and no file was imported again that was finished
/// before.
fn check(dir: &Path, before: &mut BTreeMap<PathBuf, String>) {
    let (done, ids) = (finished(dir), landed(dir));
    for file in (0..FILES).filter(|file| done.keys().any(|unit| unit.ends_with(format!("{file:02}.ndjson")))) {
        let lost: Vec<String> = ids_of(file).filter(|id| !ids.contains(id)).collect();
        assert!(lost.is_empty(), "file {file} is finished, and its records are not there: {lost:?}");
    }
    for (unit, began) in before.iter() {
        assert_eq!(done.get(unit), Some(began), "{} was finished, and is imported again", unit.display());
    }
    *before = done;
}

/// A program that is told of when it ends.
struct Begun {
    child: Child,
    name: &'static str,
}

/// Begins a program, whose name is sent with what it said once it has ended.
fn begin(dir: &Path, name: &'static str, args: &[&str], ends: &Sender<(&'static str, String)>) -> Begun {
    let mut child =
        kqlake(args).current_dir(dir).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let (mut said, ends) = (child.stderr.take().expect("a pipe"), ends.clone());
    std::thread::spawn(move || {
        let mut text = String::new();
        // Who ended the test waits for nothing.
        let _ = said.read_to_string(&mut text).map(|_| ends.send((name, text)));
    });
    Begun { child, name }
}

impl Begun {
    #[track_caller]
    fn ended_well(mut self, said: &str) {
        let status = self.child.wait().expect("the program ends");
        assert!(status.success(), "{}: {status}: {said}", self.name);
    }

    fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }
}

/// Imports with compactions beside it, until the import ends or a time is over, when both are killed. True when it ended.
fn import(dir: &Path, time: Duration, random: &mut Random) -> bool {
    let began = Instant::now();
    let (sender, ends) = channel();
    // Where there is no lake yet there is none to compact, which is said.
    std::fs::create_dir_all(dir.join("lake")).expect("a folder");
    let compact = || begin(dir, "compact", &["--lake", "lake", "compact"], &sender);
    let import = begin(dir, "import", &IMPORT, &sender);
    let mut beside = compact();
    loop {
        match ends.recv_timeout(time.saturating_sub(began.elapsed())) {
            Ok(("import", said)) => {
                import.ended_well(&said);
                beside.ended_well("");
                return true;
            }
            Ok((_, said)) => std::mem::replace(&mut beside, compact()).ended_well(&said),
            Err(_) => {
                import.kill();
                // A compaction is killed with it, or goes on over what it left.
                if random.percent(50) {
                    beside.kill()
                } else {
                    beside.ended_well("")
                }
                return false;
            }
        }
    }
}

#[test]
fn an_import_that_is_killed_loses_and_doubles_nothing_and_goes_on_where_it_was() {
    let number = |name: &str, usual| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let (kills, seed) = (number("KQLAKE_KILLS", 6_u64), number("KQLAKE_KILLS_SEED", 1));
    let mut random = Random::of(seed, 0);
    let dir = tempfile::tempdir().expect("dir");
    let dir = dir.path();
    write_files(dir);
    let all: BTreeSet<String> = (0..FILES).flat_map(ids_of).collect();
    let began = Instant::now();
    run_in(dir, &IMPORT).exits(0);
    let whole = began.elapsed();
    let (mut killed, mut lakes) = (0, 0);
    while killed < kills {
        fs::remove_dir_all(dir.join("lake")).expect("removed");
        lakes += 1;
        let mut done = BTreeMap::new();
        loop {
            let time = if killed < kills { whole.mul_f64(random.below(1_000) as f64 / 1_000.0) } else { Duration::MAX };
            if import(dir, time, &mut random) {
                break;
            }
            killed += 1;
            check(dir, &mut done);
        }
        check(dir, &mut done);
        assert_eq!(done.len(), FILES);
        assert_eq!(landed(dir), all);
        run_in(dir, &["--lake", "lake", "compact"]).exits(0);
        assert_eq!(landed(dir), all);
    }
    println!("killed {killed} times, {lakes} lakes; an import takes {whole:.1?} undisturbed");
}
