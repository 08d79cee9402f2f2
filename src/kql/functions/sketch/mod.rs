//! Sketches of great collections: distinct counts ([`hll`]) and quantiles ([`tdigest`]).
//!
//! Both are exact for small collections, merge in any order, and are KQL values: dynamic bags whose `sketch` says what
//! they are. The bags are this engine's own and stay readable across its versions.

pub(crate) mod hll;
pub(crate) mod tdigest;

use xxhash_rust::xxh3::xxh3_128;
use xxhash_rust::xxh64::xxh64;

use kqlake_value::splitmix64::spread;
use kqlake_value::{ValueRef, real_key};

/// Keeps the hash of the number 0 from being 0. Sketches at rest depend on it.
const SALT: u64 = 0x9e37_79b9_7f4a_7c15;

/// A 64-bit hash of a value, the same in every run. Equal int and long values have the same hash.
pub(crate) fn hash64(value: ValueRef<'_>) -> u64 {
    match value {
        ValueRef::Null => 0,
        ValueRef::Bool(v) => spread(1 + u64::from(v)),
        ValueRef::Int(v) => spread(i64::from(v) as u64 ^ SALT),
        ValueRef::Long(v) | ValueRef::TimeSpan(v) | ValueRef::DateTime(v) => spread(v as u64 ^ SALT),
        ValueRef::Real(v) => spread(real_key(v).to_bits() ^ SALT),
        ValueRef::Decimal(v) => xxh64(&v.to_le_bytes(), 0),
        ValueRef::String(v) | ValueRef::Guid(v) | ValueRef::Dynamic(v) => xxh64(v.as_bytes(), 0),
    }
}

/// A 128-bit key of a value among values of one type: the value itself where it fits, else a hash.
pub(crate) fn key128(value: ValueRef<'_>) -> u128 {
    match value {
        ValueRef::Null => 0,
        ValueRef::Bool(v) => 1 + u128::from(v),
        ValueRef::Int(v) => i64::from(v) as u64 as u128,
        ValueRef::Long(v) | ValueRef::TimeSpan(v) | ValueRef::DateTime(v) => v as u64 as u128,
        ValueRef::Real(v) => real_key(v).to_bits().into(),
        ValueRef::Decimal(v) => v as u128,
        ValueRef::String(v) | ValueRef::Guid(v) | ValueRef::Dynamic(v) => text_key(v),
    }
}

/// A 128-bit key of a text. No sketch holds it.
pub(crate) fn text_key(text: &str) -> u128 {
    xxh3_128(text.as_bytes())
}
