//! Datetimes of 100 ns over columns of microseconds: every comparison is exact, and still reaches the files.

use std::collections::BTreeMap;
use std::sync::Arc;

use kqlake::engine::{Engine, EngineOptions, Explain};
use kqlake_lake::Lake;
use kqlake_syntax::literals::write_ticks;
use kqlake_value::clock::FixedClock;
use kqlake_value::datetime_of_us;
use serde_json::{Value as Json, json};

use super::kqlt::answer;
use super::lake::{DAY, def, land, traces};

const DAY_US: i64 = 86_400_000_000;

fn engine(lake: &Lake, pruning: bool) -> Engine {
    let options = EngineOptions { pruning, partitions: Some(2), ..EngineOptions::default() };
    Engine::new(lake.clone(), options, Arc::new(FixedClock::at_micros(DAY + 7 * DAY_US)) as _)
}

/// A lake whose traces lie at these microseconds, each third one file.
async fn lake_of(dir: &std::path::Path, times: &[i64]) -> Lake {
    let lake = Lake::new(dir);
    for (n, part) in times.chunks(3).enumerate() {
        let ids: Vec<String> = part.iter().map(|us| format!("i{us}")).collect();
        let rows: Vec<(&str, i64)> = ids.iter().map(String::as_str).zip(part.iter().copied()).collect();
        land(&lake, def("traces"), traces(&rows), n as i64).await.expect("land");
    }
    lake
}

async fn row(engine: &Engine, query: &str) -> Vec<Json> {
    let table = answer(engine, query).await.unwrap_or_else(|err| panic!("{query}: {err:?}"));
    table.rows[0].as_array().expect("a row").clone()
}

async fn plan(engine: &Engine, query: &str) -> String {
    let answer = engine.kql("query", query, &BTreeMap::new()).await.expect(query);
    answer.tables[0].explain(Explain::Plan).await.expect(query)
}

