//! What the columns of a select list are called. Those of one name are numbered, as those of a join are (`id`, `id:1`), where
//! DataFusion refuses them. One without a name has its text as it was written, of which DataFusion only knows what it was turned to; the
//! value of a cast has the name of the column that is cast.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, Statement, TableAlias, TableFactor, TableWithJoins, VisitMut as _, VisitorMut,
    WildcardAdditionalOptions,
};

use super::{habits, spans};

/// Where a SELECT stands in the text.
type Place = (u64, u64);

fn place(select: &Select) -> Place {
    let start = select.select_token.0.span.start;
    (start.line, start.column)
}

/// The texts of select lists as they were written, by where the SELECT stands; `None` for what has a name.
#[derive(Debug, Default)]
pub(super) struct Written(HashMap<Place, Vec<Option<String>>>);

impl VisitorMut for Written {
    type Break = ();
    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let text = |item: &SelectItem| if let SelectItem::UnnamedExpr(e) = item { Some(habits::as_written(e)) } else { None };
        self.0.insert(place(select), select.projection.iter().map(text).collect());
        ControlFlow::Continue(())
    }
}

impl Written {
    /// Those of a statement of which nothing was turned.
    pub(super) fn of(statement: &mut Statement) -> Written {
        let mut written = Written::default();
        // It never breaks off.
        let _ = statement.visit(&mut written);
        written
    }

    /// Names every column of a statement that has none, as it would be called: those whose names the library makes may be one.
    pub(super) fn name_all(&self, statement: &mut Statement) {
        struct All<'w>(&'w Written);
        impl VisitorMut for All<'_> {
            type Break = ();
            fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
                let at = place(select);
                for (item_at, item) in select.projection.iter_mut().enumerate() {
                    let SelectItem::UnnamedExpr(e) = &*item else { continue };
                    let name = match column(e) {
                        _ if is_plain(e) => continue,
                        Some([.., column]) => Some(column.value.clone()),
                        _ => self.0.text(at, item_at).map(str::to_owned),
                    };
                    if let Some(name) = name {
                        *item = SelectItem::ExprWithAlias { expr: e.clone(), alias: Ident::with_quote('"', name) };
                    }
                }
                ControlFlow::Continue(())
            }
        }
        // It never breaks off.
        let _ = statement.visit(&mut All(self));
    }

    fn text(&self, select: Place, item: usize) -> Option<&str> {
        self.0.get(&select)?.get(item)?.as_deref()
    }
}

/// What a column of the result is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Header {
    /// As DataFusion calls it.
    AsPlanned,
    /// A name.
    Name(String),
    /// As many columns as `*` has.
    All,
}

/// Gives the later ones of a select list's columns of one name a name of their own, and what was turned below the outermost list its
/// text. Names of columns are settled before. `known` has the columns of the tables that are named. Gives the headers of the result.
pub(super) fn number(statement: &mut Statement, written: &Written, known: &HashMap<String, Vec<String>>) -> Vec<Header> {
    let outermost = outermost(statement).map(place);
    let mut lists = Lists { written, known, common: HashMap::new(), definitions: Vec::new(), outermost, headers: Vec::new() };
    // It never breaks off.
    let _ = statement.visit(&mut lists);
    lists.headers
}

/// The SELECT whose columns give the result's their names.
fn outermost(statement: &Statement) -> Option<&Select> {
    let Statement::Query(query) = statement else { return None };
    let mut body = query.body.as_ref();
    loop {
        body = match body {
            SetExpr::Select(select) => return Some(select),
            SetExpr::Query(query) => query.body.as_ref(),
            SetExpr::SetOperation { left, .. } => left.as_ref(),
            _ => return None,
        }
    }
}

struct Lists<'a> {
    written: &'a Written,
    known: &'a HashMap<String, Vec<String>>,
    /// The columns of common table expressions that were walked.
    common: HashMap<String, Option<Vec<String>>>,
    /// The queries of WITH that are to be walked.
    definitions: Vec<(*const Query, TableAlias)>,
    outermost: Option<Place>,
    headers: Vec<Header>,
}

impl VisitorMut for Lists<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.definitions.extend(tables.map(|table| (std::ptr::from_ref(&*table.query), table.alias.clone())));
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let query: &Query = query;
        if let Some((_, alias)) = self.definitions.iter().find(|(definition, _)| std::ptr::eq(*definition, query)) {
            let columns = named(Some(alias)).or_else(|| self.columns_of(query));
            self.common.insert(alias.name.value.clone(), columns);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let at = place(select);
        self.number_list(select, at);
        if self.outermost == Some(at) {
            self.headers = select.projection.iter().enumerate().map(|(item, e)| self.header(e, at, item)).collect();
        } else {
            self.name_turned(select, at);
        }
        ControlFlow::Continue(())
    }
}

