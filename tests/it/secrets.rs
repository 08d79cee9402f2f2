//! Secrets appear nowhere: canaries stand in every place that a secret can come from, and everything that is written is searched.

use std::path::{Path, PathBuf};

use kqlake_simulate::SimulatorOptions;

use crate::simulated::Simulated;
use crate::support::Run;

/// Texts that nothing may hold. Every token of the simulated tenant begins with the last one: a header in base64.
struct Canaries(Vec<String>);

impl Canaries {
    #[track_caller]
    fn clear(&self, place: &str, bytes: &[u8]) {
        for canary in &self.0 {
            let found = bytes.windows(canary.len()).position(|window| window == canary.as_bytes());
            let around =
                found.map(|at| String::from_utf8_lossy(&bytes[at.saturating_sub(80)..(at + 20).min(bytes.len())]).into_owned());
            assert!(found.is_none(), "{place} holds {canary}: …{}", around.unwrap_or_default());
        }
    }

    #[track_caller]
    fn clear_run(&self, run: Run) -> Run {
        self.clear(&format!("kqlake {}, standard output", run.args), run.out.as_bytes());
        self.clear(&format!("kqlake {}, standard error", run.args), run.err.as_bytes());
        run
    }

    #[track_caller]
    fn clear_folder(&self, folder: &Path, spared: &[PathBuf]) {
        for path in walk(folder).iter().filter(|path| !spared.contains(path)) {
            self.clear(&path.display().to_string(), &std::fs::read(path).unwrap());
        }
    }
}

/// All files below a folder.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[cfg(unix)]
fn private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[cfg(not(unix))]
fn private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

const SECTIONS: (&str, &str) =
    ("KQLAKE_IMPORT_JOB_SETTINGS", "GraphUsersMetadata=True;ActivityLog=True;WebTraffic=True;Calls=True");

#[test]
fn no_secret_is_in_what_is_said_or_written() {
    let simulated = Simulated::start(SimulatorOptions { scale: 0.01, ..SimulatorOptions::default() });
    let dir = simulated.dir();
    let secret = simulated.simulator().secret().to_owned();
    let canaries = Canaries(
        [
            secret.as_str(),
            simulated.simulator().queue_key(),
            "canary-api-key",
            "canary-state",
            "canary-credential",
            "canary-password",
            "canary-key",
            "SharedAccessSignature sr=",
            "eyJ",
        ]
        .map(str::to_owned)
        .to_vec(),
    );
    // The secret as it is needed, a key that no service knows, and the state that notifications carry.
    let toml = simulated.simulator().toml();
    let toml = toml.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    let toml = toml.replace("app_id =", "api_key = { file = \"api-key\" }\napp_id =");
    let more = "\n[tenants.contoso.calls]\nclient_state = { credential = \"state\" }\n\
                notification_url = \"https://hooks.example.com/calls\"\n\
                service_bus = { namespace = \"contoso\", queue = \"graphcalls\", policy = \"RootManageSharedAccessKey\", \
                key = { file = \"queue-key\" } }\n";
    simulated.write("kqlake.toml", &format!("{toml}{more}"));
    private(&dir.join("api-key"), "canary-api-key\n");
    private(&dir.join("queue-key"), simulated.simulator().queue_key());
    simulated.simulator().enqueue("{\"nothing\":\"that is known\"}");
    let credentials = dir.join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    private(&credentials.join("state"), "canary-state");
    let spared = [
        dir.join("api-key"),
        dir.join("queue-key"),
        dir.join("app.pfx"),
        credentials.join("state"),
        dir.join("secret"),
        dir.join("key.pem"),
    ];
    let variables = [SECTIONS, ("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap())];

    for args in [
        ["-vv", "doctor", "-f", "json"].as_slice(),
        &["-vv", "import", "--dry-run"],
        &["-vv", "nightly"],
        &["-vv", "ledger", "--max-rows", "all"],
        &["-vv", "export", "traces", "customEvents", "AuditRecords", "ImportLedger", "Users", "--to", "exported"],
    ] {
        let run = canaries.clear_run(simulated.run_with(args, &variables));
        assert!(!run.err.contains("panicked") && run.status != 70, "{}: {}", run.args, run.err);
    }
    canaries.clear("the manifest", serde_json::to_string(&simulated.simulator().manifest()).unwrap().as_bytes());
    let exported: Vec<_> =
        walk(&dir.join("exported")).into_iter().filter(|path| path.extension().is_some_and(|e| e == "csv")).collect();
    assert!(exported.len() >= 4, "little was exported: the test would show little: {exported:?}");
    assert!(dir.join("data/lake/Users").is_dir(), "nothing was imported: the test would show nothing");
    // Rows lie compressed in the lake: as text they are in the exports.
    canaries.clear_folder(dir, &spared);

    // The same where things go wrong: a secret that no service takes, from each kind of place.
    let wrong = [SECTIONS, (kqlake_simulate::SECRET_VARIABLE, "canary-credential")];
    let file = toml.replace("client_secret = { env = \"KQLAKE_SIMULATED_SECRET\" }", "client_secret = { file = \"secret\" }");
    let key = "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5LWtleQ==\ncanary-key\n-----END PRIVATE KEY-----\n";
    let certificate = toml.replace(
        "client_secret = { env = \"KQLAKE_SIMULATED_SECRET\" }",
        "certificate = { file = \"key.pem\", password = { env = \"PASSWORD\" } }",
    );
    private(&dir.join("secret"), "canary-credential\n");
    private(&dir.join("key.pem"), key);
    let pfx = certificate.replace("key.pem", "app.pfx");
    private(&dir.join("app.pfx"), "0\u{82}canary-key");
    // A key of a queue that is not its own.
    private(&dir.join("queue-key"), "canary-key");
    for text in [&toml, &file, &certificate, &pfx, &format!("{toml}{more}")] {
        simulated.write("kqlake.toml", text);
        for args in [["-vv", "doctor"].as_slice(), &["-vv", "import"]] {
            let more = [("PASSWORD", "canary-password"), variables[1]];
            let variables = [wrong.as_slice(), &more].concat();
            let run = canaries.clear_run(simulated.run_with(args, &variables));
            assert!(run.status != 0 && run.status != 70 && !run.err.contains("panicked"), "{}: {}", run.args, run.err);
        }
    }
    canaries.clear_folder(dir, &spared);
}
