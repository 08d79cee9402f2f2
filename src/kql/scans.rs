//! Where the rows of a catalog's tables are read from.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::error::DataFusionError;

use crate::catalog::Catalog;

/// A table to scan.
pub struct ScanTable {
    /// Gives at least the schema's columns by name, in their Arrow forms.
    pub provider: Arc<dyn TableProvider>,
    /// Promoted columns from which everything about their key can be answered in every file; others fall back to the bag.
    pub complete: HashSet<String>,
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
