//! The session state machine of one peer, following RFC 4271 section 8 by name (docs/protocol.md, "Sessions").
//!
//! Pure: events and the time go in, effects come out. A session holds at most two connections, one dialled and one
//! accepted, and leaves all but one of them before it is Established (`session/collision.rs`).

mod backoff;
mod collision;
mod connection;
mod dial;
mod end;
mod interface;
mod message;
mod open;
mod replace;
mod send_hold;
#[cfg(test)]
mod tests;
mod timers;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::event::ConnId;
use crate::wire::{Families, Notification, subcode};

pub use backoff::connect_backoff;
use connection::Connections;
use dial::Dialling;
use end::part;
pub use interface::{Down, Established, Restart, SessionConfig, SessionEffect, SessionEvent, State};
pub(crate) use open::check as check_open;
use timers::Timers;
pub use timers::{Direction, Timer};

/// One peer's state machine: at most one Established connection, at most two while they collide or one is about to
/// replace the other.
#[derive(Debug, Clone)]
pub struct Session {
    config: SessionConfig,
    /// What the next OPEN says of this node.
    restart: Restart,
    /// Between ManualStart and ManualStop.
    enabled: bool,
    dialling: Dialling,
    connections: Connections,
    timers: Timers,
    /// Whether it was Established when last seen from outside, and since when it was or was not.
    turned: (bool, Instant),
    /// What a peer is told that dials while the session is Idle.
    idle_text: String,
    last_error: Arc<str>,
    /// What ended the last connection that was the session's, or was to be.
    lost_by: Option<Arc<str>>,
    /// When `last_error` came.
    last_error_at: Instant,
}

impl Session {
    /// A session in Idle.
    #[must_use]
    pub fn new(config: SessionConfig, now: Instant) -> Self {
        Self {
            config,
            restart: Restart {
                restarting: false,
                forwarding: Families::ALL,
            },
            enabled: false,
            dialling: Dialling::default(),
            connections: Connections::default(),
            timers: Timers::default(),
            turned: (false, now),
            idle_text: String::from("the session is stopped here"),
            last_error: Arc::from(""),
            lost_by: None,
            last_error_at: now,
        }
    }

    /// Handles one event. Events of connections that the session has left are ignored.
    pub fn handle(&mut self, event: SessionEvent, now: Instant, out: &mut Vec<SessionEffect>) {
        let last_error = Arc::clone(&self.last_error);
        match event {
            SessionEvent::Start => self.on_start(now, out),
            SessionEvent::Stop(notification) => self.on_stop(&notification, out),
            SessionEvent::Leave(notification) => self.on_leave(&notification, out),
            SessionEvent::Reset {
                notification,
                hard,
                idle,
            } => self.on_reset(&notification, hard, idle, now, out),
            SessionEvent::Connected(id, _) => self.on_connected(id, now, out),
            SessionEvent::ConnectFailed(error) => self.on_connect_failed(&error, now),
            SessionEvent::Accepted(id, _) => self.on_accepted(id, now, out),
            SessionEvent::Message(id, message) => self.on_message(id, message, now, out),
            SessionEvent::Closed(id, reason) => self.on_closed(id, &reason, now, out),
            SessionEvent::Timeout => self.on_timeout(now, out),
            SessionEvent::Configure { config, redial } => self.on_configure(config, redial, now, out),
        }
        let up = self.state() == State::Established;
        if up != self.turned.0 {
            self.turned = (up, now);
        }
        // Another one, though it may read the same.
        if !Arc::ptr_eq(&last_error, &self.last_error) {
            self.last_error_at = now;
        }
    }

    /// What OPEN says of this node from now on.
    pub fn set_restart(&mut self, restart: Restart) {
        self.restart = restart;
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
            None if self.is_idle() => State::Idle,
            None if self.dialling.in_progress => State::Connect,
            None => State::Active,
        }
    }

    /// Since when it is Established, or is not: the attempts to set it up do not count. From the start if it never was.
    #[must_use]
    pub fn since(&self) -> Instant {
        self.turned.1
    }

    /// Hold time in use: the lower of both sides' once the session is in OpenConfirm or beyond; zero means none.
    #[must_use]
    pub fn hold_time(&self) -> Option<Duration> {
        self.connections.committed().map(|connection| connection.hold_time)
    }

    /// When the Established connection is given up unless a message comes: the hold time after the last one. `None` if
    /// there is no such connection, or no hold time.
    #[must_use]
    pub fn hold_expiry(&self) -> Option<Instant> {
        let is_hold = |timer| matches!(timer, Timer::Hold(direction) if self.is_up(direction));
        self.timers().find(|(timer, _)| is_hold(*timer)).map(|(_, at)| at)
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

    /// Neither dials nor accepts.
    fn is_idle(&self) -> bool {
        !self.enabled || self.timers.is_armed(Timer::IdleHold)
    }

    fn on_start(&mut self, now: Instant, out: &mut Vec<SessionEffect>) {
        if self.is_idle() {
            self.enabled = true;
            self.timers.clear(Timer::IdleHold);
            self.dial(now, out);
        }
    }

    fn on_configure(&mut self, config: SessionConfig, redial: bool, now: Instant, out: &mut Vec<SessionEffect>) {
        self.config = config;
        if redial && self.wants_to_dial() {
            self.timers.clear(Timer::ConnectRetry);
            self.dial(now, out);
        }
    }

    fn on_accepted(&mut self, id: ConnId, now: Instant, out: &mut Vec<SessionEffect>) {
        if self.is_idle() {
            let answer = Notification::cease(subcode::cease::CONNECTION_REJECTED, &self.idle_text);
            return part(id, answer, out);
        }
        self.admit(Direction::Incoming, id, now, out);
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
            Timer::ConnectRetry | Timer::IdleHold => self.dial(now, out),
            Timer::Connect => self.on_dial_unanswered(now),
            Timer::Hold(direction) => self.on_hold_timer(direction, now, out),
            Timer::Keepalive(direction) => self.on_keepalive_timer(direction, now, out),
            Timer::SendHold(direction) => self.on_send_hold_timer(direction, now, out),
        }
    }
}
