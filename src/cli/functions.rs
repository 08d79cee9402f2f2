//! `functions`: the functions of the language, from the registry that the binder uses.

use std::collections::BTreeSet;

use super::Context;
use super::answer::OutputArgs;
use crate::error::{Error, Result};
use crate::kql::functions::{AggregateFn, AggregateImpl, Kind, Param, Registry, Returns, ScalarFn, ScalarImpl};
use crate::kql::suggest::nearest;
use crate::kql::types::Type;
use crate::kql::value::Value;
use crate::output::listing::{Listing, text};

/// List the functions of KQL, or show one
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kqlake functions
  kqlake functions bin
  kqlake functions -f json")]
pub struct Args {
    /// Name of a function or aggregate
    name: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

enum Entry {
    Scalar(&'static ScalarFn),
    Aggregate(&'static AggregateFn),
}

/// # Errors
/// For an unknown name, or when the output cannot be written.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let registry = Registry::get();
    let names: BTreeSet<&str> = registry.scalar_names().chain(registry.aggregate_names()).collect();
    if let Some(name) = &args.name
        && !names.contains(name.as_str())
    {
        let error = Error::usage(format!("there is no function `{name}`"));
        return Err(match nearest(name, names.iter().copied()) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint("`kqlake functions` lists them all"),
        });
    }
    let mut listing = Listing::new([
        ("name", Type::String),
        ("kind", Type::String),
        ("call", Type::String),
        ("supported", Type::Bool),
        ("about", Type::String),
    ]);
    for name in names.iter().filter(|n| args.name.as_deref().is_none_or(|wanted| wanted == **n)) {
        let entries = registry.scalar(name).map(Entry::Scalar).into_iter().chain(registry.aggregate(name).map(Entry::Aggregate));
        for entry in entries {
            listing.push(entry.row(name));
        }
    }
    args.output.listing(&listing, context)
}

impl Entry {
    fn row(&self, name: &str) -> Vec<Value> {
        let (kind, params, variadic, returns, doc, refused) = match self {
            Entry::Scalar(f) => (
                "scalar",
                f.params,
                f.variadic,
                f.returns,
                f.doc,
                match f.imp {
                    ScalarImpl::Unsupported(why) => Some(why),
                    _ => None,
                },
            ),
            Entry::Aggregate(f) => (
                "aggregate",
                f.params,
                f.variadic,
                f.returns,
                f.doc,
                match f.imp {
                    AggregateImpl::Unsupported(why) => Some(why),
                    _ => None,
                },
            ),
        };
        let own = match self {
            Entry::Scalar(f) => f.name,
            Entry::Aggregate(f) => f.name,
        };
        let mut about = doc.to_owned();
        if own != name {
            about.push_str(&format!(" The same as {own}."));
        }
        if let Some(why) = refused.filter(|why| !why.is_empty()) {
            about.push_str(&format!(" Not supported: {why}."));
        }
        vec![text(name), text(kind), text(call(name, params, variadic, returns)), Value::Bool(refused.is_none()), text(about)]
    }
}

/// `name(a: string, [b: long], …) -> type`.
fn call(name: &str, params: &[Param], variadic: bool, returns: Returns) -> String {
    let mut list: Vec<String> = params
        .iter()
        .map(|p| {
            let param = format!("{}: {}", p.name, kind_name(p.kind));
            if p.optional { format!("[{param}]") } else { param }
        })
        .collect();
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

fn kind_name(kind: Kind) -> String {
    match kind {
        Kind::Any => "any".to_owned(),
        Kind::String => "string".to_owned(),
        Kind::StringOrDynamic => "string or dynamic".to_owned(),
        Kind::Bool => "bool".to_owned(),
        Kind::Integer => "int or long".to_owned(),
        Kind::Number => "number".to_owned(),
        Kind::NumberOrDynamic => "number or dynamic".to_owned(),
        Kind::Summable => "number, datetime or timespan".to_owned(),
        Kind::Orderable => "anything with an order".to_owned(),
        Kind::DateTime => "datetime".to_owned(),
        Kind::TimeSpan => "timespan".to_owned(),
        Kind::DateTimeOrTimeSpan => "datetime or timespan".to_owned(),
        Kind::Dynamic => "dynamic".to_owned(),
        Kind::Guid => "guid".to_owned(),
        Kind::TypeLiteral => "typeof(type)".to_owned(),
        Kind::Same => "same type".to_owned(),
        Kind::OneOf(types) => types.iter().map(|t| t.name()).collect::<Vec<_>>().join(" or "),
    }
}
