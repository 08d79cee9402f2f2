//! Records of the retired continuous export: nested, with durations in ticks of 100 ns, and custom fields as arrays.

use serde_json::{Map, Value};

use super::tables::TABLES;
use kqlake_value::json::checked::Members;

/// The member that holds a record's own fields, by table (Azure Monitor documentation, "Application Insights export data model").
const KINDS: [(&str, &str); 10] = [
    ("message", "traces"),
    ("event", "customEvents"),
    ("view", "pageViews"),
    ("request", "requests"),
    ("remoteDependency", "dependencies"),
    ("basicException", "exceptions"),
    ("availability", "availabilityResults"),
    ("clientPerformance", "browserTimings"),
    ("metric", "customMetrics"),
    ("performanceCounter", "performanceCounters"),
];

/// The member that holds a record's own fields, and its table's place.
pub(super) fn kind(members: &Members<'_>) -> Option<(&'static str, usize)> {
    KINDS.iter().find_map(|(member, table)| {
        members.get(member).filter(|v| v.starts_with('['))?;
        Some((*member, TABLES.iter().position(|(name, _)| name == table)?))
    })
}

/// Values by the names of the classic columns.
type Flat = Vec<(&'static str, Value)>;

/// A flattened record.
pub(super) struct Flattened {
    /// What classic columns take.
    pub columns: Flat,
    /// What is left of each of its members.
    pub left: Vec<(String, Value)>,
}

/// Where the context keeps what the classic schema has as columns.
const CONTEXT: [(&str, &str); 28] = [
    ("/data/eventTime", "timestamp"),
    ("/operation/id", "operation_Id"),
    ("/operation/parentId", "operation_ParentId"),
    ("/operation/name", "operation_Name"),
    ("/operation/syntheticSource", "operation_SyntheticSource"),
    ("/data/syntheticSource", "operation_SyntheticSource"),
    ("/session/id", "session_Id"),
    ("/user/anonId", "user_Id"),
    ("/user/authId", "user_AuthenticatedId"),
    ("/user/accountId", "user_AccountId"),
    ("/application/version", "application_Version"),
    ("/device/type", "client_Type"),
    ("/device/deviceModel", "client_Model"),
    ("/device/osVersion", "client_OS"),
    ("/device/browserVersion", "client_Browser"),
    ("/device/browser", "client_Browser"),
    ("/device/roleName", "cloud_RoleName"),
    ("/device/roleInstance", "cloud_RoleInstance"),
    ("/cloud/roleName", "cloud_RoleName"),
    ("/cloud/roleInstance", "cloud_RoleInstance"),
    ("/cloud/role", "cloud_RoleName"),
    ("/location/clientip", "client_IP"),
    ("/location/city", "client_City"),
    ("/location/province", "client_StateOrProvince"),
    ("/location/country", "client_CountryOrRegion"),
    ("/internal/sdkVersion", "sdkVersion"),
    ("/internal/iKey", "iKey"),
    ("/internal/instrumentationKey", "iKey"),
];

/// Own fields of a record by the classic column they become. Durations follow apart.
const FIELDS: [(&str, &str); 48] = [
    ("/name", "name"),
    ("/id", "id"),
    ("/url", "url"),
    ("/raw", "message"),
    ("/message", "message"),
    ("/severityLevel", "severityLevel"),
    ("/source", "source"),
    ("/responseCode", "resultCode"),
    ("/resultCode", "resultCode"),
    ("/success", "success"),
    ("/performanceBucket", "performanceBucket"),
    ("/baseName", "name"),
    ("/commandName", "data"),
    ("/dependencyTypeName", "type"),
    ("/remoteDependencyName", "target"),
    ("/target", "target"),
    ("/testName", "name"),
    ("/runLocation", "location"),
    ("/testRunId", "id"),
    ("/result", "success"),
    ("/size", "size"),
    ("/dataSizeMetric/value", "size"),
    ("/dataSize/value", "size"),
    ("/problemId", "problemId"),
    ("/handledAt", "handledAt"),
    ("/exceptionType", "type"),
    ("/typeName", "type"),
    ("/assembly", "assembly"),
    ("/method", "method"),
    ("/outerExceptionType", "outerType"),
    ("/outerExceptionMessage", "outerMessage"),
    ("/outerExceptionThrownAtAssembly", "outerAssembly"),
    ("/outerExceptionThrownAtMethod", "outerMethod"),
    ("/innermostExceptionType", "innermostType"),
    ("/innermostExceptionMessage", "innermostMessage"),
    ("/innermostExceptionThrownAtAssembly", "innermostAssembly"),
    ("/innermostExceptionThrownAtMethod", "innermostMethod"),
    ("/parsedStack", "details"),
    ("/categoryName", "category"),
    ("/category", "category"),
    ("/counterName", "counter"),
    ("/counter", "counter"),
    ("/instanceName", "instance"),
    ("/instance", "instance"),
    ("/value", "value"),
    ("/loggerName", "loggerName"),
    ("/urlData", "urlData"),
    ("/userAgent", "userAgent"),
];

/// Durations in ticks, by the classic column in milliseconds they become.
const DURATIONS: [(&str, &str); 7] = [
    ("durationMetric", "duration"),
    ("networkConnection", "networkDuration"),
    ("sendRequest", "sendDuration"),
    ("receiveRequest", "receiveDuration"),
    ("clientProcess", "processingDuration"),
    ("perfTotal", "totalDuration"),
    ("total", "totalDuration"),
];

/// Gives a column a value; false where it has another one.
fn put(flat: &mut Flat, column: &'static str, value: Value) -> bool {
    if value.is_null() || value.as_str().is_some_and(str::is_empty) {
        return true;
    }
    match flat.iter().find(|(name, _)| *name == column) {
        Some((_, there)) => *there == value,
        None => {
            flat.push((column, value));
            true
        }
    }
}

/// Takes what a path leads to out of a value, and gives it to a column as `form` has it. What the column does not take stays.
fn take(flat: &mut Flat, column: &'static str, from: &mut Value, path: &str, form: impl Fn(&Value) -> Option<Value>) {
    let Some((parent, key)) = path.rsplit_once('/') else { return };
    let Some(Value::Object(members)) = from.pointer_mut(parent) else { return };
    if let Some(value) = members.get(key).and_then(form)
        && put(flat, column, value)
    {
        members.remove(key);
    }
}

/// Takes empty objects, arrays and texts out of a value; `None` where nothing is left.
fn without_empty(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::String(text) => (!text.is_empty()).then_some(Value::String(text)),
        Value::Array(items) => {
            let items: Vec<Value> = items.into_iter().filter_map(without_empty).collect();
            (!items.is_empty()).then_some(Value::Array(items))
        }
        Value::Object(members) => {
            let members: Map<String, Value> =
                members.into_iter().filter_map(|(name, value)| Some((name, without_empty(value)?))).collect();
            (!members.is_empty()).then_some(Value::Object(members))
        }
        other => Some(other),
    }
}

