//! Microsoft 365 usage reports, CSV and JSON, to rows of one table a report.
//!
//! A report does not say its name: it is known by its columns. Some reports have the same columns as others; then the
//! page's type or the file's name decides, and where neither does, the file is refused with the names that it could have.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::report_keys::{content_key, given_key, named_key, other_content};
use crate::convert::DateOrder;
use crate::fields::{FieldMap, plain_name, push_member};
use crate::json_text::string_literal;
use crate::row::{Cell, Row, SourceValue};
use kqlake_lake::identity::RecordHash;
use kqlake_lake::tables::{TableDef, find};
use kqlake_value::Type;
use kqlake_value::json::checked::{Members, elements};

/// Members that hold rows of their own.
const LISTS: [&str; 6] = [
    "userCounts",
    "details",
    "userActivationCounts",
    "copilotActivityUserDetailsByPeriod",
    "adoptionByProduct",
    "adoptionByDate",
];

fn nested_list<'a>(members: &Members<'a>) -> Option<&'a str> {
    members
        .0
        .iter()
        .find(|(name, value)| LISTS.contains(&name.as_ref()) && value.get().starts_with('['))
        .map(|(_, value)| value.get())
}

/// What is known of a report's columns.
struct Report {
    table: &'static TableDef,
    /// Sets of plain column names that the report is known to have: CSV, later CSV, JSON, JSON with nested rows taken out.
    variants: Vec<BTreeSet<String>>,
    /// All plain column names.
    all: BTreeSet<String>,
    fields: Option<FieldMap>,
}

/// Maps usage reports.
pub(crate) struct Reports {
    reports: Vec<Report>,
}

impl Default for Reports {
    fn default() -> Self {
        let reports = include_str!("reports.tsv").lines().filter(|l| !l.starts_with('#')).filter_map(read_report).collect();
        Self { reports }
    }
}

fn read_report(line: &str) -> Option<Report> {
    let mut parts = line.split('\t');
    let table = find(parts.next()?)?;
    let set = |list: &str| -> BTreeSet<String> { list.split('|').filter(|c| !c.is_empty()).map(report_name).collect() };
    let csv = set(parts.next()?);
    let later: BTreeSet<String> = set(parts.next()?).union(&csv).cloned().collect();
    let json = parts.next()?;
    let (mut flat, mut taken_out) = (BTreeSet::new(), BTreeSet::new());
    for property in json.split('|').filter(|p| !p.is_empty()) {
        match property.split_once(':') {
            Some((list, inner)) => {
                flat.insert(report_name(list));
                taken_out.extend(inner.split(',').map(report_name));
            }
            None => {
                flat.insert(report_name(property));
                taken_out.insert(report_name(property));
            }
        }
    }
    let all = csv.iter().chain(&later).chain(&flat).chain(&taken_out).cloned().collect();
    let mut variants = vec![csv, later, flat, taken_out];
    variants.retain(|v| !v.is_empty());
    Some(Report { table, variants, all, fields: None })
}

/// A column's plain name; CSV headings say `(Byte)` where JSON says `InBytes`.
fn report_name(name: &str) -> String {
    plain_name(&name.replace("(Byte)", "In Bytes"))
}

/// Who gave a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Giver<'t> {
    /// A file: it may have a part of the report, and of which tenant is not known.
    File,
    /// A service: it gave all of the report, and may give a later state of it. With the id of the tenant, where that is not the
    /// lake's own.
    Service(Option<&'t str>),
}

impl Giver<'_> {
    /// The key of a row, which is another one for each tenant that is not the lake's own.
    fn key(self, key: RecordHash) -> RecordHash {
        match self {
            Giver::Service(Some(tenant)) => key.then(RecordHash::of(format!("tenant {}", tenant.to_lowercase()).as_bytes())),
            Giver::Service(None) | Giver::File => key,
        }
    }
}

/// A recognised report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReportId(usize);

