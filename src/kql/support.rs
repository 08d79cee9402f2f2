//! What of the documented language runs, and what is refused and why: the data behind `docs/kql-support.md` and
//! `kqlake functions`.
//!
//! Functions, aggregates and plugins come from the registry that the binder uses; statements and operators, which have no
//! registry, are listed here. Names that begin with `__` are internal and never shown.

use std::fmt::Write as _;

use super::functions::plugins::{self, ParamKind, Plugin};
use super::functions::{AggregateImpl, ArgType, Param, Returns, aggregate, scalar};

/// What a name of the language stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    /// A statement (`let`).
    Statement,
    /// A tabular operator (`where`) or source (`datatable`).
    Operator,
    /// A function of values in a row.
    Scalar,
    /// An aggregate function.
    Aggregate,
    /// A function over serialized rows.
    Window,
    /// A plugin of `evaluate`.
    Plugin,
}

impl Category {
    /// All, in the order of the page.
    pub const ALL: [Category; 6] =
        [Category::Statement, Category::Operator, Category::Scalar, Category::Aggregate, Category::Window, Category::Plugin];

    /// In a listing's column.
    pub fn name(self) -> &'static str {
        match self {
            Category::Statement => "statement",
            Category::Operator => "operator",
            Category::Scalar => "scalar",
            Category::Aggregate => "aggregate",
            Category::Window => "window",
            Category::Plugin => "plugin",
        }
    }

    fn heading(self) -> &'static str {
        match self {
            Category::Statement => "Statements",
            Category::Operator => "Tabular operators",
            Category::Scalar => "Scalar functions",
            Category::Aggregate => "Aggregate functions",
            Category::Window => "Window functions",
            Category::Plugin => "Plugins",
        }
    }
}

/// A name of the language.
#[derive(Debug, Clone)]
pub struct Feature {
    /// Name.
    pub name: &'static str,
    /// What it stands for.
    pub category: Category,
    /// Other names for the same.
    pub aliases: &'static [&'static str],
    /// How it is written.
    pub syntax: String,
    /// Why it is refused; `None` where it runs.
    pub refused: Option<&'static str>,
    /// What it does, and where that differs from Microsoft's engine.
    pub about: &'static str,
}

/// A statement or an operator.
struct Construct {
    name: &'static str,
    aliases: &'static [&'static str],
    syntax: &'static str,
    refused: Option<&'static str>,
    about: &'static str,
}

const fn runs(name: &'static str, syntax: &'static str, about: &'static str) -> Construct {
    Construct { name, aliases: &[], syntax, refused: None, about }
}

const fn refused(name: &'static str, syntax: &'static str, why: &'static str, about: &'static str) -> Construct {
    Construct { name, aliases: &[], syntax, refused: Some(why), about }
}

impl Construct {
    const fn aliases(self, aliases: &'static [&'static str]) -> Construct {
        Construct { aliases, ..self }
    }
}

const STATEMENTS: &[Construct] = &[
    runs("alias database", "alias database name = cluster(…).database(…)", "The name then stands for this lake."),
    runs(
        "declare pattern",
        "declare pattern name = (a: string) [p: string] { (\"x\").[\"y\"] = { query }; … }",
        "One of several queries, chosen by constant texts: name(\"x\").y",
    ),
    runs(
        "declare query_parameters",
        "declare query_parameters(name: type = default, …)",
        "Values come from --param name=value, as values and never as text of the query.",
    ),
    runs(
        "let",
        "let name = value",
        "A value, a table, or a function with typed and defaulted parameters, tabular ones too; views.",
    ),
    refused(
        "restrict access",
        "restrict access to (table, …)",
        "it narrows what a query may see, so passing over it would change answers",
        "Limits what the rest of the text may read.",
    ),
    runs(
        "set",
        "set option = value",
        "query_now is honoured; options of Microsoft's service are ignored, and unknown ones with a warning.",
    ),
];

