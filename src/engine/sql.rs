//! SQL over the lake's tables.

mod arrows;
mod calls;
mod cut_texts;
mod distinct_from;
mod habits;
mod information;
mod json_order;
mod lowered;
mod made;
mod names;
mod numbered;
mod ordered;
mod quantified;
mod refusal;
mod similar;
mod spans;
mod times;
mod tokens;

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::{FieldRef, Fields};
use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::ViewTable;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::{FunctionRegistry as _, SessionState};
use datafusion::logical_expr::builder::unique_field_aliases;
use datafusion::logical_expr::{LogicalPlan, ScalarUDF};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{Expr, ObjectName, Query, Select, Statement as SqlStatement, Visit as _, Visitor};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, Tokenizer};

pub(super) use calls::{Operators, functions};
pub(super) use information::{CATALOG, Information, PUBLIC, SCHEMA as INFORMATION};
use lowered::Promoted;
use numbered::Header;
use refusal::Refusal;
pub(super) use times::Types;

use super::files::Files;
use super::library_texts::{self, missing_table, name_twice};
use super::{Engine, ResultTable, failure, views};
use crate::error::{Error, Result};
use kqlake_lake::TableSnapshot;
use kqlake_lake::tables::{self, ColumnDef, TableDef};
use kqlake_syntax::parser::MAX_DEPTH;
use kqlake_syntax::suggest::nearest;
use kqlake_value::columns::field_type;
use kqlake_value::{Column, Type};

/// The lake as a SQL schema: every defined table, empty when the lake does not have it yet, the views, and files that were given
/// names. A table is opened once, and the query sees that one version of it.
#[derive(Debug)]
pub(super) struct LakeSchema {
    engine: Engine,
    files: Files,
    opened: Mutex<HashMap<&'static str, Option<TableSnapshot>>>,
}

impl LakeSchema {
    pub(super) fn new(engine: Engine, files: Files) -> LakeSchema {
        LakeSchema { engine, files, opened: Mutex::default() }
    }

    /// All tables, with what each is, by their names.
    pub(super) fn all(&self) -> Vec<(String, &'static str)> {
        let mut all: BTreeMap<String, &'static str> = views::all().iter().map(|view| (view.name.to_owned(), "VIEW")).collect();
        all.extend(tables::names().map(|name| (name.to_owned(), "BASE TABLE")));
        all.extend(self.files.names().map(|name| (name.clone(), "FILE")));
        all.into_iter().collect()
    }

