//! Message traces to rows of `MessageTrace` and `MessageTraceDetail`: one row a message and recipient, and one a step.
//!
//! The same trace may come from Graph (`receivedDateTime`, `delivered`), from the reporting web service (`Received`,
//! `Delivered`) and from CSV: ids and addresses are written alike, and statuses in Graph's spelling.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use crate::convert::{self, DateOrder};
use crate::fields::{FieldMap, plain_name, push_member};
use crate::json_text::string_literal;
use crate::row::{Cell, Row, SourceValue};
use kqlake_lake::identity::RecordHash;
use kqlake_lake::tables::find;
use kqlake_value::json::checked::Members;

/// Names of the reporting web service, of PowerShell and of the admin centre for Graph's.
const TRACE_ALIASES: [(&str, &str); 24] = [
    ("MessageTraceId", "id"),
    ("network_message_id", "id"),
    ("Received", "receivedDateTime"),
    ("Date", "receivedDateTime"),
    ("Date (UTC)", "receivedDateTime"),
    ("origin_timestamp_utc", "receivedDateTime"),
    ("origin_timestamp", "receivedDateTime"),
    ("ReceivedTime", "receivedDateTime"),
    ("Sender", "senderAddress"),
    ("sender_address", "senderAddress"),
    ("SenderAddress", "senderAddress"),
    ("Recipient", "recipientAddress"),
    ("recipient_address", "recipientAddress"),
    ("message_subject", "subject"),
    ("Message ID", "messageId"),
    ("message_id", "messageId"),
    ("InternetMessageId", "messageId"),
    ("Total bytes", "size"),
    ("total_bytes", "size"),
    ("Delivery status", "status"),
    ("original_client_ip", "fromIP"),
    ("client_ip", "fromIP"),
    ("From IP", "fromIP"),
    ("To IP", "toIP"),
];

const DETAIL_ALIASES: [(&str, &str); 17] = [
    ("Date", "dateTime"),
    ("date_time_utc", "dateTime"),
    ("date_time", "dateTime"),
    ("network_message_id", "messageTraceId"),
    ("message_id", "messageId"),
    ("sender_address", "senderAddress"),
    ("SenderAddress", "senderAddress"),
    ("recipient_address", "recipientAddress"),
    ("event_id", "event"),
    ("source", "action"),
    ("Detail", "description"),
    ("recipient_status", "description"),
    ("custom_data", "data"),
    ("Data", "data"),
    ("Organization", "organization"),
    ("Action", "action"),
    ("Event", "event"),
];

/// Statuses in Graph's spelling, each with its rank: a greater one is more final.
const STATUSES: [(&str, i64); 8] = [
    ("gettingStatus", 1),
    ("pending", 2),
    ("quarantined", 3),
    ("filteredAsSpam", 3),
    ("expanded", 4),
    ("failed", 5),
    ("delivered", 6),
    ("recalled", 7),
];

/// Maps message traces.
pub(crate) struct Traces {
    traces: Option<FieldMap>,
    details: Option<FieldMap>,
}

impl Default for Traces {
    fn default() -> Self {
        Self {
            traces: find("MessageTrace").map(|t| FieldMap::new(t, &TRACE_ALIASES)),
            details: find("MessageTraceDetail").map(|t| FieldMap::new(t, &DETAIL_ALIASES)),
        }
    }
}

/// What a CSV heading of message traces is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CsvKind {
    /// One row a message and recipient.
    Traces,
    /// One row a message; its recipients and their statuses in one field.
    Summary,
    /// One row a step: the admin centre's extended report.
    Details,
}

impl Traces {
    /// True for a message trace of Graph or of the reporting web service.
    pub(crate) fn is_trace(members: &Members<'_>) -> bool {
        let recipient = members.has("recipientAddress");
        recipient
            && (members.has("receivedDateTime") || members.has("Received"))
            && (members.has("status") || members.has("id") || members.has("MessageTraceId"))
    }

    /// True for one step of a message's way.
    pub(crate) fn is_detail(members: &Members<'_>) -> bool {
        members.has("event")
            && (members.has("dateTime") || members.has("Date"))
            && (members.has("messageId") || members.has("MessageTraceId"))
            && !members.has("status")
    }

