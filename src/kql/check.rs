//! What is wrong with a text, found without reading a row.
//!
//! A text is bound as Microsoft's language service binds it; and it is planned as `query` plans it, over tables of the same columns
//! that have no rows, which gives the columns of the answer. What `query` would refuse is an error here, and nothing else is: what only
//! the service takes for one is a warning. The service's columns are shown where there is no plan.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::DataFusionError;

use crate::catalog::{Catalog, TableSchema};
use crate::external::Nothing;
use crate::language_service::{Bound, bind};
use crate::plan::{PlanEnv, PlanError, Planned, Run, planned};
use crate::scans::{ScanCatalog, ScanTable};
use kqlake_syntax::ast::Span;
use kqlake_syntax::diagnostics::{Diagnostic, Severity, code};
use kqlake_syntax::parser::parse;
use kqlake_value::{Column, columns};

/// Checks a text against the columns that its tables have at rest: what another writer added to a table is known once it is
/// open. A table that cannot be opened has the columns of its definition. Of what is read beside tables it is only looked
/// whether it is allowed.
pub async fn check(text: &str, env: &PlanEnv<'_>) -> Bound {
    let parsed = parse(text);
    let mut opened = HashSet::new();
    let mut found = loop {
        let found = bind(&parsed, env.catalog, env.external, env.params, env.now_us);
        let mut learned = false;
        for table in &found.scanned {
            if opened.insert(table.clone()) {
                let columns = |schema: Option<Arc<TableSchema>>| schema.map(|schema| schema.columns.clone());
                let known = columns(env.catalog.table(table));
                learned |= env.catalog.scan(table).await.is_ok() && columns(env.catalog.table(table)) != known;
            }
        }
        if !learned {
            break found;
        }
    };
    let is_wrong = found.bound.diagnostics.iter().any(|d| d.severity == Severity::Error);
    let without_rows = WithoutRows(env.catalog);
    let env = PlanEnv { catalog: &without_rows, ..*env };
    let refused = match planned(&parsed, &env, Run::WithoutRows).await {
        Ok(Some(planned)) if is_wrong => return runs_all_the_same(found.bound, &planned),
        Ok(Some(planned)) => return with_columns_of(found.bound, &planned),
        // What is wrong is said already.
        Ok(None) | Err(_) if is_wrong => return found.bound,
        // Columns follow from rows: what the binder noted is all that is known.
        Ok(None) | Err(PlanError::Unavailable(_) | PlanError::Misconfigured(_)) => found.refused,
        Err(PlanError::Refused(diagnostics)) => diagnostics.into_iter().filter(|d| d.severity == Severity::Error).collect(),
        Err(PlanError::Execution(error)) => {
            let start = Span { start: 0, end: 0 };
            vec![Diagnostic::error(code::LIMIT, start, format!("the query cannot be planned: {}", error.strip_backtrace()))]
        }
    };
    // An error takes the place of its warning.
    found.bound.diagnostics.retain(|d| !refused.iter().any(|error| error.span == d.span && error.message == d.message));
    found.bound.diagnostics.extend(refused);
    found.bound.diagnostics.sort_by_key(|d| d.span.start);
    found.bound
}

/// What is found of a text that Microsoft's language service takes for wrong, and that runs.
fn runs_all_the_same(mut found: Bound, planned: &Planned) -> Bound {
    for error in found.diagnostics.iter_mut().filter(|d| d.severity == Severity::Error) {
        error.severity = Severity::Warning;
        error.message = format!("this runs, though Microsoft's language service takes it for an error: {}", error.message);
    }
    with_columns_of(found, planned)
}

/// The same with the columns that the query's answer has. A text of definitions alone has none.
fn with_columns_of(found: Bound, planned: &Planned) -> Bound {
    let columns = planned.tables.last().map(|table| table.columns.clone());
    Bound { columns: columns.or(found.columns), ..found }
}

/// Parses and binds a text without running anything or opening tables. What depends on rows stays unknown, and what keeps a query
/// from running is a warning. For who has columns and no rows; it is also what random texts are tried on (`fuzz/`).
pub fn bind_only(text: &str, catalog: &dyn Catalog, params: &BTreeMap<String, String>, now_us: i64) -> Bound {
    bind(&parse(text), catalog, &Nothing, params, now_us).bound
}

/// The tables of a catalog without their rows.
struct WithoutRows<'a>(&'a dyn ScanCatalog);

impl Catalog for WithoutRows<'_> {
    fn names(&self) -> Vec<String> {
        self.0.names()
    }

    fn table(&self, name: &str) -> Option<Arc<TableSchema>> {
        self.0.table(name)
    }

    fn maps(&self, kind: &str, name: &str) -> bool {
        self.0.maps(kind, name)
    }
}

#[async_trait]
impl ScanCatalog for WithoutRows<'_> {
    async fn scan(&self, name: &str) -> Result<ScanTable, DataFusionError> {
        let (schema, complete) = match (self.0.scan(name).await, self.0.table(name)) {
            (Ok(scan), _) => (scan.provider.schema(), scan.complete),
            // A table that is known by its columns alone.
            (Err(_), Some(table)) => {
                let promoted = table.promoted.iter().map(|p| Column::new(p.column.clone(), p.ty));
                let fields = table.columns.iter().cloned().chain(promoted).map(|c| columns::stored_field(&c.name, c.ty));
                (Arc::new(arrow::datatypes::Schema::new(fields.collect::<Vec<_>>())), HashSet::new())
            }
            (Err(error), None) => return Err(error),
        };
        // Not said to be empty: nothing of the plan is left out.
        let (partial, parts, empty) = (HashSet::new(), None, false);
        Ok(ScanTable { provider: Arc::new(EmptyTable::new(schema)), complete, partial, parts, empty })
    }
}
