//! What tables a query may name: the lake's, the views over them, and for `check` those of a schema file.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, LazyLock, OnceLock, PoisonError};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use serde_json::Value as Json;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::files::NamedFile;
use super::threads::start;
use super::views::{self, View};
use crate::error::{Error, Result};
use kqlake_durable::pipe;
use kqlake_kql::catalog::{Catalog, PromotedColumn, TableSchema};
use kqlake_kql::scans::{Parts, ScanCatalog, ScanTable};
use kqlake_lake::tables::{self, ColumnDef, TableDef};
use kqlake_lake::{Lake, LakeError, TableSnapshot};
use kqlake_syntax::parser::parse;
use kqlake_syntax::tables::{TableRef, find};
use kqlake_value::columns::field_type;
use kqlake_value::encoding::decoded;
use kqlake_value::{Column, Type};

/// What has a name in every lake.
#[derive(Clone, Copy)]
enum Known {
    Table(&'static str),
    View(&'static View),
}

impl Known {
    fn schema(self) -> TableSchema {
        match self {
            Known::Table(name) => tables::find(name).map(schema_of).unwrap_or_default(),
            Known::View(view) => {
                TableSchema { view: Some(view.text.to_owned()), rows_of: Some(view.table.to_owned()), ..TableSchema::default() }
            }
        }
    }
}

/// The tables and views, and their schemas, which do not depend on the lake: each is made when it is first asked for, since a
/// query names few of them.
static SCHEMAS: LazyLock<HashMap<&'static str, (Known, OnceLock<Arc<TableSchema>>)>> = LazyLock::new(|| {
    let tables = tables::names().map(|name| (name, Known::Table(name)));
    let views = views::all().iter().map(|view| (view.name, Known::View(view)));
    tables.chain(views).map(|(name, known)| (name, (known, OnceLock::new()))).collect()
});

/// The schema of a table or view.
fn known_schema(name: &str) -> Option<Arc<TableSchema>> {
    let (known, schema) = SCHEMAS.get(name)?;
    Some(Arc::clone(schema.get_or_init(|| Arc::new(known.schema()))))
}

/// The table of a name: its own, or that of the view.
fn table_of(name: &str) -> Option<&'static TableDef> {
    match SCHEMAS.get(name)?.0 {
        Known::Table(name) => tables::find(name),
        Known::View(view) => tables::find(view.table),
    }
}

/// Bytes of a text whose tables are looked for before it is bound.
const SHORT_TEXT: usize = 64 << 10;
/// Tables that are opened before they are asked for.
const AHEAD: usize = 8;

/// A table that is being opened.
type Opening = JoinHandle<Result<Option<TableSnapshot>, LakeError>>;

/// What KQL sees of a table definition.
fn schema_of(def: &TableDef) -> TableSchema {
    with_columns(def, def.columns.iter().filter(|c| !c.hidden))
}

/// A table definition with some of its columns.
fn with_columns<'c>(def: &TableDef, columns: impl Iterator<Item = &'c ColumnDef>) -> TableSchema {
    let columns = columns.map(|c| Column::new(c.name, c.ty)).collect();
    let promoted = def
        .columns
        .iter()
        .filter_map(|c| {
            let from = c.promoted?;
            Some(PromotedColumn { column: c.name.to_owned(), ty: c.ty, source: from.source.to_owned(), key: from.key.to_owned() })
        })
        .collect();
    TableSchema { columns, promoted, view: None, rows_of: None }
}

/// What KQL sees of a table that holds more columns than a schema; `None` when it does not.
fn extended(mut schema: TableSchema, snapshot: &TableSnapshot) -> Option<TableSchema> {
    let known = schema.columns.len();
    schema.columns.extend(snapshot.foreign().map(|field| Column::new(field.name(), field_type(field))));
    (schema.columns.len() > known).then_some(schema)
}

