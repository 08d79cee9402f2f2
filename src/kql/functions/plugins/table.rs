//! Rows in memory: what plugins take and give.

use arrow::array::{Array, ArrayRef, new_empty_array};
use arrow::compute::{concat, take};
use arrow::datatypes::Schema;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::utils::memory::get_record_batch_memory_size;

use crate::free_name::free_name;
use crate::room::Held;
use kqlake_value::columns::{ColumnBuilder, ColumnReader, arrow_type, field, in_form};
use kqlake_value::parse::RealForm;
use kqlake_value::{Column, Type, Value, ValueRef, format, parse};

/// Columns and their rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowTable {
    /// Names and KQL types.
    pub columns: Vec<Column>,
    /// The rows; every batch has the columns in this order, in their Arrow forms.
    pub batches: Vec<RecordBatch>,
}

impl RowTable {
    /// A table of arrays of one length.
    pub(crate) fn from_arrays(columns: Vec<Column>, arrays: Vec<ArrayRef>, rows: usize) -> Result<RowTable, String> {
        let fields: Vec<_> = columns.iter().map(|c| field(&c.name, c.ty)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Schema::new(fields).into(), arrays, &options).map_err(|e| e.to_string())?;
        Ok(RowTable { columns, batches: vec![batch] })
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// Bytes of the rows in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.batches.iter().map(get_record_batch_memory_size).sum()
    }
}

/// A plugin's input: all rows in one piece.
#[derive(Debug)]
pub(crate) struct PluginInput {
    /// Names and KQL types of all columns.
    pub columns: Vec<Column>,
    /// How many of them are the table's own; those behind hold the values of expression arguments.
    pub visible: usize,
    /// Number of rows.
    pub rows: usize,
    arrays: Vec<ArrayRef>,
    readers: Vec<ColumnReader>,
    _memory: Held,
}

impl PluginInput {
    /// Opens a table whose first `visible` columns are its own.
    pub(crate) fn new(table: &RowTable, visible: usize) -> Result<PluginInput, String> {
        let mut arrays = Vec::with_capacity(table.columns.len());
        let mut readers = Vec::with_capacity(table.columns.len());
        // One batch is taken as it is, several are copied.
        let copied = if table.batches.len() > 1 { table.bytes() } else { 0 };
        let memory = Held::of(copied)?;
        for (i, column) in table.columns.iter().enumerate() {
            let pieces: Vec<&dyn Array> = table.batches.iter().filter_map(|b| b.columns().get(i)).map(|a| a.as_ref()).collect();
            let array = match pieces.as_slice() {
                [] => new_empty_array(&arrow_type(column.ty)),
                pieces => concat(pieces).map_err(|e| e.to_string())?,
            };
            readers.push(ColumnReader::new(&array, column.ty)?);
            arrays.push(array);
        }
        Ok(PluginInput {
            columns: table.columns.clone(),
            visible: visible.min(table.columns.len()),
            rows: table.rows(),
            arrays,
            readers,
            _memory: memory,
        })
    }

    /// The value of a column in a row.
    pub(crate) fn get(&self, column: usize, row: usize) -> ValueRef<'_> {
        self.readers.get(column).map_or(ValueRef::Null, |r| r.get(row))
    }

    /// The columns that are the table's own.
    pub(crate) fn table_columns(&self) -> &[Column] {
        &self.columns[..self.visible]
    }

    /// The place of a column of this name.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name)
    }

    /// A column's array.
    pub(crate) fn array(&self, column: usize) -> &ArrayRef {
        &self.arrays[column]
    }

    /// A column's values in these rows; `None` makes a row null.
    pub(crate) fn take(&self, column: usize, rows: &[Option<u32>]) -> Result<ArrayRef, String> {
        let indices = arrow::array::UInt32Array::from(rows.to_vec());
        let taken = take(self.arrays[column].as_ref(), &indices, None).map_err(|e| e.to_string())?;
        let ty = self.columns[column].ty;
        // A missing string is the empty string.
        if taken.null_count() > 0 && ty == Type::String {
            let reader = ColumnReader::new(&taken, ty)?;
            let mut builder = ColumnBuilder::new(ty, taken.len());
            (0..taken.len()).for_each(|row| builder.push_ref(reader.get(row)));
            return builder.finish();
        }
        in_form(&taken, ty)
    }

    /// These rows of the table's own columns.
    pub(crate) fn select(&self, rows: &[u32]) -> Result<RowTable, String> {
        let indices: Vec<Option<u32>> = rows.iter().map(|r| Some(*r)).collect();
        let arrays = (0..self.visible).map(|c| self.take(c, &indices)).collect::<Result<Vec<_>, _>>()?;
        RowTable::from_arrays(self.table_columns().to_vec(), arrays, rows.len())
    }
}

