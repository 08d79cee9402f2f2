//! Which rows are one record (`docs/identity.md`): tables are the same whatever the order, the cuts and the shapes in which
//! records come, and wherever a landing was stopped.

mod cases;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::prelude::{SessionContext, col};
use kqlake::engine::{Engine, EngineOptions};
use kqlake::output::{Format, TableStyle, sink};
use kqlake_import::{ImportOptions, import_paths};
use kqlake_lake::fault::{Fault, Step};
use kqlake_lake::tables::{self, ColumnDef, IMPORT_ID, KeySpan, TAKEN_AT, TableDef};
use kqlake_lake::{CompactOptions, Lake, RowBuilder};
use kqlake_value::Type;
use kqlake_value::clock::FixedClock;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError};
use serde_json::{Value, json};

use super::lake::{DAY, HOUR, def, position};
use super::support::project;

/// All rows of a table as sorted texts of all columns but the run's; the import's own rows are left out.
async fn rows(lake: &Lake, def: &'static TableDef) -> Vec<String> {
    let frame = SessionContext::new().read_table(lake.provider(def).await.expect("a provider")).expect("a frame");
    let names: Vec<String> = frame.schema().fields().iter().map(|f| f.name().clone()).filter(|name| name != IMPORT_ID).collect();
    let columns: Vec<_> = names.iter().map(|name| col(format!("\"{name}\""))).collect();
    let batches = frame.select(columns).expect("columns").collect().await.expect("rows");
    let options = FormatOptions::default();
    let mut rows = Vec::new();
    for batch in &batches {
        let format: Vec<_> = batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).expect("a format")).collect();
        for row in 0..batch.num_rows() {
            let mut text = String::new();
            for (name, value) in names.iter().zip(&format) {
                let value = value.value(row).to_string();
                if !value.is_empty() {
                    write!(text, "{name}={value} ").expect("a text");
                }
            }
            rows.push(text);
        }
    }
    rows.retain(|row| !row.contains("cloud_RoleName=kqlake "));
    rows.sort();
    rows
}

