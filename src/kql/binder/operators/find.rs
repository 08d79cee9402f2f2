//! `search` and `find`: terms over all columns of one or all tables.

use crate::binder::expr::ExprContext;
use crate::binder::{Bind, Binder, RowInfo, Scope};
use crate::bound::*;
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::code;
use kqlake_value::{Type, Value};

use super::shape::property_text;
use super::top::missing;

impl Binder<'_> {
    pub(super) fn search(
        &mut self,
        input: Option<Rel>,
        operator: &Operator,
        tables: &[Expr],
        predicate: &Expr,
        scope: &Scope,
    ) -> Bind<Rel> {
        let case_sensitive = match operator.property("kind").map(|p| (property_text(&p.value), p.value.span)) {
            None => false,
            Some((kind, _)) if matches!(kind.as_str(), "default" | "case_insensitive") => false,
            Some((kind, _)) if kind == "case_sensitive" => true,
            Some((kind, span)) => {
                let message = format!("search is default, case_insensitive or case_sensitive, not '{kind}'");
                return self.error(code::SYNTAX, span, message);
            }
        };
        if let Some(input) = input {
            if let Some(table) = tables.first() {
                return self.error(code::SYNTAX, table.span, "`search in (tables)` begins a query; nothing stands before it");
            }
            let row = RowInfo::of(&input);
            let e = self.search_term(predicate, &row, scope, case_sensitive)?;
            let label = input.table_name.clone().unwrap_or_else(|| "search_arg0".to_owned());
            let filtered = self.filtered_in_sub_query(input, e);
            let mut columns = Vec::with_capacity(filtered.columns.len() + 1);
            // Microsoft's language service shows a second one behind another search.
            let again = filtered.columns.iter().any(|c| c.name == "$table");
            self.repeated |= again && self.checking;
            if !again || self.checking {
                let source = BoundColumn { id: self.id(), name: "$table".to_owned(), ty: Type::String };
                columns.push((source, BoundExpr::literal(Value::String(label), Type::String, operator.span)));
            }
            columns.extend(filtered.columns.iter().map(|c| (c.clone(), BoundExpr::column(c, operator.span))));
            return Ok(Self::projected(filtered, columns));
        }
        let tables = self.searched_tables(tables, scope, operator.span)?;
        let reach = self.search_scope(&tables, Some(predicate));
        if self.checking {
            // Microsoft's language service shows the columns of every table, whether it can have such rows or not.
            self.search_term(predicate, &reach.row, scope, case_sensitive)?;
            let rels = tables.into_iter().map(|rel| (rel.table_name.clone().unwrap_or_default(), rel)).collect();
            return self.union_tables(rels, false, Some("$table".to_owned()), operator.span);
        }
        let mut rels = Vec::new();
        for rel in tables {
            let label = rel.table_name.clone().unwrap_or_default();
            if let Some(filtered) = self.searched(rel, predicate, &reach, scope, case_sensitive)? {
                rels.push((label, filtered));
            }
        }
        if rels.is_empty() {
            return self.error(code::UNKNOWN, operator.span, "no table has the columns that are searched");
        }
        self.union_tables(rels, false, Some("$table".to_owned()), operator.span)
    }

    /// What a predicate over several tables sees: a column is known where at least one table has it.
    fn search_scope(&mut self, tables: &[Rel], predicate: Option<&Expr>) -> SearchScope {
        let mut row = RowInfo::default();
        for column in tables.iter().flat_map(|rel| &rel.columns) {
            match row.columns.iter_mut().find(|c| c.name == column.name) {
                Some(known) if known.ty == column.ty => {}
                Some(known) => known.ty = known.ty.widest(column.ty).unwrap_or(Type::Dynamic),
                None => row.columns.push(BoundColumn { id: self.id(), name: column.name.clone(), ty: column.ty }),
            }
        }
        row.hidden.extend(tables.iter().flat_map(|rel| rel.hidden.iter().filter(|h| !h.is_column())).cloned());
        let mut names = Vec::new();
        predicate.iter().for_each(|p| predicate_names(p, &mut names));
        names.retain(|n| row.find(n).is_some());
        let everywhere = predicate.is_none_or(searches_everywhere);
        SearchScope { row, names, everywhere }
    }

    /// The rows of one table that a predicate takes. A column that only other tables have has no value here; a table with none
    /// of the columns has no such rows.
    fn searched(
        &mut self,
        rel: Rel,
        predicate: &Expr,
        reach: &SearchScope,
        scope: &Scope,
        case_sensitive: bool,
    ) -> Bind<Option<Rel>> {
        let has = |name: &str| rel.columns.iter().any(|c| c.name == name);
        let missing_names: Vec<&BoundColumn> =
            reach.row.columns.iter().filter(|c| reach.names.contains(&c.name) && !has(&c.name)).collect();
        if missing_names.is_empty() {
            let row = RowInfo::of(&rel);
            let e = self.search_term(predicate, &row, scope, case_sensitive)?;
            return Ok(Some(self.filtered_in_sub_query(rel, e)));
        }
        if missing_names.len() == reach.names.len() && !reach.everywhere {
            return Ok(None);
        }
        let own = rel.columns.clone();
        let mut columns: Vec<(BoundColumn, BoundExpr)> =
            own.iter().map(|c| (c.clone(), BoundExpr::column(c, Span::default()))).collect();
        for column in missing_names {
            let none = BoundExpr::literal(missing(column.ty), column.ty, Span::default());
            columns.push((BoundColumn { id: self.id(), ..column.clone() }, none));
        }
        let wide = Self::projected(rel, columns);
        let row = RowInfo::of(&wide);
        let e = self.search_term(predicate, &row, scope, case_sensitive)?;
        Ok(Some(Self::renamed(self.filtered_in_sub_query(wide, e), own)))
    }

    /// The tables named, or all of the catalog.
    fn searched_tables(&mut self, tables: &[Expr], scope: &Scope, span: Span) -> Bind<Vec<Rel>> {
        let mut rels = Vec::new();
        if tables.is_empty() {
            let names = self.catalog.names();
            let mut views: Vec<String> = scope.names();
            views.retain(|n| matches!(scope.find(n), Some((crate::binder::Binding::Function(f), _)) if f.view));
            views.sort();
            views.dedup();
            for name in names {
                if self.catalog.table(&name).is_some_and(|t| t.view.is_none()) {
                    rels.push(self.catalog_table(&Name { text: name, span })?);
                }
            }
            for name in views {
                rels.push(self.table(&Expr { kind: ExprKind::Name(Name { text: name, span }), span }, scope)?);
            }
        } else {
            for table in tables {
                rels.extend(self.union_branch(table, scope, false)?);
            }
        }
        let mut number = 0;
        for rel in &mut rels {
            if rel.table_name.is_none() {
                rel.table_name = Some(format!("union_arg{number}"));
                number += 1;
            }
        }
        Ok(rels)
    }

    /// A predicate in which a bare string is a term to find anywhere.
    fn search_term(&mut self, e: &Expr, row: &RowInfo, scope: &Scope, case_sensitive: bool) -> Bind<BoundExpr> {
        match &e.kind {
            ExprKind::Literal(Literal::String(term)) => self.term_anywhere(term, row, e.span, case_sensitive, |_| true),
            ExprKind::Logical { and, terms } => {
                let terms = terms.iter().map(|t| self.search_term(t, row, scope, case_sensitive)).collect::<Bind<Vec<_>>>()?;
                Ok(BoundExpr::new(BoundKind::Logical { and: *and, terms }, Type::Bool, e.span))
            }
            ExprKind::Call { function, args } if function.text == "not" && args.len() == 1 => {
                let inner = self.search_term(&args[0].expr, row, scope, case_sensitive)?;
                Ok(BoundExpr::new(BoundKind::Not(Box::new(inner)), Type::Bool, e.span))
            }
            ExprKind::Binary { op: BinaryOp::SearchColon, left, right } => {
                let column = self.scalar(left, &mut ExprContext::new(row, scope))?;
                match &right.kind {
                    ExprKind::Literal(Literal::String(term)) if matches!(column.ty, Type::String | Type::Dynamic) => {
                        let left = self.coerce(column, Type::String)?;
                        Ok(term_in(left, term, e.span, case_sensitive))
                    }
                    _ => {
                        let right = self.scalar(right, &mut ExprContext::new(row, scope))?;
                        let mut found = self.binary(BinaryOp::SearchColon, column, right, e.span)?;
                        exact_case(&mut found, case_sensitive);
                        Ok(found)
                    }
                }
            }
            ExprKind::Literal(literal @ (Literal::Long(_) | Literal::Int(_) | Literal::Real(_) | Literal::Decimal(_))) => {
                // A bare number is a term as well, in columns of text only: the engine does not find 2.71 in a real column that way.
                let value = crate::binder::expr::literal_value(literal);
                let mut text = String::new();
                let term = kqlake_value::format::to_string(value.as_ref(&mut text));
                self.term_anywhere(&term, row, e.span, case_sensitive, |ty| matches!(ty, Type::String | Type::Dynamic))
            }
            ExprKind::Star => Ok(BoundExpr::literal(Value::Bool(true), Type::Bool, e.span)),
            _ => {
                let mut found = self.scalar(e, &mut ExprContext::new(row, scope))?;
                if let (ExprKind::Name(_), Some(Value::String(term))) = (&e.kind, found.as_literal()) {
                    let term = term.clone();
                    return self.term_anywhere(&term, row, e.span, case_sensitive, |_| true);
                }
                exact_case(&mut found, case_sensitive);
                self.condition(found, "search", true)
            }
        }
    }

    /// A term in any column of a type that is searched: in its text, as `tostring` gives it.
    fn term_anywhere(
        &mut self,
        term: &str,
        row: &RowInfo,
        span: Span,
        case_sensitive: bool,
        searched: fn(Type) -> bool,
    ) -> Bind<BoundExpr> {
        if term.is_empty() || term == "*" {
            return Ok(BoundExpr::literal(Value::Bool(true), Type::Bool, span));
        }
        let mut terms = Vec::new();
        for column in row.columns.iter().filter(|c| searched(c.ty)) {
            let text = self.coerce(BoundExpr::column(column, span), Type::String)?;
            terms.push(term_in(text, term, span, case_sensitive));
        }
        Ok(BoundExpr::new(BoundKind::Logical { and: false, terms }, Type::Bool, span))
    }

    pub(super) fn find(&mut self, operator: &Operator, input: Option<Rel>, parts: &OperatorKind, scope: &Scope) -> Bind<Rel> {
        let OperatorKind::Find { tables, predicate, project, project_away, .. } = parts else {
            return self.unsupported(operator.keyword, "find");
        };
        if let Some(input) = input {
            let row = RowInfo::of(&input);
            return match predicate {
                Some(predicate) => {
                    let e = self.search_term(predicate, &row, scope, false)?;
                    Ok(self.filtered_in_sub_query(input, e))
                }
                None => Ok(input),
            };
        }
        let source = operator.property("withsource").map_or("source_".to_owned(), |p| property_text(&p.value));
        let tables = self.searched_tables(tables, scope, operator.span)?;
        let reach = self.search_scope(&tables, predicate.as_deref());
        if let (true, Some(predicate)) = (self.checking, predicate) {
            self.search_term(predicate, &reach.row, scope, false)?;
        }
        let mut rels = Vec::new();
        for rel in tables {
            let label = rel.table_name.clone().unwrap_or_default();
            let sought = reach.everywhere || rel.columns.iter().any(|c| reach.names.contains(&c.name)) || Self::is_open(&rel);
            match predicate {
                Some(_) if self.checking && sought => rels.push((label, rel)),
                Some(_) if self.checking => {}
                Some(predicate) => {
                    let found = self.searched(rel, predicate, &reach, scope, false)?;
                    rels.extend(found.map(|rel| (label, rel)));
                }
                None => rels.push((label, rel)),
            }
        }
        if rels.is_empty() {
            return self.error(code::UNKNOWN, operator.span, "no table has the columns that are searched");
        }
        for item in project {
            if let FindColumn::Column { name, .. } = item
                && reach.row.find(&name.text).is_none()
                && (self.checking || self.infer(name, &reach.row.hidden).is_none())
                && !(self.checking && reach.row.is_open())
            {
                let candidates = reach.row.columns.iter().map(|c| c.name.clone()).collect();
                return self.unknown("column", name, candidates);
            }
        }
        if project.is_empty() {
            return self.find_smart(rels, source, &reach, project_away, operator.span);
        }
        let mut prepared = Vec::with_capacity(rels.len());
        for (label, rel) in rels {
            let mut columns: Vec<(BoundColumn, BoundExpr)> = Vec::new();
            let mut packed = false;
            for item in project {
                match item {
                    FindColumn::Pack => packed = true,
                    FindColumn::Column { name, ty } => {
                        let found = rel.columns.iter().find(|c| c.name == name.text).cloned();
                        let (e, column_ty) = match (found, ty) {
                            (Some(c), Some(ty)) if c.ty != *ty => (self.coerce(BoundExpr::column(&c, name.span), *ty)?, *ty),
                            (Some(c), _) => (BoundExpr::column(&c, name.span), c.ty),
                            (None, ty) => {
                                let known = reach.row.find(&name.text).map_or(Type::Dynamic, |c| c.ty);
                                let ty = ty.unwrap_or(known);
                                (BoundExpr::literal(missing(ty), ty, name.span), ty)
                            }
                        };
                        columns.push((BoundColumn { id: self.id(), name: name.text.clone(), ty: column_ty }, e));
                    }
                }
            }
            if packed {
                let rest: Vec<BoundColumn> =
                    rel.columns.iter().filter(|c| !columns.iter().any(|(p, _)| p.name == c.name)).cloned().collect();
                let e = self.pack(&rest, false, operator.span)?;
                columns.push((BoundColumn { id: self.id(), name: "pack_".to_owned(), ty: Type::Dynamic }, e));
            }
            prepared.push((label, self.all_found(Self::projected(rel, columns))));
        }
        self.union_tables(prepared, false, Some(source), operator.span)
    }

    /// A table whose rest is in a bag, or left out. To Microsoft's language service there may be more.
    fn all_found(&self, rel: Rel) -> Rel {
        if self.checking { rel } else { Self::closed(rel) }
    }

    /// `find` without a projection: columns that all tables share or the predicate names, and the rest in a bag.
    fn find_smart(
        &mut self,
        rels: Vec<(String, Rel)>,
        source: String,
        reach: &SearchScope,
        away: &[Expr],
        span: Span,
    ) -> Bind<Rel> {
        let Some((_, first)) = rels.first() else { return self.error(code::UNKNOWN, span, "there is no table") };
        // A column that all tables have is shared; where its types differ, only the language service counts it.
        let mut kept: Vec<(String, Type)> = Vec::new();
        for column in &first.columns {
            let mut types = rels.iter().map(|(_, r)| r.columns.iter().find(|c| c.name == column.name).map(|c| c.ty));
            let shared = types.clone().all(|ty| ty == Some(column.ty));
            let common = types.try_fold(column.ty, |all, ty| ty.map(|ty| all.widest(ty).unwrap_or(Type::Dynamic)));
            match common {
                Some(ty) if shared || self.checking => kept.push((column.name.clone(), ty)),
                _ => {}
            }
        }
        for name in &reach.names {
            if kept.iter().any(|(k, _)| k == name) {
                continue;
            }
            if let Some(column) = reach.row.find(name) {
                kept.push((name.clone(), column.ty));
            }
        }
        // The language service knows a bag only where something is left for it.
        let packs =
            !self.checking || rels.iter().any(|(_, r)| r.columns.iter().any(|c| !kept.iter().any(|(name, _)| *name == c.name)));
        let dropped: Vec<String> = away
            .iter()
            .filter_map(|e| match &e.kind {
                ExprKind::Name(n) | ExprKind::Wildcard(n) => Some(n.text.clone()),
                ExprKind::Star => Some("*".to_owned()),
                _ => None,
            })
            .collect();
        let packs = packs && !dropped.iter().any(|d| d == "*");
        kept.retain(|(name, _)| !dropped.iter().any(|d| crate::binder::names::wildcard_match(d, name)));
        let mut prepared = Vec::with_capacity(rels.len());
        for (label, rel) in rels {
            let mut columns: Vec<(BoundColumn, BoundExpr)> = Vec::new();
            for (name, ty) in &kept {
                let e = match rel.columns.iter().find(|c| c.name == *name && c.ty == *ty) {
                    Some(c) => BoundExpr::column(c, span),
                    None => BoundExpr::literal(missing(*ty), *ty, span),
                };
                columns.push((BoundColumn { id: self.id(), name: name.clone(), ty: *ty }, e));
            }
            let rest: Vec<BoundColumn> = rel
                .columns
                .iter()
                .filter(|c| {
                    !kept.iter().any(|(k, _)| *k == c.name)
                        && !dropped.iter().any(|d| crate::binder::names::wildcard_match(d, &c.name))
                })
                .cloned()
                .collect();
            let e = if rest.is_empty() {
                BoundExpr::literal(Value::Dynamic(serde_json::json!({})), Type::Dynamic, span)
            } else {
                self.pack(&rest, true, span)?
            };
            if packs {
                columns.push((BoundColumn { id: self.id(), name: "pack_".to_owned(), ty: Type::Dynamic }, e));
            }
            prepared.push((label, self.all_found(Self::projected(rel, columns))));
        }
        self.union_tables(prepared, false, Some(source), span)
    }
}

