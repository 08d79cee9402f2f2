//! When sections finished, by their own events.

use std::collections::BTreeMap;

use arrow::array::{Array as _, ArrayRef, AsArray as _};
use arrow::datatypes::Int64Type;

use crate::engine::Engine;
use crate::error::Result;
use kqlake_value::us_of_datetime;

/// When each section of each tenant finished last (microseconds since 1970), by the names of both; files have no tenant.
///
/// # Errors
/// The events cannot be read.
pub async fn last_finished(engine: &Engine) -> Result<BTreeMap<(String, String), i64>> {
    let text = "customEvents
| where name == 'FinishedSectionImport' and cloud_RoleName == 'kqlake'
| summarize newest = max(timestamp) by tenant = tostring(customDimensions.tenant), section = tostring(customDimensions.section)";
    let answer = engine.kql("freshness", text, &BTreeMap::new()).await?;
    let mut found = BTreeMap::new();
    for table in &answer.tables {
        let mut rows = table.run().await?;
        while let Some(batch) = rows.next().await? {
            for row in 0..batch.num_rows() {
                let last = batch.column_by_name("newest").and_then(|array| array.as_primitive_opt::<Int64Type>());
                let Some(last) = last.filter(|array| array.is_valid(row)) else { continue };
                let word = |name: &str| batch.column_by_name(name).map(|array| word(array, row)).unwrap_or_default();
                found.insert((word("tenant"), word("section")), us_of_datetime(last.value(row)));
            }
        }
    }
    Ok(found)
}

fn word(array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) {
        return String::new();
    }
    match array.as_string_view_opt() {
        Some(view) => view.value(row).to_owned(),
        None => array.as_string_opt::<i32>().map(|array| array.value(row).to_owned()).unwrap_or_default(),
    }
}
