//! The plugins of `evaluate`, and `reduce`: computations over all rows of a table at once.
//!
//! A plugin does not depend on expressions. Its caller binds the call by [`Plugin::params`], evaluates expression arguments
//! as columns appended behind the visible ones ([`PluginInput::visible`] says how many those are), and passes the rows.
//! Where [`Plugin::schema`] cannot derive the result's columns from the arguments, they follow from the rows.

mod active_users_count;
mod activity_counts_metrics;
mod activity_engagement;
mod activity_metrics;
mod autocluster;
mod bag_unpack;
mod basket;
mod dcount_intersect;
mod diffpatterns;
mod funnel_sequence;
mod funnel_sequence_completion;
mod geo_lookup;
mod ip_lookup;
mod narrow;
mod new_activity_metrics;
mod patterns;
mod pivot;
pub(crate) mod reduce;
mod rolling_percentile;
mod rows_near;
mod schema_merge;
mod sequence_detect;
mod session_count;
mod sliding_window_counts;
pub(crate) mod table;
mod timeline;

pub(crate) use table::{PluginInput, RowTable};

use super::ArgType;
use kqlake_value::{Column, Type, Value};

/// What a parameter of a plugin takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParamKind {
    /// A column of the input.
    Column(ArgType),
    /// Any expression over the input's columns. It comes as an appended column; a `name =` in front names that column.
    Expression(ArgType),
    /// A value known before the query runs.
    Constant(ArgType),
    /// A tabular expression.
    Table,
    /// A column of the tabular argument.
    LookupColumn(ArgType),
    /// An aggregate call over the input's columns (`count()`, `sum(x)`).
    Aggregate,
    /// A column of the input, or the constant text `~` for none.
    ColumnOrTilde(ArgType),
    /// A value known before the query runs, or the constant text `~` for the default.
    ConstantOrTilde(ArgType),
}

/// A key of a group: a value of any type that can be grouped by.
const KEY: ArgType = ArgType::OneOf(&[
    Type::Bool,
    Type::Int,
    Type::Long,
    Type::Real,
    Type::Decimal,
    Type::String,
    Type::DateTime,
    Type::TimeSpan,
    Type::Guid,
]);

/// A parameter of a plugin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PluginParam {
    /// Name, for named arguments and messages.
    pub name: &'static str,
    /// What it takes.
    pub kind: ParamKind,
    /// May be left out.
    pub optional: bool,
}

impl PluginParam {
    const fn req(name: &'static str, kind: ParamKind) -> PluginParam {
        PluginParam { name, kind, optional: false }
    }
    const fn opt(name: &'static str, kind: ParamKind) -> PluginParam {
        PluginParam { name, kind, optional: true }
    }
}

/// A bound argument, in the place of its parameter.
#[derive(Debug, Clone)]
pub(crate) enum PluginArg {
    /// The place of a column of the input (or of the tabular argument, for [`ParamKind::LookupColumn`]).
    Column(usize),
    /// A constant and its type.
    Constant(Value, Type),
    /// The rows of a tabular argument.
    Table(RowTable),
    /// Left out, while a later argument was given.
    Missing,
}

/// The result's columns, where the arguments determine them; `None` where they follow from the rows.
pub(crate) type SchemaFn = fn(&[Column], &[PluginArg]) -> Result<Option<Vec<Column>>, String>;

/// A plugin, or one of its forms where it has several.
#[derive(Clone, Copy)]
pub(crate) struct Plugin {
    /// Name.
    pub name: &'static str,
    /// Parameters.
    pub params: &'static [PluginParam],
    /// The last parameter may repeat, zero times if it is optional.
    pub repeats: bool,
    /// The result's columns, from all columns of the input and the arguments.
    pub schema: SchemaFn,
    /// Computes the result. The error is for the user.
    pub run: fn(&PluginInput, &[PluginArg]) -> Result<RowTable, String>,
    /// One sentence for the support page.
    pub doc: &'static str,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plugin({})", self.name)
    }
}

