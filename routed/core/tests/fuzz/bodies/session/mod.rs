//! Target `session`: whatever happens to a Speaker with three peers, it keeps its promises after every event, and when
//! all that came from outside is gone, it holds nothing.
//!
//! Input: the configuration, then events, one byte of which kind each. `promises` says what is checked.

pub mod config;
pub mod driven;
mod events;
pub mod frames;
mod promises;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use catalyst_core::event::{ConnId, Event, PeerName, SpeakerConfig};
use catalyst_core::record::Configurations;

use super::input::Input;
use driven::{Driven, hex};
use promises::Observed;

/// More events say nothing new.
const MOST_EVENTS: usize = 400;

/// The world around one Speaker.
pub struct World {
    pub speaker: Driven,
    /// Stands for the configuration in a recording.
    word: String,
    pub now: Instant,
    start: Instant,
    /// Dials that wait for an answer.
    dials: Vec<PeerName>,
    /// Connections as the driver has them, each with the peer at its other end.
    conns: BTreeMap<ConnId, usize>,
    next_conn: u64,
    /// The data planes that are connected.
    planes: BTreeSet<usize>,
    /// So many events go on in the same batch.
    batched: u8,
    stopped: bool,
    observed: Observed,
}

pub fn run(data: &[u8]) {
    live(data, |config, _, now| Driven::plain(config, now));
}

/// The recording of what an input makes happen.
pub fn record(data: &[u8]) -> String {
    live(data, Driven::recorded).recording().to_owned()
}

fn live(data: &[u8], drive: impl FnOnce(SpeakerConfig, &str, Instant) -> Driven) -> Driven {
    let mut input = Input(data);
    let mut world = World::new(&mut input, drive);
    let mut events = 0;
    while !input.is_empty() && events < MOST_EVENTS {
        world.next(&mut input);
        events += 1;
    }
    world.wind_down();
    world.speaker
}

impl World {
    fn new(input: &mut Input<'_>, drive: impl FnOnce(SpeakerConfig, &str, Instant) -> Driven) -> Self {
        let before = input.0;
        let config = config::speaker(input);
        let word = hex(before, input);
        let start = Instant::now();
        let mut world = Self {
            speaker: drive(config, &word, start),
            word,
            now: start,
            start,
            dials: Vec::new(),
            conns: BTreeMap::new(),
            next_conn: 1,
            planes: BTreeSet::new(),
            batched: 0,
            stopped: false,
            observed: Observed::default(),
        };
        world.take_effects();
        world.end_batch();
        world
    }

    fn give(&mut self, event: Event) {
        self.give_configured(event, "");
    }

    /// With a configuration that the word stands for.
    fn give_configured(&mut self, event: Event, word: &str) {
        if let Event::Closed { conn, .. } = &event {
            self.conns.remove(conn);
            self.observed.is_gone(*conn);
        }
        if let Event::Leave | Event::Shutdown(_) = &event {
            self.stopped = true;
        }
        self.speaker.handle(event, word, self.now);
        self.take_effects();
        match self.batched.checked_sub(1) {
            Some(left) => self.batched = left,
            None => self.end_batch(),
        }
    }

    fn end_batch(&mut self) {
        self.batched = 0;
        self.speaker.flush(self.now);
        self.take_effects();
        self.check();
    }

    /// Lets the time pass to the next timer, at most so far.
    fn pass(&mut self, most: Duration) {
        let until = self.now + most;
        self.now = self
            .speaker
            .poll_timeout()
            .map_or(until, |due| due.max(self.now).min(until));
        self.give(Event::Timeout);
    }

    /// Every peer is gone for good, nothing is offered or configured: nothing may be held.
    fn wind_down(&mut self) {
        self.end_batch();
        if self.stopped {
            return;
        }
        let word = format!("bare-{}", self.word);
        let bare = driven::Words.speaker(&word).unwrap();
        self.give_configured(Event::Reconfigure(Box::new(bare)), &word);
        for conn in self.conns.keys().copied().collect::<Vec<_>>() {
            let reason = "gone".into();
            self.give(Event::Closed { conn, reason });
        }
        self.offer_nothing();
        self.let_everything_end();
        for peer in self.speaker.peers(self.now) {
            assert_eq!(
                (peer.received, peer.rejected, peer.advertised),
                (0, 0, 0),
                "{}",
                peer.name
            );
        }
        assert_eq!(self.speaker.held(), Default::default(), "something is held for nobody");
    }

    fn offer_nothing(&mut self) {
        for service in self.speaker.local_services() {
            self.give(Event::ServiceRemove(service.name));
        }
        for text in config::PREFIXES {
            self.give(Event::PrefixRemove(config::prefix(text)));
        }
    }

    /// Two minutes, in which no dial succeeds and the data planes settle everything.
    fn let_everything_end(&mut self) {
        let end = self.now + Duration::from_secs(120);
        let mut steps = 0;
        while self.now < end {
            steps += 1;
            assert!(steps < 2000, "time stands still: {:?}", self.speaker.poll_timeout());
            for peer in std::mem::take(&mut self.dials) {
                let error = "refused".into();
                self.give(Event::ConnectFailed { peer, error });
            }
            for plane in self.planes.clone() {
                self.report(plane, self.observed.version, Vec::new());
            }
            self.pass(Duration::from_secs(20));
        }
    }
}
