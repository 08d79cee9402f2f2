//! Pipelines: every operator over what its prefix gave must do as over the same rows written as a `datatable`.

use std::rc::Rc;

use kqlake_value::Type;
use serde_json::Value as Json;

use super::combine;
use super::oracle::{Asker, Counts, Difference, Kind, Outcome, compare};
use super::random::Random;
use super::steps::{self, Need, Order, Side, State, Step};
use super::tree::{Node, Table};
use crate::seq;

/// A source and operators behind it.
#[derive(Debug, Clone)]
pub struct Pipeline {
    pub source: Node,
    pub steps: Vec<Step>,
}

/// Another way to ask the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Form {
    /// `| where true` behind so many operators, and so on.
    WhereTrue(usize),
    ExtraColumn(usize),
    Let(usize),
    Materialize(usize),
    Function(usize),
    TableParameter(usize),
    /// A `let` for every operator.
    Lets,
    /// The first operators in parentheses.
    Parentheses(usize),
    /// Reals ordered by what is equal to them.
    EqualKeys,
    Setting(usize),
}

/// What must hold of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Law {
    /// Each operator does as over its prefix's rows.
    Steps,
    /// The other form has the same answer.
    Form(Form),
}

/// What one more operator did.
pub enum Went {
    On(State),
    /// The query was refused, or failed as it would over a table: nothing goes on from there.
    Ended,
    /// The operator's answer would not be determined.
    Undetermined,
    Differs(Box<Difference>),
}

impl Pipeline {
    /// The query of the first operators, in three parts: statements, the source with some operators, the other operators.
    fn parts(&self, count: usize, cut: usize) -> (String, String, String) {
        let mut lets: Vec<&(String, Node)> = Vec::new();
        for found in self.steps[..count].iter().flat_map(|step| &step.lets) {
            if !lets.iter().any(|(name, _)| *name == found.0) {
                lets.push(found);
            }
        }
        let lets = lets.iter().map(|(_, node)| format!("{node}; ")).collect();
        let written = |steps: &[Step]| steps.iter().map(|step| format!(" | {}", step.node)).collect::<String>();
        (lets, format!("{}{}", self.source, written(&self.steps[..cut])), written(&self.steps[cut..count]))
    }

    pub fn query(&self, count: usize) -> String {
        let (lets, query, _) = self.parts(count, count);
        lets + &query
    }

    fn written_as(&self, form: Form) -> String {
        let count = self.steps.len();
        let cut = match form {
            Form::WhereTrue(at)
            | Form::ExtraColumn(at)
            | Form::Let(at)
            | Form::Materialize(at)
            | Form::Function(at)
            | Form::Parentheses(at)
            | Form::TableParameter(at) => at.min(count),
            Form::Lets | Form::EqualKeys | Form::Setting(_) => count,
        };
        let (lets, head, tail) = self.parts(count, cut);
        match form {
            Form::WhereTrue(_) => format!("{lets}{head} | where true{tail}"),
            Form::ExtraColumn(_) => format!("{lets}{head} | extend __x = 1 | project-away __x{tail}"),
            Form::Let(_) => format!("{lets}let T9 = {head}; T9{tail}"),
            Form::Materialize(_) => format!("{lets}let T9 = materialize({head}); T9{tail}"),
            Form::Function(_) => format!("{lets}let f9 = () {{ {head} }}; f9(){tail}"),
            Form::TableParameter(_) => format!("{lets}let f9 = (T9: (*)) {{ T9{tail} }}; f9({head})"),
            Form::Parentheses(_) => format!("{lets}({head}){tail}"),
            Form::Lets => {
                let each = |(i, step): (usize, &Step)| format!("let S{} = S{i} | {}; ", i + 1, step.node);
                let statements: String = self.steps.iter().enumerate().map(each).collect();
                format!("{lets}let S0 = {}; {statements}S{count}", self.source)
            }
            Form::EqualKeys => {
                // The sum is never the zero that has a sign.
                let key = |key: &Node| match key {
                    Node::Expr(Type::Real, _) => Node::Expr(Type::Real, vec!["(".into(), key.clone(), " + 0.0)".into()]),
                    other => other.clone(),
                };
                let steps = self.steps.iter().map(|step| Step { node: step.node.with_keys(&key), ..step.clone() }).collect();
                Pipeline { source: self.source.clone(), steps }.query(count)
            }
            Form::Setting(_) => format!("{lets}{head}{tail}"),
        }
    }
}

