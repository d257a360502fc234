//! Kernels in memory, joined by a network: handshakes, sessions, roaming and the ways in which packets are lost, as
//! WireGuard has them. Time goes by in ticks, and everything that is sent arrives with the next one.
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    dead_code,
    reason = "helpers of tests, and of all resources few matter here"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use catalyst_plugin::Prefix;
use catalyst_wireguard::PublicKey;
use catalyst_wireguard::kernel::PeerCounters;
use catalyst_wireguard::kernel::fake::World;
use catalyst_wireguard::resource::{Key, Resource};

/// How long a tick is.
pub(crate) const TICK: Duration = Duration::from_millis(10);
/// A handshake that failed is tried again after so many.
const CALL_AGAIN: u64 = 30;
/// Something is sent on every line after so many.
const KEEPALIVE: u64 = 100;

/// A handshake is this old at most.
const RENEWED: u64 = 12_000;

/// A peer of a device of a host: one end of sessions.
type End = (usize, Arc<str>, PublicKey);

#[derive(Debug, Clone)]
enum Packet {
    Initiation { from: End, session: u64 },
    Response { to: End, session: u64 },
    Keepalive { session: u64 },
    Data { session: u64, source: Prefix },
}

#[derive(Debug, Default)]
struct Peer {
    current: Option<u64>,
    sessions: BTreeSet<u64>,
    called_at: Option<u64>,
    handshake_at: Option<u64>,
    received: u64,
    /// The key of the device, with which all of this goes.
    of: Option<PublicKey>,
}

/// A host: its kernel, and its address.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub(crate) world: Arc<World>,
    pub(crate) address: IpAddr,
    pub(crate) tunnel: Prefix,
    /// Whether it takes what nobody asked for, as a firewall does not: ports that are shut.
    pub(crate) shut: BTreeSet<u16>,
}

/// The network.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) hosts: Vec<Host>,
    peers: BTreeMap<End, Peer>,
    tick: u64,
    sessions: u64,
    /// Where to and where from.
    in_flight: Vec<(SocketAddr, SocketAddr, Packet)>,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// What became of those that were lost.
    pub(crate) lost: Vec<String>,
}

impl Wire {
    pub(crate) fn new(hosts: Vec<Host>) -> Self {
        Self {
            hosts,
            peers: BTreeMap::new(),
            tick: 0,
            sessions: 0,
            in_flight: Vec::new(),
            sent: 0,
            received: 0,
            lost: Vec::new(),
        }
    }

    fn port(&self, host: usize, device: &Arc<str>) -> Option<u16> {
        match self.hosts[host].world.state().held.get(&Key::Device(device.clone()))? {
            // Any port is one that nobody else has.
            Resource::Device(found) if found.listen_port == 0 => Some(40_000 + u16::try_from(device.len()).unwrap()),
            Resource::Device(found) => Some(found.listen_port),
            _ => None,
        }
    }

    fn key(&self, host: usize, device: &Arc<str>) -> Option<PublicKey> {
        match self.hosts[host].world.state().held.get(&Key::Device(device.clone()))? {
            Resource::Device(found) => Some(found.public_key),
            _ => None,
        }
    }

    fn devices(&self, host: usize) -> Vec<Arc<str>> {
        let state = self.hosts[host].world.state();
        let name = |key: &Key| match key {
            Key::Device(name) => Some(name.clone()),
            _ => None,
        };
        state.held.keys().filter_map(name).collect()
    }

