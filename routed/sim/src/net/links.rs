//! Connections between nodes: frames that take their time, links that break.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use catalyst_core::event::{ConnId, Event};

use super::{Delivery, Net};
use crate::config::{address, index_of};

#[derive(Debug)]
struct End {
    node: usize,
    other: ConnId,
    /// Frames arrive in order.
    last_arrival: Instant,
}

/// The connections that stand, and the links that do not.
#[derive(Debug)]
pub(super) struct Links {
    ends: BTreeMap<ConnId, End>,
    at_node: Vec<BTreeSet<ConnId>>,
    cut: BTreeSet<(usize, usize)>,
    silent: BTreeSet<(usize, usize)>,
    next_conn: u64,
}

fn link(one: usize, other: usize) -> (usize, usize) {
    (one.min(other), one.max(other))
}

impl Links {
    pub(super) fn new(nodes: usize) -> Self {
        Self {
            ends: BTreeMap::new(),
            at_node: vec![BTreeSet::new(); nodes],
            cut: BTreeSet::new(),
            silent: BTreeSet::new(),
            next_conn: 1,
        }
    }

    pub(super) fn holds(&self, conn: ConnId) -> bool {
        self.ends.contains_key(&conn)
    }

    fn insert(&mut self, conn: ConnId, node: usize, other: ConnId, last_arrival: Instant) {
        self.at_node[node].insert(conn);
        let end = End {
            node,
            other,
            last_arrival,
        };
        self.ends.insert(conn, end);
    }

    pub(super) fn remove(&mut self, conn: ConnId) -> Option<(usize, ConnId)> {
        let end = self.ends.remove(&conn)?;
        self.at_node[end.node].remove(&conn);
        Some((end.node, end.other))
    }

    /// The node at the other end, while the connection stands there.
    fn far_node(&self, conn: ConnId) -> Option<usize> {
        let other = self.ends.get(&conn)?.other;
        self.ends.get(&other).map(|end| end.node)
    }

    fn of(&self, node: usize) -> impl Iterator<Item = ConnId> + '_ {
        self.at_node[node].iter().copied()
    }

    /// The ends at `node` of connections from `far`.
    fn between(&self, node: usize, far: usize) -> impl Iterator<Item = ConnId> + '_ {
        self.of(node).filter(move |conn| self.far_node(*conn) == Some(far))
    }
}

impl Net {
    pub(super) fn dial(&mut self, node: usize, peer: &Arc<str>) {
        let peers = &self.nodes[node].config.peers;
        // As in the daemon: nobody waits for the answer of a peer that was removed in the same batch.
        let Some(known) = peers.iter().find(|known| known.name == *peer) else {
            return;
        };
        let target = self.node_at(known.address.ip());
        let at = self.now + self.delay();
        let failed = |error: &str| Event::ConnectFailed {
            peer: peer.clone(),
            error: error.into(),
        };
        let reachable =
            target.filter(|target| self.nodes[*target].alive && !self.links.cut.contains(&link(node, *target)));
        let Some(target) = reachable else {
            return self.later(at, node, None, failed("connection refused"));
        };
        if self.links.silent.contains(&link(node, target)) {
            let at = self.now + Duration::from_millis(3000 + self.rng.below(6000));
            return self.later(at, node, None, failed("connection timed out"));
        }
        self.join(node, peer.clone(), target, at);
    }

    fn join(&mut self, node: usize, peer: Arc<str>, target: usize, at: Instant) {
        let links = &mut self.links;
        let (here, there) = (ConnId(links.next_conn), ConnId(links.next_conn + 1));
        links.next_conn += 2;
        let port = 40_000 + u16::try_from(links.next_conn % 20_000).unwrap();
        let near = SocketAddr::new(address(node), port);
        let far = SocketAddr::new(address(target), 1790);
        links.insert(here, node, there, at);
        links.insert(there, target, here, at);
        let accepted = Event::Accepted {
            conn: there,
            local: far,
            remote: near,
        };
        self.later(at, target, Some(there), accepted);
        let connected = Event::Connected {
            peer,
            conn: here,
            local: near,
            remote: far,
        };
        self.later(at, node, Some(here), connected);
    }

