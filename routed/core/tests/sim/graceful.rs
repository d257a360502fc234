//! Graceful restart: routes outlive the sessions that brought them, for a bounded time, and only where nothing says that
//! they should not.

use std::time::Duration;

use catalyst_core::event::{Event, LocalPrefix, PlaneReport, SpeakerConfig};
use catalyst_core::policy::Policy;
use catalyst_core::wire::{Families, Family, kind};

use super::config::{Who, destination, each_its_own, graceful, network, one_as, plane};
use super::model;
use super::net::Net;

const RESTART: Duration = Duration::from_secs(30);

/// 0 - 1 - 2 in a line, an organisation each; all have a data plane that does not gate.
fn line() -> Vec<SpeakerConfig> {
    let mut configs = network(&each_its_own(3), &[(0, 1), (1, 2)]);
    for config in &mut configs {
        config.planes = vec![plane("envoy", false)];
    }
    graceful(configs, RESTART)
}

/// The line at rest: 0 offers x, 1 offers y, 2 offers z.
fn line_up() -> Net {
    let mut net = Net::up(line(), 1);
    for (node, text) in [(0, "x.example"), (1, "y.example"), (2, "z.example")] {
        net.offer(node, text);
    }
    net.rest();
    net
}

fn stale(net: &Net, node: usize, text: &str) -> Option<bool> {
    net.selected(node, text).map(|path| path.stale)
}

/// Node 1 comes back with what it offers, as its configuration would have it.
fn restart(net: &mut Net) {
    net.start_node(1);
    net.offer(1, "y.example");
}

#[test]
fn a_restart_is_invisible_to_the_data_planes_of_peers() {
    let mut net = line_up();
    let versions = |net: &Net| (net.nodes[0].version, net.nodes[2].version);
    let before = versions(&net);
    net.crash(1);
    net.run_ms(5000);
    assert_eq!(
        (stale(&net, 0, "y.example"), stale(&net, 0, "z.example")),
        (Some(true), Some(true))
    );
    assert_eq!(net.peer_view(0, 1).session.graceful.unwrap().stale, 2);
    restart(&mut net);
    net.rest();
    assert_eq!(
        (stale(&net, 0, "y.example"), stale(&net, 0, "z.example")),
        (Some(false), Some(false))
    );
    assert_eq!(versions(&net), before, "no route of theirs has moved");
    assert_eq!(net.peer_view(0, 1).session.graceful.unwrap().stale, 0);
    model::check(&net);
}

#[test]
fn who_hears_of_a_stale_route_hears_of_no_change() {
    // 3 - 0 - 1: what 0 tells 3 of the routes of 1 stays as it is.
    let mut configs = network(&each_its_own(3), &[(0, 1), (0, 2)]);
    configs = graceful(configs, RESTART);
    let mut net = Net::up(configs, 1);
    net.offer(1, "y.example");
    net.rest();
    let updates = net.frames[&(0, kind::UPDATE)];
    net.crash(1);
    net.run_ms(5000);
    restart(&mut net);
    net.rest();
    assert_eq!(net.frames[&(0, kind::UPDATE)], updates);
    assert_eq!(
        stale(&net, 2, "y.example"),
        Some(false),
        "stale is a word between two nodes"
    );
}

#[test]
fn without_a_return_the_routes_go_after_the_restart_time() {
    let mut net = line_up();
    net.crash(1);
    net.run(RESTART - Duration::from_millis(100));
    assert_eq!(stale(&net, 0, "z.example"), Some(true));
    net.run_ms(200);
    assert!(net.paths(0, "z.example").is_empty() && net.paths(0, "y.example").is_empty());
    assert!(
        !net.nodes[0].routes.contains_key(&destination("z.example")),
        "at once, without a drain"
    );
    assert!(net.nodes[0].logged("notice n001: 2 stale routes are gone"));
    model::check(&net);
}

#[test]
fn the_stale_time_bounds_what_a_peer_asks_for() {
    let mut configs = line();
    configs[0].peers[0].graceful_restart.as_mut().unwrap().stale_time = Duration::from_secs(10);
    let mut net = Net::up(configs, 1);
    net.offer(1, "y.example");
    net.rest();
    net.crash(1);
    net.run_ms(9900);
    assert_eq!(stale(&net, 0, "y.example"), Some(true));
    net.run_ms(200);
    assert!(net.paths(0, "y.example").is_empty());
}

