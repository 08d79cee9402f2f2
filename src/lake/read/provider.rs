//! Scans of a table: a plain Parquet scan over the files that can hold wanted rows.
//!
//! Files are left out by their month and by their bounds in the log. A declared order, exact counts and exact bounds reach
//! the optimizer only where every chosen file's tags vouch for them.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, BooleanArray, Date32Array, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::config::TableParquetOptions;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{Column, ColumnStatistics, DFSchema, DataFusionError, Result, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, FileSource as _, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::metrics::MetricBuilder;
use object_store::ObjectMeta;
use object_store::path::Path as StorePath;

use super::foreign::{becomes_text, scan_field, with_texts};
use super::readers::{KeptColumns, LakeReaders};
use super::snapshot::{LiveFile, TableSnapshot};
use crate::data::file::check_file;
use crate::tables::EVENT_MONTH;
use kqlake_value::clock::instant_of_us;

/// Chains of files that follow one another in time; beyond this many a declared order costs more than it saves.
const MOST_CHAINS: usize = 32;

/// The figure of a scan that says how many files the table has.
pub const SCAN_FILES: &str = "files_of_table";
/// The figure of a scan that says how many bytes they have.
pub const SCAN_BYTES: &str = "bytes_of_table";

/// A table provider of one version of a table.
#[derive(Debug)]
pub(crate) struct LakeTable {
    snapshot: TableSnapshot,
    /// The positions of the files to look at; all when absent.
    only: Option<HashSet<usize>>,
    /// True when columns are given as KQL takes them.
    kql: bool,
    /// True when the order of files is declared, so that files can be merged.
    merging: bool,
}

impl LakeTable {
    /// A provider of all rows of a snapshot.
    pub(crate) fn new(snapshot: TableSnapshot) -> Self {
        LakeTable { snapshot, only: None, kql: false, merging: false }
    }

    /// The same with columns as KQL takes them.
    pub(crate) fn for_kql(snapshot: TableSnapshot) -> Self {
        LakeTable { snapshot, only: None, kql: true, merging: false }
    }

    /// A provider of the rows of some files, by their positions in the snapshot.
    pub(crate) fn of_files(snapshot: TableSnapshot, only: HashSet<usize>) -> Self {
        LakeTable { snapshot, only: Some(only), kql: false, merging: false }
    }

    /// The same with every file's rows in their order, where all files have the order of files.
    pub(crate) fn merging(snapshot: TableSnapshot, only: HashSet<usize>) -> Self {
        LakeTable { merging: true, ..Self::of_files(snapshot, only) }
    }

    /// The snapshot that a provider gives the rows of; `None` for a provider of something else.
    pub(crate) fn snapshot_of(provider: &dyn TableProvider) -> Option<&TableSnapshot> {
        provider.downcast_ref::<LakeTable>().map(LakeTable::snapshot)
    }

    /// The snapshot.
    pub(crate) fn snapshot(&self) -> &TableSnapshot {
        &self.snapshot
    }

    /// True for a filter on a column whose values the scan cannot compare: they become text above it.
    fn is_of_texts(&self, filter: &Expr) -> bool {
        let texts = |name: &str| self.snapshot.foreign().any(|field| field.name() == name && becomes_text(field));
        self.kql && filter.column_refs().iter().any(|column| texts(&column.name))
    }
}

impl TableSnapshot {
    /// A provider of this version, its columns as they are at rest.
    pub fn provider(&self) -> Arc<dyn TableProvider> {
        Arc::new(LakeTable::new(self.clone()))
    }

    /// Providers of the rows of the files in which all of some promoted columns can answer for their bags, and of the others,
    /// their columns as KQL takes them.
    pub fn kql_parts(&self, columns: &[&str]) -> (Arc<dyn TableProvider>, Arc<dyn TableProvider>) {
        let answers = |file: &LiveFile| columns.iter().all(|column| file.promoted.complete(self.def(), column));
        let (answering, others): (HashSet<usize>, HashSet<usize>) =
            (0..self.files().len()).partition(|at| answers(&self.files()[*at]));
        let of = |only| Arc::new(LakeTable { kql: true, ..LakeTable::of_files(self.clone(), only) });
        (of(answering), of(others))
    }

