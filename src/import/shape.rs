//! What a JSON object, a CSV heading or the columns of an answer are: recognised by members and names, never by the file's name
//! alone.

use std::borrow::Cow;

use super::app_insights::events_api;
use super::app_insights::mapping::{AppInsights, Columns};
use super::audit::mapping::Audit;
use super::calls::mapping::Calls;
use super::exported;
use super::fields::{bare_name, nested, nested_text, plain_name};
use super::files::documents::{AnswerHeading, Page, column_names};
use super::graph::directory::ObjectKind;
use super::graph::messages::Messages;
use super::graph::reports::{ReportId, Reports};
use super::json_text::unescape;
use super::message_trace::mapping::{CsvKind, Traces};
use kqlake_lake::tables::TableDef;
use kqlake_value::json::checked::{Members, Raw, elements};

/// What a JSON object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A record of the retired continuous export.
    Continuous,
    /// A record with the fields of an Application Insights table.
    Flat,
    /// A record of the events API of Application Insights.
    Event,
    /// An audit record.
    Audit,
    /// An object that carries an audit record in a member.
    AuditWrapped,
    /// A call record.
    Call,
    /// A session of a call.
    CallSession,
    /// A message trace.
    Trace,
    /// A step of a message's way.
    TraceDetail,
    /// A row of a usage report.
    Report(ReportId),
    /// A message of a channel, without its text.
    ChannelMessage,
    /// A user, team or the like.
    Directory(ObjectKind),
    /// A row that was written out of this table of a lake.
    Exported(&'static TableDef),
    /// A record of another tool that carries the original one.
    Wrapped,
    /// A page inside a line or an element.
    Container,
}

impl Shape {
    /// What an object is; `name` is that of its file.
    ///
    /// # Errors
    /// Why it is of no known shape.
    pub(crate) fn of(members: &Members<'_>, page: &Page, name: &str, reports: &Reports) -> Result<Shape, String> {
        let context = page.context.as_deref();
        if let Some(table) = exported::table_of(members.0.iter().map(|(name, _)| name.as_ref()), name)? {
            return Ok(Shape::Exported(table));
        }
        if AppInsights::is_continuous(members) {
            return Ok(Shape::Continuous);
        }
        if Audit::is_record(members) {
            return Ok(Shape::Audit);
        }
        if Audit::is_wrapped(members) {
            return Ok(Shape::AuditWrapped);
        }
        if Traces::is_trace(members) {
            return Ok(Shape::Trace);
        }
        if Messages::is_message(members) {
            return Ok(Shape::ChannelMessage);
        }
        if Reports::is_row(members) {
            let said = members.text("@odata.type").unwrap_or_default();
            return reports.recognise_json(members, &[&said, context.unwrap_or_default(), name]).map(Shape::Report);
        }
        if Calls::is_record(members) {
            return Ok(Shape::Call);
        }
        if Calls::is_session(members) {
            return Ok(Shape::CallSession);
        }
        if original(members).is_some() {
            return Ok(Shape::Wrapped);
        }
        if events_api::is_event(members) {
            return Ok(Shape::Event);
        }
        if AppInsights::is_flat(members) {
            return Ok(Shape::Flat);
        }
        if Traces::is_detail(members) {
            return Ok(Shape::TraceDetail);
        }
        if let Some(kind) = ObjectKind::of(members, context) {
            return Ok(Shape::Directory(kind));
        }
        if inner_page(members).is_some() {
            return Ok(Shape::Container);
        }
        // It says which table it is of, and has no time: its mapping says so.
        if AppInsights::names_a_table(members) {
            return Ok(Shape::Flat);
        }
        Err(why_unknown(members))
    }

    /// True when every object with the same names of members is of this shape, too: no value decided.
    pub(crate) fn is_told_by_names(self) -> bool {
        use Shape::{Audit, AuditWrapped, Call, CallSession, Exported, Trace, TraceDetail};
        matches!(self, Audit | AuditWrapped | Call | CallSession | Trace | TraceDetail | Exported(_))
    }
}

