//! The typed operator tree: what a query means. Every column has an id of its own, so that names never collide.

pub(crate) mod graph;

use std::sync::Arc;

use arrow::record_batch::RecordBatch;

use super::catalog::PromotedColumn;
use super::computation::{Compute, RowFields};
use super::functions::{AggregateFn, ScalarFn, WindowFn};
use kqlake_syntax::ast::{Span, TextOp};
use kqlake_value::{Type, Value};

/// Identifies a column within one query.
pub(crate) type ColId = u32;

/// A column of a tabular expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BoundColumn {
    /// Id, unique in the query. A column that passes an operator unchanged keeps it.
    pub id: ColId,
    /// Name.
    pub name: String,
    /// Type.
    pub ty: Type,
}

/// A column that the tree carries beside the visible ones.
#[derive(Debug, Clone)]
pub(crate) struct HiddenColumn {
    /// Id.
    pub id: ColId,
    /// Type.
    pub ty: Type,
    /// Why it is carried.
    pub role: HiddenRole,
}

/// Why a hidden column is carried.
#[derive(Debug, Clone)]
pub(crate) enum HiddenRole {
    /// Mirrors a key of the dynamic column `parent`; answers for it everywhere if `complete`.
    Promoted { parent: ColId, key: String, complete: bool },
    /// Tells the rows of one sub-query of `mv-apply` or `partition` from another's.
    Key,
    /// A copy of an outer column, the same in all rows of a sub-query.
    Carried,
    /// True in a row that stands for its sub-query, so that one whose other rows are all dropped is still there.
    Placeholder,
    /// No column at all: the columns follow from rows that were not read or are not there, so any name may be one. In a query,
    /// of which tables without rows (`binder::no_rows`); one that is named here is a column of all of them.
    Open(Vec<usize>),
}

impl HiddenColumn {
    /// False for the mark of a table of which more columns may be named.
    pub(crate) fn is_column(&self) -> bool {
        !matches!(self.role, HiddenRole::Open(_))
    }
}

/// A tabular expression.
#[derive(Debug, Clone)]
pub(crate) struct Rel {
    /// What it does.
    pub kind: RelKind,
    /// Visible columns, in order.
    pub columns: Vec<BoundColumn>,
    /// Columns carried along.
    pub hidden: Vec<HiddenColumn>,
    /// The order of rows means something (after `sort`, `top`, `range`, `serialize`).
    pub serialized: bool,
    /// Name of the table, when this is one as it is (for `withsource`).
    pub table_name: Option<String>,
}

/// One sort key.
#[derive(Debug, Clone)]
pub(crate) struct BoundSortKey {
    /// Key.
    pub expr: BoundExpr,
    /// Ascending.
    pub ascending: bool,
    /// Nulls before everything else.
    pub nulls_first: bool,
}

/// Kinds of join. `lookup` is an inner or left outer join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JoinKind {
    /// One left row a key, then inner.
    InnerUnique,
    /// All matching pairs.
    Inner,
    /// And left rows without a match.
    LeftOuter,
    /// And right rows without a match.
    RightOuter,
    /// And both.
    FullOuter,
    /// Left rows with a match.
    LeftSemi,
    /// Right rows with a match.
    RightSemi,
    /// Left rows without a match.
    LeftAnti,
    /// Right rows without a match.
    RightAnti,
}

/// An aggregate call.
#[derive(Debug, Clone)]
pub(crate) struct BoundAggregate {
    /// The function.
    pub function: &'static AggregateFn,
    /// Arguments without the predicate.
    pub args: Vec<BoundExpr>,
    /// Rows that count, for `…if` forms.
    pub filter: Option<BoundExpr>,
    /// Result type.
    pub ty: Type,
}

/// One column that `mv-expand` expands.
#[derive(Debug, Clone)]
pub(crate) struct ExpandColumn {
    /// Id of the result.
    pub id: ColId,
    /// The bag or array.
    pub expr: BoundExpr,
    /// Type of the elements; dynamic unless `to typeof()`.
    pub ty: Type,
}

/// What a step of [`BoundScan`] emits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepOutput {
    /// Every row that it takes.
    All,
    /// The last row that it took, when the match ends.
    Last,
    /// Nothing.
    None,
}

