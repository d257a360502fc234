//! What one route among many costs, through the whole plane and a real Envoy: below wildcards, with outside
//! organisations, however much is exported to them. Counts are asserted; times are printed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod ads_support;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use ads_support::envoy::Envoy;
use ads_support::{PATIENCE, http};
use catalyst_envoy::ads::KindCounters;
use catalyst_envoy::bootstrap::bootstrap_json;
use catalyst_envoy::config::{EnvoyConfig, XdsAddress};
use catalyst_envoy::plane::EnvoyPlane;
use catalyst_envoy::resource::{ResourceKey, ResourceKind};
use catalyst_plugin::{
    DataPlane, Diff, NextHop, PlaneEvent, Protocol, Route, RouteTable, ServiceName, Table, Target, Touched, Verdict,
};

/// Next hops behind the names.
const HOPS: u16 = 50;
/// Names that come and go one by one.
const CHANGES: u32 = 100;
/// The bound on a change in bytes of resources.
const MAX_BYTES: u64 = 1000;

/// Names in the table. `CATALYST_SCALE` measures with another number.
fn count() -> usize {
    std::env::var("CATALYST_SCALE").map_or(2_000, |text| text.parse().unwrap())
}

/// A node with an Envoy, and the table that it serves.
struct Node {
    config: EnvoyConfig,
    plane: EnvoyPlane,
    envoy: Envoy,
    table: RouteTable,
    hop: SocketAddr,
    _dir: tempfile::TempDir,
}

/// Organisations by number.
fn orgs(count: usize) -> Arc<[Arc<str>]> {
    (0..count).map(|n| Arc::from(format!("partner-{n:02}"))).collect()
}

async fn config(dir: &tempfile::TempDir, outside: usize) -> EnvoyConfig {
    let mut peer_listeners = BTreeMap::new();
    for org in orgs(outside).iter() {
        peer_listeners.insert(org.clone(), http::free_address().await);
    }
    EnvoyConfig {
        node: "a".into(),
        asn: 64512,
        organisation: "acme".into(),
        xds: XdsAddress::Unix(dir.path().join("xds.sock")),
        ingress: http::free_address().await,
        egress: http::free_address().await,
        peer_listener: http::free_address().await,
        peer_listeners,
        tcp_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        tcp_ports: 1..=1,
        admin: ([127, 0, 0, 1], 0).into(),
        gateway: None,
        graphql_hosts: Vec::new(),
        tunnels: Vec::new(),
        state_dir: None,
    }
}

impl Node {
    /// A node with `outside` organisations, `names` below `*` and `*.dc1.acme`, which are exported to all of them.
    async fn start(names: usize, outside: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = config(&dir, outside).await;
        let plane = EnvoyPlane::bind(config.clone()).await.unwrap();
        let envoy = Envoy::start_with(&bootstrap_json(&config)).await;
        let hop = http::peer("hop").await;
        let mut node = Self {
            config,
            plane,
            envoy,
            table: RouteTable::new(),
            hop,
            _dir: dir,
        };
        node.plane.plan(&RouteTable::new(), Touched::All);
        let routes = (0..names).map(|n| node.route(&format!("svc-{n}.dc1.acme"), &[]));
        let wildcards = ["*", "*.dc1.acme"].map(|name| node.route(name, &orgs(outside)));
        let all: Vec<_> = routes.chain(wildcards).collect();
        let started = Instant::now();
        let before = node.envoy.cpu();
        node.put(all).await;
        println!(
            "{names} names, {outside} outside organisations: loaded after {:?}, Envoy CPU {:?}, {} MB",
            started.elapsed(),
            node.envoy.cpu() - before,
            node.envoy.resident_kib() / 1024,
        );
        node
    }

    fn route(&self, name: &str, exported_to: &[Arc<str>]) -> Route {
        // Only the names that are asked for lead somewhere.
        let address = if name.starts_with("svc-") {
            let nth = name.bytes().map(u16::from).sum::<u16>() % HOPS;
            SocketAddr::new(Ipv4Addr::new(127, 9, 9, 9).into(), 1000 + nth)
        } else {
            self.hop
        };
        Route {
            name: ServiceName::parse(name).unwrap(),
            protocol: Protocol::Http,
            path: None,
            table: Table::Internal,
            origin: None,
            target: Target::Remote(vec![NextHop { address, weight: 1 }]),
            exported_to: exported_to.into(),
        }
    }

    async fn put(&mut self, routes: Vec<Route>) {
        let names: Vec<ServiceName> = routes.iter().map(|route| route.name.clone()).collect();
        let routes = routes.into_iter().map(Arc::new);
        self.table.extend(routes.map(|route| (route.name.clone(), route)));
        self.follow(&names).await;
    }

    async fn remove(&mut self, name: &str) {
        let name = ServiceName::parse(name).unwrap();
        self.table.remove(&name);
        self.follow(&[name]).await;
    }

