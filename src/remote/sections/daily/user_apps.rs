//! The apps that users have installed: asked for twenty users at a time, a unit some hundreds of users and a day.

use std::collections::{BTreeMap, VecDeque};
use std::io::Cursor;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kqlake_import::{Body, ListedUnit, Opened, Reply, Source, SourceError, UnitPage};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Contents, DAY, taken_at, teams_api};
use crate::api::Api;
use crate::cloud::Service;
use crate::http::{Request, path_part, wait_of};
use crate::instant;
use crate::sections::pages::{self, Chain, Ids};
use crate::sections::seen::Seen;
use crate::settings::Tenant;
use crate::world::{SetupError, World};

/// Users of one unit.
const UNIT: usize = 200;
/// Requests of one batch: the most (Graph, "JSON batching").
const BATCH: usize = 20;
/// How often one user is asked for.
const TRIES: u32 = 8;
/// How long is waited where an answer does not say it.
const WAIT: Duration = Duration::from_secs(5);

/// The apps of a tenant's users.
#[derive(Debug)]
pub(in crate::sections) struct UserApps {
    api: Api,
    stream: String,
    users: Contents,
    /// The users' names by their ids, as far as they are known.
    names: Mutex<BTreeMap<String, Option<String>>>,
}

#[derive(Deserialize)]
struct Batch<'b> {
    #[serde(borrow)]
    responses: Vec<Item<'b>>,
}

#[derive(Deserialize)]
struct Item<'b> {
    id: String,
    status: u16,
    #[serde(default)]
    headers: Option<Value>,
    #[serde(borrow, default)]
    body: Option<&'b RawValue>,
}

impl UserApps {
    /// The apps of a tenant's users.
    ///
    /// # Errors
    /// The service has no address.
    pub(in crate::sections) fn of(tenant: &Tenant, world: &World) -> Result<Self, SetupError> {
        let api = teams_api(&world.api(tenant, Service::Graph)?);
        Ok(UserApps { api, stream: format!("{}/userapps", tenant.name), users: Contents::default(), names: Mutex::default() })
    }

    async fn units(&self) -> Result<UnitPage, SourceError> {
        let now = self.api.now();
        let (day, start) = (instant::day(now), now.div_euclid(DAY) * DAY);
        let Ids { known: names, unread } = pages::ids(&self.api, "v1.0/users?$select=id,userPrincipalName&$top=999").await?;
        let ids: Vec<String> = names.keys().cloned().collect();
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = names;
        let units = ids.chunks(UNIT).map(|ids| {
            let name = format!("{}/{day}/{}", self.stream, ids[0]);
            self.users.set(&name, ids.to_vec());
            // Other users in it are another unit's content.
            let stamp = format!("{day} {} {}", ids.len(), ids[ids.len() - 1]);
            ListedUnit {
                name,
                stamp: Some(stamp),
                window: Some((start, start + DAY)),
                is_stretch: true,
                expires: Some(start + DAY),
                ..ListedUnit::default()
            }
        });
        let failures = unread.map(|why| (self.stream.clone(), why)).into_iter().collect();
        Ok(UnitPage { units: units.collect(), failures, ..UnitPage::default() })
    }

