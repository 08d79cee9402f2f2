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

/// The columns of a `scan`, in the order in which its conditions see them.
struct ScanRow {
    /// The input's, and what is hidden of it.
    row: RowInfo,
    /// How many columns are the input's.
    own: usize,
    /// The declared ones, each with its value before a step gives it another.
    declared: Vec<(BoundColumn, Value)>,
    /// `step.column`: those of every step's last match.
    state: Vec<BoundColumn>,
}

impl ScanRow {
    /// The row that conditions and assignments see.
    fn seen(&self) -> RowInfo {
        let mut row = self.row.clone();
        row.columns.extend(self.state.iter().cloned());
        row
    }
}

impl Binder<'_> {
    pub(super) fn scan(&mut self, input: Rel, operator: &Operator, parts: &OperatorKind, scope: &Scope) -> Bind<Rel> {
        let OperatorKind::Scan { partition_by, order_by, declare, steps } = parts else {
            return self.unsupported(operator.keyword, "scan");
        };
        let (input, partition) = self.scan_input(input, operator, partition_by, order_by, scope)?;
        let columns = self.scan_row(&input, declare, steps, scope)?;
        let seen = columns.seen();
        let mut bound_steps = Vec::with_capacity(steps.len());
        for step in steps {
            bound_steps.push(self.scan_step(step, &columns, &seen, steps, scope)?);
        }
        let ScanRow { row, own, declared, state } = columns;
        let match_id = self.scan_match_id(operator, &row)?;
        let inputs: Vec<ColId> = input.columns.iter().map(|c| c.id).collect();
        let partition = partition.iter().filter_map(|id| inputs.iter().position(|i| i == id)).collect();
        let mut out = Vec::with_capacity(row.columns.len());
        for column in &row.columns {
            let id = self.id();
            self.untyped.pass_on(column.id, id);
            out.push(BoundColumn { id, ..column.clone() });
        }
        let op = BoundScan {
            own: row.columns[..own].to_vec(),
            declared,
            state,
            steps: bound_steps,
            partition,
            match_id: match_id.is_some(),
        };
        if let Some(name) = match_id {
            out.push(BoundColumn { id: self.id(), name, ty: Type::Long });
        }
        Ok(Self::open_as(self.computed(input, inputs, Arc::new(op), out, true), &row.hidden))
    }

    /// The rows in their order, those of a partition behind one another; and the columns that partition them.
    fn scan_input(
        &mut self,
        mut input: Rel,
        operator: &Operator,
        partition_by: &[Expr],
        order_by: &[SortKey],
        scope: &Scope,
    ) -> Bind<(Rel, Vec<ColId>)> {
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
                    let expr = BoundExpr::column(column, operator.keyword);
                    keys.push(BoundSortKey { expr, ascending: true, nulls_first: true });
                }
            }
            keys.extend(self.sort_keys(&input, order_by, scope, false)?);
            input = Self::sorted(input, keys);
        }
        if !input.serialized {
            // Microsoft's binder says nothing of it.
            self.not_run(
                Diagnostic::error(code::TYPE, operator.keyword, "scan needs rows in an order")
                    .suggest("put '| sort by …' or '| serialize' before it"),
            )?;
        }
        Ok((input, partition))
    }

    /// The columns that conditions see: the input's, the declared ones, and `step.column` of every step's last match.
    fn scan_row(&mut self, input: &Rel, declare: &[ScanColumn], steps: &[ScanStep], scope: &Scope) -> Bind<ScanRow> {
        let mut row = RowInfo::of(input);
        row.hidden.retain(|h| !h.is_column());
        let own = row.columns.len();
        let mut declared = Vec::with_capacity(declare.len());
        for column in declare {
            let ty = column.column.ty;
            let name = &column.column.name;
            // Microsoft's binder lets it pass, and gives two columns of a name.
            self.not_taken(&row, &name.text, name.span)?;
            let default = match &column.default {
                Some(e) => {
                    let e = self.scalar(e, &mut ExprContext::new(&RowInfo::default(), scope))?;
                    let e = self.coerce(e, ty)?;
                    self.constant(&e, "a default of scan")?.unwrap_or(Value::Null)
                }
                None if ty == Type::String => Value::String(String::new()),
                None => Value::Null,
            };
            let column = BoundColumn { id: self.id(), name: name.text.clone(), ty };
            row.columns.push(column.clone());
            declared.push((column, default));
        }
        // Columns of steps are reached by `step.column`: the row has them under that name.
        let mut state = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            if steps[..number].iter().any(|s| s.name.text == step.name.text) {
                let twice = format!("there is a step '{}' already", step.name.text);
                self.not_run(Diagnostic::error(code::DUPLICATE, step.name.span, twice))?;
            }
            for column in &row.columns {
                let name = format!("{}.{}", step.name.text, column.name);
                let id = self.id();
                self.untyped.pass_on(column.id, id);
                state.push(BoundColumn { id, name, ty: column.ty });
            }
        }
        Ok(ScanRow { row, own, declared, state })
    }

    fn scan_step(
        &mut self,
        step: &ScanStep,
        columns: &ScanRow,
        seen: &RowInfo,
        steps: &[ScanStep],
        scope: &Scope,
    ) -> Bind<BoundScanStep> {
        let condition = self.scan_expr(&step.condition, seen, steps, scope)?;
        let condition = self.condition(condition, "a step's condition", false)?;
        let mut assignments = Vec::with_capacity(step.assignments.len());
        for (name, e) in &step.assignments {
            let Some(at) = columns.row.columns.iter().position(|c| c.name == name.text) else {
                return self.error(code::UNKNOWN, name.span, format!("'{}' is not declared by scan", name.text));
            };
            let e = self.scan_expr(e, seen, steps, scope)?;
            assignments.push((at, self.coerce(e, columns.row.columns[at].ty)?));
        }
        let output = match step.output.as_ref().map(|o| o.text.as_str()) {
            None | Some("all") => StepOutput::All,
            Some("last") => StepOutput::Last,
            Some("none") => StepOutput::None,
            Some(other) => {
                let message = format!("a step's output is all, last or none, not '{other}'");
                return self.error(code::SYNTAX, step.name.span, message);
            }
        };
        Ok(BoundScanStep { condition, assignments, output })
    }

    /// The name of the column that numbers the matches, where there is one. Microsoft's language service shows it even where
    /// it is not asked for.
    fn scan_match_id(&mut self, operator: &Operator, row: &RowInfo) -> Bind<Option<String>> {
        let Some(property) = operator.property("with_match_id") else {
            return Ok(self.checking.then(|| "match_id".to_owned()));
        };
        let name = property_text(&property.value);
        self.not_taken(row, &name, property.value.span)?;
        Ok(Some(name))
    }

    /// Refuses a column whose name another one has.
    fn not_taken(&mut self, row: &RowInfo, name: &str, span: Span) -> Bind<()> {
        if row.columns.iter().any(|c| c.name == name) {
            self.not_run(Diagnostic::error(code::DUPLICATE, span, format!("there is a column '{name}' already")))?;
        }
        Ok(())
    }

    /// An expression of a step: `step.column` is a column of the state.
    fn scan_expr(&mut self, e: &Expr, full: &RowInfo, steps: &[ScanStep], scope: &Scope) -> Bind<BoundExpr> {
        let mut rewritten = e.clone();
        let mut named = Vec::new();
        state_names(&mut rewritten, steps, &mut named);
        for (name, field) in named {
            // A column that follows from rows, in a step's last match.
            if full.find(&name.text).is_none()
                && let Some(unknown) = self.infer(&field, &full.hidden)
            {
                return Ok(unknown);
            }
        }
        self.scalar(&rewritten, &mut ExprContext::new(full, scope))
    }
}

/// Writes `step.column` as one name, and notes it with the column's.
fn state_names(e: &mut Expr, steps: &[ScanStep], named: &mut Vec<(Name, Name)>) {
    if let ExprKind::Path { base, field } = &e.kind
        && let ExprKind::Name(step) = &base.kind
        && steps.iter().any(|s| s.name.text == step.text)
    {
        let name = Name { text: format!("{}.{}", step.text, field.text), span: e.span };
        named.push((name.clone(), field.clone()));
        e.kind = ExprKind::Name(name);
        return;
    }
    visit::for_each_part_mut(e, &mut |part| state_names(part, steps, named));
}
