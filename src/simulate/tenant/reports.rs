//! Usage reports: what each function's columns say of each thing it reports on, as far as a day's numbers are known.
//!
//! A day is published one to two and a half days after its end, incomplete at first: some rows are missing and counts are too
//! low. Two days later it is final.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::instant::{DAY, HOUR, date};
use super::people::{self, State};
use super::rng::{Seeded, SeededRng};
use super::teams;

/// A report's function.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    /// `P` where it takes a period, `D` where it takes a date.
    pub(crate) params: Vec<char>,
    csv: Vec<String>,
    #[serde(rename = "csvBeta")]
    csv_beta: Option<Vec<String>>,
    json: Option<Map<String, Value>>,
    #[serde(rename = "jsonPage")]
    json_page: Option<usize>,
}

/// The functions by their names.
pub(crate) fn all() -> &'static BTreeMap<String, Report> {
    static REPORTS: OnceLock<BTreeMap<String, Report>> = OnceLock::new();
    REPORTS.get_or_init(|| serde_json::from_str(include_str!("../data/reports.json")).unwrap_or_default())
}

/// Of which days a report is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    /// So many days up to the last published one.
    Period(i64),
    /// One day, as days since 1970.
    Date(i64),
    /// The function takes none.
    Whole,
}

/// When a day is published, in microseconds since 1970.
fn published(seeded: Seeded, day: i64) -> i64 {
    (day + 2) * DAY + seeded.rng("report's publication", &[day]).between(0, 36) * HOUR
}

/// How far a day's numbers are known: none, or 0 (provisional) to 2 (final).
pub(crate) fn stage(seeded: Seeded, day: i64, now: i64) -> Option<i64> {
    let since = now - published(seeded, day);
    (since >= 0).then(|| (since / DAY).min(2))
}

/// The last published day, as days since 1970.
pub(crate) fn latest(seeded: Seeded, now: i64) -> i64 {
    let today = now.div_euclid(DAY);
    (today - 6..=today).rev().find(|day| stage(seeded, *day, now).is_some()).unwrap_or(today - 6)
}

/// One row: what it is about, and how its columns are drawn.
struct Row {
    /// The identifying values by normalised column name.
    known: BTreeMap<&'static str, Value>,
    /// What names it among the rows of the report.
    number: [i64; 2],
    /// The day that its numbers are of, as days since 1970.
    day: i64,
}

/// A row of a report as it is served.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    /// What the row is told apart by: names and values.
    pub(crate) key: Vec<(&'static str, String)>,
    /// The first of the row's counts.
    pub(crate) count: Option<String>,
    values: BTreeMap<String, Value>,
}

impl Report {
    fn columns(&self, beta: bool) -> &[String] {
        self.csv_beta.as_deref().filter(|_| beta).unwrap_or(&self.csv)
    }

    /// Whether the function can answer in JSON.
    pub(crate) fn has_json(&self) -> bool {
        self.json.is_some()
    }

    /// Rows of a page of JSON.
    pub(crate) fn page(&self) -> usize {
        self.json_page.unwrap_or(200)
    }

    fn has(&self, column: &str) -> bool {
        self.csv.iter().any(|name| normal(name) == column)
    }

    /// The report's rows as they are known at an instant.
    pub(crate) fn rows(&self, seeded: Seeded, name: &str, span: Span, now: i64, concealed: bool) -> Vec<Served> {
        let latest = latest(seeded, now);
        let refresh = if let Span::Date(day) = span { day } else { latest };
        let Some(stage_of_refresh) = stage(seeded, refresh, now) else { return Vec::new() };
        let period = match span {
            Span::Period(days) => days.to_string(),
            _ => "1".to_owned(),
        };
        let dated = self.has("reportdate");
        let mut rows = Vec::new();
        for row in self.subjects(seeded, span, refresh) {
            let stage = if dated { stage(seeded, row.day, now) } else { Some(stage_of_refresh) };
            let kind = format!("report {name} {}", normal_kind(span));
            let mut rng = seeded.rng(&kind, &[row.number[0], row.number[1], row.day]);
            // At first, one row in ten is missing.
            let late = rng.percent(10) && self.has("userprincipalname");
            let Some(stage) = stage.filter(|stage| !(late && *stage == 0)) else { continue };
            rows.push(self.row(seeded, &row, &rng, (refresh, &period, stage), concealed));
        }
        rows
    }

    /// The JSON type of a column, where the report has a JSON form.
    fn kind(&self, column: &str) -> Option<&str> {
        self.json.iter().flatten().find_map(|(name, kind)| {
            let kind = kind.as_str()?;
            if normal(name) == column {
                return Some(kind);
            }
            let members = kind.strip_prefix('[')?.strip_suffix(']')?.split("; ");
            members.filter_map(|member| member.split_once(' ')).find(|(name, _)| normal(name) == column).map(|(_, kind)| kind)
        })
    }

