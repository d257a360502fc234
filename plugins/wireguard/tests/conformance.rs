//! The suite of catalyst-plugin on the WireGuard plane over a kernel in memory. The suite speaks of names; each stands
//! for a prefix here, and each variant for a peer that it is routed to.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use catalyst_plugin::conformance::Harness;
use catalyst_plugin::{
    DataPlane, Diff, Endpoint, PlaneError, PlaneEvent, Prefix, PrefixRoute, Protocol, Route, RouteTable, ServiceName,
    Table, Target, Touched, Verdict, Wanted,
};
use catalyst_wireguard::kernel::fake::{FakeKernel, World};
use catalyst_wireguard::resource::{Key, Resource};
use catalyst_wireguard::{PublicKey, WireguardConfig, WireguardPlane};
use support::{config, peer, prefixes, tunnel, via};

/// The peer that nothing may be routed to.
const STRANGER: u16 = 9;

type Wireguard = WireguardPlane<FakeKernel>;

/// The plane under the names of the suite.
struct Named {
    plane: Wireguard,
    table: RouteTable<PrefixRoute>,
}

/// `svc-7.dc1.acme` is 10.2.7.0/24.
fn prefix_of(name: &ServiceName) -> Prefix {
    let number: u8 = name.as_str()[4..].split('.').next().unwrap().parse().unwrap();
    Prefix::new([10, 2, number, 0].into(), 24).unwrap()
}

fn name_of(prefix: Prefix) -> Option<ServiceName> {
    let number = prefix
        .to_string()
        .strip_prefix("10.2.")?
        .strip_suffix(".0/24")?
        .to_owned();
    Some(ServiceName::parse(&format!("svc-{number}.dc1.acme")).unwrap())
}

fn translated(route: &Route) -> Arc<PrefixRoute> {
    let Target::Local(endpoints) = &route.target else {
        unreachable!("made below")
    };
    via(prefix_of(&route.name), &format!("10.255.3.{}", endpoints[0].port))
}

impl DataPlane for Named {
    type Route = Route;
    type Key = Key;
    type Resource = Resource;

    fn name(&self) -> &'static str {
        self.plane.name()
    }

    fn plan(&mut self, routes: &RouteTable, touched: Touched<'_>) -> Vec<Wanted<Self>> {
        let Touched::Names(names) = touched else {
            self.table = routes
                .iter()
                .map(|(name, route)| (prefix_of(name), translated(route)))
                .collect();
            return self.plane.plan(&self.table, Touched::All);
        };
        let touched: Vec<Prefix> = names.iter().map(prefix_of).collect();
        for name in names {
            match routes.get(name) {
                Some(route) => drop(self.table.insert(prefix_of(name), translated(route))),
                None => drop(self.table.remove(&prefix_of(name))),
            }
        }
        self.plane.plan(&self.table, Touched::Names(&touched))
    }

    fn routes_of(&self, key: &Key) -> Vec<ServiceName> {
        self.plane.routes_of(key).into_iter().filter_map(name_of).collect()
    }

    fn serves(&self, _: &Route) -> bool {
        true
    }

    fn fingerprint(&self, resource: &Resource) -> u64 {
        self.plane.fingerprint(resource)
    }

    async fn observe(&mut self) -> Result<BTreeMap<Key, Option<u64>>, PlaneError> {
        self.plane.observe().await
    }

    async fn apply(&mut self, diff: Diff<Key, Resource>) -> Result<Vec<(Key, Verdict)>, PlaneError> {
        self.plane.apply(diff).await
    }

    async fn changed(&mut self) -> PlaneEvent<Key> {
        self.plane.changed().await
    }
}

#[derive(Default)]
struct WireguardHarness(Arc<World>);

async fn start() -> WireguardHarness {
    WireguardHarness::default()
}

/// Six peers on two devices, each with a tunnel by hand.
fn six_peers() -> WireguardConfig {
    let mut config = config();
    for number in (0..6).chain([STRANGER]) {
        let address = format!("10.255.3.{number}/32");
        let organisation = if number < 3 { "b" } else { "c" };
        let mut peer = peer(organisation, &[&address], &["10.2.0.0/16"]);
        peer.static_tunnel = Some(tunnel(key(number), 1, &[&address]));
        if number == STRANGER {
            peer.allowed_prefixes = prefixes(&[]);
        }
        config.peers.insert(format!("peer-{number}").into(), peer);
    }
    config
}

fn key(number: u16) -> u8 {
    u8::try_from(number).unwrap() + 1
}

fn route(name: &ServiceName, peer: u16) -> Arc<Route> {
    Arc::new(Route {
        name: name.clone(),
        protocol: Protocol::Http,
        path: None,
        table: Table::External,
        origin: None,
        target: Target::Local(vec![Endpoint {
            host: "peer".into(),
            port: peer,
            weight: 1,
        }]),
        exported_to: Arc::default(),
    })
}

impl Harness for WireguardHarness {
    type Plane = Named;

    async fn plane(&mut self) -> Named {
        let plane = WireguardPlane::new(six_peers(), FakeKernel(self.0.clone())).unwrap();
        Named {
            plane,
            table: RouteTable::new(),
        }
    }

    fn route(&self, name: &ServiceName, variant: u32) -> Arc<Route> {
        route(name, u16::try_from(variant).unwrap())
    }

    fn bad_route(&self, name: &ServiceName) -> Arc<Route> {
        route(name, STRANGER)
    }

    /// Served: guarded, ruled, and with a route into the device on which the peer has it allowed.
    async fn serves(&mut self) -> BTreeMap<ServiceName, u32> {
        let state = self.0.state();
        let guarded = state.held.keys().any(|key| matches!(key, Key::Guard { .. }))
            && state.held.keys().filter(|key| matches!(key, Key::Rule { .. })).count() == 2
            && state.held.contains_key(&Key::Filter { table: 1790 });
        let mut served = BTreeMap::new();
        for (held, resource) in &state.held {
            let (Key::Route { prefix, .. }, Resource::Route(route)) = (held, resource) else {
                continue;
            };
            let device = route.device.clone();
            let allowed = Key::Allowed {
                device: device.clone(),
                prefix: *prefix,
            };
            let Some(Resource::Allowed(owner)) = state.held.get(&allowed) else {
                continue;
            };
            let there = state.held.contains_key(&Key::Peer { device, key: *owner });
            if let (true, true, Some(name)) = (guarded, there, name_of(*prefix)) {
                served.insert(
                    name,
                    (0..6)
                        .find(|number| *owner == PublicKey([key(*number); 32]))
                        .unwrap()
                        .into(),
                );
            }
        }
        served
    }

    async fn writes(&mut self) -> u64 {
        self.0.state().writes
    }

    /// As after the machine was rebooted.
    async fn restart(&mut self) {
        self.0.meddle(|state| state.held.clear());
    }
}

catalyst_plugin::conformance_suite!(start);
