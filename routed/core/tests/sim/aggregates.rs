//! Aggregates: a wildcard towards other organisations in place of its members, a discard here.

use catalyst_core::attrs::Protocol;
use catalyst_core::event::{Aggregate, Event, LocalService, Members, SpeakerConfig};
use catalyst_core::policy::Policy;
use catalyst_core::route::{Selected, Target};
use catalyst_core::view::ExportReason;

use super::config::{Who, destination, name, network, node_name, plane, service};
use super::fresh::equals_a_fresh_one;
use super::net::Net;
use super::policy_words::{accept, community, names, policy, reject};

pub(crate) fn aggregate(text: &str) -> Aggregate {
    Aggregate {
        name: name(text),
        to: None,
        suppress: true,
        members: Members::Own,
        always: false,
        communities: Vec::new(),
        large_communities: Vec::new(),
        med: None,
    }
}

/// 0 is a node behind the border node 1, both of acme; 2 and 3 are other organisations.
fn border(change: impl FnOnce(&mut SpeakerConfig)) -> Net {
    let acme = Who::new(1, "acme");
    let nodes = [acme.clone(), acme, Who::new(2, "beta"), Who::new(3, "gamma")];
    let mut configs = network(&nodes, &[(0, 1), (1, 2), (1, 3)]);
    configs[1].planes = vec![plane("envoy", false)];
    configs[1].aggregates = vec![aggregate("*.acme")];
    change(&mut configs[1]);
    Net::up(configs, 1)
}

fn offer(net: &mut Net, node: usize, text: &str, protocol: Protocol) {
    let offered = LocalService {
        protocol,
        ..service(text)
    };
    net.event(node, Event::ServiceAdd(offered));
    net.run_ms(20);
}

fn exported_to(net: &Net, text: &str) -> Vec<String> {
    let route = &net.nodes[1].routes[&destination(text)];
    route.exported_to().iter().map(ToString::to_string).collect()
}

fn is_discard(net: &Net, text: &str) -> bool {
    match &net.nodes[1].routes[&destination(text)] {
        Selected::Name(route) => route.target == Target::Discard,
        Selected::Prefix(_) => false,
    }
}

#[test]
fn an_aggregate_stands_for_its_http_and_grpc_members() {
    let mut net = border(|_| {});
    assert!(net.advertised(1, 2).is_empty() && is_discard(&net, "*.acme"));
    offer(&mut net, 0, "a.acme", Protocol::Http);
    offer(&mut net, 1, "b.dc1.acme", Protocol::HttpGrpc);
    offer(&mut net, 0, "graph.acme", Protocol::HttpGraphql);
    offer(&mut net, 0, "db.acme", Protocol::Tcp);
    offer(&mut net, 1, "elsewhere", Protocol::Http);
    for peer in [2, 3] {
        assert_eq!(
            net.advertised(1, peer),
            ["*.acme", "db.acme", "elsewhere", "graph.acme"]
        );
    }
    assert_eq!(
        net.advertised(1, 0),
        ["b.dc1.acme", "elsewhere"],
        "nothing changes inside"
    );
    assert_eq!(
        exported_to(&net, "a.acme"),
        ["beta", "gamma"],
        "members are open where they are accepted"
    );
    assert!(is_discard(&net, "*.acme"));
    let told = net.selected(2, "*.acme").unwrap();
    assert_eq!(
        (told.attrs.as_path.clone(), &*told.origin.organisation),
        (vec![1], "acme")
    );
    net.withdraw(0, "a.acme");
    net.run_ms(20);
    assert!(net.selected(2, "*.acme").is_some());
    net.withdraw(1, "b.dc1.acme");
    net.run_ms(20);
    assert_eq!(
        net.advertised(1, 2),
        ["db.acme", "elsewhere", "graph.acme"],
        "gone with its last member"
    );
    net.rest();
    equals_a_fresh_one(&net);
}

#[test]
fn members_of_others_are_not_hidden_unless_asked_for() {
    let mut net = border(|_| {});
    offer(&mut net, 0, "a.acme", Protocol::Http);
    offer(&mut net, 3, "theirs.acme", Protocol::Http);
    assert_eq!(net.advertised(1, 2), ["*.acme", "theirs.acme"]);
    net.reconfigure(1, |config| config.aggregates[0].members = Members::Any);
    net.run_ms(20);
    assert_eq!(net.advertised(1, 2), ["*.acme"]);
    net.reconfigure(1, |config| config.aggregates[0].suppress = false);
    net.run_ms(20);
    assert_eq!(net.advertised(1, 2), ["*.acme", "a.acme", "theirs.acme"]);
    net.rest();
    equals_a_fresh_one(&net);
}

#[test]
fn policy_decides_who_is_told_of_the_aggregate_and_what_is_open_below_it() {
    let public = [accept("public", vec![community(1, 1)]), reject("rest", Vec::new())];
    let mut net = border(|config| {
        config.aggregates[0].communities = vec![1 << 16 | 1];
        config.peers[1].export = policy("public", public.to_vec());
        config.peers[2].export = policy("members", vec![accept("below", vec![names(&["a.acme"])])]);
    });
    net.event(0, {
        let communities = vec![1 << 16 | 1];
        Event::ServiceAdd(LocalService {
            communities,
            ..service("a.acme")
        })
    });
    offer(&mut net, 0, "b.acme", Protocol::Http);
    assert_eq!(net.advertised(1, 2), ["*.acme"]);
    assert_eq!(
        net.advertised(1, 3),
        ["a.acme"],
        "without the aggregate nothing is suppressed"
    );
    assert_eq!(exported_to(&net, "a.acme"), ["beta", "gamma"]);
    assert!(
        exported_to(&net, "b.acme").is_empty(),
        "the aggregate opens only accepted members"
    );
    net.reconfigure(1, |config| config.peers[1].export = Some(Policy::reject().into()));
    net.run_ms(20);
    assert!(net.advertised(1, 2).is_empty());
}

