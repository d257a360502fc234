//! How many routes a peer may bring, and what becomes of one that brings more.

use std::time::Duration;

use catalyst_core::event::{AtLimit, Event, LocalPrefix, LocalService, MaxRoutes};
use catalyst_core::operate::{Operation, PeerAct};
use catalyst_core::wire::{Families, kind};

use super::config::{each_its_own, graceful, network, node_name, one_as, service};
use super::model;
use super::net::Net;

/// 0 - 1 - 2 in a line; 1 takes ten routes from 0 and warns from seven on.
fn line(action: AtLimit) -> Net {
    let mut configs = network(&each_its_own(3), &[(0, 1), (1, 2)]);
    configs[1].peers[0].max_routes = Some(ten(action));
    Net::up(configs, 1)
}

fn ten(action: AtLimit) -> MaxRoutes {
    MaxRoutes {
        limit: 10,
        warn_at_percent: 70,
        action,
    }
}

fn name(n: usize) -> String {
    format!("svc-{n:02}.example")
}

fn offer(net: &mut Net, range: std::ops::Range<usize>) {
    for n in range {
        net.offer(0, &name(n));
    }
    net.run_ms(100);
}

fn blocked(net: &Net) -> u64 {
    net.peer_view(1, 0).session.limit.unwrap().blocked
}

fn warnings(net: &Net) -> Vec<&str> {
    let lines = net.nodes[1].log.iter().map(|(_, line)| line.as_str());
    lines.filter_map(|line| line.strip_prefix("warning n000: ")).collect()
}

#[test]
fn what_is_beyond_the_limit_is_read_and_not_kept() {
    let mut net = line(AtLimit::Block);
    offer(&mut net, 0..15);
    let view = net.peer_view(1, 0);
    assert_eq!((view.state, view.received, blocked(&net)), ("Established", 10, 5));
    assert!(net.selected(2, &name(9)).is_some() && net.paths(1, &name(10)).is_empty());
    // What is held goes on as ever.
    let heavier = LocalService {
        weight: 7,
        ..service(&name(3))
    };
    net.event(0, Event::ServiceAdd(heavier));
    net.run_ms(100);
    let told = net.selected(2, &name(3)).unwrap();
    assert_eq!(told.attrs.service.as_ref().unwrap().weight, 7);
    assert_eq!(
        warnings(&net),
        [
            "it has sent 7 routes, its limit is 10",
            "it has sent more routes than its limit of 10: those beyond are not kept"
        ]
    );
}

#[test]
fn once_there_is_room_a_refresh_brings_in_what_was_not_kept() {
    let mut net = line(AtLimit::Block);
    offer(&mut net, 0..15);
    net.withdraw(0, &name(14));
    net.run_ms(100);
    assert_eq!(net.frames.get(&(1, kind::ROUTE_REFRESH)), None, "it was not held");
    net.withdraw(0, &name(2));
    net.run_ms(500);
    assert_eq!(
        (net.peer_view(1, 0).received, net.frames[&(1, kind::ROUTE_REFRESH)]),
        (10, 3)
    );
    assert!(net.paths(1, &name(2)).is_empty());
    for n in 10..14 {
        net.withdraw(0, &name(n));
    }
    net.run_ms(500);
    assert_eq!(net.peer_view(1, 0).received, 9);
    let asked = net.frames[&(1, kind::ROUTE_REFRESH)];
    net.withdraw(0, &name(3));
    net.run_ms(500);
    assert_eq!(net.frames[&(1, kind::ROUTE_REFRESH)], asked, "nothing is missing");
    model::check(&net);
}

#[test]
fn one_batch_beyond_the_limit_is_cut_where_the_limit_is() {
    let mut net = line(AtLimit::Block);
    net.batch(0, (0..500).map(|n| Event::ServiceAdd(service(&name(n)))));
    net.run_ms(500);
    assert_eq!((net.peer_view(1, 0).received, blocked(&net)), (10, 490));
    net.batch(0, (0..500).map(|n| Event::ServiceRemove(super::config::name(&name(n)))));
    net.run_ms(500);
    assert_eq!(net.peer_view(1, 0).received, 0);
    model::check(&net);
}

