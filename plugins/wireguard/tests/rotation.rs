//! Changes of keys between two planes over kernels in memory and a network that loses packets as WireGuard does.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

#[path = "support/mod.rs"]
mod support;
#[path = "support/wire.rs"]
mod wire;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use catalyst_plugin::{Change, Handle, Report, RouteUpdate, Selected, Tunnel, spawn};
use catalyst_wireguard::kernel::fake::{FakeKernel, World};
use catalyst_wireguard::resource::{Key, Resource};
use catalyst_wireguard::{
    KeyChange, Phase, PrivateKey, PublicKey, Rotation, TunnelDevice, WireguardConfig, WireguardPlane,
    WireguardSettings, WireguardStats, drain,
};
use proptest::prelude::*;
use support::{announced, config, peer, prefix, prefixes};
use tokio::sync::mpsc;
use tokio::time::Instant;
use wire::{Host, TICK, Wire};

const NAMES: [&str; 2] = ["a", "b"];

/// What the daemon does around a plane.
struct Node {
    index: usize,
    world: Arc<World>,
    config: WireguardConfig,
    /// A prepared or a new key.
    next: Option<PrivateKey>,
    rotation: Rotation,
    told: Arc<Tunnel>,
    running: Option<Running>,
}

struct Running {
    handle: Handle,
    reports: mpsc::Receiver<Report>,
    stats: WireguardStats,
    settings: WireguardSettings,
    version: u64,
}

fn host_of(index: usize) -> String {
    format!("192.0.2.{}", index + 1)
}

fn tunnel_of(index: usize) -> String {
    format!("10.255.0.{}/32", index + 1)
}

fn fresh(index: usize, number: usize) -> PrivateKey {
    PrivateKey::from_bytes([u8::try_from(index * 100 + number + 1).unwrap(); 32])
}

impl Node {
    fn new(index: usize, second_port: u16) -> Self {
        let other = NAMES[1 - index];
        let device = TunnelDevice {
            device: "wg".into(),
            listen_port: 51820,
            second_port,
            is_called: true,
            addresses: prefixes(&[&tunnel_of(index)]),
            mtu: 1420,
        };
        let mut config = config();
        config.private_key = fresh(index, 0);
        config.tunnels = [(other.into(), device)].into();
        config.peers = [(other.into(), peer(other, &[&tunnel_of(1 - index)], &[]))].into();
        let told = Tunnel {
            public_key: config.private_key.public_key().0,
            endpoint: Some(format!("{}:51820", host_of(index)).parse().unwrap()),
            addresses: prefixes(&[&tunnel_of(index)]),
            mtu: 1420,
            serial: 1,
        };
        Self {
            index,
            world: Arc::default(),
            config,
            next: None,
            rotation: Rotation::new(Phase::Rest, Duration::ZERO, now()),
            told: Arc::new(told),
            running: None,
        }
    }

    /// A start of the daemon: at first it knows no peer.
    fn start(&mut self) {
        let plane = WireguardPlane::new(self.config.clone(), FakeKernel(self.world.clone())).unwrap();
        let (stats, settings) = (plane.stats(), plane.settings());
        let (sender, reports) = mpsc::channel(1024);
        let handle = spawn(plane, sender);
        handle.feed.send(RouteUpdate::Reset {
            version: 1,
            routes: Vec::new(),
            settled: false,
        });
        self.running = Some(Running {
            handle,
            reports,
            stats,
            settings,
            version: 1,
        });
        self.rotation = Rotation::new(self.rotation.phase(), drain(self.config.keepalive), now());
    }

    async fn kill(&mut self) {
        let running = self.running.take().unwrap();
        running.handle.join.abort();
        drop(running.handle.join.await);
    }

    fn hear(&mut self, told: Arc<Tunnel>) {
        let Some(running) = &mut self.running else { return };
        let host = tunnel_of(1 - self.index);
        let from = running.version;
        running.version += 1;
        running.handle.feed.send(RouteUpdate::Delta {
            from,
            to: running.version,
            changes: vec![Change {
                destination: prefix(&host).into(),
                route: Some(Selected::from(announced(&host, told))),
            }],
            settled: true,
        });
    }

    fn is_changing(&self) -> bool {
        let Some(running) = &self.running else { return true };
        self.rotation.phase() != Phase::Rest || running.stats.tunnels().iter().any(|tunnel| tunnel.key_change.is_some())
    }

    /// Begins a change, unless the peer has begun one.
    async fn rotate(&mut self, next: PrivateKey) {
        let mut config = self.config.clone();
        config.key_change = KeyChange::Moving(next.clone());
        let settings = self.running.as_ref().unwrap().settings.clone();
        if settings.set(config).await.is_err() {
            return;
        }
        self.rotation = Rotation::new(Phase::Moving, drain(self.config.keepalive), now());
        self.next = Some(next);
        self.enter().await;
    }

