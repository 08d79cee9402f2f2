//! From the typed operator tree to DataFusion's logical plan.
//!
//! Columns are named after their ids (`c12`), so that joins never collide; the result gets its KQL names at the very end.
//! The order of rows is a property of the lowered tree, not a node: `sort` only notes its keys, and whatever needs the order
//! (the result, `take`, window functions, `make_list`) asks for it. So nothing is sorted twice or in vain.

mod aggregates;
pub(crate) mod arrow;
pub(crate) mod compute;
mod expand;
pub(crate) mod expr;
mod filled_union;
mod graph;
mod join;
mod kernel;
mod long_chain;
pub(crate) mod over;
pub(crate) mod scan;
mod sources;
mod steps;
mod ticks;
mod union;
mod window;

use std::collections::HashMap;

use ::arrow::compute::SortOptions;
use datafusion::common::DataFusionError;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, SortExpr, lit, when};

use self::expr::chains;
use self::expr::{filter, text, text_in_any_form, value};
use super::bound::*;
use super::scans::ScanTable;
use kqlake_syntax::ast::Span;
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_value::Type;

/// Why a tree cannot be lowered.
#[derive(Debug)]
pub(crate) enum LowerError {
    /// The query is refused.
    Refused(Box<Diagnostic>),
    /// DataFusion cannot plan it, or a table cannot be read.
    Plan(DataFusionError),
}

impl From<Box<Diagnostic>> for LowerError {
    fn from(value: Box<Diagnostic>) -> Self {
        LowerError::Refused(value)
    }
}

impl From<DataFusionError> for LowerError {
    fn from(value: DataFusionError) -> Self {
        LowerError::Plan(value)
    }
}

/// The result of lowering a part.
pub(crate) type Lower<T> = Result<T, LowerError>;

/// One key of an order: a column of the plan.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OrderKey {
    /// The plan's column.
    pub column: String,
    /// Ascending.
    pub ascending: bool,
    /// Nulls first.
    pub nulls_first: bool,
    /// True for a column that [`Lowering`] numbers rows with: in the order of its numbers the rows are as they came.
    pub numbers_rows: bool,
}

impl OrderKey {
    /// A key of values, ascending with nulls first.
    fn ascending(column: String) -> Self {
        OrderKey { column, ascending: true, nulls_first: true, numbers_rows: false }
    }

    /// A key of the numbers that rows got.
    fn row_numbers(column: String) -> Self {
        OrderKey { numbers_rows: true, ..OrderKey::ascending(column) }
    }

    fn options(&self) -> SortOptions {
        SortOptions { descending: !self.ascending, nulls_first: self.nulls_first }
    }

    fn sort_expr(&self) -> SortExpr {
        named(&self.column).sort(self.ascending, self.nulls_first)
    }
}

/// A lowered tree: its plan has a column for each visible and hidden column of the tree, and those of its order.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// The plan.
    pub plan: LogicalPlan,
    /// The order of rows; empty if there is none.
    pub order: Vec<OrderKey>,
}

impl Node {
    /// A plan without an order.
    fn unordered(plan: LogicalPlan) -> Node {
        Node { plan, order: Vec::new() }
    }

    /// The order as sort expressions.
    fn sort_exprs(&self) -> Vec<SortExpr> {
        self.order.iter().map(OrderKey::sort_expr).collect()
    }

    /// The plan with its rows in order.
    fn ordered_plan(self) -> Lower<LogicalPlan> {
        if self.order.is_empty() {
            return Ok(self.plan);
        }
        let keys = self.sort_exprs();
        Ok(steps::sort(self.plan, keys, None))
    }
}

/// The DataFusion column of a column id.
fn column(id: ColId) -> Expr {
    named(&column_name(id))
}

/// The DataFusion name of a column id.
fn column_name(id: ColId) -> String {
    format!("c{id}")
}

/// A column of a plan by its exact name.
fn named(name: &str) -> Expr {
    Expr::Column(datafusion::common::Column::new_unqualified(name))
}

/// What lowering needs beside the tree.
pub(crate) struct Lowering<'a> {
    /// The scanned tables.
    pub scans: &'a HashMap<String, ScanTable>,
    /// The plan is made to be run; otherwise `range` has few rows.
    whole: bool,
    /// Plans operators that run a plan of their own.
    next: std::sync::atomic::AtomicU32,
}

