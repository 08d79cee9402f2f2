//! `make-series`, `scan`, `top-nested`.

use super::super::{Parser, Read};
use crate::ast::{ColumnDecl, NestedLevel, OperatorKind, Property, ScanColumn, ScanStep, SeriesItem, SeriesRange};
use crate::lexer::TokenKind;

type Options = Vec<Property>;

/// `make-series [kind = nonempty] a = f(x) [default = v], … on axis [from a] [to b] step s [by k, …]`; older queries have
/// `in range(a, b, s)` in place of `from … step`.
pub(super) fn make_series(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.properties(&["kind"], options)?;
    let items = p.list(series_item)?;
    p.expect_word("on")?;
    let axis = Box::new(p.named_expression()?);
    let range = Box::new(series_range(p)?);
    let by = if p.eat_word("by") { p.list(Parser::named_expression)? } else { Vec::new() };
    Ok(OperatorKind::MakeSeries { items, axis, range, by })
}

fn series_item(p: &mut Parser<'_>) -> Read<SeriesItem> {
    let expr = p.named_expression()?;
    let default = if p.eat_word("default") {
        p.expect(TokenKind::Assign)?;
        Some(p.expression()?)
    } else {
        None
    };
    Ok(SeriesItem { expr, default })
}

fn series_range(p: &mut Parser<'_>) -> Read<SeriesRange> {
    if p.at_word("in") && p.word_at(1) == "range" {
        p.bump();
        p.bump();
        p.expect(TokenKind::LeftParen)?;
        let (start, stop, step) = p.nested(|p| {
            let start = p.expression()?;
            p.expect(TokenKind::Comma)?;
            let stop = p.expression()?;
            p.expect(TokenKind::Comma)?;
            Ok((start, stop, p.expression()?))
        })?;
        p.expect(TokenKind::RightParen)?;
        return Ok(SeriesRange::InRange { start, stop, step });
    }
    let from = if p.eat_word("from") { Some(p.expression()?) } else { None };
    let to = if p.eat_word("to") { Some(p.expression()?) } else { None };
    p.expect_word("step")?;
    Ok(SeriesRange::Step { from, to, step: p.expression()? })
}

/// `top-nested [n] of expr [with others = c] by aggregate [asc|desc], top-nested …`
pub(super) fn top_nested(p: &mut Parser<'_>, _: &mut Options) -> Read<OperatorKind> {
    let mut levels = vec![level(p)?];
    while p.eat(TokenKind::Comma) {
        p.expect_word("top-nested")?;
        levels.push(level(p)?);
    }
    Ok(OperatorKind::TopNested(levels))
}

fn level(p: &mut Parser<'_>) -> Read<NestedLevel> {
    let count = if p.at_word("of") { None } else { Some(p.expression()?) };
    p.expect_word("of")?;
    let of = p.named_expression()?;
    let others = if p.eat_word("with") {
        p.expect_word("others")?;
        p.expect(TokenKind::Assign)?;
        Some(p.expression()?)
    } else {
        None
    };
    p.expect_word("by")?;
    let by = p.named_expression()?;
    Ok(NestedLevel { count, of, others, by, ascending: p.direction()? })
}

/// `scan [with_match_id = m] [order by …] [partition by …] [declare (…)] with (step …; …)`
pub(super) fn scan(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.strict_properties(&["kind", "with_match_id"], options)?;
    let (mut order_by, mut partition_by, mut declare) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        match p.word() {
            "order" => {
                p.bump();
                p.expect_word("by")?;
                order_by = p.list(Parser::sort_key)?;
            }
            "partition" => {
                p.bump();
                p.expect_word("by")?;
                partition_by = p.list(Parser::expression)?;
            }
            "declare" => {
                p.bump();
                declare = declarations(p)?;
            }
            _ => break,
        }
    }
    p.expect_word("with")?;
    p.expect(TokenKind::LeftParen)?;
    let steps = p.nested(|p| {
        let mut steps = Vec::new();
        while p.at_word("step") {
            steps.push(step(p)?);
        }
        Ok(steps)
    })?;
    if steps.is_empty() {
        return Err(p.unexpected("`step`"));
    }
    p.expect(TokenKind::RightParen)?;
    Ok(OperatorKind::Scan { partition_by, order_by, declare, steps })
}

fn declarations(p: &mut Parser<'_>) -> Read<Vec<ScanColumn>> {
    p.expect(TokenKind::LeftParen)?;
    let columns = p.list(|p| {
        let column: ColumnDecl = p.column()?;
        let default = if p.eat(TokenKind::Assign) { Some(p.default_value()?) } else { None };
        Ok(ScanColumn { column, default })
    })?;
    p.expect(TokenKind::RightParen)?;
    Ok(columns)
}

/// `step name [optional] [output = all|last|none]: condition [=> column = expr, …];`
fn step(p: &mut Parser<'_>) -> Read<ScanStep> {
    p.bump();
    let name = p.new_name()?;
    let optional = p.eat_word("optional");
    let output = if p.at_word("output") && p.kind_at(1) == TokenKind::Assign {
        p.bump();
        p.bump();
        Some(p.name()?)
    } else {
        None
    };
    p.expect(TokenKind::Colon)?;
    let condition = p.expression()?;
    let assignments = if p.eat(TokenKind::Arrow) {
        p.list(|p| {
            let column = p.new_name()?;
            p.expect(TokenKind::Assign)?;
            Ok((column, p.expression()?))
        })?
    } else {
        Vec::new()
    };
    p.expect(TokenKind::Semicolon)?;
    Ok(ScanStep { name, optional, output, condition, assignments })
}
