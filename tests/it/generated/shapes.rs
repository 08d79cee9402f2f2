//! Operators that give rows of another shape: expansions, series, patterns, plugins.

use kqlake_value::Type;

use super::aggregates::aggregate;
use super::expressions::KEYS;
use super::random::Random;
use super::steps::{Need, Order, State, Step, predicate, some};
use super::tree::{column, list, name, text};
use super::values;
use crate::seq;

const ELEMENTS: [&str; 7] = [
    "",
    " to typeof(long)",
    " to typeof(string)",
    " to typeof(real)",
    " to typeof(bool)",
    " to typeof(datetime)",
    " to typeof(dynamic)",
];

pub fn mv_expand(random: &mut Random, state: &State) -> Option<Step> {
    let mut scope = state.scope();
    let mut items = Vec::new();
    let index = *random.pick(&["", "", "", "with_itemindex=i ", "kind=array ", "bagexpansion=array "]);
    for at in 0..if random.percent(25) { 2 } else { 1 } {
        let columns = state.of(&[Type::Dynamic]);
        let element = *random.pick(&ELEMENTS);
        if columns.is_empty() || random.percent(30) {
            let value = scope.expr(random, Type::Dynamic, 1);
            items.push(seq![*random.pick(&["e", "g"]), format!("{at} = "), value, element]);
        } else {
            items.push(seq![name(&some(random, &columns)?.name), element]);
        }
    }
    let limit = *random.pick(&["", "", "", "", " limit 2"]);
    Some(Step::new(seq!["mv-expand ", index, list(items), limit], Order::Keeps).with(scope))
}

pub fn mv_apply(random: &mut Random, state: &State) -> Option<Step> {
    let mut scope = state.scope();
    let columns = state.of(&[Type::Dynamic]);
    let over = match some(random, &columns) {
        Some(found) if random.percent(70) => seq!["e = ", column(found)],
        _ => seq!["e = ", scope.expr(random, Type::Dynamic, 1)],
    };
    let long = random.percent(50);
    let body = match random.below(8) {
        0 => text("summarize n = count()"),
        1 if long => text("summarize m = max(e), s = sum(e)"),
        1 => text("summarize m = max(tolong(e))"),
        2 => seq!["where ", predicate(random, state, &mut scope)],
        3 if long => text("where e > 1"),
        3 => text("where tostring(e) != \"a\""),
        4 => seq!["extend p = ", scope.constant(random, Type::String), " | where p == \"a\""],
        5 if long => text("top 1 by e"),
        5 => text("count"),
        6 => seq!["summarize n = count() | extend p = ", scope.constant(random, Type::String)],
        _ if long => text("order by e asc | extend rn = row_number()"),
        _ => text("where isnotempty(e)"),
    };
    let element = if long { " to typeof(long)" } else { "" };
    let index = *random.pick(&["", "", "", "with_itemindex=i "]);
    if !index.is_empty() && body.to_string().contains(" by e") {
        // Equal elements with an index each have no order.
        return None;
    }
    Some(Step::new(seq!["mv-apply ", index, over, element, " on (", body, ")"], Order::Loses).with(scope))
}

pub fn make_series(random: &mut Random, state: &State) -> Option<Step> {
    let mut scope = state.scope();
    let columns = state.of(&[Type::Long, Type::DateTime, Type::Int, Type::Real, Type::TimeSpan]);
    let axis = *some(random, &columns)?;
    let range = match axis.ty {
        Type::DateTime => *random.pick(&[
            "from datetime(2020-01-01) to datetime(2020-01-05) step 1d",
            "from datetime(2020-01-01) to datetime(2020-01-03) step 12h",
        ]),
        Type::TimeSpan => "from 0h to 4h step 1h",
        Type::Real => "from 0.0 to 3.0 step 1.0",
        _ if state.spans_at_most(axis, 20.0) && random.percent(40) => "step 1",
        _ => *random.pick(&["from 0 to 5 step 1", "from -2 to 4 step 2", "in range(0, 4, 1)"]),
    };
    let (mut items, mut needs) = (Vec::new(), Vec::new());
    for at in 0..random.between(1, 2) {
        // Series are of numbers.
        let Some((node, need)) = aggregate(random, state, &mut scope) else { continue };
        let text = node.to_string();
        let number = ["count", "sum", "avg", "dcount", "min(", "max("].iter().any(|function| text.starts_with(function));
        if number && !text.contains("count_distinct") {
            let default = *random.pick(&["", "", " default=0", " default=long(null)"]);
            items.push(seq![format!("s{at} = "), node, default]);
            needs.extend(need);
        }
    }
    if items.is_empty() {
        items.push(text("n = count()"));
    }
    let kind = *random.pick(&["", "", "kind=nonempty "]);
    let keys = state.of(&[Type::Long, Type::String, Type::Int, Type::Bool]);
    let by = match some(random, &keys) {
        Some(key) if key.name != axis.name && random.percent(50) => seq![" by ", name(&key.name)],
        _ => text(""),
    };
    let node = seq!["make-series ", kind, list(items), " on ", name(&axis.name), " ", range, by];
    Some(Step { needs, ..Step::new(node, Order::Loses) }.with(scope))
}

