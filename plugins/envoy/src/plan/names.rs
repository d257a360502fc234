//! The names of resources, headers and scopes. One place, since clusters, scopes, listeners and the Lua filter refer
//! to each other by name.

use std::net::SocketAddr;

use catalyst_plugin::ServiceName;

use super::proto::bare;

/// The header that carries the scope key from the Lua filter to Envoy's router. Never accepted, never sent on.
pub(crate) const SCOPE_HEADER: &str = "x-catalyst-scope";
/// The header of the loop guard: the nodes (`AS/node`) and systems (`AS`) that a request has passed.
pub const VIA_HEADER: &str = "x-catalyst-via";
/// The scope of the graph on ingress; holds no `/`, so it is no service's.
pub(crate) const GRAPH_SCOPE: &str = "graph";
/// The cluster of the GraphQL gateway.
pub(crate) const GATEWAY_CLUSTER: &str = "gateway";
/// The port in the authority of CONNECT. It means nothing: the name decides.
pub(crate) const TUNNEL_PORT: u16 = 1;

/// Whose names a listener knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class<'a> {
    /// Everything that is selected: ingress, egress and our own organisation's nodes.
    Own,
    /// What is exported to one outside organisation.
    Org(&'a str),
}

impl Class<'_> {
    /// The part of a scope key before the `/`.
    pub(crate) fn prefix(self) -> String {
        match self {
            Self::Own => "own".into(),
            Self::Org(org) => format!("org:{org}"),
        }
    }

    /// The scope key of a name, which is also the name of the scope.
    pub(crate) fn scope(self, name: &str) -> String {
        format!("{}/{name}", self.prefix())
    }
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
