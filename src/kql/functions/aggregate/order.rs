//! The order of values of one type.

use std::cmp::Ordering;

use kqlake_value::ValueRef;

/// Orders two values of one type. Null is least, then NaN; texts go by their code points.
pub(crate) fn order(a: ValueRef<'_>, b: ValueRef<'_>) -> Ordering {
    use ValueRef as V;
    match (a, b) {
        (V::Null, V::Null) => Ordering::Equal,
        (V::Null, _) => Ordering::Less,
        (_, V::Null) => Ordering::Greater,
        (V::Bool(a), V::Bool(b)) => a.cmp(&b),
        (V::Int(a), V::Int(b)) => a.cmp(&b),
        (V::Long(a), V::Long(b)) | (V::DateTime(a), V::DateTime(b)) | (V::TimeSpan(a), V::TimeSpan(b)) => a.cmp(&b),
        (V::Decimal(a), V::Decimal(b)) => a.cmp(&b),
        (V::String(a), V::String(b)) | (V::Guid(a), V::Guid(b)) | (V::Dynamic(a), V::Dynamic(b)) => a.cmp(b),
        _ => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => real_order(a, b),
            _ => Ordering::Equal,
        },
    }
}

/// True for values of one type that belong to one group: null and null, NaN and NaN, both zeros.
pub(crate) fn same(a: ValueRef<'_>, b: ValueRef<'_>) -> bool {
    order(a, b).is_eq()
}

/// Orders two reals, NaN least, both zeros equal.
pub(crate) fn real_order(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}
