//! Local files as tables of a query: Parquet, CSV and JSON, under names that the command line gives.

mod delimited;
mod json;
mod written;

use std::collections::{HashMap, HashSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, cast, lit};
use datafusion::prelude::SessionContext;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::parquet_column;
use parquet::file::statistics::Statistics;
use url::Url;

use crate::error::{Error, Result};
pub(super) use delimited::delimiter;
use kqlake_kql::catalog::{Catalog, TableSchema};
use kqlake_kql::scans::{ScanCatalog, ScanTable};
use kqlake_lake::{Parquet, as_kql_takes_it};
use kqlake_value::columns::{field_type, is_in_ticks};
use kqlake_value::encoding::{NotText, Utf16, decoded};
use kqlake_value::texts::is_text;
use kqlake_value::{Column, Type};

/// A file under a table's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// The table's name.
    pub name: String,
    /// The file.
    pub path: PathBuf,
}

/// A file that was opened, as each language takes it.
#[derive(Debug, Clone)]
struct OpenedFile {
    sql: Arc<dyn TableProvider>,
    /// Here datetimes may be ticks, which their fields' metadata says.
    kql: Arc<dyn TableProvider>,
}

impl From<Arc<dyn TableProvider>> for OpenedFile {
    fn from(table: Arc<dyn TableProvider>) -> Self {
        OpenedFile { sql: Arc::clone(&table), kql: table }
    }
}

/// Files that were opened, by their tables' names.
#[derive(Debug, Clone, Default)]
pub(super) struct Files(HashMap<String, OpenedFile>);

impl Files {
    /// Opens files: their columns are known then.
    ///
    /// # Errors
    /// For a file that cannot be read, or is of no known kind.
    pub(super) async fn open(files: &[NamedFile], session: &SessionContext) -> Result<Files> {
        let mut opened = HashMap::with_capacity(files.len());
        for file in files {
            opened.insert(file.name.clone(), open(&file.path, session).await?);
        }
        Ok(Files(opened))
    }

    /// The file of a name, as SQL takes it.
    pub(super) fn get(&self, name: &str) -> Option<&Arc<dyn TableProvider>> {
        self.0.get(name).map(|file| &file.sql)
    }

    /// The file of a name, as KQL takes it.
    fn get_for_kql(&self, name: &str) -> Option<&Arc<dyn TableProvider>> {
        self.0.get(name).map(|file| &file.kql)
    }

    /// The names, in no order.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }
}

async fn open(path: &Path, session: &SessionContext) -> Result<OpenedFile> {
    let failed = |why: String| Error::usage(format!("cannot read {}: {why}", path.display()));
    let real = path.canonicalize().map_err(|err| failed(err.to_string()))?;
    if !real.is_file() {
        return Err(failed("it is no file".to_owned()).hint("name one file: --table NAME=FILE"));
    }
    let end = end(path).map_err(failed)?;
    let real = match end {
        End::Parquet => real,
        End::Delimited(_) | End::Json => in_utf8(real, session).await.map_err(failed)?,
    };
    if end == End::Json {
        let table = tokio::task::spawn_blocking(move || json::open(&real)).await.map_err(|err| failed(err.to_string()))?;
        return table.and_then(|table| with_columns(&table.schema()).map(|()| table.into())).map_err(failed);
    }
    let file = real.clone();
    let looked_at = tokio::task::spawn_blocking(move || match end {
        End::Delimited(usual) => delimited::columns(&file, usual).map(|columns| (Some(columns), Vec::new())),
        End::Parquet | End::Json => parquet_columns(&file).map(|great| (None, great)),
    });
    let (delimited, great) = looked_at.await.map_err(|err| failed(err.to_string()))?.map_err(failed)?;
    let url = Url::from_file_path(&real).map_err(|()| failed("its path is no address".to_owned()))?;
    let url = ListingTableUrl::parse(url).map_err(|err| failed(err.strip_backtrace()))?;
    let format: Arc<dyn FileFormat> = match &delimited {
        // The types of columns are those of all rows: what comes late is no less there. A field in quotes may have several lines.
        Some(columns) => Arc::new(
            CsvFormat::default()
                .with_has_header(true)
                .with_schema_infer_max_rec(usize::MAX)
                .with_newlines_in_values(true)
                .with_delimiter(columns.delimiter),
        ),
        // What the metadata of a column says is its KQL type.
        None => Arc::new(Parquet::new()),
    };
    let options = ListingOptions::new(format).with_file_extension("");
    let state = session.state();
    let schema = match &delimited {
        Some(columns) => Arc::new(columns.read.clone()),
        None => options.infer_schema(&state, &url).await.map_err(|err| failed(err.strip_backtrace()))?,
    };
    with_columns(&schema).map_err(failed)?;
    let in_form = |field: &Arc<Field>| if great.contains(field.name()) { as_decimal(field) } else { as_computed(field) };
    let schema = Arc::new(Schema::new(schema.fields().iter().map(in_form).collect::<Vec<_>>()));
    let of_time = |field: &Field| matches!(field.data_type(), DataType::Duration(_) | DataType::Time32(_) | DataType::Time64(_));
    if let Some(field) = schema.fields().iter().find(|field| of_time(field)) {
        return Err(failed(format!("the type {} of its column {} is not supported", field.data_type(), field.name())));
    }
    let config = ListingTableConfig::new(url).with_listing_options(options).with_schema(schema);
    let table = Arc::new(ListingTable::try_new(config).map_err(|err| failed(err.strip_backtrace()))?);
    let file = match delimited {
        Some(columns) => columns.tables(table, session).map(|(sql, kql)| OpenedFile { sql, kql }),
        None => in_microseconds(table, session).map(OpenedFile::from),
    };
    file.map_err(|err| failed(err.strip_backtrace()))
}