    fn row(
        &self,
        seeded: Seeded,
        row: &Row,
        rng: &SeededRng,
        (refresh, period, stage): (i64, &str, i64),
        concealed: bool,
    ) -> Served {
        let mut values = BTreeMap::new();
        let mut count = None;
        let mut columns: Vec<String> = self.columns(true).iter().chain(&self.csv).map(|column| normal(column)).collect();
        columns.extend(self.json.iter().flat_map(Map::keys).map(|name| normal(name)));
        for column in columns {
            if values.contains_key(&column) {
                continue;
            }
            let value = match row.known.get(column.as_str()) {
                Some(known) => conceal(&column, known.clone(), concealed, seeded),
                None => match column.as_str() {
                    "reportrefreshdate" => json!(date(refresh * DAY)),
                    "reportdate" => json!(date(row.day * DAY)),
                    "reportperiod" => json!(period),
                    _ => drawn(&column, self.kind(&column), rng, row.day, stage),
                },
            };
            if count.is_none() && value.is_u64() && self.kind(&column).is_none_or(|kind| kind == "int") {
                count = Some(format!("{column}={value}"));
            }
            values.insert(column, value);
        }
        let mut key = Vec::new();
        for column in [
            "reportrefreshdate",
            "reportdate",
            "userprincipalname",
            "siteid",
            "siteurl",
            "teamid",
            "groupid",
            "groupdisplayname",
            "sitetype",
            "producttype",
            "reportperiod",
        ] {
            if self.has(column) {
                let text = values.get(column).map(|value| value.as_str().unwrap_or_default().to_owned()).unwrap_or_default();
                key.push((column, text));
            }
        }
        Served { key, count, values }
    }

