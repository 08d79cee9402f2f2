//! Functions as the planner of SQL sees them: each says that its value is a timespan where its arguments are.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue, plan_err};
use datafusion::execution::{FunctionRegistry as _, SessionState};
use datafusion::functions::core::coalesce;
use datafusion::logical_expr::expr::{
    AggregateFunction, AggregateFunctionParams, Case, ScalarFunction, WindowFunctionDefinition, WindowFunctionParams,
};
use datafusion::logical_expr::function::{AccumulatorArgs, PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, Expr, ExprSchemable as _, PartitionEvaluator, ReturnFieldArgs,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, WindowUDF, WindowUDFImpl, cast, lit,
};

use super::{beside, is_span, noted, said, second};
use crate::engine::sql::times;
use kqlake_kql::{Argument, bind_scalar, parameter};
use kqlake_value::Type;
use kqlake_value::columns::{noted_type, stored_field};

/// Aggregates that give a value of their first argument's kind, also as window functions.
const AGGREGATES: [&str; 12] = [
    "stddev",
    "stddev_pop",
    "sum",
    "avg",
    "min",
    "max",
    "median",
    "approx_median",
    "approx_percentile_cont",
    "percentile_cont",
    "first_value",
    "last_value",
];
/// Aggregates that are not taken of timespans: their values are none, and neither are they numbers that say what they count.
const NOT_OF_SPANS: [&str; 5] = ["var", "var_pop", "covar_samp", "covar_pop", "array_agg"];
/// Window functions that do.
const WINDOWS: [&str; 5] = ["first_value", "last_value", "nth_value", "lag", "lead"];
/// Functions that give a value of the kind of all of their arguments.
const SCALARS: [&str; 10] = ["coalesce", "nullif", "nvl", "greatest", "least", "abs", "round", "ceil", "floor", "trunc"];

/// `CASE` without and with ELSE, and the same with an operand. No text of a user calls them so by chance.
pub(super) const CASES: [&str; 4] = ["case when", "case when else", "case of", "case of else"];
/// The value of a cast, which is no timespan any more.
pub(super) const PLAIN: &str = "cast of";
/// The value of a cast to a text.
pub(super) const TEXT: &str = "cast to text of";

/// Puts the shells in the place of the functions of a session that plans, and runs nothing.
///
/// # Errors
/// A function cannot be registered.
pub(in crate::engine::sql) fn register(state: &mut SessionState) -> Result<()> {
    for inner in AGGREGATES
        .iter()
        .chain(&NOT_OF_SPANS)
        .filter_map(|name| state.aggregate_functions().get(*name).cloned())
        .collect::<Vec<_>>()
    {
        state.register_udaf(Arc::new(AggregateUDF::from(AggregateShell(inner))))?;
    }
    for inner in WINDOWS.iter().filter_map(|name| state.window_functions().get(*name).cloned()).collect::<Vec<_>>() {
        state.register_udwf(Arc::new(WindowUDF::from(WindowShell(inner))))?;
    }
    let mut shells = Vec::new();
    let scalars = SCALARS.map(|name| (name, Kind::Same as fn(Arc<ScalarUDF>) -> Kind));
    for (name, kind) in scalars.into_iter().chain([("date_part", Kind::Part as fn(Arc<ScalarUDF>) -> Kind)]) {
        let Some(inner) = state.scalar_functions().get(name) else { continue };
        shells.push((name.to_owned(), kind(Arc::clone(inner))));
        shells.extend(inner.aliases().iter().map(|alias| (alias.clone(), kind(Arc::clone(inner)))));
    }
    for (name, (operand, otherwise)) in CASES.iter().zip([(false, false), (false, true), (true, false), (true, true)]) {
        shells.push(((*name).to_owned(), Kind::Case { operand, otherwise }));
    }
    shells.extend([(PLAIN.to_owned(), Kind::Plain), (TEXT.to_owned(), Kind::Text)]);
    for (name, kind) in shells {
        let signature = Signature::variadic_any(Volatility::Immutable);
        state.register_udf(Arc::new(ScalarUDF::from(ScalarShell { name, kind, signature })))?;
    }
    Ok(())
}

