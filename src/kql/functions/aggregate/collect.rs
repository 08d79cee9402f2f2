//! make_list, make_set and make_bag: values gathered into a dynamic.
//!
//! Lists and sets leave nulls out, except that a list of dynamics keeps them (and `make_list_with_nulls` keeps all).
//! An element that is itself an array is spread, one level deep.

use std::collections::HashSet;

use crate::functions::codec::{Decoder, write_bytes, write_u64};
use crate::functions::sketch::text_key;
use crate::functions::{Accumulate, AggregateFn, AggregateImpl, ArgInfo, ArgType, Naming, OfNoRows, Param, Returns};
use kqlake_value::columns::ColumnBuilder;
use kqlake_value::format::write_members;
use kqlake_value::hashed::BuildKeyHasher;
use kqlake_value::json::{elements, members, unescape, write_value as write_json};
use kqlake_value::{Json, Type, Value, ValueRef, json_of};

type Make = fn(&[ArgInfo], Type) -> Result<Box<dyn Accumulate>, String>;

const fn gather(name: &'static str, kind: &'static [Param], prefix: &'static str, make: Make, doc: &'static str) -> AggregateFn {
    AggregateFn::new(name, kind, Returns::Type(Type::Dynamic), Naming::Prefix(prefix), AggregateImpl::Rows(make), doc).ordered()
}

const ANY: &[Param] = &[Param::req("expr", ArgType::Any), Param::opt("maxSize", ArgType::Integer).constant()];
const BAG: &[Param] = &[Param::req("expr", ArgType::Dynamic), Param::opt("maxSize", ArgType::Integer).constant()];

/// The functions.
pub(crate) const AGGREGATES: &[AggregateFn] = &[
    gather("make_list", ANY, "list", make_list, "All values in an array, in the order of the rows.")
        .of_no_rows(OfNoRows::EmptyArray),
    gather(
        "makelist",
        ANY,
        "list",
        makelist,
        "All values in an array; up to 128 unless another number is given (older name of make_list).",
    ),
    gather("make_list_if", ANY, "list", make_list, "Values in an array, over the rows for which the predicate is true.")
        .predicate(1)
        .of_no_rows(OfNoRows::EmptyArray),
    gather(
        "make_list_with_nulls",
        &[Param::req("expr", ArgType::Any)],
        "list",
        make_list_with_nulls,
        "All values in an array, nulls included.",
    )
    .of_no_rows(OfNoRows::EmptyArray),
    gather("make_set", ANY, "set", make_set, "The distinct values in an array.").of_no_rows(OfNoRows::EmptyArray),
    gather(
        "makeset",
        ANY,
        "set",
        makeset,
        "The distinct values in an array; up to 128 unless another number is given (older name of make_set).",
    ),
    gather(
        "make_set_if",
        ANY,
        "set",
        make_set,
        "The distinct values in an array, over the rows for which the predicate is true.",
    )
    .predicate(1)
    .of_no_rows(OfNoRows::EmptyArray),
    gather("make_bag", BAG, "bag", make_bag, "The properties of all bags in one bag; the first value of a property stays."),
    gather("make_bag_if", BAG, "bag", make_bag, "The properties of the bags for which the predicate is true, in one bag.")
        .predicate(1),
    gather("make_dictionary", BAG, "dictionary", make_bag, "The properties of all bags in one bag (older name of make_bag)."),
];

/// Elements of a list, set or bag when no size is asked for.
const MAX: usize = 1_048_576;
/// The same of the older names.
const OLD_MAX: usize = 128;

fn max_size(args: &[ArgInfo], default: usize) -> Result<usize, String> {
    match args.get(1).map(|a| &a.constant) {
        None => Ok(default),
        Some(Some(Value::Int(v))) => Ok(usize::try_from(*v).unwrap_or(0).min(MAX)),
        Some(Some(Value::Long(v))) => Ok(usize::try_from(*v).unwrap_or(0).min(MAX)),
        Some(_) => Err("the greatest size must be a constant number".to_owned()),
    }
}

/// A dynamic argument may hold arrays, and its nulls are elements like others.
fn is_dynamic(args: &[ArgInfo]) -> bool {
    args.first().is_some_and(|a| a.ty == Type::Dynamic)
}

