//! The tables that a query names.

use std::collections::HashMap;

use crate::ast::{
    Arg, Expr, ExprKind, Literal, Operator, OperatorKind, ParamDecl, ParamType, Script, Span, Statement, StatementKind,
};
use crate::visit::{self, Visitor};

/// Functions behind which, after a dot, a table of another place is named.
const NAMESPACES: [&str; 7] = ["cluster", "database", "workspace", "app", "resource", "adx", "arg"];

/// Functions whose literal argument is a table's name.
const TABLE_FUNCTIONS: [&str; 2] = ["table", "materialized_view"];

/// Functions whose argument is a tabular expression.
const OVER_TABLES: [&str; 3] = ["materialize", "toscalar", "totable"];

/// Plugins whose first argument is a table to look up in.
const LOOKUP_PLUGINS: [&str; 4] = ["ipv4_lookup", "ipv6_lookup", "geo_line_lookup", "geo_polygon_lookup"];

/// A place where a text names a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRef {
    /// The table's name: without the brackets and quotes of `['…']`, with wildcards as they were written.
    pub name: String,
    /// The place of what is before the name and its dot, such as `database('x')`.
    pub qualifier: Option<Span>,
    /// The place of all of it.
    pub span: Span,
}

impl TableRef {
    /// The bare name, or, where the table is one of another place, what the text says: `database('x').T`.
    ///
    /// `text` is the text that was parsed.
    pub fn written<'a>(&'a self, text: &'a str) -> &'a str {
        let place = self.span.start as usize..self.span.end as usize;
        self.qualifier.and_then(|_| text.get(place)).unwrap_or(&self.name)
    }
}

/// The tables that a text names, each time it does, in the order of the text.
///
/// These are the names in tabular position that no `let`, parameter or `as` of the text binds: sources of pipes, the other
/// tables of `join`, `lookup`, `union`, `find` and `search`, what `toscalar` and `materialize` read, tabular arguments of
/// functions that the text defines; in bodies of functions and in unused `let`s as well. Nothing is known of what a
/// database holds, so that
///
/// - a stored function that is named without parentheses, or a parameter that a dashboard puts in, counts as a table,
/// - a bare name that may be a column does not: the one in `x in (y)`, and arguments of functions that the text does not define,
/// - `search` and `find` without `in (…)`, which read all tables, name none,
/// - a name that is computed, as in `table(strcat(…))`, is not found, nor are tables inside operators that the parser passes
///   over ([`OperatorKind::Unsupported`]).
///
/// ```
/// use kqlake_syntax::{parser::parse, tables};
///
/// let text = "let slow = requests | where duration > 1000; slow | join database('old').pageViews on operation_Id";
/// let found = tables::find(&parse(text).script);
/// let names: Vec<&str> = found.iter().map(|table| table.written(text)).collect();
/// assert_eq!(names, ["requests", "database('old').pageViews"]);
/// ```
pub fn find(script: &Script) -> Vec<TableRef> {
    let mut finder = Finder { scopes: vec![HashMap::new()], found: Vec::new() };
    finder.script(script);
    finder.found
}

/// What the text itself defines under a name.
#[derive(Clone, Copy)]
enum Definition<'t> {
    /// A function, by its parameters.
    Function(&'t [ParamDecl]),
    /// Anything else.
    Other,
}

struct Finder<'t> {
    /// Names that are defined, the innermost scope last.
    scopes: Vec<HashMap<&'t str, Definition<'t>>>,
    found: Vec<TableRef>,
}

