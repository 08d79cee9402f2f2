//! Call records: listed by the time at which calls began, fetched one by one with all their sessions.
//!
//! A record appears within hours after its call, and is written anew for a day or more, each time with a greater version. So the
//! days before are listed again in each run, and all that the service keeps once a day; only versions that are not in the lake are
//! fetched. What notifications said is fetched first: they are hints, and what they miss is found by listing.

pub(super) mod notified;
mod record;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use kqlake_import::{Body, ListedUnit, Opened, Reply, Source, SourceError, UnitPage};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use self::record::Record;
use super::gap;
use super::pages::Walk;
use super::seen::{Seen, readable};
use crate::api::Api;
use crate::cloud::Service;
use crate::http::{Request, ServiceError, path_part};
use crate::instant;
use crate::settings::Tenant;
use crate::world::{SetupError, World};
use kqlake_value::{US_PER_DAY as DAY, US_PER_HOUR as HOUR};

/// How long the service keeps a call (Graph's documentation of callRecord).
const KEPT: i64 = 30 * DAY;
/// The most that the older list of participants holds (Graph, `callRecord`).
const OLDER_LIST: usize = 130;
/// Days that are listed again in each run.
const AGAIN: i64 = 3 * DAY;
/// After so long everything that the service keeps is listed again.
const WHOLE: i64 = 20 * HOUR;
/// How often a call is begun again whose version rises while its sessions are read.
const TRIES: usize = 4;

/// How far the section is, as it is kept.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct SectionCursor {
    /// Calls that began before this instant were listed.
    until: i64,
    /// When everything was listed.
    whole: i64,
}

/// Where a listing goes on: the days that are left, and the position that is reached at their end.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Days {
    from: i64,
    to: i64,
    reaches: SectionCursor,
}

/// What the list says of a call.
#[derive(Deserialize)]
struct Head {
    id: String,
    #[serde(default)]
    version: Value,
    #[serde(rename = "startDateTime")]
    start: Option<String>,
    #[serde(rename = "endDateTime")]
    end: Option<String>,
}

#[derive(Deserialize)]
struct Heads<'p> {
    #[serde(borrow)]
    value: Vec<&'p RawValue>,
}

impl Head {
    /// What a list says of a call, where it says the call's id.
    fn of(text: &RawValue) -> Option<Self> {
        let head: Head = serde_json::from_str(text.get()).ok()?;
        Some(Head { id: readable(head.id)?, ..head })
    }
}

/// The calls of a tenant.
#[derive(Debug)]
pub(super) struct Calls {
    api: Api,
    stream: String,
    backfill: i64,
    /// True once the service has refused to give participants with a call: it is not asked so again.
    is_older: AtomicBool,
    /// The versions that came, by their units, as stamps: the list and a call itself may be of machines of which one is behind.
    came: Mutex<HashMap<String, String>>,
}

impl Calls {
    /// The calls of a tenant.
    ///
    /// # Errors
    /// The service has no address.
    pub(super) fn of(tenant: &Tenant, world: &World) -> Result<Self, SetupError> {
        let backfill = i64::from(tenant.calls.backfill_days).saturating_mul(DAY).min(KEPT);
        Ok(Calls {
            api: world.api(tenant, Service::Graph)?,
            stream: format!("{}/calls", tenant.name),
            backfill,
            is_older: AtomicBool::new(false),
            came: Mutex::default(),
        })
    }

    fn days(&self, after: Option<Value>) -> Days {
        let now = self.api.now();
        let cursor = after.unwrap_or_default();
        if let Ok(days) = Days::deserialize(&cursor) {
            return days;
        }
        let (first, kept) = (now - self.backfill, SectionCursor::deserialize(&cursor).ok());
        // What began since the last listing is listed whatever the first run looks back, as long as the service has it.
        let again = kept.map_or(first, |kept| kept.until.min(now).saturating_sub(AGAIN).max(now - KEPT));
        match kept {
            Some(kept) if now - kept.whole < WHOLE => {
                Days { from: again, to: now, reaches: SectionCursor { until: now, whole: kept.whole } }
            }
            _ => Days { from: first.min(again), to: now, reaches: SectionCursor { until: now, whole: now } },
        }
    }

