//! Where tables come from and meet: sources, joins, unions, functions over tables.

use std::rc::Rc;

use kqlake_value::{Column, Type};
use serde_json::Value as Json;

use super::expressions::{KEYS, Scope};
use super::random::Random;
use super::steps::{Need, Order, State, Step, constant_table, predicate, some, total_keys};
use super::tree::{Node, assign, list, name, text};
use super::values;
use crate::seq;

/// A table of the sample lake, or a day of it, with some of its columns.
pub fn lake_source(random: &mut Random, columns_of: &mut dyn FnMut(&str) -> Vec<Column>) -> Node {
    const TABLES: [&str; 16] = [
        "traces | where timestamp between (datetime(2026-01-06) .. 1d)",
        "traces | where timestamp >= datetime(2026-01-09) and timestamp < datetime(2026-01-10)",
        "traces | where customDimensions.eventId startswith \"RT\" and timestamp < datetime(2026-01-07)",
        "union requests, dependencies, exceptions",
        "union withsource=s pageViews, availabilityResults, customMetrics",
        "union kind=inner requests, pageViews",
        "union (requests | extend src = \"r\"), (pageViews | extend src = \"p\")",
        "ImportLedger",
        "customEvents",
        "pageViews",
        "requests",
        "MessageTrace",
        "AuditRecords",
        "CallSegments",
        "CallSessions",
        "TeamsUserActivityUserDetail",
    ];
    let table = *random.pick(&TABLES);
    let columns = columns_of(table);
    let mut chosen = random.shuffled(columns);
    // Records and their bags are what queries are about.
    chosen.sort_by_key(|column| column.ty != Type::Dynamic && column.name != "timestamp");
    let first = usize::from(random.percent(70));
    let mut kept: Vec<Column> = chosen.iter().take(first).cloned().collect();
    let rest = random.shuffled(chosen);
    kept.extend(rest.into_iter().filter(|column| !kept.contains(column)).take(3).collect::<Vec<_>>());
    let items = kept.iter().map(|column| name(&column.name)).collect();
    seq![table, " | project ", list(items)]
}

/// What a pipeline begins with.
pub fn source(random: &mut Random) -> Node {
    const NAMES: [&str; 4] = ["a", "b", "c", "d"];
    let count = random.between(1, NAMES.len());
    match random.below(12) {
        0 => text("range a from 1 to 4 step 1"),
        1 => seq!["print a = 1, b = ", values::literal(Type::String, &values::value(random, Type::String, 0))],
        2..=4 => {
            // Branches with a label each, of one kind of rows or of several.
            let first = values::table(random, &NAMES[..count]);
            let branches = (0..random.between(2, 3)).map(|i| {
                let table = if random.percent(75) {
                    let rows = random.below(4);
                    constant_table(first.columns.clone(), values::rows(random, &first.columns, rows))
                } else {
                    Node::Table(values::table(random, &NAMES[..count]))
                };
                let mut steps = Vec::new();
                if random.percent(25) {
                    steps.push(text(*random.pick(&["count", "summarize c = count()", "summarize c = count(), a = 1"])));
                }
                if random.percent(85) {
                    let label = *random.pick(&["\"x\"", "\"y\"", "\"x\"", "\"z\""]);
                    steps.push(seq!["extend src = ", if i == 0 { "\"x\"" } else { label }]);
                }
                seq!["(", Node::Pipe { source: Box::new(table), steps }, ")"]
            });
            let branches = Node::List { items: branches.collect(), separator: ", ", least: 1 };
            seq!["union ", *random.pick(&["", "", "withsource=s ", "kind=inner "]), branches]
        }
        _ => Node::Table(values::table(random, &NAMES[..count])),
    }
}

