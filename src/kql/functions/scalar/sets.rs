//! Functions that read dynamic arrays as sets: `set_*` and `jaccard_index`.
//!
//! Equal elements count once; the first one's spelling and place is kept. What is no array gives null.
//! Source: the Kusto documentation's page of each function.

use super::arrays::{array, element, write_array};
use crate::functions::{ArgType, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::json::ValueSet;
use kqlake_value::{Type, Value, ValueRef};

const SETS: &[Param] =
    &[Param::req("set1", ArgType::Dynamic), Param::req("set2", ArgType::Dynamic), Param::opt("more", ArgType::Dynamic)];
const TWO_SETS: &[Param] = &[Param::req("set1", ArgType::Dynamic), Param::req("set2", ArgType::Dynamic)];

/// The set functions.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "set_union",
        SETS,
        Returns::Type(Type::Dynamic),
        ScalarImpl::Text(union),
        "The different values that are in any of the arrays.",
    )
    .variadic(),
    ScalarFn::new(
        "set_intersect",
        SETS,
        Returns::Type(Type::Dynamic),
        ScalarImpl::Text(intersect),
        "The different values that are in all of the arrays.",
    )
    .variadic(),
    ScalarFn::new(
        "set_difference",
        SETS,
        Returns::Type(Type::Dynamic),
        ScalarImpl::Text(difference),
        "The different values of the first array that are in none of the others.",
    )
    .variadic(),
    ScalarFn::new(
        "set_has_element",
        &[Param::req("set", ArgType::Dynamic), Param::req("value", ArgType::Any)],
        Returns::Type(Type::Bool),
        ScalarImpl::Row(has_element),
        "True when a value is in an array.",
    ),
    ScalarFn::new(
        "set_equals",
        TWO_SETS,
        Returns::Type(Type::Bool),
        ScalarImpl::Row(equals),
        "True when two arrays hold the same different values.",
    ),
    ScalarFn::new(
        "jaccard_index",
        TWO_SETS,
        Returns::Type(Type::Real),
        ScalarImpl::Row(jaccard),
        "The share of two arrays' different values that both have.",
    )
    .shown(|_| Some(Type::Dynamic)),
];

fn union(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let Some(arrays) = args.iter().map(|arg| array(*arg)).collect::<Option<Vec<_>>>() else { return false };
    let mut seen = ValueSet::default();
    write_array(out, arrays.into_iter().flatten().filter(|e| seen.insert(e)));
    true
}

fn intersect(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let Some(arrays) = args.iter().map(|arg| array(*arg)).collect::<Option<Vec<_>>>() else { return false };
    let others: Vec<ValueSet<'_>> = arrays[1..].iter().map(|a| ValueSet::of(a.iter().copied())).collect();
    let mut seen = ValueSet::default();
    write_array(out, arrays[0].iter().copied().filter(|e| others.iter().all(|o| o.contains(e)) && seen.insert(e)));
    true
}

fn difference(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let Some(arrays) = args.iter().map(|arg| array(*arg)).collect::<Option<Vec<_>>>() else { return false };
    let mut seen = ValueSet::of(arrays[1..].iter().flatten().copied());
    write_array(out, arrays[0].iter().copied().filter(|e| seen.insert(e)));
    true
}

fn has_element(args: &[ValueRef<'_>]) -> Value {
    let Some(elements) = array(args[0]) else { return Value::Null };
    let wanted = element(args[1]);
    let wanted = kqlake_value::json::identity(&wanted);
    Value::Bool(elements.into_iter().any(|e| kqlake_value::json::identity(e) == wanted))
}

fn equals(args: &[ValueRef<'_>]) -> Value {
    let (Some(a), Some(b)) = (array(args[0]), array(args[1])) else { return Value::Null };
    let (a, b) = (a, ValueSet::of(b.into_iter()));
    let distinct = ValueSet::of(a.iter().copied()).len();
    Value::Bool(distinct == b.len() && a.iter().all(|e| b.contains(e)))
}

fn jaccard(args: &[ValueRef<'_>]) -> Value {
    let (Some(a), Some(b)) = (array(args[0]), array(args[1])) else { return Value::Null };
    let other = ValueSet::of(b.iter().copied());
    let mut seen = ValueSet::default();
    let common = a.iter().filter(|e| seen.insert(e) && other.contains(e)).count();
    let all = seen.len() + other.len() - common;
    Value::Real(common as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_elements_count_once() {
        let (a, b) = (ValueRef::Dynamic(r#"[1,2,1,null,"x"]"#), ValueRef::Dynamic(r#"[2.0,"\u0078",{"k": 1}]"#));
        let text = |f: fn(&[ValueRef<'_>], &mut String) -> bool, args: &[ValueRef<'_>]| {
            let mut out = String::new();
            f(args, &mut out).then_some(out)
        };
        assert_eq!(text(union, &[a, b]).unwrap(), r#"[1,2,null,"x",{"k": 1}]"#);
        assert_eq!(text(intersect, &[a, b]).unwrap(), r#"[2,"x"]"#);
        assert_eq!(text(difference, &[a, b]).unwrap(), "[1,null]");
        assert_eq!(text(union, &[a, ValueRef::Null]), None);
        assert_eq!(has_element(&[a, ValueRef::Real(2.0)]), Value::Bool(true));
        assert_eq!(has_element(&[b, ValueRef::Dynamic("{\"k\":1}")]), Value::Bool(true));
        assert_eq!(equals(&[ValueRef::Dynamic("[1,2,2]"), ValueRef::Dynamic("[2,1]")]), Value::Bool(true));
        assert_eq!(equals(&[ValueRef::Dynamic("[1,2]"), ValueRef::Dynamic("[2,1,3]")]), Value::Bool(false));
        assert_eq!(jaccard(&[ValueRef::Dynamic("[1,2,3,4]"), ValueRef::Dynamic("[3,4,5,6]")]), Value::Real(2.0 / 6.0));
    }
}
