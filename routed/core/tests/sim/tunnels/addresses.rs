//! Who may offer an address of a tunnel.

use catalyst_core::attrs::{Attrs, Tunnel};
use catalyst_core::event::Event;

use super::super::config::local_prefix;
use super::super::net::Net;
use super::{OF_0, OF_1, announce, attrs_of_0, line, listening, prefix, prefixes, serial, tunnel, tunnel_of};

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
fn each_reason_for_a_refusal_is_counted_with_its_newest_route() {
    let mut net = listening();
    net.event(1, Event::PrefixAdd(local_prefix(prefix("192.168.1.0/24"))));
    announce(&mut net, prefix(OF_0[0]), &attrs_of_0(Some(tunnel(&OF_0, 1))));
    let through = Attrs {
        next_hop: (prefix(OF_0[0]).address(), 0).into(),
        ..attrs_of_0(None)
    };
    // Everything, a resolver, our LAN, where it is called, loopback, both ends of the tunnel.
    let offers = [
        "0.0.0.0/0",
        "9.9.9.9/32",
        "192.168.1.128/25",
        "192.0.2.0/24",
        "192.0.2.1/32",
        "127.0.0.0/8",
        "10.9.0.2/32",
        "10.9.0.0/30",
    ];
    for text in offers {
        announce(&mut net, prefix(text), &through);
        assert!(net.selected(1, text).is_none(), "{text}");
    }
    let view = net.peer_view(1, 0);
    let refused: Vec<_> = (view.refusals.iter())
        .map(|it| (it.kind, it.count, it.newest.as_str(), &*it.reason))
        .collect();
    let expected = [
        (
            "not within allowed_prefixes",
            2,
            "9.9.9.9/32",
            "9.9.9.9/32 is not within the peer's allowed_prefixes",
        ),
        (
            "own prefix",
            1,
            "192.168.1.128/25",
            "192.168.1.128/25 is within our own prefixes",
        ),
        (
            "the peer's own endpoint",
            2,
            "192.0.2.1/32",
            "192.0.2.1/32 covers 192.0.2.1, where the peer itself is reached",
        ),
        (
            "not routed between networks",
            1,
            "127.0.0.0/8",
            "127.0.0.0/8 is no prefix to take from another organisation",
        ),
        (
            "tunnel address",
            2,
            "10.9.0.0/30",
            "the prefix is, covers or is within the address of a tunnel",
        ),
    ];
    assert_eq!(refused, expected);
    assert_eq!((view.treated_as_withdraw, view.hijacks), (6, 2));
    // A session that ends takes nothing of it along.
    net.crash(0);
    net.run_ms(60_000);
    assert_eq!(net.peer_view(1, 0).refusals, view.refusals);
}