/// What is known of rows: those without an order are put in one, so that a case is the same in every run.
fn state(table: &Table, ordered: bool, sides: &Rc<Vec<Side>>) -> State {
    let mut rows = table.rows.clone();
    if !ordered {
        rows.sort_by_cached_key(|row| Json::Array(row.clone()).to_string());
    }
    State { columns: table.columns.clone(), rows, ordered, sides: Rc::clone(sides) }
}

/// Runs the source.
pub fn start(asker: &mut Asker, source: &Node) -> Went {
    let query = source.to_string();
    match &*asker.ask(0, &query) {
        Outcome::Rows(table) if table.columns.is_empty() => Went::Ended,
        Outcome::Rows(table) => Went::On(state(table, false, &Rc::default())),
        outcome @ Outcome::Broken(_) => {
            let both = (query, Rc::new(outcome.clone()));
            Went::Differs(Box::new(Difference { kind: Kind::Broken, first: both.clone(), second: both }))
        }
        _ => Went::Ended,
    }
}

/// Rows of an answer that is compared: rows joined with themselves become millions.
const MOST_ROWS: usize = 4_000;

/// True when no two different rows of the input have the same keys.
fn is_total(before: &State, step: &Step) -> bool {
    let mut names = Vec::new();
    step.node.keys(&mut names);
    are_unique(before, &names, true)
}

fn are_unique(state: &State, names: &[String], equal_rows: bool) -> bool {
    let places: Option<Vec<usize>> =
        names.iter().map(|name| state.columns.iter().position(|column| column.name == *name)).collect();
    let Some(places) = places else { return false };
    // Dynamics are ordered by their text, where a number and its digits are one. The two zeros have no order.
    let cell = |row: &Vec<Json>, at: usize| match &row[at] {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Number(number) if number.as_f64() == Some(0.0) => "0".to_owned(),
        other => other.to_string(),
    };
    let key = |row: &Vec<Json>| places.iter().map(|at| cell(row, *at)).collect::<Vec<String>>();
    let pairs = state.rows.iter().enumerate().flat_map(|(i, a)| state.rows[i + 1..].iter().map(move |b| (a, b)));
    pairs.into_iter().all(|(a, b)| key(a) != key(b) || equal_rows && a == b)
}

fn holds(before: &State, step: &Step) -> bool {
    step.needs.iter().all(|need| match need {
        Need::Ordered => before.ordered,
        Need::AtMost(count) if step.order == Order::Sets => before.rows.len() <= *count || is_total(before, step),
        Need::AtMost(count) => before.rows.len() <= *count || before.ordered,
        Need::Total => is_total(before, step),
        Need::Unique(names) => are_unique(before, names, false),
        Need::Constant(name) => before.columns.iter().find(|c| c.name == *name).is_none_or(|c| before.is_constant(c)),
    })
}

