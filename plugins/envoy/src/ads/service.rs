//! One task per stream: requests in, responses out as fast as Envoy takes them.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use envoy_types::pb::envoy::config::core::v3::ControlPlane;
use envoy_types::pb::envoy::service::discovery::v3 as pb;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryService;
use envoy_types::pb::google::protobuf::Any;
use tokio::sync::{mpsc, watch};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::ads::hub::StreamId;
use crate::ads::server::Shared;
use crate::ads::session::Outgoing;
use crate::resource::{Resource, ResourceKind};

/// Encoded responses that wait for the connection. What Envoy does not take yet stays as names in the session.
const RESPONSES_AHEAD: usize = 2;
/// Streams at a time. Each Envoy opens one.
const MAX_STREAMS: usize = 256;

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The gRPC service.
#[derive(Debug)]
pub(super) struct Service {
    shared: Arc<Shared>,
}

impl Service {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Service {
    type StreamAggregatedResourcesStream = Responses<pb::DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = ReceiverStream<Result<pb::DeltaDiscoveryResponse, Status>>;

    async fn stream_aggregated_resources(
        &self,
        _request: Request<Streaming<pb::DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented(
            "only incremental xDS is served: set api_type to DELTA_GRPC in Envoy's ads_config",
        ))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<pb::DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let id = self.open()?;
        let (responses, out) = mpsc::channel(RESPONSES_AHEAD);
        let stream = EnvoyStream {
            id,
            updates: self.shared.watch_updates(),
            shared: self.shared.clone(),
        };
        tokio::spawn(stream.run(request.into_inner(), responses));
        Ok(Response::new(ReceiverStream::new(out)))
    }
}

impl Service {
    fn open(&self) -> Result<StreamId, Status> {
        let mut hub = self.shared.hub();
        if hub.streams() >= MAX_STREAMS {
            return Err(Status::resource_exhausted(format!("{MAX_STREAMS} streams are open")));
        }
        Ok(hub.open(Instant::now()))
    }
}

struct EnvoyStream {
    id: StreamId,
    updates: watch::Receiver<u64>,
    shared: Arc<Shared>,
}

type Sender = mpsc::Sender<Result<pb::DeltaDiscoveryResponse, Status>>;

impl EnvoyStream {
    async fn run(mut self, mut requests: Streaming<pb::DeltaDiscoveryRequest>, responses: Sender) {
        let mut closing = self.shared.watch_closing();
        tokio::select! {
            () = self.exchange(&mut requests, &responses) => {}
            _ = closing.wait_for(|closing| *closing) => {}
            () = responses.closed() => {}
        }
    }

    async fn exchange(&mut self, requests: &mut Streaming<pb::DeltaDiscoveryRequest>, responses: &Sender) {
        loop {
            let full = self.write(responses);
            let deadline = self.deadline();
            tokio::select! {
                request = requests.message() => match request {
                    Ok(Some(request)) => self.read(request),
                    Ok(None) | Err(_) => return,
                },
                changed = self.updates.changed() => if changed.is_err() { return },
                () = wait_for_room(responses), if full => {}
                () = sleep_until(deadline) => {}
            }
        }
    }

    fn read(&self, request: pb::DeltaDiscoveryRequest) {
        let Some(kind) = ResourceKind::from_type_url(&request.type_url) else {
            tracing::debug!(type_url = %request.type_url, "Envoy asked for a kind of resource that is not served");
            return;
        };
        self.shared.hub().on_request(self.id, kind, request);
        self.shared.note_progress();
    }

    /// Hands over what may leave now; gives whether more may be left that had no room.
    fn write(&self, responses: &Sender) -> bool {
        let full = self.fill(responses);
        if self.shared.hub().take_progress() {
            self.shared.note_progress();
        }
        full
    }

    fn fill(&self, responses: &Sender) -> bool {
        while let Ok(room) = responses.try_reserve() {
            let next = self.shared.hub().poll(self.id, Instant::now());
            let Some(next) = next else { return false };
            tracing::trace!(kind = %next.kind, nonce = next.nonce, resources = next.items.len(), "sending");
            room.send(Ok(encode(next)));
        }
        true
    }

    fn deadline(&self) -> Option<Instant> {
        self.shared.hub().deadline(self.id, Instant::now())
    }
}

impl Drop for EnvoyStream {
    fn drop(&mut self) {
        self.shared.hub().close(self.id);
        self.shared.note_progress();
    }
}

async fn wait_for_room(responses: &Sender) {
    drop(responses.reserve().await);
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

fn encode(outgoing: Outgoing) -> pb::DeltaDiscoveryResponse {
    let (present, absent): (Vec<_>, Vec<_>) = outgoing.items.into_iter().partition(|item| item.content.is_some());
    pb::DeltaDiscoveryResponse {
        type_url: outgoing.kind.type_url().to_owned(),
        nonce: outgoing.nonce,
        resources: present
            .into_iter()
            .filter_map(|item| item.content)
            .map(|content| wrap(&content))
            .collect(),
        removed_resources: absent.into_iter().map(|item| item.name.to_string()).collect(),
        control_plane: Some(ControlPlane {
            identifier: "catalyst-routed".to_owned(),
        }),
        ..Default::default()
    }
}

fn wrap(resource: &Resource) -> pb::Resource {
    pb::Resource {
        name: resource.key.name.to_string(),
        version: resource.version.to_string(),
        resource: Some(Any {
            type_url: resource.key.kind.type_url().to_owned(),
            value: resource.body.to_vec(),
        }),
        ..Default::default()
    }
}