#[test]
fn a_fresh_route_is_used_at_once_and_the_stale_one_again_once_it_is_fresh() {
    // 1 and 2 are one node away from 0, 3 two: x of 1 beats x of 3 by its path while both are fresh.
    let mut configs = network(&each_its_own(4), &[(0, 1), (0, 2), (2, 3)]);
    configs[0].planes = vec![plane("envoy", false)];
    let mut net = Net::up(graceful(configs, RESTART), 1);
    net.offer(1, "y.example");
    net.offer(3, "y.example");
    net.rest();
    assert_eq!(net.as_path(0, "y.example"), Some(vec![65002]));
    net.crash(1);
    net.run_ms(10);
    assert_eq!(net.as_path(0, "y.example"), Some(vec![65003, 65004]));
    let beaten = &net.paths(0, "y.example")[1];
    assert_eq!((beaten.stale, beaten.reason.as_str()), (true, "stale"));
    restart(&mut net);
    net.rest();
    assert_eq!(net.as_path(0, "y.example"), Some(vec![65002]));
    model::check(&net);
}

#[test]
fn what_is_not_sent_again_goes_with_end_of_rib() {
    let mut net = line_up();
    net.crash(1);
    net.start_node(1);
    net.run_ms(60_000);
    assert!(net.paths(0, "y.example").is_empty(), "1 offers it no longer");
    assert_eq!(stale(&net, 0, "z.example"), Some(false));
    assert!(net.nodes[0].logged("notice n001: 1 stale routes are gone"));
    model::check(&net);
}

#[test]
fn a_restarting_node_ends_its_table_only_after_it_has_heard_its_peers() {
    let mut net = line_up();
    net.crash(1);
    net.cut(1, 2);
    restart(&mut net);
    net.run_ms(8000);
    assert_eq!(net.peer_view(0, 1).state, "Established");
    assert_eq!(
        stale(&net, 0, "y.example"),
        Some(false),
        "its own routes are there again"
    );
    assert_eq!(stale(&net, 0, "z.example"), Some(true), "of others nothing is said yet");
    net.mend(1, 2);
    net.run_ms(5000);
    assert_eq!(stale(&net, 0, "z.example"), Some(false));
    assert!(net.peer_view(0, 1).end_of_rib);
    model::check(&net);
}

#[test]
fn a_timer_ends_the_deferral_of_end_of_rib() {
    let mut net = line_up();
    net.crash(1);
    net.cut(1, 2);
    restart(&mut net);
    net.run_ms(9900);
    assert!(!net.peer_view(0, 1).end_of_rib && stale(&net, 0, "z.example") == Some(true));
    net.run_ms(5000);
    assert!(net.peer_view(0, 1).end_of_rib && net.paths(0, "z.example").is_empty());
}

#[test]
fn end_of_rib_waits_for_a_data_plane_that_has_to_confirm_what_is_advertised() {
    let mut configs = line();
    configs[1].planes = vec![plane("envoy", true)];
    let mut net = Net::new(configs, 1);
    (0..3).for_each(|node| net.start_node(node));
    let confirm = |net: &mut Net| {
        let (plane, version) = ("envoy".into(), net.nodes[1].version);
        net.event(1, Event::PlaneUp("envoy".into()));
        let statuses = Vec::new();
        net.event(
            1,
            Event::PlaneReport(PlaneReport {
                plane,
                version,
                statuses,
            }),
        );
    };
    net.offer(1, "y.example");
    net.rest();
    confirm(&mut net);
    net.rest();
    assert_eq!(stale(&net, 0, "y.example"), Some(false));
    net.crash(1);
    restart(&mut net);
    net.run_ms(6000);
    assert_eq!(
        stale(&net, 0, "y.example"),
        Some(true),
        "the Envoy of 1 has not said a word yet"
    );
    assert!(!net.peer_view(0, 1).end_of_rib);
    confirm(&mut net);
    net.run_ms(2000);
    assert_eq!(stale(&net, 0, "y.example"), Some(false));
    assert!(net.peer_view(0, 1).end_of_rib);
}

