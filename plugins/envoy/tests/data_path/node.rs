//! A node as these tests need it: the Envoy plugin in this process, an Envoy of its own, a table of routes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use catalyst_envoy::bootstrap::bootstrap_json;
use catalyst_envoy::config::{EnvoyConfig, XdsAddress};
use catalyst_envoy::plane::EnvoyPlane;
use catalyst_envoy::resource::{Resource, ResourceKey};
use catalyst_plugin::{
    DataPlane, Diff, Endpoint, NextHop, PlaneEvent, Protocol, Route, RouteTable, ServiceName, Table, Target, Touched,
    Verdict,
};
use tempfile::TempDir;
use tokio::time::{Instant, timeout};

use crate::client;
use crate::envoy::{DEADLINE, Envoy};

pub(crate) struct Node {
    pub(crate) config: EnvoyConfig,
    pub(crate) envoy: Envoy,
    plane: EnvoyPlane,
    routes: RouteTable,
    _dir: TempDir,
}

/// A loopback address that no other test, of this process or another one, uses.
pub(crate) fn own_address() -> IpAddr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let pid = std::process::id() % (100 * 256);
    let second = u8::try_from(100 + pid / 256).unwrap();
    let third = u8::try_from(pid % 256).unwrap();
    assert_eq!(high, 0, "a test run makes fewer than 256 nodes");
    IpAddr::V4(Ipv4Addr::new(127, second, third, low))
}

/// The configuration of a node on an address of its own.
pub(crate) fn config(name: &str, asn: u32, organisation: &str, dir: &TempDir) -> EnvoyConfig {
    let ip = own_address();
    EnvoyConfig {
        node: name.into(),
        asn,
        organisation: organisation.into(),
        xds: XdsAddress::Unix(dir.path().join("xds.sock")),
        ingress: SocketAddr::new(ip, 8080),
        egress: SocketAddr::new(ip, 8081),
        peer_listener: SocketAddr::new(ip, 8082),
        peer_listeners: BTreeMap::new(),
        tcp_address: ip,
        tcp_ports: 20000..=20009,
        admin: SocketAddr::new(ip, 9901),
        gateway: None,
        graphql_hosts: Vec::new(),
        tunnels: Vec::new(),
        state_dir: Some(dir.path().to_owned()),
    }
}

impl Node {
    /// A node of our own organisation without anything special.
    pub(crate) async fn start(name: &str, asn: u32) -> Self {
        Self::with(name, asn, "acme", |_| ()).await
    }

