//! What happened to single messages: the steps of each message and recipient whose status asks for them.
//!
//! Each takes a request of its own, out of the quota of the lists: a run makes so many and leaves the others for the next ones,
//! which the ledger shows as pending. The messages of the last day are listed in each run, since their statuses change; a message
//! is asked for when its status is final, and again only when another one is.

use std::io::Cursor;
use std::sync::atomic::{AtomicU32, Ordering};

use kqlake_import::{Body, ListedUnit, Opened, Reply, Source, SourceError, UnitPage};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{
    CLEAR, COMPLETE, FORGOTTEN, MINUTE, SECOND, WINDOW, advised, api_of, first_page, first_time, is_open, keeps, request, rows_of,
};
use crate::api::Api;
use crate::http::{Request, ServiceError, path_part};
use crate::instant;
use crate::sections::pages::{Chain, Walk};
use crate::sections::seen::Seen;
use crate::settings::{MessageTraceSettings, Tenant, TraceApi};
use crate::world::{SetupError, World};

/// How far the details are, as it is kept; and while messages are listed, where that goes on.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct SectionCursor {
    /// Messages received before this instant need nothing more.
    from: i64,
    /// The text whose change begins anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reset: Option<String>,
    /// The time that is still to be listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    left: Option<(i64, i64)>,
}

/// The details of a tenant's messages.
#[derive(Debug)]
pub(in crate::sections) struct Details {
    api: Api,
    stream: String,
    set: MessageTraceSettings,
    /// Messages that this run asked for.
    asked: AtomicU32,
}

impl Details {
    /// The details of a tenant's messages.
    ///
    /// # Errors
    /// The service has no address.
    pub(in crate::sections) fn of(tenant: &Tenant, world: &World) -> Result<Self, SetupError> {
        let set = tenant.message_trace.clone();
        let stream = format!("{}/messagetrace/details", tenant.name);
        Ok(Details { api: api_of(tenant, world)?, stream, set, asked: AtomicU32::new(0) })
    }

    fn begin(&self, after: Option<Value>) -> (SectionCursor, i64, i64, bool) {
        let now = self.api.now();
        let kept = after.and_then(|cursor| serde_json::from_value::<SectionCursor>(cursor).ok());
        let kept = kept.filter(|kept| kept.reset == self.set.reset_persistence_auth);
        let reset = self.set.reset_persistence_auth.clone();
        let is_first = kept.is_none();
        let mut position = kept.unwrap_or_else(|| SectionCursor { from: first_time(&self.set, now), reset, left: None });
        let (start, end) = position.left.take().unwrap_or_else(|| {
            // What is pending is listed until the service has it no longer.
            position.from = position.from.max(now - keeps(&self.set) + MINUTE);
            (position.from, now - CLEAR)
        });
        (position, start, end, is_first)
    }

    /// The messages of one window.
    async fn page(&self, after: Option<Value>) -> Result<UnitPage, SourceError> {
        let (mut position, start, end, is_first) = self.begin(after);
        let begin = is_first.then(|| json!(position));
        let mut stop = end.min(start + WINDOW);
        let mut units = Vec::new();
        let mut waits = false;
        let mut refused_at = None;
        if start < stop {
            let mut rows = self.rows(start, stop).await;
            // A refusal says what time it is for the service: our own clock may be ahead of it.
            let refused = rows.as_ref().err().filter(|error| error.status == Some(400)).and_then(|error| error.date);
            refused_at = refused.map(|date| date.saturating_mul(SECOND) - CLEAR).filter(|present| *present < stop);
            if let Some(present) = refused_at {
                stop = present.max(start);
                rows = if start < stop { self.rows(start, stop).await } else { Ok(Vec::new()) };
            }
            for row in rows.map_err(advised)? {
                let Some((id, recipient, received)) = row.known() else { continue };
                // Both ends belong to what is asked for.
                if !(start..stop).contains(&received) {
                    continue;
                }
                let status = row.status.as_deref().unwrap_or_default();
                if is_open(status) && self.api.now() - received < FORGOTTEN {
                    waits = true;
                } else if self.set.details.takes(status) {
                    units.push(ListedUnit {
                        name: format!("{}/{id}/{recipient}", self.stream),
                        stamp: Some(status.to_ascii_lowercase()),
                        window: Some((received, received)),
                        expires: Some(received + keeps(&self.set)),
                        ..ListedUnit::default()
                    });
                }
            }
        }
        units.sort_by(|a, b| (a.window, &a.name).cmp(&(b.window, &b.name)));
        units.dedup_by(|a, b| a.name == b.name);
        if !waits && position.from == start && stop <= self.api.now() - COMPLETE {
            position.from = stop;
        }
        let goes_on = stop < end && stop > start && refused_at.is_none();
        let next = goes_on.then(|| json!(SectionCursor { left: Some((stop, end)), ..position.clone() }));
        Ok(UnitPage { units, next, cursor: Some(json!(position)), begin, ..UnitPage::default() })
    }

