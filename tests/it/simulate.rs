//! `simulate`, and imports from a simulated tenant with faults: what the manifest calls true is in the lake or quarantined, each once.

use std::collections::BTreeMap;

use kqlake_simulate::{FaultPlan, Settings, SimulatorOptions, Table};

use super::simulated::Simulated;
use super::support::{csv_rows, kqlake, project, run_in};

const NOW: &str = "2026-01-12T12:00:00Z";

/// A tenant whose time stands still.
fn tenant(seed: u64, faults: FaultPlan) -> Simulated {
    let settings = Settings { quotas: false, ..Settings::default() };
    let clock = NOW.parse().expect("an instant");
    Simulated::start(SimulatorOptions { seed, scale: 0.3, clock, settings, faults, ..SimulatorOptions::default() })
}

/// The truth of a table.
fn truth(of: &Simulated, table: &str) -> Table {
    let tables = of.simulator().manifest().tables;
    tables.into_iter().find(|truth| truth.table == table).expect("a table of the manifest")
}

/// Imports audit records; waits pass a hundred times as fast.
fn import(of: &Simulated) -> i32 {
    let run = of.run_with(&["import", "ActivityLog"], &[("KQLAKE_NOW", &format!("{NOW}x100"))]);
    assert!(!run.err.contains("panicked"), "{}", run.err);
    run.status
}

