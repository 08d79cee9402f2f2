//! Where the rows of a catalog's tables are read from.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::error::DataFusionError;

use crate::catalog::{Answers, Catalog};

/// A table to scan.
pub struct ScanTable {
    /// Gives at least the schema's columns by name, in their Arrow forms.
    pub provider: Arc<dyn TableProvider>,
    /// Promoted columns from which everything about their key can be answered in every file; others fall back to the bag.
    pub complete: HashSet<String>,
    /// Promoted columns from which that can be answered in some files.
    pub partial: HashSet<String>,
    /// Divides the table where some columns are partial.
    pub parts: Option<Parts>,
    /// True when the table has no rows.
    pub empty: bool,
}

/// Divides a table by its files: first those in which all of the given promoted columns answer for their keys, then the others.
pub type Parts = Arc<dyn Fn(&[&str]) -> (Arc<dyn TableProvider>, Arc<dyn TableProvider>) + Send + Sync>;

impl ScanTable {
    /// Where a promoted column answers for its key.
    pub(crate) fn answers(&self, column: &str) -> Answers {
        if self.complete.contains(column) {
            Answers::Everywhere
        } else if self.partial.contains(column) && self.parts.is_some() {
            Answers::Somewhere
        } else {
            Answers::Nowhere
        }
    }
}

/// A catalog whose tables can be scanned.
#[async_trait]
pub trait ScanCatalog: Catalog {
    /// What to scan for a table.
    ///
    /// # Errors
    /// When the lake's files cannot be read, or the table has none because the catalog is a schema only.
    async fn scan(&self, name: &str) -> Result<ScanTable, DataFusionError>;
}