    /// Looks, as the daemon does every now and then.
    async fn step(&mut self) {
        let Some(running) = &mut self.running else { return };
        while running.reports.try_recv().is_ok() {}
        if self.rotation.step(&running.stats.sight(), now()) {
            self.enter().await;
        }
    }

    /// The plane goes by the phase, and the peer is told what it needs to know.
    async fn enter(&mut self) {
        let next = self.next.clone();
        let (config, told) = (&mut self.config, &mut self.told);
        let mut say = |key: PublicKey, port: u16| {
            let told = Arc::make_mut(told);
            told.serial += 1;
            told.public_key = key.0;
            told.endpoint.as_mut().unwrap().set_port(port);
        };
        match self.rotation.phase() {
            Phase::Rest => config.key_change = KeyChange::None,
            Phase::Moving => {
                let next = next.unwrap();
                say(next.public_key(), 51821);
                config.key_change = KeyChange::Moving(next);
            }
            Phase::Parting => {
                config.private_key = self.next.take().unwrap();
                config.key_change = KeyChange::Parting;
            }
            Phase::Returning => {
                say(config.private_key.public_key(), 51820);
                config.key_change = KeyChange::Returning;
            }
            Phase::Abandoning => {
                say(config.private_key.public_key(), 51820);
                config.key_change = KeyChange::Abandoning(self.next.take().unwrap());
            }
        }
        let settings = self.running.as_ref().unwrap().settings.clone();
        settings.set(self.config.clone()).await.unwrap();
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// Two nodes and the network between them.
struct Pair {
    nodes: [Node; 2],
    wire: Wire,
    /// What each has heard of the other.
    heard: [u64; 2],
    ticks: u64,
    /// How long a tick is in the test that has nothing to do but wait.
    pace: u32,
}

impl Pair {
    async fn up(second_ports: [u16; 2]) -> Self {
        let nodes = [0, 1].map(|index| Node::new(index, second_ports[index]));
        let hosts = nodes.iter().map(|node| Host {
            world: node.world.clone(),
            address: host_of(node.index).parse().unwrap(),
            tunnel: prefix(&tunnel_of(node.index)),
            shut: BTreeSet::new(),
        });
        let wire = Wire::new(hosts.collect());
        let mut pair = Self {
            nodes,
            wire,
            heard: [0, 0],
            ticks: 0,
            pace: 1,
        };
        pair.nodes.iter_mut().for_each(Node::start);
        pair.run(Duration::from_secs(6)).await;
        assert!(pair.wire.received > 0, "{:?}", pair.wire.lost.first());
        pair.forgive();
        pair
    }

    fn forgive(&mut self) {
        self.wire.lost.clear();
    }

    async fn run(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.tick().await;
        }
    }

    async fn tick(&mut self) {
        tokio::time::sleep(TICK * self.pace).await;
        self.ticks += 1;
        self.wire.step();
        if self.ticks.is_multiple_of(2) {
            self.wire.ping();
        }
        if self.ticks.is_multiple_of(10) {
            for index in [0, 1] {
                self.nodes[index].step().await;
                let told = self.nodes[1 - index].told.clone();
                if self.nodes[index].running.is_some() && self.heard[index] != told.serial {
                    self.heard[index] = told.serial;
                    self.nodes[index].hear(told);
                }
            }
        }
    }

    async fn until_still(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(2000);
        while self.nodes.iter().any(Node::is_changing) {
            assert!(Instant::now() < deadline, "it never ends: {:#?}", self.shown());
            self.tick().await;
        }
        self.run(Duration::from_secs(1)).await;
    }

    fn shown(&self) -> Vec<String> {
        let of = |node: &Node| {
            let tunnels = node.running.as_ref().map(|running| running.stats.tunnels());
            format!("{:?} {tunnels:#?}", node.rotation.phase())
        };
        self.nodes.iter().map(of).collect()
    }

    /// Nothing was lost; what is left is the first devices with the newest keys.
    fn check(&self) {
        assert!(
            self.wire.lost.is_empty(),
            "{} lost: {:#?}\n{:#?}",
            self.wire.lost.len(),
            &self.wire.lost[..self.wire.lost.len().min(5)],
            self.shown()
        );
        for node in &self.nodes {
            let state = node.world.state();
            let devices: Vec<&Key> = state.held.keys().filter(|key| matches!(key, Key::Device(_))).collect();
            assert_eq!(devices, [&Key::Device("wg".into())], "of {}", NAMES[node.index]);
            let other = PublicKey(self.nodes[1 - node.index].told.public_key);
            let peers: Vec<&Key> = state
                .held
                .keys()
                .filter(|key| matches!(key, Key::Peer { .. }))
                .collect();
            let device: Arc<str> = "wg".into();
            assert_eq!(peers, [&Key::Peer { device, key: other }], "of {}", NAMES[node.index]);
            let own = PublicKey(node.told.public_key);
            assert_eq!(own, node.config.private_key.public_key());
            let Some(Resource::Device(device)) = state.held.get(&Key::Device("wg".into())) else {
                panic!("{state:?}")
            };
            assert_eq!((device.public_key, device.listen_port), (own, 51820));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_is_changed_without_loss_at_one_end_and_then_at_the_other() {
    for ports in [[51821, 51821], [51821, 0], [0, 51821]] {
        let mut pair = Pair::up(ports).await;
        for (number, index) in [(1, 0), (2, 1), (3, 0), (4, 1)] {
            if ports[index] == 0 {
                continue;
            }
            let sent = pair.wire.sent;
            pair.nodes[index].rotate(fresh(index, number)).await;
            pair.until_still().await;
            assert_eq!(
                pair.nodes[index].config.private_key.public_key(),
                fresh(index, number).public_key()
            );
            assert!(pair.wire.sent - sent > 400);
            pair.check();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn both_ends_may_change_their_keys_at_the_same_time() {
    for ticks in (0..40).step_by(3) {
        let mut pair = Pair::up([51821, 51821]).await;
        pair.nodes[0].rotate(fresh(0, 1)).await;
        for _ in 0..ticks {
            pair.tick().await;
        }
        // Refused once it has heard of the other's.
        pair.nodes[1].rotate(fresh(1, 1)).await;
        pair.until_still().await;
        pair.check();
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_that_does_not_reach_the_peer_is_given_up_and_loses_nothing() {
    let mut pair = Pair::up([51821, 51821]).await;
    pair.wire.hosts[0].shut.insert(51821);
    pair.nodes[0].rotate(fresh(0, 1)).await;
    pair.pace = 20;
    pair.run(Duration::from_secs(590)).await;
    pair.pace = 1;
    assert_eq!(pair.nodes[0].rotation.phase(), Phase::Moving);
    pair.until_still().await;
    pair.check();
    assert_eq!(pair.nodes[0].config.private_key.public_key(), fresh(0, 0).public_key());
    // The next one, once the way is open.
    pair.wire.hosts[0].shut.clear();
    pair.nodes[0].rotate(fresh(0, 2)).await;
    pair.until_still().await;
    pair.check();
    assert_eq!(pair.nodes[0].config.private_key.public_key(), fresh(0, 2).public_key());
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_not_pinned_takes_the_place_of_no_good_one() {
    let mut pair = Pair::up([51821, 51821]).await;
    let pins = vec![fresh(0, 0).public_key()];
    pair.nodes[1]
        .config
        .peers
        .get_mut("a")
        .unwrap()
        .public_keys
        .clone_from(&pins);
    let settings = pair.nodes[1].running.as_ref().unwrap().settings.clone();
    settings.set(pair.nodes[1].config.clone()).await.unwrap();
    pair.nodes[0].rotate(fresh(0, 1)).await;
    pair.run(Duration::from_secs(10)).await;
    let shown = pair.nodes[1].running.as_ref().unwrap().stats.tunnels();
    let news = shown[0].key_change.map(catalyst_wireguard::KeyNews::as_str);
    assert_eq!((shown[0].state.as_str(), news), ("up", Some("not pinned")));
    // With the next key beside it, the change goes on.
    let peer = pair.nodes[1].config.peers.get_mut("a").unwrap();
    peer.public_keys.push(fresh(0, 1).public_key());
    settings.set(pair.nodes[1].config.clone()).await.unwrap();
    pair.until_still().await;
    pair.check();
    assert_eq!(pair.nodes[0].config.private_key.public_key(), fresh(0, 1).public_key());
}

/// What may happen next.
#[derive(Debug, Clone)]
enum Step {
    Rotate(usize),
    /// The daemon is killed, and started after so many ticks.
    Restart(usize, u64),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..2_usize).prop_map(Step::Rotate),
        (0..2_usize, 0..200_u64).prop_map(|(index, ticks)| Step::Restart(index, ticks)),
        (0..800_u64).prop_map(Step::Wait),
    ]
}

async fn walk(steps: Vec<Step>) {
    let mut pair = Pair::up([51821, 51821]).await;
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Rotate(index) if pair.nodes[index].is_changing() => {}
            Step::Rotate(index) => pair.nodes[index].rotate(fresh(index, number + 1)).await,
            Step::Restart(index, ticks) => {
                pair.nodes[index].kill().await;
                for _ in 0..ticks {
                    pair.tick().await;
                }
                pair.nodes[index].start();
                pair.heard[index] = 0;
            }
            Step::Wait(ticks) => {
                for _ in 0..ticks {
                    pair.tick().await;
                }
            }
        }
    }
    pair.until_still().await;
    pair.check();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_in_between_nothing_is_lost(steps in proptest::collection::vec(step(), 1..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(walk(steps));
    }
}
