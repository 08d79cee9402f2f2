//! Tables, given rows and ranges.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, UNNAMED_TABLE};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;

use super::arrow::array;
use super::column_name;
use super::expr::dynamic;
use super::over::at_rest;
use super::{Lower, LowerError, Lowering, Node, OrderKey, named};
use crate::bound::{BoundColumn, ColId, range_rows};
use crate::catalog::{Answers, PromotedColumn};
use kqlake_value::columns::{ColumnBuilder, arrow_type, field_type, is_in_ticks, stored_type};
use kqlake_value::texts::is_text;
use kqlake_value::{Type, Value};

impl Lowering<'_> {
    pub(super) fn scan(
        &self,
        table: &str,
        columns: &[(ColId, String, Type)],
        promoted: &[(ColId, PromotedColumn)],
    ) -> Lower<Node> {
        let Some(scan) = self.scans.get(table) else {
            return Err(LowerError::Plan(datafusion::error::DataFusionError::Plan(format!("the table {table} was not opened"))));
        };
        let partial: Vec<&str> =
            promoted.iter().map(|(_, p)| p.column.as_str()).filter(|c| scan.answers(c) == Answers::Somewhere).collect();
        let Some(parts) = scan.parts.as_ref().filter(|_| !partial.is_empty()) else {
            return Ok(Node::unordered(self.scan_of_table(table, &scan.provider, columns, promoted, None)?));
        };
        let (answering, others) = parts(&partial);
        let answering = self.scan_of_table(table, &answering, columns, promoted, Some(true))?;
        let others = self.scan_of_table(table, &others, columns, promoted, Some(false))?;
        Ok(Node::unordered(LogicalPlanBuilder::from(answering).union(others)?.build()?))
    }

    /// The columns of a table's files. Where it is divided into files that answer for their bags and others, promoted columns
    /// that answer in some files are given as JSON: by themselves, or from the bag.
    fn scan_of_table(
        &self,
        table: &str,
        provider: &Arc<dyn TableProvider>,
        columns: &[(ColId, String, Type)],
        promoted: &[(ColId, PromotedColumn)],
        answering: Option<bool>,
    ) -> Lower<LogicalPlan> {
        let schema = provider.schema();
        // Named as it is: a text would be parsed as SQL, for each of its columns.
        let table = datafusion::common::TableReference::bare(table);
        let builder = LogicalPlanBuilder::scan(table.clone(), provider_as_source(provider.clone()), None)?;
        let bare =
            |name: &str| datafusion::logical_expr::Expr::Column(datafusion::common::Column::new(Some(table.clone()), name));
        let pick = |name: &str, ty: Type, id: ColId| {
            let field = schema.field_with_name(name).ok();
            let e = match field {
                Some(_) => bare(name),
                None => datafusion::logical_expr::lit(
                    datafusion::common::ScalarValue::try_from(&stored_type(ty)).unwrap_or(datafusion::common::ScalarValue::Null),
                ),
            };
            // Foreign files may hold another Arrow form of the type.
            let same = field.is_none_or(|f| {
                *f.data_type() == stored_type(ty)
                    || (ty == Type::DateTime && is_in_ticks(f))
                    || (stored_type(ty) == arrow::datatypes::DataType::Utf8 && is_text(f.data_type()))
            });
            let e = match field {
                Some(field) if !same => at_rest(e, field.data_type(), ty),
                _ => e,
            };
            e.alias(column_name(id))
        };
        let mut exprs: Vec<_> = columns.iter().map(|(id, name, ty)| pick(name, *ty, *id)).collect();
        exprs.extend(promoted.iter().map(|(id, p)| match answering {
            Some(answering) if p.ty == Type::Dynamic => {
                let json = match schema.field_with_name(&p.column) {
                    Ok(field) if answering => dynamic::quoted(bare(&p.column), field_type(field)),
                    _ => dynamic::value_of_key(bare(&p.source), &p.key),
                };
                json.alias(column_name(*id))
            }
            _ => pick(&p.column, p.ty, *id),
        }));
        if exprs.is_empty() {
            // A row without columns still counts: carry something.
            exprs.push(datafusion::logical_expr::lit(0i64).alias(self.unique_name("__none")));
        }
        Ok(builder.project(exprs)?.build()?)
    }

    /// Rows of a `datatable`; their order in the text is the order of the rows.
    pub(super) fn values(&self, columns: &[BoundColumn], rows: &[Vec<Value>]) -> Lower<Node> {
        let mut builders: Vec<ColumnBuilder> = columns.iter().map(|c| ColumnBuilder::new(c.ty, rows.len())).collect();
        for row in rows {
            for (builder, value) in builders.iter_mut().zip(row) {
                builder.push(value);
            }
        }
        let index_name = self.unique_name("__row");
        let mut fields: Vec<Field> =
            columns.iter().map(|c| Field::new(inner_name(&column_name(c.id)), arrow_type(c.ty), true)).collect();
        fields.push(Field::new(inner_name(&index_name), arrow::datatypes::DataType::Int64, false));
        let arrays: Result<Vec<ArrayRef>, String> = builders.iter_mut().map(ColumnBuilder::finish).collect();
        let mut arrays = arrays.map_err(datafusion::error::DataFusionError::Execution)?;
        arrays.push(Arc::new(Int64Array::from_iter_values(0..rows.len() as i64)));
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(schema.clone(), arrays).map_err(datafusion::error::DataFusionError::from)?;
        let table = MemTable::try_new(schema, vec![vec![batch]])?;
        let plan = scan_of(Arc::new(table))?.build()?;
        Ok(Node { plan, order: vec![OrderKey::row_numbers(index_name)] })
    }

    /// Rows in memory, in their Arrow forms; their order is the order of the rows.
    pub(super) fn rows(&self, columns: &[BoundColumn], batches: &[RecordBatch]) -> Lower<Node> {
        let index_name = self.unique_name("__row");
        let mut fields: Vec<Field> =
            columns.iter().map(|c| Field::new(inner_name(&column_name(c.id)), arrow_type(c.ty), true)).collect();
        fields.push(Field::new(inner_name(&index_name), arrow::datatypes::DataType::Int64, false));
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let mut next = 0i64;
        let mut numbered = Vec::with_capacity(batches.len());
        for batch in batches {
            let rows = batch.num_rows() as i64;
            let mut arrays = batch.columns().to_vec();
            arrays.push(Arc::new(Int64Array::from_iter_values(next..next + rows)));
            next += rows;
            numbered.push(RecordBatch::try_new(schema.clone(), arrays).map_err(datafusion::error::DataFusionError::from)?);
        }
        let table = MemTable::try_new(schema, vec![numbered])?;
        let plan = scan_of(Arc::new(table))?.build()?;
        Ok(Node { plan, order: vec![OrderKey::row_numbers(index_name)] })
    }

    pub(super) fn range(&self, id: ColId, ty: Type, from: &Value, to: &Value, step: &Value) -> Lower<Node> {
        let name = column_name(id);
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new(inner_name(&name), arrow_type(ty), true)]));
        let all = range_rows(from, to, step).unwrap_or(0);
        let rows = if self.whole { all } else { all.min(RANGE_BATCH) };
        let stream = RangeStream { schema: schema.clone(), ty, from: from.clone(), step: step.clone(), rows };
        let ascending = match step {
            Value::Long(v) | Value::TimeSpan(v) => *v > 0,
            Value::Real(v) => *v > 0.0,
            Value::Decimal(v) => *v > 0,
            _ => true,
        };
        let table = datafusion::catalog::streaming::StreamingTable::try_new(schema, vec![Arc::new(stream)])?
            .with_sort_order(vec![named(&inner_name(&name)).sort(ascending, ascending)]);
        let plan = scan_of(Arc::new(table))?.build()?;
        Ok(Node { plan, order: vec![OrderKey { column: name, ascending, nulls_first: ascending, numbers_rows: false }] })
    }
}