/// A table whose instants in nanoseconds are in microseconds: the digits behind are dropped towards the past, where the library's cast
/// drops them towards 1970.
fn in_microseconds(
    table: Arc<dyn TableProvider>,
    session: &SessionContext,
) -> std::result::Result<Arc<dyn TableProvider>, DataFusionError> {
    let schema = table.schema();
    let is_finer = |field: &Arc<Field>| matches!(field.data_type(), DataType::Timestamp(TimeUnit::Nanosecond, _));
    if !schema.fields().iter().any(is_finer) {
        return Ok(table);
    }
    let columns = schema.fields().iter().map(|field| {
        let column = Expr::Column(datafusion::common::Column::from_name(field.name()));
        let DataType::Timestamp(TimeUnit::Nanosecond, zone) = field.data_type() else { return column };
        let number = cast(column, DataType::Int64);
        let rest = (number.clone() % lit(1_000_i64) + lit(1_000_i64)) % lit(1_000_i64);
        let micros = (number - rest) / lit(1_000_i64);
        cast(micros, DataType::Timestamp(TimeUnit::Microsecond, zone.clone())).alias(field.name())
    });
    Ok(session.read_table(table)?.select(columns)?.into_view())
}

/// The unsigned columns of a Parquet file with numbers that no long has room for, or may have, as the bounds of its row groups tell.
/// What is no Parquet is the library's to refuse.
///
/// # Errors
/// The file has two columns of one name, of which the library would take one.
fn parquet_columns(path: &Path) -> std::result::Result<Vec<String>, String> {
    let file = std::fs::File::open(path).map_err(|err| err.to_string())?;
    let Ok(reader) = ParquetRecordBatchReaderBuilder::try_new(file) else { return Ok(Vec::new()) };
    distinct(reader.schema().fields().iter().map(|field| field.name().as_bytes()))?;
    let unsigned = reader.schema().fields().iter().filter(|field| *field.data_type() == DataType::UInt64);
    let is_great = |field: &&Arc<Field>| {
        let Some((leaf, _)) = parquet_column(reader.parquet_schema(), reader.schema(), field.name()) else { return true };
        // A bound of an unsigned column has the bits of its number.
        let fits = |bounds: &Statistics| match bounds {
            Statistics::Int64(numbers) if !bounds.is_min_max_deprecated() => numbers.max_opt().is_some_and(|max| *max >= 0),
            _ => false,
        };
        !reader.metadata().row_groups().iter().all(|group| group.column(leaf).statistics().is_some_and(fits))
    };
    Ok(unsigned.filter(is_great).map(|field| field.name().clone()).collect())
}

/// An unsigned column as decimals, which have room for all of its numbers.
fn as_decimal(field: &Arc<Field>) -> Arc<Field> {
    Arc::new(field.as_ref().clone().with_data_type(DataType::Decimal128(20, 0)))
}

/// Refuses names of which one comes twice: only one of its columns could be asked for.
fn distinct<'a>(names: impl Iterator<Item = &'a [u8]>) -> std::result::Result<(), String> {
    let mut seen = HashSet::new();
    for name in names {
        match (seen.insert(name), name) {
            (true, _) => {}
            (false, b"") => return Err("it has two columns without a name".to_owned()),
            (false, name) => return Err(format!("it has two columns of the name '{}'", String::from_utf8_lossy(name))),
        }
    }
    Ok(())
}

/// Refuses files without columns, and with two of one name.
fn with_columns(schema: &Schema) -> std::result::Result<(), String> {
    if schema.fields().is_empty() {
        return Err("it has no columns".to_owned());
    }
    distinct(schema.fields().iter().map(|field| field.name().as_bytes()))
}