impl<'a> Lowering<'a> {
    /// A lowering over these tables.
    pub(crate) fn new(scans: &'a HashMap<String, ScanTable>, whole: bool) -> Self {
        Lowering { scans, whole, next: std::sync::atomic::AtomicU32::new(0) }
    }

    /// A name that no column has.
    fn unique_name(&self, prefix: &str) -> String {
        let number = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        format!("{prefix}{number}")
    }

    /// A whole query: rows in order, columns under their KQL names.
    ///
    /// # Errors
    /// A refusal that only shows here (a pattern that cannot be compiled), or DataFusion's own.
    pub(crate) fn query(&self, rel: &Rel) -> Lower<LogicalPlan> {
        let node = self.rel(rel)?;
        let plan = node.ordered_plan()?;
        let exprs: Vec<Expr> = rel.columns.iter().map(result_column).collect();
        if exprs.is_empty() {
            return Ok(LogicalPlanBuilder::from(plan).limit(0, Some(0))?.build()?);
        }
        steps::project(plan, exprs)
    }

    /// One tree.
    pub(crate) fn rel(&self, rel: &Rel) -> Lower<Node> {
        match &rel.kind {
            RelKind::Scan { table, columns, promoted } => self.scan(table, columns, promoted),
            RelKind::Values(rows) => self.values(&rel.columns, rows),
            RelKind::Rows(batches) => self.rows(&rel.columns, batches),
            RelKind::Print(exprs) => {
                let plan = LogicalPlanBuilder::empty(true).build()?;
                let exprs = exprs.iter().map(|(id, e)| Ok(text(e)?.alias(column_name(*id)))).collect::<Lower<Vec<_>>>()?;
                Ok(Node::unordered(steps::project(plan, exprs)?))
            }
            RelKind::Range { id, ty, from, to, step } => self.range(*id, *ty, from, to, step),
            RelKind::Filter { input, predicate } => {
                let node = self.rel(input)?;
                let predicate = ticks::resolve(filter(predicate)?, &node.plan)?;
                let plan = steps::filter(node.plan, predicate)?;
                Ok(Node { plan, order: node.order })
            }
            RelKind::Project { input, exprs } => self.project(input, exprs),
            RelKind::Aggregate { input, keys, aggregates } => self.aggregate(input, keys, aggregates),
            RelKind::Sort { input, keys } => self.sort(input, keys),
            RelKind::Serialize { input } => self.serialize(input),
            RelKind::RowIndex { input, id } => {
                let mut node = self.rel(input)?;
                let position = self.position(&mut node)?;
                let plan = with_columns(node.plan, vec![named(&position).alias(column_name(*id))])?;
                if node.order.is_empty() {
                    node.order = vec![OrderKey::row_numbers(position)];
                }
                Ok(Node { plan, order: node.order })
            }
            RelKind::Limit { input, count, partition } => self.limit(input, *count, partition),
            RelKind::Join { left, right, kind, on } => self.join(left, right, *kind, on),
            RelKind::Union { inputs, ids } => self.union(inputs, ids),
            RelKind::Expand { input, .. } => self.expand(rel, input),
            RelKind::Window { input, functions } => self.window(input, functions),
            RelKind::Graph(_) => {
                let message = "a graph is no table: end with | graph-match …, or | graph-to-table nodes";
                Err(LowerError::Refused(Box::new(Diagnostic::error(code::TYPE, Span::default(), message))))
            }
            RelKind::Compute { input, inputs, op } => self.compute(rel, input.as_deref(), inputs, op),
        }
    }

    fn project(&self, input: &Rel, exprs: &[(ColId, BoundExpr)]) -> Lower<Node> {
        let (input, exprs) = chains::merge_projections(input, exprs);
        if let Some(node) = self.long_chain(input, &exprs)? {
            return Ok(node);
        }
        let narrowed = union::narrowed(input, exprs.iter().map(|(_, e)| e));
        let node = self.rel(narrowed.as_ref().unwrap_or(input))?;
        let mut out = Vec::with_capacity(exprs.len() + node.order.len());
        for (id, e) in exprs.iter() {
            let name = column_name(*id);
            out.push(match &e.kind {
                BoundKind::Column(from) if from == id => column(*id),
                BoundKind::Column(from) => column(*from).alias(name),
                _ => ticks::resolve(value(e)?, &node.plan)?.alias(name),
            });
        }
        // The columns that the order needs go along under their names.
        for key in &node.order {
            let kept = exprs.iter().any(|(id, _)| column_name(*id) == key.column);
            if !kept {
                out.push(named(&key.column));
            }
        }
        dedup_by_name(&mut out);
        if out.is_empty() {
            // A row without columns still counts: carry something.
            out.push(lit(0i64).alias(self.unique_name("__none")));
        }
        let plan = steps::project(node.plan, out)?;
        Ok(Node { plan, order: node.order })
    }

