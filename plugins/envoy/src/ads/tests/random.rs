//! A model Envoy and a hub through random histories: whatever happens, they agree in the end, and no scope ever leads
//! to a cluster that is not there.

use std::collections::BTreeMap;

use catalyst_plugin::{PlaneEvent, Verdict};

use super::envoy::{ModelEnvoy, is_bad_content};
use super::{World, cluster, scope};
use crate::ads::desired::Changes;
use crate::resource::{Resource, ResourceKey, ResourceKind};

const HISTORIES: u64 = 200;
const STEPS: usize = 300;

#[test]
fn any_history_ends_in_agreement() {
    for seed in 1..=HISTORIES {
        // Shown only if the test fails: the last one is the culprit.
        println!("seed {seed}");
        let mut history = History::new(seed);
        for _ in 0..STEPS {
            history.step();
        }
        history.ends_in_agreement();
    }
}

struct History {
    seed: u64,
    dice: u64,
    world: World,
    envoy: ModelEnvoy,
    table: BTreeMap<ResourceKey, Resource>,
    /// What the reconcile loop believes.
    statuses: BTreeMap<ResourceKey, Verdict>,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut world = World::new();
        let envoy = ModelEnvoy::connect(&mut world, "a");
        Self {
            seed,
            dice: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            world,
            envoy,
            table: BTreeMap::new(),
            statuses: BTreeMap::new(),
        }
    }

    /// xorshift64.
    fn roll(&mut self, sides: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice >> 20) % sides
    }

    fn step(&mut self) {
        match self.roll(40) {
            0..=9 => drop(self.envoy.receive(&mut self.world)),
            10..=19 => drop(self.envoy.answer(&mut self.world)),
            20..=24 => drop(self.envoy.ask(&mut self.world)),
            25 => self.envoy.reconnect(&mut self.world),
            26 => self.restart_envoy(),
            27 => self.restart_server(),
            28 => drop(self.hear()),
            _ => self.change(),
        }
    }

    fn restart_envoy(&mut self) {
        self.envoy.disconnect(&mut self.world);
        self.envoy = ModelEnvoy::connect(&mut self.world, "a");
    }

    /// The next server learns its table step by step, and settles later.
    fn restart_server(&mut self) {
        self.world = World::new();
        self.envoy.reconnect(&mut self.world);
        self.statuses.clear();
        if self.roll(2) == 0 {
            self.apply(self.table.clone(), false);
        }
    }

    /// As the plane does it: the verdicts on what changed are told at once.
    fn apply(&mut self, table: BTreeMap<ResourceKey, Resource>, settled: bool) {
        let before = std::mem::replace(&mut self.table, table);
        let changes = Changes::table(self.table.values().cloned());
        self.world.hub.update(changes, settled);
        self.statuses.retain(|key, _| self.table.contains_key(key));
        for (key, wanted) in &self.table {
            if before.get(key) != Some(wanted) || !self.statuses.contains_key(key) {
                self.statuses.insert(key.clone(), self.world.hub.tell_verdict(key));
            }
        }
    }

    /// Takes the oldest news, if there is any.
    fn hear(&mut self) -> bool {
        let Some(event) = self.world.hub.next_event() else {
            return false;
        };
        if let PlaneEvent::Verdicts(news) = event {
            let wanted = news.into_iter().filter(|(key, _)| self.table.contains_key(key));
            self.statuses.extend(wanted);
        }
        true
    }

    /// Some scopes move or go, and the clusters follow, as the planner would have it.
    fn change(&mut self) {
        let mut scopes: BTreeMap<ResourceKey, Resource> = BTreeMap::new();
        let mut clusters: BTreeMap<ResourceKey, Resource> = BTreeMap::new();
        for n in 0..self.roll(6) {
            let target = self.roll(8);
            let name = if target == 0 {
                "bad".to_owned()
            } else {
                format!("c{target}")
            };
            let one = scope(&format!("s{n}"), &name);
            scopes.insert(one.key.clone(), one);
            let content = ["one", "two", "three", "bad"][usize::try_from(self.roll(4)).unwrap()];
            let one = cluster(&name, content);
            clusters.insert(one.key.clone(), one);
        }
        let settled = self.roll(4) > 0;
        self.apply(clusters.into_iter().chain(scopes).collect(), settled);
    }

    fn ends_in_agreement(mut self) {
        self.apply(self.table.clone(), true);
        self.envoy.settle(&mut self.world);
        // What came in a refused response CDS holds without noting its version: if the stream ends right then, nobody
        // can know. Of everything else the server must be right.
        let tainted = |key: &ResourceKey| {
            let held = self.envoy.held.get(key).map(|held| &held.version);
            held != self.envoy.known.get(key)
        };
        for (key, wanted) in self.table.iter().filter(|(key, _)| !tainted(key)) {
            let held = self.envoy.held.get(key);
            if is_bad_content(wanted) {
                assert!(
                    held.is_none_or(|held| held.version != wanted.version),
                    "seed {}: {key}",
                    self.seed
                );
                continue;
            }
            assert_eq!(
                held.map(|held| &held.version),
                Some(&wanted.version),
                "seed {}: {key}",
                self.seed
            );
        }
        // An older scope that stands in for a refused one may need clusters that nobody else does.
        let stands_in = |(key, wanted): (&ResourceKey, &Resource)| {
            key.kind == ResourceKind::ScopedRoute && is_bad_content(wanted) && self.envoy.held.contains_key(key)
        };
        let kept = self.table.iter().any(stands_in);
        for key in self.envoy.known.keys() {
            let excused = kept && key.kind == ResourceKind::Cluster;
            assert!(
                excused || self.table.contains_key(key),
                "seed {}: {key} is left over",
                self.seed
            );
        }
        self.is_told_everything();
        self.changes_nothing_more();
    }

    /// Whoever followed the news knows what is true.
    fn is_told_everything(&mut self) {
        while self.hear() {}
        for key in self.table.keys() {
            let verdict = self.world.hub.tell_verdict(key);
            assert_eq!(self.statuses.get(key), Some(&verdict), "seed {}: {key}", self.seed);
            assert!(
                !matches!(verdict, Verdict::Pending(_)),
                "seed {}: {key} {verdict:?}",
                self.seed
            );
        }
    }

    /// At rest, a reconnect brings nothing.
    fn changes_nothing_more(mut self) {
        let received = self.envoy.received;
        self.envoy.reconnect(&mut self.world);
        self.envoy.settle(&mut self.world);
        assert_eq!(self.envoy.received, received, "seed {}: resent at rest", self.seed);
    }
}
