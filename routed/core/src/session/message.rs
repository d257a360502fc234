//! Messages and timers of a connection, by its phase.

use std::time::{Duration, Instant};

use super::connection::Phase;
use super::{Direction, Established, Session, SessionEffect, Timer};
use crate::event::ConnId;
use crate::wire::{Message, Notification, WireError, code, subcode};

/// How long the peer may take for its OPEN (RFC 4271 section 8.2.2 suggests 4 minutes), and for its first KEEPALIVE
/// where no hold time was agreed on.
pub(super) const OPEN_HOLD_TIME: Duration = Duration::from_secs(240);

/// The highest subtype of ROUTE-REFRESH that has a meaning; others are ignored (RFC 7313 section 5).
const MAX_REFRESH_SUBTYPE: u8 = 2;

impl Session {
    pub(super) fn on_message(
        &mut self,
        id: ConnId,
        message: Result<Message, WireError>,
        now: Instant,
        out: &mut Vec<SessionEffect>,
    ) {
        let Some(direction) = self.connections.direction(id) else {
            return;
        };
        let phase = self
            .connections
            .get(direction)
            .map_or(Phase::OpenSent, |connection| connection.phase);
        match (phase, message) {
            (_, Err(error)) => self.on_wire_error(direction, &error, now, out),
            (_, Ok(Message::Notification(message))) => self.on_notification(direction, &message, now, out),
            (Phase::OpenSent, Ok(Message::Open(open))) => self.on_open(direction, open, now, out),
            (Phase::Held, Ok(Message::Keepalive)) => self.on_early_keepalive(direction, now, out),
            (Phase::OpenConfirm, Ok(Message::Keepalive)) => self.establish(direction, now, out),
            (Phase::Established, Ok(message)) => self.on_established(direction, message, now, out),
            (_, Ok(message)) => self.on_unexpected(direction, phase, &message, now, out),
        }
    }

    /// KeepAliveMsg, UpdateMsg and what else comes in Established.
    fn on_established(&mut self, direction: Direction, message: Message, now: Instant, out: &mut Vec<SessionEffect>) {
        self.restart_hold_timer(direction, now);
        if let Some(error) = self.beyond_agreement(direction, &message) {
            return self.on_wire_error(direction, &error, now, out);
        }
        match message {
            Message::Update(update) => out.push(SessionEffect::Update(update)),
            Message::Keepalive => {}
            Message::EndOfRib(family) => out.push(SessionEffect::EndOfRib(family)),
            Message::RouteRefresh(refresh) if refresh.subtype > MAX_REFRESH_SUBTYPE => {}
            Message::RouteRefresh(refresh) => out.push(SessionEffect::RouteRefresh(refresh)),
            Message::Open(_) | Message::Notification(_) => {
                self.on_unexpected(direction, Phase::Established, &message, now, out);
            }
        }
    }

    /// A message of a family that the session has not agreed on: the peer counts on something that is not so.
    fn beyond_agreement(&self, direction: Direction, message: &Message) -> Option<WireError> {
        let family = message.family()?;
        let agreed = self.connections.get(direction)?.families;
        (!agreed.has(family)).then(|| WireError::Family {
            message: message.kind_name(),
            family: family.code(),
        })
    }

    /// A message that has no place in the phase (Finite State Machine Error, RFC 6608).
    fn on_unexpected(
        &mut self,
        direction: Direction,
        phase: Phase,
        message: &Message,
        now: Instant,
        out: &mut Vec<SessionEffect>,
    ) {
        let subcode = match phase {
            Phase::OpenSent => subcode::fsm::IN_OPEN_SENT,
            Phase::Held | Phase::OpenConfirm => subcode::fsm::IN_OPEN_CONFIRM,
            Phase::Established => subcode::fsm::IN_ESTABLISHED,
        };
        let text = format!("{} came in {}", message.kind_name(), phase.state().as_str());
        self.refuse(direction, Notification::new(code::FSM, subcode, text), now, out);
    }

    /// The peer has committed itself to a connection that is held back here.
    fn on_early_keepalive(&mut self, direction: Direction, now: Instant, out: &mut Vec<SessionEffect>) {
        if let Some(connection) = self.connections.get_mut(direction) {
            connection.keepalive_seen = true;
        }
        if direction == Direction::Replacing {
            self.replace(now, out);
        }
    }

    /// Enters Established.
    pub(super) fn establish(&mut self, direction: Direction, now: Instant, out: &mut Vec<SessionEffect>) {
        let Some(connection) = self.connections.get_mut(direction) else {
            return;
        };
        connection.phase = Phase::Established;
        let (conn, sent) = (connection.id, connection.sent.clone());
        let up = connection
            .peer
            .take()
            .map(|received| Established { conn, sent, received });
        self.dialling.reset_backoff();
        self.restart_hold_timer(direction, now);
        out.extend(up.map(SessionEffect::Up));
        self.end_replacing(out);
    }

    /// HoldTimer_Expires.
    pub(super) fn on_hold_timer(&mut self, direction: Direction, now: Instant, out: &mut Vec<SessionEffect>) {
        let Some(connection) = self.connections.get(direction) else {
            return;
        };
        let text = match connection.phase {
            Phase::OpenSent => "no OPEN came".to_owned(),
            Phase::Held | Phase::OpenConfirm => "no KEEPALIVE came".to_owned(),
            Phase::Established => format!("nothing came for {} ms", connection.hold_time.as_millis()),
        };
        self.refuse(
            direction,
            Notification::new(code::HOLD_TIMER_EXPIRED, 0, text),
            now,
            out,
        );
    }

    /// KeepaliveTimer_Expires.
    pub(super) fn on_keepalive_timer(&mut self, direction: Direction, now: Instant, out: &mut Vec<SessionEffect>) {
        self.send_keepalive(direction, now, out);
    }

    /// Sends KEEPALIVE and arms the next one at a third of the hold time (RFC 4271 section 10).
    pub(super) fn send_keepalive(&mut self, direction: Direction, now: Instant, out: &mut Vec<SessionEffect>) {
        let Some(connection) = self.connections.get(direction) else {
            return;
        };
        out.push(SessionEffect::Send(connection.id, Message::Keepalive));
        if !connection.hold_time.is_zero() {
            self.timers
                .arm(Timer::Keepalive(direction), now + connection.hold_time / 3);
        }
    }

    /// The connections whose hold timer has expired.
    pub fn silent(&self, now: Instant) -> impl Iterator<Item = ConnId> + '_ {
        let expired = move |direction: &Direction| self.timers.has_expired(Timer::Hold(*direction), now);
        let conn = |direction| Some(self.connections.get(direction)?.id);
        Direction::ALL.into_iter().filter(expired).filter_map(conn)
    }

    /// Something of a connection is there and not read yet: it counts as heard from now.
    pub fn heard(&mut self, id: ConnId, now: Instant) {
        if let Some(direction) = self.connections.direction(id) {
            self.restart_hold_timer(direction, now);
        }
    }

    /// With no hold time agreed on, only the wait for the first KEEPALIVE is bounded.
    pub(super) fn restart_hold_timer(&mut self, direction: Direction, now: Instant) {
        let Some(connection) = self.connections.get(direction) else {
            return;
        };
        let from = connection.paused_until.map_or(now, |until| until.max(now));
        match (connection.hold_time.is_zero(), connection.phase) {
            (false, _) => self.timers.arm(Timer::Hold(direction), from + connection.hold_time),
            (true, Phase::Established) => self.timers.clear(Timer::Hold(direction)),
            (true, _) => self.timers.arm(Timer::Hold(direction), now + OPEN_HOLD_TIME),
        }
    }
}
