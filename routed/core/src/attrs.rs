//! Path attributes: what an UPDATE says of the names or prefixes in it (docs/protocol.md, "Path attributes").

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use crate::prefix::Prefix;
use crate::wire::MAX_COMMUNITIES;

/// A node: (AS, node name). This pair is its router id; ties, collisions and ORIGINATOR go by its order.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouterId {
    /// The autonomous system number.
    pub asn: u32,
    /// The node's name, unique in its AS (1 to 63 bytes, one label of a service name).
    pub node: Arc<str>,
}

impl fmt::Display for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.asn, self.node)
    }
}

impl fmt::Debug for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// ORIGIN_NODE: where a route was born.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OriginNode {
    /// The node that originated the route.
    pub router_id: RouterId,
    /// The organisation that it belongs to (1 to 63 bytes, one label).
    pub organisation: Arc<str>,
}

/// ORIGIN (RFC 4271 section 5.1.1). Lower is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Origin {
    /// Configured at the origin node.
    #[default]
    Igp = 0,
    /// Learned from another system.
    Egp = 1,
    /// Registered at run time by other means.
    Incomplete = 2,
}

/// The protocol that a service speaks (SERVICE attribute).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// Plain TCP, tunnelled between nodes by HTTP/2 CONNECT.
    Tcp,
    /// HTTP/1.1 or HTTP/2.
    Http,
    /// A GraphQL subgraph over HTTP.
    HttpGraphql,
    /// gRPC: HTTP/2 towards the endpoint too.
    HttpGrpc,
}

impl Protocol {
    /// The spelling of configuration, CLI and JSON output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Http => "http",
            Self::HttpGraphql => "http:graphql",
            Self::HttpGrpc => "http:grpc",
        }
    }

    /// Every protocol.
    pub const ALL: [Self; 4] = [Self::Tcp, Self::Http, Self::HttpGraphql, Self::HttpGrpc];

    /// The reverse of [`Protocol::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.as_str() == text)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// SERVICE: what is offered under the name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServiceAttr {
    /// The protocol that the service speaks.
    pub protocol: Protocol,
    /// The HTTP path of the GraphQL endpoint (`http:graphql` only; at most 255 bytes, begins with `/`).
    pub path: Option<Arc<str>>,
    /// Relative share under multipath (0 to 65535; 0 takes no traffic while another path has weight).
    pub weight: u16,
    /// 0 (down) to 100 (fully healthy), as the origin sees its endpoints.
    pub health: u8,
}

/// TUNNEL: where its sender's WireGuard device is found, and by which addresses. Believed from that very peer only, and
/// never passed on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tunnel {
    /// The public key of the device (Curve25519); not all zero.
    pub public_key: [u8; 32],
    /// Where the device listens; `None`: it cannot be called, it calls.
    pub endpoint: Option<SocketAddr>,
    /// The addresses inside of the tunnel: host prefixes, sorted, no duplicates, at least one.
    pub addresses: Vec<Prefix>,
    /// The MTU of the device in bytes, at least 1280.
    pub mtu: u16,
    /// Grows with every change: of two words of one peer the higher counts.
    pub serial: u64,
}

/// A large community (RFC 8092): global administrator, then two local parts.
pub type LargeCommunity = (u32, u32, u32);

/// GRACEFUL_SHUTDOWN (RFC 8326): the path is about to go.
pub const GRACEFUL_SHUTDOWN: u32 = 0xffff_0000;
/// LLGR_STALE (RFC 9494): a node on the way lost the session that the path came by, and keeps it for want of a fresh one.
pub const LLGR_STALE: u32 = 0xffff_0006;
/// NO_EXPORT (RFC 1997): not outside this AS.
pub const NO_EXPORT: u32 = 0xffff_ff01;
/// NO_ADVERTISE (RFC 1997): to no peer at all.
pub const NO_ADVERTISE: u32 = 0xffff_ff02;
/// NO_EXPORT_SUBCONFED (RFC 1997): there are no confederations here, so the same as NO_EXPORT.
pub const NO_EXPORT_SUBCONFED: u32 = 0xffff_ff03;
/// The communities that mean something by themselves, by the names that configurations use.
pub const WELL_KNOWN_COMMUNITIES: [(&str, u32); 5] = [
    ("graceful-shutdown", GRACEFUL_SHUTDOWN),
    ("llgr-stale", LLGR_STALE),
    ("no-export", NO_EXPORT),
    ("no-advertise", NO_ADVERTISE),
    ("no-export-subconfed", NO_EXPORT_SUBCONFED),
];

/// An attribute that this version does not know, kept for re-advertisement when it is transitive.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnknownAttr {
    /// The flags as received (the partial bit is set on re-advertisement).
    pub flags: u8,
    /// The attribute's type code.
    pub code: u8,
    /// The value, undecoded.
    pub value: Bytes,
}

/// A whole attribute set. Many names or prefixes share one, never both; sets are interned by value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attrs {
    /// ORIGIN.
    pub origin: Origin,
    /// AS_PATH: sequences only (RFC 9774 retires sets), nearest AS first; empty for a route of this AS.
    pub as_path: Vec<u32>,
    /// NEXT_HOP: the advertiser's peer listener for this receiver. Port 0: the advertiser has no data plane for names.
    pub next_hop: SocketAddr,
    /// ORIGIN_NODE.
    pub origin_node: OriginNode,
    /// LOCAL_PREF; only on sessions inside an AS (RFC 4271 section 5.1.5).
    pub local_pref: Option<u32>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// COMMUNITIES (RFC 1997) as `asn << 16 | value`; sorted, no duplicates.
    pub communities: Vec<u32>,
    /// LARGE_COMMUNITIES (RFC 8092); sorted, no duplicates.
    pub large_communities: Vec<LargeCommunity>,
    /// ORIGINATOR (RFC 4456 section 8): the router that brought the route into this AS.
    pub originator: Option<RouterId>,
    /// CLUSTER_LIST (RFC 4456 section 8): clusters passed, nearest first. A cluster is named by one label.
    pub cluster_list: Vec<Arc<str>>,
    /// SERVICE: of service names always, of prefixes never.
    pub service: Option<ServiceAttr>,
    /// ONLY_TO_CUSTOMER (RFC 9234).
    pub only_to_customer: Option<u32>,
    /// TUNNEL: of prefixes only, and only of those that are addresses of the tunnel.
    pub tunnel: Option<Arc<Tunnel>>,
    /// Optional attributes of other code points, in order of code.
    pub unknown: Vec<UnknownAttr>,
}

impl Attrs {
    /// Adds LLGR_STALE. Where the wire has no room for one more community, another gives way: no route is taken for fresh
    /// for having many of them.
    pub(crate) fn mark_stale(&mut self) {
        if let Err(at) = self.communities.binary_search(&LLGR_STALE) {
            self.communities.insert(at, LLGR_STALE);
            if self.communities.len() > MAX_COMMUNITIES {
                self.communities.remove(0);
            }
        }
    }
}

/// The value of LOCAL_PREF where none is given (the field's convention).
pub const DEFAULT_LOCAL_PREF: u32 = 100;

/// Prints a standard community as `asn:value`.
#[must_use]
pub fn format_community(community: u32) -> String {
    format!("{}:{}", community >> 16, community & 0xffff)
}

/// Prints a large community as `global:local1:local2`.
#[must_use]
pub fn format_large_community((global, one, two): LargeCommunity) -> String {
    format!("{global}:{one}:{two}")
}
