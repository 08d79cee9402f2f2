//! From tokens to the tree, by recursive descent and precedence climbing.
//!
//! | file | reads |
//! |---|---|
//! | `statements.rs` | `let`, `set`, `declare`, …, queries, function bodies |
//! | `pipeline.rs` | a source and the operators behind it, `name = value` options |
//! | `operators/` | one function an operator |
//! | `expressions.rs`, `primary.rs`, `dynamic.rs` | scalar expressions |
//! | `recovery.rs` | where to continue after an error, and how errors are worded |
//!
//! Reading never fails as a whole: what cannot be read is reported, and reading continues at the next pipe, semicolon or closing
//! bracket, so that one call reports the errors of all operators. The grammar is that of Kusto's published parser
//! (microsoft/Kusto-Query-Language, `QueryParser`), which accepts more words as names than the documentation says.
//!
//! Nothing here recurses without counting: nesting ends at [`MAX_DEPTH`] with a diagnostic.

mod dynamic;
mod expressions;
mod operators;
mod pipeline;
mod primary;
mod recovery;
mod statements;
mod words;

use crate::ast::{Name, Script, Span};
use crate::diagnostics::{Diagnostic, Severity, code};
use crate::lexer::{self, Token, TokenKind};
use kqlake_value::parse::bool_word;

pub use operators::operator_names;

/// How deep brackets may nest, and how many operators or accessors may follow one another without brackets (`a + b + …`, `a.b.c…`).
/// Chains of `and` and of `or` are flat and have no limit. Who walks a tree by recursion needs stack for this depth.
pub const MAX_DEPTH: u32 = 500;

/// Depth up to which the caller's stack is surely enough, debug builds and threads of 2 MiB included.
const SHALLOW: usize = 24;

/// Stack for each level of nesting beyond [`SHALLOW`], in bytes; measured on debug builds, doubled.
const STACK_PER_LEVEL: usize = 48 << 10;

/// Findings reported at most for one text.
const MAX_DIAGNOSTICS: usize = 100;

/// A text's tree and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parsed {
    /// The statements. Where something could not be read, they hold [`ExprKind::Error`](crate::ast::ExprKind::Error) or leave it out.
    pub script: Script,
    /// Errors and warnings in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

impl Parsed {
    /// True when there is an error, not only warnings; the tree is then not fit to be bound.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }
}

/// Reads a KQL text: statements separated by semicolons.
///
/// Takes time and memory linear in the text, whatever the text is.
///
/// ```
/// let parsed = kqlake_syntax::parser::parse("traces | where timestamp > ago(1d) | count");
/// assert!(!parsed.has_errors());
/// assert_eq!(parsed.script.statements.len(), 1);
/// ```
pub fn parse(text: &str) -> Parsed {
    let lexed = lexer::lex(text);
    let depth = deepest_nesting(&lexed.tokens);
    if depth <= SHALLOW {
        return Parser::new(text, lexed).run();
    }
    // Deep nesting gets a stack of its own: what a frame takes differs tenfold between debug and release builds, and callers may be
    // threads with little stack.
    let stack = depth.min(MAX_DEPTH as usize + 1) * STACK_PER_LEVEL + (1 << 20);
    let run = move || Parser::new(text, lexed).run();
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("kql-parse".into()).stack_size(stack).spawn_scoped(scope, run);
        match thread.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(parsed)) => parsed,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(error) => {
                let message = format!("the text nests {depth} brackets, and there is no stack to read it: {error}");
                Parsed { script: Script::default(), diagnostics: vec![Diagnostic::error(code::LIMIT, Span::new(0, 0), message)] }
            }
        }
    })
}

