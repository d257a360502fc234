//! Connections between nodes: frames that take their time, links that break.

use std::hash::Hasher;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use catalyst_core::event::{ConnId, Event};

use super::super::config::address;
use super::{Delivery, Net};

#[derive(Debug)]
pub(super) struct End {
    node: usize,
    other: ConnId,
    /// Frames arrive in order.
    last_arrival: Instant,
}

fn link(one: usize, other: usize) -> (usize, usize) {
    (one.min(other), one.max(other))
}

impl Net {
    pub(super) fn dial(&mut self, node: usize, peer: &Arc<str>) {
        let peers = &self.nodes[node].config.peers;
        // As in the daemon: nobody waits for the answer of a peer that was removed in the same batch.
        let Some(config) = peers.iter().find(|known| known.name == *peer) else {
            return;
        };
        let target = self.node_at(config.address.ip());
        let at = self.now + self.delay();
        let reachable = target.filter(|target| self.nodes[*target].alive && !self.cut.contains(&link(node, *target)));
        let Some(target) = reachable else {
            let event = Event::ConnectFailed {
                peer: peer.clone(),
                error: "connection refused".into(),
            };
            return self.later(at, node, None, event);
        };
        self.join(node, peer.clone(), target, at);
    }

    fn join(&mut self, node: usize, peer: Arc<str>, target: usize, at: Instant) {
        let (here, there) = (ConnId(self.next_conn), ConnId(self.next_conn + 1));
        self.next_conn += 2;
        let port = 40_000 + u16::try_from(self.next_conn % 20_000).unwrap();
        let near = SocketAddr::new(address(node), port);
        let far = SocketAddr::new(address(target), 1790);
        self.ends.insert(
            here,
            End {
                node,
                other: there,
                last_arrival: at,
            },
        );
        self.ends.insert(
            there,
            End {
                node: target,
                other: here,
                last_arrival: at,
            },
        );
        self.later(
            at,
            target,
            Some(there),
            Event::Accepted {
                conn: there,
                local: far,
                remote: near,
            },
        );
        self.later(
            at,
            node,
            Some(here),
            Event::Connected {
                peer,
                conn: here,
                local: near,
                remote: far,
            },
        );
    }

    pub(super) fn send(&mut self, node: usize, conn: ConnId, bytes: &Bytes) {
        self.sum.write_usize(node);
        self.sum.write(bytes);
        let Some(other) = self.ends.get(&conn).map(|end| end.other) else {
            return;
        };
        let delay = self.delay();
        let Some(end) = self.ends.get_mut(&other) else {
            return;
        };
        let (target, at) = (end.node, end.last_arrival.max(self.now + delay));
        end.last_arrival = at;
        for (kind, body) in frames(bytes) {
            *self.frames.entry((node, kind)).or_default() += 1;
            self.later(
                at,
                target,
                Some(other),
                Event::Frame {
                    conn: other,
                    kind,
                    body,
                },
            );
        }
        let bytes = bytes.len();
        let sent = Event::Sent { conn, bytes };
        if self.stalled.contains(&target) {
            let conn = Some(conn);
            self.held.push(Delivery {
                node,
                conn,
                event: sent,
            });
        } else {
            self.later(at, node, Some(conn), sent);
        }
    }

    /// Both ends learn of it; what is on its way to the other end still arrives before.
    pub(super) fn break_conn(&mut self, conn: ConnId, reason: &str) {
        let Some(end) = self.ends.remove(&conn) else {
            return;
        };
        let delay = self.delay();
        if let Some(other) = self.ends.get(&end.other) {
            let (node, at) = (other.node, other.last_arrival.max(self.now + delay));
            self.later(
                at,
                node,
                Some(end.other),
                Event::Closed {
                    conn: end.other,
                    reason: reason.into(),
                },
            );
        }
    }

    /// Breaks the sessions between two nodes at once and keeps new ones from coming up.
    pub(crate) fn cut(&mut self, one: usize, other: usize) {
        self.cut.insert(link(one, other));
        self.reset_sessions(one, other);
    }

    /// The links that are cut in another network.
    pub(crate) fn cut_as(&mut self, other: &Self) {
        self.cut.clone_from(&other.cut);
    }

    pub(crate) fn mend(&mut self, one: usize, other: usize) {
        self.cut.remove(&link(one, other));
    }

    /// Breaks the sessions between two nodes; they come up again.
    pub(crate) fn reset_sessions(&mut self, one: usize, other: usize) {
        let between =
            |end: &End| self.ends.get(&end.other).map(|far| link(far.node, end.node)) == Some(link(one, other));
        let conns: Vec<ConnId> = self
            .ends
            .iter()
            .filter(|(_, end)| between(end))
            .map(|(id, _)| *id)
            .collect();
        for conn in conns {
            if let Some(end) = self.ends.remove(&conn) {
                let event = Event::Closed {
                    conn,
                    reason: "connection reset".into(),
                };
                self.later(self.now, end.node, None, event);
            }
        }
    }

    pub(crate) fn is_cut(&self, one: usize, other: usize) -> bool {
        self.cut.contains(&link(one, other))
    }

    /// Hands a frame to a node as if it had come on the connection from another one.
    pub(crate) fn inject(&mut self, from: usize, to: usize, frame: &[u8]) {
        let conn = self.conn_between(from, to).unwrap();
        for (kind, body) in frames(&Bytes::copy_from_slice(frame)) {
            self.event(to, Event::Frame { conn, kind, body });
        }
    }

    /// The ends of connections at a node.
    pub(super) fn conns_of(&self, node: usize) -> Vec<ConnId> {
        let here = self.ends.iter().filter(|(_, end)| end.node == node);
        here.map(|(conn, _)| *conn).collect()
    }

    fn conn_between(&self, from: usize, to: usize) -> Option<ConnId> {
        let joins = |end: &End| end.node == to && self.ends.get(&end.other).is_some_and(|far| far.node == from);
        self.ends.iter().find(|(_, end)| joins(end)).map(|(id, _)| *id)
    }

    pub(crate) fn node_at(&self, ip: IpAddr) -> Option<usize> {
        (0..self.nodes.len()).find(|index| address(*index) == ip)
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
