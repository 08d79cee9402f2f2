//! Application Insights records to rows of the classic tables.
//!
//! Read are classic names (`timestamp`, `customDimensions`) and workspace names (`TimeGenerated`, `Properties`), records
//! with fields by name (export blobs, query answers, CSV), and the nested records of the retired continuous export.

use std::borrow::Cow;

use super::continuous;
use super::tables::{TABLES, by_fields, by_type_name, severity};
use crate::convert::{DateOrder, shown};
use crate::fields::{FieldMap, bare_name, push_left, push_member};
use crate::json_text::{string_literal, without_repeats};
use crate::row::{Cell, Row, SourceValue};
use kqlake_lake::identity::{EXTRA, RowContent, content_id, derived_content};
use kqlake_lake::tables::{BOOKKEEPING, find};
use kqlake_value::Type;
use kqlake_value::json::checked::Members;

/// Names of other schemas for the columns of the classic one.
const ALIASES: [(&str, &str); 22] = [
    ("TimeGenerated", "timestamp"),
    ("time", "timestamp"),
    ("eventTime", "timestamp"),
    ("Properties", "customDimensions"),
    ("Measurements", "customMeasurements"),
    ("ParentId", "operation_ParentId"),
    ("SyntheticSource", "operation_SyntheticSource"),
    ("AppVersion", "application_Version"),
    ("AppRoleName", "cloud_RoleName"),
    ("AppRoleInstance", "cloud_RoleInstance"),
    ("ResourceGUID", "appId"),
    ("DurationMs", "duration"),
    ("ExceptionType", "type"),
    ("DependencyType", "type"),
    ("NetworkDurationMs", "networkDuration"),
    ("SendDurationMs", "sendDuration"),
    ("ReceiveDurationMs", "receiveDuration"),
    ("ProcessingDurationMs", "processingDuration"),
    ("TotalDurationMs", "totalDuration"),
    ("Sum", "valueSum"),
    ("Min", "valueMin"),
    ("Max", "valueMax"),
];

/// Names of a record's time.
const TIMES: [&str; 3] = ["timestamp", "TimeGenerated", "time"];

struct TableMapping {
    fields: FieldMap,
    content: RowContent,
    /// The content of records of the continuous export.
    content_of_columns: RowContent,
    item_type: &'static str,
    timestamp: usize,
    item_type_column: usize,
    item_id: usize,
    severity: Option<usize>,
    /// The column that says whether a request, a dependency or a test succeeded, and its texts for no and yes.
    success: Option<(usize, [&'static str; 2])>,
    value_count: Option<usize>,
    own_type: Option<usize>,
    content_id: usize,
    extra: Option<usize>,
}

impl TableMapping {
    fn new(name: &str, item_type: &'static str) -> Option<Self> {
        let def = find(name)?;
        let index = |column: &str| def.index_of(column);
        Some(Self {
            fields: FieldMap::new(def, &ALIASES),
            content: RowContent::of(def)?,
            content_of_columns: RowContent::of(def)?.of_columns(),
            item_type,
            timestamp: index("timestamp")?,
            item_type_column: index("itemType")?,
            item_id: index("itemId")?,
            severity: index("severityLevel"),
            success: index("success").map(|column| (column, success_texts(item_type))),
            value_count: index("valueCount"),
            own_type: index("type"),
            content_id: index(def.content?)?,
            extra: index(EXTRA),
        })
    }

    /// Puts one field of the source into its place: a column, or `extra`, the text of an open JSON object.
    fn put<'a>(&mut self, row: &mut Row<'a>, extra: &mut String, name: &str, source: SourceValue<'a>, order: DateOrder) {
        self.put_known(row, extra, name, source, None, order);
    }

    /// The same for a field whose members may be known.
    fn put_known<'a>(
        &mut self,
        row: &mut Row<'a>,
        extra: &mut String,
        name: &str,
        source: SourceValue<'a>,
        members: Option<Members<'a>>,
        order: DateOrder,
    ) {
        if self.set(row, name, source, members, order) {
            return;
        }
        // Files that were written out of a lake have columns of its own; they are nothing of the record.
        if BOOKKEEPING.contains(&name) || self.is_promoted(row, name) {
            return;
        }
        if name == EXTRA
            && let Some(Cell::Json(json)) = source.read(Type::Dynamic, order)
            && let Ok(members) = Members::parse(&json)
        {
            members.0.iter().for_each(|(name, value)| push_left(extra, name, value.get()));
            return;
        }
        match source {
            SourceValue::Json(json) | SourceValue::Plain(json) => push_left(extra, name, json),
            SourceValue::Field(text) => push_member(extra, name, &string_literal(text)),
        }
    }