/// How many brackets are open at once at most.
fn deepest_nesting(tokens: &[Token]) -> usize {
    let mut open = 0_usize;
    let mut deepest = 0;
    for token in tokens {
        match token.kind {
            TokenKind::LeftParen | TokenKind::LeftBracket | TokenKind::LeftBrace => {
                open += 1;
                deepest = deepest.max(open);
            }
            TokenKind::RightParen | TokenKind::RightBracket | TokenKind::RightBrace => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Given in place of a result after an error was reported: callers that can continue catch it, all others return it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reported;

/// What a reading function gives.
type Read<T> = Result<T, Reported>;

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    /// Index of the token that is next; never past the end token.
    pos: usize,
    /// Brackets open around the place.
    depth: u32,
    /// Height of the expression read last.
    height: u32,
    /// Greatest height among the expressions read inside the innermost open bracket.
    highest: u32,
    /// Set when reading was given up; nothing more is reported.
    given_up: bool,
    diagnostics: Vec<Diagnostic>,
    /// For each token the number of brackets around it; made at the first error.
    levels: Vec<u32>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, lexed: lexer::Lexed) -> Self {
        Parser {
            text,
            tokens: lexed.tokens,
            pos: 0,
            depth: 0,
            height: 0,
            highest: 0,
            given_up: false,
            diagnostics: lexed.diagnostics,
            levels: Vec::new(),
        }
    }

    fn run(mut self) -> Parsed {
        let statements = if self.is_other_language() { Vec::new() } else { self.statements(TokenKind::End) };
        // The lexer's findings stand before the parser's; a reader wants them by place.
        self.diagnostics.sort_by_key(|d| (d.span.start, d.span.end));
        self.diagnostics.truncate(MAX_DIAGNOSTICS);
        Parsed { script: Script { statements }, diagnostics: self.diagnostics }
    }

    // --- looking ---

    fn token(&self) -> Token {
        self.tokens[self.pos]
    }

    fn token_at(&self, ahead: usize) -> Token {
        self.tokens[(self.pos + ahead).min(self.tokens.len() - 1)]
    }

    fn kind(&self) -> TokenKind {
        self.token().kind
    }

    fn kind_at(&self, ahead: usize) -> TokenKind {
        self.token_at(ahead).kind
    }

    fn text_of(&self, token: Token) -> &'a str {
        &self.text[token.start as usize..token.end as usize]
    }

    /// The text of the word or keyword that is next; empty when something else is.
    fn word(&self) -> &'a str {
        self.word_at(0)
    }

    fn word_at(&self, ahead: usize) -> &'a str {
        let token = self.token_at(ahead);
        match token.kind {
            TokenKind::Word | TokenKind::Keyword => self.text_of(token),
            _ => "",
        }
    }

    fn at(&self, kind: TokenKind) -> bool {
        self.kind() == kind
    }

    fn at_word(&self, word: &str) -> bool {
        self.word() == word
    }

    /// True at a token that ends any list: a pipe, a semicolon, a closing bracket, the end.
    fn at_list_end(&self) -> bool {
        use TokenKind::{Bar, End, RightBrace, RightBracket, RightParen, Semicolon};
        matches!(self.kind(), Bar | Semicolon | RightParen | RightBracket | RightBrace | End)
    }

    /// True when nothing is between the token and the one after it.
    fn adjacent(&self, ahead: usize) -> bool {
        self.token_at(ahead).end == self.token_at(ahead + 1).start
    }

    // --- taking ---

    fn bump(&mut self) -> Token {
        let token = self.token();
        if token.kind != TokenKind::End {
            self.pos += 1;
        }
        token
    }

    fn eat(&mut self, kind: TokenKind) -> bool {
        let found = self.at(kind) && kind != TokenKind::End;
        if found {
            self.pos += 1;
        }
        found
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        if found {
            self.pos += 1;
        }
        found
    }

    fn expect(&mut self, kind: TokenKind) -> Read<Token> {
        if self.at(kind) { Ok(self.bump()) } else { Err(self.unexpected(words::describe_kind(kind))) }
    }

    /// The bracket that closes one opened before.
    fn close(&mut self, kind: TokenKind, open: Token) -> Read<Token> {
        if self.at(kind) { Ok(self.bump()) } else { Err(self.unclosed(kind, open)) }
    }

    fn expect_word(&mut self, word: &str) -> Read<Token> {
        if self.at_word(word) { Ok(self.bump()) } else { Err(self.unexpected(&format!("`{word}`"))) }
    }

    // --- places ---

    /// End of the token before this one.
    fn last_end(&self) -> u32 {
        if self.pos == 0 { 0 } else { self.tokens[self.pos - 1].end }
    }

    /// From a start to the end of what was read last.
    fn span_from(&self, start: u32) -> Span {
        Span { start, end: self.last_end().max(start) }
    }

    // --- names ---

    /// Number of tokens of the name that is `ahead`: 1 for a word, more for `['…']`, 0 when there is none.
    fn name_len(&self, ahead: usize) -> usize {
        match self.kind_at(ahead) {
            TokenKind::Word => 1,
            TokenKind::LeftBracket => {
                let mut strings = 0;
                while self.kind_at(ahead + 1 + strings) == TokenKind::String {
                    strings += 1;
                }
                let closed = self.kind_at(ahead + 1 + strings) == TokenKind::RightBracket;
                if strings > 0 && closed { strings + 2 } else { 0 }
            }
            _ => 0,
        }
    }

    /// A name: any word but the two bools, or `['…']`.
    fn name(&mut self) -> Read<Name> {
        match self.name_len(0) {
            0 => Err(self.unexpected("a name")),
            1 => {
                let token = self.bump();
                let (text, span) = (self.text_of(token).to_owned(), token.span());
                if bool_word(&text).is_some() {
                    self.fail_with(span, format!("`{text}` is a value and no name"), format!("a name is written ['{text}']"));
                }
                Ok(Name { text, span })
            }
            len => {
                let start = self.bump().start;
                let mut text = String::new();
                for _ in 0..len - 2 {
                    let token = self.bump();
                    text.push_str(&lexer::string_value(self.text_of(token)));
                }
                self.bump();
                Ok(Name { text, span: self.span_from(start) })
            }
        }
    }

    /// `name, name, …`
    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.eat(TokenKind::Comma) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    // --- nesting ---

    /// Reads the inside of a bracket, whose opening was taken, one level deeper.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        if self.depth >= MAX_DEPTH {
            return Err(self.too_deep());
        }
        self.depth += 1;
        let highest = std::mem::replace(&mut self.highest, 0);
        let result = read(self);
        self.depth -= 1;
        self.height = self.highest + 1;
        self.highest = highest.max(self.height);
        result
    }

    /// Notes that the expression read last got a node above it and above another of a given height.
    fn grow(&mut self, other: u32) -> Read<()> {
        self.height = self.height.max(other) + 1;
        if self.height > MAX_DEPTH {
            return Err(self.too_deep());
        }
        self.highest = self.highest.max(self.height);
        Ok(())
    }

    fn too_deep(&mut self) -> Reported {
        let message = format!("the expression is too deep: at most {MAX_DEPTH} levels are read");
        let diagnostic = Diagnostic::error(code::LIMIT, self.token().span(), message);
        self.give_up(diagnostic)
    }

    /// Reports a last finding and goes to the end of the text.
    fn give_up(&mut self, diagnostic: Diagnostic) -> Reported {
        self.report(diagnostic);
        self.given_up = true;
        self.pos = self.tokens.len() - 1;
        Reported
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        if self.given_up {
            return;
        }
        self.diagnostics.push(diagnostic);
        if self.diagnostics.len() >= MAX_DIAGNOSTICS {
            self.given_up = true;
            self.pos = self.tokens.len() - 1;
        }
    }
}

#[cfg(test)]
mod soup_tests;
#[cfg(test)]
mod tests;
