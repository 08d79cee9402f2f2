//! Texts far larger than anyone writes: each is answered or refused, in bounded time, and never ends the process.
//!
//! Times are bounds against hanging on the slowest machine and in a debug build, not measurements.

use std::time::{Duration, Instant};

use super::support::{Run, run_in};

/// What one text may take.
const BOUND: Duration = Duration::from_secs(40);

fn run(text: &str) -> Run {
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(dir.path().join("q.kql"), text).expect("a file");
    let start = Instant::now();
    let run = run_in(dir.path(), &["query", "@q.kql"]);
    assert!(start.elapsed() < BOUND, "{:?} for {}…", start.elapsed(), text.chars().take(60).collect::<String>());
    run
}

fn joined(count: usize, separator: &str, item: impl Fn(usize) -> String) -> String {
    (0..count).map(item).collect::<Vec<_>>().join(separator)
}

#[test]
fn ten_megabytes_of_text() {
    assert_eq!(run(&format!("print x = 1 // {}", "x".repeat(10 << 20))).exits(0).out, "x\n1\n");
    assert_eq!(run(&format!("print strlen('{}')", "x".repeat(10 << 20))).exits(0).out, "print_0\n10485760\n");
    run(&"print x = 1 | where x > 0 |\n".repeat(400_000)).exits(3);
    run(&"(".repeat(10 << 20)).exits(3);
}

#[test]
fn a_hundred_thousand_terms() {
    let equal = joined(100_000, " or ", |i| format!("x == {i}"));
    assert_eq!(run(&format!("range x from 1 to 10 step 1 | where {equal} | count")).exits(0).out, "Count\n10\n");
    let has = joined(100_000, " or ", |i| format!("s has 'w{i}'"));
    assert_eq!(run(&format!("print s = 'a w77777 b' | where {has} | count")).exits(0).out, "Count\n1\n");
    let mixed = joined(100_000, " or ", |i| format!("(x == {i} and x != {})", i + 1));
    run(&format!("print x = 1 | where {mixed}")).exits(3).says("terms");
}

#[test]
fn ten_thousand_pipes() {
    assert_eq!(run(&format!("print x = 1{}", " | where x > 0".repeat(10_000))).exits(0).out, "x\n1\n");
    run(&format!("print x = 1{}", " | extend x = x + 1".repeat(10_000))).exits(3).says("operators in a row");
    let columns: String = (0..150).map(|i| format!(" | extend y{i} = x + {i}")).collect();
    run(&format!("print x = 1{columns} | project y149")).exits(0);
}

#[test]
fn long_lists() {
    let numbers = joined(5_000, ", ", |i| i.to_string());
    assert_eq!(run(&format!("range x from 1 to 10 step 1 | where x in ({numbers}) | count")).exits(0).out, "Count\n10\n");
    let words = joined(5_000, ", ", |i| format!("'k{i}'"));
    assert_eq!(run(&format!("print s = 'k7 x' | where s has_any ({words}) | count")).exits(0).out, "Count\n1\n");
    let cells = joined(200_000, ", ", |i| format!("{i}, 's{i}'"));
    assert_eq!(run(&format!("datatable(a: long, b: string)[{cells}] | count")).exits(0).out, "Count\n200000\n");
}

#[test]
fn deep_nesting() {
    run(&format!("print {}1{}", "(".repeat(10_000), ")".repeat(10_000))).exits(3).says("too deep");
    run(&format!("print {}1{}", "abs(".repeat(10_000), ")".repeat(10_000))).exits(3).says("too deep");
    assert_eq!(run(&format!("print x = {}1{}", "(".repeat(490), ")".repeat(490))).exits(0).out, "x\n1\n");
    run(&format!("print x = 1{}{}", " | union (print x = 1".repeat(10_000), ")".repeat(10_000))).exits(3);
    run(&format!("print parse_json('{}{}')", "[".repeat(10_000), "]".repeat(10_000))).exits(0);
}

#[test]
fn definitions_that_double_the_query() {
    let functions: String = (1..40).map(|i| format!("let f{i} = (x: long) {{ f{0}(x) + f{0}(x) }};\n", i - 1)).collect();
    run(&format!("let f0 = (x: long) {{ x + 1 }};\n{functions}print f39(1)")).exits(3).says("times");
    let tables: String = (1..40).map(|i| format!("let t{i} = union t{0}, t{0};\n", i - 1)).collect();
    run(&format!("let t0 = print x = 1;\n{tables}t39 | count")).exits(3).says("operators");
    let chain: String = (1..200).map(|i| format!("let f{i} = (x: long) {{ f{}(x) + 1 }};\n", i - 1)).collect();
    run(&format!("let f0 = (x: long) {{ x + 1 }};\n{chain}print f199(1)")).exits(3).says("levels");
}
