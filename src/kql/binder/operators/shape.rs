//! `getschema`, `as`, `consume`, `render`.

use std::rc::Rc;

use crate::binder::expr::ExprContext;
use crate::binder::{Bind, Binder, Binding, RowInfo, Scope};
use crate::bound::*;
use kqlake_syntax::ast::*;
use kqlake_value::{Type, Value};

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
    pub(super) fn getschema(&mut self, input: Rel, operator: &Operator) -> Bind<Rel> {
        self.not_in_sub_query(operator, "getschema")?;
        if operator.property("kind").is_some_and(|p| property_text(&p.value) == "csl") {
            // The schema as a text that a datatable could begin with.
            let shown: Vec<String> = input.columns.iter().map(|c| format!("{}:{}", c.name, c.ty)).collect();
            let columns = vec![BoundColumn { id: self.id(), name: "Schema".to_owned(), ty: Type::String }];
            let rows = vec![vec![Value::String(shown.join(","))]];
            return Ok(Rel { kind: RelKind::Values(rows), columns, hidden: Vec::new(), serialized: true, table_name: None });
        }
        // The engine counts in int, Microsoft's language service says long.
        let shape = [
            ("ColumnName", Type::String),
            ("ColumnOrdinal", if self.checking { Type::Long } else { Type::Int }),
            ("DataType", Type::String),
            ("ColumnType", Type::String),
        ];
        let columns: Vec<BoundColumn> =
            shape.iter().map(|(name, ty)| BoundColumn { id: self.id(), name: (*name).to_owned(), ty: *ty }).collect();
        if self.checking {
            // What fits either is right.
            self.untyped.insert(columns[1].id);
        }
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

    /// `render` changes no row; it is kept as an annotation of the result.
    pub(super) fn render(&mut self, input: Rel, operator: &Operator, kind: &Name, last: bool, scope: &Scope) -> Bind<Rel> {
        if !RENDER_KINDS.contains(&kind.text.as_str()) {
            self.warn(kind.span, format!("the visualization '{}' is not known", kind.text));
        }
        if !last {
            self.warn(operator.keyword, "render should be the last operator");
        }
        let mut properties = Vec::with_capacity(operator.properties.len());
        for property in &operator.properties {
            let value = match &property.value.kind {
                // A computed text is kept as far as it is known.
                ExprKind::Call { function, .. } if !function.text.is_empty() => {
                    let e = self.scalar(&property.value, &mut ExprContext::new(&RowInfo::default(), scope))?;
                    let mut text = String::new();
                    e.as_literal().map_or_else(String::new, |v| kqlake_value::format::to_string(v.as_ref(&mut text)))
                }
                _ => property_text(&property.value),
            };
            properties.push((property.name.text.clone(), value));
        }
        self.render = Some((kind.text.clone(), properties));
        Ok(input)
    }
}

/// True for an option that says yes: `true`, in any letter case.
pub(in crate::binder) fn property_says_yes(value: &Expr) -> bool {
    property_text(value).eq_ignore_ascii_case("true")
}

/// The text of an option's value.
pub(in crate::binder) fn property_text(value: &Expr) -> String {
    match &value.kind {
        ExprKind::Name(name) | ExprKind::Wildcard(name) => name.text.clone(),
        ExprKind::Literal(literal) => {
            let value = crate::binder::expr::literal_value(literal);
            let mut text = String::new();
            kqlake_value::format::to_string(value.as_ref(&mut text))
        }
        ExprKind::Call { args, .. } => args.iter().map(|a| property_text(&a.expr)).collect::<Vec<_>>().join(","),
        ExprKind::Unary { expr, .. } => format!("-{}", property_text(expr)),
        _ => String::new(),
    }
}
