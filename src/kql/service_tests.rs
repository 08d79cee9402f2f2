//! What a check says of queries: the columns that Microsoft's language service shows, where it goes its own way beside the
//! engine (`binder`: nothing is to be run).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bind_only;
use super::catalog::{Catalog, TableSchema};
use kqlake_syntax::diagnostics::Severity;
use kqlake_value::{Column, Type};

/// Two tables that share some columns.
struct Tables;

impl Catalog for Tables {
    fn names(&self) -> Vec<String> {
        vec!["A".into(), "B".into()]
    }

    fn table(&self, name: &str) -> Option<Arc<TableSchema>> {
        let of = |columns: &[(&str, Type)]| columns.iter().map(|(n, ty)| Column::new(*n, *ty)).collect();
        let columns = match name {
            "A" => of(&[("t", Type::DateTime), ("s", Type::String), ("n", Type::Long), ("d", Type::Dynamic)]),
            "B" => of(&[("t", Type::DateTime), ("s", Type::String), ("m", Type::Real)]),
            _ => return None,
        };
        Some(Arc::new(TableSchema { columns, ..TableSchema::default() }))
    }
}

/// The result's columns as `name:type, …`, or the first error.
fn shown(text: &str) -> String {
    let bound = bind_only(text, &Tables, &BTreeMap::new(), 1_700_000_000_000_000);
    match bound.diagnostics.iter().find(|d| d.severity == Severity::Error) {
        Some(error) => error.message.clone(),
        None => {
            let columns = bound.columns.unwrap_or_default();
            columns.iter().map(|c| format!("{}:{}", c.name, c.ty)).collect::<Vec<_>>().join(", ")
        }
    }
}

fn all(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(shown(text), *expected, "{text}");
    }
}

#[test]
fn generated_names_are_counted_through_the_query() {
    all(&[
        ("A | project n + 1 | project Column1 * 2, 7", "Column2:long, Column3:long"),
        ("A | extend n + 1 | project-away Column1 | summarize by n + 2", "Column2:long"),
        ("let f = () { A | project n + 1 }; f | union f | extend 2", "Column1:long, Column2:long"),
        ("let x = A | project n, n + 1; x | project n, 5 | join x on n", "n:long, Column2:long, n1:long, Column1:long"),
    ]);
}

#[test]
fn a_join_asks_each_side_for_its_own_keys() {
    let side = "A | project n, d | evaluate bag_unpack(d)";
    all(&[
        (&format!("{side} | join ({side}) on $left.x == $right.y"), "n:long, x:dynamic, n1:long, y:dynamic"),
        (&format!("{side} | join ({side}) on $right.y == $left.x"), "n:long, x:dynamic, n1:long, y:dynamic"),
        (&format!("{side} | join ({side}) on x"), "n:long, x:dynamic, n1:long, x1:dynamic"),
    ]);
}

#[test]
fn a_second_target_of_extend_takes_the_place_of_the_first() {
    all(&[
        ("A | project d | extend tostring(d.x), tolong(d.x)", "d:dynamic, d_x:long"),
        ("A | project s | extend strlen(s), strlen(s)", "s:string, strlen_s:long"),
        ("A | project d.x, tostring(d.x)", "d_x:dynamic, d_x1:string"),
    ]);
}

#[test]
fn columns_of_a_function_that_are_not_named_stay() {
    all(&[
        (
            "A | project d | extend (x, y) = series_decompose(d)",
            "d:dynamic, x:dynamic, y:dynamic, series_decompose_d_trend:dynamic, series_decompose_d_residual:dynamic",
        ),
        ("A | project d | extend (a, b, c, e) = series_decompose_anomalies(d)", "'e' has no value: there are 3 columns"),
        ("print x = series_decompose(dynamic([1])), 5", "x:dynamic, print_1:long"),
    ]);
}

#[test]
fn returned_columns_are_those_that_are_no_keys() {
    all(&[
        ("A | summarize arg_max(t, *) by x = s", "x:string, t:datetime, n:long, d:dynamic"),
        ("A | summarize arg_max(tolong(s), *) by n", "n:long, s:long, t:datetime, s1:string, d:dynamic"),
        ("A | summarize arg_max(t, *, s) by tolong(n)", "n:long, t:datetime, s:string, d:dynamic"),
        ("A | summarize (a, b, c) = arg_max(t, s)", "'c' has no value: there are 2 columns"),
    ]);
}

#[test]
fn a_name_is_known_where_one_of_the_searched_tables_has_it() {
    all(&[
        ("search in (A, B) n == 1 or m > 2.5", "$table:string, t:datetime, s:string, n:long, d:dynamic, m:real"),
        ("find in (A, B) where n == 1 or m > 2.5", "source_:string, t:datetime, s:string, n:long, m:real, pack_:dynamic"),
        ("find in (A, B) where n == 1 project s, m", "source_:string, s:string, m:real"),
        ("search in (A, B) nosuch == 1", "unknown column 'nosuch'"),
        ("find in (A, B) where n == 1 project nosuch", "unknown column 'nosuch'"),
    ]);
}

#[test]
fn tables_that_are_not_there_have_any_columns() {
    all(&[
        ("union isfuzzy=true Nosuch, B | project s, q", "s:string, q:dynamic"),
        ("union isfuzzy=true (Nosuch | where q == 1 | project q), B | project q, m", "q:dynamic, m:real"),
        ("union Nosuch, B", "unknown table 'Nosuch'"),
        ("cluster('c').database('d').T | where a == 1 | project a, b", "a:dynamic, b:dynamic"),
        ("cluster('c').database('d').f(1) | count", "Count:long"),
        ("database('d').T", "database('d') is not mapped to this lake"),
    ]);
}

#[test]
fn a_parsed_column_stands_beside_the_one_of_its_name() {
    all(&[
        ("B | project s, m | parse s with * '@' m:long", "s:string, m:real, m:long"),
        ("B | project s, m | parse s with * '@' m:long | extend x = m", "s:string, m:real, m1:long, x:real"),
    ]);
}

#[test]
fn what_stands_in_a_typed_literal_is_not_read() {
    all(&[
        ("print datetime(<start>), long('1')", "print_0:datetime, print_1:long"),
        ("A | where t > datetime({from}) | project n", "n:long"),
    ]);
}

#[test]
fn other_shapes() {
    all(&[
        ("A | getschema", "ColumnName:string, ColumnOrdinal:long, DataType:string, ColumnType:string"),
        ("A | project t, n | sort by t asc | scan with (step s: true;)", "t:datetime, n:long, match_id:long"),
        ("union kind=inner (A | project s, n), (B | project s)", "s:string, n:long"),
        ("A | make-series percentile(n, 95), p = max(n) on t step 1d", "percentile_n_95:long, p:dynamic, t:dynamic"),
        ("print ceiling(5), ceiling(5.5)", "print_0:long, print_1:real"),
        ("A | project s, n | extend p = pack_array(*)", "s:string, n:long, p:dynamic"),
        ("let f = (T: (s: string)) { T | extend k = 1 }; B | invoke f()", "t:datetime, s:string, m:real, k:long"),
        ("A | evaluate python(typeof(*, x: real), 'code') | project s, x", "s:string, x:real"),
        ("let f = (x: long) { x + 1 };", ""),
    ]);
}
