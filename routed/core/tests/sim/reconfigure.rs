//! The configuration changes while sessions stand: no session is reset that need not be, and what a node holds
//! afterwards is what a fresh one with the new configuration would hold.

use std::collections::BTreeMap;

use catalyst_core::event::{PeerConfig, SpeakerConfig};
use catalyst_core::policy::NamePattern;
use catalyst_core::policy::{Policy, Role};
use catalyst_core::wire::kind;

use super::config::{address, destination, each_its_own, name, network, node_name, one_as, peer, plane};
use super::fresh::equals_a_fresh_one;
use super::model;
use super::net::Net;

/// 0 - 1 - 2 in a line, an organisation each; 0 and 2 offer a name.
fn line() -> Net {
    let mut configs = network(&each_its_own(3), &[(0, 1), (1, 2)]);
    configs[1].planes = vec![plane("envoy", false)];
    let mut net = Net::up(configs, 1);
    net.offer(0, "x.example");
    net.offer(2, "y.example");
    net.rest();
    net
}

fn configured(net: &Net, node: usize, peer: usize) -> PeerConfig {
    let peers = &net.nodes[node].config.peers;
    peers.iter().find(|it| *it.name == *node_name(peer)).unwrap().clone()
}

fn change(net: &mut Net, node: usize, peer: usize, change: impl FnOnce(&mut PeerConfig)) {
    net.reconfigure(node, |config| {
        let name = node_name(peer);
        change(config.peers.iter_mut().find(|it| *it.name == *name).unwrap());
    });
}

fn established(net: &Net, node: usize, peer: usize) -> (&'static str, u64) {
    let view = net.peer_view(node, peer);
    (view.state, view.established_count)
}

#[test]
fn an_export_policy_takes_names_away_and_gives_them_without_a_reset() {
    let mut net = line();
    change(&mut net, 1, 2, |peer| peer.export = Some(Policy::reject().into()));
    net.run_ms(10);
    assert!(net.paths(2, "x.example").is_empty() && net.selected(1, "x.example").is_some());
    assert_eq!(&**net.nodes[1].routes[&destination("x.example")].exported_to(), &[]);
    change(&mut net, 1, 2, |peer| peer.export = Some(Policy::accept().into()));
    net.run_ms(10);
    assert_eq!(net.as_path(2, "x.example"), Some(vec![65002, 65001]));
    assert_eq!(
        &**net.nodes[1].routes[&destination("x.example")].exported_to(),
        &["org-2".into()]
    );
    assert_eq!(established(&net, 1, 2), ("Established", 1));
    net.rest();
    equals_a_fresh_one(&net);
}

#[test]
fn an_import_policy_works_on_what_was_received_before() {
    let mut net = line();
    let updates = net.peer_view(1, 0).updates_in;
    change(&mut net, 1, 0, |peer| peer.import = Some(Policy::reject().into()));
    net.run_ms(10);
    assert_eq!(net.paths(1, "x.example")[0].reason, "rejected: import policy");
    assert!(net.paths(2, "x.example").is_empty());
    net.rest();
    equals_a_fresh_one(&net);
    change(&mut net, 1, 0, |peer| peer.import = Some(Policy::accept().into()));
    net.run_ms(10);
    assert!(net.selected(2, "x.example").is_some());
    assert_eq!(
        (established(&net, 1, 0), net.peer_view(1, 0).updates_in),
        (("Established", 1), updates)
    );
}