/// What a predicate over several tables sees.
struct SearchScope {
    /// The columns of all tables by name; one of several types has the widest, or is dynamic.
    row: RowInfo,
    /// Those of them that the predicate names, in order.
    names: Vec<String>,
    /// The predicate searches for terms in all columns too.
    everywhere: bool,
}

/// A search term in one text: `*` at its ends widens a term to a prefix, a suffix or any part, inside it stands for anything.
fn term_in(text: BoundExpr, term: &str, span: Span, case_sensitive: bool) -> BoundExpr {
    let (front, back) = (term.starts_with('*'), term.len() > 1 && term.ends_with('*'));
    let core = term.trim_matches('*');
    if core.contains('*') {
        let parts: Vec<String> = core.split('*').map(regex::escape).collect();
        let flags = if case_sensitive { "(?s)" } else { "(?is)" };
        let pattern = format!("{flags}{}{}{}", if front { "" } else { r"\b" }, parts.join(".*"), if back { "" } else { r"\b" });
        let pattern = BoundExpr::literal(Value::String(pattern), Type::String, span);
        return BoundExpr::new(BoundKind::Regex { left: Box::new(text), pattern: Box::new(pattern) }, Type::Bool, span);
    }
    let op = match (front, back) {
        (false, false) => TextOp::Has,
        (false, true) => TextOp::HasPrefix,
        (true, false) => TextOp::HasSuffix,
        (true, true) => TextOp::Contains,
    };
    let needle = BoundExpr::literal(Value::String(core.to_owned()), Type::String, span);
    let kind = BoundKind::Text { op, all: false, negated: false, case_sensitive, left: Box::new(text), needles: vec![needle] };
    BoundExpr::new(kind, Type::Bool, span)
}

