//! Runs a query, and writes its answer: rows as they come, cut where a limit is reached.

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::ops::Range;

use serde_json::{Value, json};

use super::kql::{Comparison, Literal, Operator, Query};
use super::{Service, limits};
use crate::answer::Call;
use crate::services::graph::seeded;
use crate::tenant::instant;
use crate::tenant::rng::Seeded;
use crate::tenant::telemetry::{self, Definition, LATEST, RETENTION, Row};

/// A column of the answer: name, type, and where its values come from.
type Column = (String, String, Origin);

#[derive(Debug, Clone, PartialEq)]
enum Origin {
    /// The column of this classic name.
    Classic(String),
    /// A workspace's own.
    Workspace,
    /// When the row came to be seen.
    Ingested,
}

/// The body of the answer; the time that was asked for; and whether all rows of it are in it.
pub(super) type Answered = (String, Range<i64>, bool);

/// Runs a query over the rows of a time that can be seen now.
///
/// # Errors
/// The name of a column that is not there.
pub(super) fn run(
    call: &Call,
    service: Service,
    (table, definition): (&'static str, &'static Definition),
    query: &Query,
    timespan: Range<i64>,
) -> Result<Answered, String> {
    let now = call.world.now();
    let seeded = seeded(&call.world);
    let mut columns: Vec<Column> = service
        .columns(definition)
        .into_iter()
        .map(|(name, kind, classic)| {
            (name, kind, classic.map_or(Origin::Workspace, |classic| Origin::Classic(classic.to_owned())))
        })
        .collect();
    let (mut time, mut arrival) = (timespan, i64::MIN..i64::MAX);
    let mut whole = true;
    for comparison in query
        .operators
        .iter()
        .filter_map(|operator| if let Operator::Where(conditions) = operator { Some(conditions) } else { None })
        .flatten()
    {
        let is_time = comparison.column == service.time_column();
        match (&comparison.literal, is_time) {
            (Literal::Time(at), true) => narrow(&mut time, &comparison.operator, *at),
            (Literal::Time(at), false) => {
                narrow(&mut arrival, &comparison.operator, *at);
                whole = false;
            }
            _ => whole = false,
        }
    }
    // Rows arrive after their time, but not long after.
    let reach = time.start.max(arrival.start.saturating_sub(LATEST)).max(now - RETENTION)..time.end.min(arrival.end).min(now);
    let mut rows = if reach.start < reach.end {
        telemetry::visible(seeded, (service.source(), table), reach.clone(), now)
    } else {
        Vec::new()
    };
    let maker = Maker { call, seeded, service, table };
    let mut count = None;
    for operator in &query.operators {
        match operator {
            Operator::Where(conditions) => {
                for condition in conditions {
                    let column = find(&columns, service, &condition.column)?;
                    rows.retain(|row| maker.fits(row, &column, condition));
                }
            }
            Operator::ExtendIngestion(name) => columns.push((name.clone(), "datetime".to_owned(), Origin::Ingested)),
            Operator::Project(names) => {
                columns = names.iter().map(|name| find(&columns, service, name)).collect::<Result<_, String>>()?;
            }
            Operator::ProjectAway(names) => columns.retain(|(name, ..)| !names.contains(name)),
            Operator::Order(keys) => {
                for (name, descends) in keys.iter().rev() {
                    let column = find(&columns, service, name)?;
                    if matches!(&column.2, Origin::Classic(name) if name == "timestamp") {
                        rows.sort_by_key(Row::at);
                        if *descends {
                            rows.reverse();
                        }
                        continue;
                    }
                    let mut keyed: Vec<(Value, Row)> = rows.iter().map(|row| (maker.value(row, &column), *row)).collect();
                    keyed.sort_by(|(a, _), (b, _)| if *descends { compare(b, a) } else { compare(a, b) });
                    rows = keyed.into_iter().map(|(_, row)| row).collect();
                }
            }
            Operator::Take(most) => {
                whole &= rows.len() <= *most;
                rows.truncate(*most);
            }
            Operator::Count(name) => count = Some((name.clone(), rows.len())),
        }
    }
    if let Some((name, count)) = count {
        let body = json!({"tables": [{"name": "PrimaryResult", "columns": [{"name": name, "type": "long"}], "rows": [[count]]}]});
        return Ok((body.to_string(), reach, false));
    }
    let (body, cut) = maker.write(&columns, &rows);
    Ok((body, reach, whole && !cut))
}

fn narrow(range: &mut Range<i64>, operator: &str, at: i64) {
    match operator {
        ">" => range.start = range.start.max(at + 1),
        ">=" => range.start = range.start.max(at),
        "<" => range.end = range.end.min(at),
        "<=" => range.end = range.end.min(at.saturating_add(1)),
        "==" => *range = range.start.max(at)..range.end.min(at.saturating_add(1)),
        _ => {}
    }
}

fn find(columns: &[Column], service: Service, name: &str) -> Result<Column, String> {
    let ingested = name == "ingestion_time()" || service == Service::LogAnalytics && name == "_TimeReceived";
    if ingested {
        return Ok((name.to_owned(), "datetime".to_owned(), Origin::Ingested));
    }
    columns.iter().find(|(column, ..)| column == name).cloned().ok_or_else(|| name.to_owned())
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        _ => a.as_str().unwrap_or_default().cmp(b.as_str().unwrap_or_default()),
    }
}

