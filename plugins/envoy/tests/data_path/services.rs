//! Services behind the Envoys: they say who they are and what reached them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Status, Streaming};

use crate::envoy::DEADLINE;
use crate::node::own_address;

/// A running service. It ends when this is dropped, connections included.
pub(crate) struct Service {
    pub(crate) at: SocketAddr,
    task: JoinHandle<()>,
    requests: Arc<Semaphore>,
    ending: Option<watch::Sender<()>>,
}

impl Service {
    fn plain(at: SocketAddr, task: JoinHandle<()>) -> Self {
        Self {
            at,
            task,
            requests: Arc::new(Semaphore::new(0)),
            ending: None,
        }
    }

    /// Ends an HTTP service as a good one does: it accepts nothing more and answers what it has.
    pub(crate) async fn finish(mut self) {
        drop(self.ending.take());
        timeout(DEADLINE, &mut self.task).await.unwrap().unwrap();
    }

    /// Waits until an HTTP request has reached the service.
    pub(crate) async fn reached(&self) {
        timeout(DEADLINE, self.requests.acquire())
            .await
            .unwrap()
            .unwrap()
            .forget();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(SocketAddr::new(own_address(), 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    (listener, at)
}

/// An HTTP/1.1 service that answers with its name, the request line and the headers that reached it.
pub(crate) async fn http(name: &'static str) -> Service {
    gated(name, Arc::new(Semaphore::new(Semaphore::MAX_PERMITS))).await
}

/// The same, but each answer waits for a permit of `gate`.
pub(crate) async fn gated(name: &'static str, gate: Arc<Semaphore>) -> Service {
    let (listener, at) = listen().await;
    let requests = Arc::new(Semaphore::new(0));
    let (ending, ended) = watch::channel(());
    let counter = requests.clone();
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        let mut end = ended.clone();
        loop {
            let socket = tokio::select! {
                accepted = listener.accept() => accepted.unwrap().0,
                _ = end.changed() => break,
            };
            let (gate, counter) = (gate.clone(), counter.clone());
            let answer = service_fn(move |request| {
                counter.add_permits(1);
                echo(name, gate.clone(), request)
            });
            let serve = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), answer);
            connections.spawn(until_asked(serve, ended.clone()));
        }
        drop(listener);
        connections.join_all().await;
    });
    Service {
        at,
        task,
        requests,
        ending: Some(ending),
    }
}

/// Serves a connection; once asked to end, it answers the request that it has and closes.
async fn until_asked<S>(
    serve: hyper::server::conn::http1::Connection<TokioIo<TcpStream>, S>,
    mut ended: watch::Receiver<()>,
) where
    S: hyper::service::HttpService<Incoming, ResBody = Full<Bytes>>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut serve = std::pin::pin!(serve);
    // A client that goes away is no concern of the service.
    tokio::select! {
        _ = serve.as_mut() => return,
        _ = ended.changed() => serve.as_mut().graceful_shutdown(),
    }
    let _ = serve.await;
}

async fn echo(
    name: &str,
    gate: Arc<Semaphore>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    gate.acquire().await.unwrap().forget();
    let (parts, body) = request.into_parts();
    let mut text = format!("{name}\n{} {}\n", parts.method, parts.uri);
    for (header, value) in &parts.headers {
        text.push_str(&format!("{header}: {}\n", value.to_str().unwrap_or("?")));
    }
    if let Ok(body) = body.collect().await {
        text.push_str(&format!("\n{}", String::from_utf8_lossy(&body.to_bytes())));
    }
    Ok(Response::new(Full::new(text.into())))
}

/// A TCP service that greets with its name and sends everything back.
pub(crate) async fn tcp(name: &'static str) -> Service {
    raw(name, false).await
}

/// A TCP service behind an HTTP upgrade: whatever comes first is answered with 101.
pub(crate) async fn websocket(name: &'static str) -> Service {
    raw(name, true).await
}

async fn raw(name: &'static str, upgrade: bool) -> Service {
    let (listener, at) = listen().await;
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            connections.spawn(async move {
                if upgrade {
                    read_head(&mut socket).await;
                    socket.write_all(SWITCH.as_bytes()).await?;
                }
                let (mut read, mut write) = socket.split();
                write.write_all(format!("{name}\n").as_bytes()).await?;
                tokio::io::copy(&mut read, &mut write).await
            });
        }
    });
    Service::plain(at, task)
}

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

/// Reads an HTTP/1.1 head, byte by byte: what follows it stays unread.
pub(crate) async fn read_head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// A gRPC service with a bidirectional stream. It is Envoy's own discovery service, for envoy-types has its stubs: it
/// answers each request with one response of the same type URL, and ends a stream that says `fail` with ABORTED.
pub(crate) async fn grpc(name: &'static str) -> Service {
    let (listener, at) = listen().await;
    let server = tonic::transport::Server::builder().add_service(AggregatedDiscoveryServiceServer::new(Echo(name)));
    let task = tokio::spawn(async move {
        let _ = server.serve_with_incoming(TcpListenerStream::new(listener)).await;
    });
    Service::plain(at, task)
}

struct Echo(&'static str);

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl AggregatedDiscoveryService for Echo {
    type StreamAggregatedResourcesStream = Responses<DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Responses<DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        request: tonic::Request<Streaming<DiscoveryRequest>>,
    ) -> Result<tonic::Response<Self::StreamAggregatedResourcesStream>, Status> {
        let name = self.0;
        let answers = request.into_inner().map(move |request| match request {
            Ok(request) if request.type_url == "fail" => Err(Status::new(Code::Aborted, "as asked")),
            Ok(request) => Ok(DiscoveryResponse {
                type_url: request.type_url,
                version_info: name.into(),
                ..Default::default()
            }),
            Err(status) => Err(status),
        });
        Ok(tonic::Response::new(Box::pin(answers)))
    }

    async fn delta_aggregated_resources(
        &self,
        _request: tonic::Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<tonic::Response<Self::DeltaAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("not here"))
    }
}
