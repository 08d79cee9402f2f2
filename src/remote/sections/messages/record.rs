//! A message as it goes on: what is known of it, and what its text is like, but not the text.

use serde_json::{Map, Value, json};

use super::analysis::Analysis;
use super::text;

/// Members that are handed on as the service has them.
const KEPT: [&str; 10] = [
    "id",
    "replyToId",
    "messageType",
    "createdDateTime",
    "lastModifiedDateTime",
    "lastEditedDateTime",
    "deletedDateTime",
    "importance",
    "locale",
    "webUrl",
];

/// A message without its text; with it where that is kept.
pub(super) fn reduced(message: &Value, (team, channel): (&str, &str), keep_text: bool) -> Value {
    let mut row = Map::new();
    row.insert("@odata.type".to_owned(), json!("#microsoft.graph.chatMessage"));
    row.insert("teamId".to_owned(), json!(team));
    row.insert("channelId".to_owned(), json!(channel));
    for name in KEPT {
        row.insert(name.to_owned(), message.get(name).cloned().unwrap_or_default());
    }
    author(message, &mut row);
    let (reactions, count) = reactions(message);
    row.insert("reactions".to_owned(), reactions);
    row.insert("reactionCount".to_owned(), json!(count));
    let length = |name: &str| message.get(name).and_then(Value::as_array).map_or(0, Vec::len);
    row.insert("mentionCount".to_owned(), json!(length("mentions")));
    row.insert("attachmentCount".to_owned(), json!(length("attachments")));
    let body = message.get("body").unwrap_or(&Value::Null);
    let content = body.get("content").and_then(Value::as_str).unwrap_or_default();
    let is_html = body.get("contentType").and_then(Value::as_str).is_some_and(|kind| kind.eq_ignore_ascii_case("html"));
    let plain = if is_html { text::plain(content) } else { content.to_owned() };
    let analysis = Analysis::of(&plain);
    row.insert("textLength".to_owned(), json!(analysis.characters));
    row.insert("wordCount".to_owned(), json!(analysis.words));
    row.insert("language".to_owned(), json!(analysis.language.map(|(code, _)| code)));
    row.insert("languageConfidence".to_owned(), json!(analysis.language.map(|(_, confidence)| confidence)));
    row.insert("sentiment".to_owned(), json!(analysis.sentiment));
    row.insert("keywords".to_owned(), json!(analysis.keywords));
    if keep_text {
        row.insert("subject".to_owned(), message.get("subject").cloned().unwrap_or_default());
        row.insert("text".to_owned(), json!(plain));
    }
    Value::Object(row)
}

/// Who wrote it: a person, or an app.
fn author(message: &Value, row: &mut Map<String, Value>) {
    let from = message.get("from").and_then(Value::as_object);
    let found = ["user", "application", "device"].into_iter().find_map(|kind| Some((kind, from?.get(kind)?.as_object()?)));
    let text = |name: &str| found.and_then(|(_, who)| who.get(name)).cloned().unwrap_or_default();
    row.insert("authorId".to_owned(), text("id"));
    row.insert("authorName".to_owned(), text("displayName"));
    row.insert("authorType".to_owned(), json!(found.map(|(kind, _)| kind)));
}

/// How often each reaction was given, and how many there are. Who reacted is not kept.
fn reactions(message: &Value) -> (Value, usize) {
    let all = message.get("reactions").and_then(Value::as_array);
    let mut counts: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    for reaction in all.into_iter().flatten() {
        *counts.entry(reaction.get("reactionType").and_then(Value::as_str).unwrap_or("unknown")).or_default() += 1;
    }
    let count = counts.values().sum();
    (json!(counts), count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_goes_on_without_its_text() {
        let message = json!({
            "id": "17", "replyToId": null, "createdDateTime": "2026-01-05T00:00:00Z", "subject": "canary subject",
            "summary": "canary", "from": {"application": null, "user": {"id": "u", "displayName": "Amy"}},
            "body": {"contentType": "html", "content": "<p>A canary sings. It is a wonderful, lovely song.</p>"},
            "mentions": [{"mentionText": "canary"}], "attachments": [{"name": "canary.docx", "content": "canary"}],
            "reactions": [{"reactionType": "like", "displayName": "canary"}, {"reactionType": "like"}, {"reactionType": "sad"}],
            "messageHistory": ["canary"], "eventDetail": {"x": "canary"},
        });
        let row = reduced(&message, ("t", "c"), false);
        let mut without = row.clone();
        assert!(without["keywords"].take().to_string().contains("canary"));
        assert!(!without.to_string().contains("canary"), "{without}");
        assert_eq!((&row["authorId"], &row["authorType"], &row["teamId"]), (&json!("u"), &json!("user"), &json!("t")));
        assert_eq!((&row["reactions"], &row["reactionCount"]), (&json!({"like": 2, "sad": 1}), &json!(3)));
        assert_eq!((&row["mentionCount"], &row["attachmentCount"], &row["wordCount"]), (&json!(1), &json!(1), &json!(9)));
        assert!(row["sentiment"].as_f64().is_some_and(|score| score > 0.3), "{row}");
        let kept = reduced(&message, ("t", "c"), true);
        assert_eq!(kept["text"], "A canary sings. It is a wonderful, lovely song.\n");
        assert_eq!(kept["subject"], "canary subject");
        // What has no members goes on as well: whoever reads it says what it lacks.
        assert_eq!(reduced(&Value::Null, ("t", "c"), false)["id"], Value::Null);
    }
}
