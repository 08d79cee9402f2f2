//! Operators with pipelines inside of them, and those that expand arrays.

use super::super::{Parser, Read};
use crate::ast::{ExpandItem, Expr, ExprKind, Name, Operator, OperatorKind, Property};
use crate::lexer::TokenKind;

type Options = Vec<Property>;

/// `mv-expand [bagexpansion = …] [with_itemindex = …] a [to typeof(t)], … [limit n]`
pub(super) fn mv_expand(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    expand(p, options, false)
}

/// `mvexpand`: the older name, with a smaller limit.
pub(super) fn mvexpand(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    expand(p, options, true)
}

fn expand(p: &mut Parser<'_>, options: &mut Options, legacy: bool) -> Read<OperatorKind> {
    p.properties(&["kind", "bagexpansion", "with_itemindex"], options)?;
    let items = p.list(expand_item)?;
    let limit = limit(p)?;
    Ok(OperatorKind::MvExpand { items, limit, legacy })
}

fn expand_item(p: &mut Parser<'_>) -> Read<ExpandItem> {
    Ok(ExpandItem { expr: p.named_expression()?, to: p.element_type()? })
}

fn limit(p: &mut Parser<'_>) -> Read<Option<Expr>> {
    if p.eat_word("limit") { p.expression().map(Some) } else { Ok(None) }
}

/// `mv-apply [with_itemindex = …] a [to typeof(t)], … [limit n] [id x] on (operators)`
pub(super) fn mv_apply(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.properties(&["with_itemindex"], options)?;
    let items = p.list(expand_item)?;
    let limit = limit(p)?.map(Box::new);
    let id = if p.eat_word("id") { Some(Box::new(p.expression()?)) } else { None };
    p.expect_word("on")?;
    let body = Box::new(p.subquery()?);
    Ok(OperatorKind::MvApply { items, limit, id, body })
}

impl Parser<'_> {
    /// `(operators)`
    pub(super) fn subquery(&mut self) -> Read<Expr> {
        self.expect(TokenKind::LeftParen)?;
        let body = self.nested(Parser::subpipeline)?;
        self.expect(TokenKind::RightParen)?;
        Ok(body)
    }
}

/// `partition [hint.strategy = …] by column (operators)`, and `{ query }` in place of the operators.
pub(super) fn partition(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.strict_properties(&[], options)?;
    p.expect_word("by")?;
    let by = p.name()?;
    if matches!(p.kind(), TokenKind::Dot | TokenKind::LeftBracket) {
        let span = p.token().span();
        return Err(p.fail_with(span, "`partition by` takes a column", "make it one before: `extend name = …`"));
    }
    let scope = if p.eat_word("in") { Some(Box::new(p.postfix()?)) } else { None };
    let body = match p.kind() {
        TokenKind::LeftBrace => {
            p.bump();
            let body = p.nested(Parser::pipeline)?;
            p.expect(TokenKind::RightBrace)?;
            body
        }
        _ => p.subquery()?,
    };
    Ok(OperatorKind::Partition { by, body: Box::new(body), scope })
}

/// `fork [name =] (operators) …`
pub(super) fn fork(p: &mut Parser<'_>, _: &mut Options) -> Read<OperatorKind> {
    let mut branches = Vec::new();
    loop {
        let name = branch_name(p)?;
        if name.is_none() && !p.at(TokenKind::LeftParen) {
            break;
        }
        branches.push((name, p.subquery()?));
    }
    if branches.is_empty() {
        return Err(p.unexpected("`(` and operators"));
    }
    Ok(OperatorKind::Fork(branches))
}

fn branch_name(p: &mut Parser<'_>) -> Read<Option<Name>> {
    let len = p.name_len(0);
    if len == 0 || p.kind_at(len) != TokenKind::Assign {
        return Ok(None);
    }
    let name = p.name()?;
    p.bump();
    Ok(Some(name))
}

/// `facet by a, b [with (operators)]`
pub(super) fn facet(p: &mut Parser<'_>, _: &mut Options) -> Read<OperatorKind> {
    p.expect_word("by")?;
    let by = p.list(Parser::postfix)?;
    let with = if p.eat_word("with") {
        if p.at(TokenKind::LeftParen) {
            Some(p.subquery()?)
        } else {
            let operator: Operator = p.operator()?;
            let span = operator.span;
            Some(Expr { kind: ExprKind::Operators(vec![operator]), span })
        }
    } else {
        None
    };
    Ok(OperatorKind::Facet { by, with })
}
