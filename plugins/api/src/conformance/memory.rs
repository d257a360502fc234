//! The reference: the smallest whole data plane, in memory. The suite is tested on it, and a new plugin can start
//! from it: it has resources of two kinds, one shared between routes, refusals, restarts and news of its own accord.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Harness;
use crate::plane::{
    DataPlane, Diff, Endpoint, PlaneError, PlaneEvent, Protocol, Route, RouteTable, ServiceName, Table, Target,
    Touched, Verdict, Wanted,
};

/// A path that the store refuses.
const BAD_PATH: &str = "/refused";

/// Names a resource: upstreams sort first, since routes point at them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The endpoints of a target, shared by all routes that lead there.
    Upstream(String),
    /// The route of a name.
    Route(ServiceName),
}

/// The content of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// Addresses in order.
    Upstream(Vec<String>),
    /// Where a name goes.
    Route {
        /// The upstream.
        upstream: String,
        /// The path.
        path: Option<Arc<str>>,
    },
}

/// What outlives the plugin: the data plane itself.
#[derive(Debug, Default)]
pub struct Store {
    resources: Mutex<BTreeMap<Key, Resource>>,
    writes: Mutex<u64>,
    restarted: Notify,
}

/// The plugin: plans into an index, writes into the store one resource at a time.
#[derive(Debug)]
pub struct MemoryPlane {
    store: Arc<Store>,
    upstream_of: BTreeMap<ServiceName, String>,
    names_of: BTreeMap<String, BTreeSet<ServiceName>>,
}

impl MemoryPlane {
    /// A plane over a store that may hold resources of a run before.
    #[must_use]
    pub fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            upstream_of: BTreeMap::new(),
            names_of: BTreeMap::new(),
        }
    }

    /// Plans one name, and the upstreams that come or go with it.
    fn plan_name(&mut self, name: &ServiceName, route: Option<&Route>, out: &mut BTreeMap<Key, Option<Resource>>) {
        if let Some(before) = self.upstream_of.remove(name)
            && let Some(names) = self.names_of.get_mut(&before)
        {
            names.remove(name);
            if names.is_empty() {
                self.names_of.remove(&before);
                out.insert(Key::Upstream(before), None);
            }
        }
        let wanted = route.map(|route| {
            let addresses = addresses(&route.target);
            let upstream = addresses.join(",");
            self.upstream_of.insert(name.clone(), upstream.clone());
            self.names_of.entry(upstream.clone()).or_default().insert(name.clone());
            out.insert(Key::Upstream(upstream.clone()), Some(Resource::Upstream(addresses)));
            Resource::Route {
                upstream,
                path: route.path.clone(),
            }
        });
        out.insert(Key::Route(name.clone()), wanted);
    }
}

fn addresses(target: &Target) -> Vec<String> {
    match target {
        Target::Local(endpoints) => endpoints.iter().map(|e| format!("{}:{}", e.host, e.port)).collect(),
        Target::Remote(hops) => hops.iter().map(|hop| hop.address.to_string()).collect(),
        Target::Discard => Vec::new(),
    }
}

impl DataPlane for MemoryPlane {
    type Route = Route;
    type Key = Key;
    type Resource = Resource;

    fn name(&self) -> &'static str {
        "memory"
    }

    fn plan(&mut self, routes: &RouteTable, touched: Touched<'_>) -> Vec<Wanted<Self>> {
        let mut out = BTreeMap::new();
        match touched {
            Touched::All => {
                self.upstream_of.clear();
                self.names_of.clear();
                routes
                    .iter()
                    .for_each(|(name, route)| self.plan_name(name, Some(route), &mut out));
            }
            Touched::Names(names) => {
                names.iter().for_each(|name| {
                    self.plan_name(name, routes.get(name).map(AsRef::as_ref), &mut out);
                });
            }
        }
        out.into_iter().collect()
    }

    fn routes_of(&self, key: &Key) -> Vec<ServiceName> {
        match key {
            Key::Route(name) => vec![name.clone()],
            Key::Upstream(upstream) => self.names_of.get(upstream).into_iter().flatten().cloned().collect(),
        }
    }

    fn serves(&self, _route: &Route) -> bool {
        true
    }

    fn fingerprint(&self, resource: &Resource) -> u64 {
        // The default SipHash with zero keys: stable in all builds of one compiler, enough for memory.
        #[allow(deprecated)]
        let mut hasher = std::hash::SipHasher::new();
        hasher.write(format!("{resource:?}").as_bytes());
        hasher.finish()
    }

    async fn observe(&mut self) -> Result<BTreeMap<Key, Option<u64>>, PlaneError> {
        let held = self.store.resources().clone();
        Ok(held
            .into_iter()
            .map(|(key, resource)| (key, Some(self.fingerprint(&resource))))
            .collect())
    }

    async fn apply(&mut self, diff: Diff<Key, Resource>) -> Result<Vec<(Key, Verdict)>, PlaneError> {
        let mut verdicts = Vec::new();
        // Make before break: what is pointed at comes first and goes last.
        for (key, resource) in diff.upsert {
            tokio::task::yield_now().await;
            let verdict = self.store.put(&key, resource);
            verdicts.push((key, verdict));
        }
        for key in diff.remove.into_iter().rev() {
            tokio::task::yield_now().await;
            self.store.remove(&key);
        }
        tokio::task::yield_now().await;
        Ok(verdicts)
    }

    async fn changed(&mut self) -> PlaneEvent<Key> {
        self.store.restarted.notified().await;
        PlaneEvent::Resync
    }
}

