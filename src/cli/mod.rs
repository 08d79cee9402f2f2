//! The command line: arguments into one call of the library, its answer into a format, its errors into an exit status.

mod answer;
mod check;
mod compact;
mod completions;
mod doctor;
mod export;
mod files;
mod functions;
mod generate;
mod import;
mod init;
mod input;
mod ledger;
mod log;
mod nightly;
mod progress;
mod quarantine;
mod queries;
mod query;
mod report;
mod results;
mod run;
mod sections;
mod signals;
mod simulate;
mod sql;
mod tables;
mod upkeep;
mod watch;
mod webhook;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args as _, FromArgMatches as _, Parser, Subcommand};

use crate::allocator;
use crate::config::{self, Config, Flags, Problem, variable, variable_as_it_is};
use crate::engine::catalog::LakeCatalog;
use crate::engine::{self, Engine};
use crate::error::{Error, Result, status};
use kqlake_import::StopSignal;
use kqlake_kql::catalog::Catalog as _;
use kqlake_lake::Lake;
use kqlake_value::clock::{Clock, ClockSetting, SystemClock};
use kqlake_value::escape::escaped;

/// Stack of the worker threads that execute plans.
const WORKER_STACK: usize = 8 << 20;

const EXAMPLES: &str = "\
Examples:
  kqlake nightly                                    import, run the saved queries, export, compact
  kqlake import --from ~/Downloads/traces.zip       land files of any known shape
  kqlake query 'traces | summarize count() by bin(timestamp, 1d)'
  kqlake query @slow.kql -f csv -o slow.csv
  kqlake run company-open-latency-by-extension --param since=2026-01-01
  kqlake sql 'SELECT count(*) FROM traces'

Exit status: 0 done, 2 wrong command line or configuration, 3 wrong query, 4 a source could not be read,
5 some parts finished and some did not, 6 the lake or its files could not be read or written, 70 a defect of kqlake.";

/// Telemetry of Microsoft 365 and Business Central in a Delta lake of Parquet files; KQL and SQL over it, on one machine.
#[derive(Debug, Parser)]
#[command(name = "kqlake", version, after_help = EXAMPLES, propagate_version = false)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Configuration file [default: kqlake.toml here, when there is one]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of the lake [default: data/lake]; the first import makes it
    #[arg(long, global = true, value_name = "DIR")]
    lake: Option<PathBuf>,
    /// Say only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more (-vv: everything)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Memory that the engine may hold, as 512MB or 2GB [default: 2GB]
    #[arg(long, global = true, value_name = "SIZE")]
    memory_limit: Option<String>,
    /// Longest time a query may run, as 30s or 10m, 0 for no limit [default: 10m]
    #[arg(long, global = true, value_name = "TIME")]
    timeout: Option<String>,
    /// Threads to use [default: one for each processor]
    #[arg(long, global = true, value_name = "N")]
    threads: Option<usize>,
    /// The instant that `now()` gives, for runs that must be repeatable
    #[arg(long, global = true, value_name = "DATETIME", hide = true)]
    now: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Nightly(nightly::Args),
    Watch(watch::Args),
    Webhook(webhook::Args),
    Import(import::Args),
    Query(query::Args),
    Sql(sql::Args),
    Run(run::Args),
    Queries(queries::Args),
    Check(check::Args),
    Tables(tables::Args),
    Export(export::Args),
    Ledger(ledger::Args),
    Quarantine(quarantine::Args),
    Doctor(doctor::Args),
    Init(init::Args),
    Compact(compact::Args),
    Functions(functions::Args),
    Simulate(simulate::Args),
    Completions(completions::Args),
    #[command(hide = true)]
    Generate(generate::Args),
}

