//! One unit of a file import: what its records are, the rows they give, and what could not be read.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Section;
use super::app_insights::events_api;
use super::app_insights::mapping::AppInsights;
use super::audit::mapping::{Around, Audit};
use super::audit::scope::OrgUrls;
use super::calls::mapping::{Calls, call_of};
use super::convert::{self, DateOrder};
use super::exported::Exported;
use super::fields::{bare_name, push_member};
use super::files::documents::{AnswerHeading, Dates, Heading, Item, Page, Place, Reason, Stop};
use super::graph::directory::Directory;
use super::graph::messages::Messages;
use super::graph::reports::{Giver, Reports};
use super::json_text::{string_literal, unescape};
use super::landable::{Landable, deep};
use super::message_trace::mapping::Traces;
use super::row::{Cell, Row, SourceValue};
use super::shape::{Inner, Shape, TableShape, inner_page, inner_table, original};
use super::zones;
use kqlake_lake::tables::{IS_WHOLE, TAKEN_AT};
use kqlake_value::format::datetime_text;
use kqlake_value::formula::unguarded;
use kqlake_value::json::checked::{Members, elements};
use kqlake_value::json::too_deep;

/// Records of a unit, refused for what all of their kind lack, that are quarantined; more are only counted.
pub(crate) const SAMPLE: u64 = 200;

/// The mappings of all sources; they remember names they have seen and are used for one unit after the other.
#[derive(Default)]
pub(crate) struct Mappings {
    app: AppInsights,
    audit: Audit,
    calls: Calls,
    traces: Traces,
    reports: Reports,
    directory: Directory,
    messages: Messages,
    exported: Exported,
    landable: Landable,
}

/// Where a unit's rows and refused records go.
pub(crate) trait Output {
    /// Takes a row, which it may give its id.
    fn row(&mut self, row: &mut Row<'_>) -> Result<(), Stop>;
    /// Takes a record that could not be read.
    fn refused(&mut self, place: Place, reason: &Reason, text: &[u8]) -> Result<(), Stop>;
    /// Takes a record that was refused for what all of its kind lack: of a unit's, the first [`SAMPLE`] are enough to see what they
    /// are.
    fn sampled(&mut self, place: Place, reason: &Reason, text: &[u8]) -> Result<(), Stop>;
}

/// What the caller knows and files may not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImportOverrides {
    /// Day or month first, for files whose dates do not show it.
    pub date_order: DateOrder,
    /// When snapshots of users, teams and the like were taken (microseconds since 1970, any time of the day), whatever the names
    /// of their files say.
    pub snapshot_date: Option<i64>,
}

/// What is kept of the rows.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Sections whose rows are taken; all when empty.
    pub sections: Vec<Section>,
    /// Rows before this instant are left out (microseconds since 1970).
    pub since: Option<i64>,
    /// Rows at or after this instant are left out.
    pub until: Option<i64>,
    /// The sites that audit records are taken of.
    pub org_urls: OrgUrls,
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
    /// Rows that the filter left out.
    pub filtered: u64,
    /// Rows of audit records that are of sites which are not wanted.
    pub out_of_scope: u64,
}

impl Counts {
    /// Adds what came of other records.
    pub(crate) fn add(&mut self, other: &Counts) {
        self.records += other.records;
        other.rows.iter().for_each(|(table, rows)| *self.rows.entry(table).or_default() += rows);
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.filtered += other.filtered;
        self.out_of_scope += other.out_of_scope;
    }

    /// True when no record was of a known shape, though there were some.
    pub(crate) fn is_unknown(&self) -> bool {
        self.unknown > 0 && self.unknown == self.refused && self.rows.is_empty() && self.filtered + self.out_of_scope == 0
    }
}

