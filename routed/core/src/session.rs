//! The session state machine of one peer, following RFC 4271 section 8 by name (docs/protocol.md, "Sessions").
//!
//! Pure: events and the time go in, effects come out. A session holds at most two connections, one dialled and one
//! accepted, and leaves all but one of them before it is Established (`session/collision.rs`).

mod backoff;
mod collision;
mod connection;
mod dial;
mod message;
mod open;
#[cfg(test)]
mod tests;
mod timers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::attrs::OriginNode;
use crate::event::ConnId;
use crate::policy::Role;
use crate::wire::{Families, Family, Message, Notification, Open, RouteRefresh, Update, WireError, subcode};

pub use backoff::connect_backoff;
use connection::{Connections, Phase};
use dial::Dialling;
use timers::Timers;
pub use timers::{Direction, Timer};

/// State by the names of RFC 4271 section 8.2.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Disabled: not started, or stopped.
    Idle,
    /// Dialling.
    Connect,
    /// Not dialling now (passive, or between two attempts), listening.
    Active,
    /// OPEN sent on some connection.
    OpenSent,
    /// OPEN exchanged, KEEPALIVE awaited.
    OpenConfirm,
    /// Up.
    Established,
}

impl State {
    /// The spelling of CLI and JSON output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "Idle",
            Self::Connect => "Connect",
            Self::Active => "Active",
            Self::OpenSent => "OpenSent",
            Self::OpenConfirm => "OpenConfirm",
            Self::Established => "Established",
        }
    }
}

/// What one session needs to know.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// Ourselves (OPEN; collision detection).
    pub local: OriginNode,
    /// The peer's AS.
    pub peer_asn: u32,
    /// The peer's organisation.
    pub peer_organisation: Arc<str>,
    /// The peer's node name, if pinned.
    pub peer_node: Option<Arc<str>>,
    /// Hold time to offer.
    pub hold_time: Duration,
    /// Our role towards the peer (RFC 9234), if it is to be claimed and checked.
    pub role: Option<Role>,
    /// Whether a peer that claims no role is refused (RFC 9234 section 4.2, strict mode).
    pub strict_role: bool,
    /// Families to offer.
    pub families: Families,
    /// Never dial.
    pub passive: bool,
    /// Seed for the jitter of the connect back-off (1, 2, 4 .. 60 s): a pure function of (seed, attempt).
    pub seed: u64,
}

/// Input.
#[derive(Debug, Clone)]
pub enum SessionEvent {
    /// ManualStart.
    Start,
    /// ManualStop, with what to tell the peer.
    Stop(Notification),
    /// Tcp_CR_Acked.
    Connected(ConnId, SocketAddr),
    /// TcpConnectionFails while dialling.
    ConnectFailed(Arc<str>),
    /// TcpConnectionConfirmed.
    Accepted(ConnId, SocketAddr),
    /// A frame, decoded (BGPOpen, KeepAliveMsg, UpdateMsg, NotifMsg, or BGPHeaderErr and friends).
    Message(ConnId, Result<Message, WireError>),
    /// TcpConnectionFails.
    Closed(ConnId, Arc<str>),
    /// A timer of [`Session::poll_timeout`] has expired.
    Timeout,
    /// The configuration has changed in what a session survives; the next OPEN goes by it.
    Configure(SessionConfig),
}

/// Output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEffect {
    /// Dial.
    Connect,
    /// Send a message.
    Send(ConnId, Message),
    /// Flush and close.
    Close(ConnId),
    /// Established.
    Up(Established),
    /// Left Established (`was_up`) or an attempt was refused, with the reason in one line.
    Down {
        /// Whether the session had been Established.
        was_up: bool,
        /// Why, with the NOTIFICATION's text where there was one.
        reason: Arc<str>,
    },
    /// An UPDATE of the Established session.
    Update(Update),
    /// END-OF-RIB of the Established session.
    EndOfRib(Family),
    /// ROUTE-REFRESH of the Established session.
    RouteRefresh(RouteRefresh),
}

/// A session that has just come up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Established {
    /// Its connection.
    pub conn: ConnId,
    /// Our OPEN on it.
    pub sent: Open,
    /// The peer's.
    pub received: Open,
}

/// One peer's state machine: at most one Established connection, at most two while they collide.
#[derive(Debug, Clone)]
pub struct Session {
    config: SessionConfig,
    /// Between ManualStart and ManualStop.
    enabled: bool,
    dialling: Dialling,
    connections: Connections,
    timers: Timers,
    /// The state as last seen from outside, and when it was entered.
    entered: (State, Instant),
    last_error: Arc<str>,
    /// When `last_error` came.
    last_error_at: Instant,
}

impl Session {
    /// A session in Idle.
    #[must_use]
    pub fn new(config: SessionConfig, now: Instant) -> Self {
        Self {
            config,
            enabled: false,
            dialling: Dialling::default(),
            connections: Connections::default(),
            timers: Timers::default(),
            entered: (State::Idle, now),
            last_error: Arc::from(""),
            last_error_at: now,
        }
    }

    /// Handles one event. Events of connections that the session has left are ignored.
    pub fn handle(&mut self, event: SessionEvent, now: Instant, out: &mut Vec<SessionEffect>) {
        let last_error = Arc::clone(&self.last_error);
        match event {
            SessionEvent::Start => self.on_start(now, out),
            SessionEvent::Stop(notification) => self.on_stop(&notification, out),
            SessionEvent::Connected(id, _) => self.on_connected(id, now, out),
            SessionEvent::ConnectFailed(error) => self.on_connect_failed(&error, now),
            SessionEvent::Accepted(id, _) => self.on_accepted(id, now, out),
            SessionEvent::Message(id, message) => self.on_message(id, message, now, out),
            SessionEvent::Closed(id, reason) => self.on_closed(id, &reason, now, out),
            SessionEvent::Timeout => self.on_timeout(now, out),
            SessionEvent::Configure(config) => self.on_configure(config, now, out),
        }
        let state = self.state();
        if state != self.entered.0 {
            self.entered = (state, now);
        }
        // Another one, though it may read the same.
        if !Arc::ptr_eq(&last_error, &self.last_error) {
            self.last_error_at = now;
        }
    }

