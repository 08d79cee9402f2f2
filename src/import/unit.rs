//! One unit of a file import: what its records are, the rows they give, and what could not be read.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::Section;
use super::app_insights::mapping::{AppInsights, Columns};
use super::audit::mapping::{Around, Audit};
use super::calls::mapping::{Calls, call_of};
use super::convert::{DateOrder, TIMES};
use super::fields::plain_name;
use super::files::documents::{Answer, ENDS_INSIDE, Heading, Item, Page, Place, Sink, Stop, column_names};
use super::graph::directory::{Directory, Kind};
use super::graph::reports::{ReportId, Reports};
use super::json_text::{Members, elements, too_deep, unescape};
use super::message_trace::mapping::{CsvKind, Traces};
use super::row::{Cell, Row, Source};
use kqlake_value::json::MAX_DEPTH;

/// Records of no known shape after which a file that had no other is given up.
const HOPELESS: u64 = 200;

/// The mappings of all sources; they remember names they have seen and are used for one unit after the other.
#[derive(Default)]
pub(crate) struct Mappings {
    app: AppInsights,
    audit: Audit,
    calls: Calls,
    traces: Traces,
    reports: Reports,
    directory: Directory,
}

/// What a JSON object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Continuous,
    Flat,
    Audit,
    AuditWrapped,
    Call,
    CallSession,
    Trace,
    TraceDetail,
    Report(ReportId),
    Directory(Kind),
    /// A page inside a line or an element.
    Container,
}

/// What a CSV heading or the columns of an answer are.
#[derive(Debug, Clone)]
enum Table {
    App(Columns),
    Audit {
        data: usize,
        id: Option<usize>,
        created: Option<usize>,
        order: DateOrder,
    },
    Traces(CsvKind, DateOrder),
    Report(ReportId),
    /// Records of another source, by name.
    Objects,
}

/// Where a unit's rows and refused records go.
pub(crate) trait Output {
    /// Takes a row.
    fn row(&mut self, row: &Row<'_>) -> Result<(), Stop>;
    /// Takes a record that could not be read.
    fn refused(&mut self, place: Place, reason: &str, text: &[u8]) -> Result<(), Stop>;
}

/// What is kept of the rows.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Sections whose rows are taken; all when empty.
    pub sections: Vec<Section>,
    /// Rows before this instant are passed over (microseconds since 1970).
    pub since: Option<i64>,
    /// Rows at or after this instant are passed over.
    pub until: Option<i64>,
}

/// What came of a unit's records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records that were found.
    pub records: u64,
    /// Rows by table.
    pub rows: BTreeMap<&'static str, u64>,
    /// Records that could not be read.
    pub refused: u64,
    /// Among them those of no known shape.
    pub unknown: u64,
    /// Rows that the filter passed over.
    pub filtered: u64,
}

/// Maps one unit.
pub(crate) struct UnitMapper<'m> {
    mappings: &'m mut Mappings,
    output: &'m mut dyn Output,
    filter: &'m Filter,
    /// The unit's name, for what only names tell.
    name: String,
    /// When the unit was written (microseconds since 1970).
    written: i64,
    /// What came of the records so far.
    pub counts: Counts,
    /// The first reason for which a record was of no known shape.
    pub first_unknown: Option<String>,
    last: Option<(Vec<String>, Option<String>, Shape)>,
    table: Option<Table>,
    answer: Option<(Answer, Result<Table, String>)>,
}

impl<'m> UnitMapper<'m> {
    /// A mapper of a unit.
    pub(crate) fn new(
        mappings: &'m mut Mappings,
        output: &'m mut dyn Output,
        filter: &'m Filter,
        name: &str,
        written: i64,
    ) -> Self {
        Self {
            mappings,
            output,
            filter,
            name: name.to_owned(),
            written,
            counts: Counts::default(),
            first_unknown: None,
            last: None,
            table: None,
            answer: None,
        }
    }

    /// True when no record was of a known shape, though there were some.
    pub(crate) fn is_unknown(&self) -> bool {
        self.counts.unknown > 0
            && self.counts.unknown == self.counts.refused
            && self.counts.rows.is_empty()
            && self.counts.filtered == 0
    }

