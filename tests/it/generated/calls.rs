//! Scalar functions and operators: the same call with constants, with columns, in one row and in many.

use std::rc::Rc;

use kqlake_kql::functions::{ArgType as Takes, Param, Registry, ScalarFn};
use kqlake_value::{Column, Type};
use serde_json::Value as Json;

use super::oracle::{Asker, Counts, Difference, Kind, Outcome, same};
use super::random::Random;
use super::tree::{Node, Table};
use super::values;

/// Rows of the table that a call is tried over.
const ROWS: usize = 4;

/// An argument: its value in each row.
#[derive(Debug, Clone)]
struct Arg {
    ty: Type,
    values: Vec<Json>,
    /// Always written as a constant.
    constant: bool,
    /// What is no value: `typeof(long)`.
    word: Option<&'static str>,
}

/// A function or an operator with its arguments.
#[derive(Debug, Clone)]
pub struct Call {
    /// `name(@)`, or a form with `@` for each argument.
    form: String,
    args: Vec<Arg>,
    /// How many arguments it needs.
    least: usize,
    /// It makes several columns, of which the first is compared; within an expression it gives them all in an array.
    several: bool,
}

/// Operators: what stands for an argument is a type, or `a`, `n`, `o` for one type at all its places.
const OPERATORS: &[&str] = &[
    "{a} == {a}",
    "{a} != {a}",
    "{n} < {n}",
    "{n} <= {m}",
    "{n} > {m}",
    "{o} >= {o}",
    "{n} == {m}",
    "{dynamic} == {string}",
    "{dynamic} == {long}",
    "{dynamic} < {long}",
    "{dynamic} != {string}",
    "{string} == {long}",
    "{n} + {m}",
    "{n} - {m}",
    "{n} * {m}",
    "{n} / {m}",
    "{n} % {m}",
    "-{long}",
    "-{real}",
    "-{decimal}",
    "-{timespan}",
    "{datetime} + {timespan}",
    "{datetime} - {timespan}",
    "{datetime} - {datetime}",
    "{timespan} + {timespan}",
    "{timespan} - {timespan}",
    "{timespan} * {n}",
    "{timespan} / {n}",
    "{timespan} / {timespan}",
    "{timespan} % {timespan}",
    "{datetime} % {timespan}",
    "{dynamic} + {n}",
    "{dynamic} * {dynamic}",
    "{dynamic} - {n}",
    "{string} =~ {string}",
    "{string} !~ {string}",
    "{string} has {string}",
    "{string} !has {string}",
    "{string} has_cs {string}",
    "{string} contains {string}",
    "{string} !contains_cs {string}",
    "{string} startswith {string}",
    "{string} !startswith_cs {string}",
    "{string} endswith {string}",
    "{string} hasprefix {string}",
    "{string} hassuffix_cs {string}",
    "{dynamic} has {string}",
    "{dynamic} contains {string}",
    "{string} matches regex 'a+|[0-9]'",
    "{string} has_any ({string}, {string})",
    "{string} has_all ({string}, {string})",
    "{a} in ({a}, {a})",
    "{a} !in ({a}, {a})",
    "{a} in ({a}, {a}, {a}, {a}, {a})",
    "{real} in ({real}, {real}, {real}, {real})",
    "-{real} in ({real}, {real}, {real}, {real})",
    "-{real} !in ({real}, {real})",
    "-{real} == {real}",
    "-{real} < {real}",
    "{string} in~ ({string}, {string})",
    "{string} !in~ ({string}, {string})",
    "{n} between ({n} .. {n})",
    "{n} !between ({n} .. {n})",
    "{datetime} between ({datetime} .. {datetime})",
    "{datetime} between ({datetime} .. {timespan})",
    "{timespan} between ({timespan} .. {timespan})",
    "{bool} and {bool}",
    "{bool} or {bool}",
    "{bool} == {bool}",
    "{dynamic}.k",
    "{dynamic}.l.k",
    "{dynamic}[0]",
    "{dynamic}[-1]",
    "{dynamic}['k']",
    "{dynamic}[{long}]",
    "{dynamic}[{string}]",
    "todynamic({string}).k",
    "iff({bool}, {a}, {a})",
    "case({bool}, {a}, {bool}, {a}, {a})",
    "coalesce({a}, {a}, {a})",
];

