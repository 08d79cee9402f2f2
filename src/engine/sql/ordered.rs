//! `ORDER BY` of distinct rows: an expression of the select list is the column that it gives. DataFusion knows such a column by its
//! place or its name alone.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, OrderByKind, Query, Select, SelectItem, SetExpr, Statement, VisitMut as _, VisitorMut,
};

use super::made::number;

/// Puts places in the stead of such expressions, where names are as they stay.
pub(super) fn turn(statement: &mut Statement) {
    struct Orders;
    impl VisitorMut for Orders {
        type Break = ();
        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
            of_query(query);
            ControlFlow::Continue(())
        }
    }
    // It never breaks off.
    let _ = statement.visit(&mut Orders);
}

fn of_query(query: &mut Query) {
    let Some(OrderByKind::Expressions(by)) = query.order_by.as_mut().map(|by| &mut by.kind) else { return };
    let Some(select) = list(&query.body) else { return };
    // What `*` stands for has no number here.
    let items = select.projection.iter().map_while(|item| match item {
        SelectItem::UnnamedExpr(e) | SelectItem::ExprWithAlias { expr: e, .. } => Some(e.to_string()),
        _ => None,
    });
    let items: Vec<String> = items.collect();
    for one in by.iter_mut().filter(|one| !matches!(one.expr, Expr::Identifier(_) | Expr::Value(_))) {
        let text = one.expr.to_string();
        if let Some(place) = items.iter().position(|item| *item == text) {
            one.expr = number(place + 1);
        }
    }
}

/// The select list whose columns are ordered: that of distinct rows, or the first of several queries.
fn list(body: &SetExpr) -> Option<&Select> {
    match body {
        SetExpr::Select(select) => matches!(select.distinct, Some(Distinct::Distinct)).then_some(select),
        SetExpr::Query(_) => None,
        SetExpr::SetOperation { left, .. } => first(left),
        _ => None,
    }
}

fn first(body: &SetExpr) -> Option<&Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(query) => first(&query.body),
        SetExpr::SetOperation { left, .. } => first(left),
        _ => None,
    }
}
