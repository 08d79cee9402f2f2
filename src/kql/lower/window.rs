//! Window functions: one pass over the rows in their order.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::Array;
use arrow::compute::SortOptions;
use arrow::datatypes::{Field, Schema, SchemaRef, i256};
use arrow::record_batch::RecordBatch;
use datafusion::common::utils::memory::get_record_batch_memory_size;
use datafusion::logical_expr::Expr;

use super::column_name;
use super::compute::{ComputeFn, Passing, plan_of};
use super::expr::{key_column, text};
use super::{Lower, Lowering, Node, steps, ticks};
use crate::bound::{BoundWindow, ColId, Rel};
use crate::computation::{Compute, RowStream};
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
        let (back, ahead) = reach(window);
        let place = |column: &str| passed.iter().position(|name| name == column);
        let op = WindowOp {
            name: window.name,
            function: window.function,
            passed: passed.len(),
            args: window.args.iter().map(|a| a.ty).collect(),
            partitions: window.partition.len(),
            ty: window.ty,
            schema: schema.clone(),
            back,
            ahead,
            order: order.iter().map_while(|key| Some((place(&key.column)?, key.options()))).collect(),
        };
        let all = Arc::new(op);
        let (needed, of) = (all.order.iter().map(|(at, _)| *at).collect(), Arc::clone(&all));
        let over = move |kept: &[usize]| ComputeFn::AllRows(Arc::new(of.over(kept)));
        let passing = Passing { columns: passed.len(), needed, over: Box::new(over) };
        let plan = plan_of(window.name, Some(plan), schema, ComputeFn::AllRows(all), Some(passing))?;
        Ok(Node { plan, order })
    }
}

/// A window function.
#[derive(Debug, Clone)]
struct WindowOp {
    name: &'static str,
    function: WindowFn,
    passed: usize,
    args: Vec<Type>,
    partitions: usize,
    ty: Type,
    schema: SchemaRef,
    /// Rows before a row that its value may come from, at least one.
    back: usize,
    /// Rows behind a row that its value may come from.
    ahead: usize,
    /// The order of the rows: places among the passed columns.
    order: Vec<(usize, SortOptions)>,
}

impl WindowOp {
    /// The same over some of the passed columns, which those of the order are among.
    fn over(&self, kept: &[usize]) -> WindowOp {
        let place = |at: usize| kept.iter().position(|kept| *kept == at);
        let fields = kept.iter().copied().chain([self.passed]).map(|at| self.schema.fields()[at].clone());
        WindowOp {
            passed: kept.len(),
            schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
            order: self.order.iter().map_while(|(at, options)| Some((place(*at)?, *options))).collect(),
            ..self.clone()
        }
    }
}

/// How many rows before and behind a row a function looks at; without bound where its offset is computed.
fn reach(window: &BoundWindow) -> (usize, usize) {
    if !matches!(window.function, WindowFn::Prev | WindowFn::Next) {
        return (1, 0);
    }
    let offset = match window.args.get(1).map(|offset| offset.as_literal()) {
        None => 1,
        Some(Some(Value::Long(offset))) => *offset,
        Some(Some(Value::Int(offset))) => i64::from(*offset),
        Some(_) => return (1, usize::MAX),
    };
    let distance = usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX);
    let behind = (offset > 0) == (window.function == WindowFn::Next);
    if behind { (1, distance) } else { (distance.max(1), 0) }
}

impl Compute for WindowOp {
    fn name(&self) -> &str {
        self.name
    }

    fn run(&self, input: Vec<RecordBatch>) -> Result<Vec<RecordBatch>, String> {
        WindowRows::new(self).over(input)
    }

    fn stream(&self) -> Option<Result<Box<dyn RowStream>, String>> {
        Some(Ok(Box::new(WindowRows::new(self))))
    }

    fn order(&self) -> Vec<(usize, SortOptions)> {
        self.order.clone()
    }
}

/// A window function over rows as they come.
struct WindowRows {
    op: WindowOp,
    /// Input that was not looked at yet.
    new: Vec<RecordBatch>,
    /// What the function reads, from as many rows before the next one of the result as it looks back.
    read: Option<RecordBatch>,
    /// How many rows of `read` are out.
    done: usize,
    /// What is passed on, of the rows of `read` that are not out.
    waiting: Option<RecordBatch>,
    state: State,
}

