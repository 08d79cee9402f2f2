//! `getschema`, `as`, `consume`, `render`.

use std::rc::Rc;

use crate::kql::ast::*;
use crate::kql::binder::{Bind, Binder, Binding, Scope};
use crate::kql::bound::*;
use crate::kql::types::Type;
use crate::kql::value::Value;

/// Visualizations that the language documents.
const RENDER_KINDS: [&str; 20] = [
    "table",
    "list",
    "barchart",
    "columnchart",
    "piechart",
    "timechart",
    "linechart",
    "areachart",
    "stackedareachart",
    "scatterchart",
    "anomalychart",
    "ladderchart",
    "pivotchart",
    "timepivot",
    "timeline",
    "card",
    "treemap",
    "plotly",
    "graph",
    "sankey",
];

impl Binder<'_> {
    pub(super) fn getschema(&mut self, input: &Rel, _span: Span) -> Bind<Rel> {
        // The engine counts in int, Microsoft's language service says long.
        let shape = [
            ("ColumnName", Type::String),
            ("ColumnOrdinal", if self.checking { Type::Long } else { Type::Int }),
            ("DataType", Type::String),
            ("ColumnType", Type::String),
        ];
        let columns = shape.iter().map(|(name, ty)| BoundColumn { id: self.id(), name: (*name).to_owned(), ty: *ty }).collect();
        let rows = input
            .columns
            .iter()
            .enumerate()
            .map(|(i, c)| {
                vec![
                    Value::String(c.name.clone()),
                    match i32::try_from(i) {
                        Ok(i) if !self.checking => Value::Int(i),
                        _ => Value::Long(i64::try_from(i).unwrap_or(i64::MAX)),
                    },
                    Value::String(c.ty.dotnet_name().to_owned()),
                    Value::String(c.ty.name().to_owned()),
                ]
            })
            .collect();
        Ok(Rel { kind: RelKind::Values(rows), columns, hidden: Vec::new(), serialized: true, table_name: None })
    }

    pub(super) fn alias(&mut self, mut input: Rel, name: &Name, scope: &Scope) -> Bind<Rel> {
        input.table_name = Some(name.text.clone());
        scope.define(&name.text, Binding::Bound(Rc::new(input.clone())));
        Ok(input)
    }

    pub(super) fn consume(&mut self, input: Rel) -> Bind<Rel> {
        let mut rel = self.limited(input, 0);
        rel.columns.clear();
        Ok(rel)
    }

    /// `render` changes no row; it is kept for whoever draws.
    pub(super) fn render(&mut self, input: Rel, operator: &Operator, kind: &Name, last: bool) -> Bind<Rel> {
        if !RENDER_KINDS.contains(&kind.text.as_str()) {
            self.warn(kind.span, format!("the visualization '{}' is not known", kind.text));
        }
        if !last {
            self.warn(operator.keyword, "render should be the last operator");
        }
        let properties = operator.properties.iter().map(|p| (p.name.text.clone(), property_text(&p.value))).collect();
        self.render = Some((kind.text.clone(), properties));
        Ok(input)
    }
}

/// The text of an option's value.
pub(in crate::kql::binder) fn property_text(value: &Expr) -> String {
    match &value.kind {
        ExprKind::Name(name) | ExprKind::Wildcard(name) => name.text.clone(),
        ExprKind::Literal(literal) => {
            let value = crate::kql::binder::expr::literal_value(literal);
            let mut text = String::new();
            crate::kql::format::to_string(value.as_ref(&mut text))
        }
        ExprKind::Call { args, .. } => args.iter().map(|a| property_text(&a.expr)).collect::<Vec<_>>().join(","),
        ExprKind::Unary { expr, .. } => format!("-{}", property_text(expr)),
        _ => String::new(),
    }
}
