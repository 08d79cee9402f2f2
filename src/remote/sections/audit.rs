//! Audit records: blobs of the Office 365 Management Activity API, listed for all of the seven days that the service keeps them.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use url::Url;

use super::gap;
use crate::api::Api;
use crate::cloud::Service;
use crate::http::{Failure, KnownRefusal, Request, ServiceError};
use crate::instant;
use crate::settings::Tenant;
use crate::state;
use crate::world::{SetupError, World};
use kqlake_import::{Body, ListedUnit, Opened, Reply, Source, SourceError, UnitPage};
use kqlake_value::{US_PER_DAY as DAY, US_PER_SECOND as SECOND};

/// How long the service keeps blobs, and how far back it lists them.
const KEPT: i64 = 7 * DAY;
/// What a window that begins seven days ago stays clear of its bound: requests take a while to arrive.
const MARGIN: i64 = 60 * SECOND;
/// The longest window that the service lists whole.
const WINDOW: i64 = DAY;
/// Windows that are listed at once.
const LISTED_AT_ONCE: usize = 8;
/// Blobs that are opened before they are landed.
const OPENED_AT_ONCE: usize = 32;
/// Pages that a window may have: no service has as many, but an endless chain must end.
const MAX_PAGES: usize = 20_000;
/// How often the listing of a window is begun again when the service does not know its own next page any more.
const RESTARTS: usize = 3;
/// Bytes that a blob may have, inflated.
const MAX_BLOB: u64 = 4 << 30;
/// How often a blob without any record is asked for: the service makes none.
const EMPTY_TRIES: u32 = 3;
/// Time between two requests to start the same subscription: sooner ones can leave it half started.
const START_AGAIN: i64 = 15 * 60 * SECOND;
/// How long after its start a subscription may have nothing.
const FIRST_CONTENT: i64 = 12 * 3_600 * SECOND;

/// The source of a tenant's audit records.
pub(super) fn sources(tenant: &Tenant, world: &World) -> Result<Vec<Arc<dyn Source>>, SetupError> {
    if tenant.audit.org_urls.iter().all(|url| url.trim().is_empty()) {
        return Err(SetupError::new(format!(
            "FATAL ERROR: No org URLs found: set audit.org_urls of tenant {} to the SharePoint addresses whose records are \
             taken, such as [\"https://contoso.sharepoint.com\"], or to [\"*\"] for all",
            tenant.name
        )));
    }
    Ok(vec![Arc::new(Audit::new(tenant, world)?)])
}

/// Audit records of a tenant.
struct Audit {
    stream: String,
    api: Api,
    /// The path below which all calls are.
    root: String,
    publisher: String,
    content_types: Vec<String>,
    /// Where it is kept when subscriptions were started.
    started: Option<std::path::PathBuf>,
    /// Where it is kept until when content types were listed.
    listed: Option<std::path::PathBuf>,
    /// Whether subscriptions are left as they are.
    only_looks: bool,
    /// Where the blobs are that were listed, by the names of their units.
    uris: Mutex<HashMap<String, String>>,
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// A blob, as the service lists it.
#[derive(Debug, PartialEq, Eq)]
struct Blob {
    id: String,
    uri: String,
    expires: Option<i64>,
}

/// A span of a content type that is listed.
#[derive(Debug, Clone, Copy)]
struct Window<'a> {
    content_type: &'a str,
    from: i64,
    to: i64,
}

impl Audit {
    fn new(tenant: &Tenant, world: &World) -> Result<Self, SetupError> {
        let own = tenant.audit.publisher_identifier.trim();
        let mut seen = HashSet::new();
        let types = tenant.audit.content_types.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
        Ok(Audit {
            stream: format!("{}/audit", tenant.name),
            api: world.api(tenant, Service::Management)?,
            root: format!("api/v1.0/{}/activity/feed", tenant.id),
            publisher: if own.is_empty() { tenant.id.clone() } else { own.to_owned() },
            content_types: types.filter(|name| seen.insert(plain(name))).map(str::to_owned).collect(),
            started: world.folder().map(|folder| state::file(folder, "subscriptions", &tenant.id)),
            listed: world.folder().map(|folder| state::file(folder, "listed", &tenant.id)),
            only_looks: world.only_looks(),
            uris: Mutex::default(),
        })
    }

