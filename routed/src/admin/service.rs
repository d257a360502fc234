//! The calls of `catalyst.admin.v1.Admin`.

use std::sync::Arc;

use catalyst_core::event::Event;
use catalyst_core::name::ServiceName;
use catalyst_core::route::Destination;
use catalyst_core::speaker::Speaker;
use catalyst_core::view::RouteView;
use catalyst_envoy::ads::AdsHandle;
use catalyst_envoy::ports::LocalPorts;
use catalyst_proto::admin::v1::admin_server::Admin;
use catalyst_proto::admin::v1::{
    AddServiceRequest, AddServiceResponse, ConfirmReloadRequest, ConfirmReloadResponse, GetConfigRequest,
    GetConfigResponse, GetPeerRequest, GetRouteRequest, GetRouteResponse, ListPeersRequest, ListPeersResponse,
    ListPluginsRequest, ListPluginsResponse, ListRoutesRequest, Peer, Plugin, ReloadEvent, ReloadRequest,
    RemoveServiceRequest, RemoveServiceResponse, Route, RouteEvent, WatchRoutesRequest,
};
use tokio::sync::{OwnedMutexGuard, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::asked::{Asked, Wanted};
use super::offers::{self, InForce};
use super::store::Store;
use super::watch::Watch;
use super::{SharedStore, convert, reload};
use crate::config::{Config, Service, local_service};
use crate::driver::{Gone, SpeakerHandle};
use crate::reload::Reloader;

/// Paths read from the Speaker at a time: a long table does not hold up routing.
pub(super) const CHUNK: usize = 1000;
/// Messages that wait for a slow reader.
const BACKLOG: usize = 256;
/// So many refused resources are told of a data plane.
const LISTED: usize = 100;

/// Answers catalystctl.
pub(super) struct AdminService {
    pub(super) reloader: Arc<Reloader>,
    store: SharedStore,
    speaker: SpeakerHandle,
    local_ports: LocalPorts,
    /// What Envoys refuse; `None`: the plugin is off.
    envoy: Option<AdsHandle>,
}

impl AdminService {
    pub(super) fn new(
        reloader: Arc<Reloader>,
        store: SharedStore,
        speaker: SpeakerHandle,
        (local_ports, envoy): (LocalPorts, Option<AdsHandle>),
    ) -> Self {
        Self {
            reloader,
            store,
            speaker,
            local_ports,
            envoy,
        }
    }

    fn config(&self) -> Arc<Config> {
        self.reloader.live().get()
    }

    async fn query<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Speaker, std::time::Instant) -> T + Send + 'static,
    ) -> Result<T, Status> {
        self.speaker.query(f).await.map_err(|Gone| gone())
    }
}

/// The daemon is stopping.
pub(super) fn gone() -> Status {
    Status::unavailable(Gone.to_string())
}

fn parse_name(text: &str) -> Result<ServiceName, Status> {
    ServiceName::parse(text).map_err(|error| Status::invalid_argument(format!("{text:?}: {error}")))
}

#[tonic::async_trait]
impl Admin for AdminService {
    type ListRoutesStream = ReceiverStream<Result<Route, Status>>;
    type WatchRoutesStream = ReceiverStream<Result<RouteEvent, Status>>;
    type ReloadStream = ReceiverStream<Result<ReloadEvent, Status>>;

