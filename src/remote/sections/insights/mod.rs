//! Tables of Application Insights and Log Analytics, read by slices of time.
//!
//! A table has no list of what came since the last time, and records come up to two days late ("Azure Monitor limits"), so
//! a run reads again what is younger than that and what is new. A slice that is too large for one answer is cut in halves until
//! each fits: an answer that is not whole is never handed on.

mod answer;

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kqlake_durable::ScratchFolder;
use kqlake_import::{Body, ListedUnit, Opened, Reply, Source, SourceError, UnitPage};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::answer::Spooled;
use crate::api::Api;
use crate::cloud::Service;
use crate::http::{Failure, Request, ServiceError};
use crate::instant;
use crate::settings::{AppInsightsSettings, LogAnalyticsSettings, Tenant};
use crate::world::{SetupError, World};
use kqlake_value::{US_PER_DAY as DAY, US_PER_SECOND as SECOND};

/// How late records may come: a slice is read again until it is older.
const LATE: i64 = 2 * DAY;
/// The width of a slice before it is cut.
const SLICE: i64 = DAY;
/// The narrowest slice that is cut.
const NARROWEST: i64 = 2 * SECOND;
/// Bytes that an answer may have: more than the services give.
const CAP: u64 = 512 << 20;
/// How long a query may run, as the services allow it, and a little more for the way.
const PATIENCE: Duration = Duration::from_secs(630);
/// What asks a service for its longest run time.
const PREFER: &str = "wait=600";

/// How far a table is, as it is kept.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct SectionCursor {
    /// Rows before this instant were read at least once.
    until: i64,
    /// Rows from this instant on. Positions of earlier programs do not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<i64>,
}

/// What a slice has.
struct Fetched {
    /// The answers, in the order of time.
    answers: Vec<File>,
    /// Which parts have more rows than one answer may have, where there are such.
    lacks: Option<String>,
}

/// One table of a resource.
pub(super) struct Slices {
    api: Api,
    stream: String,
    path: String,
    table: String,
    /// The column of the table's times.
    time: &'static str,
    key: Option<SecretString>,
    /// How far back is read (microseconds).
    lookback: i64,
    /// Why no slice of the table can be fetched, once a slice was refused for it.
    refused: Mutex<Option<SourceError>>,
    scratch: ScratchFolder,
}

impl std::fmt::Debug for Slices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slices").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// The tables of a tenant's resources and workspaces.
///
/// # Errors
/// A service has no address; an id or a table's name is none.
pub(super) fn sources(tenant: &Tenant, world: &World) -> Result<Vec<Arc<dyn Source>>, SetupError> {
    let mut all: Vec<Slices> = Vec::new();
    if !tenant.app_insights.is_empty() {
        let api = world.api(tenant, Service::AppInsights)?;
        for set in &tenant.app_insights {
            all.extend(app_insights(&tenant.name, &api, set)?);
        }
    }
    if !tenant.log_analytics.is_empty() {
        let api = world.api(tenant, Service::LogAnalytics)?;
        for set in &tenant.log_analytics {
            all.extend(log_analytics(&tenant.name, &api, set)?);
        }
    }
    let of_world = |slices| Arc::new(Slices { scratch: world.scratch().clone(), ..slices }) as Arc<dyn Source>;
    Ok(all.into_iter().map(of_world).collect())
}

/// The tables of a resource of Application Insights.
fn app_insights(tenant: &str, api: &Api, set: &AppInsightsSettings) -> Result<Vec<Slices>, SetupError> {
    let path = format!("v1/apps/{}/query", resource(&set.app_id, "app_id")?);
    let slices = |table: &String| {
        Slices::new(
            api,
            format!("{tenant}/hits/{}", set.app_id),
            &path,
            table,
            "timestamp",
            set.api_key.clone(),
            set.lookback_days,
        )
    };
    set.tables.iter().map(slices).collect()
}

/// The tables of a workspace of Log Analytics.
fn log_analytics(tenant: &str, api: &Api, set: &LogAnalyticsSettings) -> Result<Vec<Slices>, SetupError> {
    let path = format!("v1/workspaces/{}/query", resource(&set.workspace_id, "workspace_id")?);
    let stream = format!("{tenant}/hits/{}", set.workspace_id);
    let slices = |table: &String| Slices::new(api, stream.clone(), &path, table, "TimeGenerated", None, set.lookback_days);
    set.tables.iter().map(slices).collect()
}