    /// Applies what changed and waits until Envoy has it.
    async fn follow(&mut self, names: &[ServiceName]) {
        let wanted = self.plane.plan(&self.table, Touched::Names(names));
        let (upsert, remove): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|(_, resource)| resource.is_some());
        let diff = Diff {
            upsert: upsert.into_iter().filter_map(|(key, r)| Some((key, r?))).collect(),
            remove: remove.into_iter().map(|(key, _)| key).collect(),
            settled: true,
        };
        let verdicts = self.plane.apply(diff).await.unwrap();
        let mut pending: BTreeMap<ResourceKey, Verdict> = verdicts.into_iter().collect();
        while !pending.is_empty() {
            let event = tokio::time::timeout(PATIENCE, self.plane.changed()).await;
            let Ok(event) = event else {
                panic!("pending: {} of {pending:?}", pending.len())
            };
            if let PlaneEvent::Verdicts(news) = event {
                for (key, verdict) in news {
                    match verdict {
                        Verdict::Programmed => drop(pending.remove(&key)),
                        Verdict::Pending(_) => {}
                        Verdict::Rejected(why) => panic!("{key}: {why}"),
                    }
                }
            }
        }
    }

    /// Resources (without removals, which nobody waits for) and bytes sent so far.
    fn sent(&self) -> (u64, u64) {
        let totals = self.plane.stats().report().totals;
        let sum = |count: fn(&KindCounters) -> u64| totals.values().map(count).sum();
        (sum(|kind| kind.resources), sum(|kind| kind.bytes))
    }

    /// Resources of kinds that no single route may touch.
    fn sent_beside_scopes(&self) -> u64 {
        let totals = self.plane.stats().report().totals;
        let fixed = totals.iter().filter(|(kind, _)| {
            matches!(
                kind,
                ResourceKind::Listener | ResourceKind::Extension | ResourceKind::Endpoints
            )
        });
        fixed.map(|(_, counters)| counters.resources).sum()
    }

    /// Adds and removes names exported to `exported`, one at a time.
    async fn one_at_a_time(&mut self, what: &str, exported: &[Arc<str>]) {
        self.put(vec![self.route("new.dc1.acme", exported)]).await;
        let (resources, bytes) = self.sent();
        let (fixed, cpu) = (self.sent_beside_scopes(), self.envoy.cpu());
        let mut took = Vec::new();
        for n in 0..CHANGES {
            let name = format!("new-{n}.dc1.acme");
            let started = Instant::now();
            self.put(vec![self.route(&name, exported)]).await;
            took.push(started.elapsed());
        }
        let (resources, bytes) = (self.sent().0 - resources, (self.sent().1 - bytes) / u64::from(CHANGES));
        took.sort();
        println!(
            "{what}: {} resources, {bytes} bytes, Envoy CPU {:?}; acknowledged after {:?} (p50), {:?} (p99)",
            resources as f64 / f64::from(CHANGES),
            (self.envoy.cpu() - cpu) / CHANGES,
            took[took.len() / 2],
            took[took.len() * 99 / 100],
        );
        assert_eq!(resources, u64::from(CHANGES), "{what}: one resource for one name");
        assert_eq!(self.sent_beside_scopes(), fixed, "{what}: nothing else is touched");
        assert!(bytes <= MAX_BYTES, "{what}: {bytes} bytes per change");
        for n in 0..CHANGES {
            self.remove(&format!("new-{n}.dc1.acme")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_route_below_wildcards_costs_one_resource() {
    let mut node = Node::start(count(), 0).await;
    node.one_at_a_time("one organisation", &[]).await;
    let ingress = node.config.ingress;
    assert_eq!(http::status(ingress, "new.dc1.acme").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_outside_organisations_cost_no_further_resource() {
    let mut node = Node::start(count(), 10).await;
    let all = orgs(10);
    for (what, exported) in [("exported to none", 0), ("to one", 1), ("to ten", 10)] {
        node.one_at_a_time(what, &all[..exported]).await;
        let open = reached_by(&node, "new.dc1.acme").await;
        assert_eq!(open, exported, "{what}");
    }
    wildcard_costs(&mut node).await;
}

/// How many of the outside organisations reach a name.
async fn reached_by(node: &Node, name: &str) -> usize {
    let mut open = 0;
    for at in node.config.peer_listeners.values() {
        open += usize::from(http::status(*at, name).await == 200);
    }
    open
}

/// A wildcard over all names comes and goes.
async fn wildcard_costs(node: &mut Node) {
    let all = orgs(10);
    let (resources, bytes) = node.sent();
    let (cpu, started) = (node.envoy.cpu(), Instant::now());
    node.put(vec![node.route("*.acme", &all)]).await;
    let first = started.elapsed();
    node.remove("*.acme").await;
    let sent = node.sent().0 - resources;
    println!(
        "a wildcard over all comes and goes: {sent} resources, {} bytes, Envoy CPU {:?}, there after {first:?}",
        node.sent().1 - bytes,
        node.envoy.cpu() - cpu,
    );
    assert_eq!(
        sent, 3,
        "its scope, the filter, the filter without it: no name below it is touched"
    );
}