/// What a function knows of the rows before.
#[derive(Default)]
struct State {
    number: i64,
    first_number: Option<i64>,
    whole: i256,
    real: f64,
    rank: i64,
    place: i64,
    session: Option<(i64, Value)>,
    before: i64,
}

impl RowStream for WindowRows {
    fn push(&mut self, batch: RecordBatch) -> Result<Vec<RecordBatch>, String> {
        self.new.push(batch);
        let rows: usize = self.new.iter().map(RecordBatch::num_rows).sum();
        // What waits is copied with each step: it must be worth it.
        if rows < self.op.ahead.saturating_add(self.op.back) / 2 {
            return Ok(Vec::new());
        }
        self.step(false)
    }

    fn finish(&mut self) -> Result<Vec<RecordBatch>, String> {
        self.step(true)
    }

    fn held(&self) -> usize {
        self.new.iter().chain(&self.read).chain(&self.waiting).map(get_record_batch_memory_size).sum()
    }
}

impl WindowRows {
    fn new(op: &WindowOp) -> WindowRows {
        WindowRows { op: op.clone(), new: Vec::new(), read: None, done: 0, waiting: None, state: State::default() }
    }

    /// The rows whose values are known now.
    fn step(&mut self, end: bool) -> Result<Vec<RecordBatch>, String> {
        let new = std::mem::take(&mut self.new);
        let passed = joined(self.waiting.take(), &new, 0..self.op.passed)?;
        let read = joined(self.read.take(), &new, self.op.passed..self.op.passed + self.op.args.len() + self.op.partitions)?;
        let (Some(passed), Some(read)) = (passed, read) else { return Ok(Vec::new()) };
        let rows = read.num_rows();
        let ready = if end { rows } else { rows.saturating_sub(self.op.ahead).max(self.done) };
        let range = self.done..ready;
        let mut out = ColumnBuilder::new(self.op.ty, range.len());
        self.op.values(&mut self.state, &read, range.clone(), &mut out)?;
        let mut columns = passed.slice(0, range.len()).columns().to_vec();
        columns.push(out.finish()?);
        debug_assert!(columns.iter().all(|c| c.len() == range.len()));
        self.waiting = (range.len() < passed.num_rows()).then(|| passed.slice(range.len(), passed.num_rows() - range.len()));
        self.done = ready.min(self.op.back);
        self.read = Some(read.slice(ready - self.done, rows - (ready - self.done)));
        Ok(vec![RecordBatch::try_new(self.op.schema.clone(), columns).map_err(|e| e.to_string())?])
    }
}

/// Some columns of batches as one batch, behind another one of these columns; `None` without any.
fn joined(before: Option<RecordBatch>, new: &[RecordBatch], columns: Range<usize>) -> Result<Option<RecordBatch>, String> {
    let columns: Vec<usize> = columns.collect();
    let new = new.iter().map(|batch| batch.project(&columns));
    let mut all = before.into_iter().map(Ok).chain(new).collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
    if all.len() <= 1 {
        return Ok(all.pop());
    }
    arrow::compute::concat_batches(&all[0].schema(), &all).map(Some).map_err(|e| e.to_string())
}

impl WindowOp {
    /// The values of some of the rows. The first row of all begins a part; where it is not among them, it is not asked for.
    fn values(&self, state: &mut State, read: &RecordBatch, range: Range<usize>, out: &mut ColumnBuilder) -> Result<(), String> {
        let args = self.args.iter().enumerate().map(|(i, ty)| ColumnReader::new(read.column(i), *ty));
        let args = args.collect::<Result<Vec<_>, _>>()?;
        let parts = (0..self.partitions).map(|i| read.column(self.args.len() + i));
        let parts = parts.map(|p| ColumnReader::new(p, kqlake_value::columns::natural_type(p.data_type())));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        // A row begins a part where any of its keys differs from the row before.
        let begins = |row: usize| row == 0 || parts.iter().any(|p| !same(p.get(row), p.get(row - 1)));
        let begins: Vec<bool> = (0..read.num_rows()).map(begins).collect();
        self.fill(state, &args, &begins, range, out);
        Ok(())
    }

