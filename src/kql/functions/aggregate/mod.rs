//! Aggregate functions, one file a family.

pub(crate) mod basic;
pub(crate) mod binary;
pub(crate) mod collect;
pub(crate) mod distinct;
pub(crate) mod extremes;
pub(crate) mod moments;
pub(crate) mod order;
pub(crate) mod percentiles;
pub(crate) mod schema;
pub(crate) mod sketches;
pub(crate) mod udaf;

use super::AggregateFn;

/// The tables of all families.
pub(crate) fn families() -> &'static [&'static [AggregateFn]] {
    &[
        basic::AGGREGATES,
        binary::AGGREGATES,
        collect::AGGREGATES,
        distinct::AGGREGATES,
        extremes::AGGREGATES,
        moments::AGGREGATES,
        percentiles::AGGREGATES,
        schema::AGGREGATES,
        sketches::AGGREGATES,
    ]
}
