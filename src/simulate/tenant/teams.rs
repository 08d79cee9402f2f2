//! Teams with their channels, members and apps, and the apps of people.

use serde_json::{Value, json};

use super::instant::{DAY, zulu};
use super::people::{self, Person};
use super::rng::Seeded;

const NAMES: [&str; 10] =
    ["All Company", "Project", "Sales", "Finance", "IT Helpdesk", "Émigrés & Friends", "Legal", "Warehouse", "Research", "Board"];
const CHANNELS: [&str; 6] = ["Planning", "Board", "Random", "Incidents", "Leads", "Archive"];
const APPS: [(&str, &str); 10] = [
    ("Planner", "store"),
    ("Whiteboard", "store"),
    ("Power BI", "store"),
    ("Polls", "store"),
    ("Contoso Helpdesk", "organization"),
    ("Contoso Lunch", "organization"),
    ("Wiki", "store"),
    ("Approvals", "store"),
    ("Invented Bot", "sideloaded"),
    ("Shifts", "store"),
];

/// A team.
#[derive(Debug, Clone)]
pub(crate) struct Team {
    pub(crate) number: i64,
    pub(crate) id: String,
    pub(crate) display_name: String,
    pub(crate) created: i64,
}

/// A channel of a team.
#[derive(Debug, Clone)]
pub(crate) struct Channel {
    pub(crate) number: i64,
    pub(crate) id: String,
    pub(crate) display_name: String,
    pub(crate) membership: &'static str,
}

/// The teams that there are at an instant. Each seventh place is taken by one team after another, every 50 days.
pub(crate) fn teams(seeded: Seeded, at: i64) -> Vec<Team> {
    (0..seeded.count(6, 3) as i64)
        .map(|place| {
            let turn = if place % 7 == 5 { at.div_euclid(50 * DAY) } else { 0 };
            let created = if turn > 0 { turn * 50 * DAY } else { 1_730_000_000_000_000 + place * DAY };
            let number = place + turn * 1_000_000;
            let name = NAMES[place as usize % NAMES.len()];
            let display_name = if place < NAMES.len() as i64 && turn == 0 { name.to_owned() } else { format!("{name} {number}") };
            Team { number, id: seeded.guid("team", &[number]), display_name, created }
        })
        .collect()
}

/// The team of an id.
pub(crate) fn team(seeded: Seeded, id: &str, at: i64) -> Option<Team> {
    teams(seeded, at).into_iter().find(|team| team.id.eq_ignore_ascii_case(id))
}

/// What a list of teams tells of a team, and what the team itself tells besides.
pub(crate) fn team_properties(seeded: Seeded, team: &Team, whole: bool) -> Value {
    let mut value = json!({
        "id": team.id, "displayName": team.display_name, "description": format!("{} team", team.display_name),
    });
    if whole {
        let mut rng = seeded.rng("team's properties", &[team.number]);
        let members = members(seeded, "", team);
        value["createdDateTime"] = json!(zulu(team.created));
        value["internalId"] = json!(format!("19:{}@thread.tacv2", rng.hex(32)));
        value["classification"] = Value::Null;
        value["specialization"] = json!("none");
        value["visibility"] = json!(rng.pick(&["public", "private", "hiddenMembership"]));
        value["isArchived"] = json!(team.number % 7 == 4);
        value["webUrl"] = json!(format!("https://teams.microsoft.com/l/team/{}", rng.hex(12)));
        value["memberSettings"] = json!({"allowCreateUpdateChannels": true, "allowDeleteChannels": false});
        value["guestSettings"] = json!({"allowCreateUpdateChannels": false, "allowDeleteChannels": false});
        value["messagingSettings"] = json!({"allowUserEditMessages": true, "allowTeamMentions": true});
        value["funSettings"] = json!({"allowGiphy": true, "giphyContentRating": "moderate"});
        value["summary"] = json!({"ownersCount": 1, "membersCount": members.len() - 1, "guestsCount": 0});
    }
    value
}

/// The channels of a team. The first is its general one.
pub(crate) fn channels(seeded: Seeded, team: &Team) -> Vec<Channel> {
    let count = seeded.rng("channels", &[team.number]).between(1, 5);
    (0..count)
        .map(|number| {
            let name = [team.number, number];
            let display_name = if number == 0 { "General" } else { CHANNELS[(team.number + number) as usize % CHANNELS.len()] };
            Channel {
                number,
                id: format!("19:{}@thread.tacv2", seeded.rng("channel", &name).hex(32)),
                display_name: display_name.to_owned(),
                membership: match number {
                    2 => "private",
                    4 => "shared",
                    _ => "standard",
                },
            }
        })
        .collect()
}

