//! The network: Speakers, connections that delay, links that break, on a virtual clock.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::hash::{DefaultHasher, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use catalyst_core::event::{ConnId, Effect, Event, PlaneReport, SpeakerConfig};
use catalyst_core::name::ServiceName;
use catalyst_core::route::{Route, RouteUpdate};
use catalyst_core::speaker::Speaker;
use catalyst_core::view::{PeerView, RouteView};

use super::config::{address, name, service};

/// xorshift64*: a seed is all there is to a run.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    pub(crate) fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap()
    }
}

/// One Speaker and what its data planes would hold.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) speaker: Speaker,
    pub(crate) config: SpeakerConfig,
    pub(crate) routes: BTreeMap<ServiceName, Arc<Route>>,
    pub(crate) version: u64,
    pub(crate) settled: bool,
    /// What happened, one line each, with the time in ms.
    pub(crate) log: Vec<(u128, String)>,
    pub(crate) alive: bool,
}

#[derive(Debug)]
struct End {
    node: usize,
    other: ConnId,
    /// Frames arrive in order.
    last_arrival: Instant,
}

#[derive(Debug)]
struct Delivery {
    node: usize,
    /// Dropped if this connection is gone by then.
    conn: Option<ConnId>,
    event: Event,
}

#[derive(Debug)]
pub(crate) struct Net {
    pub(crate) nodes: Vec<Node>,
    pub(crate) start: Instant,
    pub(crate) now: Instant,
    pub(crate) rng: Rng,
    /// Delay of a frame: the least, and what chance adds, in ms.
    pub(crate) delay: (u64, u64),
    /// Frames to here are taken, but no credit comes back and nothing is read.
    pub(crate) stalled: BTreeSet<usize>,
    held: Vec<Delivery>,
    queue: BinaryHeap<Reverse<(Instant, u64)>>,
    deliveries: BTreeMap<u64, Delivery>,
    ends: BTreeMap<ConnId, End>,
    cut: BTreeSet<(usize, usize)>,
    sequence: u64,
    next_conn: u64,
    /// Every byte sent, in order: equal runs have equal sums.
    pub(crate) sum: DefaultHasher,
    pub(crate) frames: BTreeMap<(usize, u8), u64>,
    /// A whole audit after every so many batches; 0: never.
    pub(crate) audit_every: u64,
    batches: u64,
    /// Data planes connect at the start and settle every version after a while.
    pub(crate) acknowledging: bool,
}

fn link(one: usize, other: usize) -> (usize, usize) {
    (one.min(other), one.max(other))
}

impl Net {
    pub(crate) fn new(configs: Vec<SpeakerConfig>, seed: u64) -> Self {
        let start = Instant::now();
        let nodes = configs.into_iter().map(|config| new_node(config, start)).collect();
        Self {
            nodes,
            start,
            now: start,
            rng: Rng::new(seed),
            delay: (1, 0),
            stalled: BTreeSet::new(),
            held: Vec::new(),
            queue: BinaryHeap::new(),
            deliveries: BTreeMap::new(),
            ends: BTreeMap::new(),
            cut: BTreeSet::new(),
            sequence: 0,
            next_conn: 1,
            sum: DefaultHasher::new(),
            frames: BTreeMap::new(),
            audit_every: 1,
            batches: 0,
            acknowledging: false,
        }
    }

    /// Starts every node and waits until all is quiet.
    pub(crate) fn up(configs: Vec<SpeakerConfig>, seed: u64) -> Self {
        let mut net = Self::new(configs, seed);
        for node in 0..net.nodes.len() {
            net.start_node(node);
        }
        net.rest();
        net
    }

    pub(crate) fn start_node(&mut self, node: usize) {
        self.nodes[node].alive = true;
        let now = self.now;
        self.nodes[node].speaker.start(now);
        if self.acknowledging {
            for plane in self.nodes[node].config.planes.clone() {
                self.nodes[node].speaker.handle(Event::PlaneUp(plane.name), now);
            }
        }
        self.finish_batch(node);
    }

    /// kill -9: every connection breaks, the state is gone.
    pub(crate) fn crash(&mut self, node: usize) {
        let conns: Vec<ConnId> = self
            .ends
            .iter()
            .filter(|(_, end)| end.node == node)
            .map(|(id, _)| *id)
            .collect();
        for conn in conns {
            self.break_conn(conn, "connection reset");
        }
        self.nodes[node] = new_node(self.nodes[node].config.clone(), self.now);
        self.nodes[node].alive = false;
        self.deliveries.retain(|_, delivery| delivery.node != node);
    }

    pub(crate) fn elapsed_ms(&self) -> u128 {
        (self.now - self.start).as_millis()
    }