/// The lake's tables and views for one query. A table is opened when it is first scanned, and the query sees that one
/// snapshot of it wherever it names it.
pub struct LakeCatalog {
    lake: Lake,
    must_exist: bool,
    record_columns: bool,
    pruning: bool,
    names: BTreeMap<String, Vec<String>>,
    opened: Mutex<HashMap<&'static str, Option<TableSnapshot>>>,
    /// Tables that the text names, until they are asked for.
    ahead: Arc<std::sync::Mutex<HashMap<&'static str, Opening>>>,
    /// Schemas of opened tables that hold more columns than their definitions.
    extended: std::sync::Mutex<HashMap<&'static str, Arc<TableSchema>>>,
}

impl LakeCatalog {
    /// The catalog of a lake, which may be missing. Touches nothing.
    pub fn new(lake: Lake) -> LakeCatalog {
        LakeCatalog {
            lake,
            must_exist: false,
            record_columns: false,
            pruning: true,
            names: BTreeMap::new(),
            opened: Mutex::default(),
            ahead: Arc::default(),
            extended: std::sync::Mutex::default(),
        }
    }

    /// The same, or one whose tables cannot be scanned where there is no lake.
    #[must_use]
    pub fn with_must_exist(self, must_exist: bool) -> LakeCatalog {
        LakeCatalog { must_exist, ..self }
    }

    /// The same, or one whose tables show their hidden columns as well, as far as they say what a row is.
    #[must_use]
    pub fn with_record_columns(self, record_columns: bool) -> LakeCatalog {
        LakeCatalog { record_columns, ..self }
    }

    /// The same, or with tables that never hear of filters, so that nothing is skipped.
    #[must_use]
    pub fn with_pruning(self, pruning: bool) -> LakeCatalog {
        LakeCatalog { pruning, ..self }
    }

    /// The same, with names of clusters, databases, workspaces and apps, by kind, that stand for this lake; `*` is any.
    #[must_use]
    pub fn with_names(self, names: BTreeMap<String, Vec<String>>) -> LakeCatalog {
        LakeCatalog { names, ..self }
    }

    /// Begins to open the tables that a text names, which goes on while the text is bound, but for names that stand for something
    /// else. What it finds is seen only when a table is asked for.
    pub(super) fn open_ahead(&self, text: &str, others: &[NamedFile]) {
        if text.len() > SHORT_TEXT || !self.lake.root().is_dir() {
            return;
        }
        let (lake, ahead, runtime) = (self.lake.clone(), Arc::clone(&self.ahead), Handle::current());
        let (text, others) = (text.to_owned(), others.to_vec());
        // A deep tree is walked here, which callers may have no stack for. Without a thread each table is opened when it is asked for.
        drop(start(move || {
            let parsed = parse(&text);
            if parsed.has_errors() {
                return;
            }
            let of_lake = |table: &&TableRef| table.qualifier.is_none() && others.iter().all(|other| other.name != table.name);
            for table in find(&parsed.script).iter().filter(of_lake) {
                let mut ahead = ahead.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(def) = table_of(&table.name).filter(|_| ahead.len() < AHEAD) else { continue };
                let lake = lake.clone();
                ahead.entry(def.name).or_insert_with(|| runtime.spawn(async move { lake.snapshot(def).await }));
            }
        }));
    }

    /// What a query sees of a table's definition.
    fn schema_of(&self, def: &TableDef) -> TableSchema {
        if self.record_columns { with_columns(def, def.record_columns()) } else { schema_of(def) }
    }

    /// A table's newest version.
    async fn snapshot(&self, def: &'static TableDef) -> Result<Option<TableSnapshot>, LakeError> {
        let opening = self.ahead.lock().unwrap_or_else(PoisonError::into_inner).remove(def.name);
        match opening {
            // One that ended early is opened again, to the same end.
            Some(opening) => match opening.await {
                Ok(opened) => opened,
                Err(_) => self.lake.snapshot(def).await,
            },
            None => self.lake.snapshot(def).await,
        }
    }
}

/// A cluster's name without what its address adds to it.
fn short_name(name: &str) -> &str {
    let name = name.strip_prefix("https://").unwrap_or(name).trim_end_matches('/');
    name.strip_suffix(".kusto.windows.net").unwrap_or(name)
}

