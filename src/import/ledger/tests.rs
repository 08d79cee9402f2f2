use super::*;

fn table_version(id: &str, version: i64) -> TableVersion {
    TableVersion { id: id.into(), version, repaired: None }
}

fn known(state: &str, hash: &str, details: &Details) -> Known {
    let state: LedgerState = state.parse().unwrap();
    let refused = if matches!(state, LedgerState::Tried(UnitState::Done | UnitState::Empty)) { 0 } else { 1 };
    Known {
        hash: hash.into(),
        stamp: Some(format!("stamp of {hash}")),
        standpoint: standpoint(state, refused, details),
        state,
        reason: None,
        section: None,
        bytes: 7,
        refused,
        extent: ReadExtent::Whole,
        attempts: 1,
        started: 0,
        is_old: false,
        tables: vec![("traces".into(), 2, Some(table_version("a", 3)))],
        listed: None,
        expires: None,
        source: None,
        scope: None,
        out_of_scope: 0,
        date_order: None,
        window: None,
        is_stretch: false,
        tiles: false,
        is_missing: false,
        is_torn: false,
        is_listing: false,
    }
}

fn units(all: &[(&str, Known)]) -> KnownUnits {
    KnownUnits { units: all.iter().map(|(name, known)| ((*name).to_owned(), known.clone())).collect() }
}

#[test]
fn only_settled_and_unchanged_units_are_skipped() {
    let now = Details::of_run("r");
    let held = Details { held: true, ..now.clone() };
    let filtered = Details { filtered: 1, ..now.clone() };
    let old = Details::default();
    let all = units(&[
        ("a", known("done", "h", &now)),
        ("b", known("incomplete", "h", &now)),
        ("c", known("incomplete", "h", &held)),
        ("d", known("incomplete", "h", &filtered)),
        ("e", known("incomplete", "h", &old)),
        ("f", known("filtered", "h", &now)),
        ("g", known("done", "h", &old)),
        ("h", Known { standpoint: standpoint(UnitState::Unknown.into(), 0, &now), ..known("unknown", "h", &now) }),
        ("i", Known { standpoint: standpoint(UnitState::Failed.into(), 0, &now), ..known("failed", "h", &now) }),
        ("y.zip!1", known("done", "h", &now)),
        ("y.zip!2", known("failed", "h", &held)),
        ("z.zip!1", known("done", "h", &now)),
        ("z.zip!2", known("failed", "h", &now)),
        ("z.zip.txt", known("failed", "h", &held)),
    ]);
    let known: Vec<&str> = all.units.keys().filter(|name| all.by_size(name, 7).is_some()).map(String::as_str).collect();
    assert_eq!(known, ["a", "b", "g", "h", "y.zip!1", "z.zip!1", "z.zip!2"]);
    assert_eq!(all.get("a").map(Known::state_now), Some(UnitState::Unchanged));
    assert_eq!(all.get("b").map(Known::state_now), Some(UnitState::Known));
    assert!(all.by_size("a", 8).is_none());
    assert_eq!((all.by_stamp("b", "stamp of h").len(), all.by_stamp("b", "other").len()), (1, 0));
    assert_eq!((all.by_stamp("c", "stamp of h").len(), all.by_stamp("z.zip", "stamp of h").len()), (0, 2));
    assert_eq!((all.archive("z.zip", "h").len(), all.archive("z.zip", "other").len()), (2, 0));
    assert!(all.archive("y.zip", "h").is_empty());
    // Archives that could not be opened are known by their content, too, and what was repaired is not.
    assert_eq!((all.archive("b", "h").len(), all.archive("b", "other").len(), all.archive("a", "h").len()), (1, 0, 0));

    let names = BTreeSet::from(["z.zip".to_owned(), "b".to_owned()]);
    let mut retried = all.clone();
    retried.forget(Some(&names));
    assert!(retried.by_size("b", 7).is_none() && retried.archive("z.zip", "h").is_empty());
    assert!(retried.by_size("a", 7).is_some());
}

