//! Message traces: by the hour in which messages were received, again and again until they stand still.
//!
//! Rows become visible within minutes, and are complete a day later; their status may change for longer. So an hour is read when
//! it begins, and then again after ever longer times: at least once when it is older than a day, and on while one of its messages
//! has no final status. What is read again lands only where it is new.

pub(super) mod details;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kqlake_import::{Body, ListedUnit, Opened, Reply, Source, SourceError, UnitPage};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use url::Url;

use super::pages::Chain;
use super::seen::{Seen, readable};
use crate::api::Api;
use crate::budget::RequestLimits;
use crate::cloud::Service;
use crate::http::{KnownRefusal, Request, ServiceError};
use crate::instant;
use crate::settings::{MessageTraceSettings, Tenant, TraceApi};
use crate::world::{SetupError, World};
use kqlake_value::{US_PER_DAY as DAY, US_PER_HOUR as HOUR, US_PER_MINUTE as MINUTE, US_PER_SECOND as SECOND};

/// The end of a window stays so far from the service's present: an end in the future is refused, and clocks are known to the second.
const CLEAR: i64 = 2 * SECOND;

/// The part of time that is read again as a whole.
const SLOT: i64 = HOUR;
/// The longest window of one unit.
const WINDOW: i64 = 6 * HOUR;
/// After this age an hour has all its messages.
const COMPLETE: i64 = 26 * HOUR;
/// An hour that is this old is not read for the statuses of its messages any more.
const FORGOTTEN: i64 = 10 * DAY;
/// An hour is read again after this part of its age, and at least so often.
const PART: i64 = 8;
const SELDOM: i64 = 6 * HOUR;
/// How far back Graph, and the reporting web service, go.
const GRAPH_KEEPS: i64 = 90 * DAY;
const REPORTING_KEEPS: i64 = 10 * DAY;
/// What a tenant may ask of Graph, for lists and details together (Graph's documentation of message traces, "Throttling").
const QUOTA: (u32, Duration) = (100, Duration::from_secs(300));
/// Rows that Graph is asked for in a page: the most.
const TOP: u32 = 5_000;
/// Statuses that change.
const OPEN: [&str; 3] = ["pending", "gettingstatus", "none"];

/// How far the section is, as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct SectionCursor {
    /// Messages received before this instant were read at least once.
    until: i64,
    /// The text whose change begins anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    reset: Option<String>,
    /// Hours by their beginnings that are read again.
    slots: BTreeMap<i64, Slot>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Slot {
    /// When it was read last.
    read: i64,
    /// Whether a message in it has a status that changes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    open: bool,
}

impl Slot {
    /// Whether an hour that ends at an instant is to be read again.
    fn is_due(self, end: i64, now: i64) -> bool {
        let wait = ((now - end).max(0) / PART).min(SELDOM);
        now - self.read >= wait
    }

    /// Whether an hour is never read again.
    fn is_settled(self, end: i64, now: i64) -> bool {
        let is_complete = self.read >= end + COMPLETE;
        is_complete && (!self.open || now - end >= FORGOTTEN)
    }
}

/// The messages of a tenant.
pub(super) struct Traces {
    api: Api,
    stream: String,
    set: MessageTraceSettings,
    /// How far it is, with what was read in this run.
    position: Mutex<SectionCursor>,
    /// The times that were read in this run, by their begins.
    read: Mutex<BTreeMap<i64, i64>>,
    /// When this run listed.
    listed: Mutex<i64>,
    /// Hours with statuses that change, by the unit that found them.
    open: Arc<Mutex<BTreeMap<String, BTreeSet<i64>>>>,
    /// Where units ended that began to be read before the service's clock was known.
    ends: Mutex<BTreeMap<String, i64>>,
}

