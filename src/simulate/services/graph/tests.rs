use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::Simulator;
use crate::manifest::Table;
use crate::testing::{Client, send, tenant};

const GRAPH: &str = "https://graph.microsoft.com";

fn table(of: &Simulator, name: &str) -> Table {
    of.manifest().tables.into_iter().find(|table| table.table == name).unwrap_or_else(|| panic!("{name} is not in the manifest"))
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} of {value}"))
}

#[tokio::test]
async fn calls_read_to_their_last_pages_are_the_truth() {
    let of = tenant(21, |_| {}).await;
    let client = Client::new(&of, GRAPH).await;
    let (listed, _) = client.list("/graph/v1.0/communications/callRecords?$filter=startDateTime ge 2026-01-05T00:00:00Z").await;
    let ids: BTreeSet<&str> = listed.iter().map(|call| text(call, "id")).collect();
    let (mut records, mut sessions, mut segments) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    for id in &ids {
        let call =
            client.get(&format!("/graph/v1.0/communications/callRecords/{id}?$expand=sessions($expand=segments)")).await.json();
        records.insert((*id).to_owned(), Some(call["version"].to_string()));
        let mut all = call["sessions"].as_array().unwrap().clone();
        assert!(all.len() <= 60);
        if let Some(next) = call["sessions@odata.nextLink"].as_str() {
            all.extend(client.list(next).await.0);
        }
        for session in all {
            for segment in session["segments"].as_array().unwrap() {
                segments.insert(format!("{id}|{}|{}", text(&session, "id"), text(segment, "id")));
            }
            sessions.insert(format!("{id}|{}", text(&session, "id")));
        }
    }
    // Of the month before, the manifest knows what this list left out.
    let truth = table(&of, "CallRecords");
    assert!(records.iter().all(|(id, version)| truth.rows.get(id) == Some(version)));
    let of_ids = |rows: &BTreeMap<String, Option<String>>| -> BTreeSet<String> {
        rows.keys().filter(|key| ids.contains(key.split('|').next().unwrap())).cloned().collect()
    };
    assert_eq!(sessions, of_ids(&table(&of, "CallSessions").rows));
    assert_eq!(segments, of_ids(&table(&of, "CallSegments").rows));
    assert!(sessions.len() > 500, "the call that everybody joined");
    let (all, _) = client.list("/graph/v1.0/communications/callRecords").await;
    let distinct: BTreeSet<&str> = all.iter().map(|call| text(call, "id")).collect();
    assert!(distinct.len() < all.len(), "some are told on two pages");
    assert_eq!(distinct, truth.rows.keys().map(String::as_str).collect());
}

#[tokio::test]
async fn a_version_rises_and_an_old_call_is_gone() {
    let of = tenant(22, |_| {}).await;
    let client = Client::new(&of, GRAPH).await;
    let (listed, _) = client.list("/graph/v1.0/communications/callRecords?$filter=startDateTime ge 2026-01-12T06:00:00Z").await;
    let versions = |calls: &[Value]| -> BTreeMap<String, i64> {
        calls.iter().map(|call| (text(call, "id").to_owned(), call["version"].as_i64().unwrap())).collect()
    };
    let before = versions(&listed);
    of.set_clock("2026-01-13T12:00:00Z".parse().unwrap());
    let client = Client::new(&of, GRAPH).await;
    let (listed, _) = client.list("/graph/v1.0/communications/callRecords?$filter=startDateTime ge 2026-01-12T06:00:00Z").await;
    let after = versions(&listed);
    assert!(before.iter().all(|(id, version)| after.get(id).is_some_and(|later| later >= version)));
    assert!(before.iter().any(|(id, version)| after[id] > *version));
    of.set_clock("2026-02-20T12:00:00Z".parse().unwrap());
    let client = Client::new(&of, GRAPH).await;
    let gone = client.get(&format!("/graph/v1.0/communications/callRecords/{}", before.keys().next().unwrap())).await;
    assert_eq!((gone.status, text(&gone.json()["error"], "code")), (404, "NotFound"));
}