/// True for the name of a function that the value of a cast is given to.
pub(in crate::engine::sql) fn is_of_cast(function: &str) -> bool {
    [PLAIN, TEXT].contains(&function.trim_matches('"'))
}

/// True for the name of a `CASE` that compares an operand.
pub(in crate::engine::sql) fn compares_operand(function: &str) -> bool {
    CASES[2..].contains(&function)
}

/// True for a call of a shell.
pub(in crate::engine::sql) fn is_shell(e: &Expr) -> bool {
    match e {
        Expr::AggregateFunction(call) => call.func.inner().is::<AggregateShell>(),
        Expr::WindowFunction(call) => match &call.fun {
            WindowFunctionDefinition::AggregateUDF(function) => function.inner().is::<AggregateShell>(),
            WindowFunctionDefinition::WindowUDF(function) => function.inner().is::<WindowShell>(),
        },
        Expr::ScalarFunction(call) => call.func.inner().is::<ScalarShell>(),
        _ => false,
    }
}

/// What a shell stands for. Of aggregates and window functions it no longer says that it is a timespan (see [`super::kept`]).
///
/// # Errors
/// Those of types.
pub(in crate::engine::sql) fn opened(e: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match e {
        Expr::AggregateFunction(AggregateFunction { func, params }) => match func.inner().downcast_ref::<AggregateShell>() {
            Some(shell) => {
                Ok(Transformed::yes(Expr::AggregateFunction(AggregateFunction { func: Arc::clone(&shell.0), params })))
            }
            None => Ok(Transformed::no(Expr::AggregateFunction(AggregateFunction { func, params }))),
        },
        Expr::WindowFunction(mut call) => {
            let inner = match &call.fun {
                WindowFunctionDefinition::AggregateUDF(function) => function
                    .inner()
                    .downcast_ref::<AggregateShell>()
                    .map(|shell| WindowFunctionDefinition::AggregateUDF(Arc::clone(&shell.0))),
                WindowFunctionDefinition::WindowUDF(function) => function
                    .inner()
                    .downcast_ref::<WindowShell>()
                    .map(|shell| WindowFunctionDefinition::WindowUDF(Arc::clone(&shell.0))),
            };
            let Some(inner) = inner else { return Ok(Transformed::no(Expr::WindowFunction(call))) };
            call.fun = inner;
            Ok(Transformed::yes(Expr::WindowFunction(call)))
        }
        Expr::ScalarFunction(ScalarFunction { func, args }) => match func.inner().downcast_ref::<ScalarShell>() {
            Some(shell) => shell.opened(args, schema).map(Transformed::yes),
            None => Ok(Transformed::no(Expr::ScalarFunction(ScalarFunction { func, args }))),
        },
        e => Ok(Transformed::no(e)),
    }
}

fn span_field(name: &str) -> FieldRef {
    Arc::new(stored_field(name, Type::TimeSpan))
}

/// A shell is never run.
fn not_run<T>(name: &str) -> Result<T> {
    Err(DataFusionError::Plan(format!("{name} cannot be used here")))
}

/// A shell of an aggregate.
#[derive(Debug, PartialEq, Eq, Hash)]
struct AggregateShell(Arc<AggregateUDF>);

impl AggregateUDFImpl for AggregateShell {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn aliases(&self) -> &[String] {
        self.0.aliases()
    }

    fn schema_name(&self, params: &AggregateFunctionParams) -> Result<String> {
        self.0.schema_name(params)
    }

    fn human_display(&self, params: &AggregateFunctionParams) -> Result<String> {
        self.0.human_display(params)
    }

