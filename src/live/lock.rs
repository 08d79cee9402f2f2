//! Locks of a lake, so that two programs do not fetch the same things at once. What they would land lands once all the same; the
//! requests would be made twice.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::error::{Error, Result};
use kqlake_import::StopSignal;
use kqlake_lake::folders::STATE;
use kqlake_value::format::datetime_text;

/// Time between two tries.
const AGAIN: Duration = Duration::from_millis(300);
/// Bytes of a lock's file that are read.
const MAX_HOLDER: u64 = 4_096;

/// Something that one program at a time does with a lake, until this is dropped or its process ends.
#[derive(Debug)]
pub struct Lock {
    _file: Option<File>,
}

/// What came of a try.
#[derive(Debug)]
pub enum Tried {
    /// It is ours.
    Taken(Lock),
    /// Another one has it: who, as the rest of a sentence.
    Held(String),
}

impl Lock {
    /// Tries to take a lock, which is shown as a command's from an instant on (microseconds since 1970).
    ///
    /// # Errors
    /// The lock's file cannot be made. A file system without locks is no error: then nothing is locked.
    pub fn try_take(lake: &Path, name: &str, command: &str, now: i64) -> Result<Tried> {
        let folder = lake.join(STATE).join("locks");
        fs::create_dir_all(&folder).map_err(|err| Error::io("make the folder", &folder, err))?;
        let path = folder.join(format!("{}.lock", plain(name)));
        let opened = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(|err| Error::io("open the lock", &path, err))?;
        match file.try_lock() {
            Ok(()) => {
                // Who holds it is shown to those who wait; that it cannot be written hinders nobody.
                if let Err(error) = note(&mut file, command, now) {
                    tracing::debug!(%error, "the holder of {} is not noted", path.display());
                }
                Ok(Tried::Taken(Lock { _file: Some(file) }))
            }
            Err(fs::TryLockError::WouldBlock) => Ok(Tried::Held(holder(&mut file))),
            Err(fs::TryLockError::Error(error)) => {
                tracing::warn!(%error, "{} cannot be locked here: two programs may fetch the same things", path.display());
                Ok(Tried::Taken(Lock { _file: None }))
            }
        }
    }

    /// Takes a lock, and waits for it as long as nobody asks to stop; `None` when somebody did. `waiting` is called once with who has it.
    ///
    /// # Errors
    /// As [`Lock::try_take`].
    pub async fn take(
        lake: &Path,
        name: &str,
        command: &str,
        now: i64,
        stop: &StopSignal,
        waiting: impl FnOnce(&str),
    ) -> Result<Option<Lock>> {
        let mut waiting = Some(waiting);
        loop {
            match Lock::try_take(lake, name, command, now)? {
                Tried::Taken(lock) => return Ok(Some(lock)),
                Tried::Held(who) => {
                    if let Some(waiting) = waiting.take() {
                        waiting(&who);
                    }
                }
            }
            tokio::select! {
                () = stop.asked() => return Ok(None),
                () = tokio::time::sleep(AGAIN) => {}
            }
        }
    }
}

/// A name that any file system takes; names of tenants and sections stay as they are, so that no two share a file.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || matches!(c, '-' | '.') { c } else { '_' }).collect()
}

fn note(file: &mut File, command: &str, now: i64) -> io::Result<()> {
    let since = datetime_text(now);
    let text = json!({ "process": std::process::id(), "command": command, "since": since }).to_string();
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(text.as_bytes())
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(MAX_HOLDER).read_to_string(&mut text));
    let said: Json = read.ok().and_then(|_| serde_json::from_str(&text).ok()).unwrap_or_default();
    match (said["command"].as_str(), said["process"].as_u64(), said["since"].as_str()) {
        (Some(command), Some(process), Some(since)) => format!("kqlake {command} (process {process}, since {since})"),
        _ => "another kqlake".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_the_other_is_told_who() {
        let dir = tempfile::tempdir().unwrap();
        let take = || Lock::try_take(dir.path(), "night of ../x", "nightly", 1_768_186_800_000_000).unwrap();
        let Tried::Taken(first) = take() else { panic!("nobody has it") };
        let Tried::Held(who) = take() else { panic!("it is taken") };
        assert_eq!(who, format!("kqlake nightly (process {}, since 2026-01-12T03:00:00.0000000Z)", std::process::id()));
        let Tried::Taken(_other) = Lock::try_take(dir.path(), "other", "nightly", 0).unwrap() else { panic!("another one") };
        drop(first);
        assert!(matches!(take(), Tried::Taken(_)));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing lies outside of the folder of states");
    }

    #[tokio::test]
    async fn whoever_waits_leaves_when_asked_to() {
        let dir = tempfile::tempdir().unwrap();
        let Tried::Taken(_held) = Lock::try_take(dir.path(), "a", "watch", 0).unwrap() else { panic!("nobody has it") };
        let stop = StopSignal::default();
        let mut told = String::new();
        let asked = stop.clone();
        let taken = Lock::take(dir.path(), "a", "import", 0, &stop, |who| {
            told = who.to_owned();
            asked.ask();
        });
        assert!(taken.await.unwrap().is_none());
        assert!(told.starts_with("kqlake watch"), "{told}");
    }
}
