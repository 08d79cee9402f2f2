//! Rows that were numbered in their order stay in the order of their numbers, whatever is filtered, computed, left out or cut off
//! behind.

use std::rc::Rc;

use kqlake_value::{Column, Type};
use serde_json::Value as Json;

use super::combine;
use super::oracle::{Asker, Counts, Outcome};
use super::random::Random;
use super::steps::{self, State};
use super::tree::{Node, Table, name, text};
use crate::seq;

/// The column with the rows' numbers; no generated column has this name.
const NUMBER: &str = "rn_";

/// Numbers the rows of a random table under keys that leave ties, and puts operators behind that keep the order. Gives what is
/// out of order.
pub fn examine(random: &mut Random, asker: &mut Asker, counts: &mut Counts) -> Vec<(String, String)> {
    let source = if random.percent(70) { long_source(random) } else { combine::source(random) };
    let Outcome::Rows(table) = &*asker.ask(0, &source.to_string()) else { return Vec::new() };
    let mut query = seq![source, " | sort by ", keys(random, table), " | extend rn_ = row_number()"].to_string();
    let mut lets: Vec<(String, Node)> = Vec::new();
    for _ in 0..random.between(2, 5) {
        let asked = lets.iter().map(|(_, node)| format!("{node}; ")).chain([query.clone()]).collect::<String>();
        let found = asker.ask(0, &asked);
        counts.queries += 1;
        let table = match &*found {
            Outcome::Rows(table) => table,
            Outcome::Refused(why) => {
                counts.refused += 1;
                *counts.reasons.entry(why.clone()).or_default() += 1;
                return Vec::new();
            }
            _ => return Vec::new(),
        };
        for setting in 0..asker.settings() {
            let answer = asker.ask(setting, &asked);
            let in_order = match &*answer {
                Outcome::Rows(table) => ascends(table),
                Outcome::Broken(_) => false,
                _ => true,
            };
            if !in_order {
                let found = match &*answer {
                    Outcome::Rows(table) => format!("    {NUMBER} = {}", Json::from(numbers(table))),
                    other => other.to_string(),
                };
                let report = format!("rows are not in the order of {NUMBER}\n  {}: {asked}\n{found}", asker.setting(setting));
                return vec![("rows out of their order".to_owned(), report)];
            }
        }
        let state = State { columns: table.columns.clone(), rows: table.rows.clone(), ordered: true, sides: Rc::default() };
        if let Some((statements, step)) = step(random, &state) {
            let new = statements.into_iter().filter(|(name, _)| lets.iter().all(|(known, _)| known != name));
            lets.extend(new.collect::<Vec<_>>());
            query.push_str(&step);
        }
    }
    Vec::new()
}

/// Rows enough for sorts that do not keep the order of equal ones, in several parts.
fn long_source(random: &mut Random) -> Node {
    let (rows, first, second) = (random.between(30, 300), random.between(1, 7), random.between(1, 5));
    let behind = *random.pick(&["", " | where a != 7", " | union (print b = 0)", " | union (range b from 1 to 50 step 1)"]);
    text(format!("range a from 1 to {rows} step 1 | extend b = a % {first}, c = tostring(a % {second}){behind}"))
}

/// One or two keys of an order. Rows often tie: tables are made of few values.
fn keys(random: &mut Random, table: &Table) -> Node {
    let columns: Vec<&Column> = table.columns.iter().filter(|column| column.ty != Type::Dynamic).collect();
    let mut columns = random.shuffled(columns);
    columns.truncate(random.between(1, 2));
    let mut keys = Vec::new();
    for column in columns {
        let direction = *random.pick(&["", " asc", " desc", " asc nulls last", " desc nulls first"]);
        keys.push(seq![name(&column.name), direction]);
    }
    if keys.is_empty() {
        keys.push(seq!["1"]);
    }
    Node::List { items: keys, separator: ", ", least: 1 }
}

/// The next operator and the statements that it needs; `None` where it would not leave the numbers as they are.
fn step(random: &mut Random, state: &State) -> Option<(Vec<(String, Node)>, String)> {
    let kind = *random.pick(&["where", "where", "extend", "project", "take"]);
    if kind == "project" {
        let others: Vec<&Column> = state.columns.iter().filter(|column| column.name != NUMBER).collect();
        let others = random.some(others, 0);
        let kept: Vec<Node> = others.iter().map(|column| name(&column.name)).chain([name(NUMBER)]).collect();
        let items = Node::List { items: random.shuffled(kept), separator: ", ", least: 1 };
        return Some((Vec::new(), seq![" | project ", items].to_string()));
    }
    let step = steps::next(random, state, Some(kind))?;
    let written = format!(" | {}", step.node);
    (!written.contains("rn_ = ")).then_some((step.lets, written))
}

/// The rows' numbers; least for a row that has none.
fn numbers(table: &Table) -> Vec<i64> {
    let place = table.columns.iter().position(|column| column.name == NUMBER);
    table.rows.iter().map(|row| place.and_then(|place| row[place].as_i64()).unwrap_or(i64::MIN)).collect()
}

/// Whether each row's number is greater than that of the row before.
fn ascends(table: &Table) -> bool {
    table.columns.iter().any(|column| column.name == NUMBER) && numbers(table).is_sorted_by(|a, b| a < b)
}

#[test]
fn numbers_out_of_order_are_seen() {
    let table = |numbers: &[i64]| Table {
        columns: vec![Column::new(NUMBER, Type::Long)],
        rows: numbers.iter().map(|n| vec![Json::from(*n)]).collect(),
    };
    assert!(ascends(&table(&[])) && ascends(&table(&[1, 2, 4])));
    assert!(!ascends(&table(&[1, 3, 2])) && !ascends(&table(&[1, 1])));
}
