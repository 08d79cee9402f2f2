//! `make-graph` and the operators over a graph.

use super::super::{Parser, Read};
use crate::ast::{GraphDirection, GraphEdge, GraphNode, GraphNodes, GraphPath, GraphSearch, GraphTable, OperatorKind, Property};
use crate::lexer::TokenKind;

type Options = Vec<Property>;

/// `make-graph source --> target [with nodes on key, …]`, or `… with_node_id = name` in place of tables of nodes.
pub(super) fn make_graph(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.properties(&[], options)?;
    let source = p.name()?;
    p.expect(TokenKind::Minus)?;
    p.expect(TokenKind::Minus)?;
    p.eat(TokenKind::Greater);
    let target = p.name()?;
    p.properties(&["with_node_id"], options)?;
    let mut nodes = Vec::new();
    if p.eat_word("with") {
        nodes = p.list(|p| {
            let table = p.postfix()?;
            p.expect_word("on")?;
            Ok(GraphNodes { table, key: p.name()? })
        })?;
    }
    if p.at_word("partitioned") {
        return Ok(OperatorKind::Unsupported("make-graph partitioned-by".to_owned()));
    }
    Ok(OperatorKind::MakeGraph { source, target, nodes })
}

/// `graph-match [cycles = all|none|unique_edges] pattern [where predicate] project columns`
pub(super) fn graph_match(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.strict_properties(&["cycles"], options)?;
    search(p, false)
}

/// `graph-shortest-paths [output = any|all] pattern [where predicate] project columns`
pub(super) fn graph_shortest_paths(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.strict_properties(&["output"], options)?;
    search(p, true)
}

fn search(p: &mut Parser<'_>, shortest: bool) -> Read<OperatorKind> {
    let paths = p.list(path)?;
    let predicate = if p.eat_word("where") { Some(p.expression()?) } else { None };
    p.expect_word("project")?;
    let project = p.list(Parser::named_expression)?;
    Ok(OperatorKind::GraphSearch(Box::new(GraphSearch { shortest, paths, predicate, project })))
}

fn path(p: &mut Parser<'_>) -> Read<GraphPath> {
    let first = node(p)?;
    let mut rest = Vec::new();
    while p.at(TokenKind::Minus) || p.at(TokenKind::Less) {
        rest.push((edge(p)?, node(p)?));
    }
    Ok(GraphPath { first, rest })
}

/// `(name)` or `()`.
fn node(p: &mut Parser<'_>) -> Read<GraphNode> {
    if !p.at(TokenKind::LeftParen) {
        return Err(p.unexpected("`(` and a node of the pattern"));
    }
    let start = p.bump().start;
    let name = if p.at(TokenKind::RightParen) { None } else { Some(p.name()?) };
    p.expect(TokenKind::RightParen)?;
    Ok(GraphNode { name, span: p.span_from(start) })
}

/// `-[name*min..max]->`, `<-[name]-`, `-->`, `<--`, `--`.
fn edge(p: &mut Parser<'_>) -> Read<GraphEdge> {
    let start = p.token().start;
    let left = p.eat(TokenKind::Less);
    p.expect(TokenKind::Minus)?;
    let (mut name, mut hops) = (None, None);
    if p.eat(TokenKind::LeftBracket) {
        if !p.at(TokenKind::Star) && !p.at(TokenKind::RightBracket) {
            name = Some(p.name()?);
        }
        if p.eat(TokenKind::Star) {
            let min = p.postfix()?;
            p.expect(TokenKind::DotDot)?;
            hops = Some((min, p.postfix()?));
        }
        p.expect(TokenKind::RightBracket)?;
    }
    p.expect(TokenKind::Minus)?;
    let right = p.eat(TokenKind::Greater);
    let direction = match (left, right) {
        (true, false) => GraphDirection::Left,
        (false, true) => GraphDirection::Right,
        _ => GraphDirection::Any,
    };
    Ok(GraphEdge { name, direction, hops, span: p.span_from(start) })
}

/// `graph-to-table nodes [as name] [with_node_id = name]` and `edges [as name] [with_source_id = name] [with_target_id = name]`,
/// one of them or both.
pub(super) fn graph_to_table(p: &mut Parser<'_>, _: &mut Options) -> Read<OperatorKind> {
    let tables = p.list(|p| {
        let start = p.token().start;
        let nodes = p.at_word("nodes");
        if !nodes && !p.at_word("edges") {
            return Err(p.unexpected("`nodes` or `edges`"));
        }
        p.bump();
        let known: &[&str] = if nodes { &["with_node_id"] } else { &["with_source_id", "with_target_id"] };
        let mut ids = Vec::new();
        p.strict_properties(known, &mut ids)?;
        let name = if p.eat_word("as") { Some(p.name()?) } else { None };
        p.strict_properties(known, &mut ids)?;
        Ok(GraphTable { nodes, name, ids, span: p.span_from(start) })
    })?;
    Ok(OperatorKind::GraphToTable(tables))
}

/// `graph-mark-components [kind = weak|strong] [with_component_id = name]`
pub(super) fn graph_mark_components(p: &mut Parser<'_>, options: &mut Options) -> Read<OperatorKind> {
    p.strict_properties(&["kind", "with_component_id"], options)?;
    Ok(OperatorKind::GraphMarkComponents)
}

/// `graph-where-nodes predicate`
pub(super) fn graph_where_nodes(p: &mut Parser<'_>, _: &mut Options) -> Read<OperatorKind> {
    Ok(OperatorKind::GraphWhere { nodes: true, predicate: p.expression()? })
}

/// `graph-where-edges predicate`
pub(super) fn graph_where_edges(p: &mut Parser<'_>, _: &mut Options) -> Read<OperatorKind> {
    Ok(OperatorKind::GraphWhere { nodes: false, predicate: p.expression()? })
}
