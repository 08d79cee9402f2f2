//! `search` and `find`: terms over all columns of one or all tables.

use crate::kql::ast::*;
use crate::kql::binder::expr::Ctx;
use crate::kql::binder::{Bind, Binder, RowInfo, Scope, Stop};
use crate::kql::bound::*;
use crate::kql::diagnostics::code;
use crate::kql::types::Type;
use crate::kql::value::Value;

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
        let case_sensitive = operator.property("kind").is_some_and(|p| property_text(&p.value) == "case_sensitive");
        if let Some(input) = input {
            let row = RowInfo::of(&input);
            let e = self.search_term(predicate, &row, scope, case_sensitive)?;
            let label = input.table_name.clone().unwrap_or_else(|| "search_arg0".to_owned());
            let filtered = Self::filtered(input, e);
            let mut columns = Vec::with_capacity(filtered.columns.len() + 1);
            if filtered.columns.iter().all(|c| c.name != "$table") {
                let source = BoundColumn { id: self.id(), name: "$table".to_owned(), ty: Type::String };
                columns.push((source, BoundExpr::literal(Value::String(label), Type::String, operator.span)));
            }
            columns.extend(filtered.columns.iter().map(|c| (c.clone(), BoundExpr::column(c, operator.span))));
            return Ok(Self::projected(filtered, columns));
        }
        let mut rels = Vec::new();
        let mut found = false;
        for rel in self.searched_tables(tables, scope, operator.span)? {
            let row = RowInfo::of(&rel);
            // A table without a column that the predicate names has no such rows.
            let before = self.diagnostics.len();
            let predicate = match self.search_term(predicate, &row, scope, case_sensitive) {
                Ok(e) => {
                    found = true;
                    e
                }
                Err(Stop::Reported) if self.diagnostics[before..].iter().all(|d| d.code == code::UNKNOWN) => {
                    self.diagnostics.truncate(before);
                    // Microsoft's binder counts its columns among the result's all the same.
                    if !self.checking {
                        continue;
                    }
                    BoundExpr::literal(Value::Bool(false), Type::Bool, operator.span)
                }
                Err(stop) => return Err(stop),
            };
            rels.push((rel.table_name.clone().unwrap_or_default(), Self::filtered(rel, predicate)));
        }
        if !found {
            return self.error(code::UNKNOWN, operator.span, "no table has the columns that are searched");
        }
        self.unite(rels, false, Some("$table".to_owned()), operator.span)
    }

    /// The tables named, or all of the catalog.
    fn searched_tables(&mut self, tables: &[Expr], scope: &Scope, span: Span) -> Bind<Vec<Rel>> {
        let mut rels = Vec::new();
        if tables.is_empty() {
            let names = self.catalog.names();
            let mut views: Vec<String> = scope.names();
            views.retain(|n| matches!(scope.find(n), Some((crate::kql::binder::Binding::Function(f), _)) if f.view));
            views.sort();
            views.dedup();
            for name in views {
                rels.push(self.table(&Expr { kind: ExprKind::Name(Name { text: name, span }), span }, scope)?);
            }
            for name in names {
                if self.catalog.table(&name).is_some_and(|t| t.view.is_none()) {
                    rels.push(self.catalog_table(&Name { text: name, span })?);
                }
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
            ExprKind::Literal(Literal::String(term)) => self.term_anywhere(term, row, e.span, case_sensitive),
            ExprKind::Logical { and, terms } => {
                let terms = terms.iter().map(|t| self.search_term(t, row, scope, case_sensitive)).collect::<Bind<Vec<_>>>()?;
                Ok(BoundExpr::new(BoundKind::Logical { and: *and, terms }, Type::Bool, e.span))
            }
            ExprKind::Call { function, args } if function.text == "not" && args.len() == 1 => {
                let inner = self.search_term(&args[0].expr, row, scope, case_sensitive)?;
                Ok(BoundExpr::new(BoundKind::Not(Box::new(inner)), Type::Bool, e.span))
            }
            ExprKind::Binary { op: BinaryOp::SearchColon, left, right } => {
                let column = self.scalar(left, &mut Ctx::new(row, scope))?;
                match &right.kind {
                    ExprKind::Literal(Literal::String(term)) if matches!(column.ty, Type::String | Type::Dynamic) => {
                        let left = self.coerce(column, Type::String)?;
                        Ok(term_in(left, term, e.span, case_sensitive))
                    }
                    _ => {
                        let right = self.scalar(right, &mut Ctx::new(row, scope))?;
                        self.equality(BinaryOp::Equal, column, right, e.span)
                    }
                }
            }
            ExprKind::Literal(literal @ (Literal::Long(_) | Literal::Int(_) | Literal::Real(_) | Literal::Decimal(_))) => {
                // A bare number is a term as well.
                let value = crate::kql::binder::expr::literal_value(literal);
                let mut text = String::new();
                let term = crate::kql::format::to_string(value.as_ref(&mut text));
                self.term_anywhere(&term, row, e.span, case_sensitive)
            }
            ExprKind::Star => Ok(BoundExpr::literal(Value::Bool(true), Type::Bool, e.span)),
            _ => {
                let e = self.scalar(e, &mut Ctx::new(row, scope))?;
                if e.ty == Type::String
                    && let Some(Value::String(term)) = e.as_literal()
                {
                    let term = term.clone();
                    return self.term_anywhere(&term, row, e.span, case_sensitive);
                }
                self.condition(e, "search", true)
            }
        }
    }

    /// A term in any column of text.
    fn term_anywhere(&mut self, term: &str, row: &RowInfo, span: Span, case_sensitive: bool) -> Bind<BoundExpr> {
        if term.is_empty() || term == "*" {
            return Ok(BoundExpr::literal(Value::Bool(true), Type::Bool, span));
        }
        let mut terms = Vec::new();
        for column in row.columns.clone() {
            if !matches!(column.ty, Type::String | Type::Dynamic) {
                continue;
            }
            let text = self.coerce(BoundExpr::column(&column, span), Type::String)?;
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
                    Ok(Self::filtered(input, e))
                }
                None => Ok(input),
            };
        }
        let source = operator.property("withsource").map_or("source_".to_owned(), |p| property_text(&p.value));
        let mut rels = Vec::new();
        for rel in self.searched_tables(tables, scope, operator.span)? {
            let row = RowInfo::of(&rel);
            let label = rel.table_name.clone().unwrap_or_default();
            let filtered = match predicate {
                Some(predicate) => {
                    let before = self.diagnostics.len();
                    match self.search_term(predicate, &row, scope, false) {
                        Ok(e) => Self::filtered(rel, e),
                        Err(Stop::Reported) if self.diagnostics[before..].iter().all(|d| d.code == code::UNKNOWN) => {
                            // In this table the predicate cannot be true.
                            self.diagnostics.truncate(before);
                            continue;
                        }
                        Err(stop) => return Err(stop),
                    }
                }
                None => rel,
            };
            rels.push((label, filtered));
        }
        if rels.is_empty() {
            return self.error(code::UNKNOWN, operator.span, "no table has the columns that are searched");
        }
        if project.is_empty() {
            return self.find_smart(rels, source, predicate.as_ref(), project_away, operator.span);
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
                                let ty = ty.unwrap_or(Type::String);
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
            prepared.push((label, Self::projected(rel, columns)));
        }
        self.unite(prepared, false, Some(source), operator.span)
    }

    /// `find` without a projection: columns that all tables share or the predicate names, and the rest in a bag.
    fn find_smart(
        &mut self,
        rels: Vec<(String, Rel)>,
        source: String,
        predicate: Option<&Expr>,
        away: &[Expr],
        span: Span,
    ) -> Bind<Rel> {
        let mut named: Vec<String> = Vec::new();
        if let Some(predicate) = predicate {
            predicate_names(predicate, &mut named);
        }
        let shared = |name: &str, ty: Type| rels.iter().all(|(_, r)| r.columns.iter().any(|c| c.name == name && c.ty == ty));
        let Some((_, first)) = rels.first() else { return self.error(code::UNKNOWN, span, "there is no table") };
        let mut kept: Vec<(String, Type)> = Vec::new();
        for column in &first.columns {
            if shared(&column.name, column.ty) {
                kept.push((column.name.clone(), column.ty));
            }
        }
        for name in &named {
            if kept.iter().any(|(k, _)| k == name) {
                continue;
            }
            if let Some(column) = rels.iter().find_map(|(_, r)| r.columns.iter().find(|c| c.name == *name)) {
                kept.push((name.clone(), column.ty));
            }
        }
        let dropped: Vec<String> = away
            .iter()
            .filter_map(|e| match &e.kind {
                ExprKind::Name(n) | ExprKind::Wildcard(n) => Some(n.text.clone()),
                _ => None,
            })
            .collect();
        kept.retain(|(name, _)| !dropped.iter().any(|d| crate::kql::binder::names::wildcard_match(d, name)));
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
                        && !dropped.iter().any(|d| crate::kql::binder::names::wildcard_match(d, &c.name))
                })
                .cloned()
                .collect();
            let e = if rest.is_empty() {
                BoundExpr::literal(Value::Dynamic(serde_json::json!({})), Type::Dynamic, span)
            } else {
                self.pack(&rest, true, span)?
            };
            columns.push((BoundColumn { id: self.id(), name: "pack_".to_owned(), ty: Type::Dynamic }, e));
            prepared.push((label, Self::projected(rel, columns)));
        }
        self.unite(prepared, false, Some(source), span)
    }
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
