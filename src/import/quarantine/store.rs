//! What is in quarantine: listed, read, dropped, and removed when its time is over.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{ENDING, FORMAT, FORMAT_KEY, OLD_ENDING};
use kqlake_durable as durable;
use kqlake_lake::folders::QUARANTINE;
use kqlake_value::US_PER_DAY;
use kqlake_value::parse::datetimes::{DateOrder, record};

/// How long refused records are kept, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Microseconds that a file is kept.
    pub age: i64,
    /// Bytes that all files may have together on disk; the oldest go first.
    pub bytes: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Retention { age: 90 * US_PER_DAY, bytes: 1 << 30 }
    }
}

/// The refused records of one unit and one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineFile {
    /// The file.
    pub path: PathBuf,
    /// The unit, or what the file's own name says of it where nothing inside does.
    pub unit: String,
    /// The run.
    pub import_id: String,
    /// When the run began, or the file was written (microseconds since 1970).
    pub at: Option<i64>,
    /// The version of the program that refused the records; earlier programs did not write it.
    pub version: Option<String>,
    /// Bytes on disk.
    pub bytes: u64,
}

/// A refused record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RefusedRecord {
    /// The unit.
    pub unit: String,
    /// Line of its first byte, from 1, where records are on lines.
    pub line: Option<u64>,
    /// Its first byte, from 0, in the decompressed text.
    pub byte: Option<u64>,
    /// Its number among the unit's records.
    pub record: Option<u64>,
    /// Why it was refused.
    pub reason: String,
    /// Its text.
    pub text: String,
    /// False when the text is not exactly what was there: it was too long, or no UTF-8.
    pub is_whole: bool,
    /// Records that were refused as well and whose texts are not kept, where the line says that alone.
    pub omitted: u64,
}

/// A line as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Line {
    #[serde(rename = "kqlakeQuarantine")]
    format: Option<u32>,
    unit: Option<String>,
    import_id: Option<String>,
    refused_at: Option<String>,
    kqlake_version: Option<String>,
    file: Option<String>,
    place: LinePlace,
    reason: Option<String>,
    record: Option<String>,
    record_hex: Option<String>,
    cut_at: Option<u64>,
    sha256: Option<String>,
    omitted: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LinePlace {
    line: Option<u64>,
    byte: Option<u64>,
    record: Option<u64>,
}

/// The folder below a lake that holds refused records.
pub(crate) fn folder(lake: &Path) -> PathBuf {
    lake.join(QUARANTINE)
}

/// Everything that is in a lake's quarantine, the oldest first. What another run removes meanwhile is not in it.
///
/// # Errors
/// The folder cannot be listed.
pub fn list(lake: &Path) -> io::Result<Vec<QuarantineFile>> {
    let mut found = Vec::new();
    for run in durable::entries(&folder(lake))? {
        let run = run?;
        if !if_there(run.file_type())?.is_some_and(|kind| kind.is_dir()) {
            continue;
        }
        for file in durable::entries(&run.path())? {
            let Some(file) = if_there(file)? else { continue };
            let name = file.file_name().to_string_lossy().into_owned();
            let base = name.strip_suffix(ENDING).or_else(|| name.strip_suffix(OLD_ENDING));
            let Some(meta) = if_there(file.metadata())? else { continue };
            if let Some(base) = base.filter(|_| !name.starts_with('.') && meta.is_file()) {
                let import_id = run.file_name().to_string_lossy().into_owned();
                found.push(quarantine_file(file.path(), base, import_id, &meta));
            }
        }
    }
    found.sort_by(|a, b| (a.at, &a.path).cmp(&(b.at, &b.path)));
    Ok(found)
}

/// What was found, unless another run has removed it.
pub(super) fn if_there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The files of a unit in the folders of all runs, of those that have one of some names.
///
/// # Errors
/// The folder cannot be listed.
pub(super) fn named(runs: &Path, names: &[String], unit: &str) -> io::Result<Vec<QuarantineFile>> {
    let mut found = Vec::new();
    for run in durable::entries(runs)? {
        let run = run?;
        let import_id = run.file_name().to_string_lossy().into_owned();
        for path in names.iter().map(|name| run.path().join(name)) {
            if let Ok(meta) = fs::metadata(&path) {
                found.push(quarantine_file(path, unit, import_id.clone(), &meta));
            }
        }
    }
    found.retain(|file| file.unit == unit);
    Ok(found)
}