    async fn rows(&self, start: i64, stop: i64) -> Result<Vec<super::Row>, ServiceError> {
        let mut next = Some(first_page(&self.api, &self.set, start, stop));
        let (mut rows, mut walk) = (Vec::new(), Walk::default());
        while let Some(asked) = next {
            let page = walk.page(&self.api, asked).await?;
            // A page was looked at when it came: what is no row in it is the traces' to tell of.
            rows.extend(rows_of(&page.body));
            next = page.next.map(request);
        }
        Ok(rows)
    }

    fn request(&self, id: &str, recipient: &str, received: i64) -> Request {
        let quoted = recipient.replace('\'', "''");
        let url = match self.set.api {
            TraceApi::Graph => self.api.url(&format!(
                "v1.0/admin/exchange/tracing/messageTraces/{}/getDetailsByRecipient(recipientAddress='{}')",
                path_part(id),
                path_part(&quoted)
            )),
            TraceApi::Reporting => {
                let (from, to) = (instant::text(received), instant::text(received + CLEAR));
                let mut url = self.api.url("ecp/reportingwebservice/reporting.svc/MessageTraceDetail");
                let filter = format!(
                    "MessageTraceId eq guid'{id}' and RecipientAddress eq '{quoted}' and StartDate eq datetime'{from}' and \
                     EndDate eq datetime'{to}'"
                );
                url.query_pairs_mut().append_pair("$filter", &filter).append_pair("$format", "Json");
                url
            }
        };
        request(url)
    }

    /// The steps of one message and recipient, as pages that name both.
    async fn steps(&self, id: &str, recipient: &str, received: i64) -> Result<Vec<u8>, SourceError> {
        let of_service = |error: ServiceError| match error.status {
            Some(404 | 410) => error.gone(),
            _ => advised(error),
        };
        let chain = Chain::begin(&self.api, self.request(id, recipient, received)).await.map_err(of_service)?;
        let mut text = Vec::new();
        chain.with_request(request).collect(&mut text).await.map_err(of_service)?;
        if self.set.api == TraceApi::Reporting {
            return Ok(text);
        }
        let context = format!(
            "#admin/exchange/tracing/messageTraces('{id}')/getDetailsByRecipient(recipientAddress='{}')",
            // What would end it, or stand for another character, is encoded.
            recipient.replace('%', "%25").replace('\'', "%27")
        );
        let mut named = Vec::new();
        let seen = Seen::of(&text);
        for page in serde_json::Deserializer::from_str(seen.text()).into_iter::<Steps<'_>>() {
            let page = page.map_err(|error| SourceError::for_now(format!("the message's steps cannot be read: {error}")))?;
            let steps: Vec<&[u8]> = page.value.iter().map(|step| seen.came(step.get())).collect();
            named.extend_from_slice(format!("{{\"@odata.context\":{},\"value\":[", Value::from(context.as_str())).as_bytes());
            named.extend_from_slice(&steps.join(&b","[..]));
            named.extend_from_slice(b"]}\n");
        }
        Ok(named)
    }
}

#[derive(Deserialize)]
struct Steps<'p> {
    #[serde(borrow)]
    value: Vec<&'p RawValue>,
}

impl Source for Details {
    fn stream(&self) -> &str {
        &self.stream
    }

