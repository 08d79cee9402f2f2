//! The syntax tree of a KQL text: what was written, with the place of everything, and no meaning yet.
//!
//! Scalar and tabular expressions share [`Expr`], because only the binder can decide what `let x = T` or `f(x)` is.

mod graph;

use kqlake_value::{Json, Type};

pub use self::graph::{GraphDirection, GraphEdge, GraphNode, GraphNodes, GraphPath, GraphSearch, GraphTable};

/// A half-open range of byte offsets in the text, always on character boundaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// A span from two offsets.
    pub fn new(start: usize, end: usize) -> Self {
        Span { start: start as u32, end: end as u32 }
    }

    /// The smallest span that holds both.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// A name as it was written (brackets and quotes of `['…']` removed).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub text: String,
    /// Where it is, brackets included.
    pub span: Span,
}

/// A whole KQL text: statements separated by `;`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Script {
    /// In the order written.
    pub statements: Vec<Statement>,
}

/// One statement and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// What it is.
    pub kind: StatementKind,
    /// The whole statement.
    pub span: Span,
}

/// The kinds of statement.
#[derive(Debug, Clone, PartialEq)]
pub enum StatementKind {
    /// `let name = value`; a function is an [`ExprKind::Lambda`].
    Let { name: Name, value: Expr },
    /// `set option [= value]`.
    Set { name: Name, value: Option<Expr> },
    /// `declare query_parameters (…)`.
    DeclareParameters(Vec<ParamDecl>),
    /// `declare pattern name`, without its queries.
    DeclarePattern,
    /// `declare pattern name = (params)[path] { … }`.
    Pattern(PatternDecl),
    /// `alias database name = cluster(…).database(…)`.
    Alias { name: Name, value: Expr },
    /// `restrict access to (…)`.
    Restrict(Vec<Expr>),
    /// A query: a tabular expression (or a bare call).
    Query(Expr),
}

/// A declared pattern: queries that constant arguments choose from.
#[derive(Debug, Clone, PartialEq)]
pub struct PatternDecl {
    /// Name.
    pub name: Name,
    /// Parameters, chosen by in parentheses.
    pub params: Vec<ParamDecl>,
    /// `[path: string]`: a parameter that is behind a dot.
    pub path: Option<ParamDecl>,
    /// `("a").["b"] = { query }`, in the order written.
    pub arms: Vec<PatternArm>,
}

/// One query of a pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct PatternArm {
    /// The arguments that choose it, as literals.
    pub args: Vec<Expr>,
    /// The path that chooses it.
    pub path: Option<Expr>,
    /// The query.
    pub body: Script,
    /// Arguments and path.
    pub span: Span,
}

/// A declared parameter of a function or a query.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamDecl {
    /// Name.
    pub name: Name,
    /// Scalar type, or a table's shape.
    pub ty: ParamType,
    /// `= literal`.
    pub default: Option<Expr>,
}

/// The type of a declared parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum ParamType {
    /// `a: long`.
    Scalar(Type),
    /// `T: (a: long, …)`; `open` for `T: (*)`.
    Table { columns: Vec<ColumnDecl>, open: bool },
}

/// `name: type` in a schema.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnDecl {
    /// Name.
    pub name: Name,
    /// Type.
    pub ty: Type,
}

/// An expression and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it is, parentheses included.
    pub span: Span,
}

impl Expr {
    /// One value, or several as a call of the empty name: the value of an option that takes a list.
    pub(crate) fn one_or_list(mut values: Vec<Expr>) -> Expr {
        if values.len() == 1
            && let Some(value) = values.pop()
        {
            return value;
        }
        let span = match (values.first(), values.last()) {
            (Some(first), Some(last)) => first.span.to(last.span),
            _ => Span::default(),
        };
        let function = Name { text: String::new(), span: Span { start: span.start, end: span.start } };
        let args = values.into_iter().map(|expr| Arg { name: None, expr }).collect();
        Expr { kind: ExprKind::Call { function, args }, span }
    }
}