impl Lists<'_> {
    fn number_list(&self, select: &mut Select, at: Place) {
        let tables = self.tables(&select.from);
        // `*` has all columns, and `t.*` all of a table, wherever they stand.
        let (mut has_all, mut all_of, mut in_all, mut left_out) = (false, Vec::new(), HashSet::new(), HashSet::new());
        for item in &select.projection {
            let options = match item {
                SelectItem::Wildcard(options) => {
                    has_all = true;
                    options
                }
                SelectItem::QualifiedWildcard(_, options) => {
                    all_of.extend(table_of_all(item));
                    options
                }
                _ => continue,
            };
            let out = left_out_of(options);
            in_all.extend(self.columns_of_all(item, &tables).into_iter().flatten().filter(|column| !out.contains(column)));
            left_out.extend(out);
        }
        // Names with their tables, how many columns have a name without, and the texts so far.
        let (mut seen, mut counts): (HashSet<String>, HashMap<String, usize>) = Default::default();
        let mut texts: HashMap<String, usize> = HashMap::new();
        for (item_at, item) in select.projection.iter_mut().enumerate() {
            let (parts, is_column, text) = match item {
                SelectItem::UnnamedExpr(e) => {
                    let is_column = column(e).is_some();
                    let text = if is_column { None } else { self.written.text(at, item_at) };
                    (name(e), is_column, text)
                }
                SelectItem::ExprWithAlias { alias, .. } => (vec![alias.value.clone()], false, None),
                _ => continue,
            };
            let Some((short, table)) = parts.split_last() else { continue };
            let (full, table) = (parts.join("."), table.join("."));
            let in_some = is_column && (has_all || all_of.contains(&table)) && !left_out.contains(short);
            let is_in_all = in_some || (table.is_empty() && in_all.contains(short));
            let count = counts.entry(short.clone()).or_insert(usize::from(is_in_all));
            let before = text.map_or(0, |text| texts.get(text).copied().unwrap_or_default());
            // A name without a table is that of every table's column.
            let is_again =
                is_in_all || seen.contains(&full) || seen.contains(short) || (*count > 0 && table.is_empty()) || before > 0;
            if is_again && let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                let alias = match text {
                    Some(text) if before == 0 => text.to_owned(),
                    Some(text) => format!("{text}:{before}"),
                    None => format!("{short}:{count}"),
                };
                let alias = Ident::with_quote('"', alias);
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
            }
            *count += 1;
            seen.insert(full);
            if let Some(text) = text {
                *texts.entry(text.to_owned()).or_default() += 1;
            }
        }
    }

    /// Names what was turned to something else, so that its name is not that of what it became.
    fn name_turned(&self, select: &mut Select, at: Place) {
        for (item_at, item) in select.projection.iter_mut().enumerate() {
            let (Header::Name(name), SelectItem::UnnamedExpr(e)) = (self.header(item, at, item_at), &*item) else { continue };
            if self.written.text(at, item_at).is_some_and(|text| !text.eq_ignore_ascii_case(&e.to_string())) {
                *item = SelectItem::ExprWithAlias { expr: e.clone(), alias: Ident::with_quote('"', name) };
            }
        }
    }

    fn header(&self, item: &SelectItem, at: Place, item_at: usize) -> Header {
        match item {
            SelectItem::UnnamedExpr(e) => match (is_plain(e), column(e), self.written.text(at, item_at)) {
                (true, ..) => Header::AsPlanned,
                (_, Some([.., column]), _) => Header::Name(column.value.clone()),
                (.., Some(text)) => Header::Name(text.to_owned()),
                _ => Header::AsPlanned,
            },
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => Header::All,
            _ => Header::AsPlanned,
        }
    }

    /// The tables of a FROM with their columns, as far as these are known.
    fn tables(&self, from: &[TableWithJoins]) -> Vec<(String, Option<Vec<String>>)> {
        let mut tables = Vec::new();
        for one in from {
            for factor in std::iter::once(&one.relation).chain(one.joins.iter().map(|join| &join.relation)) {
                match factor {
                    TableFactor::Table { name, alias, .. } => {
                        let parts: Vec<&str> = name.0.iter().filter_map(|part| Some(part.as_ident()?.value.as_str())).collect();
                        let last = parts.last().copied().unwrap_or_default();
                        let common = if parts.len() == 1 { self.common.get(last) } else { None };
                        let columns = common.cloned().unwrap_or_else(|| self.known.get(last).cloned());
                        let called = alias.as_ref().map_or_else(|| parts.join("."), |alias| alias.name.value.clone());
                        tables.push((called, named(alias.as_ref()).or(columns)));
                    }
                    TableFactor::Derived { subquery, alias, .. } => {
                        let called = alias.as_ref().map(|alias| alias.name.value.clone()).unwrap_or_default();
                        tables.push((called, named(alias.as_ref()).or_else(|| self.columns_of(subquery))));
                    }
                    TableFactor::NestedJoin { table_with_joins, .. } => {
                        tables.extend(self.tables(std::slice::from_ref(table_with_joins)));
                    }
                    _ => tables.push((String::new(), None)),
                }
            }
        }
        tables
    }

    /// The columns that `*` or `t.*` stands for.
    fn columns_of_all(&self, item: &SelectItem, tables: &[(String, Option<Vec<String>>)]) -> Option<Vec<String>> {
        let of = table_of_all(item);
        let meant = tables.iter().filter(|(table, _)| of.as_ref().is_none_or(|of| of == table));
        let columns: Option<Vec<Vec<String>>> = meant.map(|(_, columns)| columns.clone()).collect();
        columns.map(|columns| columns.concat())
    }

    /// The columns of a query, where they are known.
    fn columns_of(&self, query: &Query) -> Option<Vec<String>> {
        let mut body = query.body.as_ref();
        let select = loop {
            body = match body {
                SetExpr::Select(select) => break select,
                SetExpr::Query(query) => query.body.as_ref(),
                SetExpr::SetOperation { left, .. } => left.as_ref(),
                SetExpr::Values(values) => {
                    let columns = values.rows.first()?.len();
                    return Some((1..=columns).map(|column| format!("column{column}")).collect());
                }
                _ => return None,
            }
        };
        let tables = self.tables(&select.from);
        let mut columns = Vec::new();
        for item in &select.projection {
            match item {
                SelectItem::UnnamedExpr(e) => columns.extend(name(e).pop()),
                SelectItem::ExprWithAlias { alias, .. } => columns.push(alias.value.clone()),
                SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) => {
                    let out = left_out_of(options);
                    columns.extend(self.columns_of_all(item, &tables)?.into_iter().filter(|column| !out.contains(column)));
                }
                _ => return None,
            }
        }
        Some(columns)
    }
}

