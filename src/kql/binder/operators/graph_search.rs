//! `graph-match` and `graph-shortest-paths`.
//!
//! A condition that is about one element of the pattern is looked at for each node or edge before any pattern is, and `all(…)`
//! over the edges in the place of one edge while a path grows; what is left is a filter over the matches.

use std::collections::{HashMap, HashSet};

use crate::binder::expr::ExprContext;
use crate::binder::names::{TargetName, derived};
use crate::binder::{Bind, Binder, RowInfo, Scope, bare_name};
use crate::bound::graph::{EachFold, GraphPattern, GraphQuestion, GraphShape, MatchOutput, MatchValue, Matches, PatternEdge};
use crate::bound::*;
use crate::functions::Registry;
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_syntax::visit::{self, Visitor};
use kqlake_value::{Json, Type, Value};

use super::shape::property_text;

/// The most edges in the place of one. A path of more is a mistake, and would take more time than anyone has.
const MAX_HOPS: i64 = 1000;

/// What a name of a pattern stands for: the place of a node or of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Node(usize),
    Edge(usize),
}

/// A pattern while its expressions are bound.
struct Search<'g> {
    shape: &'g GraphShape,
    names: HashMap<String, Element>,
    /// What must hold for each node.
    nodes: Vec<Option<BoundExpr>>,
    edges: Vec<PatternEdge>,
    /// Edges with a number of hops.
    many: Vec<bool>,
    /// Columns of the matches that expressions have asked for so far.
    columns: Vec<BoundColumn>,
    outputs: Vec<MatchOutput>,
}

impl Search<'_> {
    /// The element that a bare name stands for.
    fn element(&self, e: &Expr) -> Option<(Element, String)> {
        let name = bare_name(e)?;
        self.names.get(&name.text).map(|element| (*element, name.text.clone()))
    }

    /// True for an edge that may be several.
    fn is_many(&self, element: Element) -> bool {
        matches!(element, Element::Edge(edge) if self.many[edge])
    }
}

