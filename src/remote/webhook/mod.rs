//! Notifications of calls: received, spooled to disk before they are acknowledged, and the subscription that makes them come.
//!
//! A notification is a hint that a call may be fetched. Its record is fetched by the section of calls, which reads the spool; what
//! was never notified is found by that section's listing. So a notification that is lost costs time, and no record.

mod notice;
pub(crate) mod queue;
mod receiver;
mod spool;
mod subscription;

use std::fmt;
use std::sync::Arc;

pub(crate) use self::notice::calls_of;
pub use self::receiver::{Party, Receiver, ReceiverLimits};
pub use self::spool::{Hint, Spool};
pub use self::subscription::{Attention, Keeper};
use crate::cloud::Service;
use crate::http::{Failure, ServiceError};
use crate::settings::Tenant;
use crate::world::World;
use kqlake_import::EventLevel;
use secrecy::SecretString;

/// What the receiver and the keeper of a subscription say of their work.
pub trait Journal: fmt::Debug + Send + Sync {
    /// A log line. `is_receiver` tells the receiver's from those of the subscription. It holds no secret.
    fn line(&self, is_receiver: bool, severity: EventLevel, message: &str);
    /// Calls were notified; they may be fetched.
    fn notified(&self, _tenant: &str, _calls: usize) {}
}

/// A journal that all parts share.
pub type SharedJournal = Arc<dyn Journal>;

/// Looks whether the queue that a tenant's notifications are read from is there and may be read; none where none is set.
///
/// # Errors
/// It is not, or the service does not answer.
pub async fn check_queue(tenant: &Tenant, world: &World) -> Option<Result<(), ServiceError>> {
    match queue::Queue::of(tenant, world) {
        Ok(queue) => Some(queue?.check().await),
        Err(error) => Some(Err(ServiceError::new(Service::ServiceBus, Failure::Forbidden, error.to_string()))),
    }
}

/// A state for notifications that nobody knows, for tenants that set none.
pub fn fresh_state() -> SecretString {
    SecretString::from(format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple()))
}
