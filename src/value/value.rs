//! KQL values, one at a time: what literals hold and what row-wise functions take and give.

use crate::Type;

/// A JSON value whose objects keep the order of their keys.
pub type Json = serde_json::Value;

/// The greatest decimal, scaled by 10^18: 38 digits, of which 20 stand before the point. The least is its negative.
const MAX_DECIMAL: i128 = 10i128.pow(38) - 1;

/// A number scaled by 10^18 as a decimal; `None` beyond the range.
pub fn decimal(scaled: i128) -> Option<i128> {
    (-MAX_DECIMAL..=MAX_DECIMAL).contains(&scaled).then_some(scaled)
}

/// The real that stands for all that are equal where rows are grouped: one NaN, whatever its sign and bits, and one zero.
pub fn real_key(v: f64) -> f64 {
    if v.is_nan() {
        f64::NAN
    } else if v == 0.0 {
        0.0
    } else {
        v
    }
}

/// An owned KQL value. The type is known beside it; `Null` is the null of any type but string.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Null of any type. A null string is the empty string.
    Null,
    /// bool
    Bool(bool),
    /// int
    Int(i32),
    /// long
    Long(i64),
    /// real
    Real(f64),
    /// decimal, scaled by 10^18
    Decimal(i128),
    /// string
    String(String),
    /// datetime: ticks of 100 ns since 0001-01-01 UTC, 0 to [`MAX_DATETIME`]
    DateTime(i64),
    /// timespan: ticks of 100 ns
    TimeSpan(i64),
    /// guid, lower case with dashes
    Guid(String),
    /// dynamic; `Json::Null` is the same as `Null`
    Dynamic(Json),
}

/// A borrowed KQL value: what a row-wise function sees of an argument.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueRef<'a> {
    /// Null of any type but string.
    Null,
    /// bool
    Bool(bool),
    /// int
    Int(i32),
    /// long
    Long(i64),
    /// real
    Real(f64),
    /// decimal, scaled by 10^18
    Decimal(i128),
    /// string (never null: a missing one is empty)
    String(&'a str),
    /// datetime: ticks of 100 ns since 0001-01-01 UTC, 0 to [`MAX_DATETIME`]
    DateTime(i64),
    /// timespan: ticks of 100 ns
    TimeSpan(i64),
    /// guid, lower case with dashes
    Guid(&'a str),
    /// dynamic, as JSON text (never the text `null`: that is `Null`)
    Dynamic(&'a str),
}

impl Value {
    /// Borrows a value that needs no text of its own; a dynamic reads as null.
    pub fn as_scalar(&self) -> ValueRef<'_> {
        match self {
            Value::Null | Value::Dynamic(_) => ValueRef::Null,
            Value::Bool(v) => ValueRef::Bool(*v),
            Value::Int(v) => ValueRef::Int(*v),
            Value::Long(v) => ValueRef::Long(*v),
            Value::Real(v) => ValueRef::Real(*v),
            Value::Decimal(v) => ValueRef::Decimal(*v),
            Value::String(v) => ValueRef::String(v),
            Value::DateTime(v) => ValueRef::DateTime(*v),
            Value::TimeSpan(v) => ValueRef::TimeSpan(*v),
            Value::Guid(v) => ValueRef::Guid(v),
        }
    }

    /// True for null of any type (the empty string is not null).
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null | Value::Dynamic(Json::Null))
    }

    /// The value's type; `None` for null.
    pub fn ty(&self) -> Option<Type> {
        Some(match self {
            Value::Null => return None,
            Value::Bool(_) => Type::Bool,
            Value::Int(_) => Type::Int,
            Value::Long(_) => Type::Long,
            Value::Real(_) => Type::Real,
            Value::Decimal(_) => Type::Decimal,
            Value::String(_) => Type::String,
            Value::DateTime(_) => Type::DateTime,
            Value::TimeSpan(_) => Type::TimeSpan,
            Value::Guid(_) => Type::Guid,
            Value::Dynamic(_) => Type::Dynamic,
        })
    }
}

impl<'a> ValueRef<'a> {
    /// True for null of any type.
    pub fn is_null(self) -> bool {
        self == ValueRef::Null
    }

    /// The value that stands for all that are equal to it where rows are grouped ([`real_key`]).
    pub fn key(self) -> ValueRef<'a> {
        match self {
            ValueRef::Real(v) => ValueRef::Real(real_key(v)),
            other => other,
        }
    }

    /// int or long as i64.
    pub fn as_i64(self) -> Option<i64> {
        match self {
            ValueRef::Int(v) => Some(v.into()),
            ValueRef::Long(v) => Some(v),
            _ => None,
        }
    }

    /// Any number as f64.
    pub fn as_f64(self) -> Option<f64> {
        match self {
            ValueRef::Int(v) => Some(v.into()),
            ValueRef::Long(v) => Some(v as f64),
            ValueRef::Real(v) => Some(v),
            ValueRef::Decimal(v) => Some(v as f64 / 1e18),
            _ => None,
        }
    }

    /// The text of a string; `None` for any other value.
    pub fn as_str(self) -> Option<&'a str> {
        match self {
            ValueRef::String(v) => Some(v),
            _ => None,
        }
    }
}
