//! Whose usage reports have the plain keys of a lake.
//!
//! Rows of usage reports do not say of which tenant they are, and two tenants have the like of them: a count of a day, a group that
//! is called "All Company". One tenant of a lake has the keys that rows of files have as well, so that a lake of one tenant is as if
//! there were no others; rows of every other tenant have keys of their own, with its id. Which one that is, is kept in the lake.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::TenantConfig;
use crate::error::{Error, Result};
use kqlake_durable::Draft;
use kqlake_import::Section;
use kqlake_lake::folders::STATE;

/// The version of the file's form.
const FORMAT: u32 = 1;

/// What is kept.
#[derive(Debug, Serialize, Deserialize)]
struct ReportOwner {
    format: u32,
    /// The tenant's id, a GUID in lower case.
    tenant: String,
}

fn file(lake: &Path) -> PathBuf {
    lake.join(STATE).join("usage-reports.json")
}

/// The id of the tenant whose usage reports have the plain keys: the one that the lake names, else the first one that is configured
/// to fetch them.
///
/// # Errors
/// What the lake has in the place of the name cannot be read: with another tenant in it all rows would land a second time.
pub(crate) fn report_owner(lake: &Path, tenants: &[TenantConfig]) -> Result<Option<String>> {
    let path = file(lake);
    match std::fs::read(&path) {
        Ok(text) => {
            let kept: ReportOwner = serde_json::from_slice(&text).map_err(|error| unreadable(&path, &error.to_string()))?;
            if kept.format > FORMAT {
                return Err(unreadable(&path, "a newer version of kqlake wrote it"));
            }
            return Ok(Some(kept.tenant));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(unreadable(&path, &error.to_string())),
    }
    let fetches = |tenant: &&TenantConfig| tenant.jobs.contains(&Section::UsageReports);
    Ok(tenants.iter().find(fetches).or_else(|| tenants.first()).map(|tenant| tenant.id.clone()))
}

fn unreadable(path: &Path, why: &str) -> Error {
    let message = format!("{}: it is not known which tenant's usage reports the lake's are: {why}", path.display());
    Error::Storage {
        message,
        hint: Some(r#"write {"format":1,"tenant":"ID"} into it, with the id of the tenant whose reports came first"#.to_owned()),
        source: None,
    }
}

/// Keeps the owner in the lake, where none is kept yet.
///
/// # Errors
/// The disk refuses.
pub(crate) fn keep_report_owner(lake: &Path, tenant: &str) -> Result<()> {
    let path = file(lake);
    if path.exists() {
        return Ok(());
    }
    let kept = ReportOwner { format: FORMAT, tenant: tenant.to_owned() };
    let write = || -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let draft = Draft::create(&path)?;
        draft.file().write_all(&serde_json::to_vec(&kept)?)?;
        draft.publish()
    };
    write().map_err(|error| Error::io("write", &path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_tenant_owns_the_plain_keys_and_goes_on_to() {
        let dir = tempfile::tempdir().unwrap();
        let owner = |tenants: &[TenantConfig]| report_owner(dir.path(), tenants);
        assert_eq!(owner(&[]).unwrap(), None);
        keep_report_owner(dir.path(), "11111111-1111-1111-1111-111111111111").unwrap();
        keep_report_owner(dir.path(), "22222222-2222-2222-2222-222222222222").unwrap();
        assert_eq!(owner(&[]).unwrap().as_deref(), Some("11111111-1111-1111-1111-111111111111"));
        for broken in ["", "{", r#"{"format":2,"tenant":"x"}"#] {
            std::fs::write(file(dir.path()), broken).unwrap();
            let error = owner(&[]).unwrap_err();
            assert!(error.advice().is_some_and(|advice| advice.contains("\"tenant\":\"ID\"")), "{error:?}");
        }
    }
}
