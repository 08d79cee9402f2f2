//! `simulate`: a tenant to try and to test against.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::Context;
use crate::error::{Error, Result};
use kqlake_durable::Output;
use kqlake_simulate::{ClockSetting, FaultPlan, Manifest, Simulator, SimulatorOptions};

/// Run a simulated tenant with all services, on this machine alone, until it is stopped; prints a configuration for it
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kqlake simulate > kqlake.toml &                 then: export the variable that it names, and kqlake nightly
  kqlake simulate --clock 2026-01-12T00:00:00Z --seed 7 --scale 20
  kqlake simulate --faults all --manifest truth.json")]
pub(super) struct Args {
    /// Port on the loopback address [default: a free one]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// Another seed gives another tenant
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How much there is: 1 is some thousand records of each kind in the last week
    #[arg(long, default_value_t = 1.0, value_parser = scale)]
    scale: f64,
    /// The tenant's time: real, an instant that stands still, or an instant and a rate as 2026-01-12T00:00:00Zx60
    #[arg(long, default_value = "real", value_name = "real|DATETIME[xRATE]")]
    clock: ClockSetting,
    /// What goes wrong: a fault plan, or `all` for everything that can, mixed
    #[arg(long, value_name = "FILE|all")]
    faults: Option<PathBuf>,
    /// Write what was served, and what is true, when it stops
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// PEM file with the certificate of the registered application, which then signs in without a secret
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
}

fn scale(text: &str) -> Result<f64, String> {
    let scale: f64 = text.parse().map_err(|_| "a number such as 0.1, 1 or 100 was expected".to_owned())?;
    if (0.0..=1e6).contains(&scale) { Ok(scale) } else { Err("from 0 to 1000000".to_owned()) }
}

/// # Errors
/// When a file cannot be read, or the port cannot be listened on.
pub(super) async fn run(args: &Args, context: &Context) -> Result<()> {
    let plan = match args.faults.as_deref() {
        None => FaultPlan::default(),
        Some(file) if file == Path::new("all") => FaultPlan::all(),
        Some(file) => {
            let wrong = |why: &str| Error::usage(format!("cannot read the fault plan {}: {why}", file.display()));
            FaultPlan::read(&super::input::file(file)?.text).map_err(|err| wrong(&err.to_string()))?
        }
    };
    let options = SimulatorOptions {
        port: args.port,
        seed: args.seed,
        scale: args.scale,
        clock: args.clock,
        settings: plan.settings().clone(),
        faults: plan,
        certificate: args.certificate.clone(),
    };
    let simulator = Simulator::start(options).await.map_err(|err| Error::usage(err.to_string()))?;
    let toml = simulator.toml();
    let mut out = std::io::stdout();
    out.write_all(toml.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|err| Error::io("write", "standard output".as_ref(), err))?;
    context.say(format_args!("simulated tenant at http://{}; Ctrl-C ends it", simulator.address()));
    context.stop.asked().await;
    let manifest = simulator.stop().await;
    args.manifest.as_deref().map_or(Ok(()), |file| write(&manifest, file))
}

fn write(manifest: &Manifest, file: &Path) -> Result<()> {
    let failed = |err| Error::io("write", file, err);
    let output = Output::open(file).map_err(failed)?;
    let mut writer = std::io::BufWriter::new(output.writer().map_err(failed)?);
    serde_json::to_writer_pretty(&mut writer, manifest).map_err(|err| failed(err.into()))?;
    writer.flush().map_err(failed)?;
    drop(writer);
    output.finish().map_err(failed)
}
