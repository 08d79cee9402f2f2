//! `union`.

use std::collections::{HashMap, HashSet};

use crate::binder::names::wildcard_match;
use crate::binder::{Bind, BindError, Binder, Binding, Scope};
use crate::bound::*;
use crate::free_name::free_name;
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_value::{Type, Value};

use super::shape::{property_says_yes, property_text};

/// A column of a union's result.
struct UnionTarget {
    name: String,
    /// The name of the branches' columns that it takes; those of other types are taken by other columns.
    from: String,
    ty: Type,
}

impl UnionTarget {
    fn takes(&self, column: &BoundColumn) -> bool {
        column.name == self.from && column.ty == self.ty
    }

    /// Its value in the rows of a branch that has no such column: null, and for strings the empty one.
    fn missing(&self, span: Span) -> BoundExpr {
        let value = if self.ty == Type::String { Value::String(String::new()) } else { Value::Null };
        BoundExpr::literal(value, self.ty, span)
    }
}

/// The columns of a branch that the targets take: for each the first one.
fn taken_by<'r>(targets: &[UnionTarget], places: &HashMap<(&str, Type), usize>, rel: &'r Rel) -> Vec<Option<&'r BoundColumn>> {
    let mut taken = vec![None; targets.len()];
    for column in &rel.columns {
        if let Some(at) = places.get(&(column.name.as_str(), column.ty)) {
            taken[*at].get_or_insert(column);
        }
    }
    taken
}