    /// The pages of users, one a line.
    async fn apps(&self, users: Vec<String>) -> Result<Vec<u8>, SourceError> {
        let mut waiting: VecDeque<(String, u32)> = users.into_iter().map(|user| (user, 0)).collect();
        let (all, mut denied, mut why) = (waiting.len(), 0, String::new());
        let mut text = Vec::new();
        while !waiting.is_empty() {
            let batch: Vec<(String, u32)> = waiting.drain(..waiting.len().min(BATCH)).collect();
            let requests: Vec<Value> = batch
                .iter()
                .enumerate()
                .map(|(at, (user, _))| {
                    let url = format!("/users/{}/teamwork/installedApps?$expand=teamsApp,teamsAppDefinition", path_part(user));
                    json!({ "id": at.to_string(), "method": "GET", "url": url })
                })
                .collect();
            let request = Request::post_json(self.api.url("v1.0/$batch"), &json!({ "requests": requests }));
            let answer = self.api.json_bytes(request).await?;
            let seen = Seen::of(&answer.body);
            let read: Batch<'_> =
                seen.parse().map_err(|error| SourceError::for_now(format!("the answers of a batch cannot be read: {error}")))?;
            let mut asked: Vec<Option<(String, u32)>> = batch.into_iter().map(Some).collect();
            let mut wait = None;
            for item in read.responses {
                let Some((user, tries)) = item.id.parse().ok().and_then(|at: usize| asked.get_mut(at)?.take()) else { continue };
                match item.status {
                    200 => self.page(&user, item.body.map(|body| seen.came(body.get())), &mut text).await?,
                    // Who has no licence of Teams has no apps.
                    400 | 404 => tracing::debug!(user, status = item.status, "a user has no apps of Teams"),
                    403 => {
                        denied += 1;
                        item.body.map_or("", RawValue::get).clone_into(&mut why);
                    }
                    _ if tries + 1 >= TRIES => {
                        let reason = format!("the apps of user {user} cannot be fetched: status {}", item.status);
                        return Err(SourceError { status: Some(item.status), ..SourceError::for_now(reason) });
                    }
                    _ => {
                        let own = retry_after(item.headers.as_ref(), self.api.now().div_euclid(1_000_000));
                        wait = Some(wait.map_or(own, |longest: Duration| longest.max(own)));
                        waiting.push_back((user, tries + 1));
                    }
                }
            }
            // An answer that a batch forgot is asked for again.
            for (user, tries) in asked.into_iter().flatten() {
                if tries + 1 >= TRIES {
                    return Err(SourceError::for_now(format!("no batch answers for the apps of user {user}")));
                }
                waiting.push_back((user, tries + 1));
            }
            if let Some(wait) = wait {
                self.api.pace().sleep(wait).await;
            }
        }
        // The same answer for everyone is no matter of licences.
        if denied == all && all > 0 {
            let reason =
                format!("the apps of no user may be read; the application needs TeamsAppInstallation.ReadForUser.All: {why}");
            return Err(SourceError { status: Some(403), ..SourceError::for_now(reason) });
        }
        Ok(text)
    }

    /// A user's page, and those that follow it.
    async fn page(&self, user: &str, body: Option<&[u8]>, text: &mut Vec<u8>) -> Result<(), SourceError> {
        let Some(body) = body else {
            return Err(SourceError::for_now(format!("the answer for the apps of user {user} is empty")));
        };
        let url = self.api.url(&format!("v1.0/users/{}/teamwork/installedApps", path_part(user)));
        let first = bytes::Bytes::copy_from_slice(body);
        let name = self.names.lock().unwrap_or_else(PoisonError::into_inner).get(user).cloned().flatten();
        let columns = name.into_iter().map(|name| ("userPrincipalName".to_owned(), name.into())).collect();
        let chain = Chain::of(&self.api, &url, first)?.saying(format!("#users('{user}')/teamwork/installedApps"), columns);
        chain.collect(text).await.map_err(SourceError::from)
    }
}

/// How long an item of a batch wants to be left alone, seen from `now` (seconds since 1970).
fn retry_after(headers: Option<&Value>, now: i64) -> Duration {
    let headers = headers.and_then(Value::as_object);
    let value =
        headers.and_then(|all| all.iter().find(|(name, _)| name.eq_ignore_ascii_case("retry-after"))).map(|(_, value)| value);
    let text = value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    text.and_then(|text| wait_of(&text, now)).unwrap_or(WAIT)
}

impl Source for UserApps {
    fn stream(&self) -> &str {
        &self.stream
    }

    fn list(&self, _after: Option<Value>) -> Reply<'_, UnitPage> {
        Box::pin(self.units())
    }

    fn open<'s>(&'s self, unit: &'s ListedUnit) -> Reply<'s, Opened> {
        Box::pin(async move {
            let text = self.apps(self.users.get(&unit.name)).await?;
            Ok(Opened { body: Body::Stream(Box::new(Cursor::new(text))), taken_at: taken_at(&self.api, unit) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_of_a_batch_says_when_it_may_be_asked_for_again() {
        let wait =
            |text: &str| retry_after(Some(&json!({ "retry-After": serde_json::from_str::<Value>(text).unwrap() })), 784_111_747);
        assert_eq!(wait("7"), Duration::from_secs(7));
        assert_eq!(wait("\"9\""), Duration::from_secs(9));
        assert_eq!(wait("\"Sun, 06 Nov 1994 08:49:37 GMT\""), Duration::from_secs(30));
        for bounded in ["18446744073709551615", "\"99999999\"", "1e300"] {
            assert_eq!(wait(bounded), Duration::from_secs(86_400), "{bounded}");
        }
        assert_eq!(wait("\"soon\""), WAIT);
        assert_eq!(retry_after(None, 0), WAIT);
    }
}