#[test]
fn a_removed_peer_is_told_so_and_a_new_one_is_dialled() {
    let mut net = line();
    let gone = configured(&net, 1, 0);
    net.reconfigure(1, |config| config.peers.retain(|peer| *peer.name != *node_name(0)));
    net.run_ms(5000);
    assert!(
        net.nodes[0]
            .log
            .iter()
            .any(|(_, line)| line.contains("no longer configured")),
        "{:?}",
        net.nodes[0].log
    );
    assert!(net.paths(1, "x.example").is_empty() && net.paths(2, "x.example").is_empty());
    assert!(
        net.nodes[1].logged("is not a configured peer"),
        "it dials on and is refused"
    );
    assert_eq!(net.nodes[1].speaker.peers(net.now).len(), 1);
    assert_eq!(established(&net, 1, 2), ("Established", 1));
    net.rest();
    equals_a_fresh_one(&net);
    net.reconfigure(1, |config| config.peers.insert(0, gone));
    net.rest();
    assert!(net.selected(2, "x.example").is_some());
    assert_eq!(established(&net, 1, 0), ("Established", 1), "counted anew");
    equals_a_fresh_one(&net);
}

#[test]
fn the_same_configuration_again_sends_nothing() {
    let mut net = line();
    let before = (net.frames.clone(), net.nodes[1].version);
    net.reconfigure(1, |_| {});
    net.rest();
    assert_eq!((net.frames.clone(), net.nodes[1].version), before);
}

#[test]
fn what_the_session_said_cannot_change_without_a_new_one() {
    let mut net = line();
    type Change = fn(&mut PeerConfig);
    let keys: [(&str, Change); 4] = [
        ("as", |peer| peer.asn = 65009),
        ("organisation", |peer| peer.organisation = "org-9".into()),
        ("node", |peer| peer.node = Some("other".into())),
        ("address", |peer| peer.address.set_ip(address(77))),
    ];
    for (key, wrong) in keys {
        let right = configured(&net, 1, 0);
        change(&mut net, 1, 0, wrong);
        let told = format!("the configuration of this peer has changed: {key}");
        net.run_ms(1);
        assert!(net.paths(1, "x.example").is_empty(), "{key}");
        net.run_ms(5000);
        assert!(net.nodes[0].logged(&told), "{key}: {:?}", net.nodes[0].log);
        assert_ne!(net.peer_view(1, 0).state, "Established", "{key}");
        change(&mut net, 1, 0, |peer| *peer = right);
        net.rest();
        assert!(net.selected(2, "x.example").is_some(), "{key}");
    }
    assert_eq!(established(&net, 1, 0).0, "Established");
    assert_eq!(
        established(&net, 1, 2),
        ("Established", 1),
        "the other peer never noticed"
    );
    model::check(&net);
    equals_a_fresh_one(&net);
}

#[test]
fn what_a_session_does_not_speak_of_changes_under_it() {
    let mut net = line();
    change(&mut net, 1, 0, |peer| {
        peer.node = Some("n000".into());
        peer.address.set_port(1791);
        peer.passive = true;
    });
    net.reconfigure(1, |config| {
        config.hold_time = std::time::Duration::from_secs(3);
        config.drain = std::time::Duration::ZERO;
    });
    net.run_ms(1000);
    assert_eq!(established(&net, 1, 0), ("Established", 1));
    net.withdraw(0, "x.example");
    net.run_ms(10);
    assert!(
        !net.nodes[1].routes.contains_key(&destination("x.example")),
        "drain is off"
    );
}

#[test]
fn a_peer_that_is_no_longer_passive_is_dialled() {
    let mut configs = network(&each_its_own(2), &[(0, 1)]);
    configs[0].peers[0].passive = true;
    configs[1].peers[0].passive = true;
    let mut net = Net::up(configs, 1);
    assert_eq!(net.peer_view(0, 1).state, "Active");
    change(&mut net, 0, 1, |peer| peer.passive = false);
    net.run_ms(10);
    assert_eq!(established(&net, 0, 1), ("Established", 1));
}

#[test]
fn a_peer_that_moves_to_another_port_is_dialled_at_once() {
    let mut net = Net::up(network(&each_its_own(2), &[(0, 1)]), 1);
    net.cut(0, 1);
    net.rest();
    net.mend(0, 1);
    change(&mut net, 0, 1, |peer| peer.address.set_port(1791));
    net.run_ms(10);
    assert_eq!(established(&net, 0, 1), ("Established", 2));
}

