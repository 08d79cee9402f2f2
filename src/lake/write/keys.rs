//! What identifies rows: their keys as 128-bit hashes, and which of two rows of one identity stays.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Decimal128Type, FieldRef, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use xxhash_rust::xxh3::xxh3_128;
use xxhash_rust::xxh64::xxh64;

use super::fullness::fullness;
use crate::day::day_of;
use crate::error::LakeError;
use crate::identity::{ContentValue, RowContent, content_id, ordinal_of};
use crate::tables::{CONTENT_OF_V1, IMPORT_ID, IS_WHOLE, KeySpan, TAKEN_AT, TableDef};
use kqlake_value::Type;
use kqlake_value::hashed::BuildKeyHasher;
use kqlake_value::texts::as_utf8;

/// A set of key hashes.
pub(crate) type KeySet = HashSet<u128, BuildKeyHasher>;
/// Values by key hash.
pub(crate) type KeyMap<V> = HashMap<u128, V, BuildKeyHasher>;
/// Values by content.
pub(crate) type ContentMap<V> = HashMap<i64, V, BuildKeyHasher>;

/// What identifies one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowKey {
    /// The hash of its key columns, and of its day where keys count within a day.
    pub key: u128,
    /// The day of its time.
    pub day: i32,
    /// Its content, in tables whose rows keep one.
    pub content: i64,
    /// The ordinal of a derived id; `None` for an id of the source's own, and in tables without contents.
    pub ordinal: Option<u32>,
}

/// The key of a record without an id of its own.
pub(crate) fn derived_key(content: i64, ordinal: u32, day: i32) -> u128 {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(b"derived\0");
    bytes[8..16].copy_from_slice(&content.to_le_bytes());
    bytes[16..20].copy_from_slice(&ordinal.to_le_bytes());
    bytes[20..].copy_from_slice(&day.to_le_bytes());
    xxh3_128(&bytes)
}

/// Reads keys out of batches of a table.
#[derive(Debug)]
pub(crate) struct Keyer {
    def: &'static TableDef,
    content: Option<RowContent>,
}

impl Keyer {
    pub(crate) fn new(def: &'static TableDef) -> Self {
        Keyer { def, content: RowContent::of(def) }
    }

    /// True when the table's rows keep a content.
    pub(crate) fn has_contents(&self) -> bool {
        self.content.is_some()
    }

    /// The columns that keys are read from where every row has its content's hash.
    pub(crate) fn columns(&self) -> Vec<&'static str> {
        let mut names = self.def.key.clone();
        names.push(self.def.time);
        names.extend(self.def.content);
        names.extend(self.content.is_some().then_some(CONTENT_OF_V1));
        if self.def.group.is_some() {
            names.extend(self.def.versions.iter().copied());
            names.push(IS_WHOLE);
        }
        names
    }

    /// Keys of a batch's rows; columns are found by name. Rows without their content's hash need all columns of the table.
    ///
    /// # Errors
    /// With `strict`, a key column has no value or is missing; a column cannot be read as its type.
    pub(crate) fn keys(&self, batch: &RecordBatch, strict: bool) -> Result<Vec<RowKey>, LakeError> {
        let def = self.def;
        let mut columns: Vec<Option<ArrayRef>> = Vec::with_capacity(def.key.len());
        for &name in &def.key {
            let column = batch.column_by_name(name);
            if strict && column.is_none_or(|c| c.null_count() > 0) {
                return Err(LakeError::Missing { table: def.name, column: name });
            }
            columns.push(column.map(|column| plain(def, column)).transpose()?);
        }
        let times = batch.column_by_name(def.time).and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
        let Some(times) = times else { return Err(LakeError::Missing { table: def.name, column: def.time }) };
        let contents = self.contents(batch)?;
        let ids = columns.first().and_then(Option::as_ref).and_then(|c| c.as_string_opt::<i32>());
        let mut scratch: Vec<u8> = Vec::new();
        let mut keys = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let day = day_of(times.value(row));
            let (content, ordinal) = match (&contents, ids) {
                (Some(contents), Some(ids)) if ids.is_valid(row) => {
                    let (content, said) = contents[row];
                    (content, ordinal_of(ids.value(row), said))
                }
                (Some(contents), _) => (contents[row].0, None),
                (None, _) => (0, None),
            };
            let key = match ordinal {
                Some(ordinal) => derived_key(content, ordinal, day),
                None => {
                    scratch.clear();
                    columns.iter().for_each(|column| push_key(&mut scratch, column.as_ref(), row));
                    if def.span == KeySpan::Day {
                        scratch.extend_from_slice(&day.to_le_bytes());
                    }
                    xxh3_128(&scratch)
                }
            };
            keys.push(RowKey { key, day, content, ordinal });
        }
        Ok(keys)
    }

    /// The content of each row, and the one that its id was derived from, which is another in rows of earlier versions. `None` in
    /// tables without contents.
    fn contents(&self, batch: &RecordBatch) -> Result<Option<Vec<(i64, i64)>>, LakeError> {
        let (Some(content), Some(name)) = (&self.content, self.def.content) else { return Ok(None) };
        let long = |name: &str| batch.column_by_name(name).and_then(|c| c.as_primitive_opt::<Int64Type>());
        let (kept, old) = (long(name), long(CONTENT_OF_V1));
        let mut reader: Option<RowReader> = None;
        let mut out = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let said = old.filter(|old| old.is_valid(row)).map(|old| old.value(row));
            if let Some(kept) = kept.filter(|kept| kept.is_valid(row)).map(|kept| kept.value(row)) {
                out.push((kept, said.unwrap_or(kept)));
                continue;
            }
            let reader = match &mut reader {
                Some(reader) => reader,
                none => none.insert(RowReader::new(self.def, batch)?),
            };
            let computed = content_id(content.hash(|column| reader.value(column, row), &mut false));
            out.push((computed, said.unwrap_or(computed)));
        }
        Ok(Some(out))
    }

    /// Core rows of which each has its content's hash, in tables whose rows keep one.
    ///
    /// # Errors
    /// A column cannot be read as its type.
    pub(crate) fn with_contents(&self, core: RecordBatch) -> Result<RecordBatch, LakeError> {
        let schema = core.schema();
        let at = self.def.content.and_then(|name| schema.index_of(name).ok());
        let Some(at) = at.filter(|at| core.column(*at).null_count() > 0) else { return Ok(core) };
        let Some(contents) = self.contents(&core)? else { return Ok(core) };
        let mut columns = core.columns().to_vec();
        columns[at] = Arc::new(contents.into_iter().map(|(content, _)| Some(content)).collect::<Int64Array>());
        RecordBatch::try_new(schema, columns).map_err(|source| LakeError::Arrow { table: self.def.name, source })
    }
}

