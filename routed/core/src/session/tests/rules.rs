//! The rules one by one: OPEN, timers, back-off, what is shown.

use super::*;

/// Gives OPEN to a session in OpenSent: the NOTIFICATION that answers, and the session after.
fn refusal(config: SessionConfig, open: Open) -> (Notification, Session) {
    let mut bench = Bench::in_state(State::OpenSent, config);
    let effects = bench.message(OUT, Message::Open(open));
    let Some(SessionEffect::Send(_, Message::Notification(answer))) = effects.first() else {
        panic!("refused: {effects:?}")
    };
    assert_eq!(effects[1], SessionEffect::Close(OUT));
    assert_eq!(bench.session.state(), State::Active);
    (answer.clone(), bench.session)
}

#[test]
fn open_must_say_what_is_configured() {
    let pinned = SessionConfig {
        peer_node: Some("c".into()),
        ..config()
    };
    let same_as = SessionConfig {
        peer_asn: 1,
        ..config()
    };
    for (config, open, subcode, text) in [
        (
            config(),
            Open { asn: 9, ..peer_open() },
            subcode::open::BAD_PEER_AS,
            "expected AS 2, got AS 9",
        ),
        (
            config(),
            Open {
                organisation: "evil".into(),
                ..peer_open()
            },
            subcode::open::BAD_ORGANISATION,
            "expected organisation acme, got evil",
        ),
        (pinned, peer_open(), subcode::open::BAD_NODE, "expected node c, got b"),
        (
            same_as,
            Open {
                asn: 1,
                node: "a".into(),
                ..peer_open()
            },
            subcode::open::BAD_NODE,
            "1/a is the router id of this side too",
        ),
        (
            config(),
            Open {
                families: vec![Family::Ipv4],
                ..peer_open()
            },
            subcode::open::UNSUPPORTED_CAPABILITY,
            "no family in common",
        ),
    ] {
        let (answer, session) = refusal(config, open);
        assert_eq!(
            (answer.code, answer.subcode, answer.text.as_str()),
            (code::OPEN, subcode, text)
        );
        assert_eq!(session.last_error(), format!("told the peer: {answer}"));
    }
}

#[test]
fn roles_must_fit_where_one_is_configured() {
    use crate::policy::Role;
    for (ours, strict_role, claimed, text) in [
        (Some(Role::Customer), false, Some(0), None),
        (Some(Role::Peer), true, Some(4), None),
        (Some(Role::Customer), false, None, None),
        (None, true, Some(9), None),
        (
            Some(Role::Provider),
            true,
            None,
            Some("expected role customer, got none"),
        ),
        (
            Some(Role::Provider),
            false,
            Some(0),
            Some("expected role customer, got provider"),
        ),
        (
            Some(Role::RouteServer),
            false,
            Some(9),
            Some("expected role route-server-client, got 9"),
        ),
    ] {
        let config = SessionConfig {
            role: ours,
            strict_role,
            ..config()
        };
        let open = Open {
            role: claimed.map(RoleCode),
            ..peer_open()
        };
        let Some(text) = text else {
            let mut bench = Bench::in_state(State::OpenSent, config);
            assert_eq!(words(&bench.message(OUT, Message::Open(open))), "out:keepalive");
            continue;
        };
        let (answer, _) = refusal(config, open);
        assert_eq!(
            (answer.subcode, answer.text.as_str()),
            (subcode::open::ROLE_MISMATCH, text)
        );
    }
}

#[test]
fn a_configured_role_is_claimed() {
    use crate::policy::Role;
    let role = Some(Role::RouteServerClient);
    let mut bench = Bench::in_state(State::Connect, SessionConfig { role, ..config() });
    let [SessionEffect::Send(_, Message::Open(open))] = &bench.connected()[..] else {
        panic!("no OPEN");
    };
    assert_eq!(open.role, Some(RoleCode(2)));
}

#[test]
fn the_refused_side_shows_the_text() {
    let (answer, _) = refusal(config(), Open { asn: 9, ..peer_open() });
    let mut bench = Bench::in_state(State::OpenSent, config());
    let effects = bench.message(OUT, Message::Notification(answer));
    let text = "peer said: OPEN Message Error, Bad Peer AS: expected AS 2, got AS 9";
    assert_eq!(bench.session.last_error(), text);
    let down = SessionEffect::Down(Down {
        was_up: false,
        keeps_routes: false,
        silent: false,
        reason: text.into(),
    });
    assert_eq!(effects, [SessionEffect::Close(OUT), down]);
}

#[test]
fn the_last_error_has_an_age_and_the_same_error_again_is_a_new_one() {
    let mut bench = Bench::in_state(State::Connect, config());
    bench.now += HOLD;
    let first = bench.now;
    bench.give(SessionEvent::ConnectFailed("refused".into()));
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.session.last_error_at(), first, "nothing has gone wrong since");
    bench.expire();
    bench.give(SessionEvent::ConnectFailed("refused".into()));
    assert!(bench.session.last_error_at() > first && bench.session.last_error_at() == bench.now);
}

