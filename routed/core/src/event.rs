//! What goes into the [`Speaker`](crate::speaker::Speaker) and what comes out of it.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::attrs::{LargeCommunity, OriginNode, Tunnel};
use crate::name::ServiceName;
use crate::operate::Operation;
use crate::policy::{CommunityPattern, NamePattern, Policy, Role};
use crate::prefix::{Prefix, PrefixSet};
use crate::route::{Destination, Endpoint, PlaneStatus, Protocol, RouteUpdate};
use crate::wire::Families;

/// The name of a configured peer: its key under `peers` in the configuration.
pub type PeerName = Arc<str>;

/// A transport connection, numbered by the driver, never reused within a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u64);

/// What the Speaker needs to know of this node.
#[derive(Debug, Clone)]
pub struct SpeakerConfig {
    /// This node and its organisation.
    pub identity: OriginNode,
    /// Name suffixes that belong to this organisation (`acme.example`), each installing a discard for `*.suffix`.
    pub domains: Vec<ServiceName>,
    /// What stands for several names towards outside.
    pub aggregates: Vec<Aggregate>,
    /// Communities that mean something inside our organisation only: taken off towards outside.
    pub internal_communities: Vec<CommunityPattern>,
    /// Whether internal peers are reflected to each other (RFC 4456).
    pub reflector: bool,
    /// The cluster that a reflector belongs to; its own node name unless several reflectors share one.
    pub cluster: Arc<str>,
    /// Hold time offered in OPEN; zero or at least 300 ms (docs/protocol.md). Keepalives are sent at a third of it.
    pub hold_time: Duration,
    /// How long a peer may take nothing of what it is sent (RFC 9687); zero: for ever. `None`: 8 minutes, or twice the hold
    /// time in use if that is longer.
    pub send_hold_time: Option<Duration>,
    /// How long a name withdrawn without alternative stays in the data planes.
    pub drain: Duration,
    /// How long the start waits for END-OF-RIB of every configured peer.
    pub startup_wait: Duration,
    /// How long an advertisement waits for the gating data planes (1 s).
    pub ack_wait: Duration,
    /// The data planes in use.
    pub planes: Vec<PlaneConfig>,
    /// The peers, in order of name.
    pub peers: Vec<PeerConfig>,
    /// Peers that are not configured one by one, in order of name.
    pub dynamic_peers: Vec<DynamicPeers>,
}

/// Whoever calls from a prefix and says what is expected becomes a passive peer for as long as its session lasts.
#[derive(Debug, Clone)]
pub struct DynamicPeers {
    /// Its key in the configuration; the peers are called `NAME-IP`.
    pub name: Arc<str>,
    /// Where they call from. Of several prefixes that contain an address the longest counts; a configured peer comes
    /// before all of them.
    pub prefix: Prefix,
    /// The AS numbers that they may have.
    pub asns: Vec<RangeInclusive<u32>>,
    /// At most so many at a time.
    pub max_peers: usize,
    /// What each of them is configured with; name, address, AS and the like are its own.
    pub template: PeerConfig,
}

/// A wildcard that stands for its members towards other organisations. Here it is a discard, as a domain is.
///
/// Members are the acknowledged routes to `http` and `http:grpc` services below it; `http:graphql` and `tcp` services go on
/// by themselves. It exists while it has a member, and while nobody really offers its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregate {
    /// The wildcard.
    pub name: ServiceName,
    /// The peers that it may go to, outside ones only; `None`: every one whose export policy accepts it.
    pub to: Option<Vec<PeerName>>,
    /// Whether its members are not advertised to peers that are told of it. They can be reached there all the same,
    /// where export policy accepts them.
    pub suppress: bool,
    /// Which routes are members.
    pub members: Members,
    /// Whether it exists without members too (a default that a provider gives its customers).
    pub always: bool,
    /// Standard communities.
    pub communities: Vec<u32>,
    /// Large communities.
    pub large_communities: Vec<LargeCommunity>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
}

/// Which routes an aggregate stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Members {
    /// Those of our own organisation: the internal table.
    Own,
    /// Those of both tables. Their AS_PATH is hidden: only for a default towards customers.
    Any,
}

/// A data plane as the Speaker sees it.
#[derive(Debug, Clone)]
pub struct PlaneConfig {
    /// Its name in reports and tables (`envoy`).
    pub name: Arc<str>,
    /// Whether advertisements wait for it (make before break), and nothing is advertised while none of its instances
    /// is connected.
    pub gates: bool,
    /// The families that it serves; a route of another family shows no status for it.
    pub families: Families,
    /// Of names: the protocols that it serves; a route of another protocol shows no status for it.
    pub protocols: Vec<Protocol>,
}

