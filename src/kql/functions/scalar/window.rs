//! The window functions' entries; lowering computes them over ordered columns.

use crate::functions::{ArgType, Param, Returns, ScalarFn, ScalarImpl, WindowFn};
use kqlake_value::Type;

const RESTART: Param = Param::opt("restart", ArgType::Bool);
const OFFSET: Param = Param::opt("offset", ArgType::Integer).constant();
const DEFAULT: Param = Param::opt("default_value", ArgType::Any).constant();
const RANKED: &[Type] =
    &[Type::Bool, Type::Int, Type::Long, Type::Real, Type::Decimal, Type::String, Type::DateTime, Type::TimeSpan, Type::Guid];

/// The functions.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "row_number",
        &[Param::opt("startingIndex", ArgType::Integer).constant(), RESTART],
        Returns::Type(Type::Long),
        ScalarImpl::Window(WindowFn::RowNumber),
        "The row's number in serialized input.",
    ),
    ScalarFn::new(
        "prev",
        &[Param::req("column", ArgType::Any), OFFSET, DEFAULT],
        Returns::Arg(0),
        ScalarImpl::Window(WindowFn::Prev),
        "The value some rows before this one in serialized input.",
    ),
    ScalarFn::new(
        "next",
        &[Param::req("column", ArgType::Any), OFFSET, DEFAULT],
        Returns::Arg(0),
        ScalarImpl::Window(WindowFn::Next),
        "The value some rows behind this one in serialized input.",
    ),
    ScalarFn::new(
        "row_cumsum",
        &[Param::req("term", ArgType::Number), RESTART],
        Returns::Arg(0),
        ScalarImpl::Window(WindowFn::RowCumsum),
        "The sum of a column up to this row of serialized input.",
    ),
    ScalarFn::new(
        "row_rank_dense",
        &[Param::req("term", ArgType::OneOf(RANKED)), RESTART],
        Returns::Type(Type::Long),
        ScalarImpl::Window(WindowFn::RowRankDense),
        "How many different values serialized input had up to this row.",
    ),
    ScalarFn::new(
        "row_rank_min",
        &[Param::req("term", ArgType::OneOf(RANKED)), RESTART],
        Returns::Type(Type::Long),
        ScalarImpl::Window(WindowFn::RowRankMin),
        "The number of the first row of serialized input with this row's value.",
    ),
    ScalarFn::new(
        "row_rank",
        &[Param::opt("argument", ArgType::Any)],
        Returns::Type(Type::Long),
        ScalarImpl::Unsupported("it is obsolete; use row_rank_dense() or row_rank_min()"),
        "A row's rank in serialized input.",
    )
    .variadic(),
    ScalarFn::new(
        "row_window_session",
        &[
            Param::req("expr", ArgType::DateTime),
            Param::req("maxDistanceFromFirst", ArgType::TimeSpan).constant(),
            Param::req("maxDistanceBetweenNeighbors", ArgType::TimeSpan).constant(),
            RESTART,
        ],
        Returns::Type(Type::DateTime),
        ScalarImpl::Window(WindowFn::RowWindowSession),
        "The first value of the session that this row of serialized input belongs to.",
    ),
];
