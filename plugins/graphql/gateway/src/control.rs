//! The service `catalyst.gateway.v1.Gateway`, by which catalyst-routed drives the gateway.

use crate::engine::{Handle, Published};
use crate::listen::Control;
use catalyst_proto::gateway::v1::gateway_server::{Gateway, GatewayServer};
use catalyst_proto::gateway::v1::{
    ApplyRequest, ApplyResponse, ObserveRequest, ObserveResponse, State, Subgraph, WatchRequest,
};
use futures::{Stream, StreamExt as _};
use std::pin::Pin;
use std::sync::Arc;
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream, WatchStream};
use tonic::{Request, Response, Status};

const MAX_NAME_BYTES: usize = 253;
const MAX_PATH_BYTES: usize = 2048;

struct Service {
    engine: Handle,
    published: Arc<Published>,
}

/// Serves until the process ends.
pub(crate) async fn serve(listener: Control, engine: Handle, published: Arc<Published>) {
    if let Err(error) = try_serve(listener, engine, published).await {
        tracing::error!(%error, "the control service ended; the graph serves on as it is");
    }
}

async fn try_serve(listener: Control, engine: Handle, published: Arc<Published>) -> anyhow::Result<()> {
    let server = tonic::transport::Server::builder().add_service(GatewayServer::new(Service { engine, published }));
    match listener {
        Control::Unix(listener) => {
            let listener = tokio::net::UnixListener::from_std(listener)?;
            server.serve_with_incoming(UnixListenerStream::new(listener)).await?;
        }
        Control::Tcp(listener) => {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            server.serve_with_incoming(TcpListenerStream::new(listener)).await?;
        }
    }
    Ok(())
}

#[tonic::async_trait]
impl Gateway for Service {
    async fn apply(&self, request: Request<ApplyRequest>) -> Result<Response<ApplyResponse>, Status> {
        let ApplyRequest { upsert, remove } = request.into_inner();
        // Refused whole: a half-applied change would be neither the old set nor the new one.
        upsert.iter().try_for_each(check)?;
        self.engine.apply(upsert, remove).await.ok_or_else(gone)?;
        Ok(Response::new(ApplyResponse {}))
    }

    async fn observe(&self, _: Request<ObserveRequest>) -> Result<Response<ObserveResponse>, Status> {
        let subgraphs = self.engine.observe().await.ok_or_else(gone)?;
        Ok(Response::new(ObserveResponse { subgraphs }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<State, Status>> + Send>>;

    async fn watch(&self, _: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let states = WatchStream::new(self.published.state.clone());
        Ok(Response::new(Box::pin(states.map(Ok))))
    }
}

fn gone() -> Status {
    Status::unavailable("the gateway is shutting down")
}

fn check(subgraph: &Subgraph) -> Result<(), Status> {
    let wrong = |what: &str| {
        Err(Status::invalid_argument(format!(
            "subgraph \"{}\": {what}",
            shown(&subgraph.name)
        )))
    };
    if subgraph.name.is_empty() || subgraph.name.len() > MAX_NAME_BYTES {
        return wrong("its name must have 1 to 253 characters");
    }
    if subgraph.name.parse::<http::uri::Authority>().is_err() || subgraph.name.contains('@') {
        return wrong("its name is no host name");
    }
    if !subgraph.path.starts_with('/') || subgraph.path.len() > MAX_PATH_BYTES {
        return wrong("its path must begin with / and have at most 2048 characters");
    }
    let Ok(egress) = subgraph.egress.parse::<http::uri::Authority>() else {
        return wrong("its egress is no HOST:PORT");
    };
    if egress.port_u16().is_none() || subgraph.egress.contains('@') {
        return wrong("its egress is no HOST:PORT");
    }
    match format!("http://{}{}", subgraph.egress, subgraph.path).parse::<http::Uri>() {
        Ok(_) => Ok(()),
        Err(_) => wrong("its path is no URL path"),
    }
}

/// Input in an error message is cut and escaped.
fn shown(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subgraph(name: &str, path: &str, egress: &str) -> Subgraph {
        Subgraph {
            name: name.into(),
            path: path.into(),
            egress: egress.into(),
            fingerprint: 1,
        }
    }

    #[test]
    fn good_subgraphs() {
        assert!(check(&subgraph("products.dc1.acme", "/graphql", "127.0.0.1:8081")).is_ok());
        assert!(check(&subgraph("p", "/", "[::1]:1")).is_ok());
    }

    #[test]
    fn bad_subgraphs_are_named() {
        let bad = [
            subgraph("", "/", "127.0.0.1:1"),
            subgraph(&"x".repeat(254), "/", "127.0.0.1:1"),
            subgraph("a b", "/", "127.0.0.1:1"),
            subgraph("a\r\nx: y", "/", "127.0.0.1:1"),
            subgraph("u@a", "/", "127.0.0.1:1"),
            subgraph("a", "graphql", "127.0.0.1:1"),
            subgraph("a", "/ x", "127.0.0.1:1"),
            subgraph("a", "/", "127.0.0.1"),
            subgraph("a", "/", "http://x"),
            subgraph("a", "/", ""),
        ];
        for subgraph in bad {
            let error = check(&subgraph).expect_err(&format!("{subgraph:?}"));
            assert_eq!(error.code(), tonic::Code::InvalidArgument);
            assert!(error.message().starts_with("subgraph \""), "{error}");
        }
    }
}
