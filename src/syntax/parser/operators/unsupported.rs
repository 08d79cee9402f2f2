//! Operators of the language that kqlake reads and does not run. What must follow their name is read; the rest is passed over
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

/// `make-graph source --> target [with …]`
pub(super) fn make_graph(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.properties(&[], options)?;
    p.name()?;
    p.expect(TokenKind::Minus)?;
    p.expect(TokenKind::Minus)?;
    p.eat(TokenKind::Greater);
    p.name()?;
    named("make-graph")
}

/// `graph-match pattern where … project …`
pub(super) fn graph_match(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    graph_pattern(p, options)?;
    named("graph-match")
}

/// `graph-shortest-paths pattern where … project …`
pub(super) fn graph_shortest_paths(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    graph_pattern(p, options)?;
    named("graph-shortest-paths")
}

fn graph_pattern(p: &mut Parser<'_>, options: &mut Options) -> Read<()> {
    p.properties(&["cycles", "output"], options)?;
    if p.at(TokenKind::LeftParen) { Ok(()) } else { Err(p.unexpected("`(` and a graph pattern")) }
}

/// `graph-to-table nodes|edges [as name] …`
pub(super) fn graph_to_table(p: &mut Parser<'_>, _: &mut Options) -> Read<OperatorKind> {
    if !matches!(p.word(), "nodes" | "edges") {
        return Err(p.unexpected("`nodes` or `edges`"));
    }
    named("graph-to-table")
}

/// `graph-mark-components [kind = …] [with_component_id = …]`
pub(super) fn graph_mark_components(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.strict_properties(&["kind", "with_component_id"], options)?;
    named("graph-mark-components")
}

/// `graph-where-nodes predicate`
pub(super) fn graph_where_nodes(p: &mut Parser<'_>, _: &mut Options) -> Read<OperatorKind> {
    p.expression()?;
    named("graph-where-nodes")
}

/// `graph-where-edges predicate`
pub(super) fn graph_where_edges(p: &mut Parser<'_>, _: &mut Options) -> Read<OperatorKind> {
    p.expression()?;
    named("graph-where-edges")
}

/// `inline_external_table (schema) kind = … (…)`
pub(super) fn inline_external_table(p: &mut Parser<'_>, _: &mut Options) -> Read<OperatorKind> {
    if !p.at(TokenKind::LeftParen) && !p.at_word("kind") {
        return Err(p.unexpected("`(` and a schema"));
    }
    named("inline_external_table")
}
