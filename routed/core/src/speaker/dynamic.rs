//! Dynamic peers: whoever calls from a configured prefix and says in its OPEN what is expected becomes a passive peer for
//! as long as its session lasts.
//!
//! Until then a caller is an entry in a bounded list, and no caller stays in it for long: whoever sends nothing, or too
//! slowly, costs a place for [`OPEN_WAIT`], and when all places are taken the one that has waited longest goes.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::peer::{Conn, Peer, session_config};
use super::sessions::stopping;
use super::{Phase, Speaker};
use crate::event::{ConnId, DynamicPeers, PeerConfig, PeerName, SpeakerConfig};
use crate::session::{SessionEvent, State, check_open};
use crate::wire::subcode::{self, cease};
use crate::wire::{self, Message, Notification, Open, WireError, code};

/// How long a caller may take for its OPEN.
const OPEN_WAIT: Duration = Duration::from_secs(5);
/// So many callers may wait at a time: few enough to look through.
const MAX_WAITING: usize = 256;

/// A connection from a prefix of dynamic peers whose OPEN has not come.
#[derive(Debug)]
struct Caller {
    conn: ConnId,
    local: SocketAddr,
    remote: SocketAddr,
    until: Instant,
}

impl Caller {
    fn ip(&self) -> IpAddr {
        self.remote.ip().to_canonical()
    }
}

/// The callers that wait in order of arrival, at most one of an address.
#[derive(Debug, Default)]
pub(super) struct Callers(VecDeque<Caller>);

impl Callers {
    /// When the next one has waited long enough.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.front().map(|caller| caller.until)
    }

    fn take(&mut self, conn: ConnId) -> Option<Caller> {
        self.take_if(|caller| caller.conn == conn)
    }

    fn take_if(&mut self, is_it: impl Fn(&Caller) -> bool) -> Option<Caller> {
        let at = self.0.iter().position(is_it)?;
        self.0.remove(at)
    }
}

impl DynamicPeers {
    /// The configuration of one of them.
    fn peer(&self, ip: IpAddr, asn: u32) -> PeerConfig {
        PeerConfig {
            name: format!("{}-{ip}", self.name).into(),
            dynamic: Some(Arc::clone(&self.name)),
            address: SocketAddr::new(ip, 0),
            asn,
            node: None,
            passive: true,
            ..self.template.clone()
        }
    }

    fn takes_as(&self, asn: u32) -> bool {
        self.asns.iter().any(|range| range.contains(&asn))
    }