impl<'t> Finder<'t> {
    fn definition(&self, name: &str) -> Option<Definition<'t>> {
        self.scopes.iter().rev().find_map(|scope| scope.get(name).copied())
    }

    fn define(&mut self, name: &'t str, definition: Definition<'t>) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name, definition);
        }
    }

    /// Statements that see parameters.
    fn body(&mut self, params: impl Iterator<Item = &'t ParamDecl>, body: &'t Script) {
        self.scopes.push(HashMap::new());
        for param in params {
            self.param(param);
            self.define(&param.name.text, Definition::Other);
        }
        self.script(body);
        self.scopes.pop();
    }

    fn add(&mut self, name: &str, qualifier: Option<Span>, span: Span) {
        self.found.push(TableRef { name: name.to_owned(), qualifier, span });
    }

    /// An expression that is where a table is expected.
    fn table(&mut self, expr: &'t Expr) {
        match &expr.kind {
            ExprKind::Name(name) if self.definition(&name.text).is_none() => self.add(&name.text, None, name.span),
            ExprKind::Wildcard(name) => self.add(&name.text, None, name.span),
            ExprKind::Path { base, field } if matches!(base.kind, ExprKind::Name(_)) => {
                self.add(&field.text, Some(base.span), base.span.to(field.span));
            }
            ExprKind::Named { expr, .. } => self.table(expr),
            _ => self.expr(expr),
        }
    }

    /// True for `database('x')`, `cluster('c').database('d')` and the like.
    fn is_namespace(&self, expr: &Expr) -> bool {
        let function = match &expr.kind {
            ExprKind::Call { function, .. } if self.definition(&function.text).is_none() => function,
            ExprKind::MethodCall { base, function, .. } if self.is_namespace(base) => function,
            _ => return false,
        };
        NAMESPACES.contains(&function.text.as_str())
    }

    /// The arguments of a function that the text defines; with `piped`, its first table comes through the pipe.
    fn arguments(&mut self, params: &'t [ParamDecl], args: &'t [Arg], piped: bool) {
        let is_table = |param: &ParamDecl| matches!(param.ty, ParamType::Table { .. });
        let is_named = |param: &ParamDecl| args.iter().filter_map(|a| a.name.as_ref()).any(|name| name.text == param.name.text);
        let first = if piped { params.iter().position(is_table) } else { None };
        let mut positional = params.iter().enumerate().filter(|(i, p)| Some(*i) != first && !is_named(p)).map(|(_, p)| p);
        for arg in args {
            let param = match &arg.name {
                Some(name) => params.iter().find(|param| param.name.text == name.text),
                None => positional.next(),
            };
            if param.is_some_and(is_table) { self.table(&arg.expr) } else { self.expr(&arg.expr) }
        }
    }

    fn first_is_table(&mut self, args: &'t [Arg]) {
        if let Some((table, rest)) = args.split_first() {
            self.table(&table.expr);
            visit::walk_args(self, rest);
        }
    }
}