/// What a list of channels tells of a channel.
pub(crate) fn channel_properties(tenant: &str, team: &Team, channel: &Channel) -> Value {
    json!({
        "id": channel.id,
        "createdDateTime": zulu(team.created + channel.number * DAY),
        "displayName": channel.display_name,
        "description": null,
        "isFavoriteByDefault": null,
        "email": "",
        "tenantId": tenant,
        "webUrl": format!("https://teams.microsoft.com/l/channel/{}", channel.id.replace(':', "%3A").replace('@', "%40")),
        "membershipType": channel.membership,
        "isArchived": false,
    })
}

/// The members of a team, an owner first.
pub(crate) fn members(seeded: Seeded, tenant: &str, team: &Team) -> Vec<Value> {
    let mut rng = seeded.rng("members", &[team.number]);
    let mut people: Vec<Person> = (0..rng.between(3, 30)).map(|_| people::somebody(seeded, &mut rng)).collect();
    people.sort_by_key(|person| person.name);
    people.dedup_by_key(|person| person.name);
    let mut members = Vec::with_capacity(people.len());
    for (number, person) in people.iter().enumerate() {
        members.push(json!({
            "@odata.type": "#microsoft.graph.aadUserConversationMember",
            "id": seeded.rng("membership", &[team.number, person.name[0]]).hex(48),
            "roles": if number == 0 { json!(["owner"]) } else if person.guest { json!(["guest"]) } else { json!([]) },
            "displayName": person.display_name,
            "visibleHistoryStartDateTime": "0001-01-01T00:00:00Z",
            "userId": person.id,
            "email": person.mail,
            "tenantId": tenant,
        }));
    }
    members
}

/// The apps installed in a team.
pub(crate) fn team_apps(seeded: Seeded, team: &Team) -> Vec<Value> {
    apps(seeded, "team's apps", team.number, 2)
}

/// What asking for a person's apps says of people without Teams: a status and a code.
pub(crate) fn without_teams(seeded: Seeded, person: &Person) -> Option<(u16, &'static str)> {
    match seeded.rng("licence of Teams", &person.name).below(20) {
        0 => Some((403, "Forbidden")),
        1 => Some((404, "NotFound")),
        2 => Some((400, "BadRequest")),
        _ => None,
    }
}

/// The apps of a person. They change a little every ten days.
pub(crate) fn person_apps(seeded: Seeded, person: &Person, at: i64) -> Vec<Value> {
    let mut apps = apps(seeded, "person's apps", person.name[0] * 1000 + person.name[1], 1);
    if seeded.rng("person's app left out", &[person.name[0], at.div_euclid(10 * DAY)]).percent(10) {
        apps.pop();
    }
    apps
}

fn apps(seeded: Seeded, kind: &str, of: i64, least: i64) -> Vec<Value> {
    let mut rng = seeded.rng(kind, &[of]);
    let (first, count) = (rng.below(APPS.len() as u64) as usize, rng.between(least, 6) as usize);
    (0..count)
        .map(|number| {
            let app = (first + number) % APPS.len();
            let (name, method) = APPS[app];
            let id = seeded.guid("app", &[app as i64]);
            let definition = seeded.guid("app's definition", &[app as i64]);
            json!({
                "id": format!("{}==", rng.hex(46)),
                "teamsApp": {
                    "id": id,
                    "externalId": match method {
                        "organization" => json!(seeded.guid("app's external id", &[app as i64])),
                        _ => Value::Null,
                    },
                    "displayName": name,
                    "distributionMethod": method,
                },
                "teamsAppDefinition": {
                    "id": definition, "teamsAppId": id, "displayName": name, "version": format!("1.{}.0", app % 4),
                    "publishingState": "published", "shortDescription": "Invented", "description": "Invented",
                    "lastModifiedDateTime": null, "createdBy": null, "azureADAppId": null,
                    "requiredResourceSpecificApplicationPermissions": [],
                },
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::tenant::instant::parse;

    #[test]
    fn teams_come_and_go_and_hold_what_names_them() {
        let seeded = Seeded { seed: 2, scale: 2.0 };
        let at = parse("2026-01-12T00:00:00Z").unwrap();
        let ids = |at| teams(seeded, at).into_iter().map(|team| team.id).collect::<BTreeSet<String>>();
        assert_eq!(ids(at).len(), 12);
        assert_ne!(ids(at), ids(at + 60 * DAY));
        for team in teams(seeded, at) {
            let channels: BTreeSet<String> = channels(seeded, &team).into_iter().map(|channel| channel.id).collect();
            let members = members(seeded, "t", &team);
            assert!(!channels.is_empty() && members[0]["roles"] == json!(["owner"]), "{members:?}");
            let users: BTreeSet<&str> = members.iter().filter_map(|member| member["userId"].as_str()).collect();
            assert_eq!(users.len(), members.len());
            assert!(team_apps(seeded, &team).len() > 1);
            assert_eq!(super::team(seeded, &team.id, at).map(|team| team.number), Some(team.number));
        }
    }
}
