//! What is wrong with a KQL text, where, and what to write instead.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar as _;

use crate::ast::Span;

/// Columns of source text shown at most beside a diagnostic; what is left out is marked with `…`.
const SHOWN_COLUMNS: usize = 140;

/// How grave a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The query is refused.
    Error,
    /// The query runs; something in it is ignored or doubtful.
    Warning,
}

/// One finding about a KQL text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Code of the class of error, as Microsoft's engine names it where it has one (`SYN0002`, `SEM0100`), else `KQL####`.
    pub code: &'static str,
    /// What was found and expected, one sentence.
    pub message: String,
    /// The place in the text.
    pub span: Span,
    /// What to write instead, when there is a nearest correct form.
    pub suggestion: Option<String>,
}

/// Codes of the classes of errors.
pub mod code {
    /// The text is no KQL: a token or an end was found where something else is expected.
    pub const SYNTAX: &str = "SYN0002";
    /// Operand types that an operator does not take; for dynamic operands the remedy is a cast.
    pub const OPERANDS: &str = "SEM0001";
    /// A name given twice.
    pub const DUPLICATE: &str = "SEM0034";
    /// Argument or operand of the wrong type.
    pub const TYPE: &str = "SEM0064";
    /// Unknown table, column or function.
    pub const UNKNOWN: &str = "SEM0100";
    /// Wrong number of arguments.
    pub const ARITY: &str = "SEM0219";
    /// `mv-expand` of something that is not dynamic.
    pub const EXPAND: &str = "SEM0447";
    /// A `parse` pattern that cannot be.
    pub const PATTERN: &str = "SEM0476";
    /// The language has it, kqlake does not support it.
    pub const UNSUPPORTED: &str = "KQL0001";
    /// Too deep or too long to be read.
    pub const LIMIT: &str = "KQL0002";
    /// The comment at the top of a saved query has a mistake.
    pub const HEADER: &str = "KQL0003";
    /// A value that cannot be known before the query runs, where it must be.
    pub const CONSTANT: &str = "SEM0025";
}

impl Diagnostic {
    /// An error.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Error, code, message: message.into(), span, suggestion: None }
    }

    /// A warning.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, span, message) }
    }

    /// The same with a suggestion.
    #[must_use]
    pub fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = Some(suggestion.into());
        self
    }
}

/// Line and column of a byte offset, both from 1; the column counts characters. An offset past the end is the end's place.
pub fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |found| found + 1);
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

/// How [`render`] writes a diagnostic.
#[derive(Debug, Clone, Copy, Default)]
pub struct RenderStyle<'a> {
    /// Name of the text, as the reader knows it (a file's path).
    pub source_name: Option<&'a str>,
    /// Terminal colors (ANSI).
    pub color: bool,
}

/// A diagnostic as text of several lines, ending in a line break: severity, code and message, the place, the line of source with the
/// place underlined, and the suggestion.
///
/// ```text
/// error[SYN0002]: unknown operator `wher`
///   --> 2:3
///    |
///  2 | | wher x == 1
///    |   ^^^^
///    = help: did you mean `where`?
/// ```
pub fn render(diagnostic: &Diagnostic, text: &str, style: RenderStyle<'_>) -> String {
    let (severity, strong) = match diagnostic.severity {
        Severity::Error => ("error", "\x1b[1;31m"),
        Severity::Warning => ("warning", "\x1b[1;33m"),
    };
    let paint = |code: &'static str| if style.color { code } else { "" };
    let (strong, quiet, bold, reset) = (paint(strong), paint("\x1b[1;34m"), paint("\x1b[1m"), paint("\x1b[0m"));
    let (line, column) = line_column(text, diagnostic.span.start as usize);
    let number = line.to_string();
    let gutter = " ".repeat(number.len());
    let excerpt = excerpt(text, diagnostic.span);
    let mut out = String::new();
    let _ = writeln!(out, "{strong}{severity}[{}]{reset}{bold}: {}{reset}", diagnostic.code, diagnostic.message);
    let name = style.source_name.map(|name| format!("{name}:")).unwrap_or_default();
    let _ = writeln!(out, "{gutter} {quiet}-->{reset} {name}{line}:{column}");
    let _ = writeln!(out, "{gutter}  {quiet}|{reset}");
    let _ = writeln!(out, " {quiet}{number} |{reset} {}", excerpt.line);
    let _ = writeln!(out, "{gutter}  {quiet}|{reset} {}{strong}{}{reset}", " ".repeat(excerpt.indent), "^".repeat(excerpt.width));
    if let Some(suggestion) = &diagnostic.suggestion {
        let _ = writeln!(out, "{gutter}  {quiet}={reset} {bold}help{reset}: {suggestion}");
    }
    out
}

