//! Query texts as trees, so that a failing one can be made smaller piece by piece.

use kqlake_value::{Column, Type};
use serde_json::Value as Json;

use super::values;

/// A piece of a query.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    Text(String),
    /// A column's name.
    Name(String),
    Seq(Vec<Node>),
    /// A scalar expression: anything else of its type may stand in its place.
    Expr(Type, Vec<Node>),
    /// A key of an order: what tells whether the order is total.
    Key(Box<Node>),
    /// Items of which some may go.
    List {
        items: Vec<Node>,
        separator: &'static str,
        least: usize,
    },
    Table(Table),
    /// A tabular expression within the query.
    Pipe {
        source: Box<Node>,
        steps: Vec<Node>,
    },
}

/// A table of constants; cells as the Kusto v1 answer writes them.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Json>>,
}

pub fn text(text: impl Into<String>) -> Node {
    Node::Text(text.into())
}

pub fn name(name: &str) -> Node {
    Node::Name(name.to_owned())
}

/// A column as an expression.
pub fn column(column: &Column) -> Node {
    Node::Expr(column.ty, vec![name(&column.name)])
}

/// A constant.
pub fn literal(ty: Type, value: &Json) -> Node {
    Node::Expr(ty, vec![Node::Text(values::literal(ty, value))])
}

pub fn list(items: Vec<Node>) -> Node {
    Node::List { items, separator: ", ", least: 1 }
}

/// `name = value`
pub fn assign(to: &str, value: Node) -> Node {
    Node::Seq(vec![name(to), text(" = "), value])
}

/// Nodes one behind the other; texts come as they are.
#[macro_export]
macro_rules! seq {
    ($($part:expr),* $(,)?) => {
        $crate::generated::tree::Node::Seq(vec![$($crate::generated::tree::Node::from($part)),*])
    };
}

impl From<&str> for Node {
    fn from(text: &str) -> Node {
        Node::Text(text.to_owned())
    }
}

impl From<String> for Node {
    fn from(text: String) -> Node {
        Node::Text(text)
    }
}

impl std::fmt::Display for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Node::Text(text) => f.write_str(text),
            Node::Name(name) => f.write_str(&values::name(name)),
            Node::Key(key) => key.fmt(f),
            Node::Seq(parts) | Node::Expr(_, parts) => parts.iter().try_for_each(|part| part.fmt(f)),
            Node::List { items, separator, .. } => {
                for (i, item) in items.iter().enumerate() {
                    f.write_str(if i > 0 { separator } else { "" })?;
                    item.fmt(f)?;
                }
                Ok(())
            }
            Node::Table(table) => table.fmt(f),
            Node::Pipe { source, steps } => {
                source.fmt(f)?;
                steps.iter().try_for_each(|step| write!(f, " | {step}"))
            }
        }
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("datatable(")?;
        for (i, column) in self.columns.iter().enumerate() {
            write!(f, "{}{}:{}", if i > 0 { ", " } else { "" }, values::name(&column.name), column.ty)?;
        }
        f.write_str(")[")?;
        let mut first = true;
        for (column, value) in self.rows.iter().flat_map(|row| self.columns.iter().zip(row)) {
            write!(f, "{}{}", if first { "" } else { ", " }, values::literal(column.ty, value))?;
            first = false;
        }
        f.write_str("]")
    }
}

impl Node {
    /// Every copy that is one step simpler, the boldest steps first.
    pub fn simpler(&self) -> Vec<Node> {
        match self {
            Node::Text(_) | Node::Name(_) => Vec::new(),
            Node::Key(key) => key.simpler().into_iter().map(|key| Node::Key(Box::new(key))).collect(),
            Node::Seq(parts) => within(parts).into_iter().map(Node::Seq).collect(),
            Node::Expr(ty, parts) => {
                let mut found = Vec::new();
                let bare = matches!(parts.as_slice(), [Node::Text(_)]);
                if !bare {
                    found.extend(values::simplest(*ty).iter().map(|value| literal(*ty, value)));
                    parts.iter().for_each(|part| part.of_type(*ty, &mut found));
                    found.extend(within(parts).into_iter().map(|parts| Node::Expr(*ty, parts)));
                }
                found
            }
            Node::List { items, separator, least } => {
                let again = |items| Node::List { items, separator, least: *least };
                let fewer = (0..items.len()).filter(|_| items.len() > *least).map(|i| {
                    let mut items = items.clone();
                    items.remove(i);
                    items
                });
                fewer.chain(within(items)).map(again).collect()
            }
            Node::Table(table) => table.simpler().into_iter().map(Node::Table).collect(),
            Node::Pipe { source, steps } => {
                let mut found: Vec<Node> = (0..steps.len())
                    .map(|i| {
                        let mut steps = steps.clone();
                        steps.remove(i);
                        Node::Pipe { source: source.clone(), steps }
                    })
                    .collect();
                found.extend(source.simpler().into_iter().map(|s| Node::Pipe { source: Box::new(s), steps: steps.clone() }));
                found.extend(within(steps).into_iter().map(|steps| Node::Pipe { source: source.clone(), steps }));
                found
            }
        }
    }