    fn fill(&self, state: &mut State, args: &[ColumnReader], begins: &[bool], rows: Range<usize>, out: &mut ColumnBuilder) {
        match self.function {
            WindowFn::RowNumber => row_numbers(state, args, begins, rows, out),
            WindowFn::Prev | WindowFn::Next => self.neighbours(args, begins, rows, out),
            WindowFn::RowCumsum => self.running_sums(state, args, begins, rows, out),
            WindowFn::RowRankDense | WindowFn::RowRankMin => self.ranks(state, args, begins, rows, out),
            WindowFn::RowWindowSession => session_starts(state, args, begins, rows, out),
        }
    }

    /// `prev` and `next`: values of rows before or after, in the same part.
    fn neighbours(&self, args: &[ColumnReader], begins: &[bool], rows: Range<usize>, out: &mut ColumnBuilder) {
        let ends = part_ends(begins);
        let mut begin = (0..rows.start).rev().find(|row| begins[*row]).unwrap_or(0);
        for row in rows {
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

    /// `row_cumsum`.
    fn running_sums(
        &self,
        state: &mut State,
        args: &[ColumnReader],
        begins: &[bool],
        rows: Range<usize>,
        out: &mut ColumnBuilder,
    ) {
        for row in rows {
            if begins[row] || is_true(args.get(1), row) {
                (state.whole, state.real) = (i256::ZERO, 0.0);
            }
            let add = match args[0].get(row) {
                ValueRef::Real(v) => {
                    state.real += v;
                    0
                }
                ValueRef::Decimal(v) => v,
                v => v.as_i64().unwrap_or(0).into(),
            };
            let whole = state.whole.wrapping_add(i256::from_i128(add));
            state.whole = whole;
            out.push(&match self.ty {
                Type::Real => Value::Real(state.real),
                Type::Decimal => whole.to_i128().and_then(decimal).map_or(Value::Null, Value::Decimal),
                // Integers wrap.
                Type::Int => Value::Int(whole.as_i128() as i32),
                _ => Value::Long(whole.as_i128() as i64),
            });
        }
    }

    /// `row_rank_dense` and `row_rank_min`.
    fn ranks(&self, state: &mut State, args: &[ColumnReader], begins: &[bool], rows: Range<usize>, out: &mut ColumnBuilder) {
        for row in rows {
            let anew = begins[row] || is_true(args.get(1), row);
            state.place = if anew { 1 } else { state.place + 1 };
            if anew {
                state.rank = 1;
            } else if !same(args[0].get(row), args[0].get(row - 1)) {
                state.rank = if self.function == WindowFn::RowRankMin { state.place } else { state.rank + 1 };
            }
            out.push(&Value::Long(state.rank));
        }
    }
}

fn is_true(reader: Option<&ColumnReader>, row: usize) -> bool {
    reader.is_some_and(|r| r.get(row) == ValueRef::Bool(true))
}

/// `row_number`.
fn row_numbers(state: &mut State, args: &[ColumnReader], begins: &[bool], rows: Range<usize>, out: &mut ColumnBuilder) {
    for row in rows {
        let given = || args.first().and_then(|a| a.get(row).as_i64()).unwrap_or(1);
        let start = *state.first_number.get_or_insert_with(given);
        if begins[row] || is_true(args.get(1), row) {
            state.number = start;
        }
        out.push(&Value::Long(state.number));
        state.number = state.number.wrapping_add(1);
    }
}

/// `row_window_session(expr, maxFromFirst, maxBetween, restart)`: the time of the session's first row.
fn session_starts(state: &mut State, args: &[ColumnReader], begins: &[bool], rows: Range<usize>, out: &mut ColumnBuilder) {
    let ticks = |v: ValueRef<'_>| match v {
        ValueRef::DateTime(v) | ValueRef::TimeSpan(v) => Some(v),
        _ => None,
    };
    for row in rows {
        let v = args[0].get(row);
        let Some(now) = ticks(v) else {
            state.session = None;
            out.push_ref(ValueRef::Null);
            continue;
        };
        let from_first = args.get(1).and_then(|a| ticks(a.get(row))).unwrap_or(i64::MAX);
        let between = args.get(2).and_then(|a| ticks(a.get(row))).unwrap_or(i64::MAX);
        let goes_on = !begins[row]
            && !is_true(args.get(3), row)
            && state
                .session
                .as_ref()
                .is_some_and(|(start, _)| now.saturating_sub(*start) < from_first && now.saturating_sub(state.before) < between);
        if !goes_on {
            state.session = Some((now, to_value(v)));
        }
        state.before = now;
        if let Some((_, start)) = &state.session {
            out.push(start);
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
