//! SQL over the lake's tables.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::datasource::ViewTable;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;

use super::results::kql_type;
use super::{Engine, failure, views};
use crate::error::{Error, Result};
use crate::kql::suggest::nearest;
use crate::kql::types::Column;
use crate::lake::{Lake, tables};

/// The lake as a SQL schema: every defined table, empty when the lake does not have it yet, and the views.
#[derive(Debug)]
pub(super) struct LakeSchema {
    engine: Engine,
}

impl LakeSchema {
    pub(super) fn new(engine: Engine) -> LakeSchema {
        LakeSchema { engine }
    }
}

#[async_trait]
impl SchemaProvider for LakeSchema {
    fn table_names(&self) -> Vec<String> {
        names().map(str::to_owned).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        if let Some(def) = tables::find(name) {
            return self.engine.lake.provider(def).await.map(Some).map_err(|err| DataFusionError::External(Box::new(err)));
        }
        let Some(view) = views::find(name) else { return Ok(None) };
        let answer = self.engine.kql(name, view, &std::collections::BTreeMap::new()).await;
        let table = answer.map_err(|err| DataFusionError::External(Box::new(err)))?.tables.pop();
        Ok(table.map(|table| Arc::new(ViewTable::new(table.plan, None)) as Arc<dyn TableProvider>))
    }

    fn table_exist(&self, name: &str) -> bool {
        tables::find(name).is_some() || views::find(name).is_some()
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    tables::all().iter().map(|def| def.name).chain(views::all().iter().map(|view| view.name))
}

/// Plans one statement. Only queries and EXPLAIN are allowed.
pub(super) async fn plan(session: &SessionContext, text: &str, _lake: &Lake) -> Result<(Vec<Column>, LogicalPlan)> {
    let fail = |err: DataFusionError| failure::of_sql(err, usize::MAX);
    let plan = session.state().create_logical_plan(text).await.map_err(|err| unknown_table(&err).unwrap_or_else(|| fail(err)))?;
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false).verify_plan(&plan).map_err(
        |_| Error::query("only queries are allowed: the lake is written by imports alone").hint("start with SELECT or WITH"),
    )?;
    let columns = plan.schema().fields().iter().map(|field| Column::new(field.name(), kql_type(field))).collect();
    Ok((columns, plan))
}

/// `table 'datafusion.public.Traces' not found` in our own words, with the nearest name.
fn unknown_table(err: &DataFusionError) -> Option<Error> {
    let text = err.find_root().to_string();
    let name = text.split("table '").nth(1)?.split("' not found").next()?.rsplit('.').next()?.to_owned();
    let error = Error::query(format!("there is no table `{name}`"));
    Some(match nearest(&name, names()) {
        Some(near) => error.hint(format!("did you mean `{near}`? Names are case-sensitive")),
        None => error.hint("`kqlake tables` lists the tables"),
    })
}