/// What a file says of itself; a broken one is known by its name.
fn quarantine_file(path: PathBuf, base: &str, import_id: String, meta: &fs::Metadata) -> QuarantineFile {
    let first = lines(&path).ok().and_then(|mut lines| lines.next()?.ok()).unwrap_or_default();
    let written = crate::stamp::written(meta);
    let at = first.refused_at.and_then(|at| record(&at, DateOrder::default()));
    QuarantineFile {
        unit: first.unit.or(first.file).unwrap_or_else(|| base.to_owned()),
        import_id: first.import_id.unwrap_or(import_id),
        at: at.or(written),
        version: first.kqlake_version,
        bytes: meta.len(),
        path,
    }
}

/// The lines of a file of either form.
fn lines(path: &Path) -> io::Result<impl Iterator<Item = io::Result<Line>> + use<>> {
    let file = File::open(path)?;
    let is_old = !path.to_string_lossy().ends_with(ENDING);
    let text: Box<dyn Read> = if is_old { Box::new(file) } else { Box::new(MultiGzDecoder::new(BufReader::new(file))) };
    let lines = BufReader::new(text).lines();
    Ok(lines.map(|line| line.and_then(|line| serde_json::from_str(&line).map_err(io::Error::other))))
}

/// The records of a file, one after the other.
///
/// # Errors
/// The file cannot be read, or is of a later form; each record may be an error of its own.
pub fn records(file: &QuarantineFile) -> io::Result<impl Iterator<Item = io::Result<RefusedRecord>> + use<>> {
    let unit = file.unit.clone();
    let record = move |line: io::Result<Line>| match line {
        Ok(Line { format: Some(format), .. }) if format > FORMAT => Some(Err(later(format))),
        Ok(Line { format: Some(_), .. }) => None,
        Ok(line) => Some(Ok(RefusedRecord {
            unit: line.file.unwrap_or_else(|| unit.clone()),
            line: line.place.line,
            byte: line.place.byte,
            record: line.place.record,
            reason: line.reason.unwrap_or_default(),
            is_whole: line.cut_at.is_none() && line.record_hex.is_none() && line.record.is_some(),
            text: line.record.unwrap_or_default(),
            omitted: line.omitted.unwrap_or(0),
        })),
        Err(error) => Some(Err(error)),
    };
    Ok(lines(&file.path)?.filter_map(record))
}

/// What a file says of a record without its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trace {
    /// The SHA-256 of all its bytes; `None` where they are not known, or there are none.
    pub digest: Option<[u8; 32]>,
    /// The SHA-256 of why a unit was refused as a whole, of which there is no text.
    pub whole: Option<[u8; 32]>,
    /// Records that were refused as well and only counted, where the line says that alone.
    pub omitted: u64,
}

/// The traces of a file's records, one after the other.
///
/// # Errors
/// As for [`records`].
pub(super) fn traces(file: &QuarantineFile) -> io::Result<impl Iterator<Item = io::Result<Trace>> + use<>> {
    let trace = |line: io::Result<Line>| match line {
        Ok(Line { format: Some(format), .. }) if format > FORMAT => Some(Err(later(format))),
        Ok(Line { format: Some(_), .. }) => None,
        Ok(line) => Some(Ok(Trace { digest: digest_of(&line), whole: whole_of(&line), omitted: line.omitted.unwrap_or(0) })),
        Err(error) => Some(Err(error)),
    };
    Ok(lines(&file.path)?.filter_map(trace))
}

fn digest_of(line: &Line) -> Option<[u8; 32]> {
    let given = line.sha256.as_deref().and_then(bytes_of).and_then(|bytes| bytes.try_into().ok());
    let bytes = match (&line.record_hex, &line.record) {
        _ if line.cut_at.is_some() => return given,
        (Some(hex), _) => bytes_of(hex)?,
        (None, text) => text.clone()?.into_bytes(),
    };
    (!bytes.is_empty()).then(|| Sha256::digest(bytes).into())
}

fn whole_of(line: &Line) -> Option<[u8; 32]> {
    let is_whole = line.record.as_deref() == Some("") && line.omitted.is_none();
    line.reason.as_deref().filter(|_| is_whole).map(|reason| Sha256::digest(reason).into())
}

/// The bytes that hexadecimal digits say.
fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    hex.as_bytes().chunks(2).map(|two| Some(digit(two.first()?)? << 4 | digit(two.get(1)?)?)).collect()
}

fn later(format: u32) -> io::Error {
    io::Error::other(format!("its form ({FORMAT_KEY} {format}) is that of a later kqlake"))
}

