//! Every state with every event: what it does and where it leads.

use super::*;
use State::{Active, Connect, Established, Idle, OpenConfirm, OpenSent};

const STATES: [State; 6] = [Idle, Connect, Active, OpenSent, OpenConfirm, Established];

/// An event with what each state does of it, in order of [`STATES`].
type Row = (&'static str, fn() -> SessionEvent, [(&'static str, State); 6]);

fn from_peer(message: Message) -> SessionEvent {
    SessionEvent::Message(OUT, Ok(message))
}

#[rustfmt::skip]
const TABLE: [Row; 16] = [
    ("ManualStart", || SessionEvent::Start,
        [("dial", Connect), ("", Connect), ("", Active), ("", OpenSent), ("", OpenConfirm), ("", Established)]),
    ("ManualStop", || SessionEvent::Stop(Notification::cease(subcode::cease::ADMINISTRATIVE_SHUTDOWN, "bye")),
        [("", Idle), ("", Idle), ("", Idle), ("out:notify:6/2 out:close", Idle), ("out:notify:6/2 out:close", Idle),
         ("out:notify:6/2 out:close down", Idle)]),
    ("Tcp_CR_Acked", || SessionEvent::Connected(ConnId(3), address()),
        [("3:close", Idle), ("3:open", OpenSent), ("3:close", Active), ("3:close", OpenSent), ("3:close", OpenConfirm),
         ("3:close", Established)]),
    ("TcpConnectionFails while dialling", || SessionEvent::ConnectFailed("refused".into()),
        [("", Idle), ("", Active), ("", Active), ("", OpenSent), ("", OpenConfirm), ("", Established)]),
    ("TcpConnectionConfirmed", || SessionEvent::Accepted(IN, address()),
        [("in:notify:6/5 in:close", Idle), ("in:open", OpenSent), ("in:open", OpenSent), ("in:open", OpenSent),
         ("in:open", OpenConfirm), ("in:notify:6/7 in:close", Established)]),
    ("TcpConnectionFails", || SessionEvent::Closed(OUT, "reset".into()),
        [("", Idle), ("", Connect), ("", Active), ("", Active), ("", Active), ("down", Active)]),
    ("BGPOpen", || from_peer(Message::Open(peer_open())),
        [("", Idle), ("", Connect), ("", Active), ("out:keepalive", OpenConfirm),
         ("out:notify:5/2 out:close refused", Active), ("out:notify:5/3 out:close down", Active)]),
    ("BGPHeaderErr", || SessionEvent::Message(OUT, Err(WireError::UnknownType(9))),
        [("", Idle), ("", Connect), ("", Active), ("out:notify:1/3 out:close refused", Active),
         ("out:notify:1/3 out:close refused", Active), ("out:notify:1/3 out:close down", Active)]),
    ("BGPOpenMsgErr", || SessionEvent::Message(OUT, Err(WireError::UnsupportedVersion(9))),
        [("", Idle), ("", Connect), ("", Active), ("out:notify:2/1 out:close refused", Active),
         ("out:notify:2/1 out:close refused", Active), ("out:notify:2/1 out:close down", Active)]),
    ("NotifMsg", || from_peer(Message::Notification(Notification::cease(subcode::cease::ADMINISTRATIVE_RESET, ""))),
        [("", Idle), ("", Connect), ("", Active), ("out:close refused", Active), ("out:close refused", Active),
         ("out:close down", Active)]),
    ("NotifMsgErr", || SessionEvent::Message(OUT, Err(WireError::Notification("it is cut short"))),
        [("", Idle), ("", Connect), ("", Active), ("out:close refused", Active), ("out:close refused", Active),
         ("out:close down", Active)]),
    ("KeepAliveMsg", || from_peer(Message::Keepalive),
        [("", Idle), ("", Connect), ("", Active), ("out:notify:5/1 out:close refused", Active),
         ("out:up", Established), ("", Established)]),
    ("UpdateMsg", || from_peer(Message::Update(update())),
        [("", Idle), ("", Connect), ("", Active), ("out:notify:5/1 out:close refused", Active),
         ("out:notify:5/2 out:close refused", Active), ("update", Established)]),
    ("END-OF-RIB", || from_peer(Message::EndOfRib(Family::Name)),
        [("", Idle), ("", Connect), ("", Active), ("out:notify:5/1 out:close refused", Active),
         ("out:notify:5/2 out:close refused", Active), ("end-of-rib", Established)]),
    ("ROUTE-REFRESH", || from_peer(Message::RouteRefresh(RouteRefresh { family: Family::Name, subtype: 0 })),
        [("", Idle), ("", Connect), ("", Active), ("out:notify:5/1 out:close refused", Active),
         ("out:notify:5/2 out:close refused", Active), ("refresh", Established)]),
    ("a timeout with nothing due", || SessionEvent::Timeout,
        [("", Idle), ("", Connect), ("", Active), ("", OpenSent), ("", OpenConfirm), ("", Established)]),
];

#[test]
fn every_state_with_every_event() {
    for (name, event, cells) in TABLE {
        for (state, (effects, next)) in STATES.into_iter().zip(cells) {
            let mut bench = Bench::in_state(state, config());
            let did = bench.give(event());
            assert_eq!(
                (words(&did).as_str(), bench.session.state()),
                (effects, next),
                "{name} in {state:?}"
            );
        }
    }
}

/// What the next timer to expire does; none is armed in Idle.
#[test]
fn every_state_with_its_timer() {
    for (state, effects, next) in [
        (Connect, "", Active),
        (Active, "dial", Connect),
        (OpenSent, "out:notify:4/0 out:close refused", Active),
        (OpenConfirm, "out:keepalive", OpenConfirm),
        (Established, "out:keepalive", Established),
    ] {
        let mut bench = Bench::in_state(state, config());
        let did = bench.expire();
        assert_eq!(
            (words(&did).as_str(), bench.session.state()),
            (effects, next),
            "{state:?}"
        );
    }
    assert_eq!(Bench::in_state(Idle, config()).session.poll_timeout(), None);
}

/// A passive session never dials: what leads to Connect or a back-off elsewhere leads to Active without a timer.
#[test]
fn a_passive_session_only_listens() {
    let mut bench = Bench::new(SessionConfig {
        passive: true,
        ..config()
    });
    assert_eq!(bench.give(SessionEvent::Start), []);
    assert_eq!((bench.session.state(), bench.session.poll_timeout()), (Active, None));
    for _ in 0..2 {
        assert_eq!(words(&bench.accepted(IN)), "in:open");
        bench.message(IN, Message::Open(peer_open()));
        assert_eq!(words(&bench.message(IN, Message::Keepalive)), "in:up");
        assert_eq!(words(&bench.give(SessionEvent::Closed(IN, "reset".into()))), "down");
        assert_eq!((bench.session.state(), bench.session.poll_timeout()), (Active, None));
    }
}
