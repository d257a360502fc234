//! Tunnels in the model.

use std::net::IpAddr;

use catalyst_core::event::{PeerConfig, SpeakerConfig};
use catalyst_core::prefix::Prefix;
use catalyst_core::route::Destination;

use super::{Path, Table, listener};
use crate::config::address;
use crate::net::Net;

/// What a node tells a neighbour of its end of the tunnel between them.
pub(super) fn told(ours: &SpeakerConfig, node: usize, config: &PeerConfig) -> Table {
    let Some(own) = config.tunnel.as_ref().and_then(|tunnel| tunnel.own.clone()) else {
        return Table::new();
    };
    let internal = config.asn == ours.identity.router_id.asn;
    let path = Path {
        as_path: (!internal).then_some(ours.identity.router_id.asn).into_iter().collect(),
        next_hop: Some(listener(node, config)),
        origin: ours.identity.router_id.clone(),
        organisation: ours.identity.organisation.clone(),
        local_pref: internal.then_some(100),
        med: None,
        communities: Vec::new(),
        originator: None,
        clusters: Vec::new(),
        weight: None,
        tunnel: Some(own.clone()),
        from: None,
    };
    let addresses = own.addresses.iter();
    addresses
        .map(|address| (Destination::from(*address), path.clone()))
        .collect()
}

/// Whether a neighbour may have an address in its tunnel.
pub(super) fn may_have(config: &PeerConfig, name: &Destination) -> bool {
    let prefix = name.prefix().expect("names have no TUNNEL");
    is_in_tunnel(config, prefix.address())
}

fn is_in_tunnel(config: &PeerConfig, ip: IpAddr) -> bool {
    let tunnel = config.tunnel.iter();
    tunnel
        .flat_map(|tunnel| tunnel.addresses.iter())
        .any(|address| address.contains(ip))
}

fn ip(path: &Path) -> IpAddr {
    path.next_hop.expect("it was told").ip()
}

/// Whether a route does not go by the tunnel that has to be used.
pub(super) fn goes_past(config: &PeerConfig, path: &Path) -> bool {
    config.tunnel.as_ref().is_some_and(|tunnel| tunnel.required) && !is_in_tunnel(config, ip(path))
}

/// Whether a neighbour may name the next hop of a route.
pub(super) fn next_hop(config: &PeerConfig, from: usize, outside: bool, path: &Path) -> bool {
    let ip = ip(path);
    !outside || ip == address(from) || is_in_tunnel(config, ip) || config.allowed_next_hops.contains(&ip)
}

/// Whether traffic passes to the next hop of a route.
pub(super) fn is_usable(net: &Net, node: usize, config: &PeerConfig, path: &Path) -> bool {
    let ip = ip(path);
    path.tunnel.is_some() || !is_in_tunnel(config, ip) || net.nodes[node].tunnels_up.contains(&ip)
}

/// Whether a prefix from an outside neighbour concerns a tunnel of the node.
pub(super) fn bar(ours: &SpeakerConfig, config: &PeerConfig, prefix: Prefix) -> bool {
    let tunnels = || ours.peers.iter().filter_map(|peer| peer.tunnel.as_ref());
    let theirs = tunnels().flat_map(|tunnel| tunnel.addresses.iter());
    let own = tunnels()
        .filter_map(|tunnel| tunnel.own.as_ref())
        .flat_map(|own| own.addresses.iter().copied());
    let named = config.allowed_prefixes.iter().any(|allowed| allowed == prefix);
    theirs
        .chain(own)
        .any(|address| address.covers(prefix) || prefix.covers(address) && !named)
}
