//! When sections finished, by their own events.

use std::collections::BTreeMap;

use crate::engine::Engine;
use crate::error::Result;

/// When each section of each tenant finished last (microseconds since 1970), by the names of both; files have no tenant.
///
/// # Errors
/// The events cannot be read.
pub(crate) async fn last_finished(engine: &Engine) -> Result<BTreeMap<(String, String), i64>> {
    let text = "customEvents
| where name == 'FinishedSectionImport' and cloud_RoleName == 'kqlake'
| summarize newest = max(timestamp) by tenant = tostring(customDimensions.tenant), section = tostring(customDimensions.section)";
    let answer = engine.kql("freshness", text, &BTreeMap::new()).await?;
    let mut found = BTreeMap::new();
    for table in &answer.tables {
        let mut rows = table.run().await?;
        while let Some(batch) = rows.next().await? {
            let columns = table.named(&batch)?;
            for row in 0..batch.num_rows() {
                let Some(newest) = columns.micros("newest", row) else { continue };
                let word = |name: &str| columns.text(name, row).unwrap_or_default().to_owned();
                found.insert((word("tenant"), word("section")), newest);
            }
        }
    }
    Ok(found)
}
