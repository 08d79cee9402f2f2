//! Making a damaged log readable again by setting aside what cannot be read. Nothing is deleted.
//!
//! A checkpoint that the log says everything without costs nothing. Without its newest commit a table is as it was before
//! that; the rows of the commit must be imported again. So that they are, such a repair leaves a mark in the log, by which a
//! unit that landed in a lost version is distinguished from one that landed in the version of that number after the repair.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use kqlake_durable::{self as durable, Draft, Lease};
use kqlake_value::format::InstantText;

use crate::blocking::run_blocking;
use crate::compact::data_files;
use crate::damage::Damage;
use crate::data::file::check_file;
use crate::data::writer::is_own_name;
use crate::error::LakeError;
use crate::folders::SET_ASIDE;
use crate::log::delta::{Change, Log};
use crate::log::files::{LOG, commit_name};
use crate::tables::TableDef;
use crate::{Lake, retry};

/// The file that says why files were set aside.
const REASONS: &str = "reason.txt";
/// The application transaction that marks a repair which lost commits; its number is the version that it made.
pub(crate) const REPAIRED: &str = "kqlake/repaired";

/// A file that a repair has moved away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedFile {
    /// Where it was.
    pub from: PathBuf,
    /// Where it is.
    pub to: PathBuf,
    /// Why.
    pub reason: String,
}

/// What a repair did.
#[derive(Debug, Default)]
pub struct RepairReport {
    /// The files that were moved away.
    pub set_aside: Vec<MovedFile>,
    /// True when commits are lost: their rows must be imported again.
    pub lost_commits: bool,
}

/// The folder that one repair of one table moves files to. It is made for the first file.
struct RepairFolder {
    folder: PathBuf,
    made: bool,
    done: Vec<MovedFile>,
}

impl RepairFolder {
    fn new(lake: &Lake, def: &TableDef) -> Self {
        let now = InstantText::of_us(lake.now_us());
        let now = format!("{}T{}Z", now.day(), now.time().replace(':', ""));
        let folder = lake.root().join(SET_ASIDE).join(def.name);
        // Two repairs of one second have a folder each.
        let names = (1..).map(|n| if n == 1 { now.clone() } else { format!("{now}-{n}") });
        let free = names.map(|name| folder.join(name)).find(|folder| fs::symlink_metadata(folder).is_err());
        RepairFolder { folder: free.unwrap_or(folder), made: false, done: Vec::new() }
    }

    /// Moves a file away, under the path that it has below the table's folder or else under its name.
    fn take(&mut self, from: &Path, dir: &Path, reason: &str) -> io::Result<()> {
        if !self.made {
            durable::create_folders(&self.folder)?;
            self.made = true;
        }
        let below = from.strip_prefix(dir).ok().or_else(|| from.file_name().map(Path::new)).unwrap_or(from);
        let to = self.folder.join(below);
        let (left, reached) = (from.parent().unwrap_or(dir), to.parent().unwrap_or(&self.folder));
        durable::create_folders(reached)?;
        fs::rename(from, &to)?;
        durable::sync_folder(reached)?;
        durable::sync_folder(left)?;
        self.done.push(MovedFile { from: from.to_owned(), to: to.clone(), reason: reason.to_owned() });
        let draft = Draft::create(&self.folder.join(REASONS))?;
        for moved in &self.done {
            writeln!(draft.file(), "{} was {}: {}", moved.to.display(), moved.from.display(), moved.reason)?;
        }
        draft.publish()
    }
}

/// Repairs a table as far as that can be done. What was done stays in the report when the rest fails.
pub(crate) async fn repair(lake: &Lake, def: &'static TableDef, report: &mut RepairReport) -> Result<(), LakeError> {
    let turn = lake.turn(def);
    let _turn = turn.lock().await;
    let dir = lake.table_dir(def);
    let mut aside = RepairFolder::new(lake, def);
    let done = repair_with(lake, def, &dir, &mut aside, &mut report.lost_commits).await;
    report.set_aside.append(&mut aside.done);
    done
}

