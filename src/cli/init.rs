//! `init`: writes a configuration file with its explanations, after asking what it must know.

mod answers;
mod template;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use super::Context;
use crate::config;
use crate::error::{Error, Result};
use kqlake_durable::Draft;
use kqlake_remote::cloud::Cloud;

use answers::{Answers, Keeping, ask};

/// Write a commented kqlake.toml; asks on a terminal, takes flags elsewhere
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kqlake init                                    asks, and writes kqlake.toml here
  kqlake init --tenant contoso --tenant-id 11111111-2222-3333-4444-555555555555 \\
    --client-id aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee --client-secret env:CONTOSO_SECRET --org-url https://contoso.sharepoint.com
  kqlake --config /etc/kqlake/kqlake.toml init --force
Without a tenant the file shows how to write one. A secret is never part of the file: it says where the secret is. To try
everything without a tenant, see `kqlake simulate`.")]
pub(super) struct Args {
    /// What the tenant is called in names of units and messages
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Directory (tenant) ID
    #[arg(long, value_name = "GUID")]
    tenant_id: Option<String>,
    /// Application (client) ID
    #[arg(long, value_name = "GUID")]
    client_id: Option<String>,
    /// Cloud: global, gcc, gcc-high, dod or china
    #[arg(long, value_name = "CLOUD")]
    cloud: Option<Cloud>,
    /// Where the secret is: env:NAME, file:PATH, credential:NAME (of systemd), certificate:PATH (PEM), or managed-identity
    #[arg(long, value_name = "WHERE")]
    client_secret: Option<Keeping>,
    /// SharePoint addresses whose audit records are taken; `*` takes all
    #[arg(long, value_name = "URL", num_args = 1..)]
    org_url: Vec<String>,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

/// # Errors
/// There is a file already, what was said cannot be configured, or the file cannot be written.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let path = context.config.file.clone().unwrap_or_else(|| PathBuf::from(config::FILE));
    let exists = path.symlink_metadata().is_ok();
    if exists && !args.force {
        let error = Error::usage(format!("{} is there already", path.display()));
        return Err(error.hint("--force replaces it; `kqlake --config OTHER init` writes another one"));
    }
    let given = Answers {
        name: args.tenant.clone(),
        id: args.tenant_id.clone(),
        client_id: args.client_id.clone(),
        cloud: args.cloud,
        keeping: args.client_secret.clone(),
        org_urls: args.org_url.clone(),
    };
    let asks = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let answers = if asks { ask(given, &mut std::io::stdin().lock(), &mut std::io::stderr())? } else { given };
    let tenant = answers.complete()?;
    let text = template::text(tenant.as_ref());
    if let Some(problem) = config::mistakes(&path, &text).into_iter().next() {
        return Err(Error::usage(problem.message).hint(problem.solution));
    }
    write(&path, &text, args.force)?;
    context.tell(format_args!("wrote {}", path.display()));
    match &tenant {
        Some(tenant) => {
            context.tell(format_args!(
                "  tenant {} ({}), cloud {}; {}",
                tenant.name,
                tenant.id,
                tenant.cloud,
                tenant.keeping.description()
            ));
            if tenant.org_urls.is_empty() {
                context.tell("  audit records need org_urls in [tenants.….audit]: SharePoint addresses, or \"*\" for all");
            }
            context.tell(
                "Look next: `kqlake doctor` (is everything in place?), `kqlake import --dry-run` (what would be fetched), \
                 `kqlake nightly`",
            );
        }
        None => {
            context.tell("  no tenant yet: the file shows in comments how to write one");
            context
                .tell("Look next: edit the file, then `kqlake doctor`; `kqlake simulate` gives a tenant to try everything with");
        }
    }
    Ok(())
}

/// Writes the file so that it appears complete or not at all.
fn write(path: &Path, text: &str, replace: bool) -> Result<()> {
    let failed = |err| Error::io("write", path, err);
    let draft = Draft::create(path).map_err(failed)?;
    draft.file().write_all(text.as_bytes()).map_err(failed)?;
    if replace {
        return draft.publish().map_err(failed);
    }
    // Somebody else may have written one in the meantime.
    draft.publish_new().map_err(failed)
}
