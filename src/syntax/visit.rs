//! Walking a tree without writing out every node.
//!
//! A [`Visitor`] overrides the methods of the nodes that it is about; the others visit their parts. A method that is
//! overridden calls the `walk_…` function of its node to continue below it, or leaves the call out to stop there.
//!
//! ```
//! use kqlake_syntax::ast::{Expr, ExprKind};
//! use kqlake_syntax::parser::parse;
//! use kqlake_syntax::visit::{self, Visitor};
//!
//! /// Collects the names of the functions that are called.
//! #[derive(Default)]
//! struct Calls<'t>(Vec<&'t str>);
//!
//! impl<'t> Visitor<'t> for Calls<'t> {
//!     fn expr(&mut self, expr: &'t Expr) {
//!         if let ExprKind::Call { function, .. } = &expr.kind {
//!             self.0.push(&function.text);
//!         }
//!         visit::walk_expr(self, expr);
//!     }
//! }
//!
//! let parsed = parse("requests | where timestamp > ago(1d) | summarize dcount(tolower(name))");
//! let mut calls = Calls::default();
//! calls.script(&parsed.script);
//! assert_eq!(calls.0, ["ago", "dcount", "tolower"]);
//! ```

use crate::ast::{
    Arg, Expr, ExprKind, NamedExpr, Operator, OperatorKind, ParamDecl, Script, SeriesRange, SortKey, Statement, StatementKind,
};

/// Looks at the nodes of a tree, parents before children and in the order of the text, but that an operator's options come
/// before its arguments.
///
/// Walking recurses once for each level of the tree; the parser keeps trees below
/// [`MAX_DEPTH`](crate::parser::MAX_DEPTH) levels of nesting.
pub trait Visitor<'t> {
    /// A whole text, the body of a function or the query of a pattern.
    fn script(&mut self, script: &'t Script) {
        walk_script(self, script);
    }

    /// A statement.
    fn statement(&mut self, statement: &'t Statement) {
        walk_statement(self, statement);
    }

    /// An expression, scalar or tabular; the value of an option as well.
    fn expr(&mut self, expr: &'t Expr) {
        walk_expr(self, expr);
    }

    /// A tabular operator, behind a pipe or first in a query.
    fn operator(&mut self, operator: &'t Operator) {
        walk_operator(self, operator);
    }

    /// A declared parameter of a function, a pattern or the whole query.
    fn param(&mut self, param: &'t ParamDecl) {
        walk_param(self, param);
    }
}

/// Visits all statements.
pub fn walk_script<'t, V: Visitor<'t> + ?Sized>(visitor: &mut V, script: &'t Script) {
    for statement in &script.statements {
        visitor.statement(statement);
    }
}

/// Visits the parts of a statement.
pub fn walk_statement<'t, V: Visitor<'t> + ?Sized>(visitor: &mut V, statement: &'t Statement) {
    match &statement.kind {
        StatementKind::Let { value, .. } | StatementKind::Alias { value, .. } | StatementKind::Query(value) => {
            visitor.expr(value)
        }
        StatementKind::Set { value, .. } => exprs(visitor, value),
        StatementKind::DeclareParameters(params) => params.iter().for_each(|param| visitor.param(param)),
        StatementKind::DeclarePattern => {}
        StatementKind::Pattern(pattern) => {
            pattern.params.iter().chain(&pattern.path).for_each(|param| visitor.param(param));
            for arm in &pattern.arms {
                exprs(visitor, arm.args.iter().chain(&arm.path));
                visitor.script(&arm.body);
            }
        }
        StatementKind::Restrict(tables) => exprs(visitor, tables),
    }
}

/// Visits the default of a parameter.
pub fn walk_param<'t, V: Visitor<'t> + ?Sized>(visitor: &mut V, param: &'t ParamDecl) {
    exprs(visitor, &param.default);
}

/// Visits the values of a call's arguments.
pub fn walk_args<'t, V: Visitor<'t> + ?Sized>(visitor: &mut V, args: &'t [Arg]) {
    exprs(visitor, args.iter().map(|arg| &arg.expr));
}

