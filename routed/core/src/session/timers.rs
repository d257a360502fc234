//! Every timer of a session in one table, so that what is armed can be listed.

use std::time::Instant;

/// Who opened a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// We dialled.
    Outgoing,
    /// The peer dialled.
    Incoming,
    /// The peer dialled while a connection is in OpenConfirm, or Established with graceful restart: it may have left that one.
    Replacing,
}

impl Direction {
    /// All, in the order in which they are handled.
    pub const ALL: [Self; 3] = [Self::Outgoing, Self::Incoming, Self::Replacing];

    /// The direction whose connection it may collide with.
    pub(super) fn rival(self) -> Option<Self> {
        match self {
            Self::Outgoing => Some(Self::Incoming),
            Self::Incoming => Some(Self::Outgoing),
            Self::Replacing => None,
        }
    }

    pub(super) fn index(self) -> usize {
        self as usize
    }
}

/// The timers of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Timer {
    /// ConnectRetryTimer: the back-off between two attempts to dial.
    ConnectRetry,
    /// How long a dial may go unanswered.
    Connect,
    /// HoldTimer of a connection.
    Hold(Direction),
    /// KeepaliveTimer of a connection.
    Keepalive(Direction),
    /// SendHoldTimer of a connection (RFC 9687): how long nothing that is sent may be taken.
    SendHold(Direction),
    /// IdleHoldTimer: how long the session stays Idle before it begins anew.
    IdleHold,
}

impl Timer {
    /// The spelling of CLI and JSON output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConnectRetry => "connect-retry",
            Self::Connect => "connect",
            Self::Hold(_) => "hold",
            Self::Keepalive(_) => "keepalive",
            Self::SendHold(_) => "send-hold",
            Self::IdleHold => "idle-hold",
        }
    }
}

impl Timer {
    /// All of them, in the order in which those that expire together are handled: a connection that is dead is left
    /// before anything is sent on it.
    pub const ALL: [Self; 12] = [
        Self::Hold(Direction::Outgoing),
        Self::Hold(Direction::Incoming),
        Self::Hold(Direction::Replacing),
        Self::SendHold(Direction::Outgoing),
        Self::SendHold(Direction::Incoming),
        Self::SendHold(Direction::Replacing),
        Self::Keepalive(Direction::Outgoing),
        Self::Keepalive(Direction::Incoming),
        Self::Keepalive(Direction::Replacing),
        Self::Connect,
        Self::ConnectRetry,
        Self::IdleHold,
    ];

    fn index(self) -> usize {
        match self {
            Self::Hold(direction) => direction.index(),
            Self::Keepalive(direction) => 3 + direction.index(),
            Self::SendHold(direction) => 6 + direction.index(),
            Self::Connect => 9,
            Self::ConnectRetry => 10,
            Self::IdleHold => 11,
        }
    }
}

/// The deadline of each timer that is armed.
#[derive(Debug, Clone, Default)]
pub(super) struct Timers([Option<Instant>; Timer::ALL.len()]);

impl Timers {
    pub(super) fn arm(&mut self, timer: Timer, at: Instant) {
        self.0[timer.index()] = Some(at);
    }

    /// Arms it unless it expires earlier already.
    pub(super) fn arm_by(&mut self, timer: Timer, at: Instant) {
        let deadline = self.0[timer.index()].map_or(at, |armed| armed.min(at));
        self.arm(timer, deadline);
    }

    pub(super) fn clear(&mut self, timer: Timer) {
        self.0[timer.index()] = None;
    }

    pub(super) fn clear_connection(&mut self, direction: Direction) {
        self.clear(Timer::Hold(direction));
        self.clear(Timer::Keepalive(direction));
        self.clear(Timer::SendHold(direction));
    }

    /// The timers of a connection go on under another direction.
    pub(super) fn move_connection(&mut self, from: Direction, to: Direction) {
        for timer in [Timer::Hold, Timer::Keepalive, Timer::SendHold] {
            self.0[timer(to).index()] = self.0[timer(from).index()].take();
        }
    }

    pub(super) fn is_armed(&self, timer: Timer) -> bool {
        self.0[timer.index()].is_some()
    }

    pub(super) fn has_expired(&self, timer: Timer, now: Instant) -> bool {
        self.0[timer.index()].is_some_and(|at| at <= now)
    }

    /// Disarms it if it has expired, and says whether it had.
    pub(super) fn take_expired(&mut self, timer: Timer, now: Instant) -> bool {
        let expired = self.has_expired(timer, now);
        if expired {
            self.clear(timer);
        }
        expired
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.0.iter().flatten().min().copied()
    }

    pub(super) fn armed(&self) -> impl Iterator<Item = (Timer, Instant)> + '_ {
        let deadline = |timer: Timer| self.0[timer.index()].map(|at| (timer, at));
        Timer::ALL.into_iter().filter_map(deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_timer_has_a_place_of_its_own() {
        let mut places: Vec<usize> = Timer::ALL.into_iter().map(Timer::index).collect();
        places.sort_unstable();
        assert_eq!(places, (0..Timer::ALL.len()).collect::<Vec<_>>());
    }
}
