//! count, sum, avg, min and max, with their `…if` forms: lowering maps them to the engine's own aggregates.

use crate::functions::{AggregateFn, AggregateImpl, ArgInfo, ArgType, Naming, NativeAggregate, OfNoRows, Param, Returns};
use kqlake_value::Type;

/// The functions.
pub(crate) const AGGREGATES: &[AggregateFn] = &[
    AggregateFn::new(
        "count",
        &[Param::opt("expr", ArgType::Any)],
        Returns::Type(Type::Long),
        Naming::Prefix("count"),
        AggregateImpl::Native(NativeAggregate::Count),
        "Number of rows.",
    )
    .of_no_rows(OfNoRows::Zero),
    AggregateFn::new(
        "cnt",
        &[],
        Returns::Type(Type::Long),
        Naming::Prefix("cnt"),
        AggregateImpl::Unsupported("it is obsolete; use count()"),
        "Number of rows.",
    ),
    AggregateFn::new(
        "passthrough",
        &[Param::req("expr", ArgType::Any)],
        Returns::Arg(0),
        Naming::FirstArg,
        AggregateImpl::Unsupported("it is internal to Microsoft's engine; use take_any()"),
        "A value as it is.",
    ),
    AggregateFn::new(
        "countif",
        &[],
        Returns::Type(Type::Long),
        Naming::Prefix("countif"),
        AggregateImpl::Native(NativeAggregate::Count),
        "Number of rows for which the predicate is true.",
    )
    .predicate(0)
    .of_no_rows(OfNoRows::Zero),
    AggregateFn::new(
        "sum",
        SUMMED,
        Returns::With(sum_type),
        Naming::Prefix("sum"),
        AggregateImpl::Native(NativeAggregate::Sum),
        "Sum; 0 of nothing.",
    )
    .of_no_rows(OfNoRows::Zero),
    AggregateFn::new(
        "sumif",
        SUMMED,
        Returns::With(sum_type),
        Naming::Prefix("sumif"),
        AggregateImpl::Native(NativeAggregate::Sum),
        "Sum over the rows for which the predicate is true.",
    )
    .predicate(1)
    .of_no_rows(OfNoRows::Zero),
    AggregateFn::new(
        "avg",
        SUMMED,
        Returns::With(avg_type),
        Naming::Prefix("avg"),
        AggregateImpl::Native(NativeAggregate::Avg),
        "Mean; NaN of nothing.",
    ),
    AggregateFn::new(
        "avgif",
        SUMMED,
        Returns::With(avg_type),
        Naming::Prefix("avgif"),
        AggregateImpl::Native(NativeAggregate::Avg),
        "Mean over the rows for which the predicate is true.",
    )
    .predicate(1),
    AggregateFn::new(
        "min",
        ORDERED,
        Returns::Arg(0),
        Naming::Prefix("min"),
        AggregateImpl::Native(NativeAggregate::Min),
        "Least value; null of nothing.",
    ),
    AggregateFn::new(
        "minif",
        ORDERED,
        Returns::Arg(0),
        Naming::Prefix("minif"),
        AggregateImpl::Native(NativeAggregate::Min),
        "Least value over the rows for which the predicate is true.",
    )
    .predicate(1),
    AggregateFn::new(
        "max",
        ORDERED,
        Returns::Arg(0),
        Naming::Prefix("max"),
        AggregateImpl::Native(NativeAggregate::Max),
        "Greatest value; null of nothing.",
    ),
    AggregateFn::new(
        "maxif",
        ORDERED,
        Returns::Arg(0),
        Naming::Prefix("maxif"),
        AggregateImpl::Native(NativeAggregate::Max),
        "Greatest value over the rows for which the predicate is true.",
    )
    .predicate(1),
];

const SUMMED: &[Param] = &[Param::req("expr", ArgType::Summable)];
const ORDERED: &[Param] = &[Param::req("expr", ArgType::Orderable)];

fn sum_type(args: &[ArgInfo]) -> Result<Type, String> {
    Ok(match args.first().map_or(Type::Long, |a| a.ty) {
        Type::Int => Type::Long,
        other => other,
    })
}

fn avg_type(args: &[ArgInfo]) -> Result<Type, String> {
    Ok(match args.first().map_or(Type::Real, |a| a.ty) {
        Type::Int | Type::Long => Type::Real,
        other => other,
    })
}