    pub(super) fn send(&mut self, node: usize, conn: ConnId, bytes: &Bytes) {
        self.bytes_sent += bytes.len() as u64;
        if self.summing {
            self.sum.write_usize(node);
            self.sum.write(bytes);
        }
        let Some(other) = self.links.ends.get(&conn).map(|end| end.other) else {
            return;
        };
        let delay = self.delay();
        let Some(end) = self.links.ends.get_mut(&other) else {
            return;
        };
        let (target, at) = (end.node, end.last_arrival.max(self.now + delay));
        end.last_arrival = at;
        if self.links.silent.contains(&link(node, target)) {
            return;
        }
        for (kind, body) in frames(bytes) {
            *self.frames.entry((node, kind)).or_default() += 1;
            self.longest_frame = self.longest_frame.max(5 + body.len());
            for (kind, body) in self.damage(node, kind, body) {
                let conn = other;
                self.later(at, target, Some(other), Event::Frame { conn, kind, body });
            }
        }
        let bytes = bytes.len();
        let sent = Event::Sent { conn, bytes };
        if self.stalled.contains(&target) {
            self.held.push(Delivery {
                node,
                life: self.clock.life(node),
                conn: Some(conn),
                event: sent,
            });
        } else {
            self.later(at, node, Some(conn), sent);
        }
    }

    /// Both ends learn of it; what is on its way to the other end still arrives before.
    pub(super) fn break_conn(&mut self, conn: ConnId, reason: &str) {
        let Some((near, far)) = self.links.remove(conn) else {
            return;
        };
        let delay = self.delay();
        if let Some(other) = self.links.ends.get(&far) {
            let (node, at) = (other.node, other.last_arrival.max(self.now + delay));
            if self.links.silent.contains(&link(near, node)) {
                return;
            }
            let reason = reason.into();
            self.later(at, node, Some(far), Event::Closed { conn: far, reason });
        }
    }

    /// Breaks the sessions between two nodes at once and keeps new ones from coming up.
    pub fn cut(&mut self, one: usize, other: usize) {
        self.links.cut.insert(link(one, other));
        self.reset_sessions(one, other);
    }

    /// The links that are cut in another network.
    pub fn cut_as(&mut self, other: &Self) {
        self.links.cut.clone_from(&other.links.cut);
    }

    /// A link that was cut carries connections again.
    pub fn mend(&mut self, one: usize, other: usize) {
        self.links.cut.remove(&link(one, other));
    }

    /// Every link carries again.
    pub fn mend_all(&mut self) {
        self.links.cut.clear();
        self.mend_silent();
    }

    /// Silent links carry again; the sessions over them break, as their streams have holes.
    pub fn mend_silent(&mut self) {
        for (one, other) in std::mem::take(&mut self.links.silent) {
            self.reset_sessions(one, other);
        }
    }

    /// From now on nothing passes between two nodes, and nobody is told: only a hold timer notices.
    pub fn silence(&mut self, one: usize, other: usize) {
        self.links.silent.insert(link(one, other));
    }

    /// Breaks the sessions between two nodes; they come up again.
    pub fn reset_sessions(&mut self, one: usize, other: usize) {
        let ends = self.links.between(one, other).chain(self.links.between(other, one));
        let conns: BTreeSet<ConnId> = ends.collect();
        for conn in conns {
            if let Some((node, _)) = self.links.remove(conn) {
                let reason = "connection reset".into();
                self.later(self.now, node, None, Event::Closed { conn, reason });
            }
        }
    }

    /// Whether a link is cut.
    #[must_use]
    pub fn is_cut(&self, one: usize, other: usize) -> bool {
        self.links.cut.contains(&link(one, other))
    }

    /// Whether any link is cut or silent.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.links.cut.is_empty() && self.links.silent.is_empty() && self.nodes.iter().all(|node| node.alive)
    }

    /// Hands a frame to a node as if it had come on the connection from another one.
    pub fn inject(&mut self, from: usize, to: usize, frame: &[u8]) {
        let conn = self.links.between(to, from).next().unwrap();
        for (kind, body) in frames(&Bytes::copy_from_slice(frame)) {
            self.event(to, Event::Frame { conn, kind, body });
        }
    }

    /// A node finds the framing of its connections from another one broken.
    pub fn break_framing(&mut self, from: usize, to: usize, length: u32) {
        let conns: Vec<ConnId> = self.links.between(to, from).collect();
        for conn in conns {
            self.event(to, Event::BadFrame { conn, length });
        }
    }

    /// The ends of connections at a node.
    pub(super) fn conns_of(&self, node: usize) -> Vec<ConnId> {
        self.links.of(node).collect()
    }

    /// The node with this address.
    #[must_use]
    pub fn node_at(&self, ip: IpAddr) -> Option<usize> {
        index_of(ip).filter(|index| *index < self.nodes.len())
    }
}

fn frames(bytes: &Bytes) -> Vec<(u8, Bytes)> {
    let mut frames = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let length = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        frames.push((bytes[at + 4], bytes.slice(at + 5..at + 4 + length)));
        at += 4 + length;
    }
    frames
}
