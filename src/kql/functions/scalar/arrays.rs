//! Functions over dynamic arrays: `array_*`, `pack_array`, `range`, `repeat`, `zip`.
//!
//! Elements are handled as slices of the arrays' JSON text, so that numbers keep their digits and bags the order of their keys.
//! What is no array gives null. Source: the Kusto documentation's page of each function.

use std::cmp::Ordering;

use crate::functions::{ArgInfo, ArgType, Naming, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::text_column::append;
use kqlake_value::{TICKS_PER_SECOND, Type, Value, ValueRef, json};

/// The most elements that `range` makes (2^20).
const MAX_ELEMENTS: usize = 1 << 20;

const DYNAMIC: Returns = Returns::Type(Type::Dynamic);
const COUNT_OR_PLACES: ArgType = ArgType::OneOf(&[Type::Int, Type::Long, Type::Dynamic]);

/// The array functions.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "array_concat",
        &[Param::req("array", ArgType::Dynamic)],
        DYNAMIC,
        ScalarImpl::Text(concat),
        "Joins arrays to one; what is no array adds nothing.",
    )
    .variadic(),
    ScalarFn::new(
        "array_iff",
        &[
            Param::req("condition_array", ArgType::Dynamic),
            Param::req("when_true", ArgType::Any),
            Param::req("when_false", ArgType::Any),
        ],
        DYNAMIC,
        ScalarImpl::Text(iff),
        "Takes each element from one of two arrays (or scalars), as an array of conditions tells.",
    )
    .aliases(&["array_iif"]),
    ScalarFn::new(
        "array_index_of",
        &[
            Param::req("array", ArgType::Dynamic),
            Param::req("value", ArgType::Any),
            Param::opt("start", ArgType::Integer),
            Param::opt("length", ArgType::Integer),
            Param::opt("occurrence", ArgType::Integer).constant(),
        ],
        Returns::Type(Type::Long),
        ScalarImpl::Row(index_of),
        "The place of a value in an array, from 0; -1 when it is not there.",
    ),
    ScalarFn::new(
        "array_length",
        &[Param::req("array", ArgType::Dynamic)],
        Returns::Type(Type::Long),
        ScalarImpl::Row(length),
        "The number of elements; null for what is no array.",
    )
    .aliases(&["arraylength"]),
    ScalarFn::new(
        "array_reverse",
        &[Param::req("array", ArgType::Dynamic)],
        DYNAMIC,
        ScalarImpl::Text(reverse),
        "The elements from last to first.",
    ),
    ScalarFn::new(
        "array_rotate_left",
        &[Param::req("array", ArgType::Dynamic), Param::req("rotate_count", ArgType::Integer)],
        DYNAMIC,
        ScalarImpl::Text(|args, out| rotate(args, out, 1)),
        "Moves the elements to the left; what falls off comes in at the right.",
    ),
    ScalarFn::new(
        "array_rotate_right",
        &[Param::req("array", ArgType::Dynamic), Param::req("rotate_count", ArgType::Integer)],
        DYNAMIC,
        ScalarImpl::Text(|args, out| rotate(args, out, -1)),
        "Moves the elements to the right; what falls off comes in at the left.",
    ),
    ScalarFn::new(
        "array_shift_left",
        &[
            Param::req("array", ArgType::Dynamic),
            Param::req("shift_count", ArgType::Integer),
            Param::opt("default_value", ArgType::Any),
        ],
        DYNAMIC,
        ScalarImpl::Text(|args, out| shift(args, out, 1)),
        "Moves the elements to the left and fills up with a default.",
    ),
    ScalarFn::new(
        "array_shift_right",
        &[
            Param::req("array", ArgType::Dynamic),
            Param::req("shift_count", ArgType::Integer),
            Param::opt("default_value", ArgType::Any),
        ],
        DYNAMIC,
        ScalarImpl::Text(|args, out| shift(args, out, -1)),
        "Moves the elements to the right and fills up with a default.",
    ),
    ScalarFn::new(
        "array_slice",
        &[Param::req("array", ArgType::Dynamic), Param::req("start", ArgType::Integer), Param::req("end", ArgType::Integer)],
        DYNAMIC,
        ScalarImpl::Text(slice),
        "The elements from a place to another, both included; negative places count from the end.",
    ),
    ScalarFn::new(
        "array_sort_asc",
        &[Param::req("array", ArgType::Dynamic), Param::opt("more", ArgType::OneOf(&[Type::Dynamic, Type::Bool]))],
        Returns::ColumnEach("sorted"),
        ScalarImpl::Text(|args, out| sort(args, out, false)),
        "Sorts the first array upwards and the others with it; nulls come last unless a final false says otherwise.",
    )
    .variadic()
    .naming(Naming::Suffix("_sorted")),
    ScalarFn::new(
        "array_sort_desc",
        &[Param::req("array", ArgType::Dynamic), Param::opt("more", ArgType::OneOf(&[Type::Dynamic, Type::Bool]))],
        Returns::ColumnEach("sorted"),
        ScalarImpl::Text(|args, out| sort(args, out, true)),
        "Sorts the first array downwards and the others with it; nulls come last unless a final false says otherwise.",
    )
    .variadic()
    .naming(Naming::Suffix("_sorted")),
    ScalarFn::new(
        "array_split",
        &[Param::req("array", ArgType::Dynamic), Param::req("index", COUNT_OR_PLACES)],
        DYNAMIC,
        ScalarImpl::Text(split),
        "Cuts an array before each of the given places.",
    ),
    ScalarFn::new(
        "array_sum",
        &[Param::req("array", ArgType::Dynamic)],
        Returns::Type(Type::Real),
        ScalarImpl::Row(sum),
        "The sum of the numbers in an array; nulls do not count; null where there is no number, or anything else.",
    )
    .aliases(&["series_sum"]),
    ScalarFn::new(
        "pack_array",
        &[Param::req("value", ArgType::Any)],
        DYNAMIC,
        ScalarImpl::Text(pack_array),
        "An array of the arguments' values.",
    )
    .takes_all_columns()
    .variadic(),
    ScalarFn::new(
        "range",
        &[Param::req("start", ArgType::Summable), Param::req("stop", ArgType::Summable), Param::opt("step", ArgType::Summable)],
        Returns::With(range_type),
        ScalarImpl::Text(range),
        "An array of evenly spaced values, both ends included; the step is 1 or 1h unless given.",
    ),
    ScalarFn::new(
        "repeat",
        &[Param::req("value", ArgType::Any), Param::req("count", ArgType::Integer)],
        Returns::With(repeat_type),
        ScalarImpl::Text(repeat),
        "An array that holds a value several times.",
    )
    .naming(Naming::Prefix("repeat_")),
    ScalarFn::new(
        "zip",
        &[Param::req("array1", ArgType::Dynamic), Param::req("array2", ArgType::Dynamic), Param::opt("more", ArgType::Dynamic)],
        DYNAMIC,
        ScalarImpl::Text(zip),
        "An array of arrays: the first elements, the second elements, and so on; short arrays are filled up with null.",
    )
    .variadic(),
];