#[tokio::test]
async fn wrong_requests_are_refused_in_the_services_words() {
    let of = tenant(23, |settings| settings.missing_roles = vec!["Reports.Read.All".to_owned()]).await;
    let client = Client::new(&of, GRAPH).await;
    for (path, status, code) in [
        ("/graph/v1.0/nothing", 400, "BadRequest"),
        ("/graph/v1.0/communications/callRecords?$expand=sessions", 400, "BadRequest"),
        ("/graph/v1.0/communications/callRecords?$filter=version ge 2", 400, "BadRequest"),
        ("/graph/v1.0/communications/callRecords?$skiptoken=invented", 400, "BadRequest"),
        ("/graph/v1.0/users/nobody@contoso.com", 404, "Request_ResourceNotFound"),
        ("/graph/v1.0/users?$top=1000", 400, "BadRequest"),
        ("/graph/v1.0/reports/getEmailActivityUserDetail(period='D7')", 403, "Authorization_RequestDenied"),
    ] {
        let got = client.get(path).await;
        assert_eq!((got.status, text(&got.json()["error"], "code")), (status, code), "{path}");
        assert!(got.headers.contains_key("request-id"), "{path}");
    }
    let without = send(&of, "GET", "/graph/v1.0/users", &[], "").await;
    assert_eq!((without.status, text(&without.json()["error"], "code")), (401, "InvalidAuthenticationToken"));
    let other = Client::new(&of, "https://manage.office.com").await;
    assert_eq!(other.get("/graph/v1.0/users").await.status, 401);
    of.set_clock("2026-01-12T14:00:00Z".parse().unwrap());
    assert_eq!(client.get("/graph/v1.0/users").await.status, 401, "the token has expired");
}

#[tokio::test]
async fn rounds_of_delta_add_up_to_the_list() {
    let of = tenant(24, |_| {}).await;
    let client = Client::new(&of, GRAPH).await;
    let (first, last) = client.list("/graph/v1.0/users/delta?$select=displayName,jobTitle&$top=7").await;
    let mut known: BTreeMap<String, Value> = BTreeMap::new();
    let mut apply = |users: Vec<Value>| {
        for user in users {
            match user.get("@removed") {
                Some(_) => known.remove(text(&user, "id")),
                None => known.insert(text(&user, "id").to_owned(), json!([user["displayName"], user["jobTitle"]])),
            };
        }
        known.clone()
    };
    apply(first);
    let link = text(&last, "@odata.deltaLink").to_owned();
    let mut removed = 0;
    let mut link = link;
    for day in 13..40 {
        of.set_clock(format!("2026-{:02}-{:02}T12:00:00Z", 1 + day / 32, day % 32 + day / 32).parse().unwrap());
        let client = Client::new(&of, GRAPH).await;
        let (changes, last) = client.list(&link).await;
        removed += changes.iter().filter(|user| user.get("@removed").is_some()).count();
        link = text(&last, "@odata.deltaLink").to_owned();
        let now = apply(changes);
        let (listed, _) = client.list("/graph/v1.0/users?$select=displayName,jobTitle").await;
        let listed: BTreeMap<String, Value> = listed
            .into_iter()
            .map(|user| (text(&user, "id").to_owned(), json!([user["displayName"], user["jobTitle"]])))
            .collect();
        assert_eq!(now, listed, "day {day}");
    }
    assert!(removed > 0);
    of.set_clock("2026-03-20T12:00:00Z".parse().unwrap());
    let client = Client::new(&of, GRAPH).await;
    let gone = client.get(&link).await;
    assert_eq!((gone.status, text(&gone.json()["error"], "code")), (410, "resyncRequired"));
    assert!(gone.headers["location"].contains("/users/delta?"));
}

#[tokio::test]
async fn a_report_is_a_redirect_to_a_file_without_a_token() {
    let of = tenant(25, |_| {}).await;
    let client = Client::new(&of, GRAPH).await;
    let redirect = client.get("/graph/v1.0/reports/getTeamsUserActivityUserDetail(period='D7')").await;
    assert_eq!((redirect.status, redirect.headers["content-type"].as_str()), (302, "text/plain"));
    let location = &redirect.headers["location"];
    let file = send(&of, "GET", location, &[], "").await;
    assert_eq!((file.status, file.headers["content-type"].as_str()), (200, "application/octet-stream"));
    assert!(file.text().starts_with("\u{feff}Report Refresh Date,"));
    assert_eq!(client.get(location).await.status, 400, "a token must not go there");
    let rows = table(&of, "TeamsUserActivityUserDetail");
    assert_eq!(rows.count, file.text().lines().count() - 1);
    let (pages, _) =
        client.list("/graph/beta/reports/getTeamsUserActivityUserDetail(period='D7')?$format=application/json&$top=10").await;
    assert_eq!(pages.len(), rows.count);
    assert!(pages.iter().all(|row| row["reportPeriod"] == "7" && row["assignedProducts"].is_array()));
    for wrong in [
        "getTeamsUserActivityUserDetail(date=2025-11-01)",
        "getTeamsUserActivityUserDetail(period='D8')",
        "getEmailActivityCounts(date=2026-01-05)",
    ] {
        let refused = client.get(&format!("/graph/v1.0/reports/{wrong}")).await;
        assert_eq!((refused.status, text(&refused.json()["error"], "code")), (400, "InvalidArgument"), "{wrong}");
    }
    of.set_clock("2026-01-12T12:30:00Z".parse().unwrap());
    assert_eq!(send(&of, "GET", location, &[], "").await.status, 403, "the address has expired");
}