#[test]
fn hold_time_is_the_lower_one_and_keepalives_go_at_a_third() {
    let mut bench = Bench::in_state(State::OpenSent, config());
    assert_eq!(bench.session.hold_time(), None);
    bench.message(
        OUT,
        Message::Open(Open {
            hold_time: HOLD / 3,
            ..peer_open()
        }),
    );
    bench.message(OUT, Message::Keepalive);
    assert_eq!(bench.session.hold_time(), Some(HOLD / 3));
    let armed: Vec<_> = bench.session.timers().collect();
    let (hold, keepalive) = (bench.now + HOLD / 3, bench.now + HOLD / 9);
    assert_eq!(
        armed,
        [
            (Timer::Hold(Direction::Outgoing), hold),
            (Timer::Keepalive(Direction::Outgoing), keepalive)
        ]
    );
}

#[test]
fn silence_ends_the_session_after_the_hold_time_and_not_before() {
    let mut bench = Bench::in_state(State::Established, config());
    assert_eq!(words(&bench.pass(HOLD - Duration::from_millis(1))), "out:keepalive");
    assert_eq!(
        words(&bench.pass(Duration::from_millis(1))),
        "out:notify:4/0 out:close down"
    );
    assert_eq!(
        bench.session.last_error(),
        "told the peer: Hold Timer Expired: nothing came for 9000 ms"
    );
}

#[test]
fn every_message_of_an_established_session_restarts_the_hold_timer() {
    let mut bench = Bench::in_state(State::Established, config());
    let refresh = RouteRefresh {
        family: Family::Name,
        subtype: 7,
    };
    for message in [
        Message::Keepalive,
        Message::Update(update()),
        Message::EndOfRib(Family::Name),
        Message::RouteRefresh(refresh),
    ] {
        bench.pass(HOLD * 2 / 3);
        let effects = bench.message(OUT, message);
        assert_ne!(words(&effects), "refresh", "an unknown subtype is ignored (RFC 7313)");
    }
    assert_eq!(bench.session.state(), State::Established);
}

#[test]
fn a_hold_time_of_zero_means_no_timers() {
    let mut bench = Bench::in_state(State::OpenSent, config());
    bench.message(
        OUT,
        Message::Open(Open {
            hold_time: Duration::ZERO,
            ..peer_open()
        }),
    );
    assert_eq!(bench.session.poll_timeout(), Some(bench.now + Duration::from_secs(240)));
    bench.message(OUT, Message::Keepalive);
    assert_eq!(
        (bench.session.state(), bench.session.poll_timeout()),
        (State::Established, None)
    );
    assert_eq!(bench.session.hold_time(), Some(Duration::ZERO));
}

#[test]
fn open_is_awaited_for_four_minutes_or_a_longer_hold_time() {
    for (hold_time, wait_s) in [(HOLD, 240), (Duration::from_secs(600), 600)] {
        let bench = Bench::in_state(State::OpenSent, SessionConfig { hold_time, ..config() });
        assert_eq!(
            bench.session.poll_timeout(),
            Some(bench.now + Duration::from_secs(wait_s))
        );
    }
}

#[test]
fn dialling_backs_off_and_starts_over_once_established() {
    let mut bench = Bench::new(config());
    bench.give(SessionEvent::Start);
    for attempt in 0..9 {
        bench.give(SessionEvent::ConnectFailed("refused".into()));
        assert_eq!(bench.session.last_error(), "cannot connect: refused");
        assert_eq!(
            bench.session.poll_timeout(),
            Some(bench.now + connect_backoff(1, attempt))
        );
        assert_eq!(words(&bench.expire()), "dial");
    }
    bench.connected();
    bench.message(OUT, Message::Open(peer_open()));
    bench.message(OUT, Message::Keepalive);
    bench.give(SessionEvent::Closed(OUT, "reset".into()));
    assert_eq!(bench.session.poll_timeout(), Some(bench.now + connect_backoff(1, 0)));
}

#[test]
fn a_dial_without_an_answer_is_given_up_and_its_late_answer_closed() {
    let mut bench = Bench::in_state(State::Connect, config());
    assert_eq!(bench.session.poll_timeout(), Some(bench.now + Duration::from_secs(5)));
    assert_eq!(bench.expire(), []);
    assert_eq!(bench.session.last_error(), "cannot connect: no answer within 5 s");
    assert_eq!(
        words(&bench.give(SessionEvent::Connected(ConnId(3), address()))),
        "3:close"
    );

    // The late failure of a dial that was given up does not count against the one under way.
    assert_eq!(words(&bench.expire()), "dial");
    bench.expire();
    assert_eq!(words(&bench.expire()), "dial");
    bench.give(SessionEvent::ConnectFailed("late".into()));
    assert_eq!(bench.session.state(), State::Connect);
    assert_eq!(words(&bench.connected()), "out:open");
}