/// The flattened records of one exported record, and their table's place.
pub(super) fn flatten(members: &Members<'_>) -> Result<(usize, Vec<Flattened>), String> {
    let (member, table) = kind(members).ok_or("the record has a context, but none of the known kinds of telemetry")?;
    let read = |name: &str| members.get(name).and_then(|text| serde_json::from_str::<Value>(text).ok()).unwrap_or(Value::Null);
    let (mut context, mut internal, own) = (read("context"), read("internal"), read(member));
    let base = context_columns(&mut context, &mut internal);
    let mut metrics = merged(context.pointer("/custom/metrics"));
    if let Some(Value::Object(custom)) = context.pointer_mut("/custom") {
        custom.remove("dimensions");
        custom.remove("metrics");
    }
    let id = internal.pointer_mut("/data/id").map(Value::take);
    let id = id.as_ref().and_then(Value::as_str).unwrap_or_default();

    let records: Vec<(Flat, Option<Value>)> = if member == "metric" {
        metrics.iter_mut().map(|(name, metric)| metric_record(&base, name, metric)).collect()
    } else {
        let measurements = measurements(&mut metrics);
        let rate = context.pointer("/data/samplingRate").and_then(Value::as_f64).filter(|r| *r > 0.0);
        let count = rate.map(|rate| (100.0 / rate).round() as i64);
        if let (Some(left), Value::Object(context)) = (without_empty(Value::Object(metrics)), &mut context) {
            context.insert("metrics".to_owned(), left);
        }
        let items = own.as_array().cloned().unwrap_or_default();
        items.into_iter().map(|item| own_record(&base, item, &measurements, count)).collect()
    };
    if records.is_empty() {
        return Err(format!("the record's '{member}' is empty"));
    }
    let named = [("context", context), ("internal", internal)].map(|(name, left)| (name.to_owned(), left));
    let others = members.0.iter().filter(|(name, _)| !["context", "internal", member].contains(&name.as_ref()));
    let others = others.filter_map(|(name, text)| Some((name.to_string(), serde_json::from_str(text.get()).ok()?)));
    let all: Vec<(String, Value)> =
        named.into_iter().chain(others).filter_map(|(name, left)| Some((name, without_empty(left)?))).collect();
    let flattened = records.into_iter().enumerate().map(|(number, (mut columns, own))| {
        let id = if id.is_empty() || number == 0 { id.to_owned() } else { format!("{id}-{number}") };
        put(&mut columns, "itemId", Value::from(id));
        let mut left = all.clone();
        left.extend(own.map(|own| (member.to_owned(), own)));
        Flattened { columns, left }
    });
    Ok((table, flattened.collect()))
}

