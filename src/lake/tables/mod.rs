//! The lake's table definitions, as data: what columns a table has, of which KQL type, which key makes a row unique.
//!
//! The definitions live in `tables/*.tsv`: a line `@table time key same-key about` opens a table, each following line is
//! a column, its KQL type, and `hidden` where KQL's `*` does not show it. `promoted.tsv` names the dimensions that have a
//! typed column of their own, `clustering.tsv` the columns that rows are sorted by.

mod definitions;

use std::sync::{Arc, OnceLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use kqlake_value::Type;
use kqlake_value::columns::stored_field;

pub use self::definitions::{all, find, names};

/// The partition column: the first day of the month (UTC) of the row's own time.
pub(crate) const EVENT_MONTH: &str = "event_month";
/// The partition column of tables of the first form: the UTC day of the row's own time.
pub(crate) const EVENT_DATE: &str = "event_date";

/// The column that names the run that landed a row.
pub const IMPORT_ID: &str = "_importId";

/// The column of content hashes of the first form, whose rows have no other.
pub(crate) const CONTENT_OF_V1: &str = "_contentId";

/// The column that says when a service gave a row, in tables of states that change: the one that was given last stays.
/// Null in rows of files, which do not say it.
pub const TAKEN_AT: &str = "_takenAt";

/// The column that is true in rows of a record that said all rows of its [`TableDef::group`]: with its version known, rows of
/// lower versions are no part of the group any more. Null where a record said some of them, and in rows of earlier landings.
pub const IS_WHOLE: &str = "_isWhole";

/// Columns that say how a row came into the lake, and nothing of its record.
pub const BOOKKEEPING: [&str; 6] = [IMPORT_ID, EVENT_MONTH, EVENT_DATE, "_contentHash", CONTENT_OF_V1, TAKEN_AT];

/// Columns, beside time and key, whose least and greatest value per file the log keeps: short values that queries filter on.
const STATISTICS: &[&str] = &[
    "name",
    "severityLevel",
    "operation_Name",
    "cloud_RoleName",
    "resultCode",
    "success",
    "customDimensions_eventId",
    "customDimensions_eventID",
    "customDimensions_extensionName",
    "customDimensions_extensionId",
    "customDimensions_clientType",
    "customDimensions_environmentName",
    "customDimensions_environmentType",
    "customDimensions_companyName",
    "customDimensions_aadTenantId",
    "customDimensions_alObjectName",
    "customDimensions_alObjectType",
    "RecordType",
    "Operation",
    "Workload",
    "UserId",
    "ResultStatus",
    "senderAddress",
    "recipientAddress",
    "status",
    "userPrincipalName",
    "section",
    "unit",
    "state",
    "type",
    "version",
    "reportPeriod",
];

/// One column of a table definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnDef {
    /// Name as KQL sees it, case-sensitive.
    pub name: &'static str,
    /// KQL type.
    pub ty: Type,
    /// True for columns that KQL's `*` and schema do not show (promoted dimensions, the partition column); SQL sees all.
    pub hidden: bool,
    /// True for columns that are no part of a row's content: not every shape of a record carries them alike.
    pub(crate) beside: bool,
    /// Where a promoted column's value comes from: a dynamic column and a key at its top level.
    pub promoted: Option<Promoted>,
}

impl ColumnDef {
    /// True for columns that a row's content is made of, in tables whose rows have one.
    pub(crate) fn is_content(&self) -> bool {
        !self.beside && self.promoted.is_none() && self.name != IMPORT_ID && self.name != EVENT_MONTH
    }
}

/// The place in a dynamic column that a promoted column mirrors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Promoted {
    /// The dynamic column, such as `customDimensions`.
    pub source: &'static str,
    /// The key at the top level of the bag, such as `eventId`.
    pub key: &'static str,
}

/// How far a key counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySpan {
    /// Within the UTC day of the row's time: the same key on another day is another record.
    Day,
    /// In all of the table: versions of a record may have other times.
    Table,
}

