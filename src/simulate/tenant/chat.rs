//! Messages in channels, with replies, reactions, edits and deletions.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::instant::{DAY, HOUR, MINUTE, date};
use super::people;
use super::rng::{Seeded, SeededRng};
use super::slots;
use super::teams::{Channel, Team};

/// Messages of a working day at the scale 1, in all channels of a team together.
const A_DAY: f64 = 3.0;

const TEXTS: [&str; 10] = [
    "Great work on the release, thank you all!",
    "The warehouse report is wrong again and nobody answers. This is terrible.",
    "Can someone look at the invoices of last month?",
    "Das Treffen ist auf Donnerstag verschoben, bitte bestätigen.",
    "Merci beaucoup, la présentation était excellente.",
    "El informe de ventas está listo para revisar.",
    "Lunch at twelve? \u{1f957}",
    "<p>See <a href=\"https://contoso.sharepoint.com/sites/a\">the plan</a> &amp; comment, please.</p>",
    "Vi har brug for flere oplysninger om ordren.",
    "ok",
];

/// A message in a channel, or a reply to one.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// Milliseconds since 1970 as text, as Teams names messages.
    pub(crate) id: String,
    pub(crate) reply_to: Option<String>,
    pub(crate) created: i64,
    /// When it was edited, reacted to or deleted last.
    changes: Vec<(i64, Change)>,
    name: [i64; 4],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Edited,
    Reacted,
    Deleted,
}

impl Message {
    /// When the message was changed last before an instant.
    pub(crate) fn modified(&self, now: i64) -> i64 {
        self.changes.iter().map(|(at, _)| *at).filter(|at| *at <= now).max().unwrap_or(self.created)
    }

    fn changed(&self, change: Change, now: i64) -> Option<i64> {
        self.changes.iter().find(|(at, of)| *at <= now && *of == change).map(|(at, _)| *at)
    }
}

/// The messages and replies of a channel that were created or changed in a time (the begin excluded, the end included).
pub(crate) fn changed_between(seeded: Seeded, team: &Team, channel: &Channel, from: i64, to: i64) -> Vec<Message> {
    let kind = format!("chat {} {}", team.number, channel.number);
    let mut messages = Vec::new();
    // A message is answered and changed within four days.
    for slot in slots::between(seeded, &kind, A_DAY / (1.0 + channel.number as f64), from - 4 * DAY..to + 1) {
        let name = [team.number, channel.number, slot.hour, slot.number];
        let mut rng = seeded.rng("chat message", &name);
        let root = message(&mut rng, slot.at, name, None);
        let replies = if rng.percent(35) { rng.between(1, 4) } else { 0 };
        for number in 0..replies {
            let at = slot.at + rng.between(2 * MINUTE, DAY);
            messages.push(message(
                &mut rng,
                at,
                [name[0], name[1], slot.hour, slot.number * 100 + number + 50_000],
                Some(root.id.clone()),
            ));
        }
        messages.push(root);
    }
    messages.retain(|message| message.created <= to && from < message.modified(to));
    messages.sort_by_key(|message| (message.modified(to), message.id.clone()));
    messages
}

/// The messages that are no replies and that changed in a time (the begin excluded, the end included), or got replies, or whose replies
/// changed.
pub(crate) fn threads_between(seeded: Seeded, team: &Team, channel: &Channel, from: i64, to: i64) -> Vec<Message> {
    // A message is answered within a day, and a reply is changed within two more.
    let mut messages = changed_between(seeded, team, channel, from - 4 * DAY, to);
    let changed = |message: &Message| from < message.modified(to);
    let answered: BTreeSet<String> =
        messages.iter().filter(|message| changed(message)).filter_map(|message| message.reply_to.clone()).collect();
    messages.retain(|message| message.reply_to.is_none() && (changed(message) || answered.contains(&message.id)));
    messages
}

/// The replies to a message of an id that are there at an instant.
pub(crate) fn replies(seeded: Seeded, team: &Team, channel: &Channel, id: &str, now: i64) -> Vec<Message> {
    let Some(created) = id.parse::<i64>().ok().and_then(|id| id.checked_mul(1000)) else { return Vec::new() };
    let mut messages = changed_between(seeded, team, channel, created - 1, now.min(created + 8 * DAY));
    messages.retain(|message| message.reply_to.as_deref() == Some(id));
    messages
}

fn message(rng: &mut SeededRng, created: i64, name: [i64; 4], reply_to: Option<String>) -> Message {
    let mut changes = Vec::new();
    for (chance, change) in [(10, Change::Edited), (25, Change::Reacted), (4, Change::Deleted)] {
        if rng.percent(chance) {
            changes.push((created + rng.between(MINUTE, 40 * HOUR), change));
        }
    }
    Message { id: (created / 1000).to_string(), reply_to, created, changes, name }
}

