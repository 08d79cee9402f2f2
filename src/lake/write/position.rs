//! How far each stream has come in a table, and what is known of the table's commits beside its log.
//!
//! A landing's commit says the position of its stream itself, so that rows and position are there together or not at all.
//! `<lake>/_intents/<table>/positions.json` repeats the newest position of every stream, with the table's id, version and rows
//! at that commit. It is written after the commit, is never waited for, and can be made again from the log; it is there
//! because a log that ends early does not show that it does. Lakes of the first form have a file for each stream instead.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use xxhash_rust::xxh64::xxh64;

use crate::blocking::run_blocking;
use crate::damage::Damage;
use crate::error::LakeError;
use crate::folders::POSITIONS;
use crate::log::commit::{CURSOR, IMPORT, ROWS_TRANSACTION, STREAM};
use crate::log::delta::{Change, Log};
use crate::log::files::{LOG, commit_facts};
use crate::tables::TableDef;
use crate::{Lake, Position, retry};
use kqlake_durable::{self as durable, Draft};

/// The file of a table's positions.
const FILE: &str = "positions.json";
/// The version of its form.
const FORMAT: u32 = 2;
/// The version of the form that has a file for each stream.
const FILE_A_STREAM: u32 = 1;

/// The position of a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StreamPosition {
    cursor: Json,
    import_id: String,
}

/// The content of the file of a table's positions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Positions {
    format: u32,
    table: String,
    /// The id of the table that it is of.
    table_id: String,
    /// The table's version.
    version: i64,
    /// The rows of the table, by the statistics of its files.
    rows: u64,
    streams: BTreeMap<String, StreamPosition>,
}

/// The content of the file of one stream, as lakes of the first form have it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfStream {
    format: u32,
    stream: String,
    /// The version of the stream's application transaction.
    number: i64,
    cursor: Json,
    import_id: String,
    #[serde(default)]
    version: Option<i64>,
    #[serde(default)]
    table_id: Option<String>,
    #[serde(default)]
    rows: Option<u64>,
}

/// A file that witnesses a commit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Witness {
    /// The file.
    pub path: PathBuf,
    /// The id of the table.
    pub table_id: Option<String>,
    /// The version that the commit made.
    pub version: Option<i64>,
    /// The rows of the table after it.
    pub rows: Option<u64>,
}

/// The folder of a table's positions.
pub(crate) fn folder(root: &Path, def: &TableDef) -> PathBuf {
    root.join(POSITIONS).join(def.name)
}

/// What a commit says of its position.
pub(crate) fn facts(position: &Position) -> Vec<(String, Json)> {
    vec![
        (STREAM.to_owned(), position.stream.clone().into()),
        (CURSOR.to_owned(), position.cursor.clone()),
        (IMPORT.to_owned(), position.import_id.clone().into()),
    ]
}

/// The application transactions of a commit with a position, right after a version of the table: their numbers are its own.
pub(crate) fn transactions(position: &Position, base: &Log) -> Vec<(String, i64)> {
    let number = base.version() + 1;
    vec![(position.stream.clone(), number), (ROWS_TRANSACTION.to_owned(), number)]
}