    /// The row of a message trace.
    pub(crate) fn trace(&mut self, members: &Members<'_>, text: &str, order: DateOrder) -> Result<Vec<Row<'static>>, String> {
        let fields = self.traces.as_mut().ok_or("there is no table MessageTrace")?;
        let row = fields.row(members, order, &mut |_, _| {});
        let mut row = row.into_owned();
        row.set("Raw", Cell::raw_json(text));
        finish_trace(row).map(|row| vec![row]).map_err(|reason| reason + &open_date(members))
    }

    /// The row of a step; `page` may name the message and the recipient that the page was asked for.
    pub(crate) fn detail(
        &mut self,
        members: &Members<'_>,
        text: &str,
        page: Option<&str>,
        order: DateOrder,
    ) -> Result<Vec<Row<'static>>, String> {
        let fields = self.details.as_mut().ok_or("there is no table MessageTraceDetail")?;
        let row = fields.row(members, order, &mut |_, _| {});
        let mut row = row.into_owned();
        if row.get("messageTraceId").is_null()
            && let Some(id) = page.and_then(|p| quoted(p, "messageTraces('"))
        {
            row.set("messageTraceId", Cell::text(id));
        }
        if row.get("recipientAddress").is_null()
            && let Some(recipient) = page.and_then(|p| quoted(p, "recipientAddress='"))
        {
            row.set("recipientAddress", Cell::text(recipient));
        }
        row.set("Raw", Cell::raw_json(text));
        finish_detail(row).map(|row| vec![row]).map_err(|reason| reason + &open_date(members))
    }

    /// What a CSV heading is, when it is one of message traces.
    pub(crate) fn csv_kind(names: &[String]) -> Option<CsvKind> {
        let names: Vec<String> = names.iter().map(|n| plain_name(n)).collect();
        let has = |wanted: &[&str]| wanted.iter().any(|w| names.iter().any(|n| n == w));
        if has(&["datetimeutc", "datetime"]) && has(&["eventid"]) && has(&["messageid", "networkmessageid"]) {
            return Some(CsvKind::Details);
        }
        let sender = has(&["sender", "senderaddress"]);
        let time =
            has(&["received", "date", "dateutc", "origintimestamputc", "origintimestamp", "receiveddatetime", "receivedtime"]);
        if !sender || !time {
            return None;
        }
        if has(&["recipientstatus"]) && !has(&["recipientaddress", "recipient"]) {
            return Some(CsvKind::Summary);
        }
        (has(&["recipient", "recipientaddress"])
            && has(&["status", "messageid", "messagetraceid", "networkmessageid", "deliverystatus"]))
        .then_some(CsvKind::Traces)
    }

    /// True for CSV columns that hold times.
    pub(crate) fn is_time(name: &str) -> bool {
        [
            "received",
            "date",
            "dateutc",
            "origintimestamputc",
            "origintimestamp",
            "receiveddatetime",
            "receivedtime",
            "datetimeutc",
            "datetime",
        ]
        .contains(&plain_name(name).as_str())
    }

    /// Rows of a CSV row.
    pub(crate) fn csv(
        &mut self,
        kind: CsvKind,
        names: &[String],
        values: &[&str],
        order: DateOrder,
    ) -> Result<Vec<Row<'static>>, String> {
        let mut raw = String::from("{");
        for (name, value) in names.iter().zip(values) {
            push_member(&mut raw, name, &string_literal(value));
        }
        raw.push('}');
        let fields = match kind {
            CsvKind::Details => self.details.as_mut().ok_or("there is no table MessageTraceDetail")?,
            _ => self.traces.as_mut().ok_or("there is no table MessageTrace")?,
        };
        let mut row: Row<'static> = Row::with_columns(fields.table, fields.columns);
        for (name, value) in names.iter().zip(values) {
            let Some(column) = fields.column(name) else { continue };
            if let Some(cell) = SourceValue::Field(value).read(fields.ty(column), order)
                && row.cells[column].is_null()
            {
                row.cells[column] = cell.into_owned();
            }
        }
        row.set("Raw", Cell::Json(Cow::Owned(raw)));
        match kind {
            CsvKind::Traces => finish_trace(row).map(|row| vec![row]),
            // A step that concerns several recipients names all of them: each gets a row, as each has a message trace.
            CsvKind::Details => {
                match row.get("recipientAddress").as_text().filter(|text| text.contains(';')).map(str::to_owned) {
                    None => finish_detail(row).map(|row| vec![row]),
                    Some(all) => all
                        .split(';')
                        .map(str::trim)
                        .filter(|address| !address.is_empty())
                        .map(|address| {
                            let mut row = row.clone();
                            row.set("recipientAddress", Cell::text(address.to_owned()));
                            finish_detail(row)
                        })
                        .collect(),
                }
            }
            CsvKind::Summary => {
                let at = names.iter().position(|n| plain_name(n) == "recipientstatus");
                let recipients = at.and_then(|i| values.get(i)).copied().unwrap_or_default();
                let mut rows = Vec::new();
                for part in recipients.split(';').map(str::trim).filter(|p| !p.is_empty()) {
                    let (address, states) = part.split_once("##").unwrap_or((part, ""));
                    let mut row = row.clone();
                    row.set("recipientAddress", Cell::text(address.trim().to_owned()));
                    row.set("status", Cell::text(final_state(states)));
                    rows.push(finish_trace(row)?);
                }
                if rows.is_empty() { Err("the row names no recipient".into()) } else { Ok(rows) }
            }
        }
    }
}

