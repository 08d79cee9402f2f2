//! Pages that lead to one another, as OData services give them.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::hash::{Hash as _, Hasher as _};
use std::io;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use url::Url;

use super::seen::{Seen, readable};
use crate::api::Api;
use crate::cloud::Service;
use crate::http::{Failure, Request, ServiceError};
use kqlake_import::{Body, Feed};
use kqlake_value::json::checked::Members;

/// Pages of one chain that wait for their reader.
const WAITING: usize = 2;
/// How long a list without any record is left alone before it is asked for again.
const AGAIN: Duration = Duration::from_secs(5);
/// More pages than any chain has.
const MOST: usize = 1_000_000;

/// A page.
#[derive(Debug, Clone)]
pub(super) struct Page {
    /// Its text.
    pub body: Bytes,
    /// How many records it has.
    pub records: usize,
    /// Where the chain goes on.
    pub next: Option<Url>,
    /// Where a later look at the same goes on from, on the last page of those that say it.
    pub delta: Option<Url>,
}

/// The links of a page; services write them in several ways. A page that says nothing of them is the last.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Links {
    #[serde(rename = "@odata.nextLink", alias = "odata.nextLink", alias = "@nextLink")]
    next: Option<String>,
    #[serde(rename = "@odata.deltaLink", alias = "odata.deltaLink")]
    delta: Option<String>,
    value: Option<Vec<IgnoredAny>>,
    d: Option<Verbose>,
    error: Option<IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Verbose {
    #[serde(rename = "__next")]
    next: Option<String>,
    results: Vec<IgnoredAny>,
}

/// Asks for a page.
///
/// # Errors
/// As [`Api::json_bytes`]; what came is no page; it says an error.
pub(super) async fn page(api: &Api, request: Request) -> Result<Page, ServiceError> {
    let url = request.url().clone();
    let answer = api.json_bytes(request).await?;
    read(api.service(), &url, answer.body)
}

/// The way along the pages of one chain, none of which is asked for twice: a chain that runs in a circle has no end.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// Hashes of the addresses that were asked for.
    asked: HashSet<u64>,
}

impl Walk {
    /// Asks for the chain's next page.
    ///
    /// # Errors
    /// As [`page`]; the page has come before.
    pub(super) async fn page(&mut self, api: &Api, request: Request) -> Result<Page, ServiceError> {
        let mut hasher = DefaultHasher::new();
        request.url().as_str().hash(&mut hasher);
        if !self.asked.insert(hasher.finish()) || self.asked.len() > MOST {
            let why = format!("{}: the pages lead to one another in a circle", crate::http::place(request.url()));
            return Err(ServiceError::new(api.service(), Failure::Broken, why));
        }
        page(api, request).await
    }
}

fn read(service: Service, url: &Url, body: Bytes) -> Result<Page, ServiceError> {
    let broken = |why: &str| ServiceError::new(service, Failure::Broken, format!("{}: {why}", crate::http::place(url)));
    if body.is_empty() {
        return Err(broken("the answer is empty, where a page of records is due"));
    }
    let links: Links = serde_json::from_slice(&body).map_err(|error| broken(&format!("no page of records came: {error}")))?;
    if links.value.is_none() && links.d.is_none() {
        let what = if links.error.is_some() { "the answer says an error" } else { "the answer has no `value`" };
        return Err(broken(what));
    }
    let records = links.value.map_or(0, |value| value.len()) + links.d.as_ref().map_or(0, |d| d.results.len());
    // Links may be relative to the address that was asked.
    let resolved = |link: Option<String>| {
        let link = link.filter(|link| !link.is_empty());
        link.map(|link| url.join(&link).map_err(|_| broken("the link to the next page is none"))).transpose()
    };
    let next = resolved(links.next.or_else(|| links.d.and_then(|d| d.next)))?;
    if next.as_ref() == Some(url) {
        return Err(broken("the link to the next page leads to the page itself"));
    }
    Ok(Page { next, records, delta: resolved(links.delta)?, body })
}

/// The records of a list, by their ids.
#[derive(Debug, Default)]
pub(super) struct Ids {
    /// Each once, with the names of users (`userPrincipalName`) where they are asked for.
    pub known: BTreeMap<String, Option<String>>,
    /// What is wrong with the other records, where there are others.
    pub unread: Option<String>,
}

