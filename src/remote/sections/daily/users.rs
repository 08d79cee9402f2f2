//! Users, by their changes.
//!
//! The first round of a day reads all users, so that each day has a whole snapshot; rounds after it read what changed since the
//! round before. An object may come several times in a round, and the last one is true (Graph, "Use delta query"): a round is kept in
//! a file until it is over, and gives each object once.
//!
//! Managers are relations. A round of all users names each one's, and the manager's name is another user's of the round. Of a user
//! that changed it says only what changed, so that the managers of these are asked for.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Cursor, Read, Seek as _, SeekFrom, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use kqlake_durable::ScratchFolder;
use kqlake_import::{Body, ListedUnit, Opened, Reply, Source, SourceError, UnitPage};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use url::Url;

use super::{DAY, is_forgotten, taken_at};
use crate::api::Api;
use crate::cloud::Service;
use crate::http::{Failure, Request, ServiceError, path_part};
use crate::instant;
use crate::sections::pages::{Said, Walk};
use crate::sections::seen::{Seen, readable};
use crate::settings::Tenant;
use crate::world::{SetupError, World};

/// What is asked of each user: what Graph gives for collections, and queries need.
const SELECT: &str = "id,accountEnabled,ageGroup,assignedLicenses,assignedPlans,businessPhones,city,companyName,country,createdDateTime,creationType,\
deletedDateTime,department,displayName,employeeHireDate,employeeId,employeeOrgData,employeeType,externalUserState,givenName,jobTitle,\
lastPasswordChangeDateTime,licenseAssignmentStates,mail,mailNickname,mobilePhone,officeLocation,onPremisesDistinguishedName,onPremisesDomainName,\
onPremisesExtensionAttributes,onPremisesImmutableId,onPremisesLastSyncDateTime,onPremisesSamAccountName,\
onPremisesSecurityIdentifier,onPremisesSyncEnabled,onPremisesUserPrincipalName,otherMails,postalCode,preferredLanguage,\
proxyAddresses,showInAddressList,state,streetAddress,surname,usageLocation,userPrincipalName,userType";

/// How long a round without users is left alone before it is begun again.
const AGAIN: Duration = Duration::from_secs(5);

/// Managers that are asked for at once.
const ASKED_AT_ONCE: usize = 4;

/// How far the section is, as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct SectionCursor {
    /// Where changes go on.
    delta: String,
    /// The day whose snapshot is whole, as an instant of it.
    day: i64,
}

/// The users of a tenant.
#[derive(Debug)]
pub(in crate::sections) struct Users {
    api: Api,
    stream: String,
    /// Where this run goes on, and where the next one does.
    position: Mutex<Option<SectionCursor>>,
    scratch: ScratchFolder,
}

#[derive(Deserialize)]
struct Objects<'p> {
    #[serde(rename = "@odata.context", default)]
    context: Option<String>,
    #[serde(borrow)]
    value: Vec<&'p RawValue>,
}

#[derive(Deserialize)]
struct Head {
    id: String,
    #[serde(rename = "userPrincipalName", default)]
    name: Option<String>,
    #[serde(rename = "manager@delta", default)]
    managers: Vec<Relation>,
    #[serde(rename = "@removed", default)]
    removed: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Relation {
    id: String,
    #[serde(rename = "@removed", default)]
    removed: Option<IgnoredAny>,
}

/// Who a user's manager is.
#[derive(Debug, Clone, Deserialize)]
struct Manager {
    id: String,
    #[serde(rename = "userPrincipalName", default)]
    name: Option<String>,
}

impl Users {
    /// The users of a tenant.
    ///
    /// # Errors
    /// The service has no address.
    pub(in crate::sections) fn of(tenant: &Tenant, world: &World) -> Result<Self, SetupError> {
        let api = world.api(tenant, Service::Graph)?;
        let scratch = world.scratch().clone();
        Ok(Users { api, stream: format!("{}/users", tenant.name), position: Mutex::new(None), scratch })
    }