    /// A provider of this version, its columns as KQL takes them.
    pub fn kql_provider(&self) -> Arc<dyn TableProvider> {
        Arc::new(LakeTable::for_kql(self.clone()))
    }
}

/// True for a filter that the month of a file alone decides.
fn decided_by_month(filter: &Expr) -> bool {
    let columns = filter.column_refs();
    !columns.is_empty() && columns.iter().all(|c| c.name == EVENT_MONTH) && !filter.is_volatile()
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        if self.kql { self.snapshot.kql_schema().clone() } else { self.snapshot.schema().clone() }
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|filter| match filter {
                filter if decided_by_month(filter) => TableProviderFilterPushDown::Exact,
                filter if self.is_of_texts(filter) => TableProviderFilterPushDown::Unsupported,
                _ => TableProviderFilterPushDown::Inexact,
            })
            .collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let view = ScanColumns::new(&self.snapshot, self.kql, projection, filters);
        let mut files: Vec<&LiveFile> = self
            .snapshot
            .files()
            .iter()
            .enumerate()
            .filter(|(at, _)| self.only.as_ref().is_none_or(|only| only.contains(at)))
            .map(|(_, file)| file)
            .collect();
        let (by_month, by_row): (Vec<Expr>, Vec<Expr>) = filters.iter().cloned().partition(decided_by_month);
        keep_months(state, &by_month, &mut files)?;
        keep_bounds(state, &view, &by_row, &mut files)?;
        if by_row.is_empty()
            && let Some(limit) = limit
        {
            keep_enough(limit, &mut files);
        }
        if files.is_empty() {
            let schema = match projection {
                Some(columns) => Arc::new(self.schema().project(columns)?),
                None => self.schema(),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let table = self.snapshot.def().name;
        files
            .iter()
            .try_for_each(|file| check_file(table, self.snapshot.dir(), &file.entry))
            .map_err(|e| DataFusionError::External(Box::new(e)))?;
        let plan = view.plan(state, files, &by_row, limit, self.merging)?;
        if self.kql { with_texts(plan, &Arc::new(state.config_options().clone())) } else { Ok(plan) }
    }
}

/// The part of a table's columns that a scan needs.
///
/// Scans describe every file's statistics for every column of their schema: with hundreds of columns and hundreds of
/// files that alone would take longer than many queries.
struct ScanColumns<'a> {
    snapshot: &'a TableSnapshot,
    /// Positions in the snapshot's schema of the view's file columns.
    columns: Vec<usize>,
    table: TableSchema,
    /// Positions in the view of what the scan gives.
    projection: Vec<usize>,
}

impl<'a> ScanColumns<'a> {
    fn new(snapshot: &'a TableSnapshot, kql: bool, projection: Option<&Vec<usize>>, filters: &[Expr]) -> Self {
        let schema = snapshot.schema();
        // The partition column comes last.
        let month = schema.fields().len() - 1;
        let wanted: Vec<usize> = match projection {
            Some(columns) => columns.clone(),
            None => (0..schema.fields().len()).collect(),
        };
        let mut needed: BTreeSet<usize> = wanted.iter().copied().collect();
        for filter in filters {
            needed.extend(filter.column_refs().iter().filter_map(|c| schema.index_of(&c.name).ok()));
        }
        needed.remove(&month);
        let columns: Vec<usize> = needed.into_iter().collect();
        let known = |field: &FieldRef| !kql || snapshot.def().index_of(field.name()).is_some();
        let field = |at: &usize| match &schema.fields()[*at] {
            field if known(field) => field.clone(),
            field => scan_field(field),
        };
        let file = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
        let table = TableSchema::builder(Arc::new(file)).with_table_partition_cols(vec![schema.fields()[month].clone()]).build();
        let projection = wanted.iter().map(|at| columns.iter().position(|c| c == at).unwrap_or(columns.len())).collect();
        ScanColumns { snapshot, columns, table, projection }
    }

