//! A source of pages and streamed bodies, whose units expire and fail, behind the same trait as files: neither the runner nor the
//! lake knows of it.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use kqlake_import::{
    Body, ImportOptions, ImportSummary, ListedUnit, Opened, Reply, Section, Source, SourceError, UnitPage, import_from,
};
use kqlake_lake::Lake;
use kqlake_lake::fault::{Fault, Step};
use kqlake_lake::tables::find;
use kqlake_value::clock::FixedClock;
use serde_json::{Value, json};

use super::support::{csv_rows, run_in};

/// What a service does with a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Whole,
    /// It answers with 503.
    Busy,
    /// It has the blob no longer.
    Gone,
    /// Its connection breaks in the middle of the second record.
    Breaks,
    /// It answers with something that is no blob.
    Strange,
}

/// Content blobs in the order in which they came, listed in pages of two; the cursor counts them.
#[derive(Debug)]
struct Service {
    name: &'static str,
    blobs: Mutex<Vec<(String, Mood)>>,
    /// The cursors that listings went on from.
    listed: Mutex<Vec<Option<Value>>>,
    opened: Mutex<BTreeMap<String, usize>>,
    /// True when listing fails.
    is_down: Mutex<bool>,
}

impl Service {
    fn new(name: &'static str, blobs: &[(&str, Mood)]) -> Arc<Service> {
        let blobs = blobs.iter().map(|(blob, mood)| ((*blob).to_owned(), *mood)).collect();
        let (listed, opened, is_down) = Default::default();
        Arc::new(Service { name, blobs: Mutex::new(blobs), listed, opened, is_down })
    }

    fn mood(&self, name: &str, mood: Mood) {
        self.blobs.lock().unwrap().iter_mut().filter(|(blob, _)| blob == name).for_each(|(_, of)| *of = mood);
    }

    fn opened(&self) -> Vec<String> {
        self.opened.lock().unwrap().iter().map(|(name, count)| format!("{name} {count}")).collect()
    }

    fn page(&self, after: Option<Value>) -> Result<UnitPage, SourceError> {
        let from = after.as_ref().and_then(Value::as_u64).unwrap_or(0) as usize;
        self.listed.lock().unwrap().push(after);
        if *self.is_down.lock().unwrap() {
            return Err(SourceError { reason: "the service is down".into(), status: Some(500), gone: false, later: false });
        }
        let blobs = self.blobs.lock().unwrap();
        let until = (from + 2).min(blobs.len());
        let unit = |(at, (blob, _)): (usize, &(String, Mood))| ListedUnit {
            name: format!("{}/{blob}", self.name),
            // Blobs never change.
            stamp: Some(blob.clone()),
            window: Some((0, 1_000)),
            expires: Some(7_000),
            cursor: Some(json!(at + 1)),
            ..ListedUnit::default()
        };
        let units = blobs.iter().enumerate().take(until).skip(from).map(unit).collect();
        // Behind the last blob the cursor still moves: the window that was looked at was empty.
        let cursor = if until == blobs.len() { json!(until) } else { Value::Null };
        let next = (until < blobs.len()).then(|| json!(until));
        Ok(UnitPage { units, next, cursor: Some(cursor).filter(|cursor| !cursor.is_null()), ..UnitPage::default() })
    }

    async fn body(&self, unit: &ListedUnit) -> Result<Opened, SourceError> {
        let blob = unit.name.rsplit('/').next().unwrap_or_default().to_owned();
        *self.opened.lock().unwrap().entry(blob.clone()).or_default() += 1;
        let mood = self.blobs.lock().unwrap().iter().find(|(name, _)| *name == blob).map_or(Mood::Gone, |(_, mood)| *mood);
        let failed = |status, gone| {
            Err(SourceError { reason: format!("the service answered {status}"), status: Some(status), gone, later: false })
        };
        match mood {
            Mood::Busy => return failed(503, false),
            Mood::Gone => return failed(404, true),
            Mood::Whole | Mood::Breaks | Mood::Strange => {}
        }
        let (feed, body) = Body::fed(1);
        tokio::spawn(async move {
            let text: String = (0..3)
                .map(|n| {
                    format!(
                        "{{\"CreationTime\":\"2026-01-08T16:44:07\",\"Id\":\"{blob}-{n}\",\"Operation\":\"FileModified\",\"RecordType\":6,\"Workload\":\"OneDrive\"}}\n"
                    )
                })
                .collect();
            let text = if mood == Mood::Strange { "{\"Message\":\"The service is busy\"}\n".to_owned() } else { text };
            let end = if mood == Mood::Breaks { text.len() / 2 } else { text.len() };
            for piece in text.as_bytes()[..end].chunks(10) {
                if !feed.give(Ok(piece.to_vec().into())).await {
                    return;
                }
            }
            if mood == Mood::Breaks {
                feed.give(Err(io::Error::other("connection reset"))).await;
            }
        });
        Ok(Opened { body, taken_at: None })
    }
}

