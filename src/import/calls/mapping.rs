//! Call records to rows of `CallRecords`, `CallSessions` and `CallSegments`.
//!
//! A record is rewritten by the service as more is known of a call; rows carry its `version`, and the newest one wins. Rows of a record
//! that lists all its sessions say so ([`IS_WHOLE`]), those of segments where it lists theirs as well: sessions and segments that it
//! has no more then leave the table.
//! `Raw` of a record leaves its sessions out, that of a session its segments: these have rows, and a `Raw`, of their own.

use std::borrow::Cow;

use crate::convert::DateOrder;
use crate::fields::{FieldMap, nested, nested_text, without};
use crate::row::{Cell, Row};
use kqlake_lake::tables::{IS_WHOLE, find};
use kqlake_value::json::checked::{Members, elements};

/// Maps call records.
pub(crate) struct Calls {
    tables: Option<Tables>,
}

struct Tables {
    records: FieldMap,
    sessions: FieldMap,
    segments: FieldMap,
}

impl Default for Calls {
    fn default() -> Self {
        let map = |name| find(name).map(|table| FieldMap::new(table, &[]));
        let tables = match (map("CallRecords"), map("CallSessions"), map("CallSegments")) {
            (Some(records), Some(sessions), Some(segments)) => Some(Tables { records, sessions, segments }),
            _ => None,
        };
        Self { tables }
    }
}

impl Calls {
    /// True for a call record.
    pub(crate) fn is_record(members: &Members<'_>) -> bool {
        members.has("id")
            && members.has("startDateTime")
            && (members.has("version") || members.has("sessions"))
            && ["modalities", "sessions", "organizer", "organizer_v2", "participants", "participants_v2", "joinWebUrl"]
                .iter()
                .any(|m| members.has(m))
    }

    /// True for a session, as pages of a record's sessions carry them.
    pub(crate) fn is_session(members: &Members<'_>) -> bool {
        members.has("id")
            && members.has("startDateTime")
            && members.has("caller")
            && members.has("callee")
            && !members.has("media")
    }

