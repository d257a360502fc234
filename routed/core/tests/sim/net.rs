//! The network: Speakers on a virtual clock. Every event is a batch of its own, and is audited.

mod links;
mod look;
mod node;
mod rng;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::hash::DefaultHasher;
use std::time::{Duration, Instant};

use catalyst_core::event::{ConnId, Effect, Event, PlaneReport, SpeakerConfig};
use catalyst_core::route::RouteUpdate;

use self::links::End;
use self::node::Node;
pub(crate) use self::rng::Rng;
use super::config::{name, service};

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

impl Net {
    pub(crate) fn new(configs: Vec<SpeakerConfig>, seed: u64) -> Self {
        let start = Instant::now();
        let nodes = configs.into_iter().map(|config| Node::new(config, start)).collect();
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
        for conn in self.conns_of(node) {
            self.break_conn(conn, "connection reset");
        }
        self.nodes[node] = Node::new(self.nodes[node].config.clone(), self.now);
        self.nodes[node].alive = false;
        self.deliveries.retain(|_, delivery| delivery.node != node);
    }

    /// A dead node is to come back as another one.
    pub(crate) fn reconfigure_dead(&mut self, node: usize, change: impl FnOnce(&mut SpeakerConfig)) {
        let mut config = self.nodes[node].config.clone();
        change(&mut config);
        self.nodes[node] = Node::new(config, self.now);
    }

    /// The machine of a node is gone: nobody is told.
    pub(crate) fn vanish(&mut self, node: usize) {
        for conn in self.conns_of(node) {
            self.ends.remove(&conn);
        }
        self.crash(node);
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

    /// Changes the configuration of a node while it runs.
    pub(crate) fn reconfigure(&mut self, node: usize, change: impl FnOnce(&mut SpeakerConfig)) {
        change(&mut self.nodes[node].config);
        let config = self.nodes[node].config.clone();
        self.event(node, Event::Reconfigure(Box::new(config)));
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
            Effect::SessionDown { peer, reason, .. } => {
                self.nodes[node].log.push((at, format!("down {peer}: {reason}")));
            }
            Effect::Notice { peer, text } => self.nodes[node].log.push((at, format!("notice {peer}: {text}"))),
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
}
