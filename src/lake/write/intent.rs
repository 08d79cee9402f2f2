//! What a landing is about to do, written before it does it, and where each stream has got to.
//!
//! `<lake>/_intents/<table>/<stream>.<number>.json` is an intent. The commit carries the stream's application transaction
//! with the same number; so after a crash the log tells whether the intent happened. An intent that happened becomes the
//! stream's position, `<stream>.json`. An intent that did not happen says nothing and is deleted in time.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh64::xxh64;

use crate::Position;
use crate::damage::Damage;
use crate::error::LakeError;
use crate::log::delta::Log;
use crate::tables::TableDef;
use kqlake_durable as durable;
use kqlake_value::clock::{Clock as _, SystemClock};

/// The version of the files' form.
const FORMAT: u32 = 1;

/// The content of an intent and of a position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Intent {
    /// Version of this form.
    pub format: u32,
    /// The table.
    pub table: String,
    /// The stream.
    pub stream: String,
    /// The version of the stream's application transaction.
    pub number: i64,
    /// The position that the commit reaches.
    pub cursor: serde_json::Value,
    /// The run that lands the rows.
    pub import_id: String,
    /// The table's version that the commit makes. Earlier programs did not write it.
    #[serde(default)]
    pub version: Option<i64>,
    /// The id of the table that it is of.
    #[serde(default)]
    pub table_id: Option<String>,
    /// The rows of the table after the commit, by the statistics of its files.
    #[serde(default)]
    pub rows: Option<u64>,
}

/// Numbers grow with time and differ between writers of one moment.
fn next_number() -> i64 {
    let now = SystemClock.now_micros().max(0);
    // Ten bits of chance below the microseconds: room until the year 2255.
    (now << 10) | (rand::random::<i64>() & 0x3ff)
}

/// The folder of a table's intents.
pub(crate) fn folder(root: &Path, def: &TableDef) -> PathBuf {
    root.join("_intents").join(def.name)
}

/// A stream's name as part of a file name, unique however the stream is called.
fn file_stem(stream: &str) -> String {
    let plain: String = stream.chars().take(48).map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    format!("{plain}-{:016x}", xxh64(stream.as_bytes(), 0))
}

/// An intent on disk.
#[derive(Debug)]
pub(crate) struct Pending {
    /// What it says.
    pub intent: Intent,
    path: PathBuf,
    settled: PathBuf,
}

impl Pending {
    /// Writes the intent of a commit right after a version of the table, which then has that many rows.
    ///
    /// # Errors
    /// The disk refuses.
    pub(crate) fn write(
        root: &Path,
        def: &'static TableDef,
        position: &Position,
        base: &Log,
        rows: u64,
    ) -> Result<Self, LakeError> {
        let intent = Intent {
            format: FORMAT,
            table: def.name.to_owned(),
            stream: position.stream.clone(),
            number: next_number(),
            cursor: position.cursor.clone(),
            import_id: position.import_id.clone(),
            version: Some(base.version() + 1),
            table_id: Some(base.id().to_owned()),
            rows: Some(rows),
        };
        let (folder, stem) = (folder(root, def), file_stem(&position.stream));
        let path = folder.join(format!("{stem}.{}.json", intent.number));
        let io = |source| LakeError::Io { table: def.name, path: path.clone(), source };
        std::fs::create_dir_all(&folder).map_err(|source| LakeError::of_folder(def.name, &folder, source))?;
        let text = serde_json::to_vec(&intent).map_err(|e| io(e.into()))?;
        // Written under another name first: a half-written intent is never read.
        let draft = path.with_extension("tmp");
        let mut file = std::fs::File::create(&draft).map_err(io)?;
        file.write_all(&text).and_then(|()| file.sync_data()).map_err(io)?;
        std::fs::rename(&draft, &path).map_err(io)?;
        Ok(Pending { intent, path, settled: folder.join(format!("{stem}.json")) })
    }

    /// Makes the intent the stream's position, after its commit.
    ///
    /// # Errors
    /// The disk refuses; the log still knows what happened.
    pub(crate) fn settle(self, def: &TableDef) -> Result<(), LakeError> {
        std::fs::rename(&self.path, &self.settled).map_err(|source| LakeError::Io {
            table: def.name,
            path: self.settled.clone(),
            source,
        })
    }