impl std::fmt::Debug for Traces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Traces").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl Traces {
    /// The messages of a tenant.
    ///
    /// # Errors
    /// The service has no address.
    pub(super) fn of(tenant: &Tenant, world: &World) -> Result<Self, SetupError> {
        Ok(Traces {
            api: api_of(tenant, world)?,
            stream: format!("{}/messagetrace", tenant.name),
            set: tenant.message_trace.clone(),
            position: Mutex::default(),
            read: Mutex::default(),
            listed: Mutex::new(0),
            open: Arc::default(),
            ends: Mutex::default(),
        })
    }

    /// Where a run goes on: a position that is kept, unless it is another's; and whether there is none.
    fn begin(&self, after: Option<Value>, now: i64) -> (SectionCursor, bool) {
        let kept = after.and_then(|cursor| serde_json::from_value::<SectionCursor>(cursor).ok());
        let kept = kept.filter(|kept| kept.reset == self.set.reset_persistence_auth);
        let is_first = kept.is_none();
        let first = SectionCursor { until: first_time(&self.set, now), ..SectionCursor::default() };
        let mut position = kept.unwrap_or(first);
        position.reset.clone_from(&self.set.reset_persistence_auth);
        // Later runs go back to where the first one began, as far as the service does.
        let earliest = earliest_time(&self.set, now);
        position.until = position.until.max(earliest);
        position.slots.retain(|start, _| *start + SLOT > earliest);
        (position, is_first)
    }

    fn units(&self, after: Option<Value>) -> UnitPage {
        let now = self.api.now();
        let (mut position, is_first) = self.begin(after, now);
        let begin = if is_first { serde_json::to_value(&position).ok() } else { None };
        let delay = self.set.override_time_delay_in_seconds.unwrap_or(0);
        let end = now - CLEAR - i64::try_from(delay).unwrap_or(i64::MAX).saturating_mul(SECOND);
        position.slots.retain(|start, slot| !slot.is_settled(start + SLOT, now));
        let mut due: BTreeSet<i64> = BTreeSet::new();
        for (start, slot) in &position.slots {
            if slot.is_due(*start + SLOT, now) {
                due.insert(*start);
            }
        }
        let new = position.until.div_euclid(SLOT) * SLOT;
        let mut start = new;
        while start < end {
            due.insert(start);
            start += SLOT;
        }
        // Of an hour that the service keeps in part, that part is asked for.
        let known = position.until.min(position.slots.keys().next().copied().unwrap_or(i64::MAX));
        let first = known.max(earliest_time(&self.set, now));
        let mut units: Vec<ListedUnit> = Vec::new();
        for start in due {
            let slot_end = (start + SLOT).min(end);
            if slot_end <= start.max(first) {
                continue;
            }
            // A unit that could not be fetched has the same begin, which is its name, in the next run: units of time that is new do
            // not begin before it, and end at certain hours.
            let begins = start == new || start.rem_euclid(WINDOW) == 0;
            match units.last_mut().and_then(|unit| unit.window.as_mut()) {
                Some(window) if window.1 == start && !begins => window.1 = slot_end,
                _ => units.push(ListedUnit { window: Some((start.max(first), slot_end)), ..ListedUnit::default() }),
            }
        }
        for unit in &mut units {
            unit.name = format!("{}/{}", self.stream, instant::text(unit.window.unwrap_or_default().0));
            // The cursor is made when the unit was read; see `cursor_after`.
            unit.cursor = Some(Value::Null);
        }
        *self.listed.lock().unwrap_or_else(PoisonError::into_inner) = now;
        *self.position.lock().unwrap_or_else(PoisonError::into_inner) = position;
        self.read.lock().unwrap_or_else(PoisonError::into_inner).clear();
        UnitPage { units, begin, ..UnitPage::default() }
    }
}