/// A step of [`BoundScan`].
#[derive(Debug, Clone)]
pub(crate) struct BoundScanStep {
    /// When a row is taken.
    pub condition: BoundExpr,
    /// Columns (by place: the input's, then the declared ones) and their new values.
    pub assignments: Vec<(usize, BoundExpr)>,
    /// What it emits.
    pub output: StepOutput,
}

/// The operator `scan`: a state machine over ordered rows.
#[derive(Debug, Clone)]
pub(crate) struct BoundScan {
    /// The input's columns.
    pub own: Vec<BoundColumn>,
    /// Declared columns and their defaults.
    pub declared: Vec<(BoundColumn, Value)>,
    /// For each step the columns of its last match: own, then declared.
    pub state: Vec<BoundColumn>,
    /// The steps.
    pub steps: Vec<BoundScanStep>,
    /// Places of the columns that part the rows; they are sorted by them.
    pub partition: Vec<usize>,
    /// A last column numbers the matches.
    pub match_id: bool,
}

/// What a tabular expression does.
#[derive(Debug, Clone)]
pub(crate) enum RelKind {
    /// Reads a table: `(id, provider's column)`.
    Scan { table: String, columns: Vec<(ColId, String, Type)>, promoted: Vec<(ColId, PromotedColumn)> },
    /// Rows given in the text, in order.
    Values(Vec<Vec<Value>>),
    /// Rows in memory, in order.
    Rows(Vec<RecordBatch>),
    /// One row of expressions over nothing.
    Print(Vec<(ColId, BoundExpr)>),
    /// `range`: from, to and step of one type (long, real, datetime with timespan step, timespan).
    Range { id: ColId, ty: Type, from: Value, to: Value, step: Value },
    /// Keeps rows whose predicate is true.
    Filter { input: Box<Rel>, predicate: BoundExpr },
    /// Computes columns; `(id, Column(id))` passes one on.
    Project { input: Box<Rel>, exprs: Vec<(ColId, BoundExpr)> },
    /// Groups; without keys one row always.
    Aggregate { input: Box<Rel>, keys: Vec<(ColId, BoundExpr)>, aggregates: Vec<(ColId, BoundAggregate)> },
    /// Orders rows.
    Sort { input: Box<Rel>, keys: Vec<BoundSortKey> },
    /// Makes the present order the order of the rows (a row index where there is none).
    Serialize { input: Box<Rel> },
    /// Numbers the rows in a new column.
    RowIndex { input: Box<Rel>, id: ColId },
    /// First rows, of each combination of `partition` columns when there are any.
    Limit { input: Box<Rel>, count: u64, partition: Vec<ColId> },
    /// Joins on equality of expressions; null equals null.
    Join { left: Box<Rel>, right: Box<Rel>, kind: JoinKind, on: Vec<(BoundExpr, BoundExpr)> },
    /// Rows of all inputs; each input has, in order, an expression for each of the output columns.
    Union { inputs: Vec<(Rel, Vec<BoundExpr>)>, ids: Vec<ColId> },
    /// Expands arrays and bags to rows, zipped. Where a column of placeholders is given, each input row with an element gets one more
    /// row, without elements, in which alone that column is true.
    Expand {
        input: Box<Rel>,
        items: Vec<ExpandColumn>,
        index: Option<ColId>,
        limit: Option<i64>,
        bag_as_array: bool,
        keep_empty: bool,
        placeholder: Option<ColId>,
    },
    /// Window functions over ordered rows: each gives a column from argument columns.
    Window { input: Box<Rel>, functions: Vec<(ColId, BoundWindow)> },
    /// A graph, which has no rows: operators over graphs ask it for some.
    Graph(Box<graph::BoundGraph>),
    /// Anything that needs all rows at once.
    Compute { input: Option<Box<Rel>>, inputs: Vec<ColId>, op: Arc<dyn Compute> },
}

/// A window function call.
#[derive(Debug, Clone)]
pub(crate) struct BoundWindow {
    /// The function's name.
    pub name: &'static str,
    /// The function.
    pub function: WindowFn,
    /// Arguments.
    pub args: Vec<BoundExpr>,
    /// Result type.
    pub ty: Type,
    /// Starts again for each combination of these columns.
    pub partition: Vec<ColId>,
}

/// A typed scalar expression.
#[derive(Debug, Clone)]
pub(crate) struct BoundExpr {
    /// What it is.
    pub kind: BoundKind,
    /// Type.
    pub ty: Type,
    /// Where it was written.
    pub span: Span,
}

