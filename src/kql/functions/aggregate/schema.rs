//! buildschema: the narrowest schema that all dynamic values fit.
//!
//! A scalar is its type's name; a bag is a bag of its properties' schemas; an array is a bag whose key `` `indexer` `` holds
//! the schema of its elements. Several kinds in one place are an array of alternatives: the bag first, then the names.

use std::collections::{BTreeMap, BTreeSet};

use crate::functions::{Accumulate, AggregateFn, AggregateImpl, ArgType, Naming, Param, Returns};
use kqlake_value::json::MAX_DEPTH;
use kqlake_value::{Json, Type, Value, ValueRef, json_of};

/// The functions.
pub(crate) const AGGREGATES: &[AggregateFn] = &[AggregateFn::new(
    "buildschema",
    &[Param::req("expr", ArgType::Dynamic)],
    Returns::Type(Type::Dynamic),
    Naming::Prefix("schema"),
    AggregateImpl::Rows(|_, _| Ok(Box::new(Build::default()))),
    "The narrowest schema that all dynamic values fit.",
)];

/// The key of an array's elements.
const INDEXER: &str = "`indexer`";

#[derive(Debug, Default)]
struct Schema {
    properties: BTreeMap<String, Schema>,
    scalars: BTreeSet<&'static str>,
}

/// The name of a scalar's type, from the names that a schema may hold.
fn scalar_name(name: &str) -> Option<&'static str> {
    ["bool", "double", "long", "string", "datetime", "timespan", "guid", "decimal", "int"].into_iter().find(|n| *n == name)
}

/// Bytes of a place of a schema beside its key's text: a node of the tree above it, and the set of its types.
const PLACE: usize = 320;

impl Schema {
    /// The schema of a key, new or known; the bytes of a new one are counted.
    fn place(&mut self, key: &str, bytes: &mut usize) -> &mut Schema {
        if !self.properties.contains_key(key) {
            *bytes += PLACE + key.len();
        }
        self.properties.entry(key.to_owned()).or_default()
    }

    fn add(&mut self, json: &Json, bytes: &mut usize) {
        match json {
            Json::Null => {}
            Json::Bool(_) => {
                self.scalars.insert("bool");
            }
            Json::Number(n) => {
                self.scalars.insert(if n.is_f64() { "double" } else { "long" });
            }
            Json::String(_) => {
                self.scalars.insert("string");
            }
            Json::Array(items) => {
                let element = self.place(INDEXER, bytes);
                for item in items {
                    element.add(item, bytes);
                }
            }
            Json::Object(map) => {
                for (key, value) in map {
                    self.place(key, bytes).add(value, bytes);
                }
            }
        }
    }

    /// Takes a schema in its JSON form.
    fn merge(&mut self, json: &Json, bytes: &mut usize) {
        match json {
            Json::String(name) => {
                self.scalars.extend(scalar_name(name));
            }
            Json::Array(alternatives) => {
                for alternative in alternatives {
                    self.merge(alternative, bytes);
                }
            }
            Json::Object(map) => {
                for (key, value) in map {
                    self.place(key, bytes).merge(value, bytes);
                }
            }
            _ => {}
        }
    }

    fn to_json(&self) -> Json {
        let mut alternatives = Vec::new();
        if !self.properties.is_empty() {
            alternatives.push(Json::Object(self.properties.iter().map(|(k, v)| (k.clone(), v.to_json())).collect()));
        }
        alternatives.extend(self.scalars.iter().map(|s| Json::from(*s)));
        match alternatives.len() {
            1 => alternatives.remove(0),
            0 => Json::Object(serde_json::Map::new()),
            _ => Json::Array(alternatives),
        }
    }
}

/// How deep a value is: 0 for scalars.
fn levels(json: &Json) -> usize {
    match json {
        Json::Array(items) => 1 + items.iter().map(levels).max().unwrap_or_default(),
        Json::Object(map) => 1 + map.values().map(levels).max().unwrap_or_default(),
        _ => 0,
    }
}

#[derive(Debug, Default)]
struct Build {
    schema: Schema,
    /// Bytes of its places.
    bytes: usize,
    /// There was a value: the schema of none is null.
    seen: bool,
}

impl Accumulate for Build {
    fn update(&mut self, args: &[ValueRef<'_>]) {
        if let ValueRef::Dynamic(text) = args[0] {
            // A schema has up to two levels for one of its value, and travels as JSON: what is deeper counts as text.
            let json = Some(json_of(text)).filter(|json| levels(json) <= MAX_DEPTH / 2);
            let json = json.unwrap_or_else(|| Json::String(String::new()));
            self.seen = true;
            self.schema.add(&json, &mut self.bytes);
        }
    }

    fn state(&self) -> Vec<u8> {
        if self.seen { self.schema.to_json().to_string().into_bytes() } else { Vec::new() }
    }

    fn merge(&mut self, state: &[u8]) {
        if let Ok(json) = serde_json::from_slice::<Json>(state) {
            self.seen = true;
            self.schema.merge(&json, &mut self.bytes);
        }
    }

    fn finish(&self) -> Value {
        if self.seen { Value::Dynamic(self.schema.to_json()) } else { Value::Null }
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_in_one_place_become_alternatives_and_states_merge() {
        let mut a = Build::default();
        a.update(&[ValueRef::Dynamic(r#"{"x":1,"y":[1,2.5]}"#)]);
        let mut b = Build::default();
        b.update(&[ValueRef::Dynamic(r#"{"x":{"z":true},"y":"s"}"#)]);
        a.merge(&b.state());
        let expected = serde_json::json!({"x": [{"z": "bool"}, "long"], "y": [{"`indexer`": ["double", "long"]}, "string"]});
        assert_eq!(a.finish(), Value::Dynamic(expected));
    }
}
