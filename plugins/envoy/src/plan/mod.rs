//! Pure planning: routes in, xDS resources out. No I/O, no clock: the same table gives the same bytes.
//!
//! Listeners never change with the routes. A request finds its route by a scope, one per name whatever the number of
//! listeners; the Lua filter of the listeners computes the scope's key, and the routes in the scope say whose requests
//! they take. Traffic to other nodes shares one cluster per next hop.

mod access;
mod check;
mod cluster;
mod demand;
mod filter;
mod held;
mod listener;
mod names;
mod proto;
mod scope;
mod tcp;
#[cfg(test)]
mod tests;
mod wildcards;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use catalyst_plugin::{Route, RouteTable, ServiceName, Target, Touched, Verdict};

use self::access::Access;
use self::held::{Changes, Held};
use self::listener::HttpListener;
pub use self::names::VIA_HEADER;
use self::scope::{Action, Clusters};
use self::wildcards::WildcardTable;
use crate::config::EnvoyConfig;
use crate::ports::{Ports, PortsError};
use crate::resource::{Resource, ResourceKey, ResourceKind};

/// Plans resources and remembers which routes each of them serves.
#[derive(Debug)]
pub struct Planner {
    config: EnvoyConfig,
    ports: Ports,
    listeners: Vec<HttpListener>,
    orgs: Vec<Arc<str>>,
    wildcards: WildcardTable,
    filter: Option<Resource>,
    held: Held,
    /// The organisations that routes are open to, of those that are open to any.
    exported: BTreeMap<ServiceName, Arc<[Arc<str>]>>,
    rejected: BTreeMap<ServiceName, String>,
}

impl Planner {
    /// A planner that has seen no route.
    #[must_use]
    pub fn new(config: EnvoyConfig, mut ports: Ports) -> Self {
        config.ports_in_use().for_each(|port| ports.exclude(port));
        Self {
            listeners: listener::all(&config),
            orgs: config.peer_listeners.keys().cloned().collect(),
            wildcards: WildcardTable::default(),
            filter: None,
            held: Held::default(),
            exported: BTreeMap::new(),
            rejected: BTreeMap::new(),
            config,
            ports,
        }
    }

    /// Goes on with other settings. What is wanted by them comes with the next plan of [`Touched::All`].
    pub fn reconfigure(&mut self, config: EnvoyConfig) {
        config.ports_in_use().for_each(|port| self.ports.exclude(port));
        self.listeners = listener::all(&config);
        self.orgs = config.peer_listeners.keys().cloned().collect();
        self.config = config;
    }

    /// What exists without any route: listeners, the gateway's cluster and scope. [`Planner::plan`] with
    /// [`Touched::All`] gives these too, besides the extension (which depends on the wildcards in the table).
    #[must_use]
    pub fn fixed(&self) -> Vec<Resource> {
        let listeners = self.listeners.iter();
        let mut fixed: Vec<Resource> = listeners
            .map(|one| Resource::encode(ResourceKind::Listener, one.name(), &one.resource()))
            .collect();
        if let Some(gateway) = self.config.gateway {
            let cluster = cluster::gateway(gateway);
            fixed.push(Resource::encode(
                ResourceKind::Cluster,
                names::GATEWAY_CLUSTER,
                &cluster,
            ));
            fixed.push(Resource::encode(
                ResourceKind::ScopedRoute,
                names::GRAPH_SCOPE,
                &scope::graph(),
            ));
        }
        fixed
    }

