//! Queries that nobody wrote, whose answers are known all the same.
//!
//! - A pipeline's next operator must do over its prefix what it does over the prefix's rows written as a `datatable`.
//! - Another way to write the same pipeline, and other settings of the engine, have the same answer.
//! - Rows that were numbered in an order stay in the order of their numbers.
//! - A scalar call gives the same with constants, with columns, in one row and in many.
//!
//! A case follows from its seed and number alone. The suite runs a bounded number of cases; CONTRIBUTING.md tells how to run
//! thousands. What disagrees is made as small as it goes and printed with both answers.

mod aggregates;
mod calls;
mod combine;
mod expressions;
mod numbered;
mod oracle;
mod pipeline;
pub mod random;
mod shapes;
mod steps;
mod tree;
mod values;

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use oracle::{Asker, Counts};
use random::Random;
use tree::Node;

use super::support::sample_lake;

/// Stack of the threads that plan queries.
const STACK: usize = 16 << 20;

/// A case's disagreement.
struct Failure {
    case: u64,
    /// What like failures share.
    signature: String,
    report: String,
}

fn setting<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Runs the cases of a property on all processors. Fails with the disagreements.
fn run(
    lake: &Path,
    property: &str,
    cases: u64,
    most_refused: usize,
    case: impl Fn(&mut Random, &mut Asker, &mut Counts) -> Vec<(String, String)> + Sync,
) {
    let seed = setting("KQLAKE_GENERATED_SEED").unwrap_or(1);
    let only: Option<u64> = setting("KQLAKE_GENERATED_CASE");
    let asked: Option<u64> = setting("KQLAKE_GENERATED_CASES");
    let range = only.map_or(0..asked.unwrap_or(cases), |only| only..only + 1);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK).build().expect("a runtime");
    let (next, failures, totals) = (AtomicU64::new(range.start), Mutex::new(Vec::new()), Mutex::new(Counts::default()));
    let begun = Instant::now();
    let work = || {
        let mut asker = Asker::new(lake, runtime.handle().clone());
        let mut counts = Counts::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= range.end {
                break;
            }
            let found = case(&mut Random::of(seed, number), &mut asker, &mut counts);
            asker.forget();
            for (signature, report) in found {
                let report = format!("{property}, case {number} of seed {seed}: {report}");
                if asked.is_some() {
                    eprintln!("{report}\n");
                }
                failures.lock().expect("no panic elsewhere").push(Failure { case: number, signature, report });
            }
        }
        counts.queries = counts.queries.max(1);
        totals.lock().expect("no panic elsewhere").add(counts);
    };
    std::thread::scope(|scope| {
        let count = std::thread::available_parallelism().map_or(2, usize::from);
        let threads: Vec<_> = (0..count)
            .map(|_| std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work).expect("a thread"))
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("a case runs to its end"));
    });
    let (mut failures, totals) = (failures.into_inner().expect("no panic"), totals.into_inner().expect("no panic"));
    failures.sort_by_key(|failure| failure.case);
    println!(
        "{property}: {} cases, {} steps, {} refused, {} failed, {:.1} s",
        range.end - range.start,
        totals.queries,
        totals.refused,
        totals.failed,
        begun.elapsed().as_secs_f64()
    );
    if asked.is_some() {
        let mut reasons: Vec<(&String, &usize)> = totals.reasons.iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        reasons.iter().take(25).for_each(|(reason, count)| println!("  refused {count} times: {reason}"));
    }
    if !failures.is_empty() {
        let mut like: BTreeMap<&str, Vec<&Failure>> = BTreeMap::new();
        failures.iter().for_each(|failure| like.entry(&failure.signature).or_default().push(failure));
        let mut text = String::new();
        for (signature, found) in like {
            text.push_str(&format!("{} times {signature}\n{}\n\n", found.len(), found[0].report));
        }
        panic!("{} disagreements:\n\n{text}", failures.len());
    }
    if only.is_none() {
        let share = 100 * totals.refused / totals.queries;
        assert!(share < most_refused, "{share} % of the generated queries were refused: the generator tests too little");
    }
}

/// Grows a pipeline; what differs is made small.
fn pipeline(random: &mut Random, asker: &mut Asker, counts: &mut Counts, source: Node) -> Vec<(String, String)> {
    let (pipeline, difference) = pipeline::generate(random, asker, counts, source);
    let Some((law, difference)) = difference else { return Vec::new() };
    let (small, difference) = pipeline::minimize(asker, pipeline, law, difference);
    vec![(pipeline::signature(&small, law, &difference), difference.to_string())]
}

#[test]
fn operators_do_over_a_prefix_what_they_do_over_its_rows() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    run(dir.path(), "pipelines", 60, 10, |random, asker, counts| {
        let source = combine::source(random);
        pipeline(random, asker, counts, source)
    });
}

#[test]
fn operators_do_over_stored_rows_what_they_do_over_constants() {
    let dir = sample_lake();
    run(&dir.path().join("lake"), "stored rows", 10, 10, |random, asker, counts| {
        let source = combine::lake_source(random, &mut |table| asker.columns(table));
        pipeline(random, asker, counts, source)
    });
}

#[test]
fn numbered_rows_stay_in_the_order_of_their_numbers() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    run(dir.path(), "numbered rows", 40, 10, numbered::examine);
}

#[test]
fn calls_give_the_same_with_constants_and_with_columns() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let functions = calls::functions();
    run(dir.path(), "calls", 30, 40, |random, asker, counts| {
        let calls = (0..6).map(|_| calls::call(random, &functions)).collect();
        let mask = random.bits();
        let found = calls::examine(asker, counts, calls, mask);
        found.into_iter().map(|(signature, difference)| (signature, difference.to_string())).collect()
    });
}
