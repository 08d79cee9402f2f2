//! Rows that kqlake writes about its own work: the ledger, events, log lines.

use super::ImportError;
use super::row::Row;
use kqlake_lake::tables::find;
use kqlake_lake::{Lake, Position, RowBuilder};

/// The table of the ledger.
pub(crate) const LEDGER: &str = "ImportLedger";

/// Lands rows of one table in one commit; without rows there is none.
///
/// # Errors
/// The lake cannot be written.
pub(crate) async fn land<'r>(
    lake: &Lake,
    table: &str,
    rows: impl Iterator<Item = &'r Row<'static>>,
    position: Position,
) -> Result<(), ImportError> {
    let Some(def) = find(table) else { return Ok(()) };
    let mut builder = RowBuilder::new(def);
    for row in rows {
        row.append_to(&mut builder, &position.import_id);
    }
    if builder.rows() == 0 {
        return Ok(());
    }
    let batch = builder
        .finish()
        .map_err(|source| ImportError::Reader(format!("own rows of {table} do not fit their table: {source}")))?;
    let mut landing = lake.land(def).await?;
    landing.write(batch).await?;
    landing.commit(position).await?;
    Ok(())
}
