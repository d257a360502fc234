//! Scopes: one route configuration per name, found by its key in one hash lookup.

use std::time::Duration;

use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate;

use super::access::Access;
use super::names::{self, GATEWAY_CLUSTER, GRAPH_SCOPE, SCOPE_HEADER, VIA_HEADER};
use super::proto::{any, boolean, duration, inline, uint};

/// A quiet HTTP exchange is over after this long.
const HTTP_IDLE: Duration = Duration::from_secs(300);
/// Streams and tunnels may be quiet for longer.
const STREAM_IDLE: Duration = Duration::from_secs(3600);
/// Only what no server has begun to handle is tried again: safe for every method.
const RETRY_ON: &str = "connect-failure,refused-stream,reset-before-request";
const RETRIES: u32 = 2;

/// Clusters with their shares, never empty.
pub(crate) type Clusters = Vec<(String, u32)>;

/// What a scope does with the requests that find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// HTTP of any kind to clusters. `ends_here`: they are the service itself, not another node.
    Http {
        clusters: Clusters,
        streams: bool,
        ends_here: bool,
    },
    /// CONNECT to clusters; the origin unwraps the tunnel.
    Tunnel { clusters: Clusters, ends_here: bool },
    /// An answer of our own.
    Answer { status: u32, body: String },
}

/// The scope of a service name. Who may not use it finds nothing there, which is the end of it for an exact name: a
/// wildcard above it does not open what is kept back.
pub(crate) fn service(name: &str, action: &Action, access: &Access) -> pb::ScopedRouteConfiguration {
    let mut routes = routes(name, action);
    access.restrict(&mut routes);
    if *access != Access::Everybody && !name.starts_with('*') {
        routes.push(answer_route(name, 404, &no_route(name)));
    }
    let mut remove = vec![SCOPE_HEADER.to_owned()];
    if matches!(action, Action::Http { ends_here: true, .. }) {
        remove.push(VIA_HEADER.to_owned());
    }
    scope(&names::scope(name), routes, remove)
}

fn routes(name: &str, action: &Action) -> Vec<pb::Route> {
    match action {
        Action::Http { clusters, streams, .. } => vec![http_route(name, clusters, *streams)],
        Action::Tunnel { clusters, ends_here } => {
            vec![
                tunnel_route(name, clusters, *ends_here),
                answer_route(name, 404, &not_http(name)),
            ]
        }
        Action::Answer { status, body } => {
            vec![
                connect_answer_route(name, *status, body),
                answer_route(name, *status, body),
            ]
        }
    }
}

/// The scope of the graph on ingress.
pub(crate) fn graph() -> pb::ScopedRouteConfiguration {
    let clusters = vec![(GATEWAY_CLUSTER.to_owned(), 1)];
    let mut graphql = http_route(GRAPH_SCOPE, &clusters, true);
    graphql.r#match = Some(path_match(pb::route_match::PathSpecifier::PathSeparatedPrefix(
        "/graphql".into(),
    )));
    let routes = vec![graphql, answer_route(GRAPH_SCOPE, 404, "the graph is at /graphql\n")];
    scope(
        GRAPH_SCOPE,
        routes,
        vec![SCOPE_HEADER.to_owned(), VIA_HEADER.to_owned()],
    )
}

/// What is said of a name that nobody offers, or not to whoever asks.
pub(crate) fn no_route(name: &str) -> String {
    format!("no route to {name}\n")
}

fn not_http(name: &str) -> String {
    format!("{name} is a tcp service: dial its own port\n")
}

fn scope(key: &str, routes: Vec<pb::Route>, remove: Vec<String>) -> pb::ScopedRouteConfiguration {
    let host = pb::VirtualHost {
        name: "*".into(),
        domains: vec!["*".into()],
        routes,
        ..Default::default()
    };
    let routes = pb::RouteConfiguration {
        name: key.into(),
        virtual_hosts: vec![host],
        request_headers_to_remove: remove,
        // A scope names clusters that are sent before it; a removal on the way must not make Envoy refuse it.
        validate_clusters: boolean(false),
        ..Default::default()
    };
    let fragment = pb::scoped_route_configuration::key::Fragment {
        r#type: Some(pb::scoped_route_configuration::key::fragment::Type::StringKey(
            key.into(),
        )),
    };
    pb::ScopedRouteConfiguration {
        name: key.into(),
        key: Some(pb::scoped_route_configuration::Key {
            fragments: vec![fragment],
        }),
        route_configuration: Some(routes),
        ..Default::default()
    }
}