    /// True for a column whose value is also in the bag that the row has.
    fn is_promoted(&self, row: &Row<'_>, name: &str) -> bool {
        let table = self.fields.table;
        let promoted = || table.columns[self.fields.columns..].iter().find(|column| column.name == name)?.promoted.as_ref();
        name.contains('_') && promoted().is_some_and(|promoted| !row.get(promoted.source).is_null())
    }

    /// Sets the column of one field of the source; false where none takes it.
    fn set<'a>(
        &mut self,
        row: &mut Row<'a>,
        name: &str,
        source: SourceValue<'a>,
        members: Option<Members<'a>>,
        order: DateOrder,
    ) -> bool {
        let column = match (name.len(), name) {
            // The workspace schema calls the table `Type`; the classic one calls the kind of a dependency or exception so.
            (4, _) if name.eq_ignore_ascii_case("type") => {
                if by_type_name(&source.text()).is_some() {
                    return true;
                }
                self.own_type
            }
            (9, "ItemCount" | "itemCount") if self.value_count.is_some() => self.value_count,
            _ => self.fields.column(name),
        };
        let Some(column) = column else {
            // The events API counts all items, and performance counters have no column for it: one is what a record is anyway.
            return source.is_empty() || (matches!(name, "ItemCount" | "itemCount") && source.text() == "1");
        };
        if column == self.item_type_column {
            return true;
        }
        if self.fields.ty(column) == Type::Dynamic
            && let SourceValue::Json(text) = source
            && row.cells[column].is_null()
            && let Some(members) = members.or_else(|| Members::plain(text))
        {
            row.set_bag(column, text, members);
            return true;
        }
        match source.read(self.fields.ty(column), order) {
            Some(Cell::Null) => true,
            Some(cell) => {
                // `time` and `TimeGenerated` are side by side in some exports: they are one value.
                if row.cells[column].is_null() {
                    row.cells[column] = cell;
                    return true;
                }
                row.cells[column] == cell
            }
            None if Some(column) == self.severity => match severity(&source.text()) {
                Some(level) => {
                    row.cells[column] = Cell::Int(level);
                    true
                }
                None => false,
            },
            None => false,
        }
    }

    /// The row with what is the same in all records; `content` is what its content is made of.
    fn finish<'a>(&self, mut row: Row<'a>, extra: String, content: &RowContent) -> Result<Row<'a>, String> {
        if row.cells[self.timestamp].is_null() {
            return Err(no_time(&extra));
        }
        row.cells[self.item_type_column] = Cell::Text(Cow::Borrowed(self.item_type));
        if let Some((column, texts)) = self.success
            && let Some(said) = row.cells[column].as_text().and_then(truth_of)
        {
            row.cells[column] = Cell::Text(Cow::Borrowed(texts[usize::from(said)]));
        }
        if let (Some(column), true) = (self.extra, extra.len() > 1) {
            row.cells[column] = Cell::Json(Cow::Owned(extra + "}"));
        }
        let mut repeats = false;
        let content = row.content(content, &mut repeats);
        if repeats {
            row.rewrite_json(without_repeats);
        }
        let mut known = content_id(content);
        if let Some(id) = row.cells[self.item_id].as_text().filter(|id| !id.trim().is_empty()) {
            // A record that comes back out of a lake says what its content was: the file may not have all of it.
            known = derived_content(id).unwrap_or(known);
        } else {
            row.derive_id(self.item_id, content);
        }
        row.cells[self.content_id] = Cell::Int(known);
        Ok(row)
    }
}

/// The texts of `success` in the classic schema: availability tests have numbers, all else .NET's words. Workspaces have truth values,
/// and their CSV writes them as JSON does: a record has one text, whichever service or portal gave it.
fn success_texts(item_type: &str) -> [&'static str; 2] {
    if item_type == "availabilityResult" { ["0", "1"] } else { ["False", "True"] }
}

