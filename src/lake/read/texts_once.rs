//! Filters over one column of text, computed once for each text of a batch.
//!
//! Columns of text repeat themselves (a stack trace, a message), and are at rest as numbers of a dictionary's texts. Where such a
//! column is only searched, and no column of the answer, its texts need not be copied for every row: the column is read as views,
//! and rows with the same view have the same text.

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Display, Formatter};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch, StringArray, StringViewArray, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder, FileSource as _, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::expressions::{CastExpr, Column, DynamicFilterPhysicalExpr};
use datafusion::physical_expr::utils::{collect_columns, split_conjunction};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr, conjunction};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;

use super::readers::KeptColumns;
use kqlake_value::hashed::BuildKeyHasher;

/// Has searches of texts at rest computed once for each text. For the end of the optimizer's rules: which columns a scan gives, and
/// which filters it has, is only then known.
#[derive(Debug)]
pub struct TextsOnce;

impl PhysicalOptimizerRule for TextsOnce {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_down(|plan| {
            let scan = plan.downcast_ref::<DataSourceExec>().and_then(DataSourceExec::downcast_to_file_source::<ParquetSource>);
            Ok(match scan.and_then(|(config, source)| with_texts_once(config, source)) {
                Some(scan) => Transformed::yes(scan as Arc<dyn ExecutionPlan>),
                None => Transformed::no(plan),
            })
        })
        .data()
    }

    fn name(&self) -> &str {
        "TextsOnce"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The same scan with its searches computed once for each text; `None` where it has none, or is not one of the lake.
fn with_texts_once(config: &FileScanConfig, source: &ParquetSource) -> Option<Arc<DataSourceExec>> {
    let predicate = source.filter()?;
    let parts = split_conjunction(&predicate);
    let searched = searched_columns(source, &parts);
    if searched.is_empty() || !config.file_groups.iter().flat_map(FileGroup::iter).all(|file| schema_of_kept(file).is_some()) {
        return None;
    }
    let schema = source.table_schema().table_schema();
    let parts = parts.into_iter().map(|part| match column_alone(part) {
        Some(column) if searched.contains(&column.index()) => OncePerText::of(part, &column),
        _ => Some(Arc::clone(part)),
    });
    let parts = parts.collect::<Option<Vec<_>>>()?;
    let names: HashSet<&str> = searched.iter().map(|at| schema.field(*at).name().as_str()).collect();
    let mut known: Vec<(SchemaRef, SchemaRef)> = Vec::new();
    let mut as_views = |schema: &SchemaRef| {
        if let Some((_, views)) = known.iter().find(|(known, _)| Arc::ptr_eq(known, schema)) {
            return Arc::clone(views);
        }
        let views = Arc::new(with_views(schema, &names));
        known.push((Arc::clone(schema), Arc::clone(&views)));
        views
    };
    let mut with_schema = |file: &PartitionedFile| match schema_of_kept(file) {
        Some(schema) => file.clone().with_arrow_schema(as_views(schema)),
        None => file.clone(),
    };
    let groups: Vec<FileGroup> =
        config.file_groups.iter().map(|group| FileGroup::new(group.iter().map(&mut with_schema).collect())).collect();
    let source = source.with_predicate(conjunction(parts));
    let config = FileScanConfigBuilder::from(config.clone()).with_source(Arc::new(source)).with_file_groups(groups).build();
    Some(DataSourceExec::from_data_source(config))
}

/// The schema of a file of which the scan knows the columns.
fn schema_of_kept(file: &PartitionedFile) -> Option<&SchemaRef> {
    file.arrow_schema.as_ref().filter(|_| file.extension::<KeptColumns>().is_some())
}

/// Columns of text that filters search, each by itself, and that are used for nothing else. Filters that bounds can decide stay as
/// they are, since bounds are looked up by columns.
fn searched_columns(source: &ParquetSource, parts: &[&Arc<dyn PhysicalExpr>]) -> HashSet<usize> {
    let schema = source.table_schema();
    let given: HashSet<usize> = source.projection().map(|given| given.column_indices().into_iter().collect()).unwrap_or_default();
    let is_text = |at: usize| schema.file_schema().fields().get(at).is_some_and(|field| *field.data_type() == DataType::Utf8);
    let (mut searched, mut others) = (HashSet::new(), given);
    for part in parts {
        match column_alone(part) {
            Some(column) if is_text(column.index()) && is_search(part) && !is_decided_by_bounds(part, schema.table_schema()) => {
                searched.insert(column.index());
            }
            _ => others.extend(collect_columns(part).iter().map(Column::index)),
        }
    }
    searched.retain(|at| !others.contains(at));
    searched
}

/// The only column of an expression.
fn column_alone(expr: &Arc<dyn PhysicalExpr>) -> Option<Column> {
    let mut columns = collect_columns(expr).into_iter();
    columns.next().filter(|_| columns.next().is_none())
}

/// True for an expression with a function in it that gives the same for the same text.
fn is_search(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let has = |test: fn(&Arc<dyn PhysicalExpr>) -> bool| expr.exists(|node| Ok(test(node))).unwrap_or(false);
    has(|node| node.is::<ScalarFunctionExpr>()) && !has(|node| node.is::<DynamicFilterPhysicalExpr>() || node.is_volatile_node())
}

fn is_decided_by_bounds(expr: &Arc<dyn PhysicalExpr>, schema: &SchemaRef) -> bool {
    let pruning = PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema)).try_build(Arc::clone(expr));
    pruning.is_ok_and(|pruning| !pruning.always_true())
}

