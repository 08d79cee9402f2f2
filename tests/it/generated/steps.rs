//! One more operator behind a table whose columns and rows are known.

use std::rc::Rc;

use kqlake_value::{Column, Type};
use serde_json::Value as Json;

use super::expressions::{KEYS, Scope};
use super::random::Random;
use super::tree::{self, Node, assign, column, list, name, text};
use super::{aggregates, combine, shapes, values};
use crate::seq;

/// What is known of the rows that an operator is put behind.
#[derive(Debug, Clone)]
pub struct State {
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Json>>,
    /// Their order is that of a total sort.
    pub ordered: bool,
    /// Other pipelines of the case, to join and unite with.
    pub sides: Rc<Vec<Side>>,
}

/// A pipeline whose answer does not depend on an order.
#[derive(Debug)]
pub struct Side {
    pub node: Node,
    pub columns: Vec<Column>,
    pub lets: Vec<(String, Node)>,
}

/// What an operator does to the order of rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Order {
    Keeps,
    Loses,
    /// The order is that of its keys; total, when no two different rows have the same keys.
    Sets,
}

/// What must hold of an operator's input, or its answer is not determined.
#[derive(Debug, Clone, PartialEq)]
pub enum Need {
    /// A total order.
    Ordered,
    /// No more rows than this, or a total order: by its own keys where it sets one, else that of the input.
    AtMost(usize),
    /// The operator's keys order its input totally.
    Total,
    /// No two rows with the same values there.
    Unique(Vec<String>),
    /// One value there.
    Constant(String),
}

/// An operator of a pipeline.
#[derive(Debug, Clone)]
pub struct Step {
    pub node: Node,
    pub order: Order,
    pub needs: Vec<Need>,
    /// Statements that stand before the query, by the name that they give.
    pub lets: Vec<(String, Node)>,
}

impl Step {
    pub fn new(node: Node, order: Order) -> Step {
        Step { node, order, needs: Vec::new(), lets: Vec::new() }
    }

    pub fn need(mut self, need: Need) -> Step {
        self.needs.push(need);
        self
    }

    pub fn with(mut self, scope: Scope<'_>) -> Step {
        self.lets.extend(scope.lets);
        self
    }
}

/// Makes an operator, if one of its kind has a meaning there.
pub type Maker = fn(&mut Random, &State) -> Option<Step>;

/// All kinds of operators with their weights.
pub const KINDS: &[(usize, (&str, Maker))] = &[
    (14, ("where", filter)),
    (12, ("extend", extend)),
    (8, ("constants", constants)),
    (7, ("project", project)),
    (5, ("columns", chosen_columns)),
    (6, ("distinct", distinct)),
    (8, ("summarize", aggregates::summarize)),
    (4, ("totals", aggregates::totals)),
    (2, ("count", count)),
    (10, ("order", order)),
    (4, ("top", top)),
    (3, ("take", take)),
    (12, ("window", window)),
    (3, ("serialize", serialize)),
    (9, ("join", combine::join)),
    (6, ("lookup", combine::lookup)),
    (9, ("union", combine::union)),
    (3, ("as", combine::named)),
    (4, ("met", combine::met)),
    (5, ("invoke", combine::invoke)),
    (4, ("partition", combine::partition)),
    (6, ("mv-expand", shapes::mv_expand)),
    (4, ("mv-apply", shapes::mv_apply)),
    (4, ("make-series", shapes::make_series)),
    (5, ("parse", shapes::parse)),
    (8, ("scan", shapes::scan)),
    (2, ("top-nested", shapes::top_nested)),
    (4, ("evaluate", shapes::evaluate)),
    (3, ("search", shapes::search)),
    (1, ("getschema", shapes::getschema)),
];

