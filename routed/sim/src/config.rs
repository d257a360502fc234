//! Configurations, short to write.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use catalyst_core::attrs::{OriginNode, Protocol, RouterId, Tunnel};
use catalyst_core::event::{GracefulRestartConfig, LocalPrefix, LocalService, PeerConfig, PlaneConfig, SpeakerConfig};
use catalyst_core::name::ServiceName;
use catalyst_core::policy::Policy;
use catalyst_core::prefix::{Prefix, PrefixSet};
use catalyst_core::route::{Destination, Endpoint};
use catalyst_core::wire::Families;

/// The port of every peer listener.
pub const PEER_PORT: u16 = 10000;

/// The address of node `index`: its sessions come from there.
#[must_use]
pub fn address(index: usize) -> IpAddr {
    let [high, low] = u16::try_from(index + 1).unwrap().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 9, high, low))
}

/// The name of node `index`, also as a peer of others.
#[must_use]
pub fn node_name(index: usize) -> String {
    format!("n{index:03}")
}

/// A service name.
#[must_use]
pub fn name(text: &str) -> ServiceName {
    ServiceName::parse(text).unwrap()
}

/// The node with this address.
#[must_use]
pub fn index_of(ip: IpAddr) -> Option<usize> {
    match ip.to_canonical() {
        IpAddr::V4(ip) => match ip.octets() {
            [127, 9, high, low] => usize::from(u16::from_be_bytes([high, low])).checked_sub(1),
            _ => None,
        },
        IpAddr::V6(_) => None,
    }
}

/// A name or a prefix.
#[must_use]
pub fn destination(text: &str) -> Destination {
    text.parse().unwrap()
}

/// Who a node is.
#[derive(Debug, Clone)]
pub struct Who {
    /// Its AS.
    pub asn: u32,
    /// Its organisation.
    pub organisation: Arc<str>,
}

impl Who {
    /// A node of this AS and organisation.
    #[must_use]
    pub fn new(asn: u32, organisation: &str) -> Self {
        Self {
            asn,
            organisation: organisation.into(),
        }
    }
}

/// Node `index` without peers. Hold time 0: nothing moves at rest.
#[must_use]
pub fn speaker(index: usize, who: &Who) -> SpeakerConfig {
    let node: Arc<str> = node_name(index).into();
    SpeakerConfig {
        identity: OriginNode {
            router_id: RouterId {
                asn: who.asn,
                node: node.clone(),
            },
            organisation: who.organisation.clone(),
        },
        domains: Vec::new(),
        aggregates: Vec::new(),
        internal_communities: Vec::new(),
        reflector: false,
        cluster: node,
        hold_time: Duration::ZERO,
        send_hold_time: None,
        drain: Duration::from_secs(2),
        startup_wait: Duration::from_secs(10),
        ack_wait: Duration::from_secs(1),
        planes: Vec::new(),
        peers: Vec::new(),
        dynamic_peers: Vec::new(),
    }
}

/// Node `index` as a peer.
#[must_use]
pub fn peer(index: usize, who: &Who) -> PeerConfig {
    PeerConfig {
        name: node_name(index).into(),
        dynamic: None,
        address: SocketAddr::new(address(index), 1790),
        asn: who.asn,
        node: None,
        organisation: who.organisation.clone(),
        passive: false,
        families: Families::ALL,
        client: true,
        next_hop_self: true,
        next_hop: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), PEER_PORT),
        max_routes: None,
        max_update_rate: None,
        max_frame: None,
        graceful_restart: None,
        role: None,
        strict_role: false,
        allowed_next_hops: Vec::new(),
        allowed_prefixes: PrefixSet::default(),
        import: Some(Arc::new(Policy::accept())),
        export: Some(Arc::new(Policy::accept())),
        allowed_names: None,
        tunnel: None,
    }
}

/// The same nodes, with graceful restart on every session.
#[must_use]
pub fn graceful(mut configs: Vec<SpeakerConfig>, restart_time: Duration) -> Vec<SpeakerConfig> {
    for peer in configs.iter_mut().flat_map(|config| &mut config.peers) {
        peer.graceful_restart = Some(GracefulRestartConfig {
            restart_time,
            stale_time: 3 * restart_time,
        });
    }
    configs
}

/// A data plane for every family and protocol.
#[must_use]
pub fn plane(name: &str, gates: bool) -> PlaneConfig {
    let protocols = vec![Protocol::Tcp, Protocol::Http, Protocol::HttpGraphql, Protocol::HttpGrpc];
    PlaneConfig {
        name: name.into(),
        gates,
        families: Families::ALL,
        protocols,
    }
}

/// A plain http service.
#[must_use]
pub fn service(text: &str) -> LocalService {
    LocalService {
        name: name(text),
        protocol: Protocol::Http,
        path: None,
        weight: 1,
        endpoints: vec![Endpoint {
            host: "127.0.0.1".into(),
            port: 4001,
            weight: 1,
        }],
        communities: Vec::new(),
        large_communities: Vec::new(),
        med: None,
    }
}

/// A prefix that is offered.
#[must_use]
pub fn local_prefix(prefix: Prefix) -> LocalPrefix {
    LocalPrefix {
        prefix,
        communities: Vec::new(),
        large_communities: Vec::new(),
        med: None,
    }
}

/// The addresses of node `index` in its tunnels: also among, within and above what prefixes of these networks are.
#[must_use]
pub fn tunnel_addresses(index: usize) -> Vec<Prefix> {
    let (high, low) = (index % 6, index % 3);
    let v4 = if index < 6 {
        format!("192.0.2.{index}/32")
    } else {
        format!("10.{high}.{low}.{index}/32")
    };
    [v4, format!("2001:db8:{high}::{index}/128")]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect()
}

/// The end of node `index` of its tunnels.
#[must_use]
pub fn tunnel(index: usize, serial: u64) -> Tunnel {
    Tunnel {
        public_key: [7; 32],
        endpoint: Some(SocketAddr::new(address(index), 51_820)),
        addresses: tunnel_addresses(index),
        mtu: 1420,
        serial,
    }
}

/// Configurations of nodes that are joined by edges.
#[must_use]
pub fn network(nodes: &[Who], edges: &[(usize, usize)]) -> Vec<SpeakerConfig> {
    let mut configs: Vec<SpeakerConfig> = nodes
        .iter()
        .enumerate()
        .map(|(index, who)| speaker(index, who))
        .collect();
    for &(one, other) in edges {
        configs[one].peers.push(peer(other, &nodes[other]));
        configs[other].peers.push(peer(one, &nodes[one]));
    }
    for config in &mut configs {
        config.peers.sort_by(|one, other| one.name.cmp(&other.name));
    }
    configs
}

/// An AS and an organisation of its own for each.
#[must_use]
pub fn each_its_own(count: usize) -> Vec<Who> {
    (0..count)
        .map(|index| Who::new(65001 + u32::try_from(index).unwrap(), &format!("org-{index}")))
        .collect()
}

/// One AS, one organisation.
#[must_use]
pub fn one_as(count: usize) -> Vec<Who> {
    vec![Who::new(65000, "acme"); count]
}