impl<'t> Visitor<'t> for Finder<'t> {
    fn statement(&mut self, statement: &'t Statement) {
        match &statement.kind {
            StatementKind::Query(expr) => self.table(expr),
            StatementKind::Let { name, value } => {
                // The name is not known in its own value: `let T = T | take 1` reads the table.
                self.table(value);
                let definition = match &value.kind {
                    ExprKind::Lambda { params, .. } => Definition::Function(params),
                    _ => Definition::Other,
                };
                self.define(&name.text, definition);
            }
            StatementKind::DeclareParameters(params) => {
                for param in params {
                    self.param(param);
                    self.define(&param.name.text, Definition::Other);
                }
            }
            StatementKind::Pattern(pattern) => {
                for arm in &pattern.arms {
                    self.body(pattern.params.iter().chain(&pattern.path), &arm.body);
                }
                self.define(&pattern.name.text, Definition::Other);
            }
            StatementKind::Alias { name, value } => {
                self.expr(value);
                self.define(&name.text, Definition::Other);
            }
            StatementKind::Restrict(tables) => tables.iter().for_each(|table| self.table(table)),
            StatementKind::Set { .. } | StatementKind::DeclarePattern => visit::walk_statement(self, statement),
        }
    }

    fn expr(&mut self, expr: &'t Expr) {
        match &expr.kind {
            ExprKind::Pipe { source, operators } => {
                self.table(source);
                operators.iter().for_each(|operator| self.operator(operator));
            }
            ExprKind::Lambda { params, body, .. } => self.body(params.iter(), body),
            ExprKind::Path { base, field } if self.is_namespace(base) => {
                self.add(&field.text, Some(base.span), base.span.to(field.span));
            }
            ExprKind::Call { function, args } => match (self.definition(&function.text), literal_name(args)) {
                (Some(Definition::Function(params)), _) => self.arguments(params, args, false),
                (None, Some(name)) if TABLE_FUNCTIONS.contains(&function.text.as_str()) => self.add(name, None, expr.span),
                (None, _) if OVER_TABLES.contains(&function.text.as_str()) => self.first_is_table(args),
                _ => visit::walk_args(self, args),
            },
            ExprKind::MethodCall { base, function, args } if self.is_namespace(base) => match literal_name(args) {
                Some(name) if TABLE_FUNCTIONS.contains(&function.text.as_str()) => self.add(name, Some(base.span), expr.span),
                _ => visit::walk_args(self, args),
            },
            _ => visit::walk_expr(self, expr),
        }
    }

    fn operator(&mut self, operator: &'t Operator) {
        match &operator.kind {
            OperatorKind::Join { right, on } | OperatorKind::Lookup { right, on } => {
                self.table(right);
                on.iter().for_each(|condition| self.expr(condition));
            }
            OperatorKind::Union(tables) => tables.iter().for_each(|table| self.table(table)),
            OperatorKind::Search { tables, predicate } => {
                tables.iter().for_each(|table| self.table(table));
                self.expr(predicate);
            }
            OperatorKind::Find { tables, predicate, .. } => {
                tables.iter().for_each(|table| self.table(table));
                predicate.iter().for_each(|predicate| self.expr(predicate));
            }
            OperatorKind::Partition { body, .. } => self.table(body),
            OperatorKind::MakeGraph { nodes, .. } => nodes.iter().for_each(|nodes| self.table(&nodes.table)),
            OperatorKind::Invoke(Expr { kind: ExprKind::Call { function, args }, .. }) => match self.definition(&function.text) {
                Some(Definition::Function(params)) => self.arguments(params, args, true),
                _ => visit::walk_args(self, args),
            },
            OperatorKind::Evaluate { call: Expr { kind: ExprKind::Call { function, args }, .. }, .. }
                if LOOKUP_PLUGINS.contains(&function.text.as_str()) =>
            {
                self.first_is_table(args);
            }
            OperatorKind::As(name) => self.define(&name.text, Definition::Other),
            _ => visit::walk_operator(self, operator),
        }
    }
}