#[test]
fn a_stopped_session_stays_idle_until_it_is_started() {
    let mut bench = Bench::in_state(State::Established, config());
    let goodbye = Notification::cease(subcode::cease::ADMINISTRATIVE_SHUTDOWN, "maintenance");
    let effects = bench.give(SessionEvent::Stop(goodbye.clone()));
    assert_eq!(effects[0], SessionEffect::Send(OUT, Message::Notification(goodbye)));
    assert_eq!(
        (bench.session.state(), bench.session.poll_timeout()),
        (State::Idle, None)
    );
    assert_eq!(words(&bench.accepted(IN)), "in:notify:6/5 in:close");
    assert_eq!(words(&bench.give(SessionEvent::Start)), "dial");
}

#[test]
fn since_tells_when_the_session_came_up_or_went_down_and_not_when_it_was_last_tried() {
    let mut bench = Bench::new(config());
    let start = bench.now;
    bench.give(SessionEvent::Start);
    for _ in 0..3 {
        bench.pass(Duration::from_secs(1));
        bench.give(SessionEvent::ConnectFailed("refused".into()));
        bench.expire();
        bench.connected();
        bench.give(SessionEvent::Closed(OUT, "reset".into()));
        bench.expire();
        assert_eq!(bench.session.since(), start);
    }
    let mut bench = Bench::in_state(State::Established, config());
    let up = bench.now;
    bench.pass(HOLD / 3);
    bench.message(OUT, Message::Keepalive);
    assert_eq!(bench.session.since(), up);
    bench.give(SessionEvent::Closed(OUT, "reset".into()));
    let down = bench.now;
    assert_eq!(bench.session.since(), down);
    bench.expire();
    assert_eq!((bench.session.state(), bench.session.since()), (State::Connect, down));
}

#[test]
fn a_newer_incoming_connection_replaces_one_that_has_not_said_open() {
    let mut bench = Bench::in_state(State::Active, config());
    bench.accepted(IN);
    assert_eq!(words(&bench.accepted(ConnId(3))), "in:notify:6/7 in:close 3:open");
    bench.message(ConnId(3), Message::Open(peer_open()));
    // From now on it stays beside it until one of them is confirmed.
    assert_eq!(words(&bench.accepted(ConnId(4))), "4:open");
    assert_eq!(words(&bench.accepted(ConnId(5))), "4:notify:6/7 4:close 5:open");
    assert_eq!(
        words(&bench.message(ConnId(3), Message::Keepalive)),
        "3:up 5:notify:6/7 5:close"
    );
}

#[test]
fn a_held_connection_goes_on_when_the_preferred_one_brings_no_open() {
    // The peer, 2/b, is higher: the connection that it opened is preferred.
    let mut bench = Bench::in_state(State::Connect, config());
    bench.accepted(IN);
    bench.connected();
    assert_eq!(bench.message(OUT, Message::Open(peer_open())), []);
    assert_eq!(bench.session.state(), State::OpenConfirm);
    bench.message(OUT, Message::Keepalive);
    assert_eq!(bench.session.poll_timeout(), Some(bench.now + HOLD));
    assert_eq!(
        words(&bench.expire()),
        "in:notify:4/0 in:close refused out:keepalive out:up"
    );
}

#[test]
fn the_hold_timer_shows_what_the_last_message_left_of_it() {
    let mut bench = Bench::in_state(State::OpenConfirm, config());
    assert_eq!(bench.session.hold_expiry(), None, "nothing is up yet");
    bench.message(OUT, Message::Keepalive);
    let second = Duration::from_secs(1);
    bench.pass(second);
    assert_eq!(bench.session.hold_expiry(), Some(bench.now + HOLD - second));
    bench.message(OUT, Message::Update(update()));
    assert_eq!(bench.session.hold_expiry(), Some(bench.now + HOLD));
    bench.give(SessionEvent::Closed(OUT, "reset".into()));
    assert_eq!(bench.session.hold_expiry(), None);

    let endless = SessionConfig {
        hold_time: Duration::ZERO,
        ..config()
    };
    let bench = Bench::in_state(State::Established, endless);
    assert_eq!(bench.session.hold_expiry(), None, "no hold time was agreed on");
}

#[test]
fn a_connection_with_something_unread_is_not_silent() {
    let mut bench = Bench::in_state(State::Established, config());
    assert_eq!(bench.session.silent(bench.now).count(), 0);
    bench.now += HOLD;
    assert_eq!(bench.session.silent(bench.now).collect::<Vec<_>>(), [OUT]);
    bench.session.heard(OUT, bench.now);
    assert_eq!(bench.session.silent(bench.now).count(), 0);
    assert_eq!(words(&bench.give(SessionEvent::Timeout)), "out:keepalive");
    bench.now += HOLD;
    assert!(
        words(&bench.give(SessionEvent::Timeout)).contains("down"),
        "it was the last chance"
    );
}