/// A table to meet the rows: with columns of theirs to meet by, whose values are often theirs.
fn side(random: &mut Random, state: &State, keys: &[(Column, String)]) -> (Node, Vec<(String, Node)>) {
    let mut columns: Vec<Column> = keys.iter().map(|(column, name)| Column::new(name.clone(), column.ty)).collect();
    for _ in 0..random.below(3) {
        let taken: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let new = state.new_name(random, &taken);
        columns.push(Column::new(new, values::any_type(random)));
    }
    if columns.is_empty() {
        columns.push(Column::new("k", Type::Long));
    }
    let mut rows = Vec::new();
    for _ in 0..random.below(5) {
        let row: Vec<Json> = columns
            .iter()
            .enumerate()
            .map(|(i, column)| {
                let known = keys.get(i).and_then(|(key, _)| state.columns.iter().position(|column| column == key));
                match known {
                    Some(place) if !state.rows.is_empty() && random.percent(70) => random.pick(&state.rows)[place].clone(),
                    _ => values::value(random, column.ty, 2),
                }
            })
            .collect();
        rows.push(row);
    }
    let mut steps = Vec::new();
    let mut scope = Scope::new(&columns, &rows);
    if random.percent(15) {
        let predicate = scope.expr(random, Type::Bool, 1);
        steps.push(seq!["where ", predicate]);
    }
    if random.percent(10) && !keys.is_empty() {
        let keys = keys.iter().map(|(_, key)| name(key)).collect();
        steps.push(seq!["summarize n = count() by ", list(keys)]);
    }
    if random.percent(50) {
        let ty =
            *random.weighted(&[(4, Type::String), (2, Type::Long), (1, Type::Bool), (1, Type::DateTime), (1, Type::Dynamic)]);
        let value = values::literal(ty, &values::value(random, ty, 0));
        steps.push(seq!["extend ", name(random.pick::<&str>(&["vip", "p", "q"])), " = ", value]);
    }
    let lets = scope.lets;
    let mut source = constant_table(columns.clone(), rows.clone());
    if random.percent(15) {
        // Rows of two branches, each with its label.
        let count = random.below(3);
        let more = constant_table(columns.clone(), values::rows(random, &columns, count));
        let label = *random.pick(&["\"y\"", "\"x\""]);
        let labelled = |table, label: &str| seq!["(", table, " | extend src = ", label, ")"];
        source = seq!["(union ", labelled(source, "\"x\""), ", ", labelled(more, label), ")"];
    }
    (Node::Pipe { source: Box::new(source), steps }, lets)
}

/// Columns to meet by: of the rows, each with its name on the other side.
fn keys(random: &mut Random, state: &State) -> Option<Vec<(Column, String)>> {
    let mut found = Vec::new();
    let columns = state.of(&KEYS);
    for _ in 0..random.between(1, 2) {
        let column = (*some(random, &columns)?).clone();
        let other = if random.percent(70) { column.name.clone() } else { "o".to_owned() };
        if !found.iter().any(|(key, name): &(Column, String)| *key == column || *name == other) {
            found.push((column, other));
        }
    }
    Some(found)
}

fn conditions(keys: &[(Column, String)]) -> Node {
    let items = keys.iter().map(|(key, other)| match key.name == *other {
        true => name(other),
        false => seq!["$left.", name(&key.name), " == $right.", name(other)],
    });
    list(items.collect())
}

/// Keys, and another pipeline of the case that has columns of their types, or a table made for them.
fn meeting(random: &mut Random, state: &State) -> Option<(Vec<(Column, String)>, Node, Vec<(String, Node)>)> {
    if random.percent(40)
        && let Some(side) = some(random, &state.sides)
    {
        let pairs: Vec<(Column, String)> = state
            .of(&KEYS)
            .into_iter()
            .flat_map(|column| {
                side.columns.iter().filter(|other| other.ty == column.ty).map(|o| (column.clone(), o.name.clone()))
            })
            .collect();
        if let Some(pair) = some(random, &pairs) {
            return Some((vec![pair.clone()], side.node.clone(), side.lets.clone()));
        }
    }
    let keys = keys(random, state)?;
    let (table, lets) = side(random, state, &keys);
    Some((keys, table, lets))
}

