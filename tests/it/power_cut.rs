//! What a power cut leaves at every step: what was reported is there, nothing is there twice, and nobody has to mend anything.
//!
//! A disk is kept beside the real folder: the names of a folder as they were when it was flushed last, and the content of a
//! file as it was when it was flushed last. Three kinds of power cut are made of it. One drops all that was not flushed. One
//! keeps every name and drops contents alone, as file systems do that write names down first. One does the first in some
//! folders and the second in the others.
#![cfg(target_os = "linux")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use kqlake::export::{Export, Period};
use kqlake_durable::{Observing, Output, Synced, observe};
use kqlake_lake::fault::Fault;
use kqlake_lake::{CompactOptions, Lake, Upkeep};
use kqlake_value::{Column, Type};

use crate::lake::{DAY, HOUR, def, land, position, texts, traces};

/// What a path is: a folder, or a file by its number.
#[derive(Clone, Copy, PartialEq)]
enum Node {
    Folder,
    File(u64),
}

/// Every file below a folder by its path, and every folder without content.
type Tree = BTreeMap<PathBuf, Option<Vec<u8>>>;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Cut {
    /// Everything that was not flushed is gone.
    All,
    /// Names are there, contents that were not flushed are gone.
    Contents,
    /// The first in every other folder, by the length of its name, the second in the rest.
    Mixed,
}

const CUTS: [Cut; 3] = [Cut::All, Cut::Contents, Cut::Mixed];

/// The disk below a folder.
struct Disk {
    root: PathBuf,
    names: HashMap<PathBuf, BTreeMap<OsString, Node>>,
    contents: HashMap<u64, Vec<u8>>,
    /// Files that are kept open, so that their numbers are not given again.
    open: HashMap<u64, File>,
    /// What was reported, with the states that a power cut would have left since.
    states: Vec<(usize, Tree)>,
    reported: usize,
    cutting: bool,
}

impl Disk {
    /// Watches a folder that is empty.
    fn watch(root: &Path) -> (Arc<Mutex<Disk>>, Observing) {
        let root = fs::canonicalize(root).expect("the folder");
        let (names, contents, open, states) = Default::default();
        let disk = Disk { root, names, contents, open, states, reported: 0, cutting: false };
        let disk = Arc::new(Mutex::new(disk));
        let told = disk.clone();
        let observing = observe(move |synced| told.lock().expect("the disk").synced(synced));
        (disk, observing)
    }

    fn synced(&mut self, synced: Synced<'_>) {
        match synced {
            Synced::File(file) => {
                let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
                if fs::read_link(&path).is_ok_and(|path| path.starts_with(&self.root)) {
                    self.cut();
                    let mut content = Vec::new();
                    File::open(&path).and_then(|mut file| file.read_to_end(&mut content)).expect("the content");
                    let number = file.metadata().expect("the file").ino();
                    self.contents.insert(number, content);
                    // Opened anew: a copy of the handle would hold its lock.
                    self.open.entry(number).or_insert_with(|| File::open(&path).expect("a handle"));
                    self.cut();
                }
            }
            Synced::Folder(folder) => {
                let folder = fs::canonicalize(folder).expect("the folder");
                if let Ok(below) = folder.strip_prefix(&self.root) {
                    self.cut();
                    let names = self.live(&folder);
                    self.names.insert(below.to_owned(), names);
                    self.cut();
                }
            }
        }
    }

    /// The names of a folder as they are now.
    fn live(&mut self, folder: &Path) -> BTreeMap<OsString, Node> {
        let mut names = BTreeMap::new();
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
            // What has gone meanwhile is not there.
            let Ok(found) = entry.metadata() else { continue };
            let node = if found.is_dir() { Node::Folder } else { Node::File(found.ino()) };
            if let (Node::File(number), Ok(file)) = (node, File::open(entry.path())) {
                self.open.entry(number).or_insert(file);
            }
            names.insert(entry.file_name(), node);
        }
        names
    }

    /// Keeps what a power cut would leave now.
    fn cut(&mut self) {
        if !self.cutting {
            return;
        }
        for cut in CUTS {
            let mut tree = Tree::new();
            self.add(Path::new(""), cut, &mut tree);
            if self.states.last().is_none_or(|last| *last != (self.reported, tree.clone())) {
                self.states.push((self.reported, tree));
            }
        }
    }

    fn add(&mut self, below: &Path, cut: Cut, tree: &mut Tree) {
        let kept = cut == Cut::Contents || (cut == Cut::Mixed && below.as_os_str().len().is_multiple_of(2));
        let folder = self.root.join(below);
        let names = match kept && folder.is_dir() {
            true => self.live(&folder),
            false => self.names.get(below).cloned().unwrap_or_default(),
        };
        for (name, node) in names {
            let path = below.join(name);
            match node {
                Node::File(number) => {
                    tree.insert(path, Some(self.contents.get(&number).cloned().unwrap_or_default()));
                }
                Node::Folder => {
                    tree.insert(path.clone(), None);
                    self.add(&path, cut, tree);
                }
            }
        }
    }

    fn report(&mut self, reported: usize) {
        self.reported = reported;
        self.cut();
    }
}