#[test]
fn a_warning_is_given_once_until_the_number_has_fallen_well_below() {
    let mut net = line(AtLimit::Warn);
    offer(&mut net, 0..15);
    let told = [
        "it has sent 7 routes, its limit is 10",
        "it has sent 11 routes, more than its limit of 10",
    ];
    assert_eq!((net.peer_view(1, 0).received, warnings(&net)), (15, told.to_vec()));
    for n in 5..15 {
        net.withdraw(0, &name(n));
    }
    net.run_ms(100);
    offer(&mut net, 5..9);
    assert_eq!(warnings(&net).len(), 3);
    model::check(&net);
}

#[test]
fn a_reset_lets_go_of_everything_and_begins_anew_after_a_while() {
    let restart_after = Some(Duration::from_secs(60));
    let mut net = line(AtLimit::Reset { restart_after });
    offer(&mut net, 0..10);
    assert_eq!(net.peer_view(1, 0).received, 10);
    offer(&mut net, 10..11);
    let said = "peer said: Cease, Maximum Number of Prefixes Reached: more than 10 routes";
    assert_eq!(net.peer_view(0, 1).last_error, said);
    assert_eq!((net.peer_view(1, 0).state, net.peer_view(1, 0).received), ("Idle", 0));
    net.withdraw(0, &name(0));
    net.run_ms(59_000);
    assert_eq!(net.peer_view(1, 0).state, "Idle");
    let said = "peer said: Cease, Connection Rejected: the session is held idle here: more than 10 routes";
    assert_eq!(net.peer_view(0, 1).last_error, said);
    net.rest();
    assert_eq!(
        (net.peer_view(1, 0).state, net.peer_view(1, 0).received),
        ("Established", 10)
    );
    model::check(&net);
}

#[test]
fn a_reset_without_a_time_waits_for_an_operator() {
    let mut net = line(AtLimit::Reset { restart_after: None });
    offer(&mut net, 0..11);
    net.rest();
    let view = net.peer_view(1, 0);
    assert_eq!(
        (view.state, view.session.disabled.as_deref()),
        ("Idle", Some("more than 10 routes"))
    );
    net.withdraw(0, &name(0));
    let operation = Operation {
        peer: node_name(0).into(),
        act: PeerAct::Enable,
    };
    net.event(1, Event::Operate(operation));
    net.rest();
    assert_eq!(net.peer_view(1, 0).received, 10);
    model::check(&net);
}

#[test]
fn graceful_restart_keeps_nothing_of_a_peer_that_was_reset_for_its_number_of_routes() {
    let mut configs = network(&each_its_own(2), &[(0, 1)]);
    let restart_after = Some(Duration::from_secs(60));
    configs[1].peers[0].max_routes = Some(ten(AtLimit::Reset { restart_after }));
    let mut net = Net::up(graceful(configs, Duration::from_secs(30)), 1);
    offer(&mut net, 0..11);
    assert!(net.paths(1, &name(0)).is_empty());
    assert!(
        net.peer_view(0, 1)
            .last_error
            .contains("Hard Reset (Cease, Maximum Number of Prefixes Reached)")
    );
}

#[test]
fn stale_routes_take_up_room_and_their_end_makes_some() {
    let mut configs = network(&each_its_own(2), &[(0, 1)]);
    configs[1].peers[0].max_routes = Some(ten(AtLimit::Block));
    let mut net = Net::up(graceful(configs, Duration::from_secs(30)), 1);
    offer(&mut net, 0..10);
    net.crash(0);
    net.start_node(0);
    offer(&mut net, 20..30);
    net.run_ms(30_000);
    assert_eq!(net.peer_view(1, 0).received, 10);
    assert!((20..30).all(|n| net.selected(1, &name(n)).is_some()));
    model::check(&net);
}

#[test]
fn a_higher_limit_brings_in_what_was_not_kept() {
    let mut net = line(AtLimit::Block);
    offer(&mut net, 0..15);
    net.reconfigure(1, |config| config.peers[0].max_routes.as_mut().unwrap().limit = 20);
    net.run_ms(500);
    assert_eq!(net.peer_view(1, 0).received, 15);
    model::check(&net);
}

#[test]
fn a_limit_that_is_lowered_or_lifted_counts_at_once() {
    let mut net = line(AtLimit::Block);
    offer(&mut net, 0..15);
    net.reconfigure(1, |config| config.peers[0].max_routes = None);
    net.run_ms(500);
    assert_eq!(
        (net.peer_view(1, 0).received, net.peer_view(1, 0).established_count),
        (15, 1)
    );
    let restart_after = Some(Duration::from_secs(60));
    net.reconfigure(1, |config| {
        config.peers[0].max_routes = Some(ten(AtLimit::Reset { restart_after }));
    });
    assert_eq!((net.peer_view(1, 0).state, net.peer_view(1, 0).received), ("Idle", 0));
}

