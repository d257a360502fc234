//! The network: Speakers on a virtual clock. Every event is a batch of its own, and is audited.

mod clock;
mod effects;
mod hostile;
mod links;
mod look;
mod node;
mod rng;
mod unrest;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::DefaultHasher;
use std::time::{Duration, Instant};

use catalyst_core::event::{ConnId, Event, SpeakerConfig};

use self::clock::{Clock, Delivery};
use self::hostile::Recent;
use self::links::Links;
pub use self::node::Node;
pub use self::rng::Rng;
use self::unrest::Unrest;
use crate::config::{name, service};

/// What is checked on the way, besides what the checks at rest say.
#[derive(Debug, Clone, Copy, Default)]
pub struct Checks {
    /// A whole audit of the node after every so many of its batches; 0: never.
    pub whole_every: u64,
    /// An audit of each name that a batch has touched.
    pub touched: bool,
}

/// Speakers, what is under way between them, and the clock.
#[derive(Debug)]
pub struct Net {
    /// Node `index` has the address `config::address(index)`.
    pub nodes: Vec<Node>,
    /// When the network began.
    pub start: Instant,
    /// The virtual clock.
    pub now: Instant,
    /// What `rng` began with.
    seed: u64,
    /// Everything that happens by chance.
    pub rng: Rng,
    /// Delay of a frame: the least, and what chance adds, in ms.
    pub delay: (u64, u64),
    /// Frames to here are taken, but no credit comes back and nothing is read.
    pub stalled: BTreeSet<usize>,
    held: Vec<Delivery>,
    clock: Clock,
    links: Links,
    /// Nodes whose frames are damaged on their way: one of so many.
    pub hostile: BTreeMap<usize, u64>,
    recent: Recent,
    /// Every byte sent, in order: equal runs have equal sums. Of networks with `summing` only.
    pub sum: DefaultHasher,
    /// Whether `sum` is kept.
    pub summing: bool,
    /// Frames sent, by node and type.
    pub frames: BTreeMap<(usize, u8), u64>,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// The longest frame sent, in bytes.
    pub longest_frame: usize,
    /// What is checked after batches.
    pub checks: Checks,
    /// Events that Speakers have taken.
    pub events: u64,
    /// Data planes connect at the start and settle every version after a while.
    pub acknowledging: bool,
    /// Whether nodes keep what their data planes would hold, and a log.
    pub recording: bool,
    /// When a Speaker last took an event that was not its own timer.
    pub last_message: Instant,
    unrest: Unrest,
}

impl Net {
    /// A network in which no node is started yet.
    #[must_use]
    pub fn new(configs: Vec<SpeakerConfig>, seed: u64) -> Self {
        let start = Instant::now();
        let count = configs.len();
        let nodes = configs.into_iter().map(|config| Node::new(config, start)).collect();
        Self {
            nodes,
            start,
            now: start,
            seed,
            rng: Rng::new(seed),
            delay: (1, 0),
            stalled: BTreeSet::new(),
            held: Vec::new(),
            clock: Clock::new(count),
            links: Links::new(count),
            hostile: BTreeMap::new(),
            recent: Recent::default(),
            sum: DefaultHasher::new(),
            summing: true,
            frames: BTreeMap::new(),
            bytes_sent: 0,
            longest_frame: 0,
            checks: Checks {
                whole_every: 1,
                touched: false,
            },
            events: 0,
            acknowledging: false,
            recording: true,
            last_message: start,
            unrest: Unrest::default(),
        }
    }

    /// Starts every node and waits until all is quiet.
    #[must_use]
    pub fn up(configs: Vec<SpeakerConfig>, seed: u64) -> Self {
        let mut net = Self::new(configs, seed);
        net.start_all();
        net.rest();
        net
    }

    /// Starts every node.
    pub fn start_all(&mut self) {
        for node in 0..self.nodes.len() {
            self.start_node(node);
        }
    }

    /// Starts a node.
    pub fn start_node(&mut self, node: usize) {
        let now = self.now;
        let known = &mut self.nodes[node];
        known.alive = true;
        known.speaker.watch(self.checks.touched);
        known.speaker.start(now);
        if self.acknowledging {
            for plane in self.nodes[node].config.planes.clone() {
                self.nodes[node].speaker.handle(Event::PlaneUp(plane.name), now);
            }
        }
        self.finish_batch(node);
    }

    /// kill -9: every connection breaks, the state is gone.
    pub fn crash(&mut self, node: usize) {
        for conn in self.conns_of(node) {
            self.break_conn(conn, "connection reset");
        }
        self.nodes[node] = Node::new(self.nodes[node].config.clone(), self.now);
        self.clock.forget(node);
    }

    /// A dead node is to come back as another one.
    pub fn reconfigure_dead(&mut self, node: usize, change: impl FnOnce(&mut SpeakerConfig)) {
        let mut config = self.nodes[node].config.clone();
        change(&mut config);
        self.nodes[node] = Node::new(config, self.now);
    }

    /// The machine of a node is gone: nobody is told.
    pub fn vanish(&mut self, node: usize) {
        for conn in self.conns_of(node) {
            self.links.remove(conn);
        }
        self.crash(node);
    }

    /// How long the network has been running, in ms.
    #[must_use]
    pub fn elapsed_ms(&self) -> u128 {
        (self.now - self.start).as_millis()
    }