    /// When it wants [`SessionEvent::Timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The timers that are armed, for reports and tests.
    pub fn timers(&self) -> impl Iterator<Item = (Timer, Instant)> + '_ {
        self.timers.armed()
    }

    /// The state (of the connection furthest along).
    #[must_use]
    pub fn state(&self) -> State {
        match self.connections.furthest() {
            Some(phase) => phase.state(),
            None if !self.enabled => State::Idle,
            None if self.dialling.in_progress => State::Connect,
            None => State::Active,
        }
    }

    /// When it entered the state.
    #[must_use]
    pub fn since(&self) -> Instant {
        self.entered.1
    }

    /// Hold time in use: the lower of both sides' once the session is in OpenConfirm or beyond; zero means none.
    #[must_use]
    pub fn hold_time(&self) -> Option<Duration> {
        self.connections.committed().map(|connection| connection.hold_time)
    }

    /// The last error in one line; empty if none.
    #[must_use]
    pub fn last_error(&self) -> &str {
        &self.last_error
    }

    /// When the last error came; of no meaning while there is none.
    #[must_use]
    pub fn last_error_at(&self) -> Instant {
        self.last_error_at
    }

    fn on_start(&mut self, now: Instant, out: &mut Vec<SessionEffect>) {
        if !self.enabled {
            self.enabled = true;
            self.dial(now, out);
        }
    }

    fn on_stop(&mut self, notification: &Notification, out: &mut Vec<SessionEffect>) {
        let was_up = self.state() == State::Established;
        for direction in Direction::BOTH {
            if let Some(connection) = self.connections.take(direction) {
                part(connection.id, notification.clone(), out);
            }
        }
        self.enabled = false;
        self.dialling.stop();
        self.timers = Timers::default();
        if was_up {
            self.down(was_up, format!("stopped: {notification}"), out);
        }
    }

    /// A peer that is no longer passive is dialled at once.
    fn on_configure(&mut self, config: SessionConfig, now: Instant, out: &mut Vec<SessionEffect>) {
        let dials = self.config.passive && !config.passive;
        self.config = config;
        if dials {
            self.dial(now, out);
        }
    }

    fn on_accepted(&mut self, id: ConnId, now: Instant, out: &mut Vec<SessionEffect>) {
        if !self.enabled {
            let text = "the session is stopped here";
            return part(id, Notification::cease(subcode::cease::CONNECTION_REJECTED, text), out);
        }
        self.admit(Direction::Incoming, id, now, out);
    }

    fn on_closed(&mut self, id: ConnId, reason: &str, now: Instant, out: &mut Vec<SessionEffect>) {
        let Some(direction) = self.connections.direction(id) else {
            return;
        };
        let reason = format!("connection closed: {reason}");
        if self.is_up(direction) {
            self.down(true, reason, out);
        } else if self.connections.get(direction.other()).is_none() {
            // With another connection left it is most likely the loser of a collision, whose NOTIFICATION a reset ate.
            self.last_error = reason.into();
        }
        self.leave(direction, now, out);
    }

    /// Runs every timer that has expired once; a timer that its own handler arms again waits for the next call.
    fn on_timeout(&mut self, now: Instant, out: &mut Vec<SessionEffect>) {
        for timer in Timer::ALL {
            if self.timers.take_expired(timer, now) {
                self.on_timer(timer, now, out);
            }
        }
    }

    fn on_timer(&mut self, timer: Timer, now: Instant, out: &mut Vec<SessionEffect>) {
        match timer {
            Timer::ConnectRetry => self.dial(now, out),
            Timer::Connect => self.on_dial_unanswered(now),
            Timer::Hold(direction) => self.on_hold_timer(direction, now, out),
            Timer::Keepalive(direction) => self.on_keepalive_timer(direction, now, out),
        }
    }

    /// Ends a connection by a NOTIFICATION of ours.
    fn refuse(&mut self, direction: Direction, answer: Notification, now: Instant, out: &mut Vec<SessionEffect>) {
        let Some(id) = self.connections.get(direction).map(|connection| connection.id) else {
            return;
        };
        let reason = format!("told the peer: {answer}");
        part(id, answer, out);
        self.down(self.is_up(direction), reason, out);
        self.leave(direction, now, out);
    }

    fn is_up(&self, direction: Direction) -> bool {
        let connection = self.connections.get(direction);
        connection.is_some_and(|connection| connection.phase == Phase::Established)
    }

    /// Forgets a connection, lets one that was held back for it go on, and dials again in time.
    fn leave(&mut self, direction: Direction, now: Instant, out: &mut Vec<SessionEffect>) {
        self.connections.take(direction);
        self.timers.clear_connection(direction);
        self.resume_held(direction.other(), now, out);
        self.dial_later(now);
    }

    fn down(&mut self, was_up: bool, reason: String, out: &mut Vec<SessionEffect>) {
        let reason: Arc<str> = reason.into();
        self.last_error = Arc::clone(&reason);
        out.push(SessionEffect::Down { was_up, reason });
    }
}

/// Says goodbye on a connection and closes it.
fn part(id: ConnId, notification: Notification, out: &mut Vec<SessionEffect>) {
    out.push(SessionEffect::Send(id, Message::Notification(notification)));
    out.push(SessionEffect::Close(id));
}