    /// The resources that change; `None`: no longer wanted. `All` gives every wanted resource (the fixed ones too) and
    /// the removal of those that this planner gave before.
    pub fn plan(&mut self, routes: &RouteTable, touched: Touched<'_>) -> Vec<(ResourceKey, Option<Resource>)> {
        let all = matches!(touched, Touched::All);
        let mut dirty = self.dirty(routes, touched);
        let wildcards_changed = self.take_wildcards(routes, &dirty);
        let mut batch = Vec::with_capacity(dirty.len());
        self.release_ports(routes, &mut dirty);
        for name in dirty {
            let wanted = routes.get(&name).map(|route| self.resources(route)).unwrap_or_default();
            if wanted.is_empty() {
                self.rejected.remove(&name);
            }
            match routes.get(&name).map(|route| &route.exported_to) {
                Some(orgs) if !orgs.is_empty() => drop(self.exported.insert(name.clone(), orgs.clone())),
                Some(_) | None => drop(self.exported.remove(&name)),
            }
            batch.push((name, wanted));
        }
        let mut changes = Changes::new();
        self.held.replace(batch, &mut changes);
        if all || wildcards_changed {
            self.plan_filter(&mut changes);
        }
        if all {
            self.add_all(&mut changes);
        }
        changes.into_iter().collect()
    }

    /// The routes that depend on a resource: on a listener, those that are reached by it. None on the gateway's.
    #[must_use]
    pub fn routes_of(&self, key: &ResourceKey) -> Vec<ServiceName> {
        if let Some(listener) = self.listener(key) {
            return self.reached_by(listener);
        }
        if self.filter.as_ref().is_some_and(|filter| filter.key == *key) {
            return self.wildcards.names().collect();
        }
        self.held.users(key)
    }

    /// What the refusal of a resource means for the routes that depend on it. An Envoy that cannot open a listener serves on
    /// by the others: only without the one of our own organisation's nodes must no peer be sent here.
    #[must_use]
    pub fn refusal(&self, key: &ResourceKey, reason: &str) -> Verdict {
        match self.listener(key) {
            None => Verdict::Rejected(reason.into()),
            Some(listener) => {
                let text = format!("listener {} is not open: {reason}", listener.name());
                if listener.is_for_own_peers() {
                    Verdict::Rejected(text.into())
                } else {
                    Verdict::Pending(text.into())
                }
            }
        }
    }

    /// The outside organisation whose peers come in by a listener; `None`: it is another one, or none.
    #[must_use]
    pub fn organisation_of(&self, key: &ResourceKey) -> Option<&Arc<str>> {
        self.listener(key)?.org()
    }

    /// Whether an outside organisation has a listener.
    #[must_use]
    pub fn serves(&self, organisation: &str) -> bool {
        self.orgs.iter().any(|org| **org == *organisation)
    }

    /// One of the listeners that are there without any route.
    fn listener(&self, key: &ResourceKey) -> Option<&HttpListener> {
        let mut listeners = self.listeners.iter();
        listeners.find(|one| key.kind == ResourceKind::Listener && *key.name == *one.name())
    }

    fn reached_by(&self, listener: &HttpListener) -> Vec<ServiceName> {
        let Some(org) = listener.org() else {
            return self.held.names().cloned().collect();
        };
        let open = self.exported.iter().filter(|(_, orgs)| orgs.contains(org));
        open.map(|(name, _)| name.clone()).collect()
    }

    /// The routes that cannot be expressed, with the reason. Requests for them are answered 503.
    #[must_use]
    pub fn rejected(&self) -> Vec<(ServiceName, String)> {
        self.rejected
            .iter()
            .map(|(name, reason)| (name.clone(), reason.clone()))
            .collect()
    }

    /// The port of a tcp service's egress listener, while it has one.
    #[must_use]
    pub fn tcp_port(&self, name: &ServiceName) -> Option<u16> {
        self.ports.port_of(name.as_str())
    }

    /// Writes the port assignments down if they have changed. To be called before new listeners are served.
    ///
    /// # Errors
    /// The file cannot be written; the assignments hold until the daemon ends, and the next call tries again.
    pub fn persist_ports(&mut self) -> Result<(), PortsError> {
        self.ports.persist()
    }

    fn dirty(&self, routes: &RouteTable, touched: Touched<'_>) -> BTreeSet<ServiceName> {
        match touched {
            Touched::All => routes
                .keys()
                .chain(self.held.names())
                .cloned()
                .chain(self.wildcards.names())
                .collect(),
            Touched::Names(names) => names.iter().cloned().collect(),
        }
    }

