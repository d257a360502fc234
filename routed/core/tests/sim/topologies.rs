//! Known shapes at the level of tables: every name everywhere with the path expected, withdrawal reaches everyone, no
//! route returns to its source.

use catalyst_core::event::SpeakerConfig;
use catalyst_core::route::Table;

use super::config::{Who, each_its_own, network, node_name, one_as};
use super::model;
use super::net::Net;

const LINE: [(usize, usize); 3] = [(0, 1), (1, 2), (2, 3)];
const STAR: [(usize, usize); 4] = [(0, 1), (0, 2), (0, 3), (0, 4)];
const MESH: [(usize, usize); 6] = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)];
const RING: [(usize, usize); 6] = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (0, 5)];

fn own_name(node: usize) -> String {
    format!("svc.{}.example", node_name(node))
}

/// Hop counts from `from` by breadth-first search.
fn distances(count: usize, edges: &[(usize, usize)], from: usize) -> Vec<usize> {
    let mut distance = vec![usize::MAX; count];
    distance[from] = 0;
    for _ in 0..count {
        for &(one, other) in edges {
            distance[one] = distance[one].min(distance[other].saturating_add(1));
            distance[other] = distance[other].min(distance[one].saturating_add(1));
        }
    }
    distance
}

/// Every node offers a name; checks reach, path lengths, source and withdrawal; `internal`: one AS with reflectors.
fn check_shape(configs: Vec<SpeakerConfig>, edges: &[(usize, usize)], internal: bool) {
    let count = configs.len();
    let mut net = Net::up(configs, 1);
    for node in 0..count {
        net.offer(node, &own_name(node));
    }
    net.rest();
    for origin in 0..count {
        let distance = distances(count, edges, origin);
        for (node, hops) in distance.iter().enumerate() {
            let path = net
                .selected(node, &own_name(origin))
                .unwrap_or_else(|| panic!("{origin} is not at {node}"));
            let as_hops = if internal { 0 } else { *hops };
            assert_eq!(path.attrs.as_path.len(), as_hops, "from {origin} at {node}");
            assert_eq!(*path.origin.router_id.node, *node_name(origin));
            let table = if internal || node == origin {
                Table::Internal
            } else {
                Table::External
            };
            assert_eq!(path.table, table);
        }
        no_route_returns(&net, origin);
    }
    model::check(&net);
    for origin in 0..count {
        net.withdraw(origin, &own_name(origin));
        net.rest();
        for node in 0..count {
            assert!(
                net.paths(node, &own_name(origin)).is_empty(),
                "{origin} is still at {node}"
            );
        }
    }
    model::check(&net);
}

/// Nobody advertises a name to the peer that its best path came from.
fn no_route_returns(net: &Net, origin: usize) {
    for (node, speaker) in net.nodes.iter().enumerate() {
        let Some(path) = net.selected(node, &own_name(origin)) else {
            continue;
        };
        for (peer, config) in (0..).zip(&speaker.config.peers) {
            if path.learned_from.as_ref() == Some(&config.name) {
                let index = net.node_at(config.address.ip()).unwrap();
                assert!(
                    !net.advertised(node, index).contains(&own_name(origin)),
                    "{node} returns to peer {peer}"
                );
            }
        }
    }
}

/// One AS in which `hubs` reflect.
fn reflected(count: usize, edges: &[(usize, usize)], hubs: &[usize]) -> Vec<SpeakerConfig> {
    let mut configs = network(&one_as(count), edges);
    for &hub in hubs {
        configs[hub].reflector = true;
    }
    configs
}

#[test]
fn line_of_four_with_an_as_each() {
    check_shape(network(&each_its_own(4), &LINE), &LINE, false);
}

#[test]
fn line_of_four_inside_one_as_with_two_reflecting_transits() {
    check_shape(reflected(4, &LINE, &[1, 2]), &LINE, true);
}

#[test]
fn star_of_five_with_an_as_each() {
    check_shape(network(&each_its_own(5), &STAR), &STAR, false);
}

#[test]
fn star_of_five_inside_one_as_with_a_reflecting_hub() {
    check_shape(reflected(5, &STAR, &[0]), &STAR, true);
}

#[test]
fn full_mesh_of_four_both_ways() {
    check_shape(network(&each_its_own(4), &MESH), &MESH, false);
    check_shape(reflected(4, &MESH, &[]), &MESH, true);
}

#[test]
fn ring_of_six_both_ways() {
    check_shape(network(&each_its_own(6), &RING), &RING, false);
    check_shape(reflected(6, &RING, &[0, 1, 2, 3, 4, 5]), &RING, true);
}

#[test]
fn the_line_has_the_expected_as_paths_and_next_hops() {
    let mut net = Net::up(network(&each_its_own(4), &LINE), 1);
    net.offer(3, "x.example");
    net.rest();
    assert_eq!(net.as_path(0, "x.example"), Some(vec![65002, 65003, 65004]));
    assert_eq!(net.as_path(1, "x.example"), Some(vec![65003, 65004]));
    let at_a = net.selected(0, "x.example").unwrap();
    assert_eq!(at_a.attrs.next_hop.ip(), super::config::address(1));
    assert_eq!((at_a.attrs.local_pref, at_a.local_pref), (None, 100));
}

