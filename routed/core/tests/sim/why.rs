//! Answers to "why": every candidate with what beat it, every peer with what keeps the route from it.

use catalyst_core::event::{Event, LocalService, SpeakerConfig};
use catalyst_core::policy::{Action, Role, Verdict};
use catalyst_core::view::{Direction, ExportReason, PathWhy, PeerWhy, PolicyQuestion, PolicyTestError, WhyView};

use super::config::{Who, destination, each_its_own, network, node_name, one_as, plane, service};
use super::net::Net;
use super::policy_words::{accept, community, names, policy, reject, statement};

fn why(net: &Net, node: usize, text: &str) -> WhyView {
    net.nodes[node].speaker.why(&destination(text), net.now).unwrap()
}

fn path(why: &WhyView, from: usize) -> &PathWhy {
    let from = node_name(from);
    why.paths
        .iter()
        .find(|path| path.route.learned_from.as_deref() == Some(&*from))
        .unwrap()
}

fn peer(why: &WhyView, peer: usize) -> &PeerWhy {
    let name = node_name(peer);
    why.peers.iter().find(|why| *why.peer == *name).unwrap()
}

fn reason(net: &Net, node: usize, to: usize, text: &str) -> String {
    peer(&why(net, node, text), to).reason.to_string()
}

fn offer(net: &mut Net, node: usize, text: &str, communities: &[u32]) {
    let offered = LocalService {
        communities: communities.to_vec(),
        ..service(text)
    };
    net.event(node, Event::ServiceAdd(offered));
    net.run_ms(20);
}

/// A star: 0 in the middle, an organisation each.
fn star(change: impl FnOnce(&mut Vec<SpeakerConfig>)) -> Net {
    let mut configs = network(&each_its_own(4), &[(0, 1), (0, 2), (0, 3)]);
    change(&mut configs);
    Net::up(configs, 1)
}

#[test]
fn the_statement_that_rejects_a_path_is_named_and_traced() {
    let import = policy(
        "partner",
        vec![accept("public", vec![community(65002, 1)]), reject("rest", Vec::new())],
    );
    let mut net = star(|configs| configs[0].peers[0].import = import);
    offer(&mut net, 1, "x.example", &[65002 << 16 | 2]);
    offer(&mut net, 2, "x.example", &[]);
    let why = why(&net, 0, "x.example");
    let rejected = path(&why, 1);
    assert_eq!(rejected.reason, "rejected: import policy partner, statement rest");
    let trace = rejected.import.as_ref().unwrap();
    let condition = &trace.statements[0].conditions[0];
    assert_eq!(
        (&*condition.wanted, &*condition.found, condition.holds),
        ("65002:1", "65002:2", false)
    );
    assert!(trace.statements[1].applies);
    assert!(path(&why, 2).route.selected);
}

#[test]
fn the_default_is_named_where_no_statement_decides() {
    let import = policy("partner", vec![accept("public", vec![community(65002, 1)])]);
    let mut net = star(|configs| configs[0].peers[0].import = import);
    offer(&mut net, 1, "x.example", &[]);
    assert_eq!(
        path(&why(&net, 0, "x.example"), 1).reason,
        "rejected: import policy partner: no statement decides, and the default is to reject"
    );
}

#[test]
fn the_step_that_beat_a_path_is_told_with_its_values() {
    let prefer = |value| {
        policy(
            "prefer",
            vec![statement(
                "all",
                Vec::new(),
                vec![Action::SetLocalPref(value)],
                Verdict::Accept,
            )],
        )
    };
    let mut net = star(|configs| {
        configs[0].peers[0].import = prefer(200);
        configs[0].peers[1].import = prefer(150);
        let prepend = statement("all", Vec::new(), vec![Action::Prepend(3)], Verdict::Accept);
        configs[3].peers[0].export = policy("prepend", vec![prepend]);
    });
    for node in 1..4 {
        offer(&mut net, node, "x.example", &[]);
        offer(&mut net, node, "y.example", &[]);
    }
    net.event(1, Event::ServiceRemove("x.example".parse().unwrap()));
    net.run_ms(20);
    let x = why(&net, 0, "x.example");
    assert!(x.paths[0].route.selected);
    assert_eq!(path(&x, 3).reason, "lower LOCAL_PREF (100; the winner: 150)");
    net.reconfigure(0, |config| config.peers[1].import = prefer(100));
    net.run_ms(20);
    assert_eq!(
        path(&why(&net, 0, "x.example"), 3).reason,
        "longer AS path (4 ASes; the winner: 1 ASes)"
    );
    assert_eq!(
        path(&why(&net, 0, "y.example"), 2).reason,
        "lower LOCAL_PREF (100; the winner: 200)"
    );
}

