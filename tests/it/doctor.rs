//! `doctor`: what it finds in a simulated tenant that has its troubles.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use kqlake_simulate::{Settings, SimulatorOptions};

use crate::simulated::Simulated;
use crate::support::{Run, csv_rows, run_in};

fn tenant(set: impl FnOnce(&mut Settings)) -> Simulated {
    let mut options = SimulatorOptions { scale: 0.01, ..SimulatorOptions::default() };
    set(&mut options.settings);
    Simulated::start(options)
}

/// The status, detail and advice of a component.
fn finding(run: &Run, component: &str) -> (String, String, String) {
    let rows = csv_rows(&run.out);
    let row = rows.iter().find(|row| row[0] == component).unwrap_or_else(|| panic!("{component} is missing: {}", run.out));
    (row[1].clone(), row[2].clone(), row[3].clone())
}

#[test]
fn a_tenant_in_order_has_no_failure() {
    let simulated = tenant(|_| {});
    let run = simulated.run(&["doctor", "-f", "csv"]).exits(0);
    for component in
        ["configuration", "contoso/graph/network", "contoso/credential", "contoso/management/token", "lake", "disk/lake"]
    {
        assert_eq!(finding(&run, component).0, "ok", "{}", run.out);
    }
    let (status, detail, advice) = finding(&run, "contoso/audit/Audit.General");
    assert_eq!((status.as_str(), detail.as_str()), ("warning", "there is no subscription yet"));
    assert!(advice.contains("kqlake import ActivityLog"), "{advice}");
    assert_eq!(csv_rows(&run.out)[0], ["component", "status", "detail", "whatToDo", "daysToExpiry"]);
    // People see one line a finding, and what to do below.
    let run = simulated.run(&["doctor", "-f", "table", "--problems"]).exits(0);
    assert!(run.out.starts_with("WARNING contoso/audit/") && run.out.contains("\n          do: "), "{}", run.out);
}

#[test]
fn permissions_that_are_missing_are_named() {
    let simulated =
        tenant(|settings| settings.missing_roles = ["CallRecords.Read.All", "TeamMember.Read.All"].map(str::to_owned).to_vec());
    let run = simulated.run(&["doctor", "-f", "csv"]).exits(2);
    let (status, detail, advice) = finding(&run, "contoso/permission/Calls/graph");
    assert_eq!((status.as_str(), detail.as_str()), ("failed", "the token lacks what Calls needs: CallRecords.Read.All"));
    assert!(advice.contains("the application permission CallRecords.Read.All of Microsoft Graph"), "{advice}");
    assert!(finding(&run, "contoso/permission/GraphTeams/graph").1.contains("TeamMember.Read.All"), "{}", run.out);
    assert_eq!(finding(&run, "contoso/permission/GraphUsersMetadata/graph").0, "ok");
    // What is switched off needs nothing.
    let off = [("KQLAKE_IMPORT_JOB_SETTINGS", "GraphUsersMetadata=True")];
    simulated.run_with(&["doctor", "-f", "csv"], &off).exits(0);
}

#[test]
fn what_no_token_tells_is_asked_for() {
    let of = tenant(|settings| settings.trace_principal_missing = true);
    let run = of.run(&["doctor", "-f", "csv"]).exits(2);
    let (status, detail, advice) = finding(&run, "contoso/message_trace");
    assert_eq!(status, "failed");
    assert!(detail.contains("8bd644d1") && advice.contains("servicePrincipals"), "{detail} {advice}");
    // The reporting web service lacks a role of the directory.
    let of = tenant(|settings| settings.reporting_role_missing = true);
    finding(&of.run(&["doctor", "-f", "csv"]).exits(0), "contoso/message_trace");
    of.write("kqlake.toml", &format!("{}\n[tenants.contoso.message_trace]\napi = \"reporting\"\n", of.simulator().toml()));
    let (status, _, advice) = finding(&of.run(&["doctor", "-f", "csv"]).exits(2), "contoso/message_trace");
    assert!(status == "failed" && advice.contains("Security Reader"), "{advice}");
}

#[test]
fn a_resource_that_refuses_is_a_failure_of_the_configuration() {
    let of = tenant(|_| {});
    let toml = of.simulator().toml();
    let id = toml.split("app_id = \"").nth(1).and_then(|rest| rest.split('"').next()).expect("an id").to_owned();
    let component = format!("contoso/app_insights/{id}");
    let asked = |toml: &str| {
        of.write("kqlake.toml", toml);
        let run = of.run_with(&["doctor", "-f", "csv"], &[("WRONG_KEY", "canary-wrong")]).exits(2);
        assert!(!run.out.contains("canary-wrong"));
        run
    };
    let key = format!("app_id = \"{id}\"");
    let (status, _, advice) =
        finding(&asked(&toml.replace(&key, &format!("{key}\napi_key = {{ env = \"WRONG_KEY\" }}"))), &component);
    assert!(status == "failed" && advice.contains("api_key"), "{advice}");
    let (status, _, advice) = finding(&asked(&toml.replace(&key, &format!("{key}\ntables = [\"nonsense\"]"))), &component);
    assert!(status == "failed" && advice.contains("names of its tables"), "{advice}");
}