    fn refuse(&mut self, place: Place, reason: &str, text: &[u8]) -> Result<(), Stop> {
        self.counts.refused += 1;
        self.output.refused(place, reason, text)
    }

    fn refuse_unknown(&mut self, place: Place, reason: String, text: &[u8]) -> Result<(), Stop> {
        self.counts.unknown += 1;
        let result = self.refuse(place, &reason, text);
        self.first_unknown.get_or_insert(reason);
        // A large file that is none of ours would otherwise be copied into quarantine record by record.
        if self.is_unknown() && self.counts.unknown >= HOPELESS { Err(Stop) } else { result }
    }

    /// Takes what a record was mapped to, or refuses the record.
    fn mapped(&mut self, mapped: Result<Vec<Row<'_>>, String>, place: Place, text: &[u8]) -> Result<(), Stop> {
        let checked = mapped.and_then(|rows| {
            let values = rows.iter().flat_map(|row| &row.cells);
            // A text may have had JSON inside that its record's own depth does not show.
            if values.into_iter().any(|cell| matches!(cell, Cell::Json(json) if too_deep(json))) {
                return Err(deep());
            }
            let outside = |cell: &Cell<'_>| matches!(cell, Cell::Time(time) if !TIMES.contains(time));
            if rows.iter().flat_map(|row| &row.cells).any(outside) {
                return Err("the record has a time outside of the years 1 to 9999".into());
            }
            if rows.is_empty() { Err("the record gave no row".into()) } else { Ok(rows) }
        });
        match checked {
            Ok(rows) => rows.iter().try_for_each(|row| self.row(row)),
            Err(reason) => self.refuse(place, &reason, text),
        }
    }

    fn row(&mut self, row: &Row<'_>) -> Result<(), Stop> {
        let filter = self.filter;
        let section = Section::of_table(row.table.name);
        let time = match row.get(row.table.time) {
            Cell::Time(time) => *time,
            _ => i64::MIN,
        };
        let outside = filter.since.is_some_and(|since| time < since) || filter.until.is_some_and(|until| time >= until);
        if outside || !(filter.sections.is_empty() || filter.sections.contains(&section)) {
            self.counts.filtered += 1;
            return Ok(());
        }
        *self.counts.rows.entry(row.table.name).or_default() += 1;
        self.output.row(row)
    }

    /// A JSON object: a record, or a page of records.
    fn object(&mut self, text: &str, page: &Page, place: Place, depth: u8) -> Result<(), Stop> {
        if too_deep(text) {
            self.counts.records += 1;
            return self.refuse(place, &deep(), text.as_bytes());
        }
        let members = match Members::parse(text) {
            Ok(members) => members,
            Err(error) => {
                self.counts.records += 1;
                let reason = if error.is_eof() { ENDS_INSIDE.to_owned() } else { format!("no valid JSON: {error}") };
                return self.refuse(place, &reason, text.as_bytes());
            }
        };
        let shape = match self.shape(&members, page) {
            Ok(Shape::Container) if depth < 3 => return self.container(&members, place, depth),
            Ok(shape) => shape,
            Err(reason) => {
                self.counts.records += 1;
                return self.refuse_unknown(place, reason, text.as_bytes());
            }
        };
        self.counts.records += 1;
        let context = page.context.as_deref();
        let mappings = &mut *self.mappings;
        let mapped = match shape {
            Shape::Flat => mappings.app.flat(&members).map(|row| vec![row]),
            Shape::Continuous => mappings.app.continuous(&members),
            Shape::Audit => mappings.audit.record(&members, text, &Around::default()).map(|row| vec![row]),
            Shape::AuditWrapped => mappings.audit.wrapped(&members).map(|row| vec![row]),
            Shape::Call => mappings.calls.record(&members),
            Shape::CallSession => match context.and_then(call_of) {
                Some(call) => mappings.calls.session(&members, call),
                None => Err("the page of sessions does not name its call in @odata.context".into()),
            },
            Shape::Trace => mappings.traces.trace(&members, text),
            Shape::TraceDetail => mappings.traces.detail(&members, text, context),
            Shape::Report(id) => mappings.reports.json(id, &members, text),
            Shape::Directory(kind) => mappings.directory.object(kind, &members, text, context, self.written).map(|row| vec![row]),
            Shape::Container => Err("pages inside pages, more than three deep".into()),
        };
        self.mapped(mapped, place, text.as_bytes())
    }