/// Visits the parts of an expression.
pub fn walk_expr<'t, V: Visitor<'t> + ?Sized>(visitor: &mut V, expr: &'t Expr) {
    match &expr.kind {
        ExprKind::Literal(_)
        | ExprKind::Name(_)
        | ExprKind::Wildcard(_)
        | ExprKind::Star
        | ExprKind::TypeOf(_)
        | ExprKind::Unread { .. }
        | ExprKind::Error => {}
        ExprKind::Path { base, .. } => visitor.expr(base),
        ExprKind::Index { base, index } => exprs(visitor, [&**base, &**index]),
        ExprKind::Call { args, .. } => walk_args(visitor, args),
        ExprKind::MethodCall { base, args, .. } => {
            visitor.expr(base);
            walk_args(visitor, args);
        }
        ExprKind::Unary { expr, .. } | ExprKind::Named { expr, .. } => visitor.expr(expr),
        ExprKind::Binary { left, right, .. } => exprs(visitor, [&**left, &**right]),
        ExprKind::Logical { terms, .. } => exprs(visitor, terms),
        ExprKind::List { left, items, .. } => exprs(visitor, std::iter::once(&**left).chain(items)),
        ExprKind::Between { expr, low, high, .. } => exprs(visitor, [&**expr, &**low, &**high]),
        ExprKind::Pipe { source, operators } => {
            visitor.expr(source);
            operators.iter().for_each(|operator| visitor.operator(operator));
        }
        ExprKind::Source(operator) => visitor.operator(operator),
        ExprKind::Operators(operators) => operators.iter().for_each(|operator| visitor.operator(operator)),
        ExprKind::Lambda { params, body, .. } => {
            params.iter().for_each(|param| visitor.param(param));
            visitor.script(body);
        }
    }
}

/// Visits the parts of an operator: the values of its options, then its arguments.
pub fn walk_operator<'t, V: Visitor<'t> + ?Sized>(visitor: &mut V, operator: &'t Operator) {
    exprs(visitor, operator.properties.iter().map(|property| &property.value));
    walk_arguments(visitor, operator);
}