/// What a CSV heading or the columns of an answer are.
#[derive(Debug, Clone)]
pub(crate) enum TableShape {
    /// Rows of an Application Insights table.
    App(Columns),
    /// An audit search: the places of the record, and of its id and time around it.
    Audit { data: usize, id: Option<usize>, created: Option<usize> },
    /// Message traces.
    Traces(CsvKind),
    /// A usage report.
    Report(ReportId),
    /// Rows that were written out of this table of a lake.
    Exported(&'static TableDef),
    /// Records of another source, by name: each row is one object.
    Objects,
}

impl TableShape {
    /// What columns are. `hint` may name a table, such as an answer's name; `name` is the file's.
    ///
    /// # Errors
    /// Why they are none of those known.
    pub(crate) fn of(columns: &[String], hint: &str, name: &str, reports: &Reports) -> Result<TableShape, String> {
        if let Some(table) = exported::table_of(columns.iter().map(String::as_str), name)? {
            return Ok(TableShape::Exported(table));
        }
        let at = |names: &[&str]| columns.iter().position(|c| names.contains(&plain_column(c).as_str()));
        if Audit::is_office_activity(|name| at(&[name]).is_some()) {
            return Ok(TableShape::Objects);
        }
        if let Some(columns) = Columns::recognise(columns, hint) {
            return Ok(TableShape::App(columns));
        }
        if let Some(data) = at(&["auditdata"]) {
            return Ok(TableShape::Audit {
                data,
                id: at(&["recordid", "identity"]),
                created: at(&["creationdate", "creationtime"]),
            });
        }
        if Reports::is_heading(columns) {
            return reports.recognise(columns.iter().map(String::as_str), &[name]).map(TableShape::Report);
        }
        if let Some(kind) = Traces::csv_kind(columns) {
            return Ok(TableShape::Traces(kind));
        }
        if at(&["recordtype"]).is_some() && at(&["operation"]).is_some() {
            return Ok(TableShape::Objects);
        }
        let shown: Vec<&str> = columns.iter().map(String::as_str).take(8).collect();
        Err(format!(
            "the columns ({}{}) are none of Application Insights, of an audit search, of a message trace or of a usage report",
            shown.join(", "),
            if columns.len() > shown.len() { ", …" } else { "" }
        ))
    }

    /// Places of the columns of times.
    pub(crate) fn times(&self, columns: &[String], reports: &Reports) -> Vec<usize> {
        let mut places = self.dates(columns, reports);
        if let TableShape::Audit { created, .. } = self {
            places.extend(created);
        }
        places
    }

    /// Places of the columns whose dates may be in either order.
    pub(crate) fn dates(&self, columns: &[String], reports: &Reports) -> Vec<usize> {
        let places = |is_date: &dyn Fn(&str) -> bool| -> Vec<usize> {
            columns.iter().enumerate().filter(|(_, name)| is_date(name)).map(|(place, _)| place).collect()
        };
        match self {
            TableShape::App(columns) => columns.time_columns().collect(),
            // The record has its own time nearly always: what is around it decides nothing then.
            TableShape::Audit { .. } => Vec::new(),
            TableShape::Traces(_) => places(&Traces::is_time),
            TableShape::Exported(table) => exported::times(table, columns),
            TableShape::Report(id) => places(&|name| reports.is_date(*id, name)),
            TableShape::Objects => places(&|name| Audit::is_time(&plain_column(name))),
        }
    }
}

/// A column's name as it is compared, without the zone that portals append in brackets.
fn plain_column(name: &str) -> String {
    plain_name(bare_name(name))
}

/// The record that a record of another tool carries whole: Elastic keeps it as a text in `event.original`, Wazuh as an object in
/// `data.office365`.
pub(crate) fn original<'a>(members: &Members<'a>) -> Option<Cow<'a, str>> {
    let inside = |outer: &str, inner: &str| {
        let flat = members.0.iter().find(|(name, _)| name.strip_prefix(outer).and_then(|n| n.strip_prefix('.')) == Some(inner));
        flat.map(|(_, value)| value.get()).or_else(|| nested(members.get(outer)?, &[inner]))
    };
    [("event", "original"), ("data", "office365")].into_iter().find_map(|(outer, inner)| {
        let value = inside(outer, inner)?;
        let text = if value.starts_with('"') { unescape(value) } else { Cow::Borrowed(value) };
        text.trim_start().starts_with('{').then_some(text)
    })
}

