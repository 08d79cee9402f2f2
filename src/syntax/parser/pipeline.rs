//! Pipelines: a source and the operators behind it; and the `name = value` options that operators share.

use super::{Parser, Read, Reported, operators};
use crate::ast::{Expr, ExprKind, Name, Operator, OperatorKind, Property, Span};
use crate::lexer::TokenKind;
use crate::suggest;
use kqlake_value::Type;
use kqlake_value::parse::bool_word;

impl Parser<'_> {
    /// An expression, or a source with operators behind it. An error in an operator ends at the next pipe; the rest is read on.
    pub(super) fn pipeline(&mut self) -> Read<Expr> {
        let start = self.pos;
        let source = if self.at_source() { self.source() } else { self.expression() };
        let source = match source {
            Ok(source) => source,
            Err(Reported) => {
                self.recover(start);
                self.height = 1;
                Expr { kind: ExprKind::Error, span: self.span_from(self.tokens[start].start) }
            }
        };
        if !self.at(TokenKind::Bar) && !self.at_missing_pipe() {
            return Ok(source);
        }
        self.operators_behind(source, start)
    }

    /// The operators behind a source that could not be read.
    pub(super) fn rest_of_pipeline(&mut self, start: usize) {
        let mut operators = Vec::new();
        self.operators_into(&mut operators, start);
    }

    /// The operators behind a table that was read already.
    pub(super) fn pipe_behind(&mut self, source: Expr) -> Read<Expr> {
        let start = self.pos;
        self.operators_behind(source, start)
    }

    fn operators_behind(&mut self, source: Expr, start: usize) -> Read<Expr> {
        let mut operators = Vec::new();
        self.operators_into(&mut operators, start);
        let span = self.span_from(source.span.start);
        Ok(Expr { kind: ExprKind::Pipe { source: Box::new(source), operators }, span })
    }

    /// Reads `| operator | operator …`.
    fn operators_into(&mut self, operators: &mut Vec<Operator>, start: usize) {
        loop {
            if !self.eat(TokenKind::Bar) {
                if !self.at_missing_pipe() {
                    break;
                }
                let span = self.token().span();
                let message = format!("`|` is missing before `{}`", self.word());
                self.fail_with(span, message, "operators are joined by `|`");
            }
            match self.operator() {
                Ok(operator) => operators.push(operator),
                Err(Reported) => self.recover(start),
            }
        }
    }

    /// True at an operator's name, where it cannot be anything else.
    fn at_missing_pipe(&self) -> bool {
        if !matches!(self.kind(), TokenKind::Word | TokenKind::Keyword) || !operators::is_operator(self.word()) {
            return false;
        }
        // A source on a line of its own begins a statement; then it is the semicolon that is missing.
        !(self.on_new_line() && matches!(self.word(), "print" | "find" | "search" | "range" | "evaluate"))
    }

    /// Operators without a source, joined by pipes: what is in `mv-apply … on (…)`, `fork (…)`, `partition by … (…)`. A pipeline
    /// with a source of its own is read as well.
    pub(super) fn subpipeline(&mut self) -> Read<Expr> {
        if !matches!(self.kind(), TokenKind::Word | TokenKind::Keyword) || !operators::is_operator(self.word()) {
            return self.pipeline();
        }
        let start = self.pos;
        let place = self.token().start;
        let mut operators = Vec::new();
        match self.operator() {
            Ok(operator) => operators.push(operator),
            Err(Reported) => self.recover(start),
        }
        self.operators_into(&mut operators, start);
        Ok(Expr { kind: ExprKind::Operators(operators), span: self.span_from(place) })
    }

    // --- operators that come first ---

    fn at_source(&self) -> bool {
        match self.kind() {
            TokenKind::Word => match self.word() {
                "print" | "union" | "search" | "find" => true,
                "range" => {
                    let len = self.name_len(1);
                    len > 0 && self.word_at(1 + len) == "from"
                }
                "evaluate" => self.kind_at(1) == TokenKind::Word,
                _ => false,
            },
            TokenKind::Keyword => self.at_word("macro-expand"),
            _ => false,
        }
    }

    fn source(&mut self) -> Read<Expr> {
        let operator = self.operator()?;
        self.height = self.highest + 1;
        let span = operator.span;
        Ok(Expr { kind: ExprKind::Source(Box::new(operator)), span })
    }

    /// One operator, from its name to its end.
    pub(super) fn operator(&mut self) -> Read<Operator> {
        let keyword = self.token();
        let word = self.word();
        let Some(read) = operators::reader(word) else { return Err(self.no_operator()) };
        if word == "count" && self.kind_at(1) == TokenKind::LeftParen {
            let message = "the operator `count` takes no parentheses";
            return Err(self.fail_with(keyword.span(), message, "write `| count`, or `| summarize count()`"));
        }
        self.bump();
        self.read_operator(keyword.span(), read)
    }

    /// `datatable`, `externaldata`: sources that stand inside of expressions.
    pub(super) fn source_operator(&mut self) -> Read<Operator> {
        let keyword = self.bump();
        let read =
            if self.text_of(keyword) == "datatable" { operators::sources::datatable } else { operators::sources::externaldata };
        self.read_operator(keyword.span(), read)
    }

    fn read_operator(&mut self, keyword: Span, read: operators::Reader) -> Read<Operator> {
        let mut properties = Vec::new();
        let kind = read(self, &mut properties)?;
        if let OperatorKind::Unsupported(_) = kind {
            self.skip_balanced();
        }
        Ok(Operator { kind, properties, keyword, span: self.span_from(keyword.start) })
    }

    fn no_operator(&mut self) -> Reported {
        let word = self.word();
        if word.is_empty() {
            if self.at_list_end() {
                return self.unexpected("an operator after `|`");
            }
            return self.unexpected("an operator");
        }
        let lower = word.to_ascii_lowercase();
        let nearest = match lower.as_str() {
            "select" => Some("project"),
            "having" => Some("where"),
            "group" | "groupby" | "aggregate" => Some("summarize"),
            "orderby" | "sortby" => Some("order by"),
            "head" | "first" => Some("take"),
            "rename" => Some("project-rename"),
            "drop" => Some("project-away"),
            "eval" => Some("extend"),
            "expand" => Some("mv-expand"),
            _ => suggest::nearest(word, operators::operator_names()),
        };
        let span = self.token().span();
        let message = format!("unknown operator `{word}`");
        match nearest {
            Some(nearest) => self.fail_with(span, message, format!("did you mean `{nearest}`?")),
            None => self.fail(span, message),
        }
    }

    /// Passes everything up to the next pipe, semicolon or closing bracket of this nesting.
    pub(super) fn skip_balanced(&mut self) {
        use TokenKind::{Bar, End, LeftBrace, LeftBracket, LeftParen, RightBrace, RightBracket, RightParen, Semicolon};
        let mut open = 0_usize;
        loop {
            match self.kind() {
                End => break,
                Bar | Semicolon if open == 0 => break,
                RightParen | RightBracket | RightBrace if open == 0 => break,
                LeftParen | LeftBracket | LeftBrace => open += 1,
                RightParen | RightBracket | RightBrace => open -= 1,
                _ => {}
            }
            self.pos += 1;
        }
    }

    // --- options ---

    /// `kind = inner hint.strategy = shuffle …`: options of the given names, and hints. Any other `name =` is left alone.
    pub(super) fn properties(&mut self, allowed: &[&str], into: &mut Vec<Property>) -> Read<()> {
        while let Some(name) = self.property_name(allowed) {
            let value = self.property_value()?;
            into.push(Property { name, value });
        }
        Ok(())
    }

    /// The same where a value may be a call.
    pub(super) fn computed_properties(&mut self, allowed: &[&str], into: &mut Vec<Property>) -> Read<()> {
        while let Some(name) = self.property_name(allowed) {
            let value = self.property_list_value()?;
            into.push(Property { name, value });
        }
        Ok(())
    }

    /// The same where no `name =` but an option can appear: an unknown one is reported.
    pub(super) fn strict_properties(&mut self, allowed: &[&str], into: &mut Vec<Property>) -> Read<()> {
        loop {
            self.properties(allowed, into)?;
            if self.kind() != TokenKind::Word || self.kind_at(1) != TokenKind::Assign {
                return Ok(());
            }
            let span = self.token().span();
            let message = format!("unknown option `{}`", self.word());
            let remedy = match suggest::nearest(self.word(), allowed.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the options here are {}", allowed.join(", ")),
            };
            self.fail_with(span, message, remedy);
            self.bump();
            self.bump();
            self.property_value()?;
        }
    }

    /// The name of an option and its `=`, when one of them is next. Other spellings that Kusto keeps become the usual one.
    fn property_name(&mut self, allowed: &[&str]) -> Option<Name> {
        if self.kind() != TokenKind::Word {
            return None;
        }
        let word = self.word();
        if word == "hint"
            && self.kind_at(1) == TokenKind::Dot
            && self.kind_at(2) == TokenKind::Word
            && self.kind_at(3) == TokenKind::Assign
        {
            let start = self.bump().start;
            self.bump();
            let text = format!("hint.{}", self.word());
            self.bump();
            let span = self.span_from(start);
            self.bump();
            return Some(Name { text, span });
        }
        let canonical = match word {
            "with_source" => "withsource",
            "__isFuzzy" => "isfuzzy",
            other => other,
        };
        if self.kind_at(1) != TokenKind::Assign || !allowed.contains(&canonical) {
            return None;
        }
        let token = self.bump();
        self.bump();
        Some(Name { text: canonical.to_owned(), span: token.span() })
    }

    /// A literal or a name.
    pub(super) fn property_value(&mut self) -> Read<Expr> {
        if self.name_len(0) > 0 {
            let word = self.word();
            let typed = self.kind_at(1) == TokenKind::LeftParen && Type::parse(word).is_some();
            if !typed && bool_word(word).is_none() {
                let name = self.name()?;
                let span = name.span;
                return Ok(Expr { kind: ExprKind::Name(name), span });
            }
        }
        self.signed_literal()
    }

    /// `name = value, name = value` up to a closing parenthesis, which is left; a comma may appear in front. A value may be a
    /// list of names (`ycolumns = a, b`): it becomes a call of the empty name.
    pub(super) fn property_list(&mut self, into: &mut Vec<Property>) -> Read<()> {
        self.eat(TokenKind::Comma);
        while !self.at(TokenKind::RightParen) {
            if self.name_len(0) == 0 {
                return Err(self.unexpected("an option's name"));
            }
            let name = self.name()?;
            self.expect(TokenKind::Assign)?;
            let mut values = vec![self.property_list_value()?];
            loop {
                let len = if matches!(values[0].kind, ExprKind::Name(_)) { self.name_len(1) } else { 0 };
                let goes_on = self.at(TokenKind::Comma) && len > 0 && self.kind_at(1 + len) != TokenKind::Assign;
                if !goes_on {
                    break;
                }
                self.bump();
                values.push(self.property_list_value()?);
            }
            into.push(Property { name, value: Expr::one_or_list(values) });
            if !self.eat(TokenKind::Comma) {
                break;
            }
        }
        Ok(())
    }

    fn property_list_value(&mut self) -> Read<Expr> {
        if self.kind() == TokenKind::Word && self.kind_at(1) == TokenKind::LeftParen {
            return self.postfix();
        }
        self.property_value()
    }

    /// A name with wildcards: `*`, `App*`, `*Count`, `a*b`. Nothing may appear between its parts.
    pub(super) fn wildcard(&mut self) -> Option<Name> {
        let starts = match self.kind() {
            TokenKind::Star => true,
            TokenKind::Word => self.kind_at(1) == TokenKind::Star && self.adjacent(0),
            _ => false,
        };
        if !starts {
            return None;
        }
        let start = self.bump().start;
        while matches!(self.kind(), TokenKind::Star | TokenKind::Word | TokenKind::Long) && self.last_end() == self.token().start
        {
            self.bump();
        }
        let span = self.span_from(start);
        let text = self.text[span.start as usize..span.end as usize].to_owned();
        Some(Name { text, span })
    }

    /// A name, or one with wildcards.
    pub(super) fn name_or_wildcard(&mut self) -> Read<Expr> {
        if let Some(name) = self.wildcard() {
            let span = name.span;
            return Ok(Expr { kind: ExprKind::Wildcard(name), span });
        }
        let name = self.name()?;
        let span = name.span;
        Ok(Expr { kind: ExprKind::Name(name), span })
    }
}
