//! Progress on standard error, only when that is a terminal and only for what takes a while.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Context, report};
use crate::output::terminal;
use kqlake_import as import;
use kqlake_value::escape::escaped;

/// A bar on standard error; nothing at all off a terminal or with `-q`.
fn bar(context: &Context, template: &str) -> ProgressBar {
    if context.quiet || !terminal::shows_progress() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    bar.set_draw_target(ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// A line that shows that work goes on; it disappears when dropped.
#[derive(Debug)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// A line with a message.
    pub(super) fn new(context: &Context, message: impl Into<String>) -> Progress {
        Progress(bar(context, "{spinner} {msg} {elapsed}").with_message(escaped(&message.into()).into_owned()))
    }

    /// Says what is being done now.
    pub(super) fn say(&self, message: impl Into<String>) {
        self.0.set_message(escaped(&message.into()).into_owned());
    }

    /// Does something that writes above the progress.
    pub(super) fn suspend<T>(&self, what: impl FnOnce() -> T) -> T {
        self.0.suspend(what)
    }

    /// Writes a line of the command's summary above the progress.
    pub(super) fn tell(&self, context: &Context, text: &str) {
        self.0.suspend(|| context.tell(text));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// How far an import has come in its bytes; it disappears when dropped.
#[derive(Debug)]
pub(super) struct ByteProgress {
    bar: ProgressBar,
    quiet: bool,
}

impl ByteProgress {
    /// A bar at its beginning.
    pub(super) fn new(context: &Context) -> ByteProgress {
        let bar = bar(context, "{spinner} {bytes:>10} of {total_bytes} {bytes_per_sec} {wide_msg}");
        ByteProgress { bar, quiet: context.quiet }
    }
}

impl import::Progress for ByteProgress {
    fn total(&self, _units: u64, bytes: u64) {
        self.bar.set_length(bytes);
    }

    fn unit_started(&self, name: &str) {
        self.bar.set_message(escaped(name).into_owned());
    }

    fn waiting(&self, name: &str) {
        if !self.quiet {
            self.bar.suspend(|| report::line(format_args!("waiting for data from {name}, which is a pipe")));
        }
    }

    fn advanced(&self, bytes: u64) {
        self.bar.inc(bytes);
    }
}

impl Drop for ByteProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
