//! Fetches one service's schema through Envoy's egress listener, which finds the service by its Host header.

use crate::introspection;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use std::time::Duration;

/// The longest answer that is read: introspection is several times the size of the schema.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// Where a service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The service name: the Host header.
    pub(crate) name: String,
    /// Where its GraphQL endpoint is, by way of the egress listener.
    pub(crate) url: String,
}

/// Why there is no schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FetchError {
    /// The service is not there (yet): says nothing about its schema.
    #[error("{0}")]
    Unavailable(String),
    /// It is there, and what it answers is no schema.
    #[error("{0}")]
    Invalid(String),
}

/// Fetches schemas.
#[derive(Debug, Clone)]
pub(crate) struct Fetcher {
    client: Client<HttpConnector, Full<Bytes>>,
    timeout: Duration,
}

impl Fetcher {
    /// `timeout` bounds one fetch, both of its questions together.
    pub(crate) fn new(timeout: Duration) -> Self {
        // A fetch per refresh interval gains nothing from idle connections, and would find them stale.
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build_http();
        Self { client, timeout }
    }

    /// The schema in SDL: what `_service { sdl }` returns, else what introspection tells.
    pub(crate) async fn fetch(&self, target: &Target) -> Result<String, FetchError> {
        let fetch = tokio::time::timeout(self.timeout, self.ask_both(target));
        let late = |_| FetchError::Unavailable(format!("no answer within {:?}", self.timeout));
        fetch.await.map_err(late).flatten()
    }

    async fn ask_both(&self, target: &Target) -> Result<String, FetchError> {
        let answer = self.ask(target, &json!({ "query": "{ _service { sdl } }" })).await?;
        if let Some(sdl) = answer.pointer("/data/_service/sdl").and_then(Value::as_str) {
            return Ok(sdl.to_owned());
        }
        let answer = self.ask(target, &introspection::request()).await?;
        introspection::sdl(answer).map_err(FetchError::Invalid)
    }

    async fn ask(&self, target: &Target, question: &Value) -> Result<Value, FetchError> {
        let request = Request::post(&target.url)
            .header(header::HOST, &target.name)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/graphql-response+json, application/json")
            .body(Full::new(Bytes::from(question.to_string())))
            .map_err(|error| FetchError::Invalid(format!("no request can be made: {error}")))?;
        let response = self.client.request(request).await.map_err(|_| no_connection())?;
        let status = response.status();
        if is_absent(status) {
            return Err(FetchError::Unavailable(format!("answered {}", status.as_u16())));
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| unreadable(&*error))?.to_bytes();
        serde_json::from_slice(&body).map_err(|_| not_graphql(status))
    }
}

/// What Envoy says of a name that it does not know, or that has no healthy endpoint.
fn is_absent(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::NOT_FOUND | StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    )
}

fn no_connection() -> FetchError {
    FetchError::Unavailable("no connection to the egress listener".to_owned())
}

fn unreadable(error: &(dyn std::error::Error + Send + Sync + 'static)) -> FetchError {
    if error.is::<http_body_util::LengthLimitError>() {
        FetchError::Invalid(format!("its answer is longer than {MAX_ANSWER_BYTES} bytes"))
    } else {
        FetchError::Unavailable("its answer broke off".to_owned())
    }
}

/// An answer that is no JSON: an error page, or a service that is no GraphQL service at that path.
fn not_graphql(status: StatusCode) -> FetchError {
    let text = format!("answered {} and no GraphQL", status.as_u16());
    if status.is_server_error() {
        FetchError::Unavailable(text)
    } else {
        FetchError::Invalid(text)
    }
}
