//! Functions over property bags: `bag_*`, `pack`, `pack_all`, `treepath` and `dynamic_to_json`.
//!
//! Bags keep the order of their keys and the digits of their numbers. What is no bag gives null.
//! Source: the Kusto documentation's page of each function.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::arrays::{array, element};
use crate::functions::{ArgInfo, ArgType, Naming, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::format::write_json_string;
use kqlake_value::json::path_text::{self, Root, StepText};
use kqlake_value::{Type, Value, ValueRef, json};

const DYNAMIC: Returns = Returns::Type(Type::Dynamic);

/// The bag functions.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    // What `pack_all(true)` is bound to.
    ScalarFn::new(
        "__bag_pack_present",
        &[Param::req("key", ArgType::String), Param::req("value", ArgType::Any), Param::opt("more", ArgType::Any)],
        Returns::With(pack_type),
        ScalarImpl::Text(|args, out| write_pack(args, out, true)),
        "A bag of the given keys and values, without null values and empty strings.",
    )
    .variadic(),
    ScalarFn::new(
        "bag_has_key",
        &[Param::req("bag", ArgType::Dynamic), Param::req("key", ArgType::String)],
        Returns::Type(Type::Bool),
        ScalarImpl::Row(has_key),
        "True when a bag has a key; the key may be a path like $.a.b.",
    ),
    ScalarFn::new(
        "bag_keys",
        &[Param::req("object", ArgType::Dynamic)],
        DYNAMIC,
        ScalarImpl::Text(keys),
        "The names of a bag's keys, as an array.",
    ),
    ScalarFn::new(
        "bag_merge",
        &[Param::req("bag1", ArgType::Dynamic), Param::req("bag2", ArgType::Dynamic), Param::opt("more", ArgType::Dynamic)],
        DYNAMIC,
        ScalarImpl::Text(merge),
        "One bag with the keys of all; of equal keys the first bag's value counts.",
    )
    .variadic(),
    ScalarFn::new(
        "bag_pack",
        &[Param::req("key", ArgType::String), Param::req("value", ArgType::Any), Param::opt("more", ArgType::Any)],
        Returns::With(pack_type),
        ScalarImpl::Text(|args, out| write_pack(args, out, false)),
        "A bag of the given keys and values.",
    )
    .aliases(&["pack", "pack_dictionary"])
    .variadic(),
    ScalarFn::new(
        "bag_pack_columns",
        &[Param::req("column", ArgType::Any)],
        DYNAMIC,
        ScalarImpl::Special,
        "A bag whose keys are the columns' names and whose values are the columns' values.",
    )
    .variadic(),
    ScalarFn::new(
        "bag_remove_keys",
        &[Param::req("bag", ArgType::Dynamic), Param::req("keys", ArgType::Dynamic)],
        DYNAMIC,
        ScalarImpl::Text(remove_keys),
        "A bag without some keys; a key may be a path like $.a.b.",
    ),
    ScalarFn::new(
        "bag_set_key",
        &[Param::req("bag", ArgType::Dynamic), Param::req("key", ArgType::String).constant(), Param::req("value", ArgType::Any)],
        DYNAMIC,
        ScalarImpl::Text(set_key),
        "A bag in which a key has a new value; the key may be a path like $.a.b.",
    ),
    ScalarFn::new(
        "bag_zip",
        &[Param::req("keys", ArgType::Dynamic), Param::req("values", ArgType::Dynamic)],
        DYNAMIC,
        ScalarImpl::Text(zip),
        "A bag of an array of keys and an array of values.",
    ),
    ScalarFn::new(
        "dynamic_to_json",
        &[Param::req("value", ArgType::Any)],
        Returns::Type(Type::String),
        ScalarImpl::Text(to_json),
        "JSON text with the keys of all bags in alphabetical order.",
    ),
    ScalarFn::new(
        "pack_all",
        &[Param::opt("ignore_null_empty", ArgType::Bool).constant()],
        DYNAMIC,
        ScalarImpl::Special,
        "A bag of all columns of the row; with true without those that are null or empty.",
    ),
    ScalarFn::new(
        "treepath",
        &[Param::req("object", ArgType::Dynamic)],
        DYNAMIC,
        ScalarImpl::Text(tree_path),
        "The paths of all parts of a bag, as an array.",
    )
    .naming(Naming::Prefix("tree_")),
];

