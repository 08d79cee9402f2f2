//! Tables whose columns follow from rows (`bag_unpack`, `pivot`), where there are no such rows.
//!
//! The text says which columns they have: a name that is nothing else, asked of what such a table has become, is a column of the
//! table, where its plugin stands. It is noted there and the text is bound anew, until nothing more is learned; every
//! operator between is then bound as over any table, and hands on, names or leaves out these columns as it does others.
//!
//! The columns hold nothing, and their types are not known: each use takes such a column as the type that it wants. What the
//! first use wants, or else what another table of a union or a join has under the name, is the type that answers show.

use std::collections::HashMap;

use crate::binder::Binder;
use crate::bound::*;
use kqlake_syntax::ast::{Name, Span};
use kqlake_value::Type;

/// What a text says of its tables whose columns follow from rows that are not there.
#[derive(Debug, Default)]
pub(crate) struct NamedColumns {
    tables: Vec<NamedTable>,
    /// More than was known when the text began to be bound.
    grew: bool,
    /// More columns, too.
    has_more_columns: bool,
}

impl NamedColumns {
    /// The same for binding the text anew; true where that has to be, since there is more to know.
    pub(crate) fn settle(&mut self) -> bool {
        for table in &mut self.tables {
            table.columns.sort_by(|a, b| a.name.text.cmp(&b.name.text));
            table.bound = table.columns.len();
        }
        self.has_more_columns = false;
        std::mem::take(&mut self.grew)
    }

    /// True where an operator has named a column that its input does not have yet: what it gives is not known before.
    pub(super) fn has_more_columns(&self) -> bool {
        self.has_more_columns
    }
}

/// A plugin's table.
#[derive(Debug)]
struct NamedTable {
    /// Where the plugin stands, and the calls of functions around it: with other arguments it is another table.
    place: (Span, Vec<Span>),
    /// How the names of its columns begin.
    prefix: String,
    /// In the order of their names, as `bag_unpack` and `pivot` give them.
    columns: Vec<NamedColumn>,
    /// How many of them the table has had since the text began to be bound.
    bound: usize,
}

/// A column that a text names.
#[derive(Debug)]
struct NamedColumn {
    name: Name,
    /// The type that its use wants.
    ty: Option<Type>,
    /// The type is that of another table's column of the name.
    settled: bool,
}

/// A column of a [`NamedTable`] by their places.
type Origin = (usize, usize);

/// Columns of unknown types, with the columns that they are. They pass for any type.
#[derive(Debug, Default)]
pub(super) struct UntypedColumns(HashMap<ColId, Option<Origin>>);

impl UntypedColumns {
    pub(super) fn insert(&mut self, id: ColId) {
        self.0.insert(id, None);
    }

    pub(super) fn contains(&self, id: ColId) -> bool {
        self.0.contains_key(&id)
    }

    /// Makes a column unknown where the one is that it takes its values of.
    pub(super) fn pass_on(&mut self, from: ColId, to: ColId) {
        if let Some(origin) = self.0.get(&from).copied() {
            self.0.insert(to, origin);
        }
    }
}

impl<'a> Binder<'a> {
    /// The same, with what is known of the tables without rows.
    #[must_use]
    pub(crate) fn with_named(self, named: NamedColumns) -> Self {
        Binder { named, ..self }
    }

    /// What was learned of them.
    pub(crate) fn take_named(&mut self) -> NamedColumns {
        std::mem::take(&mut self.named)
    }

    /// The same for a check: tables have no rows, so that columns never follow from rows alone.
    #[must_use]
    pub(crate) fn without_rows(self, without_rows: bool) -> Self {
        Binder { without_rows, ..self }
    }

