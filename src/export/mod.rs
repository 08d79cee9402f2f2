//! CSV for Power BI and Excel: files that load without touching the import dialog, refresh after refresh.
//!
//! - UTF-8 with a byte-order mark (Power Query takes a file for UTF-8 only then), CRLF, quoting as RFC 4180 says.
//! - One folder a table with nothing but its CSV files in it, one file a period, all with the same header; a table without
//!   rows still has a file with its header.
//! - Datetimes as `2026-01-05T08:00:00.0000000Z`; a timespan as text and, beside it, in seconds; dynamics as JSON text.
//! - Text that a spreadsheet would take for a formula is prefixed with `'` (OWASP, "CSV Injection"), column names too; numbers
//!   are not.
//! - `datapackage.json` (Frictionless Data Package 2.0) says what the fields are, how many rows each file has and its hash.
//! - Files are written aside and renamed when complete; a file that would not change is left alone, with its date.
//! - A file is replaced or removed only when an export wrote it: it has the manifest's hash, or begins as the table's files do.

mod manifest;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use arrow::record_batch::RecordBatch;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
use crate::saved::names;
use kqlake_durable::{self as durable, ReservedFolder, Staging};
use kqlake_value::format::hex;
use kqlake_value::{Column, Type};
use manifest::{ExportedFile, Manifest, Resource};
use rows::RowWriter;

/// Bytes of a file that are held before they are appended to it.
const HELD: usize = 1 << 18;
/// Bytes that all files of a table hold together.
const HELD_BY_ALL: usize = 16 << 20;

/// How a table is cut into files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// One file.
    Whole,
    /// One file for each day of the datetime column at this place.
    Day(usize),
    /// One file for each month of it.
    Month(usize),
}

impl Period {
    /// The period of a result: months of its first column when that is a datetime, else one file.
    pub fn of_result(columns: &[Column]) -> Period {
        match columns.first() {
            Some(first) if first.ty == Type::DateTime => Period::Month(0),
            _ => Period::Whole,
        }
    }
}

/// What became of a table's files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exported {
    /// Rows in all files.
    pub rows: u64,
    /// Files of the table.
    pub files: usize,
    /// Files that were written anew; the others had the same content already.
    pub written: usize,
    /// Files of earlier exports that the table no longer has.
    pub removed: usize,
    /// Files that are named as the table's are, but are neither its own nor listed by the manifest: they stay.
    pub strange: Vec<PathBuf>,
}

/// One export into a folder. What is not finished leaves the folder as it was.
#[derive(Debug)]
pub struct Export {
    root: PathBuf,
    lake: ReservedFolder,
    staging: Staging,
    /// What was there before.
    earlier: Manifest,
}

/// Checks that an export into a folder does not write into the lake.
///
/// # Errors
/// When the folder is a file, the lake, or lies in it.
pub fn check_place(root: &Path, lake: &Path) -> Result<()> {
    if root.is_file() {
        return Err(Error::usage(format!("{} is a file, a folder was expected", root.display())));
    }
    let reserved = ReservedFolder::new(lake);
    if !reserved.contains(root) {
        return Ok(());
    }
    let what = if reserved.is(root) { "is the lake" } else { "lies in the lake" };
    Err(Error::usage(format!("cannot export to {}: it {what} {}", root.display(), lake.display()))
        .hint("name another folder with --to, or with `export` in the configuration; the lake is written by imports alone"))
}

impl Export {
    /// Begins an export. Removes what an export that was killed left behind.
    ///
    /// # Errors
    /// When the folder cannot be made, is the lake at `lake`, or lies in it.
    pub fn begin(root: &Path, lake: &Path) -> Result<Export> {
        check_place(root, lake)?;
        let failed = |err| Error::io("make the folder", root, err);
        durable::create_folders(root).map_err(failed)?;
        let staging = Staging::create(root).map_err(failed)?;
        // A manifest that cannot be read is said before any work is done.
        let earlier = Manifest::read(root)?;
        Ok(Export { root: root.to_path_buf(), lake: ReservedFolder::new(lake), staging, earlier })
    }

