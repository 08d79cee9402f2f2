//! What queries read beside tables: files at addresses, watchlists, places of IP addresses. The server is one of the test's own,
//! which the configuration writes out in full.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::support::{run_in, run_with};

/// A server that answers with the texts of a function, and notes the heads that it was sent.
struct Server {
    base: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `answer` gets the request's head and its number, from 0, and gives the status, further headers, and the body.
    fn start(answer: impl Fn(&str, usize) -> (u16, &'static str, Vec<u8>) + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let noted = Arc::clone(&heads);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let mut reader = BufReader::new(stream.try_clone().expect("a reader"));
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap_or(0) > 0 {}
                let mut noted = noted.lock().expect("the notes");
                let (status, headers, body) = answer(&head, noted.len());
                noted.push(head);
                let start =
                    format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n", body.len());
                // A client that has gone is its own matter.
                drop(stream.write_all(start.as_bytes()).and_then(|()| stream.write_all(&body)));
            }
        });
        Server { base, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("the notes").clone()
    }
}

fn configure(dir: &Path, text: &str) {
    std::fs::write(dir.join("kqlake.toml"), text).expect("a configuration");
}

/// All bytes and names of files below a folder.
fn everything_below(dir: &Path) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry")) {
        all.push_str(&entry.path().display().to_string());
        if entry.path().is_dir() {
            all.push_str(&everything_below(&entry.path()));
        } else {
            all.push_str(&String::from_utf8_lossy(&std::fs::read(entry.path()).expect("a file")));
        }
    }
    all
}

#[test]
fn a_file_at_an_allowed_address_is_fetched_once_and_kept_for_when_nobody_answers() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(|head, number| match number {
        0 => (200, "ETag: \"one\"\r\n", b"name,n\na,1\nb,2\n".to_vec()),
        1 if head.contains("if-none-match: \"one\"") => (304, "", Vec::new()),
        2 => (503, "", Vec::new()),
        _ => (200, "", b"name,n\nc,3\n".to_vec()),
    });
    configure(dir.path(), &format!("external_data = [\"{}/list.csv\"]\n", server.base));
    make_lake(dir.path());
    let query = format!(
        "externaldata(name: string, n: long)[h@'{}/list.csv?sig=canary'] with (ignoreFirstRecord=true) | summarize sum(n)",
        server.base
    );
    assert_eq!(run_in(dir.path(), &["query", &query]).exits(0).out, "sum_n\n3\n");
    assert_eq!(run_in(dir.path(), &["query", &query]).exits(0).out, "sum_n\n3\n");
    let run = run_in(dir.path(), &["query", &query]).exits(0).says("the copy of");
    assert_eq!(run.out, "sum_n\n3\n");
    let below = everything_below(&dir.path().join("data"));
    for shown in [&run.err, &below] {
        assert!(!shown.contains("canary"), "{shown}");
    }
    let run = run_in(dir.path(), &["query", "--explain=analyze", &query]).exits(0);
    assert!(!run.out.contains("canary") && !run.err.contains("canary"), "{}{}", run.out, run.err);
    assert_eq!(run_in(dir.path(), &["query", &query]).exits(0).out, "sum_n\n3\n");
    assert!(server.heads().iter().all(|head| head.starts_with("GET /list.csv?sig=canary ")), "{:?}", server.heads());
}

/// Makes a lake at the usual place.
fn make_lake(dir: &Path) {
    run_in(dir, &["generate", "traces", "--rows", "1", "-o", "one.ndjson"]).exits(0);
    run_in(dir, &["import", "--from", "one.ndjson"]).exits(0);
}