    async fn snapshot(&self, def: &'static TableDef) -> Result<Option<TableSnapshot>, DataFusionError> {
        if let Some(known) = self.opened.lock().unwrap_or_else(PoisonError::into_inner).get(def.name) {
            return Ok(known.clone());
        }
        let snapshot = self.engine.lake.snapshot(def).await.map_err(|err| DataFusionError::External(Box::new(err)))?;
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).insert(def.name, snapshot.clone());
        Ok(snapshot)
    }

    async fn view(&self, name: &str, text: &str) -> Result<Option<ResultTable>, DataFusionError> {
        let answer = self.engine.kql(name, text, &BTreeMap::new()).await;
        let failed = |err: Error| match (self.file_of_view(name), err) {
            (Some(table), Error::Refused(_)) => {
                Error::query(format!("the view {name} cannot be made of the file that is the table {table} here"))
                    .hint("give the file the columns that the lake's table has, or another name")
            }
            (_, err) => err,
        };
        Ok(answer.map_err(|err| DataFusionError::External(Box::new(failed(err))))?.tables.pop())
    }

    /// The table whose rows a view shows, where it is a file.
    fn file_of_view(&self, name: &str) -> Option<&'static str> {
        let view = views::all().iter().find(|view| view.name == name)?;
        self.files.get(view.table).map(|_| view.table)
    }

    /// Refuses a view of a file that lacks columns of the lake's table.
    async fn check_view(&self, name: &str) -> Result<(), DataFusionError> {
        match views::find(name).filter(|_| self.file_of_view(name).is_some()) {
            Some(text) => self.view(name, text).await.map(drop),
            None => Ok(()),
        }
    }

    /// The columns of a table with KQL's types, and whether KQL hides them.
    pub(super) async fn columns(&self, name: &str) -> Result<Vec<(Column, bool)>, DataFusionError> {
        let shown = |field: &FieldRef| (Column::new(field.name(), field_type(field)), false);
        if let Some(file) = self.files.get(name) {
            return Ok(file.schema().fields().iter().map(shown).collect());
        }
        if let Some(def) = tables::find(name) {
            let mut columns: Vec<(Column, bool)> =
                def.columns.iter().map(|column| (Column::new(column.name, column.ty), column.hidden)).collect();
            // What cannot be opened has the columns of its definition.
            let snapshot = self.snapshot(def).await.ok().flatten();
            columns.extend(snapshot.iter().flat_map(|snapshot| snapshot.foreign()).map(shown));
            return Ok(columns);
        }
        let Some(view) = views::find(name) else { return Ok(Vec::new()) };
        let table = match self.view(name, view).await {
            // What is asked of the other tables has an answer.
            Err(_) if self.file_of_view(name).is_some() => return Ok(Vec::new()),
            table => table?,
        };
        Ok(table.into_iter().flat_map(|table| table.columns).map(|column| (column, false)).collect())
    }

    /// The promoted columns of a table that answer for their keys in all of its files. Only a table that was opened has any.
    fn promoted(&self, name: &str) -> Vec<Promoted> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((def, snapshot)) = tables::find(name).and_then(|def| Some((def, opened.get(def.name)?))) else {
            return Vec::new();
        };
        let answers = |column: &str| snapshot.as_ref().is_none_or(|snapshot| snapshot.promoted_complete(column));
        let of = |column: &ColumnDef| {
            let from = column.promoted.filter(|_| answers(column.name))?;
            Some(Promoted {
                bag: from.source.to_owned(),
                key: from.key.to_owned(),
                column: column.name.to_owned(),
                ty: column.ty,
            })
        };
        def.columns.iter().filter_map(of).collect()
    }
}

#[async_trait]
impl SchemaProvider for LakeSchema {
    fn table_names(&self) -> Vec<String> {
        self.all().into_iter().map(|(name, _)| name).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        if let Some(file) = self.files.get(name) {
            return Ok(Some(Arc::clone(file)));
        }
        if let Some(def) = tables::find(name) {
            let lake = &self.engine.lake;
            if self.engine.options.lake_must_exist && !lake.root().is_dir() {
                lake.check().await.map_err(|err| DataFusionError::External(Box::new(err)))?;
                return Err(DataFusionError::External(Box::new(Error::no_lake(lake.root()))));
            }
            return match self.snapshot(def).await? {
                Some(snapshot) => Ok(Some(snapshot.provider())),
                None => self.engine.lake.provider(def).await.map(Some).map_err(|err| DataFusionError::External(Box::new(err))),
            };
        }
        let Some(view) = views::find(name) else { return Ok(None) };
        let table = self.view(name, view).await?;
        Ok(table.map(|table| Arc::new(ViewTable::new(table.plan, None)) as Arc<dyn TableProvider>))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.files.get(name).is_some() || tables::find(name).is_some() || views::find(name).is_some()
    }
}

/// Bytes of a text. Its tree is as deep as the text is long, when that is one chain of operators, and must fit the stack.
const MAX_TEXT: usize = 2 << 20;
/// Operators of a plan, those of a common table expression counted wherever it is used.
const MAX_OPERATORS: usize = 2_000;

/// Levels of WITH inside of the definitions of another WITH: DataFusion looks for the tables of each level twice.
const MAX_NESTED_WITH: usize = 10;