/// What is known of a unit before it is read.
#[derive(Debug)]
pub(crate) struct Facts {
    /// Which of its rows are taken.
    pub filter: Arc<Filter>,
    /// Its name, for what only names show.
    pub name: String,
    /// The day on which its snapshot was taken (microseconds since 1970), as far as it is known.
    pub day: Option<i64>,
    /// When its service gave it (microseconds since 1970), where it came from one.
    pub taken: Option<i64>,
    /// Day or month first, as given.
    pub order: DateOrder,
    /// The id of the tenant whose records these are, where it is not the lake's own.
    pub tenant: Option<Arc<str>>,
}

impl Facts {
    /// Who gave a usage report.
    fn giver(&self) -> Giver<'_> {
        if self.taken.is_some() { Giver::Service(self.tenant.as_deref()) } else { Giver::File }
    }
}

/// What a unit says of the rows that follow.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowContext {
    /// Day or month first: as given, until the dates of a file decide.
    order: DateOrder,
    /// What the rows of the CSV file are.
    table: Option<TableShape>,
    /// Places of the CSV file's columns that hold dates.
    date_places: Vec<usize>,
    /// The CSV file's columns of times in a zone of their heading's, with its minutes east of UTC.
    zones: Vec<(usize, i64)>,
}

impl RowContext {
    /// Nothing but what is known anyway.
    pub(crate) fn new(facts: &Facts) -> Self {
        RowContext { order: facts.order, ..RowContext::default() }
    }

    /// What holds below a CSV heading.
    ///
    /// # Errors
    /// Why the heading is none of those known.
    pub(crate) fn below(&self, heading: &Heading, facts: &Facts, mappings: &Mappings) -> Result<Self, String> {
        let reports = &mappings.reports;
        let mut table = TableShape::of(&heading.columns, "", &facts.name, reports)?;
        if let TableShape::App(columns) = &mut table {
            columns.order = self.order;
        }
        let date_places = table.dates(&heading.columns, reports);
        let zones = zones::of(&heading.columns, table.times(&heading.columns, reports).into_iter())?;
        Ok(RowContext { order: self.order, table: Some(table), date_places, zones })
    }

    /// What holds when the order of the file's dates is known.
    ///
    /// # Errors
    /// Why the file is refused.
    pub(crate) fn dated(&self, dates: &Dates, facts: &Facts) -> Result<Self, String> {
        let mut said = RowContext { order: dates.order(facts.order)?, ..self.clone() };
        if let Some(TableShape::App(columns)) = &mut said.table {
            columns.order = said.order;
        }
        Ok(said)
    }

    /// The places of the columns whose dates may have their day or their month first.
    pub(crate) fn date_places(&self) -> Vec<usize> {
        self.date_places.clone()
    }
}

/// Maps records of one unit that follow one another.
pub(crate) struct UnitMapper<'m> {
    mappings: &'m mut Mappings,
    output: &'m mut dyn Output,
    facts: &'m Facts,
    said: &'m RowContext,
    /// What came of the records so far.
    pub counts: Counts,
    /// The first reason for which a record was of no known shape.
    pub first_unknown: Option<String>,
    last: Option<(Vec<String>, Option<String>, Shape)>,
    answer: Option<(AnswerHeading, Result<TableShape, String>)>,
}

impl<'m> UnitMapper<'m> {
    /// A mapper of records of a unit of which these facts are known, and that has said this of the records.
    pub(crate) fn new(mappings: &'m mut Mappings, output: &'m mut dyn Output, facts: &'m Facts, said: &'m RowContext) -> Self {
        Self { mappings, output, facts, said, counts: Counts::default(), first_unknown: None, last: None, answer: None }
    }

    fn refuse(&mut self, place: Place, reason: impl Into<Reason>, text: &[u8]) -> Result<(), Stop> {
        self.counts.refused += 1;
        self.output.refused(place, &reason.into(), text)
    }

    /// Refuses a record for what all of its kind lack.
    fn refuse_sampled(&mut self, place: Place, reason: &str, text: &[u8]) -> Result<(), Stop> {
        self.counts.refused += 1;
        self.output.sampled(place, &reason.into(), text)
    }

    fn refuse_unknown(&mut self, place: Place, reason: String, text: &[u8]) -> Result<(), Stop> {
        self.counts.unknown += 1;
        let result = self.refuse_sampled(place, &reason, text);
        self.first_unknown.get_or_insert(reason);
        result
    }