    fn sort(&self, input: &Rel, keys: &[BoundSortKey]) -> Lower<Node> {
        let node = self.rel(input)?;
        let mut order: Vec<OrderKey> = Vec::new();
        let mut computed: Vec<Expr> = Vec::new();
        let mut keys = keys.iter().filter(|key| key.expr.as_literal().is_none()).peekable();
        while let Some(key) = keys.next() {
            let last = keys.peek().is_none() && node.order.is_empty();
            let mut push = |e: Expr, ascending: bool, nulls_first: bool| {
                let column = match &e {
                    Expr::Column(c) => c.name.clone(),
                    _ => {
                        let name = self.unique_name("__key");
                        computed.push(e.alias(name.clone()));
                        name
                    }
                };
                order.push(OrderKey { column, ascending, nulls_first, numbers_rows: false });
            };
            if key.expr.ty == Type::Real {
                // NaN sorts with the nulls, next to the numbers; Arrow would put it above them.
                let v = ticks::resolve(value(&key.expr)?, &node.plan)?;
                let nan = datafusion::functions::math::expr_fn::isnan(v.clone());
                let (null_rank, nan_rank, number_rank) = if key.nulls_first { (0i64, 1i64, 2i64) } else { (2, 1, 0) };
                let rank = when(v.clone().is_null(), lit(null_rank)).when(nan, lit(nan_rank)).otherwise(lit(number_rank))?;
                push(rank, true, true);
                push(expr::one_real(v), key.ascending, key.nulls_first);
            } else if key.expr.ty == Type::String && last {
                // Null stands for empty, the least text. Next to each other they need not be one: nothing orders them further.
                push(ticks::resolve(value(&key.expr)?, &node.plan)?, key.ascending, key.ascending);
            } else {
                push(ticks::resolve(text_in_any_form(&key.expr)?, &node.plan)?, key.ascending, key.nulls_first);
            }
        }
        // What was in order before stays so among equal keys.
        order.extend(node.order.iter().filter(|k| !order.iter().any(|o| o.column == k.column)).cloned().collect::<Vec<_>>());
        let plan = if computed.is_empty() { node.plan } else { with_columns(node.plan, computed)? };
        Ok(Node { plan, order })
    }

    fn limit(&self, input: &Rel, count: u64, partition: &[ColId]) -> Lower<Node> {
        let node = self.rel(input)?;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if !partition.is_empty() {
            return self.limit_each(node, count, partition);
        }
        let order = node.order.clone();
        // DataFusion has no sort that keeps no row.
        let plan = if order.is_empty() || count == 0 {
            LogicalPlanBuilder::from(node.plan).limit(0, Some(count))?.build()?
        } else {
            let keys = node.sort_exprs();
            steps::sort(node.plan, keys, Some(count))
        };
        Ok(Node { plan, order })
    }
}

/// All columns of a plan and some more.
fn with_columns(plan: LogicalPlan, more: Vec<Expr>) -> Lower<LogicalPlan> {
    let mut exprs: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
    exprs.extend(more);
    steps::project(plan, exprs)
}

/// Drops later expressions of a name that an earlier one has.
fn dedup_by_name(exprs: &mut Vec<Expr>) {
    let mut seen = std::collections::HashSet::new();
    exprs.retain(|e| seen.insert(e.schema_name().to_string()));
}

/// A result column under its KQL name, with its KQL type beside it.
fn result_column(c: &BoundColumn) -> Expr {
    use datafusion::logical_expr::expr::Alias;
    use std::collections::BTreeMap;
    let metadata = BTreeMap::from([(kqlake_value::columns::TYPE_KEY.to_owned(), c.ty.name().to_owned())]);
    Expr::Alias(Alias::new(column(c.id), None::<&str>, c.name.clone()).with_metadata(Some(metadata.into())))
}
