use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::testing::{Client, Got, send, tenant, token};
use crate::{ClockSetting, Settings, Simulator, Table};

const MANAGEMENT: &str = "https://manage.office.com";
const TYPES: [&str; 5] = ["Audit.AzureActiveDirectory", "Audit.Exchange", "Audit.SharePoint", "Audit.General", "DLP.All"];

struct Audit<'a> {
    client: Client<'a>,
    root: String,
}

impl<'a> Audit<'a> {
    async fn of(of: &'a Simulator) -> Audit<'a> {
        let client = Client::new(of, MANAGEMENT).await;
        Audit { client, root: format!("/management/api/v1.0/{}/activity/feed", of.tenant()) }
    }

    async fn get(&self, operation: &str) -> Got {
        self.client.get(&format!("{}/{operation}", self.root)).await
    }

    async fn start(&self, kind: &str, body: &str) -> Got {
        self.client.send("POST", &format!("{}/subscriptions/start?contentType={kind}", self.root), body).await
    }

    async fn start_all(&self) {
        for kind in TYPES {
            assert_eq!(self.start(kind, "").await.status, 200);
        }
    }

    /// Descriptors of a window, all pages, and how many pages there were.
    async fn list(&self, kind: &str, start: &str, end: &str) -> (Vec<Value>, usize) {
        let (mut all, mut pages) = (Vec::new(), 0);
        let mut next = Some(format!("{}/subscriptions/content?contentType={kind}&startTime={start}&endTime={end}", self.root));
        while let Some(address) = next {
            let got = self.client.get(&address).await;
            assert_eq!(got.status, 200, "{address}: {}", got.text());
            all.extend(got.json().as_array().unwrap().clone());
            pages += 1;
            next = got.headers.get("nextpageuri").cloned();
        }
        (all, pages)
    }

    /// All blobs of the seven days before noon of the twelfth.
    async fn week(&self, kind: &str) -> Vec<Value> {
        let mut all = Vec::new();
        for day in 5..12 {
            all.extend(self.list(kind, &format!("2026-01-{day:02}T12:00:00"), &format!("2026-01-{:02}T12:00", day + 1)).await.0);
        }
        all
    }
}

fn code(got: &Got) -> String {
    format!("{} {}", got.status, got.json()["error"]["code"].as_str().unwrap_or_default())
}

fn truth(of: &Simulator) -> Table {
    of.manifest().tables.into_iter().find(|table| table.table == "AuditRecords").unwrap()
}

#[tokio::test]
async fn blobs_of_all_pages_and_days_hold_the_truth() {
    let of = tenant(31, |settings| settings.audit_page_size = 3).await;
    let audit = Audit::of(&of).await;
    audit.start_all().await;
    let (mut ids, mut records, mut refused, mut contents) = (BTreeSet::new(), 0, BTreeSet::new(), BTreeSet::new());
    for kind in TYPES {
        for blob in audit.week(kind).await {
            assert!(contents.insert(blob["contentId"].to_string()), "no blob stands in two windows");
            let got = audit.client.get(blob["contentUri"].as_str().unwrap()).await;
            assert_eq!(got.status, 200);
            for record in got.json().as_array().unwrap() {
                records += 1;
                match (record["Id"].as_str(), record["CreationTime"].as_str()) {
                    (Some(id), Some(time)) if time.starts_with("202") => drop(ids.insert(id.to_owned())),
                    _ => drop(refused.insert(record.to_string())),
                }
            }
        }
    }
    let truth = truth(&of);
    assert_eq!(ids, truth.rows.keys().cloned().collect());
    assert_eq!((truth.count, truth.optional.len()), (ids.len(), 0));
    let compact = |text: &String| serde_json::from_str::<Value>(text).unwrap().to_string();
    assert_eq!(refused, truth.refused.iter().map(compact).collect());
    assert!(records > ids.len() + 50, "some records are there more than once");
    assert!(audit.list("Audit.SharePoint", "2026-01-10", "2026-01-11").await.1 > 1, "pages");
    let notes = of.manifest().notes;
    assert_eq!(notes["management: blobs sent"], contents.len() as u64);
    assert!(!notes.contains_key("management: blobs sent again"));
}

#[tokio::test]
async fn windows_that_break_a_rule_are_refused() {
    let of = tenant(32, |_| {}).await;
    let audit = Audit::of(&of).await;
    assert_eq!(code(&audit.get("subscriptions/content?contentType=Audit.General").await), "400 AF20022");
    audit.start_all().await;
    for (query, expected) in [
        ("startTime=2026-01-11&endTime=2026-01-12", "200 "),
        ("startTime=2026-01-11T12:00&endTime=2026-01-12T12:00:00", "200 "),
        ("", "200 "),
        ("startTime=2026-01-11", "400 AF20030"),
        ("startTime=2026-01-05T11:59:59&endTime=2026-01-06", "400 AF20055"),
        ("startTime=2026-01-11&endTime=2026-01-12T00:00:01", "400 AF20055"),
        ("startTime=2026-01-11&endTime=2026-01-11", "400 AF20055"),
        ("startTime=2026-01-11T00:00:00Z&endTime=2026-01-12", "400 AF20002"),
        ("startTime=2026-01-11&endTime=2026-01-12&nextPage=x", "400 AF20031"),
        ("PublisherIdentifier=me", "400 AF20002"),
    ] {
        let got = audit.get(&format!("subscriptions/content?contentType=Audit.General&{query}")).await;
        assert_eq!(code(&got), expected, "{query}");
    }
    assert_eq!(code(&audit.get("subscriptions/content?contentType=Audit.Mail").await), "400 AF20020");
    assert_eq!(code(&audit.get("subscriptions/content").await), "400 AF20001");
}

#[tokio::test]
async fn only_the_right_token_opens_the_feed() {
    let of = tenant(33, |settings| settings.missing_roles = vec!["ActivityFeed.ReadDlp".to_owned()]).await;
    let audit = Audit::of(&of).await;
    assert_eq!(code(&audit.start("DLP.All", "").await), "403 AF10001");
    assert_eq!(audit.start("Audit.General", "").await.status, 200);
    let list = format!("{}/subscriptions/list", audit.root);
    for authorization in
        [None, Some("Bearer nonsense".to_owned()), Some(format!("Bearer {}", token(&of, "https://graph.microsoft.com").await))]
    {
        let headers: Vec<(&str, &str)> = authorization.iter().map(|text| ("authorization", text.as_str())).collect();
        let got = send(&of, "GET", &list, &headers, "").await;
        assert_eq!((got.status, got.json()["Message"].is_string()), (401, true));
    }
    let other = "/management/api/v1.0/00000000-0000-4000-8000-000000000000/activity/feed/subscriptions/list";
    assert_eq!(code(&audit.client.get(other).await), "403 AF20010");
    assert_eq!(code(&audit.client.get("/management/api/v1.0/contoso/activity/feed/subscriptions/list").await), "400 AF20013");
    of.set_clock("2026-01-12T12:59:58Z".parse::<ClockSetting>().unwrap());
    assert_eq!(audit.client.get(&list).await.status, 200);
    of.set_clock("2026-01-12T12:59:59Z".parse::<ClockSetting>().unwrap());
    assert_eq!(audit.client.get(&list).await.status, 401, "the token has expired");
}

#[tokio::test]
async fn content_goes_after_seven_days_and_is_then_no_truth() {
    let of = tenant(34, |settings| settings.token_lifetime_seconds = 30 * 86_400).await;
    let audit = Audit::of(&of).await;
    audit.start_all().await;
    let blobs = audit.week("Audit.Exchange").await;
    let (first, last) =
        (blobs.first().unwrap()["contentUri"].as_str().unwrap(), blobs.last().unwrap()["contentUri"].as_str().unwrap());
    let got = audit.client.get(first).await;
    let ids: BTreeSet<String> =
        got.json().as_array().unwrap().iter().filter_map(|record| Some(record["Id"].as_str()?.to_owned())).collect();
    of.set_clock("2026-01-15T12:00:00Z".parse::<ClockSetting>().unwrap());
    assert_eq!(code(&audit.client.get(first).await), "400 AF20051");
    assert_eq!(audit.client.get(last).await.status, 200);
    let truth = truth(&of);
    assert!(ids.iter().all(|id| truth.rows.contains_key(id)), "what was sent stays true");
    for (uri, expected) in
        [(first.replace("exchange", "mail"), "400 AF20052"), (last.replace("$audit", "1$audit"), "404 AF20050")]
    {
        assert_eq!(code(&audit.client.get(&uri).await), expected, "{uri}");
    }
}

#[tokio::test]
async fn late_blobs_come_up_behind_what_was_listed() {
    let of = tenant(35, |settings| settings.token_lifetime_seconds = 30 * 86_400).await;
    let audit = Audit::of(&of).await;
    audit.start_all().await;
    let ids = |blobs: Vec<Value>| -> BTreeSet<String> { blobs.iter().map(|blob| blob["contentId"].to_string()).collect() };
    let mut came_late = 0;
    let mut seen: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for hour in 0..48 {
        of.set_clock(format!("2026-01-{:02}T{:02}:00:00Z", 12 + hour / 24, hour % 24).parse::<ClockSetting>().unwrap());
        for kind in TYPES {
            // The same closed window again and again.
            let now = ids(audit.list(kind, "2026-01-11", "2026-01-12").await.0);
            if let Some(before) = seen.insert(kind, now.clone()) {
                assert!(before.is_subset(&now), "nothing goes before its time");
                came_late += now.len() - before.len();
            }
        }
    }
    assert!(came_late > 0);
}

#[tokio::test]
async fn requests_beyond_the_quota_are_answered_as_forbidden_and_in_single_quotes() {
    let of = tenant(36, |settings| *settings = Settings { audit_requests_per_minute: 20, ..Settings::default() }).await;
    of.set_clock("2026-01-12T12:00:00Zx1".parse::<ClockSetting>().unwrap());
    let audit = Audit::of(&of).await;
    let list = format!("subscriptions/list?PublisherIdentifier={}", of.tenant());
    for _ in 0..20 {
        assert_eq!(audit.get(&list).await.status, 200);
    }
    let got = audit.get(&list).await;
    assert_eq!(got.status, 403);
    let expected = format!(
        "{{'error':{{'code':'AF429','message':'Too many requests. Method=ListSubscriptions, PublisherId={}'}}}}",
        of.tenant()
    );
    assert_eq!(got.text(), expected);
    // Who does not say who it is has a pool of its own, a small one.
    assert_eq!(audit.get("subscriptions/list").await.status, 200);
    assert_eq!(audit.get("subscriptions/list").await.status, 200);
    assert_eq!(audit.get("subscriptions/list").await.status, 403);
    of.set_clock("2026-01-12T12:01:01Zx1".parse::<ClockSetting>().unwrap());
    assert_eq!(audit.get(&list).await.status, 200);
    assert_eq!(of.manifest().notes["management: throttled"], 2);
}

#[tokio::test]
async fn a_webhook_is_validated_before_it_is_taken() {
    let of = tenant(37, |_| {}).await;
    let audit = Audit::of(&of).await;
    let body = |address: &str, expiration: &str| {
        format!(r#"{{"webhook":{{"address":"{address}","authId":"a","expiration":"{expiration}"}}}}"#)
    };
    for (address, expiration, expected) in [
        ("https://hooks.example.com/", "", "400 AF20021"),
        ("http://127.0.0.1:1/", "", "400 AF20021"),
        ("http://127.0.0.1:1/", "2026-01-01T00:00:00Z", "400 AF20003"),
        ("http://127.0.0.1:1/", "soon", "400 AF20002"),
    ] {
        assert_eq!(code(&audit.start("Audit.General", &body(address, expiration)).await), expected, "{address} {expiration}");
    }
    assert_eq!(audit.get("subscriptions/list").await.json(), serde_json::json!([]));
}
