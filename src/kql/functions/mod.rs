//! The registry of KQL functions: what each is called, takes, gives, how its result column is named, and how it is computed.
//!
//! A family of functions is one file with a `FUNCTIONS` (or `AGGREGATES`) table; `scalar::families` and
//! `aggregate::families` list the files. The binder checks calls against these tables, lowering turns an entry into a
//! DataFusion expression, and `docs/kql-support.md` is generated from them.

pub(crate) mod aggregate;
pub(crate) mod asked_for;
pub(crate) mod codec;
pub(crate) mod constants;
pub(crate) mod externaldata;
pub(crate) mod folding;
pub(crate) mod ingestion_mapping;
pub(crate) mod interner;
pub(crate) mod ip_location;
pub(crate) mod kernels;
pub(crate) mod make_series;
pub(crate) mod parse_pattern;
pub(crate) mod per_key;
pub(crate) mod plugins;
pub(crate) mod regex_syntax;
pub(crate) mod scalar;
pub(crate) mod sketch;
pub(crate) mod text;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::array::ArrayRef;

use kqlake_value::columns::ColumnBuilder;
use kqlake_value::{Type, Value, ValueRef};

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgType {
    /// Any scalar.
    Any,
    /// string only (a dynamic is refused).
    String,
    /// string, or a dynamic read as its text.
    StringOrDynamic,
    /// bool (a dynamic is refused).
    Bool,
    /// int or long.
    Integer,
    /// int, long, real or decimal.
    Number,
    /// A number, or a dynamic converted as what it holds.
    NumberOrDynamic,
    /// Number, datetime or timespan.
    Summable,
    /// Number, datetime, timespan, string or bool: what has an order.
    Orderable,
    /// datetime (a string literal is converted).
    DateTime,
    /// timespan.
    TimeSpan,
    /// datetime or timespan.
    DateTimeOrTimeSpan,
    /// dynamic.
    Dynamic,
    /// guid.
    Guid,
    /// `typeof(type)`; the argument's value is the type's name as a string.
    TypeLiteral,
    /// The same type as the first argument of kind `Same` (int and long, and numbers, widen to their widest).
    Same,
    /// One of these types.
    OneOf(&'static [Type]),
}

/// A parameter of a function.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// Name, for named arguments, messages and documentation.
    pub name: &'static str,
    /// What it takes.
    pub kind: ArgType,
    /// May be left out. Optional parameters follow the required ones.
    pub optional: bool,
    /// Must be known before the query runs.
    pub constant: bool,
}

impl Param {
    /// A required parameter.
    pub(crate) const fn req(name: &'static str, kind: ArgType) -> Param {
        Param { name, kind, optional: false, constant: false }
    }
    /// An optional parameter.
    pub(crate) const fn opt(name: &'static str, kind: ArgType) -> Param {
        Param { name, kind, optional: true, constant: false }
    }
    /// The same, but it must be a constant.
    pub(crate) const fn constant(self) -> Param {
        Param { constant: true, ..self }
    }
}

/// What the binder knows of an argument.
#[derive(Debug, Clone)]
pub(crate) struct ArgInfo {
    /// Type.
    pub ty: Type,
    /// Value, when it is a constant.
    pub constant: Option<Value>,
}

/// The type of a result.
#[derive(Clone, Copy)]
pub(crate) enum Returns {
    /// Always this type.
    Type(Type),
    /// The type of the argument at this place.
    Arg(usize),
    /// The widest type of all arguments of kind `Same`.
    Same,
    /// Computed from the arguments; the error is the reason of a refusal.
    With(fn(&[ArgInfo]) -> Result<Type, String>),
    /// Several columns: `(suffix, type)` each. Such a function gives a dynamic array of the columns' values, and
    /// `extend f(y)` makes the columns `f_y_suffix`, `extend (a, b) = f(y)` the columns a and b.
    Columns(&'static [(&'static str, Type)]),
    /// One dynamic column for each dynamic argument, named after it and this suffix (`x_sorted`; an argument without a name
    /// is `array0`, `array1`, … by its place). With a single dynamic argument the function gives the value itself, with
    /// several a dynamic array of the columns' values, as for `Columns`.
    ColumnEach(&'static str),
}

