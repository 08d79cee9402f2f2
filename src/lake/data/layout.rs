//! How a table's rows are in its files: which columns, in which order, and the tags that say what a file holds.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use xxhash_rust::xxh64::xxh64;

use super::promote::{Promoter, Promotion};
use crate::day::day_of;
use crate::error::LakeError;
use crate::log::delta::Log;
use crate::log::entry::FileEntry;
use crate::partition::Partitioning;
use crate::tables::{EVENT_MONTH, TableDef};
use kqlake_value::texts::is_text;

/// Tag: the column that a file's rows are sorted by.
pub(crate) const TAG_SORTED_BY: &str = "kqlake.sortedBy";
/// Tag: the columns that a file's rows are sorted by where clustering columns come before the time, separated by commas.
pub(crate) const TAG_CLUSTERED_BY: &str = "kqlake.clusteredBy";
/// Tag: the number of the promoted set that a file was written with, then after `!` the columns that are not complete.
pub(crate) const TAG_PROMOTED: &str = "kqlake.promoted";
/// Tag: the least and greatest time of a file in microseconds since 1970, as `least/greatest`.
pub(crate) const TAG_TIME: &str = "kqlake.time";
/// Tag: a hash of the columns that a table had when a file was written, their types and their order; then, after a colon,
/// which of them the file has, as hexadecimal digits of four columns each, the first column in the lowest bit.
pub(crate) const TAG_LAYOUT: &str = "kqlake.layout";

/// Where a file column's values come from when a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// A column of the core rows.
    Core(usize),
    /// A promoted column, by its position in [`super::promote::Promoter::names`].
    Promoted(usize),
}

/// The columns of a table's files at one version of its log.
///
/// Core rows are what has to be kept: the definition's columns except promoted ones and the partition column, then the
/// columns that the log has and the definition does not know.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// The table.
    pub def: &'static TableDef,
    /// How its files are divided.
    pub partitioning: Partitioning,
    /// All columns of a file written now.
    pub file: SchemaRef,
    /// The columns of core rows.
    pub core: SchemaRef,
    /// For every column of `file`, where it comes from.
    pub sources: Vec<Source>,
    /// Position of the time column in `file`.
    pub time: usize,
    /// Positions in `file` of the columns that rows are sorted by.
    pub order: Vec<usize>,
    /// Their names, as [`TAG_CLUSTERED_BY`] has them.
    pub order_tag: String,
    /// Hash of `file` for [`TAG_LAYOUT`].
    pub hash: String,
}

impl Layout {
    /// The layout of a table whose log has these columns.
    ///
    /// # Errors
    /// A column at rest has another type than the definition says.
    pub(crate) fn new(def: &'static TableDef, at_rest: &Schema, partitioning: Partitioning) -> Result<Self, LakeError> {
        let mut file: Vec<Arc<Field>> = Vec::new();
        let mut core: Vec<Arc<Field>> = Vec::new();
        let mut sources = Vec::new();
        let mut promoted = 0;
        for column in def.columns.iter().filter(|c| c.name != EVENT_MONTH) {
            let mut field = def.field(column);
            if let Ok(found) = at_rest.field_with_name(column.name) {
                if found.data_type() != field.data_type() {
                    return Err(LakeError::ColumnType {
                        table: def.name,
                        column: column.name.to_owned(),
                        found: found.data_type().to_string(),
                        expected: field.data_type().to_string(),
                    });
                }
                let nullable = field.is_nullable() || found.is_nullable();
                field = field.with_nullable(nullable);
            }
            let field = Arc::new(field);
            if column.promoted.is_some() {
                sources.push(Source::Promoted(promoted));
                promoted += 1;
            } else {
                sources.push(Source::Core(core.len()));
                core.push(field.clone());
            }
            file.push(field);
        }
        for extra in at_rest.fields().iter().filter(|f| def.index_of(f.name()).is_none() && f.name() != partitioning.column()) {
            sources.push(Source::Core(core.len()));
            core.push(extra.clone());
            file.push(extra.clone());
        }
        let mut text = String::new();
        for field in &file {
            text.push_str(&format!("{}:{}:{}\n", field.name(), field.data_type(), field.is_nullable()));
        }
        let core = Schema::new(core);
        let no_time = || LakeError::Shape { table: def.name, reason: format!("no column {}", def.time) };
        let position = |name: &str| file.iter().position(|f| f.name() == name);
        Ok(Layout {
            order: def.order().filter_map(position).collect(),
            order_tag: def.order().collect::<Vec<_>>().join(","),
            time: position(def.time).ok_or_else(no_time)?,
            def,
            partitioning,
            file: Arc::new(Schema::new(file)),
            core: Arc::new(core),
            sources,
            hash: format!("{:016x}", xxh64(text.as_bytes(), 0)),
        })
    }