    /// Gives a node one event as a batch of its own.
    pub(crate) fn event(&mut self, node: usize, event: Event) {
        let now = self.now;
        self.nodes[node].speaker.handle(event, now);
        self.finish_batch(node);
    }

    /// Gives a node several events as one batch.
    pub(crate) fn batch(&mut self, node: usize, events: impl IntoIterator<Item = Event>) {
        let now = self.now;
        for event in events {
            self.nodes[node].speaker.handle(event, now);
        }
        self.finish_batch(node);
    }

    pub(crate) fn offer(&mut self, node: usize, text: &str) {
        self.event(node, Event::ServiceAdd(service(text)));
    }

    pub(crate) fn withdraw(&mut self, node: usize, text: &str) {
        self.event(node, Event::ServiceRemove(name(text)));
    }

    fn finish_batch(&mut self, node: usize) {
        let now = self.now;
        self.nodes[node].speaker.flush(now);
        self.batches += 1;
        if self.audit_every != 0 && self.batches.is_multiple_of(self.audit_every) {
            let wrong = self.nodes[node].speaker.audit();
            assert!(wrong.is_empty(), "node {node} at {} ms: {wrong:#?}", self.elapsed_ms());
        }
        let effects: Vec<Effect> = self.nodes[node].speaker.drain_effects().collect();
        for effect in effects {
            self.effect(node, effect);
        }
    }

    fn effect(&mut self, node: usize, effect: Effect) {
        let at = self.elapsed_ms();
        match effect {
            Effect::Connect { peer } => self.dial(node, &peer),
            Effect::Send { conn, bytes } => self.send(node, conn, &bytes),
            Effect::Close { conn } => self.break_conn(conn, "closed by the peer"),
            Effect::Routes(update) => self.routes(node, update),
            Effect::SessionUp { peer } => self.nodes[node].log.push((at, format!("up {peer}"))),
            Effect::SessionDown { peer, reason } => self.nodes[node].log.push((at, format!("down {peer}: {reason}"))),
            Effect::Refused { remote, reason } => {
                self.nodes[node].log.push((at, format!("refused {remote}: {reason}")));
            }
        }
    }

    fn routes(&mut self, node: usize, update: RouteUpdate) {
        let version = update.version();
        self.nodes[node].apply(update);
        if !self.acknowledging {
            return;
        }
        let planes: Vec<_> = self.nodes[node]
            .config
            .planes
            .iter()
            .map(|plane| plane.name.clone())
            .collect();
        for plane in planes {
            let at = self.now + 5 * self.delay();
            let statuses = Vec::new();
            self.later(
                at,
                node,
                None,
                Event::PlaneReport(PlaneReport {
                    plane,
                    version,
                    statuses,
                }),
            );
        }
    }

    fn delay(&mut self) -> Duration {
        let extra = if self.delay.1 == 0 {
            0
        } else {
            self.rng.below(self.delay.1)
        };
        Duration::from_millis(self.delay.0 + extra)
    }

    fn later(&mut self, at: Instant, node: usize, conn: Option<ConnId>, event: Event) {
        self.sequence += 1;
        self.queue.push(Reverse((at, self.sequence)));
        self.deliveries.insert(self.sequence, Delivery { node, conn, event });
    }

