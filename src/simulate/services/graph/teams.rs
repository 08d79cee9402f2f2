//! Teams with their channels, members and apps, groups that are teams, and the messages of channels.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::users::expanded;
use super::{Answer, allowed, context_of, error, odata, page, paged, position, seeded, size, within};
use crate::answer::{self, Call as Request};
use crate::manifest::Table;
use crate::services::covered_range::CoveredRange;
use crate::tenant::chat;
use crate::tenant::instant::{self, DAY, date};
use crate::tenant::teams::{self, Channel, Team};
use crate::world::World;

/// What was asked for.
#[derive(Debug, Default)]
struct QueriedRanges {
    /// For each table and day, the instant at which it was asked for last.
    days: Mutex<BTreeMap<(&'static str, String), i64>>,
    /// The time of which channels' messages were told.
    messages: CoveredRange,
}

impl QueriedRanges {
    fn note(&self, table: &'static str, now: i64) {
        self.days.lock().unwrap_or_else(PoisonError::into_inner).insert((table, date(now)), now);
    }
}

pub(super) fn answer(request: &Request, path: &[&str]) -> Answer {
    match *path {
        [] => list(request),
        [id, ref rest @ ..] => {
            let now = request.world.now();
            let found = teams::team(seeded(&request.world), id, now);
            let missing = || error(request, 404, "NotFound", &format!("No team found with Group Id {id}"));
            of_team(request, &found.ok_or_else(missing)?, rest)
        }
    }
}

fn of_team(request: &Request, team: &Team, path: &[&str]) -> Answer {
    let seeded = seeded(&request.world);
    let tenant = &request.world.registration.tenant;
    let now = request.world.now();
    match *path {
        [] => {
            allowed(request, &["Team.ReadBasic.All", "Group.Read.All"])?;
            within(request, "team", 30, 1)?;
            let mut body = json!({"@odata.context": context_of(request, "teams/$entity")});
            if let (Some(body), Value::Object(properties)) = (body.as_object_mut(), teams::team_properties(seeded, team, true)) {
                body.extend(properties);
            }
            Ok(answer::json(StatusCode::OK, &body))
        }
        ["channels" | "allChannels"] => {
            allowed(request, &["Channel.ReadBasic.All", "Group.Read.All"])?;
            within(request, "channels", 60, 1)?;
            let channels = teams::channels(seeded, team);
            let values: Vec<Value> = channels.iter().map(|channel| teams::channel_properties(tenant, team, channel)).collect();
            collection(request, "TeamChannels", format!("teams('{}')/channels", team.id), values)
        }
        ["primaryChannel"] => {
            allowed(request, &["Channel.ReadBasic.All", "Group.Read.All"])?;
            let channels = teams::channels(seeded, team);
            let channel = channels.first().map(|channel| teams::channel_properties(tenant, team, channel));
            Ok(answer::json(StatusCode::OK, &channel.unwrap_or_default()))
        }
        ["members"] => {
            allowed(request, &["TeamMember.Read.All", "Group.Read.All"])?;
            within(request, "members", 60, 1)?;
            collection(request, "TeamMembers", format!("teams('{}')/members", team.id), teams::members(seeded, tenant, team))
        }
        ["installedApps"] => {
            allowed(request, &["TeamsAppInstallation.ReadForTeam.All", "Group.Read.All"])?;
            within(request, "installed apps", 30, 1)?;
            let expand = request.parameter("$expand").unwrap_or_default();
            let apps = teams::team_apps(seeded, team).into_iter().map(|app| expanded(app, expand)).collect();
            collection(request, "TeamApps", format!("teams('{}')/installedApps", team.id), apps)
        }
        ["channels", channel, ref rest @ ..] => {
            let found = teams::channels(seeded, team).into_iter().find(|other| other.id == channel);
            let channel = found.ok_or_else(|| error(request, 404, "NotFound", &format!("Channel '{channel}' was not found.")))?;
            match *rest {
                [] => {
                    allowed(request, &["Channel.ReadBasic.All", "Group.Read.All"])?;
                    Ok(answer::json(StatusCode::OK, &teams::channel_properties(tenant, team, &channel)))
                }
                ["members"] => {
                    allowed(request, &["ChannelMember.Read.All"])?;
                    let members = teams::members(seeded, tenant, team);
                    Ok(page(request, &format!("teams('{}')/channels('{}')/members", team.id, channel.id), members, None))
                }
                ["messages", "delta" | "delta()"] => messages(request, team, &channel, now),
                ["messages", message, "replies"] => replies(request, team, &channel, message),
                _ => Err(error(request, 400, "BadRequest", "Resource not found for the segment.")),
            }
        }
        _ => Err(error(request, 400, "BadRequest", &format!("Resource not found for the segment '{}'.", path.join("/")))),
    }
}

fn list(request: &Request) -> Answer {
    allowed(request, &["Team.ReadBasic.All", "Group.Read.All"])?;
    within(request, "teams", 30, 1)?;
    let (offset, now) = position(request)?;
    let teams = teams::teams(seeded(&request.world), now);
    let (range, next) = paged(request, &teams, (offset, now), size(request, 100, 999)?);
    if next.is_none() {
        request.world.state::<QueriedRanges>().note("Teams", now);
    }
    let values = teams[range]
        .iter()
        .map(|team| odata::selected(teams::team_properties(seeded(&request.world), team, false), request.parameter("$select")));
    Ok(page(request, "teams", values.collect(), next))
}

/// A list that belongs to a team.
fn collection(request: &Request, table: &'static str, context: String, values: Vec<Value>) -> Answer {
    let (offset, now) = position(request)?;
    let (range, next) = paged(request, &values, (offset, now), size(request, 100, 999)?);
    if next.is_none() {
        request.world.state::<QueriedRanges>().note(table, now);
    }
    let mut body = json!({"@odata.context": context_of(request, &context), "@odata.count": values.len()});
    if let Some(next) = next {
        body["@odata.nextLink"] = json!(next);
    }
    body["value"] = json!(values[range]);
    Ok(answer::json(StatusCode::OK, &body))
}

/// The older way to list teams: groups that are provisioned as such.
pub(super) fn groups(request: &Request) -> Answer {
    allowed(request, &["Group.Read.All", "Directory.Read.All"])?;
    let filtered = request.parameter("$filter").is_some_and(|filter| filter.contains("resourceProvisioningOptions"));
    let (offset, now) = position(request)?;
    let mut groups: Vec<Value> = teams::teams(seeded(&request.world), now)
        .iter()
        .map(|team| {
            json!({"id": team.id, "displayName": team.display_name, "mail": null, "resourceProvisioningOptions": ["Team"]})
        })
        .collect();
    if !filtered {
        groups.push(json!({
            "id": seeded(&request.world).guid("group", &[0]), "displayName": "A group", "mail": null,
            "resourceProvisioningOptions": [],
        }));
    }
    let (range, next) = paged(request, &groups, (offset, now), size(request, 100, 999)?);
    let values = groups[range].iter().map(|group| odata::selected(group.clone(), request.parameter("$select")));
    Ok(page(request, "groups", values.collect(), next))
}

/// How far back the first round of a channel's messages goes, unless it says so.
const FIRST_ROUND: i64 = 30 * DAY;
/// How long a round's token lasts.
const TOKENS_LAST: i64 = 30 * DAY;

/// The replies to a message.
fn replies(request: &Request, team: &Team, channel: &Channel, message: &str) -> Answer {
    allowed(request, &["ChannelMessage.Read.All", "Group.Read.All"])?;
    within(request, &format!("messages {}", team.id), 4, 1)?;
    within(request, "messages", 30, 1)?;
    let (offset, now) = position(request)?;
    let seeded = seeded(&request.world);
    let tenant = &request.world.registration.tenant;
    let replies = chat::replies(seeded, team, channel, message, now);
    let (range, next) = paged(request, &replies, (offset, now), size(request, 20, 50)?);
    let values = replies[range].iter().map(|reply| chat::record(seeded, tenant, team, channel, reply, now)).collect();
    let context = format!("teams('{}')/channels('{}')/messages('{message}')/replies", team.id, channel.id);
    Ok(page(request, &context, values, next))
}

/// One round of a channel's messages: new ones and changed ones, without replies, which make the message that they are to a changed one.
fn messages(request: &Request, team: &Team, channel: &Channel, now: i64) -> Answer {
    allowed(request, &["ChannelMessage.Read.All", "Group.Read.All"])?;
    within(request, &format!("messages {}", team.id), 4, 1)?;
    within(request, "messages", 30, 1)?;
    let invalid = || -> Box<Response> { error(request, 400, "BadRequest", "Badly formed token.") };
    let (since, as_of, offset) = match (request.parameter("$skiptoken"), request.parameter("$deltatoken")) {
        (Some(token), _) => match odata::read_token(token, 3).ok_or_else(invalid)?[..] {
            [since, as_of, offset] => (since, as_of, offset),
            _ => return Err(invalid()),
        },
        (None, Some(token)) => (odata::read_token(token, 1).ok_or_else(invalid)?[0], now, 0),
        (None, None) => {
            let filter = odata::conditions(request.parameter("$filter").unwrap_or_default());
            let filter = filter.map_err(|why| error(request, 400, "BadRequest", &why))?;
            let from = match filter.first() {
                None => now - FIRST_ROUND,
                Some(condition) if condition.property == "lastModifiedDateTime" && condition.operator == "gt" => {
                    instant::parse(&condition.value).ok_or_else(invalid)?
                }
                Some(_) => return Err(error(request, 400, "BadRequest", "Only lastModifiedDateTime gt is supported.")),
            };
            (from, now, 0)
        }
    };
    if since < now - TOKENS_LAST - DAY {
        return Err(error(request, 410, "syncStateNotFound", "The sync state is too old; start again without a token."));
    }
    let seeded = seeded(&request.world);
    let messages = chat::threads_between(seeded, team, channel, since, as_of);
    let offset = usize::try_from(offset).unwrap_or(0).min(messages.len());
    let end = (offset + size(request, 20, 50)?).min(messages.len());
    let tenant = &request.world.registration.tenant;
    let values = messages[offset..end].iter().map(|message| chat::record(seeded, tenant, team, channel, message, as_of));
    let context = format!("Collection(microsoft.graph.chatMessage)/teams('{}')/channels('{}')/messages", team.id, channel.id);
    let mut body = json!({"@odata.context": context_of(request, &context), "@odata.count": end - offset});
    if end < messages.len() {
        let token = odata::token(&[since, as_of, end as i64]);
        body["@odata.nextLink"] = json!(odata::link(request, &["$deltatoken"], &[("$skiptoken", &token)]));
    } else {
        let token = odata::token(&[as_of]);
        body["@odata.deltaLink"] = json!(odata::link(request, &["$skiptoken", "$filter"], &[("$deltatoken", &token)]));
        request.world.state::<QueriedRanges>().messages.add(since..as_of, as_of);
    }
    body["value"] = values.collect();
    Ok(answer::json(StatusCode::OK, &body))
}

/// All teams, and of all teams what was asked for of one, on each day; and the messages of all channels.
pub(super) fn truth(world: &World) -> Vec<Table> {
    let asked = world.state::<QueriedRanges>();
    let seeded = seeded(world);
    let mut tables: BTreeMap<&str, Table> = BTreeMap::new();
    for ((name, day), now) in asked.days.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let key: &[&str] = if *name == "Teams" { &["id", "snapshotDate"] } else { &["teamId", "id", "snapshotDate"] };
        let table = tables.entry(name).or_insert_with(|| Table::new(name, key));
        for team in teams::teams(seeded, *now) {
            let ids: Vec<String> = match *name {
                "TeamChannels" => teams::channels(seeded, &team).into_iter().map(|channel| channel.id).collect(),
                "TeamMembers" => ids(&teams::members(seeded, "", &team)),
                "TeamApps" => ids(&teams::team_apps(seeded, &team)),
                _ => {
                    table.row(format!("{}|{day}", team.id), None);
                    continue;
                }
            };
            for id in ids {
                table.row(format!("{}|{id}|{day}", team.id), None);
            }
        }
    }
    let mut tables: Vec<Table> = tables.into_values().collect();
    if let Some((time, now)) = asked.messages.get() {
        let mut table = Table::new("ChannelMessages", &["teamId", "channelId", "id"]);
        for team in teams::teams(seeded, now) {
            for channel in teams::channels(seeded, &team) {
                // With a message that changed come all of its replies.
                for message in chat::threads_between(seeded, &team, &channel, time.start, time.end) {
                    let replies = chat::replies(seeded, &team, &channel, &message.id, time.end);
                    for id in replies.into_iter().map(|reply| reply.id).chain([message.id]) {
                        table.row(format!("{}|{}|{id}", team.id, channel.id), None);
                    }
                }
            }
        }
        tables.push(table);
    }
    tables
}

fn ids(values: &[Value]) -> Vec<String> {
    values.iter().filter_map(|value| value["id"].as_str().map(str::to_owned)).collect()
}
