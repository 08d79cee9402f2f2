//! Stands in for `kql::plan` until it is there.
use std::collections::BTreeMap;
use std::path::PathBuf;

use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;

use crate::kql::ast::Span;
use crate::kql::catalog::Catalog;
use crate::kql::diagnostics::{Diagnostic, code};
use crate::kql::parser;
use crate::kql::types::Column;

#[derive(Clone, Copy)]
pub struct PlanEnv<'a> {
    pub catalog: &'a dyn Catalog,
    pub session: &'a SessionContext,
    pub now_us: i64,
    pub params: &'a BTreeMap<String, String>,
    pub file_roots: &'a [PathBuf],
}
pub struct Planned {
    pub tables: Vec<PlannedTable>,
    pub render: Option<Render>,
    pub warnings: Vec<Diagnostic>,
}
pub struct PlannedTable {
    pub name: String,
    pub columns: Vec<Column>,
    pub plan: LogicalPlan,
}
#[derive(Debug, Clone)]
pub struct Render {
    pub kind: String,
    pub properties: Vec<(String, String)>,
}
pub enum PlanError {
    Refused(Vec<Diagnostic>),
    Execution(DataFusionError),
}
pub struct Bound {
    pub columns: Option<Vec<Column>>,
    pub diagnostics: Vec<Diagnostic>,
}
pub async fn plan(text: &str, env: &PlanEnv<'_>) -> Result<Planned, PlanError> {
    let _ = (env.catalog.names(), env.session, env.now_us, env.params, env.file_roots);
    let mut found = parser::parse(text).diagnostics;
    found.push(Diagnostic::error(code::UNSUPPORTED, Span::new(0, 0), "not yet"));
    if found.is_empty() {
        return Err(PlanError::Execution(DataFusionError::Plan(String::new())));
    }
    Err(PlanError::Refused(found))
}
pub fn bind_only(text: &str, catalog: &dyn Catalog, _params: &BTreeMap<String, String>, _now_us: i64) -> Bound {
    let _ = catalog.names();
    Bound { columns: None, diagnostics: parser::parse(text).diagnostics }
}
