//! Sessions: DataFusion with our limits and settings.
//!
//! A KQL session is lean on purpose: lowering names the functions it uses itself, so that nothing is registered, and a
//! query that touches no table starts in a few milliseconds. SQL needs the registries.

use std::num::NonZeroUsize;
use std::sync::Arc;

use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider};
use datafusion::execution::memory_pool::TrackConsumersPool;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SessionStateBuilder, SessionStateDefaults};
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::sql::{CATALOG, INFORMATION, Information, LakeSchema, Operators, PUBLIC, Types, functions};
use super::{EngineOptions, long_texts, rules};
use crate::error::{Error, Result};
use kqlake_lake::memory::{SORT_RESERVATION, SharedPool};
use kqlake_lake::spill::SpillFolder;

/// How many of the greediest operators an out-of-memory message names.
const NAMED_CONSUMERS: NonZeroUsize = NonZeroUsize::new(3).expect("3 is not 0");

/// A session for KQL plans, whose operators spill to a folder.
pub(super) fn for_kql(options: &EngineOptions, spill: &SpillFolder) -> Result<SessionContext> {
    let builder = SessionStateBuilder::new().with_config(config(options, false)).with_runtime_env(runtime(options, spill)?);
    Ok(SessionContext::new_with_state(rules::install(builder).build()))
}

/// A session for SQL, with all functions, whose default schema is the lake.
pub(super) fn for_sql(
    options: &EngineOptions,
    spill: &SpillFolder,
    schema: Arc<LakeSchema>,
    now_us: i64,
) -> Result<SessionContext> {
    let builder = SessionStateBuilder::new_with_default_features()
        .with_config(config(options, false))
        .with_runtime_env(runtime(options, spill)?);
    let builder = long_texts::guard_concatenation(rules::install_for_sql(rules::install(builder)), options.memory_limit);
    let mut planners = vec![Arc::new(Operators { now_us }) as Arc<dyn ExprPlanner>];
    planners.extend(SessionStateDefaults::default_expr_planners());
    let session = SessionContext::new_with_state(builder.with_expr_planners(planners).with_type_planner(Arc::new(Types)).build());
    functions(now_us).into_iter().for_each(|function| session.register_udf(function));
    long_texts::guard_functions(&session, options.memory_limit);
    let catalog = MemoryCatalogProvider::new();
    let failed = |err| Error::Defect(format!("cannot set up the catalog: {err}"));
    catalog.register_schema(INFORMATION, Arc::new(Information::of(Arc::clone(&schema)))).map_err(failed)?;
    catalog.register_schema(PUBLIC, schema).map_err(failed)?;
    session.register_catalog(CATALOG, Arc::new(catalog));
    Ok(session)
}

fn config(options: &EngineOptions, default_catalog: bool) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_batch_size(batch_size(options))
        .with_default_catalog_and_schema(CATALOG, PUBLIC)
        .with_create_default_catalog_and_schema(default_catalog)
        .with_information_schema(false);
    if let Some(partitions) = options.partitions {
        config = config.with_target_partitions(partitions);
    }
    let settings = config.options_mut();
    settings.execution.time_zone = Some("UTC".to_owned());
    settings.execution.sort_spill_reservation_bytes = SORT_RESERVATION;
    // A union whose branch is found empty loses the metadata of that branch's columns, which has no bearing on rows.
    settings.execution.skip_physical_aggregate_schema_check = true;
    // KQL and the tables' names are case-sensitive; SQL must see the same names.
    settings.sql_parser.enable_ident_normalization = false;
    settings.execution.parquet.pruning = options.pruning;
    settings.execution.parquet.enable_page_index = options.pruning;
    settings.execution.parquet.bloom_filter_on_read = options.pruning;
    settings.optimizer.enable_dynamic_filter_pushdown = options.pruning;
    // DataFusion 55 makes such a filter from those aggregates that are of a column, also where others are of an expression, and
    // drops rows that these need: `max(timestamp), max(tostring(x))`.
    settings.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    config
}

/// Bytes of a partition's share for each row of a batch: two streams that are merged from disk hold two batches each, with
/// their copies, and a row of telemetry has one to four KiB.
const SHARE_OF_A_ROW: usize = 32 << 10;
/// Fewer rows than this make everything slow and save nothing.
const LEAST_BATCH: usize = 64;

/// Bytes of text that a column of a batch may have in any case.
const LEAST_TEXT: usize = 64 << 20;

/// Rows of a batch: as asked for, fewer when little memory is shared by many partitions.
fn batch_size(options: &EngineOptions) -> usize {
    let affordable = options.memory_limit / partitions(options) / SHARE_OF_A_ROW;
    options.batch_size.min(affordable.max(LEAST_BATCH))
}

/// Bytes of text that a column of a batch may have where a function of KQL makes it: a partition's share, and not less than a
/// quarter of all, since a long text is rarely in each of many partitions. However little memory there is, a full batch of rows
/// of telemetry has room.
pub(super) fn text_budget(options: &EngineOptions) -> usize {
    (options.memory_limit / partitions(options).min(4)).max(LEAST_TEXT)
}

fn partitions(options: &EngineOptions) -> usize {
    let threads = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    options.partitions.unwrap_or_else(threads).max(1)
}

fn runtime(options: &EngineOptions, spill: &SpillFolder) -> Result<Arc<RuntimeEnv>> {
    let pool = TrackConsumersPool::new(SharedPool::new(options.memory_limit), NAMED_CONSUMERS);
    spill.runtime(Arc::new(pool)).map_err(|err| Error::Defect(format!("cannot set up the engine: {err}")))
}