    /// Takes what a record was mapped to, or refuses the record.
    fn mapped(&mut self, mapped: Result<Vec<Row<'_>>, String>, place: Place, text: &[u8]) -> Result<(), Stop> {
        match mapped.and_then(|rows| self.mappings.landable.check(rows, text.len())) {
            Ok(rows) => {
                // Of a record that is left out in part no row says that all came; of a row that was written out of a lake nobody knows
                // whether others of its record are.
                let is_cut = match rows.len() {
                    1 => self.facts.filter.since.is_some() || self.facts.filter.until.is_some(),
                    _ => rows.iter().any(|row| self.is_outside(row)),
                };
                rows.into_iter().try_for_each(|mut row| {
                    if let Some(taken) = self.facts.taken.filter(|_| row.table.versions.contains(&TAKEN_AT)) {
                        row.set(TAKEN_AT, Cell::Time(taken));
                    }
                    if is_cut && row.table.group.is_some() {
                        row.set(IS_WHOLE, Cell::Null);
                    }
                    self.row(&mut row)
                })
            }
            Err(reason) => self.refuse(place, reason, text),
        }
    }

    /// True for a row before or behind the times that are imported.
    fn is_outside(&self, row: &Row<'_>) -> bool {
        let filter = &self.facts.filter;
        if filter.since.is_none() && filter.until.is_none() {
            return false;
        }
        let time = match row.get(row.table.time) {
            Cell::Time(time) => *time,
            _ => i64::MIN,
        };
        filter.since.is_some_and(|since| time < since) || filter.until.is_some_and(|until| time >= until)
    }

    fn row(&mut self, row: &mut Row<'_>) -> Result<(), Stop> {
        let filter = &self.facts.filter;
        let section = Section::of_table(row.table.name);
        if self.is_outside(row) || !(filter.sections.is_empty() || filter.sections.contains(&section)) {
            self.counts.filtered += 1;
            return Ok(());
        }
        if section == Section::Audit && !filter.org_urls.takes(row) {
            self.counts.out_of_scope += 1;
            return Ok(());
        }
        *self.counts.rows.entry(row.table.name).or_default() += 1;
        self.output.row(row)
    }

    /// Maps a record, or what is in the place of one.
    pub(crate) fn item(&mut self, item: Item<'_>, place: Place) -> Result<(), Stop> {
        match item {
            Item::Object { text, page } => self.object(text, page, place, 0),
            Item::AnswerRow { answer, text } => self.answer_row(answer, text, place),
            Item::CsvRow { heading, record } => {
                // The walk has checked the whole record's text.
                let mut values: Vec<&str> = (0..heading.columns.len())
                    .map(|i| record.field(i).and_then(|f| std::str::from_utf8(f).ok()).unwrap_or_default())
                    .collect();
                let in_utc = |(place, east): &(usize, i64)| {
                    let time = convert::datetime_in(values.get(*place)?, self.said.order, *east)?;
                    Some((*place, datetime_text(time)))
                };
                let in_utc: Vec<(usize, String)> = self.said.zones.iter().filter_map(in_utc).collect();
                in_utc.iter().for_each(|(place, time)| values[*place] = time);
                if heading.is_guarded {
                    values.iter_mut().for_each(|value| *value = unguarded(value));
                }
                self.csv_row(heading, &values, &record.raw, place)
            }
            Item::Bad { reason, text } => {
                self.counts.records += 1;
                self.refuse(place, reason, text)
            }
        }
    }

