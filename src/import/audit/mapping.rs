//! Audit records to rows of `AuditRecords`.
//!
//! The common schema and the fields that queries use most are typed; the whole record stays in `Raw`, so that record
//! types, workloads and fields that were unknown when this was written survive.

use std::borrow::Cow;
use std::sync::LazyLock;

use crate::convert::{self, DateOrder};
use crate::fields::FieldMap;
use crate::json_text::unescape;
use crate::row::{Cell, Row, SourceValue};
use kqlake_lake::tables::find;
use kqlake_value::json::checked::Members;
use kqlake_value::json::{MAX_DEPTH, too_deep};

/// Numbers and names of record types (Office 365 Management Activity API schema, `AuditLogRecordType`).
static RECORD_TYPES: LazyLock<Vec<(i64, &'static str)>> = LazyLock::new(|| {
    include_str!("record_types.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('\t'))
        .filter_map(|(number, name)| Some((number.parse().ok()?, name)))
        .collect()
});

/// Names of user types by number (same schema, `UserType`).
const USER_TYPES: [&str; 11] = [
    "Regular",
    "Reserved",
    "Admin",
    "DCAdmin",
    "System",
    "Application",
    "ServicePrincipal",
    "CustomPolicy",
    "SystemPolicy",
    "PartnerTechnician",
    "Guest",
];

/// Spellings of fields that differ between the published schema and what is sent.
const ALIASES: [(&str, &str); 9] = [
    ("IntraSystemsId", "IntraSystemId"),
    ("InterSystemId", "InterSystemsId"),
    ("WorkspaceName", "WorkSpaceName"),
    // Microsoft Sentinel's table OfficeActivity; its other columns have the names of the record's fields.
    ("OfficeId", "Id"),
    ("TimeGenerated", "CreationTime"),
    ("OfficeObjectId", "ObjectId"),
    ("OfficeWorkload", "Workload"),
    ("OfficeTenantId", "OrganizationId"),
    ("AADTarget", "Target"),
];

/// Maps audit records.
pub(crate) struct Audit {
    fields: Option<FieldMap>,
}

impl Default for Audit {
    fn default() -> Self {
        Self { fields: find("AuditRecords").map(|table| FieldMap::new(table, &ALIASES)) }
    }
}

/// Values that stand around a record: in the columns of an audit search, or the members of a Graph audit query.
#[derive(Debug, Default)]
pub(crate) struct Around<'a> {
    /// The record's id, where the record itself has none.
    pub id: Option<Cow<'a, str>>,
    /// The record's time, where the record itself has none.
    pub created: Option<Cow<'a, str>>,
    /// Month first or day first in `created`.
    pub order: DateOrder,
}

impl Audit {
    /// True for a record of the Management Activity API.
    pub(crate) fn is_record(members: &Members<'_>) -> bool {
        members.has("RecordType")
            && members.has("Operation")
            && ["CreationTime", "Workload", "Id", "OfficeId"].iter().any(|name| members.has(name))
    }

    /// True for a row of Microsoft Sentinel's table OfficeActivity. `has` is asked for names as they are compared.
    pub(crate) fn is_office_activity(has: impl Fn(&str) -> bool) -> bool {
        has("officeid") && has("operation") && has("recordtype")
    }

    /// True for a field, by its name as it is compared, that holds the time of a record.
    pub(crate) fn is_time(name: &str) -> bool {
        ["creationtime", "creationdate", "timegenerated", "starttime"].contains(&name)
    }

    /// True for an object that carries an audit record in a member: an audit search as JSON, a Graph audit query.
    pub(crate) fn is_wrapped(members: &Members<'_>) -> bool {
        members.has("AuditData")
    }

