//! Refused records: quarantined whole as compressed NDJSON, one file a unit, complete or not at all.
//!
//! `<lake>/_quarantine/<run>/<unit>.ndjson.gz` begins with a line that says the version of its form, the unit, the run and the
//! program; each further line is a record with its place and the reason. Earlier programs wrote `.ndjson` without compression and
//! without the first line, and cut long records.

pub(crate) mod earlier;
pub(crate) mod seen;
pub(crate) mod store;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use self::earlier::{Earlier, SetAside};
use super::ImportError;
use super::files::documents::Place;
use super::files::input::FileLimits;
use kqlake_durable::{self as durable, Draft};
use kqlake_value::format::{InstantText, hex};

/// The version of the files' form.
const FORMAT: u32 = 2;
/// The member of the first line that says the version.
const FORMAT_KEY: &str = "kqlakeQuarantine";
/// The end of the files' names.
const ENDING: &str = ".ndjson.gz";
/// The end of the names that earlier programs gave.
const OLD_ENDING: &str = ".ndjson";
/// The file beside the runs' folders that is locked while a run makes a file final.
const TURN: &str = ".turn";
/// Bytes of text that are compressed at once.
const TEXT_BUFFER: usize = 64 << 10;

/// The quarantine of one run: a folder that is made when the first record is refused. Clones share the folder's names.
#[derive(Debug, Clone)]
pub(crate) struct Quarantine {
    folder: Option<PathBuf>,
    import_id: String,
    /// When the run began, as text.
    at: String,
    limits: FileLimits,
    /// What earlier runs quarantined.
    earlier: Earlier,
    /// Names of files that are given, in lower case, and how often.
    used: Arc<Mutex<HashMap<String, u32>>>,
}

impl Quarantine {
    /// The quarantine of a run that began at an instant (microseconds since 1970), with what earlier ones quarantined; without a
    /// lake nothing is written.
    ///
    /// Removes what runs that were killed left beside it.
    pub(crate) fn new(lake: Option<&Path>, import_id: &str, now: i64, limits: FileLimits, earlier: Earlier) -> Self {
        let folder = lake.map(store::folder);
        let runs = folder.as_deref().and_then(|runs| fs::read_dir(runs).ok());
        for run in runs.into_iter().flatten().flatten().filter(|run| run.file_type().is_ok_and(|kind| kind.is_dir())) {
            durable::sweep(&run.path());
        }
        let at = format!("{}+00:00", InstantText::of_us(now).with_thousandths());
        let folder = folder.map(|runs| runs.join(import_id));
        Self { folder, import_id: import_id.to_owned(), at, limits, earlier, used: Arc::default() }
    }

    /// Begins a unit.
    pub(crate) fn unit(&self, name: &str) -> UnitQuarantine {
        UnitQuarantine {
            quarantine: self.clone(),
            name: name.to_owned(),
            open: None,
            earlier: None,
            digests: Vec::new(),
            kept: 0,
            bytes: 0,
            known: 0,
            omitted: 0,
            failed: None,
        }
    }