/// A file's schema with some columns of text read as views.
fn with_views(schema: &Schema, names: &HashSet<&str>) -> Schema {
    let fields = schema.fields().iter().map(|field| match names.contains(field.name().as_str()) {
        true => Arc::new(Field::clone(field).with_data_type(DataType::Utf8View)),
        false => Arc::clone(field),
    });
    Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone())
}

/// An expression over one column of text, computed once for each text of a batch.
#[derive(Debug, Clone, Eq)]
struct OncePerText {
    /// The expression, whose column is the only one of its batches.
    inner: Arc<dyn PhysicalExpr>,
    /// The column's name in the expression.
    name: String,
    /// What gives the column's texts.
    text: Arc<dyn PhysicalExpr>,
}

// Not derived: the derived comparison would move the expressions.
impl PartialEq for OncePerText {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner) && self.name == other.name && self.text.eq(&other.text)
    }
}

impl Hash for OncePerText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.inner, &self.name, &self.text).hash(state);
    }
}

impl OncePerText {
    /// `None` where the expression cannot be given its column alone.
    fn of(expr: &Arc<dyn PhysicalExpr>, column: &Column) -> Option<Arc<dyn PhysicalExpr>> {
        let alone: Arc<dyn PhysicalExpr> = Arc::new(Column::new(column.name(), 0));
        let inner = Arc::clone(expr).transform_up(|node| {
            Ok(if node.is::<Column>() { Transformed::yes(Arc::clone(&alone)) } else { Transformed::no(node) })
        });
        let (inner, name, text) = (inner.data().ok()?, column.name().to_owned(), Arc::new(column.clone()));
        Some(Arc::new(OncePerText { inner, name, text }))
    }

    /// The values of some texts.
    fn of_texts(&self, texts: ArrayRef) -> Result<ArrayRef> {
        let rows = texts.len();
        let schema = Schema::new(vec![Field::new(&self.name, DataType::Utf8, true)]);
        self.inner.evaluate(&RecordBatch::try_new(Arc::new(schema), vec![texts])?)?.into_array(rows)
    }
}

impl Display for OncePerText {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "once_per_text({})", self.inner)
    }
}

impl PhysicalExpr for OncePerText {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(true)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        // Where a file's column is read as views, its texts are asked for by a cast of them.
        let source = match self.text.downcast_ref::<CastExpr>() {
            Some(texts) if *texts.cast_type() == DataType::Utf8 => texts.expr(),
            _ => &self.text,
        };
        let texts = source.evaluate(batch)?.into_array(batch.num_rows())?;
        let found = match texts.as_string_view_opt().and_then(distinct) {
            Some((distinct, rows)) => take(&self.of_texts(Arc::new(distinct))?, &rows, None)?,
            None if *texts.data_type() == DataType::Utf8 => self.of_texts(texts)?,
            None => self.of_texts(cast(&texts, &DataType::Utf8)?)?,
        };
        Ok(ColumnarValue::Array(found))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.text]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let text = children.into_iter().next().unwrap_or_else(|| Arc::clone(&self.text));
        Ok(Arc::new(OncePerText { text, ..Arc::unwrap_or_clone(self) }))
    }

    fn fmt_sql(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}

/// A batch with more distinct texts than a part of its rows is computed row by row.
const LEAST_ROWS_OF_A_TEXT: usize = 4;

/// The distinct texts of a column, and for each row which of them is its own; `None` where few texts repeat. Equal texts at
/// different places count as distinct.
fn distinct(views: &StringViewArray) -> Option<(StringArray, UInt32Array)> {
    let most = views.len() / LEAST_ROWS_OF_A_TEXT + 1;
    let mut numbers: HashMap<u128, u32, BuildKeyHasher> = HashMap::default();
    let mut texts: Vec<Option<&str>> = Vec::new();
    let mut rows = Vec::with_capacity(views.len());
    let (mut last, mut of_null) = (None, None);
    for (row, view) in views.views().iter().enumerate() {
        let known = match last {
            _ if views.is_null(row) => of_null,
            Some((of, number)) if of == *view => Some(number),
            _ => numbers.get(view).copied(),
        };
        let number = match known {
            Some(number) => number,
            None => {
                let number = u32::try_from(texts.len()).ok().filter(|_| texts.len() < most)?;
                texts.push(views.is_valid(row).then(|| views.value(row)));
                if views.is_null(row) {
                    of_null = Some(number);
                } else {
                    numbers.insert(*view, number);
                }
                number
            }
        };
        if views.is_valid(row) {
            last = Some((*view, number));
        }
        rows.push(number);
    }
    Some((StringArray::from_iter(texts), UInt32Array::from(rows)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_with_the_same_view_have_one_text() {
        let long = "a text that is longer than what a view holds of it";
        let texts = ["", long, long, "b", "", long, "b", "b"].map(Some);
        let texts: StringViewArray = texts.into_iter().chain([None, None, Some(""), Some("b")]).collect();
        // Long texts are at places of their own here: each is a text by itself.
        assert!(distinct(&texts).is_none(), "six texts are more than a fourth of twelve rows");
        let repeated: StringViewArray = ["", "b", "b", "", "b", "b", "", "b"].into_iter().map(Some).chain([None; 4]).collect();
        let (texts, rows) = super::distinct(&repeated).map(|(texts, rows)| (texts, rows.values().to_vec())).unzip();
        assert_eq!(texts, Some(StringArray::from(vec![Some(""), Some("b"), None])));
        assert_eq!(rows, Some(vec![0, 1, 1, 0, 1, 1, 0, 1, 2, 2, 2, 2]));
    }
}
