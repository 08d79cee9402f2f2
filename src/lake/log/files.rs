//! The files of a Delta log in their folder, which are checked before the log is read.
//!
//! A log is a row of numbered commits, of which those before a checkpoint may be gone. Readers of the protocol take a gap,
//! an empty commit or a commit that ends early for what happened, and would answer without the rows in question. So the
//! row must be unbroken and every commit whole before anything is read.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::actions::{self, Actions};
use super::commit;
use super::replay::{Base, Replayed, replay};
use crate::damage::Damage;
use crate::error::LakeError;
use kqlake_durable as durable;

/// The folder of a table's log.
pub(crate) const LOG: &str = "_delta_log";
/// The file that names the newest checkpoint.
pub(crate) const LAST_CHECKPOINT: &str = "_last_checkpoint";
/// How deep below a table's folder data files are searched for.
const DEPTH: usize = 4;

/// What distinguishes a file from one that took its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    bytes: u64,
    modified: Option<SystemTime>,
}

/// What the file that names the newest checkpoint says.
#[derive(Deserialize)]
struct Named {
    version: u64,
}

/// A log whose row of commits is unbroken.
#[derive(Debug)]
pub(crate) struct LogFiles {
    /// The newest version.
    pub last: u64,
    /// What is passed over: it cannot be read, and the log says everything without it.
    pub passed: PassedFiles,
    log: PathBuf,
    commits: BTreeSet<u64>,
    has_temporary: bool,
    /// Complete checkpoints with their files.
    checkpoints: BTreeMap<u64, Vec<PathBuf>>,
    /// What the commits say that were read, the oldest first.
    read: Vec<Vec<Actions>>,
}

/// What a listing of a log's folder showed beside its newest versions.
#[derive(Debug, Default)]
pub(crate) struct Extent {
    /// The oldest version that has a commit.
    pub oldest: u64,
    /// The versions that have a checkpoint.
    pub checkpoints: BTreeSet<u64>,
    /// True until what killed processes may have left among the log's files is removed.
    pub has_temporary: AtomicBool,
}

impl Extent {
    /// Removes what killed processes left among a log's files, where the listing showed any. Listing the folder for each commit would
    /// cost more than the commit.
    pub(crate) fn sweep(&self, log: &Path) {
        if self.has_temporary.swap(false, Ordering::Relaxed) {
            durable::sweep(log);
        }
    }
}

/// Files of a log that are passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PassedFiles {
    /// Why, the newest checkpoint first.
    pub damage: Vec<Damage>,
    /// Their names.
    pub names: BTreeSet<String>,
}

impl PassedFiles {
    /// True when `_last_checkpoint` names a checkpoint after a version: the commits until it may be lost.
    pub(crate) fn checkpoint_after(&self, version: u64) -> bool {
        let after = |damage: &Damage| matches!(damage, Damage::LastCheckpoint { version: Some(named), .. } if *named > version);
        self.damage.iter().any(after)
    }
}

/// Checkpoints that could not be read although they are not empty, by their names, and why.
pub(crate) type Unreadable = BTreeMap<String, String>;

/// The facts that a commit says of itself; `None` when it is not there.
pub(crate) fn commit_facts(log: &Path, version: u64) -> Option<Map<String, Value>> {
    let mut first = Vec::new();
    // The record comes first; what follows it can be long.
    BufReader::new(fs::File::open(log.join(commit_name(version))).ok()?).read_until(b'\n', &mut first).ok()?;
    Some(commit::facts(&first))
}

/// The name of a version's commit.
pub(crate) fn commit_name(version: u64) -> String {
    format!("{version:020}.json")
}

/// The name of a version's checkpoint that is one file.
pub(crate) fn checkpoint_name(version: u64) -> String {
    format!("{version:020}.checkpoint.parquet")
}

/// What distinguishes the newest version's file from another table's of the same version; `None` when there is none.
pub(crate) fn stamp(dir: &Path, version: u64) -> Option<Stamp> {
    let log = dir.join(LOG);
    let meta = fs::metadata(log.join(commit_name(version))).or_else(|_| fs::metadata(log.join(checkpoint_name(version)))).ok()?;
    Some(Stamp { bytes: meta.len(), modified: meta.modified().ok() })
}

/// What distinguishes the file that names the newest checkpoint from the one before it; `None` when there is none.
pub(crate) fn hint(dir: &Path) -> Option<Stamp> {
    let meta = fs::metadata(dir.join(LOG).join(LAST_CHECKPOINT)).ok()?;
    Some(Stamp { bytes: meta.len(), modified: meta.modified().ok() })
}