/// Plans one statement. Only queries and EXPLAIN are allowed, within the limits that KQL has.
pub(super) async fn plan(session: &SessionContext, text: &str, schema: &LakeSchema) -> Result<(Vec<Column>, LogicalPlan)> {
    if text.len() > MAX_TEXT {
        return Err(Error::query(format!("the text is too long: SQL may have {MAX_TEXT} bytes, these are {}", text.len())));
    }
    let fail = |err: DataFusionError| wrong(err, text, None);
    // The optimizer looks functions up as well, and must find those that can be run.
    let mut state = session.state();
    spans::register(&mut state).and_then(|()| cut_texts::register(&mut state)).map_err(fail)?;
    state.register_udf(Arc::new(ScalarUDF::from(times::TimeOf::new()))).map_err(fail)?;
    let mut statement = parsed(text, &state)?;
    check_text(&statement)?;
    let mut written = numbered::Written::default();
    if let Some(sql) = innermost(&mut statement) {
        habits::check_kind(sql).map_err(|refusal| refusal.in_text(text))?;
        written = numbered::Written::of(sql);
        turned(sql, &state).map_err(|refusal| refusal.in_text(text))?;
    }
    let mut headers = settle(&mut statement, &written, schema).await.map_err(fail)?;
    if !matches!(&statement, Statement::Statement(_)) {
        headers.clear();
    }
    if let Some(name) = innermost(&mut statement).and_then(|sql| information::described(sql)) {
        if !schema.table_exist(&name) {
            let place = refusal::named(text, &name, false);
            return Err(Refusal::from(no_table(&name, schema)).at(place).in_text(text));
        }
        schema.check_view(&name).await.map_err(fail)?;
    }
    if let Some(query) = innermost(&mut statement).and_then(|sql| information::query_of(sql)) {
        statement = parsed(&query, &state)?;
    }
    let plan = planned(&mut state, statement, &written, text, schema).await?;
    let only_queries = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    only_queries.verify_plan(&plan).map_err(|_| no_query())?;
    check_size(&plan)?;
    let plan = quantified::settled(plan).map_err(fail)?;
    json_order::check(&plan).map_err(fail)?;
    let plan = lowered::lowered(plan, &|table| schema.promoted(table)).map_err(fail)?;
    Ok((columns_of(&plan, &headers)?, plan))
}