#[test]
fn two_that_restart_do_not_wait_for_each_other() {
    let mut configs = network(&each_its_own(2), &[(0, 1)]);
    configs = graceful(configs, RESTART);
    let mut net = Net::up(configs, 1);
    net.crash(0);
    net.crash(1);
    net.start_node(0);
    net.start_node(1);
    net.run_ms(4000);
    assert!(net.peer_view(0, 1).end_of_rib && net.peer_view(1, 0).end_of_rib);
    assert!(net.elapsed_ms() < 205_000);
}

#[test]
fn a_goodbye_for_now_keeps_the_routes_and_one_for_good_does_not() {
    let mut net = line_up();
    net.event(1, Event::Leave);
    net.run_ms(1000);
    assert_eq!(stale(&net, 0, "y.example"), Some(true));
    let told = net.peer_view(0, 1).last_error;
    assert!(
        told.contains("Cease, Administrative Shutdown: the node is shutting down"),
        "{told}"
    );

    let mut net = line_up();
    net.event(1, Event::Shutdown("moving to another rack".into()));
    net.run_ms(10);
    assert!(net.paths(0, "y.example").is_empty());
    let told = net.peer_view(0, 1).last_error;
    let expected = "Cease, Hard Reset (Cease, Administrative Shutdown): moving to another rack";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn a_peer_that_did_not_keep_forwarding_loses_its_routes_at_once() {
    let mut configs = line();
    configs[1].planes = vec![plane("envoy", true)];
    configs[1].hold_time = Duration::from_secs(3);
    let mut net = Net::new(configs, 1);
    net.acknowledging = true;
    (0..3).for_each(|node| net.start_node(node));
    net.offer(2, "z.example");
    net.rest();
    // Its sessions end and its Envoy dies at once; nothing is held against the sessions yet.
    net.cut(0, 1);
    net.event(1, Event::PlaneDown("envoy".into()));
    net.run_ms(4000);
    assert_eq!(stale(&net, 0, "z.example"), Some(true));
    net.mend(0, 1);
    net.run_ms(20_000);
    assert_eq!(net.peer_view(0, 1).state, "Established");
    assert!(net.nodes[0].logged("notice n001: 1 stale routes are gone"));
    let offered = net.peer_view(0, 1).session.received;
    assert!(
        offered.iter().any(|it| it.contains("name not forwarding")),
        "{offered:?}"
    );
}

#[test]
fn another_node_in_the_place_of_a_peer_inherits_nothing() {
    let mut net = line_up();
    net.crash(1);
    net.reconfigure_dead(1, |config| config.identity.router_id.node = "other".into());
    net.cut(1, 2);
    net.start_node(1);
    net.run_ms(5000);
    assert_eq!(net.peer_view(0, 1).state, "Established");
    assert!(net.paths(0, "y.example").is_empty() && net.paths(0, "z.example").is_empty());
}

#[test]
fn a_second_loss_drops_what_was_not_sent_again_since_the_first() {
    let mut net = line_up();
    net.crash(1);
    net.cut(1, 2);
    restart(&mut net);
    net.run_ms(3000);
    assert_eq!(
        (stale(&net, 0, "y.example"), stale(&net, 0, "z.example")),
        (Some(false), Some(true))
    );
    net.crash(1);
    net.run_ms(100);
    assert_eq!(stale(&net, 0, "y.example"), Some(true));
    assert!(
        net.paths(0, "z.example").is_empty(),
        "RFC 4724 section 4.2: consecutive restarts"
    );
}

#[test]
fn a_restarted_peer_is_let_in_before_it_was_missed() {
    for seed in 0..20 {
        let mut net = line_up();
        net.rng = super::net::Rng::new(seed);
        net.delay = (1, 30);
        net.vanish(1);
        net.run_ms(200);
        assert_eq!(net.peer_view(0, 1).state, "Established", "nobody has noticed");
        restart(&mut net);
        net.run_ms(10_000);
        assert_eq!(
            (net.peer_view(0, 1).state, net.peer_view(0, 1).established_count),
            ("Established", 2)
        );
        assert_eq!(stale(&net, 0, "z.example"), Some(false));
        assert!(
            net.nodes[0].logged("down n001: the peer has connected anew"),
            "{:?}",
            net.nodes[0].log
        );
        net.rest();
        model::check(&net);
    }
}

#[test]
fn one_side_alone_does_not_make_a_restart_graceful() {
    let mut configs = line();
    configs[1]
        .peers
        .iter_mut()
        .for_each(|peer| peer.graceful_restart = None);
    let mut net = Net::up(configs, 1);
    net.offer(1, "y.example");
    net.rest();
    net.crash(1);
    net.run_ms(10);
    assert!(net.paths(0, "y.example").is_empty());
}

#[test]
fn a_peer_that_is_no_longer_configured_leaves_nothing_stale() {
    let mut net = line_up();
    net.crash(1);
    net.run_ms(100);
    net.reconfigure(0, |config| config.peers.clear());
    net.run_ms(10);
    assert!(net.paths(0, "y.example").is_empty());
}

#[test]
fn a_change_of_policy_reaches_stale_routes_and_leaves_them_stale() {
    let mut net = line_up();
    net.crash(1);
    net.run_ms(100);
    net.reconfigure(0, |config| config.peers[0].import = Some(Policy::reject().into()));
    assert_eq!(stale(&net, 0, "y.example"), None);
    net.reconfigure(0, |config| config.peers[0].import = Some(Policy::accept().into()));
    assert_eq!(stale(&net, 0, "y.example"), Some(true));
    net.run(RESTART);
    assert!(net.paths(0, "y.example").is_empty());
}

#[test]
fn inside_an_as_reflected_routes_survive_their_reflector() {
    let hub = Who::new(65000, "acme");
    assert_eq!(one_as(1)[0].asn, hub.asn);
    let mut configs = network(&one_as(3), &[(0, 1), (1, 2)]);
    configs[1].reflector = true;
    for config in &mut configs {
        config.planes = vec![plane("envoy", false)];
    }
    let mut net = Net::up(graceful(configs, RESTART), 1);
    net.offer(2, "z.acme");
    net.rest();
    let before = net.nodes[0].version;
    net.crash(1);
    net.run_ms(2000);
    assert_eq!(stale(&net, 0, "z.acme"), Some(true));
    net.start_node(1);
    net.rest();
    assert_eq!((stale(&net, 0, "z.acme"), net.nodes[0].version), (Some(false), before));
    model::check(&net);
}

#[test]
fn each_family_ends_by_its_own_end_of_rib_or_is_not_kept_at_all() {
    let mut configs = network(&one_as(2), &[(0, 1)]);
    for peer in configs.iter_mut().flat_map(|config| &mut config.peers) {
        peer.families = Families::ALL;
    }
    let mut net = Net::up(graceful(configs, RESTART), 1);
    let prefix = |text: &str| LocalPrefix {
        prefix: text.parse().unwrap(),
        communities: Vec::new(),
        large_communities: Vec::new(),
        med: None,
    };
    let offered = ["y.acme", "10.1.0.0/16", "2001:db8::/32"];
    let held = |net: &Net| offered.map(|text| stale(net, 0, text));
    net.offer(1, offered[0]);
    net.event(1, Event::PrefixAdd(prefix(offered[1])));
    net.event(1, Event::PrefixAdd(prefix(offered[2])));
    net.rest();
    assert_eq!(held(&net), [Some(false); 3]);
    net.crash(1);
    net.run_ms(1000);
    assert_eq!(held(&net), [Some(true); 3]);
    // Back without IPv6: its routes go at once, the others with the END-OF-RIB of their family.
    net.reconfigure_dead(1, |config| {
        config.peers[0].families = [Family::Name, Family::Ipv4].into_iter().collect();
    });
    net.start_node(1);
    net.event(1, Event::PrefixAdd(prefix(offered[1])));
    net.run_ms(20_000);
    assert_eq!(net.peer_view(0, 1).state, "Established");
    assert_eq!(held(&net), [None, Some(false), None]);
    assert_eq!(
        net.nodes[0]
            .log
            .iter()
            .filter(|(_, line)| line.contains("1 stale routes are gone"))
            .count(),
        2
    );
}