    /// Rows of a record, its sessions and their segments.
    pub(crate) fn record(&mut self, members: &Members<'_>) -> Result<Vec<Row<'static>>, String> {
        let tables = self.tables.as_mut().ok_or("there are no tables for call records")?;
        let mut row = own(tables.records.row(members, DateOrder::Unknown, &mut |_, _| {}));
        let id = text_of(&row, "id").ok_or("the call record has no id")?;
        if row.get("startDateTime").is_null() {
            return Err("the call record has no startDateTime that can be read".into());
        }
        if row.get("version").is_null() {
            row.set("version", Cell::Int(0));
        }
        let version = row.get("version").clone();
        let start = row.get("startDateTime").clone();

        // The newer form wraps the identity in a participant.
        let organizer = members
            .get_any_case("organizer_v2")
            .and_then(|o| nested(o, &["identity"]))
            .or_else(|| members.get_any_case("organizer"));
        if let Some(organizer) = organizer {
            set_identity(&mut row, "organizer", organizer);
            row.set("organizerTenantId", identity_text(organizer, "tenantId"));
            row.set("organizer", Cell::raw_json(organizer));
        }
        // The older list ends at 130 and may have none or only some of them.
        let list = |name: &str| members.get_any_case(name).and_then(|text| Some((elements(text).ok()?.len(), text)));
        let lists = [list("participants"), list("participants_v2")];
        if let Some((count, participants)) = lists.into_iter().flatten().max_by_key(|(count, _)| *count) {
            row.set("participantCount", Cell::Int(count as i64));
            row.set("participants", Cell::raw_json(participants));
        }
        let lists_all = matches!(version, Cell::Int(1..)) && lists_all(members, "sessions");
        let sessions = members.get_any_case("sessions").unwrap_or("[]");
        let sessions = elements(sessions).map_err(|error| format!("the call record's sessions are no array: {error}"))?;
        if members.has("sessions") {
            row.set("sessionCount", Cell::Int(sessions.len() as i64));
        }
        row.set("Raw", Cell::raw_json(&without(members, &["sessions"])));
        let mut rows = vec![row];
        let mut lists_segments = lists_all;
        for session in sessions {
            let session =
                Members::parse(session.get()).map_err(|error| format!("a session of the call record is no object: {error}"))?;
            lists_segments &= self::lists_all(&session, "segments");
            tables.session(&session, &id, &version, &start, &mut rows)?;
        }
        for row in &mut rows[1..] {
            let is_session = row.table.name == tables.sessions.table.name;
            if if is_session { lists_all } else { lists_segments } {
                row.set(IS_WHOLE, Cell::Bool(true));
            }
        }
        Ok(rows)
    }

    /// Rows of a session and its segments, given the call that its page belongs to.
    ///
    /// Such a page does not say the record's version: its rows count as older than any that do.
    pub(crate) fn session(&mut self, members: &Members<'_>, call: &str) -> Result<Vec<Row<'static>>, String> {
        let tables = self.tables.as_mut().ok_or("there are no tables for call records")?;
        let mut rows = Vec::new();
        tables.session(members, call, &Cell::Int(0), &Cell::Null, &mut rows)?;
        Ok(rows)
    }
}

impl Tables {
    fn session(
        &mut self,
        members: &Members<'_>,
        call: &str,
        version: &Cell<'static>,
        call_start: &Cell<'static>,
        rows: &mut Vec<Row<'static>>,
    ) -> Result<(), String> {
        let mut row = own(self.sessions.row(members, DateOrder::Unknown, &mut |_, _| {}));
        let id = text_of(&row, "id").ok_or("a session of the call record has no id")?;
        row.set("callId", Cell::text(call.to_owned()));
        row.set("version", version.clone());
        if row.get("startDateTime").is_null() {
            row.set("startDateTime", call_start.clone());
        }
        if row.get("startDateTime").is_null() {
            return Err("a session has no startDateTime that can be read".into());
        }
        set_failure(&mut row, members);
        for side in ["caller", "callee"] {
            if let Some(endpoint) = members.get_any_case(side) {
                set_endpoint(&mut row, side, endpoint);
            }
        }
        row.set("Raw", Cell::raw_json(&without(members, &["segments"])));
        let start = row.get("startDateTime").clone();
        rows.push(row);
        let segments = members.get_any_case("segments").unwrap_or("[]");
        for segment in elements(segments).map_err(|error| format!("the segments of a session are no array: {error}"))? {
            let members = Members::parse(segment.get()).map_err(|error| format!("a segment is no object: {error}"))?;
            let mut row = own(self.segments.row(&members, DateOrder::Unknown, &mut |_, _| {}));
            if text_of(&row, "id").is_none() {
                return Err("a segment of the call record has no id".into());
            }
            row.set("callId", Cell::text(call.to_owned()));
            row.set("sessionId", Cell::text(id.clone()));
            row.set("version", version.clone());
            if row.get("startDateTime").is_null() {
                row.set("startDateTime", start.clone());
            }
            set_failure(&mut row, &members);
            row.set("Raw", Cell::raw_json(segment.get()));
            rows.push(row);
        }
        Ok(())
    }
}

/// True when an object has all elements of a list: the list is there, and no link to more of them.
fn lists_all(members: &Members<'_>, list: &str) -> bool {
    let link = members.text(&format!("{list}@odata.nextLink"));
    members.get_any_case(list).is_some() && link.is_none_or(|link| link.is_empty())
}

fn own(row: Row<'_>) -> Row<'static> {
    row.into_owned()
}

fn text_of(row: &Row<'_>, column: &str) -> Option<String> {
    row.get(column).as_text().map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned)
}

fn cell(text: Option<String>) -> Cell<'static> {
    text.map_or(Cell::Null, |t| Cell::Text(Cow::Owned(t)))
}

/// Members of an identity set, in the order in which they are read; the others are devices and services.
const IDENTITIES: [&str; 9] = [
    "user",
    "guest",
    "phone",
    "acsUser",
    "azureCommunicationServicesUser",
    "spoolUser",
    "onPremises",
    "applicationInstance",
    "application",
];

/// A field of the first identity of a set that is there.
fn identity_text(set: &str, field: &str) -> Cell<'static> {
    let present = IDENTITIES.iter().find(|kind| nested(set, &[kind]).is_some());
    cell(present.and_then(|kind| nested_text(set, &[kind, field])))
}

