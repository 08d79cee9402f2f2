//! Faults as a client sees them, over HTTP.

use std::io::Read as _;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::testing::{Client, Got, tenant};
use crate::{FaultPlan, Simulator};

const MANAGEMENT: &str = "https://manage.office.com";

/// What stands on the connection until it ends, and how it ends.
async fn raw(of: &Simulator, path: &str, authorization: &str) -> (Vec<u8>, Option<std::io::ErrorKind>) {
    let mut stream = TcpStream::connect(of.address()).await.unwrap();
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: {authorization}\r\naccept-encoding: gzip\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match tokio::time::timeout(Duration::from_secs(20), stream.read(&mut buffer)).await.expect("the connection ends") {
            Ok(0) => return (answer, None),
            Ok(length) => answer.extend_from_slice(&buffer[..length]),
            Err(err) => return (answer, Some(err.kind())),
        }
    }
}

/// A blob's path, of a tenant with a fault for blobs.
async fn blob(of: &Simulator) -> String {
    let client = Client::new(of, MANAGEMENT).await;
    let root = format!("/management/api/v1.0/{}/activity/feed/subscriptions", of.tenant());
    assert_eq!(client.send("POST", &format!("{root}/start?contentType=Audit.SharePoint"), "").await.status, 200);
    let list =
        client.get(&format!("{root}/content?contentType=Audit.SharePoint&startTime=2026-01-11&endTime=2026-01-12")).await.json();
    let uri = list[0]["contentUri"].as_str().unwrap().to_owned();
    uri.split_once("/management").map(|(_, path)| format!("/management{path}")).unwrap()
}

fn body(answer: &[u8]) -> &[u8] {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    &answer[end + 4..]
}

fn inflated(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(body).read_to_end(&mut out).map(|_| out)
}

fn declared(answer: &[u8]) -> usize {
    let head = String::from_utf8_lossy(answer);
    let line = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    line.parse().unwrap()
}

#[tokio::test]
async fn each_fault_of_a_body_is_what_it_is_called() {
    let of = tenant(51, |settings| settings.audit_blob_records_least = 20).await;
    let path = blob(&of).await;
    let authorization = format!("Bearer {}", crate::testing::token(&of, MANAGEMENT).await);
    let with = async |what: &str| {
        of.set_faults(&FaultPlan::read(&format!("[[fault]]\n{what}")).unwrap());
        raw(&of, &path, &authorization).await
    };
    let (closed, end) = with("action = 'close-in-body'").await;
    assert!(end.is_none() && body(&closed).len() < declared(&closed) && !body(&closed).is_empty());
    let (_, end) = with("action = 'reset-in-body'").await;
    assert_eq!(end, Some(std::io::ErrorKind::ConnectionReset));
    let (nothing, end) = with("action = 'reset'").await;
    assert_eq!((nothing.len(), end), (0, Some(std::io::ErrorKind::ConnectionReset)));
    let (nothing, _) = with("action = 'timeout'\nseconds = 0.1").await;
    assert_eq!(nothing.len(), 0);
    let (cut, _) = with("action = 'truncate-gzip'").await;
    assert!(body(&cut).len() == declared(&cut) && inflated(body(&cut)).is_err());
    let (flipped, _) = with("action = 'corrupt-gzip'").await;
    assert!(body(&flipped).len() == declared(&flipped) && inflated(body(&flipped)).is_err());
    for action in ["truncate", "corrupt"] {
        let (text, _) = with(&format!("action = '{action}'")).await;
        let text = inflated(body(&text)).unwrap();
        assert!(serde_json::from_slice::<Value>(&text).is_err(), "{action}");
    }
    for action in ["content-type", "slow\nseconds = 0.1"] {
        let action = action.replacen('\n', "'\n", 1);
        let close = if action.contains('\n') { "" } else { "'" };
        let (whole, end) = with(&format!("action = '{action}{close}")).await;
        let text = inflated(body(&whole)).unwrap();
        assert!(end.is_none() && serde_json::from_slice::<Value>(&text).is_ok(), "{action}");
    }
    // What came whole was sent, and nothing else.
    assert_eq!(of.manifest().notes["management: blobs sent"], 2);
    let (page, _) = with("action = 'page'").await;
    assert!(String::from_utf8_lossy(&page).contains("text/html"));
    let (empty, _) = with("action = 'empty-list'").await;
    assert_eq!(body(&empty), b"[]");
}

#[tokio::test]
async fn answers_instead_are_those_of_the_service() {
    let of = tenant(52, |_| {}).await;
    let client = Client::new(&of, MANAGEMENT).await;
    let list = format!("/management/api/v1.0/{}/activity/feed/subscriptions/list", of.tenant());
    let with = async |what: &str| -> Got {
        of.set_faults(&FaultPlan::read(&format!("[[fault]]\n{what}")).unwrap());
        client.get(&list).await
    };
    let got = with("name = 'throttled-date'").await;
    assert_eq!((got.status, got.headers["retry-after"].as_str()), (429, "Mon, 12 Jan 2026 12:00:02 GMT"));
    let got = with("name = 'unavailable-seconds'").await;
    assert_eq!((got.status, got.headers["retry-after"].as_str()), (503, "3"));
    let got = with("name = 'af429'").await;
    assert!(got.status == 403 && got.text().starts_with("{'error':{'code':'AF429'"));
    let got = with("status = 418\nheaders = { x-tea = 'green' }\nbody = 'short'").await;
    assert_eq!((got.status, got.headers["x-tea"].as_str(), got.text().as_str()), (418, "green", "short"));
    let got = with("name = 'unauthorized'").await;
    assert!(got.status == 401 && got.json()["Message"].is_string());
    let got = with("name = 'reset'\nservice = 'graph'").await;
    assert_eq!(got.status, 200);
    assert_eq!(of.manifest().faults["throttled-date"], 1);
}

#[tokio::test]
async fn what_a_fault_calls_expired_is_no_truth_any_more() {
    let of = tenant(53, |_| {}).await;
    let path = blob(&of).await;
    let client = Client::new(&of, MANAGEMENT).await;
    let records = || of.manifest().tables.into_iter().find(|table| table.table == "AuditRecords").unwrap().count;
    let before = records();
    of.set_faults(&FaultPlan::read("[[fault]]\nname = 'af20051'\nnth = 1").unwrap());
    for _ in 0..2 {
        let got = client.get(&path).await;
        assert_eq!((got.status, got.json()["error"]["code"].as_str()), (400, Some("AF20051")));
    }
    assert!(records() < before);
}
