//! What the binder asks about tables; the engine answers from the lake, `check --schema` from a file. How their rows are read
//! is no matter of the binder: see [`ScanCatalog`](crate::scans::ScanCatalog).

use std::sync::Arc;

use kqlake_value::{Column, Type};

/// A table or view as the binder sees it.
#[derive(Debug, Clone, Default)]
pub struct TableSchema {
    /// The columns that KQL shows, in order.
    pub columns: Vec<Column>,
    /// Columns that mirror keys of a dynamic column; KQL reaches them only through the bag.
    pub promoted: Vec<PromotedColumn>,
    /// The KQL text that a view stands for; a view has no provider.
    pub view: Option<String>,
    /// The table whose rows a view shows. A pattern that both fit takes the table alone, so that no row comes twice.
    pub rows_of: Option<String>,
}

/// A hidden column that mirrors a key of a dynamic column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromotedColumn {
    /// The hidden column's name in the provider.
    pub column: String,
    /// Its KQL type.
    pub ty: Type,
    /// The dynamic column, such as `customDimensions`.
    pub source: String,
    /// The key at the bag's top level.
    pub key: String,
}

/// In which files of a table a promoted column alone answers for its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// In none that is known of.
    Nowhere,
    /// In some.
    Somewhere,
    /// In all.
    Everywhere,
}

/// The tables that a query may name.
pub trait Catalog: Send + Sync {
    /// Names of the tables and views that wildcards, `search` and `find` go over, in that order.
    fn names(&self) -> Vec<String>;
    /// A table or view by exact name.
    fn table(&self, name: &str) -> Option<Arc<TableSchema>>;
    /// Whether `cluster('name')`, `database('name')`, `workspace('name')`, … stands for this lake.
    fn maps(&self, kind: &str, name: &str) -> bool {
        let _ = (kind, name);
        false
    }
}
