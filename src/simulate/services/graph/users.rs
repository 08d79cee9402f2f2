//! Users: list, one user, delta rounds, and the apps that people have in Teams.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::{Answer, allowed, context_of, error, odata, page, paged, position, seeded, size, within};
use crate::answer::{self, Call as Request};
use crate::manifest::Table;
use crate::tenant::instant::{DAY, date};
use crate::tenant::people::{self, Person, State};
use crate::tenant::teams;
use crate::world::World;

/// What a user is told with unless `$select` chooses.
const USUAL: &str = "businessPhones,displayName,givenName,id,jobTitle,mail,mobilePhone,officeLocation,preferredLanguage,\
                     surname,userPrincipalName";
/// How long a delta token lasts.
const TOKENS_LAST: i64 = 7 * DAY;

/// What was told: keys of rows of the lake.
#[derive(Debug, Default)]
struct Told {
    users: Mutex<BTreeSet<String>>,
    apps: Mutex<BTreeSet<String>>,
    /// For each day, the instant at which people's apps were asked for last.
    days: Mutex<BTreeMap<String, i64>>,
}

impl Told {
    /// Notes the people of a list or round that was told to its end. A round also tells of those who are gone, some of whom came
    /// after the list.
    fn users(&self, of: &[(Person, State)], now: i64) {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.extend(of.iter().map(|(person, _)| format!("{}|{}", person.id, date(now))));
    }
}

pub(super) fn answer(request: &Request, path: &[&str]) -> Answer {
    let unit = 2_i64 + i64::from(request.parameter("$expand").is_some()) - i64::from(request.parameter("$select").is_some());
    for _ in 0..unit.max(1) {
        within(request, "users", 3500, 10)?;
    }
    match *path {
        [] => list(request),
        ["delta" | "delta()" | "microsoft.graph.delta()"] => delta(request),
        [id] => one(request, id),
        [id, "teamwork", "installedApps"] => apps(request, id),
        [id, "licenseDetails"] => licences(request, id),
        _ => Err(error(request, 400, "BadRequest", &format!("Resource not found for the segment '{}'.", path.join("/")))),
    }
}

fn may_read(request: &Request) -> Result<(), Box<Response>> {
    allowed(request, &["User.Read.All", "Directory.Read.All"]).map(drop)
}

/// A person as the request wants to see them.
fn seen(request: &Request, (select, expand): (&str, &str), person: &Person, edition: i64) -> Value {
    let seeded = seeded(&request.world);
    let mut user = odata::selected(people::properties(seeded, person, edition), Some(select));
    if expand.starts_with("manager")
        && let Some(manager) = people::manager(seeded, person, edition)
    {
        user["manager"] = json!({
            "@odata.type": "#microsoft.graph.user", "id": manager.id, "displayName": manager.display_name,
            "userPrincipalName": manager.principal,
        });
    }
    user
}

fn list(request: &Request) -> Answer {
    may_read(request)?;
    let (offset, now) = position(request)?;
    let mut present = people::everyone(seeded(&request.world), now);
    present.retain(|(_, state)| matches!(state, State::Present { .. }));
    present.sort_by(|a, b| a.0.id.cmp(&b.0.id));
    let choice = (request.parameter("$select").unwrap_or(USUAL), request.parameter("$expand").unwrap_or_default());
    let (range, next) = paged(request, &present, (offset, now), size(request, 100, 999)?);
    if next.is_none() {
        request.world.state::<Told>().users(&present, now);
    }
    let users = present[range].iter().map(|(person, state)| match state {
        State::Present { edition } => seen(request, choice, person, *edition),
        _ => Value::Null,
    });
    Ok(page(request, "users", users.collect(), next))
}

/// The person of an id or a principal name.
fn find(request: &Request, name: &str) -> Result<(Person, i64), Box<Response>> {
    let everyone = people::everyone(seeded(&request.world), request.world.now());
    let found = everyone.into_iter().find_map(|(person, state)| match state {
        State::Present { edition } if person.id.eq_ignore_ascii_case(name) || person.principal.eq_ignore_ascii_case(name) => {
            Some((person, edition))
        }
        _ => None,
    });
    let message = format!("Resource '{name}' does not exist or one of its queried reference-property objects are not present.");
    found.ok_or_else(|| error(request, 404, "Request_ResourceNotFound", &message))
}

