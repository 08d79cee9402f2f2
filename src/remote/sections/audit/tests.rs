use std::io::Read as _;

use serde_json::json as value;

use super::*;
use crate::testing::{Asked, NOW, SECRET, Server, TENANT, json, reply, tenant, world};

const FEED: &str = "/api/v1.0/11111111-2222-3333-4444-555555555555/activity/feed";
const ALL_ENABLED: &str = r#"[
    {"contentType":"Audit.AzureActiveDirectory","status":"enabled"}, {"contentType":"Audit.Exchange","status":"enabled"},
    {"contentType":"Audit.SharePoint"},{"contentType":"audit.general","status":"Enabled"}]"#;

fn audit(server: &Server, types: &[&str]) -> Audit {
    let mut tenant = tenant(&server.base);
    tenant.audit.content_types = types.iter().map(|name| (*name).to_owned()).collect();
    Audit::new(&tenant, &world()).unwrap()
}

fn query(asked: &Asked) -> HashMap<String, String> {
    let url = Url::parse("http://x").unwrap().join(asked.line.split_once(' ').unwrap().1).unwrap();
    url.query_pairs().into_owned().collect()
}

fn blob(base: &str, id: &str, expires: &str) -> Value {
    value!({ "contentType": "Audit.SharePoint", "contentId": id, "contentUri": format!("{base}{FEED}/audit/{id}"),
        "contentCreated": "2026-01-09T09:39:55.007Z", "contentExpiration": expires })
}

fn host(asked: &Asked) -> String {
    format!("http://{}", asked.header("host").unwrap())
}

#[tokio::test]
async fn the_whole_seven_days_are_listed_in_windows_with_all_their_pages() {
    let server = Server::start(|asked, _| {
        let base = host(asked);
        if asked.line.contains("/subscriptions/list") {
            return json(ALL_ENABLED);
        }
        let query = query(asked);
        if query["startTime"] != "2026-01-09T00:00:01" {
            return json("[]");
        }
        let next = |page: u32| {
            format!(
                "NextPageUri: {base}{FEED}/subscriptions/content?contentType=x&startTime=2026-01-09T00:00:01&nextPage={page}\r\n"
            )
        };
        let expires = "2026-01-16T09:12:04.511Z";
        match query.get("nextPage").map(String::as_str) {
            None => reply(200, &next(2), value!([blob(&base, "a$1", expires)]).to_string()),
            // A page without anything is not the last one.
            Some("2") => reply(200, &next(3).replace("Uri", "Url"), "[]"),
            Some(_) => json(&value!([blob(&base, "a$1", expires), blob(&base, "b$2", "")]).to_string()),
        }
    });
    let audit = audit(&server, &["Audit.SharePoint", "Audit.General", " audit.general ", ""]);
    let listing = audit.list(None).await.unwrap();
    assert_eq!(listing.failures, []);
    // The same blob in two pages is one; both types list it here, and each has units of its own.
    let names: Vec<&str> = listing.units.iter().map(|unit| unit.name.as_str()).collect();
    let unit = |kind: &str, id: &str| format!("contoso/audit/{kind}/{id}");
    let expected = [
        unit("Audit.SharePoint", "a$1"),
        unit("Audit.SharePoint", "b$2"),
        unit("Audit.General", "a$1"),
        unit("Audit.General", "b$2"),
    ];
    assert_eq!(names, expected);
    assert_eq!(listing.units[0].stamp.as_deref(), Some("a$1"));
    assert_eq!(listing.units[0].expires, instant::read("2026-01-16T09:12:04.511Z"));
    assert_eq!(listing.units[1].expires, instant::read("2026-01-16T09:39:55.007Z"));
    let asked: Vec<Asked> = server.asked().into_iter().filter(|asked| asked.line.contains(FEED)).collect();
    assert!(asked.iter().all(|asked| query(asked)["PublisherIdentifier"] == TENANT), "{asked:?}");
    let times = |name: &str| -> Vec<(String, String)> {
        let mine = asked.iter().map(query).filter(|query| query.get("contentType").is_some_and(|own| own == name));
        let mut all: Vec<_> = mine.map(|query| (query["startTime"].clone(), query["endTime"].clone())).collect();
        all.sort();
        all
    };
    let windows = times("Audit.General");
    assert_eq!((windows.len(), windows.clone()), (7, times("Audit.SharePoint")));
    assert_eq!((windows[0].0.as_str(), windows[6].1.as_str()), ("2026-01-05T00:01:00", "2026-01-12T00:00:01"));
    for pair in windows.windows(2) {
        assert_eq!(pair[0].1, pair[1].0);
    }
    let micros = |text: &str| instant::read(text).unwrap();
    assert!(windows.iter().all(|(from, to)| micros(to) - micros(from) <= DAY && micros(from) >= NOW - KEPT));
}

