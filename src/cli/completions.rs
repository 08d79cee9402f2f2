//! `completions`: scripts that complete commands and options in a shell.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::Cli;
use crate::error::{Error, Result};

/// Print the completion script of a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kqlake completions bash > ~/.local/share/bash-completion/completions/kqlake
  kqlake completions zsh > ~/.zfunc/_kqlake
  kqlake completions powershell >> $PROFILE")]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

/// # Errors
/// When standard output cannot be written.
pub(super) fn run(args: &Args) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "kqlake", &mut script);
    std::io::Write::write_all(&mut std::io::stdout(), &script).map_err(|err| Error::io("write", "standard output".as_ref(), err))
}
