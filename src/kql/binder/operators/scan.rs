//! `scan`: a state machine over ordered rows.

use std::sync::Arc;

use crate::binder::expr::ExprContext;
use crate::binder::{Bind, Binder, RowInfo, Scope};
use crate::bound::*;
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_syntax::visit;
use kqlake_value::{Type, Value};

use super::shape::property_text;

impl Binder<'_> {
    pub(super) fn scan(&mut self, input: Rel, operator: &Operator, parts: &OperatorKind, scope: &Scope) -> Bind<Rel> {
        let OperatorKind::Scan { partition_by, order_by, declare, steps } = parts else {
            return self.unsupported(operator.keyword, "scan");
        };
        let mut input = input;
        let mut partition = Vec::new();
        for e in partition_by {
            let row = RowInfo::of(&input);
            let key = self.scalar(e, &mut ExprContext::new(&row, scope))?;
            match key.kind {
                BoundKind::Column(id) => partition.push(id),
                _ => return self.error(code::TYPE, e.span, "scan is partitioned by columns"),
            }
        }
        if !order_by.is_empty() || !partition.is_empty() {
            let mut keys: Vec<BoundSortKey> = Vec::new();
            for id in &partition {
                if let Some(column) = input.columns.iter().find(|c| c.id == *id) {
                    keys.push(BoundSortKey {
                        expr: BoundExpr::column(column, operator.keyword),
                        ascending: true,
                        nulls_first: true,
                    });
                }
            }
            for key in self.sort_keys(&input, order_by, scope, false)? {
                keys.push(key);
            }
            input = Self::sorted(input, keys);
        }
        if !input.serialized {
            // Microsoft's binder says nothing of it.
            self.not_run(
                Diagnostic::error(code::TYPE, operator.keyword, "scan needs rows in an order")
                    .suggest("put '| sort by …' or '| serialize' before it"),
            )?;
        }
        // The row that conditions see: the input's columns, the declared ones, and `step.column` of every step's last match.
        let mut row = RowInfo::of(&input);
        row.hidden.retain(|h| matches!(h.role, HiddenRole::Open));
        let own = row.columns.len();
        let mut declared = Vec::with_capacity(declare.len());
        for column in declare {
            let ty = column.column.ty;
            let name = &column.column.name;
            if row.columns.iter().any(|c| c.name == name.text) {
                // Microsoft's binder lets it pass, and gives two columns of a name.
                let taken = format!("there is a column '{}' already", name.text);
                self.not_run(Diagnostic::error(code::DUPLICATE, name.span, taken))?;
            }
            let default = match &column.default {
                Some(e) => {
                    let empty = RowInfo::default();
                    let e = self.scalar(e, &mut ExprContext::new(&empty, scope))?;
                    let e = self.coerce(e, ty)?;
                    self.constant(&e, "a default of scan")?.unwrap_or(Value::Null)
                }
                None if ty == Type::String => Value::String(String::new()),
                None => Value::Null,
            };
            row.columns.push(BoundColumn { id: self.id(), name: column.column.name.text.clone(), ty });
            declared.push(default);
        }
        let visible: Vec<BoundColumn> = row.columns.clone();
        // Columns of steps are reached by `step.column`: the row has them under that name.
        let mut state = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            if steps[..number].iter().any(|s| s.name.text == step.name.text) {
                let twice = format!("there is a step '{}' already", step.name.text);
                self.not_run(Diagnostic::error(code::DUPLICATE, step.name.span, twice))?;
            }
            for column in &visible {
                let held = BoundColumn { id: self.id(), name: format!("{}.{}", step.name.text, column.name), ty: column.ty };
                state.push(held);
            }
        }
        let mut full = row.clone();
        full.columns.extend(state.iter().cloned());
        let mut bound_steps = Vec::with_capacity(steps.len());
        for step in steps {
            let condition = self.scan_expr(&step.condition, &full, steps, scope)?;
            let condition = self.condition(condition, "a step's condition", false)?;
            let mut assignments = Vec::with_capacity(step.assignments.len());
            for (name, e) in &step.assignments {
                let Some(at) = visible.iter().position(|c| c.name == name.text) else {
                    return self.error(code::UNKNOWN, name.span, format!("'{}' is not declared by scan", name.text));
                };
                let e = self.scan_expr(e, &full, steps, scope)?;
                let e = self.coerce(e, visible[at].ty)?;
                assignments.push((at, e));
            }
            let output = match step.output.as_ref().map(|o| o.text.as_str()) {
                None | Some("all") => StepOutput::All,
                Some("last") => StepOutput::Last,
                Some("none") => StepOutput::None,
                Some(other) => {
                    return self.error(
                        code::SYNTAX,
                        step.name.span,
                        format!("a step's output is all, last or none, not '{other}'"),
                    );
                }
            };
            bound_steps.push(BoundScanStep { condition, assignments, output });
        }
        // Microsoft's language service shows the column even where it is not asked for.
        if let Some(property) = operator.property("with_match_id") {
            let name = property_text(&property.value);
            if visible.iter().any(|c| c.name == name) {
                let taken = format!("there is a column '{name}' already");
                self.not_run(Diagnostic::error(code::DUPLICATE, property.value.span, taken))?;
            }
        }
        let match_id = operator
            .property("with_match_id")
            .map(|p| property_text(&p.value))
            .or_else(|| self.checking.then(|| "match_id".to_owned()));
        let inputs: Vec<ColId> = input.columns.iter().map(|c| c.id).collect();
        let partition = partition.iter().filter_map(|id| inputs.iter().position(|i| i == id)).collect();
        let op = BoundScan {
            own: row.columns[..own].to_vec(),
            declared: visible[own..].iter().cloned().zip(declared).collect(),
            state,
            steps: bound_steps,
            partition,
            match_id: match_id.is_some(),
        };
        let mut columns: Vec<BoundColumn> =
            visible.iter().map(|c| BoundColumn { id: self.id(), name: c.name.clone(), ty: c.ty }).collect();
        if let Some(name) = match_id {
            columns.push(BoundColumn { id: self.id(), name, ty: Type::Long });
        }
        Ok(self.computed(input, inputs, Arc::new(op), columns, true))
    }

    /// An expression of a step: `step.column` is a column of the state.
    fn scan_expr(&mut self, e: &Expr, full: &RowInfo, steps: &[ScanStep], scope: &Scope) -> Bind<BoundExpr> {
        let mut rewritten = e.clone();
        state_names(&mut rewritten, steps);
        self.scalar(&rewritten, &mut ExprContext::new(full, scope))
    }
}

/// Writes `step.column` as one name.
fn state_names(e: &mut Expr, steps: &[ScanStep]) {
    if let ExprKind::Path { base, field } = &e.kind
        && let ExprKind::Name(step) = &base.kind
        && steps.iter().any(|s| s.name.text == step.text)
    {
        let name = Name { text: format!("{}.{}", step.text, field.text), span: e.span };
        e.kind = ExprKind::Name(name);
        return;
    }
    visit::for_each_part_mut(e, &mut |part| state_names(part, steps));
}
