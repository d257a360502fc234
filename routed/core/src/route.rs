//! What data planes see: the selected route of each name, as `Reset` and `Delta` with versions.

use std::net::SocketAddr;
use std::sync::Arc;

pub use crate::attrs::{OriginNode, Protocol, RouterId};
pub use crate::destination::{Destination, DestinationError};
pub use crate::name::{NameError, ServiceName};
pub use crate::prefix::{Prefix, PrefixError};

/// The table that a route belongs to: by the organisation of its origin, whoever relayed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// Originated by our own organisation.
    Internal,
    /// Originated by any other.
    External,
}

impl Table {
    /// The spelling of CLI and JSON output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::External => "external",
        }
    }
}

/// An address that answers for a local service.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// An IP address or a DNS name.
    pub host: Arc<str>,
    /// The TCP port.
    pub port: u16,
    /// Relative share of the traffic, at least 1.
    pub weight: u32,
}

/// A node's peer listener that traffic for a name may be sent to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NextHop {
    /// The peer listener of the next node.
    pub address: SocketAddr,
    /// Relative share under multipath.
    pub weight: u32,
}

/// Where traffic for a name goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// This node is the origin.
    Local(Vec<Endpoint>),
    /// The peer listeners of the next nodes, in order of address.
    Remote(Vec<NextHop>),
    /// Nobody offers the name and no shorter wildcard may answer for it: 404 here.
    Discard,
}

/// The selected route of one name. Local endpoints and everything that a data plane needs are in it; two routes that
/// are equal need the same resources.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Route {
    /// The name; may be a wildcard.
    pub name: ServiceName,
    /// What the service speaks. A discard carries `Http`.
    pub protocol: Protocol,
    /// The HTTP path of the GraphQL endpoint.
    pub path: Option<Arc<str>>,
    /// The table that the route came from.
    pub table: Table,
    /// Where it was born; `None` for a discard.
    pub origin: Option<OriginNode>,
    /// Where traffic goes.
    pub target: Target,
    /// The outside organisations whose peer listener opens this name, sorted: those whose export policy accepts it.
    pub exported_to: Arc<[Arc<str>]>,
}

/// What happened to one name between two versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The name.
    pub name: ServiceName,
    /// Its route now; `None`: it is gone.
    pub route: Option<Arc<Route>>,
}

/// A step of the selected table. A subscriber that sees a gap (`from` is not the version it holds) asks for a Reset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteUpdate {
    /// The whole table.
    Reset {
        /// The version that the table has now.
        version: u64,
        /// Every route, sorted by name.
        routes: Vec<Arc<Route>>,
        /// False until every configured peer has sent END-OF-RIB or `startup_wait` is over. While false, a data plane
        /// holds each resource that it already has as it is, and adds unknown ones.
        settled: bool,
    },
    /// The difference between two versions.
    Delta {
        /// The version before.
        from: u64,
        /// The version after; always greater than `from`.
        to: u64,
        /// One entry per name. May be empty when only `settled` changed.
        changes: Vec<Change>,
        /// As in `Reset`.
        settled: bool,
    },
}

impl RouteUpdate {
    /// The version that the table has after this update.
    #[must_use]
    pub fn version(&self) -> u64 {
        match self {
            Self::Reset { version, .. } => *version,
            Self::Delta { to, .. } => *to,
        }
    }
}

/// How far a data plane is with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlaneStatus {
    /// Not confirmed yet, with what it waits for where known (may be empty).
    Pending(Arc<str>),
    /// Confirmed by every connected instance: traffic for the name is served.
    Programmed,
    /// Refused, with the data plane's own words.
    Rejected(Arc<str>),
}
