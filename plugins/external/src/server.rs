//! The daemon's end: a gRPC service per plane, and the task between the selected table and the streams.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use catalyst_plugin::{Handle, Report, RouteSource, feed};
use catalyst_proto::plugin::v1 as pb;
use catalyst_proto::plugin::v1::plugin_server::{Plugin, PluginServer};
use catalyst_proto::plugin::v1::watch_routes_request::Message;
use tokio::sync::{Notify, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::Router;
use tonic::{Request, Response, Status, Streaming};

use crate::hub::{Hub, MAX_INSTANCES, StreamId};
use crate::instance::Misuse;
use crate::spec::PlaneSpec;

/// How long a stream may take to say Hello.
const HELLO_WAIT: Duration = Duration::from_secs(5);
/// Streams of one plane that are open, those that have not said Hello too.
const MAX_STREAMS: usize = 2 * MAX_INSTANCES;
/// Messages that wait for the connection. What an instance does not take yet is not made yet.
const MESSAGES_AHEAD: usize = 1;
/// The longest name of an instance, in bytes.
const MAX_NAME_BYTES: usize = 128;
/// A silent connection is probed after this long: a stopped process keeps its socket open.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);
/// A probe that is not answered within this ends the connection.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest message taken from an instance.
const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// A data plane that is a program of its own, as the daemon holds it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ExternalPlane {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    spec: PlaneSpec,
    hub: Mutex<Hub>,
    /// Counts changes that may concern every stream.
    updates: watch::Sender<u64>,
    /// Wakes the task that reports.
    progress: Notify,
    streams: AtomicUsize,
}

impl Shared {
    /// The hub. Its methods do not panic half-way, so a poisoned lock guards a sound state.
    fn hub(&self) -> MutexGuard<'_, Hub> {
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ExternalPlane {
    /// Starts the plane on the current runtime. It ends with its feed, and its streams with it.
    #[must_use]
    pub fn spawn(spec: PlaneSpec, reports: mpsc::Sender<Report>) -> (Self, Handle) {
        let (feed, source) = feed();
        let (settled, receiver) = watch::channel(0);
        let plane = Self {
            shared: Arc::new(Shared {
                hub: Mutex::new(Hub::new(spec.clone(), new_epoch())),
                spec,
                updates: watch::Sender::new(0),
                progress: Notify::new(),
                streams: AtomicUsize::new(0),
            }),
        };
        let join = tokio::spawn(plane.clone().run(source, settled, reports));
        let handle = Handle {
            feed,
            settled: receiver,
            join,
        };
        (plane, handle)
    }

    /// The gRPC server of the plane, for a socket that only data planes reach.
    #[must_use]
    pub fn router(&self) -> Router {
        let service = PluginServer::new(Service {
            shared: Arc::clone(&self.shared),
        });
        Server::builder()
            .http2_keepalive_interval(Some(PROBE_INTERVAL))
            .http2_keepalive_timeout(Some(PROBE_TIMEOUT))
            .add_service(service.max_decoding_message_size(MAX_MESSAGE_BYTES))
    }

    /// The names of the connected instances, in the order of their arrival.
    #[must_use]
    pub fn instances(&self) -> Vec<Arc<str>> {
        self.shared.hub().instances()
    }

    async fn run(self, mut source: RouteSource, settled: watch::Sender<u64>, reports: mpsc::Sender<Report>) {
        let closed = source.closed();
        tokio::select! {
            biased;
            () = closed => {}
            () = self.follow(&mut source, &settled, &reports) => {}
        }
        // Streams end when the sender of updates says that there will be none.
        self.shared.updates.send_replace(u64::MAX);
    }

    async fn follow(&self, source: &mut RouteSource, settled: &watch::Sender<u64>, reports: &mpsc::Sender<Report>) {
        loop {
            let news = self.shared.hub().reports();
            for report in news {
                if let Report::Plane { version, .. } = &report {
                    settled.send_replace(*version);
                }
                if reports.send(report).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                update = source.next() => match update {
                    Some(update) => {
                        self.shared.hub().take(update);
                        self.shared.updates.send_modify(|count| *count += 1);
                    }
                    None => return,
                },
                () = self.shared.progress.notified() => {}
            }
        }
    }
}

/// Tells this run of the daemon apart from every other.
fn new_epoch() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

#[derive(Debug)]
struct Service {
    shared: Arc<Shared>,
}

type Sender = mpsc::Sender<Result<pb::WatchRoutesResponse, Status>>;

#[tonic::async_trait]
impl Plugin for Service {
    type WatchRoutesStream = ReceiverStream<Result<pb::WatchRoutesResponse, Status>>;