#[tokio::test]
async fn names_are_concealed_until_a_client_says_otherwise() {
    let of = tenant(26, |settings| settings.conceal_names = true).await;
    let client = Client::new(&of, GRAPH).await;
    assert_eq!(client.get("/graph/v1.0/admin/reportSettings").await.json()["displayConcealedNames"], json!(true));
    let (rows, _) = client.list("/graph/beta/reports/getEmailActivityUserDetail(period='D7')?$format=application/json").await;
    assert!(rows.iter().all(|row| text(row, "userPrincipalName").len() == 32 && !text(row, "userPrincipalName").contains('@')));
}

#[tokio::test]
async fn batches_are_answered_in_any_order_and_each_item_for_itself() {
    let of = tenant(27, |settings| settings.batch_throttled_percent = 20).await;
    let client = Client::new(&of, GRAPH).await;
    let (users, _) = client.list("/graph/v1.0/users?$select=id&$top=999").await;
    let items = |count: usize| -> Vec<Value> {
        let item = |(number, user): (usize, &Value)| json!({"id": number.to_string(), "method": "GET", "url": format!("/users/{}/teamwork/installedApps?$expand=teamsApp", text(user, "id"))});
        users.iter().take(count).enumerate().map(item).collect()
    };
    let post = async |items: &[Value]| client.send("POST", "/graph/v1.0/$batch", &json!({"requests": items}).to_string()).await;
    let answered = post(&items(20)).await.json();
    let answers = answered["responses"].as_array().unwrap();
    let ids: Vec<&str> = answers.iter().map(|answer| text(answer, "id")).collect();
    assert_ne!(ids, (0..20).map(|number| number.to_string()).collect::<Vec<_>>(), "shuffled");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 20);
    let statuses: BTreeSet<u64> = answers.iter().map(|answer| answer["status"].as_u64().unwrap()).collect();
    assert!(statuses.contains(&200) && statuses.contains(&429), "{statuses:?}");
    let throttled = answers.iter().find(|answer| answer["status"] == 429).unwrap();
    assert_eq!(text(&throttled["headers"], "Retry-After"), "2");
    assert_eq!(post(&items(21)).await.status, 400);
    assert_eq!(post(&[items(1), items(1)].concat()).await.status, 400, "two of one id");
    let mut dependent = vec![
        json!({"id": "a", "method": "GET", "url": "/users/nobody"}),
        json!({"id": "b", "method": "GET", "url": "/teams", "dependsOn": ["a"]}),
    ];
    let failed = post(&dependent).await.json();
    let of_b = |answer: &Value| {
        answer["responses"].as_array().unwrap().iter().find(|answer| answer["id"] == "b").unwrap()["status"].clone()
    };
    assert_eq!(of_b(&failed), 424);
    dependent[1]["url"] = json!("http://elsewhere/teams");
    dependent[1]["dependsOn"] = json!([]);
    assert_eq!(of_b(&post(&dependent).await.json()), 400);
}

#[tokio::test]
async fn traces_of_messages_have_their_windows_and_pages() {
    let of = tenant(28, |_| {}).await;
    let client = Client::new(&of, GRAPH).await;
    let of_time = |from: &str, to: &str, rest: &str| {
        format!(
            "/graph/v1.0/admin/exchange/tracing/messageTraces?$filter=receivedDateTime ge {from} and receivedDateTime le {to}{rest}"
        )
    };
    let (rows, _) = client.list(&of_time("2026-01-05T00:00:00Z", "2026-01-12T12:00:00Z", "&$top=100")).await;
    let truth = table(&of, "MessageTrace");
    let told: BTreeMap<String, Option<String>> = rows
        .iter()
        .map(|row| (format!("{}|{}", text(row, "id"), text(row, "recipientAddress")), Some(text(row, "status").to_owned())))
        .collect();
    assert_eq!(told, truth.rows);
    let failed = client.list(&of_time("2026-01-05T00:00:00Z", "2026-01-12T12:00:00Z", " and status eq 'failed'")).await.0;
    assert!(!failed.is_empty() && failed.iter().all(|row| row["status"] == "failed"));
    let one = &rows[0];
    let recipient = text(one, "recipientAddress").replace('@', "%40");
    let detail = format!(
        "/graph/v1.0/admin/exchange/tracing/messageTraces/{}/getDetailsByRecipient(recipientAddress='{recipient}')",
        text(one, "id")
    );
    assert!(!client.list(&detail).await.0.is_empty());
    for (from, to) in [
        ("2026-01-01T00:00:00Z", "2026-01-12T00:00:00Z"),
        ("2025-09-01T00:00:00Z", "2025-09-02T00:00:00Z"),
        ("2026-01-12T00:00:00Z", "2026-01-12T13:00:00Z"),
        ("2026-01-12T00:00:00Z", "2026-01-11T00:00:00Z"),
    ] {
        assert_eq!(client.get(&of_time(from, to, "")).await.status, 400, "{from} {to}");
    }
}

