//! Make before break: peers hear of a route once the gating data planes serve it.

use std::time::Duration;

use catalyst_core::event::{Event, LocalService, PlaneReport, SpeakerConfig};
use catalyst_core::route::{Endpoint, PlaneStatus};

use super::config::{destination, each_its_own, network, plane, service};
use super::net::Net;

/// 0 - 1 - 2 in a line; 1 has an Envoy that gates, connected and settled unless told.
fn line() -> Vec<SpeakerConfig> {
    let mut configs = network(&each_its_own(3), &[(0, 1), (1, 2)]);
    configs[1].planes = vec![plane("envoy", true)];
    configs[1].hold_time = Duration::from_secs(9);
    configs
}

fn up() -> Net {
    let mut net = Net::up(line(), 1);
    net.event(1, Event::PlaneUp("envoy".into()));
    settle(&mut net);
    net.run_ms(10);
    net
}

fn report(net: &mut Net, version: u64, statuses: &[(&str, PlaneStatus)]) {
    let statuses = statuses
        .iter()
        .map(|(text, status)| (destination(text), status.clone()))
        .collect();
    net.event(
        1,
        Event::PlaneReport(PlaneReport {
            plane: "envoy".into(),
            version,
            statuses,
        }),
    );
}

/// The Envoy settles everything that it was given.
fn settle(net: &mut Net) {
    let version = net.nodes[1].version;
    report(net, version, &[]);
}

fn rejected() -> PlaneStatus {
    PlaneStatus::Rejected("no such cluster".into())
}

fn heard(net: &mut Net, text: &str) -> bool {
    net.run_ms(5);
    net.selected(2, text).is_some()
}

fn weight_heard(net: &mut Net, text: &str) -> Option<u16> {
    net.run_ms(5);
    net.selected(2, text)
        .map(|path| path.attrs.service.as_ref().unwrap().weight)
}

fn weighing(text: &str, weight: u16, port: u16) -> LocalService {
    let endpoints = vec![Endpoint {
        host: "127.0.0.1".into(),
        port,
        weight: 1,
    }];
    LocalService {
        weight,
        endpoints,
        ..service(text)
    }
}

#[test]
fn a_route_is_advertised_once_the_data_plane_has_settled_it() {
    let mut net = up();
    net.offer(0, "x.example");
    net.offer(1, "own.example");
    assert!(!heard(&mut net, "x.example") && !heard(&mut net, "own.example"));
    assert_eq!(
        net.selected(1, "x.example").unwrap().reason,
        "not advertised yet: waits for the data planes"
    );
    let before = net.nodes[1].version;
    report(&mut net, before - 1, &[]);
    assert!(
        heard(&mut net, "own.example") && !heard(&mut net, "x.example"),
        "as far as it is settled"
    );
    settle(&mut net);
    assert!(heard(&mut net, "x.example"));
    assert_eq!(
        net.selected(1, "x.example").unwrap().data_planes,
        [("envoy".into(), PlaneStatus::Programmed)]
    );
}

#[test]
fn ack_wait_bounds_the_wait() {
    let mut net = up();
    net.offer(1, "x.example");
    net.run_ms(990);
    assert!(!heard(&mut net, "x.example"));
    net.run_ms(10);
    assert!(heard(&mut net, "x.example"));
    let status = &net.selected(1, "x.example").unwrap().data_planes[0].1;
    assert_eq!(*status, PlaneStatus::Pending("".into()));
}

/// A word that was on its way while the name changed speaks of what it was, and must not open the gate for what it is.
#[test]
fn a_late_word_on_what_a_name_was_says_nothing_of_what_it_is() {
    let mut net = up();
    net.offer(1, "x.example");
    let before = net.nodes[1].version;
    net.offer(1, "y.example");
    report(&mut net, before, &[("y.example", PlaneStatus::Programmed)]);
    assert!(heard(&mut net, "x.example") && !heard(&mut net, "y.example"));
    report(
        &mut net,
        before,
        &[("y.example", PlaneStatus::Rejected("what it was".into()))],
    );
    settle(&mut net);
    assert!(heard(&mut net, "y.example"));
}