    fn position(&self) -> std::sync::MutexGuard<'_, Option<SectionCursor>> {
        self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn units(&self, after: Option<Value>) -> UnitPage {
        let now = self.api.now();
        let day = now.div_euclid(DAY) * DAY;
        let kept = after.and_then(|cursor| serde_json::from_value::<SectionCursor>(cursor).ok());
        let kept = kept.filter(|kept| kept.day == day);
        // What changed is a unit of its own: with nothing in it, it says nothing of the users that were there before.
        let changes = if kept.is_some() { "/changes" } else { "" };
        *self.position() = kept;
        let unit = ListedUnit {
            name: format!("{}/{}{changes}", self.stream, instant::day(now)),
            window: Some((day, day + DAY)),
            is_stretch: true,
            expires: Some(day + DAY),
            cursor: Some(Value::Null),
            ..ListedUnit::default()
        };
        UnitPage { units: vec![unit], ..UnitPage::default() }
    }

    /// A round, and where the next one goes on.
    async fn round(&self) -> Result<(Round, Url), SourceError> {
        let kept = self.position().as_ref().and_then(|kept| Url::parse(&kept.delta).ok());
        if let Some(delta) = kept {
            match self.read(delta).await {
                Ok((mut round, delta)) => {
                    self.find_managers(&mut round).await?;
                    return Ok((round, delta));
                }
                // The service forgot where changes go on: everything is read again.
                Err(UsersError::Service(error)) if is_forgotten(&error) => tracing::warn!(%error, "users are read anew"),
                Err(error) => return Err(error.into()),
            }
        }
        let (mut round, mut delta) = self.whole().await?;
        if round.last.is_empty() {
            // No tenant is without users: a service that is not well says so.
            self.api.pace().sleep(AGAIN).await;
            (round, delta) = self.whole().await?;
        }
        if round.last.is_empty() {
            return Err(SourceError::for_now("the service says twice that there are no users, which no tenant is without"));
        }
        round.name_managers();
        Ok((round, delta))
    }

    /// A round of all users.
    async fn whole(&self) -> Result<(Round, Url), UsersError> {
        let properties = format!("v1.0/users/delta?$select={SELECT}");
        match self.read(self.api.url(&format!("{properties}&$expand=manager"))).await {
            Err(UsersError::Service(error)) if matches!(error.status, Some(400 | 501)) => {
                tracing::warn!(%error, "users are read without their managers");
                self.read(self.api.url(&properties)).await
            }
            round => round,
        }
    }

    /// Asks for the managers of all users of a round.
    async fn find_managers(&self, round: &mut Round) -> Result<(), UsersError> {
        let users: Vec<String> =
            round.last.iter().filter(|(id, kept)| !kept.is_removed && !id.starts_with('\0')).map(|(id, _)| id.clone()).collect();
        let asked = users.into_iter().map(|id| async move { (self.manager(&id).await, id) });
        let mut answers = stream::iter(asked).buffer_unordered(ASKED_AT_ONCE);
        while let Some((manager, id)) = answers.next().await {
            if let (Some(manager), Some(kept)) = (manager?, round.last.get_mut(&id)) {
                kept.manager = Some(manager);
            }
        }
        Ok(())
    }

