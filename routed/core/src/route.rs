//! What data planes see: the selected route of each name and prefix, as `Reset` and `Delta` with versions.

use std::net::SocketAddr;
use std::sync::Arc;

pub use crate::attrs::{OriginNode, Protocol, RouterId, Tunnel};
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

/// A node's peer listener that traffic for a name may be sent to; for a prefix its IP alone counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NextHop {
    /// The peer listener of the next node.
    pub address: SocketAddr,
    /// Relative share under multipath.
    pub weight: u32,
}

/// Where traffic for a name or prefix goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// This node is the origin. A prefix has no endpoints.
    Local(Vec<Endpoint>),
    /// The peer listeners of the next nodes, in order of address. Of a prefix: the one of the best path first, for data
    /// planes where a packet takes one way only; the others may share the traffic.
    Remote(Vec<NextHop>),
    /// Nobody offers the name and no shorter wildcard may answer for it: 404 here. A prefix: unreachable.
    Discard,
}

/// Where this node sends traffic for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forward {
    /// To endpoints of its own.
    Here,
    /// To the peer listener of the next node.
    To(SocketAddr),
    /// Nowhere: 404.
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

/// The selected route of one prefix. No service runs under it, so it is a type of its own: a data plane that serves
/// services cannot take it for one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PrefixRoute {
    /// The prefix.
    pub prefix: Prefix,
    /// The table that the route came from.
    pub table: Table,
    /// Where it was born; `None` for a discard.
    pub origin: Option<OriginNode>,
    /// Where traffic goes.
    pub target: Target,
    /// The outside organisations that the prefix is exported to, sorted.
    pub exported_to: Arc<[Arc<str>]>,
    /// The prefix is the address of a peer's tunnel, and this is what the peer says of it.
    pub tunnel: Option<Arc<Tunnel>>,
}

/// The selected route of one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selected {
    /// Of a name.
    Name(Arc<Route>),
    /// Of a prefix.
    Prefix(Arc<PrefixRoute>),
}

impl Selected {
    /// What it leads to.
    #[must_use]
    pub fn destination(&self) -> Destination {
        match self {
            Self::Name(route) => route.name.clone().into(),
            Self::Prefix(route) => route.prefix.into(),
        }
    }

    /// Where traffic goes.
    #[must_use]
    pub fn target(&self) -> &Target {
        match self {
            Self::Name(route) => &route.target,
            Self::Prefix(route) => &route.target,
        }
    }

    /// The outside organisations that it is exported to, sorted.
    #[must_use]
    pub fn exported_to(&self) -> &Arc<[Arc<str>]> {
        match self {
            Self::Name(route) => &route.exported_to,
            Self::Prefix(route) => &route.exported_to,
        }
    }

    /// What the service speaks; `None` for a prefix.
    #[must_use]
    pub fn protocol(&self) -> Option<Protocol> {
        match self {
            Self::Name(route) => Some(route.protocol),
            Self::Prefix(_) => None,
        }
    }

    /// The route of a name.
    #[must_use]
    pub fn name(&self) -> Option<&Arc<Route>> {
        match self {
            Self::Name(route) => Some(route),
            Self::Prefix(_) => None,
        }
    }

    /// The route of a prefix.
    #[must_use]
    pub fn prefix(&self) -> Option<&Arc<PrefixRoute>> {
        match self {
            Self::Name(_) => None,
            Self::Prefix(route) => Some(route),
        }
    }
}

impl From<Arc<Route>> for Selected {
    fn from(route: Arc<Route>) -> Self {
        Self::Name(route)
    }
}

impl From<Arc<PrefixRoute>> for Selected {
    fn from(route: Arc<PrefixRoute>) -> Self {
        Self::Prefix(route)
    }
}

/// What happened to one destination between two versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The name or prefix.
    pub destination: Destination,
    /// Its route now; `None`: it is gone.
    pub route: Option<Selected>,
}

/// A step of the selected table. A subscriber that sees a gap (`from` is not the version it holds) asks for a Reset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteUpdate {
    /// The whole table.
    Reset {
        /// The version that the table has now.
        version: u64,
        /// Every route, sorted by destination.
        routes: Vec<Selected>,
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
        /// One entry per destination. May be empty when only `settled` changed.
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

/// How far a data plane is with a name or prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlaneStatus {
    /// Not confirmed yet, with what it waits for where known (may be empty).
    Pending(Arc<str>),
    /// Confirmed by every connected instance: traffic for the name is served.
    Programmed,
    /// Refused, with the data plane's own words.
    Rejected(Arc<str>),
}
