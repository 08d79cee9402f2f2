//! Columns of one name in a select list are numbered, as those of a join are (`id`, `id:1`); DataFusion refuses them.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Select, SelectItem, SelectItemQualifiedWildcardKind, Statement,
    VisitMut as _, VisitorMut,
};

use super::spans;

/// Gives the later ones of a select list's columns of one name a name of their own. Names of columns are settled before.
pub(super) fn number(statement: &mut Statement) {
    struct Lists;
    impl VisitorMut for Lists {
        type Break = ();
        fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
            number_list(&mut select.projection);
            ControlFlow::Continue(())
        }
    }
    // It never breaks off.
    let _ = statement.visit(&mut Lists);
}

fn number_list(list: &mut [SelectItem]) {
    // `*` has all columns, and `t.*` all of a table, wherever they stand.
    let has_all = list.iter().any(|item| matches!(item, SelectItem::Wildcard(_)));
    let tables: Vec<String> = list.iter().filter_map(table_of_all).collect();
    // Names with their tables, and how many columns have a name without.
    let (mut seen, mut counts): (HashSet<String>, HashMap<String, usize>) = Default::default();
    for item in list {
        let (parts, is_column) = match item {
            SelectItem::UnnamedExpr(e) => (name(e), column(e).is_some()),
            SelectItem::ExprWithAlias { alias, .. } => (vec![alias.value.clone()], false),
            _ => continue,
        };
        let Some((short, table)) = parts.split_last() else { continue };
        let (full, table) = (parts.join("."), table.join("."));
        let is_in_all = is_column && (has_all || tables.contains(&table));
        let count = counts.entry(short.clone()).or_insert(usize::from(is_in_all));
        // A name without a table is that of every table's column.
        let is_again = is_in_all || seen.contains(&full) || seen.contains(short) || (*count > 0 && table.is_empty());
        if is_again && let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            let alias = Ident::with_quote('"', format!("{short}:{count}"));
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
        *count += 1;
        seen.insert(full);
    }
}

/// The table all of whose columns an item stands for.
fn table_of_all(item: &SelectItem) -> Option<String> {
    let SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(table), _) = item else { return None };
    let parts = table.0.iter().filter_map(|part| part.as_ident());
    Some(parts.map(|part| part.value.as_str()).collect::<Vec<_>>().join("."))
}

/// What is in a cast or in parentheses, which have its name.
fn inside(e: &Expr) -> Option<&Expr> {
    match e {
        Expr::Cast { expr, .. } | Expr::Nested(expr) => Some(expr),
        Expr::Function(call) if spans::is_of_cast(&call.name.to_string()) => match &call.args {
            FunctionArguments::List(list) => match list.args.as_slice() {
                [FunctionArg::Unnamed(FunctionArgExpr::Expr(e))] => Some(e),
                _ => None,
            },
            _ => None,
        },
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
