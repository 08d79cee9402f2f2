//! Log lines of the library on standard error, and the filter that says which.

use tracing_subscriber::EnvFilter;

use crate::config::variable;
use crate::error::{Error, Result};

/// The crates of the layers below, as filters name them behind `kqlake::`. What each logs has the target `kqlake_` and its name.
const LAYERS: [&str; 6] = ["durable", "import", "kql", "lake", "syntax", "value"];
/// Who says that a pipe's other end is waited for. A command that stands still says why, whatever the filter.
const PIPES: &str = "kqlake_durable::pipe";

/// Writes log lines to standard error from now on; `KQLAKE_LOG` takes a filter as `tracing` reads it.
///
/// # Errors
/// The filter cannot be read.
pub(super) fn to_stderr(quiet: bool, verbose: u8) -> Result<()> {
    let filter = filter(quiet, verbose, variable("KQLAKE_LOG")?.as_deref())?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(crate::output::terminal::shows_colors())
        .without_time()
        .with_target(false)
        .finish();
    // A second initialisation in one process (tests) keeps the first.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}

fn filter(quiet: bool, verbose: u8, own: Option<&str>) -> Result<EnvFilter> {
    // A target stands for all that begin with it: `kqlake` for every crate of ours.
    let level = match (quiet, verbose) {
        // What an import logs is said by the command itself, in fewer words, but for what it finds when it is done.
        (true, _) => "off,kqlake=error,kqlake_import=off",
        (false, 0) => "off,kqlake=warn,kqlake_import=off,kqlake_import::upkeep=warn",
        (false, 1) => "error,kqlake=info",
        (false, 2) => "warn,kqlake=debug",
        (false, _) => "info,kqlake=trace",
    };
    let mut directives = own.map_or_else(|| level.to_owned(), with_targets_of_crates);
    if !quiet {
        directives = format!("{directives},{PIPES}=warn");
    }
    EnvFilter::try_new(directives).map_err(|err| {
        let text = own.unwrap_or(level);
        Error::usage(format!("KQLAKE_LOG is `{text}`, which is no filter: {err}")).hint("write it as `kqlake=debug`")
    })
}

/// A filter whose `kqlake::lake` and the like name the crates' targets.
fn with_targets_of_crates(filter: &str) -> String {
    let renamed = filter.split(',').map(|directive| {
        let Some(rest) = directive.strip_prefix("kqlake::") else { return directive.to_owned() };
        let ends = |behind: &str| behind.is_empty() || behind.starts_with("::") || behind.starts_with(['=', '[']);
        let names_layer = LAYERS.iter().any(|layer| rest.strip_prefix(layer).is_some_and(ends));
        if names_layer { format!("kqlake_{rest}") } else { directive.to_owned() }
    });
    renamed.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use std::any::{type_name, type_name_of_val};

    use tracing::{Level, enabled};

    use super::*;

    #[test]
    fn the_targets_that_filters_name_exist() {
        let types = [
            type_name_of_val(&kqlake_durable::pipe::is_pipe),
            type_name::<kqlake_import::Section>(),
            type_name::<kqlake_kql::PlanError>(),
            type_name::<kqlake_lake::Lake>(),
            type_name::<kqlake_syntax::diagnostics::Diagnostic>(),
            type_name::<kqlake_value::clock::SystemClock>(),
        ];
        for (layer, found) in LAYERS.iter().zip(types) {
            assert!(found.starts_with(&format!("kqlake_{layer}::")), "{layer}: {found}");
        }
        assert!(types[0].starts_with(&format!("{PIPES}::")));
        assert!(type_name::<Error>().starts_with("kqlake::"));
    }

    /// Which lines a filter lets through: of this crate, of an import, of the lake, and of a pipe that is waited for.
    fn shown(quiet: bool, verbose: u8, own: Option<&str>) -> [bool; 4] {
        let subscriber = tracing_subscriber::fmt().with_env_filter(filter(quiet, verbose, own).unwrap()).finish();
        tracing::subscriber::with_default(subscriber, || {
            [
                enabled!(target: "kqlake::engine", Level::WARN),
                enabled!(target: "kqlake_import::runner", Level::WARN),
                enabled!(target: "kqlake_lake::compact", Level::DEBUG),
                enabled!(target: "kqlake_durable::pipe", Level::WARN),
            ]
        })
    }

    #[test]
    fn filters_reach_every_crate() {
        assert_eq!(shown(true, 0, None), [false; 4]);
        assert_eq!(shown(false, 0, None), [true, false, false, true]);
        assert_eq!(shown(false, 1, None), [true, true, false, true]);
        assert_eq!(shown(false, 2, None), [true; 4]);
        assert_eq!(shown(false, 0, Some("kqlake=debug")), [true; 4]);
        assert_eq!(shown(false, 0, Some("kqlake::lake=debug")), [false, false, true, true]);
        assert_eq!(shown(false, 0, Some("off,kqlake::import::runner=info,kqlake::engine=warn")), [true, true, false, true]);
        for silent in ["off", "", "kqlake=error", "kqlake::durable=off"] {
            assert_eq!(shown(false, 0, Some(silent)), [false, false, false, true], "{silent}");
        }
        assert_eq!(shown(true, 0, Some("kqlake=error")), [false; 4]);
    }

    #[test]
    fn only_whole_names_of_crates_are_translated() {
        let filter = "kqlake::lake=debug,kqlake::kql[span]=info,kqlake::import,kqlake::value::json=off,warn";
        let expected = "kqlake_lake=debug,kqlake_kql[span]=info,kqlake_import,kqlake_value::json=off,warn";
        assert_eq!(with_targets_of_crates(filter), expected);
        for same in ["kqlake::lakes=debug", "kqlake::engine=off", "kqlake=debug", "other::kqlake::lake=info", ""] {
            assert_eq!(with_targets_of_crates(same), same);
        }
    }
}