/// The version that the file which names the newest checkpoint names.
pub(crate) fn named_checkpoint(dir: &Path) -> Option<u64> {
    Some(serde_json::from_slice::<Named>(&fs::read(dir.join(LOG).join(LAST_CHECKPOINT)).ok()?).ok()?.version)
}

/// True when no commit comes after a version, by the names of the next two: their numbers say what they are called. Where a commit
/// is missing, or those that follow were cleaned away behind a checkpoint, the folder's listing says what there is; the latter
/// shows in the [`hint`].
pub(crate) fn ends_at(dir: &Path, version: u64) -> bool {
    let log = dir.join(LOG);
    let is_there = |version: u64| fs::symlink_metadata(log.join(commit_name(version))).is_ok();
    (1..=2).all(|ahead| version.checked_add(ahead).is_none_or(|next| !is_there(next)))
}

impl LogFiles {
    /// Looks at the log of the table in a folder, and reads its commits after the newest checkpoint, or after a version whose
    /// commits were examined before. Checkpoints that are empty or known to be unreadable are passed over where the log says
    /// everything without them. `None` when there is no table.
    ///
    /// # Errors
    /// [`LakeError::Damaged`] when data files have no log, or the log is not whole; [`LakeError::Io`] when it cannot be read.
    pub(crate) fn look(
        table: &'static str,
        dir: &Path,
        seen: Option<u64>,
        unreadable: &Unreadable,
    ) -> Result<Option<Self>, LakeError> {
        let damaged = |damage| LakeError::Damaged { table, damage };
        let log = dir.join(LOG);
        let Listed { commits, others } = match listed(&log) {
            Ok(listed) => listed,
            Err(e) if e.kind() == ErrorKind::NotFound => match fs::symlink_metadata(dir) {
                Ok(meta) if !meta.is_dir() && fs::metadata(dir).is_err() => {
                    return Err(damaged(Damage::NotAFolder { path: dir.to_owned() }));
                }
                _ => Listed::default(),
            },
            Err(e) if e.kind() == ErrorKind::NotADirectory => {
                let path = if dir.is_dir() { log } else { dir.to_owned() };
                return Err(damaged(Damage::NotAFolder { path }));
            }
            Err(source) => return Err(LakeError::Io { table, path: log, source }),
        };
        // A log has thousands of files: only what the folder does not list as a file is examined.
        if let Some((name, _)) = others.iter().find(|(name, is_file)| !is_file && is_irregular(&log.join(name))) {
            return Err(damaged(Damage::NotAFile { path: log.join(name) }));
        }
        let mut parts: BTreeMap<(u64, usize), Vec<PathBuf>> = BTreeMap::new();
        let mut commits = BTreeSet::from_iter(commits);
        for (name, _) in &others {
            match LogName::parse(name) {
                Some(LogName::Commit(version)) => {
                    commits.insert(version);
                }
                Some(LogName::Checkpoint(version, of)) => parts.entry((version, of)).or_default().push(log.join(name)),
                None => {}
            }
        }
        let complete = parts.into_iter().filter(|((_, of), files)| files.len() >= *of);
        let checkpoints: BTreeMap<u64, Vec<PathBuf>> = complete.map(|((version, _), files)| (version, files)).collect();
        let newest = [commits.last(), checkpoints.keys().next_back()].into_iter().flatten().max().copied();
        let Some(last) = newest else {
            // What is left of an earlier log, or of a folder that holds rows, is never the beginning of a new table.
            let begun = others.iter().any(|(name, _)| name == LAST_CHECKPOINT);
            let rows =
                begun || holds_parquet(dir, DEPTH).map_err(|source| LakeError::Io { table, path: dir.to_owned(), source })?;
            return if rows { Err(damaged(Damage::NoLog { dir: dir.to_owned() })) } else { Ok(None) };
        };
        let has_temporary = others.iter().any(|(name, _)| durable::is_temporary(OsStr::new(name)));
        let passed = PassedFiles::default();
        let mut files = LogFiles { last, passed, log, commits, has_temporary, checkpoints, read: Vec::new() };
        files.pass_over_checkpoints(unreadable).map_err(damaged)?;
        files.pass_over_last_checkpoint().map_err(damaged)?;
        files.check_row().map_err(damaged)?;
        files.read_commits(table, seen)?;
        Ok(Some(files))
    }

