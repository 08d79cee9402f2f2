//! What Graph has of a day: users, the apps that they have installed, teams with their channels, members and apps, usage reports.
//!
//! A day has one snapshot of each, in units that an unfinished run need not read again. Users are read by their changes: the first
//! round of a day is whole, and later rounds of the same day bring what changed since.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kqlake_import::ListedUnit;

use crate::api::Api;
use crate::budget::RequestLimits;
use crate::http::ServiceError;
use kqlake_value::US_PER_DAY as DAY;

pub(super) mod reports;
pub(super) mod teams;
pub(super) mod user_apps;
pub(super) mod users;

/// Requests that Graph takes of one application for one tenant's Teams ("Throttling", Microsoft Teams service limits).
pub(super) fn teams_api(api: &Api) -> Api {
    api.limited("teams", RequestLimits::of(30, Duration::from_secs(1), 4))
}

/// Whether the service no longer knows where changes go on (Microsoft Graph, "Use delta query to track changes in Microsoft Graph
/// data": 410, `resyncRequired` and `syncStateNotFound`). A directory says 400 instead, with one of several codes about the token of
/// the page, such as `Directory_ExpiredPageToken`.
pub(super) fn is_forgotten(error: &ServiceError) -> bool {
    let is_of_page_token = || error.code.as_deref().is_some_and(|code| code.contains("Token"));
    error.status == Some(410)
        || (error.status == Some(400) && is_of_page_token())
        || error.is_code("resyncRequired")
        || error.is_code("syncStateNotFound")
}

/// What units of a run are about, by their names: a list says only names.
#[derive(Debug, Default)]
struct Contents(Mutex<BTreeMap<String, Vec<String>>>);

impl Contents {
    fn set(&self, unit: &str, ids: Vec<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(unit.to_owned(), ids);
    }

    fn get(&self, unit: &str) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(unit).cloned().unwrap_or_default()
    }
}

/// When a unit of a day is given: now, but on its day, which may have just ended.
fn taken_at(api: &Api, unit: &ListedUnit) -> Option<i64> {
    unit.window.map(|(start, end)| api.now().clamp(start, end - 1))
}