#[test]
fn a_pending_name_waits_on_though_its_version_is_settled() {
    let mut net = up();
    net.offer(1, "x.example");
    let version = net.nodes[1].version;
    report(
        &mut net,
        version,
        &[("x.example", PlaneStatus::Pending("warming".into()))],
    );
    assert!(!heard(&mut net, "x.example"));
    report(&mut net, version, &[("x.example", PlaneStatus::Programmed)]);
    assert!(heard(&mut net, "x.example"));
}

#[test]
fn the_previous_advertisement_stands_until_the_change_is_settled() {
    let mut net = up();
    net.event(1, Event::ServiceAdd(weighing("x.example", 1, 1)));
    settle(&mut net);
    assert_eq!(weight_heard(&mut net, "x.example"), Some(1));
    net.event(1, Event::ServiceAdd(weighing("x.example", 2, 2)));
    assert_eq!(weight_heard(&mut net, "x.example"), Some(1));
    settle(&mut net);
    assert_eq!(weight_heard(&mut net, "x.example"), Some(2));
}

#[test]
fn it_stands_also_when_the_path_behind_it_is_gone_and_another_is_pending() {
    let mut configs = network(&each_its_own(4), &[(0, 1), (1, 2), (1, 3)]);
    configs[1].planes = vec![plane("envoy", true)];
    let mut net = Net::up(configs, 1);
    net.event(1, Event::PlaneUp("envoy".into()));
    net.offer(0, "x.example");
    net.offer(3, "x.example");
    net.run_ms(10);
    settle(&mut net);
    net.run_ms(10);
    assert_eq!(net.as_path(2, "x.example"), Some(vec![65002, 65001]));
    net.crash(0);
    net.run_ms(10);
    assert_eq!(net.as_path(1, "x.example"), Some(vec![65004]));
    assert_eq!(
        net.as_path(2, "x.example"),
        Some(vec![65002, 65001]),
        "until the Envoy has moved over"
    );
    settle(&mut net);
    net.run_ms(10);
    assert_eq!(net.as_path(2, "x.example"), Some(vec![65002, 65004]));
}

#[test]
fn a_withdrawal_does_not_wait() {
    let mut net = up();
    net.offer(1, "x.example");
    settle(&mut net);
    assert!(heard(&mut net, "x.example"));
    net.withdraw(1, "x.example");
    assert!(!heard(&mut net, "x.example"));
}

#[test]
fn what_the_data_planes_do_not_see_does_not_wait() {
    let mut net = up();
    net.offer(1, "x.example");
    settle(&mut net);
    let version = net.nodes[1].version;
    let mut tagged = service("x.example");
    tagged.communities = vec![5];
    net.event(1, Event::ServiceAdd(tagged));
    net.run_ms(5);
    assert_eq!(net.selected(2, "x.example").unwrap().attrs.communities, [5]);
    assert_eq!(net.nodes[1].version, version);
}

#[test]
fn changed_endpoints_move_the_data_planes_and_no_peer() {
    let mut net = up();
    net.event(1, Event::ServiceAdd(weighing("x.example", 1, 1)));
    settle(&mut net);
    net.run_ms(10);
    let (version, updates) = (net.nodes[1].version, net.peer_view(1, 2).updates_out);
    net.event(1, Event::ServiceAdd(weighing("x.example", 1, 2)));
    settle(&mut net);
    net.run_ms(2000);
    assert_eq!(net.nodes[1].version, version + 1);
    assert_eq!(net.peer_view(1, 2).updates_out, updates);
    net.event(1, Event::ServiceAdd(weighing("x.example", 1, 2)));
    assert_eq!(net.nodes[1].version, version + 1, "the same again is no change");
}

