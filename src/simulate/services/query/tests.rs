use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::Simulator;
use crate::testing::{Client, Got, send, tenant};

const INSIGHTS: &str = "https://api.applicationinsights.io";
const WORKSPACE: &str = "https://api.loganalytics.io";

fn address(of: &Simulator, service: &str) -> String {
    let registration = &of.world.registration;
    match service {
        "insights" => format!("/insights/v1/apps/{}/query", registration.insights_app),
        _ => format!("/loganalytics/v1/workspaces/{}/query", registration.workspace),
    }
}

async fn ask(client: &Client<'_>, service: &str, query: &str) -> Got {
    client.send("POST", &address(client.of, service), &json!({"query": query}).to_string()).await
}

/// The rows of the first table, and the number of a column.
fn rows(got: &Got, column: &str) -> (Vec<Vec<Value>>, usize) {
    let answer = got.json();
    assert_eq!(got.status, 200, "{answer}");
    let table = &answer["tables"][0];
    let number = table["columns"].as_array().unwrap().iter().position(|given| given["name"] == column).unwrap();
    (table["rows"].as_array().unwrap().iter().map(|row| row.as_array().unwrap().clone()).collect(), number)
}

#[tokio::test]
async fn slices_add_up_to_the_truth() {
    let of = tenant(41, |_| {}).await;
    let client = Client::new(&of, INSIGHTS).await;
    let mut ids: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut count = 0;
    for (from, to) in [("2026-01-09T00:00:00Z", "2026-01-09T12:00:00Z"), ("2026-01-09T12:00:00Z", "2026-01-10T00:00:00Z")] {
        let range = format!("timestamp >= datetime({from}) and timestamp < datetime({to})");
        let (told, at) =
            rows(&ask(&client, "insights", &format!("traces | where {range} | order by timestamp asc")).await, "itemId");
        let counted = rows(&ask(&client, "insights", &format!("traces | where {range} | count")).await, "Count").0;
        assert_eq!(counted, [[json!(told.len())]]);
        count += told.len();
        assert!(told.windows(2).all(|pair| pair[0][0].as_str() <= pair[1][0].as_str()));
        ids.extend(told.iter().map(|row| (row[at].as_str().unwrap().to_owned(), None)));
        let (_, dimensions) = rows(&ask(&client, "insights", "traces | take 1").await, "customDimensions");
        assert!(
            told.iter().all(|row| serde_json::from_str::<Value>(row[dimensions].as_str().unwrap()).unwrap().is_object()),
            "JSON in a text"
        );
    }
    let truth = of.manifest().tables.into_iter().find(|table| table.table == "traces").unwrap();
    assert!(count > ids.len(), "some rows came twice");
    assert_eq!(ids, truth.rows);
}

#[tokio::test]
async fn an_answer_that_is_cut_says_so_and_counts_for_nothing() {
    for limit in [(50, usize::MAX), (usize::MAX, 20_000)] {
        let of = tenant(42, |settings| (settings.query_rows, settings.query_bytes) = limit).await;
        let client = Client::new(&of, INSIGHTS).await;
        let got = ask(&client, "insights", "traces | where timestamp >= datetime(2026-01-09) | order by timestamp asc").await;
        assert_eq!(got.json()["error"]["code"], "PartialError");
        assert!(!rows(&got, "itemId").0.is_empty());
        assert!(of.manifest().tables.iter().all(|table| table.table != "traces"));
    }
}

#[tokio::test]
async fn a_workspace_has_names_and_types_of_its_own_and_no_ids() {
    let of = tenant(43, |_| {}).await;
    let client = Client::new(&of, WORKSPACE).await;
    let (requests, at) = rows(&ask(&client, "workspace", "AppRequests | where TimeGenerated > ago(3d)").await, "Success");
    assert!(!requests.is_empty() && requests.iter().all(|row| row[at].is_boolean()));
    let (traces, at) = rows(
        &ask(&client, "workspace", "AppTraces | where ingestion_time() > datetime(2026-01-12) | project Message, _ResourceId")
            .await,
        "_ResourceId",
    );
    assert!(traces.iter().all(|row| row.len() == 2 && row[at].as_str().is_some_and(|id| id.starts_with("/subscriptions/"))));
    let unknown = ask(&client, "workspace", "AppTraces | where itemId == 'x'").await;
    assert_eq!((unknown.status, &unknown.json()["error"]["innererror"]["code"]), (400, &json!("SemanticError")));
}

