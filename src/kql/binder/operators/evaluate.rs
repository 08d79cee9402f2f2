//! `evaluate` and `reduce`.
//!
//! Plugins need all rows, and the columns of some follow from the rows; so the input is fetched while binding, and the plugin's
//! table is in the tree.

use arrow::record_batch::RecordBatch;

use crate::binder::expr::ExprContext;
use crate::binder::{Bind, BindError, Binder, FetchRequest, RowInfo, Scope, names};
use crate::bound::*;
use crate::functions::plugins::reduce::Reduce;
use crate::functions::plugins::{self, ParamKind, Plugin, PluginArg, PluginInput, PluginParam, RowTable};
use crate::functions::{ArgType, OfNoRows, Param, Registry};
use crate::room::Held;
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_value::{Column, Json, Type, Value};

use super::shape::property_text;
use crate::binder::source::empty_rel;

/// A call's arguments, bound to a plugin's parameters.
struct PluginCall {
    plugin: &'static Plugin,
    args: Vec<PluginArg>,
    /// Columns of expression arguments, appended to the input's.
    appended: Vec<(BoundColumn, BoundExpr)>,
    /// An argument's value is known only when the query runs.
    unknown: bool,
}

/// What `pivot` turns.
struct Pivot {
    /// The column whose values become columns.
    pivoted: BoundColumn,
    /// What their rows hold.
    aggregate: (ColId, BoundAggregate),
    /// The columns that stay.
    stay: Vec<BoundColumn>,
}

