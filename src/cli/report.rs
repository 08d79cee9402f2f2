//! Messages on standard error.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser as _;

use super::Cli;
use crate::error::{Error, RefusedQuery, status};
use crate::output::terminal;
use kqlake_syntax::diagnostics::{Diagnostic, RenderStyle, render};
use kqlake_value::escape::escaped;

/// Writes one line to standard error; that nobody reads it is no error. Names and texts from files may be part of it: what a
/// terminal would obey, a line end too, is shown and not sent.
pub(super) fn line(text: impl Display) {
    raw(escaped(&text.to_string()));
}

/// Writes what is escaped already.
fn raw(text: impl Display) {
    drop(writeln!(std::io::stderr(), "{text}"));
}

/// A number of files in words.
pub(super) fn files(count: u64) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

fn painted(text: &str, color: &str) -> String {
    if terminal::shows_colors() { format!("\u{1b}[1;{color}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// Writes an error with its advice and gives the exit status.
pub(super) fn error(err: &Error) -> u8 {
    match err {
        Error::ClosedPipe => {}
        Error::Interrupted(_) => line("interrupted"),
        Error::Refused(refused) => diagnostics(refused),
        _ => {
            raw(format_args!("{} {}", painted("error:", "31"), escaped(&err.chain())));
            if let Some(advice) = err.advice() {
                raw(format_args!("  {} {}", painted("help:", "36"), escaped(advice)));
            }
        }
    }
    err.status()
}

/// Writes the diagnostics of a query text, each with its line and the place underlined.
pub(super) fn diagnostics(refused: &RefusedQuery) {
    let name = escaped(&refused.name);
    for diagnostic in &refused.diagnostics {
        // The line of the query is made harmless where it is cut out; the rest holds names.
        let shown = Diagnostic {
            message: escaped(&diagnostic.message).into_owned(),
            suggestion: diagnostic.suggestion.as_deref().map(|text| escaped(text).into_owned()),
            ..diagnostic.clone()
        };
        let style = RenderStyle { source_name: Some(&name), color: terminal::shows_colors() };
        raw(render(&shown, &refused.text, style).trim_end());
    }
}

/// Writes what is wrong with the command line, or help and the version, and gives the exit status.
pub(super) fn command_line(err: &clap::Error, args: &[OsString]) -> u8 {
    let status = u8::try_from(err.exit_code()).unwrap_or(status::USAGE);
    let shown: Vec<OsString> = args.iter().map(|arg| escaped(&arg.to_string_lossy()).into_owned().into()).collect();
    // Help and version go to standard output with status 0, everything else to standard error with status 2.
    if !err.use_stderr() || shown.iter().zip(args).all(|(shown, arg)| *shown == arg.to_string_lossy().as_ref()) {
        drop(err.print());
        return status;
    }
    // The same mistake with arguments that a terminal does not obey.
    match Cli::try_parse_from(&shown) {
        Err(again) if again.kind() == err.kind() => drop(again.print()),
        _ => line(err.render()),
    }
    status
}

/// Set when the command's result is there: what still runs on other threads is given up, and has nothing to say.
static IS_OVER: AtomicBool = AtomicBool::new(false);

/// Nothing that happens from now on is part of the command.
pub(super) fn over() {
    IS_OVER.store(true, Ordering::Relaxed);
}

/// Makes a panic say what it is: a defect, with where it happened and what to do about it. The exit status is 70.
pub(super) fn on_panic() {
    std::panic::set_hook(Box::new(|info| {
        // A library's thread may panic when the runtime below it goes away.
        if IS_OVER.load(Ordering::Relaxed) {
            return;
        }
        let what = info
            .payload()
            .downcast_ref::<&str>()
            .map(|s| (*s).to_owned())
            .or_else(|| info.payload().downcast_ref::<String>().cloned())
            .unwrap_or_default();
        let place = info.location().map(|l| format!(" ({}:{})", l.file(), l.line())).unwrap_or_default();
        error(&Error::Defect(format!("kqlake {} met a defect: {what}{place}", env!("CARGO_PKG_VERSION"))));
    }));
}
