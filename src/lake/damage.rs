//! What can be wrong with a table's files, and the way out of each.
//!
//! A damaged table is neither read, written nor cleaned: an answer without some of its rows, a new log over old files, or
//! the deletion of files that a lost log accounted for would each make the damage final.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::folders::POSITIONS;

/// What is wrong with a pipe, a device or a socket in the place of a file.
pub(crate) const IRREGULAR: &str = "it is no regular file";

/// Why a table's files cannot be trusted. Every kind names the file or folder that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// Data files are in the table's folder, and no log says which of them count.
    NoLog {
        /// The table's folder.
        dir: PathBuf,
    },
    /// Something else than a folder has the name of a table's folder, or of its log.
    NotAFolder {
        /// What is there.
        path: PathBuf,
    },
    /// Something else than a file has the name of a file of the lake.
    NotAFile {
        /// What is there.
        path: PathBuf,
    },
    /// The table is not there, and is known to have been.
    MissingTable {
        /// The folder that it had.
        dir: PathBuf,
        /// The folder of positions that witnesses it.
        witness: PathBuf,
        /// The rows that it held, where that is known.
        rows: Option<u64>,
    },
    /// The folder holds another table.
    OtherTable {
        /// The folder.
        dir: PathBuf,
        /// What it holds.
        found: String,
    },
    /// A commit is empty, cut off or no JSON.
    Commit {
        /// The commit.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
        /// True for the newest commit: without it the table is as it was before.
        newest: bool,
    },
    /// A commit is missing between others.
    MissingCommit {
        /// The commit.
        file: PathBuf,
    },
    /// The log ends before a commit that is known to have happened.
    LostCommits {
        /// The first commit that is missing.
        file: PathBuf,
        /// The file that witnesses it.
        witness: PathBuf,
    },
    /// The newest checkpoint cannot be read.
    Checkpoint {
        /// The checkpoint.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
        /// True when the log says everything without this checkpoint.
        spare: bool,
    },
    /// `_last_checkpoint` names a checkpoint that is not there.
    LastCheckpoint {
        /// The file.
        file: PathBuf,
        /// The checkpoint's version; `None` when the file names none.
        version: Option<u64>,
        /// True when the log says everything without that checkpoint.
        spare: bool,
    },
    /// The log names a data file outside of the table's folder.
    Outside {
        /// The folder of the log.
        log: PathBuf,
        /// What it names.
        path: String,
    },
    /// A data file is missing.
    MissingFile {
        /// The file.
        file: PathBuf,
    },
    /// A data file has another size than it was written with.
    FileSize {
        /// The file.
        file: PathBuf,
        /// Its size in bytes.
        found: u64,
        /// The size that it was written with.
        expected: u64,
    },
    /// A data file is no readable Parquet.
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::NoLog { dir } => write!(f, "{} holds Parquet files without a log (_delta_log)", dir.display()),
            Damage::NotAFolder { path } => write!(f, "{} is not a folder", path.display()),
            Damage::NotAFile { path } => write!(f, "{} is no regular file", path.display()),
            Damage::MissingTable { witness, rows, .. } => {
                let held = rows.map_or_else(|| "rows".to_owned(), |rows| format!("{rows} rows"));
                write!(f, "the table is missing; {} says that it held {held}", witness.display())
            }
            Damage::OtherTable { dir, found } => write!(f, "{} holds {found}", dir.display()),
            Damage::Commit { file, why, .. } => write!(f, "the commit {} {why}", file.display()),
            Damage::MissingCommit { file } => {
                write!(f, "the commit {} is missing, and later ones are there", file.display())
            }
            Damage::LostCommits { file, witness } => {
                write!(f, "the commit {} is missing: {} says that it happened", file.display(), witness.display())
            }
            Damage::Checkpoint { file, why, .. } => write!(f, "the checkpoint {} {why}", file.display()),
            Damage::LastCheckpoint { file, version: Some(version), .. } => {
                write!(f, "{} names the checkpoint of version {version}, which is not there or cannot be read", file.display())
            }
            Damage::LastCheckpoint { file, version: None, .. } => write!(f, "{} names no checkpoint", file.display()),
            Damage::Outside { log, path } => {
                write!(f, "the log {} names a file outside of the table's folder: {path}", log.display())
            }
            Damage::MissingFile { file } => write!(f, "the data file {} is missing", file.display()),
            Damage::FileSize { file, found, expected } => {
                write!(f, "the data file {} has {found} bytes, {expected} were written", file.display())
            }
            Damage::File { file, why } => write!(f, "the data file {} cannot be read: {why}", file.display()),
        }
    }
}