#[test]
fn a_newly_allowed_name_is_asked_for_again() {
    let mut configs = network(&each_its_own(2), &[(0, 1)]);
    configs[1].peers[0].allowed_names = Some(vec![NamePattern::parse("*.other.example").unwrap()]);
    let mut net = Net::up(configs, 1);
    net.offer(0, "x.example");
    net.run_ms(10);
    assert!(net.paths(1, "x.example").is_empty());
    change(&mut net, 1, 0, |peer| {
        peer.allowed_names = Some(vec![NamePattern::parse("*.example").unwrap()]);
    });
    net.run_ms(10);
    assert!(net.selected(1, "x.example").is_some());
    assert_eq!(established(&net, 1, 0).1, 1);
}

#[test]
fn a_newly_allowed_next_hop_is_asked_for_again() {
    let mut configs = network(&each_its_own(2), &[(0, 1)]);
    configs[0].peers[0].next_hop = ([127, 1, 1, 1], 5).into();
    let mut net = Net::up(configs, 1);
    net.offer(0, "x.example");
    net.run_ms(10);
    assert!(net.paths(1, "x.example").is_empty());
    change(&mut net, 1, 0, |peer| {
        peer.allowed_next_hops = vec!["127.1.1.1".parse().unwrap()];
    });
    net.run_ms(10);
    assert!(net.selected(1, "x.example").is_some());
    assert_eq!(net.frames[&(1, kind::ROUTE_REFRESH)], 3, "one per family");
    change(&mut net, 1, 0, |peer| peer.allowed_next_hops = Vec::new());
    net.run_ms(10);
    assert!(net.paths(1, "x.example").is_empty());
    assert_eq!(
        (net.frames[&(1, kind::ROUTE_REFRESH)], established(&net, 1, 0).1),
        (3, 1)
    );
}

#[test]
fn a_next_hop_of_ours_is_written_anew() {
    let mut net = line();
    let next_hop = (address(1), 5).into();
    change(&mut net, 1, 2, |peer| peer.next_hop = next_hop);
    net.run_ms(10);
    assert_eq!(net.selected(2, "x.example").unwrap().attrs.next_hop, next_hop);
    assert_eq!(established(&net, 1, 2), ("Established", 1));
}

#[test]
fn domains_come_and_go_with_their_discards() {
    let mut net = line();
    net.reconfigure(1, |config| config.domains = vec![name("example")]);
    net.run_ms(10);
    assert_eq!(
        net.paths(1, "x.example")[0].reason,
        "rejected: the name is under our own domains"
    );
    assert!(net.paths(2, "x.example").is_empty());
    assert!(net.nodes[1].routes.contains_key(&destination("*.example")));
    net.rest();
    equals_a_fresh_one(&net);
    net.reconfigure(1, |config| config.domains = Vec::new());
    net.rest();
    assert!(net.selected(2, "x.example").is_some());
    assert!(!net.nodes[1].routes.contains_key(&destination("*.example")));
    equals_a_fresh_one(&net);
}

#[test]
fn a_reflector_and_its_clients_change_under_their_sessions() {
    let mut net = Net::up(network(&one_as(3), &[(0, 1), (1, 2)]), 1);
    net.offer(0, "x.acme");
    net.rest();
    let steps: [fn(&mut SpeakerConfig); 4] = [
        |config| config.reflector = true,
        |config| config.cluster = "c".into(),
        |config| config.peers.iter_mut().for_each(|peer| peer.client = false),
        |config| config.peers[0].client = true,
    ];
    let clusters: Vec<Option<usize>> = steps
        .into_iter()
        .map(|step| {
            net.reconfigure(1, step);
            net.rest();
            model::check(&net);
            equals_a_fresh_one(&net);
            net.selected(2, "x.acme").map(|path| path.attrs.cluster_list.len())
        })
        .collect();
    assert_eq!(clusters, [Some(1), Some(1), None, Some(1)]);
    assert_eq!(&*net.selected(2, "x.acme").unwrap().attrs.cluster_list[0], "c");
    assert_eq!(established(&net, 1, 2), ("Established", 1));
}