/// What is to be said of a record's date that could have the month or the day first.
fn open_date(members: &Members<'_>) -> String {
    let times = members.0.iter().filter(|(name, _)| Traces::is_time(name));
    times
        .map(|(_, value)| convert::open_order(&SourceValue::Json(value.get()).text()))
        .find(|open| !open.is_empty())
        .unwrap_or_default()
}

/// The status that a list of steps such as `Receive, Deliver` ends in, in Graph's spelling: that of the last step that ends
/// something. A list whose last step is of no known kind stays as it is.
fn final_state(states: &str) -> String {
    let status = |word: &str| match plain_name(word).as_str() {
        "deliver" | "delivered" | "send" => Some("delivered"),
        "fail" | "failed" => Some("failed"),
        "expand" | "expanded" => Some("expanded"),
        "quarantine" | "quarantined" => Some("quarantined"),
        "filteredasspam" | "spam" => Some("filteredAsSpam"),
        "defer" | "pending" | "receive" => Some("pending"),
        _ => None,
    };
    let steps: Vec<Option<&str>> = states.split(',').filter(|word| !word.trim().is_empty()).map(status).collect();
    let Some(Some(last)) = steps.last().copied() else { return states.trim().to_owned() };
    steps.into_iter().flatten().rev().find(|status| *status != "pending").unwrap_or(last).to_owned()
}

/// A text in quotes behind a mark that has the first of them, as addresses of OData have it: a quote in it is written twice, or
/// as `%27`, other characters as such codes where the writer wished. `None` for none, or an empty one.
fn quoted(address: &str, mark: &str) -> Option<String> {
    let (_, rest) = address.split_once(mark)?;
    let mut bytes = rest.bytes().peekable();
    let mut found = Vec::new();
    loop {
        match bytes.next()? {
            b'\'' if bytes.next_if_eq(&b'\'').is_none() => break,
            byte => found.push(byte),
        }
    }
    percent_decode(&found).decode_utf8().ok().map(Cow::into_owned).filter(|text| !text.is_empty())
}

fn finish_ids(row: &mut Row<'static>, id_column: &str) {
    let id = row.get(id_column).as_text().map(|id| convert::guid(id).unwrap_or_else(|| id.trim().to_owned()));
    row.set(id_column, id.map_or(Cell::Null, Cell::text));
    // Addresses are compared without regard to case; sources differ in how they write them.
    let recipient = row.get("recipientAddress").as_text().map(|r| r.trim().to_lowercase());
    row.set("recipientAddress", recipient.map_or(Cell::Null, Cell::text));
}

