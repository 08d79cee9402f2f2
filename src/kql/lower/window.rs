//! Window functions: one pass over the rows in their order.

use std::sync::Arc;

use arrow::array::Array;
use arrow::datatypes::{Field, Schema, SchemaRef, i256};
use arrow::record_batch::RecordBatch;
use datafusion::logical_expr::Expr;

use super::column_name;
use super::compute::{ComputeFn, plan_of};
use super::expr::{key_column, text};
use super::{Lower, Lowering, Node, steps, ticks};
use crate::bound::{BoundWindow, ColId, Compute, Rel};
use crate::functions::WindowFn;
use crate::functions::aggregate::order::same;
use kqlake_value::columns::{ColumnBuilder, ColumnReader, arrow_type, to_value};
use kqlake_value::{Type, Value, ValueRef, decimal};

impl Lowering<'_> {
    pub(super) fn window(&self, input: &Rel, functions: &[(ColId, BoundWindow)]) -> Lower<Node> {
        // Rows that are equal by the keys of their order get one here, which later operators keep: a row's number must not part
        // from its place.
        let mut node = self.numbered(self.rel(input)?)?;
        for (id, window) in functions {
            node = self.add_window(node, *id, window)?;
        }
        Ok(node)
    }

    /// The rows with an index that keeps their order from here on.
    fn numbered(&self, mut node: Node) -> Lower<Node> {
        let name = self.position(&mut node)?;
        node.order = vec![super::OrderKey::row_numbers(name)];
        Ok(node)
    }

    fn add_window(&self, node: Node, id: ColId, window: &BoundWindow) -> Lower<Node> {
        let mut node = node;
        // The rows of one sub-query must be adjacent.
        let mut keys = Vec::with_capacity(window.partition.len());
        for id in &window.partition {
            let name = match key_column(&node.plan, *id) {
                Expr::Column(column) => column.name,
                key => {
                    let name = self.unique_name("__part");
                    node.plan = super::with_columns(node.plan, vec![key.alias(name.clone())])?;
                    name
                }
            };
            keys.push(name);
        }
        for column in keys.iter().rev().cloned() {
            if !node.order.iter().any(|k| k.column == column) {
                node.order.insert(0, super::OrderKey::ascending(column));
            }
        }
        let order = node.order.clone();
        let passed: Vec<String> = node.plan.schema().columns().into_iter().map(|c| c.name).collect();
        let mut exprs: Vec<Expr> = passed.iter().map(|n| super::named(n)).collect();
        for (i, arg) in window.args.iter().enumerate() {
            exprs.push(ticks::resolve(text(arg)?, &node.plan)?.alias(format!("__arg{i}")));
        }
        for (i, key) in keys.iter().enumerate() {
            exprs.push(super::named(key).alias(format!("__part_key{i}")));
        }
        let plan = node.ordered_plan()?;
        let plan = steps::project(plan, exprs)?;
        let mut fields: Vec<Field> =
            plan.schema().as_arrow().fields()[..passed.len()].iter().map(|f| f.as_ref().clone()).collect();
        fields.push(Field::new(column_name(id), arrow_type(window.ty), true));
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let op = WindowOp {
            name: window.name,
            function: window.function,
            passed: passed.len(),
            args: window.args.iter().map(|a| a.ty).collect(),
            partitions: window.partition.len(),
            ty: window.ty,
            schema: schema.clone(),
        };
        let plan = plan_of(window.name, Some(plan), schema, ComputeFn::AllRows(Arc::new(op)))?;
        Ok(Node { plan, order })
    }
}

/// A window function over collected rows.
#[derive(Debug)]
struct WindowOp {
    name: &'static str,
    function: WindowFn,
    passed: usize,
    args: Vec<Type>,
    partitions: usize,
    ty: Type,
    schema: SchemaRef,
}

impl Compute for WindowOp {
    fn name(&self) -> &str {
        self.name
    }

    fn run(&self, input: Vec<RecordBatch>) -> Result<Vec<RecordBatch>, String> {
        let Some(first) = input.first() else { return Ok(Vec::new()) };
        let batch = arrow::compute::concat_batches(&first.schema(), &input).map_err(|e| e.to_string())?;
        let rows = batch.num_rows();
        let args = self
            .args
            .iter()
            .enumerate()
            .map(|(i, ty)| ColumnReader::new(batch.column(self.passed + i), *ty))
            .collect::<Result<Vec<_>, _>>()?;
        let parts: Vec<_> = (0..self.partitions).map(|i| batch.column(self.passed + self.args.len() + i).clone()).collect();
        let parts = parts
            .iter()
            .map(|p| ColumnReader::new(p, kqlake_value::columns::natural_type(p.data_type())))
            .collect::<Result<Vec<_>, _>>()?;
        // A row begins a part where any of its keys differs from the row before.
        let begins = |row: usize| row == 0 || parts.iter().any(|p| !same(p.get(row), p.get(row - 1)));
        let begins: Vec<bool> = (0..rows).map(begins).collect();
        let mut out = ColumnBuilder::new(self.ty, rows);
        self.fill(&args, &begins, rows, &mut out);
        let mut columns = batch.columns()[..self.passed].to_vec();
        columns.push(out.finish()?);
        debug_assert!(columns.iter().all(|c| c.len() == rows));
        Ok(vec![RecordBatch::try_new(self.schema.clone(), columns).map_err(|e| e.to_string())?])
    }
}