#[test]
fn an_aggregate_may_be_for_some_peers_only() {
    let mut net = border(|config| config.aggregates[0].to = Some(vec![node_name(2).into()]));
    offer(&mut net, 0, "a.acme", Protocol::Http);
    assert_eq!(net.advertised(1, 2), ["*.acme"]);
    assert_eq!(net.advertised(1, 3), ["a.acme"]);
    let a = net.nodes[1].speaker.why(&destination("a.acme"), net.now).unwrap();
    let aggregate = destination("*.acme");
    assert_eq!(a.peers[1].reason, ExportReason::Aggregated { aggregate });
    let all = net.nodes[1].speaker.why(&destination("*.acme"), net.now).unwrap();
    let reasons: Vec<&ExportReason> = all.peers.iter().map(|peer| &peer.reason).collect();
    assert_eq!(
        reasons,
        [
            &ExportReason::NoAggregate,
            &ExportReason::Advertised,
            &ExportReason::NoAggregate
        ]
    );
    assert!(
        all.paths[0].reason.contains("aggregate of 1 names"),
        "{}",
        all.paths[0].reason
    );
}

#[test]
fn a_real_wildcard_goes_before_an_aggregate_and_hides_nothing() {
    let mut net = border(|_| {});
    offer(&mut net, 0, "a.acme", Protocol::Http);
    offer(&mut net, 1, "b.acme", Protocol::Http);
    offer(&mut net, 0, "*.acme", Protocol::Http);
    assert!(!is_discard(&net, "*.acme"));
    assert_eq!(net.advertised(1, 2), ["*.acme", "a.acme", "b.acme"]);
    net.withdraw(0, "*.acme");
    net.rest();
    assert!(is_discard(&net, "*.acme"));
    assert_eq!(net.advertised(1, 2), ["*.acme"]);
    equals_a_fresh_one(&net);
}

#[test]
fn what_another_organisation_offers_under_the_name_is_used_here_and_not_passed_on() {
    let mut net = border(|_| {});
    offer(&mut net, 0, "a.acme", Protocol::Http);
    offer(&mut net, 3, "*.acme", Protocol::Http);
    assert!(!is_discard(&net, "*.acme"));
    assert_eq!(
        net.selected(2, "*.acme").unwrap().origin.router_id.asn,
        1,
        "the aggregate, not theirs"
    );
    assert_eq!(net.advertised(1, 3), ["*.acme"], "and they are told of it");
    assert_eq!(net.advertised(1, 0), ["*.acme"], "inside theirs goes on");
    net.withdraw(0, "a.acme");
    net.run_ms(20);
    assert_eq!(net.selected(2, "*.acme").unwrap().origin.router_id.asn, 3);
    assert!(net.advertised(1, 3).is_empty());
    net.rest();
    equals_a_fresh_one(&net);
}

#[test]
fn a_default_is_given_without_members_and_unknown_names_end_at_the_provider() {
    let mut net = border(|config| {
        config.aggregates = vec![Aggregate {
            always: true,
            members: Members::Any,
            to: Some(vec![node_name(2).into()]),
            ..aggregate("*")
        }];
    });
    assert_eq!(net.advertised(1, 2), ["*"]);
    assert!(net.advertised(1, 3).is_empty() && is_discard(&net, "*"));
    offer(&mut net, 3, "x.gamma", Protocol::Http);
    offer(&mut net, 2, "y.beta", Protocol::Http);
    assert_eq!(net.advertised(1, 2), ["*"]);
    assert_eq!(
        net.advertised(1, 3),
        ["y.beta"],
        "the provider knows its customer by name"
    );
    assert_eq!(exported_to(&net, "x.gamma"), ["beta"]);
}

#[test]
fn aggregates_come_and_go_by_configuration() {
    let mut net = border(|config| config.aggregates.clear());
    net.reconfigure(1, |config| config.domains = vec![name("acme")]);
    offer(&mut net, 0, "a.acme", Protocol::Http);
    offer(&mut net, 0, "b.acme", Protocol::Http);
    assert_eq!(net.advertised(1, 2), ["a.acme", "b.acme"]);
    net.reconfigure(1, |config| config.aggregates = vec![aggregate("*.acme")]);
    net.run_ms(20);
    assert_eq!(net.advertised(1, 2), ["*.acme"]);
    net.reconfigure(1, |config| config.domains.clear());
    assert!(is_discard(&net, "*.acme"), "a discard as long as either asks for it");
    net.reconfigure(1, |config| config.aggregates.clear());
    net.run_ms(20);
    assert_eq!(net.advertised(1, 2), ["a.acme", "b.acme"]);
    assert!(!net.nodes[1].routes.contains_key(&destination("*.acme")));
    assert_eq!(net.peer_view(1, 2).established_count, 1);
    net.rest();
    equals_a_fresh_one(&net);
}
