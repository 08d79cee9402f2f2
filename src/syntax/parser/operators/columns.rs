//! Operators that choose, compute or group columns.

use super::super::{Parser, Read};
use crate::ast::{Arg, Expr, ExprKind, Name, NamedExpr, OperatorKind, Property, ReorderItem};
use crate::lexer::TokenKind;

type Options = Vec<Property>;

impl Parser<'_> {
    /// Expressions with names up to a keyword that continues with the operator.
    pub(super) fn expressions_before(&mut self, keyword: &str) -> Read<Vec<NamedExpr>> {
        self.list(|p| {
            if p.at_word(keyword)
                && p.last_kind() == TokenKind::Comma
                && !matches!(p.kind_at(1), TokenKind::Comma | TokenKind::Assign)
            {
                return Err(p.unexpected("an expression after `,`"));
            }
            p.named_expression()
        })
    }

    fn last_kind(&self) -> TokenKind {
        if self.pos == 0 { TokenKind::End } else { self.tokens[self.pos - 1].kind }
    }
}

/// `project a, b = expr`
pub(super) fn project(p: &mut Parser<'_>, _: &mut Options) -> Read<OperatorKind> {
    Ok(OperatorKind::Project(p.list(Parser::named_expression)?))
}

/// `extend a = expr, …`
pub(super) fn extend(p: &mut Parser<'_>, _: &mut Options) -> Read<OperatorKind> {
    Ok(OperatorKind::Extend(p.list(Parser::named_expression)?))
}

/// `serialize [a = expr, …]`
pub(super) fn serialize(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.properties(&[], options)?;
    if p.at_list_end() {
        return Ok(OperatorKind::Serialize(Vec::new()));
    }
    Ok(OperatorKind::Serialize(p.list(Parser::named_expression)?))
}

/// `distinct a, b` or `distinct *`
pub(super) fn distinct(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.properties(&[], options)?;
    let columns = p.list(|p| {
        if p.at(TokenKind::Star) && !p.at_star_column() {
            let span = p.bump().span();
            let expr = Expr { kind: ExprKind::Star, span };
            return Ok(NamedExpr { names: Vec::new(), tuple: false, expr });
        }
        p.named_expression()
    })?;
    Ok(OperatorKind::Distinct(columns))
}

impl Parser<'_> {
    /// True at a `*` that begins an expression such as `* has "x"`.
    fn at_star_column(&self) -> bool {
        !matches!(
            self.kind_at(1),
            TokenKind::Comma
                | TokenKind::Bar
                | TokenKind::Semicolon
                | TokenKind::RightParen
                | TokenKind::RightBrace
                | TokenKind::End
        )
    }
}

/// `project-away a, b*`
pub(super) fn project_away(p: &mut Parser<'_>, _: &mut Options) -> Read<OperatorKind> {
    Ok(OperatorKind::ProjectAway(p.list(Parser::name_or_wildcard)?))
}

/// `project-keep a, b*`
pub(super) fn project_keep(p: &mut Parser<'_>, _: &mut Options) -> Read<OperatorKind> {
    Ok(OperatorKind::ProjectKeep(p.list(Parser::name_or_wildcard)?))
}

/// `project-by-names name, dynamic([names]), …`; nothing leaves no column.
pub(super) fn project_by_names(p: &mut Parser<'_>, _: &mut Options) -> Read<OperatorKind> {
    let nothing = matches!(
        p.kind(),
        TokenKind::Bar | TokenKind::Semicolon | TokenKind::RightParen | TokenKind::RightBrace | TokenKind::End
    );
    if p.at(TokenKind::Star) {
        let span = p.bump().span();
        return Ok(OperatorKind::ProjectByNames(vec![Expr { kind: ExprKind::Star, span }]));
    }
    Ok(OperatorKind::ProjectByNames(if nothing { Vec::new() } else { p.list(Parser::expression)? }))
}

/// `project-rename new = old, …`
pub(super) fn project_rename(p: &mut Parser<'_>, _: &mut Options) -> Read<OperatorKind> {
    Ok(OperatorKind::ProjectRename(p.list(rename)?))
}

fn rename(p: &mut Parser<'_>) -> Read<(Name, Expr)> {
    let name = p.new_name()?;
    p.expect(TokenKind::Assign)?;
    Ok((name, p.expression()?))
}

/// `project-reorder a, b* asc`
pub(super) fn project_reorder(p: &mut Parser<'_>, _: &mut Options) -> Read<OperatorKind> {
    let items = p.list(|p| {
        let name = p.name_or_wildcard()?;
        let order = match p.word() {
            text @ ("asc" | "desc" | "granny-asc" | "granny-desc") => {
                let text = text.to_owned();
                Some(Name { text, span: p.bump().span() })
            }
            _ => None,
        };
        Ok(ReorderItem { name, order })
    })?;
    Ok(OperatorKind::ProjectReorder(items))
}

/// `summarize a = f(x), … by k, …`
pub(super) fn summarize(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.properties(&[], options)?;
    let at_by = p.at_word("by") && !matches!(p.kind_at(1), TokenKind::Comma | TokenKind::Assign);
    let aggregates = if at_by { Vec::new() } else { p.expressions_before("by")? };
    let mut by = if p.eat_word("by") { p.list(Parser::named_expression)? } else { Vec::new() };
    if p.at_word("bin") && p.kind_at(1) == TokenKind::Assign {
        // An older form of `by bin(column, size)`.
        let word = p.bump();
        p.bump();
        let size = p.expression()?;
        let [key] = by.as_mut_slice() else {
            return Err(p.fail_with(word.span(), "`bin =` stands behind one key", "write `by bin(column, size)`"));
        };
        let span = key.expr.span.to(size.span);
        let place = Expr { kind: ExprKind::Error, span };
        let column = std::mem::replace(&mut key.expr, place);
        let function = Name { text: "bin".to_owned(), span: word.span() };
        let args = [column, size].into_iter().map(|expr| Arg { name: None, expr }).collect();
        key.expr.kind = ExprKind::Call { function, args };
    }
    Ok(OperatorKind::Summarize { aggregates, by })
}
