//! What each end of a tunnel is told of the other, and when it is not any longer.

use std::time::Duration;

use catalyst_core::attrs::Tunnel;
use catalyst_core::event::Event;
use catalyst_core::prefix::PrefixSet;
use catalyst_core::route::Target;
use catalyst_core::wire;
use catalyst_core::wire::Families;

use super::super::config::{PEER_PORT, Who, address, destination, graceful, network, plane};
use super::super::net::Net;
use super::{
    OF_0, OF_1, announce, attrs_of_0, installed, line, listening, peer_tunnel, prefix, serial, tunnel, tunnel_of,
    withdraw,
};

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