#[test]
fn a_file_is_kept_in_a_lake_alone_and_read_where_it_cannot_be_kept() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(|_, _| (200, "ETag: \"one\"\r\n", b"a,1\n".to_vec()));
    std::fs::create_dir_all(dir.path().join("foreign/folder")).expect("a folder");
    std::fs::create_dir(dir.path().join("spill")).expect("a folder");
    configure(dir.path(), &format!("external_data = [\"{}/list.csv\"]\nspill_dir = \"spill\"\n", server.base));
    let query = format!("externaldata(name: string, n: long)['{}/list.csv'] | summarize sum(n)", server.base);
    for lake in ["nowhere", "foreign"] {
        assert_eq!(run_in(dir.path(), &["--lake", lake, "query", &query]).exits(0).out, "sum_n\n1\n");
    }
    assert!(!dir.path().join("nowhere").exists() && !dir.path().join("foreign/_external").exists());
    make_lake(dir.path());
    // A file in the folder's place, as where the folder may only be read.
    std::fs::write(dir.path().join("data/lake/_external"), "").expect("a file");
    let run = run_in(dir.path(), &["query", &query]).exits(0).says("cannot be kept in the lake for later");
    assert_eq!(run.out, "sum_n\n1\n");
    assert_eq!(std::fs::read_dir(dir.path().join("spill")).expect("a folder").count(), 0);
}

#[test]
fn what_is_not_allowed_is_refused_with_the_line_that_allows_it() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    configure(dir.path(), "external_data = [\"lists\"]\n");
    let query = |address: &str| format!("externaldata(a: string)['{address}'] | count");
    run_in(dir.path(), &["query", &query("https://example.org/lists/a.csv?sig=x")])
        .exits(3)
        .says("external_data = [\"lists\", \"https://example.org/lists/\"]");
    for address in ["http://127.0.0.1:9/a.csv", "http://2130706433:9/a.csv", "http://[::ffff:127.0.0.1]:9/a.csv"] {
        run_in(dir.path(), &["query", &query(address)]).exits(3).says("is this machine or in a private network");
    }
    let secrets = "externaldata(a: string)[h'https://user:canary@example.org/a.csv?sig=canary'] | count";
    let run = run_in(dir.path(), &["query", secrets]).exits(3);
    assert!(!run.err.contains("canary"), "{}", run.err);
    // Nothing is asked, and the same is said before anything is run.
    let run = run_with(dir.path(), &["check", "-"], query("https://example.org/lists/a.csv").as_bytes());
    assert!(run.err.contains("https://example.org/lists/") || run.out.contains("https://example.org/lists/"), "{run:?}");
    configure(dir.path(), "external_data = [\"https://user:canary@example.org/\"]\n");
    let run = run_in(dir.path(), &["query", "print 1"]).exits(2).says("external_data");
    assert!(!run.err.contains("canary"), "{}", run.err);
}

#[test]
fn a_file_that_cannot_be_had_is_a_source_that_failed() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(|_, number| (if number == 0 { 404 } else { 503 }, "", Vec::new()));
    configure(dir.path(), &format!("external_data = [\"{}/list.csv\"]\n", server.base));
    let query = format!("externaldata(a: string)['{}/list.csv?sig=canary']", server.base);
    for status in ["404", "503"] {
        let run = run_in(dir.path(), &["query", &query]).exits(4).says(status);
        assert!(!run.err.contains("canary"), "{}", run.err);
    }
    // A text that is wrong asks nobody.
    run_in(dir.path(), &["query", &format!("{query} | where nope == 1")]).exits(3);
    assert_eq!(server.heads().len(), 2);
}