#[tokio::test]
async fn the_quota_of_traces_counts_lists_and_details() {
    let of = tenant(29, |settings| settings.quotas = true).await;
    let client = Client::new(&of, GRAPH).await;
    for _ in 0..100 {
        let got = client.get("/graph/v1.0/admin/exchange/tracing/messageTraces?$top=1").await;
        assert_eq!(got.status, 200);
    }
    let got = client.get("/graph/v1.0/admin/exchange/tracing/messageTraces/x/getDetailsByRecipient(recipientAddress='a')").await;
    assert_eq!((got.status, text(&got.json()["error"], "code")), (429, "TooManyRequests"));
    assert!((200..=301).contains(&got.headers["retry-after"].parse::<i64>().unwrap()), "{:?}", got.headers);
}

#[tokio::test]
async fn without_its_principal_traces_are_refused() {
    let of = tenant(30, |settings| settings.trace_principal_missing = true).await;
    let got = Client::new(&of, GRAPH).await.get("/graph/v1.0/admin/exchange/tracing/messageTraces").await;
    assert_eq!(got.status, 401);
    assert!(text(&got.json()["error"], "message").starts_with("Service principal-less Authentication failed"));
}

#[tokio::test]
async fn teams_and_the_messages_of_their_channels_are_told() {
    let of = tenant(31, |_| {}).await;
    let client = Client::new(&of, GRAPH).await;
    let (teams, _) = client.list("/graph/v1.0/teams?$top=2").await;
    let mut channels = 0;
    let mut messages = BTreeSet::new();
    for team in teams.iter().map(|team| text(team, "id")).collect::<BTreeSet<_>>() {
        for list in ["members", "installedApps?$expand=teamsApp,teamsAppDefinition"] {
            assert!(!client.list(&format!("/graph/v1.0/teams/{team}/{list}")).await.0.is_empty());
        }
        for channel in client.list(&format!("/graph/v1.0/teams/{team}/channels")).await.0 {
            channels += 1;
            let id = text(&channel, "id");
            let (told, last) = client.list(&format!("/graph/v1.0/teams/{team}/channels/{id}/messages/delta?$top=10")).await;
            for message in &told {
                let path = format!("/graph/v1.0/teams/{team}/channels/{id}/messages/{}/replies?$top=1", text(message, "id"));
                let (replies, _) = client.list(&path).await;
                messages.extend(replies.iter().map(|reply| format!("{team}|{id}|{}", text(reply, "id"))));
            }
            messages.extend(told.iter().map(|message| format!("{team}|{id}|{}", text(message, "id"))));
            let (again, _) = client.list(text(&last, "@odata.deltaLink")).await;
            assert!(again.is_empty(), "nothing has changed");
        }
    }
    assert_eq!(channels, table(&of, "TeamChannels").count);
    assert_eq!(messages, table(&of, "ChannelMessages").rows.into_keys().collect());
    assert!(messages.len() > 50);
}

