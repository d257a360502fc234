//! Events of connections go through the session of their peer; what it answers happens here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::export::Class;
use super::limits::LimitState;
use super::pace::Pace;
use super::peer::{Conn, Opens, Up};
use super::{Phase, Speaker};
use crate::attrs::RouterId;
use crate::event::{ConnId, Effect};
use crate::session::{Down, Established, SessionEffect, SessionEvent};
use crate::wire::subcode::cease;
use crate::wire::{self, Family, Message, Notification, WireError};

impl Speaker {
    pub(super) fn start_sessions(&mut self, now: Instant) {
        for index in self.peers.places() {
            self.session(index, SessionEvent::Start, now);
        }
    }

    pub(super) fn on_connected(
        &mut self,
        peer: &str,
        conn: ConnId,
        local: SocketAddr,
        remote: SocketAddr,
        now: Instant,
    ) {
        match self.peers.find(peer) {
            Some(index) if self.peers[index].address != remote.ip().to_canonical() => {
                self.effects.push(Effect::Close { conn });
                let error = "the configured address has changed".into();
                self.session(index, SessionEvent::ConnectFailed(error), now);
            }
            Some(index) => {
                self.conns.insert(
                    conn,
                    Conn {
                        peer: index,
                        local,
                        outstanding: 0,
                    },
                );
                self.session(index, SessionEvent::Connected(conn, remote), now);
            }
            None => self.effects.push(Effect::Close { conn }),
        }
    }

    pub(super) fn on_connect_failed(&mut self, peer: &str, error: Arc<str>, now: Instant) {
        if let Some(index) = self.peers.find(peer) {
            self.session(index, SessionEvent::ConnectFailed(error), now);
        }
    }

    pub(super) fn on_accepted(&mut self, conn: ConnId, local: SocketAddr, remote: SocketAddr, now: Instant) {
        let ip = remote.ip().to_canonical();
        if self.phase == Phase::Stopped {
            return self.turn_away(conn, remote, stopping());
        }
        match self.peers.find_address(ip) {
            Some(index) => {
                self.conns.insert(
                    conn,
                    Conn {
                        peer: index,
                        local,
                        outstanding: 0,
                    },
                );
                self.session(index, SessionEvent::Accepted(conn, remote), now);
            }
            None => self.on_caller(conn, local, remote, now),
        }
    }

    /// Tells whoever has called why it is no peer, and ends its connection.
    pub(super) fn turn_away(&mut self, conn: ConnId, remote: SocketAddr, answer: Notification) {
        let reason = format!("told the caller: {answer}").into();
        self.part(conn, answer);
        self.effects.push(Effect::Refused { remote, reason });
    }

    /// Ends a connection that belongs to no peer.
    pub(super) fn part(&mut self, conn: ConnId, goodbye: Notification) {
        let mut frame = BytesMut::new();
        wire::encode(&Message::Notification(goodbye), &mut frame);
        let bytes = frame.freeze();
        self.effects.push(Effect::Send { conn, bytes });
        self.effects.push(Effect::Close { conn });
    }

    pub(super) fn on_frame(&mut self, conn: ConnId, kind: u8, body: &Bytes, now: Instant) {
        if let Some(known) = self.conns.get(&conn) {
            let peer = &mut self.peers[known.peer];
            peer.messages.received.count(kind);
            let message = peer.check_frame(body).and_then(|()| wire::decode(kind, body));
            self.session(known.peer, SessionEvent::Message(conn, message), now);
        } else {
            self.on_caller_frame(conn, kind, body, now);
        }
    }

    pub(super) fn on_bad_frame(&mut self, conn: ConnId, length: u32, now: Instant) {
        if let Some(known) = self.conns.get(&conn) {
            let error = Err(WireError::FrameLength(length));
            self.session(known.peer, SessionEvent::Message(conn, error), now);
        } else {
            self.on_caller_bad_frame(conn, length);
        }
    }

    pub(super) fn on_closed(&mut self, conn: ConnId, reason: Arc<str>, now: Instant) {
        if let Some(known) = self.conns.remove(&conn) {
            self.session(known.peer, SessionEvent::Closed(conn, reason), now);
        } else {
            self.on_caller_closed(conn);
        }
    }

    pub(super) fn on_sent(&mut self, conn: ConnId, bytes: usize, now: Instant) {
        if let Some(known) = self.conns.get_mut(&conn) {
            known.outstanding = known.outstanding.saturating_sub(bytes);
            let more = known.outstanding > 0;
            self.peers[known.peer].session.sending(conn, more, now);
        }
    }

    pub(super) fn on_heard(&mut self, conn: ConnId, now: Instant) {
        if let Some(known) = self.conns.get(&conn) {
            self.peers[known.peer].session.heard(conn, now);
        }
    }

    pub(super) fn on_timeout(&mut self, now: Instant) {
        self.expire_callers(now);
        for index in self.peers.places() {
            if self.peers[index].session.poll_timeout().is_some_and(|due| due <= now) {
                self.session(index, SessionEvent::Timeout, now);
            }
            self.purge_if_due(index, now);
        }
    }

    pub(super) fn on_leave(&mut self, now: Instant) {
        self.phase = Phase::Stopped;
        self.dismiss_callers();
        for index in self.peers.places() {
            self.session(index, SessionEvent::Leave(stopping()), now);
        }
    }