    /// Follows the wildcards among the dirty names; true if any has changed for the filter.
    fn take_wildcards(&mut self, routes: &RouteTable, dirty: &BTreeSet<ServiceName>) -> bool {
        let mut changed = false;
        for name in dirty {
            changed |= self.wildcards.update(name, routes.get(name).map(Arc::as_ref));
        }
        changed
    }

    /// Ports go back before they go out: a range that is full before the batch may have room after it, also for names
    /// that were refused one earlier.
    fn release_ports(&mut self, routes: &RouteTable, dirty: &mut BTreeSet<ServiceName>) {
        let without = dirty
            .iter()
            .filter(|name| !routes.get(*name).is_some_and(|route| demand::has_port(route)));
        let mut released = false;
        for name in without {
            released |= self.ports.release(name.as_str());
        }
        if released {
            dirty.extend(self.rejected.keys().cloned());
        }
    }

    /// Everything that one route needs.
    fn resources(&mut self, route: &Route) -> Vec<Resource> {
        match self.served(route) {
            Ok(resources) => {
                self.rejected.remove(&route.name);
                resources
            }
            Err(reason) => {
                let body = format!("cannot serve {}: {reason}\n", route.name);
                self.rejected.insert(route.name.clone(), reason);
                vec![self.scope(route, &Action::Answer { status: 503, body })]
            }
        }
    }

    fn served(&mut self, route: &Route) -> Result<Vec<Resource>, String> {
        let clusters = check::clusters(route)?;
        let mut resources = Vec::new();
        if demand::has_port(route) {
            resources.push(self.tcp_listener(route, &clusters)?);
        }
        resources.extend(demand::clusters_of(route, &self.config));
        if !(route.name.is_wildcard() && matches!(route.target, Target::Discard)) {
            // Else a stop in the Lua filter is all that it is.
            resources.push(self.scope(route, &demand::action(route, clusters)));
        }
        Ok(resources)
    }

    fn tcp_listener(&mut self, route: &Route, clusters: &Clusters) -> Result<Resource, String> {
        let port = self
            .ports
            .assign(route.name.as_str())
            .map_err(|full| full.to_string())?;
        let node = self.config.node_id();
        let way = match route.target {
            Target::Local(_) => tcp::Way::Endpoints,
            Target::Remote(_) | Target::Discard => tcp::Way::Tunnel {
                name: route.name.as_str(),
                node: &node,
            },
        };
        let name = names::tcp_listener(&route.name);
        let at = SocketAddr::new(self.config.tcp_address, port);
        let listener = tcp::listener(name.clone(), at, clusters, way);
        Ok(Resource::encode(ResourceKind::Listener, name, &listener))
    }

    /// The scope of a name.
    fn scope(&self, route: &Route, action: &Action) -> Resource {
        // Also while nobody outside is served: a daemon that comes back with its first outside organisation opens that
        // listener before Envoy has given up the scopes it holds.
        let access = if matches!(route.target, Target::Discard) {
            Access::Everybody
        } else {
            let served = |org: &&Arc<str>| self.orgs.contains(org);
            Access::Only(route.exported_to.iter().filter(served).cloned().collect())
        };
        demand::scope_resource(route.name.as_str(), action, &access)
    }

    fn plan_filter(&mut self, changes: &mut Changes) {
        let filter = filter::filter(&self.config, self.wildcards.entries());
        let resource = Resource::encode(ResourceKind::Extension, names::SCOPE_FILTER, &filter);
        if self.filter.as_ref() != Some(&resource) {
            changes.insert(resource.key.clone(), Some(resource.clone()));
            self.filter = Some(resource);
        }
    }

    fn add_all(&self, changes: &mut Changes) {
        let wanted = self.held.all().chain(&self.filter).cloned().chain(self.fixed());
        changes.extend(wanted.map(|resource| (resource.key.clone(), Some(resource))));
    }
}
