//! Stale routes among several who hold them: a restart that many see stays a matter between each of them and the node that
//! restarts, and where it cannot, they find a rest.

use std::time::Duration;

use catalyst_core::attrs::LLGR_STALE;
use catalyst_core::event::{Event, LocalService, SpeakerConfig};
use catalyst_core::policy::{Action, CommunityPattern, Policy, Role, Verdict};
use catalyst_core::wire::kind;
use catalyst_sim::gao_rexford::{self, Direction};

use super::config::{destination, each_its_own, graceful, network, node_name, plane, service};
use super::model;
use super::net::{Net, Rng};
use super::policy_words::{policy, statement};

const RESTART: Duration = Duration::from_secs(30);
/// The AS of the communities that the policies themselves make use of.
const MARKS: u32 = 64512;
const NAME: &str = "x.example";

/// Organisations of a node each, by the rules of Gao and Rexford, with graceful restart.
fn between(count: usize, laterals: &[(usize, usize)], customers: &[(usize, usize)]) -> Vec<SpeakerConfig> {
    let edges: Vec<(usize, usize)> = laterals.iter().chain(customers).copied().collect();
    let mut configs = network(&each_its_own(count), &edges);
    for &(one, other) in laterals {
        relate(&mut configs, one, other, Role::Peer);
    }
    for &(provider, customer) in customers {
        relate(&mut configs, provider, customer, Role::Provider);
    }
    graceful(configs, RESTART)
}

fn relate(configs: &mut [SpeakerConfig], one: usize, other: usize, role: Role) {
    for (node, peer, role) in [(one, other, role), (other, one, role.counterpart())] {
        let peer = node_name(peer);
        let config = configs[node].peers.iter_mut().find(|it| *it.name == *peer).unwrap();
        config.role = Some(role);
        config.import = Some(gao_rexford::policy(role, Direction::Import, None));
        config.export = Some(gao_rexford::policy(role, Direction::Export, None));
    }
}

/// 0, 1 and 2 are lateral peers of each other, 3 is a customer of each and offers the name.
fn triangle() -> Vec<SpeakerConfig> {
    let mut configs = between(4, &[(0, 1), (0, 2), (1, 2)], &[(0, 3), (1, 3), (2, 3)]);
    for config in &mut configs {
        config.planes = vec![plane("envoy", false)];
    }
    configs
}

fn up(configs: Vec<SpeakerConfig>, origin: usize, seed: u64) -> Net {
    let mut net = Net::up(configs, 1);
    net.offer(origin, NAME);
    net.rest();
    net.rng = Rng::new(seed);
    net
}

fn updates(net: &Net, nodes: std::ops::Range<usize>) -> Vec<u64> {
    nodes.map(|node| net.frames[&(node, kind::UPDATE)]).collect()
}

fn as_paths(net: &Net, nodes: std::ops::Range<usize>) -> Vec<Option<Vec<u32>>> {
    nodes.map(|node| net.as_path(node, NAME)).collect()
}

/// The communities with which a node tells a peer of the name, but for the mark of customers.
fn told(net: &Net, node: usize, peer: usize) -> Option<Vec<u32>> {
    let told = net.nodes[node].speaker.advertised(&node_name(peer), None, usize::MAX);
    let (_, attrs) = told.into_iter().find(|(name, _)| *name == destination(NAME))?;
    let communities = attrs.communities.iter().copied();
    Some(communities.filter(|it| it >> 16 != MARKS).collect())
}

fn is_told_stale(net: &Net, node: usize, peer: usize) -> bool {
    told(net, node, peer).is_some_and(|communities| communities.contains(&LLGR_STALE))
}