    /// A JSON object: a record, or a page of records.
    fn object(&mut self, text: &str, page: &Page, place: Place, depth: u8) -> Result<(), Stop> {
        // Records of tables have their bags in them, and mostly follow one another.
        let members = match self.last {
            Some((.., Shape::Flat)) => Members::parse_with_inner(text),
            _ => Members::parse(text),
        };
        if !members.as_ref().is_ok_and(Members::is_shallow) && too_deep(text) {
            self.counts.records += 1;
            return self.refuse(place, deep(), text.as_bytes());
        }
        let mut members = match members {
            Ok(members) => members,
            Err(error) => {
                self.counts.records += 1;
                let reason = if error.is_eof() { Reason::EndsInside } else { Reason::NoJson(format!("no valid JSON: {error}")) };
                return self.refuse(place, reason, text.as_bytes());
            }
        };
        let shape = match self.shape(&members, page) {
            Ok(Shape::Container | Shape::Wrapped) if depth >= MAX_PAGES => {
                self.counts.records += 1;
                return self.refuse(place, format!("pages inside pages, more than {MAX_PAGES} deep"), text.as_bytes());
            }
            Ok(Shape::Container) => return self.container(&members, text, place, depth),
            Ok(Shape::Wrapped) => {
                let inner = original(&members).unwrap_or_default();
                return self.object(inner.trim(), page, place, depth + 1);
            }
            Ok(shape) => shape,
            Err(reason) => {
                self.counts.records += 1;
                return self.refuse_unknown(place, reason, text.as_bytes());
            }
        };
        self.counts.records += 1;
        if matches!(shape, Shape::Directory(_)) && self.facts.day.is_none() {
            return self.refuse_sampled(place, UNDATED, text.as_bytes());
        }
        let context = page.context.as_deref();
        let mappings = &mut *self.mappings;
        let mapped = match shape {
            Shape::Flat => mappings.app.flat(&mut members).map(|row| vec![row]),
            Shape::Event => {
                let flat = events_api::flattened(&members);
                let mapped = flat.as_deref().map_err(Clone::clone).and_then(|flat| {
                    let mut members = Members::parse(flat).map_err(|error| format!("no valid JSON: {error}"))?;
                    mappings.app.flat(&mut members).map(|row| vec![row])
                });
                return self.mapped(mapped, place, text.as_bytes());
            }
            Shape::Continuous => mappings.app.continuous(&members),
            Shape::Audit => {
                let around = Around { order: self.said.order, ..Around::default() };
                mappings.audit.record(&members, text, &around).map(|row| vec![row])
            }
            Shape::AuditWrapped => mappings.audit.wrapped(&members, text, self.said.order).map(|row| vec![row]),
            Shape::Call => mappings.calls.record(&members),
            Shape::CallSession => match context.and_then(call_of) {
                Some(call) => mappings.calls.session(&members, call),
                None => Err("the page of sessions does not name its call in @odata.context".into()),
            },
            Shape::Exported(table) => {
                let values = members.0.iter().map(|(name, value)| (name.as_ref(), SourceValue::Json(value.get())));
                mappings.exported.row(table, values, self.said.order).map(|row| vec![row])
            }
            Shape::ChannelMessage => mappings.messages.row(&members).map(|row| vec![row]),
            Shape::Trace => mappings.traces.trace(&members, text, self.said.order),
            Shape::TraceDetail => mappings.traces.detail(&members, text, context, self.said.order),
            Shape::Report(id) => mappings.reports.json(id, &members, text, self.said.order, self.facts.giver()),
            Shape::Directory(kind) => {
                mappings.directory.object(kind, &members, text, page, self.facts.day.unwrap_or_default()).map(|row| vec![row])
            }
            Shape::Wrapped | Shape::Container => Err("pages inside pages".into()),
        };
        self.mapped(mapped, place, text.as_bytes())
    }

    /// What an object is. Records of one kind mostly have the same members: then the answer is remembered, where no value of
    /// theirs decided.
    fn shape(&mut self, members: &Members<'_>, page: &Page) -> Result<Shape, String> {
        if let Some((names, context, shape)) = &self.last
            && *context == page.context
            && names.len() == members.0.len()
            && names.iter().zip(&members.0).all(|(known, (name, _))| known == name)
            && (*shape != Shape::Flat || AppInsights::is_flat(members))
        {
            return Ok(*shape);
        }
        let shape = Shape::of(members, page, &self.facts.name, &self.mappings.reports)?;
        self.last = (shape == Shape::Flat || shape.is_told_by_names())
            .then(|| (members.0.iter().map(|(name, _)| name.to_string()).collect(), page.context.clone(), shape));
        Ok(shape)
    }

