//! Progress on standard error, only when that is a terminal and only for what takes a while.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Context;
use crate::import;
use crate::output::terminal;

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
pub struct Progress(ProgressBar);

impl Progress {
    /// A line with a message.
    pub fn new(context: &Context, message: impl Into<String>) -> Progress {
        Progress(bar(context, "{spinner} {msg} {elapsed}").with_message(message.into()))
    }

    /// Says what is being done now.
    pub fn say(&self, message: impl Into<String>) {
        self.0.set_message(message.into());
    }

    /// Writes a line of the command's summary above the progress.
    pub fn tell(&self, context: &Context, text: &str) {
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
pub struct Bytes(ProgressBar);

impl Bytes {
    /// A bar at its beginning.
    pub fn new(context: &Context) -> Bytes {
        Bytes(bar(context, "{spinner} {bytes:>10} of {total_bytes} {bytes_per_sec} {wide_msg}"))
    }
}

impl import::Progress for Bytes {
    fn total(&self, _units: u64, bytes: u64) {
        self.0.set_length(bytes);
    }

    fn unit_started(&self, name: &str) {
        self.0.set_message(name.to_owned());
    }

    fn advanced(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
