//! What all sections of all tenants share: connections, tokens, quotas, and how time passes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::api::Api;
use crate::budget::{Quotas, RequestLimits};
use crate::cloud::{Service, check_host};
use crate::http::Transport;
use crate::pace::Pace;
use crate::settings::Tenant;
use crate::token::TokenCache;
use kqlake_durable::ScratchFolder;

/// A setting with which a section cannot begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SetupError {
    /// What is wrong, and what to do.
    pub message: String,
}

impl SetupError {
    /// An error that says what is wrong, and what to do.
    pub fn new(message: impl Into<String>) -> Self {
        SetupError { message: message.into() }
    }
}

/// What sections share. Clones share the same.
#[derive(Debug, Clone)]
pub struct World {
    pace: Pace,
    transport: Transport,
    tokens: TokenCache,
    quotas: Quotas,
    folder: Option<PathBuf>,
    spool: Option<PathBuf>,
    scratch: ScratchFolder,
    only_looks: bool,
}

impl World {
    /// A world whose small state, such as what was used of quotas, is kept in a folder; without one nothing is kept.
    ///
    /// # Errors
    /// The machine's certificates cannot be read.
    pub fn new(pace: Pace, folder: Option<&Path>) -> Result<World, SetupError> {
        let transport =
            Transport::new().map_err(|why| SetupError::new(format!("connections cannot be made from this machine: {why}")))?;
        Ok(World {
            tokens: TokenCache::new(transport.clone(), pace.clone()),
            quotas: Quotas::new(pace.clone(), folder),
            folder: folder.map(Path::to_owned),
            spool: None,
            scratch: ScratchFolder::default(),
            only_looks: false,
            pace,
            transport,
        })
    }

    /// The same, in which listing changes nothing at a service: no subscription is started.
    #[must_use]
    pub fn that_only_looks(self) -> World {
        World { only_looks: true, ..self }
    }

    /// Whether listing must change nothing at a service.
    pub(crate) fn only_looks(&self) -> bool {
        self.only_looks
    }

    /// How time passes.
    pub fn pace(&self) -> &Pace {
        &self.pace
    }

    /// The folder that small state is kept in.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The same, with a folder in which notifications of calls wait.
    #[must_use]
    pub fn with_spool(self, folder: PathBuf) -> World {
        World { spool: Some(folder), ..self }
    }

    /// The folder in which notifications of calls wait.
    pub(crate) fn spool(&self) -> Option<&Path> {
        self.spool.as_deref()
    }

    /// The same, whose temporary files are in a folder.
    #[must_use]
    pub fn with_scratch(self, scratch: ScratchFolder) -> World {
        World { scratch, ..self }
    }

    /// Where temporary files go.
    pub(crate) fn scratch(&self) -> &ScratchFolder {
        &self.scratch
    }

    /// A service of a tenant.
    ///
    /// # Errors
    /// The tenant's cloud does not have it, or an address is not one that may be used.
    pub fn api(&self, tenant: &Tenant, service: Service) -> Result<Api, SetupError> {
        let base = |service: Service| {
            let base = tenant.base(service).ok_or_else(|| {
                SetupError::new(format!(
                    "{service} has no known address in the cloud {}; set hosts.{}",
                    tenant.cloud,
                    service.key()
                ))
            })?;
            check_host(&base).map_err(|why| SetupError::new(format!("hosts.{}: {base} {why}", service.key())))?;
            Ok(base)
        };
        let audience = tenant.cloud.audience(service).or_else(|| crate::cloud::Cloud::Global.audience(service));
        let tokens = match audience {
            Some(audience) => Some(self.tokens.of(&Arc::new(tenant.clone()), base(Service::Login)?, audience)),
            None => None,
        };
        let limits = limits(tenant, service);
        let (transport, quotas) = (self.transport.clone(), self.quotas.clone());
        Ok(Api::new(service, &tenant.id, base(service)?, tokens, transport, quotas, limits, self.pace.clone()))
    }
}

/// What a service takes of one tenant.
fn limits(tenant: &Tenant, service: Service) -> RequestLimits {
    match service {
        Service::Management => RequestLimits::of(tenant.audit.requests_per_minute, Duration::from_secs(60), 16),
        Service::Graph => RequestLimits::at_once(8),
        Service::Login | Service::Reporting | Service::ServiceBus => RequestLimits::at_once(1),
        Service::AppInsights | Service::LogAnalytics => RequestLimits::of(200, Duration::from_secs(30), 4),
    }
}
