//! The send-hold timer (RFC 9687): a peer that reads nothing is not there, however alive its own messages look. And the hold
//! timer while this side reads nothing, on purpose.

use std::time::{Duration, Instant};

use super::{Direction, Session, SessionEffect, Timer};
use crate::event::ConnId;
use crate::wire::{Notification, code};

/// RFC 9687 section 5: the greater of this and twice the hold time.
const SEND_HOLD_TIME: Duration = Duration::from_secs(8 * 60);

impl Session {
    /// Something was sent while nothing was on its way, or the peer has taken something of what was. `more`: something is on
    /// its way now.
    pub fn sending(&mut self, id: ConnId, more: bool, now: Instant) {
        let Some(direction) = self.connections.direction(id) else {
            return;
        };
        let time = self.send_hold_time(direction);
        if more && !time.is_zero() {
            self.timers.arm(Timer::SendHold(direction), now + time);
        } else {
            self.timers.clear(Timer::SendHold(direction));
        }
    }

    fn send_hold_time(&self, direction: Direction) -> Duration {
        let hold_time = self
            .connections
            .get(direction)
            .map_or(Duration::ZERO, |it| it.hold_time);
        let default = || SEND_HOLD_TIME.max(2 * hold_time);
        self.config.send_hold_time.unwrap_or_else(default)
    }

    /// SendHoldTimer_Expires.
    pub(super) fn on_send_hold_timer(&mut self, direction: Direction, now: Instant, out: &mut Vec<SessionEffect>) {
        let time = self.send_hold_time(direction).as_millis();
        let text = format!("nothing was taken for {time} ms");
        let answer = Notification::new(code::SEND_HOLD_TIMER_EXPIRED, 0, text);
        self.refuse(direction, answer, now, out);
    }

    /// Nothing is read from a connection before `until`: its hold timer starts there.
    pub fn pause(&mut self, id: ConnId, until: Instant, now: Instant) {
        let Some(direction) = self.connections.direction(id) else {
            return;
        };
        if let Some(connection) = self.connections.get_mut(direction) {
            connection.paused_until = Some(until);
        }
        self.restart_hold_timer(direction, now);
    }
}
