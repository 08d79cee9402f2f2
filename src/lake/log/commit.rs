//! What a commit's file must say: that it is whole, and that it is the commit of its number.
//!
//! Readers of the protocol take a commit for what it says. A copy of another commit, or of a line of the same one, is well
//! formed, and the rows of what it took the place of would be missing without a word. So commits that are written here say
//! their number, how many actions follow, and a digest of them.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use serde_json::{Map, Value};
use xxhash_rust::xxh64::xxh64;

use super::actions::{Actions, decoded, lines};
use super::entry::{FileEntry, NewFile};

/// The fact in a commit's own record that says how many actions follow it.
pub(crate) const ACTIONS: &str = "kqlakeActions";
/// The fact that says the version that the commit makes.
pub(crate) const VERSION: &str = "kqlakeCommit";
/// The fact that says the digest of the actions.
pub(crate) const DIGEST: &str = "kqlakeDigest";
/// The fact that no other try to commit has.
pub(crate) const ATTEMPT: &str = "kqlakeAttempt";
/// The fact in a commit that changes what the table is divided by: the partition column from here on.
pub(crate) const DIVIDED: &str = "kqlakeDivided";
/// The fact in a landing's commit that names its stream.
pub(crate) const STREAM: &str = "kqlakeStream";
/// The fact that says how far the commit advances its stream.
pub(crate) const CURSOR: &str = "kqlakeCursor";
/// The fact that names the run.
pub(crate) const IMPORT: &str = "kqlakeImportId";

/// The table-wide application transaction that every landing carries; its version is the table version that it makes.
pub(crate) const ROWS_TRANSACTION: &str = "kqlake/rows";

/// A digest of actions, in whatever order they are written.
#[derive(Debug, Default)]
pub(crate) struct Digest(u64);

impl Digest {
    fn put(&mut self, parts: &[&str]) {
        let mut bytes = Vec::new();
        for part in parts {
            bytes.extend((part.len() as u64).to_le_bytes());
            bytes.extend(part.as_bytes());
        }
        self.0 = self.0.wrapping_add(xxh64(&bytes, 0));
    }

    fn add<'a>(&mut self, path: &str, size: &str, part: &str, stats: &str, tags: impl Iterator<Item = (&'a str, &'a str)>) {
        let tags: BTreeMap<&str, &str> = tags.collect();
        let mut parts = vec!["add", path, size, part, stats];
        parts.extend(tags.into_iter().flat_map(|(name, value)| [name, value]));
        self.put(&parts);
    }

    /// Takes a file that is added.
    pub(crate) fn added(&mut self, file: &NewFile) {
        let tags = file.tags.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        self.add(&file.path, &file.size.to_string(), &file.partition.text(), &file.stats, tags);
    }

    /// Takes a file that is removed.
    pub(crate) fn removed(&mut self, file: &FileEntry) {
        self.put(&["remove", &file.path]);
    }

    /// Takes what the table is divided by from here on, and its columns.
    pub(crate) fn divided(&mut self, column: &str, schema: &str) {
        self.put(&["metaData", column, schema]);
    }

    /// Takes an application transaction.
    pub(crate) fn transaction(&mut self, app: &str, version: i64) {
        self.put(&["txn", app, &version.to_string()]);
    }

    /// The digest as a commit says it.
    pub(crate) fn text(&self) -> String {
        format!("{:016x}", self.0)
    }
}

/// The facts in a commit's own record, which is the first line; nothing when it has none.
pub(crate) fn facts(first_line: &[u8]) -> Map<String, Value> {
    #[derive(Deserialize)]
    struct Record {
        #[serde(rename = "commitInfo")]
        info: Map<String, Value>,
    }
    serde_json::from_slice::<Record>(first_line).map(|record| record.info).unwrap_or_default()
}