    fn as_text(&self) -> String {
        let one = |range: &RangeInclusive<u32>| match range.start() == range.end() {
            true => range.start().to_string(),
            false => format!("{}-{}", range.start(), range.end()),
        };
        self.asns.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

impl SpeakerConfig {
    /// The dynamic peers whose prefix an address belongs to: the longest one counts.
    fn dynamic_for(&self, ip: IpAddr) -> Option<&DynamicPeers> {
        let containing = self.dynamic_peers.iter().filter(|group| group.prefix.contains(ip));
        containing.max_by_key(|group| group.prefix.length())
    }

    /// What a dynamic peer of before is configured with by this configuration; `None`: it has no place any longer.
    pub(super) fn dynamic_again(&self, before: &PeerConfig) -> Option<PeerConfig> {
        let ip = before.address.ip();
        if self.peers.iter().any(|peer| peer.address.ip().to_canonical() == ip) {
            return None;
        }
        let group = self.dynamic_for(ip).filter(|group| group.takes_as(before.asn))?;
        Some(group.peer(ip, before.asn)).filter(|config| config.name == before.name)
    }
}

impl Speaker {
    /// A connection from an address that is no peer's: it waits for its OPEN if it comes from a prefix of dynamic peers.
    pub(super) fn on_caller(&mut self, conn: ConnId, local: SocketAddr, remote: SocketAddr, now: Instant) {
        let until = now + OPEN_WAIT;
        let caller = Caller {
            conn,
            local,
            remote,
            until,
        };
        let ip = caller.ip();
        if self.config.dynamic_for(ip).is_none() {
            return self.turn_away(conn, remote, not_configured(ip));
        }
        if let Some(before) = self.callers.take_if(|waiting| waiting.ip() == ip) {
            let answer = Notification::cease(cease::COLLISION_RESOLUTION, "a newer connection takes its place");
            self.turn_away(before.conn, before.remote, answer);
        }
        if self.callers.0.len() >= MAX_WAITING
            && let Some(oldest) = self.callers.0.pop_front()
        {
            let text = format!("{MAX_WAITING} others wait, and no OPEN came");
            self.turn_away(
                oldest.conn,
                oldest.remote,
                Notification::cease(cease::OUT_OF_RESOURCES, text),
            );
        }
        self.callers.0.push_back(caller);
    }

    /// The first frame of a caller, if it comes from one.
    pub(super) fn on_caller_frame(&mut self, conn: ConnId, kind: u8, body: &Bytes, now: Instant) {
        let Some(caller) = self.callers.take(conn) else {
            return;
        };
        let admitted = read_open(kind, body).and_then(|open| Ok((self.admit(&caller, &open)?, open)));
        match admitted {
            Ok((config, open)) => self.welcome(&caller, config, open, now),
            Err(answer) => self.turn_away(caller.conn, caller.remote, answer),
        }
    }

    pub(super) fn on_caller_bad_frame(&mut self, conn: ConnId, length: u32) {
        if let Some(caller) = self.callers.take(conn) {
            self.turn_away(
                caller.conn,
                caller.remote,
                WireError::FrameLength(length).notification(),
            );
        }
    }

    pub(super) fn on_caller_closed(&mut self, conn: ConnId) {
        self.callers.take(conn);
    }

    /// Ends what has waited long enough.
    pub(super) fn expire_callers(&mut self, now: Instant) {
        while self.callers.due().is_some_and(|due| due <= now)
            && let Some(caller) = self.callers.0.pop_front()
        {
            let text = format!("no OPEN came within {} s", OPEN_WAIT.as_secs());
            self.turn_away(
                caller.conn,
                caller.remote,
                Notification::new(code::HOLD_TIMER_EXPIRED, 0, text),
            );
        }
    }

    /// The node stops.
    pub(super) fn dismiss_callers(&mut self) {
        while let Some(caller) = self.callers.0.pop_front() {
            self.part(caller.conn, stopping());
        }
    }

    /// Whether a caller may be a peer, by its OPEN: nothing is kept of one that may not.
    fn admit(&self, caller: &Caller, open: &Open) -> Result<PeerConfig, Notification> {
        let rejected = |text: String| Err(Notification::cease(cease::CONNECTION_REJECTED, text));
        let ip = caller.ip();
        if self.phase == Phase::Stopped {
            return Err(stopping());
        }
        if self.peers.find_address(ip).is_some() {
            return rejected("this address has just become that of a peer".to_owned());
        }
        let Some(group) = self.config.dynamic_for(ip) else {
            return Err(not_configured(ip));
        };
        if !group.takes_as(open.asn) {
            let text = format!("expected AS {}, got AS {}", group.as_text(), open.asn);
            return Err(Notification::new(code::OPEN, subcode::open::BAD_PEER_AS, text));
        }
        let config = group.peer(ip, open.asn);
        check_open(&session_config(&config, &self.config), open)?;
        let is_of_group = |peer: &&Peer| peer.config.dynamic.as_ref() == Some(&group.name);
        let taken = self.peers.iter().filter(is_of_group).count();
        if taken >= group.max_peers {
            return rejected(format!("{} has {taken} peers, which is its limit", group.name));
        }
        Ok(config)
    }

    /// Makes a caller a peer, and has its session hear what it has said.
    fn welcome(&mut self, caller: &Caller, config: PeerConfig, open: Open, now: Instant) {
        let Caller {
            conn, local, remote, ..
        } = *caller;
        let name = config.name.clone();
        self.on_peer_add(config, now);
        let Some(peer) = self.peers.find(&name) else {
            let answer = Notification::cease(cease::OUT_OF_RESOURCES, "there is no room for more peers");
            return self.turn_away(conn, remote, answer);
        };
        let outstanding = 0;
        self.conns.insert(
            conn,
            Conn {
                peer,
                local,
                outstanding,
            },
        );
        self.session(peer, SessionEvent::Accepted(conn, remote), now);
        self.session(peer, SessionEvent::Message(conn, Ok(Message::Open(open))), now);
    }

    pub(super) fn find_key(&self, ip: IpAddr) -> Option<&PeerName> {
        match self.peers.find_address(ip) {
            Some(index) => Some(self.peers[index].policy_name()),
            None => self.config.dynamic_for(ip).map(|group| &group.name),
        }
    }

    /// Takes out the dynamic peers that have neither a connection nor routes any longer.
    pub(super) fn remove_ended(&mut self, now: Instant) {
        let ended = self.peers.iter().filter(|peer| peer.has_ended());
        let names: Vec<_> = ended.map(|peer| peer.config.name.clone()).collect();
        for name in &names {
            self.on_peer_remove(name, now);
        }
        if !names.is_empty() && self.peers.is_crowded() {
            self.free_places();
        }
    }
}

impl Peer {
    /// Whether it is a dynamic peer with nothing left. One that is stopped, or held idle, stays: its address would come
    /// back as a new one.
    fn has_ended(&self) -> bool {
        let waits = matches!(self.session.state(), State::Connect | State::Active);
        self.config.dynamic.is_some() && waits && self.up.is_none() && self.stale.is_none()
    }
}

fn read_open(kind: u8, body: &Bytes) -> Result<Open, Notification> {
    match wire::decode(kind, body) {
        Ok(Message::Open(open)) => Ok(open),
        Ok(message) => {
            let text = format!("{} came before OPEN", message.kind_name());
            Err(Notification::new(code::FSM, subcode::fsm::IN_OPEN_SENT, text))
        }
        Err(error) => Err(error.notification()),
    }
}

fn not_configured(ip: IpAddr) -> Notification {
    Notification::cease(cease::CONNECTION_REJECTED, format!("{ip} is not a configured peer"))
}
