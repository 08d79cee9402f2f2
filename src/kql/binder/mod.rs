//! From the syntax tree and a catalog to the typed operator tree, with KQL's own typing, naming and scoping rules.
//!
//! The binder reads no data. Where a result's columns depend on rows (`evaluate bag_unpack`) or a constant is a query's answer
//! (`toscalar`), it stops with a [`FetchRequest`]; the planner runs the request's tree and binds again with the answer.

mod arguments;
mod calls;
mod expr;
mod external;
mod invoked;
mod lists;
mod names;
mod no_rows;
mod operators;
mod ops;
mod pattern;
mod scope;
mod services;
pub(super) mod source;
mod statements;
mod unread;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use arrow::record_batch::RecordBatch;

pub(crate) use expr::ExprContext;
pub(crate) use external::Gathered;
use external::Wants;
pub(crate) use no_rows::NamedColumns;
use no_rows::UntypedColumns;
pub(crate) use scope::{Binding, RowInfo, Scope};

use super::bound::{BoundColumn, BoundExpr, BoundKind, ColId, HiddenColumn, HiddenRole, Rel, RelKind};
use super::catalog::{Answers, Catalog};
use kqlake_syntax::ast::{Expr, ExprKind, Name, Script, Span};
use kqlake_syntax::diagnostics::{Diagnostic, Severity, code};
use kqlake_value::{Column, Type, Value, datetime_of_us};

/// Why binding of a part ended early.
#[derive(Debug)]
pub(crate) enum BindError {
    /// A diagnostic was given.
    Reported,
    /// Rows are needed first; the request is in [`Binder::request`].
    Pending,
}

/// The result of binding a part.
pub(crate) type Bind<T> = Result<T, BindError>;

/// How deep views, functions and sub-queries may nest.
const MAX_DEPTH: usize = 64;

/// How many times names of tables and functions may be replaced by what they stand for in one text: `let`s that use one another
/// twice each would double the query without end.
const MAX_EXPANSIONS: usize = 10_000;

/// How many operators a query may have, with those of the functions and views that it uses.
const MAX_OPERATORS: usize = 2_000;

/// A query's result: one or several tables.
#[derive(Debug)]
pub(crate) struct BoundQuery {
    /// The tables, in order, with their names.
    pub tables: Vec<(String, Rel)>,
    /// The `render` annotation: kind and properties.
    pub render: Option<(String, Vec<(String, String)>)>,
}

/// The placeholder rows of sub-queries (`operators::placeholder`).
#[derive(Debug)]
struct Placeholder {
    /// The column that is true in them.
    column: HiddenColumn,
    /// The operator that is bound may need them again behind an aggregation.
    again: bool,
}

/// Rows that the planner has to fetch before binding can continue.
#[derive(Debug, Clone)]
pub(crate) struct FetchRequest {
    /// What to run.
    pub rel: Rel,
    /// At most so many rows are wanted.
    pub limit: Option<u64>,
}

/// Computes the value of an expression without columns; `None` if it cannot be computed. It is passed to the binder, since
/// computing takes a plan, and plans are made from what is bound.
///
/// # Errors
/// What is wrong with the expression's values.
pub(crate) type Fold = fn(&BoundExpr) -> Result<Option<Value>, Box<Diagnostic>>;

