//! Bounded memory towards slow peers, packing, and answers to ROUTE-REFRESH.

use std::time::Duration;

use catalyst_core::event::{Event, LocalService};
use catalyst_core::wire::{Family, Message, RouteRefresh, encode, kind};

use super::config::{each_its_own, network, service};
use super::model;
use super::net::Net;

const MANY: usize = 40_000;

fn many(prefix: &str, weight: u16) -> Vec<Event> {
    let offer = |n| LocalService {
        weight,
        ..service(&format!("{prefix}-{:x}.dc1.example", n * 7919))
    };
    (0..MANY).map(|n| Event::ServiceAdd(offer(n))).collect()
}

fn line() -> Net {
    let mut net = Net::up(network(&each_its_own(3), &[(0, 1), (1, 2)]), 1);
    net.checks.whole_every = 0;
    net
}

#[test]
fn many_names_share_updates_announcements_and_withdrawals() {
    let mut net = line();
    net.batch(0, many("svc", 1));
    net.rest();
    assert_eq!(net.peer_view(2, 1).received, MANY as u64);
    let updates = net.frames[&(0, kind::UPDATE)];
    assert!(updates < 20, "{updates} UPDATEs for {MANY} names of one attribute set");
    let removed = (0..MANY).map(|n| format!("svc-{:x}.dc1.example", n * 7919));
    net.batch(0, removed.map(|text| Event::ServiceRemove(super::config::name(&text))));
    net.rest();
    assert_eq!(net.peer_view(2, 1).received, 0);
    assert!(net.frames[&(0, kind::UPDATE)] < 2 * 20);
    assert_eq!(net.nodes[1].speaker.audit(), Vec::<String>::new());
}

#[test]
fn towards_a_peer_that_does_not_read_names_wait_and_coalesce() {
    let mut net = line();
    net.stalled.insert(2);
    for round in 0..10u16 {
        net.batch(0, many("svc", round + 1));
        net.run_ms(50);
    }
    let view = net.peer_view(1, 2);
    assert!(
        view.pending > 0 && view.pending <= MANY as u64,
        "{} names wait",
        view.pending
    );
    assert_eq!(net.peer_view(1, 0).received, MANY as u64, "the others go on");
    let sent = net.frames[&(1, kind::UPDATE)];
    net.unstall(2);
    net.rest();
    assert_eq!(
        (net.peer_view(1, 2).pending, net.peer_view(2, 1).received),
        (0, MANY as u64)
    );
    assert_eq!(
        net.selected(2, "svc-0.dc1.example")
            .unwrap()
            .attrs
            .service
            .as_ref()
            .unwrap()
            .weight,
        10
    );
    assert!(net.frames[&(1, kind::UPDATE)] < sent + 60);
    model::check(&net);
}

#[test]
fn a_peer_that_reads_nothing_for_the_send_hold_time_is_left_and_let_in_again() {
    let mut configs = network(&each_its_own(3), &[(0, 1), (1, 2)]);
    configs[1].send_hold_time = Some(Duration::from_secs(20));
    let mut net = Net::up(configs, 1);
    net.checks.whole_every = 0;
    net.stalled.insert(2);
    net.offer(2, "from-2.example");
    net.batch(0, many("svc", 1));
    net.run_ms(19_000);
    assert_eq!(net.peer_view(1, 2).state, "Established");
    net.run_ms(1100);
    assert!(
        net.nodes[1].logged("down n002: told the peer: Send Hold Timer Expired: nothing was taken for 20000 ms"),
        "{:?}",
        net.nodes[1].log
    );
    assert!(net.paths(1, "from-2.example").is_empty());
    assert_eq!(
        (net.peer_view(1, 0).received, net.peer_view(1, 0).established_count),
        (MANY as u64, 1)
    );
    net.unstall(2);
    net.rest();
    assert_eq!(net.peer_view(2, 1).received, MANY as u64);
    model::check(&net);
}

#[test]
fn a_route_refresh_is_answered_with_the_whole_table_between_markers() {
    let mut net = line();
    for n in 0..5 {
        net.offer(1, &format!("svc-{n}.example"));
    }
    net.run_ms(10);
    let before = (
        net.peer_view(2, 1).updates_in,
        net.frames.get(&(1, kind::ROUTE_REFRESH)).copied(),
    );
    let mut request = bytes::BytesMut::new();
    encode(
        &Message::RouteRefresh(RouteRefresh {
            family: Family::Name,
            subtype: 0,
        }),
        &mut request,
    );
    net.inject(2, 1, &request);
    net.run_ms(10);
    assert_eq!((before.1, net.frames[&(1, kind::ROUTE_REFRESH)]), (None, 2));
    assert_eq!(net.peer_view(2, 1).updates_in, before.0 + 1);
    assert_eq!(net.nodes[1].speaker.audit(), Vec::<String>::new());
    model::check(&net);
}

#[test]
fn views_go_through_the_table_in_order_and_in_pages() {
    let mut net = line();
    let names: Vec<String> = (0..500).map(|n| format!("svc-{n}.example")).collect();
    for (n, text) in names.iter().enumerate() {
        net.offer(n % 3, text);
    }
    net.offer(0, "svc-7.example");
    net.rest();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = net.nodes[1].speaker.routes(after.as_ref(), 7, net.now);
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 8);
        after = Some(last.destination.clone());
        seen.extend(page.into_iter().map(|path| path.destination.to_string()));
    }
    assert!(seen.is_sorted());
    seen.dedup();
    let mut names = names;
    names.sort();
    assert_eq!(seen, names);
    let missing = super::config::destination("nobody.example");
    assert!(net.nodes[1].speaker.route(&missing, net.now).is_empty());
}

#[test]
fn names_are_found_by_what_they_begin_with() {
    let mut net = line();
    for n in 0..300 {
        net.offer(n % 3, &format!("svc-{n:03}.example"));
    }
    net.offer(1, "*.example");
    net.rest();
    let speaker = &net.nodes[1].speaker;
    let found = |text: &str, limit| -> Vec<String> {
        let found = speaker.destinations_beginning(text, limit);
        found.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        found("svc-00", 3),
        ["svc-000.example", "svc-001.example", "svc-002.example"]
    );
    assert_eq!(found("", 2), ["*.example", "svc-000.example"]);
    assert_eq!(found("svc-299", 10), ["svc-299.example"]);
    assert!(found("svc-3", 10).is_empty() && found("zzz", 10).is_empty() && found("", 0).is_empty());
    assert_eq!(found("svc-", 1000).len(), 300);
    let own = speaker.services_beginning("svc-", 2);
    assert_eq!(own, ["svc-001.example", "svc-004.example"].map(super::config::name));
    assert_eq!(speaker.services_beginning("", 1000).len(), 101);
    assert_eq!(speaker.peers_beginning("n", 1), [super::config::node_name(0)]);
    assert!(speaker.peers_beginning("x", 1).is_empty());
}

#[test]
fn watched_names_are_those_that_changed() {
    let mut net = line();
    net.offer(0, "before.example");
    net.run_ms(10);
    assert!(net.nodes[1].speaker.take_watched().is_empty());
    net.nodes[1].speaker.watch(true);
    net.offer(0, "b.example");
    net.offer(2, "a.example");
    net.run_ms(10);
    let watched = net.nodes[1].speaker.take_watched();
    assert_eq!(watched, ["a.example", "b.example"].map(super::config::destination));
    assert!(net.nodes[1].speaker.take_watched().is_empty());
}