/// One configured peer.
#[derive(Debug, Clone)]
pub struct PeerConfig {
    /// Its key in the configuration.
    pub name: PeerName,
    /// The key under `dynamic_peers` that it is a peer by; such a peer goes with its session.
    pub dynamic: Option<Arc<str>>,
    /// Where it listens; its IP identifies incoming connections.
    pub address: SocketAddr,
    /// Its AS; a session is internal when this is our own.
    pub asn: u32,
    /// Its node name, where the configuration pins it; its OPEN must then say the same.
    pub node: Option<Arc<str>>,
    /// Its organisation; outside when it is not ours. Its OPEN must say the same.
    pub organisation: Arc<str>,
    /// Never dial, only accept.
    pub passive: bool,
    /// The families to offer it; those that it offers too are exchanged.
    pub families: Families,
    /// On a reflector: whether it is a client (RFC 4456). Internal peers only.
    pub client: bool,
    /// Whether routes re-advertised to it carry our own next hop. Always true towards outside.
    pub next_hop_self: bool,
    /// Our peer listener for this receiver. An unspecified IP means the session's local address; port 0 means that
    /// this node has no data plane.
    pub next_hop: SocketAddr,
    /// How many routes it may bring; `None`: any number.
    pub max_routes: Option<MaxRoutes>,
    /// How many routes it may announce or withdraw per second, at least 1; `None`: as fast as they come.
    pub max_update_rate: Option<u32>,
    /// The longest frame in bytes, of it and to it; `None`: the protocol's. Brought within
    /// [`LEAST_MAX_FRAME_BYTES`](crate::wire::LEAST_MAX_FRAME_BYTES) and the protocol's.
    pub max_frame: Option<u32>,
    /// Graceful restart (RFC 4724), used where the peer offers it too.
    pub graceful_restart: Option<GracefulRestartConfig>,
    /// Our role towards it (RFC 9234): claimed in OPEN, and its own must fit. External sessions only.
    pub role: Option<Role>,
    /// Whether it is refused if it claims no role.
    pub strict_role: bool,
    /// Outside peers: further next-hop addresses that they may name.
    pub allowed_next_hops: Vec<IpAddr>,
    /// Outside peers: what it may offer of prefixes, those within an entry included; none by default. Whatever stands
    /// here, our own prefixes, loopback, link-local and multicast are refused from outside.
    pub allowed_prefixes: PrefixSet,
    /// Import policy. `None`: everything is accepted inside the organisation, nothing from outside (RFC 8212).
    pub import: Option<Arc<Policy>>,
    /// Export policy. `None`: everything is accepted inside the organisation, nothing towards outside (RFC 8212).
    pub export: Option<Arc<Policy>>,
    /// Outside peers: the only names that it may offer; `None`: any that policy accepts.
    pub allowed_names: Option<Vec<NamePattern>>,
    /// The tunnel between it and this node; `None`: there is none, and what it says of one is dropped.
    pub tunnel: Option<PeerTunnel>,
}

/// The tunnel between a peer and this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerTunnel {
    /// The addresses that the peer may have in it. No other peer has any of them, and nobody else may offer one.
    pub addresses: PrefixSet,
    /// Whether traffic to the peer goes through it or not at all: what it offers by any other next hop is refused.
    pub required: bool,
    /// Our end, as the peer is told of it; `None`: it is told nothing.
    pub own: Option<Arc<Tunnel>>,
}

/// How many routes a peer may bring. All that are kept count: those that import rejects, and stale ones, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxRoutes {
    /// So many.
    pub limit: u64,
    /// From so many percent of the limit on there is a warning; at most 100.
    pub warn_at_percent: u8,
    /// What is done with more.
    pub action: AtLimit,
}

/// What is done with a peer that brings more routes than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtLimit {
    /// A warning.
    Warn,
    /// What is beyond the limit is read and not kept. Once there is room the peer is asked to send everything again.
    Block,
    /// The session ends (Cease, Maximum Number of Prefixes Reached), with everything that it brought.
    Reset {
        /// It begins anew after so long; `None`: once an operator enables the peer.
        restart_after: Option<Duration>,
    },
}