async fn repair_with(
    lake: &Lake,
    def: &'static TableDef,
    dir: &Path,
    aside: &mut RepairFolder,
    lost: &mut bool,
) -> Result<(), LakeError> {
    let failed = |path: &Path, source| LakeError::Io { table: def.name, path: path.to_owned(), source };
    // Each round moves a file away.
    let log = loop {
        let error = match lake.log(def).await {
            Ok(Some(log)) => break log,
            Ok(None) => return Ok(()),
            Err(error) => error,
        };
        let LakeError::Damaged { damage, .. } = &error else { return Err(error) };
        let file = match damage {
            // Without its first commit there is no table, and what is in its folder would belong to none.
            Damage::Commit { file, newest: true, .. } if !file.ends_with(commit_name(0)) => file,
            Damage::LostCommits { witness, .. } => witness,
            _ => return Err(error),
        };
        aside.take(file, dir, &damage.to_string()).map_err(|source| failed(file, source))?;
        *lost = true;
    };
    let (log_dir, passed) = (dir.join(LOG), log.passed());
    let why: Vec<String> = passed.damage.iter().map(ToString::to_string).collect();
    for name in &passed.names {
        let file = log_dir.join(name);
        aside.take(&file, dir, &why.join("; ")).map_err(|source| failed(&file, source))?;
    }
    for file in strays(&log_dir).map_err(|source| failed(&log_dir, source))? {
        aside.take(&file, dir, "an unfinished file of an earlier write").map_err(|source| failed(&file, source))?;
    }
    if *lost {
        for file in unnamed(lake, def, dir, &log).await? {
            let reason = "no commit that is left names it; its rows may be those of a lost commit";
            aside.take(&file, dir, reason).map_err(|source| failed(&file, source))?;
        }
        mark(lake, def).await?;
    }
    // No repair brings a data file back: what every reader would meet is said, beside what was done.
    let folder = dir.to_owned();
    run_blocking(def.name, move || log.files().iter().try_for_each(|file| check_file(def.name, &folder, file))).await?
}

/// What the library's store left in a log's folder when it was cut off: a name with `#` and a number behind it.
fn strays(log: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(log)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let stray = name.rsplit_once('#').is_some_and(|(of, number)| !of.is_empty() && number.parse::<u64>().is_ok());
        if stray && entry.file_type()?.is_file() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Data files of ours that the log neither names nor has removed, and that belong to no work in progress.
async fn unnamed(lake: &Lake, def: &'static TableDef, dir: &Path, log: &Log) -> Result<Vec<PathBuf>, LakeError> {
    let folder = dir.to_owned();
    let list = run_blocking(def.name, move || Ok((Lease::oldest(&folder)?, data_files(&folder)?))).await?;
    let (began, files) = list.map_err(|source| LakeError::Io { table: def.name, path: dir.to_owned(), source })?;
    // Read after the folder: a file that was committed in between is live now.
    let Some(log) = lake.log(def).await?.or_else(|| Some(log.clone())) else { return Ok(Vec::new()) };
    let removed = log.tombstones(dir).await?;
    let live: HashSet<&str> = log.files().iter().map(|file| file.path.as_str()).collect();
    let unnamed = files.into_iter().filter(|(path, modified)| {
        let ours = path.rsplit('/').next().is_some_and(is_own_name);
        ours && !live.contains(path.as_str()) && !removed.contains_key(path) && began.is_none_or(|began| *modified < began)
    });
    Ok(unnamed.map(|(path, _)| dir.join(path)).collect())
}

/// Commits the mark of a repair.
async fn mark(lake: &Lake, def: &'static TableDef) -> Result<(), LakeError> {
    let change = |log: &Log| Ok(Change { transactions: vec![(REPAIRED.to_owned(), log.version() + 1)], ..Change::default() });
    retry::commit(lake, def, change).await.map(drop)
}
