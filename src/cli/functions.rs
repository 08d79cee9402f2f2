//! `functions`: the language as far as it runs here, from the registry that the binder uses.

use std::collections::BTreeSet;

use super::Context;
use super::answer::OutputArgs;
use crate::error::{Error, Result};
use crate::output::listing::{Listing, text};
use kqlake_kql::support;
use kqlake_syntax::suggest::nearest;
use kqlake_value::{Type, Value};

/// List the functions, operators, statements and plugins of KQL, or show one
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kqlake functions
  kqlake functions bin
  kqlake functions mv-expand
  kqlake functions -f json")]
pub(super) struct Args {
    /// Name of a function, aggregate, operator, statement or plugin
    name: Option<String>,
    /// Write the support page of the documentation
    #[arg(long, hide = true, conflicts_with = "name")]
    markdown: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// # Errors
/// For an unknown name, or when the output cannot be written.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    if args.markdown {
        let page = support::markdown();
        return std::io::Write::write_all(&mut std::io::stdout(), page.as_bytes())
            .map_err(|err| Error::io("write", "standard output".as_ref(), err));
    }
    let entries = support::features();
    let names: BTreeSet<&str> = entries.iter().flat_map(|e| std::iter::once(e.name).chain(e.aliases.iter().copied())).collect();
    if let Some(name) = &args.name
        && !names.contains(name.as_str())
    {
        let error = Error::usage(format!("there is no function, operator, statement or plugin `{name}`"));
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
    for entry in entries {
        for name in std::iter::once(entry.name).chain(entry.aliases.iter().copied()) {
            if args.name.as_deref().is_some_and(|wanted| wanted != name) {
                continue;
            }
            let mut about = entry.notes();
            if name != entry.name {
                about = format!("The same as {}. {}", entry.name, entry.about);
            }
            listing.push(vec![
                text(name),
                text(entry.category.name()),
                text(entry.syntax.clone()),
                Value::Bool(entry.refused.is_none()),
                text(about),
            ]);
        }
    }
    args.output.listing(&listing, context)
}
