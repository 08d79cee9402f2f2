//! `evaluate`.
//!
//! Plugins need all rows, and the columns of some follow from the rows; so the input is fetched while binding, and the plugin's
//! table is in the tree.

use arrow::record_batch::RecordBatch;

use crate::binder::expr::ExprContext;
use crate::binder::{Bind, BindError, Binder, RowInfo, Scope, names};
use crate::bound::*;
use crate::functions::plugins::{self, ParamKind, Plugin, PluginArg, PluginInput, PluginParam, RowTable};
use crate::functions::{ArgType, Param};
use crate::room::Held;
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_value::{Column, Type, Value};

use crate::binder::source::empty_rel;

/// A call's arguments, bound to a plugin's parameters.
pub(super) struct PluginCall {
    pub(super) plugin: &'static Plugin,
    pub(super) args: Vec<PluginArg>,
    /// Columns of expression arguments, appended to the input's.
    pub(super) appended: Vec<(BoundColumn, BoundExpr)>,
    /// An argument's value is known only when the query runs.
    pub(super) unknown: bool,
    /// The columns of a tabular argument, and what marks it as a table of which more columns may be named.
    pub(super) looked_up: RowInfo,
}

impl PluginCall {
    /// What a plugin that unpacks a column leaves of the input.
    fn left(&self, input: &[Column]) -> Vec<Column> {
        let used = |at: usize| matches!(self.args.first(), Some(PluginArg::Column(used)) if *used == at);
        input.iter().enumerate().filter(|(at, _)| !used(*at)).map(|(_, c)| c.clone()).collect()
    }

    /// The places of the input's columns, and of those appended to them, that are arguments.
    fn own_columns(&self) -> impl Iterator<Item = usize> + '_ {
        let params = (0..).map(|at| self.plugin.params.get(at).or(self.plugin.params.last()));
        self.args.iter().zip(params).filter_map(|(arg, param)| match (arg, param.map(|p| p.kind)) {
            (_, Some(ParamKind::LookupColumn(_))) => None,
            (PluginArg::Column(at), _) => Some(*at),
            _ => None,
        })
    }

    /// How the names of the columns begin that a plugin unpacks.
    fn prefix(&self) -> &str {
        match self.args.get(1) {
            Some(PluginArg::Constant(Value::String(prefix), _)) => prefix,
            _ => "",
        }
    }

    /// True where a column that the input has beside those that are known is one of the result.
    fn hands_on(&self, all: &[Column]) -> bool {
        let more = Column::new("__more", Type::String);
        let all: Vec<Column> = all.iter().cloned().chain([more.clone()]).collect();
        match (self.plugin.schema)(&all, &self.args) {
            Ok(Some(schema)) => schema.contains(&more),
            // What unpacks a column leaves the others.
            Ok(None) => true,
            Err(_) => false,
        }
    }
}

