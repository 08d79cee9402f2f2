//! The receiver of call notifications, the subscription that makes them come, and the calls that they tell of.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kqlake_import::{EventLevel, StopSignal};
use kqlake_remote::cloud::Service;
use kqlake_remote::settings::{Credential, HostOverrides, Tenant};
use kqlake_remote::webhook::{Attention, Hint, Journal, Keeper, Party, Receiver, ReceiverLimits, Spool};
use kqlake_remote::{Pace, World};
use kqlake_simulate::{ClockSetting, Settings, Simulator, SimulatorOptions};
use kqlake_value::clock::{Clock, FixedClock};
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

use super::simulated::Simulated;
use super::support::csv_rows;

/// 2026-01-12T00:00:00Z.
const NOW: i64 = 1_768_176_000_000_000;
const STATE: &str = "a state that nobody guesses";
const TENANT: &str = "11111111-2222-3333-4444-555555555555";

#[derive(Debug, Default)]
struct Lines(Mutex<Vec<String>>, Mutex<usize>);

impl Journal for Lines {
    fn line(&self, is_receiver: bool, severity: EventLevel, message: &str) {
        self.0.lock().unwrap().push(format!("{is_receiver} {} {message}", severity as i64));
    }

    fn notified(&self, _tenant: &str, calls: usize) {
        *self.1.lock().unwrap() += calls;
    }
}

impl Lines {
    fn take(&self) -> Vec<String> {
        self.0.lock().unwrap().drain(..).collect()
    }
}

struct Place {
    address: SocketAddr,
    lines: Arc<Lines>,
    look: Arc<Attention>,
    spool: Spool,
    stop: StopSignal,
}

async fn receiver(dir: &Path, limits: ReceiverLimits) -> Place {
    let (lines, look, stop) = (Arc::new(Lines::default()), Arc::new(Attention::default()), StopSignal::default());
    let clock: Arc<dyn Clock> = Arc::new(FixedClock::at_micros(NOW));
    let party =
        Party { name: "contoso".into(), id: TENANT.into(), client_state: SecretString::from(STATE), look: Arc::clone(&look) };
    let spool = Spool::new(dir);
    let pace = Pace::counted(clock);
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let receiver = Receiver::bind(free, vec![party], spool.clone(), lines.clone(), limits, pace).await.expect("an address");
    let address = receiver.address().expect("an address");
    tokio::spawn(receiver.serve(stop.clone()));
    Place { address, lines, look, spool, stop }
}

impl Place {
    /// What is answered to a request: status, content type, body.
    async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default();
        (status, kind.to_owned(), body.to_owned())
    }

    fn waiting(&self) -> Vec<Hint> {
        self.spool.waiting(TENANT).unwrap().into_iter().map(|(_, hint)| hint).collect()
    }
}

