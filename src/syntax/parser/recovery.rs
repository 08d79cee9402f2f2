//! Where reading continues after an error, and how errors are worded.

use super::{Parser, Reported, words};
use crate::ast::Span;
use crate::diagnostics::{Diagnostic, code, line_column};
use crate::lexer::{Token, TokenKind};
use crate::suggest;

/// Letters of the text shown at most in a message.
const SHOWN_TEXT: usize = 40;

impl Parser<'_> {
    /// Reports that something else than expected is next. What the lexer reported already is not reported again.
    pub(super) fn unexpected(&mut self, expected: &str) -> Reported {
        let token = self.token();
        if token.kind == TokenKind::Bad {
            return Reported;
        }
        let span = if token.kind == TokenKind::End {
            // The end of the text may be lines below the last thing written.
            Span { start: self.last_end(), end: self.last_end() }
        } else {
            token.span()
        };
        let mut diagnostic = Diagnostic::error(code::SYNTAX, span, format!("expected {expected}, found {}", self.found()));
        if let Some(hint) = self.hint() {
            diagnostic = diagnostic.suggest(hint);
        }
        self.report(diagnostic);
        Reported
    }

    /// Reports that a bracket is not closed where it should be.
    pub(super) fn unclosed(&mut self, kind: TokenKind, open: Token) -> Reported {
        let before = self.diagnostics.len();
        self.unexpected(words::describe_kind(kind));
        // At the end of a statement the place says nothing; where the bracket was opened does.
        if matches!(self.kind(), TokenKind::End | TokenKind::Semicolon)
            && self.diagnostics.len() > before
            && let Some(last) = self.diagnostics.last_mut()
        {
            let (line, column) = line_column(self.text, open.start as usize);
            let bracket = &self.text[open.start as usize..open.end as usize];
            last.suggestion = Some(format!("the `{bracket}` at {line}:{column} is not closed"));
        }
        Reported
    }

    /// Reports an error at a place.
    pub(super) fn fail(&mut self, span: Span, message: impl Into<String>) -> Reported {
        self.report(Diagnostic::error(code::SYNTAX, span, message));
        Reported
    }

    /// Reports an error with a remedy.
    pub(super) fn fail_with(&mut self, span: Span, message: impl Into<String>, suggestion: impl Into<String>) -> Reported {
        self.report(Diagnostic::error(code::SYNTAX, span, message).suggest(suggestion));
        Reported
    }

    /// Reports something that Kusto has and kqlake has not.
    pub(super) fn unsupported(&mut self, span: Span, message: impl Into<String>) -> Reported {
        self.report(Diagnostic::error(code::UNSUPPORTED, span, message));
        Reported
    }

    /// What is next, for a message.
    pub(super) fn found(&self) -> String {
        let token = self.token();
        if token.kind == TokenKind::End {
            return words::describe_kind(token.kind).to_owned();
        }
        let text = self.text_of(token);
        let line = text.lines().next().unwrap_or("");
        let mut shown: String = line.chars().take(SHOWN_TEXT).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        format!("`{shown}`")
    }

    /// A remedy for slips that other languages teach.
    fn hint(&self) -> Option<String> {
        let word = self.word();
        if word.is_empty() {
            return (self.at(TokenKind::Assign)).then(|| "`=` gives a name; `==` compares".to_owned());
        }
        match word.to_ascii_lowercase().as_str() {
            "is" => return Some("write isnull(x), isnotnull(x), isempty(x) or isnotempty(x)".to_owned()),
            "not" => return Some("`not` is a function, as in not(x), and operators have negated forms, as in `!in`".to_owned()),
            "like" => return Some("write `has`, `contains`, `startswith` or `matches regex`".to_owned()),
            "as" if word != "as" => return Some("a name stands in front: `name = value`".to_owned()),
            _ => {}
        }
        let nearest = suggest::nearest(word, words::INFIX_WORDS)?;
        (nearest.eq_ignore_ascii_case(word) || word.len() > 3).then(|| format!("did you mean `{nearest}`?"))
    }

    /// Goes to where reading can continue after an error inside of what began at token `start`: the next pipe, semicolon or
    /// closing bracket of the same nesting.
    pub(super) fn recover(&mut self, start: usize) {
        if self.levels.is_empty() {
            self.levels = self.bracket_levels();
        }
        let level = self.levels[start];
        // The error may be past the bracket that held the start; what is there is not ours to skip.
        while !self.at(TokenKind::End) {
            let here = self.levels[self.pos];
            if here < level || (here == level && matches!(self.kind(), TokenKind::Bar | TokenKind::Semicolon)) {
                break;
            }
            self.pos += 1;
        }
    }

    /// For each token how many brackets are around it, counting only brackets that have a partner. A bracket itself is outside of itself.
    fn bracket_levels(&self) -> Vec<u32> {
        use TokenKind::{LeftBrace, LeftBracket, LeftParen, RightBrace, RightBracket, RightParen};
        let class = |kind| match kind {
            LeftParen | RightParen => Some(0),
            LeftBracket | RightBracket => Some(1),
            LeftBrace | RightBrace => Some(2),
            _ => None,
        };
        let mut paired = vec![false; self.tokens.len()];
        let mut open: Vec<(usize, usize)> = Vec::new();
        let mut counts = [0_usize; 3];
        for (i, token) in self.tokens.iter().enumerate() {
            let Some(class) = class(token.kind) else { continue };
            if matches!(token.kind, LeftParen | LeftBracket | LeftBrace) {
                open.push((i, class));
                counts[class] += 1;
            } else if counts[class] > 0 {
                // Whatever was opened since and not closed has no partner.
                while let Some((opened, its_class)) = open.pop() {
                    counts[its_class] -= 1;
                    if its_class == class {
                        paired[opened] = true;
                        paired[i] = true;
                        break;
                    }
                }
            }
        }
        let mut level = 0_u32;
        let mut levels = Vec::with_capacity(self.tokens.len());
        for (token, paired) in self.tokens.iter().zip(paired) {
            let closes = paired && matches!(token.kind, RightParen | RightBracket | RightBrace);
            level -= u32::from(closes);
            levels.push(level);
            level += u32::from(paired && !closes);
        }
        levels
    }
}