    /// The row of a wrapped record.
    pub(crate) fn wrapped(&mut self, members: &Members<'_>, order: DateOrder) -> Result<Row<'static>, String> {
        let data = members.get_any_case("AuditData").unwrap_or_default();
        let inner = if data.starts_with('"') { unescape(data) } else { Cow::Borrowed(data) };
        let around = Around {
            id: members.text("Identity").or_else(|| members.text("RecordId")).or_else(|| members.text("id")),
            created: members.text("CreationDate").or_else(|| members.text("createdDateTime")),
            order,
        };
        self.data(&inner, &around)
    }

    /// The row of a record given as JSON text, with what is around it.
    pub(crate) fn data(&mut self, text: &str, around: &Around<'_>) -> Result<Row<'static>, String> {
        let text = text.trim();
        if too_deep(text) {
            return Err(format!("AuditData is nested deeper than {MAX_DEPTH} levels"));
        }
        let members = Members::parse(text).map_err(|error| format!("AuditData is no valid JSON object: {error}"))?;
        self.record(&members, text, around)
    }

    /// The row of a record.
    pub(crate) fn record(&mut self, members: &Members<'_>, text: &str, around: &Around<'_>) -> Result<Row<'static>, String> {
        let fields = self.fields.as_mut().ok_or("there is no table AuditRecords")?;
        let mut row: Row<'static> = Row::with_columns(fields.table, fields.columns);
        for (name, value) in &members.0 {
            let Some(column) = fields.column(name) else { continue };
            // Raw keeps what its column cannot take. A field of the column's own name goes before one of another schema.
            let own = fields.table.columns[column].name.eq_ignore_ascii_case(name);
            if let Some(cell) = SourceValue::Json(value.get()).read(fields.ty(column), around.order)
                && (own || row.cells[column].is_null())
            {
                row.cells[column] = cell.into_owned();
            }
        }
        if row.get("Id").is_null() {
            row.set("Id", Cell::text(around.id.as_deref().unwrap_or_default().trim().to_owned()));
        }
        match row.get("Id").as_text() {
            Some(id) => {
                let id = convert::guid(id).unwrap_or_else(|| id.to_owned());
                row.set("Id", Cell::text(id));
            }
            None => return Err("the record has no Id".into()),
        }
        if row.get("CreationTime").is_null() {
            let time = around.created.as_deref().and_then(|t| convert::datetime(t, around.order));
            row.set("CreationTime", time.map_or(Cell::Null, Cell::Time));
        }
        if row.get("CreationTime").is_null() {
            let open = around.created.as_deref().map(convert::open_order).unwrap_or_default();
            return Err(format!("the record has no CreationTime that can be read{open}"));
        }
        // Relayed records say the name instead of the number.
        let (number, name) = number_and_name(&members.text("RecordType").unwrap_or_default(), RECORD_TYPES.iter().copied());
        row.set("RecordType", number);
        row.set("RecordTypeName", name);
        let user_types = USER_TYPES.iter().enumerate().map(|(i, n)| (i as i64, *n));
        let (number, name) = number_and_name(&members.text("UserType").unwrap_or_default(), user_types);
        row.set("UserType", number);
        row.set("UserTypeName", name);
        row.set("Raw", Cell::raw_json(text));
        Ok(row)
    }
}

/// The number and name of an enumeration's member that is given as either; an unknown one keeps what it came as.
fn number_and_name(said: &str, mut names: impl Iterator<Item = (i64, &'static str)>) -> (Cell<'static>, Cell<'static>) {
    match convert::integer(said) {
        Some(number) => (Cell::Int(number), names.find(|(n, _)| *n == number).map_or(Cell::Null, |(_, name)| Cell::text(name))),
        None => match names.find(|(_, name)| name.eq_ignore_ascii_case(said.trim())) {
            Some((number, name)) => (Cell::Int(number), Cell::text(name)),
            None => (Cell::Null, Cell::text(said.to_owned())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_and_their_wrappings_are_one() {
        let record = r#"{"CreationTime":"2026-01-08T16:44:07","Id":"5F0C1C2A-7B1D-4E55-9A10-08DE4D00AA01","Operation":"FileModified","RecordType":6,"UserType":"0","Workload":"OneDrive","UserId":"amy@contoso.com","SiteUrl":"https://x/","NewField":{"a":1}}"#;
        let members = Members::parse(record).unwrap();
        assert!(Audit::is_record(&members));
        let row = Audit::default().record(&members, record, &Around::default()).unwrap();
        assert_eq!(row.get("Id"), &Cell::text("5f0c1c2a-7b1d-4e55-9a10-08de4d00aa01"));
        assert_eq!(row.get("CreationTime"), &Cell::Time(1_767_890_647_000_000));
        assert_eq!((row.get("RecordType"), row.get("RecordTypeName")), (&Cell::Int(6), &Cell::text("SharePointFileOperation")));
        assert_eq!((row.get("UserType"), row.get("UserTypeName")), (&Cell::Int(0), &Cell::text("Regular")));
        assert_eq!(row.get("Raw"), &Cell::Json(record.into()));
        let wrapped = format!(r#"{{"id":"x","createdDateTime":"2026-01-08T16:44:07Z","auditData":{record}}}"#);
        let again = Audit::default().wrapped(&Members::parse(&wrapped).unwrap(), DateOrder::Unknown).unwrap();
        assert_eq!(again.cells, row.cells);
        let text = serde_json::Value::from(record).to_string();
        let wrapped = format!(r#"{{"Identity":"x","AuditData":{text}}}"#);
        assert_eq!(Audit::default().wrapped(&Members::parse(&wrapped).unwrap(), DateOrder::Unknown).unwrap().cells, row.cells);
    }

    #[test]
    fn unknown_types_survive_and_keyless_records_do_not() {
        let mut audit = Audit::default();
        let mut row = |text: &str| audit.data(text, &Around::default());
        let unknown =
            row(r#"{"CreationTime":"2026-01-08T16:44:07","Id":"a","Operation":"New","RecordType":99999,"UserType":77}"#).unwrap();
        assert_eq!(
            (unknown.get("RecordType"), unknown.get("RecordTypeName"), unknown.get("UserType")),
            (&Cell::Int(99999), &Cell::Null, &Cell::Int(77))
        );
        let named = row(r#"{"CreationTime":"2026-01-08T16:44:07","Id":"b","Operation":"New","RecordType":"CopilotInteraction"}"#)
            .unwrap();
        assert_eq!(named.get("RecordType"), &Cell::Int(261));
        assert!(row(r#"{"CreationTime":"2026-01-08T16:44:07","Operation":"New","RecordType":1}"#).is_err());
        assert!(row(r#"{"Id":"b","CreationTime":"soon","Operation":"New","RecordType":1}"#).is_err());
        assert!(row(r#"{"Id":"b","#).is_err());
    }
}