    fn plan(
        &self,
        state: &dyn Session,
        files: Vec<&LiveFile>,
        filters: &[Expr],
        limit: Option<usize>,
        merging: bool,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let def = self.snapshot.def();
        let schema = self.table.table_schema().clone();
        let target = state.config().target_partitions().max(1);
        let order: Vec<&str> = if merging { def.order().collect() } else { vec![def.time] };
        let has_order = order.iter().all(|name| schema.index_of(name).is_ok());
        let (groups, ordered) = if merging {
            let ordered = has_order && files.iter().all(|f| f.clustered);
            (files.into_iter().map(|file| vec![file]).collect(), ordered)
        } else {
            let ordered = has_order && files.iter().all(|f| f.sorted);
            group(files, target, ordered)
        };
        let folder = StorePath::from_absolute_path(self.snapshot.dir()).map_err(|e| DataFusionError::External(Box::new(e)))?;
        // Filters that rows decide may leave fewer rows than any limit says.
        let limit = limit.filter(|_| filters.is_empty());
        let mut kept = KeptOfFiles { schema: &schema, few_rows: limit.is_some(), known: Vec::new() };
        let groups: Vec<Vec<PartitionedFile>> = groups
            .into_iter()
            .map(|files| files.into_iter().map(|f| self.partitioned(&folder, f, &mut kept)).collect::<Result<_>>())
            .collect::<Result<_>>()?;
        let statistics = Statistics::try_merge_iter(groups.iter().flatten().filter_map(|f| f.statistics.as_deref()), &schema)?;
        let ordering = if ordered {
            let order = order.iter().map(|name| Ok(PhysicalSortExpr::new_default(col(name, &schema)?)));
            LexOrdering::new(order.collect::<Result<Vec<_>>>()?).into_iter().collect()
        } else {
            Vec::new()
        };

        let store_url = ObjectStoreUrl::local_filesystem();
        let options =
            TableParquetOptions { global: state.config_options().execution.parquet.clone(), ..TableParquetOptions::default() };
        let source = ParquetSource::new(self.table.clone())
            .with_table_parquet_options(options)
            // Rows that no filter passes, those of a limit included, are not decoded: columns are read late.
            .with_pushdown_filters(true)
            .with_reorder_filters(true)
            .with_parquet_file_reader_factory(Arc::new(LakeReaders { table: def.name }));
        // What the log left out, nobody after this would know.
        let all = self.snapshot.files();
        let figure = |name: &'static str, value: u64| {
            let value = usize::try_from(value).unwrap_or(usize::MAX);
            MetricBuilder::new(source.metrics()).global_counter(name).add(value);
        };
        figure(SCAN_FILES, all.len() as u64);
        figure(SCAN_BYTES, all.iter().map(LiveFile::size).sum());
        let config = FileScanConfigBuilder::new(store_url, Arc::new(source))
            .with_file_groups(groups.into_iter().map(FileGroup::new).collect())
            .with_projection_indices(Some(self.projection.clone()))?
            .with_output_ordering(ordering)
            .with_statistics(statistics)
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    fn partitioned(&self, folder: &StorePath, file: &LiveFile, kept: &mut KeptOfFiles<'_>) -> Result<PartitionedFile> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"=-_./".contains(&b);
        let location = if file.path().bytes().all(plain) {
            StorePath::parse(format!("{folder}/{}", file.path()))
        } else {
            StorePath::from_absolute_path(self.snapshot.dir().join(Path::new(file.path())))
        }
        .map_err(|e| DataFusionError::External(Box::new(e)))?;
        let mut out = PartitionedFile::new_from_meta(ObjectMeta {
            location,
            last_modified: instant_of_us(file.entry.modified.saturating_mul(1_000)).into(),
            size: file.size(),
            e_tag: None,
            version: None,
        });
        if let Some(schema) = &file.file_schema {
            // Its fields are then the table's in every respect, which spares a conversion of every column.
            out = match kept.of(schema) {
                Some(kept) => {
                    out.extensions.insert_arc(Arc::clone(&kept));
                    out.with_arrow_schema(Arc::clone(kept.schema()))
                }
                None => out.with_arrow_schema(Arc::clone(schema)),
            };
        }
        // Partition values first: the statistics take theirs from them.
        Ok(out
            .with_partition_values(vec![ScalarValue::Date32(Some(file.partition.month()))])
            .with_statistics(Arc::new(self.statistics(file))))
    }

