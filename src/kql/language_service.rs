//! A text bound as Microsoft's language service binds it: without tables' rows, and without what is read beside them.

use std::collections::BTreeMap;

use crate::binder::{Binder, BoundQuery};
use crate::catalog::{Answers, Catalog};
use crate::external::External;
use crate::lower::expr::evaluate;
use crate::room::MAX_CONSTANTS;
use kqlake_syntax::diagnostics::Diagnostic;
use kqlake_syntax::parser::Parsed;
use kqlake_value::Column;
use kqlake_value::text_column::with_text_budget;

/// What a check finds.
#[derive(Debug)]
pub struct Bound {
    /// The columns of the last result table, where the text binds.
    pub columns: Option<Vec<Column>>,
    /// Errors and warnings, in the order of their places.
    pub diagnostics: Vec<Diagnostic>,
}

/// What binding finds.
pub(crate) struct Found {
    pub(crate) bound: Bound,
    /// What keeps the query from running although it binds; in `bound` it is a warning.
    pub(crate) refused: Vec<Diagnostic>,
    /// The tables that the text reads.
    pub(crate) scanned: Vec<String>,
}

/// Binds a text. What depends on rows stays unknown.
pub(crate) fn bind(
    parsed: &Parsed,
    catalog: &dyn Catalog,
    external: &dyn External,
    params: &BTreeMap<String, String>,
    now_us: i64,
) -> Found {
    let mut diagnostics = parsed.diagnostics.clone();
    let (mut columns, mut scanned, mut refused) = (None, Vec::new(), Vec::new());
    if !parsed.has_errors() {
        let complete = |_: &str, _: &str| Answers::Nowhere;
        let binder = Binder::new(catalog, evaluate, params, now_us, &complete, None);
        let mut binder = binder.with_external(external, None);
        // A text of definitions alone has no columns.
        let last = |q: &BoundQuery| q.tables.last().map(|(_, rel)| Binder::columns_of(rel)).unwrap_or_default();
        columns = with_text_budget(MAX_CONSTANTS, || binder.bind(&parsed.script)).as_ref().map(last);
        diagnostics.append(&mut binder.diagnostics);
        refused.append(&mut binder.refused);
        scanned.extend(binder.scanned.iter().cloned());
    }
    diagnostics.sort_by_key(|d| d.span.start);
    Found { bound: Bound { columns, diagnostics }, refused, scanned }
}
