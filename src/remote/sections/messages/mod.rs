//! Messages of channels, by their changes, without their text: who wrote when, in which language, how it sounds.
//!
//! A round of a channel's changes says where the next one goes on; that is kept with the commit that has the round's rows. The
//! service tells of messages and not of the replies to them (Graph, "chatMessage: delta"): the replies to each message that a round
//! tells of are listed. What is edited or deleted comes again, and the newest state of a message is the one that stays.

mod analysis;
mod record;
mod text;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use kqlake_import::{Body, Feed, ListedUnit, Opened, Reply, Source, SourceError, UnitPage};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use url::Url;

use super::daily::{is_forgotten, teams_api};
use super::pages::{self, Ids, Page, Walk};
use super::seen::{Seen, UNREADABLE_BYTE, readable};
use crate::api::Api;
use crate::budget::RequestLimits;
use crate::cloud::Service;
use crate::http::{Failure, Request, ServiceError, path_part};
use crate::settings::Tenant;
use crate::world::{SetupError, World};

/// Messages in a page: the most (Graph, "chatMessage: delta").
const TOP: u32 = 50;
/// Requests that Graph takes a second for one team ("Throttling", Microsoft Teams service limits).
const A_TEAM: u32 = 4;
/// What the names of units end with that have what changed since a channel was read.
const CHANGES: &str = "/changes";
/// Pages that wait for their reader.
const WAITING: usize = 2;

/// How far the channels are, as it is kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct SectionCursor {
    /// Where changes go on, by `team/channel`.
    links: BTreeMap<String, String>,
}

/// The channel messages of a tenant.
#[derive(Debug)]
pub(super) struct Messages {
    api: Api,
    stream: String,
    keep_text: bool,
    /// How far the channels are whose rows are in the lake.
    position: Mutex<SectionCursor>,
    /// Where changes go on behind rounds that were read, by units.
    read: Arc<Mutex<BTreeMap<String, String>>>,
}

#[derive(Deserialize)]
struct Values<'p> {
    #[serde(borrow)]
    value: Vec<&'p RawValue>,
}

impl Messages {
    /// The channel messages of a tenant.
    ///
    /// # Errors
    /// The service has no address.
    pub(super) fn of(tenant: &Tenant, world: &World) -> Result<Self, SetupError> {
        Ok(Messages {
            api: teams_api(&world.api(tenant, Service::Graph)?),
            stream: format!("{}/teams/messages", tenant.name),
            keep_text: tenant.teams_messages.keep_text,
            position: Mutex::default(),
            read: Arc::default(),
        })
    }

    fn position(&self) -> MutexGuard<'_, SectionCursor> {
        // The map is whole at every instant, whoever panicked.
        self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn channels(&self, after: Option<Value>) -> Result<UnitPage, SourceError> {
        let mut position: SectionCursor = after.and_then(|kept| serde_json::from_value(kept).ok()).unwrap_or_default();
        let mut listing = UnitPage::default();
        let mut names = Vec::new();
        let unread = |unread: Option<String>, name: &str| unread.map(|why| (name.to_owned(), why));
        let teams = pages::ids(&self.api, "v1.0/teams?$select=id,displayName").await?;
        listing.failures.extend(unread(teams.unread, &self.stream));
        for team in teams.known.into_keys() {
            match pages::ids(&self.api, &format!("v1.0/teams/{}/channels?$select=id,displayName", path_part(&team))).await {
                Ok(Ids { known, unread: others }) => {
                    listing.failures.extend(unread(others, &format!("{}/{team}", self.stream)));
                    names.extend(known.into_keys().map(|channel| format!("{team}/{channel}")));
                }
                // It was deleted between the list and now.
                Err(error) if error.status == Some(404) => {}
                Err(error) => listing.failures.push((format!("{}/{team}", self.stream), error.to_string())),
            }
        }
        if listing.failures.is_empty() {
            position.links.retain(|name, _| names.contains(name));
        }
        // A channel that cannot be read keeps those behind it from being kept: such ones never had a link, and come last.
        names.sort_by_key(|name| (!position.links.contains_key(name), name.clone()));
        listing.units = names
            .into_iter()
            .map(|name| ListedUnit {
                // What changed is a unit of its own: with nothing in it, it says nothing of the messages that were there before.
                name: match position.links.contains_key(&name) {
                    true => format!("{}/{name}{CHANGES}", self.stream),
                    false => format!("{}/{name}", self.stream),
                },
                cursor: Some(Value::Null),
                ..ListedUnit::default()
            })
            .collect();
        *self.position() = position;
        Ok(listing)
    }

