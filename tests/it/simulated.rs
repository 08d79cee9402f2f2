//! A simulated tenant for tests of the program: it serves in this process, and its configuration lies in a folder of its own.

use std::path::Path;

use kqlake_simulate::{Options, SECRET_VARIABLE, Simulator};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::{Run, kqlake};

/// A running tenant.
pub struct Simulated {
    dir: TempDir,
    simulator: Simulator,
    _runtime: Runtime,
}

impl Simulated {
    /// Starts a tenant and writes `kqlake.toml` for it.
    pub fn start(options: Options) -> Simulated {
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

    /// Runs the program with the secret in its environment and with other variables.
    pub fn run_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Run {
        let mut command = kqlake(args);
        command.current_dir(self.dir()).env(SECRET_VARIABLE, self.simulator.secret()).envs(variables.iter().copied());
        Run::of(command.output().expect("the program starts"), args)
    }

    /// Runs the program with the secret in its environment.
    pub fn run(&self, args: &[&str]) -> Run {
        self.run_with(args, &[])
    }
}