impl Reports {
    /// True for a row of a report in JSON.
    pub(crate) fn is_row(members: &Members<'_>) -> bool {
        members.has("reportRefreshDate")
    }

    /// True for a column of a report that holds dates.
    pub(crate) fn is_date(&self, id: ReportId, name: &str) -> bool {
        let name = report_name(name);
        self.reports[id.0].table.columns.iter().any(|column| column.ty == Type::DateTime && plain_name(column.name) == name)
    }

    /// True for a report's CSV heading.
    pub(crate) fn is_heading(names: &[String]) -> bool {
        names.iter().any(|n| plain_name(n) == "reportrefreshdate")
    }

    /// The report that has these columns. `hints` are tried, in order, when several have: the page's type, the file's
    /// name.
    ///
    /// # Errors
    /// No report has such columns, or several have and no hint says which.
    pub(crate) fn recognise<'n>(&self, names: impl Iterator<Item = &'n str>, hints: &[&str]) -> Result<ReportId, String> {
        let names: BTreeSet<String> = names.filter(|n| !n.starts_with('@')).map(report_name).collect();
        let mut candidates: Vec<usize> = self.places(|report| report.variants.contains(&names));
        if candidates.is_empty() {
            // A later version may have columns that we do not know yet, or leave some out.
            let distance = |report: &Report| {
                let unknown = names.difference(&report.all).count();
                let missing = report.variants.iter().map(|v| v.difference(&names).count()).min().unwrap_or(usize::MAX);
                (unknown * 3 <= names.len() && missing * 2 <= names.len()).then_some(unknown + missing)
            };
            let nearest = self.reports.iter().filter_map(distance).min();
            candidates = self.places(|report| nearest.is_some() && distance(report) == nearest);
        }
        match candidates.as_slice() {
            [] => {
                let shown: Vec<&str> = names.iter().map(String::as_str).take(8).collect();
                Err(format!("no usage report has the columns {}", shown.join(", ")))
            }
            [one] => Ok(ReportId(*one)),
            several => {
                for hint in hints {
                    let hint = plain_name(hint);
                    let mut named: Vec<usize> =
                        several.iter().copied().filter(|i| hint.contains(&plain_name(self.reports[*i].table.name))).collect();
                    named.sort_by_key(|i| std::cmp::Reverse(self.reports[*i].table.name.len()));
                    if let Some(first) = named.first() {
                        return Ok(ReportId(*first));
                    }
                }
                let shown: Vec<&str> = several.iter().map(|i| self.reports[*i].table.name).collect();
                Err(format!(
                    "its columns fit {} usage reports ({}); name the file after the one it is",
                    shown.len(),
                    shown.join(", ")
                ))
            }
        }
    }

    /// The report that a JSON row belongs to; see [`Reports::recognise`].
    ///
    /// # Errors
    /// As there.
    pub(crate) fn recognise_json(&self, members: &Members<'_>, hints: &[&str]) -> Result<ReportId, String> {
        let own = members.0.iter().map(|(name, _)| name.as_ref());
        // Two reports differ only inside their list.
        let first = nested_list(members).and_then(|list| elements(list).ok()).and_then(|items| items.first().map(|i| i.get()));
        match first.and_then(|text| Members::parse(text).ok()) {
            Some(inner) => {
                let names = own.filter(|name| !LISTS.contains(name)).chain(inner.0.iter().map(|(name, _)| name.as_ref()));
                self.recognise(names, hints)
            }
            None => self.recognise(own, hints),
        }
    }

    fn places(&self, fits: impl Fn(&Report) -> bool) -> Vec<usize> {
        self.reports.iter().enumerate().filter(|(_, r)| fits(r)).map(|(i, _)| i).collect()
    }

    /// The table of a recognised report.
    #[cfg(test)]
    fn table(&self, id: ReportId) -> &'static TableDef {
        self.reports[id.0].table
    }

    /// The rows of a JSON row: several where it carries a list of them.
    pub(crate) fn json(
        &mut self,
        id: ReportId,
        members: &Members<'_>,
        text: &str,
        order: DateOrder,
        giver: Giver<'_>,
    ) -> Result<Vec<Row<'static>>, String> {
        let inner = nested_list(members)
            .map(elements)
            .transpose()
            .map_err(|error| format!("the report row's list cannot be read: {error}"))?;
        let raw = Cell::raw_json(text);
        match inner {
            Some(items) if !items.is_empty() => items
                .into_iter()
                .map(|item| {
                    let inner = Members::parse(item.get())
                        .map_err(|error| format!("a row in the report row's list is no object: {error}"))?;
                    let all =
                        members.0.iter().chain(&inner.0).map(|(name, value)| (name.as_ref(), SourceValue::Json(value.get())));
                    self.row(id, all, raw.clone(), order, giver)
                })
                .collect(),
            _ => {
                let all = members.0.iter().map(|(name, value)| (name.as_ref(), SourceValue::Json(value.get())));
                self.row(id, all, raw, order, giver).map(|row| vec![row])
            }
        }
    }

    /// The row of a CSV row; see [`Reports::json`].
    pub(crate) fn csv(
        &mut self,
        id: ReportId,
        names: &[String],
        values: &[&str],
        order: DateOrder,
        giver: Giver<'_>,
    ) -> Result<Vec<Row<'static>>, String> {
        let mut raw = String::from("{");
        for (name, value) in names.iter().zip(values) {
            push_member(&mut raw, name, &string_literal(value));
        }
        raw.push('}');
        let all = names.iter().zip(values).map(|(name, value)| (name.as_str(), SourceValue::Field(value)));
        self.row(id, all, Cell::Json(Cow::Owned(raw)), order, giver).map(|row| vec![row])
    }

    fn row<'v>(
        &mut self,
        id: ReportId,
        values: impl Iterator<Item = (&'v str, SourceValue<'v>)>,
        raw: Cell<'static>,
        order: DateOrder,
        giver: Giver<'_>,
    ) -> Result<Row<'static>, String> {
        let report = &mut self.reports[id.0];
        let table = report.table;
        let fields = report.fields.get_or_insert_with(|| FieldMap::new(table, &[]));
        let mut row: Row<'static> = Row::with_columns(table, fields.columns);
        let mut others = RecordHash::default();
        for (name, value) in values {
            let column =
                if name.contains("(Byte)") { fields.column(&name.replace("(Byte)", "In Bytes")) } else { fields.column(name) };
            let Some(column) = column else {
                if !LISTS.contains(&name) {
                    others = others.plus(other_content(&report_name(name), value));
                }
                continue;
            };
            let cell = match value {
                // CSV joins products with a plus sign where JSON has a list.
                SourceValue::Field(text) if fields.ty(column) == Type::Dynamic && !text.trim_start().starts_with('[') => {
                    product_list(text)
                }
                _ => value.read(fields.ty(column), order).unwrap_or_default().into_owned(),
            };
            if !cell.is_null() {
                row.cells[column] = cell;
            }
        }
        if row.get("reportRefreshDate").is_null() {
            return Err("the report row has no refresh date that can be read".into());
        }
        let Some(column) = table.index_of("rowKey") else { return Ok(row) };
        let is_given = giver != Giver::File;
        match named_key(&row, is_given).map(|key| giver.key(key)) {
            // Of a whole report, rows about one name are numbered: there may be one that is deleted, and another that has its name
            // now. The first has the key that a row about the name has anywhere.
            Some(key) if is_given => {
                let whole = content_key(&row, others);
                row.number_among(column, key.hex(), key, whole);
            }
            Some(key) => row.cells[column] = Cell::text(key.hex()),
            // A row about someone whose name is withheld.
            None => {
                let content = if is_given { given_key(&row) } else { content_key(&row, others) };
                row.derive_id(column, giver.key(content));
            }
        }
        if let (Some(column), Giver::Service(Some(tenant))) = (table.tenant, giver) {
            row.set(column, Cell::Text(Cow::Owned(tenant.to_owned())));
        }
        row.set("Raw", raw);
        Ok(row)
    }
}