    /// True where an earlier export has rows of a table.
    pub(crate) fn has_rows(&self, table: &str) -> bool {
        self.earlier.has_rows(table)
    }

    /// Begins a table.
    ///
    /// # Errors
    /// When its name makes a hidden path or one outside of the export, its folder would mix with the lake, or its temporary
    /// folder cannot be made.
    pub fn table(&mut self, name: &str, columns: &[Column], period: Period, key: &[&str]) -> Result<TableExport<'_>> {
        if let Some(why) = names::refusal(name) {
            return Err(Error::usage(format!("`{name}` cannot be exported: {why}")).hint("rename it"));
        }
        let target = self.root.join(name);
        if self.lake.contains(&target) || self.lake.lies_in(&target) {
            return Err(Error::usage(format!("`{name}` cannot be exported to {}: the lake is there", target.display()))
                .hint("export to another folder"));
        }
        let folder = self.staging.path().join(name);
        fs::create_dir_all(&folder).map_err(|err| Error::io("make the folder", &folder, err))?;
        let resource = Resource::new(name, columns, key);
        Ok(TableExport {
            name: name.to_owned(),
            folder,
            period,
            rows: RowWriter::new(columns),
            parts: BTreeMap::new(),
            held: 0,
            resource,
            export: self,
        })
    }
}

/// A file under way.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    held: Vec<u8>,
    hash: Sha256,
    bytes: u64,
    rows: u64,
}

impl Part {
    fn flush(&mut self) -> Result<()> {
        // Opened only to append: a table of many days does not hold as many open files.
        let failed = |err| Error::io("write", &self.path, err);
        let mut file = fs::File::options().create(true).append(true).open(&self.path).map_err(failed)?;
        file.write_all(&self.held).map_err(failed)?;
        self.hash.update(&self.held);
        self.bytes += self.held.len() as u64;
        // Of a file of a past day nothing more comes.
        self.held = Vec::new();
        Ok(())
    }
}

/// One table of an export.
pub struct TableExport<'e> {
    name: String,
    folder: PathBuf,
    period: Period,
    rows: RowWriter,
    /// Files by their period's text, empty for none.
    parts: BTreeMap<String, Part>,
    /// Bytes that they hold together.
    held: usize,
    resource: Resource,
    export: &'e mut Export,
}