    /// The address of an operation.
    fn operation(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.api.url(&format!("{}/{path}", self.root));
        query.iter().for_each(|(name, value)| {
            url.query_pairs_mut().append_pair(name, value);
        });
        self.published(url)
    }

    /// An address with whose quota its request counts for, which the service leaves out of the addresses that it gives.
    fn published(&self, mut url: Url) -> Url {
        const NAME: &str = "PublisherIdentifier";
        if !url.query_pairs().any(|(name, _)| name.eq_ignore_ascii_case(NAME)) {
            url.query_pairs_mut().append_pair(NAME, &self.publisher);
        }
        url
    }

    /// The content types whose subscriptions are enabled, in lower case.
    async fn enabled(&self) -> Result<HashSet<String>, ServiceError> {
        let answer = self.api.json(Request::get(self.operation("subscriptions/list", &[]))).await?;
        let list = answer.body.as_array().cloned().unwrap_or_default();
        let enabled = list.iter().filter(|one| {
            // It may say nothing of its status.
            one.get("status").and_then(Value::as_str).is_none_or(|status| status.eq_ignore_ascii_case("enabled"))
        });
        Ok(enabled.filter_map(|one| one.get("contentType")?.as_str().map(plain)).collect())
    }

    /// When subscriptions were started by us that were not there yet: first and last, by their content types.
    fn starts(&self) -> BTreeMap<String, (i64, i64)> {
        let kept = self.started.as_deref().and_then(state::read);
        kept.and_then(|kept| serde_json::from_value(kept).ok()).unwrap_or_default()
    }

    /// Starts the subscriptions that are not enabled. Gives, by content type, when each was started by us first and last, and
    /// what went wrong.
    async fn subscribe(&self) -> Result<(BTreeMap<String, (i64, i64)>, Vec<(String, SourceError)>), ServiceError> {
        let enabled = self.enabled().await?;
        let mut starts = self.starts();
        let mut failures = Vec::new();
        let now = self.api.now();
        starts.retain(|name, (first, _)| !enabled.contains(name) || now.saturating_sub(*first) < FIRST_CONTENT);
        for name in self.content_types.iter().filter(|name| !enabled.contains(&plain(name))) {
            let is_recent =
                starts.get(&plain(name)).is_some_and(|(_, last)| (0..START_AGAIN).contains(&now.saturating_sub(*last)));
            if is_recent {
                continue;
            }
            if self.only_looks {
                failures.push((name.clone(), SourceError::for_now("its subscription is not started; an import starts it")));
                continue;
            }
            match self.start(name).await {
                // It is enabled, whatever the list said.
                Ok(()) => {}
                Err(error) if error.is_code("AF20024") => {}
                Err(error) => {
                    failures.push((name.clone(), self.advised(error)));
                    continue;
                }
            }
            self.note_start(name, &mut starts).await;
        }
        Ok((starts, failures))
    }

    async fn start(&self, content_type: &str) -> Result<(), ServiceError> {
        let url = self.operation("subscriptions/start", &[("contentType", content_type)]);
        self.api.json(Request::post(url)).await?;
        tracing::info!(content_type, "subscription started; its first content may take 12 hours");
        Ok(())
    }

    async fn note_start(&self, content_type: &str, starts: &mut BTreeMap<String, (i64, i64)>) {
        let now = self.api.now();
        starts.entry(plain(content_type)).or_insert((now, now)).1 = now;
        if let Some(file) = &self.started {
            state::write(file.clone(), json!(starts)).await;
        }
    }