    pub(super) fn on_shutdown(&mut self, text: &str, now: Instant) {
        self.phase = Phase::Stopped;
        self.dismiss_callers();
        for index in self.peers.places() {
            let goodbye = Notification::cease(cease::ADMINISTRATIVE_SHUTDOWN, text);
            self.session(index, SessionEvent::Stop(goodbye), now);
        }
    }

    pub(super) fn session(&mut self, index: usize, event: SessionEvent, now: Instant) {
        if let SessionEvent::Connected(..) | SessionEvent::Accepted(..) = event {
            let restart = self.restart_state();
            self.peers[index].session.set_restart(restart);
        }
        let mut effects = std::mem::take(&mut self.session_effects);
        self.peers[index].session.handle(event, now, &mut effects);
        for effect in effects.drain(..) {
            self.on_session_effect(index, effect, now);
        }
        self.session_effects = effects;
    }

    fn on_session_effect(&mut self, index: usize, effect: SessionEffect, now: Instant) {
        match effect {
            SessionEffect::Connect => {
                let peer = self.peers[index].config.name.clone();
                self.effects.push(Effect::Connect { peer });
            }
            SessionEffect::Send(conn, message) => self.send_message(conn, &message, now),
            SessionEffect::Close(conn) => {
                self.conns.remove(&conn);
                self.effects.push(Effect::Close { conn });
            }
            SessionEffect::Up(established) => self.session_up(index, established, now),
            SessionEffect::Down(down) => self.session_down(index, down, now),
            SessionEffect::Update(update) => self.on_update(index, &update, now),
            SessionEffect::EndOfRib(family) => self.on_end_of_rib(index, family, now),
            SessionEffect::RouteRefresh(refresh) => self.on_route_refresh(index, refresh, now),
        }
    }

    pub(super) fn send_message(&mut self, conn: ConnId, message: &Message, now: Instant) {
        let mut frame = BytesMut::new();
        wire::encode(message, &mut frame);
        if let Some(known) = self.conns.get(&conn) {
            self.peers[known.peer].messages.sent.count(message.kind());
        }
        self.send_bytes(conn, frame.freeze(), now);
    }

    pub(super) fn send_bytes(&mut self, conn: ConnId, bytes: Bytes, now: Instant) {
        if let Some(known) = self.conns.get_mut(&conn) {
            if known.outstanding == 0 {
                self.peers[known.peer].session.sending(conn, true, now);
            }
            known.outstanding += bytes.len();
            self.effects.push(Effect::Send { conn, bytes });
        }
    }

    fn session_up(&mut self, index: usize, established: Established, now: Instant) {
        let Established { conn, sent, received } = established;
        let local = self.conns.get(&conn).map(|known| known.local);
        let router_id = RouterId {
            asn: received.asn,
            node: received.node.clone(),
        };
        self.meet_again(index, &sent, &received, now);
        let peer = &mut self.peers[index];
        if peer.router_id != router_id && peer.established_count > 0 {
            // What was reflected from it carries the old one.
            self.rib.attrs.forget_sources(&[peer.id]);
        }
        peer.router_id = router_id;
        peer.established_count += 1;
        if peer.config.tunnel.is_some() {
            // TUNNEL is believed of this very node.
            self.join_import_class(index);
        }
        let peer = &mut self.peers[index];
        let class = self.exports.join(Class::of_session(peer, local), &mut self.rib.attrs);
        let families = sent.common_families(&received);
        let opens = Box::new(Opens { sent, received });
        peer.limits = LimitState::default();
        peer.pace = Pace::default();
        peer.up = Some(Up::new(conn, class, families, Some(opens), now));
        let peer = peer.config.name.clone();
        self.effects.push(Effect::SessionUp { peer });
        self.mark_tunnel(index);
        self.mark_whole_table(index);
    }

    fn session_down(&mut self, index: usize, down: Down, now: Instant) {
        let Down {
            was_up,
            keeps_routes,
            silent,
            reason,
        } = down;
        let kept = keeps_routes.then(|| self.peers[index].kept_for()).flatten();
        if was_up {
            self.forget_session(index);
            match kept {
                Some(time) => self.keep_stale(index, time, silent, now),
                None => self.drop_routes(index),
            }
        }
        let peer = self.peers[index].config.name.clone();
        self.effects.push(Effect::SessionDown {
            peer,
            was_up,
            reason,
            routes_kept: kept,
        });
    }

    fn forget_session(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        if let Some(up) = peer.up.take() {
            self.exports.leave(up.class);
        }
        peer.out.clear(&mut self.rib);
        self.forget_import(index);
    }

    fn on_end_of_rib(&mut self, index: usize, family: Family, now: Instant) {
        let peer = &mut self.peers[index];
        if let Some(up) = &mut peer.up {
            up.awaits_end_of_rib.remove(family);
            peer.ever_ended_rib |= up.awaits_end_of_rib.is_empty();
            self.purge_stale(index, family, false);
            self.check_limit(index, now);
        }
    }
}

/// What is said to everybody when the node stops.
pub(super) fn stopping() -> Notification {
    Notification::cease(cease::ADMINISTRATIVE_SHUTDOWN, "the node is shutting down")
}
