//! What the GraphQL plugin must know of its node. The daemon's configuration fills it.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Where catalyst-gateway takes its subgraphs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlAddress {
    /// A Unix socket.
    Unix(PathBuf),
    /// A loopback address.
    Tcp(SocketAddr),
}

impl std::fmt::Display for ControlAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "{address}"),
        }
    }
}

/// The configuration of the GraphQL plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphqlConfig {
    /// Where catalyst-gateway takes its subgraphs.
    pub control: ControlAddress,
    /// The egress listener of the local Envoy, where the gateway sends subgraph requests.
    pub egress: SocketAddr,
}
