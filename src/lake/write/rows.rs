//! Builds record batches of a table row by row, with values converted to the columns' types.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayBuilder as _, ArrayRef, BooleanBuilder, Decimal128Builder, Float64Builder, Int32Builder, Int64Builder, StringBuilder,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use crate::data::layout::{TAG_PROMOTED, promoted_tag};
use crate::data::promote::{Promoter, Promotion};
use crate::tables::{EVENT_MONTH, TableDef};
use kqlake_value::columns::stored_type;
use kqlake_value::json::checked::Members;
use kqlake_value::{Type, parse};

/// 10^18: decimals keep eighteen digits behind the point.
const DECIMAL_SCALE: i128 = 1_000_000_000_000_000_000;

/// One column in the making.
#[derive(Debug)]
enum Column {
    Bool(BooleanBuilder),
    Int(Int32Builder),
    Long(Int64Builder),
    Real(Float64Builder),
    Decimal(Decimal128Builder),
    Text(StringBuilder),
    Time(Int64Builder),
    /// Filled by the promoter, out of its bag.
    Promoted,
}

impl Column {
    /// A column without room: units of a few records make batches of a few rows, and what is not used of them stays with them.
    fn new(ty: Type) -> Self {
        match ty {
            Type::Bool => Column::Bool(BooleanBuilder::with_capacity(0)),
            Type::Int => Column::Int(Int32Builder::with_capacity(0)),
            Type::Long | Type::TimeSpan => Column::Long(Int64Builder::with_capacity(0)),
            Type::Real => Column::Real(Float64Builder::with_capacity(0)),
            Type::Decimal => Column::Decimal(Decimal128Builder::with_capacity(0).with_data_type(stored_type(Type::Decimal))),
            Type::String | Type::Guid | Type::Dynamic => Column::Text(StringBuilder::with_capacity(0, 0)),
            Type::DateTime => Column::Time(Int64Builder::with_capacity(0)),
        }
    }

    fn len(&self) -> Option<usize> {
        Some(match self {
            Column::Bool(b) => b.len(),
            Column::Int(b) => b.len(),
            Column::Long(b) | Column::Time(b) => b.len(),
            Column::Real(b) => b.len(),
            Column::Decimal(b) => b.len(),
            Column::Text(b) => b.len(),
            Column::Promoted => return None,
        })
    }

    /// Appends rows without a value up to a row.
    fn fill_up(&mut self, rows: usize) {
        let missing = rows - self.len().unwrap_or(rows).min(rows);
        if missing == 0 {
            return;
        }
        match self {
            Column::Bool(b) => b.append_nulls(missing),
            Column::Int(b) => b.append_nulls(missing),
            Column::Long(b) | Column::Time(b) => b.append_nulls(missing),
            Column::Real(b) => b.append_nulls(missing),
            Column::Decimal(b) => b.append_nulls(missing),
            Column::Text(b) => b.append_nulls(missing),
            Column::Promoted => {}
        }
    }
}

/// Collects rows of one table.
///
/// Values are set by column position ([`TableDef::index_of`]); what is not set is null, and of two values for one column
/// the first stays. A number or truth value of the wrong kind is converted where that loses nothing; otherwise the column is
/// null for the row. Promoted columns cannot be set: they are filled out of their bags.
#[derive(Debug)]
pub struct RowBuilder {
    def: &'static TableDef,
    schema: SchemaRef,
    types: Vec<Type>,
    columns: Vec<Column>,
    /// By column: its place among the bags that columns are promoted out of.
    bags: Vec<Option<usize>>,
    promoter: Promoter,
    rows: usize,
    bytes: usize,
}

impl RowBuilder {
    /// An empty builder.
    pub fn new(def: &'static TableDef) -> Self {
        let columns: Vec<_> = def.columns.iter().filter(|c| c.name != EVENT_MONTH).collect();
        let promoter = Promoter::new(def);
        let fields: Vec<_> = columns.iter().map(|c| def.field(c)).collect();
        RowBuilder {
            def,
            schema: promoted_schema(Schema::new(fields), def, &[]),
            types: columns.iter().map(|c| c.ty).collect(),
            columns: columns.iter().map(|c| if c.promoted.is_some() { Column::Promoted } else { Column::new(c.ty) }).collect(),
            bags: columns.iter().map(|c| promoter.bag(c.name)).collect(),
            promoter,
            rows: 0,
            bytes: 0,
        }
    }