    /// The layout of a table at a version of its log.
    ///
    /// # Errors
    /// As for [`Layout::new`]; the table is divided in a way that is not ours.
    pub(crate) fn of(def: &'static TableDef, log: &Log) -> Result<Self, LakeError> {
        log.check_readable()?;
        Self::new(def, &log.schema(), log.partitioning().unwrap_or(Partitioning::Month))
    }

    /// The same for files that are divided by month.
    pub(crate) fn by_month(&self) -> Self {
        Layout { partitioning: Partitioning::Month, ..self.clone() }
    }

    /// All columns.
    pub(crate) fn all_columns(&self) -> Vec<bool> {
        vec![true; self.sources.len()]
    }

    /// Core rows with their promoted columns: a batch of all file columns, and whether each promoted column alone can answer for
    /// these rows.
    ///
    /// # Errors
    /// The batch has other columns.
    pub(crate) fn with_promoted(
        &self,
        promoter: &mut Promoter,
        core: &RecordBatch,
    ) -> Result<(RecordBatch, Vec<bool>), LakeError> {
        let bag = |bag: &str| core.column_by_name(bag).and_then(|column| column.as_string_opt::<i32>());
        let promotion = promoter.run(core.num_rows(), bag);
        Ok((self.with_columns(core, &promotion.columns)?, promotion.complete))
    }

    /// A batch of all file columns out of core rows and their promoted columns.
    ///
    /// # Errors
    /// The columns are others.
    pub(crate) fn with_columns(&self, core: &RecordBatch, promoted: &[ArrayRef]) -> Result<RecordBatch, LakeError> {
        let columns = self.sources.iter().map(|source| match *source {
            Source::Core(at) => core.column(at).clone(),
            Source::Promoted(at) => promoted[at].clone(),
        });
        RecordBatch::try_new(self.file.clone(), columns.collect())
            .map_err(|source| LakeError::Arrow { table: self.def.name, source })
    }

    /// The promoted columns of a batch as [`Layout::core_of_landed`] takes it, where whoever made it has filled them: its schema
    /// then has [`TAG_PROMOTED`].
    pub(crate) fn promotion_of_landed(&self, batch: &RecordBatch) -> Option<Promotion> {
        let tag = PromotedTag::parse(Some(batch.schema_ref().metadata().get(TAG_PROMOTED)?));
        let promoted = || self.def.columns.iter().zip(batch.columns()).filter(|(column, _)| column.promoted.is_some());
        (tag.set == self.def.promoted_set()).then(|| Promotion {
            columns: promoted().map(|(_, array)| array.clone()).collect(),
            complete: promoted().map(|(column, _)| tag.complete(self.def, column.name)).collect(),
        })
    }

    /// The schema of a file with some of the columns.
    pub(crate) fn file_schema(&self, columns: &[bool]) -> SchemaRef {
        if columns.iter().all(|c| *c) {
            return self.file.clone();
        }
        let fields: Vec<_> =
            self.file.fields().iter().zip(columns).filter(|(_, there)| **there).map(|(f, _)| f.clone()).collect();
        Arc::new(Schema::new(fields))
    }

    /// The value of [`TAG_LAYOUT`] for a file with some of the columns.
    pub(crate) fn tag(&self, columns: &[bool]) -> String {
        let digit = |four: &[bool]| {
            let bits = four.iter().enumerate().fold(0, |bits, (at, there)| bits | (u32::from(*there) << at));
            char::from_digit(bits, 16).unwrap_or('0')
        };
        format!("{}:{}", self.hash, columns.chunks(4).map(digit).collect::<String>())
    }

    /// The columns that a file has by its tag; `None` when it was written with other columns in mind.
    pub(crate) fn columns_by_tag(&self, tag: Option<&str>) -> Option<Vec<bool>> {
        let digits = tag?.strip_prefix(self.hash.as_str())?.strip_prefix(':')?;
        let mut columns = Vec::with_capacity(self.sources.len() + 4);
        for digit in digits.chars() {
            let bits = digit.to_digit(16)?;
            columns.extend((0..4).map(|at| bits & (1 << at) != 0));
        }
        columns.truncate(self.sources.len());
        (columns.len() == self.sources.len()).then_some(columns)
    }