/// A step of a dynamic path.
#[derive(Debug, Clone)]
pub(crate) enum BoundPathStep {
    /// `.key`, `["key"]`
    Key(String),
    /// `[0]`, `[-1]`
    Index(i64),
    /// `[expr]`: a string or an integer computed for each row.
    Computed(Box<BoundExpr>),
}

/// Kinds of scalar expression.
#[derive(Debug, Clone)]
pub(crate) enum BoundKind {
    /// A constant.
    Literal(Value),
    /// A column.
    Column(ColId),
    /// A registry function.
    Call { function: &'static ScalarFn, args: Vec<BoundExpr> },
    /// Widening of a number or a change of type that cannot fail (int to long, literal text to datetime was folded before).
    Cast(Box<BoundExpr>),
    /// `base.a.b[0]`
    Path { base: Box<BoundExpr>, steps: Vec<BoundPathStep> },
    /// A promoted key: `column` mirrors the path `base.key`.
    Promoted { column: ColId, column_ty: Type, complete: bool, base: Box<BoundExpr>, key: String },
    /// `+ - * / %` of operands whose types the binder has settled.
    Arithmetic { op: kqlake_syntax::ast::BinaryOp, left: Box<BoundExpr>, right: Box<BoundExpr> },
    /// `-x`
    Negate(Box<BoundExpr>),
    /// `== != < <= > >=` of operands of one type, or `=~ !~`.
    Compare { op: kqlake_syntax::ast::BinaryOp, left: Box<BoundExpr>, right: Box<BoundExpr> },
    /// `and`, `or`
    Logical { and: bool, terms: Vec<BoundExpr> },
    /// `not(x)`
    Not(Box<BoundExpr>),
    /// String search; several needles for `has_any` and `has_all`.
    Text { op: TextOp, all: bool, negated: bool, case_sensitive: bool, left: Box<BoundExpr>, needles: Vec<BoundExpr> },
    /// `matches regex`
    Regex { left: Box<BoundExpr>, pattern: Box<BoundExpr> },
    /// `in` over constants and expressions of the left side's type.
    In { negated: bool, ignore_case: bool, left: Box<BoundExpr>, items: Vec<BoundExpr> },
    /// `in` over a dynamic array computed for each row.
    InArray { negated: bool, ignore_case: bool, left: Box<BoundExpr>, array: Box<BoundExpr> },
    /// `case`, `iff`: the first true condition's value, else the last.
    Case { branches: Vec<(BoundExpr, BoundExpr)>, otherwise: Box<BoundExpr> },
    /// The value at a place of the array that a several-column function gives.
    Element { call: Box<BoundExpr>, index: usize },
    /// One of the values that a function of several gives.
    Field { source: Arc<dyn RowFields>, args: Vec<BoundExpr>, index: usize },
    /// A value that is known only when the query runs, where binding is all that is wanted, or one of no rows: null, or empty.
    Unknown,
    /// The same of a type that is not known either: it passes for any.
    Untyped,
}

/// Calls a function with every direct part of an expression: `$iter` is `iter` for parts to look at, `iter_mut` for parts to change.
macro_rules! for_each_part {
    ($kind:expr, $f:ident, $iter:ident) => {
        match $kind {
            BoundKind::Literal(_) | BoundKind::Column(_) | BoundKind::Unknown | BoundKind::Untyped => {}
            BoundKind::Call { args, .. } | BoundKind::Field { args, .. } => args.$iter().for_each($f),
            BoundKind::Cast(e) | BoundKind::Negate(e) | BoundKind::Not(e) => $f(e),
            BoundKind::Path { base, steps } => {
                $f(base);
                for step in steps {
                    if let BoundPathStep::Computed(e) = step {
                        $f(e);
                    }
                }
            }
            BoundKind::Promoted { base, .. } => $f(base),
            BoundKind::Arithmetic { left, right, .. } | BoundKind::Compare { left, right, .. } => {
                $f(left);
                $f(right);
            }
            BoundKind::Logical { terms, .. } => terms.$iter().for_each($f),
            BoundKind::Text { left, needles, .. } => {
                $f(left);
                needles.$iter().for_each($f);
            }
            BoundKind::Regex { left, pattern } => {
                $f(left);
                $f(pattern);
            }
            BoundKind::In { left, items, .. } => {
                $f(left);
                items.$iter().for_each($f);
            }
            BoundKind::InArray { left, array, .. } => {
                $f(left);
                $f(array);
            }
            BoundKind::Case { branches, otherwise } => {
                for (condition, value) in branches {
                    $f(condition);
                    $f(value);
                }
                $f(otherwise);
            }
            BoundKind::Element { call, .. } => $f(call),
        }
    };
}

impl BoundExpr {
    /// An expression.
    pub(crate) fn new(kind: BoundKind, ty: Type, span: Span) -> Self {
        BoundExpr { kind, ty, span }
    }