fn bag<'a>(value: ValueRef<'a>) -> Option<Vec<(&'a str, &'a str)>> {
    match value {
        ValueRef::Dynamic(text) => json::members(text),
        _ => None,
    }
}

/// Writes a bag entry by entry.
struct BagWriter<'o> {
    out: &'o mut String,
    first: bool,
}

impl<'o> BagWriter<'o> {
    fn new(out: &'o mut String) -> Self {
        out.push('{');
        BagWriter { out, first: true }
    }

    /// The key as it is in a bag, escapes included.
    fn raw_key(&mut self, key: &str) -> &mut String {
        self.comma();
        self.out.push('"');
        self.out.push_str(key);
        self.out.push_str("\":");
        self.out
    }

    fn key(&mut self, key: &str) -> &mut String {
        self.comma();
        write_json_string(self.out, key);
        self.out.push(':');
        self.out
    }

    fn comma(&mut self) {
        if !self.first {
            self.out.push(',');
        }
        self.first = false;
    }

    fn end(self) {
        self.out.push('}');
    }
}

/// The keys that a key text leads through: itself, or the parts of `$.a.b` and `$['a']['b']`. A path of more steps than a value
/// may have levels is no path.
fn key_path(key: &str) -> Vec<&str> {
    if !key.starts_with("$.") && !key.starts_with("$[") {
        return vec![key];
    }
    let steps = path_text::parse(key, Root::Needed).filter(|steps| steps.len() <= json::MAX_DEPTH).unwrap_or_default();
    let keys = steps.iter().map(|step| match step {
        StepText::Key(key) => Some(*key),
        StepText::Index(_) => None,
    });
    keys.collect::<Option<Vec<_>>>().filter(|keys| !keys.is_empty()).unwrap_or_else(|| vec![key])
}

fn has_key(args: &[ValueRef<'_>]) -> Value {
    let (ValueRef::Dynamic(mut part), Some(key)) = (args[0], args[1].as_str()) else { return Value::Null };
    if json::json_type(part) != json::JsonType::Object {
        return Value::Null;
    }
    for key in key_path(key) {
        match json::get_key(part, key) {
            Some(next) => part = next,
            None => return Value::Bool(false),
        }
    }
    Value::Bool(true)
}

fn keys(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let ValueRef::Dynamic(text) = args[0] else { return false };
    let Some(members) = json::members(text) else { return false };
    out.push('[');
    for (i, (key, _)) in members.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        out.push('"');
        out.push_str(key);
        out.push('"');
    }
    out.push(']');
    true
}

