//! A gRPC service: one unary call and one server stream.

use std::pin::Pin;
use std::sync::Arc;

use anyhow::Result;
use tokio::net::TcpListener;
use tokio_stream::Stream;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::runtime;
use proto::greeter_server::{Greeter, GreeterServer};
use proto::{HelloReply, HelloRequest, HellosRequest};

/// `catalyst.example.v1`, server and client.
pub mod proto {
    #![allow(
        missing_docs,
        clippy::all,
        clippy::restriction,
        unreachable_pub,
        unused_qualifications
    )]
    tonic::include_proto!("catalyst.example.v1");
}

/// The longest stream that a client may ask for.
const MAX_HELLOS: u32 = 1000;

struct Hello {
    name: Arc<str>,
}

impl Hello {
    fn reply(name: &str, message: String) -> HelloReply {
        HelloReply {
            message,
            served_by: name.to_owned(),
        }
    }
}

#[tonic::async_trait]
impl Greeter for Hello {
    async fn say_hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        let whom = request.into_inner().name;
        Ok(Response::new(Self::reply(&self.name, format!("Hello {whom}"))))
    }

    type SayHellosStream = Pin<Box<dyn Stream<Item = Result<HelloReply, Status>> + Send>>;

    async fn say_hellos(&self, request: Request<HellosRequest>) -> Result<Response<Self::SayHellosStream>, Status> {
        let HellosRequest { name: whom, count } = request.into_inner();
        if count > MAX_HELLOS {
            return Err(Status::invalid_argument(format!(
                "count is {count}, at most {MAX_HELLOS} are answered"
            )));
        }
        let name = Arc::clone(&self.name);
        let replies = (1..=count).map(move |n| Ok(Self::reply(&name, format!("Hello {whom}, {n} of {count}"))));
        Ok(Response::new(Box::pin(tokio_stream::iter(replies))))
    }
}

/// Serves the Greeter over HTTP/2 without TLS until SIGTERM or SIGINT.
///
/// # Errors
/// The transport failed.
pub async fn serve(listener: TcpListener, name: &str) -> Result<()> {
    let greeter = GreeterServer::new(Hello { name: name.into() });
    let incoming = TcpListenerStream::new(listener);
    let server = Server::builder()
        .add_service(greeter)
        .serve_with_incoming_shutdown(incoming, runtime::stopped());
    runtime::run_until_stopped(server).await
}
