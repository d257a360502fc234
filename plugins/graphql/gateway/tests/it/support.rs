//! Starts the gateway and an egress, and asks them.

use async_graphql::http::MultipartOptions;
use axum::body::Body;
use axum::extract::State as AxumState;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use catalyst_proto::gateway::v1::gateway_client::GatewayClient;
use catalyst_proto::gateway::v1::{ApplyRequest, State, Subgraph, WatchRequest};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};
use tonic::transport::{Channel, Endpoint};

/// Nothing in these tests takes this long; a condition that is not true by then is a failure.
const DEADLINE: Duration = Duration::from_secs(30);

/// An address of its own for each test: 127.x.y.1.
fn own_ip() -> std::net::Ipv4Addr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id().to_be_bytes();
    std::net::Ipv4Addr::new(127, 64 | (process[3] & 63), n.to_be_bytes()[1], process[2].max(1))
}

/// Repeats `probe` until it gives a value.
pub(crate) async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(Instant::now() < end, "not within {DEADLINE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

type Execute = dyn Fn(async_graphql::Request) -> BoxFuture<'static, async_graphql::Response> + Send + Sync;

/// What the egress does for a name.
#[derive(Clone)]
pub(crate) enum Behaviour {
    Execute(Arc<Execute>),
    /// Envoy without a healthy endpoint.
    Unavailable,
    /// The connection breaks.
    Break,
    /// No answer, ever.
    Hang,
}

/// The services of a test behind one address.
#[derive(Clone)]
pub(crate) struct Egress {
    pub(crate) address: SocketAddr,
    services: Arc<RwLock<HashMap<String, Behaviour>>>,
}

impl Egress {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind((own_ip(), 0)).await.expect("free port");
        let address = listener.local_addr().expect("address");
        let egress = Self {
            address,
            services: Arc::default(),
        };
        let app = axum::Router::new().fallback(answer).with_state(egress.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        egress
    }

    pub(crate) fn set(&self, name: &str, behaviour: Behaviour) {
        self.services
            .write()
            .expect("no poison")
            .insert(name.to_owned(), behaviour);
    }

    fn find(&self, headers: &HeaderMap) -> Option<Behaviour> {
        let host = headers.get(header::HOST)?.to_str().ok()?;
        self.services.read().expect("no poison").get(host).cloned()
    }
}

/// A schema as a behaviour.
pub(crate) fn execute<Q, M, S>(schema: async_graphql::Schema<Q, M, S>) -> Behaviour
where
    Q: async_graphql::ObjectType + 'static,
    M: async_graphql::ObjectType + 'static,
    S: async_graphql::SubscriptionType + 'static,
{
    Behaviour::Execute(Arc::new(move |request| {
        let schema = schema.clone();
        Box::pin(async move { schema.execute(request).await })
    }))
}

async fn answer(AxumState(egress): AxumState<Egress>, request: Request<Body>) -> Response {
    match egress.find(request.headers()) {
        None => StatusCode::NOT_FOUND.into_response(),
        Some(Behaviour::Unavailable) => (StatusCode::SERVICE_UNAVAILABLE, "no healthy upstream").into_response(),
        Some(Behaviour::Hang) => std::future::pending().await,
        Some(Behaviour::Break) => {
            let parts = [
                Ok(Bytes::from_static(b"{\"data\":")),
                Err(std::io::Error::other("broken")),
            ];
            // The head and the first part leave before the break.
            let broken = futures::stream::iter(parts).then(async |part| {
                tokio::task::yield_now().await;
                part
            });
            ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(broken)).into_response()
        }
        Some(Behaviour::Execute(execute)) => {
            let headers = request.headers().clone();
            let body = request.into_body().collect().await.expect("body").to_bytes();
            let request: async_graphql::Request =
                async_graphql::http::receive_body(None::<&str>, &*body, MultipartOptions::default())
                    .await
                    .expect("a GraphQL request");
            axum::Json(execute(request.data(headers)).await).into_response()
        }
    }
}

/// A running gateway; killed when dropped.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) http: SocketAddr,
    pub(crate) control: GatewayClient<Channel>,
    pub(crate) socket: PathBuf,
    client: Client<HttpConnector, Full<Bytes>>,
    _dir: tempfile::TempDir,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The binary with `arguments`.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_catalyst-gateway"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// An address that nobody listens on.
pub(crate) fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind((own_ip(), 0)).expect("free port");
    listener.local_addr().expect("address")
}

