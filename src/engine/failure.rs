//! What a failure of the engine means to the user: a wrong query, too little memory, unreadable files, or a defect of ours.

use std::sync::Arc;

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::parquet::errors::ParquetError;
use datafusion::sql::sqlparser::parser::ParserError;
use tokio::task::JoinError;

use super::library_texts::{
    failed_cast, failed_filter, failed_time, in_words, is_of_arguments, is_offset_overflow, unsupported, unsupported_node,
    without_columns,
};
use crate::error::{Cause, Error};
use kqlake_lake::spill::SpillError;
use kqlake_lake::{LakeError, lake_cause};
use kqlake_value::text_column::TOO_LONG;

/// A failure of a KQL query that the binder had accepted: an error of planning is ours.
pub(super) fn of_kql(err: DataFusionError, memory_limit: usize) -> Error {
    classify(err, memory_limit, |message| Error::Defect(format!("the query was understood but could not be planned: {message}")))
}

/// A failure of a SQL query: an error of planning is the query's.
pub(super) fn of_sql(err: DataFusionError, memory_limit: usize) -> Error {
    classify(err, memory_limit, |message| match unsupported(&message) {
        Some((what, instead)) => Error::query(what).hint(instead),
        None => match (in_words(&message), unsupported_node(&message)) {
            (Some((what, instead)), _) => Error::query(what).hint(instead),
            (None, Some(node)) => Error::query(format!("{node} is not supported in SQL, or not in this place")),
            (None, None) => Error::query(one_line(&message)),
        },
    })
}

fn classify(err: DataFusionError, memory_limit: usize, of_planning: impl Fn(String) -> Error) -> Error {
    if let Some(lake) = lake_cause(&err) {
        return lake.into();
    }
    if let Some(failure) = failed_filter(&err) {
        return classify(failure, memory_limit, of_planning);
    }
    match err.find_root() {
        DataFusionError::ResourcesExhausted(message) => out_of_memory(message, memory_limit),
        DataFusionError::Execution(message) => match in_words(message) {
            Some((what, instead)) => Error::query(what).hint(instead),
            None => of_value(message),
        },
        DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
            ArrowError::IoError(..) | ArrowError::ParquetError(_) | ArrowError::IpcError(_) => unreadable(err),
            overflow if is_offset_overflow(overflow) => Error::query(TOO_LONG),
            ArrowError::SchemaError(_) | ArrowError::InvalidArgumentError(_) => Error::Defect(err.strip_backtrace()),
            ArrowError::DivideByZero => Error::query("a number is divided by zero").hint("a / nullif(b, 0) is NULL then"),
            // Overflow, a cast that does not fit: the data does not suit the query.
            other => of_value(&other.to_string()),
        },
        DataFusionError::Plan(message) | DataFusionError::NotImplemented(message) | DataFusionError::Configuration(message) => {
            of_planning(message.clone())
        }
        DataFusionError::SQL(parser, _) => of_planning(match parser.as_ref() {
            ParserError::ParserError(message) | ParserError::TokenizerError(message) => message.clone(),
            ParserError::RecursionLimitExceeded => "the query is nested too deeply".to_owned(),
        }),
        DataFusionError::SchemaError(..) | DataFusionError::Diagnostic(..) | DataFusionError::Collection(_) => {
            of_planning(without_columns(&err))
        }
        DataFusionError::Internal(message) if is_of_arguments(message) => of_planning(message.clone()),
        DataFusionError::Internal(message) => Error::Defect(message.clone()),
        DataFusionError::ExecutionJoin(join) => Error::Defect(format!("a worker ended early: {join}")),
        DataFusionError::External(inner) if inner.is::<JoinError>() || inner.is::<Arc<JoinError>>() => {
            Error::Defect(format!("a worker ended early: {inner}"))
        }
        // What functions say in errors of their own, such as that of a wrong pattern while a plan is simplified.
        DataFusionError::External(inner) if !is_of_files(inner.as_ref()) => Error::query(one_line(&inner.to_string())),
        _ => unreadable(err),
    }
}

/// A failure about a value of the data.
fn of_value(message: &str) -> Error {
    match failed_cast(message).or_else(|| failed_time(message)) {
        Some((what, advice)) => Error::query(what).hint(advice),
        None => Error::query(message),
    }
}

/// True for what reading or writing files failed with, and for errors that say themselves what they are.
fn is_of_files(err: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(err), |err| err.source()).any(|err| {
        err.is::<std::io::Error>()
            || err.is::<ParquetError>()
            || err.is::<LakeError>()
            || err.is::<Error>()
            || err.is::<SpillError>()
    })
}