    /// A file for a unit with a name that no other unit of the run has, and the names that it may have in other runs.
    fn file_for(&self, unit: &str) -> Option<(PathBuf, Vec<String>)> {
        let last = |path: &str| path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned();
        // Of an archive's entry both names are kept.
        let base = match unit.rsplit_once('!') {
            Some((archive, entry)) => format!("{}!{}", last(archive), last(entry)),
            None => last(unit),
        };
        let safe: String = base
            .chars()
            .map(|c| if c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '!' | ' ' | '(' | ')') { c } else { '_' })
            .take(120)
            .collect();
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let count = used.entry(safe.to_lowercase()).or_default();
        *count += 1;
        let name = |n: u32| if n == 1 { format!("{safe}{ENDING}") } else { format!("{safe}-{n}{ENDING}") };
        self.folder.as_ref().map(|folder| (folder.join(name(*count)), (1..=*count).map(name).collect()))
    }

    /// Begins a file in the run's folder, which is made where it is not there: in turn, since another unit of the run that finds it
    /// empty removes it.
    fn draft(&self, path: &Path) -> io::Result<Draft> {
        if let Some(runs) = path.parent().and_then(Path::parent) {
            durable::create_folders(runs)?;
        }
        let _turn = self.turn();
        path.parent().map_or(Ok(()), durable::create_folders)?;
        Draft::create(path)
    }

    /// Waits until no other run makes a file final; the turn is over when what is given back is dropped. A file system without
    /// locks gives none.
    fn turn(&self) -> Option<File> {
        let runs = self.folder.as_deref()?.parent()?;
        let file = File::options().create(true).truncate(false).write(true).open(runs.join(TURN)).ok()?;
        file.lock().ok().map(|()| file)
    }

    /// True where runs beside this one have quarantined these records of a unit since it began.
    fn came_beside(&self, unit: &str, names: &[String], digests: &[[u8; 32]], omitted: u64) -> bool {
        let Some(runs) = self.folder.as_deref().and_then(Path::parent) else { return false };
        let files = store::named(runs, names, unit).unwrap_or_default();
        let files = files.iter().filter(|file| file.import_id != self.import_id && !self.earlier.is_known(&file.path));
        SetAside::of_files(files).holds(digests, omitted)
    }
}

struct OpenFile {
    path: PathBuf,
    /// The names that the unit's file may have in other runs.
    names: Vec<String>,
    draft: Draft,
    /// Text is gathered before it is compressed: JSON is written a piece at a time, one for each escape.
    writer: BufWriter<GzEncoder<BufWriter<File>>>,
}

/// The refused records of one unit.
pub(crate) struct UnitQuarantine {
    quarantine: Quarantine,
    name: String,
    open: Option<OpenFile>,
    /// What earlier runs quarantined of the unit; read when a record of it is refused.
    earlier: Option<SetAside>,
    /// The SHA-256 of each record that this run quarantined.
    digests: Vec<[u8; 32]>,
    /// Records that are quarantined, by this run or before.
    kept: u64,
    /// Their bytes.
    bytes: u64,
    /// Those that were quarantined before.
    known: u64,
    omitted: u64,
    failed: Option<ImportError>,
}

/// What became of a unit's refused records.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The file that the new ones are in; `None` without any.
    pub path: Option<PathBuf>,
    /// Those that an earlier run refused, and reported.
    pub known: u64,
    /// Those that are new and only counted, being too many.
    pub not_kept: u64,
}

impl UnitQuarantine {
    /// Quarantines a record; false for one that an earlier run quarantined and reported. A failure is kept and given back by
    /// [`UnitQuarantine::finish`].
    pub(crate) fn refuse(&mut self, place: Place, reason: &str, text: &[u8]) -> bool {
        if self.failed.is_some() {
            return true;
        }
        let limits = self.quarantine.limits;
        let kept = &text[..text.len().min(limits.quarantine_text)];
        if text.is_empty() && self.earlier().is_whole(reason) {
            // Of a unit that is refused as a whole there is one record for a reason, and it is reported whenever the unit is read.
            self.kept += 1;
            return true;
        }
        let is_known = self.earlier().take(text);
        if !is_known && (self.kept >= limits.quarantine_records || self.bytes + kept.len() as u64 > limits.quarantine_bytes) {
            self.omitted += 1;
            return true;
        }
        self.kept += 1;
        self.bytes += kept.len() as u64;
        if is_known {
            self.known += 1;
            return self.quarantine.earlier.is_told_again(&self.name);
        }
        let digest = Sha256::digest(text);
        self.digests.push(digest.into());
        let mut entry = json!({
            "file": self.name,
            "place": { "line": place.line, "byte": place.byte, "record": place.record },
            "reason": reason,
        });
        match std::str::from_utf8(kept) {
            Ok(text) => entry["record"] = text.into(),
            // Readable, and exactly what was there.
            Err(_) => {
                entry["record"] = String::from_utf8_lossy(kept).into();
                entry["recordHex"] = hex(kept).into();
            }
        }
        if kept.len() < text.len() {
            entry["cutAt"] = kept.len().into();
            entry["bytes"] = text.len().into();
            entry["sha256"] = hex(&digest).into();
        }
        self.line(&entry);
        true
    }