/// A column of plain text, where it is one of another form of texts.
fn plain(def: &TableDef, column: &ArrayRef) -> Result<ArrayRef, LakeError> {
    as_utf8(column).map_err(|source| LakeError::Arrow { table: def.name, source })
}

/// The hash of each row's value in one column of keys.
///
/// # Errors
/// The column cannot be read as its type.
pub(crate) fn key_of(def: &TableDef, batch: &RecordBatch, column: &str) -> Result<Vec<u128>, LakeError> {
    let column = batch.column_by_name(column).map(|column| plain(def, column)).transpose()?;
    let mut scratch: Vec<u8> = Vec::new();
    let hash = |row| {
        scratch.clear();
        push_key(&mut scratch, column.as_ref(), row);
        xxh3_128(&scratch)
    };
    Ok((0..batch.num_rows()).map(hash).collect())
}

/// The bytes of one key column's value, distinguished from every other value and from its neighbours.
fn push_key(out: &mut Vec<u8>, column: Option<&ArrayRef>, row: usize) {
    let Some(column) = column.filter(|c| c.is_valid(row)) else {
        out.push(0);
        return;
    };
    let number = match column.data_type() {
        DataType::Utf8 => {
            let text = column.as_string::<i32>().value(row).as_bytes();
            out.push(1);
            out.extend_from_slice(&(text.len() as u64).to_le_bytes());
            out.extend_from_slice(text);
            return;
        }
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row),
        DataType::Int32 => i64::from(column.as_primitive::<Int32Type>().value(row)),
        DataType::Timestamp(..) => {
            column.as_primitive_opt::<TimestampMicrosecondType>().map_or(i64::MIN, |times| times.value(row))
        }
        _ => i64::MIN,
    };
    out.push(2);
    out.extend_from_slice(&number.to_le_bytes());
}

/// Values of a batch's rows by their column's position in the definition.
struct RowReader {
    columns: Vec<Option<(Type, ArrayRef)>>,
}

impl RowReader {
    fn new(def: &TableDef, batch: &RecordBatch) -> Result<Self, LakeError> {
        let column = |column: &crate::tables::ColumnDef| -> Result<Option<(Type, ArrayRef)>, LakeError> {
            let found = batch.column_by_name(column.name).filter(|found| found.null_count() < found.len());
            Ok(found.map(|found| plain(def, found)).transpose()?.map(|found| (column.ty, found)))
        };
        Ok(RowReader { columns: def.columns.iter().map(column).collect::<Result<_, _>>()? })
    }