/// What depends on more than its arguments.
const LEFT_OUT: &[&str] = &[
    "row_number",
    "prev",
    "next",
    "row_cumsum",
    "row_rank_dense",
    "row_rank_min",
    "row_window_session",
    "pack_all",
    "bag_pack_columns",
    "database",
    "cluster",
    "table",
    "materialize",
    "column_names_of",
    "assert",
];

/// Of reals that are constants Microsoft's engine computes these by other rules than of reals in rows.
const CONSTANTS_APART: &[&str] = &["tolong", "toint"];

/// The functions to call, in the order of their names.
pub fn functions() -> Vec<&'static ScalarFn> {
    let registry = Registry::get();
    let mut found: Vec<&'static ScalarFn> = registry
        .scalar_names()
        .filter_map(|name| registry.scalar(name).filter(|function| function.name == name))
        .filter(|f| !f.volatile && f.refusal().is_none() && !LEFT_OUT.contains(&f.name))
        .collect();
    found.sort_by_key(|function| function.name);
    found
}

/// A call of one of the functions, or of an operator.
pub fn call(random: &mut Random, functions: &[&ScalarFn]) -> Call {
    if random.percent(25) {
        return operator(random);
    }
    let function = *random.pick(functions);
    of_function(random, function)
}

fn operator(random: &mut Random) -> Call {
    const NUMBERS: [Type; 4] = [Type::Int, Type::Long, Type::Real, Type::Decimal];
    let form = *random.pick(OPERATORS);
    let (same, number, other) = (*random.pick(&super::expressions::KEYS), *random.pick(&NUMBERS), *random.pick(&NUMBERS));
    let ordered = *random.pick(&[Type::DateTime, Type::TimeSpan, Type::Long, Type::Real]);
    let (mut text, mut args, mut rest) = (String::from("("), Vec::new(), form);
    while let Some((before, behind)) = rest.split_once('{') {
        let (hole, behind) = behind.split_once('}').unwrap_or((behind, ""));
        let ty = match hole {
            "a" => same,
            "n" => number,
            "m" => other,
            "o" => ordered,
            name => Type::parse(name).unwrap_or(Type::Long),
        };
        text.push_str(before);
        text.push('@');
        args.push(arg(random, ty, ""));
        rest = behind;
    }
    let least = args.len();
    Call { form: text + rest + ")", args, least, several: false }
}

fn of_function(random: &mut Random, function: &ScalarFn) -> Call {
    const SAME: [Type; 6] = [Type::Long, Type::String, Type::Real, Type::DateTime, Type::TimeSpan, Type::Bool];
    let same = *random.pick(&SAME);
    let least = function.params.iter().filter(|param| !param.optional).count();
    let mut count = random.between(least, function.params.len());
    if function.variadic && count == function.params.len() {
        count += random.below(4);
    }
    let param = |at: usize| &function.params[at.min(function.params.len() - 1)];
    let mut args: Vec<Arg> = (0..count).map(|at| of_param(random, param(at), same)).collect();
    if CONSTANTS_APART.contains(&function.name) {
        args.iter_mut().filter(|arg| arg.ty == Type::Real).for_each(|real| *real = arg(random, Type::Decimal, ""));
    }
    if function.name == "case" {
        // A condition and a value each, and the value of none.
        args = (0..2 * random.between(1, 2) + 1).map(|at| arg(random, if at % 2 == 0 { Type::Bool } else { same }, "")).collect();
        let last = args.len() - 1;
        args[last] = arg(random, same, "");
    }
    Call { form: format!("{}(*)", function.name), args, least, several: function.gives_several() }
}