/// The service of a tenant's traces. Lists and details share its quotas.
///
/// # Errors
/// The service has no address.
fn api_of(tenant: &Tenant, world: &World) -> Result<Api, SetupError> {
    let set = &tenant.message_trace;
    let api = match set.api {
        TraceApi::Graph => {
            let quota = RequestLimits::of(QUOTA.0, QUOTA.1, 1).kept();
            world.api(tenant, Service::Graph)?.limited("message-trace", quota)
        }
        TraceApi::Reporting => world.api(tenant, Service::Reporting)?,
    };
    Ok(api.limited("message-trace-rate", RequestLimits::of(set.requests_per_second, Duration::from_secs(1), 1)))
}

/// Looks whether messages may be read, by those of one second a day ago: no token tells of the service principal that Graph needs, nor
/// of the role that the reporting web service does. It is one of the requests that the service allows in 5 minutes.
///
/// # Errors
/// They may not, or the service does not answer. `None` where it has no address.
pub async fn check_message_trace(tenant: &Tenant, world: &World, patience: Duration) -> Option<Result<(), ServiceError>> {
    let api = api_of(tenant, world).ok()?;
    let at = (api.now() - DAY).div_euclid(SECOND) * SECOND;
    let asked = api.bytes(first_page(&api, &tenant.message_trace, at, at + SECOND).once().patience(patience)).await;
    Some(asked.map(drop))
}

/// How long the service keeps a message.
fn keeps(set: &MessageTraceSettings) -> i64 {
    if set.api == TraceApi::Graph { GRAPH_KEEPS } else { REPORTING_KEEPS }
}

/// Where the service begins, with the margin that is asked for.
fn earliest_time(set: &MessageTraceSettings, now: i64) -> i64 {
    now - keeps(set) + margin(set).min(keeps(set))
}

fn margin(set: &MessageTraceSettings) -> i64 {
    i64::try_from(set.max_historic_date_margin_seconds).unwrap_or(i64::MAX).saturating_mul(SECOND)
}

/// Where the first look begins.
fn first_time(set: &MessageTraceSettings, now: i64) -> i64 {
    let back = i64::from(set.max_historic_date_cutoff_days_back).saturating_mul(DAY).min(keeps(set));
    now - back + margin(set).min(back)
}

/// The messages received in a time; both ends belong to it.
fn first_page(api: &Api, set: &MessageTraceSettings, start: i64, end: i64) -> Request {
    let (from, to) = (instant::text(start), instant::text(end));
    let url = match set.api {
        TraceApi::Graph => api.url(&format!(
            "v1.0/admin/exchange/tracing/messageTraces?$filter=receivedDateTime ge {from} and receivedDateTime le {to}&$top={TOP}"
        )),
        TraceApi::Reporting => api.url(&format!(
            "ecp/reportingwebservice/reporting.svc/MessageTrace?$filter=StartDate eq datetime'{from}' and EndDate eq datetime'{to}'&$format=Json"
        )),
    };
    request(url)
}

fn request(url: Url) -> Request {
    // Without it Graph hides statuses that it learned later.
    Request::get(url).header("accept", "application/json").header("prefer", "include-unknown-enum-members")
}

/// What is looked at of a row.
#[derive(Deserialize)]
struct Row {
    #[serde(alias = "MessageTraceId")]
    id: Option<String>,
    #[serde(alias = "recipientAddress", alias = "RecipientAddress")]
    recipient: Option<String>,
    #[serde(alias = "receivedDateTime", alias = "Received")]
    received: Option<String>,
    #[serde(alias = "Status")]
    status: Option<String>,
}

impl Row {
    /// The message, its recipient, and when it was received, where the row says all of it.
    fn known(&self) -> Option<(&str, &str, i64)> {
        Some((readable(self.id.as_deref()?)?, readable(self.recipient.as_deref()?)?, instant::read(self.received.as_deref()?)?))
    }
}

#[derive(Deserialize)]
struct Rows<'p> {
    #[serde(borrow, default)]
    value: Vec<&'p RawValue>,
    #[serde(borrow)]
    d: Option<Results<'p>>,
}

