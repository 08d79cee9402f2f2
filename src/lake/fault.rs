//! Named steps of a landing at which a test can stop the work, as a crash would: nothing is cleaned up behind.

use std::fmt;
use std::sync::Arc;

/// A step that has just been done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// A data file is on disk.
    FileWritten,
    /// Everything is ready; the commit comes next.
    BeforeCommit,
    /// The commit is in the log; nothing that follows it is done.
    AfterCommit,
    /// The commit is in the log, and the table's positions are written down beside it.
    PositionWritten,
    /// A compaction's files are on disk; its commit comes next.
    BeforeCompactCommit,
}

type Hook = dyn Fn(Step) -> bool + Send + Sync;

/// A hook that decides at each step whether to stop. Without a hook a step costs one comparison.
#[derive(Clone, Default)]
pub struct Fault(Option<Arc<Hook>>);

impl Fault {
    /// A hook; it stops the work by answering true.
    pub fn new(hook: impl Fn(Step) -> bool + Send + Sync + 'static) -> Self {
        Fault(Some(Arc::new(hook)))
    }

    /// Passes a step.
    ///
    /// # Errors
    /// The step, when the hook stops the work there.
    pub(crate) fn pass(&self, step: Step) -> Result<(), Step> {
        match &self.0 {
            Some(hook) if hook(step) => Err(step),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Fault(set)" } else { "Fault(unset)" })
    }
}