impl Cli {
    /// The command line. Arguments of all commands take longer to set up than a small query does to plan, so those of the commands
    /// that ask are read by themselves; a line that is wrong that way, or asks for help, is read with all of them.
    fn of(args: &[OsString]) -> Result<Cli, clap::Error> {
        let asking = args.iter().skip(1).find_map(|arg| match arg.to_str()? {
            "query" => Some(Cli::with_one_command("query", args, Command::Query)),
            "sql" => Some(Cli::with_one_command("sql", args, Command::Sql)),
            "run" => Some(Cli::with_one_command("run", args, Command::Run)),
            _ => None,
        });
        asking.flatten().map_or_else(|| Cli::try_parse_from(args), Ok)
    }

    /// The command line, where it is right and has the command of this name.
    fn with_one_command<A: clap::Args>(name: &'static str, args: &[OsString], command: fn(A) -> Command) -> Option<Cli> {
        let only = A::augment_args(clap::Command::new(name));
        let program = Global::augment_args(clap::Command::new("kqlake")).subcommand_required(true).subcommand(only);
        let given = program.try_get_matches_from(args).ok()?;
        let (_, of_command) = given.subcommand()?;
        Some(Cli { global: Global::from_arg_matches(&given).ok()?, command: command(A::from_arg_matches(of_command).ok()?) })
    }
}

/// What every command gets.
#[derive(Debug, Clone)]
pub struct Context {
    /// Settings.
    pub config: Config,
    /// What is wrong in the configuration, for commands that are there to correct it; others end where there is something.
    pub problems: Vec<Problem>,
    /// Only errors are said.
    pub quiet: bool,
    /// How much more is said.
    pub verbose: u8,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Is asked by signals; commands that look at it end at their next commit.
    pub stop: StopSignal,
}

impl Context {
    /// The configured lake. Touches nothing.
    pub fn lake(&self) -> Lake {
        Lake::new(&self.config.lake).with_clock(Arc::clone(&self.clock))
    }

    /// The lake, for a command that makes none. One that is not there is said; where somebody named it, that is an error.
    ///
    /// # Errors
    /// When its path can be no lake's, or it is not where it was said to be.
    pub async fn existing_lake(&self) -> Result<Lake> {
        let lake = self.lake();
        lake.check().await?;
        if !lake.root().is_dir() {
            if self.config.lake_is_named {
                return Err(Error::no_lake(lake.root()));
            }
            self.warn_of_no_lake();
        }
        Ok(lake)
    }

    fn warn_of_no_lake(&self) {
        let lake = self.config.lake.display();
        self.say(format_args!("warning: there is no lake at {lake} here yet: its tables are empty (--lake names another one)"));
    }

    /// Its tables, as the binder sees them.
    pub fn catalog(&self) -> LakeCatalog {
        LakeCatalog::new(self.lake()).with_names(self.config.same_lake.clone())
    }

    /// An engine over it.
    pub fn engine(&self) -> Engine {
        Engine::new(self.lake(), engine::EngineOptions::of(&self.config), Arc::clone(&self.clock))
    }

    /// An engine for a query of the user. That there is no lake is an error of a query that reads a table, where somebody named
    /// the lake; else it is said of a text that has the name of a table.
    pub fn engine_for(&self, text: &str) -> Engine {
        if self.config.lake_is_named {
            return self.engine().with_lake_that_must_exist();
        }
        if !self.config.lake.is_dir() {
            let catalog = self.catalog();
            let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
            if words.any(|word| catalog.table(word).is_some()) {
                self.warn_of_no_lake();
            }
        }
        self.engine()
    }

    /// Configured values of saved queries' parameters. The importers' settings are known under the name that the saved
    /// query of missing sections gives them.
    pub fn configured_params(&self) -> BTreeMap<String, String> {
        let settings = self.config.import_job_settings.clone().map(|value| ("settings".to_owned(), value));
        settings.into_iter().chain(self.config.params.clone()).collect()
    }

    /// One line on standard error, unless `-q` is given. A closed standard error is no error.
    pub fn say(&self, line: impl std::fmt::Display) {
        if !self.quiet {
            report::line(line);
        }
    }
}

