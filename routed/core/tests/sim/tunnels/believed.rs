//! Whose word of a tunnel counts.

use super::super::config::{network, one_as, plane};
use super::super::net::Net;
use super::{
    OF_0, OF_1, announce, attrs_of_0, installed, line, listening, peer_tunnel, prefix, refusal, serial, tunnel,
    withdraw,
};

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
