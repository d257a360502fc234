//! Prefixes beside names: what outside peers may offer, families per session, and data planes that serve one kind only.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BytesMut;
use catalyst_core::attrs::{Attrs, Origin, OriginNode, Protocol, RouterId, ServiceAttr};
use catalyst_core::event::{Event, LocalRoute, PlaneConfig, PlaneReport};
use catalyst_core::prefix::{Prefix, PrefixSet};
use catalyst_core::route::{PlaneStatus, Target};
use catalyst_core::speaker::Preview;
use catalyst_core::wire::{self, Families, Family, Message, Nlri, RouteRefresh, kind};

use super::config::{address, destination, each_its_own, graceful, local_prefix, network, one_as, plane};
use super::model;
use super::net::Net;

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn prefixes(texts: &[&str]) -> PrefixSet {
    texts.iter().map(|text| prefix(text)).collect()
}

fn add(net: &mut Net, node: usize, text: &str) {
    net.event(node, Event::PrefixAdd(local_prefix(prefix(text))));
    net.run_ms(10);
}

fn remove(net: &mut Net, node: usize, text: &str) {
    net.event(node, Event::PrefixRemove(prefix(text)));
    net.run_ms(10);
}

/// 0 - 1 - 2 in a line, an organisation each; 1 and 2 take what is within 10.0.0.0/8 and 2001:db8::/32.
fn line() -> Net {
    let mut configs = network(&each_its_own(3), &[(0, 1), (1, 2)]);
    for peer in configs.iter_mut().flat_map(|config| &mut config.peers) {
        peer.allowed_prefixes = prefixes(&["10.0.0.0/8", "2001:db8::/32"]);
    }
    Net::up(configs, 1)
}

/// What node 0 would say of a prefix of its own.
fn attrs_of_0(service: Option<ServiceAttr>) -> Attrs {
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
        service,
        only_to_customer: None,
        tunnel: None,
        unknown: Vec::new(),
    }
}

fn announce<N: Nlri>(net: &mut Net, nlri: N, attrs: &Attrs) {
    let mut frames = BytesMut::new();
    wire::pack_announce(&wire::encode_attrs(attrs), std::iter::once(nlri), &mut frames);
    net.inject(0, 1, &frames);
    net.run_ms(10);
}

#[test]
fn prefixes_travel_like_names() {
    let mut net = line();
    for text in ["10.2.0.0/16", "10.2.128.0/17", "2001:db8:7::/48"] {
        add(&mut net, 0, text);
        assert_eq!(net.as_path(2, text), Some(vec![65002, 65001]), "{text}");
    }
    net.offer(0, "x.example");
    net.run_ms(10);
    let told = ["x.example", "10.2.0.0/16", "10.2.128.0/17", "2001:db8:7::/48"];
    assert_eq!(net.advertised(1, 2), told, "names first, then IPv4, then IPv6");
    remove(&mut net, 0, "10.2.0.0/16");
    assert!(net.paths(2, "10.2.0.0/16").is_empty() && net.selected(2, "10.2.128.0/17").is_some());
    net.rest();
    model::check(&net);
}

#[test]
fn a_prefix_that_a_peer_may_not_offer_is_treated_as_withdrawn_and_counted() {
    let mut net = line();
    for (text, reason) in [
        ("11.0.0.0/16", "11.0.0.0/16 is not within the peer's allowed_prefixes"),
        ("0.0.0.0/0", "0.0.0.0/0 is not within the peer's allowed_prefixes"),
        ("2001::/16", "2001::/16 is not within the peer's allowed_prefixes"),
    ] {
        let before = net.peer_view(1, 0).treated_as_withdraw;
        add(&mut net, 0, text);
        let view = net.peer_view(1, 0);
        assert_eq!(view.treated_as_withdraw, before + 1);
        assert_eq!(view.treated_as_withdraw_reason, reason);
        assert!(net.paths(1, text).is_empty() && view.state == "Established");
    }
}