impl Context {
    /// One line of the command's own summary on standard output, unless `-q` is given. Nobody reading it is no reason to
    /// stop the work that it tells of.
    pub fn tell(&self, line: impl std::fmt::Display) {
        if !self.quiet {
            drop(writeln!(std::io::stdout(), "{}", escaped(&line.to_string())));
        }
    }
}

/// Runs the command that the process's arguments say.
pub fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    report::on_panic();
    allocator::one_heap_of_c();
    let command = std::thread::Builder::new().name("kqlake".to_owned()).stack_size(engine::STACK).spawn(move || {
        let status = run(args);
        allocator::give_nothing_back();
        // From here, since all that waits for this thread is the end of the process.
        std::process::exit(i32::from(status))
    });
    let status = match command.map(std::thread::JoinHandle::<()>::join) {
        // The panic's own message has been written where it happened.
        Ok(_) => status::DEFECT,
        Err(err) => report::error(&Error::Defect(format!("cannot start a thread: {err}"))),
    };
    ExitCode::from(status)
}

fn run(args: Vec<OsString>) -> u8 {
    let cli = match Cli::of(&args) {
        Ok(cli) => cli,
        Err(err) => return report::command_line(&err, &args),
    };
    match execute(cli) {
        Ok(()) => status::DONE,
        Err(err) => report::error(&err),
    }
}