#[test]
fn without_a_reflector_internal_routes_go_one_hop_only() {
    let mut net = Net::up(network(&one_as(3), &LINE[..2]), 1);
    net.offer(0, "x.acme");
    net.rest();
    assert!(net.selected(1, "x.acme").is_some());
    assert!(net.selected(2, "x.acme").is_none());
}

#[test]
fn a_reflector_does_not_reflect_between_non_clients() {
    let mut configs = reflected(4, &STAR[..3], &[0]);
    for peer in &mut configs[0].peers[..2] {
        peer.client = false;
    }
    let mut net = Net::up(configs, 1);
    net.offer(1, "x.acme");
    net.offer(3, "y.acme");
    net.rest();
    assert!(net.selected(2, "x.acme").is_none() && net.selected(3, "x.acme").is_some());
    assert!(net.selected(1, "y.acme").is_some() && net.selected(2, "y.acme").is_some());
    let reflected = net.selected(3, "x.acme").unwrap();
    assert_eq!(
        reflected.attrs.originator.as_ref().map(|id| &*id.node),
        Some(&*node_name(1))
    );
    assert_eq!(
        reflected.attrs.cluster_list.iter().map(|it| &**it).collect::<Vec<_>>(),
        [&*node_name(0)]
    );
    assert_eq!(reflected.attrs.local_pref, Some(100));
}

#[test]
fn an_external_route_crosses_an_as_and_loses_its_internal_attributes_at_the_border() {
    // 0 (AS 1) - 1, 2, 3 (AS 2, 2 reflects) - 4 (AS 3)
    let middle = Who::new(2, "middle");
    let nodes = [
        Who::new(1, "left"),
        middle.clone(),
        middle.clone(),
        middle,
        Who::new(3, "right"),
    ];
    let mut configs = network(&nodes, &[(0, 1), (1, 2), (2, 3), (3, 4)]);
    configs[2].reflector = true;
    let mut net = Net::up(configs, 1);
    let mut offered = super::config::service("x.left");
    offered.med = Some(7);
    offered.communities = vec![9, 3, 3];
    net.event(0, catalyst_core::event::Event::ServiceAdd(offered));
    net.rest();
    let inside = net.selected(3, "x.left").unwrap();
    assert_eq!((inside.attrs.local_pref, inside.attrs.med), (Some(100), Some(7)));
    assert_eq!(inside.attrs.as_path, [1]);
    assert!(inside.attrs.originator.is_some() && inside.attrs.cluster_list.len() == 1);
    let beyond = net.selected(4, "x.left").unwrap();
    assert_eq!(beyond.attrs.as_path, [2, 1]);
    assert_eq!((beyond.attrs.local_pref, beyond.attrs.med), (None, None));
    assert_eq!((&beyond.attrs.originator, beyond.attrs.cluster_list.len()), (&None, 0));
    assert_eq!(beyond.attrs.communities, [3, 9]);
    model::check(&net);
}

#[test]
fn of_two_origins_the_better_wins_and_the_other_takes_over_when_it_goes() {
    let edges = [(0, 1), (1, 2), (2, 3), (3, 4)];
    let mut net = Net::up(network(&each_its_own(5), &edges), 1);
    net.offer(0, "x.example");
    net.offer(4, "x.example");
    net.rest();
    assert_eq!(net.as_path(1, "x.example"), Some(vec![65001]));
    assert_eq!(net.as_path(3, "x.example"), Some(vec![65005]));
    // The middle is equally far from both: multipath, the lower router id first.
    let middle: Vec<_> = net.paths(2, "x.example");
    assert_eq!(middle.iter().filter(|path| path.selected).count(), 2);
    assert_eq!((middle[0].attrs.as_path[0], &*middle[1].reason), (65002, "multipath"));
    net.withdraw(0, "x.example");
    net.rest();
    assert_eq!(net.as_path(0, "x.example"), Some(vec![65002, 65003, 65004, 65005]));
    net.crash(4);
    net.rest();
    assert!((0..4).all(|node| net.paths(node, "x.example").is_empty()));
}

#[test]
fn attribute_changes_of_a_name_reach_everybody() {
    let mut net = Net::up(network(&each_its_own(4), &LINE), 1);
    net.offer(0, "x.example");
    net.rest();
    let mut changed = super::config::service("x.example");
    (changed.weight, changed.communities) = (7, vec![65001 << 16 | 5]);
    changed.protocol = catalyst_core::route::Protocol::HttpGraphql;
    changed.path = Some("/graphql".into());
    net.event(0, catalyst_core::event::Event::ServiceAdd(changed));
    net.rest();
    for node in 1..4 {
        let attrs = net.selected(node, "x.example").unwrap().attrs;
        let service = attrs.service.as_ref().unwrap();
        assert_eq!((service.weight, service.path.as_deref()), (7, Some("/graphql")));
        assert_eq!(attrs.communities, [65001 << 16 | 5]);
    }
}

#[test]
fn two_hundred_concurrent_additions_on_both_sides_converge() {
    let mut net = Net::up(network(&each_its_own(2), &[(0, 1)]), 1);
    net.delay = (1, 20);
    for n in 0..200 {
        net.offer(0, &format!("a{n}.example"));
        net.offer(1, &format!("b{n}.example"));
        net.offer(n % 2, &format!("shared{}.example", n % 10));
        if n % 3 == 0 {
            net.withdraw(0, &format!("a{}.example", n / 2));
        }
        net.run_ms(1);
    }
    net.rest();
    model::check(&net);
    assert_eq!(net.advertised(1, 0).len(), 205);
}