    /// What there is of the log's earlier versions.
    pub(crate) fn extent(&self) -> Extent {
        let checkpoints = self.checkpoints.keys().copied().collect();
        let oldest = self.commits.first().copied().unwrap_or(self.last);
        Extent { oldest, checkpoints, has_temporary: self.has_temporary.into() }
    }

    /// The versions whose commits are needed beside the newest checkpoint not after a version.
    fn needed(&self, until: u64) -> std::ops::RangeInclusive<u64> {
        let from = self.checkpoints.range(..=until).next_back().map_or(0, |(version, _)| version.saturating_add(1));
        from..=self.last
    }

    fn has_all(&self, mut versions: impl Iterator<Item = u64>) -> bool {
        versions.all(|version| self.commits.contains(&version))
    }

    /// True when the log says everything without the checkpoints from a version on.
    fn does_without(&self, checkpoint: u64) -> bool {
        match checkpoint.checked_sub(1) {
            Some(before) => self.has_all(self.needed(before)),
            None => self.has_all(0..=self.last),
        }
    }

    /// True when of the newest version there is a checkpoint alone, and the log says everything up to the one before.
    fn ends_before(&self, checkpoint: u64) -> bool {
        let Some(before) = checkpoint.checked_sub(1).filter(|_| checkpoint == self.last) else { return false };
        self.has_all(*self.needed(before).start()..=before)
    }

    /// The library passes an empty checkpoint over when it reads, and takes it for good when it deletes what came before; with
    /// a broken one it reads nothing.
    fn pass_over_checkpoints(&mut self, unreadable: &Unreadable) -> Result<(), Damage> {
        while let Some((&version, files)) = self.checkpoints.last_key_value() {
            let why = |file: &PathBuf| match fs::metadata(file) {
                Ok(meta) if meta.len() == 0 => Some("is empty".to_owned()),
                _ => unreadable.get(&name_of(file)).cloned(),
            };
            let Some((file, why)) = files.iter().find_map(|file| Some((file.clone(), why(file)?))) else { break };
            let names: Vec<String> = files.iter().map(|file| name_of(file)).collect();
            let spare = self.does_without(version);
            if !spare && self.ends_before(version) {
                return Err(Damage::LostCommits { file: self.log.join(commit_name(version)), witness: file });
            }
            let damage = Damage::Checkpoint { file, why, spare };
            if !spare {
                return Err(damage);
            }
            self.checkpoints.remove(&version);
            self.passed.names.extend(names);
            self.passed.damage.push(damage);
        }
        Ok(())
    }

    fn pass_over_last_checkpoint(&mut self) -> Result<(), Damage> {
        let file = self.log.join(LAST_CHECKPOINT);
        let Ok(text) = fs::read(&file) else { return Ok(()) };
        // A file that names nothing says nothing: the folder's listing does.
        let version = serde_json::from_slice::<Named>(&text).ok().map(|named| named.version);
        if version.is_some_and(|version| self.checkpoints.range(version..).next().is_some()) {
            return Ok(());
        }
        let spare = version.is_none_or(|version| self.does_without(version));
        let damage = Damage::LastCheckpoint { file, version, spare };
        if !spare {
            return Err(damage);
        }
        self.passed.names.insert(LAST_CHECKPOINT.to_owned());
        self.passed.damage.push(damage);
        Ok(())
    }

    fn check_row(&self) -> Result<(), Damage> {
        match self.needed(self.last).find(|version| !self.commits.contains(version)) {
            Some(version) => Err(Damage::MissingCommit { file: self.log.join(commit_name(version)) }),
            None => Ok(()),
        }
    }

    fn read_commits(&mut self, table: &'static str, seen: Option<u64>) -> Result<(), LakeError> {
        for version in self.needed(self.last).filter(|version| seen.is_none_or(|seen| *version > seen)) {
            let file = self.log.join(commit_name(version));
            let failed = |source| LakeError::Io { table, path: file.clone(), source };
            // A pipe would be waited for.
            let text = match fs::metadata(&file).map_err(failed)?.is_file() {
                true => Some(fs::read(&file).map_err(failed)?),
                false => None,
            };
            let checked = text.map_or_else(
                || Err("is not a file".to_owned()),
                |text| {
                    // Two importers that begin a table at once both say so, each with an id of its own.
                    let first = self.log.join(commit_name(0));
                    let as_long = || fs::metadata(&first).is_ok_and(|first| first.len() == text.len() as u64);
                    let copied = version > 0 && as_long() && fs::read(&first).is_ok_and(|first| first == text);
                    if copied {
                        Err("is a copy of another: the table's first commit".to_owned())
                    } else {
                        commit::check(&text, version)
                    }
                },
            );
            let actions = checked.map_err(|why| LakeError::Damaged {
                table,
                damage: Damage::Commit { file, why, newest: version == self.last },
            })?;
            self.read.push(actions);
        }
        Ok(())
    }