    fn statistics(&self, file: &LiveFile) -> Statistics {
        let column_statistics = self
            .columns
            .iter()
            .map(|at| {
                let mut out = ColumnStatistics::new_unknown();
                if let Some(bounds) = file.bounds.get(at) {
                    let precise = |value: &Option<ScalarValue>| match value {
                        Some(value) if bounds.exact => Precision::Exact(value.clone()),
                        Some(value) => Precision::Inexact(value.clone()),
                        None => Precision::Absent,
                    };
                    out.min_value = precise(&bounds.least);
                    out.max_value = precise(&bounds.greatest);
                    if let Some(nulls) = bounds.nulls.and_then(|n| usize::try_from(n).ok()) {
                        out.null_count = Precision::Exact(nulls);
                    }
                }
                out
            })
            .collect();
        Statistics {
            num_rows: file.rows.and_then(|n| usize::try_from(n).ok()).map_or(Precision::Absent, Precision::Exact),
            total_byte_size: Precision::Absent,
            column_statistics,
        }
    }
}

/// What a scan keeps of the columns of its files, most of which have the same few sets of columns.
struct KeptOfFiles<'a> {
    /// The columns of the scan.
    schema: &'a Schema,
    /// True when a few rows are wanted.
    few_rows: bool,
    known: Vec<(SchemaRef, Option<Arc<KeptColumns>>)>,
}

impl KeptOfFiles<'_> {
    fn of(&mut self, file: &SchemaRef) -> Option<Arc<KeptColumns>> {
        if let Some((_, known)) = self.known.iter().find(|(known, _)| Arc::ptr_eq(known, file)) {
            return known.clone();
        }
        let wanted = |name: &str| self.schema.index_of(name).is_ok();
        let kept = KeptColumns::of(file, wanted, self.few_rows).map(Arc::new);
        self.known.push((Arc::clone(file), kept.clone()));
        kept
    }
}

/// Keeps the files whose month passes filters that only look at the month.
fn keep_months(state: &dyn Session, filters: &[Expr], files: &mut Vec<&LiveFile>) -> Result<()> {
    let Some(filter) = conjunction(filters.to_vec()) else { return Ok(()) };
    let Some(month) = files.first().map(|_| arrow::datatypes::Field::new(EVENT_MONTH, DataType::Date32, false)) else {
        return Ok(());
    };
    let schema = Arc::new(Schema::new(vec![month]));
    let months = Date32Array::from_iter_values(files.iter().map(|f| f.partition.month()));
    let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(months)])?;
    let filter = state.create_physical_expr(filter, &DFSchema::try_from(schema)?)?;
    let passed = filter.evaluate(&batch)?.into_array(batch.num_rows())?;
    let passed: &BooleanArray = passed
        .as_boolean_opt()
        .ok_or_else(|| DataFusionError::Internal(format!("a filter on {EVENT_MONTH} is no truth value")))?;
    let mut passed = passed.iter();
    files.retain(|_| passed.next().flatten() == Some(true));
    Ok(())
}

/// Keeps the files that may hold rows which pass the filters.
fn keep_bounds(state: &dyn Session, view: &ScanColumns<'_>, filters: &[Expr], files: &mut Vec<&LiveFile>) -> Result<()> {
    let Some(filter) = conjunction(filters.to_vec()) else { return Ok(()) };
    let schema = view.table.table_schema().clone();
    let filter = state.create_physical_expr(filter, &DFSchema::try_from(schema.clone())?)?;
    // A filter that cannot be turned into one on bounds leaves out nothing.
    let Ok(pruning) = PruningPredicateBuilder::new().with_file_schema(schema.clone()).try_build(filter) else {
        return Ok(());
    };
    if pruning.always_true() {
        return Ok(());
    }
    let Ok(kept) = pruning.prune(&FileBounds { schema: &schema, view, files: files.as_slice() }) else { return Ok(()) };
    let mut kept = kept.into_iter();
    files.retain(|_| kept.next().unwrap_or(true));
    Ok(())
}

/// Keeps only as many files as are needed for a number of rows.
fn keep_enough(limit: usize, files: &mut Vec<&LiveFile>) {
    let mut rows = 0u64;
    let enough = files.iter().position(|file| {
        rows = rows.saturating_add(file.rows.unwrap_or(0));
        rows >= limit as u64
    });
    if let Some(last) = enough {
        files.truncate(last + 1);
    }
}