    /// What an object is. Records of one kind mostly have the same members: then the answer is remembered.
    fn shape(&mut self, members: &Members<'_>, page: &Page) -> Result<Shape, String> {
        if let Some((names, context, shape)) = &self.last
            && *context == page.context
            && names.len() == members.0.len()
            && names.iter().zip(&members.0).all(|(known, (name, _))| known == name)
            // Its values decide, too.
            && (*shape != Shape::Flat || AppInsights::is_flat(members))
        {
            return Ok(*shape);
        }
        let shape = self.recognise(members, page)?;
        self.last = Some((members.0.iter().map(|(name, _)| name.to_string()).collect(), page.context.clone(), shape));
        Ok(shape)
    }

    fn recognise(&self, members: &Members<'_>, page: &Page) -> Result<Shape, String> {
        let context = page.context.as_deref();
        if AppInsights::is_continuous(members) {
            return Ok(Shape::Continuous);
        }
        if Audit::is_record(members) {
            return Ok(Shape::Audit);
        }
        if Audit::is_wrapped(members) {
            return Ok(Shape::AuditWrapped);
        }
        if Traces::is_trace(members) {
            return Ok(Shape::Trace);
        }
        if Reports::is_row(members) {
            let said = members.text("@odata.type").unwrap_or_default();
            return self
                .mappings
                .reports
                .recognise_json(members, &[&said, context.unwrap_or_default(), &self.name])
                .map(Shape::Report);
        }
        if Calls::is_record(members) {
            return Ok(Shape::Call);
        }
        if Calls::is_session(members) {
            return Ok(Shape::CallSession);
        }
        if AppInsights::is_flat(members) {
            return Ok(Shape::Flat);
        }
        if Traces::is_detail(members) {
            return Ok(Shape::TraceDetail);
        }
        if let Some(kind) = Kind::of(members, context) {
            return Ok(Shape::Directory(kind));
        }
        if inner_page(members).is_some() {
            return Ok(Shape::Container);
        }
        Err(why_unknown(members))
    }

    /// The records of a page that stands in a line or an element, or in the answer to a batch.
    fn container(&mut self, members: &Members<'_>, place: Place, depth: u8) -> Result<(), Stop> {
        let context = ["@odata.context", "odata.metadata"]
            .iter()
            .find_map(|name| members.get_any_case(name))
            .map(|c| unescape(c).into_owned());
        let page = Page { context };
        let Some((kind, inner)) = inner_page(members) else {
            return Ok(());
        };
        match kind {
            Inner::Object => self.object(inner, &page, place, depth + 1),
            Inner::Array => match elements(inner) {
                Ok(items) => items.iter().try_for_each(|item| self.object(item.get(), &page, place, depth + 1)),
                Err(error) => self.refuse(place, &format!("no valid JSON: {error}"), inner.as_bytes()),
            },
            Inner::Tables => self.inner_tables(inner, place),
        }
    }

    /// The tables of a query answer that stands in a line or an element.
    fn inner_tables(&mut self, text: &str, place: Place) -> Result<(), Stop> {
        for table in elements(text).unwrap_or_default() {
            match inner_table(table.get()) {
                Ok((answer, rows)) => rows.iter().try_for_each(|row| self.answer_row(&answer, row.get(), place))?,
                Err(reason) => {
                    self.counts.records += 1;
                    self.refuse(place, &reason, table.get().as_bytes())?;
                }
            }
        }
        Ok(())
    }

