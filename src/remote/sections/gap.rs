//! A stretch of time that was never listed, and that the service does not list any more: a unit that is gone as soon as it is
//! listed, so that the ledger has a row of it.

use kqlake_import::{ListedUnit, SourceError};

use crate::instant;

/// What names of such units have between the name of what was to be listed and the stretch.
const PART: &str = "/gap/";

/// The unit of a stretch of time in microseconds since 1970.
pub(super) fn unit(of: &str, from: i64, to: i64) -> ListedUnit {
    ListedUnit {
        name: format!("{of}{PART}{}..{}", instant::text(from), instant::text(to)),
        window: Some((from, to)),
        is_stretch: true,
        expires: Some(to),
        ..ListedUnit::default()
    }
}

/// Why a unit cannot be opened that stands for a stretch of time; `None` for all others.
pub(super) fn refusal(unit: &ListedUnit) -> Option<SourceError> {
    let (_, stretch) = unit.name.split_once(PART)?;
    let (from, to) = stretch.split_once("..")?;
    let reason = format!("no run listed what became available from {from} to {to}, and the service lists it no longer");
    Some(SourceError { gone: true, ..SourceError::for_now(reason) })
}
