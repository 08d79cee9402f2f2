//! Actions of a Delta log as its JSON writes them, of which only those that are read here.

use std::collections::{BTreeMap, HashMap};

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use url::Url;

/// A line of a commit. It has one action; unknown ones are passed on as none.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Actions {
    /// What a commit says of itself.
    #[serde(rename = "commitInfo")]
    pub info: Option<CommitInfo>,
    /// A file that is added.
    pub add: Option<Added>,
    /// A file that is removed.
    pub remove: Option<Removed>,
    /// The version of an application's transaction.
    pub txn: Option<Txn>,
    /// What readers and writers must know; of any form, since the library judges it.
    pub protocol: Option<Value>,
    /// What the table is; likewise.
    #[serde(rename = "metaData")]
    pub metadata: Option<Value>,
}

/// The facts that commits of this program say of themselves (`commit`).
#[derive(Debug, Default, Deserialize)]
pub(crate) struct CommitInfo {
    #[serde(rename = "kqlakeActions")]
    pub actions: Option<u64>,
    #[serde(rename = "kqlakeCommit")]
    pub version: Option<u64>,
    #[serde(rename = "kqlakeDigest")]
    pub digest: Option<String>,
    #[serde(rename = "kqlakeStream")]
    pub stream: Option<IgnoredAny>,
    #[serde(rename = "kqlakeDivided")]
    pub divided: Option<String>,
}

/// A file that is added.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Added {
    /// Percent-encoded.
    pub path: String,
    pub size: i64,
    /// Milliseconds since 1970.
    pub modification_time: Option<Value>,
    pub partition_values: BTreeMap<String, Option<String>>,
    pub stats: Option<String>,
    pub tags: Option<HashMap<String, Option<String>>>,
    pub deletion_vector: Option<IgnoredAny>,
}

/// A file that is removed.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Removed {
    /// Percent-encoded.
    pub path: String,
    pub deletion_vector: Option<IgnoredAny>,
}

/// The version of an application's transaction.
#[derive(Debug, Deserialize)]
pub(crate) struct Txn {
    #[serde(rename = "appId")]
    pub app_id: String,
    #[serde(default)]
    pub version: i64,
}

/// A path of the log, which is written percent-encoded.
pub(crate) fn decoded(path: &str) -> String {
    percent_decode_str(path).decode_utf8_lossy().into_owned()
}

/// True for a path that stays below the table's folder: neither absolute, nor an address, nor leading upwards.
pub(crate) fn is_inside(path: &str) -> bool {
    !path.starts_with(['/', '\\']) && path.split(['/', '\\']).all(|part| part != "..") && Url::parse(path).is_err()
}

/// The lines of a commit or of a checkpoint in JSON.
///
/// # Errors
/// What is wrong with the file, to follow its name.
pub(crate) fn lines(text: &[u8]) -> Result<Vec<Actions>, String> {
    let mut out = Vec::new();
    for (at, line) in text.split(|b| *b == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let line: Actions = serde_json::from_slice(line).map_err(|_| match at {
            0 => "is no JSON".to_owned(),
            at => format!("is cut off or broken: line {} is no JSON", at + 1),
        })?;
        if let Some(outside) = line.add.as_ref().map(|add| decoded(&add.path)).filter(|path| !is_inside(path)) {
            return Err(format!("names a file outside of the table's folder: {outside}"));
        }
        out.push(line);
    }
    if out.is_empty() { Err("is empty".to_owned()) } else { Ok(out) }
}
