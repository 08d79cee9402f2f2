//! Small files of JSON that are kept between runs, such as what was used of a quota. What they say can be done without.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use kqlake_durable::Draft;
use serde_json::Value;

/// Bytes that a file may have.
const MAX_FILE: u64 = 4 << 20;

/// The file of a name in a folder.
pub(crate) fn file(folder: &Path, kind: &str, name: &str) -> PathBuf {
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    folder.join(format!("{kind}-{plain}.json"))
}

/// What a file holds; nothing where it is missing or cannot be read.
pub(crate) fn read(file: &Path) -> Option<Value> {
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

/// Writes a file in one step. It may be lost in a power cut.
pub(crate) async fn write(file: PathBuf, value: &Value) {
    let text = value.to_string();
    let written = tokio::task::spawn_blocking(move || -> io::Result<()> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
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
