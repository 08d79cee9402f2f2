//! How fast a query's text becomes a plan: lexing, parsing, binding, planning. No table is read.
//!
//! `cargo bench --bench front_end`; figures are kept in benches/README.md.

#![allow(clippy::expect_used, reason = "a benchmark may stop where it stands")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kqlake::engine::{Engine, EngineOptions};
use kqlake::saved;
use kqlake_lake::Lake;
use kqlake_syntax::{lexer, parser};
use kqlake_value::clock::FixedClock;

/// The program's own allocator: a tree of many small parts costs three times as much with the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// All saved queries and all golden queries that are answered, again and again until there is a megabyte of text.
fn corpus() -> String {
    let mut queries: Vec<String> = saved::all(Path::new("sql"))
        .expect("the saved queries")
        .queries
        .into_iter()
        .filter(|q| q.language == saved::Language::Kql)
        .map(|q| q.text)
        .collect();
    let mut files: Vec<_> =
        std::fs::read_dir("tests/kqlt").expect("the golden queries").filter_map(Result::ok).map(|f| f.path()).collect();
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a file of golden queries");
        queries.extend(text.split("\n====").filter(|block| !block.contains("\nerror:")).filter_map(golden));
    }
    let mut text = String::new();
    while text.len() < 1 << 20 {
        for query in &queries {
            let _ = writeln!(text, "{};", query.trim_end().trim_end_matches(';'));
        }
    }
    text
}

/// The query of a block: the lines behind `query:` up to the next key.
fn golden(block: &str) -> Option<String> {
    let (_, query) = block.split_once("query:\n")?;
    let end = ["\ncolumns:", "\nordered:", "\nplan:", "\nrows:"].iter().filter_map(|key| query.find(key)).min()?;
    Some(query[..end].to_owned())
}

/// Sixty lines, five lets, two joins.
const LONG: &str = r#"
let since = datetime(2026-01-01);
let until = since + 30d;
let slowMs = 1000.0;
let opens = traces
| where timestamp between (since .. until)
| where customDimensions.eventId == 'RT0004'
| extend companyName = tostring(customDimensions.companyName)
, clientType = tostring(customDimensions.clientType)
, session = tostring(customDimensions.sessionId)
, openMs = toreal(totimespan(customDimensions.totalTime)) / 10000
| summarize opens = count()
, averageMs = avg(openMs)
, p95Ms = percentile(openMs, 95)
, sessions = dcount(session)
  by companyName, clientType;
let calls = traces
| where timestamp between (since .. until)
| where customDimensions.eventId in ('RT0019', 'RT0005')
| where isnotempty(customDimensions.alStackTrace)
| extend StackTrace = tostring(customDimensions.alStackTrace)
, kind = iff(customDimensions.eventId == 'RT0019', 'external call', 'long SQL')
, callMs = toreal(totimespan(coalesce(customDimensions.serverExecutionTime, customDimensions.executionTime))) / 10000
| where StackTrace has 'OnCompanyOpen' or StackTrace has 'OnCompanyOpenCompleted'
| where callMs > 0
| summarize calls = count()
, totalMs = sum(callMs)
, worstMs = max(callMs)
, kinds = make_set(kind)
  by companyName = tostring(customDimensions.companyName)
, extensionId = tostring(customDimensions.extensionId)
, extensionName = tostring(customDimensions.extensionName)
, extensionVersion = tostring(customDimensions.extensionVersion);
opens
| where averageMs > slowMs or p95Ms > 2 * slowMs
| join kind=leftouter calls on companyName
| extend share = round(100.0 * totalMs / (opens * averageMs), 1)
| project companyName
, clientType
, opens
, averageMs
, p95Ms
, sessions
, extensionId
, extensionName
, extensionVersion
, calls
, totalMs
, worstMs
, share
| join kind=leftouter (
    traces
    | where timestamp between (since .. until)
    | where customDimensions.eventId == 'RT0003'
    | summarize failures = count() by companyName = tostring(customDimensions.companyName)
  ) on companyName
| project-away companyName1
| extend failures = coalesce(failures, 0)
| where extensionName !startswith 'Microsoft' or isempty(extensionName)
| extend rank = case(share > 50, 'high', share > 10, 'middle', 'low')
| sort by share desc, calls desc, companyName asc
| take 100
"#;

fn front_end(c: &mut Criterion) {
    let corpus = corpus();
    let mut group = c.benchmark_group("text");
    group.throughput(Throughput::Bytes(corpus.len() as u64));
    group.bench_function("lex", |b| b.iter(|| black_box(lexer::lex(black_box(&corpus)))));
    group.bench_function("parse", |b| b.iter(|| black_box(parser::parse(black_box(&corpus)))));
    group.finish();

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let clock = Arc::new(FixedClock::at_micros(1_768_219_200_000_000));
    let engine = Engine::new(Lake::new(Path::new("benches/no-lake")), EngineOptions::default(), clock);
    let params = BTreeMap::new();
    let plan = |text: &str| runtime.block_on(engine.kql("bench", text, &params)).map(|answer| answer.tables.len());
    plan(LONG).expect("the long query binds");
    c.bench_function("plan 60 lines, 5 lets, 2 joins", |b| b.iter(|| plan(black_box(LONG))));
    c.bench_function("plan print 1", |b| b.iter(|| plan(black_box("print 1"))));
}

criterion_group!(benches, front_end);
criterion_main!(benches);