/// A column in the form that expressions give, which texts of it meet with.
fn as_computed(field: &Arc<Field>) -> Arc<Field> {
    let ty = match field.data_type() {
        ty if is_text(ty) => DataType::Utf8,
        DataType::Dictionary(_, ty) if is_text(ty) => DataType::Utf8,
        _ => return Arc::clone(field),
    };
    Arc::new(field.as_ref().clone().with_data_type(ty))
}

/// How a file is written, as its name's end says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Parquet,
    /// With the usual delimiter.
    Delimited(u8),
    Json,
}

fn end(path: &Path) -> std::result::Result<End, String> {
    let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default().to_ascii_lowercase();
    Ok(match end.as_str() {
        "parquet" => End::Parquet,
        "csv" => End::Delimited(b','),
        "tsv" => End::Delimited(b'\t'),
        "json" | "ndjson" | "jsonl" => End::Json,
        _ => return Err("its name ends in none of .parquet, .csv, .tsv, .json, .ndjson and .jsonl".to_owned()),
    })
}

/// Bytes at the beginning of a file by which its encoding and its delimiter are told.
const MAX_HEAD: u64 = 1 << 16;

/// Bytes of a file in UTF-16, at most: all of them are held while its text is written in UTF-8.
const MAX_UTF_16: u64 = 256 << 20;

/// A file of text in UTF-8: itself, or, of a file in UTF-16, which programs on Windows write, one beside what the query spills, which
/// goes with the query.
async fn in_utf8(path: PathBuf, session: &SessionContext) -> std::result::Result<PathBuf, String> {
    let runtime = session.runtime_env();
    let written = move || {
        let failed = |err: std::io::Error| err.to_string();
        let mut file = std::fs::File::open(&path).map_err(failed)?;
        let (mut head, size) = (Vec::new(), file.metadata().map_err(failed)?.len());
        file.by_ref().take(MAX_HEAD).read_to_end(&mut head).map_err(failed)?;
        let no_text = |err: NotText| format!("{err}; save it as UTF-8");
        if Utf16::of(&head).map_err(no_text)?.is_none() {
            return Ok(path);
        }
        if size > MAX_UTF_16 {
            return Err(format!("it is in UTF-16 and has more than {} MB; save it as UTF-8", MAX_UTF_16 >> 20));
        }
        file.read_to_end(&mut head).map_err(failed)?;
        let text = decoded(head).map_err(no_text)?;
        let spilled = runtime.disk_manager.create_tmp_file("a file in UTF-8").map_err(|err| err.strip_backtrace())?;
        // What is spilled goes with its owner; the folder around it stays as long as the query.
        let copy = spilled.path().ok_or("there is no folder for temporary files")?.with_extension("utf-8");
        std::fs::write(&copy, text).map_err(failed)?;
        Ok(copy)
    };
    tokio::task::spawn_blocking(written).await.map_err(|err| err.to_string())?
}

/// A catalog with files beside the tables of another one, and in the place of those of the same names.
pub(super) struct WithFiles<C> {
    base: C,
    files: Files,
}

impl<C: ScanCatalog> WithFiles<C> {
    /// The catalog with these files.
    pub(super) fn new(base: C, files: Files) -> Self {
        WithFiles { base, files }
    }
}

impl<C: ScanCatalog> Catalog for WithFiles<C> {
    fn names(&self) -> Vec<String> {
        let mut names = self.base.names();
        names.extend(self.files.names().filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>());
        names.sort_unstable();
        names
    }

    fn table(&self, name: &str) -> Option<Arc<TableSchema>> {
        let Some(file) = self.files.get_for_kql(name) else { return self.base.table(name) };
        let ty = |field: &Field| if is_in_ticks(field) { Type::DateTime } else { field_type(field) };
        let columns = file.schema().fields().iter().map(|field| Column::new(field.name(), ty(field))).collect();
        Some(Arc::new(TableSchema { columns, ..TableSchema::default() }))
    }

    fn maps(&self, kind: &str, name: &str) -> bool {
        self.base.maps(kind, name)
    }
}

#[async_trait]
impl<C: ScanCatalog> ScanCatalog for WithFiles<C> {
    async fn scan(&self, name: &str) -> std::result::Result<ScanTable, DataFusionError> {
        match self.files.get_for_kql(name) {
            Some(file) => Ok(ScanTable {
                provider: as_kql_takes_it(Arc::clone(file)),
                complete: HashSet::new(),
                partial: HashSet::new(),
                parts: None,
                empty: false,
            }),
            None => self.base.scan(name).await,
        }
    }
}