    fn value(&self, column: usize, row: usize) -> ContentValue<'_> {
        match &self.columns[column] {
            Some((ty, array)) => value_of(*ty, array, row),
            None => ContentValue::Null,
        }
    }
}

fn value_of(ty: Type, array: &ArrayRef, row: usize) -> ContentValue<'_> {
    if array.is_null(row) {
        return ContentValue::Null;
    }
    match array.data_type() {
        DataType::Utf8 => {
            let text = array.as_string::<i32>().value(row);
            if ty == Type::Dynamic { ContentValue::Json(text) } else { ContentValue::Text(text) }
        }
        DataType::Boolean => ContentValue::Bool(array.as_boolean().value(row)),
        DataType::Int32 => ContentValue::Int(i64::from(array.as_primitive::<Int32Type>().value(row))),
        DataType::Int64 => ContentValue::Int(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => ContentValue::Real(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(..) => ContentValue::Decimal(array.as_primitive::<Decimal128Type>().value(row)),
        DataType::Timestamp(..) => array
            .as_primitive_opt::<TimestampMicrosecondType>()
            .map_or(ContentValue::Null, |times| ContentValue::Time(times.value(row))),
        _ => ContentValue::Null,
    }
}

/// What decides which of two rows of one identity stays: the greater one. It is a function of the row alone, so the order in
/// which rows arrive decides nothing; rows of one rank are the same but for the run that landed them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// The values of the version columns; no value is least.
    versions: [i64; 2],
    /// How many columns have a value; a time with parts of a millisecond counts twice.
    filled: u32,
    /// How much the row's JSON values hold.
    held: u32,
    hash: u128,
}

impl Rank {
    /// True when a row takes the place of a landed one of its identity.
    pub(crate) fn replaces(&self, landed: &Self, def: &TableDef) -> bool {
        // A landed row that does not say when it was taken is of a file, or of an earlier program: it gets a time.
        let same = |a: &Self, b: &Self| (a.filled, a.held, a.hash) == (b.filled, b.held, b.hash);
        let stands_still = def.keeps_unchanged() && landed.versions[0] != i64::MIN && same(self, landed);
        self > landed && !stands_still
    }
}

/// A column with values.
struct RankedColumn {
    /// The hash of its name.
    name: u64,
    is_json: bool,
    values: ArrayRef,
}

/// Ranks rows of one core batch.
pub(crate) struct Ranker {
    versions: [Option<ArrayRef>; 2],
    columns: Vec<RankedColumn>,
}

impl Ranker {
    pub(crate) fn new(def: &TableDef, core: &RecordBatch) -> Self {
        let schema = core.schema();
        // Keys are the same, but for ids that earlier versions derived.
        let counts = |name: &str| {
            ![IMPORT_ID, CONTENT_OF_V1, TAKEN_AT].contains(&name) && Some(name) != def.content && !def.key.contains(&name)
        };
        let columns = schema.fields().iter().zip(core.columns());
        let columns = columns.filter(|(field, column)| counts(field.name()) && column.null_count() < column.len());
        let ranked = |(field, values): (&FieldRef, &ArrayRef)| RankedColumn {
            name: xxh64(field.name().as_bytes(), 0),
            is_json: def.index_of(field.name()).is_some_and(|at| def.columns[at].ty == Type::Dynamic),
            values: values.clone(),
        };
        Ranker {
            versions: [0, 1].map(|at| core.column_by_name(def.versions.get(at)?).cloned()),
            columns: columns.map(ranked).collect(),
        }
    }

