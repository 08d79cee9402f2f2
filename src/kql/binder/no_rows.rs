//! Tables without rows whose columns would have followed from their rows: what `bag_unpack` and `pivot` make of nothing.
//!
//! Microsoft's binder takes any name for one of their columns, and so published queries name them. To run such a query over nothing,
//! an operator is bound for the columns of its result, and its result is a table without rows again: values that nobody can type
//! are computed nowhere. The columns that a query names have the type dynamic. Operators that give rows where there are none
//! (`count`, `summarize` without keys, `union`) run over the table as it is.

use crate::binder::Binder;
use crate::bound::*;
use kqlake_syntax::ast::*;

impl Binder<'_> {
    /// Marks the result of a plugin whose columns follow from rows: with none of them, a query may name any.
    pub(super) fn open_without_rows(&mut self, mut rel: Rel) -> Rel {
        if let RelKind::Rows(batches) = &mut rel.kind
            && batches.iter().all(|batch| batch.num_rows() == 0)
        {
            batches.clear();
            rel.hidden.push(self.open_marker());
        }
        rel
    }

    /// True for a table of no rows, of which more columns may be named.
    pub(in crate::binder) fn is_open_without_rows(rel: &Rel) -> bool {
        Self::is_open(rel) && matches!(&rel.kind, RelKind::Rows(batches) if batches.is_empty())
    }

    /// A table of no rows, with the columns of another of which more may be named.
    pub(super) fn emptied(&mut self, rel: Rel) -> Rel {
        self.left_out = true;
        let mut hidden = rel.hidden;
        hidden.retain(|h| !matches!(h.role, HiddenRole::Promoted { .. } | HiddenRole::Open));
        hidden.push(self.open_marker());
        Rel { kind: RelKind::Rows(Vec::new()), hidden, ..rel }
    }

    /// No more columns than those that are known.
    pub(super) fn closed(mut rel: Rel) -> Rel {
        rel.hidden.retain(|h| !matches!(h.role, HiddenRole::Open));
        rel
    }

    /// What an operator makes of a table without rows of which more columns may be named.
    pub(super) fn of_no_rows(&mut self, rel: Rel, kind: &OperatorKind) -> Rel {
        use OperatorKind as K;
        match kind {
            // These see to it themselves, or hand the table on.
            K::Join { .. }
            | K::Lookup { .. }
            | K::Union(_)
            | K::Evaluate { .. }
            | K::Invoke(_)
            | K::Fork(_)
            | K::Facet { .. }
            | K::As(_) => rel,
            K::Render(_) | K::Consume => rel,
            _ if gives_rows_of_none(kind) => Self::closed(rel),
            _ => self.emptied(rel),
        }
    }

    /// True for an operator whose expressions give a row of no rows. Inside of a sub-query there is none of its rows either.
    pub(super) fn computes_of_no_rows(&self, kind: &OperatorKind) -> bool {
        use OperatorKind as K;
        let computes = matches!(kind, K::Summarize { .. } | K::MakeSeries { .. } | K::Reduce { .. }) && gives_rows_of_none(kind);
        computes && !self.checking && self.partition.is_empty()
    }

    /// Makes columns that a query named plain dynamic ones: what is computed of them is computed.
    pub(super) fn type_as_dynamic(&mut self, rel: &Rel) {
        for column in &rel.columns {
            self.untyped.remove(&column.id);
        }
    }

    /// A join one side of which has no rows, and columns that follow from them.
    pub(super) fn join_of_no_rows(&mut self, rel: Rel) -> Rel {
        let RelKind::Join { left, right, kind, .. } = &rel.kind else { return rel };
        let (left, right) = (Self::is_open_without_rows(left), Self::is_open_without_rows(right));
        use JoinKind as J;
        let none = match kind {
            J::InnerUnique | J::Inner | J::LeftSemi | J::RightSemi => left || right,
            J::LeftOuter | J::LeftAnti => left,
            J::RightOuter | J::RightAnti => right,
            J::FullOuter => left && right,
        };
        if none { self.emptied(rel) } else { Self::closed(rel) }
    }

    /// Gives the keys of a side without rows the types of those that they are compared with.
    pub(super) fn type_keys(&mut self, left: &mut Rel, right: &mut Rel, pairs: &mut [(BoundExpr, BoundExpr)]) {
        for (l, r) in pairs {
            let (of_left, of_right) = (l.ty, r.ty);
            for (side, own, other) in [(&mut *left, l, of_right), (&mut *right, r, of_left)] {
                let BoundKind::Column(id) = own.kind else { continue };
                let Some(column) = side.columns.iter_mut().find(|c| c.id == id) else { continue };
                if self.untyped.remove(&id) {
                    (column.ty, own.ty) = (other, other);
                }
            }
        }
    }
}

/// True for operators that give rows of none, or that are no tables of rows.
fn gives_rows_of_none(kind: &OperatorKind) -> bool {
    use OperatorKind as K;
    match kind {
        K::Summarize { by, .. } | K::MakeSeries { by, .. } => by.is_empty(),
        K::Count(_) | K::GetSchema | K::Reduce { .. } | K::Find { .. } | K::MakeGraph { .. } => true,
        K::GraphSearch(_) | K::GraphToTable(_) | K::GraphMarkComponents | K::GraphWhere { .. } => true,
        _ => false,
    }
}
