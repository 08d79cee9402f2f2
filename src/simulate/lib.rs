//! A simulated tenant: one local server that speaks the services which telemetry is fetched from, stateful and seeded, with
//! their limits and faults, and a manifest of what it served.
//!
//! May use: `kqlake-value`. Must never know the rest: it is written from the services' contracts alone, so that it can prove the
//! other side wrong.

mod answer;
mod body;
mod clock;
mod configuration;
mod control;
mod deliver;
mod faults;
mod link;
mod manifest;
mod random;
mod server;
mod services;
mod settings;
mod tenant;
#[cfg(test)]
mod testing;
mod tokens;
mod world;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use self::configuration::SECRET_VARIABLE;
pub use self::faults::{FaultPlan, FaultPlanError};
pub use self::manifest::{Manifest, Table};
pub use self::settings::Settings;
use self::world::{Registration, World};
pub use kqlake_value::clock::ClockSetting;

/// What to simulate.
#[derive(Debug, Clone)]
pub struct SimulatorOptions {
    /// The port on the loopback address; 0 takes a free one.
    pub port: u16,
    /// Another seed gives another tenant.
    pub seed: u64,
    /// 1 is a small tenant with some thousand records of each kind in the last week; all volumes grow with it.
    pub scale: f64,
    /// The tenant's time.
    pub clock: ClockSetting,
    /// Its habits and limits.
    pub settings: Settings,
    /// Which faults it has.
    pub faults: FaultPlan,
    /// A PEM file with the certificate of the registered application, which then signs in with it.
    pub certificate: Option<PathBuf>,
}

impl Default for SimulatorOptions {
    fn default() -> Self {
        Self {
            port: 0,
            seed: 1,
            scale: 1.0,
            clock: ClockSetting::Real,
            settings: Settings::default(),
            faults: FaultPlan::default(),
            certificate: None,
        }
    }
}

/// Why a tenant cannot be simulated.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The port is taken or forbidden.
    #[error("cannot listen on port {0}: {1}; another --port, or none for a free one")]
    Listen(u16, io::Error),
    /// The certificate's file cannot be read, or holds none.
    #[error("{}: no certificate in PEM: {err}", .file.display())]
    Certificate {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        err: rustls_pki_types::pem::Error,
    },
}

/// A running tenant. It serves until it is stopped or dropped.
#[derive(Debug)]
pub struct Simulator {
    world: Arc<World>,
    certificate: Option<PathBuf>,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
}

impl Simulator {
    /// Starts a tenant. Is called inside a runtime.
    ///
    /// # Errors
    /// When the port cannot be listened on.
    pub async fn start(options: SimulatorOptions) -> Result<Self, SimulatorError> {
        let certificate = options.certificate.as_ref().map(|file| {
            let der = CertificateDer::from_pem_file(file).map_err(|err| SimulatorError::Certificate { file: file.clone(), err });
            der.map(|der| der.to_vec())
        });
        let certificate = certificate.transpose()?;
        let failed = |err| SimulatorError::Listen(options.port, err);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let world = Arc::new(World::new(
            (options.seed, options.scale),
            clock::SimulatedClock::new(options.clock),
            Registration::of(options.seed, certificate),
            (options.settings, faults::Faults::new(&options.faults, options.seed)),
            address,
            services::truths(),
        ));
        let router = server::router(Arc::clone(&world));
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(async move {
            let stopped = async {
                // A simulator that was dropped stops as well.
                drop(stopped.await);
            };
            let service = router.into_make_service_with_connect_info::<link::Cutter>();
            if let Err(err) = axum::serve(link::Listening(listener), service).with_graceful_shutdown(stopped).await {
                tracing::error!("the simulated tenant stopped: {err}");
            }
        });
        Ok(Self { world, certificate: options.certificate, stop: Some(stop), server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.world.address
    }

    /// The tenant's guid.
    pub fn tenant(&self) -> &str {
        &self.world.registration.tenant
    }

    /// The registered application's guid.
    pub fn client_id(&self) -> &str {
        &self.world.registration.client_id
    }

    /// The registered application's secret.
    pub fn secret(&self) -> &str {
        &self.world.registration.secret
    }

    /// Puts a message into the queue `graphcalls` of Service Bus.
    pub fn enqueue(&self, message: &str) {
        services::service_bus::enqueue(&self.world, message.to_owned().into());
    }

    /// The key of the policy `RootManageSharedAccessKey` of the queue `graphcalls`.
    pub fn queue_key(&self) -> &str {
        &self.world.registration.queue_key
    }

    /// A configuration that fetches everything from it.
    pub fn toml(&self) -> String {
        configuration::toml(&self.world, self.certificate.as_deref())
    }

    /// Lets other faults hold from now on.
    pub fn set_faults(&self, plan: &FaultPlan) {
        self.world.faults.set(plan);
    }

    /// Sets the tenant's time.
    pub fn set_clock(&self, clock: ClockSetting) {
        self.world.clock.set(clock);
    }

    /// What was served until now, and what is true now.
    pub fn manifest(&self) -> Manifest {
        control::written(&self.world)
    }

    /// Stops serving; the manifest is the last word.
    pub async fn stop(mut self) -> Manifest {
        drop(self.stop.take());
        self.server.abort();
        control::written(&self.world)
    }
}
