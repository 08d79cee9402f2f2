//! Versions of a call: of the newest one that came whole all sessions and segments are there, and none that only older ones have
//! (`docs/identity.md`, rule 6).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kqlake_import::{ImportOptions, import_paths};
use kqlake_lake::fault::{Fault, Step};
use kqlake_lake::tables::IS_WHOLE;
use kqlake_lake::{CompactOptions, Lake, Landed, RowBuilder};
use kqlake_value::clock::FixedClock;
use proptest::prelude::*;
use proptest::test_runner::Config;
use serde_json::{Value, json};

use super::lake::{DAY, HOUR, def, position, texts};

/// A version of a call, as a record says it: the segments of each of its sessions, by number.
type Sessions = BTreeMap<u8, BTreeSet<u8>>;

const TABLES: [&str; 2] = ["CallSessions", "CallSegments"];

async fn rows(lake: &Lake, table: &str) -> Vec<String> {
    let session = if table == "CallSegments" { r#""sessionId" || ' ' || "# } else { "" };
    let sql = format!(r#"select "callId" || ' ' || {session}id || ' ' || version from "{table}" order by 1"#);
    texts(lake, table, &sql).await
}

async fn both(lake: &Lake) -> [Vec<String>; 2] {
    [rows(lake, TABLES[0]).await, rows(lake, TABLES[1]).await]
}

/// What the tables hold of a version and no other.
fn expected(call: &str, version: u8, sessions: &Sessions) -> [Vec<String>; 2] {
    let mut segments: Vec<String> = sessions
        .iter()
        .flat_map(|(session, segments)| segments.iter().map(move |segment| format!("{call} s{session} g{segment} {version}")))
        .collect();
    segments.sort();
    [sessions.keys().map(|session| format!("{call} s{session} {version}")).collect(), segments]
}

fn record(call: &str, version: u8, sessions: &Sessions, more: bool) -> Value {
    // Calls move a little from version to version, over the end of a month.
    let time = format!("2026-02-28T23:5{version}:00Z");
    let segment = |number: &u8| json!({ "id": format!("g{number}"), "startDateTime": time, "endDateTime": time });
    let sessions: Vec<Value> = sessions
        .iter()
        .map(|(number, segments)| {
            let time = if number % 2 == 0 { &time } else { "2026-03-01T00:10:00Z" };
            let segments: Vec<Value> = segments.iter().map(segment).collect();
            json!({ "id": format!("s{number}"), "modalities": ["audio"], "startDateTime": time, "caller": {}, "callee": {},
                "segments": segments })
        })
        .collect();
    let mut record = json!({ "id": call, "version": version, "type": "groupCall", "modalities": ["audio"], "startDateTime": time,
        "endDateTime": "2026-03-01T01:00:00Z", "organizer": {}, "participants": [], "sessions": sessions });
    if more {
        record["sessions@odata.nextLink"] =
            json!("https://graph.microsoft.com/v1.0/communications/callRecords/c/sessions?$skiptoken=x");
    }
    record
}

fn sessions(numbers: &[u8]) -> Sessions {
    numbers.iter().map(|number| (*number, BTreeSet::from([0, *number]))).collect()
}

async fn import(root: &Path, name: &str, records: &[Value]) -> BTreeMap<&'static str, Landed> {
    let path = root.join(name);
    fs::write(&path, records.iter().map(|record| format!("{record}\n")).collect::<String>()).expect("a file");
    let options = ImportOptions { clock: Arc::new(FixedClock::at_micros(DAY + 80 * 24 * HOUR)), ..ImportOptions::default() };
    let summary = import_paths(&Lake::new(&root.join("lake")), &[path], &options, &()).await.expect("an import");
    assert!(summary.is_complete(), "{:?}", summary.units);
    summary.tables
}

async fn compact(root: &Path) {
    let options = CompactOptions { grace: std::time::Duration::ZERO, ..CompactOptions::default() };
    for table in TABLES {
        Lake::new(root).compact(def(table), &options).await.expect("compacted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_the_newer_version_has_no_more_go_in_either_order() {
    let (old, new) = (record("c", 1, &sessions(&[0, 1, 2]), false), record("c", 2, &sessions(&[1, 3]), false));
    let right = expected("c", 2, &sessions(&[1, 3]));
    let dir = tempfile::tempdir().expect("a folder");
    import(dir.path(), "1", std::slice::from_ref(&old)).await;
    let landed = import(dir.path(), "2", std::slice::from_ref(&new)).await;
    let counts = |landed: &Landed| (landed.new, landed.duplicates, landed.replaced);
    assert_eq!(both(&Lake::new(&dir.path().join("lake"))).await, right);
    // Session 1 replaces its older row, 3 is new, and 0 and 2 give way.
    assert_eq!(counts(&landed["CallSessions"]), (1, 0, 3));
    // The older one read later changes nothing, and neither does the newer one again.
    let landed = import(dir.path(), "3", std::slice::from_ref(&old)).await;
    assert_eq!((both(&Lake::new(&dir.path().join("lake"))).await, counts(&landed["CallSessions"])), (right.clone(), (0, 3, 0)));
    let reversed = tempfile::tempdir().expect("a folder");
    import(reversed.path(), "1", std::slice::from_ref(&new)).await;
    import(reversed.path(), "2", std::slice::from_ref(&old)).await;
    assert_eq!(both(&Lake::new(&reversed.path().join("lake"))).await, right);
    let together = tempfile::tempdir().expect("a folder");
    import(together.path(), "1", &[old, new]).await;
    assert_eq!(both(&Lake::new(&together.path().join("lake"))).await, right);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_in_part_takes_nothing_away_and_what_says_no_version_stays() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = Lake::new(&dir.path().join("lake"));
    import(dir.path(), "1", &[record("c", 1, &sessions(&[0, 1, 2]), false)]).await;
    // The first page of a newer version: what it lists is newer, the rest may be on other pages.
    import(dir.path(), "2", &[record("c", 3, &sessions(&[1]), true)]).await;
    assert_eq!(rows(&lake, "CallSessions").await, ["c s0 1", "c s1 3", "c s2 1"]);
    // Another page, which does not say its version.
    let page = json!({ "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#communications/callRecords('c')/sessions(segments())",
        "value": [{ "id": "s9", "startDateTime": "2026-02-28T23:00:00Z", "caller": {}, "callee": {}, "segments": [{ "id": "g0" }] }] });
    import(dir.path(), "3", &[page]).await;
    assert_eq!(rows(&lake, "CallSessions").await, ["c s0 1", "c s1 3", "c s2 1", "c s9 0"]);
    // The sessions of a version without their segments: those of older ones stay.
    let mut bare = record("c", 4, &sessions(&[1, 4]), false);
    bare["sessions"].as_array_mut().expect("sessions").iter_mut().for_each(|session| {
        session.as_object_mut().expect("a session").remove("segments");
    });
    import(dir.path(), "4", &[bare]).await;
    assert_eq!(rows(&lake, "CallSessions").await, ["c s1 4", "c s4 4", "c s9 0"]);
    assert_eq!(rows(&lake, "CallSegments").await.len(), 5 + 1);
    import(dir.path(), "5", &[record("c", 5, &sessions(&[4]), false)]).await;
    let [mut right, mut segments] = expected("c", 5, &sessions(&[4]));
    right.push("c s9 0".into());
    segments.push("c s9 g0 0".into());
    assert_eq!(both(&lake).await, [right, segments]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_which_some_rows_are_not_imported_takes_nothing_away() {
    let dir = tempfile::tempdir().expect("a folder");
    import(dir.path(), "1", &[record("c", 1, &sessions(&[0, 1, 2]), false)]).await;
    let path = dir.path().join("2");
    fs::write(&path, record("c", 2, &sessions(&[0, 1]), false).to_string()).expect("a file");
    let mut options = ImportOptions { clock: Arc::new(FixedClock::at_micros(DAY + 80 * 24 * HOUR)), ..ImportOptions::default() };
    // 2026-03-01, when session 1 begins.
    options.filter.since = Some(DAY + 55 * 24 * HOUR);
    let lake = Lake::new(&dir.path().join("lake"));
    import_paths(&lake, &[path], &options, &()).await.expect("an import");
    assert_eq!(rows(&lake, "CallSessions").await, ["c s0 1", "c s1 2", "c s2 1"]);
}

// Rows as the lake takes them.

/// What a file has of a version of a call: all its sessions, some of them, or a page that does not say the version.
#[derive(Debug, Clone, Copy)]
struct Document {
    call: u8,
    version: u8,
    part: Part,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    Whole,
    First,
    Page,
}

/// The newest version of each call.
const NEWEST: u8 = 4;

/// The sessions of a version of a call: any, but the newest has some.
fn of_version(masks: &[u8], call: u8, version: u8) -> Vec<u8> {
    let mask = masks[usize::from(call * NEWEST + version - 1) % masks.len()];
    let some = (0..5).filter(|number| mask & (1 << number) != 0);
    let newest = (version == NEWEST).then_some(call);
    some.chain(newest).collect::<BTreeSet<u8>>().into_iter().collect()
}

fn append(out: &mut RowBuilder, document: &Document, masks: &[u8]) {
    let of = out.def();
    let at = |name: &str| of.index_of(name).expect("a column");
    let numbers = of_version(masks, document.call, document.version);
    let numbers = if document.part == Part::First { &numbers[..numbers.len() / 2] } else { &numbers };
    for number in numbers {
        let time = DAY + i64::from(document.version) * 20 * 24 * HOUR + i64::from(*number);
        out.set_datetime_us(at("startDateTime"), time);
        out.set_str(at("callId"), &format!("call {}", document.call));
        let (name, version) = if document.part == Part::Page { ("page", 0) } else { ("session", document.version) };
        out.set_str(at("id"), &format!("{name} {number}"));
        out.set_i64(at("version"), i64::from(version));
        if document.part == Part::Whole {
            out.set_bool(at(IS_WHOLE), true);
        }
        out.end_row();
    }
}

/// Lands documents, each landing until it is landed. With `spill` each document of a landing is written before the next one comes.
async fn land_all(root: &Path, landings: &[&[Document]], masks: &[u8], spill: bool, stop: Option<Step>, compacted: bool) {
    let table = def("CallSessions");
    for (number, documents) in landings.iter().enumerate() {
        let stopped = AtomicUsize::new(0);
        let stops = move |step| Some(step) == stop && stopped.fetch_add(1, Ordering::SeqCst) == 0;
        let lakes = [Lake::with_fault(root, Fault::new(stops)), Lake::new(root)];
        for lake in lakes {
            let work = async {
                let mut landing = lake.land(table).await?.with_buffer(if spill { 1 } else { 1 << 20 });
                for document in *documents {
                    let mut out = RowBuilder::new(table);
                    append(&mut out, document, masks);
                    landing.write(out.finish().expect("rows")).await?;
                }
                landing.commit(position(number as i64)).await
            };
            if work.await.is_ok() {
                break;
            }
        }
        if compacted && number % 2 == 0 {
            compact(root).await;
        }
    }
}

fn cases(cases: u32) -> Config {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    Config { cases: asked.unwrap_or(cases), failure_persistence: None, max_shrink_iters: 60, ..Config::default() }
}

fn documents() -> impl Strategy<Value = Vec<Document>> {
    let part = prop_oneof![3 => Just(Part::Whole), 1 => Just(Part::First), 1 => Just(Part::Page)];
    let one = (0..2_u8, 1..NEWEST, part).prop_map(|(call, version, part)| Document { call, version, part });
    // The newest version came whole; in part it may come as well.
    let newest = (0..2_u8, Just(Part::First)).prop_map(|(call, part)| Document { call, version: NEWEST, part });
    let whole = [0, 1].map(|call| Document { call, version: NEWEST, part: Part::Whole });
    (prop::collection::vec(one, 0..8), prop::collection::vec(newest, 0..2)).prop_map(move |(mut all, newest)| {
        all.extend(newest);
        all.extend(whole);
        all
    })
}

proptest! {
    #![proptest_config(cases(32))]

    #[test]
    fn the_table_has_the_sessions_of_the_newest_whole_version_whatever_came_before_or_after(
        documents in documents(),
        order in prop::collection::vec(0..1000_usize, 16),
        masks in prop::collection::vec(any::<u8>(), 8),
        size in 1..6_usize,
        spill in any::<bool>(),
        stop in prop_oneof![2 => Just(None), 1 => Just(Some(Step::FileWritten)), 1 => Just(Some(Step::BeforeCommit))],
        compacted in any::<bool>(),
    ) {
        let mut places: Vec<usize> = (0..documents.len()).collect();
        places.sort_by_key(|place| (order[place % order.len()], *place));
        let ordered: Vec<Document> = places.into_iter().map(|place| documents[place]).collect();
        let mut right = BTreeSet::new();
        for document in &documents {
            let numbers = of_version(&masks, document.call, document.version);
            let name = |number: &u8| match document.part {
                Part::Page => format!("call {} page {number} 0", document.call),
                _ => format!("call {} session {number} {NEWEST}", document.call),
            };
            if document.part == Part::Page || document.version == NEWEST {
                right.extend(numbers.iter().map(name));
            }
        }
        let dir = tempfile::tempdir().expect("a folder");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let found = runtime.block_on(async {
            let landings: Vec<&[Document]> = ordered.chunks(size).collect();
            land_all(dir.path(), &landings, &masks, spill, stop, compacted).await;
            rows(&Lake::new(dir.path()), "CallSessions").await
        });
        prop_assert_eq!(found, right.into_iter().collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(cases(5))]

    #[test]
    fn tables_of_files_have_the_sessions_and_segments_of_the_newest_version(
        drawn in prop::collection::vec(prop::collection::btree_map(0..4_u8, prop::collection::btree_set(0..3_u8, 1..3), 1..4), 4),
        order in prop::collection::vec(0..1000_usize, 4),
        size in 1..4_usize,
        compacted in any::<bool>(),
    ) {
        let mut places: Vec<usize> = (0..drawn.len()).collect();
        places.sort_by_key(|place| (order[*place], *place));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let dir = tempfile::tempdir().expect("a folder");
        let found = runtime.block_on(async {
            for (number, chunk) in places.chunks(size).enumerate() {
                let records: Vec<Value> = chunk.iter().map(|at| record("c", *at as u8 + 1, &drawn[*at], false)).collect();
                import(dir.path(), &number.to_string(), &records).await;
                if compacted {
                    compact(&dir.path().join("lake")).await;
                }
            }
            both(&Lake::new(&dir.path().join("lake"))).await
        });
        prop_assert_eq!(found, expected("c", 4, &drawn[3]));
    }
}

/// A lake in which another process lands a document right before the first commit.
fn raced(root: &Path, document: Document, masks: &'static [u8]) -> Lake {
    let (calls, other, handle) = (AtomicUsize::new(0), root.to_owned(), tokio::runtime::Handle::current());
    let hook = move |step| {
        if step == Step::BeforeCommit && calls.fetch_add(1, Ordering::SeqCst) == 0 {
            let work = async { land_all(&other, &[&[document]], masks, false, None, false).await };
            tokio::task::block_in_place(|| handle.block_on(work));
        }
        false
    };
    Lake::with_fault(root, Fault::new(hook))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_whole_version_stays_when_another_process_lands_first() {
    // Of version 3 sessions 0 and 1, of the newest sessions 0 and 2.
    static MASKS: [u8; 8] = [0b11, 0b11, 0b11, 0b101, 0, 0, 0, 0];
    let document = |version| Document { call: 0, version, part: Part::Whole };
    for (theirs, ours) in [(3, NEWEST), (NEWEST, 3)] {
        let dir = tempfile::tempdir().expect("a folder");
        land_all(dir.path(), &[&[Document { call: 1, ..document(NEWEST) }]], &MASKS, false, None, false).await;
        let table = def("CallSessions");
        let mut landing = raced(dir.path(), document(theirs), &MASKS).land(table).await.expect("a landing");
        let mut out = RowBuilder::new(table);
        append(&mut out, &document(ours), &MASKS);
        // Something that is new in any case.
        append(&mut out, &Document { call: 1, version: 3, part: Part::Page }, &[0xff]);
        landing.write(out.finish().expect("rows")).await.expect("written");
        landing.commit(position(9)).await.expect("committed");
        let mut found = rows(&Lake::new(dir.path()), "CallSessions").await;
        found.retain(|row| row.starts_with("call 0"));
        assert_eq!(found, ["call 0 session 0 4", "call 0 session 2 4"], "{theirs} {ours}");
    }
}