/// The different states, with what was reported before the power cut.
fn states(disk: &Mutex<Disk>) -> Vec<(usize, Tree)> {
    let mut states = std::mem::take(&mut disk.lock().expect("the disk").states);
    states.sort();
    states.dedup();
    states
}

/// A folder with a state.
fn restored(tree: &Tree) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("dir");
    for (path, content) in tree {
        let path = dir.path().join(path);
        match content {
            None => fs::create_dir(path).expect("a folder"),
            Some(content) => fs::write(path, content).expect("a file"),
        }
    }
    dir
}

/// The units of the test: the ids of each, and their rows.
fn unit(n: usize) -> Vec<(String, i64)> {
    (0..3).map(|row| (format!("u{n:02}-{row}"), DAY + n as i64 + row * 400 * HOUR)).collect()
}

fn ids(units: usize) -> Vec<String> {
    let mut ids: Vec<String> = (0..units).flat_map(unit).map(|(id, _)| id).collect();
    ids.sort();
    ids
}

async fn land_unit(lake: &Lake, n: usize) {
    let unit = unit(n);
    let rows: Vec<(&str, i64)> = unit.iter().map(|(id, at)| (id.as_str(), *at)).collect();
    land(lake, def("traces"), traces(&rows), n as i64).await.expect("landed");
}

