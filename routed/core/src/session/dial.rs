//! Dialling: at once when started, then after a back-off that grows until the session is Established.

use std::time::{Duration, Instant};

use super::{Direction, Session, SessionEffect, Timer, connect_backoff};
use crate::event::ConnId;

/// How long a dial may go unanswered: a peer that drops packets must not stop the attempts.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Where dialling stands.
#[derive(Debug, Clone, Default)]
pub(super) struct Dialling {
    /// An answer to the last dial is awaited.
    pub(super) in_progress: bool,
    /// Dials whose answer came too late to be waited for, and has not come yet.
    abandoned: u32,
    /// Attempts since the session was last Established.
    attempt: u32,
}

impl Dialling {
    pub(super) fn stop(&mut self) {
        self.abandon();
        self.attempt = 0;
    }

    /// The session is Established: the next loss starts from the shortest wait.
    pub(super) fn reset_backoff(&mut self) {
        self.attempt = 0;
    }

    fn abandon(&mut self) {
        self.abandoned += u32::from(std::mem::take(&mut self.in_progress));
    }
}

impl Session {
    /// Dials unless there is a reason not to: a passive peer, a dial under way, a connection that may still make it.
    pub(super) fn dial(&mut self, now: Instant, out: &mut Vec<SessionEffect>) {
        if self.wants_to_dial() {
            self.dialling.in_progress = true;
            self.timers.arm(Timer::Connect, now + CONNECT_TIME);
            out.push(SessionEffect::Connect);
        }
    }

    /// Arms the back-off, unless it runs already or a dial has no place.
    pub(super) fn dial_later(&mut self, now: Instant) {
        if self.wants_to_dial() && !self.timers.is_armed(Timer::ConnectRetry) {
            let wait = connect_backoff(self.config.seed, self.dialling.attempt);
            self.dialling.attempt = self.dialling.attempt.saturating_add(1);
            self.timers.arm(Timer::ConnectRetry, now + wait);
        }
    }

    pub(super) fn wants_to_dial(&self) -> bool {
        !self.is_idle()
            && !self.config.passive
            && !self.dialling.in_progress
            && self.connections.get(Direction::Outgoing).is_none()
            && self.connections.committed().is_none()
    }

    /// A dial that was given up may still be answered: such a connection has no place and is closed.
    pub(super) fn on_connected(&mut self, id: ConnId, now: Instant, out: &mut Vec<SessionEffect>) {
        if !self.dialling.in_progress {
            self.dialling.abandoned = self.dialling.abandoned.saturating_sub(1);
            return out.push(SessionEffect::Close(id));
        }
        self.dialling.in_progress = false;
        self.timers.clear(Timer::Connect);
        self.admit(Direction::Outgoing, id, now, out);
    }

    pub(super) fn on_connect_failed(&mut self, error: &str, now: Instant) {
        if self.dialling.abandoned > 0 {
            self.dialling.abandoned -= 1;
        } else if self.dialling.in_progress {
            self.dial_failed(&format!("cannot connect: {error}"), now);
        }
    }

    pub(super) fn on_dial_unanswered(&mut self, now: Instant) {
        self.dialling.abandon();
        self.dial_failed(
            &format!("cannot connect: no answer within {} s", CONNECT_TIME.as_secs()),
            now,
        );
    }

    fn dial_failed(&mut self, error: &str, now: Instant) {
        self.dialling.in_progress = false;
        self.timers.clear(Timer::Connect);
        // While the peer's own connection stands, it does not matter that it cannot be dialled.
        if self.connections.committed().is_none() {
            self.last_error = match &self.lost_by {
                // The peer's words, perhaps; whoever stops says why, and then nobody listens.
                Some(lost_by) => format!("{error}; before that: {lost_by}").into(),
                None => error.into(),
            };
        }
        self.dial_later(now);
    }
}
