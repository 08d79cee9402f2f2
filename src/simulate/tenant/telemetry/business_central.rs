//! Business Central's events, as its catalogue describes them.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::tenant::rng::{Seeded, SeededRng};

/// Events that make most of the telemetry.
const FREQUENT: [&str; 14] = [
    "RT0008",
    "RT0008",
    "RT0008",
    "RT0005",
    "RT0005",
    "RT0018",
    "RT0019",
    "RT0006",
    "RT0004",
    "RT0012",
    "AL0000E24",
    "AL0000E25",
    "AL0000E26",
    "LC0010",
];
const OBJECTS: [(&str, &str, &str); 6] = [
    ("30", "Item Card", "Page"),
    ("31", "Item List", "Page"),
    ("42", "Sales Order", "Page"),
    ("80", "Sales-Post", "Codeunit"),
    ("9", "Chart of Accounts", "Page"),
    ("206", "Sales - Invoice", "Report"),
];
/// Calls in a hundred that are made while a company opens, and where their stacks begin then.
const OPENING: u64 = 20;
const OPENED: &str =
    "\"Company Triggers\"(CodeUnit 2000000003).OnCompanyOpenCompleted(Event) line 2 - System Application by Microsoft";
/// The longest value of a dimension; what is longer goes on in others.
const LONGEST: usize = 8_000;

/// An event of the catalogue.
#[derive(Debug, Deserialize)]
pub(super) struct Event {
    messages: Vec<String>,
    severity: Vec<i64>,
    dimensions: Vec<String>,
    values: BTreeMap<String, Vec<String>>,
    table: String,
}

fn catalogue() -> &'static BTreeMap<String, Event> {
    static EVENTS: OnceLock<BTreeMap<String, Event>> = OnceLock::new();
    EVENTS.get_or_init(|| serde_json::from_str(include_str!("../../data/business_central.json")).unwrap_or_default())
}

/// An event of the telemetry: message, severity, dimensions.
pub(super) struct Emitted {
    pub(super) message: String,
    pub(super) severity: i64,
    pub(super) dimensions: Map<String, Value>,
}

/// An event for the table `traces`.
pub(super) fn trace(seeded: Seeded, rng: &mut SeededRng) -> Emitted {
    let catalogue = catalogue();
    let id = match rng.percent(75) {
        true => rng.pick(&FREQUENT),
        false => {
            let number = rng.below(catalogue.len() as u64) as usize;
            let id = catalogue.iter().nth(number).filter(|(_, event)| event.table == "traces").map(|(id, _)| id.as_str());
            id.unwrap_or("RT0008")
        }
    };
    emitted(seeded, id, rng)
}

/// A certain event.
pub(super) fn emitted(seeded: Seeded, id: &str, rng: &mut SeededRng) -> Emitted {
    let Some(event) = catalogue().get(id) else {
        return Emitted { message: id.to_owned(), severity: 1, dimensions: Map::new() };
    };
    let object = rng.pick(&OBJECTS);
    let mut dimensions = Map::new();
    dimensions.insert(if id.starts_with("CL0001") { "eventID" } else { "eventId" }.to_owned(), json!(id));
    for name in &event.dimensions {
        let value = match event.values.get(name).filter(|values| !values.is_empty()) {
            Some(values) => values[rng.below(values.len() as u64) as usize].clone(),
            None => dimension(seeded, name, object, rng),
        };
        dimensions.insert(name.clone(), json!(value));
    }
    for (name, value) in
        [("aadTenantId", seeded.guid("tenant of the environment", &[])), ("environmentName", "Production".to_owned())]
    {
        dimensions.entry(name).or_insert(json!(value));
    }
    if dimensions.contains_key("deprecatedKeys") {
        let tenant = dimensions.get("aadTenantId").cloned().unwrap_or_default();
        dimensions.insert("AadTenantId".to_owned(), tenant);
        dimensions.insert("Environment name".to_owned(), json!("Production"));
        dimensions.insert("deprecatedKeys".to_owned(), json!("AadTenantId, Environment name"));
    }
    let template = event.messages.get(rng.below(event.messages.len() as u64) as usize).cloned().unwrap_or_default();
    let severity = event.severity.get(rng.below(event.severity.len() as u64) as usize).copied().unwrap_or(1);
    Emitted { message: filled(&template, &dimensions), severity, dimensions: split(dimensions) }
}

/// A template with the values of its places.
fn filled(template: &str, dimensions: &Map<String, Value>) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, (name, after))) =
        rest.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
    {
        text.push_str(before);
        text.push_str(dimensions.get(name).and_then(Value::as_str).unwrap_or("…"));
        rest = after;
    }
    text + rest
}