/// Visits the arguments of an operator, without its options.
fn walk_arguments<'t, V: Visitor<'t> + ?Sized>(visitor: &mut V, operator: &'t Operator) {
    match &operator.kind {
        OperatorKind::Where(expr) | OperatorKind::Take(expr) | OperatorKind::Sample(expr) | OperatorKind::Invoke(expr) => {
            visitor.expr(expr);
        }
        OperatorKind::Parse { expr, .. } | OperatorKind::ParseKv { expr, .. } => visitor.expr(expr),
        OperatorKind::Project(items)
        | OperatorKind::Extend(items)
        | OperatorKind::Distinct(items)
        | OperatorKind::Print(items)
        | OperatorKind::Serialize(items) => named(visitor, items),
        OperatorKind::ProjectAway(items)
        | OperatorKind::ProjectKeep(items)
        | OperatorKind::ProjectByNames(items)
        | OperatorKind::Union(items)
        | OperatorKind::Datatable { values: items, .. }
        | OperatorKind::ExternalData { uris: items, .. } => exprs(visitor, items),
        OperatorKind::ProjectRename(items) => exprs(visitor, items.iter().map(|(_, old)| old)),
        OperatorKind::ProjectReorder(items) => exprs(visitor, items.iter().map(|item| &item.name)),
        OperatorKind::Summarize { aggregates, by } => named(visitor, aggregates.iter().chain(by)),
        OperatorKind::Sort(keys) => sort_keys(visitor, keys),
        OperatorKind::Top { count, keys } => {
            visitor.expr(count);
            sort_keys(visitor, keys);
        }
        OperatorKind::Range { from, to, step, .. } => exprs(visitor, [&**from, &**to, &**step]),
        OperatorKind::Join { right, on } | OperatorKind::Lookup { right, on } => {
            exprs(visitor, std::iter::once(right).chain(on));
        }
        OperatorKind::MvExpand { items, limit, .. } => {
            named(visitor, items.iter().map(|item| &item.expr));
            exprs(visitor, limit);
        }
        OperatorKind::MvApply { items, limit, id, body } => {
            named(visitor, items.iter().map(|item| &item.expr));
            exprs(visitor, limit.iter().chain(id).map(|expr| &**expr));
            visitor.expr(body);
        }
        OperatorKind::MakeSeries { items, axis, range, by } => {
            for item in items {
                visitor.expr(&item.expr.expr);
                exprs(visitor, &item.default);
            }
            visitor.expr(&axis.expr);
            match &**range {
                SeriesRange::Step { from, to, step } => exprs(visitor, from.iter().chain(to).chain([step])),
                SeriesRange::InRange { start, stop, step } => exprs(visitor, [start, stop, step]),
            }
            named(visitor, by);
        }
        OperatorKind::TopNested(levels) => {
            for level in levels {
                exprs(visitor, level.count.iter().chain([&level.of.expr]).chain(&level.others).chain([&level.by.expr]));
            }
        }
        OperatorKind::TopHitters { count, of, by } => {
            exprs(visitor, [&**count, &of.expr]);
            named(visitor, by.iter().map(|by| &**by));
        }
        OperatorKind::SampleDistinct { count, of } => exprs(visitor, [&**count, &of.expr]),
        OperatorKind::Partition { body, scope, .. } => exprs(visitor, scope.iter().chain([body]).map(|expr| &**expr)),
        OperatorKind::Scan { partition_by, order_by, declare, steps } => {
            exprs(visitor, partition_by);
            sort_keys(visitor, order_by);
            exprs(visitor, declare.iter().filter_map(|column| column.default.as_ref()));
            for step in steps {
                visitor.expr(&step.condition);
                exprs(visitor, step.assignments.iter().map(|(_, value)| value));
            }
        }
        OperatorKind::Search { tables, predicate } => exprs(visitor, tables.iter().chain([predicate])),
        OperatorKind::Find { tables, predicate, project_away, .. } => {
            exprs(visitor, tables.iter().chain(predicate.iter().map(|expr| &**expr)).chain(project_away));
        }
        OperatorKind::Fork(branches) => exprs(visitor, branches.iter().map(|(_, body)| body)),
        OperatorKind::Facet { by, with } => exprs(visitor, by.iter().chain(with)),
        OperatorKind::MakeGraph { nodes, .. } => exprs(visitor, nodes.iter().map(|nodes| &nodes.table)),
        OperatorKind::GraphSearch(search) => {
            let edges = search.paths.iter().flat_map(|path| path.rest.iter().map(|(edge, _)| edge));
            exprs(visitor, edges.filter_map(|edge| edge.hops.as_ref()).flat_map(|(min, max)| [min, max]));
            exprs(visitor, &search.predicate);
            named(visitor, &search.project);
        }
        OperatorKind::GraphWhere { predicate, .. } => visitor.expr(predicate),
        OperatorKind::Evaluate { call, .. } => visitor.expr(call),
        OperatorKind::Reduce { by } => visitor.expr(&by.expr),
        OperatorKind::Count(_)
        | OperatorKind::As(_)
        | OperatorKind::Consume
        | OperatorKind::GetSchema
        | OperatorKind::Render(_)
        | OperatorKind::GraphToTable(_)
        | OperatorKind::GraphMarkComponents
        | OperatorKind::Unsupported(_) => {}
    }
}

/// Calls `f` with the direct parts of a scalar expression, to change them.
pub fn for_each_part_mut(e: &mut Expr, f: &mut dyn FnMut(&mut Expr)) {
    match &mut e.kind {
        ExprKind::Path { base, .. } => f(base),
        ExprKind::Index { base, index } => {
            f(base);
            f(index);
        }
        ExprKind::Call { args, .. } => args.iter_mut().for_each(|a| f(&mut a.expr)),
        ExprKind::Unary { expr, .. } | ExprKind::Named { expr, .. } => f(expr),
        ExprKind::Binary { left, right, .. } => {
            f(left);
            f(right);
        }
        ExprKind::Logical { terms, .. } => terms.iter_mut().for_each(f),
        ExprKind::List { left, items, .. } => {
            f(left);
            items.iter_mut().for_each(f);
        }
        ExprKind::Between { expr, low, high, .. } => {
            f(expr);
            f(low);
            f(high);
        }
        _ => {}
    }
}

fn exprs<'t, V: Visitor<'t> + ?Sized>(visitor: &mut V, items: impl IntoIterator<Item = &'t Expr>) {
    items.into_iter().for_each(|expr| visitor.expr(expr));
}

fn named<'t, V: Visitor<'t> + ?Sized>(visitor: &mut V, items: impl IntoIterator<Item = &'t NamedExpr>) {
    exprs(visitor, items.into_iter().map(|item| &item.expr));
}