#[tokio::test]
async fn late_rows_are_found_by_their_arrival() {
    let of = tenant(44, |_| {}).await;
    let client = Client::new(&of, INSIGHTS).await;
    let query = "traces | extend _ing = ingestion_time() | where _ing > datetime(2026-01-09T12:00:00Z) and _ing <= datetime(2026-01-09T18:00:00Z)";
    let (told, at) = rows(&ask(&client, "insights", query).await, "_ing");
    let within = |row: &Vec<Value>, at: usize| {
        row[at].as_str().is_some_and(|time| ("2026-01-09T12".."2026-01-09T18:00:00.1").contains(&time))
    };
    assert!(told.iter().all(|row| within(row, at)));
    assert!(told.iter().any(|row| !within(row, 0)), "some are of hours before");
}

#[tokio::test]
async fn the_traps_and_refusals_of_the_service() {
    let of = tenant(45, |_| {}).await;
    let client = Client::new(&of, INSIGHTS).await;
    let path = address(&of, "insights");
    let key = of.world.registration.insights_key.clone();
    let trap = send(&of, "POST", &path, &[("x-api-key", &key)], r#"{"query":"traces"}"#).await;
    assert_eq!((trap.status, trap.body.len()), (200, 0), "no content type: an answer without anything");
    let by_key = send(&of, "GET", &format!("{path}?query=traces | count&timespan=P1D"), &[("x-api-key", &key)], "").await;
    assert_eq!(rows(&by_key, "Count").0.len(), 1);
    let refused = |got: &Got| (got.status, got.json()["error"]["code"].as_str().unwrap().to_owned());
    let wrong_key = send(&of, "GET", &path, &[("x-api-key", "x")], "").await;
    assert_eq!(refused(&wrong_key), (403, "InvalidApiKeyError".to_owned()));
    assert_eq!(refused(&send(&of, "GET", &path, &[], "").await), (401, "AuthorizationRequiredError".to_owned()));
    let other = Client::new(&of, WORKSPACE).await;
    assert_eq!(refused(&other.get(&path).await), (403, "InvalidAuthenticationTokenAudience".to_owned()));
    assert_eq!(refused(&client.get("/insights/v1/apps/x/query").await), (404, "ApplicationNotFoundError".to_owned()));
    assert_eq!(refused(&client.get("/insights/v2").await), (404, "PathNotFoundError".to_owned()));
    assert_eq!(refused(&client.get(&path).await), (400, "BadArgumentError".to_owned()));
    assert_eq!(refused(&ask(&client, "insights", "traces | join requests").await), (400, "BadArgumentError".to_owned()));
    assert_eq!(refused(&ask(&client, "insights", "AppTraces | take 1").await), (400, "BadArgumentError".to_owned()));
}

#[tokio::test]
async fn timespans_are_joined_with_what_the_query_says() {
    let of = tenant(46, |_| {}).await;
    let client = Client::new(&of, INSIGHTS).await;
    let body = json!({"query": "traces | where timestamp >= datetime(2026-01-09)", "timespan": "2026-01-08T00:00:00Z/2026-01-09T06:00:00Z"});
    let (told, _) = rows(&client.send("POST", &address(&of, "insights"), &body.to_string()).await, "timestamp");
    assert!(!told.is_empty());
    assert!(
        told.iter().all(|row| row[0].as_str().is_some_and(|time| ("2026-01-09T00".."2026-01-09T06:00:00.1").contains(&time)))
    );
}

#[tokio::test]
async fn the_schema_names_all_tables() {
    let of = tenant(47, |_| {}).await;
    let client = Client::new(&of, INSIGHTS).await;
    let schema = client.get(&format!("{}/schema", address(&of, "insights"))).await.json();
    assert_eq!(schema["tables"][1]["rows"].as_array().map(Vec::len), Some(10));
}
