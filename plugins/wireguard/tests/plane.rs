//! The plane over a kernel in memory, on a virtual clock: what is done in which order, and what is told.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use catalyst_plugin::{Change, Handle, Prefix, PrefixRoute, Report, RouteUpdate, Selected, spawn};
use catalyst_wireguard::kernel::fake::{FakeKernel, World};
use catalyst_wireguard::kernel::{Operation, PeerCounters};
use catalyst_wireguard::resource::{Key, Resource};
use catalyst_wireguard::{PublicKey, WireguardConfig, WireguardPlane, WireguardStats};
use support::{announced, config, host_of, many_peers, peer, prefix, tunnel, tunnel_of, via};
use tokio::sync::mpsc;

struct Run {
    handle: Handle,
    version: u64,
    reports: mpsc::Receiver<Report>,
    stats: WireguardStats,
}

fn one_peer() -> (WireguardConfig, Vec<Arc<PrefixRoute>>) {
    let mut config = config();
    config
        .peers
        .insert("b1".into(), peer("b", &["10.255.9.1/32"], &["10.2.0.0/16"]));
    let routes = vec![
        announced("10.255.9.1/32", tunnel(1, 1, &["10.255.9.1/32"])),
        via(prefix("10.2.1.0/24"), "10.255.9.1"),
    ];
    (config, routes)
}

fn id() -> (Arc<str>, PublicKey) {
    ("wg-b".into(), PublicKey([1; 32]))
}

impl Run {
    async fn start(world: &Arc<World>, config: WireguardConfig, routes: Vec<Arc<PrefixRoute>>) -> Self {
        let plane = WireguardPlane::new(config, FakeKernel(world.clone())).unwrap();
        let stats = plane.stats();
        let (sender, reports) = mpsc::channel(64);
        let handle = spawn(plane, sender);
        let routes = routes.into_iter().map(Selected::from).collect();
        handle.feed.send(RouteUpdate::Reset {
            version: 1,
            routes,
            settled: true,
        });
        let mut run = Self {
            handle,
            version: 1,
            reports,
            stats,
        };
        run.until("applied", |report| matches!(report, Report::Plane { version: 1, .. }))
            .await;
        run
    }

    /// Changes one route, and waits until that is done.
    async fn change(&mut self, prefix: Prefix, route: Option<Arc<PrefixRoute>>) {
        let from = self.version;
        let to = from + 1;
        self.version = to;
        self.handle.feed.send(RouteUpdate::Delta {
            from,
            to,
            changes: vec![Change {
                destination: prefix.into(),
                route: route.map(Selected::from),
            }],
            settled: true,
        });
        let done = |report: &Report| matches!(report, Report::Plane { version, .. } if *version == to);
        self.until("changed", done).await;
    }