fn http_route(name: &str, clusters: &Clusters, streams: bool) -> pb::Route {
    let mut action = route_action(clusters);
    action.idle_timeout = duration(if streams { STREAM_IDLE } else { HTTP_IDLE });
    action.retry_policy = Some(retry());
    route(name, path_match(everything()), pb::route::Action::Route(action))
}

fn tunnel_route(name: &str, clusters: &Clusters, ends_here: bool) -> pb::Route {
    let connect = pb::route_action::UpgradeConfig {
        upgrade_type: "CONNECT".into(),
        enabled: boolean(true),
        connect_config: ends_here.then(Default::default),
    };
    let mut action = route_action(clusters);
    action.idle_timeout = duration(STREAM_IDLE);
    action.upgrade_configs = vec![connect];
    route(name, path_match(connects()), pb::route::Action::Route(action))
}

fn answer_route(name: &str, status: u32, body: &str) -> pb::Route {
    route(name, path_match(everything()), direct(status, body))
}

/// CONNECT has no path: without this route it would miss the name and fall through to a wildcard.
fn connect_answer_route(name: &str, status: u32, body: &str) -> pb::Route {
    route(name, path_match(connects()), direct(status, body))
}

fn direct(status: u32, body: &str) -> pb::route::Action {
    pb::route::Action::DirectResponse(pb::DirectResponseAction {
        status,
        body: Some(inline(body)),
        ..Default::default()
    })
}

fn everything() -> pb::route_match::PathSpecifier {
    pb::route_match::PathSpecifier::Prefix("/".into())
}

fn connects() -> pb::route_match::PathSpecifier {
    pb::route_match::PathSpecifier::ConnectMatcher(Default::default())
}

fn path_match(path: pb::route_match::PathSpecifier) -> pb::RouteMatch {
    pb::RouteMatch {
        path_specifier: Some(path),
        ..Default::default()
    }
}

/// The Lua filter asks for the route's name to see whether the scope exists: it must not be empty.
fn route(name: &str, matches: pb::RouteMatch, action: pb::route::Action) -> pb::Route {
    pb::Route {
        name: name.into(),
        r#match: Some(matches),
        action: Some(action),
        ..Default::default()
    }
}

fn route_action(clusters: &Clusters) -> pb::RouteAction {
    pb::RouteAction {
        cluster_specifier: Some(specifier(clusters)),
        // No limit on the whole exchange (Envoy's default of 15 s would cut streams): idle timeouts bound it.
        timeout: duration(Duration::ZERO),
        ..Default::default()
    }
}

fn specifier(clusters: &Clusters) -> pb::route_action::ClusterSpecifier {
    if let [(only, _)] = clusters.as_slice() {
        return pb::route_action::ClusterSpecifier::Cluster(only.clone());
    }
    let clusters = clusters
        .iter()
        .map(|(name, weight)| pb::weighted_cluster::ClusterWeight {
            name: name.clone(),
            weight: uint(*weight),
            ..Default::default()
        });
    pb::route_action::ClusterSpecifier::WeightedClusters(pb::WeightedCluster {
        clusters: clusters.collect(),
        ..Default::default()
    })
}

/// The next attempt goes to another host where there is one.
fn retry() -> pb::RetryPolicy {
    let predicate = pb::retry_policy::RetryHostPredicate {
        name: "envoy.retry_host_predicates.previous_hosts".into(),
        config_type: Some(pb::retry_policy::retry_host_predicate::ConfigType::TypedConfig(any(
            &PreviousHostsPredicate {},
        ))),
    };
    pb::RetryPolicy {
        retry_on: RETRY_ON.into(),
        num_retries: uint(RETRIES),
        retry_host_predicate: vec![predicate],
        host_selection_retry_max_attempts: 3,
        ..Default::default()
    }
}