/// The elements of a dynamic array; `None` for anything else.
pub(super) fn array<'a>(value: ValueRef<'a>) -> Option<Vec<&'a str>> {
    match value {
        ValueRef::Dynamic(text) => json::elements(text).map(Iterator::collect),
        _ => None,
    }
}

/// Appends an array of elements given as JSON text.
pub(super) fn write_array<'a>(out: &mut String, elements: impl IntoIterator<Item = &'a str>) {
    out.push('[');
    for (i, element) in elements.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        append(out, element);
    }
    out.push(']');
}

/// A value as JSON text.
pub(super) fn element(value: ValueRef<'_>) -> String {
    let mut text = String::new();
    json::write_value(&mut text, value);
    text
}

/// What is no array adds nothing.
fn concat(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let arrays: Vec<_> = args.iter().filter_map(|arg| array(*arg)).collect();
    write_array(out, arrays.iter().flatten().copied());
    !arrays.is_empty()
}

fn length(args: &[ValueRef<'_>]) -> Value {
    match args[0] {
        ValueRef::Dynamic(text) => json::elements(text).map_or(Value::Null, |e| Value::Long(e.count() as i64)),
        _ => Value::Null,
    }
}

fn iff(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let Some(conditions) = array(args[0]) else { return false };
    // A branch is an array read in step, or one value for every place.
    let branch = |arg: ValueRef<'_>| (array(arg).map(|a| a.into_iter().map(str::to_owned).collect::<Vec<_>>()), element(arg));
    let (yes, no) = (branch(args[1]), branch(args[2]));
    out.push('[');
    for (i, condition) in conditions.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        let taken = match condition {
            "true" => Some(&yes),
            "false" => Some(&no),
            _ => json::number(condition).map(|v| if v != 0.0 { &yes } else { &no }),
        };
        out.push_str(match taken {
            Some((Some(elements), _)) => elements.get(i).map_or("null", String::as_str),
            Some((None, one)) => one,
            None => "null",
        });
    }
    out.push(']');
    true
}