    fn dial(&mut self, node: usize, peer: &Arc<str>) {
        let config = self.nodes[node]
            .config
            .peers
            .iter()
            .find(|known| known.name == *peer)
            .unwrap();
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

    pub(crate) fn node_at(&self, ip: IpAddr) -> Option<usize> {
        (0..self.nodes.len()).find(|index| address(*index) == ip)
    }

    fn send(&mut self, node: usize, conn: ConnId, bytes: &Bytes) {
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
    fn break_conn(&mut self, conn: ConnId, reason: &str) {
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

    fn next_at(&self) -> Option<Instant> {
        let timers = self
            .nodes
            .iter()
            .filter(|node| node.alive)
            .filter_map(|node| node.speaker.poll_timeout());
        self.queue
            .peek()
            .map(|Reverse((at, _))| *at)
            .into_iter()
            .chain(timers)
            .min()
    }

    /// Runs until the virtual clock shows so much later.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        let (mut at_once, mut last) = (0, None);
        while let Some(at) = self.next_at().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            at_once = if last.replace(self.now) == Some(self.now) {
                at_once + 1
            } else {
                0
            };
            assert!(at_once < 100, "time stands still at {} ms", self.elapsed_ms());
            self.step();
        }
        self.now = end;
    }

    pub(crate) fn run_ms(&mut self, ms: u64) {
        self.run(Duration::from_millis(ms));
    }

    /// Long enough for every back-off, drain and wait to end; at rest nothing is on its way then.
    pub(crate) fn rest(&mut self) {
        self.run(Duration::from_secs(200));
    }

    fn step(&mut self) {
        while let Some(Reverse((at, sequence))) = self.queue.peek().copied()
            && at <= self.now
        {
            self.queue.pop();
            if let Some(delivery) = self.deliveries.remove(&sequence) {
                self.deliver(delivery);
            }
        }
        let now = self.now;
        for node in 0..self.nodes.len() {
            let due = self.nodes[node].speaker.poll_timeout().is_some_and(|at| at <= now);
            if self.nodes[node].alive && due {
                self.event(node, Event::Timeout);
            }
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        let Delivery { node, conn, event } = delivery;
        let gone = conn.is_some_and(|conn| !self.ends.contains_key(&conn));
        if gone || !self.nodes[node].alive {
            return;
        }
        if self.stalled.contains(&node) {
            return self.held.push(Delivery { node, conn, event });
        }
        if let Event::Closed { conn, .. } = &event {
            self.ends.remove(conn);
        }
        self.event(node, event);
    }

    /// A node that did not read reads on.
    pub(crate) fn unstall(&mut self, node: usize) {
        self.stalled.remove(&node);
        for Delivery { node, conn, event } in std::mem::take(&mut self.held) {
            self.later(self.now, node, conn, event);
        }
    }

    /// Hands a frame to a node as if it had come on the connection from another one.
    pub(crate) fn inject(&mut self, from: usize, to: usize, frame: &[u8]) {
        let conn = self.conn_between(from, to).unwrap();
        for (kind, body) in frames(&Bytes::copy_from_slice(frame)) {
            self.event(to, Event::Frame { conn, kind, body });
        }
    }

    fn conn_between(&self, from: usize, to: usize) -> Option<ConnId> {
        let joins = |end: &End| end.node == to && self.ends.get(&end.other).is_some_and(|far| far.node == from);
        self.ends.iter().find(|(_, end)| joins(end)).map(|(id, _)| *id)
    }

    pub(crate) fn paths(&self, node: usize, text: &str) -> Vec<RouteView> {
        self.nodes[node].speaker.route(&name(text), self.now)
    }

    /// The selected path of a name.
    pub(crate) fn selected(&self, node: usize, text: &str) -> Option<RouteView> {
        self.paths(node, text).into_iter().find(|path| path.selected)
    }

    pub(crate) fn as_path(&self, node: usize, text: &str) -> Option<Vec<u32>> {
        self.selected(node, text).map(|path| path.attrs.as_path.clone())
    }

    pub(crate) fn peer_view(&self, node: usize, peer: usize) -> PeerView {
        let peer = super::config::node_name(peer);
        self.nodes[node]
            .speaker
            .peers(self.now)
            .into_iter()
            .find(|view| *view.name == *peer)
            .unwrap()
    }

    /// Names that a node advertises to another.
    pub(crate) fn advertised(&self, node: usize, peer: usize) -> Vec<String> {
        let told = self.nodes[node]
            .speaker
            .advertised(&super::config::node_name(peer), None, usize::MAX);
        told.into_iter().map(|(name, _)| name.to_string()).collect()
    }
}

fn new_node(config: SpeakerConfig, now: Instant) -> Node {
    Node {
        speaker: Speaker::new(config.clone(), now),
        config,
        routes: BTreeMap::new(),
        version: 0,
        settled: false,
        log: Vec::new(),
        alive: false,
    }
}

impl Node {
    /// Applies an update as a data plane would, and checks what the contract promises of it.
    fn apply(&mut self, update: RouteUpdate) {
        match update {
            RouteUpdate::Reset {
                version,
                routes,
                settled,
            } => {
                assert!(
                    routes.is_sorted_by(|one, other| one.name < other.name),
                    "a Reset is in order of name"
                );
                self.routes = routes.into_iter().map(|route| (route.name.clone(), route)).collect();
                (self.version, self.settled) = (version, settled);
            }
            RouteUpdate::Delta {
                from,
                to,
                changes,
                settled,
            } => {
                assert_eq!(
                    (from, to),
                    (self.version, self.version + 1),
                    "a Delta follows what came before"
                );
                let names: BTreeSet<&ServiceName> = changes.iter().map(|change| &change.name).collect();
                assert_eq!(names.len(), changes.len(), "one entry per name");
                for change in changes {
                    self.apply_change(change.name, change.route);
                }
                (self.version, self.settled) = (to, settled);
            }
        }
    }

    fn apply_change(&mut self, name: ServiceName, route: Option<Arc<Route>>) {
        let before = self.routes.get(&name).cloned();
        assert_ne!(before, route, "{name}: a change changes something");
        match route {
            Some(route) => self.routes.insert(name, route),
            None => self.routes.remove(&name),
        };
    }

    pub(crate) fn logged(&self, text: &str) -> bool {
        self.log.iter().any(|(_, line)| line.contains(text))
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
