//! The agent of Azure Arc on this machine: where it is, and where it writes its keys.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where the agent answers unless the environment says otherwise.
pub(super) const ENDPOINT: &str = "http://localhost:40342/metadata/identity/oauth2/token";
/// The agent's program.
const PROGRAM: &str = "/opt/azcmagent/bin/himds";

/// True on a machine that has the agent: services do not get its variables of the environment.
pub(super) fn is_here() -> bool {
    Path::new(PROGRAM).exists()
}

/// The folder that the agent writes its keys to.
pub(super) fn keys(env: &dyn Fn(&str) -> Option<OsString>) -> PathBuf {
    match env("ProgramData") {
        Some(folder) if cfg!(windows) => Path::new(&folder).join("AzureConnectedMachineAgent").join("Tokens"),
        _ => PathBuf::from("/var/opt/azcmagent/tokens"),
    }
}