/// Collects a result row by row.
#[derive(Debug)]
pub(crate) struct RowTableBuilder {
    columns: Vec<Column>,
    builders: Vec<ColumnBuilder>,
    rows: usize,
    memory: Held,
    /// Bytes that were appended and are not counted yet.
    uncounted: usize,
    /// Why there are no more rows.
    refused: Option<String>,
}

/// Appended bytes are counted so many at a time.
const COUNTED: usize = 1 << 20;

impl RowTableBuilder {
    /// A result with these columns.
    pub(crate) fn new(columns: Vec<Column>) -> RowTableBuilder {
        let builders = columns.iter().map(|c| ColumnBuilder::new(c.ty, 16)).collect();
        RowTableBuilder { columns, builders, rows: 0, memory: Held::default(), uncounted: 0, refused: None }
    }

    /// Appends a row: a value for each column. Where there is no memory for it, [`RowTableBuilder::finish`] fails.
    pub(crate) fn push<'a>(&mut self, values: impl IntoIterator<Item = ValueRef<'a>>) {
        if self.refused.is_some() {
            return;
        }
        let mut values = values.into_iter();
        for builder in &mut self.builders {
            let value = values.next().unwrap_or(ValueRef::Null);
            self.uncounted += cell_bytes(value);
            builder.push_ref(value);
        }
        self.rows += 1;
        if self.uncounted >= COUNTED {
            self.refused = self.memory.grow(std::mem::take(&mut self.uncounted)).err();
        }
    }

    /// The table.
    ///
    /// # Errors
    /// There was no memory for all rows, or a text is too long for a column.
    pub(crate) fn finish(mut self) -> Result<RowTable, String> {
        if let Some(refused) = self.refused {
            return Err(refused);
        }
        let arrays = self.builders.iter_mut().map(ColumnBuilder::finish).collect::<Result<_, _>>()?;
        RowTable::from_arrays(self.columns, arrays, self.rows)
    }
}

/// Bytes that a value takes in a builder, whose buffers have up to twice the room of what is in them.
pub(super) fn cell_bytes(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::String(text) | ValueRef::Guid(text) | ValueRef::Dynamic(text) => 2 * (text.len() + size_of::<i32>()),
        ValueRef::Decimal(_) => 2 * size_of::<i128>(),
        _ => 2 * size_of::<i64>(),
    }
}

/// A name that none of these columns has: the name itself, or with the first free number behind it.
pub(crate) fn free_column_name(name: &str, taken: &[Column]) -> String {
    free_name(name, |n| taken.iter().any(|c| c.name == n))
}

impl RowTable {
    /// The table with the columns that a query declares (`evaluate f() : (a:long, b:string)`): by name, values of another
    /// type converted, columns that are not there null.
    pub(crate) fn conform(&self, declared: &[Column]) -> Result<RowTable, String> {
        let input = PluginInput::new(self, self.columns.len())?;
        let mut arrays = Vec::with_capacity(declared.len());
        for column in declared {
            match input.find(&column.name) {
                Some(at) if self.columns[at].ty == column.ty => arrays.push(ArrayRef::clone(input.array(at))),
                found => {
                    let mut builder = ColumnBuilder::new(column.ty, input.rows);
                    for row in 0..input.rows {
                        let value = found.map_or(ValueRef::Null, |at| input.get(at, row));
                        builder.push(&convert(value, column.ty));
                    }
                    arrays.push(builder.finish()?);
                }
            }
        }
        RowTable::from_arrays(declared.to_vec(), arrays, input.rows)
    }
}

/// A value as one of another type, as `toX` functions convert it; null where it cannot be.
fn convert(value: ValueRef<'_>, ty: Type) -> Value {
    let text = match value {
        ValueRef::Null => return Value::Null,
        ValueRef::String(text) => text.to_owned(),
        other => format::to_string(other),
    };
    let parsed = match ty {
        Type::String => Some(Value::String(text)),
        Type::Bool => parse::boolean(&text).map(Value::Bool),
        Type::Int => parse::int(&text).map(Value::Int).or_else(|| value.as_f64().map(|v| Value::Int(v as i32))),
        Type::Long => parse::long(&text).map(Value::Long).or_else(|| value.as_f64().map(|v| Value::Long(v as i64))),
        Type::Real => value.as_f64().or_else(|| parse::real_of(&text, RealForm::File)).map(Value::Real),
        Type::Decimal => parse::decimal(&text).map(Value::Decimal),
        Type::DateTime => parse::datetime(&text).map(Value::DateTime),
        Type::TimeSpan => parse::timespan(&text).map(Value::TimeSpan),
        Type::Guid => parse::guid(&text).map(Value::Guid),
        Type::Dynamic => Some(Value::Dynamic(value.to_json())),
    };
    parsed.unwrap_or(Value::Null)
}
