//! `make-graph`, and the operators that narrow a graph, mark its components or give it as tables. What finds patterns in one is
//! in `graph_search`.

use std::sync::Arc;

use crate::binder::expr::ExprContext;
use crate::binder::{Bind, Binder, RowInfo, Scope};
use crate::bound::graph::{BoundGraph, BoundGraphQuery, GraphQuestion, GraphShape, GraphStep};
use crate::bound::*;
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_value::{Type, Value};

use super::shape::property_text;

/// The name that `graph-mark-components` gives its property.
const COMPONENT: &str = "ComponentId";

impl Binder<'_> {
    pub(super) fn make_graph(
        &mut self,
        edges: Rel,
        operator: &Operator,
        ends: [&Name; 2],
        tables: &[GraphNodes],
        scope: &Scope,
    ) -> Bind<Rel> {
        self.not_in_sub_query(operator, "make-graph")?;
        let [mut source, mut target] = [self.graph_key(&edges, ends[0], scope)?, self.graph_key(&edges, ends[1], scope)?];
        if !(source.ty.is_integer() && target.ty.is_integer()) {
            self.same_key_type(&source, &target)?;
        }
        let own = operator.property("with_node_id");
        if let (Some(property), false) = (own, tables.is_empty()) {
            let message = "with_node_id stands in place of tables of nodes";
            return self.error(code::SYNTAX, property.name.span, message);
        }
        let mut nodes = Vec::with_capacity(tables.len());
        let mut properties: Vec<BoundColumn> = Vec::new();
        for table in tables {
            let rel = self.table(&table.table, scope)?;
            let key = self.graph_key(&rel, &table.key, scope)?;
            if !(source.ty.is_integer() && key.ty.is_integer()) {
                self.same_key_type(&source, &key)?;
            }
            for column in &rel.columns {
                match properties.iter().find(|p| p.name == column.name) {
                    None => {
                        let id = self.id();
                        self.untyped.pass_on(column.id, id);
                        properties.push(BoundColumn { id, ..column.clone() });
                    }
                    Some(known) if known.ty == column.ty || self.untyped.contains(column.id) => {}
                    Some(known) => {
                        let (name, is, was) = (&column.name, column.ty, known.ty);
                        let message = format!("the nodes' property '{name}' is {is} in this table and {was} in one before it");
                        return self.error(code::TYPE, table.table.span, message);
                    }
                }
            }
            nodes.push((rel, key));
        }
        let mut keys = vec![&mut source, &mut target];
        keys.extend(nodes.iter_mut().map(|(_, key)| key));
        self.one_key_type(&mut keys)?;
        let marks = |rels: &mut dyn Iterator<Item = &Rel>| -> Vec<HiddenColumn> {
            rels.flat_map(|rel| rel.hidden.iter().filter(|h| !h.is_column())).cloned().collect()
        };
        let (of_nodes, marks) = (marks(&mut nodes.iter().map(|(rel, _)| rel)), marks(&mut std::iter::once(&edges)));
        let (is_edge, key, to) = (self.id(), self.id(), self.id());
        let of_edges: Vec<BoundColumn> = edges.columns.iter().map(|c| BoundColumn { id: self.id(), ..c.clone() }).collect();
        for (from, to) in edges.columns.iter().zip(&of_edges) {
            self.untyped.pass_on(from.id, to.id);
        }
        let span = operator.keyword;
        let missing = |c: &BoundColumn| BoundExpr::literal(Value::Null, c.ty, span);
        let mut inputs = Vec::with_capacity(nodes.len() + 1);
        for (rel, id) in nodes {
            let mut exprs = vec![BoundExpr::literal(Value::Bool(false), Type::Bool, span), id];
            exprs.push(BoundExpr::literal(Value::Null, source.ty, span));
            exprs.extend(properties.iter().map(|p| match rel.columns.iter().find(|c| c.name == p.name) {
                Some(column) if column.ty == p.ty => BoundExpr::column(column, span),
                _ => missing(p),
            }));
            exprs.extend(of_edges.iter().map(missing));
            inputs.push((rel, exprs));
        }
        let key_type = source.ty;
        let mut exprs = vec![BoundExpr::literal(Value::Bool(true), Type::Bool, span), source, target];
        exprs.extend(properties.iter().map(missing));
        exprs.extend(edges.columns.iter().map(|c| BoundExpr::column(c, span)));
        inputs.push((edges, exprs));
        let column = |id, ty| BoundColumn { id, name: String::new(), ty };
        let mut columns = vec![column(is_edge, Type::Bool), column(key, key_type), column(to, key_type)];
        columns.extend(properties.iter().chain(&of_edges).cloned());
        let ids = columns.iter().map(|c| c.id).collect();
        let input =
            Rel { columns, hidden: Vec::new(), serialized: false, table_name: None, kind: RelKind::Union { inputs, ids } };
        let id = own.map(|p| BoundColumn { id: self.id(), name: property_text(&p.value), ty: key_type });
        let shape = GraphShape {
            key: column(key, key_type),
            nodes: properties,
            edges: of_edges,
            id,
            steps: Vec::new(),
            of_nodes,
            of_edges: marks,
        };
        Ok(graph_rel(BoundGraph { input: Box::new(input), shape }))
    }

    /// Gives the ids of nodes one type.
    fn one_key_type(&mut self, keys: &mut [&mut BoundExpr]) -> Bind<()> {
        // One of unknown type is what another one is.
        let known = keys.iter().find(|key| !self.is_untyped(key)).map(|key| key.ty);
        if let (Some(ty), false) = (known, self.checking) {
            for key in keys.iter_mut() {
                **key = self.as_other((**key).clone(), ty);
            }
        }
        // An int is the node of the long that equals it, as in an equality of a join.
        if keys.iter().any(|key| key.ty == Type::Long) {
            for key in keys.iter_mut().filter(|key| key.ty == Type::Int) {
                **key = self.coerce((**key).clone(), Type::Long)?;
            }
        }
        Ok(())
    }

    /// The column with the ids of nodes.
    fn graph_key(&mut self, rel: &Rel, name: &Name, scope: &Scope) -> Bind<BoundExpr> {
        let row = RowInfo::of(rel);
        let e = Expr { kind: ExprKind::Name(name.clone()), span: name.span };
        let key = self.scalar(&e, &mut ExprContext::new(&row, scope))?;
        if !matches!(key.kind, BoundKind::Column(_) | BoundKind::Untyped) {
            return self.error(code::TYPE, name.span, "the ids of nodes are a column");
        }
        if key.ty == Type::Dynamic && !self.is_untyped(&key) {
            return self.report(
                Diagnostic::error(code::TYPE, name.span, "the ids of nodes cannot be dynamic")
                    .suggest("extend a column by tostring(…)"),
            );
        }
        Ok(key)
    }

    fn same_key_type(&mut self, a: &BoundExpr, b: &BoundExpr) -> Bind<()> {
        if a.ty == b.ty || self.is_untyped(a) || self.is_untyped(b) {
            return Ok(());
        }
        self.error(code::TYPE, b.span, format!("the ids of nodes are {} in one place and {} in another", a.ty, b.ty))
    }

    /// The graph that an operator works on.
    pub(super) fn graph(&mut self, input: Rel, operator: &Operator) -> Bind<BoundGraph> {
        match input.kind {
            RelKind::Graph(graph) => Ok(*graph),
            _ => self.report(
                Diagnostic::error(code::TYPE, operator.keyword, "this operator takes a graph")
                    .suggest("make one before it: | make-graph source --> target with nodes on id"),
            ),
        }
    }

    /// What expressions over nodes, or over edges, see.
    pub(super) fn graph_row(shape: &GraphShape, nodes: bool) -> RowInfo {
        let columns = if nodes { shape.properties() } else { shape.edges.clone() };
        RowInfo { columns, hidden: if nodes { shape.of_nodes.clone() } else { shape.of_edges.clone() } }
    }

    pub(super) fn graph_where(
        &mut self,
        input: Rel,
        operator: &Operator,
        nodes: bool,
        predicate: &Expr,
        scope: &Scope,
    ) -> Bind<Rel> {
        let mut graph = self.graph(input, operator)?;
        let row = Self::graph_row(&graph.shape, nodes);
        let e = self.scalar(predicate, &mut ExprContext::new(&row, scope))?;
        let e = self.condition(e, "the condition", false)?;
        graph.shape.steps.push(if nodes { GraphStep::Nodes(e) } else { GraphStep::Edges(e) });
        Ok(graph_rel(graph))
    }

    pub(super) fn graph_mark_components(&mut self, input: Rel, operator: &Operator) -> Bind<Rel> {
        let mut graph = self.graph(input, operator)?;
        let strong = match operator.property("kind").map(|p| (property_text(&p.value), p.value.span)) {
            None => false,
            Some((kind, _)) if kind == "weak" => false,
            Some((kind, _)) if kind == "strong" => true,
            Some((kind, span)) => return self.error(code::SYNTAX, span, format!("components are weak or strong, not '{kind}'")),
        };
        let name = operator.property("with_component_id").map_or_else(|| COMPONENT.to_owned(), |p| property_text(&p.value));
        if graph.shape.properties().iter().any(|p| p.name == name) {
            let message = format!("nodes have a property '{name}' already; give with_component_id another name");
            return self.error(code::DUPLICATE, operator.keyword, message);
        }
        let column = BoundColumn { id: self.id(), name, ty: Type::Long };
        graph.shape.steps.push(GraphStep::Mark { column, strong });
        Ok(graph_rel(graph))
    }

    pub(super) fn graph_to_table(&mut self, input: Rel, operator: &Operator, tables: &[GraphTable], scope: &Scope) -> Bind<Rel> {
        let graph = self.graph(input, operator)?;
        let [table] = tables else {
            return self.report(
                Diagnostic::error(code::UNSUPPORTED, operator.span, "nodes and edges at once are not supported")
                    .suggest("name the graph, let g = …; then: g | graph-to-table nodes; g | graph-to-table edges"),
            );
        };
        // The ids come first, then the properties.
        let keys: &[&str] = if table.nodes { &["with_node_id"] } else { &["with_source_id", "with_target_id"] };
        let properties = if table.nodes { graph.shape.properties() } else { graph.shape.edges.clone() };
        let key_type = graph.shape.key.ty;
        let mut columns: Vec<BoundColumn> =
            keys.iter().map(|_| BoundColumn { id: self.id(), name: String::new(), ty: key_type }).collect();
        for property in properties {
            let id = self.id();
            self.untyped.pass_on(property.id, id);
            columns.push(BoundColumn { id, ..property });
        }
        let marks = Self::graph_row(&graph.shape, table.nodes).hidden;
        let question = if table.nodes { GraphQuestion::Nodes } else { GraphQuestion::Edges };
        let rel = self.asked(graph, question, columns);
        let mut shown = Vec::with_capacity(rel.columns.len());
        // Microsoft's engine shows an id as its hash.
        for (column, key) in rel.columns.iter().zip(keys) {
            if let Some(property) = table.ids.iter().find(|p| p.name.text == *key) {
                let hash = self.convert(BoundExpr::column(column, operator.keyword), "hash", Type::Long)?;
                shown.push((BoundColumn { id: self.id(), name: property_text(&property.value), ty: Type::Long }, hash));
            }
        }
        for column in rel.columns.iter().skip(keys.len()) {
            shown.push((column.clone(), BoundExpr::column(column, operator.keyword)));
        }
        let rel = Self::open_as(Self::projected(rel, shown), &marks);
        match &table.name {
            Some(name) => self.alias(rel, name, scope),
            None => Ok(rel),
        }
    }

    /// The rows that a graph gives.
    pub(super) fn asked(&mut self, graph: BoundGraph, question: GraphQuestion, columns: Vec<BoundColumn>) -> Rel {
        let inputs = graph.input.columns.iter().map(|c| c.id).collect();
        let query = BoundGraphQuery { shape: graph.shape, question };
        self.computed(*graph.input, inputs, Arc::new(query), columns, false)
    }
}

/// A graph in the place of a table.
fn graph_rel(graph: BoundGraph) -> Rel {
    let hidden = graph.shape.of_nodes.iter().chain(&graph.shape.of_edges).cloned().collect();
    Rel { kind: RelKind::Graph(Box::new(graph)), columns: Vec::new(), hidden, serialized: false, table_name: None }
}
