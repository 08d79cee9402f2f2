//! Generated queries: operators and expressions in any order are bound or refused, without a panic.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::bind_only;
use super::catalog::{Catalog, TableSchema};
use kqlake_value::{Column, Type};

/// Cases of each property.
const CASES: u32 = 600;

/// The tables `T` and `U`, with a column of every type named after it (`c_long`), and the view `V`.
struct Tables;

impl Catalog for Tables {
    fn names(&self) -> Vec<String> {
        vec!["T".into(), "U".into(), "V".into()]
    }

    fn table(&self, name: &str) -> Option<Arc<TableSchema>> {
        let columns = Type::ALL.iter().map(|ty| Column::new(format!("c_{ty}"), *ty)).collect();
        let view = (name == "V").then(|| "T | where c_bool | extend v = c_long + 1".to_owned());
        matches!(name, "T" | "U" | "V").then(|| Arc::new(TableSchema { columns, view, ..TableSchema::default() }))
    }
}

/// Binds a text and checks the places of what was found. Whether it binds.
fn sound(text: &str) -> bool {
    let bound = bind_only(text, &Tables, &BTreeMap::new(), 1_700_000_000_000_000);
    for diagnostic in &bound.diagnostics {
        let (start, end) = (diagnostic.span.start as usize, diagnostic.span.end as usize);
        assert!(text.get(start..end).is_some(), "{diagnostic:?} is not in {text:?}");
    }
    let has_errors = bound.diagnostics.iter().any(|d| d.severity == kqlake_syntax::diagnostics::Severity::Error);
    assert!(bound.columns.is_some() || has_errors, "neither bound nor refused: {text:?}");
    bound.columns.is_some()
}

/// Operators with holes: `$` is a scalar expression, `#` a predicate, `@` a name.
const OPERATORS: &[&str] = &[
    "where #",
    "where # or not(#)",
    "extend @ = $",
    "extend @ = $, @ = $",
    "project $, @ = $",
    "project-away @",
    "project-keep @, c_*",
    "project-rename n = @",
    "project-reorder @, *_string desc",
    "summarize count() by @",
    "summarize @ = max($), avg($) by @ = bin(c_datetime, 1h)",
    "summarize arg_max($, *) by @",
    "summarize make_list($), dcountif($, #) by $",
    "summarize percentiles($, 50, 95)",
    "distinct @, $",
    "distinct *",
    "sort by $ desc nulls last, @",
    "top 5 by $",
    "take 3",
    "count",
    "join kind=leftouter (U | where #) on @",
    "join (U) on $left.@ == $right.@",
    "lookup (U | project @, l = $) on @",
    "union kind=inner withsource=S U, (T | extend @ = $)",
    "mv-expand @ = $ to typeof(long) limit 3",
    "mv-expand c_dynamic",
    "mv-apply e = $ on (where # | summarize max(e))",
    "parse c_string with * 'a' @: long ',' rest",
    "make-series n = count(), s = sum($) default = 0 on c_datetime from ago(1d) to now() step 1h by @",
    "top-nested 3 of @ by max($)",
    "serialize r = row_number(), p = prev(@)",
    "getschema",
    "search 'x' or @: 'y'",
    "evaluate bag_unpack(c_dynamic)",
    "evaluate pivot(@, count())",
    "scan with (step s: # => x = $;)",
    "partition by @ (top 1 by $)",
    "fork (take 1) (count)",
    "facet by @",
    "render timechart with (title = 'x')",
    "as N",
    "invoke f(1)",
    "reduce by @",
    "sample-distinct 3 of @",
    "find in (T) where #",
    "parse-kv c_string as (k: long) with (kv_delimiter='=')",
];

const SCALARS: &[&str] = &[
    "1",
    "2.5",
    "'x'",
    "1d",
    "datetime(2024-01-31)",
    "dynamic({'a': [1, 2]})",
    "long(null)",
    "guid(00000000-0000-0000-0000-000000000001)",
    "true",
    "c_long",
    "c_int",
    "c_real",
    "c_decimal",
    "c_string",
    "c_datetime",
    "c_timespan",
    "c_guid",
    "c_dynamic",
    "c_bool",
    "c_dynamic.a.b[0]",
    "c_dynamic['k']",
    "missing",
    "-c_long",
    "c_long + c_real",
    "c_datetime - 1d",
    "c_datetime - c_datetime",
    "c_string + 1",
    "strcat(c_string, c_long, 'z')",
    "iff(c_bool, c_long, 2)",
    "case(c_bool, 'a', c_string)",
    "tostring(c_dynamic.x)",
    "toint(c_string)",
    "bin(c_datetime, 1h)",
    "bin(c_long, 0)",
    "ago(1h)",
    "split(c_string, ',')[0]",
    "extract('(a+)', 1, c_string)",
    "coalesce(c_long, 0)",
    "array_length(c_dynamic)",
    "format_datetime(c_datetime, 'yyyy')",
    "parse_json(c_string).k",
    "x + y",
    "f(1)",
    "f(c_long, c_long)",
    "toscalar(U | summarize max(c_long))",
    "count()",
    "nosuch(1)",
    "c_long / 0",
    "now() - c_datetime",
];