fn one(request: &Request, id: &str) -> Answer {
    may_read(request)?;
    let (person, edition) = find(request, id)?;
    let choice = (request.parameter("$select").unwrap_or(USUAL), request.parameter("$expand").unwrap_or_default());
    let mut user = seen(request, choice, &person, edition);
    user["@odata.context"] = json!(context_of(request, "users/$entity"));
    Ok(answer::json(StatusCode::OK, &user))
}

fn licences(request: &Request, id: &str) -> Answer {
    may_read(request)?;
    let (person, edition) = find(request, id)?;
    let licences = people::properties(seeded(&request.world), &person, edition);
    let licences =
        licences["assignedLicenses"].as_array().into_iter().flatten().map(
            |licence| json!({"id": licence["skuId"], "skuId": licence["skuId"], "skuPartNumber": "SPE_E3", "servicePlans": []}),
        );
    Ok(page(request, &format!("users('{}')/licenseDetails", person.id), licences.collect(), None))
}

/// One round of changes. Its token says since when (0: everything), as of when it is told, and where its page begins.
/// What was chosen in the first request stays in the links, as the service's tokens hold it.
fn delta(request: &Request) -> Answer {
    may_read(request)?;
    let now = request.world.now();
    let invalid = || error(request, 400, "Directory_InvalidDeltaToken", "The delta token is invalid.");
    let (since, as_of, offset) = match (request.parameter("$skiptoken"), request.parameter("$deltatoken")) {
        (Some(token), _) => match odata::read_token(token, 3).ok_or_else(invalid)?[..] {
            [since, as_of, offset] => (since, as_of, offset),
            _ => return Err(invalid()),
        },
        (None, Some("latest")) => {
            let link = odata::link(request, &[], &[("$deltatoken", &odata::token(&[now]))]);
            let body = json!({"@odata.context": context_of(request, "users"), "@odata.deltaLink": link, "value": []});
            return Ok(answer::json(StatusCode::OK, &body));
        }
        (None, Some(token)) => (odata::read_token(token, 1).ok_or_else(invalid)?[0], now, 0),
        (None, None) => (0, now, 0),
    };
    if since > 0 && (since < now - TOKENS_LAST || since > now || request.world.settings.delta_resync) {
        let mut response =
            error(request, 410, "resyncRequired", "The delta token is too old. Please synchronize again from the start.");
        let location = odata::link(request, &["$skiptoken", "$deltatoken"], &[]);
        if let Ok(location) = HeaderValue::from_str(&location) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        return Err(response);
    }
    let changes = changes(request, since, as_of);
    let offset = usize::try_from(offset).unwrap_or(0).min(changes.len());
    let end = (offset + size(request, 100, 999)?).min(changes.len());
    let select = request.parameter("$select").unwrap_or(USUAL);
    let choice = (select, request.parameter("$expand").unwrap_or_default());
    let values = changes[offset..end].iter().map(|(person, state, edition)| match state {
        State::Present { .. } => {
            let mut user = seen(request, ("", ""), person, *edition);
            if let (Some(into), Value::Object(user)) = (user.as_object_mut(), seen(request, (choice.0, ""), person, *edition)) {
                // Properties that were never set are left out; what was cleared is null.
                into.extend(user.into_iter().filter(|(_, value)| since > 0 || !value.is_null()));
            }
            if choice.1.starts_with("manager")
                && let Some(manager) = people::manager(seeded(&request.world), person, *edition)
            {
                user["manager@delta"] = json!([{"@odata.type": "#microsoft.graph.user", "id": manager.id}]);
            }
            user
        }
        State::Deleted => json!({"id": person.id, "@removed": {"reason": "changed"}}),
        _ => json!({"id": person.id, "@removed": {"reason": "deleted"}}),
    });
    let values: Vec<Value> = values.collect();
    let mut body = json!({"@odata.context": context_of(request, "users")});
    if end < changes.len() {
        let token = odata::token(&[since, as_of, end as i64]);
        body["@odata.nextLink"] = json!(odata::link(request, &["$deltatoken"], &[("$skiptoken", &token)]));
    } else {
        body["@odata.deltaLink"] = json!(odata::link(request, &["$skiptoken"], &[("$deltatoken", &odata::token(&[as_of]))]));
        let told: Vec<(Person, State)> = changes.iter().map(|(person, state, _)| (person.clone(), *state)).collect();
        request.world.state::<Told>().users(&told, as_of);
    }
    body["value"] = Value::Array(values);
    Ok(answer::json(StatusCode::OK, &body))
}