/// The ids of all records of a list. A list without any is asked for once more, as a [`Chain`] that [should have
/// records](Chain::begin_full).
///
/// # Errors
/// A page cannot be fetched.
pub(super) async fn ids(api: &Api, path: &str) -> Result<Ids, ServiceError> {
    #[derive(Deserialize)]
    struct Heads<'p> {
        #[serde(borrow)]
        value: Vec<&'p RawValue>,
    }
    #[derive(Deserialize)]
    struct Head {
        id: String,
        #[serde(rename = "userPrincipalName", default)]
        name: Option<String>,
    }
    let id_of = |record: &RawValue| {
        let head: Head = serde_json::from_str(record.get()).ok()?;
        Some((readable(head.id)?, head.name.and_then(readable)))
    };
    let (mut known, mut unread) = (BTreeMap::new(), 0);
    let (mut next, mut is_first, mut walk) = (Some(api.url(path)), true, Walk::default());
    while let Some(url) = next {
        let page = walk.page(api, Request::get(url.clone())).await?;
        let seen = Seen::of(&page.body);
        let heads: Heads<'_> = seen.parse().map_err(|error| {
            let why = format!("{}: the list cannot be read: {error}", crate::http::place(&url));
            ServiceError::new(api.service(), Failure::Broken, why)
        })?;
        for record in heads.value {
            match id_of(record) {
                Some((id, name)) => _ = known.insert(id, name),
                None => unread += 1,
            }
        }
        next = page.next;
        if next.is_none() && known.is_empty() && std::mem::take(&mut is_first) {
            api.pace().sleep(AGAIN).await;
            (next, unread, walk) = (Some(api.url(path)), 0, Walk::default());
        }
    }
    let unread = (unread > 0).then(|| format!("{unread} records of the list have no id that can be read"));
    Ok(Ids { known, unread })
}

/// Pages that follow one another, the first of which has come.
#[derive(Debug)]
pub(super) struct Chain {
    api: Api,
    first: Page,
    request: fn(Url) -> Request,
    said: Option<Said>,
}

/// What pages say of their records, whatever the service says: what they are, whose, and values of columns that they do not have by
/// themselves. The service's own context is one of several forms, and what was asked for is known.
#[derive(Debug, Clone)]
pub(super) struct Said {
    /// For `@odata.context`.
    pub context: String,
    /// For `@kqlake.columns`.
    pub columns: Map<String, Value>,
}

impl Said {
    /// The members at the beginning of a page's object.
    pub(super) fn head(&self) -> String {
        let mut head = format!("{{\"@odata.context\":{}", Value::from(self.context.as_str()));
        if !self.columns.is_empty() {
            let _ = write!(head, ",\"@kqlake.columns\":{}", Value::from(self.columns.clone()));
        }
        head
    }
}

impl Chain {
    /// The chain that a request begins.
    ///
    /// # Errors
    /// The first page cannot be fetched.
    pub(super) async fn begin(api: &Api, first: Request) -> Result<Self, ServiceError> {
        Ok(Chain { api: api.clone(), first: page(api, first).await?, request: Request::get, said: None })
    }

    /// The chain that a request begins where records should be. Services that are not well answer with none: such an answer is asked
    /// for once more before it is believed.
    ///
    /// # Errors
    /// The first page cannot be fetched.
    pub(super) async fn begin_full(api: &Api, first: Request) -> Result<Self, ServiceError> {
        let chain = Chain::begin(api, first.clone()).await?;
        if chain.first.records > 0 || chain.first.next.is_some() {
            return Ok(chain);
        }
        api.pace().sleep(AGAIN).await;
        Chain::begin(api, first).await
    }

    /// The chain of a first page that came from an address in another way.
    ///
    /// # Errors
    /// It is no page.
    pub(super) fn of(api: &Api, url: &Url, first: Bytes) -> Result<Self, ServiceError> {
        Ok(Chain { api: api.clone(), first: read(api.service(), url, first)?, request: Request::get, said: None })
    }

    /// With what asks for the pages that follow.
    #[must_use]
    pub(super) fn with_request(self, request: fn(Url) -> Request) -> Self {
        Chain { request, ..self }
    }

    /// With what each page says of its records.
    #[must_use]
    pub(super) fn saying(self, context: String, columns: Map<String, Value>) -> Self {
        Chain { said: Some(Said { context, columns }), ..self }
    }

    /// The pages, one a line. They come while they are read; where one of them cannot be fetched the body breaks off. Each page is
    /// shown to `each` before it is handed on.
    pub(super) fn into_body(self, each: impl FnMut(&[u8]) + Send + 'static) -> Body {
        let (feed, body) = Body::fed(WAITING);
        tokio::spawn(async move {
            if let Err(error) = self.give(&feed, each).await {
                feed.give(Err(io::Error::other(error.to_string()))).await;
            }
        });
        body
    }

