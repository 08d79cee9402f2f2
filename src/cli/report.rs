//! Messages on standard error.

use std::fmt::Display;
use std::io::Write as _;

use crate::error::{Error, Refused};
use crate::kql::diagnostics::{RenderStyle, render};
use crate::output::terminal;

/// Writes one line to standard error; that nobody reads it is no error.
pub fn line(text: impl Display) {
    drop(writeln!(std::io::stderr(), "{text}"));
}

fn painted(text: &str, color: &str) -> String {
    if terminal::shows_colors() { format!("\u{1b}[1;{color}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// Writes an error with its advice and gives the exit status.
pub fn error(err: &Error) -> u8 {
    match err {
        Error::ClosedPipe => {}
        Error::Interrupted => line("interrupted"),
        Error::Refused(refused) => diagnostics(refused),
        _ => {
            line(format_args!("{} {}", painted("error:", "31"), err.chain()));
            if let Some(advice) = err.advice() {
                line(format_args!("  {} {advice}", painted("help:", "36")));
            }
        }
    }
    err.status()
}

/// Writes the diagnostics of a query text, each with its line and the place underlined.
pub fn diagnostics(refused: &Refused) {
    for diagnostic in &refused.diagnostics {
        let style = RenderStyle { source_name: Some(&refused.name), color: terminal::shows_colors() };
        line(render(diagnostic, &refused.text, style).trim_end());
    }
}

/// Makes a panic say what it is: a defect, with where it happened and what to do about it. The exit status is 70.
pub fn on_panic() {
    std::panic::set_hook(Box::new(|info| {
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
