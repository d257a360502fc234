//! Tunnels between organisations: what a peer says of its end, what it is told of ours, who may offer an address of one,
//! and what is behind a tunnel that is dead.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use catalyst_core::attrs::{Attrs, Origin, OriginNode, RouterId, Tunnel};
use catalyst_core::event::{Event, PeerConfig, PeerTunnel, SpeakerConfig};
use catalyst_core::policy::Policy;
use catalyst_core::prefix::{Prefix, PrefixSet};
use catalyst_core::route::{PrefixRoute, Selected, Target};
use catalyst_core::speaker::Preview;
use catalyst_core::wire::{self, Families, Nlri};

use super::config::{
    PEER_PORT, Who, address, destination, each_its_own, graceful, local_prefix, network, one_as, plane,
};
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

#[test]
fn each_end_is_told_to_the_other_and_to_nobody_else() {
    let mut configs = line();
    // Nothing is asked but the tunnel's own configuration.
    for (node, peer) in [(0, 0), (1, 0)] {
        let peer = &mut configs[node].peers[peer];
        (peer.import, peer.export, peer.allowed_prefixes) = (None, None, PrefixSet::default());
    }
    let mut net = Net::up(configs, 1);
    assert_eq!(
        (net.advertised(0, 1), net.advertised(1, 0)),
        (OF_0.map(String::from).into(), OF_1.map(String::from).into())
    );
    assert!(net.advertised(1, 2).is_empty() && net.paths(2, OF_0[0]).is_empty());
    for text in OF_0 {
        let route = installed(&net, text).unwrap();
        assert_eq!(route.tunnel.as_deref(), Some(&tunnel(&OF_0, 1)));
        assert!(matches!(&route.target, Target::Remote(hops) if hops[0].address.ip() == address(0)));
        assert!(route.exported_to.is_empty());
        let why = net.nodes[1].speaker.why(&destination(text), net.now).unwrap();
        assert_eq!(
            why.peers[1].reason.to_string(),
            "the address of a tunnel: nobody is told but the peer at its other end"
        );
    }
    let told = net.nodes[1].speaker.advertised("n000", None, 9).remove(0).1;
    assert_eq!(
        (&told.as_path[..], told.next_hop),
        (&[65002][..], (address(1), PEER_PORT).into())
    );
    let why = net.nodes[1].speaker.why(&destination(OF_1[0]), net.now).unwrap();
    let reasons: Vec<_> = why.peers.iter().map(|peer| peer.reason.to_string()).collect();
    assert_eq!(
        reasons,
        [
            "advertised",
            "the address of a tunnel: nobody is told but the peer at its other end"
        ]
    );
    // A new session is told again.
    net.crash(0);
    net.run_ms(10);
    assert!(installed(&net, OF_0[0]).is_none());
    net.start_node(0);
    net.rest();
    assert_eq!((net.advertised(1, 0).len(), serial(&net, OF_0[1])), (2, Some(1)));
}

#[test]
fn a_session_is_told_of_the_families_that_it_has() {
    let mut configs = line();
    configs[0].peers[0].families = Families::NAMES;
    let net = Net::up(configs, 1);
    assert!(net.advertised(1, 0).is_empty() && net.advertised(0, 1).is_empty());
    let why = net.nodes[1].speaker.why(&destination(OF_1[0]), net.now).unwrap();
    assert_eq!(
        why.peers[0].reason.to_string(),
        "the session has not agreed on this family"
    );
}

#[test]
fn no_gate_holds_our_end_back() {
    let mut configs = line();
    configs[0].planes = vec![plane("envoy", true)];
    let net = Net::up(configs, 1);
    assert_eq!(net.advertised(0, 1), OF_0);
}

