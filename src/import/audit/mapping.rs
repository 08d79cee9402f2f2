//! Audit records to rows of `AuditRecords`.
//!
//! The common schema and the fields that queries use most are typed; the whole record stays in `Raw`, so that record
//! types, workloads and fields that were unknown when this was written survive.

use std::borrow::Cow;
use std::sync::LazyLock;

use crate::convert::{self, DateOrder};
use crate::fields::{FieldMap, push_member};
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

/// Names by number of the other enumerations that columns hold as numbers (same schema; of `AzureActiveDirectoryEventType` in its order).
/// Sentinel, and others that relay records, say the name.
const ENUMERATIONS: [(&str, &[&str]); 4] = [
    ("Scope", &["Online", "Onprem"]),
    ("LogonType", LOGON_TYPES),
    ("InternalLogonType", LOGON_TYPES),
    ("AzureActiveDirectoryEventType", &["AccountLogon", "AzureApplicationAuditEvent"]),
];

const LOGON_TYPES: &[&str] = &["Owner", "Admin", "Delegated", "Transport", "SystemService", "BestAccess", "DelegatedAdmin"];

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

/// The fields of a record that may stand around it, and their names there: in a Graph audit query, and in what an audit search
/// gives.
const AROUND: [(&str, &str); 11] = [
    ("RecordType", "auditLogRecordType"),
    ("Operation", "Operations"),
    ("Workload", "service"),
    ("ClientIP", "clientIp"),
    ("UserId", "userPrincipalName"),
    ("UserId", "UserIds"),
    ("UserId", "userId"),
    ("UserType", "userType"),
    ("ObjectId", "objectId"),
    ("OrganizationId", "organizationId"),
    ("Operation", "operation"),
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
#[derive(Default)]
pub(crate) struct Around<'a> {
    /// The record's id, where the record itself has none.
    pub id: Option<Cow<'a, str>>,
    /// The record's time, where the record itself has none.
    pub created: Option<Cow<'a, str>>,
    /// Month first or day first in `created`.
    pub order: DateOrder,
    /// All that is around the record, as the text of an object: asked for where the record does not say what it is of.
    pub outer: Option<&'a dyn Fn() -> String>,
}

impl Audit {
    /// True for a record of the Management Activity API.
    pub(crate) fn is_record(members: &Members<'_>) -> bool {
        let says = |names: &[&str]| names.iter().filter(|name| members.has(name)).count();
        // The service may leave out any field of its common schema.
        says(&["RecordType", "Operation"]) == 2 && says(&["CreationTime", "Workload", "Id", "OfficeId"]) > 0
            || says(&["CreationTime", "Id"]) == 2
                && says(&["RecordType", "Operation", "Workload", "UserType", "UserKey", "UserId", "OrganizationId"]) >= 3
            // A row of Sentinel's table, whose other fields have no value: a CSV file then has none of them.
            || members.has("OfficeId") && says(&["RecordType", "Operation", "OfficeWorkload", "UserType"]) > 0
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
        members.has("AuditData") || (members.get("auditLogRecordType").is_some() && members.has("operation"))
    }