#[test]
fn a_wrong_secret_has_the_number_that_is_known_and_keeps_no_other_check() {
    let simulated = tenant(|_| {});
    let run = simulated.run_with(&["doctor", "-f", "csv"], &[(kqlake_simulate::SECRET_VARIABLE, "canary-wrong")]).exits(2);
    let (status, detail, advice) = finding(&run, "contoso/graph/token");
    assert!(status == "failed" && detail.starts_with("SetupError 100: Authentication failed: "), "{detail}");
    assert!(advice.contains("client_secret") && !run.out.contains("canary") && !run.err.contains("canary"), "{advice}");
    assert_eq!(finding(&run, "contoso/graph/network").0, "ok");
    assert_eq!(finding(&run, "lake").0, "ok");
    let run = run_in(simulated.dir(), &["doctor", "-f", "csv"]).exits(2);
    let (status, detail, _) = finding(&run, "contoso/credential");
    assert!(status == "failed" && detail.contains("is not set in the environment"), "{detail}");
    assert_eq!(finding(&run, "contoso/management/network").0, "ok");
}

#[test]
fn clocks_that_differ_and_an_org_url_that_is_missing_are_said() {
    let simulated = tenant(|settings| settings.clock_skew_seconds = 600);
    simulated.write("kqlake.toml", &simulated.simulator().toml().replace("org_urls = [\"*\"]", "org_urls = []"));
    let run = simulated.run(&["doctor", "-f", "csv"]).exits(2);
    let (status, detail, _) = finding(&run, "contoso/graph/clock");
    assert!(status == "warning" && detail.contains("s ahead of this machine's"), "{detail}");
    let (status, detail, advice) = finding(&run, "contoso/audit/org_urls");
    assert!(status == "failed" && detail.contains("FATAL ERROR: No org URLs found"), "{detail}");
    assert!(advice.contains("\"*\""), "{advice}");
}

#[test]
fn a_host_that_nobody_is_at_is_a_failure_of_the_service() {
    let simulated = tenant(|_| {});
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let toml = simulated.simulator().toml();
    let login = toml.lines().find(|line| line.starts_with("graph = ")).unwrap();
    simulated.write("kqlake.toml", &toml.replace(login, &format!("graph = \"http://{closed}/graph\"")));
    let run = simulated.run_with(&["doctor", "-f", "csv"], &[("KQLAKE_IMPORT_JOB_SETTINGS", "GraphTeams=True;ActivityLog=True")]);
    let run = run.exits(4);
    let (status, detail, advice) = finding(&run, "contoso/graph/network");
    assert!(status == "failed" && detail.contains("cannot be reached") && advice.contains("firewalls"), "{detail} {advice}");
    assert_eq!(finding(&run, "contoso/management/network").0, "ok");
}

#[test]
fn a_damaged_lake_is_a_failure_of_the_lake() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("lake/traces/_delta_log/00000000000000000000.json")).unwrap();
    let run = run_in(dir.path(), &["--lake", "lake", "doctor", "-f", "csv"]).exits(6);
    assert_eq!(finding(&run, "lake/traces").0, "failed");
    assert_eq!(finding(&run, "configuration").0, "warning");
}

/// Answers one request with what is made of its validation token.
fn receiver(answer: impl FnOnce(String) -> String + Send + 'static) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/calls", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = Vec::new();
        let mut piece = [0; 4096];
        while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
            let count = stream.read(&mut piece).unwrap();
            bytes.extend_from_slice(&piece[..count]);
        }
        let head = String::from_utf8(bytes).unwrap();
        let target = head.split(' ').nth(1).unwrap();
        let url = url::Url::parse("http://x").unwrap().join(target).unwrap();
        let token = url.query_pairs().find(|(name, _)| name == "validationToken").unwrap().1.into_owned();
        stream.write_all(answer(token).as_bytes()).unwrap();
        head
    });
    (url, served)
}

#[test]
fn the_webhook_is_asked_as_graph_asks() {
    let dir = tempfile::tempdir().unwrap();
    let reply = |kind: &str, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
    };
    let (url, served) = receiver(move |token| reply("text/plain; charset=utf-8", &token));
    let run = run_in(dir.path(), &["doctor", "--webhook", &url, "-f", "csv"]).exits(0);
    assert_eq!(finding(&run, "webhook").0, "ok", "{}", run.out);
    let head = served.join().unwrap();
    assert!(
        head.starts_with("POST /calls?validationToken=") && head.to_ascii_lowercase().contains("content-type: text/plain"),
        "{head}"
    );
    for (answer, why) in [
        (reply("text/plain", "something else"), "without the validation token"),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned(), "404"),
    ] {
        let (url, served) = receiver(move |_| answer);
        let run = run_in(dir.path(), &["doctor", "--webhook", &url, "-f", "csv"]).exits(4);
        let (status, detail, advice) = finding(&run, "webhook");
        assert!(status == "failed" && detail.contains(why) && advice.contains("within 10 s"), "{detail}");
        served.join().unwrap();
    }
    let run = run_in(dir.path(), &["doctor", "--webhook", "http://example.com/x", "-f", "csv"]).exits(4);
    assert!(finding(&run, "webhook").1.contains("https://"), "{}", run.out);
    run_in(dir.path(), &["doctor", "--webhook"]).exits(2).says("notification_url");
}