    fn earlier(&mut self) -> &mut SetAside {
        let Self { earlier, quarantine, name, .. } = self;
        earlier.get_or_insert_with(|| quarantine.earlier.of(name))
    }

    /// Counts a record that is not quarantined, since enough of its kind are.
    pub(crate) fn pass(&mut self) {
        self.omitted += 1;
    }

    fn line(&mut self, entry: &serde_json::Value) {
        if let Err((path, source)) = self.try_line(entry) {
            self.failed = Some(ImportError::Quarantine { path, source });
        }
    }

    fn try_line(&mut self, entry: &serde_json::Value) -> Result<(), (PathBuf, io::Error)> {
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let Some((path, names)) = self.quarantine.file_for(&self.name) else { return Ok(()) };
                let head = json!({
                    FORMAT_KEY: FORMAT,
                    "unit": self.name,
                    "importId": self.quarantine.import_id,
                    "refusedAt": self.quarantine.at,
                    "kqlakeVersion": env!("CARGO_PKG_VERSION"),
                });
                let made = self.quarantine.draft(&path).and_then(|draft| {
                    let file = BufWriter::new(draft.file().try_clone()?);
                    let mut writer = BufWriter::with_capacity(TEXT_BUFFER, GzEncoder::new(file, Compression::fast()));
                    writeln!(writer, "{head}").map(|()| (draft, writer))
                });
                let (draft, writer) = made.map_err(|error| (path.clone(), error))?;
                self.open.insert(OpenFile { path, names, draft, writer })
            }
        };
        let written = serde_json::to_writer(&mut open.writer, entry).map_err(io::Error::from);
        written.and_then(|()| open.writer.write_all(b"\n")).map_err(|error| (open.path.clone(), error))
    }

    /// Makes the file final.
    pub(crate) fn finish(mut self) -> Result<Kept, ImportError> {
        if self.omitted > 0 {
            let omitted = self.omitted;
            let counted = self.earlier().counted(omitted);
            self.omitted -= counted;
            self.known += counted;
        }
        let known = if self.quarantine.earlier.is_told_again(&self.name) { 0 } else { self.known };
        let mut kept = Kept { path: None, known, not_kept: self.omitted };
        if self.omitted > 0 {
            let reason = format!("{} more records were refused; their texts are not kept", self.omitted);
            self.line(&json!({ "file": self.name, "reason": reason, "omitted": self.omitted }));
        }
        let open = self.open.take();
        if let Some(failed) = self.failed.take() {
            return Err(failed);
        }
        let Some(OpenFile { path, names, draft, writer }) = open else { return Ok(kept) };
        let encoder = writer.into_inner().map_err(io::IntoInnerError::into_error);
        let file = encoder.and_then(GzEncoder::finish);
        let written = file.and_then(|file| file.into_inner().map_err(io::IntoInnerError::into_error));
        // Of two runs that read a file side by side, the one that ends last sees what the other has quarantined.
        let _turn = self.quarantine.turn();
        if written.is_ok() && self.quarantine.came_beside(&self.name, &names, &self.digests, self.omitted) {
            drop(draft);
            if let Some(run) = path.parent() {
                // It stays while it holds anything.
                let _ = fs::remove_dir(run);
            }
            return Ok(kept);
        }
        match written.and_then(|_| draft.publish()) {
            Ok(()) => {
                kept.path = Some(path);
                Ok(kept)
            }
            Err(source) => Err(ImportError::Quarantine { path, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::earlier::ReportAgain;
    use super::*;

    fn quarantine(lake: &Path, limits: FileLimits) -> Quarantine {
        quarantine_after(lake, limits, Vec::new(), ReportAgain::default())
    }

    fn quarantine_after(lake: &Path, limits: FileLimits, files: Vec<store::QuarantineFile>, again: ReportAgain) -> Quarantine {
        let run = if files.is_empty() { "run".to_owned() } else { format!("run after {}", files.len()) };
        Quarantine::new(Some(lake), &run, 0, limits, Earlier::new(files, &BTreeSet::new(), again))
    }

    #[test]
    fn records_are_quarantined_with_their_place() {
        let lake = tempfile::tempdir().unwrap();
        let limits = FileLimits { quarantine_text: 4, quarantine_records: 2, ..FileLimits::default() };
        let quarantine = quarantine(lake.path(), limits);
        let mut unit = quarantine.unit("a/b/x.json");
        for n in 1..=3 {
            unit.refuse(Place { line: Some(n), byte: 9, record: n }, "no valid JSON", b"{\"\xff rest");
        }
        let path = unit.finish().unwrap().path.unwrap();
        assert!(path.ends_with("_quarantine/run/x.json.ndjson.gz"));
        let [file] = &store::list(lake.path()).unwrap()[..] else { panic!("one file expected") };
        assert_eq!((file.unit.as_str(), file.import_id.as_str(), file.at), ("a/b/x.json", "run", Some(0)));
        let records: Vec<_> = store::records(file).unwrap().map(Result::unwrap).collect();
        assert_eq!(records.len(), 3);
        assert_eq!((records[1].line, records[1].text.as_str(), records[1].is_whole), (Some(2), "{\"\u{fffd} ", false));
        assert_eq!((records[2].omitted, records[0].omitted), (1, 0));
        assert_eq!(quarantine.unit("clean").finish().unwrap(), Kept::default());
        let mut twin = quarantine.unit("other/x.json");
        twin.refuse(Place::default(), "r", b"");
        assert!(twin.finish().unwrap().path.unwrap().ends_with("x.json-2.ndjson.gz"));
        assert_eq!(store::list(lake.path()).unwrap().len(), 2);
    }

    #[test]
    fn a_long_record_is_kept_whole_and_the_unit_has_a_bound() {
        let lake = tempfile::tempdir().unwrap();
        let limits = FileLimits { quarantine_bytes: 250_000, ..FileLimits::default() };
        let mut unit = quarantine(lake.path(), limits).unit("x");
        let long = "x".repeat(100_000);
        for _ in 0..4 {
            unit.refuse(Place::default(), "r", long.as_bytes());
        }
        unit.finish().unwrap();
        let file = store::list(lake.path()).unwrap().remove(0);
        let records: Vec<_> = store::records(&file).unwrap().map(Result::unwrap).collect();
        assert!(records[..2].iter().all(|record| record.text == long && record.is_whole));
        assert_eq!((records.len(), records[2].omitted), (3, 2));
    }

    #[test]
    fn what_was_quarantined_before_is_known_as_often_as_it_was() {
        let lake = tempfile::tempdir().unwrap();
        let limits = FileLimits { quarantine_text: 4, quarantine_records: 4, ..FileLimits::default() };
        let lines: [&[u8]; 6] = [b"a", b"a", b"\xff", b"too long", b"not kept", b"nor this"];
        let refuse = |quarantine: &Quarantine, lines: &[&[u8]]| {
            let mut unit = quarantine.unit("x");
            let news = lines.iter().filter(|line| unit.refuse(Place::default(), "r", line)).count();
            (news, unit.finish().unwrap())
        };
        let (news, first) = refuse(&quarantine(lake.path(), limits), &lines);
        assert_eq!((news, first.known, first.not_kept), (6, 0, 2));
        let after = |limits, again| quarantine_after(lake.path(), limits, store::list(lake.path()).unwrap(), again);
        assert_eq!(refuse(&after(limits, ReportAgain::default()), &lines).1, Kept { path: None, known: 6, not_kept: 0 });
        assert_eq!(refuse(&after(limits, ReportAgain::All), &lines), (6, Kept::default()));
        // The bound is one of the unit, whichever run met its records.
        let grown = refuse(&after(limits, ReportAgain::default()), &[&lines[..], &[b"a"]].concat()).1;
        assert_eq!((grown.known, grown.not_kept), (6, 1));
        // What is more than before is new.
        let wide = FileLimits { quarantine_records: 9, ..limits };
        assert_eq!(refuse(&after(wide, ReportAgain::default()), &[b"a", b"a", b"a", b""]).0, 2);
        // Where not all come by again, it is unknown which of them were counted.
        assert_eq!(refuse(&after(limits, ReportAgain::default()), &lines[1..]).1.known, 3);
    }

    #[test]
    fn runs_side_by_side_quarantine_a_record_once() {
        let lake = tempfile::tempdir().unwrap();
        let limits = FileLimits { quarantine_records: 3, ..FileLimits::default() };
        let run = |id: &str| Quarantine::new(Some(lake.path()), id, 0, limits, Earlier::default());
        let refuse = |run: &Quarantine, unit: &str, lines: &[&str]| {
            let mut unit = run.unit(unit);
            lines.iter().for_each(|line| assert!(unit.refuse(Place::default(), "r", line.as_bytes())));
            unit
        };
        let count = || store::list(lake.path()).unwrap().len();
        let (one, two) = (run("one"), run("two"));
        let lines = ["a", "a", "b", "only counted"];
        let units = [refuse(&one, "d/x", &lines), refuse(&two, "d/x", &lines)];
        let paths = units.map(|unit| unit.finish().unwrap().path);
        assert!(paths[0].is_some() && paths[1].is_none(), "{paths:?}");
        assert_eq!(count(), 1);
        assert!(!lake.path().join("_quarantine/two").exists());
        // Another file of that name, one text more often, and one record more that is only counted, are other records.
        for (unit, lines) in [("e/x", &lines[..3]), ("d/x", &["a", "a", "a"]), ("d/x", &["a", "a", "b", "c", "d"])] {
            let before = count();
            assert!(refuse(&run("three"), unit, lines).finish().unwrap().path.is_some(), "{unit} {lines:?}");
            assert_eq!(count(), before + 1);
            fs::remove_dir_all(lake.path().join("_quarantine/three")).unwrap();
        }
    }

    #[test]
    fn a_unit_whose_records_came_beside_takes_no_folder_from_another_one() {
        let lake = tempfile::tempdir().unwrap();
        let run = |id: &str| Quarantine::new(Some(lake.path()), id, 0, FileLimits::default(), Earlier::default());
        let refuse = |run: &Quarantine, unit: String| {
            let mut unit = run.unit(&unit);
            unit.refuse(Place::default(), "r", b"x");
            unit.finish().unwrap().path
        };
        let (first, second) = (run("first"), run("second"));
        (0..100).for_each(|number| assert!(refuse(&first, format!("d/{number}")).is_some()));
        std::thread::scope(|scope| {
            for part in 0..4 {
                let (second, refuse) = (&second, &refuse);
                scope.spawn(move || {
                    for number in (part * 25)..(part * 25 + 25) {
                        assert_eq!(refuse(second, format!("d/{number}")), None);
                        assert!(refuse(second, format!("e/{number}")).is_some_and(|path| fs::remove_file(path).is_ok()));
                    }
                });
            }
        });
    }

    #[test]
    fn one_run_at_a_time_makes_its_files_final() {
        let lake = tempfile::tempdir().unwrap();
        let quarantine = quarantine(lake.path(), FileLimits::default());
        let runs = store::folder(lake.path());
        std::fs::create_dir_all(&runs).unwrap();
        let turn = quarantine.turn().expect("locks");
        let other = File::options().write(true).open(runs.join(TURN)).unwrap();
        assert!(other.try_lock().is_err());
        drop(turn);
        other.try_lock().unwrap();
    }

    #[test]
    fn what_a_killed_run_left_is_swept_by_the_next_one() {
        let lake = tempfile::tempdir().unwrap();
        let killed = lake.path().join("_quarantine/killed");
        fs::create_dir_all(&killed).unwrap();
        fs::write(killed.join(format!(".kqlake-{}.partial", "0".repeat(32))), "{").unwrap();
        fs::write(killed.join("x.ndjson"), "{}\n").unwrap();
        drop(quarantine(lake.path(), FileLimits::default()));
        let left: Vec<_> = fs::read_dir(&killed).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["x.ndjson"]);
    }

    #[test]
    fn an_unwritable_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        let mut unit = quarantine(&file, FileLimits::default()).unit("x");
        unit.refuse(Place::default(), "r", b"");
        assert!(matches!(unit.finish(), Err(ImportError::Quarantine { .. })));
    }
}