fn of_param(random: &mut Random, param: &Param, same: Type) -> Arg {
    const NUMBERS: [Type; 6] = [Type::Long, Type::Long, Type::Int, Type::Real, Type::Real, Type::Decimal];
    let ty = match param.kind {
        Takes::Any => values::any_type(random),
        Takes::String => Type::String,
        Takes::StringOrDynamic => *random.pick(&[Type::String, Type::String, Type::String, Type::Dynamic]),
        Takes::Bool => Type::Bool,
        Takes::Integer => *random.pick(&[Type::Long, Type::Int]),
        Takes::Number => *random.pick(&NUMBERS),
        Takes::NumberOrDynamic => *random.pick(&[Type::Long, Type::Int, Type::Real, Type::Decimal, Type::Dynamic]),
        Takes::Summable | Takes::Orderable => *random.pick(&[Type::Long, Type::Real, Type::DateTime, Type::TimeSpan]),
        Takes::DateTime => Type::DateTime,
        Takes::TimeSpan => Type::TimeSpan,
        Takes::DateTimeOrTimeSpan => *random.pick(&[Type::DateTime, Type::TimeSpan]),
        Takes::Dynamic => Type::Dynamic,
        Takes::Guid => Type::Guid,
        Takes::TypeLiteral => {
            let word = *random.pick(&["typeof(long)", "typeof(string)", "typeof(real)", "typeof(datetime)", "typeof(bool)"]);
            return Arg { ty: Type::String, values: vec![Json::Null; ROWS], constant: true, word: Some(word) };
        }
        Takes::Same => same,
        Takes::OneOf(types) => *random.pick(types),
    };
    let mut found = arg(random, ty, param.name);
    if param.constant {
        found.constant = true;
        let first = found.values[0].clone();
        found.values.fill(first);
    }
    found
}

/// An argument of a type, with what its parameter's name hints at.
fn arg(random: &mut Random, ty: Type, hint: &str) -> Arg {
    let hints: &[&str] = match hint.to_ascii_lowercase() {
        _ if ty != Type::String || random.percent(20) => &[],
        hint if hint.contains("regex") => &["a", "([a-z]+)", "(\\d)(\\d)?", "^\\s*(.)", "[", "", "(?i)B", "x*"],
        hint if hint.contains("format") => &["yyyy-MM-dd HH:mm:ss.fffffff", "d.hh:mm", "MM/dd", "s", "q", ""],
        hint if hint.contains("timezone") => &["Europe/Berlin", "US/Pacific", "UTC", "Nowhere", ""],
        hint if hint.contains("period") || hint.contains("part") || hint.contains("unit") => {
            &["day", "Hour", "month", "year", "week", "second", "nanosecond", "quarter", "minute", "x"]
        }
        hint if hint.contains("ip") => &["10.0.0.1", "10.0.0.1/8", "::1", "fe80::/10", "300.1.1.1", "10.1"],
        hint if hint.contains("path") => &["$.k", "$.l.k", "$['k'][0]", "$", "k"],
        hint if hint.contains("geohash") || hint.contains("cell") || hint.contains("token") => {
            &["sqdqjk", "u", "89c25", "8a2a1072b59ffff", ""]
        }
        hint if hint.contains("delimiter") => &[",", " ", "", "b", "ab"],
        _ => &[],
    };
    let mut value = || match hints.is_empty() {
        true => values::value(random, ty, 35),
        false => Json::from(*random.pick(hints)),
    };
    let values = (0..ROWS).map(|_| value()).collect();
    Arg { ty, values, constant: false, word: None }
}

impl Call {
    fn text(&self, arg: impl Fn(usize) -> String) -> String {
        if let Some(name) = self.form.strip_suffix("(*)") {
            return format!("{name}({})", (0..self.args.len()).map(arg).collect::<Vec<_>>().join(", "));
        }
        let mut at = 0;
        self.form
            .chars()
            .map(|letter| match letter {
                '@' => {
                    at += 1;
                    arg(at - 1)
                }
                other => other.to_string(),
            })
            .collect()
    }

    fn rows(&self) -> usize {
        self.args.first().map_or(1, |arg| arg.values.len())
    }

    /// The argument as a constant.
    fn literal(&self, at: usize, row: usize) -> String {
        let arg = &self.args[at];
        match arg.word {
            Some(word) => word.to_owned(),
            None => values::literal(arg.ty, &arg.values[row]),
        }
    }

    fn with_constants(&self, row: usize) -> String {
        self.text(|at| self.literal(at, row))
    }

    /// With the columns that [`table`] makes, but for arguments that are or shall be constants.
    fn with_columns(&self, call: usize, row: usize, constant: &[bool]) -> String {
        self.text(|at| match self.args[at].constant || constant.get(at).copied().unwrap_or_default() {
            true => self.literal(at, row),
            false => format!("c{call}_{at}"),
        })
    }