#[test]
fn rotation_is_told_without_a_reset_and_so_is_the_end() {
    let mut net = Net::up(line(), 1);
    let frames = net.frames.clone();
    net.reconfigure(0, |config| {
        let own = Tunnel {
            public_key: [9; 32],
            ..tunnel(&OF_0, 2)
        };
        tunnel_of(&mut config.peers[0]).own = Some(own.into());
    });
    net.run_ms(10);
    let route = installed(&net, OF_0[0]).unwrap();
    assert_eq!(route.tunnel.as_ref().unwrap().public_key, [9; 32]);
    let sent = net.frames[&(0, wire::kind::UPDATE)] - frames[&(0, wire::kind::UPDATE)];
    assert_eq!(
        (sent, net.peer_view(0, 1).established_count),
        (2, 1),
        "one UPDATE of each family"
    );

    // Another address, then none, by the event of one peer.
    let mut peer = net.nodes[0].config.peers[0].clone();
    tunnel_of(&mut peer).own = Some(tunnel(&OF_0[..1], 3).into());
    net.event(0, Event::PeerAdd(Box::new(peer.clone())));
    net.run_ms(10);
    assert_eq!(net.advertised(0, 1), [OF_0[0]]);
    tunnel_of(&mut peer).own = None;
    net.event(0, Event::PeerAdd(Box::new(peer.clone())));
    net.run_ms(10);
    assert!(net.advertised(0, 1).is_empty());
    net.run(Duration::from_secs(3));
    assert!(installed(&net, OF_0[0]).is_none() && net.paths(1, OF_0[0]).is_empty());
    tunnel_of(&mut peer).own = Some(tunnel(&OF_0, 4).into());
    net.event(0, Event::PeerAdd(Box::new(peer)));
    net.run_ms(10);
    assert_eq!(
        (serial(&net, OF_0[1]), net.peer_view(0, 1).established_count),
        (Some(4), 1)
    );
    net.event(0, Event::PeerRemove("n001".into()));
    net.run_ms(10);
    assert!(installed(&net, OF_0[1]).is_none());
}

#[test]
fn what_is_said_of_somebody_else_is_not_believed() {
    let mut net = listening();
    announce(&mut net, prefix(OF_0[0]), &attrs_of_0(Some(tunnel(&OF_0, 5))));
    assert_eq!(
        serial(&net, OF_0[0]),
        Some(5),
        "which shows that the others are refused for their reason"
    );
    let mut relayed = attrs_of_0(Some(tunnel(&OF_0, 6)));
    relayed.origin_node.router_id.node = "other".into();
    announce(&mut net, prefix(OF_0[0]), &relayed);
    let reason = "TUNNEL of 65001/other is believed from that node itself only";
    assert_eq!(refusal(&net), (1, reason.to_owned()));
    assert!(net.paths(1, OF_0[0])[0].draining);
    let mut passed = attrs_of_0(Some(tunnel(&OF_0, 6)));
    passed.as_path.push(65009);
    announce(&mut net, prefix(OF_0[0]), &passed);
    let reason = "TUNNEL of 65001/n000 is believed from that node itself only";
    assert_eq!(refusal(&net), (2, reason.to_owned()));
    let mut prepended = attrs_of_0(Some(tunnel(&OF_0, 6)));
    prepended.as_path.push(65001);
    announce(&mut net, prefix(OF_0[0]), &prepended);
    assert_eq!(refusal(&net).0, 3);
}

#[test]
fn a_reflector_is_not_believed_what_its_client_says() {
    let mut configs = network(&one_as(2), &[(0, 1)]);
    configs[1].peers[0].tunnel = Some(peer_tunnel(&OF_0, &[]));
    configs[1].planes = vec![plane("wireguard", false)];
    let mut net = Net::up(configs, 1);
    let mut inside = attrs_of_0(Some(tunnel(&OF_0, 5)));
    (inside.as_path, inside.origin_node.organisation) = (Vec::new(), "acme".into());
    inside.origin_node.router_id.asn = 65000;
    announce(&mut net, prefix(OF_0[0]), &inside);
    assert_eq!(serial(&net, OF_0[0]), Some(5), "an internal peer has a tunnel too");
    let mut reflected = inside.clone();
    reflected.origin_node.router_id.node = "client".into();
    (reflected.originator, reflected.cluster_list) =
        (Some(reflected.origin_node.router_id.clone()), vec!["n000".into()]);
    announce(&mut net, prefix(OF_0[0]), &reflected);
    let reason = "TUNNEL of 65000/client is believed from that node itself only";
    assert_eq!(refusal(&net), (1, reason.to_owned()));
}