    /// The rank of a row. `scratch` is used and not read.
    pub(crate) fn rank(&self, row: usize, scratch: &mut Vec<u8>) -> Rank {
        scratch.clear();
        let (mut filled, mut held) = (0, 0u32);
        for RankedColumn { name, is_json, values } in &self.columns {
            let number = match value_of(Type::String, values, row) {
                ContentValue::Null => continue,
                ContentValue::Text(text) | ContentValue::Json(text) => {
                    scratch.extend_from_slice(&name.to_le_bytes());
                    scratch.extend_from_slice(&(text.len() as u64).to_le_bytes());
                    scratch.extend_from_slice(text.as_bytes());
                    filled += 1;
                    held = held.saturating_add(if *is_json { fullness(text) } else { 0 });
                    continue;
                }
                ContentValue::Time(time) => {
                    filled += u32::from(time.rem_euclid(1000) != 0);
                    i128::from(time)
                }
                ContentValue::Bool(v) => i128::from(v),
                ContentValue::Int(v) => i128::from(v),
                ContentValue::Real(v) => i128::from(v.to_bits()),
                ContentValue::Decimal(v) => v,
            };
            filled += 1;
            scratch.extend_from_slice(&name.to_le_bytes());
            scratch.extend_from_slice(&number.to_le_bytes());
        }
        let version = |column: &Option<ArrayRef>| match column.as_ref().map(|column| value_of(Type::Long, column, row)) {
            Some(ContentValue::Int(v) | ContentValue::Time(v)) => v,
            _ => i64::MIN,
        };
        Rank { versions: self.versions.each_ref().map(version), filled, held, hash: xxh3_128(scratch) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables;
    use crate::write::rows::RowBuilder;

    fn batch(table: &str, rows: &[&[(&str, &str)]]) -> RecordBatch {
        let def = tables::find(table).expect("table");
        let mut out = RowBuilder::new(def);
        for (at, row) in rows.iter().enumerate() {
            out.set_datetime_us(def.index_of(def.time).expect("time"), at as i64);
            for (column, value) in *row {
                let at = def.index_of(column).expect("a column");
                match def.columns[at].ty {
                    Type::Dynamic => out.set_dynamic_valid(at, value),
                    _ => out.set_str(at, value),
                }
            }
            out.end_row();
        }
        out.finish().expect("batch")
    }

    #[test]
    fn keys_tell_neighbouring_columns_apart() {
        let rows: [&[(&str, &str)]; 3] = [
            &[("callId", "ab"), ("sessionId", "c"), ("id", "")],
            &[("callId", "a"), ("sessionId", "bc"), ("id", "")],
            &[("callId", "ab"), ("sessionId", "c"), ("id", "")],
        ];
        let keys =
            Keyer::new(tables::find("CallSegments").expect("table")).keys(&batch("CallSegments", &rows), true).expect("keys");
        assert_ne!(keys[0].key, keys[1].key);
        assert_eq!(keys[0].key, keys[2].key);
    }

    #[test]
    fn a_row_whose_json_holds_more_has_a_greater_rank() {
        let raws = [
            r#"{"b":"1","c":"","d":null,"e":{}}"#,
            r#"{"b":1}"#,
            r#"{"b":"1","c":"x"}"#,
            r#"{"b":1,"c":"x"}"#,
            r#"{"b":"1","c":{"n":0},"d":["x"]}"#,
        ];
        // The first time has no part of a millisecond, which counts as well.
        let rows: Vec<[(&str, &str); 1]> = raws[..1].iter().chain(&raws).map(|raw| [("Raw", *raw)]).collect();
        let rows: Vec<&[(&str, &str)]> = rows.iter().map(|row| &row[..]).collect();
        let ranker = Ranker::new(tables::find("AuditRecords").expect("table"), &batch("AuditRecords", &rows));
        let ranks: Vec<Rank> = (0..rows.len()).map(|row| ranker.rank(row, &mut Vec::new())).collect();
        assert!(ranks.is_sorted_by(|a, b| a < b), "{ranks:?}");
    }

    #[test]
    fn a_row_that_stands_still_leaves_the_landed_one_where_it_is() {
        let rank = |taken: i64, hash: u128| Rank { versions: [taken, i64::MIN], filled: 3, held: 2, hash };
        let [users, calls] = ["Users", "CallRecords"].map(|name| tables::find(name).expect("table"));
        let landed = rank(5, 7);
        for (row, replaces) in
            [(rank(6, 7), false), (rank(6, 8), true), (rank(6, 6), true), (rank(5, 8), true), (rank(4, 8), false)]
        {
            assert_eq!(row.replaces(&landed, users), replaces, "{row:?}");
        }
        assert!(
            Rank { filled: 2, ..rank(6, 7) }.replaces(&landed, users) && Rank { held: 3, ..rank(6, 7) }.replaces(&landed, users)
        );
        assert!(!landed.replaces(&landed, calls) && rank(6, 7).replaces(&landed, calls));
        // It gets the time that it does not say yet.
        assert!(rank(5, 7).replaces(&rank(i64::MIN, 7), users));
    }

    #[test]
    fn a_fuller_row_has_a_greater_rank() {
        let def = tables::find("CallSegments").expect("table");
        let rows: [&[(&str, &str)]; 3] = [
            &[("failureStage", "1"), ("_importId", "x")],
            &[("failureStage", "1"), ("_importId", "y")],
            &[("callId", "a"), ("_importId", "x")],
        ];
        let core = batch("CallSegments", &rows);
        let ranker = Ranker::new(def, &core);
        let ranks: Vec<Rank> = (0..3).map(|row| ranker.rank(row, &mut Vec::new())).collect();
        // The time of the second row is another one, which has parts of a millisecond.
        assert!(ranks[0] < ranks[1] && ranks[2] < ranks[0], "{ranks:?}");
    }
}
