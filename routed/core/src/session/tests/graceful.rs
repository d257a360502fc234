//! Graceful restart: which ends of a session leave routes in place, and a peer that is back before it was missed.

use super::*;
use crate::wire::subcode::cease;

const RESTART: Duration = Duration::from_secs(120);

fn graceful() -> SessionConfig {
    SessionConfig {
        restart_time: Some(RESTART),
        ..config()
    }
}

fn offer(notification: bool) -> GracefulRestart {
    GracefulRestart {
        restarting: false,
        notification,
        restart_time: RESTART,
        families: vec![(Family::Name, true)],
    }
}

fn open_with(graceful_restart: Option<GracefulRestart>) -> Open {
    Open {
        graceful_restart,
        ..peer_open()
    }
}

/// Established, with what the peer offers.
fn up(config: SessionConfig, offered: Option<GracefulRestart>) -> Bench {
    let mut bench = Bench::in_state(State::OpenSent, config);
    bench.message(OUT, Message::Open(open_with(offered)));
    assert_eq!(words(&bench.message(OUT, Message::Keepalive)), "out:up");
    bench
}

fn said(subcode: u8) -> Notification {
    Notification::cease(subcode, "so it is")
}

fn heard(notification: Notification) -> SessionEvent {
    SessionEvent::Message(OUT, Ok(Message::Notification(notification)))
}

fn reset(hard: bool) -> SessionEvent {
    SessionEvent::Reset {
        notification: said(cease::ADMINISTRATIVE_RESET),
        hard,
        idle: Duration::ZERO,
    }
}

/// An end of the session, with what it does without graceful restart, with that of RFC 4724, and with that of RFC 8538.
type Row = (&'static str, fn() -> SessionEvent, [&'static str; 3]);

#[rustfmt::skip]
const ENDS: [Row; 10] = [
    ("the transport is lost", || SessionEvent::Closed(OUT, "reset".into()), ["down", "down:kept", "down:kept"]),
    ("a frame is malformed", || SessionEvent::Message(OUT, Err(WireError::UnknownType(9))),
        ["out:notify:1/3 out:close down", "out:notify:1/3 out:close down", "out:notify:1/3 out:close down:kept"]),
    ("NOTIFICATION", || heard(said(cease::ADMINISTRATIVE_RESET)),
        ["out:close down", "out:close down", "out:close down:kept"]),
    ("hard reset", || heard(said(cease::ADMINISTRATIVE_SHUTDOWN).hard_reset()),
        ["out:close down", "out:close down", "out:close down"]),
    ("NOTIFICATION that cannot be read", || SessionEvent::Message(OUT, Err(WireError::Notification("cut short"))),
        ["out:close down", "out:close down", "out:close down"]),
    ("ManualStop", || SessionEvent::Stop(said(cease::ADMINISTRATIVE_SHUTDOWN)),
        ["out:notify:6/2 out:close down", "out:notify:6/2 out:close down", "out:notify:6/9 out:close down"]),
    ("leave", || SessionEvent::Leave(said(cease::ADMINISTRATIVE_SHUTDOWN)),
        ["out:notify:6/2 out:close down", "out:close down", "out:notify:6/2 out:close down:kept"]),
    ("soft reset", || reset(false),
        ["out:notify:6/4 out:close down dial", "out:notify:6/4 out:close down dial",
         "out:notify:6/4 out:close down:kept dial"]),
    ("hard reset of ours", || reset(true),
        ["out:notify:6/4 out:close down dial", "out:notify:6/4 out:close down dial",
         "out:notify:6/9 out:close down dial"]),
    ("a message out of place", || SessionEvent::Message(OUT, Ok(Message::Open(peer_open()))),
        ["out:notify:5/3 out:close down", "out:notify:5/3 out:close down", "out:notify:5/3 out:close down:kept"]),
];

#[test]
fn every_end_of_a_session_with_every_kind_of_graceful_restart() {
    for (name, event, did) in ENDS {
        for (offered, did) in [None, Some(offer(false)), Some(offer(true))].into_iter().zip(did) {
            let mut bench = up(graceful(), offered.clone());
            assert_eq!(words(&bench.give(event())), did, "{name}, {offered:?} offered");
        }
        let mut bench = up(config(), Some(offer(true)));
        assert_eq!(words(&bench.give(event())), did[0], "{name}, not offered here");
    }
}