fn notice(state: &str, tenant: &str, call: &str) -> String {
    format!(
        r##"{{"id":"n","subscriptionId":"s","clientState":"{state}","tenantId":"{tenant}","changeType":"created","resource":"communications/callRecords/{call}","resourceData":{{"@odata.type":"#microsoft.graph.callRecord","id":"{call}"}}}}"##
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_validation_request_is_answered_as_plain_text() {
    let dir = tempfile::tempdir().unwrap();
    let place = receiver(dir.path(), ReceiverLimits::default()).await;
    let token = "Validation%3A+Testing+client+application+reachability%3C%2Fb%3E";
    let answer = place.ask("POST", &format!("/any/path?validationToken={token}"), "").await;
    let decoded = "Validation: Testing client application reachability</b>";
    assert_eq!(answer, (200, "text/plain; charset=utf-8".into(), decoded.into()));
    assert_eq!(place.ask("POST", &format!("/?validationToken={}", "x".repeat(5_000)), "").await.0, 400);
    assert_eq!((place.ask("GET", "/", "").await.0, place.ask("DELETE", "/", "").await.0), (200, 405));
    assert!(place.waiting().is_empty());
    place.stop.ask();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_believed_is_on_the_disk_before_it_is_acknowledged_and_the_rest_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let place = receiver(dir.path(), ReceiverLimits::default()).await;
    let body = |notices: &[String]| format!("{{\"value\":[{}]}}", notices.join(","));
    let mixed = body(&[
        notice(STATE, TENANT, "call-2"),
        notice("another state", TENANT, "call-3"),
        notice(STATE, &TENANT.to_uppercase(), "call-1"),
        notice(STATE, "99999999-2222-3333-4444-555555555555", "call-4"),
        notice(STATE, TENANT, "call-1"),
        notice("", TENANT, "call-5"),
        notice(STATE, TENANT, "../../users"),
    ]);
    assert_eq!(place.ask("POST", "/calls", &mixed).await.0, 202);
    let expected = Hint { tenant: TENANT.into(), received: NOW, calls: vec!["call-1".into(), "call-2".into()] };
    assert_eq!(place.waiting(), [expected]);
    let lines = place.lines.take();
    assert!(
        lines.iter().any(|line| line == "true 2 3 notifications without the state of a subscription of ours were left out"),
        "{lines:?}"
    );
    assert!(!lines.concat().contains(STATE) && !lines.concat().contains("another state"), "{lines:?}");
    assert_eq!(*place.lines.1.lock().unwrap(), 2);

    for (text, status) in [("{", 400), ("[]", 400), ("{\"value\":[]}", 202), (&"x".repeat(2 << 20), 413)] {
        assert_eq!(place.ask("POST", "/calls", text).await.0, status, "{}", &text[..text.len().min(20)]);
    }
    assert_eq!(place.waiting().len(), 1);

    // About the subscription itself.
    let lifecycle = format!(
        r#"{{"value":[{{"subscriptionId":"s","tenantId":"{TENANT}","clientState":"{STATE}","lifecycleEvent":"reauthorizationRequired"}}]}}"#
    );
    assert_eq!(place.ask("POST", "/calls", &lifecycle).await.0, 202);
    tokio::time::timeout(Duration::from_secs(20), place.look.called()).await.expect("it is to be looked at");
    place.stop.ask();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_spooled_is_not_acknowledged_and_too_many_requests_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    // A file stands where the folder belongs.
    std::fs::write(dir.path().join("calls"), "").unwrap();
    let place = receiver(&dir.path().join("calls"), ReceiverLimits { burst: 3.0, ..ReceiverLimits::default() }).await;
    let body = format!("{{\"value\":[{}]}}", notice(STATE, TENANT, "call-1"));
    assert_eq!(place.ask("POST", "/", &body).await.0, 503);
    assert_eq!(place.ask("GET", "/", "").await.0, 200);
    assert_eq!(place.ask("GET", "/", "").await.0, 200);
    assert_eq!(place.ask("GET", "/", "").await.0, 429);
    place.stop.ask();
}

fn instant(text: &str) -> ClockSetting {
    text.parse().expect("a setting of the clock")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_subscription_is_created_renewed_and_created_again() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { quotas: false, ..Settings::default() };
    let options =
        SimulatorOptions { scale: 0.01, clock: instant("2026-01-12T00:00:00Z"), settings, ..SimulatorOptions::default() };
    let simulator = Simulator::start(options).await.expect("the tenant serves");
    let place = receiver(dir.path(), ReceiverLimits::default()).await;
    let host = |name: &str| Url::parse(&format!("http://{}/{name}", simulator.address())).ok();
    let hosts = HostOverrides { login: host("login"), graph: host("graph"), ..HostOverrides::default() };
    let credential = Credential::Secret(SecretString::from(simulator.secret().to_owned()));
    let tenant = Tenant { hosts, ..Tenant::new("contoso", simulator.tenant(), simulator.client_id(), credential) };
    let keeper = |url: String, hours: i64| {
        let clock: Arc<dyn Clock> = Arc::new(FixedClock::at_micros(NOW + hours * 3_600_000_000));
        let world = World::new(Pace::counted(clock), None).expect("a world");
        Keeper {
            api: world.api(&tenant, Service::Graph).expect("Graph"),
            tenant: "contoso".into(),
            url: Url::parse(&url).expect("an address"),
            lifecycle: None,
            client_state: SecretString::from(STATE),
            is_new_state: false,
            look: Arc::clone(&place.look),
            journal: place.lines.clone(),
        }
    };
    let said = |what: &str, lines: &[String]| lines.iter().filter(|line| line.contains(what)).count();
    let url = format!("http://{}/calls", place.address);
    let mut first = keeper(url.clone(), 0);
    first.verify().await.expect("it is created");
    first.verify().await.expect("it is there");
    let lines = place.lines.take();
    assert_eq!((said("Verifying call webhook subscription", &lines), said("Created subscription", &lines)), (2, 1), "{lines:?}");
    assert_eq!(
        (said("Validation request answered", &lines), said("Updated", &lines)),
        (2, 0),
        "both addresses are validated: {lines:?}"
    );

    // The service asks for a renewal of one that is valid for days: it holds notifications back until then.
    place.look.renew();
    first.verify().await.expect("it is renewed");
    first.verify().await.expect("it is there");
    let lines = place.lines.take();
    assert_eq!((said("Updated subscription", &lines), said("Created", &lines)), (1, 0), "{lines:?}");

    // Another process, more than half of its life later.
    simulator.set_clock(instant("2026-01-13T18:00:00Z"));
    keeper(url.clone(), 42).verify().await.expect("it is renewed");
    let lines = place.lines.take();
    assert_eq!((said("Updated subscription", &lines), said("Created", &lines)), (1, 0), "{lines:?}");

    // It has expired, or somebody removed it.
    simulator.set_clock(instant("2026-01-20T00:00:00Z"));
    keeper(url, 8 * 24).verify().await.expect("it is created");
    assert_eq!(said("Created subscription", &place.lines.take()), 1);

    // Nobody answers the validation.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let stop = StopSignal::default();
    let kept = keeper(format!("http://{closed}/calls"), 8 * 24);
    let ended = stop.clone();
    let lines = Arc::clone(&place.lines);
    let keeping = tokio::spawn(kept.keep(stop));
    let told = async {
        while said("false 3 Couldn't create webhook: ", &lines.0.lock().unwrap().clone()) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), told).await.expect("the failure is reported");
    ended.ask();
    keeping.await.expect("the keeper ends");
    place.stop.ask();
}

#[test]
fn notified_calls_are_fetched_once_and_leave_the_spool() {
    let settings = Settings { quotas: false, ..Settings::default() };
    let options =
        SimulatorOptions { scale: 0.1, clock: instant("2026-01-12T00:00:00Z"), settings, ..SimulatorOptions::default() };
    let simulated = Simulated::start(options);
    let now = ["--now", "2026-01-12T00:00:00Z", "--lake", "lake"];
    let run = |args: &[&str]| simulated.run(&[&now, args].concat());
    // The manifest tells of what somebody asked for.
    simulated.run(&["--now", "2026-01-12T00:00:00Z", "--lake", "other", "import", "Calls"]).exits(0);
    let truth = simulated.simulator().manifest();
    let calls = truth.tables.iter().find(|table| table.table == "CallRecords").expect("calls");
    let id = calls.rows.keys().next_back().expect("a call").clone();
    let spool = Spool::new(&simulated.dir().join("lake/_spool/calls"));
    let hint = |calls: &[&str]| Hint {
        tenant: simulated.simulator().tenant().to_uppercase(),
        received: NOW,
        calls: calls.iter().map(|call| (*call).to_owned()).collect(),
    };
    let nowhere = "00000000-0000-4000-8000-000000000000";
    spool.put(&hint(&[&id])).unwrap();
    spool.put(&hint(&[&id, nowhere])).unwrap();
    run(&["import", "Calls"]).exits(0);
    let left = spool.waiting(simulated.simulator().tenant()).unwrap();
    assert_eq!(left.len(), 1, "the one that names a call which is not there yet stays");
    let count = run(&["query", "CallRecords | summarize count(), dcount(id)", "-f", "csv"]).exits(0);
    let expected = calls.rows.len().to_string();
    assert_eq!(csv_rows(&count.out)[1], [expected.clone(), expected]);
    let found = run(&["query", &format!("CallRecords | where id == '{id}' | count"), "-f", "csv"]).exits(0);
    assert_eq!(csv_rows(&found.out)[1], ["1"]);
    // It is given up after two days.
    let later = ["--now", "2026-01-15T00:00:00Z", "--lake", "lake", "import", "Calls"];
    simulated.simulator().set_clock(instant("2026-01-15T00:00:00Z"));
    simulated.run(&later).exits(0);
    assert!(spool.waiting(simulated.simulator().tenant()).unwrap().is_empty());
}