    /// The node with tabular expressions in it replaced, the outermost ones.
    pub fn with_tables(&self, replace: &mut dyn FnMut(&Node) -> Option<Node>) -> Node {
        let mut each = |parts: &[Node]| parts.iter().map(|part| part.with_tables(replace)).collect();
        match self {
            Node::Seq(parts) => Node::Seq(each(parts)),
            Node::Expr(ty, parts) => Node::Expr(*ty, each(parts)),
            Node::List { items, separator, least } => Node::List { items: each(items), separator, least: *least },
            Node::Pipe { .. } => replace(self).unwrap_or_else(|| self.clone()),
            other => other.clone(),
        }
    }

    /// The node with keys of orders in it replaced.
    pub fn with_keys(&self, replace: &dyn Fn(&Node) -> Node) -> Node {
        let each = |parts: &[Node]| parts.iter().map(|part| part.with_keys(replace)).collect();
        match self {
            Node::Key(key) => Node::Key(Box::new(replace(key))),
            Node::Seq(parts) => Node::Seq(each(parts)),
            Node::List { items, separator, least } => Node::List { items: each(items), separator, least: *least },
            other => other.clone(),
        }
    }

    /// The columns that are keys of an order below this node.
    pub fn keys(&self, found: &mut Vec<String>) {
        match self {
            Node::Key(key) => key.names(found),
            Node::Seq(parts) | Node::List { items: parts, .. } => parts.iter().for_each(|part| part.keys(found)),
            _ => {}
        }
    }

    fn names(&self, found: &mut Vec<String>) {
        match self {
            Node::Name(name) => found.push(name.clone()),
            Node::Seq(parts) | Node::Expr(_, parts) => parts.iter().for_each(|part| part.names(found)),
            _ => {}
        }
    }

    /// The expressions of a type below this node.
    fn of_type(&self, ty: Type, found: &mut Vec<Node>) {
        match self {
            Node::Expr(other, _) if *other == ty => found.push(self.clone()),
            Node::Seq(parts) | Node::Expr(_, parts) | Node::List { items: parts, .. } => {
                parts.iter().for_each(|part| part.of_type(ty, found));
            }
            _ => {}
        }
    }
}

/// All copies of a list with one of its nodes one step simpler.
fn within(nodes: &[Node]) -> Vec<Vec<Node>> {
    let mut found = Vec::new();
    for (i, node) in nodes.iter().enumerate() {
        for simpler in node.simpler() {
            let mut copy = nodes.to_vec();
            copy[i] = simpler;
            found.push(copy);
        }
    }
    found
}

impl Table {
    fn simpler(&self) -> Vec<Table> {
        let rows = self.rows.len();
        let mut found = Vec::new();
        let mut keep = |range: std::ops::Range<usize>| {
            let rows = self.rows.iter().enumerate().filter(|(i, _)| range.contains(i)).map(|(_, row)| row.clone()).collect();
            found.push(Table { columns: self.columns.clone(), rows });
        };
        if rows > 0 {
            keep(0..0);
        }
        if rows > 2 {
            keep(0..rows / 2);
            keep(rows / 2..rows);
        }
        for gone in (0..rows).filter(|_| rows > 1) {
            let rows = self.rows.iter().enumerate().filter(|(i, _)| *i != gone).map(|(_, row)| row.clone()).collect();
            found.push(Table { columns: self.columns.clone(), rows });
        }
        for gone in (0..self.columns.len()).filter(|_| self.columns.len() > 1) {
            let mut table = self.clone();
            table.columns.remove(gone);
            table.rows.iter_mut().for_each(|row| drop(row.remove(gone)));
            found.push(table);
        }
        for (i, row) in self.rows.iter().enumerate() {
            for (j, value) in row.iter().enumerate() {
                let simplest = values::simplest(self.columns[j].ty);
                let rank = simplest.iter().position(|simple| simple == value).unwrap_or(simplest.len());
                for simple in &simplest[..rank] {
                    let mut table = self.clone();
                    table.rows[i][j] = simple.clone();
                    found.push(table);
                }
            }
        }
        found
    }
}