    /// Hands the pages on, one a line, and counts their records.
    ///
    /// # Errors
    /// One of them cannot be fetched.
    pub(super) async fn give(self, feed: &Feed, mut each: impl FnMut(&[u8])) -> Result<usize, ServiceError> {
        let mut pages = self.pages();
        let mut records = 0;
        while let Some(page) = pages.next().await? {
            each(&page);
            records += pages.now.as_ref().map_or(0, |page| page.records);
            if !feed.give(Ok(page)).await || !feed.give(Ok(Bytes::from_static(b"\n"))).await {
                break;
            }
        }
        Ok(records)
    }

    /// Appends the pages to a text, one a line.
    ///
    /// # Errors
    /// One of them cannot be fetched.
    pub(super) async fn collect(self, text: &mut Vec<u8>) -> Result<(), ServiceError> {
        let mut pages = self.pages();
        while let Some(page) = pages.next().await? {
            text.extend_from_slice(&page);
            text.push(b'\n');
        }
        Ok(())
    }

    fn pages(self) -> Pages {
        Pages {
            api: self.api,
            request: self.request,
            said: self.said,
            now: Some(self.first),
            begun: false,
            walk: Walk::default(),
        }
    }
}

/// The pages of a chain, one after the other.
struct Pages {
    api: Api,
    request: fn(Url) -> Request,
    said: Option<Said>,
    /// The page that was given last, or is the first.
    now: Option<Page>,
    begun: bool,
    walk: Walk,
}

impl Pages {
    /// The next page's text.
    async fn next(&mut self) -> Result<Option<Bytes>, ServiceError> {
        if std::mem::replace(&mut self.begun, true) {
            let Some(next) = self.now.take().and_then(|page| page.next) else { return Ok(None) };
            self.now = Some(self.walk.page(&self.api, (self.request)(next)).await?);
        }
        let Some(page) = &self.now else { return Ok(None) };
        Ok(Some(saying(page.body.clone(), self.said.as_ref())))
    }
}