const OPERATORS: &[Construct] = &[
    runs("as", "as name", "Gives the rows so far a name for what follows."),
    refused(
        "assert-schema",
        "assert-schema (column: type, …)",
        "compare the output of getschema",
        "Checks the columns of the input.",
    ),
    runs("consume", "consume", "Runs the query and shows nothing."),
    runs("count", "count [as name]", "The number of rows."),
    runs("datatable", "datatable (column: type, …) [value, …]", "Rows written in the query."),
    runs("distinct", "distinct column, … | *", "Each combination of values once."),
    runs(
        "evaluate",
        "evaluate plugin(…) [: (column: type, …)]",
        "See the plugins below. Refused inside of mv-apply and partition.",
    ),
    runs("extend", "extend name = expression, …", "Further columns."),
    runs(
        "externaldata",
        "externaldata (column: type, …) [path, …] with (…)",
        "Rows of files: local ones in configured folders, and those at configured addresses.",
    ),
    runs("facet", "facet by column, … [with (operators)]", "A result table for each column."),
    runs("find", "find [in (tables)] where predicate [project …]", "Rows of many tables that match."),
    runs("fork", "fork [name =] (operators) …", "A result table for each branch."),
    runs("getschema", "getschema", "The columns of the input."),
    runs(
        "graph-mark-components",
        "graph-mark-components [kind = weak|strong] [with_component_id = name]",
        "Numbers the connected components of a graph.",
    ),
    runs(
        "graph-match",
        "graph-match [cycles = all|none|unique_edges] (a)-[e]->(b), … [where …] project …",
        "Finds patterns in a graph; -[e*1..3]- for several edges in a row.",
    ),
    runs(
        "graph-shortest-paths",
        "graph-shortest-paths [output = any|all] (a)-[e*1..5]->(b) [where …] project …",
        "Finds paths of the fewest edges in a graph.",
    ),
    runs(
        "graph-to-table",
        "graph-to-table nodes|edges [as name] [with_node_id = id]",
        "The nodes or the edges of a graph as rows.",
    ),
    runs("graph-where-edges", "graph-where-edges predicate", "Keeps some edges of a graph, and all nodes."),
    runs("graph-where-nodes", "graph-where-nodes predicate", "Keeps some nodes of a graph, and the edges between them."),
    refused(
        "inline_external_table",
        "inline_external_table (column: type, …) …",
        "import the file with `kqlake import --from`",
        "Rows of files, described in the query.",
    ),
    runs("invoke", "invoke function(…)", "The input as a function's first argument."),
    runs("join", "join kind=… (table) on condition, …", "All kinds; the default is innerunique. Hints are ignored."),
    runs("lookup", "lookup kind=… (table) on column, …", "Columns of a second table, by key."),
    refused(
        "macro-expand",
        "macro-expand group as name (query)",
        "there is only one lake to query",
        "A query over several databases.",
    ),
    runs(
        "make-graph",
        "make-graph source --> target [with nodes on key, …]",
        "Makes a graph of rows of edges, and of tables of nodes or with_node_id = name.",
    ),
    runs("make-series", "make-series aggregate on axis from a to b step s by …", "Values over an axis, with gaps filled."),
    runs("mv-apply", "mv-apply item = array on (operators)", "A sub-query over each row's array. `id` is refused."),
    runs(
        "mv-expand",
        "mv-expand column [to typeof(type)], … [limit n]",
        "A row for each item; bags too. mvexpand keeps its old limit of 128 rows.",
    )
    .aliases(&["mvexpand"]),
    runs("parse", "parse [kind=simple|regex|relaxed] text with pattern", "Columns out of texts."),
    runs("parse-kv", "parse-kv text as (key: type, …) with (…)", "Columns out of texts of keys and values."),
    runs("parse-where", "parse-where text with pattern", "parse, without the rows that do not match."),
    runs("partition", "partition by column (operators)", "A sub-query for each value of a column. Hints choose nothing here."),
    runs("print", "print name = expression, …", "One row."),
    runs("project", "project name = expression, …", "Only these columns."),
    runs("project-away", "project-away column, pattern*", "All columns but these."),
    runs("project-by-names", "project-by-names name, dynamic([names]), …", "Columns by names and patterns in constants."),
    runs("project-keep", "project-keep column, pattern*", "Only these columns, in the order of the input."),
    runs("project-rename", "project-rename new = old, …", "Other names for columns."),
    runs("project-reorder", "project-reorder column [asc|desc], …", "Another order of columns."),
    runs("range", "range name from a to b step s", "A column of evenly spaced values."),
    runs(
        "reduce",
        "reduce by text [with threshold=…]",
        "Texts grouped by pattern. The algorithm is the published one; patterns can differ in detail.",
    ),
    runs("render", "render kind with (…)", "Kept with all its properties for who draws; changes no rows."),
    runs("sample", "sample n", "Random rows, of the first 100,000."),
    runs("sample-distinct", "sample-distinct n of column", "Some values; which ones is not defined."),
    runs("scan", "scan declare (…) with (step name: condition => …)", "Sequences of rows that match steps."),
    runs("search", "search [in (tables)] text", "Rows of all tables that hold a term."),
    runs("serialize", "serialize name = expression, …", "Fixes the order of rows, for window functions."),
    runs("sort", "sort by key [asc|desc] [nulls first|last], …", "The default is descending, with nulls last.")
        .aliases(&["order"]),
    runs("summarize", "summarize aggregate, … by key, …", "Groups. shuffle hints are ignored."),
    runs("take", "take n", "The first rows; of unsorted input any.").aliases(&["limit"]),
    runs("top", "top n by key", "The first rows by an order."),
    runs(
        "top-hitters",
        "top-hitters n of value [by weight]",
        "The most frequent values; counted exactly, where Microsoft's engine estimates.",
    ),
    runs("top-nested", "top-nested n of value by aggregate, …", "The first values of each level; `with others` for the rest."),
    runs("union", "union [kind=…] [withsource=…] table, …", "Rows of several tables; wildcards; isfuzzy."),
    runs("where", "where predicate", "Rows for which the predicate is true.").aliases(&["filter"]),
];

