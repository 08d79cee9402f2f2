//! Watchlists: CSV files in a folder, each named after its watchlist.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::config::ExternalSettings as Settings;
use crate::engine::files::delimiter;
use kqlake_kql::external::{ExternalRefusal, Unavailable, Watchlist};
use kqlake_syntax::suggest::nearest;
use kqlake_value::clock::us_of_instant;
use kqlake_value::encoding::decoded;

/// The folder of the watchlists.
///
/// # Errors
/// When the configuration names none.
pub(super) fn folder(settings: &Settings) -> Result<&Path, ExternalRefusal> {
    settings.watchlists.as_deref().ok_or_else(|| ExternalRefusal {
        message: "watchlists are read from CSV files, and no folder with them is named".to_owned(),
        advice: format!("write in {}: watchlists = \"FOLDER\"; the watchlist 'x' is then FOLDER/x.csv", settings.file_shown()),
    })
}

/// The files of the folder, with the names of their watchlists, in order.
fn files(settings: &Settings) -> Result<Vec<(String, PathBuf)>, Unavailable> {
    let folder = folder(settings)?;
    let unreadable = |err: std::io::Error| match err.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Unavailable::Misconfigured(ExternalRefusal {
            message: format!("`watchlists` in {}: cannot read the folder {}: {err}", settings.file_shown(), folder.display()),
            advice: "name the folder that holds a CSV file for each watchlist".to_owned(),
        }),
        _ => Unavailable::Failed(format!("cannot read the watchlists in {}: {err}", folder.display())),
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_csv = path.extension().and_then(OsStr::to_str).is_some_and(|end| end.eq_ignore_ascii_case("csv"));
        if let (true, true, Some(name)) = (is_csv, path.is_file(), path.file_stem().and_then(OsStr::to_str)) {
            found.push((name.to_owned(), path.clone()));
        }
    }
    found.sort();
    Ok(found)
}

/// The names of all watchlists.
///
/// # Errors
/// When the folder cannot be read.
pub(super) fn names(settings: &Settings) -> Result<Vec<String>, Unavailable> {
    Ok(files(settings)?.into_iter().map(|(name, _)| name).collect())
}

/// Reads a watchlist.
///
/// # Errors
/// When there is none of the name, or its file cannot be read.
pub(super) fn read(settings: &Settings, name: &str) -> Result<Watchlist, Unavailable> {
    let files = files(settings)?;
    let Some((_, path)) = files.iter().find(|(known, _)| known == name) else {
        let folder = folder(settings)?.display();
        let advice = match nearest(name, files.iter().map(|(known, _)| known.as_str())) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("the watchlist '{name}' would be the file {name}.csv in {folder}"),
        };
        return Err(ExternalRefusal { message: format!("there is no watchlist '{name}' in {folder}"), advice }.into());
    };
    let failed = |why: String| Unavailable::Failed(format!("cannot read the watchlist {}: {why}", path.display()));
    let updated = std::fs::metadata(path).and_then(|found| found.modified()).map_err(|err| failed(err.to_string()))?;
    let text = std::fs::read(path).map_err(|err| failed(err.to_string()))?;
    // What is in the file is so later as well.
    let wrong = |why: String, advice: &str| {
        let message = format!("cannot read the watchlist {}: {why}", path.display());
        Unavailable::Misconfigured(ExternalRefusal { message, advice: advice.to_owned() })
    };
    let text = decoded(text).map_err(|err| wrong(err.to_string(), "save it as UTF-8"))?;
    let delimiter =
        delimiter(text.as_bytes(), false, b',').map_err(|why| wrong(why, "a watchlist is a CSV file with a header"))?;
    let mut reader = csv::ReaderBuilder::new().flexible(true).delimiter(delimiter).from_reader(text.as_bytes());
    let headers = reader.headers().map_err(|err| failed(err.to_string()))?;
    let columns: Vec<String> = headers.iter().map(|column| column.trim().to_owned()).collect();
    if columns.iter().all(String::is_empty) {
        return Err(wrong("its first line names no columns".to_owned(), "write the names of its columns in its first line"));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|err| failed(err.to_string()))?;
        rows.push((0..columns.len()).map(|place| record.get(place).unwrap_or_default().to_owned()).collect());
    }
    let (search_key, warning) = search_key(settings, name, &columns)?;
    let updated_us = us_of_instant(updated);
    Ok(Watchlist { columns, rows, search_key, updated_us, warning })
}

/// The column that is the search key: the configured one, one of that name, or the only one; else the first, which is said.
fn search_key(settings: &Settings, name: &str, columns: &[String]) -> Result<(usize, Option<String>), Unavailable> {
    let place = |column: &str| columns.iter().position(|known| known == column);
    if let Some(key) = settings.watchlist_keys.get(name) {
        let missing = || ExternalRefusal {
            message: format!("the watchlist '{name}' has no column '{key}', which [watchlist_keys] names"),
            advice: format!("its columns are {}", columns.join(", ")),
        };
        return Ok((place(key).ok_or_else(missing)?, None));
    }
    if let Some(place) = place("SearchKey") {
        return Ok((place, None));
    }
    let first = columns.first().map_or("", String::as_str);
    let warning = (columns.len() > 1).then(|| {
        format!(
            "SearchKey of the watchlist '{name}' is its first column, '{first}'; to choose, write in {} below \
             [watchlist_keys]: {name:?} = {first:?}",
            settings.file_shown()
        )
    });
    Ok((0, warning))
}