fn make_list(args: &[ArgInfo], _: Type) -> Result<Box<dyn Accumulate>, String> {
    Ok(Box::new(List { max: max_size(args, MAX)?, nulls: is_dynamic(args), count: 0, text: String::new() }))
}
fn makelist(args: &[ArgInfo], _: Type) -> Result<Box<dyn Accumulate>, String> {
    Ok(Box::new(List { max: max_size(args, OLD_MAX)?, nulls: is_dynamic(args), count: 0, text: String::new() }))
}
fn make_list_with_nulls(_: &[ArgInfo], _: Type) -> Result<Box<dyn Accumulate>, String> {
    Ok(Box::new(List { max: MAX, nulls: true, count: 0, text: String::new() }))
}
fn make_set(args: &[ArgInfo], _: Type) -> Result<Box<dyn Accumulate>, String> {
    Ok(Box::new(Set { max: max_size(args, MAX)?, ..Set::default() }))
}
fn makeset(args: &[ArgInfo], _: Type) -> Result<Box<dyn Accumulate>, String> {
    Ok(Box::new(Set { max: max_size(args, OLD_MAX)?, ..Set::default() }))
}
fn make_bag(args: &[ArgInfo], _: Type) -> Result<Box<dyn Accumulate>, String> {
    Ok(Box::new(Bag { max: max_size(args, MAX)?, ..Bag::default() }))
}

/// The JSON value that an array's inner text stands for.
fn array_value(inner: &str) -> Value {
    let text = format!("[{inner}]");
    // The text was built from JSON texts; it reads, unless one of them is as deep as a value may be.
    let read = serde_json::from_str(&text);
    Value::Dynamic(read.unwrap_or_else(|_| elements(&text).into_iter().flatten().map(json_of).collect()))
}

/// A list as the text between an array's brackets.
#[derive(Debug)]
struct List {
    max: usize,
    nulls: bool,
    count: usize,
    text: String,
}

impl List {
    fn open(&mut self) -> bool {
        if self.count >= self.max {
            return false;
        }
        if self.count > 0 {
            self.text.push(',');
        }
        self.count += 1;
        true
    }
}

impl Accumulate for List {
    fn update(&mut self, args: &[ValueRef<'_>]) {
        match args[0] {
            ValueRef::Null if !self.nulls => {}
            ValueRef::Dynamic(text) if text.starts_with('[') => {
                for element in elements(text).into_iter().flatten() {
                    if !self.open() {
                        return;
                    }
                    self.text.push_str(element);
                }
            }
            value => {
                if self.open() {
                    write_json(&mut self.text, value);
                }
            }
        }
    }

    fn state(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.text.len() + 16);
        write_u64(&mut out, self.count as u64);
        write_bytes(&mut out, self.text.as_bytes());
        out
    }

    fn merge(&mut self, state: &[u8]) {
        let mut decoder = Decoder::new(state);
        let (Some(count), Some(text)) = (decoder.u64(), decoder.text()) else { return };
        let count = count as usize;
        if count == 0 {
            return;
        }
        if self.count + count <= self.max {
            if self.count > 0 {
                self.text.push(',');
            }
            self.text.push_str(text);
            self.count += count;
            return;
        }
        let array = format!("[{text}]");
        for element in elements(&array).into_iter().flatten() {
            if !self.open() {
                return;
            }
            self.text.push_str(element);
        }
    }

    fn finish(&self) -> Value {
        array_value(&self.text)
    }

    fn finish_into(&self, out: &mut ColumnBuilder) {
        out.push_text(|text| {
            text.reserve(self.text.len() + 2);
            text.push('[');
            text.push_str(&self.text);
            text.push(']');
            true
        });
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.text.capacity()
    }
}

/// A set as the text between an array's brackets, in the order of first appearance.
///
/// Where several streams of rows were merged there is no such order; the elements are then sorted, so that the answer
/// does not depend on how the rows were divided.
#[derive(Debug, Default)]
struct Set {
    max: usize,
    text: String,
    keys: HashSet<u128, BuildKeyHasher>,
    scratch: String,
    merged: u32,
}

impl Set {
    fn add(&mut self, element: &str) {
        if element == "null" || self.keys.len() >= self.max || !self.keys.insert(text_key(element)) {
            return;
        }
        if self.keys.len() > 1 {
            self.text.push(',');
        }
        self.text.push_str(element);
    }

    fn inner(&self) -> std::borrow::Cow<'_, str> {
        if self.merged < 2 {
            return (&self.text).into();
        }
        let array = format!("[{}]", self.text);
        let mut sorted: Vec<(Option<f64>, &str)> = elements(&array).into_iter().flatten().map(|e| (e.parse().ok(), e)).collect();
        sorted.sort_by(|a, b| match (a.0, b.0) {
            (Some(x), Some(y)) => x.total_cmp(&y).then_with(|| a.1.cmp(b.1)),
            (x, y) => y.is_some().cmp(&x.is_some()).then_with(|| a.1.cmp(b.1)),
        });
        let texts: Vec<&str> = sorted.into_iter().map(|s| s.1).collect();
        texts.join(",").into()
    }
}