impl WindowOp {
    fn fill(&self, args: &[ColumnReader], begins: &[bool], rows: usize, out: &mut ColumnBuilder) {
        let is_true = |reader: Option<&ColumnReader>, row: usize| reader.is_some_and(|r| r.get(row) == ValueRef::Bool(true));
        match self.function {
            WindowFn::RowNumber => {
                let start = args.first().filter(|_| rows > 0).and_then(|a| a.get(0).as_i64()).unwrap_or(1);
                let mut n = start;
                for row in 0..rows {
                    if begins[row] || is_true(args.get(1), row) {
                        n = start;
                    }
                    out.push(&Value::Long(n));
                    n = n.wrapping_add(1);
                }
            }
            WindowFn::Prev | WindowFn::Next => {
                let mut begin = 0;
                let ends = part_ends(begins);
                for row in 0..rows {
                    if begins[row] {
                        begin = row;
                    }
                    let offset = args.get(1).and_then(|a| a.get(row).as_i64()).unwrap_or(1);
                    let offset = if self.function == WindowFn::Prev { offset.saturating_neg() } else { offset };
                    let at = (row as i64).saturating_add(offset);
                    if at >= begin as i64 && at < ends[row] as i64 {
                        out.push_ref(args[0].get(at as usize));
                    } else if let Some(default) = args.get(2) {
                        out.push_ref(default.get(row));
                    } else {
                        out.push_ref(ValueRef::Null);
                    }
                }
            }
            WindowFn::RowCumsum => {
                let (mut whole, mut real) = (i256::ZERO, 0f64);
                for row in 0..rows {
                    if begins[row] || is_true(args.get(1), row) {
                        (whole, real) = (i256::ZERO, 0.0);
                    }
                    let add = match args[0].get(row) {
                        ValueRef::Real(v) => {
                            real += v;
                            0
                        }
                        ValueRef::Decimal(v) => v,
                        v => v.as_i64().unwrap_or(0).into(),
                    };
                    whole = whole.wrapping_add(i256::from_i128(add));
                    out.push(&match self.ty {
                        Type::Real => Value::Real(real),
                        Type::Decimal => whole.to_i128().and_then(decimal).map_or(Value::Null, Value::Decimal),
                        // Integers wrap.
                        Type::Int => Value::Int(whole.as_i128() as i32),
                        _ => Value::Long(whole.as_i128() as i64),
                    });
                }
            }
            WindowFn::RowRankDense | WindowFn::RowRankMin => {
                let (mut rank, mut place) = (0i64, 0i64);
                for row in 0..rows {
                    let anew = begins[row] || is_true(args.get(1), row);
                    place = if anew { 1 } else { place + 1 };
                    if anew {
                        rank = 1;
                    } else if !same(args[0].get(row), args[0].get(row - 1)) {
                        rank = if self.function == WindowFn::RowRankMin { place } else { rank + 1 };
                    }
                    out.push(&Value::Long(rank));
                }
            }
            // row_window_session(expr, maxFromFirst, maxBetween, restart): the time of the session's first row.
            WindowFn::RowWindowSession => {
                let ticks = |v: ValueRef<'_>| match v {
                    ValueRef::DateTime(v) | ValueRef::TimeSpan(v) => Some(v),
                    _ => None,
                };
                let mut first: Option<(i64, Value)> = None;
                let mut before = 0i64;
                for row in 0..rows {
                    let v = args[0].get(row);
                    let Some(now) = ticks(v) else {
                        first = None;
                        out.push_ref(ValueRef::Null);
                        continue;
                    };
                    let from_first = args.get(1).and_then(|a| ticks(a.get(row))).unwrap_or(i64::MAX);
                    let between = args.get(2).and_then(|a| ticks(a.get(row))).unwrap_or(i64::MAX);
                    let goes_on = !begins[row]
                        && !is_true(args.get(3), row)
                        && first.as_ref().is_some_and(|(start, _)| {
                            now.saturating_sub(*start) < from_first && now.saturating_sub(before) < between
                        });
                    if !goes_on {
                        first = Some((now, to_value(v)));
                    }
                    before = now;
                    if let Some((_, start)) = &first {
                        out.push(start);
                    }
                }
            }
        }
    }
}

/// For each row, one past the last row of its part.
fn part_ends(begins: &[bool]) -> Vec<usize> {
    let mut ends = vec![begins.len(); begins.len()];
    let mut end = begins.len();
    for row in (0..begins.len()).rev() {
        ends[row] = end;
        if begins[row] {
            end = row;
        }
    }
    ends
}
