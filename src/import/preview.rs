//! What an import of sources would fetch: they are listed, and nothing is opened or written.

use std::sync::Arc;

use super::ledger::{self, KnownUnits};
use super::positions;
use super::source::{ListedUnit, Source};
use super::{ImportError, ImportOptions};
use kqlake_lake::Lake;

/// Pages of a source that are listed: more than any has.
const PAGES: usize = 1_000_000;

/// What one source would give.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// The source's stream.
    pub stream: String,
    /// Units that it lists.
    pub listed: u64,
    /// Units that would be fetched, in the order in which they would be.
    pub to_fetch: Vec<ListedUnit>,
    /// What could not be listed, and why.
    pub failures: Vec<(String, String)>,
}

/// Lists what sources have, each from the position that it had reached, and leaves out what the ledger knows.
///
/// # Errors
/// The lake cannot be read. What cannot be listed is no error but said in the preview.
pub async fn preview(lake: &Lake, sources: &[Arc<dyn Source>], options: &ImportOptions) -> Result<Vec<Preview>, ImportError> {
    lake.check().await?;
    let mut known = match ledger::read(lake, options.section).await {
        Err(ImportError::Lake(error)) if error.is_of_one_table() => KnownUnits::default(),
        known => known?,
    };
    if options.again {
        known.forget(None);
    }
    known.forget_scope(&options.filter.org_urls.digest());
    let mut previews = Vec::new();
    for source in sources {
        let mut after = if options.again { None } else { positions::kept(lake, source.as_ref()).await? };
        let (mut listed, mut to_fetch, mut failures) = (0, Vec::new(), Vec::new());
        for _ in 0..PAGES {
            let listing = match source.list(after).await {
                Ok(listing) => listing,
                Err(error) => {
                    failures.push((source.stream().to_owned(), error.reason));
                    break;
                }
            };
            listed += listing.units.len() as u64;
            let is_known =
                |unit: &ListedUnit| unit.stamp.as_deref().is_some_and(|stamp| !known.by_stamp(&unit.name, stamp).is_empty());
            to_fetch.extend(listing.units.into_iter().filter(|unit| !is_known(unit)));
            failures.extend(listing.failures);
            match listing.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        if source.expiring_first() {
            to_fetch.sort_by_key(|unit| unit.expires.unwrap_or(i64::MAX));
        }
        previews.push(Preview { stream: source.stream().to_owned(), listed, to_fetch, failures });
    }
    Ok(previews)
}