#[test]
fn mappings_say_where_columns_come_from() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(dir.path().join("lists")).expect("a folder");
    std::fs::write(dir.path().join("lists/a.json"), "[{\"x\":{\"y\":[1,2]},\"t\":1},{\"t\":2}]").expect("a file");
    std::fs::write(dir.path().join("lists/a.csv"), "1,2,3\n").expect("a file");
    configure(dir.path(), "external_data = [\"lists\"]\n");
    let json = "externaldata(n: long, t: datetime, k: string)['a.json'] with (format='multijson', ingestionMapping='[
        {\"Column\":\"n\",\"Properties\":{\"Path\":\"$.x.y[1]\"}},{\"Column\":\"k\",\"Properties\":{\"ConstValue\":\"z\"}},
        {\"Column\":\"t\",\"Properties\":{\"Path\":\"$.t\",\"Transform\":\"DateTimeFromUnixSeconds\"}}]')";
    let expected = "n,t,k\n2,1970-01-01T00:00:01Z,z\n,1970-01-01T00:00:02Z,z\n";
    let run = run_in(dir.path(), &["query", &json.replace('\n', " ")]).exits(0);
    assert_eq!(run.out.replace(".0000000", ""), expected);
    let csv = "externaldata(c: long, a: long)['a.csv'] with (ingestionMapping='[{\"column\":\"a\",\"ordinal\":0},{\"column\":\"c\",\"ordinal\":2}]')";
    assert_eq!(run_in(dir.path(), &["query", csv]).exits(0).out, "c,a\n3,1\n");
    run_in(dir.path(), &["query", "externaldata(a: long)['a.csv'] with (ingestionMapping='x')"]).exits(3).says("no JSON");
}

#[test]
fn watchlists_are_csv_files_of_a_folder() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let query = "_GetWatchlist('assets') | project Host, SearchKey, tostring(WatchlistItem.Owner) | order by Host asc";
    run_in(dir.path(), &["query", query]).exits(3).says("watchlists = \"FOLDER\"");
    run_in(dir.path(), &["query", "_GetWatchlistAlias"]).exits(3).says("watchlists = \"FOLDER\"");
    std::fs::create_dir(dir.path().join("lists")).expect("a folder");
    std::fs::write(dir.path().join("lists/assets.csv"), "Host,Owner\nsrv2,Bo\nsrv1,Al\n").expect("a file");
    std::fs::write(dir.path().join("lists/vips.csv"), "SearchKey,Name\nu1,x\n").expect("a file");
    configure(dir.path(), "watchlists = \"lists\"\n[watchlist_keys]\nassets = \"Owner\"\n");
    let run = run_in(dir.path(), &["query", query]).exits(0);
    assert_eq!(run.out, "Host,SearchKey,WatchlistItem_Owner\nsrv1,Al,Al\nsrv2,Bo,Bo\n");
    assert_eq!(run.err, "");
    let vips = "let v = _GetWatchlist('vips') | project SearchKey; print u = 'u1' | where u in (v)";
    assert_eq!(run_in(dir.path(), &["query", vips]).exits(0).out, "u\nu1\n");
    for names in ["_GetWatchlistAlias", "_GetWatchlistAlias() | order by WatchlistAlias asc"] {
        assert_eq!(run_in(dir.path(), &["query", names]).exits(0).out, "WatchlistAlias\nassets\nvips\n");
    }
    run_in(dir.path(), &["query", "_GetWatchlist('asset')"]).exits(3).says("did you mean 'assets'?");
    run_in(dir.path(), &["query", "_GetWatchlist('../secret')"]).exits(3).says("no watchlist");
    configure(dir.path(), "watchlists = \"lists\"\n");
    run_in(dir.path(), &["query", query]).exits(0).says("\"assets\" = \"Host\"");
    std::fs::write(dir.path().join("own.toml"), "watchlists = \"lits\"\nip_locations = \"gone.mmdb\"\n").expect("a file");
    for query in [query, "_GetWatchlistAlias"] {
        let run = run_in(dir.path(), &["--config", "own.toml", "query", query]).exits(2);
        run.says("`watchlists` in own.toml: cannot read the folder").says("lits");
    }
    let places = "print geo_info_from_ip_address('192.0.2.1')";
    run_in(dir.path(), &["--config", "own.toml", "query", places]).exits(2).says("`ip_locations` in own.toml: cannot read");
    configure(dir.path(), "watchlists = \"lists\"\n[watchlist_keys]\nassets = \"Nope\"\n");
    run_in(dir.path(), &["query", query]).exits(3).says("its columns are Host, Owner");
}