#[test]
fn several_upstreams_of_a_node_that_restarts_have_nothing_to_say_to_each_other() {
    for (seed, jitter) in [(1, 0), (2, 10), (3, 40)] {
        let mut net = up(triangle(), 3, seed);
        net.delay = (1, jitter);
        let before = (updates(&net, 0..3), as_paths(&net, 0..3));
        let versions: Vec<u64> = (0..3).map(|node| net.nodes[node].version).collect();
        assert_eq!(before.1, vec![Some(vec![65004]); 3]);
        net.crash(3);
        net.run_ms(10_000);
        assert_eq!((updates(&net, 0..3), as_paths(&net, 0..3)), before, "while it is away");
        for node in 0..3 {
            let [own, others @ ..] = &net.paths(node, NAME)[..] else {
                panic!("node {node} holds no path");
            };
            assert!(own.stale && own.selected);
            assert_eq!(others.len(), 2, "its neighbours' paths are there as before");
        }
        net.start_node(3);
        net.offer(3, NAME);
        net.rest();
        // What each tells the node that was away is its own matter: here, nothing.
        assert_eq!((updates(&net, 0..3), as_paths(&net, 0..3)), before, "after its return");
        let after: Vec<u64> = (0..3).map(|node| net.nodes[node].version).collect();
        assert_eq!(after, versions, "no route of theirs has moved");
        assert_eq!(net.selected(0, NAME).map(|path| path.stale), Some(false));
        model::check(&net);
    }
}

#[test]
fn what_several_keep_of_one_that_never_returns_goes_from_all() {
    for (seed, jitter) in [(1, 0), (2, 10), (3, 40)] {
        let mut net = up(triangle(), 3, seed);
        net.delay = (1, jitter);
        let before: u64 = updates(&net, 0..3).iter().sum();
        net.crash(3);
        net.run(RESTART + Duration::from_secs(5));
        for node in 0..3 {
            assert!(
                net.paths(node, NAME).is_empty(),
                "node {node}: {:?}",
                net.paths(node, NAME)
            );
        }
        let sent = updates(&net, 0..3).iter().sum::<u64>() - before;
        assert!(sent <= 6, "{sent} UPDATEs to take one name from three nodes");
        net.rest();
        model::check(&net);
    }
}

#[test]
fn a_path_around_a_node_that_restarts_loses_for_a_reason_that_says_so() {
    // 1 offers the name to 0, also by 2; 3, which is three nodes away from 0, offers it too. 0 tells neither 2 nor 5.
    let mut configs = network(&each_its_own(6), &[(0, 1), (0, 2), (1, 2), (0, 5), (5, 4), (4, 3)]);
    for peer in [2, 5] {
        let to_peer = configs[0].peers.iter_mut().find(|it| *it.name == *node_name(peer));
        to_peer.unwrap().export = Some(Policy::reject().into());
    }
    let mut net = up(graceful(configs, RESTART), 1, 1);
    net.offer(3, NAME);
    net.rest();
    assert_eq!(net.as_path(0, NAME), Some(vec![65002]));
    net.crash(1);
    net.run_ms(1000);
    let why = net.nodes[0].speaker.why(&destination(NAME), net.now).unwrap();
    let found: Vec<(&[u32], &str)> = why
        .paths
        .iter()
        .map(|path| (path.route.attrs.as_path.as_slice(), path.reason.as_str()))
        .collect();
    let expected: [(&[u32], &str); 3] = [
        (&[65006, 65005, 65004], "no data plane"),
        (&[65002], "stale"),
        (&[65003, 65002], "leads to a node that restarts"),
    ];
    assert_eq!(found, expected);
    assert_eq!(
        net.as_path(2, NAME),
        Some(vec![65002]),
        "2 hears of nobody else, and stays"
    );
}

#[test]
fn a_path_around_that_is_in_use_gives_way_to_a_fresh_one_and_is_told_stale_when_it_comes_back() {
    // 1 offers the name to 0, who prefers to go by 2.
    let mut configs = network(&each_its_own(4), &[(0, 1), (0, 2), (1, 2), (0, 3)]);
    let two = configs[0].peers.iter_mut().find(|peer| *peer.name == *node_name(2));
    let prefers = vec![statement(
        "prefers",
        vec![],
        vec![Action::SetLocalPref(200)],
        Verdict::Accept,
    )];
    two.unwrap().import = policy("prefers", prefers);
    let mut net = up(graceful(configs, RESTART), 1, 1);
    let before = updates(&net, 0..3);
    net.crash(1);
    net.run_ms(1000);
    assert_eq!(net.as_path(0, NAME), Some(vec![65003, 65002]));
    assert_eq!((updates(&net, 0..3), told(&net, 0, 3)), (before, Some(Vec::new())));
    net.offer(3, NAME);
    net.run_ms(1000);
    assert_eq!(
        net.as_path(0, NAME),
        Some(vec![65004]),
        "a new path is not measured by the one in use alone"
    );
    net.withdraw(3, NAME);
    net.run_ms(1000);
    assert_eq!(net.as_path(0, NAME), Some(vec![65003, 65002]));
    assert!(is_told_stale(&net, 0, 3));
    net.start_node(1);
    net.offer(1, NAME);
    net.rest();
    assert_eq!(told(&net, 0, 3), Some(Vec::new()));
    model::check(&net);
}