/// What is inside of a page.
pub(crate) enum Inner {
    /// Records.
    Array,
    /// A page or a record.
    Object,
    /// Tables of a query answer.
    Tables,
}

/// The records inside a page that is itself a line or an element.
pub(crate) fn inner_page<'a>(members: &Members<'a>) -> Option<(Inner, &'a str)> {
    for (name, value) in &members.0 {
        let text = value.get();
        match name.to_ascii_lowercase().as_str() {
            "tables" if text.starts_with('[') => return Some((Inner::Tables, text)),
            "value" | "records" | "results" | "d" | "responses" | "hits" if text.starts_with('[') => {
                return Some((Inner::Array, text));
            }
            "d" | "body" | "hits" | "_source" if text.starts_with('{') => return Some((Inner::Object, text)),
            _ => {}
        }
    }
    None
}

/// The columns and rows of a query answer's table.
pub(crate) fn inner_table(text: &str) -> Result<(AnswerHeading, Vec<Raw<'_>>), String> {
    let invalid = |error: serde_json::Error| format!("the answer's table cannot be read: {error}");
    let table = Members::parse(text).map_err(invalid)?;
    let answer = AnswerHeading {
        name: table.text("name").or_else(|| table.text("TableName")).unwrap_or_default().into_owned(),
        columns: column_names(table.get_any_case("columns").unwrap_or("[]")),
    };
    let rows = elements(table.get_any_case("rows").unwrap_or("[]")).map_err(invalid)?;
    if answer.columns.is_empty() && !rows.is_empty() {
        return Err("the answer's rows stand without the names of their columns".into());
    }
    Ok((answer, rows))
}

/// Why an object is of no known shape, in words that help to see what it is.
fn why_unknown(members: &Members<'_>) -> String {
    if let Some(error) = members.get_any_case("error") {
        let message = nested_text(error, &["message"]).unwrap_or_default();
        return format!("it is the error answer of a service, no data: {message}");
    }
    let names: Vec<&str> = members.0.iter().map(|(name, _)| name.as_ref()).take(8).collect();
    if let Some(said) = members.text("Type").or_else(|| members.text("itemType")) {
        return format!("no table takes records of the type '{said}' (members {})", names.join(", "));
    }
    if names.is_empty() {
        return "the object is empty".into();
    }
    format!(
        "its members ({}{}) are those of no Application Insights row, audit record, call record, message trace, usage report, user or team",
        names.join(", "),
        if members.0.len() > names.len() { ", …" } else { "" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn originals_inside_of_other_records() {
        let of = |text: &str| original(&Members::parse(text).unwrap()).map(Cow::into_owned);
        let record = r#"{"a":"\"x\""}"#;
        let text = serde_json::Value::from(record).to_string();
        for wrapped in [
            format!(r#"{{"@timestamp":"t","event":{{"original":{text},"dataset":"o365.audit"}}}}"#),
            format!(r#"{{"event.original":{text}}}"#),
            format!(r#"{{"rule":{{}},"data":{{"integration":"office365","office365":{record}}}}}"#),
            format!(r#"{{"data.office365":{record}}}"#),
        ] {
            assert_eq!(of(&wrapped).as_deref(), Some(record), "{wrapped}");
        }
        for other in [r#"{"event":{"original":"<134> text"}}"#, r#"{"event":"x"}"#, r#"{"data":{"office365":null}}"#, "{}"] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
