use super::*;
use crate::testing::{Server, gzip, reply};
use kqlake_value::clock::SystemClock;

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn downloads(entries: &[&str]) -> Downloads {
    let allowed = entries.iter().map(|entry| AllowedPrefix::parse(entry).unwrap()).collect();
    Downloads::new(allowed, Arc::new(SystemClock))
}

fn refused_entry(downloads: &Downloads, address: &str) -> String {
    match downloads.permits(&url(address)) {
        Err(DownloadError::NotAllowed { entry, message }) => {
            assert!(!message.contains("canary") && !entry.contains("canary"), "{message} {entry}");
            entry
        }
        other => panic!("{address}: {other:?}"),
    }
}

#[test]
fn addresses_are_allowed_by_whole_parts_of_their_paths() {
    let list = downloads(&["https://example.org/lists", "https://example.com/", "https://example.net/a/b.csv"]);
    for good in [
        "https://example.org/lists",
        "https://example.org/lists/a.csv?sig=x",
        "https://EXAMPLE.org:443/lists/./x/../a.csv",
        "https://example.com/any/thing",
        "https://example.net/a/b.csv",
    ] {
        list.permits(&url(good)).unwrap();
    }
    for (bad, entry) in [
        ("https://example.org/lists-b/a.csv?sig=canary", "https://example.org/lists-b/"),
        ("https://example.org/lists/../a.csv", "https://example.org/"),
        ("https://example.org/lists/%2e%2e/a.csv", "https://example.org/"),
        ("http://example.org/lists/a.csv", "http://example.org/lists/"),
        ("https://example.org:8443/lists/a.csv", "https://example.org:8443/lists/"),
        ("https://user:canary@example.org/lists/a.csv", "https://example.org/lists/"),
        ("https://example.org.evil.example/lists/a.csv", "https://example.org.evil.example/lists/"),
        ("https://example.net/a/b.csv.gz", "https://example.net/a/"),
    ] {
        assert_eq!(refused_entry(&list, bad), entry, "{bad}");
    }
    assert!(list.permits(&url("https://example.org/lists/..%2f..%2fa.csv")).is_err());
    assert!(list.permits(&url("https://example.org/lists/..%252fa.csv")).is_err());
}

#[test]
fn addresses_around_this_machine_are_written_out_in_full() {
    let list = downloads(&["http://127.0.0.1:9/a.csv", "https://10.0.0.1/lists/", "http://localhost:9/x/"]);
    list.permits(&url("http://127.0.0.1:9/a.csv?x=1")).unwrap();
    for bad in [
        "http://127.0.0.1:9/b.csv",
        "https://10.0.0.1/lists/a.csv",
        "http://localhost:9/x/a.csv",
        "http://2130706433:9/b.csv",
        "http://0x7f.1:9/b.csv",
        "http://0177.0.0.1:9/b.csv",
        "http://[::1]:9/a.csv",
        "http://[::ffff:127.0.0.1]:9/a.csv",
        "https://[::ffff:10.0.0.1]/lists/a.csv",
    ] {
        assert_eq!(refused_entry(&list, bad), url(bad).as_str(), "{bad}");
    }
    // Other forms of an address are the same address.
    list.permits(&url("http://2130706433:9/a.csv")).unwrap();
}

#[test]
fn entries_are_addresses_of_services_without_credentials() {
    for bad in [
        "https://",
        "ftp://example.org/",
        "http://example.org/",
        "https://user:word@example.org/",
        "https://example.org/?sig=x",
        "lists",
    ] {
        assert!(AllowedPrefix::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn nothing_that_may_be_a_permission_is_shown() {
    for (address, shown) in [
        ("https://user:canary@example.org/a.csv?sig=canary#canary", "https://example.org/a.csv"),
        ("https://example.org/a.csv;canary", "https://example.org/a.csv"),
        ("https://us er:canary@exa mple.org/a?canary", "https://exa mple.org/a"),
        ("lists/a.csv?canary", "lists/a.csv"),
    ] {
        assert_eq!(shown_address(address), shown);
    }
}

#[tokio::test]
async fn a_file_comes_once_and_again_only_when_it_changed() {
    let server = Server::start(|asked, _| match asked.header("if-none-match") {
        Some("\"1\"") => reply(304, "", ""),
        _ => reply(200, "ETag: \"1\"\r\nLast-Modified: then\r\nContent-Encoding: gzip\r\n", gzip(b"a,b\n")),
    });
    let address = server.base.join("a.csv").unwrap();
    let list = downloads(&[address.as_str()]);
    let mut out = Vec::new();
    let Download::New(known) = list.get(&address, &Validators::default(), &mut out).await.unwrap() else { panic!("no file") };
    assert_eq!(
        (out.as_slice(), known.etag.as_deref(), known.last_modified.as_deref()),
        (&b"a,b\n"[..], Some("\"1\""), Some("then"))
    );
    assert_eq!(list.get(&address, &known, &mut out).await.unwrap(), Download::NotModified);
    assert_eq!(out, b"a,b\n");
}

#[tokio::test]
async fn redirects_lead_only_to_what_is_allowed() {
    let server = Server::start(|asked, _| match asked.line.split(' ').nth(1).unwrap() {
        "/a" => reply(302, "Location: /b?sig=canary\r\n", ""),
        "/b?sig=canary" => reply(200, "", "x"),
        "/c" => reply(302, "Location: /d\r\n", ""),
        "/round" => reply(302, "Location: /round\r\n", ""),
        _ => reply(404, "", ""),
    });
    let at = |path: &str| server.base.join(path).unwrap();
    let list = downloads(&[at("/a").as_str(), at("/b").as_str(), at("/c").as_str(), at("/round").as_str()]);
    let mut out = Vec::new();
    list.get(&at("/a"), &Validators::default(), &mut out).await.unwrap();
    assert_eq!(out, b"x");
    let failed = async |path: &str| list.get(&at(path), &Validators::default(), &mut Vec::new()).await.unwrap_err();
    match failed("/c").await {
        DownloadError::NotAllowed { entry, .. } => assert_eq!(entry, at("/d").as_str()),
        other => panic!("{other:?}"),
    }
    assert!(matches!(failed("/round").await, DownloadError::Refused(why) if why.contains("leads on and on")));
}

#[tokio::test]
async fn what_is_no_file_is_told_from_what_may_come_later() {
    let server = Server::start(|asked, _| match asked.line.as_str() {
        "GET /gone?sig=canary" => reply(404, "", "no"),
        "GET /busy" => reply(503, "", "later"),
        _ => b"HTTP/1.1 200 x\r\nContent-Length: 10\r\n\r\nhalf".to_vec(),
    });
    let at = |path: &str| server.base.join(path).unwrap();
    let list = downloads(&[at("/gone").as_str(), at("/busy").as_str(), at("/cut").as_str()]);
    let failed = async |path: &str| list.get(&at(path), &Validators::default(), &mut Vec::new()).await.unwrap_err();
    match failed("/gone?sig=canary").await {
        DownloadError::Refused(why) => assert!(why.contains("404") && !why.contains("canary"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(failed("/busy").await, DownloadError::Unreachable(_)));
    assert!(matches!(failed("/cut").await, DownloadError::Unreachable(_)));
}
