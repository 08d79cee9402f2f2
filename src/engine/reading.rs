//! What a query that has run read, in words: files, row groups, pages and bytes, what left out the others, where the time went,
//! and which filters could not leave out anything.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::datasource::physical_plan::{FileScanConfig, FileSource as _, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::DataFusionError;
use datafusion::physical_expr::utils::{collect_columns, split_conjunction};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::metrics::{MetricValue, MetricsSet};

use kqlake_lake::{SCAN_BYTES, SCAN_FILES};
use kqlake_value::format;

/// Operators that are named for their time.
const NAMED_OPERATORS: usize = 3;

/// What a plan read, how long it was planned, and how long it ran.
pub(super) fn in_words(plan: &Arc<dyn ExecutionPlan>, planned: Duration, ran: Duration) -> Result<String, DataFusionError> {
    let mut out = String::new();
    let mut work: BTreeMap<String, Duration> = BTreeMap::new();
    plan.apply(|node| {
        let metrics = node.metrics();
        let nanos = metrics.as_ref().and_then(MetricsSet::elapsed_compute).unwrap_or(0);
        let mut time = Duration::from_nanos(nanos as u64);
        if let Some(scan) = node.downcast_ref::<DataSourceExec>()
            && let Some((config, source)) = scan.downcast_to_file_source::<ParquetSource>()
        {
            let figures = Figures(metrics.unwrap_or_default());
            time = Duration::from_nanos(figures.total("time_elapsed_processing"));
            describe(&mut out, config, source, &figures)?;
        } else if let Some(filter) = node.downcast_ref::<FilterExec>() {
            for part in split_conjunction(filter.predicate()) {
                let why = "it is over what an operator makes, and every row comes to it";
                let _ = writeln!(out, "Filter above the files: {part}; {why}.");
            }
        }
        *work.entry(node.name().to_owned()).or_default() += time;
        Ok(TreeNodeRecursion::Continue)
    })?;
    if out.is_empty() {
        out.push_str("No file was read.\n");
    }
    let mut work: Vec<(String, Duration)> = work.into_iter().filter(|(_, time)| *time >= Duration::from_micros(1)).collect();
    work.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
    let named = work.iter().take(NAMED_OPERATORS).map(|(name, time)| match name.as_str() {
        "DataSourceExec" => format!("reading {}", millis(*time)),
        _ => format!("{name} {}", millis(*time)),
    });
    let named: Vec<String> = named.collect();
    let _ = write!(out, "Time: {} to plan, {} to run", millis(planned), millis(ran));
    if !named.is_empty() {
        let _ = write!(out, "; of all threads together: {}", named.join(", "));
    }
    out.push_str(".\n");
    Ok(out)
}

/// One scan.
fn describe(out: &mut String, config: &FileScanConfig, source: &ParquetSource, figures: &Figures) -> Result<(), DataFusionError> {
    let mut paths: Vec<&str> =
        config.file_groups.iter().flat_map(|group| group.files()).map(|file| file.object_meta.location.as_ref()).collect();
    paths.sort_unstable();
    paths.dedup();
    let table = paths.first().map_or("", |path| table_of(path));
    let chosen = paths.len() as u64;
    let all = figures.total(SCAN_FILES).max(chosen);
    let (groups, no_group) = figures.divided("row_groups_pruned_statistics");
    let (_, no_bloom) = figures.divided("row_groups_pruned_bloom_filter");
    let (pages, no_page) = figures.divided("page_index_pages_pruned");
    let by_row = figures.total("pushdown_rows_pruned");
    let dynamic = figures.total("row_groups_pruned_dynamic_filter");
    let rows = figures.rows();
    let _ = write!(out, "{table}: {chosen} of {all} files were opened");
    if groups + no_group > 0 {
        let _ = write!(out, ", {} of {} row groups read", (groups).saturating_sub(no_bloom + dynamic), groups + no_group);
    }
    if pages + no_page > 0 {
        let _ = write!(out, ", {pages} of {} pages looked at", pages + no_page);
    }
    let bytes = figures.total("bytes_scanned");
    let _ = writeln!(out, ", {} of {}; {rows} rows came out.", format::size(bytes), format::size(figures.total(SCAN_BYTES)));
    let left_out = [
        (all - chosen, "files by their months and bounds in the log, or since a limit needs no more"),
        (no_group, "row groups by their bounds"),
        (no_bloom, "row groups by Bloom filters"),
        (dynamic, "row groups by what the query had found"),
        (no_page, "pages by their bounds"),
        (by_row, "rows while reading, before other columns were decoded"),
    ];
    let left_out: Vec<String> = left_out.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    if !left_out.is_empty() {
        let _ = writeln!(out, "  Left out: {}.", left_out.join("; "));
    }
    let schema = source.table_schema().table_schema();
    for part in source.filter().iter().flat_map(split_conjunction) {
        let pruning = PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema)).try_build(Arc::clone(part));
        let columns = collect_columns(part);
        let of_reals = columns.iter().all(|column| schema.field(column.index()).data_type().is_floating());
        if !of_reals && pruning.is_ok_and(|pruning| !pruning.always_true()) {
            let _ = writeln!(out, "  Filter on the files: {part}.");
        } else {
            let why = match of_reals && !columns.is_empty() {
                true => "it leaves out no file or page, since bounds of reals do not tell of NaN",
                false => "it leaves out no file or page, since it is computed from values and bounds do not tell",
            };
            let _ = writeln!(out, "  Filter row by row: {part}; {why}.");
        }
    }
    Ok(())
}

/// The table that a file is of: the folder above its month or day.
fn table_of(path: &str) -> &str {
    let mut parts = path.split('/').rev().skip_while(|part| !part.starts_with("event_"));
    parts.nth(1).unwrap_or(path)
}

/// The figures of a scan.
#[derive(Default)]
struct Figures(MetricsSet);

impl Figures {
    fn named(&self, name: &str) -> impl Iterator<Item = &MetricValue> {
        self.0.iter().map(|metric| metric.value()).filter(move |value| value.name() == name)
    }

    fn total(&self, name: &str) -> u64 {
        self.named(name).map(|value| value.as_usize() as u64).sum()
    }

    /// What of something was kept, and what was left out.
    fn divided(&self, name: &str) -> (u64, u64) {
        let parts = self.named(name).filter_map(|value| match value {
            MetricValue::PruningMetrics { pruning_metrics, .. } => Some(pruning_metrics),
            _ => None,
        });
        parts.fold((0, 0), |(kept, out), part| (kept + part.matched() as u64, out + part.pruned() as u64))
    }

    fn rows(&self) -> u64 {
        self.0.output_rows().unwrap_or(0) as u64
    }
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
