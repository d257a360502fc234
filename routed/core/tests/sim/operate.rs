//! What operators do to sessions, and what the other side hears of it.

use std::time::Duration;

use bytes::BytesMut;
use catalyst_core::event::Event;
use catalyst_core::operate::{ActError, Operation, PeerAct};
use catalyst_core::wire::{self, Family, Message, RouteRefresh, kind};

use super::config::{each_its_own, graceful, network, node_name, plane, service};
use super::model;
use super::net::Net;

/// 0 - 1, with graceful restart; 1 offers y.
fn pair() -> Net {
    let mut configs = network(&each_its_own(2), &[(0, 1)]);
    configs[0].planes = vec![plane("envoy", false)];
    let mut net = Net::up(graceful(configs, Duration::from_secs(30)), 1);
    net.offer(1, "y.example");
    net.rest();
    net
}

fn on_1(act: PeerAct) -> Operation {
    let peer = node_name(1).into();
    Operation { peer, act }
}

fn act(net: &mut Net, act: PeerAct) {
    let operation = on_1(act);
    assert_eq!(net.nodes[0].speaker.may_operate(&operation), Ok(()));
    net.event(0, Event::Operate(operation));
    net.run_ms(100);
}

fn disable(message: &str) -> PeerAct {
    let message = message.into();
    PeerAct::Disable { message }
}

fn reset(hard: bool) -> PeerAct {
    let message = "new cable".into();
    PeerAct::Reset { message, hard }
}

#[test]
fn a_disabled_peer_is_gone_for_good_and_knows_why_until_it_is_enabled() {
    let mut net = pair();
    act(&mut net, disable("moving to another rack"));
    assert!(net.paths(0, "y.example").is_empty(), "a hard reset keeps nothing");
    let said = net.peer_view(1, 0).last_error;
    let expected = "peer said: Cease, Hard Reset (Cease, Administrative Shutdown): moving to another rack";
    assert_eq!(said, expected);
    assert_eq!(
        net.peer_view(0, 1).session.disabled.as_deref(),
        Some("moving to another rack")
    );
    net.rest();
    assert_eq!(
        (net.peer_view(0, 1).state, net.peer_view(0, 1).established_count),
        ("Idle", 1)
    );
    let said = net.peer_view(1, 0).last_error;
    let expected = "peer said: Cease, Connection Rejected: the session is stopped here: moving to another rack";
    assert_eq!(said, expected, "it dials again, and hears it again");
    act(&mut net, PeerAct::Enable);
    assert_eq!(
        (net.peer_view(0, 1).state, net.peer_view(0, 1).session.disabled),
        ("Established", None)
    );
    assert!(net.selected(0, "y.example").is_some());
    model::check(&net);
}

#[test]
fn a_disabled_peer_stays_disabled_when_its_configuration_changes() {
    let mut net = pair();
    act(&mut net, disable(""));
    net.reconfigure(0, |config| config.peers[0].node = Some("other".into()));
    net.reconfigure(0, |config| config.peers[0].node = None);
    net.rest();
    assert_eq!(
        (net.peer_view(0, 1).state, net.peer_view(0, 1).established_count),
        ("Idle", 1)
    );
    act(&mut net, PeerAct::Enable);
    assert_eq!(net.peer_view(0, 1).state, "Established");
}

#[test]
fn disabling_a_peer_that_is_away_lets_go_of_what_it_left_behind() {
    let mut net = pair();
    net.crash(1);
    net.run_ms(100);
    assert!(net.selected(0, "y.example").unwrap().stale);
    act(&mut net, disable(""));
    assert!(net.paths(0, "y.example").is_empty());
}

#[test]
fn a_reset_moves_no_traffic_unless_it_is_hard() {
    for hard in [false, true] {
        let mut net = pair();
        let before = net.nodes[0].version;
        act(&mut net, reset(hard));
        net.rest();
        let view = net.peer_view(0, 1);
        assert_eq!((view.state, view.established_count), ("Established", 2));
        assert_eq!(net.nodes[0].version == before, !hard);
        let code = if hard {
            "Hard Reset (Cease, Administrative Reset)"
        } else {
            "Administrative Reset"
        };
        assert_eq!(
            net.peer_view(1, 0).last_error,
            format!("peer said: Cease, {code}: new cable")
        );
        model::check(&net);
    }
}

#[test]
fn a_refresh_asks_for_everything_again_and_moves_nothing() {
    let mut net = pair();
    let before = net.nodes[0].version;
    act(&mut net, PeerAct::Refresh);
    let (asked, marked) = (
        net.frames[&(0, kind::ROUTE_REFRESH)],
        net.frames[&(1, kind::ROUTE_REFRESH)],
    );
    assert_eq!(
        (asked, marked),
        (3, 6),
        "once per family, and each answer stands between markers"
    );
    assert_eq!((net.nodes[0].version, net.peer_view(0, 1).received), (before, 1));
}