/// Ids of the lake's audit records with their numbers, and what was quarantined.
fn landed(of: &Simulated) -> (BTreeMap<String, u64>, Vec<String>) {
    let rows =
        csv_rows(&of.run(&["sql", r#"SELECT "Id", count(*) FROM "AuditRecords" GROUP BY "Id""#, "-f", "csv"]).exits(0).out);
    let rows = rows.into_iter().skip(1).map(|row| (row[0].clone(), row[1].parse().expect("a number")));
    let rows = rows.collect();
    let aside: serde_json::Value =
        serde_json::from_str(&of.run(&["quarantine", "show", "-f", "json"]).exits(0).out).expect("JSON");
    let aside = aside.as_array().expect("a list").iter().map(|row| row["record"].as_str().expect("a record").to_owned());
    let mut aside: Vec<String> = aside.collect();
    aside.sort_unstable();
    (rows, aside)
}

#[track_caller]
fn is_the_truth(of: &Simulated) {
    let truth = truth(of, "AuditRecords");
    let (landed, aside) = landed(of);
    let twice: Vec<_> = landed.iter().filter(|(_, count)| **count > 1).collect();
    let lost: Vec<_> = truth.rows.keys().filter(|id| !landed.contains_key(*id)).collect();
    let unknown: Vec<_> = landed.keys().filter(|id| !truth.rows.contains_key(*id) && !truth.optional.contains(id)).collect();
    assert!(twice.is_empty() && lost.is_empty() && unknown.is_empty(), "twice {twice:?}, lost {lost:?}, unknown {unknown:?}");
    let mut refused = truth.refused;
    refused.sort_unstable();
    assert_eq!(aside, refused);
    assert!(truth.count > 100, "{}", truth.count);
}

#[test]
fn audit_records_come_through_every_fault_once_each() {
    for seed in 1..=2 {
        let of = tenant(seed, FaultPlan::all());
        for _ in 0..6 {
            if import(&of) == 0 {
                break;
            }
        }
        // What was answered as an empty list is found by the next listing.
        of.simulator().set_faults(&FaultPlan::default());
        import(&of);
        assert!(of.simulator().manifest().faults.values().sum::<u64>() > 5);
        is_the_truth(&of);
    }
}

#[test]
fn a_section_that_got_everything_says_so_though_some_of_it_cannot_be_read() {
    let of = tenant(4, FaultPlan::default());
    let run =
        of.run_with(&["import", "ActivityLog"], &[("KQLAKE_NOW", &format!("{NOW}x100"))]).exits(5).says("`kqlake quarantine`");
    assert!(!truth(&of, "AuditRecords").refused.is_empty());
    assert!(!run.err.contains("did not get everything"), "{}", run.err);
}

/// Units of the audit section by where the ledger has them: listed, committed, failed.
fn account(of: &Simulated) -> (u64, u64, u64) {
    let rows = csv_rows(&of.run_with(&["ledger", "--section", "ActivityLog", "-f", "csv"], &[("KQLAKE_NOW", NOW)]).exits(0).out);
    let count = |name: &str| rows[1][rows[0].iter().position(|own| own == name).expect("a column")].parse().expect("a number");
    (count("listed"), count("committed"), count("failed"))
}

#[test]
fn a_blob_that_comes_damaged_is_failed_and_asked_for_again_until_it_is_whole() {
    for fault in ["truncated-json", "corrupt-json"] {
        let of = tenant(4, FaultPlan::default());
        let plan = format!("[[fault]]\nname = '{fault}'\npath = '*/activity/feed/audit/*'");
        of.simulator().set_faults(&FaultPlan::read(&plan).expect("a plan"));
        let mut quarantined = Vec::new();
        for hour in [12, 13] {
            let now = format!("2026-01-12T{hour}:00:00Zx100");
            let run = of.run_with(&["import", "ActivityLog"], &[("KQLAKE_NOW", &now)]);
            assert!(run.exits(5).err.contains("did not get everything"));
            let (listed, committed, failed) = account(&of);
            assert!(failed > 3 && listed == committed + failed, "{fault}: {listed} {committed} {failed}");
            quarantined.push(landed(&of).1.len());
        }
        // Nothing is quarantined twice.
        assert!(quarantined[0] > 3 && quarantined[0] == quarantined[1], "{quarantined:?}");
        of.simulator().set_faults(&FaultPlan::default());
        assert!([0, 5].contains(&of.run_with(&["import", "ActivityLog"], &[("KQLAKE_NOW", "2026-01-12T14:00:00Zx100")]).status));
        let (listed, committed, failed) = account(&of);
        assert_eq!((committed, failed), (listed, 0), "{fault}");
        is_the_truth(&of);
    }
}

#[test]
fn a_second_run_lists_all_again_and_fetches_nothing() {
    let of = tenant(4, FaultPlan::default());
    assert!([0, 5].contains(&import(&of)));
    is_the_truth(&of);
    let (before, _) = landed(&of);
    let sent = of.simulator().manifest().notes["management: blobs sent"];
    assert_eq!(import(&of), 0);
    let notes = of.simulator().manifest().notes;
    assert_eq!((notes["management: blobs sent"], notes.get("management: blobs sent again")), (sent, None));
    assert_eq!(notes.get("management: requests without PublisherIdentifier"), None);
    assert_eq!(landed(&of).0, before);
}

#[test]
fn tokens_that_end_within_a_page_lose_nothing() {
    let of = tenant(5, FaultPlan::default());
    // Every tenth request finds its token refused.
    let plan = "[[fault]]\nname = 'unauthorized'\nevery = 10\nservice = 'management'";
    of.simulator().set_faults(&FaultPlan::read(plan).expect("a plan"));
    assert!([0, 5].contains(&import(&of)));
    assert!(of.simulator().manifest().faults["unauthorized"] > 2);
    is_the_truth(&of);
}

#[test]
fn its_page_names_every_fault_and_every_setting() {
    let page = std::fs::read_to_string(project().join("docs/simulate.md")).expect("a page");
    let missing: Vec<&str> = FaultPlan::names().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
    // What a wrong setting is answered with names them all.
    let err = FaultPlan::read("[settings]\nnothing = 1").expect_err("no setting").to_string();
    let known = err.split_once("expected one of ").expect("names").1;
    let missing: Vec<&str> =
        known.split(['`', ',', ' ', '\n']).filter(|name| name.contains('_') && !page.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty() && known.contains("`quotas`"), "{missing:?} of {known}");
}

#[test]
fn wrong_options_are_told() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(dir.path().join("plan.toml"), "[[fault]]\nname = 'meteor'").expect("a file");
    std::fs::write(dir.path().join("none.pem"), "nothing").expect("a file");
    for (args, says) in [
        (&["simulate", "--clock", "yesterday"][..], "'yesterday' is neither 'real' nor an instant"),
        (&["simulate", "--scale=-1"], "from 0 to 1000000"),
        (&["simulate", "--faults", "plan.toml"], "there is no fault 'meteor'"),
        (&["simulate", "--certificate", "none.pem"], "none.pem: no certificate in PEM"),
    ] {
        run_in(dir.path(), args).exits(2).says(says);
    }
    run_in(dir.path(), &["simulate", "--faults", "missing.toml"]).exits(2).says("missing.toml");
    std::fs::write(dir.path().join("broken.toml"), "seed = 1\nbad=\n").expect("a file");
    let run = run_in(dir.path(), &["simulate", "--faults", "broken.toml"]).exits(2).says("broken.toml: line 2: ");
    assert!(!run.err.contains("\\n"), "{}", run.err);
    // A receiver that is refused leaves nothing that would be taken for a lake.
    run_in(dir.path(), &["webhook"]).exits(2).says("no tenant takes notifications");
    assert!(!dir.path().join("data").exists());
}

#[cfg(unix)]
#[test]
fn it_prints_a_configuration_and_writes_its_manifest_when_it_is_told_to_end() {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    let dir = tempfile::tempdir().expect("a temporary folder");
    let args = ["simulate", "--clock", NOW, "--scale", "0.1", "--manifest", "truth.json"];
    let mut child = kqlake(args).current_dir(dir.path()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("standard output")).lines();
    let mut text = String::new();
    while !text.contains("workspace_id") {
        text.push_str(&lines.next().expect("a line").expect("a text"));
        text.push('\n');
    }
    let file: toml::Table = text.parse().expect("TOML");
    assert_eq!(file["tenants"]["contoso"]["client_secret"]["env"].as_str(), Some(kqlake_simulate::SECRET_VARIABLE));
    let ended = Command::new("kill").arg(child.id().to_string()).status().expect("kill");
    assert!(ended.success());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    let manifest = std::fs::read_to_string(dir.path().join("truth.json")).expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("JSON");
    assert_eq!(manifest["now"], "2026-01-12T12:00:00.000000Z");
}
