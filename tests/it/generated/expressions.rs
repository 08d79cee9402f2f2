//! Scalar expressions of a wanted type over the columns at hand.

use kqlake_value::{Column, Type};
use serde_json::Value as Json;

use super::random::Random;
use super::tree::{self, Node};
use super::values;

/// Forms of expressions by the type they give. In braces stands what is filled in: a type; `any` any type; `T` the wanted
/// type, for forms that give every type; `a` one type that has an equality, `n` one kind of number, `o` one type that has an
/// order, the same at each of its places; `=` before a type asks for a constant.
const FORMS: &[(&str, &[&str])] = &[
    (
        "bool",
        &[
            "({a} == {a})",
            "({a} == {=a})",
            "({a} == {=a})",
            "({a} != {=a})",
            "({a} != {a})",
            "({n} < {n})",
            "({n} >= {=n})",
            "({o} <= {o})",
            "({o} > {=o})",
            "isnull({any})",
            "isnotnull({any})",
            "isempty({any})",
            "isnotempty({any})",
            "({string} has {=string})",
            "({string} !has {=string})",
            "({string} contains {=string})",
            "({string} startswith {=string})",
            "({string} !endswith {string})",
            "({string} =~ {=string})",
            "({string} !~ {string})",
            "({string} has_any ({=string}, {=string}))",
            "({string} in~ ({=string}, {=string}))",
            "({string} matches regex '^[a-c1]')",
            "({dynamic} has {=string})",
            "({a} in ({=a}, {=a}))",
            "({a} !in ({=a}, {=a}))",
            "({a} in ({a}, {=a}))",
            "({a} in ({=a}, {=a}, {=a}, {=a}, {=a}))",
            "(-({real}) in ({=real}, {=real}, {=real}, {=real}))",
            "({n} between ({=n} .. {=n}))",
            "({n} !between ({n} .. {=n}))",
            "({datetime} between ({=datetime} .. {=datetime}))",
            "not({bool})",
            "({bool} and {bool})",
            "({bool} or {bool})",
            "(not({bool}) or {bool})",
            "({bool} == {=bool})",
            "(tostring({dynamic}) == {=string})",
            "({dynamic} == {=string})",
            "({dynamic} == {=long})",
            "(tolong({dynamic}) > {=long})",
            "tobool({any})",
            "isnan({real})",
            "set_has_element({dynamic}, {=long})",
            "bag_has_key({dynamic}, 'k')",
        ],
    ),
    (
        "long",
        &[
            "({long} + {long})",
            "({long} - {=long})",
            "({long} * {long})",
            "({long} / {long})",
            "({long} % {=long})",
            "({int} + {int})",
            "strlen({string})",
            "tolong({any})",
            "array_length({dynamic})",
            "bin({long}, {=long})",
            "abs({long})",
            "-({long})",
            "indexof({string}, {=string})",
            "countof({string}, {=string})",
            "datetime_diff('day', {datetime}, {=datetime})",
            "binary_and({long}, {=long})",
            "sign({long})",
            "toscalar({=table} | count)",
            "toscalar({=table} | summarize max(a))",
            "max_of({long}, {long})",
            "binary_xor({long}, {long})",
            "bin_at({long}, 2, 1)",
            "tolong({dynamic}.k)",
            "hash({string}, 100)",
            "string_size({string})",
        ],
    ),
    (
        "int",
        &["toint({any})", "monthofyear({datetime})", "hourofday({datetime})", "getyear({datetime})", "dayofyear({datetime})"],
    ),
    (
        "real",
        &[
            "({real} + {real})",
            "({real} - {long})",
            "({real} * {=real})",
            "({real} / {real})",
            "-({real})",
            "toreal({any})",
            "({timespan} / {=timespan})",
            "round({real}, 1)",
            "sqrt({real})",
            "bin({real}, {=real})",
            "abs({real})",
            "todouble({dynamic})",
            "toscalar({=table} | summarize max(a))",
            "min_of({real}, {real})",
            "pow({real}, 2)",
            "array_sum({dynamic})",
        ],
    ),
    ("decimal", &["todecimal({n})", "({decimal} + {decimal})", "({decimal} * {=decimal})", "({decimal} - {long})"]),
    (
        "string",
        &[
            "strcat({string}, {any})",
            "strcat({=string}, '-', {string})",
            "tostring({any})",
            "tostring({dynamic})",
            "toupper({string})",
            "substring({string}, 1, 2)",
            "case({bool}, {string}, {bool}, {=string}, {string})",
            "replace_string({string}, {=string}, {=string})",
            "trim(' ', {string})",
            "extract('([a-z]+)', 1, {string})",
            "gettype({any})",
            "format_datetime({datetime}, 'yyyy-MM-dd HH')",
            "strcat_array({dynamic}, ',')",
            "tostring(split({string}, ' ')[0])",
            "strcat({string}, {string}, {=string})",
            "reverse({string})",
            "format_timespan({timespan}, 'hh:mm:ss')",
            "tostring({dynamic}[0])",
            "base64_encode_tostring({string})",
            "translate('ab', 'xy', {string})",
            "iff({bool}, {=string}, {=string})",
            "tostring({dynamic}.k)",
            "toscalar({=table} | summarize min(a))",
        ],
    ),
    ("guid", &["toguid({string})"]),
    (
        "datetime",
        &[
            "({datetime} + {=timespan})",
            "({datetime} - {timespan})",
            "bin({datetime}, 1d)",
            "startofday({datetime})",
            "endofmonth({datetime})",
            "todatetime({string})",
            "datetime_add('month', 1, {datetime})",
            "make_datetime(2020, {int}, {long})",
            "toscalar({=table} | summarize max(a))",
            "startofweek({datetime})",
            "bin_at({datetime}, 1d, datetime(2020-01-01 06:00))",
            "unixtime_seconds_todatetime({long})",
        ],
    ),
    (
        "timespan",
        &[
            "({datetime} - {datetime})",
            "({timespan} + {timespan})",
            "({timespan} * 2)",
            "totimespan({string})",
            "bin({timespan}, 1h)",
            "({datetime} % 1d)",
            "toscalar({=table} | summarize min(a))",
            "abs({timespan})",
            "dayofweek({datetime})",
        ],
    ),
    (
        "dynamic",
        &[
            "pack_array({any}, {any})",
            "bag_pack('k', {any}, 'l', {any})",
            "parse_json({string})",
            "{dynamic}.k",
            "{dynamic}[0]",
            "{dynamic}['l'][0]",
            "todynamic({dynamic})",
            "array_concat({dynamic}, {dynamic})",
            "bag_merge({dynamic}, {dynamic})",
            "split({string}, ' ')",
            "range({=long}, 3, 1)",
            "set_union({dynamic}, {=dynamic})",
            "bag_keys({dynamic})",
            "array_slice({dynamic}, 1, -1)",
            "pack_all()",
            "todynamic({any})",
            "array_sort_asc({dynamic})",
            "extract_all('([a-z])', {string})",
            "bag_remove_keys({dynamic}, dynamic(['k']))",
            "array_iff(dynamic([true, false]), {dynamic}, {=dynamic})",
            "treepath({dynamic})",
            "bag_set_key({dynamic}, 'n', {any})",
            "zip({dynamic}, {dynamic})",
            "set_difference({dynamic}, {dynamic})",
            "parse_url({string})",
        ],
    ),
    (
        "T",
        &[
            "iff({bool}, {T}, {T})",
            "iff({bool}, {T}, {=T})",
            "iff(isnull({any}), {=T}, {T})",
            "coalesce({T}, {=T})",
            "coalesce({T}, {T}, {T})",
            "case({bool}, {T}, {T})",
        ],
    ),
];