    /// What the rows are about.
    fn subjects(&self, seeded: Seeded, span: Span, refresh: i64) -> Vec<Row> {
        let at = refresh * DAY + DAY / 2;
        let products =
            if self.has("producttype") { vec!["MICROSOFT 365 APPS FOR ENTERPRISE", "PROJECT CLIENT"] } else { vec![""] };
        let sites = if self.has("sitetype") { vec!["All", "Team", "Communication"] } else { vec![""] };
        let mut rows: Vec<(BTreeMap<&'static str, Value>, i64)> = Vec::new();
        if self.has("userprincipalname") || self.has("ownerprincipalname") && self.has("siteurl") && !self.has("siteid") {
            for (person, state) in people::everyone(seeded, at) {
                let deleted = state == State::Deleted;
                if person.guest || !(deleted || matches!(state, State::Present { .. })) {
                    continue;
                }
                let local = person.principal.replace(['@', '.'], "_");
                let known = BTreeMap::from([
                    ("userprincipalname", json!(person.principal)),
                    ("ownerprincipalname", json!(person.principal)),
                    ("ownerdisplayname", json!(person.display_name)),
                    ("displayname", json!(person.display_name)),
                    ("userid", json!(person.id)),
                    ("siteurl", json!(format!("https://contoso-my.sharepoint.com/personal/{local}"))),
                    ("isdeleted", json!(deleted)),
                    ("deleteddate", if deleted { json!(date(at - DAY)) } else { Value::Null }),
                ]);
                rows.push((known, person.name[0] * 1_000_000 + person.name[1]));
            }
        } else if self.has("teamid") || self.has("groupdisplayname") {
            for team in teams::teams(seeded, at) {
                let known = BTreeMap::from([
                    ("teamid", json!(team.id)),
                    ("teamname", json!(team.display_name)),
                    ("groupid", json!(team.id)),
                    ("groupdisplayname", json!(team.display_name)),
                    ("isdeleted", json!(false)),
                ]);
                rows.push((known, team.number));
            }
        } else if self.has("siteid") {
            for number in 0..seeded.count(12, 4) as i64 {
                let known = BTreeMap::from([
                    ("siteid", json!(seeded.guid("site", &[number]))),
                    ("siteurl", json!(format!("https://contoso.sharepoint.com/sites/site{number}"))),
                    ("isdeleted", json!(false)),
                ]);
                rows.push((known, number));
            }
        } else {
            rows.push((BTreeMap::new(), -1));
        }
        let days = match span {
            Span::Period(days) if self.has("reportdate") => (refresh - days + 1..=refresh).rev().collect(),
            _ => vec![refresh],
        };
        let mut all = Vec::new();
        for day in days {
            for (known, number) in &rows {
                for (of_product, product) in products.iter().enumerate() {
                    for (of_site, site) in sites.iter().enumerate() {
                        let mut known = known.clone();
                        known.extend([("producttype", json!(product)), ("sitetype", json!(site))]);
                        known.retain(|_, value| value.as_str() != Some(""));
                        all.push(Row { known, number: [*number, (of_product * 10 + of_site) as i64], day });
                    }
                }
            }
        }
        all
    }

    /// The report as CSV: a byte-order mark, a line of headings, lines that end in CR LF.
    pub(crate) fn to_csv(&self, rows: &[Served], beta: bool) -> String {
        let columns = self.columns(beta);
        let mut text = String::from("\u{feff}");
        text.push_str(&columns.join(","));
        text.push_str("\r\n");
        for row in rows {
            for (number, column) in columns.iter().enumerate() {
                if number > 0 {
                    text.push(',');
                }
                text.push_str(&field(row.values.get(&normal(column)).unwrap_or(&Value::Null)));
            }
            text.push_str("\r\n");
        }
        text
    }

    /// Rows as JSON. What stands in a list inside of one object is a row of its own in CSV.
    pub(crate) fn to_json(&self, rows: &[Served]) -> Vec<Value> {
        let nested = self
            .json
            .iter()
            .flatten()
            .find(|(_, kind)| kind.as_str().is_some_and(|kind| kind.starts_with('[') && kind.contains(' ')));
        let Some((nested, _)) = nested else { return rows.iter().map(|row| self.object(row)).collect() };
        let mut objects: Vec<Value> = Vec::new();
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        for row in rows {
            let mut object = self.object(row);
            let inner = object[nested.as_str()].take();
            let place = *places.entry(self.subject(row)).or_insert(objects.len());
            if place == objects.len() {
                object[nested.as_str()] = json!([]);
                objects.push(object);
            }
            if let (Some(list), Value::Array(inner)) = (objects[place][nested.as_str()].as_array_mut(), inner) {
                list.extend(inner);
            }
        }
        objects
    }

    /// What the rows that stand in one object have in common.
    fn subject(&self, row: &Served) -> String {
        let own = row.key.iter().filter(|(name, _)| !["reportdate", "producttype"].contains(name));
        own.map(|(_, value)| value.as_str()).collect::<Vec<_>>().join("|")
    }

    fn object(&self, row: &Served) -> Value {
        let typed = |name: &str, kind: &str| {
            let value = row.values.get(&normal(name)).cloned().unwrap_or_default();
            match (kind, value) {
                (kind, value) if kind.starts_with("[string") => match value.as_str() {
                    Some(joined) => joined.split('+').collect(),
                    None => json!([]),
                },
                ("int", Value::String(number)) => number.parse::<i64>().map_or(Value::Null, Value::from),
                (_, value) => value,
            }
        };
        let mut object = Map::new();
        for (name, kind) in self.json.iter().flatten() {
            let kind = kind.as_str().unwrap_or_default();
            let value = match kind.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
                Some(inner) if inner.contains(' ') => {
                    let members = inner.split("; ").filter_map(|member| member.split_once(' '));
                    let members: Map<String, Value> = members.map(|(name, kind)| (name.to_owned(), typed(name, kind))).collect();
                    json!([members])
                }
                _ => typed(name, kind),
            };
            object.insert(name.clone(), value);
        }
        Value::Object(object)
    }
}

fn normal_kind(span: Span) -> String {
    match span {
        Span::Period(days) => format!("D{days}"),
        Span::Date(_) => "date".to_owned(),
        Span::Whole => String::new(),
    }
}

