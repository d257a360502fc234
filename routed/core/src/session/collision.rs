//! Connection collision (RFC 4271 section 6.8): both sides dialled, one connection must go, and both sides must mean
//! the same one however their messages cross.
//!
//! The connection that the side with the higher router id opened is the preferred one. RFC 4271 lets a side give up a
//! connection on which the peer is Established already, or has given up the other one; here that cannot happen:
//! - Once our KEEPALIVE is sent on a connection it is committed, and a newer connection is refused, unopened. One that
//!   the peer dialled may be held back instead, for the case that the peer has left the committed one (`replace`).
//! - OPEN on the preferred connection ends the other one, which cannot be committed on either side: the peer, too, has
//!   seen both.
//! - OPEN on the other connection while the preferred one stands is held back: KEEPALIVE waits until OPEN arrives on
//!   the preferred one (which ends this one) or the preferred one ends (then this one goes on).

use std::time::Instant;

use super::connection::{Connection, Phase};
use super::end::part;
use super::message::OPEN_HOLD_TIME;
use super::open::{check, local_open, router_id};
use super::{Direction, Session, SessionEffect, Timer};
use crate::event::ConnId;
use crate::wire::{Message, Notification, Open, subcode};

impl Session {
    /// A connection stands: send OPEN, unless another one is committed for good.
    ///
    /// A second incoming connection takes the place of one whose OPEN has not come: the peer dials one at a time, so
    /// it has left the first.
    pub(super) fn admit(&mut self, direction: Direction, id: ConnId, now: Instant, out: &mut Vec<SessionEffect>) {
        if direction == Direction::Incoming && self.admit_replacing(id, now, out) {
            return;
        }
        let place_taken = self
            .connections
            .get(direction)
            .is_some_and(|held| held.phase > Phase::OpenSent);
        if place_taken || self.connections.committed().is_some() {
            return part(id, collision("another connection is further along"), out);
        }
        if let Some(left) = self.connections.take(direction) {
            part(left.id, collision("a newer connection takes its place"), out);
        }
        let open = local_open(&self.config, self.restart);
        self.connections.put(direction, Connection::new(id, open.clone()));
        self.timers
            .arm(Timer::Hold(direction), now + OPEN_HOLD_TIME.max(self.config.hold_time));
        out.push(SessionEffect::Send(id, Message::Open(open)));
    }

    /// BGPOpen in OpenSent.
    pub(super) fn on_open(&mut self, direction: Direction, open: Open, now: Instant, out: &mut Vec<SessionEffect>) {
        let Some(rival) = direction.rival() else {
            return self.on_open_replacing(open, now, out);
        };
        if let Err(answer) = check(&self.config, &open) {
            return self.refuse(direction, answer, now, out);
        }
        let Some(connection) = self.connections.get_mut(direction) else {
            return;
        };
        let we_are_higher = self.config.local.router_id > router_id(&open);
        let preferred = we_are_higher == (direction == Direction::Outgoing);
        connection.take_open(open, self.config.hold_time);
        if preferred {
            self.end_rival(rival, out);
        } else if self.connections.get(rival).is_some() {
            return self.hold_back(direction, rival, now);
        }
        self.commit(direction, now, out);
    }

    fn end_rival(&mut self, direction: Direction, out: &mut Vec<SessionEffect>) {
        if let Some(loser) = self.connections.take(direction) {
            self.timers.clear_connection(direction);
            part(
                loser.id,
                collision("the connection of the higher router id is kept"),
                out,
            );
        }
    }

    /// The preferred connection now has one hold time to bring its OPEN; this one keeps its long hold timer.
    fn hold_back(&mut self, direction: Direction, rival: Direction, now: Instant) {
        let Some(connection) = self.connections.get_mut(direction) else {
            return;
        };
        connection.phase = Phase::Held;
        if !connection.hold_time.is_zero() {
            let deadline = now + connection.hold_time;
            self.timers.arm_by(Timer::Hold(rival), deadline);
        }
    }

    /// The connection that `direction` was held back for has ended.
    pub(super) fn resume_held(&mut self, direction: Direction, now: Instant, out: &mut Vec<SessionEffect>) {
        if self
            .connections
            .get(direction)
            .is_some_and(|connection| connection.phase == Phase::Held)
        {
            self.commit(direction, now, out);
        }
    }

    /// Enters OpenConfirm.
    fn commit(&mut self, direction: Direction, now: Instant, out: &mut Vec<SessionEffect>) {
        let Some(connection) = self.connections.get_mut(direction) else {
            return;
        };
        connection.phase = Phase::OpenConfirm;
        let keepalive_seen = connection.keepalive_seen;
        self.timers.clear(Timer::ConnectRetry);
        self.send_keepalive(direction, now, out);
        self.restart_hold_timer(direction, now);
        if keepalive_seen {
            self.establish(direction, now, out);
        }
    }
}

pub(super) fn collision(text: &str) -> Notification {
    Notification::cease(subcode::cease::COLLISION_RESOLUTION, text)
}
