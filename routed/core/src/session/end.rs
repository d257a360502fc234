//! How a session ends: what the peer is told, and whether routes outlive it (RFC 4724 section 4.2, RFC 8538).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connection::{Connection, Phase};
use super::timers::Timers;
use super::{Direction, Down, Session, SessionEffect, State, Timer};
use crate::event::ConnId;
use crate::wire::{Message, Notification, WireError, code, subcode};

/// How a connection was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// The transport ended without a word, or the peer has dialled anew.
    Transport,
    /// By a NOTIFICATION of either side.
    Notification,
    /// By the NOTIFICATION of a side that heard nothing for too long, or was not heard.
    Silence,
    /// By a hard reset of either side, or by what cannot be told from one.
    Hard,
}

impl Loss {
    fn by(notification: &Notification) -> Self {
        match notification.code {
            code::HOLD_TIMER_EXPIRED | code::SEND_HOLD_TIMER_EXPIRED => Self::Silence,
            _ if notification.is_hard_reset() => Self::Hard,
            _ => Self::Notification,
        }
    }
}

impl Connection {
    fn keeps_routes(&self, loss: Loss) -> bool {
        self.graceful.is_some_and(|graceful| match loss {
            Loss::Transport => true,
            Loss::Notification | Loss::Silence => graceful.notification,
            Loss::Hard => false,
        })
    }

    /// A NOTIFICATION as this connection has to carry it to be a hard reset: without graceful restart all are.
    fn hardened(&self, notification: &Notification) -> Notification {
        match self.graceful {
            Some(graceful) if graceful.notification => notification.hard_reset(),
            Some(_) | None => notification.clone(),
        }
    }
}

impl Session {
    pub(super) fn on_stop(&mut self, notification: &Notification, out: &mut Vec<SessionEffect>) {
        let goodbye = |connection: &Connection| Some(connection.hardened(notification));
        self.end_all(Loss::Hard, goodbye, &format!("stopped: {notification}"), out);
        self.enabled = false;
        self.idle_text = idle_text("the session is stopped here", notification);
    }

    /// RFC 8538 lets a NOTIFICATION pass that RFC 4724 alone takes for the end.
    pub(super) fn on_leave(&mut self, notification: &Notification, out: &mut Vec<SessionEffect>) {
        let goodbye = |connection: &Connection| match connection.graceful {
            Some(graceful) if !graceful.notification => None,
            Some(_) | None => Some(notification.clone()),
        };
        self.end_all(Loss::Notification, goodbye, &format!("left: {notification}"), out);
        self.enabled = false;
    }

    pub(super) fn on_reset(
        &mut self,
        notification: &Notification,
        hard: bool,
        idle: Duration,
        now: Instant,
        out: &mut Vec<SessionEffect>,
    ) {
        if !self.enabled {
            return;
        }
        let told = |connection: &Connection| {
            let soft = || notification.clone();
            Some(if hard {
                connection.hardened(notification)
            } else {
                soft()
            })
        };
        let loss = if hard { Loss::Hard } else { Loss::Notification };
        self.end_all(loss, told, &format!("reset: {notification}"), out);
        if !idle.is_zero() {
            self.idle_text = idle_text("the session is held idle here", notification);
            self.timers.arm(Timer::IdleHold, now + idle);
        }
        self.dial(now, out);
    }

    /// Ends every connection, with what each is told; dialling starts over.
    fn end_all(
        &mut self,
        loss: Loss,
        told: impl Fn(&Connection) -> Option<Notification>,
        reason: &str,
        out: &mut Vec<SessionEffect>,
    ) {
        let was_up = self.state() == State::Established;
        let mut keeps_routes = false;
        for direction in Direction::ALL {
            let Some(connection) = self.connections.take(direction) else {
                continue;
            };
            keeps_routes |= connection.phase == Phase::Established && connection.keeps_routes(loss);
            if let Some(notification) = told(&connection) {
                out.push(SessionEffect::Send(connection.id, Message::Notification(notification)));
            }
            out.push(SessionEffect::Close(connection.id));
        }
        self.dialling.stop();
        self.timers = Timers::default();
        if was_up {
            self.down(
                Down {
                    was_up,
                    keeps_routes,
                    silent: false,
                    reason: reason.into(),
                },
                out,
            );
        }
    }

