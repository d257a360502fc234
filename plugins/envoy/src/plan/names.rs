//! The names of resources, headers and scopes. One place, since clusters, scopes, listeners and the Lua filter refer
//! to each other by name.

use std::net::SocketAddr;

use catalyst_plugin::ServiceName;

use super::proto::bare;

/// The header that carries the scope key from the Lua filter to Envoy's router. Never accepted, never sent on.
pub(crate) const SCOPE_HEADER: &str = "x-catalyst-scope";
/// The header of the loop guard: the nodes (`AS/node`) and systems (`AS`) that a request has passed.
pub const VIA_HEADER: &str = "x-catalyst-via";
/// The scope of the graph on ingress; begins with no `/`, so it is no service's.
pub(crate) const GRAPH_SCOPE: &str = "graph";
/// The Lua filter of every HTTP listener, by ECDS.
pub(crate) const SCOPE_FILTER: &str = "scope";
/// The cluster of the GraphQL gateway.
pub(crate) const GATEWAY_CLUSTER: &str = "gateway";
/// The port in the authority of CONNECT. It means nothing: the name decides.
pub(crate) const TUNNEL_PORT: u16 = 1;

/// The scope of a service name: its resource name and its key. Not the name alone: a resource called `*` is none.
pub(crate) fn scope(name: &str) -> String {
    format!("/{name}")
}

/// The cluster of a next hop.
pub(crate) fn hop_cluster(at: SocketAddr) -> String {
    format!("hop/{}", SocketAddr::new(bare(at.ip()), at.port()))
}

/// The cluster of a local service's endpoints.
pub(crate) fn local_cluster(name: &ServiceName) -> String {
    format!("local/{name}")
}

/// The egress listener of a tcp service.
pub(crate) fn tcp_listener(name: &ServiceName) -> String {
    format!("tcp/{name}")
}
