//! Aggregate functions, one file a family.

pub mod basic;
pub mod binary;
pub mod codec;
pub mod collect;
pub mod distinct;
pub mod extremes;
pub mod moments;
pub mod order;
pub mod percentiles;
pub mod schema;
pub mod sketches;
pub mod udaf;

use super::AggregateFn;

/// The tables of all families.
pub fn families() -> &'static [&'static [AggregateFn]] {
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