impl Source for Service {
    fn stream(&self) -> &str {
        self.name
    }

    fn list(&self, after: Option<Value>) -> Reply<'_, UnitPage> {
        Box::pin(async move { self.page(after) })
    }

    fn open<'s>(&'s self, unit: &'s ListedUnit) -> Reply<'s, Opened> {
        Box::pin(self.body(unit))
    }
}

static SECONDS: AtomicI64 = AtomicI64::new(0);

async fn import(lake: &Lake, services: &[&Arc<Service>]) -> ImportSummary {
    let seconds = SECONDS.fetch_add(1, Ordering::Relaxed);
    let clock = Arc::new(FixedClock::at_micros(1_768_186_800_000_000 + seconds * 1_000_000));
    let sources: Vec<Arc<dyn Source>> = services.iter().map(|service| Arc::clone(*service) as Arc<dyn Source>).collect();
    import_from(lake, &sources, &ImportOptions { clock, ..ImportOptions::default() }, &()).await.expect("an import")
}

async fn cursor(lake: &Lake, service: &Service) -> Option<Value> {
    let ledger = find("ImportLedger").expect("the ledger");
    let position = lake.position(ledger, &format!("source/{}", service.name)).await.expect("a position");
    position.map(|position| position.cursor)
}

fn states(summary: &ImportSummary) -> Vec<String> {
    summary.units.iter().map(|unit| format!("{} {}", unit.name, unit.state.name())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_goes_on_behind_what_is_in_the_lake_and_asks_again_for_what_is_not() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let lake = Lake::new(dir.path());
    let service = Service::new(
        "audit",
        &[("a", Mood::Whole), ("b", Mood::Whole), ("c", Mood::Busy), ("d", Mood::Whole), ("e", Mood::Gone)],
    );
    let first = import(&lake, &[&service]).await;
    assert_eq!(states(&first), ["audit/a done", "audit/b done", "audit/c failed", "audit/d done", "audit/e expired"]);
    assert_eq!((first.tables["AuditRecords"].new, first.units[2].status), (9, Some(503)));
    assert_eq!(cursor(&lake, &service).await, Some(json!(2)), "nothing is missing before it");

    // What is known behind the cursor is not opened again.
    service.mood("c", Mood::Whole);
    let second = import(&lake, &[&service]).await;
    // What was gone before is no news.
    assert_eq!(states(&second), ["audit/c done", "audit/d unchanged", "audit/e known"]);
    assert!(second.has_no_new_failure(), "{:?}", second.units);
    assert_eq!(service.opened(), ["a 1", "b 1", "c 2", "d 1", "e 2"]);
    assert_eq!(cursor(&lake, &service).await, Some(json!(5)));
    assert_eq!(service.listed.lock().unwrap()[3], Some(json!(2)));
    assert!(import(&lake, &[&service]).await.units.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_is_asked_for_again() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let lake = Lake::new(dir.path());
    let service = Service::new("audit", &[("a", Mood::Whole), ("b", Mood::Breaks)]);
    let first = import(&lake, &[&service]).await;
    assert_eq!(states(&first), ["audit/a done", "audit/b incomplete"]);
    assert_eq!((first.tables["AuditRecords"].new, cursor(&lake, &service).await), (4, Some(json!(1))));
    let torn = || csv_rows(&run_in(dir.path(), &["--lake", ".", "quarantine", "show", "-f", "csv"]).exits(0).out).len() - 1;
    assert_eq!(torn(), 1);
    service.mood("b", Mood::Whole);
    let second = import(&lake, &[&service]).await;
    // The torn record is in the lake now, whole.
    assert_eq!(torn(), 0);
    let landed = &second.tables["AuditRecords"];
    assert_eq!((states(&second), landed.new, landed.duplicates), (vec!["audit/b done".to_owned()], 2, 1));
    assert_eq!(cursor(&lake, &service).await, Some(json!(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_no_known_kind_is_asked_for_again() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let lake = Lake::new(dir.path());
    let service = Service::new("audit", &[("a", Mood::Strange), ("b", Mood::Whole)]);
    for _ in 0..2 {
        let run = import(&lake, &[&service]).await;
        assert_eq!((states(&run)[0].as_str(), run.has_no_new_failure()), ("audit/a failed", false));
        assert_eq!(cursor(&lake, &service).await, None);
    }
    service.mood("a", Mood::Whole);
    assert_eq!(states(&import(&lake, &[&service]).await), ["audit/a done", "audit/b unchanged"]);
    assert_eq!(cursor(&lake, &service).await, Some(json!(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_moves_without_rows_and_stays_when_listing_fails() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let lake = Lake::new(dir.path());
    let service = Service::new("audit", &[]);
    assert!(import(&lake, &[&service]).await.is_complete());
    assert_eq!(cursor(&lake, &service).await, Some(json!(0)), "an empty window");
    *service.is_down.lock().unwrap() = true;
    let down = import(&lake, &[&service]).await;
    assert_eq!((states(&down), down.has_no_new_failure()), (vec!["audit failed".to_owned()], false));
    assert_eq!((down.units[0].reason.as_deref(), cursor(&lake, &service).await), (Some("the service is down"), Some(json!(0))));
    // The ledger's newest word of it is that it is up again.
    *service.is_down.lock().unwrap() = false;
    for _ in 0..2 {
        assert!(import(&lake, &[&service]).await.units.is_empty());
    }
    let out =
        run_in(dir.path(), &["--lake", ".", "query", "ImportLedger | sort by startedAt asc | project unit, state", "-f", "csv"]);
    assert_eq!(csv_rows(&out.exits(0).out)[1..], [["audit", "failed"], ["audit", "done"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_sources_are_read_in_one_run() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let lake = Lake::new(dir.path());
    let names: Vec<String> = (0..40).map(|n| format!("n{n:02}")).collect();
    let blobs: Vec<(&str, Mood)> = names.iter().map(|name| (name.as_str(), Mood::Whole)).collect();
    let (one, two) = (Service::new("one", &blobs), Service::new("two", &blobs));
    let summary = import(&lake, &[&one, &two]).await;
    assert_eq!((summary.units.len(), summary.is_complete()), (80, true));
    // The blobs of both hold the same records.
    assert_eq!(summary.tables["AuditRecords"].new, 120);
    for service in [&one, &two] {
        let mine: Vec<&str> =
            summary.units.iter().filter_map(|unit| unit.name.strip_prefix(service.name)?.strip_prefix('/')).collect();
        assert_eq!(mine, names, "each in the order in which it was listed");
        assert_eq!(cursor(&lake, service).await, Some(json!(40)));
    }
}

/// Two blobs, the second of which is not given out before the first one is in the lake: as when a quota is used up.
#[derive(Debug, Default)]
struct Patient {
    first_landed: Arc<tokio::sync::Notify>,
}

impl Source for Patient {
    fn stream(&self) -> &str {
        "patient"
    }

    fn list(&self, _after: Option<Value>) -> Reply<'_, UnitPage> {
        let unit = |name: &str| ListedUnit { name: name.to_owned(), stamp: Some(name.to_owned()), ..ListedUnit::default() };
        Box::pin(async move { Ok(UnitPage { units: vec![unit("patient/1"), unit("patient/2")], ..UnitPage::default() }) })
    }

    fn open<'s>(&'s self, unit: &'s ListedUnit) -> Reply<'s, Opened> {
        Box::pin(async move {
            if !unit.name.ends_with('1') {
                let landed = tokio::time::timeout(std::time::Duration::from_secs(60), self.first_landed.notified()).await;
                landed.map_err(|_| SourceError::for_now("the first blob never landed"))?;
            }
            let text = format!(
                "{{\"CreationTime\":\"2026-01-08T16:44:07\",\"Id\":\"{}\",\"Operation\":\"FileModified\",\"RecordType\":6,\"Workload\":\"OneDrive\"}}\n",
                unit.name
            );
            Ok(Opened { body: Body::Stream(Box::new(io::Cursor::new(text))), taken_at: None })
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_is_committed_while_nothing_more_comes() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("lake");
    let source = Patient::default();
    // The second version is the first one with rows.
    let rows = root.join("AuditRecords/_delta_log/00000000000000000001.json");
    let first_landed = Arc::clone(&source.first_landed);
    let lake = Lake::with_fault(
        &root,
        Fault::new(move |step| {
            if step == Step::AfterCommit && rows.exists() {
                first_landed.notify_one();
            }
            false
        }),
    );
    let sources: [Arc<dyn Source>; 1] = [Arc::new(source)];
    let options = ImportOptions { idle: std::time::Duration::from_millis(20), ..ImportOptions::default() };
    let summary = import_from(&lake, &sources, &options, &()).await.unwrap();
    assert!(summary.is_complete(), "{:?}", summary.units);
    let rows = csv_rows(&run_in(dir.path(), &["--lake", "lake", "query", "AuditRecords | count", "-f", "csv"]).exits(0).out);
    assert_eq!(rows[1], ["2"]);
}

/// A source of one unit that cannot be opened, which keeps where its first listing began.
#[derive(Debug, Default)]
struct CutOff(Mutex<Vec<Option<Value>>>);

impl Source for CutOff {
    fn stream(&self) -> &str {
        "cut-off"
    }

    fn list(&self, after: Option<Value>) -> Reply<'_, UnitPage> {
        let begin = after.is_none().then(|| json!({ "from": 7 }));
        self.0.lock().unwrap().push(after);
        let unit = ListedUnit { name: "cut-off/1".to_owned(), ..ListedUnit::default() };
        Box::pin(async move { Ok(UnitPage { units: vec![unit], begin, ..UnitPage::default() }) })
    }

    fn open<'s>(&'s self, _unit: &'s ListedUnit) -> Reply<'s, Opened> {
        Box::pin(async { Err(SourceError::for_now("503")) })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_first_run_began_is_kept_before_anything_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::new(&dir.path().join("lake"));
    let source = Arc::new(CutOff::default());
    let sources: [Arc<dyn Source>; 1] = [Arc::clone(&source) as _];
    for again in [false, false, true, false] {
        let options = ImportOptions { again, ..ImportOptions::default() };
        assert!(!import_from(&lake, &sources, &options, &()).await.unwrap().is_complete());
    }
    let begin = Some(json!({ "from": 7 }));
    assert_eq!(*source.0.lock().unwrap(), [None, begin.clone(), None, begin]);
}

/// Windows that leave no time out between them, as one run lists them, and a listing that fails; and when all of them expire.
#[derive(Debug, Default)]
struct Windows(Mutex<(Vec<(i64, i64, bool)>, Vec<String>)>, Option<i64>);

impl Source for Windows {
    fn stream(&self) -> &str {
        "windows"
    }

    fn tiles(&self) -> bool {
        true
    }

    fn list(&self, _after: Option<Value>) -> Reply<'_, UnitPage> {
        let (windows, failures) = self.0.lock().unwrap().clone();
        let unit = |(from, to, _)| ListedUnit {
            name: format!("windows/{from}"),
            window: Some((from, to)),
            expires: self.1,
            ..ListedUnit::default()
        };
        let failures = failures.into_iter().map(|name| (name, "503".to_owned())).collect();
        Box::pin(async move { Ok(UnitPage { units: windows.into_iter().map(unit).collect(), failures, ..UnitPage::default() }) })
    }

    fn open<'s>(&'s self, unit: &'s ListedUnit) -> Reply<'s, Opened> {
        let is_there = self.0.lock().unwrap().0.iter().any(|(from, to, there)| unit.window == Some((*from, *to)) && *there);
        Box::pin(async move {
            match is_there {
                true => Ok(Opened { body: Body::Stream(Box::new(io::empty())), taken_at: None }),
                false => Err(SourceError::for_now("503")),
            }
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_does_not_stay_so_when_other_units_have_it_or_nobody_does() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::new(&dir.path().join("lake"));
    let source = Arc::new(Windows::default());
    let sources: [Arc<dyn Source>; 1] = [Arc::clone(&source) as _];
    let run = async |seconds: i64, windows: &[(i64, i64, bool)], failures: &[&str]| {
        *source.0.lock().unwrap() = (windows.to_vec(), failures.iter().map(|name| (*name).to_owned()).collect());
        let clock = Arc::new(FixedClock::at_micros(1_768_186_800_000_000 + seconds * 1_000_000));
        states(&import_from(&lake, &sources, &ImportOptions { clock, ..ImportOptions::default() }, &()).await.expect("an import"))
    };
    let first = run(0, &[(0, 10, false), (10, 20, true), (20, 30, false), (30, 40, true)], &["windows/of a day"]).await;
    assert_eq!(
        first,
        ["windows/0 failed", "windows/10 empty", "windows/20 failed", "windows/30 empty", "windows/of a day failed"]
    );
    // While something is wrong nothing is decided.
    assert_eq!(run(10, &[(40, 50, false)], &[]).await, ["windows/40 failed"]);
    assert_eq!(
        run(20, &[(15, 30, true), (40, 50, true)], &[]).await,
        ["windows/15 empty", "windows/40 empty", "windows/0 expired"]
    );
    assert_eq!(run(30, &[], &[]).await, Vec::<String>::new(), "it is reported once");
    let states = "ImportLedger | summarize arg_max(startedAt, *) by unit | project unit, state | sort by unit asc";
    let states = csv_rows(&run_in(dir.path(), &["--lake", "lake", "query", states, "-f", "csv"]).exits(0).out);
    let states: Vec<String> = states.into_iter().skip(1).map(|row| row.join(" ")).collect();
    let expected = ["0 expired", "10 empty", "15 empty", "20 done", "30 empty", "40 empty", "of a day done"];
    assert_eq!(states, expected.map(|state| format!("windows/{state}")));
    // A listing that failed is no unit, also when it succeeded since then.
    let ledger = |what: &[&str]| {
        let words = [&["--lake", "lake", "ledger", "-f", "csv"], what].concat();
        csv_rows(&run_in(dir.path(), &words).exits(0).out).into_iter().skip(1).collect::<Vec<_>>()
    };
    assert_eq!(ledger(&[]).iter().map(|row| row[2].parse::<u32>().unwrap()).sum::<u32>(), 6);
    assert!(ledger(&["--units"]).iter().all(|row| !row.join(",").contains("of a day")));
    // A part of a window that is read again leaves no hole in the rest of it.
    run(40, &[(50, 60, true)], &[]).await;
    run(50, &[(50, 55, true), (60, 70, true)], &[]).await;
    // What nobody has any more is one, and is said to be so.
    let holes = ledger(&["--holes"]);
    assert_eq!(holes.len(), 1, "{holes:?}");
    assert_eq!(holes[0][5..7], ["expired", "windows/0"]);
    assert!(holes[0][2] < holes[0][3] && holes[0][7].starts_with("it cannot be had any more: "), "{holes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_expired_before_it_was_fetched_is_a_hole_that_nobody_can_fill() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::new(&dir.path().join("lake"));
    let begin = 1_768_186_800_000_000;
    let source = Arc::new(Windows(Mutex::default(), Some(begin + 100_000_000)));
    let sources: [Arc<dyn Source>; 1] = [Arc::clone(&source) as _];
    let holes = async |seconds: i64, windows: &[(i64, i64, bool)]| -> Vec<String> {
        source.0.lock().unwrap().0 = windows.to_vec();
        let clock = Arc::new(FixedClock::at_micros(begin + seconds * 1_000_000));
        import_from(&lake, &sources, &ImportOptions { clock, ..ImportOptions::default() }, &()).await.expect("an import");
        let ran = run_in(dir.path(), &["--lake", "lake", "ledger", "--holes", "-f", "csv"]).exits(0);
        csv_rows(&ran.out).into_iter().skip(1).map(|row| row[5..7].join(" ")).collect()
    };
    // By now its time is over, whenever the test runs.
    assert_eq!(holes(0, &[(0, 10, true), (10, 20, false), (20, 30, true)]).await, ["expired windows/10"]);
    // The next run finds that the service does not list it any more.
    assert_eq!(holes(120, &[(20, 30, true)]).await, ["expired windows/10"]);
    assert_eq!(holes(180, &[(30, 40, true)]).await, ["expired windows/10"]);
    // What has all of its time fills it.
    assert_eq!(holes(240, &[(5, 25, true)]).await, Vec::<String>::new());
}

/// A unit that its source lists and does not have any more.
#[derive(Debug)]
struct Lost;

impl Source for Lost {
    fn stream(&self) -> &str {
        "lost"
    }

    fn list(&self, _after: Option<Value>) -> Reply<'_, UnitPage> {
        let unit = ListedUnit { name: "lost/1".to_owned(), ..ListedUnit::default() };
        Box::pin(async move { Ok(UnitPage { units: vec![unit], ..UnitPage::default() }) })
    }

    fn open<'s>(&'s self, _unit: &'s ListedUnit) -> Reply<'s, Opened> {
        Box::pin(async { Err(SourceError { gone: true, ..SourceError::for_now("404") }) })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_listed_and_gone_is_told_once_and_has_no_refused_records() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::new(&dir.path().join("lake"));
    let sources: [Arc<dyn Source>; 1] = [Arc::new(Lost)];
    let options = ImportOptions { section: Some(Section::Audit), ..ImportOptions::default() };
    let mut told = Vec::new();
    for _ in 0..2 {
        let summary = import_from(&lake, &sources, &options, &()).await.unwrap();
        let section = &summary.sections[0];
        told.push((section.expired, section.gone, section.known, summary.has_no_new_failure()));
    }
    assert_eq!(told, [(1, 0, 0, false), (0, 1, 0, true)]);
}

/// One record whose listing says its newest version at once, and that itself comes from a machine which may be behind.
#[derive(Debug)]
struct Behind {
    listed: AtomicI64,
    given: AtomicI64,
    opened: AtomicI64,
}

impl Source for Behind {
    fn stream(&self) -> &str {
        "behind"
    }

    fn list(&self, _after: Option<Value>) -> Reply<'_, UnitPage> {
        let stamp = Some(self.listed.load(Ordering::Relaxed).to_string());
        let unit = ListedUnit { name: "behind/1".to_owned(), stamp, ..ListedUnit::default() };
        Box::pin(async move { Ok(UnitPage { units: vec![unit], ..UnitPage::default() }) })
    }

    fn open<'s>(&'s self, _unit: &'s ListedUnit) -> Reply<'s, Opened> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let text = format!(
            "{{\"CreationTime\":\"2026-01-08T16:44:07\",\"Id\":\"{}\",\"Operation\":\"FileModified\",\"RecordType\":6}}\n",
            self.given.load(Ordering::Relaxed)
        );
        Box::pin(async move { Ok(Opened { body: Body::Stream(Box::new(io::Cursor::new(text))), taken_at: None }) })
    }

    fn stamp_after(&self, _unit: &ListedUnit) -> Option<String> {
        Some(self.given.load(Ordering::Relaxed).to_string())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_was_listed_is_fetched_until_it_has_come() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::new(&dir.path().join("lake"));
    let source = Arc::new(Behind { listed: AtomicI64::new(2), given: AtomicI64::new(1), opened: AtomicI64::new(0) });
    let sources: [Arc<dyn Source>; 1] = [Arc::clone(&source) as _];
    let run = async |seconds: i64, given: i64| {
        source.given.store(given, Ordering::Relaxed);
        let clock = Arc::new(FixedClock::at_micros(1_768_186_800_000_000 + seconds * 1_000_000));
        let summary = import_from(&lake, &sources, &ImportOptions { clock, ..ImportOptions::default() }, &()).await;
        (states(&summary.expect("an import")), source.opened.load(Ordering::Relaxed))
    };
    assert_eq!(run(0, 1).await, (vec!["behind/1 done".to_owned()], 1));
    assert_eq!(run(10, 1).await, (vec!["behind/1 done".to_owned()], 2), "the version that was listed is not there yet");
    assert_eq!(run(20, 2).await, (vec!["behind/1 done".to_owned()], 3));
    assert_eq!(run(30, 1).await, (vec!["behind/1 unchanged".to_owned()], 3));
    let ids = run_in(dir.path(), &["--lake", "lake", "query", "AuditRecords | project Id | sort by Id asc", "-f", "csv"]);
    assert_eq!(csv_rows(&ids.exits(0).out)[1..], [["1"], ["2"]]);
}
