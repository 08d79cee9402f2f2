//! Live sections against sources of tests: side by side, each by itself, listed and accounted for, and ended at a commit.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use kqlake::error::Error;
use kqlake::live::board::Board;
use kqlake::live::cycle::Runner;
use kqlake::live::{SectionOutcome, Task, Work};
use kqlake_import::{
    Body, ImportOptions, ListedUnit, Opened, OrgUrls, Reply, Section, Source, SourceError, StopSignal, UnitPage, UnitState,
};
use kqlake_lake::Lake;
use kqlake_value::clock::Clock;
use serde_json::Value;

use super::support::{copy, csv_rows, project, run_in};

/// 2026-01-12T03:00:00Z.
const NOW: i64 = 1_768_186_800_000_000;
const MINUTE: i64 = 60_000_000;

/// A clock that tests move.
#[derive(Debug)]
struct Hand(AtomicI64);

impl Hand {
    fn new() -> Arc<Hand> {
        Arc::new(Hand(AtomicI64::new(NOW)))
    }

    fn forward(&self, micros: i64) {
        self.0.fetch_add(micros, Ordering::Relaxed);
    }
}

impl Clock for Hand {
    fn now_micros(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Blobs of audit records, listed all at once.
#[derive(Debug, Default)]
struct Blobs {
    stream: String,
    /// Names with the minutes after which they expire, and the site of their records.
    blobs: Mutex<Vec<(String, i64, &'static str)>>,
    opened: Mutex<Vec<String>>,
    /// Asked when so many were opened.
    stop: Mutex<Option<(usize, StopSignal)>>,
    is_down: bool,
}

impl Blobs {
    fn new(stream: &str, blobs: &[(&str, i64)]) -> Arc<Blobs> {
        let blobs = blobs.iter().map(|(name, expires)| ((*name).to_owned(), *expires, "https://contoso.sharepoint.com/a"));
        Arc::new(Blobs { stream: stream.to_owned(), blobs: Mutex::new(blobs.collect()), ..Blobs::default() })
    }

    fn opened(&self) -> Vec<String> {
        self.opened.lock().unwrap().drain(..).collect()
    }
}

impl Source for Blobs {
    fn stream(&self) -> &str {
        &self.stream
    }

    fn expiring_first(&self) -> bool {
        true
    }

    fn parallel(&self) -> usize {
        1
    }

    fn list(&self, _after: Option<Value>) -> Reply<'_, UnitPage> {
        Box::pin(async {
            if self.is_down {
                return Err(SourceError { reason: "the service is down".into(), status: Some(503), gone: false, later: false });
            }
            let unit = |(name, expires, _): &(String, i64, &str)| ListedUnit {
                name: format!("{}/{name}", self.stream),
                stamp: Some(name.clone()),
                expires: Some(NOW + expires * MINUTE),
                ..ListedUnit::default()
            };
            Ok(UnitPage { units: self.blobs.lock().unwrap().iter().map(unit).collect(), ..UnitPage::default() })
        })
    }

    fn open<'s>(&'s self, unit: &'s ListedUnit) -> Reply<'s, Opened> {
        Box::pin(async {
            let blob = unit.name.rsplit('/').next().unwrap_or_default().to_owned();
            let site = self.blobs.lock().unwrap().iter().find(|(name, ..)| *name == blob).map_or("", |(.., site)| site);
            let count = {
                let mut opened = self.opened.lock().unwrap();
                opened.push(blob.clone());
                opened.len()
            };
            let stop = self.stop.lock().unwrap().clone();
            if let Some((_, stop)) = stop.filter(|(after, _)| count > *after) {
                stop.ask();
                // It never comes: what is under way is given up.
                std::future::pending::<()>().await;
            }
            let text = format!(
                "{{\"CreationTime\":\"2026-01-08T16:44:07\",\"Id\":\"{blob}-{}\",\"Operation\":\"FileModified\",\"RecordType\":6,\"Workload\":\"OneDrive\",\"SiteUrl\":\"{site}\"}}\n",
                self.stream.replace('/', "-")
            );
            Ok(Opened { body: Body::Stream(Box::new(std::io::Cursor::new(text))), taken_at: None })
        })
    }
}

fn runner(dir: &Path, clock: &Arc<Hand>) -> Runner {
    let clock: Arc<dyn Clock> = clock.clone();
    let options = ImportOptions { clock: Arc::clone(&clock), ..ImportOptions::default() };
    let lake = Lake::new(&dir.join("lake")).with_clock(clock);
    Runner { lake, options, command: "import", board: Board::default(), watcher: Arc::new(()) }
}

fn task(section: Section, sources: &[&Arc<Blobs>], org_urls: &[&str]) -> Task {
    let sources = sources.iter().map(|source| Arc::clone(source) as Arc<dyn Source>).collect();
    Task { tenant: "contoso".into(), section, work: Ok(Work { sources, org_urls: OrgUrls::new(org_urls), ..Work::default() }) }
}

async fn audit(runner: &Runner, blobs: &Arc<Blobs>, org_urls: &[&str]) -> SectionOutcome {
    let outcomes = runner.cycle(vec![task(Section::Audit, &[blobs], org_urls)]).await;
    outcomes.into_iter().next().expect("an outcome")
}

fn states(outcome: &SectionOutcome) -> Vec<String> {
    let summary = outcome.result.as_ref().expect("an import");
    let short = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    summary.units.iter().map(|unit| format!("{} {}", short(&unit.name), unit.state.name())).collect()
}

fn query(dir: &Path, text: &str) -> Vec<Vec<String>> {
    let out = run_in(dir, &["--now", "2026-01-12T12:00:00Z", "--lake", "lake", "query", text, "-f", "csv"]).exits(0).out;
    csv_rows(&out).into_iter().skip(1).collect()
}

fn commits(dir: &Path, table: &str) -> usize {
    let log = std::fs::read_dir(dir.join("lake").join(table).join("_delta_log")).expect("a log");
    log.filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|e| e == "json"))).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_section_that_fails_does_not_keep_the_others_and_each_finished_one_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Hand::new();
    let runner = runner(dir.path(), &clock);
    let good = Blobs::new("contoso/audit", &[("a", 60)]);
    let down = Arc::new(Blobs { stream: "contoso/teams".into(), is_down: true, ..Blobs::default() });
    let empty = Blobs::new("contoso/users", &[]);
    let tasks = || {
        vec![
            task(Section::Teams, &[&down], &[]),
            task(Section::Audit, &[&good], &[]),
            Task { tenant: "contoso".into(), section: Section::Calls, work: Err(Error::Source("no secret".into())) },
            task(Section::UserMetadata, &[&empty], &[]),
        ]
    };
    let outcomes = runner.cycle(tasks()).await;
    let well: Vec<bool> = outcomes.iter().map(SectionOutcome::is_well).collect();
    let unread: Vec<bool> = outcomes.iter().map(SectionOutcome::is_unread).collect();
    assert_eq!((well, unread), (vec![false, true, false, true], vec![true, false, true, false]));
    let events = "customEvents | sort by name asc, tostring(customDimensions.section) asc \
                  | project name, customDimensions.tenant, customDimensions.section";
    let section = |name: &str| ["FinishedSectionImport", "contoso", name].map(str::to_owned).to_vec();
    assert_eq!(query(dir.path(), events), [section("Audit events"), section("User metadata refresh")], "no cycle has finished");
    let errors = query(dir.path(), "traces | where severityLevel == 3 | project message | sort by message asc");
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0][0].contains("Calls import did not begin: no secret"), "{errors:?}");

    // The end of a cycle is reported when all its sections have finished.
    clock.forward(MINUTE);
    let up = Blobs::new("contoso/teams", &[]);
    let outcomes = runner.cycle(vec![task(Section::Teams, &[&up], &[]), task(Section::Audit, &[&good], &[])]).await;
    assert!(outcomes.iter().all(SectionOutcome::is_well));
    let cycles = query(dir.path(), "customEvents | where name == 'FinishedImportCycle' | project operation_Name");
    assert_eq!(cycles, [["Office365ActivityImporter"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expires_first_is_fetched_first_and_nothing_is_fetched_twice() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Hand::new();
    let runner = runner(dir.path(), &clock);
    let blobs = Blobs::new("contoso/audit", &[("late", 90), ("soon", 10), ("never", 500), ("middle", 30)]);
    let first = audit(&runner, &blobs, &[]).await;
    assert!(first.is_well());
    // Some are opened at the same time; they are landed in their order.
    assert_eq!(states(&first), ["soon done", "middle done", "late done", "never done"]);
    assert_eq!(blobs.opened().len(), 4);
    let before = (commits(dir.path(), "ImportLedger"), commits(dir.path(), "AuditRecords"));
    clock.forward(MINUTE);
    let again = audit(&runner, &blobs, &[]).await;
    assert_eq!((blobs.opened(), again.is_well()), (Vec::new(), true));
    assert_eq!((commits(dir.path(), "ImportLedger"), commits(dir.path(), "AuditRecords")), before, "nothing was written");
    let one = blobs.blobs.lock().unwrap().len();
    assert_eq!(again.result.unwrap().units.len(), one);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_asked_to_end_commits_and_what_it_leaves_is_pending_until_it_expires() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Hand::new();
    let blobs = Blobs::new("contoso/audit", &[("a", 10), ("b", 20), ("c", 30), ("d", 40), ("e", 50)]);
    let stop = StopSignal::default();
    *blobs.stop.lock().unwrap() = Some((2, stop.clone()));
    let mut first = runner(dir.path(), &clock);
    first.options.stop = stop;
    // One at a time, so that it is known which are under way.
    first.options.threads = 1;
    let ended = audit(&first, &blobs, &[]).await;
    assert!(ended.result.as_ref().is_ok_and(|summary| summary.stopped) && !ended.is_finished());
    let newest = "ImportLedger | summarize arg_max(startedAt, state) by unit | summarize count() by state | sort by state asc";
    let counts: BTreeMap<String, usize> =
        query(dir.path(), newest).into_iter().map(|row| (row[0].clone(), row[1].parse().unwrap())).collect();
    assert_eq!(counts.values().sum::<usize>(), 5, "every listed unit has its row: {counts:?}");
    let done = counts.get("done").copied().unwrap_or(0);
    assert_eq!(query(dir.path(), "AuditRecords | count"), [[done.to_string()]], "what is done is there, and nothing else");

    // The service has the first four no longer; of those that were not fetched it is reported once.
    *blobs.stop.lock().unwrap() = None;
    blobs.opened();
    clock.forward(45 * MINUTE);
    blobs.blobs.lock().unwrap().retain(|(name, ..)| name == "e");
    let second = audit(&runner(dir.path(), &clock), &blobs, &[]).await;
    let lost = states(&second).iter().filter(|state| state.ends_with("expired")).count();
    assert_eq!((lost, second.is_well(), second.is_finished()), (4 - done, false, true));
    assert_eq!(blobs.opened(), ["e"]);
    let reasons = query(dir.path(), "ImportLedger | where state == 'expired' | project reason | take 1");
    assert!(reasons[0][0].contains("never fetched, and expired 2026-01-12T03:"), "{reasons:?}");
    clock.forward(MINUTE);
    let third = audit(&runner(dir.path(), &clock), &blobs, &[]).await;
    assert!(third.is_well() && states(&third) == ["e unchanged"], "{third:?}");

    // The account adds up.
    let out = run_in(dir.path(), &["--now", "2026-01-12T04:00:00Z", "--lake", "lake", "ledger", "-f", "json"]).exits(0).out;
    let told: Vec<Value> = serde_json::from_str(&out).unwrap();
    assert_eq!(told.len(), 1, "{out}");
    let count = |name: &str| told[0][name].as_u64().unwrap() as usize;
    assert_eq!((count("listed"), count("committed"), count("expired"), count("pending")), (5, done + 1, 4 - done, 0), "{out}");
    assert_eq!((told[0]["tenant"].as_str(), told[0]["section"].as_str()), (Some("contoso"), Some("Audit events")));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_other_sites_are_counted_and_their_blobs_are_fetched_again_only_for_another_list_of_sites() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Hand::new();
    let runner = runner(dir.path(), &clock);
    let blobs = Blobs::new("contoso/audit", &[("mine", 60), ("other", 60)]);
    blobs.blobs.lock().unwrap()[1].2 = "https://fabrikam.sharepoint.com/x";
    let mine = ["https://contoso.sharepoint.com"];
    let first = audit(&runner, &blobs, &mine).await;
    assert_eq!(states(&first), ["mine done", "other filtered"]);
    let report = &first.result.as_ref().unwrap().sections[0];
    assert_eq!((report.out_of_scope, report.new, report.finished, first.is_well()), (1, 1, true, true));
    blobs.opened();
    clock.forward(MINUTE);
    assert_eq!(states(&audit(&runner, &blobs, &mine).await), ["mine unchanged", "other unchanged"]);
    assert!(blobs.opened().is_empty());
    clock.forward(MINUTE);
    let wider = audit(&runner, &blobs, &["*"]).await;
    assert_eq!((states(&wider), blobs.opened()), (vec!["mine unchanged".into(), "other done".into()], vec!["other".into()]));
    assert_eq!(query(dir.path(), "AuditRecords | count"), [["2"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_failed_and_then_expires_is_lost_and_says_how_often_it_was_tried() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Hand::new();
    let runner = runner(dir.path(), &clock);
    let blobs = Arc::new(Flaky::default());
    let run = async || {
        runner
            .cycle(vec![Task {
                tenant: "contoso".into(),
                section: Section::Audit,
                work: Ok(Work { sources: vec![blobs.clone()], ..Work::default() }),
            }])
            .await
            .remove(0)
    };
    for _ in 0..2 {
        assert!(!run().await.is_finished());
        clock.forward(MINUTE);
    }
    clock.forward(60 * MINUTE);
    let lost = run().await;
    let summary = lost.result.unwrap();
    assert_eq!((summary.units.len(), summary.units[0].state), (1, UnitState::Expired));
    assert!(summary.units[0].reason.as_deref().is_some_and(|reason| reason.contains("tried 2 times")), "{summary:?}");
    let row =
        query(dir.path(), "ImportLedger | where state == 'expired' | project attempt, isnotnull(expiresAt), isnotnull(listedAt)");
    assert_eq!(row, [["2", "true", "true"]]);
}

/// Has one blob for an hour, and never gives it.
#[derive(Debug, Default)]
struct Flaky {
    listed: AtomicI64,
}

impl Source for Flaky {
    fn stream(&self) -> &str {
        "contoso/audit"
    }

    fn list(&self, _after: Option<Value>) -> Reply<'_, UnitPage> {
        let is_there = self.listed.fetch_add(1, Ordering::Relaxed) < 2;
        let unit = ListedUnit {
            name: "contoso/audit/x".into(),
            stamp: Some("x".into()),
            expires: Some(NOW + 30 * MINUTE),
            ..ListedUnit::default()
        };
        Box::pin(async move { Ok(UnitPage { units: is_there.then_some(unit).into_iter().collect(), ..UnitPage::default() }) })
    }

    fn open<'s>(&'s self, _unit: &'s ListedUnit) -> Reply<'s, Opened> {
        Box::pin(async { Err(SourceError { reason: "busy".into(), status: Some(503), gone: false, later: false }) })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_saved_query_of_missing_sections_watches_kqlake_itself() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Hand::new();
    let runner = runner(dir.path(), &clock);
    let empty = || Blobs::new("contoso/x", &[]);
    let down = Arc::new(Blobs { stream: "contoso/teams".into(), is_down: true, ..Blobs::default() });
    // Two nights; in the second one the teams cannot be read.
    let (users, audits, teams) = (empty(), empty(), empty());
    let night = |teams: &Arc<Blobs>| {
        vec![
            task(Section::UserMetadata, &[&users], &[]),
            task(Section::Audit, &[&audits], &[]),
            task(Section::Teams, &[teams], &[]),
        ]
    };
    runner.cycle(night(&teams)).await;
    clock.forward(24 * 60 * MINUTE);
    runner.cycle(night(&down)).await;
    let settings = "settings=GraphUsersMetadata=True;ActivityLog=True;GraphTeams=True;Calls=False";
    let args = [
        "--lake",
        "lake",
        "run",
        "section-completion-gaps",
        "--param",
        settings,
        "--param",
        // Of the days before the lake was there nothing is said.
        "days=7",
        "--param",
        "asOf=2026-01-13T04:00:00Z",
        "-f",
        "csv",
    ];
    copy(&project().join("sql"), &dir.path().join("sql"));
    let rows = csv_rows(&run_in(dir.path(), &args).exits(0).out);
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!(rows[1][2..4], ["Office365ActivityImporter", "Teams import"]);
    assert!(rows[1][0].starts_with("2026-01-12T04:00"), "{rows:?}");
}
