//! Small files of JSON that are kept between runs, such as what was used of a quota. What they say can be done without.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use kqlake_durable::Draft;
use serde_json::Value;

/// Bytes that a file may have.
const MAX_FILE: u64 = 4 << 20;
/// The version of the files' form, of all kinds. Files that name none have the first one.
const FORMAT: u64 = 1;

/// The file of a name in a folder. Names of tenants stay as they are, so that no two share a file.
pub(crate) fn file(folder: &Path, kind: &str, name: &str) -> PathBuf {
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '.') { c } else { '_' }).collect();
    folder.join(format!("{kind}-{plain}.json"))
}

/// What a file holds; nothing where it is missing or cannot be read, as one of a newer version.
pub(crate) fn read(file: &Path) -> Option<Value> {
    let mut value = whatever(file)?;
    let format = format_of(&value);
    if format > FORMAT {
        tracing::warn!(format, file = %file.display(), "a file of earlier runs was written by a newer version of kqlake");
        return None;
    }
    if let Some(object) = value.as_object_mut() {
        object.remove("format");
    }
    Some(value)
}

fn format_of(value: &Value) -> u64 {
    value.get("format").map_or(1, |format| format.as_u64().unwrap_or(u64::MAX))
}

/// What a file holds, of whatever version.
fn whatever(file: &Path) -> Option<Value> {
    let read = || -> io::Result<Value> {
        let mut text = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(std::fs::File::open(file)?, MAX_FILE), &mut text)?;
        Ok(serde_json::from_slice(&text)?)
    };
    match read() {
        Ok(value) => Some(value),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(%error, file = %file.display(), "a file of earlier runs cannot be read");
            None
        }
    }
}

/// Writes an object into a file in one step. It may be lost in a power cut. A file of a newer version stays as it is.
pub(crate) async fn write(file: PathBuf, mut value: Value) {
    if let Some(object) = value.as_object_mut() {
        object.insert("format".to_owned(), FORMAT.into());
    }
    let text = value.to_string();
    let written = tokio::task::spawn_blocking(move || -> io::Result<()> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        if whatever(&file).is_some_and(|found| format_of(&found) > FORMAT) {
            return Err(io::Error::other("a newer version of kqlake wrote the file that is there"));
        }
        let draft = Draft::create(&file)?;
        draft.file().write_all(text.as_bytes())?;
        draft.publish_unflushed()
    });
    let written = written.await.unwrap_or_else(|error| Err(io::Error::other(error)));
    if let Err(error) = written {
        tracing::warn!(%error, "what later runs should know cannot be kept");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn files_say_their_version_and_those_of_a_newer_one_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), "quota", "t/graph");
        write(path.clone(), json!({ "made": [1] })).await;
        assert_eq!(whatever(&path), Some(json!({ "made": [1], "format": 1 })));
        assert_eq!(read(&path), Some(json!({ "made": [1] })));
        // Earlier versions wrote none.
        std::fs::write(&path, r#"{"made":[2]}"#).unwrap();
        assert_eq!(read(&path), Some(json!({ "made": [2] })));
        for newer in [r#"{"format":2,"made":{}}"#, r#"{"format":"2024-01","made":[3]}"#] {
            std::fs::write(&path, newer).unwrap();
            assert_eq!(read(&path), None);
            write(path.clone(), json!({ "made": [4] })).await;
            assert_eq!(std::fs::read_to_string(&path).unwrap(), newer);
        }
    }
}
