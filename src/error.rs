//! What can go wrong, each with the exit status that tells a script what to do next.

use std::io;
use std::path::Path;

use kqlake_syntax::diagnostics::Diagnostic;

/// Result of anything that ends in an exit status.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any cause, boxed where its kind no longer matters.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Exit statuses of the command.
pub mod status {
    /// Done.
    pub const DONE: u8 = 0;
    /// The command line or the configuration is wrong.
    pub const USAGE: u8 = 2;
    /// The query is wrong: syntax, names, types, something unsupported, or values it cannot work with.
    pub const QUERY: u8 = 3;
    /// A source could not be read; trying again later may help.
    pub const SOURCE: u8 = 4;
    /// Some sections (files, queries) finished and some did not.
    pub const INCOMPLETE: u8 = 5;
    /// The lake or its files could not be read or written.
    pub const STORAGE: u8 = 6;
    /// A defect of this program.
    pub const DEFECT: u8 = 70;
    /// Interrupted by the user (128 + SIGINT, as shells count).
    pub const INTERRUPTED: u8 = 130;
    /// The terminal went away (128 + SIGHUP).
    pub const HUNG_UP: u8 = 129;
    /// Asked to end (128 + SIGTERM).
    pub const TERMINATED: u8 = 143;
}

/// A query text with what is wrong in it.
#[derive(Debug, Clone)]
pub struct RefusedQuery {
    /// What the text is called in messages: a file, a saved query, `query`.
    pub name: String,
    /// The whole text that the diagnostics point into.
    pub text: String,
    /// Errors and warnings, at least one error.
    pub diagnostics: Vec<Diagnostic>,
}

/// An error that ends a command.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The command line or the configuration is wrong.
    #[error("{message}")]
    Usage {
        /// What was found and expected.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The query was refused before it ran.
    #[error("{}", refused_line(.0))]
    Refused(Box<RefusedQuery>),
    /// The query failed while it ran, or asked for more memory or time than it may have.
    #[error("{message}")]
    Query {
        /// What failed.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// A source could not be read.
    #[error("{0}")]
    Source(String),
    /// Some parts finished and some did not; each has been reported.
    #[error("{0}")]
    Incomplete(String),
    /// The lake or its files could not be read or written.
    #[error("{message}")]
    Storage {
        /// What was tried.
        message: String,
        /// What to do.
        hint: Option<String>,
        /// Why it failed.
        #[source]
        source: Option<Cause>,
    },
    /// A defect of this program.
    #[error("{0}")]
    Defect(String),
    /// The reader of our output went away: no error of ours.
    #[error("the output was closed")]
    ClosedPipe,
    /// Ctrl-C or another signal that asks the process to end; with the exit status that tells which.
    #[error("interrupted")]
    Interrupted(u8),
}

fn refused_line(refused: &RefusedQuery) -> String {
    match refused.diagnostics.first() {
        Some(first) => format!("{}: {}", refused.name, first.message),
        None => format!("{}: the query was refused", refused.name),
    }
}

impl Error {
    /// A wrong command line or configuration.
    pub fn usage(message: impl Into<String>) -> Self {
        Error::Usage { message: message.into(), hint: None }
    }

    /// A lake that a command would read and that is not there.
    pub fn no_lake(folder: &Path) -> Self {
        Error::usage(format!("there is no lake at {}", folder.display()))
            .hint("check --lake, KQLAKE_LAKE, or `lake` in the configuration; the first import makes a lake")
    }

    /// A query that failed at run time.
    pub fn query(message: impl Into<String>) -> Self {
        Error::Query { message: message.into(), hint: None }
    }

    /// Storage that failed, with its cause.
    pub fn storage(message: impl Into<String>, source: impl Into<Cause>) -> Self {
        Error::Storage { message: message.into(), hint: None, source: Some(source.into()) }
    }

    /// A file that could not be read or written. A closed pipe keeps its own meaning.
    pub fn io(doing: &str, path: &Path, err: io::Error) -> Self {
        if err.kind() == io::ErrorKind::BrokenPipe {
            return Error::ClosedPipe;
        }
        let hint = match err.kind() {
            io::ErrorKind::StorageFull => Some("free some space on the disk and run the same command again"),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Some("check the folder's owner and permissions")
            }
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                Some("a file or a link stands where a folder should be: move it away, or name another place")
            }
            _ => None,
        };
        Error::Storage {
            message: format!("cannot {doing} {}", path.display()),
            hint: hint.map(str::to_owned),
            source: Some(err.into()),
        }
    }

    /// The same with advice on what to do.
    #[must_use]
    pub fn hint(self, advice: impl Into<String>) -> Self {
        let advice = Some(advice.into());
        match self {
            Error::Usage { message, .. } => Error::Usage { message, hint: advice },
            Error::Query { message, .. } => Error::Query { message, hint: advice },
            Error::Storage { message, source, .. } => Error::Storage { message, hint: advice, source },
            other => other,
        }
    }

    /// The same with the place of what it is about in front of it.
    #[must_use]
    pub fn at(self, place: &str) -> Self {
        match self {
            Error::Usage { message, hint } => Error::Usage { message: format!("{place}{message}"), hint },
            other => other,
        }
    }

    /// The same about a text of another name.
    #[must_use]
    pub fn in_query(self, name: &str) -> Self {
        match self {
            Error::Refused(refused) => Error::Refused(Box::new(RefusedQuery { name: name.to_owned(), ..*refused })),
            other => other,
        }
    }

    /// Advice on what to do, when there is any.
    pub fn advice(&self) -> Option<&str> {
        match self {
            Error::Usage { hint, .. } | Error::Query { hint, .. } | Error::Storage { hint, .. } => hint.as_deref(),
            Error::Source(_) => Some("run the same command again later; nothing is lost"),
            Error::Defect(_) => {
                Some("this is a defect of kqlake: please report it with the command line and the text above (leave secrets out)")
            }
            _ => None,
        }
    }

    /// The exit status that this error ends the process with.
    pub fn status(&self) -> u8 {
        match self {
            Error::Usage { .. } => status::USAGE,
            Error::Refused(_) | Error::Query { .. } => status::QUERY,
            Error::Source(_) => status::SOURCE,
            Error::Incomplete(_) => status::INCOMPLETE,
            Error::Storage { .. } => status::STORAGE,
            Error::Defect(_) => status::DEFECT,
            Error::ClosedPipe => status::DONE,
            Error::Interrupted(status) => *status,
        }
    }

    /// The message with its chain of causes on one line, causes that only repeat their parent left out.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(err) = cause {
            let next = err.to_string();
            if !text.contains(&next) {
                text.push_str(": ");
                text.push_str(&next);
            }
            cause = err.source();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_error_has_its_status() {
        assert_eq!(Error::usage("x").status(), 2);
        assert_eq!(Error::query("x").status(), 3);
        assert_eq!(Error::storage("x", "y").status(), 6);
        assert_eq!(Error::io("write", Path::new("x"), io::ErrorKind::BrokenPipe.into()).status(), 0);
        assert_eq!(Error::storage("cannot open x", "disk on fire").chain(), "cannot open x: disk on fire");
    }
}
