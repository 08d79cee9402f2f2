//! The rows of a result table, batch by batch, within the query's time.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, DurationMicrosecondType, Field, Int64Type, IntervalUnit, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::SessionStateBuilder;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SessionContext;
use futures::StreamExt as _;
use tokio::time::Instant;

use super::ResultTable;
use super::failure::{is_out_of_memory, of_kql, of_sql};
use crate::error::{Error, Result};
use crate::kql::functions::columns::in_form;
use crate::kql::types::{Column, Type};
use crate::output::cell::arrow_type;

/// When a query must be done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Option<(Instant, Duration)>);

impl Deadline {
    /// A time from now; `None` never.
    pub(super) fn after(limit: Option<Duration>) -> Deadline {
        Deadline(limit.map(|limit| (Instant::now() + limit, limit)))
    }

    /// Awaits something, but not longer than until the deadline.
    pub(super) async fn bound<T>(self, work: impl Future<Output = T>) -> Result<T> {
        match self.0 {
            None => Ok(work.await),
            Some((at, limit)) => tokio::time::timeout_at(at, work).await.map_err(|_| {
                Error::query(format!("the query ran longer than the {} s it may take", limit.as_secs_f64()))
                    .hint("raise --timeout, or narrow the query: a shorter time range reads fewer files")
            }),
        }
    }
}

impl ResultTable {
    /// What a failure of this table means.
    pub(super) fn failure(&self, err: DataFusionError) -> Error {
        if self.foreign_types { of_sql(err, self.memory_limit) } else { of_kql(err, self.memory_limit) }
    }
}

/// The running rows of a result table.
pub struct Rows {
    stream: SendableRecordBatchStream,
    /// What to run again with joins that spill, until the first batch has been handed out.
    retry: Option<(SessionContext, datafusion::logical_expr::LogicalPlan)>,
    columns: Vec<Column>,
    schema: SchemaRef,
    table: Failures,
}

/// What is needed of the table to name a failure and to watch the time.
#[derive(Clone, Copy)]
struct Failures {
    deadline: Deadline,
    memory_limit: usize,
    sql: bool,
}

impl Failures {
    fn of(self, err: DataFusionError) -> Error {
        if self.sql { of_sql(err, self.memory_limit) } else { of_kql(err, self.memory_limit) }
    }
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl Rows {
    pub(super) async fn start(table: &ResultTable) -> Result<Rows> {
        let failures = Failures { deadline: table.deadline, memory_limit: table.memory_limit, sql: table.foreign_types };
        let stream = failures.deadline.bound(open(&table.session, &table.plan)).await?.map_err(|err| failures.of(err))?;
        let fields: Vec<Field> = table.columns.iter().map(|c| Field::new(&c.name, arrow_type(c.ty), true)).collect();
        Ok(Rows {
            stream,
            retry: Some((table.session.clone(), table.plan.clone())),
            columns: table.columns.clone(),
            schema: Arc::new(Schema::new(fields)),
            table: failures,
        })
    }

    /// The columns of every batch.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The next batch, its columns in the Arrow forms of their KQL types; `None` at the end.
    ///
    /// # Errors
    /// When the query fails, needs more memory than it may have, or runs out of time.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            match self.table.deadline.bound(self.stream.next()).await? {
                None => return Ok(None),
                Some(Ok(batch)) => {
                    self.retry = None;
                    return self.formed(&batch).map(Some).map_err(|err| self.table.of(err.into()));
                }
                Some(Err(err)) if is_out_of_memory(&err) => {
                    // Hash joins do not spill, sort-merge joins do: one more try with those, while nothing is out yet.
                    let Some((session, plan)) = self.retry.take() else { return Err(self.table.of(err)) };
                    tracing::info!("A join needs more memory than allowed: trying again with joins that spill.");
                    let session = with_spilling_joins(&session);
                    let opened = self.table.deadline.bound(open(&session, &plan)).await?;
                    self.stream = opened.map_err(|err| self.table.of(err))?;
                }
                Some(Err(err)) => return Err(self.table.of(err)),
            }
        }
    }

    fn formed(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let arrays = batch
            .columns()
            .iter()
            .zip(&self.columns)
            .map(|(array, column)| in_form_of(column.ty, array))
            .collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
    }
}

