//! Drain: what stays in the data planes after a withdrawal, and what does not.

use std::time::Duration;

use catalyst_core::event::{Event, SpeakerConfig};
use catalyst_core::route::Target;

use super::config::{destination, each_its_own, name, network, one_as, plane, service};
use super::net::Net;

/// 0 - 1 - 2 in a line; 1 has a data plane that does not gate.
fn line() -> Vec<SpeakerConfig> {
    let mut configs = network(&each_its_own(3), &[(0, 1), (1, 2)]);
    configs[1].planes = vec![plane("envoy", false)];
    configs
}

fn installed(net: &Net, node: usize, text: &str) -> bool {
    net.nodes[node].routes.contains_key(&destination(text))
}

#[test]
fn a_withdrawn_name_stays_in_the_data_planes_while_peers_are_told_at_once() {
    let mut net = Net::up(line(), 1);
    net.offer(0, "x.example");
    net.rest();
    assert!(installed(&net, 1, "x.example"));
    net.withdraw(0, "x.example");
    net.run_ms(10);
    assert!(installed(&net, 1, "x.example"));
    assert!(net.paths(2, "x.example").is_empty(), "the next node knows already");
    let shown = net.paths(1, "x.example");
    assert_eq!(
        (shown.len(), shown[0].draining, &*shown[0].reason),
        (1, true, "withdrawn, draining")
    );
    net.run(Duration::from_millis(1980));
    assert!(installed(&net, 1, "x.example"));
    net.run_ms(20);
    assert!(!installed(&net, 1, "x.example"));
    assert!(net.paths(1, "x.example").is_empty());
}

#[test]
fn a_local_service_drains_too() {
    let mut net = Net::up(line(), 1);
    net.offer(1, "x.example");
    net.rest();
    net.withdraw(1, "x.example");
    net.run_ms(1900);
    assert!(installed(&net, 1, "x.example"));
    net.run_ms(200);
    assert!(!installed(&net, 1, "x.example"));
}

#[test]
fn a_new_route_ends_the_drain_and_a_second_drain_counts_anew() {
    let mut net = Net::up(line(), 1);
    net.offer(0, "x.example");
    net.rest();
    net.withdraw(0, "x.example");
    net.run_ms(1500);
    net.offer(2, "x.example");
    net.run_ms(10);
    let Target::Remote(hops) = net.nodes[1].routes[&destination("x.example")].target() else {
        panic!("not remote")
    };
    assert_eq!(hops[0].address.ip(), super::config::address(2));
    net.withdraw(2, "x.example");
    net.run_ms(1000);
    assert!(
        installed(&net, 1, "x.example"),
        "the first drain does not end the second"
    );
    net.run_ms(1100);
    assert!(!installed(&net, 1, "x.example"));
}

#[test]
fn session_loss_hold_expiry_and_a_dead_next_hop_remove_at_once() {
    let mut net = Net::up(line(), 1);
    net.offer(0, "x.example");
    net.rest();
    net.crash(0);
    net.run_ms(10);
    assert!(!installed(&net, 1, "x.example"), "session loss");

    let mut configs = line();
    for config in &mut configs {
        config.hold_time = Duration::from_secs(9);
    }
    let mut net = Net::up(configs, 1);
    net.offer(0, "x.example");
    net.rest();
    net.nodes[0].alive = false;
    net.run(Duration::from_secs(12));
    assert!(!installed(&net, 1, "x.example"), "hold expiry");
    assert!(net.nodes[1].logged("Hold Timer Expired"), "{:?}", net.nodes[1].log);

    let mut net = Net::up(line(), 1);
    net.offer(0, "x.example");
    net.rest();
    let address = net.selected(1, "x.example").unwrap().attrs.next_hop;
    net.event(1, Event::NextHop { address, usable: false });
    assert!(!installed(&net, 1, "x.example"), "dead next hop");
    assert_eq!(net.paths(1, "x.example")[0].reason, "next hop unusable");
    net.run_ms(10);
    assert!(net.paths(2, "x.example").is_empty());
    net.event(1, Event::NextHop { address, usable: true });
    assert!(installed(&net, 1, "x.example"));
}

#[test]
fn a_next_hop_that_dies_during_the_drain_ends_it() {
    let mut net = Net::up(line(), 1);
    net.offer(0, "x.example");
    net.offer(1, "y.example");
    net.rest();
    let address = net.selected(1, "x.example").unwrap().attrs.next_hop;
    net.withdraw(0, "x.example");
    net.withdraw(1, "y.example");
    net.run_ms(10);
    net.event(1, Event::NextHop { address, usable: false });
    assert!(!installed(&net, 1, "x.example") && installed(&net, 1, "y.example"));
}

#[test]
fn a_name_with_an_alternative_changes_over_without_a_gap() {
    let mut configs = network(&each_its_own(4), &[(0, 1), (1, 2), (2, 3)]);
    configs[1].planes = vec![plane("envoy", false)];
    let mut net = Net::up(configs, 1);
    net.offer(0, "x.example");
    net.offer(3, "x.example");
    net.rest();
    let before = net.nodes[1].version;
    net.withdraw(0, "x.example");
    net.rest();
    let Target::Remote(hops) = net.nodes[1].routes[&destination("x.example")].target() else {
        panic!("not remote")
    };
    assert_eq!(hops[0].address.ip(), super::config::address(2));
    assert_eq!(net.nodes[1].version, before + 1, "one change, no removal between");
}

#[test]
fn own_domains_install_discards_that_give_way_to_real_routes() {
    let mut configs = network(&one_as(2), &[(0, 1)]);
    configs[0].domains = vec![name("acme.example")];
    configs[0].planes = vec![plane("envoy", false)];
    let mut net = Net::up(configs, 1);
    let target = |net: &Net| net.nodes[0].routes[&destination("*.acme.example")].target().clone();
    assert_eq!(target(&net), Target::Discard);
    net.offer(1, "*.acme.example");
    net.rest();
    assert!(matches!(target(&net), Target::Remote(_)));
    net.withdraw(1, "*.acme.example");
    net.run_ms(10);
    assert!(matches!(target(&net), Target::Remote(_)), "drains like every name");
    net.rest();
    assert_eq!(target(&net), Target::Discard);
    assert!(
        net.advertised(0, 1).is_empty(),
        "a discard is for the data planes alone"
    );
}

#[test]
fn a_drain_of_zero_removes_at_once() {
    let mut configs = line();
    configs[1].drain = Duration::ZERO;
    let mut net = Net::up(configs, 1);
    net.event(1, Event::ServiceAdd(service("x.example")));
    net.withdraw(1, "x.example");
    assert!(!installed(&net, 1, "x.example"));
}