/// A table that is not told what is looked for: every file is read, the filter stands above the scan.
#[derive(Debug)]
struct Unpruned(Arc<dyn TableProvider>);

#[async_trait]
impl TableProvider for Unpruned {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn table_type(&self) -> TableType {
        self.0.table_type()
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        self.0.scan(state, projection, &[], limit).await
    }
}

impl Catalog for LakeCatalog {
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = SCHEMAS.keys().map(|name| (*name).to_owned()).collect();
        names.sort_unstable();
        names
    }

    fn table(&self, name: &str) -> Option<Arc<TableSchema>> {
        let extended = self.extended.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        let of_record = || tables::find(name).filter(|_| self.record_columns).map(|def| Arc::new(self.schema_of(def)));
        extended.or_else(of_record).or_else(|| known_schema(name))
    }

    fn maps(&self, kind: &str, name: &str) -> bool {
        // What current_database() says is this lake without being told.
        if kind == "database" && name == "kqlake" {
            return true;
        }
        let named = |known: &String| known == "*" || short_name(known).eq_ignore_ascii_case(short_name(name));
        self.names.get(kind).is_some_and(|known| known.iter().any(named))
    }
}

#[async_trait]
impl ScanCatalog for LakeCatalog {
    async fn scan(&self, name: &str) -> Result<ScanTable, DataFusionError> {
        let external = |err| DataFusionError::External(Box::new(err));
        let def = tables::find(name).ok_or_else(|| DataFusionError::Internal(format!("{name} is no table of the lake")))?;
        let mut opened = self.opened.lock().await;
        if !opened.contains_key(def.name) {
            if self.must_exist && !self.lake.root().is_dir() {
                self.lake.check().await.map_err(external)?;
                return Err(DataFusionError::External(Box::new(Error::no_lake(self.lake.root()))));
            }
            let snapshot = self.snapshot(def).await.map_err(external)?;
            if let Some(schema) = snapshot.as_ref().and_then(|snapshot| extended(self.schema_of(def), snapshot)) {
                self.extended.lock().unwrap_or_else(PoisonError::into_inner).insert(def.name, Arc::new(schema));
            }
            opened.insert(def.name, snapshot);
        }
        let snapshot = opened.get(def.name).and_then(Option::as_ref);
        let promoted = def.columns.iter().filter(|c| c.promoted.is_some()).map(|c| c.name.to_owned());
        let Some(snapshot) = snapshot else {
            return Ok(ScanTable {
                provider: self.lake.provider(def).await.map_err(external)?,
                complete: promoted.collect(),
                partial: HashSet::new(),
                parts: None,
                empty: true,
            });
        };
        let pruned = self.pruning;
        let given = move |provider: Arc<dyn TableProvider>| -> Arc<dyn TableProvider> {
            if pruned { provider } else { Arc::new(Unpruned(provider)) }
        };
        let (complete, others): (HashSet<String>, HashSet<String>) = promoted.partition(|c| snapshot.promoted_complete(c));
        let partial: HashSet<String> = others.into_iter().filter(|c| snapshot.promoted_in_some(c)).collect();
        let of = snapshot.clone();
        let parts: Parts = Arc::new(move |columns: &[&str]| {
            let (answering, others) = of.kql_parts(columns);
            (given(answering), given(others))
        });
        Ok(ScanTable {
            provider: given(snapshot.kql_provider()),
            complete,
            parts: (!partial.is_empty()).then_some(parts),
            partial,
            empty: snapshot.files().is_empty(),
        })
    }
}

/// A catalog whose tables come from a JSON file `{"Table":{"column":"kqltype",…},…}`, beside those of another catalog.
///
/// The file describes the database that a query was written for: patterns such as `union App*`, and `search` and `find`
/// without a list of tables, go over its tables, in its order. The other catalog's tables answer to their exact names.
pub(crate) struct SchemaFileCatalog<C> {
    base: C,
    order: Vec<String>,
    tables: HashMap<String, Arc<TableSchema>>,
}

