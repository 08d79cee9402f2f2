//! What the tenant holds: functions of the seed and the time, so that nothing invented is ever stored.

pub(crate) mod audit;
pub(crate) mod calls;
pub(crate) mod chat;
pub(crate) mod instant;
pub(crate) mod mail;
pub(crate) mod people;
pub(crate) mod reports;
pub(crate) mod rng;
pub(crate) mod slots;
pub(crate) mod teams;
pub(crate) mod telemetry;