/// Values that are too long go on in `name_1` and `name_2`.
fn split(dimensions: Map<String, Value>) -> Map<String, Value> {
    let mut whole = Map::new();
    for (name, value) in dimensions {
        let text = value.as_str().unwrap_or_default();
        let chars: Vec<char> = text.chars().collect();
        for (number, part) in chars.chunks(LONGEST).take(3).enumerate() {
            let name = if number == 0 { name.clone() } else { format!("{name}_{number}") };
            whole.insert(name, json!(part.iter().collect::<String>()));
        }
        if chars.is_empty() {
            whole.insert(name, json!(""));
        }
    }
    whole
}

fn dimension(seeded: Seeded, name: &str, (object, object_name, object_type): (&str, &str, &str), rng: &mut SeededRng) -> String {
    let duration = |rng: &mut SeededRng, most: u64| {
        let ticks = rng.below(most);
        format!(
            "{:02}:{:02}:{:02}.{:07}",
            ticks / 36_000_000_000,
            ticks / 600_000_000 % 60,
            ticks / 10_000_000 % 60,
            ticks % 10_000_000
        )
    };
    match name {
        "aadTenantId" => seeded.guid("tenant of the environment", &[]),
        "environmentName" => "Production".to_owned(),
        "environmentType" => "Production".to_owned(),
        "component" => "Dynamics 365 Business Central Server".to_owned(),
        "componentVersion" | "environmentVersion" => "26.0.32481.33012".to_owned(),
        "telemetrySchemaVersion" => "1.4".to_owned(),
        "companyName" => rng.pick(&["CRONUS", "CRONUS International Ltd.", "My Company, Inc."]).to_owned(),
        "clientType" => rng.pick(&["WebClient", "Background", "Api", "ODataV4", "ChildSession"]).to_owned(),
        "alObjectId" => object.to_owned(),
        "alObjectName" => object_name.to_owned(),
        "alObjectType" => object_type.to_owned(),
        "alStackTrace" => {
            let line = |line| {
                format!("\"{object_name}\"({object_type} {object}).OnRun line {} - Base Application by Microsoft", line * 7 + 2)
            };
            let mut lines: Vec<String> = (0..3).map(line).collect();
            if rng.percent(OPENING) {
                lines.push(OPENED.to_owned());
            }
            lines.join("\r\n")
        }
        "extensionName" => "Base Application".to_owned(),
        "extensionPublisher" => "Microsoft".to_owned(),
        "extensionVersion" => "26.0.30643.32481".to_owned(),
        "httpMethod" => rng.pick(&["GET", "POST", "PATCH"]).to_owned(),
        "httpStatusCode" => rng.pick(&["200", "200", "200", "201", "400", "404", "429", "500"]).to_owned(),
        "endpoint" => format!(
            "https://api.businesscentral.dynamics.com/v2.0/Production/api/v2.0/companies({{id}})/{}",
            rng.pick(&["items", "customers"])
        ),
        "httpHeaders" => "{\r\n  \"Accept\": \"application/json\",\r\n  \"User-Agent\": \"Invented/1.0\"\r\n}".to_owned(),
        "sqlStatement" => {
            let columns = if rng.percent(3) { 900 } else { 4 };
            let columns: Vec<String> = (0..columns).map(|number| format!("\"Column {number}\"")).collect();
            format!(
                "SELECT TOP (50) {} FROM \"SQLDATABASE\".dbo.\"CRONUS$Item$437dbf0e\" WITH(READUNCOMMITTED)",
                columns.join(",")
            )
        }
        "extensionInfo" => {
            json!([{"id": seeded.guid("extension", &[]), "extensionName": "Base Application", "executionTime": "00:00:03.1"}])
                .to_string()
        }
        "longRunningThreshold" => "00:00:00.7500000".to_owned(),
        "deviceHardware" => "{\"memory\":\"8\",\"cores\":\"4\"}".to_owned(),
        "result" => rng.pick(&["Success", "Success", "Failure"]).to_owned(),
        _ if name.ends_with("Id") && !name.ends_with("SessionId") => seeded.guid(name, &[rng.between(0, 20)]),
        _ if name.ends_with("Time") && name != "consumptionDateTime" => duration(rng, 40_000_000),
        _ if name.starts_with("is") || name.ends_with("Enabled") => rng.pick(&["True", "False"]).to_owned(),
        _ => rng.below(5_000).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_calls_are_made_while_a_company_opens() {
        let seeded = Seeded { seed: 12, scale: 1.0 };
        for id in ["RT0005", "RT0019"] {
            let opens = |number: &i64| {
                let event = emitted(seeded, id, &mut seeded.rng("event", &[*number]));
                event.dimensions["alStackTrace"].as_str().is_some_and(|stack| stack.contains("OnCompanyOpenCompleted"))
            };
            let opening = (0..200).filter(opens).count();
            assert!((10..100).contains(&opening), "{id}: {opening}");
        }
    }
}