/// The statement of a text.
///
/// # Errors
/// It is no SQL, or more than one statement.
fn parsed(text: &str, state: &SessionState) -> Result<Statement> {
    let limit = state.config().options().sql_parser.recursion_limit.get();
    let parser = match tokens::of(text) {
        Some(tokens) => DFParserBuilder::new(tokens).with_recursion_limit(limit).build(),
        None => DFParserBuilder::new(text).with_recursion_limit(limit).build(),
    };
    let statements = parser.and_then(|mut parser| parser.parse_statements());
    let mut statements = match statements {
        Ok(statements) => statements,
        Err(_) if nesting(text) > PARSED_NESTING => return Err(nested_text()),
        Err(err) => {
            let (message, place) = refusal::of_parser(text, &failure::of_sql(err, usize::MAX).to_string());
            let error = advised(Error::query(message), habits::advice(text));
            return Err(Refusal::from(error).at(place).in_text(text));
        }
    };
    match (statements.pop_front(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        (None, _) => Err(Error::query("the text has no query").hint("start with SELECT or WITH")),
        (Some(_), false) => {
            let error = Error::query("there is more than one statement");
            Err(error.hint("one is run at a time; WITH gives parts of a query names"))
        }
    }
}

/// Turns habits of other dialects.
fn turned(sql: &mut SqlStatement, state: &SessionState) -> Result<(), Refusal> {
    let (values, aggregates, windows) = (state.scalar_functions(), state.aggregate_functions(), state.window_functions());
    let is_known = |name: &str| values.contains_key(name) || aggregates.contains_key(name) || windows.contains_key(name);
    // Those with a blank stand for parts of the text that are no functions.
    let names = || {
        let all = values.keys().chain(aggregates.keys()).chain(windows.keys());
        all.filter(|name| !name.contains(' ')).cloned().collect::<Vec<_>>()
    };
    let rows = |name: &str| state.table_functions().contains_key(name);
    habits::turn(sql, &habits::Known { values: &is_known, rows: &rows, names: &names })
}

/// The plan of a statement.
///
/// # Errors
/// What is wrong with it, with its place.
async fn planned(
    state: &mut SessionState,
    statement: Statement,
    written: &numbered::Written,
    text: &str,
    schema: &LakeSchema,
) -> Result<LogicalPlan> {
    let mut again = statement.clone();
    let mut err = match state.statement_to_plan(statement).await {
        Ok(plan) => return Ok(plan),
        Err(err) => err,
    };
    // What differs in the text may be one expression once it is planned.
    if name_twice(&err)
        && let Some(sql) = innermost(&mut again)
    {
        written.name_all(sql);
        match state.statement_to_plan(again.clone()).await {
            Ok(plan) => return Ok(plan),
            Err(other) => err = other,
        }
    }
    // Places are noted only where something is wrong: they would be part of every plan.
    state.config_mut().options_mut().sql_parser.collect_spans = true;
    let place = match state.statement_to_plan(again).await {
        Ok(_) => None,
        Err(noted) => refusal::noted(&noted),
    };
    if let Some((name, error)) = unknown_table(&err, schema) {
        let place = place.or_else(|| refusal::named(text, &name, false));
        let error = if habits::is_defined(text, &name) { error.hint(RECURSIVE) } else { error };
        return Err(Refusal::from(error).at(place).in_text(text));
    }
    Err(wrong(err, text, place))
}

/// What to write where a definition of WITH reads itself.
const RECURSIVE: &str = "a definition that reads itself stands behind WITH RECURSIVE";

/// What is wrong with a text, at its place.
fn wrong(err: DataFusionError, text: &str, place: Option<Span>) -> Error {
    let error = failure::of_sql(err, usize::MAX);
    let message = error.to_string();
    let place = place.or_else(|| {
        let (name, is_call) = library_texts::name_in(&message)?;
        refusal::named(text, name, is_call)
    });
    let advice = habits::column_advice(text, &message);
    Refusal::from(advised(error, advice)).at(place).in_text(text)
}

fn no_query() -> Error {
    Error::query("only queries are allowed: the lake is written by imports alone").hint("start with SELECT or WITH")
}

/// An error with advice, where it has none.
fn advised(error: Error, advice: Option<&str>) -> Error {
    match advice {
        Some(advice) if error.advice().is_none() => error.hint(advice),
        _ => error,
    }
}

/// The columns of a result, each with a name of its own: those of a join that have one name are numbered (`id`, `id:1`), as DataFusion
/// numbers those of a subquery.
///
/// # Errors
/// The query names none.
fn columns_of(plan: &LogicalPlan, headers: &[Header]) -> Result<Vec<Column>> {
    let fields = plan.schema().fields();
    if fields.is_empty() {
        return Err(Error::query("the query names no columns").hint("SELECT * gives all of them"));
    }
    // Those before the first `*` count from the beginning, and those behind the last one from the end.
    let before = headers.iter().take_while(|header| **header != Header::All).count();
    let behind = headers.iter().rev().take_while(|header| **header != Header::All).count();
    let count = fields.len();
    let header = |at: usize| match count - at {
        _ if before == headers.len() && before != count => None,
        _ if at < before => headers.get(at),
        from_end if from_end <= behind => headers.get(headers.len() - from_end),
        _ => None,
    };
    let named = |(at, field): (usize, &FieldRef)| match header(at) {
        Some(Header::Name(name)) => Arc::new(field.as_ref().clone().with_name(name)),
        _ => Arc::clone(field),
    };
    let fields: Fields = fields.iter().enumerate().map(named).collect();
    let numbered = unique_field_aliases(&fields).into_iter();
    let column =
        |(field, name): (&FieldRef, Option<String>)| Column::new(name.as_deref().unwrap_or(field.name()), result_type(field));
    Ok(fields.iter().zip(numbered).map(column).collect())
}

/// The KQL type of a result's column. Decimals with more digits behind the point than KQL's have are texts, with all of their digits.
fn result_type(field: &FieldRef) -> Type {
    use arrow::datatypes::DataType as D;
    match field.data_type() {
        D::Decimal32(_, scale) | D::Decimal64(_, scale) | D::Decimal128(_, scale) | D::Decimal256(_, scale)
            if *scale > DECIMAL_SCALE =>
        {
            Type::String
        }
        _ => field_type(field),
    }
}

/// Digits behind the point of KQL's decimals.
const DECIMAL_SCALE: i8 = 18;

/// The statement of SQL that is to be planned or explained.
fn innermost(statement: &mut Statement) -> Option<&mut SqlStatement> {
    match statement {
        Statement::Explain(explain) => innermost(&mut explain.statement),
        Statement::Statement(sql) => Some(sql),
        _ => None,
    }
}

/// Writes names without quotes as what they stand for has them. Gives the headers of the result.
async fn settle(
    statement: &mut Statement,
    written: &numbered::Written,
    schema: &LakeSchema,
) -> Result<Vec<Header>, DataFusionError> {
    let Some(sql) = innermost(statement) else { return Ok(Vec::new()) };
    let named = names::settle_tables(sql, schema.table_names().into_iter());
    let mut columns: HashMap<String, Vec<String>> = HashMap::new();
    for table in &named {
        let of_table = schema.columns(table).await?.into_iter().map(|(column, _)| column.name).collect::<Vec<_>>();
        if !of_table.is_empty() {
            columns.insert(table.clone(), of_table);
        }
    }
    names::settle_columns(sql, columns.values().flatten().cloned(), &named);
    similar::turn(sql);
    ordered::turn(sql);
    Ok(numbered::number(sql, written, &columns))
}

/// Refuses patterns that are not known, expressions that are nested deeper than those of KQL may be, and more SELECTs or tables than a plan may have operators:
/// a few definitions that use one another twice make millions, and planning walks through all of them.
fn check_text(mut statement: &Statement) -> Result<()> {
    /// A query that is being walked: its tables so far, and what its common table expressions stand for.
    #[derive(Default)]
    struct Frame {
        tables: usize,
        /// The queries of its WITH, with their names, which are walked before its body.
        definitions: Vec<(*const Query, String)>,
        /// How many tables each name stands for, those that a definition uses counted as often as it uses them.
        common: HashMap<String, usize>,
        /// It is itself a common table expression.
        is_definition: bool,
    }
    impl Frame {
        /// The name that its WITH gives a query.
        fn definition(&self, query: &Query) -> Option<&str> {
            self.definitions.iter().find(|(definition, _)| std::ptr::eq(*definition, query)).map(|(_, name)| name.as_str())
        }
    }
    #[derive(Default)]
    struct Size {
        depth: u32,
        selects: usize,
        frames: Vec<Frame>,
    }
    impl Size {
        fn count(&mut self, tables: usize) -> ControlFlow<Error> {
            let Some(frame) = self.frames.last_mut() else { return ControlFlow::Continue(()) };
            frame.tables = frame.tables.saturating_add(tables);
            if frame.tables > MAX_OPERATORS { ControlFlow::Break(too_many()) } else { ControlFlow::Continue(()) }
        }
    }
    impl Visitor for Size {
        type Break = Error;
        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
            let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
            let definitions = ctes.map(|cte| (std::ptr::from_ref(&*cte.query), cte.alias.name.value.clone())).collect();
            let is_definition = self.frames.last().is_some_and(|outer| outer.definition(query).is_some());
            self.frames.push(Frame { definitions, is_definition, ..Frame::default() });
            let nested = self.frames.iter().filter(|frame| frame.is_definition).count();
            if nested > MAX_NESTED_WITH { ControlFlow::Break(too_nested()) } else { ControlFlow::Continue(()) }
        }
        fn post_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
            let tables = self.frames.pop().map_or(0, |frame| frame.tables);
            let Some(outer) = self.frames.last_mut() else { return ControlFlow::Continue(()) };
            match outer.definition(query).map(str::to_owned) {
                Some(name) => {
                    outer.common.insert(name, tables.max(1));
                    ControlFlow::Continue(())
                }
                None => self.count(tables),
            }
        }
        fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<Error> {
            // Only a name of one part may be that of a common table expression, quoted or not.
            let common = match name.0.as_slice() {
                [part] => part.as_ident().map(|ident| ident.value.as_str()),
                _ => None,
            };
            let stands_for = common.and_then(|name| self.frames.iter().rev().find_map(|frame| frame.common.get(name)));
            self.count(stands_for.copied().unwrap_or(1))
        }
        fn pre_visit_select(&mut self, _: &Select) -> ControlFlow<Error> {
            self.selects += 1;
            if self.selects > MAX_OPERATORS { ControlFlow::Break(too_many()) } else { ControlFlow::Continue(()) }
        }
        fn pre_visit_expr(&mut self, e: &Expr) -> ControlFlow<Error> {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return ControlFlow::Break(too_deep());
            }
            if similar::is_known(e) { ControlFlow::Continue(()) } else { ControlFlow::Break(no_pattern()) }
        }
        fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<Error> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }
    }
    while let Statement::Explain(explain) = statement {
        statement = &explain.statement;
    }
    // What is no statement of SQL itself is no query either, and refused later.
    let Statement::Statement(sql) = statement else { return Ok(()) };
    match sql.visit(&mut Size::default()) {
        ControlFlow::Break(err) => Err(err),
        ControlFlow::Continue(()) => Ok(()),
    }
}