    /// Takes the intent back.
    pub(crate) fn withdraw(self) {
        // Left behind it would say nothing: its number is in no log.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn read(path: &Path) -> Option<Intent> {
    // A pipe would be waited for.
    if !std::fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let text = std::fs::read(path).ok()?;
    serde_json::from_slice::<Intent>(&text).ok().filter(|i| i.format == FORMAT)
}

/// Commits that are known to have happened, with the files that know of them: the positions of a table's streams.
///
/// # Errors
/// [`LakeError::Damaged`] when something else than a file has a position's name.
pub(crate) fn witnesses(root: &Path, def: &'static TableDef) -> Result<Vec<(PathBuf, Intent)>, LakeError> {
    match known_witnesses(root, def) {
        // Who may read the table alone may do so.
        Err(LakeError::Io { .. } | LakeError::Damaged { damage: Damage::NotAFolder { .. }, .. }) => Ok(Vec::new()),
        found => found,
    }
}

fn known_witnesses(root: &Path, def: &'static TableDef) -> Result<Vec<(PathBuf, Intent)>, LakeError> {
    let folder = folder(root, def);
    let failed = |source| LakeError::of_folder(def.name, &folder, source);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && durable::blocker(&folder).is_none() => return Ok(Vec::new()),
        Err(e) => return Err(failed(e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if name.to_string_lossy().matches('.').count() != 1 {
            continue;
        }
        let path = entry.path();
        if let Some(intent) = read(&path) {
            found.push((path, intent));
        } else if name.to_string_lossy().ends_with(".json") && std::fs::metadata(&path).is_ok_and(|found| !found.is_file()) {
            return Err(LakeError::Damaged { table: def.name, damage: Damage::NotAFile { path } });
        }
    }
    Ok(found)
}

/// Checks that nothing knows of rows in a table that is not there.
///
/// # Errors
/// [`LakeError::Damaged`] when the table has been there, or something is in the place of the folder that could tell.
pub(crate) fn check_unwitnessed(
    root: &Path,
    def: &'static TableDef,
    dir: &Path,
    witnesses: &[(PathBuf, Intent)],
) -> Result<(), LakeError> {
    let damaged = |damage| Err(LakeError::Damaged { table: def.name, damage });
    let witness = folder(root, def);
    // Numbers grow with time.
    if let Some((_, newest)) = witnesses.iter().max_by_key(|(_, intent)| intent.number) {
        return damaged(Damage::MissingTable { dir: dir.to_owned(), witness, rows: newest.rows });
    }
    match durable::blocker(&witness) {
        Some(path) if path.starts_with(root) && path != root => damaged(Damage::NotAFolder { path: path.to_owned() }),
        _ => Ok(()),
    }
}

/// The rows that a table had after the newest landing that is known of; 0 when none is.
///
/// # Errors
/// The positions cannot be looked at.
pub(crate) fn witnessed_rows(root: &Path, def: &'static TableDef, log: &Log) -> Result<u64, LakeError> {
    let found = known_witnesses(root, def)?;
    let of_this = found.into_iter().map(|(_, intent)| intent).filter(|intent| intent.table_id.as_deref() == Some(log.id()));
    Ok(of_this.max_by_key(|intent| intent.version).and_then(|intent| intent.rows).unwrap_or(0))
}

/// True for the name of an intent or of its draft, as [`Pending::write`] makes them.
fn is_own_name(name: &str) -> bool {
    let parts: Vec<&str> = name.split('.').collect();
    let [stem, number, "json" | "tmp"] = parts[..] else { return false };
    let hash = stem.rsplit_once('-').map_or("", |(_, hash)| hash);
    hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()) && number.parse::<i64>().is_ok()
}

/// The position that a stream's newest commit into a table reached; `None` when it has none, or when the log and the
/// position files do not fit together (a restored backup): the source must then be read from its start, which is safe.
///
/// # Errors
/// The log cannot be read.
pub(crate) async fn position(
    root: &Path,
    def: &TableDef,
    log: &Log,
    dir: &Path,
    stream: &str,
) -> Result<Option<Intent>, LakeError> {
    let Some(number) = log.transaction(stream, dir).await? else { return Ok(None) };
    let (folder, stem) = (folder(root, def), file_stem(stream));
    let candidates = [folder.join(format!("{stem}.{number}.json")), folder.join(format!("{stem}.json"))];
    Ok(candidates.iter().filter_map(|path| read(path)).find(|i| i.number == number && i.stream == stream))
}

/// Deletes intents older than a moment that never happened, and drafts; an intent that did happen becomes the position.
///
/// # Errors
/// The log cannot be read.
pub(crate) async fn sweep(
    root: &Path,
    def: &TableDef,
    log: &Log,
    dir: &Path,
    older_than: std::time::SystemTime,
) -> Result<usize, LakeError> {
    let folder = folder(root, def);
    let Ok(entries) = std::fs::read_dir(&folder) else { return Ok(0) };
    let mut deleted = 0;
    for entry in entries.flatten() {
        if !is_own_name(&entry.file_name().to_string_lossy())
            || !entry.metadata().and_then(|m| m.modified()).is_ok_and(|at| at < older_than)
        {
            continue;
        }
        let path = entry.path();
        if let Some(intent) = read(&path)
            && log.transaction(&intent.stream, dir).await? == Some(intent.number)
        {
            let settled = folder.join(format!("{}.json", file_stem(&intent.stream)));
            let _ = std::fs::rename(&path, settled);
        } else if std::fs::remove_file(&path).is_ok() {
            deleted += 1;
        }
    }
    Ok(deleted)
}