fn set_identity(row: &mut Row<'static>, prefix: &str, set: &str) {
    let id = if prefix == "organizer" { "organizerId".to_owned() } else { format!("{prefix}UserId") };
    row.set(&id, identity_text(set, "id"));
    row.set(&format!("{prefix}DisplayName"), identity_text(set, "displayName"));
    row.set(&format!("{prefix}UserPrincipalName"), identity_text(set, "userPrincipalName"));
}

/// What queries ask of an endpoint: who, in which role, with what client, and how the user liked it.
fn set_endpoint(row: &mut Row<'static>, side: &str, endpoint: &str) {
    // `associatedIdentity` is one identity, the older `identity` a set of them.
    if let Some(identity) = nested(endpoint, &["associatedIdentity"]) {
        let field = |name: &str| {
            cell(nested_text(identity, &[name]).or_else(|| identity_text(identity, name).as_text().map(str::to_owned)))
        };
        row.set(&format!("{side}UserId"), field("id"));
        row.set(&format!("{side}DisplayName"), field("displayName"));
        row.set(&format!("{side}UserPrincipalName"), field("userPrincipalName"));
    } else if let Some(set) = nested(endpoint, &["identity"]) {
        set_identity(row, side, set);
    }
    for (column, path) in [
        ("Role", &["userAgent", "role"][..]),
        ("Platform", &["userAgent", "platform"]),
        ("ProductFamily", &["userAgent", "productFamily"]),
        ("ApplicationVersion", &["userAgent", "applicationVersion"]),
        ("FeedbackRating", &["feedback", "rating"]),
    ] {
        row.set(&format!("{side}{column}"), cell(nested_text(endpoint, path)));
    }
}

fn set_failure(row: &mut Row<'static>, members: &Members<'_>) {
    if let Some(failure) = members.get_any_case("failureInfo") {
        row.set("failureStage", cell(nested_text(failure, &["stage"])));
        row.set("failureReason", cell(nested_text(failure, &["reason"])));
    }
}