    /// The columns that a live file has by its tags; `None` when that is unknown.
    pub(crate) fn columns_of(&self, file: &FileEntry) -> Option<Vec<bool>> {
        self.columns_by_tag(file.tags.get(TAG_LAYOUT).and_then(|tag| tag.as_deref()))
    }

    /// The columns that a file needs whose rows come from other files: what one of them has, or all when that is unknown.
    pub(crate) fn columns_of_files<'a>(&self, files: impl IntoIterator<Item = &'a FileEntry>) -> Vec<bool> {
        let mut out = vec![false; self.sources.len()];
        for file in files {
            let tag = |name: &str| file.tags.get(name).and_then(|v| v.as_deref());
            let current = PromotedTag::parse(tag(TAG_PROMOTED)).set == self.def.promoted_set();
            let Some(columns) = self.columns_of(file).filter(|_| current) else { return self.all_columns() };
            for (any, this) in out.iter_mut().zip(columns) {
                *any |= this;
            }
        }
        // Rows that lack it get it.
        if let Some(at) = self.def.content.and_then(|name| self.file.index_of(name).ok()) {
            out[at] = true;
        }
        out
    }

    /// The columns of a definition that its log lacks; they must be added before rows land.
    pub(crate) fn missing(def: &TableDef, at_rest: &Schema) -> Vec<Arc<Field>> {
        let lacks = |name: &str| name != EVENT_MONTH && at_rest.field_with_name(name).is_err();
        def.columns.iter().filter(|c| lacks(c.name)).map(|c| Arc::new(def.field(c))).collect()
    }

    /// Core rows out of a batch in [`TableDef`] column order without the partition column.
    ///
    /// # Errors
    /// The batch has other columns.
    pub(crate) fn core_of_landed(&self, batch: &RecordBatch) -> Result<RecordBatch, LakeError> {
        let def = self.def;
        let expected = def.columns.len() - 1;
        if batch.num_columns() != expected {
            let reason = format!("a batch has {} columns, expected {expected}", batch.num_columns());
            return Err(LakeError::Shape { table: def.name, reason });
        }
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.core.fields().len());
        for (column, array) in def.columns.iter().zip(batch.columns()) {
            if column.promoted.is_none() {
                let wanted = self.core.field(columns.len());
                columns.push(self.fit(array, wanted)?);
            }
        }
        for extra in &self.core.fields()[columns.len()..] {
            columns.push(new_null_array(extra.data_type(), batch.num_rows()));
        }
        self.batch(columns)
    }

    /// Core rows out of a batch as a file gives it: columns by name, what the file lacks is null.
    ///
    /// # Errors
    /// A column cannot be read as its type, or the time is null.
    pub(crate) fn core_of_file(&self, batch: &RecordBatch) -> Result<RecordBatch, LakeError> {
        let columns = self
            .core
            .fields()
            .iter()
            .map(|wanted| match batch.column_by_name(wanted.name()) {
                Some(array) => self.fit(array, wanted),
                None => Ok(new_null_array(wanted.data_type(), batch.num_rows())),
            })
            .collect::<Result<_, _>>()?;
        self.batch(columns)
    }

    fn batch(&self, columns: Vec<ArrayRef>) -> Result<RecordBatch, LakeError> {
        RecordBatch::try_new(self.core.clone(), columns).map_err(|source| LakeError::Arrow { table: self.def.name, source })
    }

    /// An array as a column's type; views and large texts become plain text.
    fn fit(&self, array: &ArrayRef, wanted: &Field) -> Result<ArrayRef, LakeError> {
        if !wanted.is_nullable() && array.null_count() > 0 {
            let column = self.def.columns.iter().find(|c| c.name == wanted.name()).map_or("", |c| c.name);
            return Err(LakeError::Missing { table: self.def.name, column });
        }
        if array.data_type() == wanted.data_type() {
            return Ok(array.clone());
        }
        let fits = matches!(
            (array.data_type(), wanted.data_type()),
            (DataType::Null, _) | (DataType::Timestamp(..), DataType::Timestamp(..)) | (DataType::Int32, DataType::Int64)
        ) || (is_text(array.data_type()) && *wanted.data_type() == DataType::Utf8);
        if !fits {
            let reason = format!("column {} came as {}, expected {}", wanted.name(), array.data_type(), wanted.data_type());
            return Err(LakeError::Shape { table: self.def.name, reason });
        }
        cast(array, wanted.data_type()).map_err(|source| LakeError::Arrow { table: self.def.name, source })
    }
}