#[test]
fn what_has_no_place_is_refused_with_the_reason() {
    let mut net = pair();
    let asked = |net: &Net, peer: &str, act: PeerAct| {
        let peer = peer.into();
        net.nodes[0].speaker.may_operate(&Operation { peer, act })
    };
    let peer = node_name(1);
    assert_eq!(asked(&net, "nobody", PeerAct::Refresh), Err(ActError::Unknown));
    net.cut(0, 1);
    net.run_ms(100);
    assert_eq!(asked(&net, &peer, PeerAct::Refresh), Err(ActError::NotEstablished));
    act(&mut net, disable(""));
    assert_eq!(asked(&net, &peer, PeerAct::Refresh), Err(ActError::Disabled));
    assert_eq!(asked(&net, &peer, reset(false)), Err(ActError::Disabled));
    net.event(0, Event::Leave);
    assert_eq!(asked(&net, &peer, PeerAct::Enable), Err(ActError::Stopped));
}

fn frame(message: &Message) -> BytesMut {
    let mut frame = BytesMut::new();
    wire::encode(message, &mut frame);
    frame
}

fn marker(subtype: u8) -> BytesMut {
    frame(&Message::RouteRefresh(RouteRefresh {
        family: Family::Name,
        subtype,
    }))
}

#[test]
fn what_is_not_told_between_the_markers_of_a_refresh_is_gone_at_its_end() {
    let mut net = pair();
    net.event(0, Event::ServiceAdd(service("own.example")));
    net.offer(1, "z.example");
    net.run_ms(1000);
    net.inject(1, 0, &marker(2));
    net.run_ms(10);
    assert_eq!(net.peer_view(0, 1).received, 2, "an end without a begin says nothing");
    net.inject(1, 0, &marker(1));
    net.run_ms(10);
    assert!(
        net.selected(0, "y.example").is_some_and(|path| !path.stale),
        "in use until the end"
    );
    // 1 tells z and a new name again, and forgets y.
    net.offer(1, "new.example");
    let told = net.nodes[1].speaker.advertised(&node_name(0), None, usize::MAX);
    let attrs = told
        .iter()
        .find(|(name, _)| name.to_string() == "z.example")
        .unwrap()
        .1
        .clone();
    let mut frames = BytesMut::new();
    wire::pack_announce(&wire::encode_attrs(&attrs), ["z.example"].into_iter(), &mut frames);
    net.inject(1, 0, &frames);
    net.inject(1, 0, &marker(2));
    net.run_ms(2000);
    assert!(net.paths(0, "y.example").is_empty() && net.selected(0, "z.example").is_some());
    assert!(net.selected(0, "new.example").is_some() && net.selected(0, "own.example").is_some());
    assert!(net.nodes[0].logged("notice n001: 1 routes were not sent again and are gone"));
    assert_eq!(net.peer_view(0, 1).established_count, 1);
}

#[test]
fn requests_amid_an_answer_are_answered_together_after_it() {
    let mut net = pair();
    net.checks.whole_every = 0;
    // More than fits into the window: names that share no text.
    let text = |n: u64| {
        let digits = |part: u64| (n * 8 + part).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (0..12).map(|part| format!("{:016x}", digits(part))).collect::<String>()
    };
    let names = (0..8000).map(|n| {
        text(n)
            .as_bytes()
            .chunks(60)
            .map(|label| String::from_utf8_lossy(label).into_owned())
            .collect::<Vec<_>>()
            .join(".")
    });
    net.batch(0, names.map(|name| Event::ServiceAdd(service(&name))));
    net.rest();
    net.stalled.insert(1);
    for _ in 0..100 {
        net.inject(1, 0, &marker(0));
    }
    net.unstall(1);
    net.rest();
    // One answer filled the window, one waited for it, and one is for all the other requests.
    assert_eq!(net.frames[&(0, kind::ROUTE_REFRESH)], 3 * 2, "each with begin and end");
    assert_eq!(net.peer_view(1, 0).received, 8000);
}

#[test]
fn a_begin_within_a_begin_marks_nothing_anew() {
    let mut net = pair();
    net.inject(1, 0, &marker(1));
    net.offer(1, "new.example");
    net.run_ms(1000);
    net.inject(1, 0, &marker(1));
    net.inject(1, 0, &marker(2));
    net.run_ms(2000);
    assert!(net.paths(0, "y.example").is_empty() && net.selected(0, "new.example").is_some());
}

#[test]
fn a_session_that_is_lost_amid_a_refresh_leaves_nothing_of_it() {
    let mut net = pair();
    net.inject(1, 0, &marker(1));
    net.run_ms(10);
    net.reset_sessions(0, 1);
    net.run_ms(5000);
    net.inject(1, 0, &marker(2));
    net.run_ms(10);
    assert!(net.selected(0, "y.example").is_some_and(|path| !path.stale));
}