pub fn join(random: &mut Random, state: &State) -> Option<Step> {
    const KINDS: [&str; 10] =
        ["leftouter", "rightouter", "fullouter", "inner", "leftouter", "leftsemi", "leftanti", "rightsemi", "rightanti", ""];
    let (keys, right, lets) = meeting(random, state)?;
    let unique = keys.iter().any(|(key, _)| state.is_unique(key));
    let kind = *random.pick(&KINDS);
    let kind = if kind.is_empty() && !unique { "inner" } else { kind };
    let conditions = conditions(&keys);
    let node = match kind {
        "" => seq!["join (", right, ") on ", conditions],
        kind => seq![format!("join kind={kind} ("), right, ") on ", conditions],
    };
    let step = Step { lets, ..Step::new(node, Order::Loses) };
    Some(match kind {
        "" => step.need(Need::Unique(keys.into_iter().map(|(key, _)| key.name).collect())),
        _ => step,
    })
}

pub fn lookup(random: &mut Random, state: &State) -> Option<Step> {
    let (keys, right, lets) = meeting(random, state)?;
    let kind = *random.pick(&["", "", "kind=leftouter ", "kind=inner "]);
    Some(Step { lets, ..Step::new(seq!["lookup ", kind, "(", right, ") on ", conditions(&keys)], Order::Loses) })
}

pub fn union(random: &mut Random, state: &State) -> Option<Step> {
    let mut lets = Vec::new();
    let branches = (0..random.between(1, 2)).map(|_| {
        if random.percent(30)
            && let Some(side) = some(random, &state.sides)
        {
            lets.extend(side.lets.iter().cloned());
            return seq!["(", side.node.clone(), ")"];
        }
        // Columns of the rows under their own names, and others.
        let shared = random.some(state.columns.clone(), 0);
        let keys: Vec<(Column, String)> = shared
            .into_iter()
            .map(|column| {
                let ty = if random.percent(90) { column.ty } else { values::any_type(random) };
                (Column::new(column.name.clone(), ty), column.name)
            })
            .collect();
        let (mut table, more) = side(random, state, &keys);
        lets.extend(more);
        if random.percent(20)
            && let Node::Pipe { steps, .. } = &mut table
        {
            let place = random.below(steps.len() + 1);
            steps.insert(place, text(*random.pick(&["count", "summarize c = count()", "summarize c = count(), p = dcount(1)"])));
        }
        seq!["(", table, ")"]
    });
    let branches = Node::List { items: branches.collect(), separator: ", ", least: 1 };
    let kind = *random.pick(&["", "", "", "", "kind=inner ", "withsource=s "]);
    Some(Step { lets, ..Step::new(seq!["union ", kind, branches], Order::Loses) })
}

/// The rows joined with themselves, or united: what stands behind a pipe, and what must hold of them.
fn itself(random: &mut Random, state: &State, rows: &str) -> Option<(Node, Vec<Need>)> {
    const KINDS: [&str; 6] = ["inner", "leftouter", "rightouter", "fullouter", "leftsemi", "rightanti"];
    let columns = state.of(&KEYS);
    let key = *some(random, &columns)?;
    let on = || seq![" on ", name(&key.name)];
    let right = match random.below(4) {
        0 => seq!["(", rows, " | sort by ", list(total_keys(random, state)), ")"],
        1 => seq!["(", rows, " | project ", name(&key.name), ", again = ", name(&some(random, &columns)?.name), ")"],
        _ => text(rows),
    };
    let join = |kind: &str| seq![format!("join kind={kind} "), right.clone(), on()];
    let unique = Need::Unique(vec![key.name.clone()]);
    Some(match random.below(8) {
        0 => (seq!["lookup ", right, on()], Vec::new()),
        1 => (seq!["union ", right], Vec::new()),
        2 => (seq!["join ", right, on()], vec![unique]),
        // Pairs of pairs: of few rows.
        3 | 4 => (seq![join("inner"), " | ", join(random.pick::<&str>(&KINDS))], vec![unique]),
        _ => (join(random.pick::<&str>(&KINDS)), Vec::new()),
    })
}