/// The least and greatest time of a file in microseconds since 1970, by its tag.
pub(crate) fn times_of(entry: &FileEntry) -> Option<(i64, i64)> {
    let (first, last) = entry.tags.get(TAG_TIME)?.as_deref()?.split_once('/')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// The days that a file's rows can be of, from its times where its tag says them, else from its partition. `None` when the log says
/// neither.
pub(crate) fn days_of(entry: &FileEntry) -> Option<RangeInclusive<i32>> {
    match (times_of(entry), entry.partition) {
        (Some((first, last)), _) => Some(day_of(first)..=day_of(last)),
        (None, Some(partition)) => Some(partition.first..=partition.last()),
        (None, None) => None,
    }
}

/// The value of [`TAG_PROMOTED`].
pub(crate) fn promoted_tag(set: u32, incomplete: &[&str]) -> String {
    if incomplete.is_empty() { set.to_string() } else { format!("{set}!{}", incomplete.join(",")) }
}

/// What [`TAG_PROMOTED`] says of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PromotedTag {
    /// The number of the promoted set; 0 when the file does not say.
    pub set: u32,
    /// Columns that are not complete.
    pub incomplete: Vec<String>,
}

impl PromotedTag {
    /// Reads the tag.
    pub(crate) fn parse(text: Option<&str>) -> Self {
        let Some(text) = text else { return Self::default() };
        let (set, rest) = text.split_once('!').unwrap_or((text, ""));
        PromotedTag {
            set: set.parse().unwrap_or(0),
            incomplete: rest.split(',').filter(|c| !c.is_empty()).map(str::to_owned).collect(),
        }
    }

    /// True when the file's column alone answers for its bag.
    pub(crate) fn complete(&self, def: &TableDef, column: &str) -> bool {
        self.set >= def.promoted_since(column) && !self.incomplete.iter().any(|c| c == column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables;

    #[test]
    fn columns_that_only_the_log_knows_are_kept() {
        let def = tables::find("traces").expect("traces");
        let mut fields: Vec<_> = def.arrow_schema().fields().iter().cloned().collect();
        fields.retain(|f| f.name() != "appName");
        fields.push(Arc::new(Field::new("later", DataType::Int64, true)));
        let at_rest = Schema::new(fields);
        let layout = Layout::new(def, &at_rest, Partitioning::Month).expect("layout");
        assert_eq!(layout.core.fields().last().expect("last").name(), "later");
        assert_eq!(layout.sources.len(), layout.file.fields().len());
        assert!(layout.file.field_with_name(EVENT_MONTH).is_err());
        assert_eq!(Layout::missing(def, &at_rest).iter().map(|f| f.name().as_str()).collect::<Vec<_>>(), ["appName"]);
    }

    #[test]
    fn another_type_at_rest_is_an_error() {
        let def = tables::find("traces").expect("traces");
        let at_rest = Schema::new(vec![Field::new("message", DataType::Int64, true)]);
        assert!(
            matches!(Layout::new(def, &at_rest, Partitioning::Month), Err(LakeError::ColumnType { column, .. }) if column == "message")
        );
    }

    #[test]
    fn layout_tags_read_back() {
        let def = tables::find("traces").expect("traces");
        let layout = Layout::new(def, &def.arrow_schema(), Partitioning::Month).expect("layout");
        let mut columns = layout.all_columns();
        assert_eq!(layout.columns_by_tag(Some(&layout.tag(&columns))), Some(columns.clone()));
        columns[3] = false;
        columns[200] = false;
        assert_eq!(layout.columns_by_tag(Some(&layout.tag(&columns))), Some(columns.clone()));
        assert_eq!(layout.file_schema(&columns).fields().len(), columns.len() - 2);
        for wrong in ["", "0000000000000000:ff", &layout.hash, &format!("{}:f", layout.hash), &format!("{}:x", layout.hash)] {
            assert_eq!(layout.columns_by_tag(Some(wrong)), None, "{wrong}");
        }
    }

    #[test]
    fn promoted_tags_read_back() {
        let def = tables::find("traces").expect("traces");
        let tag = PromotedTag::parse(Some(&promoted_tag(1, &["customDimensions_eventId"])));
        assert!(!tag.complete(def, "customDimensions_eventId"));
        assert!(tag.complete(def, "customDimensions_clientType"));
        assert!(!PromotedTag::parse(None).complete(def, "customDimensions_clientType"));
    }
}
