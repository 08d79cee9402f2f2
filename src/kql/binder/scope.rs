//! Names in scope: what `let`, parameters and functions have defined, and the columns of the current row.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::bound::{BoundColumn, BoundExpr, HiddenColumn, Rel};
use kqlake_syntax::ast::{Expr, ParamDecl, PatternDecl, Script};

/// What a name stands for.
#[derive(Clone)]
pub(crate) enum Binding {
    /// A scalar, bound once.
    Scalar(BoundExpr),
    /// A scalar that is bound again at each use, because two uses may differ (`rand()`).
    Macro(Rc<Expr>, Scope),
    /// A tabular expression, bound again at each use, and how many names were generated before it.
    Table(Rc<Expr>, Scope, usize),
    /// A tabular argument or an `as` name: the tree as it was bound.
    Bound(Rc<Rel>),
    /// A function.
    Function(Rc<Function>),
    /// A namespace of tables, such as `database('x')`.
    Database,
    /// A pattern: queries that constant arguments choose from.
    Pattern(Rc<DeclaredPattern>),
}

/// A user-defined function.
pub(crate) struct Function {
    /// Parameters.
    pub params: Vec<ParamDecl>,
    /// Body.
    pub body: Rc<Script>,
    /// Where it was defined: its names resolve there.
    pub scope: Scope,
    /// `view () { … }`: seen by wildcards of `union`.
    pub view: bool,
}

/// A declared pattern.
pub(crate) struct DeclaredPattern {
    /// What was declared.
    pub declared: PatternDecl,
    /// The queries' names resolve here.
    pub scope: Scope,
}

struct Inner {
    parent: Option<Scope>,
    names: RefCell<HashMap<String, Binding>>,
    /// Names of parameters and a function's own `let`s win over columns.
    local: bool,
}

/// A lexical scope.
#[derive(Clone)]
pub(crate) struct Scope(Rc<Inner>);

impl Scope {
    /// The outermost scope of a text.
    pub(crate) fn root() -> Scope {
        Scope(Rc::new(Inner { parent: None, names: RefCell::default(), local: false }))
    }

    /// A scope inside this one. With `local`, its names win over columns.
    pub(crate) fn nested(&self, local: bool) -> Scope {
        Scope(Rc::new(Inner { parent: Some(self.clone()), names: RefCell::default(), local }))
    }

    /// Defines a name here.
    pub(crate) fn define(&self, name: &str, binding: Binding) {
        self.0.names.borrow_mut().insert(name.to_owned(), binding);
    }

    /// True if a name is defined here, not only around here.
    pub(crate) fn defines(&self, name: &str) -> bool {
        self.0.names.borrow().contains_key(name)
    }

    /// What a name stands for, and whether it wins over columns.
    pub(crate) fn find(&self, name: &str) -> Option<(Binding, bool)> {
        let mut scope = self;
        loop {
            if let Some(binding) = scope.0.names.borrow().get(name) {
                return Some((binding.clone(), scope.0.local));
            }
            scope = scope.0.parent.as_ref()?;
        }
    }

    /// True for one and the same scope.
    pub(crate) fn is(&self, other: &Scope) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// All names in scope, nearest first.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.0.names.borrow().keys().cloned().collect();
        if let Some(parent) = &self.0.parent {
            names.extend(parent.names());
        }
        names
    }
}

/// The columns that a scalar expression sees.
#[derive(Clone, Default)]
pub(crate) struct RowInfo {
    /// Visible columns.
    pub columns: Vec<BoundColumn>,
    /// Columns carried along.
    pub hidden: Vec<HiddenColumn>,
}

impl RowInfo {
    /// The row of a tabular expression.
    pub(crate) fn of(rel: &Rel) -> RowInfo {
        RowInfo { columns: rel.columns.clone(), hidden: rel.hidden.clone() }
    }

    /// True if it may have columns beside those that are known, because they follow from rows.
    pub(crate) fn is_open(&self) -> bool {
        self.hidden.iter().any(|h| !h.is_column())
    }

    /// A column by exact name.
    pub(crate) fn find(&self, name: &str) -> Option<&BoundColumn> {
        self.columns.iter().find(|c| c.name == name)
    }
}