    /// Starts subscriptions that the service calls enabled in its list, and not there when it is asked for what they have.
    async fn start_again(&self, content_types: HashSet<&str>, starts: &mut BTreeMap<String, (i64, i64)>) {
        let now = self.api.now();
        let is_recent = |last: i64| (0..START_AGAIN).contains(&now.saturating_sub(last));
        for name in content_types {
            if self.only_looks || starts.get(&plain(name)).is_some_and(|(_, last)| is_recent(*last)) {
                continue;
            }
            match self.start(name).await {
                Ok(()) => self.note_start(name, starts).await,
                // What was reported stays true.
                Err(error) => tracing::warn!(content_type = name, %error, "the subscription cannot be started again"),
            }
        }
    }

    /// All blobs that became available in a window.
    async fn window(&self, window: Window<'_>) -> Result<Vec<Blob>, ServiceError> {
        let mut restarts = 0;
        let (mut start, mut end) = (window.from, window.to);
        'whole: loop {
            let (from, to) = (second(start), second(end));
            let query = [("contentType", window.content_type), ("startTime", from.as_str()), ("endTime", to.as_str())];
            let (mut blobs, mut next, mut seen) = (Vec::new(), self.operation("subscriptions/content", &query), HashSet::new());
            loop {
                let broken = |why: &str| ServiceError::new(self.api.service(), Failure::Broken, why);
                if !seen.insert(next.to_string()) || seen.len() > MAX_PAGES {
                    return Err(broken("the pages of a listing lead to themselves"));
                }
                let answer = match self.api.json(Request::get(next.clone())).await {
                    // It no longer knows where it was.
                    Err(error) if error.is_code("AF20031") && seen.len() > 1 && restarts < RESTARTS => {
                        restarts += 1;
                        continue 'whole;
                    }
                    // Its oldest blobs may have gone while it was tried again.
                    Err(error) if is_of_window(&error) && start < earliest(self.api.now()) && restarts < RESTARTS => {
                        restarts += 1;
                        start = earliest(self.api.now());
                        continue 'whole;
                    }
                    // The second that has begun may count as the future.
                    Err(error) if is_of_window(&error) && end > self.api.now() && restarts < RESTARTS => {
                        restarts += 1;
                        end = self.api.now().div_euclid(SECOND) * SECOND;
                        if end <= start {
                            return Ok(Vec::new());
                        }
                        continue 'whole;
                    }
                    answer => answer?,
                };
                let page = answer.body.as_array().ok_or_else(|| broken("a page of a listing is no list"))?;
                for blob in page {
                    blobs.push(self.blob(blob).ok_or_else(|| broken("a listing has a blob without an id"))?);
                }
                let link = answer.header("NextPageUri").or_else(|| answer.header("NextPageUrl")).map(str::trim);
                let Some(link) = link.filter(|link| !link.is_empty()) else { return Ok(blobs) };
                let link = next.join(link).map_err(|_| broken("the next page of a listing has no address that can be read"))?;
                next = self.published(link);
            }
        }
    }

    fn blob(&self, listed: &Value) -> Option<Blob> {
        let text = |name: &str| listed.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let id = text("contentId")?;
        let uri = text("contentUri").unwrap_or_else(|| self.api.url(&format!("{}/audit/{id}", self.root)).to_string());
        let created = text("contentCreated").and_then(|text| instant::read(&text));
        let expires = text("contentExpiration").and_then(|text| instant::read(&text));
        Some(Blob { id, uri, expires: expires.or_else(|| created.map(|created| created.saturating_add(KEPT))) })
    }

    /// The windows of a content type: all that the service still has, none longer than it lists whole.
    fn windows<'a>(&self, content_type: &'a str, now: i64) -> Vec<Window<'a>> {
        // The second that has begun belongs to it.
        let end = (now.div_euclid(SECOND) + 1) * SECOND;
        let start = earliest(now);
        let mut windows = Vec::new();
        let mut to = end;
        while to > start {
            let from = (to - WINDOW).max(start);
            windows.push(Window { content_type, from, to });
            to = from;
        }
        windows
    }

    /// Until when content types were listed without a window that failed.
    fn listed_until(&self) -> BTreeMap<String, i64> {
        let kept = self.listed.as_deref().and_then(state::read);
        kept.and_then(|kept| serde_json::from_value(kept).ok()).unwrap_or_default()
    }

    /// Notes that content types were listed, all but some whole. Gives the stretches of time that were not listed while the
    /// service had them: the service keeps blobs for seven days, and no run may have come by for longer.
    async fn note_listed(&self, content_types: &[&str], failed: &HashSet<&str>, now: i64) -> Vec<ListedUnit> {
        let (mut until, earliest) = (self.listed_until(), earliest(now));
        let mut gaps = Vec::new();
        for &name in content_types {
            let before = until.get(&plain(name)).copied();
            if let Some(before) = before.filter(|before| *before < earliest) {
                gaps.push(gap::unit(&self.type_name(name), before, earliest));
            }
            match (failed.contains(name), before) {
                (false, _) => until.insert(plain(name), now),
                (true, Some(before)) => until.insert(plain(name), before.max(earliest)),
                (true, None) => None,
            };
        }
        if let Some(file) = self.listed.as_ref().filter(|_| !self.only_looks) {
            state::write(file.clone(), json!(until)).await;
        }
        gaps
    }

    async fn listing(&self) -> Result<UnitPage, SourceError> {
        let (mut starts, not_started) = self.subscribe().await.map_err(|error| self.advised(error))?;
        let now = self.api.now();
        let mut listing = UnitPage::default();
        let is_out = |name: &str| not_started.iter().any(|(other, _)| other == name);
        let types: Vec<&str> = self.content_types.iter().map(String::as_str).filter(|name| !is_out(name)).collect();
        let mut windows: Vec<Window<'_>> = types.iter().flat_map(|name| self.windows(name, now)).collect();
        // The oldest first: where the service throttles, what is nearest to its end is known, and counted, before it is gone.
        windows.sort_by_key(|window| window.from);
        let listings: Vec<BoxFuture<'_, _>> =
            windows.into_iter().map(|window| async move { (window, self.window(window).await) }.boxed()).collect();
        let mut listed = stream::iter(listings).buffered(LISTED_AT_ONCE);
        let mut uris = HashMap::new();
        let (mut reported, mut failed) = (HashSet::new(), HashSet::new());
        while let Some((window, blobs)) = listed.next().await {
            if blobs.is_err() {
                failed.insert(window.content_type);
            }
            let blobs = match blobs {
                Ok(blobs) => blobs,
                Err(error) if error.is_code("AF20022") || error.is_code("AF20023") => {
                    let since = starts.get(&plain(window.content_type)).map(|(first, _)| now.saturating_sub(*first));
                    let is_new = since.is_some_and(|since| (0..FIRST_CONTENT).contains(&since));
                    if is_new {
                        tracing::info!(content_type = window.content_type, "the subscription was started and is not ready yet");
                    } else if reported.insert(window.content_type) {
                        listing.failures.push((self.type_name(window.content_type), self.advised(error).reason));
                    }
                    continue;
                }
                Err(error) => {
                    let (from, to) = (second(window.from), second(window.to));
                    let name = format!("{}/{from}..{to}", self.type_name(window.content_type));
                    listing.failures.push((name, self.advised(error).reason));
                    continue;
                }
            };
            for Blob { id, uri, expires } in blobs {
                let name = format!("{}/{id}", self.type_name(window.content_type));
                // The same blob may be listed twice.
                if uris.insert(name.clone(), uri).is_none() {
                    listing.units.push(ListedUnit { name, stamp: Some(id), expires, ..ListedUnit::default() });
                }
            }
        }
        drop(listed);
        listing.units.extend(self.note_listed(&types, &failed, now).await);
        self.start_again(reported, &mut starts).await;
        let not_started = not_started.into_iter().map(|(name, error)| (self.type_name(&name), error.reason));
        listing.failures.extend(not_started);
        *self.uris.lock().unwrap_or_else(PoisonError::into_inner) = uris;
        Ok(listing)
    }

    fn type_name(&self, content_type: &str) -> String {
        format!("{}/{content_type}", self.stream)
    }

    async fn blob_body(&self, unit: &ListedUnit) -> Result<Body, SourceError> {
        if let Some(refusal) = gap::refusal(unit) {
            return Err(refusal);
        }
        let uri = self.uris.lock().unwrap_or_else(PoisonError::into_inner).get(&unit.name).cloned();
        let uri = uri.ok_or_else(|| SourceError::for_now("it was not listed in this run"))?;
        let url = Url::parse(&uri).map_err(|_| SourceError::for_now("its address cannot be read"))?;
        let request = Request::get(self.published(url)).cap(MAX_BLOB);
        let mut why = "";
        for tries in 1..=EMPTY_TRIES {
            if tries > 1 {
                self.api.pace().sleep(Duration::from_secs(u64::from(tries) * 2)).await;
            }
            let streamed = self.api.stream(request.clone()).await.map_err(|error| match error.code.as_deref() {
                Some("AF20051" | "AF20050") => SourceError { gone: true, ..self.advised(error) },
                _ => self.advised(error),
            })?;
            let is_empty = streamed.whole().is_some_and(|body| body.iter().all(|byte| b"[] \r\n\t".contains(byte)));
            why = match streamed.first() {
                Some(b'[') if !is_empty => return Ok(streamed.into_body()),
                Some(b'{') => "what came is no list of records, as every blob is; it is asked for again",
                _ => "the blob has no records, which the service never means; it is asked for again",
            };
        }
        Err(SourceError::for_now(why))
    }

    /// The error of a call, with what to do about it.
    fn advised(&self, error: ServiceError) -> SourceError {
        let advice = match error.code.as_deref() {
            Some("AF10001") => "give the application the permission ActivityFeed.Read (for DLP.All also ActivityFeed.ReadDlp)",
            Some("AF20010") => "the tenant's id is not the one that the application belongs to: check id and client_id",
            Some("AF20011" | "AF20013") => "check the tenant's id",
            Some("AF20020") => "check audit.content_types",
            Some("AF20022") => "there is no subscription for this content type; kqlake starts it again",
            Some("AF20023") => "the subscription was disabled; kqlake starts it again",
            Some("AF20050") => "the service does not have it any more",
            Some("AF20051") => "the service kept it for seven days, and does not have it any more",
            _ if KnownRefusal::of(&error) == Some(KnownRefusal::AuditingOff) => {
                "unified audit logging is off in the tenant: switch it on, which takes up to an hour"
            }
            _ => return error.into(),
        };
        let source = SourceError::from(error);
        SourceError { reason: format!("{}; {advice}", source.reason), ..source }
    }
}