/// Checks that a commit is whole, and the one of a version, and gives its actions.
///
/// # Errors
/// What is wrong with it, to follow its name.
pub(crate) fn check(text: &[u8], version: u64) -> Result<Vec<Actions>, String> {
    let mut lines = lines(text)?;
    let info = lines.iter_mut().find_map(|line| line.info.take()).unwrap_or_default();
    let (mut adds, mut rows, mut digest) = (HashSet::new(), None, Digest::default());
    let (mut twice, mut began) = (None, false);
    for line in &lines {
        if let Some(add) = &line.add {
            let path = decoded(&add.path);
            let tags = add.tags.iter().flatten();
            let part = add.partition_values.values().next().and_then(|part| part.as_deref()).unwrap_or_default();
            let tags = tags.map(|(name, value)| (name.as_str(), value.as_deref().unwrap_or_default()));
            digest.add(&path, &add.size.to_string(), part, add.stats.as_deref().unwrap_or_default(), tags);
            if !adds.insert(path.clone()) && !path.is_empty() {
                twice = Some(path);
            }
        }
        if let Some(remove) = &line.remove {
            digest.put(&["remove", &decoded(&remove.path)]);
        }
        if let Some(txn) = &line.txn {
            digest.transaction(&txn.app_id, txn.version);
            if txn.app_id == ROWS_TRANSACTION {
                rows = Some(txn.version);
            }
        }
        began |= line.protocol.is_some();
        match (&line.metadata, &info.divided) {
            (Some(table), Some(column)) if table["partitionColumns"] == serde_json::json!([column]) => {
                digest.divided(column, table["schemaString"].as_str().unwrap_or_default());
            }
            (table, _) => began |= table.is_some(),
        }
    }
    // Landings of earlier programs say their number in their transaction alone.
    let says = info.version.or(rows.and_then(|rows| u64::try_from(rows).ok()));
    if let Some(says) = says.filter(|says| *says != version) {
        return Err(format!("is a copy of another: it says that it is commit {says}"));
    }
    // The record comes first, so it survives a cut between two lines.
    let found = lines.len() as u64 - 1;
    if let Some(actions) = info.actions
        && actions != found
    {
        let wrong = if found < actions { "is cut off" } else { "was changed" };
        return Err(format!("{wrong}: {found} of {actions} actions are there"));
    }
    if info.stream.is_some() && rows.is_none() {
        return Err("is cut off: its last action is missing".to_owned());
    }
    if let Some(path) = twice {
        return Err(format!("was changed: it adds {path} twice"));
    }
    if info.actions.is_some() && began {
        return Err("was changed: an action that begins a table is among its own".to_owned());
    }
    if info.digest.is_some_and(|says| says != digest.text()) {
        return Err("was changed: its actions are not those that were written".to_owned());
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::super::actions::is_inside;
    use super::*;

    fn check(text: &[u8], version: u64) -> Result<(), String> {
        super::check(text, version).map(drop)
    }

    #[test]
    fn a_commit_that_ends_between_two_lines_is_not_whole() {
        let whole = "{\"commitInfo\":{\"kqlakeActions\":2}}\n{\"add\":{\"path\":\"a\"}}\n{\"add\":{\"path\":\"b\"}}";
        assert_eq!(check(whole.as_bytes(), 1), Ok(()));
        let (cut, _) = whole.rsplit_once('\n').unwrap();
        assert!(check(cut.as_bytes(), 1).is_err());
        let landing = format!(
            "{{\"commitInfo\":{{\"kqlakeStream\":\"s\"}}}}\n{{\"txn\":{{\"appId\":\"{ROWS_TRANSACTION}\",\"version\":1}}}}"
        );
        assert_eq!(check(landing.as_bytes(), 1), Ok(()));
        assert!(check(landing.as_bytes(), 2).is_err(), "another's number");
        assert!(check(landing.split_once('\n').unwrap().0.as_bytes(), 1).is_err());
    }

    #[test]
    fn copies_of_commits_and_of_actions_are_told_apart() {
        let create = "{\"commitInfo\":{\"operation\":\"CREATE TABLE\"}}\n{\"protocol\":{}}\n{\"metaData\":{}}";
        assert_eq!(check(create.as_bytes(), 0), Ok(()));
        assert!(check(b"{\"commitInfo\":{\"kqlakeCommit\":4}}", 3).is_err());
        let twice = b"{\"add\":{\"path\":\"a%20b\"}}\n{\"add\":{\"path\":\"a%20b\"}}";
        assert!(check(twice, 3).unwrap_err().contains("a b twice"));
        let begins = b"{\"commitInfo\":{\"kqlakeActions\":1}}\n{\"protocol\":{}}";
        assert!(check(begins, 3).is_err());
        let mut digest = Digest::default();
        digest.add("a b", "7", "2026-01-01", "s", [("x", "1"), ("w", "2")].into_iter());
        digest.transaction("app", 5);
        let text = |path: &str, txn: i64| {
            format!(
                "{{\"commitInfo\":{{\"kqlakeDigest\":\"{}\"}}}}\n{{\"txn\":{{\"appId\":\"app\",\"version\":{txn}}}}}\n{{\"add\":\
                 {{\"path\":\"{path}\",\"size\":7,\"partitionValues\":{{\"event_month\":\"2026-01-01\"}},\"stats\":\"s\",\
                 \"tags\":{{\"w\":\"2\",\"x\":\"1\"}}}}}}",
                digest.text()
            )
        };
        assert_eq!(check(text("a%20b", 5).as_bytes(), 3), Ok(()));
        assert!(check(text("a%20c", 5).as_bytes(), 3).is_err());
        assert!(check(text("a%20b", 6).as_bytes(), 3).is_err());
    }

    #[test]
    fn a_commit_that_divides_anew_says_by_what_and_with_which_columns() {
        let mut digest = Digest::default();
        digest.divided("event_month", "columns");
        let text = |divided: &str, column: &str, schema: &str| {
            let info = serde_json::json!({ "commitInfo": { DIGEST: digest.text(), DIVIDED: divided } });
            let table = serde_json::json!({ "metaData": { "partitionColumns": [column], "schemaString": schema } });
            format!("{info}\n{table}")
        };
        assert_eq!(check(text("event_month", "event_month", "columns").as_bytes(), 3), Ok(()));
        for (divided, column, schema) in [
            ("event_month", "event_month", "others"),
            ("event_date", "event_date", "columns"),
            ("event_month", "event_date", "columns"),
        ] {
            assert!(check(text(divided, column, schema).as_bytes(), 3).is_err(), "{divided} {column} {schema}");
        }
    }

    #[test]
    fn files_of_a_table_lie_below_its_folder() {
        for outside in ["/etc/x.parquet", "../x.parquet", "event_month=2026-01-01/../../x", "file:///x", "s3://b/x", "\\\\x\\y"] {
            assert!(!is_inside(outside), "{outside}");
            let commit = serde_json::json!({ "add": { "path": outside } }).to_string();
            assert!(check(commit.as_bytes(), 1).unwrap_err().contains(outside));
        }
        assert!(check(b"{\"add\":{\"path\":\"%2e%2e/x\"}}", 1).is_err());
        for inside in ["event_month=2026-01-01/part-1.parquet", "event_month=2026-01-01 00:00:00/a..b.parquet"] {
            assert!(is_inside(inside), "{inside}");
        }
    }
}