/// Graceful restart with one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GracefulRestartConfig {
    /// How long the peer is asked to keep our routes while we are away.
    pub restart_time: Duration,
    /// The longest that its routes are kept: while it is away (it may ask for less), and again from its return until
    /// END-OF-RIB.
    pub stale_time: Duration,
}

/// A service of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalService {
    /// Its name; may be a wildcard.
    pub name: ServiceName,
    /// What it speaks.
    pub protocol: Protocol,
    /// The HTTP path of the GraphQL endpoint.
    pub path: Option<Arc<str>>,
    /// Relative share under multipath.
    pub weight: u16,
    /// Where it answers.
    pub endpoints: Vec<Endpoint>,
    /// Standard communities, sorted.
    pub communities: Vec<u32>,
    /// Large communities, sorted.
    pub large_communities: Vec<LargeCommunity>,
    /// MULTI_EXIT_DISC to announce.
    pub med: Option<u32>,
}

/// A prefix that this node originates: routed here by means of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPrefix {
    /// The prefix.
    pub prefix: Prefix,
    /// Standard communities, sorted.
    pub communities: Vec<u32>,
    /// Large communities, sorted.
    pub large_communities: Vec<LargeCommunity>,
    /// MULTI_EXIT_DISC to announce.
    pub med: Option<u32>,
}

/// What this node offers: a service, or a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalRoute {
    /// A service.
    Service(LocalService),
    /// A prefix.
    Prefix(LocalPrefix),
}

impl From<LocalRoute> for Event {
    /// It is offered from now on.
    fn from(route: LocalRoute) -> Self {
        match route {
            LocalRoute::Service(service) => Self::ServiceAdd(service),
            LocalRoute::Prefix(prefix) => Self::PrefixAdd(prefix),
        }
    }
}

impl LocalRoute {
    /// What it leads to.
    #[must_use]
    pub fn destination(&self) -> Destination {
        match self {
            Self::Service(service) => service.name.clone().into(),
            Self::Prefix(prefix) => prefix.prefix.into(),
        }
    }
}

/// Outside organisations whose peer listener is closed, each with the reason.
pub type ClosedListeners = Vec<(Arc<str>, Arc<str>)>;

/// Everything that can happen to a Speaker.
#[derive(Debug, Clone)]
pub enum Event {
    /// The dialled connection of [`Effect::Connect`] stands (RFC 4271: Tcp_CR_Acked).
    Connected {
        /// The peer that was dialled.
        peer: PeerName,
        /// The new connection.
        conn: ConnId,
        /// Our address on it.
        local: SocketAddr,
        /// Its address.
        remote: SocketAddr,
    },
    /// Dialling failed (TcpConnectionFails).
    ConnectFailed {
        /// The peer that was dialled.
        peer: PeerName,
        /// Why, for `show peer`.
        error: Arc<str>,
    },
    /// A connection came in on the listener (TcpConnectionConfirmed). The Speaker finds the peer by the remote IP.
    Accepted {
        /// The new connection.
        conn: ConnId,
        /// Our address on it.
        local: SocketAddr,
        /// Its address.
        remote: SocketAddr,
    },
    /// A whole frame arrived: its type byte and body (without the length).
    Frame {
        /// The connection.
        conn: ConnId,
        /// The message type.
        kind: u8,
        /// The body.
        body: Bytes,
    },
    /// The framing of the connection is broken beyond reading (the length is out of bounds).
    BadFrame {
        /// The connection.
        conn: ConnId,
        /// The length that the frame claimed, in bytes.
        length: u32,
    },
    /// The connection is gone (TcpConnectionFails). Also follows [`Effect::Close`] and is then ignored.
    Closed {
        /// The connection.
        conn: ConnId,
        /// Why, for `show peer`.
        reason: Arc<str>,
    },
    /// Bytes of earlier [`Effect::Send`]s have reached the socket: the send window opens.
    Sent {
        /// The connection.
        conn: ConnId,
        /// How many.
        bytes: usize,
    },
    /// The hold timer of a connection has expired (see [`Speaker::silent`](crate::speaker::Speaker::silent)), but what its
    /// peer has sent is still to be handed in: it is this side that is slow. Comes before [`Event::Timeout`].
    Heard {
        /// The connection.
        conn: ConnId,
    },
    /// A deadline of [`Speaker::poll_timeout`](crate::speaker::Speaker::poll_timeout) has passed.
    Timeout,
    /// A service is offered (adding an existing name replaces it).
    ServiceAdd(LocalService),
    /// A service is offered no longer.
    ServiceRemove(ServiceName),
    /// A prefix is originated (adding an existing one replaces it). From outside it is refused from now on, and so is
    /// every prefix within it.
    PrefixAdd(LocalPrefix),
    /// A prefix is originated no longer.
    PrefixRemove(Prefix),
    /// At least one instance of a data plane is connected.
    PlaneUp(Arc<str>),
    /// No instance of a data plane is connected.
    PlaneDown(Arc<str>),
    /// A data plane's progress.
    PlaneReport(PlaneReport),
    /// A data plane found a next hop usable or not.
    NextHop {
        /// The peer listener.
        address: SocketAddr,
        /// Whether traffic may be sent there.
        usable: bool,
    },
    /// A data plane found the tunnel to an address of a peer alive or dead; dead until it says so.
    Tunnel {
        /// The peer's address in the tunnel.
        address: IpAddr,
        /// Whether traffic passes.
        up: bool,
    },
    /// A peer is configured; of an existing one, the difference is applied. Its session is set up anew only where it
    /// says what no longer holds: another address, AS, organisation or node (NOTIFICATION Cease, other configuration
    /// change).
    PeerAdd(Box<PeerConfig>),
    /// A peer is configured no longer (NOTIFICATION Cease, peer de-configured).
    PeerRemove(PeerName),
    /// The configuration has changed: the difference is applied, to peers as by the events above. `identity` and
    /// `planes` cannot change while the node runs and are ignored.
    Reconfigure(Box<SpeakerConfig>),
    /// An operator's act on a session.
    Operate(Operation),
    /// A data plane cannot open the peer listeners of these outside organisations, in these words; all others are open, also
    /// before it says so for the first time. Peers of such an organisation are told of no names.
    Listeners {
        /// The data plane.
        plane: Arc<str>,
        /// The organisations, each with the reason.
        closed: ClosedListeners,
    },
    /// SIGTERM: this node stops and is likely to come back. Peers with graceful restart keep its routes, the others are
    /// told goodbye (NOTIFICATION Cease, administrative shutdown). The data planes are left as they are.
    Leave,
    /// This node stops for good: a hard reset to every peer, with a line for people. The data planes are left as they are.
    Shutdown(Arc<str>),
}