/// How 1 shows reading from 0: how often it has paused, and what was said of the last pause.
fn pauses(net: &Net) -> (u64, Option<&str>) {
    let lines = net.nodes[1].log.iter().rev().map(|(_, line)| line.as_str());
    let last = lines.into_iter().find(|line| line.starts_with("pause"));
    (net.peer_view(1, 0).session.pauses, last)
}

#[test]
fn a_peer_that_is_faster_than_it_may_be_is_not_read_from_for_a_while() {
    let mut configs = network(&each_its_own(2), &[(0, 1)]);
    configs[1].peers[0].max_update_rate = Some(10);
    for config in &mut configs {
        config.hold_time = Duration::from_secs(3);
    }
    let mut net = Net::up(configs, 1);
    net.batch(0, (0..10).map(|n| Event::ServiceAdd(service(&name(n)))));
    net.run_ms(100);
    assert_eq!(pauses(&net), (0, None), "a second's worth");
    // Withdrawals cost as much as announcements. What has come is taken in.
    let changes = (0..10).map(|n| Event::ServiceRemove(super::config::name(&name(n))));
    net.batch(0, changes.chain((10..60).map(|n| Event::ServiceAdd(service(&name(n))))));
    net.run_ms(100);
    assert_eq!(pauses(&net).0, 1);
    assert_eq!(net.peer_view(1, 0).received, 50);
    let words = pauses(&net).1.unwrap();
    let left: u64 = words
        .strip_prefix("pause ")
        .unwrap()
        .strip_suffix(" ms")
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        (5500..6000).contains(&left),
        "60 routes are six seconds, one of which is free: {words}"
    );

    // Another rate counts at once.
    net.reconfigure(1, |config| config.peers[0].max_update_rate = Some(1000));
    assert_eq!(pauses(&net).1, Some("pause 0 ms"));
    net.run_ms(10_000);
    assert_eq!(net.peer_view(1, 0).established_count, 1);
}

#[test]
fn prefixes_count_like_names() {
    let mut configs = network(&one_as(2), &[(0, 1)]);
    for peer in configs.iter_mut().flat_map(|config| &mut config.peers) {
        peer.families = Families::ALL;
        peer.max_routes = Some(ten(AtLimit::Block));
    }
    let mut net = Net::up(configs, 1);
    for n in 0..12 {
        net.event(
            0,
            Event::PrefixAdd(LocalPrefix {
                prefix: format!("10.{n}.0.0/16").parse().unwrap(),
                communities: Vec::new(),
                large_communities: Vec::new(),
                med: None,
            }),
        );
    }
    net.run_ms(500);
    assert_eq!((net.peer_view(1, 0).received, blocked(&net)), (10, 2));
}

/// The longest frame that a node has sent, in bytes, and the routes of 1.
fn exchanged(max_frame: [Option<u32>; 2]) -> (usize, u64, Net) {
    let mut configs = network(&each_its_own(2), &[(0, 1)]);
    for (config, max_frame) in configs.iter_mut().zip(max_frame) {
        config.peers[0].max_frame = max_frame;
    }
    let mut net = Net::new(configs, 1);
    net.start_node(0);
    // More than a frame holds of them: they share no text.
    let long = |n: u32| format!("{:0>60}.{:0>60}.example", n.wrapping_mul(2_654_435_761), n);
    net.batch(0, (0..1000).map(|n| Event::ServiceAdd(service(&long(n)))));
    net.start_node(1);
    net.run_ms(5000);
    let received = net.peer_view(1, 0).received;
    (net.longest_frame, received, net)
}

#[test]
fn frames_are_no_longer_than_both_sides_have_agreed_to_and_a_longer_one_ends_the_session() {
    let (longest, received, _) = exchanged([None; 2]);
    assert!(
        longest > 60_000 && received == 1000,
        "{longest} bytes, {received} routes"
    );
    let limit = Some(40_960);
    let (longest, received, _) = exchanged([limit; 2]);
    assert!(
        (40_000..=40_960).contains(&longest) && received == 1000,
        "{longest} bytes, {received} routes"
    );
    let (_, received, net) = exchanged([None, limit]);
    assert_eq!(received, 0);
    let error = net.peer_view(0, 1).last_error;
    assert!(
        error.contains("Bad Message Length: a frame of")
            && error.contains("than what is taken from this peer, 40960 bytes"),
        "{error}"
    );
}
