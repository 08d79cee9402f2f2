//! `project`, `extend`, `project-away`, `project-keep`, `project-rename`, `project-reorder`, `serialize`.

use std::collections::HashSet;

use crate::binder::expr::ExprContext;
use crate::binder::names::{self, TargetName};
use crate::binder::{Bind, BindError, Binder, RowInfo, Scope};
use crate::bound::*;
use crate::functions::Returns;
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::code;
use kqlake_value::{Json, Type, Value};

/// What a pattern is that no column's name is like. Parsers of Microsoft Sentinel take away columns of which a table may have none.
#[derive(Clone, Copy)]
enum Unlike {
    Fails,
    Warns,
}

impl Binder<'_> {
    pub(super) fn project(&mut self, input: Rel, items: &[NamedExpr], scope: &Scope) -> Bind<Rel> {
        let (targets, input) = self.targets(input, items, scope)?;
        let settled = self.resolve_targets(&targets, HashSet::new(), items, false)?;
        let mut columns = Vec::with_capacity(targets.len());
        let mut used = HashSet::new();
        for (name, (_, e)) in settled.into_iter().zip(targets) {
            // A plain column keeps its id, so that what mirrors it goes along; a second copy gets one of its own.
            let id = match e.kind {
                BoundKind::Column(id) if used.insert(id) => id,
                _ => self.id(),
            };
            self.propagate_type(id, &e);
            columns.push((BoundColumn { id, name, ty: e.ty }, e));
        }
        Ok(Self::closed(Self::projected(input, columns)))
    }

    pub(super) fn extend(&mut self, input: Rel, items: &[NamedExpr], scope: &Scope) -> Bind<Rel> {
        let existing = input.columns.clone();
        let (targets, input) = self.targets(input, items, scope)?;
        let avoid: HashSet<&str> = existing.iter().map(|c| c.name.as_str()).collect();
        let settled = self.resolve_targets(&targets, avoid, items, true)?;
        let mut columns: Vec<(BoundColumn, BoundExpr)> =
            existing.iter().map(|c| (c.clone(), BoundExpr::column(c, Span::default()))).collect();
        for (name, (_, e)) in settled.into_iter().zip(targets) {
            let same = matches!(e.kind, BoundKind::Column(id) if existing.iter().any(|c| c.id == id && c.name == name));
            if same {
                continue;
            }
            let column = BoundColumn { id: self.id(), name, ty: e.ty };
            self.propagate_type(column.id, &e);
            match columns.iter_mut().find(|(c, _)| c.name == column.name) {
                Some(place) => *place = (column, e),
                None => columns.push((column, e)),
            }
        }
        Ok(Self::projected(input, columns))
    }

    pub(super) fn serialize(&mut self, input: Rel, items: &[NamedExpr], scope: &Scope) -> Bind<Rel> {
        let rel = Rel {
            columns: input.columns.clone(),
            hidden: input.hidden.clone(),
            serialized: true,
            table_name: None,
            kind: RelKind::Serialize { input: Box::new(input) },
        };
        if items.is_empty() { Ok(rel) } else { self.extend(rel, items, scope) }
    }

    /// Binds the targets of `project` or `extend`; window functions are put below. All errors are reported, not only the first.
    pub(in crate::binder) fn targets(
        &mut self,
        input: Rel,
        items: &[NamedExpr],
        scope: &Scope,
    ) -> Bind<(Vec<(TargetName, BoundExpr)>, Rel)> {
        let row = RowInfo::of(&input);
        let mut ctx = ExprContext::new(&row, scope);
        ctx.could_window = true;
        if input.serialized {
            ctx.windows = Some(Vec::new());
        }
        let mut targets = Vec::with_capacity(items.len());
        let mut failed = false;
        for item in items {
            match self.target(item, &mut ctx) {
                Ok(found) => targets.extend(found),
                Err(BindError::Reported) => failed = true,
                Err(stop) => return Err(stop),
            }
        }
        if failed {
            return Err(BindError::Reported);
        }
        let windows = ctx.windows.take().unwrap_or_default();
        Ok((targets, Self::with_windows(input, windows)))
    }

    /// One target; a function of several columns gives several.
    fn target(&mut self, item: &NamedExpr, ctx: &mut ExprContext<'_>) -> Bind<Vec<(TargetName, BoundExpr)>> {
        if matches!(item.expr.kind, ExprKind::Star) {
            return self.error(code::SYNTAX, item.expr.span, "'*' cannot stand here; name the columns, or use project-away");
        }
        let e = self.scalar(&item.expr, ctx)?;
        if let Some(found) = self.parts(item, &e)? {
            return Ok(found);
        }
        if item.tuple && item.names.len() > 1 {
            // A tuple over one value takes its elements, where that value is an array.
            if e.ty != Type::Dynamic {
                return self.error(code::TYPE, item.expr.span, format!("{} names stand before one value", item.names.len()));
            }
            let mut found = Vec::new();
            for (i, name) in item.names.iter().enumerate() {
                let kind = BoundKind::Path { base: Box::new(e.clone()), steps: vec![BoundPathStep::Index(i as i64)] };
                found.push((TargetName::Explicit(name.text.clone()), BoundExpr::new(kind, Type::Dynamic, e.span)));
            }
            return Ok(found);
        }
        Ok(vec![(Self::target_name(item), e)])
    }

    /// The columns of a function that gives several; `None` for any other value. Names in front are those of the first columns.
    /// What is not named then is dropped, as the documentation of `extend` says; Microsoft's language service keeps it under
    /// its own name, and so does a check.
    pub(in crate::binder) fn parts(&mut self, item: &NamedExpr, e: &BoundExpr) -> Bind<Option<Vec<(TargetName, BoundExpr)>>> {
        let BoundKind::Call { function, args } = &e.kind else { return Ok(None) };
        let (written, called): (&[Arg], &str) = match &item.expr.kind {
            ExprKind::Call { function, args } => (args, &function.text),
            _ => (&[], function.name),
        };
        let derived = |at: usize| written.get(at).and_then(names::argument_name);
        let parts: Vec<(String, Type)> = match function.returns {
            Returns::Columns(parts) => {
                let base = format!("{called}_{}", derived(0).unwrap_or_default());
                parts.iter().map(|(suffix, ty)| (format!("{base}_{suffix}"), *ty)).collect()
            }
            // One column for each array.
            Returns::ColumnEach(suffix) => (0..args.len())
                .filter(|at| args[*at].ty == Type::Dynamic)
                .enumerate()
                .map(|(place, at)| (derived(at).unwrap_or_else(|| format!("array{place}")), at))
                .map(|(base, _)| (format!("{base}_{suffix}"), Type::Dynamic))
                .collect(),
            _ => return Ok(None),
        };
        if let Some(name) = item.names.get(parts.len()) {
            return self.error(
                code::ARITY,
                name.span,
                format!("'{}' has no value: there are {} columns", name.text, parts.len()),
            );
        }
        // With a single array the value is the column itself.
        let each = matches!(function.returns, Returns::ColumnEach(_));
        let whole = each && parts.len() == 1;
        let mut found = Vec::with_capacity(parts.len());
        for (index, (name, ty)) in parts.into_iter().enumerate() {
            let wanted = match item.names.get(index) {
                Some(name) => TargetName::Explicit(name.text.clone()),
                None if item.names.is_empty() || self.checking || (each && !item.tuple) => TargetName::Part(name),
                None => break,
            };
            let kind = BoundKind::Element { call: Box::new(e.clone()), index };
            found.push((wanted, if whole { e.clone() } else { BoundExpr::new(kind, ty, e.span) }));
        }
        Ok(Some(found))
    }

    /// Refuses a name that is spelled twice: in front of a `=`, or as a column that keeps its name.
    pub(in crate::binder) fn refuse_repeated_names<'n>(&mut self, items: impl IntoIterator<Item = &'n NamedExpr>) -> Bind<()> {
        let mut spelled = HashSet::new();
        for item in items {
            let kept = if item.names.is_empty() { crate::binder::bare_name(&item.expr) } else { None };
            for name in item.names.iter().chain(kept) {
                if !spelled.insert(name.text.as_str()) {
                    return self.error(code::DUPLICATE, name.span, format!("the name '{}' is given twice", name.text));
                }
            }
        }
        Ok(())
    }

    /// Resolves the names of targets; a repeated name is refused.
    pub(in crate::binder) fn resolve_targets(
        &mut self,
        targets: &[(TargetName, BoundExpr)],
        avoid: HashSet<&str>,
        items: &[NamedExpr],
        replace: bool,
    ) -> Bind<Vec<String>> {
        self.refuse_repeated_names(items)?;
        Ok(self.resolve_names(&targets.iter().map(|(w, _)| w.clone()).collect::<Vec<_>>(), avoid, replace))
    }

    /// The input's names that generated names of `summarize` and `distinct` step over. To Microsoft's language service there
    /// are none.
    pub(in crate::binder) fn reserved_names<'n>(&self, columns: &'n [BoundColumn]) -> HashSet<&'n str> {
        if self.checking { HashSet::new() } else { columns.iter().map(|c| c.name.as_str()).collect() }
    }

    /// The columns that a list of names and wildcards picks, in the order of the input; a plain name must exist. Whether a wildcard
    /// that no column is like is an error is for the operator to say.
    fn select_columns(&mut self, input: &Rel, patterns: &[Expr], scope: &Scope, unlike: Unlike) -> Bind<HashSet<ColId>> {
        let mut picked = HashSet::new();
        let mut failed = false;
        for pattern in patterns {
            match &pattern.kind {
                ExprKind::Wildcard(name) => {
                    picked.extend(Self::matching(input, name).map(|c| c.id));
                    if Self::matching(input, name).next().is_none() && !Self::is_open(input) {
                        let message = format!("no column's name is like '{}'", name.text);
                        match unlike {
                            Unlike::Warns => self.warn(name.span, message),
                            Unlike::Fails => {
                                let _: Bind<()> = self.error(code::UNKNOWN, name.span, message);
                                failed = true;
                            }
                        }
                    }
                }
                ExprKind::Star => picked.extend(input.columns.iter().map(|c| c.id)),
                ExprKind::Name(name) => match self.named_column(&input.columns, &name.text) {
                    Some(_) => {
                        picked.extend(input.columns.iter().filter(|c| c.name == name.text).map(|c| c.id));
                    }
                    None if self.infer(name, &input.hidden).is_some() => {}
                    None => {
                        let candidates: Vec<String> = input.columns.iter().map(|c| c.name.clone()).collect();
                        let _: Bind<()> = self.unknown("column", name, candidates);
                        failed = true;
                    }
                },
                _ => {
                    let row = RowInfo::of(input);
                    let e = self.scalar(pattern, &mut ExprContext::new(&row, scope))?;
                    match e.kind {
                        BoundKind::Column(id) => {
                            picked.insert(id);
                        }
                        _ => {
                            return self.error(
                                code::SYNTAX,
                                pattern.span,
                                "a column's name or a pattern with '*' is expected here",
                            );
                        }
                    }
                }
            }
        }
        if failed { Err(BindError::Reported) } else { Ok(picked) }
    }

    /// The columns whose names are like a pattern.
    fn matching<'r>(input: &'r Rel, pattern: &'r Name) -> impl Iterator<Item = &'r BoundColumn> {
        input.columns.iter().filter(|c| names::wildcard_match(&pattern.text, &c.name))
    }

    pub(super) fn project_away(&mut self, input: Rel, patterns: &[Expr], scope: &Scope) -> Bind<Rel> {
        let picked = self.select_columns(&input, patterns, scope, Unlike::Warns)?;
        let columns = input.columns.iter().filter(|c| !picked.contains(&c.id)).cloned().collect();
        Ok(Self::renamed(input, columns))
    }

    pub(super) fn project_keep(&mut self, input: Rel, patterns: &[Expr], scope: &Scope) -> Bind<Rel> {
        let picked = self.select_columns(&input, patterns, scope, Unlike::Fails)?;
        let known = |c: &&BoundColumn| picked.contains(&c.id) && !self.is_just_inferred(c.id);
        let columns = input.columns.iter().filter(known).cloned().collect();
        Ok(Self::closed(Self::renamed(input, columns)))
    }

    /// Columns by the names and patterns that constants hold, in the order in which they are named. What names no column is
    /// skipped.
    pub(super) fn project_by_names(&mut self, input: Rel, names: &[Expr], scope: &Scope) -> Bind<Rel> {
        let nothing = RowInfo::default();
        let mut patterns: Vec<(String, Span)> = Vec::new();
        for name in names {
            if matches!(name.kind, ExprKind::Star) {
                patterns.push(("*".to_owned(), name.span));
                continue;
            }
            let e = self.scalar(name, &mut ExprContext::new(&nothing, scope))?;
            match self.constant(&e, "a column's name")? {
                Some(Value::String(text)) => patterns.push((text, name.span)),
                Some(Value::Dynamic(Json::Array(items))) if items.iter().all(Json::is_string) => {
                    patterns.extend(items.iter().filter_map(Json::as_str).map(|text| (text.to_owned(), name.span)));
                }
                Some(_) => return self.error(code::TYPE, name.span, "a name or an array of names is expected here"),
                None => {}
            }
        }
        let mut columns: Vec<BoundColumn> = Vec::new();
        for (name, at) in &patterns {
            // One that no column has is a column of a table whose columns follow from rows.
            if !self.checking && !name.contains('*') && !input.columns.iter().any(|c| c.name == *name) {
                self.infer(&Name { text: name.clone(), span: *at }, &input.hidden);
            }
        }
        for (pattern, _) in &patterns {
            for column in input.columns.iter().filter(|c| names::wildcard_match(pattern, &c.name)) {
                if !columns.iter().any(|c| c.id == column.id) {
                    columns.push(column.clone());
                }
            }
        }
        Ok(Self::closed(Self::renamed(input, columns)))
    }

    pub(super) fn project_rename(&mut self, input: Rel, pairs: &[(Name, Expr)]) -> Bind<Rel> {
        let mut columns = input.columns.clone();
        for (at, (new, old)) in pairs.iter().enumerate() {
            if input.columns.iter().any(|c| c.name == new.text) || pairs[..at].iter().any(|(n, _)| n.text == new.text) {
                return self.error(code::DUPLICATE, new.span, format!("there is a column '{}' already", new.text));
            }
            let Some(old) = crate::binder::bare_name(old) else {
                return self.error(code::SYNTAX, old.span, "project-rename takes new = old");
            };
            let known = self.named_column(&input.columns, &old.text);
            let Some(at) = known.and_then(|known| input.columns.iter().position(|c| c.id == known.id)) else {
                if self.infer(old, &input.hidden).is_some() {
                    continue;
                }
                let candidates: Vec<String> = input.columns.iter().map(|c| c.name.clone()).collect();
                return self.unknown("column", old, candidates);
            };
            columns[at].name = new.text.clone();
        }
        Ok(Self::renamed(input, columns))
    }

    pub(super) fn project_reorder(&mut self, input: Rel, items: &[ReorderItem]) -> Bind<Rel> {
        let mut order: Vec<BoundColumn> = Vec::new();
        let mut spelled = HashSet::new();
        for item in items {
            if let ExprKind::Name(name) = &item.name.kind
                && !spelled.insert(name.text.as_str())
            {
                return self.error(code::DUPLICATE, name.span, format!("the name '{}' is given twice", name.text));
            }
            let mut matched: Vec<BoundColumn> = match &item.name.kind {
                ExprKind::Wildcard(name) => {
                    let matched: Vec<BoundColumn> = Self::matching(&input, name).cloned().collect();
                    if matched.is_empty() && !Self::is_open(&input) {
                        return self.error(code::UNKNOWN, name.span, format!("no column's name is like '{}'", name.text));
                    }
                    matched
                }
                ExprKind::Star => input.columns.clone(),
                ExprKind::Name(name) => match self.named_column(&input.columns, &name.text) {
                    Some(column) => vec![column.clone()],
                    None if self.infer(name, &input.hidden).is_some() => Vec::new(),
                    None => {
                        let candidates: Vec<String> = input.columns.iter().map(|c| c.name.clone()).collect();
                        return self.unknown("column", name, candidates);
                    }
                },
                _ => return self.error(code::SYNTAX, item.name.span, "a column's name or a pattern with '*' is expected here"),
            };
            match item.order.as_ref().map(|o| o.text.as_str()) {
                // As .NET orders without case: as capitals, so that `_` comes behind the letters.
                Some("asc") => matched.sort_by_key(|c| c.name.to_uppercase()),
                Some("desc") => matched.sort_by_key(|c| std::cmp::Reverse(c.name.to_uppercase())),
                Some("granny-asc") => matched.sort_by_key(|c| granny(&c.name)),
                Some("granny-desc") => {
                    matched.sort_by_key(|c| granny(&c.name));
                    matched.reverse();
                }
                _ => {}
            }
            for column in matched {
                if !order.iter().any(|c| c.id == column.id) {
                    order.push(column);
                }
            }
        }
        let rest: Vec<BoundColumn> = input.columns.iter().filter(|c| !order.iter().any(|o| o.id == c.id)).cloned().collect();
        order.extend(rest);
        Ok(Self::renamed(input, order))
    }
}

/// A name's parts, digits compared as numbers (`a20` before `a100`); no digits come before any.
fn granny(name: &str) -> Vec<(String, Option<u64>)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (text, tail) = rest.split_at(text_end);
        let digits_end = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
        let (digits, tail) = tail.split_at(digits_end);
        parts.push((text.to_uppercase(), (!digits.is_empty()).then(|| digits.parse().unwrap_or(u64::MAX))));
        rest = tail;
    }
    parts
}