impl Binder<'_> {
    pub(super) fn evaluate(
        &mut self,
        input: Rel,
        operator: &Operator,
        call: &Expr,
        declared: Option<&TypeOf>,
        scope: &Scope,
    ) -> Bind<Rel> {
        self.not_in_sub_query(operator, "evaluate")?;
        let ExprKind::Call { function, args } = &call.kind else {
            return self.error(code::SYNTAX, call.span, "evaluate takes a plugin, for example: evaluate bag_unpack(d)");
        };
        let declared = declared.map(|d| declared_columns(d, &input, args));
        if function.text == "pivot" {
            return self.pivot(input, function, args, declared, scope);
        }
        let forms: Vec<&'static Plugin> = plugins::find(&function.text).collect();
        if let Some(why) = plugins::refusal(&function.text) {
            return self.refused_plugin(function, why, args, declared, Some(&input));
        }
        if forms.is_empty() {
            let mut candidates: Vec<String> = plugins::PLUGINS.iter().map(|p| p.name.to_owned()).collect();
            candidates.dedup();
            return self.unknown("plugin", function, candidates);
        }
        let row = RowInfo::of(&input);
        let before = self.diagnostics.len();
        let mut first_errors: Option<Vec<Diagnostic>> = None;
        for plugin in forms {
            match self.plugin_args(plugin, function, args, &row, scope) {
                Ok(call) => return self.run_plugin(input, call, declared, operator.span),
                Err(BindError::Reported) => {
                    let errors = self.diagnostics.split_off(before);
                    first_errors.get_or_insert(errors);
                }
                Err(stop) => return Err(stop),
            }
        }
        self.diagnostics.extend(first_errors.unwrap_or_default());
        Err(BindError::Reported)
    }

    /// A plugin that comes first in a query: all that do call another service.
    pub(super) fn evaluate_first(&mut self, operator: &Operator, call: &Expr, declared: Option<&TypeOf>) -> Bind<Rel> {
        if let ExprKind::Call { function, args } = &call.kind
            && let Some(why) = plugins::refusal(&function.text)
        {
            let declared = declared.map(|d| declared_columns(d, &empty_rel(), args));
            return self.refused_plugin(function, why, args, declared, None);
        }
        self.error(code::TYPE, operator.keyword, "evaluate needs rows: put a table and a pipe before it")
    }

    /// A plugin that does not run here. Where nothing is to be run, its result has the columns that the query says it has.
    fn refused_plugin(
        &mut self,
        name: &Name,
        why: &str,
        args: &[Arg],
        declared: Option<Vec<Column>>,
        input: Option<&Rel>,
    ) -> Bind<Rel> {
        let message = format!("the plugin {} is not supported: {why}", name.text);
        self.not_run(Diagnostic::error(code::UNSUPPORTED, name.span, message))?;
        let nothing = empty_rel();
        let input = input.unwrap_or(&nothing);
        let shape = args.first().and_then(|a| match &a.expr.kind {
            ExprKind::TypeOf(shape @ (TypeOf::Schema(_) | TypeOf::StarSchema(_))) => Some(declared_columns(shape, input, &[])),
            _ => None,
        });
        let known = match name.text.as_str() {
            "http_request" | "http_request_post" => {
                Some(vec![Column::new("ResponseHeaders", Type::Dynamic), Column::new("ResponseBody", Type::Dynamic)])
            }
            "infer_storage_schema" => Some(vec![Column::new("CslSchema", Type::String)]),
            _ => None,
        };
        Ok(match declared.or(shape).or(known) {
            Some(columns) => self.rows(columns, Vec::new()),
            None => self.unknown_table(),
        })
    }

    /// Binds arguments to one form of a plugin.
    fn plugin_args(
        &mut self,
        plugin: &'static Plugin,
        name: &Name,
        args: &[Arg],
        row: &RowInfo,
        scope: &Scope,
    ) -> Bind<PluginCall> {
        let least = plugin.params.iter().filter(|p| !p.optional).count();
        let most = if plugin.repeats { usize::MAX } else { plugin.params.len() };
        if args.len() < least || args.len() > most {
            let names = plugin.params.iter().map(|p| p.name).collect::<Vec<_>>().join(", ");
            return self.report(
                Diagnostic::error(
                    code::ARITY,
                    name.span,
                    format!("{} takes {least} arguments or more, {} given", plugin.name, args.len()),
                )
                .suggest(format!("{}({names})", plugin.name)),
            );
        }
        let mut call = PluginCall { plugin, args: Vec::new(), appended: Vec::new(), unknown: false };
        let mut place = 0;
        for arg in args {
            let named = arg.name.as_ref().and_then(|n| plugin.params.iter().position(|p| p.name == n.text));
            if let Some(at) = named {
                while call.args.len() < at {
                    call.args.push(PluginArg::Missing);
                }
                place = at;
            }
            let Some(param) = plugin.params.get(place).or(plugin.params.last()).copied() else { continue };
            place += 1;
            let bound = self.plugin_arg(&param, arg, named.is_some(), row, scope, &mut call)?;
            call.args.push(bound);
        }
        Ok(call)
    }

    fn plugin_arg(
        &mut self,
        param: &PluginParam,
        arg: &Arg,
        named: bool,
        row: &RowInfo,
        scope: &Scope,
        call: &mut PluginCall,
    ) -> Bind<PluginArg> {
        let span = arg.expr.span;
        match param.kind {
            ParamKind::ColumnOrTilde(_) | ParamKind::ConstantOrTilde(_) if matches!(&arg.expr.kind, ExprKind::Literal(Literal::String(s)) if s == "~") => {
                Ok(PluginArg::Constant(Value::String("~".to_owned()), Type::String))
            }
            ParamKind::Column(kind) | ParamKind::ColumnOrTilde(kind) => {
                let e = self.scalar(&arg.expr, &mut ExprContext::new(row, scope))?;
                let BoundKind::Column(id) = e.kind else {
                    return self.error(code::TYPE, span, format!("'{}' must be a column", param.name));
                };
                self.check_kind(param, kind, &e)?;
                match row.columns.iter().position(|c| c.id == id) {
                    Some(at) => Ok(PluginArg::Column(at)),
                    None => self.error(code::TYPE, span, format!("'{}' must be a column of the input", param.name)),
                }
            }
            ParamKind::Expression(kind) => {
                let e = self.scalar(&arg.expr, &mut ExprContext::new(row, scope))?;
                self.check_kind(param, kind, &e)?;
                // A plain column needs no copy.
                if let (BoundKind::Column(id), None) = (&e.kind, arg.name.as_ref().filter(|_| !named))
                    && let Some(at) = row.columns.iter().position(|c| c.id == *id)
                {
                    return Ok(PluginArg::Column(at));
                }
                let given = arg.name.as_ref().filter(|_| !named).map(|n| n.text.clone());
                let column_name =
                    given.or_else(|| names::derived(&arg.expr)).unwrap_or_else(|| format!("Column{}", call.appended.len() + 1));
                let at = row.columns.len() + call.appended.len();
                call.appended.push((BoundColumn { id: self.id(), name: column_name, ty: e.ty }, e));
                Ok(PluginArg::Column(at))
            }
            ParamKind::Constant(kind) | ParamKind::ConstantOrTilde(kind) => {
                let e = self.scalar(&arg.expr, &mut ExprContext::new(row, scope))?;
                self.check_kind(param, kind, &e)?;
                let ty = e.ty;
                match self.constant(&e, &format!("'{}'", param.name))? {
                    Some(value) => Ok(PluginArg::Constant(value, ty)),
                    None => {
                        call.unknown = true;
                        Ok(PluginArg::Missing)
                    }
                }
            }
            ParamKind::Table => {
                let rel = self.table(&arg.expr, scope)?;
                let columns = Self::columns_of(&rel);
                match self.rows_of(rel, None)? {
                    Some(batches) => Ok(PluginArg::Table(RowTable { columns, batches })),
                    None => Ok(PluginArg::Table(RowTable { columns, batches: Vec::new() })),
                }
            }
            ParamKind::LookupColumn(_) => {
                let table = call.args.iter().find_map(|a| match a {
                    PluginArg::Table(t) => Some(t.columns.clone()),
                    _ => None,
                });
                let columns = table.unwrap_or_default();
                let Some(name) = crate::binder::bare_name(&arg.expr) else {
                    return self.error(code::TYPE, span, format!("'{}' must be a column of the table", param.name));
                };
                match columns.iter().position(|c| c.name == name.text) {
                    Some(at) => Ok(PluginArg::Column(at)),
                    None => self.unknown("column", name, columns.into_iter().map(|c| c.name).collect()),
                }
            }
            ParamKind::Aggregate => self.unsupported(span, "an aggregate as an argument of this plugin"),
        }
    }

    fn check_kind(&mut self, param: &PluginParam, kind: ArgType, e: &BoundExpr) -> Bind<()> {
        // The same rules as for a function's parameter; nothing is converted.
        let parameter = Param { name: param.name, kind, optional: param.optional, constant: false };
        self.fit("the plugin", &parameter, e.clone()).map(|_| ())
    }

    fn run_plugin(&mut self, input: Rel, call: PluginCall, declared: Option<Vec<Column>>, span: Span) -> Bind<Rel> {
        let visible = input.columns.len();
        let mut columns: Vec<(BoundColumn, BoundExpr)> =
            input.columns.iter().map(|c| (c.clone(), BoundExpr::column(c, Span::default()))).collect();
        columns.extend(call.appended.iter().cloned());
        let all: Vec<Column> = columns.iter().map(|(c, _)| Column::new(c.name.clone(), c.ty)).collect();
        // Arguments may have the names of columns, as `EventType = EventType == 'Flood'`: the plugin knows them by their places.
        (0..).zip(&mut columns[visible..]).for_each(|(at, (column, _))| column.name = format!("__argument{at}"));
        let rel = Self::projected(input, columns);
        let known = declared.is_some() || (call.plugin.schema)(&all, &call.args).is_ok_and(|schema| schema.is_some());
        let Some(batches) = self.answer(FetchRequest { rel, limit: None, gives_columns: !known })? else {
            let schema = match declared {
                Some(declared) => Some(declared),
                None if call.unknown => None,
                None => match (call.plugin.schema)(&all, &call.args) {
                    Ok(schema) => schema,
                    Err(message) => return self.error(code::TYPE, span, format!("{}: {message}", call.plugin.name)),
                },
            };
            return Ok(self.unknown_rows(schema, &all[..visible], &call));
        };
        let table = RowTable { columns: all, batches };
        let result = PluginInput::new(&table, visible).and_then(|input| (call.plugin.run)(&input, &call.args));
        let rel = self.plugin_result(result, declared, call.plugin.name, span)?;
        Ok(if known { rel } else { self.open_without_rows(rel) })
    }

    fn plugin_result(
        &mut self,
        result: Result<RowTable, String>,
        declared: Option<Vec<Column>>,
        name: &str,
        span: Span,
    ) -> Bind<Rel> {
        let result = match declared {
            Some(declared) => result.and_then(|t| t.conform(&declared)),
            None => result,
        };
        // The input and the plugin's own memory are given back by now: the result's counts until it has been read.
        let held = |table: RowTable| Held::of(table.bytes()).map(|held| (table, held));
        match result.and_then(held) {
            Ok((table, held)) => {
                held.keep();
                Ok(self.rows(table.columns, table.batches))
            }
            Err(message) => self.error(code::TYPE, span, format!("{name}: {message}")),
        }
    }

    /// Rows in memory as a tree.
    pub(in crate::binder) fn rows(&mut self, columns: Vec<Column>, batches: Vec<RecordBatch>) -> Rel {
        let columns = columns.into_iter().map(|c| BoundColumn { id: self.id(), name: c.name, ty: c.ty }).collect();
        Rel { kind: RelKind::Rows(batches), columns, hidden: Vec::new(), serialized: false, table_name: None }
    }

    /// A result whose rows are not wanted. Where its columns follow from rows, any name may be one.
    fn unknown_rows(&mut self, schema: Option<Vec<Column>>, input: &[Column], call: &PluginCall) -> Rel {
        let open = schema.is_none();
        let columns = schema.unwrap_or_else(|| {
            // What a plugin that unpacks a column leaves of the input.
            let used: Vec<usize> = match call.args.first() {
                Some(PluginArg::Column(at)) => vec![*at],
                _ => Vec::new(),
            };
            input.iter().enumerate().filter(|(i, _)| !used.contains(i)).map(|(_, c)| c.clone()).collect()
        });
        let mut rel = self.rows(columns, Vec::new());
        if open {
            rel.hidden.push(self.open_marker());
        }
        rel
    }

    /// `pivot(column[, aggregate[, columns that stay…]])`: summarize first, then turn.
    fn pivot(&mut self, input: Rel, name: &Name, args: &[Arg], declared: Option<Vec<Column>>, scope: &Scope) -> Bind<Rel> {
        let Pivot { pivoted, aggregate: (id, aggregate), stay } = self.pivot_args(&input, name, args, scope)?;
        let empty = match (aggregate.function.of_no_rows, aggregate.ty) {
            (OfNoRows::Null, _) => Value::Null,
            (OfNoRows::Zero, Type::Real) => Value::Real(0.0),
            (OfNoRows::Zero, _) => Value::Long(0),
            (OfNoRows::EmptyArray, _) => Value::Dynamic(Json::Array(Vec::new())),
        };
        let ty = aggregate.ty;
        let mut keys = Vec::with_capacity(stay.len() + 1);
        for column in stay.iter().chain([&pivoted]) {
            let mut key = BoundExpr::column(column, name.span);
            // Dynamic values are compared by their text.
            if key.ty == Type::Dynamic {
                key = self.coerce(key, Type::String)?;
            }
            keys.push((column.name.clone(), key));
        }
        let places = keys.len();
        let mut rel = self.grouped(input, keys, vec![(id, aggregate)]);
        rel.columns.push(BoundColumn { id, name: "__aggregate".to_owned(), ty });
        let columns = Self::columns_of(&rel);
        let gives_columns = declared.is_none();
        let Some(plugin) = plugins::find("pivot").next() else { return self.unsupported(name.span, "pivot") };
        let call = PluginCall {
            plugin,
            args: vec![PluginArg::Column(places - 1), PluginArg::Column(places), PluginArg::Constant(empty, ty)],
            appended: Vec::new(),
            unknown: false,
        };
        let Some(batches) = self.answer(FetchRequest { rel, limit: None, gives_columns })? else {
            return Ok(match declared {
                Some(declared) => self.rows(declared, Vec::new()),
                None => {
                    let mut shown = columns[..places].to_vec();
                    for (column, stays) in shown.iter_mut().zip(&stay) {
                        column.ty = stays.ty;
                    }
                    self.unknown_rows(None, &shown, &call)
                }
            });
        };
        let visible = columns.len();
        let table = RowTable { columns, batches };
        let result = PluginInput::new(&table, visible).and_then(|input| (plugin.run)(&input, &call.args));
        let conformed = declared.is_some();
        let rel = self.plugin_result(result, declared, "pivot", name.span)?;
        if conformed {
            return Ok(rel);
        }
        let mut rel = self.open_without_rows(rel);
        if !Self::is_open(&rel) {
            return self.dynamic_again(rel, &stay, name.span);
        }
        rel.columns.iter_mut().zip(&stay).for_each(|(column, stays)| column.ty = stays.ty);
        Ok(rel)
    }

    /// Binds the arguments of `pivot`. Without an aggregate it counts; without columns that stay, all do that are not used.
    fn pivot_args(&mut self, input: &Rel, name: &Name, args: &[Arg], scope: &Scope) -> Bind<Pivot> {
        let row = RowInfo::of(input);
        let Some(first) = args.first() else {
            return self.error(code::ARITY, name.span, "pivot takes a column, and an aggregate");
        };
        let pivoted = self.scalar(&first.expr, &mut ExprContext::new(&row, scope))?;
        let BoundKind::Column(pivot_id) = pivoted.kind else {
            return self.error(code::TYPE, first.expr.span, "pivot takes a column");
        };
        if pivoted.ty == Type::Dynamic && !self.is_untyped(&pivoted) {
            let wrong = Diagnostic::error(code::TYPE, pivoted.span, "a dynamic value cannot name columns");
            return self.report(wrong.suggest("extend a tostring(…) of it first"));
        }
        let pivoted = BoundColumn { id: pivot_id, name: "__pivot".to_owned(), ty: pivoted.ty };
        let mut ctx = ExprContext::new(&row, scope);
        ctx.aggregates = Some(Vec::new());
        match args.get(1) {
            Some(aggregate) => {
                self.scalar(&aggregate.expr, &mut ctx)?;
            }
            None => {
                let Some(function) = Registry::get().aggregate("count") else { return self.unsupported(name.span, "pivot") };
                let aggregate = BoundAggregate { function, args: Vec::new(), filter: None, ty: Type::Long };
                self.add_aggregate(aggregate, &mut ctx, name.span);
            }
        }
        let aggregates = ctx.aggregates.take().unwrap_or_default();
        let [aggregate] = aggregates.as_slice() else {
            return self.error(code::TYPE, name.span, "the second argument of pivot is one aggregate, such as sum(x)");
        };
        let mut stay: Vec<BoundColumn> = Vec::new();
        if args.len() > 2 {
            for arg in &args[2..] {
                let e = self.scalar(&arg.expr, &mut ExprContext::new(&row, scope))?;
                match row.columns.iter().find(|c| matches!(e.kind, BoundKind::Column(id) if id == c.id)) {
                    Some(column) => stay.push(column.clone()),
                    None => return self.error(code::TYPE, arg.expr.span, "a column is expected here"),
                }
            }
        } else {
            let (_, BoundAggregate { args, filter, .. }) = aggregate;
            let used =
                |id: ColId| args.iter().chain(filter).any(|e| e.any(&|p| matches!(p.kind, BoundKind::Column(c) if c == id)));
            stay.extend(row.columns.iter().filter(|c| c.id != pivot_id && !used(c.id)).cloned());
        }
        Ok(Pivot { pivoted, aggregate: aggregate.clone(), stay })
    }

    /// Columns that stayed and were compared by their text are dynamic again.
    fn dynamic_again(&mut self, rel: Rel, stay: &[BoundColumn], span: Span) -> Bind<Rel> {
        if stay.iter().all(|c| c.ty != Type::Dynamic) {
            return Ok(rel);
        }
        let mut columns = Vec::with_capacity(rel.columns.len());
        for (i, column) in rel.columns.clone().into_iter().enumerate() {
            let e = BoundExpr::column(&column, span);
            if stay.get(i).is_some_and(|c| c.ty == Type::Dynamic) {
                let e = self.convert(e, "todynamic", Type::Dynamic)?;
                columns.push((BoundColumn { id: self.id(), name: column.name, ty: Type::Dynamic }, e));
            } else {
                columns.push((column, e));
            }
        }
        Ok(Self::projected(rel, columns))
    }

    /// `reduce by expr with (threshold=…, characters=…)`
    pub(super) fn reduce(&mut self, input: Rel, operator: &Operator, by: &NamedExpr, scope: &Scope) -> Bind<Rel> {
        self.not_in_sub_query(operator, "reduce")?;
        let row = RowInfo::of(&input);
        let e = self.scalar(&by.expr, &mut ExprContext::new(&row, scope))?;
        if e.ty != Type::String && !self.is_untyped(&e) {
            let wrong = Diagnostic::error(code::TYPE, e.span, format!("reduce takes a string, not {}", e.ty));
            return self.report(wrong.suggest("wrap it in tostring(…)"));
        }
        let option = |name: &str| operator.property(name).map(|p| property_text(&p.value));
        let mut reduce =
            Reduce { characters: option("characters"), source: option("kind").as_deref() == Some("source"), ..Reduce::default() };
        if let Some(threshold) = operator.property("threshold") {
            match property_text(&threshold.value).parse() {
                Ok(value) => reduce.threshold = value,
                Err(_) => return self.error(code::TYPE, threshold.value.span, "the threshold is a number from 0 to 1"),
            }
        }
        let visible = input.columns.len();
        let own = Self::columns_of(&input);
        let mut columns: Vec<(BoundColumn, BoundExpr)> =
            input.columns.iter().map(|c| (c.clone(), BoundExpr::column(c, Span::default()))).collect();
        columns.push((BoundColumn { id: self.id(), name: "__reduce".to_owned(), ty: e.ty }, e));
        let all: Vec<Column> = columns.iter().map(|(c, _)| Column::new(c.name.clone(), c.ty)).collect();
        let rel = Self::projected(input, columns);
        let Some(batches) = self.rows_of(rel, None)? else {
            let mut schema = reduce.schema(&own);
            if reduce.source {
                // Microsoft's language service counts all columns of the other form as well.
                schema.extend([Column::new("Count", Type::Long), Column::new("Representative", Type::String)]);
            }
            return Ok(self.rows(schema, Vec::new()));
        };
        let table = RowTable { columns: all, batches };
        let result = PluginInput::new(&table, visible).and_then(|input| reduce.run(&input, visible));
        self.plugin_result(result, None, "reduce", operator.span)
    }
}

/// The columns that a query declares behind a plugin; `*` stands for the input's but for the column that is unpacked.
fn declared_columns(declared: &TypeOf, input: &Rel, args: &[Arg]) -> Vec<Column> {
    let of = |columns: &[ColumnDecl]| columns.iter().map(|c| Column::new(c.name.text.clone(), c.ty)).collect::<Vec<_>>();
    match declared {
        TypeOf::Scalar(ty) => vec![Column::new("Column1", *ty)],
        TypeOf::Schema(columns) => of(columns),
        TypeOf::StarSchema(columns) => {
            let unpacked = args.first().and_then(|a| crate::binder::bare_name(&a.expr)).map(|n| n.text.as_str());
            let mut all: Vec<Column> = input
                .columns
                .iter()
                .filter(|c| Some(c.name.as_str()) != unpacked)
                .map(|c| Column::new(c.name.clone(), c.ty))
                .collect();
            all.extend(of(columns));
            all
        }
    }
}
