//! `summarize`: aggregates whose value does not depend on an order, or that say what they need.

use kqlake_value::{Column, Type};

use super::expressions::{KEYS, Scope};
use super::random::Random;
use super::steps::{Need, Order, State, Step, predicate, some};
use super::tree::{Node, assign, column, list, name, text};
use crate::seq;

/// One aggregate over the rows, and what it needs.
pub fn aggregate(random: &mut Random, state: &State, scope: &mut Scope<'_>) -> Option<(Node, Vec<Need>)> {
    const ORDERABLE: [Type; 8] =
        [Type::Long, Type::String, Type::Int, Type::Real, Type::DateTime, Type::TimeSpan, Type::Bool, Type::Decimal];
    const SUMMED: [Type; 5] = [Type::Long, Type::Int, Type::Real, Type::TimeSpan, Type::Decimal];
    const MEASURED: [Type; 3] = [Type::Long, Type::Int, Type::Real];
    let modest = |types: &[Type]| -> Vec<Column> {
        state.of(types).into_iter().filter(|column| state.is_modest(column)).cloned().collect()
    };
    let none = Vec::new();
    Some(match random.below(21) {
        0..=2 => (text("count()"), none),
        3 => (seq!["countif(", predicate(random, state, scope), ")"], none),
        4 | 5 => {
            let function = *random.pick(&["sum", "avg", "sum", "min", "max"]);
            let columns = modest(&SUMMED);
            (seq![function, "(", column(some(random, &columns)?), ")"], none)
        }
        6 => {
            let function = *random.pick(&["sumif", "avgif", "minif", "maxif"]);
            let columns = modest(&SUMMED);
            let found = column(some(random, &columns)?);
            (seq![function, "(", found, ", ", predicate(random, state, scope), ")"], none)
        }
        7 | 8 => {
            let ty = *random.pick(&ORDERABLE);
            (seq![*random.pick(&["min(", "max("]), scope.expr(random, ty, 1), ")"], none)
        }
        9 => {
            let ty = *random.pick(&KEYS);
            (seq![*random.pick(&["dcount(", "count_distinct("]), scope.expr(random, ty, 1), ")"], none)
        }
        10 => {
            let columns = modest(&MEASURED);
            (seq![*random.pick(&["stdev(", "variance(", "stdevp("]), column(some(random, &columns)?), ")"], none)
        }
        11 | 12 if state.ordered => {
            let function = *random.pick(&["make_list(", "make_list_with_nulls("]);
            (seq![function, scope_column(random, state)?, ")"], vec![Need::Ordered])
        }
        11..=13 => {
            // Arrays of bools are not sorted, and a NaN is a text in an array.
            let columns: Vec<Column> =
                state.of(&KEYS).into_iter().filter(|c| !matches!(c.ty, Type::Real | Type::Bool)).cloned().collect();
            (seq!["array_sort_asc(make_set(", column(some(random, &columns)?), "))"], none)
        }
        14 | 15 => {
            let columns: Vec<Column> = state.of(&ORDERABLE).into_iter().filter(|c| state.is_unique(c)).cloned().collect();
            let key = some(random, &columns)?.clone();
            let function = *random.pick(&["arg_max(", "arg_min("]);
            let rest = if random.percent(50) { text("*") } else { scope_column(random, state)? };
            (seq![function, column(&key), ", ", rest, ")"], vec![Need::Unique(vec![key.name])])
        }
        16 | 17 => {
            let columns: Vec<Column> = state.columns.iter().filter(|c| state.is_constant(c)).cloned().collect();
            let found = some(random, &columns)?.clone();
            let function = *random.pick(&["take_any(", "make_list(", "make_set("]);
            (seq![function, column(&found), ")"], vec![Need::Constant(found.name)])
        }
        18 => {
            let columns = state.of(&[Type::Long, Type::Int, Type::Real, Type::DateTime, Type::TimeSpan]);
            let found = column(some(random, &columns)?);
            (seq!["percentile(", found, ", ", *random.pick(&["0", "50", "75", "100"]), ")"], none)
        }
        19 => {
            let columns = state.of(&[Type::Long, Type::Int, Type::Real, Type::DateTime, Type::TimeSpan]);
            (seq!["percentiles(", column(some(random, &columns)?), ", 25, 75)"], none)
        }
        _ => (seq!["count(", scope_column(random, state)?, ")"], none),
    })
}

fn scope_column(random: &mut Random, state: &State) -> Option<Node> {
    Some(column(some(random, &state.columns)?))
}

fn aggregates(random: &mut Random, state: &State, scope: &mut Scope<'_>, taken: &mut Vec<String>) -> (Vec<Node>, Vec<Need>) {
    let (mut items, mut needs) = (Vec::new(), Vec::new());
    for _ in 0..random.between(1, 3) {
        let Some((node, need)) = aggregate(random, state, scope) else { continue };
        let several = need.iter().any(|need| matches!(need, Need::Unique(_))) || node.to_string().starts_with("percentiles(");
        needs.extend(need);
        if several || random.percent(25) {
            items.push(node);
        } else {
            let name = state.new_name(random, taken);
            items.push(assign(&name, node));
            taken.push(name);
        }
    }
    if items.is_empty() {
        items.push(text("count()"));
    }
    (items, needs)
}

pub fn summarize(random: &mut Random, state: &State) -> Option<Step> {
    let (mut scope, mut taken, mut keys) = (state.scope(), Vec::new(), Vec::new());
    for _ in 0..random.between(1, 2) {
        let columns: Vec<&Column> = state.of(&KEYS).into_iter().filter(|column| !taken.contains(&column.name)).collect();
        if !columns.is_empty() && random.percent(70) {
            let key = *random.pick(&columns);
            keys.push(name(&key.name));
            taken.push(key.name.clone());
        } else {
            let name = state.new_name(random, &taken);
            let ty = *random.pick(&KEYS);
            keys.push(assign(&name, scope.expr(random, ty, 1)));
            taken.push(name);
        }
    }
    let (items, needs) = aggregates(random, state, &mut scope, &mut taken);
    let node = match random.percent(8) && needs.is_empty() {
        true => seq!["summarize by ", list(keys)],
        false => seq!["summarize ", list(items), " by ", list(keys)],
    };
    Some(Step { needs, ..Step::new(node, Order::Loses) }.with(scope))
}

/// Aggregates without keys: one row even of none.
pub fn totals(random: &mut Random, state: &State) -> Option<Step> {
    let mut scope = state.scope();
    let (items, needs) = aggregates(random, state, &mut scope, &mut Vec::new());
    Some(Step { needs, ..Step::new(seq!["summarize ", list(items)], Order::Loses) }.with(scope))
}
