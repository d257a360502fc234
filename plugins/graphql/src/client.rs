//! The control connection to catalyst-gateway.

use std::time::Duration;

use catalyst_plugin::PlaneError;
use catalyst_proto::gateway::v1::gateway_client::GatewayClient;
use catalyst_proto::gateway::v1::{ApplyRequest, ObserveRequest, State, Subgraph, WatchRequest};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

use crate::config::ControlAddress;

/// Bound on each call; the gateway only stores a set, so a second is long.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// A gateway that does not answer a ping for so long is gone, though its socket is open.
const PING_INTERVAL: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_secs(3);
/// Subgraphs per request: at most 700 bytes each, well below the 4 MiB that a gateway takes.
const PER_REQUEST: usize = 2048;
/// The largest answer taken, in bytes.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// A connection that is made when it is needed, and again after it broke.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    grpc: GatewayClient<Channel>,
    address: ControlAddress,
}

/// A subgraph that the gateway does not take, with its words.
pub(crate) type Refusal = (String, String);

impl Client {
    /// Must be called on a tokio runtime.
    pub(crate) fn new(address: &ControlAddress) -> Result<Self, PlaneError> {
        let uri = match address {
            ControlAddress::Unix(path) => format!("unix:{}", path.display()),
            ControlAddress::Tcp(address) => format!("http://{address}"),
        };
        let endpoint = Endpoint::from_shared(uri)
            .map_err(|error| PlaneError(format!("{address} is no control address of a gateway: {error}")))?
            .connect_timeout(CALL_TIMEOUT)
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        let grpc = GatewayClient::new(endpoint.connect_lazy()).max_decoding_message_size(MAX_ANSWER_BYTES);
        Ok(Self {
            grpc,
            address: address.clone(),
        })
    }

    /// The set that the gateway holds.
    pub(crate) async fn observe(&mut self) -> Result<Vec<Subgraph>, PlaneError> {
        let answer = bounded(self.grpc.observe(ObserveRequest {})).await;
        Ok(answer.map_err(|status| self.failed(&status))?.into_inner().subgraphs)
    }

    /// Stores subgraphs. A request that is refused is halved until what is wrong stands alone: one bad subgraph keeps
    /// no other out.
    pub(crate) async fn upsert(&mut self, subgraphs: Vec<Subgraph>) -> Result<Vec<Refusal>, PlaneError> {
        let mut refused = Vec::new();
        let mut stack: Vec<Vec<Subgraph>> = subgraphs.chunks(PER_REQUEST).rev().map(<[Subgraph]>::to_vec).collect();
        while let Some(mut upsert) = stack.pop() {
            let request = ApplyRequest {
                upsert: upsert.clone(),
                remove: Vec::new(),
            };
            match bounded(self.grpc.apply(request)).await {
                Ok(_) => {}
                Err(status) if status.code() != Code::InvalidArgument => return Err(self.failed(&status)),
                Err(status) => match &upsert[..] {
                    [only] => refused.push((only.name.clone(), status.message().to_owned())),
                    _ => {
                        let rest = upsert.split_off(upsert.len() / 2);
                        stack.extend([rest, upsert]);
                    }
                },
            }
        }
        Ok(refused)
    }

    /// Removes subgraphs.
    pub(crate) async fn remove(&mut self, names: Vec<String>) -> Result<(), PlaneError> {
        for remove in names.chunks(PER_REQUEST) {
            let request = ApplyRequest {
                upsert: Vec::new(),
                remove: remove.to_vec(),
            };
            bounded(self.grpc.apply(request))
                .await
                .map_err(|status| self.failed(&status))?;
        }
        Ok(())
    }

    /// The state now, and a message per change.
    pub(crate) async fn watch(&mut self) -> Result<(State, Streaming<State>), PlaneError> {
        let opened = bounded(async {
            let mut states = self.grpc.watch(WatchRequest {}).await?.into_inner();
            let first = states.message().await?;
            Ok((first, states))
        });
        match opened.await {
            Ok((Some(first), states)) => Ok((first, states)),
            Ok((None, _)) => Err(self.failed(&Status::unavailable("the state ended before it began"))),
            Err(status) => Err(self.failed(&status)),
        }
    }

    fn failed(&self, status: &Status) -> PlaneError {
        let cause = std::error::Error::source(status).map(|source| root(source).to_string());
        // tonic says the cause itself for some errors, and "transport error" for others.
        let cause = cause.filter(|cause| !status.message().contains(cause.as_str()));
        let why = cause.map_or_else(String::new, |cause| format!(": {cause}"));
        PlaneError(format!(
            "catalyst-gateway at {}: {}{why}",
            self.address,
            status.message()
        ))
    }
}

/// The innermost cause: the outer ones only say "transport error".
fn root<'a>(mut error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    while let Some(source) = error.source() {
        error = source;
    }
    error
}

async fn bounded<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Status::deadline_exceeded(format!("no answer within {CALL_TIMEOUT:?}"))),
    }
}
