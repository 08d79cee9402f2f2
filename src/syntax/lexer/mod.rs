//! From text to tokens: kinds and places only, no text is copied.
//!
//! The rules are those of Kusto's published token parser (microsoft/Kusto-Query-Language): words and numbers are ASCII, `1..5` is
//! three tokens, `project-away`, `in~` and `!contains` are one. What cannot be a token is reported here, once, and read as what
//! it was probably meant to be (a typographic quote as a quote, `\|` as a pipe), so that the parser can continue.

mod scan;
mod strings;

use crate::ast::Span;
use crate::diagnostics::{Diagnostic, code};

pub use strings::string_value;

/// Kinds of token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TokenKind {
    /// What may be a name or a keyword: `traces`, `3rdParty`, `where`.
    Word,
    /// A keyword that can be no name: `project-away`, `in~`, `!has`.
    Keyword,
    /// `12`, `0x1F`.
    Long,
    /// `1.5`, `1.`, `1e3`.
    Real,
    /// `1d`, `1.5h`.
    TimeSpan,
    /// A string in any of its forms, prefix and quotes included.
    String,
    /// A bare guid.
    Guid,
    /// `(`
    LeftParen,
    /// `)`
    RightParen,
    /// `[`
    LeftBracket,
    /// `]`
    RightBracket,
    /// `{`
    LeftBrace,
    /// `}`
    RightBrace,
    /// `|`
    Bar,
    /// `.`
    Dot,
    /// `..`
    DotDot,
    /// `,`
    Comma,
    /// `;`
    Semicolon,
    /// `:`
    Colon,
    /// `+`
    Plus,
    /// `-`
    Minus,
    /// `*`
    Star,
    /// `/`
    Slash,
    /// `%`
    Percent,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `==`
    EqualEqual,
    /// `!=`, `<>`
    NotEqual,
    /// `=`
    Assign,
    /// `=>`
    Arrow,
    /// `=~`
    EqualTilde,
    /// `!~`
    BangTilde,
    /// `&&`, which KQL does not have (reported); read as `and`.
    AndAnd,
    /// `||`, which KQL does not have (reported); read as `or`.
    OrOr,
    /// Something that is no token; it was reported.
    Bad,
    /// The end of the text.
    End,
}

/// A token: its kind and its bytes in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// Kind.
    pub kind: TokenKind,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Token {
    /// The token's place.
    pub fn span(self) -> Span {
        Span { start: self.start, end: self.end }
    }
}

/// The tokens of a text, the last one being [`TokenKind::End`], and what was wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Lexed {
    /// In order; never empty.
    pub tokens: Vec<Token>,
    /// Errors of the text's letters: unknown characters, unfinished strings, unknown escapes.
    pub diagnostics: Vec<Diagnostic>,
}

/// The longest text that is read, in bytes.
pub const MAX_TEXT: usize = 64 << 20;

/// Cuts a text into tokens. Takes time linear in the text and never fails: what is no token is reported and skipped.
pub fn lex(text: &str) -> Lexed {
    if text.len() > MAX_TEXT {
        let message = format!("the text has {} bytes; at most {MAX_TEXT} are read", text.len());
        return Lexed {
            tokens: vec![Token { kind: TokenKind::End, start: 0, end: 0 }],
            diagnostics: vec![Diagnostic::error(code::LIMIT, Span::new(0, 0), message)],
        };
    }
    scan::Scanner::new(text).run()
}

#[cfg(test)]
mod tests;