#[derive(Deserialize)]
struct Results<'p> {
    #[serde(borrow, default)]
    results: Vec<&'p RawValue>,
}

/// The rows of a page. What cannot be read as one is left out: who reads the page's records tells of it.
fn rows_of(page: &[u8]) -> Vec<Row> {
    let seen = Seen::of(page);
    let Ok(rows) = seen.parse::<Rows<'_>>() else { return Vec::new() };
    let all = rows.value.into_iter().chain(rows.d.into_iter().flat_map(|d| d.results));
    all.filter_map(|row| serde_json::from_str(row.get()).ok()).collect()
}

/// True for a status that changes.
fn is_open(status: &str) -> bool {
    OPEN.iter().any(|open| status.eq_ignore_ascii_case(open))
}

/// Hours in which a page has messages whose status changes.
fn open_slots(page: &[u8]) -> Vec<i64> {
    let is_open = |row: &Row| is_open(row.status.as_deref().unwrap_or_default());
    let open = rows_of(page).into_iter().filter(is_open);
    open.filter_map(|row| instant::read(&row.received?)).map(|at| at.div_euclid(SLOT) * SLOT).collect()
}

impl Source for Traces {
    fn stream(&self) -> &str {
        &self.stream
    }

    fn tiles(&self) -> bool {
        true
    }

    fn list(&self, after: Option<Value>) -> Reply<'_, UnitPage> {
        Box::pin(async move { Ok(self.units(after)) })
    }

    fn open<'s>(&'s self, unit: &'s ListedUnit) -> Reply<'s, Opened> {
        Box::pin(async move {
            let (start, end) = unit.window.unwrap_or_default();
            let (name, open) = (unit.name.clone(), Arc::clone(&self.open));
            let each = move |page: &[u8]| {
                let found = open_slots(page);
                open.lock().unwrap_or_else(PoisonError::into_inner).entry(name.clone()).or_default().extend(found);
            };
            // What is asked for now is newer than what was asked for before, whatever the status.
            let taken_at = Some(self.api.now());
            let first = first_page(&self.api, &self.set, start, end);
            // Times that are complete are not read again.
            let is_old = end < self.api.now() - DAY;
            let mut chain = if is_old { Chain::begin_full(&self.api, first).await } else { Chain::begin(&self.api, first).await };
            // The answer says what time it is for the service: our own clock may be ahead of it.
            let said = chain.as_ref().err().and_then(|error| error.date).map(|date| date.saturating_mul(SECOND));
            let present = said.unwrap_or(i64::MAX).min(self.api.now()) - CLEAR;
            if present < end && chain.as_ref().is_err_and(|error| error.status == Some(400)) {
                self.ends.lock().unwrap_or_else(PoisonError::into_inner).insert(unit.name.clone(), present.max(start));
                if present <= start {
                    return Ok(Opened { body: Body::Stream(Box::new(io::empty())), taken_at });
                }
                chain = Chain::begin(&self.api, first_page(&self.api, &self.set, start, present)).await;
            }
            let chain = chain.map_err(advised)?.with_request(request);
            Ok(Opened { body: chain.into_body(each), taken_at })
        })
    }

    fn cursor_after(&self, unit: &ListedUnit) -> Option<Value> {
        let (start, end) = unit.window?;
        let end = self.ends.lock().unwrap_or_else(PoisonError::into_inner).remove(&unit.name).unwrap_or(end);
        let read = (*self.listed.lock().unwrap_or_else(PoisonError::into_inner)).min(self.api.now());
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&unit.name).unwrap_or_default();
        let mut position = self.position.lock().unwrap_or_else(PoisonError::into_inner);
        let mut slot = start.div_euclid(SLOT) * SLOT;
        while slot < end {
            position.slots.insert(slot, Slot { read, open: open.contains(&slot) });
            slot += SLOT;
        }
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.entry(start).and_modify(|known| *known = end.max(*known)).or_insert(end);
        // Not beyond a time that was not read, be it that a later one was.
        for (start, end) in &*read {
            if *start <= position.until {
                position.until = position.until.max(*end);
            }
        }
        serde_json::to_value(&*position).ok()
    }
}