    fn simpler(&self) -> Vec<Call> {
        let mut found = Vec::new();
        for row in 0..self.rows() {
            if self.rows() > 1 {
                let mut call = self.clone();
                call.args.iter_mut().for_each(|arg| arg.values = vec![arg.values[row].clone()]);
                found.push(call);
            }
        }
        if self.form.ends_with("(*)") && self.args.len() > self.least {
            let mut call = self.clone();
            call.args.pop();
            found.push(call);
        }
        for (at, arg) in self.args.iter().enumerate().filter(|(_, arg)| arg.word.is_none()) {
            let simplest = values::simplest(arg.ty);
            for row in 0..self.rows() {
                let rank = simplest.iter().position(|value| *value == arg.values[row]).unwrap_or(simplest.len());
                for value in &simplest[..rank] {
                    let mut call = self.clone();
                    match arg.constant {
                        true => call.args[at].values.fill(value.clone()),
                        false => call.args[at].values[row] = value.clone(),
                    }
                    found.push(call);
                }
            }
        }
        found
    }
}

/// The calls' arguments as columns, with an `id`.
fn table(calls: &[Call], rows: std::ops::Range<usize>) -> String {
    let mut columns = vec![Column::new("id", Type::Long)];
    let mut cells: Vec<Vec<Json>> = rows.clone().map(|row| vec![Json::from(row)]).collect();
    for (i, call) in calls.iter().enumerate() {
        for (at, arg) in call.args.iter().enumerate().filter(|(_, arg)| !arg.constant) {
            columns.push(Column::new(format!("c{i}_{at}"), arg.ty));
            for (line, row) in cells.iter_mut().zip(rows.clone()) {
                line.push(arg.values[row].clone());
            }
        }
    }
    Node::Table(Table { columns, rows: cells }).to_string()
}

/// Results `r0, r1, …` of calls.
fn results(calls: &[Call], text: impl Fn(usize, &Call) -> String) -> String {
    let items: Vec<String> = calls.iter().enumerate().map(|(i, call)| format!("r{i} = {}", text(i, call))).collect();
    items.join(", ")
}

fn named(calls: &[Call]) -> String {
    (0..calls.len()).map(|i| format!("r{i}")).collect::<Vec<_>>().join(", ")
}

/// A way to ask was refused or failed: calls have to be asked one by one, and of one call nothing is to be compared.
struct Stopped(String);

