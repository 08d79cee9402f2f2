//! Operators that may appear first, and those that call plugins and functions.

use super::super::{Parser, Read};
use crate::ast::{Expr, ExprKind, FindColumn, OperatorKind, Property};
use crate::lexer::TokenKind;

type Options = Vec<Property>;

/// `print a = expr, …`
pub(super) fn print(p: &mut Parser<'_>, _: &mut Options) -> Read<OperatorKind> {
    Ok(OperatorKind::Print(p.list(Parser::named_expression)?))
}

/// `range column from a to b step s`
pub(super) fn range(p: &mut Parser<'_>, _: &mut Options) -> Read<OperatorKind> {
    let column = p.new_name()?;
    p.expect_word("from")?;
    let from = Box::new(p.expression()?);
    p.expect_word("to")?;
    let to = Box::new(p.expression()?);
    p.expect_word("step")?;
    Ok(OperatorKind::Range { column, from, to, step: Box::new(p.expression()?) })
}

/// `datatable (schema) [values]`; a comma may appear at either end of the values.
pub(in super::super) fn datatable(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.properties(&[], options)?;
    let columns = p.row_schema()?;
    p.expect(TokenKind::LeftBracket)?;
    p.eat(TokenKind::Comma);
    let mut values = Vec::new();
    while !p.at(TokenKind::RightBracket) {
        values.push(p.signed_literal()?);
        if !p.at(TokenKind::Comma) && !p.at(TokenKind::RightBracket) {
            return Err(p.unexpected("`,` or `]` behind a literal (a datatable holds no expressions)"));
        }
        p.eat(TokenKind::Comma);
    }
    p.expect(TokenKind::RightBracket)?;
    Ok(OperatorKind::Datatable { columns, values })
}

/// `externaldata (schema) [uris] [with (option = value, …)]`
pub(in super::super) fn externaldata(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.properties(&[], options)?;
    let columns = p.row_schema()?;
    p.expect(TokenKind::LeftBracket)?;
    let uris = p.nested(|p| {
        let mut uris = Vec::new();
        while !p.at(TokenKind::RightBracket) {
            uris.push(p.expression()?);
            if !p.eat(TokenKind::Comma) {
                break;
            }
        }
        Ok(uris)
    })?;
    p.expect(TokenKind::RightBracket)?;
    if p.eat_word("with") {
        p.expect(TokenKind::LeftParen)?;
        p.property_list(options)?;
        p.expect(TokenKind::RightParen)?;
    }
    Ok(OperatorKind::ExternalData { columns, uris })
}

/// `evaluate [hint.… = …] plugin(args) [: (schema)]`
pub(super) fn evaluate(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.properties(&[], options)?;
    let call = call(p, "a plugin and its arguments")?;
    let schema = if p.eat(TokenKind::Colon) {
        if !p.at(TokenKind::LeftParen) {
            return Err(p.unexpected("`(`"));
        }
        Some(p.type_of()?)
    } else {
        None
    };
    Ok(OperatorKind::Evaluate { call, schema })
}

/// `invoke f(args)`
pub(super) fn invoke(p: &mut Parser<'_>, _: &mut Options) -> Read<OperatorKind> {
    Ok(OperatorKind::Invoke(call(p, "a function and its arguments")?))
}

fn call(p: &mut Parser<'_>, expected: &str) -> Read<Expr> {
    let len = p.name_len(0);
    if len == 0 || p.kind_at(len) != TokenKind::LeftParen {
        return Err(p.unexpected(expected));
    }
    p.postfix()
}

/// `in (table, …)` of `search` and `find`.
fn tables(p: &mut Parser<'_>) -> Read<Vec<Expr>> {
    if !p.at_word("in") || p.kind_at(1) != TokenKind::LeftParen {
        return Ok(Vec::new());
    }
    p.bump();
    p.bump();
    let tables = p.nested(|p| {
        p.list(|p| {
            let table = p.entity()?;
            if p.at(TokenKind::Bar) { p.pipe_behind(table) } else { Ok(table) }
        })
    })?;
    p.expect(TokenKind::RightParen)?;
    Ok(tables)
}

/// `search [kind = …] [in (tables)] predicate`
pub(super) fn search(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.properties(&["kind"], options)?;
    let tables = tables(p)?;
    let lone_star = p.at(TokenKind::Star)
        && (p.word_at(1) == "and"
            || matches!(
                p.kind_at(1),
                TokenKind::Bar | TokenKind::Semicolon | TokenKind::RightParen | TokenKind::RightBrace | TokenKind::End
            ));
    if !lone_star {
        return Ok(OperatorKind::Search { tables, predicate: p.expression()? });
    }
    let star = p.bump().span();
    let everything = Expr { kind: ExprKind::Star, span: star };
    let predicate = if p.eat_word("and") {
        let rest = p.expression()?;
        let span = star.to(rest.span);
        Expr { kind: ExprKind::Logical { and: true, terms: vec![everything, rest] }, span }
    } else {
        everything
    };
    Ok(OperatorKind::Search { tables, predicate })
}

/// `find [withsource = …] [in (tables)] [where] predicate [project a, b: type, pack(*)] [project-smart] [project-away c]`
pub(super) fn find(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.strict_properties(&["withsource"], options)?;
    let tables = tables(p)?;
    let required = !tables.is_empty() || !options.is_empty();
    if !p.eat_word("where") && required {
        return Err(p.unexpected("`where`"));
    }
    let predicate = Some(Box::new(p.expression()?));
    let smart = p.eat_word("project-smart");
    let project = if p.eat_word("project") { p.list(find_column)? } else { Vec::new() };
    let project_away = if p.eat_word("project-away") { p.list(Parser::name_or_wildcard)? } else { Vec::new() };
    Ok(OperatorKind::Find { tables, predicate, project, project_away, smart })
}

fn find_column(p: &mut Parser<'_>) -> Read<FindColumn> {
    if p.at_word("pack") && p.kind_at(1) == TokenKind::LeftParen {
        p.bump();
        p.bump();
        p.expect(TokenKind::Star)?;
        p.expect(TokenKind::RightParen)?;
        return Ok(FindColumn::Pack);
    }
    // The documentation's newer form of the same.
    if p.at_word("pack_all") && p.kind_at(1) == TokenKind::LeftParen {
        p.bump();
        p.bump();
        p.expect(TokenKind::RightParen)?;
        return Ok(FindColumn::Pack);
    }
    let name = p.name()?;
    let ty = if p.eat(TokenKind::Colon) { Some(p.type_name()?) } else { None };
    Ok(FindColumn::Column { name, ty })
}