/// `search kind=case_sensitive` makes all searches in its predicate exact in case.
fn exact_case(e: &mut BoundExpr, case_sensitive: bool) {
    if !case_sensitive {
        return;
    }
    if let BoundKind::Text { case_sensitive, .. } = &mut e.kind {
        *case_sensitive = true;
    }
    e.for_each_part_mut(&mut |part| exact_case(part, true));
}

/// The names that a predicate reads.
fn predicate_names(e: &Expr, names: &mut Vec<String>) {
    match &e.kind {
        ExprKind::Name(name) if !names.contains(&name.text) => names.push(name.text.clone()),
        ExprKind::Binary { left, right, .. } => {
            predicate_names(left, names);
            predicate_names(right, names);
        }
        ExprKind::Logical { terms, .. } => terms.iter().for_each(|t| predicate_names(t, names)),
        ExprKind::List { left, .. } => predicate_names(left, names),
        ExprKind::Between { expr, .. } | ExprKind::Unary { expr, .. } => predicate_names(expr, names),
        ExprKind::Call { args, .. } => args.iter().for_each(|a| predicate_names(&a.expr, names)),
        ExprKind::Path { base, .. } | ExprKind::Index { base, .. } => predicate_names(base, names),
        _ => {}
    }
}

/// True for a predicate with a term that may appear in any column.
fn searches_everywhere(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Literal(_) | ExprKind::Star => true,
        ExprKind::Binary { left, .. } => matches!(left.kind, ExprKind::Star),
        ExprKind::Logical { terms, .. } => terms.iter().any(searches_everywhere),
        ExprKind::Call { function, args } if function.text == "not" => args.iter().any(|a| searches_everywhere(&a.expr)),
        _ => false,
    }
}