    /// The table.
    pub fn def(&self) -> &'static TableDef {
        self.def
    }

    /// Rows that are complete.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// About how many bytes the rows take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The column, when it is there and has no value in this row yet.
    #[inline]
    fn open(&mut self, column: usize) -> Option<&mut Column> {
        let rows = self.rows;
        let column = self.columns.get_mut(column)?;
        match column.len() {
            Some(len) if len == rows => Some(column),
            Some(len) if len < rows => {
                column.fill_up(rows);
                Some(column)
            }
            _ => None,
        }
    }

    /// Sets a text of a string or guid column; others do not take it.
    pub fn set_str(&mut self, column: usize, text: &str) {
        match self.types.get(column) {
            Some(Type::Guid) if text.bytes().any(|b| b.is_ascii_uppercase()) => {
                self.push_text(column, &text.to_ascii_lowercase());
            }
            Some(Type::String | Type::Guid) => {
                self.push_text(column, text);
            }
            _ => {}
        }
    }

    /// False where the column takes no text, or has a value.
    fn push_text(&mut self, column: usize, text: &str) -> bool {
        let Some(Column::Text(b)) = self.open(column) else { return false };
        b.append_value(text);
        self.bytes += text.len() + 4;
        true
    }

    /// Sets an instant in microseconds since 1970-01-01 UTC.
    pub fn set_datetime_us(&mut self, column: usize, us: i64) {
        if let Some(Column::Time(b)) = self.open(column) {
            b.append_value(us);
            self.bytes += 8;
        }
    }

    /// Sets a timespan in ticks of 100 ns.
    pub fn set_ticks(&mut self, column: usize, ticks: i64) {
        self.set_i64(column, ticks);
    }

    /// Sets a whole number; it is converted where the column is real, decimal, bool (0 and 1) or text.
    pub fn set_i64(&mut self, column: usize, v: i64) {
        let dynamic_or_text = matches!(self.types.get(column), Some(Type::String | Type::Dynamic));
        let size = match self.open(column) {
            Some(Column::Long(b)) => {
                b.append_value(v);
                8
            }
            Some(Column::Int(b)) => match i32::try_from(v) {
                Ok(v) => {
                    b.append_value(v);
                    4
                }
                Err(_) => return,
            },
            Some(Column::Real(b)) => {
                b.append_value(v as f64);
                8
            }
            Some(Column::Decimal(b)) => {
                b.append_value(i128::from(v) * DECIMAL_SCALE);
                16
            }
            Some(Column::Bool(b)) if v == 0 || v == 1 => {
                b.append_value(v == 1);
                1
            }
            Some(Column::Text(_)) if dynamic_or_text => {
                self.push_text(column, &v.to_string());
                return;
            }
            _ => return,
        };
        self.bytes += size;
    }

    /// Sets a number; whole ones also go into int and long columns.
    pub fn set_f64(&mut self, column: usize, v: f64) {
        let is_text = self.types.get(column) == Some(&Type::String);
        let is_dynamic = self.types.get(column) == Some(&Type::Dynamic);
        match self.open(column) {
            Some(Column::Real(b)) => {
                b.append_value(v);
                self.bytes += 8;
            }
            // 2^53: beyond it a double does not say which whole number is meant.
            Some(Column::Int(_) | Column::Long(_)) if v.fract() == 0.0 && v.abs() <= 9_007_199_254_740_992.0 => {
                self.set_i64(column, v as i64);
            }
            Some(Column::Decimal(b)) => {
                if let Some(v) = parse::decimal(&v.to_string()) {
                    b.append_value(v);
                    self.bytes += 16;
                }
            }
            Some(Column::Text(_)) if is_text || (is_dynamic && v.is_finite()) => {
                self.push_text(column, &v.to_string());
            }
            _ => {}
        }
    }

    /// Sets a truth value; text columns get `True` or `False`, numbers 1 or 0.
    pub fn set_bool(&mut self, column: usize, v: bool) {
        let ty = self.types.get(column).copied();
        match self.open(column) {
            Some(Column::Bool(b)) => {
                b.append_value(v);
                self.bytes += 1;
            }
            Some(Column::Text(_)) if ty == Some(Type::String) => {
                self.push_text(column, if v { "True" } else { "False" });
            }
            Some(Column::Text(_)) if ty == Some(Type::Dynamic) => {
                self.push_text(column, if v { "true" } else { "false" });
            }
            Some(Column::Int(_) | Column::Long(_)) => self.set_i64(column, i64::from(v)),
            _ => {}
        }
    }

    /// Sets a dynamic value from text that the caller knows to be valid JSON; it is kept as it is, and `null` is no value.
    pub fn set_dynamic_valid(&mut self, column: usize, json: &str) {
        if json != "null"
            && self.push_text(column, json)
            && let Some(bag) = self.bags[column]
        {
            self.promoter.read(bag, self.rows, json);
        }
    }

    /// The same for an object whose members are known.
    pub fn set_bag(&mut self, column: usize, json: &str, members: &Members<'_>) {
        if members.repeats() {
            return self.set_dynamic_valid(column, json);
        }
        if self.push_text(column, json)
            && let Some(bag) = self.bags[column]
        {
            self.promoter.take(bag, self.rows, members);
        }
    }

    /// Ends the row.
    pub fn end_row(&mut self) {
        self.rows += 1;
        // Validity bits, offsets and the like of the columns without a value.
        self.bytes += self.columns.len();
    }

    /// The rows as a batch in [`TableDef`] column order without the partition column; the builder is empty afterwards.
    ///
    /// # Errors
    /// A row has no time.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        let Promotion { columns: promoted, complete } = self.promoter.finish(rows);
        let mut promoted = promoted.into_iter();
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for column in &mut self.columns {
            column.fill_up(rows);
            let array: ArrayRef = match column {
                Column::Bool(b) => Arc::new(b.finish()),
                Column::Int(b) => Arc::new(b.finish()),
                Column::Long(b) => Arc::new(b.finish()),
                Column::Real(b) => Arc::new(b.finish()),
                Column::Decimal(b) => Arc::new(b.finish()),
                Column::Text(b) => {
                    // The next batch will have about as much.
                    let bytes = b.values_slice().len();
                    let room = if bytes > 0 { rows } else { 0 };
                    let next = StringBuilder::with_capacity(room, bytes + bytes / 16);
                    Arc::new(std::mem::replace(b, next).finish())
                }
                Column::Time(b) => Arc::new(b.finish().reinterpret_cast::<TimestampMicrosecondType>().with_timezone("UTC")),
                Column::Promoted => match promoted.next() {
                    Some(column) => column,
                    None => continue,
                },
            };
            arrays.push(array);
        }
        let schema = match complete.iter().all(|complete| *complete) {
            true => self.schema.clone(),
            false => {
                let names = self.promoter.names().iter().zip(&complete);
                let incomplete: Vec<&str> = names.filter(|(_, complete)| !**complete).map(|(name, _)| *name).collect();
                promoted_schema(self.schema.as_ref().clone(), self.def, &incomplete)
            }
        };
        RecordBatch::try_new(schema, arrays)
    }
}