impl Binder<'_> {
    pub(super) fn graph_search(&mut self, input: Rel, operator: &Operator, search: &GraphSearch, scope: &Scope) -> Bind<Rel> {
        let graph = self.graph(input, operator)?;
        let matches = self.matches(operator, search.shortest)?;
        let shape = graph.shape.clone();
        let mut pattern = Search {
            shape: &shape,
            names: HashMap::new(),
            nodes: Vec::new(),
            edges: Vec::new(),
            many: Vec::new(),
            columns: Vec::new(),
            outputs: Vec::new(),
        };
        for path in &search.paths {
            self.graph_path(path, &mut pattern, scope)?;
        }
        let (first, last) = (0, pattern.nodes.len() - 1);
        if search.shortest && (search.paths.len() != 1 || !pattern.many.contains(&true)) {
            let message =
                "shortest paths are looked for along one sequence with an edge of several hops, as in (a)-[e*1..5]->(b)";
            return self.error(code::SYNTAX, operator.keyword, message);
        }
        // A path has no node twice.
        if search.shortest && pattern.nodes.len() <= pattern.edges.len() {
            return self.report(
                Diagnostic::error(code::SYNTAX, operator.keyword, "the nodes of a shortest path have a name each")
                    .suggest("graph-match finds cycles, as in (a)-[e*1..5]->(a)"),
            );
        }
        if !connected(pattern.nodes.len(), &pattern.edges) {
            return self.report(
                Diagnostic::error(code::SYNTAX, operator.keyword, "the sequences of the pattern do not share a node")
                    .suggest("name a node of one in the other"),
            );
        }
        let mut rest = Vec::new();
        for term in search.predicate.iter().flat_map(terms) {
            if self.condition_of_one(term, &mut pattern, scope)? {
                continue;
            }
            if search.shortest {
                self.about_the_ends(term, &pattern, [first, last])?;
            }
            let mut term = term.clone();
            self.pattern_names(&mut term, &mut pattern, scope, true)?;
            rest.push(term);
        }
        let mut items = search.project.clone();
        // Names follow from what was written, not from the columns that take its place.
        self.refuse_repeated_names(&items)?;
        let wanted = items.iter().map(|item| match item.names.first() {
            Some(name) => TargetName::Explicit(name.text.clone()),
            None => derived(&item.expr).map_or(TargetName::Generated, TargetName::Derived),
        });
        let names = self.resolve_names(&wanted.collect::<Vec<_>>(), HashSet::new(), false);
        for (item, text) in items.iter_mut().zip(names).filter(|(item, _)| !item.tuple) {
            item.names = vec![Name { text, span: item.expr.span }];
        }
        for item in &mut items {
            self.pattern_names(&mut item.expr, &mut pattern, scope, false)?;
        }
        let Search { nodes, edges, columns, outputs, .. } = pattern;
        let question = GraphQuestion::Matches(GraphPattern { nodes, edges, matches, outputs });
        let mut rel = self.asked(graph, question, columns);
        for term in &rest {
            let row = RowInfo::of(&rel);
            let e = self.scalar(term, &mut ExprContext::new(&row, scope))?;
            let e = self.condition(e, "where", false)?;
            rel = Self::filtered(rel, e);
        }
        self.project(rel, &items, scope)
    }

    /// Which matches count.
    fn matches(&mut self, operator: &Operator, shortest: bool) -> Bind<Matches> {
        let option = operator.property(if shortest { "output" } else { "cycles" });
        let text = option.map(|p| property_text(&p.value));
        match (shortest, text.as_deref()) {
            (true, None | Some("any")) => Ok(Matches::AnyShortest),
            (true, Some("all")) => Ok(Matches::AllShortest),
            (false, None | Some("unique_edges")) => Ok(Matches::UniqueEdges),
            (false, Some("all")) => Ok(Matches::All),
            (false, Some("none")) => Ok(Matches::NoCycles),
            (_, Some(other)) => {
                let known = if shortest { "output is any or all" } else { "cycles are all, none or unique_edges" };
                let span = option.map_or(operator.keyword, |p| p.value.span);
                self.error(code::SYNTAX, span, format!("{known}, not '{other}'"))
            }
        }
    }

    /// Adds a sequence to the pattern.
    fn graph_path(&mut self, path: &GraphPath, pattern: &mut Search<'_>, scope: &Scope) -> Bind<()> {
        let mut left = self.graph_node(&path.first, pattern)?;
        for (edge, node) in &path.rest {
            let (min, max) = match &edge.hops {
                None => (1, 1),
                Some((min, max)) => (self.hops(min, scope)?, self.hops(max, scope)?),
            };
            if min > max {
                return self.error(code::TYPE, edge.span, format!("no number of edges is at least {min} and at most {max}"));
            }
            if let Some(name) = &edge.name {
                if pattern.names.contains_key(&name.text) {
                    return self.error(code::DUPLICATE, name.span, format!("'{}' stands twice in the pattern", name.text));
                }
                pattern.names.insert(name.text.clone(), Element::Edge(pattern.edges.len()));
            }
            let right = self.graph_node(node, pattern)?;
            pattern.many.push(edge.hops.is_some());
            pattern.edges.push(PatternEdge {
                left,
                right,
                forward: edge.direction != GraphDirection::Left,
                backward: edge.direction != GraphDirection::Right,
                min,
                max,
                filter: None,
                inner_filter: None,
            });
            left = right;
        }
        Ok(())
    }

    fn graph_node(&mut self, node: &GraphNode, pattern: &mut Search<'_>) -> Bind<usize> {
        let new = pattern.nodes.len();
        if let Some(name) = &node.name {
            match pattern.names.get(&name.text) {
                Some(Element::Node(known)) => return Ok(*known),
                Some(Element::Edge(_)) => {
                    return self.error(code::DUPLICATE, name.span, format!("'{}' is an edge of the pattern", name.text));
                }
                None => pattern.names.insert(name.text.clone(), Element::Node(new)),
            };
        }
        pattern.nodes.push(None);
        Ok(new)
    }

    /// A bound of the number of edges.
    fn hops(&mut self, e: &Expr, scope: &Scope) -> Bind<u32> {
        let bound = self.scalar(e, &mut ExprContext::new(&RowInfo::default(), scope))?;
        match self.constant(&bound, "a number of edges")? {
            // Binding without values.
            None => Ok(1),
            Some(value) => {
                let number = value.as_scalar().as_i64().filter(|n| (0..=MAX_HOPS).contains(n));
                match number.and_then(|n| u32::try_from(n).ok()) {
                    Some(number) => Ok(number),
                    None => self.error(code::TYPE, e.span, format!("a number of edges is an integer from 0 to {MAX_HOPS}")),
                }
            }
        }
    }

    /// Takes a condition on one element into the pattern, if it is one.
    fn condition_of_one(&mut self, term: &Expr, pattern: &mut Search<'_>, scope: &Scope) -> Bind<bool> {
        if let Some((edge, inner, condition)) = over_each(term, "all", pattern) {
            let row = Self::graph_row(pattern.shape, inner);
            let e = self.scalar(condition, &mut ExprContext::new(&row, scope))?;
            let e = self.condition(e, "all", false)?;
            let edge = &mut pattern.edges[edge];
            and(if inner { &mut edge.inner_filter } else { &mut edge.filter }, e);
            return Ok(true);
        }
        let mut used = Elements { pattern, found: Vec::new(), plain: true };
        used.expr(term);
        let (plain, found) = (used.plain, used.found);
        let Some(name) = found.first().filter(|first| plain && found.iter().all(|name| name == *first)).cloned() else {
            return Ok(false);
        };
        let Some(element) = pattern.names.get(&name).copied().filter(|element| !pattern.is_many(*element)) else {
            return Ok(false);
        };
        if self.names_unknown(term, element, &name, pattern)? {
            return Ok(true);
        }
        let mut row = Self::graph_row(pattern.shape, matches!(element, Element::Node(_)));
        for column in &mut row.columns {
            column.name = format!("{name}.{}", column.name);
        }
        let mut term = term.clone();
        qualify(&mut term, &name);
        let e = self.scalar(&term, &mut ExprContext::new(&row, scope))?;
        let e = self.condition(e, "where", false)?;
        match element {
            Element::Node(node) => and(&mut pattern.nodes[node], e),
            Element::Edge(edge) => and(&mut pattern.edges[edge].filter, e),
        }
        Ok(true)
    }

    /// Refuses a condition that two shortest paths between the same nodes may answer differently.
    fn about_the_ends(&mut self, term: &Expr, pattern: &Search<'_>, ends: [usize; 2]) -> Bind<()> {
        let mut used = Elements { pattern, found: Vec::new(), plain: true };
        used.expr(term);
        let is_end = |name: &String| matches!(pattern.names.get(name), Some(Element::Node(node)) if ends.contains(node));
        if used.found.iter().all(is_end) {
            return Ok(());
        }
        self.report(
            Diagnostic::error(code::UNSUPPORTED, term.span, "this condition on shortest paths is not supported")
                .suggest("give conditions on one node or edge each, on the first and the last node, or all(edge, …)"),
        )
    }

    /// Puts the columns of the matches in the place of the pattern's names. A condition (`condition`) has no use for a property
    /// of several edges at once.
    fn pattern_names(&mut self, e: &mut Expr, pattern: &mut Search<'_>, scope: &Scope, condition: bool) -> Bind<()> {
        if let ExprKind::Path { base, field } = &e.kind
            && let Some((element, name)) = pattern.element(base)
        {
            if condition && pattern.is_many(element) {
                return self.report(
                    Diagnostic::error(code::TYPE, e.span, format!("'{name}' is a row of edges"))
                        .suggest(format!("write all({name}, …) or any({name}, …) with the bare '{}'", field.text)),
                );
            }
            let property = self.property(element, field, pattern)?;
            let shown = format!("{name}.{}", field.text);
            return self.put(e, pattern, shown, element, property);
        }
        if let Some((element, name)) = pattern.element(e) {
            let whole = self.whole(element, e.span, pattern)?;
            return self.put(e, pattern, name, element, whole);
        }
        for (function, fold) in [("all", EachFold::All), ("any", EachFold::Any), ("map", EachFold::Array)] {
            let Some((edge, inner_nodes, value)) = over_each(e, function, pattern) else { continue };
            let row = Self::graph_row(pattern.shape, inner_nodes);
            let mut value = self.scalar(value, &mut ExprContext::new(&row, scope))?;
            let ty = if fold == EachFold::Array { Type::Dynamic } else { Type::Bool };
            if ty == Type::Bool {
                value = self.condition(value, function, false)?;
            }
            let shown = format!("{function}#{}", pattern.outputs.len());
            let value = MatchValue::Each { edge, inner_nodes, value, fold };
            self.output(e, pattern, shown, MatchOutput { ty, value });
            return Ok(());
        }
        if let ExprKind::Call { function, args } = &e.kind
            && let [arg] = args.as_slice()
            && let Some((element, name)) = pattern.element(&arg.expr)
        {
            match (function.text.as_str(), element) {
                ("node_degree_in" | "node_degree_out", Element::Node(node)) => {
                    let value = MatchValue::Degree { node, incoming: function.text == "node_degree_in" };
                    let shown = format!("{}#{name}", function.text);
                    self.output(e, pattern, shown, MatchOutput { ty: Type::Long, value });
                    return Ok(());
                }
                // Only stored graphs have labels.
                ("labels", _) => {
                    e.kind = ExprKind::Literal(Literal::Dynamic(Box::new(Json::Array(Vec::new()))));
                    return Ok(());
                }
                _ => {}
            }
        }
        let mut result = Ok(());
        visit::for_each_part_mut(e, &mut |part| {
            if result.is_ok() {
                result = self.pattern_names(part, pattern, scope, condition);
            }
        });
        result
    }

    /// A property of nodes or edges.
    fn property(&mut self, element: Element, field: &Name, pattern: &Search<'_>) -> Bind<BoundExpr> {
        let (what, columns) = match element {
            Element::Node(_) => ("property of nodes", pattern.shape.properties()),
            Element::Edge(_) => ("property of edges", pattern.shape.edges.clone()),
        };
        match columns.iter().find(|c| c.name == field.text) {
            Some(column) => Ok(BoundExpr::column(column, field.span)),
            None => {
                let marks = Self::graph_row(pattern.shape, matches!(element, Element::Node(_))).hidden;
                match self.infer(field, &marks) {
                    Some(unknown) => Ok(unknown),
                    None => self.unknown(what, field, columns.into_iter().map(|c| c.name).collect()),
                }
            }
        }
    }

    /// True for a condition on an element that names a property which only rows could show; with it, the text is bound again.
    fn names_unknown(&mut self, term: &Expr, element: Element, name: &str, pattern: &Search<'_>) -> Bind<bool> {
        let mut fields = Vec::new();
        properties_of(term, name, &mut fields);
        let mut unknown = false;
        for field in &fields {
            unknown |= matches!(self.property(element, field, pattern)?.kind, BoundKind::Untyped);
        }
        Ok(unknown)
    }

    /// All properties of a node or an edge, as a bag.
    fn whole(&mut self, element: Element, span: Span, pattern: &Search<'_>) -> Bind<BoundExpr> {
        let row = Self::graph_row(pattern.shape, matches!(element, Element::Node(_)));
        let Some(function) = Registry::get().scalar("bag_pack") else { return self.unsupported(span, "a whole node or edge") };
        let args = row.columns.iter().flat_map(|column| {
            let name = BoundExpr::literal(Value::String(column.name.clone()), Type::String, span);
            [name, BoundExpr::column(column, span)]
        });
        let call = BoundExpr::new(BoundKind::Call { function, args: args.collect() }, Type::Dynamic, span);
        self.fold(call)
    }

    /// Puts the column of a node's or edge's value in the place of an expression.
    fn put(&mut self, e: &mut Expr, pattern: &mut Search<'_>, shown: String, element: Element, value: BoundExpr) -> Bind<()> {
        let output = match element {
            Element::Node(node) => MatchOutput { ty: value.ty, value: MatchValue::Node { node, value } },
            Element::Edge(edge) if pattern.many[edge] => {
                let value = MatchValue::Each { edge, inner_nodes: false, value, fold: EachFold::Array };
                MatchOutput { ty: Type::Dynamic, value }
            }
            Element::Edge(edge) => MatchOutput { ty: value.ty, value: MatchValue::Edge { edge, value } },
        };
        self.output(e, pattern, shown, output);
        Ok(())
    }

    /// Puts a column of the matches in the place of an expression. One of the name is there already when it was asked for before.
    fn output(&mut self, e: &mut Expr, pattern: &mut Search<'_>, shown: String, output: MatchOutput) {
        if !pattern.columns.iter().any(|c| c.name == shown) {
            pattern.columns.push(BoundColumn { id: self.id(), name: shown.clone(), ty: output.ty });
            pattern.outputs.push(output);
        }
        e.kind = ExprKind::Name(Name { text: shown, span: e.span });
    }
}