#[test]
fn ids_of_removed_peers_are_used_again_and_nothing_is_mixed_up() {
    let mut net = line();
    let who = each_its_own(60);
    for round in 0..50 {
        let other = 3 + round % 40;
        net.reconfigure(1, |config| {
            config
                .peers
                .retain(|it| *it.name == *node_name(0) || *it.name == *node_name(2));
            config.peers.push(peer(other, &who[other]));
        });
        if round % 7 == 0 {
            change(&mut net, 1, 0, |peer| {
                peer.node = (round % 2 == 0).then(|| "n000".into());
            });
            change(&mut net, 1, 2, |peer| peer.asn += 1);
            net.run_ms(50);
            change(&mut net, 1, 2, |peer| peer.asn -= 1);
        }
        net.run_ms(20);
    }
    net.reconfigure(1, |config| config.peers.truncate(2));
    net.rest();
    equals_a_fresh_one(&net);
}

/// So often that places of what it was before are freed while it is changed.
#[test]
fn a_peer_that_becomes_another_one_again_and_again_stays_configured() {
    let mut net = line();
    for round in 0..40 {
        change(&mut net, 1, 0, |peer| peer.asn = 65_100 + round);
    }
    change(&mut net, 1, 0, |peer| peer.asn = 65_001);
    net.rest();
    assert_eq!(established(&net, 1, 0).0, "Established");
    assert!(net.selected(1, "x.example").is_some());
    assert_eq!(net.nodes[1].speaker.audit(), Vec::<String>::new());
    equals_a_fresh_one(&net);
}

#[test]
fn a_removed_peer_leaves_no_trace_while_others_wait_for_data_planes() {
    // 1 hears of a name from 0 and 2 and tells 3; its data plane takes its time.
    let mut configs = network(&each_its_own(4), &[(0, 1), (1, 2), (1, 3)]);
    configs[1].planes = vec![plane("envoy", true)];
    let mut net = Net::new(configs, 1);
    net.acknowledging = true;
    net.delay = (40, 0);
    (0..4).for_each(|node| net.start_node(node));
    net.rest();
    net.offer(0, "x.example");
    net.rest();
    net.offer(2, "x.example");
    net.rest();
    net.reconfigure(1, |config| config.peers.retain(|it| *it.name != *node_name(0)));
    assert_eq!(net.advertised(1, 3), ["x.example"], "make before break");
    net.rest();
    assert_eq!(net.as_path(3, "x.example"), Some(vec![65002, 65003]));
    let learned: BTreeMap<_, _> = net
        .paths(1, "x.example")
        .iter()
        .map(|it| (it.learned_from.clone(), 1))
        .collect();
    assert_eq!(learned.len(), 1);
    equals_a_fresh_one(&net);
}

#[test]
fn another_role_is_claimed_in_an_open_of_its_own() {
    let mut net = line();
    for (node, other, role) in [(0, 1, Role::Provider), (1, 0, Role::Customer)] {
        change(&mut net, node, other, |peer| peer.role = Some(role));
        net.rest();
        let view = net.peer_view(node, other);
        assert_eq!((view.state, view.session.role), ("Established", Some(role)));
    }
    let claimed = net.peer_view(0, 1).session.peer_role.unwrap();
    assert_eq!(claimed.role(), Some(Role::Customer));
    let offered = net.peer_view(1, 0).session.received;
    assert_eq!(offered, ["families name ipv4 ipv6", "route refresh", "role provider"]);
    change(&mut net, 1, 0, |peer| peer.role = Some(Role::Peer));
    net.rest();
    let told = net.peer_view(1, 0).last_error;
    assert!(
        told.contains("Role Mismatch: expected role peer, got provider"),
        "{told}"
    );
}