    /// The result of the plugin at `span`, whose columns follow from rows of which there are none: it has the columns that the
    /// text names, and may have more. They are of type `ty` where the plugin says so.
    pub(super) fn open_table(&mut self, rel: Rel, span: Span, prefix: &str, ty: Option<Type>) -> Rel {
        let place = (span, self.calls.clone());
        let table = match self.named.tables.iter().position(|t| t.place == place) {
            Some(table) => table,
            None => {
                self.named.tables.push(NamedTable { place, prefix: prefix.to_owned(), columns: Vec::new(), bound: 0 });
                self.named.tables.len() - 1
            }
        };
        let mut columns: Vec<(BoundColumn, BoundExpr)> =
            rel.columns.iter().map(|c| (c.clone(), BoundExpr::column(c, Span::default()))).collect();
        for at in 0..self.named.tables[table].bound {
            let column = &self.named.tables[table].columns[at];
            let (name, shown) = (column.name.clone(), ty.or(column.ty).unwrap_or(Type::Dynamic));
            if columns.iter().any(|(c, _)| c.name == name.text) {
                continue;
            }
            if self.answers.is_some() {
                let taken = "is taken for a column: which there are follows from rows, and there are none";
                self.warn(name.span, format!("'{}' {taken}", name.text));
            }
            let id = self.id();
            if ty.is_none() {
                self.untyped.0.insert(id, Some((table, at)));
            }
            let nothing = BoundExpr::new(BoundKind::Unknown, shown, name.span);
            columns.push((BoundColumn { id, name: name.text, ty: shown }, nothing));
        }
        let serialized = rel.serialized;
        let mut rel = Rel { serialized, ..Self::projected(rel, columns) };
        // The plugin's own columns come before those of a table that it hands on.
        let mark = HiddenColumn { role: HiddenRole::Open(vec![table]), ..self.open_marker() };
        rel.hidden.insert(0, mark);
        rel
    }

    /// A column that is named and that only rows could show, of the tables that the marks among `hidden` lead to. None where it
    /// cannot be: an operator between has taken it away.
    pub(super) fn named_of_none(&mut self, name: &Name, hidden: &[HiddenColumn]) -> Option<BoundExpr> {
        for h in hidden {
            let HiddenRole::Open(tables) = &h.role else { continue };
            let fits = |table: &NamedTable| {
                name.text.starts_with(&table.prefix) && !table.columns[..table.bound].iter().any(|c| c.name.text == name.text)
            };
            if !tables.iter().all(|table| fits(&self.named.tables[*table])) {
                continue;
            }
            for table in tables {
                let table = &mut self.named.tables[*table];
                if !table.columns.iter().any(|c| c.name.text == name.text) {
                    table.columns.push(NamedColumn { name: name.clone(), ty: None, settled: false });
                    (self.named.grew, self.named.has_more_columns) = (true, true);
                }
            }
            return Some(self.untyped_value(name.span));
        }
        None
    }

    /// A value of an unknown type as one of a type: there is none, so it is null, and as a string empty.
    pub(super) fn as_wanted(&mut self, e: BoundExpr, ty: Type) -> BoundExpr {
        if !self.is_untyped(&e) {
            return e;
        }
        // A number may be one of several types.
        if !ty.is_numeric() && ty != Type::Dynamic {
            self.note_type(&e, ty, false);
        }
        if e.ty == ty { e } else { BoundExpr::new(BoundKind::Unknown, ty, e.span) }
    }

    /// The same where another table has a column of the name, or a key that it is compared with.
    pub(super) fn as_other(&mut self, e: BoundExpr, ty: Type) -> BoundExpr {
        if !self.is_untyped(&e) {
            return e;
        }
        self.note_type(&e, ty, true);
        if e.ty == ty { e } else { BoundExpr::new(BoundKind::Unknown, ty, e.span) }
    }

    fn note_type(&mut self, e: &BoundExpr, ty: Type, settled: bool) {
        let BoundKind::Column(id) = e.kind else { return };
        let Some((table, at)) = self.untyped.0.get(&id).copied().flatten() else { return };
        let column = &mut self.named.tables[table].columns[at];
        if column.settled || (column.ty.is_some() && !settled) {
            return;
        }
        self.named.grew |= column.ty != Some(ty);
        (column.ty, column.settled) = (Some(ty), settled);
    }

    /// No more columns than those that are known.
    pub(super) fn closed(mut rel: Rel) -> Rel {
        rel.hidden.retain(HiddenColumn::is_column);
        rel
    }

    /// The same tree, which may have more columns where its input, whose columns it hands on, may.
    pub(super) fn open_as(mut rel: Rel, input: &[HiddenColumn]) -> Rel {
        let marks = input.iter().filter(|h| !h.is_column());
        rel.hidden.extend(marks.cloned());
        rel
    }
}