/// Sequences that have been wrong before, or that many queries have; kinds of [`KINDS`].
const SCENARIOS: &[&[&str]] = &[
    &["lookup", "order", "window"],
    &["lookup", "lookup", "where", "order", "window"],
    &["join", "join", "order", "window"],
    &["join", "constants", "where"],
    &["union", "join", "where", "totals"],
    &["totals", "union", "order", "window"],
    &["totals", "join", "where"],
    &["constants", "totals", "extend", "where"],
    &["summarize", "union", "where"],
    &["distinct", "union", "distinct", "order"],
    &["top", "union", "order", "window"],
    &["order", "take", "union", "where"],
    &["order", "take", "join", "order", "window"],
    &["mv-expand", "union", "order", "window"],
    &["union", "partition", "where"],
    &["lookup", "make-series", "mv-expand"],
    &["window", "window", "join"],
    &["order", "scan", "where"],
    &["parse", "where", "summarize"],
    &["lookup", "summarize", "where"],
    &["lookup", "top"],
    &["lookup", "extend", "where", "order", "window"],
    &["join", "where", "order", "window"],
    &["join", "extend", "order", "project"],
    &["union", "where", "order", "window"],
    &["union", "order", "window"],
    &["union", "top", "project"],
    &["totals", "constants", "where"],
    &["totals", "constants", "union", "where"],
    &["distinct", "constants", "union", "order", "project"],
    &["distinct", "constants", "union", "order", "project"],
    &["distinct", "extend", "union", "order", "columns"],
    &["distinct", "constants", "union", "top", "project"],
    &["totals", "constants", "where"],
    &["lookup", "order"],
    &["join", "order"],
    &["invoke", "where"],
    &["constants", "distinct", "order"],
    &["constants", "summarize", "order", "window"],
    &["mv-expand", "where", "summarize"],
    &["order", "window", "where", "window"],
    &["order", "take", "where"],
    &["order", "where", "summarize"],
    &["constants", "join", "where", "totals"],
    &["where", "constants", "join", "order", "window"],
    &["union", "summarize", "join", "order"],
    &["constants", "order", "window", "where"],
    &["order", "met", "where"],
    &["order", "columns", "met", "summarize"],
    &["order", "project", "met", "order", "window"],
    &["top", "met"],
    &["order", "window", "met", "where"],
    &["summarize", "order", "met"],
    &["top", "invoke", "order"],
    &["order", "invoke", "where"],
];

/// Kinds to begin a pipeline with, or none.
pub fn scenario(random: &mut Random) -> &'static [&'static str] {
    if random.percent(65) { random.pick::<&[&str]>(SCENARIOS) } else { &[] }
}

/// One operator of a kind, or of any.
pub fn next(random: &mut Random, state: &State, kind: Option<&str>) -> Option<Step> {
    if let Some(kind) = kind {
        let maker = KINDS.iter().find(|(_, (name, _))| *name == kind).map(|(_, (_, maker))| maker)?;
        return maker(random, state);
    }
    (0..20).find_map(|_| (random.weighted(KINDS).1)(random, state))
}

impl State {
    pub fn scope(&self) -> Scope<'_> {
        Scope::new(&self.columns, &self.rows)
    }

    /// Columns of one of these types.
    pub fn of(&self, types: &[Type]) -> Vec<&Column> {
        self.columns.iter().filter(|column| types.contains(&column.ty)).collect()
    }

    fn cells(&self, wanted: &Column) -> impl Iterator<Item = &Json> {
        let place = self.columns.iter().position(|column| column == wanted).unwrap_or_default();
        self.rows.iter().map(move |row| &row[place])
    }

    pub fn is_unique(&self, column: &Column) -> bool {
        let mut seen: Vec<&Json> = Vec::new();
        self.cells(column).all(|cell| {
            let new = !seen.contains(&cell);
            seen.push(cell);
            new
        })
    }

    pub fn is_constant(&self, column: &Column) -> bool {
        let mut cells = self.cells(column);
        let first = cells.next();
        cells.all(|cell| Some(cell) == first)
    }

    /// Numbers and spans so small that no sum of them overflows or depends on its order.
    pub fn is_modest(&self, column: &Column) -> bool {
        let number = |v: f64| !v.is_finite() || v == 0.0 || (1e-6..=1e9).contains(&v.abs());
        self.cells(column).all(|cell| match cell {
            Json::Number(v) => v.as_f64().is_some_and(number),
            Json::String(text) if column.ty == Type::Decimal => text.parse::<f64>().is_ok_and(number),
            Json::String(text) => text.len() < 20,
            _ => true,
        })
    }

    /// Numbers that lie no further than this from zero.
    pub fn spans_at_most(&self, column: &Column, most: f64) -> bool {
        self.cells(column).all(|cell| cell.is_null() || cell.as_f64().is_some_and(|v| v.abs() <= most))
    }

    /// A name for a new column: a new one, or at times one that is there.
    pub fn new_name(&self, random: &mut Random, taken: &[String]) -> String {
        let old: Vec<&String> = self.columns.iter().map(|column| &column.name).filter(|name| !taken.contains(name)).collect();
        if !old.is_empty() && random.percent(15) {
            return (*random.pick(&old)).clone();
        }
        let new = |name: &str| !taken.iter().any(|t| t == name) && !self.columns.iter().any(|column| column.name == name);
        let free: Vec<String> = ["p", "q", "r", "t", "u", "v", "w"]
            .iter()
            .map(|name| (*name).to_owned())
            .chain((1..40).map(|i| format!("x{i}")))
            .filter(|name| new(name))
            .take(4)
            .collect();
        random.pick(&free).clone()
    }
}