    /// Replays the log, of which all commits were read; `None` when the library must.
    pub(crate) fn replayed(&self) -> Option<Replayed> {
        let base = match self.checkpoints.last_key_value() {
            None => Base::Nothing,
            Some((version, files)) => match &files[..] {
                [file] if name_of(file) == checkpoint_name(*version) => Base::Checkpoint(file),
                _ => return None,
            },
        };
        replay(&base, &self.read).ok()
    }

    /// Replays the commits after a version, where they were all read.
    pub(crate) fn replayed_after(&self, version: u64, base: &Replayed) -> Option<Replayed> {
        let all = self.last.checked_sub(version)? == self.read.len() as u64;
        if all { replay(&Base::Version(base), &self.read).ok() } else { None }
    }

    /// What is wrong with the newest checkpoint, if anything is: examined when the log could not be read.
    pub(crate) fn broken_checkpoint(&self) -> Option<Damage> {
        let (version, files) = self.checkpoints.last_key_value()?;
        let broken = |file: &PathBuf| {
            if file.extension().is_some_and(|e| e == "json") {
                let text = fs::read(file).map_err(|e| format!("cannot be read: {e}"));
                return text.and_then(|text| actions::lines(&text)).err();
            }
            read_through(file).and_then(|()| holds_actions(file)).err()
        };
        let (file, why) = files.iter().find_map(|file| Some((file.clone(), broken(file)?)))?;
        Some(Damage::Checkpoint { file, why, spare: self.does_without(*version) })
    }
}

/// What a file of a log is, by its name.
enum LogName {
    Commit(u64),
    /// A checkpoint's version, and how many files make it.
    Checkpoint(u64, usize),
}

impl LogName {
    fn parse(name: &str) -> Option<Self> {
        let (version, rest) = name.split_once('.')?;
        if version.len() != 20 || !version.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let version = version.parse().ok()?;
        let parts: Vec<&str> = rest.split('.').collect();
        match parts.as_slice() {
            ["json"] => Some(LogName::Commit(version)),
            ["checkpoint", "parquet"] | ["checkpoint", _, "parquet" | "json"] => Some(LogName::Checkpoint(version, 1)),
            ["checkpoint", _, of, "parquet"] => Some(LogName::Checkpoint(version, of.parse().ok()?)),
            _ => None,
        }
    }
}