    fn below<'u>(&self, unit: &'u str) -> &'u str {
        let name = unit.strip_prefix(self.stream.as_str()).unwrap_or(unit).trim_start_matches('/');
        name.strip_suffix(CHANGES).unwrap_or(name)
    }

    /// A channel's round: from where its changes go on, or from its beginning.
    async fn round(&self, name: &str) -> Result<Round, SourceError> {
        let (team, channel) = name.split_once('/').unwrap_or_default();
        let api = self.api.limited(&format!("team-{team}"), RequestLimits::of(A_TEAM, Duration::from_secs(1), 2));
        let channel_path = format!("v1.0/teams/{}/channels/{}", path_part(team), path_part(channel));
        let whole = api.url(&format!("{channel_path}/messages/delta?$top={TOP}"));
        let kept = self.position().links.get(name).and_then(|link| Url::parse(link).ok());
        let mut first = pages::page(&api, Request::get(kept.clone().unwrap_or_else(|| whole.clone()))).await;
        // The service forgot where changes go on: everything is read again.
        if kept.is_some() && first.as_ref().is_err_and(is_forgotten) {
            tracing::warn!(channel = name, "messages are read anew: the service does not know any more where they go on");
            first = pages::page(&api, Request::get(whole)).await;
        }
        let first = match first {
            Err(error) if error.status == Some(404) => return Err(error.gone()),
            first => first?,
        };
        Ok(Round { api, team: team.to_owned(), channel: channel.to_owned(), channel_path, first, keep_text: self.keep_text })
    }
}

/// A channel's changes, the first page of which has come.
struct Round {
    api: Api,
    team: String,
    channel: String,
    channel_path: String,
    first: Page,
    keep_text: bool,
}

impl Round {
    /// Hands the round's messages and their replies on, and gives the link behind it; none when nobody reads them.
    async fn give(self, feed: &Feed) -> Result<Option<Url>, ServiceError> {
        let (mut page, mut walk) = (self.first.clone(), Walk::default());
        loop {
            let threads = self.hand_on(&page.body, feed).await?;
            let Some(threads) = threads else { return Ok(None) };
            for thread in threads {
                if !self.replies(&thread, feed).await? {
                    return Ok(None);
                }
            }
            page = match (page.next, page.delta) {
                (Some(next), _) => walk.page(&self.api, Request::get(next)).await?,
                (None, Some(delta)) => return Ok(Some(delta)),
                (None, None) => {
                    let why = "the round of changes ends without saying where the next one goes on";
                    return Err(ServiceError::new(self.api.service(), Failure::Broken, why));
                }
            };
        }
    }

    /// The replies to a message. False when nobody reads them.
    async fn replies(&self, message: &str, feed: &Feed) -> Result<bool, ServiceError> {
        let path = format!("{}/messages/{}/replies?$top={TOP}", self.channel_path, path_part(message));
        let (mut next, mut walk) = (Some(self.api.url(&path)), Walk::default());
        while let Some(url) = next {
            let page = match walk.page(&self.api, Request::get(url)).await {
                // It was deleted for good between the round and now.
                Err(error) if error.status == Some(404) => break,
                page => page?,
            };
            if self.hand_on(&page.body, feed).await?.is_none() {
                return Ok(false);
            }
            next = page.next;
        }
        Ok(true)
    }

