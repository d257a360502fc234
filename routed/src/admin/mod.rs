//! The administration API: `catalyst.admin.v1` on a Unix socket or loopback, for catalystctl.

mod convert;
mod explain;
mod service;
mod sessions;
mod socket;
mod store;
mod watch;

use std::future::Future;
use std::sync::Arc;

use anyhow::Context;
use catalyst_core::event::LocalService;
use catalyst_envoy::ports::LocalPorts;
use catalyst_proto::admin::v1::admin_server::AdminServer;
use catalyst_proto::admin::v1::explain_server::ExplainServer;
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::transport::Server;
use tonic::transport::server::Router;

use crate::config::{Config, Listen};
use crate::driver::SpeakerHandle;
use explain::ExplainService;
use service::AdminService;
use socket::UnixSocket;
pub use store::Store;

/// The services that this node offers from the start: those of the configuration, and over them those that were added
/// at run time.
#[must_use]
pub fn initial_services(config: &Config, store: &Store) -> Vec<LocalService> {
    let added = store.local_services();
    let mut services = config.local_services();
    services.retain(|service| added.iter().all(|a| a.name != service.name));
    services.extend(added);
    services
}

/// Binds the socket of `admin.listen`; the future serves until it is dropped.
///
/// # Errors
/// The address is in use or cannot be bound.
pub async fn serve(
    config: &Config,
    store: Store,
    speaker: SpeakerHandle,
    local_ports: LocalPorts,
) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + Send + use<>> {
    let shared = Arc::new(config.clone());
    let explain = ExplainServer::new(ExplainService::new(Arc::clone(&shared)));
    let service = AdminServer::new(AdminService::new(shared, store, speaker, local_ports));
    let router = Server::builder().add_service(service).add_service(explain);
    let listen = config.admin.listen.clone();
    let listener = Listener::bind(&listen)
        .await
        .with_context(|| format!("admin.listen: cannot listen on {listen}"))?;
    Ok(listener.serve(router))
}

enum Listener {
    Unix(UnixSocket),
    Tcp(tokio::net::TcpListener),
}

impl Listener {
    async fn bind(listen: &Listen) -> anyhow::Result<Self> {
        Ok(match listen {
            Listen::Unix(path) => Self::Unix(UnixSocket::bind(path)?),
            Listen::Tcp(address) => Self::Tcp(tokio::net::TcpListener::bind(address).await?),
        })
    }

    async fn serve(self, router: Router) -> anyhow::Result<()> {
        match self {
            Self::Unix(UnixSocket { listener, file }) => {
                let result = router.serve_with_incoming(UnixListenerStream::new(listener)).await;
                drop(file);
                result?;
            }
            Self::Tcp(listener) => router.serve_with_incoming(TcpListenerStream::new(listener)).await?,
        }
        Ok(())
    }
}