/// What holds for the whole language.
const NOTES: &[&str] = &[
    "Datetimes and timespans have ticks of 100 ns. Tables keep datetimes in microseconds: a 7th digit after the second is dropped on import and in Parquet results.",
    "A decimal has 18 digits behind the point and 20 before it.",
    "dcount, dcountif and hll are exact up to 4,096, 16,384, 65,536, 131,072 or 262,144 distinct values (accuracy 0 to 4; the \
     default is 1) and estimates beyond that. Estimates are not bit for bit those of Microsoft's engine. count_distinct is always \
     exact.",
    "percentile and its forms are exact up to 131,072 values a group, and for numbers, timespans and datetimes a t-digest beyond that.",
    "has, has_any and the like compare whole terms: runs of letters and digits. There is no minimum length of a term.",
    "now() is one instant for the whole query.",
    "Limits, each refused with its place: 64 MiB of text; 500 levels of brackets, or of operators without brackets; 10,000 different \
     terms in a chain of `and` or `or` (equalities and text searches of one column count once); 500 operators in a pipe and 2,000 in a \
     query (`where` does not count); 64 levels and 10,000 uses of functions, views and `let`s; 1,000 queries in a text.",
    "Microsoft's management commands (`.show`, `.create`, …) are refused.",
    "Data stays here: whatever would call a service (http_request, sql_request, python, …) is refused.",
];

/// Why an operator or a statement is refused; `None` where it is not, or is no name of the language.
pub fn refusal(name: &str) -> Option<&'static str> {
    OPERATORS.iter().chain(STATEMENTS).find(|f| f.name == name)?.refused
}

