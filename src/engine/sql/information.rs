//! What SQL says of the lake itself: `information_schema`, `SHOW TABLES`, `DESCRIBE`, with the types that KQL has.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::ast::{Ident, ObjectName, ObjectNamePart, ShowStatementIn, ShowStatementOptions, Statement};

use super::LakeSchema;

/// The catalog that all tables are in.
pub(in crate::engine) const CATALOG: &str = "kqlake";
/// The schema of the lake's tables.
pub(in crate::engine) const PUBLIC: &str = "public";
/// The schema that says what there is.
pub(in crate::engine) const SCHEMA: &str = "information_schema";
/// Its tables.
pub(super) const TABLES: [&str; 2] = ["tables", "columns"];

/// The text of the query that a statement about the lake stands for; `None` for any other statement.
pub(super) fn query_of(statement: &Statement) -> Option<String> {
    match statement {
        Statement::ShowTables { show_options, .. } if is_plain(show_options) => {
            Some(format!("SELECT table_name, table_type FROM {SCHEMA}.tables ORDER BY table_name"))
        }
        Statement::ShowColumns { show_options, .. } => match show_options.show_in.as_ref() {
            Some(ShowStatementIn { parent_name: Some(table), .. }) => columns_of(table),
            _ => None,
        },
        Statement::ExplainTable { table_name, .. } => columns_of(table_name),
        _ => None,
    }
}

/// The table of the lake whose columns a statement asks for.
pub(super) fn described(statement: &Statement) -> Option<String> {
    let table = match statement {
        Statement::ShowColumns { show_options, .. } => match show_options.show_in.as_ref()? {
            ShowStatementIn { parent_name: Some(table), .. } => table,
            _ => return None,
        },
        Statement::ExplainTable { table_name, .. } => table_name,
        _ => return None,
    };
    table_of(table).map(|table| table.value.clone())
}

fn is_plain(options: &ShowStatementOptions) -> bool {
    options.show_in.is_none() && options.filter_position.is_none() && options.limit.is_none()
}

/// A name of the lake's schema.
fn table_of(table: &ObjectName) -> Option<&Ident> {
    match table.0.as_slice() {
        [.., ObjectNamePart::Identifier(schema), ObjectNamePart::Identifier(table)] if schema.value == PUBLIC => Some(table),
        [ObjectNamePart::Identifier(table)] => Some(table),
        _ => None,
    }
}

fn columns_of(table: &ObjectName) -> Option<String> {
    let name = table_of(table)?.value.replace('\'', "''");
    Some(format!(
        "SELECT column_name, data_type, is_hidden FROM {SCHEMA}.columns WHERE table_name = '{name}' ORDER BY ordinal_position"
    ))
}

/// The schema with these tables.
#[derive(Debug)]
pub(in crate::engine) struct Information(Arc<LakeSchema>);

impl Information {
    pub(in crate::engine) fn of(lake: Arc<LakeSchema>) -> Information {
        Information(lake)
    }

    async fn rows(&self, name: &str) -> Result<Option<RecordBatch>, DataFusionError> {
        let texts = |column: Vec<String>| Arc::new(StringArray::from(column)) as ArrayRef;
        let constant = |text: &str, rows: usize| texts(vec![text.to_owned(); rows]);
        if name == "tables" {
            let tables = self.0.all();
            let rows = tables.len();
            let (names, kinds): (Vec<String>, Vec<String>) =
                tables.into_iter().map(|(name, kind)| (name, kind.to_owned())).unzip();
            return Ok(Some(RecordBatch::try_from_iter([
                ("table_catalog", constant(CATALOG, rows)),
                ("table_schema", constant(PUBLIC, rows)),
                ("table_name", texts(names)),
                ("table_type", texts(kinds)),
            ])?));
        }
        if name != "columns" {
            return Ok(None);
        }
        let (mut tables, mut names, mut places, mut types, mut hidden) = (vec![], vec![], vec![], vec![], vec![]);
        for (table, _) in self.0.all() {
            for (place, (column, is_hidden)) in self.0.columns(&table).await?.into_iter().enumerate() {
                tables.push(table.clone());
                names.push(column.name);
                places.push(1 + i64::try_from(place).unwrap_or_default());
                types.push(column.ty.name().to_owned());
                hidden.push(if is_hidden { "YES" } else { "NO" }.to_owned());
            }
        }
        let rows = names.len();
        Ok(Some(RecordBatch::try_from_iter([
            ("table_catalog", constant(CATALOG, rows)),
            ("table_schema", constant(PUBLIC, rows)),
            ("table_name", texts(tables)),
            ("column_name", texts(names)),
            ("ordinal_position", Arc::new(Int64Array::from(places)) as ArrayRef),
            ("is_nullable", constant("YES", rows)),
            ("data_type", texts(types)),
            ("is_hidden", texts(hidden)),
        ])?))
    }
}

#[async_trait]
impl SchemaProvider for Information {
    fn table_names(&self) -> Vec<String> {
        TABLES.map(str::to_owned).to_vec()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let Some(rows) = self.rows(name).await? else { return Ok(None) };
        Ok(Some(Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]])?)))
    }

    fn table_exist(&self, name: &str) -> bool {
        TABLES.contains(&name)
    }
}
