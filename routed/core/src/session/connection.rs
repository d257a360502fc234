//! One connection of a session, and the two places for them.

use std::time::{Duration, Instant};

use super::{Direction, State};
use crate::event::ConnId;
use crate::wire::{Families, GracefulRestart, Open};

/// How far along a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Our OPEN is sent, the peer's awaited.
    OpenSent,
    /// The peer's OPEN is here, but the other connection may win: no KEEPALIVE has been sent (see `collision`).
    Held,
    /// KEEPALIVE is sent, the peer's awaited.
    OpenConfirm,
    /// Up.
    Established,
}

impl Phase {
    pub(super) fn state(self) -> State {
        match self {
            Self::OpenSent => State::OpenSent,
            Self::Held | Self::OpenConfirm => State::OpenConfirm,
            Self::Established => State::Established,
        }
    }

    /// Whether our KEEPALIVE is sent: the peer may be Established on it, so nothing newer takes its place unless the peer says
    /// that it is not (see `replace`).
    pub(super) fn is_committed(self) -> bool {
        self >= Self::OpenConfirm
    }
}

/// Graceful restart as both sides have offered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Graceful {
    /// Both sides let a NOTIFICATION that is no hard reset leave routes in place (RFC 8538).
    pub(super) notification: bool,
}

/// A connection on which our OPEN has been sent.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    pub(super) id: ConnId,
    pub(super) phase: Phase,
    /// Our OPEN.
    pub(super) sent: Open,
    /// The peer's OPEN, from `Held` on until it is handed out with `Up`.
    pub(super) peer: Option<Open>,
    /// The families that both sides offer, from `Held` on.
    pub(super) families: Families,
    /// Hold time in use, from `Held` on; zero means none.
    pub(super) hold_time: Duration,
    /// From `Held` on; `None`: not agreed on.
    pub(super) graceful: Option<Graceful>,
    /// A KEEPALIVE came while it was held back.
    pub(super) keepalive_seen: bool,
    /// Nothing is read from it before this instant.
    pub(super) paused_until: Option<Instant>,
}

impl Connection {
    pub(super) fn new(id: ConnId, sent: Open) -> Self {
        Self {
            id,
            phase: Phase::OpenSent,
            sent,
            peer: None,
            families: Families::NONE,
            hold_time: Duration::ZERO,
            graceful: None,
            keepalive_seen: false,
            paused_until: None,
        }
    }
}

impl Connection {
    /// Takes the peer's OPEN in, with the hold time that we offer ourselves.
    pub(super) fn take_open(&mut self, open: Open, hold_time: Duration) {
        self.families = self.sent.common_families(&open);
        self.hold_time = hold_time.min(open.hold_time);
        let agreed = |ours: &GracefulRestart, theirs: &GracefulRestart| Graceful {
            notification: ours.notification && theirs.notification,
        };
        self.graceful = match (&self.sent.graceful_restart, &open.graceful_restart) {
            (Some(ours), Some(theirs)) => Some(agreed(ours, theirs)),
            (Some(_) | None, _) => None,
        };
        self.peer = Some(open);
    }
}

/// At most one connection of each direction.
#[derive(Debug, Clone, Default)]
pub(super) struct Connections([Option<Connection>; 3]);

impl Connections {
    pub(super) fn get(&self, direction: Direction) -> Option<&Connection> {
        self.0[direction.index()].as_ref()
    }

    pub(super) fn get_mut(&mut self, direction: Direction) -> Option<&mut Connection> {
        self.0[direction.index()].as_mut()
    }

    pub(super) fn put(&mut self, direction: Direction, connection: Connection) {
        self.0[direction.index()] = Some(connection);
    }

    pub(super) fn take(&mut self, direction: Direction) -> Option<Connection> {
        self.0[direction.index()].take()
    }

    pub(super) fn direction(&self, id: ConnId) -> Option<Direction> {
        let is_it = |direction: &Direction| self.get(*direction).is_some_and(|connection| connection.id == id);
        Direction::ALL.into_iter().find(is_it)
    }

    /// Whether there is a connection of another direction.
    pub(super) fn is_beside_another(&self, direction: Direction) -> bool {
        let stands = |other: Direction| other != direction && self.get(other).is_some();
        Direction::ALL.into_iter().any(stands)
    }

    /// The phase of the connection furthest along.
    pub(super) fn furthest(&self) -> Option<Phase> {
        self.0.iter().flatten().map(|connection| connection.phase).max()
    }

    /// The connection that has gone too far to be given up for another; there is never more than one.
    pub(super) fn committed(&self) -> Option<&Connection> {
        self.0
            .iter()
            .flatten()
            .find(|connection| connection.phase.is_committed())
    }
}
