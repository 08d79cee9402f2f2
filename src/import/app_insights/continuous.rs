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

/// A flattened record: values by the names of the classic columns.
pub(super) type Flat = Vec<(&'static str, Value)>;

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
const FIELDS: [(&str, &str); 46] = [
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
const DURATIONS: [(&str, &str); 6] = [
    ("durationMetric", "duration"),
    ("networkConnection", "networkDuration"),
    ("sendRequest", "sendDuration"),
    ("receiveRequest", "receiveDuration"),
    ("clientProcess", "processingDuration"),
    ("perfTotal", "totalDuration"),
];

fn put(flat: &mut Flat, column: &'static str, value: Value) {
    let empty = value.is_null() || value.as_str().is_some_and(str::is_empty);
    if !empty && !flat.iter().any(|(name, _)| *name == column) {
        flat.push((column, value));
    }
}

/// The flattened records of one exported record, and their table's place.
pub(super) fn flatten(members: &Members<'_>) -> Result<(usize, Vec<Flat>), String> {
    let (member, table) = kind(members).ok_or("the record has a context, but none of the known kinds of telemetry")?;
    let read = |name: &str| members.get(name).and_then(|text| serde_json::from_str::<Value>(text).ok()).unwrap_or(Value::Null);
    let (context, internal, own) = (read("context"), read("internal"), read(member));

    let mut base = Flat::new();
    for (path, column) in CONTEXT {
        let value = match path.strip_prefix("/internal") {
            Some(path) => internal.pointer(&format!("/data{path}")).or_else(|| internal.pointer(path)),
            None => context.pointer(path),
        };
        put(&mut base, column, value.cloned().unwrap_or(Value::Null));
    }
    let rate = context.pointer("/data/samplingRate").and_then(Value::as_f64).filter(|r| *r > 0.0);
    let count = rate.map(|rate| (100.0 / rate).round() as i64);
    let dimensions = merged(context.pointer("/custom/dimensions"));
    if !dimensions.is_empty() {
        put(&mut base, "customDimensions", Value::Object(dimensions));
    }
    let metrics = merged(context.pointer("/custom/metrics"));
    let id = internal.pointer("/data/id").and_then(Value::as_str).unwrap_or_default();

    let mut records = Vec::new();
    if member == "metric" {
        for (name, metric) in &metrics {
            let mut flat = base.clone();
            put(&mut flat, "name", Value::from(name.as_str()));
            for (from, to) in [
                ("value", "value"),
                ("count", "valueCount"),
                ("sum", "valueSum"),
                ("min", "valueMin"),
                ("max", "valueMax"),
                ("stdDev", "valueStdDev"),
            ] {
                put(&mut flat, to, metric.get(from).cloned().unwrap_or(Value::Null));
            }
            if metric.get("sum").is_none() {
                put(&mut flat, "valueSum", metric.get("value").cloned().unwrap_or(Value::Null));
            }
            records.push(flat);
        }
    } else {
        let measurements: Map<String, Value> = metrics
            .into_iter()
            .filter_map(|(name, m)| Some((name, m.get("value").cloned().or_else(|| m.is_number().then_some(m))?)))
            .collect();
        for item in own.as_array().map(Vec::as_slice).unwrap_or_default() {
            let mut flat = base.clone();
            for (path, column) in FIELDS {
                let value = item.pointer(path).cloned().unwrap_or(Value::Null);
                let value = match (path, &value) {
                    ("/result", Value::String(result)) => {
                        Value::from(if result.eq_ignore_ascii_case("pass") { "1" } else { "0" })
                    }
                    _ => value,
                };
                put(&mut flat, column, value);
            }
            for (from, column) in DURATIONS {
                if let Some(ticks) = item.pointer(&format!("/{from}/value")).and_then(Value::as_f64) {
                    put(&mut flat, column, Value::from(ticks / 10_000.0));
                }
            }
            if !measurements.is_empty() {
                put(&mut flat, "customMeasurements", Value::Object(measurements.clone()));
            }
            let own_count = item.get("count").and_then(Value::as_i64);
            // `count` already stands for the sampling; the rate says so where there is no count above one.
            put(&mut flat, "itemCount", count.max(own_count).map_or(Value::Null, Value::from));
            records.push(flat);
        }
    }
    if records.is_empty() {
        return Err(format!("the record's '{member}' is empty"));
    }
    for (number, flat) in records.iter_mut().enumerate() {
        let id = if id.is_empty() || number == 0 { id.to_owned() } else { format!("{id}-{number}") };
        put(flat, "itemId", Value::from(id));
    }
    Ok((table, records))
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