/// A lake that stops at a step, once.
fn stopping(root: &Path, step: Step) -> Lake {
    let done = AtomicBool::new(false);
    Lake::with_fault(root, Fault::new(move |s| s == step && !done.swap(true, Ordering::SeqCst)))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

const STOPS: [Option<Step>; 6] = [None, None, None, Some(Step::FileWritten), Some(Step::BeforeCommit), Some(Step::AfterCommit)];

// Rows of every table, as the lake takes them.

/// One row of whatever table: which record it is, its day, its version, and which of its columns have which values.
#[derive(Debug, Clone)]
struct Drawn {
    record: u8,
    day: i64,
    version: i64,
    fill: u16,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    (0..4_u8, 0..3_i64, 0..3_i64, any::<u16>()).prop_map(|(record, day, version, fill)| Drawn { record, day, version, fill })
}

fn append(out: &mut RowBuilder, row: &Drawn, import_id: &str) {
    let def = out.def();
    let time = DAY + row.day * 24 * HOUR + i64::from(row.record) * 1_234_567;
    // A state that comes back behind another one is told by its order alone, see `TableDef::keeps_unchanged`: here none does.
    let told = def.versions.first().filter(|version| **version == TAKEN_AT).and_then(|_| {
        let tells =
            |c: &&ColumnDef| matches!(c.ty, Type::String | Type::Long | Type::Int | Type::Real) && !c.name.starts_with('_');
        let free = def.columns.iter().filter(tells).find(|c| !def.key.contains(&c.name) && !def.versions.contains(&c.name));
        free.map(|c| c.name)
    });
    for (at, column) in def.columns.iter().enumerate() {
        let in_key = def.key.contains(&column.name);
        if column.name == def.time {
            out.set_datetime_us(at, time);
        } else if column.name == IMPORT_ID {
            out.set_str(at, import_id);
        } else if def.versions.first() == Some(&column.name) {
            // Rows of files do not say when they were taken.
            if column.name != TAKEN_AT || row.version > 0 {
                out.set_datetime_us(at, DAY + row.version);
                out.set_i64(at, row.version);
            }
        } else if in_key {
            out.set_str(at, &format!("record {}", row.record));
            out.set_i64(at, i64::from(row.record));
            out.set_datetime_us(at, time);
        } else if !column.name.starts_with("_content") && (told == Some(column.name) || row.fill & (1 << (at % 16)) != 0) {
            let value = if told == Some(column.name) { row.version } else { i64::from(row.fill >> 8) % 3 };
            match column.ty {
                Type::Dynamic => out.set_dynamic_valid(at, &json!({ "a": value, "b": [value] }).to_string()),
                Type::DateTime => out.set_datetime_us(at, DAY + value),
                Type::String => out.set_str(at, &format!("value {value}")),
                Type::Bool => out.set_bool(at, value > 0),
                Type::Guid => out.set_str(at, "0b5c4d3e-0000-4000-8000-00000000000a"),
                _ => out.set_i64(at, value),
            }
        }
    }
    out.end_row();
}

/// Lands rows in groups, each until it is landed.
async fn land_all(root: &Path, def: &'static TableDef, groups: &[(Vec<Drawn>, Option<Step>, bool)]) {
    for (number, (group, stop, compact)) in groups.iter().enumerate() {
        let mut lake = stop.map_or_else(|| Lake::new(root), |step| stopping(root, step));
        for again in 0..2 {
            let work = async {
                let mut landing = lake.land(def).await?;
                for row in group {
                    let mut out = RowBuilder::new(def);
                    append(&mut out, row, &format!("run {number} {again}"));
                    landing.write(out.finish().expect("rows")).await?;
                }
                landing.commit(position(number as i64)).await
            };
            if work.await.is_ok() {
                break;
            }
            lake = Lake::new(root);
        }
        if *compact {
            let options = CompactOptions { grace: std::time::Duration::ZERO, ..CompactOptions::default() };
            Lake::new(root).compact(def, &options).await.expect("compacted");
        }
    }
}

/// Cuts rows, brought into an order, into groups that overlap by a few.
fn cut(rows: &[Drawn], order: &[usize], size: usize, stops: &[usize], compact: bool) -> Vec<(Vec<Drawn>, Option<Step>, bool)> {
    let mut places: Vec<usize> = (0..rows.len()).collect();
    places.sort_by_key(|place| (order[place % order.len()], *place));
    let mut groups = Vec::new();
    for (number, start) in (0..places.len()).step_by(size).enumerate() {
        let group =
            places[start.saturating_sub(2)..(start + size).min(places.len())].iter().map(|at| rows[*at].clone()).collect();
        groups.push((group, STOPS[stops[number % stops.len()] % STOPS.len()], compact && number == 0));
    }
    groups
}

/// So many cases, or as many as are asked for.
fn cases(cases: u32) -> Config {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    Config { cases: asked.unwrap_or(cases), failure_persistence: None, max_shrink_iters: 60, ..Config::default() }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn a_table_is_a_function_of_its_rows(
        table in 0..tables::all().count(),
        drawn in prop::collection::vec(drawn(), 1..14),
        orders in prop::collection::vec(prop::collection::vec(0..100_usize, 14), 2),
        sizes in (1..6_usize, 1..14_usize),
        stops in prop::collection::vec(0..STOPS.len(), 6),
        compact in any::<bool>(),
    ) {
        let def = tables::all().nth(table).expect("a table");
        let (first, second) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let found = runtime().block_on(async {
            land_all(first.path(), def, &cut(&drawn, &orders[0], sizes.0, &stops, compact)).await;
            land_all(second.path(), def, &cut(&drawn, &orders[1], sizes.1, &[0], false)).await;
            (rows(&Lake::new(first.path()), def).await, rows(&Lake::new(second.path()), def).await)
        });
        let time_in_key = def.key.contains(&def.time);
        let identity = |row: &Drawn| (row.record, if def.span == KeySpan::Day || time_in_key { row.day } else { 0 });
        let records: BTreeSet<_> = drawn.iter().map(identity).collect();
        prop_assert_eq!(found.0.len(), records.len(), "{}", def.name);
        prop_assert_eq!(found.0, found.1, "{}", def.name);
    }
}

// Records in files, in every shape that can carry them.

/// Records of one content.
#[derive(Debug, Clone)]
struct Records {
    table: usize,
    day: i64,
    content: u8,
    copies: usize,
}

/// The tables with the names of their fields in the classic and in the workspace schema; values are made of the content, or as
/// given.
const FIELDS: [(&str, &str, &[(&str, &str, Option<&str>)]); 10] = [
    ("trace", "AppTraces", &[("message", "Message", None), ("severityLevel", "SeverityLevel", Some("2"))]),
    ("customEvent", "AppEvents", &[("name", "Name", None)]),
    (
        "pageView",
        "AppPageViews",
        &[("name", "Name", None), ("url", "Url", Some("https://x/y")), ("duration", "DurationMs", Some("12.5"))],
    ),
    (
        "request",
        "AppRequests",
        &[
            ("id", "Id", None),
            ("name", "Name", Some("GET")),
            ("resultCode", "ResultCode", Some("200")),
            ("success", "Success", Some("True")),
        ],
    ),
    (
        "dependency",
        "AppDependencies",
        &[
            ("target", "Target", None),
            ("type", "DependencyType", Some("SQL")),
            ("name", "Name", Some("n")),
            ("data", "Data", None),
        ],
    ),
    ("exception", "AppExceptions", &[("problemId", "ProblemId", None), ("type", "ExceptionType", Some("E"))]),
    (
        "availabilityResult",
        "AppAvailabilityResults",
        &[("name", "Name", Some("ping")), ("location", "Location", None), ("success", "Success", Some("1"))],
    ),
    ("browserTiming", "AppBrowserTimings", &[("name", "Name", None), ("networkDuration", "NetworkDurationMs", Some("3"))]),
    (
        "customMetric",
        "AppMetrics",
        &[("name", "Name", None), ("valueSum", "Sum", Some("7")), ("valueMin", "Min", Some("1")), ("valueMax", "Max", Some("6"))],
    ),
    (
        "performanceCounter",
        "AppPerformanceCounters",
        &[
            ("category", "Category", Some("Process")),
            ("counter", "Counter", Some("% Processor Time")),
            ("instance", "Instance", None),
            ("value", "Value", Some("0.5")),
        ],
    ),
];
/// Fields of all tables, with their names in the workspace schema.
const COMMON: [(&str, &str); 3] =
    [("operation_Id", "OperationId"), ("cloud_RoleInstance", "AppRoleInstance"), ("customDimensions", "Properties")];

const SHAPES: usize = 6;

impl Records {
    fn time(&self, full: bool) -> String {
        format!("2026-02-{:02}T23:59:{:02}.123{}Z", 26 + self.day, 50 + self.content, if full { "4567" } else { "" })
    }

    fn value(&self, given: Option<&str>) -> String {
        given.map_or_else(|| format!("content {}", self.content % 2), str::to_owned)
    }

    fn id(&self, copy: usize) -> String {
        format!("{:04}{}{}{:02}-0000-4000-8000-00000000000a", self.table, self.day, self.content, copy)
    }

    /// Names and values of the classic schema.
    fn classic(&self) -> Vec<(&'static str, String)> {
        let mut fields: Vec<(&str, String)> =
            FIELDS[self.table].2.iter().map(|(name, _, given)| (*name, self.value(*given))).collect();
        fields.push(("operation_Id", format!("operation {}", self.content / 2)));
        fields.push(("cloud_RoleInstance", "server".to_owned()));
        fields.push(("customDimensions", format!(r#"{{"eventId":"RT{:04}","day":"{}"}}"#, self.content, self.day)));
        fields
    }

    fn object(&self, copy: usize, with_id: bool) -> String {
        let mut object = serde_json::Map::new();
        object.insert("timestamp".into(), self.time(true).into());
        object.insert("itemType".into(), FIELDS[self.table].0.into());
        object.insert("appName".into(), "app".into());
        for (name, value) in self.classic() {
            object.insert(
                name.into(),
                if name == "customDimensions" { serde_json::from_str(&value).expect("JSON") } else { value.into() },
            );
        }
        if with_id {
            object.insert("itemId".into(), self.id(copy).into());
        }
        Value::Object(object).to_string()
    }

    fn workspace(&self) -> String {
        let (_, kind, fields) = FIELDS[self.table];
        let mut object = serde_json::Map::new();
        object.insert("time".into(), self.time(true).into());
        object.insert("Type".into(), kind.into());
        object.insert("_BilledSize".into(), 803.into());
        object.insert("resourceId".into(), "/SUBSCRIPTIONS/X".into());
        for (name, value) in self.classic().into_iter().rev() {
            let own = fields.iter().find(|field| field.0 == name).map(|field| field.1);
            let name = own.or_else(|| COMMON.iter().find(|field| field.0 == name).map(|field| field.1)).expect("a name");
            let value = match name {
                "Properties" => json!({ "day": self.day, "eventId": format!("RT{:04}", self.content) }),
                "Success" if value == "True" => Value::Bool(true),
                _ => value.into(),
            };
            object.insert(name.into(), value);
        }
        Value::Object(object).to_string()
    }

    /// The values in the order of [`columns`].
    fn values(&self, copy: usize, full: bool, with_id: bool) -> Vec<String> {
        let fields: BTreeMap<&str, String> = self.classic().into_iter().collect();
        columns(with_id)
            .iter()
            .map(|name| match *name {
                "timestamp" => self.time(full),
                "itemType" => FIELDS[self.table].0.to_owned(),
                "itemId" => self.id(copy),
                name => fields.get(name).cloned().unwrap_or_default(),
            })
            .collect()
    }
}

/// The columns of files that hold rows of all tables.
fn columns(with_id: bool) -> Vec<&'static str> {
    let mut names = BTreeSet::new();
    names.extend(FIELDS.iter().flat_map(|table| table.2.iter().map(|field| field.0)));
    names.extend(COMMON.iter().map(|field| field.0));
    let mut columns = vec!["timestamp", "itemType"];
    columns.extend(names);
    columns.extend(with_id.then_some("itemId"));
    columns
}

/// A file of records in one of the shapes: its name and its text.
fn file(number: usize, records: &[Records], shape: usize) -> (String, String) {
    let copies = || records.iter().flat_map(|record| (0..record.copies).map(move |copy| (record, copy)));
    let with_id = shape < 3;
    match shape {
        0 | 3 => (format!("{number}.ndjson"), copies().map(|(record, copy)| record.object(copy, with_id) + "\n").collect()),
        1 | 4 => {
            let names: Vec<Value> = columns(with_id).iter().map(|name| json!({ "name": name, "type": "string" })).collect();
            let rows: Vec<Value> = copies().map(|(record, copy)| json!(record.values(copy, true, with_id))).collect();
            (
                format!("{number}.json"),
                json!({ "tables": [{ "name": "PrimaryResult", "columns": names, "rows": rows }] }).to_string(),
            )
        }
        2 => {
            let mut out = csv::Writer::from_writer(Vec::new());
            out.write_record(columns(with_id)).expect("a heading");
            copies().for_each(|(record, copy)| out.write_record(record.values(copy, false, with_id)).expect("a row"));
            (format!("{number}.csv"), String::from_utf8(out.into_inner().expect("a file")).expect("a text"))
        }
        _ => (format!("{number}.json"), copies().map(|(record, _)| record.workspace() + "\n").collect()),
    }
}

/// Files of the other sources: each record of them in several shapes and versions.
fn others() -> Vec<(String, String)> {
    let audit = |n: usize, day: usize| {
        json!({ "Id": format!("0b5c4d3e-0000-4000-8000-{n:012}"), "CreationTime": format!("2026-02-{day}T10:00:0{n}"), "RecordType": 6,
            "Operation": "FileAccessed", "Workload": "SharePoint", "UserId": "amy@contoso.com" })
        .to_string()
    };
    let mut data = csv::Writer::from_writer(Vec::new());
    data.write_record(["RecordId", "CreationDate", "AuditData"]).expect("a heading");
    for n in 1..4 {
        data.write_record(["", "", &audit(n, 27)]).expect("a row");
    }
    let call = |version: u8, day: u8| {
        json!({ "id": "c1", "version": version, "type": "groupCall", "modalities": ["audio"], "startDateTime": format!("2026-02-{day}T23:00:00Z"),
            "endDateTime": "2026-02-28T01:00:00Z", "lastModifiedDateTime": format!("2026-02-28T02:00:0{version}Z"), "organizer": {},
            "participants": [], "sessions": [{ "id": "s1", "modalities": ["audio"], "startDateTime": format!("2026-02-{day}T23:00:00Z"),
            "endDateTime": "2026-02-28T01:00:00Z", "segments": [{ "id": "g1", "startDateTime": format!("2026-02-{day}T23:00:00Z"),
            "endDateTime": "2026-02-28T01:00:00Z" }] }] })
        .to_string()
    };
    let trace = |status: &str, recipient: &str| {
        json!({ "id": "1D2E3F40-5A6B-4C7D-8E9F-08DE4C1B2A3D", "senderAddress": "amy@contoso.com", "recipientAddress": recipient,
            "messageId": "<a@c>", "receivedDateTime": "2026-02-27T00:10:13.135Z", "subject": "Hello", "status": status, "size": 41231 })
        .to_string()
    };
    let report = "Report Refresh Date,User Principal Name,Is Deleted,Deleted Date,Last Activity Date,Viewed Or Edited File Count,\
                  Synced File Count,Shared Internally File Count,Shared Externally File Count,Assigned Products,Report Period\n\
                  2026-02-27,amy@contoso.com,False,,2026-02-26,3,4,0,0,E5+POWER BI,7\n2026-02-27,bob@contoso.com,False,,,,,,,E5,7\n";
    let json_report = r#"{"value":[{"reportRefreshDate":"2026-02-27","userPrincipalName":"Amy@contoso.com","lastActivityDate":"2026-02-26","isDeleted":false,"deletedDate":null,"viewedOrEditedFileCount":3,"syncedFileCount":"4","sharedInternallyFileCount":0,"sharedExternallyFileCount":0,"assignedProducts":["E5","POWER BI"],"reportPeriod":"7"}]}"#;
    vec![
        ("audit.ndjson".into(), [audit(1, 27), audit(2, 27), audit(1, 28)].join("\n")),
        ("audit.csv".into(), String::from_utf8(data.into_inner().expect("a file")).expect("a text")),
        ("call1.json".into(), call(1, 26)),
        ("call2.json".into(), call(2, 27)),
        ("trace1.json".into(), [trace("pending", "bob@fabrikam.com"), trace("failed", "eve@fabrikam.com")].join("\n")),
        ("trace2.json".into(), [trace("delivered", "Bob@fabrikam.com"), trace("pending", "eve@fabrikam.com")].join("\n")),
        ("OneDriveActivityUserDetail.csv".into(), report.into()),
        ("OneDriveActivityUserDetail.json".into(), json_report.into()),
    ]
}

/// How many rows the other sources have in each table.
const OTHERS: [(&str, usize); 6] = [
    ("AuditRecords", 4),
    ("CallRecords", 1),
    ("CallSessions", 1),
    ("CallSegments", 1),
    ("MessageTrace", 2),
    ("OneDriveActivityUserDetail", 2),
];

/// Imports groups of files, each until its import ends well; gives the rows of all tables.
async fn import_all(
    root: &Path,
    files: &[(String, String)],
    groups: &[(Vec<usize>, Option<Step>)],
) -> BTreeMap<&'static str, Vec<String>> {
    let folder = root.join("in");
    fs::create_dir_all(&folder).expect("a folder");
    let options = ImportOptions { clock: Arc::new(FixedClock::at_micros(DAY + 60 * 24 * HOUR)), ..ImportOptions::default() };
    for (group, stop) in groups {
        let paths: Vec<PathBuf> = group.iter().map(|at| folder.join(&files[*at].0)).collect();
        for (at, path) in group.iter().zip(&paths) {
            fs::write(path, &files[*at].1).expect("a file");
        }
        let lake = stop.map_or_else(|| Lake::new(&root.join("lake")), |step| stopping(&root.join("lake"), step));
        if import_paths(&lake, &paths, &options, &()).await.is_err() {
            let summary = import_paths(&Lake::new(&root.join("lake")), &paths, &options, &()).await.expect("an import");
            assert!(summary.is_complete(), "{:?}", summary.units);
        }
    }
    let lake = Lake::new(&root.join("lake"));
    let mut found = BTreeMap::new();
    for def in tables::all().filter(|def| def.name != "ImportLedger") {
        let rows = rows(&lake, def).await;
        if !rows.is_empty() {
            found.insert(def.name, rows);
        }
    }
    found
}

fn groups(files: usize, order: &[usize], size: usize, stops: &[usize]) -> Vec<(Vec<usize>, Option<Step>)> {
    let mut places: Vec<usize> = (0..files).collect();
    places.sort_by_key(|place| (order[place % order.len()], *place));
    let chunks = places.chunks(size).enumerate();
    chunks.map(|(number, chunk)| (chunk.to_vec(), STOPS[stops[number % stops.len()] % STOPS.len()])).collect()
}

fn records() -> impl Strategy<Value = Records> {
    (0..FIELDS.len(), 0..3_i64, 0..4_u8, 1..4_usize).prop_map(|(table, day, content, copies)| Records {
        table,
        day,
        content,
        copies,
    })
}

proptest! {
    #![proptest_config(cases(6))]

    #[test]
    fn tables_are_a_function_of_the_files(
        drawn in prop::collection::vec(records(), 1..12),
        cuts in prop::collection::vec((0..12_usize, 1..12_usize, 0..SHAPES), 1..8),
        orders in prop::collection::vec(prop::collection::vec(0..100_usize, 16), 2),
        sizes in (1..4_usize, 3..16_usize),
        stops in prop::collection::vec(0..STOPS.len(), 6),
    ) {
        let mut contents = BTreeSet::new();
        let records: Vec<Records> =
            drawn.into_iter().filter(|r| contents.insert((r.table, r.day, r.content))).collect();
        let mut files = others();
        let mut expected: BTreeMap<&str, BTreeMap<(i64, u8), usize>> = BTreeMap::new();
        for (number, (start, len, shape)) in cuts.iter().enumerate() {
            let start = start % records.len();
            let part = &records[start..(start + len).min(records.len())];
            for record in part {
                // The definitions of these tables come first, in the same order.
                expected.entry(tables::names().nth(record.table).expect("a table")).or_default().insert((record.day, record.content), record.copies);
            }
            files.push(file(number, part, *shape));
        }
        let (first, second) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let (one, other) = runtime().block_on(async {
            (
                import_all(first.path(), &files, &groups(files.len(), &orders[0], sizes.0, &stops)).await,
                import_all(second.path(), &files, &groups(files.len(), &orders[1], sizes.1, &[0])).await,
            )
        });
        for (table, records) in expected {
            let count: usize = records.values().sum();
            prop_assert_eq!(one.get(table).map_or(0, Vec::len), count, "{}", table);
        }
        for (table, count) in OTHERS {
            prop_assert_eq!(one.get(table).map_or(0, Vec::len), count, "{}", table);
        }
        same(&one, &other)?;
    }
}

fn same(one: &BTreeMap<&'static str, Vec<String>>, other: &BTreeMap<&'static str, Vec<String>>) -> Result<(), TestCaseError> {
    let tables: BTreeSet<&str> = one.keys().chain(other.keys()).copied().collect();
    for table in tables {
        prop_assert_eq!(one.get(table), other.get(table), "{}", table);
    }
    Ok(())
}

// The document.

/// The tables of one identity, as the document has them.
fn documented() -> String {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for def in tables::all() {
        let span = match def.span {
            KeySpan::Day => format!("the day of `{}`", def.time),
            KeySpan::Table => "the table".to_owned(),
        };
        let version: String = def.versions.iter().map(|column| format!("greater `{column}`, then ")).collect();
        let content = def.content.map_or("—", |_| "content and number");
        let key: Vec<String> = def.key.iter().map(|name| format!("`{name}`")).collect();
        let group =
            def.group.map_or_else(String::new, |column| format!("; of each `{column}` what its newest whole version has"));
        let line = format!("| {} | {span} | {version}the fuller{group} | {content} |", key.join(", "));
        match groups.iter_mut().find(|(known, _)| *known == line) {
            Some((_, names)) => names.push(def.name),
            None => groups.push((line, vec![def.name])),
        }
    }
    let mut out = String::from("| tables | key | within | stays | without an id |\n|---|---|---|---|---|\n");
    for (line, names) in groups {
        let names = match names.as_slice() {
            many if many.len() > 20 => format!("the {} usage reports", many.len()),
            some => some.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
        };
        writeln!(out, "| {names} {line}").expect("a text");
    }
    out
}

#[test]
fn the_document_says_what_the_definitions_say() {
    let text = fs::read_to_string(project().join("docs/identity.md")).expect("docs/identity.md");
    let (_, rest) = text.split_once("what should stand here -->\n").expect("the mark before the tables");
    let (found, _) = rest.split_once("<!-- end -->").expect("the mark behind the tables");
    assert_eq!(found, documented(), "docs/identity.md should have:\n{}", documented());
}