/// The state of binding one text.
pub(crate) struct Binder<'a> {
    catalog: &'a dyn Catalog,
    /// Computes constants.
    fold: Fold,
    /// `now()`: ticks since 0001-01-01.
    now: i64,
    params: &'a BTreeMap<String, String>,
    /// What is read beside tables.
    external: Wants<'a>,
    complete: &'a dyn Fn(&str, &str) -> Answers,
    answers: Option<&'a [Vec<RecordBatch>]>,
    next_answer: usize,
    /// Nothing will be run: what only running needs is a warning.
    checking: bool,
    next_id: ColId,
    /// Columns whose type is not known, because they follow from rows that are not read or not there. They pass for any type.
    untyped: UntypedColumns,
    /// Tables of the query whose columns follow from rows that are not there.
    named: NamedColumns,
    /// The calls of functions with arguments that are being bound, outermost first.
    calls: Vec<Span>,
    /// The query is planned over tables without rows.
    without_rows: bool,
    /// What was bound so far has other rows when the query runs.
    lacks_rows: bool,
    /// What `check` knows of the columns that follow from rows.
    unread: unread::Names,
    /// Columns up to this id belong to a row that calls a query from outside, and are not visible in it.
    outside: ColId,
    /// Columns of tabular arguments that the function's parameter does not list: they pass through its body, which may not name
    /// them.
    unlisted: HashSet<ColId>,
    /// A table has two columns of one name.
    repeated: bool,
    /// Inside of a fuzzy union whose tables are only checked: one that is not there may have any columns.
    fuzzy: bool,
    /// Names such as `Column1` that were given so far, where nothing is to be run: Microsoft's language service counts them
    /// through a whole query, its engine again with each operator.
    generated: usize,
    depth: usize,
    /// Functions whose body [`Binder::is_tabular`] is looking at, and whether each gives a table as far as is known.
    tabular_functions: RefCell<HashMap<*const scope::Function, (Rc<scope::Function>, bool)>>,
    /// Uses of names so far, against [`MAX_EXPANSIONS`].
    expansions: usize,
    /// Operators bound so far for the current statement, against [`MAX_OPERATORS`].
    operators: usize,
    path_keys: HashSet<String>,
    /// Keys that distinguish sub-queries, innermost last.
    partition: Vec<HiddenColumn>,
    /// The placeholder rows of the innermost sub-queries, where their body needs them.
    placeholder: Option<Placeholder>,
    /// What was found wrong.
    pub diagnostics: Vec<Diagnostic>,
    /// Where nothing is to be run: what keeps the text from running although it binds.
    pub refused: Vec<Diagnostic>,
    /// What must be run before binding can continue.
    pub request: Option<FetchRequest>,
    /// Tables that the query scans.
    pub scanned: HashSet<String>,
    /// `render`, when there was one.
    render: Option<(String, Vec<(String, String)>)>,
    /// Further result tables of `fork` and `facet`.
    extra_tables: Vec<(String, Rel)>,
    /// What was bound holds something that differs from one run to the next.
    differs: bool,
    /// Rows that were asked for once for all uses, with the place and the scope of their `materialize`.
    materialized: Vec<(Span, Scope, Rel)>,
    /// Values that `toscalar` took of what differs from call to call, with what they are of.
    drawn: HashMap<String, BoundExpr>,
    /// The size and the fixed point of `bin_auto`, which options of the query set.
    auto_bin: (Option<BoundExpr>, Option<BoundExpr>),
}

impl<'a> Binder<'a> {
    /// A binder. `answers` are the rows of the requests so far, in order; `None` binds without running anything, so that
    /// values and columns that depend on rows stay unknown. `complete` says whether a table's promoted column answers for
    /// its key in every file.
    pub(crate) fn new(
        catalog: &'a dyn Catalog,
        fold: Fold,
        params: &'a BTreeMap<String, String>,
        now_us: i64,
        complete: &'a dyn Fn(&str, &str) -> Answers,
        answers: Option<&'a [Vec<RecordBatch>]>,
    ) -> Self {
        Binder {
            catalog,
            fold,
            now: datetime_of_us(now_us),
            params,
            external: Wants::nothing(),
            complete,
            answers,
            next_answer: 0,
            checking: answers.is_none(),
            next_id: 1,
            untyped: UntypedColumns::default(),
            named: NamedColumns::default(),
            calls: Vec::new(),
            without_rows: false,
            lacks_rows: false,
            unread: unread::Names::default(),
            outside: 0,
            unlisted: HashSet::new(),
            repeated: false,
            fuzzy: false,
            generated: 0,
            auto_bin: (None, None),
            depth: 0,
            tabular_functions: RefCell::default(),
            expansions: 0,
            operators: 0,
            path_keys: HashSet::new(),
            partition: Vec::new(),
            placeholder: None,
            diagnostics: Vec::new(),
            refused: Vec::new(),
            request: None,
            scanned: HashSet::new(),
            render: None,
            extra_tables: Vec::new(),
            differs: false,
            materialized: Vec::new(),
            drawn: HashMap::new(),
        }
    }