/// Asks for the last operator's answer in both ways.
pub fn go_on(asker: &mut Asker, counts: &mut Counts, before: &State, pipeline: &Pipeline) -> Went {
    let count = pipeline.steps.len();
    let step = &pipeline.steps[count - 1];
    if !holds(before, step) {
        return Went::Undetermined;
    }
    let ordered = match step.order {
        Order::Keeps => before.ordered,
        Order::Loses => false,
        Order::Sets => is_total(before, step),
    };
    let query = pipeline.query(count);
    let found = asker.ask(0, &query);
    counts.queries += 1;
    match &*found {
        Outcome::Refused(why) => {
            counts.refused += 1;
            *counts.reasons.entry(why.clone()).or_default() += 1;
        }
        Outcome::Failed(_) => counts.failed += 1,
        _ => {}
    }
    // Answers are compared each row with each.
    if matches!(&*found, Outcome::Rows(table) if table.rows.len() > MOST_ROWS) {
        return Went::Undetermined;
    }
    let table = Node::Table(Table { columns: before.columns.clone(), rows: before.rows.clone() });
    let source = if before.ordered { seq![table, " | serialize"] } else { table };
    let over_rows = Pipeline { source: source.clone(), steps: vec![step.clone()] }.query(1);
    let expected = asker.ask(0, &over_rows);
    // The same for the tables that the operator takes.
    let node = step.node.with_tables(&mut |table| rows_of(asker, step, table));
    if node != step.node {
        let of_rows = Pipeline { source, steps: vec![Step { node, ..step.clone() }] }.query(1);
        let also = asker.ask(0, &of_rows);
        if let Some(kind) = compare(&expected, &also, ordered, false) {
            return Went::Differs(Box::new(Difference { kind, first: (over_rows, expected), second: (of_rows, also) }));
        }
    }
    if let Some(kind) = compare(&found, &expected, ordered, false) {
        return Went::Differs(Box::new(Difference { kind, first: (query, found), second: (over_rows, expected) }));
    }
    match &*found {
        Outcome::Rows(table) if table.columns.is_empty() || table.rows.len() > 200 => Went::Ended,
        Outcome::Rows(table) => Went::On(state(table, ordered, &before.sides)),
        _ => Went::Ended,
    }
}

/// The rows of a table that an operator takes.
fn rows_of(asker: &mut Asker, step: &Step, table: &Node) -> Option<Node> {
    let alone = Pipeline { source: table.clone(), steps: Vec::new() };
    let lets: String = step.lets.iter().map(|(_, node)| format!("{node}; ")).collect();
    match &*asker.ask(0, &(lets + &alone.query(0))) {
        Outcome::Rows(table) if !table.columns.is_empty() => Some(Node::Table(table.clone())),
        _ => None,
    }
}

/// A pipeline in the making.
struct Growing {
    pipeline: Pipeline,
    state: State,
}

impl Growing {
    /// Puts an operator behind, if it binds and its answer is determined.
    fn grow(&mut self, asker: &mut Asker, counts: &mut Counts, step: Step) -> Option<Difference> {
        self.pipeline.steps.push(step);
        match go_on(asker, counts, &self.state, &self.pipeline) {
            Went::On(state) => self.state = state,
            Went::Differs(difference) => return Some(*difference),
            Went::Ended | Went::Undetermined => drop(self.pipeline.steps.pop()),
        }
        None
    }
}

/// A short pipeline to join and unite with: only operators without needs, so that it may be made smaller in any way.
#[expect(clippy::result_large_err, reason = "there is one such failure in a run of the tests, and it ends it")]
fn side(random: &mut Random, asker: &mut Asker, counts: &mut Counts) -> Result<Option<Side>, (Pipeline, Difference)> {
    let pipeline = Pipeline { source: combine::source(random), steps: Vec::new() };
    let Went::On(state) = start(asker, &pipeline.source) else { return Ok(None) };
    let mut growing = Growing { pipeline, state };
    for _ in 0..random.between(1, 3) {
        let Some(step) = steps::next(random, &growing.state, None).filter(|step| step.needs.is_empty()) else { continue };
        if let Some(difference) = growing.grow(asker, counts, step) {
            return Err((growing.pipeline, difference));
        }
    }
    let steps = growing.pipeline.steps;
    let lets = steps.iter().flat_map(|step| step.lets.clone()).collect();
    let source = Box::new(growing.pipeline.source);
    let node = Node::Pipe { source, steps: steps.into_iter().map(|step| step.node).collect() };
    Ok(Some(Side { node, columns: growing.state.columns, lets }))
}