impl Damage {
    /// What to do about it.
    pub fn advice(&self) -> String {
        let without = |file: &Path| format!("without one, {}", begin_anew(table_dir(file)));
        match self {
            Damage::NoLog { dir } => {
                let log = dir.join("_delta_log");
                format!("restore {} from a backup; without one, {}", log.display(), begin_anew(dir))
            }
            Damage::NotAFolder { path } => format!("a folder belongs there: move {} away", path.display()),
            Damage::NotAFile { path } => {
                format!("move {} away, and restore the file from a backup if there was one", path.display())
            }
            Damage::MissingTable { dir, witness, .. } => format!(
                "restore {} from a backup; to go on without its rows, move the folder {} away: the table is then empty, and an \
                 import lands again what its sources hold",
                dir.display(),
                witness.display()
            ),
            Damage::OtherTable { dir, .. } => {
                format!("put the table that belongs there back from a backup; without one, {}", begin_anew(dir))
            }
            Damage::Commit { newest: true, .. } => {
                "restore it from a backup; without one, `kqlake compact --repair` sets it aside; \
                 import again afterwards, which lands what is missing"
                    .to_owned()
            }
            Damage::LostCommits { .. } => {
                "restore it and what followed it from a backup; without one, `kqlake compact --repair` \
                 goes on without them; import again afterwards, which lands what is missing"
                    .to_owned()
            }
            Damage::Commit { file, .. } | Damage::MissingCommit { file } => {
                format!("restore it from a backup; {}", without(file))
            }
            Damage::Checkpoint { spare: true, .. } | Damage::LastCheckpoint { spare: true, .. } => {
                "`kqlake compact --repair` sets it aside: the log says everything without it".to_owned()
            }
            Damage::Checkpoint { file, .. } | Damage::LastCheckpoint { file, .. } => {
                format!("restore the checkpoint from a backup; {}", without(file))
            }
            Damage::Outside { log, .. } => {
                format!("restore the log from a backup; without one, {}", begin_anew(log.parent().unwrap_or(log)))
            }
            Damage::MissingFile { file } | Damage::FileSize { file, .. } | Damage::File { file, .. } => {
                format!("restore the file from a backup; {}", without(file))
            }
        }
    }

    /// The data file that is broken; the others are then as good as before.
    pub(crate) fn data_file(&self) -> Option<&Path> {
        match self {
            Damage::MissingFile { file } | Damage::FileSize { file, .. } | Damage::File { file, .. } => Some(file),
            _ => None,
        }
    }
}

/// The table's folder of a file two levels below it: a commit, or a data file.
fn table_dir(file: &Path) -> &Path {
    file.parent().and_then(Path::parent).unwrap_or(file)
}

/// How to begin a table again: its positions would say that it is missing.
fn begin_anew(table: &Path) -> String {
    format!("move {} and {} away and import again", table.display(), positions_of(table).display())
}

/// The folder of positions that belongs to a table's folder.
fn positions_of(table: &Path) -> PathBuf {
    let lake = table.parent().unwrap_or(table);
    let all = lake.join(POSITIONS);
    table.file_name().map_or_else(|| all.clone(), |name| all.join(name))
}
