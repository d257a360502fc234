//! What may cross the border between organisations, and what may not.

use catalyst_core::attrs::{
    Attrs, GRACEFUL_SHUTDOWN, NO_ADVERTISE, NO_EXPORT, NO_EXPORT_SUBCONFED, Origin, OriginNode, Protocol, RouterId,
    ServiceAttr, UnknownAttr,
};
use catalyst_core::event::{Event, LocalService, PeerConfig, SpeakerConfig};
use catalyst_core::policy::{Action, CommunityPattern, NamePattern, Policy, Role, Verdict};
use catalyst_core::route::Selected;
use catalyst_core::wire;

use super::config::{Who, address, destination, each_its_own, name, network, plane, service};
use super::net::Net;
use super::policy_words::{accept, community, names, policy, statement};

/// 0 - 1 - 2 in a line, an organisation each.
fn line(change: impl FnOnce(&mut Vec<SpeakerConfig>)) -> Net {
    let mut configs = network(&each_its_own(3), &[(0, 1), (1, 2)]);
    change(&mut configs);
    Net::up(configs, 1)
}

fn offer(net: &mut Net, node: usize, text: &str, communities: &[u32]) {
    let offered = LocalService {
        communities: communities.to_vec(),
        med: Some(7),
        ..service(text)
    };
    net.event(node, Event::ServiceAdd(offered));
    net.run_ms(20);
}