/// A name for the rows, which meet themselves behind it.
pub fn met(random: &mut Random, state: &State) -> Option<Step> {
    let (again, needs) = itself(random, state, "A2")?;
    Some(Step { needs, ..Step::new(seq!["as A2 | ", again], Order::Loses) })
}

/// A name for the rows, which is used once more behind it.
pub fn named(random: &mut Random, state: &State) -> Option<Step> {
    let mut scope = state.scope();
    let again = match random.below(4) {
        0 => seq!["union (A1 | where ", predicate(random, state, &mut scope), ")"],
        1 => text("union (A1 | count)"),
        2 => seq!["union (A1 | extend vip = ", scope.constant(random, Type::String), ")"],
        _ => {
            let columns = state.of(&KEYS);
            let key = *some(random, &columns)?;
            let kind = *random.pick(&["leftsemi", "leftanti", "leftouter"]);
            let key = || name(&key.name);
            seq![format!("join kind={kind} (A1 | summarize n = count() by "), key(), " | where n > 1) on ", key()]
        }
    };
    Some(Step::new(seq!["as A1 | ", again], Order::Loses).with(scope))
}

/// A function of the query over the rows.
pub fn invoke(random: &mut Random, state: &State) -> Option<Step> {
    let declared: Vec<Column> = random.some(state.columns.clone(), 1);
    let declared = random.shuffled(declared);
    let seen = State { columns: declared.clone(), rows: Vec::new(), ordered: false, sides: Rc::default() };
    let mut scope = seen.scope();
    let open = random.percent(30);
    let mut needs = Vec::new();
    let (body, order) = match random.below(8) {
        0 => (text("X"), Order::Keeps),
        1 => (seq!["X | where ", predicate(random, &seen, &mut scope)], Order::Keeps),
        2 => {
            let ty = values::any_type(random);
            let value = scope.expr(random, ty, 1);
            (seq!["X | extend ", assign("y", value)], Order::Keeps)
        }
        3 => (text("X | count"), Order::Loses),
        4..=6 => {
            let (again, unique) = itself(random, &seen, "X")?;
            needs = unique;
            (seq!["X | ", again], Order::Loses)
        }
        _ => (text("X | extend vip = \"v\" | where vip == \"v\""), Order::Keeps),
    };
    if open && seen.columns.iter().any(|column| body.to_string().contains(&values::name(&column.name))) {
        return None;
    }
    let columns = declared.iter().map(|column| seq![name(&column.name), format!(": {}", column.ty)]);
    let columns = if open { text("*") } else { list(columns.collect()) };
    let function = format!("f{}", random.below(1_000_000));
    let mut step = Step::new(text(format!("invoke {function}()")), order).with(scope);
    step.needs = needs;
    step.lets.push((function.clone(), seq![format!("let {function} = (X: ("), columns, ")) { ", body, " }"]));
    Some(step)
}

/// Operators within the groups of a column.
pub fn partition(random: &mut Random, state: &State) -> Option<Step> {
    let columns = state.of(&[Type::Long, Type::String, Type::Int, Type::Guid, Type::Bool, Type::DateTime]);
    let by = name(&some(random, &columns)?.name);
    let hint = *random.pick(&["", "hint.strategy=native ", "hint.strategy=legacy "]);
    let mut scope = state.scope();
    let (body, needs) = match random.below(5) {
        0 => (text("count"), None),
        1 => (seq!["summarize n = count() | extend p = ", scope.constant(random, Type::String)], None),
        2 => (seq!["where ", predicate(random, state, &mut scope)], None),
        3 => (seq!["order by ", list(total_keys(random, state)), " | extend rn = row_number()"], Some(Need::Total)),
        _ => (seq!["order by ", list(total_keys(random, state)), " | take 1"], Some(Need::Total)),
    };
    let step = Step::new(seq!["partition ", hint, "by ", by, " (", body, ")"], Order::Loses).with(scope);
    Some(Step { needs: needs.into_iter().collect(), ..step })
}