    /// A node whose configuration is adapted first. `peer_listeners` may be given with port 0 and unspecified address:
    /// they get places on the node's own address.
    pub(crate) async fn with(name: &str, asn: u32, organisation: &str, adapt: impl FnOnce(&mut EnvoyConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(name, asn, organisation, &dir);
        adapt(&mut config);
        let mut plane = EnvoyPlane::bind(config.clone()).await.unwrap();
        let routes = RouteTable::new();
        let wanted = plane.plan(&routes, Touched::All);
        let diff = Diff {
            upsert: present(wanted),
            remove: Vec::new(),
            settled: true,
        };
        plane.apply(diff).await.unwrap();
        let mut envoy = Envoy::start(&bootstrap_json(&config), dir.path());
        envoy.wait_ready(config.admin).await;
        Self {
            config,
            envoy,
            plane,
            routes,
            _dir: dir,
        }
    }

    /// The listener for an outside organisation.
    pub(crate) fn listen_for(config: &mut EnvoyConfig, org: &str) {
        let port = 8090 + u16::try_from(config.peer_listeners.len()).unwrap();
        config
            .peer_listeners
            .insert(org.into(), SocketAddr::new(config.ingress.ip(), port));
    }

    /// Adds or replaces routes and waits until Envoy has confirmed all that they need.
    pub(crate) async fn add(&mut self, routes: impl IntoIterator<Item = Route>) {
        let routes: Vec<Arc<Route>> = routes.into_iter().map(Arc::new).collect();
        let names: Vec<ServiceName> = routes.iter().map(|route| route.name.clone()).collect();
        self.routes
            .extend(routes.into_iter().map(|route| (route.name.clone(), route)));
        let verdicts = self.apply(&names).await;
        for (key, verdict) in verdicts {
            assert_eq!(verdict, Verdict::Programmed, "{key}\n{}", self.envoy.log());
        }
    }

    /// Removes a route and waits until Envoy has followed.
    pub(crate) async fn remove(&mut self, names: &[&str]) {
        let names: Vec<ServiceName> = names.iter().map(|name| ServiceName::parse(name).unwrap()).collect();
        self.routes.retain(|name, _| !names.contains(name));
        self.apply(&names).await;
    }

    /// Changes the settings of the running plane, as the daemon does, and waits until Envoy has followed.
    pub(crate) async fn reconfigure(&mut self, adapt: impl FnOnce(&mut EnvoyConfig)) {
        adapt(&mut self.config);
        let settings = self.plane.settings();
        let set = tokio::spawn({
            let config = self.config.clone();
            async move { settings.set(config).await }
        });
        while !matches!(
            timeout(DEADLINE, self.plane.changed()).await.unwrap(),
            PlaneEvent::Replan
        ) {}
        set.await.unwrap();
        let held = self.plane.observe().await.unwrap();
        let wanted: BTreeMap<_, _> = present(self.plane.plan(&self.routes, Touched::All))
            .into_iter()
            .collect();
        let gone = held.into_keys().filter(|key| !wanted.contains_key(key)).collect();
        for (key, verdict) in self.apply_all(wanted.into_iter().collect(), gone).await {
            assert_eq!(verdict, Verdict::Programmed, "{key}\n{}", self.envoy.log());
        }
    }

    /// Applies what changed and gives the final verdicts.
    pub(crate) async fn apply(&mut self, names: &[ServiceName]) -> BTreeMap<ResourceKey, Verdict> {
        let wanted = self.plane.plan(&self.routes, Touched::Names(names));
        let remove = wanted
            .iter()
            .filter(|(_, resource)| resource.is_none())
            .map(|(key, _)| key.clone())
            .collect();
        self.apply_all(present(wanted), remove).await
    }

    async fn apply_all(
        &mut self,
        upsert: Vec<(ResourceKey, Resource)>,
        remove: Vec<ResourceKey>,
    ) -> BTreeMap<ResourceKey, Verdict> {
        let diff = Diff {
            upsert,
            remove,
            settled: true,
        };
        let keys: BTreeSet<ResourceKey> = diff.upsert.iter().map(|(key, _)| key.clone()).collect();
        let mut verdicts: BTreeMap<_, _> = keys.iter().map(|key| (key.clone(), Verdict::Programmed)).collect();
        verdicts.extend(self.plane.apply(diff).await.unwrap());
        while verdicts.values().any(|verdict| matches!(verdict, Verdict::Pending(_))) {
            let event = timeout(DEADLINE, self.plane.changed()).await;
            let Ok(event) = event else {
                panic!("pending: {verdicts:?}\n{}", self.envoy.log())
            };
            if let PlaneEvent::Verdicts(later) = event {
                verdicts.extend(later.into_iter().filter(|(key, _)| keys.contains(key)));
            }
        }
        verdicts
    }

    /// Waits until Envoy has no cluster for an address any more.
    pub(crate) async fn gone(&self, kind: &str, at: SocketAddr) {
        let end = Instant::now() + DEADLINE;
        let cluster = format!("{kind}{at}::");
        while client::get(self.config.admin, "admin", "/clusters")
            .await
            .body
            .contains(&cluster)
        {
            assert!(Instant::now() < end, "{cluster} is still there");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Puts a route into the table without applying it.
    pub(crate) fn put(&mut self, route: Route) {
        self.routes.insert(route.name.clone(), Arc::new(route));
    }

    /// The egress address of a tcp service. The first one takes the first port of the range.
    pub(crate) fn tcp(&self, nth: u16) -> SocketAddr {
        SocketAddr::new(self.config.tcp_address, self.config.tcp_ports.start() + nth)
    }
}

fn present<K, R>(wanted: Vec<(K, Option<R>)>) -> Vec<(K, R)> {
    wanted
        .into_iter()
        .filter_map(|(key, resource)| Some((key, resource?)))
        .collect()
}

fn route(name: &str, protocol: Protocol, target: Target) -> Route {
    Route {
        name: ServiceName::parse(name).unwrap(),
        protocol,
        path: None,
        table: Table::Internal,
        origin: None,
        target,
        exported_to: Arc::from([]),
    }
}

/// A local service.
pub(crate) fn local(name: &str, protocol: Protocol, endpoints: &[SocketAddr]) -> Route {
    let weighted: Vec<(SocketAddr, u32)> = endpoints.iter().map(|at| (*at, 1)).collect();
    weighted_local(name, protocol, &weighted)
}

/// A local service whose endpoints have weights.
pub(crate) fn weighted_local(name: &str, protocol: Protocol, endpoints: &[(SocketAddr, u32)]) -> Route {
    let endpoint = |(at, weight): &(SocketAddr, u32)| Endpoint {
        host: at.ip().to_string().into(),
        port: at.port(),
        weight: *weight,
    };
    route(name, protocol, Target::Local(endpoints.iter().map(endpoint).collect()))
}

/// A service behind other nodes.
pub(crate) fn remote(name: &str, protocol: Protocol, hops: &[(SocketAddr, u32)]) -> Route {
    let hop = |(address, weight): &(SocketAddr, u32)| NextHop {
        address: *address,
        weight: *weight,
    };
    route(name, protocol, Target::Remote(hops.iter().map(hop).collect()))
}

/// A name that nobody offers.
pub(crate) fn discard(name: &str) -> Route {
    route(name, Protocol::Http, Target::Discard)
}

/// The same route, open to outside organisations.
pub(crate) fn exported(mut route: Route, orgs: &[&str]) -> Route {
    route.exported_to = orgs.iter().map(|org| Arc::from(*org)).collect();
    route
}