/// The kinds of expression.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// A literal of any type.
    Literal(Literal),
    /// A bare or bracketed name: a column, a `let`, a table, a function without arguments.
    Name(Name),
    /// A name with wildcards (`App*`), where the grammar allows one.
    Wildcard(Name),
    /// `base.field`.
    Path { base: Box<Expr>, field: Name },
    /// `base[index]`.
    Index { base: Box<Expr>, index: Box<Expr> },
    /// `f(a, b, name = c)`, also `database('x')`, `toscalar(T | …)`, `materialize(…)`.
    Call { function: Name, args: Vec<Arg> },
    /// `base.f(args)` after `cluster(…)`, `database(…)` and the like.
    MethodCall { base: Box<Expr>, function: Box<Name>, args: Vec<Arg> },
    /// `-x`, `+x`.
    Unary { op: UnaryOp, expr: Box<Expr> },
    /// `a op b`.
    Binary { op: BinaryOp, left: Box<Expr>, right: Box<Expr> },
    /// `a or b or c` and `a and b and c` as one flat list, so that a long chain is no deep tree.
    Logical { and: bool, terms: Vec<Expr> },
    /// `x in (…)`, `!in`, `in~`, `!in~`, `has_any`, `has_all`.
    List { op: ListOp, left: Box<Expr>, items: Vec<Expr> },
    /// `x between (low .. high)`.
    Between { negated: bool, expr: Box<Expr>, low: Box<Expr>, high: Box<Expr> },
    /// `*` as an argument or as the left side of an operator.
    Star,
    /// `typeof(type)`, or `typeof(name: type, …)`.
    TypeOf(TypeOf),
    /// `(names) = expr` and `Name = expr` inside a call's argument: a name buried in an expression.
    Named { name: Name, expr: Box<Expr> },
    /// A source and the operators behind it.
    Pipe { source: Box<Expr>, operators: Vec<Operator> },
    /// An operator that comes first: `print`, `range`, `datatable`, `union`, `search`, `find`, `evaluate`, `externaldata`, …
    Source(Box<Operator>),
    /// Operators without a source: the body of `mv-apply … on (…)`, `partition by … (…)`, `fork (…)`.
    Operators(Vec<Operator>),
    /// `(params) { body }`, `view () { … }`, `{ … }`.
    Lambda { params: Vec<ParamDecl>, body: Box<Script>, view: bool },
    /// `datetime(…)` and the like around what is no literal of the type: a value that cannot be known. The span is that of what
    /// is inside.
    Unread { ty: Type, content: Box<str> },
    /// What recovery put where nothing could be read; a diagnostic was given.
    Error,
}

/// A call's argument.
#[derive(Debug, Clone, PartialEq)]
pub struct Arg {
    /// `name = `, when written.
    pub name: Option<Name>,
    /// The value.
    pub expr: Expr,
}

/// The content of `typeof(…)`.
#[derive(Debug, Clone, PartialEq)]
pub enum TypeOf {
    /// One scalar type.
    Scalar(Type),
    /// A schema.
    Schema(Vec<ColumnDecl>),
    /// A schema that begins with `*` (all columns of the input) and continues with these.
    StarSchema(Vec<ColumnDecl>),
}

/// A literal value.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// `true`, `bool(null)`.
    Bool(Option<bool>),
    /// `int(1)`.
    Int(Option<i32>),
    /// `1`, `0x1F`, `long(null)`.
    Long(Option<i64>),
    /// `1.5`, `real(nan)`.
    Real(Option<f64>),
    /// `decimal(1.5)`, as the digits written.
    Decimal(Option<String>),
    /// `"…"`, with escapes resolved.
    String(String),
    /// `datetime(…)`: ticks of 100 ns since 0001-01-01. `datetime()` (now) is a call of `now`.
    DateTime(Option<i64>),
    /// `1d`, `time(…)`: ticks of 100 ns.
    TimeSpan(Option<i64>),
    /// `guid(…)`, in lower case with dashes.
    Guid(Option<String>),
    /// `dynamic(…)`; JSON null is `Json::Null`.
    Dynamic(Box<Json>),
}