    async fn list_routes(
        &self,
        request: Request<ListRoutesRequest>,
    ) -> Result<Response<Self::ListRoutesStream>, Status> {
        let wanted = Wanted::read(&request.into_inner())?;
        let (out, stream) = mpsc::channel(BACKLOG);
        tokio::spawn(list(self.speaker.clone(), wanted, out));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn get_route(&self, request: Request<GetRouteRequest>) -> Result<Response<GetRouteResponse>, Status> {
        let asked = Asked::read(&request.into_inner().name)?;
        let views = self.query(asked.answer()).await?;
        if views.is_empty() {
            return Err(Status::not_found(format!("no route to {asked}")));
        }
        let (config, store) = (self.config(), self.store.lock().await);
        let described = |view| offers::described(view, &config, &store, &self.local_ports);
        Ok(Response::new(GetRouteResponse {
            paths: views.iter().map(described).collect(),
        }))
    }

    async fn watch_routes(&self, _: Request<WatchRoutesRequest>) -> Result<Response<Self::WatchRoutesStream>, Status> {
        let (out, stream) = mpsc::channel(BACKLOG);
        tokio::spawn(Watch::new(self.speaker.clone(), out).run());
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn list_peers(&self, _: Request<ListPeersRequest>) -> Result<Response<ListPeersResponse>, Status> {
        let views = self.query(|speaker, now| speaker.peers(now)).await?;
        Ok(Response::new(ListPeersResponse {
            peers: views.iter().map(convert::peer).collect(),
        }))
    }

    async fn get_peer(&self, request: Request<GetPeerRequest>) -> Result<Response<Peer>, Status> {
        let name = request.into_inner().name;
        let views = self.query(|speaker, now| speaker.peers(now)).await?;
        match views.iter().find(|view| *view.name == *name) {
            Some(view) => Ok(Response::new(convert::peer(view))),
            None => Err(Status::not_found(format!("no peer {name:?} is configured"))),
        }
    }

    async fn list_plugins(&self, _: Request<ListPluginsRequest>) -> Result<Response<ListPluginsResponse>, Status> {
        let views = self.query(|speaker, _| speaker.planes()).await?;
        let mut plugins: Vec<Plugin> = views.iter().map(convert::plugin).collect();
        if let (Some(ads), Some(plugin)) = (&self.envoy, plugins.iter_mut().find(|plugin| plugin.name == "envoy")) {
            plugin.refused = ads.rejected().iter().take(LISTED).map(convert::refused).collect();
        }
        Ok(Response::new(ListPluginsResponse { plugins }))
    }

    async fn get_config(&self, _: Request<GetConfigRequest>) -> Result<Response<GetConfigResponse>, Status> {
        let store = self.store.lock().await;
        let offered = self.query(|speaker, _| speaker.local_services()).await?;
        let offered = offered.into_iter().map(|service| service.name).collect();
        let in_force = InForce::of(&self.config(), &store, &offered);
        drop(store);
        let json = serde_json::to_string_pretty(&in_force.config);
        let json = json.map_err(|error| Status::internal(error.to_string()))?;
        let left = self.reloader.undone_in().await;
        Ok(Response::new(GetConfigResponse {
            json,
            undone_in_ms: left.map_or(0, reload::millis),
            added_services: in_force.added,
            replaced_services: in_force.replaced,
            removed_services: in_force.removed,
        }))
    }

    async fn add_service(&self, request: Request<AddServiceRequest>) -> Result<Response<AddServiceResponse>, Status> {
        let AddServiceRequest { name, service_json } = request.into_inner();
        let parsed = self.config().parse_service(&name, &service_json);
        let (name, service) = parsed.map_err(|errors| Status::invalid_argument(errors.to_string()))?;
        let configured = offers::configured(&self.config(), &name).is_some();
        tracing::info!(%name, "an operator adds a service");
        let replaced = to_its_end(add(Arc::clone(&self.store), self.speaker.clone(), name, service)).await?;
        Ok(Response::new(AddServiceResponse { replaced, configured }))
    }

    async fn remove_service(
        &self,
        request: Request<RemoveServiceRequest>,
    ) -> Result<Response<RemoveServiceResponse>, Status> {
        let name = parse_name(&request.into_inner().name)?;
        let configured = offers::configured(&self.config(), &name).is_some();
        tracing::info!(%name, "an operator removes a service");
        to_its_end(remove(Arc::clone(&self.store), self.speaker.clone(), name)).await?;
        Ok(Response::new(RemoveServiceResponse { configured }))
    }

    async fn reload(&self, request: Request<ReloadRequest>) -> Result<Response<Self::ReloadStream>, Status> {
        Ok(Response::new(reload::start(&self.reloader, &request.into_inner())?))
    }

    async fn confirm_reload(
        &self,
        _: Request<ConfirmReloadRequest>,
    ) -> Result<Response<ConfirmReloadResponse>, Status> {
        self.reloader.confirm().await.map_err(|error| reload::refusal(&error))?;
        Ok(Response::new(ConfirmReloadResponse {}))
    }
}

/// Waits for a change that goes on to its end whether the caller stays or not: what is kept on disk and what is offered
/// must not part.
async fn to_its_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, Status>> + Send + 'static,
) -> Result<T, Status> {
    let done = tokio::spawn(change).await;
    done.map_err(|error| Status::internal(error.to_string()))?
}

/// Keeps and offers a service; tells whether one of its name was offered before.
async fn add(store: SharedStore, speaker: SpeakerHandle, name: ServiceName, service: Service) -> Result<bool, Status> {
    let local = local_service(name.clone(), &service);
    let kept = name.clone();
    let _held = keep(store.lock_owned().await, move |store| store.put(kept, service)).await?;
    let offer = move |speaker: &mut Speaker, now| {
        let replaced = is_offered(&speaker.route(&name.into(), now));
        speaker.handle(Event::ServiceAdd(local), now);
        replaced
    };
    speaker.query(offer).await.map_err(|Gone| gone())
}

/// Forgets a service, and offers it no longer.
async fn remove(store: SharedStore, speaker: SpeakerHandle, name: ServiceName) -> Result<(), Status> {
    let held = store.lock_owned().await;
    let asked = Destination::from(name.clone());
    let look = move |speaker: &mut Speaker, now| is_offered(&speaker.route(&asked, now));
    if !speaker.query(look).await.map_err(|Gone| gone())? {
        return Err(Status::not_found(format!("this node does not offer {name}")));
    }
    let forgotten = name.clone();
    let _held = keep(held, move |store| store.remove(&forgotten)).await?;
    speaker.event(Event::ServiceRemove(name)).await.map_err(|Gone| gone())
}

/// Changes what is on disk, off the threads that serve; the store stays held.
async fn keep(
    mut store: OwnedMutexGuard<Store>,
    change: impl FnOnce(&mut Store) -> anyhow::Result<()> + Send + 'static,
) -> Result<OwnedMutexGuard<Store>, Status> {
    let task = tokio::task::spawn_blocking(move || change(&mut store).map(|()| store));
    let done = task.await.map_err(|error| Status::internal(error.to_string()))?;
    done.map_err(|error| Status::failed_precondition(format!("{error:#}")))
}

/// Whether one of the paths is this node's own.
fn is_offered(paths: &[RouteView]) -> bool {
    paths.iter().any(|path| path.learned_from.is_none() && !path.draining)
}

/// Sends the table in chunks, until the reader or the daemon goes away.
async fn list(speaker: SpeakerHandle, wanted: Wanted, out: mpsc::Sender<Result<Route, Status>>) {
    let mut after: Option<Destination> = None;
    loop {
        let from = after.take();
        let Ok(views) = speaker
            .query(move |speaker, now| speaker.routes(from.as_ref(), CHUNK, now))
            .await
        else {
            // The reader may have gone as well.
            return drop(out.send(Err(gone())).await);
        };
        let Some(last) = views.last() else { return };
        after = Some(last.destination.clone());
        for view in views.iter().filter(|view| wanted.includes(view)) {
            if out.send(Ok(convert::route(view))).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
