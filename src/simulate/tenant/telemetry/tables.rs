//! The values of rows, table by table.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::business_central::{emitted, trace};
use crate::tenant::instant::zulu;
use crate::tenant::people;
use crate::tenant::rng::{Seeded, SeededRng};
use crate::tenant::slots::Slot;

type Values = BTreeMap<&'static str, Value>;

const PAGES: [(&str, &str); 4] = [
    ("Home", "SitePages/Home.aspx"),
    ("News", "SitePages/News.aspx"),
    ("Handbook", "SitePages/Handbook.aspx"),
    ("Plan", "Lists/Plan"),
];

/// The values of a row by the classic names of columns.
pub(super) fn values(seeded: Seeded, source: &str, table: &str, slot: Slot) -> Values {
    let mut rng = seeded.rng(&format!("{source} {table} row"), &slot.name());
    let mut values = common(seeded, source, table, slot, &mut rng);
    match table {
        "traces" => traces(seeded, &mut values, &mut rng),
        "customEvents" => custom_events(&mut values, &mut rng),
        "pageViews" => page_views(seeded, &mut values, &mut rng),
        "exceptions" => exceptions(seeded, &mut values, &mut rng),
        "requests" => {
            set(&mut values, &[("name", "GET /orders"), ("source", ""), ("url", "https://shop.contoso.com/orders")]);
            outcome(&mut values, &mut rng);
        }
        "dependencies" => {
            set(
                &mut values,
                &[("name", "SQL: orders"), ("target", "sql1 | orders"), ("type", "SQL"), ("data", "SELECT * FROM \"Orders\"")],
            );
            outcome(&mut values, &mut rng);
        }
        "availabilityResults" => {
            set(&mut values, &[("name", "Ping"), ("location", "West Europe"), ("message", "Passed")]);
            outcome(&mut values, &mut rng);
            values.remove("resultCode");
            values.insert("success", json!(if rng.percent(95) { "1" } else { "0" }));
            values.insert("size", json!(rng.below(9_000) as f64));
        }
        "browserTimings" => {
            set(&mut values, &[("name", "Home"), ("url", "https://contoso.sharepoint.com/sites/a/SitePages/Home.aspx")]);
            for name in ["networkDuration", "sendDuration", "receiveDuration", "processingDuration", "totalDuration"] {
                values.insert(name, json!(rng.below(90_000) as f64 / 10.0));
            }
            bucket(&mut values, "totalDuration");
        }
        "customMetrics" => {
            let value = rng.below(100_000) as f64 / 8.0;
            set(&mut values, &[("name", "queue length")]);
            for name in ["value", "valueSum", "valueMin", "valueMax"] {
                values.insert(name, json!(value));
            }
            values.insert("valueCount", json!(1));
            values.insert("valueStdDev", json!(0.0));
        }
        "performanceCounters" => {
            set(
                &mut values,
                &[("name", "% Processor Time"), ("category", "Process"), ("counter", "% Processor Time"), ("instance", "w3wp")],
            );
            values.insert("value", json!(rng.below(1_000) as f64 / 10.0));
        }
        _ => {}
    }
    if matches!(table, "customMetrics" | "performanceCounters") {
        values.remove("customMeasurements");
        values.remove("itemCount");
    }
    values
}

