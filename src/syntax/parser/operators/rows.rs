//! Operators that choose or order rows, and those that only look at or label the table.

use super::super::{Parser, Read};
use crate::ast::{Expr, OperatorKind, Property};
use crate::lexer::TokenKind;

type Options = Vec<Property>;

/// `where predicate`
pub(super) fn filter(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.properties(&[], options)?;
    Ok(OperatorKind::Where(p.expression()?))
}

/// `sort by key, …`
pub(super) fn sort(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.properties(&[], options)?;
    p.expect_word("by")?;
    Ok(OperatorKind::Sort(p.list(Parser::sort_key)?))
}

/// `top n by key`
pub(super) fn top(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.properties(&[], options)?;
    let count = p.expression()?;
    p.expect_word("by")?;
    let keys = vec![p.sort_key()?];
    if p.at(TokenKind::Comma) {
        let span = p.token().span();
        return Err(p.fail_with(span, "`top` takes one key", "write `sort by a, b | take n`"));
    }
    Ok(OperatorKind::Top { count, keys })
}

/// `top-hitters n of expr by weight`
pub(super) fn top_hitters(p: &mut Parser<'_>, _: &mut Options) -> Read<OperatorKind> {
    let count = Box::new(p.expression()?);
    p.expect_word("of")?;
    let of = Box::new(p.named_expression()?);
    let by = if p.eat_word("by") { Some(Box::new(p.named_expression()?)) } else { None };
    Ok(OperatorKind::TopHitters { count, of, by })
}

/// `take n`
pub(super) fn take(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.properties(&[], options)?;
    Ok(OperatorKind::Take(p.expression()?))
}

/// `sample n`
pub(super) fn sample(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.properties(&[], options)?;
    Ok(OperatorKind::Sample(p.expression()?))
}

/// `sample-distinct n of expr`
pub(super) fn sample_distinct(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.properties(&[], options)?;
    let count = Box::new(p.expression()?);
    p.expect_word("of")?;
    Ok(OperatorKind::SampleDistinct { count, of: Box::new(p.named_expression()?) })
}

/// `count [as name]`
pub(super) fn count(p: &mut Parser<'_>, _: &mut Options) -> Read<OperatorKind> {
    let name = if p.eat_word("as") { Some(p.new_name()?) } else { None };
    Ok(OperatorKind::Count(name))
}

/// `reduce by expr [with option = value, …]`
pub(super) fn reduce(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.properties(&["kind"], options)?;
    p.expect_word("by")?;
    let by = Box::new(p.named_expression()?);
    if p.eat_word("with") {
        loop {
            p.strict_properties(&["threshold", "characters"], options)?;
            if !p.eat(TokenKind::Comma) {
                break;
            }
        }
    }
    Ok(OperatorKind::Reduce { by })
}

/// `as name`
pub(super) fn as_name(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.properties(&[], options)?;
    Ok(OperatorKind::As(p.new_name()?))
}

/// `consume`
pub(super) fn consume(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.strict_properties(&["decodeblocks"], options)?;
    Ok(OperatorKind::Consume)
}

/// `getschema`
pub(super) fn getschema(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.strict_properties(&["kind"], options)?;
    Ok(OperatorKind::GetSchema)
}

/// `render kind [with (property = value, …)]`, and the older `render kind property = value …`.
pub(super) fn render(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    let kind = p.name()?;
    const OPTIONS: [&str; 9] = ["kind", "title", "accumulate", "xcolumn", "ycolumns", "series", "xtitle", "ytitle", "legend"];
    p.computed_properties(&OPTIONS, options)?;
    p.strict_properties(&OPTIONS, options)?;
    if p.at_word("by") {
        let token = p.bump();
        let columns = p.list(Parser::name_or_wildcard)?;
        let name = crate::ast::Name { text: "by".to_owned(), span: token.span() };
        options.push(Property { name, value: Expr::one_or_list(columns) });
    }
    if p.eat_word("with") {
        p.expect(TokenKind::LeftParen)?;
        p.property_list(options)?;
        p.expect(TokenKind::RightParen)?;
    }
    Ok(OperatorKind::Render(kind))
}