impl Binder<'_> {
    pub(super) fn union(&mut self, input: Option<Rel>, operator: &Operator, tables: &[Expr], scope: &Scope) -> Bind<Rel> {
        let inner = match operator.property("kind").map(|p| (property_text(&p.value), p.value.span)) {
            None => false,
            Some((kind, _)) if kind == "outer" => false,
            // Microsoft's language service shows all columns all the same.
            Some((kind, _)) if kind == "inner" => !self.checking,
            Some((kind, span)) => return self.error(code::SYNTAX, span, format!("union is outer or inner, not '{kind}'")),
        };
        let fuzzy = operator.property("isfuzzy").is_some_and(|p| property_says_yes(&p.value));
        let source = operator.property("withsource").or(operator.property("with_source")).map(|p| property_text(&p.value));
        let mut rels: Vec<(String, Rel)> = Vec::new();
        let mut number = 0;
        let mut label = |rel: &Rel| {
            let name = rel.table_name.clone().unwrap_or_else(|| format!("union_arg{number}"));
            number += 1;
            name
        };
        if let Some(rel) = input {
            rels.push((label(&rel), rel));
        }
        let mut failed = false;
        for table in tables {
            match self.union_branch(table, scope, fuzzy) {
                Ok(found) => {
                    for rel in found {
                        rels.push((label(&rel), rel));
                    }
                }
                Err(BindError::Reported) => failed = true,
                Err(stop) => return Err(stop),
            }
        }
        if failed {
            return Err(BindError::Reported);
        }
        if rels.is_empty() && fuzzy && self.checking {
            return Ok(self.unknown_table());
        }
        if rels.is_empty() {
            return self.error(code::UNKNOWN, operator.span, "none of the union's tables exists");
        }
        self.union_tables(rels, inner, source, operator.span)
    }

    /// The tables of one term; with `isfuzzy`, none for a table that does not exist.
    pub(in crate::binder) fn union_branch(&mut self, table: &Expr, scope: &Scope, fuzzy: bool) -> Bind<Vec<Rel>> {
        if let ExprKind::Wildcard(pattern) = &table.kind {
            let mut names: Vec<String> = self.catalog.names().into_iter().filter(|n| wildcard_match(&pattern.text, n)).collect();
            let tables: HashSet<String> = names.iter().cloned().collect();
            names.retain(|n| !self.catalog.table(n).and_then(|t| t.rows_of.clone()).is_some_and(|table| tables.contains(&table)));
            let mut views: Vec<String> = scope
                .names()
                .into_iter()
                .filter(|n| wildcard_match(&pattern.text, n))
                .filter(|n| matches!(scope.find(n), Some((Binding::Function(f), _)) if f.view))
                .collect();
            views.sort();
            views.dedup();
            if names.is_empty() && views.is_empty() {
                if fuzzy {
                    return Ok(Vec::new());
                }
                return self.error(code::UNKNOWN, pattern.span, format!("no table matches '{}'", pattern.text));
            }
            let mut rels = Vec::new();
            for name in names.into_iter().chain(views) {
                let mut rel = self.table(
                    &Expr { kind: ExprKind::Name(Name { text: name.clone(), span: pattern.span }), span: pattern.span },
                    scope,
                )?;
                rel.table_name = Some(name);
                rels.push(rel);
            }
            return Ok(rels);
        }
        if !fuzzy {
            return Ok(vec![self.table(table, scope)?]);
        }
        // A fuzzy union continues without what cannot be resolved. A check takes a table that is not there for one of unknown
        // columns, as Microsoft's language service does.
        let before = self.diagnostics.len();
        let outer = std::mem::replace(&mut self.fuzzy, self.checking);
        let found = self.table(table, scope);
        self.fuzzy = outer;
        match found {
            Ok(rel) => Ok(vec![rel]),
            Err(BindError::Reported) if self.diagnostics[before..].iter().all(|d| d.code == code::UNKNOWN) => {
                let message = self.diagnostics.get(before).map_or_else(String::new, |d| d.message.clone());
                self.diagnostics.truncate(before);
                self.warn(table.span, format!("left out of the fuzzy union: {message}"));
                Ok(Vec::new())
            }
            Err(stop) => Err(stop),
        }
    }

    /// Rows of all tables, columns by name; a name with several types becomes a column a type.
    pub(in crate::binder) fn union_tables(
        &mut self,
        rels: Vec<(String, Rel)>,
        inner: bool,
        source: Option<String>,
        span: Span,
    ) -> Bind<Rel> {
        let rels = self.union_types(rels);
        let targets = self.union_targets(&rels, inner);
        let mut columns = Vec::new();
        if let Some(source) = &source {
            if targets.iter().any(|t| t.name == *source) {
                // Microsoft's language service shows two columns of the name.
                let message = format!("there is a column '{source}' already; give withsource another name");
                self.not_run(Diagnostic::error(code::DUPLICATE, span, message))?;
                self.repeated = true;
            }
            columns.push(BoundColumn { id: self.id(), name: source.clone(), ty: Type::String });
        }
        for target in &targets {
            columns.push(BoundColumn { id: self.id(), name: target.name.clone(), ty: target.ty });
        }
        let partition = rels.first().map(|(_, rel)| self.sub_query_keys(&rel.hidden)).unwrap_or_default();
        if rels.iter().any(|(_, rel)| self.sub_query_keys(&rel.hidden).len() != partition.len()) {
            let message = "a union of a sub-query's rows with others, inside of mv-apply or partition, is not supported";
            self.not_run(Diagnostic::error(code::UNSUPPORTED, span, message))?;
        }
        let offset = usize::from(source.is_some());
        let mirrored = self.union_promoted(&rels, &targets, &columns[offset..]);
        let some_untyped = rels.iter().flat_map(|(_, rel)| &rel.columns).any(|c| self.untyped.contains(c.id));
        for (column, target) in columns[offset..].iter().zip(&targets).filter(|_| some_untyped) {
            let taken = || rels.iter().flat_map(|(_, rel)| &rel.columns).filter(|c| target.takes(c)).map(|c| c.id);
            // One table says which type it is; to Microsoft's language service it is not known where one does not.
            let first = taken().find(|id| self.untyped.contains(*id));
            if let Some(first) = first.filter(|_| self.checking || taken().all(|id| self.untyped.contains(id))) {
                self.untyped.pass_on(first, column.id);
            }
        }
        let marks = self.union_marks(&rels, inner);
        let places = targets.iter().enumerate().map(|(at, target)| ((target.from.as_str(), target.ty), at)).collect();
        let mut inputs = Vec::with_capacity(rels.len());
        for (label, rel) in rels {
            let mut exprs = Vec::with_capacity(columns.len());
            if source.is_some() {
                exprs.push(BoundExpr::literal(Value::String(label), Type::String, span));
            }
            let taken = taken_by(&targets, &places, &rel);
            exprs.extend(targets.iter().zip(taken).map(|(target, taken)| match taken {
                Some(column) => BoundExpr::column(column, span),
                None => target.missing(span),
            }));
            for h in &partition {
                exprs.push(BoundExpr::new(BoundKind::Column(h.id), h.ty, span));
            }
            for (h, from) in &mirrored {
                let found = promoted_of(&rel, from, key_of(h)).map(|(id, _)| id);
                exprs.push(match found {
                    Some(id) => BoundExpr::new(BoundKind::Column(id), h.ty, span),
                    None => BoundExpr::literal(Value::Null, h.ty, span),
                });
            }
            inputs.push((rel, exprs));
        }
        let mut hidden = partition;
        hidden.extend(mirrored.into_iter().map(|(h, _)| h));
        let mut ids: Vec<ColId> = columns.iter().map(|c| c.id).collect();
        ids.extend(hidden.iter().map(|h| h.id));
        hidden.extend(marks);
        Ok(Rel { columns, hidden, serialized: false, table_name: None, kind: RelKind::Union { inputs, ids } })
    }

    /// The tables with their columns of unknown types as those that the other tables have under their names.
    fn union_types(&mut self, rels: Vec<(String, Rel)>) -> Vec<(String, Rel)> {
        if self.checking {
            return rels;
        }
        let mut known: HashMap<String, Type> = HashMap::new();
        for untyped in [false, true] {
            for column in rels.iter().flat_map(|(_, rel)| &rel.columns) {
                if self.untyped.contains(column.id) == untyped && !(untyped && column.ty == Type::Dynamic) {
                    known.entry(column.name.clone()).or_insert(column.ty);
                }
            }
        }
        let settled = |b: &mut Self, rel: Rel| {
            let differs = |c: &BoundColumn| known.get(&c.name).filter(|ty| b.untyped.contains(c.id) && **ty != c.ty).copied();
            let wanted: Vec<Option<Type>> = rel.columns.iter().map(differs).collect();
            if wanted.iter().all(Option::is_none) {
                return rel;
            }
            let mut columns = Vec::with_capacity(wanted.len());
            for (column, wanted) in rel.columns.iter().zip(wanted) {
                let (mut column, mut e) = (column.clone(), BoundExpr::column(column, Span::default()));
                if let Some(ty) = wanted {
                    let id = b.id();
                    b.untyped.pass_on(column.id, id);
                    e = b.as_other(e, ty);
                    column = BoundColumn { id, ty, ..column };
                }
                columns.push((column, e));
            }
            let table_name = rel.table_name.clone();
            Rel { table_name, ..Self::projected(rel, columns) }
        };
        rels.into_iter().map(|(label, rel)| (label, settled(self, rel))).collect()
    }

    /// What marks the result as a table of which more columns may be named.
    fn union_marks(&mut self, rels: &[(String, Rel)], inner: bool) -> Vec<HiddenColumn> {
        let mut marks: Vec<HiddenColumn> =
            rels.iter().flat_map(|(_, rel)| rel.hidden.iter().filter(|h| !h.is_column())).cloned().collect();
        if self.checking {
            marks.truncate(1);
        } else if inner && !marks.is_empty() {
            // A column of the result is one of each table.
            let firsts = rels.iter().filter_map(|(_, rel)| rel.hidden.iter().find(|h| !h.is_column()));
            let tables = firsts.flat_map(|h| match &h.role {
                HiddenRole::Open(tables) => tables.clone(),
                _ => Vec::new(),
            });
            let role = HiddenRole::Open(tables.collect());
            marks = vec![HiddenColumn { role, ..self.open_marker() }];
        }
        marks
    }

    /// The columns of a union's result: each name with its type, and a name with several types once a type, as `name_type`.
    fn union_targets(&self, rels: &[(String, Rel)], inner: bool) -> Vec<UnionTarget> {
        let mut found = self.union_names(rels);
        if inner {
            found.retain(|(name, types)| {
                types.len() == 1 && rels.iter().all(|(_, rel)| rel.columns.iter().any(|c| c.name == *name && c.ty == types[0]))
            });
        }
        // A name of one type keeps it, whatever the columns of several types are called; to Microsoft's language service the
        // first come has it.
        let mut names: Vec<String> =
            found.iter().filter(|(_, t)| t.len() == 1 && !self.checking).map(|(n, _)| n.clone()).collect();
        let mut targets: Vec<UnionTarget> = Vec::new();
        for (from, types) in &found {
            for &ty in types {
                let name = match types.len() {
                    1 if self.checking => free_name(from, |n| names.iter().any(|other| other == n)),
                    1 => from.clone(),
                    _ => free_name(&format!("{from}_{ty}"), |n| names.iter().any(|other| other == n)),
                };
                names.push(name.clone());
                targets.push(UnionTarget { name, from: from.clone(), ty });
            }
        }
        targets
    }

    /// The names of the branches' columns in the order of their first appearance, each with its types in that order.
    fn union_names(&self, rels: &[(String, Rel)]) -> Vec<(String, Vec<Type>)> {
        let mut found: Vec<(String, Vec<Type>)> = Vec::new();
        let mut place: HashMap<&str, usize> = HashMap::new();
        // Microsoft's binder keeps one column for a name whose first two columns are of one type; its engine does not. Where
        // nothing is run, the query is taken as its author's editor took it.
        let mut seen: Vec<usize> = Vec::new();
        for column in rels.iter().flat_map(|(_, rel)| &rel.columns) {
            let at = *place.entry(&column.name).or_insert_with(|| {
                found.push((column.name.clone(), Vec::new()));
                seen.push(0);
                found.len() - 1
            });
            seen[at] += 1;
            let types = &mut found[at].1;
            let settled = self.checking && types.len() == 1 && seen[at] > 2;
            if !settled && !types.contains(&column.ty) {
                types.push(column.ty);
            }
        }
        found
    }

    /// Promoted keys that go through a union: where every branch that has the bag answers for the key, so does the result.
    /// Gives each with the name of its bag in the branches.
    fn union_promoted(
        &mut self,
        rels: &[(String, Rel)],
        targets: &[UnionTarget],
        columns: &[BoundColumn],
    ) -> Vec<(HiddenColumn, String)> {
        let mut found = Vec::new();
        for (target, column) in targets.iter().zip(columns) {
            if target.ty != Type::Dynamic {
                continue;
            }
            let from = &target.from;
            let with_bag: Vec<&Rel> = rels.iter().map(|(_, r)| r).filter(|r| r.columns.iter().any(|c| target.takes(c))).collect();
            let Some(first) = with_bag.first() else { continue };
            for h in &first.hidden {
                let HiddenRole::Promoted { key, .. } = &h.role else { continue };
                let answers: Option<Vec<bool>> = with_bag
                    .iter()
                    .map(|r| {
                        promoted_of(r, from, key)
                            .and_then(|(id, complete)| r.hidden.iter().any(|o| o.id == id && o.ty == h.ty).then_some(complete))
                    })
                    .collect();
                let Some(answers) = answers else { continue };
                let role = HiddenRole::Promoted { parent: column.id, key: key.clone(), complete: answers.iter().all(|c| *c) };
                found.push((HiddenColumn { id: self.id(), ty: h.ty, role }, from.clone()));
            }
        }
        found
    }
}

/// The promoted column of a branch for a key of one of its bags, and whether it answers everywhere.
fn promoted_of(rel: &Rel, bag: &str, key: &str) -> Option<(ColId, bool)> {
    let parent = rel.columns.iter().find(|c| c.name == bag)?.id;
    rel.hidden.iter().find_map(|h| match &h.role {
        HiddenRole::Promoted { parent: of, key: mirrored, complete } if *of == parent && mirrored == key => {
            Some((h.id, *complete))
        }
        _ => None,
    })
}

/// The key that a promoted column mirrors.
fn key_of(h: &HiddenColumn) -> &str {
    match &h.role {
        HiddenRole::Promoted { key, .. } => key,
        _ => "",
    }
}