    async fn watch_routes(
        &self,
        request: Request<Streaming<pb::WatchRoutesRequest>>,
    ) -> Result<Response<Self::WatchRoutesStream>, Status> {
        let place = Place::take(&self.shared)?;
        let (messages, out) = mpsc::channel(MESSAGES_AHEAD);
        tokio::spawn(serve(place, request.into_inner(), messages));
        Ok(Response::new(ReceiverStream::new(out)))
    }
}

/// One of the streams that may be open.
struct Place(Arc<Shared>);

impl Place {
    fn take(shared: &Arc<Shared>) -> Result<Self, Status> {
        let place = Self(Arc::clone(shared));
        if shared.streams.fetch_add(1, Ordering::Relaxed) >= MAX_STREAMS {
            return Err(Status::resource_exhausted(format!("{MAX_STREAMS} streams are open")));
        }
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn serve(place: Place, mut requests: Streaming<pb::WatchRoutesRequest>, messages: Sender) {
    let mut updates = place.0.updates.subscribe();
    let ended = tokio::select! {
        ended = exchange(&place.0, &mut requests, &messages) => ended,
        _ = updates.wait_for(|count| *count == u64::MAX) => Err(Status::unavailable("the daemon ends")),
        () = messages.closed() => Ok(()),
    };
    if let Err(status) = ended {
        tracing::debug!(plane = %place.0.spec.name, %status, "a data plane's stream ends");
        // It may be gone already.
        drop(messages.send(Err(status)).await);
    }
}

async fn exchange(
    shared: &Arc<Shared>,
    requests: &mut Streaming<pb::WatchRoutesRequest>,
    messages: &Sender,
) -> Result<(), Status> {
    let mut stream = Joined::new(shared, &hello(shared, requests).await?)?;
    loop {
        let full = stream.write(messages);
        tokio::select! {
            request = requests.message() => match request? {
                Some(request) => stream.read(request)?,
                None => return Ok(()),
            },
            changed = stream.updates.changed() => if changed.is_err() { return Ok(()) },
            // An error means that nobody reads any more, which the caller notices.
            _room = messages.reserve(), if full => {}
        }
    }
}

async fn hello(shared: &Shared, requests: &mut Streaming<pb::WatchRoutesRequest>) -> Result<pb::Hello, Status> {
    let first = tokio::time::timeout(HELLO_WAIT, requests.message()).await;
    let first = first.map_err(|_| Status::deadline_exceeded("no Hello"))??;
    let Some(Message::Hello(hello)) = first.and_then(|request| request.message) else {
        return Err(Status::invalid_argument("the first message of a stream is Hello"));
    };
    if *hello.plane != *shared.spec.name {
        return Err(Status::not_found(format!(
            "the data plane {:?} is served here, not {:?}",
            shared.spec.name, hello.plane
        )));
    }
    if hello.instance.len() > MAX_NAME_BYTES {
        return Err(Status::invalid_argument(format!(
            "the name of an instance has at most {MAX_NAME_BYTES} bytes"
        )));
    }
    Ok(hello)
}

/// A stream that has said Hello.
struct Joined {
    id: StreamId,
    shared: Arc<Shared>,
    updates: watch::Receiver<u64>,
}

impl Joined {
    fn new(shared: &Arc<Shared>, hello: &pb::Hello) -> Result<Self, Status> {
        // Before it joins, so that no update is missed in between.
        let updates = shared.updates.subscribe();
        let joined = shared.hub().join(hello);
        let id =
            joined.ok_or_else(|| Status::resource_exhausted(format!("{MAX_INSTANCES} instances are connected")))?;
        tracing::info!(plane = %shared.spec.name, instance = hello.instance, "a data plane connected");
        shared.progress.notify_one();
        Ok(Self {
            id,
            shared: Arc::clone(shared),
            updates,
        })
    }

    /// Hands over what may leave now; gives whether more may be left that had no room.
    fn write(&self, messages: &Sender) -> bool {
        while let Ok(room) = messages.try_reserve() {
            let Some(next) = self.shared.hub().next(self.id) else {
                return false;
            };
            room.send(Ok(next));
        }
        true
    }

    fn read(&self, request: pb::WatchRoutesRequest) -> Result<(), Status> {
        let mut hub = self.shared.hub();
        let read = match request.message {
            Some(Message::Ack(ack)) => hub.ack(self.id, ack),
            Some(Message::NextHop(state)) => hub.next_hop(self.id, &state),
            Some(Message::Hello(_)) => return Err(Status::invalid_argument("Hello is said once")),
            // Of a later version of the protocol.
            None => Ok(()),
        };
        drop(hub);
        self.shared.progress.notify_one();
        read.map_err(|misuse: Misuse| Status::invalid_argument(misuse.to_string()))
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.shared.hub().leave(self.id);
        self.shared.progress.notify_one();
        tracing::info!(plane = %self.shared.spec.name, "a data plane disconnected");
    }
}