fn merge(args: &[ValueRef<'_>], out: &mut String) -> bool {
    // What is no bag adds nothing, as what is no array adds nothing to `array_concat`.
    let bags: Vec<_> = args.iter().filter_map(|arg| bag(*arg)).collect();
    if bags.is_empty() {
        return false;
    }
    let mut seen = HashSet::new();
    let mut writer = BagWriter::new(out);
    for (key, value) in bags.into_iter().flatten() {
        if seen.insert(json::unescape(key)) {
            writer.raw_key(key).push_str(value);
        }
    }
    writer.end();
    true
}

fn pack_type(args: &[ArgInfo]) -> Result<Type, String> {
    if !args.len().is_multiple_of(2) {
        return Err("bag_pack() takes keys and values in pairs".to_owned());
    }
    match args.iter().step_by(2).find(|key| key.ty != Type::String) {
        Some(key) => Err(format!("the keys of bag_pack() are strings, found {}; use tostring()", key.ty)),
        None => Ok(Type::Dynamic),
    }
}

fn write_pack(args: &[ValueRef<'_>], out: &mut String, only_present: bool) -> bool {
    let mut writer = BagWriter::new(out);
    for (i, pair) in args.chunks_exact(2).enumerate() {
        let key = pair[0].as_str().unwrap_or_default();
        // Of equal keys the first counts, as everywhere.
        if args[..2 * i].iter().step_by(2).any(|before| before.as_str() == Some(key)) {
            continue;
        }
        if only_present && matches!(pair[1], ValueRef::Null | ValueRef::String("")) {
            continue;
        }
        json::write_value(writer.key(key), pair[1]);
    }
    writer.end();
    true
}

fn remove_keys(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let (Some(entries), Some(keys)) = (bag(args[0]), array(args[1])) else { return false };
    let keys: Vec<_> = keys.into_iter().filter(|k| k.starts_with('"')).map(json::unquote).collect();
    let paths: Vec<Vec<&str>> = keys.iter().map(|key| key_path(key)).collect();
    let paths: Vec<&[&str]> = paths.iter().map(Vec::as_slice).collect();
    write_without(out, entries, &paths);
    true
}

fn write_without(out: &mut String, entries: Vec<(&str, &str)>, paths: &[&[&str]]) {
    let mut below_each: HashMap<&str, Vec<&[&str]>> = HashMap::new();
    for path in paths {
        if let Some((first, rest)) = path.split_first() {
            below_each.entry(first).or_default().push(rest);
        }
    }
    let mut writer = BagWriter::new(out);
    for (key, value) in entries {
        let name = json::unescape(key);
        let below = below_each.get(name.as_ref()).map(Vec::as_slice).unwrap_or_default();
        if below.iter().any(|rest| rest.is_empty()) {
            continue;
        }
        let out = writer.raw_key(key);
        match json::members(value).filter(|_| !below.is_empty()) {
            Some(inner) => write_without(out, inner, below),
            None => out.push_str(value),
        }
    }
    writer.end();
}

fn set_key(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let (Some(entries), Some(key)) = (bag(args[0]), args[1].as_str()) else { return false };
    let value = element(args[2]);
    write_with(out, entries, &key_path(key), &value);
    true
}

fn write_with(out: &mut String, entries: Vec<(&str, &str)>, path: &[&str], new: &str) {
    let Some((name, below)) = path.split_first() else { return };
    // The value at the end of the path, or the bags that lead there.
    let write = |out: &mut String, old: Option<&str>| {
        if below.is_empty() {
            out.push_str(new);
        } else {
            write_with(out, old.and_then(json::members).unwrap_or_default(), below, new);
        }
    };
    let mut writer = BagWriter::new(out);
    let mut found = false;
    for (key, value) in entries {
        let out = writer.raw_key(key);
        if !found && json::key_is(key, name) {
            found = true;
            write(out, Some(value));
        } else {
            out.push_str(value);
        }
    }
    if !found {
        write(writer.key(name), None);
    }
    writer.end();
}

fn zip(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let Some(keys) = array(args[0]) else { return false };
    let values = array(args[1]).unwrap_or_default();
    let mut writer = BagWriter::new(out);
    for (i, key) in keys.iter().enumerate().filter(|(_, key)| key.starts_with('"')) {
        writer.key(&json::unquote(key)).push_str(values.get(i).copied().unwrap_or("null"));
    }
    writer.end();
    true
}

fn to_json(args: &[ValueRef<'_>], out: &mut String) -> bool {
    match args[0] {
        ValueRef::Dynamic(text) => write_canonical(out, text, json::MAX_DEPTH),
        other => kqlake_value::format::write_value(out, other),
    }
    true
}

/// What is deeper than so many levels is written as it is.
fn write_canonical(out: &mut String, text: &str, levels: usize) {
    if levels == 0 {
        out.push_str(&json::compact(text.trim()));
    } else if let Some(elements) = json::elements(text) {
        out.push('[');
        for (i, element) in elements.enumerate() {
            if i > 0 {
                out.push(',');
            }
            write_canonical(out, element, levels - 1);
        }
        out.push(']');
    } else if let Some(members) = json::members(text) {
        let mut sorted: Vec<_> = members.into_iter().map(|(key, value)| (json::unescape(key), value)).collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        let mut writer = BagWriter::new(out);
        for (key, value) in sorted {
            write_canonical(writer.key(&key), value, levels - 1);
        }
        writer.end();
    } else {
        out.push_str(text.trim());
    }
}

fn tree_path(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let ValueRef::Dynamic(text) = args[0] else { return false };
    let mut paths = Paths::default();
    match json::json_type(text) {
        json::JsonType::Object | json::JsonType::Array => paths.collect(text, &mut String::new(), json::MAX_DEPTH),
        _ => return false,
    }
    out.push('[');
    for (i, path) in paths.ordered.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_json_string(out, path);
    }
    out.push(']');
    true
}

/// Paths, each once.
#[derive(Default)]
struct Paths {
    ordered: Vec<Rc<str>>,
    seen: HashSet<Rc<str>>,
}

impl Paths {
    /// The paths below a value, down to so many levels; all elements of an array share the path of its first.
    fn collect(&mut self, text: &str, at: &mut String, levels: usize) {
        if levels == 0 {
            return;
        }
        if let Some(members) = json::members(text) {
            for (key, value) in members {
                let length = at.len();
                at.push_str("['");
                at.push_str(&json::unescape(key));
                at.push_str("']");
                self.add(value, at, levels);
                at.truncate(length);
            }
        } else if let Some(elements) = json::elements(text) {
            let length = at.len();
            at.push_str("[0]");
            for value in elements {
                self.add(value, at, levels);
            }
            at.truncate(length);
        }
    }

    fn add(&mut self, value: &str, at: &mut String, levels: usize) {
        if !self.seen.contains(at.as_str()) {
            let path: Rc<str> = at.as_str().into();
            self.ordered.push(Rc::clone(&path));
            self.seen.insert(path);
        }
        self.collect(value, at, levels - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(f: fn(&[ValueRef<'_>], &mut String) -> bool, args: &[ValueRef<'_>]) -> String {
        let mut out = String::new();
        if f(args, &mut out) { out } else { "null".to_owned() }
    }

    #[test]
    fn bags_are_built_merged_and_cut() {
        use ValueRef::{Dynamic as D, Long as L, Null, String as S, TimeSpan};
        let bag = D(r#"{"k":123,"o":{"x":"abc","y":1.50},"l":[100, 200]}"#);
        assert_eq!(call(keys, &[bag]), r#"["k","o","l"]"#);
        assert_eq!(call(keys, &[D("[]")]), "null");
        assert_eq!(call(merge, &[D(r#"{"a":1}"#), Null, D(r#"{"\u0061":2,"b":null}"#)]), r#"{"a":1,"b":null}"#);
        assert_eq!(call(merge, &[D(r#"{"a":1}"#), D("1")]), r#"{"a":1}"#);
        assert_eq!(call(remove_keys, &[bag, D(r#"["$.o.x","l","none"]"#)]), r#"{"k":123,"o":{"y":1.50}}"#);
        assert_eq!(call(set_key, &[bag, S("k"), S("new")]), r#"{"k":"new","o":{"x":"abc","y":1.50},"l":[100, 200]}"#);
        assert_eq!(call(set_key, &[D(r#"{"a":1}"#), S("$.b.c"), L(2)]), r#"{"a":1,"b":{"c":2}}"#);
        assert_eq!(call(set_key, &[D("[1]"), S("a"), L(2)]), "null");
        let pairs = [S("a"), TimeSpan(10_000_000), S("b\""), Null, S("a"), L(3), S("c"), S("")];
        assert_eq!(call(|args, out| write_pack(args, out, false), &pairs), r#"{"a":"00:00:01","b\"":null,"c":""}"#);
        assert_eq!(call(|args, out| write_pack(args, out, true), &pairs), r#"{"a":"00:00:01"}"#);
        assert_eq!(call(zip, &[D(r#"["a",8,"b"]"#), D(r#"[1,"2"]"#)]), r#"{"a":1,"b":null}"#);
        assert_eq!(call(to_json, &[D(r#"{"b": [1,{"d":1,"c":2}],"a": "x"}"#)]), r#"{"a":"x","b":[1,{"c":2,"d":1}]}"#);
        assert_eq!(has_key(&[bag, S("$.o.x")]), Value::Bool(true));
        assert_eq!(has_key(&[bag, S("x")]), Value::Bool(false));
        assert_eq!(has_key(&[Null, S("x")]), Value::Null);
    }

    #[test]
    fn tree_paths_name_every_part_once() {
        let paths = |text| call(tree_path, &[ValueRef::Dynamic(text)]);
        assert_eq!(paths(r#"{"a":"b","c":123}"#), r#"["['a']","['c']"]"#);
        assert_eq!(paths(r#"{"l":[100,"abc",{"x":"y"}],"v":1}"#), r#"["['l']","['l'][0]","['l'][0]['x']","['v']"]"#);
        assert_eq!(paths("1"), "null");
    }
}