/// All plugins. Two entries of one name are two forms of its arguments; the first that fits is meant.
pub(crate) const PLUGINS: &[&Plugin] = &[
    &active_users_count::PLUGIN,
    &activity_counts_metrics::PLUGIN,
    &activity_engagement::PLUGIN,
    &activity_engagement::PLUGIN_BETWEEN,
    &activity_metrics::PLUGIN,
    &activity_metrics::PLUGIN_BETWEEN,
    &autocluster::PLUGIN,
    &bag_unpack::PLUGIN,
    &basket::PLUGIN,
    &dcount_intersect::PLUGIN,
    &diffpatterns::PLUGIN,
    &funnel_sequence::PLUGIN,
    &funnel_sequence_completion::PLUGIN,
    &geo_lookup::LINES,
    &geo_lookup::LINES_KEY_LAST,
    &geo_lookup::POLYGONS,
    &geo_lookup::POLYGONS_KEY_LAST,
    &ip_lookup::IPV4,
    &ip_lookup::IPV4_EXTRA_1,
    &ip_lookup::IPV4_EXTRA_2,
    &ip_lookup::IPV4_EXTRA_3,
    &ip_lookup::IPV6,
    &narrow::PLUGIN,
    &new_activity_metrics::PLUGIN,
    &new_activity_metrics::PLUGIN_LOOKBACK,
    &pivot::PLUGIN,
    &rolling_percentile::PLUGIN,
    &rows_near::PLUGIN,
    &schema_merge::PLUGIN,
    &sequence_detect::PLUGIN,
    &session_count::PLUGIN,
    &sliding_window_counts::PLUGIN,
];

const SERVICE: &str = "it calls a service, and queries stay on this machine";
const OTHER_ENGINE: &str = "it runs code of another language, for which there is no engine here";
const INTERNAL: &str = "it is internal to Microsoft's engine";

/// Plugins of the language that are known by name only, in the order of their names, with the reason.
pub(crate) const REFUSED: &[(&str, &str)] = &[
    ("ai_chat_completion", SERVICE),
    ("ai_chat_completion_prompt", SERVICE),
    ("ai_embed_text", SERVICE),
    ("ai_embeddings", SERVICE),
    ("azure_digital_twins_query_request", SERVICE),
    ("cosmosdb_sql_request", SERVICE),
    ("csharp", OTHER_ENGINE),
    ("dax_request", SERVICE),
    ("diffpatterns_text", "how Microsoft's engine builds the text patterns is not published; diffpatterns compares columns"),
    ("estimate_rows_count", "it tells of Microsoft's storage; use count"),
    ("execute_query", SERVICE),
    ("execute_show_command", "management commands are not part of kqlake"),
    ("external_datatable", INTERNAL),
    ("http_request", SERVICE),
    ("http_request_post", SERVICE),
    ("identity", INTERNAL),
    ("identity_v3", INTERNAL),
    ("infer_storage_schema", "it reads remote storage; `kqlake import` recognises files by itself"),
    ("infer_storage_schema_with_suggestions", "it reads remote storage; `kqlake import` recognises files by itself"),
    ("mysql_request", SERVICE),
    ("postgresql_request", SERVICE),
    ("preview", "use take and count"),
    ("python", OTHER_ENGINE),
    ("r", OTHER_ENGINE),
    ("sql_request", SERVICE),
];

/// Why a plugin is refused; `None` for one that runs or is unknown.
pub(crate) fn refusal(name: &str) -> Option<&'static str> {
    REFUSED.binary_search_by(|(known, _)| (*known).cmp(name)).ok().map(|at| REFUSED[at].1)
}

/// The forms of a plugin, in the order in which they are tried; none for an unknown name.
pub(crate) fn find(name: &str) -> impl Iterator<Item = &'static Plugin> + '_ {
    PLUGINS.iter().copied().filter(move |p| p.name == name)
}

/// The place of a column argument.
pub(crate) fn column(args: &[PluginArg], place: usize) -> Result<usize, String> {
    match args.get(place) {
        Some(PluginArg::Column(at)) => Ok(*at),
        _ => Err("a column is expected".to_owned()),
    }
}

/// The places of all column arguments from a place on.
pub(crate) fn columns_from(args: &[PluginArg], place: usize) -> Vec<usize> {
    args.iter()
        .skip(place)
        .filter_map(|a| match a {
            PluginArg::Column(at) => Some(*at),
            _ => None,
        })
        .collect()
}

/// A constant argument; `None` where it was left out, or is the text `~` that stands for the default.
pub(crate) fn constant(args: &[PluginArg], place: usize) -> Option<&Value> {
    match args.get(place) {
        Some(PluginArg::Constant(Value::String(tilde), _)) if tilde == "~" => None,
        Some(PluginArg::Constant(value, _)) => Some(value),
        _ => None,
    }
}

/// A number among the constant arguments.
pub(crate) fn number(args: &[PluginArg], place: usize) -> Option<f64> {
    let mut text = String::new();
    constant(args, place).and_then(|v| v.as_ref(&mut text).as_f64())
}
