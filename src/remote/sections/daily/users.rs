//! Users, by their changes.
//!
//! The first round of a day reads all users, so that each day has a whole snapshot; rounds after it read what changed since the
//! round before. An object may come several times in a round, and the last one is true (Graph, "Use delta query"): a round is kept in
//! a file until it is over, and gives each object once.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Cursor, Read, Seek as _, SeekFrom, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kqlake_durable::ScratchFolder;
use kqlake_import::{Body, ListedUnit, Opened, Reply, Source, SourceError, UnitPage};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use url::Url;

use super::{DAY, is_forgotten, taken_at};
use crate::api::Api;
use crate::cloud::Service;
use crate::http::{Failure, Request, ServiceError};
use crate::instant;
use crate::sections::pages;
use crate::settings::Tenant;
use crate::world::{SetupError, World};

/// What is asked of each user: what Graph gives for collections, and queries need.
const SELECT: &str = "id,accountEnabled,ageGroup,assignedLicenses,assignedPlans,city,companyName,country,createdDateTime,creationType,\
deletedDateTime,department,displayName,employeeHireDate,employeeId,employeeOrgData,employeeType,externalUserState,givenName,jobTitle,\
lastPasswordChangeDateTime,mail,mailNickname,mobilePhone,officeLocation,onPremisesDistinguishedName,onPremisesDomainName,\
onPremisesExtensionAttributes,onPremisesImmutableId,onPremisesLastSyncDateTime,onPremisesSamAccountName,\
onPremisesSecurityIdentifier,onPremisesSyncEnabled,onPremisesUserPrincipalName,otherMails,postalCode,preferredLanguage,\
proxyAddresses,showInAddressList,state,streetAddress,surname,usageLocation,userPrincipalName,userType";

/// How long a round without users is left alone before it is begun again.
const AGAIN: Duration = Duration::from_secs(5);

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
        *self.position() = kept.filter(|kept| kept.day == day);
        let unit = ListedUnit {
            name: format!("{}/{}", self.stream, instant::day(now)),
            window: Some((day, day + DAY)),
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
                Ok(round) => return Ok(round),
                // The service forgot where changes go on: everything is read again.
                Err(Stop::Service(error)) if is_forgotten(&error) => tracing::warn!(%error, "users are read anew"),
                Err(error) => return Err(error.into()),
            }
        }
        let whole = self.api.url(&format!("v1.0/users/delta?$select={SELECT}"));
        let (round, delta) = self.read(whole.clone()).await?;
        if !round.last.is_empty() {
            return Ok((round, delta));
        }
        // No tenant is without users: a service that is not well says so.
        self.api.pace().sleep(AGAIN).await;
        Ok(self.read(whole).await?)
    }

    async fn read(&self, first: Url) -> Result<(Round, Url), Stop> {
        let mut round = Round::new(&self.scratch)?;
        let mut url = first;
        loop {
            let page = pages::page(&self.api, Request::get(url)).await?;
            round.take(&page.body)?;
            match (page.next, page.delta) {
                (Some(next), _) => url = next,
                (None, Some(delta)) => return Ok((round, delta)),
                (None, None) => {
                    let why = "the round of changes ends without saying where the next one goes on";
                    return Err(Stop::Service(ServiceError::new(self.api.service(), Failure::Broken, why)));
                }
            }
        }
    }
}

/// Why a round stops.
enum Stop {
    Service(ServiceError),
    Other(String),
}

impl From<ServiceError> for Stop {
    fn from(error: ServiceError) -> Self {
        Stop::Service(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Other(format!("users cannot be kept in a temporary file: {error}"))
    }
}

impl From<Stop> for SourceError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Service(error) => error.into(),
            Stop::Other(why) => SourceError::for_now(why),
        }
    }
}

/// Objects of a round in a file that has no name, and where the last of each lies.
struct Round {
    file: BufWriter<File>,
    length: u64,
    context: Option<String>,
    last: BTreeMap<String, (u64, usize)>,
}

impl Round {
    fn new(scratch: &ScratchFolder) -> io::Result<Self> {
        let file = BufWriter::with_capacity(1 << 16, scratch.file()?);
        Ok(Round { file, length: 0, context: None, last: BTreeMap::new() })
    }

    fn take(&mut self, page: &[u8]) -> Result<(), Stop> {
        let unreadable = |error: serde_json::Error| Stop::Other(format!("a page of users cannot be read: {error}"));
        let page: Objects<'_> = serde_json::from_slice(page).map_err(unreadable)?;
        if self.context.is_none() {
            self.context = page.context;
        }
        for (at, object) in page.value.into_iter().enumerate() {
            // Without an id the importer says what is wrong with it.
            let id =
                serde_json::from_str::<Head>(object.get()).map_or_else(|_| format!("\0{} {at}", self.length), |head| head.id);
            let text = object.get().as_bytes();
            self.file.write_all(text)?;
            self.last.insert(id, (self.length, text.len()));
            self.length += text.len() as u64;
        }
        Ok(())
    }

    /// One page with each object once.
    fn into_body(self) -> io::Result<Body> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        let context = self.context.unwrap_or_else(|| "#users/delta".to_owned());
        let head = format!("{{\"@odata.context\":{},\"value\":[", Value::from(context));
        let mut places: Vec<(u64, usize)> = self.last.into_values().collect();
        places.sort_unstable();
        let objects = Listed { file, places: places.into_iter(), left: 0, is_first: true };
        Ok(Body::Stream(Box::new(Cursor::new(head).chain(objects).chain(Cursor::new("]}\n")))))
    }
}

/// Objects by their places in a file, with commas between them.
struct Listed {
    file: File,
    places: std::vec::IntoIter<(u64, usize)>,
    /// Bytes of the object that is being read.
    left: usize,
    is_first: bool,
}

impl Read for Listed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while self.left == 0 {
            let Some((start, length)) = self.places.next() else { return Ok(0) };
            self.file.seek(SeekFrom::Start(start))?;
            self.left = length;
            if !std::mem::replace(&mut self.is_first, false) {
                buffer[0] = b',';
                return Ok(1);
            }
        }
        let most = buffer.len().min(self.left);
        let count = self.file.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count;
        Ok(count)
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
            let body = round.into_body().map_err(|error| SourceError::from(Stop::from(error)))?;
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

    #[test]
    fn the_last_of_several_objects_of_one_user_is_given() {
        let mut round = Round::new(&ScratchFolder::default()).unwrap();
        let pages = [
            r##"{"@odata.context":"#users","value":[{"id":"a","jobTitle":"x"},{"id":"b"}]}"##,
            r#"{"value":[{"id":"a","jobTitle":null},{"name":"no id"}]}"#,
        ];
        for page in pages {
            assert!(round.take(page.as_bytes()).is_ok());
        }
        let Body::Stream(mut body) = round.into_body().unwrap() else { panic!("no stream") };
        let mut text = String::new();
        body.read_to_string(&mut text).unwrap();
        let expected = r##"{"@odata.context":"#users","value":[{"id":"b"},{"id":"a","jobTitle":null},{"name":"no id"}]}"##;
        assert_eq!(text.trim_end(), expected);
    }
}