/// The bounds of files, for pruning. Unlike the optimizer's statistics these may be wider than the values.
struct FileBounds<'a> {
    schema: &'a Schema,
    view: &'a ScanColumns<'a>,
    files: &'a [&'a LiveFile],
}

impl FileBounds<'_> {
    fn values(&self, column: &Column, bound: impl Fn(&LiveFile, usize) -> Option<ScalarValue>) -> Option<ArrayRef> {
        let at = self.schema.index_of(&column.name).ok()?;
        if at == self.view.columns.len() {
            return Some(Arc::new(Date32Array::from_iter_values(self.files.iter().map(|f| f.partition.month()))));
        }
        let position = self.view.columns[at];
        let null = ScalarValue::try_from(self.schema.field(at).data_type()).ok()?;
        let mut known = false;
        let values: Vec<ScalarValue> = self
            .files
            .iter()
            .map(|file| {
                let value = bound(file, position);
                known |= value.is_some();
                value.unwrap_or_else(|| null.clone())
            })
            .collect();
        if known { ScalarValue::iter_to_array(values).ok() } else { None }
    }
}

impl PruningStatistics for FileBounds<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.values(column, |file, at| file.bounds.get(&at)?.least.clone())
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.values(column, |file, at| file.bounds.get(&at)?.greatest.clone())
    }

    fn num_containers(&self) -> usize {
        self.files.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let at = self.schema.index_of(&column.name).ok()?;
        if at == self.view.columns.len() {
            return Some(Arc::new(UInt64Array::from(vec![0; self.files.len()])));
        }
        let position = self.view.columns[at];
        let counts: UInt64Array = self.files.iter().map(|f| f.bounds.get(&position).and_then(|b| b.nulls)).collect();
        Some(Arc::new(counts))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.files.iter().map(|f| f.rows).collect::<UInt64Array>()))
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

/// Distributes files over about `target` partitions. In order, the files of a partition follow one another in time.
/// Gives the partitions and whether they are in order.
fn group(mut files: Vec<&LiveFile>, target: usize, ordered: bool) -> (Vec<Vec<&LiveFile>>, bool) {
    if ordered {
        let time = |f: &LiveFile| f.time.unwrap_or((i64::MIN, i64::MAX));
        files.sort_by(|a, b| time(a).cmp(&time(b)).then_with(|| a.path().cmp(b.path())));
        let mut chains: Vec<Vec<&LiveFile>> = Vec::new();
        for &file in &files {
            let fits = |chain: &&mut Vec<&LiveFile>| chain.last().is_some_and(|last| time(last).1 <= time(file).0);
            match chains.iter_mut().find(fits) {
                Some(chain) => chain.push(file),
                None => chains.push(vec![file]),
            }
        }
        if chains.len() <= MOST_CHAINS.max(target) {
            // Cut the largest chains in two until every partition has work.
            while chains.len() < target {
                let size = |chain: &Vec<&LiveFile>| chain.iter().map(|f| f.size()).sum::<u64>();
                let Some(at) = (0..chains.len()).filter(|at| chains[*at].len() > 1).max_by_key(|at| size(&chains[*at])) else {
                    break;
                };
                let half = size(&chains[at]) / 2;
                let mut before = 0;
                let cut = chains[at]
                    .iter()
                    .position(|f| {
                        before += f.size();
                        before >= half
                    })
                    .map_or(1, |at| at + 1)
                    .clamp(1, chains[at].len() - 1);
                let rest = chains[at].split_off(cut);
                chains.push(rest);
            }
            return (chains, true);
        }
    }
    // The largest first, each to the partition that has least so far.
    files.sort_by_key(|f| std::cmp::Reverse(f.size()));
    let mut groups: Vec<(u64, Vec<&LiveFile>)> = vec![(0, Vec::new()); target.min(files.len())];
    for file in files {
        if let Some(group) = groups.iter_mut().min_by_key(|g| g.0) {
            group.0 += file.size().max(1);
            group.1.push(file);
        }
    }
    (groups.into_iter().map(|g| g.1).collect(), false)
}