/// A scan whose columns need no qualifier. The table's own columns carry a prefix (see [`inner_name`]): a qualified and a
/// bare column of one name would be ambiguous to DataFusion.
pub(super) fn scan_of(table: Arc<dyn TableProvider>) -> Lower<LogicalPlanBuilder> {
    let names: Vec<String> = table.schema().fields().iter().map(|f| f.name().clone()).collect();
    let builder = LogicalPlanBuilder::scan(UNNAMED_TABLE, provider_as_source(table), None)?;
    let exprs: Vec<_> = names
        .iter()
        .map(|n| {
            let column = datafusion::common::Column::new(Some(UNNAMED_TABLE), n);
            datafusion::logical_expr::Expr::Column(column).alias(n.strip_prefix(INNER).unwrap_or(n))
        })
        .collect();
    Ok(builder.project(exprs)?)
}

/// Prefix of the columns of tables that lowering makes itself.
const INNER: &str = "in_";

/// A column's name inside of a table that lowering makes itself.
pub(super) fn inner_name(name: &str) -> String {
    format!("{INNER}{name}")
}

/// Makes a range's rows batch by batch.
#[derive(Debug)]
struct RangeStream {
    schema: SchemaRef,
    ty: Type,
    from: Value,
    step: Value,
    rows: i64,
}

/// Most rows of one batch of a range.
const RANGE_BATCH: i64 = 8192;

impl RangeStream {
    fn batch(&self, start: i64, count: i64) -> Result<ArrayRef, String> {
        let at = |i: i64| -> Value {
            match (&self.from, &self.step) {
                (Value::Long(from), Value::Long(step)) => Value::Long(from.wrapping_add(step.wrapping_mul(i))),
                (Value::Real(from), Value::Real(step)) => Value::Real(from + step * i as f64),
                (Value::Decimal(from), Value::Decimal(step)) => Value::Decimal(from.wrapping_add(step.wrapping_mul(i.into()))),
                (Value::TimeSpan(from), Value::TimeSpan(step)) => Value::TimeSpan(from.wrapping_add(step.wrapping_mul(i))),
                (Value::DateTime(from), Value::TimeSpan(step)) => Value::DateTime(from.wrapping_add(step.wrapping_mul(i))),
                _ => Value::Null,
            }
        };
        array((start..start + count).map(at), self.ty)
    }
}

impl PartitionStream for RangeStream {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        // Groups over ordered rows hand out a batch for each one that comes: of a larger one some would stay.
        let most = RANGE_BATCH.min(i64::try_from(context.session_config().batch_size()).unwrap_or(RANGE_BATCH)).max(1);
        let this = RangeStream {
            schema: self.schema.clone(),
            ty: self.ty,
            from: self.from.clone(),
            step: self.step.clone(),
            rows: self.rows,
        };
        let batches = (0..this.rows).step_by(most as usize).map(move |start| {
            let count = most.min(this.rows - start);
            let array = this.batch(start, count).map_err(datafusion::error::DataFusionError::Execution)?;
            let array = arrow::compute::cast(&array, &arrow_type(this.ty))?;
            Ok(RecordBatch::try_new(this.schema.clone(), vec![array])?)
        });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), futures::stream::iter(batches)))
    }
}
