//! Clients: HTTP, gRPC and TCP.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};
use catalyst_examples::hello_grpc::proto::greeter_client::GreeterClient;
use catalyst_examples::hello_grpc::proto::{HelloReply, HelloRequest, HellosRequest};
use serde_json::Value;
use tokio_stream::StreamExt;
use tonic::transport::Endpoint;

/// No answer within this time is a failure.
const PATIENCE: Duration = Duration::from_secs(20);

/// An HTTP answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// It is none.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("{self:?}"))
    }
}

/// An HTTP/1.1 client that keeps its connections.
#[derive(Debug, Clone)]
pub struct Client {
    agent: ureq::Agent,
}

impl Default for Client {
    fn default() -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false);
        Self {
            agent: config.build().new_agent(),
        }
    }
}

impl Client {
    /// GET `path` of `host` from whoever listens at `address`.
    ///
    /// # Errors
    /// No answer.
    pub fn get(&self, address: SocketAddr, host: &str, path: &str) -> Result<Answer> {
        let response = self
            .agent
            .get(format!("http://{address}{path}"))
            .header("host", host)
            .call();
        read(response.with_context(|| format!("GET {host}{path} at {address}"))?)
    }

    /// POST JSON.
    ///
    /// # Errors
    /// No answer.
    pub fn post(&self, address: SocketAddr, host: &str, path: &str, body: &str) -> Result<Answer> {
        let request = self.agent.post(format!("http://{address}{path}")).header("host", host);
        let response = request.header("content-type", "application/json").send(body);
        read(response.with_context(|| format!("POST {host}{path} at {address}"))?)
    }
}

fn read(mut response: ureq::http::Response<ureq::Body>) -> Result<Answer> {
    let status = response.status().as_u16();
    let body = response.body_mut().read_to_string()?;
    Ok(Answer { status, body })
}

/// Calls the Greeter called `host` through `address`: one unary call, then a stream of three. Returns who answered.
///
/// # Errors
/// A call failed, or the instances differ.
pub fn greet(address: SocketAddr, host: &str) -> Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let origin = format!("http://{host}").parse()?;
        let channel = Endpoint::new(format!("http://{address}"))?
            .timeout(PATIENCE)
            .origin(origin)
            .connect()
            .await?;
        let mut client = GreeterClient::new(channel);
        let one = client
            .say_hello(HelloRequest { name: "Ada".into() })
            .await?
            .into_inner();
        anyhow::ensure!(one.message == "Hello Ada", "{one:?}");
        let stream = client
            .say_hellos(HellosRequest {
                name: "Ada".into(),
                count: 3,
            })
            .await?
            .into_inner();
        let many = stream.collect::<Result<Vec<HelloReply>, _>>().await?;
        anyhow::ensure!(many.len() == 3, "{many:?}");
        Ok(one.served_by)
    })
}

/// Sends a line to an echo service and returns the line that comes back.
///
/// # Errors
/// No connection or no line.
pub fn echo(address: SocketAddr, line: &str) -> Result<String> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    writeln!(&stream, "{line}")?;
    let mut answer = String::new();
    let read = BufReader::new(&stream).read_line(&mut answer)?;
    anyhow::ensure!(read > 0, "the connection to {address} was closed without an answer");
    Ok(answer.trim_end().to_owned())
}