/// A file in MaxMind's format (MaxMind DB File Format Specification, version 2.0) with one network of IPv4 addresses.
fn locations(network: [u8; 4], bits: usize, place: &[u8]) -> Vec<u8> {
    let address = u32::from_be_bytes(network);
    let nodes = u32::try_from(bits).expect("few bits");
    let record = |value: u32| value.to_be_bytes()[1..].to_vec();
    let mut bytes = Vec::new();
    for bit in 0..nodes {
        // The way to the network goes on; the other way leads to nothing.
        let on = if bit + 1 == nodes { nodes + 16 } else { bit + 1 };
        let is_right = address >> (31 - bit) & 1 == 1;
        for side in [false, true] {
            bytes.extend(record(if side == is_right { on } else { nodes }));
        }
    }
    bytes.extend([0; 16]);
    bytes.extend(place);
    bytes.extend(b"\xab\xcd\xefMaxMind.com");
    let metadata = [
        ("node_count", uint(6, nodes)),
        ("record_size", uint(5, 24)),
        ("ip_version", uint(5, 4)),
        ("database_type", text("Test-City")),
        ("languages", [vec![0x01, 0x04], text("en")].concat()),
        ("binary_format_major_version", uint(5, 2)),
        ("binary_format_minor_version", uint(5, 0)),
        ("build_epoch", vec![0x01, 0x02, 1]),
        ("description", map(&[("en", text("invented"))])),
    ];
    bytes.extend(map(&metadata));
    bytes
}

fn uint(kind: u8, value: u32) -> Vec<u8> {
    let bytes: Vec<u8> = value.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    [vec![kind << 5 | u8::try_from(bytes.len()).expect("four bytes")], bytes].concat()
}

fn text(value: &str) -> Vec<u8> {
    assert!(value.len() < 29);
    [vec![2 << 5 | u8::try_from(value.len()).expect("a short text")], value.as_bytes().to_vec()].concat()
}

fn real(value: f64) -> Vec<u8> {
    [vec![3 << 5 | 8], value.to_be_bytes().to_vec()].concat()
}

fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![7 << 5 | u8::try_from(entries.len()).expect("few entries")];
    for (key, value) in entries {
        bytes.extend(text(key));
        bytes.extend(value);
    }
    bytes
}

#[test]
fn places_of_ip_addresses_come_from_the_configured_file() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let query = "datatable(ip: string)['203.0.113.7', '203.0.113.7 ', '198.51.100.1', 'x', '::1']
        | extend place = geo_info_from_ip_address(ip) | project ip, tostring(place.country), place";
    run_in(dir.path(), &["query", query]).exits(3).says("ip_locations = ");
    let named = |name: &str| map(&[("names", map(&[("en", text(name))]))]);
    let place = map(&[
        ("country", named("Aland")),
        ("city", named("Ort")),
        ("subdivisions", [vec![0x01, 0x04], named("Land")].concat()),
        ("location", map(&[("latitude", real(1.5)), ("longitude", real(-2.25))])),
    ]);
    std::fs::write(dir.path().join("places.mmdb"), locations([203, 0, 113, 0], 24, &place)).expect("a file");
    configure(dir.path(), "ip_locations = \"places.mmdb\"\n");
    let run = run_in(dir.path(), &["query", query, "-f", "ndjson"]).exits(0);
    let rows: Vec<serde_json::Value> = run.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let whole = serde_json::json!({"country": "Aland", "state": "Land", "city": "Ort", "latitude": 1.5, "longitude": -2.25});
    assert_eq!((&rows[0]["place"], &rows[1]["place"]), (&whole, &whole), "{}", run.out);
    assert_eq!(rows[0]["place_country"], "Aland");
    for row in &rows[2..] {
        assert!(row["place"].is_null() && row["place_country"] == "", "{row}");
    }
    let constant = "print tostring(geo_info_from_ip_address('203.0.113.9').city)";
    assert!(run_in(dir.path(), &["query", constant]).exits(0).out.ends_with("\nOrt\n"));
    // Nothing is said of an address where the file is damaged.
    let mut damaged = locations([203, 0, 113, 0], 24, &place);
    let country = damaged.windows(7).position(|bytes| bytes == b"country").expect("a key");
    damaged[country - 1] = 0xff;
    std::fs::write(dir.path().join("places.mmdb"), damaged).expect("a file");
    run_in(dir.path(), &["query", query]).exits(3).says("places.mmdb");
    std::fs::write(dir.path().join("places.mmdb"), "x").expect("a file");
    run_in(dir.path(), &["query", query]).exits(2).says("`ip_locations` in kqlake.toml").says("places.mmdb");
}