fn parsed<T: for<'d> Deserialize<'d>>(path: &Path) -> Option<T> {
    // A pipe would be waited for.
    if !std::fs::metadata(path).ok()?.is_file() {
        return None;
    }
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// The positions that are written down of this very table; nothing when they are ahead of its log.
fn written(folder: &Path, log: &Log) -> Option<Positions> {
    let found: Positions = parsed(&folder.join(FILE))?;
    (found.format == FORMAT && found.table_id == log.id() && found.version <= log.version()).then_some(found)
}

fn of_stream(path: &Path) -> Option<OfStream> {
    parsed::<OfStream>(path).filter(|found| found.format == FILE_A_STREAM)
}

fn witness(path: PathBuf) -> Option<Witness> {
    if path.file_name().is_some_and(|name| name == FILE) {
        let Positions { table_id, version, rows, .. } = parsed(&path)?;
        return Some(Witness { path, table_id: Some(table_id), version: Some(version), rows: Some(rows) });
    }
    let OfStream { table_id, version, rows, .. } = of_stream(&path)?;
    Some(Witness { path, table_id, version, rows })
}

/// The files that witness commits of a table.
///
/// # Errors
/// [`LakeError::Damaged`] when something else than a file has the name of one.
pub(crate) fn witnesses(root: &Path, def: &'static TableDef) -> Result<Vec<Witness>, LakeError> {
    match known_witnesses(root, def) {
        // Who may read the table alone may do so.
        Err(LakeError::Io { .. } | LakeError::Damaged { damage: Damage::NotAFolder { .. }, .. }) => Ok(Vec::new()),
        found => found,
    }
}

fn known_witnesses(root: &Path, def: &'static TableDef) -> Result<Vec<Witness>, LakeError> {
    let folder = folder(root, def);
    let failed = |source| LakeError::of_folder(def.name, &folder, source);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && durable::obstacle(&folder).is_none() => return Ok(Vec::new()),
        Err(e) => return Err(failed(e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // What has more dots is temporary.
        if !name.ends_with(".json") || name.matches('.').count() != 1 {
            continue;
        }
        let path = entry.path();
        if std::fs::metadata(&path).is_ok_and(|found| !found.is_file()) {
            return Err(LakeError::Damaged { table: def.name, damage: Damage::NotAFile { path } });
        }
        found.extend(witness(path));
    }
    Ok(found)
}

/// Checks that nothing witnesses rows of a table that is not there.
///
/// # Errors
/// [`LakeError::Damaged`] when the table has been there, or something is in the place of the folder that would show it.
pub(crate) fn check_unwitnessed(root: &Path, def: &'static TableDef, dir: &Path, witnesses: &[Witness]) -> Result<(), LakeError> {
    let damaged = |damage| Err(LakeError::Damaged { table: def.name, damage });
    let folder = folder(root, def);
    if let Some(newest) = witnesses.iter().max_by_key(|witness| witness.version) {
        return damaged(Damage::MissingTable { dir: dir.to_owned(), witness: folder, rows: newest.rows });
    }
    match durable::obstacle(&folder) {
        Some(path) if path.starts_with(root) && path != root => damaged(Damage::NotAFolder { path: path.to_owned() }),
        _ => Ok(()),
    }
}

/// The rows that a table had after the newest landing that is known of; 0 when none is.
///
/// # Errors
/// The positions cannot be read.
pub(crate) fn witnessed_rows(root: &Path, def: &'static TableDef, log: &Log) -> Result<u64, LakeError> {
    let found = known_witnesses(root, def)?;
    let of_this = found.into_iter().filter(|witness| witness.table_id.as_deref() == Some(log.id()));
    Ok(of_this.max_by_key(|witness| witness.version).and_then(|witness| witness.rows).unwrap_or(0))
}

/// The positions that commits say after a version, the newest of each stream. Goes back until a commit is not there any more.
fn said_after(log: &Path, version: i64, until: i64) -> BTreeMap<String, StreamPosition> {
    let mut found = BTreeMap::new();
    for version in (version + 1..=until).rev() {
        let Some(facts) = u64::try_from(version).ok().and_then(|version| commit_facts(log, version)) else { break };
        if let (Some(Json::String(stream)), Some(cursor)) = (facts.get(STREAM), facts.get(CURSOR)) {
            let import_id = facts.get(IMPORT).and_then(Json::as_str).unwrap_or_default().to_owned();
            found.entry(stream.clone()).or_insert_with(|| StreamPosition { cursor: cursor.clone(), import_id });
        }
    }
    found
}

/// The position that a stream's newest commit into a table reached; `None` when it has none, or when nothing says it any
/// more: the source must then be read from its start, which is safe.
///
/// # Errors
/// The log cannot be read.
pub(crate) async fn find(
    root: &Path,
    def: &'static TableDef,
    log: &Log,
    dir: &Path,
    stream: &str,
) -> Result<Option<Position>, LakeError> {
    let (folder, commits, now) = (folder(root, def), dir.join(LOG), log.clone());
    let known = move || {
        let written = written(&folder, &now);
        let mut newest = said_after(&commits, written.as_ref().map_or(-1, |known| known.version), now.version());
        written.into_iter().flat_map(|known| known.streams).for_each(|(stream, standing)| {
            newest.entry(stream).or_insert(standing);
        });
        (newest, folder)
    };
    let (mut newest, folder) = run_blocking(def.name, known).await?;
    let position = |cursor, import_id| Some(Position { stream: stream.to_owned(), cursor, import_id });
    if let Some(StreamPosition { cursor, import_id }) = newest.remove(stream) {
        return Ok(position(cursor, import_id));
    }
    let Some(number) = log.transaction(stream, dir).await? else { return Ok(None) };
    // As in a lake of the first form, with what was not renamed yet.
    let stem = file_stem(stream);
    let candidates = [folder.join(format!("{stem}.{number}.json")), folder.join(format!("{stem}.json"))];
    let found = candidates.iter().filter_map(|path| of_stream(path)).find(|of| of.number == number && of.stream == stream);
    Ok(found.and_then(|of| position(of.cursor, of.import_id)))
}

/// A stream's name as a part of a file's name, in lakes of the first form.
fn file_stem(stream: &str) -> String {
    let plain: String = stream.chars().take(48).map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    format!("{plain}-{:016x}", xxh64(stream.as_bytes(), 0))
}

/// Makes the folder of a table's positions, so that a commit is not made where no witness of it could be written.
///
/// # Errors
/// [`LakeError::Damaged`] when something else is in its place, or the disk refuses.
pub(crate) fn make_folder(root: &Path, def: &'static TableDef) -> Result<(), LakeError> {
    let folder = folder(root, def);
    std::fs::create_dir_all(&folder).map_err(|source| LakeError::of_folder(def.name, &folder, source))
}

/// Writes the positions of a table and its streams at a version of its log.
///
/// # Errors
/// The disk refuses; the log still says it all.
pub(crate) fn note(root: &Path, def: &'static TableDef, dir: &Path, log: &Log) -> Result<(), LakeError> {
    let folder = folder(root, def);
    let known = written(&folder, log);
    let mut streams = said_after(&dir.join(LOG), known.as_ref().map_or(-1, |known| known.version), log.version());
    known.into_iter().flat_map(|known| known.streams).for_each(|(stream, standing)| {
        streams.entry(stream).or_insert(standing);
    });
    let (table, table_id) = (def.name.to_owned(), log.id().to_owned());
    let content = Positions { format: FORMAT, table, table_id, version: log.version(), rows: log.rows(), streams };
    let path = folder.join(FILE);
    let written = serde_json::to_vec(&content).map_err(Into::into).and_then(|text| {
        let draft = Draft::create(&path)?;
        draft.file().write_all(&text)?;
        draft.publish_unflushed()
    });
    written.map_err(|source| LakeError::Io { table: def.name, path, source })
}

/// Writes the positions of a table after a commit. A failure is only logged: the log has what happened.
pub(crate) async fn note_after_commit(lake: &Lake, def: &'static TableDef, log: &Log) {
    let (root, dir, log) = (lake.root().to_owned(), lake.table_dir(def), log.clone());
    let noted = run_blocking(def.name, move || note(&root, def, &dir, &log)).await;
    if let Err(error) = noted.and_then(|noted| noted) {
        tracing::warn!(table = def.name, %error, "position not written");
    }
}

/// Commits a position without rows.
///
/// # Errors
/// The disk refuses, or other writers were faster every time.
pub(crate) async fn advance(lake: &Lake, def: &'static TableDef, position: &Position) -> Result<i64, LakeError> {
    let turn = lake.turn(def);
    let _turn = turn.lock().await;
    lake.log_or_new(def).await?;
    let change = |log: &Log| {
        log.check_readable()?;
        make_folder(lake.root(), def)?;
        Ok(Change { data_change: true, transactions: transactions(position, log), info: facts(position), ..Change::default() })
    };
    let log = retry::commit(lake, def, change).await?;
    note_after_commit(lake, def, &log).await;
    Ok(log.version())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;
    use crate::tables::find;

    fn traces() -> &'static TableDef {
        find("traces").expect("a table")
    }

    #[test]
    fn what_witnesses_commits_is_told_from_what_lies_beside_it() {
        let lake = tempfile::tempdir().expect("a folder");
        let (root, folder) = (lake.path(), folder(lake.path(), traces()));
        let known = || known_witnesses(root, traces());
        let is_no_folder =
            |found: &Result<_, LakeError>| matches!(found, Err(LakeError::Damaged { damage: Damage::NotAFolder { .. }, .. }));
        assert!(known().expect("none yet").is_empty());
        fs::create_dir_all(root.join(POSITIONS)).expect("a folder");
        assert!(known().expect("none yet").is_empty());
        fs::write(&folder, "x").expect("a file in its place");
        assert!(is_no_folder(&known().map(drop)));
        // Who only reads the table goes on; where the table is not there, nobody does.
        assert!(witnesses(root, traces()).expect("none").is_empty());
        let unwitnessed = |witnesses: &[Witness]| check_unwitnessed(root, traces(), &root.join("traces"), witnesses);
        assert!(is_no_folder(&unwitnessed(&[])));
        fs::remove_file(&folder).expect("removed");
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(root.join("nowhere"), &folder).expect("a link");
            assert!(is_no_folder(&known().map(drop)));
            fs::remove_file(&folder).expect("removed");
        }
        fs::create_dir(&folder).expect("a folder");
        assert!(unwitnessed(&[]).is_ok());
        let positions = |version: i64| {
            json!({ "format": FORMAT, "table": "traces", "tableId": "i", "version": version, "rows": 7, "streams": {} })
                .to_string()
        };
        let of_stream = json!({ "format": FILE_A_STREAM, "stream": "s", "number": 1, "cursor": {}, "importId": "r" }).to_string();
        for (name, text) in [
            (FILE, positions(3)),
            ("s-1.json", of_stream.clone()),
            // Not renamed yet, unfinished, of somebody else, of no known form.
            ("s-1.2.json", of_stream),
            ("positions.tmp.json", positions(9)),
            ("notes.txt", positions(9)),
            ("later.json", positions(9)),
        ] {
            fs::write(folder.join(name), text).expect("a file");
        }
        let mut found = known().expect("witnesses");
        found.sort_by(|a, b| a.path.cmp(&b.path));
        let of_table = Witness { path: folder.join(FILE), table_id: Some("i".into()), version: Some(3), rows: Some(7) };
        let of_stream = Witness { path: folder.join("s-1.json"), table_id: None, version: None, rows: None };
        assert_eq!(found, [of_table, of_stream]);
        let missing = unwitnessed(&found);
        assert!(
            matches!(missing, Err(LakeError::Damaged { damage: Damage::MissingTable { rows: Some(7), .. }, .. })),
            "{missing:?}"
        );
        fs::create_dir(folder.join("folder.json")).expect("a folder");
        assert!(matches!(witnesses(root, traces()), Err(LakeError::Damaged { damage: Damage::NotAFile { .. }, .. })));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn positions_are_those_of_this_very_table_up_to_its_version() {
        let dir = tempfile::tempdir().expect("a folder");
        let lake = Lake::new(dir.path());
        let of = |cursor: i64| Position { stream: "s".into(), cursor: cursor.into(), import_id: "r".into() };
        for cursor in 0..2 {
            lake.advance(traces(), &of(cursor)).await.expect("a commit");
        }
        let log = lake.log(traces()).await.expect("a log").expect("a table");
        let folder = folder(dir.path(), traces());
        let noted = written(&folder, &log).expect("positions");
        assert_eq!((noted.version, noted.streams["s"].cursor.clone()), (log.version(), 1.into()));
        assert_eq!(said_after(&lake.table_dir(traces()).join(LOG), -1, log.version())["s"], noted.streams["s"]);
        for (changed, is_good) in [
            (Positions { version: noted.version - 1, ..noted.clone() }, true),
            (Positions { version: noted.version + 1, ..noted.clone() }, false),
            (Positions { format: FORMAT + 1, ..noted.clone() }, false),
            (Positions { table_id: "another".into(), ..noted.clone() }, false),
        ] {
            fs::write(folder.join(FILE), serde_json::to_vec(&changed).expect("JSON")).expect("written");
            assert_eq!(written(&folder, &log).is_some(), is_good, "{changed:?}");
            // The rows of another table say nothing of this one.
            let changed = Positions { rows: 5, ..changed };
            fs::write(folder.join(FILE), serde_json::to_vec(&changed).expect("JSON")).expect("written");
            let rows = witnessed_rows(dir.path(), traces(), &log).expect("rows");
            assert_eq!(rows, if changed.table_id == log.id() { 5 } else { 0 }, "{changed:?}");
        }
    }
}