#[test]
fn a_rejected_name_is_not_advertised_and_withdrawn_if_it_was() {
    let mut net = up();
    net.offer(1, "x.example");
    let version = net.nodes[1].version;
    report(&mut net, version, &[("x.example", rejected())]);
    net.run_ms(3000);
    assert!(!heard(&mut net, "x.example"), "not after ack_wait either");
    let path = net.selected(1, "x.example").unwrap();
    assert_eq!(path.reason, "not advertised: rejected by envoy: no such cluster");
    assert_eq!(path.data_planes, [("envoy".into(), rejected())]);
    report(&mut net, version, &[("x.example", PlaneStatus::Programmed)]);
    assert!(heard(&mut net, "x.example"));
    report(&mut net, version, &[("x.example", rejected())]);
    assert!(!heard(&mut net, "x.example"));
    let view = &net.nodes[1].speaker.plane_counts()[0];
    assert_eq!((view.programmed, view.pending, view.rejected), (0, 0, 1));
    // Its next change is a new chance.
    net.event(1, Event::ServiceAdd(weighing("x.example", 1, 9)));
    settle(&mut net);
    assert!(heard(&mut net, "x.example"));
}

#[test]
fn nothing_is_advertised_while_no_instance_has_connected() {
    let mut net = Net::up(line(), 1);
    net.offer(1, "x.example");
    net.offer(0, "y.example");
    net.run_ms(5000);
    assert!(!heard(&mut net, "x.example") && !heard(&mut net, "y.example"));
    assert_eq!(
        net.selected(1, "x.example").unwrap().reason,
        "not advertised: no data plane is connected"
    );
    net.event(1, Event::PlaneUp("envoy".into()));
    assert!(!heard(&mut net, "x.example"), "connected, not settled");
    settle(&mut net);
    assert!(heard(&mut net, "x.example") && heard(&mut net, "y.example"));
}

#[test]
fn a_data_plane_lost_for_longer_than_the_hold_time_withdraws_everything_until_it_is_back() {
    let mut net = up();
    net.offer(1, "x.example");
    net.offer(0, "y.example");
    net.run_ms(10);
    settle(&mut net);
    assert!(heard(&mut net, "x.example") && heard(&mut net, "y.example"));
    net.event(1, Event::PlaneDown("envoy".into()));
    net.run_ms(5000);
    net.event(1, Event::PlaneUp("envoy".into()));
    net.event(1, Event::PlaneDown("envoy".into()));
    net.run_ms(8900);
    assert!(heard(&mut net, "x.example"), "the hold time counts from the last loss");
    net.run_ms(200);
    assert!(!heard(&mut net, "x.example") && !heard(&mut net, "y.example"));
    assert!(net.advertised(1, 2).is_empty() && net.advertised(1, 0).is_empty());
    net.event(1, Event::PlaneUp("envoy".into()));
    assert!(!heard(&mut net, "x.example"));
    settle(&mut net);
    assert!(heard(&mut net, "x.example") && heard(&mut net, "y.example"));
}

/// Peers keep the route for the hold time (the Envoy may be restarting); nobody here is told that it answers.
#[test]
fn nothing_is_called_programmed_while_no_instance_is_connected() {
    let mut net = up();
    net.offer(1, "x.example");
    net.offer(1, "refused.example");
    let version = net.nodes[1].version;
    report(&mut net, version, &[("refused.example", rejected())]);
    assert!(heard(&mut net, "x.example"));
    let status = |net: &Net, text: &str| net.selected(1, text).unwrap().data_planes[0].1.clone();
    let counts = |net: &Net| {
        let view = &net.nodes[1].speaker.plane_counts()[0];
        (view.programmed, view.pending, view.rejected)
    };
    assert_eq!(
        (status(&net, "x.example"), counts(&net)),
        (PlaneStatus::Programmed, (1, 0, 1))
    );
    net.nodes[1].speaker.watch(true);
    net.event(1, Event::PlaneDown("envoy".into()));
    assert_eq!(status(&net, "x.example"), PlaneStatus::Pending("not connected".into()));
    assert_eq!((status(&net, "refused.example"), counts(&net)), (rejected(), (0, 1, 1)));
    assert!(
        heard(&mut net, "x.example"),
        "not withdrawn before the hold time is over"
    );
    let told = net.nodes[1].speaker.take_watched();
    assert_eq!(
        told,
        ["refused.example", "x.example"].map(destination),
        "watchers look again"
    );
    net.event(1, Event::PlaneUp("envoy".into()));
    assert_eq!(
        (status(&net, "x.example"), counts(&net)),
        (PlaneStatus::Programmed, (1, 0, 1))
    );
    assert_eq!(net.nodes[1].speaker.take_watched().len(), 2);
}