#[test]
fn a_unit_is_hashed_in_the_form_in_which_it_is_known() {
    let details = Details::of_run("r");
    let old = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let all = units(&[
        ("a", known("done", old, &details)),
        ("b", known("done", "xxh3:06b05ab6733a618578af5f94892f3950", &details)),
        ("c", known("failed", "", &details)),
        ("z.zip!1", known("failed", "", &details)),
        ("z.zip!2", known("done", old, &details)),
    ]);
    let forms = ["a", "b", "c", "other", "z.zip", "z"].map(|name| all.hash_form(name));
    let [new, old] = [HashForm::Xxh3, HashForm::Sha256];
    assert_eq!(forms, [old, new, new, new, old, new]);
}

#[test]
fn a_unit_is_known_only_while_its_rows_are_there() {
    for (now, there) in [
        (Some(table_version("a", 3)), true),
        (Some(table_version("a", 9)), true),
        (Some(table_version("a", 2)), false),
        (Some(table_version("b", 3)), false),
        // A repair lost version 3, or a later one.
        (Some(TableVersion { repaired: Some(3), ..table_version("a", 9) }), false),
        (Some(TableVersion { repaired: Some(4), ..table_version("a", 9) }), true),
        (None, false),
    ] {
        let mut units = units(&[("a", known("done", "h", &Details::of_run("r")))]);
        units.forget_gone(&now.clone().map(|now| ("traces", now)).into_iter().collect());
        assert_eq!(units.by_size("a", 7).is_some(), there, "{now:?}");
        let gone = units.gone(&HashSet::new(), 0, "r");
        assert_eq!(gone.iter().any(|entry| entry.unit == "a" && entry.state == LedgerState::Gone), !there, "{now:?}");
    }
}

#[tokio::test]
async fn a_section_reads_its_own_rows() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::new(dir.path());
    let def = find(TABLE).unwrap();
    let entry = |section, unit: &str| Entry {
        section,
        unit: unit.into(),
        state: UnitState::Done.into(),
        details: Details::of_run("run"),
        ..Entry::default()
    };
    let entries = [entry(Some(Section::Calls), "calls"), entry(Some(Section::Audit), "blob"), entry(None, "file")];
    let rows = entries.map(|entry| entry.to_row(def));
    let position = kqlake_lake::Position { stream: "test".into(), cursor: serde_json::json!({}), import_id: "run".into() };
    crate::own_rows::land(&lake, TABLE, rows.iter(), position).await.unwrap();
    for (section, expected) in
        [(Some(Section::Calls), &["calls"][..]), (Some(Section::Teams), &[]), (None, &["blob", "calls", "file"])]
    {
        let known = read(&lake, section).await.unwrap();
        assert_eq!(known.units.keys().collect::<Vec<_>>(), expected, "{section:?}");
        assert_eq!(super::rows(&lake, section).await.unwrap().iter().map(RecordBatch::num_rows).sum::<usize>(), expected.len());
    }
}

/// The rows of some entries.
fn batch<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> RecordBatch {
    let ledger = find(TABLE).unwrap();
    let mut builder = kqlake_lake::RowBuilder::new(ledger);
    entries.into_iter().for_each(|entry| entry.to_row(ledger).append_to(&mut builder, "run"));
    builder.finish().unwrap()
}

/// What is known of the units of batches of rows.
fn read_back(batches: &[RecordBatch]) -> KnownUnits {
    let mut known = KnownUnits::default();
    batches.iter().for_each(|batch| add(&mut known, batch).unwrap());
    known
}

#[test]
fn what_was_never_read_to_its_end_is_missing() {
    for state in UnitState::ALL.map(LedgerState::Tried).into_iter().chain([LedgerState::Listed, LedgerState::Gone]) {
        let expected = match state.name() {
            "listed" | "failed" => (true, true),
            "incomplete" | "unknown" => (true, false),
            _ => (false, false),
        };
        assert_eq!((unlisted::is_missing(state, ""), unlisted::is_missing(state, "h")), expected, "{state:?}");
    }
    let entry = |state: UnitState, hash: Option<&str>, refused| Entry {
        unit: "u".into(),
        state: state.into(),
        content_hash: hash.map(str::to_owned),
        refused,
        details: Details::of_run("r"),
        ..Entry::default()
    };
    for (entry, is_open, is_missing) in [
        (entry(UnitState::Done, Some("h"), 0), false, false),
        // Quarantined, and so no unit that must still be read.
        (entry(UnitState::Failed, Some("h"), 1), false, false),
        (entry(UnitState::Failed, Some("h"), 0), true, true),
        (entry(UnitState::Failed, None, 1), true, true),
        (entry(UnitState::Incomplete, None, 1), true, true),
        (entry(UnitState::Filtered, None, 0), true, false),
    ] {
        let known = read_back(&[batch([&entry])]);
        let known = known.get("u").unwrap();
        assert_eq!((known.is_open(), known.is_missing), (is_open, is_missing), "{entry:?}");
    }
}