    async fn until(&mut self, what: &str, holds: impl Fn(&Report) -> bool) {
        loop {
            let report = tokio::time::timeout(Duration::from_secs(600), self.reports.recv()).await;
            let report = report.unwrap_or_else(|_| panic!("never: {what}")).unwrap();
            if holds(&report) {
                return;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn guards_are_made_first_and_a_peer_goes_before_its_device() {
    let world = Arc::new(World::default());
    let (mut config, routes) = one_peer();
    let run = Run::start(&world, config.clone(), routes).await;
    let keys: Vec<Key> = world
        .state()
        .log
        .drain(..)
        .map(|operation| operation.key().clone())
        .collect();
    assert!(keys.is_sorted(), "{keys:?}");
    drop(run);
    config.tunnels.remove("b");
    config.peers.clear();
    let _run = Run::start(&world, config, Vec::new()).await;
    let removed: Vec<Key> = (world.state().log.iter())
        .filter_map(|operation| {
            if let Operation::Remove(key) = operation {
                Some(key.clone())
            } else {
                None
            }
        })
        .collect();
    assert!(removed.is_sorted_by(|one, other| one > other), "{removed:?}");
    let at = |wanted: fn(&Key) -> bool| removed.iter().position(wanted).unwrap();
    assert!(at(|key| matches!(key, Key::Peer { .. })) < at(|key| matches!(key, Key::Device(_))));
    assert!(
        !removed.iter().any(|key| matches!(key, Key::Allowed { .. })),
        "they go with their peer: {removed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn without_its_guards_nothing_else_is_made() {
    let world = Arc::new(World::default());
    world.state().failing.insert(Key::Filter { table: 1790 });
    let (config, routes) = one_peer();
    let plane = WireguardPlane::new(config, FakeKernel(world.clone())).unwrap();
    let (sender, _reports) = mpsc::channel(64);
    let handle = spawn(plane, sender);
    let routes = routes.into_iter().map(Selected::from).collect();
    handle.feed.send(RouteUpdate::Reset {
        version: 1,
        routes,
        settled: true,
    });
    tokio::time::sleep(Duration::from_secs(30)).await;
    let held = world.state().held.clone();
    assert!(held.contains_key(&Key::Guard {
        table: 1790,
        prefix: prefix("10.2.0.0/16")
    }));
    assert!(
        !held.keys().any(|key| matches!(key, Key::Device(_) | Key::Route { .. })),
        "{held:?}"
    );
    world.state().failing.clear();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(world.state().held.keys().any(|key| matches!(key, Key::Route { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_is_told_up_and_down_as_it_is_heard() {
    let world = Arc::new(World::default());
    let (config, routes) = one_peer();
    let mut run = Run::start(&world, config, routes).await;
    let address = "10.255.9.1".parse().unwrap();
    let heard = |received| PeerCounters {
        handshake_age: Some(Duration::from_secs(1)),
        received,
        sent: 0,
    };
    world.state().counters.insert(id(), heard(100));
    run.until("up", |report| *report == Report::Tunnel { address, up: true })
        .await;
    let shook = run.stats.tunnels()[0].last_handshake.expect("it shook hands");
    assert!(shook < std::time::SystemTime::now());
    let before = tokio::time::Instant::now();
    run.until("down", |report| *report == Report::Tunnel { address, up: false })
        .await;
    let silent = before.elapsed();
    assert!(silent <= Duration::from_secs(18), "{silent:?} of a virtual clock");
    assert!(!world.state().probes.is_empty(), "a silent tunnel was not asked");
    assert_eq!(run.stats.tunnels()[0].state.as_str(), "down");
}

#[tokio::test(start_paused = true)]
async fn a_start_tells_of_the_tunnels_of_an_earlier_run_before_anything_else() {
    let world = Arc::new(World::default());
    let (config, routes) = one_peer();
    let run = Run::start(&world, config.clone(), routes).await;
    run.handle.join.abort();
    let heard = PeerCounters {
        handshake_age: Some(Duration::from_secs(1)),
        received: 100,
        sent: 0,
    };
    world.state().counters.insert(id(), heard);
    let before = world.state().observations;
    let mut plane = WireguardPlane::new(config, FakeKernel(world.clone())).unwrap();
    plane.adopt().await;
    let (sender, mut reports) = mpsc::channel(64);
    let _handle = spawn(plane, sender);
    let address = "10.255.9.1".parse().unwrap();
    assert_eq!(reports.recv().await, Some(Report::Tunnel { address, up: true }));
    assert_eq!(
        world.state().observations,
        before,
        "it was told after all was looked at"
    );
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_moved_is_not_called_back_while_it_is_heard() {
    let world = Arc::new(World::default());
    let (config, routes) = one_peer();
    let run = Run::start(&world, config.clone(), routes.clone()).await;
    let (device, key) = id();
    let endpoint = Key::Endpoint { device, key };
    let moved = Resource::Endpoint("198.51.100.9:1".parse().unwrap());
    world.meddle(|state| drop(state.held.insert(endpoint.clone(), moved.clone())));
    let ticks = |world: &Arc<World>, number: u64| {
        let counters = PeerCounters {
            handshake_age: Some(Duration::from_secs(1)),
            received: number,
            sent: 0,
        };
        world.state().counters.insert(id(), counters);
    };
    for number in 0..40 {
        ticks(&world, number);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    assert_eq!(world.state().held[&endpoint], moved);
    assert_eq!(run.stats.drift_repairs(), 0, "to roam is no drift");
    // The next run takes it as it is.
    drop(run);
    let writes = world.state().writes;
    let _run = Run::start(&world, config, routes).await;
    let now = world.state().writes;
    assert_eq!(now, writes);
    assert_eq!(world.state().held[&endpoint], moved);
    // Silent there, it is called where it announces to be.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        world.state().held[&endpoint],
        Resource::Endpoint("192.0.2.1:51820".parse().unwrap())
    );
}

#[tokio::test(start_paused = true)]
async fn what_others_take_away_is_put_back_and_counted() {
    let world = Arc::new(World::default());
    let (config, routes) = one_peer();
    let run = Run::start(&world, config, routes).await;
    let whole = world.state().held.clone();
    world.meddle(|state| state.delete_device(&"wg-b".into()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.state().held, whole);
    let repairs = run.stats.drift_repairs();
    assert!(repairs > 0);
    // Of WireGuard's own nobody is told: the next look finds it.
    world.state().delete_peer(&"wg-b".into(), PublicKey([1; 32]));
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(world.state().held, whole);
    assert!(run.stats.drift_repairs() > repairs);
}

#[tokio::test(start_paused = true)]
async fn another_pre_shared_key_is_set_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("psk");
    let write = |key: &str| {
        std::fs::write(&file, key).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    write("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n");
    let world = Arc::new(World::default());
    let (mut config, routes) = one_peer();
    config.peers.get_mut("b1").unwrap().preshared_key = Some(file.clone());
    let _run = Run::start(&world, config, routes).await;
    let peer = Key::Peer {
        device: id().0,
        key: id().1,
    };
    let first = world.state().held[&peer].clone();
    world.state().log.clear();
    write("AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=");
    tokio::time::sleep(Duration::from_secs(10)).await;
    let state = world.state();
    let second = &state.held[&peer];
    assert_ne!(*second, first);
    // Its sessions, its endpoint and its addresses stay.
    assert_eq!(state.log, [Operation::Put(peer.clone(), second.clone())]);
}

#[tokio::test(start_paused = true)]
async fn changes_go_in_bounded_batches() {
    let world = Arc::new(World::default());
    let (mut config, routes) = many_peers(1000);
    let run = Run::start(&world, config.clone(), routes).await;
    let is_peer = |key: &Key| matches!(key, Key::Peer { .. });
    assert_eq!(world.state().held.keys().filter(|key| is_peer(key)).count(), 1000);
    drop(run);
    world.state().log.clear();

    // So they go, too, before their device: the kernel would remove them all at once, and nobody else configures a network
    // meanwhile.
    config.tunnels.remove("b");
    config.peers.clear();
    let _run = Run::start(&world, config, Vec::new()).await;
    let state = world.state();
    let keys: Vec<&Key> = state.log.iter().map(Operation::key).collect();
    let device = keys.iter().position(|key| **key == Key::Device("wg-b".into()));
    let before = keys.iter().take(device.unwrap()).filter(|key| is_peer(key)).count();
    assert_eq!(before, 1000);
    assert!(state.longest_batch <= 64, "{}", state.longest_batch);
}

#[tokio::test(start_paused = true)]
async fn one_change_among_a_thousand_peers_asks_the_kernel_for_that_change_alone() {
    let world = Arc::new(World::default());
    let (config, routes) = many_peers(1000);
    let mut run = Run::start(&world, config, routes).await;
    world.state().log.clear();
    let observations = world.state().observations;
    let asked = |world: &Arc<World>| -> Vec<Operation> { world.state().log.drain(..).collect() };

    let learned = prefix("10.2.7.0/24");
    run.change(learned, Some(via(learned, "10.254.1.7"))).await;
    let keys: Vec<Key> = asked(&world).iter().map(|operation| operation.key().clone()).collect();
    let (device, table): (Arc<str>, _) = ("wg-b".into(), 1790);
    let allowed = Key::Allowed {
        device: device.clone(),
        prefix: learned,
    };
    assert_eq!(keys, [allowed, Key::Route { table, prefix: learned }]);

    let number = 0x0107;
    let mut moved = catalyst_plugin::Tunnel::clone(&tunnel_of(number, 2));
    moved.endpoint = Some("203.0.113.7:51820".parse().unwrap());
    let (host, key) = (host_of(number), PublicKey(moved.public_key));
    run.change(prefix(&host), Some(announced(&host, Arc::new(moved)))).await;
    let endpoint = Resource::Endpoint("203.0.113.7:51820".parse().unwrap());
    let called = Operation::Put(Key::Endpoint { device, key }, endpoint);
    assert_eq!(asked(&world), [called]);
    assert_eq!(world.state().observations, observations, "everything was looked at");
}