#[tokio::test]
async fn subscriptions_are_started_where_they_are_not_enabled_and_not_too_often() {
    let server = Server::start(|asked, _| {
        if asked.line.contains("/subscriptions/list") {
            return json(
                r#"[{"contentType":"Audit.Exchange","status":"enabled"},{"contentType":"Audit.SharePoint","status":"disabled"}]"#,
            );
        }
        let kind = query(asked)["contentType"].clone();
        match (asked.line.contains("/start"), kind.as_str()) {
            (true, "Audit.General") => reply(400, "", r#"{"error":{"code":"AF20024","message":"already enabled"}}"#),
            (true, "DLP.All") => reply(403, "", r#"{"error":{"code":"AF10001","message":"no permission"}}"#),
            (true, _) => json(r#"{"status":"enabled"}"#),
            (false, "Audit.SharePoint") => reply(400, "", r#"{"error":{"code":"AF20022","message":"no subscription"}}"#),
            (false, "Audit.General") => reply(400, "", r#"{"error":{"code":"AF20055","message":"window"}}"#),
            (false, _) => json("[]"),
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let mut tenant = tenant(&server.base);
    tenant.audit.content_types = ["Audit.Exchange", "Audit.SharePoint", "Audit.General", "DLP.All"].map(str::to_owned).to_vec();
    let world = World::new(world().pace().clone(), Some(folder.path())).unwrap();
    let starts = || server.lines().iter().filter(|line| line.starts_with("POST") && line.contains("/start")).count();
    for expected in [3, 4] {
        let listing = Audit::new(&tenant, &world).unwrap().list(None).await.unwrap();
        // What was refused is asked again; what was started is left alone for a while.
        assert_eq!(starts(), expected);
        let failures: Vec<&str> = listing.failures.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(failures.len(), 8, "{failures:?}");
        assert!(failures[..7].iter().all(|name| name.starts_with("contoso/audit/Audit.General/2026-01-")));
        assert_eq!(failures[7], "contoso/audit/DLP.All");
        assert!(listing.failures[7].1.contains("ActivityFeed.ReadDlp"));
    }
    let empty = server.asked().into_iter().filter(|asked| asked.line.starts_with("POST") && asked.line.contains("/start"));
    assert!(empty.into_iter().all(|asked| asked.body.is_empty() && asked.header("content-length") == Some("0")));
    // Long after its first start, a subscription that is still not there is reported, and started again.
    let mut late = tenant.clone();
    late.audit.content_types = vec!["Audit.SharePoint".to_owned()];
    for (after, failures, expected) in
        [(FIRST_CONTENT - SECOND, 0, 5), (FIRST_CONTENT + SECOND, 1, 5), (FIRST_CONTENT + START_AGAIN, 1, 6)]
    {
        let clock = std::sync::Arc::new(kqlake_value::clock::FixedClock::at_micros(NOW + after));
        let later = World::new(crate::pace::Pace::counted(clock), Some(folder.path())).unwrap();
        let listing = Audit::new(&late, &later).unwrap().list(None).await.unwrap();
        assert_eq!((listing.failures.len(), starts()), (failures, expected), "{:?}", listing.failures);
    }
    let audit = Audit::new(&tenant, &world).unwrap();
    let found = audit.enabled().await.unwrap();
    let enabled: Vec<bool> = audit.content_types.iter().map(|name| found.contains(&plain(name))).collect();
    assert_eq!(enabled, [true, false, false, false]);
}

#[tokio::test]
async fn a_subscription_that_is_enabled_and_not_there_is_started_again() {
    let server = Server::start(|asked, _| {
        if asked.line.contains("/subscriptions/list") {
            return json(ALL_ENABLED);
        }
        if asked.line.contains("/subscriptions/start") {
            return json("{}");
        }
        reply(400, "", r#"{"error":{"code":"AF20022","message":"no subscription"}}"#)
    });
    let folder = tempfile::tempdir().unwrap();
    let mut tenant = tenant(&server.base);
    tenant.audit.content_types = vec!["Audit.General".to_owned()];
    let starts = || server.lines().iter().filter(|line| line.contains("/start?contentType=Audit.General")).count();
    // It is reported once, and then given the time that a first start has.
    for (after, failures, expected) in [(0, 1, 1), (SECOND, 0, 1), (FIRST_CONTENT + SECOND, 1, 2)] {
        let clock = std::sync::Arc::new(kqlake_value::clock::FixedClock::at_micros(NOW + after));
        let world = World::new(crate::pace::Pace::counted(clock), Some(folder.path())).unwrap();
        let listing = Audit::new(&tenant, &world).unwrap().list(None).await.unwrap();
        assert_eq!((listing.failures.len(), starts()), (failures, expected), "{:?}", listing.failures);
    }
}

#[tokio::test]
async fn who_only_looks_starts_no_subscription() {
    let server = Server::start(|_, _| json("[]"));
    let mut tenant = tenant(&server.base);
    tenant.audit.content_types = vec!["Audit.General".to_owned()];
    let listing = Audit::new(&tenant, &world().that_only_looks()).unwrap().list(None).await.unwrap();
    let why = "its subscription is not started; an import starts it";
    assert_eq!(listing.failures, [("contoso/audit/Audit.General".to_owned(), why.to_owned())]);
    assert!(server.lines().iter().all(|line| line.starts_with("GET")), "{:?}", server.lines());
}

#[tokio::test]
async fn a_listing_that_breaks_is_a_failure_and_never_a_shorter_one() {
    let server = Server::start(|asked, _| {
        let base = host(asked);
        if asked.line.contains("/subscriptions/list") {
            return json(ALL_ENABLED);
        }
        let query = query(asked);
        let page = query.get("nextPage").map(String::as_str);
        let next = |page: &str, start: &str| {
            format!("NextPageUri: {base}{FEED}/subscriptions/content?startTime={start}&nextPage={page}\r\n")
        };
        match (query["startTime"].as_str(), page) {
            // Its own next page is not known any more; it never is.
            ("2026-01-11T00:00:01", None) => {
                reply(200, &next("lost", "2026-01-11T00:00:01"), value!([blob(&base, "a", "")]).to_string())
            }
            ("2026-01-11T00:00:01", _) => reply(400, "", r#"{"error":{"code":"AF20031","message":"invalid nextPage"}}"#),
            // A chain that leads to itself.
            ("2026-01-10T00:00:01", None) => reply(200, &next("1", "2026-01-10T00:00:01"), "[]"),
            ("2026-01-10T00:00:01", _) => reply(200, &next("1", "2026-01-10T00:00:01"), "[]"),
            // Another host.
            ("2026-01-09T00:00:01", _) => reply(200, "NextPageUri: http://127.0.0.1:1/x\r\n", "[]"),
            // No list, and a blob without an id.
            ("2026-01-08T00:00:01", _) => json("{}"),
            ("2026-01-07T00:00:01", _) => json(r#"[{"contentUri":"x"}]"#),
            _ => json("[]"),
        }
    });
    let audit = audit(&server, &["Audit.General"]);
    let listing = audit.list(None).await.unwrap();
    assert_eq!(listing.units, []);
    let failures: Vec<&str> = listing.failures.iter().map(|(_, why)| why.as_str()).collect();
    // The oldest window comes first.
    let expected = ["without an id", "no list", "no host of this service", "lead to themselves", "AF20031"];
    assert_eq!(failures.len(), expected.len(), "{failures:?}");
    for (why, expected) in failures.iter().zip(expected) {
        assert!(why.contains(expected), "{why}");
    }
    assert!(listing.failures[4].0.ends_with("Audit.General/2026-01-11T00:00:01..2026-01-12T00:00:01"));
}

#[tokio::test]
async fn the_oldest_window_moves_on_while_it_is_tried_again() {
    let tried = Mutex::new(0);
    let server = Server::start(move |asked, _| {
        if asked.line.contains("/subscriptions/list") {
            return json(ALL_ENABLED);
        }
        match query(asked)["startTime"].as_str() {
            "2026-01-05T00:01:00" => {
                let mut tried = tried.lock().unwrap();
                *tried += 1;
                let refused = r#"{"error":{"code":"AF20055","message":"older than seven days"}}"#;
                if *tried == 1 { reply(503, "Retry-After: 600\r\n", "") } else { reply(400, "", refused) }
            }
            _ => json("[]"),
        }
    });
    let mut tenant = tenant(&server.base);
    tenant.audit.content_types = vec!["Audit.General".to_owned()];
    // Waits are seen by the clock here.
    let clock = Arc::new(kqlake_value::clock::RunningClock::from_micros(NOW, 5_000.0));
    let audit = Audit::new(&tenant, &World::new(crate::pace::Pace::real(clock), None).unwrap()).unwrap();
    let windows = audit.windows("Audit.General", NOW);
    let oldest = windows.last().copied().unwrap();
    assert_eq!(audit.window(oldest).await.unwrap(), []);
    assert_eq!(server.lines().len(), 3);
}

async fn opened(answer: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static) -> (Result<String, SourceError>, Vec<String>) {
    let fetched = Mutex::new(0);
    let server = Server::start(move |asked, _| {
        if asked.line.contains("/subscriptions/list") {
            return json(ALL_ENABLED);
        }
        if asked.line.contains("/subscriptions/content") {
            let one = query(asked)["startTime"].starts_with("2026-01-11").then(|| blob(&host(asked), "a$b?x=1", "")).into_iter();
            return json(&Value::Array(one.collect()).to_string());
        }
        let mut fetched = fetched.lock().unwrap();
        *fetched += 1;
        answer(*fetched)
    });
    let audit = audit(&server, &["Audit.General"]);
    let listing = audit.list(None).await.unwrap();
    let body = match audit.open(&listing.units[0]).await {
        Ok(Opened { body: Body::Stream(mut body), .. }) => {
            let mut text = String::new();
            body.read_to_string(&mut text).unwrap();
            Ok(text)
        }
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error),
    };
    let lines = server.lines().into_iter().filter(|line| line.contains("/audit/")).collect();
    (body, lines)
}

#[tokio::test]
async fn blobs_are_fetched_at_their_own_addresses() {
    let (body, lines) = opened(|_| json(r#"[{"Id":"1"}]"#)).await;
    assert_eq!(body.unwrap(), r#"[{"Id":"1"}]"#);
    assert_eq!(lines, [format!("GET {FEED}/audit/a$b?x=1&PublisherIdentifier={TENANT}")]);
}

#[tokio::test]
async fn blobs_that_are_gone_are_gone_and_those_that_fail_are_not() {
    for (code, status, gone) in [("AF20051", 400, true), ("AF20050", 404, true), ("AF20052", 400, false), ("AF50000", 500, false)]
    {
        let answer = format!(r#"{{"error":{{"code":"{code}","message":"x"}}}}"#);
        let (body, _) = opened(move |_| reply(status, "", &answer)).await;
        let error = body.unwrap_err();
        assert_eq!((error.gone, error.status), (gone, Some(status)), "{error}");
        assert!(error.reason.contains(code) && !error.reason.contains(SECRET));
    }
    // An answer that says nothing of why is no proof that it is gone.
    let (body, _) = opened(|_| reply(404, "", "")).await;
    assert!(!body.unwrap_err().gone);
}

#[tokio::test]
async fn a_blob_without_records_is_asked_for_again() {
    let (body, lines) = opened(|number| json(if number < 3 { " [ ]\n" } else { r#"[{"Id":"1"}]"# })).await;
    assert_eq!((body.unwrap().as_str(), lines.len()), (r#"[{"Id":"1"}]"#, 3));
    let (body, lines) = opened(|_| json("[]")).await;
    assert_eq!((body.unwrap_err().gone, lines.len()), (false, 3));
}

#[tokio::test]
async fn what_is_no_list_of_records_is_no_blob() {
    let whole = r#"[{"Id":"1"}]"#;
    for other in
        [r#"{"error":{"code":"AF50000","message":"x"}}"#, r#"{"value":[]}"#, r#"{"Message":"busy","error":{"code":"x"}}"#]
    {
        let (body, lines) = opened(move |number| json(if number < 3 { other } else { whole })).await;
        assert_eq!((body.unwrap().as_str(), lines.len()), (whole, 3), "{other}");
        let (body, _) = opened(move |_| json(other)).await;
        let error = body.unwrap_err();
        assert!(!error.gone, "{error}");
    }
    // It says with single quotes that it is gone.
    let (body, _) = opened(|_| reply(400, "", "{'error':{'code':'AF20051','message':'x'}}")).await;
    assert!(body.unwrap_err().gone);
}

#[tokio::test]
async fn a_window_ends_before_the_second_that_has_begun_where_that_is_the_future() {
    let server = Server::start(|asked, _| {
        if asked.line.contains("/subscriptions/list") {
            return json(ALL_ENABLED);
        }
        let query = query(asked);
        let refused = reply(400, "", r#"{"error":{"code":"AF20055","message":"The end is in the future."}}"#);
        let found = value!([blob(&host(asked), &query["startTime"], "")]).to_string();
        if query["endTime"].as_str() > "2026-01-12T00:00:00" { refused } else { json(&found) }
    });
    let listing = audit(&server, &["Audit.General"]).list(None).await.unwrap();
    assert_eq!((listing.failures.len(), listing.units.len()), (0, 7));
}

#[test]
fn without_org_urls_nothing_is_begun() {
    let mut tenant = tenant(&Url::parse("http://127.0.0.1:9").unwrap());
    for none in [vec![], vec![" ".to_owned()]] {
        tenant.audit.org_urls = none;
        let error = sources(&tenant, &world()).unwrap_err();
        assert!(error.message.starts_with("FATAL ERROR: No org URLs found"), "{error}");
    }
    tenant.audit.org_urls = vec!["*".to_owned()];
    assert_eq!(sources(&tenant, &world()).unwrap()[0].stream(), "contoso/audit");
}

#[tokio::test]
async fn what_no_run_listed_while_the_service_had_it_is_a_unit_that_is_gone() {
    let server = Server::start(|asked, _| {
        let query = query(asked);
        let fails = query.get("contentType").is_some_and(|name| name == "Audit.Exchange");
        match asked.line.contains("/subscriptions/list") {
            true => json(ALL_ENABLED),
            false if fails => reply(400, "", r#"{"error":{"code":"AF20055","message":"window"}}"#),
            false => json("[]"),
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let mut tenant = tenant(&server.base);
    tenant.audit.content_types = ["Audit.SharePoint", "Audit.Exchange"].map(str::to_owned).to_vec();
    let world = World::new(world().pace().clone(), Some(folder.path())).unwrap();
    let file = state::file(folder.path(), "listed", TENANT);
    let list = || async { Audit::new(&tenant, &world).unwrap().list(None).await.unwrap().units };
    // A first run begins where the service does.
    assert_eq!(list().await, []);
    assert_eq!(state::read(&file), Some(value!({ "audit.sharepoint": NOW })));
    // Seven days and a bit: within what the service has, there is no gap.
    let (within, before) = (NOW - KEPT + 2 * MARGIN, NOW - 9 * DAY);
    state::write(file.clone(), value!({ "audit.sharepoint": within, "audit.exchange": within })).await;
    assert_eq!(list().await, []);
    state::write(file.clone(), value!({ "audit.sharepoint": before, "audit.exchange": before })).await;
    let gaps = list().await;
    let names: Vec<&str> = gaps.iter().map(|unit| unit.name.as_str()).collect();
    let name = |kind: &str| format!("contoso/audit/{kind}/gap/2026-01-03T00:00:00Z..2026-01-05T00:01:00Z");
    assert_eq!(names, [name("Audit.SharePoint"), name("Audit.Exchange")]);
    let error = Audit::new(&tenant, &world).unwrap().open(&gaps[0]).await.unwrap_err();
    assert!(error.gone && error.reason.contains("from 2026-01-03T00:00:00Z to 2026-01-05T00:01:00Z"), "{}", error.reason);
    // It is reported once, and a type that could not be listed is still not listed.
    assert_eq!(list().await, []);
    assert_eq!(state::read(&file), Some(value!({ "audit.sharepoint": NOW, "audit.exchange": NOW - KEPT + MARGIN })));
}
