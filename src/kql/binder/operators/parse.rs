//! `parse`, `parse-where`, `parse-kv`.

use std::collections::HashSet;
use std::sync::Arc;

use crate::binder::expr::ExprContext;
use crate::binder::{Bind, Binder, RowInfo, Scope};
use crate::bound::*;
use crate::computation::RowFields;
use crate::functions::parse_pattern::{KeyValueOptions, KeyValues, Mode, ParsePattern, PatternPiece};
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_value::Type;

use super::shape::property_text;

impl Binder<'_> {
    pub(super) fn parse(
        &mut self,
        input: Rel,
        operator: &Operator,
        expr: &Expr,
        pattern: &[ParsePart],
        filter: bool,
        scope: &Scope,
    ) -> Bind<Rel> {
        let row = RowInfo::of(&input);
        let text = self.parse_text(expr, &row, scope)?;
        let mode = match operator.property("kind").map(|p| (property_text(&p.value), p.value.span)) {
            None => Mode::Simple,
            Some((kind, _)) if kind == "simple" => Mode::Simple,
            Some((kind, _)) if kind == "relaxed" => Mode::Relaxed,
            Some((kind, _)) if kind == "regex" => Mode::Regex,
            Some((kind, span)) => {
                return self.error(code::SYNTAX, span, format!("parse is simple, relaxed or regex, not '{kind}'"));
            }
        };
        let flags = operator.property("flags").map(|p| property_text(&p.value)).unwrap_or_default();
        let mut pieces = Vec::with_capacity(pattern.len());
        let mut columns: Vec<(Name, Type)> = Vec::new();
        for (i, part) in pattern.iter().enumerate() {
            pieces.push(match part {
                ParsePart::Text(text, _) => PatternPiece::Text(text.clone()),
                ParsePart::Skip(span) => {
                    if let Some(ParsePart::Column { ty, .. }) = i.checked_sub(1).and_then(|i| pattern.get(i))
                        && ty.unwrap_or(Type::String) == Type::String
                    {
                        return self.error(
                            code::PATTERN,
                            *span,
                            "'*' directly behind a string column leaves open where the column ends",
                        );
                    }
                    if !matches!(pattern.get(i + 1), None | Some(ParsePart::Text(..))) {
                        return self.error(code::PATTERN, *span, "a text must stand behind '*'");
                    }
                    PatternPiece::Skip
                }
                ParsePart::Column { name, ty } => {
                    if let Some(ParsePart::Column { .. }) = i.checked_sub(1).and_then(|i| pattern.get(i)) {
                        return self.report(Diagnostic::error(
                            code::PATTERN,
                            name.span,
                            "two columns stand side by side; put a text between them",
                        ));
                    }
                    let ty = ty.unwrap_or(Type::String);
                    self.refuse_repeated_name(name, columns.iter().map(|(n, _)| n))?;
                    columns.push((name.clone(), ty));
                    PatternPiece::Column(ty)
                }
            });
        }
        let pattern = match ParsePattern::new(mode, &flags, pieces, columns.iter().map(|(n, t)| (n.text.clone(), *t)).collect()) {
            Ok(pattern) => Arc::new(pattern),
            Err(message) => return self.error(code::PATTERN, operator.span, message),
        };
        let fields: Vec<(String, Type)> = columns.iter().map(|(n, t)| (n.text.clone(), *t)).collect();
        let matched = fields.len();
        let rel = self.with_fields(input, pattern.clone(), vec![text.clone()], &fields);
        if !filter {
            return Ok(rel);
        }
        let kind = BoundKind::Field { source: pattern, args: vec![text], index: matched };
        let predicate = BoundExpr::new(kind, Type::Bool, operator.span);
        // The predicate reads the input's text, which is still there under the projection's input: filter first.
        let RelKind::Project { input, exprs } = rel.kind else { return Ok(rel) };
        let filtered = self.filtered_in_sub_query(*input, predicate);
        Ok(Rel { kind: RelKind::Project { input: Box::new(filtered), exprs }, ..rel })
    }

    pub(super) fn parse_kv(
        &mut self,
        input: Rel,
        operator: &Operator,
        expr: &Expr,
        columns: &[ColumnDecl],
        scope: &Scope,
    ) -> Bind<Rel> {
        let row = RowInfo::of(&input);
        let text = self.parse_text(expr, &row, scope)?;
        let option = |name: &str| operator.property(name).map(|p| property_text(&p.value));
        let all = |name: &str| {
            operator.properties.iter().filter(|p| p.name.text == name).map(|p| property_text(&p.value)).collect::<Vec<_>>()
        };
        for property in &operator.properties {
            let known = match property.name.text.as_str() {
                "pair_delimiter" | "kv_delimiter" | "quote" | "escape" | "regex" => {
                    matches!(property.value.kind, ExprKind::Literal(Literal::String(_)))
                }
                "greedy" => matches!(property.value.kind, ExprKind::Literal(Literal::Bool(_))),
                other => {
                    let message = format!("parse-kv has no option '{other}'");
                    let remedy = "its options are pair_delimiter, kv_delimiter, quote, escape, greedy and regex";
                    return self.report(Diagnostic::error(code::SYNTAX, property.name.span, message).suggest(remedy));
                }
            };
            if !known {
                let wanted = if property.name.text == "greedy" { "true or false" } else { "a string literal" };
                let message = format!("the option '{}' takes {wanted}", property.name.text);
                return self.error(code::TYPE, property.value.span, message);
            }
        }
        for (i, column) in columns.iter().enumerate() {
            self.refuse_repeated_name(&column.name, columns[..i].iter().map(|c| &c.name))?;
        }
        let fields: Vec<(String, Type)> = columns.iter().map(|c| (c.name.text.clone(), c.ty)).collect();
        let kv = KeyValues::new(
            fields.clone(),
            KeyValueOptions {
                pair: option("pair_delimiter"),
                key_value: option("kv_delimiter"),
                quotes: all("quote"),
                escapes: all("escape"),
                greedy: option("greedy").is_some_and(|v| v.eq_ignore_ascii_case("true")),
                regex: option("regex"),
            },
        );
        match kv {
            Ok(kv) => Ok(self.with_fields(input, Arc::new(kv), vec![text], &fields)),
            Err(message) => self.error(code::PATTERN, operator.span, message),
        }
    }

    /// Refuses a second column of a name among the parsed ones.
    fn refuse_repeated_name<'n>(&mut self, name: &Name, mut before: impl Iterator<Item = &'n Name>) -> Bind<()> {
        if before.any(|b| b.text == name.text) {
            return self.error(code::DUPLICATE, name.span, format!("the name '{}' is given twice", name.text));
        }
        Ok(())
    }

    /// What is parsed: a value's text, as the documentation of `parse` says.
    fn parse_text(&mut self, expr: &Expr, row: &RowInfo, scope: &Scope) -> Bind<BoundExpr> {
        let e = self.scalar(expr, &mut ExprContext::new(row, scope))?;
        self.coerce(e, Type::String)
    }

    /// The input with the fields of a function over each row; a column of the same name is replaced. Where nothing is to be run
    /// it stays, and the field is one more column of the name: so does Microsoft's language service.
    pub(in crate::binder) fn with_fields(
        &mut self,
        input: Rel,
        source: Arc<dyn RowFields>,
        args: Vec<BoundExpr>,
        fields: &[(String, Type)],
    ) -> Rel {
        let mut columns: Vec<(BoundColumn, BoundExpr)> =
            input.columns.iter().map(|c| (c.clone(), BoundExpr::column(c, Span::default()))).collect();
        let mut seen = HashSet::new();
        for (index, (name, ty)) in fields.iter().enumerate() {
            let mut name = name.clone();
            if !seen.insert(name.clone()) {
                name = (1..).map(|n| format!("{name}{n}")).find(|n| seen.insert(n.clone())).unwrap_or(name);
            }
            let column = BoundColumn { id: self.id(), name, ty: *ty };
            let kind = BoundKind::Field { source: source.clone(), args: args.clone(), index };
            let e = BoundExpr::new(kind, *ty, Span::default());
            match columns.iter_mut().find(|(c, _)| c.name == column.name) {
                Some(_) if self.checking => {
                    self.repeated = true;
                    columns.push((column, e));
                }
                Some(place) => *place = (column, e),
                None => columns.push((column, e)),
            }
        }
        Self::projected(input, columns)
    }
}