#[test]
fn the_newest_row_of_a_unit_says_what_is_known_of_it() {
    let entry = |started: i64, state: UnitState| Entry {
        started,
        unit: "u".into(),
        state: state.into(),
        content_hash: Some("h".into()),
        attempt: started,
        details: Details::of_run("r"),
        ..Entry::default()
    };
    let (failed, done) = (entry(1, UnitState::Failed), entry(2, UnitState::Done));
    for order in [[&failed, &done], [&done, &failed]] {
        for batches in [vec![batch(order)], order.map(|entry| batch([entry])).to_vec()] {
            let known = read_back(&batches);
            assert_eq!((known.get("u").unwrap().is_open(), known.attempts("u")), (false, 2));
        }
    }
    assert_eq!(KnownUnits::default().attempts("u"), 0);
}

#[test]
fn a_unit_whose_rows_are_gone_stays_that_of_its_source_which_has_it_for_a_while() {
    let details = Details { source: Some("audit".into()), tiles: true, stretch: true, ..Details::of_run("r") };
    let done = Entry {
        section: Some(Section::Audit),
        unit: "u".into(),
        state: UnitState::Done.into(),
        rows: BTreeMap::from([("AuditRecords".into(), 3)]),
        content_hash: Some("h".into()),
        attempt: 2,
        window: Some((1, 2)),
        listed: Some(4),
        expires: Some(9),
        details: details.clone(),
        ..Entry::default()
    };
    let mut known = read_back(&[batch([&done])]);
    known.forget_gone(&HashMap::new());
    let gone = known.gone(&HashSet::new(), 7, "r");
    let expected = Entry {
        started: 7,
        finished: 7,
        state: LedgerState::Gone,
        reason: gone[0].reason.clone(),
        rows: BTreeMap::new(),
        details,
        ..done.clone()
    };
    assert_eq!(gone, [expected]);
    // It is said once, and what nobody has any more is told as such.
    let next = read_back(&[batch([&done, &gone[0]])]);
    assert!(next.get("u").unwrap().is_open() && next.gone(&HashSet::new(), 8, "r").is_empty());
    let told = [8, 9, 10].map(|now| next.overdue("audit", now).len());
    assert_eq!(told, [0, 0, 1]);
}

#[test]
fn a_new_stamp_changes_nothing_else_of_what_is_known() {
    let details = Details {
        landed: BTreeMap::from([("traces".into(), table_version("a", 3))]),
        stamp: Some("s".into()),
        date_order: Some("day-first".into()),
        ..Details::of_run("r")
    };
    let of_sites = Details { out_of_scope: 4, scope: Some("sites".into()), ..details.clone() };
    let cut = Details { cut: true, ..details.clone() };
    for (state, refused, details) in [
        (UnitState::Done, 0, &details),
        (UnitState::Empty, 0, &details),
        (UnitState::Incomplete, 2, &cut),
        (UnitState::Failed, 1, &details),
        (UnitState::Unknown, 1, &details),
        (UnitState::Filtered, 0, &of_sites),
    ] {
        let entry = Entry {
            section: Some(Section::Hits),
            unit: "u".into(),
            state: state.into(),
            reason: Some("r".into()),
            rows: BTreeMap::from([("traces".into(), 3)]),
            refused,
            bytes: 9,
            content_hash: Some("h".into()),
            attempt: 4,
            listed: Some(1),
            details: details.clone(),
            ..Entry::default()
        };
        let known = read_back(&[batch([&entry])]);
        let known = known.get("u").unwrap();
        let restamped = read_back(&[batch([&known.restamped("u", "t", 8, "next")])]);
        assert!(known.is_settled(), "{state:?}");
        assert_eq!(restamped.get("u"), Some(&Known { stamp: Some("t".into()), started: 8, ..known.clone() }), "{state:?}");
    }
}

