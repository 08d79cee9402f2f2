//! Live sections whose program is killed at random instants: nothing is lost, nothing is there twice, and nobody has to mend
//! anything. `benches/live_faults.py` does so as often as is said, and at every step on the disk.

use std::process::Stdio;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use kqlake_simulate::{FaultPlan, Settings, SimulatorOptions};

use super::generated::random::Random;
use super::simulated::Simulated;

const NOW: &str = "2026-01-12T12:00:00Z";

fn tenant(seed: u64, scale: f64) -> Simulated {
    let settings = Settings { quotas: false, audit_blob_records: 30, ..Settings::default() };
    let of = Simulated::start(SimulatorOptions {
        seed,
        scale,
        clock: NOW.parse().expect("an instant"),
        settings,
        ..SimulatorOptions::default()
    });
    // Some days are enough.
    let days = "\n[tenants.contoso.message_trace]\nmax_historic_date_cutoff_days_back = 6\n";
    of.write("kqlake.toml", &format!("{}{days}", of.simulator().toml()));
    of
}

/// Runs a command until its end, or kills it after a time.
fn run_for(of: &Simulated, args: &[&str], time: Duration) -> bool {
    let clock = format!("{NOW}x2");
    let mut command = of.command(args, &[("KQLAKE_NOW", &clock)]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
    let mut out = child.stdout.take().expect("a pipe");
    let (sender, ends) = channel();
    std::thread::spawn(move || {
        // Standard output ends with the program.
        let _ = std::io::copy(&mut out, &mut std::io::sink());
        let _ = sender.send(());
    });
    let is_killed = ends.recv_timeout(time).is_err();
    if is_killed {
        child.kill().expect("killed");
    }
    child.wait().expect("ended");
    is_killed
}

#[test]
fn sections_that_are_killed_lose_and_double_nothing() {
    let mut random = Random::of(1, 0);
    for (seed, section) in (1..).zip(["ActivityLog", "MessageTrace", "Calls", "GraphTeams"]) {
        let of = tenant(seed, 0.05);
        let mut longest = 2_000;
        for _ in 0..3 {
            let began = Instant::now();
            if !run_for(&of, &["import", section], Duration::from_millis(50 + random.below(longest) as u64)) {
                longest = usize::try_from(began.elapsed().as_millis()).expect("a short time").min(longest);
            }
        }
        // Records that no table takes are reported.
        let last = of.run_with(&["import", section], &[("KQLAKE_NOW", &format!("{NOW}x2"))]);
        assert!([0, 5].contains(&last.status) && !last.err.contains("panicked"), "{section}: {}", last.err);
        of.has_the_truth();
    }
}

#[test]
fn a_program_that_stays_and_is_killed_loses_and_doubles_nothing() {
    let of = tenant(6, 0.05);
    let jobs = "import_job_settings = \"ActivityLog=True;GraphTeams=True\"\nclient_id";
    of.write("kqlake.toml", &of.simulator().toml().replacen("client_id", jobs, 1));
    let mut random = Random::of(2, 0);
    for _ in 0..3 {
        run_for(&of, &["watch"], Duration::from_millis(300 + random.below(3_000) as u64));
    }
    let last = of.run_with(&["import"], &[("KQLAKE_NOW", &format!("{NOW}x2"))]);
    assert!([0, 5].contains(&last.status) && !last.err.contains("panicked"), "{}", last.err);
    of.has_the_truth();
}

#[test]
fn sections_of_graph_come_through_every_fault_once_each() {
    let of = tenant(7, 0.05);
    of.simulator().set_faults(&FaultPlan::all());
    let sections = ["import", "MessageTrace", "GraphUserApps", "GraphTeams", "GraphUsersMetadata"];
    let clock = format!("{NOW}x100");
    for _ in 0..2 {
        if of.run_with(&sections, &[("KQLAKE_NOW", &clock)]).status == 0 {
            break;
        }
    }
    assert!(of.simulator().manifest().faults.values().sum::<u64>() > 5);
    of.simulator().set_faults(&FaultPlan::default());
    of.run_with(&sections, &[("KQLAKE_NOW", &format!("{NOW}x2"))]).exits(0);
    of.has_the_truth();
}