fn set(values: &mut Values, texts: &[(&'static str, &str)]) {
    values.extend(texts.iter().map(|(name, text)| (*name, json!(text))));
}

fn common(seeded: Seeded, source: &str, table: &str, slot: Slot, rng: &mut SeededRng) -> Values {
    let mut values = Values::new();
    let person = people::somebody(seeded, rng);
    let operation = rng.hex(32);
    let item_type = match table {
        "dependencies" => "dependency",
        "availabilityResults" => "availabilityResult",
        other => other.trim_end_matches('s'),
    };
    set(
        &mut values,
        &[
            ("operation_Name", ""),
            ("operation_Id", &operation),
            ("operation_ParentId", &operation),
            ("operation_SyntheticSource", ""),
            ("user_AuthenticatedId", ""),
            ("user_AccountId", ""),
            ("application_Version", "1.61"),
            ("client_Type", "PC"),
            ("client_Model", "Other"),
            ("client_OS", ""),
            ("client_IP", "0.0.0.0"),
            ("client_City", "Madrid"),
            ("client_StateOrProvince", "Madrid"),
            ("client_CountryOrRegion", "Spain"),
            ("client_Browser", ""),
            ("cloud_RoleName", "Contoso"),
            ("cloud_RoleInstance", "contoso-1"),
            ("appName", source),
            ("sdkVersion", "il:2.14.0-17971"),
            ("itemType", item_type),
        ],
    );
    values.insert("timestamp", json!(zulu(slot.at)));
    values.insert("session_Id", json!(rng.guid()));
    values.insert("user_Id", json!(person.id));
    values.insert("appId", json!(seeded.guid(&format!("{source} app"), &[])));
    values.insert("iKey", json!(seeded.guid(&format!("{source} key"), &[])));
    values.insert("itemId", json!(rng.guid()));
    values.insert("itemCount", json!(if rng.percent(5) { 1 + rng.below(9) } else { 1 }));
    values.insert("customDimensions", json!({}));
    values.insert("customMeasurements", Value::Null);
    values
}

/// Those with a duration and a success.
fn outcome(values: &mut Values, rng: &mut SeededRng) {
    let success = rng.percent(93);
    values.insert("id", json!(rng.hex(16)));
    values.insert("success", json!(if success { "True" } else { "False" }));
    values.insert("resultCode", json!(if success { "200" } else { "500" }));
    values.insert("duration", json!(rng.below(80_000) as f64 / 10.0));
    bucket(values, "duration");
}

fn bucket(values: &mut Values, of: &str) {
    let duration = values.get(of).and_then(Value::as_f64).unwrap_or_default();
    let limits = [
        (250.0, "<250ms"),
        (500.0, "250ms-500ms"),
        (1e3, "500ms-1sec"),
        (3e3, "1sec-3sec"),
        (7e3, "3sec-7sec"),
        (15e3, "7sec-15sec"),
    ];
    let bucket = limits.iter().find(|(limit, _)| duration < *limit).map_or("15sec-30sec", |(_, name)| name);
    values.insert("performanceBucket", json!(bucket));
}

fn traces(seeded: Seeded, values: &mut Values, rng: &mut SeededRng) {
    if rng.percent(5) {
        set(values, &[("message", "Verifying call webhook subscription"), ("cloud_RoleName", "importer")]);
        values.insert("severityLevel", json!(1));
        values.insert("customDimensions", json!({"CategoryName": "Importer", "text": "Größe \"quoted\""}));
        return;
    }
    let event = trace(seeded, rng);
    values.insert("message", json!(event.message));
    values.insert("severityLevel", json!(event.severity));
    values.insert("customDimensions", Value::Object(event.dimensions));
}

fn custom_events(values: &mut Values, rng: &mut SeededRng) {
    let (title, page) = rng.pick(&PAGES);
    let url = format!("https://contoso.sharepoint.com/sites/a/{page}");
    let request = rng.guid();
    let (name, dimensions) = match rng.below(4) {
        0 => ("PAGE_EXIT", json!({"activeTime": format!("{}.594", rng.below(90)), "pageRequestId": request, "url": url})),
        1 => ("UserSearch", json!({"userSearch": format!("{title} plan"), "sessionId": rng.guid()})),
        2 => ("LinkClick", json!({"linkText": title, "altText": "", "href": url, "classNames": "a b", "pageRequestId": request})),
        _ => {
            let comments = json!([{"author": "amy@contoso.com", "text": "Great, thank you!"}]).to_string();
            (
                "PageMetadataUpdate",
                json!({"url": url, "listTitle": "Site Pages", "pageItemId": "3", "props": "{\"Title\":\"Home\"}",
                    "pageComments": comments, "pageLikes": "[]"}),
            )
        }
    };
    set(values, &[("name", name), ("client_Type", "Browser"), ("client_Browser", "Edge 132.0"), ("client_OS", "Windows 10")]);
    values.insert("customDimensions", dimensions);
}

fn page_views(seeded: Seeded, values: &mut Values, rng: &mut SeededRng) {
    set(values, &[("client_Type", "Browser"), ("client_Browser", "Edge 132.0"), ("client_OS", "Windows 10")]);
    values.insert("id", json!(rng.hex(16)));
    values.insert("duration", json!(rng.below(60_000) as f64 / 10.0));
    bucket(values, "duration");
    if rng.percent(40) {
        let event = emitted(seeded, "CL0001", rng);
        let name = event.dimensions.get("alObjectName").cloned().unwrap_or_default();
        values.insert("name", name);
        values.insert("url", json!("https://businesscentral.dynamics.com/?page=31"));
        values.insert("customDimensions", Value::Object(event.dimensions));
        return;
    }
    let (title, page) = rng.pick(&PAGES);
    values.insert("name", json!(title));
    values.insert("url", json!(format!("https://contoso.sharepoint.com/sites/a/{page}")));
    values.insert(
        "customDimensions",
        json!({
            "pageRequestId": rng.guid(), "webUrl": "https://contoso.sharepoint.com/sites/a",
            "siteUrl": "https://contoso.sharepoint.com/sites/a",
            "webTitle": "A", "pageTitle": title, "sessionId": rng.guid(), "spRequestDuration": rng.below(900).to_string(),
            "pageLoad": "1200", "aiTrackerVersion": "1.0.0.0",
        }),
    );
    values.insert("customMeasurements", json!({"scroll": rng.below(100)}));
}

fn exceptions(seeded: Seeded, values: &mut Values, rng: &mut SeededRng) {
    let kind = "System.InvalidOperationException";
    set(
        values,
        &[
            ("problemId", "System.InvalidOperationException at Contoso.Orders.Post"),
            ("handledAt", "UserCode"),
            ("type", kind),
            ("message", "The order is posted already."),
            ("assembly", "Contoso.Orders, Version=1.0.0.0"),
            ("method", "Contoso.Orders.Post"),
            ("outerType", kind),
            ("outerMessage", "The order is posted already."),
            ("outerAssembly", "Contoso.Orders, Version=1.0.0.0"),
            ("outerMethod", "Contoso.Orders.Post"),
            ("innermostType", kind),
            ("innermostMessage", "The order is posted already."),
            ("innermostAssembly", "Contoso.Orders, Version=1.0.0.0"),
            ("innermostMethod", "Contoso.Orders.Post"),
        ],
    );
    values.insert("severityLevel", json!(3));
    values.insert(
        "details",
        json!([{"severityLevel": "Error", "outerId": "0", "id": "1", "type": kind, "message": "The order is posted already."}]),
    );
    if rng.percent(30) {
        values.insert("customDimensions", Value::Object(emitted(seeded, "CL0005", rng).dimensions));
    }
}
