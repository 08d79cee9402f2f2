//! Columns of one name in a select list are numbered, as those of a join are (`id`, `id:1`); DataFusion refuses them.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Select, SelectItem, Statement, VisitMut as _, VisitorMut,
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
    // `*` has all columns, wherever it stands.
    let has_all = list.iter().any(|item| matches!(item, SelectItem::Wildcard(_)));
    let mut seen: HashMap<String, usize> = HashMap::new();
    for item in list {
        let (name, is_column) = match item {
            SelectItem::UnnamedExpr(e) => (name(e), column(e).is_some()),
            SelectItem::ExprWithAlias { alias, .. } => (alias.value.clone(), false),
            _ => continue,
        };
        let count = seen.entry(name.clone()).or_insert(usize::from(has_all && is_column));
        *count += 1;
        if *count > 1
            && let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
        {
            let alias = Ident::with_quote('"', format!("{name}:{}", *count - 1));
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
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

/// What DataFusion calls the column. Columns of several tables are told apart by their tables.
fn name(e: &Expr) -> String {
    match (column(e), inside(e)) {
        (Some(parts), _) => parts.iter().map(|part| part.value.as_str()).collect::<Vec<_>>().join("."),
        (None, Some(e)) => name(e),
        (None, None) => e.to_string(),
    }
}