/// Everything that the language documents, by category and name.
pub fn features() -> Vec<Feature> {
    let form = |category| {
        move |f: &Construct| Feature {
            name: f.name,
            category,
            aliases: f.aliases,
            syntax: f.syntax.to_owned(),
            refused: f.refused,
            about: f.about,
        }
    };
    let mut features: Vec<Feature> = STATEMENTS.iter().map(form(Category::Statement)).collect();
    features.extend(OPERATORS.iter().map(form(Category::Operator)));
    features.extend(scalar::families().iter().copied().flatten().map(|f| Feature {
        name: f.name,
        category: if scalar::window::FUNCTIONS.iter().any(|w| w.name == f.name) { Category::Window } else { Category::Scalar },
        aliases: f.aliases,
        syntax: call(f.name, f.params, f.variadic, f.returns),
        refused: f.refusal(),
        about: f.doc,
    }));
    features.extend(aggregate::families().iter().copied().flatten().map(|f| Feature {
        name: f.name,
        category: Category::Aggregate,
        aliases: f.aliases,
        syntax: call(f.name, &with_predicate(f.params, f.predicate), f.variadic, f.returns),
        refused: match f.imp {
            AggregateImpl::Unsupported(why) => Some(why),
            _ => None,
        },
        about: f.doc,
    }));
    for plugin in plugins::PLUGINS {
        // Forms of one plugin are one entry, its calls one below the other.
        match features.iter_mut().find(|e| e.category == Category::Plugin && e.name == plugin.name) {
            Some(entry) => {
                let other = plugin_call(plugin);
                if !entry.syntax.split(" · ").any(|known| known == other) {
                    let _ = write!(entry.syntax, " · {other}");
                }
            }
            None => features.push(Feature {
                name: plugin.name,
                category: Category::Plugin,
                aliases: &[],
                syntax: plugin_call(plugin),
                refused: None,
                about: plugin.doc,
            }),
        }
    }
    features.extend(plugins::REFUSED.iter().map(|&(name, why)| Feature {
        name,
        category: Category::Plugin,
        aliases: &[],
        syntax: format!("{name}(…)"),
        refused: Some(why),
        about: "",
    }));
    features.retain(|e| !e.name.starts_with("__"));
    let place = |category: Category| Category::ALL.iter().position(|c| *c == category);
    features.sort_by(|a, b| (place(a.category), a.name).cmp(&(place(b.category), b.name)));
    features
}

/// The support page.
pub fn markdown() -> String {
    let features = features();
    let mut page = String::from(
        "# What of KQL kqlake runs\n\n<!-- Written by `kqlake functions --markdown`; do not edit. -->\n\n\
         What is refused is refused by name, at its place in the query, with exit status 3. `kqlake functions NAME` shows the same\n\
         in the terminal.\n\n",
    );
    page.push_str("| | runs | refused |\n|---|---:|---:|\n");
    for category in Category::ALL {
        let of = || features.iter().filter(move |e| e.category == category);
        let refused = of().filter(|e| e.refused.is_some()).count();
        let heading = category.heading();
        let anchor = heading.to_lowercase().replace(' ', "-");
        let _ = writeln!(page, "| [{heading}](#{anchor}) | {} | {refused} |", of().count() - refused);
    }
    page.push_str("\n## Notes\n\n");
    for note in NOTES {
        let _ = writeln!(page, "- {note}");
    }
    for category in Category::ALL {
        let _ = write!(page, "\n## {}\n\n| name | runs | written | notes |\n|---|---|---|---|\n", category.heading());
        for entry in features.iter().filter(|e| e.category == category) {
            let runs = if entry.refused.is_some() { "no" } else { "yes" };
            let syntax = entry.syntax.split(" · ").map(|s| format!("`{}`", cell(s))).collect::<Vec<_>>().join("<br>");
            let _ = writeln!(page, "| `{}` | {runs} | {syntax} | {} |", entry.name, cell(&entry.notes()));
        }
    }
    page
}