/// An id as it can stand in a path.
fn resource<'i>(id: &'i str, key: &str) -> Result<&'i str, SetupError> {
    let is_plain = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if is_plain { Ok(id) } else { Err(SetupError::new(format!("{key} = {id:?} is no id: it has letters, digits and dashes"))) }
}

impl Slices {
    fn new(
        api: &Api,
        resource: String,
        path: &str,
        table: &str,
        time: &'static str,
        key: Option<SecretString>,
        lookback_days: u32,
    ) -> Result<Self, SetupError> {
        if !table.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') || table.is_empty() {
            return Err(SetupError::new(format!("`{table}` is no name of a table: name one as `traces` or `AppTraces`")));
        }
        Ok(Slices {
            api: api.clone(),
            stream: format!("{resource}/{table}"),
            path: path.to_owned(),
            table: table.to_owned(),
            time,
            key,
            lookback: i64::from(lookback_days).saturating_mul(DAY),
            refused: Mutex::new(None),
            scratch: ScratchFolder::default(),
        })
    }

    /// The slices since the last run, and those before its first one that the lookback covers now.
    fn slices(&self, after: Option<&Value>) -> UnitPage {
        let now = self.api.now();
        let kept = after.and_then(|cursor| SectionCursor::deserialize(cursor).ok());
        let first = now.saturating_sub(self.lookback).div_euclid(SLICE) * SLICE;
        // A clock that was set back moves nothing.
        let from = kept.map_or(first, |kept| kept.until.min(now).saturating_sub(LATE)).div_euclid(SLICE) * SLICE;
        let begin = kept.is_none().then(|| SectionCursor { until: first.saturating_add(LATE), since: Some(first) });
        let unit = |start: i64, reaches: SectionCursor| ListedUnit {
            name: format!("{}/{}", self.stream, instant::day(start)),
            window: Some((start, (start + SLICE).min(now))),
            cursor: Some(json!(reaches)),
            ..ListedUnit::default()
        };
        // Of a position that does not say since when everything was read, that is not known.
        let since = kept.map_or(first, |kept| kept.since.unwrap_or(from).min(from));
        let mut units = Vec::new();
        let mut start = from;
        while start < now {
            units.push(unit(start, SectionCursor { until: (start + SLICE).min(now), since: Some(since) }));
            start += SLICE;
        }
        // The newest of them first: where it is cut off, the next run goes on before what was read.
        let mut end = since;
        while end > first {
            end -= SLICE;
            units.push(unit(end, SectionCursor { until: now, since: Some(end) }));
        }
        let reached = SectionCursor { until: now, since: Some(since.min(first)) };
        UnitPage { units, cursor: Some(json!(reached)), begin: begin.map(|begin| json!(begin)), ..UnitPage::default() }
    }

    fn request(&self, start: i64, end: i64) -> Request {
        let (from, to) = (instant::text(start), instant::text(end));
        let Slices { table, time, .. } = self;
        let query = format!("{table} | where {time} >= datetime({from}) and {time} < datetime({to}) | order by {time} asc");
        let body = json!({ "query": query, "timespan": format!("{from}/{to}") });
        let request = Request::post_json(self.api.url(&self.path), &body).header("prefer", PREFER).cap(CAP).patience(PATIENCE);
        match &self.key {
            Some(key) => request.key("x-api-key", key),
            None => request,
        }
    }

    /// What a slice has, in the order of time: one answer, or those of its parts. A part that is too large though it is narrow is
    /// left out.
    async fn fetch(&self, start: i64, end: i64) -> Result<Fetched, SourceError> {
        let (mut answers, mut open, mut lacks) = (Vec::new(), vec![(start, end)], Vec::new());
        while let Some((start, end)) = open.pop() {
            let between = || format!("between {} and {}", instant::text(start), instant::text(end));
            match self.answer(start, end).await? {
                Spooled::Whole(file, _) => answers.extend(file),
                Spooled::TooLarge(_) if end - start >= NARROWEST => {
                    let middle = start + (end - start) / 2;
                    open.extend([(middle, end), (start, middle)]);
                }
                Spooled::TooLarge(why) => lacks.push((between(), why)),
                Spooled::Partial(why) => {
                    let between = between();
                    return Err(SourceError::for_now(format!("{} {between}: the answer is not whole: {why}", self.table)));
                }
            }
        }
        let lacks = lacks.first().map(|(between, why)| {
            let more = if lacks.len() > 1 { format!(", and {} other parts", lacks.len() - 1) } else { String::new() };
            format!("{} {between}{more}: the answer is not whole, and the rows are left out: {why}", self.table)
        });
        // Where nothing came, the slice failed as a whole.
        match lacks {
            Some(why) if answers.is_empty() => Err(SourceError::for_now(why)),
            lacks => Ok(Fetched { answers, lacks }),
        }
    }

    /// The answer for a slice. One that is partial for no reason of size is asked for once more, and so is one without rows for a time
    /// that is not read again: services that are not well answer with none.
    async fn answer(&self, start: i64, end: i64) -> Result<Spooled, SourceError> {
        let first = self.once(start, end).await?;
        let is_last = end < self.api.now() - LATE;
        match first {
            Spooled::Partial(_) => self.once(start, end).await,
            Spooled::Whole(_, 0) if is_last => self.once(start, end).await,
            first => Ok(first),
        }
    }

    async fn once(&self, start: i64, end: i64) -> Result<Spooled, SourceError> {
        // A query that takes too long takes as long the next time: it is cut, not tried again.
        let streamed = match self.api.stream(self.request(start, end).once()).await {
            Err(error) if is_too_much(&error) => return Ok(Spooled::TooLarge(error.to_string())),
            Err(error) if error.is_transient() => {
                // When it may be asked again the service said, or the way there.
                self.api.pace().sleep(error.retry_after.unwrap_or_default()).await;
                self.api.stream(self.request(start, end)).await
            }
            other => other,
        };
        let streamed = match streamed {
            Err(error) if is_too_much(&error) => return Ok(Spooled::TooLarge(error.to_string())),
            Err(error) => return Err(self.refusal(error)),
            Ok(streamed) => streamed,
        };
        let Body::Stream(reader) = streamed.into_body() else {
            return Err(SourceError::for_now("the answer has no body that can be read"));
        };
        let scratch = self.scratch.clone();
        let spooled =
            tokio::task::spawn_blocking(move || answer::spool(reader, &scratch)).await.map_err(io::Error::from).flatten();
        spooled.map_err(|error| SourceError::for_now(format!("{}: {error}", self.table)))
    }

    /// A failure, remembered where it is that of all slices.
    fn refusal(&self, error: ServiceError) -> SourceError {
        let is_of_all = match error.failure {
            Failure::Unauthorized | Failure::Credential | Failure::Forbidden => true,
            Failure::Refused => matches!(error.status, Some(401 | 403 | 404)),
            _ => false,
        };
        let error = SourceError::from(error);
        if is_of_all {
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        }
        error
    }
}