/// The columns that an alias names.
fn named(alias: Option<&TableAlias>) -> Option<Vec<String>> {
    let columns = &alias?.columns;
    (!columns.is_empty()).then(|| columns.iter().map(|column| column.name.value.clone()).collect())
}

/// The columns that a `*` leaves out.
fn left_out_of(options: &WildcardAdditionalOptions) -> Vec<String> {
    let last = |name: &ObjectName| Some(name.0.last()?.as_ident()?.value.clone());
    let excluded = match &options.opt_exclude {
        Some(ExcludeSelectItem::Single(name)) => last(name).into_iter().collect(),
        Some(ExcludeSelectItem::Multiple(names)) => names.iter().filter_map(last).collect(),
        None => Vec::new(),
    };
    let except = options.opt_except.iter().flat_map(|except| {
        std::iter::once(&except.first_element).chain(&except.additional_elements).map(|column| column.value.clone())
    });
    excluded.into_iter().chain(except).collect()
}

/// The table all of whose columns an item stands for.
fn table_of_all(item: &SelectItem) -> Option<String> {
    let SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(table), _) = item else { return None };
    let parts = table.0.iter().filter_map(|part| part.as_ident());
    Some(parts.map(|part| part.value.as_str()).collect::<Vec<_>>().join("."))
}

/// True for a column, in parentheses or not.
fn is_plain(e: &Expr) -> bool {
    match e {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => true,
        Expr::Nested(e) => is_plain(e),
        _ => false,
    }
}

/// What is in a cast or in parentheses, which have its name.
fn inside(e: &Expr) -> Option<&Expr> {
    match e {
        Expr::Cast { expr, .. } | Expr::Nested(expr) => Some(expr),
        Expr::Function(call) => {
            let FunctionArguments::List(list) = &call.args else { return None };
            let given = |arg| if let &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref e)) = arg { Some(e) } else { None };
            let name = call.name.to_string();
            match list.args.iter().map(given).collect::<Option<Vec<&Expr>>>()?.as_slice() {
                [e] if spans::is_of_cast(&name) => Some(e),
                args => habits::cut_cast(&name, args),
            }
        }
        _ => None,
    }
}

/// The column that an expression has its name from.
fn column(e: &Expr) -> Option<&[Ident]> {
    match e {
        Expr::Identifier(column) => Some(std::slice::from_ref(column)),
        Expr::CompoundIdentifier(parts) => Some(parts),
        e => inside(e).and_then(column),
    }
}

/// What DataFusion calls the column, with its table where the text has it.
fn name(e: &Expr) -> Vec<String> {
    match (column(e), inside(e)) {
        (Some(parts), _) => parts.iter().map(|part| part.value.clone()).collect(),
        (None, Some(e)) => name(e),
        (None, None) => vec![e.to_string()],
    }
}