    fn answer_row(&mut self, answer: &Answer, text: &str, place: Place) -> Result<(), Stop> {
        self.counts.records += 1;
        if too_deep(text) {
            return self.refuse(place, &deep(), text.as_bytes());
        }
        if self.answer.as_ref().is_none_or(|(known, _)| known != answer) {
            let table = self.recognise_columns(&answer.columns, &answer.name, false);
            self.answer = Some((answer.clone(), table));
        }
        let table = match &self.answer {
            Some((_, Ok(table))) => table.clone(),
            Some((_, Err(reason))) => {
                let reason = reason.clone();
                return self.refuse_unknown(place, reason, text.as_bytes());
            }
            None => return Ok(()),
        };
        let values = match elements(text) {
            Ok(values) if values.len() == answer.columns.len() => values,
            Ok(values) => {
                let reason = format!("the row has {} values where the answer has {} columns", values.len(), answer.columns.len());
                return self.refuse(place, &reason, text.as_bytes());
            }
            Err(error) => return self.refuse(place, &format!("no valid JSON: {error}"), text.as_bytes()),
        };
        match table {
            Table::App(columns) => {
                let row = self.mappings.app.ordered(&columns, &mut values.iter().map(|v| Source::Json(v.get())));
                self.mapped(row.map(|row| vec![row]), place, text.as_bytes())
            }
            // Any other record is put together again and read by its members.
            _ => {
                let mut object = String::from("{");
                for (name, value) in answer.columns.iter().zip(&values) {
                    super::fields::push_member(&mut object, name, value.get());
                }
                object.push('}');
                self.counts.records -= 1;
                self.object(&object, &Page::default(), place, 3)
            }
        }
    }

    /// What the columns of a CSV file or of an answer are.
    fn recognise_columns(&self, columns: &[String], hint: &str, csv: bool) -> Result<Table, String> {
        if let Some(columns) = Columns::recognise(columns, hint) {
            return Ok(Table::App(columns));
        }
        let at = |names: &[&str]| columns.iter().position(|c| names.contains(&plain_name(c).as_str()));
        if let Some(data) = at(&["auditdata"]) {
            return Ok(Table::Audit {
                data,
                id: at(&["recordid", "identity"]),
                created: at(&["creationdate", "creationtime"]),
                order: DateOrder::Unknown,
            });
        }
        if Reports::is_heading(columns) {
            return self.mappings.reports.recognise(columns.iter().map(String::as_str), &[&self.name]).map(Table::Report);
        }
        if let Some(kind) = Traces::csv_kind(columns) {
            return Ok(Table::Traces(kind, DateOrder::Unknown));
        }
        if !csv && at(&["recordtype"]).is_some() && at(&["operation"]).is_some() {
            return Ok(Table::Objects);
        }
        let shown: Vec<&str> = columns.iter().map(String::as_str).take(8).collect();
        Err(format!(
            "the columns ({}{}) are none of Application Insights, of an audit search, of a message trace or of a usage report",
            shown.join(", "),
            if columns.len() > shown.len() { ", …" } else { "" }
        ))
    }

    fn csv_row(&mut self, heading: &Heading, values: &[&str], raw: &[u8], place: Place) -> Result<(), Stop> {
        self.counts.records += 1;
        let mappings = &mut *self.mappings;
        let mapped: Result<Vec<Row<'_>>, String> = match &self.table {
            Some(Table::App(columns)) => {
                mappings.app.ordered(columns, &mut values.iter().map(|v| Source::Field(v))).map(|row| vec![row])
            }
            Some(Table::Audit { data, id, created, order }) => {
                let field = |at: &Option<usize>| at.and_then(|i| values.get(i)).filter(|v| !v.is_empty()).map(|v| (*v).into());
                let around = Around { id: field(id), created: field(created), order: *order };
                mappings.audit.data(values.get(*data).copied().unwrap_or_default(), &around).map(|row| vec![row])
            }
            Some(Table::Traces(kind, order)) => mappings.traces.csv(*kind, &heading.columns, values, *order),
            Some(Table::Report(id)) => mappings.reports.csv(*id, &heading.columns, values),
            Some(Table::Objects) | None => Err("the heading was not recognised".into()),
        };
        self.mapped(mapped, place, raw)
    }
}

