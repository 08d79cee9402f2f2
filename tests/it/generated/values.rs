//! Values of every type: the ordinary, the empty, the ends of ranges; and how they are written as literals.

use kqlake_value::{Column, Type};
use serde_json::{Value as Json, json};

use super::random::Random;
use super::tree::Table;

const GUIDS: [&str; 3] =
    ["00000000-0000-0000-0000-000000000001", "4f2b0c1d-0000-4000-8000-00000000abcd", "ffffffff-ffff-ffff-ffff-ffffffffffff"];

/// Values that rows are made of: few, so that rows meet in joins and groups.
fn common(ty: Type) -> Vec<Json> {
    match ty {
        Type::Bool => vec![Json::Null, json!(true), json!(false)],
        Type::Int => vec![Json::Null, json!(0), json!(1), json!(2), json!(-1), json!(7)],
        Type::Long => vec![Json::Null, json!(0), json!(1), json!(2), json!(3), json!(-1), json!(10)],
        Type::Real => ["NaN", "Infinity", "-Infinity"]
            .iter()
            .map(|text| json!(text))
            .chain([Json::Null, json!(0.0), json!(0.5), json!(1.0), json!(2.0), json!(-1.5), json!(10.25)])
            .collect(),
        Type::Decimal => vec![Json::Null, json!("0"), json!("1"), json!("2"), json!("1.5"), json!("-2.25")],
        Type::String => [
            "",
            "a",
            "b",
            "c",
            "A",
            "a b",
            "b-c",
            "1",
            "2",
            "k=1,l=a",
            "\u{e9}t\u{e9}",
            "true",
            "x y z",
            "[1,2]",
            "{\"k\":1}",
            "\"q\"",
            "a\nb",
            "a,b",
            "2020-01-01",
            "0.5",
        ]
        .map(|text| json!(text))
        .to_vec(),
        Type::DateTime => vec![
            Json::Null,
            json!("2020-01-01T00:00:00.0000000Z"),
            json!("2020-01-01T00:00:00.0000001Z"),
            json!("2020-01-02T00:00:00.0000000Z"),
            json!("2020-01-03T12:00:00.0000000Z"),
            json!("2020-02-29T12:34:56.7890123Z"),
        ],
        Type::TimeSpan => ["00:00:00", "1.00:00:00", "-01:00:00", "00:00:00.0000001", "02:30:00"]
            .iter()
            .map(|text| json!(text))
            .chain([Json::Null])
            .collect(),
        Type::Guid => GUIDS.iter().map(|guid| json!(guid)).chain([Json::Null]).collect(),
        Type::Dynamic => vec![
            Json::Null,
            json!(1),
            json!(1.5),
            json!(true),
            json!("a"),
            json!(""),
            json!("1"),
            json!([]),
            json!([1, 2, 3]),
            json!([1, null, "a"]),
            json!(["b", "a"]),
            json!([[1], [2, 3]]),
            json!({}),
            json!({"k": 1}),
            json!({"k": "a", "l": [1]}),
            json!({"k": null, "m": 2.5}),
            json!({"l": {"k": true}}),
            json!("2020-01-01"),
        ],
    }
}

/// The ends of ranges and what is odd.
fn edges(ty: Type) -> Vec<Json> {
    match ty {
        Type::Bool => common(ty),
        Type::Int => vec![json!(i32::MAX), json!(i32::MIN)],
        Type::Long => {
            vec![
                json!(i64::MAX),
                json!(i64::MIN),
                json!(1_i64 << 53),
                json!(4_294_967_296_i64),
                json!(621_355_968_000_000_000_i64),
            ]
        }
        Type::Real => {
            vec![json!(-0.0), json!(1e15), json!(-1e15), json!(f64::MAX), json!(5e-324), json!(0.1), json!(1e-7), json!(9.3e18)]
        }
        Type::Decimal => vec![json!("0.000000000000000001"), json!("12345678901234567890"), json!("-0.1")],
        Type::String => [
            "0x10",
            " 12 ",
            "1e3",
            "NaN",
            "inf",
            "True",
            "null",
            "9223372036854775808",
            "1.00:00:00",
            GUIDS[1],
            "\u{1F600} \u{df}",
            "a\u{0}b",
            "'",
            "\\",
            "%41+%zz",
            "YWJj",
            "https://u:p@h.example:80/p?q=1#f",
            "10.0.0.1/24",
            "2020-02-29T12:34:56.7890123+02:00",
            "<a k='1'>x</a>",
            "   ",
            "aAbB",
            "a.b*c",
            "tab\there",
            "1,2,3",
        ]
        .map(|text| json!(text))
        .to_vec(),
        Type::DateTime => vec![
            json!("0001-01-01T00:00:00.0000000Z"),
            json!("9999-12-31T23:59:59.9999999Z"),
            json!("1969-12-31T23:59:59.9999999Z"),
            json!("1600-02-29T00:00:00.0000000Z"),
        ],
        Type::TimeSpan => {
            vec![json!("10675199.02:48:05.4775807"), json!("-10675199.02:48:05.4775808"), json!("-00:00:00.0000001")]
        }
        Type::Guid => common(ty),
        Type::Dynamic => vec![
            json!(i64::MAX),
            json!(-0.5),
            json!(1e300),
            json!([null]),
            json!([1, 1, 2]),
            json!([0.5, 1.5, "NaN"]),
            json!({"": 1}),
            json!({"a b": {"c": [1, {"d": 2}]}}),
            json!("{\"k\":1}"),
            json!("\u{e9}\n"),
            json!([{"k": 1}, {"k": 2}]),
            json!(["2020-01-01T00:00:00.0000000Z"]),
            json!(false),
            json!([true, false]),
            json!([3, 1, 2, null, 5, 8, 2, 1]),
            json!("x y"),
            json!(["a", "b", "A"]),
        ],
    }
}