/// A table of the lake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDef {
    /// Name, case-sensitive; also the folder's name in the lake.
    pub name: &'static str,
    /// What a row is, in one sentence.
    pub about: &'static str,
    /// Columns in order. The last two are always `_importId` (string) and the hidden partition column `event_month`.
    pub columns: Vec<ColumnDef>,
    /// The columns that the rows of a file are sorted by before their time.
    pub(crate) clustering: Vec<&'static str>,
    /// The datetime column that `event_month` comes from. Never null at rest.
    pub time: &'static str,
    /// Columns that together, within their span, say which record a row is; never null at rest.
    pub key: Vec<&'static str>,
    /// How far the key counts.
    pub span: KeySpan,
    /// The columns whose greater value marks the newer version of a record; a later one decides where those before are equal. At
    /// most two.
    pub versions: Vec<&'static str>,
    /// The column that keeps the hash of a row's content, in tables whose records may come without an id.
    pub content: Option<&'static str>,
    /// The column for the id of the tenant whose row it is, where that is not the lake's own: in tables whose rows do not say whose they
    /// are, and have keys that two tenants may have.
    pub tenant: Option<&'static str>,
    /// The key column whose value rows share that a source rewrites together, such as the sessions of a call: of a group whose
    /// newest version came whole, only rows of that version are there.
    pub group: Option<&'static str>,
    /// Promoted columns that are younger than the first set, with the number of theirs.
    later_promoted: Vec<(&'static str, u32)>,
    /// The table's Arrow schema, once it was asked for.
    arrow: OnceLock<SchemaRef>,
}

impl TableDef {
    /// True where a row that is the same as a landed one but for a later [`TAKEN_AT`] leaves it there. Messages, days of reports and
    /// snapshots are asked for again and again, and most of their rows stand still: where nothing changed nothing is written.
    pub(crate) fn keeps_unchanged(&self) -> bool {
        self.versions.first() == Some(&TAKEN_AT)
    }