/// Who changed, in the order of a round. Some appear twice, first as they were: the last one counts.
fn changes(request: &Request, since: i64, as_of: i64) -> Vec<(Person, State, i64)> {
    let seeded = seeded(&request.world);
    let mut changes = Vec::new();
    let mut again = Vec::new();
    for (person, state) in people::everyone(seeded, as_of) {
        let before = if since > 0 { people::state(seeded, &person, since) } else { State::Absent };
        match state {
            _ if state == before || state == State::Absent => {}
            State::Present { edition } => {
                if seeded.rng("told twice", &[person.name[0], edition]).percent(8) {
                    again.push((person.clone(), state, edition - 1));
                }
                changes.push((person, state, edition));
            }
            // Who was gone before the first round is not told of.
            _ if since > 0 => changes.push((person, state, 0)),
            _ => {}
        }
    }
    again.extend(changes);
    again
}

/// The apps that a person has in Teams.
fn apps(request: &Request, name: &str) -> Answer {
    allowed(request, &["TeamsAppInstallation.ReadForUser.All"])?;
    within(request, "installed apps", 30, 1)?;
    let (person, _) = find(request, name)?;
    let seeded = seeded(&request.world);
    if let Some((status, code)) = teams::without_teams(seeded, &person) {
        return Err(error(request, status, code, "The user is not licensed for Teams, or has no mailbox."));
    }
    let now = request.world.now();
    let expand = request.parameter("$expand").unwrap_or_default();
    let apps: Vec<Value> = teams::person_apps(seeded, &person, now).into_iter().map(|app| expanded(app, expand)).collect();
    let keys = apps.iter().filter_map(|app| app["id"].as_str()).map(|id| format!("{}|{id}|{}", person.id, date(now)));
    let told = request.world.state::<Told>();
    told.days.lock().unwrap_or_else(PoisonError::into_inner).insert(date(now), now);
    told.apps.lock().unwrap_or_else(PoisonError::into_inner).extend(keys);
    Ok(page(request, &format!("users('{}')/teamwork/installedApps(teamsAppDefinition(),teamsApp())", person.id), apps, None))
}

/// An installation with only those of its parts that `$expand` names.
pub(super) fn expanded(mut app: Value, expand: &str) -> Value {
    if let Some(app) = app.as_object_mut() {
        app.retain(|name, _| name == "id" || expand.split(',').any(|part| part.trim() == name));
    }
    app
}

/// Users on each day on which they were told; the apps of all people on each day on which one's were.
pub(super) fn truth(world: &World) -> Vec<Table> {
    let told = world.state::<Told>();
    let table = |name, key: &[&str], rows: &Mutex<BTreeSet<String>>| {
        let mut table = Table::new(name, key);
        for row in rows.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            table.row(row, None);
        }
        table
    };
    let users = table("Users", &["id", "snapshotDate"], &told.users);
    let mut apps = table("UserTeamsApps", &["userId", "id", "snapshotDate"], &told.apps);
    for (day, now) in told.days.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        for (person, state) in people::everyone(seeded(world), *now) {
            let licensed = teams::without_teams(seeded(world), &person).is_none();
            if matches!(state, State::Present { .. }) && licensed {
                for app in teams::person_apps(seeded(world), &person, *now) {
                    apps.row(format!("{}|{}|{day}", person.id, app["id"].as_str().unwrap_or_default()), None);
                }
            }
        }
    }
    [users, apps].into_iter().filter(|table| table.count > 0).collect()
}
