//! The sources of each section of a tenant.

mod audit;
mod calls;
mod daily;
mod gap;
mod insights;
mod message_trace;
mod messages;
mod pages;
mod seen;

pub use self::message_trace::check_message_trace;

use std::sync::Arc;

use kqlake_import::{Section, Source};

use crate::settings::{Tenant, TraceDetails};
use crate::webhook::Spool;
use crate::webhook::queue::Queue;
use crate::world::{SetupError, World};

/// The sources that a section of a tenant reads; none where nothing is set that it could read.
///
/// # Errors
/// A setting with which the section cannot begin.
pub fn sources(tenant: &Tenant, section: Section, world: &World) -> Result<Vec<Arc<dyn Source>>, SetupError> {
    match section {
        Section::Audit => audit::sources(tenant, world),
        Section::Hits => insights::sources(tenant, world),
        Section::Calls => {
            let mut sources: Vec<Arc<dyn Source>> = vec![Arc::new(calls::Calls::of(tenant, world)?)];
            if let Some(folder) = world.spool() {
                let calls = calls::Calls::of(tenant, world)?;
                // Who only looks takes nothing out of a queue.
                let queue = if world.only_looks() { None } else { Queue::of(tenant, world)? };
                sources.insert(0, Arc::new(calls::notified::Notified::new(calls, &tenant.id, Spool::new(folder), queue)));
            }
            Ok(sources)
        }
        Section::MessageTrace => {
            let mut sources: Vec<Arc<dyn Source>> = vec![Arc::new(message_trace::Traces::of(tenant, world)?)];
            if tenant.message_trace.details != TraceDetails::None {
                sources.push(Arc::new(message_trace::details::Details::of(tenant, world)?));
            }
            Ok(sources)
        }
        Section::UserMetadata => Ok(vec![Arc::new(daily::users::Users::of(tenant, world)?)]),
        Section::UserApps => Ok(vec![Arc::new(daily::user_apps::UserApps::of(tenant, world)?)]),
        Section::Teams => {
            let mut sources: Vec<Arc<dyn Source>> = vec![Arc::new(daily::teams::Teams::of(tenant, world)?)];
            if tenant.teams_messages.enabled {
                sources.push(Arc::new(messages::Messages::of(tenant, world)?));
            }
            Ok(sources)
        }
        Section::UsageReports => Ok(vec![Arc::new(daily::reports::Reports::of(tenant, world)?)]),
    }
}