    /// The stretch of time that was not listed while the service had it, when a listing begins.
    fn gap(&self, after: Option<&Value>) -> Option<ListedUnit> {
        let (kept, earliest) = (SectionCursor::deserialize(after?).ok()?, self.api.now() - KEPT);
        (kept.until < earliest).then(|| gap::unit(&self.stream, kept.until, earliest))
    }

    /// The calls of one day: those that are lost soonest come first.
    async fn page(&self, after: Option<Value>) -> Result<UnitPage, SourceError> {
        let gap = self.gap(after.as_ref());
        let days = self.days(after);
        let end = (days.from.div_euclid(DAY) * DAY + DAY).min(days.to);
        let filter = format!("startDateTime ge {} and startDateTime lt {}", instant::text(days.from), instant::text(end));
        let mut next = Some(self.api.url(&format!("v1.0/communications/callRecords?$filter={filter}")));
        let (mut calls, mut unread, mut walk) = (BTreeMap::new(), 0, Walk::default());
        while let Some(url) = next {
            let page = walk.page(&self.api, Request::get(url)).await?;
            let seen = Seen::of(&page.body);
            let heads: Heads<'_> =
                seen.parse().map_err(|error| SourceError::for_now(format!("the list of calls cannot be read: {error}")))?;
            for head in heads.value {
                let Some(head) = Head::of(head) else {
                    unread += 1;
                    continue;
                };
                let unit = self.unit(&head);
                calls.insert((unit.window.unwrap_or_default().0, head.id), unit);
            }
            next = page.next;
        }
        let is_last = end >= days.to;
        let unread = (unread > 0).then(|| {
            let day = format!("{}/{}", self.stream, instant::text(days.from));
            (day, format!("{unread} calls of the list have no id that can be read"))
        });
        Ok(UnitPage {
            units: gap.into_iter().chain(calls.into_values()).collect(),
            next: (!is_last).then(|| json!(Days { from: end, ..days })),
            cursor: is_last.then(|| json!(days.reaches)),
            failures: unread.into_iter().collect(),
            ..UnitPage::default()
        })
    }

    fn unit(&self, head: &Head) -> ListedUnit {
        let at = |text: &Option<String>| text.as_deref().and_then(instant::read);
        let start = at(&head.start);
        ListedUnit {
            name: format!("{}/{}", self.stream, head.id),
            stamp: (!head.version.is_null()).then(|| head.version.to_string()),
            window: start.map(|start| (start, at(&head.end).unwrap_or(start).max(start))),
            expires: start.map(|start| start + KEPT),
            ..ListedUnit::default()
        }
    }