    fn window_function_schema_name(&self, params: &WindowFunctionParams) -> Result<String> {
        self.0.window_function_schema_name(params)
    }

    fn display_name(&self, params: &AggregateFunctionParams) -> Result<String> {
        self.0.display_name(params)
    }

    fn window_function_display_name(&self, params: &WindowFunctionParams) -> Result<String> {
        self.0.window_function_display_name(params)
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        self.0.return_type(args)
    }

    fn return_field(&self, args: &[FieldRef]) -> Result<FieldRef> {
        if NOT_OF_SPANS.contains(&self.name()) && args.iter().any(|field| is_span(field)) {
            let seconds = format!("{}(date_part('epoch', x)) is of seconds, {0}(CAST(x AS varchar)) of texts", self.name());
            return plan_err!("{} is not taken of timespans: {seconds}", self.name());
        }
        if args.first().is_some_and(|field| is_span(field)) { Ok(span_field(self.name())) } else { self.0.return_field(args) }
    }

    fn is_nullable(&self) -> bool {
        self.0.is_nullable()
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        not_run(self.name())
    }

    fn coerce_types(&self, args: &[DataType]) -> Result<Vec<DataType>> {
        self.0.coerce_types(args)
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.0.supports_null_handling_clause()
    }

    fn supports_within_group_clause(&self) -> bool {
        self.0.supports_within_group_clause()
    }
}

/// A shell of a window function.
#[derive(Debug, PartialEq, Eq, Hash)]
struct WindowShell(Arc<WindowUDF>);

impl WindowUDFImpl for WindowShell {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn aliases(&self) -> &[String] {
        self.0.aliases()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn partition_evaluator(&self, _: PartitionEvaluatorArgs) -> Result<Box<dyn PartitionEvaluator>> {
        not_run(self.name())
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        if args.get_input_field(0).is_some_and(|field| is_span(&field)) {
            Ok(span_field(args.name()))
        } else {
            self.0.field(args)
        }
    }

    fn coerce_types(&self, args: &[DataType]) -> Result<Vec<DataType>> {
        self.0.coerce_types(args)
    }
}

/// What a shell of a scalar function does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    /// A value of its arguments' kind.
    Same(Arc<ScalarUDF>),
    /// A part of a time.
    Part(Arc<ScalarUDF>),
    /// `CASE`: an operand, pairs of conditions and values, and a last value.
    Case { operand: bool, otherwise: bool },
    /// Its argument, which is no timespan any more.
    Plain,
    /// Its argument; the text of a timespan.
    Text,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ScalarShell {
    name: String,
    kind: Kind,
    signature: Signature,
}

/// True where timespans stand beside nothing but intervals and nulls.
fn are_spans<'a>(fields: impl Iterator<Item = &'a FieldRef>) -> bool {
    let mut any = false;
    for field in fields {
        match field.data_type() {
            _ if is_span(field) => any = true,
            DataType::Null | DataType::Interval(_) => {}
            _ => return false,
        }
    }
    any
}

/// The library's form of `coalesce` for two arguments, which makes texts of times.
const NVL: &str = "nvl";
/// Functions of those in [`SCALARS`] that give one of their arguments.
const CHOICES: [&str; 5] = ["coalesce", "nullif", NVL, "greatest", "least"];

/// True where a function chooses among times that differ in form: they meet in the lake's (see [`times`]).
fn chooses_time(function: &ScalarUDF, fields: &[FieldRef]) -> bool {
    let is_instant = |field: &FieldRef| matches!(field.data_type(), DataType::Timestamp(..));
    let made_text = function.name() == NVL && fields.iter().any(is_instant);
    CHOICES.contains(&function.name()) && (made_text || times::meet(fields.iter().map(|field| field.data_type())))
}

/// The places of a CASE's values among its arguments.
fn is_value(place: usize, operand: bool, otherwise: bool, args: usize) -> bool {
    (otherwise && place + 1 == args) || place >= usize::from(operand) && (place - usize::from(operand)) % 2 == 1
}