/// The conditions that all must hold.
fn terms(predicate: &Expr) -> Vec<&Expr> {
    match &predicate.kind {
        ExprKind::Logical { and: true, terms: parts } => parts.iter().flat_map(terms).collect(),
        _ => vec![predicate],
    }
}

/// Adds a condition.
fn and(to: &mut Option<BoundExpr>, e: BoundExpr) {
    let span = e.span;
    *to = Some(match to.take() {
        None => e,
        Some(before) => BoundExpr::new(BoundKind::Logical { and: true, terms: vec![before, e] }, Type::Bool, span),
    });
}

/// True if edges lead from each node to each other, whichever way.
fn connected(nodes: usize, edges: &[PatternEdge]) -> bool {
    let mut reached = vec![false; nodes];
    let mut open = vec![0];
    while let Some(node) = open.pop() {
        if std::mem::replace(&mut reached[node], true) {
            continue;
        }
        for edge in edges {
            if edge.left == node || edge.right == node {
                open.extend([edge.left, edge.right]);
            }
        }
    }
    reached.iter().all(|reached| *reached)
}

/// `function(edge, e)` or `function(inner_nodes(edge), e)` over an edge of several hops: the edge, whether it is about the inner
/// nodes, and the expression.
fn over_each<'e>(e: &'e Expr, name: &str, pattern: &Search<'_>) -> Option<(usize, bool, &'e Expr)> {
    let ExprKind::Call { function, args } = &e.kind else { return None };
    let [over, value] = args.as_slice() else { return None };
    if function.text != name {
        return None;
    }
    let (inner, over) = match &over.expr.kind {
        ExprKind::Call { function, args } if function.text == "inner_nodes" => (true, &args.first()?.expr),
        _ => (false, &over.expr),
    };
    match pattern.element(over)? {
        (Element::Edge(edge), _) if pattern.many[edge] => Some((edge, inner, &value.expr)),
        _ => None,
    }
}