/// Types that `==` compares and groups are made by.
pub const KEYS: [Type; 9] =
    [Type::Long, Type::String, Type::Int, Type::Bool, Type::Real, Type::DateTime, Type::TimeSpan, Type::Guid, Type::Decimal];

/// What expressions are made of.
pub struct Scope<'a> {
    pub columns: &'a [Column],
    pub rows: &'a [Vec<Json>],
    /// The constants' statements, by name.
    pub lets: Vec<(String, Node)>,
}

impl<'a> Scope<'a> {
    pub fn new(columns: &'a [Column], rows: &'a [Vec<Json>]) -> Scope<'a> {
        Scope { columns, rows, lets: Vec::new() }
    }

    /// The columns of a type.
    pub fn of(&self, ty: Type) -> Vec<&'a Column> {
        self.columns.iter().filter(|column| column.ty == ty).collect()
    }

    /// An expression of a type.
    pub fn expr(&mut self, random: &mut Random, ty: Type, depth: usize) -> Node {
        if depth == 0 || random.percent(30) {
            return self.leaf(random, ty);
        }
        if matches!(ty, Type::Dynamic | Type::String | Type::Long | Type::Bool)
            && random.percent(20)
            && let Some((path, held)) = self.path(random)
        {
            return match ty {
                Type::Dynamic => path,
                Type::String => Node::Expr(ty, vec![tree::text("tostring("), path, tree::text(")")]),
                Type::Long => Node::Expr(ty, vec![tree::text("tolong("), path, tree::text(")")]),
                _ => {
                    let operator = *random.pick(&[" == ", " == ", " != ", " has ", " contains ", " startswith "]);
                    let other = match held {
                        Json::String(_) if random.percent(60) => tree::literal(Type::String, &held),
                        _ => self.constant(random, Type::String),
                    };
                    Node::Expr(ty, vec![tree::text("("), path, tree::text(operator), other, tree::text(")")])
                }
            };
        }
        if random.percent(5) {
            return self.of_function(random, ty, depth);
        }
        let forms = |key: &str| FORMS.iter().find(|(name, _)| *name == key).map_or(&[][..], |(_, forms)| forms);
        let (own, general) = (forms(ty.name()), forms("T"));
        let form = if own.is_empty() || random.percent(25) { random.pick(general) } else { random.pick(own) };
        self.fill(random, ty, form, depth - 1)
    }

    /// A call of a function of the query.
    fn of_function(&mut self, random: &mut Random, ty: Type, depth: usize) -> Node {
        let parameter = Column::new("v", values::any_type(random));
        let columns = [parameter.clone()];
        let mut inside = Scope::new(&columns, &[]);
        let body = inside.expr(random, ty, 1);
        self.lets.append(&mut inside.lets);
        let name = format!("fun_{}", random.below(1_000_000));
        let declared = format!("let {name} = (v: {}) {{ ", parameter.ty);
        self.lets.push((name.clone(), Node::Seq(vec![tree::text(declared), body, tree::text(" }")])));
        let argument = self.expr(random, parameter.ty, depth - 1);
        Node::Expr(ty, vec![tree::text(name + "("), argument, tree::text(")")])
    }

    /// A path into a dynamic column, by keys that its values have, and what one of them holds there.
    fn path(&self, random: &mut Random) -> Option<(Node, Json)> {
        let places: Vec<usize> = (0..self.columns.len()).filter(|i| self.columns[*i].ty == Type::Dynamic).collect();
        if places.is_empty() || self.rows.is_empty() {
            return None;
        }
        let place = *random.pick(&places);
        let mut value = &random.pick(self.rows)[place];
        let mut parts = vec![tree::column(&self.columns[place])];
        for _ in 0..random.between(1, 2) {
            match value {
                Json::Object(object) if !object.is_empty() => {
                    let (key, below) = object.iter().nth(random.below(object.len()))?;
                    let plain =
                        key.starts_with(|c: char| c.is_ascii_alphabetic()) && key.chars().all(|c| c.is_ascii_alphanumeric());
                    let key = if plain && random.percent(70) { format!(".{key}") } else { format!("[{}]", values::quoted(key)) };
                    parts.push(tree::text(key));
                    value = below;
                }
                Json::Array(items) if !items.is_empty() => {
                    let at = random.below(items.len());
                    parts.push(tree::text(format!("[{at}]")));
                    value = &items[at];
                }
                _ => break,
            }
        }
        (parts.len() > 1).then(|| (Node::Expr(Type::Dynamic, parts), value.clone()))
    }

    /// A column, or a constant where there is none of the type.
    pub fn leaf(&mut self, random: &mut Random, ty: Type) -> Node {
        let columns = self.of(ty);
        if columns.is_empty() || random.percent(25) {
            return self.constant(random, ty);
        }
        tree::column(random.pick::<&Column>(&columns))
    }

    /// A constant, often one that a column of the type has.
    pub fn constant(&mut self, random: &mut Random, ty: Type) -> Node {
        let columns: Vec<usize> = (0..self.columns.len()).filter(|i| self.columns[*i].ty == ty).collect();
        let value = match columns.is_empty() || self.rows.is_empty() || random.percent(40) {
            true => values::value(random, ty, 3),
            false => random.pick(self.rows)[*random.pick(&columns)].clone(),
        };
        let node = tree::literal(ty, &value);
        if random.percent(6) {
            let name = format!("let_{ty}_{}", random.below(1_000_000));
            self.lets.push((name.clone(), Node::Seq(vec![tree::text(format!("let {name} = ")), node])));
            return Node::Expr(ty, vec![tree::text(name)]);
        }
        node
    }

    fn fill(&mut self, random: &mut Random, ty: Type, form: &str, depth: usize) -> Node {
        let same = *random.pick(&self.present(&KEYS));
        let number = *random.pick(&self.present(&[Type::Long, Type::Real, Type::Int, Type::Decimal]));
        let ordered = *random.pick(&[Type::DateTime, Type::TimeSpan, Type::Long]);
        let mut parts = Vec::new();
        let mut rest = form;
        while let Some((before, behind)) = rest.split_once('{') {
            if !before.is_empty() {
                parts.push(tree::text(before));
            }
            let (hole, behind) = behind.split_once('}').unwrap_or((behind, ""));
            let (constant, hole) = hole.strip_prefix('=').map_or((false, hole), |hole| (true, hole));
            let wanted = match hole {
                "T" => ty,
                "a" => same,
                "n" => number,
                "o" => ordered,
                "any" => values::any_type(random),
                "table" | "tableofa" => {
                    // Of the type that the form gives, but a condition is about another type.
                    let of = if hole == "tableofa" {
                        same
                    } else if ty == Type::Bool {
                        Type::String
                    } else {
                        ty
                    };
                    let rows: Vec<Vec<Json>> = (0..random.below(3)).map(|_| vec![values::value(random, of, 0)]).collect();
                    parts.push(Node::Table(tree::Table { columns: vec![Column::new("a", of)], rows }));
                    rest = behind;
                    continue;
                }
                name => Type::parse(name).unwrap_or(Type::Long),
            };
            parts.push(if constant { self.constant(random, wanted) } else { self.expr(random, wanted, depth) });
            rest = behind;
        }
        if !rest.is_empty() {
            parts.push(tree::text(rest));
        }
        Node::Expr(ty, parts)
    }

    /// Of some types those that columns have, with weight; else any.
    fn present(&self, types: &[Type]) -> Vec<Type> {
        let mut found = types.to_vec();
        for column in self.columns.iter().filter(|column| types.contains(&column.ty)) {
            found.extend([column.ty; 6]);
        }
        found
    }
}