fn sort_keys<'t, V: Visitor<'t> + ?Sized>(visitor: &mut V, keys: &'t [SortKey]) {
    named(visitor, keys.iter().map(|key| &key.expr));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser::parse;

    /// Collects the bare names and the operators' keywords.
    #[derive(Default)]
    struct Seen<'t> {
        names: Vec<&'t str>,
        operators: usize,
        statements: usize,
    }

    impl<'t> Visitor<'t> for Seen<'t> {
        fn statement(&mut self, statement: &'t Statement) {
            self.statements += 1;
            walk_statement(self, statement);
        }

        fn expr(&mut self, expr: &'t Expr) {
            if let ExprKind::Name(name) = &expr.kind {
                self.names.push(&name.text);
            }
            walk_expr(self, expr);
        }

        fn operator(&mut self, operator: &'t Operator) {
            self.operators += 1;
            walk_operator(self, operator);
        }
    }

    /// The names of a text in the order of the walk, with the number of operators and statements.
    fn seen(text: &str) -> (String, usize, usize) {
        let parsed = parse(text);
        assert_eq!(parsed.diagnostics, [], "{text}");
        let mut seen = Seen::default();
        seen.script(&parsed.script);
        (seen.names.join(" "), seen.operators, seen.statements)
    }

    #[test]
    fn every_operator_shows_its_expressions_in_the_order_of_the_text() {
        for (text, expected) in [
            ("where a == b and (c or d)", "a b c d"),
            ("where a in (b, c) or d between (e .. f)", "a b c d e f"),
            ("extend x = -a, y = b.c[d]", "a b d"),
            ("project a, n = f(b, g(c))", "a b c"),
            ("project-away a, b*", "a"),
            ("project-keep a, b", "a b"),
            ("project-rename a = b", "b"),
            ("project-reorder a, b asc", "a b"),
            ("summarize m = max(a), b by c, bin(d, e)", "a b c d e"),
            ("sort by a asc, b", "a b"),
            ("top n by a", "n a"),
            ("take n", "n"),
            ("distinct a, b", "a b"),
            ("join kind=inner (U | where a) on b", "inner U a b"),
            ("lookup U on $left.a == $right.b", "U $left $right"),
            ("union U, (V | where a)", "U V a"),
            ("mv-expand a, x = b limit 5", "a b"),
            ("mv-apply a on (where b | top c by d)", "a b c d"),
            ("parse a with 'x' b", "a"),
            ("parse-kv a as (b: long)", "a"),
            ("make-series count() default = z on a from b to c step d by e", "z a b c d e"),
            ("make-series m = max(a) on b in range(c, d, e) by f", "a b c d e f"),
            ("top-nested n of a with others = o by max(b), top-nested of c by d", "n a o b c d"),
            ("top-hitters n of a by b", "n a b"),
            ("sample n", "n"),
            ("sample-distinct n of a", "n a"),
            ("serialize a = row_number(b)", "b"),
            ("partition by p (where a)", "a"),
            ("scan declare (x: long = z) with (step s: a => x = b;)", "z a b"),
            ("search in (U, V) a == 1", "U V a"),
            ("fork (where a) n = (where b)", "a b"),
            ("facet by a, b with (where c)", "a b c"),
            ("invoke f(a)", "a"),
            ("evaluate pivot(a, b)", "a b"),
            ("reduce by a", "a"),
            ("as a", ""),
            ("count", ""),
            ("getschema", ""),
        ] {
            let (names, ..) = seen(&format!("T | {text}"));
            assert_eq!(names, format!("T {expected}").trim_end(), "{text}");
        }
    }

    #[test]
    fn statements_bodies_and_sources_are_walked() {
        let text = "
            declare query_parameters (p: long = 1);
            set query_now = a;
            let f = (x: long, T: (*)) { let y = b; T | where c };
            print d, toscalar(range i from e to f step g);
            find in (U) where h == 1 project i
        ";
        assert_eq!(seen(text), ("a b T c d e f g U h".to_owned(), 4, 7));
        assert_eq!(seen("datatable (a: long) [1, 2]").1, 1);
    }

    #[test]
    fn a_visitor_may_stop_above_what_it_does_not_want() {
        struct Outermost(usize);
        impl<'t> Visitor<'t> for Outermost {
            fn expr(&mut self, _: &'t Expr) {
                self.0 += 1;
            }
        }
        let parsed = parse("let a = 1; T | where a | take 1; U");
        let mut outermost = Outermost(0);
        outermost.script(&parsed.script);
        assert_eq!(outermost.0, 3);
    }
}