    /// A call with all its sessions, none of which is of another version than the rest.
    async fn call(&self, call: &str) -> Result<Record, SourceError> {
        let id = path_part(call);
        let whole =
            self.api.url(&format!("v1.0/communications/callRecords/{id}?$expand=sessions($expand=segments),participants_v2"));
        // What services take that have the older list of participants alone.
        let older = self.api.url(&format!("v1.0/communications/callRecords/{id}?$expand=sessions($expand=segments)"));
        let head = self.api.url(&format!("v1.0/communications/callRecords/{id}"));
        for _ in 0..TRIES {
            let asked = if self.is_older.load(Ordering::Relaxed) { &older } else { &whole };
            let answer = match self.api.json_bytes(Request::get(asked.clone())).await {
                Err(error) if asked == &whole && matches!(error.status, Some(400 | 501)) => {
                    let answer = self.api.json_bytes(Request::get(older.clone())).await;
                    self.is_older.fetch_or(answer.is_ok(), Ordering::Relaxed);
                    answer
                }
                answer => answer,
            };
            let answer = answer.map_err(gone_if_missing)?;
            let mut record = record_of(call, &answer.body)?;
            let mut is_of_pages = false;
            // Participants stand apart where the record itself names none, or as many as the older list holds at most.
            for (member, path) in [("sessions", "sessions?$expand=segments"), ("participants_v2", "participants_v2")] {
                let link = record.link(member).map(|link| whole.join(&link)).transpose();
                let mut next = link.map_err(|_| SourceError::for_now(format!("the link to more {member} is none")))?;
                let is_unnamed = match member {
                    "participants_v2" => !record.has(member) && !(1..OLDER_LIST).contains(&record.count("participants")),
                    // They were asked for, and every call has one at least ("Group calls contain one or more session entities",
                    // Microsoft Graph, "Working with the call records API").
                    _ => !record.has(member),
                };
                if next.is_none() && is_unnamed {
                    next = Some(self.api.url(&format!("v1.0/communications/callRecords/{id}/{path}")));
                }
                let mut walk = Walk::default();
                while let Some(url) = next {
                    let page = match walk.page(&self.api, Request::get(url)).await {
                        // Older services do not have the members by themselves.
                        Err(error) if is_unnamed && is_missing(&error) => break,
                        page => page?,
                    };
                    record.extend(member, &page.body).map_err(unreadable)?;
                    is_of_pages |= member == "sessions";
                    next = page.next;
                }
            }
            if !is_of_pages {
                return Ok(record);
            }
            let now = self.api.json_bytes(Request::get(head.clone())).await.map_err(gone_if_missing)?;
            if record_of(call, &now.body)?.version() == record.version() {
                return Ok(record);
            }
        }
        Err(SourceError::for_now("the call is written anew while it is read; the next run reads it"))
    }
}

/// The record of a call in an answer. An answer that is another thing says nothing of the call, be it well formed.
fn record_of(call: &str, answer: &[u8]) -> Result<Record, SourceError> {
    let record = Record::read(answer).map_err(unreadable)?;
    match record.id() {
        Some(id) if id.eq_ignore_ascii_case(call) => Ok(record),
        _ => Err(SourceError::for_now(format!("what came is no record of the call {call}"))),
    }
}

fn unreadable(error: serde_json::Error) -> SourceError {
    SourceError::for_now(format!("the call cannot be read: {error}"))
}

fn is_missing(error: &ServiceError) -> bool {
    matches!(error.status, Some(400 | 404 | 501))
}

/// A call that the service has no longer never comes back.
fn gone_if_missing(error: ServiceError) -> SourceError {
    if matches!(error.status, Some(404 | 410)) { error.gone() } else { error.into() }
}

impl Source for Calls {
    fn stream(&self) -> &str {
        &self.stream
    }

    fn list(&self, after: Option<Value>) -> Reply<'_, UnitPage> {
        Box::pin(self.page(after))
    }

    fn open<'s>(&'s self, unit: &'s ListedUnit) -> Reply<'s, Opened> {
        Box::pin(async move {
            if let Some(refusal) = gap::refusal(unit) {
                return Err(refusal);
            }
            let id = unit.name.rsplit('/').next().unwrap_or_default();
            let record = self.call(id).await?;
            let version = record.version().unwrap_or_default().to_owned();
            self.came.lock().unwrap_or_else(PoisonError::into_inner).insert(unit.name.clone(), version);
            Ok(Opened { body: Body::Stream(Box::new(std::io::Cursor::new(record.into_text()))), taken_at: None })
        })
    }

    fn stamp_after(&self, unit: &ListedUnit) -> Option<String> {
        let came = self.came.lock().unwrap_or_else(PoisonError::into_inner).get(&unit.name).cloned();
        came.or_else(|| unit.stamp.clone())
    }
}