impl Accumulate for Set {
    fn update(&mut self, args: &[ValueRef<'_>]) {
        match args[0] {
            ValueRef::Null => {}
            ValueRef::Dynamic(text) if text.starts_with('[') => {
                for element in elements(text).into_iter().flatten() {
                    self.add(element);
                }
            }
            value => {
                let mut scratch = std::mem::take(&mut self.scratch);
                scratch.clear();
                write_json(&mut scratch, value.key());
                self.add(&scratch);
                self.scratch = scratch;
            }
        }
    }

    fn state(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.text.len() + 16);
        write_u64(&mut out, self.merged.into());
        write_bytes(&mut out, self.text.as_bytes());
        out
    }

    fn merge(&mut self, state: &[u8]) {
        let mut decoder = Decoder::new(state);
        let (Some(merged), Some(text)) = (decoder.u64(), decoder.text()) else { return };
        if text.is_empty() {
            return;
        }
        self.merged = self.merged.saturating_add(1.max(merged as u32));
        let array = format!("[{text}]");
        for element in elements(&array).into_iter().flatten() {
            self.add(element);
        }
    }

    fn finish(&self) -> Value {
        array_value(&self.inner())
    }

    fn finish_into(&self, out: &mut ColumnBuilder) {
        out.push_text(|text| {
            text.push('[');
            text.push_str(&self.inner());
            text.push(']');
            true
        });
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.text.capacity() + self.scratch.capacity() + self.keys.capacity() * 17
    }
}

/// The merged bag.
#[derive(Debug, Default)]
struct Bag {
    max: usize,
    map: serde_json::Map<String, Json>,
    bytes: usize,
}

impl Bag {
    fn add(&mut self, text: &str) {
        for (key, value) in members(text).unwrap_or_default() {
            let key = unescape(key).into_owned();
            if !self.map.contains_key(&key) && self.map.len() < self.max {
                let value = json_of(value);
                self.bytes += MEMBER + key.len() + json_size(&value);
                self.map.insert(key, value);
            }
        }
    }
}

/// Bytes of a member of an object beside its key's text and what its value holds: both of them, and their share of the tree.
const MEMBER: usize = 2 * (size_of::<String>() + size_of::<Json>());

/// About how many bytes a JSON value holds on the heap.
fn json_size(json: &Json) -> usize {
    match json {
        Json::String(s) => s.len(),
        Json::Array(items) => items.iter().map(|i| size_of::<Json>() + json_size(i)).sum(),
        Json::Object(map) => map.iter().map(|(k, v)| MEMBER + k.len() + json_size(v)).sum(),
        _ => 0,
    }
}

impl Accumulate for Bag {
    fn update(&mut self, args: &[ValueRef<'_>]) {
        if let ValueRef::Dynamic(text) = args[0] {
            self.add(text);
        }
    }

    fn state(&self) -> Vec<u8> {
        // A map of JSON values always has a text.
        serde_json::to_vec(&self.map).unwrap_or_default()
    }

    fn merge(&mut self, state: &[u8]) {
        if let Ok(text) = std::str::from_utf8(state) {
            self.add(text);
        }
    }

    fn finish(&self) -> Value {
        Value::Dynamic(Json::Object(self.map.clone()))
    }

    fn finish_into(&self, out: &mut ColumnBuilder) {
        out.push_text(|text| {
            write_members(text, &self.map);
            true
        });
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(ty: Type, max: Option<i64>) -> Vec<ArgInfo> {
        let mut args = vec![ArgInfo { ty, constant: None }];
        args.extend(max.map(|m| ArgInfo { ty: Type::Long, constant: Some(Value::Long(m)) }));
        args
    }

    #[test]
    fn lists_spread_arrays_and_stop_at_their_size() {
        let mut list = make_list(&info(Type::Dynamic, Some(4)), Type::Dynamic).unwrap();
        for text in ["[1,[2]]", "{\"a\":[3]}"] {
            list.update(&[ValueRef::Dynamic(text)]);
        }
        list.update(&[ValueRef::Null]);
        let mut merged = make_list(&info(Type::Dynamic, Some(5)), Type::Dynamic).unwrap();
        merged.merge(&list.state());
        merged.merge(&list.state());
        assert_eq!(merged.finish(), Value::Dynamic(serde_json::json!([1, [2], {"a": [3]}, null, 1])));
    }

    #[test]
    fn sets_keep_the_first_order_of_one_stream_and_sort_several() {
        let of = |values: &[i64]| {
            let mut set = make_set(&info(Type::Long, None), Type::Dynamic).unwrap();
            for v in values {
                set.update(&[ValueRef::Long(*v)]);
            }
            set
        };
        let mut set = make_set(&info(Type::Long, None), Type::Dynamic).unwrap();
        set.merge(&of(&[30, 4, 30]).state());
        assert_eq!(set.finish(), Value::Dynamic(serde_json::json!([30, 4])));
        set.merge(&of(&[7, 4]).state());
        assert_eq!(set.finish(), Value::Dynamic(serde_json::json!([4, 7, 30])));
    }
}