#[tokio::test(flavor = "multi_thread")]
async fn comparisons_are_exact_to_the_tick() {
    let dir = tempfile::tempdir().expect("dir");
    let times: Vec<i64> = (0..9).map(|n| DAY + (n / 3) * DAY_US + n % 3).collect();
    let lake = lake_of(dir.path(), &times).await;
    for edge in [times[0], times[4], times[8]].map(datetime_of_us).into_iter().flat_map(|t| [t - 1, t, t + 1, t + 9]) {
        let count = |keep: &dyn Fn(i64) -> bool| json!(times.iter().filter(|us| keep(datetime_of_us(**us))).count());
        let expected = [
            count(&|t| t < edge),
            count(&|t| t <= edge),
            count(&|t| t > edge),
            count(&|t| t >= edge),
            count(&|t| t == edge),
            count(&|t| t != edge),
            count(&|t| t == edge || t == edge + 10),
            count(&|t| (edge..=edge + 10).contains(&t)),
        ];
        let at = write_ticks(edge);
        let next = write_ticks(edge + 10);
        for pruning in [true, false] {
            let engine = engine(&lake, pruning);
            for (n, condition) in [
                format!("timestamp < datetime({at})"),
                format!("datetime({at}) >= timestamp"),
                format!("timestamp > datetime({at})"),
                format!("timestamp >= datetime({at})"),
                format!("timestamp == datetime({at})"),
                format!("timestamp != datetime({at})"),
                format!("timestamp in (datetime({at}), datetime({next}))"),
                format!("timestamp between (datetime({at}) .. 1microsecond)"),
            ]
            .iter()
            .enumerate()
            {
                let filtered = row(&engine, &format!("traces | where {condition} | count")).await;
                assert_eq!(filtered[0], expected[n], "{condition}, pruning {pruning}");
                // As a value, over a column of ticks, and behind a union of both forms.
                for more in [
                    format!("traces | summarize countif({condition})"),
                    format!("traces | extend timestamp = timestamp + 0s | where {condition} | count"),
                    format!("union traces, (traces | take 0 | extend timestamp = timestamp + 1tick) | where {condition} | count"),
                ] {
                    assert_eq!(row(&engine, &more).await[0], expected[n], "{more}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_forms_meet() {
    let dir = tempfile::tempdir().expect("dir");
    let lake = lake_of(dir.path(), &[DAY, DAY + 1, DAY + 2]).await;
    let engine = engine(&lake, true);
    let (first, tick) = (write_ticks(datetime_of_us(DAY)), write_ticks(datetime_of_us(DAY) + 1));
    let given = format!("(datatable(timestamp: datetime)[datetime({first}), datetime({tick}), datetime(null)])");
    for (query, expected) in [
        (format!("traces | union {given} | summarize count(), dcount(timestamp), min(timestamp), max(timestamp)"),
            json!([6, 4, first, write_ticks(datetime_of_us(DAY + 2))])),
        (format!("traces | union {given} | summarize n = count() by timestamp | sort by timestamp asc nulls last | take 1"),
            json!([first, 2])),
        (format!("traces | union {given} | sort by timestamp asc nulls last | serialize d = timestamp - prev(timestamp) | where d == 1tick | count"),
            json!([1])),
        (format!("traces | join kind=inner {given} on timestamp | count"), json!([1])),
        (format!("{given} | join kind=leftouter (traces | project timestamp, itemId) on timestamp | summarize count(), countif(isnotempty(itemId))"),
            json!([3, 1])),
        ("traces | join kind=inner (traces | summarize timestamp = max(timestamp)) on timestamp | count".into(), json!([1])),
        ("traces | join kind=inner (traces | summarize timestamp = max(timestamp + 0s)) on timestamp | count".into(), json!([1])),
        (format!("traces | where timestamp in ({given}) | count"), json!([1])),
        ("traces | summarize a = max(iff(itemId == '', datetime(null), timestamp)) | project a == toscalar(traces | summarize max(timestamp))".into(),
            json!([true])),
        ("traces | project timestamp, b = bag_pack('t', timestamp) | evaluate bag_unpack(b) | summarize max(timestamp), max(t)".into(),
            json!([write_ticks(datetime_of_us(DAY + 2)), write_ticks(datetime_of_us(DAY + 2))])),
        ("traces | make-series n = count() on timestamp step 1microsecond | project n, array_length(timestamp)".into(), json!([[1, 1, 1], 3])),
    ] {
        assert_eq!(Json::Array(row(&engine, &query).await), expected, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_columns_prune_and_sort_as_they_are() {
    let dir = tempfile::tempdir().expect("dir");
    let times: Vec<i64> = (0..9).map(|n| DAY + (n / 3) * DAY_US + n).collect();
    let lake = lake_of(dir.path(), &times).await;
    let engine = engine(&lake, true);
    let from = write_ticks(datetime_of_us(times[6]) - 1);
    for (query, has, lacks) in [
        (format!("traces | where timestamp > datetime({from})"), "pruning_predicate=", "ticks("),
        (format!("let from = datetime({from}); traces | where timestamp between (from .. 2d)"), "pruning_predicate=", "ticks("),
        ("traces | where timestamp > ago(6d) and timestamp < now()".into(), "pruning_predicate=", "ticks("),
        (
            "union traces, (print timestamp = now()) | where timestamp > ago(6d)".into(),
            "pruning_predicate=",
            "FilterExec: ticks(",
        ),
        ("union traces, (print x = 1) | where timestamp > ago(6d)".into(), "pruning_predicate=", "ticks("),
        ("traces | top 2 by timestamp".into(), "DynamicFilter", "ticks("),
        ("traces | sort by timestamp asc".into(), "SortPreservingMergeExec: [c", "SortExec"),
        ("traces | join kind=inner (traces | project timestamp) on timestamp".into(), "HashJoinExec", "ticks("),
    ] {
        let text = plan(&engine, &query).await;
        assert!(text.contains(has) && !text.contains(lacks), "{query}: `{has}` and no `{lacks}` expected in\n{text}");
    }
    // The files of the two days before are not opened.
    let text = plan(&engine, &format!("traces | where timestamp > datetime({from})")).await;
    assert_eq!(text.matches(".parquet").count(), 1, "{text}");
}
