//! Tabular expressions: tables, views, functions, sub-queries.

use std::rc::Rc;

use super::scope::Function;
use super::{Bind, Binder, Binding, RowInfo, Scope};
use crate::bound::*;
use crate::catalog::{Answers, PromotedColumn};
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::{Diagnostic, Severity, code};
use kqlake_value::{Type, Value};

/// Operators that one pipe may have. Planning takes time in the square of it.
const MAX_PIPE: usize = 500;

/// Functions whose call is a tabular expression.
const TABLE_CALLS: [&str; 8] = ["table", "materialize", "database", "cluster", "workspace", "app", "adx", "arg"];

impl Binder<'_> {
    /// True if the expression gives a table, tabular_functions without binding it.
    pub(super) fn is_tabular(&self, expr: &Expr, scope: &Scope, row: &RowInfo) -> bool {
        match &expr.kind {
            ExprKind::Pipe { .. } | ExprKind::Source(_) | ExprKind::MethodCall { .. } | ExprKind::Wildcard(_) => true,
            ExprKind::Name(name) => match scope.find(&name.text) {
                Some((binding, local)) => {
                    let hidden = !local && row.find(&name.text).is_some();
                    !hidden && self.binding_is_tabular(&binding)
                }
                None => {
                    row.find(&name.text).is_none() && (self.catalog.table(&name.text).is_some() || Self::is_watchlist(&name.text))
                }
            },
            ExprKind::Call { function, args } => match scope.find(&function.text) {
                Some((Binding::Function(f), _)) => self.function_is_tabular(&f),
                Some((Binding::Pattern(_), _)) => true,
                _ if function.text == "materialize" => args.first().is_some_and(|a| self.is_tabular(&a.expr, scope, row)),
                _ => TABLE_CALLS.contains(&function.text.as_str()) || Self::is_service(&function.text),
            },
            ExprKind::Path { base, .. } if self.pattern_of(base, scope).is_some() => true,
            ExprKind::Path { base, .. } => {
                matches!(&base.kind, ExprKind::Call { function, .. } if TABLE_CALLS.contains(&function.text.as_str()))
                    || matches!(&base.kind, ExprKind::MethodCall { .. })
            }
            ExprKind::Lambda { params, body, .. } => params.is_empty() && self.body_is_tabular(body, scope),
            _ => false,
        }
    }

    fn binding_is_tabular(&self, binding: &Binding) -> bool {
        match binding {
            Binding::Table(..) | Binding::Bound(_) | Binding::Database => true,
            Binding::Function(f) => self.function_is_tabular(f),
            Binding::Scalar(_) | Binding::Macro(..) | Binding::Pattern(_) => false,
        }
    }

    /// True if a function's body gives a table. Each function is tabular_functions once, however often others use it; one that uses itself
    /// is refused when it is bound.
    pub(super) fn function_is_tabular(&self, function: &Rc<Function>) -> bool {
        let key = Rc::as_ptr(function);
        if let Some((_, known)) = self.tabular_functions.borrow().get(&key) {
            return *known;
        }
        let outermost = self.tabular_functions.borrow().is_empty();
        self.tabular_functions.borrow_mut().insert(key, (Rc::clone(function), false));
        let tabular = self.is_tabular_function(function);
        if outermost {
            // A name that is defined later may change the result.
            self.tabular_functions.take();
        } else {
            self.tabular_functions.borrow_mut().insert(key, (Rc::clone(function), tabular));
        }
        tabular
    }

    fn is_tabular_function(&self, function: &Function) -> bool {
        let scope = function.scope.nested(true);
        for param in &function.params {
            let binding = match &param.ty {
                ParamType::Scalar(ty) => Binding::Scalar(BoundExpr::new(BoundKind::Unknown, *ty, param.name.span)),
                ParamType::Table { .. } => Binding::Bound(Rc::new(empty_rel())),
            };
            scope.define(&param.name.text, binding);
        }
        self.body_is_tabular(&function.body, &scope)
    }

    fn body_is_tabular(&self, body: &Script, scope: &Scope) -> bool {
        let scope = scope.nested(true);
        let row = RowInfo::default();
        let mut tabular = false;
        for statement in &body.statements {
            match &statement.kind {
                StatementKind::Let { name, value } => {
                    let binding = match &value.kind {
                        ExprKind::Lambda { params, body, view } if !(params.is_empty() && *view) => {
                            Binding::Function(Rc::new(Function {
                                params: params.clone(),
                                body: Rc::new((**body).clone()),
                                scope: scope.clone(),
                                view: *view,
                            }))
                        }
                        _ if self.is_tabular(value, &scope, &row) => Binding::Bound(Rc::new(empty_rel())),
                        _ => Binding::Scalar(BoundExpr::new(BoundKind::Unknown, Type::Dynamic, value.span)),
                    };
                    scope.define(&name.text, binding);
                }
                StatementKind::Query(value) => tabular = self.is_tabular(value, &scope, &row),
                _ => {}
            }
        }
        tabular
    }

    /// Binds a tabular expression.
    pub(super) fn table(&mut self, expr: &Expr, scope: &Scope) -> Bind<Rel> {
        let span = expr.span;
        match &expr.kind {
            ExprKind::Pipe { source, operators } => {
                // Filters in a row become one and do not count.
                let mut counted = operators.iter().filter(|o| !matches!(o.kind, OperatorKind::Where(_)));
                if let Some(first_too_many) = counted.nth(MAX_PIPE) {
                    let message = format!("more than {MAX_PIPE} operators in a row");
                    return self.error(code::LIMIT, first_too_many.keyword, message);
                }
                let mut rel = self.table(source, scope)?;
                for (i, operator) in operators.iter().enumerate() {
                    rel = self.operator(Some(rel), operator, scope, i + 1 == operators.len())?;
                }
                Ok(rel)
            }
            ExprKind::Source(operator) => self.operator(None, operator, scope, true),
            ExprKind::Name(name) => self.table_name(name, scope),
            ExprKind::Call { function, args } => self.table_call(function, args, scope, span),
            ExprKind::MethodCall { base, function, args } => self.method_call(base, function, args, scope, span),
            ExprKind::Path { base, field } => match self.pattern_of(base, scope) {
                Some((pattern, args)) => self.pattern_table(&pattern, args, Some(field), scope, base.span),
                None => self.qualified(base, field, scope, span),
            },
            ExprKind::Wildcard(name) => {
                self.error(code::SYNTAX, name.span, "a table name with '*' can only stand in union, search or find")
            }
            ExprKind::Lambda { params, body, .. } if params.is_empty() => {
                let inner = scope.nested(true);
                let body = Rc::new((**body).clone());
                match self.body_statements(&body, &inner)? {
                    Some(last) => self.table(last, &inner),
                    None => self.error(code::TYPE, span, "the body has no query"),
                }
            }
            ExprKind::Named { expr, .. } => self.table(expr, scope),
            ExprKind::Error => Err(super::BindError::Reported),
            _ => {
                let row = RowInfo::default();
                let mut ctx = super::expr::ExprContext::new(&row, scope);
                // A scalar where a table must be: bind it for its own errors first.
                let e = self.scalar(expr, &mut ctx)?;
                self.report(
                    Diagnostic::error(code::TYPE, span, format!("a tabular expression is expected here, not a {}", e.ty))
                        .suggest("to show a value, write: print …"),
                )
            }
        }
    }

    /// A table, view, `let` or function by name.
    fn table_name(&mut self, name: &Name, scope: &Scope) -> Bind<Rel> {
        if let Some((binding, _)) = scope.find(&name.text) {
            return match binding {
                Binding::Table(expr, inner, start) => {
                    let mut rel = self.with_depth(name.span, |b| b.counting_from(start, |b| b.table(&expr, &inner)))?;
                    rel.table_name = None;
                    Ok(rel)
                }
                Binding::Bound(rel) => Ok(self.with_fresh_ids((*rel).clone())),
                Binding::Function(function) => self.table_function(&function, name, &[], None, scope),
                Binding::Scalar(e) => {
                    self.error(code::TYPE, name.span, format!("'{}' is a {}; a table is expected here", name.text, e.ty))
                }
                Binding::Macro(..) | Binding::Database | Binding::Pattern(_) => {
                    self.error(code::TYPE, name.span, format!("'{}' is no table", name.text))
                }
            };
        }
        if self.catalog.table(&name.text).is_none()
            && Self::is_watchlist(&name.text)
            && let Some(table) = self.service(name, &[], None, scope)
        {
            return table;
        }
        self.catalog_table(name)
    }

    /// Puts the first of the errors about a view's text, whose places are in that text, where the view is named.
    fn name_view(&mut self, name: &Name, before: usize) {
        let is_error = |found: &Diagnostic| found.severity == Severity::Error && found.code != code::LIMIT;
        let Some(first) = self.diagnostics[before..].iter().find(|found| is_error(found)).cloned() else { return };
        let others = self.diagnostics.split_off(before).into_iter().filter(|found| !is_error(found)).collect::<Vec<_>>();
        self.diagnostics.extend(others);
        let message = format!("the view '{}' cannot be made of its table here: {}", name.text, first.message);
        let advice = "give the table that stands in the place of the lake's the columns that this one has, or another name";
        self.diagnostics.push(Diagnostic::error(first.code, name.span, message).suggest(advice));
    }

    /// A table or view of the catalog.
    pub(super) fn catalog_table(&mut self, name: &Name) -> Bind<Rel> {
        let Some(schema) = self.catalog.table(&name.text) else {
            if self.fuzzy {
                self.warn(name.span, format!("left out of the fuzzy union: unknown table '{}'", name.text));
                return Ok(self.unknown_table());
            }
            let mut candidates = self.catalog.names();
            let folded = name.text.to_lowercase();
            if let Some(exact) = candidates.iter().find(|c| c.to_lowercase() == folded).cloned() {
                return self.report(
                    Diagnostic::error(
                        code::UNKNOWN,
                        name.span,
                        format!("unknown table '{}': names are case-sensitive", name.text),
                    )
                    .suggest(format!("did you mean '{exact}'?")),
                );
            }
            candidates.sort();
            return self.unknown("table", name, candidates);
        };
        if let Some(view) = &schema.view {
            let parsed = kqlake_syntax::parser::parse(view);
            let text = view.clone();
            if let Some(first) = parsed.diagnostics.into_iter().next() {
                return self.error(
                    code::SYNTAX,
                    name.span,
                    format!("the view '{}' cannot be read: {} in {text}", name.text, first.message),
                );
            }
            let root = Scope::root();
            let before = self.diagnostics.len();
            let bound = self.with_depth(name.span, |b| {
                let tables = b.bind_script(&parsed.script, &root)?;
                match tables.into_iter().next() {
                    Some((_, rel)) => Ok(rel),
                    None => b.error(code::SYNTAX, name.span, "the view has no query"),
                }
            });
            self.name_view(name, before);
            let mut rel = bound?;
            rel.table_name = Some(name.text.clone());
            return Ok(rel);
        }
        self.scanned.insert(name.text.clone());
        self.lacks_rows = true;
        let mut columns = Vec::with_capacity(schema.columns.len());
        let mut scan = Vec::with_capacity(schema.columns.len());
        for column in &schema.columns {
            let id = self.id();
            columns.push(BoundColumn { id, name: column.name.clone(), ty: column.ty });
            scan.push((id, column.name.clone(), column.ty));
        }
        let (mut hidden, mut promoted) = (Vec::new(), Vec::new());
        for p in &schema.promoted {
            if !self.path_keys.contains(&p.key) {
                continue;
            }
            let Some(parent) = columns.iter().find(|c| c.name == p.source).map(|c| c.id) else { continue };
            let id = self.id();
            // Of a column that answers in some files a scan makes one that answers in all: of JSON, as the bag has it.
            let answers = (self.complete)(&name.text, &p.column);
            let ty = if answers == Answers::Somewhere { Type::Dynamic } else { p.ty };
            let role = HiddenRole::Promoted { parent, key: p.key.clone(), complete: answers != Answers::Nowhere };
            hidden.push(HiddenColumn { id, ty, role });
            promoted.push((id, PromotedColumn { ty, ..p.clone() }));
        }
        Ok(Rel {
            kind: RelKind::Scan { table: name.text.clone(), columns: scan, promoted },
            columns,
            hidden,
            serialized: false,
            table_name: Some(name.text.clone()),
        })
    }

    /// The same rows under fresh ids, so that a tree can be used twice.
    pub(super) fn with_fresh_ids(&mut self, rel: Rel) -> Rel {
        // A graph shows no columns.
        if matches!(rel.kind, RelKind::Graph(_)) {
            return rel;
        }
        let columns: Vec<(BoundColumn, BoundExpr)> = rel
            .columns
            .iter()
            .map(|c| {
                let mut new = c.clone();
                new.id = self.id();
                self.untyped.pass_on(c.id, new.id);
                if self.unlisted.contains(&c.id) {
                    self.unlisted.insert(new.id);
                }
                (new, BoundExpr::column(c, Span::default()))
            })
            .collect();
        // Promoted columns follow their bag under its new id.
        let mut hidden = Vec::new();
        let mut exprs: Vec<(ColId, BoundExpr)> = columns.iter().map(|(c, e)| (c.id, e.clone())).collect();
        for h in &rel.hidden {
            let HiddenRole::Promoted { parent, key, complete } = &h.role else {
                if h.is_column() {
                    exprs.push((h.id, BoundExpr::new(BoundKind::Column(h.id), h.ty, Span::default())));
                }
                hidden.push(h.clone());
                continue;
            };
            let Some(at) = rel.columns.iter().position(|c| c.id == *parent) else { continue };
            let id = self.id();
            exprs.push((id, BoundExpr::new(BoundKind::Column(h.id), h.ty, Span::default())));
            hidden.push(HiddenColumn {
                id,
                ty: h.ty,
                role: HiddenRole::Promoted { parent: columns[at].0.id, key: key.clone(), complete: *complete },
            });
        }
        let (serialized, table_name) = (rel.serialized, rel.table_name.clone());
        Rel {
            columns: columns.into_iter().map(|(c, _)| c).collect(),
            hidden,
            serialized,
            table_name,
            kind: RelKind::Project { input: Box::new(rel), exprs },
        }
    }

    /// `f(args)` as a table.
    fn table_call(&mut self, function: &Name, args: &[Arg], scope: &Scope, span: Span) -> Bind<Rel> {
        if let Some((Binding::Function(f), _)) = scope.find(&function.text) {
            return self.table_function(&f, function, args, None, scope);
        }
        if let Some((Binding::Pattern(pattern), _)) = scope.find(&function.text) {
            return self.pattern_table(&pattern, args, None, scope, span);
        }
        match function.text.as_str() {
            "materialize" if args.len() == 1 => {
                if let Some(at) = self.materialized.iter().position(|(at, of, _)| *at == span && of.is(scope)) {
                    let rel = self.materialized[at].2.clone();
                    return Ok(self.with_fresh_ids(rel));
                }
                let before = std::mem::replace(&mut self.differs, false);
                let rel = self.table(&args[0].expr, scope);
                let differs = std::mem::replace(&mut self.differs, before);
                let rel = rel?;
                if !differs {
                    return Ok(rel);
                }
                let rel = self.materialized(rel)?;
                if matches!(rel.kind, RelKind::Rows(_)) {
                    self.materialized.push((span, scope.clone(), rel.clone()));
                }
                Ok(rel)
            }
            "table" if !args.is_empty() => {
                let row = RowInfo::default();
                let e = self.scalar(&args[0].expr, &mut super::expr::ExprContext::new(&row, scope))?;
                let at = args[0].expr.span;
                match self.constant(&e, "the table's name")? {
                    Some(Value::String(name)) => self.table_name(&Name { text: name, span: at }, scope),
                    _ => self.error(code::TYPE, at, "the table's name must be a constant string"),
                }
            }
            "toscalar" => self.error(code::TYPE, span, "toscalar gives a scalar; a table is expected here"),
            "database" | "cluster" | "workspace" | "app" | "adx" | "arg" => {
                self.error(code::TYPE, span, format!("{}(…) names no table; add .TableName", function.text))
            }
            _ => {
                if let Some(table) = self.service(function, args, None, scope) {
                    return table;
                }
                let mut candidates = scope.names();
                candidates.extend(["table", "materialize", "range", "print", "datatable"].map(str::to_owned));
                let known = crate::functions::Registry::get().scalar(&function.text);
                if let Some(why) = known.and_then(|f| f.refusal()) {
                    let message = format!("{}(…) is not supported: {why}", function.text);
                    return self.error(code::UNSUPPORTED, function.span, message);
                }
                if known.is_some() {
                    return self.report(
                        Diagnostic::error(
                            code::TYPE,
                            span,
                            format!("{} gives a scalar; a table is expected here", function.text),
                        )
                        .suggest("to show a value, write: print …"),
                    );
                }
                self.unknown("tabular function", function, candidates)
            }
        }
    }

    /// A user-defined function as a table.
    pub(super) fn table_function(
        &mut self,
        function: &Rc<Function>,
        name: &Name,
        args: &[Arg],
        leading: Option<Rc<Rel>>,
        scope: &Scope,
    ) -> Bind<Rel> {
        let row = RowInfo::default();
        let mut ctx = super::expr::ExprContext::new(&row, scope);
        // Without arguments it gives the same table at each call.
        let place = (!args.is_empty() || leading.is_some()).then_some(name.span);
        let leading: Vec<Rc<Rel>> = leading.into_iter().collect();
        let (inner, unlisted) = self.function_scope(function, name, args, Some(&mut ctx), &leading)?;
        let function = function.clone();
        let body = |b: &mut Self| match b.body_statements(&function.body, &inner)? {
            Some(last) => {
                let mut rel = b.table(last, &inner)?;
                // A view has its own name where rows name their table.
                rel.table_name = function.view.then(|| name.text.clone());
                Ok(rel)
            }
            None => b.error(code::TYPE, name.span, format!("the function '{}' has no result", name.text)),
        };
        self.with_depth(name.span, |b| b.called(place, unlisted, |b| b.counting_from(0, body)))
    }

    /// `database('x').T`, `cluster('c').database('d').T`: the lake is the only database; others are refused, never guessed.
    fn qualified(&mut self, base: &Expr, field: &Name, scope: &Scope, span: Span) -> Bind<Rel> {
        if self.check_namespace(base, scope, span)? { self.catalog_table(field) } else { Ok(self.unknown_table()) }
    }

    fn method_call(&mut self, base: &Expr, function: &Name, args: &[Arg], scope: &Scope, span: Span) -> Bind<Rel> {
        match function.text.as_str() {
            "table" if args.len() == 1 => {
                if !self.check_namespace(base, scope, span)? {
                    return Ok(self.unknown_table());
                }
                self.table_call(function, args, &Scope::root(), span)
            }
            // A function of another database may give any table.
            _ if self.checking && !matches!(function.text.as_str(), "database" | "cluster") => {
                let row = RowInfo::default();
                for arg in args {
                    self.scalar(&arg.expr, &mut super::expr::ExprContext::new(&row, scope))?;
                }
                self.check_namespace(base, scope, span)?;
                let message = format!("'.{}(…)' here is not supported", function.text);
                self.not_run(Diagnostic::error(code::UNSUPPORTED, function.span, message))?;
                Ok(self.unknown_table())
            }
            _ => self.unsupported(function.span, &format!("'.{}(…)' here", function.text)),
        }
    }

    /// Checks that a chain of `cluster(…)`, `database(…)`, `workspace(…)` names what the catalog maps to this lake. False for
    /// another cluster's database, of which nothing is known, where nothing is to be run.
    fn check_namespace(&mut self, base: &Expr, scope: &Scope, span: Span) -> Bind<bool> {
        let mut names = Vec::new();
        let mut at = base;
        loop {
            match &at.kind {
                ExprKind::Call { function, args } => {
                    names.push((function.text.clone(), self.namespace_name(args, scope)?));
                    break;
                }
                ExprKind::MethodCall { base, function, args } => {
                    names.push((function.text.clone(), self.namespace_name(args, scope)?));
                    at = base;
                }
                ExprKind::Name(name) if matches!(scope.find(&name.text), Some((Binding::Database, _))) => return Ok(true),
                _ => return self.error(code::SYNTAX, span, "a table is expected here"),
            }
        }
        let elsewhere = names.len() > 1 && names.iter().any(|(kind, _)| kind == "cluster");
        for (kind, name) in &names {
            if !self.catalog.maps(kind, name) {
                let diagnostic = Diagnostic::error(code::UNKNOWN, span, format!("{kind}('{name}') is not mapped to this lake"))
                    .suggest(format!(
                        "write {kind} = [\"{name}\"] below [same_lake] in the configuration, or leave it out to read the lake's own table"
                    ));
                if !elsewhere {
                    return self.report(diagnostic);
                }
                self.not_run(diagnostic)?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn namespace_name(&mut self, args: &[Arg], scope: &Scope) -> Bind<String> {
        let Some(arg) = args.first() else { return Ok(String::new()) };
        let row = RowInfo::default();
        let e = self.scalar(&arg.expr, &mut super::expr::ExprContext::new(&row, scope))?;
        Ok(match self.constant(&e, "the name")? {
            Some(Value::String(name)) => name,
            _ => String::new(),
        })
    }
}

/// A table without columns, where only its being a table counts.
pub(super) fn empty_rel() -> Rel {
    Rel { kind: RelKind::Values(Vec::new()), columns: Vec::new(), hidden: Vec::new(), serialized: false, table_name: None }
}
