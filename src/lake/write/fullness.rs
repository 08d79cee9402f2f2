//! How much a JSON text holds: bags and untouched records are one value each, however many fields a poorer shape of a record
//! leaves out of them.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

/// How much the values within a JSON text say: a number or a truth value 3, a text 2, and nothing for what is null or empty. So
/// values that lost their types, as those of CSV, are less than those that kept them. A text that is no JSON, or too deep to be
/// read, says as much as a text.
pub(super) fn fullness(json: &str) -> u32 {
    serde_json::from_str::<Fullness>(json).map_or(TEXT, |fullness| fullness.0)
}

const TEXT: u32 = 2;
const TYPED: u32 = 3;

struct Fullness(u32);

impl<'de> Deserialize<'de> for Fullness {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Fullness;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("any JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Fullness, E> {
        Ok(Fullness(TYPED))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Fullness, E> {
        Ok(Fullness(TYPED))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Fullness, E> {
        Ok(Fullness(TYPED))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Fullness, E> {
        Ok(Fullness(TYPED))
    }

    fn visit_str<E>(self, text: &str) -> Result<Fullness, E> {
        Ok(Fullness(if text.is_empty() { 0 } else { TEXT }))
    }

    fn visit_unit<E>(self) -> Result<Fullness, E> {
        Ok(Fullness(0))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Fullness, A::Error> {
        let mut sum = 0u32;
        while let Some(Fullness(one)) = elements.next_element()? {
            sum = sum.saturating_add(one);
        }
        Ok(Fullness(sum))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Fullness, A::Error> {
        let mut sum = 0u32;
        while let Some((serde::de::IgnoredAny, Fullness(one))) = members.next_entry()? {
            sum = sum.saturating_add(one);
        }
        Ok(Fullness(sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_count_that_say_something() {
        for (json, expected) in [
            ("null", 0),
            ("{}", 0),
            (r#"{"a":null,"b":"","c":[],"d":{}}"#, 0),
            (r#"{"a":"x"}"#, 2),
            (r#"{"a":"5"}"#, 2),
            (r#"{"a":5,"b":-1.5e3,"c":true,"d":18446744073709551615}"#, 12),
            (r#"{"a":{"b":[1,"x",{"c":"y"}]}}"#, 7),
            ("no json", 2),
        ] {
            assert_eq!(fullness(json), expected, "{json}");
        }
        assert_eq!(fullness(&"[".repeat(500)), 2);
    }
}
