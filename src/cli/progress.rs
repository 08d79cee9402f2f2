//! Progress on standard error, only when that is a terminal and only for what takes a while.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Context;
use crate::output::terminal;

/// A line that shows that work goes on; it disappears when dropped.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// A line with a message; nothing at all off a terminal or with `-q`.
    pub fn new(context: &Context, message: impl Into<String>) -> Progress {
        if context.quiet || !terminal::shows_progress() {
            return Progress(ProgressBar::hidden());
        }
        let bar = ProgressBar::new_spinner().with_message(message.into());
        bar.set_draw_target(ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Progress(bar)
    }

    /// Says what is being done now.
    pub fn say(&self, message: impl Into<String>) {
        self.0.set_message(message.into());
    }

    /// Writes a line above the progress.
    pub fn line(&self, context: &Context, text: &str) {
        if !context.quiet {
            self.0.suspend(|| super::report::line(text));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