    async fn manager(&self, id: &str) -> Result<Option<Manager>, ServiceError> {
        #[derive(Deserialize)]
        struct User {
            id: String,
            #[serde(default)]
            manager: Option<Manager>,
        }
        let expand = "$select=id&$expand=manager($select=id,userPrincipalName)";
        let url = self.api.url(&format!("v1.0/users/{}?{expand}", path_part(id)));
        match self.api.json_bytes(Request::get(url)).await {
            Ok(answer) => match Seen::of(&answer.body).parse::<User>() {
                Ok(user) if user.id.eq_ignore_ascii_case(id) => {
                    let readable =
                        |manager: Manager| Some(Manager { id: readable(manager.id)?, name: manager.name.and_then(readable) });
                    Ok(user.manager.and_then(readable))
                }
                _ => {
                    let why = format!("what came is no record of the user {id}");
                    Err(ServiceError::new(self.api.service(), Failure::Broken, why))
                }
            },
            // It was deleted since, or the service does not tell.
            Err(error) if matches!(error.status, Some(400 | 403 | 404 | 501)) => {
                tracing::warn!(user = id, %error, "the manager of a user is not known");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn read(&self, first: Url) -> Result<(Round, Url), UsersError> {
        let mut round = Round::new(&self.scratch)?;
        let (mut url, mut walk) = (first, Walk::default());
        loop {
            let page = walk.page(&self.api, Request::get(url)).await?;
            round.take(&page.body)?;
            match (page.next, page.delta) {
                (Some(next), _) => url = next,
                (None, Some(delta)) => return Ok((round, delta)),
                (None, None) => {
                    let why = "the round of changes ends without saying where the next one goes on";
                    return Err(UsersError::Service(ServiceError::new(self.api.service(), Failure::Broken, why)));
                }
            }
        }
    }
}

/// Why a round stops.
enum UsersError {
    Service(ServiceError),
    Other(String),
}

impl From<ServiceError> for UsersError {
    fn from(error: ServiceError) -> Self {
        UsersError::Service(error)
    }
}

impl From<io::Error> for UsersError {
    fn from(error: io::Error) -> Self {
        UsersError::Other(format!("users cannot be kept in a temporary file: {error}"))
    }
}

impl From<UsersError> for SourceError {
    fn from(stop: UsersError) -> Self {
        match stop {
            UsersError::Service(error) => error.into(),
            UsersError::Other(why) => SourceError::for_now(why),
        }
    }
}

/// Objects of a round in a file that has no name, and where the last of each lies.
struct Round {
    file: BufWriter<File>,
    length: u64,
    context: Option<String>,
    last: BTreeMap<String, Kept>,
}

/// An object of a round.
struct Kept {
    start: u64,
    length: usize,
    name: Option<String>,
    manager: Option<Manager>,
    is_removed: bool,
}

impl Round {
    fn new(scratch: &ScratchFolder) -> io::Result<Self> {
        let file = BufWriter::with_capacity(1 << 16, scratch.file()?);
        Ok(Round { file, length: 0, context: None, last: BTreeMap::new() })
    }

    fn take(&mut self, page: &[u8]) -> Result<(), UsersError> {
        let unreadable = |error: serde_json::Error| UsersError::Other(format!("a page of users cannot be read: {error}"));
        let seen = Seen::of(page);
        let page: Objects<'_> = seen.parse().map_err(unreadable)?;
        if self.context.is_none() {
            self.context = page.context;
        }
        for (at, object) in page.value.into_iter().enumerate() {
            // Without an id the importer says what is wrong with it.
            let nameless = || Head { id: format!("\0{} {at}", self.length), name: None, managers: Vec::new(), removed: None };
            let head = serde_json::from_str::<Head>(object.get()).ok();
            let known = head.and_then(|head| Some(Head { id: readable(head.id)?, ..head }));
            let head = known.unwrap_or_else(nameless);
            let text = seen.came(object.get());
            self.file.write_all(text)?;
            let manager = head.managers.into_iter().rev().find(|change| change.removed.is_none());
            let kept = Kept {
                start: self.length,
                length: text.len(),
                name: head.name.and_then(readable),
                manager: manager.and_then(|manager| Some(Manager { id: readable(manager.id)?, name: None })),
                is_removed: head.removed.is_some(),
            };
            self.last.insert(head.id, kept);
            self.length += text.len() as u64;
        }
        Ok(())
    }

    /// Gives managers the names that they have as users of the round.
    fn name_managers(&mut self) {
        let of = |kept: &Kept| kept.manager.as_ref().and_then(|manager| self.last.get(&manager.id)?.name.clone());
        let names: Vec<Option<String>> = self.last.values().map(of).collect();
        for (kept, name) in self.last.values_mut().zip(names) {
            if let Some(manager) = &mut kept.manager {
                manager.name = name;
            }
        }
    }

    /// Each object once, in a page of its own that says who the manager is.
    fn into_body(self) -> io::Result<Body> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        let context = self.context.unwrap_or_else(|| "#users/delta".to_owned());
        let mut objects: Vec<Kept> = self.last.into_values().collect();
        objects.sort_unstable_by_key(|kept| kept.start);
        let pages = Listed { file, objects: objects.into_iter(), context, around: Cursor::default(), left: 0 };
        Ok(Body::Stream(Box::new(pages)))
    }
}

/// Objects by their places in a file, each in a page of its own.
struct Listed {
    file: File,
    objects: std::vec::IntoIter<Kept>,
    context: String,
    /// What stands before the object, or behind it.
    around: Cursor<Vec<u8>>,
    /// Bytes of the object that is being read.
    left: usize,
}

impl Listed {
    fn head(&self, manager: Option<Manager>) -> String {
        let mut columns = Map::new();
        if let Some(manager) = manager {
            columns.insert("managerId".to_owned(), manager.id.into());
            columns.extend(manager.name.map(|name| ("managerUserPrincipalName".to_owned(), name.into())));
        }
        Said { context: self.context.clone(), columns }.head() + ",\"value\":["
    }
}

impl Read for Listed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.around.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            if self.left > 0 {
                let most = buffer.len().min(self.left);
                let count = self.file.read(&mut buffer[..most])?;
                if count == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.left -= count;
                if self.left == 0 {
                    self.around = Cursor::new(b"]}\n".to_vec());
                }
                return Ok(count);
            }
            let Some(kept) = self.objects.next() else { return Ok(0) };
            self.file.seek(SeekFrom::Start(kept.start))?;
            self.left = kept.length;
            self.around = Cursor::new(self.head(kept.manager).into_bytes());
        }
    }
}