/// A data plane's progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaneReport {
    /// Its name.
    pub plane: Arc<str>,
    /// Every change up to this version is settled: programmed, save for what `statuses` has said of a name since the
    /// name last changed.
    pub version: u64,
    /// What changed for single names and prefixes, the latest word counting. It speaks of one as it was at `version`: of
    /// one that has changed since, it says nothing.
    pub statuses: Vec<(Destination, PlaneStatus)>,
}

/// What the driver is to do.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Dial a peer; answer with [`Event::Connected`] or [`Event::ConnectFailed`].
    Connect {
        /// The peer.
        peer: PeerName,
    },
    /// Send whole frames (length prefixes included) in order.
    Send {
        /// The connection.
        conn: ConnId,
        /// The bytes.
        bytes: Bytes,
    },
    /// Flush what was sent, then close.
    Close {
        /// The connection.
        conn: ConnId,
    },
    /// The selected table moved.
    Routes(RouteUpdate),
    /// A session reached Established.
    SessionUp {
        /// The peer.
        peer: PeerName,
    },
    /// A session left Established, or an attempt was refused by a NOTIFICATION of either side.
    SessionDown {
        /// The peer.
        peer: PeerName,
        /// Whether it had been Established; otherwise an attempt was refused.
        was_up: bool,
        /// Why, in one line, beginning with who said so: "peer said: ..", "told the peer: ..".
        reason: Arc<str>,
        /// Its routes are kept for so long, for it to come back (RFC 4724).
        routes_kept: Option<Duration>,
    },
    /// Read nothing more from a connection before this instant; the latest word counts. What was read already is still
    /// handed in.
    Pause {
        /// The connection.
        conn: ConnId,
        /// An instant that has passed: read on.
        until: Instant,
    },
    /// Something about a peer that its operator may want to know.
    Notice {
        /// The peer.
        peer: PeerName,
        /// What, in one line.
        text: Arc<str>,
    },
    /// Something about a peer that its operator should look at.
    Warning {
        /// The peer.
        peer: PeerName,
        /// What, in one line.
        text: Arc<str>,
    },
    /// A connection from an address that is no configured peer was refused.
    Refused {
        /// Where it came from.
        remote: SocketAddr,
        /// Why, in one line.
        reason: Arc<str>,
    },
}