    fn address(&self, (host, device, _): &End) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.hosts[*host].address, self.port(*host, device)?))
    }

    fn endpoint(&self, (host, device, key): &End) -> Option<SocketAddr> {
        let key = Key::Endpoint {
            device: device.clone(),
            key: *key,
        };
        match self.hosts[*host].world.state().held.get(&key)? {
            Resource::Endpoint(endpoint) => Some(*endpoint),
            _ => None,
        }
    }

    /// Who has an address.
    fn at(&self, address: SocketAddr) -> Option<(usize, Arc<str>)> {
        let host = self.hosts.iter().position(|host| host.address == address.ip())?;
        if self.hosts[host].shut.contains(&address.port()) {
            return None;
        }
        let device = self
            .devices(host)
            .into_iter()
            .find(|device| self.port(host, device) == Some(address.port()))?;
        Some((host, device))
    }

    fn roam(&self, (host, device, key): &End, to: SocketAddr) {
        let endpoint = Key::Endpoint {
            device: device.clone(),
            key: *key,
        };
        let mut state = self.hosts[*host].world.state();
        state.held.insert(endpoint, Resource::Endpoint(to));
    }

    /// What the kernels hold now: peers that are gone take their sessions along, and so does a device with its key.
    fn look(&mut self) {
        let mut found = BTreeSet::new();
        for host in 0..self.hosts.len() {
            let state = self.hosts[host].world.state();
            found.extend(state.held.keys().filter_map(|key| match key {
                Key::Peer { device, key } => Some((host, device.clone(), *key)),
                _ => None,
            }));
        }
        self.peers.retain(|end, _| found.contains(end));
        for end in found {
            let of = self.key(end.0, &end.1);
            let peer = self.peers.entry(end).or_default();
            if peer.of != of {
                *peer = Peer {
                    of,
                    // The kernel forgets its sessions, and still tells of its last handshake.
                    handshake_at: peer.handshake_at,
                    received: peer.received,
                    ..Peer::default()
                };
            }
        }
    }

    fn send(&mut self, from: &End, packet: Packet) -> bool {
        let (Some(source), Some(to)) = (self.address(from), self.endpoint(from)) else {
            return false;
        };
        self.in_flight.push((to, source, packet));
        true
    }

    /// One tick: everything arrives, and everybody sends what is due.
    pub(crate) fn step(&mut self) {
        self.tick += 1;
        self.look();
        for (to, from, packet) in std::mem::take(&mut self.in_flight) {
            self.arrive(to, from, packet);
        }
        let ends: Vec<End> = self.peers.keys().cloned().collect();
        for end in ends {
            self.keep(&end);
        }
        self.tell();
    }

    fn keep(&mut self, end: &End) {
        let tick = self.tick;
        let peer = &self.peers[end];
        let is_due = peer.called_at.is_none_or(|at| tick - at >= CALL_AGAIN);
        match peer.current {
            None if is_due => {
                self.sessions += 1;
                let session = self.sessions;
                self.peers.get_mut(end).unwrap().called_at = Some(tick);
                let from = end.clone();
                self.send(end, Packet::Initiation { from, session });
            }
            Some(session) if tick.is_multiple_of(KEEPALIVE) => drop(self.send(end, Packet::Keepalive { session })),
            _ => {}
        }
    }

    fn arrive(&mut self, to: SocketAddr, from: SocketAddr, packet: Packet) {
        let Some((host, device)) = self.at(to) else {
            self.lose(&packet, &format!("nobody is at {to}"));
            return;
        };
        match packet {
            Packet::Initiation { from: caller, session } => {
                let Some(key) = self.key(caller.0, &caller.1) else {
                    return;
                };
                let end = (host, device.clone(), key);
                if self.key(host, &device) != Some(caller.2) || !self.peers.contains_key(&end) {
                    return;
                }
                // At once, and not only once the session is confirmed.
                self.roam(&end, from);
                self.peers.get_mut(&end).unwrap().sessions.insert(session);
                self.send(&end, Packet::Response { to: caller, session });
            }
            Packet::Response { to: end, session } => {
                let Some(peer) = self.peers.get_mut(&end) else { return };
                peer.sessions.insert(session);
                peer.current = Some(session);
                peer.handshake_at = Some(self.tick);
                peer.received += 1;
                self.roam(&end, from);
                self.send(&end, Packet::Keepalive { session });
            }
            Packet::Keepalive { session } => drop(self.take(host, &device, session, from)),
            Packet::Data { session, source } => {
                let Some(end) = self.take(host, &device, session, from) else {
                    self.lose(&packet, &format!("no session {session} at {to}"));
                    return;
                };
                let allowed = Key::Allowed { device, prefix: source };
                let owner = self.hosts[host].world.state().held.get(&allowed).cloned();
                if owner == Some(Resource::Allowed(end.2)) {
                    self.received += 1;
                } else {
                    self.lose(&packet, &format!("{source} is not allowed at {to}: {owner:?}"));
                }
            }
        }
    }

    /// A packet of a session is taken by the device that the session is of, and confirms it.
    fn take(&mut self, host: usize, device: &Arc<str>, session: u64, from: SocketAddr) -> Option<End> {
        let is_of = |end: &End, peer: &Peer| end.0 == host && end.1 == *device && peer.sessions.contains(&session);
        let end = self.peers.iter().find(|(end, peer)| is_of(end, peer))?.0.clone();
        let tick = self.tick;
        let peer = self.peers.get_mut(&end)?;
        if peer.current.is_none_or(|current| current < session) {
            peer.current = Some(session);
            peer.handshake_at = Some(tick);
        }
        peer.received += 1;
        self.roam(&end, from);
        Some(end)
    }

    /// Each host sends a packet to every other.
    pub(crate) fn ping(&mut self) {
        for from in 0..self.hosts.len() {
            for to in (0..self.hosts.len()).filter(|to| *to != from) {
                self.sent += 1;
                if let Err(why) = self.route(from, to) {
                    self.lost.push(format!("tick {}: host {from}: {why}", self.tick));
                }
            }
        }
    }

    fn route(&mut self, from: usize, to: usize) -> Result<(), String> {
        let prefix = self.hosts[to].tunnel;
        let end = {
            let state = self.hosts[from].world.state();
            let Some(Resource::Route(route)) = state.held.get(&Key::Route { table: 1790, prefix }) else {
                return Err("no route".to_owned());
            };
            let device = route.device.clone();
            let allowed = Key::Allowed {
                device: device.clone(),
                prefix,
            };
            let Some(Resource::Allowed(key)) = state.held.get(&allowed) else {
                return Err(format!("nobody on {device} has {prefix}"));
            };
            (from, device, *key)
        };
        let session = self.peers.get(&end).and_then(|peer| peer.current);
        let session = session.ok_or_else(|| format!("no session of {end:?}"))?;
        let source = self.hosts[from].tunnel;
        if self.send(&end, Packet::Data { session, source }) {
            Ok(())
        } else {
            Err(format!("no endpoint of {end:?}"))
        }
    }

    fn lose(&mut self, packet: &Packet, why: &str) {
        if matches!(packet, Packet::Data { .. }) {
            self.lost.push(format!("tick {}: {why}", self.tick));
        }
    }

    /// The kernels count.
    fn tell(&self) {
        for (end, peer) in &self.peers {
            let counters = PeerCounters {
                // Renewed in time.
                handshake_age: peer
                    .handshake_at
                    .map(|at| TICK * u32::try_from((self.tick - at) % RENEWED).unwrap()),
                received: peer.received,
                sent: 0,
            };
            let mut state = self.hosts[end.0].world.state();
            state.counters.insert((end.1.clone(), end.2), counters);
        }
    }
}