async fn open(
    session: &SessionContext,
    plan: &datafusion::logical_expr::LogicalPlan,
) -> Result<SendableRecordBatchStream, DataFusionError> {
    let physical = session.state().create_physical_plan(plan).await?;
    execute_stream(physical, session.task_ctx())
}

fn with_spilling_joins(session: &SessionContext) -> SessionContext {
    let mut state = SessionStateBuilder::new_from_existing(session.state()).build();
    state.config_mut().options_mut().optimizer.prefer_hash_join = false;
    SessionContext::new_with_state(state)
}

/// The KQL type that a column of a SQL result has: what its metadata says, else what stands for its Arrow type.
pub(super) fn kql_type(field: &Field) -> Type {
    let noted = field.metadata().get("kql.type").and_then(|name| Type::parse(name));
    match field.data_type() {
        DataType::Boolean => Type::Bool,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => Type::Int,
        DataType::Int64 => noted.filter(|ty| *ty == Type::TimeSpan).unwrap_or(Type::Long),
        DataType::UInt32 | DataType::UInt64 => Type::Long,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => Type::Real,
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => Type::Decimal,
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => Type::DateTime,
        DataType::Duration(_) | DataType::Time32(_) | DataType::Time64(_) => Type::TimeSpan,
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(..)
        | DataType::ListView(_)
        | DataType::Struct(_)
        | DataType::Map(..) => Type::Dynamic,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            noted.filter(|ty| matches!(ty, Type::Dynamic | Type::Guid)).unwrap_or(Type::String)
        }
        _ => Type::String,
    }
}

/// An array in the Arrow form of a KQL type.
fn in_form_of(ty: Type, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let wanted = arrow_type(ty);
    if *array.data_type() == wanted {
        return Ok(Arc::clone(array));
    }
    match array.data_type() {
        DataType::Duration(_) => {
            let micros = cast(array, &DataType::Duration(TimeUnit::Microsecond))?;
            let ticks: Int64Array =
                micros.as_primitive::<DurationMicrosecondType>().iter().map(|v| v.map(|us| us.saturating_mul(10))).collect();
            Ok(Arc::new(ticks))
        }
        DataType::Time32(_) | DataType::Time64(_) => {
            let nanos = cast(&cast(array, &DataType::Time64(TimeUnit::Nanosecond))?, &DataType::Int64)?;
            let ticks: Int64Array = nanos.as_primitive::<Int64Type>().iter().map(|v| v.map(|ns| ns / 100)).collect();
            Ok(Arc::new(ticks))
        }
        DataType::Timestamp(_, None) => {
            // A timestamp without a zone is UTC here, as every other.
            let plain = cast(array, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
            in_form(&plain, ty).map_err(ArrowError::CastError)
        }
        DataType::Interval(IntervalUnit::YearMonth | IntervalUnit::DayTime | IntervalUnit::MonthDayNano)
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_)
        | DataType::Union(..) => displayed(array),
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(..)
        | DataType::ListView(_)
        | DataType::Struct(_)
        | DataType::Map(..) => as_json(array),
        _ => in_form(array, ty).map_err(ArrowError::CastError),
    }
}

fn displayed(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array.as_ref(), &options)?;
    let texts: StringArray = (0..array.len()).map(|row| array.is_valid(row).then(|| formatter.value(row).to_string())).collect();
    Ok(Arc::new(texts))
}

/// Nested values as JSON text.
fn as_json(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    const HEAD: &str = "{\"v\":";
    let schema = Arc::new(Schema::new(vec![Field::new("v", array.data_type().clone(), true)]));
    let batch = RecordBatch::try_new(schema, vec![Arc::clone(array)])?;
    let mut writer =
        arrow::json::WriterBuilder::new().with_explicit_nulls(true).build::<_, arrow::json::writer::LineDelimited>(Vec::new());
    writer.write(&batch)?;
    writer.finish()?;
    let lines = String::from_utf8(writer.into_inner()).map_err(|err| ArrowError::ExternalError(err.into()))?;
    let texts: StringArray = lines
        .lines()
        .zip(0..)
        .map(|(line, row)| array.is_valid(row).then(|| line.strip_prefix(HEAD).and_then(|l| l.strip_suffix('}')).unwrap_or(line)))
        .collect();
    Ok(Arc::new(texts))
}
