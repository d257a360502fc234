//! The send-hold timer (RFC 9687), and the hold timer while this side reads nothing.

use super::*;

const MINUTES: Duration = Duration::from_secs(60);

fn established(send_hold_time: Option<Duration>, hold_time: Duration) -> Bench {
    let config = SessionConfig {
        send_hold_time,
        hold_time,
        ..config()
    };
    let mut bench = Bench::in_state(State::OpenSent, config);
    let open = Open {
        hold_time,
        ..peer_open()
    };
    bench.message(OUT, Message::Open(open));
    bench.message(OUT, Message::Keepalive);
    bench
}

fn armed(bench: &Bench) -> Option<Duration> {
    let timer = Timer::SendHold(Direction::Outgoing);
    let at = bench.session.timers().find(|(armed, _)| *armed == timer);
    at.map(|(_, at)| at - bench.now)
}

#[test]
fn it_is_the_longer_one_of_eight_minutes_and_two_hold_times_unless_configured() {
    for (configured, hold_time, expected) in [
        (None, HOLD, Some(8 * MINUTES)),
        (None, 10 * MINUTES, Some(20 * MINUTES)),
        (None, Duration::ZERO, Some(8 * MINUTES)),
        (Some(3 * MINUTES), HOLD, Some(3 * MINUTES)),
        (Some(Duration::ZERO), HOLD, None),
    ] {
        let mut bench = established(configured, hold_time);
        assert_eq!(armed(&bench), None, "nothing is on its way");
        bench.session.sending(OUT, true, bench.now);
        assert_eq!(armed(&bench), expected, "{configured:?}, {hold_time:?}");
        bench.session.sending(OUT, false, bench.now);
        assert_eq!(armed(&bench), None);
    }
}

#[test]
fn every_bit_that_is_taken_restarts_it_and_nothing_ends_the_session() {
    let mut bench = established(Some(2 * HOLD), HOLD);
    bench.session.sending(OUT, true, bench.now);
    for _ in 0..3 {
        bench.pass(HOLD / 2);
        bench.message(OUT, Message::Keepalive);
    }
    bench.session.sending(OUT, true, bench.now);
    for _ in 0..3 {
        bench.pass(HOLD / 2);
        bench.message(OUT, Message::Keepalive);
    }
    assert_eq!(bench.session.state(), State::Established);
    assert_eq!(words(&bench.pass(HOLD / 2)), "out:notify:8/0 out:close down");
    let said = "told the peer: Send Hold Timer Expired: nothing was taken for 18000 ms";
    assert_eq!(bench.session.last_error(), said);
    assert_eq!(armed(&bench), None);
}

#[test]
fn a_pause_of_this_side_is_no_silence_of_the_peer() {
    let mut bench = established(None, HOLD);
    bench.session.pause(OUT, bench.now + 2 * HOLD, bench.now);
    // What was read before the pause does not bring the timer forward.
    bench.message(OUT, Message::Keepalive);
    assert!(!words(&bench.pass(2 * HOLD)).contains("notify"));
    assert_eq!(bench.session.state(), State::Established);
    assert!(words(&bench.pass(HOLD)).contains("out:notify:4/0"));
}