#[test]
fn a_peer_without_a_tunnel_speaks_of_one_to_no_effect() {
    let mut configs = line();
    configs[1].peers[0].tunnel = None;
    let mut net = Net::up(configs, 1);
    let path = net.selected(1, OF_0[0]).unwrap();
    assert_eq!((&path.attrs.tunnel, serial(&net, OF_0[0])), (&None, None));
    assert_eq!(net.advertised(1, 2), OF_0, "prefixes as any others");
    assert_eq!(net.selected(2, OF_0[0]).unwrap().attrs.tunnel, None);
    net.reconfigure(1, |config| config.peers[0].tunnel = Some(peer_tunnel(&OF_0, &[])));
    net.run_ms(10);
    assert_eq!(serial(&net, OF_0[0]), Some(1), "what it says of itself counts now");
    assert!(net.advertised(1, 2).is_empty());
    net.reconfigure(1, |config| config.peers[0].tunnel = None);
    net.run_ms(10);
    assert_eq!((serial(&net, OF_0[0]), net.advertised(1, 2).len()), (None, 2));
    assert_eq!(net.peer_view(1, 0).established_count, 1);
}

#[test]
fn only_addresses_that_are_configured_and_named_are_taken() {
    let mut net = listening();
    for (text, named, reason) in [
        (
            "10.9.0.7/32",
            "10.9.0.7/32",
            "10.9.0.7/32 is no host within the peer's tunnel.addresses",
        ),
        (
            "10.9.0.0/24",
            "10.9.0.1/32",
            "10.9.0.0/24 is no host within the peer's tunnel.addresses",
        ),
        (
            OF_1[0],
            OF_1[0],
            "10.9.0.2/32 is no host within the peer's tunnel.addresses",
        ),
        (
            OF_0[0],
            "10.9.0.7/32",
            "10.9.0.1/32 is not among the addresses of its TUNNEL",
        ),
    ] {
        let before = refusal(&net).0;
        announce(&mut net, prefix(text), &attrs_of_0(Some(tunnel(&[named], 5))));
        assert_eq!(refusal(&net), (before + 1, reason.to_owned()));
        assert!(net.paths(1, text).is_empty(), "{text}");
    }
    let mut named = attrs_of_0(Some(tunnel(&OF_0, 5)));
    named.next_hop.set_ip([192, 0, 2, 66].into());
    announce(&mut net, prefix(OF_0[0]), &named);
    assert_eq!(
        refusal(&net),
        (
            5,
            "next hop 192.0.2.66 is neither the peer's address nor allowed".to_owned()
        )
    );
    announce(&mut net, "x.example", &attrs_of_0(Some(tunnel(&OF_0, 5))));
    assert_eq!(refusal(&net), (6, "SERVICE (225) is missing".to_owned()));
}

#[test]
fn the_highest_serial_wins_while_it_is_held() {
    let mut net = listening();
    let say = |net: &mut Net, serial: u64| {
        announce(net, prefix(OF_0[0]), &attrs_of_0(Some(tunnel(&OF_0, serial))));
    };
    say(&mut net, 5);
    say(&mut net, 4);
    let reason = "TUNNEL of 10.9.0.1/32: serial 4 is older than 5, which is held";
    assert_eq!(
        (serial(&net, OF_0[0]), refusal(&net)),
        (Some(5), (1, reason.to_owned()))
    );
    say(&mut net, 5);
    say(&mut net, 6);
    assert_eq!((serial(&net, OF_0[0]), refusal(&net).0), (Some(6), 1));
    withdraw(&mut net, OF_0[0]);
    say(&mut net, 1);
    assert_eq!(serial(&net, OF_0[0]), Some(1), "nothing was held");
}

#[test]
fn over_a_graceful_restart_a_tunnel_stays_and_its_serial_may_begin_anew() {
    let mut net = Net::up(graceful(line(), Duration::from_secs(30)), 1);
    net.crash(0);
    net.run_ms(100);
    assert_eq!(serial(&net, OF_0[0]), Some(1));
    net.reconfigure_dead(0, |config| {
        tunnel_of(&mut config.peers[0]).own = Some(tunnel(&OF_0, 0).into());
    });
    net.start_node(0);
    net.rest();
    assert_eq!(
        (serial(&net, OF_0[0]), net.peer_view(1, 0).treated_as_withdraw),
        (Some(0), 0)
    );
}