fn no_pattern() -> Error {
    Error::query("SIMILAR TO takes a pattern that is written out, and an ESCAPE of one character")
        .hint("regexp_like(text, pattern) takes a regular expression of any column")
}

fn too_deep() -> Error {
    let message = format!("an expression is too deep: at most {MAX_DEPTH} levels are read, and each operator in a row is one");
    Error::query(message).hint("write a long chain of OR as IN (…)")
}

/// Levels of nesting that the parser reads in any case.
const PARSED_NESTING: usize = 45;

/// How deep a text nests: parentheses, CASE … END, and operators in a row before their operand. Where the parser gives up at
/// its limit, it may take the rest of the text for what is wrong.
fn nesting(text: &str) -> usize {
    let (mut open, mut in_row, mut most) = (0usize, 0, 0);
    for token in Tokenizer::new(&GenericDialect {}, text).tokenize().unwrap_or_default() {
        let keyword = if let Token::Word(word) = &token { word.keyword } else { Keyword::NoKeyword };
        match token {
            Token::Whitespace(_) => continue,
            Token::Minus | Token::Plus | Token::Tilde => in_row += 1,
            _ if keyword == Keyword::NOT => in_row += 1,
            _ => in_row = 0,
        }
        if token == Token::LParen || keyword == Keyword::CASE {
            open += 1;
        } else if token == Token::RParen || keyword == Keyword::END {
            open = open.saturating_sub(1);
        }
        most = most.max(open + in_row);
    }
    most
}

