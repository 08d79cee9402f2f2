//! The sources of each section of a tenant.

mod audit;

use std::sync::Arc;

use kqlake_import::{Section, Source};

pub use self::audit::{Subscription, audit_subscriptions};
use crate::settings::Tenant;
use crate::world::{SetupError, World};

/// The sources that a section of a tenant reads; none where nothing is set that it could read.
///
/// # Errors
/// A setting with which the section cannot begin.
pub fn sources(tenant: &Tenant, section: Section, world: &World) -> Result<Vec<Arc<dyn Source>>, SetupError> {
    match section {
        Section::Audit => audit::sources(tenant, world),
        Section::Hits
        | Section::Calls
        | Section::MessageTrace
        | Section::UsageReports
        | Section::UserMetadata
        | Section::UserApps
        | Section::Teams => Ok(Vec::new()),
    }
}