impl Sink for UnitMapper<'_> {
    fn item(&mut self, item: Item<'_>, place: Place) -> Result<(), Stop> {
        match item {
            Item::Object { text, page } => self.object(text, page, place, 0),
            Item::AnswerRow { answer, text } => self.answer_row(answer, text, place),
            Item::CsvRow { heading, record } => {
                // The walk has checked the whole record's text.
                let values: Vec<&str> = (0..heading.columns.len())
                    .map(|i| record.field(i).and_then(|f| std::str::from_utf8(f).ok()).unwrap_or_default())
                    .collect();
                self.csv_row(heading, &values, &record.raw, place)
            }
            Item::Bad { reason, text } => {
                self.counts.records += 1;
                self.refuse(place, &reason, text)
            }
        }
    }

    fn heading(&mut self, heading: &Heading, sample: &[Vec<String>]) -> Result<(), String> {
        let mut table = self.recognise_columns(&heading.columns, "", true)?;
        let evidence = |places: &[usize]| {
            let values = sample.iter().flat_map(|row| places.iter().filter_map(|i| row.get(*i)));
            values.filter_map(|v| DateOrder::evidence(v)).next().unwrap_or_default()
        };
        match &mut table {
            Table::App(columns) => {
                let places: Vec<usize> = columns.time_columns().collect();
                columns.order = evidence(&places);
            }
            Table::Audit { created, order, .. } => *order = evidence(created.as_slice()),
            Table::Traces(_, order) => {
                let places: Vec<usize> =
                    heading.columns.iter().enumerate().filter(|(_, n)| Traces::is_time(n)).map(|(i, _)| i).collect();
                *order = evidence(&places);
            }
            Table::Report(_) | Table::Objects => {}
        }
        self.table = Some(table);
        Ok(())
    }
}

/// Why a record is refused that is nested too deep.
fn deep() -> String {
    format!("the record is nested deeper than {MAX_DEPTH} levels")
}

enum Inner {
    Array,
    Object,
    Tables,
}

/// The columns and rows of a query answer's table.
fn inner_table(text: &str) -> Result<(Answer, Vec<&RawValue>), String> {
    let invalid = |error: serde_json::Error| format!("the answer's table cannot be read: {error}");
    let table = Members::parse(text).map_err(invalid)?;
    let answer = Answer {
        name: table.text("name").or_else(|| table.text("TableName")).unwrap_or_default().into_owned(),
        columns: column_names(table.get_any_case("columns").unwrap_or("[]")),
    };
    let rows = elements(table.get_any_case("rows").unwrap_or("[]")).map_err(invalid)?;
    if answer.columns.is_empty() && !rows.is_empty() {
        return Err("the answer's rows stand without the names of their columns".into());
    }
    Ok((answer, rows))
}

/// The records inside a page that is itself a line or an element.
fn inner_page<'a>(members: &Members<'a>) -> Option<(Inner, &'a str)> {
    for (name, value) in &members.0 {
        let text = value.get();
        match name.to_ascii_lowercase().as_str() {
            "tables" if text.starts_with('[') => return Some((Inner::Tables, text)),
            "value" | "records" | "results" | "d" | "responses" if text.starts_with('[') => return Some((Inner::Array, text)),
            "d" | "body" if text.starts_with('{') => return Some((Inner::Object, text)),
            _ => {}
        }
    }
    None
}

/// Why an object is of no known shape, in words that help to see what it is.
fn why_unknown(members: &Members<'_>) -> String {
    if let Some(error) = members.get_any_case("error") {
        let message = super::fields::nested_text(error, &["message"]).unwrap_or_default();
        return format!("it is the error answer of a service, no data: {message}");
    }
    let names: Vec<&str> = members.0.iter().map(|(name, _)| name.as_ref()).take(8).collect();
    if let Some(said) = members.text("Type").or_else(|| members.text("itemType")) {
        return format!("no table takes records of the type '{said}' (members {})", names.join(", "));
    }
    if names.is_empty() {
        return "the object is empty".into();
    }
    format!(
        "its members ({}{}) are those of no Application Insights row, audit record, call record, message trace, usage report, user or team",
        names.join(", "),
        if members.0.len() > names.len() { ", …" } else { "" }
    )
}
