//! `check`: what is wrong with KQL files, for editors and continuous integration.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::input::{self, Text};
use super::{Context, report};
use crate::engine::catalog::SchemaFileCatalog;
use crate::error::{Error, RefusedQuery, Result};
use crate::saved::{self, HeaderError};
use kqlake_kql::scans::ScanCatalog;
use kqlake_syntax::ast::Span;
use kqlake_syntax::diagnostics::{Diagnostic, Severity, code, line_column};
use kqlake_value::Column;

/// Find what is wrong with KQL files, without running them
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kqlake check sql/*.kql
  kqlake check --schema tables.json -f json queries/*.kql
  echo 'traces | wher x' | kqlake check --syntax-only -
A schema file is {\"Table\": {\"column\": \"type\", ...}, ...}; its tables are added to the lake's.
Exit status: 0 when nothing is wrong, 3 when something is, 5 when some of the files cannot be read.")]
pub(super) struct Args {
    /// Files to check; `-` is standard input
    #[arg(required = true, value_name = "FILE|-")]
    files: Vec<PathBuf>,
    /// Check the syntax only, not names and types
    #[arg(long, conflicts_with = "schema")]
    syntax_only: bool,
    /// JSON file with the columns of further tables
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// Value of a parameter that the queries declare (may be repeated)
    #[arg(long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
    /// Form of the report
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,
}

/// Form of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ReportFormat {
    /// For people, on standard error.
    Text,
    /// One JSON array, one object a file, on standard output.
    Json,
}

#[derive(Debug, Serialize)]
struct FileReport {
    file: String,
    ok: bool,
    /// The result's columns, when the query binds.
    columns: Vec<ColumnReport>,
    diagnostics: Vec<DiagnosticReport>,
}

#[derive(Debug, Serialize)]
struct ColumnReport {
    name: String,
    #[serde(rename = "type")]
    ty: &'static str,
}

#[derive(Debug, Serialize)]
struct DiagnosticReport {
    line: usize,
    column: usize,
    length: usize,
    severity: &'static str,
    code: &'static str,
    message: String,
    suggestion: Option<String>,
}

/// # Errors
/// When a file cannot be read (exit status 2; with others that can, they are checked and it is 5), or something is wrong in
/// one (exit status 3).
pub(super) async fn run(args: &Args, context: &Context) -> Result<()> {
    let params = input::params(&args.params)?;
    let lake = context.catalog();
    let catalog: Option<Arc<dyn ScanCatalog>> = match &args.schema {
        _ if args.syntax_only => None,
        Some(path) => Some(Arc::new(SchemaFileCatalog::read(path, lake)?)),
        None => Some(Arc::new(lake)),
    };
    let engine = context.engine();
    let mut reports = Vec::new();
    let (mut wrong, mut unread) = (0, Vec::new());
    for file in &args.files {
        let text = match if file == Path::new("-") { input::stdin() } else { input::file(file) } {
            Ok(text) => text,
            Err(err) => {
                unread.push(err);
                continue;
            }
        };
        let (columns, mut diagnostics) = match engine.check(&text.text, &params, catalog.clone()).await {
            Ok(bound) => (bound.columns.unwrap_or_default(), bound.diagnostics),
            // Out of time: the other files have theirs.
            Err(Error::Query { message, hint }) => (Vec::new(), vec![limit(message, hint)]),
            Err(err) => return Err(err),
        };
        diagnostics.splice(0..0, saved::header_mistake(file, &text.text).map(|mistake| of_header(&mistake, &text.text)));
        let ok = diagnostics.iter().all(|d| d.severity != Severity::Error);
        wrong += usize::from(!ok);
        match args.format {
            ReportFormat::Text => report::diagnostics(&RefusedQuery { name: text.name, text: text.text, diagnostics }),
            ReportFormat::Json => reports.push(file_report(text, ok, columns, diagnostics)),
        }
    }
    if args.format == ReportFormat::Json {
        let mut json = serde_json::to_string_pretty(&reports).map_err(|err| Error::Defect(err.to_string()))?;
        json.push('\n');
        std::io::Write::write_all(&mut std::io::stdout(), json.as_bytes())
            .map_err(|err| Error::io("write", Path::new("standard output"), err))?;
    }
    if args.files.len() == 1
        && let Some(err) = unread.pop()
    {
        return Err(err);
    }
    for err in &unread {
        report::error(err);
    }
    if !unread.is_empty() {
        let (all, unread) = (args.files.len(), unread.len());
        return Err(Error::Incomplete(format!("{unread} of {all} files cannot be read, {wrong} are wrong")));
    }
    if wrong == 0 {
        return Ok(());
    }
    Err(Error::query(match (args.files.len(), wrong) {
        (1, _) => "the query is wrong".to_owned(),
        (all, wrong) => format!("{wrong} of {all} files are wrong"),
    }))
}

/// A finding about a text as a whole.
fn limit(message: String, suggestion: Option<String>) -> Diagnostic {
    Diagnostic { severity: Severity::Error, code: code::LIMIT, message, span: Span { start: 0, end: 0 }, suggestion }
}

/// What is wrong with a line of a saved query's header.
fn of_header(mistake: &HeaderError, text: &str) -> Diagnostic {
    let mut lines = text.split_inclusive('\n');
    let start = lines.by_ref().take(mistake.line - 1).map(str::len).sum();
    let length = lines.next().map_or(0, |line| line.trim_end().len());
    Diagnostic::error(code::HEADER, Span::new(start, start + length), mistake.message.clone())
}

fn file_report(text: Text, ok: bool, columns: Vec<Column>, diagnostics: Vec<Diagnostic>) -> FileReport {
    let diagnostics = diagnostics
        .into_iter()
        .map(|d| {
            let (line, column) = line_column(&text.text, d.span.start as usize);
            let length = text.text.get(d.span.start as usize..d.span.end as usize).map_or(0, |s| s.chars().count());
            DiagnosticReport {
                line,
                column,
                length,
                severity: match d.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                },
                code: d.code,
                message: d.message,
                suggestion: d.suggestion,
            }
        })
        .collect();
    let columns = columns.into_iter().map(|c| ColumnReport { name: c.name, ty: c.ty.name() }).collect();
    FileReport { file: text.name, ok, columns, diagnostics }
}
