//! Operators of the language that kqlake reads and does not run. What must follow their name is read; the rest is skipped
//! by the caller, brackets balanced.

use super::super::{Parser, Read};
use crate::ast::{OperatorKind, Property};
use crate::lexer::TokenKind;

type Options = Vec<Property>;

fn named(name: &str) -> Read<OperatorKind> {
    Ok(OperatorKind::Unsupported(name.to_owned()))
}

/// `__executeAndCache`
pub(super) fn execute_and_cache(_: &mut Parser<'_>, _: &mut Options) -> Read<OperatorKind> {
    named("__executeAndCache")
}

/// `__partitionby column (operators)`
pub(super) fn partition_by(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.properties(&[], options)?;
    p.name()?;
    named("__partitionby")
}

/// `assert-schema (columns)`
pub(super) fn assert_schema(p: &mut Parser<'_>, _: &mut Options) -> Read<OperatorKind> {
    p.row_schema()?;
    named("assert-schema")
}

/// `macro-expand group [as name] (statements)`
pub(super) fn macro_expand(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.properties(&["kind", "withsource", "isfuzzy", "best_effort", "force_remote"], options)?;
    if p.name_len(0) == 0 {
        return Err(p.unexpected("an entity group"));
    }
    named("macro-expand")
}

/// `inline_external_table (schema) kind = … (…)`
pub(super) fn inline_external_table(p: &mut Parser<'_>, _: &mut Options) -> Read<OperatorKind> {
    if !p.at(TokenKind::LeftParen) && !p.at_word("kind") {
        return Err(p.unexpected("`(` and a schema"));
    }
    named("inline_external_table")
}