impl Literal {
    /// The literal's type.
    pub fn ty(&self) -> Type {
        match self {
            Literal::Bool(_) => Type::Bool,
            Literal::Int(_) => Type::Int,
            Literal::Long(_) => Type::Long,
            Literal::Real(_) => Type::Real,
            Literal::Decimal(_) => Type::Decimal,
            Literal::String(_) => Type::String,
            Literal::DateTime(_) => Type::DateTime,
            Literal::TimeSpan(_) => Type::TimeSpan,
            Literal::Guid(_) => Type::Guid,
            Literal::Dynamic(_) => Type::Dynamic,
        }
    }
}

/// Prefix operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnaryOp {
    /// `-x`
    Minus,
    /// `+x`
    Plus,
}

/// Infix operators of two operands. The string operators carry their negation and case rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Modulo,
    /// `==`
    Equal,
    /// `!=`, `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `=~` and, negated, `!~`
    EqualIgnoreCase { negated: bool },
    /// `has`, `contains`, `startswith`, … and their `!` and `_cs` forms.
    Text { op: TextOp, negated: bool, case_sensitive: bool },
    /// `matches regex`
    MatchesRegex,
    /// `:` of `search`: has on a column.
    SearchColon,
}

/// The string-search operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextOp {
    /// `has`: a whole term.
    Has,
    /// `hasprefix`: a term's start.
    HasPrefix,
    /// `hassuffix`: a term's end.
    HasSuffix,
    /// `contains`
    Contains,
    /// `startswith`
    StartsWith,
    /// `endswith`
    EndsWith,
}

/// Operators whose right side is a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListOp {
    /// `in`, `!in`, `in~`, `!in~`
    In { negated: bool, ignore_case: bool },
    /// `has_any`
    HasAny,
    /// `has_all`
    HasAll,
}

/// `expr`, `name = expr` or `(a, b) = expr`.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedExpr {
    /// The names written in front; empty when none. More than one only for `(a, b) = …`.
    pub names: Vec<Name>,
    /// True when the names were written in parentheses.
    pub tuple: bool,
    /// The expression.
    pub expr: Expr,
}

/// `name = value` options of an operator: `hint.strategy = shuffle`, `kind = inner`, `with_itemindex = i`, `title = "…"`.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// Name, dots included.
    pub name: Name,
    /// Value: a literal or a bare name (and a list of names for `ycolumns = a, b`, as a `Call` of the empty name).
    pub value: Expr,
}

/// A tabular operator and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Operator {
    /// What it is.
    pub kind: OperatorKind,
    /// `kind=`, `hint.*`, `withsource=` and other options in front of the operator's own arguments.
    pub properties: Vec<Property>,
    /// The operator's keyword.
    pub keyword: Span,
    /// All of it.
    pub span: Span,
}

impl Operator {
    /// The value of an option, by exact name.
    pub fn property(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|p| p.name.text == name)
    }
}

/// A sort key: `expr [asc|desc] [nulls first|last]`.
#[derive(Debug, Clone, PartialEq)]
pub struct SortKey {
    /// The key.
    pub expr: NamedExpr,
    /// `asc` true, `desc` false, `None` as the operator's default.
    pub ascending: Option<bool>,
    /// `nulls first` true, `nulls last` false.
    pub nulls_first: Option<bool>,
}

/// A column of `project-reorder`: a name or wildcard, and an order for what a wildcard matches.
#[derive(Debug, Clone, PartialEq)]
pub struct ReorderItem {
    /// A [`ExprKind::Name`] or [`ExprKind::Wildcard`].
    pub name: Expr,
    /// `asc`, `desc`, `granny-asc`, `granny-desc`.
    pub order: Option<Name>,
}