#[test]
fn nothing_is_taken_from_outside_unless_allowed_and_martians_never() {
    let mut configs = network(&each_its_own(2), &[(0, 1)]);
    let mut net = Net::up(configs.clone(), 1);
    add(&mut net, 0, "10.0.0.0/8");
    assert!(net.paths(1, "10.0.0.0/8").is_empty());

    configs[1].peers[0].allowed_prefixes = prefixes(&["0.0.0.0/0", "::/0"]);
    let mut net = Net::up(configs, 1);
    for text in ["10.0.0.0/8", "0.0.0.0/0", "::/0"] {
        add(&mut net, 0, text);
        assert!(net.selected(1, text).is_some(), "{text}");
    }
    for text in [
        "127.0.0.0/8",
        "169.254.9.0/24",
        "224.0.0.0/4",
        "::1/128",
        "fe80::/10",
        "ff00::/8",
    ] {
        add(&mut net, 0, text);
        assert!(net.paths(1, text).is_empty(), "{text}");
        let reason = net.peer_view(1, 0).treated_as_withdraw_reason;
        assert_eq!(reason, format!("{text} is no prefix to take from another organisation"));
    }
}

#[test]
fn inside_the_organisation_any_prefix_is_taken() {
    let mut net = Net::up(network(&one_as(2), &[(0, 1)]), 1);
    for text in ["0.0.0.0/0", "127.0.0.0/8", "fe80::/10"] {
        add(&mut net, 0, text);
        assert!(net.selected(1, text).is_some(), "{text}");
    }
}

#[test]
fn a_prefix_within_our_own_is_a_hijack_from_the_moment_that_it_is_ours() {
    let mut net = line();
    add(&mut net, 0, "10.2.0.0/16");
    add(&mut net, 0, "10.2.7.0/24");
    add(&mut net, 0, "10.3.0.0/16");
    assert_eq!(net.advertised(1, 2), ["10.2.0.0/16", "10.2.7.0/24", "10.3.0.0/16"]);
    add(&mut net, 1, "10.2.0.0/16");
    assert_eq!(net.selected(1, "10.2.0.0/16").unwrap().learned_from, None);
    let hijack = &net.paths(1, "10.2.7.0/24")[0];
    assert!(!hijack.selected);
    assert_eq!(hijack.reason, "rejected: the prefix is within our own prefixes");
    assert_eq!(net.advertised(1, 2), ["10.2.0.0/16", "10.3.0.0/16"]);
    assert_eq!(net.peer_view(1, 0).rejected, 2);
    remove(&mut net, 1, "10.2.0.0/16");
    assert_eq!(net.as_path(2, "10.2.7.0/24"), Some(vec![65002, 65001]));
    assert_eq!(net.as_path(2, "10.2.0.0/16"), Some(vec![65002, 65001]));
    net.rest();
    model::check(&net);
}

#[test]
fn what_a_peer_has_left_behind_is_judged_again_too() {
    let mut configs = graceful(network(&each_its_own(2), &[(0, 1)]), Duration::from_secs(30));
    configs[1].peers[0].allowed_prefixes = prefixes(&["10.0.0.0/8"]);
    let mut net = Net::up(configs, 1);
    add(&mut net, 0, "10.2.7.0/24");
    net.crash(0);
    net.run_ms(100);
    assert!(net.selected(1, "10.2.7.0/24").unwrap().stale);
    add(&mut net, 1, "10.2.0.0/16");
    assert!(net.selected(1, "10.2.7.0/24").is_none() && net.paths(1, "10.2.7.0/24")[0].stale);
    remove(&mut net, 1, "10.2.0.0/16");
    assert!(net.selected(1, "10.2.7.0/24").unwrap().stale);
}

#[test]
fn service_is_of_names_and_of_nothing_else_also_with_bytes_that_were_seen_before() {
    let service = ServiceAttr {
        protocol: Protocol::Http,
        path: None,
        weight: 1,
        health: 100,
    };
    let mut net = line();
    announce(&mut net, prefix("10.1.0.0/16"), &attrs_of_0(None));
    announce(&mut net, "a.example", &attrs_of_0(Some(service.clone())));
    assert!(net.selected(1, "10.1.0.0/16").is_some() && net.selected(1, "a.example").is_some());
    // The same bytes again, each with the other kind.
    announce(&mut net, prefix("10.1.0.0/16"), &attrs_of_0(Some(service)));
    let reason = net.peer_view(1, 0).treated_as_withdraw_reason;
    assert_eq!(reason, "SERVICE (225) is of names, not of prefixes");
    announce(&mut net, "a.example", &attrs_of_0(None));
    let view = net.peer_view(1, 0);
    assert_eq!(view.treated_as_withdraw_reason, "SERVICE (225) is missing");
    assert_eq!((view.treated_as_withdraw, view.state), (2, "Established"));
    assert!(net.paths(1, "10.1.0.0/16").is_empty() && net.paths(1, "a.example").is_empty());
}

