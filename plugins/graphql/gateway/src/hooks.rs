//! Where the router asks: which graph serves a request, how a service is reached, how its failure reads.

use crate::engine::Published;
use crate::page;
use hive_router::http::{HeaderMap, HeaderValue, StatusCode, header};
use hive_router::plugins::hooks::on_graphql_error::{OnGraphQLErrorHookPayload, OnGraphQLErrorHookResult};
use hive_router::plugins::hooks::on_http_request::{OnHttpRequestHookFuture, OnHttpRequestHookPayload};
use hive_router::plugins::hooks::on_plugin_init::{OnPluginInitPayload, OnPluginInitResult};
use hive_router::plugins::hooks::on_subgraph_http_request::{
    OnSubgraphHttpRequestHookPayload, OnSubgraphHttpRequestHookResult,
};
use hive_router::plugins::plugin_trait::{EndHookPayload as _, RouterPlugin, StartHookPayload as _};
use hive_router::{GraphQLError, SubgraphHttpResponse, async_trait};
use serde_json::json;
use std::sync::{Arc, OnceLock};

/// The router makes its plugins itself and hands them nothing but configuration.
static PUBLISHED: OnceLock<Arc<Published>> = OnceLock::new();

/// The plugin of hive-router.
pub(crate) struct Hooks {
    published: Arc<Published>,
}

impl Hooks {
    /// Says what the plugin will serve; before the router starts.
    pub(crate) fn provide(published: Arc<Published>) {
        // A second router in one process would be a second call; it keeps the first.
        drop(PUBLISHED.set(published));
    }
}

#[async_trait]
impl RouterPlugin for Hooks {
    type Config = ();

    fn plugin_name() -> &'static str {
        "catalyst"
    }

    fn on_plugin_init(payload: OnPluginInitPayload<'_, Self>) -> OnPluginInitResult<Self> {
        let published = PUBLISHED.get().cloned().ok_or("the engine is not started")?;
        payload.initialize_plugin(Self { published })
    }

    /// Pins the graph that is current now for all of the request.
    fn on_http_request<'r>(&'r self, payload: OnHttpRequestHookPayload<'r>) -> OnHttpRequestHookFuture<'r> {
        Box::pin(async move {
            let request = &payload.router_http_request;
            if let Some(graph) = self.published.slot.current() {
                payload.set_supergraph(graph);
            } else if request.path().starts_with("/graphql") && !page::is_wanted(request.head()) {
                return payload.end_with_graphql_error(no_graph(), StatusCode::SERVICE_UNAVAILABLE);
            }
            payload.proceed()
        })
    }

    /// The URL leads to the egress listener; the Host header says which service is meant.
    async fn on_subgraph_http_request<'e>(
        &'e self,
        mut payload: OnSubgraphHttpRequestHookPayload<'e>,
    ) -> OnSubgraphHttpRequestHookResult<'e> {
        let service = payload.subgraph_name;
        match HeaderValue::from_str(service) {
            Ok(host) => drop(payload.execution_request.headers.insert(header::HOST, host)),
            Err(_) => return payload.end_with_response(unavailable(service, "its name is no host name")),
        }
        payload.on_end(move |mut payload| {
            if let Some(why) = no_graphql(&payload.response) {
                payload.response = unavailable(service, &why);
            }
            payload.proceed()
        })
    }

    fn on_graphql_error<'r>(&'r self, mut payload: OnGraphQLErrorHookPayload<'r>) -> OnGraphQLErrorHookResult<'r> {
        let error = &mut payload.error;
        let failed = error.extensions.code.as_deref().and_then(transport_failure);
        if let (Some(why), Some(service)) = (failed, &error.extensions.service_name) {
            // The router's own text may hold the address behind the service.
            error.message = format!("service \"{service}\" is not available: {why}");
        }
        payload.proceed()
    }
}

fn no_graph() -> GraphQLError {
    GraphQLError::from_message_and_code("no subgraph yet: no service has a schema to serve", "NO_SUBGRAPH_YET")
}

/// Envoy's own answers, for a name without an endpoint for one, are text.
fn no_graphql(response: &SubgraphHttpResponse) -> Option<String> {
    let content_type = response
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let json = content_type.contains("json");
    (!json).then(|| format!("answered {} and no GraphQL", response.status.as_u16()))
}

fn unavailable(service: &str, why: &str) -> SubgraphHttpResponse {
    let error = json!({
        "message": format!("service \"{service}\" is not available: {why}"),
        "extensions": { "code": "SERVICE_UNAVAILABLE", "service": service },
    });
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    SubgraphHttpResponse {
        status: StatusCode::OK,
        headers: Arc::new(headers),
        body: json!({ "data": null, "errors": [error] }).to_string().into(),
    }
}

/// What the router's codes for a failed request to a service mean.
fn transport_failure(code: &str) -> Option<&'static str> {
    match code {
        "SUBREQUEST_HTTP_ERROR" | "SUBGRAPH_RESPONSE_FAILURE" => Some("no connection"),
        "SUBGRAPH_REQUEST_TIMEOUT" => Some("no answer in time"),
        "SUBGRAPH_RESPONSE_BODY_READ_FAILURE" => Some("its answer broke off"),
        "SUBGRAPH_RESPONSE_BODY_EMPTY" => Some("its answer is empty"),
        "SUBREQUEST_MALFORMED_RESPONSE" => Some("its answer is no GraphQL"),
        _ => None,
    }
}
