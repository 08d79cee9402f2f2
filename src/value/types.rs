//! KQL's scalar types and the widening order between them.

use std::fmt;

/// A KQL scalar type.
///
/// Meaning and width as in the Kusto documentation, "Scalar data types".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Type {
    /// `bool`: true, false or null.
    Bool,
    /// `int`: 32 bits, signed.
    Int,
    /// `long`: 64 bits, signed.
    Long,
    /// `real`: IEEE 754 double.
    Real,
    /// `decimal`: exact decimal number.
    Decimal,
    /// `string`: UTF-8, never null (a missing value is the empty string).
    String,
    /// `datetime`: an instant, UTC, in ticks of 100 ns; columns at rest have microseconds.
    DateTime,
    /// `timespan`: signed ticks of 100 ns.
    TimeSpan,
    /// `guid`: 128 bits, written in lower case with dashes.
    Guid,
    /// `dynamic`: any JSON value, kept as its text.
    Dynamic,
}

impl Type {
    /// All types, in the order of the documentation.
    pub const ALL: [Type; 10] = [
        Type::Bool,
        Type::Int,
        Type::Long,
        Type::Real,
        Type::Decimal,
        Type::String,
        Type::DateTime,
        Type::TimeSpan,
        Type::Guid,
        Type::Dynamic,
    ];

    /// The type's KQL name, as `getschema` and `typeof` write it.
    pub fn name(self) -> &'static str {
        match self {
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Long => "long",
            Type::Real => "real",
            Type::Decimal => "decimal",
            Type::String => "string",
            Type::DateTime => "datetime",
            Type::TimeSpan => "timespan",
            Type::Guid => "guid",
            Type::Dynamic => "dynamic",
        }
    }

    /// The .NET name that `getschema` and the Kusto v1 answer give (`SByte` stands for bool there).
    pub fn dotnet_name(self) -> &'static str {
        match self {
            Type::Bool => "System.SByte",
            Type::Int => "System.Int32",
            Type::Long => "System.Int64",
            Type::Real => "System.Double",
            Type::Decimal => "System.Data.SqlTypes.SqlDecimal",
            Type::String => "System.String",
            Type::DateTime => "System.DateTime",
            Type::TimeSpan => "System.TimeSpan",
            Type::Guid => "System.Guid",
            Type::Dynamic => "System.Object",
        }
    }

    /// The type that a name or one of its synonyms stands for; `None` for an unknown name.
    pub fn parse(name: &str) -> Option<Type> {
        Some(match name {
            "bool" | "boolean" => Type::Bool,
            "int" | "int32" => Type::Int,
            "long" | "int64" => Type::Long,
            "real" | "double" => Type::Real,
            "decimal" => Type::Decimal,
            "string" => Type::String,
            "datetime" | "date" => Type::DateTime,
            "timespan" | "time" => Type::TimeSpan,
            "guid" | "uuid" | "uniqueid" => Type::Guid,
            "dynamic" => Type::Dynamic,
            _ => return None,
        })
    }

    /// int, long, real or decimal.
    pub fn is_numeric(self) -> bool {
        matches!(self, Type::Int | Type::Long | Type::Real | Type::Decimal)
    }

    /// int or long.
    pub fn is_integer(self) -> bool {
        matches!(self, Type::Int | Type::Long)
    }

    /// Numbers, datetime and timespan: what `sum`-like arithmetic and `bin` take.
    pub fn is_summable(self) -> bool {
        self.is_numeric() || matches!(self, Type::DateTime | Type::TimeSpan)
    }

    /// The narrowest type that both widen to (int, long, real, decimal), the type itself when equal; else `None`.
    pub fn widest(self, other: Type) -> Option<Type> {
        if self == other {
            return Some(self);
        }
        (self.is_numeric() && other.is_numeric()).then(|| self.max(other))
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A named, typed column of a tabular expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name, case-sensitive.
    pub name: String,
    /// Type.
    pub ty: Type,
}

impl Column {
    /// A column.
    pub fn new(name: impl Into<String>, ty: Type) -> Self {
        Column { name: name.into(), ty }
    }
}
