//! Nights and watching against the simulated tenant: what is reported, what is not done twice, and how it ends.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use kqlake::live::lock::{Lock, Tried};
use kqlake_simulate::{SECRET_VARIABLE, Settings, SimulatorOptions};
use serde_json::Value;

use super::simulated::Simulated;
use super::support::{csv_rows, kqlake};

const NOW: &str = "2026-01-12T00:00:00Z";

fn tenant() -> Simulated {
    let settings = Settings { quotas: false, ..Settings::default() };
    Simulated::start(SimulatorOptions {
        scale: 0.01,
        clock: NOW.parse().expect("a clock"),
        settings,
        ..SimulatorOptions::default()
    })
}

fn run(simulated: &Simulated, args: &[&str]) -> super::support::Run {
    simulated.run(&[&["--now", NOW, "--lake", "lake"], args].concat())
}

fn accounts(simulated: &Simulated) -> Vec<Value> {
    serde_json::from_str(&run(simulated, &["ledger", "-f", "json"]).exits(0).out).expect("JSON")
}

fn count(account: &Value, name: &str) -> u64 {
    account[name].as_u64().unwrap_or_else(|| panic!("{name} of {account}"))
}

fn commits(dir: &Path, table: &str) -> usize {
    std::fs::read_dir(dir.join("lake").join(table).join("_delta_log")).map_or(0, Iterator::count)
}

#[test]
fn a_night_accounts_for_every_unit_and_the_next_import_of_audit_records_writes_nothing() {
    let simulated = tenant();
    // Usage reports are many units.
    let settings = "Calls=True;GraphUsersMetadata=True;ActivityLog=True;WebTraffic=True;MessageTrace=True";
    let args = ["--now", NOW, "--lake", "lake", "nightly"];
    let first = simulated.run_with(&args, &[("KQLAKE_IMPORT_JOB_SETTINGS", settings)]);
    assert!(first.status == 0 || first.status == 5, "{}\n{}", first.out, first.err);
    for name in ["Audit events", "Calls import", "Message trace", "User metadata refresh", "Hits import"] {
        assert!(first.out.lines().any(|line| line.starts_with(name) && !line.contains("NOT FINISHED")), "{name}: {}", first.out);
    }
    let accounts = accounts(&simulated);
    assert!(accounts.len() >= 5, "{accounts:?}");
    for account in &accounts {
        let parts = ["committed", "pending", "expired", "failed", "filtered"].map(|name| count(account, name));
        assert_eq!(count(account, "listed"), parts.iter().sum::<u64>(), "{account}");
        assert_eq!((parts[1], parts[3], count(account, "holes")), (0, 0, 0), "{account}");
        assert_eq!(account["ago"], "00:00:00", "{account}");
    }
    let health = "customEvents | where name == 'HealthCheck' and customDimensions.tenant == 'contoso' and customDimensions.status == 'healthy' | count";
    let healthy = csv_rows(&run(&simulated, &["query", health, "-f", "csv"]).exits(0).out);
    assert!(healthy[1][0].parse::<u64>().expect("a number") > 3, "{healthy:?}");
    let beats = csv_rows(
        &run(&simulated, &["query", "customEvents | where name == 'ImporterHeartbeat' | count", "-f", "csv"]).exits(0).out,
    );
    assert_eq!(beats[1], ["1"]);

    let before = (commits(simulated.dir(), "ImportLedger"), commits(simulated.dir(), "AuditRecords"));
    let again = run(&simulated, &["import", "ActivityLog"]).exits(0);
    assert!(again.out.contains(" 0 units ") && again.out.contains(": 0 new, "), "{}", again.out);
    assert_eq!((commits(simulated.dir(), "ImportLedger"), commits(simulated.dir(), "AuditRecords")), before);
}

#[test]
fn a_second_night_leaves_and_says_why() {
    let simulated = tenant();
    let lake = simulated.dir().join("lake");
    let Tried::Taken(lock) = Lock::try_take(&lake, "nightly", "nightly", 0).expect("a lock") else { panic!("nobody has it") };
    run(&simulated, &["nightly"]).exits(4).says("kqlake nightly (process ").says("this one leaves");
    drop(lock);
}

#[test]
fn sections_are_switched_named_and_of_tenants_that_exist() {
    let simulated = tenant();
    let import = |args: &[&str], variables: &[(&str, &str)]| {
        simulated.run_with(&[&["--now", NOW, "--lake", "lake", "import"], args].concat(), variables)
    };
    let settings = [("KQLAKE_IMPORT_JOB_SETTINGS", "GraphUsersMetadata=True;ActivityLog=False")];
    let switched = import(&[], &settings).exits(0);
    assert_eq!(switched.out.lines().count(), 1, "{}", switched.out);
    assert!(switched.out.starts_with("User metadata refresh"), "{}", switched.out);
    // One that is asked for runs whatever the switches say.
    let named = import(&["GraphTeams"], &settings).exits(0);
    assert!(named.out.starts_with("Teams import"), "{}", named.out);
    import(&["--tenant", "contosso"], &[]).exits(2).says("did you mean `contoso`?");
    let broken = simulated.run_with(&["--lake", "lake", "import", "ActivityLog"], &[(SECRET_VARIABLE, "canary-7f3a9")]).exits(4);
    assert!(broken.out.contains("NOT FINISHED"), "{}", broken.out);
    assert!(!broken.err.contains("canary-7f3a9"), "no secret is shown: {}", broken.err);
}

#[cfg(unix)]
#[test]
fn watching_ends_at_a_commit_with_status_0_and_an_import_goes_on_from_there() {
    let simulated = tenant();
    let args = ["--now", NOW, "--lake", "lake", "watch", "ActivityLog", "GraphUsersMetadata", "MessageTrace"];
    let mut child = kqlake(args)
        .current_dir(simulated.dir())
        .env(SECRET_VARIABLE, simulated.simulator().secret())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("standard output")).lines();
    let mut told = Vec::new();
    while !told.iter().any(|line: &String| line.starts_with("Audit events")) {
        told.push(lines.next().unwrap_or_else(|| panic!("it ended: {told:?}")).expect("a line"));
    }
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill");
    assert!(killed.success());
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "{told:?}");
    for account in accounts(&simulated) {
        assert_eq!(count(&account, "failed"), 0, "{account}");
    }
    let again = run(&simulated, &["import", "ActivityLog", "GraphUsersMetadata", "MessageTrace"]).exits(0);
    assert!(again.out.lines().any(|line| line.starts_with("Audit events") && line.contains(" 0 units ")), "{}", again.out);
}