/// The columns that all records of an exported record share. What they take is gone from the context.
fn context_columns(context: &mut Value, internal: &mut Value) -> Flat {
    let mut flat = Flat::new();
    for (path, column) in CONTEXT {
        match path.strip_prefix("/internal") {
            Some(path) => {
                take(&mut flat, column, internal, &format!("/data{path}"), as_it_is);
                take(&mut flat, column, internal, path, as_it_is);
            }
            None => take(&mut flat, column, context, path, as_it_is),
        }
    }
    let dimensions = merged(context.pointer("/custom/dimensions"));
    if !dimensions.is_empty() {
        put(&mut flat, "customDimensions", Value::Object(dimensions));
    }
    flat
}

fn as_it_is(value: &Value) -> Option<Value> {
    Some(value.clone())
}

/// A metric as a record of its own, and what its columns do not take of it.
fn metric_record(base: &Flat, name: &str, metric: &mut Value) -> (Flat, Option<Value>) {
    let mut flat = base.clone();
    put(&mut flat, "name", Value::from(name));
    let value = metric.get("value").cloned().unwrap_or(Value::Null);
    for (from, to) in [
        ("/value", "value"),
        ("/count", "valueCount"),
        ("/sum", "valueSum"),
        ("/min", "valueMin"),
        ("/max", "valueMax"),
        ("/stdDev", "valueStdDev"),
    ] {
        take(&mut flat, to, metric, from, as_it_is);
    }
    if !flat.iter().any(|(column, _)| *column == "valueSum") {
        put(&mut flat, "valueSum", value);
    }
    (flat, without_empty(metric.take()))
}

/// The values of metrics that belong to other records, taken out of them.
fn measurements(metrics: &mut Map<String, Value>) -> Map<String, Value> {
    let mut out = Map::new();
    for (name, metric) in metrics {
        let value = match metric {
            Value::Object(members) => members.remove("value"),
            Value::Number(_) => Some(metric.take()),
            _ => None,
        };
        out.extend(value.map(|value| (name.clone(), value)));
    }
    out
}

/// One of a record's own items, and what its columns do not take of it. `count` is how many items the sampling lets it stand for.
fn own_record(base: &Flat, mut item: Value, measurements: &Map<String, Value>, count: Option<i64>) -> (Flat, Option<Value>) {
    let mut flat = base.clone();
    for (path, column) in FIELDS {
        take(&mut flat, column, &mut item, path, |value| match (path, value) {
            ("/result", Value::String(result)) => Some(Value::from(if result.eq_ignore_ascii_case("pass") { "1" } else { "0" })),
            _ => Some(value.clone()),
        });
    }
    for (from, column) in DURATIONS {
        let millis = |value: &Value| value.as_f64().map(|ticks| Value::from(ticks / 10_000.0));
        take(&mut flat, column, &mut item, &format!("/{from}/value"), millis);
    }
    if !measurements.is_empty() {
        put(&mut flat, "customMeasurements", Value::Object(measurements.clone()));
    }
    let own_count = item.get("count").and_then(Value::as_i64);
    // `count` already stands for the sampling; the rate says so where there is no count above one.
    put(&mut flat, "itemCount", count.max(own_count).map_or(Value::Null, Value::from));
    if let Value::Object(members) = &mut item
        && own_count.is_some()
        && own_count >= count
    {
        members.remove("count");
    }
    (flat, without_empty(item))
}

/// An array of objects with one member each, as one object.
fn merged(array: Option<&Value>) -> Map<String, Value> {
    let mut out = Map::new();
    for item in array.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default() {
        if let Value::Object(members) = item {
            out.extend(members.clone());
        }
    }
    out
}