#[test]
fn a_unit_is_news_that_the_ledger_does_not_know_or_that_changed_since() {
    let listed = |name: &str, stamp: Option<&str>| crate::source::ListedUnit {
        name: name.into(),
        stamp: stamp.map(str::to_owned),
        ..Default::default()
    };
    let now = Details::of_run("r");
    let all = units(&[
        ("done", known("done", "h", &now)),
        ("open", known("failed", "h", &Details { held: true, ..now.clone() })),
        ("unstamped", Known { stamp: None, ..known("done", "h", &now) }),
    ]);
    for (unit, is_news) in [
        (listed("new", None), true),
        (listed("done", Some("stamp of h")), false),
        (listed("done", Some("another")), true),
        (listed("done", None), false),
        // It is noted as what must be read.
        (listed("open", Some("another")), false),
        (listed("unstamped", Some("stamp of h")), true),
    ] {
        assert_eq!(all.is_news(&unit), is_news, "{unit:?}");
    }
}

#[test]
fn entries_are_read_back_as_they_were_written() {
    let entry = Entry {
        started: 5,
        finished: 6,
        section: Some(Section::Hits),
        unit: "u".into(),
        state: UnitState::Incomplete.into(),
        reason: Some("r".into()),
        rows: BTreeMap::from([("traces".into(), 3)]),
        refused: 2,
        bytes: 9,
        content_hash: Some("h".into()),
        attempt: 4,
        listed: Some(4),
        expires: Some(9),
        window: Some((1, 2)),
        details: Details {
            landed: BTreeMap::from([("traces".into(), table_version("a", 3))]),
            stamp: Some("s".into()),
            cut: true,
            source: Some("contoso/audit".into()),
            scope: Some("sites".into()),
            date_order: Some("day-first".into()),
            tiles: true,
            stretch: true,
            damaged: true,
            ..Details::of_run("run")
        },
        ..Entry::default()
    };
    let known = read_back(&[batch([&entry])]);
    let expected = Known {
        hash: "h".into(),
        stamp: Some("s".into()),
        standpoint: Standpoint::Open,
        state: UnitState::Incomplete.into(),
        reason: None,
        section: Some(Section::Hits),
        bytes: 9,
        refused: 2,
        extent: ReadExtent::Cut,
        attempts: 4,
        started: 5,
        is_old: false,
        tables: vec![("traces".into(), 3, Some(table_version("a", 3)))],
        listed: Some(4),
        expires: Some(9),
        source: Some("contoso/audit".into()),
        scope: Some("sites".into()),
        out_of_scope: 0,
        date_order: Some("day-first".into()),
        window: Some((1, 2)),
        is_stretch: true,
        tiles: true,
        is_missing: false,
        is_torn: true,
        is_listing: false,
    };
    assert_eq!(known.get("u"), Some(&expected), "what a service gave cut off is asked for again");
    let of_file = Entry { details: Details { source: None, ..entry.details.clone() }, ..entry.clone() };
    let refused =
        Known { standpoint: Standpoint::Refused, reason: Some("r".into()), source: None, is_torn: false, ..expected.clone() };
    assert_eq!(read_back(&[batch([&of_file])]).get("u"), Some(&refused));
    let again = known.get("u").unwrap().restamped("u", "t", 8, "next");
    assert_eq!((again.rows, again.refused, again.details.landed), (entry.rows, 2, entry.details.landed));
    assert!(known.get("u").unwrap().lacks("t") && !known.get("u").unwrap().lacks("s"));
}

#[test]
fn a_unit_whose_state_only_a_newer_version_knows_is_read_again() {
    let ledger = find(TABLE).unwrap();
    let entry = Entry { unit: "u".into(), details: Details::of_run("r"), ..Entry::default() };
    for (word, is_open) in [("done", false), ("delegated", true)] {
        let mut row = entry.to_row(ledger);
        row.set("state", crate::row::Cell::text(word));
        let mut builder = kqlake_lake::RowBuilder::new(ledger);
        row.append_to(&mut builder, "run");
        let mut known = KnownUnits::default();
        add(&mut known, &builder.finish().unwrap()).unwrap();
        assert_eq!(known.get("u").unwrap().is_open(), is_open, "{word}");
    }
}