/// One expanded column of `mv-expand` or `mv-apply`.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpandItem {
    /// What is expanded, with its name when given.
    pub expr: NamedExpr,
    /// `to typeof(…)`.
    pub to: Option<Type>,
}

/// A piece of a `parse` pattern.
#[derive(Debug, Clone, PartialEq)]
pub enum ParsePart {
    /// `"text"`: literal text, or a regular expression for `kind=regex`.
    Text(String, Span),
    /// `*`
    Skip(Span),
    /// `name[: type]`
    Column { name: Name, ty: Option<Type> },
}

/// An aggregate of `make-series` with its default.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesItem {
    /// The aggregate.
    pub expr: NamedExpr,
    /// `default = value`.
    pub default: Option<Expr>,
}

/// The axis of `make-series`.
#[derive(Debug, Clone, PartialEq)]
pub enum SeriesRange {
    /// `[from a] [to b] step s`.
    Step { from: Option<Expr>, to: Option<Expr>, step: Expr },
    /// `in range(a, b, s)`: the stop belongs to the range.
    InRange { start: Expr, stop: Expr, step: Expr },
}

/// A level of `top-nested`.
#[derive(Debug, Clone, PartialEq)]
pub struct NestedLevel {
    /// How many; all when absent.
    pub count: Option<Expr>,
    /// `of expr`.
    pub of: NamedExpr,
    /// `with others = expr`.
    pub others: Option<Expr>,
    /// `by aggregate`.
    pub by: NamedExpr,
    /// `asc` true; default desc.
    pub ascending: Option<bool>,
}

/// A step of `scan`.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanStep {
    /// Name.
    pub name: Name,
    /// `optional`.
    pub optional: bool,
    /// `output = all|last|none`.
    pub output: Option<Name>,
    /// `: condition`.
    pub condition: Expr,
    /// `=> column = expr, …`.
    pub assignments: Vec<(Name, Expr)>,
}

/// A column declared by `scan declare (…)`.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanColumn {
    /// Name and type.
    pub column: ColumnDecl,
    /// `= default`.
    pub default: Option<Expr>,
}