/// A page that says something of its records, in place of the context that the service gave it.
fn saying(body: Bytes, said: Option<&Said>) -> Bytes {
    let Some(said) = said else { return body };
    let seen = Seen::of(&body);
    let Ok(members) = Members::parse(seen.text()) else { return body };
    let mut text = said.head().into_bytes();
    for (name, value) in members.0 {
        if name != "@odata.context" {
            text.extend_from_slice(format!(",{}:", Value::from(name.into_owned())).as_bytes());
            text.extend_from_slice(seen.came(value.get()));
        }
    }
    text.push(b'}');
    Bytes::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Server, graph, json, world};

    fn links(text: &str) -> String {
        let url = Url::parse("https://a.example/ecp/reportingwebservice/reporting.svc/MessageTrace?x=1").unwrap();
        match read(Service::Reporting, &url, Bytes::copy_from_slice(text.as_bytes())) {
            Ok(page) => {
                let shown = |url: Option<Url>| url.map_or_else(|| "-".to_owned(), |url| url.to_string());
                format!("{} {}", shown(page.next), shown(page.delta))
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_page_says_what_was_asked_for() {
        let columns = Map::from_iter([("userPrincipalName".to_owned(), Value::from("amy@x"))]);
        let said = Said { context: "#users('a')".to_owned(), columns };
        let of =
            |text: &'static str| String::from_utf8(saying(Bytes::from_static(text.as_bytes()), Some(&said)).to_vec()).unwrap();
        let head = r##"{"@odata.context":"#users('a')","@kqlake.columns":{"userPrincipalName":"amy@x"}"##;
        assert_eq!(of(r#"{"value":[{"n":1.50}]}"#), format!(r#"{head},"value":[{{"n":1.50}}]}}"#));
        assert_eq!(of(r#"{"a":1,"@odata.context":"own","value":[]}"#), format!(r#"{head},"a":1,"value":[]}}"#));
        assert_eq!(of("[]"), "[]");
        // Bytes that cannot be read are handed on, and the page says the same.
        let of_bytes = saying(Bytes::from_static(b"{\"value\":[{\"n\":\"\xe9\"}]}"), Some(&said));
        assert_eq!(of_bytes, [head.as_bytes(), b",\"value\":[{\"n\":\"\xe9\"}]}"].concat());
    }

    #[test]
    fn a_page_says_how_many_records_it_has() {
        let url = Url::parse("https://a.example/p").unwrap();
        let records = |text: &str| {
            read(Service::Graph, &url, Bytes::copy_from_slice(text.as_bytes())).map(|page| page.records).map_err(|_| ())
        };
        assert_eq!(records(r#"{"value":[]}"#), Ok(0));
        assert_eq!(records(r#"{"d":{"results":[]}}"#), Ok(0));
        assert_eq!(records(r#"{"value":[{},{}]}"#), Ok(2));
        assert_eq!(records(r#"{"d":{"results":[1]}}"#), Ok(1));
        for strange in ["", "{}", r#"{"value":null}"#, r#"{"id":"a"}"#] {
            assert_eq!(records(strange), Err(()), "{strange}");
        }
    }

    #[tokio::test]
    async fn an_answer_without_any_record_is_asked_for_once_more() {
        let empty = r#"{"value":[]}"#;
        for (first, second, asked, found) in
            [(empty, r#"{"value":[{"id":"a"}]}"#, 2, 1), (empty, empty, 2, 0), (r#"{"value":[{"id":"a"}]}"#, empty, 1, 1)]
        {
            let server = Server::start(move |_, number| json(if number == 1 { first } else { second }));
            let api = graph(&world(), &server.base);
            assert_eq!(ids(&api, "v1.0/teams").await.unwrap().known.len(), found);
            assert_eq!(server.lines().len(), asked);
            let server = Server::start(move |_, number| json(if number == 1 { first } else { second }));
            let api = graph(&world(), &server.base);
            let chain = Chain::begin_full(&api, Request::get(api.url("v1.0/reports"))).await.unwrap();
            assert_eq!((chain.first.records > 0, server.lines().len()), (found > 0, asked));
        }
    }

    #[tokio::test]
    async fn a_record_that_cannot_be_read_ends_no_list() {
        let page: &[u8] = b"{\"value\":[{\"id\":\"a\",\"userPrincipalName\":\"\xe9\"},{\"id\":\"\xe9\"},{\"id\":1},{\"id\":\"b\",\"x\":\"\xff\"}]}";
        let server = Server::start(move |_, _| crate::testing::reply(200, "Content-Type: application/json\r\n", page));
        let ids = ids(&graph(&world(), &server.base), "v1.0/users").await.unwrap();
        assert_eq!(ids.known, BTreeMap::from([("a".to_owned(), None), ("b".to_owned(), None)]));
        assert_eq!(ids.unread.as_deref(), Some("2 records of the list have no id that can be read"));
    }

    #[tokio::test]
    async fn pages_that_lead_to_one_another_in_a_circle_are_an_error() {
        // The second and the third page lead to each other.
        let server = Server::start(|asked, _| {
            let next = if asked.line.contains("page=2") { 3 } else { 2 };
            json(&format!(r#"{{"value":[{{"id":"{next}"}}],"@odata.nextLink":"teams?page={next}"}}"#))
        });
        let api = graph(&world(), &server.base);
        let refused = |error: ServiceError| assert!(error.to_string().contains("in a circle"), "{error}");
        refused(ids(&api, "v1.0/teams").await.unwrap_err());
        assert_eq!(server.lines().len(), 3);
        let chain = Chain::begin(&api, Request::get(api.url("v1.0/teams"))).await.unwrap();
        refused(chain.collect(&mut Vec::new()).await.unwrap_err());
        assert_eq!(server.lines().len(), 6);
    }

    #[test]
    fn links_are_read_in_each_form() {
        assert_eq!(links(r#"{"value":[],"@odata.nextLink":"https://a.example/p?2"}"#), "https://a.example/p?2 -");
        assert_eq!(links(r#"{"value":[],"@odata.deltaLink":"https://a.example/d"}"#), "- https://a.example/d");
        let relative = r#"{"value":[],"odata.nextLink":"../../reportingwebservice/reporting.svc/MessageTrace?$skiptoken=1999"}"#;
        assert_eq!(links(relative), "https://a.example/ecp/reportingwebservice/reporting.svc/MessageTrace?$skiptoken=1999 -");
        assert_eq!(links(r#"{"d":{"results":[],"__next":"https://a.example/n"}}"#), "https://a.example/n -");
        assert_eq!(links(r#"{"value":[]}"#), "- -");
        assert!(links(r#"{"error":{"code":"x"}}"#).contains("says an error"));
        assert!(links("[1]").contains("no page of records"));
        let itself =
            r#"{"value":[],"@odata.nextLink":"https://a.example/ecp/reportingwebservice/reporting.svc/MessageTrace?x=1"}"#;
        assert!(links(itself).contains("leads to the page itself"));
    }
}
