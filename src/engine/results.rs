//! The rows of a result table, batch by batch, within the query's time.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, DurationMicrosecondType, Field, Int64Type, IntervalUnit, Schema, SchemaRef, TimeUnit,
    TimestampMicrosecondType,
};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SessionContext;
use futures::StreamExt as _;
use tokio::sync::mpsc;

use super::deadline::{Deadline, spawn};
use super::failure::{is_out_of_memory, of_kql, of_sql};
use super::{ResultTable, spilling};
use crate::error::{Error, Result};
use kqlake_lake::spill::SpillFolder;
use kqlake_lake::{broken_file, is_of_decoder};
use kqlake_value::columns::{arrow_type, in_form};
use kqlake_value::texts::{displayed, json_texts};
use kqlake_value::{Column, MAX_DATETIME, Type, US_PER_DAY, us_of_datetime};

/// The running rows of a result table.
pub struct Rows {
    /// The last message is `None` or an error: without it the thread has ended before its query.
    batches: mpsc::Receiver<Result<Option<RecordBatch>>>,
    columns: Vec<Column>,
    deadline: Deadline,
    _spill: Arc<SpillFolder>,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl Rows {
    /// Starts a table's query on a thread of its own, which stays one batch ahead of the reader.
    pub(super) fn start(table: &ResultTable) -> Result<Rows> {
        let (sender, batches) = mpsc::channel(1);
        let query = Query::of(table);
        spawn(move || query.run(sender))?;
        Ok(Rows { batches, columns: table.columns.clone(), deadline: table.deadline.clone(), _spill: Arc::clone(&table.spill) })
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
        let batch = match self.deadline.bound(self.batches.recv()).await {
            Ok(batch) => batch,
            // The rows were complete in time; only their reader was not.
            Err(_) if matches!(self.batches.try_recv(), Ok(Ok(None))) => return Ok(None),
            Err(late) => return Err(late),
        };
        batch.unwrap_or_else(|| Err(Error::Defect("a thread of the query ended early".to_owned())))
    }
}

/// What is run for a result table.
pub(super) struct Query {
    pub(super) session: SessionContext,
    pub(super) plan: LogicalPlan,
    columns: Vec<Column>,
    schema: SchemaRef,
    memory_limit: usize,
    sql: bool,
    _memory: Arc<Vec<MemoryReservation>>,
}

impl Query {
    pub(super) fn of(table: &ResultTable) -> Query {
        let fields: Vec<Field> = table.columns.iter().map(|c| Field::new(&c.name, arrow_type(c.ty), true)).collect();
        Query {
            session: table.session.clone(),
            plan: table.plan.clone(),
            columns: table.columns.clone(),
            schema: Arc::new(Schema::new(fields)),
            memory_limit: table.memory_limit,
            sql: table.foreign_types,
            _memory: Arc::clone(&table.memory),
        }
    }

    /// What a failure of this query means.
    pub(super) fn failure(&self, err: DataFusionError) -> Error {
        // The decoder does not know which file it reads: the files are looked through for the broken one.
        let broken = if is_of_decoder(&err) { broken_file(&self.plan) } else { None };
        if let Some(lake) = broken {
            return lake.into();
        }
        if self.sql { of_sql(err, self.memory_limit) } else { of_kql(err, self.memory_limit) }
    }

    /// Hands out all batches, and an error as the last of them. Ends early when the receiver is dropped.
    async fn run(self, out: mpsc::Sender<Result<Option<RecordBatch>>>) {
        let work = async {
            match self.batches(&self.session, &out).await {
                // Some operators do not spill: one more try with others that do, while nothing is out yet.
                Err(Failed { err, another_plan: true }) if is_out_of_memory(&err) => {
                    tracing::info!("The query needs more memory than allowed: trying again with operators that spill.");
                    self.batches(&spilling::session(&self.session), &out).await
                }
                done => done,
            }
        };
        // Without a reader the work is dropped where it waits.
        let done = tokio::select! {
            done = work => done,
            () = out.closed() => return,
        };
        let end = done.map(|()| None).map_err(|failed| self.failure(failed.err));
        // The end of the batches is also the end of everything that belongs to them, temporary files included.
        drop(self);
        let _ = out.send(end).await;
    }

    async fn batches(&self, session: &SessionContext, out: &mpsc::Sender<Result<Option<RecordBatch>>>) -> Result<(), Failed> {
        let physical =
            session.state().create_physical_plan(&self.plan).await.map_err(|err| Failed { err, another_plan: false })?;
        let mut another_plan = spilling::makes_another(&physical);
        let mut stream = execute_stream(physical, session.task_ctx()).map_err(|err| Failed { err, another_plan })?;
        while let Some(batch) = stream.next().await {
            let batch = batch.and_then(|batch| Ok(self.in_result_form(&batch)?)).map_err(|err| Failed { err, another_plan })?;
            if batch.num_rows() == 0 {
                continue;
            }
            another_plan = false;
            if out.send(Ok(Some(batch))).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    fn in_result_form(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let arrays = batch
            .columns()
            .iter()
            .zip(&self.columns)
            .map(|(array, column)| {
                if self.sql && column.ty == Type::DateTime {
                    within_calendar(array)?;
                }
                let array = in_form_of(column.ty, array)?;
                // A string is never null to KQL, which shows in formats that have nulls.
                Ok(if column.ty == Type::String && !self.sql { without_nulls(&array) } else { array })
            })
            .collect::<Result<_, ArrowError>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
    }
}

/// Why a query ended early, and whether it may begin again with a plan that spills more: none of its rows is out then.
struct Failed {
    err: DataFusionError,
    another_plan: bool,
}

/// Refuses times before the year 1 and behind the year 9999, which SQL computes with and no format has a text for.
fn within_calendar(array: &ArrayRef) -> Result<(), ArrowError> {
    let (first, last) = (us_of_datetime(0), us_of_datetime(MAX_DATETIME));
    let is_within = match array.data_type() {
        DataType::Int64 => array.as_primitive::<Int64Type>().iter().flatten().all(|ticks| (0..=MAX_DATETIME).contains(&ticks)),
        DataType::Date32 => {
            let days = first.div_euclid(US_PER_DAY)..=last.div_euclid(US_PER_DAY);
            array.as_primitive::<Date32Type>().iter().flatten().all(|day| days.contains(&i64::from(day)))
        }
        _ => {
            let instants = cast(array, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
            instants.as_primitive::<TimestampMicrosecondType>().iter().flatten().all(|us| (first..=last).contains(&us))
        }
    };
    if is_within {
        return Ok(());
    }
    Err(ArrowError::ComputeError("a time of the result lies outside of the years 1 to 9999".to_owned()))
}

/// Texts with the empty one in the place of nulls.
fn without_nulls(array: &ArrayRef) -> ArrayRef {
    match array.as_string_opt::<i32>() {
        Some(texts) if texts.null_count() > 0 => {
            Arc::new(texts.iter().map(Option::unwrap_or_default).map(Some).collect::<StringArray>())
        }
        _ => Arc::clone(array),
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
        | DataType::Map(..) => json_texts(array),
        _ => in_form(array, ty).map_err(ArrowError::CastError),
    }
}