#[test]
fn a_withdrawn_tunnel_is_gone_after_its_drain_and_at_once_with_its_session() {
    let mut net = listening();
    announce(&mut net, prefix(OF_0[0]), &attrs_of_0(Some(tunnel(&OF_0, 5))));
    withdraw(&mut net, OF_0[0]);
    assert!(net.selected(1, OF_0[0]).is_none() && installed(&net, OF_0[0]).is_some());
    net.run(Duration::from_secs(2));
    assert!(installed(&net, OF_0[0]).is_none());
    announce(&mut net, prefix(OF_0[0]), &attrs_of_0(Some(tunnel(&OF_0, 5))));
    net.crash(0);
    net.run_ms(10);
    assert!(installed(&net, OF_0[0]).is_none());
}

/// As [`line`], with 0 and 2 of one AS each offering 10.2.0.0/16 to 1, 0 by its tunnel.
fn two_ways() -> Net {
    let mut configs = line();
    configs[0].peers[0].next_hop.set_ip(prefix(OF_0[0]).address());
    let mut net = Net::up(configs, 1);
    for node in [0, 2] {
        net.event(node, Event::PrefixAdd(local_prefix(prefix("10.2.0.0/16"))));
    }
    net.run_ms(10);
    net
}

fn hops(net: &Net, text: &str) -> Vec<std::net::IpAddr> {
    match net.nodes[1]
        .routes
        .get(&destination(text))
        .map(|route| route.target().clone())
    {
        Some(Target::Remote(hops)) => hops.iter().map(|hop| hop.address.ip()).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_behind_a_tunnel_is_used_while_it_is_alive() {
    let mut net = two_ways();
    let by_tunnel = prefix(OF_0[0]).address();
    net.offer(0, "x.example");
    net.run_ms(10);
    let of = |net: &Net, text: &str| {
        let path = net
            .paths(1, text)
            .into_iter()
            .find(|path| path.learned_from.as_deref() == Some("n000"))
            .unwrap();
        path.reason
    };
    assert_eq!(
        (of(&net, "10.2.0.0/16"), hops(&net, "10.2.0.0/16")),
        ("next hop unusable".into(), vec![address(2)])
    );
    assert!(net.selected(1, "x.example").is_none(), "names are no exception");
    tunnel_event(&mut net, OF_0[0], true);
    assert_eq!(hops(&net, "10.2.0.0/16"), [by_tunnel, address(2)], "multipath");
    assert_eq!(net.as_path(2, "x.example"), Some(vec![65002, 65001]));
    tunnel_event(&mut net, OF_0[0], false);
    assert_eq!(hops(&net, "10.2.0.0/16"), [address(2)]);
    assert!(
        !net.nodes[1].routes.contains_key(&destination("x.example")),
        "at once, without a drain"
    );
    assert!(net.paths(2, "x.example").is_empty());
    assert_eq!(serial(&net, OF_0[0]), Some(1), "what the tunnel is made of stays");
    // Another address, and one that is nobody's, say nothing.
    tunnel_event(&mut net, OF_0[1], true);
    tunnel_event(&mut net, "10.9.0.99/32", true);
    assert!(net.selected(1, "x.example").is_none());
    tunnel_event(&mut net, OF_0[0], true);
    assert!(net.selected(1, "x.example").is_some());
}

#[test]
fn what_drains_through_a_tunnel_ends_with_it() {
    let mut net = two_ways();
    tunnel_event(&mut net, OF_0[0], true);
    net.offer(0, "x.example");
    net.run_ms(10);
    net.withdraw(0, "x.example");
    net.run_ms(10);
    assert!(net.paths(1, "x.example")[0].draining);
    tunnel_event(&mut net, OF_0[0], false);
    assert!(net.paths(1, "x.example").is_empty());
}

#[test]
fn where_a_tunnel_is_required_nothing_goes_past_it() {
    let mut configs = line();
    tunnel_of(&mut configs[1].peers[0]).required = true;
    let mut net = Net::up(configs, 1);
    assert_eq!(
        serial(&net, OF_0[0]),
        Some(1),
        "the tunnel itself may come by the session's address"
    );
    net.offer(0, "x.example");
    net.event(0, Event::PrefixAdd(local_prefix(prefix("10.2.0.0/16"))));
    net.run_ms(10);
    let reason = "next hop 127.9.0.1 is not a tunnel address; a tunnel is required";
    assert_eq!(refusal(&net), (2, reason.to_owned()));
    assert!(net.paths(1, "x.example").is_empty() && net.paths(1, "10.2.0.0/16").is_empty());
    net.reconfigure(0, |config| config.peers[0].next_hop.set_ip(prefix(OF_0[1]).address()));
    tunnel_event(&mut net, OF_0[1], true);
    assert!(net.selected(1, "x.example").is_some() && net.selected(1, "10.2.0.0/16").is_some());
    // Not required any longer: what was refused is asked for again.
    net.reconfigure(0, |config| config.peers[0].next_hop.set_ip([0, 0, 0, 0].into()));
    net.run_ms(10);
    assert!(net.paths(1, "x.example").iter().all(|path| path.draining));
    net.reconfigure(1, |config| tunnel_of(&mut config.peers[0]).required = false);
    net.run_ms(10);
    assert!(net.selected(1, "x.example").is_some());
    assert_eq!(refusal(&net).0, 4);
}

#[test]
fn addresses_of_tunnels_are_nobody_elses_to_offer() {
    let mut net = Net::up(line(), 1);
    let offers = [
        OF_0[0],
        OF_1[0],
        "10.9.0.0/24",
        "2001:db8:9::/48",
        OF_0[1],
        "10.2.0.0/16",
    ];
    for text in offers {
        net.event(2, Event::PrefixAdd(local_prefix(prefix(text))));
    }
    net.run_ms(10);
    for text in &offers[..5] {
        let path = net
            .paths(1, text)
            .into_iter()
            .find(|path| path.learned_from.as_deref() == Some("n002"))
            .unwrap();
        assert!(!path.selected);
        assert_eq!(
            path.reason,
            "rejected: the prefix is, covers or is within the address of a tunnel"
        );
    }
    assert_eq!(net.advertised(1, 0), ["10.2.0.0/16", OF_1[0], OF_1[1]]);
    let view = net.peer_view(1, 2);
    assert_eq!((view.hijacks, view.rejected, view.treated_as_withdraw), (5, 5, 0));
    assert_eq!(serial(&net, OF_0[0]), Some(1));
    // Its own address, but as a plain prefix.
    announce(&mut net, prefix("10.9.0.1/32"), &attrs_of_0(None));
    assert_eq!(
        net.paths(1, "10.9.0.1/32").iter().filter(|path| path.selected).count(),
        0
    );
}

#[test]
fn what_covers_a_tunnel_is_taken_where_the_configuration_names_it() {
    let mut configs = line();
    configs[1].peers[1].allowed_prefixes = prefixes(&["0.0.0.0/0", "10.9.0.0/32"]);
    let mut net = Net::up(configs, 1);
    for text in ["0.0.0.0/0", "10.0.0.0/8", OF_0[0]] {
        net.event(2, Event::PrefixAdd(local_prefix(prefix(text))));
    }
    net.run_ms(10);
    let used: Vec<bool> = ["0.0.0.0/0", "10.0.0.0/8"]
        .map(|text| net.selected(1, text).is_some())
        .into();
    assert_eq!(used, [true, false]);
    assert_eq!(net.peer_view(1, 2).rejected, 2);
}

#[test]
fn an_address_that_becomes_one_of_a_tunnel_or_ceases_to_be_one_is_judged_again() {
    let mut net = Net::up(line(), 1);
    let offers = ["10.8.0.1/32", "10.8.0.0/16", "10.8.0.2/32", "10.8.1.0/24"];
    for text in offers {
        net.event(2, Event::PrefixAdd(local_prefix(prefix(text))));
    }
    net.run_ms(10);
    let used = |net: &Net| offers.map(|text| net.selected(1, text).is_some());
    assert_eq!(used(&net), [true; 4]);
    net.reconfigure(1, |config| {
        let tunnel = tunnel_of(&mut config.peers[0]);
        tunnel.addresses.insert(prefix("10.8.0.1/32"));
        tunnel.own = Some(tunnel_with("10.8.0.2/32").into());
    });
    assert_eq!(used(&net), [false, false, false, true]);
    net.reconfigure(1, |config| {
        let tunnel = tunnel_of(&mut config.peers[0]);
        (tunnel.addresses, tunnel.own) = (prefixes(&["10.8.0.0/24"]), None);
    });
    assert_eq!(used(&net), [false, false, false, true]);
    net.reconfigure(1, |config| {
        tunnel_of(&mut config.peers[0]).addresses = prefixes(&["10.8.1.0/25"]);
    });
    assert_eq!(used(&net), [true, false, true, false]);
    net.event(1, Event::PeerRemove("n000".into()));
    net.run_ms(10);
    assert_eq!(used(&net), [true; 4]);
}

fn tunnel_with(address: &str) -> Tunnel {
    tunnel(&[address], 2)
}

#[test]
fn another_node_under_the_same_peer_is_another_end() {
    // The peer is not pinned to a node: whoever comes back is believed of itself only.
    let mut net = Net::up(line(), 1);
    net.crash(0);
    net.reconfigure_dead(0, |config| config.identity.router_id.node = "spare".into());
    net.start_node(0);
    net.rest();
    assert_eq!(serial(&net, OF_0[0]), Some(1));
    let origin = installed(&net, OF_0[0]).unwrap().origin.clone().unwrap();
    assert_eq!(&*origin.router_id.node, "spare");
    announce(&mut net, prefix(OF_0[0]), &attrs_of_0(Some(tunnel(&OF_0, 9))));
    assert_eq!(serial(&net, OF_0[0]), Some(1), "the old node is another one now");
}

#[test]
fn two_peers_of_one_organisation_are_told_the_same_and_of_the_same_class() {
    let nodes = [Who::new(1, "twin"), Who::new(2, "acme"), Who::new(3, "twin")];
    let mut configs = network(&nodes, &[(0, 1), (1, 2)]);
    configs[1].peers[0].tunnel = Some(peer_tunnel(&OF_0, &OF_1));
    configs[1].peers[1].tunnel = Some(peer_tunnel(&["10.9.0.3/32"], &OF_1));
    let mut net = Net::up(configs, 1);
    assert_eq!(
        (net.advertised(1, 0), net.advertised(1, 2)),
        (OF_1.map(String::from).into(), OF_1.map(String::from).into())
    );
    net.reconfigure(1, |config| tunnel_of(&mut config.peers[1]).own = None);
    net.run_ms(10);
    assert_eq!((net.advertised(1, 0).len(), net.advertised(1, 2).len()), (2, 0));
}

#[test]
fn a_preview_foresees_tunnels() {
    let mut net = two_ways();
    tunnel_event(&mut net, OF_0[0], true);
    let old = net.nodes[1].config.clone();
    let mut new = old.clone();
    tunnel_of(&mut new.peers[0]).own = Some(tunnel(&[OF_1[0], "10.9.0.22/32"], 2).into());
    new.peers[1].tunnel = Some(peer_tunnel(&["10.2.0.0/24"], &[]));
    new.peers[1].export = Some(Policy::reject().into());
    let speaker = &net.nodes[1].speaker;
    let around = speaker.surroundings(&new);
    let mut preview = Preview::new(old, new, &around, Default::default(), net.now);
    preview.page(&speaker.table_page(None, usize::MAX), net.now);
    let changes = preview.finish(net.now);
    let texts = |list: &catalyst_core::view::NameList| list.first.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (_, exported) = &changes.peers["n000"];
    assert_eq!(texts(&exported.gained), ["10.9.0.22/32"]);
    assert_eq!(texts(&exported.changed), [OF_1[0]]);
    assert!(texts(&exported.lost).contains(&OF_1[1].to_owned()));
    let (imported, _) = &changes.peers["n002"];
    assert_eq!(
        texts(&imported.lost),
        ["10.2.0.0/16"],
        "it covers what is a tunnel's then"
    );
}
