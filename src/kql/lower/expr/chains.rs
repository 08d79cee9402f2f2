//! Long chains: terms of an `or` that ask the same of one column are one list, and projections in a row are one.
//!
//! `x == 1 or x == 2 or …` answers as `x in (1, 2, …)` does, and `s has "a" or s has "b"` as `s has_any ("a", "b")`: a null is
//! false for each of them. Generated queries have chains of thousands of terms, which a tree of as many nodes would make slow.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::bound::{BoundExpr, BoundKind, ColId, Rel, RelKind};
use kqlake_syntax::ast::{BinaryOp, Span, TextOp};
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_value::Type;

use super::Lowered;

/// Shorter chains are left as they are.
const SHORT: usize = 16;

/// Terms that a chain may have after those that belong together are one. Planning takes time for each.
const MAX_TERMS: usize = 10_000;

/// A projection's columns, as a projection makes them.
type Columns<'r> = Cow<'r, [(ColId, BoundExpr)]>;

/// A projection over projections, as one as far as can be: where it uses no column that the one below computes, except to pass
/// it on once. `extend a = … | extend b = … | …` is then one step, however long.
pub(crate) fn merge_projections<'r>(mut input: &'r Rel, exprs: &'r [(ColId, BoundExpr)]) -> (&'r Rel, Columns<'r>) {
    let mut columns = Cow::Borrowed(exprs);
    while let RelKind::Project { input: below, exprs: lower } = &input.kind {
        let Some(both) = merged(&columns, lower) else { break };
        columns = Cow::Owned(both);
        input = below;
    }
    (input, columns)
}

fn merged(upper: &[(ColId, BoundExpr)], lower: &[(ColId, BoundExpr)]) -> Option<Vec<(ColId, BoundExpr)>> {
    // What is computed below, and whether it was passed on.
    let mut computed: HashMap<ColId, (&BoundExpr, bool)> = lower
        .iter()
        .filter(|(id, e)| !matches!(e.kind, BoundKind::Column(from) if from == *id))
        .map(|(id, e)| (*id, (e, false)))
        .collect();
    let mut out = Vec::with_capacity(upper.len());
    for (id, e) in upper {
        if let BoundKind::Column(from) = e.kind
            && let Some((below, used)) = computed.get_mut(&from)
        {
            if std::mem::replace(used, true) {
                return None;
            }
            out.push((*id, (*below).clone()));
            continue;
        }
        let uses_computed = e.any(&|part| match part.kind {
            BoundKind::Column(from) | BoundKind::Promoted { column: from, .. } => computed.contains_key(&from),
            _ => false,
        });
        if uses_computed {
            return None;
        }
        out.push((*id, e.clone()));
    }
    Some(out)
}

/// What makes terms belong together.
#[derive(PartialEq, Eq, Hash)]
enum TermKey {
    Equal(ColId),
    Text(ColId, TextOp, bool),
}

fn term_key(term: &BoundExpr) -> Option<TermKey> {
    let column = |e: &BoundExpr| match e.kind {
        BoundKind::Column(id) => Some(id),
        _ => None,
    };
    match &term.kind {
        BoundKind::Compare { op: BinaryOp::Equal, left, right } => {
            let plain = matches!(left.ty, Type::Int | Type::Long | Type::String | Type::DateTime | Type::TimeSpan | Type::Guid);
            let literal = right.ty == left.ty && right.as_literal().is_some_and(|v| !v.is_null());
            (plain && literal).then(|| column(left).map(TermKey::Equal))?
        }
        BoundKind::Text { op, all: false, negated: false, case_sensitive, left, needles } => {
            let literal = left.ty == Type::String && needles.iter().all(|n| n.as_literal().is_some());
            literal.then(|| column(left).map(|id| TermKey::Text(id, *op, *case_sensitive)))?
        }
        _ => None,
    }
}

/// The terms of a chain, those of a long `or` that belong together as one.
///
/// # Errors
/// When more terms are left than can be planned.
pub(crate) fn merge_terms(and: bool, terms: &[BoundExpr]) -> Lowered<Option<Vec<BoundExpr>>> {
    if terms.len() <= SHORT {
        return Ok(None);
    }
    let mut places: HashMap<TermKey, usize> = HashMap::new();
    let mut out: Vec<BoundExpr> = Vec::new();
    for term in terms {
        let Some(key) = term_key(term).filter(|_| !and) else {
            if out.len() < MAX_TERMS {
                out.push(term.clone());
                continue;
            }
            return Err(too_long(term.span));
        };
        match places.get(&key) {
            Some(place) => absorb(&mut out[*place], term),
            None => {
                places.insert(key, out.len());
                out.push(as_list(term));
            }
        }
    }
    Ok(Some(out))
}

fn too_long(span: Span) -> Box<Diagnostic> {
    let message = format!("a chain of more than {MAX_TERMS} different terms");
    Box::new(
        Diagnostic::error(code::LIMIT, span, message)
            .suggest("write x in (…) or x has_any (…) for many values of one column, or join with a datatable"),
    )
}

fn as_list(term: &BoundExpr) -> BoundExpr {
    let BoundKind::Compare { left, right, .. } = &term.kind else { return term.clone() };
    let kind = BoundKind::In { negated: false, ignore_case: false, left: left.clone(), items: vec![(**right).clone()] };
    BoundExpr::new(kind, Type::Bool, term.span)
}

fn absorb(list: &mut BoundExpr, term: &BoundExpr) {
    match (&mut list.kind, &term.kind) {
        (BoundKind::In { items, .. }, BoundKind::Compare { right, .. }) => items.push((**right).clone()),
        (BoundKind::Text { needles, .. }, BoundKind::Text { needles: more, .. }) => needles.extend(more.iter().cloned()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kqlake_value::Value;

    fn equals(id: ColId, value: i64) -> BoundExpr {
        let span = Span::default();
        let left = Box::new(BoundExpr::new(BoundKind::Column(id), Type::Long, span));
        let right = Box::new(BoundExpr::literal(Value::Long(value), Type::Long, span));
        BoundExpr::new(BoundKind::Compare { op: BinaryOp::Equal, left, right }, Type::Bool, span)
    }

    #[test]
    fn equalities_of_a_column_become_one_list() {
        let terms: Vec<BoundExpr> = (0..40).map(|i| equals(1 + i as ColId % 2, i)).collect();
        let lists = merge_terms(false, &terms).unwrap().unwrap();
        assert_eq!(lists.len(), 2);
        assert!(matches!(&lists[0].kind, BoundKind::In { items, .. } if items.len() == 20));
        assert_eq!(merge_terms(true, &terms).unwrap().unwrap().len(), 40);
        assert!(merge_terms(false, &terms[..8]).unwrap().is_none());
    }
}
