//! Operators that combine tables.

use super::super::{Parser, Read};
use crate::ast::{Expr, ExprKind, OperatorKind, Property};
use crate::lexer::TokenKind;

type Options = Vec<Property>;

/// `join [kind = …] [hint.… = …] right on conditions`
pub(super) fn join(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.strict_properties(&["kind"], options)?;
    let (right, on) = right_and_conditions(p)?;
    Ok(OperatorKind::Join { right, on })
}

/// `lookup [kind = …] right on conditions`
pub(super) fn lookup(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.strict_properties(&["kind"], options)?;
    let (right, on) = right_and_conditions(p)?;
    Ok(OperatorKind::Lookup { right, on })
}

fn right_and_conditions(p: &mut Parser<'_>) -> Read<(Expr, Vec<Expr>)> {
    let mut right = p.postfix()?;
    if p.at(TokenKind::Bar) && p.conditions_follow() {
        let span = p.token().span();
        p.fail_with(span, "a table with operators behind it stands in parentheses here", "write `join (T | …) on …`");
        right = p.pipe_behind(right)?;
    }
    if p.at_word("where") {
        let span = p.token().span();
        return Err(p.unsupported(span, "a condition by `where` is not supported; write `on a` or `on $left.a == $right.b`"));
    }
    p.expect_word("on")?;
    Ok((right, p.list(Parser::expression)?))
}

impl Parser<'_> {
    /// True when an `on` is before the next semicolon outside of brackets: `join T | where x on a`.
    fn conditions_follow(&self) -> bool {
        let mut open = 0_usize;
        for (i, token) in self.tokens[self.pos..].iter().enumerate() {
            match token.kind {
                TokenKind::LeftParen | TokenKind::LeftBracket | TokenKind::LeftBrace => open += 1,
                TokenKind::RightParen | TokenKind::RightBracket | TokenKind::RightBrace if open == 0 => return false,
                TokenKind::RightParen | TokenKind::RightBracket | TokenKind::RightBrace => open -= 1,
                TokenKind::Semicolon | TokenKind::End => return false,
                TokenKind::Word if open == 0 && self.text_of(*token) == "on" => return true,
                TokenKind::Word if open == 0 && matches!(self.text_of(*token), "join" | "lookup") => return false,
                // The look goes far enough for what people write, and no further: a long query has many joins.
                _ if i > 400 => return false,
                _ => {}
            }
        }
        false
    }

    /// A table, as `union`, `find`, `search` and `restrict` name them: with wildcards, in other databases, or in parentheses.
    pub(in super::super) fn entity(&mut self) -> Read<Expr> {
        if let Some(name) = self.wildcard() {
            let span = name.span;
            return Ok(Expr { kind: ExprKind::Wildcard(name), span });
        }
        let start = self.token().start;
        let expr = self.postfix_before_wildcard()?;
        if !self.at(TokenKind::Dot) {
            return Ok(expr);
        }
        // `database("d").App*`
        self.bump();
        let Some(field) = self.wildcard() else { return Err(self.unexpected("a table's name")) };
        let span = self.span_from(start);
        Ok(Expr { kind: ExprKind::Path { base: Box::new(expr), field }, span })
    }
}

/// `union [kind = …] [withsource = …] [isfuzzy = …] table, …`
pub(super) fn union(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.strict_properties(&["kind", "withsource", "isfuzzy", "best_effort", "force_remote"], options)?;
    Ok(OperatorKind::Union(p.list(Parser::entity)?))
}
