//! What a peer may not do: loops, foreign names, next hops and attributes that are not its own. Nothing good that was
//! held is lost, and nobody else notices.

use bytes::BytesMut;
use catalyst_core::attrs::{Attrs, Origin, OriginNode, Protocol, RouterId, ServiceAttr};
use catalyst_core::event::Event;
use catalyst_core::policy::Policy;
use catalyst_core::wire;

use super::config::{Who, address, destination, each_its_own, name, network, one_as, plane};
use super::net::Net;

/// What node 0 (AS 65001, organisation org-0) would say of a service of its own.
fn attrs_of_0() -> Attrs {
    let router_id = RouterId {
        asn: 65001,
        node: "n000".into(),
    };
    Attrs {
        origin: Origin::Igp,
        as_path: vec![65001],
        next_hop: (address(0), 10000).into(),
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
        service: Some(ServiceAttr {
            protocol: Protocol::Http,
            path: None,
            weight: 1,
            health: 100,
        }),
        only_to_customer: None,
        tunnel: None,
        unknown: Vec::new(),
    }
}

fn announce(net: &mut Net, names: &[&str], attrs: &Attrs) {
    announce_raw(net, names, &wire::encode_attrs(attrs));
}

fn announce_raw(net: &mut Net, names: &[&str], raw: &[u8]) {
    let mut frames = BytesMut::new();
    wire::pack_announce(raw, names.iter().copied(), &mut frames);
    net.inject(0, 1, &frames);
    net.run_ms(10);
}

/// 0 - 1 - 2 in a line, an organisation each.
fn line() -> Net {
    Net::up(network(&each_its_own(3), &[(0, 1), (1, 2)]), 1)
}

fn reason(net: &Net, text: &str) -> String {
    let paths = net.paths(1, text);
    assert_eq!(paths.len(), 1);
    assert!(!paths[0].selected && net.paths(2, text).is_empty());
    paths[0].reason.clone()
}

#[test]
fn a_good_route_is_taken_which_shows_that_the_others_are_refused_for_their_reason() {
    let mut net = line();
    announce(&mut net, &["x.example", "y.example"], &attrs_of_0());
    assert_eq!(net.as_path(2, "x.example"), Some(vec![65002, 65001]));
    assert_eq!((net.peer_view(1, 0).received, net.peer_view(1, 0).updates_in), (2, 1));
}

#[test]
fn loops_are_kept_with_their_reason_and_never_used() {
    let mut net = line();
    announce(
        &mut net,
        &["x.example"],
        &Attrs {
            as_path: vec![65001, 65002, 65009],
            ..attrs_of_0()
        },
    );
    assert_eq!(reason(&net, "x.example"), "rejected: our AS is in AS_PATH");
    let mut own = attrs_of_0();
    own.origin_node.organisation = "org-1".into();
    announce(&mut net, &["x.example"], &own);
    assert_eq!(
        reason(&net, "x.example"),
        "rejected: our organisation is in ORIGIN_NODE"
    );
    assert_eq!((net.peer_view(1, 0).received, net.peer_view(1, 0).rejected), (0, 1));
    announce(&mut net, &["x.example"], &attrs_of_0());
    assert!(net.selected(1, "x.example").is_some());
}

#[test]
fn own_originator_and_own_cluster_are_loops() {
    let mut configs = network(&one_as(2), &[(0, 1)]);
    configs[1].reflector = true;
    let mut net = Net::up(configs, 1);
    let inside = Attrs {
        as_path: Vec::new(),
        local_pref: Some(100),
        ..attrs_of_0()
    };
    let us = RouterId {
        asn: 65000,
        node: "n001".into(),
    };
    announce(
        &mut net,
        &["x.acme"],
        &Attrs {
            originator: Some(us),
            ..inside.clone()
        },
    );
    assert_eq!(
        net.paths(1, "x.acme")[0].reason,
        "rejected: this node is the ORIGINATOR"
    );
    announce(
        &mut net,
        &["x.acme"],
        &Attrs {
            cluster_list: vec!["c".into(), "n001".into()],
            ..inside
        },
    );
    assert_eq!(
        net.paths(1, "x.acme")[0].reason,
        "rejected: our cluster is in CLUSTER_LIST"
    );
}

#[test]
fn names_under_our_domains_are_never_taken_from_outside() {
    let mut configs = network(&each_its_own(3), &[(0, 1), (1, 2)]);
    configs[1].domains = vec![name("acme.example")];
    configs[1].planes = vec![plane("envoy", false)];
    let mut net = Net::up(configs, 1);
    let names = ["acme.example", "x.acme.example", "*.acme.example", "xacme.example"];
    announce(&mut net, &names, &attrs_of_0());
    for own in &names[..3] {
        assert_eq!(reason(&net, own), "rejected: the name is under our own domains");
    }
    assert!(net.selected(2, "xacme.example").is_some());
    assert_eq!(net.nodes[1].routes.len(), 2, "the discard and the one good name");
}