/// A receiver of notifications: answers the handshake with what it is told to, and notes what comes.
async fn receiver(echo: bool) -> (String, tokio::sync::mpsc::UnboundedReceiver<Value>) {
    use axum::extract::Query;
    let (told, noted) = tokio::sync::mpsc::unbounded_channel();
    let answer = async move |Query(query): Query<BTreeMap<String, String>>, body: String| match query.get("validationToken") {
        Some(token) => (axum::http::StatusCode::OK, if echo { token.clone() } else { "no".to_owned() }),
        None => {
            told.send(serde_json::from_str(&body).unwrap()).unwrap();
            (axum::http::StatusCode::ACCEPTED, String::new())
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/hook", listener.local_addr().unwrap());
    let router = axum::Router::new().route("/hook", axum::routing::post(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, noted)
}

fn subscription(url: &str, until: &str) -> String {
    json!({
        "changeType": "created,updated", "notificationUrl": url, "lifecycleNotificationUrl": url,
        "resource": "communications/callRecords", "expirationDateTime": until, "clientState": "a secret",
    })
    .to_string()
}

#[tokio::test]
async fn subscribers_are_validated_told_and_warned() {
    let of = tenant(32, |_| {}).await;
    let client = Client::new(&of, GRAPH).await;
    let (address, mut noted) = receiver(true).await;
    let too_long = client.send("POST", "/graph/v1.0/subscriptions", &subscription(&address, "2026-01-15T11:00:00Z")).await;
    assert_eq!(too_long.status, 400);
    let (silent, _unheard) = receiver(false).await;
    let refused = client.send("POST", "/graph/v1.0/subscriptions", &subscription(&silent, "2026-01-14T12:00:00Z")).await;
    assert_eq!((refused.status, text(&refused.json()["error"], "code")), (400, "ValidationError"));
    let created = client.send("POST", "/graph/v1.0/subscriptions", &subscription(&address, "2026-01-14T12:00:00Z")).await;
    assert_eq!((created.status, text(&created.json(), "clientState")), (201, "a secret"));
    let id = text(&created.json(), "id").to_owned();
    of.set_clock("2026-01-14T10:00:00Z".parse().unwrap());
    let (mut calls, mut warned) = (BTreeSet::new(), false);
    while calls.len() < 5 || !warned {
        for note in noted.recv().await.unwrap()["value"].as_array().unwrap() {
            assert_eq!(
                (text(note, "subscriptionId"), text(note, "clientState"), text(note, "tenantId")),
                (id.as_str(), "a secret", of.tenant())
            );
            match note["lifecycleEvent"].as_str() {
                Some(event) => warned = event == "reauthorizationRequired",
                None => drop(calls.insert(text(&note["resourceData"], "id").to_owned())),
            }
        }
    }
    let client = Client::new(&of, GRAPH).await;
    let one = client.get(&format!("/graph/v1.0/communications/callRecords/{}", calls.first().unwrap())).await;
    assert_eq!(one.status, 200);
    let path = format!("/graph/v1.0/subscriptions/{id}");
    let renewed = client.send("PATCH", &path, r#"{"expirationDateTime":"2026-01-16T10:00:00Z"}"#).await.json();
    assert_eq!(text(&renewed, "expirationDateTime"), "2026-01-16T10:00:00Z");
    assert_eq!(client.send("DELETE", &path, "").await.status, 204);
    assert_eq!(client.get(&path).await.status, 404);
}

#[tokio::test]
async fn the_audit_log_is_queried_when_the_query_is_done() {
    let of = tenant(33, |_| {}).await;
    let client = Client::new(&of, GRAPH).await;
    let path = "/graph/v1.0/security/auditLog/queries";
    let body =
        json!({"displayName": "a", "filterStartDateTime": "2026-01-05T00:00:00Z", "filterEndDateTime": "2026-01-08T00:00:00Z"});
    let created = client.send("POST", path, &body.to_string()).await;
    assert_eq!((created.status, text(&created.json(), "status")), (201, "notStarted"));
    let id = text(&created.json(), "id").to_owned();
    assert_eq!(client.get(&format!("{path}/{id}/records")).await.status, 400, "not yet");
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(text(&client.get(&format!("{path}/{id}")).await.json(), "status").to_owned());
    }
    assert_eq!(statuses, ["notStarted", "running", "succeeded"]);
    let (records, _) = client.list(&format!("{path}/{id}/records?$top=40")).await;
    let ids: BTreeSet<&str> = records.iter().map(|record| text(record, "id")).collect();
    assert!(ids.len() > 100);
    for record in &records {
        assert_eq!(record["id"], record["auditData"]["Id"]);
        assert!(("2026-01-05".."2026-01-08").contains(&text(record, "createdDateTime")), "{record}");
    }
    let one = text(&records[0], "operation");
    let body = json!({"filterStartDateTime": "2026-01-05T00:00:00Z", "filterEndDateTime": "2026-01-08T00:00:00Z", "operationFilters": [one]});
    let id = text(&client.send("POST", path, &body.to_string()).await.json(), "id").to_owned();
    for _ in 0..2 {
        client.get(&format!("{path}/{id}")).await;
    }
    let (filtered, _) = client.list(&format!("{path}/{id}/records?$top=1000")).await;
    let expected: BTreeSet<&str> =
        records.iter().filter(|record| text(record, "operation") == one).map(|record| text(record, "id")).collect();
    assert_eq!(filtered.iter().map(|record| text(record, "id")).collect::<BTreeSet<_>>(), expected);
    assert_eq!(client.send("POST", path, "{}").await.status, 400);
}