/// The values that a failing query is brought down to, the simplest first.
pub fn simplest(ty: Type) -> Vec<Json> {
    match ty {
        Type::Bool => vec![json!(true), json!(false), Json::Null],
        Type::Int | Type::Long => vec![json!(1), json!(2), json!(0), Json::Null],
        Type::Real => vec![json!(1.0), json!(2.0), Json::Null],
        Type::Decimal => vec![json!("1"), json!("2"), Json::Null],
        Type::String => vec![json!("a"), json!("b"), json!("")],
        Type::DateTime => vec![json!("2020-01-01T00:00:00.0000000Z"), json!("2020-01-02T00:00:00.0000000Z"), Json::Null],
        Type::TimeSpan => vec![json!("01:00:00"), json!("00:00:00"), Json::Null],
        Type::Guid => vec![json!(GUIDS[0]), json!(GUIDS[1]), Json::Null],
        Type::Dynamic => vec![json!(1), json!([1]), json!({"k": 1}), json!("a"), Json::Null],
    }
}

/// A value; in so many of a hundred cases one of the ends of the type's range.
pub fn value(random: &mut Random, ty: Type, edge: usize) -> Json {
    if random.percent(edge) { random.pick(&edges(ty)).clone() } else { random.pick(&common(ty)).clone() }
}

/// Any type.
pub fn any_type(random: &mut Random) -> Type {
    *random.weighted(&[
        (6, Type::Long),
        (6, Type::String),
        (3, Type::Dynamic),
        (2, Type::Real),
        (2, Type::DateTime),
        (2, Type::Bool),
        (1, Type::Int),
        (1, Type::TimeSpan),
        (1, Type::Guid),
        (1, Type::Decimal),
    ])
}

/// Rows of some columns, with a few that are there twice.
pub fn rows(random: &mut Random, columns: &[Column], count: usize) -> Vec<Vec<Json>> {
    let mut rows: Vec<Vec<Json>> = Vec::new();
    while rows.len() < count {
        if !rows.is_empty() && random.percent(20) {
            let again = random.pick(&rows).clone();
            rows.push(again);
        } else {
            rows.push(columns.iter().map(|column| value(random, column.ty, 4)).collect());
        }
    }
    rows
}

/// A table of the names given, each with a type, and up to six rows.
pub fn table(random: &mut Random, names: &[&str]) -> Table {
    let columns: Vec<Column> = names.iter().map(|name| Column::new(*name, any_type(random))).collect();
    let count = *random.weighted(&[(2, 0), (3, 1), (6, 2), (8, 3), (6, 4), (4, 5), (4, 6), (1, 30)]);
    let rows = rows(random, &columns, count);
    Table { columns, rows }
}

/// A value as a literal that reads back as the same value.
pub fn literal(ty: Type, value: &Json) -> String {
    match (ty, value) {
        (Type::String, Json::Null) => "\"\"".to_owned(),
        (Type::String, Json::String(text)) => quoted(text),
        (Type::Dynamic, value) => format!("dynamic({})", dynamic(value)),
        (Type::Bool, Json::Bool(v)) => v.to_string(),
        (Type::Real, Json::Number(v)) => format!("real({:?})", v.as_f64().unwrap_or(f64::NAN)),
        (Type::Real, Json::String(name)) => match name.trim_start_matches(['+', '-']).chars().next() {
            Some('N' | 'n') => "real(nan)".to_owned(),
            _ => format!("real({}inf)", if name.starts_with('-') { "-" } else { "+" }),
        },
        (Type::Long, Json::Number(v)) if v.as_i64().is_some_and(|v| v >= 0) => v.to_string(),
        (ty, Json::String(text)) => format!("{ty}({text})"),
        (ty, value) => format!("{ty}({value})"),
    }
}

/// The content of `dynamic(…)`.
fn dynamic(value: &Json) -> String {
    match value {
        Json::Number(v) if v.is_f64() => format!("{:?}", v.as_f64().unwrap_or_default()),
        Json::String(text) => quoted(text),
        Json::Array(items) => format!("[{}]", items.iter().map(dynamic).collect::<Vec<_>>().join(",")),
        Json::Object(items) => {
            let items: Vec<String> = items.iter().map(|(key, value)| format!("{}:{}", quoted(key), dynamic(value))).collect();
            format!("{{{}}}", items.join(","))
        }
        other => other.to_string(),
    }
}

/// A text between quotes.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            letter if letter.is_control() => out.push_str(&format!("\\u{:04x}", letter as u32)),
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

/// A column's name, in brackets unless it is an ordinary word.
pub fn name(name: &str) -> String {
    let plain = name.len() <= 2 && name.starts_with(|c: char| c.is_ascii_lowercase())
        || name.contains(|c: char| c.is_ascii_digit() || c == '_') && name.starts_with(|c: char| c.is_ascii_alphabetic());
    let word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if word && (plain || name == "Count") && !["as", "by", "in", "on", "of", "or", "to"].contains(&name) {
        name.to_owned()
    } else {
        let quoted = quoted(name);
        format!("[{quoted}]")
    }
}