#[test]
fn nothing_passes_without_a_policy_that_accepts_it() {
    let mut configs = network(&each_its_own(3), &[(0, 1), (1, 2)]);
    configs[1].peers[0].import = Some(Policy::reject().into());
    let mut net = Net::up(configs, 1);
    net.offer(0, "x.example");
    net.rest();
    assert_eq!(reason(&net, "x.example"), "rejected: import policy");

    let mut configs = network(&each_its_own(3), &[(0, 1), (1, 2)]);
    configs[1].peers[1].export = Some(Policy::reject().into());
    let mut net = Net::up(configs, 1);
    net.offer(0, "x.example");
    net.rest();
    assert!(net.selected(1, "x.example").is_some() && net.paths(2, "x.example").is_empty());
}

#[test]
fn a_foreign_next_hop_or_leftmost_as_is_treated_as_withdrawn_and_counted() {
    let mut net = line();
    announce(&mut net, &["x.example", "y.example"], &attrs_of_0());
    announce(
        &mut net,
        &["x.example"],
        &Attrs {
            next_hop: ([127, 1, 1, 1], 1).into(),
            ..attrs_of_0()
        },
    );
    assert!(net.paths(1, "x.example").is_empty() && net.paths(2, "x.example").is_empty());
    let view = net.peer_view(1, 0);
    assert_eq!(view.treated_as_withdraw, 1);
    assert_eq!(
        view.treated_as_withdraw_reason,
        "next hop 127.1.1.1 is neither the peer's address nor allowed"
    );
    announce(
        &mut net,
        &["y.example", "z.example"],
        &Attrs {
            as_path: vec![65007, 65001],
            ..attrs_of_0()
        },
    );
    let view = net.peer_view(1, 0);
    assert_eq!((view.treated_as_withdraw, view.state), (3, "Established"));
    assert_eq!(
        view.treated_as_withdraw_reason,
        "the leftmost AS of AS_PATH is not 65001"
    );
    assert!(net.paths(1, "y.example").is_empty());
}

#[test]
fn an_allowed_next_hop_is_taken() {
    let mut configs = network(&each_its_own(3), &[(0, 1), (1, 2)]);
    configs[1].peers[0].allowed_next_hops = vec!["127.1.1.1".parse().unwrap()];
    let mut net = Net::up(configs, 1);
    announce(
        &mut net,
        &["x.example"],
        &Attrs {
            next_hop: ([127, 1, 1, 1], 1).into(),
            ..attrs_of_0()
        },
    );
    assert_eq!(
        net.selected(1, "x.example").unwrap().attrs.next_hop,
        ([127, 1, 1, 1], 1).into()
    );
}

#[test]
fn an_internal_peer_may_name_any_next_hop() {
    let mut net = Net::up(network(&one_as(2), &[(0, 1)]), 1);
    let next_hop = ([127, 1, 1, 1], 1).into();
    announce(
        &mut net,
        &["x.acme"],
        &Attrs {
            as_path: vec![7],
            next_hop,
            local_pref: Some(50),
            ..attrs_of_0()
        },
    );
    assert_eq!(net.selected(1, "x.acme").unwrap().local_pref, 50);
}

#[test]
fn malformed_attributes_withdraw_their_names_and_nothing_else() {
    let mut net = line();
    announce(&mut net, &["x.example", "y.example"], &attrs_of_0());
    announce_raw(&mut net, &["x.example"], &[0x40, 1, 0, 1, 9]);
    assert!(net.paths(1, "x.example").is_empty() && net.paths(2, "x.example").is_empty());
    assert!(net.selected(2, "y.example").is_some());
    let view = net.peer_view(1, 0);
    assert_eq!(
        (view.treated_as_withdraw, view.state, view.established_count),
        (1, "Established", 1)
    );
    assert!(
        view.treated_as_withdraw_reason.contains("ORIGIN"),
        "{}",
        view.treated_as_withdraw_reason
    );
}

#[test]
fn internal_attributes_of_an_external_peer_are_ignored() {
    let mut net = line();
    let us = RouterId {
        asn: 65002,
        node: "n001".into(),
    };
    let forged = Attrs {
        local_pref: Some(1000),
        originator: Some(us),
        cluster_list: vec!["n001".into()],
        ..attrs_of_0()
    };
    announce(&mut net, &["x.example"], &forged);
    let path = net.selected(1, "x.example").unwrap();
    assert_eq!(
        (path.local_pref, path.attrs.local_pref, &path.attrs.originator),
        (100, None, &None)
    );
    assert!(path.attrs.cluster_list.is_empty());
}

