use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use kqlake_value::clock::FixedClock;
use url::Url;

use super::*;
use crate::pace::Pace;
use crate::settings::Credential;

/// 2026-01-12T03:00:00Z.
const NOW: i64 = 1_768_186_800_000_000;

/// A service that has a row each hour, and gives at most so many of them in one answer.
async fn service(most: i64) -> (Url, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let answer = move |body: Bytes| async move {
        counted.fetch_add(1, Ordering::Relaxed);
        let body: Value = serde_json::from_slice(&body).unwrap();
        let query = body["query"].as_str().unwrap();
        assert!(query.starts_with("traces | where timestamp >= datetime(2026-"), "{query}");
        let span = body["timespan"].as_str().unwrap();
        let (from, to) = span.split_once('/').unwrap();
        assert!(query.contains(from) && query.contains(to));
        let hour = |text: &str| {
            let part = |at: std::ops::Range<usize>| text[at].parse::<i64>().unwrap();
            (part(8..10) * 24 + part(11..13), part(14..16) * 60 + part(17..19))
        };
        let ((from, from_rest), (to, to_rest)) = (hour(from), hour(to));
        let first = from + i64::from(from_rest > 0);
        let last = to - i64::from(to_rest == 0);
        let hours: Vec<i64> = (first..=last).collect();
        let rows: Vec<Value> = hours.iter().take(most as usize).map(|hour| json!([hour])).collect();
        answered(&rows, hours.len() as i64 > most)
    };
    let url = served(Router::new().route("/v1/apps/{app}/query", post(answer))).await;
    (url, asked)
}

/// An answer with rows of hours, and with what the service says where it left some out.
fn answered(rows: &[Value], is_cut: bool) -> Response {
    let mut answer = json!({ "tables": [{ "name": "PrimaryResult", "columns": [{ "name": "hour" }], "rows": rows }] });
    if is_cut {
        answer["error"] = json!({ "code": "PartialError", "message": "(E_QUERY_RESULT_SET_TOO_LARGE)" });
    }
    (StatusCode::OK, [("content-type", "application/json")], answer.to_string()).into_response()
}

/// Where a service answers from now on.
async fn served(router: Router) -> Url {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn slices(url: &Url) -> Slices {
    let mut tenant = Tenant::new("contoso", "11111111-2222-3333-4444-555555555555", "app", Credential::Secret("s".into()));
    tenant.hosts.app_insights = Some(url.clone());
    let world = World::new(Pace::counted(Arc::new(FixedClock::at_micros(NOW))), None).unwrap();
    let api = world.api(&tenant, Service::AppInsights).unwrap();
    let set =
        AppInsightsSettings { api_key: Some("key".into()), tables: vec!["traces".into()], ..AppInsightsSettings::new("a-1") };
    app_insights("contoso", &api, &set).unwrap().remove(0)
}

async fn hours(slices: &Slices, unit: &ListedUnit) -> Vec<i64> {
    let Body::Stream(mut body) = slices.open(unit).await.unwrap().body else { panic!("no stream") };
    let text = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        body.read_to_string(&mut text).map(|_| text)
    });
    let text = text.await.unwrap().unwrap();
    let answers = text.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str::<Value>(line).unwrap());
    answers
        .flat_map(|answer| answer["tables"][0]["rows"].as_array().unwrap().clone())
        .map(|row| row[0].as_i64().unwrap())
        .collect()
}

#[tokio::test]
async fn a_slice_that_is_too_large_is_cut_until_each_part_is_whole() {
    let (url, asked) = service(5).await;
    let slices = slices(&url);
    let listing = slices.list(Some(json!({ "until": NOW, "since": 0 }))).await.unwrap();
    let names: Vec<&str> = listing.units.iter().map(|unit| unit.name.as_str()).collect();
    assert_eq!(
        names,
        ["contoso/hits/a-1/traces/2026-01-10", "contoso/hits/a-1/traces/2026-01-11", "contoso/hits/a-1/traces/2026-01-12"]
    );
    assert_eq!(hours(&slices, &listing.units[1]).await, (11 * 24..12 * 24).collect::<Vec<_>>());
    // 24, twice 12, four times 6, and eight times 3.
    assert_eq!(asked.load(Ordering::Relaxed), 15);
    assert_eq!(hours(&slices, &listing.units[2]).await, [288, 289, 290]);
}

