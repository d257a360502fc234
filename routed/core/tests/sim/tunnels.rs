//! Tunnels between organisations: what a peer says of its end, what it is told of ours, who may offer an address of one,
//! and what is behind a tunnel that is dead.

mod addresses;
mod behind;
mod believed;
mod told;

use std::sync::Arc;

use bytes::BytesMut;
use catalyst_core::attrs::{Attrs, Origin, OriginNode, RouterId, Tunnel};
use catalyst_core::event::{Event, PeerConfig, PeerTunnel, SpeakerConfig};
use catalyst_core::prefix::{Prefix, PrefixSet};
use catalyst_core::route::{PrefixRoute, Selected};
use catalyst_core::wire::{self, Nlri};

use super::config::{address, destination, each_its_own, network, plane};
use super::net::Net;

/// The addresses of node 0 in its tunnel to node 1, and of node 1 in it.
const OF_0: [&str; 2] = ["10.9.0.1/32", "2001:db8:9::1/128"];
const OF_1: [&str; 2] = ["10.9.0.2/32", "2001:db8:9::2/128"];

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn prefixes(texts: &[&str]) -> PrefixSet {
    texts.iter().map(|text| prefix(text)).collect()
}

fn tunnel(addresses: &[&str], serial: u64) -> Tunnel {
    Tunnel {
        public_key: [7; 32],
        endpoint: Some("192.0.2.1:51820".parse().unwrap()),
        addresses: addresses.iter().map(|text| prefix(text)).collect(),
        mtu: 1420,
        serial,
    }
}

fn peer_tunnel(theirs: &[&str], own: &[&str]) -> PeerTunnel {
    PeerTunnel {
        addresses: prefixes(theirs),
        required: false,
        own: (!own.is_empty()).then(|| Arc::new(tunnel(own, 1))),
    }
}

fn tunnel_of(peer: &mut PeerConfig) -> &mut PeerTunnel {
    peer.tunnel.as_mut().unwrap()
}

/// 0 - 1 - 2, an organisation each, with a tunnel between 0 and 1 of which each tells the other; 1 has a data plane.
fn line() -> Vec<SpeakerConfig> {
    let mut configs = network(&each_its_own(3), &[(0, 1), (1, 2)]);
    for peer in configs.iter_mut().flat_map(|config| &mut config.peers) {
        peer.allowed_prefixes = prefixes(&["10.0.0.0/8", "2001:db8::/32"]);
    }
    configs[0].peers[0].tunnel = Some(peer_tunnel(&OF_1, &OF_0));
    configs[1].peers[0].tunnel = Some(peer_tunnel(&OF_0, &OF_1));
    configs[1].planes = vec![plane("wireguard", false)];
    configs
}

/// As [`line`], and node 0 says nothing of its own accord.
fn listening() -> Net {
    let mut configs = line();
    configs[0].peers[0].tunnel = None;
    Net::up(configs, 1)
}

fn attrs_of_0(tunnel: Option<Tunnel>) -> Attrs {
    let router_id = RouterId {
        asn: 65001,
        node: "n000".into(),
    };
    Attrs {
        origin: Origin::Igp,
        as_path: vec![65001],
        next_hop: (address(0), 0).into(),
        origin_node: OriginNode {
            router_id,
            organisation: "org-0".into(),
        },
        local_pref: None,
        med: None,
        communities: Vec::new(),
        large_communities: Vec::new(),
        originator: None,
        cluster_list: Vec::new(),
        service: None,
        only_to_customer: None,
        tunnel: tunnel.map(Arc::new),
        unknown: Vec::new(),
    }
}

fn announce<N: Nlri>(net: &mut Net, nlri: N, attrs: &Attrs) {
    let mut frames = BytesMut::new();
    wire::pack_announce(&wire::encode_attrs(attrs), std::iter::once(nlri), &mut frames);
    net.inject(0, 1, &frames);
    net.run_ms(10);
}

fn withdraw(net: &mut Net, text: &str) {
    let mut frames = BytesMut::new();
    wire::pack_withdraw(std::iter::once(prefix(text)), &mut frames);
    net.inject(0, 1, &frames);
    net.run_ms(10);
}

/// What the data planes of node 1 hold of a prefix.
fn installed(net: &Net, text: &str) -> Option<Arc<PrefixRoute>> {
    match net.nodes[1].routes.get(&destination(text)) {
        Some(Selected::Prefix(route)) => Some(route.clone()),
        Some(Selected::Name(_)) | None => None,
    }
}

fn serial(net: &Net, text: &str) -> Option<u64> {
    Some(installed(net, text)?.tunnel.as_ref()?.serial)
}

fn refusal(net: &Net) -> (u64, String) {
    let view = net.peer_view(1, 0);
    assert_eq!((view.state, view.established_count), ("Established", 1));
    (view.treated_as_withdraw, view.treated_as_withdraw_reason)
}

fn tunnel_event(net: &mut Net, text: &str, up: bool) {
    let address = prefix(text).address();
    net.event(1, Event::Tunnel { address, up });
    net.run_ms(10);
}
