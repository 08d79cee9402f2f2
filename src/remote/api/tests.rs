use std::io::Read as _;

use super::*;
use crate::testing::{Server, graph, gzip, json, reply, world};
use kqlake_import::Body;

const WHOLE: &str = r#"[{"Id":"1"},{"Id":"2"}]"#;

async fn read(body: Body) -> (Vec<u8>, Option<String>) {
    let Body::Stream(mut reader) = body else { panic!("no stream") };
    let read = tokio::task::spawn_blocking(move || {
        let mut all = Vec::new();
        let error = reader.read_to_end(&mut all).err().map(|error| error.to_string());
        (all, error)
    });
    read.await.unwrap()
}

/// The body that comes in the end, and what was asked.
async fn streamed(answer: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static) -> (Vec<u8>, Option<String>, usize) {
    let server = Server::start(move |_, number| answer(number - 1));
    let api = graph(&world(), &server.base);
    let streamed = api.stream(Request::get(api.url("blob"))).await.unwrap();
    let (body, error) = read(streamed.into_body()).await;
    (body, error, server.lines().len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_token_serves_all_and_is_renewed_once() {
    let server = Server::start(|asked, _| match asked.header("authorization") {
        Some("Bearer token-0") => reply(401, "", r#"{"error":{"code":"InvalidAuthenticationToken","message":"expired"}}"#),
        Some(_) => json("{}"),
        None => reply(400, "", ""),
    });
    let api = graph(&world(), &server.base);
    let calls = (0..8).map(|_| api.json(Request::get(api.url("v1.0/users"))));
    for answer in futures::future::join_all(calls).await {
        assert_eq!(answer.unwrap().status, 200);
    }
    let tokens = server.asked().iter().filter(|asked| asked.line.contains("/oauth2/v2.0/token")).count();
    assert_eq!(tokens, 2, "{:?}", server.lines());
}

#[tokio::test]
async fn a_token_that_is_never_taken_is_an_error_after_a_new_one_had_its_time() {
    let server = Server::start(|_, _| reply(401, "", ""));
    let world = world();
    let api = graph(&world, &server.base);
    let error = api.json(Request::get(api.url("x"))).await.unwrap_err();
    assert_eq!((error.failure, server.lines().len()), (Failure::Unauthorized, 3));
    // The new one is not thrown away at once.
    assert_eq!((server.asked().len() - 3, world.pace().passed() >= 2_000_000), (2, true));
    api.json(Request::get(api.url("x")).once()).await.unwrap_err();
    assert_eq!(server.lines().len(), 5);
}

#[tokio::test]
async fn a_new_token_that_is_too_new_is_taken_a_while_later() {
    let server = Server::start(|_, number| if number < 4 { reply(401, "", "") } else { json("{}") });
    let api = graph(&world(), &server.base);
    assert_eq!(api.json(Request::get(api.url("x"))).await.unwrap().status, 200);
    assert_eq!((server.lines().len(), server.asked().len()), (3, 5));
}

#[tokio::test]
async fn an_error_with_a_status_of_success_is_an_error() {
    let busy = r#"{"error":{"code":"serviceNotAvailable","message":"busy"}}"#;
    let server = Server::start(move |_, number| json(if number == 1 { busy } else { r#"{"value":[]}"# }));
    let api = graph(&world(), &server.base);
    assert!(api.json(Request::get(api.url("x"))).await.unwrap().body["value"].is_array());
    let server = Server::start(move |_, _| json(busy));
    let api = graph(&world(), &server.base);
    let error = api.stream(Request::get(api.url("x"))).await.unwrap_err();
    assert!(error.is_code("serviceNotAvailable") && error.failure == Failure::Service);
}

#[tokio::test]
async fn nothing_is_no_content_unless_the_status_says_so() {
    for (status, is_content) in [(200, false), (204, true)] {
        let server = Server::start(move |_, _| reply(status, "Content-Type: application/json\r\n", ""));
        let api = graph(&world(), &server.base);
        let query = Request::post_json(api.url("v1/apps/a/query"), &serde_json::json!({}));
        assert_eq!(api.stream(query.clone()).await.is_ok(), is_content, "{status}");
        // Others are content with it.
        assert!(api.json(query).await.is_ok());
    }
}

#[tokio::test]
async fn services_are_asked_again_when_they_say_so_and_not_sooner() {
    for (first, waits) in [
        (reply(429, "Retry-After: 120\r\n", ""), 120),
        (
            reply(
                503,
                "Retry-After: Mon, 12 Jan 2026 09:10:00 GMT\r\nDate: Mon, 12 Jan 2026 09:08:30 GMT\r\n",
                r#"{"error":{"code":"serviceNotAvailable","message":"x"}}"#,
            ),
            90,
        ),
        (reply(403, "", "{'error':{'code':'AF429','message':'Too many requests'}}"), 30),
        (reply(500, "", ""), 0),
        // The connection is reset.
        (Vec::new(), 0),
    ] {
        let server = Server::start(move |_, number| if number == 1 { first.clone() } else { json("{\"value\":[]}") });
        let world = world();
        let api = graph(&world, &server.base);
        let answer = api.json(Request::get(api.url("x"))).await.unwrap();
        assert_eq!(answer.body["value"], serde_json::json!([]));
        assert_eq!(server.lines().len(), 2);
        let waited = world.pace().passed() / 1_000_000;
        assert!((waits..=waits * 2 + 61).contains(&waited), "{waited} of {waits}");
    }
}

#[tokio::test]
async fn what_is_refused_is_not_asked_again_and_what_fails_is_given_up() {
    let server = Server::start(|asked, _| reply(if asked.line.contains("400") { 400 } else { 502 }, "", ""));
    let api = graph(&world(), &server.base);
    let error = api.json(Request::get(api.url("400"))).await.unwrap_err();
    assert_eq!((error.failure, error.status, server.lines().len()), (Failure::Refused, Some(400), 1));
    let error = api.json(Request::get(api.url("502"))).await.unwrap_err();
    assert_eq!((error.failure, error.status), (Failure::Service, Some(502)));
    assert_eq!(server.lines().len(), 1 + TRIES as usize);
    api.json(Request::get(api.url("502")).once()).await.unwrap_err();
    assert_eq!(server.lines().len(), 2 + TRIES as usize);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_was_cut_is_asked_for_again_and_never_shorter() {
    let zipped = gzip(WHOLE.as_bytes());
    let encoded = "Content-Encoding: gzip\r\n";
    let mut damaged = zipped.clone();
    let at = damaged.len() - 6;
    damaged[at] ^= 0xFF;
    let chunked =
        |end: &str| format!("HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\nc\r\n[{{\"Id\":\"1\"}},\r\n{end}").into_bytes();
    let mut short = json(WHOLE);
    short.truncate(short.len() - 5);
    let cases = [
        ("content-length", short),
        ("chunks without their end", chunked("")),
        ("chunks with their end, but no end of the JSON", chunked("0\r\n\r\n")),
        ("gzip cut in its trailer", reply(200, encoded, &zipped[..zipped.len() - 4])),
        ("gzip cut in its content", reply(200, encoded, &zipped[..zipped.len() / 2])),
        ("gzip with a wrong checksum", reply(200, encoded, &damaged)),
        ("no gzip at all", reply(200, encoded, WHOLE)),
        ("JSON that breaks off", json(r#"[{"Id":"1"}"#)),
        ("damaged JSON", json(r#"[{"Id":"1"},{"Id:"2"}]"#)),
        ("a page", reply(200, "Content-Type: text/html\r\n", "<html>Sign in</html>")),
        ("nothing", json("")),
        ("an encoding that nobody asked for", reply(200, "Content-Encoding: br\r\n", WHOLE)),
    ];
    for (what, first) in cases {
        let good = reply(200, encoded, &zipped);
        let (body, error, asked) = streamed(move |number| if number == 0 { first.clone() } else { good.clone() }).await;
        assert_eq!((String::from_utf8(body).unwrap().as_str(), error, asked), (WHOLE, None, 2), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_that_is_always_damaged_is_what_the_service_has() {
    let odd = r#"[{"Id":"1"},{"Id:2},{"Id":"3"}]"#;
    let (body, error, asked) = streamed(move |_| json(odd)).await;
    assert_eq!((String::from_utf8(body).unwrap().as_str(), error, asked), (odd, None, 2));
    let server = Server::start(move |_, _| json(odd));
    let api = graph(&world(), &server.base);
    assert_eq!(api.json(Request::get(api.url("x"))).await.unwrap_err().failure, Failure::Broken);
}

/// A body of several megabytes, with its own text at each place.
fn large() -> String {
    let records: Vec<String> = (0..200_000).map(|n| format!(r#"{{"Id":"{n:020}"}}"#)).collect();
    format!("[{}]", records.join(","))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_body_goes_on_where_it_broke_off() {
    let whole = large();
    assert!(whole.len() as u64 > HELD + 1_000_000);
    let cut = |bytes: usize| {
        let mut answer = json(&large());
        answer.truncate(bytes);
        answer
    };
    // Twice behind what was handed on, once before it, then to its end.
    let places = [HELD as usize + 500_000, HELD as usize + 900_000, 1_000_000];
    let (body, error, asked) =
        streamed(move |number| places.get(number).map_or_else(|| json(&large()), |place| cut(*place))).await;
    assert_eq!((body.len(), error, asked), (whole.len(), None, 4));
    assert!(body == whole.as_bytes());
    // With its end missing, but told as whole, and then whole.
    let shorter = large()[..whole.len() - 1].to_owned();
    let (body, error, _) = streamed(move |number| json(if number == 0 { shorter.clone() } else { large() }.as_str())).await;
    assert!(error.is_none() && body == whole.as_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_body_that_is_damaged_is_asked_for_again_and_handed_on_as_it_is_when_it_stays_so() {
    let odd = large().replace(r#"{"Id":"00000000000000180000"}"#, r#"{"Id":"00000000000000180000}}"#);
    assert!(odd.len() == large().len() && odd != large());
    let first = odd.clone();
    let (body, error, asked) = streamed(move |number| json(&if number == 0 { first.clone() } else { large() })).await;
    assert!(error.is_none() && asked == 2 && body == large().as_bytes());
    let always = odd.clone();
    let (body, error, asked) = streamed(move |_| json(&always)).await;
    assert!(error.is_none() && body == odd.as_bytes(), "{error:?}");
    // Twice to see that it is the same, and once to hand it on.
    assert_eq!(asked, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_body_that_became_another_one_is_an_error() {
    let (body, error, _) = streamed(|number| {
        let mut answer =
            json(&if number == 0 { large() } else { large().replace("\"Id\":\"00000000000000000007\"", "\"Id\":\"x\"") });
        if number == 0 {
            answer.truncate(HELD as usize + 500_000);
        }
        answer
    })
    .await;
    assert!(error.unwrap().contains("another one"));
    assert!(body.len() < large().len());
}

#[tokio::test]
async fn bodies_are_bounded_also_when_they_swell() {
    let zeros = gzip(&[b"[".as_slice(), &vec![b' '; 6 << 20], b"]"].concat());
    let server =
        Server::start(
            move |asked, _| {
                if asked.line.contains("bomb") { reply(200, "Content-Encoding: gzip\r\n", &zeros) } else { json(WHOLE) }
            },
        );
    let api = graph(&world(), &server.base);
    let error = api.json(Request::get(api.url("x")).cap(10)).await.unwrap_err();
    assert_eq!((error.failure, server.lines().len()), (Failure::TooLarge, 1));
    let error = api.json(Request::get(api.url("bomb")).cap(1 << 30)).await.unwrap_err();
    assert_eq!(error.failure, Failure::TooLarge);
}

#[tokio::test]
async fn redirects_are_followed_without_the_token_and_other_hosts_get_none() {
    let other = Server::start(|_, _| reply(200, "Content-Type: text/csv\r\n", "a,b"));
    let there = other.base.clone();
    let server = Server::start(move |asked, _| match asked.line.as_str() {
        "GET /report" => reply(302, &format!("Location: {there}file?sig=canary\r\n"), ""),
        "GET /away" => reply(302, "Location: http://example.com/file?sig=canary\r\n", ""),
        "GET /loop" => reply(302, "Location: /loop\r\n", ""),
        _ => json("{}"),
    });
    let api = graph(&world(), &server.base);
    assert_eq!(api.text(Request::get(api.url("report"))).await.unwrap().body, "a,b");
    assert!(server.asked().iter().any(|asked| asked.header("authorization") == Some("Bearer token-0")));
    assert_eq!(other.asked().last().unwrap().header("authorization"), None);
    // Plain http to another machine, and an endless way.
    for path in ["away", "loop"] {
        let error = api.text(Request::get(api.url(path))).await.unwrap_err();
        assert_eq!(error.failure, Failure::Forbidden);
        assert!(!error.to_string().contains("canary"), "{error}");
    }
    let count = other.asked().len();
    let error = api.json(Request::get(other.base.join("next?sig=canary").unwrap())).await.unwrap_err();
    assert_eq!((error.failure, other.asked().len()), (Failure::Forbidden, count));
    assert!(!format!("{error}{error:?}").contains("canary"));
    api.text(Request::get(other.base.clone()).anonymous()).await.unwrap();
}

#[tokio::test]
async fn nothing_shows_a_secret() {
    let server = Server::start(|_, _| reply(500, "", "failed"));
    let world = world();
    let api = graph(&world, &server.base);
    let error = api.json(Request::get(api.url("x?key=canary"))).await.unwrap_err();
    let key = secrecy::SecretString::from("canary-key");
    let shown = format!("{world:?}{api:?}{error:?}{error}{:?}", Request::get(api.url("x")).key("x-api-key", &key));
    assert!(!shown.contains("canary") && !shown.contains("token-0"), "{shown}");
}

#[tokio::test]
async fn who_is_throttled_stops_those_of_the_same_quota_only() {
    let server = Server::start(|asked, number| {
        if asked.line.contains("report") && number < 3 { reply(429, "Retry-After: 600\r\n", "") } else { json("{}") }
    });
    let world = world();
    let api = graph(&world, &server.base);
    let reports = api.limited("reports", RequestLimits::of(14, Duration::from_secs(600), 1));
    let passed = || world.pace().passed() / 1_000_000;
    api.json(Request::get(api.url("users"))).await.unwrap();
    assert_eq!(reports.json(Request::get(api.url("report")).once()).await.unwrap_err().failure, Failure::Throttled);
    api.json(Request::get(api.url("users"))).await.unwrap();
    assert_eq!(passed(), 0);
    reports.json(Request::get(api.url("report"))).await.unwrap();
    assert!(passed() >= 600);
}

#[tokio::test]
async fn who_waits_for_a_quota_of_its_own_holds_nobody_up() {
    let server = Server::start(|_, _| json("{}"));
    let api = graph(&world(), &server.base);
    let own = api.limited("own", RequestLimits::at_once(1));
    let taken = own.quotas[1].admit().await;
    let waiting: Vec<_> = (0..64)
        .map(|_| {
            let own = own.clone();
            tokio::spawn(async move { own.json(Request::get(own.url("own"))).await })
        })
        .collect();
    tokio::task::yield_now().await;
    let other = tokio::time::timeout(Duration::from_secs(60), api.json(Request::get(api.url("other"))));
    assert_eq!(other.await.expect("no wait").unwrap().status, 200);
    drop(taken);
    for answer in futures::future::join_all(waiting).await {
        assert_eq!(answer.unwrap().unwrap().status, 200);
    }
}

/// A service counts requests in the last minute and throttles above its quota, as the client's time passes.
#[tokio::test]
async fn a_backlog_uses_its_quota_and_is_hardly_throttled() {
    const QUOTA: usize = 500;
    const BLOBS: usize = 4_000;
    let world = world();
    let (pace, made) = (world.pace().clone(), std::sync::Mutex::new(std::collections::VecDeque::<i64>::new()));
    let server = Server::start(move |_, _| {
        let (now, mut made) = (pace.passed(), made.lock().unwrap());
        made.retain(|then| then + 60_000_000 > now);
        if made.len() >= QUOTA {
            return reply(403, "", "{'error':{'code':'AF429','message':'Too many requests'}}");
        }
        made.push_back(now);
        json("[]")
    });
    let mut tenant = crate::testing::tenant(&server.base);
    tenant.audit.requests_per_minute = u32::try_from(QUOTA).unwrap();
    let api = world.api(&tenant, Service::Management).unwrap();
    let calls = (0..BLOBS).map(|_| api.json(Request::get(api.url("blob"))));
    let answers: Vec<_> =
        futures::StreamExt::collect(futures::StreamExt::buffer_unordered(futures::stream::iter(calls), 8)).await;
    assert!(answers.iter().all(Result::is_ok));
    let throttled = server.lines().len() - BLOBS;
    assert!(throttled * 100 <= BLOBS, "{throttled}");
    let used = BLOBS as f64 / (world.pace().passed() as f64 / 60e6 * QUOTA as f64);
    assert!(used >= 0.95, "{used}");
}

#[tokio::test]
async fn the_service_s_clock_is_told_by_its_answers_and_never_later_than_it_is() {
    let dates = [
        "Mon, 12 Jan 2026 09:10:00 GMT",
        "Mon, 12 Jan 2026 09:10:07 GMT",
        "Mon, 12 Jan 2026 09:10:03 GMT",
        "Mon, 12 Jan 2026 08:00:00 GMT",
        "Sat, 01 Nov 2025 00:00:00 GMT",
    ];
    let server = Server::start(move |_, number| reply(200, &format!("Date: {}\r\n", dates[number - 1]), "{}"));
    let api = graph(&world(), &server.base);
    assert_eq!((api.skew(), api.now()), (None, crate::testing::NOW));
    for seconds in [33_000, 33_007, 33_007, 28_800] {
        api.json(Request::get(api.url("x"))).await.unwrap();
        assert_eq!((api.skew(), api.now()), (Some(seconds), crate::testing::NOW + seconds * 1_000_000));
    }
    // A service of another time: what it has is asked for by ours.
    api.json(Request::get(api.url("x"))).await.unwrap();
    assert_eq!((api.skew(), api.now()), (Some(-72 * 86_400), crate::testing::NOW));
}

#[test]
fn addresses_keep_the_path_of_their_base() {
    let api = graph(&world(), &Url::parse("http://127.0.0.1:9/graph/").unwrap());
    assert_eq!(api.url("v1.0/users?$top=5").as_str(), "http://127.0.0.1:9/graph/v1.0/users?$top=5");
    assert_eq!(api.url("/x").as_str(), "http://127.0.0.1:9/graph/x");
}