/// A schema that says that the promoted columns are filled, and which of them alone cannot answer for the rows.
fn promoted_schema(schema: Schema, def: &TableDef, incomplete: &[&str]) -> SchemaRef {
    let tag = (TAG_PROMOTED.to_owned(), promoted_tag(def.promoted_set(), incomplete));
    Arc::new(schema.with_metadata(HashMap::from([tag])))
}

/// Puts batches of one table that [`RowBuilder::finish`] gave into one; without any there is none.
///
/// # Errors
/// The batches are of different tables.
pub fn concat_rows(batches: &[RecordBatch]) -> Result<Option<RecordBatch>, ArrowError> {
    let [first, others @ ..] = batches else { return Ok(None) };
    if others.is_empty() {
        return Ok(Some(first.clone()));
    }
    let mut schema = first.schema();
    if others.iter().any(|batch| batch.schema_ref().metadata() != schema.metadata()) {
        // Promoted columns answer for some of the rows and not for others: they are to be filled again.
        schema = Arc::new(schema.as_ref().clone().with_metadata(HashMap::new()));
    }
    concat_batches(&schema, batches).map(Some)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array as _, AsArray as _};
    use arrow::datatypes::{Float64Type, Int32Type};

    use super::*;
    use crate::tables;

    #[test]
    fn promoted_columns_come_filled_and_say_whether_they_answer() {
        let def = tables::find("traces").expect("traces");
        let at = |name: &str| def.index_of(name).expect("column");
        let mut rows = RowBuilder::new(def);
        let mut batch = |bag: &str| {
            rows.set_datetime_us(at("timestamp"), 1);
            rows.set_bag(at("customDimensions"), bag, &Members::parse(bag).expect("an object"));
            // Of two values the first stays.
            rows.set_dynamic_valid(at("customDimensions"), r#"{"eventId":"other","clientType":"other"}"#);
            rows.end_row();
            rows.finish().expect("batch")
        };
        let said = |batch: &RecordBatch| batch.schema().metadata().get(TAG_PROMOTED).cloned();
        let (whole, broken) = (batch(r#"{"eventId":"a"}"#), batch(r#"{"eventId":1}"#));
        let ids = |batch: &RecordBatch| batch.column(at("customDimensions_eventId")).as_string::<i32>().value(0).to_owned();
        assert_eq!((ids(&whole).as_str(), ids(&broken).as_str()), ("a", "1"));
        assert_eq!(whole.column(at("customDimensions_clientType")).null_count(), 1);
        let all = def.promoted_set().to_string();
        assert_eq!(said(&whole), Some(all.clone()));
        assert_eq!(said(&broken), Some(format!("{all}!customDimensions_eventId")));
        assert_eq!(said(&batch(r#"{"eventId":"a","eventId":"a"}"#)), Some(format!("{all}!customDimensions_eventId")));
        let joined = |batches: &[RecordBatch]| concat_rows(batches).expect("rows of one table").expect("rows");
        assert_eq!(said(&joined(&[whole.clone(), whole.clone()])), Some(all));
        assert_eq!(said(&joined(&[whole.clone(), broken])), None, "nothing is said of rows that differ");
        assert!(concat_rows(&[]).expect("nothing").is_none());
    }

    #[test]
    fn values_are_converted_where_nothing_is_lost() {
        let def = tables::find("requests").expect("requests");
        let at = |name: &str| def.index_of(name).expect("column");
        let mut rows = RowBuilder::new(def);
        rows.set_datetime_us(at("timestamp"), 1);
        rows.set_i64(at("name"), 7);
        rows.set_i64(at("duration"), 12);
        rows.set_f64(at("itemCount"), 0.5);
        rows.set_bool(at("success"), true);
        rows.set_dynamic_valid(at("customDimensions"), "{\"b\":1.50, \"a\":2}");
        rows.end_row();
        rows.set_datetime_us(at("timestamp"), 2);
        rows.set_f64(at("itemCount"), 3.0);
        rows.set_i64(at("itemCount"), 4);
        rows.set_dynamic_valid(at("customDimensions"), "null");
        rows.end_row();
        assert_eq!(rows.rows(), 2);
        let batch = rows.finish().expect("batch");
        assert_eq!(batch.num_columns() + 1, def.columns.len());
        assert_eq!(batch.column(at("timestamp")).as_primitive::<TimestampMicrosecondType>().values().as_ref(), [1, 2]);
        assert_eq!(batch.column(at("name")).as_string::<i32>().value(0), "7");
        assert_eq!(batch.column(at("duration")).as_primitive::<Float64Type>().value(0), 12.0);
        let counts = batch.column(at("itemCount")).as_primitive::<Int32Type>();
        assert!(counts.is_null(0) && counts.value(1) == 3);
        assert_eq!(batch.column(at("success")).as_string::<i32>().value(0), "True");
        let bags = batch.column(at("customDimensions")).as_string::<i32>();
        assert!(bags.value(0) == r#"{"b":1.50, "a":2}"# && bags.is_null(1));
    }
}
