//! A new connection in place of one that is committed: the peer may have left that one before this side has noticed, and
//! dials again. In OpenConfirm always (RFC 4271 section 6.8: nothing has come on the old one since OPEN); in Established
//! only with graceful restart, whose routes outlive the old connection (RFC 4724 section 4.2).
//!
//! RFC 4271 and RFC 4724 let the OPEN on the new connection end the old one. Here both sides may have dialled, and the second
//! of the two connections can come in after the first one is committed: its OPEN proves nothing. The peer's KEEPALIVE on it
//! does. It answers our OPEN, which was sent when the old connection stood already, and a side that has sent KEEPALIVE on a
//! connection that still stands sends it on no other (`collision`): the peer has left the old one, or will never confirm it.

use std::time::Instant;

use super::collision::collision;
use super::connection::{Connection, Phase};
use super::end::{Loss, part};
use super::message::OPEN_HOLD_TIME;
use super::open::{check, local_open};
use super::{Direction, Session, SessionEffect, Timer};
use crate::event::ConnId;
use crate::wire::{Message, Open};

impl Session {
    /// The committed connection, if a new one may take its place.
    fn replaceable(&self) -> Option<Direction> {
        let may_go = |direction: &Direction| match self.connections.get(*direction) {
            Some(it) if it.phase == Phase::Established => it.graceful.is_some(),
            Some(it) => it.phase == Phase::OpenConfirm,
            None => false,
        };
        [Direction::Outgoing, Direction::Incoming].into_iter().find(may_go)
    }

    /// The peer has dialled while a connection is committed. False: that has no meaning here.
    pub(super) fn admit_replacing(&mut self, id: ConnId, now: Instant, out: &mut Vec<SessionEffect>) -> bool {
        let held = self.connections.get(Direction::Replacing);
        if self.replaceable().is_none() || held.is_some_and(|held| held.phase > Phase::OpenSent) {
            return false;
        }
        if let Some(left) = self.connections.take(Direction::Replacing) {
            part(left.id, collision("a newer connection takes its place"), out);
        }
        let open = local_open(&self.config, self.restart);
        self.connections
            .put(Direction::Replacing, Connection::new(id, open.clone()));
        let deadline = now + OPEN_HOLD_TIME.max(self.config.hold_time);
        self.timers.arm(Timer::Hold(Direction::Replacing), deadline);
        out.push(SessionEffect::Send(id, Message::Open(open)));
        true
    }

    /// BGPOpen on it: held back, with one hold time for the KEEPALIVE that decides.
    pub(super) fn on_open_replacing(&mut self, open: Open, now: Instant, out: &mut Vec<SessionEffect>) {
        const REPLACING: Direction = Direction::Replacing;
        if let Err(answer) = check(&self.config, &open) {
            return self.refuse(REPLACING, answer, now, out);
        }
        if let Some(connection) = self.connections.get_mut(REPLACING) {
            connection.take_open(open, self.config.hold_time);
            connection.phase = Phase::Held;
            self.restart_hold_timer(REPLACING, now);
        }
    }

    /// KeepAliveMsg on it: the peer is here, and nowhere else.
    pub(super) fn replace(&mut self, now: Instant, out: &mut Vec<SessionEffect>) {
        if let Some(old) = self.replaceable() {
            if self.is_up(old) {
                let reason = "the peer has connected anew".to_owned();
                self.close(old, out);
                self.lost(old, Loss::Transport, reason, out);
            } else if let Some(left) = self.connections.get(old) {
                part(left.id, collision("a newer connection takes its place"), out);
            }
            self.connections.take(old);
            self.timers.clear_connection(old);
        }
        self.promote(now, out);
    }

    /// The old connection is Established after all. The new one goes unless it may still take its place.
    pub(super) fn end_replacing(&mut self, out: &mut Vec<SessionEffect>) {
        if self.replaceable().is_none()
            && let Some(left) = self.connections.take(Direction::Replacing)
        {
            self.timers.clear_connection(Direction::Replacing);
            part(left.id, collision("another connection is further along"), out);
        }
    }

    /// With the old connection gone, the new one is an incoming one like any other.
    pub(super) fn promote(&mut self, now: Instant, out: &mut Vec<SessionEffect>) {
        let Some(connection) = self.connections.take(Direction::Replacing) else {
            return;
        };
        self.timers.move_connection(Direction::Replacing, Direction::Incoming);
        self.connections.put(Direction::Incoming, connection);
        self.resume_held(Direction::Incoming, now, out);
    }
}
