//! Calls of scalar functions: the registry's, the binder's own, and those that `let` defines.

use super::expr::ExprContext;
use super::{Bind, Binder, Binding, RowInfo};
use crate::bound::*;
use crate::functions::constants::value_at;
use crate::functions::{AggregateFn, AggregateImpl, ArgInfo, Registry, Returns, ScalarFn, ScalarImpl, WindowFn};
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_value::{Type, Value};

impl Binder<'_> {
    /// A call in a scalar expression.
    pub(super) fn call(&mut self, name: &Name, args: &[Arg], ctx: &mut ExprContext<'_>, span: Span) -> Bind<BoundExpr> {
        if let Some((Binding::Function(function), _)) = ctx.scope.find(&name.text) {
            return self.scalar_function_call(&function, name, args, ctx, span);
        }
        let registry = Registry::get();
        if let Some(result) = self.special_call(name, args, ctx, span) {
            return result;
        }
        if let (Some(function), true) = (registry.aggregate(&name.text), ctx.aggregates.is_some() && !ctx.in_aggregate) {
            let aggregate = self.aggregate_call(function, name, args, ctx, span)?;
            return Ok(self.add_aggregate(aggregate, ctx, span));
        }
        if let Some(function) = registry.scalar(&name.text) {
            return self.registry_call(function, name, args, ctx, span);
        }
        if registry.aggregate(&name.text).is_some() {
            return self.error(code::UNKNOWN, name.span, format!("the aggregate '{}' stands outside of summarize", name.text));
        }
        let mut candidates: Vec<String> = registry.scalar_names().map(str::to_owned).collect();
        candidates.extend(ctx.scope.names());
        if ctx.aggregates.is_some() {
            candidates.extend(registry.aggregate_names().map(str::to_owned));
        }
        self.unknown("function", name, candidates)
    }

    /// Notes an aggregate; what is left in the expression is its column.
    pub(super) fn add_aggregate(&mut self, aggregate: BoundAggregate, ctx: &mut ExprContext<'_>, span: Span) -> BoundExpr {
        let (id, ty) = (self.id(), aggregate.ty);
        // An extreme, or a value of one row, is what the argument is: that of the row comes last.
        if !matches!(aggregate.function.returns, Returns::Type(_)) {
            match aggregate.args.last() {
                Some(argument) if self.is_untyped(argument) => self.propagate_type(id, argument),
                _ if aggregate.args.iter().any(|a| self.is_untyped(a)) => self.untyped.insert(id),
                _ => {}
            }
        }
        if let Some(aggregates) = &mut ctx.aggregates {
            aggregates.push((id, aggregate));
        }
        BoundExpr::new(BoundKind::Column(id), ty, span)
    }

    /// Functions that are syntax rather than computation.
    fn special_call(&mut self, name: &Name, args: &[Arg], ctx: &mut ExprContext<'_>, span: Span) -> Option<Bind<BoundExpr>> {
        let result = match name.text.as_str() {
            "iff" | "iif" => self.iff(args, ctx, span),
            "case" => self.case(args, ctx, span),
            "not" => self.not(args, ctx, span),
            "now" => self.now(args, ctx, span),
            "ago" => self.ago(args, ctx, span),
            "bin_auto" => self.bin_auto(args, ctx, span),
            "toscalar" => self.toscalar(args, ctx, span),
            "column_ifexists" | "columnifexists" => self.column_ifexists(args, ctx, span),
            "iscolumnexists" => self.iscolumnexists(args, ctx, span),
            "pack_all" => self.pack_all(args, ctx, span),
            "bag_pack_columns" => self.pack_columns(args, ctx, span),
            "ingestion_time" => Ok(BoundExpr::literal(Value::Null, Type::DateTime, span)),
            "coalesce" => self.coalesce(args, ctx, span),
            "column_names_of" => self.column_names_of(args, ctx, span),
            _ => {
                let function = Registry::get().scalar(&name.text)?;
                let ScalarImpl::Window(computed) = function.imp else { return None };
                self.window(function, computed, name, args, ctx, span)
            }
        };
        Some(result)
    }

    fn arity(&mut self, name: &str, args: &[Arg], allowed: std::ops::RangeInclusive<usize>, span: Span) -> Bind<()> {
        if allowed.contains(&args.len()) {
            return Ok(());
        }
        let wanted = if allowed.start() == allowed.end() {
            format!("{}", allowed.start())
        } else if *allowed.end() == usize::MAX {
            format!("{} or more", allowed.start())
        } else {
            format!("{} to {}", allowed.start(), allowed.end())
        };
        self.error(code::ARITY, span, format!("{name} takes {wanted} arguments, {} given", args.len()))
    }

    fn iff(&mut self, args: &[Arg], ctx: &mut ExprContext<'_>, span: Span) -> Bind<BoundExpr> {
        self.arity("iff", args, 3..=3, span)?;
        let condition = self.scalar(&args[0].expr, ctx);
        let values = vec![self.scalar(&args[1].expr, ctx), self.scalar(&args[2].expr, ctx)];
        let condition = self.condition(condition?, "iff", false)?;
        let values = values.into_iter().collect::<Bind<Vec<_>>>()?;
        let Some((mut values, ty)) = self.common_of_known(values, "iff", span)? else { return Ok(self.untyped_value(span)) };
        let (Some(otherwise), Some(value)) = (values.pop(), values.pop()) else { return Err(super::BindError::Reported) };
        Ok(BoundExpr::new(BoundKind::Case { branches: vec![(condition, value)], otherwise: Box::new(otherwise) }, ty, span))
    }

    fn case(&mut self, args: &[Arg], ctx: &mut ExprContext<'_>, span: Span) -> Bind<BoundExpr> {
        self.arity("case", args, 3..=usize::MAX, span)?;
        if args.len().is_multiple_of(2) {
            return self.error(code::ARITY, span, "case takes pairs of condition and value, and one value for all else");
        }
        let (mut conditions, mut values) = (Vec::new(), Vec::new());
        for (i, arg) in args.iter().enumerate() {
            let e = self.scalar(&arg.expr, ctx)?;
            if i % 2 == 0 && i + 1 < args.len() {
                conditions.push(self.condition(e, "case", false)?);
            } else {
                values.push(e);
            }
        }
        let Some((mut values, ty)) = self.common_of_known(values, "case", span)? else { return Ok(self.untyped_value(span)) };
        let Some(otherwise) = values.pop() else { return Err(super::BindError::Reported) };
        let branches = conditions.into_iter().zip(values).collect();
        Ok(BoundExpr::new(BoundKind::Case { branches, otherwise: Box::new(otherwise) }, ty, span))
    }

    /// The same of values some of which may be of unknown type: these take the type of the others. None where it is not known.
    pub(super) fn common_of_known(
        &mut self,
        values: Vec<BoundExpr>,
        what: &str,
        span: Span,
    ) -> Bind<Option<(Vec<BoundExpr>, Type)>> {
        let (untyped, typed): (Vec<_>, Vec<_>) = values.iter().cloned().partition(|v| self.is_untyped(v));
        match untyped.first() {
            None => {}
            Some(_) if self.checking => return Ok(None),
            // All of them are known to be of one type.
            Some(first) if typed.is_empty() => {
                let ty = first.ty;
                return Ok((ty != Type::Dynamic && untyped.iter().all(|v| v.ty == ty)).then_some((values, ty)));
            }
            Some(_) => {}
        }
        let (_, ty) = self.common(typed, what, span)?;
        let of_type = |b: &mut Self, v: BoundExpr| {
            // A number may be one of several types; the others say which.
            if b.is_untyped(&v) {
                Ok(b.as_wanted(v, ty))
            } else if ty == Type::Dynamic {
                b.to_dynamic(v)
            } else {
                b.coerce(v, ty)
            }
        };
        let values = values.into_iter().map(|v| of_type(self, v)).collect::<Bind<Vec<_>>>()?;
        Ok(Some((values, ty)))
    }

    /// Brings values to one type: the widest number; a dynamic becomes what the others are.
    pub(super) fn common(&mut self, values: Vec<BoundExpr>, what: &str, span: Span) -> Bind<(Vec<BoundExpr>, Type)> {
        let typed: Vec<Type> = values.iter().map(|v| v.ty).filter(|t| *t != Type::Dynamic).collect();
        let mut ty = typed.first().copied().unwrap_or(Type::Dynamic);
        for other in &typed {
            ty = match ty.widest(*other) {
                Some(wide) => wide,
                None => {
                    let message = format!("{what} gives {ty} here and {other} there; they must be one type");
                    self.not_run(Diagnostic::error(code::TYPE, span, message))?;
                    Type::Dynamic
                }
            };
            if ty == Type::Dynamic {
                break;
            }
        }
        let values = values
            .into_iter()
            .map(|v| if ty == Type::Dynamic { self.to_dynamic(v) } else { self.coerce(v, ty) })
            .collect::<Bind<Vec<_>>>()?;
        Ok((values, ty))
    }

    fn coalesce(&mut self, args: &[Arg], ctx: &mut ExprContext<'_>, span: Span) -> Bind<BoundExpr> {
        self.arity("coalesce", args, 2..=64, span)?;
        let values = args.iter().map(|a| self.scalar(&a.expr, ctx)).collect::<Bind<Vec<_>>>()?;
        let Some((mut values, ty)) = self.common_of_known(values, "coalesce", span)? else {
            return Ok(self.untyped_value(span));
        };
        if values.iter().any(BoundExpr::is_volatile) {
            let Some(function) = Registry::get().scalar("__coalesce") else { return self.unsupported(span, "coalesce") };
            return Ok(BoundExpr::new(BoundKind::Call { function, args: values }, ty, span));
        }
        let Some(otherwise) = values.pop() else { return Err(super::BindError::Reported) };
        let mut branches = Vec::new();
        for value in values {
            let Some(function) = Registry::get().scalar("isnotempty") else { return self.unsupported(span, "coalesce") };
            let present = BoundExpr::new(BoundKind::Call { function, args: vec![value.clone()] }, Type::Bool, value.span);
            branches.push((self.fold(present)?, value));
        }
        Ok(BoundExpr::new(BoundKind::Case { branches, otherwise: Box::new(otherwise) }, ty, span))
    }

    fn not(&mut self, args: &[Arg], ctx: &mut ExprContext<'_>, span: Span) -> Bind<BoundExpr> {
        self.arity("not", args, 1..=1, span)?;
        let e = self.scalar(&args[0].expr, ctx)?;
        let e = self.condition(e, "not", false)?;
        Ok(BoundExpr::new(BoundKind::Not(Box::new(e)), Type::Bool, span))
    }

    fn now(&mut self, args: &[Arg], ctx: &mut ExprContext<'_>, span: Span) -> Bind<BoundExpr> {
        self.arity("now", args, 0..=1, span)?;
        let now = BoundExpr::literal(Value::DateTime(self.now), Type::DateTime, span);
        match args.first() {
            None => Ok(now),
            Some(offset) => {
                let offset = self.scalar(&offset.expr, ctx)?;
                self.binary(BinaryOp::Add, now, offset, span)
            }
        }
    }

    fn ago(&mut self, args: &[Arg], ctx: &mut ExprContext<'_>, span: Span) -> Bind<BoundExpr> {
        self.arity("ago", args, 1..=1, span)?;
        let offset = self.scalar(&args[0].expr, ctx)?;
        let offset = self.as_wanted(offset, Type::TimeSpan);
        if offset.ty != Type::TimeSpan {
            return self.report(
                Diagnostic::error(code::TYPE, offset.span, format!("ago takes a timespan, not {}", offset.ty))
                    .suggest("for example ago(1d)"),
            );
        }
        let now = BoundExpr::literal(Value::DateTime(self.now), Type::DateTime, span);
        self.binary(BinaryOp::Subtract, now, offset, span)
    }

    /// `bin` or `bin_at` with what options of the query say (Kusto documentation, "bin_auto()").
    fn bin_auto(&mut self, args: &[Arg], ctx: &mut ExprContext<'_>, span: Span) -> Bind<BoundExpr> {
        self.arity("bin_auto", args, 1..=1, span)?;
        let value = self.scalar(&args[0].expr, ctx)?;
        let registry = Registry::get();
        match (self.auto_bin.clone(), registry.scalar("bin"), registry.scalar("bin_at")) {
            ((Some(size), None), Some(bin), _) => self.function_of(bin, vec![value, size], span),
            ((Some(size), Some(at)), _, Some(bin_at)) => self.function_of(bin_at, vec![value, size, at], span),
            // Only a run needs the size.
            _ if self.checking => Ok(value),
            _ => self.report(
                Diagnostic::error(code::TYPE, span, "bin_auto takes its size from an option, which is not set")
                    .suggest("for example: set query_bin_auto_size = 1h;"),
            ),
        }
    }

    /// The first column of the first row, computed once.
    fn toscalar(&mut self, args: &[Arg], ctx: &mut ExprContext<'_>, span: Span) -> Bind<BoundExpr> {
        self.arity("toscalar", args, 1..=1, span)?;
        let inner = &args[0].expr;
        let mut drawn = None;
        let rel = if self.is_tabular(inner, &ctx.scope, ctx.row) {
            let scope = ctx.scope.clone();
            // The query is answered once, not for each row: what the calling row holds is not visible in it.
            let outer = std::mem::replace(&mut self.outside, self.next_id);
            let rel = self.with_depth(span, |b| b.table(inner, &scope));
            self.outside = outer;
            rel?
        } else {
            // A scalar is answered once as well: it sees no row.
            let nothing = RowInfo::default();
            let e = self.scalar(inner, &mut ExprContext::new(&nothing, &ctx.scope))?;
            if e.is_constant() || e.any(&|e| matches!(e.kind, BoundKind::Column(_) | BoundKind::Unknown | BoundKind::Untyped)) {
                return Ok(e);
            }
            // What differs from call to call (a random number, a new guid) is the same in all rows and all uses.
            let key = format!("{e:?}");
            if let Some(value) = self.drawn.get(&key) {
                return Ok(value.clone());
            }
            drawn = Some(key);
            let column = BoundColumn { id: self.id(), name: "Column1".to_owned(), ty: e.ty };
            Rel {
                kind: RelKind::Print(vec![(column.id, e)]),
                columns: vec![column],
                hidden: Vec::new(),
                serialized: false,
                table_name: None,
            }
        };
        let Some(first) = rel.columns.first().cloned() else {
            if Self::is_open(&rel) {
                // Its columns follow from rows that are not there.
                return Ok(self.untyped_value(span));
            }
            return self.error(code::TYPE, span, "toscalar of a table without columns");
        };
        self.answers_one_sub_query(&rel, span)?;
        let rows = self.rows_of(rel, Some(1))?;
        Ok(match rows {
            None => BoundExpr::new(BoundKind::Unknown, first.ty, span),
            Some(batches) => {
                let value = batches
                    .iter()
                    .find(|b| b.num_rows() > 0)
                    .map(|b| value_at(b.column(0).as_ref(), first.ty, 0))
                    .unwrap_or(if first.ty == Type::String { Value::String(String::new()) } else { Value::Null });
                let value = BoundExpr::literal(value, first.ty, span);
                if let Some(key) = drawn {
                    self.drawn.insert(key, value.clone());
                }
                value
            }
        })
    }

    /// Refuses a value of rows that differ from one sub-query of `partition` or `mv-apply` to the next: it is asked for once.
    pub(super) fn answers_one_sub_query(&mut self, rel: &Rel, span: Span) -> Bind<()> {
        if rel.hidden.iter().any(|h| matches!(h.role, HiddenRole::Key)) {
            let message = "a value of the rows of one sub-query of partition or mv-apply is not supported";
            self.not_run(
                Diagnostic::error(code::UNSUPPORTED, span, message)
                    .suggest("join with a summarize by the column that the rows are parted by"),
            )?;
        }
        Ok(())
    }

    /// The names of a table's columns, as an array.
    fn column_names_of(&mut self, args: &[Arg], ctx: &mut ExprContext<'_>, span: Span) -> Bind<BoundExpr> {
        self.arity("column_names_of", args, 1..=1, span)?;
        let scope = ctx.scope.clone();
        let rel = self.with_depth(span, |b| b.table(&args[0].expr, &scope))?;
        let names = rel.columns.iter().map(|c| kqlake_value::Json::from(c.name.as_str())).collect();
        Ok(BoundExpr::literal(Value::Dynamic(kqlake_value::Json::Array(names)), Type::Dynamic, span))
    }

    fn column_ifexists(&mut self, args: &[Arg], ctx: &mut ExprContext<'_>, span: Span) -> Bind<BoundExpr> {
        self.arity("column_ifexists", args, 2..=2, span)?;
        let name = self.scalar(&args[0].expr, ctx)?;
        let Some(Value::String(name)) = self.constant(&name, "the column's name")? else {
            return self.error(code::TYPE, args[0].expr.span, "the column's name must be a constant string");
        };
        match ctx.row.find(&name) {
            Some(column) => Ok(BoundExpr::column(column, span)),
            None => self.scalar(&args[1].expr, ctx),
        }
    }

    /// Whether the rows have a column of a name.
    fn iscolumnexists(&mut self, args: &[Arg], ctx: &mut ExprContext<'_>, span: Span) -> Bind<BoundExpr> {
        self.arity("iscolumnexists", args, 1..=1, span)?;
        let name = self.scalar(&args[0].expr, ctx)?;
        match self.constant(&name, "the column's name")? {
            Some(Value::String(name)) if ctx.row.find(&name).is_some() || !ctx.row.is_open() => {
                Ok(BoundExpr::literal(Value::Bool(ctx.row.find(&name).is_some()), Type::Bool, span))
            }
            // Columns that follow from rows are not known yet.
            Some(Value::String(_)) | None => Ok(BoundExpr::new(BoundKind::Unknown, Type::Bool, span)),
            Some(_) => self.error(code::TYPE, args[0].expr.span, "the column's name must be a constant string"),
        }
    }

    fn pack_all(&mut self, args: &[Arg], ctx: &mut ExprContext<'_>, span: Span) -> Bind<BoundExpr> {
        self.arity("pack_all", args, 0..=1, span)?;
        let mut ignore = false;
        if let Some(arg) = args.first() {
            let e = self.scalar(&arg.expr, ctx)?;
            ignore = self.constant(&e, "the argument of pack_all")? == Some(Value::Bool(true));
        }
        let columns: Vec<BoundColumn> = ctx.row.columns.clone();
        self.pack(&columns, ignore, span)
    }

    fn pack_columns(&mut self, args: &[Arg], ctx: &mut ExprContext<'_>, span: Span) -> Bind<BoundExpr> {
        let mut columns = Vec::new();
        for arg in args {
            match super::bare_name(&arg.expr).and_then(|n| ctx.row.find(&n.text)) {
                Some(column) => columns.push(column.clone()),
                None => return self.error(code::UNKNOWN, arg.expr.span, "bag_pack_columns takes columns"),
            }
        }
        self.pack(&columns, false, span)
    }

    /// A bag of columns by their names.
    pub(super) fn pack(&mut self, columns: &[BoundColumn], ignore_empty: bool, span: Span) -> Bind<BoundExpr> {
        let registry = Registry::get();
        let Some(function) = registry.scalar(if ignore_empty { "__bag_pack_present" } else { "bag_pack" }) else {
            return self.unsupported(span, "pack_all");
        };
        let args = columns
            .iter()
            .flat_map(|c| [BoundExpr::literal(Value::String(c.name.clone()), Type::String, span), BoundExpr::column(c, span)])
            .collect();
        Ok(BoundExpr::new(BoundKind::Call { function, args }, Type::Dynamic, span))
    }

    fn window(
        &mut self,
        function: &'static ScalarFn,
        computed: WindowFn,
        name: &Name,
        args: &[Arg],
        ctx: &mut ExprContext<'_>,
        span: Span,
    ) -> Bind<BoundExpr> {
        let bound = args.iter().map(|a| self.scalar(&a.expr, ctx)).collect::<Bind<Vec<_>>>()?;
        if matches!(computed, WindowFn::Prev | WindowFn::Next)
            && let Some(column) = args.first()
            && super::bare_name(&column.expr).is_none()
        {
            let wrong = Diagnostic::error(code::TYPE, column.expr.span, format!("{} takes a column", name.text));
            return self.report(wrong.suggest("extend the value as a column before it"));
        }
        let untyped = bound.first().filter(|e| self.is_untyped(e)).cloned();
        let (args, ty) = self.fit_args(function.signature(), bound, span)?;
        if ctx.windows.is_none() {
            let message = format!("{} needs rows in an order", name.text);
            let mut diagnostic = Diagnostic::error(code::TYPE, name.span, message);
            if ctx.could_window {
                diagnostic = diagnostic.suggest("put '| serialize' or '| sort by …' before it");
            }
            self.not_run(diagnostic)?;
            return Ok(BoundExpr::new(BoundKind::Unknown, ty, span));
        }
        let partition = self.partition_keys(&ctx.row.hidden);
        let id = self.id();
        if let Some(windows) = &mut ctx.windows {
            windows.push((id, BoundWindow { name: function.name, function: computed, args, ty, partition }));
        }
        if let (Returns::Arg(0), Some(untyped)) = (function.returns, &untyped) {
            self.propagate_type(id, untyped);
        }
        Ok(BoundExpr::new(BoundKind::Column(id), ty, span))
    }

    /// A registry function.
    fn registry_call(
        &mut self,
        function: &'static ScalarFn,
        name: &Name,
        args: &[Arg],
        ctx: &mut ExprContext<'_>,
        span: Span,
    ) -> Bind<BoundExpr> {
        if let Some(why) = function.refusal() {
            let message = format!("the function {} is not supported: {why}", name.text);
            self.not_run(Diagnostic::error(code::UNSUPPORTED, name.span, message))?;
        }
        if let Some(caution) = function.caution {
            self.warn(name.span, format!("{}: {caution}", name.text));
        }
        // `*` alone stands for all columns.
        if function.takes_all_columns
            && let [Arg { name: None, expr: Expr { kind: ExprKind::Star, span: star } }] = args
        {
            let columns: Vec<BoundExpr> = ctx.row.columns.iter().map(|c| BoundExpr::column(c, *star)).collect();
            if columns.is_empty() && matches!(function.returns, Returns::Type(Type::Dynamic)) {
                let none = Value::Dynamic(kqlake_value::Json::Array(Vec::new()));
                return Ok(BoundExpr::literal(none, Type::Dynamic, span));
            }
            return self.function_of(function, columns, span);
        }
        let bound: Vec<Bind<BoundExpr>> = args.iter().map(|a| self.scalar(&a.expr, ctx)).collect();
        let bound = bound.into_iter().collect::<Bind<Vec<_>>>()?;
        let call = self.function_of(function, bound, span)?;
        if function.name == "geo_info_from_ip_address" { self.ip_location(name, call) } else { Ok(call) }
    }

    /// A registry function over bound arguments.
    pub(super) fn function_of(&mut self, function: &'static ScalarFn, args: Vec<BoundExpr>, span: Span) -> Bind<BoundExpr> {
        let is_untyped = args.iter().any(|a| self.is_untyped(a));
        let (args, ty) = self.fit_args(function.signature(), args, span)?;
        let infos = |args: &[BoundExpr]| -> Vec<ArgInfo> {
            args.iter().map(|a| ArgInfo { ty: a.ty, constant: a.as_literal().cloned() }).collect()
        };
        let shown = |args: &[BoundExpr]| function.shown.and_then(|shown| shown(&infos(args)));
        if matches!(function.returns, Returns::Arg(_) | Returns::Same | Returns::With(_))
            && is_untyped
            && if self.checking { shown(&args).is_none() } else { ty == Type::Dynamic }
        {
            return Ok(self.untyped_value(span));
        }
        let is_known =
            |a: &BoundExpr| !self.is_untyped(a) && !a.any(&|part| matches!(part.kind, BoundKind::Unknown | BoundKind::Untyped));
        if self.checking && args.iter().all(is_known) {
            // What is wrong with the constants is otherwise found when the call is lowered.
            let made = match function.imp {
                ScalarImpl::Prepared(make) => make(&infos(&args), ty).map(drop),
                ScalarImpl::Kernel(make) => make(&infos(&args), ty).map(drop),
                _ => Ok(()),
            };
            if let Err(message) = made {
                self.not_run(Diagnostic::error(code::TYPE, span, message))?;
            }
        }
        self.differs |= function.volatile;
        Ok(BoundExpr::new(BoundKind::Call { function, args }, ty, span))
    }

    /// An aggregate call: arguments see columns, the predicate of an `…if` form becomes a filter.
    pub(super) fn aggregate_call(
        &mut self,
        function: &'static AggregateFn,
        name: &Name,
        args: &[Arg],
        ctx: &mut ExprContext<'_>,
        span: Span,
    ) -> Bind<BoundAggregate> {
        if let AggregateImpl::Unsupported(why) = function.imp {
            let message = format!("the aggregate {} is not supported: {why}", name.text);
            self.not_run(Diagnostic::error(code::UNSUPPORTED, name.span, message))?;
        }
        ctx.in_aggregate = true;
        let bound: Vec<Bind<BoundExpr>> = args.iter().map(|a| self.scalar(&a.expr, ctx)).collect();
        ctx.in_aggregate = false;
        let mut bound = bound.into_iter().collect::<Bind<Vec<_>>>()?;
        self.aggregate_of(function, &mut bound, span)
    }

    /// An aggregate over bound arguments.
    pub(super) fn aggregate_of(
        &mut self,
        function: &'static AggregateFn,
        bound: &mut Vec<BoundExpr>,
        span: Span,
    ) -> Bind<BoundAggregate> {
        let filter = match function.predicate {
            Some(place) if place < bound.len() => {
                let predicate = bound.remove(place);
                Some(self.condition(predicate, function.name, false)?)
            }
            Some(_) => return self.error(code::ARITY, span, format!("{} needs a predicate", function.name)),
            None => None,
        };
        let args = std::mem::take(bound);
        let (args, ty) = self.fit_args(function.signature(), args, span)?;
        if let AggregateImpl::Rows(make) = function.imp
            && !args.iter().any(|a| a.any(&|part| matches!(part.kind, BoundKind::Unknown | BoundKind::Untyped)))
        {
            // What is wrong with the constants is known before there are rows.
            let infos: Vec<ArgInfo> = args.iter().map(|a| ArgInfo { ty: a.ty, constant: a.as_literal().cloned() }).collect();
            if let Err(message) = make(&infos, ty) {
                self.not_run(Diagnostic::error(code::CONSTANT, span, format!("{}: {message}", function.name)))?;
            }
        }
        Ok(BoundAggregate { function, args, filter, ty })
    }
}