/// The call's id in a page's context, such as `…#communications/callRecords('<id>')/sessions(segments())`.
pub(crate) fn call_of(context: &str) -> Option<&str> {
    let (_, rest) = context.split_once("callRecords('")?;
    rest.split_once('\'').map(|(id, _)| id).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r##"{"id":"c1","version":"2","type":"groupCall","modalities":["audio"],"startDateTime":"2026-01-06T12:30:39.2233445Z","endDateTime":"2026-01-06T12:35:45Z",
      "organizer":{"user":{"id":"u1","displayName":"Adele","tenantId":"t"},"phone":null},"participants":[{"user":{"id":"u1"}}],"joinWebUrl":null,
      "sessions":[{"id":"s1","modalities":["audio"],"startDateTime":"2026-01-06T12:30:39Z","endDateTime":null,"failureInfo":{"stage":"callSetup","reason":"busy"},"isTest":false,
        "caller":{"@odata.type":"#x.participantEndpoint","userAgent":{"platform":"web","productFamily":"teams"},"identity":{"user":{"id":"u1","displayName":"Adele"}},"feedback":{"rating":"good"}},
        "callee":{"userAgent":{"role":"mediaController"},"associatedIdentity":{"id":"u2","displayName":"Bob","userPrincipalName":"bob@x"}},
        "segments":[{"id":"g1","startDateTime":null,"caller":{},"callee":{},"media":[{"label":"main-audio"}]}]}]}"##;

    #[test]
    fn a_record_gives_rows_of_three_tables() {
        let members = Members::parse(RECORD).unwrap();
        assert!(Calls::is_record(&members));
        let rows = Calls::default().record(&members).unwrap();
        assert_eq!(rows.iter().map(|r| r.table.name).collect::<Vec<_>>(), ["CallRecords", "CallSessions", "CallSegments"]);
        let (call, session, segment) = (&rows[0], &rows[1], &rows[2]);
        assert_eq!(
            (call.get("version"), call.get("organizerId"), call.get("sessionCount")),
            (&Cell::Int(2), &Cell::text("u1"), &Cell::Int(1))
        );
        assert!(matches!(call.get("Raw"), Cell::Json(raw) if !raw.contains("main-audio")));
        assert_eq!((session.get("callId"), session.get("failureStage")), (&Cell::text("c1"), &Cell::text("callSetup")));
        assert_eq!((session.get("callerUserId"), session.get("callerFeedbackRating")), (&Cell::text("u1"), &Cell::text("good")));
        assert_eq!((session.get("calleeUserId"), session.get("calleeRole")), (&Cell::text("u2"), &Cell::text("mediaController")));
        assert_eq!((segment.get("sessionId"), segment.get("version")), (&Cell::text("s1"), &Cell::Int(2)));
        assert_eq!(segment.get("startDateTime"), session.get("startDateTime"));
    }

    #[test]
    fn rows_say_whether_their_record_lists_all_of_them() {
        let session = |members: &str| {
            format!(r#"{{"id":"s1","startDateTime":"2026-01-06T12:30:39Z","caller":{{}},"callee":{{}}{members}}}"#)
        };
        let whole = session(r#","segments":[{"id":"g1"}]"#);
        let more_segments = session(r#","segments":[{"id":"g1"}],"segments@odata.nextLink":"https://x?2""#);
        let unasked = session("");
        for (version, sessions, expected) in [
            ("2", format!(r#""sessions":[{whole}]"#), [true, true]),
            ("2", format!(r#""sessions":[{whole}],"sessions@odata.nextLink":null"#), [true, true]),
            ("2", format!(r#""sessions":[{whole}],"sessions@odata.nextLink":"https://x?2""#), [false, false]),
            ("2", format!(r#""sessions":[{more_segments}]"#), [true, false]),
            // Of the second session the segments were not asked for.
            ("2", format!(r#""sessions":[{whole},{unasked}]"#), [true, false]),
            ("null", format!(r#""sessions":[{whole}]"#), [false, false]),
            ("0", format!(r#""sessions":[{whole}]"#), [false, false]),
        ] {
            let text = format!(r#"{{"id":"c1","version":{version},"startDateTime":"2026-01-06T12:30:39Z",{sessions}}}"#);
            let rows = Calls::default().record(&Members::parse(&text).unwrap()).unwrap();
            let say = |table: &str| {
                let mut of = rows.iter().filter(|row| row.table.name == table).peekable();
                assert!(of.peek().is_some());
                of.all(|row| *row.get(IS_WHOLE) == Cell::Bool(true))
            };
            assert_eq!(["CallSessions", "CallSegments"].map(say), expected, "{text}");
        }
        let members = Members::parse(&whole).unwrap();
        assert!(Calls::default().session(&members, "c1").unwrap().iter().all(|row| row.get(IS_WHOLE).is_null()));
    }

    #[test]
    fn a_page_of_sessions_names_its_call() {
        assert_eq!(
            call_of("https://graph.microsoft.com/v1.0/$metadata#communications/callRecords('c1')/sessions(segments())"),
            Some("c1")
        );
        let session = r#"{"id":"s1","startDateTime":"2026-01-06T12:30:39Z","caller":{},"callee":{},"segments":[]}"#;
        let members = Members::parse(session).unwrap();
        assert!(Calls::is_session(&members) && !Calls::is_record(&members));
        assert_eq!(Calls::default().session(&members, "c1").unwrap()[0].get("callId"), &Cell::text("c1"));
    }

    #[test]
    fn what_has_an_id_is_no_call_without_a_start_and_what_calls_have() {
        let is_record = |text: &str| Calls::is_record(&Members::parse(text).unwrap());
        let whole = r#"{"id":"c1","startDateTime":"2026-01-06T12:30:39Z","version":1,"organizer":{}}"#;
        assert!(is_record(whole));
        for name in ["id", "startDateTime", "version", "organizer"] {
            let without = whole.replace(&format!("\"{name}\""), "\"other\"");
            assert!(without != whole && !is_record(&without), "{without}");
        }
    }
}
