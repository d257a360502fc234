//! The sections of the configuration but the plugins: what can be written, with defaults.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use catalyst_core::policy::{NamePattern, Role};
use catalyst_core::route::{Prefix, Protocol};
use catalyst_core::wire::Family;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::aggregates::AggregateSection;
use super::dynamic::DynamicPeers;
use super::either::Many;
use super::limits::MaxRoutes;
use super::plugins::Plugins;
use super::policy::{Item, NamedCommunity, PolicySection, PolicyWord, Sets};
use super::text::{Community, ExactName, Label, Listen, Spelled};
use super::url::EndpointUrl;
use super::wireguard::PeerTunnel;

/// The configuration of one catalyst-routed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// This node and its organisation.
    pub node: Node,
    /// How this node talks to its peers.
    #[serde(default)]
    pub peering: Peering,
    /// The nodes to exchange routes with, by a name of your choice (one label).
    #[serde(default)]
    pub peers: BTreeMap<String, Peer>,
    /// Peers that are not configured one by one, by a name of your choice (one label).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dynamic_peers: BTreeMap<String, DynamicPeers>,
    /// The services that this node offers, by service name (`orders.dc1.acme`, `*.dc1.acme` or `*`).
    #[serde(default)]
    pub services: BTreeMap<String, Service>,
    /// The prefixes that this node originates, by prefix (`10.2.0.0/16`, `2001:db8:7::/48`): networks that are reached through
    /// it. No other organisation may offer one of them, or one within.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub prefixes: BTreeMap<String, OwnPrefix>,
    /// What is taken from peers and announced to them, by a name of your choice (one label). `accept` and `reject` are
    /// built in. docs/policy.md is the guide.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub policies: BTreeMap<String, PolicySection>,
    /// Lists that policies refer to by `@NAME`.
    #[serde(default, skip_serializing_if = "Sets::is_empty")]
    pub sets: Sets,
    /// Names for communities (one label each), to write in their place. `no-export`, `no-export-subconfed`,
    /// `no-advertise`, `graceful-shutdown` and `llgr-stale` are known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub communities: BTreeMap<String, NamedCommunity>,
    /// Wildcards (`*.acme`) that stand for the services below them towards other organisations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub aggregates: BTreeMap<String, AggregateSection>,
    /// The administration socket, for catalystctl.
    #[serde(default)]
    pub admin: Admin,
    /// Metrics for Prometheus (docs/operate.md lists them). `{}` turns them on. Default: off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Metrics>,
    /// The data planes to program.
    #[serde(default)]
    pub plugins: Plugins,
}

/// This node and its organisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// The node's name, unique in its AS: one label.
    pub name: Spelled<Label>,
    /// The number of the autonomous system that the node belongs to.
    #[serde(rename = "as")]
    #[schemars(range(min = 1))]
    pub asn: u32,
    /// The organisation that the node belongs to: one label. Trust goes by organisation.
    pub organisation: Spelled<Label>,
    /// Name suffixes that belong to this organisation. A name below one that nobody offers is answered 404 here, and
    /// no other organisation may offer it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<Spelled<ExactName>>,
    /// The directory for what must survive a restart: port assignments, services added at run time.
    #[serde(default = "default_state_dir")]
    pub state_dir: PathBuf,
    /// Whether this node passes routes from one peer of its AS on to the others (RFC 4456).
    #[serde(default)]
    pub reflector: bool,
    /// The cluster of a reflector: one label, shared by reflectors of the same clients. Default: the node's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Spelled<Label>>,
}

fn default_state_dir() -> PathBuf {
    "/var/lib/catalyst".into()
}

