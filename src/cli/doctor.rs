//! `doctor`: checks of what is configured.

use crate::error::{Error, Result};

/// Check the configuration, and say how to mend what is wrong (comes with a later version)
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// # Errors
/// Always: the checks need the live sections, which this version does not have.
pub(super) fn run(_args: &Args) -> Result<()> {
    Err(Error::usage("doctor comes with a later version, together with the live sections that it checks")
        .hint("`kqlake tables` shows what the lake holds, `kqlake ledger` what was imported and what was not"))
}