/// 0 and 1 are on the way to 2, which offers the name; both are customers of the lateral peers 3 to 5.
fn transits() -> Vec<SpeakerConfig> {
    let laterals = [(3, 4), (3, 5), (4, 5)];
    let up = [(3, 0), (3, 1), (4, 0), (4, 1), (5, 0), (5, 1)];
    let customers: Vec<_> = [(0, 2), (1, 2)].into_iter().chain(up).collect();
    between(6, &laterals, &customers)
}

#[test]
fn lateral_peers_whose_transits_restart_at_once_find_a_rest() {
    for (seed, jitter) in [(1, 0), (2, 0), (3, 10), (4, 10), (5, 40), (6, 40), (7, 100)] {
        let mut net = up(transits(), 2, seed);
        net.delay = (1, jitter);
        let before: u64 = updates(&net, 3..6).iter().sum();
        net.crash(0);
        net.crash(1);
        net.run_ms(10_000);
        let sent = updates(&net, 3..6).iter().sum::<u64>() - before;
        assert!(sent <= 24, "seed {seed}: {sent} UPDATEs for one name among three nodes");
        let at_rest = updates(&net, 3..6);
        net.run_ms(10_000);
        assert_eq!(updates(&net, 3..6), at_rest, "seed {seed}");
        for node in 3..6 {
            assert!(net.selected(node, NAME).is_some(), "seed {seed}, node {node}");
        }
        for node in 0..2 {
            net.start_node(node);
        }
        net.rest();
        for (node, peer) in [(3, 4), (3, 5), (4, 3), (4, 5), (5, 3), (5, 4)] {
            let told = told(&net, node, peer);
            assert_eq!(told, Some(Vec::new()), "seed {seed}: what {node} tells {peer}");
        }
        model::check(&net);
    }
}

#[test]
fn lateral_peers_whose_transits_do_not_return_find_a_rest_too() {
    for (seed, jitter) in [(1, 0), (2, 10), (3, 40)] {
        let mut net = up(transits(), 2, seed);
        net.delay = (1, jitter);
        net.crash(0);
        net.crash(1);
        net.run(RESTART + Duration::from_secs(5));
        for node in 3..6 {
            assert!(
                net.paths(node, NAME).is_empty(),
                "seed {seed}: {:?}",
                net.paths(node, NAME)
            );
        }
        net.rest();
        model::check(&net);
    }
}

/// 0 knows the name of 1 and, less well, of 3 behind 2; it tells 4, which knows it of 7 behind 6 and 5, and tells 0 nothing.
fn with_a_third() -> Net {
    let edges = [(0, 1), (0, 2), (2, 3), (0, 4), (4, 5), (5, 6), (6, 7)];
    let mut configs = network(&each_its_own(8), &edges);
    let to_zero = configs[4].peers.iter_mut().find(|peer| *peer.name == *node_name(0));
    to_zero.unwrap().export = Some(Policy::reject().into());
    let mut net = up(graceful(configs, RESTART), 1, 1);
    net.offer(3, NAME);
    net.offer(7, NAME);
    net.rest();
    assert_eq!(net.as_path(4, NAME), Some(vec![65001, 65002]));
    net
}

/// 0 comes back to the stale path of 1: it has lost to the fresh one of 3, which goes.
fn fall_back(net: &mut Net) {
    net.crash(1);
    net.run_ms(1000);
    assert_eq!(net.as_path(0, NAME), Some(vec![65003, 65004]));
    assert!(!is_told_stale(net, 0, 4));
    net.withdraw(3, NAME);
    net.run_ms(1000);
    assert_eq!(net.as_path(0, NAME), Some(vec![65002]));
}