/// How this node talks to its peers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Peering {
    /// Where peers reach this node.
    pub listen: Spelled<SocketAddr>,
    /// How long a silent peer is believed. The shorter offer of both sides counts; `0s` turns the timer off, else 300ms to
    /// 86400s.
    pub hold_time: Spelled<Duration>,
    /// How long a peer may take nothing of what it is sent before the session is given up (RFC 9687); `0s` turns the timer
    /// off, else 1s to 86400s. Default: `8m`, or twice the hold time in use if that is longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_hold_time: Option<Spelled<Duration>>,
    /// How long a name that its origin or peer has withdrawn, with no alternative, stays in the data planes. A lost session,
    /// a peer that says goodbye and a dead next hop take it out at once.
    pub drain: Spelled<Duration>,
    /// How long the start waits for the tables of all peers before it removes what the data planes have left over.
    pub startup_wait: Spelled<Duration>,
    /// Allows sessions off loopback although they are neither encrypted nor authenticated.
    pub insecure: bool,
    /// The next hop to announce when the envoy plugin is off. Default: the address of the session, without a data
    /// plane behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop: Option<Spelled<SocketAddr>>,
}

impl Default for Peering {
    fn default() -> Self {
        Self {
            listen: Spelled(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1790)),
            hold_time: Spelled(Duration::from_secs(90)),
            send_hold_time: None,
            drain: Spelled(Duration::from_secs(2)),
            startup_wait: Spelled(Duration::from_secs(10)),
            insecure: false,
            next_hop: None,
        }
    }
}

/// A node to exchange routes with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Where it listens. Its IP identifies its incoming connections.
    pub address: Spelled<SocketAddr>,
    /// Its AS. The session is internal when it is ours.
    #[serde(rename = "as")]
    #[schemars(range(min = 1))]
    pub asn: u32,
    /// Its organisation: one label. A peer of another organisation is outside. Default: ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<Spelled<Label>>,
    /// Its node name, to pin it. Default: whatever it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Spelled<Label>>,
    /// The local address to dial from. Default: as the kernel chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Spelled<IpAddr>>,
    /// How many links it is away at most: 1 for a neighbour on the same network. What has come further is dropped by the
    /// kernel (TTL security, RFC 5082), and what we send leaves with a TTL of 255; the other side has to do the same.
    /// Default: any distance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 254))]
    pub ttl_security: Option<u8>,
    /// Never dial it, only accept.
    #[serde(default)]
    pub passive: bool,
    /// The kinds of routes to exchange with it, as far as it offers them too: service names, IPv4 and IPv6 prefixes.
    #[serde(default = "all_families")]
    #[schemars(length(min = 1, max = 3))]
    pub families: Vec<Spelled<Family>>,
    /// On a reflector: whether this peer of our AS is a client (RFC 4456).
    #[serde(default = "yes")]
    pub client: bool,
    /// Whether routes passed on to it carry our next hop. Always on towards outside.
    #[serde(default = "yes")]
    pub next_hop_self: bool,
    /// Graceful restart (RFC 4724): routes outlive the session for a while, so that a restart of either side's daemon
    /// moves no traffic. Only where the peer is configured with it, too. `{}` turns it on. Default: off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graceful_restart: Option<GracefulRestart>,
    /// For a peer of another AS: our role towards it (RFC 9234): `customer` if it gives us transit, `provider` if we give
    /// it transit, `peer` if each offers its own and its customers'. It is claimed in OPEN, and the role that the peer
    /// claims must fit, or the session is refused. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Spelled<Role>>,
    /// Whether a peer that claims no role is refused; needs `role`.
    #[serde(default)]
    pub strict_role: bool,
    /// For an outside peer: further addresses that it may name as next hop, beside its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_next_hops: Vec<Spelled<IpAddr>>,
    /// The only names that it may offer, whatever the import policy says. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_names: Option<Many<Spelled<Item<NamePattern>>>>,
    /// For an outside peer: the prefixes that it may offer, those within them included. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_prefixes: Vec<Spelled<Prefix>>,
    /// For an outside peer: the WireGuard tunnel to it, which its routes lead through. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<PeerTunnel>,
    /// How many routes it may bring: all that are kept, those that the import policy rejects included. Default: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_routes: Option<MaxRoutes>,
    /// How many routes it may announce or withdraw per second, on average; what comes faster waits in its connection, and
    /// nothing is lost. Its first table counts, too. Default: as fast as they come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_update_rate: Option<u32>,
    /// The longest frame in bytes, of it and to it: a longer one that it sends ends the session. Both sides should have the
    /// same. Default: 65536, the protocol's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 40960, max = 65536))]
    pub max_frame: Option<u32>,
    /// What is taken from it: a policy, or `accept`, or `reject`. Default: everything inside our organisation, nothing
    /// from outside (RFC 8212).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import: Option<Spelled<PolicyWord>>,
    /// What is announced to it: a policy, or `accept`, or `reject`. Default: everything inside our organisation,
    /// nothing towards outside (RFC 8212).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export: Option<Spelled<PolicyWord>>,
    /// Allows this session off loopback although it is neither encrypted nor authenticated. Default:
    /// `peering.insecure`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure: Option<bool>,
}