    /// The records of a page that is in a line or an element, or in the answer to a batch.
    fn container(&mut self, members: &Members<'_>, text: &str, place: Place, depth: u8) -> Result<(), Stop> {
        let context = ["@odata.context", "odata.metadata"]
            .iter()
            .find_map(|name| members.get_any_case(name))
            .map(|c| unescape(c).into_owned());
        let columns = members.get_any_case("@kqlake.columns").map(str::to_owned);
        let page = Page { context, columns };
        let Some((kind, inner)) = inner_page(members) else {
            return self.refuse(place, "it is a page without records", text.as_bytes());
        };
        match kind {
            Inner::Object => self.object(inner, &page, place, depth + 1),
            Inner::Array => match elements(inner) {
                Ok(items) => items.iter().map(|item| item.get()).filter(|item| *item != "null").try_for_each(|item| {
                    // Some tools write an array of JSON texts.
                    let text = if item.starts_with('"') { unescape(item) } else { item.into() };
                    self.object(text.trim(), &page, place, depth + 1)
                }),
                Err(error) => self.refuse(place, format!("no valid JSON: {error}"), inner.as_bytes()),
            },
            Inner::Tables => self.inner_tables(inner, place),
        }
    }

    /// The tables of a query answer that is in a line or an element.
    fn inner_tables(&mut self, text: &str, place: Place) -> Result<(), Stop> {
        for table in elements(text).unwrap_or_default() {
            match inner_table(table.get()) {
                Ok((answer, rows)) => rows.iter().try_for_each(|row| self.answer_row(&answer, row.get(), place))?,
                Err(reason) => {
                    self.counts.records += 1;
                    self.refuse(place, reason, table.get().as_bytes())?;
                }
            }
        }
        Ok(())
    }

    fn answer_row(&mut self, answer: &AnswerHeading, text: &str, place: Place) -> Result<(), Stop> {
        self.counts.records += 1;
        if too_deep(text) {
            return self.refuse(place, deep(), text.as_bytes());
        }
        if self.answer.as_ref().is_none_or(|(known, _)| known != answer) {
            let table =
                TableShape::of(&answer.columns, &answer.name, &self.facts.name, &self.mappings.reports).and_then(|table| {
                    match zones::of(&answer.columns, table.times(&answer.columns, &self.mappings.reports).into_iter())?.first() {
                        Some((place, _)) => Err(format!("the times of its column '{}' are not in UTC", answer.columns[*place])),
                        None => Ok(table),
                    }
                });
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
                return self.refuse(place, reason, text.as_bytes());
            }
            Err(error) => return self.refuse(place, format!("no valid JSON: {error}"), text.as_bytes()),
        };
        match table {
            TableShape::App(columns) => {
                if let Some(reason) = columns.unknown(|place| values.get(place).map(|value| SourceValue::Json(value.get()))) {
                    return self.refuse_unknown(place, reason, text.as_bytes());
                }
                let row = self.mappings.app.ordered(&columns, &mut values.iter().map(|v| SourceValue::Json(v.get())));
                self.mapped(row.map(|row| vec![row]), place, text.as_bytes())
            }
            // Any other record is put together again and read by its members.
            _ => {
                let mut object = String::from("{");
                for (name, value) in answer.columns.iter().zip(&values) {
                    push_member(&mut object, bare_name(name), value.get());
                }
                object.push('}');
                self.counts.records -= 1;
                self.object(&object, &Page::default(), place, MAX_PAGES)
            }
        }
    }

    fn csv_row(&mut self, heading: &Heading, values: &[&str], raw: &[u8], place: Place) -> Result<(), Stop> {
        self.counts.records += 1;
        if let Some(TableShape::App(columns)) = &self.said.table
            && let Some(reason) = columns.unknown(|place| values.get(place).map(|value| SourceValue::Field(value)))
        {
            return self.refuse_unknown(place, reason, raw);
        }
        let mappings = &mut *self.mappings;
        let mapped: Result<Vec<Row<'_>>, String> = match &self.said.table {
            Some(TableShape::App(columns)) => {
                mappings.app.ordered(columns, &mut values.iter().map(|v| SourceValue::Field(v))).map(|row| vec![row])
            }
            Some(TableShape::Audit { data, id, created }) => {
                let field = |at: &Option<usize>| at.and_then(|i| values.get(i)).filter(|v| !v.is_empty()).map(|v| (*v).into());
                let said = self.said;
                let outer = || csv_object(said, heading, values);
                let around = Around { id: field(id), created: field(created), order: said.order, outer: Some(&outer) };
                mappings.audit.data(values.get(*data).copied().unwrap_or_default(), &around).map(|row| vec![row])
            }
            Some(TableShape::Traces(kind)) => mappings.traces.csv(*kind, &heading.columns, values, self.said.order),
            Some(TableShape::Report(id)) => {
                mappings.reports.csv(*id, &heading.columns, values, self.said.order, self.facts.giver())
            }
            Some(TableShape::Exported(table)) => {
                let names = heading.columns.iter().map(String::as_str);
                let values = names.zip(values.iter().map(|value| SourceValue::Field(value)));
                mappings.exported.row(table, values, self.said.order).map(|row| vec![row])
            }
            Some(TableShape::Objects) => {
                let object = csv_object(self.said, heading, values);
                self.counts.records -= 1;
                return self.object(&object, &Page::default(), place, MAX_PAGES);
            }
            None => Err("the heading was not recognised".into()),
        };
        self.mapped(mapped, place, raw)
    }
}