/// The tabular operators. What would make one far greater than the others is boxed: a tree is mostly operators.
#[derive(Debug, Clone, PartialEq)]
pub enum OperatorKind {
    /// `where`, `filter`
    Where(Expr),
    /// `project`
    Project(Vec<NamedExpr>),
    /// `extend`
    Extend(Vec<NamedExpr>),
    /// `project-away`: names and wildcards
    ProjectAway(Vec<Expr>),
    /// `project-keep`
    ProjectKeep(Vec<Expr>),
    /// `project-by-names`: expressions that give names and patterns
    ProjectByNames(Vec<Expr>),
    /// `project-rename new = old`
    ProjectRename(Vec<(Name, Expr)>),
    /// `project-reorder`
    ProjectReorder(Vec<ReorderItem>),
    /// `summarize aggregates by keys`
    Summarize { aggregates: Vec<NamedExpr>, by: Vec<NamedExpr> },
    /// `sort`, `order`
    Sort(Vec<SortKey>),
    /// `top n by key`
    Top { count: Expr, keys: Vec<SortKey> },
    /// `take`, `limit`
    Take(Expr),
    /// `distinct`; `*` is one [`ExprKind::Star`]
    Distinct(Vec<NamedExpr>),
    /// `count [as name]`
    Count(Option<Name>),
    /// `print`
    Print(Vec<NamedExpr>),
    /// `range column from a to b step s`
    Range { column: Name, from: Box<Expr>, to: Box<Expr>, step: Box<Expr> },
    /// `datatable (schema) [values]`
    Datatable { columns: Vec<ColumnDecl>, values: Vec<Expr> },
    /// `externaldata (schema) [uris] with (…)`: the `with` options are among the properties
    ExternalData { columns: Vec<ColumnDecl>, uris: Vec<Expr> },
    /// `join kind=… (right) on conditions`
    Join { right: Expr, on: Vec<Expr> },
    /// `lookup kind=… (right) on conditions`
    Lookup { right: Expr, on: Vec<Expr> },
    /// `union tables`
    Union(Vec<Expr>),
    /// `mv-expand` and, with `legacy`, `mvexpand`
    MvExpand { items: Vec<ExpandItem>, limit: Option<Expr>, legacy: bool },
    /// `mv-apply items [limit n] [id name] on (body)`
    MvApply { items: Vec<ExpandItem>, limit: Option<Box<Expr>>, id: Option<Box<Expr>>, body: Box<Expr> },
    /// `parse` and, with `filter`, `parse-where`; `kind=` and `flags=` are among the properties
    Parse { expr: Expr, pattern: Vec<ParsePart>, filter: bool },
    /// `parse-kv expr as (columns) with (options)`
    ParseKv { expr: Expr, columns: Vec<ColumnDecl> },
    /// `make-series`
    MakeSeries { items: Vec<SeriesItem>, axis: Box<NamedExpr>, range: Box<SeriesRange>, by: Vec<NamedExpr> },
    /// `top-nested`
    TopNested(Vec<NestedLevel>),
    /// `top-hitters n of expr by weight`
    TopHitters { count: Box<Expr>, of: Box<NamedExpr>, by: Option<Box<NamedExpr>> },
    /// `sample n`
    Sample(Expr),
    /// `sample-distinct n of expr`
    SampleDistinct { count: Box<Expr>, of: Box<NamedExpr> },
    /// `serialize`
    Serialize(Vec<NamedExpr>),
    /// `partition by column (body)`; also `{ query }` bodies
    Partition { by: Name, body: Box<Expr>, scope: Option<Box<Expr>> },
    /// `scan declare (…) with (steps)`; `with_match_id`, `partition by`, `order by` as read
    Scan { partition_by: Vec<Expr>, order_by: Vec<SortKey>, declare: Vec<ScanColumn>, steps: Vec<ScanStep> },
    /// `search`
    Search { tables: Vec<Expr>, predicate: Expr },
    /// `find`
    Find { tables: Vec<Expr>, predicate: Option<Box<Expr>>, project: Vec<FindColumn>, project_away: Vec<Expr>, smart: bool },
    /// `fork`: named or unnamed branches
    Fork(Vec<(Option<Name>, Expr)>),
    /// `facet by columns with (body)`
    Facet { by: Vec<Expr>, with: Option<Expr> },
    /// `invoke f(args)`
    Invoke(Expr),
    /// `evaluate plugin(args) [: (schema)]`
    Evaluate { call: Expr, schema: Option<TypeOf> },
    /// `reduce by expr with (…)`
    Reduce { by: Box<NamedExpr> },
    /// `as name`
    As(Name),
    /// `consume`
    Consume,
    /// `getschema`
    GetSchema,
    /// `render kind with (properties)`
    Render(Name),
    /// `make-graph source --> target with nodes on key`; `with_node_id` is among the properties
    MakeGraph { source: Name, target: Name, nodes: Vec<GraphNodes> },
    /// `graph-match`, `graph-shortest-paths`
    GraphSearch(Box<GraphSearch>),
    /// `graph-to-table`
    GraphToTable(Vec<GraphTable>),
    /// `graph-mark-components`
    GraphMarkComponents,
    /// `graph-where-nodes`, `graph-where-edges`
    GraphWhere { nodes: bool, predicate: Expr },
    /// An operator of the documented language that is read but not supported: `assert-schema`, `macro-expand`, …
    Unsupported(String),
}

/// A column of `find … project`.
#[derive(Debug, Clone, PartialEq)]
pub enum FindColumn {
    /// `name[: type]`
    Column { name: Name, ty: Option<Type> },
    /// `pack(*)`
    Pack,
}