fn truth_of(text: &str) -> Option<bool> {
    let is = |words: [&str; 2]| words.iter().any(|word| text.trim().eq_ignore_ascii_case(word));
    is(["true", "1"]).then_some(true).or_else(|| is(["false", "0"]).then_some(false))
}

/// Maps Application Insights records.
pub(crate) struct AppInsights {
    tables: Vec<Option<TableMapping>>,
}

impl Default for AppInsights {
    fn default() -> Self {
        Self { tables: TABLES.iter().map(|(name, item)| TableMapping::new(name, item)).collect() }
    }
}

/// A CSV heading or an answer's column list that was recognised.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    /// Names, without the zone that portals append (`timestamp [UTC]`).
    names: Vec<String>,
    /// Place of the column that names each row's table.
    type_column: Option<usize>,
    /// The table that the names fit, for rows that name none.
    table: Option<usize>,
    /// Month first or day first, as far as the values show.
    pub order: DateOrder,
}

impl Columns {
    /// Recognises the columns of an Application Insights table; `hint` may name a table, such as an answer's name.
    pub(crate) fn recognise(names: &[String], hint: &str) -> Option<Self> {
        let names: Vec<String> = names.iter().map(|n| bare_name(n).to_owned()).collect();
        let table = by_type_name(hint).or_else(|| by_fields(names.iter().map(String::as_str)));
        let type_column =
            names.iter().position(|n| n.eq_ignore_ascii_case("itemType")).or_else(|| names.iter().position(|n| n == "Type"));
        let columns = Self { names, type_column, table, order: DateOrder::Unknown };
        let timed = columns.time_columns().next().is_some();
        (timed && (table.is_some() || type_column.is_some())).then_some(columns)
    }

    /// Why a row is of no known table, where only the type that it names could show it; `value` gives the value in a place.
    pub(crate) fn unknown<'a>(&self, value: impl Fn(usize) -> Option<SourceValue<'a>>) -> Option<String> {
        if self.table.is_some() {
            return None;
        }
        let said = self.type_column.and_then(value).map(|value| value.text());
        let said = said.as_deref().map(str::trim).filter(|said| !said.is_empty());
        said.and_then(by_type_name).is_none().then(|| unknown_type(said))
    }

    /// Places of the columns that hold times.
    pub(crate) fn time_columns(&self) -> impl Iterator<Item = usize> + '_ {
        self.names.iter().enumerate().filter(|(_, n)| TIMES.iter().any(|t| n.eq_ignore_ascii_case(t))).map(|(i, _)| i)
    }
}

impl AppInsights {
    /// True for a record of the retired continuous export.
    pub(crate) fn is_continuous(members: &Members<'_>) -> bool {
        members.get("context").is_some_and(|c| c.starts_with('{'))
            && (members.get("internal").is_some() || continuous::kind(members).is_some())
    }

    /// True for a record with the fields of one of the tables.
    pub(crate) fn is_flat(members: &Members<'_>) -> bool {
        let timed = TIMES.iter().any(|t| members.has(t));
        timed && table_of(members).is_ok()
    }

    /// True for a record that says which of the tables it is of, whether or not it has a time.
    pub(crate) fn names_a_table(members: &Members<'_>) -> bool {
        let says = |name: &str| members.text(name).is_some_and(|said| by_type_name(&said).is_some());
        ["itemType", "Type", "category"].iter().any(|name| says(name))
    }

