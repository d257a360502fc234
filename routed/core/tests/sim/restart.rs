//! Start, end and return: when the table may be trusted, and what a goodbye does.

use std::time::Duration;

use catalyst_core::event::{Event, SpeakerConfig};
use catalyst_core::wire::kind;

use super::config::{destination, each_its_own, network, plane};
use super::model;
use super::net::Net;

/// 0 - 1 - 2 in a line; 1 has a data plane.
fn line() -> Vec<SpeakerConfig> {
    let mut configs = network(&each_its_own(3), &[(0, 1), (1, 2)]);
    configs[1].planes = vec![plane("envoy", false)];
    configs
}

#[test]
fn the_table_is_settled_once_every_peer_has_sent_end_of_rib() {
    let mut net = Net::new(line(), 1);
    net.start_node(0);
    net.offer(0, "x.example");
    net.start_node(1);
    net.run_ms(100);
    assert!(net.nodes[1].routes.contains_key(&destination("x.example")) && !net.nodes[1].settled);
    net.start_node(2);
    net.run_ms(5000);
    assert!(net.nodes[1].settled);
    assert!(net.peer_view(1, 0).end_of_rib && net.peer_view(1, 2).end_of_rib);
    assert_eq!(net.frames[&(0, kind::END_OF_RIB)], 3, "one per family");
}

#[test]
fn startup_wait_bounds_that() {
    let mut net = Net::new(line(), 1);
    net.start_node(0);
    net.start_node(1);
    net.run_ms(9900);
    assert!(!net.nodes[1].settled);
    let before = net.nodes[1].version;
    net.run_ms(200);
    assert!(net.nodes[1].settled);
    assert_eq!(net.nodes[1].version, before + 1, "an empty Delta says so");
}

#[test]
fn without_peers_the_first_batch_settles() {
    let mut configs = network(&each_its_own(1), &[]);
    configs[0].planes = vec![plane("envoy", false)];
    let mut net = Net::new(configs, 1);
    net.start_node(0);
    assert!(net.nodes[0].settled);
}

#[test]
fn a_reset_is_the_table_that_the_deltas_made() {
    let mut net = Net::up(line(), 1);
    net.offer(0, "x.example");
    net.offer(2, "y.example");
    net.rest();
    let catalyst_core::route::RouteUpdate::Reset {
        version,
        routes,
        settled,
    } = net.nodes[1].speaker.reset()
    else {
        panic!("not a Reset");
    };
    assert_eq!((version, settled), (net.nodes[1].version, true));
    assert!(routes.iter().eq(net.nodes[1].routes.values()));
}

#[test]
fn a_goodbye_reaches_the_peers_and_leaves_the_data_planes_be() {
    let mut net = Net::up(line(), 1);
    net.offer(0, "x.example");
    net.offer(1, "y.example");
    net.rest();
    let version = net.nodes[1].version;
    net.event(1, Event::Leave);
    net.run_ms(100);
    assert_eq!((net.nodes[1].version, net.nodes[1].routes.len()), (version, 2));
    assert!(net.paths(0, "y.example").is_empty() && net.paths(2, "x.example").is_empty());
    assert!(
        net.peer_view(0, 1).last_error.contains("shutting down"),
        "{}",
        net.peer_view(0, 1).last_error
    );
    net.run(Duration::from_secs(300));
    assert_ne!(
        net.peer_view(0, 1).state,
        "Established",
        "who said goodbye is not talked to again"
    );
}

#[test]
fn a_crash_and_a_restart_leave_the_same_tables() {
    let mut net = Net::up(line(), 1);
    net.offer(0, "x.example");
    net.offer(2, "y.example");
    net.rest();
    net.crash(1);
    net.rest();
    assert!(net.paths(0, "y.example").is_empty());
    net.start_node(1);
    net.rest();
    assert_eq!(net.as_path(0, "y.example"), Some(vec![65002, 65003]));
    model::check(&net);
}

#[test]
fn a_peer_that_only_accepts_and_one_that_only_dials_meet() {
    let mut configs = network(&each_its_own(2), &[(0, 1)]);
    configs[0].peers[0].passive = true;
    let net = Net::up(configs, 1);
    assert_eq!(net.peer_view(0, 1).state, "Established");
    assert_eq!(
        (&*net.peer_view(1, 0).node.unwrap(), net.peer_view(1, 0).outside),
        ("n000", true)
    );
}
