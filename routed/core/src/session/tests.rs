//! The session against a table of states and events, against each way to fail, and against itself over a link that
//! delivers in every order.

mod collision;
mod graceful;
mod rules;
mod send_hold;
mod table;

use std::net::SocketAddr;

use super::*;
use crate::attrs::{OriginNode, RouterId};
use crate::wire::{
    Families, Family, GracefulRestart, Message, Open, RoleCode, RouteRefresh, Update, UpdateFrame, VERSION, WireError,
    code,
};

pub(super) const HOLD: Duration = Duration::from_secs(9);

pub(super) fn node(asn: u32, name: &str) -> OriginNode {
    OriginNode {
        router_id: RouterId { asn, node: name.into() },
        organisation: "acme".into(),
    }
}

/// AS 1, node `a`, whose peer is AS 2, node not pinned.
pub(super) fn config() -> SessionConfig {
    SessionConfig {
        local: node(1, "a"),
        peer_asn: 2,
        peer_organisation: "acme".into(),
        peer_node: None,
        hold_time: HOLD,
        send_hold_time: None,
        role: None,
        strict_role: false,
        families: Families::NAMES,
        restart_time: None,
        passive: false,
        seed: 1,
    }
}

/// What the peer says.
pub(super) fn peer_open() -> Open {
    Open {
        version: VERSION,
        asn: 2,
        node: "b".into(),
        organisation: "acme".into(),
        hold_time: HOLD,
        families: vec![Family::Name],
        route_refresh: true,
        role: None,
        graceful_restart: None,
    }
}

pub(super) fn update() -> UpdateFrame {
    UpdateFrame::of(&Update {
        family: Family::Name,
        withdrawn: Default::default(),
        attrs: Default::default(),
        announced: Default::default(),
    })
}

/// A session with a clock, and what it last did.
pub(super) struct Bench {
    pub(super) session: Session,
    pub(super) now: Instant,
}

pub(super) const OUT: ConnId = ConnId(1);
pub(super) const IN: ConnId = ConnId(2);

impl Bench {
    pub(super) fn new(config: SessionConfig) -> Self {
        let now = Instant::now();
        Self {
            session: Session::new(config, now),
            now,
        }
    }

    pub(super) fn give(&mut self, event: SessionEvent) -> Vec<SessionEffect> {
        let mut out = Vec::new();
        self.session.handle(event, self.now, &mut out);
        out
    }

    pub(super) fn message(&mut self, id: ConnId, message: Message) -> Vec<SessionEffect> {
        self.give(SessionEvent::Message(id, Ok(message)))
    }

    pub(super) fn connected(&mut self) -> Vec<SessionEffect> {
        self.give(SessionEvent::Connected(OUT, address()))
    }

    pub(super) fn accepted(&mut self, id: ConnId) -> Vec<SessionEffect> {
        self.give(SessionEvent::Accepted(id, address()))
    }

    /// Lets the time pass to the next timer and runs it.
    pub(super) fn expire(&mut self) -> Vec<SessionEffect> {
        self.now = self.session.poll_timeout().expect("a timer is armed");
        self.give(SessionEvent::Timeout)
    }

    pub(super) fn pass(&mut self, time: Duration) -> Vec<SessionEffect> {
        self.now += time;
        self.give(SessionEvent::Timeout)
    }

    /// A session in `state`, on the dialled connection where it has one.
    pub(super) fn in_state(state: State, config: SessionConfig) -> Self {
        let mut bench = Self::new(config);
        if state > State::Idle {
            bench.give(SessionEvent::Start);
        }
        if state == State::Active {
            bench.give(SessionEvent::ConnectFailed("refused".into()));
        }
        if state > State::Active {
            bench.connected();
        }
        if state > State::OpenSent {
            bench.message(OUT, Message::Open(peer_open()));
        }
        if state > State::OpenConfirm {
            bench.message(OUT, Message::Keepalive);
        }
        assert_eq!(bench.session.state(), state);
        bench
    }
}

pub(super) fn address() -> SocketAddr {
    "127.0.0.2:1790".parse().expect("an address")
}

/// One word per effect, for tables.
pub(super) fn words(effects: &[SessionEffect]) -> String {
    let words: Vec<String> = effects.iter().map(word).collect();
    words.join(" ")
}

fn word(effect: &SessionEffect) -> String {
    match effect {
        SessionEffect::Connect => "dial".to_owned(),
        SessionEffect::Send(id, Message::Notification(n)) => format!("{}:notify:{}/{}", side(*id), n.code, n.subcode),
        SessionEffect::Send(id, message) => format!("{}:{}", side(*id), message.kind_name().to_lowercase()),
        SessionEffect::Close(id) => format!("{}:close", side(*id)),
        SessionEffect::Up(up) => format!("{}:up", side(up.conn)),
        SessionEffect::Down(down) => match (down.was_up, down.keeps_routes) {
            (true, true) => "down:kept".to_owned(),
            (true, false) => "down".to_owned(),
            (false, _) => "refused".to_owned(),
        },
        SessionEffect::Update(_) => "update".to_owned(),
        SessionEffect::EndOfRib(_) => "end-of-rib".to_owned(),
        SessionEffect::RouteRefresh(_) => "refresh".to_owned(),
    }
}

fn side(id: ConnId) -> String {
    match id {
        OUT => "out".to_owned(),
        IN => "in".to_owned(),
        ConnId(other) => other.to_string(),
    }
}