    /// The row of a wrapped record.
    pub(crate) fn wrapped(&mut self, members: &Members<'_>, text: &str, order: DateOrder) -> Result<Row<'static>, String> {
        let data = members.get_any_case("AuditData").unwrap_or("{}");
        let outer = || text.to_owned();
        let inner = if data.starts_with('"') { unescape(data) } else { Cow::Borrowed(data) };
        let around = Around {
            id: members.text("Identity").or_else(|| members.text("RecordId")).or_else(|| members.text("id")),
            created: members.text("CreationDate").or_else(|| members.text("createdDateTime")),
            order,
            outer: Some(&outer),
        };
        self.data(&inner, &around)
    }

    /// The row of a record given as JSON text, with what is around it. Where the text does not say the record's type and operation,
    /// as Graph's does of records of which it has no schema, the record is all of the two together.
    pub(crate) fn data(&mut self, text: &str, around: &Around<'_>) -> Result<Row<'static>, String> {
        let text = text.trim();
        if too_deep(text) {
            return Err(format!("AuditData is nested deeper than {MAX_DEPTH} levels"));
        }
        let members = Members::parse(text).map_err(|error| format!("AuditData is no valid JSON object: {error}"))?;
        if let Some(outer) = around.outer.filter(|_| !(members.has("RecordType") && members.has("Operation"))) {
            let outer = outer();
            let whole = Members::parse(&outer).map(|outer| with_outer(&members, &outer)).unwrap_or_else(|_| text.to_owned());
            if let Ok(members) = Members::parse(&whole) {
                return self.record(&members, &whole, around);
            }
        }
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
            let value = SourceValue::Json(value.get());
            let cell = value.read(fields.ty(column), around.order);
            if let Some(cell) = cell.or_else(|| number_of(fields.table.columns[column].name, &value.text()))
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

/// A record with what is around it: under the names of the record's fields where it lacks them, else under their own, or as
/// `around.NAME` where the record has that name already.
fn with_outer(record: &Members<'_>, outer: &Members<'_>) -> String {
    let mut whole = String::from("{");
    record.0.iter().for_each(|(name, value)| push_member(&mut whole, name, value.get()));
    let mut filled: Vec<&str> = Vec::new();
    for (name, value) in outer.0.iter().filter(|(name, value)| value.get() != "null" && !name.eq_ignore_ascii_case("AuditData")) {
        let is_free = |field: &str| !record.has(field) && !filled.iter().any(|known| known.eq_ignore_ascii_case(field));
        let field = AROUND.iter().find(|(field, of)| *of == name && is_free(field)).map_or(name.as_ref(), |(field, _)| *field);
        if is_free(field) {
            push_member(&mut whole, field, value.get());
            filled.push(field);
        } else {
            push_member(&mut whole, &format!("around.{name}"), value.get());
        }
    }
    whole.push('}');
    whole
}

/// The number of an enumeration's member that a column of numbers is given by name.
fn number_of(column: &str, said: &str) -> Option<Cell<'static>> {
    let (_, names) = ENUMERATIONS.iter().find(|(of, _)| *of == column)?;
    let number = names.iter().position(|name| name.eq_ignore_ascii_case(said.trim()))?;
    Some(Cell::Int(i64::try_from(number).ok()?))
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
        let again = Audit::default().wrapped(&Members::parse(&wrapped).unwrap(), &wrapped, DateOrder::Unknown).unwrap();
        assert_eq!(again.cells, row.cells);
        let text = serde_json::Value::from(record).to_string();
        let wrapped = format!(r#"{{"Identity":"x","AuditData":{text}}}"#);
        let again = Audit::default().wrapped(&Members::parse(&wrapped).unwrap(), &wrapped, DateOrder::Unknown).unwrap();
        assert_eq!(again.cells, row.cells);
    }

    #[test]
    fn a_record_that_says_nothing_is_filled_from_what_is_around_it() {
        let around = r#""id":"c2","createdDateTime":"2026-01-08T16:44:07Z","auditLogRecordType":"sharePointFileOperation","operation":"FileModified","service":"OneDrive","clientIp":"1.2.3.4","userPrincipalName":"amy@c","userId":"u","administrativeUnits":["u1"]"#;
        for data in [r##"{"@odata.type":"#microsoft.graph.security.defaultAuditData"}"##, "{}", "null"] {
            let text = format!("{{{around},\"auditData\":{data}}}");
            let members = Members::parse(&text).unwrap();
            assert!(Audit::is_wrapped(&members), "{data}");
            let row = Audit::default().wrapped(&members, &text, DateOrder::Unknown).unwrap();
            for (column, expected) in [
                ("Id", "c2"),
                ("Operation", "FileModified"),
                ("RecordTypeName", "SharePointFileOperation"),
                ("Workload", "OneDrive"),
                ("ClientIP", "1.2.3.4"),
                ("UserId", "amy@c"),
            ] {
                assert_eq!(row.get(column).as_text(), Some(expected), "{column} {data}");
            }
            assert_eq!(row.get("RecordType"), &Cell::Int(6));
            let Cell::Json(raw) = row.get("Raw") else { panic!("{data}: no JSON") };
            assert!(raw.contains(r#""administrativeUnits":["u1"]"#) && raw.contains(r#""around.userId":"u""#), "{raw}");
        }
        let search = r#"{"RecordId":"r","CreationDate":"2026-01-08T16:44:07Z","RecordType":6,"Operation":"FileModified","UserId":"amy@c","AuditData":"{}"}"#;
        let row = Audit::default().wrapped(&Members::parse(search).unwrap(), search, DateOrder::Unknown).unwrap();
        assert_eq!((row.get("Operation").as_text(), row.get("UserId").as_text()), (Some("FileModified"), Some("amy@c")));
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
        let is_record = |text: &str| Audit::is_record(&Members::parse(text).unwrap());
        for (without, expected) in [
            (r#""Operation":"New","Workload":"Exchange","UserKey":"k""#, true),
            (r#""RecordType":1,"UserType":0,"OrganizationId":"o""#, true),
            (r#""UserId":"u","Operation":"New""#, false),
        ] {
            let text = format!(r#"{{"CreationTime":"2026-01-08T16:44:07","Id":"c",{without}}}"#);
            assert_eq!(is_record(&text), expected, "{text}");
            assert!(!expected || row(&text).is_ok(), "{text}");
        }
        for (field, said, column, number) in [
            ("Logon_Type", "\"Owner\"", "LogonType", Cell::Int(0)),
            ("LogonType", "\" delegatedadmin \"", "LogonType", Cell::Int(6)),
            ("InternalLogonType", "\"Admin\"", "InternalLogonType", Cell::Int(1)),
            ("AzureActiveDirectory_EventType", "\"AzureApplicationAuditEvent\"", "AzureActiveDirectoryEventType", Cell::Int(1)),
            ("Scope", "\"Onprem\"", "Scope", Cell::Int(1)),
            ("Logon_Type", "\"5\"", "LogonType", Cell::Int(5)),
            ("Logon_Type", "\"\"", "LogonType", Cell::Null),
            ("Logon_Type", "\"Someone\"", "LogonType", Cell::Null),
            ("LoginStatus", "\"Owner\"", "LoginStatus", Cell::Null),
        ] {
            let text =
                format!(r#"{{"CreationTime":"2026-01-08T16:44:07","Id":"d","RecordType":2,"Operation":"New","{field}":{said}}}"#);
            assert_eq!(row(&text).unwrap().get(column), &number, "{text}");
        }
        assert!(row(r#"{"CreationTime":"2026-01-08T16:44:07","Operation":"New","RecordType":1}"#).is_err());
        assert!(row(r#"{"Id":"b","CreationTime":"soon","Operation":"New","RecordType":1}"#).is_err());
        assert!(row(r#"{"Id":"b","#).is_err());
    }
}