/// Graceful restart with one peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GracefulRestart {
    /// How long the peer is asked to keep our routes while this node is away: 1s to 3600s.
    pub restart_time: Spelled<Duration>,
    /// The longest that its routes are kept: while it is away, whatever it asks for, and again from its return until it
    /// has sent its whole table. 1s to 3600s.
    pub stale_time: Spelled<Duration>,
}

impl Default for GracefulRestart {
    fn default() -> Self {
        Self {
            restart_time: Spelled(Duration::from_secs(120)),
            stale_time: Spelled(Duration::from_secs(360)),
        }
    }
}

pub(super) fn yes() -> bool {
    true
}

pub(super) fn all_families() -> Vec<Spelled<Family>> {
    Family::ALL.map(Spelled).to_vec()
}

/// A prefix that this node originates.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OwnPrefix {
    /// Communities to announce it with: standard (`65001:100`), large (`65001:1:2`), or by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub communities: Vec<Spelled<Community>>,
    /// MULTI_EXIT_DISC to announce it with; lower is better between routes from one AS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub med: Option<u32>,
}

/// A service that this node offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// What it speaks.
    pub protocol: Spelled<Protocol>,
    /// The HTTP path of a GraphQL endpoint (`http:graphql` only). Default: `/graphql`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/graphql")]
    pub path: Option<String>,
    /// Where it answers: at least one.
    #[schemars(length(min = 1, max = 1000))]
    pub endpoints: Vec<Endpoint>,
    /// Its share of the traffic where several nodes offer the name with equally good routes. 0 takes none while
    /// another has weight.
    #[serde(default = "default_weight")]
    pub weight: u16,
    /// Communities to announce it with: standard (`65001:100`), large (`65001:1:2`), or by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub communities: Vec<Spelled<Community>>,
    /// MULTI_EXIT_DISC to announce it with; lower is better between routes from one AS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub med: Option<u32>,
}

fn default_weight() -> u16 {
    100
}

/// Where a service answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// `http://HOST:PORT`, or `tcp://HOST:PORT` for a service of protocol tcp. The host is an IP address or a DNS name.
    pub url: Spelled<EndpointUrl>,
    /// Its share of the service's traffic at this node.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 65535))]
    pub weight: u32,
}

fn one() -> u32 {
    1
}

/// The administration socket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Where catalystctl reaches this daemon: a Unix socket (made with mode 0600) or a loopback address.
    pub listen: Spelled<Listen>,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: Spelled(Listen::Unix("/run/catalyst/routed.sock".into())),
        }
    }
}

/// Metrics for Prometheus.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// Where `GET /metrics` is answered, by HTTP without authentication: a Unix socket (made with mode 0600) or an address.
    /// Off loopback, whoever reaches it is told the names and addresses of all peers, organisations and tunnels, and how
    /// much they exchange: only on a network that you trust with that.
    pub listen: Spelled<Listen>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            listen: Spelled(Listen::Tcp(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 9179))),
        }
    }
}