impl<C: Catalog> SchemaFileCatalog<C> {
    /// Reads the file. A table of the file hides one of the same name in `base`.
    ///
    /// # Errors
    /// When the file cannot be read or is not of that shape.
    pub(crate) fn read(path: &Path, base: C) -> Result<Self> {
        let wrong = |reason: String| {
            Error::usage(format!("{}: {reason}", path.display()))
                .hint("a schema file is {\"Table\": {\"column\": \"type\", …}, …}")
        };
        let mut bytes = Vec::new();
        let read = pipe::read(path).and_then(|mut file| file.read_to_end(&mut bytes));
        read.map_err(|err| Error::usage(format!("cannot read {}: {err}", path.display())))?;
        let text = decoded(bytes).map_err(|err| wrong(err.to_string()).hint("save it as UTF-8"))?;
        let document: serde_json::Map<String, Json> = serde_json::from_str(&text).map_err(|err| wrong(err.to_string()))?;
        let (mut order, mut tables) = (Vec::with_capacity(document.len()), HashMap::with_capacity(document.len()));
        for (name, columns) in document {
            let Json::Object(columns) = columns else { return Err(wrong(format!("the columns of {name} are no object"))) };
            let columns = columns
                .into_iter()
                .map(|(column, ty)| {
                    let known = ty.as_str().and_then(Type::parse);
                    known
                        .map(|ty| Column::new(&*column, ty))
                        .ok_or_else(|| wrong(format!("column {name}.{column} has the unknown type {ty}")))
                })
                .collect::<Result<Vec<_>>>()?;
            order.push(name.clone());
            tables.insert(name, Arc::new(TableSchema { columns, ..TableSchema::default() }));
        }
        Ok(SchemaFileCatalog { base, order, tables })
    }
}

impl<C: Catalog> Catalog for SchemaFileCatalog<C> {
    fn names(&self) -> Vec<String> {
        self.order.clone()
    }

    fn table(&self, name: &str) -> Option<Arc<TableSchema>> {
        self.tables.get(name).cloned().or_else(|| self.base.table(name))
    }

    fn maps(&self, kind: &str, name: &str) -> bool {
        self.base.maps(kind, name)
    }
}

#[async_trait]
impl<C: ScanCatalog> ScanCatalog for SchemaFileCatalog<C> {
    async fn scan(&self, name: &str) -> Result<ScanTable, DataFusionError> {
        if self.tables.contains_key(name) {
            return Err(DataFusionError::Plan(format!("the table {name} is known by its schema only")));
        }
        self.base.scan(name).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lake_shows_visible_columns_and_knows_promoted_ones() {
        let catalog = LakeCatalog::new(Lake::new(Path::new("nowhere")));
        let traces = catalog.table("traces").unwrap();
        assert_eq!(traces.columns[0], Column::new("timestamp", Type::DateTime));
        assert!(traces.columns.iter().all(|c| c.name != "event_month"));
        assert!(traces.promoted.iter().any(|p| p.source == "customDimensions" && p.key == "eventId"));
        assert!(catalog.table("AppTraces").unwrap().view.is_some());
        assert!(Arc::ptr_eq(&catalog.table("requests").unwrap(), &catalog.table("requests").unwrap()));
        assert!(catalog.names().iter().all(|name| catalog.table(name).is_some()));
        assert!(catalog.table("Traces").is_none());
    }

    #[test]
    fn a_schema_file_adds_tables_and_names_what_is_wrong_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("schema.json");
        std::fs::write(&path, r#"{"SigninLogs":{"TimeGenerated":"datetime","Status":"dynamic"}}"#).unwrap();
        let catalog = SchemaFileCatalog::read(&path, LakeCatalog::new(Lake::new(Path::new("nowhere")))).unwrap();
        assert_eq!(catalog.table("SigninLogs").unwrap().columns[1], Column::new("Status", Type::Dynamic));
        assert!(catalog.table("traces").is_some());
        std::fs::write(&path, r#"{"T":{"a":"strnig"}}"#).unwrap();
        let err = SchemaFileCatalog::read(&path, LakeCatalog::new(Lake::new(Path::new("nowhere")))).err().unwrap();
        assert!(err.to_string().contains("T.a"), "{err}");
        assert_eq!(err.status(), 2);
    }
}