async fn landed(lake: &Lake) -> Vec<String> {
    if lake.snapshot(def("traces")).await.expect("the table opens").is_none() {
        return Vec::new();
    }
    texts(lake, "traces", r#"select "itemId" from traces order by "itemId""#).await
}

/// Checks every state that a power cut would have left while units landed, of which those before `reported` were.
async fn check(disk: &Mutex<Disk>, units: usize) {
    let states = states(disk);
    assert!(states.len() > 10, "{} states", states.len());
    for (reported, tree) in states {
        let dir = restored(&tree);
        let lake = Lake::new(dir.path());
        let found = landed(&lake).await;
        let after = (reported + 1).min(units);
        assert!(
            found == ids(reported) || found == ids(after),
            "{reported} units were reported, {found:?} is there of {:#?}",
            tree.keys().collect::<Vec<_>>()
        );
        let at = lake.position(def("traces"), "test/stream").await.expect("a position");
        let expected = (0..units).filter(|n| ids(n + 1) == found).map(|n| position(n as i64)).next();
        assert_eq!(at, expected);
        // The last one that is there, and what is missing.
        for n in reported.saturating_sub(1)..units {
            land_unit(&lake, n).await;
        }
        assert_eq!(landed(&lake).await, ids(units));
    }
}

/// A lake whose disk is cut at each step of a landing, a compaction or upkeep.
fn cut_at_each_step(root: &Path, disk: &Arc<Mutex<Disk>>) -> Lake {
    let steps = disk.clone();
    Lake::with_fault(
        root,
        Fault::new(move |_| {
            steps.lock().expect("the disk").cut();
            false
        }),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_during_the_first_landings_loses_nothing_that_was_reported() {
    let dir = tempfile::tempdir().expect("dir");
    let root = dir.path().join("new/lake");
    let (disk, _observing) = Disk::watch(dir.path());
    disk.lock().expect("the disk").cutting = true;
    let lake = cut_at_each_step(&root, &disk);
    for n in 0..2 {
        land_unit(&lake, n).await;
        disk.lock().expect("the disk").report(n + 1);
    }
    // The states are those of the folder above.
    for (_, tree) in &mut disk.lock().expect("the disk").states {
        let lake = Path::new("new/lake");
        *tree = std::mem::take(tree)
            .into_iter()
            .filter_map(|(path, content)| Some((path.strip_prefix(lake).ok()?.to_owned(), content)))
            .filter(|(path, _)| !path.as_os_str().is_empty())
            .collect();
    }
    check(&disk, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_around_a_checkpoint_and_a_compaction_loses_nothing_that_was_reported() {
    let dir = tempfile::tempdir().expect("dir");
    let (disk, _observing) = Disk::watch(dir.path());
    let lake = cut_at_each_step(dir.path(), &disk);
    let units = 20;
    for n in 0..units {
        // The commit of version 19 is followed by a checkpoint.
        disk.lock().expect("the disk").cutting = n >= units - 2;
        land_unit(&lake, n).await;
        disk.lock().expect("the disk").report(n + 1);
    }
    let checkpoint = dir.path().join("traces/_delta_log/00000000000000000019.checkpoint.parquet");
    assert!(checkpoint.exists());
    let report = lake.compact(def("traces"), &CompactOptions::default()).await.expect("compacted");
    assert!(report.merged > 0);
    disk.lock().expect("the disk").report(units);
    check(&disk, units).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_around_the_upkeep_behind_an_import_loses_nothing_that_was_reported() {
    let dir = tempfile::tempdir().expect("dir");
    let (disk, _observing) = Disk::watch(dir.path());
    let lake = cut_at_each_step(dir.path(), &disk);
    lake.leave_checkpoints_to_upkeep();
    let (units, mut done) = (20, Vec::new());
    for n in 0..units {
        disk.lock().expect("the disk").cutting = n >= units - 4;
        land_unit(&lake, n).await;
        disk.lock().expect("the disk").report(n + 1);
        let overdue = lake.overdue(def("traces"), 3).await.expect("looked");
        let Some((_, step)) = overdue.into_iter().max() else { continue };
        lake.keep_up(def("traces"), 3, step, &CompactOptions::default()).await.expect("done");
        if n >= units - 4 {
            done.push(step);
        }
    }
    assert!(done.contains(&Upkeep::Merge) && done.contains(&Upkeep::Checkpoint), "{done:?}");
    check(&disk, units).await;
}

/// Every state of a folder that a power cut would have left while something is done, and whether that was reported.
fn states_while(dir: &Path, act: impl FnOnce()) -> Vec<(usize, Tree)> {
    let (disk, _observing) = Disk::watch(dir);
    {
        // What is there already is on the disk.
        let mut disk = disk.lock().expect("the disk");
        flush(&mut disk, dir);
        disk.cutting = true;
    }
    act();
    disk.lock().expect("the disk").report(1);
    states(&disk)
}

fn flush(disk: &mut Disk, folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            flush(disk, &entry);
        } else {
            disk.synced(Synced::File(&File::open(entry).expect("a file")));
        }
    }
    disk.synced(Synced::Folder(folder));
}

#[test]
fn a_power_cut_leaves_an_answer_old_or_new() {
    for old in [None, Some("old")] {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("answer.csv");
        if let Some(old) = old {
            fs::write(&path, old).expect("written");
        }
        let states = states_while(dir.path(), || {
            let output = Output::open(&path).expect("an output");
            output.writer().expect("a handle").write_all(b"new").expect("written");
            output.finish().expect("complete");
        });
        let found: BTreeSet<(usize, Option<String>)> = states
            .iter()
            .map(|(reported, tree)| {
                let content = tree.get(Path::new("answer.csv")).and_then(Option::as_deref);
                (*reported, content.map(|content| String::from_utf8_lossy(content).into_owned()))
            })
            .collect();
        let (old, new) = (old.map(str::to_owned), Some("new".to_owned()));
        assert!(found.contains(&(0, old.clone())) && found.contains(&(1, new.clone())));
        assert!(found.iter().all(|(reported, content)| *content == new || (*reported == 0 && *content == old)), "{found:?}");
    }
}

#[test]
fn a_power_cut_leaves_an_export_that_the_next_one_completes() {
    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};

    let dir = tempfile::tempdir().expect("dir");
    let columns = [Column::new("timestamp", Type::DateTime), Column::new("text", Type::String)];
    let export = |root: &Path, rows: &[(i64, &str)]| {
        let day = 864_000_000_000;
        let times: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| (738_000 + row.0) * day)));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.1)));
        let batch = RecordBatch::try_from_iter([("timestamp", times), ("text", texts)]).expect("rows");
        let mut export = Export::begin(root, &root.join("no-lake")).expect("an export");
        let mut table = export.table("T", &columns, Period::Day(0), &[]).expect("a table");
        table.write(&batch).expect("written");
        table.finish().expect("exported")
    };
    let files = |dir: &Path| -> BTreeMap<OsString, String> {
        let entries = fs::read_dir(dir.join("T")).into_iter().flatten().map(|entry| entry.expect("an entry"));
        let read = |path| fs::read_to_string(path).expect("text");
        entries.map(|entry| (entry.file_name(), read(entry.path()))).collect()
    };
    let (first, second) = ([(0, "a"), (1, "b")], [(1, "c"), (2, "d")]);
    let mut both = Vec::new();
    for rows in [&first, &second] {
        let whole = tempfile::tempdir().expect("dir");
        export(whole.path(), rows);
        both.push(files(whole.path()));
    }
    export(dir.path(), &first);
    let states = states_while(dir.path(), || drop(export(dir.path(), &second)));
    assert!(states.len() > 5, "{} states", states.len());
    for (reported, tree) in states {
        let dir = restored(&tree);
        for (name, text) in files(dir.path()) {
            // Each file is an old or a new one.
            assert!(both.iter().any(|files| files.get(&name) == Some(&text)), "{name:?}: {text}");
        }
        if reported == 1 {
            assert_eq!(files(dir.path()), both[1]);
        }
        let done = export(dir.path(), &second);
        assert_eq!((files(dir.path()), done.strange.len()), (both[1].clone(), 0));
    }
}
