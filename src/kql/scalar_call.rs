//! One scalar expression of KQL over the columns of a plan that is not KQL's: what SQL knows as `kql.bin(…)`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::common::{DFSchema, DataFusionError};
use datafusion::logical_expr::Expr;

use crate::binder::{Binder, Binding, ExprContext, RowInfo, Scope};
use crate::bound::{BoundColumn, BoundExpr, BoundKind, ColId, HiddenColumn, HiddenRole};
use crate::catalog::{Answers, Catalog, TableSchema};
use crate::lower::LowerError;
use crate::lower::expr::evaluate;
use crate::lower::over::over;
use kqlake_syntax::ast::{self, ExprKind, OperatorKind, Span, StatementKind};
use kqlake_syntax::diagnostics::Severity;
use kqlake_value::{Type, Value};

/// An argument of a call.
#[derive(Debug, Clone)]
pub struct Argument {
    /// Type.
    pub ty: Type,
    /// Value, when it is a constant.
    pub constant: Option<Value>,
    /// Keys of a bag that columns beside it answer for everywhere, with the columns' types.
    pub promoted: Vec<(String, Type)>,
}

/// A bound call.
#[derive(Debug, Clone)]
pub struct ScalarCall {
    expr: BoundExpr,
    args: Vec<Argument>,
}

/// Ids of arguments are places; those of the columns beside them follow at this distance.
const PLACES: u32 = 1 << 10;

/// The name of an argument in the text of a call.
pub fn parameter(place: usize) -> String {
    format!("__arg{place}")
}

fn id(place: usize) -> ColId {
    1 + u32::try_from(place).unwrap_or(PLACES)
}

fn promoted_id(place: usize, key: usize) -> ColId {
    PLACES * id(place) + u32::try_from(key).unwrap_or(PLACES)
}

/// Binds the text of an expression that names its arguments as [`parameter`] says.
///
/// # Errors
/// What is wrong with it, as KQL says it.
pub fn bind_scalar(text: &str, args: Vec<Argument>, now_us: i64) -> Result<ScalarCall, String> {
    let text = format!("print {text}");
    let parsed = kqlake_syntax::parser::parse(&text);
    if let Some(first) = parsed.diagnostics.iter().find(|d| d.severity == Severity::Error) {
        return Err(first.message.clone());
    }
    let expr = parsed.script.statements.iter().find_map(printed).ok_or("it is no expression")?;
    let scope = Scope::root().nested(true);
    let mut row = RowInfo::default();
    for (place, arg) in args.iter().enumerate() {
        let name = parameter(place);
        if let Some(value) = &arg.constant {
            let literal = BoundExpr::literal(value.clone(), arg.ty, Span { start: 0, end: 0 });
            scope.define(&name, Binding::Scalar(literal));
            continue;
        }
        row.columns.push(BoundColumn { id: id(place), name, ty: arg.ty });
        row.hidden.extend(arg.promoted.iter().enumerate().map(|(at, (key, ty))| {
            let role = HiddenRole::Promoted { parent: id(place), key: key.clone(), complete: true };
            HiddenColumn { id: promoted_id(place, at), ty: *ty, role }
        }));
    }
    let params = BTreeMap::new();
    let nowhere = |_: &str, _: &str| Answers::Nowhere;
    let mut binder = Binder::new(&NoTables, evaluate, &params, now_us, &nowhere, Some(&[]));
    let bound = binder.scalar(expr, &mut ExprContext::new(&row, &scope));
    if let Some(error) = binder.diagnostics.iter().find(|d| d.severity == Severity::Error) {
        let advice = error.suggestion.as_ref().map(|advice| format!("; {advice}")).unwrap_or_default();
        return Err(format!("{}{advice}", error.message));
    }
    let needs_more = || "it needs more than its arguments, and cannot be computed here".to_owned();
    let expr = bound.map_err(|_| needs_more())?;
    if !binder.take_wanted().is_empty() || binder.request.is_some() || expr.any(&|e| matches!(e.kind, BoundKind::Unknown)) {
        return Err(needs_more());
    }
    Ok(ScalarCall { expr, args })
}

fn printed(statement: &ast::Statement) -> Option<&ast::Expr> {
    let StatementKind::Query(query) = &statement.kind else { return None };
    let ExprKind::Source(operator) = &query.kind else { return None };
    let OperatorKind::Print(items) = &operator.kind else { return None };
    items.first().map(|item| &item.expr)
}

impl ScalarCall {
    /// The type of its value.
    pub fn ty(&self) -> Type {
        self.expr.ty
    }

    /// Its expression over a schema; a datetime is one at rest. `promoted` has the columns of each argument's promoted keys. With
    /// `missing_is_null` a text of what is missing is null, as SQL has it; KQL's is empty.
    ///
    /// # Errors
    /// When it cannot be computed.
    pub fn lower(
        &self,
        args: &[Expr],
        promoted: &[Vec<Expr>],
        schema: &DFSchema,
        missing_is_null: bool,
    ) -> Result<Expr, DataFusionError> {
        let mut columns = HashMap::new();
        for (place, (arg, e)) in self.args.iter().zip(args).enumerate() {
            columns.insert(id(place), (e.clone(), arg.ty));
            let keys = arg.promoted.iter().zip(promoted.get(place).into_iter().flatten());
            columns.extend(keys.enumerate().map(|(at, ((_, ty), e))| (promoted_id(place, at), (e.clone(), *ty))));
        }
        over(&self.expr, &columns, schema, missing_is_null).map_err(|error| match error {
            LowerError::Refused(diagnostic) => DataFusionError::Plan(diagnostic.message),
            LowerError::Plan(error) => error,
        })
    }
}

/// A catalog without tables.
struct NoTables;

impl Catalog for NoTables {
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn table(&self, _: &str) -> Option<Arc<TableSchema>> {
        None
    }
}