#[tokio::test]
async fn the_first_run_looks_back_as_far_as_it_is_set() {
    let (url, _) = service(5).await;
    let listing = slices(&url).list(None).await.unwrap();
    assert_eq!(listing.units.len(), 31);
    assert_eq!(listing.units[0].name, "contoso/hits/a-1/traces/2025-12-13");
    let first = NOW.div_euclid(DAY) * DAY - 30 * DAY;
    assert_eq!(listing.cursor, Some(json!({ "until": NOW, "since": first })));
    // A run that was cut off goes on where it began, however long ago that was.
    let again = slices(&url).list(listing.begin).await.unwrap();
    assert_eq!((again.units, again.begin), (listing.units, None));
    let later = slices(&url).list(Some(json!({ "until": NOW - 33 * DAY, "since": 0 }))).await.unwrap();
    assert_eq!((later.units.len(), later.units[0].name.as_str()), (36, "contoso/hits/a-1/traces/2025-12-08"));
}

#[tokio::test]
async fn what_a_raised_lookback_covers_is_fetched() {
    let (url, _) = service(5).await;
    let days =
        |listing: &UnitPage| listing.units.iter().map(|unit| unit.name[unit.name.len() - 10..].to_owned()).collect::<Vec<_>>();
    let back = |days: i64| Slices { lookback: days * DAY, ..slices(&url) };
    let few = back(2).list(None).await.unwrap();
    assert_eq!(days(&few), ["2026-01-10", "2026-01-11", "2026-01-12"]);
    let more = back(5).list(few.cursor.clone()).await.unwrap();
    // What is new comes first, then what lies before it, backwards.
    assert_eq!(days(&more), ["2026-01-10", "2026-01-11", "2026-01-12", "2026-01-09", "2026-01-08", "2026-01-07"]);
    assert_eq!(days(&back(5).list(more.cursor.clone()).await.unwrap()), ["2026-01-10", "2026-01-11", "2026-01-12"]);
    assert_eq!(days(&back(2).list(more.cursor).await.unwrap()).len(), 3, "what was read is not forgotten");
    // A run that was cut off goes on before what it had.
    let cut = back(5).list(more.units[3].cursor.clone()).await.unwrap();
    assert_eq!(days(&cut)[3..], ["2026-01-08", "2026-01-07"]);
    let early = back(5).list(more.units[0].cursor.clone()).await.unwrap();
    assert_eq!(days(&early), ["2026-01-09", "2026-01-10", "2026-01-11", "2026-01-12", "2026-01-08", "2026-01-07"]);
    // A position of an earlier program does not say how far back it went.
    let old = back(5).list(Some(json!({ "until": NOW }))).await.unwrap();
    assert_eq!(days(&old)[3..], ["2026-01-09", "2026-01-08", "2026-01-07"]);
}

#[tokio::test]
async fn one_part_with_too_many_rows_keeps_no_others_from_coming() {
    // Two seconds of an hour have more rows than an answer takes, at whatever width they are asked for.
    let answer = move |body: Bytes| async move {
        let body: Value = serde_json::from_slice(&body).unwrap();
        let span = body["timespan"].as_str().unwrap();
        let (from, to) = span.split_once('/').unwrap();
        let (from, to) = (instant::read(from).unwrap(), instant::read(to).unwrap());
        let start = NOW.div_euclid(DAY) * DAY - DAY;
        let inside = |at: &i64| (from..to).contains(at);
        let many = inside(&(start + 5_000_000));
        let rows: Vec<Value> = [start, start + 8_000_000].iter().filter(|at| inside(at)).map(|at| json!([at - start])).collect();
        answered(&rows, many)
    };
    let url = served(Router::new().route("/v1/apps/{app}/query", post(answer))).await;
    let slices = slices(&url);
    let listing = slices.list(Some(json!({ "until": NOW, "since": 0 }))).await.unwrap();
    let Body::Stream(mut body) = slices.open(&listing.units[1]).await.unwrap().body else { panic!("no stream") };
    let read = tokio::task::spawn_blocking(move || {
        let mut text = Vec::new();
        let end = body.read_to_end(&mut text);
        (String::from_utf8(text).unwrap(), end)
    });
    let (text, end) = read.await.unwrap();
    assert!(text.contains("[[0]]") && text.contains("[[8000000]]"), "{text}");
    let why = end.unwrap_err().to_string();
    assert!(why.contains("traces between 2026-01-11T00:00:0") && why.contains("left out"), "{why}");
}
