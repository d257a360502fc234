//! The administration API: `catalyst.admin.v1` on a Unix socket or loopback, for catalystctl.

mod asked;
mod complete;
mod convert;
mod explain;
mod offers;
mod operate;
mod reload;
mod service;
mod sessions;
mod store;
mod tunnels;
mod watch;

use std::future::Future;
use std::sync::Arc;

use anyhow::Context;
use catalyst_envoy::ads::AdsHandle;
use catalyst_envoy::ports::LocalPorts;
use catalyst_proto::admin::v1::admin_server::AdminServer;
use catalyst_proto::admin::v1::complete_server::CompleteServer;
use catalyst_proto::admin::v1::explain_server::ExplainServer;
use catalyst_proto::admin::v1::operate_server::OperateServer;
use catalyst_proto::admin::v1::tunnels_server::TunnelsServer;
use catalyst_wireguard::WireguardStats;
use tokio::sync::{Mutex, mpsc};
use tonic::transport::Server;

use crate::config::Listen;
use crate::driver::SpeakerHandle;
use crate::listen::thread;
use crate::reload::Reloader;
use crate::tunnels::Rotator;
use complete::CompleteService;
use explain::ExplainService;
use operate::OperateService;
use service::AdminService;
pub use store::Store;
use tunnels::TunnelsService;

/// The services that were added at run time, shared by those who change what this node offers. Held over a change on
/// disk and its event, so that both happen in the same order.
pub type SharedStore = Arc<Mutex<Store>>;

/// What running data planes show.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    /// The local ports of tcp services.
    pub local_ports: LocalPorts,
    /// What Envoys hold and refuse; `None`: the plugin is off.
    pub envoy: Option<AdsHandle>,
    /// The tunnels; `None`: the plugin is off.
    pub wireguard: Option<WireguardStats>,
}

/// Binds the socket of `admin.listen`; the future serves until it is dropped. An operator's wish to end the daemon goes to
/// `stop`, with the words for the peers; one to change the key of the tunnels to `rotator`.
///
/// # Errors
/// The address is in use or cannot be bound.
pub async fn serve(
    reloader: Arc<Reloader>,
    store: SharedStore,
    speaker: SpeakerHandle,
    Shown {
        local_ports,
        envoy,
        wireguard,
    }: Shown,
    (rotator, stop): (Option<Arc<Rotator>>, mpsc::Sender<Arc<str>>),
) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + Send + use<>> {
    let listen = reloader.live().get().admin.listen.clone();
    let explain = ExplainServer::new(ExplainService::new(
        reloader.live().clone(),
        Arc::clone(&store),
        speaker.clone(),
        local_ports.clone(),
    ));
    let operate = OperateServer::new(OperateService::new(speaker.clone(), stop));
    let complete = CompleteServer::new(CompleteService::new(reloader.live().clone(), speaker.clone()));
    let tunnels = TunnelsServer::new(TunnelsService::new(wireguard.zip(rotator), speaker.clone()));
    let service = AdminServer::new(AdminService::new(reloader, store, speaker, (local_ports, envoy)));
    let router = Server::builder()
        .add_service(service)
        .add_service(explain)
        .add_service(operate)
        .add_service(complete)
        .add_service(tunnels);
    let serving = thread::serve("admin", Listen::clone(&listen), |listener| listener.serve(router)).await;
    serving.with_context(|| format!("admin.listen: cannot listen on {listen}"))
}