/// The end of a body of which rows are left out: it breaks off with the reason, so that the slice is read again.
struct Lacking(String);

impl Read for Lacking {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other(self.0.clone()))
    }
}

/// Whether a failure says that less should be asked for.
fn is_too_much(error: &ServiceError) -> bool {
    error.failure == Failure::TooLarge || matches!(error.status, Some(413 | 504))
}

impl Source for Slices {
    fn stream(&self) -> &str {
        &self.stream
    }

    fn tiles(&self) -> bool {
        true
    }

    fn list(&self, after: Option<Value>) -> Reply<'_, UnitPage> {
        Box::pin(async move { Ok(self.slices(after.as_ref())) })
    }

    fn open<'s>(&'s self, unit: &'s ListedUnit) -> Reply<'s, Opened> {
        Box::pin(async move {
            if let Some(refused) = self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone() {
                return Err(refused);
            }
            let (start, end) = unit.window.unwrap_or_default();
            let Fetched { answers, lacks } = self.fetch(start, end).await?;
            let empty: Box<dyn Read + Send> = Box::new(io::empty());
            // Answers stand one a line.
            let after = |all: Box<dyn Read + Send>, file: File| -> Box<dyn Read + Send> {
                Box::new(all.chain(file).chain(Cursor::new(b"\n")))
            };
            let all = answers.into_iter().fold(empty, after);
            let body: Box<dyn Read + Send> = match lacks {
                Some(why) => Box::new(all.chain(Lacking(why))),
                None => all,
            };
            Ok(Opened { body: Body::Stream(body), taken_at: None })
        })
    }
}

#[cfg(test)]
mod tests;