pub fn parse(random: &mut Random, state: &State) -> Option<Step> {
    const PATTERNS: [&str; 10] = [
        "with k:string \" \" l:string",
        "with * \"k=\" k:long \",\" *",
        "with k:string \",\" *",
        "with \"k=\" k:long \",l=\" l:string",
        "with \"a\" k",
        "with k:long",
        "with k:real",
        "with k:datetime",
        "with * \" \" k",
        "with k:long \",\" l:long",
    ];
    let columns = state.of(&[Type::String]);
    let from = name(&some(random, &columns)?.name);
    let word = *random.pick(&["parse ", "parse ", "parse-where "]);
    let kind = *random.pick(&["", "", "kind=relaxed ", "kind=regex "]);
    let node = match random.percent(20) {
        true => seq!["parse-kv ", from, " as (k: long, l: string) with (pair_delimiter=',', kv_delimiter='=')"],
        false => seq![word, kind, from, " ", *random.pick(&PATTERNS)],
    };
    Some(Step::new(node, Order::Keeps))
}

pub fn scan(random: &mut Random, state: &State) -> Option<Step> {
    if !state.ordered {
        return None;
    }
    let mut scope = state.scope();
    let mut condition = || predicate(random, state, &mut scope);
    let (first, second) = (condition(), condition());
    let (node, order) = match random.below(5) {
        0 => (text("scan declare (acc: long = 0) with (step s1: true => acc = s1.acc + 1;)"), Order::Keeps),
        1 => (seq!["scan with (step s1: ", first, ";)"], Order::Loses),
        2 => (
            seq![
                "scan with_match_id=m declare (x: string = \"n\") with (step s1: ",
                first,
                " => x = \"f\"; step s2: ",
                second,
                ";)"
            ],
            Order::Loses,
        ),
        3 => (
            seq![
                "scan declare (x: long) with (step s1 output=last: ",
                first,
                " => x = coalesce(s1.x, 0) + 1; step s2: ",
                second,
                " => x = s1.x;)"
            ],
            Order::Loses,
        ),
        _ => {
            let column = some(random, &state.columns)?;
            let declared = format!("scan declare (y: {}) with (step s1: true => y = iff(isempty(", column.ty);
            let value = || name(&column.name);
            (seq![declared, value(), "), s1.y, ", value(), ");)"], Order::Keeps)
        }
    };
    Some(Step::new(node, order).need(Need::Ordered).with(scope))
}

pub fn top_nested(random: &mut Random, state: &State) -> Option<Step> {
    let columns = state.of(&KEYS);
    let others = *random.pick(&["", "", " with others = "]);
    let mut levels = Vec::new();
    for _ in 0..random.between(1, 2) {
        let column = *some(random, &columns)?;
        let others = match others {
            "" => text(""),
            others => seq![others, values::literal(column.ty, &values::value(random, column.ty, 0))],
        };
        let count = *random.pick(&["", "100 "]);
        let by = *random.pick(&["count()", "dcount(1)"]);
        levels.push(seq![format!("top-nested {count}of "), name(&column.name), others, format!(" by {by}")]);
    }
    Some(Step::new(list(levels), Order::Loses))
}

pub fn evaluate(random: &mut Random, state: &State) -> Option<Step> {
    let (bags, words) =
        (state.of(&[Type::Dynamic]), state.of(&[Type::String, Type::Long, Type::Bool, Type::Int, Type::DateTime]));
    let node = match random.below(5) {
        0 | 1 => {
            let options = *random.pick(&["", ", 'z_'", ", columnsConflict='keep_source'", ", columnsConflict='replace_source'"]);
            seq!["evaluate bag_unpack(", name(&some(random, &bags)?.name), options, ")"]
        }
        2 | 3 => {
            let pivoted = name(&some(random, &words)?.name);
            let counted = match random.below(4) {
                0 => text(""),
                1 => text(", count()"),
                2 => text(", dcount(1)"),
                _ => seq![", count(), ", name(&some(random, &words)?.name)],
            };
            seq!["evaluate pivot(", pivoted, counted, ")"]
        }
        // It numbers the rows.
        _ => return Some(Step::new(text("evaluate narrow()"), Order::Loses).need(Need::AtMost(1))),
    };
    Some(Step::new(node, Order::Loses))
}

pub fn search(random: &mut Random, state: &State) -> Option<Step> {
    let words = ["\"a\"", "\"1\"", "\"x*\"", "\"*b\"", "\"true\"", "\"2020\"", "\"k\""];
    let word = *random.pick(&words);
    let node = match random.below(4) {
        0 => seq!["search ", word],
        1 => seq!["search ", word, " or ", *random.pick(&words)],
        2 => seq!["where * has ", word],
        _ => {
            let columns = state.of(&[Type::String]);
            seq!["search ", name(&some(random, &columns)?.name), ":", word]
        }
    };
    Some(Step::new(node, Order::Loses))
}

pub fn getschema(_: &mut Random, _: &State) -> Option<Step> {
    Some(Step::new(text("getschema"), Order::Loses))
}