/// The text of a first argument that is a string literal.
fn literal_name(args: &[Arg]) -> Option<&str> {
    match &args.first()?.expr.kind {
        ExprKind::Literal(Literal::String(name)) => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser::parse;

    /// The tables of a text as they are written, joined by spaces.
    fn found(text: &str) -> String {
        let parsed = parse(text);
        assert_eq!(parsed.diagnostics, [], "{text}");
        find(&parsed.script).iter().map(|table| table.written(text)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn tables_stand_wherever_an_operator_or_function_takes_one() {
        for (text, expected) in [
            ("T", "T"),
            ("(T) | where a == 1", "T"),
            ("T | join kind=leftouter (U | where a) on b", "T U"),
            ("T | join U on $left.a == $right.b | lookup (V) on c", "T U V"),
            ("union T, (U | take 1), V", "T U V"),
            ("T | union kind=outer withsource=Source U", "T U"),
            ("union withsource=S App*, T", "App* T"),
            ("find in (T, U*) where a == 'x' project b", "T U*"),
            ("search in (T, (U | where a)) 'x'", "T U"),
            ("search 'x'", ""),
            ("print toscalar(T | summarize max(a)), b = toscalar(U)", "T U"),
            ("T | where a in (U | project a) and b > toscalar(V | count)", "T U V"),
            ("materialize(T | take 1) | union materialize(U)", "T U"),
            ("T | partition by a (where b | join U on c)", "T U"),
            ("T | partition by a { U | where b }", "T U"),
            ("T | partition by a { U }", "T U"),
            ("T | mv-apply a on (where b > toscalar(U | count))", "T U"),
            ("T | fork (where a in (U | project b)) (take 1)", "T U"),
            ("T | facet by a with (union U)", "T U"),
            ("T | evaluate ipv4_lookup(Networks, ip, network)", "T Networks"),
            ("T | evaluate pivot(a, b)", "T"),
            ("T | make-graph a --> b with U on c, (V | take 1) on d | graph-to-table nodes", "T U V"),
            ("table('T') | union table(\"U\")", "T U"),
            ("range i from 1 to toscalar(T | count) step 1", "T"),
            ("datatable (a: long) [1] | join T on a", "T"),
            ("T; U | take 1", "T U"),
            ("restrict access to (T, U*); T", "T U* T"),
        ] {
            assert_eq!(found(text), expected, "{text}");
        }
    }

    #[test]
    fn names_that_the_text_binds_are_no_tables() {
        for (text, expected) in [
            ("let a = T | take 1; a | join a on b", "T"),
            ("let T = T | take 1; T", "T"),
            ("a; let a = T; a", "a T"),
            ("let unused = T; U", "T U"),
            ("let n = 5; T | take n", "T"),
            ("let f = (x: long) { T | where a == x }; f(1) | union f(2)", "T"),
            ("let f = () { let T = U; T }; f | union T", "U T"),
            ("let f = (T: (a: long)) { T | where a }; f(U) | union T", "U T"),
            ("let f = (T: (*), n: long) { T | take n }; f(n = c, T = U)", "U"),
            ("let f = (T: (*), U: (*), x: long) { T | union U }; V | invoke f(W, x)", "V W"),
            ("let v = view () { T }; union v, U", "T U"),
            ("declare query_parameters (p: string = 'x'); T | where a == p", "T"),
            ("T | partition by k (as x | where n >= toscalar(x | summarize max(n)))", "T"),
            ("T | as x | where a | join kind=inner (x) on b | union x", "T"),
            ("x | union (T | as x) | join x on a", "x T"),
            ("T | where a == b | project c, d = tolower(e), T", "T"),
        ] {
            assert_eq!(found(text), expected, "{text}");
        }
    }

    #[test]
    fn tables_of_other_places_are_as_written() {
        for (text, expected) in [
            ("database('x').T | take 1", "database('x').T"),
            ("union cluster('c').database('d').T, U", "cluster('c').database('d').T U"),
            ("union database(\"d\").App*", "database(\"d\").App*"),
            ("app('a').requests | union workspace('w').AppRequests", "app('a').requests workspace('w').AppRequests"),
            ("T | where a in (database('x').U)", "T database('x').U"),
            ("database('x').table('T')", "database('x').table('T')"),
            ("let d = database('x'); d.T | count", "d.T"),
            ("alias database d = cluster('c').database('x'); database('d').T", "database('d').T"),
            ("database('x').f(toscalar(T | count))", "T"),
            ("T | where a.b == 1 | project a.c", "T"),
        ] {
            assert_eq!(found(text), expected, "{text}");
        }
        let declared = "
            declare pattern app = (id: string)[scope: string] { ('a').['x'] = { T | where b == id }; };
            app('a').x | union app('a').x";
        assert_eq!(found(declared), "T");
    }

    #[test]
    fn places_and_names_are_given_apart() {
        let text = "['my table'] | union database('d').['other one']";
        let found = find(&parse(text).script);
        let [bare, qualified] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((bare.name.as_str(), bare.written(text), bare.qualifier), ("my table", "my table", None));
        assert_eq!((bare.span.start, bare.span.end), (0, 12));
        assert_eq!(qualified.name, "other one");
        assert_eq!(qualified.written(text), "database('d').['other one']");
        assert_eq!(qualified.qualifier, Some(Span::new(21, 34)));
    }

    #[test]
    fn what_was_read_of_a_broken_text_is_looked_at() {
        let parsed = parse("T | wher a | join (U | where) on b; V | take");
        assert!(parsed.has_errors());
        let names: Vec<String> = find(&parsed.script).into_iter().map(|table| table.name).collect();
        assert_eq!(names, ["T", "U", "V"]);
    }
}