impl Gateway {
    /// Starts one that refetches rarely and waits briefly, unless `arguments` say otherwise.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (http, socket) = (free_address(), dir.path().join("control.sock"));
        let (listen, control) = (http.to_string(), format!("unix:{}", socket.display()));
        let mut all = vec![
            "--listen",
            &listen,
            "--control",
            &control,
            "--workers",
            "2",
            "--log-level",
            "warn",
        ];
        all.extend(arguments);
        let child = command(&all).spawn().expect("the gateway starts");
        let client = Client::builder(TokioExecutor::new()).build_http();
        let path = socket.clone();
        let channel =
            Endpoint::from_static("http://gateway").connect_with_connector_lazy(tower::service_fn(move |_| {
                let path = path.clone();
                async move { Ok::<_, std::io::Error>(TokioIo::new(tokio::net::UnixStream::connect(path).await?)) }
            }));
        let gateway = Self {
            child,
            http,
            control: GatewayClient::new(channel),
            socket,
            client,
            _dir: dir,
        };
        eventually("the gateway serves", async || {
            let ready = gateway.try_get("/health", "*/*").await.is_some() && gateway.socket.exists();
            ready.then_some(())
        })
        .await;
        gateway
    }

    pub(crate) fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"))
    }

    /// The exit status once the process has ended.
    pub(crate) async fn exited(&mut self) -> std::process::ExitStatus {
        let child = &mut self.child;
        eventually("the gateway exits", async || child.try_wait().expect("a child of ours")).await
    }

    /// Adds services whose egress is `egress`.
    pub(crate) async fn add(&self, egress: &Egress, names: &[&str]) {
        let upsert = names.iter().map(|name| subgraph(name, egress)).collect();
        self.apply(upsert, &[]).await.expect("the set is taken");
    }

    pub(crate) async fn withdraw(&self, names: &[&str]) {
        self.apply(vec![], names).await.expect("the set is taken");
    }

    pub(crate) async fn apply(&self, upsert: Vec<Subgraph>, remove: &[&str]) -> Result<(), tonic::Status> {
        let remove = remove.iter().map(|name| (*name).to_owned()).collect();
        self.control
            .clone()
            .apply(ApplyRequest { upsert, remove })
            .await
            .map(drop)
    }

    /// Follows the state until `wanted`.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&State) -> bool) -> State {
        let mut states = self
            .control
            .clone()
            .watch(WatchRequest {})
            .await
            .expect("watch")
            .into_inner();
        let mut last = None;
        let found = tokio::time::timeout(DEADLINE, async {
            loop {
                let state = states.message().await.expect("states go on").expect("states go on");
                if wanted(&state) {
                    return state;
                }
                last = Some(state);
            }
        });
        match found.await {
            Ok(state) => state,
            Err(_) => panic!("not within {DEADLINE:?}: {what}; last state: {last:#?}"),
        }
    }

    /// Until all of `names`, and nothing else, serve.
    pub(crate) async fn until_serving(&self, names: &[&str]) -> State {
        use catalyst_proto::gateway::v1::state::Graph;
        self.until(&format!("{names:?} serve"), |state| {
            let serving: Vec<&str> = state.subgraphs.iter().map(|s| s.name.as_str()).collect();
            state.graph() == Graph::Serving && serving == names
        })
        .await
    }

    /// POSTs a query; the HTTP status and the answer.
    pub(crate) async fn query(&self, query: &str) -> (StatusCode, Value) {
        self.query_with(query, &[]).await
    }

    pub(crate) async fn query_with(&self, query: &str, headers: &[(&str, &str)]) -> (StatusCode, Value) {
        let mut request =
            Request::post(format!("http://{}/graphql", self.http)).header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Full::new(Bytes::from(json!({ "query": query }).to_string()));
        let response = self
            .client
            .request(request.body(body).expect("a request"))
            .await
            .expect("an answer");
        let status = response.status();
        let body = response.into_body().collect().await.expect("a whole answer").to_bytes();
        (
            status,
            serde_json::from_slice(&body).unwrap_or_else(|_| panic!("no JSON: {body:?}")),
        )
    }

    pub(crate) async fn get(&self, path: &str, accept: &str) -> (StatusCode, HeaderMap, String) {
        self.try_get(path, accept).await.expect("an answer")
    }

    async fn try_get(&self, path: &str, accept: &str) -> Option<(StatusCode, HeaderMap, String)> {
        let request = Request::get(format!("http://{}{path}", self.http)).header(header::ACCEPT, accept);
        let response = self
            .client
            .request(request.body(Full::default()).expect("a request"))
            .await
            .ok()?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        Some((parts.status, parts.headers, String::from_utf8_lossy(&body).into_owned()))
    }

    pub(crate) async fn health(&self) -> Value {
        let (status, _, body) = self.get("/health", "*/*").await;
        assert_eq!(status, StatusCode::OK);
        serde_json::from_str(&body).expect("health is JSON")
    }
}

/// A service of this name behind `egress`.
pub(crate) fn subgraph(name: &str, egress: &Egress) -> Subgraph {
    Subgraph {
        name: name.into(),
        path: "/graphql".into(),
        egress: egress.address.to_string(),
        fingerprint: 7,
    }
}
