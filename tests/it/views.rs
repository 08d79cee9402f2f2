//! Views: tables under the names and in the shape that other products give them, both ways.

use std::fs;

use serde_json::{Map, Value, json};

use super::support::{Run, csv_rows, project, run_in};

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().expect("a temporary folder"))
    }

    fn run(&self, args: &[&str]) -> Run {
        run_in(self.0.path(), &[&["--lake", "lake"], args].concat())
    }

    fn file(&self, name: &str, lines: &[Value]) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(self.0.path().join(name), text).expect("a file");
    }

    /// The cells of a query's answer, rows joined by `;` and columns by `|`.
    #[track_caller]
    fn query(&self, kql: &str) -> String {
        let rows = csv_rows(&self.run(&["query", "-f", "csv", kql]).exits(0).out);
        rows.into_iter().skip(1).map(|row| row.join("|")).collect::<Vec<_>>().join(";")
    }
}

fn with(base: Value, more: &[(&str, Value)]) -> Value {
    let Value::Object(mut members) = base else { panic!("an object expected") };
    members.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect::<Map<_, _>>());
    Value::Object(members)
}

/// An audit record as the Management Activity API gives it.
fn record(id: &str, more: &[(&str, Value)]) -> Value {
    let base = json!({"CreationTime": "2026-01-05T08:04:07", "Id": id, "Operation": "MailboxLogin", "RecordType": 2, "UserType": 0,
        "UserKey": "k", "OrganizationId": "o", "Workload": "Exchange", "UserId": "u"});
    with(base, more)
}

/// The same as a row of Sentinel's table.
fn row(id: &str, more: &[(&str, Value)]) -> Value {
    let base = json!({"TimeGenerated": "2026-01-06T08:04:07Z", "OfficeId": id, "Operation": "MailboxLogin", "RecordType": "ExchangeItem",
        "UserType": "Regular", "UserKey": "k", "OfficeTenantId": "o", "OfficeWorkload": "Exchange", "UserId": "u", "Type": "OfficeActivity"});
    with(base, more)
}

#[test]
fn office_activity_names_what_sentinel_names_and_audit_records_have_the_numbers() {
    let logons = ["Owner", "Admin", "Delegated", "Transport", "SystemService", "BestAccess", "DelegatedAdmin"];
    let events = ["AccountLogon", "AzureApplicationAuditEvent"];
    let place = Place::new();
    let (mut records, mut rows, mut expected) = (Vec::new(), Vec::new(), Vec::new());
    for (at, name) in logons.iter().enumerate() {
        let (event, number) = (events[at % 2], at % 2);
        let as_numbers =
            [("LogonType", json!(at)), ("InternalLogonType", json!(at)), ("AzureActiveDirectoryEventType", json!(number))];
        let as_names =
            [("Logon_Type", json!(name)), ("InternalLogonType", json!(at)), ("AzureActiveDirectory_EventType", json!(event))];
        records.push(record(&format!("a{at}"), &as_numbers));
        rows.push(row(&format!("b{at}"), &as_names));
        expected.push((format!("{name}|{at}|{event}"), format!("{at}|{at}|{number}")));
    }
    // Numbers and names that nobody knows are what they came as; no value is none.
    records.push(record("a7", &[("LogonType", json!(77)), ("AzureActiveDirectoryEventType", json!(78))]));
    rows.push(row("b7", &[("Logon_Type", json!("Somebody")), ("AzureActiveDirectory_EventType", json!("Something"))]));
    rows.push(row("b8", &[("Logon_Type", json!("")), ("RecordType", json!("NewKind")), ("UserType", json!("NewUser"))]));
    place.file("records.json", &records);
    place.file("rows.json", &rows);
    place.run(&["import", "--from", "records.json", "rows.json"]).exits(0);
    let office = "OfficeActivity | sort by OfficeId asc | project Logon_Type, InternalLogonType, AzureActiveDirectory_EventType";
    let audit = "AuditRecords | sort by Id asc | project LogonType, InternalLogonType, AzureActiveDirectoryEventType";
    let names: Vec<&str> = expected.iter().map(|(names, _)| names.as_str()).collect();
    let numbers: Vec<&str> = expected.iter().map(|(_, numbers)| numbers.as_str()).collect();
    assert_eq!(place.query(office), [&names[..], &["77||78"], &names[..], &["Somebody||Something", "||"]].concat().join(";"));
    assert_eq!(place.query(audit), [&numbers[..], &["77||78"], &numbers[..], &["||", "||"]].concat().join(";"));
    // "Non-owner mailbox login activity" of Azure-Sentinel.
    let published =
        r#"OfficeActivity | where Operation == "MailboxLogin" and Logon_Type != "Owner" and OfficeId !endswith "8" | count"#;
    assert_eq!(place.query(published), "14");
    assert_eq!(place.query("OfficeActivity | where OfficeId == 'b8' | project RecordType, UserType"), "NewKind|NewUser");
}