impl TableExport<'_> {
    /// Adds rows, in any order of periods; inside a file they keep their order.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let cells = self.rows.cells(batch).map_err(crate::output::OutputError::from)?;
        for row in 0..batch.num_rows() {
            let period = rows::period(self.period, &cells, row);
            let part = match self.parts.get_mut(&period) {
                Some(part) => part,
                None => {
                    let part = self.part(&period);
                    self.held += part.held.len();
                    self.parts.entry(period).or_insert(part)
                }
            };
            let before = part.held.len();
            self.rows.row(&cells, row, &mut part.held);
            part.rows += 1;
            self.held += part.held.len() - before;
            if part.held.len() >= HELD {
                self.held -= part.held.len();
                part.flush()?;
            } else if self.held >= HELD_BY_ALL {
                self.held = 0;
                self.parts.values_mut().filter(|part| !part.held.is_empty()).try_for_each(Part::flush)?;
            }
        }
        Ok(())
    }

    fn part(&self, period: &str) -> Part {
        let file = if period.is_empty() { format!("{}.csv", self.name) } else { format!("{}_{period}.csv", self.name) };
        Part { path: self.folder.join(file), held: self.rows.header(), hash: Sha256::new(), bytes: 0, rows: 0 }
    }

    /// Puts the files in place: changed ones are renamed over the old ones, files of the last export that the table no longer
    /// has are removed, then the manifest is written. Until then the old one lists what is to be removed, so that an export
    /// that is cut off here leaves nothing behind for good.
    ///
    /// # Errors
    /// When a file cannot be written, renamed or removed.
    pub fn finish(mut self) -> Result<Exported> {
        if self.parts.is_empty() {
            let part = self.part("");
            self.parts.insert(String::new(), part);
        }
        let target = self.export.root.join(&self.name);
        durable::create_folders(&target).map_err(|err| Error::io("make the folder", &target, err))?;
        let header = self.rows.header();
        let listed = Manifest::read(&self.export.root)?.files_of(&self.name);
        for part in self.parts.values() {
            let name = part.path.file_name().unwrap_or_default();
            let path = target.join(name);
            if !is_ours(&path, &header, listed.get(name.to_string_lossy().as_ref()))? {
                return Err(Error::usage(format!("{} is in the way: no export wrote it", path.display()))
                    .hint("move it away; nothing of this table was exported"));
            }
        }
        let mut done = Exported { files: self.parts.len(), ..Exported::default() };
        let mut current = BTreeSet::new();
        for mut part in std::mem::take(&mut self.parts).into_values() {
            part.flush()?;
            let name = part.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let hash = hex(&part.hash.finalize());
            let path = target.join(&name);
            if !same_content(&path, part.bytes, &hash)? {
                self.export.staging.publish(&part.path, &path).map_err(|err| Error::io("write", &path, err))?;
                done.written += 1;
            }
            done.rows += part.rows;
            self.resource.files.push(ExportedFile {
                path: format!("{}/{name}", self.name),
                rows: part.rows,
                bytes: part.bytes,
                sha256: hash,
            });
            current.insert(name);
        }
        durable::sync_folder(&target).map_err(|err| Error::io("write", &target, err))?;
        // Read only now: another export into the same folder may have written it since this one began.
        let mut manifest = Manifest::read(&self.export.root)?;
        let listed = manifest.files_of(&self.name);
        for path in others(&target, &self.name, &current)? {
            let listed = path.file_name().and_then(|name| listed.get(name.to_string_lossy().as_ref()));
            if listed.is_some() && is_ours(&path, &header, listed)? {
                fs::remove_file(&path).map_err(|err| Error::io("remove", &path, err))?;
                done.removed += 1;
            } else {
                done.strange.push(path);
            }
        }
        // Before the manifest forgets them: what a power cut brought back would be nobody's then.
        durable::sync_folder(&target).map_err(|err| Error::io("write", &target, err))?;
        manifest.put(self.resource);
        manifest.write(&self.export.root)?;
        drop(fs::remove_dir_all(&self.folder));
        Ok(done)
    }
}

/// True when an export may replace what is at a path: nothing is there, or an export wrote it. The manifest says the hash of
/// what the last complete one wrote; one that was cut off, or whose manifest is gone, left files that begin as the table's do. A
/// link counts as what it leads to. Pipes and devices are written to.
fn is_ours(path: &Path, header: &[u8], listed: Option<&String>) -> Result<bool> {
    let failed = |err| Error::io("read", path, err);
    match fs::metadata(path) {
        Ok(found) if found.is_file() && found.len() > 0 => {}
        _ => return Ok(true),
    }
    let mut start = Vec::new();
    fs::File::open(path).and_then(|file| file.take(header.len() as u64).read_to_end(&mut start)).map_err(failed)?;
    if start == header {
        return Ok(true);
    }
    listed.map_or(Ok(false), |hash| Ok(hash_of(path)? == *hash))
}

fn hash_of(path: &Path) -> Result<String> {
    let mut digest = Digesting(Sha256::new());
    let hashed = fs::File::open(path).and_then(|mut file| io::copy(&mut file, &mut digest));
    hashed.map_err(|err| Error::io("read", path, err))?;
    Ok(hex(&digest.0.finalize()))
}

fn same_content(path: &Path, bytes: u64, hash: &str) -> Result<bool> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() && found.len() == bytes => {}
        _ => return Ok(false),
    }
    Ok(hash_of(path)? == hash)
}

/// Feeds what is written into a hash.
struct Digesting(Sha256);

impl io::Write for Digesting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The files of a table's folder that have names as its export gives them and that it does not have, in the order of their
/// names. Files of other names are the user's.
fn others(folder: &Path, table: &str, current: &BTreeSet<String>) -> Result<BTreeSet<PathBuf>> {
    let failed = |err| Error::io("read the folder", folder, err);
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if rows::is_export_file(&name, table) && !current.contains(&name) {
            found.insert(entry.path());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
