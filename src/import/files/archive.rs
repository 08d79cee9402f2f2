//! Zip archives: their entries one after the other, as streams. Nothing is ever written to disk.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::rc::Rc;

use zip::ZipArchive;

use super::compressed::Verified;
use super::input::{Expansion, FileLimits};
use super::record::Stop;
use super::zip_directory::Directory;

/// An entry of an archive.
pub(crate) struct ArchiveEntry<'a> {
    /// Its name as the archive says it.
    pub name: String,
    /// Its content, or why it is not read.
    pub content: Result<EntryContent<'a>, String>,
}

/// The readable content of an entry.
pub(crate) struct EntryContent<'a> {
    /// The decompressed bytes.
    pub reader: Box<dyn Read + 'a>,
    /// Its size in the archive.
    pub compressed: u64,
}

/// Gives each entry but folders to `visit`, in the archive's order. An archive that cannot be opened is an error.
pub(crate) fn each_entry(
    file: File,
    limits: FileLimits,
    visit: &mut dyn FnMut(ArchiveEntry<'_>) -> Result<(), Stop>,
) -> io::Result<Result<(), Stop>> {
    let size = file.metadata()?.len();
    let (directory, before) = directory_of(&file)?;
    let names = directory.shown_names();
    let mut archive = ZipArchive::new(BufReader::new(directory.with_own_names(file))).map_err(io::Error::other)?;
    let outside = outside(before, directory.end, size);
    if let Some(reason) = outside {
        let entry = ArchiveEntry { name: "(bytes outside of the archive)".to_owned(), content: Err(reason) };
        if visit(entry).is_err() {
            return Ok(Err(Stop));
        }
    }
    // Together the entries may grow no further than one compressed file of the archive's size.
    let produced = Rc::new(Cell::new(0));
    for index in 0..archive.len() {
        let name = names.get(index).cloned().unwrap_or_else(|| format!("entry {}", index + 1));
        let raw_name = directory.names.get(index).map(Vec::as_slice).unwrap_or_default();
        let entry = match archive.by_index(index) {
            Ok(entry) => entry,
            Err(error) => {
                let refused = ArchiveEntry { name, content: Err(format!("the entry cannot be opened: {error}")) };
                if visit(refused).is_err() {
                    return Ok(Err(Stop));
                }
                continue;
            }
        };
        if raw_name.ends_with(b"/") && entry.size() == 0 {
            continue;
        }
        let symlink = entry.is_symlink();
        let compressed = entry.compressed_size();
        let content = match unsafe_name(&name) {
            Some(reason) => Err(reason.to_owned()),
            None if symlink => Err("the entry is a symbolic link".to_owned()),
            None => Ok(EntryContent {
                reader: Box::new(Verified::all_there(Expansion::new(entry, Rc::clone(&produced), move || size, limits))),
                compressed,
            }),
        };
        if visit(ArchiveEntry { name, content }).is_err() {
            return Ok(Err(Stop));
        }
    }
    Ok(Ok(()))
}

/// The archive's directory, and the number of bytes that lie before the archive.
fn directory_of(file: &File) -> io::Result<(Directory, u64)> {
    let archive = ZipArchive::new(BufReader::new(file)).map_err(io::Error::other)?;
    let (start, before) = (archive.central_directory_start(), archive.offset());
    drop(archive);
    let mut file = file;
    Ok((Directory::read(&mut file, start)?, before))
}

/// Why a file of `size` bytes is not all archive: two archives one behind the other, or something appended.
fn outside(before: u64, end: Option<u64>, size: u64) -> Option<String> {
    let behind = size.saturating_sub(end.unwrap_or(size));
    match (before, behind) {
        (0, 0) => None,
        (0, behind) => Some(format!("{behind} bytes follow the archive's end; they were not read")),
        (before, _) => Some(format!("{before} bytes stand before the archive (perhaps another archive); they were not read")),
    }
}

/// Why an entry's name is refused: it points outside of the folder that the archive stands for.
fn unsafe_name(name: &str) -> Option<&'static str> {
    let bytes = name.as_bytes();
    if name.split(['/', '\\']).any(|part| part == "..") {
        return Some("the entry's name points outside the archive with '..': refused");
    }
    if matches!(bytes.first(), Some(b'/' | b'\\')) || matches!(bytes, [drive, b':', ..] if drive.is_ascii_alphabetic()) {
        return Some("the entry's name is absolute: refused");
    }
    if bytes.contains(&0) {
        return Some("the entry's name has a zero byte: refused");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn names_that_leave_the_archive_are_refused() {
        for bad in ["../x", "a/../../x", "/etc/x", "C:\\x", "\\\\host\\x", "a\\..\\..\\x"] {
            assert!(unsafe_name(bad).is_some(), "{bad}");
        }
        for good in ["a/b.json", "a..b/c", "...", "y=2026/m=01/PT1H.json"] {
            assert!(unsafe_name(good).is_none(), "{good}");
        }
    }

    #[test]
    fn entries_are_read_and_bombs_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        let mut writer = zip::ZipWriter::new(File::create(&path).unwrap());
        let options = zip::write::SimpleFileOptions::default();
        writer.start_file("good.json", options).unwrap();
        writer.write_all(b"{}").unwrap();
        writer.start_file("../evil.json", options).unwrap();
        writer.write_all(b"{}").unwrap();
        writer.start_file("bomb.json", options).unwrap();
        writer.write_all(&vec![b' '; 1 << 20]).unwrap();
        writer.finish().unwrap();
        let limits = FileLimits { expand_floor: 1000, expand_ratio: 50, ..FileLimits::default() };
        let mut seen = Vec::new();
        each_entry(File::open(&path).unwrap(), limits, &mut |entry| {
            let outcome = match entry.content {
                Ok(mut content) => {
                    let mut text = String::new();
                    content.reader.read_to_string(&mut text).map(|_| text).map_err(|e| e.to_string())
                }
                Err(reason) => Err(reason),
            };
            seen.push((entry.name, outcome));
            Ok(())
        })
        .unwrap()
        .unwrap();
        assert_eq!(seen[0], ("good.json".into(), Ok("{}".into())));
        assert!(seen[1].1.as_ref().is_err_and(|e| e.contains("outside")));
        assert!(seen[2].1.as_ref().is_err_and(|e| e.contains("bomb")));
    }
}