/// A row as an object. Its dates are written as JSON has them; JSON inside of fields is taken out of its text, as records of
/// the same kind carry it.
fn csv_object(said: &RowContext, heading: &Heading, values: &[&str]) -> String {
    let mut object = String::from("{");
    for (place, (name, value)) in heading.columns.iter().zip(values).enumerate() {
        if value.is_empty() {
            continue;
        }
        let name = bare_name(name);
        let time = said.date_places.contains(&place).then(|| convert::datetime(value, said.order)).flatten();
        if let Some(time) = time {
            push_member(&mut object, name, &string_literal(&datetime_text(time)));
        } else if value.starts_with(['{', '[']) && serde_json::from_str::<&serde_json::value::RawValue>(value).is_ok() {
            push_member(&mut object, name, value);
        } else {
            push_member(&mut object, name, &string_literal(value));
        }
    }
    object.push('}');
    object
}

/// Pages and records of other tools that may appear one inside the other.
const MAX_PAGES: u8 = 5;

/// Why an object of the directory is refused.
const UNDATED: &str = "it is part of a snapshot, and nothing tells of which day: put the day into the file's name, as in \
                       users-2026-01-05.json, or say it with --snapshot-date";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_of_no_known_kind_when_none_of_its_records_is() {
        let counts = |unknown, refused, rows, filtered, out_of_scope| Counts {
            records: 9,
            rows: BTreeMap::from_iter((rows > 0).then_some(("traces", rows))),
            refused,
            unknown,
            filtered,
            out_of_scope,
        };
        assert!(counts(2, 2, 0, 0, 0).is_unknown());
        for other in [(0, 0, 0, 0, 0), (2, 3, 0, 0, 0), (2, 2, 1, 0, 0), (2, 2, 0, 1, 0), (2, 2, 0, 0, 1)] {
            let (unknown, refused, rows, filtered, out_of_scope) = other;
            assert!(!counts(unknown, refused, rows, filtered, out_of_scope).is_unknown(), "{other:?}");
        }
        let mut sum = counts(1, 2, 3, 4, 5);
        sum.add(&counts(10, 20, 30, 40, 50));
        assert_eq!(sum, Counts { records: 18, ..counts(11, 22, 33, 44, 55) });
    }
}