fn product_list(text: &str) -> Cell<'static> {
    let items: Vec<&str> = text.split('+').map(str::trim).filter(|t| !t.is_empty()).collect();
    if items.is_empty() { Cell::Null } else { Cell::Json(Cow::Owned(serde_json::Value::from(items).to_string())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ordinals::Ordinals;
    use kqlake_durable::ScratchFolder;

    #[test]
    fn every_report_is_recognised_by_its_columns_or_name() {
        let reports = Reports::default();
        assert!(reports.reports.len() > 70, "{}", reports.reports.len());
        for line in include_str!("reports.tsv").lines().filter(|l| !l.starts_with('#')) {
            let mut parts = line.split('\t');
            let (name, csv) = (parts.next().unwrap(), parts.next().unwrap());
            let file = format!("downloads/{name}11_20_2026 6_30_00 AM.csv");
            let id = reports.recognise(csv.split('|'), &[&file]).unwrap();
            assert_eq!(reports.table(id).name, name);
        }
    }

    #[test]
    fn twins_need_a_name() {
        let reports = Reports::default();
        let names = ["Report Refresh Date", "Send", "Receive", "Read", "Report Date", "Report Period"];
        let error = reports.recognise(names.iter().copied(), &["x.csv"]).unwrap_err();
        assert!(error.contains("EmailActivityCounts") && error.contains("EmailActivityUserCounts"), "{error}");
        let id = reports.recognise(names.iter().copied(), &["EmailActivityUserCounts.csv"]).unwrap();
        assert_eq!(reports.table(id).name, "EmailActivityUserCounts");
        assert!(
            reports.recognise(["Report Refresh Date", "a", "b", "c"].into_iter(), &[]).unwrap_err().contains("no usage report")
        );
    }

    #[test]
    fn csv_and_json_rows_have_one_key() {
        let mut reports = Reports::default();
        let json = r#"{"reportRefreshDate":"2026-01-05","userPrincipalName":"Amy@contoso.com","lastActivityDate":"2026-01-04","isDeleted":false,"deletedDate":null,"viewedOrEditedFileCount":3,"syncedFileCount":"4","sharedInternallyFileCount":0,"sharedExternallyFileCount":0,"assignedProducts":["E5","POWER BI"],"reportPeriod":"7"}"#;
        let members = Members::parse(json).unwrap();
        let id = reports.recognise_json(&members, &[]).unwrap();
        let from_json = reports.json(id, &members, json, DateOrder::Unknown, Giver::File).unwrap().remove(0);
        let names = [
            "Report Refresh Date",
            "User Principal Name",
            "Is Deleted",
            "Deleted Date",
            "Last Activity Date",
            "Viewed Or Edited File Count",
            "Synced File Count",
            "Shared Internally File Count",
            "Shared Externally File Count",
            "Assigned Products",
            "Report Period",
        ]
        .map(str::to_owned);
        assert_eq!(reports.recognise(names.iter().map(String::as_str), &[]), Ok(id));
        let from_csv = reports
            .csv(
                id,
                &names,
                &["2026-01-05", "amy@contoso.com", "False", "", "2026-01-04", "3", "4", "0", "0", "E5+POWER BI", "7"],
                DateOrder::Unknown,
                Giver::File,
            )
            .unwrap()
            .remove(0);
        for column in ["reportRefreshDate", "rowKey", "isDeleted", "syncedFileCount", "assignedProducts", "reportPeriod"] {
            assert_eq!(from_json.get(column), from_csv.get(column), "{column}");
        }
    }

    #[test]
    fn nested_rows_are_taken_out() {
        let mut reports = Reports::default();
        let json = r#"{"reportRefreshDate":"2026-01-05","userPrincipalName":"amy@contoso.com","displayName":"Amy","userActivationCounts":[{"productType":"A","windows":1},{"productType":"B","windows":2}]}"#;
        let members = Members::parse(json).unwrap();
        let id = reports.recognise_json(&members, &[]).unwrap();
        let rows = reports.json(id, &members, json, DateOrder::Unknown, Giver::File).unwrap();
        assert_eq!((rows.len(), rows[1].get("productType"), rows[1].get("windows")), (2, &Cell::text("B"), &Cell::Int(2)));
        assert_ne!(rows[0].get("rowKey"), rows[1].get("rowKey"));
    }

    fn keys(reports: &mut Reports, rows: &[&str]) -> Vec<String> {
        let mut ordinals = Ordinals::new(ScratchFolder::default());
        let mut of = |reports: &mut Reports, text: &str| -> String {
            let members = Members::parse(text).unwrap();
            let id = reports.recognise_json(&members, &["SharePointSiteUsageDetail"]).unwrap();
            let mut row = reports.json(id, &members, text, DateOrder::Unknown, Giver::File).unwrap().remove(0);
            ordinals.number(&mut row).unwrap();
            row.get("rowKey").as_text().unwrap().to_owned()
        };
        rows.iter().map(|text| of(reports, text)).collect()
    }

    #[test]
    fn a_later_state_of_a_given_report_takes_the_places_of_an_earlier_one() {
        let row = |name: &str, posted: u32| {
            format!(
                r#"{{"reportRefreshDate":"2026-01-05","groupDisplayName":"{name}","isDeleted":false,"ownerPrincipalName":"amy@x","lastActivityDate":"2026-01-04","groupType":"Public","office365Connected":true,"memberCount":3,"postedCount":{posted},"readCount":1,"likedCount":1,"networkDisplayName":null,"reportPeriod":"1"}}"#
            )
        };
        let keys = |rows: &[(&str, u32)], is_given: bool| -> BTreeSet<String> {
            given_keys(&rows.iter().map(|(name, posted)| row(name, *posted)).collect::<Vec<_>>(), is_given).into_iter().collect()
        };
        // Two groups may have one name, and come in any order.
        let (first, later) =
            ([("All", 1), ("Project", 2), ("Project", 3)], [("Project", 9), ("All", 4), ("Project", 5), ("New", 1)]);
        let (early, late) = (keys(&first, true), keys(&later, true));
        assert_eq!((early.len(), late.len()), (3, 4));
        assert!(early.is_subset(&late));
        // Of files it is not known which is the later one: what differs stays.
        assert!(keys(&first, false).is_disjoint(&keys(&later, false)));
    }

    #[test]
    fn rows_of_another_tenant_have_keys_of_its_own() {
        let user = |name: &str| {
            format!(
                r#"{{"reportRefreshDate":"2026-01-05","userPrincipalName":"{name}","displayName":"{name}","isDeleted":false,"deletedDate":null,"lastActivityDate":"2026-01-04","sendCount":1,"receiveCount":1,"readCount":0,"meetingCreatedCount":0,"meetingInteractedCount":0,"assignedProducts":[],"reportPeriod":"7"}}"#
            )
        };
        let count = r#"{"reportRefreshDate":"2026-01-05","exchange":1,"oneDrive":2,"sharePoint":3,"skypeForBusiness":4,"yammer":5,"teams":6,"office365":7,"reportDate":"2026-01-04","reportPeriod":"7"}"#;
        let rows = [user("amy@x"), user("--"), user("--"), count.to_owned()];
        let of = |giver| keys_of(&rows, giver).into_iter().collect::<BTreeSet<String>>();
        let (own, one, other) = (of(Giver::Service(None)), of(Giver::Service(Some("t1"))), of(Giver::Service(Some("T2"))));
        assert!(own.len() == 4 && own.is_disjoint(&one) && own.is_disjoint(&other) && one.is_disjoint(&other));
        assert_eq!(other, of(Giver::Service(Some("t2"))));
        let mut reports = Reports::default();
        let members = Members::parse(count).unwrap();
        let id = reports.recognise_json(&members, &[]).unwrap();
        for (giver, tenant) in [(Giver::File, None), (Giver::Service(None), None), (Giver::Service(Some("t1")), Some("t1"))] {
            let row = reports.json(id, &members, count, DateOrder::Unknown, giver).unwrap().remove(0);
            assert_eq!(row.get("_tenantId").as_text(), tenant);
        }
    }

    #[test]
    fn rows_about_someone_whose_name_is_withheld_are_told_apart_by_content_and_ordinal() {
        let row = |name: &str, send: u32| {
            format!(
                r#"{{"reportRefreshDate":"2026-01-05","userPrincipalName":"{name}","displayName":"{name}","isDeleted":false,"deletedDate":null,"lastActivityDate":"2026-01-04","sendCount":{send},"receiveCount":1,"readCount":0,"meetingCreatedCount":0,"meetingInteractedCount":0,"assignedProducts":[],"reportPeriod":"7"}}"#
            )
        };
        for name in ["(Unknown)", "--", "", " ", "00000000-0000-0000-0000-000000000000"] {
            let rows = [row(name, 3), row(name, 4), row(name, 4)];
            let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
            let mut reports = Reports::default();
            let first = keys(&mut reports, &rows);
            assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 3, "{name}");
            assert_eq!(keys(&mut reports, &rows), first, "{name}");
        }
        let (amy, other) = (row("amy@x", 3), row("AMY@x", 9));
        let named = keys(&mut Reports::default(), &[&amy, &other]);
        assert_eq!(named[0], named[1]);
        let deleted = amy.replace(r#""isDeleted":false"#, r#""isDeleted":true"#);
        assert_ne!(keys(&mut Reports::default(), &[&deleted]), named[..1]);
    }

    #[test]
    fn an_entity_of_a_given_report_stays_the_same_when_it_is_deleted() {
        let row = |deleted: &str, send: u32| {
            format!(
                r#"{{"reportRefreshDate":"2026-01-05","userPrincipalName":"amy@x","displayName":"Amy",{deleted},"lastActivityDate":"2026-01-04","sendCount":{send},"receiveCount":1,"readCount":0,"meetingCreatedCount":0,"meetingInteractedCount":0,"assignedProducts":[],"reportPeriod":"7"}}"#
            )
        };
        let (live, dying) = (row(r#""isDeleted":false,"deletedDate":null"#, 1), row(r#""isDeleted":true,"deletedDate":null"#, 1));
        let dead = row(r#""isDeleted":true,"deletedDate":"2026-01-12""#, 2);
        let keys =
            |rows: &[&str], is_given: bool| given_keys(&rows.iter().map(|row| (*row).to_owned()).collect::<Vec<_>>(), is_given);
        let first = keys(&[&live], true);
        assert_eq!((&keys(&[&dying], true), &keys(&[&dead], true), &keys(&[&live], false)), (&first, &first, &first));
        // Someone else has the name: two records, in any order, and each once however often it is there.
        let both = keys(&[&dead, &live], true);
        assert!(both.len() == 2 && both[0] == first[0] && both[1] != both[0]);
        assert_eq!(keys(&[&live, &dead, &dead, &live, &dead], true), [0, 1, 1, 0, 1].map(|at| both[at].clone()));
    }

    /// The keys of a unit's rows of a report that their columns tell.
    fn given_keys(rows: &[String], is_given: bool) -> Vec<String> {
        keys_of(rows, if is_given { Giver::Service(None) } else { Giver::File })
    }

    fn keys_of(rows: &[String], giver: Giver<'_>) -> Vec<String> {
        let (mut ordinals, mut reports) = (Ordinals::new(ScratchFolder::default()), Reports::default());
        rows.iter()
            .map(|text| {
                let members = Members::parse(text).unwrap();
                let id = reports.recognise_json(&members, &[]).unwrap();
                let mut row = reports.json(id, &members, text, DateOrder::Unknown, giver).unwrap().remove(0);
                ordinals.number(&mut row).unwrap();
                row.get("rowKey").as_text().unwrap().to_owned()
            })
            .collect()
    }
}