/// Collects the elements that an expression names.
struct Elements<'p, 'g> {
    pattern: &'p Search<'g>,
    found: Vec<String>,
    /// Nothing but properties of them is asked for.
    plain: bool,
}

impl<'t> Visitor<'t> for Elements<'_, '_> {
    fn expr(&mut self, e: &'t Expr) {
        match &e.kind {
            ExprKind::Path { base, .. } if self.pattern.element(base).is_some() => {
                self.found.extend(self.pattern.element(base).map(|(_, name)| name));
            }
            _ => {
                if let Some((_, name)) = self.pattern.element(e) {
                    self.found.push(name);
                    self.plain = false;
                }
                visit::walk_expr(self, e);
            }
        }
    }
}

/// Collects the properties that an expression names of an element.
fn properties_of(e: &Expr, name: &str, fields: &mut Vec<Name>) {
    struct Properties<'n>(&'n str, &'n mut Vec<Name>);
    impl<'t> Visitor<'t> for Properties<'_> {
        fn expr(&mut self, e: &'t Expr) {
            if let ExprKind::Path { base, field } = &e.kind
                && bare_name(base).is_some_and(|base| base.text == self.0)
            {
                self.1.push(field.clone());
            }
            visit::walk_expr(self, e);
        }
    }
    Properties(name, fields).expr(e);
}

/// Writes `name.property` as one name.
fn qualify(e: &mut Expr, name: &str) {
    if let ExprKind::Path { base, field } = &e.kind
        && bare_name(base).is_some_and(|base| base.text == name)
    {
        e.kind = ExprKind::Name(Name { text: format!("{name}.{}", field.text), span: e.span });
        return;
    }
    visit::for_each_part_mut(e, &mut |part| qualify(part, name));
}