#[test]
fn every_reason_not_to_tell_a_peer_has_its_words() {
    let public = policy(
        "public-only",
        vec![accept("public", vec![community(65001, 1)]), reject("rest", Vec::new())],
    );
    let silent = policy("quiet", vec![accept("never", vec![names(&["no.such.name"])])]);
    let mut net = star(|configs| {
        configs[0].peers[1].export = public;
        configs[0].peers[2].export = silent;
    });
    offer(&mut net, 1, "x.example", &[]);
    assert_eq!(
        reason(&net, 0, 1, "x.example"),
        "split horizon: the selected path came from this peer"
    );
    assert_eq!(
        reason(&net, 0, 2, "x.example"),
        "export policy public-only, statement rest rejects it"
    );
    assert_eq!(
        reason(&net, 0, 3, "x.example"),
        "export policy quiet: no statement decides, and the default is to reject"
    );
    let trace = peer(&why(&net, 0, "x.example"), 2).export.clone().unwrap();
    assert_eq!(trace.decided_by.as_deref(), Some("rest"));
    net.reconfigure(0, |config| config.peers[2].export = None);
    assert!(reason(&net, 0, 3, "x.example").contains("no export policy"));
    net.reconfigure(0, |config| {
        config.peers[2].export = Some(catalyst_core::policy::Policy::reject().into());
    });
    assert_eq!(
        reason(&net, 0, 3, "x.example"),
        "export policy reject rejects everything"
    );

    offer(&mut net, 0, "here.example", &[catalyst_core::attrs::NO_ADVERTISE]);
    offer(&mut net, 0, "stay.example", &[catalyst_core::attrs::NO_EXPORT]);
    offer(&mut net, 0, "open.example", &[65001 << 16 | 1]);
    assert_eq!(peer(&why(&net, 0, "here.example"), 2).reason, ExportReason::NoAdvertise);
    assert_eq!(peer(&why(&net, 0, "stay.example"), 2).reason, ExportReason::NoExport);
    let open = why(&net, 0, "open.example");
    assert_eq!(peer(&open, 2).reason, ExportReason::Advertised);
    assert!(peer(&open, 2).advertised);
    assert_eq!(peer(&open, 2).attrs.as_ref().unwrap().as_path, [65001]);
    net.cut(0, 2);
    net.run_ms(20);
    assert!(reason(&net, 0, 2, "open.example").contains("the session is down"));
    assert_eq!(
        reason(&net, 0, 2, "x.example"),
        "export policy public-only, statement rest rejects it",
        "what will not change by itself comes first"
    );
}

#[test]
fn loops_organisations_reflection_and_roles_are_told() {
    // 0 has 1 and 2 of one organisation, two ASes; 3 and 4 are ours, in our AS.
    let nodes = [
        Who::new(9, "acme"),
        Who::new(1, "left"),
        Who::new(2, "left"),
        Who::new(9, "acme"),
        Who::new(9, "acme"),
    ];
    let mut configs = network(&nodes, &[(0, 1), (0, 2), (0, 3), (0, 4)]);
    let mut net = Net::up(configs.clone(), 1);
    offer(&mut net, 1, "x.example", &[]);
    assert!(reason(&net, 0, 2, "x.example").contains("the same organisation, left"));
    offer(&mut net, 3, "y.acme", &[]);
    assert!(reason(&net, 0, 4, "y.acme").contains("no reflector"));
    configs[0].reflector = true;
    configs[0].peers[2].client = false;
    configs[0].peers[3].client = false;
    let mut net = Net::up(configs, 1);
    offer(&mut net, 3, "y.acme", &[]);
    assert!(reason(&net, 0, 4, "y.acme").contains("neither peer is a client"));

    let mut configs = network(&each_its_own(3), &[(0, 1), (1, 2), (0, 2)]);
    configs[1].peers[0].role = Some(Role::Customer);
    configs[0].peers[0].role = Some(Role::Provider);
    configs[1].peers[1].role = Some(Role::Peer);
    configs[2].peers[1].role = Some(Role::Peer);
    let mut net = Net::up(configs, 1);
    offer(&mut net, 0, "x.example", &[]);
    assert!(reason(&net, 1, 2, "x.example").contains("ONLY_TO_CUSTOMER of AS 65001"));
    offer(&mut net, 2, "z.example", &[]);
    let z = why(&net, 0, "z.example");
    assert!(peer(&z, 2).reason == ExportReason::LearnedFromIt && peer(&z, 1).advertised);
}