/// What to do about a refusal that is known by its words.
fn advice(refusal: KnownRefusal) -> Option<&'static str> {
    match refusal {
        KnownRefusal::MissingServicePrincipal => Some(
            "the tenant lacks the service principal of message traces: POST /v1.0/servicePrincipals \
             {\"appId\":\"8bd644d1-64a1-4d4b-ae52-2e0cbf64e373\"}, and wait some hours",
        ),
        KnownRefusal::MissingRole => Some("the application needs the role Global Reader or Security Reader"),
        KnownRefusal::AuditingOff => None,
    }
}

/// The error of a call, with what to do about it where the service does not say it.
fn advised(error: ServiceError) -> SourceError {
    let advice = KnownRefusal::of(&error).and_then(advice);
    let source = SourceError::from(error);
    match advice {
        Some(advice) => SourceError { reason: format!("{}; {advice}", source.reason), ..source },
        None => source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Failure;
    use crate::testing::{NOW, Server, reply, tenant, world};

    #[test]
    fn refusals_come_with_what_to_do_about_them() {
        let error = |message: &str| ServiceError::new(Service::Graph, Failure::Refused, message.to_owned());
        let said = advised(error("Service Principal-less authentication failed")).reason;
        assert!(said.contains("POST /v1.0/servicePrincipals"), "{said}");
        let said = advised(error("No permission to access the report for the organization.")).reason;
        assert!(said.contains("Global Reader"), "{said}");
    }

    #[test]
    fn an_hour_is_read_until_it_is_complete_and_its_statuses_are_final() {
        let end = 100 * HOUR;
        let slot = |read, open| Slot { read, open };
        assert!(slot(end - MINUTE, false).is_due(end, end));
        assert!(!slot(end + 8 * HOUR, false).is_due(end, end + 8 * HOUR + MINUTE));
        assert!(slot(end + 8 * HOUR, false).is_due(end, end + 10 * HOUR));
        assert!(!slot(end + 20 * HOUR, false).is_settled(end, end + 60 * HOUR));
        assert!(slot(end + 27 * HOUR, false).is_settled(end, end + 27 * HOUR));
        assert!(!slot(end + 27 * HOUR, true).is_settled(end, end + 27 * HOUR));
        assert!(slot(end + 27 * HOUR, true).is_settled(end, end + 11 * DAY));
    }

    #[test]
    fn open_statuses_are_found_in_both_services_rows() {
        let graph = br#"{"value":[{"status":"delivered","receivedDateTime":"2026-01-05T00:10:13.1357913Z"},{"status":"gettingStatus","receivedDateTime":"2026-01-05T02:10:13Z"}]}"#;
        assert_eq!(open_slots(graph), [1_767_578_400 * SECOND]);
        let reporting = br#"{"d":{"results":[{"Status":"Pending","Received":"2026-01-05T00:10:13.1357913"}]}}"#;
        assert_eq!(open_slots(reporting), [1_767_571_200 * SECOND]);
        assert!(open_slots(b"{").is_empty());
        // A row that cannot be read, and one with bytes that are no text, hide none.
        let odd = b"{\"value\":[{\"status\":5},{\"subject\":\"\xe9\",\"status\":\"pending\",\"receivedDateTime\":\"2026-01-05T02:10:13Z\"}]}";
        assert_eq!(open_slots(odd), [1_767_578_400 * SECOND]);
    }

    #[tokio::test]
    async fn a_first_run_that_was_cut_off_goes_on_where_it_began() {
        let traces = Traces::of(&tenant(&"http://127.0.0.1:9".parse().unwrap()), &world()).unwrap();
        let names = |listing: &UnitPage| listing.units.iter().map(|unit| unit.name.clone()).collect::<Vec<_>>();
        let first = traces.list(None).await.unwrap();
        let again = traces.list(first.begin.clone()).await.unwrap();
        assert!(first.begin.is_some() && again.begin.is_none());
        assert_eq!(names(&again), names(&first));
        // A day later: the first run looked back ten days from then.
        let begin = SectionCursor { until: NOW - 11 * DAY + 7, ..SectionCursor::default() };
        let later = traces.list(serde_json::to_value(begin).ok()).await.unwrap();
        assert_eq!(later.units[0].window.map(|window| window.0), Some(NOW - 11 * DAY + 7));
        assert!(names(&first)[1..].iter().all(|name| names(&later).contains(name)), "{first:?} {later:?}");
    }

    #[tokio::test]
    async fn of_an_hour_that_the_service_keeps_in_part_that_part_is_asked_for() {
        let mut tenant = tenant(&"http://127.0.0.1:9".parse().unwrap());
        tenant.message_trace.api = TraceApi::Reporting;
        let traces = Traces::of(&tenant, &world()).unwrap();
        let open = Slot { read: NOW - DAY, open: true };
        let begin = SectionCursor { until: NOW, slots: BTreeMap::from([(NOW - 10 * DAY, open)]), ..SectionCursor::default() };
        let units = traces.list(serde_json::to_value(begin).ok()).await.unwrap().units;
        let windows: Vec<_> = units.iter().filter_map(|unit| unit.window).collect();
        assert_eq!(windows, [(NOW - 10 * DAY + 60 * SECOND, NOW - 10 * DAY + HOUR)]);
    }

    #[tokio::test]
    async fn a_time_that_was_not_read_is_not_passed() {
        let traces = Traces::of(&tenant(&"http://127.0.0.1:9".parse().unwrap()), &world()).unwrap();
        let begin = SectionCursor { until: NOW - DAY, ..SectionCursor::default() };
        let units = traces.list(serde_json::to_value(begin).ok()).await.unwrap().units;
        let until =
            |unit: &ListedUnit| serde_json::from_value::<SectionCursor>(traces.cursor_after(unit).unwrap()).unwrap().until;
        assert_eq!(units.len(), 4);
        assert_eq!(until(&units[1]), NOW - DAY);
        assert_eq!(until(&units[0]), NOW - DAY / 2);
        assert_eq!(until(&units[3]), NOW - DAY / 2);
        assert_eq!(until(&units[2]), NOW - CLEAR);
    }

    /// Our clock says midnight of 2026-01-12, and the service's 23:00: it refuses windows that end later, and says what time it is.
    #[tokio::test]
    async fn a_window_ends_at_the_service_s_present_where_our_clock_is_ahead() {
        let server = Server::start(|asked, _| {
            let date = "Date: Sun, 11 Jan 2026 23:00:00 GMT\r\nContent-Type: application/json\r\n";
            if asked.line.contains("2026-01-11T23:59:58Z") {
                return reply(400, date, r#"{"error":{"code":"BadRequest","message":"The end cannot be in the future."}}"#);
            }
            reply(200, date, r#"{"value":[]}"#)
        });
        // Of the last half hour nothing is past yet; of the last two hours one is.
        for (back, until) in [(HOUR / 2, NOW - HOUR / 2), (2 * HOUR, NOW - HOUR - CLEAR)] {
            let traces = Traces::of(&tenant(&server.base), &world()).unwrap();
            let position = serde_json::to_value(SectionCursor { until: NOW - back, ..SectionCursor::default() }).unwrap();
            let unit = traces.list(Some(position)).await.unwrap().units.remove(0);
            assert_eq!(unit.window, Some((NOW - back, NOW - CLEAR)));
            assert!(traces.open(&unit).await.is_ok());
            let kept: SectionCursor = serde_json::from_value(traces.cursor_after(&unit).unwrap()).unwrap();
            assert_eq!(kept.until, until);
        }
    }
}
