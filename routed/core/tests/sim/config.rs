//! Configurations for tests, short to write.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use catalyst_core::attrs::{OriginNode, Protocol, RouterId};
use catalyst_core::event::{GracefulRestartConfig, LocalPrefix, LocalService, PeerConfig, PlaneConfig, SpeakerConfig};
use catalyst_core::name::ServiceName;
use catalyst_core::policy::Policy;
use catalyst_core::prefix::{Prefix, PrefixSet};
use catalyst_core::route::{Destination, Endpoint};
use catalyst_core::wire::Families;

/// The port of every peer listener.
pub(crate) const PEER_PORT: u16 = 10000;

/// The address of node `index`: its sessions come from there.
pub(crate) fn address(index: usize) -> IpAddr {
    let [high, low] = u16::try_from(index + 1).unwrap().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 9, high, low))
}

pub(crate) fn node_name(index: usize) -> String {
    format!("n{index:03}")
}

pub(crate) fn name(text: &str) -> ServiceName {
    ServiceName::parse(text).unwrap()
}

/// A name or a prefix.
pub(crate) fn destination(text: &str) -> Destination {
    text.parse().unwrap()
}

/// Who a node is.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub(crate) asn: u32,
    pub(crate) organisation: Arc<str>,
}

impl Who {
    pub(crate) fn new(asn: u32, organisation: &str) -> Self {
        Self {
            asn,
            organisation: organisation.into(),
        }
    }
}

/// Node `index` without peers. Hold time 0: nothing moves at rest.
pub(crate) fn speaker(index: usize, who: &Who) -> SpeakerConfig {
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
        drain: Duration::from_secs(2),
        startup_wait: Duration::from_secs(10),
        ack_wait: Duration::from_secs(1),
        planes: Vec::new(),
        peers: Vec::new(),
    }
}

/// Node `index` as a peer.
pub(crate) fn peer(index: usize, who: &Who) -> PeerConfig {
    PeerConfig {
        name: node_name(index).into(),
        address: SocketAddr::new(address(index), 1790),
        asn: who.asn,
        node: None,
        organisation: who.organisation.clone(),
        passive: false,
        families: Families::ALL,
        client: true,
        next_hop_self: true,
        next_hop: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), PEER_PORT),
        graceful_restart: None,
        role: None,
        strict_role: false,
        allowed_next_hops: Vec::new(),
        allowed_prefixes: PrefixSet::default(),
        import: Some(Arc::new(Policy::accept())),
        export: Some(Arc::new(Policy::accept())),
        allowed_names: None,
    }
}

/// The same nodes, with graceful restart on every session.
pub(crate) fn graceful(mut configs: Vec<SpeakerConfig>, restart_time: Duration) -> Vec<SpeakerConfig> {
    for peer in configs.iter_mut().flat_map(|config| &mut config.peers) {
        peer.graceful_restart = Some(GracefulRestartConfig {
            restart_time,
            stale_time: 3 * restart_time,
        });
    }
    configs
}

pub(crate) fn plane(name: &str, gates: bool) -> PlaneConfig {
    let protocols = vec![Protocol::Tcp, Protocol::Http, Protocol::HttpGraphql, Protocol::HttpGrpc];
    PlaneConfig {
        name: name.into(),
        gates,
        families: Families::ALL,
        protocols,
    }
}

pub(crate) fn service(text: &str) -> LocalService {
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

pub(crate) fn local_prefix(prefix: Prefix) -> LocalPrefix {
    LocalPrefix {
        prefix,
        communities: Vec::new(),
        large_communities: Vec::new(),
        med: None,
    }
}

/// Configurations of nodes that are joined by edges.
pub(crate) fn network(nodes: &[Who], edges: &[(usize, usize)]) -> Vec<SpeakerConfig> {
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
pub(crate) fn each_its_own(count: usize) -> Vec<Who> {
    (0..count)
        .map(|index| Who::new(65001 + u32::try_from(index).unwrap(), &format!("org-{index}")))
        .collect()
}

/// One AS, one organisation.
pub(crate) fn one_as(count: usize) -> Vec<Who> {
    vec![Who::new(65000, "acme"); count]
}
