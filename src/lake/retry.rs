//! Committing again where another writer was faster.

use crate::Lake;
use crate::error::LakeError;
use crate::log::delta::{Change, CommitError, Log};
use crate::tables::TableDef;

/// Tries to commit before giving up; each lost one means that another writer got through.
pub(crate) const TRIES: usize = 64;

/// Commits a change that looks at no rows to the newest version of a table. Gives the log after it.
///
/// # Errors
/// The table is not there, `change` refuses its log, the disk does, or other writers were faster every time.
pub(crate) async fn commit(
    lake: &Lake,
    def: &'static TableDef,
    change: impl Fn(&Log) -> Result<Change, LakeError>,
) -> Result<Log, LakeError> {
    let dir = lake.table_dir(def);
    for _ in 0..TRIES {
        let log = lake.log(def).await?.ok_or_else(|| LakeError::Log { table: def.name, source: "the table is gone".into() })?;
        match log.commit(change(&log)?, &dir, lake.now_millis()).await {
            Ok(log) => {
                lake.keep_log(def, log.clone());
                return Ok(log);
            }
            Err(CommitError::Behind) => {}
            Err(CommitError::Failed(error) | CommitError::Unknown(error)) => return Err(error),
        }
    }
    Err(LakeError::Busy { table: def.name, attempts: TRIES })
}