#[test]
fn a_route_in_use_without_any_data_plane_says_so() {
    let mut net = Net::up(network(&each_its_own(2), &[(0, 1)]), 1);
    net.offer(0, "x.example");
    net.run_ms(10);
    for node in [0, 1] {
        let path = net.selected(node, "x.example").unwrap();
        assert_eq!((&*path.reason, path.data_planes.len()), ("no data plane", 0));
    }
    assert!(net.selected(1, "x.example").is_some_and(|path| path.selected));
}

#[test]
fn a_session_that_comes_up_while_a_change_is_pending_gets_the_previous_advertisement() {
    let mut net = up();
    net.event(1, Event::ServiceAdd(weighing("x.example", 1, 1)));
    settle(&mut net);
    net.cut(1, 2);
    net.run_ms(10);
    net.mend(1, 2);
    net.run_ms(100_000);
    net.event(1, Event::ServiceAdd(weighing("x.example", 2, 2)));
    net.reset_sessions(1, 2);
    net.run_ms(5);
    net.rest();
    assert_eq!(weight_heard(&mut net, "x.example"), Some(2));
}

#[test]
fn a_report_from_the_future_and_names_that_nobody_has_are_ignored() {
    let mut net = up();
    report(&mut net, u64::MAX, &[("nobody.example", rejected())]);
    net.offer(1, "x.example");
    assert!(!heard(&mut net, "x.example"));
    let view = &net.nodes[1].speaker.plane_counts()[0];
    assert_eq!(
        (view.version, view.latest, view.pending),
        (view.latest - 1, view.latest, 1)
    );
    settle(&mut net);
    let view = &net.nodes[1].speaker.plane_counts()[0];
    assert_eq!((view.programmed, view.pending, view.rejected), (1, 0, 0));
}

#[test]
fn two_gating_planes_both_have_to_settle() {
    let mut configs = line();
    configs[1].planes.push(plane("second", true));
    let mut net = Net::up(configs, 1);
    net.event(1, Event::PlaneUp("envoy".into()));
    net.offer(1, "x.example");
    net.run_ms(3000);
    assert!(!heard(&mut net, "x.example"), "the second is not connected");
    net.event(1, Event::PlaneUp("second".into()));
    net.run_ms(1100);
    assert!(heard(&mut net, "x.example"));
    net.offer(1, "y.example");
    settle(&mut net);
    assert!(!heard(&mut net, "y.example"));
    let version = net.nodes[1].version;
    let settled = PlaneReport {
        plane: "second".into(),
        version,
        statuses: Vec::new(),
    };
    net.event(1, Event::PlaneReport(settled));
    assert!(heard(&mut net, "y.example"));
}

#[test]
fn a_version_that_is_settled_is_news_of_the_names_in_it() {
    let mut net = up();
    net.offer(1, "x.example");
    settle(&mut net);
    net.nodes[1].speaker.watch(true);
    net.offer(1, "y.example");
    net.nodes[1].speaker.take_watched();
    settle(&mut net);
    assert_eq!(net.nodes[1].speaker.take_watched(), ["y.example".parse().unwrap()]);
}