    fn list(&self, after: Option<Value>) -> Reply<'_, UnitPage> {
        Box::pin(self.page(after))
    }

    fn open<'s>(&'s self, unit: &'s ListedUnit) -> Reply<'s, Opened> {
        Box::pin(async move {
            if self.asked.fetch_add(1, Ordering::Relaxed) >= self.set.details_per_run {
                return Err(SourceError::later());
            }
            let below = unit.name.strip_prefix(self.stream.as_str()).unwrap_or_default();
            let (id, recipient) = below.trim_start_matches('/').split_once('/').unwrap_or_default();
            let received = unit.window.unwrap_or_default().0;
            let steps = self.steps(id, recipient, received).await?;
            Ok(Opened { body: Body::Stream(Box::new(Cursor::new(steps))), taken_at: None })
        })
    }

    fn parallel(&self) -> usize {
        // The quota takes one after the other.
        2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::TraceDetails;
    use crate::testing::{NOW, Server, json, tenant, world};

    const HOUR: i64 = 60 * MINUTE;

    fn row(id: &str, hours_ago: i64, status: &str) -> String {
        let received = instant::text(NOW - hours_ago * HOUR);
        format!(r#"{{"id":"{id}","recipientAddress":"o'b@x.example","receivedDateTime":"{received}","status":"{status}"}}"#)
    }

    /// A run's listing to its end: the units with their stamps, and the cursor behind them.
    async fn listed(details: &Details, kept: Option<Value>) -> (Vec<String>, SectionCursor) {
        let (mut after, mut units) = (kept, Vec::new());
        loop {
            let listing = details.page(after).await.unwrap();
            let name = |unit: ListedUnit| format!("{} {}", unit.name, unit.stamp.unwrap_or_default());
            units.extend(listing.units.into_iter().map(name));
            match listing.next {
                Some(next) => after = Some(next),
                None => return (units, serde_json::from_value(listing.cursor.unwrap()).unwrap()),
            }
        }
    }

    #[tokio::test]
    async fn messages_are_asked_for_when_their_status_is_final_and_is_one_that_is_wanted() {
        let server = Server::start(|asked, _| {
            if asked.line.contains("getDetailsByRecipient") {
                return json(
                    r##"{"@odata.context":"#own","value":[{"id":"s","event":"Fail","dateTime":"2026-01-11T00:00:00Z"}]}"##,
                );
            }
            // All rows in each answer: those outside of the window that was asked for are of other units.
            let rows = [row("a", 60, "failed"), row("b", 40, "pending"), row("c", 30, "Failed"), row("d", 2, "delivered")];
            json(&format!("{{\"value\":[{}]}}", rows.join(",")))
        });
        let mut tenant = tenant(&server.base);
        tenant.message_trace.details = TraceDetails::Of(vec!["failed".to_owned()]);
        tenant.message_trace.details_per_run = 1;
        let details = Details::of(&tenant, &world()).unwrap();
        let (units, position) = listed(&details, None).await;
        let name = |id: &str| format!("contoso/messagetrace/details/{id}/o'b@x.example");
        assert_eq!(units, [format!("{} failed", name("a")), format!("{} failed", name("c"))]);
        // The window with the message whose status changes is listed again, and all behind it.
        assert!(position.from > NOW - 60 * HOUR && position.from <= NOW - 40 * HOUR, "{position:?}");
        let (units, _) = listed(&details, Some(json!(position))).await;
        assert_eq!(units, [format!("{} failed", name("c"))]);

        let unit = ListedUnit { name: name("a"), ..ListedUnit::default() };
        let Body::Stream(mut body) = details.open(&unit).await.unwrap().body else { panic!("no stream") };
        let mut text = String::new();
        std::io::Read::read_to_string(&mut body, &mut text).unwrap();
        assert!(text.starts_with("{\"@odata.context\":\"#admin/exchange/tracing/messageTraces('a')/getDetails"), "{text}");
        assert!(text.contains("recipientAddress='o%27b@x.example')\",\"value\":[{\"id\":\"s\""), "{text}");
        let asked = server.lines().pop().unwrap();
        assert!(asked.ends_with("messageTraces/a/getDetailsByRecipient(recipientAddress='o%27%27b%40x.example')"), "{asked}");
        // What is more than a run may ask for is left for the next one.
        assert!(details.open(&unit).await.unwrap_err().later);
    }
}