/// The CASE that arguments stand for.
fn case(args: Vec<Expr>, has_operand: bool, otherwise: bool) -> Expr {
    let mut args = args;
    let last = if otherwise { args.pop().map(Box::new) } else { None };
    let mut args = args.into_iter();
    let operand = if has_operand { args.next().map(Box::new) } else { None };
    let mut pairs = Vec::new();
    while let (Some(condition), Some(value)) = (args.next(), args.next()) {
        pairs.push((Box::new(condition), Box::new(value)));
    }
    Expr::Case(Case::new(operand, pairs, last))
}

/// The field that a function's result has, whatever its arguments say.
fn result_of(inner: &ScalarUDF, fields: &[FieldRef], constants: &[Option<&ScalarValue>]) -> Result<FieldRef> {
    let fields = fields_with_udf(fields, inner)?;
    inner.return_field_from_args(ReturnFieldArgs { arg_fields: &fields, scalar_arguments: constants })
}

/// A timespan as a duration of microseconds.
fn duration(ticks: Expr) -> Expr {
    cast(ticks / lit(10_i64), DataType::Duration(TimeUnit::Microsecond))
}

impl ScalarShell {
    fn opened(&self, args: Vec<Expr>, schema: &DFSchema) -> Result<Expr> {
        let fields = args.iter().map(|e| Ok(e.to_field(schema)?.1)).collect::<Result<Vec<FieldRef>>>()?;
        let called = |inner: &Arc<ScalarUDF>, args| Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(inner), args));
        match &self.kind {
            Kind::Same(inner) if are_spans(fields.iter()) => {
                let made = called(inner, args.into_iter().map(beside).collect::<Result<_>>()?);
                let field = made.to_field(schema)?.1;
                Ok(noted(made, &field))
            }
            Kind::Part(inner) => match (args.as_slice(), fields.as_slice()) {
                ([part, time], [_, field]) if is_span(field) => {
                    let is_epoch = matches!(part, Expr::Literal(value, _)
                        if value.try_as_str().flatten().is_some_and(|part| part.eq_ignore_ascii_case("epoch")));
                    let name = format!("{}({},{})", inner.name(), part.schema_name(), time.schema_name());
                    let made = match is_epoch {
                        true => cast(time.clone(), DataType::Float64) / second(),
                        false => called(inner, vec![part.clone(), duration(time.clone())]),
                    };
                    Ok(made.alias_with_metadata(name, Some(said(Type::Real))))
                }
                _ => Ok(called(inner, args)),
            },
            Kind::Same(inner) if chooses_time(inner, &fields) => {
                let args = args.into_iter().map(|e| times::in_form(e, schema)).collect::<Result<_>>()?;
                Ok(if inner.name() == NVL { called(&coalesce(), args) } else { called(inner, args) })
            }
            Kind::Same(inner) => Ok(called(inner, args)),
            Kind::Case { operand, otherwise } => {
                let count = args.len();
                let (values, others): (Vec<usize>, Vec<usize>) =
                    (0..count).partition(|place| is_value(*place, *operand, *otherwise, count));
                let types =
                    |places: &[usize]| times::meet(places.iter().filter_map(|place| Some(fields.get(*place)?.data_type())));
                let (of_times, times_compared) = (types(&values), *operand && types(&others));
                let of_spans = are_spans(values.iter().filter_map(|place| fields.get(*place)));
                let compared = *operand && fields.first().is_some_and(|field| is_span(field));
                let settle = |(place, e): (usize, Expr)| match is_value(place, *operand, *otherwise, count) {
                    true if of_spans => beside(e),
                    true if of_times => times::in_form(e, schema),
                    false if times_compared => times::in_form(e, schema),
                    false if compared && place > 0 => beside(e),
                    _ => Ok(e),
                };
                let made = case(args.into_iter().enumerate().map(settle).collect::<Result<_>>()?, *operand, *otherwise);
                if !of_spans {
                    return Ok(made);
                }
                let field = made.to_field(schema)?.1;
                Ok(noted(made, &field))
            }
            Kind::Plain | Kind::Text => match (<[Expr; 1]>::try_from(args), fields.first()) {
                (Ok([e]), Some(field)) if is_span(field) => {
                    let name = e.schema_name().to_string();
                    if self.kind == Kind::Plain {
                        return Ok(e.alias_with_metadata(name, Some(said(Type::Long))));
                    }
                    let argument = Argument { ty: Type::TimeSpan, constant: None, promoted: Vec::new() };
                    let text = bind_scalar(&format!("tostring({})", parameter(0)), vec![argument], 0);
                    let text = text.map_err(DataFusionError::Plan)?.lower(&[e], &[], schema, true)?;
                    Ok(text.alias_with_metadata(name, Some(said(Type::String))))
                }
                (Ok([e]), _) => Ok(e),
                _ => not_run(&self.name),
            },
        }
    }
}