/// Compares the ways to ask for some calls.
fn check(asker: &mut Asker, calls: &[Call], mask: u64) -> Result<Option<Difference>, Stopped> {
    let rows = calls.iter().map(Call::rows).max().unwrap_or(1);
    let calls_in = |row: usize| format!("print {}", results(calls, |_, call| call.with_constants(row.min(call.rows() - 1))));
    let constants: Vec<String> = (0..rows).map(calls_in).collect();
    let columns = |i: usize, call: &Call| call.with_columns(i, 0, &[]);
    let mixed = |i: usize, call: &Call| {
        let constant: Vec<bool> = (0..call.args.len()).map(|at| mask >> ((i * 5 + at) % 64) & 1 == 1).collect();
        call.with_columns(i, 0, &constant)
    };
    let chosen = |i: usize, call: &Call| {
        let value = columns(i, call);
        if call.several {
            return value;
        }
        format!("iff(id >= 0, {value}, {value})")
    };
    let last = rows - 1;
    let equal: Vec<String> = calls
        .iter()
        .enumerate()
        .map(|(i, call)| {
            format!("tostring({}) == tostring({})", columns(i, call), call.with_constants(last.min(call.rows() - 1)))
        })
        .collect();
    let (all, first) = (table(calls, 0..rows), table(calls, 0..1));
    let others = [
        format!("{all} | extend {} | project id, {}", results(calls, columns), named(calls)),
        format!("{first} | extend {} | project id, {}", results(calls, columns), named(calls)),
        format!("{first} | extend {} | project id, {}", results(calls, mixed), named(calls)),
        format!("{all} | extend {} | project id, {}", results(calls, chosen), named(calls)),
        format!("{all} | where id == {last} and {} | project id", equal.join(" and ")),
    ];
    let expected: Vec<Rc<Outcome>> = constants.iter().map(|query| asker.ask(0, query)).collect();
    let found: Vec<Rc<Outcome>> = others.iter().map(|query| asker.ask(0, query)).collect();
    let differ = |kind, row: usize, other: usize| {
        let first = (constants[row].clone(), Rc::clone(&expected[row]));
        Ok(Some(Difference { kind, first, second: (others[other].clone(), Rc::clone(&found[other])) }))
    };
    let is = |outcome: &Outcome| matches!(outcome, Outcome::Rows(_));
    for (row, outcome) in expected.iter().enumerate() {
        if matches!(&**outcome, Outcome::Broken(_)) {
            return differ(Kind::Broken, row, 0);
        }
    }
    if let Some(broken) = found.iter().position(|outcome| matches!(&**outcome, Outcome::Broken(_))) {
        return differ(Kind::Broken, 0, broken);
    }
    if calls.len() > 1 && !expected.iter().chain(&found).all(|outcome| is(outcome)) {
        return Err(Stopped(String::new()));
    }
    for (other, outcome) in found.iter().enumerate() {
        // Queries of the first row alone are compared with its constants alone.
        let rows = if (1..=2).contains(&other) { 0..1 } else { 0..rows };
        let failing = rows.clone().find(|row| !is(&expected[*row]));
        match (&**outcome, failing) {
            (Outcome::Rows(table), None) if other < 4 => {
                for row in rows {
                    let Outcome::Rows(constant) = &*expected[row] else { continue };
                    let types = |table: &Table, from: usize| table.columns[from..].iter().map(|c| c.ty).collect::<Vec<_>>();
                    if types(table, 1) != types(constant, 0) {
                        return differ(Kind::Columns, row, other);
                    }
                    let line = table.rows.iter().find(|line| line[0].as_u64() == Some(row as u64));
                    let agrees = line.is_some_and(|line| line[1..].iter().zip(&constant.rows[0]).all(|(a, b)| same(a, b, true)));
                    if !agrees {
                        return differ(Kind::Rows, row, other);
                    }
                }
            }
            (Outcome::Rows(table), None) if table.rows.len() == 1 => {}
            (Outcome::Rows(_), None) => return differ(Kind::Rows, last, other),
            // What is known to be wrong before the query runs may be refused then.
            (Outcome::Rows(_), Some(row)) => match &*expected[row] {
                Outcome::Refused(why) => return Err(Stopped(why.clone())),
                _ => return differ(Kind::OneFails, row, other),
            },
            (Outcome::Failed(_), None) => return differ(Kind::OneFails, 0, other),
            // Refused with columns: the argument has to be a constant.
            (Outcome::Refused(why), _) => return Err(Stopped(why.clone())),
            _ => {}
        }
    }
    Ok(None)
}

/// Tries calls together, and one by one where they disagree or do not run; gives the disagreements, made small.
pub fn examine(asker: &mut Asker, counts: &mut Counts, calls: Vec<Call>, mask: u64) -> Vec<(String, Difference)> {
    counts.queries += calls.len();
    if matches!(check(asker, &calls, mask), Ok(None)) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for call in calls {
        match check(asker, std::slice::from_ref(&call), mask) {
            Ok(None) => {}
            Ok(Some(difference)) => {
                let name = call.form.clone();
                found.push((format!("{:?}: {name}", difference.kind), minimize(asker, call, mask, difference)));
            }
            Err(Stopped(why)) => {
                counts.refused += 1;
                *counts.reasons.entry(format!("{}: {why}", call.form)).or_default() += 1;
            }
        }
    }
    found
}

fn minimize(asker: &mut Asker, mut call: Call, mask: u64, mut difference: Difference) -> Difference {
    for _ in 0..60 {
        let better = call.simpler().into_iter().find_map(|simpler| match check(asker, std::slice::from_ref(&simpler), mask) {
            Ok(Some(found)) if found.kind == difference.kind => Some((simpler, found)),
            _ => None,
        });
        match better {
            Some(found) => (call, difference) = found,
            None => break,
        }
    }
    difference
}