const PREDICATES: &[&str] = &[
    "c_bool",
    "c_long == 1",
    "c_string has 'x'",
    "c_string in ('a', 'b')",
    "c_long !in (1, 2.5, 'x')",
    "c_datetime between (ago(1d) .. now())",
    "isnull(c_dynamic)",
    "isempty(c_string)",
    "c_string matches regex 'a['",
    "c_dynamic.a == 1",
    "c_dynamic == c_dynamic",
    "c_timespan > 1h",
    "c_guid == 'x'",
    "c_long has 'x'",
    "c_string contains c_dynamic",
    "missing > 1",
    "1",
    "c_string in ((U | project c_string))",
    "c_long has_any ('x', 'y')",
    "* has 'x'",
    "c_bool == c_long",
    "c_decimal <= c_real",
    "not(c_bool) and c_string startswith_cs 'q'",
    "f(1) == 1",
];

const NAMES: &[&str] = &["c_long", "c_string", "c_dynamic", "c_datetime", "c_bool", "missing", "n", "['a b']", "x"];

fn query() -> impl Strategy<Value = String> {
    let pick = |from: &'static [&'static str]| prop::sample::select(from);
    let fill = prop::collection::vec((pick(SCALARS), pick(PREDICATES), pick(NAMES)), 6);
    let operator = (pick(OPERATORS), fill).prop_map(|(operator, fill)| {
        let mut holes = fill.iter().cycle();
        let mut text = String::new();
        for letter in operator.chars() {
            match (letter, holes.next()) {
                ('$', Some(hole)) if !operator.contains("$left") => text.push_str(hole.0),
                ('#', Some(hole)) => text.push_str(hole.1),
                ('@', Some(hole)) => text.push_str(hole.2),
                _ => text.push(letter),
            }
        }
        text
    });
    let source = prop::sample::select(
        &["T", "V", "U | take 1", "union T, U", "print x = 1", "range n from 1 to 3 step 1", "search 'x'", "(T | where c_bool)"]
            [..],
    );
    (source, prop::collection::vec(operator, 0..6)).prop_map(|(source, operators)| {
        let mut text = format!("let f = (a: long, b: long = 2) {{ a + b }};\n{source}");
        for operator in operators {
            text.push_str("\n| ");
            text.push_str(&operator);
        }
        text
    })
}

#[test]
fn operators_in_any_order_are_bound_or_refused() {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&query(), |text| {
        sound(&text);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn every_operator_and_expression_is_bound_or_refused_alone() {
    let mut bound = 0;
    for operator in OPERATORS {
        for (scalar, (predicate, name)) in SCALARS.iter().zip(PREDICATES.iter().cycle().zip(NAMES.iter().cycle())) {
            let operator = if operator.contains("$left") { (*operator).to_owned() } else { operator.replace('$', scalar) };
            let text = format!("T | {}", operator.replace('#', predicate).replace('@', name));
            bound += usize::from(sound(&text));
        }
    }
    // The texts are no mere noise.
    assert!(bound > OPERATORS.len() * SCALARS.len() / 10, "only {bound} texts bind");
}

#[test]
fn deep_and_long_queries_are_bound_or_refused() {
    for text in [
        format!("print {}1{}", "(".repeat(450), ")".repeat(450)),
        format!("print {}1{}", "-(".repeat(400), ")".repeat(400)),
        format!("print {}1", "1 + ".repeat(450)),
        format!("print {}'a'{}", "strcat('x', ".repeat(300), ")".repeat(300)),
        format!("T | where {}c_bool", "c_long == 1 or ".repeat(3_000)),
        format!("T | where c_long in ({}1)", "1, ".repeat(5_000)),
        format!("T{}", " | where c_bool".repeat(1_000)),
        format!("T | extend {}c = 1", (0..500).map(|i| format!("x{i} = c_long, ")).collect::<String>()),
    ] {
        // As much stack as the command line gives itself: a tree may be as deep as the parser lets it.
        let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(move || sound(&text));
        assert!(thread.is_ok_and(|thread| thread.join().is_ok()));
    }
}
