//! `doctor`: checks of configuration, services and lake, each with what to do.

use std::sync::Arc;

use url::Url;

use super::Context;
use super::answer::OutputArgs;
use crate::doctor::{Area, Finding, Status, Subject, examine};
use crate::error::{Error, Result};
use crate::output::Format;
use crate::output::listing::{Listing, text};
use kqlake_value::{Type, Value};

/// Check configuration, network, tokens, permissions, subscriptions, lake and disk; each finding says what to do
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kqlake doctor
  kqlake doctor -f json                          for monitors: component, status, detail, whatToDo, daysToExpiry
  kqlake doctor --problems                       only what is not well
  kqlake doctor --webhook https://hooks.example.com/kqlake/calls
Nothing is changed. Exit status: 0 all is well (warnings and what was skipped included), 2 something in the configuration,
a secret or a permission failed, 4 a service, or the way to it, 6 the lake or its disk; of several the last of these.")]
pub(super) struct Args {
    /// Post the validation request of Graph to a receiver of notifications [without URL: the configured one]
    #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = "")]
    webhook: Option<String>,
    /// Show only what is not well
    #[arg(long)]
    problems: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// # Errors
/// Something failed, or the findings cannot be written.
pub(super) async fn run(args: &Args, context: &Context) -> Result<()> {
    args.output.check(context)?;
    let lake = context.lake();
    let subject = Subject {
        config: &context.config,
        problems: &context.problems,
        lake: &lake,
        clock: Arc::clone(&context.clock),
        webhook: args.webhook.as_deref().map(|url| webhook(url, context)).transpose()?,
    };
    let findings = examine(&subject).await;
    let shown = |finding: &&Finding| !args.problems || matches!(finding.status, Status::Warning | Status::Failed);
    match args.output.format() {
        Format::Table => {
            let drawn: Vec<String> = findings.iter().filter(shown).map(drawn).collect();
            args.output.text(&drawn.concat(), context)?;
        }
        _ => args.output.listing(&listing(findings.iter().filter(shown)), context)?,
    }
    outcome(&findings)
}

fn webhook(given: &str, context: &Context) -> Result<Url> {
    if given.is_empty() {
        let configured = context.config.tenants.iter().find_map(|tenant| tenant.calls.notification_url.clone());
        return configured.ok_or_else(|| {
            Error::usage("no tenant has a notification_url in its table calls").hint("name the receiver: --webhook URL")
        });
    }
    Url::parse(given).map_err(|err| Error::usage(format!("--webhook {given}: {err}")).hint("write it as https://host/path"))
}

/// A finding for people: one line, and below it what to do.
fn drawn(finding: &Finding) -> String {
    let mark = match finding.status {
        Status::Ok => "ok     ",
        Status::Skipped => "skipped",
        Status::Warning => "WARNING",
        Status::Failed => "FAILED ",
    };
    let advice = if finding.advice.is_empty() { String::new() } else { format!("          do: {}\n", finding.advice) };
    format!("{mark} {}: {}\n{advice}", finding.component, finding.detail)
}

fn listing<'f>(findings: impl Iterator<Item = &'f Finding>) -> Listing {
    let mut listing = Listing::new([
        ("component", Type::String),
        ("status", Type::String),
        ("detail", Type::String),
        ("whatToDo", Type::String),
        ("daysToExpiry", Type::Long),
    ]);
    for finding in findings {
        listing.push([
            text(&finding.component),
            text(finding.status.name()),
            text(&finding.detail),
            text(&finding.advice),
            finding.days.map_or(Value::Null, Value::Long),
        ]);
    }
    listing
}

/// The exit status tells which part failed: the lake before the configuration, and that before the services.
fn outcome(findings: &[Finding]) -> Result<()> {
    let failed: Vec<&Finding> = findings.iter().filter(|finding| finding.status == Status::Failed).collect();
    let has = |area: Area| failed.iter().any(|finding| finding.area == area);
    let message = format!("{} of {} checks failed; each says what to do", failed.len(), findings.len());
    match failed.is_empty() {
        true => Ok(()),
        false if has(Area::Lake) => Err(Error::Storage { message, hint: None, source: None }),
        false if has(Area::Configuration) => Err(Error::usage(message)),
        false => Err(Error::Source(message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_status_tells_what_failed() {
        let finding = |area, status| Finding {
            component: "x".into(),
            area,
            status,
            detail: String::new(),
            advice: String::new(),
            days: None,
        };
        let status = |findings: &[Finding]| outcome(findings).map_or_else(|err| err.status(), |()| 0);
        let (lake, config, service) = (Area::Lake, Area::Configuration, Area::Service);
        assert_eq!(status(&[finding(lake, Status::Warning), finding(service, Status::Skipped)]), 0);
        assert_eq!(status(&[finding(service, Status::Failed)]), 4);
        assert_eq!(status(&[finding(service, Status::Failed), finding(config, Status::Failed)]), 2);
        assert_eq!(status(&[finding(lake, Status::Failed), finding(config, Status::Failed)]), 6);
    }
}