    /// Rows of a record of the retired continuous export.
    pub(crate) fn continuous<'a>(&mut self, members: &Members<'_>) -> Result<Vec<Row<'a>>, String> {
        let (table, records) = continuous::flatten(members)?;
        let name = TABLES[table].0;
        let table = self.tables[table].as_mut().ok_or_else(|| format!("there is no table {name}"))?;
        records
            .into_iter()
            .map(|record| {
                let mut row: Row<'a> = Row::with_columns(table.fields.table, table.fields.columns);
                let mut extra = String::from("{");
                for (column, value) in record.columns {
                    let text = value.to_string();
                    let cell = table.fields.column(column).and_then(|i| {
                        let cell = match (table.fields.ty(i), &value) {
                            (Type::Int, serde_json::Value::String(name)) if Some(i) == table.severity => {
                                severity(name).map(Cell::Int)
                            }
                            (ty, _) => SourceValue::Json(&text).read(ty, DateOrder::Unknown).map(Cell::into_owned),
                        };
                        cell.map(|c| (i, c))
                    });
                    match cell {
                        Some((i, cell)) => row.cells[i] = cell,
                        None => push_left(&mut extra, column, &text),
                    }
                }
                for (name, value) in record.left {
                    push_left(&mut extra, &name, &value.to_string());
                }
                // Nobody looks into what is left for the content, and so sees that a name is there twice.
                let extra = without_repeats(&(extra + "}"));
                table.finish(row, extra.strip_suffix('}').unwrap_or_default().to_owned(), &table.content_of_columns)
            })
            .collect()
    }

    /// The row of a record with fields by name.
    pub(crate) fn flat<'a>(&mut self, members: &mut Members<'a>) -> Result<Row<'a>, String> {
        let index = table_of(members)?;
        let table = self.tables[index].as_mut().ok_or_else(|| unknown_type(Some(TABLES[index].0)))?;
        let mut row = Row::with_columns(table.fields.table, table.fields.columns);
        let mut extra = String::from("{");
        for at in 0..members.0.len() {
            let inner = members.take_inner(at);
            let (name, value) = &members.0[at];
            table.put_known(&mut row, &mut extra, name, SourceValue::of(*value), inner, DateOrder::Unknown);
        }
        table.finish(row, extra, &table.content)
    }

    /// The row of values in the order of recognised columns.
    pub(crate) fn ordered<'a>(
        &mut self,
        columns: &Columns,
        values: &mut dyn Iterator<Item = SourceValue<'a>>,
    ) -> Result<Row<'a>, String> {
        let values: Vec<SourceValue<'a>> = values.take(columns.names.len()).collect();
        let said = columns.type_column.and_then(|i| values.get(i)).map(|v| v.text());
        let said = said.as_deref().map(str::trim).filter(|t| !t.is_empty());
        let index = match said {
            Some(name) => by_type_name(name),
            None => columns.table,
        };
        let index = index.ok_or_else(|| unknown_type(said))?;
        let table = self.tables[index].as_mut().ok_or_else(|| unknown_type(said))?;
        let mut row = Row::with_columns(table.fields.table, table.fields.columns);
        let mut extra = String::from("{");
        for (name, value) in columns.names.iter().zip(values) {
            table.put(&mut row, &mut extra, name, value, columns.order);
        }
        table.finish(row, extra, &table.content)
    }
}

/// A record's table: by what it calls itself (an item type, else a workspace table, else a log category), else by its
/// fields. A record that names a table we do not have is none of ours, whatever its fields.
fn table_of(members: &Members<'_>) -> Result<usize, String> {
    let mut unknown = None;
    for name in ["itemType", "Type", "category"] {
        if let Some(said) = members.get(name).map(|v| SourceValue::Json(v).text()).filter(|t| !t.is_empty()) {
            match by_type_name(&said) {
                Some(table) => return Ok(table),
                None => unknown = unknown.or(Some(said)),
            }
        }
    }
    // A performance counter has a category of its own, which names no table.
    match unknown {
        Some(said) if !members.has("counter") => Err(unknown_type(Some(&said))),
        _ => by_fields(members.0.iter().map(|(n, _)| n.as_ref())).ok_or_else(|| unknown_type(None)),
    }
}

/// Why a record has no time; `left` is the text of an open JSON object of the fields that no column took.
fn no_time(left: &str) -> String {
    let left = format!("{left}}}");
    let members = Members::parse(&left).ok();
    let time = members.as_ref().and_then(|members| {
        let (name, value) = TIMES.iter().find_map(|name| Some((name, members.get_any_case(name)?)))?;
        Some(format!("{name} is '{}'", shown(&SourceValue::Json(value).text())))
    });
    let why = time.as_deref().unwrap_or("timestamp, TimeGenerated or time");
    format!("the record has no time that can be read ({why})")
}

fn unknown_type(said: Option<&str>) -> String {
    match said {
        Some(name) => format!("no table takes records of the type '{name}'"),
        None => "the record does not say its type, and its fields fit no table".into(),
    }
}

#[cfg(test)]
mod tests;