/// A condition; many of a column that has one value only.
pub fn predicate(random: &mut Random, state: &State, scope: &mut Scope<'_>) -> Node {
    let comparable = state.of(&KEYS);
    if comparable.is_empty() || random.percent(45) {
        return scope.expr(random, Type::Bool, 2);
    }
    let constant: Vec<&Column> = comparable.iter().copied().filter(|column| state.is_constant(column)).collect();
    let from = if constant.is_empty() || random.percent(50) { &comparable } else { &constant };
    let found = *random.pick(from);
    let parts = match random.below(6) {
        0 => vec![text("isnull("), column(found), text(")")],
        1 => vec![text("isempty("), column(found), text(")")],
        2 => vec![column(found), text(" != "), scope.constant(random, found.ty)],
        _ => vec![column(found), text(" == "), scope.constant(random, found.ty)],
    };
    Node::Expr(Type::Bool, parts)
}

fn filter(random: &mut Random, state: &State) -> Option<Step> {
    let mut scope = state.scope();
    let predicate = predicate(random, state, &mut scope);
    Some(Step::new(seq!["where ", predicate], Order::Keeps).with(scope))
}

fn extend(random: &mut Random, state: &State) -> Option<Step> {
    let (mut scope, mut taken, mut items) = (state.scope(), Vec::new(), Vec::new());
    for _ in 0..random.between(1, 3) {
        let name = state.new_name(random, &taken);
        let ty = values::any_type(random);
        items.push(assign(&name, scope.expr(random, ty, 2)));
        taken.push(name);
    }
    Some(Step::new(seq!["extend ", list(items)], Order::Keeps).with(scope))
}

fn constants(random: &mut Random, state: &State) -> Option<Step> {
    let (mut scope, mut taken, mut items) = (state.scope(), Vec::new(), Vec::new());
    for _ in 0..random.between(1, 2) {
        let name = state.new_name(random, &taken);
        let ty = values::any_type(random);
        let node = if random.percent(80) { scope.constant(random, ty) } else { scope.leaf(random, ty) };
        items.push(assign(&name, node));
        taken.push(name);
    }
    Some(Step::new(seq!["extend ", list(items)], Order::Keeps).with(scope))
}

fn project(random: &mut Random, state: &State) -> Option<Step> {
    let mut scope = state.scope();
    let kept = random.some(state.columns.clone(), 1);
    let mut taken: Vec<String> = kept.iter().map(|column| column.name.clone()).collect();
    let mut items: Vec<Node> = kept.iter().map(|column| name(&column.name)).collect();
    for _ in 0..random.below(3) {
        let name = state.new_name(random, &taken);
        let ty = values::any_type(random);
        items.push(assign(&name, scope.expr(random, ty, 1)));
        taken.push(name);
    }
    let items = random.shuffled(items);
    Some(Step::new(seq!["project ", list(items)], Order::Keeps).with(scope))
}