    /// Hands a page of messages on without their texts, and gives the ids of those that may have replies; none when nobody reads.
    async fn hand_on(&self, page: &Bytes, feed: &Feed) -> Result<Option<Vec<String>>, ServiceError> {
        let broken = |why: String| ServiceError::new(self.api.service(), Failure::Broken, why);
        let (page, place, keep_text) = (page.clone(), (self.team.clone(), self.channel.clone()), self.keep_text);
        let read = tokio::task::spawn_blocking(move || reduced(&page, (&place.0, &place.1), keep_text)).await;
        let read = read.map_err(|error| broken(format!("a page of messages was not read to its end: {error}")))?;
        let (text, threads) = read.map_err(|error| broken(format!("a page of messages cannot be read: {error}")))?;
        Ok(feed.give(Ok(text)).await.then_some(threads))
    }
}

/// The messages of a page without their texts, one a line, and the ids of those that are no replies.
fn reduced(page: &[u8], place: (&str, &str), keep_text: bool) -> Result<(Bytes, Vec<String>), String> {
    // What serde says of a page may quote it.
    let unreadable = |error: serde_json::Error| format!("{:?} at {}", error.classify(), error.column());
    let seen = Seen::of(page);
    let page: Values<'_> = seen.parse().map_err(unreadable)?;
    let (mut text, mut threads) = (Vec::new(), Vec::new());
    for raw in page.value {
        let message: Value = serde_json::from_str(raw.get()).map_err(unreadable)?;
        let is_reply = message.get("replyToId").is_some_and(|id| !id.is_null());
        if let Some(id) = message.get("id").and_then(Value::as_str).and_then(readable).filter(|_| !is_reply) {
            threads.push(id.to_owned());
        }
        let reduced = record::reduced(&message, place, keep_text).to_string();
        match std::str::from_utf8(seen.came(raw.get())) {
            Ok(_) => text.extend_from_slice(reduced.as_bytes()),
            // What is handed on of bytes that cannot be read is refused as such; in the text alone they change nothing.
            Err(_) => text.extend(reduced.bytes().map(|byte| if byte == UNREADABLE_BYTE { 0xff } else { byte })),
        }
        text.push(b'\n');
    }
    Ok((Bytes::from(text), threads))
}

impl Source for Messages {
    fn stream(&self) -> &str {
        &self.stream
    }