/// Removes files, and the folders of runs that have none left.
///
/// # Errors
/// A file cannot be removed; those before it are.
pub fn drop_files<'f>(files: impl IntoIterator<Item = &'f QuarantineFile>) -> io::Result<()> {
    for file in files {
        durable::remove_if_there(&file.path)?;
        if let Some(run) = file.path.parent() {
            // It stays while it holds anything.
            let _ = fs::remove_dir(run);
        }
    }
    Ok(())
}

/// What a retention does not keep at an instant (microseconds since 1970), and what it keeps, each the oldest first.
pub(crate) fn outdated(files: Vec<QuarantineFile>, retention: Retention, now: i64) -> (Vec<QuarantineFile>, Vec<QuarantineFile>) {
    let mut all: u64 = files.iter().map(|file| file.bytes).sum();
    let mut goes = |file: &QuarantineFile| {
        let old = file.at.is_some_and(|at| at < now.saturating_sub(retention.age));
        let outdated = old || all > retention.bytes;
        all -= if outdated { file.bytes } else { 0 };
        outdated
    };
    files.into_iter().partition(|file| goes(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_earlier_programs_is_listed_and_read() {
        let lake = tempfile::tempdir().unwrap();
        let run = folder(lake.path()).join("old-run");
        fs::create_dir_all(&run).unwrap();
        let line = r#"{"file":"/in/x.json","place":{"line":3,"byte":40,"record":3},"reason":"no valid JSON","record":"{\"a\"","cutAt":4,"bytes":9}"#;
        fs::write(run.join("x.json.ndjson"), format!("{line}\n")).unwrap();
        fs::write(run.join("notes.txt"), "x").unwrap();
        let files = list(lake.path()).unwrap();
        let [file] = &files[..] else { panic!("{files:?}") };
        assert_eq!((file.unit.as_str(), file.import_id.as_str(), &file.version), ("/in/x.json", "old-run", &None));
        let all: Vec<RefusedRecord> = records(file).unwrap().map(Result::unwrap).collect();
        assert_eq!((all.len(), all[0].line, all[0].text.as_str(), all[0].is_whole), (1, Some(3), "{\"a\"", false));
        drop_files(&files).unwrap();
        assert!(run.join("notes.txt").exists() && list(lake.path()).unwrap().is_empty());
    }

    #[test]
    fn what_another_run_removes_meanwhile_is_not_listed() {
        let lake = tempfile::tempdir().unwrap();
        let kept = folder(lake.path()).join("kept");
        fs::create_dir_all(&kept).unwrap();
        fs::write(kept.join("x.ndjson"), "{}\n").unwrap();
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                for number in 0..2_000 {
                    let run = folder(lake.path()).join(format!("run {}", number % 7));
                    fs::create_dir(&run).unwrap();
                    let files = ["a.ndjson", "b.ndjson"].map(|name| run.join(name));
                    files.iter().for_each(|file| fs::write(file, "{}\n").unwrap());
                    files.iter().for_each(|file| fs::remove_file(file).unwrap());
                    fs::remove_dir(&run).unwrap();
                }
            });
            while !other.is_finished() {
                assert!(list(lake.path()).unwrap().iter().any(|file| file.import_id == "kept"));
            }
        });
    }

    #[test]
    fn the_oldest_go_first_and_a_later_form_is_an_error() {
        let file = |at, bytes| QuarantineFile {
            path: PathBuf::from(format!("{at}")),
            unit: "u".into(),
            import_id: "r".into(),
            at: Some(at),
            version: None,
            bytes,
        };
        let files = vec![file(1, 50), file(100, 60), file(200, 40)];
        let goes =
            |age, bytes| outdated(files.clone(), Retention { age, bytes }, 210).0.iter().filter_map(|f| f.at).collect::<Vec<_>>();
        assert_eq!(goes(1_000, 150), Vec::<i64>::new());
        assert_eq!(goes(150, 150), [1]);
        assert_eq!(goes(1_000, 100), [1]);
        assert_eq!(goes(1_000, 90), [1, 100]);

        let lake = tempfile::tempdir().unwrap();
        let run = folder(lake.path()).join("r");
        fs::create_dir_all(&run).unwrap();
        fs::write(run.join("x.ndjson"), format!("{{\"{FORMAT_KEY}\":3,\"unit\":\"u\"}}\n")).unwrap();
        let files = list(lake.path()).unwrap();
        assert!(records(&files[0]).unwrap().next().unwrap().unwrap_err().to_string().contains("later kqlake"));
        assert!(traces(&files[0]).unwrap().next().unwrap().unwrap_err().to_string().contains("later kqlake"));
    }
}
