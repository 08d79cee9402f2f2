use serde_json::json as value;

use super::*;
use crate::testing::{Server, json, reply, tenant, world};

/// The record of a call, and what was asked for it.
async fn record(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> (Option<String>, usize) {
    let server = Server::start(move |asked, _| answer(&asked.line));
    let calls = Calls::of(&tenant(&server.base), &world()).unwrap();
    let record = calls.call("a").await.ok().map(|record| String::from_utf8(record.into_text()).unwrap());
    (record, server.lines().len())
}

#[tokio::test]
async fn sessions_that_do_not_come_with_the_record_are_asked_for() {
    let bare = r#"{"id":"a","version":1,"participants":[{}]}"#;
    let whole = r#"{"id":"a","version":1,"participants":[{}],"sessions":[{"id":"s"}]}"#;
    let (found, _) = record(move |line| json(if line.contains("/sessions") { r#"{"value":[{"id":"s"}]}"# } else { bare })).await;
    assert_eq!(found.as_deref(), Some(whole));
    // The service has none.
    let (found, _) = record(move |line| if line.contains("/sessions") { reply(404, "", "{}") } else { json(bare) }).await;
    assert_eq!(found.as_deref(), Some(bare));
    // Every call has one: a record that says that there are none is asked for them by themselves, and then believed.
    let none = r#"{"id":"a","version":1,"participants":[{}],"sessions":[]}"#;
    let (found, _) = record(move |line| json(if line.contains("/sessions") { r#"{"value":[{"id":"s"}]}"# } else { none })).await;
    assert_eq!(found.as_deref(), Some(whole));
    let (found, asked) = record(move |line| json(if line.contains("/sessions") { r#"{"value":[]}"# } else { none })).await;
    assert_eq!((found.as_deref(), asked), (Some(none), 3));
    // A page that cannot be fetched is never a shorter record.
    let more = r#"{"id":"a","version":1,"participants":[{}],"sessions":[{}],"sessions@odata.nextLink":"sessions?2"}"#;
    let (found, _) = record(move |line| if line.contains("sessions?2") { reply(404, "", "{}") } else { json(more) }).await;
    assert_eq!(found, None);
}

#[tokio::test]
async fn a_service_that_knows_the_older_list_alone_refuses_once() {
    let record = r#"{"id":"a","version":1,"participants":[{}],"sessions":[{}]}"#;
    let server = Server::start(move |asked, _| {
        let is_new = asked.line.contains("participants_v2");
        if is_new { reply(400, "", r#"{"error":{"code":"BadRequest","message":"no"}}"#) } else { json(record) }
    });
    let calls = Calls::of(&tenant(&server.base), &world()).unwrap();
    for requests in [2, 3, 4] {
        let found = calls.call("a").await.unwrap();
        assert_eq!(String::from_utf8(found.into_text()).unwrap(), record);
        assert_eq!(server.lines().len(), requests, "{:?}", server.lines());
    }
}

#[tokio::test]
async fn what_was_not_listed_is_listed_whatever_the_first_run_looks_back() {
    let server = Server::start(|_, _| json(r#"{"value":[]}"#));
    let mut tenant = tenant(&server.base);
    tenant.calls.backfill_days = 2;
    let calls = Calls::of(&tenant, &world()).unwrap();
    let now = calls.api.now();
    let from = |until: Option<i64>, whole: i64| calls.days(until.map(|until| value!(SectionCursor { until, whole }))).from;
    assert_eq!(from(None, 0), now - 2 * DAY);
    assert_eq!(from(Some(now - HOUR), now - HOUR), now - HOUR - AGAIN);
    assert_eq!(from(Some(now - 9 * DAY), now - 9 * DAY), now - 9 * DAY - AGAIN);
    assert_eq!(from(Some(now - 40 * DAY), now - 40 * DAY), now - KEPT);
    // What the service had no longer when a run came by is a unit that is gone.
    let gap = |until: i64| calls.gap(Some(&value!(SectionCursor { until, whole: until })));
    assert_eq!(gap(now - 9 * DAY), None);
    let unit = gap(now - 40 * DAY).unwrap();
    assert_eq!(unit.window, Some((now - 40 * DAY, now - KEPT)));
    assert!(calls.open(&unit).await.unwrap_err().gone);
    let page = calls.page(Some(value!(SectionCursor { until: now - 40 * DAY, whole: now - 40 * DAY }))).await.unwrap();
    assert_eq!(page.units, [unit]);
    assert_eq!(calls.page(page.next).await.unwrap().units, []);
}

#[tokio::test]
async fn what_is_no_record_of_the_call_is_a_failure_and_no_call_without_records() {
    for strange in [r#"{"value":[]}"#, "{}", r#"{"id":"b","version":1}"#, r#"{"id":null}"#, "[]"] {
        let (found, _) = record(move |_| json(strange)).await;
        assert_eq!(found, None, "{strange}");
    }
    // The service may write ids in another case.
    let own = r#"{"id":"A","version":1,"participants":[{}],"sessions":[{}]}"#;
    assert_eq!(record(move |_| json(own)).await.0.as_deref(), Some(own));
}

#[tokio::test]
async fn the_version_that_came_is_known_and_not_the_one_that_was_listed() {
    let server = Server::start(|_, _| json(r#"{"id":"a","version":1,"participants":[{}],"sessions":[{}]}"#));
    let calls = Calls::of(&tenant(&server.base), &world()).unwrap();
    let head = |version: u32| Head { id: "a".to_owned(), version: version.into(), start: None, end: None };
    let unit = calls.unit(&head(2));
    calls.open(&unit).await.unwrap();
    assert_eq!((unit.stamp.as_deref(), calls.stamp_after(&unit).as_deref()), (Some("2"), Some("1")));
    assert_eq!(calls.unit(&head(1)).stamp, calls.stamp_after(&unit));
    // What was not opened is known as it was listed.
    let other = ListedUnit { name: "contoso/calls/b".to_owned(), ..unit };
    assert_eq!(calls.stamp_after(&other), other.stamp);
}
