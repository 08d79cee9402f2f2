//! A running tenant and a plain client of it, for tests.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{ClockSetting, FaultPlan, Settings, Simulator, SimulatorOptions};

/// What came back.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Got {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{} {}", self.status, self.text()))
    }
}

/// A tenant whose time stands still at a Monday's noon, without faults and quotas.
pub(crate) async fn tenant(seed: u64, with: impl FnOnce(&mut Settings)) -> Simulator {
    let mut settings = Settings { quotas: false, ..Settings::default() };
    with(&mut settings);
    let clock = "2026-01-12T12:00:00Z".parse::<ClockSetting>().unwrap();
    Simulator::start(SimulatorOptions { seed, clock, settings, faults: FaultPlan::default(), ..SimulatorOptions::default() })
        .await
        .unwrap()
}

/// One request. The address is a path of the tenant, or whole.
pub(crate) async fn send(of: &Simulator, method: &str, address: &str, headers: &[(&str, &str)], body: &str) -> Got {
    let host = of.address().to_string();
    let path = address.strip_prefix(&format!("http://{host}")).unwrap_or(address).replace(' ', "%20");
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut stream = TcpStream::connect(of.address()).await.unwrap();
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: BTreeMap<String, String> =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    let mut body = answer[end + 4..].to_vec();
    if headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked") {
        let (mut whole, mut rest) = (Vec::new(), body.as_slice());
        loop {
            let line = rest.windows(2).position(|window| window == b"\r\n").unwrap();
            let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
            if size == 0 {
                break;
            }
            whole.extend_from_slice(&rest[line + 2..line + 2 + size]);
            rest = &rest[line + 4 + size..];
        }
        body = whole;
    }
    Got { status, headers, body }
}

/// A token for an audience.
pub(crate) async fn token(of: &Simulator, audience: &str) -> String {
    let body = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}&scope={audience}/.default",
        of.client_id(),
        url::form_urlencoded::byte_serialize(of.secret().as_bytes()).collect::<String>()
    );
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let got = send(of, "POST", &format!("/login/{}/oauth2/v2.0/token", of.tenant()), &headers, &body).await;
    got.json()["access_token"].as_str().unwrap().to_owned()
}

/// A client of one service.
pub(crate) struct Client<'a> {
    pub(crate) of: &'a Simulator,
    authorization: String,
}

impl<'a> Client<'a> {
    pub(crate) async fn new(of: &'a Simulator, audience: &str) -> Self {
        Self { of, authorization: format!("Bearer {}", token(of, audience).await) }
    }

    pub(crate) async fn send(&self, method: &str, address: &str, body: &str) -> Got {
        let headers = [("authorization", self.authorization.as_str()), ("content-type", "application/json")];
        send(self.of, method, address, &headers, body).await
    }

    pub(crate) async fn get(&self, address: &str) -> Got {
        self.send("GET", address, "").await
    }

    /// All values of a list, its links followed; and the last page.
    pub(crate) async fn list(&self, address: &str) -> (Vec<Value>, Value) {
        let (mut values, mut address) = (Vec::new(), address.to_owned());
        loop {
            let got = self.get(&address).await;
            assert_eq!(got.status, 200, "{address}: {}", got.text());
            let page = got.json();
            values.extend(page["value"].as_array().unwrap().clone());
            match page["@odata.nextLink"].as_str() {
                Some(next) => address = next.to_owned(),
                None => return (values, page),
            }
        }
    }
}