#[test]
fn a_session_carries_the_families_that_both_sides_offer() {
    let mut configs = network(&each_its_own(3), &[(0, 1), (1, 2)]);
    for peer in configs.iter_mut().flat_map(|config| &mut config.peers) {
        peer.allowed_prefixes = prefixes(&["0.0.0.0/0", "::/0"]);
    }
    configs[2].peers[0].families = [Family::Name, Family::Ipv6].into_iter().collect();
    configs[1].peers[1].families = [Family::Ipv4, Family::Ipv6].into_iter().collect();
    let mut net = Net::up(configs, 1);
    net.offer(0, "x.example");
    for text in ["10.0.0.0/8", "2001:db8::/32"] {
        add(&mut net, 0, text);
    }
    assert_eq!(net.advertised(1, 2), ["2001:db8::/32"]);
    assert_eq!(net.frames[&(2, kind::END_OF_RIB)], 1);
    let only_ipv6: Families = [Family::Ipv6].into_iter().collect();
    assert_eq!(net.peer_view(1, 2).families, only_ipv6);
    assert!(net.peer_view(1, 2).end_of_rib && net.nodes[1].speaker.is_settled());
    net.rest();
    model::check(&net);
}

#[test]
fn without_a_family_in_common_no_session_comes_up() {
    let mut configs = network(&each_its_own(2), &[(0, 1)]);
    configs[0].peers[0].families = Families::NAMES;
    configs[1].peers[0].families = Families::PREFIXES;
    let net = Net::up(configs, 1);
    assert!(net.nodes[0].logged("no family in common"));
}

#[test]
fn a_message_of_a_family_that_was_not_agreed_on_ends_the_session() {
    let mut configs = network(&each_its_own(2), &[(0, 1)]);
    configs[1].peers[0].families = Families::NAMES;
    for message in [
        Message::EndOfRib(Family::Ipv4),
        Message::RouteRefresh(RouteRefresh {
            family: Family::Ipv4,
            subtype: 0,
        }),
    ] {
        let mut net = Net::up(configs.clone(), 1);
        let mut frame = BytesMut::new();
        wire::encode(&message, &mut frame);
        net.inject(0, 1, &frame);
        assert!(net.nodes[1].logged("was not agreed on"), "{message:?}");
    }
    let mut net = Net::up(configs, 1);
    announce(&mut net, prefix("10.0.0.0/8"), &attrs_of_0(None));
    assert!(net.nodes[1].logged("family 2 in UPDATE was not agreed on"));
}

#[test]
fn a_route_refresh_concerns_its_family_alone() {
    let mut net = line();
    net.offer(1, "x.example");
    add(&mut net, 1, "10.1.0.0/16");
    add(&mut net, 1, "2001:db8:1::/48");
    let before = net.peer_view(2, 1).updates_in;
    let mut request = BytesMut::new();
    let refresh = RouteRefresh {
        family: Family::Ipv4,
        subtype: 0,
    };
    wire::encode(&Message::RouteRefresh(refresh), &mut request);
    net.inject(2, 1, &request);
    net.run_ms(10);
    assert_eq!(net.frames[&(1, kind::ROUTE_REFRESH)], 2, "begin and end");
    assert_eq!(net.peer_view(2, 1).updates_in, before + 1);
    assert_eq!(net.nodes[1].speaker.audit(), Vec::<String>::new());
}

/// A plane that gates and serves some families.
fn serving(name: &str, families: Families) -> PlaneConfig {
    PlaneConfig {
        families,
        ..plane(name, true)
    }
}

fn settle(net: &mut Net, plane: &str, statuses: &[(&str, PlaneStatus)]) {
    let statuses = statuses
        .iter()
        .map(|(text, status)| (destination(text), status.clone()));
    let report = PlaneReport {
        plane: plane.into(),
        version: net.nodes[1].version,
        statuses: statuses.collect(),
    };
    net.event(1, Event::PlaneReport(report));
    net.run_ms(10);
}

