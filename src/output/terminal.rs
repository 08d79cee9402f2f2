//! What is known of the terminal.

use std::io::IsTerminal;

/// Width to draw into: the terminal's, when standard output is one that says how wide it is.
pub(crate) fn width() -> Option<u16> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    let said = crate::config::environment("COLUMNS").and_then(|text| text.parse().ok());
    said.or_else(|| terminal_size::terminal_size().map(|(width, _)| width.0))
}

/// True when standard error is a terminal that can redraw a line, so that progress may be shown there.
pub(crate) fn shows_progress() -> bool {
    std::io::stderr().is_terminal() && crate::config::environment("TERM").as_deref() != Some("dumb")
}

/// True when standard error is a terminal and colours are wanted (`NO_COLOR`, <https://no-color.org>).
pub(crate) fn shows_colors() -> bool {
    shows_progress() && crate::config::environment("NO_COLOR").is_none()
}
