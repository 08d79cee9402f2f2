//! How `check` binds operators over tables whose columns it does not know, since they follow from rows that it does not read: as
//! Microsoft's language service does, whose columns it shows.
//!
//! A name that is nothing else is a column of such a table from the operator on that first names it. That operator is bound once to
//! learn its names, and again with them. Queries over no rows go another way, [`super::no_rows`], and so does the second half of a
//! check.

use super::{Bind, Binder, Scope};
use crate::bound::*;
use kqlake_syntax::ast::{Name, Operator, OperatorKind};
use kqlake_value::Type;

/// What is being learned.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Names that the operator's input was asked for and that may be columns of it, in order.
    inferred: Vec<Name>,
    /// Those of them that the operator was the first to name; `*` does not stand for them.
    just_inferred: Vec<ColId>,
    /// An operator is bound only to learn such names. One inside of it is not bound twice: that would double with each level.
    learning: bool,
    /// One inside of it has learned some.
    learned_inside: bool,
}

impl Binder<'_> {
    /// A name that a table of unknown columns may have.
    pub(super) fn name_of_unread(&mut self, name: &Name) -> BoundExpr {
        if !self.unread.inferred.iter().any(|n| n.text == name.text) {
            self.unread.inferred.push(name.clone());
        }
        self.untyped_value(name.span)
    }

    /// True for a column that the current operator was the first to name.
    pub(super) fn is_just_inferred(&self, id: ColId) -> bool {
        self.unread.just_inferred.contains(&id)
    }

    /// Gives a table of unknown columns those that a query asks of it. Whether it did not have them all.
    pub(super) fn add_unread(&mut self, rel: &mut Rel, names: &[Name]) -> bool {
        let known = rel.columns.len();
        for name in names {
            if rel.columns.iter().any(|c| c.name == name.text) {
                continue;
            }
            let id = self.id();
            self.untyped.insert(id);
            self.unread.just_inferred.push(id);
            rel.columns.push(BoundColumn { id, name: name.text.clone(), ty: Type::Dynamic });
        }
        rel.columns.len() > known
    }

    /// One operator over a table of unknown columns.
    pub(super) fn operator_over_unread(&mut self, input: Rel, operator: &Operator, scope: &Scope, last: bool) -> Bind<Rel> {
        let outer = std::mem::take(&mut self.unread.inferred);
        let learned_before = std::mem::take(&mut self.unread.learned_inside);
        let (found, extra, generated) = (self.diagnostics.len(), self.extra_tables.len(), self.generated);
        let learning = std::mem::replace(&mut self.unread.learning, true);
        let result = self.operator_over(Some(input.clone()), operator, scope, last);
        self.unread.learning = learning;
        let names = std::mem::replace(&mut self.unread.inferred, outer);
        let learned = std::mem::replace(&mut self.unread.learned_inside, learned_before) || !names.is_empty();
        self.unread.learned_inside |= learned && learning;
        if !learned || learning {
            return self.left_open(result, &operator.kind);
        }
        let mut input = input;
        let outer = std::mem::take(&mut self.unread.just_inferred);
        self.add_unread(&mut input, &names);
        let result = loop {
            self.diagnostics.truncate(found);
            self.extra_tables.truncate(extra);
            self.generated = generated;
            let inferred = self.unread.inferred.len();
            let result = self.operator_over(Some(input.clone()), operator, scope, last);
            // Names behind what was wrong for want of the first ones.
            let names = self.unread.inferred.split_off(inferred);
            if !self.add_unread(&mut input, &names) {
                break result;
            }
        };
        self.unread.just_inferred = outer;
        self.left_open(result, &operator.kind)
    }

    /// To Microsoft's language service, what an operator makes of a table of unknown columns may have unknown columns too, even
    /// where it says which there are.
    fn left_open(&mut self, result: Bind<Rel>, kind: &OperatorKind) -> Bind<Rel> {
        use OperatorKind as K;
        let mut rel = result?;
        let closes = matches!(
            kind,
            K::Count(_) | K::GetSchema | K::Reduce { .. } | K::Evaluate { .. } | K::Consume | K::Fork(_) | K::Facet { .. }
        );
        if !closes && !Self::is_open(&rel) {
            rel.hidden.push(self.open_marker());
        }
        Ok(rel)
    }
}