/// A heading or a property's name in lower case and without blanks and signs, so that both name one column.
fn normal(name: &str) -> String {
    let name = name.replace("(Byte)", "inbytes");
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Names are 32 hexadecimal digits where the tenant conceals them, and addresses are empty.
fn conceal(column: &str, value: Value, concealed: bool, seeded: Seeded) -> Value {
    match (concealed, column) {
        (
            true,
            "userprincipalname" | "ownerprincipalname" | "displayname" | "ownerdisplayname" | "groupdisplayname" | "teamname",
        ) => {
            let text = value.as_str().unwrap_or_default();
            let numbers: Vec<i64> = text.bytes().map(i64::from).collect();
            json!(seeded.rng("concealed", &numbers).hex(32).to_uppercase())
        }
        (true, "siteurl") => json!(""),
        _ => value,
    }
}

/// The value of a column that names nothing.
fn drawn(column: &str, kind: Option<&str>, rng: &SeededRng, day: i64, stage: i64) -> Value {
    let mut rng = rng.clone();
    let mut rng = SeededRng::of(rng.bits(), column, &[]);
    let share = [70, 90, 100][stage.clamp(0, 2) as usize];
    match column {
        "assignedproducts" => json!(rng.pick(&["MICROSOFT 365 E3+POWER BI PRO", "MICROSOFT 365 E5", "OFFICE 365 E1"])),
        "tenantdisplayname" => json!("Contoso"),
        "sharedchanneltenantdisplaynames" | "sensitivitylabelid" | "sitesensitivitylabelid" => json!(""),
        "rootwebtemplate" => json!("Team Site"),
        "grouptype" | "teamtype" => json!(rng.pick(&["Public", "Private"])),
        "userstate" => json!("active"),
        "statechangedate" | "deleteddate" => Value::Null,
        "ownerprincipalname" => json!("amy@contoso.com"),
        "ownerdisplayname" => json!("Amy Alder"),
        "externalsharing" | "office365connected" => json!(rng.percent(50)),
        "geolocation" => json!("EUR"),
        "unmanageddevicepolicy" => json!("Unrestricted"),
        "networkdisplayname" => json!("Contoso"),
        _ if kind == Some("[string]") => json!(rng.pick(&["Yes", "No", "Undetermined"])),
        _ if kind == Some("bool") => json!(rng.percent(50)),
        _ if kind == Some("int") && !column.contains("bytes") && !column.ends_with("inseconds") => {
            json!(rng.below(200) * share / 100)
        }
        _ if column.ends_with("inseconds") => json!(rng.below(6) * 60 * share / 100),
        _ if column.ends_with("duration") => json!(format!("PT{}M", rng.below(60) * share / 100)),
        _ if column.ends_with("date") => match rng.percent(85) {
            true => json!(date((day - rng.between(0, 5)) * DAY)),
            false => Value::Null,
        },
        _ if ["is", "has", "used"].iter().any(|start| column.starts_with(start)) && !column.starts_with("issue") => {
            json!(rng.percent(50))
        }
        _ if column.contains("bytes") => json!(rng.below(90_000_000_000) / 100 * share),
        _ => json!(rng.below(200) * share / 100),
    }
}

/// A value as a CSV field.
fn field(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::instant::parse;

    const SEEDED: Seeded = Seeded { seed: 6, scale: 1.0 };

    #[test]
    fn every_function_answers_in_both_forms() {
        let now = parse("2026-01-12T00:00:00Z").unwrap();
        assert_eq!(all().len(), 81);
        for (name, report) in all() {
            let span = if report.params.is_empty() { Span::Whole } else { Span::Period(7) };
            let rows = report.rows(SEEDED, name, span, now, false);
            assert!(!rows.is_empty(), "{name}");
            let csv = report.to_csv(&rows, false);
            assert!(csv.starts_with("\u{feff}Report Refresh Date,") && csv.ends_with("\r\n"), "{name}");
            assert_eq!(csv.lines().count(), rows.len() + 1, "{name}");
            let objects = report.to_json(&rows);
            assert_eq!(
                objects.iter().all(|object| object.as_object().is_some_and(|object| object.len() > 1)),
                report.has_json(),
                "{name}"
            );
            let inner = |object: &Value| {
                object
                    .as_object()
                    .into_iter()
                    .flatten()
                    .find_map(|(_, value)| value.as_array()?.first()?.is_object().then(|| value.as_array().map_or(1, Vec::len)))
                    .unwrap_or(1)
            };
            assert_eq!(objects.iter().map(inner).sum::<usize>(), rows.len(), "{name}");
        }
    }

    #[test]
    fn a_day_fills_up_late_and_then_stays() {
        let report = &all()["getTeamsUserActivityUserDetail"];
        let day = parse("2026-01-06").unwrap() / DAY;
        let first = published(SEEDED, day);
        let of = |now| report.to_csv(&report.rows(SEEDED, "getTeamsUserActivityUserDetail", Span::Date(day), now, false), false);
        assert_eq!(of(first - 1).lines().count(), 1, "a day that is not published has headings only");
        let (early, later, last) = (of(first), of(first + DAY), of(first + 2 * DAY));
        assert!(early.lines().count() < later.lines().count() && later != last);
        assert_eq!(last, of(first + 20 * DAY));
    }

    #[test]
    fn concealed_names_are_digits_and_the_same_everywhere() {
        let now = parse("2026-01-12T00:00:00Z").unwrap();
        let names = |name: &str| {
            let rows = all()[name].rows(SEEDED, name, Span::Period(7), now, true);
            rows.into_iter()
                .map(|row| row.values["userprincipalname"].as_str().unwrap_or_default().to_owned())
                .collect::<Vec<String>>()
        };
        let mail = names("getEmailActivityUserDetail");
        assert!(mail.iter().all(|name| name.len() == 32 && !name.contains('@')));
        assert!(names("getTeamsUserActivityUserDetail").iter().filter(|name| mail.contains(name)).count() > 20);
    }
}