#[test]
fn hold_expiry_keeps_routes_as_a_notification_does() {
    for (offered, did) in [
        (None, "out:notify:4/0 out:close down"),
        (Some(offer(false)), "out:notify:4/0 out:close down"),
        (Some(offer(true)), "out:notify:4/0 out:close down:kept"),
    ] {
        assert_eq!(words(&up(graceful(), offered).pass(HOLD)), did);
    }
}

#[test]
fn silence_of_the_peer_is_told_from_all_other_ends() {
    let silent = |effects: &[SessionEffect]| {
        let mut effects = effects.iter();
        effects.find_map(|effect| match effect {
            SessionEffect::Down(down) => Some((down.keeps_routes, down.silent)),
            SessionEffect::Connect
            | SessionEffect::Send(..)
            | SessionEffect::Close(_)
            | SessionEffect::Up(_)
            | SessionEffect::Update(_)
            | SessionEffect::EndOfRib(_)
            | SessionEffect::RouteRefresh(_) => None,
        })
    };
    let up = || up(graceful(), Some(offer(true)));
    assert_eq!(silent(&up().pass(HOLD)), Some((true, true)));
    let said = |code| SessionEvent::Message(OUT, Ok(Message::Notification(Notification::new(code, 0, ""))));
    for (code, is_silence) in [(3, false), (4, true), (6, false), (8, true)] {
        assert_eq!(silent(&up().give(said(code))), Some((true, is_silence)), "code {code}");
    }
    let closed = SessionEvent::Closed(OUT, "connection reset".into());
    assert_eq!(silent(&up().give(closed)), Some((true, false)));
    assert_eq!(silent(&up().give(reset(false))), Some((true, false)));
}

#[test]
fn a_hard_reset_wraps_its_reason() {
    let mut bench = up(graceful(), Some(offer(true)));
    let effects = bench.give(SessionEvent::Stop(said(cease::ADMINISTRATIVE_SHUTDOWN)));
    let Some(SessionEffect::Send(_, Message::Notification(sent))) = effects.first() else {
        panic!("no NOTIFICATION: {effects:?}");
    };
    assert_eq!((&sent.data[..], sent.text.as_str()), (&[6, 2][..], "so it is"));
    assert_eq!(
        sent.to_string(),
        "Cease, Hard Reset (Cease, Administrative Shutdown): so it is"
    );
}

#[test]
fn open_says_how_this_node_stands() {
    let mut bench = Bench::in_state(State::Connect, graceful());
    for (restarting, forwarding) in [(true, true), (false, false), (false, true)] {
        let forwards = if forwarding {
            Families::NAMES
        } else {
            Families::PREFIXES
        };
        bench.session.set_restart(Restart {
            restarting,
            forwarding: forwards,
        });
        let mut bench = Bench {
            session: bench.session.clone(),
            now: bench.now,
        };
        let [SessionEffect::Send(_, Message::Open(open))] = &bench.connected()[..] else {
            panic!("no OPEN");
        };
        let expected = GracefulRestart {
            restarting,
            families: vec![(Family::Name, forwarding)],
            ..offer(true)
        };
        assert_eq!(open.graceful_restart.as_ref(), Some(&expected));
    }
}

#[test]
fn an_idle_hold_keeps_the_session_down_for_a_while() {
    let mut bench = up(config(), None);
    let idle = Duration::from_secs(30);
    let event = SessionEvent::Reset {
        notification: said(cease::MAX_PREFIXES),
        hard: true,
        idle,
    };
    assert_eq!(words(&bench.give(event)), "out:notify:6/1 out:close down");
    assert_eq!(bench.session.state(), State::Idle);
    assert_eq!(words(&bench.accepted(IN)), "in:notify:6/5 in:close");
    assert_eq!(bench.session.poll_timeout(), Some(bench.now + idle));
    let mut again = Bench {
        session: bench.session.clone(),
        now: bench.now,
    };
    assert_eq!(words(&again.give(SessionEvent::Start)), "dial");
    assert_eq!(words(&bench.expire()), "dial");
}

#[test]
fn a_reset_leaves_a_stopped_session_stopped() {
    let mut bench = Bench::in_state(State::Idle, config());
    assert_eq!(bench.give(reset(false)), []);
    assert_eq!(bench.session.state(), State::Idle);
}

