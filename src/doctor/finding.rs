//! What a check found.

/// What a finding is about, which decides the exit status when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Area {
    /// The configuration and its secrets.
    Configuration,
    /// A service, or the way to it.
    Service,
    /// The lake and its disk.
    Lake,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Status {
    /// All is well.
    Ok,
    /// It could not be looked at, because of another finding or because nothing asks for it.
    Skipped,
    /// It works, and will not always.
    Warning,
    /// It does not work.
    Failed,
}

impl Status {
    /// The word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Skipped => "skipped",
            Status::Warning => "warning",
            Status::Failed => "failed",
        }
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// What was looked at: `lake`, `contoso/graph/token`.
    pub component: String,
    /// What it is about.
    pub area: Area,
    /// How it ended.
    pub status: Status,
    /// What was found, as a sentence without secrets.
    pub detail: String,
    /// What to do; empty where there is nothing to do.
    pub advice: String,
    /// Days until a secret or certificate is no longer valid; negative when it is not already.
    pub days: Option<i64>,
}

impl Finding {
    fn new(area: Area, component: impl Into<String>, status: Status, detail: impl Into<String>) -> Self {
        Finding { component: component.into(), area, status, detail: detail.into(), advice: String::new(), days: None }
    }

    /// All is well.
    pub(super) fn ok(area: Area, component: impl Into<String>, detail: impl Into<String>) -> Self {
        Finding::new(area, component, Status::Ok, detail)
    }

    /// It could not be looked at.
    pub(super) fn skipped(area: Area, component: impl Into<String>, detail: impl Into<String>) -> Self {
        Finding::new(area, component, Status::Skipped, detail)
    }

    /// It works, and will not always.
    pub(super) fn warning(
        area: Area,
        component: impl Into<String>,
        detail: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Finding { advice: advice.into(), ..Finding::new(area, component, Status::Warning, detail) }
    }

    /// It does not work.
    pub(super) fn failed(area: Area, component: impl Into<String>, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Finding { advice: advice.into(), ..Finding::new(area, component, Status::Failed, detail) }
    }

    /// With the days until something is no longer valid, which may be few.
    pub(super) fn expiring(mut self, days: i64, renew: &str) -> Self {
        self.days = Some(days);
        self.status = match days {
            ..0 => Status::Failed,
            0..=30 => Status::Warning,
            _ => self.status,
        };
        if self.status != Status::Ok {
            self.advice = renew.to_owned();
        }
        self
    }
}
