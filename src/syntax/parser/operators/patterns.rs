//! `parse`, `parse-where`, `parse-kv`.

use super::super::{Parser, Read, words};
use crate::ast::{OperatorKind, ParsePart, Property};
use crate::lexer::TokenKind;

type Options = Vec<Property>;

/// `parse [kind = …] [flags = …] expr with pattern`
pub(super) fn parse(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    pattern(p, options, false)
}

/// `parse-where`: the same, and rows that do not match are dropped.
pub(super) fn parse_where(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    pattern(p, options, true)
}

fn pattern(p: &mut Parser<'_>, options: &mut Options, filter: bool) -> Read<OperatorKind> {
    p.strict_properties(&["kind", "flags"], options)?;
    let expr = p.expression()?;
    p.expect_word("with")?;
    let mut pattern = Vec::new();
    while let Some(part) = part(p)? {
        pattern.push(part);
    }
    if pattern.is_empty() {
        return Err(p.unexpected("a pattern"));
    }
    Ok(OperatorKind::Parse { expr, pattern, filter })
}

fn part(p: &mut Parser<'_>) -> Read<Option<ParsePart>> {
    Ok(Some(match p.kind() {
        TokenKind::Star => ParsePart::Skip(p.bump().span()),
        TokenKind::String => {
            let start = p.token().start;
            let text = p.strings();
            ParsePart::Text(text, p.span_from(start))
        }
        // A word that can be no column belongs to an operator whose pipe is missing.
        _ if p.name_len(0) > 0 && !words::is_reserved(p.word()) => {
            let name = p.new_name()?;
            let ty = if p.eat(TokenKind::Colon) { Some(p.type_name()?) } else { None };
            ParsePart::Column { name, ty }
        }
        _ => return Ok(None),
    }))
}

/// `parse-kv expr as (columns) [with (option = value, …)]`
pub(super) fn parse_kv(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    let expr = p.expression()?;
    p.expect_word("as")?;
    let columns = p.row_schema()?;
    if p.eat_word("with") {
        p.expect(TokenKind::LeftParen)?;
        p.property_list(options)?;
        p.expect(TokenKind::RightParen)?;
    }
    Ok(OperatorKind::ParseKv { expr, columns })
}