fn nested_text() -> Error {
    Error::query("the query is nested too deeply").hint("name inner parts in WITH, or write CASE with several WHEN")
}

fn too_nested() -> Error {
    Error::query(format!("WITH stands inside of WITH in more than {MAX_NESTED_WITH} levels"))
        .hint("write the definitions one after the other in one WITH")
}

fn too_many() -> Error {
    Error::query(format!("the query has more than {MAX_OPERATORS} operators"))
        .hint("WITH repeats a definition wherever it is used: use it once, or join fewer tables")
}

/// Refuses plans of more operators than a query of KQL may have.
fn check_size(plan: &LogicalPlan) -> Result<()> {
    let mut operators = 0;
    let walked = plan.apply_with_subqueries(|_| {
        operators += 1;
        Ok(if operators > MAX_OPERATORS { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    walked.map_err(|err| failure::of_sql(err, usize::MAX))?;
    if operators > MAX_OPERATORS { Err(too_many()) } else { Ok(()) }
}

/// `table 'kqlake.public.Traces' not found` in our own words, with the nearest name.
fn unknown_table(err: &DataFusionError, schema: &LakeSchema) -> Option<(String, Error)> {
    let name = missing_table(err)?;
    let known = schema.table_names();
    let error = if known.contains(&name) {
        let error = Error::query(format!("the table `{name}` is in the schema `{CATALOG}.{PUBLIC}`, which has no other name"));
        error.hint(format!("write `{name}` alone"))
    } else {
        no_table(&name, schema)
    };
    Some((name, error))
}

fn no_table(name: &str, schema: &LakeSchema) -> Error {
    let error = Error::query(format!("there is no table `{name}`"));
    match nearest(name, schema.table_names().iter().map(String::as_str)) {
        _ if habits::table_advice(name).is_some() => advised(error, habits::table_advice(name)),
        Some(near) => error.hint(format!("did you mean `{near}`? Names in quotes are case-sensitive")),
        None => error.hint("`kqlake tables` lists the tables"),
    }
}
