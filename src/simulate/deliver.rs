//! Requests that the tenant sends by itself: notifications, over plain HTTP to addresses of this machine.

use std::fmt::Write as _;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::{Host, Url};

/// How long a receiver may take, as the services document it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest answer that is read.
const LONGEST: u64 = 64 << 10;

/// Posts a body of JSON (or of plain text, when a header says so); the answer's status.
///
/// # Errors
/// When the address is none of this machine over HTTP, or nobody answers there in time.
pub(crate) async fn post(address: &str, headers: &[(String, String)], body: String) -> Result<u16, String> {
    exchange(address, headers, body).await.map(|(status, _)| status)
}

/// The same; the answer's status and body.
///
/// # Errors
/// As [`post`].
pub(crate) async fn exchange(address: &str, headers: &[(String, String)], body: String) -> Result<(u16, String), String> {
    answered(address, headers, body, PATIENCE).await.map(|answer| (answer.status, answer.body))
}

/// What a receiver answered.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

/// The same; the whole answer, for which it waits so long.
///
/// # Errors
/// As [`post`].
pub(crate) async fn answered(
    address: &str,
    headers: &[(String, String)],
    body: String,
    patience: Duration,
) -> Result<Answered, String> {
    let url = Url::parse(address).map_err(|err| format!("{address} is no address: {err}"))?;
    let is_near = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    if url.scheme() != "http" || !is_near {
        return Err("a simulated tenant sends to http addresses of this machine alone".to_owned());
    }
    match tokio::time::timeout(patience, send(&url, headers, &body)).await {
        Ok(answer) => answer.map_err(|err| err.to_string()),
        Err(_) => Err(format!("no answer within {} seconds", patience.as_secs())),
    }
}

async fn send(url: &Url, headers: &[(String, String)], body: &str) -> std::io::Result<Answered> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(80);
    let mut stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut head = format!("POST {}{query} HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\n", url.path());
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        head.push_str("content-type: application/json; charset=utf-8\r\n");
    }
    for (name, value) in headers {
        // Nothing that comes from outside can end the line.
        let value: String = value.chars().filter(|c| !c.is_control()).collect();
        // A String takes everything.
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let _ = write!(head, "content-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer).await?;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other("the answer is no HTTP"))?;
    let content_type =
        head.lines().find_map(|line| line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-type")));
    let content_type = content_type.map_or_else(String::new, |(_, value)| value.trim().to_owned());
    let is_chunked = head.lines().any(|line| line.to_ascii_lowercase().replace(' ', "") == "transfer-encoding:chunked");
    Ok(Answered { status, content_type, body: if is_chunked { joined(body) } else { body.to_owned() } })
}

/// The chunks of a body in one.
fn joined(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let Ok(size) = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16) else { break };
        let Some(chunk) = rest.get(..size).filter(|chunk| !chunk.is_empty()) else { break };
        text.push_str(chunk);
        body = rest.get(size + 2..).unwrap_or_default();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn answered(answer: &'static str) -> (Result<(u16, String), String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/hook?a=1", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let mut length = 0;
            while !String::from_utf8_lossy(&request[..length]).ends_with("{}") {
                length += stream.read(&mut request[length..]).await.unwrap();
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let answer = exchange(&address, &[("Webhook-AuthID".to_owned(), "x\r\ny".to_owned())], "{}".to_owned()).await;
        (answer, server.await.unwrap())
    }

    #[tokio::test]
    async fn a_body_is_posted_and_the_status_and_body_come_back() {
        let (answer, request) = answered("HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\nok").await;
        assert_eq!(answer, Ok((202, "ok".to_owned())));
        assert!(request.starts_with("POST /hook?a=1 HTTP/1.1\r\n") && request.contains("Webhook-AuthID: xy\r\n"), "{request}");
        let (answer, _) = answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").await;
        assert_eq!(answer, Ok((200, "abcde".to_owned())));
        assert!(answered("nonsense").await.0.is_err());
    }

    #[tokio::test]
    async fn nothing_is_sent_to_other_machines() {
        for address in ["https://127.0.0.1/", "http://192.0.2.1/", "http://example.com/", "none"] {
            assert!(post(address, &[], String::new()).await.is_err(), "{address}");
        }
    }
}