impl ScalarUDFImpl for ScalarShell {
    fn name(&self) -> &str {
        &self.name
    }

    /// That of what it stands for, which is what a column without a name is called.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(match &self.kind {
            Kind::Same(inner) | Kind::Part(inner) => inner.schema_name(args)?,
            Kind::Case { operand, otherwise } => case(args.to_vec(), *operand, *otherwise).schema_name().to_string(),
            Kind::Plain | Kind::Text => args.iter().map(|e| e.schema_name().to_string()).collect(),
        })
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        not_run(&self.name)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let fields = args.arg_fields;
        match &self.kind {
            Kind::Same(_) if are_spans(fields.iter()) => Ok(span_field(&self.name)),
            Kind::Same(inner) if chooses_time(inner, fields) => Ok(Arc::new(stored_field(&self.name, Type::DateTime))),
            Kind::Part(inner) => {
                let shown = |field: &FieldRef| {
                    if !is_span(field) {
                        return Arc::clone(field);
                    }
                    Arc::new(Field::new(field.name(), DataType::Duration(TimeUnit::Microsecond), true))
                };
                result_of(inner, &fields.iter().map(shown).collect::<Vec<_>>(), args.scalar_arguments)
            }
            Kind::Same(inner) => result_of(inner, fields, args.scalar_arguments),
            Kind::Case { operand, otherwise } => {
                let places = (0..fields.len()).filter(|place| is_value(*place, *operand, *otherwise, fields.len()));
                let values: Vec<&FieldRef> = places.filter_map(|place| fields.get(place)).collect();
                if are_spans(values.iter().copied()) {
                    return Ok(span_field(&self.name));
                }
                if times::meet(values.iter().map(|field| field.data_type())) {
                    return Ok(Arc::new(stored_field(&self.name, Type::DateTime)));
                }
                let typed = values.iter().find(|field| *field.data_type() != DataType::Null);
                let ty = typed.map_or(DataType::Null, |field| field.data_type().clone());
                Ok(Arc::new(Field::new(&self.name, ty, !otherwise || values.iter().any(|field| field.is_nullable()))))
            }
            Kind::Plain | Kind::Text => match fields {
                [field] if is_span(field) && self.kind == Kind::Text => {
                    Ok(Arc::new(Field::new(&self.name, DataType::Utf8, true)))
                }
                [field] if is_span(field) => Ok(Arc::new(Field::new(&self.name, field.data_type().clone(), true))),
                // The text of JSON is no JSON any more.
                [field] if self.kind == Kind::Text && noted_type(field) == Some(Type::Dynamic) => {
                    Ok(Arc::new(Field::new(&self.name, field.data_type().clone(), field.is_nullable())))
                }
                [field] => Ok(Arc::clone(field)),
                _ => not_run(&self.name),
            },
        }
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        not_run(&self.name)
    }
}