/// Makes a pipeline operator by operator; the first difference ends it.
pub fn generate(
    random: &mut Random,
    asker: &mut Asker,
    counts: &mut Counts,
    source: Node,
) -> (Pipeline, Option<(Law, Difference)>) {
    let mut sides = Vec::new();
    for _ in 0..random.below(2) {
        match side(random, asker, counts) {
            Ok(side) => sides.extend(side),
            Err((pipeline, difference)) => return (pipeline, Some((Law::Steps, difference))),
        }
    }
    let pipeline = Pipeline { source, steps: Vec::new() };
    let state = match start(asker, &pipeline.source) {
        Went::On(state) => State { sides: Rc::new(sides), ..state },
        Went::Differs(difference) => return (pipeline, Some((Law::Steps, *difference))),
        _ => return (pipeline, None),
    };
    let mut growing = Growing { pipeline, state };
    let wanted = random.between(2, 7);
    let mut kinds = steps::scenario(random).iter();
    for _ in 0..3 * wanted {
        if growing.pipeline.steps.len() >= wanted {
            break;
        }
        let kind = if random.percent(85) { kinds.next().copied() } else { None };
        let Some(step) = steps::next(random, &growing.state, kind) else { continue };
        if let Some(difference) = growing.grow(asker, counts, step) {
            return (growing.pipeline, Some((Law::Steps, difference)));
        }
    }
    let Growing { pipeline, state } = growing;
    if std::env::var_os("KQLAKE_GENERATED_SHOW").is_some() {
        eprintln!("{}", pipeline.query(pipeline.steps.len()));
    }
    for _ in 0..2 {
        let at = random.between(0, pipeline.steps.len());
        let setting = random.between(1, asker.settings() - 1);
        let form = match random.below(13) {
            0 => Form::WhereTrue(at),
            1 => Form::ExtraColumn(at),
            2 => Form::Let(at),
            3 => Form::Materialize(at),
            4 => Form::Function(at),
            5 => Form::TableParameter(at),
            6 => Form::Lets,
            7 => Form::Parentheses(at),
            8 => Form::EqualKeys,
            _ => Form::Setting(setting),
        };
        if let Some(difference) = differs_in(asker, &pipeline, state.ordered, form) {
            return (pipeline, Some((Law::Form(form), difference)));
        }
    }
    (pipeline, None)
}

fn differs_in(asker: &mut Asker, pipeline: &Pipeline, ordered: bool, form: Form) -> Option<Difference> {
    let query = pipeline.query(pipeline.steps.len());
    let other = pipeline.written_as(form);
    let setting = if let Form::Setting(setting) = form { setting } else { 0 };
    let (found, again) = (asker.ask(0, &query), asker.ask(setting, &other));
    if matches!(&*again, Outcome::Refused(_)) {
        // Not every form binds: a function's rows have no order that `row_number` could count by.
        return None;
    }
    let kind = compare(&found, &again, ordered, false)?;
    let title = if setting > 0 { format!("// with {}\n  {other}", asker.setting(setting)) } else { other };
    Some(Difference { kind, first: (query, found), second: (title, again) })
}

/// Checks a whole pipeline: the first difference, and behind how many operators it showed.
pub fn examine(asker: &mut Asker, pipeline: &Pipeline, law: Law) -> Option<(usize, Difference)> {
    let mut counts = Counts::default();
    let mut before = match start(asker, &pipeline.source) {
        Went::On(state) => state,
        Went::Differs(difference) if law == Law::Steps => return Some((0, *difference)),
        _ => return None,
    };
    for count in 1..=pipeline.steps.len() {
        let part = Pipeline { source: pipeline.source.clone(), steps: pipeline.steps[..count].to_vec() };
        match go_on(asker, &mut counts, &before, &part) {
            Went::On(state) => before = state,
            Went::Differs(difference) if law == Law::Steps => return Some((count, *difference)),
            _ => return None,
        }
    }
    match law {
        Law::Steps => None,
        Law::Form(form) => differs_in(asker, pipeline, before.ordered, form).map(|found| (pipeline.steps.len(), found)),
    }
}

/// The rows behind some operators as a source.
fn cut(asker: &mut Asker, pipeline: &Pipeline, count: usize) -> Option<Pipeline> {
    let query = pipeline.query(count);
    let Outcome::Rows(table) = &*asker.ask(0, &query) else { return None };
    if table.columns.is_empty() {
        return None;
    }
    Some(Pipeline { source: Node::Table(table.clone()), steps: pipeline.steps[count..].to_vec() })
}

/// Checks of one shrinking at most: enough for a page of text.
const TRIES: usize = 1500;