fn announce(net: &mut Net, text: &str, change: impl FnOnce(&mut Attrs)) {
    let mut attrs = Attrs {
        origin: Origin::Igp,
        as_path: vec![65001],
        next_hop: (address(0), 10000).into(),
        origin_node: OriginNode {
            router_id: RouterId {
                asn: 65001,
                node: "n000".into(),
            },
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
    };
    change(&mut attrs);
    let mut frames = bytes::BytesMut::new();
    wire::pack_announce(&wire::encode_attrs(&attrs), [text].into_iter(), &mut frames);
    net.inject(0, 1, &frames);
    net.run_ms(20);
}

fn told(net: &Net, node: usize, peer: usize, text: &str) -> Option<Attrs> {
    let peer = super::config::node_name(peer);
    let all = net.nodes[node].speaker.advertised(&peer, None, usize::MAX);
    all.into_iter()
        .find(|(name, _)| *name == destination(text))
        .map(|(_, attrs)| Attrs::clone(&attrs))
}

fn exported_to(net: &Net, node: usize, text: &str) -> Vec<String> {
    match &net.nodes[node].routes[&destination(text)] {
        Selected::Name(route) => route.exported_to.iter().map(ToString::to_string).collect(),
        Selected::Prefix(route) => route.exported_to.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn only_what_the_export_policy_accepts_by_community_is_told_and_opened() {
    let public = policy("public-only", vec![accept("public", vec![community(65002, 1)])]);
    let mut net = line(|configs| {
        configs[1].planes = vec![plane("envoy", false)];
        configs[1].peers[1].export.clone_from(&public);
    });
    offer(&mut net, 1, "open.example", &[65002 << 16 | 1]);
    offer(&mut net, 1, "secret.example", &[65002 << 16 | 2]);
    assert_eq!(net.advertised(1, 2), ["open.example"]);
    assert_eq!(exported_to(&net, 1, "open.example"), ["org-0", "org-2"]);
    assert_eq!(exported_to(&net, 1, "secret.example"), ["org-0"]);
    net.cut(1, 2);
    net.rest();
    assert_eq!(
        exported_to(&net, 1, "open.example"),
        ["org-0", "org-2"],
        "session up or not"
    );
    assert_eq!(exported_to(&net, 1, "secret.example"), ["org-0"]);
}

#[test]
fn a_policy_by_name_opens_only_its_names_also_below_a_wildcard() {
    let mut net = line(|configs| {
        configs[1].planes = vec![plane("envoy", false)];
        configs[1].peers[1].export = policy("by-name", vec![accept("apis", vec![names(&["api-*.example"])])]);
    });
    for text in ["api-1.example", "db.example", "*.example"] {
        offer(&mut net, 1, text, &[]);
    }
    assert_eq!(net.advertised(1, 2), ["api-1.example"]);
    assert_eq!(exported_to(&net, 1, "api-1.example"), ["org-0", "org-2"]);
    assert_eq!(exported_to(&net, 1, "*.example"), ["org-0"]);
}

#[test]
fn what_is_private_stays_inside() {
    // 0 is outside; 1, 2 and 3 are ours: 1 and 2 in one AS, 3 in another.
    let nodes = [
        Who::new(1, "left"),
        Who::new(2, "acme"),
        Who::new(2, "acme"),
        Who::new(3, "acme"),
    ];
    let mut configs = network(&nodes, &[(0, 1), (1, 2), (1, 3)]);
    configs[1].internal_communities = vec![
        CommunityPattern::Standard(Some(2), Some(9)),
        CommunityPattern::Large(Some(2), None, None),
    ];
    let preferred = statement("all", Vec::new(), vec![Action::SetLocalPref(700)], Verdict::Accept);
    let of_2 = |peer: &mut PeerConfig| peer.import = policy("prefer", vec![preferred]);
    of_2(&mut configs[1].peers[1]);
    let mut net = Net::up(configs, 1);
    let offered = LocalService {
        communities: vec![2 << 16 | 9, 2 << 16 | 10],
        large_communities: vec![(2, 1, 1), (4, 1, 1)],
        med: Some(7),
        ..service("x.acme")
    };
    net.event(2, Event::ServiceAdd(offered));
    net.run_ms(20);
    assert_eq!(net.selected(1, "x.acme").unwrap().local_pref, 700);
    let outside = told(&net, 1, 0, "x.acme").unwrap();
    assert_eq!((outside.local_pref, outside.med), (None, None));
    assert_eq!(outside.communities, [2 << 16 | 10]);
    assert_eq!(outside.large_communities, [(4, 1, 1)]);
    assert_eq!((outside.originator, outside.cluster_list.len()), (None, 0));
    assert_eq!(outside.as_path, [2]);
    let inside = told(&net, 1, 3, "x.acme").unwrap();
    assert_eq!(
        inside.communities,
        [2 << 16 | 9, 2 << 16 | 10],
        "another AS of ours sees them"
    );
    assert_eq!((inside.local_pref, inside.med), (None, None));
}

#[test]
fn communities_that_become_internal_are_taken_off_what_was_told_before() {
    for conditions in [Vec::new(), vec![names(&["*.example"])]] {
        let export = policy("p", vec![accept("all", conditions)]);
        let mut net = line(|configs| configs[1].peers[1].export = export);
        offer(&mut net, 1, "x.example", &[65002 << 16 | 9]);
        assert_eq!(told(&net, 1, 2, "x.example").unwrap().communities, [65002 << 16 | 9]);
        let internal = vec![CommunityPattern::Standard(Some(65002), None)];
        net.reconfigure(1, |config| config.internal_communities = internal);
        assert!(told(&net, 1, 2, "x.example").unwrap().communities.is_empty());
    }
}

#[test]
fn export_policy_may_set_med_and_prepend() {
    let actions = vec![Action::SetMed(Some(42)), Action::Prepend(2), Action::SetLocalPref(9)];
    let mut net = line(|configs| {
        configs[1].peers[1].export = policy("p", vec![statement("all", Vec::new(), actions, Verdict::Accept)]);
    });
    offer(&mut net, 0, "x.example", &[]);
    let attrs = told(&net, 1, 2, "x.example").unwrap();
    assert_eq!((attrs.med, attrs.local_pref), (Some(42), None));
    assert_eq!(attrs.as_path, [65002, 65002, 65002, 65001]);
}

#[test]
fn well_known_communities_are_kept_to() {
    let nodes = [
        Who::new(1, "left"),
        Who::new(2, "acme"),
        Who::new(2, "acme"),
        Who::new(3, "acme"),
    ];
    let mut net = Net::up(network(&nodes, &[(0, 1), (1, 2), (1, 3)]), 1);
    for (text, community, inside) in [
        ("stay.acme", NO_EXPORT, true),
        ("sub.acme", NO_EXPORT_SUBCONFED, true),
        ("here.acme", NO_ADVERTISE, false),
    ] {
        offer(&mut net, 1, text, &[community]);
        assert_eq!(told(&net, 1, 2, text).is_some(), inside, "{text} inside the AS");
        assert_eq!(told(&net, 1, 3, text), None, "{text} to another AS of ours");
        assert_eq!(told(&net, 1, 0, text), None, "{text} to outside");
    }
}

#[test]
fn graceful_shutdown_makes_a_route_of_another_as_the_last_resort() {
    let mut net = line(|_| {});
    offer(&mut net, 0, "x.example", &[GRACEFUL_SHUTDOWN]);
    let path = net.selected(1, "x.example").unwrap();
    assert_eq!((path.local_pref, path.attrs.local_pref), (0, Some(0)));
    assert_eq!(told(&net, 1, 2, "x.example").unwrap().communities, [GRACEFUL_SHUTDOWN]);
    let pattern = CommunityPattern::Standard(Some(0xffff), Some(0));
    let off = statement(
        "all",
        Vec::new(),
        vec![Action::RemoveCommunities(vec![pattern])],
        Verdict::Accept,
    );
    net.reconfigure(1, |config| config.peers[0].import = policy("off", vec![off]));
    net.run_ms(20);
    assert_eq!(net.selected(1, "x.example").unwrap().local_pref, 100);
}

#[test]
fn hijacks_and_names_out_of_bounds_are_counted() {
    let mut net = line(|configs| {
        configs[1].domains = vec![name("acme.example")];
        configs[1].peers[0].allowed_names = Some(vec![
            NamePattern::parse("*.left.example").unwrap(),
            NamePattern::parse("*.acme.example").unwrap(),
        ]);
    });
    announce(&mut net, "x.acme.example", |_| {});
    announce(&mut net, "x.acme.example", |_| {});
    announce(&mut net, "x.left.example", |_| {});
    announce(&mut net, "x.right.example", |_| {});
    let view = net.peer_view(1, 0);
    assert_eq!((view.hijacks, view.treated_as_withdraw), (1, 1));
    assert_eq!(
        view.treated_as_withdraw_reason,
        "the name is not within the peer's allowed_names"
    );
    assert!(net.paths(1, "x.right.example").is_empty());
    assert!(net.selected(1, "x.left.example").is_some() && net.selected(1, "x.acme.example").is_none());
    net.reconfigure(1, |config| config.peers[0].allowed_names = Some(Vec::new()));
    net.run_ms(20);
    assert!(net.paths(1, "x.left.example").is_empty());
    assert_eq!(net.peer_view(1, 0).treated_as_withdraw, 2);
}

#[test]
fn names_that_become_allowed_are_asked_for_again() {
    let mut net = line(|configs| configs[1].peers[0].allowed_names = Some(Vec::new()));
    offer(&mut net, 0, "x.example", &[]);
    assert!(net.paths(1, "x.example").is_empty());
    net.reconfigure(1, |config| config.peers[0].allowed_names = None);
    net.run_ms(50);
    assert!(net.selected(1, "x.example").is_some());
}

/// The roles on both sides of a session (RFC 9234 section 4.2).
fn roles(configs: &mut [SpeakerConfig], one: usize, other: usize, role: Role) {
    let opposite = match role {
        Role::Provider => Role::Customer,
        Role::Customer => Role::Provider,
        Role::RouteServer => Role::RouteServerClient,
        Role::RouteServerClient => Role::RouteServer,
        Role::Peer => Role::Peer,
    };
    let of = |config: &mut SpeakerConfig, peer: usize, role| {
        let name = super::config::node_name(peer);
        config.peers.iter_mut().find(|peer| *peer.name == *name).unwrap().role = Some(role);
    };
    of(&mut configs[one], other, role);
    of(&mut configs[other], one, opposite);
}

#[test]
fn routes_of_a_provider_go_to_customers_only() {
    // 1 has the provider 0, the lateral peer 2 and the customer 3.
    let mut configs = network(&each_its_own(4), &[(0, 1), (1, 2), (1, 3)]);
    roles(&mut configs, 0, 1, Role::Provider);
    roles(&mut configs, 1, 2, Role::Peer);
    roles(&mut configs, 1, 3, Role::Provider);
    let mut net = Net::up(configs, 1);
    for (node, text) in [
        (0, "up.example"),
        (1, "own.example"),
        (2, "side.example"),
        (3, "down.example"),
    ] {
        offer(&mut net, node, text, &[]);
    }
    assert_eq!(net.advertised(1, 3), ["own.example", "side.example", "up.example"]);
    assert_eq!(net.advertised(1, 2), ["down.example", "own.example"]);
    assert_eq!(net.advertised(1, 0), ["down.example", "own.example"]);
    assert_eq!(told(&net, 1, 3, "own.example").unwrap().only_to_customer, Some(65002));
    assert_eq!(told(&net, 1, 3, "up.example").unwrap().only_to_customer, Some(65001));
    assert_eq!(told(&net, 1, 0, "own.example").unwrap().only_to_customer, None);
    assert_eq!(
        net.selected(1, "side.example").unwrap().attrs.only_to_customer,
        Some(65003)
    );
}

#[test]
fn a_leak_by_a_customer_is_not_used_and_counted() {
    let mut configs = network(&each_its_own(3), &[(0, 1), (1, 2)]);
    roles(&mut configs, 1, 0, Role::Provider);
    let mut net = Net::up(configs, 1);
    announce(&mut net, "x.example", |attrs| attrs.only_to_customer = Some(65009));
    let path = &net.paths(1, "x.example")[0];
    assert!(!path.selected && path.reason.contains("route leak"), "{}", path.reason);
    assert_eq!((net.peer_view(1, 0).leaks, net.peer_view(1, 0).rejected), (1, 1));
    announce(&mut net, "x.example", |_| {});
    assert!(net.selected(1, "x.example").is_some());
}

#[test]
fn a_lateral_peer_passes_on_only_what_it_marked_itself() {
    let mut configs = network(&each_its_own(3), &[(0, 1), (1, 2)]);
    roles(&mut configs, 1, 0, Role::Peer);
    let mut net = Net::up(configs, 1);
    announce(&mut net, "own.example", |attrs| attrs.only_to_customer = Some(65001));
    announce(&mut net, "leak.example", |attrs| attrs.only_to_customer = Some(65009));
    assert!(net.selected(1, "own.example").is_some() && net.selected(1, "leak.example").is_none());
}

#[test]
fn a_policy_change_opens_before_it_tells_and_resets_nothing() {
    let mut net = line(|configs| {
        configs[1].planes = vec![plane("envoy", true)];
        configs[1].peers[1].export = Some(Policy::reject().into());
    });
    let settle = |net: &mut Net| {
        let version = net.nodes[1].version;
        let report = catalyst_core::event::PlaneReport {
            plane: "envoy".into(),
            version,
            statuses: Vec::new(),
        };
        net.event(1, Event::PlaneReport(report));
    };
    net.event(1, Event::PlaneUp("envoy".into()));
    settle(&mut net);
    for text in ["a.example", "b.example"] {
        offer(&mut net, 1, text, &[]);
        settle(&mut net);
    }
    assert!(net.advertised(1, 2).is_empty());
    let a_only = policy("a", vec![accept("a", vec![names(&["a.example"])])]);
    net.reconfigure(1, |config| config.peers[1].export = a_only);
    net.run_ms(20);
    assert_eq!(exported_to(&net, 1, "a.example"), ["org-0", "org-2"], "opened at once");
    assert!(net.advertised(1, 2).is_empty(), "told once the data plane has it");
    settle(&mut net);
    assert_eq!(net.advertised(1, 2), ["a.example"]);
    net.reconfigure(1, |config| config.peers[1].export = Some(Policy::reject().into()));
    assert!(net.advertised(1, 2).is_empty(), "withdrawn at once");
    net.run_ms(20);
    assert!(net.paths(2, "a.example").is_empty());
    assert_eq!(net.peer_view(1, 2).established_count, 1);
}

#[test]
fn a_set_of_the_greatest_length_that_import_adds_to_is_used_and_not_passed_on() {
    let mut net = line(|configs| {
        let zero = configs[1].peers.iter_mut().find(|peer| *peer.name == *"n000");
        let adds = vec![Action::AddCommunities(vec![7])];
        zero.unwrap().import = policy("adds", vec![statement("adds", vec![], adds, Verdict::Accept)]);
    });
    announce(&mut net, "x.example", |attrs| {
        attrs.unknown = vec![UnknownAttr {
            flags: 0xc0,
            code: 200,
            value: bytes::Bytes::new(),
        }];
        let rest = wire::MAX_ATTRS_BYTES - wire::encode_attrs(attrs).len();
        attrs.unknown[0].value = vec![0; rest].into();
    });
    assert_eq!(net.selected(1, "x.example").unwrap().attrs.communities, [7]);
    assert_eq!(told(&net, 1, 2, "x.example"), None);
    let why = net.nodes[1].speaker.why(&destination("x.example"), net.now).unwrap();
    let to_two = why.peers.iter().find(|peer| *peer.peer == *"n002").unwrap();
    assert_eq!(
        to_two.reason.to_string(),
        "its attributes are more than any receiver takes"
    );
}
