//! A recording gateway: the service `catalyst.gateway.v1.Gateway` over a real socket, without GraphQL behind it. What
//! the test says becomes of a subgraph follows from its path: `/refused` has a schema that does not compose, `/taboo`
//! is refused by the call itself, all others serve.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use catalyst_proto::gateway::v1::gateway_server::{Gateway, GatewayServer};
use catalyst_proto::gateway::v1::state::Graph;
use catalyst_proto::gateway::v1::subgraph_state::Phase;
use catalyst_proto::gateway::v1::{
    ApplyRequest, ApplyResponse, ObserveRequest, ObserveResponse, State, Subgraph, SubgraphState, WatchRequest,
};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{oneshot, watch};
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream, WatchStream};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};

/// Its schema conflicts with another.
pub(crate) const REFUSED: &str = "/refused";
/// The call is answered by INVALID_ARGUMENT.
pub(crate) const TABOO: &str = "/taboo";
/// Its schema is not there yet, until [`RecordingGateway::publish`] is told so.
pub(crate) const SLOW: &str = "/slow";

/// One run of the gateway and the socket that outlives it.
pub(crate) struct RecordingGateway {
    path: PathBuf,
    pub(crate) record: Arc<Record>,
    server: Option<Server>,
    _directory: tempfile::TempDir,
}

/// What the gateway holds and what was done to it.
#[derive(Debug)]
pub(crate) struct Record {
    held: Mutex<BTreeMap<String, Subgraph>>,
    writes: Mutex<u64>,
    calls: Mutex<u64>,
    state: watch::Sender<State>,
}

/// A runtime of its own: with it go all connections, as with a process.
struct Server {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

struct Service(Arc<Record>);

impl RecordingGateway {
    /// A gateway that holds nothing.
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gateway.sock");
        let record = Arc::new(Record {
            held: Mutex::default(),
            writes: Mutex::default(),
            calls: Mutex::default(),
            state: watch::Sender::new(waiting()),
        });
        let mut gateway = Self {
            path,
            record,
            server: None,
            _directory: directory,
        };
        gateway.serve();
        gateway
    }

    /// Where it listens.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Starts to serve, after [`RecordingGateway::kill`].
    pub(crate) fn serve(&mut self) {
        let listener = std::os::unix::net::UnixListener::bind(&self.path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let (stop, stopped) = oneshot::channel();
        let record = Arc::clone(&self.record);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(run(listener, record, stopped));
        });
        self.server = Some(Server { stop, thread });
    }

    /// Serves the same record on the test's own runtime too.
    pub(crate) fn serve_tcp_as_well(&self, listener: TcpListener) {
        let service = GatewayServer::new(Service(Arc::clone(&self.record)));
        let server = tonic::transport::Server::builder().add_service(service);
        let serving = server.serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(async move {
            serving.await.unwrap();
        });
    }

    /// Dies: every connection breaks and what it held is forgotten.
    pub(crate) fn kill(&mut self) {
        let Server { stop, thread } = self.server.take().unwrap();
        stop.send(()).unwrap();
        thread.join().unwrap();
        std::fs::remove_file(&self.path).unwrap();
        self.record.held().clear();
        self.record.state.send_replace(waiting());
    }
}

async fn run(listener: std::os::unix::net::UnixListener, record: Arc<Record>, stopped: oneshot::Receiver<()>) {
    let listener = UnixListener::from_std(listener).unwrap();
    let server = tonic::transport::Server::builder().add_service(GatewayServer::new(Service(record)));
    tokio::select! {
        ended = server.serve_with_incoming(UnixListenerStream::new(listener)) => ended.unwrap(),
        // An error means that the test is over: the same.
        _over = stopped => {}
    }
}

fn waiting() -> State {
    State {
        graph: Graph::Waiting.into(),
        ..State::default()
    }
}

impl Record {
    fn held(&self) -> MutexGuard<'_, BTreeMap<String, Subgraph>> {
        self.held.lock().unwrap()
    }

    /// Subgraphs in the serving graph.
    pub(crate) fn serving(&self) -> Vec<Subgraph> {
        self.held()
            .values()
            .filter(|subgraph| phase(subgraph).0 == Phase::Serving)
            .cloned()
            .collect()
    }

    /// Subgraphs that were written or removed so far.
    pub(crate) fn writes(&self) -> u64 {
        *self.writes.lock().unwrap()
    }

    /// Calls of Apply so far.
    pub(crate) fn calls(&self) -> u64 {
        *self.calls.lock().unwrap()
    }

    /// Publishes a state of the test's own making.
    pub(crate) fn publish(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(change);
    }

    fn publish_held(&self) {
        let subgraphs: Vec<SubgraphState> = self.held().values().map(state_of).collect();
        let serving = subgraphs
            .iter()
            .filter(|subgraph| subgraph.phase() == Phase::Serving)
            .count();
        let graph = match serving {
            0 => Graph::Waiting,
            all if all == subgraphs.len() => Graph::Serving,
            _ => Graph::Degraded,
        };
        self.state.send_replace(State {
            graph: graph.into(),
            generation: 1,
            errors: Vec::new(),
            subgraphs,
        });
    }
}

fn state_of(subgraph: &Subgraph) -> SubgraphState {
    let (phase, reason) = phase(subgraph);
    SubgraphState {
        name: subgraph.name.clone(),
        phase: phase.into(),
        reason: reason.into(),
    }
}

fn phase(subgraph: &Subgraph) -> (Phase, &'static str) {
    match subgraph.path.as_str() {
        REFUSED => (Phase::Rejected, "Product.price: Int here, Float elsewhere"),
        SLOW => (Phase::Waiting, "503 from its service"),
        _ => (Phase::Serving, ""),
    }
}

#[tonic::async_trait]
impl Gateway for Service {
    async fn apply(&self, request: Request<ApplyRequest>) -> Result<Response<ApplyResponse>, Status> {
        let ApplyRequest { upsert, remove } = request.into_inner();
        *self.0.calls.lock().unwrap() += 1;
        if let Some(taboo) = upsert.iter().find(|subgraph| subgraph.path == TABOO) {
            return Err(Status::invalid_argument(format!(
                "subgraph {}: its path is taboo",
                taboo.name
            )));
        }
        *self.0.writes.lock().unwrap() += (upsert.len() + remove.len()) as u64;
        {
            let mut held = self.0.held();
            remove.iter().for_each(|name| drop(held.remove(name)));
            held.extend(upsert.into_iter().map(|subgraph| (subgraph.name.clone(), subgraph)));
        }
        self.0.publish_held();
        Ok(Response::new(ApplyResponse {}))
    }

    async fn observe(&self, _: Request<ObserveRequest>) -> Result<Response<ObserveResponse>, Status> {
        let subgraphs = self.0.held().values().cloned().collect();
        Ok(Response::new(ObserveResponse { subgraphs }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<State, Status>> + Send>>;

    async fn watch(&self, _: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(Box::pin(
            WatchStream::new(self.0.state.subscribe()).map(Ok),
        )))
    }
}
