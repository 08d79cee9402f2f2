//! A server for tests that answers any bytes, right or wrong, and notes what it was asked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use kqlake_value::clock::FixedClock;
use secrecy::SecretString;
use url::Url;

use crate::api::Api;
use crate::cloud::Service;
use crate::pace::Pace;
use crate::settings::{Credential, Tenant};
use crate::world::World;

/// 2026-01-12T00:00:00Z
pub(crate) const NOW: i64 = 1_768_176_000_000_000;
pub(crate) const SECRET: &str = "canary-secret";
pub(crate) const TENANT: &str = "11111111-2222-3333-4444-555555555555";

/// What a server was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// `GET /path?query`
    pub line: String,
    /// In lower case.
    pub head: String,
    pub body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }
}

/// An answer with a length.
pub(crate) fn reply(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut whole = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n{headers}\r\n", body.len()).into_bytes();
    whole.extend_from_slice(body);
    whole
}

pub(crate) fn json(body: &str) -> Vec<u8> {
    reply(200, "Content-Type: application/json\r\n", body)
}

pub(crate) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// A server on a port of its own. Connections are closed after each answer.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) base: Url,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Answers what a function says of each request and its number, from 0.
    pub(crate) fn start(answer: impl Fn(&Asked, usize) -> Vec<u8> + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let (answer, noted) = (Arc::new(answer), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, noted) = (Arc::clone(&answer), Arc::clone(&noted));
                std::thread::spawn(move || serve(stream, answer.as_ref(), &noted));
            }
        });
        Server { base, asked }
    }

    /// All requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The lines of those that are no requests for tokens.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).filter(|line| !line.contains("/oauth2/")).collect()
    }
}

fn serve(stream: TcpStream, answer: &dyn Fn(&Asked, usize) -> Vec<u8>, noted: &Mutex<Vec<Asked>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
    let head = head.lines().skip(1).fold(String::new(), |all, line| match line.split_once(':') {
        Some((name, value)) => format!("{all}{}:{value}\n", name.to_ascii_lowercase()),
        None => all,
    });
    let mut asked = Asked { line, head, body: String::new() };
    let length = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    asked.body = String::from_utf8(body).unwrap();
    let number = {
        let mut noted = noted.lock().unwrap();
        noted.push(asked.clone());
        noted.len() - 1
    };
    let whole = if asked.line.contains("/oauth2/") && !asked.line.contains("/own/") {
        json(&format!(r#"{{"token_type":"Bearer","expires_in":3599,"access_token":"token-{number}"}}"#))
    } else {
        answer(&asked, number)
    };
    let mut stream = stream;
    let text = String::from_utf8_lossy(&whole);
    let whole = match text.split_once("\r\n") {
        Some((status, _)) => {
            let at = status.len() + 2;
            [&whole[..at], b"Connection: close\r\n", &whole[at..]].concat()
        }
        None => whole,
    };
    let _ = stream.write_all(&whole);
}

/// A tenant whose services are all at one address.
pub(crate) fn tenant(base: &Url) -> Tenant {
    let mut tenant = Tenant::new("contoso", TENANT, "app", Credential::Secret(SecretString::from(SECRET)));
    let here = || Some(base.clone());
    tenant.hosts.login = here();
    tenant.hosts.management = here();
    tenant.hosts.graph = here();
    tenant.audit.org_urls = vec!["*".to_owned()];
    tenant
}

/// A world in which waits take no time.
pub(crate) fn world() -> World {
    World::new(Pace::counted(Arc::new(FixedClock::at_micros(NOW))), None).unwrap()
}

/// Graph of a tenant at an address.
pub(crate) fn graph(world: &World, base: &Url) -> Api {
    world.api(&tenant(base), Service::Graph).unwrap()
}
