//! Tables of files that are not the lake's, with columns as KQL takes them.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::foreign::{becomes_text, with_texts};

/// A table with texts in place of values that have no form of their own in KQL: structures and lists as JSON, binary values as
/// hexadecimal digits.
pub fn as_kql_takes_it(table: Arc<dyn TableProvider>) -> Arc<dyn TableProvider> {
    if table.schema().fields().iter().any(|field| becomes_text(field)) { Arc::new(AsKql(table)) } else { table }
}

#[derive(Debug)]
struct AsKql(Arc<dyn TableProvider>);

#[async_trait]
impl TableProvider for AsKql {
    fn schema(&self) -> SchemaRef {
        let text = |field: &Field| Field::new(field.name(), DataType::Utf8, true);
        let schema = self.0.schema();
        let fields = schema.fields().iter().map(|f| if becomes_text(f) { Arc::new(text(f)) } else { Arc::clone(f) });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    fn table_type(&self) -> TableType {
        self.0.table_type()
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let schema = self.0.schema();
        let is_of_texts = |filter: &Expr| {
            let columns = filter.column_refs();
            columns.iter().any(|column| schema.field_with_name(&column.name).is_ok_and(becomes_text))
        };
        let own = self.0.supports_filters_pushdown(filters)?;
        let texts = filters.iter().map(|filter| is_of_texts(filter));
        Ok(own
            .into_iter()
            .zip(texts)
            .map(|(own, texts)| if texts { TableProviderFilterPushDown::Unsupported } else { own })
            .collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = self.0.scan(state, projection, filters, limit).await?;
        with_texts(plan, &Arc::new(state.config_options().clone()))
    }
}