/// A message as Graph writes it at an instant.
pub(crate) fn record(seeded: Seeded, tenant: &str, team: &Team, channel: &Channel, message: &Message, now: i64) -> Value {
    let mut rng = seeded.rng("chat message's content", &message.name);
    let author = people::somebody(seeded, &mut rng);
    let text = rng.pick(&TEXTS);
    let deleted = message.changed(Change::Deleted, now);
    let edited = message.changed(Change::Edited, now);
    let content = match (deleted, edited) {
        (Some(_), _) => String::new(),
        (_, Some(_)) => format!("{text} (edited)"),
        _ => text.to_owned(),
    };
    let user = |person: &people::Person| {
        json!({"application": null, "device": null, "user": {
            "@odata.type": "#microsoft.graph.teamworkUserIdentity", "id": person.id, "displayName": person.display_name,
            "userIdentityType": "aadUser", "tenantId": tenant,
        }})
    };
    let reactions = message.changed(Change::Reacted, now).map(|at| {
        let kinds = ["like", "heart", "laugh", "surprised"];
        (0..rng.between(1, 3))
            .map(|_| {
                let by = people::somebody(seeded, &mut rng);
                json!({"reactionType": rng.pick(&kinds), "displayName": null, "createdDateTime": milli(at), "user": user(&by)})
            })
            .collect::<Vec<Value>>()
    });
    let modified = message.modified(now);
    let mentions = if rng.percent(10) {
        json!([{"id": 0, "mentionText": "Amy", "mentioned": user(&people::somebody(seeded, &mut rng))}])
    } else {
        json!([])
    };
    json!({
        "id": message.id,
        "replyToId": message.reply_to,
        "etag": (modified / 1000).to_string(),
        "messageType": "message",
        "createdDateTime": milli(message.created),
        "lastModifiedDateTime": milli(modified),
        "lastEditedDateTime": edited.map(milli),
        "deletedDateTime": deleted.map(milli),
        "subject": if message.reply_to.is_none() && rng.percent(20) { json!("Weekly") } else { Value::Null },
        "summary": null,
        "chatId": null,
        "importance": rng.pick(&["normal", "normal", "normal", "high", "urgent"]),
        "locale": "en-us",
        "webUrl": format!("https://teams.microsoft.com/l/message/{}/{}", channel.id, message.id),
        "policyViolation": null,
        "eventDetail": null,
        "from": user(&author),
        "body": {"contentType": if content.starts_with('<') { "html" } else { "text" }, "content": content},
        "channelIdentity": {"teamId": team.id, "channelId": channel.id},
        "attachments": match rng.percent(8) {
            true => json!([{"id": rng.guid(), "contentType": "reference", "name": format!("plan {}.docx", date(message.created))}]),
            false => json!([]),
        },
        "mentions": mentions,
        "reactions": reactions.unwrap_or_default(),
        "messageHistory": [],
    })
}

fn milli(at: i64) -> String {
    super::instant::text(at, 3) + "Z"
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::tenant::instant::parse;
    use crate::tenant::teams;

    #[test]
    fn rounds_tell_every_message_and_every_change() {
        let seeded = Seeded { seed: 4, scale: 3.0 };
        let end = parse("2026-01-16T18:00:00Z").unwrap();
        let team = &teams::teams(seeded, end)[0];
        let channel = &teams::channels(seeded, team)[0];
        let mut told = BTreeMap::new();
        for round in 0..16 {
            let (from, to) = (end - (16 - round) * 6 * HOUR, end - (15 - round) * 6 * HOUR);
            for message in changed_between(seeded, team, channel, from, to) {
                told.insert(message.id.clone(), record(seeded, "t", team, channel, &message, to).to_string());
            }
        }
        let at_once = changed_between(seeded, team, channel, end - 96 * HOUR, end);
        assert!(at_once.len() > 20 && told.len() == at_once.len(), "{} {}", at_once.len(), told.len());
        for message in at_once {
            assert_eq!(told[&message.id], record(seeded, "t", team, channel, &message, end).to_string());
        }
    }

    #[test]
    fn threads_with_their_replies_are_all_messages() {
        let seeded = Seeded { seed: 4, scale: 3.0 };
        let end = parse("2026-01-16T18:00:00Z").unwrap();
        let team = &teams::teams(seeded, end)[0];
        let channel = &teams::channels(seeded, team)[0];
        let mut told = std::collections::BTreeSet::new();
        for round in 0..16 {
            let (from, to) = (end - (16 - round) * 6 * HOUR, end - (15 - round) * 6 * HOUR);
            for thread in threads_between(seeded, team, channel, from, to) {
                told.extend(replies(seeded, team, channel, &thread.id, to).into_iter().map(|reply| reply.id));
                told.insert(thread.id);
            }
        }
        let all = changed_between(seeded, team, channel, end - 96 * HOUR, end);
        assert!(all.iter().any(|message| message.reply_to.is_some()) && all.iter().all(|message| told.contains(&message.id)));
    }
}