fn name_of(file: &Path) -> String {
    file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// What is in the folder of a log.
#[derive(Default)]
struct Listed {
    /// The commits among what is known to be a file: thousands, whose names need not be kept.
    commits: Vec<u64>,
    /// The names of all else, and whether each is known to be a file.
    others: Vec<(String, bool)>,
}

fn listed(log: &Path) -> std::io::Result<Listed> {
    #[cfg(test)]
    super::listings::count(log);
    let mut listed = Listed::default();
    for entry in fs::read_dir(log)? {
        let entry = entry?;
        let is_file = entry.file_type().is_ok_and(|found| found.is_file());
        let name = entry.file_name();
        match name.to_str().filter(|_| is_file).and_then(commit_of) {
            Some(version) => listed.commits.push(version),
            None => listed.others.push((name.to_string_lossy().into_owned(), is_file)),
        }
    }
    Ok(listed)
}

/// The version of a commit by its name.
fn commit_of(name: &str) -> Option<u64> {
    let version = name.strip_suffix(".json")?;
    (version.len() == 20 && version.bytes().all(|b| b.is_ascii_digit())).then(|| version.parse().ok())?
}

/// True for a pipe, a device or a socket, which reading would wait for.
fn is_irregular(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// True when a Parquet file is in a folder or a few levels below it. Names with `_` or `.` in front hold no rows.
fn holds_parquet(dir: &Path, depth: usize) -> std::io::Result<bool> {
    for entry in durable::entries(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(['_', '.']) {
            continue;
        }
        let path = entry.path();
        let found = if path.is_dir() { depth > 0 && holds_parquet(&path, depth - 1)? } else { name.ends_with(".parquet") };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads a Parquet file to its end.
fn read_through(file: &Path) -> Result<(), String> {
    let opened = fs::File::open(file).map_err(|e| format!("cannot be read: {e}"))?;
    if opened.metadata().is_ok_and(|meta| meta.len() == 0) {
        return Err("is empty".to_owned());
    }
    let reader = ParquetRecordBatchReaderBuilder::try_new(opened).and_then(|b| b.build());
    let mut reader = reader.map_err(|e| format!("is no Parquet: {e}"))?;
    reader.try_for_each(|batch| batch.map(drop)).map_err(|e| format!("is broken: {e}"))
}

/// Checks that a Parquet file has the columns of a checkpoint, and a table's metadata in them.
fn holds_actions(file: &Path) -> Result<(), String> {
    let broken = |e: &dyn std::fmt::Display| format!("is broken: {e}");
    let opened = fs::File::open(file).map_err(|e| broken(&e))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(opened).map_err(|e| broken(&e))?;
    for column in ["protocol", "metaData", "add"] {
        if builder.schema().field_with_name(column).is_err() {
            return Err(format!("is no checkpoint: it has no column {column}"));
        }
    }
    for batch in builder.build().map_err(|e| broken(&e))? {
        let batch = batch.map_err(|e| broken(&e))?;
        if batch.column_by_name("metaData").is_some_and(|column| column.null_count() < column.len()) {
            return Ok(());
        }
    }
    Err("is no checkpoint: it holds no metadata of a table".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log of these files in a new folder.
    fn log(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(LOG)).unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(LOG).join(name), text).unwrap();
        }
        dir
    }

    fn look(dir: &Path, seen: Option<u64>) -> Result<Option<LogFiles>, LakeError> {
        LogFiles::look("traces", dir, seen, &Unreadable::new())
    }

    fn damage(dir: &tempfile::TempDir) -> Damage {
        match look(dir.path(), None) {
            Err(LakeError::Damaged { damage, .. }) => damage,
            other => panic!("{other:?}"),
        }
    }

    const ZERO: &str = "00000000000000000000.json";
    const ONE: &str = "00000000000000000001.json";
    const TWO: &str = "00000000000000000002.json";
    const CHECKPOINT_ONE: &str = "00000000000000000001.checkpoint.parquet";

    #[test]
    fn an_unbroken_row_of_commits_is_a_log() {
        let dir = log(&[(ZERO, "{\"metaData\":{}}\n"), (ONE, "{}"), (".tmp", ""), ("00000000000000000001.crc", "{}")]);
        assert_eq!(look(dir.path(), None).unwrap().unwrap().last, 1);
        let dir = log(&[(CHECKPOINT_ONE, "x"), (TWO, "{}"), ("_last_checkpoint", "{\"version\":1}")]);
        assert_eq!(look(dir.path(), None).unwrap().unwrap().last, 2);
        assert!(look(&dir.path().join("none"), None).unwrap().is_none());
    }

    #[test]
    fn a_listing_says_how_far_back_the_log_goes() {
        let partial = format!(".kqlake-{}.partial", "0".repeat(32));
        let of = |files: &[(&str, &str)]| {
            let found = look(log(files).path(), None).unwrap().unwrap().extent();
            (found.oldest, Vec::from_iter(found.checkpoints), found.has_temporary.into_inner())
        };
        assert_eq!(of(&[(ZERO, "{\"metaData\":{}}"), (ONE, "{}")]), (0, vec![], false));
        assert_eq!(of(&[(ONE, "{}"), (TWO, "{}"), (CHECKPOINT_ONE, "x"), (&partial, "")]), (1, vec![1], true));
        assert_eq!(of(&[(CHECKPOINT_ONE, "x")]), (1, vec![1], false));
    }

    #[test]
    fn gaps_and_broken_commits_are_named() {
        let name = |damage: Damage| match damage {
            Damage::MissingCommit { file } | Damage::Commit { file, .. } => {
                file.file_name().unwrap().to_string_lossy().into_owned()
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(name(damage(&log(&[(ZERO, "{}"), (TWO, "{}")]))), ONE);
        assert_eq!(name(damage(&log(&[(ONE, "{}")]))), ZERO);
        for broken in ["", "\n", "{\"add\":", "{}\n{\"add\":{\"pa", "\0\0", "[]"] {
            assert_eq!(name(damage(&log(&[(ZERO, "{}"), (ONE, broken)]))), ONE, "{broken}");
        }
        let dir = log(&[(ZERO, "{}"), (ONE, "")]);
        assert!(look(dir.path(), Some(1)).is_ok(), "what was looked at is not read again");
    }

    #[test]
    fn what_the_log_says_everything_without_is_passed_over() {
        const CHECKPOINT_TWO: &str = "00000000000000000002.checkpoint.parquet";
        let passed = |files: &[(&str, &str)]| Vec::from_iter(look(log(files).path(), None).unwrap().unwrap().passed.names);
        let first = (ZERO, "{\"metaData\":{}}");
        let named = ("_last_checkpoint", "{\"version\":1}");
        assert_eq!(passed(&[first, (ONE, "{}"), (CHECKPOINT_ONE, "")]), [CHECKPOINT_ONE]);
        assert_eq!(passed(&[first, (ONE, "{}"), (CHECKPOINT_ONE, ""), named]), [CHECKPOINT_ONE, "_last_checkpoint"]);
        assert_eq!(passed(&[first, (ONE, "{}"), named]), ["_last_checkpoint"]);
        assert!(passed(&[first, (CHECKPOINT_ONE, "x"), named]).is_empty());
        for says_nothing in ["", "{", "null"] {
            assert_eq!(passed(&[first, ("_last_checkpoint", says_nothing)]), ["_last_checkpoint"], "{says_nothing}");
        }
        // An earlier checkpoint with the commits after it is enough.
        assert_eq!(passed(&[(CHECKPOINT_ONE, "x"), (TWO, "{}"), (CHECKPOINT_TWO, "")]), [CHECKPOINT_TWO]);
        let dir = log(&[(CHECKPOINT_ONE, ""), (TWO, "{}"), (CHECKPOINT_TWO, "")]);
        assert!(matches!(damage(&dir), Damage::Checkpoint { file, spare: false, .. } if file.ends_with(CHECKPOINT_ONE)));
        // The newest commit went, and its checkpoint says nothing.
        let dir = log(&[first, (CHECKPOINT_ONE, "")]);
        let lost = damage(&dir);
        assert!(
            matches!(&lost, Damage::LostCommits { file, witness } if file.ends_with(ONE) && witness.ends_with(CHECKPOINT_ONE))
        );
        // Whether commits after the newest are lost is unknown here.
        let beyond = look(log(&[first, named]).path(), None).unwrap().unwrap().passed;
        assert_eq!(Vec::from_iter(&beyond.names), ["_last_checkpoint"]);
        assert!(beyond.checkpoint_after(0) && !beyond.checkpoint_after(1));
        for version in [2, u64::MAX] {
            let text = format!("{{\"version\":{version}}}");
            let dir = log(&[(ONE, "{}"), (TWO, "{}"), ("_last_checkpoint", &text)]);
            assert!(matches!(damage(&dir), Damage::LastCheckpoint { spare: false, .. }));
        }
        let dir = log(&[("18446744073709551615.checkpoint.parquet", "x"), ("_last_checkpoint", "{")]);
        assert!(matches!(damage(&dir), Damage::MissingCommit { .. }));
        // Broken ones are known once they were read.
        let dir = log(&[first, (ONE, "{}"), (CHECKPOINT_ONE, "x")]);
        let unreadable = Unreadable::from([(CHECKPOINT_ONE.to_owned(), "is broken".to_owned())]);
        let found = LogFiles::look("traces", dir.path(), None, &unreadable).unwrap().unwrap();
        assert!(matches!(&found.passed.damage[..], [Damage::Checkpoint { why, .. }] if why == "is broken"));
    }

    #[test]
    fn rows_without_a_log_are_damage() {
        let dir = log(&[]);
        assert!(look(dir.path(), None).unwrap().is_none());
        fs::create_dir(dir.path().join("event_date=2026-01-05")).unwrap();
        assert!(look(dir.path(), None).unwrap().is_none());
        fs::write(dir.path().join("event_date=2026-01-05/part.parquet"), "x").unwrap();
        assert_eq!(damage(&dir), Damage::NoLog { dir: dir.path().to_owned() });
        fs::remove_dir(dir.path().join(LOG)).unwrap();
        assert_eq!(damage(&dir), Damage::NoLog { dir: dir.path().to_owned() });
        assert_eq!(damage(&log(&[("_last_checkpoint", "{}")])).to_string().matches("without a log").count(), 1);
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("traces"), "x").unwrap();
        let found = look(&dir.path().join("traces"), None);
        assert!(matches!(found, Err(LakeError::Damaged { damage: Damage::NotAFolder { .. }, .. })), "{found:?}");
    }
}