    pub(super) fn on_closed(&mut self, id: ConnId, reason: &str, now: Instant, out: &mut Vec<SessionEffect>) {
        let Some(direction) = self.connections.direction(id) else {
            return;
        };
        let reason = format!("connection closed: {reason}");
        if self.is_up(direction) {
            self.lost(direction, Loss::Transport, reason, out);
        } else if !self.connections.is_beside_another(direction) {
            // With another connection left it is most likely the loser of a collision, whose NOTIFICATION a reset ate.
            self.last_error = reason.into();
        }
        self.leave(direction, now, out);
    }

    /// BGPHeaderErr, BGPOpenMsgErr, UpdateMsgErr. A NOTIFICATION is never answered (RFC 4271 section 6.4); one that
    /// cannot be read may have been a hard reset.
    pub(super) fn on_wire_error(
        &mut self,
        direction: Direction,
        error: &WireError,
        now: Instant,
        out: &mut Vec<SessionEffect>,
    ) {
        if error.is_answered() {
            return self.refuse(direction, error.notification(), now, out);
        }
        self.close(direction, out);
        self.lost(direction, Loss::Hard, error.to_string(), out);
        self.leave(direction, now, out);
    }

    /// NotifMsg. The loss of a collision is no error while another connection stands.
    pub(super) fn on_notification(
        &mut self,
        direction: Direction,
        message: &Notification,
        now: Instant,
        out: &mut Vec<SessionEffect>,
    ) {
        let is_collision = (message.code, message.subcode) == (code::CEASE, subcode::cease::COLLISION_RESOLUTION);
        let expected = is_collision && self.connections.is_beside_another(direction);
        self.close(direction, out);
        if !expected {
            self.lost(direction, Loss::by(message), format!("peer said: {message}"), out);
        }
        self.leave(direction, now, out);
    }

    /// Ends a connection by a NOTIFICATION of ours.
    pub(super) fn refuse(
        &mut self,
        direction: Direction,
        answer: Notification,
        now: Instant,
        out: &mut Vec<SessionEffect>,
    ) {
        let Some(id) = self.connections.get(direction).map(|connection| connection.id) else {
            return;
        };
        let reason = format!("told the peer: {answer}");
        let loss = Loss::by(&answer);
        part(id, answer, out);
        self.lost(direction, loss, reason, out);
        self.leave(direction, now, out);
    }

    pub(super) fn is_up(&self, direction: Direction) -> bool {
        let connection = self.connections.get(direction);
        connection.is_some_and(|connection| connection.phase == Phase::Established)
    }

    pub(super) fn close(&mut self, direction: Direction, out: &mut Vec<SessionEffect>) {
        let id = self.connections.get(direction).map(|connection| connection.id);
        out.extend(id.map(SessionEffect::Close));
    }

    /// Forgets a connection, lets one that waits for that go on, and dials again in time.
    fn leave(&mut self, direction: Direction, now: Instant, out: &mut Vec<SessionEffect>) {
        self.connections.take(direction);
        self.timers.clear_connection(direction);
        if let Some(rival) = direction.rival() {
            self.resume_held(rival, now, out);
            self.promote(now, out);
        }
        self.dial_later(now);
    }

    /// Reports that a connection is lost, Established or not.
    pub(super) fn lost(&mut self, direction: Direction, loss: Loss, reason: String, out: &mut Vec<SessionEffect>) {
        let was_up = self.is_up(direction);
        let connection = self.connections.get(direction);
        let keeps_routes = was_up && connection.is_some_and(|connection| connection.keeps_routes(loss));
        self.down(
            Down {
                was_up,
                keeps_routes,
                silent: loss == Loss::Silence,
                reason: reason.into(),
            },
            out,
        );
    }

    fn down(&mut self, down: Down, out: &mut Vec<SessionEffect>) {
        self.last_error = Arc::clone(&down.reason);
        self.lost_by = Some(Arc::clone(&down.reason));
        out.push(SessionEffect::Down(down));
    }
}

/// Whoever dials again loses what was said before: it is said again.
fn idle_text(what: &str, notification: &Notification) -> String {
    match notification.text.as_str() {
        "" => what.to_owned(),
        text => format!("{what}: {text}"),
    }
}

/// Says goodbye on a connection and closes it.
pub(super) fn part(id: ConnId, notification: Notification, out: &mut Vec<SessionEffect>) {
    out.push(SessionEffect::Send(id, Message::Notification(notification)));
    out.push(SessionEffect::Close(id));
}
