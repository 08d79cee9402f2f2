//! A simulated tenant for tests of the program: it serves in this process, and its configuration lies in a folder of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use kqlake_simulate::{SECRET_VARIABLE, Simulator, SimulatorOptions, Table};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::{Run, csv_rows, kqlake};

/// The column that decides between states of a row, where the manifest says which one wins.
const STATES: [(&str, &str); 4] =
    [("CallRecords", "version"), ("CallSessions", "version"), ("CallSegments", "version"), ("MessageTrace", "status")];

/// A running tenant.
pub struct Simulated {
    dir: TempDir,
    simulator: Simulator,
    _runtime: Runtime,
}

impl Simulated {
    /// Starts a tenant and writes `kqlake.toml` for it.
    pub fn start(options: SimulatorOptions) -> Simulated {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let simulator = runtime.block_on(Simulator::start(options)).expect("the tenant serves");
        let dir = tempfile::tempdir().expect("a temporary folder");
        let simulated = Simulated { dir, simulator, _runtime: runtime };
        simulated.write("kqlake.toml", &simulated.simulator.toml());
        simulated
    }

    /// The folder that commands run in.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The tenant.
    pub fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    /// Writes a file into the folder.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir().join(name), text).expect("a file");
    }

    /// The program in the folder, with the secret in its environment and with other variables.
    pub fn command(&self, args: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = kqlake(args);
        command.current_dir(self.dir()).env(SECRET_VARIABLE, self.simulator.secret()).envs(variables.iter().copied());
        command
    }

    /// Runs the program with the secret in its environment and with other variables.
    pub fn run_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Run {
        Run::of(self.command(args, variables).output().expect("the program starts"), args)
    }

    /// Fails unless the lake has what the manifest calls true, each row once and in its last state. Usage reports, whose rows have
    /// other names in the manifest, are not looked at.
    #[track_caller]
    pub fn has_the_truth(&self) {
        let tables = self.simulator.manifest().tables;
        let mut rows = 0;
        for table in tables.iter().filter(|table| !table.key.iter().any(|key| key == "reportrefreshdate")) {
            rows += table.rows.len();
            // Telemetry is two tables of the manifest, and one of the lake.
            let is_alone = tables.iter().filter(|other| other.table == table.table).count() == 1;
            let wrong = self.differences(table, is_alone);
            assert!(wrong.is_empty(), "{}: {wrong:?}", table.table);
        }
        assert!(rows > 5, "{rows}");
    }

    fn differences(&self, truth: &Table, is_alone: bool) -> Vec<String> {
        let text = |key: &String| match key.ends_with("Date") {
            true => format!("format_datetime({key}, 'yyyy-MM-dd')"),
            false => format!("tostring({key})"),
        };
        let keys: Vec<String> = truth.key.iter().map(text).collect();
        let state = STATES.iter().find(|(table, _)| *table == truth.table).map_or("''", |(_, column)| column);
        let query = format!("{} | project strcat_delim('|', '', {}), tostring({state})", truth.table, keys.join(", "));
        if truth.rows.is_empty() {
            return Vec::new();
        }
        let told = self.run(&["query", &query, "-f", "csv", "--max-rows", "0"]).exits(0).out;
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in csv_rows(&told).into_iter().skip(1) {
            found.entry(row[0].trim_start_matches('|').to_owned()).or_default().push(row[1].clone());
        }
        let mut wrong = Vec::new();
        for (key, state) in &truth.rows {
            match (found.get(key).map(Vec::as_slice), state) {
                (None, _) => wrong.push(format!("{key} is lost")),
                (Some([_, _, ..]), _) if is_alone => wrong.push(format!("{key} is there twice")),
                (Some([own, ..]), Some(last)) if STATES.iter().any(|(table, _)| *table == truth.table) => {
                    wrong.extend((!own.eq_ignore_ascii_case(last)).then(|| format!("{key} is {own} and not {last}")));
                }
                _ => {}
            }
        }
        let is_known = |key: &str| truth.rows.contains_key(key) || truth.optional.iter().any(|other| other == key);
        wrong.extend(found.keys().filter(|key| is_alone && !is_known(key)).map(|key| format!("{key} was never served")));
        wrong
    }

    /// Runs the program with the secret in its environment.
    pub fn run(&self, args: &[&str]) -> Run {
        self.run_with(args, &[])
    }
}