#[test]
fn unknown_transitive_attributes_pass_with_the_partial_bit() {
    let mut net = line();
    let mut raw = wire::encode_attrs(&attrs_of_0()).to_vec();
    raw.extend([0xc0, 250, 0, 2, 4, 2]);
    announce_raw(&mut net, &["x.example"], &raw);
    let unknown = &net.selected(2, "x.example").unwrap().attrs.unknown;
    assert_eq!(
        (unknown[0].flags, unknown[0].code, &unknown[0].value[..]),
        (0xe0, 250, &[4, 2][..])
    );
}

#[test]
fn a_frame_that_cannot_be_read_ends_the_session_of_its_sender_alone() {
    let mut net = line();
    announce(&mut net, &["x.example"], &attrs_of_0());
    net.offer(2, "y.example");
    net.run_ms(10);
    net.inject(0, 1, &[0, 0, 0, 4, 2, 1, 255, 255]);
    assert!(net.nodes[1].logged("down n000"), "{:?}", net.nodes[1].log);
    assert!(net.paths(1, "x.example").is_empty() && net.selected(1, "y.example").is_some());
    assert!(!net.nodes[1].logged("down n002"));
    net.rest();
    assert_eq!(net.peer_view(1, 0).established_count, 2, "and it comes back");
}

#[test]
fn exported_to_names_the_organisations_that_would_be_told_session_up_or_not() {
    // 1 has four neighbours: 0 and 3 outside, 2 outside with export reject, 4 inside.
    let ours = Who::new(65100, "acme");
    let nodes = [
        Who::new(1, "left"),
        ours.clone(),
        Who::new(2, "mute"),
        Who::new(3, "right"),
        ours,
    ];
    let mut configs = network(&nodes, &[(0, 1), (1, 2), (1, 3), (1, 4)]);
    configs[1].peers[1].export = Some(Policy::reject().into());
    configs[1].planes = vec![plane("envoy", false)];
    let mut net = Net::new(configs, 1);
    for node in [0, 1, 2, 4] {
        net.start_node(node);
    }
    net.rest();
    net.offer(0, "from-left.example");
    net.offer(1, "own.example");
    net.offer(4, "inside.example");
    net.rest();
    let exported = |text: &str| {
        net.nodes[1].routes[&destination(text)]
            .exported_to()
            .iter()
            .map(|it| &**it)
            .collect::<Vec<_>>()
    };
    assert_eq!(exported("own.example"), ["left", "right"]);
    assert_eq!(exported("inside.example"), ["left", "right"]);
    assert_eq!(exported("from-left.example"), ["right"]);
}

#[test]
fn a_route_is_not_given_back_to_the_organisation_it_came_from() {
    // Two systems of one outside organisation.
    let nodes = [Who::new(1, "twin"), Who::new(2, "acme"), Who::new(3, "twin")];
    let mut net = Net::up(network(&nodes, &[(0, 1), (1, 2)]), 1);
    net.offer(0, "x.example");
    net.rest();
    assert!(net.selected(1, "x.example").is_some());
    assert!(net.advertised(1, 2).is_empty());
}

#[test]
fn an_unknown_peer_is_refused_with_a_word() {
    let mut stranger = network(&each_its_own(3), &[(0, 1), (1, 2)]);
    stranger[2].peers[0].address.set_ip(address(0));
    stranger[0].peers[0].address.set_ip(address(1));
    let mut net = Net::new(stranger, 1);
    net.start_node(0);
    net.start_node(2);
    net.run_ms(500);
    assert!(
        net.nodes[0].logged("is not a configured peer"),
        "{:?}",
        net.nodes[0].log
    );
    let told = net.peer_view(2, 1).last_error;
    assert!(told.contains("127.9.0.3 is not a configured peer"), "{told}");
}

#[test]
fn a_wrong_as_is_refused_and_the_other_side_can_read_why() {
    let mut configs = network(&each_its_own(2), &[(0, 1)]);
    configs[1].peers[0].asn = 65009;
    let mut net = Net::up(configs, 1);
    net.rest();
    assert_ne!(net.peer_view(0, 1).state, "Established");
    let told = net.peer_view(0, 1).last_error;
    assert!(told.contains("expected AS 65009, got AS 65001"), "{told}");
}

#[test]
fn frames_for_connections_that_are_gone_are_ignored() {
    let mut net = line();
    let body = bytes::Bytes::new();
    net.event(
        1,
        Event::Frame {
            conn: catalyst_core::event::ConnId(9999),
            kind: 2,
            body,
        },
    );
    net.event(
        1,
        Event::Sent {
            conn: catalyst_core::event::ConnId(9999),
            bytes: 5,
        },
    );
    net.event(
        1,
        Event::Connected {
            peer: "nobody".into(),
            conn: catalyst_core::event::ConnId(9998),
            local: (address(1), 1).into(),
            remote: (address(0), 1).into(),
        },
    );
    assert_eq!(net.peer_view(1, 0).state, "Established");
}