fn finish_trace(mut row: Row<'static>) -> Result<Row<'static>, String> {
    if row.get("id").is_null() {
        let id = row.get("messageId").clone();
        row.set("id", id);
    }
    finish_ids(&mut row, "id");
    for (column, what) in [("id", "id or message id"), ("recipientAddress", "recipient")] {
        if row.get(column).is_null() {
            return Err(format!("the message trace has no {what}"));
        }
    }
    if row.get("receivedDateTime").is_null() {
        return Err("the message trace has no time of receipt that can be read".into());
    }
    let said = row.get("status").as_text().unwrap_or_default().trim().to_owned();
    let known = STATUSES.iter().find(|(name, _)| plain_name(name) == plain_name(&said));
    row.set("status", Cell::text(known.map_or(said, |(name, _)| (*name).to_owned())));
    row.set("statusRank", Cell::Int(known.map_or(0, |(_, rank)| *rank)));
    Ok(row)
}

fn finish_detail(mut row: Row<'static>) -> Result<Row<'static>, String> {
    finish_ids(&mut row, "messageTraceId");
    let Cell::Time(time) = *row.get("dateTime") else {
        return Err("the message trace's step has no time that can be read".into());
    };
    if row.get("messageTraceId").is_null() && row.get("messageId").is_null() {
        return Err("the message trace's step names no message".into());
    }
    let mut key = RecordHash::of(&time.to_le_bytes());
    let message = if row.get("messageTraceId").is_null() { "messageId" } else { "messageTraceId" };
    for column in [message, "recipientAddress", "event", "action", "description"] {
        let text = row.get(column).as_text().unwrap_or_default();
        // Sources differ in the case of event names.
        key = key.then(RecordHash::of(text.to_lowercase().as_bytes()));
    }
    row.set("rowKey", Cell::text(key.hex()));
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(text: &str) -> Row<'static> {
        let members = Members::parse(text).unwrap();
        assert!(Traces::is_trace(&members), "{text}");
        Traces::default().trace(&members, text, DateOrder::Unknown).unwrap().remove(0)
    }

    #[test]
    fn all_sources_agree_on_a_trace() {
        let graph = trace(
            r#"{"id":"1D2E3F40-5A6B-4C7D-8E9F-08DE4C1B2A3D","senderAddress":"amy@contoso.com","recipientAddress":"Bob@fabrikam.com","messageId":"<a@c>","receivedDateTime":"2026-01-05T00:10:13.1357913Z","subject":"Hello","status":"delivered","size":41231,"fromIP":"203.0.113.9","toIP":null}"#,
        );
        let service = trace(
            r#"{"Organization":"contoso.onmicrosoft.com","MessageId":"<a@c>","Received":"2026-01-05T00:10:13.1357913","SenderAddress":"amy@contoso.com","RecipientAddress":"bob@fabrikam.com","Subject":"Hello","Status":"Delivered","Size":"41231","MessageTraceId":"1d2e3f40-5a6b-4c7d-8e9f-08de4c1b2a3d","FromIP":"203.0.113.9"}"#,
        );
        let verbose = trace(
            r#"{"__metadata":{},"MessageId":"<a@c>","Received":"/Date(1767571813135)/","SenderAddress":"amy@contoso.com","RecipientAddress":"bob@fabrikam.com","Status":"Delivered","MessageTraceId":"1d2e3f40-5a6b-4c7d-8e9f-08de4c1b2a3d"}"#,
        );
        let names = [
            "origin_timestamp_utc",
            "sender_address",
            "recipient_status",
            "message_subject",
            "total_bytes",
            "message_id",
            "network_message_id",
            "original_client_ip",
        ]
        .map(str::to_owned);
        assert_eq!(Traces::csv_kind(&names), Some(CsvKind::Summary));
        let values = [
            "2026-01-05T00:10:13.1357913Z",
            "amy@contoso.com",
            "bob@fabrikam.com##Receive, Deliver;eve@fabrikam.com##Receive, Fail",
            "Hello",
            "41231",
            "<a@c>",
            "1d2e3f40-5a6b-4c7d-8e9f-08de4c1b2a3d",
            "203.0.113.9",
        ];
        let csv = Traces::default().csv(CsvKind::Summary, &names, &values, DateOrder::Unknown).unwrap();
        for column in ["id", "recipientAddress", "status", "statusRank", "messageId", "senderAddress"] {
            for other in [&service, &verbose, &csv[0]] {
                assert_eq!(graph.get(column), other.get(column), "{column}");
            }
        }
        assert_eq!(graph.get("size"), service.get("size"));
        assert_eq!(graph.get("receivedDateTime"), csv[0].get("receivedDateTime"));
        assert_eq!(
            (csv[1].get("recipientAddress"), csv[1].get("status")),
            (&Cell::text("eve@fabrikam.com"), &Cell::text("failed"))
        );
    }

    #[test]
    fn headings_of_the_admin_centre() {
        let kind = |names: &[&str]| Traces::csv_kind(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        assert_eq!(kind(&["Date (UTC)", "Sender", "Recipient", "Subject", "Status"]), Some(CsvKind::Traces));
        assert_eq!(
            kind(&[
                "Received",
                "SenderAddress",
                "RecipientAddress",
                "Subject",
                "Status",
                "ToIP",
                "FromIP",
                "Size",
                "MessageId",
                "MessageTraceId"
            ]),
            Some(CsvKind::Traces)
        );
        assert_eq!(
            kind(&["date_time_utc", "client_ip", "source", "event_id", "message_id", "network_message_id", "recipient_address"]),
            Some(CsvKind::Details)
        );
        assert_eq!(kind(&["Report Refresh Date", "User Principal Name"]), None);
        // Each of these lacks one of what a trace or an event of one must have.
        for names in [
            ["date_time_utc", "event_id", "source"],
            ["date_time_utc", "message_id", "source"],
            ["event_id", "message_id", "source"],
            ["received", "recipient_address", "status"],
            ["sender_address", "recipient_address", "status"],
            ["received", "sender_address", "status"],
            ["received", "sender_address", "recipient_address"],
            ["received", "sender_address", "subject"],
        ] {
            assert_eq!(kind(&names), None, "{names:?}");
        }
        assert_eq!(kind(&["origin_timestamp_utc", "sender_address", "recipient_status"]), Some(CsvKind::Summary));
    }

    #[test]
    fn a_list_of_steps_ends_in_the_last_one_that_ends_something() {
        for (states, status) in [
            ("Receive, Deliver", "delivered"),
            ("Receive, Defer, Deliver", "delivered"),
            ("Receive, Send, Receive", "delivered"),
            ("Receive, Deliver, Fail", "failed"),
            ("Receive, Defer", "pending"),
            ("Receive, Expand", "expanded"),
            // Of no known kind: nothing is guessed.
            ("Receive, Resolve, Drop", "Receive, Resolve, Drop"),
            (" Deliver, Lost ", "Deliver, Lost"),
            ("", ""),
        ] {
            assert_eq!(final_state(states), status, "{states}");
        }
    }

    #[test]
    fn a_step_of_several_recipients_is_one_of_each() {
        let names = ["date_time_utc", "event_id", "message_id", "network_message_id", "recipient_address"].map(str::to_owned);
        let rows = |recipients: &str| {
            let values = ["2026-01-05T00:10:14Z", "RECEIVE", "<a@c>", "1d2e3f40-5a6b-4c7d-8e9f-08de4c1b2a3d", recipients];
            let rows = Traces::default().csv(CsvKind::Details, &names, &values, DateOrder::Unknown).unwrap();
            rows.iter().map(|row| row.get("recipientAddress").as_text().unwrap_or_default().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(rows("Bob@fabrikam.com;eve@fabrikam.com; "), ["bob@fabrikam.com", "eve@fabrikam.com"]);
        assert_eq!(rows("bob@fabrikam.com"), ["bob@fabrikam.com"]);
    }

    #[test]
    fn steps_get_a_key_and_unknown_statuses_stay() {
        let text = r#"{"id":"x","messageId":"<a@c>","dateTime":"2026-01-05T00:10:14Z","event":"Deliver","action":"","description":"d","data":"<root/>"}"#;
        let members = Members::parse(text).unwrap();
        assert!(Traces::is_detail(&members));
        let page = "https://graph.microsoft.com/v1.0/admin/exchange/tracing/messageTraces('1d2e3f40-5a6b-4c7d-8e9f-08de4c1b2a3d')/getDetailsByRecipient(recipientAddress='bob%40fabrikam.com')";
        let row = Traces::default().detail(&members, text, Some(page), DateOrder::Unknown).unwrap().remove(0);
        assert_eq!((row.get("recipientAddress"), row.get("event")), (&Cell::text("bob@fabrikam.com"), &Cell::text("Deliver")));
        assert!(!row.get("rowKey").is_null());
        for (written, recipient) in [
            ("o%27neil%40x.example", "o'neil@x.example"),
            ("o''neil@x.example", "o'neil@x.example"),
            ("a%2540b@x.example", "a%40b@x.example"),
            ("100%@x.example", "100%@x.example"),
        ] {
            let page = format!("#admin/exchange/tracing/messageTraces('1')/getDetailsByRecipient(recipientAddress='{written}')");
            let row = Traces::default().detail(&members, text, Some(&page), DateOrder::Unknown).unwrap().remove(0);
            assert_eq!(row.get("recipientAddress"), &Cell::text(recipient), "{written}");
        }
        let odd =
            trace(r#"{"id":"x","recipientAddress":"b@c","receivedDateTime":"2026-01-05T00:10:13Z","status":"someNewStatus"}"#);
        assert_eq!((odd.get("status"), odd.get("statusRank")), (&Cell::text("someNewStatus"), &Cell::Int(0)));
    }

    #[test]
    fn a_record_is_a_trace_by_its_recipient_a_time_and_what_became_of_it() {
        let is_trace = |text: &str| Traces::is_trace(&Members::parse(text).unwrap());
        assert!(is_trace(r#"{"recipientAddress":"a@x","Received":"2026-01-05T00:10:13","MessageTraceId":"1"}"#));
        assert!(is_trace(r#"{"recipientAddress":"a@x","receivedDateTime":"2026-01-05T00:10:13","status":"failed"}"#));
        for less in [
            r#"{"recipientAddress":"a@x"}"#,
            r#"{"recipientAddress":"a@x","status":"failed","id":"1"}"#,
            r#"{"recipientAddress":"a@x","receivedDateTime":"2026-01-05T00:10:13"}"#,
            r#"{"receivedDateTime":"2026-01-05T00:10:13","status":"failed","id":"1"}"#,
        ] {
            assert!(!is_trace(less), "{less}");
        }
    }
}