/// Several lines, with what might have been meant, as one.
fn one_line(message: &str) -> String {
    message.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

fn unreadable(err: DataFusionError) -> Error {
    match err {
        DataFusionError::External(inner) => match inner.downcast::<LakeError>() {
            Ok(lake) => (*lake).into(),
            // The failure of a view's own query.
            Err(other) => match other.downcast::<Error>() {
                Ok(error) => *error,
                Err(other) => match other.downcast::<SpillError>() {
                    Ok(spill) => Error::io("make a temporary folder in", &spill.folder, spill.source),
                    Err(other) => unreadable_files(other),
                },
            },
        },
        other => unreadable_files(other),
    }
}

/// A failure of files that names none. Readers of the lake name theirs, so that what the operating system refuses without a name
/// is a temporary file.
fn unreadable_files(err: impl Into<Cause>) -> Error {
    let err = err.into();
    match io_cause(err.as_ref()).filter(|io| io.raw_os_error().is_some()) {
        Some(io) if io.kind() == std::io::ErrorKind::StorageFull => Error::storage("cannot write a temporary file", err).hint(
            "free some space on the disk of the folder for temporary files, name another one in KQLAKE_SPILL_DIR, or raise \
             --memory-limit",
        ),
        Some(_) => Error::storage("cannot use a temporary file", err)
            .hint("check the folder for temporary files, or name another one in KQLAKE_SPILL_DIR"),
        None => Error::storage("cannot read the lake", err)
            .hint("one of the data files of the query's tables is damaged: restore them from a backup"),
    }
}

fn out_of_memory(message: &str, memory_limit: usize) -> Error {
    // The engine's text lists operators and their bytes; its first line says enough here.
    let first = message.lines().next().unwrap_or_default();
    Error::query(format!("the query needs more memory than the {} MB it may have: {first}", memory_limit >> 20))
        .hint("raise --memory-limit, or narrow the query: less time, fewer columns, `summarize` before `join`")
}

fn first_line(err: &DataFusionError) -> String {
    err.find_root().strip_backtrace().lines().next().unwrap_or_default().to_owned()
}

/// True when the operators ran out of memory.
pub(super) fn is_out_of_memory(err: &DataFusionError) -> bool {
    matches!(err.find_root(), DataFusionError::ResourcesExhausted(_))
}

impl From<LakeError> for Error {
    fn from(err: LakeError) -> Self {
        let kind = io_kind(&err);
        match err {
            LakeError::NotAFolder { .. } => {
                Error::usage(err.to_string()).hint("name the folder that holds the tables with --lake")
            }
            LakeError::NoLake { ref advice, .. } => Error::usage(err.to_string()).hint(advice),
            LakeError::Damaged { ref damage, .. } => {
                Error::Storage { message: err.to_string(), hint: Some(damage.advice()), source: None }
            }
            LakeError::Read { table, ref source } if is_out_of_memory(source) => {
                Error::query(format!("table {table}: more memory is needed than may be used: {}", first_line(source)))
                    .hint("raise --memory-limit")
            }
            LakeError::ColumnType { .. } | LakeError::Unsupported { .. } => Error::storage("the lake cannot be read", err)
                .hint("another program changed the table: give it back its form there, or move its folder away and import again"),
            _ => {
                let error = Error::storage("the lake failed", err);
                match kind {
                    Some(std::io::ErrorKind::StorageFull) => {
                        error.hint("free some space on the disk and run the same command again; nothing half written is visible")
                    }
                    Some(std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem) => {
                        error.hint("check the owner and permissions of the lake's folder")
                    }
                    _ => error,
                }
            }
        }
    }
}

/// The operating system's answer among an error's causes.
fn io_kind(err: &(dyn std::error::Error + 'static)) -> Option<std::io::ErrorKind> {
    io_cause(err).map(std::io::Error::kind)
}

/// The operating system's error among an error's causes.
fn io_cause<'a>(err: &'a (dyn std::error::Error + 'static)) -> Option<&'a std::io::Error> {
    let mut next = Some(err);
    while let Some(err) = next {
        next = match err.downcast_ref::<std::io::Error>() {
            // What another error was wrapped in.
            Some(io) if io.raw_os_error().is_none() && io.get_ref().is_some_and(|inner| io_cause(inner).is_some()) => {
                io.get_ref().map(|inner| inner as _)
            }
            Some(io) => return Some(io),
            None => err.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_refuses_without_a_name_is_a_temporary_file() {
        let full = || std::io::Error::from_raw_os_error(28);
        let wrapped = std::io::Error::other(DataFusionError::IoError(full()));
        for err in [
            DataFusionError::IoError(full()),
            DataFusionError::from(ArrowError::IoError("spill".into(), full())),
            DataFusionError::from(ArrowError::from(wrapped)),
        ] {
            let error = of_kql(err.context("while sorting"), 1);
            assert!(error.chain().contains("temporary file") && !error.chain().contains("lake"), "{}", error.chain());
            assert!(error.advice().is_some_and(|advice| advice.contains("KQLAKE_SPILL_DIR")));
        }
    }

    #[test]
    fn text_that_no_batch_holds_says_what_to_do() {
        let error = of_kql(ArrowError::OffsetOverflowError(2_147_797_620).into(), 1);
        assert!(error.chain().contains("take fewer rows, or shorter texts"), "{}", error.chain());
    }

    #[test]
    fn upkeep_without_memory_says_how_to_give_it_more() {
        let source = DataFusionError::ResourcesExhausted("3.0 MB more".into()).context("while merging");
        let error = Error::from(LakeError::Read { table: "traces", source });
        assert!(matches!(&error, Error::Query { hint: Some(hint), .. } if hint.contains("--memory-limit")), "{error:?}");
    }
}