    /// Gives a node one event as a batch of its own.
    pub fn event(&mut self, node: usize, event: Event) {
        self.batch(node, [event]);
    }

    /// Changes the configuration of a node while it runs.
    pub fn reconfigure(&mut self, node: usize, change: impl FnOnce(&mut SpeakerConfig)) {
        change(&mut self.nodes[node].config);
        let config = self.nodes[node].config.clone();
        self.event(node, Event::Reconfigure(Box::new(config)));
    }

    /// Gives a node several events as one batch.
    pub fn batch(&mut self, node: usize, events: impl IntoIterator<Item = Event>) {
        let now = self.now;
        for event in events {
            self.events += 1;
            self.nodes[node].note(&event);
            self.nodes[node].speaker.handle(event, now);
        }
        self.finish_batch(node);
    }

    /// A node offers a plain service.
    pub fn offer(&mut self, node: usize, text: &str) {
        self.event(node, Event::ServiceAdd(service(text)));
    }

    /// A node offers a service no longer.
    pub fn withdraw(&mut self, node: usize, text: &str) {
        self.event(node, Event::ServiceRemove(name(text)));
    }

    fn finish_batch(&mut self, node: usize) {
        self.nodes[node].speaker.flush(self.now);
        self.check_batch(node);
        let effects: Vec<_> = self.nodes[node].speaker.drain_effects().collect();
        for effect in effects {
            self.effect(node, effect);
        }
        self.clock.arm(node, self.nodes[node].speaker.poll_timeout());
    }

    fn check_batch(&mut self, node: usize) {
        let Checks { whole_every, touched } = self.checks;
        let speaker = &mut self.nodes[node].speaker;
        let mut wrong = Vec::new();
        if touched {
            for destination in speaker.take_watched() {
                wrong.extend(speaker.audit_destination(&destination));
            }
        }
        self.nodes[node].batches += 1;
        if whole_every != 0 && self.nodes[node].batches.is_multiple_of(whole_every) {
            wrong.extend(self.nodes[node].speaker.audit());
        }
        assert!(wrong.is_empty(), "node {node} at {} ms: {wrong:#?}", self.elapsed_ms());
    }

    /// Every Speaker against itself.
    pub fn audit(&self) {
        for (index, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.alive) {
            let wrong = node.speaker.audit();
            assert!(wrong.is_empty(), "node {index} at {} ms: {wrong:#?}", self.elapsed_ms());
        }
    }

    /// Runs until the virtual clock shows so much later.
    ///
    /// # Panics
    /// The network finds no rest though nothing happens to it.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.forget_unrest();
        let (mut at_once, mut last) = (0, None);
        while let Some(at) = self.clock.next_at().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            at_once = if last.replace(self.now) == Some(self.now) {
                at_once + 1
            } else {
                0
            };
            assert!(at_once < 100, "time stands still at {} ms", self.elapsed_ms());
            self.look_for_unrest();
            self.step();
        }
        self.now = end;
    }

    /// As [`Net::run`], in ms.
    pub fn run_ms(&mut self, ms: u64) {
        self.run(Duration::from_millis(ms));
    }

    /// Long enough for every back-off, drain and wait to end; at rest nothing is on its way then.
    pub fn rest(&mut self) {
        self.run(Duration::from_secs(200));
    }

    /// Runs until nothing is on its way, at most so long; for networks without keepalives.
    pub fn quiet(&mut self, at_most: Duration) {
        let end = self.now + at_most;
        while self.clock.is_busy() {
            let Some(at) = self.clock.next_at().filter(|at| *at <= end) else {
                return;
            };
            self.now = self.now.max(at);
            self.step();
        }
    }

    fn step(&mut self) {
        while let Some(delivery) = self.clock.pop_due(self.now) {
            self.deliver(delivery);
        }
        let mut due = self.clock.take_due_timers(self.now);
        // By node, not by deadline: what happens at one instant happens in one order.
        due.sort_unstable();
        for node in due {
            if self.nodes[node].alive {
                self.event(node, Event::Timeout);
            }
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        let Delivery {
            node,
            life,
            conn,
            event,
        } = delivery;
        let gone = conn.is_some_and(|conn| !self.links.holds(conn));
        if gone || !self.nodes[node].alive || life != self.clock.life(node) {
            return;
        }
        if self.stalled.contains(&node) {
            return self.held.push(Delivery {
                node,
                life,
                conn,
                event,
            });
        }
        if let Event::Closed { conn, .. } = &event {
            self.links.remove(*conn);
        }
        self.last_message = self.now;
        self.listen(node, &event);
        self.event(node, event);
    }

    fn later(&mut self, at: Instant, node: usize, conn: Option<ConnId>, event: Event) {
        self.clock.later(at, node, conn, event);
    }

    fn delay(&mut self) -> Duration {
        let extra = if self.delay.1 == 0 {
            0
        } else {
            self.rng.below(self.delay.1)
        };
        Duration::from_millis(self.delay.0 + extra)
    }

    /// A node that did not read reads on.
    pub fn unstall(&mut self, node: usize) {
        self.stalled.remove(&node);
        for Delivery { node, conn, event, .. } in std::mem::take(&mut self.held) {
            self.later(self.now, node, conn, event);
        }
    }
}