    /// A constant.
    pub(crate) fn literal(value: Value, ty: Type, span: Span) -> Self {
        BoundExpr::new(BoundKind::Literal(value), ty, span)
    }

    /// A column.
    pub(crate) fn column(column: &BoundColumn, span: Span) -> Self {
        BoundExpr::new(BoundKind::Column(column.id), column.ty, span)
    }

    /// The value, if this is a constant.
    pub(crate) fn as_literal(&self) -> Option<&Value> {
        match &self.kind {
            BoundKind::Literal(value) => Some(value),
            _ => None,
        }
    }

    /// Calls `f` with every direct part.
    pub(crate) fn for_each_part<'a>(&'a self, f: &mut dyn FnMut(&'a BoundExpr)) {
        for_each_part!(&self.kind, f, iter);
    }

    /// Calls `f` with every direct part, to change it.
    pub(crate) fn for_each_part_mut(&mut self, f: &mut dyn FnMut(&mut BoundExpr)) {
        for_each_part!(&mut self.kind, f, iter_mut);
    }

    /// Puts other columns in the place of those it reads.
    pub(crate) fn replace_columns(&mut self, map: &dyn Fn(ColId) -> ColId) {
        match &mut self.kind {
            BoundKind::Column(id) | BoundKind::Promoted { column: id, .. } => *id = map(*id),
            _ => {}
        }
        self.for_each_part_mut(&mut |part| part.replace_columns(map));
    }

    /// True if the expression, or a part, fulfils `test`.
    pub(crate) fn any(&self, test: &dyn Fn(&BoundExpr) -> bool) -> bool {
        if test(self) {
            return true;
        }
        let mut found = false;
        self.for_each_part(&mut |part| found = found || part.any(test));
        found
    }

    /// True if a part differs from call to call. Such a value stands in one place of a plan: each place computes it anew.
    pub(crate) fn is_volatile(&self) -> bool {
        self.any(&|e| matches!(&e.kind, BoundKind::Call { function, .. } if function.volatile))
    }

    /// True if no column and nothing volatile or unknown is in it.
    pub(crate) fn is_constant(&self) -> bool {
        !self.any(&|e| match &e.kind {
            BoundKind::Column(_) | BoundKind::Promoted { .. } | BoundKind::Unknown | BoundKind::Untyped => true,
            BoundKind::Call { function, .. } => function.volatile,
            _ => false,
        })
    }
}

/// How many rows a range has; `None` where that is no number.
pub(crate) fn range_rows(from: &Value, to: &Value, step: &Value) -> Option<i64> {
    let whole = |v: &Value| match v {
        Value::Int(v) => Some(i128::from(*v)),
        Value::Long(v) | Value::TimeSpan(v) | Value::DateTime(v) => Some(i128::from(*v)),
        _ => None,
    };
    let number = |v: &Value| match v {
        Value::Int(v) => Some(f64::from(*v)),
        Value::Long(v) | Value::TimeSpan(v) | Value::DateTime(v) => Some(*v as f64),
        Value::Real(v) => Some(*v),
        Value::Decimal(v) => Some(*v as f64 / 1e18),
        _ => None,
    };
    if from.is_null() || to.is_null() || step.is_null() {
        return Some(0);
    }
    // Reals would not distinguish ticks since year 1.
    if let (Some(from), Some(to), Some(step)) = (whole(from), whole(to), whole(step).filter(|step| *step != 0)) {
        let away = if step > 0 { to - from } else { from - to };
        return Some((away.div_euclid(step.abs()) + 1).clamp(0, 9_000_000_000_000_000_000) as i64);
    }
    let (from, to, step) = (number(from)?, number(to)?, number(step)?);
    let rows = ((to - from) / step).floor() + 1.0;
    if rows.is_nan() { None } else { Some(rows.clamp(0.0, 9e18) as i64) }
}