/// How an unnamed result column is named (`reference: column naming`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// `Column1`, `Column2`, …
    Generated,
    /// The name of the first argument, if that has one (`tostring(x)` → `x`).
    FirstArg,
    /// A prefix and the name of the first argument (`strlen_x`); for aggregates `prefix_` even when the argument has no name.
    Prefix(&'static str),
    /// A prefix and the names of the first two arguments (`covariance_x_y`).
    PrefixOfTwo(&'static str),
    /// The first argument's name and a suffix (`x_sorted`).
    Suffix(&'static str),
    /// Always this name.
    Fixed(&'static str),
}

/// A row-wise function with its constants prepared: called once for each row, in the order of the rows.
pub(crate) type RowFn = Box<dyn Fn(&[ValueRef<'_>]) -> Value + Send + Sync>;

/// A function over whole columns with its constants prepared: the argument columns and the number of rows in, the result
/// column (in the Arrow form of the result type) out.
pub(crate) type ColumnFn = Box<dyn Fn(&[ArrayRef], usize) -> Result<ArrayRef, String> + Send + Sync>;

/// How a scalar function is computed. Null handling is each function's own; strings are never null.
#[derive(Clone, Copy)]
pub(crate) enum ScalarImpl {
    /// One call for each row.
    Row(fn(&[ValueRef<'_>]) -> Value),
    /// One call for each row, for string and dynamic results: the result's text (JSON text for dynamic) is appended to the
    /// buffer. False makes the row null (for string: empty) and drops what was appended.
    Text(fn(&[ValueRef<'_>], &mut String) -> bool),
    /// Patterns, needles and the like are compiled once a query from the constant arguments (`None` where an argument is
    /// no constant; the closure must then work from its row values). The error refuses the query.
    Prepared(fn(&[ArgInfo], Type) -> Result<RowFn, String>),
    /// Over whole columns, for what must be fast: arrays of one length in the argument types' Arrow form in, one in the Arrow
    /// form of the result type out. Chosen and prepared once a query from the arguments' types and constants, since Arrow
    /// types alone do not tell a timespan from a long or a dynamic from a string. A constant argument is read from its
    /// `ArgInfo`; its array is never read and may be of any length.
    Kernel(fn(&[ArgInfo], Type) -> Result<ColumnFn, String>),
    /// The binder or lowering builds it from other expressions (operators, `iff`, `case`, `now`, …).
    Special,
    /// Over rows in an order.
    Window(WindowFn),
    /// Known and refused by name.
    Unsupported(&'static str),
}

/// A function over rows in an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WindowFn {
    /// The row's number.
    RowNumber,
    /// The value some rows before.
    Prev,
    /// The value some rows behind.
    Next,
    /// The sum up to the row.
    RowCumsum,
    /// How many different values there were up to the row.
    RowRankDense,
    /// The number of the first row with the row's value.
    RowRankMin,
    /// The first value of the row's session.
    RowWindowSession,
}

/// What the binder and lowering know of a function beside its computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Converts its argument to the result's type; a value of that type stays as it is.
    Conversion,
    /// True for null, or for all but null.
    Null(bool),
    /// True for null and the empty text, or for all but these.
    Empty(bool),
}

/// A scalar function of the language.
#[derive(Clone, Copy)]
pub struct ScalarFn {
    /// Name.
    pub name: &'static str,
    /// Other names for the same.
    pub(crate) aliases: &'static [&'static str],
    /// Parameters.
    pub params: &'static [Param],
    /// The last parameter may repeat (any number of times, zero included if it is optional).
    pub variadic: bool,
    /// Result type.
    pub(crate) returns: Returns,
    /// Result column's name.
    pub(crate) naming: Naming,
    /// True when two calls with the same arguments may differ (`rand`, `new_guid`).
    pub volatile: bool,
    /// What it means, where that helps to plan it.
    pub(crate) meaning: Option<Meaning>,
    /// The naming of a call with several arguments, where it is another.
    pub(crate) naming_of_several: Option<Naming>,
    /// A lone `*` stands for all columns.
    pub(crate) takes_all_columns: bool,
    /// The type that Microsoft's language service shows, where its engine gives another.
    pub(crate) shown: Option<fn(&[ArgInfo]) -> Option<Type>>,
    /// Where its answers are others than Kusto's: what each use of it is warned of.
    pub(crate) caution: Option<&'static str>,
    /// How it is computed.
    pub(crate) imp: ScalarImpl,
    /// One sentence for `kqlake functions` and the support page.
    pub(crate) doc: &'static str,
}

impl ScalarFn {
    /// An entry with the usual answers: no aliases, not variadic, generated name, not volatile.
    pub(crate) const fn new(
        name: &'static str,
        params: &'static [Param],
        returns: Returns,
        imp: ScalarImpl,
        doc: &'static str,
    ) -> ScalarFn {
        ScalarFn {
            name,
            aliases: &[],
            params,
            variadic: false,
            returns,
            naming: Naming::Generated,
            volatile: false,
            meaning: None,
            naming_of_several: None,
            takes_all_columns: false,
            shown: None,
            caution: None,
            imp,
            doc,
        }
    }
    /// Why it is refused; `None` where it runs.
    pub fn refusal(&self) -> Option<&'static str> {
        match self.imp {
            ScalarImpl::Unsupported(why) => Some(why),
            _ => None,
        }
    }
    /// True for a function of several columns.
    pub fn gives_several(&self) -> bool {
        matches!(self.returns, Returns::Columns(_) | Returns::ColumnEach(_))
    }
    /// What arguments are fitted to.
    pub(crate) fn signature(&self) -> Signature {
        let ScalarFn { name, params, variadic, returns, shown, .. } = *self;
        Signature { name, params, variadic, returns, shown }
    }
    /// With another naming rule for calls with several arguments.
    pub(crate) const fn naming_of_several(self, naming: Naming) -> ScalarFn {
        ScalarFn { naming_of_several: Some(naming), ..self }
    }
    /// A lone `*` stands for all columns.
    pub(crate) const fn takes_all_columns(self) -> ScalarFn {
        ScalarFn { takes_all_columns: true, ..self }
    }
    /// With another type that Microsoft's language service shows.
    pub(crate) const fn shown(self, shown: fn(&[ArgInfo]) -> Option<Type>) -> ScalarFn {
        ScalarFn { shown: Some(shown), ..self }
    }
    /// With other names.
    pub(crate) const fn aliases(self, aliases: &'static [&'static str]) -> ScalarFn {
        ScalarFn { aliases, ..self }
    }
    /// With a repeating last parameter.
    pub(crate) const fn variadic(self) -> ScalarFn {
        ScalarFn { variadic: true, ..self }
    }
    /// With another naming rule.
    pub(crate) const fn naming(self, naming: Naming) -> ScalarFn {
        ScalarFn { naming, ..self }
    }
    /// Volatile.
    pub(crate) const fn volatile(self) -> ScalarFn {
        ScalarFn { volatile: true, ..self }
    }
    /// With a warning for each use.
    pub(crate) const fn caution(self, caution: &'static str) -> ScalarFn {
        ScalarFn { caution: Some(caution), ..self }
    }
    /// With a meaning that helps to plan it.
    pub(crate) const fn meaning(self, meaning: Meaning) -> ScalarFn {
        ScalarFn { meaning: Some(meaning), ..self }
    }
}

impl std::fmt::Debug for ScalarFn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ScalarFn({})", self.name)
    }
}

/// The running state of a row-wise aggregate.
pub(crate) trait Accumulate: Send + Sync + std::fmt::Debug {
    /// Takes one row's arguments.
    fn update(&mut self, args: &[ValueRef<'_>]);
    /// The state as bytes that `merge` of another instance reads.
    fn state(&self) -> Vec<u8>;
    /// Takes another instance's state.
    fn merge(&mut self, state: &[u8]);
    /// The result.
    fn finish(&self) -> Value;
    /// Appends the result to a column; for states that hold it in the column's form already.
    fn finish_into(&self, out: &mut ColumnBuilder) {
        out.push(&self.finish());
    }
    /// Bytes held, for the memory limit.
    fn size(&self) -> usize;
}

/// How an aggregate is computed.
#[derive(Clone, Copy)]
pub(crate) enum AggregateImpl {
    /// Row by row; created for each group from the constant arguments and the result type.
    Rows(fn(&[ArgInfo], Type) -> Result<Box<dyn Accumulate>, String>),
    /// Lowering maps it to a DataFusion aggregate.
    Native(NativeAggregate),
    /// Known and refused by name.
    Unsupported(&'static str),
}

/// An aggregate that DataFusion computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NativeAggregate {
    /// Number of rows.
    Count,
    /// Sum.
    Sum,
    /// Mean.
    Avg,
    /// Least value.
    Min,
    /// Greatest value.
    Max,
}

/// What the arguments of a call are fitted to.
#[derive(Clone, Copy)]
pub(crate) struct Signature {
    /// The function's name.
    pub name: &'static str,
    /// Parameters.
    pub params: &'static [Param],
    /// The last parameter may repeat.
    pub variadic: bool,
    /// Result type.
    pub returns: Returns,
    /// See [`ScalarFn::shown`].
    pub shown: Option<fn(&[ArgInfo]) -> Option<Type>>,
}

/// The columns that one call of an aggregate gives to `summarize`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gives {
    /// One value.
    Value,
    /// The extreme of the first argument, then the other arguments in its row; `*` is all columns. In the older form their names
    /// begin with the extreme's.
    RowOfExtreme {
        /// The greatest value, not the least.
        greatest: bool,
        /// The older form.
        older: bool,
    },
    /// The arguments in some row; `*` is all columns. In the older form a lone argument is one value, and names begin with `any_`.
    SomeRow {
        /// The older form.
        older: bool,
    },
    /// A column for each percentage behind the value (and its weight), named after it: that of the aggregate of one percentage.
    EachPercentage {
        /// The aggregate of one percentage.
        of: &'static str,
        /// A weight is behind the value.
        weighted: bool,
    },
}

/// What `pivot` shows where an aggregate has no rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OfNoRows {
    /// Null.
    Null,
    /// Zero.
    Zero,
    /// An empty array.
    EmptyArray,
}

/// An aggregate function of the language.
#[derive(Clone, Copy)]
pub(crate) struct AggregateFn {
    /// Name.
    pub name: &'static str,
    /// Other names for the same.
    pub aliases: &'static [&'static str],
    /// Parameters (without the predicate of an `…if` form).
    pub params: &'static [Param],
    /// The last parameter may repeat.
    pub variadic: bool,
    /// Result type. `Returns::Columns` is not used here: see `gives`.
    pub returns: Returns,
    /// Result column's name.
    pub naming: Naming,
    /// For `…if` forms: the place of the predicate among the written arguments. Rows where it is not true are left out.
    pub predicate: Option<usize>,
    /// The result depends on the order of the rows (`make_list`); lowering passes them in the input's order.
    pub ordered: bool,
    /// What `pivot` shows for a combination without rows.
    pub of_no_rows: OfNoRows,
    /// The columns that a call gives to `summarize`.
    pub gives: Gives,
    /// How it is computed.
    pub imp: AggregateImpl,
    /// One sentence for `kqlake functions` and the support page.
    pub doc: &'static str,
}

impl AggregateFn {
    /// An entry with the usual answers.
    pub(crate) const fn new(
        name: &'static str,
        params: &'static [Param],
        returns: Returns,
        naming: Naming,
        imp: AggregateImpl,
        doc: &'static str,
    ) -> AggregateFn {
        let (predicate, of_no_rows, gives) = (None, OfNoRows::Null, Gives::Value);
        AggregateFn {
            name,
            aliases: &[],
            params,
            variadic: false,
            returns,
            naming,
            predicate,
            ordered: false,
            of_no_rows,
            gives,
            imp,
            doc,
        }
    }
    /// With other names.
    pub(crate) const fn aliases(self, aliases: &'static [&'static str]) -> AggregateFn {
        AggregateFn { aliases, ..self }
    }
    /// With a repeating last parameter.
    pub(crate) const fn variadic(self) -> AggregateFn {
        AggregateFn { variadic: true, ..self }
    }
    /// An `…if` form whose predicate is at this place.
    pub(crate) const fn predicate(self, place: usize) -> AggregateFn {
        AggregateFn { predicate: Some(place), ..self }
    }
    /// Sensitive to the order of rows.
    pub(crate) const fn ordered(self) -> AggregateFn {
        AggregateFn { ordered: true, ..self }
    }
    /// What arguments are fitted to.
    pub(crate) fn signature(&self) -> Signature {
        let AggregateFn { name, params, variadic, returns, .. } = *self;
        Signature { name, params, variadic, returns, shown: None }
    }
    /// With other columns than one value.
    pub(crate) const fn gives(self, gives: Gives) -> AggregateFn {
        AggregateFn { gives, ..self }
    }
    /// With another value than null of no rows.
    pub(crate) const fn of_no_rows(self, of_no_rows: OfNoRows) -> AggregateFn {
        AggregateFn { of_no_rows, ..self }
    }
}

impl std::fmt::Debug for AggregateFn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AggregateFn({})", self.name)
    }
}

/// All functions by name and alias.
pub struct Registry {
    scalars: HashMap<&'static str, &'static ScalarFn>,
    aggregates: HashMap<&'static str, &'static AggregateFn>,
}

static REGISTRY: LazyLock<Arc<Registry>> = LazyLock::new(|| {
    let mut registry = Registry { scalars: HashMap::new(), aggregates: HashMap::new() };
    for function in scalar::families().iter().flat_map(|f| f.iter()) {
        for name in std::iter::once(&function.name).chain(function.aliases) {
            registry.scalars.insert(name, function);
        }
    }
    for function in aggregate::families().iter().flat_map(|f| f.iter()) {
        for name in std::iter::once(&function.name).chain(function.aliases) {
            registry.aggregates.insert(name, function);
        }
    }
    Arc::new(registry)
});

impl Registry {
    /// The registry of the whole language.
    pub fn get() -> &'static Registry {
        &REGISTRY
    }
    /// A scalar function by name or alias.
    pub fn scalar(&self, name: &str) -> Option<&'static ScalarFn> {
        self.scalars.get(name).copied()
    }
    /// An aggregate by name or alias.
    pub(crate) fn aggregate(&self, name: &str) -> Option<&'static AggregateFn> {
        self.aggregates.get(name).copied()
    }
    /// Names and aliases of all scalar functions.
    pub fn scalar_names(&self) -> impl Iterator<Item = &'static str> {
        self.scalars.keys().copied()
    }
    /// Names and aliases of all aggregates.
    pub(crate) fn aggregate_names(&self) -> impl Iterator<Item = &'static str> {
        self.aggregates.keys().copied()
    }
}