impl Feature {
    /// What it does, its other names, and why it is refused.
    pub fn notes(&self) -> String {
        let mut notes = self.about.to_owned();
        let mut add = |text: String| {
            if !notes.is_empty() {
                notes.push(' ');
            }
            notes.push_str(&text);
        };
        if let Some(why) = self.refused {
            if self.about == "Not supported." {
                add(format!("{}.", capitalized(why)));
            } else {
                add(format!("Not supported: {why}."));
            }
        }
        if !self.aliases.is_empty() {
            add(format!("Also: {}.", self.aliases.join(", ")));
        }
        notes
    }
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Text for a cell of a Markdown table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn with_predicate(params: &'static [Param], predicate: Option<usize>) -> Vec<Param> {
    let mut params = params.to_vec();
    if let Some(place) = predicate {
        params.insert(place.min(params.len()), Param::req("predicate", ArgType::Bool));
    }
    params
}

/// `name(a: string, [b: long], …) -> type`.
fn call(name: &str, params: &[Param], variadic: bool, returns: Returns) -> String {
    let mut list: Vec<String> = params.iter().map(|p| parameter(p.name, &kind_name(p.kind), p.optional)).collect();
    if variadic {
        list.push("…".to_owned());
    }
    let result = match returns {
        Returns::Type(ty) => format!(" -> {ty}"),
        Returns::Columns(columns) => {
            format!(" -> ({})", columns.iter().map(|(n, ty)| format!("{n}: {ty}")).collect::<Vec<_>>().join(", "))
        }
        Returns::Arg(at) => params.get(at).map_or(String::new(), |p| format!(" -> type of {}", p.name)),
        _ => String::new(),
    };
    format!("{name}({}){result}", list.join(", "))
}

fn plugin_call(plugin: &Plugin) -> String {
    let mut list: Vec<String> = plugin
        .params
        .iter()
        .map(|p| {
            let kind = match p.kind {
                ParamKind::Column(kind) => format!("column of {}", kind_name(kind)),
                ParamKind::Expression(kind) | ParamKind::Constant(kind) => kind_name(kind),
                ParamKind::Table => "table".to_owned(),
                ParamKind::LookupColumn(_) => "column of the table".to_owned(),
                ParamKind::Aggregate => "aggregate".to_owned(),
                ParamKind::ColumnOrTilde(kind) => format!("column of {} or \"~\"", kind_name(kind)),
                ParamKind::ConstantOrTilde(kind) => format!("{} or \"~\"", kind_name(kind)),
            };
            parameter(p.name, &kind, p.optional)
        })
        .collect();
    if plugin.repeats {
        list.push("…".to_owned());
    }
    format!("{}({})", plugin.name, list.join(", "))
}

fn parameter(name: &str, kind: &str, optional: bool) -> String {
    if optional { format!("[{name}: {kind}]") } else { format!("{name}: {kind}") }
}

fn kind_name(kind: ArgType) -> String {
    match kind {
        ArgType::Any => "any".to_owned(),
        ArgType::String => "string".to_owned(),
        ArgType::StringOrDynamic => "string or dynamic".to_owned(),
        ArgType::Bool => "bool".to_owned(),
        ArgType::Integer => "int or long".to_owned(),
        ArgType::Number => "number".to_owned(),
        ArgType::NumberOrDynamic => "number or dynamic".to_owned(),
        ArgType::Summable => "number, datetime or timespan".to_owned(),
        ArgType::Orderable => "anything with an order".to_owned(),
        ArgType::DateTime => "datetime".to_owned(),
        ArgType::TimeSpan => "timespan".to_owned(),
        ArgType::DateTimeOrTimeSpan => "datetime or timespan".to_owned(),
        ArgType::Dynamic => "dynamic".to_owned(),
        ArgType::Guid => "guid".to_owned(),
        ArgType::TypeLiteral => "typeof(type)".to_owned(),
        ArgType::Same => "same type".to_owned(),
        ArgType::OneOf(types) => types.iter().map(|t| t.name()).collect::<Vec<_>>().join(" or "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_operator_that_is_read_is_listed() {
        let listed: HashSet<&str> =
            OPERATORS.iter().flat_map(|f| std::iter::once(f.name).chain(f.aliases.iter().copied())).collect();
        let missing: Vec<&str> =
            kqlake_syntax::parser::operator_names().filter(|n| !listed.contains(n) && *n != "mvapply").collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert!(OPERATORS.is_sorted_by_key(|f| f.name) && STATEMENTS.is_sorted_by_key(|f| f.name));
    }

    #[test]
    fn names_are_listed_once_and_internal_ones_not_at_all() {
        let mut seen = HashSet::new();
        for entry in features() {
            assert!(!entry.name.starts_with("__"));
            assert!(seen.insert((entry.category.name(), entry.name)), "{}", entry.name);
        }
    }

    #[test]
    fn the_page_on_disk_is_fresh() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/kql-support.md");
        let page = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(page == markdown(), "write it anew: kqlake functions --markdown > docs/kql-support.md");
    }
}