#[test]
fn office_activity_names_values_that_some_records_say_by_number() {
    let place = Place::new();
    let texts = [("ItemType", json!("5")), ("EventSource", json!(1)), ("AddOnType", json!(3)), ("UserType", json!(3))];
    let named = [("ItemType", json!("Folder")), ("EventSource", json!("ObjectModel")), ("AddOnType", json!("Tab"))];
    let unknown = [("ItemType", json!("12")), ("EventSource", json!(7)), ("UserType", json!(99)), ("RecordType", json!(9999))];
    place.file("records.json", &[record("a", &texts), record("b", &named), record("c", &unknown)]);
    place.run(&["import", "--from", "records.json"]).exits(0);
    let kql = "OfficeActivity | sort by OfficeId asc | project ItemType, EventSource, AddOnType, UserType, RecordType";
    let expected = "Folder|ObjectModel|Tab|DcAdmin|ExchangeItem;Folder|ObjectModel|Tab|Regular|ExchangeItem;12|7||99|9999";
    assert_eq!(place.query(kql), expected);
}

#[test]
fn office_activity_that_is_written_out_is_the_same_records_when_it_comes_back() {
    let place = Place::new();
    let fixtures = project().join("fixtures/audit");
    place.run(&["import", "--from", fixtures.to_str().expect("a path of characters")]).exits(0);
    let all = "AuditRecords | summarize count(), countif(isnotnull(RecordType)), countif(isnotempty(Raw.CreationTime))";
    let before = place.query(all);
    for name in ["o.csv", "o.ndjson", "o.json"] {
        place.run(&["query", "OfficeActivity", "-o", name]).exits(0);
        let run = place.run(&["import", "--from", name]).exits(0);
        assert!(run.out.contains(": 0 new") && !run.out.contains("replaced"), "{name}: {}", run.out);
        assert_eq!(place.query(all), before, "{name}");
    }
    // As programs wrote it that gave no number where a name was missing.
    let other = Place::new();
    other.file(
        "empty.json",
        &[row("x", &[("RecordType", json!("")), ("Operation", json!("New"))]), row("y", &[("Operation", json!(""))])],
    );
    let csv = "OfficeId,TimeGenerated,Operation,RecordType,UserType,OfficeWorkload,Type\nx,2026-01-06T08:04:07Z,New,,Regular,Exchange,OfficeActivity\ny,2026-01-06T08:04:07Z,,ExchangeItem,,,OfficeActivity\n";
    fs::write(other.0.path().join("empty.csv"), csv).expect("a file");
    assert!(other.run(&["import", "--from", "empty.csv"]).exits(0).out.contains("2 new"));
    assert!(other.run(&["import", "--from", "empty.json"]).exits(0).out.contains("0 new"));
}

#[test]
fn workspace_views_have_the_columns_that_diagnostic_settings_alone_give() {
    let place = Place::new();
    let tables = ["AppPageViews", "AppRequests", "AppDependencies", "AppAvailabilityResults", "AppBrowserTimings"];
    let line = |table: &&str| {
        let size = if *table == "AppAvailabilityResults" { json!(5.5) } else { Value::Null };
        json!({"time": "2026-01-07T10:00:00Z", "Type": table, "Name": "n", "PerformanceBucket": "<250ms", "Size": size})
    };
    place.file("blob.json", &tables.iter().map(line).collect::<Vec<_>>());
    place.run(&["import", "--from", "blob.json"]).exits(0);
    for table in tables {
        assert_eq!(place.query(&format!("{table} | summarize count() by PerformanceBucket")), "<250ms|1", "{table}");
    }
    assert_eq!(place.query("AppAvailabilityResults | project Size"), "5.5");
}

#[test]
fn a_record_without_a_time_is_refused_as_such() {
    for record in [
        json!({"message": "m", "itemId": "x", "itemType": "trace"}),
        json!({"timestamp": null, "message": "m", "itemType": "trace"}),
        json!({"Type": "AppRequests", "Name": "m"}),
    ] {
        let place = Place::new();
        place.file("in.json", &[record]);
        place
            .run(&["import", "--from", "in.json"])
            .exits(5)
            .says("the record has no time that can be read (timestamp, TimeGenerated or time)");
    }
}