#[test]
fn an_as_loop_is_told() {
    let mut net = Net::up(network(&each_its_own(3), &[(0, 1), (1, 2), (0, 2)]), 1);
    net.cut(0, 1);
    net.rest();
    offer(&mut net, 1, "x.example", &[]);
    net.mend(0, 1);
    net.reconfigure(0, |config| {
        let only_2 = policy("none", vec![reject("all", Vec::new())]);
        config.peers[0].import = only_2;
    });
    net.rest();
    assert_eq!(
        reason(&net, 0, 1, "x.example"),
        "AS loop: AS_PATH holds the peer's AS 65002"
    );
}

#[test]
fn data_planes_are_told_of() {
    let mut net = star(|configs| configs[0].planes = vec![plane("envoy", true)]);
    offer(&mut net, 1, "x.example", &[]);
    assert_eq!(peer(&why(&net, 0, "x.example"), 2).reason, ExportReason::NoDataPlane);
    net.event(0, Event::PlaneUp("envoy".into()));
    net.run_ms(2000);
    assert_eq!(peer(&why(&net, 0, "x.example"), 2).reason, ExportReason::Advertised);
    offer(&mut net, 1, "y.example", &[]);
    assert_eq!(
        peer(&why(&net, 0, "y.example"), 2).reason,
        ExportReason::WaitsForDataPlanes
    );
    let report = catalyst_core::event::PlaneReport {
        plane: "envoy".into(),
        version: net.nodes[0].version,
        statuses: vec![(
            destination("y.example"),
            catalyst_core::route::PlaneStatus::Rejected("no".into()),
        )],
    };
    net.event(0, Event::PlaneReport(report));
    assert_eq!(reason(&net, 0, 2, "y.example"), "rejected by envoy: no");
}

#[test]
fn a_policy_is_tried_on_live_and_given_routes() {
    let mut net = star(|_| {});
    offer(&mut net, 1, "x.example", &[65002 << 16 | 1]);
    offer(&mut net, 2, "x.example", &[]);
    let tried = policy("p", vec![accept("public", vec![community(65002, 1)])]).unwrap();
    let x = destination("x.example");
    let question = PolicyQuestion {
        policy: &tried,
        direction: Direction::Import,
        peer: None,
        destination: &x,
        attrs: None,
    };
    let speaker = &net.nodes[0].speaker;
    let verdicts = |question: &PolicyQuestion<'_>| {
        let tests = speaker.test_policy(question).unwrap();
        let verdicts = tests.iter().map(|test| (test.peer.to_string(), test.trace.accepted));
        verdicts.collect::<Vec<_>>()
    };
    assert_eq!(
        verdicts(&question),
        [("n001".to_owned(), true), ("n002".to_owned(), false)]
    );
    let export = PolicyQuestion {
        direction: Direction::Export,
        peer: Some("n003"),
        ..question
    };
    assert_eq!(verdicts(&export), [("n003".to_owned(), true)]);
    let other = speaker.route(&x, net.now)[1].attrs.clone();
    let given = PolicyQuestion {
        attrs: Some(&other),
        ..export
    };
    assert_eq!(verdicts(&given), [("n003".to_owned(), false)]);
    let error = |question: &PolicyQuestion<'_>| speaker.test_policy(question).unwrap_err();
    let nowhere = destination("y.example");
    assert_eq!(
        error(&PolicyQuestion {
            destination: &nowhere,
            ..question
        }),
        PolicyTestError::NoRoute(nowhere.clone())
    );
    assert_eq!(
        error(&PolicyQuestion {
            peer: Some("nobody"),
            ..question
        }),
        PolicyTestError::UnknownPeer("nobody".into())
    );
    assert_eq!(
        error(&PolicyQuestion {
            peer: Some("n003"),
            ..question
        }),
        PolicyTestError::NoRoute(x.clone()),
        "3 does not offer it"
    );
}

#[test]
fn what_nobody_offers_has_no_why() {
    let net = Net::up(network(&one_as(2), &[(0, 1)]), 1);
    assert!(net.nodes[0].speaker.why(&destination("x.example"), net.now).is_none());
}