/// The first second from which the service lists blobs.
fn earliest(now: i64) -> i64 {
    (now - KEPT + MARGIN).div_euclid(SECOND) * SECOND
}

/// True when the service says that a window is none that it lists.
fn is_of_window(error: &ServiceError) -> bool {
    error.is_code("AF20030") || error.is_code("AF20055")
}

/// An instant as the service wants it: to the second, and without a zone.
fn second(micros: i64) -> String {
    let mut text = instant::text(micros.div_euclid(SECOND) * SECOND);
    text.truncate(text.len() - 1);
    text
}

/// Services are not exact about the case of content types.
fn plain(content_type: &str) -> String {
    content_type.to_ascii_lowercase()
}

impl Source for Audit {
    fn stream(&self) -> &str {
        &self.stream
    }

    fn list(&self, _: Option<Value>) -> Reply<'_, UnitPage> {
        Box::pin(self.listing())
    }

    fn open<'s>(&'s self, unit: &'s ListedUnit) -> Reply<'s, Opened> {
        Box::pin(async move { Ok(Opened { body: self.blob_body(unit).await?, taken_at: None }) })
    }

    fn expiring_first(&self) -> bool {
        true
    }

    /// More than requests may be under way, so that none waits for a body that is read.
    fn parallel(&self) -> usize {
        OPENED_AT_ONCE
    }
}
