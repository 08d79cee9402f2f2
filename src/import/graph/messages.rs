//! Messages of channels, as they come without their texts: what is known of each, and what its text is like.

use crate::convert::DateOrder;
use crate::fields::FieldMap;
use crate::row::{Cell, Row};
use kqlake_lake::tables::find;
use kqlake_value::json::checked::Members;

/// Maps channel messages.
pub(crate) struct Messages {
    fields: Option<FieldMap>,
}

impl Default for Messages {
    fn default() -> Self {
        Self { fields: find("ChannelMessages").map(|table| FieldMap::new(table, &[])) }
    }
}

impl Messages {
    /// True for a message whose text was looked at. What has its body still is none: texts are not taken.
    pub(crate) fn is_message(members: &Members<'_>) -> bool {
        let said = members.text("@odata.type").unwrap_or_default();
        said.to_ascii_lowercase().ends_with(".chatmessage") && members.has("textLength") && !members.has("body")
    }

    /// The row of a message.
    pub(crate) fn row(&mut self, members: &Members<'_>) -> Result<Row<'static>, String> {
        let fields = self.fields.as_mut().ok_or("there is no table ChannelMessages")?;
        let mut row = fields.row(members, DateOrder::Unknown, &mut |_, _| {}).into_owned();
        for column in ["teamId", "channelId", "id"] {
            if row.get(column).is_null() {
                return Err(format!("the message has no {column}"));
            }
        }
        if row.get("createdDateTime").is_null() {
            return Err("the message has no time that can be read".into());
        }
        if row.get("lastModifiedDateTime").is_null() {
            let created = row.get("createdDateTime").clone();
            row.set("lastModifiedDateTime", created);
        }
        row.set("isReply", Cell::Bool(!row.get("replyToId").is_null()));
        row.set("isDeleted", Cell::Bool(!row.get("deletedDateTime").is_null()));
        Ok(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_no_text_and_say_when_they_changed_last() {
        let text = r##"{"@odata.type":"#microsoft.graph.chatMessage","teamId":"t","channelId":"19:c","id":"1","replyToId":null,"createdDateTime":"2026-01-05T00:00:00Z","lastModifiedDateTime":null,"deletedDateTime":"2026-01-06T00:00:00Z","textLength":0,"keywords":[],"reactions":{"like":2},"reactionCount":2}"##;
        let members = Members::parse(text).unwrap();
        assert!(Messages::is_message(&members));
        let row = Messages::default().row(&members).unwrap();
        assert_eq!(row.get("lastModifiedDateTime"), row.get("createdDateTime"));
        assert_eq!((row.get("isReply"), row.get("isDeleted")), (&Cell::Bool(false), &Cell::Bool(true)));
        assert_eq!(row.get("reactions"), &Cell::Json(r#"{"like":2}"#.into()));
        for (from, to) in [(r#""teamId":"t","#, ""), (r#""id":"1","#, ""), ("2026-01-05T00:00:00Z", "")] {
            let text = text.replace(from, to);
            assert!(Messages::default().row(&Members::parse(&text).unwrap()).is_err(), "{text}");
        }
        let raw = text.replace("\"textLength\":0", "\"body\":{}");
        assert!(!Messages::is_message(&Members::parse(&raw).unwrap()));
    }
}