#[test]
fn what_a_listing_has_no_longer_is_covered_or_lost_and_a_listing_that_failed_is_neither() {
    let missing = |state: &str, window, is_listing| Known {
        source: Some("contoso/trace".into()),
        is_missing: unlisted::is_missing(state.parse().unwrap(), ""),
        window,
        is_listing,
        ..known(state, "", &Details { held: true, ..Details::of_run("r") })
    };
    let all = units(&[
        ("a", Known { hash: "h".into(), ..missing("done", Some((0, 10)), false) }),
        ("b", missing("failed", Some((5, 25)), false)),
        ("c", missing("failed", Some((5, 35)), false)),
        ("d", missing("incomplete", Some((10, 20)), false)),
        ("e", missing("failed", None, true)),
        ("f", missing("listed", None, false)),
        ("g", missing("expired", None, false)),
        ("h", missing("filtered", None, false)),
        ("i", Known { expires: Some(1), ..missing("failed", None, false) }),
        ("j", Known { source: Some("other".into()), ..missing("failed", None, false) }),
        ("k", missing("failed", None, false)),
        ("contoso/trace", missing("failed", None, true)),
    ]);
    let again: Vec<_> =
        all.listed_again("other", |name| name != "x").into_iter().map(|unit| (unit.name.clone(), unit.state())).collect();
    assert_eq!(again, [("j".to_owned(), UnitState::Done)]);
    assert!(all.listed_again("other", |_| false).is_empty());
    let read = HashSet::from(["k".to_owned()]);
    let told = |times: Option<&[(i64, i64)]>| -> Vec<(String, UnitState)> {
        all.unlisted("contoso/trace", &read, times).into_iter().map(|unit| (unit.name.clone(), unit.state())).collect()
    };
    let of = |states: [UnitState; 5]| -> Vec<(String, UnitState)> {
        ["b", "c", "d", "e", "f"].into_iter().map(str::to_owned).zip(states).collect()
    };
    use UnitState::{Done, Expired};
    assert_eq!(told(Some(&[(10, 20), (20, 30)])), of([Done, Expired, Done, Done, Expired]));
    assert_eq!(told(None), of([Expired, Expired, Expired, Done, Expired]));
}

#[test]
fn what_is_in_the_lake_does_not_expire_whatever_is_read_again() {
    let details = Details { held: true, ..Details::of_run("r") };
    let unit = |state: &str, details: &Details| {
        let known = known(state, "", details);
        let is_missing = known.standpoint == Standpoint::Open && unlisted::is_missing(known.state, "");
        Known { source: Some("audit".into()), expires: Some(5), is_missing, ..known }
    };
    let mut all = units(&[
        ("done", unit("done", &Details::of_run("r"))),
        ("failed", unit("failed", &details)),
        ("listed", unit("listed", &details)),
        ("filtered", unit("filtered", &Details { filtered: 1, ..Details::of_run("r") })),
        ("expired", unit("expired", &details)),
    ]);
    all.forget(None);
    let told = |units: &KnownUnits, now| units.overdue("audit", now).into_keys().collect::<BTreeSet<_>>();
    assert_eq!(told(&all, 6), BTreeSet::from(["failed", "listed"].map(str::to_owned)));
    assert!(told(&all, 5).is_empty());
    all.forget(None);
    if let Some(done) = all.units.get_mut("done") {
        done.standpoint = Standpoint::Complete;
    }
    all.forget_gone(&HashMap::new());
    assert!(told(&all, 6).contains("done"), "its rows are gone, and nobody has them");
}

#[test]
fn refused_units_are_read_again_under_another_order_of_dates() {
    let refused =
        |order: Option<&str>| Known { date_order: order.map(str::to_owned), ..known("incomplete", "h", &Details::of_run("r")) };
    let all = units(&[("a", refused(None)), ("b", refused(Some("day-first"))), ("c", known("done", "h", &Details::of_run("r")))]);
    for (order, open) in [(DateOrder::Unknown, &[][..]), (DateOrder::DayFirst, &["a"]), (DateOrder::MonthFirst, &["a", "b"])] {
        let mut known = all.clone();
        known.forget_date_order(order);
        let now: Vec<&str> = known.units.iter().filter(|(_, known)| known.is_open()).map(|(name, _)| name.as_str()).collect();
        assert_eq!(now, open, "{order:?}");
    }
}