#[test]
fn advertisements_wait_for_the_planes_that_serve_their_family() {
    let mut configs = network(&one_as(3), &[(0, 1), (1, 2)]);
    configs[1].reflector = true;
    configs[1].planes = vec![
        serving("envoy", Families::NAMES),
        serving("wireguard", Families::PREFIXES),
    ];
    let mut net = Net::up(configs, 1);
    net.offer(1, "x.example");
    add(&mut net, 1, "10.1.0.0/16");
    assert_eq!(
        net.paths(1, "10.1.0.0/16")[0].reason,
        "not advertised: no data plane is connected"
    );
    net.event(1, Event::PlaneUp("wireguard".into()));
    settle(&mut net, "wireguard", &[]);
    assert_eq!(net.advertised(1, 2), ["10.1.0.0/16"], "names still wait for an Envoy");
    add(&mut net, 1, "10.2.0.0/16");
    assert_eq!(net.advertised(1, 2), ["10.1.0.0/16"]);
    let status = |net: &Net, text: &str| net.paths(1, text)[0].data_planes.clone();
    assert_eq!(
        status(&net, "10.2.0.0/16"),
        [("wireguard".into(), PlaneStatus::Pending("".into()))]
    );
    settle(&mut net, "wireguard", &[]);
    assert_eq!(net.advertised(1, 2), ["10.1.0.0/16", "10.2.0.0/16"]);
    assert_eq!(
        status(&net, "10.2.0.0/16"),
        [("wireguard".into(), PlaneStatus::Programmed)]
    );
    let refused = PlaneStatus::Rejected("no tunnel".into());
    settle(&mut net, "wireguard", &[("10.2.0.0/16", refused)]);
    assert_eq!(net.advertised(1, 2), ["10.1.0.0/16"]);
    let planes = net.nodes[1].speaker.planes();
    let counts = |plane: usize| &planes[plane].counts;
    assert_eq!((counts(0).programmed + counts(0).pending, counts(1).programmed), (1, 1));
    assert_eq!(counts(1).rejected, 1);
    assert_eq!(planes[1].rejected, [(destination("10.2.0.0/16"), "no tunnel".into())]);
}

#[test]
fn data_planes_get_the_next_hops_of_a_prefix_and_it_drains() {
    let mut configs = network(&each_its_own(3), &[(0, 1), (2, 1)]);
    for peer in &mut configs[1].peers {
        peer.allowed_prefixes = prefixes(&["10.0.0.0/8"]);
    }
    configs[1].planes = vec![plane("wireguard", false)];
    let mut net = Net::up(configs, 1);
    add(&mut net, 0, "10.1.0.0/16");
    add(&mut net, 2, "10.1.0.0/16");
    let target = |net: &Net| {
        net.nodes[1]
            .routes
            .get(&destination("10.1.0.0/16"))
            .map(|it| it.target().clone())
    };
    let Some(Target::Remote(hops)) = target(&net) else {
        panic!("{:?}", target(&net))
    };
    let shares: Vec<_> = hops.iter().map(|hop| (hop.address.ip(), hop.weight)).collect();
    assert_eq!(shares, [(address(0), 1), (address(2), 1)], "equal shares");
    remove(&mut net, 0, "10.1.0.0/16");
    remove(&mut net, 2, "10.1.0.0/16");
    assert!(target(&net).is_some() && net.paths(1, "10.1.0.0/16")[0].draining);
    net.run_ms(2000);
    assert_eq!(target(&net), None);
}

#[test]
fn a_preview_foresees_prefixes() {
    let mut net = line();
    add(&mut net, 0, "10.2.7.0/24");
    add(&mut net, 1, "10.9.0.0/16");
    let config = net.nodes[1].config.clone();
    let speaker = &net.nodes[1].speaker;
    let ours = LocalRoute::Prefix(local_prefix(prefix("10.2.0.0/16")));
    let local = BTreeMap::from([(ours.destination(), Some(ours)), (destination("10.9.0.0/16"), None)]);
    let around = speaker.surroundings(&config);
    let mut preview = Preview::new(config.clone(), config, &around, local, net.now);
    preview.page(&speaker.table_page(None, usize::MAX), net.now);
    let changes = preview.finish(net.now);
    let first = |list: &catalyst_core::view::NameList| list.first.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(first(&changes.selected.gained), ["10.2.0.0/16"]);
    assert_eq!(
        first(&changes.selected.lost),
        ["10.2.7.0/24", "10.9.0.0/16"],
        "one is a hijack then"
    );
    let (imported, exported) = &changes.peers["n000"];
    assert_eq!(first(&imported.lost), ["10.2.7.0/24"]);
    assert_eq!(
        (first(&exported.gained), first(&exported.lost)),
        (vec!["10.2.0.0/16".into()], vec!["10.9.0.0/16".into()])
    );
}