    /// Position of a column by its exact name.
    pub fn index_of(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == column)
    }

    /// The columns that say what a row is: those that are shown, and hidden ones that follow from no others. What has them all comes
    /// back as the same row.
    pub fn record_columns(&self) -> impl Iterator<Item = &ColumnDef> {
        let derived = |column: &ColumnDef| {
            column.promoted.is_some() || Some(column.name) == self.content || [EVENT_MONTH, CONTENT_OF_V1].contains(&column.name)
        };
        self.columns.iter().filter(move |column| !column.hidden || !derived(column))
    }

    /// The table's Arrow schema in the order of [`TableDef::columns`]; every field says its KQL type.
    /// Only the time column and the partition column are never null.
    pub(crate) fn arrow_schema(&self) -> SchemaRef {
        let schema = || Arc::new(Schema::new(self.columns.iter().map(|c| self.field(c)).collect::<Vec<_>>()));
        self.arrow.get_or_init(schema).clone()
    }

    /// One column's Arrow field. The partition column is a `Date32`, whatever its KQL type says.
    pub(crate) fn field(&self, column: &ColumnDef) -> Field {
        let field = stored_field(column.name, column.ty);
        let nullable = column.name != self.time && column.name != EVENT_MONTH;
        let field = if column.name == EVENT_MONTH { field.with_data_type(DataType::Date32) } else { field };
        field.with_nullable(nullable)
    }

    /// The columns that the rows of a file are sorted by, in order: the clustering columns, then the time.
    pub(crate) fn order(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.clustering.iter().copied().chain([self.time])
    }

    /// Names of the columns whose least and greatest value the log keeps for every file.
    pub(crate) fn statistics_columns(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.columns.iter().map(|c| c.name).filter(|name| {
            *name == self.time || self.key.contains(name) || self.clustering.contains(name) || STATISTICS.contains(name)
        })
    }

    /// The columns that rows are searched for by when others arrive.
    pub(crate) fn sought_columns(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.key.iter().copied().chain(self.content)
    }

    /// The number of the newest set of promoted columns; files state the number that they were written with.
    pub(crate) fn promoted_set(&self) -> u32 {
        self.columns.iter().filter(|c| c.promoted.is_some()).map(|c| self.promoted_since(c.name)).max().unwrap_or(0)
    }

    /// The number of the promoted set since which a column is written.
    pub(crate) fn promoted_since(&self, column: &str) -> u32 {
        self.later_promoted.iter().find(|(name, _)| *name == column).map_or(1, |(_, set)| *set)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn definitions_are_sound() {
        assert!(all().count() > 90, "{}", all().count());
        assert!(names().eq(all().map(|table| table.name)));
        let mut names = HashSet::new();
        for table in all() {
            assert!(names.insert(table.name.to_lowercase()), "{} twice", table.name);
            let mut columns = HashSet::new();
            for column in &table.columns {
                // Delta distinguishes column names without regard to case, and forbids these signs without column mapping.
                assert!(columns.insert(column.name.to_lowercase()), "{}.{} twice", table.name, column.name);
                assert!(!column.name.contains([' ', ',', ';', '{', '}', '(', ')', '=', '\n', '\t']), "{}", column.name);
                if let Some(promoted) = column.promoted {
                    let source = &table.columns[table.index_of(promoted.source).expect("source column")];
                    assert_eq!(source.ty, Type::Dynamic);
                    assert!(column.hidden);
                }
            }
            let n = table.columns.len();
            assert_eq!(table.columns[n - 2].name, IMPORT_ID);
            assert_eq!(table.columns[n - 1].name, EVENT_MONTH);
            assert_eq!(table.columns[table.index_of(table.time).expect("time column")].ty, Type::DateTime);
            assert!(!table.key.is_empty());
            for key in &table.key {
                let ty = table.columns[table.index_of(key).expect("key column")].ty;
                assert!(matches!(ty, Type::String | Type::DateTime | Type::Long | Type::Int), "{}.{key}", table.name);
            }
            for column in &table.clustering {
                let ty = table.columns[table.index_of(column).expect("clustering column")].ty;
                assert!(matches!(ty, Type::String | Type::Long | Type::Int), "{}.{column}", table.name);
            }
            assert!(table.versions.len() <= 2, "{}", table.name);
            for column in &table.versions {
                let ty = table.columns[table.index_of(column).expect("version column")].ty;
                assert!(matches!(ty, Type::DateTime | Type::Long), "{}.{column}", table.name);
            }
            if let Some(column) = table.group {
                // It is looked for by the filter of a key column; its versions are numbers, and rows of one content are another matter.
                assert!(table.key.contains(&column) && table.span == KeySpan::Table && table.content.is_none(), "{}", table.name);
                let [version] = table.versions[..] else { panic!("{}: versions of a group", table.name) };
                assert_eq!(table.columns[table.index_of(version).expect("version column")].ty, Type::Long, "{}", table.name);
                assert!(table.index_of(IS_WHOLE).is_some(), "{}", table.name);
            }
            if let Some(column) = table.content {
                // A derived id is recognised by its text, and contents are matched within a day.
                assert_eq!((table.key.len(), table.span), (1, KeySpan::Day), "{}", table.name);
                for (column, ty) in [(table.key[0], Type::String), (column, Type::Long), (CONTENT_OF_V1, Type::Long)] {
                    let column = &table.columns[table.index_of(column).expect("a column of the identity")];
                    assert_eq!((column.ty, column.beside), (ty, true), "{}.{}", table.name, column.name);
                }
            }
        }
    }

    #[test]
    fn the_tables_that_queries_know_are_there() {
        for name in [
            "traces",
            "customEvents",
            "AuditRecords",
            "CallRecords",
            "MessageTrace",
            "TeamsUserActivityUserDetail",
            "ImportLedger",
        ] {
            assert!(find(name).is_some(), "{name}");
        }
        let traces = find("traces").expect("traces");
        let event_id = &traces.columns[traces.index_of("customDimensions_eventId").expect("eventId")];
        assert_eq!(event_id.promoted, Some(Promoted { source: "customDimensions", key: "eventId" }));
        let time = &traces.columns[traces.index_of("customDimensions_serverExecutionTime").expect("duration")];
        assert_eq!(time.ty, Type::TimeSpan);
        let schema = traces.arrow_schema();
        assert_eq!(schema.field(0).metadata()[kqlake_value::columns::TYPE_KEY], "datetime");
        assert_eq!(schema.fields().last().expect("last").data_type(), &DataType::Date32);
    }
}