fn execute(cli: Cli) -> Result<()> {
    // First of all: reading the configuration may have something to say.
    log::to_stderr(cli.global.quiet, cli.global.verbose)?;
    // What is wrong in the configuration is what these commands are for.
    let tolerates_bad_config = matches!(cli.command, Command::Doctor(_) | Command::Init(_) | Command::Simulate(_));
    let mut context = context(&cli.global, tolerates_bad_config)?;
    // Asked once: the system's answer is gathered from several files.
    let threads = || std::thread::available_parallelism().map_or(2, usize::from);
    let threads = *context.config.threads.get_or_insert_with(threads);
    let is_live = matches!(cli.command, Command::Nightly(_) | Command::Import(_) | Command::Watch(_) | Command::Webhook(_));
    if is_live && !context.config.tenants.is_empty() {
        allocator::give_back_early();
    }
    if matches!(cli.command, Command::Query(_) | Command::Sql(_) | Command::Run(_)) {
        allocator::for_queries(context.config.memory_limit);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_stack_size(WORKER_STACK)
        .enable_all()
        .build()
        .map_err(|err| Error::Defect(format!("cannot start the runtime: {err}")))?;
    // Imports end at their next commit when they are asked to, a simulated tenant when its manifest is written; all else ends where
    // it is.
    let ends_itself = matches!(
        cli.command,
        Command::Nightly(_) | Command::Import(_) | Command::Watch(_) | Command::Webhook(_) | Command::Simulate(_)
    );
    let commits = ends_itself && !matches!(cli.command, Command::Simulate(_));
    let result = runtime.block_on(Box::pin(async {
        let signal = signals::watch(ends_itself);
        let mut work = std::pin::pin!(dispatch(cli.command, &context));
        let status = tokio::select! {
            result = &mut work => return result,
            // Dropping the command's future stops its work and removes its half-written files.
            Ok(status) = signal => status,
        };
        if !ends_itself {
            return Err(Error::Interrupted(status));
        }
        context.stop.ask();
        if commits {
            context.say("asked to end: ending at the next commit");
        }
        match work.await {
            Err(Error::Incomplete(_) | Error::Source(_)) => Err(Error::Interrupted(status)),
            result => result,
        }
    }));
    // Work that blocks (a read that hangs, a long sort) must not hold the process after its answer or after Ctrl-C.
    report::over();
    runtime.shutdown_background();
    if matches!(result, Err(Error::Interrupted(_))) {
        return result;
    }
    std::io::stdout().flush().map_err(|err| Error::io("write", "standard output".as_ref(), err)).and(result)
}

async fn dispatch(command: Command, context: &Context) -> Result<()> {
    match command {
        Command::Nightly(args) => nightly::run(&args, context).await,
        Command::Watch(args) => watch::run(&args, context).await,
        Command::Webhook(args) => webhook::run(&args, context).await,
        Command::Import(args) => import::run(&args, context).await,
        Command::Query(args) => query::run(&args, context).await,
        Command::Sql(args) => sql::run(&args, context).await,
        Command::Run(args) => run::run(&args, context).await,
        Command::Queries(args) => queries::run(&args, context),
        Command::Check(args) => check::run(&args, context).await,
        Command::Tables(args) => tables::run(&args, context).await,
        Command::Export(args) => export::run(&args, context).await,
        Command::Ledger(args) => ledger::run(&args, context).await,
        Command::Quarantine(args) => quarantine::run(&args, context).await,
        Command::Doctor(args) => doctor::run(&args, context).await,
        Command::Init(args) => init::run(&args, context),
        Command::Compact(args) => compact::run(&args, context).await,
        Command::Functions(args) => functions::run(&args, context),
        Command::Completions(args) => completions::run(&args),
        Command::Generate(args) => generate::run(&args),
        Command::Simulate(args) => simulate::run(&args, context).await,
    }
}

fn context(global: &Global, tolerates_bad_config: bool) -> Result<Context> {
    let flags = Flags {
        config: global.config.clone(),
        lake: global.lake.clone(),
        memory_limit: global.memory_limit.clone(),
        timeout: global.timeout.clone(),
        threads: global.threads,
    };
    config::check_names()?;
    let (config, problems) = match tolerates_bad_config {
        true => Config::survey(&flags, &variable_as_it_is),
        false => (Config::load(&flags, &variable_as_it_is)?, Vec::new()),
    };
    if config.lake.to_str().is_some_and(|text| text.contains("://")) {
        return Err(Error::usage(format!("--lake {}: only local folders are supported so far", config.lake.display())));
    }
    if config.lake.is_file() {
        return Err(Error::usage(format!("--lake {} is a file, a folder was expected", config.lake.display()))
            .hint("name the folder that holds the tables; it may be missing, the first import makes it"));
    }
    let clock: Arc<dyn Clock> = match global.now.clone().or(variable("KQLAKE_NOW")?) {
        None => Arc::new(SystemClock),
        Some(text) => {
            let setting: ClockSetting = text.parse().map_err(|_| {
                Error::usage(format!("--now {text}: an instant such as 2026-03-01T00:00:00Z was expected"))
                    .hint("with a rate, as in 2026-03-01T00:00:00Zx60, time runs from there, as that of a simulated tenant")
            })?;
            setting.clock()
        }
    };
    Ok(Context { config, problems, quiet: global.quiet, verbose: global.verbose, clock, stop: StopSignal::default() })
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn commands_that_ask_are_read_as_with_all_others() {
        let lines = [
            "query T",
            "--lake query query T -f csv",
            "-q --lake l query T --param a=1 --param b=2 --explain --max-rows all",
            "query -vv T --explain=analyze --threads 3 --memory-limit 1GB",
            "query sql",
            "sql query --table a=b.csv -o x.csv",
            "run query --param a=1",
            "--timeout 3s run x -f kusto",
            "query --lake l -- -x",
            // With all others alone.
            "--lake query tables",
            "tables query",
            "check sql",
            "completions bash",
            // Refused, or asked for help.
            "query",
            "query T U",
            "query T -q -v",
            "query T --format nothing",
            "query --help",
            "--help query",
            "-V query T",
            "--lake sql",
            "query T --unknown",
            "help query",
        ];
        for line in lines {
            let args: Vec<std::ffi::OsString> = std::iter::once("kqlake").chain(line.split(' ')).map(Into::into).collect();
            let shown = |cli: Result<super::Cli, clap::Error>| cli.map(|cli| format!("{cli:?}")).map_err(|err| err.to_string());
            assert_eq!(shown(super::Cli::of(&args)), shown(super::Cli::try_parse_from(&args)), "{line}");
        }
    }
}