impl Source for Users {
    fn stream(&self) -> &str {
        &self.stream
    }

    fn list(&self, after: Option<Value>) -> Reply<'_, UnitPage> {
        Box::pin(async move { Ok(self.units(after)) })
    }

    fn open<'s>(&'s self, unit: &'s ListedUnit) -> Reply<'s, Opened> {
        Box::pin(async move {
            let taken_at = taken_at(&self.api, unit);
            let (round, delta) = self.round().await?;
            let day = unit.window.map(|window| window.0);
            *self.position() = Some(SectionCursor { delta: delta.to_string(), day: day.unwrap_or_default() });
            let body = round.into_body().map_err(|error| SourceError::from(UsersError::from(error)))?;
            Ok(Opened { body, taken_at })
        })
    }

    fn cursor_after(&self, _unit: &ListedUnit) -> Option<Value> {
        self.position().as_ref().and_then(|position| serde_json::to_value(position).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Server, json, reply, tenant, world};

    #[test]
    fn the_last_of_several_objects_of_one_user_is_given() {
        let mut round = Round::new(&ScratchFolder::default()).unwrap();
        let pages = [
            r##"{"@odata.context":"#users","value":[{"id":"a","jobTitle":"x"},{"id":"b","userPrincipalName":"b@x"}]}"##,
            r#"{"value":[{"id":"a","jobTitle":null,"manager@delta":[{"id":"b"}]},{"name":"no id"}]}"#,
        ];
        for page in pages {
            assert!(round.take(page.as_bytes()).is_ok());
        }
        round.name_managers();
        let Body::Stream(mut body) = round.into_body().unwrap() else { panic!("no stream") };
        let mut text = String::new();
        body.read_to_string(&mut text).unwrap();
        let head = r##"{"@odata.context":"#users""##;
        let expected = [
            format!(r#"{head},"value":[{{"id":"b","userPrincipalName":"b@x"}}]}}"#),
            format!(
                r#"{head},"@kqlake.columns":{{"managerId":"b","managerUserPrincipalName":"b@x"}},"value":[{{"id":"a","jobTitle":null,"manager@delta":[{{"id":"b"}}]}}]}}"#
            ),
            format!(r#"{head},"value":[{{"name":"no id"}}]}}"#),
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_user_whose_bytes_cannot_be_read_is_handed_on_beside_the_others() {
        let mut round = Round::new(&ScratchFolder::default()).unwrap();
        let page = b"{\"value\":[{\"id\":\"a\"},{\"id\":\"b\",\"surname\":\"\xe9\"},{\"id\":\"\xe9\"},{\"id\":\"c\"}]}";
        assert!(round.take(page).is_ok());
        assert_eq!(round.last.keys().filter(|id| !id.starts_with('\0')).collect::<Vec<_>>(), ["a", "b", "c"]);
        let Body::Stream(mut body) = round.into_body().unwrap() else { panic!("no stream") };
        let mut text = Vec::new();
        body.read_to_end(&mut text).unwrap();
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        assert!(lines[1].ends_with(b"\"value\":[{\"id\":\"b\",\"surname\":\"\xe9\"}]}"), "{lines:?}");
        assert!(lines[2].ends_with(b"\"value\":[{\"id\":\"\xe9\"}]}"), "{lines:?}");
    }

    #[tokio::test]
    async fn a_tenant_without_users_is_a_failure_and_no_empty_snapshot() {
        let server = Server::start(|_, _| json(r#"{"value":[],"@odata.deltaLink":"delta?2"}"#));
        let users = Users::of(&tenant(&server.base), &world()).unwrap();
        assert!(users.round().await.err().expect("a failure").reason.contains("no users"));
        assert_eq!(server.lines().len(), 2);
    }

    #[tokio::test]
    async fn managers_of_changed_users_are_asked_for_and_of_all_users_are_told() {
        let server = Server::start(|asked, _| {
            json(if asked.line.contains("/users/a?") {
                r#"{"id":"a","manager":{"id":"m","userPrincipalName":"m@x"}}"#
            } else if asked.line.contains("/users/b?") {
                r#"{"id":"b"}"#
            } else {
                r#"{"value":[{"id":"a"},{"id":"b"},{"id":"c","@removed":{"reason":"changed"}}],"@odata.deltaLink":"delta?2"}"#
            })
        });
        let users = Users::of(&tenant(&server.base), &world()).unwrap();
        let delta = users.api.url("v1.0/users/delta?1").to_string();
        *users.position() = Some(SectionCursor { delta, day: 0 });
        let (round, _) = users.round().await.unwrap();
        let managers: Vec<(&str, Option<&str>)> = round
            .last
            .iter()
            .map(|(id, kept)| (id.as_str(), kept.manager.as_ref().and_then(|manager| manager.name.as_deref())))
            .collect();
        assert_eq!(managers, [("a", Some("m@x")), ("b", None), ("c", None)]);
        assert_eq!(server.lines().len(), 3, "{:?}", server.lines());
        // An answer that is no user says nothing of a manager.
        for strange in [r#"{"value":[]}"#, r#"{"id":"b","manager":{"id":"m"}}"#] {
            let server = Server::start(move |asked, _| {
                json(if asked.line.contains("/users/a?") {
                    strange
                } else {
                    r#"{"value":[{"id":"a"}],"@odata.deltaLink":"delta?2"}"#
                })
            });
            let users = Users::of(&tenant(&server.base), &world()).unwrap();
            *users.position() = Some(SectionCursor { delta: users.api.url("v1.0/users/delta?1").to_string(), day: 0 });
            let why = users.round().await.err().expect("a failure").reason;
            assert!(why.contains("no record of the user a"), "{why}");
        }
        // A service that does not take the relation gives users without it.
        let server = Server::start(|asked, _| {
            if asked.line.contains("expand=manager") {
                return reply(400, "", r#"{"error":{"code":"Request_UnsupportedQuery","message":"no"}}"#);
            }
            json(r#"{"value":[{"id":"a"}],"@odata.deltaLink":"delta?2"}"#)
        });
        let users = Users::of(&tenant(&server.base), &world()).unwrap();
        assert_eq!(users.round().await.unwrap().0.last.len(), 1);
    }
}
