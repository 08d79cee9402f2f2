//! Expressions with operators, by precedence climbing.

use super::words::{self, Infix, level};
use super::{Parser, Read};
use crate::ast::{BinaryOp, Expr, ExprKind, ListOp, Name, NamedExpr, SortKey, UnaryOp};
use crate::lexer::TokenKind;

impl Parser<'_> {
    /// An expression without pipes.
    pub(super) fn expression(&mut self) -> Read<Expr> {
        self.binary(0)
    }

    /// The operator behind an operand.
    fn infix(&self) -> Option<(Infix, u8)> {
        match self.kind() {
            // `in range(…)` belongs to `make-series`.
            TokenKind::Word if self.at_word("in") && self.word_at(1) == "range" => None,
            TokenKind::Word | TokenKind::Keyword => words::infix_word(self.word()),
            kind => words::infix_sign(kind),
        }
    }

    /// An expression whose operators bind at least as strongly as `min`.
    fn binary(&mut self, min: u8) -> Read<Expr> {
        let start = self.token().start;
        let mut left = self.unary()?;
        // Comparisons do not chain: behind one, only weaker operators may follow.
        let mut ceiling = u8::MAX;
        while let Some((infix, level)) = self.infix() {
            if level < min {
                break;
            }
            if level > ceiling {
                return Err(self.chained(infix));
            }
            let height = self.height;
            let token = self.bump();
            let kind = match infix {
                Infix::Or | Infix::And => {
                    left = self.logical(left, infix, level, start)?;
                    continue;
                }
                Infix::Binary(op) => {
                    if op == BinaryOp::MatchesRegex {
                        self.expect_word("regex")?;
                    }
                    self.operation(op, left, level)?
                }
                Infix::Mistaken => {
                    self.fail_with(token.span(), "`=` gives a name and stands only behind one", "`==` compares values");
                    self.operation(BinaryOp::Equal, left, level)?
                }
                Infix::List(op) => self.membership(op, left)?,
                Infix::Between { negated } => self.between(negated, left)?,
                Infix::Unsupported => {
                    let word = self.text_of(token);
                    let message = format!("the operator `{word}` is not supported; use `has`, `contains` or `matches regex`");
                    return Err(self.unsupported(token.span(), message));
                }
            };
            self.grow(height)?;
            left = Expr { kind, span: self.span_from(start) };
            ceiling = match level {
                level::EQUALITY | level::RELATION | level::TEXT => level - 1,
                _ => level,
            };
        }
        Ok(left)
    }

    fn operation(&mut self, op: BinaryOp, left: Expr, level: u8) -> Read<ExprKind> {
        let right = self.binary(level + 1)?;
        Ok(ExprKind::Binary { op, left: Box::new(left), right: Box::new(right) })
    }

    /// `a or b or c …` as one node; the first `or` was taken.
    fn logical(&mut self, first: Expr, infix: Infix, level: u8, start: u32) -> Read<Expr> {
        let mut height = self.height;
        let mut terms = vec![first];
        loop {
            terms.push(self.binary(level + 1)?);
            height = height.max(self.height);
            if self.infix() != Some((infix, level)) {
                break;
            }
            self.bump();
        }
        self.grow(height)?;
        Ok(Expr { kind: ExprKind::Logical { and: infix == Infix::And, terms }, span: self.span_from(start) })
    }

    fn chained(&mut self, infix: Infix) -> super::Reported {
        let span = self.token().span();
        let message = format!("{} cannot follow another comparison", self.found());
        let remedy = match infix {
            Infix::Mistaken => "`==` compares values; join comparisons with `and` or `or`",
            _ => "join comparisons with `and` or `or`, or enclose the first one in parentheses",
        };
        self.fail_with(span, message, remedy)
    }

    /// `(items)` or `(query)` behind `in`, `has_any` and the like.
    fn membership(&mut self, op: ListOp, left: Expr) -> Read<ExprKind> {
        if !self.at(TokenKind::LeftParen) {
            let span = self.token().span();
            if self.at_list_end() || self.at(TokenKind::Bad) {
                return Err(self.unexpected("`(` and a list"));
            }
            let message = format!("expected `(`, found {}", self.found());
            return Err(self.fail_with(span, message, "enclose the list in parentheses, as in `x in (a, b)`"));
        }
        self.bump();
        let items = self.nested(|p| {
            if p.at(TokenKind::RightParen) {
                return Ok(Vec::new());
            }
            p.list(Parser::pipeline)
        })?;
        self.expect(TokenKind::RightParen)?;
        Ok(ExprKind::List { op, left: Box::new(left), items })
    }

    /// `(low .. high)`
    fn between(&mut self, negated: bool, expr: Expr) -> Read<ExprKind> {
        self.expect(TokenKind::LeftParen)?;
        let (low, high) = self.nested(|p| {
            let low = p.expression()?;
            p.expect(TokenKind::DotDot)?;
            Ok((low, p.expression()?))
        })?;
        self.expect(TokenKind::RightParen)?;
        Ok(ExprKind::Between { negated, expr: Box::new(expr), low: Box::new(low), high: Box::new(high) })
    }

    /// An operand with at most one sign in front; or `*` before a string operator or `==`.
    fn unary(&mut self) -> Read<Expr> {
        let start = self.token().start;
        let op = match self.kind() {
            TokenKind::Minus => UnaryOp::Minus,
            TokenKind::Plus => UnaryOp::Plus,
            TokenKind::Star if self.at_star_operand() => {
                let token = self.bump();
                self.height = 1;
                return Ok(Expr { kind: ExprKind::Star, span: token.span() });
            }
            _ => return self.postfix(),
        };
        self.bump();
        let expr = Box::new(self.postfix()?);
        self.grow(0)?;
        Ok(Expr { kind: ExprKind::Unary { op, expr }, span: self.span_from(start) })
    }

    fn at_star_operand(&self) -> bool {
        match self.kind_at(1) {
            TokenKind::EqualEqual => true,
            TokenKind::Word | TokenKind::Keyword => matches!(words::infix_word(self.word_at(1)), Some((_, level::TEXT))),
            kind => matches!(words::infix_sign(kind), Some((_, level::TEXT))),
        }
    }

    // --- expressions with names ---

    /// `expr`, `name = expr` or `(a, b) = expr`.
    pub(super) fn named_expression(&mut self) -> Read<NamedExpr> {
        let names = self.names_in_front()?;
        match names {
            Some((names, tuple)) => Ok(NamedExpr { names, tuple, expr: self.expression()? }),
            None => Ok(NamedExpr { names: Vec::new(), tuple: false, expr: self.expression()? }),
        }
    }

    /// The names in front of an `=`, which is taken, too; whether they were in parentheses.
    fn names_in_front(&mut self) -> Read<Option<(Vec<Name>, bool)>> {
        match self.kind() {
            TokenKind::Word | TokenKind::LeftBracket => {
                let len = self.name_len(0);
                if len > 0 && self.kind_at(len) == TokenKind::Assign {
                    let name = self.new_name()?;
                    self.bump();
                    return Ok(Some((vec![name], false)));
                }
                self.dashed_name()
            }
            TokenKind::LeftParen => {
                let Some(len) = self.tuple_len() else { return Ok(None) };
                let close = self.pos + len - 2;
                self.bump();
                let mut names = Vec::new();
                while self.pos < close {
                    names.push(self.new_name()?);
                    self.eat(TokenKind::Comma);
                }
                self.bump();
                self.bump();
                Ok(Some((names, true)))
            }
            _ => Ok(None),
        }
    }

    /// Number of tokens of `(a, b) =`; `None` when something else is here.
    fn tuple_len(&self) -> Option<usize> {
        let mut ahead = 1;
        loop {
            let len = self.name_len(ahead);
            if len == 0 {
                return None;
            }
            ahead += len;
            match self.kind_at(ahead) {
                TokenKind::Comma => ahead += 1,
                TokenKind::RightParen => break,
                _ => return None,
            }
        }
        (self.kind_at(ahead + 1) == TokenKind::Assign).then_some(ahead + 2)
    }

    /// The name of something new: a column, a parameter, a `let`. A bare word that may be given in brackets only is reported.
    pub(super) fn new_name(&mut self) -> Read<Name> {
        if self.at(TokenKind::Word) && words::needs_brackets(self.word()) {
            let text = self.word().to_owned();
            self.fail_with(self.token().span(), format!("the name `{text}` needs brackets"), format!("write ['{text}']"));
        }
        self.name()
    }

    /// Reports `my-name = …`, and reads it as a name.
    fn dashed_name(&mut self) -> Read<Option<(Vec<Name>, bool)>> {
        let mut len = 1;
        while self.adjacent(len - 1)
            && matches!(self.kind_at(len), TokenKind::Word | TokenKind::Keyword | TokenKind::Minus | TokenKind::Long)
        {
            len += 1;
        }
        if len == 1 || !self.at(TokenKind::Word) || self.kind_at(len) != TokenKind::Assign {
            return Ok(None);
        }
        let span = self.token().span().to(self.token_at(len - 1).span());
        let text = self.text[span.start as usize..span.end as usize].to_owned();
        self.fail_with(span, format!("the name `{text}` needs brackets"), format!("write ['{text}']"));
        self.pos += len + 1;
        Ok(Some((vec![Name { text, span }], false)))
    }

    /// `expr [asc|desc] [nulls first|last]`
    pub(super) fn sort_key(&mut self) -> Read<SortKey> {
        let expr = self.named_expression()?;
        let ascending = self.direction()?;
        let nulls_first = if self.eat_word("nulls") {
            if self.eat_word("first") {
                Some(true)
            } else if self.eat_word("last") {
                Some(false)
            } else {
                return Err(self.unexpected("`first` or `last`"));
            }
        } else {
            None
        };
        Ok(SortKey { expr, ascending, nulls_first })
    }

    /// `asc` true, `desc` false, nothing `None`.
    pub(super) fn direction(&mut self) -> Read<Option<bool>> {
        Ok(match self.word() {
            "asc" => {
                self.bump();
                Some(true)
            }
            "desc" => {
                self.bump();
                Some(false)
            }
            word @ ("granny-asc" | "granny-desc") => {
                let span = self.token().span();
                return Err(self.unsupported(span, format!("`{word}` orders columns in `project-reorder` only")));
            }
            _ => None,
        })
    }
}