#[test]
fn a_third_node_hears_that_a_path_is_stale_and_prefers_a_fresh_one() {
    let mut net = with_a_third();
    fall_back(&mut net);
    assert_eq!(told(&net, 0, 4), Some(vec![LLGR_STALE]));
    let paths = net.paths(4, NAME);
    assert_eq!(paths[0].attrs.as_path, [65006, 65007, 65008]);
    assert_eq!(
        (
            paths[1].attrs.as_path.as_slice(),
            paths[1].reason.as_str(),
            paths[1].stale
        ),
        (&[65001, 65002][..], "stale", false)
    );
    let why = net.nodes[0].speaker.why(&destination(NAME), net.now).unwrap();
    let to_four = why.peers.iter().find(|peer| *peer.peer == *node_name(4)).unwrap();
    assert_eq!(to_four.attrs.as_ref().unwrap().communities, [LLGR_STALE]);
    assert_eq!(to_four.reason.to_string(), "advertised");

    // The same as before, and fresh: the word is taken back.
    net.start_node(1);
    net.offer(1, NAME);
    net.rest();
    assert_eq!(told(&net, 0, 4), Some(Vec::new()));
    assert_eq!(net.as_path(4, NAME), Some(vec![65001, 65002]));
    model::check(&net);
}

#[test]
fn what_is_stale_stays_so_by_a_new_policy_and_by_another_loss_of_its_rivals() {
    let mut net = with_a_third();
    fall_back(&mut net);
    let community = |value: u32| Action::AddCommunities(vec![value]);
    let adds = |value| {
        policy(
            "adds",
            vec![statement("adds", vec![], vec![community(value)], Verdict::Accept)],
        )
    };
    net.reconfigure(0, |config| {
        let one = config.peers.iter_mut().find(|peer| *peer.name == *node_name(1));
        one.unwrap().import = adds(7);
    });
    net.run_ms(1000);
    assert_eq!(told(&net, 0, 4), Some(vec![7, LLGR_STALE]));
    net.offer(3, NAME);
    net.run_ms(1000);
    assert_eq!(told(&net, 0, 4), Some(Vec::new()));
    net.withdraw(3, NAME);
    net.run_ms(1000);
    assert_eq!(told(&net, 0, 4), Some(vec![7, LLGR_STALE]));
    net.start_node(1);
    net.offer(1, NAME);
    net.rest();
    assert_eq!(told(&net, 0, 4), Some(vec![7]));
}

#[test]
fn a_policy_may_take_the_word_off() {
    let mut net = with_a_third();
    let stale = CommunityPattern::Standard(Some(0xffff), Some(6));
    net.reconfigure(4, |config| {
        let zero = config.peers.iter_mut().find(|peer| *peer.name == *node_name(0));
        let off = vec![Action::RemoveCommunities(vec![stale])];
        zero.unwrap().import = policy("off", vec![statement("off", vec![], off, Verdict::Accept)]);
    });
    net.run_ms(1000);
    fall_back(&mut net);
    assert_eq!(net.as_path(4, NAME), Some(vec![65001, 65002]));
}

#[test]
fn no_route_is_full_enough_to_pass_for_a_fresh_one() {
    let mut net = with_a_third();
    net.event(
        1,
        Event::ServiceAdd(LocalService {
            communities: (0..1024).collect(),
            ..service(NAME)
        }),
    );
    net.run_ms(1000);
    fall_back(&mut net);
    let told = told(&net, 0, 4).unwrap();
    assert_eq!((told.len(), told[0], told.last()), (1024, 1, Some(&LLGR_STALE)));
}

/// 2 offers the name to 0 and 1, which are peers.
fn two_ways() -> Net {
    let mut configs = network(&each_its_own(3), &[(0, 1), (0, 2), (1, 2)]);
    for config in &mut configs {
        config.hold_time = Duration::from_secs(6);
    }
    up(graceful(configs, RESTART), 2, 1)
}

#[test]
fn where_silence_may_be_that_of_the_link_the_other_way_is_taken() {
    let mut net = two_ways();
    net.silence(0, 2);
    net.run_ms(15_000);
    assert!(
        net.nodes[0].logged("down n002: told the peer: Hold Timer Expired"),
        "{:?}",
        net.nodes[0].log
    );
    assert_eq!(net.as_path(0, NAME), Some(vec![65002, 65003]));
    assert_eq!(net.paths(0, NAME)[1].reason, "stale");

    let mut net = two_ways();
    net.crash(2);
    net.run_ms(15_000);
    assert_eq!(
        net.as_path(0, NAME),
        Some(vec![65003]),
        "a node that restarts is served by what it had"
    );
}