fn index_of(args: &[ValueRef<'_>]) -> Value {
    let Some(elements) = array(args[0]) else { return Value::Null };
    let argument = |i: usize, default: i64| args.get(i).and_then(|a| a.as_i64()).unwrap_or(default);
    let (start, count, occurrence) = (argument(2, 0), argument(3, -1), argument(4, 1));
    if count < -1 || occurrence < 1 {
        return Value::Null;
    }
    let size = elements.len() as i64;
    let start = if start < 0 { (size + start).max(0) } else { start.min(size) } as usize;
    let end = if count < 0 { elements.len() } else { start.saturating_add(count as usize).min(elements.len()) };
    let wanted = element(args[1]);
    let wanted = json::identity(&wanted);
    let found = (start..end).filter(|i| json::identity(elements[*i]) == wanted).nth(occurrence as usize - 1);
    Value::Long(found.map_or(-1, |i| i as i64))
}

fn reverse(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let Some(elements) = array(args[0]) else { return false };
    write_array(out, elements.into_iter().rev());
    true
}

/// Rotates to the left, or to the right with `direction` -1.
fn rotate(args: &[ValueRef<'_>], out: &mut String, direction: i64) -> bool {
    let (Some(mut elements), Some(count)) = (array(args[0]), args[1].as_i64()) else { return false };
    if !elements.is_empty() {
        let size = elements.len() as i64;
        elements.rotate_left((count % size * direction).rem_euclid(size) as usize);
    }
    write_array(out, elements);
    true
}

/// Shifts to the left, or to the right with `direction` -1.
fn shift(args: &[ValueRef<'_>], out: &mut String, direction: i64) -> bool {
    let (Some(elements), Some(count)) = (array(args[0]), args[1].as_i64()) else { return false };
    let fill = match args.get(2) {
        Some(value) => element(*value),
        // Without a default an array of strings is filled with empty ones.
        None if !elements.is_empty() && elements.iter().all(|e| e.starts_with('"')) => "\"\"".to_owned(),
        None => "null".to_owned(),
    };
    let offset = count.saturating_mul(direction);
    write_array(
        out,
        (0..elements.len() as i64).map(|i| {
            let from = i.saturating_add(offset);
            usize::try_from(from).ok().and_then(|from| elements.get(from).copied()).unwrap_or(&fill)
        }),
    );
    true
}

fn slice(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let (Some(elements), Some(start), Some(end)) = (array(args[0]), args[1].as_i64(), args[2].as_i64()) else { return false };
    let size = elements.len() as i64;
    let place = |at: i64| if at < 0 { size.saturating_add(at) } else { at };
    let start = place(start).clamp(0, size);
    let end = place(end).saturating_add(1).clamp(start, size);
    write_array(out, elements[start as usize..end as usize].iter().copied());
    true
}

fn split(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let Some(elements) = array(args[0]) else { return false };
    let places = match args[1] {
        ValueRef::Dynamic(text) => match json::elements(text) {
            Some(all) => all.map(|e| e.parse::<i64>().ok()).collect::<Option<Vec<_>>>(),
            None => text.parse().ok().map(|place| vec![place]),
        },
        other => other.as_i64().map(|place| vec![place]),
    };
    let Some(places) = places else { return false };
    let size = elements.len() as i64;
    let mut from = 0;
    out.push('[');
    for place in places {
        let to = (if place < 0 { size.saturating_add(place) } else { place }).clamp(0, size);
        // A place before the last one gives an empty part; the next part starts there all the same.
        write_array(out, elements[from as usize..to.max(from) as usize].iter().copied());
        out.push(',');
        from = to;
    }
    write_array(out, elements[from as usize..].iter().copied());
    out.push(']');
    true
}

fn sum(args: &[ValueRef<'_>]) -> Value {
    let ValueRef::Dynamic(text) = args[0] else { return Value::Null };
    let Some(elements) = json::elements(text) else { return Value::Null };
    let mut total = None;
    for element in elements.filter(|e| *e != "null") {
        match json::number(element) {
            Some(v) => total = Some(total.unwrap_or(0.0) + v),
            None => return Value::Null,
        }
    }
    total.map_or(Value::Null, Value::Real)
}

fn pack_array(args: &[ValueRef<'_>], out: &mut String) -> bool {
    out.push('[');
    for (i, arg) in args.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        json::write_value(out, *arg);
    }
    out.push(']');
    true
}

/// What `repeat` takes: scalars, of the types that its page names.
fn repeat_type(args: &[ArgInfo]) -> Result<Type, String> {
    match args[0].ty {
        Type::Bool | Type::Int | Type::Long | Type::Real | Type::DateTime | Type::String | Type::TimeSpan => Ok(Type::Dynamic),
        other => Err(format!("'value' takes bool, int, long, real, datetime, string or timespan, not {other}")),
    }
}

fn repeat(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let Some(count) = args[1].as_i64().and_then(|count| usize::try_from(count).ok()) else { return false };
    let element = element(args[0]);
    write_array(out, (0..count.min(MAX_ELEMENTS)).map(|_| element.as_str()));
    true
}

fn zip(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let Some(arrays) = args.iter().map(|arg| array(*arg)).collect::<Option<Vec<_>>>() else { return false };
    let longest = arrays.iter().map(Vec::len).max().unwrap_or(0);
    out.push('[');
    for i in 0..longest {
        if i > 0 {
            out.push(',');
        }
        write_array(out, arrays.iter().map(|a| a.get(i).copied().unwrap_or("null")));
    }
    out.push(']');
    true
}

/// What `range` takes: ends of one kind, and for datetimes a timespan as step.
fn range_type(args: &[ArgInfo]) -> Result<Type, String> {
    let fits = match (args[0].ty, args[1].ty, args.get(2).map(|a| a.ty)) {
        (Type::DateTime, Type::DateTime, step) | (Type::TimeSpan, Type::TimeSpan, step) => {
            step.is_none_or(|s| s == Type::TimeSpan)
        }
        (start, stop, step) => start.is_numeric() && stop.is_numeric() && step.is_none_or(Type::is_numeric),
    };
    if fits {
        Ok(Type::Dynamic)
    } else {
        Err("range() takes numbers, or datetimes or timespans with a timespan as step".to_owned())
    }
}

fn range(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let ticks_of_step = |args: &[ValueRef<'_>]| match args.get(2) {
        None => Some(3600 * TICKS_PER_SECOND),
        Some(ValueRef::TimeSpan(step)) => Some(*step),
        Some(_) => None,
    };
    match (args[0], args[1]) {
        (ValueRef::DateTime(start), ValueRef::DateTime(stop)) => {
            let Some(step) = ticks_of_step(args) else { return false };
            write_range(out, start, stop, step, |out, ticks| json::write_value(out, ValueRef::DateTime(ticks)))
        }
        (ValueRef::TimeSpan(start), ValueRef::TimeSpan(stop)) => {
            let Some(step) = ticks_of_step(args) else { return false };
            write_range(out, start, stop, step, |out, ticks| json::write_value(out, ValueRef::TimeSpan(ticks)))
        }
        (start, stop) => {
            let step = args.get(2).copied().unwrap_or(ValueRef::Long(1));
            if let (Some(start), Some(stop), Some(step)) = (start.as_i64(), stop.as_i64(), step.as_i64()) {
                return write_range(out, start, stop, step, |out, v| json::write_value(out, ValueRef::Long(v)));
            }
            let (Some(start), Some(stop), Some(step)) = (start.as_f64(), stop.as_f64(), step.as_f64()) else { return false };
            // The number of steps, with room for the rounding of the division.
            let steps = ((stop - start) / step * (1.0 + 4.0 * f64::EPSILON)).floor();
            if !steps.is_finite() {
                return false;
            }
            let count = if steps < 0.0 { 0 } else { (steps as usize).saturating_add(1).min(MAX_ELEMENTS) };
            out.push('[');
            for i in 0..count {
                if i > 0 {
                    out.push(',');
                }
                json::write_real(out, start + step * i as f64);
            }
            out.push(']');
            true
        }
    }
}

fn write_range(out: &mut String, start: i64, stop: i64, step: i64, write: impl Fn(&mut String, i64)) -> bool {
    if step == 0 {
        return false;
    }
    out.push('[');
    let mut next = Some(start);
    for i in 0..MAX_ELEMENTS {
        let Some(value) = next.filter(|v| if step > 0 { *v <= stop } else { *v >= stop }) else { break };
        if i > 0 {
            out.push(',');
        }
        write(out, value);
        next = value.checked_add(step);
    }
    out.push(']');
    true
}

/// The place of an element's type in the order of sorting: numbers, strings, bools, then the rest as they are. The page
/// "array_sort_asc()" says no more of a bool than that it comes behind the strings.
fn rank(element: &str) -> u8 {
    match json::json_type(element) {
        json::JsonType::Integer | json::JsonType::Real => 0,
        json::JsonType::String => 1,
        json::JsonType::Bool => 2,
        _ => 3,
    }
}

fn compare(a: &str, b: &str, descending: bool) -> Ordering {
    let within = match (rank(a), rank(b)) {
        (0, 0) => match (a.parse::<i64>(), b.parse::<i64>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            _ => a.parse::<f64>().unwrap_or(f64::NAN).total_cmp(&b.parse::<f64>().unwrap_or(f64::NAN)),
        },
        (1, 1) => json::unquote(a).cmp(&json::unquote(b)),
        // `false` before `true`, as the words have it.
        (2, 2) => a.cmp(b),
        (x, y) => return x.cmp(&y),
    };
    if descending { within.reverse() } else { within }
}

fn sort(args: &[ValueRef<'_>], out: &mut String, descending: bool) -> bool {
    let (arrays, nulls_last) = match args.split_last() {
        Some((ValueRef::Bool(nulls_last), rest)) if !rest.is_empty() => (rest, *nulls_last),
        _ => (args, true),
    };
    let Some(first) = array(arrays[0]) else { return false };
    let mut order: Vec<usize> = (0..first.len()).collect();
    order.sort_by(|a, b| match (first[*a] == "null", first[*b] == "null") {
        (false, false) => compare(first[*a], first[*b], descending),
        (a_null, b_null) => {
            if nulls_last {
                a_null.cmp(&b_null)
            } else {
                b_null.cmp(&a_null)
            }
        }
    });
    if arrays.len() == 1 {
        write_array(out, order.iter().map(|i| first[*i]));
        return true;
    }
    out.push('[');
    for (i, arg) in arrays.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        match array(*arg).filter(|elements| elements.len() == order.len()) {
            Some(elements) => write_array(out, order.iter().map(|i| elements[*i])),
            None => out.push_str("null"),
        }
    }
    out.push(']');
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, args: &[ValueRef<'_>]) -> String {
        let function = FUNCTIONS.iter().find(|f| f.name == name || f.aliases.contains(&name)).unwrap();
        match function.imp {
            ScalarImpl::Text(f) => {
                let mut out = String::new();
                if f(args, &mut out) { out } else { "null".to_owned() }
            }
            ScalarImpl::Row(f) => match f(args) {
                Value::Null => "null".to_owned(),
                Value::Long(v) => v.to_string(),
                Value::Real(v) => v.to_string(),
                other => format!("{other:?}"),
            },
            _ => String::new(),
        }
    }

    #[test]
    fn arrays_are_cut_joined_and_moved() {
        use ValueRef::{Dynamic as D, Long as L, Null, Real as R};
        let five = D("[1,2,3,4,5]");
        for (name, args, expected) in [
            ("array_concat", vec![D("[1, 2.50]"), D("[{\"b\":1,\"a\":2}]")], r#"[1,2.50,{"b":1,"a":2}]"#),
            ("array_concat", vec![D("[1]"), Null], "[1]"),
            ("array_concat", vec![D("{\"a\":1}"), D("[]"), D("7"), D("[99]")], "[99]"),
            ("array_concat", vec![D("{\"a\":1}"), Null], "null"),
            ("array_length", vec![D("{\"a\":1}")], "null"),
            ("array_slice", vec![five, L(-3), L(-2)], "[3,4]"),
            ("array_slice", vec![five, L(2), L(99)], "[3,4,5]"),
            ("array_slice", vec![five, L(4), L(1)], "[]"),
            ("array_split", vec![five, D("[1,3]")], "[[1],[2,3],[4,5]]"),
            ("array_split", vec![five, L(-1)], "[[1,2,3,4],[5]]"),
            ("array_split", vec![five, D("[-1,-2]")], "[[1,2,3,4],[],[4,5]]"),
            ("array_rotate_left", vec![five, L(7)], "[3,4,5,1,2]"),
            ("array_rotate_right", vec![five, L(-2)], "[3,4,5,1,2]"),
            ("array_shift_right", vec![five, L(2), L(-1)], "[-1,-1,1,2,3]"),
            ("array_shift_left", vec![five, L(-2)], "[null,null,1,2,3]"),
            ("array_iff", vec![D("[true,0,\"x\",2]"), D("[1,2]"), L(9)], "[1,9,null,null]"),
            ("zip", vec![D("[1,2]"), D("[\"a\"]")], r#"[[1,"a"],[2,null]]"#),
            ("repeat", vec![L(1), L(3)], "[1,1,1]"),
            ("repeat", vec![L(1), L(-3)], "null"),
            ("range", vec![L(1), L(8), L(3)], "[1,4,7]"),
            ("range", vec![L(3), L(1)], "[]"),
            ("range", vec![L(1), L(2), R(0.5)], "[1.0,1.5,2.0]"),
            ("array_sum", vec![D("[1,null,3]")], "4"),
            ("array_sum", vec![D("[1,\"3\"]")], "null"),
            ("array_sum", vec![D("[]")], "null"),
            ("array_sum", vec![D("[null]")], "null"),
            ("array_index_of", vec![D("[1,2.0,1]"), L(2)], "1"),
            ("array_index_of", vec![D("[1,2.0,1]"), L(1), L(0), L(-1), L(2)], "2"),
            ("array_index_of", vec![D("[\"an\",1,\"an\"]"), ValueRef::String("an"), L(-2)], "2"),
        ] {
            assert_eq!(call(name, &args), expected, "{name} {args:?}");
        }
    }

    #[test]
    fn sorting_takes_other_arrays_along() {
        use ValueRef::{Bool, Dynamic as D};
        let texts = D(r#"[null,"b",3,"a",null,20]"#);
        assert_eq!(call("array_sort_asc", &[texts]), r#"[3,20,"a","b",null,null]"#);
        assert_eq!(call("array_sort_desc", &[texts, Bool(false)]), r#"[null,null,20,3,"b","a"]"#);
        assert_eq!(call("array_sort_asc", &[D("[2,1]"), D("[\"x\",\"y\"]"), D("[1]")]), r#"[[1,2],["y","x"],null]"#);
        assert_eq!(call("array_sort_asc", &[ValueRef::Null]), "null");
        let mixed = D(r#"[{"b":1},true,"x",false,[1],true,2,null]"#);
        assert_eq!(call("array_sort_asc", &[mixed]), r#"[2,"x",false,true,true,{"b":1},[1],null]"#);
        assert_eq!(call("array_sort_desc", &[mixed]), r#"[2,"x",true,true,false,{"b":1},[1],null]"#);
    }
}
