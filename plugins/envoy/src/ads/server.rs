//! The running server and the handles on it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use catalyst_plugin::{PlaneEvent, Verdict};
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryServiceServer;
use tokio::sync::{oneshot, watch};
use tonic::transport::Server;

use crate::ads::accept::Connections;
use crate::ads::desired::Changes;
use crate::ads::hub::Hub;
use crate::ads::listen::{BindError, Listener, bind};
use crate::ads::service::Service;
use crate::ads::stats::{RejectedReport, Report};
use crate::config::XdsAddress;
use crate::resource::{ResourceKey, ResourceKind};

/// A silent connection is probed after this long: a stopped Envoy keeps its socket open.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);
/// A probe that is not answered within this ends the connection. Envoy answers on its main thread, which a large update
/// keeps busy for seconds.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// On reconnect Envoy names every resource that it holds in one request: some 60 bytes each.
const MAX_REQUEST_BYTES: usize = 256 << 20;

/// What the server's tasks share.
#[derive(Debug)]
pub(super) struct Shared {
    hub: Mutex<Hub>,
    /// Counts changes that may concern every stream.
    updates: watch::Sender<u64>,
    /// Counts what the streams report back.
    progress: watch::Sender<u64>,
    closing: watch::Sender<bool>,
}

impl Shared {
    /// The hub. Its methods do not panic half-way, so a poisoned lock guards a sound state.
    pub(super) fn hub(&self) -> MutexGuard<'_, Hub> {
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note_progress(&self) {
        self.progress.send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(super) fn watch_updates(&self) -> watch::Receiver<u64> {
        self.updates.subscribe()
    }

    pub(super) fn watch_closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }
}

/// A delta ADS server for any number of Envoys. Dropping it ends every stream; Envoys go on with what they have.
#[derive(Debug)]
pub struct AdsServer {
    shared: Arc<Shared>,
    _stop: oneshot::Sender<()>,
}

impl AdsServer {
    /// Listens on `address` and serves from now on. Nothing is answered before the first [`AdsServer::update`]. Must be
    /// called within a tokio runtime.
    pub async fn bind(address: &XdsAddress) -> Result<Self, BindError> {
        let listener = bind(address).await?;
        let shared = Arc::new(Shared {
            hub: Mutex::new(Hub::default()),
            updates: watch::Sender::new(0),
            progress: watch::Sender::new(0),
            closing: watch::Sender::new(false),
        });
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(serve(listener, shared.clone(), stopped));
        Ok(Self { shared, _stop: stop })
    }

    /// Takes over a step of the desired table and wakes every stream; gives the round to wait for.
    pub fn update(&self, changes: Changes, settled: bool) -> u64 {
        let round = self.shared.hub().update(changes, settled);
        self.shared.updates.send_modify(|count| *count = count.wrapping_add(1));
        round
    }

    /// Waits until all resources of a round are confirmed or refused by every connected Envoy, at most for `bound`, and
    /// not at all without an Envoy.
    pub async fn wait(&self, round: u64, bound: Duration) {
        let mut progress = self.shared.progress.subscribe();
        let done = progress.wait_for(|_| {
            let hub = self.shared.hub();
            hub.is_complete(round) || !hub.is_connected()
        });
        // Too late, or the server is gone: the verdicts say how far it got.
        drop(tokio::time::timeout(bound, done).await);
    }

    /// The verdict on each of `keys` as things stand, but for those in place.
    pub fn verdicts<'a>(&self, keys: impl Iterator<Item = &'a ResourceKey>) -> Vec<(ResourceKey, Verdict)> {
        let mut hub = self.shared.hub();
        let verdicts = keys.map(|key| (key.clone(), hub.tell_verdict(key)));
        verdicts
            .filter(|(_, verdict)| *verdict != Verdict::Programmed)
            .collect()
    }

    /// What the connected Envoys hold, with the fingerprint of the content; `None` where they differ, or have not
    /// confirmed it.
    pub fn held(&self) -> BTreeMap<ResourceKey, Option<u64>> {
        self.shared.hub().held()
    }

    /// Has every Envoy try refused resources of a kind again, for reasons that lie outside of them; gives whether there are
    /// any. Nothing is said of one that is refused once more in the same words.
    pub fn retry(&self, kind: ResourceKind) -> bool {
        let any = self.shared.hub().retry(kind);
        if any {
            self.shared.updates.send_modify(|count| *count = count.wrapping_add(1));
        }
        any
    }

    /// Waits for news. Cancel-safe.
    pub async fn next_event(&self) -> PlaneEvent<ResourceKey> {
        let mut progress = self.shared.progress.subscribe();
        loop {
            progress.mark_unchanged();
            if let Some(event) = self.shared.hub().next_event() {
                return event;
            }
            if progress.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// A handle for those who only look.
    #[must_use]
    pub fn handle(&self) -> AdsHandle {
        AdsHandle {
            shared: self.shared.clone(),
        }
    }
}

impl Drop for AdsServer {
    fn drop(&mut self) {
        self.shared.closing.send_replace(true);
    }
}

/// Shows what the server does.
#[derive(Debug, Clone)]
pub struct AdsHandle {
    shared: Arc<Shared>,
}

impl AdsHandle {
    /// The connected Envoys, the refused resources, the counters.
    #[must_use]
    pub fn report(&self) -> Report {
        self.shared.hub().report()
    }

    /// The refused resources, with Envoy's own words.
    #[must_use]
    pub fn rejected(&self) -> Vec<RejectedReport> {
        self.shared.hub().rejected()
    }

    /// How many resources are refused.
    #[must_use]
    pub fn rejected_count(&self) -> usize {
        self.shared.hub().refused().count()
    }
}

async fn serve(listener: Listener, shared: Arc<Shared>, stopped: oneshot::Receiver<()>) {
    let ads = AggregatedDiscoveryServiceServer::new(Service::new(shared)).max_decoding_message_size(MAX_REQUEST_BYTES);
    let router = Server::builder()
        .http2_keepalive_interval(Some(PROBE_INTERVAL))
        .http2_keepalive_timeout(Some(PROBE_TIMEOUT))
        .add_service(ads);
    let stopped = async { drop(stopped.await) };
    let served = match listener {
        Listener::Unix(listener) => {
            router
                .serve_with_incoming_shutdown(Connections::of(listener), stopped)
                .await
        }
        Listener::Tcp(listener) => {
            router
                .serve_with_incoming_shutdown(Connections::of(listener), stopped)
                .await
        }
    };
    if let Err(error) = served {
        tracing::error!(%error, "the ADS server has ended");
    }
}
