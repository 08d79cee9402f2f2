//! Operators that come first: `print`, `range`, `datatable`.

use std::collections::HashSet;

use crate::binder::expr::ExprContext;
use crate::binder::names::TargetName;
use crate::binder::{Bind, BindError, Binder, RowInfo, Scope};
use crate::bound::*;
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::code;
use kqlake_value::{Json, Type, Value};

impl Binder<'_> {
    pub(super) fn print(&mut self, items: &[NamedExpr], scope: &Scope) -> Bind<Rel> {
        let mut targets: Vec<(TargetName, BoundExpr)> = Vec::with_capacity(items.len());
        let mut failed = false;
        for (i, item) in items.iter().enumerate() {
            let nothing = Rel {
                kind: RelKind::Values(vec![Vec::new()]),
                columns: Vec::new(),
                hidden: Vec::new(),
                // There is one row, and no order to ask for.
                serialized: false,
                table_name: None,
            };
            let found = match self.targets(nothing, std::slice::from_ref(item), scope) {
                Ok((found, _)) => found,
                Err(BindError::Reported) => {
                    failed = true;
                    continue;
                }
                Err(stop) => return Err(stop),
            };
            // Names in front are all there are, and a single value is named after its place.
            let named = item.names.len();
            let single = found.len() == 1 && named == 0;
            let kept = if named == 0 { found.len() } else { named };
            for (wanted, e) in found.into_iter().take(kept) {
                targets.push((if single { TargetName::Derived(format!("print_{i}")) } else { wanted }, e));
            }
        }
        if failed {
            return Err(BindError::Reported);
        }
        let settled = self.resolve_targets(&targets, HashSet::new(), items, false)?;
        let mut columns = Vec::new();
        let mut exprs = Vec::new();
        for (name, (_, e)) in settled.into_iter().zip(targets) {
            let id = self.id();
            columns.push(BoundColumn { id, name, ty: e.ty });
            exprs.push((id, e));
        }
        Ok(Rel { kind: RelKind::Print(exprs), columns, hidden: Vec::new(), serialized: true, table_name: None })
    }

    pub(super) fn range(&mut self, column: &Name, from: &Expr, to: &Expr, step: &Expr, scope: &Scope) -> Bind<Rel> {
        let row = RowInfo::default();
        let from = self.scalar(from, &mut ExprContext::new(&row, scope))?;
        let to = self.scalar(to, &mut ExprContext::new(&row, scope))?;
        let step = self.scalar(step, &mut ExprContext::new(&row, scope))?;
        let (ty, step_ty) = match (from.ty, to.ty, step.ty) {
            (Type::DateTime, Type::DateTime, Type::TimeSpan) => (Type::DateTime, Type::TimeSpan),
            (Type::TimeSpan, Type::TimeSpan, Type::TimeSpan) => (Type::TimeSpan, Type::TimeSpan),
            (a, b, c) if a.is_numeric() && b.is_numeric() && c.is_numeric() => {
                let ty = a.widest(b).and_then(|t| t.widest(c)).unwrap_or(Type::Long).max(Type::Long);
                (ty, ty)
            }
            (a, b, c) => {
                return self.error(code::TYPE, from.span.to(step.span), format!("range from {a} to {b} step {c} has no meaning"));
            }
        };
        let (from, to, step) = (self.coerce(from, ty)?, self.coerce(to, ty)?, self.coerce(step, step_ty)?);
        let at = step.span;
        let id = self.id();
        let columns = vec![BoundColumn { id, name: column.text.clone(), ty }];
        let values = (
            self.constant(&from, "the start of range")?,
            self.constant(&to, "the end of range")?,
            self.constant(&step, "the step of range")?,
        );
        let kind = match values {
            (Some(from), Some(to), Some(step)) => {
                let zero = matches!(step, Value::Long(0) | Value::TimeSpan(0) | Value::Int(0))
                    || matches!(step, Value::Real(v) if v == 0.0);
                if zero {
                    return self.error(code::TYPE, at, "the step of range must not be zero");
                }
                if range_rows(&from, &to, &step).is_none() {
                    return self.error(code::TYPE, at, "a bound of range is no number");
                }
                // A check makes few of them.
                self.lacks_rows = true;
                RelKind::Range { id, ty, from, to, step }
            }
            _ => RelKind::Values(Vec::new()),
        };
        Ok(Rel { kind, columns, hidden: Vec::new(), serialized: true, table_name: None })
    }

    /// The columns of a schema that the query writes.
    pub(super) fn declared(&mut self, declared: &[ColumnDecl]) -> Bind<Vec<BoundColumn>> {
        let mut columns: Vec<BoundColumn> = Vec::with_capacity(declared.len());
        for column in declared {
            if columns.iter().any(|c| c.name == column.name.text) {
                return self.error(
                    code::DUPLICATE,
                    column.name.span,
                    format!("the column '{}' is declared twice", column.name.text),
                );
            }
            columns.push(BoundColumn { id: self.id(), name: column.name.text.clone(), ty: column.ty });
        }
        Ok(columns)
    }

    pub(super) fn datatable(&mut self, declared: &[ColumnDecl], values: &[Expr], scope: &Scope, span: Span) -> Bind<Rel> {
        let columns = self.declared(declared)?;
        let fills = if columns.is_empty() { values.is_empty() } else { values.len().is_multiple_of(columns.len()) };
        if !fills {
            return self.error(
                code::ARITY,
                span,
                format!("{} values do not fill rows of {} columns", values.len(), columns.len()),
            );
        }
        let row = RowInfo::default();
        let mut rows = Vec::with_capacity(values.len() / columns.len().max(1));
        let mut failed = false;
        for cells in values.chunks(columns.len().max(1)) {
            let mut values = Vec::with_capacity(columns.len());
            for (cell, column) in cells.iter().zip(&columns) {
                let bound = self.scalar(cell, &mut ExprContext::new(&row, scope)).and_then(|e| self.cell(e, column.ty));
                match bound {
                    Ok(value) => values.push(value),
                    Err(BindError::Reported) => failed = true,
                    Err(stop) => return Err(stop),
                }
            }
            rows.push(values);
        }
        if failed {
            return Err(BindError::Reported);
        }
        Ok(Rel { kind: RelKind::Values(rows), columns, hidden: Vec::new(), serialized: false, table_name: None })
    }

    /// A value of a datatable in its column's type.
    fn cell(&mut self, e: BoundExpr, ty: Type) -> Bind<Value> {
        let span = e.span;
        let e = match (e.ty, ty) {
            (a, b) if a == b => e,
            (_, Type::Dynamic) => match e.as_literal() {
                Some(Value::String(text)) => BoundExpr::literal(Value::Dynamic(Json::String(text.clone())), Type::Dynamic, span),
                _ => self.to_dynamic(e)?,
            },
            _ => {
                let before = e.clone();
                let coerced = self.coerce(e, ty)?;
                let lost = coerced.as_literal().is_some_and(Value::is_null) && !before.as_literal().is_some_and(Value::is_null);
                if lost && before.ty != Type::String {
                    return self.error(code::TYPE, span, format!("this {} is no {ty}", before.ty));
                }
                coerced
            }
        };
        Ok(self.constant(&e, "a value of datatable")?.unwrap_or(Value::Null))
    }
}