/// The part of a line that is shown, and where its underline is.
struct Excerpt {
    line: String,
    indent: usize,
    width: usize,
}

/// Where a line has what may be a permission: in addresses the user's name and password, and what follows the path.
fn permissions(line: &str) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    for (at, scheme) in line.match_indices("://") {
        let start = at + scheme.len();
        let rest = &line[start..];
        let rest = &rest[..rest.find(|c: char| c.is_whitespace() || matches!(c, '\'' | '"')).unwrap_or(rest.len())];
        let path = rest.find(['/', '?', '#', ';']).unwrap_or(rest.len());
        if let Some(user) = rest[..path].rfind('@') {
            found.push(start..start + user);
        }
        if let Some(behind) = rest.find(['?', '#', ';']) {
            found.push(start + behind + 1..start + rest.len());
        }
    }
    found
}

/// The first line of a span, cut to a readable width around it; control characters become spaces, and permissions in addresses
/// stars.
fn excerpt(text: &str, span: Span) -> Excerpt {
    let boundary = |offset: u32| {
        let mut offset = (offset as usize).min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    };
    let start = boundary(span.start);
    let line_start = text[..start].rfind('\n').map_or(0, |found| found + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |found| start + found);
    let end = boundary(span.end).clamp(start, line_end);
    let hidden = permissions(&text[line_start..line_end]);
    let cell = |at: usize, c: char| match c {
        _ if hidden.iter().any(|range| range.contains(&(at - line_start))) => '*',
        _ if c.is_control() || c.width().unwrap_or(0) == 0 => ' ',
        _ => c,
    };
    let width = |at: usize, c: char| cell(at, c).width().unwrap_or(1);

    // Up to half of the width goes to what is before the place.
    let mut from = start;
    let mut indent = 0;
    for (at, c) in text[line_start..start].char_indices().rev() {
        let wide = width(line_start + at, c);
        if indent + wide > SHOWN_COLUMNS / 2 {
            break;
        }
        indent += wide;
        from = line_start + at;
    }
    let mut line = String::new();
    if from > line_start {
        line.push('…');
        indent += 1;
    }
    let mut used = 0;
    let mut marked = 0;
    let mut cut = false;
    let shown = text[from..line_end].trim_end_matches(['\r', '\n']);
    for (at, c) in shown.char_indices() {
        let wide = width(from + at, c);
        if used + wide > SHOWN_COLUMNS {
            cut = true;
            break;
        }
        if (start..end).contains(&(from + at)) {
            marked += wide;
        }
        line.push(cell(from + at, c));
        used += wide;
    }
    if cut {
        line.push('…');
    }
    Excerpt { line, indent, width: marked.max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str, start: usize, end: usize) -> String {
        let diagnostic =
            Diagnostic::error(code::SYNTAX, Span::new(start, end), "unknown operator `wher`").suggest("did you mean `where`?");
        render(&diagnostic, text, RenderStyle { source_name: Some("q.kql"), color: false })
    }

    #[test]
    fn the_place_is_shown_and_underlined() {
        let expected = "\
error[SYN0002]: unknown operator `wher`
  --> q.kql:2:3
   |
 2 | | wher x == 1
   |   ^^^^
   = help: did you mean `where`?
";
        assert_eq!(plain("T\r\n| wher x == 1\r\n| take 1", 5, 9), expected);
    }

    #[test]
    fn wide_letters_tabs_and_the_end_of_the_text_keep_the_underline_in_place() {
        let rendered = plain("\t日本 wher", 8, 12);
        assert!(rendered.contains(" 1 |  日本 wher\n   |       ^^^^\n"), "{rendered}");
        let rendered = plain("T |", 3, 3);
        assert!(rendered.contains(" 1 | T |\n   |    ^\n"), "{rendered}");
        // A span beyond the text, or inside a letter, is moved to the nearest place.
        assert!(plain("é", 1, 99).contains("1:1"));
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let text = format!("{}wher{}", "a".repeat(500), "b".repeat(500));
        let rendered = plain(&text, 500, 504);
        assert!(rendered.lines().all(|line| line.chars().count() < 160), "{rendered}");
        assert!(rendered.contains("…a") && rendered.contains("b…"), "{rendered}");
    }

    #[test]
    fn lines_are_cut_exactly_where_the_width_ends() {
        let shown = |text: &str, start: usize, end: usize| {
            let excerpt = excerpt(text, Span::new(start, end));
            (excerpt.line, excerpt.indent, excerpt.width)
        };
        let half = SHOWN_COLUMNS / 2;
        let (before, after) = ("a".repeat(half), "b".repeat(SHOWN_COLUMNS - half - 4));
        let fits = format!("{before}wher{after}");
        assert_eq!(shown(&fits, half, half + 4), (fits.clone(), half, 4));
        assert_eq!(shown(&format!("{fits}b"), half, half + 4), (format!("{fits}…"), half, 4));
        assert_eq!(shown(&format!("a{fits}"), half + 1, half + 5), (format!("…{fits}"), half + 1, 4));
        // A letter of two columns that would stand half outside of the width is left out, on either side.
        let wide = format!("日{}wher{}日", "a".repeat(half - 1), "b".repeat(SHOWN_COLUMNS - half - 4));
        let inner = format!("…{}wher{}…", "a".repeat(half - 1), "b".repeat(SHOWN_COLUMNS - half - 4));
        assert_eq!(shown(&wide, half + 2, half + 6), (inner, half, 4));
        let wide = format!("日{}wher", "a".repeat(half - 2));
        assert_eq!(shown(&wide, half + 1, half + 5), (wide.clone(), half, 4));
        // A place inside of a letter is that of the letter; what has no width takes a column.
        assert_eq!(shown("日x", 1, 2), ("日x".to_owned(), 0, 1));
        assert_eq!(shown("日x", 2, 4), ("日x".to_owned(), 0, 3));
        assert_eq!(shown("\u{200b}\tx", 4, 5), ("  x".to_owned(), 2, 1));
        assert_eq!(line_column("日x", 2), (1, 1));
    }

    #[test]
    fn permissions_in_addresses_are_not_shown() {
        let text = "x ['https://user:word@host/a.csv?sig=word', 'https://host/a.csv;word', 'a?b'] y";
        let shown = plain(text, 3, 41);
        assert!(!shown.contains("word") && shown.contains("https://*********@host/a.csv?********'"), "{shown}");
        assert!(shown.contains("'https://host/a.csv;****', 'a?b'] y"), "{shown}");
    }

    #[test]
    fn warnings_say_that_they_are_warnings() {
        let warning = Diagnostic::warning(code::SYNTAX, Span::new(0, 1), "unusual");
        assert_eq!(warning.severity, Severity::Warning);
        assert!(render(&warning, "T", RenderStyle::default()).starts_with("warning[SYN0002]: unusual\n"));
        let colored = render(&warning, "T", RenderStyle { source_name: None, color: true });
        assert!(colored.starts_with("\x1b[1;33mwarning[SYN0002]\x1b[0m\x1b[1m: unusual\x1b[0m\n"), "{colored:?}");
    }
}