/// Makes a failing pipeline as small as it goes while it fails in the same way.
pub fn minimize(asker: &mut Asker, pipeline: Pipeline, law: Law, difference: Difference) -> (Pipeline, Difference) {
    let mut best = (pipeline, difference);
    let mut tries = 0;
    loop {
        let mut candidates: Vec<Pipeline> = Vec::new();
        let steps = &best.0.steps;
        candidates.extend((1..steps.len()).rev().filter_map(|count| cut(asker, &best.0, count)));
        for i in 0..steps.len() {
            let mut fewer = best.0.clone();
            fewer.steps.remove(i);
            candidates.push(fewer);
        }
        candidates.extend(best.0.source.simpler().into_iter().map(|source| Pipeline { source, steps: steps.clone() }));
        for (i, step) in steps.iter().enumerate() {
            for node in step.node.simpler() {
                let mut simpler = best.0.clone();
                simpler.steps[i].node = node;
                candidates.push(simpler);
            }
            for (j, (_, value)) in step.lets.iter().enumerate() {
                for node in value.simpler() {
                    let mut simpler = best.0.clone();
                    simpler.steps[i].lets[j].1 = node;
                    candidates.push(simpler);
                }
                let mut without = best.0.clone();
                without.steps[i].lets.remove(j);
                candidates.push(without);
            }
        }
        let mut better = None;
        for candidate in candidates {
            tries += 1;
            if tries > TRIES {
                break;
            }
            if let Some((count, found)) = examine(asker, &candidate, law)
                && found.kind == best.1.kind
                && (found.kind != Kind::Broken || head(&found) == head(&best.1))
            {
                let steps = candidate.steps[..count].to_vec();
                better = Some((Pipeline { source: candidate.source, steps }, found));
                break;
            }
        }
        match better {
            Some(found) => best = found,
            None => return best,
        }
    }
}

/// The beginning of a defect's message.
fn head(difference: &Difference) -> Option<String> {
    [&difference.first.1, &difference.second.1].into_iter().find_map(|outcome| match &**outcome {
        Outcome::Broken(why) => Some(why.chars().filter(char::is_ascii_alphabetic).take(16).collect()),
        _ => None,
    })
}

/// The operators of a difference, by which like ones are counted together.
pub fn signature(pipeline: &Pipeline, law: Law, difference: &Difference) -> String {
    let word = |node: &Node| node.to_string().split(' ').next().unwrap_or_default().to_owned();
    let source = word(&pipeline.source).split('(').next().unwrap_or_default().to_owned();
    let steps: Vec<String> = pipeline.steps.iter().map(|step| word(&step.node)).collect();
    let law = match law {
        Law::Steps => String::new(),
        Law::Form(form) => format!(" {form:?}"),
    };
    format!("{:?}{law}: {source} | {}", difference.kind, steps.join(" | "))
}

#[cfg(test)]
mod tests {
    use kqlake_value::Column;
    use serde_json::json;

    use super::super::tree::{assign, literal, text};
    use super::*;

    #[test]
    fn what_depends_on_the_order_of_rows_is_found_and_made_small() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        let mut asker = Asker::new(dir.path(), runtime.handle().clone());
        let columns = vec![Column::new("a", Type::Long), Column::new("b", Type::String)];
        let rows = (0..6).map(|i| vec![json!((i * 5) % 7), json!("x")]).collect();
        let constant = seq!["extend ", assign("c", literal(Type::String, &json!("y")))];
        let pipeline = Pipeline {
            source: Node::Table(Table { columns, rows }),
            // It numbers the rows as they come, and does not say that it needs an order.
            steps: vec![Step::new(constant, Order::Keeps), Step::new(text("evaluate narrow()"), Order::Loses)],
        };
        let (_, difference) = examine(&mut asker, &pipeline, Law::Steps).expect("a difference");
        let (small, difference) = minimize(&mut asker, pipeline, Law::Steps, difference);
        assert_eq!(difference.kind, Kind::Rows);
        assert_eq!(small.query(1), "datatable(a:long)[2, 1] | evaluate narrow()");
    }
}
