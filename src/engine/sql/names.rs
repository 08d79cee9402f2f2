//! Names that are written without quotes: they mean what has exactly this name, else the only thing that has it but for case.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, ObjectName, ObjectNamePart, Query, Select, SelectFlavor, SelectItem, Statement, TableFactor,
    Value, VisitMut as _, VisitorMut, WildcardAdditionalOptions,
};

use super::calls::PREFIX;
use super::information::{self, CATALOG, PUBLIC};
use super::{arrows, distinct_from, spans};
use kqlake_kql::functions::Registry;

/// Names with the one that an unquoted one stands for.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// These names.
    pub(super) fn of(names: impl IntoIterator<Item = String>) -> Names {
        Names(names.into_iter().collect())
    }

    /// The name in its own spelling; `None` where it has that already, or is not the only one.
    fn spelled(&self, name: &str) -> Option<&str> {
        if self.0.contains(name) {
            return None;
        }
        let mut fitting = self.0.iter().filter(|known| known.to_lowercase() == name.to_lowercase());
        fitting.next().filter(|_| fitting.next().is_none()).map(String::as_str)
    }

    fn settle(&self, ident: &mut Ident) {
        if ident.quote_style.is_none()
            && let Some(name) = self.spelled(&ident.value)
        {
            ident.value = name.to_owned();
        }
    }
}

/// Settles the names of tables and functions, writes `BETWEEN` intervals as comparisons and `FROM t` as `SELECT * FROM t`, turns
/// accesses as they are meant, and gives the tables that are named.
pub(super) fn settle_tables(statement: &mut Statement, tables: impl Iterator<Item = String>) -> Vec<String> {
    struct Tables {
        known: Names,
        named: Vec<String>,
    }
    impl VisitorMut for Tables {
        type Break = ();
        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
            let common = query.with.iter().flat_map(|with| &with.cte_tables).map(|table| table.alias.name.value.clone());
            self.known.0.extend(common);
            ControlFlow::Continue(())
        }
        fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
            if select.flavor == SelectFlavor::FromFirstNoSelect && select.projection.is_empty() {
                select.projection.push(SelectItem::Wildcard(WildcardAdditionalOptions::default()));
            }
            ControlFlow::Continue(())
        }
        fn pre_visit_relation(&mut self, name: &mut ObjectName) -> ControlFlow<()> {
            let [qualifiers @ .., ObjectNamePart::Identifier(table)] = name.0.as_mut_slice() else {
                return ControlFlow::Continue(());
            };
            let known =
                [vec![CATALOG], vec![PUBLIC, information::SCHEMA]].map(|names| Names::of(names.into_iter().map(str::to_owned)));
            for (part, names) in qualifiers.iter_mut().rev().zip(known.iter().rev()) {
                if let ObjectNamePart::Identifier(part) = part {
                    names.settle(part);
                }
            }
            let schema = qualifiers.last().and_then(ObjectNamePart::as_ident);
            if schema.is_some_and(|schema| schema.value == information::SCHEMA) {
                Names::of(information::TABLES.map(str::to_owned)).settle(table);
            } else {
                self.known.settle(table);
                self.named.push(table.value.clone());
            }
            ControlFlow::Continue(())
        }
        fn pre_visit_expr(&mut self, e: &mut Expr) -> ControlFlow<()> {
            match e {
                Expr::Function(function) => match function.name.0.as_mut_slice() {
                    [ObjectNamePart::Identifier(name)] if name.quote_style.is_none() => name.value = name.value.to_lowercase(),
                    [ObjectNamePart::Identifier(schema), ObjectNamePart::Identifier(name)]
                        if schema.value.eq_ignore_ascii_case(PREFIX) =>
                    {
                        *schema = Ident::new(PREFIX);
                        Names::of(Registry::get().scalar_names().map(str::to_owned)).settle(name);
                        name.quote_style = None;
                    }
                    _ => {}
                },
                // An operator of its own cannot be planned by anybody else.
                Expr::Between { expr, negated, low, high } => {
                    let side = |op, end: &Expr| Expr::BinaryOp { left: expr.clone(), op, right: Box::new(end.clone()) };
                    let (first, join, second) = match *negated {
                        false => (BinaryOperator::GtEq, BinaryOperator::And, BinaryOperator::LtEq),
                        true => (BinaryOperator::Lt, BinaryOperator::Or, BinaryOperator::Gt),
                    };
                    let is_time = |e: &Expr| {
                        let text = || matches!(e, Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_)));
                        matches!(e, Expr::Interval(_) | Expr::TypedString(_) | Expr::Cast { .. }) || text()
                    };
                    if is_time(low.as_ref()) || is_time(high.as_ref()) {
                        let (left, right) = (side(first, low.as_ref()), side(second, high.as_ref()));
                        let both = Expr::BinaryOp { left: Box::new(left), op: join, right: Box::new(right) };
                        *e = Expr::Nested(Box::new(both));
                    }
                }
                _ => {}
            }
            ControlFlow::Continue(())
        }
        fn post_visit_expr(&mut self, e: &mut Expr) -> ControlFlow<()> {
            arrows::turn(e);
            distinct_from::turn(e);
            spans::turn(e);
            ControlFlow::Continue(())
        }
    }
    let mut walk = Tables { known: Names::of(tables), named: Vec::new() };
    // It never breaks off.
    let _ = statement.visit(&mut walk);
    walk.named
}

/// Settles the names of columns: those of the tables, and those that the statement gives itself.
pub(super) fn settle_columns(statement: &mut Statement, columns: impl Iterator<Item = String>, tables: &[String]) {
    #[derive(Default)]
    struct Given {
        columns: Names,
        tables: Names,
    }
    impl VisitorMut for Given {
        type Break = ();
        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
            for table in query.with.iter().flat_map(|with| &with.cte_tables) {
                self.columns.0.extend(table.alias.columns.iter().map(|column| column.name.value.clone()));
            }
            ControlFlow::Continue(())
        }
        fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
            for item in &select.projection {
                if let SelectItem::ExprWithAlias { alias, .. } = item {
                    self.columns.0.insert(alias.value.clone());
                }
            }
            ControlFlow::Continue(())
        }
        fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
            let alias = match factor {
                TableFactor::Table { alias, .. } | TableFactor::Derived { alias, .. } => alias.as_ref(),
                _ => None,
            };
            if let Some(alias) = alias {
                self.tables.0.insert(alias.name.value.clone());
                self.columns.0.extend(alias.columns.iter().map(|column| column.name.value.clone()));
            }
            ControlFlow::Continue(())
        }
    }
    struct Settle(Given);
    impl VisitorMut for Settle {
        type Break = ();
        fn pre_visit_expr(&mut self, e: &mut Expr) -> ControlFlow<()> {
            match e {
                Expr::Identifier(column) => self.0.columns.settle(column),
                Expr::CompoundIdentifier(parts) => {
                    if let [table, column] = parts.as_mut_slice() {
                        self.0.tables.settle(table);
                        self.0.columns.settle(column);
                    }
                }
                _ => {}
            }
            ControlFlow::Continue(())
        }
    }
    let mut given = Given { columns: Names::of(columns), tables: Names::of(tables.iter().cloned()) };
    let _ = statement.visit(&mut given);
    let _ = statement.visit(&mut Settle(given));
}