/// The peer dials while the session stands; gives the bench with its OPEN taken.
fn dialled_anew() -> Bench {
    let mut bench = up(graceful(), Some(offer(true)));
    assert_eq!(words(&bench.accepted(IN)), "in:open");
    assert_eq!(bench.message(IN, Message::Open(open_with(Some(offer(true))))), []);
    bench
}

#[test]
fn the_keepalive_on_a_new_connection_replaces_the_old_one() {
    let mut bench = dialled_anew();
    assert_eq!(
        bench.message(OUT, Message::Update(update())).len(),
        1,
        "until then the old one stands"
    );
    let did = words(&bench.message(IN, Message::Keepalive));
    assert_eq!(did, "out:close down:kept in:keepalive in:up");
    assert_eq!(bench.session.last_error(), "the peer has connected anew");
    assert_eq!(
        bench.message(OUT, Message::Keepalive),
        [],
        "what still comes on the old one is ignored"
    );
    assert_eq!(
        words(&bench.pass(HOLD)),
        "in:notify:4/0 in:close down:kept",
        "its timers went along"
    );
}

#[test]
fn a_new_connection_that_comes_to_nothing_leaves_the_old_one_alone() {
    for (event, did) in [
        (SessionEvent::Closed(IN, "reset".into()), ""),
        (
            SessionEvent::Message(IN, Ok(Message::Notification(said(cease::COLLISION_RESOLUTION)))),
            "in:close",
        ),
        (
            SessionEvent::Message(IN, Err(WireError::UnknownType(9))),
            "in:notify:1/3 in:close refused",
        ),
    ] {
        let mut bench = dialled_anew();
        assert_eq!(words(&bench.give(event)), did);
        assert_eq!(bench.session.state(), State::Established);
        assert_eq!(words(&bench.message(OUT, Message::Update(update()))), "update");
        assert_eq!(
            words(&bench.accepted(ConnId(3))),
            "3:open",
            "and there is room for the next"
        );
    }
    let mut bench = dialled_anew();
    assert_eq!(
        words(&bench.accepted(ConnId(3))),
        "3:notify:6/7 3:close",
        "one at a time"
    );
    bench.pass(HOLD / 2);
    bench.message(OUT, Message::Keepalive);
    bench.pass(HOLD / 2);
    assert_eq!(
        bench.session.state(),
        State::Established,
        "it has one hold time for its KEEPALIVE"
    );
}

#[test]
fn a_new_connection_without_open_gives_way_to_a_newer_one() {
    let mut bench = up(graceful(), Some(offer(true)));
    bench.accepted(IN);
    assert_eq!(words(&bench.accepted(ConnId(3))), "in:notify:6/7 in:close 3:open");
}

#[test]
fn the_wrong_open_on_a_new_connection_is_refused_and_the_session_stays() {
    let mut bench = up(graceful(), Some(offer(true)));
    bench.accepted(IN);
    let did = words(&bench.message(IN, Message::Open(Open { asn: 9, ..peer_open() })));
    assert_eq!(did, "in:notify:2/2 in:close refused");
    assert_eq!(bench.session.state(), State::Established);
}

#[test]
fn with_the_old_connection_lost_the_new_one_goes_on_as_any_other() {
    let mut bench = dialled_anew();
    let did = words(&bench.give(SessionEvent::Closed(OUT, "reset".into())));
    assert_eq!(did, "down:kept in:keepalive");
    assert_eq!(words(&bench.message(IN, Message::Keepalive)), "in:up");

    let mut bench = up(graceful(), Some(offer(true)));
    bench.accepted(IN);
    assert_eq!(
        words(&bench.give(SessionEvent::Closed(OUT, "reset".into()))),
        "down:kept"
    );
    assert_eq!(bench.session.state(), State::OpenSent);
    bench.message(IN, Message::Open(peer_open()));
    assert_eq!(words(&bench.message(IN, Message::Keepalive)), "in:up");
}

#[test]
fn without_graceful_restart_nothing_is_replaced() {
    for (config, offered) in [(config(), Some(offer(true))), (graceful(), None)] {
        let mut bench = up(config, offered);
        assert_eq!(words(&bench.accepted(IN)), "in:notify:6/7 in:close");
    }
}