/// What is known of columns that follow from rows.
pub(super) struct ColumnsOfRows {
    /// The columns that are there whatever the rows are.
    pub(super) left: Vec<Column>,
    /// The type of the others, where it is known.
    pub(super) ty: Option<Type>,
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
        let mut call =
            PluginCall { plugin, args: Vec::new(), appended: Vec::new(), unknown: false, looked_up: RowInfo::default() };
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
                // A plain column needs no copy; a condition is none of the result's columns.
                if let (BoundKind::Column(id), None) = (&e.kind, arg.name.as_ref().filter(|_| !named))
                    && kind != ArgType::Bool
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
                call.looked_up = RowInfo::of(&rel);
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
                    None if self.may_have(name, &call.looked_up.hidden) => {
                        call.unknown = true;
                        Ok(PluginArg::Missing)
                    }
                    None => self.unknown("column", name, columns.into_iter().map(|c| c.name).collect()),
                }
            }
            ParamKind::Aggregate => self.unsupported(span, "an aggregate as an argument of this plugin"),
        }
    }

    /// True for a name that may be a column of a table of which more columns may be named.
    fn may_have(&mut self, name: &Name, marks: &[HiddenColumn]) -> bool {
        if self.checking { marks.iter().any(|h| !h.is_column()) } else { self.infer(name, marks).is_some() }
    }

    fn check_kind(&mut self, param: &PluginParam, kind: ArgType, e: &BoundExpr) -> Bind<()> {
        // The same rules as for a function's parameter; nothing is converted.
        let parameter = Param { name: param.name, kind, optional: param.optional, constant: false };
        self.fit("the plugin", &parameter, e.clone()).map(|_| ())
    }

    /// Gives columns of unknown types among a plugin's arguments types that it takes: the first with which it has a result of no rows.
    /// Of a call that is wrong whatever they are the plugin says what is wrong.
    fn type_arguments(&mut self, call: &PluginCall, columns: &mut [(BoundColumn, BoundExpr)], visible: usize, untyped: &[usize]) {
        use Type as T;
        let instants = |arg: &PluginArg| matches!(arg, PluginArg::Constant(_, T::DateTime | T::TimeSpan));
        // An axis is more likely than a measure, and that than anything else; constants are places and distances on it.
        let likely = if call.args.iter().any(instants) {
            [T::DateTime, T::TimeSpan, T::Long]
        } else {
            [T::Long, T::DateTime, T::TimeSpan]
        };
        let types = likely.into_iter().chain([T::Real, T::String, T::Bool, T::Int]);
        let runs = |types: &[(usize, Type)]| {
            let mut table = RowTable::default();
            table.columns.extend(columns.iter().map(|(c, _)| Column::new(c.name.clone(), c.ty)));
            types.iter().for_each(|(at, ty)| table.columns[*at].ty = *ty);
            PluginInput::new(&table, visible).and_then(|input| (call.plugin.run)(&input, &call.args)).is_ok()
        };
        if untyped.is_empty() || call.unknown || runs(&[]) {
            return;
        }
        let each = untyped.iter().flat_map(|at| types.clone().map(|ty| vec![(*at, ty)]));
        let all = types.clone().map(|ty| untyped.iter().map(|at| (*at, ty)).collect());
        let types = each.chain(all).find(|types| runs(types)).unwrap_or_default();
        for (at, ty) in types {
            let (column, e) = &columns[at];
            let typed = BoundColumn { id: self.id(), name: column.name.clone(), ty };
            let e = self.as_wanted(e.clone(), ty);
            columns[at] = (typed, e);
        }
    }

    fn run_plugin(&mut self, input: Rel, call: PluginCall, declared: Option<Vec<Column>>, span: Span) -> Bind<Rel> {
        let (own, marks) = (input.columns.clone(), input.hidden.clone());
        let visible = own.len();
        let mut columns: Vec<(BoundColumn, BoundExpr)> =
            own.iter().map(|c| (c.clone(), BoundExpr::column(c, Span::default()))).collect();
        columns.extend(call.appended.iter().cloned());
        let untyped: Vec<usize> = call.own_columns().filter(|at| self.is_untyped(&columns[*at].1)).collect();
        let untyped_names: Vec<(ColId, String)> =
            untyped.iter().map(|at| (columns[*at].0.id, columns[*at].0.name.clone())).collect();
        self.type_arguments(&call, &mut columns, visible, &untyped);
        let all: Vec<Column> = columns.iter().map(|(c, _)| Column::new(c.name.clone(), c.ty)).collect();
        // Arguments may have the names of columns, as `EventType = EventType == 'Flood'`: the plugin knows them by their places.
        (0..).zip(&mut columns[visible..]).for_each(|(at, (column, _))| column.name = format!("__argument{at}"));
        let rel = Self::projected(input, columns);
        let schema = match &declared {
            Some(declared) => Ok(Some(declared.clone())),
            None if call.unknown => Ok(None),
            None => (call.plugin.schema)(&all, &call.args),
        };
        let hands_on = declared.is_none() && call.hands_on(&all);
        let follows = matches!(schema, Ok(None)).then(|| ColumnsOfRows { left: call.left(&all[..visible]), ty: None });
        let rel = match (self.rows_of(rel, None)?, follows) {
            (None, Some(follows)) => self.columns_of_rows(None, &follows, &call, span),
            (None, None) => match schema {
                Ok(schema) => self.rows(schema.unwrap_or_default(), Vec::new()),
                Err(message) => return self.error(code::TYPE, span, format!("{}: {message}", call.plugin.name)),
            },
            (Some(batches), follows) => {
                let table = RowTable { columns: all, batches };
                let result = PluginInput::new(&table, visible).and_then(|input| (call.plugin.run)(&input, &call.args));
                let rel = self.plugin_result(result, declared, call.plugin.name, span)?;
                match follows {
                    Some(follows) => self.columns_of_rows(Some(rel), &follows, &call, span),
                    None => rel,
                }
            }
        };
        for (id, name) in &untyped_names {
            if let Some(same) = rel.columns.iter().find(|c| c.name == *name) {
                self.untyped.pass_on(*id, same.id);
            }
        }
        if !hands_on {
            return Ok(rel);
        }
        // The columns of a table that is looked up are the result's as well.
        for column in own.iter().chain(&call.looked_up.columns) {
            if let Some(same) = rel.columns.iter().find(|c| c.name == column.name) {
                self.untyped.pass_on(column.id, same.id);
            }
        }
        Ok(Self::open_as(Self::open_as(rel, &marks), &call.looked_up.hidden))
    }

    /// The result of a plugin whose columns follow from rows: where there are none that say something of them, or where the rows are
    /// not those that the query will have, any name may be a column.
    pub(super) fn columns_of_rows(&mut self, rel: Option<Rel>, follows: &ColumnsOfRows, call: &PluginCall, span: Span) -> Rel {
        let rows = rel.filter(|_| !(self.without_rows && self.lacks_rows));
        let has_rows = |rel: &Rel| matches!(&rel.kind, RelKind::Rows(batches) if batches.iter().any(|b| b.num_rows() > 0));
        let rel = match rows {
            Some(rel) if has_rows(&rel) => {
                if rel.columns.len() > follows.left.len() {
                    return rel;
                }
                rel
            }
            _ => self.rows(follows.left.clone(), Vec::new()),
        };
        if self.checking {
            let mut rel = rel;
            rel.hidden.push(self.open_marker());
            return rel;
        }
        self.open_table(rel, span, call.prefix(), follows.ty)
    }

    pub(super) fn plugin_result(
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