    /// Binds a whole text. `None` if it has errors (see [`Binder::diagnostics`]) or needs rows first (see [`Binder::request`]).
    pub(crate) fn bind(&mut self, script: &Script) -> Option<BoundQuery> {
        names::collect_path_keys(script, &mut self.path_keys);
        let scope = Scope::root();
        let tables = self.bind_script(script, &scope).ok()?;
        if self.request.is_some() || self.diagnostics.iter().any(|d| d.severity == Severity::Error) {
            return None;
        }
        Some(BoundQuery { tables, render: self.render.take() })
    }

    /// A fresh column id.
    fn id(&mut self) -> ColId {
        self.next_id += 1;
        self.next_id
    }

    /// Reports an error.
    fn error<T>(&mut self, code: &'static str, span: Span, message: impl Into<String>) -> Bind<T> {
        self.report(Diagnostic::error(code, span, message))
    }

    /// Reports a diagnostic and stops this part.
    fn report<T>(&mut self, diagnostic: Diagnostic) -> Bind<T> {
        if !self.diagnostics.contains(&diagnostic) {
            self.diagnostics.push(diagnostic);
        }
        Err(BindError::Reported)
    }

    /// Reports something that does not stop the query.
    fn warn(&mut self, span: Span, message: impl Into<String>) {
        let diagnostic = Diagnostic::warning(code::UNSUPPORTED, span, message);
        if !self.diagnostics.contains(&diagnostic) {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Notes what keeps a query from running although it binds: an error, or a warning where nothing is to be run.
    fn not_run(&mut self, diagnostic: Diagnostic) -> Bind<()> {
        if !self.checking {
            return self.report(diagnostic);
        }
        let warning = Diagnostic { severity: Severity::Warning, ..diagnostic.clone() };
        if !self.diagnostics.contains(&warning) {
            self.diagnostics.push(warning);
            self.refused.push(diagnostic);
        }
        Ok(())
    }

    /// True for a value whose type is not known while binding: a column that follows from rows, or what such a column gives.
    fn is_untyped(&self, e: &BoundExpr) -> bool {
        match e.kind {
            BoundKind::Column(id) => self.untyped.contains(id),
            BoundKind::Untyped => true,
            _ => false,
        }
    }

    /// A value of which nothing is known. There is one only where nothing is run, or where there are no rows.
    fn untyped_value(&mut self, span: Span) -> BoundExpr {
        BoundExpr::new(BoundKind::Untyped, Type::Dynamic, span)
    }

    /// A name that no column has, of rows of which more columns may be named: these have marks among `hidden`. None where it
    /// cannot be a column.
    fn infer(&mut self, name: &Name, hidden: &[HiddenColumn]) -> Option<BoundExpr> {
        match hidden.iter().any(|h| !h.is_column()) {
            false => None,
            true if self.checking => Some(self.name_of_unread(name)),
            true => self.named_of_none(name, hidden),
        }
    }

    /// An expression's column; one of an unknown type stays unknown.
    fn propagate_type(&mut self, id: ColId, e: &BoundExpr) {
        match e.kind {
            BoundKind::Column(from) => self.untyped.pass_on(from, id),
            BoundKind::Untyped => self.untyped.insert(id),
            _ => {}
        }
    }

    /// Refuses what the language has and kqlake does not.
    fn unsupported<T>(&mut self, span: Span, what: &str) -> Bind<T> {
        self.error(code::UNSUPPORTED, span, format!("{what} is not supported"))
    }

    /// An unknown name, with the nearest known one.
    fn unknown<T>(&mut self, what: &str, name: &Name, candidates: Vec<String>) -> Bind<T> {
        let mut diagnostic = Diagnostic::error(code::UNKNOWN, name.span, format!("unknown {what} '{}'", name.text));
        if candidates.contains(&name.text) {
            diagnostic = diagnostic.suggest(
                "the function's tabular parameter does not list it, so it passes through; add it to the parameter's columns",
            );
        } else if let Some(near) = kqlake_syntax::suggest::nearest(&name.text, candidates.iter().map(String::as_str)) {
            diagnostic = diagnostic.suggest(format!("did you mean '{near}'?"));
        }
        self.report(diagnostic)
    }

    /// Resolves the names of an operator's targets. With `replace`, a second target of a name takes the first one's place where
    /// nothing is to be run: so does Microsoft's language service with the targets of `extend` and `mv-expand`.
    fn resolve_names(&mut self, wanted: &[names::TargetName], avoid: HashSet<&str>, replace: bool) -> Vec<String> {
        let generated = if self.checking { self.generated } else { 0 };
        let mut rules = names::NamingRules { avoid, generated, replace: replace && self.checking };
        let settled = names::resolve_names(wanted, &mut rules);
        if self.checking {
            self.generated = rules.generated;
        }
        settled
    }

    /// Binds with generated names counted from `start`; the count outside continues as it was.
    fn counting_from<T>(&mut self, start: usize, f: impl FnOnce(&mut Self) -> Bind<T>) -> Bind<T> {
        let outer = std::mem::replace(&mut self.generated, start);
        let result = f(self);
        self.generated = outer;
        result
    }

    /// Runs `f` one level deeper; refuses a nesting without end.
    fn with_depth<T>(&mut self, span: Span, f: impl FnOnce(&mut Self) -> Bind<T>) -> Bind<T> {
        if self.depth >= MAX_DEPTH {
            return self.error(code::LIMIT, span, format!("more than {MAX_DEPTH} levels of functions, views or sub-queries"));
        }
        self.expansions += 1;
        if self.expansions > MAX_EXPANSIONS {
            return self.error(
                code::LIMIT,
                span,
                format!("tables and functions are used more than {MAX_EXPANSIONS} times, those inside of one another counted"),
            );
        }
        self.depth += 1;
        let result = f(self);
        self.depth -= 1;
        result
    }

    /// The rows of a tree; `None` when nothing may be run.
    fn rows_of(&mut self, rel: Rel, limit: Option<u64>) -> Bind<Option<Vec<RecordBatch>>> {
        self.answer(FetchRequest { rel, limit })
    }

    /// What a request gives; none when nothing may be run.
    fn answer(&mut self, request: FetchRequest) -> Bind<Option<Vec<RecordBatch>>> {
        let Some(answers) = self.answers else { return Ok(None) };
        let place = self.next_answer;
        self.next_answer += 1;
        match answers.get(place) {
            Some(batches) => Ok(Some(batches.clone())),
            None => {
                // The rest of the text is bound for its errors: what it asks for comes later, and must not take this one's place.
                self.request.get_or_insert(request);
                Err(BindError::Pending)
            }
        }
    }

    /// A tree whose rows are the same at all its uses, where they would differ: its rows are asked for here.
    fn materialized(&mut self, rel: Rel) -> Bind<Rel> {
        if !self.partition.is_empty() {
            return Ok(rel);
        }
        let serialized = rel.serialized;
        let columns: Vec<(BoundColumn, BoundExpr)> =
            rel.columns.iter().map(|c| (c.clone(), BoundExpr::column(c, Span::default()))).collect();
        let shown: Vec<Column> = rel.columns.iter().map(|c| Column::new(c.name.clone(), c.ty)).collect();
        let Some(batches) = self.rows_of(Self::projected(rel.clone(), columns), None)? else { return Ok(rel) };
        let gathered = Rel { serialized, ..self.rows(shown, batches) };
        for (from, to) in rel.columns.iter().zip(&gathered.columns) {
            self.untyped.pass_on(from.id, to.id);
        }
        Ok(Self::open_as(gathered, &rel.hidden))
    }

    /// A filter over an input.
    fn filtered(mut input: Rel, predicate: BoundExpr) -> Rel {
        if let RelKind::Filter { predicate: before, .. } = &mut input.kind {
            // Filters in a row are one: a text of thousands of them is no deep tree.
            match &mut before.kind {
                BoundKind::Logical { and: true, terms } => terms.push(predicate),
                _ => {
                    let span = before.span;
                    let unknown = BoundExpr::new(BoundKind::Unknown, Type::Bool, span);
                    let terms = vec![std::mem::replace(before, unknown), predicate];
                    *before = BoundExpr::new(BoundKind::Logical { and: true, terms }, Type::Bool, span);
                }
            }
            input.table_name = None;
            return input;
        }
        Rel {
            columns: input.columns.clone(),
            hidden: input.hidden.clone(),
            serialized: input.serialized,
            table_name: None,
            kind: RelKind::Filter { input: Box::new(input), predicate },
        }
    }

    /// A projection to these columns. Hidden columns go along as long as what they mirror is there.
    fn projected(input: Rel, columns: Vec<(BoundColumn, BoundExpr)>) -> Rel {
        let kept = |id: ColId| columns.iter().any(|(c, e)| c.id == id && matches!(e.kind, BoundKind::Column(from) if from == id));
        let hidden: Vec<HiddenColumn> = input
            .hidden
            .iter()
            .filter(|h| match &h.role {
                HiddenRole::Promoted { parent, .. } => kept(*parent),
                HiddenRole::Key | HiddenRole::Carried | HiddenRole::Placeholder | HiddenRole::Open(_) => true,
            })
            .filter(|h| !h.is_column() || !columns.iter().any(|(c, _)| c.id == h.id))
            .cloned()
            .collect();
        let pass = |h: &HiddenColumn| (h.id, BoundExpr::new(BoundKind::Column(h.id), h.ty, Span::default()));
        let mut exprs: Vec<(ColId, BoundExpr)> = columns.iter().map(|(c, e)| (c.id, e.clone())).collect();
        // That there may be more columns is no column.
        exprs.extend(hidden.iter().filter(|h| h.is_column()).map(pass));
        Rel {
            columns: columns.into_iter().map(|(c, _)| c).collect(),
            hidden,
            serialized: input.serialized,
            table_name: None,
            kind: RelKind::Project { input: Box::new(input), exprs },
        }
    }

    /// Passes the given columns on under new names (ids unchanged).
    fn renamed(input: Rel, columns: Vec<BoundColumn>) -> Rel {
        let columns = columns
            .into_iter()
            .map(|c| {
                let e = BoundExpr::new(BoundKind::Column(c.id), c.ty, Span::default());
                (c, e)
            })
            .collect();
        Self::projected(input, columns)
    }

    /// A second column of a name gets a number.
    fn rename_repeated_columns(&mut self, mut rel: Rel) -> Rel {
        let wanted: Vec<names::TargetName> = rel.columns.iter().map(|c| names::TargetName::Derived(c.name.clone())).collect();
        for (column, name) in rel.columns.iter_mut().zip(self.resolve_names(&wanted, HashSet::new(), false)) {
            column.name = name;
        }
        rel
    }

    /// A table of which nothing is known.
    fn unknown_table(&mut self) -> Rel {
        let mut rel = source::empty_rel();
        rel.hidden.push(self.open_marker());
        rel
    }

    /// Marks a tree that may have columns beside those that are known.
    fn open_marker(&mut self) -> HiddenColumn {
        HiddenColumn { id: self.id(), ty: Type::Dynamic, role: HiddenRole::Open(Vec::new()) }
    }

    /// True for a tree that may have columns beside those that are known.
    fn is_open(rel: &Rel) -> bool {
        rel.hidden.iter().any(|h| !h.is_column())
    }

    /// A tabular expression's columns, for messages and results.
    pub(crate) fn columns_of(rel: &Rel) -> Vec<Column> {
        rel.columns.iter().map(|c| Column::new(c.name.clone(), c.ty)).collect()
    }
}

/// A bare name, if the expression is one.
fn bare_name(expr: &Expr) -> Option<&Name> {
    match &expr.kind {
        ExprKind::Name(name) => Some(name),
        _ => None,
    }
}

/// The types that a message lists.
fn type_list(types: &[Type]) -> String {
    types.iter().map(|t| t.name()).collect::<Vec<_>>().join(", ")
}