fn chosen_columns(random: &mut Random, state: &State) -> Option<Step> {
    let some = random.some(state.columns.clone(), 1);
    let some = random.shuffled(some);
    let names = || some.iter().map(|column| name(&column.name)).collect::<Vec<Node>>();
    let node = match random.below(5) {
        0 if some.len() < state.columns.len() => seq!["project-away ", list(names())],
        0 | 1 => seq!["project-keep ", list(names())],
        2 if random.percent(30) => {
            let quoted = some.iter().map(|column| text(values::quoted(&column.name)));
            seq!["project-by-names ", list(quoted.collect())]
        }
        2 => seq!["project-reorder ", list(names())],
        3 => seq!["project-reorder ", list(names()), *random.pick(&[" asc", " desc", ", *"])],
        _ => {
            let mut taken: Vec<String> = state.columns.iter().map(|column| column.name.clone()).collect();
            let items = some.iter().take(2).map(|old| {
                let new = state.new_name(random, &taken);
                taken.push(new.clone());
                seq![name(&new), " = ", name(&old.name)]
            });
            seq!["project-rename ", list(items.collect())]
        }
    };
    Some(Step::new(node, Order::Keeps))
}

fn distinct(random: &mut Random, state: &State) -> Option<Step> {
    let mut scope = state.scope();
    let plain: Vec<Column> = state.of(&KEYS).into_iter().cloned().collect();
    if plain.len() == state.columns.len() && random.percent(40) {
        return Some(Step::new(text("distinct *"), Order::Loses));
    }
    let kept = random.some(plain, 1);
    let mut taken: Vec<String> = kept.iter().map(|column| column.name.clone()).collect();
    let mut items: Vec<Node> = kept.iter().map(|column| name(&column.name)).collect();
    if items.is_empty() || random.percent(30) {
        let name = state.new_name(random, &taken);
        let ty = *random.pick(&KEYS);
        items.push(assign(&name, scope.expr(random, ty, 1)));
        taken.push(name);
    }
    Some(Step::new(seq!["distinct ", list(items)], Order::Loses).with(scope))
}

/// One of several, if there is one.
pub fn some<'a, T>(random: &mut Random, from: &'a [T]) -> Option<&'a T> {
    if from.is_empty() { None } else { Some(random.pick(from)) }
}

fn count(random: &mut Random, _: &State) -> Option<Step> {
    Some(Step::new(text(*random.pick(&["count", "count", "count as c"])), Order::Loses))
}

/// A column as a key of an order.
fn key(random: &mut Random, found: &Column) -> Vec<Node> {
    const WAYS: [&str; 6] = [" asc", " desc", "", " asc nulls last", " desc nulls first", " asc nulls first"];
    let way = *random.pick(&WAYS);
    let of = |before: &str, behind: &str| seq![before, Node::Key(Box::new(column(found))), behind, way];
    match found.ty {
        // A dynamic has no order of its own: its text has, and the kind tells "1" from 1.
        Type::Dynamic => vec![of("tostring(", ")"), seq!["gettype(", column(found), ")"]],
        // A guid has none either.
        Type::Guid => vec![of("tostring(", ")")],
        _ => vec![of("", "")],
    }
}

/// Keys of all columns: a total order.
pub fn total_keys(random: &mut Random, state: &State) -> Vec<Node> {
    let columns = random.shuffled(state.columns.clone());
    columns.iter().flat_map(|column| key(random, column)).collect()
}

fn order(random: &mut Random, state: &State) -> Option<Step> {
    let mut scope = state.scope();
    let mut keys = total_keys(random, state);
    if random.percent(25) {
        // Rows with equal keys may then stand in any order; which they are is compared all the same.
        keys = random.some(keys, 1);
    }
    if random.percent(15) {
        let ty = *random.pick(&[Type::Long, Type::String, Type::Bool, Type::DateTime]);
        let extra = scope.expr(random, ty, 1);
        keys.insert(random.below(keys.len() + 1), extra);
    }
    Some(Step::new(seq![*random.pick(&["order by ", "sort by "]), list(keys)], Order::Sets).with(scope))
}