    fn list(&self, after: Option<Value>) -> Reply<'_, UnitPage> {
        Box::pin(self.channels(after))
    }

    fn open<'s>(&'s self, unit: &'s ListedUnit) -> Reply<'s, Opened> {
        Box::pin(async move {
            let round = self.round(self.below(&unit.name)).await?;
            let (feed, body) = Body::fed(WAITING);
            let (read, name) = (Arc::clone(&self.read), unit.name.clone());
            tokio::spawn(async move {
                match round.give(&feed).await {
                    // It is noted before the body ends.
                    Ok(Some(link)) => {
                        read.lock().unwrap_or_else(PoisonError::into_inner).insert(name, link.to_string());
                    }
                    Ok(None) => {}
                    Err(error) => {
                        feed.give(Err(io::Error::other(error.to_string()))).await;
                    }
                }
            });
            Ok(Opened { body, taken_at: None })
        })
    }

    /// Is asked when the unit is in the lake, or its channel is gone.
    fn cursor_after(&self, unit: &ListedUnit) -> Option<Value> {
        let link = self.read.lock().unwrap_or_else(PoisonError::into_inner).remove(&unit.name);
        let name = self.below(&unit.name).to_owned();
        let mut position = self.position();
        match link {
            Some(link) => position.links.insert(name, link),
            None => position.links.remove(&name),
        };
        serde_json::to_value(&*position).ok()
    }

    fn parallel(&self) -> usize {
        8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Server, json, reply, tenant, world};

    fn read(body: Body) -> String {
        let Body::Stream(mut body) = body else { panic!("no stream") };
        let mut text = String::new();
        io::Read::read_to_string(&mut body, &mut text).unwrap();
        text
    }

    async fn opened(messages: &Messages, unit: &ListedUnit) -> String {
        let body = messages.open(unit).await.unwrap().body;
        tokio::task::spawn_blocking(|| read(body)).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_round_goes_on_where_the_last_one_that_landed_ended_and_begins_anew_when_it_is_forgotten() {
        let server = Server::start(|asked, _| {
            let message = |id: &str, reply: &str| {
                format!(
                    r#"{{"id":"{id}","replyToId":{reply},"createdDateTime":"2026-01-05T00:00:00Z","body":{{"content":"canary"}}}}"#
                )
            };
            let base = asked.header("host").unwrap().to_owned();
            let link = |kind: &str, token: &str| {
                format!(r#""@odata.{kind}Link":"http://{base}/v1.0/teams/t/channels/19:c/messages/delta?$token={token}""#)
            };
            let line = asked.line.as_str();
            if line.ends_with("/teams?$select=id,displayName") {
                return json(r#"{"value":[{"id":"t"}]}"#);
            }
            if line.contains("/channels?") {
                return json(r#"{"value":[{"id":"19:c"}]}"#);
            }
            if line.contains("/replies") {
                return json(&format!(r#"{{"value":[{}]}}"#, message("2", "\"1\"")));
            }
            if line.contains("token=old") {
                return reply(410, "Content-Type: application/json\r\n", r#"{"error":{"code":"syncStateNotFound"}}"#);
            }
            if line.contains("token=page2") {
                return json(&format!(r#"{{{},"value":[]}}"#, link("delta", "d1")));
            }
            json(&format!(r#"{{{},"value":[{}]}}"#, link("next", "page2"), message("1", "null")))
        });
        let mut tenant = tenant(&server.base);
        tenant.teams_messages.enabled = true;
        let messages = Messages::of(&tenant, &world()).unwrap();
        let kept = |links: &[(&str, &str)]| {
            let links = links.iter().map(|(name, token)| {
                let link = server.base.join(&format!("v1.0/teams/t/channels/19:c/messages/delta?$token={token}")).unwrap();
                ((*name).to_owned(), link.to_string())
            });
            serde_json::to_value(SectionCursor { links: links.collect() }).unwrap()
        };
        for after in [None, Some(kept(&[("t/19:c", "old"), ("t/gone", "x")]))] {
            let is_first = after.is_none();
            let listing = messages.list(after).await.unwrap();
            let names: Vec<&str> = listing.units.iter().map(|unit| unit.name.as_str()).collect();
            assert_eq!(names, [if is_first { "contoso/teams/messages/t/19:c" } else { "contoso/teams/messages/t/19:c/changes" }]);
            let text = opened(&messages, &listing.units[0]).await;
            let ids: Vec<Value> = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone()).collect();
            assert_eq!(ids, ["1", "2"]);
            assert!(!text.contains("canary"), "{text}");
            // The channel that is gone is forgotten.
            assert_eq!(messages.cursor_after(&listing.units[0]), Some(kept(&[("t/19:c", "d1")])));
        }
    }

    #[test]
    fn a_message_whose_bytes_cannot_be_read_is_handed_on_beside_the_others() {
        let page = b"{\"value\":[{\"id\":\"1\",\"body\":{\"content\":\"caf\xe9 canary\"}},{\"id\":\"2\",\"locale\":\"\xe9\"},{\"id\":\"3\"}]}";
        let (text, threads) = reduced(page, ("t", "c"), false).unwrap();
        assert_eq!(threads, ["1", "2", "3"]);
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        let read = |line: &[u8]| std::str::from_utf8(line).is_ok();
        assert_eq!(lines.iter().map(|line| read(line)).collect::<Vec<_>>(), [true, false, true]);
        assert!(!String::from_utf8_lossy(&text).contains("canary"));
    }

    #[test]
    fn a_page_that_cannot_be_read_is_not_quoted() {
        let error = reduced(br#"{"value":[{"body":"canary" canary}]}"#, ("t", "c"), false).unwrap_err();
        assert!(!error.contains("canary"), "{error}");
        let error = reduced(br#"{"value":"canary"}"#, ("t", "c"), false).unwrap_err();
        assert!(!error.contains("canary"), "{error}");
    }
}
