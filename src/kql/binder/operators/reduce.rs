//! `reduce`.

use crate::binder::expr::ExprContext;
use crate::binder::{Bind, Binder, RowInfo, Scope};
use crate::bound::*;
use crate::functions::plugins::reduce::Reduce;
use crate::functions::plugins::{PluginInput, RowTable};
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_value::{Column, Type};

use super::shape::property_text;

impl Binder<'_> {
    /// `reduce by expr with (threshold=…, characters=…)`
    pub(super) fn reduce(&mut self, input: Rel, operator: &Operator, by: &NamedExpr, scope: &Scope) -> Bind<Rel> {
        self.not_in_sub_query(operator, "reduce")?;
        let row = RowInfo::of(&input);
        let e = self.scalar(&by.expr, &mut ExprContext::new(&row, scope))?;
        let e = self.as_wanted(e, Type::String);
        if e.ty != Type::String {
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
        let marks = if reduce.source { input.hidden.clone() } else { Vec::new() };
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
        let rel = self.plugin_result(result, None, "reduce", operator.span)?;
        Ok(Self::open_as(rel, &marks))
    }
}