/// Makes the values of rows.
struct Maker<'a> {
    call: &'a Call,
    seeded: Seeded,
    service: Service,
    table: &'static str,
}

impl Maker<'_> {
    fn value(&self, row: &Row, column: &Column) -> Value {
        let mut values = row.values(self.seeded, (self.service.source(), self.table));
        self.typed(row, &mut values, column)
    }

    /// A column's value in the type that the service tells.
    fn typed(
        &self,
        row: &Row,
        values: &mut std::collections::BTreeMap<&'static str, Value>,
        (name, kind, origin): &Column,
    ) -> Value {
        let classic = match origin {
            Origin::Ingested => return json!(instant::zulu(row.ingested)),
            Origin::Workspace => return self.own(name),
            Origin::Classic(classic) => classic.as_str(),
        };
        if self.service == Service::LogAnalytics && classic == "itemType" {
            return json!(telemetry::tables().get(self.table).map(|definition| definition.workspace.as_str()));
        }
        if classic == "appId" {
            return json!(self.call.world.registration.insights_app);
        }
        let value = values.remove(classic).unwrap_or_default();
        match (kind.as_str(), value) {
            ("dynamic", Value::Null) => Value::Null,
            ("dynamic", value) => json!(value.to_string()),
            ("bool", Value::String(text)) => json!(text == "True" || text == "1"),
            (_, value) => value,
        }
    }

    /// A column that only a workspace has.
    fn own(&self, name: &str) -> Value {
        let registration = &self.call.world.registration;
        let subscription = self.seeded.guid("subscription of Azure", &[]);
        match name {
            "TenantId" => json!(registration.workspace),
            "_ResourceId" => json!(format!(
                "/subscriptions/{subscription}/resourcegroups/rg-bc/providers/microsoft.insights/components/{}",
                self.service.source()
            )),
            "_SubscriptionId" => json!(subscription),
            "SourceSystem" => json!("Azure"),
            "_BilledSize" => json!(1024.0),
            "_IsBillable" => json!("True"),
            "ReferencedItemId" | "ReferencedType" => json!(""),
            _ => json!(registration.tenant),
        }
    }

    fn fits(&self, row: &Row, column: &Column, Comparison { operator, literal, .. }: &Comparison) -> bool {
        let order = match (literal, &column.2) {
            (Literal::Time(at), Origin::Ingested) => row.ingested.cmp(at),
            (Literal::Time(at), Origin::Classic(name)) if name == "timestamp" => row.at().cmp(at),
            (Literal::Text(text), _) => self.value(row, column).as_str().unwrap_or_default().cmp(text),
            (Literal::Number(number), _) => self.value(row, column).as_f64().unwrap_or(f64::NAN).total_cmp(number),
            (Literal::Time(_), _) => return false,
        };
        match operator.as_str() {
            ">" => order.is_gt(),
            ">=" => order.is_ge(),
            "<" => order.is_lt(),
            "<=" => order.is_le(),
            "==" => order.is_eq(),
            _ => order.is_ne(),
        }
    }

    /// The answer, and whether it was cut.
    fn write(&self, columns: &[Column], rows: &[Row]) -> (String, bool) {
        let (most_rows, most_bytes) = limits(&self.call.world);
        let heads: Vec<Value> = columns.iter().map(|(name, kind, _)| json!({"name": name, "type": kind})).collect();
        let mut body = format!("{{\"tables\":[{{\"name\":\"PrimaryResult\",\"columns\":{},\"rows\":[", json!(heads));
        let mut why = None;
        for (number, row) in rows.iter().enumerate() {
            if number >= most_rows {
                why = Some(format!(
                    "Query result set has exceeded the internal record count limit {most_rows} (E_QUERY_RESULT_SET_TOO_LARGE)."
                ));
                break;
            }
            if body.len() >= most_bytes {
                why = Some(format!(
                    "Query result set has exceeded the internal data size limit {most_bytes} (E_QUERY_RESULT_SET_TOO_LARGE)."
                ));
                break;
            }
            let mut values = row.values(self.seeded, (self.service.source(), self.table));
            let cells: Vec<Value> = columns.iter().map(|column| self.typed(row, &mut values, column)).collect();
            let _ = write!(body, "{}{}", if number > 0 { "," } else { "" }, Value::Array(cells));
        }
        body.push_str("]}]");
        if self.call.header("prefer").is_some_and(|prefer| prefer.contains("include-statistics=true")) {
            let _ = write!(
                body,
                ",\"statistics\":{{\"query\":{{\"executionTime\":0.01,\"datasetStatistics\":[{{\"tableRowCount\":{},\"tableSize\":{}}}]}}}}",
                rows.len(),
                body.len()
            );
        }
        if let Some(why) = &why {
            let error = json!({
                "code": "PartialError", "message": "There were some errors when processing your query.",
                "details": [{
                    "code": "EngineError", "message": "Something went wrong processing your query on the server.",
                    "innererror": {"code": "-2133196797", "message": why, "severity": 2, "severityName": "Error"},
                }],
            });
            let _ = write!(body, ",\"error\":{error}");
        }
        body.push('}');
        (body, why.is_some())
    }
}