impl Store {
    fn resources(&self) -> MutexGuard<'_, BTreeMap<Key, Resource>> {
        self.resources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self) {
        *self.writes.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    }

    fn put(&self, key: &Key, resource: Resource) -> Verdict {
        self.count();
        match &resource {
            Resource::Route { path: Some(path), .. } if **path == *BAD_PATH => {
                return Verdict::Rejected(format!("the store takes no path {path}").into());
            }
            Resource::Route { upstream, .. } if !self.resources().contains_key(&Key::Upstream(upstream.clone())) => {
                return Verdict::Rejected(format!("no upstream {upstream}").into());
            }
            Resource::Route { .. } | Resource::Upstream(_) => {}
        }
        self.resources().insert(key.clone(), resource);
        Verdict::Programmed
    }

    fn remove(&self, key: &Key) {
        self.count();
        self.resources().remove(key);
    }
}

/// The harness of the reference.
#[derive(Debug, Default)]
pub struct MemoryHarness {
    store: Arc<Store>,
}

impl MemoryHarness {
    /// A fresh, empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// The port of a variant: variants 3 to 5 are local to the name, 0 to 2 lead to upstreams that names share.
fn endpoint(name: &ServiceName, variant: u32) -> Endpoint {
    let host: Arc<str> = if variant < 3 {
        "shared".into()
    } else {
        name.as_str().into()
    };
    Endpoint {
        host,
        port: [4000, 4001, 4002, 4003, 4004, 4005][variant as usize % 6],
        weight: 1,
    }
}

fn route(name: &ServiceName, variant: u32, path: Option<&str>) -> Arc<Route> {
    Arc::new(Route {
        name: name.clone(),
        protocol: Protocol::Http,
        path: path.map(Into::into),
        table: Table::Internal,
        origin: None,
        target: Target::Local(vec![endpoint(name, variant)]),
        exported_to: Arc::default(),
    })
}

impl Harness for MemoryHarness {
    type Plane = MemoryPlane;

    async fn plane(&mut self) -> MemoryPlane {
        MemoryPlane::new(Arc::clone(&self.store))
    }

    fn route(&self, name: &ServiceName, variant: u32) -> Arc<Route> {
        route(name, variant, None)
    }

    fn bad_route(&self, name: &ServiceName) -> Arc<Route> {
        route(name, 3, Some(BAD_PATH))
    }

    async fn serves(&mut self) -> BTreeMap<ServiceName, u32> {
        let resources = self.store.resources();
        let variant = |name: &ServiceName, upstream: &str| (0..6).find(|v| upstream == address(&endpoint(name, *v)));
        let routes = resources.iter().filter_map(|(key, resource)| match (key, resource) {
            // A route whose upstream is missing serves nothing.
            (Key::Route(name), Resource::Route { upstream, .. })
                if resources.contains_key(&Key::Upstream(upstream.clone())) =>
            {
                variant(name, upstream).map(|variant| (name.clone(), variant))
            }
            _ => None,
        });
        let served: BTreeMap<ServiceName, u32> = routes.collect();
        served
    }

    async fn writes(&mut self) -> u64 {
        *self.store.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn restart(&mut self) {
        self.store.resources().clear();
        self.store.restarted.notify_one();
    }
}

fn address(endpoint: &Endpoint) -> String {
    format!("{}:{}", endpoint.host, endpoint.port)
}