fn top(random: &mut Random, state: &State) -> Option<Step> {
    let columns: Vec<&Column> = state.columns.iter().filter(|c| !matches!(c.ty, Type::Dynamic | Type::Guid)).collect();
    let unique: Vec<&Column> = columns.iter().copied().filter(|column| state.is_unique(column)).collect();
    let (found, count) = match some(random, &unique) {
        Some(found) => (*found, random.below(5)),
        None => (*some(random, &columns)?, 100),
    };
    let key = key(random, found).swap_remove(0);
    Some(Step::new(seq![format!("top {count} by "), key], Order::Sets).need(Need::AtMost(count)))
}

fn take(random: &mut Random, state: &State) -> Option<Step> {
    let count = if state.ordered { random.below(5) } else { 100 };
    if !state.ordered && random.percent(50) {
        let keys: Vec<&Column> = state.of(&KEYS);
        let key = some(random, &keys)?;
        return Some(match random.percent(50) {
            true => Step::new(text("sample 100"), Order::Loses).need(Need::AtMost(100)),
            false => Step::new(seq!["sample-distinct 100 of ", name(&key.name)], Order::Loses).need(Need::AtMost(100)),
        });
    }
    let word = *random.pick(&["take", "limit"]);
    Some(Step::new(text(format!("{word} {count}")), Order::Keeps).need(Need::AtMost(count)))
}

fn serialize(_: &mut Random, _: &State) -> Option<Step> {
    Some(Step::new(text("serialize"), Order::Keeps))
}

/// Functions over the rows in their order.
fn window(random: &mut Random, state: &State) -> Option<Step> {
    if !state.ordered {
        return None;
    }
    let (mut scope, mut taken, mut items) = (state.scope(), Vec::new(), Vec::new());
    for _ in 0..random.between(1, 2) {
        let any = some(random, &state.columns)?;
        let node = match random.below(12) {
            0..=2 => text("row_number()"),
            9 => {
                let again = || column(any);
                let (value, before) = (again(), again());
                if any.ty == Type::Dynamic {
                    seq!["row_number(1, tostring(prev(", before, ")) != tostring(", value, "))"]
                } else {
                    seq!["row_number(1, prev(", before, ") != ", value, ")"]
                }
            }
            10 => {
                let columns = state.of(&[Type::DateTime]);
                let found = column(some(random, &columns)?);
                seq!["row_window_session(", found, ", 2d, 1d, ", predicate(random, state, &mut scope), ")"]
            }
            11 => {
                let columns: Vec<&Column> =
                    state.of(&[Type::Long, Type::Int]).into_iter().filter(|column| state.is_modest(column)).collect();
                let found = column(some(random, &columns)?);
                seq!["row_cumsum(", found, ", ", predicate(random, state, &mut scope), ")"]
            }
            3 => seq!["row_number(1, ", predicate(random, state, &mut scope), ")"],
            4 => seq!["prev(", column(any), ")"],
            5 => seq!["next(", column(any), ", ", *random.pick(&["1", "2"]), ")"],
            6 => seq!["prev(", column(any), ", 1, ", scope.constant(random, any.ty), ")"],
            7 => {
                let columns: Vec<&Column> =
                    state.of(&[Type::Long, Type::Int]).into_iter().filter(|column| state.is_modest(column)).collect();
                seq!["row_cumsum(", column(some(random, &columns)?), ")"]
            }
            _ => {
                let columns = state.of(&KEYS);
                seq![*random.pick(&["row_rank_dense(", "row_rank_min("]), column(some(random, &columns)?), ")"]
            }
        };
        let name = state.new_name(random, &taken);
        items.push(assign(&name, node));
        taken.push(name);
    }
    let word = *random.pick(&["extend ", "extend ", "extend ", "serialize "]);
    Some(Step::new(seq![word, list(items)], Order::Keeps).need(Need::Ordered).with(scope))
}

/// A table of constants as a node.
pub fn constant_table(columns: Vec<Column>, rows: Vec<Vec<Json>>) -> Node {
    Node::Table(tree::Table { columns, rows })
}
